# SPDX-License-Identifier: Apache-2.0
"""anywasm.run: subprocess.run for WASI programs. Real programs are in test_programs.py."""

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import anywasm
import attacks
import wasi_programs
from anywasm import Engine, Module
from wasi_guest import Guest

Compiled = Callable[[str], Module]


@pytest.fixture(scope="session")
def program(engine: Engine, wat: Callable[[str], bytes]) -> Compiled:
    """program(NAME): a module of wasi_programs, compiled once."""
    made: dict[str, Module] = {}

    def compile(name: str) -> Module:
        if name not in made:
            made[name] = Module(wat(getattr(wasi_programs, name)), engine)
        return made[name]

    return compile


# --- how it ended ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "status"), [("EMPTY", 0), ("EXIT_0", 0), ("EXIT_3", 3)])
def test_the_return_code_is_the_exit_status(program: Compiled, name: str, status: int) -> None:
    assert anywasm.run(program(name)).returncode == status


def test_a_program_that_ends_itself_is_not_looked_into(program: Compiled, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading the debug information of a big program takes long, and an exit is no accident."""
    from anywasm import _dwarf

    asked: list[object] = []
    monkeypatch.setattr(_dwarf, "locate", lambda *arguments: asked.append(arguments))
    assert anywasm.run(program("EXIT_3")).returncode == 3
    assert asked == []


def test_a_failure_is_an_exception_when_asked_for(program: Compiled) -> None:
    with pytest.raises(anywasm.Exit, match=r"^the program ended with exit status 3$") as caught:
        anywasm.run(program("EXIT_3"), check=True)
    assert caught.value.code == 3


def test_the_exception_tells_what_the_program_said(program: Compiled) -> None:
    with pytest.raises(anywasm.Exit, match=r"^the program ended with exit status 7: err$"):
        anywasm.run(program("WRITE_AND_FAIL"), check=True, capture_output=True)


def test_success_is_none(program: Compiled) -> None:
    anywasm.run(program("EMPTY"), check=True).check_returncode()


def test_a_crash_is_a_trap(program: Compiled) -> None:
    with pytest.raises(anywasm.Trap, match="unreachable"):
        anywasm.run(program("TRAP"))


def test_a_library_is_no_program(program: Compiled) -> None:
    with pytest.raises(anywasm.LinkError, match=r"exports no function _start; its functions: add"):
        anywasm.run(program("LIBRARY"))


def test_a_start_that_is_no_function_is_no_program(engine: Engine, wat: Any) -> None:
    text = '(module (global (export "_start") i32 (i32.const 1)))'
    with pytest.raises(anywasm.LinkError, match="exports no function _start"):
        anywasm.run(wat(text), engine=engine)


def test_a_start_with_parameters_is_no_program(engine: Engine, wat: Any) -> None:
    text = '(module (func (export "_start") (param i32)))'
    with pytest.raises(anywasm.LinkError, match=r"_start.*\(i32\) -> \(\)"):
        anywasm.run(wat(text), engine=engine)


def test_a_run_has_a_readable_repr(program: Compiled) -> None:
    done = anywasm.run(program("WRITE"), ["a"], capture_output=True)
    assert repr(done) == "CompletedRun(args=('a',), returncode=0, stdout=b'out\\n', stderr=b'err\\n')"
    assert repr(anywasm.run(program("EMPTY"))) == "CompletedRun(args=(), returncode=0)"


# --- output ---------------------------------------------------------------------------------------------------------


def test_output_goes_to_the_processs_own(program: Compiled, capfd: pytest.CaptureFixture[str]) -> None:
    done = anywasm.run(program("WRITE"))
    assert capfd.readouterr() == ("out\n", "err\n")
    assert (done.stdout, done.stderr) == (None, None)


def test_output_is_captured(program: Compiled, capfd: pytest.CaptureFixture[str]) -> None:
    done = anywasm.run(program("WRITE"), capture_output=True)
    assert (done.stdout, done.stderr) == (b"out\n", b"err\n")
    assert capfd.readouterr() == ("", "")


def test_output_is_captured_as_text(program: Compiled) -> None:
    done = anywasm.run(program("WRITE"), capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("out\n", "err\n")


def test_bytes_that_are_no_text_are_replaced(program: Compiled) -> None:
    done = anywasm.run(program("CAT"), stdin=io.BytesIO(b"a\xffb"), capture_output=True, text=True)
    assert done.stdout == "a\ufffdb"


def test_the_encoding_can_be_chosen(program: Compiled) -> None:
    stdin = io.BytesIO(b"\xe4")
    assert anywasm.run(program("CAT"), stdin=stdin, capture_output=True, text=True, encoding="latin-1").stdout == "ä"


def test_output_goes_nowhere(program: Compiled, capfd: pytest.CaptureFixture[str]) -> None:
    anywasm.run(program("WRITE"), stdout=None, stderr=None)
    assert capfd.readouterr() == ("", "")


def test_both_outputs_can_go_to_one_object(program: Compiled) -> None:
    stream = io.BytesIO()
    anywasm.run(program("WRITE"), stdout=stream, stderr=stream)
    assert stream.getvalue() == b"out\nerr\n"


def test_output_goes_to_a_file_by_its_path(program: Compiled, tmp_path: Path) -> None:
    anywasm.run(program("WRITE"), stdout=tmp_path / "out", stderr=None)
    assert (tmp_path / "out").read_bytes() == b"out\n"


def test_what_was_written_before_a_trap_is_kept(program: Compiled) -> None:
    stream = io.BytesIO()
    with pytest.raises(anywasm.Trap):
        anywasm.run(program("WRITE_AND_TRAP"), stdout=stream, stderr=None)
    assert stream.getvalue() == b"out\n"


# --- input, arguments, environment ----------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 65536, 65537, 1_000_000])
def test_input_is_read_to_its_end(program: Compiled, size: int) -> None:
    data = bytes(range(256)) * (size // 256 + 1)
    assert anywasm.run(program("CAT"), input=data[:size], capture_output=True).stdout == data[:size]


@pytest.mark.parametrize("kind", [bytearray, memoryview])
def test_input_is_anything_like_bytes(program: Compiled, kind: Callable[[bytes], Any]) -> None:
    assert anywasm.run(program("CAT"), input=kind(b"text"), capture_output=True).stdout == b"text"


def test_input_is_text_when_output_is(program: Compiled) -> None:
    assert anywasm.run(program("CAT"), input="tschüß\n", capture_output=True, text=True).stdout == "tschüß\n"


def test_there_is_no_input_unless_it_is_given(program: Compiled) -> None:
    assert anywasm.run(program("CAT"), capture_output=True).stdout == b""


def test_input_comes_from_an_object(program: Compiled) -> None:
    assert anywasm.run(program("CAT"), stdin=io.BytesIO(b"text"), capture_output=True).stdout == b"text"


def test_what_a_stream_raises_comes_out(program: Compiled) -> None:
    class Broken:
        def read(self, _size: int) -> bytes:
            raise ZeroDivisionError("my own")

    with pytest.raises(ZeroDivisionError, match="my own"):
        anywasm.run(program("CAT"), stdin=Broken(), capture_output=True)


def world(done: anywasm.CompletedRun) -> list[str]:
    text: str = done.stdout.decode()
    return text.split("\0")[:-1]


def test_arguments_follow_the_programs_name(program: Compiled) -> None:
    _name, *given = world(anywasm.run(program("WORLD"), ["a", "", "b c", "ä"], capture_output=True))
    assert given == ["a", "", "b c", "ä"]


def test_the_programs_name_is_that_of_its_file(engine: Engine, wat: Any, tmp_path: Path) -> None:
    path = tmp_path / "world.wasm"
    path.write_bytes(wat(wasi_programs.WORLD))
    assert world(anywasm.run(path, capture_output=True, engine=engine)) == ["world.wasm"]


def test_paths_can_be_arguments(program: Compiled) -> None:
    assert world(anywasm.run(program("WORLD"), [Path("a/b")], capture_output=True))[1:] == ["a/b"]


def test_the_environment_is_what_is_given(program: Compiled, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "1")
    assert world(anywasm.run(program("WORLD"), env={"A": "1", "B": ""}, capture_output=True))[1:] == ["A=1", "B="]
    assert world(anywasm.run(program("WORLD"), capture_output=True))[1:] == []


# --- limits ---------------------------------------------------------------------------------------------------------


@pytest.mark.requires("interrupt")
def test_a_timeout_stops_the_program_and_tells_what_it_wrote(engine: Engine, wat: Any) -> None:
    text = wasi_programs.WRITE.replace(f") {wasi_programs.DATA})", f"(loop (br 0))) {wasi_programs.DATA})")
    with pytest.raises(
        anywasm.TimeoutExpired, match=r"^the program was stopped: its timeout of 0.1 s is over$"
    ) as caught:
        anywasm.run(wat(text), engine=engine.name, timeout=0.1, capture_output=True)
    error = caught.value
    assert (error.stdout, error.output, error.stderr) == (b"out\n", b"out\n", b"err\n")
    assert error.timeout == error.allowed == 0.1
    assert error.used is not None
    assert error.used >= 0.1


@pytest.mark.requires("interrupt")
def test_the_timeout_counts_the_start_function_too(engine: Engine, wat: Any) -> None:
    """Half of the time is gone when _start begins."""
    text = """
    (module
      (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
      (memory (export "memory") 1)
      (func $sleep (param $ms i64)
        (i64.store (i32.const 24) (i64.mul (local.get $ms) (i64.const 1000000)))
        (i32.store (i32.const 16) (i32.const 1))
        (drop (call $poll (i32.const 0) (i32.const 64) (i32.const 1) (i32.const 128))))
      (func $begin (call $sleep (i64.const 700)))
      (start $begin)
      (func (export "_start") (call $sleep (i64.const 700))))
    """
    with pytest.raises(anywasm.TimeoutExpired) as caught:
        anywasm.run(wat(text), engine=engine.name, timeout=1)
    assert caught.value.allowed == 1
    assert caught.value.used is not None
    assert 0.99 <= caught.value.used < 1.35


@pytest.mark.requires("fuel")
def test_fuel_stops_the_program(engine: Engine, wat: Any) -> None:
    with pytest.raises(anywasm.FuelLimitError, match="fuel") as caught:
        anywasm.run(wat(wasi_programs.FOREVER), engine=engine.name, fuel=10_000)
    assert (caught.value.used, caught.value.allowed) == (10_000, 10_000)


def test_memory_is_limited(program: Compiled) -> None:
    done = anywasm.run(program("GROW"), memory=10 * 65536)
    assert done.returncode == 10
    assert done.peak_memory == 10 * 65536
    assert done.memory_refused in (11 * 65536, None)


def test_a_program_that_aborts_for_want_of_memory_is_told_as_that(engine: Engine, wat: Any) -> None:
    """Where the engine tells; else it is a trap."""
    text = wasi_programs.WRITE.replace(f") {wasi_programs.DATA})", "(drop (memory.grow (i32.const 100))) unreachable) "
                                       f"{wasi_programs.DATA})")  # fmt: skip
    with pytest.raises((anywasm.MemoryLimitError, anywasm.Trap)) as caught:
        anywasm.run(wat(text), engine=engine.name, memory=10 * 65536, capture_output=True)
    error = caught.value
    assert error.stdout == b"out\n"
    if isinstance(error, anywasm.MemoryLimitError):
        assert (error.used, error.allowed) == (103 * 65536, 10 * 65536)
        assert isinstance(error.__cause__, anywasm.Trap)


def test_any_other_trap_is_a_trap(engine: Engine, wat: Any) -> None:
    text = wasi_programs.program("(drop (memory.grow (i32.const 100))) (drop (i32.load (i32.const -1)))")
    with pytest.raises(anywasm.Trap, match="out of bounds"):
        anywasm.run(wat(text), engine=engine.name, memory=10 * 65536)


def test_a_failure_after_memory_was_refused_tells_that(engine: Engine, wat: Any) -> None:
    text = wasi_programs.program("(drop (memory.grow (i32.const 100))) (call $proc_exit (i32.const 2))")
    done = anywasm.run(wat(text), engine=engine.name, memory=10 * 65536)
    told = r"status 2, and had asked for 6,750,208 bytes of memory" if done.memory_refused else "status 2$"
    with pytest.raises(anywasm.Exit, match=told):
        done.check_returncode()


@pytest.mark.parametrize(
    ("items", "kind"),
    [
        ("(memory 200)", anywasm.MemoryLimitError),
        ("(memory 1) (table 100000000 funcref)", anywasm.TableLimitError),
        ("(memory 1)" + "(table 1 funcref)" * 5, anywasm.LimitError),
    ],
)
def test_a_limit_of_memory_bounds_all_that_a_program_can_have(
    engine: Engine, wat: Any, items: str, kind: type[Exception]
) -> None:
    with pytest.raises(kind):
        anywasm.run(wat(f'(module {items} (func (export "_start")))'), engine=engine.name, memory=100 * 65536)


@pytest.mark.requires("multi_memory")
def test_with_a_limit_of_memory_a_program_has_one(engine: Engine, wat: Any) -> None:
    text = wat('(module (memory 1) (memory 1) (func (export "_start")))')
    anywasm.run(text, engine=engine.name)
    with pytest.raises(anywasm.LimitError, match="memory count too high"):
        anywasm.run(text, engine=engine.name, memory=100 * 65536)


def test_table_elements_are_limited(engine: Engine, wat: Any) -> None:
    text = wat('(module (memory 1) (table 1000 funcref) (func (export "_start")))')
    anywasm.run(text, engine=engine.name, memory=65536, table_elements=1000)
    with pytest.raises(anywasm.TableLimitError):
        anywasm.run(text, engine=engine.name, table_elements=999)


def test_the_stack_is_limited(engine: Engine, wat: Any) -> None:
    text = wasi_programs.program("(call $main)")
    with pytest.raises(anywasm.StackLimitError, match="call stack exhausted") as caught:
        anywasm.run(wat(text), engine=engine.name, stack=65536, capture_output=True)
    assert (caught.value.allowed, caught.value.stdout) == (65536, b"")


def test_captured_output_is_limited(program: Compiled) -> None:
    with pytest.raises(anywasm.OutputLimitError, match="wrote more than max_output allows: 100,?000 bytes") as caught:
        anywasm.run(program("FLOOD"), capture_output=True, max_output=100_000)
    error = caught.value
    assert (error.used, error.allowed) == (2 * 65536, 100_000)
    assert (error.stdout, error.stderr) == (bytes(100_000), b"")


def test_captured_output_can_be_truncated(engine: Engine, wat: Any) -> None:
    text = wasi_programs.FLOOD.replace("(br 0)", "")
    done = anywasm.run(wat(text), engine=engine.name, capture_output=True, max_output=100, truncate=True, text=True)
    assert (done.returncode, done.stdout, done.truncated) == (0, "\0" * 100, 65436)


def test_both_outputs_count_for_the_limit(program: Compiled) -> None:
    assert anywasm.run(program("WRITE"), capture_output=True, max_output=8).stderr == b"err\n"
    with pytest.raises(anywasm.OutputLimitError) as caught:
        anywasm.run(program("WRITE"), capture_output=True, max_output=7)
    assert (caught.value.stdout, caught.value.stderr) == (b"out\n", b"err")
    done = anywasm.run(program("WRITE"), capture_output=True, max_output=5, truncate=True)
    assert (done.stdout, done.stderr, done.truncated) == (b"out\n", b"e", 3)


def test_output_that_goes_elsewhere_is_limited_too(
    program: Compiled, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    anywasm.run(program("WRITE"), max_output=6, truncate=True)
    assert capfd.readouterr() == ("out\n", "er")
    stream = io.BytesIO()
    anywasm.run(program("WRITE"), stdout=tmp_path / "out", stderr=stream, max_output=6, truncate=True)
    assert ((tmp_path / "out").read_bytes(), stream.getvalue()) == (b"out\n", b"er")
    anywasm.run(program("WRITE"), stdout=stream, stderr="stdout", max_output=6, truncate=True)
    assert stream.getvalue() == b"erout\ner"
    with pytest.raises(anywasm.OutputLimitError):
        anywasm.run(program("FLOOD"), stdout=None, max_output=100_000)


def test_a_file_that_counts_cannot_grow_otherwise(engine: Engine, tmp_path: Path) -> None:
    host = anywasm.Wasi(stdout=tmp_path / "out")._open()
    host.limit_output(10)
    guest = Guest(engine, host)
    assert guest.errno("fd_filestat_set_size", 1, 1 << 40) == "NOTCAPABLE"
    assert guest.errno("fd_allocate", 1, 0, 1 << 20) == "NOTCAPABLE"
    assert guest.errno("fd_pwrite", 1, 0, 0, 0, 128) == "OK"
    assert (tmp_path / "out").stat().st_size == 0


def test_what_was_used_is_on_the_result(engine: Engine, wat: Any) -> None:
    done = anywasm.run(wat(wasi_programs.EMPTY), engine=engine.name)
    assert done.fuel is None
    assert 0 < done.duration < 60
    assert (done.peak_memory, done.truncated) == (3 * 65536, 0)


@pytest.mark.requires("fuel")
def test_the_fuel_that_was_used_is_on_the_result(engine: Engine, wat: Any) -> None:
    some = anywasm.run(wat(wasi_programs.GROW), engine=engine.name, fuel=100_000, memory=10 * 65536).fuel
    more = anywasm.run(wat(wasi_programs.GROW), engine=engine.name, fuel=100_000, memory=20 * 65536).fuel
    assert some is not None
    assert more is not None
    assert 0 < some < more < 100_000


def test_a_limit_that_the_modules_engine_lacks_is_an_error(program: Compiled) -> None:
    for limit in ({"timeout": 1}, {"fuel": 1}):
        with pytest.raises(anywasm.UnsupportedError, match=r"interruptible=True|fuel=True"):
            anywasm.run(program("TRAP"), **limit)  # type: ignore[arg-type]


# --- compiling within limits ----------------------------------------------------------------------------------------


@pytest.fixture
def _bounded_compiler() -> None:
    if "asan" in os.environ.get("LD_PRELOAD", ""):
        pytest.skip("a sanitizer's own memory is beyond any bound")


@pytest.mark.usefixtures("_bounded_compiler")
@pytest.mark.requires("serialize")
def test_compiling_is_stopped_when_its_time_is_over(engine: Engine) -> None:
    with pytest.raises(
        anywasm.TimeoutExpired, match=r"^compiling was stopped: its timeout of 0.5 s is over$"
    ) as caught:
        anywasm.run(attacks.many_functions(), engine=Engine(engine.name, cache=False), compile_timeout=0.5)
    assert caught.value.allowed == 0.5


@pytest.mark.usefixtures("_bounded_compiler")
@pytest.mark.requires("serialize")
def test_a_module_that_is_hard_to_compile_takes_bounded_memory_and_time(engine: Engine) -> None:
    """Which bound it meets first depends on the machine."""
    with pytest.raises((anywasm.TimeoutExpired, anywasm.CompileError), match=r"compil"):
        anywasm.run(attacks.tangled_values(), engine=engine.name, compile_timeout=8)


@pytest.mark.usefixtures("_bounded_compiler")
@pytest.mark.parametrize("cache", [True, False])
def test_a_program_that_is_compiled_within_limits_is_as_any_other(engine: Engine, wat: Any, cache: bool) -> None:
    limited = Engine(engine.name, cache=cache)
    for _ in range(2):
        done = anywasm.run(
            wat(wasi_programs.WRITE_AND_FAIL), engine=limited, compile_timeout=60, capture_output=True, text=True
        )
        assert (done.returncode, done.stdout) == (7, "out\n")


@pytest.mark.usefixtures("_bounded_compiler")
def test_a_trap_of_a_program_that_is_compiled_within_limits_tells_names(engine: Engine, wat: Any) -> None:
    with pytest.raises(anywasm.Trap) as caught:
        anywasm.run(wat(wasi_programs.TRAP), engine=engine.name, compile_timeout=60)
    assert caught.value.frames[0].function_name == "main"


@pytest.mark.usefixtures("_bounded_compiler")
def test_what_is_no_module_is_told_as_without_limits(engine: Engine) -> None:
    messages = []
    for limit in (None, 60):
        with pytest.raises(anywasm.CompileError) as caught:
            anywasm.run(b"\0asm\1\0\0\0\1", engine=engine.name, compile_timeout=limit)
        messages.append(str(caught.value))
    assert messages[0] == messages[1]


@pytest.mark.parametrize("value", [0, -1, float("inf"), float("nan")])
def test_a_compile_timeout_is_a_positive_number_of_seconds(program: Compiled, engine: Engine, value: float) -> None:
    with pytest.raises(ValueError, match="compile_timeout: expected a positive number"):
        anywasm.run(b"", engine=engine.name, compile_timeout=value)


@pytest.mark.requires("serialize")
def test_compiling_within_limits_needs_a_python(engine: Engine, wat: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/usr/bin/program")
    with pytest.raises(anywasm.UnsupportedError, match="process of its own is needed"):
        anywasm.run(wat(wasi_programs.EXIT_3), engine=Engine(engine.name, cache=False), compile_timeout=1)


# --- wrong arguments ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"args": "-c"}, r"args: expected a sequence of strings, got str"),
        ({"args": [1]}, r"int"),
        ({"input": b"", "stdin": "inherit"}, "input and stdin exclude each other"),
        ({"input": "text"}, r"input: expected bytes, got str \(text=True takes str\)"),
        ({"input": b"", "text": True}, "input: expected str, since text is true, got bytes"),
        ({"capture_output": True, "stdout": None}, "capture_output excludes stdout and stderr"),
        ({"truncate": True}, "truncate=True needs max_output"),
        ({"max_output": "5", "capture_output": True}, "max_output: expected an int or None, got str"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, dict) else "",
)
def test_a_wrong_argument_is_told(program: Compiled, options: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        anywasm.run(program("EMPTY"), **options)


def test_a_negative_limit_of_output_is_told(program: Compiled) -> None:
    with pytest.raises(ValueError, match="max_output: expected 0 or more, got -1"):
        anywasm.run(program("EMPTY"), capture_output=True, max_output=-1)


def test_an_encoding_that_is_none_is_told_before_the_program_runs(program: Compiled) -> None:
    with pytest.raises(LookupError, match="nonsense"):
        anywasm.run(program("TRAP"), text=True, capture_output=True, encoding="nonsense")

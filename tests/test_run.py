# SPDX-License-Identifier: Apache-2.0
"""anywasm.run: subprocess.run for WASI programs. Real programs are in test_programs.py."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import anywasm
import wasi_programs
from anywasm import Engine, Module

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
def test_a_timeout_stops_the_program(engine: Engine, wat: Any) -> None:
    with pytest.raises(anywasm.LimitError):
        anywasm.run(wat(wasi_programs.FOREVER), engine=engine.name, timeout=0.05)


@pytest.mark.requires("fuel")
def test_fuel_stops_the_program(engine: Engine, wat: Any) -> None:
    with pytest.raises(anywasm.LimitError, match="fuel"):
        anywasm.run(wat(wasi_programs.FOREVER), engine=engine.name, fuel=10_000)


def test_memory_is_limited(program: Compiled) -> None:
    assert anywasm.run(program("GROW"), memory=10 * 65536).returncode == 10


def test_captured_output_is_limited(program: Compiled) -> None:
    with pytest.raises(anywasm.LimitError, match="wrote more than max_output allows: 100,000 bytes"):
        anywasm.run(program("FLOOD"), capture_output=True, max_output=100_000)


def test_both_outputs_count_for_the_limit(program: Compiled) -> None:
    assert anywasm.run(program("WRITE"), capture_output=True, max_output=8).stderr == b"err\n"
    with pytest.raises(anywasm.LimitError):
        anywasm.run(program("WRITE"), capture_output=True, max_output=7)


def test_a_limit_that_the_modules_engine_lacks_is_an_error(program: Compiled) -> None:
    with pytest.raises((ValueError, anywasm.UnsupportedError), match="interruptible"):
        anywasm.run(program("EMPTY"), timeout=1)


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
        ({"max_output": 5}, "needs capture_output=True"),
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

# SPDX-License-Identifier: Apache-2.0
"""The command line: what it prints, where, and how it ends. docs/cli.md promises it."""

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import anywasm
import wasi_programs
from anywasm import Engine

ANYWASM = [sys.executable, "-m", "anywasm"]
Done = subprocess.CompletedProcess[str]


def cli(*arguments: object, **options: Any) -> Done:
    """Run `anywasm`, as from a shell without a terminal."""
    options = {"capture_output": True, "text": True, "stdin": subprocess.DEVNULL} | options
    if "input" in options:
        del options["stdin"]
    return subprocess.run([*ANYWASM, *map(str, arguments)], check=False, **options)


@pytest.fixture
def file(wat: Callable[[str], bytes], tmp_path: Path) -> Callable[[str], Path]:
    """file(NAME): the path of a module of wasi_programs."""

    def make(name: str) -> Path:
        path = tmp_path / f"{name.lower()}.wasm"
        path.write_bytes(wat(getattr(wasi_programs, name)))
        return path

    return make


@pytest.fixture
def run(engine: Engine, file: Callable[[str], Path]) -> Callable[..., Done]:
    """run(OPTION, …, NAME, ARG, …) with one of wasi_programs, by its name."""

    def go(*arguments: str, **options: Any) -> Done:
        known = {name for name in vars(wasi_programs) if name.isupper()}
        return cli("run", "--engine", engine.name, *(file(a) if a in known else a for a in arguments), **options)

    return go


# --- run: the program's side ----------------------------------------------------------------------------------------


def test_a_program_writes_to_both_outputs(run: Any) -> None:
    done = run("WRITE")
    assert (done.stdout, done.stderr, done.returncode) == ("out\n", "err\n", 0)


def test_a_program_reads_stdin(run: Any) -> None:
    assert run("CAT", input="some text\n").stdout == "some text\n"


@pytest.mark.parametrize(("name", "status"), [("EMPTY", 0), ("EXIT_0", 0), ("EXIT_3", 3), ("WRITE_AND_FAIL", 7)])
def test_the_exit_status_is_the_programs(run: Any, name: str, status: int) -> None:
    assert run(name).returncode == status


@pytest.mark.parametrize(
    "arguments",
    [["a", "b c"], ["--help"], ["--engine", "x"], ["-x", "--", "--dir"], ["--", "a"], ["--version"], [""]],
    ids=" ".join,
)
def test_what_follows_the_file_belongs_to_the_program(run: Any, arguments: list[str]) -> None:
    assert run("WORLD", *arguments).stdout.split("\0")[:-1] == ["world.wasm", *arguments]


def test_environment_variables_are_set_and_passed_on(run: Any) -> None:
    done = run(
        "--env", "A=1=2", "--env", "B", "--env", "C=", "WORLD", env=os.environ | {"B": "from here", "SECRET": "1"}
    )
    assert done.stdout.split("\0")[1:-1] == ["A=1=2", "B=from here", "C="]


READER = """
    #include <stdio.h>
    int main(int argc, char **argv) {
        char text[100] = "";
        FILE *file = fopen(argv[1], "r");
        if (file == NULL) return 2;
        fgets(text, sizeof text, file);
        fputs(text, stdout);
        return (file = fopen(argv[2], "w")) == NULL || fputs("written", file) < 0 || fclose(file) ? 3 : 0;
    }
"""


@pytest.mark.parametrize(
    ("option", "mount", "guest", "status"),
    [
        ("--dir", "{}::/data", "/data", 0),
        ("--dir", "{}", "{}", 0),
        ("--ro-dir", "{}::/data", "/data", 3),
        ("--ro-dir", "{}", "{}", 3),
        ("--dir", "{}::/data", "/other", 2),
    ],
)
def test_directories_are_mounted(
    engine: Engine, compile_c: Any, tmp_path: Path, option: str, mount: str, guest: str, status: int
) -> None:
    (tmp_path / "in.txt").write_text("text")
    guest = guest.format(tmp_path)
    program = compile_c(READER)
    done = cli(
        "run", "--engine", engine.name, option, mount.format(tmp_path), program, f"{guest}/in.txt", f"{guest}/out"
    )
    assert (done.returncode, done.stdout) == (status, "" if status == 2 else "text")
    assert (tmp_path / "out").exists() == (status == 0)


WRITER = """
    #include <stdio.h>
    #include <stdlib.h>
    int main(int argc, char **argv) {
        FILE *file = fopen("/tmp/file", "w+");
        char text[6] = "";
        if (file == NULL) return 2;
        for (int i = atoi(argv[1]); i > 0; i--) fputs("hello", file);
        if (fflush(file) != 0) return 3;
        rewind(file);
        return fread(text, 1, 5, file) == 5 && puts(text) >= 0 ? 0 : 4;
    }
"""


@pytest.mark.parametrize(
    ("mount", "count", "status"), [("/tmp", 100_000, 0), ("/tmp::8K", 1000, 0), ("/tmp::4K", 1000, 3), ("/x", 1, 2)]
)
def test_a_directory_in_memory_is_mounted(engine: Engine, compile_c: Any, mount: str, count: int, status: int) -> None:
    done = cli("run", "--engine", engine.name, "--tmpfs", mount, compile_c(WRITER), str(count))
    assert (done.returncode, done.stdout) == (status, "" if status else "hello\n")


@pytest.mark.parametrize(
    ("mount", "message"), [("::1M", "the program's path is missing"), ("/tmp::big", "expected bytes, as in")]
)
def test_what_is_no_directory_in_memory_is_told(mount: str, message: str) -> None:
    done = cli("run", "--tmpfs", mount, "program.wasm")
    assert done.returncode == 2
    assert message in done.stderr


def test_the_current_directory_can_be_mounted(engine: Engine, compile_c: Any, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("text")
    done = cli("run", "--engine", engine.name, "--dir", ".", compile_c(READER), "in.txt", "out", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "text", "")


def test_a_program_comes_from_stdin(engine: Engine, wat: Any) -> None:
    done = cli("run", "--engine", engine.name, "-", input=wat(wasi_programs.WRITE), text=False)
    assert (done.stdout, done.returncode) == (b"out\n", 0)


def test_a_file_with_a_strange_name_is_run(engine: Engine, wat: Any, tmp_path: Path) -> None:
    path = tmp_path / "a (module) ü.wasm"
    path.write_bytes(wat(wasi_programs.WRITE))
    assert cli("run", "--engine", engine.name, path).stdout == "out\n"


def test_python_m_is_not_needed(file: Any) -> None:
    script = Path(sys.executable).with_name("anywasm")
    if not script.exists():
        pytest.skip("the script is not beside the interpreter")
    done = subprocess.run([script, "run", file("WRITE")], capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("out\n", 0)


# --- run: limits and failures ---------------------------------------------------------------------------------------


def test_a_trap_is_told_with_the_functions_that_ran(run: Any) -> None:
    done = run("TRAP")
    assert done.returncode == 134
    first, *frames = done.stderr.splitlines()
    assert re.fullmatch(r"anywasm: error: .*/trap\.wasm: trap: .*unreachable.*", first)
    assert any(re.match(r"  in main ", frame) for frame in frames)
    assert "Traceback" not in done.stderr


def test_output_comes_before_the_trap(run: Any) -> None:
    done = run("WRITE_AND_TRAP", stderr=subprocess.STDOUT, capture_output=False, stdout=subprocess.PIPE)
    assert done.stdout.startswith("out\nerr\nanywasm: error:")


def test_output_is_limited(run: Any) -> None:
    done = run("--max-output", "1K", "FLOOD")
    assert (done.returncode, done.stdout) == (124, "\0" * 1024)
    assert "wrote more than max_output allows" in done.stderr
    done = run("--max-output", "6", "--truncate", "WRITE")
    assert (done.returncode, done.stdout, done.stderr) == (0, "out\n", "er")


def test_truncating_needs_a_limit_of_output(run: Any) -> None:
    done = run("--truncate", "WRITE")
    assert (done.returncode, done.stderr) == (2, "anywasm: error: --truncate needs --max-output\n")


def test_the_stack_and_tables_are_limited(engine: Engine, wat: Any, tmp_path: Path) -> None:
    path = tmp_path / "deep.wasm"
    path.write_bytes(wat('(module (table 50 funcref) (func $main (export "_start") (call $main)))'))
    done = cli("run", "--engine", engine.name, "--stack", "64K", path)
    assert (done.returncode, "trap: call stack exhausted" in done.stderr) == (134, True)
    done = cli("run", "--engine", engine.name, "--table-elements", "49", path)
    assert (done.returncode, "50 elements exceeds" in done.stderr) == (124, True)


@pytest.mark.requires("interrupt")
def test_a_timeout_is_told(run: Any) -> None:
    done = run("--timeout", "0.1", "FOREVER")
    assert done.returncode == 124
    assert re.match(r"anywasm: error: .*forever\.wasm: ", done.stderr)
    assert done.stderr.count("\n") == 1


@pytest.mark.requires("fuel")
def test_fuel_is_limited(run: Any) -> None:
    done = run("--fuel", "1000", "FOREVER")
    assert (done.returncode, "fuel" in done.stderr) == (124, True)


def test_memory_is_limited(run: Any) -> None:
    assert run("--memory", "640K", "GROW").returncode == 10


def test_a_missing_file_is_told(engine: Engine, tmp_path: Path) -> None:
    done = cli("run", "--engine", engine.name, tmp_path / "nowhere.wasm")
    assert (done.returncode, done.stderr) == (
        1,
        f"anywasm: error: {tmp_path}/nowhere.wasm: No such file or directory\n",
    )


def test_a_directory_is_told(engine: Engine, tmp_path: Path) -> None:
    done = cli("run", "--engine", engine.name, tmp_path)
    assert (done.returncode, done.stderr) == (1, f"anywasm: error: {tmp_path}: Is a directory\n")


@pytest.mark.parametrize("content", [b"", b"\0asm", b"\0asm\1\0\0\0\1", b"\x7fELF" + bytes(60)], ids=repr)
def test_what_is_no_module_is_told(engine: Engine, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.wasm"
    path.write_bytes(content)
    done = cli("run", "--engine", engine.name, path)
    assert done.returncode == 1
    assert done.stderr.startswith(f"anywasm: error: {path}: ")
    assert "Traceback" not in done.stderr


def test_missing_imports_are_told(engine: Engine, wat: Any, tmp_path: Path) -> None:
    path = tmp_path / "needy.wasm"
    path.write_bytes(wat('(module (import "env" "f" (func)) (func (export "_start")))'))
    done = cli("run", "--engine", engine.name, path)
    assert done.returncode == 1
    assert done.stderr == f"anywasm: error: {path}: import env.f: func () -> () is missing\n"


def test_a_library_is_told(run: Any) -> None:
    done = run("LIBRARY")
    assert done.returncode == 1
    assert "exports no function _start; its functions: add" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "COMMAND"),
        (["nonsense"], "nonsense"),
        (["run"], "FILE"),
        (["run", "--engine", "nonsense", "x"], "nonsense"),
        (["run", "--timeout", "soon", "x"], "'soon': expected a positive number of seconds"),
        (["run", "--timeout", "-1", "x"], "expected"),
        (["run", "--timeout", "nan", "x"], "'nan': expected a positive number of seconds"),
        (["run", "--memory", "much", "x"], "'much': expected bytes"),
        (["run", "--fuel", "1.5", "x"], "'1.5': expected a number"),
        (["run", "--env", "=x", "x"], "'=x': the name is missing"),
        (["run", "--env", "NOT_SET_HERE", "x"], "NOT_SET_HERE is not set here"),
        (["run", "--dir", "::x", "x"], "'::x': the host's directory is missing"),
        (["compile", "x.wasm", "-o", "x.so"], "x.so"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_command_line_ends_with_status_2(arguments: list[str], message: str) -> None:
    done = cli(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert "Traceback" not in done.stderr


# --- run --invoke ---------------------------------------------------------------------------------------------------

FUNCTIONS = """(module
  (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
  (func (export "wide") (param i64) (result i64) (local.get 0))
  (func (export "halves") (param f32 f64) (result f32 f64) (local.get 0) (local.get 1))
  (func (export "nothing"))
  (func (export "ref") (param externref) (result i32) (ref.is_null (local.get 0)))
  (func (export "trap") unreachable)
  (global (export "g") i32 (i32.const 1)))"""


@pytest.fixture
def invoke(engine: Engine, wat: Any, tmp_path: Path) -> Callable[..., Done]:
    path = tmp_path / "functions.wasm"
    path.write_bytes(wat(FUNCTIONS))
    return lambda name, *arguments: cli("run", "--engine", engine.name, "--invoke", name, path, *arguments)


@pytest.mark.parametrize(
    ("call", "output"),
    [
        ("add 1 2", "3\n"),
        ("add -1 0x10", "15\n"),
        ("add 4294967295 0", "-1\n"),
        ("add 007 0b11", "10\n"),
        ("wide -9223372036854775808", "-9223372036854775808\n"),
        ("halves 0.5 1e300", "0.5\n1e+300\n"),
        ("halves inf nan", "inf\nnan\n"),
        ("halves -0x1p-1 3", "-0.5\n3.0\n"),
        ("nothing", ""),
        ("ref null", "1\n"),
    ],
)
def test_a_function_is_called(invoke: Any, call: str, output: str) -> None:
    done = invoke(*call.split())
    assert (done.stdout, done.stderr, done.returncode) == (output, "", 0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("add 1", "add: (i32, i32) -> i32: takes 2 arguments, 1 given"),
        ("add 1 2 3", "takes 2 arguments, 3 given"),
        ("add 1 x", "add: argument 2 (i32): expected an integer, as in 42, -1 or 0x2a, got 'x'"),
        ("add 1.5 2", "add: argument 1 (i32): expected an integer"),
        ("add 4294967296 2", "add: argument 1 (i32): 4294967296 does not fit"),
        ("add -2147483649 2", "add: argument 1 (i32): -2147483649 does not fit"),
        ("halves 1 x", "halves: argument 2 (f64): expected a number"),
        ("halves 1e39 1", "halves: argument 1 (f32): 1e39 does not fit"),
        ("ref 5", "ref: argument 1 (externref): only null can be given"),
    ],
)
def test_a_wrong_argument_ends_with_status_2(invoke: Any, call: str, message: str) -> None:
    done = invoke(*call.split())
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", ["nonsense", "g"])
def test_a_function_that_is_not_there_is_told(invoke: Any, name: str) -> None:
    done = invoke(name)
    assert done.returncode == 1
    assert f"it exports no function {name}; its functions: add, wide," in done.stderr


def test_a_trap_of_an_invoked_function_is_told(invoke: Any) -> None:
    assert invoke("trap").returncode == 134


def test_an_invoked_function_may_end_the_program(engine: Engine, file: Any) -> None:
    assert cli("run", "--engine", engine.name, "--invoke", "_start", file("EXIT_3")).returncode == 3


# --- signals and pipes ----------------------------------------------------------------------------------------------


def start(engine: Engine, *arguments: object, **options: Any) -> subprocess.Popen[bytes]:
    return subprocess.Popen([*ANYWASM, "run", "--engine", engine.name, *map(str, arguments)], **options)


WRITE_AND_LOOP = wasi_programs.WRITE.replace(f") {wasi_programs.DATA})", f"(loop (br 0))) {wasi_programs.DATA})")


@pytest.mark.parametrize("options", [[], ["--timeout", "60"]], ids=["plain", "with a timeout"])
def test_ctrl_c_ends_a_program_as_a_signal_does(engine: Engine, wat: Any, tmp_path: Path, options: list[str]) -> None:
    if options and "interrupt" not in Engine(engine.name).capabilities | CAN[engine.name]:
        pytest.skip("the engine cannot be stopped, so it takes no timeout")
    path = tmp_path / "loop.wasm"
    path.write_bytes(wat(WRITE_AND_LOOP))
    leader, follower = pty.openpty()
    process = start(engine, *options, path, stdin=follower, stdout=follower, stderr=follower, preexec_fn=own_terminal)
    os.close(follower)
    output = read_until(leader, b"err")
    os.write(leader, b"\x03")
    assert process.wait(timeout=20) == -signal.SIGINT
    output += read_all(leader)
    assert b"Traceback" not in output


CAN = {info.name: info.capabilities for info in anywasm.engines()}


def own_terminal() -> None:
    """In the child: a session of its own, with stdin as its terminal, so that Ctrl-C reaches it."""
    import fcntl
    import termios

    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def read_until(descriptor: int, wanted: bytes) -> bytes:
    data = b""
    deadline = time.monotonic() + 60
    while wanted not in data:
        assert time.monotonic() < deadline, data
        if select.select([descriptor], [], [], 1)[0]:
            data += os.read(descriptor, 1000)
    return data


def read_all(descriptor: int) -> bytes:
    data = b""
    while True:
        try:
            part = os.read(descriptor, 65536)
        except OSError:  # EIO: nobody has the other end
            part = b""
        if not part:
            os.close(descriptor)
            return data
        data += part


def with_closed_reader(*command: object) -> Done:
    """Run a command whose stdout is a pipe that nobody reads."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        return subprocess.run(
            [*ANYWASM, *map(str, command)], stdout=writer, stderr=subprocess.PIPE, text=True, check=False
        )
    finally:
        os.close(writer)


def test_a_reader_that_went_away_ends_inspect_quietly(file: Any) -> None:
    done = with_closed_reader("inspect", file("WRITE"))
    assert (done.returncode, done.stderr) == (-signal.SIGPIPE, "")


def test_a_reader_that_went_away_ends_engines_quietly() -> None:
    done = with_closed_reader("engines", "--json")
    assert (done.returncode, done.stderr) == (-signal.SIGPIPE, "")


def test_a_program_learns_that_its_reader_went_away(engine: Engine, file: Any) -> None:
    done = with_closed_reader("run", "--engine", engine.name, file("WRITE"))
    assert (done.returncode, done.stderr) == (64, "")  # EPIPE, which the program exits with


def shell(script: str) -> Done:
    return subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)


def test_output_that_cannot_be_written_is_told(file: Any) -> None:
    done = shell(f"{' '.join(ANYWASM)} inspect {file('WRITE')} >/dev/full")
    assert (done.returncode, done.stderr) == (1, "anywasm: error: No space left on device\n")


@pytest.mark.parametrize("closed", [">&-", "<&-", "2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize("command", ["inspect", "run"])
def test_closed_streams_do_no_harm(file: Any, closed: str, command: str) -> None:
    done = shell(f"{' '.join(ANYWASM)} {command} {file('WRITE')} {closed}")
    assert done.returncode == 0
    assert "Traceback" not in done.stderr


def test_text_that_the_encoding_lacks_is_spelt_out(tmp_path: Path) -> None:
    done = cli("inspect", tmp_path / "ü.wasm", env=os.environ | {"PYTHONIOENCODING": "ascii"})
    assert done.stderr.endswith("/\\xfc.wasm: No such file or directory\n")


def test_a_shell_sees_the_statuses_that_it_knows(file: Any) -> None:
    command = " ".join(ANYWASM)
    script = f"{command} inspect {file('WRITE')} | true; {command} run {file('TRAP')}; echo $?"
    assert shell(script).stdout == "134\n"


# --- inspect --------------------------------------------------------------------------------------------------------

MANY = """(module $many
  (import "env" "log" (func (param i32 i64)))
  (import "env" "limit" (global i64))
  (memory (export "memory") 1 4)
  (table (export "table") 2 funcref)
  (global (export "count") (mut i32) (i32.const 0))
  (func (export "pair") (result f32 f64) (f32.const 0) (f64.const 0)))"""


@pytest.fixture
def many(wat: Any, tmp_path: Path) -> Path:
    path = tmp_path / "many.wasm"
    extra = b"extra"
    section = bytes([len(extra)]) + extra + b"some data"
    path.write_bytes(wat(MANY) + b"\0" + bytes([len(section)]) + section)
    return path


def test_inspect_shows_what_is_there(engine: Engine, many: Path) -> None:
    done = cli("inspect", "--engine", engine.name, many)
    assert (done.stderr, done.returncode) == ("", 0)
    text, sections = done.stdout.split("\nsections\n")
    assert (
        text
        == f"""{many}: {many.stat().st_size} bytes, named many

imports
  module  name   type
  env     log    func (i32, i64) -> ()
  env     limit  immutable global of i64

exports
  name    type
  memory  memory of 1 to 4 pages
  table   table of at least 2 funcref
  count   mutable global of i32
  pair    func () -> (f32, f64)
"""
    )
    assert re.search(r"^  code +0x[0-9a-f]+ +\d+$", sections, re.MULTILINE)
    assert re.search(r"^  extra +custom +0x[0-9a-f]+ +\d+$", sections, re.MULTILINE)


def test_inspect_has_it_as_json(engine: Engine, many: Path) -> None:
    done = cli("inspect", "--engine", engine.name, "--json", many)
    found = json.loads(done.stdout)
    assert {name: found[name] for name in ("file", "name", "bytes")} == {
        "file": str(many),
        "name": "many",
        "bytes": many.stat().st_size,
    }
    assert found["imports"] == [
        {
            "module": "env",
            "name": "log",
            "kind": "func",
            "type": "(i32, i64) -> ()",
            "parameters": ["i32", "i64"],
            "results": [],
        },
        {
            "module": "env",
            "name": "limit",
            "kind": "global",
            "type": "immutable global of i64",
            "value": "i64",
            "mutable": False,
        },
    ]
    assert found["exports"][0] == {
        "name": "memory",
        "kind": "memory",
        "type": "memory of 1 to 4 pages",
        "minimum": 1,
        "maximum": 4,
        "shared": False,
        "index": "i32",
    }
    assert [each["name"] for each in found["exports"]] == ["memory", "table", "count", "pair"]
    extra = next(each for each in found["sections"] if each["name"] == "extra")
    assert extra["custom"] is True
    assert [each["name"] for each in found["sections"] if not each["custom"]][:3] == ["type", "import", "function"]


def test_inspect_needs_no_choice_of_an_engine(many: Path) -> None:
    assert cli("inspect", many).returncode == 0


def test_inspect_of_an_invalid_module_says_what_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "bad.wasm"
    path.write_bytes(b"\0asm\1\0\0\0\1")
    done = cli("inspect", path)
    assert done.returncode == 1
    assert done.stderr.startswith(f"anywasm: error: {path}: ")


def test_inspect_of_the_smallest_module(wat: Any, tmp_path: Path) -> None:
    path = tmp_path / "empty.wasm"
    path.write_bytes(b"\0asm\1\0\0\0")
    assert cli("inspect", path).stdout == f"{path}: 8 bytes\n"


# --- validate, compile, wat2wasm, engines ---------------------------------------------------------------------------


def test_validate_is_silent_when_all_is_well(engine: Engine, file: Any) -> None:
    done = cli("validate", "--engine", engine.name, file("WRITE"), file("LIBRARY"))
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)


def test_validate_names_each_file_that_is_not(engine: Engine, file: Any, tmp_path: Path) -> None:
    bad, missing = tmp_path / "bad.wasm", tmp_path / "missing.wasm"
    bad.write_bytes(b"\0asm\1\0\0\0\1")
    done = cli("validate", "--engine", engine.name, bad, file("WRITE"), missing)
    assert (done.stdout, done.returncode) == ("", 1)
    first, second = done.stderr.splitlines()
    assert first.startswith(f"anywasm: error: {bad}: ")
    assert second == f"anywasm: error: {missing}: No such file or directory"


@pytest.mark.requires("serialize")
def test_a_compiled_module_runs(engine: Engine, file: Any) -> None:
    source = file("WRITE")
    done = cli("compile", "--engine", engine.name, source)
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)
    compiled = source.with_suffix(".cwasm")
    assert cli("run", "--engine", engine.name, compiled).stdout == "out\n"


@pytest.mark.requires("serialize", "interrupt")
def test_a_compiled_module_can_have_a_timeout(engine: Engine, file: Any, tmp_path: Path) -> None:
    out = tmp_path / "out.cwasm"
    assert cli("compile", "--engine", engine.name, "--interruptible", file("FOREVER"), "-o", out).returncode == 0
    assert cli("run", "--engine", engine.name, "--timeout", "0.1", out).returncode == 124


def test_compiling_where_the_engine_cannot_is_told(engine: Engine, file: Any) -> None:
    if "serialize" in engine.capabilities:
        pytest.skip("it can")
    done = cli("compile", "--engine", engine.name, file("WRITE"))
    assert done.returncode == 1
    assert "serialize" in done.stderr


def test_text_becomes_a_binary(tmp_path: Path, wat: Any) -> None:
    wat("(module)")  # skips where no engine reads text
    source, out = tmp_path / "add.wat", tmp_path / "out.wasm"
    source.write_text(wasi_programs.LIBRARY)
    assert cli("wat2wasm", source, "-o", out).returncode == 0
    assert anywasm.load(out).exports.add(1, 2) == 3
    assert cli("wat2wasm", source).returncode == 0
    assert source.with_suffix(".wasm").read_bytes() == out.read_bytes()
    done = cli("wat2wasm", "-", input=wasi_programs.LIBRARY.encode(), text=False)
    assert done.stdout == out.read_bytes()


def test_a_mistake_in_a_text_is_told_with_its_place(tmp_path: Path, wat: Any) -> None:
    wat("(module)")
    source = tmp_path / "bad.wat"
    source.write_text("(module\n  (func (nonsense)))")
    done = cli("wat2wasm", source)
    assert done.returncode == 1
    assert re.match(rf"anywasm: error: {source}: .*2:", done.stderr, re.DOTALL)


def test_engines_are_shown() -> None:
    done = cli("engines")
    assert (done.stderr, done.returncode) == ("", 0)
    heading, *rows = done.stdout.splitlines()
    here = [info for info in anywasm.engines() if info.available]
    assert heading.split() == ["capability", *(word for info in here for word in (info.name, str(info.version)))]
    marks = {row.split()[0]: row.split()[1:] for row in rows if len(row.split()) == len(here) + 1}
    assert marks["multi_value"] == ["yes" if "multi_value" in info.capabilities else "-" for info in here]


def test_engines_are_told_to_programs() -> None:
    found = json.loads(cli("engines", "--json").stdout)
    assert [(each["name"], each["version"], each["available"]) for each in found] == [
        (info.name, info.version, info.available) for info in anywasm.engines()
    ]
    assert found[0]["capabilities"] == sorted(found[0]["capabilities"])


def test_the_version_is_told() -> None:
    assert cli("--version").stdout == f"anywasm {anywasm.__version__}\n"


@pytest.mark.parametrize("command", [[], ["run"], ["inspect"], ["validate"], ["compile"], ["wat2wasm"], ["engines"]])
def test_help_is_there(command: list[str]) -> None:
    done = cli(*command, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: anywasm")


# --- terminals ------------------------------------------------------------------------------------------------------


def on_a_terminal(*arguments: object, **environment: str) -> str:
    """What a command writes to a real terminal of 100 columns."""
    import fcntl
    import struct
    import termios

    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
    plain = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR", "COLUMNS")}
    process = subprocess.Popen(
        [*ANYWASM, *map(str, arguments)],
        stdin=follower,
        stdout=follower,
        stderr=follower,
        env=plain | {"TERM": "xterm-256color"} | environment,
    )
    os.close(follower)
    output = read_all(leader).decode()
    assert process.wait(timeout=60) == 0, output
    return output


def test_tables_have_colour_on_a_terminal(many: Path) -> None:
    output = on_a_terminal("inspect", many)
    assert "\x1b[" in output
    assert "(i32, i64) -> ()" in output
    assert "Traceback" not in output


def test_tables_have_no_colour_where_it_is_not_wanted(many: Path) -> None:
    output = on_a_terminal("inspect", many, NO_COLOR="1")
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]", output)
    assert "(i32, i64) -> ()" in output


def test_markup_in_names_is_text(wat: Any, tmp_path: Path) -> None:
    path = tmp_path / "markup.wasm"
    path.write_bytes(wat('(module (func (export "[red]name[/red]")))'))
    assert "[red]name[/red]" in on_a_terminal("inspect", path)


@pytest.mark.parametrize("terminal", [False, True], ids=["plain", "terminal"])
def test_control_characters_in_names_do_nothing(wat: Any, tmp_path: Path, terminal: bool) -> None:
    path = tmp_path / "evil.wasm"
    path.write_bytes(wat('(module (func (export "a\\1b]0;title\\07b\\0ac")))'))
    output = on_a_terminal("inspect", path) if terminal else cli("inspect", path).stdout
    assert "\x1b]0" not in output
    assert "\x07" not in output
    assert r"a\x1b]0;title\x07b\nc" in output


def test_engines_are_shown_on_a_terminal() -> None:
    output = on_a_terminal("engines")
    assert "multi_value" in output
    assert "yes" in output

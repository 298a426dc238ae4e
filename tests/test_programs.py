# SPDX-License-Identifier: Apache-2.0
"""Real programs: our own in C and Go, and ones that nobody here wrote."""

import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import anywasm

Compile = Callable[..., Path]

GOJQ = "github.com/itchyny/gojq/cmd/gojq@v0.12.17"


@pytest.fixture(scope="session")
def gojq(build_go: Callable[[str | Path], Path]) -> Path:
    return build_go(GOJQ)


# --- Go -----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "program", "answer"),
    [
        ('{"a":[1,2,3]}', ".a|add", "6\n"),
        ("[3,1,2]", "-c sort", "[1,2,3]\n"),
        ('"ä\U0001f600"', "length", "2\n"),
        ("null", "-c [range(5)]|map(.*.)", "[0,1,4,9,16]\n"),
    ],
)
def test_gojq_answers(gojq: Path, compiled: Any, text: str, program: str, answer: str) -> None:
    done = anywasm.run(compiled(gojq), program.split(" ", 1), input=text.encode(), capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, answer.encode(), b"")


@pytest.mark.slow
def test_gojq_tells_a_mistake_by_its_status(gojq: Path, compiled: Any) -> None:
    done = anywasm.run(compiled(gojq), [".["], input=b"{}", capture_output=True)
    assert done.returncode == 3
    assert done.stdout == b""
    assert b"unexpected" in done.stderr


@pytest.fixture(scope="session")
def compiled(engine: anywasm.Engine) -> Callable[[Path], anywasm.Module]:
    """Compiles a file once for all tests: gojq takes Wasmtime ten seconds."""
    modules: dict[Path, anywasm.Module] = {}

    def module(path: Path) -> anywasm.Module:
        if path not in modules:
            modules[path] = anywasm.Module(path, engine)
        return modules[path]

    return module


@pytest.mark.slow
def test_a_go_program_sees_its_world(
    compiled: Any, build_go: Callable[[str | Path], Path], programs: Path, tmp_path: Path
) -> None:
    (tmp_path / "in.txt").write_text("one\ntwo\nthree\n")
    done = anywasm.run(
        compiled(build_go(programs / "world")),
        ["a", "b c"],
        env={"GREETING": "hello"},
        mounts={"/data": anywasm.wasi.Directory(tmp_path)},
        input=b"from stdin",
        capture_output=True,
    )
    assert done.stderr == b""
    assert done.stdout.decode().splitlines() == [
        "args: [a b c]",
        "GREETING=hello",
        "stdin: from stdin",
        "lines: 3",
        "listing: [in.txt out.txt sub]",
        "goroutines: 5050",
        "slept: true",
    ]
    assert (tmp_path / "out.txt").read_text() == "ONE\nTWO\nTHREE\n"
    assert (tmp_path / "sub").is_dir()
    assert done.returncode == 4


# --- C ------------------------------------------------------------------------------------------------------------


def test_a_c_program_prints_and_reads(compiled: Any, compile_c: Compile, programs: Path) -> None:
    done = anywasm.run(
        compiled(compile_c(programs / "stdio.c")),
        ["x", "yz"],
        input=b"3\n4.5\nword\n",
        env={"A": "1"},
        capture_output=True,
    )
    assert done.stdout.decode().splitlines() == [
        "argc 3",
        "argv[1] x",
        "argv[2] yz",
        "A=1",
        "B is not set",
        "read 3 4.500 word",
        "then the end",
        "-1 4294967295 ff 1e+10 0.1",
    ]
    assert done.stderr == b"to the error stream\n"
    assert done.returncode == 42


def test_a_c_program_works_on_files_and_directories(
    compiled: Any, compile_c: Compile, programs: Path, tmp_path: Path
) -> None:
    (tmp_path / "old.txt").write_text("old text")
    done = anywasm.run(
        compiled(compile_c(programs / "files.c")),
        mounts={"/files": anywasm.wasi.Directory(tmp_path)},
        capture_output=True,
    )
    assert done.stderr == b""
    assert done.stdout.decode().splitlines() == [
        "read: old text",
        "size 11, regular",
        "seek: text",
        "appended: new text, more",
        "renamed",
        "dir entries: . .. inner moved.txt old.txt",
        "inner is a directory",
        "unlinked",
        "missing: 44",
        "outside: failed",
    ]
    assert done.returncode == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["inner", "old.txt"]


def test_a_c_program_cannot_write_into_a_read_only_mount(
    compiled: Any, compile_c: Compile, programs: Path, tmp_path: Path
) -> None:
    (tmp_path / "old.txt").write_text("old text")
    mounts = {"/files": anywasm.wasi.Directory(tmp_path, readonly=True)}
    done = anywasm.run(compiled(compile_c(programs / "files.c")), mounts=mounts, capture_output=True)
    assert done.returncode != 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["old.txt"]
    assert (tmp_path / "old.txt").read_text() == "old text"


def test_a_c_program_tells_the_time_and_sleeps(compiled: Any, compile_c: Compile, programs: Path) -> None:
    before = int(time.time())
    done = anywasm.run(compiled(compile_c(programs / "clocks.c")), capture_output=True)
    assert done.stderr == b""
    now, *rest = done.stdout.decode().splitlines()
    assert before <= int(now) <= time.time()
    assert rest == ["monotonic goes on", "slept at least 20 ms", "resolution is sane", "random bytes differ"]


def test_a_crash_of_a_c_program_is_a_trap_with_its_functions(compiled: Any, compile_c: Compile) -> None:
    source = """
        #include <stdlib.h>
        __attribute__((noinline)) static int divide(int a, int b) { return a / b; }
        int main(int argc, char **argv) { return divide(argc, argc > 1 ? atoi(argv[1]) : 0); }
    """
    path = compile_c(source, "-g")
    with pytest.raises(anywasm.Trap, match="integer divide by zero") as caught:
        anywasm.run(compiled(path), capture_output=True)
    assert any(frame.function_name and "main" in frame.function_name for frame in caught.value.frames)


def test_a_c_library_is_called_with_strings(compiled: Any, compile_c: Compile, programs: Path) -> None:
    path = compile_c(programs / "text.c", "-mexec-model=reactor", "-Wl,--export=malloc", "-Wl,--export=free")
    exports = anywasm.load(compiled(path)).exports
    text = "Straße, ab und zu".encode()
    address = exports.malloc(len(text) + 1)
    exports.memory.write(address, text + b"\0")
    assert exports.count(address, ord("a")) == 2
    exports.upper(address)
    assert exports.memory.read_cstring(address, encoding=None) == text.upper()
    exports.free(address)


# --- the command line ----------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_gojq_runs_from_the_command_line(engine: anywasm.Engine, gojq: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "anywasm", "run", "--engine", engine.name, gojq, ".a|add"],
        input=b'{"a":[1,2,3]}',
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, b"6\n"), done.stderr
    assert not re.search(rb"\S", done.stderr)

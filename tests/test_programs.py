# SPDX-License-Identifier: Apache-2.0
"""Real programs: our own in C and Go, and ones that nobody here wrote."""

import importlib
import importlib.util
import re
import shutil
import sqlite3
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import anywasm
import toolchain

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
        mounts={"/data": anywasm.Mount(tmp_path, writable=True)},
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
        mounts={"/files": anywasm.Mount(tmp_path, writable=True)},
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
    done = anywasm.run(compiled(compile_c(programs / "files.c")), mounts={"/files": tmp_path}, capture_output=True)
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


# --- libraries that users know ---------------------------------------------------------------------------------------


def example(name: str) -> Any:
    """A module of examples/, with the tools that it builds its library by."""
    if shutil.which("cargo") is None:
        pytest.skip("cargo is not here: https://rustup.rs")
    if importlib.util.find_spec("ziglang") is None:
        pytest.skip("the C compiler for WebAssembly is not here: pip install ziglang")
    folder = str(Path(__file__).parents[1] / "examples")
    sys.path.insert(0, folder)
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(folder)


@pytest.mark.slow
def test_zlib_gives_what_pythons_zlib_gives(compiled: Any) -> None:
    zlib_in_wasm = example("zlib_in_wasm")
    library = zlib_in_wasm.Zlib(compiled(zlib_in_wasm.build(toolchain.cache_dir() / "examples")))
    data = b"".join(b"line %d of some text that repeats itself\n" % (number % 97) for number in range(20_000))
    for level in (1, 6, 9):
        packed = library.compress(data, level)
        assert zlib.decompress(packed) == data
    assert library.decompress(zlib.compress(data, 9), len(data)) == data
    assert library.crc32(data) == zlib.crc32(data)
    assert library.adler32(data) == zlib.adler32(data)
    with pytest.raises(ValueError, match="zlib answered -3"):
        library.decompress(b"x" * 100, len(data))


@pytest.mark.slow
def test_sqlite_answers_as_pythons_sqlite3(compiled: Any) -> None:
    sqlite_in_wasm = example("sqlite_in_wasm")
    ours = sqlite_in_wasm.Connection(compiled(sqlite_in_wasm.build(toolchain.cache_dir() / "examples")))
    theirs = sqlite3.connect(":memory:")
    script = [
        "create table t (id integer primary key, name text, size real)",
        *(f"insert into t (name, size) values ('name {n * n % 31}', {n} / 7.0)" for n in range(200)),
        "create index by_name on t (name)",
        "update t set size = size * 2 where id % 3 = 0",
        "delete from t where name like '%1%'",
    ]
    for statement in script:
        ours.execute(statement)
        theirs.execute(statement)
    queries = [
        "select count(*), round(sum(size), 6), min(name), max(id) from t",
        "select name, count(*), round(avg(size), 6) from t group by name order by name",
        "select a.id, b.id from t a join t b on a.name = b.name and a.id < b.id order by 1, 2 limit 20",
        "with recursive f(a, b) as (select 0, 1 union all select b, a + b from f where b < 1000) select sum(a) from f",
        "select upper('straße'), length('ä\U0001f600'), 1 = 1.0, null is null, typeof(x'00ff'), x'00ff'",
    ]
    for query in queries:
        assert ours.execute(query) == theirs.execute(query).fetchall()
    with pytest.raises(sqlite_in_wasm.Error, match="no such table: missing"):
        ours.execute("select * from missing")
    theirs.close()


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

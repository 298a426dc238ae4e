# SPDX-License-Identifier: Apache-2.0
"""C programs say the same natively and as WASI programs, on every engine, on the host's disk and in memory."""

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import anywasm

Compile = Callable[..., Path]


@pytest.fixture
def programs() -> Path:
    return Path(__file__).parent / "programs"


@pytest.mark.parametrize("place", ["disk", "memory"])
def test_files_directories_and_links(
    engine: anywasm.Engine, compile_c: Compile, compile_native: Compile, programs: Path, tmp_path: Path, place: str
) -> None:
    source = programs / "posix_files.c"
    (tmp_path / "native").mkdir()
    (tmp_path / "wasi").mkdir()
    native = compile_native(source, "posix_files", "-D_GNU_SOURCE", "-w")
    expected = subprocess.run([native], cwd=tmp_path / "native", capture_output=True, text=True, check=False)
    mount: Any = tmp_path / "wasi" if place == "disk" else anywasm.wasi.Memory()
    program = anywasm.Module(compile_c(source, "-w"), engine)
    done = anywasm.run(program, mounts={"/": mount}, capture_output=True, text=True)
    assert done.stdout == expected.stdout
    assert (done.stderr, done.returncode) == (expected.stderr, expected.returncode) == ("", 7)
    if place == "disk":
        assert sorted(path.name for path in (tmp_path / "wasi").rglob("*")) == sorted(
            path.name for path in (tmp_path / "native").rglob("*")
        )


def test_arguments_clocks_and_streams(
    engine: anywasm.Engine, compile_c: Compile, compile_native: Compile, programs: Path
) -> None:
    source = programs / "posix_world.c"
    given: dict[str, Any] = {
        "env": {"GREETING": "grüße", "TZ": "UTC"},
        "input": "42 word\nand a line\n\nlast",
        "capture_output": True,
        "text": True,
    }
    native = compile_native(source, "posix_world", "-D_GNU_SOURCE", "-w")
    expected = subprocess.run([os.fspath(native), "one", "zwei ü"], check=False, **given)
    done = anywasm.run(anywasm.Module(compile_c(source, "-w"), engine), ["one", "zwei ü"], **given)
    assert done.stdout == expected.stdout
    assert (done.stderr, done.returncode) == (expected.stderr, expected.returncode) == ("to stderr\n", 3)


# What is printed natively, and as a WASI program, where WASI's definition says so.
DIFFERENCES = {
    "openat above a directory 0": "openat above a directory -1",  # a directory is a capability for what is in it
}


@pytest.mark.parametrize("name", ["posix_stdio", "posix_tree"])
@pytest.mark.parametrize("place", ["disk", "memory"])
def test_what_stdio_and_trees_of_directories_make(
    engine: anywasm.Engine,
    compile_c: Compile,
    compile_native: Compile,
    programs: Path,
    tmp_path: Path,
    name: str,
    place: str,
) -> None:
    source = programs / f"{name}.c"
    (tmp_path / "native").mkdir()
    (tmp_path / "wasi").mkdir()
    native = compile_native(source, name, "-D_GNU_SOURCE", "-w")
    expected = subprocess.run([native], cwd=tmp_path / "native", capture_output=True, text=True, check=False)
    assert expected.returncode == 0
    mount: Any = tmp_path / "wasi" if place == "disk" else anywasm.wasi.Memory()
    program = anywasm.Module(compile_c(source, "-D_GNU_SOURCE", "-w"), engine)
    done = anywasm.run(program, mounts={"/": mount}, capture_output=True, text=True)
    lines = [DIFFERENCES.get(line, line) for line in expected.stdout.splitlines()]
    assert done.stdout.splitlines() == lines
    assert (done.stderr, done.returncode) == (expected.stderr, expected.returncode)


# What ends a program, with its status natively and as a WASI program: there a status has 32 bits, and abort() is a
# trap, for there are no signals.
ENDS: dict[str, tuple[str, int, int | None]] = {
    "returns": ("return 41;", 41, 41),
    "exits": ("exit(255);", 255, 255),
    "exits at once": ('printf("not flushed"); _Exit(9);', 9, 9),
    "exits beyond a byte": ("exit(300);", 44, 300),
    "exits below zero": ("exit(-1);", 255, 2**32 - 1),
    "aborts": ("abort();", -signal.SIGABRT, None),
}


@pytest.mark.parametrize("name", ENDS)
def test_how_programs_end(
    engine: anywasm.Engine, compile_c: Compile, compile_native: Compile, tmp_path: Path, name: str
) -> None:
    body, natively, in_wasi = ENDS[name]
    source = tmp_path / "end.c"
    source.write_text(
        f'#include <stdio.h>\n#include <stdlib.h>\nint main(void) {{ puts("begun"); fflush(stdout); {body} }}\n'
    )
    native = subprocess.run(
        [compile_native(source, "end", "-w")], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert (native.stdout, native.returncode) == ("begun\n", natively)
    lines: list[str] = []
    program = anywasm.Module(compile_c(source, "-w"), engine)
    if in_wasi is None:
        with pytest.raises(anywasm.Trap, match="unreachable"):
            anywasm.run(program, stdout=lines.append)
    else:
        assert anywasm.run(program, stdout=lines.append).returncode == in_wasi
    assert lines == ["begun"]

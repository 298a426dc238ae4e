# SPDX-License-Identifier: Apache-2.0
"""C programs say the same natively and as WASI programs, on every engine, on the host's disk and in memory."""

import os
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

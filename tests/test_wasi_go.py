# SPDX-License-Identifier: Apache-2.0
"""WASI as Go programs use it."""

from collections.abc import Callable
from pathlib import Path

import pytest

import anywasm


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """501 entries, one of them a directory with a file in it."""
    for number in range(500):
        (tmp_path / f"{number}").touch()
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "inner").touch()
    return tmp_path


@pytest.mark.slow
def test_go_programs_work_with_files(
    engine: anywasm.Engine, build_go: Callable[[str | Path], Path], programs: Path, work: Path
) -> None:
    done = anywasm.run(
        build_go(programs / "gofiles"),
        env={"PWD": "/files"},
        mounts={"/files": anywasm.wasi.Directory(work), "/read-only": anywasm.wasi.Directory(work, readonly=True)},
        engine=engine,
        capture_output=True,
        text=True,
    )
    assert (done.stderr, done.returncode) == ("", 0)
    assert done.stdout == "cwd: /files\nin time\n"
    assert not list(work.glob("1*"))
    assert not (work / "a").exists()

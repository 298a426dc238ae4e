# SPDX-License-Identifier: Apache-2.0
"""Memory that runs out at any place of a conversion or a call is a MemoryError, and the library goes on working."""

import json
import os
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest

import anywasm

HERE = Path(__file__).parent
COUNTING = HERE.parent / "counting"


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="without memory CPython itself crashes, over frames of its own")
def test_each_allocation_may_fail(
    engine: anywasm.Engine, library_file: Path, compile_native: Callable[..., Path], tmp_path: Path
) -> None:
    from anywasm.clib._prepare import prepare

    include = sysconfig.get_path("include")
    if not Path(include, "Python.h").exists():
        pytest.skip("Python's headers are not here")
    counter = compile_native(COUNTING / "allocations.c", "allocations.so", "-shared", "-fPIC", f"-I{include}")
    prepared = tmp_path / "library.wasm"
    prepared.write_bytes(prepare(library_file.read_bytes()))
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", HERE / "library_no_memory.py", engine.name, prepared],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(counter.parent), str(COUNTING)])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    allocations = dict(map(json.loads, done.stdout.splitlines()))
    assert allocations["structs"] > 10
    assert allocations["linked memory"] > 10

# SPDX-License-Identifier: Apache-2.0
"""Memory that runs out at any place is a MemoryError, and what was there before goes on working."""

import json
import os
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest

import anywasm

COUNTING = Path(__file__).parent / "counting"

GUEST = """
(module $guest
  (import "host" "f" (func $f (param i32) (result i32)))
  (import "host" "raise" (func $raise (param i32) (result i32)))
  (import "host" "pass" (func $pass (param i32) (result i32)))
  (memory (export "memory") 1 4)
  (table (export "table") 2 100000 funcref)
  (global (export "count") (mut i64) (i64.const 5))
  (func $add (export "add") (param i32 i32) (result i32) local.get 0 local.get 1 i32.add)
  (func (export "pair") (param i32) (result i64 f64) (i64.const 1099511627776) (f64.const 2.5))
  (func (export "same") (param externref) (result externref) local.get 0)
  (func (export "function") (param funcref) (result funcref) local.get 0)
  (func (export "call_f") (param i32) (result i32) (call $f (local.get 0)))
  (func (export "call_raise") (param i32) (result i32) (call $raise (local.get 0)))
  (func (export "call_pass") (param i32) (result i32) (call $pass (local.get 0)))
  (func $inner unreachable)
  (func (export "trap") call $inner)
  (elem (i32.const 0) $add))
"""
GC = """
(module
  (type $box (struct (field i32)))
  (func (export "make") (param i32) (result (ref null $box)) (struct.new $box (local.get 0)))
  (func (export "get") (param (ref null $box)) (result i32) (struct.get $box 0 (local.get 0))))
"""
THROWS = """
(module (tag $t (export "t") (param i32)) (func (export "f") (param i32) (throw $t (local.get 0))))
"""
HELLO = Path(__file__).parent.parent / "examples" / "hello.wasm"


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="without memory CPython itself crashes, over frames of its own")
def test_each_allocation_may_fail(
    engine: anywasm.Engine, wat: Callable[[str], bytes], compile_native: Callable[..., Path], tmp_path: Path
) -> None:
    include = sysconfig.get_path("include")
    if not Path(include, "Python.h").exists():
        pytest.skip("Python's headers are not here")
    counter = compile_native(COUNTING / "allocations.c", "allocations.so", "-shared", "-fPIC", f"-I{include}")
    (tmp_path / "guest.wasm").write_bytes(wat(GUEST))
    for name in ("hello.wasm", "upper.wasm"):
        (tmp_path / name).write_bytes(HELLO.with_name(name).read_bytes())
    if "gc" in engine.capabilities:
        (tmp_path / "gc.wasm").write_bytes(wat(GC))
        (tmp_path / "throws.wasm").write_bytes(wat(THROWS))
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", COUNTING / "no_memory.py", engine.name, tmp_path],
        env={**os.environ, "PYTHONPATH": str(counter.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    allocations = dict(map(json.loads, done.stdout.splitlines()))
    assert allocations["instance"] > 10
    assert allocations["program"] > 10
    assert allocations["files of Python's"] > allocations["files in memory"] > 10

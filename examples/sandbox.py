# SPDX-License-Identifier: Apache-2.0
"""Plugins of strangers: each in a store of its own with a limit of memory, calling only what it was given.

A plugin exports `run`. It may call `log`, and may set the keys of a dictionary that the host keeps for it.
"""

from collections.abc import Callable
from typing import Any

import anywasm

HEAD = """
  (import "host" "log" (func $log (param i32 i32)))
  (import "host" "set" (func $set (param i32 i64)))
  (memory (export "memory") 1)
"""
PLUGINS = {
    "good": '(data (i32.const 0) "working") (func (export "run")'
    " (call $log (i32.const 0) (i32.const 7)) (call $set (i32.const 1) (i64.const 42)))",
    "careless": '(func (export "run") (call $set (i32.const 2) (i64.div_s (i64.const 1) (i64.const 0))))',
    "greedy": '(func (export "run")'
    " (if (i32.eq (memory.grow (i32.const 1000)) (i32.const -1)) (then (call $set (i32.const 3) (i64.const -1)))))",
    "nosy": '(func (export "run") (call $log (i32.const 60000) (i32.const 10000)))',
    "pushy": '(func (export "run") (call $set (i32.const 99) (i64.const 1)))',
    "endless": '(func $run (export "run") (call $run))',
}


def host(state: dict[int, int]) -> dict[str, Callable[..., None]]:
    @anywasm.pass_caller
    def log(caller: anywasm.Caller, address: int, length: int) -> None:
        assert caller.memory is not None
        print("  log:", caller.memory.read(address, length).decode())

    def put(key: int, value: int) -> None:
        if key > 10:
            raise PermissionError(f"no key {key} for plugins")
        state[key] = value

    return {"log": log, "set": put}


engine = anywasm.Engine()
for name, body in PLUGINS.items():
    state: dict[int, int] = {}
    module = anywasm.Module(anywasm.wat2wasm(f"(module {HEAD} {body})"), engine)
    with anywasm.Store(engine, memory=1 << 20) as store:
        plugin: Any = anywasm.Instance(module, {"host": host(state)}, store)
        try:
            plugin.exports.run()
        except (anywasm.Trap, PermissionError, IndexError) as error:
            print(f"{name}: {type(error).__name__}")
        else:
            print(f"{name}: {state}")

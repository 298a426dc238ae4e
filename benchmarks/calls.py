# SPDX-License-Identifier: Apache-2.0
"""What a call across the boundary costs, beside a plain Python function and beside wasmtime-py.

Every system runs in the same process, in turns, the fastest of its rounds counts, and the cost of the empty loop is
taken off each, so that the ratios hold although other programs disturb the machine. Run it with:
python benchmarks/calls.py
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Callable
from typing import Any

import anywasm

MODULE = """
(module
  (import "host" "add" (func $host (param i32 i32) (result i32)))
  (func (export "nothing"))
  (func (export "add") (param i32 i32) (result i32) local.get 0 local.get 1 i32.add)
  (func (export "callback") (param $n i32)
    (loop $again
      (drop (call $host (i32.const 1) (i32.const 2)))
      (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))))
"""


def add(a: int, b: int) -> int:
    return a + b


def nothing() -> None:
    pass


def loop(calls: int) -> float:
    numbers = itertools.repeat(None, calls)
    start = time.perf_counter()
    for _ in numbers:
        pass
    return time.perf_counter() - start


def of_add(function: Callable[[int, int], Any]) -> Callable[[int], float]:
    def measure(calls: int) -> float:
        numbers = itertools.repeat(None, calls)
        start = time.perf_counter()
        for _ in numbers:
            function(1, 2)
        return time.perf_counter() - start

    return measure


def of_nothing(function: Callable[[], Any]) -> Callable[[int], float]:
    def measure(calls: int) -> float:
        numbers = itertools.repeat(None, calls)
        start = time.perf_counter()
        for _ in numbers:
            function()
        return time.perf_counter() - start

    return measure


def of_callback(function: Callable[[int], Any]) -> Callable[[int], float]:
    def measure(calls: int) -> float:
        start = time.perf_counter()
        function(calls)
        return time.perf_counter() - start

    return measure


# name of the case -> name of the system -> (how to measure some calls, does the loop cost count, calls a round)
Cases = dict[str, dict[str, tuple[Callable[[int], float], bool, int]]]


def cases() -> Cases:
    found: Cases = {
        "add(i32, i32) -> i32": {"python": (of_add(add), True, 50_000)},
        "() -> ()": {"python": (of_nothing(nothing), True, 50_000)},
        "host function (i32, i32) -> i32": {"python": (of_add(add), True, 50_000)},
    }
    binary = None
    for info in anywasm.engines():
        if not info.available:
            continue
        engine = anywasm.Engine(info.name)
        if binary is None:
            binary = anywasm.wat2wasm(MODULE)
        exports = anywasm.Instance(anywasm.Module(binary, engine), {"host": {"add": add}}).exports
        found["add(i32, i32) -> i32"][info.name] = (of_add(exports.add), True, 50_000)
        found["() -> ()"][info.name] = (of_nothing(exports.nothing), True, 50_000)
        found["host function (i32, i32) -> i32"][info.name] = (of_callback(exports.callback), False, 50_000)
    try:
        import wasmtime
    except ImportError:
        return found
    store = wasmtime.Store()
    i32 = wasmtime.ValType.i32()
    host = wasmtime.Func(store, wasmtime.FuncType([i32, i32], [i32]), add)
    instance = wasmtime.Instance(store, wasmtime.Module(store.engine, MODULE), [host])
    exports = instance.exports(store)
    call_add, call_nothing, call_back = exports["add"], exports["nothing"], exports["callback"]
    found["add(i32, i32) -> i32"]["wasmtime-py"] = (of_add(lambda a, b: call_add(store, a, b)), True, 2_000)
    found["() -> ()"]["wasmtime-py"] = (of_nothing(lambda: call_nothing(store)), True, 2_000)
    found["host function (i32, i32) -> i32"]["wasmtime-py"] = (of_callback(lambda n: call_back(store, n)), False, 2_000)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=40, help="rounds of each case; the fastest counts")
    rounds = parser.parse_args().rounds
    print(f"{'case':34} {'system':12} {'ns a call':>10} {'times python':>13}")
    for case, systems in cases().items():
        times: dict[str, list[float]] = {name: [] for name in systems}
        for _ in range(rounds):
            empty = min(loop(50_000) for _ in range(4)) / 50_000
            for name, (measure, counts_loop, calls) in systems.items():
                times[name].append(measure(calls) / calls - (empty if counts_loop else 0.0))
        python = min(times["python"])
        for name, values in times.items():
            value = min(values)
            print(f"{case:34} {name:12} {value * 1e9:10.1f} {value / python:13.2f}")


if __name__ == "__main__":
    main()

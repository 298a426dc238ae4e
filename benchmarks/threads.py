# SPDX-License-Identifier: Apache-2.0
"""Two threads, each with a store of its own: time for one piece of work while both are busy.

Where the interpreter lock is dropped, two threads on two cores take half the time of one.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from guests import Guest
from harness import WASM, Missing, Way, case, main, timer
from kernels import guest_kernel, native_kernel

UNTHREADED = ("pywasm3", "wasmer")
TURNS = 200_000  # takes longer than the interpreter lets a thread run
ADD = '(module (func (export "add") (param i32 i32) (result i32) local.get 0 local.get 1 i32.add))'


def plainly(guest: Guest, name: str) -> Callable[..., Any]:
    """An export that needs no store among its arguments."""
    function = guest.function(name)
    if guest.system == "wasmtime-py":
        return lambda *arguments: function(guest.store, *arguments)
    return function


def kernels(system: str) -> list[Callable[[], Any]]:
    """The same work twice, for two threads."""
    found = []
    for _ in range(2):
        if system == "ctypes":
            found.append(native_kernel("integers"))
        else:
            found.append(plainly(guest_kernel(system, "integers"), "run"))
    return [lambda run=run: run(40_000) for run in found]


@case("a kernel, one thread", (*WASM, "ctypes"), baseline="ctypes", rounds=5)
def one(system: str) -> Way:
    return Way("run()", {"run": kernels(system)[0]})


@case("a kernel, two threads", (*WASM, "ctypes"), baseline="ctypes", rounds=5)
def two(system: str) -> Way:
    if system in UNTHREADED:
        raise Missing("it is not made for threads")
    pool = ThreadPoolExecutor(2)
    work = kernels(system)

    def both() -> Any:
        answer, _ = pool.map(lambda run: run(), work)
        return answer

    return Way("both()", {"both": both}, inner=2, keep=pool)


@case("calls of add, two threads", ("python", *WASM), rounds=5)
def calls(system: str) -> Way:
    """Short calls keep the interpreter lock: two threads take as long as one."""
    if system in UNTHREADED:
        raise Missing("it is not made for threads")
    pool = ThreadPoolExecutor(2)
    functions = [(lambda a, b: a + b) if system == "python" else plainly(Guest(system, ADD), "add") for _ in range(2)]
    turns = TURNS // 100 if system == "wasmtime-py" else TURNS
    names = {
        "both": lambda timers: [*pool.map(lambda measure: measure(turns), timers)],
        "calls": [timer("f(1, 2)", {"f": function}) for function in functions],
        "idle": [timer("pass", {}) for _ in functions],
        "f": functions[0],
    }
    return Way("both(calls)", names, inner=2 * turns, empty="both(idle)", check="f(1, 2)", keep=pool)


if __name__ == "__main__":
    main("threads")

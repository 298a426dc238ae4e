# SPDX-License-Identifier: Apache-2.0
"""Two threads, each with a store of its own: time for one piece of work while both are busy.

Where the interpreter lock is dropped, two threads on two cores take half the time of one.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from guests import Guest
from harness import OURS, WASM, Missing, Way, case, main, timer
from kernels import guest_kernel, native_kernel

UNTHREADED = ("pywasm3", "wasmer")
MILLISECONDS = 20
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


class Rounds:
    """Calls of a millisecond by one thread or by two: what a call takes when both threads' work is shared out."""

    def __init__(self, system: str) -> None:
        self.work = [plainly(guest_kernel(system, "integers"), "run") for _ in range(2)]
        self.pool = ThreadPoolExecutor(2)
        self.size = 1000
        while (taken := self.call(self.work[0])) < 0.0005:
            self.size *= 2
        self.size = max(1, int(self.size * 0.001 / taken))

    def call(self, run: Callable[..., Any], count: int = 1) -> float:
        before = time.perf_counter()
        for _ in range(count):
            run(self.size)
        return time.perf_counter() - before

    def measure(self, threads: int) -> float:
        gate = threading.Barrier(threads)

        def begin(run: Callable[..., Any]) -> tuple[float, float]:
            gate.wait()
            before = time.perf_counter()
            self.call(run, MILLISECONDS)
            return before, time.perf_counter()

        spans = [*self.pool.map(begin, self.work[:threads])]
        return (max(end for _, end in spans) - min(begun for begun, _ in spans)) / threads

    def beat(self) -> float:
        """The longest gap in what a third thread does every millisecond while two run."""
        gaps, stop = [], threading.Event()

        def tick() -> None:
            last = time.perf_counter()
            while not stop.is_set():
                time.sleep(0.001)
                gaps.append((now := time.perf_counter()) - last)
                last = now

        thread = threading.Thread(target=tick)
        thread.start()
        self.measure(2)
        stop.set()
        thread.join()
        return max(gaps)


def rounds(system: str) -> Rounds:
    if system in UNTHREADED:
        raise Missing("it is not made for threads")
    return Rounds(system)


@case("calls of 1 ms, one thread", OURS, baseline="anywasm-wasmtime", rounds=25)
def millisecond_one(system: str) -> Way:
    work = rounds(system)
    return Way("work.size > 0", {"work": work}, inner=MILLISECONDS, clock=lambda: work.measure(1), keep=work)


@case("calls of 1 ms, two threads", OURS, baseline="anywasm-wasmtime", rounds=25)
def millisecond_two(system: str) -> Way:
    work = rounds(system)
    return Way("work.size > 0", {"work": work}, inner=MILLISECONDS, clock=lambda: work.measure(2), keep=work)


@case("a third thread's longest gap", OURS, baseline="anywasm-wasmtime", rounds=5, processes=2)
def gap(system: str) -> Way:
    """While two threads run calls of 1 ms; it sleeps a millisecond each time."""
    work = rounds(system)
    return Way("work.size > 0", {"work": work}, clock=work.beat, keep=work)


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

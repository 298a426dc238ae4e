# SPDX-License-Identifier: Apache-2.0
"""The process in which calls are counted: `child.py MODE ENGINE MODULE…` prints, as JSON, the counts of each case.

A case is a statement for the guest and one for Python that does the same. Each is run in a loop that is compiled for
it alone, since CPython specialises code by what it meets there, and warmed up; then a few times, and then some more:
the difference is what the statement costs.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anywasm

# A function's first three calls are timed, and at least one in 128 after them (func.c). None of those is to count: it
# costs more, and step by step it seems to take long, so that the next ones drop the GIL. So each count is done some
# times, of which the lowest is what a call costs.
TIMED_FIRST, TIMED_EVERY = 3, 128
TIMES = 3


class Python:
    """What Python has in the place of the guest."""

    def __init__(self) -> None:
        self.memory = bytearray(65536)

    @staticmethod
    def nothing() -> None:
        pass

    @staticmethod
    def add(a: int, b: int) -> int:
        return a + b

    @staticmethod
    def large(a: int, b: int) -> int:
        return a + b

    @staticmethod
    def mean(a: float, b: float) -> float:
        return (a + b) / 2

    @staticmethod
    def six(a: int, b: int, c: float, d: float, e: int, f: int) -> tuple[int, float]:
        return a, d


class Attributes:
    add: Any


def host(a: int, b: int) -> int:
    return a


# name -> (for the guest, for Python)
CASES = {
    "loop": ("pass", "pass"),
    "nothing()": ("nothing()", "nothing()"),
    "add(1, 2)": ("add(1, 2)", "add(1, 2)"),
    "large(10**6, 1)": ("large(1000000, 1)", "large(1000000, 1)"),
    "mean(1.0, 2.0)": ("mean(1.0, 2.0)", "mean(1.0, 2.0)"),
    "six(…)": ("six(1, 2, 3.0, 4.0, 5, 6)", "six(1, 2, 3.0, 4.0, 5, 6)"),
    "host(1, 2)": ("", "host(1, 2)"),  # the guest has the loop
    "exports.add": ("exports.add", "attributes.add"),
    "memory[0:64]": ("memory[0:64]", "bytes(memory[0:64])"),
    "memory[0:64] = data": ("memory[0:64] = data", "memory[0:64] = data"),
}


def loop(statement: str, names: dict[str, Any]) -> Callable[[int], None]:
    parameters = ", ".join(f"{name}={name}" for name in names)
    namespace = dict(names, repeat=itertools.repeat)
    exec(f"def run(n, {parameters}, repeat=repeat):\n for _ in repeat(None, n): {statement}\n", namespace)
    run: Callable[[int], None] = namespace["run"]
    return run


def loops(engine: str, binary: bytes) -> dict[str, tuple[Callable[[int], None], ...]]:
    """name -> (what runs the guest's statement n times, what runs Python's)."""
    exports: Any = anywasm.Instance(anywasm.Module(binary, anywasm.Engine(engine)), {"host": {"f": host}}, None).exports
    attributes = Attributes()
    attributes.add = Python.add
    data = bytes(64)
    guest = {name: exports[name] for name in ("nothing", "add", "large", "mean", "six", "memory")}
    python = {name: getattr(Python(), name) for name in guest}
    guest |= {"exports": exports, "data": data}
    python |= {"attributes": attributes, "data": data, "host": host}
    made = {}
    for name, (for_guest, for_python) in CASES.items():
        made[name] = loop(for_guest, guest) if for_guest else exports.callback, loop(for_python, python)
    return made


def warm(run: Callable[[int], None], counts_calls: bool) -> None:
    if counts_calls:
        run(TIMED_FIRST + 20 * TIMED_EVERY)
    else:
        for _ in range(TIMED_FIRST + 3 * TIMED_EVERY):
            run(100)


def fill(run: Callable[[int], None], counts_calls: bool) -> None:
    """Calls until the pace, which counting slows, is the usual one, and the next timed call comes at another point."""
    if counts_calls:
        run(3 * TIMED_EVERY + TIMED_EVERY // 3)
    else:
        for _ in range(3 * TIMED_EVERY + TIMED_EVERY // 3):
            run(100)


def steps(run: Callable[[int], None], calls: int) -> int | None:
    """The tracer counts; it knows nothing of calls."""
    own, kill, number = os.getpid(), os.kill, signal.SIGUSR1
    kill(own, number)
    run(calls)
    kill(own, number)
    return None


def allocations(run: Callable[[int], None], calls: int) -> int:
    import allocations as counter  # built for the test, on the path

    counter.start()
    run(calls)
    counted: int = counter.stop()
    return counted


def main(mode: str, engine: str, module: str) -> None:
    count: Any = {"steps": steps, "allocations": allocations}[mode]
    few, many = {"steps": (2, 6), "allocations": (10, 50)}[mode]
    results = []
    for name, runs in loops(engine, Path(module).read_bytes()).items():
        for run in runs:
            counts_calls = not isinstance(run, anywasm.Func)
            warm(run, counts_calls)
            counted = []
            for calls in (few, many) * TIMES:
                counted.append(count(run, calls))
                fill(run, counts_calls)
            results.append((name, counted, many - few))
    print(json.dumps(results))


main(*sys.argv[1:])

# SPDX-License-Identifier: Apache-2.0
"""How much the process's resident memory grows over many calls and many instances."""

from __future__ import annotations

import gc
import itertools
import os
from collections.abc import Callable
from pathlib import Path

from guests import Guest
from harness import OURS, Bar, Way, case, main
from instances import WITH_MEMORY, instance_of

CALLS = 10_000_000
INSTANCES = 100_000
FLAT = tuple(Bar(system, 1_000_000, None) for system in OURS)


def resident() -> int:
    """Bytes."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def growth(way: Way, count: int) -> Way:
    """What doing it so many times adds; what the first few add is a cost of another kind."""
    scope = dict(way.names)
    exec(f"def repeat(turns):\n    for _ in turns:\n        {way.statement}\n", scope)
    repeat: Callable[..., None] = scope["repeat"]

    def grow(count: int) -> int:
        repeat(itertools.repeat(None, count // 100))
        before = resident()
        repeat(itertools.repeat(None, count))
        return max(1, resident() - before)  # pyperf knows no zero

    return Way("grow(1000)", {"grow": grow}, check="0", clock=lambda: grow(count), keep=way)


@case("ten million calls", (*OURS, "pywasm3"), bars=FLAT, rounds=1, processes=1, unit="byte")
def calls(system: str) -> Way:
    return growth(Guest(system, WITH_MEMORY).call("add", "1, 2"), CALLS)


@case("a hundred thousand instances", (*OURS, "wasmtime-py"), bars=FLAT, rounds=1, processes=1, unit="byte")
def instances(system: str) -> Way:
    return growth(instance_of(system, WITH_MEMORY), INSTANCES)


if __name__ == "__main__":
    main("resident")

# SPDX-License-Identifier: Apache-2.0
"""A program of 8 MB, gojq, as a whole process: when nothing is compiled yet, and when it is.

It is compiled from Go. Each answer is that of a new process; the cache of compiled code is empty for the first.
"""

from __future__ import annotations

import time
from functools import lru_cache
from pathlib import Path

from harness import Bar, Missing, Way, case, main
from processes import CacheFolder, output, script, whole

GOJQ = "github.com/itchyny/gojq/cmd/gojq@v0.12.17"
SYSTEMS = ("anywasm", "anywasm-wasmtime", "anywasm-wamr", "wasmtime-py")
QUESTION = '{"a":[1,2,3]}'


@lru_cache(maxsize=None)
def gojq() -> Path:
    from toolchain import ToolMissing, build_go

    try:
        return build_go(GOJQ)
    except ToolMissing as error:
        raise Missing(str(error)) from None


def command(system: str) -> list[str]:
    return ["-c", script(system), str(gojq()), ".a|add"]


@case("first answer", SYSTEMS, baseline="wasmtime-py", bars=(Bar("anywasm", 1.0, None),), rounds=2, processes=1)
def first(system: str) -> Way:
    run = command(system)

    def clock() -> float:
        cache = CacheFolder()
        start = time.perf_counter()
        output(run, QUESTION, cache.environment)
        taken = time.perf_counter() - start
        cache.settle()
        return taken

    cache = CacheFolder()
    return Way("run()", whole(run, QUESTION, **cache.environment).names, clock=clock, keep=cache)


@case("later answers", SYSTEMS, baseline="wasmtime-py", bars=(Bar("anywasm", 0.25, None),), rounds=10, processes=1)
def later(system: str) -> Way:
    run = command(system)
    cache = CacheFolder()
    way = whole(run, QUESTION, **cache.environment)
    output(run, QUESTION, cache.environment)
    cache.settle()
    return Way(way.statement, way.names, clock=way.clock, keep=cache)


if __name__ == "__main__":
    main("programs")

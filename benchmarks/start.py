# SPDX-License-Identifier: Apache-2.0
"""The start: importing the package, and a whole process that greets the world.

Beside them are the imports of ctypes and cffi, and a process whose Python prints the line itself.
"""

from __future__ import annotations

from pathlib import Path

from harness import Bar, Way, case, main
from processes import need, output, script, whole

HELLO = Path(__file__).parent.parent / "examples" / "hello.wasm"
MODULES = {"python": "json", "wasmtime-py": "wasmtime", "pywasm3": "wasm3"}


@case(
    "import the package",
    ("anywasm", "wasmtime-py", "pywasm3", "wasmer", "cffi", "ctypes"),
    baseline="ctypes",
    bars=(Bar("anywasm", 0.010, None),),
    rounds=5,
)
def importing(system: str) -> Way:
    """In a process of its own, which tells how long it took."""
    need(system)
    timed = f"import {MODULES.get(system, system)}"
    code = f"import time; start = time.perf_counter(); {timed}; print(time.perf_counter() - start)"

    def clock() -> float:
        return float(output(["-c", code], "", {}))

    return Way("0", clock=clock)


@case("greet the world by WASI", ("python", "anywasm-wasmtime", "anywasm-wamr", "wasmtime-py", "wasmer"), rounds=5)
def hello(system: str) -> Way:
    """Against a process that prints the line from Python."""
    return whole(["-c", script(system), str(HELLO)])


@case("greet the world by `anywasm run`", ("python", "anywasm-wasmtime", "anywasm-wamr"), rounds=5)
def command(system: str) -> Way:
    if system == "python":
        return whole(["-c", script(system), "no program"])
    need(system)
    return whole(["-m", "anywasm", "run", "--engine", system.partition("-")[2], str(HELLO)])


if __name__ == "__main__":
    main("start")

# SPDX-License-Identifier: Apache-2.0
"""Computing inside the guest: five C programs, as WebAssembly (clang -O2) and as machine code (gcc -O2).

Both packages over Wasmtime use the same library, so their code is the same, and what is left is what they set.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from guests import Guest
from harness import WASM, Bar, Way, case, main
from native import shared_library

SOURCES = Path(__file__).parent / "c"
SYSTEMS = (*WASM, "ctypes")
# How often the program does its work: some milliseconds of machine code.
KERNELS = {"calls": 8000, "floats": 20_000, "memory": 3, "integers": 20_000, "simd": 900}


def guest_kernel(system: str, name: str) -> Guest:
    from toolchain import compile_c

    flags = ["-nostdlib", "-fno-builtin", "-Wl,--no-entry", "-Wl,--export=run"]
    flags += ["-msimd128"] if name == "simd" else []
    return Guest(system, compile_c(SOURCES / f"{name}.c", *flags).read_bytes())


def native_kernel(name: str) -> Any:
    """The compiled C, through ctypes, which drops the interpreter lock."""
    import ctypes

    run = ctypes.CDLL(str(shared_library((SOURCES / f"{name}.c").read_text()))).run
    run.argtypes, run.restype = [ctypes.c_int32], ctypes.c_int64
    return run


def tell(name: str, count: int) -> None:
    def make(system: str) -> Way:
        if system == "ctypes":
            return Way("run(count)", {"run": native_kernel(name), "count": count})
        return guest_kernel(system, name).call("run", "count", count=count)

    case(name, SYSTEMS, baseline="ctypes", rounds=6, bars=(Bar("anywasm-wasmtime", 1.02, "wasmtime-py"),))(make)


for name, count in KERNELS.items():
    tell(name, count)


if __name__ == "__main__":
    main("kernels")

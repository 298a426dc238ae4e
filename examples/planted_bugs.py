# SPDX-License-Identifier: Apache-2.0
"""A C library with planted bugs. As machine code they end Python or spoil its data; in a sandbox they are harmless."""

import ctypes
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import c_library

import anywasm
from anywasm import clib

SOURCE = Path(__file__).with_suffix(".c")

# Each bug: with the library as clib has it, and as ctypes has it.


def overflow(lib: Any) -> object:
    return lib.pad(bytearray(b"longer than it may be\0"), 10)


def native_overflow(lib: Any) -> object:
    return lib.pad(ctypes.create_string_buffer(b"longer than it may be"), ctypes.c_size_t(10))


def dangling(lib: Any) -> object:
    lib.count_in([0])
    other = [7]
    lib.count()
    return f"another variable has {other[0]}, which was 7"


def native_dangling(lib: Any) -> object:
    lib.count_in(ctypes.byref(ctypes.c_int(0)))
    other = ctypes.c_int(7)  # lies where the first one lay
    lib.count()
    return f"another variable has {other.value}, which was 7"


def use_after_free(lib: Any) -> object:
    session = lib.session_open()
    lib.session_close(session)
    lib.ranks(2)
    return lib.session_greet(session)


def native_use_after_free(lib: Any) -> object:
    lib.session_open.restype = ctypes.c_void_p
    return use_after_free(lib)


def wild(lib: Any) -> object:
    return lib.days_of(1 << 28)


def endless(lib: Any) -> object:
    return lib.wait_until_ready()


def stack(lib: Any) -> object:
    node = lib.new("node *")
    node.next = node
    return lib.length(node)


def native_stack(lib: Any) -> object:
    node = ctypes.c_void_p()
    node.value = ctypes.addressof(node)
    return lib.length(ctypes.byref(node))


Bug = Callable[[Any], object]
BUGS: dict[str, tuple[Bug, Bug]] = {
    "heap overflow": (overflow, native_overflow),
    "pointer kept too long": (dangling, native_dangling),
    "use after free": (use_after_free, native_use_after_free),
    "wild pointer": (wild, wild),
    "endless loop": (endless, endless),
    "stack overflow": (stack, native_stack),
}


def natively(name: str, library: Path) -> str:
    """What comes of a bug in a Python of its own."""
    try:
        done = subprocess.run(
            [sys.executable, __file__, name, library], capture_output=True, text=True, timeout=4, check=False
        )
    except subprocess.TimeoutExpired:
        return "Python never comes back: somebody has to kill it"
    return f"Python dies: {signal.Signals(-done.returncode).name}" if done.returncode < 0 else done.stdout.strip()


def sandboxed(name: str, lib: clib.Library) -> str:
    """What comes of it here, in this very Python."""
    try:
        return str(BUGS[name][0](lib))
    except (anywasm.Trap, anywasm.LimitError) as error:
        return f"{type(error).__name__}: {error}"
    finally:
        lib.reset()


def main() -> None:
    lib, library = clib.compile(SOURCE, timeout=0.5), c_library.build_native("planted_bugs", [SOURCE])
    for name in BUGS:
        print(f"{name}\n    natively: {natively(name, library)}\n    in clib:  {sandboxed(name, lib)}")
    try:
        lib.days_of(1 << 28)
    except anywasm.Trap:
        try:
            lib.days_of(2)
        except clib.LibraryError as error:
            print(f"after a trap: {error}")
    lib.reset()
    print(f"after reset(): February has {lib.days_of(2)} days")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(BUGS[sys.argv[1]][1](ctypes.CDLL(sys.argv[2])))
    else:
        main()

# SPDX-License-Identifier: Apache-2.0
"""Reading and writing a guest's memory, beside a bytearray."""

from __future__ import annotations

import ctypes
from typing import Any

from guests import Guest
from harness import NATIVE, WASM, Bar, Way, case, main
from native import cffi_library

PAGES = 32
SIZES = {16: "16 B", 64: "64 B", 1024: "1 KiB", 65536: "64 KiB", 1048576: "1 MiB"}
MODULE = f'(module (memory (export "memory") {PAGES}))'
SYSTEMS = ("python", *WASM)


def memory_of(system: str) -> tuple[Any, Any]:
    """A memory as each system has one, and what has to live as long."""
    guest = Guest(system, MODULE)
    if system == "pywasm3":
        return guest.instance.get_memory(0), guest
    if system == "wasmer":
        return memoryview(guest.exports.memory.buffer), guest
    return guest.function("memory"), guest


def read(system: str, size: int) -> Way:
    if system == "python":
        return Way(f"bytes(memory[0:{size}])", {"memory": bytearray(65536 * PAGES), "bytes": bytes})
    if system == "cffi":
        ffi = cffi_library("void nothing(void);", "void nothing(void) {}").ffi
        return Way(f"ffi.buffer(memory, {size})[:]", {"ffi": ffi, "memory": ffi.new("char[]", size)})
    if system == "ctypes":
        memory = ctypes.create_string_buffer(size)
        return Way(f"string_at(memory, {size})", {"string_at": ctypes.string_at, "memory": memory})
    memory, keep = memory_of(system)
    names = {"memory": memory, "bytes": bytes}
    if system == "wasmtime-py":
        return Way(f"bytes(memory.read(store, 0, {size}))", names | {"store": keep.store}, keep=keep)
    statement = f"bytes(memory[0:{size}])" if system in ("pywasm3", "wasmer") else f"memory[0:{size}]"
    return Way(statement, names, keep=keep)


def write(system: str, size: int) -> Way:
    names: dict[str, Any] = {"data": b"x" * size}
    last = f"memory[{size - 1}]"
    if system == "cffi":
        ffi = cffi_library("void nothing(void);", "void nothing(void) {}").ffi
        memory = ffi.new("unsigned char[]", size)
        return Way(f"ffi.memmove(memory, data, {size})", names | {"ffi": ffi, "memory": memory}, check=last)
    if system == "ctypes":
        memory = (ctypes.c_ubyte * size)()
        return Way(f"move(memory, data, {size})", names | {"move": ctypes.memmove, "memory": memory}, check=last)
    memory, keep = (bytearray(65536 * PAGES), None) if system == "python" else memory_of(system)
    names["memory"] = memory
    if system == "wasmtime-py":
        check = f"memory.read(store, {size - 1}, {size})[0]"
        return Way("memory.write(store, data, 0)", names | {"store": keep.store}, check=check, keep=keep)
    return Way(f"memory[0:{size}] = data", names, check=last, keep=keep)


def tell(size: int, title: str) -> None:
    """A case for each direction."""
    bars = (Bar("anywasm-wasmtime", 1.5), Bar("anywasm-wamr", 1.5)) if size == 64 else ()
    case(f"read {title}", (*SYSTEMS, *NATIVE), bars=bars)(lambda system: read(system, size))
    case(f"write {title}", (*SYSTEMS, *NATIVE), bars=bars)(lambda system: write(system, size))


for size, title in SIZES.items():
    tell(size, title)


@case("read one byte", SYSTEMS)
def read_byte(system: str) -> Way:
    if system == "python":
        return Way("memory[100]", {"memory": bytearray(1000)})
    memory, keep = memory_of(system)
    if system == "wasmtime-py":
        return Way("memory.read(store, 100, 101)[0]", {"memory": memory, "store": keep.store}, keep=keep)
    return Way("memory[100]", {"memory": memory}, keep=keep)


@case("write one byte", SYSTEMS)
def write_byte(system: str) -> Way:
    if system == "python":
        return Way("memory[100] = 7", {"memory": bytearray(1000)}, check="memory[100]")
    memory, keep = memory_of(system)
    if system == "wasmtime-py":
        names = {"memory": memory, "store": keep.store, "data": b"\7"}
        return Way("memory.write(store, data, 100)", names, check="memory.read(store, 100, 101)[0]", keep=keep)
    return Way("memory[100] = 7", {"memory": memory}, check="memory[100]", keep=keep)


def view_of(system: str) -> tuple[Any, Any]:
    """A memoryview of a memory; wasmtime-py gives a pointer that ctypes makes one of."""
    if system == "python":
        return memoryview(bytearray(65536 * PAGES)), None
    memory, keep = memory_of(system)
    if system == "wasmtime-py":
        return memoryview(memory.get_buffer_ptr(keep.store)).cast("B"), keep
    return memoryview(memory), keep


@case("one byte of a memoryview", SYSTEMS)
def view_byte(system: str) -> Way:
    view, keep = view_of(system)
    return Way("view[100]", {"view": view}, keep=keep)


@case("make a memoryview", SYSTEMS)
def make_view(system: str) -> Way:
    if system == "wasmtime-py":
        memory, keep = memory_of(system)
        names = {"memory": memory, "store": keep.store, "memoryview": memoryview}
        return Way("memoryview(memory.get_buffer_ptr(store))", names, check="0", keep=keep)
    memory, keep = (bytearray(65536 * PAGES), None) if system == "python" else memory_of(system)
    return Way("memoryview(memory)", {"memory": memory, "memoryview": memoryview}, check="0", keep=keep)


if __name__ == "__main__":
    main("memory")

# SPDX-License-Identifier: Apache-2.0
"""A library with a 64-bit memory: pointers, long and size_t have 8 bytes."""

import pytest

import anywasm
import toolchain
from anywasm import clib

SOURCE = """
typedef unsigned long size_t;
static unsigned char heap[1 << 16];
static size_t used;
void *malloc(size_t size)
{
    void *block = heap + used;
    used += (size + 15) & ~15UL;
    return used <= sizeof(heap) ? block : 0;
}
void free(void *block) {}
typedef struct { double x, y; long number; const char *name; } place;
size_t length(const char *text)
{
    size_t count = 0;
    while (text[count]) count++;
    return count;
}
place between(place a, place b)
{
    return (place){(a.x + b.x) / 2, (a.y + b.y) / 2, sizeof(place), "between"};
}
long sum(const long *values, size_t count)
{
    long total = 0;
    for (size_t i = 0; i < count; i++) total += values[i];
    return total;
}
int each(int count, int (*visit)(int))
{
    int total = 0;
    for (int i = 0; i < count; i++) total += visit(i);
    return total;
}
"""


@pytest.fixture
def lib(engine: anywasm.Engine) -> clib.Library:
    """Its declarations are those of its debug information."""
    target = ["--target=wasm64-freestanding", "-nostdlib", "-Wl,--no-entry", "-g", "-fvisibility=default"]
    exports = ["malloc", "free", "length", "between", "sum", "each"]
    binary = toolchain.compile_c(SOURCE, *target, *(f"-Wl,--export={name}" for name in exports))
    return clib.load(binary, engine=engine)


@pytest.mark.requires("memory64")
def test_addresses_have_8_bytes(lib: clib.Library) -> None:
    assert lib.sizeof("void *") == lib.sizeof("long") == lib.sizeof("size_t") == 8
    assert lib.sizeof("place") == 32


@pytest.mark.requires("memory64")
def test_values_go_and_come(lib: clib.Library) -> None:
    assert lib.length("fünf") == 5
    assert lib.sum([1, 2, 2**40], 3) == 2**40 + 3
    assert lib.each(4, lambda i: i * i) == 14
    place = lib.between((0, 0, 1, None), {"x": 2, "y": 4, "name": "there"})
    assert tuple(place) == (1.0, 2.0, 32, "between")


@pytest.mark.requires("memory64")
def test_memory_of_the_librarys_is_shared(lib: clib.Library) -> None:
    values = lib.array("long", [1, 2, 3])
    memoryview(values)[1] = 2**40
    assert lib.sum(values, 3) == 2**40 + 4
    assert lib.cast("char *", values)[0] == 1


def test_an_engine_without_such_memories_says_so(engine: anywasm.Engine) -> None:
    if "memory64" in engine.capabilities:
        pytest.skip(f"engine {engine.name} has them")
    with pytest.raises(anywasm.UnsupportedError, match="memory64"):
        clib.load(anywasm.wat2wasm('(module (memory (export "memory") i64 1))'), "void f(void);", engine=engine)

# SPDX-License-Identifier: Apache-2.0
"""C functions through `anywasm.clib`: numbers, strings, arrays, structs, callbacks.

In the columns of anywasm itself is the bare function, with numbers alone; cffi (its API mode) and ctypes call
the same C as machine code.
"""

from __future__ import annotations

import ctypes
import sys
from array import array
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

from guests import engine
from harness import CLIB, NATIVE, OURS, Bar, Missing, Way, case, main
from native import cffi_library, ctypes_library

sys.path.append(str(Path(__file__).parent.parent / "tests"))  # for toolchain.py

DECLARATIONS = """
typedef struct { double x, y; } point;
double hypot2(double x, double y);
const char *same(const char *text);
char *greet(const char *name);
int ends(const unsigned char *data, size_t size);
void scale(double *values, size_t count, double factor);
point middle(point a, point b);
int count_if(const int *values, size_t count, int (*test)(int value, void *data), void *data);
"""
SOURCE = (
    "#include <stdlib.h>\n#include <string.h>\n"
    + DECLARATIONS
    + """
double hypot2(double x, double y) { return x * x + y * y; }
const char *same(const char *text) { return text; }
char *greet(const char *name)
{
    size_t length = strlen(name) + 1;
    char *text = malloc(7 + length);
    memcpy(text, "Hello, ", 7);
    memcpy(text + 7, name, length);
    return text;
}
int ends(const unsigned char *data, size_t size) { return data[0] + data[size - 1]; }
void scale(double *values, size_t count, double factor)
{
    for (size_t i = 0; i < count; i++) values[i] *= factor;
}
point middle(point a, point b) { return (point){(a.x + b.x) / 2, (a.y + b.y) / 2}; }
int count_if(const int *values, size_t count, int (*test)(int value, void *data), void *data)
{
    int accepted = 0;
    for (size_t i = 0; i < count; i++) accepted += test(values[i], data) != 0;
    return accepted;
}
"""
)
NAMES = ("hypot2", "same", "greet", "ends", "scale", "middle", "count_if")
NAME = "Wolfgang A. Mozart I"  # 20 characters
MEGABYTE = bytes(range(256)) * 4096
COUNT = 100  # callbacks a call

ALL = ("python", *CLIB, *NATIVE)


@lru_cache(maxsize=None)
def wasm() -> Path:
    from toolchain import ToolMissing, compile_c

    exports = [f"-Wl,--export={name}" for name in ("malloc", "free", *NAMES)]
    try:
        return compile_c(SOURCE, "-mexec-model=reactor", "-fvisibility=default", *exports)
    except ToolMissing as error:
        raise Missing(str(error)) from error


@lru_cache(maxsize=None)
def library(system: str) -> Any:
    from anywasm import clib

    return clib.load(wasm(), DECLARATIONS, frees={"greet"}, engine=engine(system))


@lru_cache(maxsize=None)
def bare(system: str) -> Any:
    import anywasm

    return anywasm.load(wasm(), engine=engine(system))


@lru_cache(maxsize=None)
def cffi() -> Any:
    module = cffi_library(DECLARATIONS + "void free(void *);", SOURCE)
    return module.ffi, module.lib


class Point(ctypes.Structure):
    _fields_ = [("x", ctypes.c_double), ("y", ctypes.c_double)]


TEST = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_void_p)


@lru_cache(maxsize=None)
def native() -> Any:
    lib = ctypes_library(SOURCE)
    double, size = ctypes.c_double, ctypes.c_size_t
    for name, result, parameters in (
        ("hypot2", double, [double, double]),
        ("same", ctypes.c_char_p, [ctypes.c_char_p]),
        ("greet", ctypes.c_void_p, [ctypes.c_char_p]),
        ("free", None, [ctypes.c_void_p]),
        ("ends", ctypes.c_int, [ctypes.c_char_p, size]),
        ("scale", None, [ctypes.POINTER(double), size, double]),
        ("middle", Point, [Point, Point]),
        ("count_if", ctypes.c_int, [ctypes.POINTER(ctypes.c_int), size, TEST, ctypes.c_void_p]),
    ):
        function = getattr(lib, name)
        function.restype, function.argtypes = result, parameters
    return lib


def bars(*more: Bar) -> tuple[Bar, ...]:
    return (*(Bar(system, 1.0, "ctypes") for system in CLIB), *more)


@case(
    "hypot2(double, double)",
    ("python", *CLIB, *OURS, *NATIVE),
    bars=bars(
        Bar("clib-wasmtime", 1.3, "anywasm-wasmtime"),
        Bar("clib-wamr", 1.3, "anywasm-wamr"),
        Bar("clib-wasmtime", 2.0, "cffi"),
        Bar("clib-wamr", 2.0, "cffi"),
    ),
)
def hypot2(system: str) -> Way:
    def function(x: float, y: float) -> float:
        return x * x + y * y

    if system in CLIB:
        function = library(system).hypot2
    elif system in OURS:
        function = bare(system).exports.hypot2
    elif system == "cffi":
        function = cffi()[1].hypot2
    elif system == "ctypes":
        function = native().hypot2
    return Way("f(3.0, 4.0)", {"f": function})


@case("a string of 20 characters in and out", ALL, bars=bars())
def string(system: str) -> Way:
    if system in CLIB:
        return Way("f(name)", {"f": library(system).same, "name": NAME})
    if system == "cffi":
        ffi, lib = cffi()
        return Way("string(f(name.encode())).decode()", {"f": lib.same, "string": ffi.string, "name": NAME})
    if system == "ctypes":
        return Way("f(name.encode()).decode()", {"f": native().same, "name": NAME})

    def function(name: str) -> str:
        return name

    return Way("f(name)", {"f": function, "name": NAME})


@case("a string that the caller frees", ALL, bars=bars())
def string_freed(system: str) -> Way:
    def by_python(name: str) -> str:
        return "Hello, " + name

    def natively(name: str) -> str:
        text = greet(name.encode())
        result = to_bytes(text).decode()
        free(text)
        return result

    f: Callable[[str], str] = by_python
    if system in CLIB:
        f = library(system).greet
    elif system == "cffi":
        ffi, lib = cffi()
        f, greet, free, to_bytes = natively, lib.greet, lib.free, ffi.string
    elif system == "ctypes":
        f, greet, free, to_bytes = natively, native().greet, native().free, ctypes.string_at
    return Way("f(name)", {"f": f, "name": NAME})


@case("1 MB in, copied", ALL, bars=tuple(Bar(system, 1.5) for system in CLIB))
def copied(system: str) -> Way:
    def function(data: bytes, size: int) -> int:
        copy = bytearray(data)
        return copy[0] + copy[size - 1]

    if system in CLIB:
        function = library(system).ends
    elif system == "cffi":
        function = cffi()[1].ends  # these two copy nothing: they pass the address
    elif system == "ctypes":
        function = native().ends
    return Way(f"f(data, {len(MEGABYTE)})", {"f": function, "data": MEGABYTE})


@case(
    "1 MB in the library's memory",
    (*CLIB, *OURS, *NATIVE),
    baseline="cffi",
    bars=bars(Bar("clib-wasmtime", 2.0, "cffi"), Bar("clib-wamr", 2.0, "cffi")),
)
def resident(system: str) -> Way:
    size, names = len(MEGABYTE), {}
    if system in CLIB:
        names = {"f": library(system).ends, "data": library(system).array("unsigned char", MEGABYTE)}
    elif system in OURS:
        exports = bare(system).exports
        names = {"f": exports.ends, "data": exports.malloc(size)}
        exports.memory.write(names["data"], MEGABYTE)
    elif system == "cffi":
        ffi, lib = cffi()
        names = {"f": lib.ends, "data": ffi.new("unsigned char[]", MEGABYTE)}
    else:
        names = {"f": native().ends, "data": ctypes.create_string_buffer(MEGABYTE, size)}
    return Way(f"f(data, {size})", names)


@case("1000 doubles, changed in place", ALL, bars=(Bar("clib-wasmtime", 1.0, "ctypes"),))
def scaled(system: str) -> Way:
    values = array("d", range(1000))

    def function(values: array[float], count: int, factor: float) -> None:
        values[:] = array("d", [value * factor for value in values])

    names: dict[str, Any] = {"f": function, "values": values}
    statement = "f(values, 1000, 1.0)"
    if system in CLIB:
        names["f"] = library(system).scale
    elif system == "cffi":
        ffi, lib = cffi()
        names |= {"f": lib.scale, "of": ffi.from_buffer}
        statement = 'f(of("double[]", values), 1000, 1.0)'
    elif system == "ctypes":
        names |= {"f": native().scale, "of": (ctypes.c_double * 1000).from_buffer}
        statement = "f(of(values), 1000, 1.0)"
    return Way(statement, names, check="list(values)")


@case("structs by value", ALL, bars=bars())
def structs(system: str) -> Way:
    def function(a: tuple[float, float], b: tuple[float, float]) -> Point:
        return Point((a[0] + b[0]) / 2, (a[1] + b[1]) / 2)

    f: Callable[..., Any] = function
    if system in CLIB:
        f = library(system).middle
    elif system == "cffi":
        f = cffi()[1].middle
    elif system == "ctypes":
        return Way("f(point(0.0, 0.0), point(2.0, 4.0)).x", {"f": native().middle, "point": Point})
    return Way("f((0.0, 0.0), (2.0, 4.0)).x", {"f": f})


@case("a callback", ALL, bars=bars())
def callback(system: str) -> Way:
    def test(value: int, data: object) -> int:
        return value & 1

    numbers = list(range(COUNT))
    if system == "python":

        def function(values: list[int], count: int, test: Callable[[int, object], int], data: object) -> int:
            return sum([test(value, data) != 0 for value in values])

        names: dict[str, Any] = {"f": function, "values": numbers, "test": test}
    elif system in CLIB:
        lib = library(system)
        names = {"f": lib.count_if, "values": lib.array("int", numbers), "test": test}
    elif system == "cffi":
        ffi, lib = cffi()
        made = ffi.callback("int (int, void *)", test)
        names = {"f": lib.count_if, "values": ffi.new("int[]", numbers), "test": made}
        return Way(f"f(values, {COUNT}, test, null)", names | {"null": ffi.NULL}, inner=COUNT)
    else:
        names = {"f": native().count_if, "values": (ctypes.c_int * COUNT)(*numbers), "test": TEST(test)}
    return Way(f"f(values, {COUNT}, test, None)", names, inner=COUNT)


if __name__ == "__main__":
    main("clib")

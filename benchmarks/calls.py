# SPDX-License-Identifier: Apache-2.0
"""What a call of an exported function costs, by the number and the types of its values."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

from guests import Guest
from harness import NATIVE, OURS, WASM, Bar, Missing, Way, case, main
from native import cffi_library, ctypes_library

MODULE = """
(module
  (func (export "nothing"))
  (func (export "add") (param i32 i32) (result i32) local.get 0 local.get 1 i32.add)
  (func (export "six") (param i32 i32 i32 i32 i32 i32) (result i32) local.get 5)
  (func (export "mixed") (param i32 i64 f32 f64 i32 i64) (result i64 f64) local.get 5 local.get 3)
  (func (export "pair") (param i32 i32) (result i32 i32) local.get 1 local.get 0)
  (func (export "i64") (param i64) (result i64) local.get 0)
  (func (export "f32") (param f32) (result f32) local.get 0)
  (func (export "f64") (param f64) (result f64) local.get 0))
"""
# What not every system knows is in modules of its own.
VECTOR = '(module (func (export "v128") (param v128) (result v128) local.get 0))'
REFERENCE = '(module (func (export "externref") (param externref) (result externref) local.get 0))'

SOURCE = """
#include <stdint.h>
typedef struct { int64_t first; double second; } Mixed;
typedef struct { int32_t first, second; } Pair;
void nothing(void) {}
int32_t add(int32_t a, int32_t b) { return a + b; }
int32_t six(int32_t a, int32_t b, int32_t c, int32_t d, int32_t e, int32_t f) { return f; }
int64_t identity_i64(int64_t a) { return a; }
float identity_f32(float a) { return a; }
double identity_f64(double a) { return a; }
"""
DECLARATIONS = """
void nothing(void);
int32_t add(int32_t a, int32_t b);
int32_t six(int32_t a, int32_t b, int32_t c, int32_t d, int32_t e, int32_t f);
int64_t identity_i64(int64_t a);
float identity_f32(float a);
double identity_f64(double a);
"""
TYPES: dict[str, Any] = {"i32": ctypes.c_int32, "i64": ctypes.c_int64, "f32": ctypes.c_float, "f64": ctypes.c_double}


GUESTS = ("python", *WASM)  # where C has nothing that compares
ALL = (*GUESTS, *NATIVE)


def way(
    system: str,
    function: Callable[..., Any],
    arguments: str,
    export: str,
    c: tuple[str, str] | None = None,
    **names: Any,
) -> Way:
    """*c*: the name of the C function, and the types of its parameters and its result, in a row."""
    if system == "python":
        return Way(f"f({arguments})", {"f": function, **names})
    if system not in NATIVE:
        module = {"v128": VECTOR, "externref": REFERENCE}.get(export, MODULE)
        return Guest(system, module).call(export, arguments, **names)
    assert c is not None
    if system == "cffi":
        return Way(f"f({arguments})", {"f": getattr(cffi_library(DECLARATIONS, SOURCE).lib, c[0]), **names})
    native = getattr(ctypes_library(SOURCE), c[0])
    *parameters, result = [TYPES.get(name) for name in c[1].split()]
    native.argtypes, native.restype = parameters, result
    return Way(f"f({arguments})", {"f": native, **names})


@case("() -> ()", ALL, bars=(Bar("anywasm-wasmtime", 1.5),))
def nothing(system: str) -> Way:
    def function() -> None:
        pass

    return way(system, function, "", "nothing", ("nothing", "none"))


@case("(i32, i32) -> i32", ALL, bars=(Bar("anywasm-wasmtime", 1.5), Bar("anywasm-wamr", 3.0)))
def add(system: str) -> Way:
    def function(a: int, b: int) -> int:
        return a + b

    return way(system, function, "1, 2", "add", ("add", "i32 i32 i32"))


@case("six i32 -> i32", ALL)
def six(system: str) -> Way:
    def function(a: int, b: int, c: int, d: int, e: int, f: int) -> int:
        return f

    return way(system, function, "1, 2, 3, 4, 5, 6", "six", ("six", "i32 i32 i32 i32 i32 i32 i32"))


@case(
    "six of mixed types -> (i64, f64)",
    GUESTS,
    bars=(Bar("anywasm-wasmtime", 1.8),),
)
def mixed(system: str) -> Way:
    def function(a: int, b: int, c: float, d: float, e: int, f: int) -> tuple[int, float]:
        return f, d

    return way(system, function, "1, 2, 3.0, 4.0, 5, 6", "mixed")


@case("(i32, i32) -> (i32, i32)", GUESTS)
def pair(system: str) -> Way:
    def function(a: int, b: int) -> tuple[int, int]:
        return b, a

    return way(system, function, "1, 2", "pair")


def identity(value: Any) -> Any:
    return value


@case("(i64) -> i64", ALL)
def i64(system: str) -> Way:
    return way(system, identity, "value", "i64", ("identity_i64", "i64 i64"), value=1 << 40)


@case("(f32) -> f32", ALL)
def f32(system: str) -> Way:
    return way(system, identity, "value", "f32", ("identity_f32", "f32 f32"), value=1.5)


@case("(f64) -> f64", ALL)
def f64(system: str) -> Way:
    return way(system, identity, "value", "f64", ("identity_f64", "f64 f64"), value=1.5)


@case("(v128) -> v128", ("python", *OURS, "wasmtime-py", "pywasm3"))
def v128(system: str) -> Way:
    if system == "wasmtime-py":
        raise Missing("the package ends the process when it meets a v128")
    return way(system, identity, "value", "v128", value=bytes(range(16)))


@case("(externref) -> externref", ("python", *OURS, "wasmtime-py", "pywasm3"))
def externref(system: str) -> Way:
    return way(system, identity, "value", "externref", value=len)


if __name__ == "__main__":
    main("calls")

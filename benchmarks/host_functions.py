# SPDX-License-Identifier: Apache-2.0
"""What it costs a guest to call a Python function, by the number and the types of its values.

The guest calls in a loop; what the same loop costs without the call is taken off.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

from guests import Guest
from harness import OURS, WASM, Bar, Missing, Way, case, main
from native import cffi_library, ctypes_library

TURNS = 1000

LOOP = """
(func (export "{name}") (param $n i32) (param $extra {extra}) (result {last})
  (local $last {last})
  (loop $again
    {body}
    (local.set $last)
    (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
  (local.get $last))
"""

LETTERS = {"i32": "i", "i64": "I", "f32": "f", "f64": "F"}  # of pywasm3
SYSTEMS = ("python", *WASM)
LATER = ("python", *OURS, "wasmtime-py", "pywasm3")  # types that wasmer has not


def way(system: str, function: Callable[..., Any], parameters: str, results: str) -> Way:
    """The host function gets 1, 2, 3, ... as far as these are numbers; a v128 or externref goes through the guest."""
    types = parameters.split()
    last = results.rpartition(" ")[2] if results else "i32"
    extra = last if last in ("v128", "externref") else "i32"
    if extra == "i32":
        consts = " ".join(f"({name}.const {number})" for number, name in enumerate(types, 1))
        given = ", ".join(str(number if name[0] == "i" else float(number)) for number, name in enumerate(types, 1))
        value: Any = 0
    else:
        consts, given = "(local.get $extra)", "value"
        value = bytes(range(16)) if extra == "v128" else len
    if system == "python":
        last_result = "[-1]" if len(results.split()) > 1 else ""
        statement = f"f({given})"
        return Way(statement, {"f": function, "value": value}, check=statement + last_result if results else "0")
    # The last result stays on the stack for the local; those below it are dropped.
    drops = "(local.set $last) " + "(drop) " * (len(results.split()) - 1) + "(local.get $last)"
    call = f"(call $host {consts}) " + (drops if results else "(i32.const 0)")
    idle = "(local.get $extra)"
    module = (
        f'(module (import "host" "f" (func $host (param {parameters}) (result {results})))'
        + LOOP.format(name="loop", extra=extra, last=last, body=call)
        + LOOP.format(name="empty", extra=extra, last=last, body=idle if last == extra else f"({last}.const 0)")
        + ")"
    )
    if system == "wasmtime-py" and extra == "v128":
        raise Missing("the package ends the process when it meets a v128")
    if system == "pywasm3" and extra != "i32":
        raise Missing(f"it has no {extra}")
    if system == "pywasm3" and len(results.split()) > 1:
        raise Missing("its host functions have one result")
    signature = (LETTERS.get(results, "v")) + "(" + "".join(LETTERS.get(name, "") for name in types) + ")"
    guest = Guest(system, module, function, signature)
    return guest.call("loop", f"{TURNS}, value", empty="empty", inner=TURNS, value=value)


@case("() -> ()", SYSTEMS)
def nothing(system: str) -> Way:
    return way(system, lambda: None, "", "")


@case("(i32, i32) -> i32", (*SYSTEMS, "cffi", "ctypes"), bars=(Bar("anywasm-wasmtime", 1.8),))
def first(system: str) -> Way:
    function = lambda a, b: a  # noqa: E731, as the bar has it
    if system == "cffi":
        library = cffi_library(
            'extern "Python" int callback(int, int); int loop(int n);', "static int callback(int, int);" + CALLBACK
        )
        library.ffi.def_extern(name="callback")(function)
        return Way(f"f({TURNS})", {"f": library.lib.loop}, inner=TURNS)
    if system == "ctypes":
        library = ctypes_library("int (*callback)(int, int);" + CALLBACK)
        pointer = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_int)(function)
        ctypes.c_void_p.in_dll(library, "callback").value = ctypes.cast(pointer, ctypes.c_void_p).value
        return Way(f"f({TURNS})", {"f": library.loop}, inner=TURNS, keep=pointer)
    return way(system, function, "i32 i32", "i32")


CALLBACK = "int loop(int n) { int last = 0; while (n-- > 0) last = callback(1, 2); return last; }"


@case("six i32 -> i32", SYSTEMS)
def six(system: str) -> Way:
    return way(system, lambda a, b, c, d, e, f: f, "i32 i32 i32 i32 i32 i32", "i32")


@case("six of mixed types -> (i64, f64)", SYSTEMS)
def mixed(system: str) -> Way:
    return way(system, lambda a, b, c, d, e, f: (f, d), "i32 i64 f32 f64 i32 i64", "i64 f64")


@case("(i32, i32) -> (i32, i32)", SYSTEMS)
def pair(system: str) -> Way:
    return way(system, lambda a, b: (b, a), "i32 i32", "i32 i32")


@case("(i64) -> i64", SYSTEMS)
def i64(system: str) -> Way:
    return way(system, lambda a: a, "i64", "i64")


@case("(f32) -> f32", SYSTEMS)
def f32(system: str) -> Way:
    return way(system, lambda a: a, "f32", "f32")


@case("(f64) -> f64", SYSTEMS)
def f64(system: str) -> Way:
    return way(system, lambda a: a, "f64", "f64")


@case("(v128) -> v128", LATER)
def v128(system: str) -> Way:
    return way(system, lambda a: a, "v128", "v128")


@case("(externref) -> externref", LATER)
def externref(system: str) -> Way:
    return way(system, lambda a: a, "externref", "externref")


if __name__ == "__main__":
    main("host_functions")

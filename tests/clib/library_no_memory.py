# SPDX-License-Identifier: Apache-2.0
"""The process in which memory runs out while a C library is used: ENGINE, LIBRARY; see tests/counting/no_memory.py."""

from __future__ import annotations

import contextlib
import json
import operator
import sys
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Any

from no_memory import exhaust  # of tests/counting, on the path

import anywasm
from anywasm import clib
from anywasm.clib._parse import parse_header


def operations(lib: Any) -> dict[str, Callable[[], Any]]:
    numbers, doubles = array("i", range(100)), array("d", range(100))
    kept = lib.callback("int (*)(int, void *)", lambda value, data: value)
    node = lib.new("node *")

    def raising() -> None:
        with contextlib.suppress(TypeError):
            lib.each(operator.add, None)  # an int and None

    def wrong() -> None:
        for arguments in ((), ("x", 1), (2**40, 1), (1.5, 1)):
            with contextlib.suppress(TypeError, OverflowError):
                lib.add(*arguments)
        for value in (5, [1, "x"], b"abc", [{"z": 1}]):
            with contextlib.suppress(TypeError, ValueError):
                lib.centroid(value, 1)

    def own() -> None:
        with lib.new("point *", {"x": 1.5, "y": 2.5}) as point:
            point.x = 3
            repr(point), repr(point[0]), tuple(point[0])
        lib.free(lib.array("int", 100))
        repr(lib.adopt(lib.make_node(5), "free_node"))

    def link() -> None:
        node.label = lib.string("text")
        node.next = lib.new("node *", {"value": 5, "items": lib.array("int", [1, 2])})
        node.name = "short"
        lib.list_sum(node), lib.label_length(node)

    def views() -> None:
        with memoryview(lib.array("double", [1.0, 2.0])) as view:
            view[0] = 3.0
            view.tolist()

    def reset() -> None:
        try:
            lib.reset()
        except MemoryError:
            lib.reset()  # which was left off in the middle
            raise

    return {
        "numbers": lambda: (lib.same_llong(2**62), lib.same_double(0.5), lib.same_cdouble(1j), lib.same_color(5)),
        "wide numbers": lambda: lib.same_ldouble(0.5),
        "strings": lambda: (lib.length("x" * 300), lib.greet("you"), lib.static_text(), lib.lengths(["a", b"b"], 2)),
        "buffers": lambda: (lib.mean(doubles, 100), lib.negate(numbers, 100), lib.checksum(b"abc", 3)),
        "much": lambda: lib.checksum(b"x" * 100_000, 100_000),
        "lists": lambda: (lib.mean([1.0] * 50, 50), lib.negate([1] * 50, 50)),
        "structs": lambda: (lib.same_point((1, 2)), lib.shifted({"x": 1}, 1), lib.centroid([(1, 2)] * 20, 20)),
        "a struct with everything": lambda: lib.same_mixed({"small": 1, "part": {"a": 1}, "grid": [[1, 2, 3], [4]]}),
        "callbacks": lambda: (lib.each(lambda value, data: 0, None), lib.keep(kept), lib.call_kept(5)),
        "a callback that raises": raising,
        "structs in callbacks": lambda: lib.map_point(lambda p, m: (p.x, p.y), (1, 2)),
        "a new callback": lambda: lib.callback("double (*)(double)", lambda x: x),
        "functions": lambda: (lib.pick(1)(0.5), lib.apply(lib.pick(1), 0.5), repr(lib.add)),
        "further arguments": lambda: lib.sum("idsw", 1, 2.5, "four", lib.same_wrapped((0.5,))),
        "memory of Python's": own,
        "linked memory": link,
        "views": views,
        "variables": lambda: (setattr(lib, "counter", 5), lib.counter, lib.origin.x, lib.title, lib.version),
        "casts": lambda: (lib.cast("int", 2.5), lib.cast("int *", 1024) + 1, lib.cast("char *", lib.string("a"))),
        "types": lambda: lib._core.new_pointer(lib.typeof("node *"), None),
        "wrong arguments": wrong,
        "reset": reset,
    }


def main(engine: str, file: str) -> None:
    declarations = parse_header(Path(__file__).parent / "library.h")
    module = anywasm.Module(Path(file).read_bytes(), anywasm.Engine(engine))
    lib: Any = clib.load(module, declarations, frees={"greet"})
    for name, operation in operations(lib).items():
        operation()  # what is made once is made
        print(json.dumps([name, exhaust(lib, operation)]), flush=True)


main(*sys.argv[1:])

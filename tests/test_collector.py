# SPDX-License-Identifier: Apache-2.0
"""Python's collector may run in the middle of an operation, and a destructor that it runs may close the store.

The operation then succeeds or says that the store is closed; it never goes on with what is gone.
"""

import gc
from collections.abc import Callable
from typing import Any

import pytest

import anywasm
import toolchain

GUEST = """
(module
  (memory (export "memory") 1)
  (table (export "table") 4 8 funcref)
  (table (export "objects") 3 9 externref)
  (global (export "global") (mut i32) (i32.const 5))
  (global (export "object") (mut externref) (ref.null extern))
  (func $f (export "f") (param i32) (result i32) local.get 0)
  (elem (table 0) (i32.const 0) func $f)
  (func (export "mixed") (param externref) (result funcref funcref externref externref)
    (ref.func $f) (ref.func $f) (local.get 0) (local.get 0))
)
"""

REFERENCES = """
(module
  (type $pair (struct (field i32)))
  (func $pair (export "pair") (result anyref) (struct.new $pair (i32.const 1)))
  (func (export "two") (result anyref anyref) (call $pair) (call $pair))
  (table (export "table") 2 anyref)
)
"""

TAGS = '(module (tag (export "tag") (param i32)))'


class Closer:
    """Garbage that only the collector finds, and that closes a store when it does."""

    def __init__(self, store: anywasm.Store) -> None:
        self.store = store
        self.cycle = self

    def __del__(self) -> None:
        if self.store is not None:
            try:
                self.store.close()
            except (RuntimeError, BufferError):  # in the middle of a call, or while there are views
                pass


def exports(text: str, store: anywasm.Store) -> Any:
    module = anywasm.Module(toolchain.wat(text), store.engine)
    return anywasm.Instance(module, store=store).exports


def prepared(store: anywasm.Store) -> Any:
    guest = exports(GUEST, store)
    guest.objects[0] = guest.object.value = ["an object"]
    return guest


def prepared_references(store: anywasm.Store) -> Any:
    guest = exports(REFERENCES, store)
    guest.table[0] = guest.pair()
    return guest


# name: (capabilities, what prepares, what is done)
OPERATIONS: dict[str, tuple[set[str], Callable[[anywasm.Store], Any], Callable[[Any], Any]]] = {
    "table: function": (set(), prepared, lambda guest: guest.table[0]),
    "table: object": (set(), prepared, lambda guest: guest.objects[0]),
    "table: set": (set(), prepared, lambda guest: guest.objects.set(1, [1])),
    "table: fill": (set(), prepared, lambda guest: guest.objects.fill(0, [1], 3)),
    "table: grow": (set(), prepared, lambda guest: guest.objects.grow(2, [1])),
    "table: type": (set(), prepared, lambda guest: guest.table.type),
    "table: iterate": (set(), prepared, lambda guest: list(guest.table)),
    "global: number": (set(), prepared, lambda guest: guest["global"].value),
    "global: object": (set(), prepared, lambda guest: guest.object.value),
    "global: set": (set(), prepared, lambda guest: setattr(guest.object, "value", [1])),
    "memory: type": (set(), prepared, lambda guest: guest.memory.type),
    "memory: view": (set(), prepared, lambda guest: memoryview(guest.memory).tobytes()),
    "memory: grow": (set(), prepared, lambda guest: guest.memory.grow(1)),
    "memory: string": (set(), prepared, lambda guest: guest.memory.read_cstring(0)),
    "func: call": (set(), prepared, lambda guest: guest.f(1)),
    "func: references": (set(), prepared, lambda guest: guest.mixed([1])),
    "exports": (set(), lambda store: exports(GUEST, store), lambda guest: dict(guest)),
    "new memory": (
        {"imported_memory"},
        lambda store: store,
        lambda store: anywasm.Memory(anywasm.MemoryType(1), store),
    ),
    "new table": (
        {"imported_table"},
        lambda store: store,
        lambda store: anywasm.Table(anywasm.TableType("externref", 2), store, [1]),
    ),
    "new global": (set(), lambda store: store, lambda store: anywasm.Global(anywasm.GlobalType("i32"), 1, store)),
    "new function": (set(), lambda store: store, lambda store: anywasm.Func(lambda: 1, anywasm.FuncType(), store)),
    "new tag": ({"exceptions"}, lambda store: store, lambda store: anywasm.Tag(anywasm.TagType(["i32"]), store)),
    "exported tag": ({"exceptions"}, lambda store: exports(TAGS, store), lambda guest: guest.tag),
    "new i31": ({"gc"}, lambda store: store, lambda store: anywasm.Ref.i31(5, store)),
    "struct": ({"gc"}, prepared_references, lambda guest: guest.pair()),
    "two structs": ({"gc"}, prepared_references, lambda guest: guest.two()),
    "struct of a table": ({"gc"}, prepared_references, lambda guest: guest.table[0]),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_collection_that_closes_the_store_is_harmless(engine: anywasm.Engine, name: str) -> None:
    capabilities, prepare, operation = OPERATIONS[name]
    if lacking := capabilities - engine.capabilities:
        pytest.skip(f"engine {engine.name} has no {', '.join(sorted(lacking))}")
    thresholds = gc.get_threshold()
    try:
        for allocations in range(8):  # how many pass before the collector runs
            store = anywasm.Store(engine)
            subject = prepare(store)
            gc.collect()
            gc.disable()
            Closer(store)
            gc.set_threshold(gc.get_count()[0] + allocations - 1, *thresholds[1:])
            gc.enable()
            try:
                operation(subject)
            except ValueError as error:
                assert "closed" in str(error)
            finally:
                gc.set_threshold(*thresholds)
    finally:
        gc.enable()

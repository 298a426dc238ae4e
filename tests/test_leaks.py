# SPDX-License-Identifier: Apache-2.0
"""Nothing is left behind: for every type of the extension, and for every way in which a call can fail."""

import contextlib
import gc
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import anywasm
import toolchain
from anywasm import _core, clib
from toolchain import Instantiate

ROUNDS = 1000

GUEST = """
(module $guest
  (import "host" "f" (func $f (param i32) (result i32)))
  (memory (export "memory") 1)
  (table (export "table") 2 funcref)
  (global (export "global") (mut i32) (i32.const 5))
  (func (export "run") (param i32) (result i32) (call $f (local.get 0)))
  (func (export "trap") unreachable)
  (elem (i32.const 0) $f)
)
"""

LIBRARY = """
(module
  (memory (export "memory") 100)
  (table (export "__indirect_function_table") 1 funcref)
  (global $top (mut i32) (i32.const 1024))
  (func (export "malloc") (param i32) (result i32)
    global.get $top
    (global.set $top (i32.add (global.get $top) (i32.and (i32.add (local.get 0) (i32.const 31)) (i32.const -16)))))
  (func (export "free") (param i32))
  (func (export "each") (param i32))
  (func (export "fail") (param i32) unreachable))
"""
DECLARATIONS = "typedef struct { int x; double y; } pair; void each(int (*f)(int)); void fail(const char *);"

TYPES = sorted(
    (value for value in vars(_core).values() if isinstance(value, type) and value.__module__.startswith("anywasm")),
    key=lambda kind: kind.__name__,
)


class World:
    """A guest and its store, from which an object of any type can be had."""

    def __init__(self, engine: anywasm.Engine) -> None:
        self.engine = engine
        self.store = anywasm.Store(engine)
        self.data = toolchain.wat(GUEST)
        self.module = anywasm.Module(self.data, engine)
        self.caller: Any = None
        self.func_type = anywasm.FuncType(["i32"], ["i32"])
        self.instance: Any = self.instantiate()
        self.library = clib.load(toolchain.wat(LIBRARY), DECLARATIONS, engine=engine)

    def instantiate(self) -> anywasm.Instance:
        return anywasm.Instance(self.module, {"host": {"f": lambda x: x}}, self.store)

    def call_with_caller(self) -> None:
        host = anywasm.Func(lambda caller, x: x, self.func_type, self.store, pass_caller=True)
        anywasm.Instance(self.module, {"host": {"f": host}}, self.store).exports.run(1)

    def trap(self) -> None:
        with contextlib.suppress(anywasm.Trap):
            self.instance.exports.trap()


# How to have an object of each type; it is dropped at once. A new type brings its line.
MAKERS: dict[str, Callable[[World], Any]] = {
    "Array": lambda world: world.library.array("int", 2),
    "CBlock": lambda world: world.library.new("pair *"),
    "CCallback": lambda world: world.library.each(lambda n: n),
    "CFunction": lambda world: world.library.callback("int (*)(int)", lambda n: n),
    "CLibrary": lambda world: _core.CLibrary(4, "utf-8"),
    "CType": lambda world: _core.CType.pointer(_core.CType.record("struct", "s")),
    "Caller": World.call_with_caller,
    "CompileError": lambda world: anywasm.CompileError("x"),
    "Engine": lambda world: anywasm.Engine(world.engine.name),
    "Exit": lambda world: anywasm.Exit(1),
    "ExportType": lambda world: anywasm.Module(world.data, world.engine).exports,
    "Exports": lambda world: world.instance.exports,
    "Frame": World.trap,
    "Func": lambda world: anywasm.Func(lambda x: x, world.func_type, world.store),
    "FuncType": lambda world: anywasm.FuncType(["i32", "externref"], ["f64"]),
    "Global": lambda world: anywasm.Global(anywasm.GlobalType("i32"), 5, world.store),
    "GlobalType": lambda world: anywasm.GlobalType("i64", mutable=True),
    "ImportType": lambda world: anywasm.Module(world.data, world.engine).imports,
    "Instance": World.instantiate,
    "LibraryError": lambda world: clib.LibraryError("x"),
    "FuelLimitError": lambda world: anywasm.FuelLimitError("x"),
    "InstanceLimitError": lambda world: anywasm.InstanceLimitError("x"),
    "LimitError": lambda world: anywasm.LimitError("x"),
    "MemoryLimitError": lambda world: anywasm.MemoryLimitError("x"),
    "OutputLimitError": lambda world: anywasm.OutputLimitError("x"),
    "StackLimitError": lambda world: anywasm.StackLimitError("x"),
    "TableLimitError": lambda world: anywasm.TableLimitError("x"),
    "TimeoutExpired": lambda world: anywasm.TimeoutExpired("x"),
    "LinkError": lambda world: anywasm.LinkError("x"),
    "Memory": lambda world: world.instance.exports.memory,
    "MemoryType": lambda world: anywasm.MemoryType(1, 2),
    "Module": lambda world: anywasm.Module(world.data, world.engine),
    "Pointer": lambda world: world.library.new("int *"),
    "Ref": lambda world: anywasm.Ref.i31(5, world.store),
    "Store": lambda world: anywasm.Store(world.engine),
    "Struct": lambda world: world.library.new("pair *")[0],
    "Table": lambda world: world.instance.exports.table,
    "TableType": lambda world: anywasm.TableType("funcref", 1),
    "Tag": lambda world: anywasm.Tag(anywasm.TagType(["i32"]), world.store),
    "TagType": lambda world: anywasm.TagType(["i32"]),
    "Trap": World.trap,
    "UnsupportedError": lambda world: anywasm.UnsupportedError("x"),
    "ValType": lambda world: anywasm.ValType("(ref func)"),
    "Value": lambda world: world.library.cast("int", 5),
    "WasiHost": lambda world: anywasm.Store(world.engine, wasi=anywasm.Wasi()),
    "WasiMemory": lambda world: _core.WasiMemory(),
    "WasmError": lambda world: anywasm.WasmError("x"),
    "WasmException": lambda world: anywasm.WasmException(anywasm.Tag(anywasm.TagType(), world.store)),
}


@pytest.fixture
def world(engine: anywasm.Engine) -> World:
    return World(engine)


def repeat(function: Callable[[], Any], times: int) -> None:
    for _ in range(times):
        function()
    gc.collect()


def growth(function: Callable[[], Any]) -> int:
    """How many blocks of Python's allocator a thousand more calls cost, at best: at times something fills a cache."""
    repeat(function, 50)
    costs = []
    for _ in range(3):
        before = sys.getallocatedblocks()
        repeat(function, ROUNDS)
        costs.append(sys.getallocatedblocks() - before)
        if costs[-1] < 100:
            break
    return min(costs)


@pytest.mark.parametrize("kind", TYPES, ids=lambda kind: kind.__name__)
def test_a_type_loses_every_reference_that_its_objects_took(world: World, kind: type) -> None:
    try:
        make = MAKERS[kind.__name__]
    except KeyError:
        pytest.fail(f"{kind.__name__} is new: add how to make one to MAKERS")
    rounds = 20 if kind.__name__ == "Engine" and world.engine.name != "wamr" else ROUNDS
    try:
        repeat(lambda: make(world), 5)
    except anywasm.UnsupportedError as error:
        pytest.skip(str(error))
    before = sys.getrefcount(kind)
    repeat(lambda: make(world), rounds)
    assert abs(sys.getrefcount(kind) - before) < 10


@pytest.mark.parametrize(
    "name",
    sorted(set(MAKERS) - {"Caller", "CBlock", "CCallback", "Frame", "Trap", "ExportType", "ImportType", "WasiHost"}),
)
def test_an_object_that_the_collector_tracks_tells_it_its_type(world: World, name: str) -> None:
    try:
        item = MAKERS[name](world)
    except anywasm.UnsupportedError as error:
        pytest.skip(str(error))
    if gc.is_tracked(item) and not isinstance(item, BaseException):
        assert type(item) in gc.get_referents(item)


def free_twice(library: clib.Library) -> None:
    pointer = library.new("int *")
    library.free(pointer)
    library.free(pointer)


# What fails, by a name; a thousand failures leave nothing behind.
FAILURES: dict[str, Callable[[World], Any]] = {
    "clib: wrong type": lambda world: world.library.each(5),
    "clib: wrong type within": lambda world: world.library.new("pair *", {"x": 1, "y": "z"}),
    "clib: out of range": lambda world: world.library.array("int", [2**40]),
    "clib: out of bounds": lambda world: world.library.array("int", 2)[2],
    "clib: a string with NUL": lambda world: world.library.fail("a\0b"),
    "clib: freed twice": lambda world: free_twice(world.library),
    "clib: a wrong type's text": lambda world: world.library.typeof("pear *"),
    "call: too few arguments": lambda world: world.instance.exports.run(),
    "call: wrong type": lambda world: world.instance.exports.run("x"),
    "call: out of range": lambda world: world.instance.exports.run(2**40),
    "call: trap": lambda world: world.instance.exports.trap(),
    "call_bits: wrong type": lambda world: world.instance.exports.run.call_bits("x"),
    "exports: missing": lambda world: world.instance.exports["missing"],
    "exports: missing attribute": lambda world: world.instance.exports.missing,
    "Module: damaged": lambda world: anywasm.Module(world.data[:-3], world.engine),
    "Module: no module": lambda world: anywasm.Module(b"hello", world.engine),
    "Module: missing file": lambda world: anywasm.Module(Path("/missing.wasm"), world.engine),
    "Module: wrong type": lambda world: anywasm.Module(5, world.engine),  # type: ignore[arg-type]
    "Module.deserialize: damaged": lambda world: anywasm.Module.deserialize(b"hello", world.engine),
    "Engine: unknown": lambda world: anywasm.Engine("unknown"),
    "Store: wrong limit": lambda world: anywasm.Store(world.engine, memory=-1),
    "Instance: missing import": lambda world: anywasm.Instance(world.module, {}, world.store),
    "Instance: wrong kind": lambda world: anywasm.Instance(
        world.module, {"host": {"f": world.instance.exports.memory}}, world.store
    ),
    "Instance: imports are no mapping": lambda world: anywasm.Instance(world.module, 5, world.store),  # type: ignore[arg-type]
    "Memory.read: out of bounds": lambda world: world.instance.exports.memory.read(2**40, 1),
    "Memory.write: out of bounds": lambda world: world.instance.exports.memory.write(65536, b"x"),
    "Memory.grow: too far": lambda world: world.instance.exports.memory.grow(70000),
    "Memory: wrong index": lambda world: world.instance.exports.memory["x"],
    "Table.get: out of bounds": lambda world: world.instance.exports.table.get(9),
    "Table.set: wrong type": lambda world: world.instance.exports.table.set(0, 5),
    "Global: wrong type": lambda world: setattr(world.instance.exports["global"], "value", "x"),
    "Func: no callable": lambda world: anywasm.Func(5, world.func_type, world.store),  # type: ignore[arg-type]
    "FuncType: unknown type": lambda world: anywasm.FuncType(["i33"]),
    "FuncType: wrong type": lambda world: anywasm.FuncType(5),  # type: ignore[arg-type]
    "MemoryType: wrong limits": lambda world: anywasm.MemoryType(2, 1),
    "ValType: unknown": lambda world: anywasm.ValType("(ref nothing)"),
    "Ref.i31: too big": lambda world: anywasm.Ref.i31(2**40, world.store),
    "Tag: wrong type": lambda world: anywasm.Tag(5, world.store),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("name", FAILURES)
def test_a_failure_leaves_nothing_behind(world: World, name: str) -> None:
    def fail() -> None:
        with contextlib.suppress(Exception):
            FAILURES[name](world)
            pytest.fail(f"{name} did not fail")

    fail()  # the first time fills caches
    counts = {kind: sys.getrefcount(kind) for kind in TYPES}
    assert growth(fail) < 100
    changed = {kind.__name__: sys.getrefcount(kind) - count for kind, count in counts.items()}
    assert not {name: change for name, change in changed.items() if abs(change) > 20}


def test_calls_leave_nothing_behind(world: World) -> None:
    run, call_bits = world.instance.exports.run, world.instance.exports.run.call_bits
    assert growth(lambda: (run(2**20), call_bits(2**20))) < 100


@pytest.mark.requires("reference_types", "gc")
def test_references_through_a_guest_leave_nothing_behind(instantiate: Instantiate, store: anywasm.Store) -> None:
    echo = instantiate('(module (func (export "f") (param externref) (result externref) local.get 0))').exports.f

    def pass_many() -> None:
        for _ in range(10):
            echo([1, 2, 3])
        store.gc()

    assert growth(pass_many) < 100


@pytest.mark.requires("reference_types")
def test_an_object_that_passes_often_is_held_once(instantiate: Instantiate) -> None:
    echo = instantiate('(module (func (export "f") (param externref) (result externref) local.get 0))').exports.f
    value = object()
    before = sys.getrefcount(value)
    repeat(lambda: echo(value), ROUNDS)
    assert sys.getrefcount(value) - before <= 1  # the guest may hold it still


@pytest.mark.parametrize("result", ["x", None, (1, 2), 2**40], ids=str)
def test_wrong_results_of_host_functions_leave_nothing_behind(world: World, result: Any) -> None:
    run = anywasm.Instance(world.module, {"host": {"f": lambda x: result}}, world.store).exports.run

    def fail() -> None:
        with contextlib.suppress(TypeError, OverflowError):
            run(1)

    assert growth(fail) < 100


def test_exceptions_of_host_functions_leave_nothing_behind(world: World) -> None:
    def f(x: int) -> int:
        raise ValueError(x)

    run = anywasm.Instance(world.module, {"host": {"f": f}}, world.store).exports.run

    def fail() -> None:
        with contextlib.suppress(ValueError):
            run(2**20)

    assert growth(fail) < 100


def resident_kilobytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc")
def test_instances_and_stores_give_the_engines_memory_back(world: World) -> None:
    def make() -> None:
        store = anywasm.Store(world.engine)
        holder: list[Any] = []
        instance = anywasm.Instance(world.module, {"host": {"f": lambda x: holder and x}}, store)
        holder.append(instance)
        instance.exports.memory.write(0, b"x" * 65536)
        instance.exports.run(1)

    repeat(make, 200)
    before = resident_kilobytes()
    for _ in range(5):
        repeat(make, 100)
    assert resident_kilobytes() - before < 10_000  # each has touched 64 KiB and more: 32 MB if kept


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc")
def test_modules_give_the_engines_memory_back(world: World) -> None:
    data = toolchain.wat(f'(module (memory 1) (data (i32.const 0) "{"x" * 60000}"))')

    def make() -> None:
        anywasm.Instance(anywasm.Module(data, world.engine), store=anywasm.Store(world.engine))

    repeat(make, 100)
    before = resident_kilobytes()
    repeat(make, 300)
    assert resident_kilobytes() - before < 10_000


LOOP = """
(module
  (import "host" "f" (func $f (param i32) (result i32)))
  (func (export "same") (param i32) (result i32) local.get 0)
  (func (export "ask") (param $n i32)
    (loop $again
      (drop (call $f (local.get $n)))
      (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))))
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc")
def test_ten_million_calls_in_both_directions_leave_memory_flat(engine: anywasm.Engine) -> None:
    module = anywasm.Module(toolchain.wat(LOOP), engine)
    exports: Any = anywasm.Instance(module, {"host": {"f": lambda x: x}}).exports

    def calls(count: int) -> None:
        same = exports.same
        for number in range(1000, 1000 + count):  # no small ints: each result is an object
            same(number)
        exports.ask(count)

    calls(100_000)
    before = resident_kilobytes()
    calls(10_000_000)
    assert resident_kilobytes() - before < 1000  # a byte for each would be ten times as much


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc")
def test_a_hundred_thousand_instances_leave_memory_flat(engine: anywasm.Engine) -> None:
    module = anywasm.Module(toolchain.wat(LOOP), engine)
    imports = {"host": {"f": lambda x: x}}

    def instances(count: int) -> None:
        for _ in range(count):
            anywasm.Instance(module, imports).exports.same(1)

    instances(5000)
    before = resident_kilobytes()
    instances(100_000)
    assert resident_kilobytes() - before < 2000  # the smallest block that malloc gives, lost for each, would be 3,200

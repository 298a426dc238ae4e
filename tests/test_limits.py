# SPDX-License-Identifier: Apache-2.0
"""Limits of a store: which exception each raises, what it tells, what is left then. Time has test_interrupt.py."""

import os
import pickle
import resource
import threading
from collections.abc import Callable
from typing import Any

import pytest

import anywasm
from anywasm import Engine, Instance, Memory, MemoryType, Module, Store, Table, TableType

PAGE = 65536
MIB = 1 << 20

GROWING = """
(module
  (memory (export "memory") 1)
  (table (export "table") 10 funcref)
  (func (export "grow_memory") (param i32) (result i32) (memory.grow (local.get 0)))
  (func (export "grow_table") (param i32) (result i32) (table.grow (ref.null func) (local.get 0)))
  (func $deeper (export "deeper") (param i32) (result i32)
    (if (result i32) (local.get 0)
      (then (i32.add (call $deeper (i32.sub (local.get 0) (i32.const 1))) (i32.const 1)))
      (else (i32.const 0))))
  (func (export "count") (param i32) (loop $again
    (br_if $again (local.tee 0 (i32.sub (local.get 0) (i32.const 1))))))
  (func (export "forever") (loop $again (br $again)))
  (func (export "trap") (i32.store (i32.const 0) (i32.const 7)) unreachable)
  (func (export "read") (result i32) (i32.load (i32.const 0))))
"""

Make = Callable[..., Instance]


@pytest.fixture
def make(engine: Engine, wat: Callable[[str], bytes]) -> Make:
    """make(limits…): an instance of GROWING in a store of its own, on an engine that can hold them."""

    def instance(text: str = GROWING, imports: Any = None, **limits: Any) -> Instance:
        able = Engine(engine.name, fuel="fuel" in limits, interruptible="timeout" in limits)
        return Instance(Module(wat(text), able), imports, Store(able, **limits))

    return instance


# --- the exceptions -------------------------------------------------------------------------------------------------


def memory_at_the_start(make: Make) -> object:
    return make("(module (memory 3))", memory=2 * PAGE)


def memory_by_the_host(make: Make) -> object:
    return make(memory=4 * PAGE).exports.memory.grow(4)


def memory_of_the_host(make: Make) -> object:
    return Memory(MemoryType(5), make(memory=4 * PAGE).store)


def memory_beyond_its_maximum(make: Make) -> object:
    return make('(module (memory (export "memory") 1 2))').exports.memory.grow(3)


def table_at_the_start(make: Make) -> object:
    return make("(module (table 30 funcref))", table_elements=20)


def table_by_the_host(make: Make) -> object:
    return make(table_elements=20).exports.table.grow(11)


def table_of_the_host(make: Make) -> object:
    return Table(TableType("funcref", 21), make(table_elements=20).store)


def one_instance_too_many(make: Make) -> object:
    first = make(instances=1)
    return Instance(first.module, None, first.store)


def out_of_fuel(make: Make) -> object:
    return make(fuel=5000).exports.forever()


CASES = [
    (memory_at_the_start, anywasm.MemoryLimitError, 3 * PAGE, 2 * PAGE),
    (memory_by_the_host, anywasm.MemoryLimitError, 5 * PAGE, 4 * PAGE),
    (memory_of_the_host, anywasm.MemoryLimitError, 5 * PAGE, 4 * PAGE),
    (memory_beyond_its_maximum, anywasm.MemoryLimitError, 4 * PAGE, 2 * PAGE),
    (table_at_the_start, anywasm.TableLimitError, 30, 20),
    (table_by_the_host, anywasm.TableLimitError, 21, 20),
    (table_of_the_host, anywasm.TableLimitError, 21, 20),
    (one_instance_too_many, anywasm.InstanceLimitError, 2, 1),
    (out_of_fuel, anywasm.FuelLimitError, 5000, 5000),
]


@pytest.mark.parametrize(("use", "kind", "used", "allowed"), CASES, ids=lambda value: getattr(value, "__name__", ""))
def test_a_limit_has_its_exception_with_what_was_used_and_allowed(
    make: Make, use: Callable[[Make], object], kind: type[anywasm.LimitError], used: int, allowed: int
) -> None:
    with pytest.raises(kind) as caught:
        use(make)
    assert (type(caught.value), caught.value.used, caught.value.allowed) == (kind, used, allowed)


def test_a_timeout_tells_seconds(make: Make) -> None:
    with pytest.raises(anywasm.TimeoutExpired) as caught:
        make(timeout=0.05).exports.forever()
    error = caught.value
    assert error.allowed == error.timeout == 0.05
    assert error.used is not None
    assert 0.049 < error.used < 10


def test_an_interruption_by_hand_is_no_timeout(make: Make) -> None:
    instance = make(timeout=60)
    threading.Timer(0.05, instance.store.interrupt).start()
    with pytest.raises(anywasm.LimitError) as caught:
        instance.exports.forever()
    assert type(caught.value) is anywasm.LimitError
    assert (caught.value.used, caught.value.allowed) == (None, None)


def test_a_stack_that_is_full_is_a_limit_and_a_trap(make: Make) -> None:
    with pytest.raises(anywasm.StackLimitError) as caught:
        make().exports.deeper(100_000_000)
    error = caught.value
    assert isinstance(error, anywasm.Trap)
    assert isinstance(error, anywasm.LimitError)
    assert error.code == "call stack exhausted"
    assert error.frames
    assert error.used == error.allowed
    assert error.allowed is not None
    assert error.allowed >= PAGE


def test_how_many_memories_and_tables_there_may_be_is_a_plain_limit(make: Make) -> None:
    for limit in ("memories", "tables"):
        with pytest.raises(anywasm.LimitError) as caught:
            instance = make(**{limit: 1})
            Instance(instance.module, None, instance.store)
        assert type(caught.value) is anywasm.LimitError


@pytest.mark.requires("pooling")
def test_a_pool_without_room_is_a_plain_limit(engine: Engine, wat: Callable[[str], bytes]) -> None:
    module = Module(wat(GROWING), Engine(engine.name, pooling=1))
    store = Store(module.engine)
    Instance(module, None, store)
    with pytest.raises(anywasm.LimitError) as caught:
        Instance(module, None, store)
    assert type(caught.value) is anywasm.LimitError


@pytest.mark.parametrize(
    "name",
    ["FuelLimitError", "TimeoutExpired", "MemoryLimitError", "TableLimitError", "InstanceLimitError",
     "StackLimitError", "OutputLimitError"],
)  # fmt: skip
def test_the_exceptions_are_limit_errors_and_can_be_pickled(name: str) -> None:
    kind = getattr(anywasm, name)
    assert issubclass(kind, anywasm.LimitError)
    error = kind("text")
    assert (error.used, error.allowed, error.stdout, error.stderr) == (None, None, None, None)
    error.used, error.allowed, error.stdout = 2, 1, b"out"
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy), copy.used, copy.allowed, copy.stdout) == (kind, "text", 2, 1, b"out")


# --- what the guest sees ---------------------------------------------------------------------------------------------


def test_growing_beyond_a_limit_gives_the_guest_minus_one(make: Make) -> None:
    exports = make(memory=4 * PAGE, table_elements=20).exports
    assert [exports.grow_memory(3), exports.grow_memory(1), exports.memory.pages] == [1, -1, 4]
    assert [exports.grow_table(10), exports.grow_table(1), len(exports.table)] == [10, -1, 20]


@pytest.mark.requires("threads")
def test_a_shared_memory_is_limited_or_refused(make: Make) -> None:
    text = """
    (module
      (memory (export "memory") 1 1000 shared)
      (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0))))
    """
    try:
        instance = make(text, memory=4 * PAGE)
    except anywasm.UnsupportedError as error:
        assert "cannot limit shared memories" in str(error)
    else:
        assert instance.exports.grow(4) == -1
    assert make(text.replace("1000", "4"), memory=4 * PAGE).exports.grow(3) == 1


@pytest.mark.requires("threads")
def test_a_shared_memory_of_the_host_is_limited_or_refused(make: Make) -> None:
    store = make(memory=4 * PAGE).store
    with pytest.raises(anywasm.MemoryLimitError):
        Memory(MemoryType(5, 5, shared=True), store)
    try:
        memory = Memory(MemoryType(1, 1000, shared=True), store)
    except anywasm.UnsupportedError as error:
        assert "cannot limit shared memories" in str(error)
    else:
        with pytest.raises(anywasm.MemoryLimitError):
            memory.grow(4)
    assert Memory(MemoryType(1, 4, shared=True), store).grow(3) == 1


@pytest.mark.requires("threads")
def test_a_wait_on_a_shared_memory_ends_or_is_refused(make: Make) -> None:
    text = """
    (module
      (memory (export "memory") 1 1 shared)
      (func (export "wait") (drop (memory.atomic.wait32 (i32.const 0) (i32.const 0) (i64.const -1)))))
    """
    try:
        instance = make(text, timeout=0.1)
    except anywasm.UnsupportedError as error:
        assert "cannot end a wait on a shared memory" in str(error)
    else:
        with pytest.raises(anywasm.TimeoutExpired):
            instance.exports.wait()


@pytest.mark.requires("threads")
def test_a_store_with_a_shared_memory_gets_no_timeout_that_it_could_not_hold(engine: Engine) -> None:
    able = Engine(engine.name, interruptible=True)
    store = Store(able)
    Memory(MemoryType(1, 1, shared=True), store)
    try:
        store.timeout = 1
    except anywasm.UnsupportedError:
        assert store.timeout is None
        with pytest.raises(anywasm.UnsupportedError, match="a store has either"):
            Memory(MemoryType(1, 1, shared=True), Store(able, timeout=1))
    else:
        Memory(MemoryType(1, 1, shared=True), Store(able, timeout=1))


@pytest.mark.requires("gc")
def test_the_heap_of_collected_objects_is_limited(make: Make) -> None:
    text = """
    (module
      (type $bytes (array (mut i8)))
      (type $node (struct (field (ref null $node)) (field (ref $bytes))))
      (func (export "fill") (local $list (ref null $node))
        (loop $again
          (local.set $list (struct.new $node (local.get $list) (array.new_default $bytes (i32.const 1000000))))
          (br $again))))
    """
    with pytest.raises(anywasm.MemoryLimitError) as caught:
        make(text, memory=16 * MIB).exports.fill()
    assert caught.value.allowed == 16 * MIB


# --- fuel ------------------------------------------------------------------------------------------------------------


@pytest.mark.requires("fuel")
def test_fuel_is_read_set_and_refilled_between_calls(make: Make) -> None:
    instance = make(fuel=10_000)
    store, exports = instance.store, instance.exports
    exports.count(100)
    used = store.fuel_used
    assert used > 100
    assert store.fuel == 10_000 - used
    with pytest.raises(anywasm.FuelLimitError):
        exports.forever()
    assert (store.fuel, store.fuel_used) == (0, 10_000)
    with pytest.raises(anywasm.FuelLimitError):
        exports.count(100)
    store.fuel = 5_000
    exports.count(100)
    assert (store.fuel, store.fuel_used) == (5_000 - used, 10_000 + used)
    with pytest.raises(anywasm.FuelLimitError) as caught:
        exports.forever()
    assert caught.value.allowed == 5_000


@pytest.mark.requires("fuel")
def test_a_host_function_can_refill_the_call_that_it_is_called_by(make: Make) -> None:
    text = """
    (module
      (import "host" "call" (func $call))
      (func (export "run") (param $rounds i32) (local $i i32)
        (loop $round
          (local.set $i (i32.const 1000))
          (loop $again (br_if $again (local.tee $i (i32.sub (local.get $i) (i32.const 1)))))
          (call $call)
          (br_if $round (local.tee $rounds (i32.sub (local.get $rounds) (i32.const 1)))))))
    """
    stores: list[Store] = []
    left = []

    def refill() -> None:
        left.append(stores[0].fuel)
        stores[0].fuel = 20_000

    instance = make(text, {"host": {"call": refill}}, fuel=20_000)
    stores.append(instance.store)
    instance.exports.run(50)
    assert len(left) == 50
    assert all(0 < fuel < 20_000 for fuel in left)
    assert instance.store.fuel_used > 50_000


@pytest.mark.requires("fuel")
def test_fuel_is_not_limited_unless_it_is_given(engine: Engine, wat: Callable[[str], bytes]) -> None:
    counting = Engine(engine.name, fuel=True)
    store = Store(counting)
    Instance(Module(wat(GROWING), counting), None, store).exports.count(100_000)
    assert store.fuel_used > 100_000


def test_fuel_needs_an_engine_that_counts(store: Store, engine: Engine) -> None:
    for use in (lambda: store.fuel, lambda: store.fuel_used, lambda: Store(engine, fuel=1)):
        with pytest.raises(anywasm.UnsupportedError, match="fuel=True"):
            use()


# --- the stack -------------------------------------------------------------------------------------------------------


def depth(exports: Any) -> int:
    """How deep calls can be, about."""
    low, high = 0, 10_000_000
    while high - low > 100:
        middle = (low + high) // 2
        try:
            exports.deeper(middle)
            low = middle
        except anywasm.StackLimitError:
            high = middle
    return low


def test_the_stack_has_the_size_that_load_is_told(engine: Engine, wat: Callable[[str], bytes]) -> None:
    depths = [depth(anywasm.load(wat(GROWING), engine=engine.name, stack=size).exports) for size in (PAGE, 8 * PAGE)]
    assert 100 < depths[0] < depths[1] / 4


def test_a_store_has_a_stack_of_its_own_where_the_engine_can(engine: Engine, make: Make) -> None:
    try:
        instance = make(stack=2 * PAGE)
    except anywasm.UnsupportedError as error:
        assert str(error) == (
            f"stack: engine '{engine.name}' has one size for all of its stores: make it with max_wasm_stack=131072"
        )
    else:
        with pytest.raises(anywasm.StackLimitError) as caught:
            instance.exports.deeper(100_000_000)
        assert caught.value.allowed == 2 * PAGE
    able = Engine(engine.name, max_wasm_stack=2 * PAGE)
    Store(able, stack=2 * PAGE).close()


@pytest.mark.parametrize(("value", "error"), [(1, ValueError), (65535, ValueError), ("1", TypeError), (-1, ValueError)])
def test_a_stack_is_at_least_a_page(engine: Engine, value: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="stack"):
        Store(engine, stack=value)


# --- what was used ----------------------------------------------------------------------------------------------------


def test_peak_memory_counts_all_memories_that_are_exported_or_made_by_the_host(make: Make) -> None:
    instance = make()
    store = instance.store
    assert store.peak_memory == PAGE
    instance.exports.grow_memory(2)
    Memory(MemoryType(4), store)
    Instance(instance.module, None, store)
    assert store.peak_memory == (3 + 4 + 1) * PAGE


def test_a_memory_that_two_instances_export_counts_once(make: Make, wat: Callable[[str], bytes]) -> None:
    instance = make()
    again = Module(wat('(module (import "a" "m" (memory 1)) (export "m" (memory 0)))'), instance.store.engine)
    try:
        Instance(again, {"a": {"m": instance.exports.memory}}, instance.store)
    except anywasm.UnsupportedError as error:
        pytest.skip(str(error))
    assert instance.store.peak_memory == PAGE


def test_a_store_tells_how_much_memory_was_refused_where_the_engine_does(make: Make) -> None:
    instance = make(memory=4 * PAGE)
    instance.exports.grow_memory(1)
    assert not instance.store.memory_refused
    instance.exports.grow_memory(6)
    instance.exports.grow_memory(5)
    assert instance.store.memory_refused in (8 * PAGE, None)


def test_a_memory_that_may_not_grow_was_refused_nothing(make: Make) -> None:
    text = '(module (memory 1 1) (func (export "grow") (result i32) (memory.grow (i32.const 1))))'
    instance = make(text, memory=4 * PAGE)
    assert instance.exports.grow() == -1
    assert not instance.store.memory_refused


@pytest.mark.parametrize("name", ["fuel", "fuel_used", "peak_memory", "memory_refused"])
def test_a_closed_store_tells_nothing(make: Make, name: str) -> None:
    store = make(fuel=1).store
    store.close()
    with pytest.raises(ValueError, match="closed"):
        getattr(store, name)


# --- what is left -----------------------------------------------------------------------------------------------------


ENDS = {
    "trap": lambda exports: exports.trap(),
    "stack": lambda exports: exports.deeper(100_000_000),
    "timeout": lambda exports: exports.forever(),
}


@pytest.mark.parametrize("end", ENDS)
def test_a_store_goes_on_after(make: Make, end: str) -> None:
    """The memory is as the guest left it; other functions and other instances run."""
    instance = make(timeout=0.2)
    for _ in range(3):
        with pytest.raises((anywasm.Trap, anywasm.LimitError)):
            ENDS[end](instance.exports)
        assert instance.exports.read() == (7 if end == "trap" else 0)
        assert instance.exports.deeper(100) == 100
    assert Instance(instance.module, None, instance.store).exports.deeper(100) == 100


def test_a_store_goes_on_after_an_exit(engine: Engine, wat: Callable[[str], bytes]) -> None:
    text = """
    (module
      (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
      (memory (export "memory") 1)
      (func (export "exit") (call $exit (i32.const 3)))
      (func (export "one") (result i32) (i32.const 1)))
    """
    exports = Instance(Module(wat(text), engine), None, Store(engine, wasi=anywasm.Wasi())).exports
    for _ in range(2):
        with pytest.raises(anywasm.Exit) as caught:
            exports.exit()
        assert caught.value.code == caught.value.returncode == 3
        assert exports.one() == 1


def test_a_refused_instance_leaves_the_store_as_it_was(make: Make, wat: Callable[[str], bytes]) -> None:
    instance = make(memory=2 * PAGE)
    greedy = Module(
        wat("(module (memory 1) (table 5 funcref) (memory 3))".replace("(memory 1) ", "")), instance.store.engine
    )
    for _ in range(3):
        with pytest.raises(anywasm.MemoryLimitError):
            Instance(greedy, None, instance.store)
    assert instance.store.peak_memory == PAGE
    assert instance.exports.grow_memory(1) == 1


def resident() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def mapped() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[0]) * resource.getpagesize()


FILL = """
(module
  (memory (export "memory") 1)
  (table $table 1 funcref)
  (func (export "fill") (param $pages i32)
    (drop (memory.grow (local.get $pages)))
    (memory.fill (i32.const 0) (i32.const 1) (i32.mul (local.get $pages) (i32.const 65536)))
    (drop (table.grow $table (ref.null func) (i32.const 1000000)))))
"""


@pytest.mark.requires("bulk_memory")
def test_closing_a_store_frees_its_memory_at_once(make: Make) -> None:
    size = 64 * MIB
    make(FILL).exports.fill(1)
    before, space = resident(), mapped()
    kept = []
    for _ in range(8):
        instance = make(FILL)
        instance.exports.fill(size // PAGE)
        assert resident() > before + size // 2
        instance.store.close()
        kept.append(instance)  # what is left of it refers to the store, and keeps nothing
        assert resident() < before + size // 2
    assert mapped() < space + (4 << 30)  # a memory's reservation is gone, too


@pytest.mark.slow
def test_making_and_closing_stores_takes_no_memory(make: Make) -> None:
    def round() -> None:
        for _ in range(300):
            instance = make(FILL)
            instance.exports.fill(1)
            instance.store.close()

    round()
    before = resident()
    round()
    assert resident() < before + 8 * MIB


def test_no_descriptor_is_left_open(engine: Engine, wat: Callable[[str], bytes]) -> None:
    module = Module(wat('(module (func (export "_start")))'), engine)
    anywasm.run(module)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(50):
        anywasm.run(module, mounts={"/": "/tmp"}, capture_output=True, max_output=10)
    assert len(os.listdir("/proc/self/fd")) == before

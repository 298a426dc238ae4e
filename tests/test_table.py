# SPDX-License-Identifier: Apache-2.0
"""Tables: functions and objects in and out, growth, filling, and every index that is out of bounds."""

import gc
import sys
import weakref
from collections.abc import Callable
from typing import Any

import pytest

import anywasm
from conftest import Instantiate
from test_leaks import growth

GUEST = """
(module
  (type $unary (func (param i32) (result i32)))
  (table $table (export "table") 4 8 funcref)
  (func $double (export "double") (type $unary) (i32.mul (local.get 0) (i32.const 2)))
  (func $square (export "square") (type $unary) (i32.mul (local.get 0) (local.get 0)))
  (func (export "call") (param i32 i32) (result i32) (call_indirect $table (type $unary) (local.get 1) (local.get 0)))
  (func (export "size") (result i32) (table.size $table))
  (func (export "grow") (param i32) (result i32) (table.grow $table (ref.null func) (local.get 0)))
  (elem (table $table) (i32.const 0) func $double $square)
)
"""

OBJECTS = """
(module
  (table $objects (export "objects") 3 10 externref)
  (func (export "load") (param i32) (result externref) (table.get $objects (local.get 0)))
  (func (export "keep") (param i32 externref) (table.set $objects (local.get 0) (local.get 1)))
)
"""


class Index:
    """An integer to Python that first does something."""

    def __init__(self, value: int, first: Callable[[], Any] = lambda: None) -> None:
        self.value = value
        self.first = first

    def __index__(self) -> int:
        self.first()
        return self.value


@pytest.fixture
def guest(instantiate: Instantiate) -> Any:
    return instantiate(GUEST).exports


@pytest.fixture
def table(guest: Any) -> anywasm.Table:
    """Four elements, at most eight: double, square, and two nulls."""
    return guest.table  # type: ignore[no-any-return]


@pytest.fixture
def objects(instantiate: Instantiate) -> Any:
    """A guest whose table has three nulls, at most ten elements."""
    return instantiate(OBJECTS).exports


# --- sizes and types ----------------------------------------------------------------------------------------------


def test_the_length_is_in_elements(table: anywasm.Table) -> None:
    assert len(table) == 4


def test_the_type_has_element_and_limits(table: anywasm.Table) -> None:
    assert table.type == anywasm.TableType("funcref", 4, 8)


def test_the_types_minimum_is_the_current_size(table: anywasm.Table) -> None:
    table.grow(2)
    assert table.type == anywasm.TableType("funcref", 6, 8)


def test_a_table_knows_its_store(table: anywasm.Table, store: anywasm.Store) -> None:
    assert table.store is store


def test_the_repr_shows_size_and_element(table: anywasm.Table, objects: Any) -> None:
    assert repr(table) == "<anywasm.Table: 4 elements of funcref, at most 8>"
    assert repr(objects.objects) == "<anywasm.Table: 3 elements of externref, at most 10>"


def test_the_repr_of_a_closed_table_says_so(table: anywasm.Table, store: anywasm.Store) -> None:
    store.close()
    assert repr(table) == "<anywasm.Table: closed>"


# --- functions ----------------------------------------------------------------------------------------------------


def test_an_element_is_a_function_that_can_be_called(table: anywasm.Table) -> None:
    assert (table[0](21), table.get(1)(5)) == (42, 25)


def test_an_element_is_equal_to_the_exported_function(guest: Any) -> None:
    assert guest.table[0] == guest.double
    assert guest.table[0] != guest.square
    assert hash(guest.table[0]) == hash(guest.double)


def test_a_null_element_is_none(table: anywasm.Table) -> None:
    assert table[2] is None
    assert table.get(3) is None


def test_a_function_set_is_called_by_the_guest(guest: Any) -> None:
    guest.table[2] = guest.square
    guest.table.set(3, guest.double)
    assert (guest.call(2, 7), guest.call(3, 7)) == (49, 14)


def test_a_function_of_the_host_is_called_by_the_guest(guest: Any, store: anywasm.Store) -> None:
    guest.table[2] = anywasm.Func(lambda x: x + 1, anywasm.FuncType(["i32"], ["i32"]), store)
    gc.collect()
    assert guest.call(2, 7) == 8


def test_a_function_of_another_instance_is_called_by_the_guest(guest: Any, instantiate: Instantiate) -> None:
    other = instantiate('(module (func (export "f") (param i32) (result i32) (i32.sub (i32.const 0) (local.get 0))))')
    guest.table[2] = other.exports.f
    assert guest.call(2, 7) == -7


def test_an_element_set_to_none_is_null(guest: Any) -> None:
    guest.table[0] = None
    with pytest.raises(anywasm.Trap) as trap:
        guest.call(0, 1)
    assert trap.value.code == "uninitialized element"


def test_negative_indices_count_from_the_end(guest: Any) -> None:
    guest.table[-1] = guest.square
    assert guest.table[3] == guest.table[-1] == guest.square
    assert guest.table[-4] == guest.double


def test_iterating_gives_every_element(guest: Any) -> None:
    assert list(guest.table) == [guest.double, guest.square, None, None]


def test_elements_cannot_be_deleted(table: anywasm.Table) -> None:
    with pytest.raises(TypeError, match="set them to None"):
        del table[0]  # type: ignore[attr-defined]


@pytest.mark.parametrize("value", [1, "x", len, object()], ids=["int", "str", "callable", "object"])
def test_a_table_of_functions_takes_functions_only(table: anywasm.Table, value: Any) -> None:
    expected = f"funcref.*Func or None, got {type(value).__name__}"
    with pytest.raises(TypeError, match=r"table\[i\] = value .*" + expected):
        table[0] = value
    with pytest.raises(TypeError, match=r"Table\.set\(\): value .*" + expected):
        table.set(0, value)
    with pytest.raises(TypeError, match=r"Table\.fill\(\): value .*" + expected):
        table.fill(0, value, 1)
    with pytest.raises(TypeError, match=r"Table\.grow\(\): initial .*" + expected):
        table.grow(1, value)
    assert len(table) == 4


def test_a_function_of_another_store_is_refused(guest: Any, engine: anywasm.Engine) -> None:
    other = anywasm.Func(lambda: None, anywasm.FuncType(), anywasm.Store(engine))
    with pytest.raises(ValueError, match="another store"):
        guest.table[0] = other
    assert guest.table[0] == guest.double


# --- objects ------------------------------------------------------------------------------------------------------


def test_any_object_goes_into_a_table_of_externref(objects: Any) -> None:
    thing = object()
    objects.objects[1] = thing
    assert objects.load(1) is objects.objects[1] is thing


def test_an_object_set_by_the_guest_is_seen(objects: Any) -> None:
    thing = ["a list"]
    objects.keep(2, thing)
    assert objects.objects[2] is thing


def test_an_object_lives_as_long_as_the_table_holds_it(objects: Any, store: anywasm.Store) -> None:
    class Thing:
        pass

    thing = Thing()
    alive = weakref.ref(thing)
    objects.objects[0] = thing
    del thing
    gc.collect()
    assert alive() is not None
    assert objects.load(0) is alive()
    store.close()
    gc.collect()
    assert alive() is None


def test_an_object_in_a_cycle_through_the_table_is_collected(
    engine: anywasm.Engine, wat: Callable[[str], bytes]
) -> None:
    store = anywasm.Store(engine)
    table = anywasm.Instance(anywasm.Module(wat(OBJECTS), engine), store=store).exports.objects
    table[0] = [table]
    gone = weakref.ref(store)
    del store, table
    gc.collect()
    assert gone() is None


# --- bounds -------------------------------------------------------------------------------------------------------

OUTSIDE = [4, 5, 2**31, 2**32, 2**32 + 1, 2**63 - 1, 2**63, 2**64, 2**70]


@pytest.mark.parametrize("index", OUTSIDE)
def test_an_index_out_of_bounds_is_an_index_error(table: anywasm.Table, index: int) -> None:
    for use in (
        lambda: table[index],
        lambda: table[-index - 1],
        lambda: table.__setitem__(index, None),
        lambda: table.get(index),
        lambda: table.set(index, None),
        lambda: table.fill(index, None, 1),
    ):
        with pytest.raises(IndexError, match="the table has 4 elements"):
            use()


def test_an_index_error_names_the_index(table: anywasm.Table) -> None:
    with pytest.raises(IndexError, match=r"Table\.get\(\): index 4 is out of bounds"):
        table.get(4)
    with pytest.raises(IndexError, match="index -5 is out of bounds"):
        table[-5]


@pytest.mark.parametrize("index", [-1, -4, -(2**63), -(2**70)])
def test_get_set_and_fill_take_no_negative_index(table: anywasm.Table, index: int) -> None:
    for use in (lambda: table.get(index), lambda: table.set(index, None), lambda: table.fill(index, None, 1)):
        with pytest.raises(IndexError, match="must not be negative"):
            use()


WRONG_ARGUMENTS: list[tuple[str, tuple[Any, ...], str]] = [
    ("get", ("0",), "index: expected an integer, got str"),
    ("get", (0.0,), "index: expected an integer, got float"),
    ("set", (), "expected 2 arguments, got 0"),
    ("set", (0,), "expected 2 arguments, got 1"),
    ("set", (None, None), "index: expected an integer, got None"),
    ("grow", (), "expected 1 or 2 arguments, got 0"),
    ("grow", (1, None, 3), "expected 1 or 2 arguments, got 3"),
    ("grow", ("1",), "delta: expected an integer, got str"),
    ("fill", (0, None), "expected 3 arguments, got 2"),
    ("fill", ("0", None, 1), "index: expected an integer, got str"),
    ("fill", (0, None, 1.5), "count: expected an integer, got float"),
    ("__getitem__", ("0",), "index is an integer, not str"),
    ("__getitem__", (slice(0, 1),), "index is an integer, not slice"),
    ("__setitem__", (1.5, None), "index is an integer, not float"),
]


@pytest.mark.parametrize(("method", "arguments", "message"), WRONG_ARGUMENTS, ids=str)
def test_a_wrong_argument_is_a_type_error_that_names_it(
    table: anywasm.Table, method: str, arguments: tuple[Any, ...], message: str
) -> None:
    with pytest.raises(TypeError, match=message):
        getattr(table, method)(*arguments)


def test_wrong_arguments_leave_nothing_behind(table: anywasm.Table, objects: Any) -> None:
    def fail() -> None:
        for method, arguments, _ in WRONG_ARGUMENTS:
            with pytest.raises(TypeError):
                getattr(table, method)(*arguments)
        with pytest.raises(IndexError):
            objects.objects.fill(0, [1], 11)
        with pytest.raises(anywasm.LimitError):
            objects.objects.grow(100, [1])

    fail()
    before = sys.getrefcount(type(table))
    growth(fail)  # warms up what Python keeps
    assert growth(fail) < 100
    assert abs(sys.getrefcount(type(table)) - before) < 10


# --- growth -------------------------------------------------------------------------------------------------------


def test_grow_returns_the_old_size(table: anywasm.Table) -> None:
    assert table.grow(3) == 4
    assert len(table) == 7


def test_growing_by_nothing_is_fine(table: anywasm.Table) -> None:
    assert table.grow(0) == 4


def test_new_elements_are_null(table: anywasm.Table) -> None:
    table.grow(2)
    assert (table[4], table[5]) == (None, None)


def test_new_elements_have_the_initial_value(guest: Any) -> None:
    guest.table.grow(2, guest.square)
    assert (guest.call(4, 3), guest.call(5, 4)) == (9, 16)


def test_new_elements_may_be_objects(objects: Any) -> None:
    thing = object()
    objects.objects.grow(3, thing)
    gc.collect()
    assert all(objects.load(i) is thing for i in (3, 4, 5))


def test_the_guest_sees_growth(guest: Any) -> None:
    guest.table.grow(1)
    assert guest.size() == 5


def test_growth_by_the_guest_is_seen(guest: Any) -> None:
    assert guest.grow(2) == 4
    assert len(guest.table) == 6
    assert guest.table[-1] is None


@pytest.mark.parametrize("delta", [5, 2**32 - 1, 2**32, 2**64, 2**70])
def test_growing_over_the_maximum_is_a_limit_error(table: anywasm.Table, delta: int) -> None:
    with pytest.raises(anywasm.LimitError, match="it has 4, and may have 8 at most"):
        table.grow(delta)
    assert len(table) == 4


def test_growing_over_the_stores_limit_is_a_limit_error(engine: anywasm.Engine, wat: Callable[[str], bytes]) -> None:
    store = anywasm.Store(engine, table_elements=5)
    table = anywasm.Instance(anywasm.Module(wat(GUEST), engine), store=store).exports.table
    assert table.grow(1) == 4
    with pytest.raises(anywasm.LimitError):
        table.grow(1)
    assert len(table) == 5


@pytest.mark.parametrize("delta", [-1, -(2**70)])
def test_a_table_cannot_shrink(table: anywasm.Table, delta: int) -> None:
    with pytest.raises(ValueError, match="must not be negative"):
        table.grow(delta)


# --- filling ------------------------------------------------------------------------------------------------------


def test_fill_sets_a_range(guest: Any) -> None:
    guest.table.fill(1, guest.double, 2)
    assert list(guest.table) == [guest.double, guest.double, guest.double, None]


def test_fill_with_none_clears(table: anywasm.Table) -> None:
    table.fill(0, None, 4)
    assert list(table) == [None] * 4


def test_fill_with_an_object_sets_the_same_everywhere(objects: Any) -> None:
    thing = object()
    objects.objects.fill(0, thing, 3)
    gc.collect()
    assert all(objects.load(i) is thing for i in range(3))


@pytest.mark.parametrize("index", [0, 4])
def test_filling_nothing_is_fine(table: anywasm.Table, index: int) -> None:
    before = list(table)
    table.fill(index, None, 0)
    assert list(table) == before


@pytest.mark.parametrize(
    ("index", "count"), [(3, 2), (0, 5), (4, 1), (5, 0), (0, 2**32), (2**64, 2**64), (1, 2**64 - 1)]
)
def test_filling_out_of_bounds_sets_nothing(table: anywasm.Table, index: int, count: int) -> None:
    before = list(table)
    with pytest.raises(IndexError, match="the table has 4 elements"):
        table.fill(index, None, count)
    assert list(table) == before


def test_a_negative_count_is_a_value_error(table: anywasm.Table) -> None:
    with pytest.raises(ValueError, match="count: must not be negative, got -1"):
        table.fill(0, None, -1)


# --- a store that is closed, or closes meanwhile --------------------------------------------------------------------

CLOSING: dict[str, Callable[[anywasm.Table, Any], Any]] = {
    "item": lambda table, index: table[index],
    "item set": lambda table, index: table.__setitem__(index, None),
    "get": lambda table, index: table.get(index),
    "set": lambda table, index: table.set(index, None),
    "grow": lambda table, index: table.grow(index),
    "fill": lambda table, index: table.fill(0, None, index),
}


@pytest.mark.parametrize("name", CLOSING)
def test_an_index_that_closes_the_store_is_a_value_error(table: anywasm.Table, store: anywasm.Store, name: str) -> None:
    with pytest.raises(ValueError, match="closed"):
        CLOSING[name](table, Index(0, store.close))


def test_an_object_that_the_table_drops_may_close_the_store(objects: Any, store: anywasm.Store) -> None:
    class Thing:
        def __del__(self) -> None:
            store.close()

    objects.objects[0] = Thing()
    objects.objects[0] = None
    if not store.closed:  # the engine still holds it, until it collects its garbage
        store.gc()
    assert store.closed or objects.objects[0] is None


# --- identity -----------------------------------------------------------------------------------------------------


def test_two_objects_of_one_table_are_equal(instantiate: Instantiate) -> None:
    exports = instantiate('(module (table $t (export "a") 1 funcref) (export "b" (table $t)))').exports
    assert exports.a == exports.b
    assert hash(exports.a) == hash(exports.b)


def test_two_tables_are_not_equal(instantiate: Instantiate) -> None:
    one, other = instantiate(GUEST).exports.table, instantiate(GUEST).exports.table
    assert one != other
    assert len({one, other}) == 2


# --- made by the host -----------------------------------------------------------------------------------------------


@pytest.mark.requires("imported_table")
def test_a_table_made_by_the_host_is_imported(store: anywasm.Store, instantiate: Instantiate) -> None:
    double = anywasm.Func(lambda x: 2 * x, anywasm.FuncType(["i32"], ["i32"]), store)
    table = anywasm.Table(anywasm.TableType("funcref", 2, 5), store, double)
    text = """
      (module
        (import "host" "table" (table 2 5 funcref))
        (func (export "call") (param i32) (result i32)
          (call_indirect (param i32) (result i32) (i32.const 4) (local.get 0))))
    """
    exports = instantiate(text, {"host": {"table": table}}).exports
    assert exports.call(1) == 8
    assert table.grow(1, double) == 2
    assert exports.call(2) == 8


@pytest.mark.requires("imported_table")
def test_a_table_without_an_initial_value_has_nulls(store: anywasm.Store) -> None:
    assert list(anywasm.Table(anywasm.TableType("externref", 3), store)) == [None] * 3


@pytest.mark.requires("imported_table")
def test_a_table_may_be_made_of_objects(store: anywasm.Store) -> None:
    thing = object()
    assert all(item is thing for item in anywasm.Table(anywasm.TableType("externref", 3), store, thing))


@pytest.mark.requires("imported_table", "function_references")
def test_a_table_without_nulls_takes_none(store: anywasm.Store) -> None:
    f = anywasm.Func(lambda: None, anywasm.FuncType(), store)
    kind = anywasm.TableType("(ref func)", 1)
    with pytest.raises(TypeError, match="not null"):
        anywasm.Table(kind, store)
    table = anywasm.Table(kind, store, f)
    with pytest.raises(TypeError, match="not null"):
        table[0] = None
    with pytest.raises(TypeError, match="not null"):
        table.grow(1)
    assert list(table) == [f]


@pytest.mark.requires("memory64")
def test_a_table_with_64_bit_indices_is_used(instantiate: Instantiate) -> None:
    table = instantiate('(module (table (export "t") i64 1 4 funcref))').exports.t
    assert table.type == anywasm.TableType("funcref", 1, 4, index="i64")
    assert table.grow(2) == 1
    assert repr(table) == "<anywasm.Table: 3 elements of funcref, at most 4, i64>"
    with pytest.raises(IndexError):
        table.get(2**32)
    with pytest.raises(anywasm.LimitError):
        table.grow(2**32)


@pytest.mark.requires("imported_table", "memory64")
def test_a_table_with_64_bit_indices_is_made_or_refused(store: anywasm.Store) -> None:
    kind = anywasm.TableType("funcref", 1, 4, index="i64")
    try:
        table = anywasm.Table(kind, store)
    except anywasm.UnsupportedError as error:
        assert "64-bit" in str(error)
    else:
        assert table.type == kind


@pytest.mark.parametrize(
    ("capability", "element", "settings"),
    [
        ("imported_table", "funcref", {}),
        ("imported_table", "externref", {}),
        ("memory64", "funcref", {"index": "i64"}),
        ("gc", "anyref", {}),
        ("gc", "i31ref", {}),
        ("exceptions", "exnref", {}),
    ],
)
def test_a_table_that_the_engine_cannot_have_is_unsupported(
    store: anywasm.Store, capability: str, element: str, settings: Any
) -> None:
    if {"imported_table", capability} <= store.engine.capabilities:
        pytest.skip("the engine has it")
    with pytest.raises(anywasm.UnsupportedError, match=store.engine.name):
        anywasm.Table(anywasm.TableType(element, 1, 2, **settings), store)


@pytest.mark.requires("imported_table")
def test_a_table_over_the_stores_limit_is_refused(engine: anywasm.Engine) -> None:
    store = anywasm.Store(engine, table_elements=5)
    with pytest.raises((anywasm.LimitError, MemoryError)):
        anywasm.Table(anywasm.TableType("funcref", 6), store)


@pytest.mark.parametrize("arguments", [(), (1,), ("x", "y"), (anywasm.TableType("funcref", 1), None)], ids=str)
def test_a_table_is_made_of_a_type_and_a_store(arguments: Any) -> None:
    with pytest.raises(TypeError, match="Table"):
        anywasm.Table(*arguments)

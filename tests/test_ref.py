# SPDX-License-Identifier: Apache-2.0
"""References to a guest's heap: held, compared, passed back, and kept alive."""

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
  (type $pair (struct (field (mut i32)) (field i32)))
  (type $list (array (mut i32)))
  (func (export "pair") (param i32 i32) (result anyref) (struct.new $pair (local.get 0) (local.get 1)))
  (func (export "first") (param anyref) (result i32) (struct.get $pair 0 (ref.cast (ref $pair) (local.get 0))))
  (func (export "set_first") (param anyref i32) (struct.set $pair 0 (ref.cast (ref $pair) (local.get 0)) (local.get 1)))
  (func (export "list") (param i32) (result anyref) (array.new $list (i32.const 7) (local.get 0)))
  (func (export "i31") (param i32) (result i31ref) (ref.i31 (local.get 0)))
  (func (export "get_s") (param i31ref) (result i32) (i31.get_s (local.get 0)))
  (func (export "echo") (param anyref) (result anyref) (local.get 0))
  (func (export "echo_eq") (param eqref) (result eqref) (local.get 0))
  (func (export "echo_struct") (param structref) (result structref) (local.get 0))
  (func (export "externalize") (param anyref) (result externref) (extern.convert_any (local.get 0)))
  (func (export "internalize") (param externref) (result anyref) (any.convert_extern (local.get 0)))
  (func (export "two") (param anyref anyref) (result anyref anyref) (local.get 1) (local.get 0))
  (func (export "garbage") (param i32)
    (loop $again
      (drop (array.new $list (i32.const 7) (i32.const 1000)))
      (br_if $again (local.tee 0 (i32.sub (local.get 0) (i32.const 1))))))
  (table (export "table") 4 anyref)
  (global (export "global") (mut anyref) (ref.null any))
)
"""

needs_gc = pytest.mark.requires("gc")


@pytest.fixture
def guest(instantiate: Instantiate) -> Any:
    return instantiate(GUEST).exports


# --- kinds --------------------------------------------------------------------------------------------------------


@needs_gc
def test_a_struct_is_a_ref_to_a_struct(guest: Any) -> None:
    assert guest.pair(1, 2).heap_type == "struct"


@needs_gc
def test_an_array_is_a_ref_to_an_array(guest: Any) -> None:
    assert guest.list(3).heap_type == "array"


@needs_gc
def test_an_i31_is_a_ref_to_an_i31(guest: Any) -> None:
    assert guest.i31(3).heap_type == "i31"


@needs_gc
def test_a_ref_knows_its_store(guest: Any, store: anywasm.Store) -> None:
    assert guest.pair(1, 2).store is store


@needs_gc
def test_the_repr_shows_the_kind(guest: Any, store: anywasm.Store) -> None:
    pair, number = guest.pair(1, 2), guest.i31(-5)
    assert repr(pair) == "<anywasm.Ref: struct>"
    assert repr(number) == "<anywasm.Ref: i31 -5>"
    store.close()
    assert repr(pair) == "<anywasm.Ref: struct, closed>"


def test_a_ref_cannot_be_made_from_python() -> None:
    with pytest.raises(TypeError, match="Ref"):
        anywasm.Ref()


# --- passed back --------------------------------------------------------------------------------------------------


@needs_gc
def test_a_ref_is_passed_back(guest: Any) -> None:
    assert guest.first(guest.pair(5, 6)) == 5


@needs_gc
def test_a_ref_refers_to_the_object_itself(guest: Any) -> None:
    pair = guest.pair(1, 2)
    guest.set_first(guest.echo(pair), 99)
    assert guest.first(pair) == 99


@needs_gc
def test_none_is_null(guest: Any) -> None:
    assert guest.echo(None) is None


@needs_gc
def test_a_ref_keeps_its_object_alive(guest: Any, store: anywasm.Store) -> None:
    kept = [guest.pair(i, 0) for i in range(100)]
    guest.garbage(5000)
    store.gc()
    assert [guest.first(ref) for ref in kept] == list(range(100))


@needs_gc
def test_several_refs_survive_one_call(guest: Any) -> None:
    one, other = guest.pair(1, 0), guest.pair(2, 0)
    assert guest.two(one, other) == (other, one)


@needs_gc
@pytest.mark.parametrize("value", [5, "x", object()], ids=["int", "str", "object"])
def test_an_anyref_takes_a_ref_or_none(guest: Any, value: Any) -> None:
    with pytest.raises(TypeError, match=f"a Ref or None, got {type(value).__name__}"):
        guest.echo(value)


@needs_gc
def test_a_ref_of_another_kind_is_a_type_error(guest: Any) -> None:
    for function, value in [
        (guest.get_s, guest.pair(1, 2)),
        (guest.echo_struct, guest.list(1)),
        (guest.echo_struct, guest.i31(1)),
    ]:
        with pytest.raises(TypeError, match="got .*Ref"):
            function(value)


@needs_gc
def test_a_ref_of_another_store_is_a_value_error(guest: Any, engine: anywasm.Engine) -> None:
    with pytest.raises(ValueError, match="another store"):
        guest.echo(anywasm.Ref.i31(5, anywasm.Store(engine)))


@needs_gc
def test_a_ref_goes_through_a_host_function(instantiate: Instantiate) -> None:
    seen = []

    def host(ref: Any) -> Any:
        seen.append(ref)
        return ref

    text = """
      (module
        (type $pair (struct (field i32)))
        (import "host" "f" (func $f (param anyref) (result anyref)))
        (func (export "run") (result i32)
          (struct.get $pair 0 (ref.cast (ref $pair) (call $f (struct.new $pair (i32.const 5)))))))
    """
    assert instantiate(text, {"host": {"f": host}}).exports.run() == 5
    assert seen[0].heap_type == "struct"


@needs_gc
def test_a_host_function_that_returns_an_object_of_another_type_is_a_type_error(instantiate: Instantiate) -> None:
    text = """
      (module
        (type $pair (struct (field i32)))
        (type $other (struct (field f64)))
        (import "host" "f" (func $f (result (ref null $pair))))
        (func (export "other") (result (ref $other)) (struct.new $other (f64.const 1)))
        (func (export "run") (result i32) (ref.is_null (call $f))))
    """
    results: list[Any] = [None]
    exports = instantiate(text, {"host": {"f": lambda: results.pop()}}).exports
    results.append(exports.other())
    with pytest.raises(TypeError, match="type mismatch"):
        exports.run()
    assert exports.run() == 1


# --- tables and globals -------------------------------------------------------------------------------------------


@needs_gc
def test_a_ref_goes_into_a_table(guest: Any) -> None:
    pair = guest.pair(5, 6)
    guest.table[1] = pair
    assert guest.table[1] == pair
    assert guest.table[0] is None


@needs_gc
def test_a_table_is_filled_with_a_ref(guest: Any) -> None:
    pair = guest.pair(5, 6)
    guest.table.fill(0, pair, 4)
    assert list(guest.table) == [pair] * 4
    guest.table.grow(2, pair)
    assert guest.table[5] == pair


@needs_gc
def test_a_ref_goes_into_a_global(guest: Any) -> None:
    pair = guest.pair(5, 6)
    guest["global"].value = pair
    assert guest["global"].value == pair


@needs_gc
def test_a_global_of_refs_is_made(guest: Any, store: anywasm.Store) -> None:
    pair = guest.pair(5, 6)
    assert anywasm.Global(anywasm.GlobalType("anyref"), pair, store).value == pair
    with pytest.raises(TypeError, match="Ref or None"):
        anywasm.Global(anywasm.GlobalType("anyref"), 5, store)


# --- identity -----------------------------------------------------------------------------------------------------


@needs_gc
def test_refs_to_one_object_are_equal(guest: Any) -> None:
    pair = guest.pair(1, 2)
    again = guest.echo(pair)
    assert again is not pair
    assert again == pair
    assert hash(again) == hash(pair)


@needs_gc
def test_refs_to_two_objects_are_not_equal(guest: Any) -> None:
    assert guest.pair(1, 2) != guest.pair(1, 2)
    assert guest.pair(1, 2) != guest.list(1)


@needs_gc
def test_a_set_holds_each_object_once(guest: Any) -> None:
    one, other = guest.pair(1, 2), guest.pair(1, 2)
    assert len({one, other, guest.echo(one), guest.echo_eq(other)}) == 2


@needs_gc
def test_i31s_of_one_value_are_equal(guest: Any, store: anywasm.Store) -> None:
    assert guest.i31(5) == anywasm.Ref.i31(5, store)
    assert hash(guest.i31(5)) == hash(anywasm.Ref.i31(5, store))
    assert guest.i31(5) != guest.i31(6)


@needs_gc
def test_a_ref_is_not_equal_to_anything_else(guest: Any) -> None:
    assert guest.i31(5) != 5
    assert guest.pair(1, 2) != None  # noqa: E711


@needs_gc
def test_a_hash_stays_the_same_when_the_store_is_closed(guest: Any, store: anywasm.Store) -> None:
    found = {guest.pair(1, 2): 1, guest.i31(7): 2, guest.list(1): 3}
    store.close()
    assert [found[ref] for ref in list(found)] == [1, 2, 3]


@needs_gc
def test_a_ref_cannot_be_ordered(guest: Any) -> None:
    with pytest.raises(TypeError):
        guest.i31(1) < guest.i31(2)  # noqa: B015


# --- i31 ----------------------------------------------------------------------------------------------------------


@needs_gc
@pytest.mark.parametrize("value", [0, 1, -1, 2**30 - 1, -(2**30)])
def test_an_i31_makes_the_round_trip(guest: Any, store: anywasm.Store, value: int) -> None:
    ref = anywasm.Ref.i31(value, store)
    assert int(ref) == guest.get_s(ref) == int(guest.i31(value)) == value


@needs_gc
def test_an_i31_may_be_given_unsigned(guest: Any, store: anywasm.Store) -> None:
    assert guest.get_s(anywasm.Ref.i31(2**31 - 1, store)) == -1
    assert int(anywasm.Ref.i31(2**30, store)) == -(2**30)


@needs_gc
@pytest.mark.parametrize(
    "value",
    [2**31, -(2**30) - 1, 2**64, -(2**64), 10**5000],
    ids=lambda value: str(value)[:20] if value < 2**70 else "huge",
)
def test_an_i31_out_of_range_is_an_overflow_error(store: anywasm.Store, value: int) -> None:
    with pytest.raises(OverflowError, match="out of range"):
        anywasm.Ref.i31(value, store)


WRONG_ARGUMENTS: list[tuple[tuple[Any, ...], str]] = [
    ((), "expected 2 arguments, got 0"),
    ((1,), "expected 2 arguments, got 1"),
    ((1, None), "store: expected a Store, got NoneType"),
    ((1, type("anywasm.Store", (), {})()), "store: expected a Store"),
]


@pytest.mark.parametrize(("arguments", "message"), WRONG_ARGUMENTS, ids=["none", "one", "no store", "a false store"])
def test_a_wrong_argument_is_a_type_error(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        anywasm.Ref.i31(*arguments)


@pytest.mark.parametrize("value", ["1", 1.0, None], ids=repr)
def test_an_i31_is_made_of_an_integer(store: anywasm.Store, value: Any) -> None:
    with pytest.raises(TypeError, match="value: expected an integer"):
        anywasm.Ref.i31(value, store)


@needs_gc
def test_only_an_i31_has_a_number(guest: Any) -> None:
    with pytest.raises(TypeError, match="i31"):
        int(guest.pair(1, 2))


def test_an_i31_is_unsupported_where_the_engine_has_no_gc(store: anywasm.Store) -> None:
    if "gc" in store.engine.capabilities:
        pytest.skip("the engine has gc")
    with pytest.raises(anywasm.UnsupportedError, match=store.engine.name):
        anywasm.Ref.i31(5, store)


# --- in and out of externref --------------------------------------------------------------------------------------


@needs_gc
def test_what_a_guest_made_external_is_an_opaque_ref(guest: Any) -> None:
    outside = guest.externalize(guest.pair(5, 6))
    assert isinstance(outside, anywasm.Ref)
    assert outside.heap_type == "extern"


@needs_gc
def test_what_a_guest_made_external_comes_back_as_itself(guest: Any) -> None:
    pair = guest.pair(5, 6)
    assert guest.internalize(guest.externalize(pair)) == pair


@needs_gc
def test_an_object_of_the_host_goes_through_any(guest: Any) -> None:
    thing = object()
    inside = guest.internalize(thing)
    assert isinstance(inside, anywasm.Ref)
    assert guest.externalize(inside) is thing


# --- lifetimes ----------------------------------------------------------------------------------------------------


@needs_gc
def test_a_ref_is_refused_after_close(guest: Any, store: anywasm.Store) -> None:
    number, echo = guest.i31(5), guest.echo
    store.close()
    with pytest.raises(ValueError, match="closed"):
        int(number)
    with pytest.raises(ValueError, match="closed"):
        echo(number)
    with pytest.raises(ValueError, match="closed"):
        anywasm.Ref.i31(5, store)


@needs_gc
def test_a_ref_may_outlive_a_closed_store(guest: Any, store: anywasm.Store) -> None:
    pair = guest.pair(1, 2)
    store.close()
    assert pair.heap_type == "struct"
    del pair
    gc.collect()


@needs_gc
def test_a_ref_keeps_its_store_alive(engine: anywasm.Engine, wat: Callable[[str], bytes]) -> None:
    store = anywasm.Store(engine)
    exports = anywasm.Instance(anywasm.Module(wat(GUEST), engine), store=store).exports
    pair = exports.pair(1, 2)
    gone = weakref.ref(store)
    del store, exports
    gc.collect()
    assert gone() is pair.store
    del pair
    gc.collect()
    assert gone() is None


@needs_gc
def test_refs_leave_nothing_behind(guest: Any, store: anywasm.Store) -> None:
    pair = guest.pair(1, 2)
    before = sys.getrefcount(anywasm.Ref)
    assert (
        growth(lambda: (guest.echo(pair), guest.pair(1, 2), anywasm.Ref.i31(5, store), pair == guest.echo(pair))) < 100
    )
    assert abs(sys.getrefcount(anywasm.Ref) - before) < 10


@needs_gc
def test_wrong_arguments_leave_nothing_behind(guest: Any, store: anywasm.Store) -> None:
    pair = guest.pair(1, 2)

    def fail() -> None:
        for use in (
            lambda: guest.get_s(pair),
            lambda: guest.echo(5),
            lambda: guest.two(pair, 5),
            lambda: anywasm.Ref.i31("x", store),  # type: ignore[arg-type]
            lambda: int(pair),
        ):
            with pytest.raises(TypeError):
                use()

    growth(fail)  # warms up what Python keeps
    assert growth(fail) < 100

# SPDX-License-Identifier: Apache-2.0
"""Globals: values in and out, constants that stay constant, bit patterns, and sharing."""

import gc
import math
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
  (global $i32 (export "i32") (mut i32) (i32.const -5))
  (global $i64 (export "i64") (mut i64) (i64.const 1234567890123))
  (global $f32 (export "f32") (mut f32) (f32.const 1.5))
  (global $f64 (export "f64") (mut f64) (f64.const 0.1))
  (global (export "constant") i32 (i32.const 42))
  (func (export "get_i32") (result i32) (global.get $i32))
  (func (export "set_i32") (param i32) (global.set $i32 (local.get 0)))
  (func (export "get_f32_bits") (result i32) (i32.reinterpret_f32 (global.get $f32)))
  (func (export "get_f64_bits") (result i64) (i64.reinterpret_f64 (global.get $f64)))
)
"""

OBJECTS = """
(module
  (global $object (export "object") (mut externref) (ref.null extern))
  (global (export "func") (mut funcref) (ref.func $f))
  (func $f (export "f") (result i32) i32.const 7)
  (func (export "load") (result externref) (global.get $object))
  (func (export "keep") (param externref) (global.set $object (local.get 0)))
)
"""


@pytest.fixture
def guest(instantiate: Instantiate) -> Any:
    return instantiate(GUEST).exports


@pytest.fixture
def objects(instantiate: Instantiate) -> Any:
    return instantiate(OBJECTS).exports


# --- values -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"), [("i32", -5), ("i64", 1234567890123), ("f32", 1.5), ("f64", 0.1), ("constant", 42)]
)
def test_a_value_is_read(guest: Any, name: str, value: float) -> None:
    assert guest[name].value == value
    assert type(guest[name].value) is type(value)


@pytest.mark.parametrize(
    ("name", "value", "back"),
    [
        ("i32", 7, 7),
        ("i32", True, 1),
        ("i32", 2**32 - 1, -1),
        ("i32", -(2**31), -(2**31)),
        ("i64", 2**64 - 1, -1),
        ("i64", -(2**63), -(2**63)),
        ("f32", 3, 3.0),
        ("f32", -math.inf, -math.inf),
        ("f64", 2.5, 2.5),
        ("f64", 10, 10.0),
    ],
)
def test_a_value_set_is_read_back(guest: Any, name: str, value: float, back: float) -> None:
    guest[name].value = value
    assert guest[name].value == back


def test_a_value_set_is_seen_by_the_guest(guest: Any) -> None:
    guest.i32.value = 77
    assert guest.get_i32() == 77


def test_a_value_set_by_the_guest_is_seen(guest: Any) -> None:
    guest.set_i32(-9)
    assert guest.i32.value == -9


def test_a_constant_cannot_be_set(guest: Any) -> None:
    with pytest.raises(TypeError, match=r"Global\.value \(i32\) cannot be set: the global is immutable"):
        guest.constant.value = 1
    with pytest.raises(TypeError, match="immutable"):
        guest.constant.value_bits = 1
    assert guest.constant.value == 42


@pytest.mark.parametrize("name", ["value", "value_bits"])
def test_a_value_cannot_be_deleted(guest: Any, name: str) -> None:
    with pytest.raises(TypeError, match="cannot be deleted"):
        delattr(guest.i32, name)


@pytest.mark.parametrize("name", ["type", "store", "other"])
def test_nothing_else_can_be_set(guest: Any, name: str) -> None:
    with pytest.raises(AttributeError):
        setattr(guest.i32, name, None)


WRONG_VALUES: list[tuple[str, Any, type[Exception], str]] = [
    ("i32", "x", TypeError, r"Global\.value \(i32\): expected an integer, got str"),
    ("i32", 1.0, TypeError, "got float"),
    ("i32", None, TypeError, "got None"),
    ("i32", 2**32, OverflowError, "4294967296 is out of range"),
    ("i32", -(2**31) - 1, OverflowError, "out of range"),
    ("i64", 2**64, OverflowError, "out of range"),
    ("f32", "1", TypeError, "got str"),
    ("f32", 1e39, OverflowError, "out of range"),
    ("f64", 10**400, OverflowError, "out of range"),
    ("f64", b"", TypeError, "got bytes"),
]


@pytest.mark.parametrize(("name", "value", "error", "message"), WRONG_VALUES, ids=str)
def test_a_wrong_value_is_refused_and_changes_nothing(
    guest: Any, name: str, value: Any, error: type[Exception], message: str
) -> None:
    before = guest[name].value
    with pytest.raises(error, match=message):
        guest[name].value = value
    assert guest[name].value == before


def test_wrong_values_leave_nothing_behind(guest: Any) -> None:
    def fail() -> None:
        for name, value, error, _ in WRONG_VALUES:
            with pytest.raises(error):
                guest[name].value = value
        with pytest.raises(TypeError):
            guest.constant.value = 1

    fail()
    before = sys.getrefcount(anywasm.Global)
    growth(fail)  # warms up what Python keeps
    assert growth(fail) < 100
    assert abs(sys.getrefcount(anywasm.Global) - before) < 10


# --- bits ---------------------------------------------------------------------------------------------------------

NAN32, NAN64 = 0x7FA01234, 0xFFF0DEADBEEF0001


def test_bits_are_unsigned(guest: Any) -> None:
    assert guest.i32.value_bits == 2**32 - 5
    assert guest.f32.value_bits == 0x3FC00000


def test_bits_keep_each_nan(guest: Any) -> None:
    guest.f32.value_bits = NAN32
    guest.f64.value_bits = NAN64
    assert (guest.f32.value_bits, guest.f64.value_bits) == (NAN32, NAN64)
    assert math.isnan(guest.f32.value)
    assert (guest.get_f32_bits.call_bits(), guest.get_f64_bits.call_bits()) == (NAN32, NAN64)


@pytest.mark.parametrize(("name", "bits"), [("i32", -1), ("i32", 2**32), ("f32", 2**32), ("i64", 2**64), ("f64", -1)])
def test_bits_out_of_range_are_refused(guest: Any, name: str, bits: int) -> None:
    with pytest.raises(OverflowError, match="out of range"):
        guest[name].value_bits = bits


def test_bits_are_integers(guest: Any) -> None:
    with pytest.raises(TypeError, match=r"Global\.value_bits \(f32\): expected an integer, got float"):
        guest.f32.value_bits = 1.0


@pytest.mark.requires("simd")
def test_a_vector_is_bytes_or_bits(instantiate: Instantiate) -> None:
    vector = instantiate(
        '(module (global (export "g") (mut v128) (v128.const i8x16 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15)))'
    ).exports.g
    assert vector.value == bytes(range(16))
    vector.value_bits = 2**128 - 2
    assert vector.value == b"\xfe" + b"\xff" * 15
    vector.value = memoryview(bytes(16))
    assert vector.value_bits == 0


# --- references ---------------------------------------------------------------------------------------------------


def test_any_object_goes_into_an_externref(objects: Any) -> None:
    thing = object()
    objects.object.value = thing
    assert objects.object.value is objects.load() is thing
    objects.object.value = None
    assert objects.load() is None


def test_an_object_set_by_the_guest_is_seen(objects: Any) -> None:
    thing = object()
    objects.keep(thing)
    assert objects.object.value is objects.object.value_bits is thing


def test_an_object_lives_as_long_as_the_global_holds_it(objects: Any, store: anywasm.Store) -> None:
    class Thing:
        pass

    objects.object.value = Thing()
    gc.collect()
    alive = weakref.ref(objects.load())
    gc.collect()
    assert alive() is not None
    store.close()
    gc.collect()
    assert alive() is None


def test_a_function_comes_out_and_goes_in(objects: Any, store: anywasm.Store) -> None:
    assert objects.func.value == objects.f
    assert objects.func.value() == 7
    host = anywasm.Func(lambda: 8, anywasm.FuncType([], ["i32"]), store)
    objects.func.value = host
    assert objects.func.value == host
    objects.func.value = None
    assert objects.func.value is None


def test_a_funcref_takes_functions_of_this_store_only(objects: Any, engine: anywasm.Engine) -> None:
    with pytest.raises(TypeError, match="Func or None, got int"):
        objects.func.value = 5
    with pytest.raises(ValueError, match="another store"):
        objects.func.value = anywasm.Func(lambda: None, anywasm.FuncType(), anywasm.Store(engine))
    assert objects.func.value == objects.f


# --- types and reprs ------------------------------------------------------------------------------------------------


def test_the_type_tells_value_and_mutability(guest: Any) -> None:
    assert guest.i64.type == anywasm.GlobalType("i64", mutable=True)
    assert guest.constant.type == anywasm.GlobalType("i32")


def test_a_global_knows_its_store(guest: Any, store: anywasm.Store) -> None:
    assert guest.i32.store is store


def test_the_repr_shows_type_and_number(guest: Any, objects: Any) -> None:
    assert repr(guest.i32) == "<anywasm.Global: mutable i32, -5>"
    assert repr(guest.constant) == "<anywasm.Global: i32, 42>"
    assert repr(objects.object) == "<anywasm.Global: mutable externref>"


def test_the_repr_of_a_closed_global_says_so(guest: Any, store: anywasm.Store) -> None:
    number = guest.i32
    store.close()
    assert repr(number) == "<anywasm.Global: mutable i32, closed>"


# --- a store that closes meanwhile ------------------------------------------------------------------------------------


class Closing:
    """A number that closes a store when it is asked."""

    def __init__(self, store: anywasm.Store) -> None:
        self.store = store

    def __index__(self) -> int:
        self.store.close()
        return 1

    def __float__(self) -> float:
        return float(self.__index__())


@pytest.mark.parametrize("name", ["i32", "i64", "f32", "f64"])
def test_a_value_that_closes_the_store_is_a_value_error(guest: Any, store: anywasm.Store, name: str) -> None:
    number = guest[name]
    with pytest.raises(ValueError, match="closed"):
        number.value = Closing(store)


def test_a_first_value_that_closes_the_store_is_a_value_error(store: anywasm.Store) -> None:
    with pytest.raises(ValueError, match="closed"):
        anywasm.Global(anywasm.GlobalType("i32"), Closing(store), store)


# --- identity -----------------------------------------------------------------------------------------------------


def test_two_objects_of_one_global_are_equal(instantiate: Instantiate) -> None:
    exports = instantiate('(module (global $g (export "a") (mut i32) (i32.const 1)) (export "b" (global $g)))').exports
    assert exports.a == exports.b
    assert hash(exports.a) == hash(exports.b)


def test_two_globals_are_not_equal(guest: Any) -> None:
    assert guest.i32 != guest.i64
    assert len({guest.i32, guest.i64, guest.f32}) == 3


# --- made by the host -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "value"), [("i32", 5), ("i64", -5), ("f32", 0.5), ("f64", 0.1)])
def test_a_constant_made_by_the_host_is_imported(
    store: anywasm.Store, instantiate: Instantiate, kind: str, value: Any
) -> None:
    constant = anywasm.Global(anywasm.GlobalType(kind), value, store)
    text = f'(module (import "host" "g" (global {kind})) (func (export "load") (result {kind}) (global.get 0)))'
    assert instantiate(text, {"host": {"g": constant}}).exports.load() == constant.value == value


@pytest.mark.requires("imported_global")
def test_a_variable_made_by_the_host_is_shared(store: anywasm.Store, instantiate: Instantiate) -> None:
    number = anywasm.Global(anywasm.GlobalType("i32", mutable=True), 5, store)
    text = """
      (module
        (import "host" "g" (global (mut i32)))
        (func (export "add") (param i32) (global.set 0 (i32.add (global.get 0) (local.get 0)))))
    """
    one, other = (instantiate(text, {"host": {"g": number}}).exports for _ in range(2))
    one.add(1)
    other.add(10)
    assert number.value == 16
    number.value = 100
    one.add(1)
    assert number.value == 101


@pytest.mark.requires("imported_global")
def test_a_variable_may_hold_an_object(store: anywasm.Store) -> None:
    thing = object()
    holder = anywasm.Global(anywasm.GlobalType("externref", mutable=True), thing, store)
    assert holder.value is thing


@pytest.mark.parametrize(
    ("capability", "kind", "mutable"),
    [
        ("imported_global", "i32", True),
        ("simd", "v128", False),
        ("gc", "anyref", False),
        ("gc", "i31ref", False),
        ("gc", "(ref null none)", False),
        ("exceptions", "exnref", False),
        ("function_references", "(ref func)", False),
    ],
)
def test_a_global_that_the_engine_cannot_have_is_unsupported(
    store: anywasm.Store, capability: str, kind: str, mutable: bool
) -> None:
    if capability in store.engine.capabilities:
        pytest.skip("the engine has it")
    with pytest.raises(anywasm.UnsupportedError, match=store.engine.name):
        anywasm.Global(anywasm.GlobalType(kind, mutable), None, store)


def test_a_first_value_is_checked(store: anywasm.Store) -> None:
    with pytest.raises(TypeError, match=r"Global\(\): value \(i32\): expected an integer, got str"):
        anywasm.Global(anywasm.GlobalType("i32"), "x", store)
    with pytest.raises(OverflowError):
        anywasm.Global(anywasm.GlobalType("i32"), 2**32, store)


@pytest.mark.parametrize("arguments", [(), (1,), ("x", 1, "y"), (anywasm.GlobalType("i32"), 1)], ids=str)
def test_a_global_is_made_of_a_type_a_value_and_a_store(arguments: Any) -> None:
    with pytest.raises(TypeError, match="Global"):
        anywasm.Global(*arguments)


def test_globals_leave_nothing_behind(store: anywasm.Store) -> None:
    kind = anywasm.GlobalType("f64")
    make: Callable[[], Any] = lambda: anywasm.Global(kind, 0.25, store).value  # noqa: E731
    growth(make)  # warms up what Python keeps
    assert growth(make) < 100

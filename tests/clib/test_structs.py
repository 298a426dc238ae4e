# SPDX-License-Identifier: Apache-2.0
"""Structs and unions: by value, behind pointers, in the library's memory."""

import copy
import struct
from collections import OrderedDict, UserDict, namedtuple
from typing import Any

import numpy as np
import pytest

from anywasm import clib

Point = namedtuple("Point", "x y")  # noqa: PYI024
RECORD = np.dtype([("x", "f8"), ("y", "f8")])

POINTS = [
    (1, 2),
    [1, 2],
    {"x": 1, "y": 2},
    OrderedDict(y=2, x=1),
    UserDict(x=1, y=2),
    Point(1, 2),
    np.array([(1, 2)], RECORD)[0],
]


@pytest.mark.parametrize("point", POINTS, ids=lambda value: type(value).__name__)
def test_what_a_struct_is_made_of(lib: clib.Library, point: Any) -> None:
    assert lib.shifted(point, 1) == (2.0, 3.0)
    assert lib.centroid([point], 1) == (1.0, 2.0)
    assert lib.new("point *", point)[0] == (1.0, 2.0)


def test_a_struct_comes_back_as_an_object(lib: clib.Library) -> None:
    point = lib.shifted((1, 2), 0.5)
    assert (point.x, point.y) == (1.5, 2.5)
    x, y = point
    assert (x, y) == tuple(point) == (1.5, 2.5)
    assert len(point) == 2
    assert point[1] == 2.5
    assert repr(point) == "point(x=1.5, y=2.5)"
    assert point == lib.shifted((0, 1), 1.5)
    assert point != lib.shifted((0, 1), 1)
    assert point != (1.5, 2)
    assert point != "point"
    assert point.address is None
    assert point.owned
    assert {"x", "y", "ctype"} <= set(dir(point))
    point.x = 9
    assert lib.shifted(point, 0) == (9.0, 2.5)
    assert np.asarray(point)["x"] == 9
    assert lib.sizeof(point) == 16


def test_fields_that_are_not_told_are_zero(lib: clib.Library) -> None:
    assert lib.shifted({"y": 1}, 0) == (0.0, 1.0)
    assert lib.shifted({}, 0) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("point", "message"),
    [
        ((1,), "expected 2 values, one for each field, got 1"),
        ((1, 2, 3), "expected 2 values, one for each field, got 3"),
        ({"x": 1, "z": 2}, "there is no field 'z' (there are: x, y)"),
        ({1: 2}, "there is no field 1 (there are: x, y)"),
        ({"x": "1"}, "field 'x' (double): expected a number, got str"),
        ((1, "2"), "field 'y' (double): expected a number, got str"),
        ("ab", "expected a dict, a tuple or a struct, got str"),
        (None, "expected a dict, a tuple or a struct, got NoneType"),
        (1, "expected a dict, a tuple or a struct, got int"),
        (np.zeros(2), "expected a dict, a tuple or a struct, got numpy.ndarray"),
        (np.zeros(2, RECORD), "expected one struct, got an array of them"),
    ],
    ids=str,
)
def test_what_is_no_such_struct_is_refused(lib: clib.Library, point: Any, message: str) -> None:
    with pytest.raises(TypeError) as caught:
        lib.shifted(point, 1)
    assert str(caught.value) == f"shifted(): argument 1 'p' (point): {message}"


def test_a_struct_of_one_number_goes_as_that(lib: clib.Library) -> None:
    assert lib.same_wrapped({"value": 1.5}).value == 1.5
    assert lib.same_wrapped(lib.same_wrapped((2.5,))) == (2.5,)


def test_a_union_has_one_of_its_fields(lib: clib.Library) -> None:
    one = lib.same_number({"f": 1.0})
    assert one.i == 0x3F800000
    assert one.f == 1.0
    assert list(one.bytes) == [0, 0, 0x80, 0x3F, 0, 0, 0, 0]
    one.bytes = [1]
    assert one.i == 1
    with pytest.raises(TypeError, match="expected a dict with the field to set, or a union, got tuple"):
        lib.same_number((1,))


def test_a_struct_with_everything(lib: clib.Library) -> None:
    made = lib.same_mixed(
        {
            "small": -1,
            "large": 2**40,
            "flag": 1,
            "kind": 5,
            "signed_bits": -16,
            "part": (1, -2),
            "whole": 0x20001,
            "grid": [[1, 2], [4]],
        }
    )
    assert (made.small, made.large, made.flag, made.kind, made.signed_bits) == (-1, 2**40, 1, 5, -16)
    assert made.part == (1, -2)
    assert list(made.halves) == [1, 2]
    assert [list(row) for row in made.grid] == [[1, 2, 0], [4, 0, 0]]
    assert "grid=<anywasm.clib.Array" in repr(made)
    made.kind = 7
    made.part.b = 5
    made.grid[1][2] = 6
    again = lib.same_mixed(made)
    assert (again.kind, again.flag, again.part.b, again.grid[1][2]) == (7, 1, 5, 6)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("kind", 8, r"field 'kind' \(unsigned int\): 8 is out of range \(0 to 7\)"),
        ("kind", -1, r"-1 is out of range \(0 to 7\)"),
        ("signed_bits", 16, r"16 is out of range \(-16 to 15\)"),
        ("flag", 2, r"2 is out of range \(0 to 1\)"),
    ],
)
def test_a_bit_field_has_few_values(lib: clib.Library, field: str, value: int, message: str) -> None:
    made = lib.same_mixed({})
    with pytest.raises(OverflowError, match=message):
        setattr(made, field, value)
    with pytest.raises(OverflowError, match=message):
        lib.same_mixed({field: value})
    assert getattr(made, field) == 0


def test_attributes_that_there_are_not(lib: clib.Library) -> None:
    point = lib.shifted((1, 2), 0)
    for target in (point, lib.new("point *")):
        with pytest.raises(AttributeError, match="point has no field 'z'"):
            target.z  # noqa: B018
        with pytest.raises(AttributeError, match="has no field 'z'"):
            target.z = 1
        with pytest.raises(AttributeError, match="cannot be deleted"):
            del target.x
    with pytest.raises(IndexError):
        point[2]
    with pytest.raises(TypeError):
        hash(point)
    with pytest.raises(TypeError):
        copy.copy(point)


def test_a_struct_in_the_librarys_memory_is_a_place(lib: clib.Library) -> None:
    pointer = lib.new("point *", (1, 2))
    place = pointer[0]
    lib.shift(pointer, 1)
    assert place == (2.0, 3.0)
    lib.shift(place, 1)
    assert (pointer.x, pointer.y) == (3.0, 4.0)
    pointer.x = 10
    assert place.x == 10.0
    pointer[0] = (5, 6)
    assert place == (5.0, 6.0)
    assert lib.shifted(place, 0) == (5.0, 6.0)
    assert lib.centroid(place, 1) == (5.0, 6.0)


def test_pythons_own_struct_is_copied_in_and_back(lib: clib.Library) -> None:
    point = lib.shifted((1, 2), 0)
    lib.shift(point, 1)
    assert point == (2.0, 3.0)
    with pytest.raises(TypeError, match="and a dict goes there as a copy"):
        lib.shift({"x": 1}, 1)
    with pytest.raises(TypeError, match="and tuple cannot be changed"):
        lib.shift((1, 2), 1)
    points = [(1, 2), {"x": 3}]
    lib.shift(points, 1)
    assert points == [(2.0, 3.0), (3.0, 0.0)]


def test_a_list_of_nodes(lib: clib.Library) -> None:
    last = lib.new("node *", {"value": 3})
    first = lib.new("node *", {"value": 1, "next": {"value": 2, "next": last}})
    assert lib.list_sum(first) == 6
    assert first.next.next.value == 3
    assert first.next.next == last
    del last
    assert lib.list_sum(first) == 6  # the second keeps it
    assert lib.list_sum({"value": 4, "next": first}) == 10
    assert lib.list_sum(None) == 0
    first.next = None
    assert lib.list_sum(first) == 1
    first.next = {"value": 9}
    assert lib.list_sum(first) == 10


def test_strings_and_arrays_within_a_struct(lib: clib.Library) -> None:
    made = lib.new("node *", {"name": "ab", "label": "étiquette", "paint": 5, "key": b"\1\2", "items": [1, 2, 3]})
    assert (made.name, made.label, made.paint) == ("ab", "étiquette", lib.color.GREEN)
    assert bytes(made.key) == b"\1\2\0\0"
    assert [made.items[i] for i in range(3)] == [1, 2, 3]
    assert lib.label_length(made) == 10
    made.label = "x" * 1000
    assert lib.label_length(made) == 1000
    assert lib.label_length({"label": "abc"}) == 3
    made.name = "12345678"
    assert made.name == "12345678"
    with pytest.raises(ValueError, match="there is room for 8 items, got 9"):
        made.name = "123456789"
    made.key[0] = 200
    assert made.key[0] == 200
    with pytest.raises(TypeError, match=r"field 'items' \(const int \*\): item 1: expected an integer, got str"):
        made.items = [1, "2"]


def test_what_was_replaced_is_freed(lib: clib.Library) -> None:
    made = lib.new("node *")
    owned = lib._core.owned
    for i in range(100):
        made.label = f"label {i}"
        made.next = {"value": i, "label": "deep"}
    assert lib._core.owned == owned + 3
    made.label = made.next = None
    assert lib._core.owned == owned
    made[0] = {"label": "a", "next": {"label": "b"}}
    assert lib._core.owned == owned + 3
    made[0] = {}
    assert lib._core.owned == owned
    made.label = "again"
    del made
    assert lib._core.owned == owned - 1


def test_a_copy_of_a_struct_keeps_what_it_points_at(lib: clib.Library) -> None:
    one = lib.new("node *", {"label": "kept"})
    two = lib.new("node *", one[0])
    del one
    assert two.label == "kept"


def test_memory_of_the_librarys_own_keeps_nothing(lib: clib.Library) -> None:
    node = lib.make_node(5)
    assert not node.owned
    with pytest.raises(TypeError, match=r"field 'label' \(const char \*\)|nobody would free"):
        node.label = "text"
    text = lib.string("text")
    node.label = text
    assert node.label == "text"
    node.value = 6
    assert lib.list_sum(node) == 6


def test_const_is_kept(lib: clib.Library) -> None:
    pointer = lib.cast("const point *", lib.new("point *", (1, 2)))
    assert pointer.x == 1.0  # type: ignore[union-attr]
    for change in (
        lambda: setattr(pointer, "x", 2),
        lambda: pointer.__setitem__(0, (1, 1)),
        lambda: setattr(pointer[0], "x", 1),
    ):  # type: ignore[index, union-attr]
        with pytest.raises(TypeError, match="const"):
            change()
    with pytest.raises(TypeError, match="the value is const, and the library may change what it gets here"):
        lib.shift(pointer, 1)
    assert memoryview(pointer[0:1]).readonly  # type: ignore[index, arg-type]
    with pytest.raises(TypeError, match="read-write"):
        struct.pack_into("d", pointer[0:1], 0, 1.0)  # type: ignore[index, arg-type]
    assert not np.asarray(pointer[0:1]).flags.writeable  # type: ignore[index]


def test_variables(lib: clib.Library) -> None:
    assert (lib.counter, lib.constant, lib.version) == (7, 42, "1.0")
    lib.counter = -1
    assert lib.counter == -1
    assert lib.origin == (1.5, 2.5)
    lib.origin.x = 0
    lib.shift(lib.origin, 1)
    assert lib.origin == (1.0, 3.5)
    lib.origin = {"y": 1}
    assert lib.origin == (0.0, 1.0)
    with pytest.raises(OverflowError, match=r"counter \(int\): 4294967296 is out of range"):
        lib.counter = 2**32
    with pytest.raises(TypeError, match="nobody would free"):
        lib.version = "2.0"
    with pytest.raises(TypeError, match=r"version \(const char \*\): the value needs memory of its own"):
        lib.version = "2.0"
    with pytest.raises(TypeError, match=r"constant \(int\): it is const"):
        lib.constant = 43
    with pytest.raises(TypeError, match="const"):
        lib.addressof("constant")[0] = 43
    assert lib.constant == 42
    two = lib.string("2.0")
    lib.version = two
    assert lib.version == "2.0"
    assert lib.addressof("counter")[0] == -1

# SPDX-License-Identifier: Apache-2.0
"""Buffers and sequences for pointers, and arrays in a library's memory."""

import array
import ctypes
import gc
from typing import Any

import numpy as np
import pytest

from anywasm import clib

DOUBLES = [1.0, 2.0, 6.0]


@pytest.mark.parametrize(
    "values",
    [
        DOUBLES,
        tuple(DOUBLES),
        [1, np.float32(2), True + 5],
        np.array(DOUBLES),
        np.array([DOUBLES, DOUBLES]).T[:, 0],
        np.array([*DOUBLES, 0.0])[:3],
        np.repeat(DOUBLES, 2)[::2],
        array.array("d", DOUBLES),
        memoryview(array.array("d", DOUBLES)),
        (ctypes.c_double * 3)(*DOUBLES),
        range(1, 4),
    ],
    ids=lambda value: type(value).__name__,
)
def test_items_are_copied_in(lib: clib.Library, values: Any) -> None:
    expected = sum(values) / 3
    assert lib.mean(values, 3) == expected


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.arange(3), "expected items of double (format 'd'), got a buffer of format 'l'"),
        (np.arange(3, dtype="f4"), "expected items of double (format 'd'), got a buffer of format 'f'"),
        (np.arange(3, dtype=">f8"), "got a buffer of format '>d'"),
        (b"abcdefgh", "expected items of double (format 'd'), got a buffer of format 'B'"),
        ("abc", "expected a pointer, a buffer or a sequence, got str"),
        (1.5, "expected a pointer, a buffer, a sequence or None, got float"),
        (7, "expected a pointer (cast() makes one of an address), got int"),
        ({1.0: 2.0}, "expected a pointer, a buffer, a sequence or None, got dict"),
        ({1.0, 2.0}, "expected a pointer, a buffer, a sequence or None, got set"),
        ([1.0, "2"], "item 1: expected a number, got str"),
        ([1.0, None], "item 1: expected a number, got NoneType"),
    ],
    ids=str,
)
def test_items_of_another_type_are_refused(lib: clib.Library, values: Any, message: str) -> None:
    with pytest.raises(TypeError) as caught:
        lib.mean(values, 1)
    assert str(caught.value).startswith("mean(): argument 1 'values' (const double *): ")
    assert message in str(caught.value)


def test_items_out_of_range_are_refused(lib: clib.Library) -> None:
    numbers = [1, 2**31]
    with pytest.raises(
        OverflowError, match=r"negate\(\): argument 1 'values' \(int \*\): item 1: 2147483648 is out of range"
    ):
        lib.negate(numbers, 2)
    assert numbers == [1, 2**31]


@pytest.mark.parametrize(
    "make", [list, lambda n: np.array(n, "i4"), lambda n: array.array("i", n), lambda n: (ctypes.c_int * 3)(*n)]
)
def test_what_the_library_changes_is_copied_back(lib: clib.Library, make: Any) -> None:
    values = make([1, -2, 3])
    lib.negate(values, 3)
    assert list(values) == [-1, 2, -3]


def frozen() -> Any:
    values = np.array([1, 2], "i4")
    values.flags.writeable = False
    return values


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ((1, 2), "and tuple cannot be changed: pass a list"),
        (range(2), "and range cannot be changed: pass a list"),
        (frozen(), "ndarray cannot be changed: pass a buffer that can be written"),
        (memoryview(array.array("i", [1])).toreadonly(), "and memoryview cannot be changed"),
        (np.arange(4, dtype="i4")[::2], "its items must lie one behind the other"),
        (b"1234", "and bytes cannot be changed"),
    ],
    ids=str,
)
def test_what_cannot_be_changed_is_refused_where_the_library_may(lib: clib.Library, values: Any, message: str) -> None:
    with pytest.raises(TypeError) as caught:
        lib.negate(values, 1)
    assert message in str(caught.value)


def test_bytes_of_any_kind_go_where_void_is(lib: clib.Library) -> None:
    expected = lib.checksum(b"abcd", 4)
    for data in (bytearray(b"abcd"), memoryview(b"abcd"), np.frombuffer(b"abcd", "u4"), array.array("b", b"abcd")):
        assert lib.checksum(data, 4) == expected
    with pytest.raises(TypeError, match="expected bytes, got str: encode it"):
        lib.checksum("abcd", 4)
    with pytest.raises(TypeError, match="expected a pointer, a buffer or None, got list"):
        lib.checksum([1], 4)
    data = bytearray(b"abc")
    lib.upper(data, 3)
    assert data == b"ABC"
    assert lib.checksum(b"", 0) == 0


def test_rows_and_strings_and_complex_numbers(lib: clib.Library) -> None:
    rows = [[1, 2, 3], (4, 5, 6)]
    assert lib.total(rows, 2) == 21
    assert lib.total(np.array(rows, "i4"), 2) == 21
    with pytest.raises(ValueError, match=r"item 1: there is room for 3 items, got 4"):
        lib.total([[1, 2, 3], [1, 2, 3, 4]], 2)
    with pytest.raises(ValueError, match="no multiple"):
        lib.total(np.array([1, 2], "i4"), 1)
    assert lib.lengths(["ab", b"cde", "f"], 3) == 6
    values = [1 + 2j, 3]
    lib.conjugates(values, 2)
    assert values == [1 - 2j, 3 + 0j]
    buffer = np.array([1 + 2j])
    lib.conjugates(buffer, 1)
    assert buffer[0] == 1 - 2j


def test_a_megabyte_goes_beyond_the_arena(lib: clib.Library) -> None:
    values = np.arange(131072.0)
    assert lib.mean(values, len(values)) == values.mean()
    numbers = np.arange(131072, dtype="i4")
    lib.negate(numbers, len(numbers))
    assert (numbers == -np.arange(131072)).all()
    before = lib.in_use()
    for _ in range(20):
        lib.mean(values, len(values))
    assert lib.in_use() == before


def test_more_than_the_memory_can_have(load: Any) -> None:
    lib = load(memory=32 << 20)
    with pytest.raises(MemoryError, match="the library has no memory for"):
        lib.mean(np.zeros(4 << 20), 1)
    with pytest.raises(MemoryError):
        lib.array("char", 2**32)
    with pytest.raises(MemoryError):
        lib.array("char", 32 << 20)
    assert lib.mean([1.0], 1) == 1.0


def test_lists_within_a_list_are_filled(lib: clib.Library) -> None:
    rows: Any = [[1, 2, 3], [4]]
    first, second = rows
    assert lib.total(rows, 2) == 10
    lib.scale(rows, 2, 10)
    assert rows == [[10, 20, 30], [40, 0, 0]]
    assert rows[0] is first
    assert rows[1] is second


def test_an_array_of_another_shape_is_refused(lib: clib.Library) -> None:
    assert lib.total(np.ones((2, 3), "i4"), 2) == 6
    assert lib.total(np.ones(6, "i4"), 2) == 6
    for shape in ((3, 2), (2, 3, 1), (1, 2, 3), (6, 1)):
        with pytest.raises(TypeError, match=r"expected items of int\[3\]"):
            lib.total(np.ones(shape, "i4"), 2)
    assert lib.checksum(np.ones((2, 3), "u1"), 6) == lib.checksum(b"\1" * 6, 6)


def test_a_list_gets_no_pointer_into_what_was_copied(lib: clib.Library) -> None:
    end: Any = [None]
    with pytest.raises(ValueError, match="item 0 of a list .* points into the copy of an argument"):
        lib.skip_digits("42xyz", end)
    assert lib.skip_digits_of("42xyz", end) == 42
    assert end == ["xyz"]  # read while it was there
    end = [None]
    text = lib.string("42xyz")
    assert lib.skip_digits(text, end) == 42
    assert end[0].read_cstring() == "xyz"


def test_a_list_that_shrinks_while_it_is_copied_back(lib: clib.Library) -> None:
    numbers: list[Any] = []

    class Shrinks:
        def __init__(self) -> None:
            self.cleared = False

        def __index__(self) -> int:
            return 5

        def __del__(self) -> None:
            del numbers[1:]

    numbers += [Shrinks(), 2, 3]
    lib.negate(numbers, 3)
    assert numbers[0] == -5


# --- arrays in the library's memory ---------------------------------------------------------------------------------


def test_an_array_lives_in_the_librarys_memory(lib: clib.Library) -> None:
    values = lib.array("double", DOUBLES)
    assert len(values) == 3
    assert list(values) == DOUBLES == values
    assert values[-1] == 6.0
    assert values.ctype.name == "double[3]"
    assert lib.mean(values, 3) == 3.0
    values[0] = 4
    assert lib.mean(values, 3) == 4.0
    assert repr(values) == "<anywasm.clib.Array 'double[3]': [4.0, 2.0, 6.0]>"
    assert list(lib.array("int", 3)) == [0, 0, 0]
    assert list(lib.array("int", np.arange(3, dtype="i4"))) == [0, 1, 2]
    assert lib.array("point", [(1, 2)])[0].y == 2.0
    assert 6.0 in values


def test_views_share_its_memory(lib: clib.Library) -> None:
    values = lib.array("int", 4)
    shared = np.asarray(values)
    assert shared.dtype == np.int32
    shared[:] = [1, 2, 3, 4]
    lib.negate(values, 2)
    lib.negate(shared[2:], 2)  # no copy: it is the library's memory
    assert list(shared) == list(values) == [-1, -2, -3, -4]
    assert memoryview(values).format == "i"
    matrix = np.asarray(lib.array("int[3]", [[1, 2, 3], [4, 5, 6]]))
    assert matrix.shape == (2, 3)
    assert matrix.tolist() == [[1, 2, 3], [4, 5, 6]]
    assert np.asarray(lib.array("double _Complex", [1j])).dtype == np.complex128
    assert np.asarray(lib.array("bool", [1, 0])).tolist() == [True, False]


def test_structs_are_numpys_structured_arrays(lib: clib.Library) -> None:
    points = lib.array("point", [(1, 2), (3, 4)])
    shared = np.asarray(points)
    assert shared.dtype == np.dtype([("x", "f8"), ("y", "f8")])
    shared["x"] = 9
    assert points[1] == (9.0, 4.0)
    assert lib.centroid(shared, 2) == (9.0, 3.0)
    assert lib.centroid(shared.copy(), 2) == (9.0, 3.0)
    assert lib.shifted(shared[0], 1) == (10.0, 3.0)
    with pytest.raises(TypeError, match="expected items of point, got a buffer of format"):
        lib.centroid(np.zeros(2, [("x", "f4"), ("y", "f4")]), 2)
    mixed = lib.array("mixed", 2)
    assert np.asarray(mixed).itemsize == lib.sizeof("mixed")
    assert lib.same_mixed(np.asarray(mixed)[0].copy()).small == 0


def test_slices_are_at_the_same_memory(lib: clib.Library) -> None:
    values = lib.array("int", [1, 2, 3, 4])
    middle = values[1:3]
    assert list(middle) == [2, 3]
    middle[0] = 20
    assert values[1] == 20
    values[2:] = [30, 40]
    assert list(values) == [1, 20, 30, 40]
    values[:2] = np.array([5, 6], "i4")
    assert list(values) == [5, 6, 30, 40]
    for bad in ([1], [1, 2, 3]):
        with pytest.raises(ValueError, match="the slice has 2 items, got"):
            values[:2] = bad
    with pytest.raises(ValueError, match="step"):
        values[::2]
    del values
    gc.collect()
    assert list(middle) == [20 - 14, 30]  # it keeps the memory


@pytest.mark.parametrize("index", [4, -5, 2**70])
def test_beyond_its_end_there_is_nothing(lib: clib.Library, index: int) -> None:
    values = lib.array("int", 4)
    with pytest.raises(IndexError):
        values[index]
    with pytest.raises(IndexError):
        values[index] = 1


def test_mistakes_with_arrays(lib: clib.Library) -> None:
    values = lib.array("int", 2)
    with pytest.raises(TypeError, match="an index is an integer or a slice, not str"):
        values["0"]  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="cannot be deleted"):
        del values[0]  # type: ignore[attr-defined]
    with pytest.raises(OverflowError, match=r"int\[2\]: item 1: 2147483648 is out of range"):
        values[1] = 2**31
    with pytest.raises(TypeError, match="unhashable"):
        hash(values)
    with pytest.raises(TypeError, match="how many items, or a sequence or buffer of them, got float"):
        lib.array("int", 1.5)
    with pytest.raises(ValueError, match="how many items, .*got -1"):
        lib.array("int", -1)
    with pytest.raises(TypeError, match="an array's items need a size, and void has none"):
        lib.array("void", 1)
    with pytest.raises(OverflowError):
        lib.array("int", 2**62)
    with pytest.raises(TypeError, match="item 0: expected an integer, got str"):
        lib.array("int", ["1"])
    assert len(lib.array("int", 0)) == 0
    assert bytes(memoryview(lib.array("int", 0))) == b""


def test_an_array_of_another_type_is_refused(lib: clib.Library) -> None:
    with pytest.raises(TypeError, match=r"the value is of type 'int\[2\]': cast\(\)"):
        lib.mean(lib.array("int", 2), 1)
    assert lib.checksum(lib.array("int", 2), 8) == 0  # void takes all
    assert lib.checksum(np.asarray(lib.array("int", 2)), 8) == 0


def test_global_arrays(lib: clib.Library) -> None:
    assert list(lib.numbers) == [1, 2, 3, 4]
    lib.numbers[1] = 20
    lib.negate(lib.numbers, 2)
    assert list(lib.numbers) == [-1, -20, 3, 4]
    lib.numbers = [7, 8]
    assert list(lib.numbers) == [7, 8, 0, 0]
    assert lib.title == "title"
    lib.title = "12345678"
    assert lib.title == "12345678"
    with pytest.raises(ValueError, match=r"title \(char\[8\]\): there is room for 8 items, got 9"):
        lib.title = "123456789"

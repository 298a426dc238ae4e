# SPDX-License-Identifier: Apache-2.0
"""Memories: bytes in and out, views without a copy, growth, and every index that is out of bounds."""

import gc
import subprocess
import sys
import weakref
from collections.abc import Callable
from typing import Any

import pytest

import anywasm
from test_leaks import growth
from toolchain import Instantiate

PAGE = 65536

GUEST = """
(module
  (memory (export "memory") 1 3)
  (func (export "load") (param i32) (result i32) (i32.load8_u (local.get 0)))
  (func (export "store") (param i32 i32) (i32.store8 (local.get 0) (local.get 1)))
  (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
  (func (export "size") (result i32) (memory.size))
  (data (i32.const 16) "hello\\00w\\c3\\b6rld\\00\\ff\\fe\\00")
)
"""

EMPTY = '(module (memory (export "memory") 0 1))'


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
def memory(guest: Any) -> anywasm.Memory:
    """One page, at most three."""
    return guest.memory  # type: ignore[no-any-return]


@pytest.fixture
def empty(instantiate: Instantiate) -> anywasm.Memory:
    return instantiate(EMPTY).exports.memory  # type: ignore[no-any-return]


# --- sizes and types ----------------------------------------------------------------------------------------------


def test_the_length_is_in_bytes(memory: anywasm.Memory) -> None:
    assert len(memory) == PAGE


def test_pages_are_counted(memory: anywasm.Memory) -> None:
    assert memory.pages == 1


def test_the_type_has_the_limits(memory: anywasm.Memory) -> None:
    assert memory.type == anywasm.MemoryType(1, 3)


def test_the_types_minimum_is_the_current_size(memory: anywasm.Memory) -> None:
    memory.grow(1)
    assert memory.type == anywasm.MemoryType(2, 3)


def test_a_memory_knows_its_store(memory: anywasm.Memory, store: anywasm.Store) -> None:
    assert memory.store is store


def test_the_repr_shows_pages_and_maximum(memory: anywasm.Memory) -> None:
    assert repr(memory) == "<anywasm.Memory: 1 page, at most 3>"


def test_the_repr_of_a_memory_without_a_maximum_has_none(instantiate: Instantiate) -> None:
    assert repr(instantiate('(module (memory (export "m") 2))').exports.m) == "<anywasm.Memory: 2 pages>"


def test_the_repr_of_a_closed_memory_says_so(memory: anywasm.Memory, store: anywasm.Store) -> None:
    store.close()
    assert repr(memory) == "<anywasm.Memory: closed>"


# --- items and slices ---------------------------------------------------------------------------------------------


def test_an_item_is_a_byte_of_the_guest(guest: Any) -> None:
    assert guest.memory[16] == ord("h") == guest.load(16)


def test_an_item_set_is_seen_by_the_guest(guest: Any) -> None:
    guest.memory[100] = 200
    assert guest.load(100) == 200


def test_a_byte_stored_by_the_guest_is_seen(guest: Any) -> None:
    guest.store(101, 77)
    assert guest.memory[101] == 77


def test_a_negative_index_counts_from_the_end(guest: Any) -> None:
    guest.memory[-1] = 9
    assert guest.memory[-1] == guest.memory[PAGE - 1] == guest.load(PAGE - 1) == 9


def test_an_index_may_be_anything_with_index(memory: anywasm.Memory) -> None:
    assert memory[Index(17)] == ord("e")  # type: ignore[index]


def test_a_slice_is_a_copy_as_bytes(memory: anywasm.Memory) -> None:
    copy = memory[16:21]
    memory[16] = 0
    assert copy == b"hello"


SLICES = [
    slice(None),
    slice(16, 21),
    slice(21, 16),
    slice(0, 0),
    slice(16, 29, 3),
    slice(29, 16, -2),
    slice(None, None, -1),
    slice(-10, None),
    slice(10**30),
    slice(-(10**30), 20),
    slice(16, 10**30, 10**30),
    slice(PAGE, PAGE + 5),
]


@pytest.mark.parametrize("part", SLICES, ids=str)
def test_slices_are_those_of_bytes(memory: anywasm.Memory, part: slice) -> None:
    assert memory[part] == bytes(memoryview(memory))[part]


@pytest.mark.parametrize("part", [part for part in SLICES if len(range(PAGE)[part])], ids=str)
def test_slices_are_set_as_those_of_bytearray(memory: anywasm.Memory, part: slice) -> None:
    expected = bytearray(memory[:])
    data = bytes(i * 7 % 256 for i in range(len(expected[part])))
    expected[part] = data
    memory[part] = data
    assert memory[:] == expected


def test_a_slice_is_set_from_any_buffer(memory: anywasm.Memory) -> None:
    for data in (b"abcd", bytearray(b"abcd"), memoryview(b"abcd"), memoryview(b"abcdabcd")[4:]):
        memory[0:4] = bytes(4)
        memory[0:4] = data
        assert memory[0:4] == b"abcd"


def test_a_slice_set_keeps_the_length_of_the_memory(memory: anywasm.Memory) -> None:
    with pytest.raises(ValueError, match="the slice has 2 bytes, the data 3"):
        memory[0:2] = b"abc"
    assert len(memory) == PAGE


@pytest.mark.parametrize(("target", "source"), [(0, 4), (4, 0), (0, 0)])
def test_a_slice_may_be_set_from_the_same_memory(memory: anywasm.Memory, target: int, source: int) -> None:
    memory[0:12] = b"0123456789ab"
    with memoryview(memory) as view:
        memory[target : target + 8] = view[source : source + 8]
    assert memory[target : target + 8] == b"0123456789ab"[source : source + 8]


def test_a_slice_with_a_step_may_be_set_from_the_same_memory(memory: anywasm.Memory) -> None:
    memory[0:8] = b"01234567"
    with memoryview(memory) as view:
        memory[7::-1] = view[0:8]
    assert memory[0:8] == b"76543210"


def test_bytes_cannot_be_deleted(memory: anywasm.Memory) -> None:
    with pytest.raises(TypeError, match="cannot be deleted"):
        del memory[0]
    with pytest.raises(TypeError, match="cannot be deleted"):
        del memory[0:2]


def test_iterating_gives_every_byte(memory: anywasm.Memory) -> None:
    assert bytes(iter(memory)) == memory[:]


OUTSIDE = [PAGE, -PAGE - 1, 2**31, 2**32, 2**63 - 1, 2**63, 2**64, -(2**63), -(2**64), 10**5000]


@pytest.mark.parametrize("index", OUTSIDE, ids=lambda index: f"{index:.3e}" if abs(index) < 2**70 else "huge")
def test_an_index_out_of_bounds_is_an_index_error(memory: anywasm.Memory, index: int) -> None:
    with pytest.raises(IndexError, match="the memory has 65536 bytes"):
        memory[index]
    with pytest.raises(IndexError, match="the memory has 65536 bytes"):
        memory[index] = 1


def test_an_index_error_names_the_index(memory: anywasm.Memory) -> None:
    with pytest.raises(IndexError, match="index 65536 is out of bounds"):
        memory[PAGE]


@pytest.mark.parametrize("index", ["0", 0.0, None, (0, 1), b"0"], ids=repr)
def test_an_index_of_another_type_is_a_type_error(memory: anywasm.Memory, index: Any) -> None:
    with pytest.raises(TypeError, match=f"not {type(index).__name__}"):
        memory[index]
    with pytest.raises(TypeError, match=f"not {type(index).__name__}"):
        memory[index] = 1


@pytest.mark.parametrize("value", [-1, 256, 2**64, -(2**64)])
def test_a_byte_out_of_range_is_a_value_error(memory: anywasm.Memory, value: int) -> None:
    with pytest.raises(ValueError, match="0 to 255"):
        memory[0] = value


@pytest.mark.parametrize("value", ["a", b"a", 1.0, None], ids=repr)
def test_a_byte_of_another_type_is_a_type_error(memory: anywasm.Memory, value: Any) -> None:
    with pytest.raises(TypeError, match=type(value).__name__):
        memory[0] = value


@pytest.mark.parametrize("value", ["ab", 5, None, [1, 2]], ids=repr)
def test_a_slice_set_from_no_buffer_is_a_type_error(memory: anywasm.Memory, value: Any) -> None:
    with pytest.raises(TypeError, match=f"bytes-like object, got {type(value).__name__}"):
        memory[0:2] = value


def test_an_exception_of_an_index_comes_out_as_it_is(memory: anywasm.Memory) -> None:
    def fail() -> None:
        raise RuntimeError("mine")

    for use in (lambda i: memory[i], lambda i: memory[i:], lambda i: memory.read(i, 1), memory.grow):
        with pytest.raises(RuntimeError, match="mine"):
            use(Index(0, fail))


# --- read and write -----------------------------------------------------------------------------------------------


def test_read_copies_bytes_out(memory: anywasm.Memory) -> None:
    assert memory.read(16, 5) == b"hello"


def test_reading_nothing_at_the_end_is_fine(memory: anywasm.Memory) -> None:
    assert memory.read(PAGE, 0) == b""


def test_reading_everything_is_fine(memory: anywasm.Memory) -> None:
    assert memory.read(0, PAGE) == memory[:]


@pytest.mark.parametrize(
    ("address", "length"),
    [
        (PAGE, 1),
        (PAGE + 1, 0),
        (PAGE - 1, 2),
        (0, PAGE + 1),
        (2**32, 1),
        (2**64, 1),
        (0, 2**64),
        (2**63, 2**63),
        (2**70, 2**70),
    ],
)
def test_reading_out_of_bounds_is_an_index_error(memory: anywasm.Memory, address: int, length: int) -> None:
    with pytest.raises(
        IndexError, match=r"Memory\.read\(\): address .*, length .*: out of bounds, the memory has 65536 bytes"
    ):
        memory.read(address, length)


def test_the_index_error_names_address_and_length(memory: anywasm.Memory) -> None:
    with pytest.raises(IndexError, match="address 65535, length 2"):
        memory.read(PAGE - 1, 2)


@pytest.mark.parametrize("address", [-1, -(2**31), -(2**70)])
def test_a_negative_address_is_an_index_error(memory: anywasm.Memory, address: int) -> None:
    with pytest.raises(IndexError, match=r"Memory\.read\(\): address: must not be negative"):
        memory.read(address, 1)
    with pytest.raises(IndexError, match=r"Memory\.write\(\): address: must not be negative"):
        memory.write(address, b"x")
    with pytest.raises(IndexError, match=r"Memory\.read_cstring\(\): address: must not be negative"):
        memory.read_cstring(address)


def test_a_negative_length_is_a_value_error(memory: anywasm.Memory) -> None:
    with pytest.raises(ValueError, match=r"Memory\.read\(\): length: must not be negative, got -1"):
        memory.read(0, -1)


def test_write_copies_bytes_in(guest: Any) -> None:
    guest.memory.write(40, b"\x01\x02")
    assert (guest.load(40), guest.load(41)) == (1, 2)


def test_write_takes_buffers_of_larger_items_as_their_bytes(memory: anywasm.Memory) -> None:
    memory.write(0, memoryview(b"abcdefgh").cast("I"))
    assert memory.read(0, 8) == b"abcdefgh"


@pytest.mark.parametrize("address", [PAGE - 1, PAGE, PAGE + 1, 2**32 - 1, 2**63, 2**70])
def test_writing_out_of_bounds_is_an_index_error_and_writes_nothing(memory: anywasm.Memory, address: int) -> None:
    before = memory[:]
    with pytest.raises(IndexError, match="length 2: out of bounds"):
        memory.write(address, b"ab")
    assert memory[:] == before


def test_writing_a_view_of_the_same_memory_copies_as_if_through_a_buffer(memory: anywasm.Memory) -> None:
    memory[0:12] = b"0123456789ab"
    with memoryview(memory) as view:
        memory.write(2, view[0:8])
    assert memory[0:12] == b"0101234567ab"


WRONG_ARGUMENTS: list[tuple[str, tuple[Any, ...], str]] = [
    ("read", (), "expected 2 arguments, got 0"),
    ("read", (1,), "expected 2 arguments, got 1"),
    ("read", (1, 2, 3), "expected 2 arguments, got 3"),
    ("read", ("1", 2), "address: expected an integer, got str"),
    ("read", (1, 2.0), "length: expected an integer, got float"),
    ("read", (None, 2), "address: expected an integer, got None"),
    ("write", (1,), "expected 2 arguments, got 1"),
    ("write", (1.0, b""), "address: expected an integer, got float"),
    ("write", (1, "text"), "data: expected a bytes-like object, got str"),
    ("write", (1, None), "data: expected a bytes-like object, got NoneType"),
    ("write", (1, [1]), "data: expected a bytes-like object, got list"),
    ("grow", ("1",), "delta: expected an integer, got str"),
    ("grow", (1.0,), "delta: expected an integer, got float"),
    ("read_cstring", (), "argument"),
    ("read_cstring", ("0",), "address: expected an integer, got str"),
    ("read_cstring", (0, "1"), "max_length: expected an integer, got str"),
    ("read_cstring", (0, 1, "utf-8"), "positional argument"),
]


@pytest.mark.parametrize(("method", "arguments", "message"), WRONG_ARGUMENTS, ids=str)
def test_a_wrong_argument_is_a_type_error_that_names_it(
    memory: anywasm.Memory, method: str, arguments: tuple[Any, ...], message: str
) -> None:
    with pytest.raises(TypeError, match=message):
        getattr(memory, method)(*arguments)


def test_wrong_arguments_leave_nothing_behind(memory: anywasm.Memory) -> None:
    def fail() -> None:
        for method, arguments, _ in WRONG_ARGUMENTS:
            with pytest.raises(TypeError):
                getattr(memory, method)(*arguments)
        with pytest.raises(IndexError):
            memory.write(2**70, bytearray(5))
        with pytest.raises(ValueError):
            memory[0:3] = bytearray(5)
        with pytest.raises(ValueError):
            memory.read_cstring(29)

    fail()
    before = sys.getrefcount(type(memory))
    growth(fail)  # warms up what Python keeps
    assert growth(fail) < 100
    assert abs(sys.getrefcount(type(memory)) - before) < 10


# --- strings ------------------------------------------------------------------------------------------------------


def test_a_string_ends_before_its_nul(memory: anywasm.Memory) -> None:
    assert memory.read_cstring(16) == "hello"


def test_a_string_is_utf_8(memory: anywasm.Memory) -> None:
    assert memory.read_cstring(22) == "wörld"


def test_a_string_may_be_empty(memory: anywasm.Memory) -> None:
    assert memory.read_cstring(0) == ""


def test_a_string_may_come_as_bytes(memory: anywasm.Memory) -> None:
    assert memory.read_cstring(22, encoding=None) == "wörld".encode()


def test_a_string_may_have_another_encoding(memory: anywasm.Memory) -> None:
    assert memory.read_cstring(22, encoding="latin-1") == "wörld".encode().decode("latin-1")


def test_the_maximal_length_does_not_count_the_nul(memory: anywasm.Memory) -> None:
    assert memory.read_cstring(16, 5) == memory.read_cstring(16, max_length=5) == "hello"


@pytest.mark.parametrize("max_length", [0, 1, 4])
def test_a_string_that_is_too_long_is_a_value_error(memory: anywasm.Memory, max_length: int) -> None:
    with pytest.raises(ValueError, match=f"address 16 within {max_length} bytes"):
        memory.read_cstring(16, max_length)


def test_a_string_without_an_end_is_a_value_error(memory: anywasm.Memory) -> None:
    memory[-3:] = b"abc"
    for max_length in (None, 3, 2**70):
        with pytest.raises(ValueError, match="address 65533 before the memory's end"):
            memory.read_cstring(PAGE - 3, max_length)


def test_a_string_may_end_with_the_memory(memory: anywasm.Memory) -> None:
    memory[-3:] = b"ab\0"
    assert memory.read_cstring(PAGE - 3) == "ab"
    assert memory.read_cstring(PAGE - 1) == ""


@pytest.mark.parametrize("address", [PAGE, PAGE + 1, 2**32, 2**70])
def test_a_string_out_of_bounds_is_an_index_error(memory: anywasm.Memory, address: int) -> None:
    with pytest.raises(IndexError, match="out of bounds"):
        memory.read_cstring(address)


def test_bytes_that_do_not_decode_are_a_unicode_error(memory: anywasm.Memory) -> None:
    with pytest.raises(UnicodeDecodeError):
        memory.read_cstring(29)


def test_an_unknown_encoding_is_a_lookup_error(memory: anywasm.Memory) -> None:
    with pytest.raises(LookupError):
        memory.read_cstring(16, encoding="no-such")


# --- growth -------------------------------------------------------------------------------------------------------


def test_grow_returns_the_old_size_in_pages(memory: anywasm.Memory) -> None:
    assert memory.grow(2) == 1
    assert memory.pages == 3


def test_growing_by_nothing_is_fine(memory: anywasm.Memory) -> None:
    assert memory.grow(0) == 1


def test_new_pages_are_zero(memory: anywasm.Memory) -> None:
    memory.grow(1)
    assert memory[PAGE:] == bytes(PAGE)


def test_the_guest_sees_growth(guest: Any) -> None:
    guest.memory.grow(1)
    assert guest.size() == 2
    guest.store(PAGE, 5)
    assert guest.memory[PAGE] == 5


def test_growth_by_the_guest_is_seen(guest: Any) -> None:
    guest.grow(1)
    assert len(guest.memory) == 2 * PAGE
    guest.memory[-1] = 1


@pytest.mark.parametrize("delta", [3, 65536, 2**32, 2**32 + 1, 2**64, 2**70])
def test_growing_over_the_maximum_is_a_limit_error(memory: anywasm.Memory, delta: int) -> None:
    with pytest.raises(anywasm.LimitError, match="it has 1, and may have 3 at most"):
        memory.grow(delta)
    assert memory.pages == 1


def test_growing_over_the_stores_limit_is_a_limit_error(engine: anywasm.Engine, wat: Callable[[str], bytes]) -> None:
    store = anywasm.Store(engine, memory=2 * PAGE)
    memory = anywasm.Instance(anywasm.Module(wat(GUEST), engine), store=store).exports.memory
    assert memory.grow(1) == 1
    with pytest.raises(anywasm.LimitError):
        memory.grow(1)
    assert memory.pages == 2


@pytest.mark.parametrize("delta", [-1, -(2**70)])
def test_a_memory_cannot_shrink(memory: anywasm.Memory, delta: int) -> None:
    with pytest.raises(ValueError, match="must not be negative"):
        memory.grow(delta)


# --- views --------------------------------------------------------------------------------------------------------


def test_a_view_shares_the_bytes(guest: Any) -> None:
    view = memoryview(guest.memory)
    view[50] = 60
    guest.store(51, 61)
    assert (guest.load(50), view[51]) == (60, 61)


def test_a_view_is_writable_bytes(memory: anywasm.Memory) -> None:
    view = memoryview(memory)
    assert (view.format, view.itemsize, view.ndim, view.shape, view.strides, view.readonly) == (
        "B",
        1,
        1,
        (PAGE,),
        (1,),
        False,
    )


def test_numpy_sees_the_bytes_without_a_copy(guest: Any) -> None:
    numpy = pytest.importorskip("numpy")
    array = numpy.frombuffer(guest.memory, dtype="<u4")
    array[2] = 0x01020304
    assert [guest.load(8 + i) for i in range(4)] == [4, 3, 2, 1]


def test_a_view_keeps_its_length_when_the_memory_grows(memory: anywasm.Memory) -> None:
    view = memoryview(memory)
    memory.grow(1)
    memory[5] = 55
    assert (len(view), view[5], len(memoryview(memory))) == (PAGE, 55, 2 * PAGE)


def test_a_view_stays_valid_when_the_guest_grows_its_memory(guest: Any) -> None:
    view = memoryview(guest.memory)
    assert guest.grow(2) == 1
    guest.store(7, 77)
    assert view[7] == 77
    view[8] = 88
    assert guest.load(8) == 88


def test_a_view_keeps_memory_and_store_alive(engine: anywasm.Engine, wat: Callable[[str], bytes]) -> None:
    store = anywasm.Store(engine)
    view = memoryview(anywasm.Instance(anywasm.Module(wat(GUEST), engine), store=store).exports.memory)
    gone = weakref.ref(store)
    del store
    gc.collect()
    assert bytes(view[16:21]) == b"hello"
    assert gone() is not None
    del view
    gc.collect()
    assert gone() is None


def test_a_store_is_not_closed_while_views_exist(memory: anywasm.Memory, store: anywasm.Store) -> None:
    with memoryview(memory) as view, pytest.raises(BufferError, match="1 view"):
        store.close()
    del view
    store.close()
    assert store.closed


def test_a_read_is_no_view(memory: anywasm.Memory, store: anywasm.Store) -> None:
    kept = memory.read(0, 5), memory[0:5], memory.read_cstring(16)
    store.close()
    assert kept[2] == "hello"


def test_a_view_in_a_cycle_through_the_store_is_collected(engine: anywasm.Engine, wat: Callable[[str], bytes]) -> None:
    def make() -> weakref.ref[anywasm.Store]:
        store = anywasm.Store(engine)
        memory = anywasm.Instance(anywasm.Module(wat(GUEST), engine), store=store).exports.memory
        kept: list[Any] = [memoryview(memory)]
        kept.append(anywasm.Func(lambda: print(kept), anywasm.FuncType(), store))
        return weakref.ref(store)

    gone = make()
    gc.collect()
    assert gone() is None


def test_an_empty_memory_is_fine(empty: anywasm.Memory) -> None:
    assert (len(empty), empty.pages, empty[:], empty.read(0, 0), bytes(memoryview(empty)), list(empty)) == (
        0,
        0,
        b"",
        b"",
        b"",
        [],
    )
    empty[0:0] = b""
    empty.write(0, b"")


def test_an_empty_memory_has_no_byte(empty: anywasm.Memory) -> None:
    for index in (0, -1):
        with pytest.raises(IndexError):
            empty[index]
    with pytest.raises(IndexError):
        empty.read(0, 1)
    with pytest.raises(IndexError):
        empty.read_cstring(0)


def test_an_empty_memory_grows_under_a_view(empty: anywasm.Memory) -> None:
    view = memoryview(empty)
    assert empty.grow(1) == 0
    assert (len(view), len(empty)) == (0, PAGE)


def test_numpy_takes_an_empty_memory(empty: anywasm.Memory) -> None:
    numpy = pytest.importorskip("numpy")
    assert numpy.asarray(memoryview(empty)).size == 0


# --- a store that is closed, or closes meanwhile --------------------------------------------------------------------


def test_an_index_that_closes_the_store_is_a_value_error(memory: anywasm.Memory, store: anywasm.Store) -> None:
    with pytest.raises(ValueError, match="closed"):
        memory[Index(0, store.close)]  # type: ignore[index]


CLOSING: dict[str, Callable[[anywasm.Memory, Any], Any]] = {
    "slice": lambda memory, index: memory[index:],
    "item set": lambda memory, index: memory.__setitem__(index, 1),
    "byte": lambda memory, index: memory.__setitem__(0, index),
    "slice set": lambda memory, index: memory.__setitem__(slice(index, 1), b"x"),
    "read": lambda memory, index: memory.read(0, index),
    "write": lambda memory, index: memory.write(index, b"x"),
    "read_cstring": lambda memory, index: memory.read_cstring(index),
    "grow": lambda memory, index: memory.grow(index),
}


@pytest.mark.parametrize("name", CLOSING)
def test_an_argument_that_closes_the_store_is_a_value_error(
    memory: anywasm.Memory, store: anywasm.Store, name: str
) -> None:
    with pytest.raises(ValueError, match="closed"):
        CLOSING[name](memory, Index(0, store.close))


def test_an_index_that_grows_the_memory_meets_the_larger_one(memory: anywasm.Memory) -> None:
    index: Any = Index(PAGE, lambda: memory.grow(1))
    assert memory[index] == 0


@pytest.mark.skipif(sys.version_info < (3, 12), reason="classes have buffers from Python 3.12 on")
def test_data_that_closes_the_store_is_a_value_error(memory: anywasm.Memory, store: anywasm.Store) -> None:
    class Data:
        def __buffer__(self, flags: int) -> memoryview:
            store.close()
            return memoryview(b"ab")

    with pytest.raises(ValueError, match="closed"):
        memory[0:2] = Data()
    with pytest.raises(ValueError, match="closed"):
        memory.write(0, Data())


# --- identity -----------------------------------------------------------------------------------------------------


def test_two_objects_of_one_memory_are_equal(instantiate: Instantiate) -> None:
    exports = instantiate('(module (memory $m (export "a") 1) (export "b" (memory $m)))').exports
    assert exports.a == exports.b
    assert hash(exports.a) == hash(exports.b)


def test_two_memories_are_not_equal(instantiate: Instantiate) -> None:
    one, other = instantiate(GUEST).exports.memory, instantiate(GUEST).exports.memory
    assert one != other
    assert one != 5
    assert len({one, other}) == 2


def test_a_hash_stays_the_same_when_the_store_is_closed(memory: anywasm.Memory, store: anywasm.Store) -> None:
    found = {memory: "here"}
    store.close()
    assert found[memory] == "here"
    assert memory == memory


def test_a_memory_cannot_be_ordered(memory: anywasm.Memory) -> None:
    with pytest.raises(TypeError):
        memory < memory  # type: ignore[operator] # noqa: B015


def test_a_memory_can_be_referred_to_weakly(memory: anywasm.Memory) -> None:
    assert weakref.ref(memory)() is memory


# --- made by the host -----------------------------------------------------------------------------------------------


@pytest.mark.requires("imported_memory")
def test_a_memory_made_by_the_host_is_imported(store: anywasm.Store, instantiate: Instantiate) -> None:
    memory = anywasm.Memory(anywasm.MemoryType(1, 2), store)
    memory[3] = 33
    text = """
      (module
        (import "host" "memory" (memory 1 2))
        (func (export "load") (param i32) (result i32) (i32.load8_u (local.get 0))))
    """
    exports = instantiate(text, {"host": {"memory": memory}}).exports
    assert exports.load(3) == 33
    memory.grow(1)
    memory[PAGE] = 44
    assert exports.load(PAGE) == 44


@pytest.mark.requires("imported_memory")
def test_a_memory_is_shared_by_two_instances(instantiate: Instantiate) -> None:
    first = instantiate(GUEST).exports
    second = instantiate(
        '(module (import "a" "m" (memory 1)) (export "m" (memory 0)))', {"a": {"m": first.memory}}
    ).exports
    assert second.m == first.memory
    second.m[9] = 99
    assert first.load(9) == 99


@pytest.mark.requires("imported_memory", "memory64")
def test_a_memory_with_64_bit_addresses_is_made(store: anywasm.Store) -> None:
    memory = anywasm.Memory(anywasm.MemoryType(1, 2, index="i64"), store)
    assert memory.type == anywasm.MemoryType(1, 2, index="i64")
    assert memory.grow(1) == 1
    assert repr(memory) == "<anywasm.Memory: 2 pages, at most 2, i64>"
    with pytest.raises(IndexError):
        memory.read(2**64 - 1, 2)


@pytest.mark.requires("imported_memory")
def test_a_memory_over_the_stores_limit_is_refused(engine: anywasm.Engine) -> None:
    store = anywasm.Store(engine, memory=PAGE)
    with pytest.raises((anywasm.LimitError, MemoryError)):
        anywasm.Memory(anywasm.MemoryType(2), store)


@pytest.mark.parametrize(
    ("capability", "settings"),
    [("imported_memory", {}), ("memory64", {"index": "i64"}), ("threads", {"shared": True})],
)
def test_a_memory_that_the_engine_cannot_have_is_unsupported(
    store: anywasm.Store, capability: str, settings: Any
) -> None:
    if {"imported_memory", capability} <= store.engine.capabilities:
        pytest.skip("the engine has it")
    with pytest.raises(anywasm.UnsupportedError, match=store.engine.name):
        anywasm.Memory(anywasm.MemoryType(1, 2, **settings), store)


@pytest.mark.parametrize(
    "arguments", [(), (1,), ("x", "y"), (anywasm.MemoryType(1),), (anywasm.MemoryType(1), None)], ids=str
)
def test_a_memory_is_made_of_a_type_and_a_store(arguments: Any) -> None:
    with pytest.raises(TypeError, match="Memory"):
        anywasm.Memory(*arguments)


def test_views_out_at_the_interpreters_exit_are_no_crash(engine: anywasm.Engine, wat: Callable[[str], bytes]) -> None:
    script = (
        "import anywasm, sys\n"
        f"engine = anywasm.Engine({engine.name!r})\n"
        f"memory = anywasm.Instance(anywasm.Module({wat(GUEST)!r}, engine)).exports.memory\n"
        "view = memoryview(memory)\n"
        "sys.kept = [view, memory]\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")

# SPDX-License-Identifier: Apache-2.0
"""Pointers and who owns what they point at: nothing freed twice, nothing used after, nothing lost."""

import gc
import random
import weakref
from typing import Any

import pytest

import anywasm
from anywasm import clib


def test_a_pointer_counts_items(lib: clib.Library) -> None:
    values = lib.array("int", [10, 20, 30])
    pointer = lib.cast("int *", values)
    assert isinstance(pointer, clib.Pointer)
    assert [pointer[0], pointer[1], (pointer + 2)[0], (2 + pointer)[-1]] == [10, 20, 30, 20]
    assert (pointer + 2) - pointer == 2
    assert (pointer + 2 - 1)[0] == 20
    assert list(pointer[1:3]) == [20, 30]
    pointer[1] = 21
    pointer[0:2] = [11, 22]
    assert list(values) == [11, 22, 30]
    assert pointer < pointer + 1
    assert pointer == lib.cast("int *", values)
    assert hash(pointer) == hash(lib.cast("int *", values))
    assert pointer != 5
    assert int(pointer) == pointer.address == values.address
    assert bool(pointer)
    assert repr(pointer).startswith("<anywasm.clib.Pointer 'int *' 0x")
    assert lib.same_pointer(pointer) == pointer


def test_null_is_none(lib: clib.Library) -> None:
    assert lib.same_pointer(None) is None
    null = lib.cast("int *", None)
    assert isinstance(null, clib.Pointer)
    assert not null
    assert int(null) == 0


def test_bounds_where_they_are_known(lib: clib.Library) -> None:
    pointer = lib.new("int (*)[4]", [1, 2, 3, 4])
    items = lib.cast("int *", pointer)
    assert items[3] == 4  # type: ignore[index]
    for index in (4, -1, 2**40, -(2**62)):
        with pytest.raises(IndexError, match="out of bounds"):
            items[index]  # type: ignore[index]
    with pytest.raises(IndexError):
        items[2:5]  # type: ignore[index]
    assert (items + 4) - items == 4  # type: ignore[operator]
    with pytest.raises(IndexError, match="offset 16 of memory of 16 bytes"):
        (items + 4)[0]  # type: ignore[operator, index]
    with pytest.raises(IndexError, match="the library's memory has"):
        lib.cast("int *", 2**32 - 4)[0]  # type: ignore[index]


def test_mistakes_with_pointers(lib: clib.Library) -> None:
    pointer = lib.new("int *")
    other = lib.new("double *")
    for call, message in [
        (lambda: pointer + 1.5, "unsupported operand"),
        (lambda: pointer - other, "two pointers of one library to items of one type"),
        (lambda: pointer[:], "give the slice an end"),
        (lambda: pointer["a"], "an index is an integer or a slice, not str"),
        (lambda: lib.make_opaque()[0], "has no size here"),
        (lambda: len(pointer), "has no len"),
        (lambda: iter(lib.new("point *")), "not iterable|cannot be"),
        (lambda: pointer.read_cstring(), "cast\\(\\) it to char"),
        (lambda: lib.mean(pointer, 1), r"the value is of type 'int \*'"),
        (lambda: lib.same_pointer(5), "expected a pointer \\(cast\\(\\) makes one of an address\\), got int"),
        (lambda: lib.new("int"), "expected a pointer's type, such as 'int \\*'"),
        (lambda: lib.new("void *"), "has no size"),
        (lambda: lib.new("opaque *"), "has no size"),
        (lambda: lib.new("int *", "1"), "int: expected an integer, got str"),
        (lambda: lib.cast("int *", "1"), "cast\\(\\): expected a pointer, an array, a function or an address, got str"),
        (lambda: lib.sizeof("opaque"), "has no size"),
        (lambda: lib.typeof(5), "expected C's spelling of a type"),  # type: ignore[arg-type]
        (lambda: lib.free(5), "expected a Pointer, an Array or a Struct, got int"),  # type: ignore[arg-type]
        (lambda: pointer < 5, "not supported"),
    ]:
        with pytest.raises(TypeError, match=message):
            call()
    assert int(lib.cast("int *", -1)) == 2**32 - 1  # type: ignore[arg-type]
    assert int(lib.cast("int *", 2**32)) == 0  # type: ignore[arg-type]


def test_addresses_of_fields(lib: clib.Library) -> None:
    node = lib.new("node *", {"value": 5, "key": [1, 2, 3, 4]})
    value = lib.addressof(node[0], "value")
    assert value[0] == 5
    value[0] = 6
    assert node.value == 6
    key = lib.addressof(node[0], "key")
    assert key.ctype.name == "uint8_t (*)[4]"
    assert list(key[0]) == [1, 2, 3, 4]
    assert lib.addressof(node[0]) == node
    assert lib.addressof(lib.array("int", 2)).ctype.name == "int (*)[2]"
    with pytest.raises(TypeError, match="Python's own"):
        lib.addressof(lib.shifted((1, 2), 0))
    with pytest.raises(AttributeError, match="no field 'nothing'"):
        lib.addressof(node[0], "nothing")


# --- who frees ------------------------------------------------------------------------------------------------------


def test_what_python_owns_is_freed_when_it_is_dropped(lib: clib.Library) -> None:
    lib.string("warm")
    start = lib.in_use()
    for _ in range(300):
        lib.array("char", 200_000)
        lib.new("point *")
        lib.string("x" * 5000)
    assert lib._core.owned == 0
    assert lib.in_use() == start


def test_whatever_was_made_of_it_keeps_it(lib: clib.Library) -> None:
    values = lib.array("int", [1, 2, 3])
    parts = [
        lib.cast("int *", values),
        values[1:],
        memoryview(values),
        lib.cast("void *", values),
        lib.addressof(values),
    ]
    del values
    while parts:
        assert lib._core.owned == 1
        parts.pop(random.randrange(len(parts)))
    gc.collect()
    assert lib._core.owned == 0


def test_the_end_of_with_frees(lib: clib.Library) -> None:
    with lib.array("int", 2) as values, lib.new("point *") as point, lib.string("text") as text:
        assert lib._core.owned == 3
    assert lib._core.owned == 0
    for use in (lambda: values[0], lambda: point.x, lambda: text[0], lambda: list(values), lambda: lib.shift(point, 1)):
        with pytest.raises(ValueError, match="the memory was freed"):
            use()
    with lib.array("int", 2) as values:
        lib.free(values)
    assert "freed" in repr(values)
    assert "freed" in repr(point)
    with pytest.raises(ZeroDivisionError), lib.array("int", 2):
        raise ZeroDivisionError


def test_use_after_free_and_double_free(lib: clib.Library) -> None:
    values = lib.array("int", 2)
    pointer, part = lib.cast("int *", values), values[1:]
    lib.free(values)
    for use in (
        lambda: values[0],
        lambda: values.__setitem__(0, 1),
        lambda: pointer[0],
        lambda: part[0],
        lambda: memoryview(values),
        lambda: lib.negate(values, 1),
        lambda: lib.negate(pointer, 1),
        lambda: lib.free(values),
        lambda: lib.free(pointer),
        lambda: lib.cast("char *", values),
        lambda: lib.new("node *", {"items": pointer}),
    ):
        with pytest.raises(ValueError, match="the memory was freed"):
            use()
    assert lib.add(1, 2) == 3


def test_only_the_whole_is_freed(lib: clib.Library) -> None:
    values = lib.array("int", 2)
    with pytest.raises(ValueError, match="free the whole of it"):
        lib.free(values[1:])
    with pytest.raises(ValueError, match="free the whole of it"):
        lib.free(lib.cast("int *", values) + 1)
    lib.free(lib.cast("void *", values))


def test_views_keep_memory_from_being_freed(lib: clib.Library) -> None:
    values = lib.array("int", [1, 2])
    view = memoryview(values)
    with pytest.raises(BufferError, match="1 view of it exists"):
        lib.free(values)
    with pytest.raises(BufferError), values:
        pass
    del values
    assert view[1] == 2
    with pytest.raises(BufferError):
        lib.close()
    view.release()
    gc.collect()
    assert lib._core.owned == 0


def test_the_librarys_own_memory_is_never_freed(lib: clib.Library) -> None:
    node = lib.make_node(1)
    assert not node.owned
    with pytest.raises(ValueError, match=r"the library's own: adopt\(\) makes it Python's"):
        lib.free(node)
    with pytest.raises(ValueError, match="adopt"), node:
        pass
    del node
    assert lib.nodes_freed == 0


def test_what_the_library_gives_away_is_freed_once(lib: clib.Library) -> None:
    node = lib.adopt(lib.make_node(1), "free_node")
    assert node.owned
    with pytest.raises(ValueError, match="Python owns the memory already"):
        lib.adopt(node)
    with pytest.raises(ValueError, match="Python owns the memory already"):
        lib.adopt(lib.same_pointer(node))
    with pytest.raises(ValueError, match="of memory of|out of bounds|Python owns"):
        lib.adopt(lib.cast("node *", node))
    with pytest.raises(anywasm.LinkError, match=r"adopt\(\): the module exports no function 'nothing'"):
        lib.adopt(lib.make_node(1), "nothing")
    del node
    assert lib.nodes_freed == 1
    node = lib.adopt(lib.make_node(1), "free_node")
    lib.free(node)
    assert lib.nodes_freed == 2
    with pytest.raises(ValueError, match="freed"):
        lib.free(node)
    with pytest.raises(ValueError, match="freed"):
        lib.adopt(node)
    del node
    assert lib.nodes_freed == 2


def test_functions_that_give_away(load: Any) -> None:
    lib = load(frees={"make_node": "free_node", "make_opaque": "free_opaque", "greet": "free"})
    node = lib.make_node(4)
    assert node.owned
    assert node.value == 4
    assert lib.list_sum(node) == 4
    del node
    assert lib.nodes_freed == 1
    opaque = lib.make_opaque()
    assert opaque.owned
    start = lib.in_use()
    for _ in range(300):
        assert lib.greet("x" * 1000) == "hello " + "x" * 1000
    assert lib.in_use() == start
    with lib.make_node(1):
        pass
    assert lib.nodes_freed == 2


def test_what_was_an_argument_is_not_freed_as_a_result(load: Any) -> None:
    lib = load(frees={"same_text", "same_pointer"})
    text = lib.string("abc")
    assert lib.same_text(text) == "abc"
    assert text.read_cstring() == "abc"
    assert lib.same_text(bytearray(b"abc\0")) == "abc"
    same = lib.same_pointer(text)
    assert same == text
    del same
    assert text.read_cstring() == "abc"
    assert lib.trouble is None


def test_frees_and_other_options_name_what_is_there(load: Any) -> None:
    for options, error, message in [
        ({"frees": {"nothing"}}, clib.DeclarationError, "frees: nothing is not declared"),
        ({"frees": "greet"}, TypeError, "frees: expected a set of names"),
        ({"bytes": {"nothing"}}, clib.DeclarationError, "bytes: nothing is not declared"),
        ({"frees": {"add"}}, TypeError, r"add\(\): its result is no pointer"),
        ({"pointers": {"add"}}, TypeError, r"add\(\): its result is no pointer"),
        ({"frees": {"greet": "nothing"}}, Exception, "which the module does not export"),
        ({"frees": {"greet": "add"}}, TypeError, "function that frees has another type"),
        ({"encoding": 5}, TypeError, "encoding: expected str or None, got int"),
    ]:
        with pytest.raises(error, match=message):
            load(**options)


def test_a_pointer_of_another_library_is_refused(load: Any) -> None:
    one, two = load(), load()
    for value in (one.array("int", 2), one.new("int *"), one.new("int *")[0:1], one.shifted((1, 2), 0)):
        with pytest.raises(ValueError, match="of another library"):
            two.same_pointer(value)
    with pytest.raises(ValueError, match="of another library"):
        two.shifted(one.shifted((1, 2), 0), 1)
    with pytest.raises(ValueError, match="of another library"):
        two.free(one.new("int *"))
    with pytest.raises(ValueError, match="of another library"):
        two.adopt(one.make_node(1))
    with pytest.raises(ValueError, match="of another library"):
        two.new("node *", {"items": one.new("int *")})
    assert one.new("int *") != two.new("int *")


def test_dropping_in_any_order(load: Any) -> None:
    for seed in range(20):
        chance = random.Random(seed)
        lib = load()
        things = [
            lib.array("int", 3),
            lib.new("node *", {"label": "x"}),
            lib.add,
            lib.string("t"),
            lib,
            lib.shifted((1, 2), 0),
        ]
        things += [things[0][1:], memoryview(things[0]), lib.callback("int (*)(int, void *)", lambda v, d: v)]
        gone = weakref.ref(lib)
        del lib
        while things:
            things.pop(chance.randrange(len(things)))
        gc.collect()
        assert gone() is None


def test_memory_that_is_dropped_during_a_call_is_freed_after_it(lib: clib.Library) -> None:
    pieces: list[Any] = [lib.array("char", 200_000) for _ in range(3)]

    def drop(_value: int, _data: object) -> int:
        pieces.clear()
        return 0

    lib.each(drop, None)
    assert lib._core.owned == 0
    start = lib.in_use()
    for _ in range(50):
        pieces += [lib.array("char", 200_000) for _ in range(3)]
        lib.each(drop, None)
    assert lib.in_use() == start


def test_a_cycle_through_a_callback_is_collected(load: Any) -> None:
    class Holder:
        def __init__(self, lib: clib.Library) -> None:
            self.lib = lib
            self.callback = lib.callback("int (*)(int, void *)", lambda *_: len(vars(self)))

    gone = weakref.ref(Holder(load()))
    gc.collect()
    assert gone() is None

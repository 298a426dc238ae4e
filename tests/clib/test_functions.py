# SPDX-License-Identifier: Apache-2.0
"""Functions in both directions: callbacks, function pointers, further arguments; and what a wrong call is told."""

import gc
import weakref
from typing import Any

import numpy as np
import pytest

from anywasm import clib


def test_the_number_of_arguments(lib: clib.Library) -> None:
    for arguments in ((), (1,), (1, 2, 3)):
        with pytest.raises(TypeError) as caught:
            lib.add(*arguments)
        assert str(caught.value) == f"add(): expected 2 arguments, got {len(arguments)}: int add(int, int)"
    with pytest.raises(TypeError, match=r"add\(\): takes no keyword arguments"):
        lib.add(1, b=2)
    with pytest.raises(
        TypeError, match=r"sum\(\): expected at least 1 argument, got 0: double sum\(const char \*, \.\.\.\)"
    ):
        lib.sum()
    with pytest.raises(TypeError, match=r"trap\(\): expected 0 arguments, got 1: void trap\(void\)"):
        lib.trap(1)


def test_a_function_is_an_object(lib: clib.Library) -> None:
    assert repr(lib.mean) == "<anywasm.clib.CFunction 'double mean(const double *, size_t)'>"
    assert lib.mean.__name__ == "mean"
    assert lib.mean.ctype.parameter_names == ("values", "count")
    assert lib.mean == lib["mean"]
    assert lib.mean != lib.add
    assert lib.mean != "mean"
    assert {lib.mean: 1}[lib.mean] == 1
    with pytest.raises(TypeError):
        type(lib.mean)()


# --- callbacks ------------------------------------------------------------------------------------------------------


def test_a_callable_is_called(lib: clib.Library) -> None:
    seen: list[Any] = []
    data = lib.string("data")
    lib.each(lambda value, data: seen.append((value, data)) or 0, data)
    assert seen == [(0, data), (1, data), (2, data)]
    assert lib.apply(abs, -1.5) == 1.5
    assert lib.apply(lambda x: 7, 0) == 7.0
    lib.each(lambda value, data: value, None)  # stops after the second


def test_an_exception_of_a_callback_comes_out(lib: clib.Library) -> None:
    class Mine(Exception):
        pass

    def fail(value: int, data: Any) -> int:
        if value == 1:
            raise Mine(value)
        return 0

    for _ in range(3):
        with pytest.raises(Mine) as caught:
            lib.each(fail, None)
        assert caught.value.args == (1,)
        assert caught.traceback[-1].name == "fail"
    assert lib.trouble is None
    assert lib.add(1, 2) == 3
    for error in (KeyboardInterrupt, SystemExit):

        def stop(value: int, data: Any, error: Any = error) -> int:
            raise error

        with pytest.raises(error):
            lib.each(stop, None)
        assert lib.add(1, 2) == 3


def test_an_exception_leaves_nothing_on_the_shadow_stack(lib: clib.Library) -> None:
    def fail(value: int, data: Any) -> int:
        raise LookupError

    for _ in range(3000):  # 16 KB each: more than the stack has
        with pytest.raises(LookupError):
            lib.deep(fail)
    assert lib.deep(lambda value, data: 4) == 5


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (None, r"visit\(\): result \(int\): expected an integer, got NoneType"),
        (1.5, "expected an integer, got float"),
        (2**31, r"2147483648 is out of range"),
    ],
)
def test_what_a_callback_returns_is_checked(lib: clib.Library, result: Any, message: str) -> None:
    def visit(value: int, data: Any) -> Any:
        return result

    with pytest.raises((TypeError, OverflowError), match=message):
        lib.each(visit, None)


@pytest.mark.parametrize("value", [5, "f", [abs]])
def test_what_is_no_callable_is_refused(lib: clib.Library, value: Any) -> None:
    with pytest.raises(
        TypeError, match=r"apply\(\): argument 1 'function' \(double \(\*\)\(double\)\): expected a callable"
    ):
        lib.apply(value, 1)


def test_structs_and_wide_numbers_in_callbacks(lib: clib.Library) -> None:
    def function(p: Any, m: Any) -> Any:
        assert (m.small, m.large, tuple(m.part)) == (3, 2**40, (7, 8))
        return {"x": p.y, "y": p.x}

    assert lib.map_point(function, (1, 2)) == (2.0, 1.0)
    assert lib.call_wide(lambda x: x / 2, 3) == 1.5
    with pytest.raises(TypeError, match=r"result \(point\): expected a dict, a tuple or a struct, got int"):
        lib.map_point(lambda p, m: 1, (1, 2))


def test_a_callback_returns_no_memory_that_nobody_keeps(lib: clib.Library) -> None:
    text = lib.string("four")
    assert lib.name_length(lambda: text) == 4
    with pytest.raises(TypeError, match="nobody would free"):
        lib.name_length(lambda: "four")


def test_callbacks_nest(lib: clib.Library) -> None:
    depths: list[int] = []

    def visit(value: int, data: Any) -> int:
        depths.append(value)
        if len(depths) < 10:
            lib.each(visit, lib.string(f"depth {len(depths)}"))
        assert lib.mean([1.0, value], 2) == (1 + value) / 2
        return 0

    lib.each(visit, None)
    assert len(depths) == 30 or depths.count(0) == 10


def test_a_callback_that_recurses_for_ever(lib: clib.Library) -> None:
    def visit(value: int, data: Any) -> int:
        lib.each(visit, None)
        return 0

    with pytest.raises((RecursionError, clib.LibraryError, Exception)) as caught:
        lib.each(visit, None)
    assert isinstance(caught.value, Exception)
    if lib.trouble is not None:
        lib.reset()
    assert lib.add(1, 2) == 3


def test_elements_of_the_table_are_used_again(lib: clib.Library) -> None:
    table = lib.instance.exports["__indirect_function_table"]
    lib.apply(lambda x: x, 1)
    lib.each(lambda v, d: 0, None)
    size = len(table)
    for i in range(200):
        assert lib.apply(lambda x, i=i: x + i, 1) == 1 + i
        lib.each(lambda v, d: 0, None)
    assert len(table) == size


def test_a_callable_is_dropped_after_the_call(lib: clib.Library) -> None:
    class Function:
        def __call__(self, x: float) -> float:
            return x

    function = Function()
    gone = weakref.ref(function)
    lib.apply(function, 1)
    del function
    gc.collect()
    assert gone() is None


def test_a_callback_that_is_kept(lib: clib.Library) -> None:
    callback = lib.callback("int (*)(int, void *)", lambda value, data: value * 2)
    lib.keep(callback)
    assert lib.call_kept(21) == 42
    assert callback(4, None) == 8
    assert "'int <lambda>(int, void *)'" in repr(callback)
    handler = lib.new("handler *", {"call": callback, "data": None})
    del callback
    gc.collect()
    assert lib.call_handler(handler, 3) == 6
    assert handler.call(5, None) == 10
    del handler
    gc.collect()
    with pytest.raises(
        RuntimeError, match=r"whose Python callable is no longer there.*keep what Library.callback\(\) returns"
    ):
        lib.call_kept(1)
    assert lib.add(1, 2) == 3


def test_a_callable_that_was_an_argument_serves_one_call(lib: clib.Library) -> None:
    lib.keep(lambda value, data: 1)
    with pytest.raises(RuntimeError, match="serves that call alone"):
        lib.call_kept(1)
    with pytest.raises(TypeError, match=r"make it with Library.callback\(\)"):
        lib.new("handler *", {"call": lambda value, data: 1})


def test_mistakes_with_callbacks(lib: clib.Library) -> None:
    callback = lib.callback("int(int, void *)", lambda value, data: 1)
    with pytest.raises(TypeError, match=r"the function is of another type: int \(int, void \*\)|of another type"):
        lib.apply(callback, 1)
    with pytest.raises(TypeError, match="expected a function's type"):
        lib.callback("int *", abs)
    with pytest.raises(TypeError, match="expected a callable, got int"):
        lib.callback("int (*)(int)", 5)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"cannot be a C function with `\.\.\.`"):
        lib.callback("int (*)(int, ...)", abs)


def test_a_callback_that_catches_leaves_the_shadow_stack_as_it_was(lib: clib.Library) -> None:
    stack = lib.instance.exports["__stack_pointer"]
    start, seen = stack.value, []

    def visit(_value: int, _data: object) -> int:
        for _ in range(100):
            with pytest.raises(KeyError):
                lib.deep(lambda *_: {}["x"])
            seen.append(stack.value)
        return 0

    lib.deep(visit)
    assert len(set(seen)) == 1
    assert seen[0] < start
    assert stack.value == start
    with pytest.raises(KeyError):
        lib.deep(lambda *_: {}["x"])
    assert stack.value == start


def test_calls_from_a_callback_give_back_what_they_took(lib: clib.Library) -> None:
    text, much, pages = "x" * 1000, "x" * 100_000, []

    def visit(_value: int, _data: object) -> int:
        for _ in range(300):
            lib.length(text)
            lib.length(much)
            lib.array("int", 1000)
        pages.append(lib.memory.pages)
        return 0

    for _ in range(3):
        lib.deep(visit)
    assert pages == pages[:1] * len(pages)


# --- function pointers ----------------------------------------------------------------------------------------------


def test_functions_of_the_librarys_own(lib: clib.Library) -> None:
    twice = lib.pick(1)
    assert twice(21) == 42.0
    assert lib.pick(0) is None
    assert lib.apply(twice, 4) == 8.0
    assert twice == lib.pick(1)
    assert hash(twice) == hash(lib.pick(1))
    assert lib.sum("f", twice) == 2.0


def test_an_export_is_a_function_pointer_too(lib: clib.Library) -> None:
    assert lib.apply(lib.same_double, 1.5) == 1.5
    table = lib.instance.exports["__indirect_function_table"]
    size = len(table)
    for _ in range(10):
        assert lib.apply(lib.same_double, 1.5) == 1.5
    assert len(table) == size


def test_a_function_of_another_type(lib: clib.Library) -> None:
    with pytest.raises(Exception, match="which takes a function of type"):
        lib.cast("int (*)(int)", lib.pick(1))


def test_a_library_that_empties_its_table(engine: Any, wat: Any) -> None:
    text = """
    (module (memory (export "memory") 4)
      (table (export "__indirect_function_table") 1 100 funcref)
      (func (export "each") (param i32))
      (func (export "forget") (local $i i32)
        (loop
          (table.set (local.get $i) (ref.null func))
          (local.set $i (i32.add (local.get $i) (i32.const 1)))
          (br_if 0 (i32.lt_u (local.get $i) (table.size))))))
    """
    lib = clib.load(wat(text), "void each(int (*f)(int)); void forget(void);", engine=engine)
    lib.each(lambda n: n)
    lib.forget()
    assert lib.callback("int (*)(int)", lambda n: n)(3) == 3


# --- further arguments ----------------------------------------------------------------------------------------------


def test_further_arguments_are_promoted(lib: clib.Library) -> None:
    assert lib.sum("") == 0
    assert lib.sum("idil", 1, 2.5, True, 2**40) == 1 + 2.5 + 1 + 2**40
    assert lib.sum("sns", "four", None, b"five!") == 4 + 1 + 5
    assert lib.sum("ldi", lib.cast("long long", 3), lib.cast("float", 0.5), lib.cast("short", -2)) == 1.5
    assert lib.sum("ipw", 1, lib.shifted((1, 2), 0), lib.same_wrapped((0.5,))) == 4.5
    assert lib.sum("di", np.float32(0.5), np.int64(2)) == 2.5
    buffer = bytearray(b"\1")
    assert lib.sum("bi", buffer, 1) == 1
    assert buffer == b"\x09"
    assert lib.sum("s", lib.string("abc")) == 3
    assert lib.sum("i" * 100, *range(100)) == sum(range(100))


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (object(), TypeError, r"sum\(\): argument 2: an argument for \.\.\. is an int, a float, str, bytes"),
        ([1], TypeError, "got list"),
        (lambda: 1, TypeError, "got function"),
        (2**63, OverflowError, "out of the range of long long"),
        ("a\0", ValueError, "NUL"),
    ],
)
def test_further_arguments_that_c_has_no_type_for(lib: clib.Library, value: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        lib.sum("i", value)

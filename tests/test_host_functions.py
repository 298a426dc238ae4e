# SPDX-License-Identifier: Apache-2.0
"""Functions of the host: their arguments, results and exceptions, and who called them."""

import gc
import traceback
import weakref
from typing import Any

import pytest

import anywasm
from toolchain import Instantiate


def calling(parameters: str, results: str, call: str) -> str:
    """A module whose "run" calls the host's function "f"."""
    return (
        f'(module (import "host" "f" (func $f (param {parameters}) (result {results})))'
        f' (memory (export "memory") 1) (func (export "run") (result {results}) {call} (call $f)))'
    )


def test_a_plain_callable_takes_its_type_from_the_import(instantiate: Instantiate) -> None:
    text = calling("i32 i64 f32 f64", "f64", "i32.const -1 i64.const -2 f32.const 0.5 f64.const 0.25")
    seen: list[tuple[Any, ...]] = []

    def f(*arguments: Any) -> float:
        seen.append(arguments)
        return 1.5

    assert instantiate(text, {"host": {"f": f}}).exports.run() == 1.5
    assert seen == [(-1, -2, 0.5, 0.25)]
    assert [type(value) for value in seen[0]] == [int, int, float, float]


@pytest.mark.parametrize("result", [None, 1, "text"], ids=str)
def test_a_function_without_results_must_return_none(instantiate: Instantiate, result: Any) -> None:
    run = instantiate(calling("", "", ""), {"host": {"f": lambda: result}}).exports.run
    if result is None:
        assert run() is None
    else:
        with pytest.raises(TypeError, match=rf"f\(\).*{type(result).__name__}"):
            run()


@pytest.mark.requires("multi_value")
def test_several_results_are_returned_as_a_tuple(instantiate: Instantiate) -> None:
    run = instantiate(calling("", "i32 f64", ""), {"host": {"f": lambda: (7, 0.5)}}).exports.run
    assert run() == (7, 0.5)


WRONG_RESULTS = [
    ("i32", "seven", TypeError, "str"),
    ("i32", None, TypeError, "None"),
    ("i32", 1.5, TypeError, "float"),
    ("i32", (1, 2), TypeError, "tuple"),
    ("i32", 2**32, OverflowError, "i32"),
    ("i64", 2**64, OverflowError, "i64"),
    ("f32", 1e300, OverflowError, "f32"),
    ("f64", "x", TypeError, "str"),
]
WRONG_TUPLES = [
    ("i32 i32", 1, TypeError, "int"),
    ("i32 i32", None, TypeError, "None"),
    ("i32 i32", (1,), TypeError, "1"),
    ("i32 i32", (1, 2, 3), TypeError, "3"),
    ("i32 i32", (1, "x"), TypeError, r"result 2 \(i32\).*str"),
    ("i32 i32", (2**40, 1), OverflowError, r"result 1 \(i32\)"),
]


@pytest.mark.parametrize(("kind", "result", "error", "words"), WRONG_RESULTS, ids=lambda value: str(value)[:20])
def test_a_wrong_result_is_named_with_the_function(
    instantiate: Instantiate, kind: str, result: Any, error: type[Exception], words: str
) -> None:
    run = instantiate(calling("", kind, ""), {"host": {"f": lambda: result}}).exports.run
    with pytest.raises(error, match=rf"^(host\.)?f\(\):.*{words}"):
        run()


@pytest.mark.requires("multi_value")
@pytest.mark.parametrize(("kinds", "result", "error", "words"), WRONG_TUPLES, ids=lambda value: str(value)[:20])
def test_a_wrong_tuple_is_named_with_the_function(
    instantiate: Instantiate, kinds: str, result: Any, error: type[Exception], words: str
) -> None:
    run = instantiate(calling("", kinds, ""), {"host": {"f": lambda: result}}).exports.run
    with pytest.raises(error, match=rf"^(host\.)?f\(\).*{words}"):
        run()


def test_the_store_works_on_after_a_wrong_result(instantiate: Instantiate) -> None:
    results: list[Any] = ["wrong", 7]
    run = instantiate(calling("", "i32", ""), {"host": {"f": lambda: results.pop(0)}}).exports.run
    with pytest.raises(TypeError):
        run()
    assert run() == 7


class Custom(BaseException):
    pass


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt, SystemExit, GeneratorExit, StopIteration, Custom])
def test_an_exception_comes_out_as_itself(instantiate: Instantiate, kind: type[BaseException]) -> None:
    error = kind("from the host")

    def f() -> None:
        raise error

    run = instantiate(calling("", "", ""), {"host": {"f": f}}).exports.run
    with pytest.raises(kind) as caught:
        run()
    assert caught.value is error
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def test_the_traceback_is_whole(instantiate: Instantiate) -> None:
    def innermost() -> None:
        raise ValueError("deep inside")

    def f() -> None:
        innermost()

    text = '(module (import "host" "f" (func $f)) (func $middle (call $f)) (func $outer (export "run") (call $middle)))'
    run = instantiate(text, {"host": {"f": f}}).exports.run
    with pytest.raises(ValueError, match="deep inside") as caught:
        run()
    names = [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert names[0] == "test_the_traceback_is_whole"
    assert names[-2:] == ["f", "innermost"]


def test_the_functions_of_the_guest_stand_in_the_traceback_of_a_host_exception(instantiate: Instantiate) -> None:
    def f() -> None:
        raise ValueError("deep inside")

    text = '(module (import "host" "f" (func $f)) (func $middle (call $f)) (func $outer (export "run") (call $middle)))'
    run = instantiate(text, {"host": {"f": f}}).exports.run
    with pytest.raises(ValueError) as caught:
        run()
    shown = "".join(traceback.format_exception(caught.value))
    assert "middle" in shown
    assert "outer" in shown


def test_an_exception_passes_through_two_guests_and_the_python_between(instantiate: Instantiate) -> None:
    def raising() -> None:
        raise LookupError("at the bottom")

    inner = instantiate(calling("", "", ""), {"host": {"f": raising}})
    outer = instantiate(calling("", "", ""), {"host": {"f": lambda: inner.exports.run()}})
    with pytest.raises(LookupError, match="at the bottom"):
        outer.exports.run()


def test_a_host_function_may_catch_what_its_guest_raised(instantiate: Instantiate) -> None:
    inner = instantiate('(module (func (export "run") unreachable))')

    def f() -> int:
        try:
            inner.exports.run()
        except anywasm.Trap:
            return 7
        return 0

    assert instantiate(calling("", "i32", ""), {"host": {"f": f}}).exports.run() == 7


def test_the_exception_and_its_frames_die_after_they_were_handled(instantiate: Instantiate) -> None:
    class Marked(Exception):
        pass

    def f() -> None:
        raise Marked

    run = instantiate(calling("", "", ""), {"host": {"f": f}}).exports.run
    alive: weakref.ref[Marked] | None = None
    try:
        run()
    except Marked as error:
        alive = weakref.ref(error)
    gc.collect()
    assert alive is not None
    assert alive() is None


def test_the_handled_exception_of_the_caller_is_the_context(instantiate: Instantiate) -> None:
    def f() -> None:
        raise ValueError("second")

    run = instantiate(calling("", "", ""), {"host": {"f": f}}).exports.run
    try:
        raise LookupError("first")
    except LookupError:
        with pytest.raises(ValueError) as caught:
            run()
    assert isinstance(caught.value.__context__, LookupError)


def test_a_host_func_is_called_from_python_as_well(store: anywasm.Store) -> None:
    f = anywasm.Func(lambda a, b: a - b, anywasm.FuncType(["i32", "i32"], ["i32"]), store, name="minus")
    assert f(5, 3) == 2
    assert f.name == "minus"
    with pytest.raises(TypeError, match=r"minus\(\): parameter 1 \(i32\)"):
        f("x", 1)


def test_func_wants_a_callable(store: anywasm.Store) -> None:
    with pytest.raises(TypeError, match="callable"):
        anywasm.Func(5, anywasm.FuncType(), store)  # type: ignore[arg-type]


# --- who called ---------------------------------------------------------------------------------------------------


def test_pass_caller_gives_the_callers_memory_and_exports(instantiate: Instantiate, store: anywasm.Store) -> None:
    seen: list[Any] = []

    def f(caller: anywasm.Caller, address: int) -> None:
        assert caller.memory is not None
        seen.append(caller.memory.read(address, 5))
        seen.append(caller["answer"]())
        seen.append(caller.get("nothing", "default"))
        seen.append(caller.store is store)

    host = anywasm.Func(f, anywasm.FuncType(["i32"]), store, pass_caller=True)
    guest = instantiate(
        '(module (import "host" "f" (func $f (param i32))) (memory (export "memory") 1) (data (i32.const 8) "hello")'
        ' (func (export "answer") (result i32) i32.const 42) (func (export "run") (call $f (i32.const 8))))',
        {"host": {"f": host}},
    )
    guest.exports.run()
    assert seen == [b"hello", 42, "default", True]


def test_each_guest_is_its_own_caller(instantiate: Instantiate, store: anywasm.Store) -> None:
    def f(caller: anywasm.Caller) -> int:
        assert caller.memory is not None
        return caller.memory[0]

    host = anywasm.Func(f, anywasm.FuncType([], ["i32"]), store, pass_caller=True)
    text = (
        '(module (import "host" "f" (func $f (result i32))) (memory (export "memory") 1) (data (i32.const 0) "%s")'
        ' (func (export "run") (result i32) (call $f)))'
    )
    one, two = (instantiate(text % letter, {"host": {"f": host}}) for letter in "ab")
    assert [one.exports.run(), two.exports.run()] == [ord("a"), ord("b")]


def test_a_caller_without_memory_has_none(instantiate: Instantiate, store: anywasm.Store) -> None:
    seen: list[Any] = []
    host = anywasm.Func(lambda caller: seen.append(caller.memory), anywasm.FuncType(), store, pass_caller=True)
    instantiate(
        '(module (import "host" "f" (func $f)) (func (export "run") (call $f)))', {"host": {"f": host}}
    ).exports.run()
    assert seen == [None]


def test_a_caller_is_of_no_use_after_the_call(instantiate: Instantiate, store: anywasm.Store) -> None:
    kept: list[anywasm.Caller] = []
    host = anywasm.Func(kept.append, anywasm.FuncType(), store, pass_caller=True)
    instantiate(calling("", "", ""), {"host": {"f": host}}).exports.run()
    with pytest.raises(ValueError, match="call"):
        kept[0].memory  # noqa: B018
    with pytest.raises(ValueError, match="call"):
        kept[0]["memory"]


def test_a_missing_export_of_the_caller_is_a_key_error(instantiate: Instantiate, store: anywasm.Store) -> None:
    host = anywasm.Func(lambda caller: caller["nothing"], anywasm.FuncType(), store, pass_caller=True)
    with pytest.raises(KeyError, match="nothing"):
        instantiate(calling("", "", ""), {"host": {"f": host}}).exports.run()


def test_a_host_function_grows_its_callers_memory(instantiate: Instantiate, store: anywasm.Store) -> None:
    def f(caller: anywasm.Caller) -> None:
        assert caller.memory is not None
        caller.memory.grow(1)
        caller.memory[65536] = 9

    host = anywasm.Func(f, anywasm.FuncType(), store, pass_caller=True)
    guest = instantiate(
        '(module (import "host" "f" (func $f)) (memory (export "memory") 1)'
        ' (func (export "run") (result i32) (call $f) (i32.load8_u (i32.const 65536))))',
        {"host": {"f": host}},
    )
    assert guest.exports.run() == 9


@pytest.mark.requires("reference_types")
def test_references_pass_through_the_host(instantiate: Instantiate) -> None:
    seen = []

    def f(value: Any) -> Any:
        seen.append(value)
        return value

    run = instantiate(
        '(module (import "host" "f" (func $f (param externref) (result externref)))'
        ' (func (export "run") (param externref) (result externref) (call $f (local.get 0))))',
        {"host": {"f": f}},
    ).exports.run
    marked = object()
    assert run(marked) is marked
    assert run(None) is None
    assert seen == [marked, None]

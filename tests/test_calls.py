# SPDX-License-Identifier: Apache-2.0
"""Calling a guest's functions: counts, exports, many parameters, deep recursion, calls within calls."""

import inspect
from typing import Any

import pytest

import anywasm
from toolchain import Instantiate

ADD = '(module (func (export "add") (param i32 i32) (result i32) local.get 0 local.get 1 i32.add))'
FACTORIAL = """
(module
  (func $factorial (export "factorial") (param i64) (result i64)
    (if (result i64) (i64.eqz (local.get 0))
      (then (i64.const 1))
      (else (i64.mul (local.get 0) (call $factorial (i64.sub (local.get 0) (i64.const 1))))))))
"""


def test_an_export_is_called_by_attribute_and_by_item(instantiate: Instantiate) -> None:
    exports = instantiate(ADD).exports
    assert exports.add(1, 2) == 3
    assert exports["add"](1, 2) == 3


def test_exports_are_a_mapping(instantiate: Instantiate) -> None:
    exports = instantiate('(module (func (export "b")) (func (export "a")) (memory (export "m") 1))').exports
    assert list(exports) == ["b", "a", "m"]
    assert len(exports) == 3
    assert "a" in exports
    assert "x" not in exports
    assert isinstance(exports["m"], anywasm.Memory)
    assert dict(exports.items())["b"] == exports.b


@pytest.mark.parametrize("name", ["", "a b", "ü", "名", "0", "\U0001f600", "__init__", "keys"])
def test_an_export_may_have_any_name(instantiate: Instantiate, name: str) -> None:
    exports = instantiate(f'(module (func (export "{name}") (result i32) i32.const 7))').exports
    assert exports[name]() == 7


def test_an_export_may_have_a_nul_in_its_name(instantiate: Instantiate) -> None:
    exports = instantiate(
        r'(module (func (export "a") (result i32) i32.const 1) (func (export "a\00b") (result i32) i32.const 2))'
    ).exports
    assert exports["a"]() == 1
    assert exports["a\0b"]() == 2


def test_a_missing_export_is_named_with_those_that_are_there(instantiate: Instantiate) -> None:
    exports = instantiate(ADD).exports
    with pytest.raises(AttributeError, match="sub"):
        exports.sub  # noqa: B018
    with pytest.raises(KeyError, match="sub"):
        exports["sub"]


@pytest.mark.parametrize("arguments", [(), (1,), (1, 2, 3)], ids=["none", "one", "three"])
def test_a_wrong_number_of_arguments_tells_the_numbers(instantiate: Instantiate, arguments: tuple[int, ...]) -> None:
    with pytest.raises(TypeError, match=rf"^add\(\).*2.*{len(arguments)}"):
        instantiate(ADD).exports.add(*arguments)


def test_keyword_arguments_are_refused(instantiate: Instantiate) -> None:
    with pytest.raises(TypeError, match=r"add\(\).*keyword"):
        instantiate(ADD).exports.add(1, b=2)


def test_a_func_shows_its_type_and_name(instantiate: Instantiate) -> None:
    add = instantiate(ADD).exports.add
    assert add.type == anywasm.FuncType(["i32", "i32"], ["i32"])
    assert add.name == "add"
    assert "add" in repr(add)
    assert "i32" in repr(add)
    assert callable(add)


def test_the_same_export_is_the_same_func(instantiate: Instantiate) -> None:
    exports = instantiate(ADD).exports
    assert exports.add == exports["add"]
    assert hash(exports.add) == hash(exports["add"])
    assert exports.add != instantiate(ADD).exports.add


def test_a_function_calls_itself(instantiate: Instantiate) -> None:
    assert instantiate(FACTORIAL).exports.factorial(20) == 2432902008176640000


@pytest.mark.parametrize("count", [1, 5, 16, 17, 100, 1000])
def test_many_parameters_arrive_in_order(instantiate: Instantiate, count: int) -> None:
    body = "(i64.const 0)"
    for index in range(count):
        body = f"(i64.add {body} (i64.mul (local.get {index}) (i64.const {index + 1})))" if count < 101 else body
    if count > 100:  # nested text as deep as that is no fun for a parser
        body = "i64.const 0 " + " ".join(
            f"local.get {index} i64.const {index + 1} i64.mul i64.add" for index in range(count)
        )
    text = f'(module (func (export "f") (param {"i64 " * count}) (result i64) {body}))'
    values = [(7 * index) % 101 - 50 for index in range(count)]
    assert instantiate(text).exports.f(*values) == sum((index + 1) * value for index, value in enumerate(values))


@pytest.mark.requires("multi_value")
@pytest.mark.parametrize("count", [2, 16, 17, 100, 1000])
def test_many_results_arrive_in_order(instantiate: Instantiate, count: int) -> None:
    body = " ".join(f"(i32.add (local.get 0) (i32.const {index}))" for index in range(count))
    text = f'(module (func (export "f") (param i32) (result {"i32 " * count}) {body}))'
    assert instantiate(text).exports.f(5) == tuple(range(5, count + 5))


def test_mixed_parameters_keep_their_types(instantiate: Instantiate) -> None:
    text = """(module (func (export "f") (param i32 f32 i64 f64 i32) (result f64)
      (f64.add (f64.add (f64.convert_i32_s (local.get 0)) (f64.promote_f32 (local.get 1)))
        (f64.add (f64.convert_i64_s (local.get 2)) (f64.add (local.get 3) (f64.convert_i32_s (local.get 4)))))))"""
    assert instantiate(text).exports.f(-1, 0.5, 2**40, 0.25, 3) == 2**40 + 2.75


def test_the_start_function_runs_at_instantiation(instantiate: Instantiate) -> None:
    text = """(module (global $g (mut i32) (i32.const 0)) (func $s (global.set $g (i32.const 7))) (start $s)
      (export "g" (global $g)))"""
    assert instantiate(text).exports.g.value == 7


def test_two_instances_of_a_module_share_nothing(instantiate: Instantiate) -> None:
    text = """(module (global $g (mut i32) (i32.const 0))
      (func (export "next") (result i32) (global.set $g (i32.add (global.get $g) (i32.const 1))) (global.get $g)))"""
    one, two = instantiate(text).exports, instantiate(text).exports
    assert [one.next(), one.next(), two.next()] == [1, 2, 1]


def test_a_guest_calls_another_guests_export(instantiate: Instantiate) -> None:
    library = instantiate(ADD)
    program = instantiate(
        '(module (import "lib" "add" (func $add (param i32 i32) (result i32)))'
        ' (func (export "inc") (param i32) (result i32) (call $add (local.get 0) (i32.const 1))))',
        {"lib": library},
    )
    assert program.exports.inc(41) == 42


def test_calls_nest_through_python_and_wasm_in_turns(instantiate: Instantiate) -> None:
    def down(n: int) -> int:
        return 0 if n == 0 else guest.exports.down(n - 1) + 1

    guest: Any = instantiate(
        '(module (import "host" "down" (func $down (param i32) (result i32)))'
        ' (func (export "down") (param i32) (result i32) (call $down (local.get 0))))',
        {"host": {"down": down}},
    )
    assert guest.exports.down(50) == 50


def test_a_func_has_a_docstring_and_no_surprises_for_inspect(instantiate: Instantiate) -> None:
    assert inspect.getdoc(anywasm.Func)
    assert not inspect.iscoroutinefunction(instantiate(ADD).exports.add)

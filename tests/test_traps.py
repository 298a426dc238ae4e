# SPDX-License-Identifier: Apache-2.0
"""Traps: their codes, their frames, and what a Python traceback shows of them."""

import traceback
from typing import Any

import pytest

import anywasm
from toolchain import Instantiate

# The body of a function that traps, and the code of the trap.
TRAPS = {
    "unreachable": "unreachable",
    "out of bounds memory access": "(drop (i32.load (i32.const 65536)))",
    "integer divide by zero": "(drop (i32.div_s (i32.const 1) (i32.const 0)))",
    "integer overflow": "(drop (i32.div_s (i32.const 0x80000000) (i32.const -1)))",
    "invalid conversion to integer": "(drop (i32.trunc_f64_s (f64.const nan)))",
    "undefined element": "(call_indirect (i32.const 9))",
    "uninitialized element": "(call_indirect (i32.const 1))",
    "indirect call type mismatch": "(call_indirect (param i32) (i32.const 1) (i32.const 0))",
    "call stack exhausted": "(call $run)",
}
# An engine may take a call through an element outside of a table for any access outside of it.
SAME = {"undefined element": {"undefined element", "out of bounds table access"}}


def trapping(body: str) -> str:
    return f"""(module $guest (memory 1) (table 2 funcref) (elem (i32.const 0) $run)
      (func $run (export "run") {body}))"""


@pytest.mark.parametrize("code", TRAPS)
def test_a_trap_has_the_code_of_what_happened(instantiate: Instantiate, code: str) -> None:
    run = instantiate(trapping(TRAPS[code])).exports.run
    with pytest.raises(anywasm.Trap) as caught:
        run()
    assert caught.value.code in SAME.get(code, {code})
    assert caught.value.code in str(caught.value)


@pytest.mark.parametrize("code", TRAPS)
def test_a_guest_can_be_called_after_a_trap(instantiate: Instantiate, code: str) -> None:
    run = instantiate(trapping(TRAPS[code])).exports.run
    for _ in range(3):
        with pytest.raises(anywasm.Trap):
            run()


def test_a_store_serves_other_instances_after_a_trap(instantiate: Instantiate) -> None:
    with pytest.raises(anywasm.Trap):
        instantiate(trapping("unreachable")).exports.run()
    assert instantiate('(module (func (export "f") (result i32) i32.const 7))').exports.f() == 7


def test_a_trap_is_a_wasm_error_and_no_runtime_error() -> None:
    assert issubclass(anywasm.Trap, anywasm.WasmError)
    assert not issubclass(anywasm.Trap, RuntimeError)


def test_a_trap_in_the_start_function_fails_the_instantiation(instantiate: Instantiate) -> None:
    with pytest.raises(anywasm.Trap, match="unreachable"):
        instantiate("(module (func $s unreachable) (start $s))")


def test_a_data_segment_out_of_bounds_fails_the_instantiation(instantiate: Instantiate) -> None:
    with pytest.raises(anywasm.Trap, match="out of bounds memory access"):
        instantiate('(module (memory 1) (data (i32.const 65530) "far too long"))')


NESTED = """
(module $guest
  (func $innermost unreachable)
  (func $middle (call $innermost) (nop))
  (func $outer (export "run") (call $middle) (nop)))
"""


@pytest.fixture
def nested_trap(instantiate: Instantiate) -> anywasm.Trap:
    run = instantiate(NESTED).exports.run
    with pytest.raises(anywasm.Trap) as caught:
        run()
    return caught.value


def test_frames_begin_with_the_innermost_function(nested_trap: anywasm.Trap) -> None:
    assert [frame.function_name for frame in nested_trap.frames] == ["innermost", "middle", "outer"]


def test_frames_tell_module_index_and_offset(nested_trap: anywasm.Trap) -> None:
    assert [frame.function_index for frame in nested_trap.frames] == [0, 1, 2]
    assert {frame.module_name for frame in nested_trap.frames} == {"guest"}
    offsets = [frame.module_offset for frame in nested_trap.frames]
    assert all(offset is not None and offset > 0 for offset in offsets)
    assert offsets == sorted(offsets, key=lambda offset: offset or 0)  # the functions stand in this order in the module


def test_a_printed_traceback_shows_the_wasm_functions(nested_trap: anywasm.Trap) -> None:
    shown = "".join(traceback.format_exception(nested_trap))
    for name in ("innermost", "middle", "outer"):
        assert name in shown
    assert shown.index("outer") < shown.index("middle") < shown.index("innermost")  # as in Python: most recent last


def test_a_traceback_goes_through_python_and_wasm_in_turns(instantiate: Instantiate) -> None:
    inner: Any = instantiate(NESTED)

    def between() -> None:
        inner.exports.run()

    text = '(module (import "host" "f" (func $f)) (func $upper (export "run") (call $f)))'
    run = instantiate(text, {"host": {"f": between}}).exports.run
    with pytest.raises(anywasm.Trap) as caught:
        run()
    shown = "".join(traceback.format_exception(caught.value))
    places = [shown.index(name) for name in ("upper", "in between", "outer", "innermost")]
    assert places == sorted(places)
    assert [frame.function_name for frame in caught.value.frames][:3] == ["innermost", "middle", "outer"]


def test_functions_without_names_have_frames_with_indices(instantiate: Instantiate) -> None:
    run = instantiate('(module (func unreachable) (func (export "run") (call 0) (nop)))').exports.run
    with pytest.raises(anywasm.Trap) as caught:
        run()
    assert [frame.function_index for frame in caught.value.frames] == [0, 1]


def test_traps_can_be_pickled_and_keep_code_and_frames(nested_trap: anywasm.Trap) -> None:
    import pickle

    back = pickle.loads(pickle.dumps(nested_trap))
    assert isinstance(back, anywasm.Trap)
    assert str(back) == str(nested_trap)
    assert back.code == nested_trap.code
    assert back.frames == nested_trap.frames


@pytest.mark.requires("exceptions")
def test_an_uncaught_wasm_exception_has_its_tag_and_payload(instantiate: Instantiate) -> None:
    guest = instantiate(
        '(module (tag $t (export "t") (param i32 f64)) (func (export "run") (throw $t (i32.const 7) (f64.const 0.5))))'
    )
    with pytest.raises(anywasm.WasmException) as caught:
        guest.exports.run()
    assert caught.value.tag == guest.exports.t
    assert caught.value.payload == (7, 0.5)


@pytest.mark.requires("exceptions")
def test_a_host_function_throws_what_a_guest_catches(instantiate: Instantiate, store: anywasm.Store) -> None:
    tag = anywasm.Tag(anywasm.TagType(["i32"]), store)

    def f() -> None:
        raise anywasm.WasmException(tag, 42)

    guest = instantiate(
        """(module (import "host" "t" (tag $t (param i32))) (import "host" "f" (func $f))
          (func (export "run") (result i32)
            (block $caught (result i32) (try_table (catch $t $caught) (call $f)) (i32.const 0))))""",
        {"host": {"t": tag, "f": f}},
    )
    assert guest.exports.run() == 42


@pytest.mark.requires("exceptions")
def test_a_python_exception_cannot_be_caught_by_a_guest(instantiate: Instantiate) -> None:
    def f() -> None:
        raise ValueError("not for guests")

    guest = instantiate(
        """(module (import "host" "f" (func $f))
          (func (export "run") (block $caught (try_table (catch_all $caught) (call $f)))))""",
        {"host": {"f": f}},
    )
    with pytest.raises(ValueError, match="not for guests"):
        guest.exports.run()

# SPDX-License-Identifier: Apache-2.0
"""What each engine can do. For every capability there is one use of it here: where an engine claims the capability the
use works, where it does not the use is an UnsupportedError. Nothing is skipped."""

import threading
from collections.abc import Callable
from typing import Any

import pytest

import anywasm
import toolchain

WEBASSEMBLY_3 = {
    "simd",
    "relaxed_simd",
    "tail_call",
    "exceptions",
    "gc",
    "function_references",
    "memory64",
    "multi_memory",
    "extended_const",
    "multi_value",
    "reference_types",
    "bulk_memory",
}

# What each engine claims: a change here is a change for users, and belongs into the changelog.
CLAIMED = {
    "wasmtime": WEBASSEMBLY_3
    | {"threads", "fuel", "interrupt", "serialize", "wat", "pooling"}
    | {"imported_memory", "imported_table", "imported_global"},
    "wamr": {
        "threads",
        "tail_call",
        "extended_const",
        "multi_value",
        "reference_types",
        "bulk_memory",
        "fuel",
        "interrupt",
        "imported_memory",
        "imported_table",
        "imported_global",
    },
}
# What depends on how the engine was built.
OPTIONAL = {"wamr": {"simd"}, "wasmtime": set()}

ALL = [
    "simd",
    "relaxed_simd",
    "threads",
    "tail_call",
    "exceptions",
    "gc",
    "function_references",
    "memory64",
    "multi_memory",
    "extended_const",
    "multi_value",
    "reference_types",
    "bulk_memory",
    "fuel",
    "interrupt",
    "serialize",
    "wat",
    "pooling",
    "imported_memory",
    "imported_table",
    "imported_global",
    "components",
]


def exports(engine: anywasm.Engine, text: str, imports: Any = None, store: anywasm.Store | None = None) -> Any:
    module = anywasm.Module(toolchain.wat(text), engine)
    return anywasm.Instance(module, imports, store or anywasm.Store(engine)).exports


def use_simd(engine: anywasm.Engine) -> None:
    f = exports(
        engine, '(module (func (export "f") (param v128 v128) (result v128) (i8x16.add (local.get 0) (local.get 1))))'
    ).f
    assert f(bytes(range(16)), bytes([1] * 16)) == bytes(range(1, 17))


def use_relaxed_simd(engine: anywasm.Engine) -> None:
    text = '(module (func (export "f") (param v128) (result v128) (i32x4.relaxed_trunc_f32x4_s (local.get 0))))'
    assert exports(engine, text).f(bytes.fromhex("0000803f" * 4)) == bytes.fromhex("01000000" * 4)


def use_threads(engine: anywasm.Engine) -> None:
    text = """(module (memory (export "memory") 1 2 shared)
      (func (export "f") (result i32)
        (drop (i32.atomic.rmw.add (i32.const 8) (i32.const 5)))
        (i32.atomic.load (i32.const 8))))"""
    guest = exports(engine, text)
    assert guest.f() == 5
    assert guest.memory.type == anywasm.MemoryType(1, 2, shared=True)
    assert guest.memory.read(8, 4) == b"\5\0\0\0"


def use_tail_call(engine: anywasm.Engine) -> None:
    text = """(module (func $f (export "f") (param i32 i32) (result i32)
      (if (i32.eqz (local.get 0)) (then (return (local.get 1))))
      (return_call $f (i32.sub (local.get 0) (i32.const 1)) (i32.add (local.get 1) (i32.const 2)))))"""
    assert exports(engine, text).f(1_000_000, 0) == 2_000_000


def use_exceptions(engine: anywasm.Engine) -> None:
    text = """(module (tag $t (param i32))
      (func (export "f") (result i32)
        (block $caught (result i32) (try_table (catch $t $caught) (throw $t (i32.const 7))) (i32.const 0))))"""
    assert exports(engine, text).f() == 7


def use_gc(engine: anywasm.Engine) -> None:
    text = """(module (type $point (struct (field i32) (field (mut i32))))
      (func (export "make") (param i32 i32) (result (ref null struct)) (struct.new $point (local.get 0) (local.get 1)))
      (func (export "second") (param (ref null struct)) (result i32)
        (struct.get $point 1 (ref.cast (ref $point) (local.get 0)))))"""
    guest = exports(engine, text)
    assert guest.second(guest.make(3, 4)) == 4


def use_function_references(engine: anywasm.Engine) -> None:
    text = """(module (type $t (func (result i32))) (func $seven (type $t) (i32.const 7)) (elem declare func $seven)
      (func (export "f") (result i32) (call_ref $t (ref.func $seven))))"""
    assert exports(engine, text).f() == 7


def use_memory64(engine: anywasm.Engine) -> None:
    text = """(module (memory (export "memory") i64 1)
      (func (export "f") (param i64) (result i32) (i32.load8_u (local.get 0))))"""
    guest = exports(engine, text)
    guest.memory[5] = 9
    assert guest.f(5) == 9
    assert guest.memory.type.index == "i64"


def use_multi_memory(engine: anywasm.Engine) -> None:
    text = """(module (memory (export "a") 1) (memory $b (export "b") 2) (data (memory $b) (i32.const 0) "x"))"""
    guest = exports(engine, text)
    assert (guest.a[0], guest.b[0], guest.b.pages) == (0, ord("x"), 2)


def use_extended_const(engine: anywasm.Engine) -> None:
    text = '(module (global (export "g") i32 (i32.add (i32.const 3) (i32.mul (i32.const 4) (i32.const 5)))))'
    assert exports(engine, text).g.value == 23


def use_multi_value(engine: anywasm.Engine) -> None:
    assert exports(engine, '(module (func (export "f") (result i32 i64) i32.const 1 i64.const 2))').f() == (1, 2)


def use_reference_types(engine: anywasm.Engine) -> None:
    text = """(module (table 1 externref) (table 1 funcref)
      (func (export "keep") (param externref) (table.set 0 (i32.const 0) (local.get 0)))
      (func (export "kept") (result externref) (table.get 0 (i32.const 0))))"""
    guest = exports(engine, text)
    marked = object()
    guest.keep(marked)
    assert guest.kept() is marked


def use_bulk_memory(engine: anywasm.Engine) -> None:
    text = """(module (memory (export "memory") 1)
      (func (export "f") (memory.fill (i32.const 0) (i32.const 7) (i32.const 4))
        (memory.copy (i32.const 8) (i32.const 0) (i32.const 2))))"""
    guest = exports(engine, text)
    guest.f()
    assert guest.memory[0:12] == b"\7\7\7\7\0\0\0\0\7\7\0\0"


LOOP = '(module (func (export "f") (loop (br 0))) (func (export "g") (result i32) (i32.const 7)))'


def use_fuel(engine: anywasm.Engine) -> None:
    counting = anywasm.Engine(engine.name, fuel=True)
    store = anywasm.Store(counting, fuel=10_000)
    guest = exports(counting, LOOP, store=store)
    assert guest.g() == 7
    assert 0 < store.fuel < 10_000
    with pytest.raises(anywasm.LimitError, match="fuel"):
        guest.f()
    store.fuel = 10_000
    assert guest.g() == 7


def use_interrupt(engine: anywasm.Engine) -> None:
    interruptible = anywasm.Engine(engine.name, interruptible=True)
    store = anywasm.Store(interruptible)
    guest = exports(interruptible, LOOP, store=store)
    timer = threading.Timer(0.1, store.interrupt)
    timer.start()
    with pytest.raises(anywasm.LimitError, match="interrupt"):
        guest.f()
    timer.join()
    assert guest.g() == 7


def use_serialize(engine: anywasm.Engine) -> None:
    saved = anywasm.Module(toolchain.wat(LOOP), engine).serialize()
    assert isinstance(saved, bytes)
    loaded = anywasm.Module.deserialize(saved, engine)
    assert anywasm.Instance(loaded, store=anywasm.Store(engine)).exports.g() == 7


def use_wat(engine: anywasm.Engine) -> None:
    module = anywasm.Module('(module (func (export "f") (result i32) i32.const 7))', engine)
    assert anywasm.Instance(module, store=anywasm.Store(engine)).exports.f() == 7


def use_pooling(engine: anywasm.Engine) -> None:
    pooled = anywasm.Engine(engine.name, pooling=2)
    assert "pooling" in pooled.capabilities
    module = anywasm.Module(toolchain.wat('(module (memory (export "m") 1))'), pooled)
    instances = [anywasm.Instance(module), anywasm.Instance(module)]
    with pytest.raises(anywasm.LimitError, match="2"):
        anywasm.Instance(module)
    instances[0].exports.m[0] = 9
    del instances
    assert [anywasm.Instance(module).exports.m[0] for _ in range(3)] == [0] * 3


def use_imported_memory(engine: anywasm.Engine) -> None:
    store = anywasm.Store(engine)
    memory = anywasm.Memory(anywasm.MemoryType(1, 2), store)
    text = """(module (import "a" "m" (memory 1)) (export "m" (memory 0))
      (func (export "f") (i32.store8 (i32.const 3) (i32.const 9))))"""
    one = exports(engine, text, {"a": {"m": memory}}, store)
    one.f()
    assert memory[3] == 9
    two = exports(engine, text, {"a": {"m": one.m}}, store)
    memory[3] = 0
    two.f()
    assert one.m[3] == 9


def use_imported_table(engine: anywasm.Engine) -> None:
    store = anywasm.Store(engine)
    table = anywasm.Table(anywasm.TableType("funcref", 2), store)
    text = """(module (import "a" "t" (table 2 funcref))
      (func $seven (result i32) i32.const 7) (elem (i32.const 1) $seven)
      (func (export "f") (result i32) (call_indirect (result i32) (i32.const 1))))"""
    guest = exports(engine, text, {"a": {"t": table}}, store)
    assert guest.f() == 7
    assert table[1]() == 7


def use_imported_global(engine: anywasm.Engine) -> None:
    store = anywasm.Store(engine)
    number = anywasm.Global(anywasm.GlobalType("i32", mutable=True), 5, store)
    text = """(module (import "a" "g" (global (mut i32)))
      (func (export "f") (global.set 0 (i32.add (global.get 0) (i32.const 1)))))"""
    exports(engine, text, {"a": {"g": number}}, store).f()
    assert number.value == 6


def use_components(engine: anywasm.Engine) -> None:
    anywasm.Module(b"\0asm\x0d\0\x01\0", engine)


USES: dict[str, Callable[[anywasm.Engine], None]] = {name: globals()[f"use_{name}"] for name in ALL}


@pytest.mark.parametrize("capability", ALL)
def test_a_capability_works_or_is_an_unsupported_error(engine: anywasm.Engine, capability: str) -> None:
    if capability in next(info.capabilities for info in anywasm.engines() if info.name == engine.name):
        USES[capability](engine)
        return
    others = [info.name for info in anywasm.engines() if info.available and capability in info.capabilities]
    if capability == "wat" and others:  # text is turned into a binary by whoever can
        USES[capability](engine)
        return
    with pytest.raises(anywasm.UnsupportedError) as caught:
        USES[capability](engine)
    message = str(caught.value)
    assert engine.name in message
    # Where all vector instructions are missing, the message may name the larger lack.
    assert capability in message or (capability == "relaxed_simd" and "simd" not in engine.capabilities)
    if others:  # the message tells an engine that has it
        assert any(name in message for name in others)


@pytest.mark.parametrize("capability", sorted(WEBASSEMBLY_3 | {"threads"}))
def test_a_capability_can_be_switched_off(engine: anywasm.Engine, capability: str) -> None:
    try:
        limited = anywasm.Engine(engine.name, disable=[capability])
    except anywasm.UnsupportedError as error:
        assert engine.name in str(error)  # it says that it cannot
        return
    assert capability not in limited.capabilities
    lack = "simd" if capability == "relaxed_simd" and "simd" not in engine.capabilities else capability
    with pytest.raises(anywasm.UnsupportedError, match=lack):
        USES[capability](limited)


def test_the_engine_claims_exactly_what_is_written_here(engine: anywasm.Engine) -> None:
    info = next(info for info in anywasm.engines() if info.name == engine.name)
    assert info.capabilities - OPTIONAL[engine.name] == CLAIMED[engine.name]


def test_an_engine_without_settings_has_what_needs_none(engine: anywasm.Engine) -> None:
    info = next(info for info in anywasm.engines() if info.name == engine.name)
    assert engine.capabilities == info.capabilities - {"fuel", "interrupt", "pooling"}
    assert engine.version == info.version
    assert isinstance(engine.capabilities, frozenset)

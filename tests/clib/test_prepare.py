# SPDX-License-Identifier: Apache-2.0
"""What clib exports of a module before it compiles it: the function table and the stack pointer."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import anywasm
from anywasm import GlobalType, TableType
from anywasm.clib._prepare import add_custom_section, prepare, remove_custom_sections

Wat = Callable[[str], bytes]
CompileC = Callable[..., Path]

TABLE = "__indirect_function_table"
STACK_POINTER = "__stack_pointer"

# Calls a function pointer, and writes over its stack so that it has one.
CALLBACKS = """
#include <string.h>

__attribute__((export_name("call"))) int call(int (*f)(int), int n) { return f(n); }
static int twice(int n) { return 2 * n; }
static int thrice(int n) { return 3 * n; }
int (*volatile functions[])(int) = {twice, thrice};
__attribute__((export_name("nth"))) int nth(int i, int n) { return functions[i](n); }
__attribute__((export_name("sum"))) int sum(int n)
{
    volatile char room[4096];
    memset((char *)room, n, sizeof room);
    return room[0] + room[4095];
}
"""
REACTOR = "-mexec-model=reactor"


def exports_of(binary: bytes, engine: anywasm.Engine) -> dict[str, object]:
    return {export.name: export.type for export in anywasm.Module(binary, engine).exports}


# --- the table ------------------------------------------------------------------------------------------------------


def test_the_table_is_exported_and_may_grow(engine: anywasm.Engine, store: anywasm.Store, wat: Wat) -> None:
    binary = prepare(wat("(module (table 2 2 funcref) (func $f) (elem (i32.const 0) $f))"))
    table = anywasm.Instance(anywasm.Module(binary, engine), None, store).exports[TABLE]
    assert table.type == TableType("funcref", 2)
    table.grow(1)
    assert len(table) == 3


def test_other_exports_and_tables_stay_as_they_are(engine: anywasm.Engine, wat: Wat) -> None:
    text = """(module (table (export "t") 2 2 funcref) (table (export "other") 5 6 externref)
      (memory (export "memory") 1 3) (func (export "f")))"""
    assert exports_of(prepare(wat(text)), engine) == {
        "t": TableType("funcref", 2),
        "other": TableType("externref", 5, 6),
        "memory": anywasm.MemoryType(1, 3),
        "f": anywasm.FuncType(),
        TABLE: TableType("funcref", 2),
    }


def test_a_table_that_has_the_name_keeps_it_and_loses_its_maximum(engine: anywasm.Engine, wat: Wat) -> None:
    text = f'(module (table 1 externref) (table (export "{TABLE}") 2 2 funcref))'
    assert exports_of(prepare(wat(text)), engine) == {TABLE: TableType("funcref", 2)}


def test_an_imported_table_is_exported_with_its_maximum(engine: anywasm.Engine, wat: Wat) -> None:
    binary = prepare(wat('(module (import "env" "table" (table 2 3 funcref)))'))
    assert exports_of(binary, engine) == {TABLE: TableType("funcref", 2, 3)}


def test_what_else_has_the_table_s_name_is_left_alone(wat: Wat) -> None:
    binary = wat(f'(module (table 2 2 funcref) (func (export "{TABLE}")))')
    assert prepare(binary) is binary


def test_a_table_of_other_references_is_not_exported(engine: anywasm.Engine, wat: Wat) -> None:
    assert exports_of(prepare(wat("(module (table 2 externref))")), engine) == {}


# --- the stack pointer ----------------------------------------------------------------------------------------------


def test_a_global_of_that_name_is_the_stack_pointer(engine: anywasm.Engine, wat: Wat) -> None:
    text = f"(module (memory 1) (global i32 (i32.const 1)) (global ${STACK_POINTER} (mut i32) (i32.const 1)))"
    assert exports_of(prepare(wat(text)), engine) == {STACK_POINTER: GlobalType("i32", True)}


def test_an_imported_global_of_that_name_is_too(engine: anywasm.Engine, wat: Wat) -> None:
    text = f'(module (import "env" "sp" (global ${STACK_POINTER} (mut i32))))'
    assert exports_of(prepare(wat(text)), engine) == {STACK_POINTER: GlobalType("i32", True)}


@pytest.mark.requires("memory64")
def test_a_memory_of_64_bits_has_one_of_64_bits(engine: anywasm.Engine, wat: Wat) -> None:
    binary = prepare(wat("(module (memory i64 2) (global (mut i64) (i64.const 131072)))"))
    assert exports_of(binary, engine) == {STACK_POINTER: GlobalType("i64", True)}


def test_without_names_it_is_the_first_global(engine: anywasm.Engine, wat: Wat) -> None:
    binary = prepare(wat("(module (memory 2) (global (mut i32) (i32.const 66560)) (global (mut i32) (i32.const 16)))"))
    instance = anywasm.Instance(anywasm.Module(binary, engine), None, anywasm.Store(engine))
    assert instance.exports[STACK_POINTER].value == 66560


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("(module (global (mut i32) (i32.const 1024)))", id="no memory"),
        pytest.param("(module (memory 1) (global i32 (i32.const 1024)))", id="not mutable"),
        pytest.param("(module (memory 1) (global (mut f32) (f32.const 1024)))", id="no integer"),
        pytest.param("(module (memory 1) (global (mut i32) (i32.const 1025)))", id="not aligned"),
        pytest.param("(module (memory 1) (global (mut i32) (i32.const 65552)))", id="outside the memory"),
        pytest.param("(module (memory 1) (global (mut i32) (i32.const -16)))", id="negative"),
        pytest.param("(module (memory 1) (global $errno (mut i32) (i32.const 1024)))", id="of another name"),
        pytest.param(
            '(module (import "env" "base" (global i32)) (memory 1) (global (mut i32) (global.get 0)))', id="imported"
        ),
        pytest.param(
            f'(module (memory 1) (global (mut i32) (i32.const 16)) (func (export "{STACK_POINTER}")))', id="name taken"
        ),
    ],
)
def test_nothing_else_is_taken_for_it(text: str, wat: Wat) -> None:
    binary = wat(text)
    assert prepare(binary) is binary


# --- from a C compiler ----------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    "flags",
    [
        pytest.param(["-s"], id="stripped"),
        pytest.param(["-g"], id="with names"),
        pytest.param(["-s", "-Wl,--export-table"], id="table exported"),
        pytest.param(["-g", "-Wl,--growable-table"], id="growable table"),
        pytest.param(["-s", "-Wl,--export-table", "-Wl,--growable-table"], id="table exported, growable"),
        pytest.param(["-g", "-Wl,--export=__stack_pointer"], id="stack pointer exported"),
    ],
)
def test_c_has_both_however_it_was_linked(engine: anywasm.Engine, compile_c: CompileC, flags: list[str]) -> None:
    binary = prepare(compile_c(CALLBACKS, REACTOR, *flags).read_bytes())
    lib = anywasm.load(binary, engine=engine).exports
    before = lib[STACK_POINTER].value
    assert 0 < before <= len(lib.memory)
    assert lib.sum(21) == 42
    assert lib[STACK_POINTER].value == before

    table = lib[TABLE]
    assert table.type.maximum is None
    assert lib.nth(1, 5) == 15
    place = table.grow(1, table[1])
    assert lib.call(place, 5) == table[1](5)


# --- malformed bytes ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sample(wat: Wat) -> bytes:
    return wat(
        f"""(module (import "env" "g" (global i64)) (import "env" "f" (func $f (param i32)))
      (table 3 9 funcref) (memory 1 2) (global ${STACK_POINTER} (mut i32) (i32.const 1024)) (export "f" (func $f))
      (elem (i32.const 0) $f) (func (call $f (i32.const 1))) (data (i32.const 0) "text"))"""
    )


@pytest.mark.parametrize("binary", [b"", b"\0asm", b"\0asm\x0d\0\1\0", b"(module)", b"\0asm\1\0\0\0\7\xff"])
def test_what_is_no_module_comes_back_as_it_is(binary: bytes) -> None:
    assert prepare(binary) is binary
    assert remove_custom_sections(binary, lambda name: True) is binary


def test_a_module_cut_short_stays_as_invalid_as_it_is(sample: bytes, engine: anywasm.Engine) -> None:
    for length in range(len(sample)):
        binary = prepare(sample[:length])
        try:
            anywasm.Module.validate(sample[:length], engine)
        except anywasm.CompileError:
            with pytest.raises(anywasm.CompileError):
                anywasm.Module.validate(binary, engine)
        else:
            anywasm.Module.validate(binary, engine)


@given(data=st.data())
def test_no_change_of_bytes_is_beyond_it(sample: bytes, data: st.DataObject) -> None:
    changed = bytearray(sample)
    for _ in range(data.draw(st.integers(1, 4))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    prepare(bytes(changed))
    remove_custom_sections(bytes(changed), lambda name: "a" in name)


@given(st.binary(max_size=200))
def test_nor_is_any_content(rest: bytes) -> None:
    prepare(b"\0asm\1\0\0\0" + rest)


def test_a_malformed_name_section_hides_nothing(engine: anywasm.Engine, wat: Wat) -> None:
    binary = prepare(add_custom_section(wat("(module (table 1 1 funcref))"), "name", b"\x07\x7f\x01"))
    assert exports_of(binary, engine) == {TABLE: TableType("funcref", 1)}


# --- custom sections ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [b"", b"x", b"y" * 300], ids=len)
def test_a_custom_section_is_added(data: bytes, sample: bytes, engine: anywasm.Engine) -> None:
    module = anywasm.Module(add_custom_section(sample, "anywasm.tést", data), engine)
    assert module.custom_sections("anywasm.tést") == [data]


def test_custom_sections_are_removed(sample: bytes, engine: anywasm.Engine) -> None:
    binary = add_custom_section(add_custom_section(sample, ".debug_info", b"x"), "kept", b"y")
    module = anywasm.Module(remove_custom_sections(binary, lambda name: name.startswith(".debug")), engine)
    assert module.custom_sections(".debug_info") == []
    assert module.custom_sections("kept") == [b"y"]
    assert [export.name for export in module.exports] == ["f"]

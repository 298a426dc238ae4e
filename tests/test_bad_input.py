# SPDX-License-Identifier: Apache-2.0
"""Whatever comes in, the answer is an exception that says what and where, and the process lives on."""

import random
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import anywasm
from toolchain import Instantiate

WHOLE = """
(module $whole
  (import "host" "f" (func $f (param i32) (result i32)))
  (type $t (func (param i32) (result i32)))
  (memory (export "memory") 1 4)
  (table (export "table") 4 8 funcref)
  (global (export "global") (mut i64) (i64.const 5))
  (func $g (export "g") (type $t) (call $f (i32.add (local.get 0) (i32.load (i32.const 4)))))
  (elem (i32.const 1) $g $f)
  (data (i32.const 0) "some bytes that are here")
  (func $start (drop (i32.const 1)))
  (start $start)
)
"""


# --- modules -----------------------------------------------------------------------------------------------------


def test_empty_bytes_are_a_compile_error(engine: anywasm.Engine) -> None:
    with pytest.raises(anywasm.CompileError, match="empty"):
        anywasm.Module(b"", engine)


def test_an_empty_file_is_a_compile_error_that_names_it(engine: anywasm.Engine, tmp_path: Path) -> None:
    path = tmp_path / "nothing.wasm"
    path.touch()
    with pytest.raises(anywasm.CompileError, match=r"nothing\.wasm.*empty|empty.*nothing\.wasm"):
        anywasm.Module(path, engine)


@pytest.mark.parametrize(
    "data",
    [
        b"hello",
        b"#!/bin/sh\n",
        b"\x7fELF\x02\x01\x01",
        b"PK\x03\x04",
        b"\0" * 8,
        b"\0asm",
        b"\0asm\x02\0\0\0",
        b"\xff" * 100,
    ],
    ids=["text", "script", "elf", "zip", "zeros", "magic only", "version 2", "ones"],
)
def test_bytes_that_are_no_module_are_a_compile_error(engine: anywasm.Engine, data: bytes) -> None:
    with pytest.raises(anywasm.CompileError):
        anywasm.Module(data, engine)
    with pytest.raises(anywasm.CompileError):
        anywasm.Module.validate(data, engine)


def test_a_component_says_that_it_is_one(engine: anywasm.Engine) -> None:
    with pytest.raises((anywasm.CompileError, anywasm.UnsupportedError), match="component"):
        anywasm.Module(b"\0asm\x0d\0\x01\0", engine)


def test_a_module_cut_off_at_any_length_is_a_compile_error(engine: anywasm.Engine, wat: Callable[[str], bytes]) -> None:
    data = wat(WHOLE)
    accepted = []
    for length in range(len(data)):
        try:
            anywasm.Module(data[:length], engine)
        except anywasm.CompileError:
            continue
        accepted.append(length)
    # Only between sections can the rest be missing without harm: the header alone, or the name section left out.
    whole = anywasm.Module(data, engine)
    borders = {offset + size for _, offset, size in whole.sections} | {8}
    assert set(accepted) <= borders


def test_a_module_with_any_byte_changed_never_harms(
    engine: anywasm.Engine, store: anywasm.Store, wat: Callable[[str], bytes]
) -> None:
    data = wat(WHOLE)
    rng = random.Random(20)
    for position in range(len(data)):
        for value in {data[position] ^ 0x80, data[position] ^ 1, rng.randrange(256)}:
            damaged = data[:position] + bytes([value]) + data[position + 1 :]
            try:
                module = anywasm.Module(damaged, engine)
                assert module.imports is not None
                assert module.exports is not None
                assert isinstance(module.name, (str, type(None)))
            except (anywasm.CompileError, anywasm.UnsupportedError):
                continue


def test_random_bytes_after_the_header_are_a_compile_error(engine: anywasm.Engine) -> None:
    rng = random.Random(1)
    for _ in range(300):
        data = b"\0asm\x01\0\0\0" + rng.randbytes(rng.randrange(1, 200))
        with pytest.raises((anywasm.CompileError, anywasm.UnsupportedError)):
            anywasm.Module(data, engine)


def test_an_invalid_module_tells_where(engine: anywasm.Engine, wat: Callable[[str], bytes]) -> None:
    data = wat('(module (func (export "f") (result i32) (i32.const 1)))')
    broken = data.replace(b"\x41\x01\x0b", b"\x42\x01\x0b")  # i64.const where an i32 is wanted
    assert broken != data
    with pytest.raises(anywasm.CompileError) as caught:
        anywasm.Module(broken, engine)
    assert str(caught.value)
    with pytest.raises(anywasm.CompileError):
        anywasm.Module.validate(broken, engine)


def test_a_missing_file_is_a_file_not_found_error(engine: anywasm.Engine, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"missing\.wasm"):
        anywasm.Module(tmp_path / "missing.wasm", engine)
    with pytest.raises(FileNotFoundError, match=r"missing\.wasm"):
        anywasm.Module(str(tmp_path / "missing.wasm"), engine)


def test_a_directory_is_an_is_a_directory_error(engine: anywasm.Engine, tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        anywasm.Module(tmp_path, engine)


def test_a_path_with_a_nul_is_a_value_error(engine: anywasm.Engine) -> None:
    with pytest.raises(ValueError, match="null"):
        anywasm.Module(Path("a\0b.wasm"), engine)


@pytest.mark.parametrize("source", [None, 5, 1.5, ["x"], object()], ids=lambda value: type(value).__name__)
def test_a_source_of_the_wrong_type_is_a_type_error(engine: anywasm.Engine, source: Any) -> None:
    with pytest.raises(TypeError, match=type(source).__name__):
        anywasm.Module(source, engine)


@pytest.mark.requires("wat")
def test_bad_text_is_a_compile_error_with_its_place(engine: anywasm.Engine) -> None:
    with pytest.raises(anywasm.CompileError, match=r"i32\.nonsense|2:"):
        anywasm.Module("(module\n  (func (result i32) i32.nonsense))", engine)


# --- engines, types, stores --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["", "v8", "WAMR", "wamr\0", "ä"])
def test_an_unknown_engine_is_named_with_those_that_are_there(name: str) -> None:
    with pytest.raises(ValueError, match="wamr"):
        anywasm.Engine(name)


@pytest.mark.parametrize(
    "settings",
    [
        {"optimize": "much"},
        {"disable": ["nonsense"]},
        {"max_wasm_stack": -1},
        {"max_wasm_stack": 2**70},
        {"pooling": 0},
        {"pooling": 2**40},
    ],
    ids=str,
)
def test_a_wrong_setting_is_refused(engine: anywasm.Engine, settings: dict[str, Any]) -> None:
    with pytest.raises((ValueError, OverflowError), match=next(iter(settings))):
        anywasm.Engine(engine.name, **settings)


def test_an_unknown_setting_is_refused(engine: anywasm.Engine) -> None:
    with pytest.raises(TypeError, match="speed"):
        anywasm.Engine(engine.name, speed=11)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    "text", ["", "i31", "int", "I32", "i32 ", "(ref", "(ref func", "(ref null nonsense)", "\0", "ä"]
)
def test_an_unknown_value_type_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match="type"):
        anywasm.ValType(text)


@pytest.mark.parametrize("minimum", [-1, 2**64])
def test_memory_limits_out_of_range_are_refused(minimum: int) -> None:
    with pytest.raises((ValueError, OverflowError)):
        anywasm.MemoryType(minimum)


def test_a_maximum_below_the_minimum_is_refused() -> None:
    with pytest.raises(ValueError, match="maximum"):
        anywasm.MemoryType(3, 2)
    with pytest.raises(ValueError, match="maximum"):
        anywasm.TableType("funcref", 3, 2)


def test_a_memory_beyond_the_address_space_is_refused() -> None:
    with pytest.raises((ValueError, OverflowError)):
        anywasm.MemoryType(65537)


@pytest.mark.parametrize(
    "settings", [{"memory": -1}, {"tables": -1}, {"fuel": 5}, {"timeout": 1.0}, {"wasi": 5}], ids=str
)
def test_a_wrong_limit_of_a_store_is_refused(engine: anywasm.Engine, settings: dict[str, Any]) -> None:
    with pytest.raises((ValueError, TypeError, anywasm.UnsupportedError), match=next(iter(settings))):
        anywasm.Store(engine, **settings)


@pytest.mark.parametrize("value", [5, "wamr", None], ids=str)
def test_what_is_no_engine_is_refused(value: Any) -> None:
    if value is None:
        assert isinstance(anywasm.Store(None).engine, anywasm.Engine)
    else:
        with pytest.raises(TypeError, match=type(value).__name__):
            anywasm.Store(value)


# --- imports -----------------------------------------------------------------------------------------------------


IMPORTING = """
(module
  (import "env" "number" (global i32))
  (import "env" "call" (func (param i32)))
  (import "other" "call" (func (result i64)))
)
"""


def test_every_missing_import_is_named(instantiate: Instantiate) -> None:
    with pytest.raises(anywasm.LinkError) as caught:
        instantiate(IMPORTING, {})
    message = str(caught.value)
    assert "env" in message
    assert "number" in message
    assert "other" in message
    assert message.count("call") >= 2


def test_a_near_miss_is_suggested(instantiate: Instantiate) -> None:
    with pytest.raises(anywasm.LinkError, match=r"did you mean.*print_line"):
        instantiate('(module (import "env" "print_lin" (func)))', {"env": {"print_line": lambda: None}})


def test_an_import_of_the_wrong_kind_tells_both(instantiate: Instantiate, store: anywasm.Store) -> None:
    number = anywasm.Global(anywasm.GlobalType("i32"), 1, store)
    with pytest.raises(anywasm.LinkError, match=r"(?s)func.*global"):
        instantiate('(module (import "env" "f" (func)))', {"env": {"f": number}})


def test_an_import_of_the_wrong_type_tells_both(instantiate: Instantiate, store: anywasm.Store) -> None:
    f = anywasm.Func(lambda: 1, anywasm.FuncType([], ["i64"]), store)
    with pytest.raises(anywasm.LinkError, match=r"(?s)i32.*i64"):
        instantiate('(module (import "env" "f" (func (result i32))))', {"env": {"f": f}})


def test_an_import_that_is_nothing_of_ours_is_refused(instantiate: Instantiate) -> None:
    with pytest.raises((anywasm.LinkError, TypeError), match="str"):
        instantiate('(module (import "env" "f" (func)))', {"env": {"f": "text"}})


@pytest.mark.parametrize("imports", [5, "env", [("env", {})], {"env": 5}, {"env": None}], ids=str)
def test_imports_that_are_no_mapping_are_refused(instantiate: Instantiate, imports: Any) -> None:
    with pytest.raises((TypeError, anywasm.LinkError)):
        instantiate('(module (import "env" "f" (func)))', imports)


def test_a_mapping_may_make_its_objects_as_they_are_asked_for(instantiate: Instantiate, store: anywasm.Store) -> None:
    class Making(dict[str, Any]):
        def __getitem__(self, key: str) -> Any:
            return Making() if key == "env" else anywasm.Func(lambda: 7, anywasm.FuncType([], ["i32"]), store)

    run = instantiate(
        '(module (import "env" "f" (func $f (result i32))) (import "env" "g" (func $g (result i32)))'
        ' (func (export "run") (result i32) (i32.add (call $f) (call $g))))',
        Making(),
    ).exports.run
    assert run() == 14


def test_a_mapping_that_raises_passes_its_error_on(instantiate: Instantiate) -> None:
    class Broken(dict[str, Any]):
        def __getitem__(self, key: str) -> Any:
            raise ZeroDivisionError("broken mapping")

        def get(self, key: str, default: Any = None) -> Any:
            raise ZeroDivisionError("broken mapping")

        def __contains__(self, key: object) -> bool:
            raise ZeroDivisionError("broken mapping")

    with pytest.raises((ZeroDivisionError, anywasm.LinkError)):
        instantiate('(module (import "env" "f" (func)))', Broken())


# --- memories and tables -----------------------------------------------------------------------------------------


@pytest.fixture
def whole(instantiate: Instantiate) -> Any:
    return instantiate(WHOLE, {"host": {"f": lambda value: value}}).exports


PAGE = 65536
BAD_RANGES = [
    (-1, 1),
    (PAGE, 1),
    (PAGE - 1, 2),
    (0, PAGE + 1),
    (2**32, 1),
    (2**63, 1),
    (2**64, 1),
    (10**30, 1),
    (0, 10**30),
]


@pytest.mark.parametrize(("address", "length"), BAD_RANGES)
def test_reading_outside_a_memory_is_an_index_error(whole: Any, address: int, length: int) -> None:
    with pytest.raises((IndexError, OverflowError)):
        whole.memory.read(address, length)


@pytest.mark.parametrize("length", [-1, -(10**30)])
def test_reading_a_negative_length_is_refused(whole: Any, length: int) -> None:
    with pytest.raises((ValueError, IndexError, OverflowError)):
        whole.memory.read(0, length)


@pytest.mark.parametrize("address", [-1, PAGE - 1, PAGE, 2**32, 2**63, 2**64, 10**30])
def test_writing_outside_a_memory_is_an_index_error_and_writes_nothing(whole: Any, address: int) -> None:
    before = whole.memory[:]
    with pytest.raises((IndexError, OverflowError)):
        whole.memory.write(address, b"ab")
    assert whole.memory[:] == before


@pytest.mark.parametrize("index", [PAGE, -PAGE - 1, 2**63, 10**30])
def test_an_index_outside_a_memory_is_an_index_error(whole: Any, index: int) -> None:
    with pytest.raises(IndexError):
        whole.memory[index]
    with pytest.raises(IndexError):
        whole.memory[index] = 1


@pytest.mark.parametrize("value", [-1, 256, 10**30])
def test_a_byte_out_of_range_is_refused(whole: Any, value: int) -> None:
    with pytest.raises((ValueError, OverflowError)):
        whole.memory[0] = value


@pytest.mark.parametrize("index", ["0", 0.0, None, (0, 1)], ids=str)
def test_an_index_of_the_wrong_type_is_refused(whole: Any, index: Any) -> None:
    with pytest.raises(TypeError):
        whole.memory[index]


def test_a_slice_of_another_length_is_refused(whole: Any) -> None:
    with pytest.raises(ValueError, match=r"2.*3|3.*2"):
        whole.memory[0:2] = b"abc"


@pytest.mark.parametrize("delta", [-1, 2**16, 2**32, 2**64, 10**30])
def test_growing_a_memory_too_far_is_refused(whole: Any, delta: int) -> None:
    with pytest.raises((ValueError, OverflowError, anywasm.LimitError, MemoryError)):
        whole.memory.grow(delta)
    assert whole.memory.pages == 1


@pytest.mark.parametrize("index", [4, 5, 2**31, 2**32, 2**63, 2**64, 10**30])
def test_an_index_outside_a_table_is_an_index_error(whole: Any, index: int) -> None:
    with pytest.raises((IndexError, OverflowError)):
        whole.table.get(index)
    with pytest.raises((IndexError, OverflowError)):
        whole.table.set(index, None)
    with pytest.raises((IndexError, OverflowError)):
        whole.table.fill(index, None, 1)


@pytest.mark.parametrize("index", [-1, -5, -(10**30)])
def test_a_negative_index_of_get_and_set_is_refused(whole: Any, index: int) -> None:
    with pytest.raises((IndexError, OverflowError)):
        whole.table.get(index)
    with pytest.raises((IndexError, OverflowError)):
        whole.table.set(index, None)


@pytest.mark.parametrize("delta", [-1, 5, 2**32, 2**64, 10**30])
def test_growing_a_table_too_far_is_refused(whole: Any, delta: int) -> None:
    with pytest.raises((ValueError, OverflowError, anywasm.LimitError, anywasm.UnsupportedError, MemoryError)):
        whole.table.grow(delta)
    assert len(whole.table) == 4


@pytest.mark.parametrize("value", [1, "x", len], ids=str)
def test_a_table_of_functions_takes_functions_only(whole: Any, value: Any) -> None:
    with pytest.raises(TypeError):
        whole.table.set(0, value)


@pytest.mark.parametrize(("value", "error"), [("x", TypeError), (1.5, TypeError), (2**64, OverflowError)])
def test_a_global_takes_its_own_type_only(whole: Any, value: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        whole["global"].value = value
    assert whole["global"].value == 5


def test_a_constant_global_cannot_be_set(store: anywasm.Store) -> None:
    constant = anywasm.Global(anywasm.GlobalType("i32"), 5, store)
    with pytest.raises((TypeError, AttributeError), match=r"mutable|const"):
        constant.value = 6
    assert constant.value == 5


# --- other stores, other engines ---------------------------------------------------------------------------------


@pytest.mark.requires("reference_types")
def test_a_func_of_another_store_is_refused_as_argument(engine: anywasm.Engine, instantiate: Instantiate) -> None:
    take = instantiate('(module (func (export "f") (param funcref)))').exports.f
    stranger = anywasm.Func(lambda: None, anywasm.FuncType(), anywasm.Store(engine))
    with pytest.raises(ValueError, match="another store"):
        take(stranger)


@pytest.mark.parametrize("kind", ["func", "memory", "table", "global"])
def test_an_import_of_another_store_is_refused(engine: anywasm.Engine, instantiate: Instantiate, kind: str) -> None:
    other = anywasm.Store(engine)
    try:
        item: Any = {
            "func": lambda: anywasm.Func(lambda: None, anywasm.FuncType(), other),
            "memory": lambda: anywasm.Memory(anywasm.MemoryType(1), other),
            "table": lambda: anywasm.Table(anywasm.TableType("funcref", 1), other),
            "global": lambda: anywasm.Global(anywasm.GlobalType("i32"), 0, other),
        }[kind]()
    except anywasm.UnsupportedError as error:
        pytest.skip(str(error))
    text = {"func": "(func)", "memory": "(memory 1)", "table": "(table 1 funcref)", "global": "(global i32)"}[kind]
    with pytest.raises((ValueError, anywasm.LinkError), match="another store"):
        instantiate(f'(module (import "env" "x" {text}))', {"env": {"x": item}})


def test_an_instance_of_another_store_is_refused_as_imports(
    engine: anywasm.Engine, instantiate: Instantiate, wat: Callable[[str], bytes]
) -> None:
    stranger = anywasm.Instance(
        anywasm.Module(wat('(module (func (export "f")))'), engine), store=anywasm.Store(engine)
    )
    with pytest.raises((ValueError, anywasm.LinkError), match="another store"):
        instantiate('(module (import "env" "f" (func)))', {"env": stranger})


def test_a_func_of_another_store_is_refused_as_a_result(engine: anywasm.Engine, instantiate: Instantiate) -> None:
    stranger = anywasm.Func(lambda: None, anywasm.FuncType(), anywasm.Store(engine))
    run = instantiate(
        '(module (import "host" "f" (func $f (result funcref))) (func (export "run") (drop (call $f))))',
        {"host": {"f": lambda: stranger}},
    ).exports.run
    with pytest.raises(ValueError, match="another store"):
        run()


def test_a_module_of_another_engine_is_refused(
    engine: anywasm.Engine, other_engine: anywasm.Engine, wat: Callable[[str], bytes]
) -> None:
    module = anywasm.Module(wat("(module)"), other_engine)
    with pytest.raises(ValueError, match="engine"):
        anywasm.Instance(module, store=anywasm.Store(engine))


def test_a_module_of_another_kind_of_engine_is_refused(engine: anywasm.Engine, wat: Callable[[str], bytes]) -> None:
    others = [info.name for info in anywasm.engines() if info.available and info.name != engine.name]
    if not others:
        pytest.skip("there is one engine only")
    module = anywasm.Module(wat("(module)"), anywasm.Engine(others[0]))
    with pytest.raises(ValueError, match="engine"):
        anywasm.Instance(module, store=anywasm.Store(engine))


# --- threads, closing --------------------------------------------------------------------------------------------


def in_another_thread(function: Callable[[], Any]) -> BaseException | None:
    """What *function* raises there."""
    caught: list[BaseException | None] = [None]

    def target() -> None:
        try:
            function()
        except BaseException as error:
            caught[0] = error

    thread = threading.Thread(target=target)
    thread.start()
    thread.join()
    return caught[0]


def test_a_store_in_use_is_refused_to_another_thread(instantiate: Instantiate, store: anywasm.Store) -> None:
    errors: list[BaseException | None] = []

    def f() -> None:
        errors.append(in_another_thread(lambda: guest.exports.memory.read(0, 1)))
        errors.append(in_another_thread(lambda: guest.exports.run()))
        errors.append(in_another_thread(lambda: anywasm.Global(anywasm.GlobalType("i32"), 1, store)))
        errors.append(in_another_thread(store.close))

    guest: Any = instantiate(
        '(module (import "host" "f" (func $f)) (memory (export "memory") 1) (func (export "run") (call $f)))',
        {"host": {"f": f}},
    )
    guest.exports.run()
    assert [type(error) for error in errors] == [RuntimeError] * 4
    assert all("thread" in str(error) for error in errors[:3])


def test_a_store_may_move_to_another_thread_between_calls(instantiate: Instantiate) -> None:
    exports = instantiate('(module (func (export "f") (result i32) i32.const 7))').exports
    assert exports.f() == 7
    assert in_another_thread(lambda: exports.f()) is None
    assert exports.f() == 7


def test_everything_is_refused_after_close(whole: Any, store: anywasm.Store) -> None:
    memory, table, number, g = whole.memory, whole.table, whole["global"], whole.g
    store.close()
    assert store.closed
    uses: list[Callable[[], Any]] = [
        lambda: g(1),
        lambda: g.call_bits(1),
        lambda: memory[0],
        lambda: memory[0:1],
        lambda: memory.read(0, 1),
        lambda: memory.write(0, b"x"),
        lambda: memory.grow(1),
        lambda: memory.pages,
        lambda: len(memory),
        lambda: memoryview(memory),
        lambda: memory.read_cstring(0),
        lambda: table[0],
        lambda: table.get(0),
        lambda: table.set(0, None),
        lambda: table.grow(1),
        lambda: table.fill(0, None, 1),
        lambda: len(table),
        lambda: number.value,
        lambda: setattr(number, "value", 1),
        lambda: number.value_bits,
        lambda: whole.g(1),
        lambda: anywasm.Func(lambda: None, anywasm.FuncType(), store),
        lambda: anywasm.Memory(anywasm.MemoryType(1), store),
        lambda: anywasm.Table(anywasm.TableType("funcref", 1), store),
        lambda: anywasm.Global(anywasm.GlobalType("i32"), 1, store),
        lambda: store.gc(),
    ]
    for index, use in enumerate(uses):
        with pytest.raises(ValueError, match="closed"):
            use()
            pytest.fail(f"use {index} went through")


def test_showing_what_lived_in_a_closed_store_does_no_harm(whole: Any, store: anywasm.Store) -> None:
    items = [whole, store, *whole.values()]
    store.close()
    for item in items:
        assert repr(item)
        hash(item)
        assert item == item


def test_closing_twice_is_fine(store: anywasm.Store) -> None:
    store.close()
    store.close()


def test_a_store_cannot_be_closed_during_a_call(instantiate: Instantiate, store: anywasm.Store) -> None:
    run = instantiate(
        '(module (import "host" "f" (func $f)) (func (export "run") (call $f)))', {"host": {"f": store.close}}
    ).exports.run
    with pytest.raises(RuntimeError, match="call"):
        run()
    assert not store.closed


# --- objects that strike back --------------------------------------------------------------------------------------


class Closes:
    """An integer and a float that close the store as soon as somebody asks for their value."""

    def __init__(self, store: anywasm.Store) -> None:
        self.store = store

    def __index__(self) -> int:
        self.store.close()
        return 1

    def __float__(self) -> float:
        self.store.close()
        return 1.0


HOSTILE_USES: dict[str, Callable[[Any, Any], Any]] = {
    "call": lambda exports, value: exports.g(value),
    "call of floats": lambda exports, value: exports.floats(value, value),
    "call of many": lambda exports, value: exports.many(*[value] * 20),
    "call with a reference": lambda exports, value: exports.mixed(object(), value, exports.g),
    "call_bits": lambda exports, value: exports.g.call_bits(value),
    "memory index": lambda exports, value: exports.memory[value],
    "memory store at index": lambda exports, value: exports.memory.__setitem__(value, 1),
    "memory store of value": lambda exports, value: exports.memory.__setitem__(1, value),
    "memory slice": lambda exports, value: exports.memory[value:3],
    "memory store of slice": lambda exports, value: exports.memory.__setitem__(slice(value, 3), b"ab"),
    "memory read": lambda exports, value: exports.memory.read(value, 1),
    "memory read of length": lambda exports, value: exports.memory.read(1, value),
    "memory write": lambda exports, value: exports.memory.write(value, b"ab"),
    "memory grow": lambda exports, value: exports.memory.grow(value),
    "memory read_cstring": lambda exports, value: exports.memory.read_cstring(value, value),
    "table index": lambda exports, value: exports.table[value],
    "table get": lambda exports, value: exports.table.get(value),
    "table set": lambda exports, value: exports.table.set(value, exports.g),
    "table grow": lambda exports, value: exports.table.grow(value),
    "table fill": lambda exports, value: exports.table.fill(value, exports.g, 1),
    "global": lambda exports, value: setattr(exports["global"], "value", value),
    "global bits": lambda exports, value: setattr(exports["global"], "value_bits", value),
    "new global": lambda exports, value: anywasm.Global(anywasm.GlobalType("i32"), value, value.store),
    "new i31": lambda exports, value: anywasm.Ref.i31(value, value.store),
}


@pytest.mark.parametrize("use", HOSTILE_USES)
def test_a_value_that_closes_the_store_is_told_that_it_is_closed(
    store: anywasm.Store, instantiate: Instantiate, use: str
) -> None:
    text = f"""(module
      (memory (export "memory") 1 4) (table (export "table") 4 8 funcref)
      (global (export "global") (mut i64) (i64.const 5))
      (func (export "g") (param i32) (result i32) (local.get 0))
      (func (export "floats") (param f32 f64))
      (func (export "many") (param {"i64 " * 20}))
      (func (export "mixed") (param externref i32 funcref)))"""
    exports = instantiate(text).exports
    dict(exports)  # all of them exist before the store closes
    with pytest.raises((ValueError, anywasm.UnsupportedError), match=r"closed|gc"):
        HOSTILE_USES[use](exports, Closes(store))


def test_imports_that_close_the_store_are_told_that_it_is_closed(
    instantiate: Instantiate, store: anywasm.Store
) -> None:
    class Closing(dict[str, Any]):
        def __getitem__(self, key: str) -> Any:
            store.close()
            return {"f": lambda: None}

        def get(self, key: str, default: Any = None) -> Any:
            return self[key]

        def __contains__(self, key: object) -> bool:
            return True

    with pytest.raises((ValueError, anywasm.LinkError)):
        instantiate('(module (import "env" "f" (func)))', Closing(env={}))


def test_a_result_that_closes_the_store_is_refused(instantiate: Instantiate, store: anywasm.Store) -> None:
    run = instantiate(
        '(module (import "host" "f" (func $f (result i32))) (func (export "run") (result i32) (call $f)))',
        {"host": {"f": lambda: Closes(store)}},
    ).exports.run
    with pytest.raises(RuntimeError, match="call"):
        run()


def test_an_argument_may_call_the_guest_itself(instantiate: Instantiate) -> None:
    exports = instantiate(
        '(module (func (export "f") (param i32 i32) (result i32) (i32.sub (local.get 0) (local.get 1))))'
    ).exports

    class Calls:
        def __index__(self) -> int:
            return int(exports.f(50, 8))

    assert exports.f(Calls(), 2) == 40


def test_a_buffer_that_grows_the_memory_is_written_right(instantiate: Instantiate) -> None:
    memory = instantiate('(module (memory (export "memory") 1 4))').exports.memory
    view = memoryview(memory)
    memory.write(65530, view[0:6])
    memory.grow(1)
    memory.write(65534, b"abcd")
    assert memory[65534:65538] == b"abcd"
    memory.write(1, memory[0:65536])
    memory.write(1, view[0:65535])  # onto itself, shifted: as if it were copied first


@pytest.mark.parametrize("key", [5, None, b"f", ("f",), "\ud800", "f\0"], ids=repr)
def test_a_key_that_no_export_has_is_a_key_error(instantiate: Instantiate, key: Any) -> None:
    exports = instantiate('(module (func (export "f")))').exports
    with pytest.raises((KeyError, TypeError)):
        exports[key]


def test_a_name_that_is_no_unicode_is_refused(store: anywasm.Store) -> None:
    with pytest.raises((UnicodeError, ValueError, TypeError)):
        anywasm.ValType("\ud800")


# --- recursion, sizes --------------------------------------------------------------------------------------------


def test_infinite_recursion_in_wasm_is_a_trap(instantiate: Instantiate) -> None:
    run = instantiate(
        '(module (func $f (export "run") (param i64) (result i64) (i64.add (call $f (local.get 0)) (i64.const 1))))'
    )
    for _ in range(3):
        with pytest.raises(anywasm.Trap, match="call stack exhausted"):
            run.exports.run(1)


def test_infinite_recursion_through_python_is_an_error(instantiate: Instantiate) -> None:
    guest: Any = instantiate(
        '(module (import "host" "f" (func $f)) (func (export "run") (call $f)))',
        {"host": {"f": lambda: guest.exports.run()}},
    )
    for _ in range(3):
        with pytest.raises((RecursionError, anywasm.Trap)):
            guest.exports.run()


def test_infinite_recursion_through_python_in_a_small_thread_is_an_error(instantiate: Instantiate) -> None:
    guest: Any = instantiate(
        '(module (import "host" "f" (func $f)) (func (export "run") (call $f)))',
        {"host": {"f": lambda: guest.exports.run()}},
    )
    previous = threading.stack_size(1 << 20)
    try:
        error = in_another_thread(lambda: guest.exports.run())
    finally:
        threading.stack_size(previous)
    assert isinstance(error, (RecursionError, anywasm.Trap))


def test_infinite_recursion_in_wasm_in_a_small_thread_is_a_trap(instantiate: Instantiate) -> None:
    guest = instantiate('(module (func $f (export "run") (call $f) (nop)))')
    previous = threading.stack_size(1 << 20)
    try:
        error = in_another_thread(lambda: guest.exports.run())
    finally:
        threading.stack_size(previous)
    assert isinstance(error, anywasm.Trap)


def test_a_guest_that_asks_for_too_much_memory_gets_minus_one(instantiate: Instantiate) -> None:
    grow = instantiate(
        '(module (memory 1 2) (func (export "f") (param i32) (result i32) (memory.grow (local.get 0))))'
    ).exports.f
    assert grow(65535) == -1
    assert grow(1) == 1


def test_a_module_over_the_stores_limit_of_memory_is_refused(
    engine: anywasm.Engine, wat: Callable[[str], bytes]
) -> None:
    store = anywasm.Store(engine, memory=10 * PAGE)
    with pytest.raises((anywasm.LimitError, MemoryError)):
        anywasm.Instance(anywasm.Module(wat("(module (memory 11))"), engine), store=store)


def test_a_guest_stays_under_the_stores_limit_of_memory(engine: anywasm.Engine, wat: Callable[[str], bytes]) -> None:
    store = anywasm.Store(engine, memory=4 * PAGE)
    text = (
        '(module (memory (export "memory") 1) (func (export "f") (param i32) (result i32) (memory.grow (local.get 0))))'
    )
    exports = anywasm.Instance(anywasm.Module(wat(text), engine), store=store).exports
    assert exports.f(4) == -1
    assert exports.f(3) == 1
    with pytest.raises((anywasm.LimitError, MemoryError)):
        exports.memory.grow(1)


def test_four_gibibytes_work_or_are_a_clear_error(instantiate: Instantiate) -> None:
    try:
        guest = instantiate('(module (memory (export "memory") 65536))')
    except (MemoryError, anywasm.LimitError) as error:
        assert str(error)
    else:
        assert len(guest.exports.memory) == 2**32
        assert guest.exports.memory[2**32 - 1] == 0


@pytest.mark.requires("memory64")
def test_a_module_that_asks_for_more_memory_than_there_is_is_refused(instantiate: Instantiate) -> None:
    with pytest.raises((MemoryError, anywasm.LimitError, anywasm.CompileError, anywasm.LinkError)):
        instantiate("(module (memory i64 0x1000000000))")  # 4 PiB


def test_a_host_function_of_100000_parameters_works_or_is_refused(store: anywasm.Store) -> None:
    try:
        f = anywasm.Func(lambda *values: sum(values), anywasm.FuncType(["i32"] * 100_000, ["i32"]), store)
    except (ValueError, OverflowError, anywasm.WasmError):
        return
    assert f(*range(10), *[0] * 99_990) == 45


def test_a_host_function_of_1000_parameters_and_results(instantiate: Instantiate) -> None:
    kinds = "i64 " * 1000
    push = " ".join(f"i64.const {index}" for index in range(1000))
    run = instantiate(
        f'(module (import "host" "f" (func $f (param {kinds}) (result {kinds})))'
        f' (func (export "run") (result {kinds}) {push} call $f))',
        {"host": {"f": lambda *values: tuple(-value for value in values)}},
    ).exports.run
    assert run() == tuple(-index for index in range(1000))

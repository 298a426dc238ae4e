# SPDX-License-Identifier: Apache-2.0
"""Modules: where they come from, what they tell, saving and loading. test_bad_input has what is refused."""

import copy
import gc
import os
import pickle
import random
import signal
import threading
import warnings
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import anywasm
from anywasm import ExportType, FuncType, GlobalType, ImportType, MemoryType, TableType

Wat = Callable[[str], bytes]

TEXT = """
(module $sample
  (import "env" "log" (func $log (param i32 f64)))
  (import "env" "base" (global i64))
  (memory (export "memory") 1 4)
  (table (export "table") 2 externref)
  (global (export "counter") (mut f32) (f32.const 1))
  (func $add (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
  (func $swap (export "swap") (param i32 i64) (result i64 i32) (local.get 1) (local.get 0))
  (@custom "notes" "first")
  (@custom "notes" "second")
  (@custom ".debug_line" "not really")
)
"""

EXPORTS = (
    ExportType("memory", MemoryType(1, 4)),
    ExportType("table", TableType("externref", 2)),
    ExportType("counter", GlobalType("f32", True)),
    ExportType("add", FuncType(["i32", "i32"], ["i32"])),
    ExportType("swap", FuncType(["i32", "i64"], ["i64", "i32"])),
)


@pytest.fixture
def binary(wat: Wat) -> bytes:
    return wat(TEXT)


@pytest.fixture
def module(binary: bytes, engine: anywasm.Engine) -> anywasm.Module:
    return anywasm.Module(binary, engine)


# --- what it tells -------------------------------------------------------------------------------------------------


def test_a_module_tells_its_imports(module: anywasm.Module) -> None:
    assert module.imports == (
        ImportType("env", "log", FuncType(["i32", "f64"])),
        ImportType("env", "base", GlobalType("i64")),
    )


def test_a_module_tells_its_exports(module: anywasm.Module) -> None:
    assert module.exports == EXPORTS


def test_a_module_knows_its_name(module: anywasm.Module, engine: anywasm.Engine) -> None:
    assert module.name == "sample"
    assert anywasm.Module(b"\0asm\1\0\0\0", engine).name is None


def test_a_module_shows_its_name_and_counts(module: anywasm.Module) -> None:
    assert repr(module) == f"<anywasm.Module 'sample': 2 imports, 5 exports, {module.engine.name}>"


def test_custom_sections_of_one_name_come_in_order(module: anywasm.Module) -> None:
    assert module.custom_sections("notes") == [b"first", b"second"]
    assert module.custom_sections("other") == []
    assert module.custom_sections("\ud800") == []


def test_sections_lie_where_they_say(module: anywasm.Module, binary: bytes) -> None:
    names = [name for name, _, _ in module.sections]
    assert names[:7] == ["type", "import", "function", "table", "memory", "global", "export"]
    assert set(names[7:]) == {"code", "name", "notes", ".debug_line"}
    name, offset, size = module.sections[-1]
    assert offset + size == len(binary)
    for name, offset, size in module.sections:
        if name == "notes":
            assert binary[offset : offset + size].startswith(b"\x05notes")


@pytest.mark.requires("gc", "exceptions", "memory64", "simd")
def test_types_of_newer_features_are_read(engine: anywasm.Engine, wat: Wat) -> None:
    module = anywasm.Module(
        wat(
            """
            (module
              (rec (type $list (sub (struct (field i8) (field (mut (ref null $list))))))
                   (type $f (func (param (ref $list) (ref null $g)) (result v128)))
                   (type $g (func)))
              (type $array (array (mut i16)))
              (tag (export "tag") (param i31ref))
              (memory (export "memory") i64 1 2)
              (table (export "table") 1 (ref null $g) (ref.null nofunc))
              (global (export "array") (ref $array) (array.new_default $array (i32.add (i32.const 1) (i32.const 2))))
              (global (export "i31") (ref i31) (ref.i31 (i32.const 5)))
              (func (export "f") (type $f) (v128.const i64x2 0 0))
            )
            """
        ),
        engine,
    )
    assert {export.name: str(export.type) for export in module.exports} == {
        "tag": "tag of (i31ref)",
        "memory": "64-bit memory of 1 to 2 pages",
        "table": "table of at least 1 (ref null $func)",
        "array": "immutable global of (ref $array)",
        "i31": "immutable global of (ref i31)",
        "f": "((ref $struct), (ref null $func)) -> v128",
    }


def test_names_may_be_any_text(engine: anywasm.Engine, wat: Wat) -> None:
    module = anywasm.Module(wat(r'(module (func (export "\00 a\n☃")) (func (export "")))'), engine)
    assert [export.name for export in module.exports] == ["\0 a\n☃", ""]


# --- where it comes from -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("convert", [bytes, bytearray, memoryview, lambda data: memoryview(data + data)[: len(data)]])
def test_any_bytes_like_object_is_a_source(binary: bytes, engine: anywasm.Engine, convert: Any) -> None:
    assert anywasm.Module(convert(binary), engine).exports == EXPORTS


@pytest.mark.parametrize("name", ["a.wasm", "no suffix", "a (1).wasm", "ä.wasm", ";.wasm"])
def test_a_path_is_a_source(
    binary: bytes, engine: anywasm.Engine, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / name).write_bytes(binary)
    monkeypatch.chdir(tmp_path)
    for source in (tmp_path / name, str(tmp_path / name), name):
        assert anywasm.Module(source, engine).exports == EXPORTS


@pytest.mark.parametrize("text", ["(module)", "\n ;; a comment\n(module)", "(; another ;) (module)", "\N{BOM}(module)"])
def test_text_is_a_source_where_any_engine_reads_it(
    engine: anywasm.Engine, wat: Wat, tmp_path: Path, text: str
) -> None:
    wat("(module)")  # skips where none does
    path = tmp_path / "module.wat"
    path.write_text(text, encoding="utf-8")
    sources: list[Any] = [path] if text.startswith("\N{BOM}") else [text, text.encode(), path]
    for source in sources:
        assert anywasm.Module(source, engine).exports == ()


def test_a_changed_buffer_does_not_change_the_module(binary: bytes, engine: anywasm.Engine) -> None:
    buffer = bytearray(binary)
    module = anywasm.Module(buffer, engine)
    buffer[:] = bytes(len(buffer))
    assert module.custom_sections("notes") == [b"first", b"second"]


def test_what_is_read_by_mistake_is_named(engine: anywasm.Engine) -> None:
    for data, what in [(b"\x1f\x8b\x08", "gzip"), (b"\x7fELF", "native"), (b"<!DOCTYPE html>", "web page")]:
        with pytest.raises(anywasm.CompileError, match=what):
            anywasm.Module(data, engine)


def test_a_binary_in_a_str_is_told_how_to_be_read(engine: anywasm.Engine) -> None:
    with pytest.raises(TypeError, match="rb"):
        anywasm.Module("\0asm\1\0\0\0", engine)


def test_an_open_file_is_told_to_be_read(engine: anywasm.Engine, tmp_path: Path) -> None:
    (tmp_path / "a.wasm").write_bytes(b"\0asm\1\0\0\0")
    with (tmp_path / "a.wasm").open("rb") as file, pytest.raises(TypeError, match="read"):
        anywasm.Module(file, engine)  # type: ignore[arg-type]


def test_an_error_in_a_file_begins_with_its_path(engine: anywasm.Engine, tmp_path: Path) -> None:
    path = tmp_path / "broken.wasm"
    path.write_bytes(b"\0asm\1\0\0\0\1\1")
    with pytest.raises(anywasm.CompileError, match=r"^.*broken\.wasm: "):
        anywasm.Module(path, engine)
    with pytest.raises(anywasm.CompileError, match=r"^.*broken\.wasm: "):
        anywasm.Module.validate(path, engine)


def test_a_valid_module_validates_in_silence(engine: anywasm.Engine, binary: bytes) -> None:
    assert anywasm.Module.validate(binary, engine) is None


def test_an_engine_by_name_is_no_engine(binary: bytes) -> None:
    with pytest.raises(TypeError, match=r"write Engine\(name\)"):
        anywasm.Module(binary, "wamr")  # type: ignore[arg-type]


# --- saving and loading --------------------------------------------------------------------------------------------


@pytest.mark.requires("serialize")
def test_a_saved_module_tells_the_same(module: anywasm.Module) -> None:
    again = anywasm.Module.deserialize(module.serialize(), module.engine)
    assert (again.name, again.imports, again.exports) == (module.name, module.imports, module.exports)
    assert again.custom_sections("notes") == [b"first", b"second"]


@pytest.mark.requires("serialize")
def test_a_saved_module_has_no_debug_sections(module: anywasm.Module) -> None:
    again = anywasm.Module.deserialize(module.serialize(), module.engine)
    assert module.custom_sections(".debug_line") == [b"not really"]
    assert again.custom_sections(".debug_line") == []


@pytest.mark.requires("serialize")
def test_a_loaded_module_can_be_saved_and_pickled(module: anywasm.Module) -> None:
    loaded = anywasm.Module.deserialize(module.serialize(), module.engine)
    assert anywasm.Module.deserialize(loaded.serialize(), module.engine).exports == EXPORTS
    assert pickle.loads(pickle.dumps(loaded)).exports == EXPORTS


@pytest.mark.requires("serialize")
def test_a_saved_module_runs(engine: anywasm.Engine, wat: Wat) -> None:
    module = anywasm.Module(wat('(module (func (export "f") (result i32) (i32.const 5)))'), engine)
    loaded = anywasm.Module.deserialize(module.serialize(), engine)
    assert anywasm.Instance(loaded).exports.f() == 5


@pytest.mark.requires("serialize")
def test_a_damaged_saved_module_is_refused_whatever_is_damaged(module: anywasm.Module) -> None:
    data = module.serialize()
    rng = random.Random(3)
    positions = {*range(100), *(rng.randrange(len(data)) for _ in range(300))}
    for position in positions:
        damaged = bytearray(data)
        damaged[position] ^= 1 << rng.randrange(8)
        with pytest.raises((anywasm.CompileError, anywasm.UnsupportedError)):
            anywasm.Module.deserialize(damaged, module.engine)


@pytest.mark.requires("serialize")
def test_a_saved_module_cut_off_is_refused(module: anywasm.Module) -> None:
    data = module.serialize()
    for length in {*range(100), len(data) // 2, len(data) - 1}:
        with pytest.raises(anywasm.CompileError, match="compiled module"):
            anywasm.Module.deserialize(data[:length], module.engine)


@pytest.mark.requires("serialize")
def test_a_saved_module_needs_the_same_settings(module: anywasm.Module) -> None:
    other = anywasm.Engine(module.engine.name, fuel=True)
    with pytest.raises(anywasm.UnsupportedError, match=r"with Engine\(.*fuel=True.*compile it again"):
        anywasm.Module.deserialize(module.serialize(), other)


@pytest.mark.requires("serialize")
def test_settings_that_leave_the_code_alone_do_not_matter(module: anywasm.Module) -> None:
    other = anywasm.Engine(module.engine.name, optimize="none", parallel_compilation=False)
    assert anywasm.Module.deserialize(module.serialize(), other).exports == EXPORTS


def test_a_saved_module_needs_the_same_engine(wat: Wat) -> None:
    savers = [info.name for info in anywasm.engines() if "serialize" in info.capabilities]
    others = [info.name for info in anywasm.engines() if info.available and info.name not in savers]
    if not savers or not others:
        pytest.skip("needs an engine that can serialize and one that cannot")
    data = anywasm.Module(wat("(module)"), anywasm.Engine(savers[0])).serialize()
    with pytest.raises(anywasm.UnsupportedError, match=f"{others[0]}.*serialize"):
        anywasm.Module.deserialize(data, anywasm.Engine(others[0]))


def test_an_engine_that_cannot_save_says_who_can(module: anywasm.Module) -> None:
    if "serialize" in module.engine.capabilities:
        pytest.skip("it can")
    with pytest.raises(anywasm.UnsupportedError, match=r"serialize.*engine .* lacks"):
        module.serialize()


# --- pickles, threads, lifetimes -----------------------------------------------------------------------------------


def test_a_pickled_module_is_compiled_again(module: anywasm.Module) -> None:
    again = pickle.loads(pickle.dumps(module))
    assert again.exports == EXPORTS
    assert again.engine.config == module.engine.config


def test_unpickled_modules_fit_each_other(module: anywasm.Module) -> None:
    one, other = pickle.loads(pickle.dumps(module)), pickle.loads(pickle.dumps(module))
    assert one.engine is other.engine


def test_a_copy_of_a_module_is_the_module(module: anywasm.Module) -> None:
    assert copy.copy(module) is module
    assert copy.deepcopy([module])[0] is module


def test_modules_hammered_from_threads_are_the_same(binary: bytes, engine: anywasm.Engine) -> None:
    results: list[bool] = []

    def hammer() -> None:
        results.extend(anywasm.Module(binary, engine).exports == EXPORTS for _ in range(20))

    threads = [threading.Thread(target=hammer) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 160


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_process_compiles_validates_and_runs(engine: anywasm.Engine, binary: bytes, wat: Wat) -> None:
    answer = wat('(module (func (export "f") (result i32) (i32.const 42)))')
    anywasm.Module(binary, engine)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # where other threads run: those of the engine
        child = os.fork()
    if child == 0:
        signal.alarm(60)
        status = 1
        try:
            anywasm.Module.validate(binary, engine)
            status = anywasm.Instance(anywasm.Module(answer, engine)).exports.f()
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 42


def test_a_module_goes_when_nobody_needs_it(binary: bytes, engine: anywasm.Engine) -> None:
    module = anywasm.Module(binary, engine)
    reference = weakref.ref(module)
    del module
    gc.collect()
    assert reference() is None


# --- text to binary ------------------------------------------------------------------------------------------------


def test_text_becomes_a_binary_for_any_engine(engine: anywasm.Engine, wat: Wat) -> None:
    wat("(module)")  # skips where none can
    for text in ("(module)", b"(module)", bytearray(b"(module)")):
        assert anywasm.wat2wasm(text, engine) == b"\0asm\1\0\0\0"


def test_wat2wasm_takes_no_path(engine: anywasm.Engine) -> None:
    with pytest.raises(TypeError, match=r"PosixPath|WindowsPath"):
        anywasm.wat2wasm(Path("a.wat"), engine)  # type: ignore[arg-type]

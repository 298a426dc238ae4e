# SPDX-License-Identifier: Apache-2.0
"""anywasm.load: from a source to an instance in one line."""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import anywasm
import wasi_programs
from anywasm import Engine, Module, Store

Wat = Callable[[str], bytes]


@pytest.fixture(scope="session")
def add(wat: Wat) -> bytes:
    return wat(wasi_programs.LIBRARY)


@pytest.fixture
def add_file(add: bytes, tmp_path: Path) -> Path:
    path = tmp_path / "add.wasm"
    path.write_bytes(add)
    return path


# --- sources --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_bytes_are_a_source(engine: Engine, add: bytes, kind: Callable[[bytes], Any]) -> None:
    assert anywasm.load(kind(add), engine=engine).exports.add(1, 2) == 3


@pytest.mark.parametrize("kind", [Path, str])
def test_a_path_is_a_source(engine: Engine, add_file: Path, kind: Callable[[Path], Any]) -> None:
    assert anywasm.load(kind(add_file), engine=engine).exports.add(1, 2) == 3


def test_a_path_with_parentheses_is_a_path(engine: Engine, add: bytes, tmp_path: Path) -> None:
    path = tmp_path / "add (1).wasm"
    path.write_bytes(add)
    assert anywasm.load(path, engine=engine).exports.add(1, 2) == 3


def test_a_module_is_a_source(engine: Engine, add: bytes) -> None:
    module = Module(add, engine)
    assert anywasm.load(module).module is module


@pytest.mark.requires("wat")
def test_text_is_a_source(engine: Engine) -> None:
    assert anywasm.load(wasi_programs.LIBRARY, engine=engine).exports.add(1, 2) == 3


def test_a_missing_file_is_named(engine: Engine, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nowhere\.wasm"):
        anywasm.load(tmp_path / "nowhere.wasm", engine=engine)


@pytest.mark.parametrize("source", [None, 5, ["add.wasm"]], ids=repr)
def test_what_is_no_source_is_told(engine: Engine, source: Any) -> None:
    with pytest.raises(TypeError, match=type(source).__name__):
        anywasm.load(source, engine=engine)


# --- engines --------------------------------------------------------------------------------------------------------


def test_an_engine_is_taken_by_name(engine: Engine, add: bytes) -> None:
    instance = anywasm.load(add, engine=engine.name)
    assert instance.store.engine.name == instance.module.engine.name == engine.name


def test_an_engine_is_taken_as_an_object(engine: Engine, add: bytes) -> None:
    assert anywasm.load(add, engine=engine).store.engine is engine


def test_the_environment_names_the_default_engine(engine: Engine, add: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANYWASM_ENGINE", engine.name)
    assert anywasm.load(add).store.engine.name == engine.name


def test_an_unknown_engine_is_an_error_that_names_the_known(add: bytes) -> None:
    with pytest.raises(ValueError, match=r"(?s)nonsense.*wamr"):
        anywasm.load(add, engine="nonsense")


def test_a_module_keeps_its_engine(engine: Engine, add: bytes) -> None:
    module = Module(add, engine)
    assert anywasm.load(module, engine=engine.name).store.engine is engine
    assert anywasm.load(module, engine=engine).store.engine is engine


def test_a_module_of_another_engine_is_refused(engine: Engine, other_engine: Engine, add: bytes) -> None:
    with pytest.raises(ValueError, match="compiled by another engine"):
        anywasm.load(Module(add, engine), engine=other_engine)


# --- stores and limits ----------------------------------------------------------------------------------------------


def test_each_load_is_a_world_of_its_own(engine: Engine, add: bytes) -> None:
    assert anywasm.load(add, engine=engine).store is not anywasm.load(add, engine=engine).store


def test_a_store_can_be_given(store: Store, add: bytes) -> None:
    instance = anywasm.load(add, store=store)
    assert instance.store is store
    assert instance.module.engine is store.engine


@pytest.mark.parametrize("option", ["engine", "wasi", "memory", "table_elements", "fuel", "timeout"])
def test_what_a_given_store_has_itself_is_refused(store: Store, add: bytes, option: str) -> None:
    value = {"engine": store.engine, "wasi": anywasm.Wasi()}.get(option, 1)
    with pytest.raises(TypeError, match=f"{option} and store exclude each other"):
        anywasm.load(add, store=store, **{option: value})  # type: ignore[arg-type]


def test_memory_is_limited(engine: Engine, wat: Wat) -> None:
    text = '(module (memory 1) (func (export "grow") (result i32) (memory.grow (i32.const 1))))'
    exports = anywasm.load(wat(text), engine=engine, memory=2 * 65536).exports
    assert [exports.grow(), exports.grow()] == [1, -1]


@pytest.mark.requires("interrupt")
def test_a_timeout_makes_an_engine_that_can_stop(engine: Engine, wat: Wat) -> None:
    exports = anywasm.load(wat('(module (func (export "f") (loop (br 0))))'), engine=engine.name, timeout=0.05).exports
    with pytest.raises(anywasm.LimitError):
        exports.f()


@pytest.mark.requires("fuel")
def test_fuel_makes_an_engine_that_counts(engine: Engine, wat: Wat) -> None:
    binary = wat('(module (func (export "f") (loop (br 0))))')
    with pytest.raises(anywasm.LimitError):
        anywasm.load(binary, engine=engine.name, fuel=1000).exports.f()


def test_a_limit_that_the_given_engine_lacks_is_an_error(engine: Engine, add: bytes) -> None:
    with pytest.raises((anywasm.UnsupportedError, ValueError), match="fuel"):
        anywasm.load(add, engine=engine, fuel=1000)


# --- imports, WASI, reactors ----------------------------------------------------------------------------------------


def test_imports_are_given_by_name(engine: Engine, wat: Wat) -> None:
    text = '(module (import "env" "f" (func (param i32) (result i32))) (export "g" (func 0)))'
    assert anywasm.load(wat(text), {"env": {"f": lambda n: n + 1}}, engine=engine).exports.g(1) == 2


def test_a_library_with_wasi_writes_to_the_processs_output(
    engine: Engine, wat: Wat, capfd: pytest.CaptureFixture[str]
) -> None:
    exports = anywasm.load(wat(wasi_programs.WRITE), engine=engine).exports
    exports["_start"]()
    assert capfd.readouterr() == ("out\n", "err\n")


def test_a_library_with_wasi_sees_nothing_else(engine: Engine, wat: Wat, capfd: pytest.CaptureFixture[str]) -> None:
    anywasm.load(wat(wasi_programs.WORLD), engine=engine).exports["_start"]()
    anywasm.load(wat(wasi_programs.CAT), engine=engine).exports["_start"]()
    assert capfd.readouterr().out.replace("\0", "") == ""


def test_wasi_can_be_given(engine: Engine, wat: Wat, capfd: pytest.CaptureFixture[str]) -> None:
    anywasm.load(wat(wasi_programs.WRITE), engine=engine, wasi=anywasm.Wasi()).exports["_start"]()
    assert capfd.readouterr() == ("", "")


REACTOR = """(module
  (global $count (mut i32) (i32.const 0))
  (func (export "_initialize") (global.set $count (i32.add (global.get $count) (i32.const 1))))
  (func (export "count") (result i32) (global.get $count)))"""


def test_a_reactor_has_been_initialized(engine: Engine, wat: Wat) -> None:
    assert anywasm.load(wat(REACTOR), engine=engine).exports.count() == 1


def test_a_program_is_not_started(engine: Engine, wat: Wat) -> None:
    text = REACTOR.replace("_initialize", "_start")
    assert anywasm.load(wat(text), engine=engine).exports.count() == 0


# --- compiled modules -----------------------------------------------------------------------------------------------


@pytest.mark.requires("serialize")
def test_a_compiled_module_is_known_by_its_name(engine: Engine, add: bytes, tmp_path: Path) -> None:
    path = tmp_path / "add.cwasm"
    path.write_bytes(Module(add, engine).serialize())
    assert anywasm.load(path, engine=engine).exports.add(1, 2) == 3
    assert anywasm.load(str(path), engine=engine).exports.add(1, 2) == 3


@pytest.mark.requires("serialize")
def test_machine_code_under_another_name_is_not_run(engine: Engine, add: bytes, tmp_path: Path) -> None:
    compiled = Module(add, engine).serialize()
    path = tmp_path / "add.wasm"
    path.write_bytes(compiled)
    for source in (path, str(path), compiled):
        with pytest.raises(ValueError, match="machine code would run unchecked"):
            anywasm.load(source, engine=engine)


def test_a_pickled_module_can_be_loaded(engine: Engine, add: bytes) -> None:
    module = pickle.loads(pickle.dumps(Module(add, engine)))
    assert anywasm.load(module).exports.add(1, 2) == 3

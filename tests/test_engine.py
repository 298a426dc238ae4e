# SPDX-License-Identifier: Apache-2.0
"""Engines: their settings, which one is meant where none is named, and what is said of one that is not here."""

import copy
import gc
import pickle
import subprocess
import sys
import weakref
from typing import Any

import pytest

import anywasm

FEATURES = [
    *("simd", "relaxed_simd", "threads", "tail_call", "exceptions", "gc", "function_references", "memory64"),
    *("multi_memory", "extended_const", "multi_value", "reference_types", "bulk_memory"),
]


def test_an_engine_shows_what_differs_from_the_default(engine: anywasm.Engine) -> None:
    assert repr(anywasm.Engine(engine.name)) == f"Engine('{engine.name}')"
    assert (
        repr(anywasm.Engine(engine.name, max_wasm_stack=200_000)) == f"Engine('{engine.name}', max_wasm_stack=200000)"
    )


def test_the_settings_make_an_equal_engine(engine: anywasm.Engine) -> None:
    made = anywasm.Engine(engine.name, debug_info=True, optimize="speed", max_wasm_stack=200_000)
    assert made.config["optimize"] == "speed"
    assert anywasm.Engine(made.name, **made.config).config == made.config


def test_an_engine_has_what_it_is_listed_with(engine: anywasm.Engine) -> None:
    info = next(info for info in anywasm.engines() if info.name == engine.name)
    assert engine.version == info.version
    assert engine.capabilities == info.capabilities - {"fuel", "interrupt", "pooling"}


@pytest.mark.parametrize(("setting", "capability"), [("fuel", "fuel"), ("interruptible", "interrupt")])
def test_a_setting_brings_its_capability(engine: anywasm.Engine, setting: str, capability: str) -> None:
    info = next(info for info in anywasm.engines() if info.name == engine.name)
    if capability in info.capabilities:
        made = anywasm.Engine(engine.name, **{setting: True})  # type: ignore[arg-type]
        assert made.capabilities - engine.capabilities == {capability}
    else:
        with pytest.raises(anywasm.UnsupportedError, match=f"{setting}.*{capability}"):
            anywasm.Engine(engine.name, **{setting: True})  # type: ignore[arg-type]


@pytest.mark.requires("pooling")
def test_a_pool_that_the_address_space_cannot_hold_is_refused(engine: anywasm.Engine) -> None:
    made = anywasm.Engine(engine.name, pooling=3)
    assert repr(made) == f"Engine('{engine.name}', pooling=3)"
    assert pickle.loads(pickle.dumps(made)).config == made.config
    with pytest.raises(anywasm.UnsupportedError, match="no address space for 2000000 instances"):
        anywasm.Engine(engine.name, pooling=2_000_000)


@pytest.mark.requires("pooling")
def test_pooled_engines_and_others_share_compiled_modules(engine: anywasm.Engine, wat: Any) -> None:
    binary = wat('(module (memory 1) (func (export "f") (result i32) i32.const 5))')
    pooled = anywasm.Engine(engine.name, pooling=3)
    for one, other in ((engine, pooled), (pooled, engine)):
        module = anywasm.Module.deserialize(anywasm.Module(binary, one).serialize(), other)
        assert anywasm.Instance(module).exports.f() == 5


@pytest.mark.requires("pooling")
@pytest.mark.parametrize(
    "text",
    ["(memory 1) (memory 1)", "(table 30000 funcref)", " ".join(["(table 1 funcref)"] * 5)],
    ids=["memories", "elements", "tables"],
)
def test_what_a_pool_has_no_room_for_is_a_compile_error(engine: anywasm.Engine, wat: Any, text: str) -> None:
    with pytest.raises(anywasm.CompileError, match="limit"):
        anywasm.Module(wat(f"(module {text})"), anywasm.Engine(engine.name, pooling=1))


def run_alone(program: str) -> None:
    """Run it in a process of its own: what goes wrong here is a crash."""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_feature_is_disabled_or_that_is_refused(engine: anywasm.Engine) -> None:
    run_alone(f"""
import anywasm
for feature in {FEATURES}:
    try:
        made = anywasm.Engine({engine.name!r}, disable=[feature])
    except anywasm.UnsupportedError as error:
        assert {engine.name!r} in str(error), error
    else:
        assert feature not in made.capabilities, feature
        anywasm.Module(b"\\0asm\\1\\0\\0\\0", made)
""")


@pytest.mark.parametrize("size", [1, 4096, 2**22, 2**24, 2**30, 2**40, sys.maxsize - 1])
def test_any_stack_size_makes_an_engine_that_works_or_is_refused(engine: anywasm.Engine, size: int) -> None:
    run_alone(f"""
import anywasm
try:
    engine = anywasm.Engine({engine.name!r}, max_wasm_stack={size})
    module = bytes.fromhex("0061736d010000000105016000017f030201000707010366756e00000a0601040010000b")  # calls itself
    anywasm.Instance(anywasm.Module(module, engine)).exports.fun()
except (anywasm.UnsupportedError, anywasm.Trap, ValueError, MemoryError):
    pass
""")


@pytest.mark.parametrize("name", ["fuel", "serialize", "nonsense", "SIMD"])
def test_only_features_of_modules_can_be_disabled(engine: anywasm.Engine, name: str) -> None:
    with pytest.raises(ValueError, match=f"'{name}' is no feature of modules; those are simd, "):
        anywasm.Engine(engine.name, disable=[name])


def test_one_name_is_no_list_of_names(engine: anywasm.Engine) -> None:
    with pytest.raises(TypeError, match=r"write \['simd'\]"):
        anywasm.Engine(engine.name, disable="simd")


# --- the default ---------------------------------------------------------------------------------------------------


def test_without_a_name_the_environment_decides(engine: anywasm.Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANYWASM_ENGINE", engine.name)
    assert anywasm.Engine().name == engine.name
    assert anywasm.Store().engine.name == engine.name


def test_an_empty_variable_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANYWASM_ENGINE", "")
    available = [info.name for info in anywasm.engines() if info.available]
    assert anywasm.Engine().name == available[0]


def test_an_unknown_engine_in_the_environment_is_told_with_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANYWASM_ENGINE", "v8")
    with pytest.raises(ValueError, match=r"ANYWASM_ENGINE: unknown engine 'v8': the engines are .*wamr"):
        anywasm.Engine()


def test_everything_without_an_engine_shares_one() -> None:
    assert anywasm.Store().engine is anywasm.Module(b"\0asm\1\0\0\0").engine


# --- pickles -------------------------------------------------------------------------------------------------------


def test_unpickled_engines_of_the_same_settings_are_one(engine: anywasm.Engine) -> None:
    made = anywasm.Engine(engine.name, debug_info=True)
    again = pickle.loads(pickle.dumps(made))
    assert again.config == made.config
    assert again is pickle.loads(pickle.dumps(made))


def test_a_copy_of_an_engine_is_the_engine(engine: anywasm.Engine) -> None:
    assert copy.copy(engine) is engine
    assert copy.deepcopy([engine])[0] is engine


def test_an_engine_goes_when_nobody_needs_it(engine: anywasm.Engine) -> None:
    made = anywasm.Engine(engine.name)
    reference = weakref.ref(made)
    module = anywasm.Module(b"\0asm\1\0\0\0", made)
    del made
    assert reference() is module.engine
    del module
    gc.collect()
    assert reference() is None


# --- libraries that are not there, or not what they should be ------------------------------------------------------


def needs_library() -> str:
    """Asked for in a process without the library: the message."""
    program = "import anywasm\ntry: anywasm.Engine('wasmtime')\nexcept anywasm.UnsupportedError as error: print(error)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout


def test_a_library_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setenv("ANYWASM_WASMTIME_LIBRARY", str(tmp_path / "missing.so"))
    assert "missing.so" in needs_library()


def test_a_library_that_is_damaged_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    damaged = tmp_path / "damaged.so"
    damaged.write_bytes(b"\x7fELF" + b"\0" * 1000)
    monkeypatch.setenv("ANYWASM_WASMTIME_LIBRARY", str(damaged))
    assert "damaged.so" in needs_library()


def test_a_library_of_something_else_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import _ctypes

    monkeypatch.setenv("ANYWASM_WASMTIME_LIBRARY", _ctypes.__file__ or "")
    assert "_ctypes" in needs_library()


def test_without_a_library_the_default_is_an_engine_that_is_here(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setenv("ANYWASM_WASMTIME_LIBRARY", str(tmp_path / "missing.so"))
    monkeypatch.delenv("ANYWASM_ENGINE", raising=False)
    program = "import anywasm; print(anywasm.Engine().name)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("wamr\n", "")

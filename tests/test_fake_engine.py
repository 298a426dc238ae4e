# SPDX-License-Identifier: Apache-2.0
"""The paths that no real engine takes on demand: every call of an engine fails, in turn, in every way.

The engine "fake" is not in what users install, so the extension is built once more with it, without WAMR (some seconds,
kept in the tests' cache), and loaded beside the installed one.
"""

import gc
import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

import anywasm
import toolchain

ROOT = Path(__file__).parents[1]

GUEST = """
(module $guest
  (import "host" "f" (func $f (param i32 i64) (result i32)))
  (import "host" "r" (func $r (param externref) (result externref)))
  (memory (export "memory") 1 16)
  (table (export "table") 10 externref)
  (global (export "global") (mut i32) (i32.const 0))
  (func (export "import_f") (param i32 i64) (result i32) unreachable)
  (func (export "same") (param i32 i64 f32 f64) (result i32 i64 f32 f64) unreachable)
  (func (export "reference") (param externref) (result externref) unreachable)
  (func (export "none")))
"""


def build_core() -> Path:
    """The extension with the fake engine: built with what its sources were when it was last asked for."""
    if shutil.which("cmake") is None:
        pytest.skip("CMake is not here, which builds the extension with the fake engine")
    if not (ROOT / "CMakeLists.txt").exists():
        pytest.skip("the sources of the extension are not here")
    key = sha256(f"{ROOT} {sys.executable} {sys.version}".encode()).hexdigest()[:16]
    folder = toolchain.cache_dir() / "fake" / key
    generator = ["-G", "Ninja"] if shutil.which("ninja") else []
    options = ["-DCMAKE_BUILD_TYPE=Debug", "-DANYWASM_FAKE_ENGINE=ON", "-DANYWASM_WAMR=OFF"]
    configure = ["cmake", "-S", ROOT, "-B", folder, *generator, f"-DPython_EXECUTABLE={sys.executable}", *options]
    for command in (configure, ["cmake", "--build", folder, "--parallel"]):
        done = subprocess.run(list(map(os.fspath, command)), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    return folder / f"_core{sysconfig.get_config_var('EXT_SUFFIX')}"


@pytest.fixture(scope="module")
def core() -> Any:
    if any(info.name == "fake" for info in anywasm.engines()):
        return anywasm._core
    spec = importlib.util.spec_from_file_location("with_fake_engine._core", build_core())
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def fails(monkeypatch) -> Callable[[str], Any]:
    """with fails("call:kind"): …"""

    @contextmanager
    def context(wish: str) -> Iterator[None]:
        with monkeypatch.context() as patch:
            patch.setenv("ANYWASM_FAKE_FAIL", wish)
            yield

    return context


@pytest.fixture
def module(core, wat) -> Any:
    return core.Module(wat(GUEST), core.Engine("fake"))


@pytest.fixture
def fake_store(core, module) -> Any:
    return core.Store(module.engine)


IMPORTS: dict[str, Any] = {"host": {"f": lambda a, b: a, "r": lambda x: x}}


@pytest.fixture
def exports(core, module, fake_store) -> Any:
    return core.Instance(module, IMPORTS, fake_store).exports


def test_a_call_returns_its_parameters(exports):
    assert exports.same(1, -2, 0.5, 2.5) == (1, -2, 0.5, 2.5)


def test_a_host_function_is_called(exports):
    assert exports.import_f(7, 8) == 7


def test_a_reference_comes_back_as_the_same_object(exports):
    thing = object()
    assert exports.reference(thing) is thing


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("compile", "CompileError"),
        ("link", "LinkError"),
        ("trap", "Trap"),
        ("fuel", "FuelLimitError"),
        ("limit", "LimitError"),
        ("memory", MemoryError),
        ("type", TypeError),
        ("load", "UnsupportedError"),
        ("unsupported", "UnsupportedError"),
        ("host", "WasmError"),
        ("internal", "WasmError"),
    ],
)
def test_each_kind_of_error_has_its_exception(core, exports, fails, kind, name):
    expected = getattr(core, name) if isinstance(name, str) else name
    with fails(f"func_call:{kind}"), pytest.raises(expected) as caught:
        exports.none()
    assert type(caught.value) is expected
    assert "func_call failed on request" in str(caught.value)


def test_an_interruption_is_the_end_of_a_limit(core, exports, fails):
    with fails("func_call:interrupted"), pytest.raises(core.LimitError):
        exports.none()


def test_what_an_engine_has_not_got_names_the_engine_and_the_capability(core, exports, fails):
    with fails("func_call:unsupported"), pytest.raises(core.UnsupportedError, match=r"fake.*threads"):
        exports.none()


def test_frames_of_a_trap_may_know_little(core, exports, fails):
    with fails("func_call:trap"), pytest.raises(core.Trap) as caught:
        exports.none()
    assert [tuple(frame)[:4] for frame in caught.value.frames] == [
        ("module", "inner", 1, 42),
        ("guest", None, 2, None),  # the only module that there is
    ]


@pytest.fixture
def cached(core, monkeypatch, tmp_path) -> bytes:
    """A module that is big enough for the cache of this test."""
    monkeypatch.setenv("ANYWASM_CACHE_DIR", str(tmp_path / "cache"))
    custom = b"\5notes" + bytes(40_000)
    size = bytes([len(custom) & 0x7F | 0x80, len(custom) >> 7 & 0x7F | 0x80, len(custom) >> 14])
    return b"\0asm\1\0\0\0\0" + size + custom


def test_what_lies_in_the_cache_is_not_compiled(core, cached, fails):
    core.Module(cached, core.Engine("fake"))
    with fails("module_new:internal"):
        module = core.Module(cached, core.Engine("fake"))
        with pytest.raises(core.WasmError, match="module_new failed"):
            core.Module(cached, core.Engine("fake", cache=False))
    assert module.custom_sections("notes") == [bytes(40_000)]


def test_what_cannot_be_loaded_from_the_cache_is_compiled(core, cached, fails):
    core.Module(cached, core.Engine("fake"))
    with fails("module_deserialize_file:internal"):
        assert core.Module(cached, core.Engine("fake")).sections


def test_what_cannot_be_saved_is_compiled_all_the_same(core, cached, fails, tmp_path):
    with fails("module_serialize:internal"):
        assert core.Module(cached, core.Engine("fake")).sections
    assert not (tmp_path / "cache").exists()


def use_everything(core: Any, binary: bytes) -> None:
    """Every function of the engine interface that can fail, at least once."""
    engine = core.Engine("fake", fuel=True)
    core.Module.validate(binary, engine)
    module = core.Module(binary, engine)
    core.Module.deserialize(module.serialize(), engine)
    store = core.Store(engine, fuel=100)
    store.fuel += 10
    store.gc()
    exports = core.Instance(module, IMPORTS, store).exports
    exports.same(1, 2, 3.0, 4.0)
    exports.import_f(1, 2)
    exports.reference(object())
    exports.memory.grow(1)
    exports.table[1] = "one"
    exports.table.grow(0, "more")
    exports.table.fill(2, "fill", 3)
    assert exports.table[1] == "one"
    exports["global"].value += 1
    made = core.Table(core.TableType("funcref", 2, 5), store)
    made[0] = exports.none
    made[0]()
    made.grow(2, exports.none)
    core.Table(core.TableType("externref", 2), store, "initial")
    core.Memory(core.MemoryType(1, 3), store).grow(1)
    core.Global(core.GlobalType("externref", mutable=True), "value", store).value = "other"
    core.Func(lambda caller: caller.get("nothing"), core.FuncType(), store, pass_caller=True)()


@pytest.mark.parametrize("kind", ["internal", "memory", "trap", "unsupported", "limit"])
def test_each_call_can_fail_in_turn(core, wat, fails, kind):
    binary = wat(GUEST)
    failed = 0
    while True:
        with fails(f"*:{kind}:{failed}"):
            try:
                use_everything(core, binary)
            except (core.WasmError, MemoryError) as error:
                assert "failed on request" in str(error)
                failed += 1
            else:
                break
    assert failed > 35


def test_failing_calls_leave_nothing_behind(core, wat, fails):
    binary = wat(GUEST)

    def count() -> int:
        gc.collect()
        return sum(str(type(thing).__module__).startswith("anywasm") for thing in gc.get_objects())

    def fail_everywhere() -> None:
        for skip in range(60):
            with fails(f"*:internal:{skip}"):
                with suppress(core.WasmError):
                    use_everything(core, binary)

    fail_everywhere()
    before = count()
    fail_everywhere()
    assert count() <= before


def test_an_engine_that_cannot_be_had_tells_why(core, fails):
    with fails("probe:load"):
        assert ("fake", "probe failed on request") in [(name, reason) for name, _, _, reason in core.engine_list()]
        with pytest.raises(core.UnsupportedError, match="probe failed on request"):
            core.Engine("fake")


def test_an_engine_that_cannot_be_made_tells_why(core, fails):
    with fails("engine_new:memory"), pytest.raises(MemoryError, match="engine_new failed on request"):
        core.Engine("fake")


def test_a_memory_that_may_move_has_no_views(exports):
    with pytest.raises(BufferError, match=r"may move when it grows.*read\(\)"):
        memoryview(exports.memory)


def test_a_memory_keeps_its_bytes_when_it_moves(exports):
    exports.memory[5:8] = b"abc"
    exports.memory.grow(3)
    assert (exports.memory[5:8], len(exports.memory)) == (b"abc", 4 * 65536)


def test_a_store_without_fuel_cannot_be_asked_for_it(core, fake_store):
    with pytest.raises(core.UnsupportedError, match="make it with fuel=True"):
        fake_store.fuel = 5


def test_fuel_ends_after_that_many_calls(core, wat):
    store = core.Store(core.Engine("fake", fuel=True), fuel=2)
    exports = core.Instance(core.Module(wat(GUEST), store.engine), IMPORTS, store).exports
    exports.none()
    exports.none()
    with pytest.raises(core.LimitError, match="fuel"):
        exports.none()


def test_an_interrupted_store_fails_its_next_call_only(core, wat):
    store = core.Store(core.Engine("fake", interruptible=True))
    exports = core.Instance(core.Module(wat(GUEST), store.engine), IMPORTS, store).exports
    store.interrupt()
    with pytest.raises(core.LimitError):
        exports.none()
    assert exports.none() is None


def test_a_host_function_that_raises_wins_over_the_engines_story(core, module, fake_store):
    def fail(*values: object) -> None:
        raise LookupError("mine")

    exports = core.Instance(module, {"host": {"f": fail, "r": fail}}, fake_store).exports
    with pytest.raises(LookupError, match="mine"):
        exports.import_f(1, 2)


def test_an_export_that_cannot_be_had_fails_the_instance(core, module, fake_store, fails):
    for _ in range(3):
        with fails("instance_export:internal"), pytest.raises(core.WasmError, match="instance_export failed"):
            core.Instance(module, IMPORTS, fake_store)
    assert core.Instance(module, IMPORTS, fake_store).exports["none"]() is None

# SPDX-License-Identifier: Apache-2.0
"""Fixtures of every test. The engine is one: a test that asks for `engine` or `store` runs once for each engine."""

import importlib.util
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import hypothesis
import pytest

import anywasm
import toolchain
from toolchain import Instantiate

ENGINES = ("wamr", "wasmtime")

# How many examples Hypothesis tries: HYPOTHESIS_PROFILE chooses.
for profile, examples in {"quick": 30, "ci": 200, "long": 10_000}.items():
    hypothesis.settings.register_profile(
        profile,
        max_examples=examples,
        deadline=None,
        database=None,
        suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
    )
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--engine", action="append", metavar="NAME", help="run the tests of this engine only; repeatable")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "requires(*capabilities): skip on an engine that lacks one of these capabilities"
    )
    config.addinivalue_line("markers", "slow: takes seconds rather than milliseconds")
    # Not the user's own cache of compiled modules, in this process and those that tests start.
    os.environ["ANYWASM_CACHE_DIR"] = tempfile.mkdtemp(prefix="anywasm-tests-")
    # A shell that starts this in the background lets Ctrl-C be ignored, here and in those that tests start.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_unconfigure() -> None:
    shutil.rmtree(os.environ["ANYWASM_CACHE_DIR"], ignore_errors=True)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "engine" in metafunc.fixturenames:
        names = metafunc.config.getoption("engine") or ENGINES
        metafunc.parametrize("engine", names, indirect=True, scope="session")


@lru_cache(maxsize=None)
def engine_infos() -> dict[str, Any]:
    return {info.name: info for info in anywasm.engines()}


def pytest_runtest_setup(item: pytest.Item) -> None:
    name = getattr(item, "callspec", None) and item.callspec.params.get("engine")  # type: ignore[attr-defined]
    if name is None:
        return
    info = engine_infos().get(name)
    if info is None or not info.available:
        reason = info.reason if info else "it is not built in"
        if item.config.getoption("engine"):
            pytest.fail(f"engine {name} is not here: {reason}")
        pytest.skip(f"engine {name} is not here: {reason}")
    for mark in item.iter_markers("requires"):
        if lacking := set(mark.args) - info.capabilities:
            pytest.skip(f"engine {name} has no {', '.join(sorted(lacking))}")


@pytest.fixture(scope="session")
def engine(request: pytest.FixtureRequest) -> anywasm.Engine:
    """An engine with the default settings, the same for the whole run."""
    return anywasm.Engine(request.param)


@pytest.fixture
def store(engine: anywasm.Engine) -> anywasm.Store:
    return anywasm.Store(engine)


@pytest.fixture(scope="session")
def other_engine(engine: anywasm.Engine) -> anywasm.Engine:
    """Another Engine object of the same kind: what is made with it does not fit `engine`."""
    return anywasm.Engine(engine.name)


@pytest.fixture(scope="session")
def wat() -> Callable[[str], bytes]:
    """Turns the text of a module into a binary."""

    def convert(text: str) -> bytes:
        with missing_tools_skip():
            return toolchain.wat(text)

    return convert


@pytest.fixture
def instantiate(store: anywasm.Store, wat: Callable[[str], bytes]) -> Instantiate:
    """instantiate(text, imports=None) makes an instance in `store`."""

    def make(text: str, imports: Mapping[str, Any] | None = None) -> anywasm.Instance:
        return anywasm.Instance(anywasm.Module(wat(text), store.engine), imports, store)

    return make


@pytest.fixture(scope="session")
def compile_c() -> Callable[..., Path]:
    """compile_c(source, *flags): the path of a .wasm made from C; see toolchain.compile_c."""

    def compile(source: str | Path, *flags: str) -> Path:
        with missing_tools_skip():
            return toolchain.compile_c(source, *flags)

    return compile


@pytest.fixture(scope="session")
def compile_native() -> Callable[..., Path]:
    """compile_native(source, output, *flags): the path of what is made from C for this machine; see toolchain."""

    def compile(source: Path, output: str, *flags: str) -> Path:
        with missing_tools_skip():
            return toolchain.compile_native(source, output, *flags)

    return compile


@pytest.fixture(scope="session")
def build_go() -> Callable[[str | Path], Path]:
    """build_go(package): the path of a .wasm made from Go; see toolchain.build_go."""

    def build(package: str | Path) -> Path:
        with missing_tools_skip():
            return toolchain.build_go(package)

    return build


@pytest.fixture
def c_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    """clib compiles with ziglang, which keeps what it has built where the tests keep theirs."""
    if importlib.util.find_spec("ziglang") is None:
        pytest.skip("the C compiler for WebAssembly is not here: pip install ziglang")
    monkeypatch.delenv("ANYWASM_CC", raising=False)
    monkeypatch.delenv("WASI_SDK_PATH", raising=False)
    monkeypatch.setenv("ZIG_GLOBAL_CACHE_DIR", os.fspath(toolchain.cache_dir() / "zig"))


@contextmanager
def missing_tools_skip() -> Iterator[None]:
    """A tool that is not on the machine skips the test, saying what to install."""
    try:
        yield
    except toolchain.ToolMissing as error:
        pytest.skip(str(error))


@pytest.fixture
def programs() -> Path:
    """The folder of our own C and Go programs."""
    return Path(__file__).parent / "programs"

# SPDX-License-Identifier: Apache-2.0
"""The bindings of docs/bindings.md: each builds, and answers what the others do; mistakes with clib are exceptions."""

import importlib
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest

import anywasm

FOLDER = Path(__file__).parents[1] / "benchmarks" / "bindings"
NAMES = [
    "ctypes",
    "cffi, ABI, in-line",
    "cffi, ABI, out-of-line",
    "cffi, API, in-line",
    "cffi, API, out-of-line",
    "pybind11",
    "C API",
    "clib, in-line",
    "clib, out-of-line",
]


@pytest.fixture(scope="module")
def main() -> dict[str, Any]:
    """The names of benchmarks/bindings/__main__.py."""
    sys.path.insert(0, str(FOLDER))
    try:
        return runpy.run_path(str(FOLDER / "__main__.py"))
    finally:
        sys.path.remove(str(FOLDER))


@pytest.fixture(scope="module")
def build(main: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Builds with a tool, once: the tool and its folder."""
    base, built = tmp_path_factory.mktemp("bindings"), {}

    def build(name: str) -> tuple[Any, Path]:
        tools = importlib.import_module("tools")
        tool = tools.TOOLS[name]
        if name not in built:
            try:
                built[name], _ = main["prepare"](tool, base)
            except tools.Missing as missing:
                pytest.skip(str(missing))
        return tool, built[name]

    return build


def test_all_tools_are_tested(main: dict[str, Any]) -> None:
    assert list(main["TOOLS"]) == NAMES


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:reimporting", "ignore:the imp module")  # of cffi's verify()
@pytest.mark.parametrize("name", [name for name in NAMES if not name.startswith("clib")])
def test_a_binding_answers_what_the_others_answer(main: dict[str, Any], build: Any, name: str) -> None:
    tool, folder = build(name)
    main["assert_right"](tool.load(folder))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["clib, in-line", "clib, out-of-line"])
def test_clib_answers_the_same(
    engine: anywasm.Engine, main: dict[str, Any], build: Any, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANYWASM_ENGINE", engine.name)
    tool, folder = build(name)
    main["assert_right"](tool.load(folder))


EXCEPTIONS = {
    "text for a number": "TypeError: hypot2(): argument 1 'x' (double): expected a number, got str",
    "an int out of range": "OverflowError: nth(): argument 2 'index' (int): 4294967296 is out of range",
    "values that cannot change": "TypeError: scale(): argument 1 'values' (double *): the library may change",
    "floats for doubles": "TypeError: scale(): argument 1 'values' (double *): expected items of double (format 'd')",
    "the callback raises": "KeyError: 1",
    "a bug in the library": "Trap: out of bounds memory access",
}


@pytest.mark.slow
@pytest.mark.parametrize("mistake", EXCEPTIONS)
def test_a_mistake_with_clib_is_an_exception(
    engine: anywasm.Engine, main: dict[str, Any], build: Any, mistake: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANYWASM_ENGINE", engine.name)
    tool, folder = build("clib, out-of-line")
    assert main["outcome"](tool.name, mistake, folder).startswith(EXCEPTIONS[mistake])


@pytest.mark.slow
def test_the_bug_ends_a_python_that_calls_machine_code(main: dict[str, Any], build: Any) -> None:
    tool, folder = build("ctypes")
    assert main["outcome"](tool.name, "a bug in the library", folder) == "Python dies: SIGSEGV"

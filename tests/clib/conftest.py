# SPDX-License-Identifier: Apache-2.0
"""The library of these tests: library.c, compiled once, loaded anew for each test."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import anywasm
from anywasm import clib

HERE = Path(__file__).parent
HEADER = HERE / "library.h"
VARIABLES = ("counter", "origin", "version", "constant", "numbers", "title", "nodes_freed")

Load = Callable[..., clib.Library]


@pytest.fixture(scope="session")
def declarations() -> clib.Declarations:
    from anywasm.clib._parse import parse_header

    return parse_header(HEADER)


@pytest.fixture(scope="session")
def library_file(compile_c: Callable[..., Path], declarations: clib.Declarations) -> Path:
    names = (*declarations.functions, *VARIABLES, "malloc", "free")
    exports = [f"-Wl,--export={name}" for name in names if name != "missing"]
    return compile_c(HERE / "library.c", "-mexec-model=reactor", *exports)


@pytest.fixture(scope="session")
def library_module(engine: anywasm.Engine, library_file: Path) -> anywasm.Module:
    from anywasm.clib._prepare import prepare

    return anywasm.Module(prepare(library_file.read_bytes()), engine)


@pytest.fixture
def load(library_module: anywasm.Module, declarations: clib.Declarations) -> Load:
    """load(**options): the library in a store of its own."""

    def make(**options: Any) -> clib.Library:
        return clib.load(library_module, declarations, **{"frees": {"greet"}, **options})

    return make


@pytest.fixture
def lib(load: Load) -> Iterator[clib.Library]:
    library = load()
    yield library
    assert library.trouble is not None or library.store is not None

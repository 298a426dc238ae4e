# SPDX-License-Identifier: Apache-2.0
"""Calls as C's ABI for WebAssembly has them: hundreds of functions, called here and natively with the same values."""

import random
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
import signatures
from signatures import Field, Function, Integer, Items, Record, Text, Value, Void

from anywasm import clib

cffi = pytest.importorskip("cffi")

MADE = signatures.make()
SAMPLES = 4  # calls of each function


@lru_cache(maxsize=None)
def arguments_of(name: str) -> list[list[Value]]:
    """The same values on each side and each engine."""
    generator = random.Random(name)
    function = next(of for of in MADE.functions if of.name == name)
    return [[of.random(generator) for of in function.arguments] for _ in range(SAMPLES)]


# --- natively -------------------------------------------------------------------------------------------------------


class Native:
    """The functions in a shared library of this machine, called through cffi."""

    def __init__(self, path: Path) -> None:
        self.ffi = cffi.FFI()
        self.ffi.cdef(MADE.native_declarations)
        self.library = self.ffi.dlopen(str(path))

    def call(self, function: Function, values: list[Value]) -> tuple[Value, int]:
        """The result and the digest."""
        kept: list[Any] = []
        places = [self.place(of, value, kept) for of, value in zip(function.arguments, values, strict=True)]
        arguments = self.ffi.new("void *[]", places or [self.ffi.NULL])
        result = self.ffi.new("char[]", 4096)
        getattr(self.library, f"native_{function.name}")(arguments, result)
        return self.plain(function, result), self.library.last_digest()

    def place(self, of: signatures.Type, value: Value, kept: list[Any]) -> Any:
        if isinstance(of, Record) and not of.fields:
            place = self.ffi.new("char *")
        elif isinstance(of, Text):
            text = self.ffi.NULL if value is None else self.ffi.new("char[]", value.encode())
            kept.append(text)
            place = self.ffi.new("char **", text)
        elif isinstance(of, Items):
            items = self.ffi.new(f"{of.item.native}[]", [self.value(of.item, item) for item in value])
            kept.append(items)
            place = self.ffi.new("void **", items)
        else:
            place = self.ffi.new(f"{of.native} *", self.value(of, value))
        kept.append(place)
        return self.ffi.cast("void *", place)

    def value(self, of: signatures.Type, value: Value) -> Value:
        if isinstance(of, signatures.Complex):
            return {"re": value.real, "im": value.imag}
        if isinstance(of, signatures.Char):
            return bytes([value & 255])
        if isinstance(of, Record):
            return {part.name: self.field(part, value[part.name]) for part in of.used if not part.empty}
        return value

    def field(self, part: Field, value: Value) -> Value:
        return [self.value(part.type, item) for item in value] if part.length else self.value(part.type, value)

    def plain(self, function: Function, result: Any) -> Value:
        of = function.result
        if isinstance(of, Void) or (isinstance(of, Record) and not of.fields):
            return of.plain(None)
        value = self.ffi.cast(f"{of.native} *", result)[0]
        if isinstance(of, Text):
            return None if value == self.ffi.NULL else self.ffi.string(value).decode()
        return of.plain(value)


@pytest.fixture(scope="session")
def native(compile_native: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Native:
    source = tmp_path_factory.mktemp("abi") / "abi.c"
    source.write_text(MADE.source)
    return Native(compile_native(source, "abi.so", "-shared", "-fPIC", "-w"))


# --- in WebAssembly -------------------------------------------------------------------------------------------------


@pytest.fixture
def library(loaded: Any) -> Any:
    if loaded.trouble is not None:  # of the test before
        loaded.reset()
    return loaded


@pytest.fixture(scope="session", params=["-O0", "-O2"])
def loaded(request: pytest.FixtureRequest, engine: Any, compile_c: Callable[..., Path]) -> Any:
    names = [of.name for of in MADE.functions] + [f"through_{of.name}" for of in MADE.functions if not of.extra]
    exports = [f"-Wl,--export={name}" for name in [*names, "last_digest", "malloc", "free"]]
    wasm = compile_c(MADE.source, "-mexec-model=reactor", "-w", request.param, *exports)
    return clib.load(wasm, MADE.declarations, engine=engine)


def extra_argument(library: Any, of: signatures.Type, value: Value) -> Value:
    """What stands for an ellipsis has no declared type: it tells its own, unless it is C's default one."""
    if isinstance(of, Record):
        return library.new(f"{of.c} *", value)[0]
    if isinstance(of, Items):
        return library.array(of.item.c, value)
    if isinstance(of, Integer) and of.c == "int":
        return value
    if isinstance(of, Text) or of.c == "double":
        return value
    return library.cast(of.c, value)


def ours(library: Any, function: Function, values: list[Value], shape: Callable[..., Value]) -> list[Value]:
    count = len(function.parameters)
    fixed = [shape(of, value) for of, value in zip(function.parameters, values, strict=False)]
    return fixed + [
        extra_argument(library, of, value) for of, value in zip(function.extra, values[count:], strict=True)
    ]


def as_tuples(of: signatures.Type, value: Value) -> Value:
    """Structs as tuples; unions stay dicts, since only one field has a value."""
    if not isinstance(of, Record):
        return value
    parts = {
        part.name: [as_tuples(part.type, item) for item in value[part.name]]
        if part.length
        else as_tuples(part.type, value[part.name])
        for part in of.used
    }
    return parts if of.c.startswith("union") else tuple(parts.values())


CALLS = [pytest.param(of, id=of.name) for of in MADE.functions]


@pytest.mark.parametrize("function", CALLS)
def test_a_call_is_the_same_as_natively(library: Any, native: Native, function: Function) -> None:
    for number, values in enumerate(arguments_of(function.name)):
        shape = as_tuples if number % 2 else lambda _, value: value
        result = getattr(library, function.name)(*ours(library, function, values, shape))
        assert (function.result.plain(result), library.last_digest()) == native.call(function, values), values


@pytest.mark.parametrize("function", [of for of in MADE.functions if not of.extra], ids=lambda of: of.name)
def test_a_callback_is_called_and_answers_as_c_does(library: Any, native: Native, function: Function) -> None:
    """C calls Python with its own arguments, and Python calls C with what it got."""
    direct = getattr(library, function.name)
    kept = []

    def answer(*received: Value) -> Value:
        result = direct(*received)
        if isinstance(function.result, Text) and result is not None:
            result = library.string(result)  # somebody has to own the memory
            kept.append(result)
        return result

    for values in arguments_of(function.name)[:2]:
        result = getattr(library, f"through_{function.name}")(answer, *values)
        assert (function.result.plain(result), library.last_digest()) == native.call(function, values), values

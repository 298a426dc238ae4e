# SPDX-License-Identifier: Apache-2.0
"""The same module in each of the systems that run WebAssembly, by each system's own ordinary way."""

from __future__ import annotations

import atexit
import sys
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

from harness import Missing, Way

sys.path.append(str(Path(__file__).parent.parent / "tests"))  # for toolchain.py


@lru_cache(maxsize=None)
def binary(text: str) -> bytes:
    """The text of a module as a binary, which every system reads."""
    from toolchain import wat

    return wat(text)


def module_of(system: str, code: bytes) -> Any:
    """A compiled module; pywasm3 compiles as it instantiates, and has none."""
    if system == "wasmtime-py":
        import wasmtime

        return wasmtime.Module(wasmtime_engine(), code)
    if system == "wasmer":
        import wasmer

        return wasmer.Module(wasmer_store(), code)
    import anywasm

    return anywasm.Module(code, engine(system))


class Guest:
    """An instance of a module.

    *host* is the one function that the module imports, as "host" "f"; *signature* its type as pywasm3 writes it.
    """

    def __init__(
        self, system: str, module: str | bytes, host: Callable[..., Any] | None = None, signature: str = ""
    ) -> None:
        code = binary(module) if isinstance(module, str) else module
        self.system = system
        self.store: Any = None
        makers = {"wasmtime-py": self.wasmtime_py, "pywasm3": self.pywasm3, "wasmer": self.wasmer}
        makers.get(system, self.anywasm)(code, host, signature)

    def anywasm(self, code: bytes, host: Callable[..., Any] | None, signature: str) -> None:
        import anywasm

        module = module_of(self.system, code)
        self.store = anywasm.Store(module.engine)
        self.instance = anywasm.Instance(module, {"host": {"f": host}} if host else None, self.store)
        self.exports: Any = self.instance.exports

    def wasmtime_py(self, code: bytes, host: Callable[..., Any] | None, signature: str) -> None:
        import wasmtime

        module = module_of(self.system, code)
        self.store = wasmtime.Store(wasmtime_engine())
        imports = [wasmtime.Func(self.store, module.imports[0].type, host)] if host else []
        self.instance = wasmtime.Instance(self.store, module, imports)
        self.exports = self.instance.exports(self.store)

    def pywasm3(self, code: bytes, host: Callable[..., Any] | None, signature: str) -> None:
        import wasm3

        self.environment = wasm3.Environment()
        self.instance = self.environment.new_runtime(64 * 1024)
        try:
            module = self.environment.parse_module(code)
            self.instance.load(module)
        except RuntimeError as error:
            raise Missing(f"it rejects the module: {error}") from None
        if host:
            module.link_function("host", "f", signature, host)

    def wasmer(self, code: bytes, host: Callable[..., Any] | None, signature: str) -> None:
        import wasmer

        module = module_of(self.system, code)
        imports = wasmer.ImportObject()
        if host:
            type = module.imports[0].type
            imports.register("host", {"f": wasmer.Function(wasmer_store(), host, type)})
        self.instance = wasmer.Instance(module, imports)
        self.exports = self.instance.exports

    def function(self, name: str) -> Any:
        """An exported function, as the system gives it."""
        if self.system == "pywasm3":
            try:
                return self.instance.find_function(name)
            except RuntimeError as error:  # it compiles late
                raise Missing(f"it rejects the module: {error}") from None
        return self.exports[name] if self.system != "wasmer" else getattr(self.exports, name)

    def call(self, name: str, arguments: str = "", empty: str | None = None, inner: int = 1, **names: Any) -> Way:
        """The way to call an export; *empty* names another, whose cost with the same arguments is taken off."""
        before = "store, " if self.system == "wasmtime-py" else ""
        known = {"f": self.function(name), "store": self.store, **names}
        rest = "pass"
        if empty:
            known["empty"] = self.function(empty)
            rest = f"empty({before}{arguments})"
        return Way(f"f({before}{arguments})", known, inner=inner, empty=rest, keep=self)


@lru_cache(maxsize=None)
def engine(system: str) -> Any:
    """The engine of one of our systems."""
    import anywasm

    name = system.partition("-")[2]
    for info in anywasm.engines():
        if info.name == name and info.available:
            return anywasm.Engine(name)
    raise Missing(f"no engine {name} here")


@lru_cache(maxsize=None)
def wasmtime_engine() -> Any:
    """wasmtime-py's."""
    import wasmtime

    atexit.register(wasmtime_engine.cache_clear)  # its destructors need what is gone later
    return wasmtime.Engine()


@lru_cache(maxsize=None)
def wasmer_store() -> Any:
    import wasmer
    from wasmer_compiler_cranelift import Compiler

    return wasmer.Store(wasmer.engine.JIT(Compiler))

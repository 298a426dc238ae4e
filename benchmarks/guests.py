# SPDX-License-Identifier: Apache-2.0
"""The same module in each of the systems that run WebAssembly, by each system's own ordinary way."""

from __future__ import annotations

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
    try:
        import toolchain
    except ImportError:  # where no anywasm is, wasmer is
        import wasmer

        return bytes(wasmer.wat2wasm(text))
    return toolchain.wat(text)


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

        self.store = anywasm.Store(engine(self.system))
        imports = {"host": {"f": host}} if host else None
        self.instance = anywasm.Instance(anywasm.Module(code, self.store.engine), imports, self.store)
        self.exports: Any = self.instance.exports

    def wasmtime_py(self, code: bytes, host: Callable[..., Any] | None, signature: str) -> None:
        import wasmtime

        self.store = wasmtime.Store()
        module = wasmtime.Module(self.store.engine, code)
        imports = [wasmtime.Func(self.store, module.imports[0].type, host)] if host else []
        self.instance = wasmtime.Instance(self.store, module, imports)
        self.exports = self.instance.exports(self.store)

    def pywasm3(self, code: bytes, host: Callable[..., Any] | None, signature: str) -> None:
        import wasm3

        self.environment = wasm3.Environment()
        self.instance = self.environment.new_runtime(64 * 1024)
        module = self.environment.parse_module(code)
        self.instance.load(module)
        if host:
            module.link_function("host", "f", signature, host)

    def wasmer(self, code: bytes, host: Callable[..., Any] | None, signature: str) -> None:
        import wasmer
        from wasmer_compiler_cranelift import Compiler

        self.store = wasmer.Store(wasmer.engine.JIT(Compiler))
        module = wasmer.Module(self.store, code)
        imports = wasmer.ImportObject()
        if host:
            imports.register("host", {"f": wasmer.Function(self.store, host, module.imports[0].type)})
        self.instance = wasmer.Instance(module, imports)
        self.exports = self.instance.exports

    def function(self, name: str) -> Any:
        """An exported function, as the system gives it."""
        if self.system == "pywasm3":
            return self.instance.find_function(name)
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

# SPDX-License-Identifier: Apache-2.0
"""`anywasm.load`, the one-liner; and how what is given to it, to `run` and on the command line becomes a Module."""

from __future__ import annotations

import os

from ._core import Engine, Instance, Module, Store
from ._linking import WASI
from .wasi import Wasi

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ._core import _Imports, _ModuleSource

# Bytes of code from which compiling takes more than a tenth of a second: half a millisecond a kilobyte.
BIG = 256 << 10


def load(
    source: Module | _ModuleSource,
    imports: _Imports | None = None,
    *,
    engine: Engine | str | None = None,
    store: Store | None = None,
    wasi: Wasi | None = None,
    memory: int | None = None,
    table_elements: int | None = None,
    instances: int | None = None,
    fuel: int | None = None,
    timeout: float | None = None,
    stack: int | None = None,
) -> Instance:
    """Compile *source*, make a store for it and bring it to life there: from a file to a call in one line::

        anywasm.load("add.wasm").exports.add(1, 2)

    source: what :class:`Module` takes (a path, bytes, or text), or a Module. A file whose name ends in ``.cwasm`` may
      be what ``anywasm compile`` or ``Module.serialize`` made: machine code, to be trusted like a shared library.
    imports: ``{module: {name: object}}``, as for :class:`Instance`.
    engine: an Engine or the name of one; None is the default engine.
    store: where to live, instead of a new store; then the limits and WASI are the store's.
    wasi: what a module that imports WASI gets. None lets it write to the process's stdout and stderr, and nothing else.
    memory, table_elements, instances, fuel, timeout, stack: limits of the new store, as for :class:`Store`. Where no
      engine object is given, one is made that can hold them.

    The ``_initialize`` function of a reactor (a library with WASI) has been called when this returns.

    Raises CompileError, LinkError, and whatever the module's start function does.
    """
    if store is not None:
        for name, value in (
            ("engine", engine),
            ("wasi", wasi),
            ("memory", memory),
            ("table_elements", table_elements),
            ("instances", instances),
            ("fuel", fuel),
            ("timeout", timeout),
            ("stack", stack),
        ):
            if value is not None:
                raise TypeError(f"load(): {name} and store exclude each other: the store has its own")
        engine = store.engine
    module = as_module(source, engine, fuel=fuel, timeout=timeout, stack=stack)
    if store is None:
        if wasi is None and imports_wasi(module):
            wasi = Wasi(stdout="inherit", stderr="inherit")
        store = Store(
            module.engine,
            wasi=wasi,
            memory=memory,
            table_elements=table_elements,
            instances=instances,
            fuel=fuel,
            timeout=timeout,
            stack=stack,
        )
    instance = Instance(module, imports, store)
    initialize(instance)
    return instance


def as_module(
    source: Module | _ModuleSource,
    engine: Engine | str | None,
    *,
    fuel: int | None = None,
    timeout: float | None = None,
    stack: int | None = None,
) -> Module:
    """Compile *source*, unless it is a Module, with an engine that can hold these limits."""
    if isinstance(source, Module):
        made_by = source.engine
        if engine is not None and engine is not made_by and engine != made_by.name:
            name = engine if isinstance(engine, str) else engine.name
            raise ValueError(f"the module was compiled by another engine object ({made_by.name}) than engine ({name})")
        return source
    return Module(source, engine_for(engine, fuel, timeout, stack))


def engine_for(
    engine: Engine | str | None, fuel: int | None, timeout: float | None, stack: int | None = None
) -> Engine | None:
    limited = fuel is not None or timeout is not None or stack is not None
    if isinstance(engine, str) or (engine is None and limited):
        return Engine(engine, fuel=fuel is not None, interruptible=timeout is not None, max_wasm_stack=stack)
    return engine


def program(
    source: Module | _ModuleSource,
    engine: Engine | str | None,
    *,
    fuel: int | None = None,
    timeout: float | None = None,
    stack: int | None = None,
    compile_timeout: float | None = None,
    compiling: Callable[[], object] = lambda: None,
) -> Module:
    """The module of a program that is to run now. *compiling* is called if that has to wait for a compiler.

    It does not have to where nobody has chosen an engine, and nothing depends on its speed or its measure of work.
    """
    if isinstance(source, Module):
        return as_module(source, engine)
    limited = fuel is not None or timeout is not None or stack is not None
    free = engine is None and not limited and not os.environ.get("ANYWASM_ENGINE")

    def otherwise(binary: bytes) -> Module | None:
        if free and len(binary) >= BIG:
            from ._behind import start_now

            module = start_now(binary)
            if module is not None:
                return module
        compiling()
        if bounded is not None and compile_timeout is not None:
            from ._within import compile_within

            return compile_within(binary, bounded, compile_timeout)
        return None

    chosen, bounded = engine_for(engine, fuel, timeout, stack), None
    if compile_timeout is not None:
        if not 0 < compile_timeout < float("inf"):
            raise ValueError(f"compile_timeout: expected a positive number of seconds or None, got {compile_timeout!r}")
        chosen = chosen if chosen is not None else Engine()
        bounded = chosen if "serialize" in chosen.capabilities else None
        free = False
    return Module._or_else(otherwise, source, chosen)


def imports_wasi(module: Module) -> bool:
    return WASI in [wanted.module for wanted in module.imports]


def initialize(instance: Instance) -> None:
    """Call what a reactor has to have called first."""
    exports = instance.exports
    if "_initialize" in exports and "_start" not in exports:
        exports["_initialize"]()

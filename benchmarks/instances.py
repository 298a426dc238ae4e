# SPDX-License-Identifier: Apache-2.0
"""Making what runs a module: a store, an instance, the module itself; and freeing it again.

wasmer's modules belong to a store, so its instances are made without one; pywasm3 reads the module for each instance.
"""

from __future__ import annotations

from typing import Any

from guests import Guest, binary, engine, module_of, wasmer_store, wasmtime_engine
from harness import OURS, WASM, Bar, Way, case, main

FUNCTION = '(func (export "add") (param i32 i32) (result i32) local.get 0 local.get 1 i32.add)'
SMALL = f"(module {FUNCTION})"
WITH_MEMORY = f'(module (memory (export "memory") 1) {FUNCTION})'
THIRD = (Bar("anywasm-wasmtime", 1 / 3, "wasmtime-py"),)


@case("a store", (*OURS, "wasmtime-py", "wasmer"), baseline="wasmtime-py")
def store(system: str) -> Way:
    if system == "wasmtime-py":
        import wasmtime

        return Way("Store(engine)", {"Store": wasmtime.Store, "engine": wasmtime_engine()}, check="0")
    if system == "wasmer":
        import wasmer
        from wasmer_compiler_cranelift import Compiler

        return Way("Store(engine)", {"Store": wasmer.Store, "engine": wasmer.engine.JIT(Compiler)}, check="0")
    import anywasm

    return Way("Store(engine)", {"Store": anywasm.Store, "engine": engine(system)}, check="0")


def instance_of(system: str, text: str) -> Way:
    code = binary(text)
    names: dict[str, Any]
    if system == "wasmtime-py":
        import wasmtime

        module = module_of(system, code)
        names = {"Instance": wasmtime.Instance, "Store": wasmtime.Store, "module": module, "engine": wasmtime_engine()}
        return Way("Instance(Store(engine), module, [])", names, check="0")
    if system == "wasmer":
        import wasmer

        return Way("Instance(module)", {"Instance": wasmer.Instance, "module": module_of(system, code)}, check="0")
    if system == "pywasm3":  # it takes a module apart as it instantiates it
        import wasm3  # noqa: F401, says that it is missing

        return Way("Guest('pywasm3', code)", {"Guest": Guest, "code": code}, check="0")
    import anywasm

    module = module_of(system, code)
    names = {"Instance": anywasm.Instance, "Store": anywasm.Store, "module": module, "engine": module.engine}
    return Way("Instance(module, None, Store(engine))", names, check="0")


@case("a store and an instance", WASM, baseline="wasmtime-py", bars=THIRD)
def instance(system: str) -> Way:
    return instance_of(system, SMALL)


@case("a store and an instance with a memory", WASM, baseline="wasmtime-py", bars=THIRD)
def instance_with_memory(system: str) -> Way:
    return instance_of(system, WITH_MEMORY)


@case(
    "the same with room made ahead",
    ("anywasm-wasmtime", "wasmtime-py"),
    baseline="wasmtime-py",
    bars=THIRD,
)
def instance_pooled(system: str) -> Way:
    """`Engine(pooling=...)` beside wasmtime-py's default."""
    if system == "wasmtime-py":
        return instance_of(system, WITH_MEMORY)
    import anywasm

    made = anywasm.Engine("wasmtime", pooling=10)
    module = anywasm.Module(binary(WITH_MEMORY), made)
    names = {"Instance": anywasm.Instance, "Store": anywasm.Store, "module": module, "engine": made}
    return Way("Instance(module, None, Store(engine))", names, check="0")


@case("a small module", (*OURS, "wasmtime-py", "pywasm3", "wasmer"), baseline="wasmtime-py", rounds=10)
def module(system: str) -> Way:
    code = binary(SMALL)
    names: dict[str, Any]
    if system == "wasmtime-py":
        import wasmtime

        names = {"Module": wasmtime.Module, "engine": wasmtime_engine(), "code": code}
        return Way("Module(engine, code)", names, check="0")
    if system == "wasmer":
        import wasmer

        names = {"Module": wasmer.Module, "store": wasmer_store(), "code": code}
        return Way("Module(store, code)", names, check="0")
    if system == "pywasm3":
        import wasm3

        return Way("parse(code)", {"parse": wasm3.Environment().parse_module, "code": code}, check="0")
    import anywasm

    return Way("Module(code, engine)", {"Module": anywasm.Module, "engine": engine(system), "code": code}, check="0")


if __name__ == "__main__":
    main("instances")

# SPDX-License-Identifier: Apache-2.0
"""Getting at an export, and instances that have many."""

from __future__ import annotations

from guests import Guest, binary, module_of, wasmtime_engine
from harness import OURS, WASM, Bar, Way, case, main

MODULE = '(module (func (export "add") (param i32 i32) (result i32) local.get 0 local.get 1 i32.add))'

MANY = 2000
LARGE = "(module {})".format(
    "\n".join(f'(func (export "f{number}") (result i32) i32.const {number})' for number in range(MANY))
)


class Ordinary:
    def __init__(self) -> None:
        self.add = lambda a, b: a + b


@case("an export by its name", ("python", *WASM), bars=(Bar("anywasm-wasmtime", 1.5), Bar("anywasm-wamr", 1.5)))
def attribute(system: str) -> Way:
    """Against an ordinary attribute of an ordinary instance."""
    if system == "python":
        return Way("exports.add", {"exports": Ordinary()}, check="exports.add(1, 2)")
    guest = Guest(system, MODULE)
    if system == "pywasm3":
        return Way("find('add')", {"find": guest.instance.find_function}, check="find('add')(1, 2)", keep=guest)
    if system == "wasmtime-py":
        names = {"exports": guest.exports, "store": guest.store}
        return Way("exports['add']", names, check="exports['add'](store, 1, 2)", keep=guest)
    return Way("exports.add", {"exports": guest.exports}, check="exports.add(1, 2)", keep=guest)


@case("an export by its name, and called", ("python", *WASM))
def called(system: str) -> Way:
    way = attribute(system)
    assert way.check is not None
    return Way(way.check, way.names, keep=way)


@case(
    f"an instance with {MANY:,} exports, one called",
    WASM,
    baseline="wasmtime-py",
    bars=tuple(Bar(system, 0.001, None) for system in OURS),
)
def many(system: str) -> Way:
    code = binary(LARGE)
    if system in OURS:
        import anywasm

        module = module_of(system, code)
        names = {"Instance": anywasm.Instance, "Store": anywasm.Store, "module": module, "engine": module.engine}
        return Way("Instance(module, None, Store(engine)).exports.f1234()", names)
    if system == "wasmtime-py":
        import wasmtime

        def make() -> int:
            store = wasmtime.Store(engine)
            instance = wasmtime.Instance(store, module, [])
            return instance.exports(store)["f1234"](store)

        module = module_of(system, code)
        engine = wasmtime_engine()
        return Way("make()", {"make": make})
    if system == "wasmer":
        import wasmer

        return Way("Instance(module).exports.f1234()", {"Instance": wasmer.Instance, "module": module_of(system, code)})
    import wasm3  # noqa: F401, says that it is missing

    return Way("Guest('pywasm3', code).function('f1234')()", {"Guest": Guest, "code": code})


if __name__ == "__main__":
    main("exports")

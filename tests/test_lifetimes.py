# SPDX-License-Identifier: Apache-2.0
"""Objects may go in any order, cycles through a store are collected, and an interpreter may end with everything alive.

What could crash runs in a process of its own.
"""

import gc
import itertools
import subprocess
import sys
import textwrap
import weakref
from collections.abc import Callable
from typing import Any

import pytest

import anywasm
from toolchain import Instantiate

GUEST = """
(module $guest
  (import "host" "f" (func $f (param i32) (result i32)))
  (memory (export "memory") 1)
  (table (export "table") 2 funcref)
  (global (export "global") (mut i32) (i32.const 5))
  (func (export "run") (param i32) (result i32) (call $f (local.get 0)))
  (elem (i32.const 0) $f)
)
"""

SETUP = """
import gc, sys, weakref
import anywasm
data = bytes.fromhex({data!r})
engine = anywasm.Engine({engine!r})
module = anywasm.Module(data, engine)
store = anywasm.Store(engine)
f = anywasm.Func(lambda x: x + 1, anywasm.FuncType(["i32"], ["i32"]), store)
instance = anywasm.Instance(module, {{"host": {{"f": f}}}}, store)
exports = instance.exports
run, memory, table, number = exports.run, exports.memory, exports.table, exports["global"]
view = memoryview(memory)
assert run(1) == 2
"""
NAMES = ["engine", "module", "store", "f", "instance", "exports", "run", "memory", "table", "number", "view"]


def in_a_process(engine: anywasm.Engine, data: bytes, program: str) -> str:
    """What *program* prints, run after SETUP. It fails the test by any exit status but 0, and by any word on stderr."""
    text = SETUP.format(data=data.hex(), engine=engine.name) + textwrap.dedent(program)
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", text], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


@pytest.fixture(scope="session")
def guest(wat: Callable[[str], bytes]) -> bytes:
    return wat(GUEST)


def test_the_interpreter_may_end_with_everything_alive(engine: anywasm.Engine, guest: bytes) -> None:
    in_a_process(engine, guest, "")


def test_the_interpreter_may_end_inside_a_guest(engine: anywasm.Engine, guest: bytes) -> None:
    program = """
        leave = anywasm.Instance(module, {"host": {"f": lambda x: sys.exit(0)}}, store)
        leave.exports.run(1)
    """
    in_a_process(engine, guest, program)


def test_the_interpreter_may_end_with_cycles_and_finalizers(engine: anywasm.Engine, guest: bytes) -> None:
    program = """
        class Late:
            def __del__(self):
                try:
                    self.exports.run(1)
                except Exception:
                    pass
        late = Late()
        late.exports = exports
        late.itself = late
        sys.modules["kept"] = late
    """
    in_a_process(engine, guest, program)


def test_objects_may_be_deleted_in_any_order(engine: anywasm.Engine, guest: bytes) -> None:
    program = f"""
        import random
        names = {NAMES!r}
        rng = random.Random(5)
        def make():
            store = anywasm.Store(engine)
            f = anywasm.Func(lambda x: x + 1, anywasm.FuncType(["i32"], ["i32"]), store)
            instance = anywasm.Instance(module, {{"host": {{"f": f}}}}, store)
            exports = instance.exports
            return dict(engine=engine, module=module, store=store, f=f, instance=instance, exports=exports,
                run=exports.run, memory=exports.memory, table=exports.table, number=exports["global"],
                view=memoryview(exports.memory))
        for _ in range(300):
            things = make()
            rng.shuffle(names)
            for name in names:
                del things[name]
                if "run" in things:
                    assert things["run"](41) == 42
                if "view" in things:
                    things["view"][0] = 7
                if "number" in things:
                    assert things["number"].value == 5
                if "table" in things:
                    assert things["table"][0](1) == 2
                if rng.random() < 0.1:
                    gc.collect()
    """
    in_a_process(engine, guest, program)


@pytest.mark.parametrize("last", NAMES)
def test_whatever_is_left_last_works_alone(engine: anywasm.Engine, guest: bytes, last: str) -> None:
    uses = {
        "engine": "anywasm.Module(data, engine)",
        "module": "module.exports",
        "store": "store.gc()",
        "f": "assert f(1) == 2",
        "instance": "assert instance.exports.run(1) == 2",
        "exports": "assert exports.run(1) == 2",
        "run": "assert run(1) == 2",
        "memory": "memory[0] = 1; assert memory[0] == 1",
        "table": "assert table[0](1) == 2",
        "number": "number.value += 1; assert number.value == 6",
        "view": "view[0] = 1; assert view[0] == 1",
    }
    others = ", ".join(name for name in NAMES if name != last)
    in_a_process(engine, guest, f"del {others}\ngc.collect()\n{uses[last]}\ndel {last}\ngc.collect()\n")


@pytest.mark.parametrize("first", [*itertools.permutations(["store", "instance", "run"])], ids=" ".join)
def test_the_main_objects_may_go_in_every_order(engine: anywasm.Engine, guest: bytes, first: tuple[str, ...]) -> None:
    steps = "".join(f"del {name}\ngc.collect()\n" for name in first)
    in_a_process(engine, guest, f"del view\n{steps}assert exports.run(1) == 2\n")


# --- cycles ------------------------------------------------------------------------------------------------------


class Marked:
    """Something that can be watched dying."""


def test_a_host_closure_over_its_own_instance_is_collected(engine: anywasm.Engine, guest: bytes) -> None:
    def make() -> weakref.ref[Marked]:
        marked = Marked()
        instance: Any = anywasm.Instance(
            anywasm.Module(guest, engine), {"host": {"f": lambda x: (marked, instance) and x}}, anywasm.Store(engine)
        )
        assert instance.exports.run(7) == 7
        return weakref.ref(marked)

    alive = make()
    gc.collect()
    assert alive() is None


def test_a_store_dies_with_its_last_object_without_the_collector(engine: anywasm.Engine, guest: bytes) -> None:
    marked = Marked()
    alive = weakref.ref(marked)
    instance = anywasm.Instance(
        anywasm.Module(guest, engine), {"host": {"f": lambda x, marked=marked: x}}, anywasm.Store(engine)
    )
    del marked
    assert alive() is not None
    gc.disable()
    try:
        del instance
        assert alive() is None
    finally:
        gc.enable()


HOLDER = """
(module (table (export "table") 4 externref) (global (export "global") (mut externref) (ref.null extern))
  (func (export "keep") (param externref) (table.set 0 (i32.const 0) (local.get 0)))
  (func (export "drop") (table.set 0 (i32.const 0) (ref.null extern))))
"""


@pytest.mark.requires("reference_types")
def test_a_guest_keeps_an_object_alive(instantiate: Instantiate) -> None:
    holder = instantiate(HOLDER).exports
    marked = Marked()
    alive = weakref.ref(marked)
    holder.keep(marked)
    del marked
    gc.collect()
    assert alive() is not None
    assert holder.table[0] is alive()


@pytest.mark.requires("reference_types")
def test_closing_the_store_lets_its_objects_go(instantiate: Instantiate, store: anywasm.Store) -> None:
    holder = instantiate(HOLDER).exports
    marked = Marked()
    alive = weakref.ref(marked)
    holder.keep(marked)
    holder["global"].value = marked
    del marked
    store.close()
    gc.collect()
    assert alive() is None


@pytest.mark.requires("reference_types")
def test_what_a_guest_dropped_goes_when_the_store_collects(instantiate: Instantiate, store: anywasm.Store) -> None:
    holder = instantiate(HOLDER).exports
    if "gc" not in store.engine.capabilities:
        pytest.skip("the engine keeps what guests held until the store goes")
    marked = Marked()
    alive = weakref.ref(marked)
    holder.keep(marked)
    del marked
    holder.drop()
    store.gc()
    gc.collect()
    assert alive() is None


@pytest.mark.requires("reference_types")
def test_a_cycle_through_an_externref_is_collected(engine: anywasm.Engine, wat: Callable[[str], bytes]) -> None:
    def make() -> weakref.ref[Marked]:
        instance = anywasm.Instance(anywasm.Module(wat(HOLDER), engine), store=anywasm.Store(engine))
        marked: Any = Marked()
        marked.exports = instance.exports
        instance.exports.keep(marked)
        return weakref.ref(marked)

    alive = make()
    gc.collect()
    assert alive() is None


@pytest.mark.requires("reference_types")
def test_a_cycle_through_a_store_may_have_a_finalizer_that_calls_the_guest(
    engine: anywasm.Engine, wat: Callable[[str], bytes]
) -> None:
    seen = []

    class Caller(Marked):
        exports: Any

        def __del__(self) -> None:
            self.exports.drop()
            seen.append(self.exports.table[1])

    def make() -> None:
        instance = anywasm.Instance(anywasm.Module(wat(HOLDER), engine), store=anywasm.Store(engine))
        marked = Caller()
        marked.exports = instance.exports
        instance.exports.keep(marked)

    make()
    gc.collect()
    assert seen == [None]


@pytest.mark.parametrize("kind", ["engine", "module", "store", "instance", "func", "memory", "table", "global"])
def test_objects_can_be_referenced_weakly(store: anywasm.Store, instantiate: Instantiate, kind: str) -> None:
    instance: Any = instantiate(GUEST, {"host": {"f": lambda x: x}})
    item = {
        "engine": lambda: store.engine,
        "module": lambda: instance.module,
        "store": lambda: store,
        "instance": lambda: instance,
        "func": lambda: instance.exports.run,
        "memory": lambda: instance.exports.memory,
        "table": lambda: instance.exports.table,
        "global": lambda: instance.exports["global"],
    }[kind]()
    assert weakref.ref(item)() is item


def test_a_view_keeps_its_memory_after_everything_else_went(instantiate: Instantiate) -> None:
    view = memoryview(instantiate('(module (memory (export "memory") 1) (data (i32.const 0) "abc"))').exports.memory)
    gc.collect()
    assert bytes(view[:3]) == b"abc"


def test_a_module_outlives_its_engines_name(wat: Callable[[str], bytes], engine: anywasm.Engine) -> None:
    module = anywasm.Module(wat("(module)"), anywasm.Engine(engine.name))
    gc.collect()
    assert module.engine.name == engine.name

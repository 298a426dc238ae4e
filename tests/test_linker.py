# SPDX-License-Identifier: Apache-2.0
"""Linking modules by name, and what a LinkError says."""

import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest

import anywasm
from anywasm import (
    Engine,
    Func,
    FuncType,
    Global,
    GlobalType,
    Instance,
    Linker,
    LinkError,
    Memory,
    MemoryType,
    Module,
    Store,
)

Wat = Callable[[str], bytes]

LIBRARY = """(module
  (import "env" "print" (func $print (param i32)))
  (global $count (mut i32) (i32.const 0))
  (func (export "twice") (param i32) (result i32)
    (global.set $count (i32.add (global.get $count) (i32.const 1)))
    (call $print (local.get 0))
    (i32.mul (local.get 0) (i32.const 2)))
  (func (export "count") (result i32) (global.get $count)))"""

PROGRAM = """(module
  (import "library" "twice" (func $twice (param i32) (result i32)))
  (func (export "run") (param i32) (result i32) (call $twice (call $twice (local.get 0)))))"""

# A counter that starts at 10 when its start routine, of that name, is called.
COUNTER = """(module
  (global $count (mut i32) (i32.const 0))
  (func (export "START") (global.set $count (i32.const 10)))
  (func (export "next") (result i32)
    (global.set $count (i32.add (global.get $count) (i32.const 1)))
    (global.get $count)))"""


@pytest.fixture
def module(engine: Engine, wat: Wat) -> Callable[[str], Module]:
    return lambda text: Module(wat(text), engine)


@pytest.fixture
def linker(engine: Engine) -> Linker:
    return Linker(engine)


# --- defining -------------------------------------------------------------------------------------------------------


def test_a_callable_takes_the_type_of_the_import(linker: Linker, module: Any) -> None:
    linker.define("library", "twice", lambda number: number + 1)
    assert linker.instantiate(module(PROGRAM)).exports.run(5) == 7


def test_a_callable_can_be_linked_in_several_stores(linker: Linker, module: Any) -> None:
    linker.define("library", "twice", lambda number: number + 1)
    first, second = (linker.instantiate(module(PROGRAM)) for _ in range(2))
    assert first.store is not second.store
    assert (first.exports.run(1), second.exports.run(2)) == (3, 4)


def test_a_callable_with_a_type_is_linked_by_that(linker: Linker, module: Any) -> None:
    linker.define("library", "twice", lambda number: number + 1, FuncType(["i32"], ["i32"]))
    assert linker.instantiate(module(PROGRAM)).exports.run(5) == 7


def test_a_callable_with_another_type_does_not_fit(linker: Linker, module: Any) -> None:
    linker.define("library", "twice", lambda number: number, FuncType(["i64"], ["i64"]))
    with pytest.raises(LinkError, match=r"library.twice: func \(i32\) -> i32 is wanted, func \(i64\) -> i64 was given"):
        linker.instantiate(module(PROGRAM))


def test_a_function_is_defined_by_decorating_it(linker: Linker, module: Any) -> None:
    @linker.function("library")
    def twice(number: int) -> int:
        return 2 * number

    @linker.function("library", "other")
    def anything() -> None: ...

    assert twice(2) == 4
    assert list(linker) == [("library", "twice"), ("library", "other")]
    assert linker.instantiate(module(PROGRAM)).exports.run(5) == 20


def test_an_object_of_a_store_can_be_defined(linker: Linker, module: Any, store: Store) -> None:
    linker.define("library", "twice", Func(lambda number: -number, FuncType(["i32"], ["i32"]), store))
    assert linker.instantiate(module(PROGRAM), store).exports.run(5) == 5


def test_an_object_of_another_store_is_refused(linker: Linker, module: Any, store: Store) -> None:
    linker.define("library", "twice", Func(lambda number: -number, FuncType(["i32"], ["i32"]), store))
    with pytest.raises(ValueError, match="store"):
        linker.instantiate(module(PROGRAM))


def test_a_callers_marked_function_gets_the_caller(linker: Linker, module: Any) -> None:
    @linker.function("library")
    @anywasm.pass_caller
    def twice(caller: anywasm.Caller, number: int) -> int:
        assert isinstance(caller, anywasm.Caller)
        return number

    assert linker.instantiate(module(PROGRAM)).exports.run(5) == 5


def test_a_name_is_defined_once(linker: Linker) -> None:
    linker.define("env", "print", print)
    with pytest.raises(LinkError, match=r"env\.print is defined already"):
        linker.define("env", "print", print)


def test_a_name_is_defined_again_where_that_is_allowed(engine: Engine, module: Any) -> None:
    linker = Linker(engine, allow_shadowing=True)
    linker.define("library", "twice", lambda number: number, FuncType(["i64"], ["i64"]))
    linker.define("library", "twice", lambda number: number + 1)
    assert linker.instantiate(module(PROGRAM)).exports.run(5) == 7


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((1, "name", print), r"define\(\): module: expected a str, got int"),
        (("env", None, print), r"define\(\): name: expected a str, got NoneType"),
        (("env", "name", 5), r"define\(\): item: expected .* callable, got int"),
        (("env", "name", print, "i32"), r"define\(\): type: expected a FuncType or None, got str"),
    ],
    ids=["module", "name", "item", "type"],
)
def test_a_wrong_argument_of_define_is_told(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        Linker().define(*arguments)


def test_an_object_of_a_store_takes_no_type(store: Store) -> None:
    function = Func(print, FuncType(), store)
    with pytest.raises(TypeError, match="a Func has its own"):
        Linker().define("env", "f", function, FuncType())


# --- instances ------------------------------------------------------------------------------------------------------


def test_an_instance_is_defined_by_its_exports(linker: Linker, module: Any, store: Store) -> None:
    printed: list[int] = []
    linker.define("env", "print", printed.append)
    library = linker.instantiate(module(LIBRARY), store)
    linker.define_instance("library", library)
    assert linker.instantiate(module(PROGRAM), store).exports.run(10) == 40
    assert printed == [10, 20]
    assert library.exports.count() == 2


def test_an_instance_whose_names_are_taken_defines_none_of_them(linker: Linker, module: Any, store: Store) -> None:
    linker.define("env", "print", print)
    linker.define("library", "count", print)
    with pytest.raises(LinkError, match=r"library\.count is defined already"):
        linker.define_instance("library", linker.instantiate(module(LIBRARY), store))
    assert ("library", "twice") not in linker


def test_what_is_no_instance_is_told(linker: Linker) -> None:
    with pytest.raises(TypeError, match="expected an Instance, got dict"):
        linker.define_instance("library", {})  # type: ignore[arg-type]


# --- modules --------------------------------------------------------------------------------------------------------


def test_a_library_is_instantiated_once(linker: Linker, module: Any, store: Store) -> None:
    linker.define("env", "print", lambda _: None)
    linker.define_module("library", module(LIBRARY), store)
    for _ in range(2):
        linker.instantiate(module(PROGRAM), store).exports.run(1)
    assert linker.get("library", "count")() == 4  # type: ignore[operator]


def test_a_reactor_is_initialized(linker: Linker, module: Any, store: Store) -> None:
    linker.define_module("counter", module(COUNTER.replace("START", "_initialize")), store)
    following = linker["counter", "next"]
    assert [following(), following()] == [11, 12]  # type: ignore[operator]


def test_a_command_gets_a_fresh_instance_for_each_call(linker: Linker, module: Any, store: Store) -> None:
    linker.define_module("counter", module(COUNTER.replace("START", "_start")), store)
    following = linker["counter", "next"]
    assert [following(), following()] == [1, 1]  # type: ignore[operator]


def test_a_commands_functions_can_be_imported(linker: Linker, module: Any, store: Store) -> None:
    linker.define_module("counter", module(COUNTER.replace("START", "_start")), store)
    text = """(module (import "counter" "next" (func $next (result i32)))
      (func (export "f") (result i32) (i32.add (call $next) (call $next))))"""
    assert linker.instantiate(module(text), store).exports.f() == 2


def test_a_commands_functions_have_their_types(linker: Linker, module: Any, store: Store) -> None:
    linker.define_module("counter", module(COUNTER.replace("START", "_start")), store)
    function = linker["counter", "next"]
    assert isinstance(function, Func)
    assert function.type == FuncType([], ["i32"])


def test_a_command_may_not_export_a_global(linker: Linker, module: Any, store: Store) -> None:
    text = '(module (func (export "_start")) (global (export "g") i32 (i32.const 1)))'
    with pytest.raises(LinkError, match=r"command\.g is a global"):
        linker.define_module("command", module(text), store)


def test_a_command_may_export_its_memory(linker: Linker, module: Any, store: Store) -> None:
    linker.define_module("command", module('(module (func (export "_start")) (memory (export "memory") 1))'), store)
    assert list(linker) == [("command", "_start")]


@pytest.mark.parametrize("start", ["_start", "_initialize"])
def test_what_a_module_lacks_is_told_when_it_is_defined(linker: Linker, module: Any, store: Store, start: str) -> None:
    text = f'(module (import "env" "nowhere" (func)) (func (export "{start}")))'
    with pytest.raises(LinkError, match=r"env\.nowhere: func \(\) -> \(\) is missing"):
        linker.define_module("library", module(text), store)


def test_what_a_start_function_raises_comes_out(linker: Linker, module: Any, store: Store) -> None:
    linker.define("env", "fail", lambda: 1 / 0)
    text = '(module (import "env" "fail" (func)) (start 0))'
    with pytest.raises(ZeroDivisionError):
        linker.define_module("library", module(text), store)


def test_a_linker_in_a_cycle_with_its_store_is_collected(engine: Engine, module: Any) -> None:
    store, linker = Store(engine), Linker(engine)
    linker.define("env", "print", lambda _, linker=linker: None, FuncType(["i32"]))
    linker.define_module("library", module(LIBRARY), store)
    linker.define_module("counter", module(COUNTER.replace("START", "_start")), store)
    linker["counter", "next"]()  # type: ignore[operator]
    gone = weakref.ref(store), weakref.ref(linker)
    del store, linker
    gc.collect()
    assert [reference() for reference in gone] == [None, None]


# --- defaults -------------------------------------------------------------------------------------------------------


def test_the_default_is_the_function_without_a_name(linker: Linker) -> None:
    linker.define("m", "", lambda: "unnamed")
    linker.define("m", "_start", lambda: "start")
    assert linker.get_default("m")() == "unnamed"


def test_the_default_is_start_otherwise(linker: Linker, module: Any, store: Store) -> None:
    ran: list[bool] = []
    linker.define("env", "ran", lambda: ran.append(True))
    linker.define_module("m", module('(module (import "env" "ran" (func)) (export "_start" (func 0)))'), store)
    linker.get_default("m")()
    assert ran == [True]


def test_the_default_of_a_library_does_nothing(linker: Linker) -> None:
    linker.define("m", "f", print)
    assert linker.get_default("m")() is None


def test_an_unknown_module_has_no_default(linker: Linker) -> None:
    linker.define("environment", "f", print)
    with pytest.raises(KeyError, match="nothing is defined from enviroment, did you mean 'environment'"):
        linker.get_default("enviroment")


# --- asking ---------------------------------------------------------------------------------------------------------


def test_definitions_are_found_by_module_and_name(linker: Linker) -> None:
    linker.define("env", "print", print)
    assert linker.get("env", "print") is linker["env", "print"] is print
    assert ("env", "print") in linker
    assert ("env", "other") not in linker
    assert "env" not in linker
    assert (list(linker), len(linker)) == ([("env", "print")], 1)
    assert repr(linker) == "<anywasm.Linker of env.print>"


def test_what_is_not_defined_is_a_key_error_with_what_is_near(linker: Linker) -> None:
    linker.define("env", "print", print)
    with pytest.raises(KeyError, match=r"nothing is defined as env\.pint, did you mean 'env\.print'\?"):
        linker.get("env", "pint")


# --- stores and WASI ------------------------------------------------------------------------------------------------


def test_instantiate_makes_a_store_of_the_engine(linker: Linker, module: Any, engine: Engine) -> None:
    assert linker.instantiate(module("(module)")).store.engine is engine


def test_a_linker_without_an_engine_takes_the_modules(module: Any, engine: Engine) -> None:
    assert Linker().instantiate(module("(module)")).store.engine is engine


def test_what_is_no_module_is_told(linker: Linker) -> None:
    with pytest.raises(TypeError, match=r"instantiate\(\): module: expected a Module, got str"):
        linker.instantiate("add.wasm")  # type: ignore[arg-type]


WASI_USER = """(module
  (import "wasi_snapshot_preview1" "sched_yield" (func $yield (result i32)))
  (memory (export "memory") 1)
  (func (export "f") (result i32) (call $yield)))"""


def test_defining_wasi_gives_it_to_the_stores_that_are_made(linker: Linker, module: Any) -> None:
    linker.define_wasi()
    assert linker.instantiate(module(WASI_USER)).exports.f() == 0


def test_without_wasi_the_error_says_where_it_comes_from(linker: Linker, module: Any) -> None:
    with pytest.raises(LinkError, match=r"(?s)sched_yield.*is missing.*\nWASI's functions come with the store"):
        linker.instantiate(module(WASI_USER))


def test_a_function_that_wasi_has_not_got_is_told_as_such(linker: Linker, module: Any) -> None:
    linker.define_wasi()
    text = WASI_USER.replace("(memory", '(import "wasi_snapshot_preview1" "nonsense" (func)) (memory')
    with pytest.raises(LinkError, match=r"^import wasi_snapshot_preview1.nonsense: func \(\) -> \(\) is missing$"):
        linker.instantiate(module(text))


def test_a_store_that_is_given_has_its_own_wasi(linker: Linker, module: Any, engine: Engine) -> None:
    store = Store(engine, wasi=anywasm.Wasi())
    assert linker.instantiate(module(WASI_USER), store).exports.f() == 0


def test_what_is_no_wasi_is_told(linker: Linker) -> None:
    with pytest.raises(TypeError, match=r"define_wasi\(\): wasi: expected a Wasi or None, got bool"):
        linker.define_wasi(True)  # type: ignore[arg-type]


# --- messages -------------------------------------------------------------------------------------------------------

NEEDS = """(module
  (import "env" "add" (func (param i32 i32) (result i32)))
  (import "env" "log" (func (param i32)))
  (import "env" "table" (table 1 funcref))
  (import "env" "memory" (memory 2))
  (import "env" "number" (global i32)))"""


def message(imports: Any, module: Module, store: Store) -> list[str]:
    with pytest.raises(LinkError) as caught:
        Instance(module, imports, store)
    return str(caught.value).splitlines()


@pytest.mark.requires("imported_memory", "imported_table")
def test_every_import_that_does_not_fit_is_named(module: Any, store: Store) -> None:
    imports = {
        "env": {
            "add": Func(print, FuncType(["i64"]), store),
            "lgo": print,
            "memory": Memory(MemoryType(1, 3), store),
            "number": 5,
        }
    }
    assert message(imports, module(NEEDS), store) == [
        "5 imports are missing or do not fit:",
        "  env.add: func (i32, i32) -> i32 is wanted, func (i64) -> () was given",
        "  env.log: func (i32) -> () is missing, did you mean 'env.lgo'?",
        "  env.table: table of at least 1 funcref is missing",
        "  env.memory: memory of at least 2 pages is wanted, memory of 1 to 3 pages was given",
        "  env.number: immutable global of i32 is wanted, int was given: make it a Global(GlobalType('i32'), 5, store)",
    ]


def one(text: str) -> str:
    return f"(module (import {text}))"


def test_a_single_import_is_told_in_one_line(module: Any, store: Store) -> None:
    assert message({}, module(one('"a" "b" (func)')), store) == ["import a.b: func () -> () is missing"]


def test_a_name_under_another_module_is_near(module: Any, store: Store) -> None:
    imports = {"other": {"function": print}}
    (line,) = message(imports, module(one('"env" "function" (func)')), store)
    assert line.endswith("is missing, did you mean 'other.function'?")


def test_a_name_in_an_instance_is_near(module: Any, store: Store) -> None:
    library = Instance(module('(module (func (export "function")))'), None, store)
    (line,) = message({"env": library}, module(one('"env" "functoin" (func)')), store)
    assert line.endswith("is missing, did you mean 'env.function'?")


def test_another_kind_is_told(module: Any, store: Store) -> None:
    imports = {"a": {"b": Global(GlobalType("i32"), 1, store)}}
    (line,) = message(imports, module(one('"a" "b" (func)')), store)
    assert line == "import a.b: func () -> () is wanted, immutable global of i32 was given"


def test_none_is_not_taken_for_missing(module: Any, store: Store) -> None:
    (line,) = message({"a": {"b": None}}, module(one('"a" "b" (func)')), store)
    assert line == "import a.b: func () -> () is wanted, NoneType was given"


def test_names_that_are_no_text_do_no_harm(module: Any, store: Store) -> None:
    (line,) = message({5: {None: print}, "a": {1: 2}}, module(one('"a" "b" (func)')), store)
    assert line.startswith("import a.b: func () -> () is missing")


def test_python_tells_what_is_near_an_export_that_is_not_there(module: Any, store: Store) -> None:
    exports = Instance(module('(module (func (export "function")))'), None, store).exports
    with pytest.raises(AttributeError, match="no attribute 'functoin'") as caught:
        exports.functoin()
    assert caught.value.obj is exports
    assert "function" in dir(exports)

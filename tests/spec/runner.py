# SPDX-License-Identifier: Apache-2.0
"""Runs a file of the specification's test suite through the public API, bit for bit.

The suite is data: a folder per test file with commands as JSON and the modules that they load. `run_file` does what
the commands say and returns an Outcome: how many assertions passed, what failed, and what was skipped because the
engine does not claim the feature that it needs.
"""

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import anywasm

HERE = Path(__file__).parent


def suite() -> Path | None:
    """The folder that holds `core` and `threads`, or None where the suite is not on this machine."""
    named = os.environ.get("ANYWASM_SPEC")
    folder = Path(named) if named else HERE.parents[2] / "shared" / "spec"
    return folder if (folder / "core").is_dir() else None


def file_names(folder: Path) -> list[str]:
    """Every test file as "core/i32", in order."""
    return sorted(f"{path.parts[-3]}/{path.parts[-2]}" for path in folder.glob("*/*/*.json"))


class Failure(NamedTuple):
    line: int  # in the .wast file
    command: str
    message: str


@dataclass
class Outcome:
    passed: int = 0
    passed_lines: set[int] = field(default_factory=set)
    skipped: dict[str, int] = field(default_factory=dict)  # reason: how many
    failures: list[Failure] = field(default_factory=list)
    blocked: int = 0  # assertions about an instance that failed to load: failed as well, but not told one by one

    @property
    def failed(self) -> int:
        return len(self.failures) + self.blocked

    @property
    def total(self) -> int:
        return self.passed + self.failed + sum(self.skipped.values())


class Skip(Exception):
    """The command needs what the engine does not claim."""


class Blocked(Exception):
    """The command needs an instance that should be there and is not."""


class Wrong(Exception):
    """The command did not do what it should."""


# --- values -------------------------------------------------------------------------------------------------------

WIDTHS = {"i8": 8, "i16": 16, "i32": 32, "i64": 64, "f32": 32, "f64": 64}
# Bits of a NaN: the mask that leaves out the sign, and the pattern that must remain.
NANS = {
    ("f32", "nan:canonical"): (0x7FFFFFFF, 0x7FC00000),
    ("f32", "nan:arithmetic"): (0x7FC00000, 0x7FC00000),
    ("f64", "nan:canonical"): (0x7FFFFFFFFFFFFFFF, 0x7FF8000000000000),
    ("f64", "nan:arithmetic"): (0x7FF8000000000000, 0x7FF8000000000000),
}
NULLS = {"refnull", "nullref", "nullfuncref", "nullexternref", "nullexnref"}
KINDS = {
    "anyref": {"any", "eq", "i31", "struct", "array", "extern"},
    "eqref": {"eq", "i31", "struct", "array"},
    "i31ref": {"i31"},
    "structref": {"struct"},
    "arrayref": {"array"},
}


class HostObject:
    """What `ref.extern N` is in the tests: the host's object of that number."""

    def __init__(self, number: str) -> None:
        self.number = number

    def __repr__(self) -> str:
        return f"<host object {self.number}>"


def number_bits(kind: str, value: str) -> tuple[int, int]:
    """The mask and the bits under it that a number is to have."""
    if (kind, value) in NANS:
        return NANS[kind, value]
    mask = (1 << WIDTHS[kind]) - 1
    return mask, int(value) & mask


def value_bits(value: dict[str, Any]) -> tuple[int, int]:
    if value["type"] != "v128":
        return number_bits(value["type"], value["value"])
    width = WIDTHS[value["lane_type"]]
    mask = bits = 0
    for index, lane in enumerate(value["value"]):
        lane_mask, lane_bits = number_bits(value["lane_type"], lane)
        mask |= lane_mask << (width * index)
        bits |= lane_bits << (width * index)
    return mask, bits


def matches(expected: dict[str, Any], actual: Any, file: "File") -> bool:
    kind = expected["type"]
    if kind in WIDTHS or kind == "v128":
        mask, bits = value_bits(expected)
        return isinstance(actual, int) and actual & mask == bits
    if kind == "either":
        return any(matches(value, actual, file) for value in expected["values"])
    if kind in NULLS or expected.get("value") == "null":
        return actual is None
    if kind == "externref" and "value" in expected:
        return actual is file.objects.get(expected["value"])
    if kind == "externref":
        return actual is not None
    if kind == "funcref":
        return isinstance(actual, anywasm.Func)
    if kind == "anyref" and "value" in expected:  # the host's object made an anyref
        return file.convert("externalize", actual) is file.objects.get(expected["value"])
    return isinstance(actual, anywasm.Ref) and actual.heap_type in KINDS[kind]


CONVERTER = """
(module
  (func (export "internalize") (param externref) (result anyref) (any.convert_extern (local.get 0)))
  (func (export "externalize") (param anyref) (result externref) (extern.convert_any (local.get 0))))
"""

# --- the commands --------------------------------------------------------------------------------------------------


def spectest(store: anywasm.Store) -> tuple[dict[str, Any], set[str]]:
    """The host module of the suite, and the names of what the engine cannot make."""

    def ignore(*arguments: object) -> None:
        pass

    def func(*parameters: str) -> anywasm.Func:
        return anywasm.Func(ignore, anywasm.FuncType(parameters), store)

    def const(kind: str, value: float) -> anywasm.Global:
        return anywasm.Global(anywasm.GlobalType(kind), value, store)

    def table64() -> Any:
        # An engine may have such tables without being able to make one for the host.
        module = anywasm.Module('(module (table (export "table") i64 10 20 funcref))', store.engine)
        return anywasm.Instance(module, store=store).exports.table

    makers: dict[str, Callable[[], Any]] = {
        "print": lambda: func(),
        "print_i32": lambda: func("i32"),
        "print_i64": lambda: func("i64"),
        "print_f32": lambda: func("f32"),
        "print_f64": lambda: func("f64"),
        "print_i32_f32": lambda: func("i32", "f32"),
        "print_f64_f64": lambda: func("f64", "f64"),
        "global_i32": lambda: const("i32", 666),
        "global_i64": lambda: const("i64", 666),
        "global_f32": lambda: const("f32", 666.6),
        "global_f64": lambda: const("f64", 666.6),
        "table": lambda: anywasm.Table(anywasm.TableType("funcref", 10, 20), store),
        "table64": table64,
        "memory": lambda: anywasm.Memory(anywasm.MemoryType(1, 2), store),
        "shared_memory": lambda: anywasm.Memory(anywasm.MemoryType(1, 2, shared=True), store),
    }
    module: dict[str, Any] = {}
    missing = set()
    for name, make in makers.items():
        try:
            module[name] = make()
        except (anywasm.UnsupportedError, anywasm.CompileError):
            missing.add(name)
    return module, missing


class File:
    """One test file on one engine: a fresh store and the names of its instances."""

    def __init__(self, folder: Path, engine: anywasm.Engine, judge: anywasm.Engine | None) -> None:
        self.folder = folder
        self.engine = engine
        self.judge = judge
        self.store = anywasm.Store(engine)
        self.host, self.host_missing = spectest(self.store)
        self.objects: dict[str, HostObject] = {}
        self.converter: anywasm.Instance | None = None
        # An instance, or why there is none.
        self.current: anywasm.Instance | Exception = Blocked("there is no instance yet")
        self.instances: dict[str, anywasm.Instance | Exception] = {}
        self.registered: dict[str, anywasm.Instance | Exception] = {}
        self.definitions: dict[str, anywasm.Module | Exception] = {}

    def run(self, command: dict[str, Any]) -> None:
        getattr(self, "do_" + command["type"])(command)

    # Modules and instances.

    def bytes_of(self, command: dict[str, Any]) -> bytes:
        return (self.folder / command.get("binary_filename", command["filename"])).read_bytes()

    def load(self, command: dict[str, Any]) -> anywasm.Module:
        data = self.bytes_of(command)
        try:
            return anywasm.Module(data, self.engine)
        except (anywasm.CompileError, anywasm.UnsupportedError) as error:
            if self.is_beyond(data, error):
                raise Skip(f"needs a feature that {self.engine.name} does not claim") from error
            raise

    def is_beyond(self, data: bytes, error: Exception) -> bool:
        """Does a module that must load need more than the engine claims? A complete engine with all else off knows."""
        if self.judge is None:
            return isinstance(error, anywasm.UnsupportedError)
        try:
            anywasm.Module.validate(data, self.judge)
        except (anywasm.CompileError, anywasm.UnsupportedError):
            return True
        return False

    def instantiate(self, module: anywasm.Module) -> anywasm.Instance:
        imports: dict[str, Any] = {"spectest": self.host}
        for item in module.imports:
            if item.module == "spectest" and item.name in self.host_missing:
                raise Skip(f"{self.engine.name} cannot make the host's {item.kind}")
            source = self.registered.get(item.module)
            if isinstance(source, Exception):
                raise source
            if source is not None:
                imports[item.module] = source
        try:
            return anywasm.Instance(module, imports, self.store)
        except anywasm.UnsupportedError as error:
            raise Skip(str(error).partition("\n")[0]) from error

    def do_module(self, command: dict[str, Any]) -> None:
        self.keep(command.get("name"), lambda: self.instantiate(self.load(command)))

    def do_module_definition(self, command: dict[str, Any]) -> None:
        try:
            self.definitions[command.get("name", "")] = self.load(command)
        except Exception as error:
            self.definitions[command.get("name", "")] = absence(error)
            raise

    def do_module_instance(self, command: dict[str, Any]) -> None:
        module = self.definitions[command["module"]]
        if isinstance(module, Exception):
            self.keep(command["instance"], lambda: fail(module))
        else:
            self.keep(command["instance"], lambda: self.instantiate(module))

    def keep(self, name: str | None, make: Callable[[], anywasm.Instance]) -> None:
        """What *make* returns becomes the current instance, and *name*'s; so does its failure."""
        try:
            self.current = make()
        except Exception as error:
            self.current = absence(error)
            raise
        finally:
            if name is not None:
                self.instances[name] = self.current

    def do_register(self, command: dict[str, Any]) -> None:
        name = command.get("name")
        self.registered[command["as"]] = self.current if name is None else self.instances[name]

    # Actions.

    def act(self, action: dict[str, Any]) -> Any:
        instance = self.instances[action["module"]] if "module" in action else self.current
        if isinstance(instance, Exception):
            raise instance
        item = instance.exports[action["field"]]
        if action["type"] == "get":
            return item.value_bits
        return item.call_bits(*map(self.argument, action["args"]))

    def argument(self, value: dict[str, Any]) -> Any:
        if value["type"] in WIDTHS or value["type"] == "v128":
            return value_bits(value)[1]
        if value["value"] == "null":
            return None
        host_object = self.objects.setdefault(value["value"], HostObject(value["value"]))
        return self.convert("internalize", host_object) if value["type"] == "anyref" else host_object

    def convert(self, name: str, value: Any) -> Any:
        """An externref as an anyref, or back: what the suite calls ref.host."""
        if self.converter is None:
            self.converter = anywasm.Instance(anywasm.Module(CONVERTER, self.engine), store=self.store)
        return self.converter.exports[name](value)

    def do_action(self, command: dict[str, Any]) -> None:
        self.act(command["action"])

    def do_assert_return(self, command: dict[str, Any]) -> None:
        actual = self.act(command["action"])
        expected = command["expected"]
        values = (actual,) if len(expected) == 1 else () if actual is None else actual
        if len(values) != len(expected):
            raise Wrong(f"got {len(values)} results, expected {len(expected)}")
        for value, wanted in zip(values, expected, strict=True):
            if not matches(wanted, value, self):
                shown = hex(value) if isinstance(value, int) else repr(value)
                raise Wrong(f"got {shown}, expected {wanted}")

    def do_assert_trap(self, command: dict[str, Any]) -> None:
        try:
            actual = self.act(command["action"])
        except anywasm.Trap as trap:
            check_trap(trap, command["text"])
        else:
            raise Wrong(f"got {actual!r}, expected a trap: {command['text']}")

    def do_assert_exhaustion(self, command: dict[str, Any]) -> None:
        try:
            actual = self.act(command["action"])
        except anywasm.Trap as trap:
            if trap.code != "call stack exhausted":
                raise Wrong(f"trapped with {trap.code!r} ({trap}), expected an exhausted stack") from trap
        else:
            raise Wrong(f"got {actual!r}, expected the stack to be exhausted")

    def do_assert_exception(self, command: dict[str, Any]) -> None:
        try:
            actual = self.act(command["action"])
        except anywasm.WasmException:
            return
        raise Wrong(f"got {actual!r}, expected a WebAssembly exception")

    # Modules that must fail.

    def do_assert_invalid(self, command: dict[str, Any]) -> None:
        try:
            anywasm.Module(self.bytes_of(command), self.engine)
        except anywasm.CompileError:
            return
        except anywasm.UnsupportedError as error:
            if "component" in str(error):  # refused for what it is: no module
                return
            raise Skip(f"needs a feature that {self.engine.name} does not claim") from error
        raise Wrong(f"the module was accepted, expected: {command['text']}")

    def do_assert_malformed(self, command: dict[str, Any]) -> None:
        if command["module_type"] == "text" and "binary_filename" not in command:
            if "wat" not in self.engine.capabilities:
                raise Skip(f"{self.engine.name} reads no text")
            try:
                anywasm.wat2wasm(self.bytes_of(command), self.engine)
            except anywasm.CompileError:
                return
            raise Wrong(f"the text was accepted, expected: {command['text']}")
        self.do_assert_invalid(command)

    def do_assert_unlinkable(self, command: dict[str, Any]) -> None:
        try:
            self.instantiate(self.load(command))
        except anywasm.LinkError:
            return
        raise Wrong(f"the module was linked, expected: {command['text']}")

    def do_assert_uninstantiable(self, command: dict[str, Any]) -> None:
        try:
            self.instantiate(self.load(command))
        except anywasm.Trap as trap:
            check_trap(trap, command["text"])
            return
        raise Wrong(f"the module was instantiated, expected: {command['text']}")


def fail(error: Exception) -> Any:
    raise error


def absence(error: Exception) -> Exception:
    """What a command gets that needs what *error* kept from being made."""
    return error if isinstance(error, (Skip, Blocked)) else Blocked(str(error))


def check_trap(trap: anywasm.Trap, text: str) -> None:
    wanted = "null reference" if text.startswith("null ") else text  # the suite tells the kind of the reference, too
    # An engine may take a call through an element outside of a table for any access outside of it.
    if not wanted.startswith(trap.code) and (wanted, trap.code) != ("undefined element", "out of bounds table access"):
        raise Wrong(f"trapped with {trap.code!r} ({trap}), expected {text!r}")


def run_file(folder: Path, engine: anywasm.Engine, judge: anywasm.Engine | None = None) -> Outcome:
    """Run the test file in *folder*.

    *judge* is an engine with all of WebAssembly but what *engine* does not claim, see `judge_for`: a module that must
    load and does not is skipped exactly if it does not load there either.
    """
    outcome = Outcome()
    file = File(folder, engine, judge)
    for command in commands(folder):
        try:
            file.run(command)
        except Skip as skip:
            outcome.skipped[str(skip)] = outcome.skipped.get(str(skip), 0) + 1
        except Blocked:
            outcome.blocked += 1
        except Exception as error:
            message = str(error) if isinstance(error, Wrong) else f"{type(error).__name__}: {error}"
            outcome.failures.append(Failure(command["line"], command["type"], message))
        else:
            outcome.passed += 1
            outcome.passed_lines.add(command["line"])
    file.store.close()
    return outcome


def commands(folder: Path) -> Iterator[dict[str, Any]]:
    yield from json.loads((folder / f"{folder.name}.json").read_bytes())["commands"]


# What only says what our API can do; a module never needs these to be valid.
NOT_OF_THE_LANGUAGE = {
    "fuel",
    "interrupt",
    "serialize",
    "wat",
    "pooling",
    "imported_memory",
    "imported_table",
    "imported_global",
    "components",
}


def judge_for(engine: anywasm.Engine) -> anywasm.Engine | None:
    """A complete engine without what *engine* does not claim, or None where there is none or *engine* is complete."""
    for info in anywasm.engines():
        lacking = info.capabilities - engine.capabilities - NOT_OF_THE_LANGUAGE
        if info.available and lacking and "gc" in info.capabilities:
            return anywasm.Engine(info.name, disable=sorted(lacking))
    return None


# --- known gaps ------------------------------------------------------------------------------------------------------


def known_gaps(engine_name: str) -> dict[str, dict[int, str]]:
    """The failures that are known, from known_gaps_ENGINE.txt: by file and line, with the reason.

    A line without a colon that begins with "- " is a reason; the lines "core/NAME: LINE …" after it are where it holds.
    """
    gaps: dict[str, dict[int, str]] = {}
    path = HERE / f"known_gaps_{engine_name}.txt"
    reason = ""
    for text in path.read_text().splitlines() if path.exists() else ():
        if text.startswith("- "):
            reason = text[2:]
        elif text.strip() and not text.startswith("#"):
            name, _, numbers = text.partition(":")
            gaps.setdefault(name.strip(), {}).update(dict.fromkeys(map(int, numbers.split()), reason))
    return gaps

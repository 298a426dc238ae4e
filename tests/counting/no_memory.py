# SPDX-License-Identifier: Apache-2.0
"""The process in which memory runs out: `no_memory.py ENGINE FOLDER` lets each allocation of each operation fail, once.

Prints, as JSON, how many allocations each operation made, so that the test sees that it did something. Anything but a
MemoryError ends the process, and so does a guest that does not work any more afterwards.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import allocations as counter  # built for the test, on the path

import anywasm
from anywasm import ExportType, FuncType, GlobalType, ImportType, MemoryType, TableType, ValType, wasi

MOST = 5000  # allocations of an operation; more means that it never ends


class Notes(wasi.FileSystem):
    """What examples/upper.wat reads and writes."""

    def __init__(self) -> None:
        self.out = io.BytesIO()
        self.out.close = lambda: None  # type: ignore[method-assign]

    def stat(self, path: str) -> wasi.FileStat:
        if path == "out.txt":
            raise FileNotFoundError(path)
        return wasi.FileStat(4, directory=path == "")

    def open(self, path: str, mode: str) -> BinaryIO:
        return io.BytesIO(b"text") if mode == "rb" else self.out


class World:
    def __init__(self, engine: str, files: dict[str, bytes]) -> None:
        self.engine = anywasm.Engine(engine)
        self.files = files
        self.module = anywasm.Module(files["guest"], self.engine)
        self.store = anywasm.Store(self.engine)
        self.imports = {"host": {"f": lambda x: x * 100_000, "raise": self.fail, "pass": self.with_caller}}
        self.instance: Any = anywasm.Instance(self.module, self.imports, self.store)
        self.exports: Any = self.instance.exports
        self.array = bytes(300)
        self.object = object()
        self.linker = anywasm.Linker(self.engine)
        self.has = self.engine.capabilities

    @staticmethod
    def fail(x: int) -> int:
        raise ValueError(x)

    @staticmethod
    @anywasm.pass_caller
    def with_caller(caller: anywasm.Caller, x: int) -> int:
        assert caller.memory is not None
        caller.memory[0] = 1
        return len(caller["memory"])

    def link(self) -> None:
        linker = anywasm.Linker(self.engine)
        for name, function in self.imports["host"].items():
            linker.define("host", name, function)
        linker.instantiate(self.module, anywasm.Store(self.engine))

    def missing_imports(self) -> None:
        with contextlib.suppress(anywasm.LinkError):
            anywasm.Instance(self.module, {"host": {"f": 5}}, self.store)

    def trap(self) -> None:
        try:
            self.exports.trap()
        except anywasm.Trap as trap:
            str(trap), trap.frames

    def raised(self) -> None:
        with contextlib.suppress(ValueError):
            self.exports.call_raise(5)

    def wrong(self) -> None:
        for arguments in ((), (1, "x"), (2**40, 1), (1.5, 2)):
            with contextlib.suppress(TypeError, OverflowError):
                self.exports.add(*arguments)

    def views(self) -> None:
        with memoryview(self.exports.memory) as view:
            bytes(view[10:20])

    def types(self) -> None:
        FuncType(["i32", "externref"], ["f64", "v128"])
        hash(FuncType(["i64"], []))
        repr(MemoryType(1, 2)), repr(TableType("funcref", 1)), repr(GlobalType("i32", mutable=True))
        repr(ValType("(ref null extern)"))
        assert FuncType(["i32"], []) == FuncType(["i32"], [])

    def described(self) -> None:
        for item in (*self.module.imports, *self.module.exports):
            assert isinstance(item, (ImportType, ExportType))
            repr(item)
        repr(self.instance), repr(self.exports), repr(self.store), repr(self.engine), dir(self.exports)

    def validated(self) -> None:
        with contextlib.suppress(anywasm.CompileError):
            anywasm.Module(b"\0asm\1\0\0\0\7\7\7", self.engine)
        anywasm.Module.validate(self.files["guest"], self.engine)

    def pickled(self) -> None:
        with contextlib.suppress(pickle.PicklingError):  # its word for a failure of anything
            pickle.loads(pickle.dumps(self.module))

    def serialized(self) -> None:
        anywasm.Module.deserialize(self.module.serialize(), self.engine)

    def table(self) -> None:
        table = self.exports.table
        table.get(0)
        table[1] = self.exports.add
        table.grow(1)
        repr(table), len(table)

    def made(self) -> None:
        store = anywasm.Store(self.engine)
        anywasm.Func(lambda x: x, FuncType(["i32"], ["i32"]), store)
        anywasm.Memory(MemoryType(1, 2), store)
        anywasm.Table(TableType("funcref", 2), store)
        anywasm.Global(GlobalType("i64", mutable=True), 1 << 40, store).value = 1 << 41

    def ran(self) -> None:
        done = anywasm.run(anywasm.Module(self.files["hello"], self.engine), capture_output=True)
        assert done.stdout == b"Hello, world!\n"

    def files_of_python(self) -> None:
        notes = Notes()
        done = anywasm.run(anywasm.Module(self.files["upper"], self.engine), mounts={"/": notes})
        assert (done.returncode, notes.out.getvalue()) == (0, b"TEXT")

    def files_in_memory(self) -> None:
        files = wasi.Memory({"in.txt": b"text"})
        done = anywasm.run(anywasm.Module(self.files["upper"], self.engine), mounts={"/": files})
        assert (done.returncode, files["out.txt"]) == (0, b"TEXT")

    def exception(self) -> None:
        with contextlib.suppress(anywasm.WasmException):
            anywasm.Instance(anywasm.Module(self.files["throws"], self.engine)).exports.f(1 << 20)

    def references(self) -> None:
        guest: Any = anywasm.Instance(anywasm.Module(self.files["gc"], self.engine)).exports
        ref = guest.make(1 << 20)
        guest.get(ref)
        repr(ref)


def operations(world: World) -> dict[str, Callable[[], Any]]:
    e = world.exports
    found: dict[str, Callable[[], Any]] = {
        "call": lambda: e.add(10**6, 1),
        "call with several results": lambda: e.pair(10**6),
        "call with a reference": lambda: e.same(object()),
        "call with a function": lambda: e.function(e.add),
        "call by bits": lambda: e.add.call_bits(10**6, 1),
        "call of a host function": lambda: e.call_f(5),
        "call of a host function that raises": world.raised,
        "call of a host function with its caller": lambda: e.call_pass(5),
        "call with wrong arguments": world.wrong,
        "trap": world.trap,
        "export": lambda: e["add"],
        "exports": lambda: (list(e), dict(e), e.get("x"), len(e)),
        "read": lambda: (e.memory[0:300], e.memory.read(0, 300), e.memory[5:500:3], e.memory[2]),
        "write": lambda: (e.memory.__setitem__(slice(0, 300), world.array), e.memory.write(0, world.array)),
        "string": lambda: (e.memory.read_cstring(0), e.memory.read_cstring(0, encoding="latin-1")),
        "view": world.views,
        "grow": lambda: e.memory.grow(0),
        "global": lambda: (setattr(e.count, "value", 1 << 40), e.count.value, repr(e.count)),
        "table": world.table,
        "module": lambda: anywasm.Module(world.files["guest"], world.engine),
        "invalid module": world.validated,
        "instance": lambda: anywasm.Instance(world.module, world.imports),
        "instance of a missing import": world.missing_imports,
        "store": lambda: anywasm.Store(world.engine),
        "types": world.types,
        "what a module has": world.described,
        "pickle": world.pickled,
        "linker": world.link,
        "engine": lambda: repr(anywasm.Engine(world.engine.name, max_wasm_stack=200_000)),
        "hand-made": world.made,
        "program": world.ran,
        "files of Python's": world.files_of_python,
        "files in memory": world.files_in_memory,
    }
    if "serialize" in world.has:
        found["serialized module"] = world.serialized
    if "exceptions" in world.has:
        found["exception"] = world.exception
    if "gc" in world.has:
        found["reference"] = world.references
    return found


def lost_by_python(error: SystemError) -> bool:
    """Python itself has lost the MemoryError: in its own library, or for the frame of a function in Python that Python
    code calls."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    file = "" if trace is None else trace.tb_frame.f_code.co_filename
    library = file.startswith(("<frozen", str(Path(os.__file__).parent) + os.sep)) and "site-packages" not in file
    return library or file.endswith("_served.py")


def exhaust(exports: Any, operation: Callable[[], Any]) -> int:
    """Let each allocation fail in turn: how many there were."""
    for failing in range(MOST):
        counter.start(failing)
        try:
            operation()
        except MemoryError:
            made = counter.stop()
        except SystemError as error:
            made = counter.stop()
            if not lost_by_python(error):
                raise
        except BaseException:
            counter.stop()
            raise
        else:
            made = counter.stop()
        assert exports.add(1, 2) == 3
        if made <= failing:  # none failed
            return made
    raise AssertionError("it allocates without end")


def main(engine: str, folder: str) -> None:
    world = World(engine, {path.stem: path.read_bytes() for path in Path(folder).glob("*.wasm")})
    for name, operation in operations(world).items():
        operation()  # what is made once is made
        print(json.dumps([name, exhaust(world.exports, operation)]), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])

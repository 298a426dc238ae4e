# SPDX-License-Identifier: Apache-2.0
"""`clib.load`: a module and the C declarations for it become a Library."""

from __future__ import annotations

import builtins
import operator
import os

from anywasm._core import CFunction, CType, LinkError, MemoryType, Module
from anywasm._core import CLibrary as _Core
from anywasm._load import engine_for
from anywasm._load import load as load_instance

from ._declarations import DeclarationError, Declarations, Declared

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from types import TracebackType
    from typing import Any, Literal, NoReturn, TypeAlias

    from typing_extensions import Self

    from anywasm._core import (
        Array,
        Engine,
        Func,
        Instance,
        Memory,
        Pointer,
        Store,
        Struct,
        Value,
        _Imports,
        _ModuleSource,
    )
    from anywasm.wasi import Wasi

    TypeText: TypeAlias = str | CType


def load(
    source: Module | _ModuleSource,
    declarations: str | os.PathLike[str] | Declarations | None = None,
    *,
    frees: Collection[str] | Mapping[str, str] = (),
    bytes: Collection[str] = (),
    pointers: Collection[str] = (),
    encoding: str | None = "utf-8",
    engine: Engine | str | None = None,
    imports: _Imports | None = None,
    wasi: Wasi | None = None,
    memory: int | None = None,
    fuel: int | None = None,
    timeout: float | None = None,
) -> Library:
    """Load a C library that was compiled to WebAssembly, with the C declarations of what it exports::

        lib = clib.load("stats.wasm", "double mean(const double *values, size_t count);")
        lib.mean([1.0, 2.0, 4.0], 3)

    source: what :class:`anywasm.Module` takes (a path or bytes), or a Module.
    declarations: C text, or the path of a header (a :class:`pathlib.Path`, not a str). None takes those that the module
      carries: what ``anywasm clib build`` put there, else its debug information.
    frees: names of functions whose result is the caller's to free: by the library's ``free``, or by the function that a
      mapping gives for each.
    bytes, pointers: names of functions whose ``char *`` comes as bytes, or as a Pointer, instead of as str.
    encoding: of ``char *`` as str; None lets all of them come as bytes.
    engine, imports, wasi, memory (bytes), fuel, timeout (seconds a call): as for :func:`anywasm.load`.

    Raises DeclarationError for C that cannot be expressed, naming its line; LinkError where the module's function is of
    another type than declared; CompileError for a damaged module. Functions that are declared and not exported are no
    error until they are asked for: headers tell more than a build holds.
    """
    module = _module(source, engine_for(engine, fuel, timeout))
    check_encoding(encoding)
    options: dict[str, Any] = {"frees": frees, "bytes": bytes, "pointers": pointers}
    found = _declarations(module, declarations, options)
    settings = {"imports": imports, "wasi": wasi, "memory": memory, "fuel": fuel, "timeout": timeout}
    return Library(module, found, encoding=encoding, settings=settings, **options)


def check_encoding(encoding: str | None) -> None:
    """It must be one in which a C string may be: a NUL byte ends it."""
    if encoding is None or encoding == "utf-8":
        return
    if not isinstance(encoding, str):
        raise TypeError(f"encoding: expected str or None, got {type(encoding).__name__}")
    if b"\0" in "a".encode(encoding):
        raise ValueError(f"encoding: {encoding} has NUL bytes within text, and C ends a string there")


def _module(source: Module | _ModuleSource, engine: Engine | None) -> Module:
    if isinstance(source, Module):
        return source
    from ._prepare import prepare

    if isinstance(source, str) and set(source) & set("{;") and not source.lstrip().startswith("("):
        raise TypeError("load(): source: a str is the path of a module, or a module's text; C is for clib.compile()")
    if isinstance(source, (str, os.PathLike)) and os.fspath(source).endswith((".c", ".h")):
        raise TypeError(f"load(): source: expected a module, got {os.fspath(source)!r}: clib.compile() makes one of C")
    if isinstance(source, (str, os.PathLike)) and not str(source).lstrip().startswith("("):
        with open(source, "rb") as file:
            binary = file.read()
    elif isinstance(source, str):
        return Module(source, engine)
    else:
        binary = memoryview(source).tobytes()  # type: ignore[arg-type]
    return Module(prepare(binary) if binary.startswith(b"\0asm") else binary, engine)


def _declarations(module: Module, given: object, options: dict[str, Any]) -> Declarations:
    size = _pointer_size(module)
    if isinstance(given, Declarations):
        if given.pointer_size != size:
            raise DeclarationError(
                f"the declarations are for {8 * given.pointer_size}-bit addresses, the module's memory has {8 * size}"
            )
        return given
    if isinstance(given, str):
        if given.endswith((".h", ".c")) and not set(given) & set(" \n;"):
            raise TypeError(f"declarations: a str is C itself; for a header pass its path: Path({given!r})")
        from ._parse import parse

        return parse(given, pointer_size=size)
    if isinstance(given, os.PathLike):
        from ._parse import parse_header

        return parse_header(given, pointer_size=size)
    if given is not None:
        raise TypeError(
            f"declarations: expected str (C text), a path (of a header) or None, got {type(given).__name__}"
        )
    return _own_declarations(module, size, options)


def _own_declarations(module: Module, size: int, options: dict[str, Any]) -> Declarations:
    from ._build import embedded
    from ._debug_info import declarations_from_dwarf

    carried = embedded(module)
    if carried is None:
        return declarations_from_dwarf(module, only_exports={export.name for export in module.exports})
    from ._parse import parse

    text, own = carried
    for name, value in own.items():
        options[name] = options.get(name) or value
    return parse(text, pointer_size=size)


def _pointer_size(module: Module) -> int:
    for export in module.exports:
        if export.name == "memory":
            return 8 if isinstance(export.type, MemoryType) and export.type.index == "i64" else 4
    raise LinkError('the module exports no memory called "memory", so it is no C library')


class Library:
    """A C library in a sandbox: its functions, variables, constants and enums are attributes.

    Made by :func:`load`. Whatever its C code does, it reaches its own memory alone. Names that a method of this class
    has too are had by ``lib["name"]``. A library is used by one thread at a time. `with` closes it at its end.

    After a trap, a limit or an exit in the middle of a call, the library's memory is in a state that nobody knows: each
    further call raises LibraryError until :meth:`reset`.
    """

    __slots__ = (
        "__dict__",
        "__weakref__",
        "_addresses",
        "_core",
        "_declarations",
        "_functions",
        "_instance",
        "_module",
        "_options",
        "_settings",
    )
    _addresses: dict[str, int]
    _core: _Core
    _declarations: Declarations
    _functions: dict[str, CFunction]
    _instance: Instance
    _module: Module
    _options: _Options
    _settings: dict[str, Any]

    def __init__(
        self,
        module: Module,
        declarations: Declarations,
        *,
        frees: Collection[str] | Mapping[str, str] = (),
        bytes: Collection[str] = (),
        pointers: Collection[str] = (),
        encoding: str | None = "utf-8",
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        for name, value in (
            ("_module", module),
            ("_declarations", declarations),
            ("_settings", dict(settings or {})),
            ("_core", _Core(declarations.pointer_size, encoding)),
            ("_functions", {}),
            ("_options", _Options(declarations, frees, bytes, pointers)),
        ):
            object.__setattr__(self, name, value)
        self._start()
        exports = self._instance.exports
        for name, declared in declarations.functions.items():
            if name in exports:
                self._functions[name] = self._function(name, declared)
        for names in (_enumerations(declarations), declarations.constants, self._functions):
            for name, thing in names.items():
                if not hasattr(type(self), name):
                    self.__dict__[name] = thing

    # --- the instance ------------------------------------------------------------------------------------------------

    def _start(self) -> None:
        instance = load_instance(self._module, **self._settings)
        exports = instance.exports
        self._core.bind(
            exports["memory"],
            exports.get("malloc"),
            exports.get("free"),
            exports.get("__indirect_function_table"),
            exports.get("__stack_pointer"),
        )
        object.__setattr__(self, "_instance", instance)
        object.__setattr__(self, "_addresses", {})

    def reset(self) -> None:
        """Start the library anew: fresh memory, variables as they were at first.

        Its functions work again, also those that were taken before. Memory that Python had in it is gone: pointers,
        arrays and callbacks raise ValueError from now on; views of memory go on to show what they showed.
        Raises RuntimeError while one of its functions runs. Should it fail for want of memory, it can be called again.
        """
        self._start()
        for name, function in self._functions.items():
            function._rebind(self._instance.exports[name], self._release(name))

    def close(self) -> None:
        """Free everything now. Every use raises ValueError from then on, unless :meth:`reset` opens it anew.

        Raises BufferError while views of its memory exist, RuntimeError while one of its functions runs.
        """
        self.store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def instance(self) -> Instance:
        """The instance behind it, another one after each reset."""
        return self._instance

    @property
    def memory(self) -> Memory:
        """All of its memory."""
        memory: Memory = self._instance.exports["memory"]
        return memory

    @property
    def store(self) -> Store:
        """Where it lives, with its limits."""
        return self.memory.store

    @property
    def trouble(self) -> BaseException | None:
        """What stopped it in the middle of its work, if anything did."""
        return self._core.trouble

    @property
    def declarations(self) -> Declarations:
        """What it was declared to have."""
        return self._declarations

    # --- attributes --------------------------------------------------------------------------------------------------

    def _function(self, name: str, declared: Declared) -> CFunction:
        func: Func = self._instance.exports[name]
        try:
            return self._core.function(name, declared.type, func, self._options.comes_as(name), self._release(name))
        except LinkError as error:
            where = f"{declared.where}: " if declared.where else ""
            raise LinkError(f"{where}{error}") from None

    def _release(self, name: str) -> Func | bool | None:
        by = self._options.frees.get(name)
        if by is None or by == "free":
            return None if by is None else True
        exports = self._instance.exports
        if by not in exports:
            raise LinkError(f"frees: {name}() is to be freed by {by}(), which the module does not export")
        func: Func = exports[by]
        return func

    def _address(self, name: str) -> int:
        address = self._addresses.get(name)
        if address is None:
            export = self._instance.exports.get(name)
            value = getattr(export, "value", None)
            if not isinstance(value, int):
                raise AttributeError(_not_exported("variable", name, self._declarations.variables[name]))
            bits = 8 * self._declarations.pointer_size
            address = self._addresses[name] = value & ((1 << bits) - 1)
        return int(address)

    def __getattr__(self, name: str) -> Any:
        if name in Library.__slots__:  # before __init__ is over
            raise AttributeError(name)
        declarations = self._declarations
        if name in declarations.variables:
            declared = declarations.variables[name]
            return self._core.read(declared.type, self._address(name), declared.readonly)
        if name in declarations.functions:
            raise AttributeError(_not_exported("function", name, declarations.functions[name]))
        if name in declarations.macros:
            raise AttributeError(f"{name!r} is a macro that is no constant ({declarations.macros[name]})")
        exported = "" if name not in self._instance.exports else ": the module exports it, but nothing declares it"
        raise AttributeError(f"the library has no {name!r}{exported}", name=name, obj=self)

    def __setattr__(self, name: str, value: object) -> None:
        declared = self._declarations.variables.get(name)
        if declared is None or hasattr(type(self), name):
            raise AttributeError(f"cannot set {name!r}: it is no variable of the library", name=name, obj=self)
        self._core.write(declared.type, self._address(name), value, name, declared.readonly)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Library cannot be copied or pickled: load it again, a Module may be shared")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"cannot delete {name!r}", name=name, obj=self)

    def __getitem__(self, name: str) -> Any:
        """What C calls *name*, also where a method of this class has that name."""
        for names in (self._functions, self._declarations.constants, _enumerations(self._declarations)):
            if name in names:
                return names[name]
        try:
            return self.__getattr__(name)
        except AttributeError as error:
            raise KeyError(name) from error

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self._declarations.variables})

    def __repr__(self) -> str:
        module = self._module.name
        state = " (to be reset)" if self._core.trouble is not None else ""
        return f"<anywasm.clib.Library{f' {module}' if module else ''}: {len(self._functions)} functions{state}>"

    # --- types -------------------------------------------------------------------------------------------------------

    def typeof(self, text: TypeText) -> CType:
        """Return the type that C spells so: ``"point *"``, ``"int (*)(int, void *)"``, ``"double[4]"``.

        Raises DeclarationError for what is none.
        """
        if isinstance(text, CType):
            return text
        if not isinstance(text, str):
            raise TypeError(
                f"typeof(): expected C's spelling of a type, such as 'int *', got {builtins.type(text).__name__}"
            )
        from ._parse import typeof

        return typeof(self._declarations, text)

    def sizeof(self, what: TypeText | Array | Struct) -> int:
        """Return the bytes that a value of that type, or this one, takes."""
        ctype = getattr(what, "ctype", None)
        size = (ctype if isinstance(ctype, CType) else self.typeof(what)).size  # type: ignore[arg-type]
        if size is None:
            raise TypeError(f"{what}: the type has no size here")
        return size

    # --- memory ------------------------------------------------------------------------------------------------------

    def new(self, type: TypeText, value: object = None) -> Pointer:
        """Return a pointer of that type to new memory with *value*, or zero: ``lib.new("point *", {"x": 1.0})``.

        The library's ``free`` frees it when Python drops the pointer and all that was made of it, or at the end of
        `with`. Raises MemoryError, and LibraryError if the library exports no malloc and free.
        """
        return self._core.new_pointer(self.typeof(type), value)

    def array(self, item: TypeText, items: object) -> Array:
        """Return an array in new memory: of so many zeros, or of these items: ``lib.array("double", [1.0, 2.0])``.

        items: int, how many; or a sequence or buffer, which is copied. Freed as what :meth:`new` gives.
        """
        item_type = self.typeof(item)
        if hasattr(items, "__len__"):
            return self._core.new_array(CType.array(item_type, len(items)), items)
        if not hasattr(items, "__index__"):
            raise TypeError(
                "array(): expected how many items, or a sequence or buffer of them, "
                f"got {builtins.type(items).__name__}"
            )
        count = operator.index(items)
        if count < 0:
            raise ValueError(f"array(): expected how many items, or a sequence or buffer of them, got {count}")
        return self._core.new_array(CType.array(item_type, count), None)

    def string(self, text: str | bytes) -> Pointer:
        """Return a ``char *`` to new memory with a copy of *text* and a NUL behind it.

        Freed as what :meth:`new` gives.
        """
        if isinstance(text, str):
            if "\0" in text:
                raise ValueError(
                    "string(): the str has a NUL character within, where C would end it: pass bytes if meant"
                )
            text = text.encode(self._core.encoding or "utf-8")
        if not isinstance(text, (builtins.bytes, bytearray)):
            raise TypeError(f"string(): expected str or bytes, got {builtins.type(text).__name__}")
        characters = self.array("char", len(text) + 1)
        memoryview(characters).cast("B")[: len(text)] = text
        return self._core.cast(self.typeof("char *"), characters)  # type: ignore[return-value]

    def cast(self, type: TypeText, value: object) -> Pointer | CFunction | Value | None:
        """Return *value* as C's cast makes it.

        That is a pointer for a pointer, an array or an address, and a Value for a number.
        A pointer keeps what it keeps and its bounds. Integers wrap around as in C.
        """
        return self._core.cast(self.typeof(type), value)

    def addressof(self, what: Struct | Array | str, field: str | None = None) -> Pointer:
        """Return a pointer to a struct or array, to a field of it, or to the library's variable of that name.

        Raises TypeError for a struct that a function returned: it is Python's own, and has no address in the library.
        """
        if isinstance(what, str):
            if what not in self._declarations.variables:
                raise AttributeError(f"the library declares no variable {what!r}", name=what, obj=self)
            variable = self._declarations.variables[what]
            pointer = CType.pointer(variable.type, variable.readonly, self._declarations.pointer_size)
            return self._core.cast(pointer, self._address(what))  # type: ignore[return-value]
        if what.address is None:
            raise TypeError("addressof(): the struct is Python's own, and has no address: copy it with new()")
        if field is None:
            return self._core.cast(self._pointer_to(what.ctype), what)  # type: ignore[return-value]
        for name, ctype, offset, _, width in what.ctype.fields or ():
            if name == field and not width:
                start: Any = self._core.cast(self.typeof("char *"), what)
                return self._core.cast(self._pointer_to(ctype), start + offset)  # type: ignore[return-value]
        raise AttributeError(f"{what.ctype.name} has no field {field!r} with an address")

    def _pointer_to(self, ctype: CType) -> CType:
        return CType.pointer(ctype, size=self._declarations.pointer_size)

    def free(self, data: Pointer | Array | Struct) -> None:
        """Free memory that Python owns now, instead of when it is dropped.

        Raises ValueError if it was freed or is the library's own, BufferError while views of it exist.
        """
        self._core.free_memory(data)

    def adopt(self, pointer: Pointer, by: str | None = None) -> Pointer:
        """Own what the library gave away: it is freed with the pointer, by ``free`` or the function called *by*.

        Raises ValueError if Python owns it already.
        """
        release: Func | None = None
        if by is not None and by != "free":
            if by not in self._instance.exports:
                raise LinkError(f"adopt(): the module exports no function {by!r}")
            release = self._instance.exports[by]
        return self._core.adopt(pointer, release)

    def callback(self, type: TypeText, callable: Callable[..., object]) -> CFunction:
        """Return a function of the library's that calls *callable*, for structs and calls that keep it.

        It can be called as long as the object lives that this returns. A callable that is an argument needs none:
        it serves for the length of the call. What the callable raises ends the C code that called it, as longjmp does,
        and comes out of the call from Python.
        """
        return self._core.callback(self.typeof(type), callable)


class _Options:
    """What is special about results, by the functions' names."""

    __slots__ = ("_bytes", "_pointers", "frees")

    def __init__(
        self,
        declarations: Declarations,
        frees: Collection[str] | Mapping[str, str],
        as_bytes: Collection[str],
        as_pointers: Collection[str],
    ) -> None:
        from collections.abc import Mapping

        for what, names in (("frees", frees), ("bytes", as_bytes), ("pointers", as_pointers)):
            if isinstance(names, str):
                raise TypeError(f"{what}: expected a set of names, got the str {names!r}")
            for name in names:
                if name not in declarations.functions:
                    raise DeclarationError(f"{what}: {name} is not declared")
        self.frees = dict(frees) if isinstance(frees, Mapping) else dict.fromkeys(frees, "free")
        self._bytes, self._pointers = frozenset(as_bytes), frozenset(as_pointers)

    def comes_as(self, name: str) -> Literal["value", "bytes", "pointer"]:
        return "pointer" if name in self._pointers else "bytes" if name in self._bytes else "value"


def _enumerations(declarations: Declarations) -> dict[str, Any]:
    named: dict[str, Any] = {}
    for name, ctype in declarations.types.items():
        if ctype.members is not None:
            named.setdefault(name.removeprefix("enum "), ctype.members)
    return named


def _not_exported(what: str, name: str, declared: Declared) -> str:
    where = f" ({declared.where})" if declared.where else ""
    return f"the {what} {name} is declared{where}, but the module does not export it: link it with -Wl,--export={name}"

# SPDX-License-Identifier: Apache-2.0
"""Named definitions that modules are linked with, and with each other."""

from __future__ import annotations

from ._core import Func, FuncType, Global, Instance, LinkError, Memory, Module, Store, Table, Tag
from ._linking import WASI, explain, near_miss
from ._load import initialize
from .wasi import Wasi

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any, TypeVar

    from ._core import Engine, _Extern

    F = TypeVar("F", bound=Callable[..., Any])
    Definition = _Extern | Callable[..., Any]

EXPORTED_ANYWAY = ("memory", "__indirect_function_table")  # by compilers, of their own accord
EXTERNS = (Func, Memory, Table, Global, Tag)


class Linker:
    """Linker(engine=None, *, allow_shadowing=False)

    Links modules by name with host functions, with instances, and with each other::

        linker = anywasm.Linker()
        linker.define("env", "log", print)
        linker.define_instance("library", linker.instantiate(library))
        program = linker.instantiate(module)

    engine: for the stores that ``instantiate`` makes; None is the engine of the module.
    allow_shadowing: whether a name may be defined again; the last definition counts for what is linked afterwards.

    ``(module, name) in linker`` asks for a definition, ``linker[module, name]`` gives it, iterating gives the pairs.
    """

    def __init__(self, engine: Engine | None = None, *, allow_shadowing: bool = False) -> None:
        self.engine = engine
        self.allow_shadowing = allow_shadowing
        self._modules: dict[str, dict[str, Any]] = {}
        self._types: dict[tuple[str, str], FuncType] = {}  # of the callables that were defined with one
        self._wasi: Wasi | None = None

    def __repr__(self) -> str:
        names = ", ".join(f"{module}.{name}" for module, name in self)
        return f"<anywasm.Linker of {names or 'nothing'}>"

    # --- definitions --------------------------------------------------------------------------------

    def define(self, module: str, name: str, item: Definition, type: FuncType | None = None) -> None:
        """Define what modules import as *module*, *name*.

        item: a Func, Memory, Table, Global or Tag, for modules that are linked in its store; or any callable, for
          every store.
        type: that of a callable. Without one, it takes the type of whatever import it is used for.

        Raises LinkError if the name is taken and shadowing is not allowed.
        """
        check_name("define", "module", module)
        check_name("define", "name", name)
        is_extern = isinstance(item, EXTERNS)
        if not is_extern and not callable(item):
            what = "a Func, Memory, Table, Global, Tag or callable"
            raise TypeError(f"define(): item: expected {what}, got {item.__class__.__name__}")
        if type is not None and not isinstance(type, FuncType):
            raise TypeError(f"define(): type: expected a FuncType or None, got {type.__class__.__name__}")
        if type is not None and is_extern:
            raise TypeError(f"define(): type: a {item.__class__.__name__} has its own")
        self._check_free(module, [name])
        self._modules.setdefault(module, {})[name] = item
        self._types.pop((module, name), None)
        if type is not None:
            self._types[module, name] = type

    def function(self, module: str, name: str | None = None, type: FuncType | None = None) -> Callable[[F], F]:
        """Decorate a function to define it, under its own name unless another is given::

            @linker.function("env")
            def log(address, length): ...

        The function itself stays as it is.
        """

        def decorate(function: F) -> F:
            self.define(module, function.__name__ if name is None else name, function, type)
            return function

        return decorate

    def define_instance(self, module: str, instance: Instance) -> None:
        """Define everything that *instance* exports, as what modules import from *module*."""
        check_name("define_instance", "module", module)
        if not isinstance(instance, Instance):
            raise TypeError(f"define_instance(): instance: expected an Instance, got {instance.__class__.__name__}")
        self._define_all(module, dict(instance.exports.items()))

    def define_module(self, module: str, item: Module, store: Store) -> None:
        """Instantiate *item* in *store* and define what it exports, as what other modules import from *module*.

        A library (a reactor) is instantiated once, here, and its ``_initialize`` is called. A program (a command: what
        exports ``_start``) gets a fresh instance for each call of one of its functions; they live as long as the store.

        What it imports has to be defined already. Raises LinkError, and whatever its start function does.
        """
        check_name("define_module", "module", module)
        if not isinstance(item, Module):
            raise TypeError(f"define_module(): item: expected a Module, got {item.__class__.__name__}")
        if not isinstance(store, Store):
            raise TypeError(f"define_module(): store: expected a Store, got {store.__class__.__name__}")
        self._check_free(module, [export.name for export in item.exports])
        if any(export.name == "_start" for export in item.exports):
            self._define_all(module, self._command(module, item, store))
        else:
            instance = Instance(item, self._imports(store), store)
            initialize(instance)
            self._define_all(module, dict(instance.exports.items()))

    def define_wasi(self, wasi: Wasi | None = None) -> None:
        """Give WASI to the modules that ``instantiate`` makes a store for; a store that it is given has its own.

        wasi: Wasi; None lets them write to the process's stdout and stderr, and gives them nothing else.
        """
        if wasi is not None and not isinstance(wasi, Wasi):
            raise TypeError(f"define_wasi(): wasi: expected a Wasi or None, got {wasi.__class__.__name__}")
        self._wasi = Wasi(stdout="inherit", stderr="inherit") if wasi is None else wasi

    # --- asking ---------------------------------------------------------------------------------------

    def __contains__(self, key: object) -> bool:
        return isinstance(key, tuple) and len(key) == 2 and key[1] in self._modules.get(key[0], ())

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return ((module, name) for module, names in self._modules.items() for name in names)

    def __len__(self) -> int:
        return sum(map(len, self._modules.values()))

    def __getitem__(self, key: tuple[str, str]) -> Definition:
        module, name = key
        return self.get(module, name)

    def get(self, module: str, name: str) -> Definition:
        """What is defined as *module*, *name*; KeyError if nothing is."""
        try:
            definition: Definition = self._modules[module][name]
        except KeyError:
            near = near_miss(f"{module}.{name}", (".".join(key) for key in self))
            raise KeyError(f"nothing is defined as {module}.{name}{near}") from None
        return definition

    def get_default(self, module: str) -> Callable[..., Any]:
        """What running *module* means: its function ``""``, else its ``_start``, else a function that does nothing."""
        if module not in self._modules:
            raise KeyError(f"nothing is defined from {module}{near_miss(module, self._modules)}")
        for name in ("", "_start"):
            if callable(function := self._modules[module].get(name)):
                return function  # type: ignore[no-any-return]
        return nothing

    # --- linking ----------------------------------------------------------------------------------------

    def instantiate(self, module: Module, store: Store | None = None) -> Instance:
        """Make an instance of *module* whose imports are what is defined here.

        store: where; None makes a new one, in which host functions and WASI can be imported, but nothing that lives in
          another store.

        Raises LinkError, which names every import that is missing or does not fit, and what Instance raises.
        """
        if not isinstance(module, Module):
            raise TypeError(f"instantiate(): module: expected a Module, got {module.__class__.__name__}")
        if store is None:
            store = Store(module.engine if self.engine is None else self.engine, wasi=self._wasi)
        return Instance(module, self._imports(store), store)

    def _imports(self, store: Store) -> dict[str, dict[str, Any]]:
        """What the extension resolves imports by: callables with a type of their own as functions of the store."""
        if not self._types:
            return self._modules
        imports = {module: dict(names) for module, names in self._modules.items()}
        for (module, name), type in self._types.items():
            imports[module][name] = Func(imports[module][name], type, store, name=f"{module}.{name}")
        return imports

    def _command(self, module: str, item: Module, store: Store) -> dict[str, Any]:
        """The exports of a program, each a function that makes a fresh instance to be called in."""
        imports = {name: dict(names) for name, names in self._imports(store).items()}
        missing = [
            (wanted, None, None)
            for wanted in item.imports
            if wanted.module != WASI and wanted.name not in imports.get(wanted.module, ())
        ]
        if missing:
            raise LinkError(explain(item, imports, missing))
        functions: dict[str, Any] = {}
        for export in item.exports:
            if isinstance(export.type, FuncType):
                call = fresh_call(item, imports, store, export.name)
                functions[export.name] = Func(call, export.type, store, name=f"{module}.{export.name}")
            elif export.name not in EXPORTED_ANYWAY:
                raise LinkError(
                    f"a program's exports live for one call, but {module}.{export.name} is a {export.kind}: "
                    "instantiate it, and define the instance"
                )
        return functions

    def _define_all(self, module: str, items: dict[str, Any]) -> None:
        self._check_free(module, items)
        for name in items:
            self._types.pop((module, name), None)
        self._modules.setdefault(module, {}).update(items)

    def _check_free(self, module: str, names: Any) -> None:
        if self.allow_shadowing:
            return
        for name in names:
            if name in self._modules.get(module, ()):
                raise LinkError(f"{module}.{name} is defined already (Linker(allow_shadowing=True) allows it)")


def fresh_call(item: Module, imports: dict[str, dict[str, Any]], store: Store, name: str) -> Callable[..., Any]:
    def call(*args: Any) -> Any:
        return Instance(item, imports, store).exports[name](*args)

    return call


def check_name(function: str, parameter: str, name: object) -> None:
    if not isinstance(name, str):
        raise TypeError(f"{function}(): {parameter}: expected a str, got {name.__class__.__name__}")


def nothing(*_: object) -> None:
    """The default function of a module that has none."""

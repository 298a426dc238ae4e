# SPDX-License-Identifier: Apache-2.0
"""`clib.module`: a C library as a Python module of a package."""

from __future__ import annotations

import os
import sys
from types import ModuleType

from ._library import Library, load

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from ._declarations import Declarations


def module(name: str, **options: Any) -> Library:
    """Make the module *name* the C library that lies beside it, and return the library.

    ``stats.py``, beside ``stats.wasm`` of ``anywasm clib build``, is two lines::

        from anywasm import clib
        clib.module(__name__)

    The library's functions, constants, enums and variables are then the module's; ``stats.library`` is the Library, for
    ``new``, ``array``, ``reset`` and so on. A package's ``__init__.py`` that is to be the library finds
    ``PACKAGE.wasm`` in the package's folder. Reloading the module makes a fresh library.

    name: ``__name__``. options: of :func:`load`, as ``timeout`` and ``memory``.

    Raises FileNotFoundError if there is no such file, and what load() raises.
    """
    made = sys.modules.get(name)
    if made is None:
        raise ImportError(f"{name!r} is no module: a module becomes a library by clib.module(__name__)", name=name)
    library = load(read(made), **options)
    made.__class__ = LibraryModule
    names = {"library": library, **offered(library)}
    made.__dict__.update(names, __library__=library, __all__=sorted(names))
    return library


def stub_of(declarations: Declarations, name: str, options: Mapping[str, Any]) -> str:
    """The text of NAME.pyi for such a module. options: of load(): bytes, pointers."""
    from ._stub import write_stub

    text = write_stub(declarations, name=name, bytes=options.get("bytes", ()), pointers=options.get("pointers", ()))
    return f"{text}\nfrom anywasm.clib import Library as _Library  # noqa: E402\n\nlibrary: _Library\n"


def read(made: ModuleType) -> bytes:
    """The .wasm beside a module, wherever its importer has found it: in a folder, in a zip file."""
    spec = made.__spec__
    if spec is None or spec.loader is None:
        raise ImportError(f"{made.__name__} is no module that was imported", name=made.__name__)
    file = f"{made.__name__.rpartition('.')[2]}.wasm"
    package = made.__name__ if spec.submodule_search_locations is not None else spec.parent
    try:
        if package:
            from importlib.resources import files

            return files(package).joinpath(file).read_bytes()
        path = os.path.join(os.path.dirname(spec.origin or ""), file)
        data: bytes = spec.loader.get_data(path)  # type: ignore[attr-defined]
    except OSError as error:
        raise FileNotFoundError(
            f"{file} is not beside the module {made.__name__}: `anywasm clib build` makes it"
        ) from error
    return data


def offered(library: Library) -> dict[str, Any]:
    """What stays the same, by name; variables have to be read each time."""
    declarations = library.declarations
    exports = library.instance.exports
    enums = [type.members.__name__ for type in declarations.types.values() if type.members is not None]
    names = [*enums, *declarations.constants, *(name for name in declarations.functions if name in exports)]
    return {name: library[name] for name in names}


class LibraryModule(ModuleType):
    """A module with the variables of a library."""

    __library__: Library

    def __getattr__(self, name: str) -> Any:
        if name in self.__library__.declarations.variables:
            return self.__library__[name]
        raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}", name=name, obj=self)

    def __setattr__(self, name: str, value: object) -> None:
        if name in self.__library__.declarations.variables:
            setattr(self.__library__, name, value)
        else:
            super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self.__library__.declarations.variables})

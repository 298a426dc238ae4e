# SPDX-License-Identifier: Apache-2.0
"""C libraries in a sandbox, with C declarations: cffi for WebAssembly."""

from anywasm._core import Array, CFunction, CType, LibraryError, Pointer, Struct, Value

from ._compile import compile  # noqa: A004 - what users write is clib.compile
from ._declarations import DeclarationError, Declarations, Declared
from ._library import Library, load
from ._module import module
from ._toolchain import BuildError

__all__ = [
    "Array",
    "BuildError",
    "CFunction",
    "CType",
    "DeclarationError",
    "Declarations",
    "Declared",
    "Library",
    "LibraryError",
    "Pointer",
    "Struct",
    "Value",
    "compile",
    "load",
    "module",
]

for _public in (BuildError, DeclarationError):
    _public.__module__ = __name__  # tracebacks name what users import
del _public

# SPDX-License-Identifier: Apache-2.0
"""C libraries in a sandbox, with C declarations: cffi for WebAssembly."""

from .._core import Array, CFunction, CType, LibraryError, Pointer, Struct, Value
from ._declarations import DeclarationError, Declarations, Declared
from ._library import Library, load

__all__ = [
    "Array",
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
    "load",
]

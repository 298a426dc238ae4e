# SPDX-License-Identifier: Apache-2.0
"""Where libwasmtime is. The extension asks when the engine is first wanted."""

from __future__ import annotations

import os

PACKAGE = "wasmtime"  # the distribution on PyPI that carries the library
LIBRARY_NAMES = ("_libwasmtime.so", "_libwasmtime.dylib", "_wasmtime.dll")  # as it calls it on Linux, macOS, Windows


def wasmtime_library() -> str | None:
    """The path of libwasmtime: what ANYWASM_WASMTIME_LIBRARY names, else the installed distribution's, else None.

    The package itself is not imported: that takes longer than all of ours, and would install its own signal handlers.
    """
    named = os.environ.get("ANYWASM_WASMTIME_LIBRARY")
    if named:
        return named
    from importlib import metadata

    try:
        files = metadata.distribution(PACKAGE).files or ()
    except metadata.PackageNotFoundError:
        return None
    for file in files:
        if file.name in LIBRARY_NAMES:
            return os.fspath(file.locate())
    return None

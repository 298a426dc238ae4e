# SPDX-License-Identifier: Apache-2.0
"""Where libwasmtime is. The extension asks when the engine is first wanted."""

from __future__ import annotations

import os

PACKAGE = "wasmtime"  # the package from PyPI that carries the library, in a folder of the platform's name
LIBRARY_NAMES = ("_libwasmtime.so", "_libwasmtime.dylib", "_wasmtime.dll")  # as it calls it on Linux, macOS, Windows


def wasmtime_library() -> str | None:
    """The path of libwasmtime: what ANYWASM_WASMTIME_LIBRARY names, else the installed package's, else None.

    The package is found, not imported: importing takes longer than all of ours, and may bring signal handlers along.
    Nor is its metadata read: importing what reads it takes as long as starting Python.
    """
    named = os.environ.get("ANYWASM_WASMTIME_LIBRARY")
    if named:
        return named
    from importlib.util import find_spec

    try:
        spec = find_spec(PACKAGE)
    except ValueError:  # something else stands for it in sys.modules
        spec = None
    for folder in (spec and spec.submodule_search_locations) or ():
        for platform in sorted(entry.path for entry in os.scandir(folder) if entry.is_dir()):
            for name in LIBRARY_NAMES:
                path = os.path.join(platform, name)
                if os.path.isfile(path):
                    return path
    return None

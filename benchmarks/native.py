# SPDX-License-Identifier: Apache-2.0
"""C as machine code, called through cffi (its API mode: a compiled extension module) and through ctypes."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import io
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import Any

from harness import Missing

sys.path.append(str(Path(__file__).parent.parent / "tests"))  # for toolchain.py


@lru_cache(maxsize=None)
def shared_library(source: str, *flags: str) -> Path:
    """A library made from C by the system's compiler with -O2, kept in the tests' cache."""
    from toolchain import cache_dir

    compiler = shutil.which(os.environ.get("CC", "gcc"))
    if compiler is None:
        raise Missing("no gcc here")
    command = [compiler, "-O2", "-shared", "-fPIC", "-w", *flags]
    name = hashlib.sha256("\0".join([*command, sys.version, source]).encode()).hexdigest()[:16]
    output = cache_dir() / "native" / f"{name}.so"
    if not output.exists():
        output.parent.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=output.parent) as scratch:
            file = Path(scratch) / "source.c"
            file.write_text(source)
            made = Path(scratch) / "made.so"
            subprocess.run([*command, os.fspath(file), "-o", os.fspath(made), "-lm"], check=True)
            made.replace(output)
    return output


@lru_cache(maxsize=None)
def cffi_library(declarations: str, source: str, *flags: str) -> Any:
    """The extension module that cffi's API mode makes of a C source: it has `lib` and `ffi`."""
    import cffi

    name = "native_" + hashlib.sha256((declarations + source).encode()).hexdigest()[:16]
    ffi = cffi.FFI()
    ffi.cdef(declarations)
    ffi.set_source(name, source)
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "source.c"
        with contextlib.redirect_stdout(io.StringIO()):  # it tells the file's name
            ffi.emit_c_code(os.fspath(file))
        text = file.read_text()
    path = shared_library(text, "-I", sysconfig.get_path("include"), *flags)
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def ctypes_library(source: str, *flags: str) -> Any:
    import ctypes

    return ctypes.CDLL(os.fspath(shared_library(source, *flags)))

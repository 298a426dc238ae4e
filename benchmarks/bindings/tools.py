# SPDX-License-Identifier: Apache-2.0
"""How each tool makes a binding: what it compiles, with which command, and what Python then imports."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
SOURCE = HERE / "survey.c"
CC = os.environ.get("CC", "cc")
CXX = os.environ.get("CXX", "c++")
SHARED = ["-O2", "-shared", "-fPIC", f"-I{HERE}"]
PYTHON = f"-I{sysconfig.get_path('include')}"


class Missing(Exception):  # noqa: N818
    """Something that a tool needs is not here; the message names it."""


@dataclass(frozen=True)
class Tool:
    name: str
    files: tuple[str, ...]  # what a developer writes
    build: Callable[[Path], None]  # makes what is needed, in a folder
    load: Callable[[Path], Any]  # an object with the library's functions
    needs: tuple[str, ...] = ()  # Python modules


TOOLS: dict[str, Tool] = {}


def add(tool: Tool) -> None:
    TOOLS[tool.name] = tool


def check(tool: Tool) -> None:
    for name in tool.needs:
        if importlib.util.find_spec(name) is None:
            raise Missing(f"no module {name}")


def run(folder: Path, *command: str | Path, **environment: str) -> None:
    if shutil.which(str(command[0])) is None:
        raise Missing(f"no {command[0]}")
    words, settings = [str(part) for part in command], os.environ | environment
    done = subprocess.run(words, cwd=folder, env=settings, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, command))}:\n{done.stdout}{done.stderr}")


def module(name: str, file: Path) -> Any:
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def built(folder: Path, name: str) -> Any:
    """An extension module, or a Python file, that a build has made."""
    return module(name, next(path for path in folder.glob(f"{name}.*") if path.suffix in (".so", ".py")))


def survey(file: str, *arguments: Any) -> Any:
    return module(Path(file).stem, HERE / file).Survey(*arguments)


# --- a shared library, and Python that opens it ---------------------------------------------------------------------


def build_shared(folder: Path) -> None:
    run(folder, CC, *SHARED, SOURCE, "-o", "libsurvey.so")


add(
    Tool(
        "ctypes",
        ("with_ctypes.py",),
        build_shared,
        lambda folder: survey("with_ctypes.py", folder / "libsurvey.so"),
    )
)


def cffi_source() -> Any:
    import cffi

    ffi = cffi.FFI()
    ffi.cdef(module("cffi_survey", HERE / "cffi_survey.py").DECLARATIONS)
    return ffi


def load_cffi_abi_inline(folder: Path) -> Any:
    ffi = cffi_source()
    return survey("cffi_survey.py", ffi, ffi.dlopen(str(folder / "libsurvey.so")))


def build_cffi_abi(folder: Path) -> None:
    build_shared(folder)
    ffi = cffi_source()
    ffi.set_source("survey_cffi_abi", None)
    ffi.compile(str(folder))  # writes survey_cffi_abi.py


def load_cffi_abi(folder: Path) -> Any:
    ffi = built(folder, "survey_cffi_abi").ffi
    return survey("cffi_survey.py", ffi, ffi.dlopen(str(folder / "libsurvey.so")))


add(Tool("cffi, ABI, in-line", ("cffi_survey.py",), build_shared, load_cffi_abi_inline, ("cffi",)))
add(Tool("cffi, ABI, out-of-line", ("cffi_survey.py",), build_cffi_abi, load_cffi_abi, ("cffi",)))


# --- an extension module ----------------------------------------------------------------------------------------------

INCLUDE = '#include <stdlib.h>\n#include "survey.h"\n'


def build_cffi_api_inline(folder: Path) -> None:
    program = f"import tools, pathlib; tools.load_cffi_api_inline(pathlib.Path({str(folder)!r}))"
    run(HERE, sys.executable, "-c", program)


def load_cffi_api_inline(folder: Path) -> Any:
    """verify() compiles when it first runs, and keeps what it made; cffi advises against it."""
    ffi = cffi_source()
    lib = ffi.verify(
        INCLUDE,
        sources=[str(SOURCE)],
        include_dirs=[str(HERE)],
        tmpdir=str(folder / "verify"),
        extra_compile_args=["-O2"],
    )
    return survey("cffi_survey.py", ffi, lib)


def build_cffi_api(folder: Path) -> None:
    ffi = cffi_source()
    ffi.set_source("survey_cffi_api", INCLUDE)
    with contextlib.redirect_stdout(io.StringIO()):  # it tells the file's name
        ffi.emit_c_code(str(folder / "survey_cffi_api.c"))
    output = "survey_cffi_api" + sysconfig.get_config_var("EXT_SUFFIX")
    run(folder, CC, *SHARED, PYTHON, "survey_cffi_api.c", SOURCE, "-o", output)


def load_cffi_api(folder: Path) -> Any:
    made = built(folder, "survey_cffi_api")
    return survey("cffi_survey.py", made.ffi, made.lib)


add(
    Tool("cffi, API, in-line", ("cffi_survey.py",), build_cffi_api_inline, load_cffi_api_inline, ("cffi", "setuptools"))
)
add(Tool("cffi, API, out-of-line", ("cffi_survey.py",), build_cffi_api, load_cffi_api, ("cffi",)))


def build_pybind11(folder: Path) -> None:
    import pybind11

    run(folder, CC, "-O2", "-fPIC", "-c", SOURCE, "-o", "survey.o")
    output = "survey_pybind11" + sysconfig.get_config_var("EXT_SUFFIX")
    flags = ["-std=c++17", "-fvisibility=hidden", *SHARED, PYTHON, f"-I{pybind11.get_include()}"]
    run(folder, CXX, *flags, HERE / "with_pybind11.cpp", "survey.o", "-o", output)


def build_c_api(folder: Path) -> None:
    output = "survey_c_api" + sysconfig.get_config_var("EXT_SUFFIX")
    run(folder, CC, *SHARED, PYTHON, HERE / "with_c_api.c", SOURCE, "-o", output)


add(
    Tool(
        "pybind11",
        ("with_pybind11.cpp",),
        build_pybind11,
        lambda folder: built(folder, "survey_pybind11"),
        ("pybind11",),
    )
)
add(Tool("C API", ("with_c_api.c",), build_c_api, lambda folder: built(folder, "survey_c_api")))


# --- WebAssembly ----------------------------------------------------------------------------------------------------


def build_clib_inline(folder: Path) -> None:
    program = f"import tools, pathlib; tools.load_clib_inline(pathlib.Path({str(folder)!r}))"
    run(HERE, sys.executable, "-c", program, ANYWASM_CACHE_DIR=str(folder))


def load_clib_inline(folder: Path) -> Any:
    """compile() keeps what it made in the cache."""
    from anywasm import clib

    return survey("with_clib.py", clib.compile(SOURCE, frees={"greet"}))


def build_clib(folder: Path) -> None:
    command = [sys.executable, "-m", "anywasm", "clib", "build", SOURCE, HERE / "survey.h", "--frees", "greet"]
    run(folder, *command, "-o", "survey.wasm")


def load_clib(folder: Path) -> Any:
    from anywasm import clib

    return survey("with_clib.py", clib.load(folder / "survey.wasm"))


add(Tool("clib, in-line", ("with_clib.py",), build_clib_inline, load_clib_inline, ("pycparser", "pcpp", "ziglang")))
add(Tool("clib, out-of-line", ("with_clib.py",), build_clib, load_clib, ("pycparser", "pcpp", "ziglang")))

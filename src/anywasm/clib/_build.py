# SPDX-License-Identifier: Apache-2.0
"""Makes a module that carries its own declarations, and reads them again.

They are JSON in a custom section `anywasm.clib`: {"version": 1, "declarations": C as text, "options": {"frees": …}}.
A module may come from anywhere, so only options that tell something about the library are read, never one that gives it
rights.
"""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import dataclass

from anywasm._core import Module

from ._declarations import DeclarationError, Declarations
from ._prepare import add_custom_section, custom_sections, remove_custom_sections

# What makes a module is imported where it does: loading one comes by here, too.

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from ._toolchain import Built

SECTION = "anywasm.clib"
VERSION = 1
DEBUG_PREFIXES = (".debug_", "reloc..debug_")


@dataclass(frozen=True, slots=True)
class Made:
    """A module with its declarations in it.

    left_out: what a header declares and no source defines, each with its line.
    """

    binary: bytes
    declarations: Declarations
    built: Built
    left_out: tuple[str, ...]


def make(
    sources: Sequence[str],
    *,
    header: str | None = None,
    flags: Sequence[str] = (),
    include_dirs: Sequence[str] = (),
    options: Mapping[str, Any] | None = None,
    debug_info: bool = True,
) -> Made:
    """Compile C files to a library that carries its declarations.

    header: what it offers, and nothing else is exported; None is all that the sources define.
    options: of clib.load, to be its defaults: frees, bytes, pointers.
    debug_info: keep it in the module.

    Raises BuildError for C that does not compile, DeclarationError for what cannot be expressed.
    """
    from ._debug_info import declarations_from_dwarf
    from ._parse import parse_header
    from ._toolchain import build, pointer_size_of
    from ._write import write_declarations

    defines = defines_of(flags)
    declared = None
    if header is not None:
        size = pointer_size_of(flags)
        declared = parse_header(header, pointer_size=size, include_dirs=include_dirs, defines=defines)
    public = None if declared is None else {*declared.functions, *declared.variables}
    built = build(sources, flags=flags, include_dirs=include_dirs, public=public)
    if declared is None:
        declared = declarations_from_dwarf(built.binary, only_exports={*built.functions, *built.variables})
        for source in sources:
            add_macros(declared, source, include_dirs, defines)
    left_out = keep_only(declared, {*built.functions, *built.variables})
    binary = built.binary
    if not debug_info:
        binary = remove_custom_sections(binary, lambda name: name.startswith(DEBUG_PREFIXES))
    return Made(embed(binary, write_declarations(declared), options or {}), declared, built, left_out)


def defines_of(flags: Sequence[str]) -> dict[str, object]:
    """What -DNAME and -DNAME=VALUE among the compiler's flags define."""
    defines: dict[str, object] = {}
    for flag in flags:
        if flag.startswith("-D"):
            name, given, value = flag[2:].partition("=")
            defines[name] = value if given else True
    return defines


def add_macros(
    declarations: Declarations, source: str, include_dirs: Sequence[str], defines: Mapping[str, object]
) -> None:
    """Add the macros of a C file and its own headers that are constants: debug information has none."""
    from ._parse import Reader
    from ._preprocess import preprocess

    with open(source, encoding="utf-8-sig", errors="replace") as file:
        text = file.read()
    folders = [os.path.dirname(source), *include_dirs]
    with contextlib.suppress(DeclarationError):  # the compiler has understood it: this is not worth an error
        size = declarations.pointer_size
        macros = preprocess(text, source, pointer_size=size, include_dirs=folders, defines=defines).macros
        Reader(declarations).read_macros(macros)


def keep_only(declarations: Declarations, exported: set[str]) -> tuple[str, ...]:
    """Drop the functions and variables that are not exported; what they were, with their lines."""
    left_out = []
    for declared in (declarations.functions, declarations.variables):
        for name in [name for name in declared if name not in exported]:
            where = declared.pop(name).where
            left_out.append(f"{where}: {name}" if where else name)
    return tuple(left_out)


# --- the section -----------------------------------------------------------------------------------------------------


def embed(binary: bytes, text: str, options: Mapping[str, Any]) -> bytes:
    """Return the module with declarations, C as text, in it, and with the options of clib.load that go with them."""
    content = {"version": VERSION, "declarations": text, "options": dict(options)}
    return add_custom_section(binary, SECTION, json.dumps(content, sort_keys=True).encode())


def embedded(module_or_binary: Module | bytes) -> tuple[str, dict[str, Any]] | None:
    """Return the declarations that a module carries, C as text, and the options of clib.load that go with them.

    None if it carries none. Raises DeclarationError if they cannot be read.
    """
    if isinstance(module_or_binary, Module):
        found = module_or_binary.custom_sections(SECTION)
    else:
        found = [data for name, data in custom_sections(module_or_binary) if name == SECTION]
    if not found:
        return None
    try:
        content = json.loads(found[-1])
        version, text, options = content["version"], content["declarations"], content["options"]
        kept = {name: OPTIONS[name](value) for name, value in options.items() if name in OPTIONS}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise DeclarationError(f"the module's section {SECTION} is damaged: {error}") from None
    if version != VERSION or not isinstance(text, str):
        raise DeclarationError(f"the module's section {SECTION} is of version {version!r}, not {VERSION}")
    return text, kept


def names(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise TypeError("names are a list of str")
    return tuple(value)


def names_or_mapping(value: object) -> tuple[str, ...] | dict[str, str]:
    if isinstance(value, dict) and all(isinstance(name, str) for name in value.values()):
        return value
    return names(value)


OPTIONS = {"frees": names_or_mapping, "bytes": names, "pointers": names}

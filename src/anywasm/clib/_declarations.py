# SPDX-License-Identifier: Apache-2.0
"""What C declarations declare: types, functions, variables, constants, by their names."""

from __future__ import annotations

from dataclasses import dataclass, field

from anywasm._core import CType, WasmError


class DeclarationError(WasmError):
    """C declarations that cannot be read or expressed; the message begins with the file and the line."""


@dataclass(frozen=True, slots=True)
class Declared:
    """A function or a variable, and where it was declared: "stats.h:12". readonly: of a variable that is const."""

    type: CType
    where: str | None = None
    readonly: bool = False


@dataclass(slots=True)
class Declarations:
    """The names that a library's declarations give, by what they name.

    types: by the name that C has for them: ``"point"`` (a typedef), ``"struct point"``, ``"enum color"``.
    functions: each type is a function type.
    variables: global variables.
    constants: macros that are a number or a string, and the members of enums: an IntEnum's where the enum has a name.
    pointer_size: bytes, 4 or 8.
    const_types: typedefs of what is const: a pointer to one is a pointer to const.
    spelled: what typeof() has found, by the text that it was asked for.
    """

    pointer_size: int = 4
    types: dict[str, CType] = field(default_factory=dict)
    functions: dict[str, Declared] = field(default_factory=dict)
    variables: dict[str, Declared] = field(default_factory=dict)
    constants: dict[str, int | float | str] = field(default_factory=dict)
    const_types: set[str] = field(default_factory=set)
    spelled: dict[str, CType] = field(default_factory=dict, repr=False, compare=False)

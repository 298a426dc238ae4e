# SPDX-License-Identifier: Apache-2.0
"""What C declarations declare: types, functions, variables, constants, by their names."""

from __future__ import annotations

from collections import namedtuple

from anywasm._core import WasmError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from anywasm._core import CType


class DeclarationError(WasmError):
    """C declarations that cannot be read or expressed; the message begins with the file and the line."""


class Declared(namedtuple("Declared", ("type", "where", "readonly"), defaults=(None, False))):  # noqa: PYI024 - typing is slow to import
    """A function or a variable, and where it was declared: "stats.h:12". readonly: of a variable that is const."""

    __slots__ = ()

    type: CType
    where: str | None
    readonly: bool


class Declarations:
    """The names that a library's declarations give, by what they name.

    types: by the name that C has for them: ``"point"`` (a typedef), ``"struct point"``, ``"enum color"``.
    functions: each type is a function type.
    variables: global variables.
    constants: macros that are a number or a string, and the members of enums: an IntEnum's where the enum has a name.
    macros: the others, for messages: "stats.h:12: #define TWICE(n) (2 * (n))". Not for what a module carries.
    pointer_size: bytes, 4 or 8.
    const_types: typedefs of what is const: a pointer to one is a pointer to const.
    spelled: what typeof() has found, by the text that it was asked for.
    """

    __slots__ = ("const_types", "constants", "functions", "macros", "pointer_size", "spelled", "types", "variables")

    def __init__(self, pointer_size: int = 4, *, types: dict[str, CType] | None = None) -> None:
        self.pointer_size = pointer_size
        self.types: dict[str, CType] = {} if types is None else types
        self.functions: dict[str, Declared] = {}
        self.variables: dict[str, Declared] = {}
        self.constants: dict[str, int | float | str] = {}
        self.macros: dict[str, str] = {}
        self.const_types: set[str] = set()
        self.spelled: dict[str, CType] = {}

    def __repr__(self) -> str:
        kinds = ("types", "functions", "variables", "constants")
        return f"<Declarations: {', '.join(f'{len(getattr(self, kind))} {kind}' for kind in kinds)}>"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Declarations):
            return NotImplemented
        told = (name for name in self.__slots__ if name not in {"macros", "spelled"})
        return all(getattr(self, name) == getattr(other, name) for name in told)

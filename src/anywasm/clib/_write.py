# SPDX-License-Identifier: Apache-2.0
"""Writes Declarations as C, which parse() reads back as the same: how a module carries them."""

from __future__ import annotations

import math
import re

from ._basic import basic_types
from ._declarations import DeclarationError
from ._layout import Field, LayoutError, Member, lay_out

TYPE_CHECKING = False
if TYPE_CHECKING:
    import builtins
    from collections.abc import Sequence
    from enum import IntEnum

    from anywasm._core import CType

    from ._declarations import Declarations

TAGGED = re.compile(r"(struct|union|enum) \w+")
ALIGNMENTS = (2, 4, 8, 16, 32, 64)


def write_declarations(declarations: Declarations) -> str:
    """Return C that declares the same: types, functions, variables, and constants as macros.

    Raises DeclarationError for a struct whose layout no declaration gives, and for types that are nested too deeply.
    """
    try:
        return Writer(declarations).write()
    except RecursionError:
        raise DeclarationError("the types are nested too deeply to be written down") from None


class Writer:
    """Writes each type before what needs it. Structs with a tag are declared first: they may point at each other."""

    def __init__(self, declarations: Declarations) -> None:
        self.declarations = declarations
        self.lines: list[str] = []
        self.basic = basic_types(declarations.pointer_size)
        self.mentioned: set[str] = set()  # tags that are declared
        self.written: set[str] = set()  # structs, unions and enums that are defined, by name
        self.waiting: list[CType] = []  # structs and unions that are declared and may be defined later
        self.members: set[str] = set()  # of enums that are written

    def write(self) -> str:
        declarations = self.declarations
        for name, type in declarations.types.items():
            self.mention(type)
            if name != type.name and self.basic.get(name) != type:
                const = name in declarations.const_types
                self.lines.append(f"typedef {self.declaration(type, name, const)};")
        for declared in (*declarations.variables.values(), *declarations.functions.values()):
            self.mention(declared.type)
        while self.waiting:
            self.complete(self.waiting.pop())
        for name, declared in declarations.variables.items():
            self.lines.append(f"extern {self.declaration(declared.type, name, declared.readonly)};")
        for name, declared in declarations.functions.items():
            self.lines.append(f"{self.declaration(declared.type, name)};")
        for name, value in declarations.constants.items():
            text = literal(value)
            if name not in self.members and text is not None:
                self.lines.append(f"#define {name} {text}")
        return "".join(f"{line}\n" for line in self.lines)

    # --- the order of types ---

    def mention(self, type: CType) -> None:
        """Write what has to stand before the type's name."""
        if type.kind in ("struct", "union"):
            if not TAGGED.fullmatch(type.name):
                self.complete(type)
            elif type.name not in self.mentioned:
                self.mentioned.add(type.name)
                self.lines.append(f"{type.name};")
                self.waiting.append(type)
        elif type.kind == "enum":
            self.complete(type)
        elif type.kind == "array" and type.item is not None:
            self.complete(type.item)
        elif type.kind == "function":
            for part in (type.item, *(type.parameters or ())):
                if part is not None:
                    self.complete(part)
        elif type.item is not None:
            self.mention(type.item)

    def complete(self, type: CType) -> None:
        """Write what has to stand before a value of the type."""
        if type.kind not in ("struct", "union", "enum"):
            self.mention(type)
            return
        if has_name(type):
            if type.name in self.written:
                return
            self.written.add(type.name)
        elif type.kind == "enum":
            return
        for _, field, *_ in type.fields or ():
            self.complete(field)
        const = "const " if type.name in self.declarations.const_types else ""
        if TAGGED.fullmatch(type.name):
            self.mentioned.add(type.name)
            if type.fields is not None or type.members is not None:
                self.lines.append(f"{self.definition(type)};")
        elif has_name(type):
            self.lines.append(f"typedef {const}{self.definition(type)} {type.name};")

    # --- declarators ---

    def declaration(self, type: CType, inner: str, const: bool = False) -> str:
        """The type around what it declares, which is const or not: C reads a declaration from the inside out."""
        while type.item is not None and type.kind != "enum":
            if type.kind == "pointer":
                inner = f"*const {inner}" if const else f"*{inner}"
                const = type.readonly
                if type.item.kind in ("array", "function"):
                    inner = f"({inner})"
            elif type.kind == "array":
                inner = f"{inner}[{'' if type.length is None else type.length}]"
            else:
                inner = f"{inner}({self.parameters(type)})"
                const = False
            type = type.item
        return f"{'const ' if const else ''}{self.base(type)} {inner}".rstrip()

    def parameters(self, type: CType) -> str:
        pairs = zip(type.parameters or (), type.parameter_names or (), strict=True)
        parts = [self.declaration(each, name or "") for each, name in pairs]
        return ", ".join([*parts, "..."] if type.variadic else parts) or "void"

    def base(self, type: CType) -> str:
        """What stands at a declaration's beginning: the name of a type, or the body of one that has no name."""
        if type.kind in ("struct", "union") and not has_name(type):
            return self.definition(type)
        if type.kind == "enum" and not has_name(type):
            if type.item is not None and (type.members is None or type.name in self.written):
                return type.item.name  # its members are known by now, or macros
            self.written.add(type.name)
            return self.definition(type)
        return type.name

    # --- definitions ---

    def definition(self, type: CType) -> str:
        """ "struct point { double x; double y; }", with the attributes that give it its layout."""
        tag = type.name if TAGGED.fullmatch(type.name) else type.kind
        if type.kind == "enum":
            return f"{tag} {self.enumerators(type.members)}" if type.members is not None else tag
        members, packed, align = find_layout(type)
        attributes = [*(["packed"] if packed else []), *([f"aligned({align})"] if align else [])]
        attribute = f" __attribute__(({', '.join(attributes)}))" if attributes else ""
        body = "".join(f" {self.field(member)};" for member in members)
        return f"{tag}{attribute} {{{body} }}"

    def field(self, member: Member) -> str:
        text = self.declaration(member.type, member.name or "")
        if member.width is not None:
            text = f"{text} : {member.width}"
        return f"_Alignas({member.align}) {text}" if member.align else text

    def enumerators(self, enumeration: builtins.type[IntEnum]) -> str:
        members = {name: int(member) for name, member in enumeration.__members__.items()}
        self.members.update(members)
        return f"{{ {', '.join(f'{name} = {value}' for name, value in members.items())} }}"


def has_name(type: CType) -> bool:
    """Can it be named, by its tag or a typedef? Others are called after where they stand."""
    return TAGGED.fullmatch(type.name) is not None or re.fullmatch(r"\w+", type.name) is not None


# --- layouts -------------------------------------------------------------------------------------------------------


def find_layout(record: CType) -> tuple[list[Member], bool, int]:
    """Declare the fields so that each lies where it does: the members, whether packed, and an alignment or 0.

    Raises DeclarationError where that is not found.
    """
    fields = record.fields or ()
    wanted = (list(map(place, fields)), record.size, record.align)
    for packed in (False, True):
        members = place_fields(record.kind, fields, packed)
        if members is None:
            continue
        for last in ([], *paddings(8 * (record.size or 0) - end_of(fields))):
            for align in (0, *ALIGNMENTS):
                if try_layout(record.kind, [*members, *last], packed, align) == wanted:
                    return [*members, *last], packed, align
    raise DeclarationError(f"{record.name}: no declaration gives it its layout: leave its fields out, in a header")


def place_fields(kind: str, fields: Sequence[Field], packed: bool) -> list[Member] | None:
    """The fields, with the padding and the alignments that put each to its place where that is possible."""
    members: list[Member] = []
    for index, field in enumerate(fields):
        name, type, offset, bit, width = field
        plain = Member(name, type, width or None)
        gap = 8 * offset + bit - end_of(fields[:index])
        choices = [[plain], *([*padding, plain] for padding in paddings(gap))]
        if not width:
            choices[1:1] = [[Member(name, type, None, align)] for align in ALIGNMENTS]
        for choice in choices:
            placed, _, _ = try_layout(kind, [*members, *choice], packed)
            if placed[-1:] == [place(field)]:
                members += choice
                break
        else:
            return None
    return members


def paddings(gap: int) -> list[list[Member]]:
    """Bits without a name that might fill a gap, or bring what follows to the next unit of their type."""
    found = []
    for type in map(basic_types().__getitem__, ("char", "short", "int", "long long")):
        unit = 8 * (type.size or 0)
        if gap > 0:
            found.append([Member(None, type, bits) for bits in (*[unit] * (gap // unit), gap % unit) if bits])
        found.append([Member(None, type, 0)])
    return found


def place(field: Field) -> tuple[object, ...]:
    """What makes two fields the same: a bit-field's unit may begin at one byte or another."""
    name, type, offset, bit, width = field
    return name, type, 8 * offset + bit, width


def end_of(fields: Sequence[Field]) -> int:
    """The first bit behind the last field."""
    if not fields:
        return 0
    _, type, offset, bit, width = fields[-1]
    return 8 * offset + bit + (width or 8 * (type.size or 0))


def try_layout(
    kind: str, members: list[Member], packed: bool, align: int = 0
) -> tuple[list[tuple[object, ...]], int | None, int | None]:
    """Where the fields would lie, the size and the alignment."""
    try:
        fields, size, alignment = lay_out(kind, members, packed=packed, align=align)
    except LayoutError:
        return [], None, None
    return list(map(place, fields)), size, alignment


# --- constants -----------------------------------------------------------------------------------------------------


def literal(value: float | str) -> str | None:
    """A constant as C writes it; None for what C has no literal of."""
    if isinstance(value, str):
        plain = {byte for byte in range(32, 127) if byte not in b'"\\?'}
        return '"' + "".join(chr(byte) if byte in plain else f"\\{byte:03o}" for byte in value.encode()) + '"'
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else None
    return str(int(value)) if value >= 0 else f"({int(value)})"

# SPDX-License-Identifier: Apache-2.0
"""Where clang for WebAssembly puts the fields of structs and unions: the rules of System V, bit-fields included."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from anywasm._core import CType

if TYPE_CHECKING:
    from collections.abc import Sequence

Field = tuple[str | None, CType, int, int, int]  # as CType.define() takes it


class LayoutError(Exception):
    """A field that CType has no place for."""


@dataclass(frozen=True, slots=True)
class Member:
    """A field as declared.

    name: None for an anonymous struct or union, and for bits that are padding.
    width: bits of a bit-field, else None.
    align: bytes, of _Alignas; 0 without.
    packed: it has the attribute itself.
    """

    name: str | None
    type: CType
    width: int | None = None
    align: int = 0
    packed: bool = False


def type_align(type: CType) -> int:
    """Bytes, also of an array of unknown length."""
    if type.align is None and type.item is not None:
        return type_align(type.item)
    return type.align or 1


def lay_out(
    kind: str, members: Sequence[Member], *, packed: bool = False, pack: int = 0, align: int = 0
) -> tuple[list[Field], int, int]:
    """The fields with their offsets, the size and the alignment in bytes.

    kind: "struct" or "union". packed: the attribute. pack: of #pragma pack, bytes; 0 for none.
    align: of the attribute aligned, bytes; 0 for none.
    """
    fields: list[Field] = []
    end = 0  # bits, of what is laid out so far
    whole = max(align, 1)
    for member in members:
        start = 0 if kind == "union" else end
        of = _member_align(member, packed, pack)
        if member.width is None:
            start = _round(start, 8 * of)
            fields.append((member.name, member.type, start // 8, 0, 0))
            stop = start + 8 * (member.type.size or 0)
        else:
            unit = 8 * (member.type.size or 0)
            if member.width == 0 or (not pack and start % (8 * of or 1) + member.width > unit):
                start = _round(start, 8 * of or 1)
            elif member.align:
                start = _round(start, 8 * of)
            if member.name is None:
                of = 0  # padding aligns nothing
            else:
                fields.append((member.name, *bit_unit(member.type, start, member.width)))
            stop = start + member.width
        end = max(end, stop)
        whole = max(whole, of)
    return fields, _round(end, 8 * whole) // 8, whole


def _member_align(member: Member, packed: bool, pack: int) -> int:
    """Bytes; 0 for a bit-field that may begin at any bit."""
    natural = max(type_align(member.type), member.align)
    if member.width == 0:
        return natural
    if packed or member.packed:
        if member.width is None:
            natural = max(1, member.align)
        elif not pack:  # clang lets #pragma pack win over the attribute
            natural = member.align
    return min(natural, pack) if pack else natural


def bit_unit(type: CType, start: int, width: int) -> tuple[CType, int, int, int]:
    """A bit-field's type, the byte that its unit begins at, the first bit in it, and its width.

    A packed one may reach over its type's unit. Then the unit begins at another byte, or is larger.
    """
    size = type.size or 1
    if start % (8 * size) + width <= 8 * size:
        return type, start // (8 * size) * size, start % (8 * size), width
    while start % 8 + width > 8 * size:
        size *= 2
        if size > 8:
            raise LayoutError(f"its {width} bits begin within a byte and reach over 8 bytes")
        name = {2: "short", 4: "int", 8: "long long"}[size]
        type = CType.scalar("integer", name if type.signed else f"unsigned {name}", size, signed=type.signed)
    return type, start // 8, start % 8, width


def _round(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple

# SPDX-License-Identifier: Apache-2.0
"""The value of constant expressions, with C's integers: 1 << 31 is negative, and -1 < 0u is false."""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING, Any, NamedTuple

from ._layout import type_align

if TYPE_CHECKING:
    from collections.abc import Callable

    from anywasm._core import CType


class NotConstantError(Exception):
    """Not an expression whose value can be known; the message says what in it."""


class Value(NamedTuple):
    """bits: of an integer; 0 for float and str."""

    value: int | float | str
    bits: int = 32
    signed: bool = True


_SUFFIX = re.compile(r"([0-9a-fA-FxXbB']+?)([uUlLzZ]*)")
_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]+)|([0-7]{1,3})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))", re.DOTALL)
_ESCAPES = {"n": 10, "t": 9, "r": 13, "0": 0, "a": 7, "b": 8, "f": 12, "v": 11, "e": 27}


def integer(value: int, bits: int = 32, signed: bool = True) -> Value:
    """Wrapped to so many bits."""
    value &= (1 << bits) - 1
    if signed and value >> (bits - 1):
        value -= 1 << bits
    return Value(value, bits, signed)


def literal(text: str, long_bits: int) -> Value | None:
    """A number, a character or a string as C writes it; None if it is none of them."""
    if text[-1:] == '"':
        return Value(
            "".join(_string(part) for part in re.findall(r'(?:u8|[LuU])?"((?:[^"\\]|\\.)*)"', text, re.DOTALL)), 0
        )
    if text[-1:] == "'":
        content = _bytes(text[text.index("'") + 1 : -1])
        wide = text[0] != "'"
        value = ord(content.decode("utf-8", "replace")[:1] or "\0") if wide else int.from_bytes(content, "big")
        return integer(value, 32 if wide or len(content) > 1 else 8)._replace(bits=32)
    match = _SUFFIX.fullmatch(text)
    if match and text[0].isdigit():
        try:
            return _integer_literal(match[1].replace("'", ""), match[2].lower(), long_bits)
        except ValueError:
            pass
    if text[:1].isdigit() or text[:1] == ".":
        return _float_literal(text.lower())
    return None


def _integer_literal(digits: str, suffix: str, long_bits: int) -> Value:
    octal = len(digits) > 1 and digits[0] == "0" and digits[1].isdigit()
    value = int(digits, 8 if octal else 0)
    decimal = digits[0] != "0"
    least = 64 if "ll" in suffix else long_bits if "l" in suffix or "z" in suffix else 32
    for bits in sorted({least, 64}):
        if "u" not in suffix and value < 1 << (bits - 1):
            return Value(value, bits, signed=True)
        if ("u" in suffix or not decimal) and value < 1 << bits:
            return Value(value, bits, signed=False)
    return integer(value, 64, signed=False)


def _float_literal(text: str) -> Value | None:
    digits = text.rstrip("l") if text.startswith("0x") else text.rstrip("fl")
    if text.startswith("0x"):
        digits = re.sub(r"(p[+-]?\d+)f$", r"\1", digits)
    try:
        value = float.fromhex(digits) if text.startswith("0x") else float(digits)
    except (ValueError, OverflowError):
        return None
    return Value(_single(value) if text[-1] == "f" and not re.fullmatch(r"0x[^p]*", text) else value, 0)


def _single(value: float) -> float:
    try:
        return float(struct.unpack("f", struct.pack("f", value))[0])
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


def _bytes(content: str) -> bytes:
    def replace(match: re.Match[str]) -> str:
        hexadecimal, octal, short, long, other = match.groups()
        if hexadecimal or octal:
            return bytes([int(hexadecimal or octal, 16 if hexadecimal else 8) & 255]).decode("utf-8", "surrogateescape")
        if short or long:
            return chr(int(short or long, 16))
        return chr(_ESCAPES[other]) if other in _ESCAPES else str(other)

    return _ESCAPE.sub(replace, content).encode("utf-8", "surrogateescape")


def _string(content: str) -> str:
    """UTF-8; bytes that are none become surrogates, as os.fsdecode() has them."""
    return _bytes(content).decode("utf-8", "surrogateescape")


def convert(value: Value, type: CType) -> Value:
    """What a cast gives."""
    if isinstance(value.value, str) or type.kind not in {"integer", "char", "bool", "enum", "float"}:
        raise NotConstantError(f"a cast to '{type.name}' has no constant value")
    if type.kind == "float":
        return Value(_single(value.value) if type.size == 4 else float(value.value), 0)
    if type.kind == "bool":
        return Value(int(bool(value.value)))
    result = integer(int(value.value), 8 * (type.size or 0), type.signed)
    return result if result.bits >= 32 else Value(result.value)


def _arithmetic(op: str, left: Value, right: Value) -> Value:
    if isinstance(left.value, str) or isinstance(right.value, str):
        raise NotConstantError(f"'{op}' does not take strings")
    if isinstance(left.value, float) or isinstance(right.value, float):
        return _floating(op, left.value, right.value)
    a, b = int(left.value), int(right.value)
    if op in {"<<", ">>"}:
        if not 0 <= b < left.bits:
            raise NotConstantError(f"{b} is no number of bits to shift by")
        return integer(a << b if op == "<<" else a >> b, left.bits, left.signed)
    bits = max(left.bits, right.bits)
    signed = all(side.signed for side in (left, right) if side.bits == bits)
    a, b = int(integer(a, bits, signed).value), int(integer(b, bits, signed).value)
    if op in {"/", "%"}:
        if b == 0:
            raise NotConstantError("a division by zero")
        quotient = abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)
        return integer(quotient if op == "/" else a - quotient * b, bits, signed)
    if op in _COMPARE:
        return Value(int(_COMPARE[op](a, b)))
    if op not in _INTEGER:
        raise NotConstantError(f"'{op}' is in it")
    return integer(_INTEGER[op](a, b), bits, signed)


def _floating(op: str, a: float, b: float) -> Value:
    if op in _COMPARE:
        return Value(int(_COMPARE[op](a, b)))
    if op == "/" and b == 0:
        raise NotConstantError("a division by zero")
    operations: dict[str, Callable[[float, float], float]] = {
        "+": lambda a, b: a + b, "-": lambda a, b: a - b, "*": lambda a, b: a * b, "/": lambda a, b: a / b,
    }  # fmt: skip
    if op not in operations:
        raise NotConstantError(f"'{op}' does not take floating-point numbers")
    return Value(operations[op](float(a), float(b)), 0)


_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "==": lambda a, b: a == b, "!=": lambda a, b: a != b, "<": lambda a, b: a < b, ">": lambda a, b: a > b,
    "<=": lambda a, b: a <= b, ">=": lambda a, b: a >= b,
}  # fmt: skip
_INTEGER: dict[str, Callable[[int, int], int]] = {
    "+": lambda a, b: a + b, "-": lambda a, b: a - b, "*": lambda a, b: a * b, "&": lambda a, b: a & b,
    "|": lambda a, b: a | b, "^": lambda a, b: a ^ b,
}  # fmt: skip


class Evaluator:
    """Evaluates pycparser's expressions.

    type_of(node): the CType of a Typename. lookup(name): the value of a constant, or None. size_of(name): bytes of a
    variable, or None.
    """

    def __init__(
        self,
        pointer_size: int,
        type_of: Callable[[Any], CType],
        lookup: Callable[[str], Value | None],
        size_of: Callable[[str], int | None],
    ) -> None:
        self.long_bits = 8 * pointer_size
        self.type_of = type_of
        self.lookup = lookup
        self.size_of = size_of

    def __call__(self, node: Any) -> Value:
        """Raises NotConstantError."""
        kind = type(node).__name__
        if kind == "Constant":
            if (value := literal(node.value, self.long_bits)) is None:
                raise NotConstantError(f"'{node.value}' is no number")
            return value
        if kind == "ID":
            if (value := self.lookup(node.name)) is None:
                raise NotConstantError(f"'{node.name}' is not a constant")
            return value
        if kind == "UnaryOp":
            return self.unary(node)
        if kind == "BinaryOp":
            return self.binary(node)
        if kind == "TernaryOp":
            return self(node.iftrue if self(node.cond).value else node.iffalse)
        if kind == "Cast":
            return convert(self(node.expr), self.type_of(node.to_type))
        if kind == "FuncCall" and getattr(node.name, "name", "") == "offsetof":
            return self.offset(node.args.exprs)
        raise NotConstantError(
            {"FuncCall": "a function is called", "ExprList": "a comma is in it"}.get(kind, "it has no constant value")
        )

    def unary(self, node: Any) -> Value:
        if node.op in {"sizeof", "_Alignof"}:
            return integer(self.size(node.op, node.expr), self.long_bits, signed=False)
        operand = self(node.expr)
        if isinstance(operand.value, str) or node.op not in {"+", "-", "~", "!"}:
            raise NotConstantError(f"'{node.op}' is in it")
        if node.op == "!":
            return Value(int(not operand.value))
        if isinstance(operand.value, float):
            if node.op == "~":
                raise NotConstantError("'~' does not take floating-point numbers")
            return Value(-operand.value if node.op == "-" else operand.value, 0)
        value = int(operand.value)
        return integer({"+": value, "-": -value, "~": ~value}[node.op], operand.bits, operand.signed)

    def size(self, op: str, node: Any) -> int:
        if type(node).__name__ == "Typename":
            of = self.type_of(node)
            if of.size is None:
                raise NotConstantError(f"'{of.name}' has no size")
            return of.size if op == "sizeof" else type_align(of)
        if type(node).__name__ == "ID" and (size := self.size_of(node.name)) is not None:
            return size
        value = self(node)
        if isinstance(value.value, str):
            return len(value.value.encode("utf-8", "surrogateescape")) + 1
        return value.bits // 8 or 8

    def binary(self, node: Any) -> Value:
        left = self(node.left)
        if node.op in {"&&", "||"}:
            if bool(left.value) == (node.op == "||"):
                return Value(int(bool(left.value)))
            return Value(int(bool(self(node.right).value)))
        return _arithmetic(node.op, left, self(node.right))

    def offset(self, arguments: list[Any]) -> Value:
        of = self.type_of(arguments[0])
        name = getattr(arguments[1], "name", None)
        for field, _, offset, _, width in of.fields or ():
            if field == name and not width:
                return integer(offset, self.long_bits, signed=False)
        raise NotConstantError(f"'{of.name}' has no field '{name}'")

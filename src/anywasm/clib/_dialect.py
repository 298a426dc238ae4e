# SPDX-License-Identifier: Apache-2.0
"""Turns what compilers add to C into the C that pycparser reads.

Attributes that change a layout become what C has for it, or a _Pragma: "packed" and "aligned …" at the beginning of a
struct's body are about the struct, "packed field" is about the declaration that follows it. Other attributes go, and so
do the bodies of functions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ._declarations import DeclarationError
from ._preprocess import Token

if TYPE_CHECKING:
    from collections.abc import Sequence

_RENAMED = {
    "__const": "const", "__const__": "const", "__volatile": "volatile", "__volatile__": "volatile",
    "__inline": "inline", "__inline__": "inline", "__forceinline": "inline",
    "__signed": "signed", "__signed__": "signed",
    "__restrict": "restrict", "__restrict__": "restrict", "__complex__": "_Complex", "__alignof__": "_Alignof",
    "__alignof": "_Alignof", "alignof": "_Alignof", "alignas": "_Alignas", "static_assert": "_Static_assert",
    "__builtin_offsetof": "offsetof", "__thread": "_Thread_local", "thread_local": "_Thread_local",
}  # fmt: skip
_DROPPED = {
    "__extension__", "__cdecl", "__stdcall", "__fastcall", "__vectorcall", "_Nonnull", "_Nullable", "_Null_unspecified",
    "__ptr32", "__ptr64", "__unaligned", "_Noreturn",
}  # fmt: skip
_ASSEMBLER = {"asm", "__asm", "__asm__"}
_ATTRIBUTE = {"__attribute__", "__attribute", "__declspec", "_declspec"}
_CLOSING = {"(": ")", "[": "]", "{": "}"}
_REAL = {"float", "double"}

# Attributes that make a type that has no equal in Python, and what to do about it.
_REFUSED = {
    "vector_size": "vectors cannot be expressed; pass a pointer to an array",
    "ext_vector_type": "vectors cannot be expressed; pass a pointer to an array",
    "mode": "__attribute__((mode)) cannot be expressed; name the type, for example int64_t",
    "transparent_union": "a transparent union cannot be expressed; declare one of its members as the parameter",
    "scalar_storage_order": "another byte order cannot be expressed; declare an array of bytes",
    "ms_struct": "the layout of Microsoft's compiler cannot be expressed",
}


@dataclass(slots=True)
class _Bracket:
    """An open bracket. opened: its place in the output. member: where the declaration that we are in began."""

    text: str
    where: str
    opened: int
    record: bool = False
    member: int = 0


def simplify(tokens: Sequence[Token]) -> list[Token]:
    """Raises DeclarationError for brackets without partners, for C++, and for attributes that cannot be expressed."""
    return _Simplifier(tokens).run()


class _Simplifier:
    def __init__(self, tokens: Sequence[Token]) -> None:
        self.tokens = tokens
        self.position = 0
        self.output: list[Token] = []
        self.before: dict[int, list[str]] = {}  # by a place in the output: what to insert there
        self.stack: list[_Bracket] = []
        self.record_notes: list[str] = []  # attributes between `struct` and `{`
        self.closed_record: int | None = None  # the place of `{`, if a struct's `}` was the last token
        self.top = _Bracket("", "", 0)

    def run(self) -> list[Token]:
        while self.position < len(self.tokens):
            self.step()
        if self.stack:
            bracket = self.stack[-1]
            raise DeclarationError(f"{bracket.where}: this '{bracket.text}' is never closed")
        result: list[Token] = []
        for place, token in enumerate([*self.output, Token("", "")]):
            result += [Token(text, token.where) for text in self.before.get(place, ())]
            result.append(token)
        return result[:-1]

    def step(self) -> None:
        token = self.tokens[self.position]
        text = _RENAMED.get(token.text, token.text)
        if text in _DROPPED:
            self.position += 1
        elif text in _ATTRIBUTE:
            self.position += 1
            self.attributes(self.group("("), token.where)
        elif text == "[" and self.peek(1) == "[":
            self.attributes(self.group("["), token.where)  # C23's
        elif text in _ASSEMBLER and self.peek(1) in {"(", "volatile", "__volatile__"}:
            self.position += 1 if self.peek(1) == "(" else 2
            self.group("(")
        elif text == "extern" and self.peek(1).startswith('"'):
            raise DeclarationError(
                f'{token.where}: extern "C" is C++; C reads it only inside #ifdef __cplusplus … #endif'
            )
        elif text == "{" and not self.stack and self.last() == ")":
            self.group("{")  # a function's body
            self.emit(Token(";", token.where))
        else:
            self.position += 1
            if text == "complex" and _REAL & {self.last(), self.peek()}:
                text = "_Complex"
            self.emit(Token(text, token.where))

    def emit(self, token: Token) -> None:
        text = token.text
        inside = self.stack[-1] if self.stack else self.top
        self.closed_record = None
        if text in _CLOSING:
            bracket = _Bracket(text, token.where, len(self.output))
            if text == "{" and self.opens_record():
                bracket.record = True
                bracket.member = len(self.output) + 1
                if self.record_notes:
                    self.note(bracket.member, *self.record_notes)
                    self.record_notes = []
            self.stack.append(bracket)
        elif text in _CLOSING.values():
            if not self.stack or _CLOSING[self.stack[-1].text] != text:
                opened = f" ('{self.stack[-1].text}' of {self.stack[-1].where} is open)" if self.stack else ""
                raise DeclarationError(f"{token.where}: '{text}' closes nothing{opened}")
            bracket = self.stack.pop()
            if bracket.record:
                self.closed_record = bracket.opened
        elif text == ";":
            inside.member = len(self.output) + 1
            self.record_notes = []
        self.output.append(token)

    def opens_record(self) -> bool:
        """`{` comes next: does it begin a struct's body?"""
        words = [token.text for token in self.output[-2:]]
        return bool(words) and (
            words[-1] in {"struct", "union"} or (words[0] in {"struct", "union"} and len(words) == 2)
        )

    # --- attributes ---

    def attributes(self, tokens: list[Token], where: str) -> None:
        """Note what attributes say about a layout, where pycparser and the reader find it."""
        depth = 0
        for place, token in enumerate(tokens):
            depth += (token.text in _CLOSING) - (token.text in _CLOSING.values())
            name = token.text.strip("_")
            if depth > (2 if tokens[1].text in "([" else 1):  # an attribute's own arguments
                continue
            if name in _REFUSED:
                raise DeclarationError(f"{where}: {_REFUSED[name]}")
            if name == "packed":
                self.packed(where)
            elif name in {"aligned", "align"}:
                amount = _group(tokens, place + 1) if place + 1 < len(tokens) and tokens[place + 1].text == "(" else []
                self.aligned(" ".join(_RENAMED.get(part.text, part.text) for part in amount[1:-1]) or "16", where)

    def packed(self, where: str) -> None:
        if (place := self.this_record()) is not None:
            self.note(place, "packed")
        elif self.last() in {"struct", "union"} or self.last(2) in {"struct", "union"}:
            self.record_notes.append("packed")
        elif "enum" in {self.last(), self.last(2)}:
            raise DeclarationError(
                f"{where}: a packed enum cannot be expressed; declare an integer, for example int8_t"
            )
        elif self.stack and self.stack[-1].record:
            self.note(self.stack[-1].member, "packed field")
        # Elsewhere the compiler ignores it too.

    def aligned(self, amount: str, where: str) -> None:
        if (place := self.this_record()) is not None:
            self.note(place, f"aligned {amount}")
        elif self.last() in {"struct", "union"} or (
            self.last(2) in {"struct", "union"} and self.peek() in {"{", *_ATTRIBUTE}
        ):
            self.record_notes.append(f"aligned {amount}")
        elif self.stack and self.stack[-1].record:
            member = self.stack[-1].member
            if any(token.text == "," for token in self.output[member:]) or self.comma_follows():
                raise DeclarationError(f"{where}: declare a field with an alignment of its own in a line of its own")
            self.before.setdefault(member, []).append(f"_Alignas({amount})")
        elif not self.stack and any(token.text == "typedef" for token in self.output[self.top.member :]):
            raise DeclarationError(
                f"{where}: a typedef with an alignment of its own cannot be expressed; align the struct or its fields"
            )
        # A variable's alignment and a function's are the compiler's business.

    def this_record(self) -> int | None:
        """The beginning of the body of the struct whose `}` came last."""
        return None if self.closed_record is None else self.closed_record + 1

    def comma_follows(self) -> bool:
        for place in range(self.position, len(self.tokens)):
            if self.tokens[place].text in {",", ";"}:
                return self.tokens[place].text == ","
        return False

    def note(self, place: int, *notes: str) -> None:
        # In front: a pragma may not stand between an _Alignas and its declaration.
        self.before.setdefault(place, [])[:0] = [f'_Pragma("{note}")' for note in notes]

    # --- tokens ---

    def peek(self, distance: int = 0) -> str:
        place = self.position + distance
        return self.tokens[place].text if place < len(self.tokens) else ""

    def last(self, distance: int = 1) -> str:
        return self.output[-distance].text if distance <= len(self.output) else ""

    def group(self, opening: str) -> list[Token]:
        """What comes next in brackets, which it skips: the brackets too. Nothing if no such bracket comes."""
        if self.peek() != opening:
            return []
        found = _group(self.tokens, self.position)
        self.position += len(found)
        return found


def _group(tokens: Sequence[Token], start: int) -> list[Token]:
    depth = 0
    for place in range(start, len(tokens)):
        depth += (tokens[place].text in _CLOSING) - (tokens[place].text in _CLOSING.values())
        if depth == 0:
            return list(tokens[start : place + 1])
    raise DeclarationError(f"{tokens[start].where}: this '{tokens[start].text}' is never closed")

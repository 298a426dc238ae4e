# SPDX-License-Identifier: Apache-2.0
"""From tokens to pycparser's tree, and from its errors to messages for people."""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from ._basic import basic_types
from ._declarations import DeclarationError
from ._preprocess import INSTALL, Token

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

_KEYWORDS = frozenset({
    "auto", "break", "case", "char", "const", "continue", "default", "do", "double", "else", "enum", "extern", "float",
    "for", "goto", "if", "inline", "int", "long", "register", "restrict", "return", "short", "signed", "sizeof",
    "static", "struct", "switch", "typedef", "union", "unsigned", "void", "volatile", "while", "_Alignas", "_Alignof",
    "_Atomic", "_Bool", "_Complex", "_Generic", "_Noreturn", "_Static_assert", "_Thread_local", "_Pragma", "__int128",
    "offsetof",
})  # fmt: skip
# What may stand before a type.
_QUALIFIERS = frozenset({
    "const", "volatile", "restrict", "static", "extern", "typedef", "register", "inline", "_Thread_local", "auto",
})  # fmt: skip
_CPLUSPLUS = frozenset({
    "class", "namespace", "template", "public", "private", "protected", "virtual", "operator", "using", "friend",
    "explicit", "typename", "::", "&",
})  # fmt: skip
_PYTHON = frozenset({"def", "->", "None", "lambda", "fn", "func"})

# What people write who come from Python or another language.
_FOREIGN = {
    "str": "const char *", "string": "const char *", "String": "const char *", "bytes": "const char *",
    "bytearray": "uint8_t *", "list": "a pointer and a count", "tuple": "a struct", "dict": "a struct",
    "object": "void *", "None": "void", "Any": "void *", "complex": "double _Complex",
    "Callable": "a pointer to a function, for example int (*)(int)",
    "boolean": "bool", "byte": "uint8_t", "ubyte": "uint8_t", "ushort": "unsigned short", "uint": "unsigned int",
    "ulong": "unsigned long", "usize": "size_t", "isize": "ptrdiff_t", "real": "double", "number": "double",
    "i8": "int8_t", "i16": "int16_t", "i32": "int32_t", "i64": "int64_t", "u8": "uint8_t", "u16": "uint16_t",
    "u32": "uint32_t", "u64": "uint64_t", "f32": "float", "f64": "double", "float32": "float", "float64": "double",
    "int8": "int8_t", "int16": "int16_t", "int32": "int32_t", "int64": "int64_t", "uint8": "uint8_t",
    "uint16": "uint16_t", "uint32": "uint32_t", "uint64": "uint64_t",
}  # fmt: skip
# Types that compilers have and Python and WebAssembly have not.
_INEXPRESSIBLE = {
    "typeof": "write the type itself", "__typeof__": "write the type itself", "__typeof": "write the type itself",
    "_BitInt": "use an integer type of C", "_Float16": "use uint16_t", "__fp16": "use uint16_t",
    "__bf16": "use uint16_t", "_Float128": "use long double", "__float128": "use long double",
    "_Decimal32": "use an array of bytes", "_Decimal64": "use an array of bytes", "__externref_t": "pass an integer",
}  # fmt: skip

# Headers of the standard whose types are all known.
_WITHOUT_MORE = frozenset({
    "assert.h", "ctype.h", "errno.h", "float.h", "inttypes.h", "limits.h", "math.h", "stdarg.h", "stdbool.h",
    "stddef.h", "stdint.h", "string.h",
})  # fmt: skip


@dataclass(slots=True)
class Tree:
    """pycparser's nodes of the file, where its lines come from, and the tokens by line and column."""

    nodes: list[Any]
    lines: list[str]
    tokens: dict[tuple[int, int], str]

    def where(self, node: Any) -> str:
        """Where a node stands, "stats.h:12"; for one without a place that of the first one in it."""
        line = getattr(getattr(node, "coord", None), "line", None)
        if line is None:
            for _, child in node.children() if node is not None else ():
                if found := self.where(child):
                    return found
            return ""
        return self.lines[int(line) - 1]

    def says(self, node: Any) -> str:
        """The token that a node begins with."""
        coord = getattr(node, "coord", None)
        return "" if coord is None else self.tokens.get((coord.line, coord.column), "")


class Writer:
    """Text for pycparser, with a record of where each line and token of it comes from."""

    def __init__(self) -> None:
        self.text: list[str] = []
        self.lines: list[str] = []
        self.starts: list[tuple[int, int]] = []  # line and column of each token
        self.names: dict[str, str] = {}  # by those that pycparser gets for them: it reads ASCII alone

    def write(self, tokens: Sequence[Token]) -> None:
        column = 1
        for token in tokens:
            if not self.lines or self.lines[-1] != token.where:
                if self.lines:
                    self.text.append("\n")
                self.lines.append(token.where)
                column = 1
            text = token.text if token.text.isascii() else self.in_ascii(token.text)
            self.starts.append((len(self.lines), column))
            self.text.append(text + " ")
            column += len(text) + 1

    def in_ascii(self, text: str) -> str:
        if not text.isidentifier():
            return text
        name = "anywasm_" + "_".join(f"{ord(character):x}" for character in text)
        self.names[name] = text
        return name

    def parse(self, parser: Any) -> list[Any]:
        """pycparser's nodes of what was written."""
        nodes: list[Any] = parser.parse("".join(self.text), "C").ext
        if self.names:
            for node in nodes:
                self.restore_names(node)
        return nodes

    def restore_names(self, node: Any) -> None:
        for attribute in node.attr_names:
            value = getattr(node, attribute)
            if isinstance(value, str):
                setattr(node, attribute, self.names.get(value, value))
            elif isinstance(value, list):
                setattr(node, attribute, [self.names.get(each, each) for each in value])
        if hasattr(node, "declname"):  # which pycparser does not count as an attribute
            node.declname = self.names.get(node.declname, node.declname)
        for _, child in node.children():
            self.restore_names(child)


def parse_tokens(tokens: Sequence[Token], typedefs: Collection[str], missing: Sequence[str] = ()) -> Tree:
    """The declarations in the tokens.

    typedefs: names that are types already. missing: headers that were not found, for messages.
    Raises DeclarationError.
    """
    parser, failure = _parser()
    writer = Writer()
    prelude = _write(writer, tokens, typedefs)
    try:
        nodes = writer.parse(parser)
    except failure as error:
        raise _explain(_placed(str(error), parser), tokens, writer.starts[prelude:], typedefs, missing) from None
    except RecursionError:
        line = re.match(r"C:(\d+)", _placed("", parser))
        raise too_deep(writer.lines[int(line[1]) - 1] if line else tokens[0].where) from None
    return Tree(
        [node for node in nodes if not _is_prelude(node, writer.lines)],
        writer.lines,
        dict(zip(writer.starts[prelude:], (token.text for token in tokens), strict=False)),
    )


def parse_expression(tokens: Sequence[Token], typedefs: Collection[str]) -> Tree | None:
    """A tree of one node, or None if the tokens are no expression. Raises RecursionError."""
    if not tokens:
        return None
    parser, failure = _parser()
    writer = Writer()
    before = [Token(word, tokens[0].where) for word in ("int", "expression", "=")]
    _write(writer, [*before, *tokens, Token(";", tokens[-1].where)], typedefs)
    try:
        nodes = [node for node in writer.parse(parser) if not _is_prelude(node, writer.lines)]
    except failure:
        return None
    if len(nodes) != 1 or getattr(nodes[0], "name", None) != "expression":
        return None
    return Tree([nodes[0].init], writer.lines, {})


def _parser() -> tuple[Any, type[Exception]]:
    try:
        from pycparser.c_parser import CParser, ParseError
    except ImportError as error:
        raise ImportError(INSTALL) from error
    return CParser(), ParseError


def _write(writer: Writer, tokens: Sequence[Token], typedefs: Collection[str]) -> int:
    """Write the typedefs that the tokens need, and the tokens; gives how many tokens came before them.

    pycparser has to know which names are types; what they are is the reader's business.
    """
    for name in sorted({token.text for token in tokens}.intersection(typedefs)):
        writer.write([Token("typedef", ""), Token("int", ""), Token(name, ""), Token(";", "")])
    prelude = len(writer.starts)
    writer.write(tokens)
    return prelude


def _is_prelude(node: Any, lines: list[str]) -> bool:
    coord = getattr(node, "coord", None)
    return coord is not None and lines[coord.line - 1] == ""


def _placed(message: str, parser: Any) -> str:
    """pycparser 3 does not say for all errors where they are; then it is at the token that comes next."""
    if re.match(r"C:\d", message):
        return message
    try:
        token = parser._peek()
        return f"C:{token.lineno}:{token.column}: {re.sub(r'^(C|[?]): ', '', message)}"
    except Exception:  # noqa: BLE001  # none comes, or another version has no such method
        return message


def too_deep(where: str) -> DeclarationError:
    return DeclarationError(f"{where}: this is nested too deeply to be read")


def _explain(
    message: str,
    tokens: Sequence[Token],
    starts: list[tuple[int, int]],
    typedefs: Collection[str],
    missing: Sequence[str],
) -> DeclarationError:
    match = re.match(r"C:(\d+):(?:(\d+):)? (.*)", message, re.DOTALL)
    if match is None:
        # At the end of the text, or pycparser does not say where.
        where = tokens[-1].where if tokens else "<declarations>:1"
        if "end of input" in message.lower() and tokens:
            return DeclarationError(
                f"{where}: the declarations end in the middle of one: ';' is missing after '{tokens[-1].text}'"
            )
        return DeclarationError(f"{where}: {message}")
    line, column, story = int(match[1]), int(match[2] or 1), match[3]
    place = max(bisect_right(starts, (line, column)) - 1, 0)
    types = {*typedefs, *_declared_types(tokens[:place])}
    return DeclarationError(_story(story, tokens, place, types, missing))


def _declared_types(tokens: Sequence[Token]) -> set[str]:
    """Roughly: the names that typedefs among the tokens declare."""
    found: set[str] = set()
    inside = False
    for place, token in enumerate(tokens):
        inside = inside or token.text == "typedef"
        if inside and token.text == ";":
            names = [before.text for before in tokens[max(place - 40, 0) : place] if before.text.isidentifier()]
            found.update(names[-1:])
            inside = False
    return found


def _story(story: str, tokens: Sequence[Token], place: int, types: Collection[str], missing: Sequence[str]) -> str:
    token = tokens[place]
    last = tokens[place - 1] if place else Token("", token.where)
    near = {other.text for other in tokens[max(place - 3, 0) : place + 3]}
    if near & _CPLUSPLUS or any(text.startswith("~") for text in near):
        return (
            f"{token.where}: this is C++ (near '{token.text}'), and only C can be read: "
            'declare functions that are extern "C"'
        )

    if near & _PYTHON or token.text == ":":
        return f"{token.where}: this is not C (near '{token.text}'): a function is declared so: int add(int a, int b);"

    def is_name(text: str) -> bool:
        return text.isidentifier() and text not in _KEYWORDS and text not in types

    def begins_type(at: int) -> bool:
        """Does a type's name belong at this place?"""
        before = tokens[at - 1].text if at > 0 else ";"
        if before in {"{", ","} and _is_in_enum(tokens, at):
            return False
        return before in {";", "{", "(", ","} or before in _QUALIFIERS

    def unknown(at: int) -> str:
        name, *behind = (each.text for each in tokens[at : at + 3])
        if behind[:1] == ["("] and behind[1:] != ["*"]:
            return f"{tokens[at].where}: a type is missing before '{name}': what the function returns, or void"
        return unknown_type(tokens[at], types, missing)

    for at in (place, place - 1, place - 2):
        if at >= 0 and tokens[at].text in _INEXPRESSIBLE:
            return unknown_type(tokens[at], types, missing)
    if token.text == "/" and place + 1 < len(tokens) and tokens[place + 1].text == "*":
        return f"{token.where}: this comment is never closed"
    if place >= 2 and tokens[place - 2].text == ")" and last.text in _QUALIFIERS and token.text == ";":
        return f"{last.where}: '{last.text}' does not belong here, after ')'"
    if story.startswith("before"):
        if is_name(last.text) and begins_type(place - 1):
            return unknown(place - 1)
        behind = last.text in {",", ")"} or (last.text, token.text) == ("(", "*")
        if behind and place >= 2 and is_name(tokens[place - 2].text) and begins_type(place - 2):
            return unknown(place - 2)
        if is_name(token.text) and begins_type(place):
            return unknown(place)
        starts = token.text in _KEYWORDS or token.text in types or token.text in {"}", "_Pragma"}
        if (starts or last.where != token.where) and (last.text in {")", "}", "]"} or last.text.isidentifier()):
            return f"{last.where}: ';' is missing after '{last.text}'"
        return f"{token.where}: '{token.text}' does not belong here, after '{last.text}'{_not_found(missing)}"
    if story.startswith("Invalid function definition") and not (is_name(token.text) and begins_type(place)):
        # Something follows a declarator: old C declared the parameters there.
        end = tokens[_end_of_declarator(tokens, place)]
        return f"{end.where}: ';' is missing after '{end.text}'"
    if story.startswith(
        ("Missing type", "Invalid function definition", "Invalid declaration", "Invalid specifier list")
    ):
        # The declarator may be the name of a type that is not known: pycparser takes it for the declared name.
        for at in (place, place - 1, place + 1):
            if 0 <= at < len(tokens) and is_name(tokens[at].text) and begins_type(at):
                return unknown(at)
        if token.text in _KEYWORDS:
            return f"{token.where}: what follows '{token.text}' is no declaration"
        return f"{token.where}: a type is missing at '{token.text}'"
    if "previously declared" in story:
        return f"{token.where}: '{token.text}' is declared both as a type and as something else"
    if "Invalid multiple types" in story:
        end = tokens[_end_of_body(tokens, place)]
        if end.text == "}":
            return f"{end.where}: ';' is missing after '}}'"
        return f"{token.where}: two types at once, at '{token.text}': is a ';' missing before?"
    return f"{token.where}: {story[:1].lower()}{story[1:]}, at '{token.text}'"


def _end_of_declarator(tokens: Sequence[Token], place: int) -> int:
    """The declared name's place, or that of the parenthesis that ends its parameters."""
    depth = 0
    for at in range(place + 1, len(tokens)):
        depth += {"(": 1, ")": -1}.get(tokens[at].text, 0)
        if depth == 0:
            return at if at > place + 1 else place
    return place


def _end_of_body(tokens: Sequence[Token], place: int) -> int:
    """The place of the `}` that ends a struct or enum that begins here; this place for anything else."""
    depth = 0
    for at in range(place, len(tokens)):
        depth += {"{": 1, "}": -1}.get(tokens[at].text, 0)
        if depth == 0 and tokens[at].text == "}":
            return at
        if depth == 0 and at > place + 1:
            return place
    return place


def _is_in_enum(tokens: Sequence[Token], place: int) -> bool:
    depth = 0
    for at in range(place - 1, 0, -1):
        depth += {"{": 1, "}": -1}.get(tokens[at].text, 0)
        if depth > 0:
            return "enum" in (tokens[at - 1].text, tokens[at - 2].text)
    return False


def unknown_type(token: Token, types: Collection[str], missing: Sequence[str]) -> str:
    """The message about a name that should be a type."""
    name = token.text
    text = f"{token.where}: unknown type '{name}'"
    if name in _INEXPRESSIBLE:
        return f"{token.where}: '{name}' cannot be expressed; {_INEXPRESSIBLE[name]}"
    if name in _FOREIGN:
        return f"{text}: C has {_FOREIGN[name]}"
    if near := get_close_matches(name, [*types, *basic_types(), *_KEYWORDS], 1, 0.8):
        return f"{text}: is it '{near[0]}'?"
    text += _not_found(missing)
    return f"{text}; if it is only pointed at, declare it: typedef struct {name} {name};"


def _not_found(missing: Sequence[str]) -> str:
    elsewhere = [header for header in missing if header not in _WITHOUT_MORE]
    headers = ", ".join(f"<{header}>" for header in elsewhere[:5]) + (", …" if elsewhere[5:] else "")
    return (
        f"; it may come from a header that was not found: {headers} (include_dirs names their folders)"
        if headers
        else ""
    )

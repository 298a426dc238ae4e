# SPDX-License-Identifier: Apache-2.0
"""The C preprocessor: pcpp, with what the compiler for WebAssembly defines, and errors as exceptions."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from ._declarations import DeclarationError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

INSTALL = "reading C needs two more packages: pip install anywasm[clib]"


class Token(NamedTuple):
    """A token of C and where it stands: "stats.h:12"."""

    text: str
    where: str


@dataclass(slots=True)
class Preprocessed:
    """What is left of a text.

    macros: those that the text defined, without parameters: their tokens, with the macros in them expanded.
    definitions: all that the text defined, as it did: "stats.h:12: #define TWICE(n) (2 * (n))".
    missing: the system's headers that were not found.
    """

    tokens: list[Token]
    macros: dict[str, list[Token]]
    definitions: dict[str, str]
    missing: list[str]


# The longest first. Whatever else there is, is a token by itself.
_TOKEN = re.compile(
    r"""(?:u8|[LuU])?"(?:[^"\\]|\\.)*"
      | (?:u8|[LuU])?'(?:[^'\\]|\\.)*'
      | (?:[^\W\d]|\$)[\w$]*
      | \.?\d(?:[eEpP][+-]|[\w.])*
      | \.\.\.|<<=|>>=|->|\+\+|--|<<|>>|&&|\|\||::|[<>=!*/%+&|^-]=
      | \S""",
    re.VERBOSE | re.DOTALL,
)

MOST_INCLUDES = 15  # headers within headers; C promises no more

# Directives that pcpp does not know and that mean nothing here.
_IGNORED = {"ident", "sccs", "line", "warning", "include_next", "assert", "unassert"}


def split(text: str, where: str) -> list[Token]:
    """The tokens of C in a text without comments and directives."""
    return [Token(match, where) for match in _TOKEN.findall(text)]


def preprocess(
    text: str,
    file: str,
    *,
    pointer_size: int = 4,
    include_dirs: Sequence[str | os.PathLike[str]] = (),
    defines: Mapping[str, object] | None = None,
) -> Preprocessed:
    """Follow the directives, expand the macros.

    defines: macros by their names; True or None for one without a value.
    Raises DeclarationError for a directive that cannot be followed, and ImportError without pcpp.
    """
    try:
        import pcpp
    except ImportError as error:
        raise ImportError(INSTALL) from error

    missing: list[str] = []

    class Preprocessor(pcpp.Preprocessor):  # type: ignore[misc]
        def on_error(self, file: str, line: int, message: str) -> None:
            condition = re.match(r"Could not evaluate expression.*\(passed to evaluator: '(.*)'\)", message, re.DOTALL)
            story = f"the condition cannot be read: {condition[1]}" if condition else message[:1].lower() + message[1:]
            where = f"{file}:{line}" if line else self.place()  # pcpp does not always know
            raise DeclarationError(f"{where}: {story.strip()}")

        def place(self) -> str:
            return f"{self.lastdirective.source}:{self.lastdirective.lineno}"

        def on_file_open(self, _system: bool, path: str) -> Any:
            return open(path, encoding="utf-8-sig", errors="replace")  # comments in Latin-1 are common

        def on_include_not_found(self, malformed: bool, system: bool, _folder: str, name: str) -> None:
            if malformed:
                raise DeclarationError(f'{self.place()}: #include is followed by "name" or <name>')
            if not system:
                raise DeclarationError(
                    f'{self.place()}: "{name}" is not found; name the folder that has it in include_dirs'
                )
            if name not in missing:
                missing.append(name)
            raise pcpp.OutputDirective(pcpp.Action.IgnoreAndRemove)

        def on_directive_unknown(self, directive: Any, tokens: list[Any], *_: object) -> bool | None:
            rest = "".join(token.value for token in tokens)
            if directive.value == "pragma":
                return None  # passes
            if directive.value in _IGNORED:
                return True
            where = f"{directive.source}:{directive.lineno}"
            if directive.value == "error":
                raise DeclarationError(f"{where}: #error {rest}")
            raise DeclarationError(
                f"{where}: there is no directive #{directive.value}; a comment in C is /* … */ or // …"
            )

    preprocessor = Preprocessor()
    evaluate = preprocessor.evaluator
    preprocessor.evaluator = lambda tokens, **names: evaluate(_plain_condition(tokens, preprocessor), **names)
    preprocessor.path += [os.fspath(folder) for folder in include_dirs]
    for definition in _predefined(pointer_size):
        preprocessor.define(definition)
    for name, value in (defines or {}).items():
        preprocessor.define(name if value is None or value is True else f"{name} {value}")
    before = dict(preprocessor.macros)
    try:
        preprocessor.parse(text, file)
        tokens = _tokens(preprocessor)
    except RecursionError:
        included = preprocessor.include_depth > MOST_INCLUDES
        story = "the headers include each other without end" if included else "macros are nested too deeply here"
        raise DeclarationError(f"{preprocessor.place()}: {story}") from None
    except (
        AssertionError,
        AttributeError,
        IndexError,
        KeyError,
        TypeError,
        ValueError,
    ) as error:  # pcpp meets something unforeseen
        name = preprocessor.lastdirective.value
        raise DeclarationError(f"{preprocessor.place()}: the line with #{name} is not complete") from error
    defined = {
        name: macro
        for name, macro in preprocessor.macros.items()
        if before.get(name) is not macro and name != "__FILE__"
    }
    macros = {name: _expanded(preprocessor, macro) for name, macro in defined.items() if macro.arglist is None}
    definitions = {name: _definition(macro) for name, macro in defined.items()}
    return Preprocessed(tokens, macros, definitions, missing)


def _plain_condition(tokens: list[Any], preprocessor: Any) -> list[Any]:
    """What pcpp misreads in a condition: __has_include, and 1LL, which it takes for the integer 1L and a name L."""
    plain: list[Any] = []
    rest = iter([token for token in tokens if token.type != "CPP_WS"])
    for token in rest:
        if token.value in {"__has_include", "__has_include_next"}:
            name = ""
            while not name.endswith(")") and (part := next(rest, None)):
                name += part.value
            folders = [*preprocessor.temp_path, *preprocessor.path]
            there = any(os.path.isfile(os.path.join(folder, name[2:-2])) for folder in folders)
            token.type, token.value = "CPP_INTEGER", str(int(there))
        elif token.type == "CPP_ID" and set(token.value) <= set("uUlL") and plain and plain[-1].type == "CPP_INTEGER":
            continue  # in a condition all integers are 64 bits wide anyway
        plain.append(token)
    return plain


def _tokens(preprocessor: Any) -> list[Token]:
    """pcpp's tokens are not quite C's: three dots for an ellipsis. So what touches is put together and split anew."""
    found: list[Token] = []
    run = where = ""
    origin: object = None  # the macro that a token came from: what came from another does not touch
    line_begins = True
    while token := preprocessor.token():
        if token.type == "CPP_POUND" and line_begins:
            found += _pragma(preprocessor, token)
            continue
        expanded_from = getattr(token, "expanded_from", None)
        if token.type == "CPP_WS" or expanded_from != origin:
            found += split(run, where)
            run = ""
        if token.type == "CPP_WS":
            line_begins = line_begins or "\n" in token.value
            continue
        if not run:
            where = f"{token.source}:{token.lineno}"
            origin = expanded_from
        run += token.value
        line_begins = False
    return found + split(run, where)


def _pragma(preprocessor: Any, hash_token: Any) -> list[Token]:
    """The rest of a #pragma's line: `#pragma pack` changes layouts and stays, as an operator; others mean nothing."""
    line = ""
    while (token := preprocessor.token()) and token.value != "\n":
        line += token.value
    text = line.strip().removeprefix("pragma").strip()
    where = f"{hash_token.source}:{hash_token.lineno}"
    return [Token(f'_Pragma("{text}")', where)] if text.startswith("pack") else []


def _expanded(preprocessor: Any, macro: Any) -> list[Token]:
    where = f"{macro.source}:{macro.lineno}"
    if len(macro.value) == 1 and macro.value[0].type != "CPP_ID":
        return [Token(macro.value[0].value, where)]
    from copy import copy

    try:
        tokens = preprocessor.expand_macros([copy(token) for token in macro.value], [macro.name])
    except RecursionError:
        return [Token(macro.name, where)]  # whatever it is, it is no number
    parts = [
        ("" if getattr(token, "expanded_from", None) == getattr(before, "expanded_from", None) else " ") + token.value
        for before, token in zip([None, *tokens], tokens, strict=False)
    ]
    return split("".join(parts), where)


def _definition(macro: Any) -> str:
    parameters = "" if macro.arglist is None else f"({', '.join(macro.arglist)})".replace("__VA_ARGS__", "...")
    text = "".join(token.value for token in macro.value)
    line = f"{macro.source}:{macro.lineno}: #define {macro.name}{parameters} {text}".rstrip()
    return line if len(line) <= 200 else f"{line[:200]}…"


def _predefined(pointer_size: int) -> list[str]:
    """What clang defines for WebAssembly, as far as headers ask for it, and the limits of <limits.h> and <stdint.h>."""
    long = 8 * pointer_size
    definitions = [
        "__STDC__ 1", "__STDC_HOSTED__ 1", "__STDC_VERSION__ 201112L", "__clang__ 1", "__clang_major__ 19",
        "__clang_minor__ 1", "__GNUC__ 4", "__GNUC_MINOR__ 2", "__GNUC_PATCHLEVEL__ 1", "__wasm 1", "__wasm__ 1",
        f"__wasm{long} 1", f"__wasm{long}__ 1", "__wasi__ 1", "__CHAR_BIT__ 8", "__SIZEOF_SHORT__ 2",
        "__SIZEOF_INT__ 4", f"__SIZEOF_LONG__ {pointer_size}", "__SIZEOF_LONG_LONG__ 8",
        f"__SIZEOF_POINTER__ {pointer_size}", f"__SIZEOF_SIZE_T__ {pointer_size}", "__SIZEOF_FLOAT__ 4",
        "__SIZEOF_DOUBLE__ 8", "__SIZEOF_LONG_DOUBLE__ 16", "__SIZEOF_WCHAR_T__ 4", "__BIGGEST_ALIGNMENT__ 16",
        "__ORDER_LITTLE_ENDIAN__ 1234", "__ORDER_BIG_ENDIAN__ 4321", "__BYTE_ORDER__ 1234", "__LITTLE_ENDIAN__ 1",
        "__SIZE_TYPE__ unsigned long", "__PTRDIFF_TYPE__ long", "__WCHAR_TYPE__ int", "__WINT_TYPE__ unsigned int",
        "__INTPTR_TYPE__ long", "__UINTPTR_TYPE__ unsigned long", "__INTMAX_TYPE__ long long",
        "__UINTMAX_TYPE__ unsigned long long", "__INT8_TYPE__ signed char", "__UINT8_TYPE__ unsigned char",
        "__INT16_TYPE__ short", "__UINT16_TYPE__ unsigned short", "__INT32_TYPE__ int",
        "__UINT32_TYPE__ unsigned int", "__INT64_TYPE__ long long", "__UINT64_TYPE__ unsigned long long",
        "__SCHAR_MAX__ 127", "__SHRT_MAX__ 32767", "__INT_MAX__ 2147483647",
        f"__LONG_MAX__ {2 ** (long - 1) - 1}L", "__LONG_LONG_MAX__ 9223372036854775807LL",
        f"__SIZE_MAX__ {2**long - 1}UL",
        # All attributes are known: what they say is read, or can be ignored.
        "__has_attribute(x) 1", "__has_declspec_attribute(x) 1", "__has_builtin(x) 0", "__has_feature(x) 0",
        "__has_extension(x) 0", "__has_c_attribute(x) 0", "__has_cpp_attribute(x) 0", "__has_warning(x) 0",
        "NULL ((void *)0)", "CHAR_BIT 8", "CHAR_MIN (-128)", "CHAR_MAX 127", "SCHAR_MIN (-128)", "SCHAR_MAX 127",
        "UCHAR_MAX 255", "PATH_MAX 4096", "NAME_MAX 255", "FILENAME_MAX 4096", "BUFSIZ 1024", "EOF (-1)",
    ]  # fmt: skip
    definitions.append("_LP64 1" if long == 64 else "__ILP32__ 1")
    sizes = {
        "SHRT": (16, ""), "INT": (32, ""), "LONG": (long, "L"), "LLONG": (64, "LL"), "INT8": (8, ""), "INT16": (16, ""),
        "INT32": (32, ""), "INT64": (64, "LL"), "INTPTR": (long, "L"), "INTMAX": (64, "LL"), "PTRDIFF": (long, "L"),
    }  # fmt: skip
    for name, (bits, suffix) in sizes.items():
        most = 2 ** (bits - 1) - 1
        definitions += [f"{name}_MAX {most}{suffix}", f"{name}_MIN (-{most}{suffix}-1)"]
        if name != "PTRDIFF":
            unsigned = suffix if bits < 32 else f"U{suffix}"
            definitions.append(f"U{name}_MAX {2**bits - 1}{unsigned}")
    definitions.append(f"SIZE_MAX {2**long - 1}UL")
    for bits, suffix in {8: "", 16: "", 32: "", 64: "LL"}.items():
        definitions += [f"INT{bits}_C(x) x ## {suffix}" if suffix else f"INT{bits}_C(x) x"]
        definitions += [f"UINT{bits}_C(x) x ## U{suffix}" if bits >= 32 else f"UINT{bits}_C(x) x"]
    return definitions

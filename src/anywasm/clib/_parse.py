# SPDX-License-Identifier: Apache-2.0
"""Reads C declarations: text or a header becomes Declarations."""

from __future__ import annotations

import enum
import os
import re
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, NoReturn, cast

from anywasm._core import CType

from ._basic import basic_types, specifiers
from ._declarations import DeclarationError, Declarations, Declared
from ._dialect import simplify
from ._expressions import Evaluator, NotConstantError, Value, convert, integer, literal
from ._layout import LayoutError, Member, lay_out, type_align
from ._preprocess import Preprocessed, Token, preprocess, split
from ._syntax import Tree, parse_expression, parse_tokens, too_deep, unknown_type

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


def parse(text: str, *, pointer_size: int = 4, file: str = "<declarations>") -> Declarations:
    """Read C declarations.

    pointer_size: bytes, 4 for wasm32 and 8 for wasm64. file: what messages call the text.
    Raises DeclarationError for what cannot be read or expressed, naming file and line; ImportError without the packages
    of the extra "clib".
    """
    return _read(preprocess(text, file, pointer_size=pointer_size), pointer_size)


def parse_header(
    path: str | os.PathLike[str],
    *,
    pointer_size: int = 4,
    include_dirs: Sequence[str | os.PathLike[str]] = (),
    defines: Mapping[str, object] | None = None,
) -> Declarations:
    """Read a header, and what it includes, as the library's compiler reads it.

    include_dirs: folders of headers. The system's headers need not be in them: their usual types and limits are known.
    defines: macros by name, as of the compiler's -D; True for one without a value.
    Raises as parse() does, and OSError if there is no such file.
    """
    file = os.fspath(path)
    with open(file, encoding="utf-8-sig", errors="replace") as stream:
        text = stream.read()
    return _read(
        preprocess(text, file, pointer_size=pointer_size, include_dirs=include_dirs, defines=defines), pointer_size
    )


def typeof(declarations: Declarations, text: str) -> CType:
    """The type that C calls *text*: "point *", "int (*)(int, void *)", "double[4]".

    The same object for the same text. Raises DeclarationError for what is no type in these declarations.
    """
    found = declarations.spelled.get(text)
    if found is None:
        try:
            found = _simple(declarations, text) or Reader(declarations).type_name(text)
        except ValueError as error:  # CType has no such type
            raise DeclarationError(f"'{_shown(text)}': {error}") from None
        declarations.spelled[text] = found
    return found


def _shown(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _read(source: Preprocessed, pointer_size: int) -> Declarations:
    declarations = Declarations(pointer_size)
    reader = Reader(declarations, source.missing)
    tree = parse_tokens(simplify(source.tokens), reader.known_types(), source.missing)
    try:
        reader.read(tree)
    except RecursionError:
        raise too_deep(reader.where) from None
    except ValueError as error:  # CType has no such type
        raise DeclarationError(f"{reader.where}: {error}") from None
    reader.read_macros(source.macros)
    declarations.macros = {
        name: text for name, text in source.definitions.items() if name not in declarations.constants
    }
    return declarations


# --- names of types without pycparser ---------------------------------------------------------------------------

_SIMPLE = re.compile(
    r"\s*(const\s+)?((?:(?:struct|union|enum)\s+)?\w+(?:\s+(?!const\b)\w+)*)((?:\s*\*)*)\s*((?:\[\s*\d+\s*\]\s*)*)"
)

_LONGEST = 200  # characters


def _simple(declarations: Declarations, text: str) -> CType | None:
    """A name, stars, lengths: what most texts are, so that asking for one loads no parser. None for anything else."""
    match = _SIMPLE.fullmatch(text)
    if match is None or len(text) > _LONGEST:
        return None
    const, words, stars, lengths = match.groups()
    name = " ".join(words.split())
    basic = basic_types(declarations.pointer_size)
    found = (
        declarations.types.get(name) or basic.get(name) or basic.get(specifiers().get(tuple(sorted(name.split())), ""))
    )
    if found is None:
        return None
    readonly = const is not None or name in declarations.const_types
    for _ in range(stars.count("*")):
        found = CType.pointer(found, readonly, declarations.pointer_size)
        readonly = False
    if lengths and found.size is None:
        return None
    for length in reversed(re.findall(r"\d+", lengths)):
        found = CType.array(found, int(length))
    return found


# --- reading the tree -------------------------------------------------------------------------------------------


class _Qualified(NamedTuple):
    type: CType
    const: bool = False


class Reader:
    """Turns pycparser's tree into the types and names of Declarations."""

    def __init__(self, declarations: Declarations, missing: Sequence[str] = ()) -> None:
        self.declarations = declarations
        self.pointer_size = declarations.pointer_size
        self.missing = missing
        self.basic = basic_types(self.pointer_size)
        self.values: dict[str, Value] = {"true": Value(1), "false": Value(0)}
        self.packs: list[int] = []  # of #pragma pack
        self.pack = 0
        self.tree = Tree([], [], {})
        self.where = "<type>:1"  # of what is being read, for nodes that do not know their place
        self.evaluate = Evaluator(self.pointer_size, self.type_of, self.lookup, self.size_of)

    def fail(self, node: Any, message: str) -> NoReturn:
        raise DeclarationError(f"{self.place(node)}: {message}")

    def unknown(self, token: Token) -> NoReturn:
        raise DeclarationError(unknown_type(token, self.known_types(), self.missing))

    def place(self, node: Any) -> str:
        return self.tree.where(node) or self.where

    def known_types(self) -> set[str]:
        named = {name for name in self.declarations.types if " " not in name}
        return {*named, *(name for name in self.basic if name.isidentifier() and name not in _C_WORDS), "FILE"}

    def type_name(self, text: str) -> CType:
        """What typeof() gives, for any text."""
        try:
            tokens = simplify(split(text, self.where))
            words = [token for token in tokens if token.text not in _QUALIFIERS]
            tree = parse_expression(
                [self.token("sizeof"), self.token("("), *tokens, self.token(")")], self.known_types()
            )
            node = getattr(tree.nodes[0], "expr", None) if tree is not None else None
            if tree is not None and type(node).__name__ == "Typename":
                self.tree = tree
                return self.type_of(node)
            if words and words[0].text.isidentifier() and words[0].text not in self.known_types() | _C_WORDS:
                self.unknown(words[0])
            self.fail(None, "C has no type that is spelled so")
        except (DeclarationError, RecursionError) as error:
            story = str(too_deep(self.where) if isinstance(error, RecursionError) else error)
            raise DeclarationError(f"'{_shown(text)}'{story.removeprefix(self.where)}") from None

    def token(self, text: str) -> Token:
        return Token(text, self.where)

    # --- declarations ---

    def read(self, tree: Tree) -> None:
        self.tree = tree
        for node in tree.nodes:
            self.where = self.place(node)
            kind = type(node).__name__
            if kind == "Typedef":
                self.typedef(node)
            elif kind == "Decl":
                self.declaration(node)
            elif kind == "Pragma":
                self.pragma(node)
            elif kind == "StaticAssert":
                self.static_assert(node)
            elif kind == "FuncDef":
                self.fail(node, "write the function with the types of its parameters in parentheses")

    def typedef(self, node: Any) -> None:
        base: Any = node.type.type if type(node.type).__name__ == "TypeDecl" else None
        anonymous = type(base).__name__ in {"Struct", "Union", "Enum"} and base.name is None
        found = self.qualified(node.type, node.name if anonymous else None)
        types = self.declarations.types
        if node.name in types:
            was = _Qualified(types[node.name], node.name in self.declarations.const_types)
            if was.const != found.const or not _same_record(was.type, found.type):
                self.fail(node, f"'{node.name}' is already another type, '{was.type.name}'")
            return
        if self.basic.get(node.name) == found.type:  # the system's headers say what we knew
            found = _Qualified(self.basic[node.name], found.const)
        types[node.name] = found.type
        if found.const:
            self.declarations.const_types.add(node.name)

    def declaration(self, node: Any) -> None:
        kind = type(node.type).__name__
        if kind in {"Struct", "Union", "Enum"}:  # no variable
            self.tagged(node.type)
            return
        found = self.qualified(node.type)
        if found.type.kind == "function":
            if "static" not in node.storage:
                self.function(node, found.type)
            return
        found = _Qualified(self.sized_by_initializer(found.type, node), found.const)
        if "static" in node.storage:
            self.static_constant(node, found)
            return
        if found.type.kind == "void":
            self.fail(node, f"the variable '{node.name}' is of type void, which no value has")
        self.variable(node, found)

    def function(self, node: Any, of: CType) -> None:
        functions = self.declarations.functions
        if node.name in self.declarations.variables:
            self.fail(node, f"'{node.name}' is already a variable")
        if (was := functions.get(node.name)) is not None:
            if was.type != of:
                self.differs(node, was, of)
            if any(was.type.parameter_names or ()):
                return
        functions[node.name] = Declared(of, self.place(node))

    def variable(self, node: Any, found: _Qualified) -> None:
        variables = self.declarations.variables
        if node.name in self.declarations.functions:
            self.fail(node, f"'{node.name}' is already a function")
        if (was := variables.get(node.name)) is not None and was.type != found.type:
            arrays = was.type.kind == found.type.kind == "array" and was.type.item == found.type.item
            if not arrays or None not in {was.type.length, found.type.length}:
                self.differs(node, was, found.type)
            if found.type.length is None:
                return
        variables[node.name] = Declared(found.type, self.place(node), found.const)

    def differs(self, node: Any, was: Declared, of: CType) -> NoReturn:
        self.fail(node, f"'{node.name}' is already declared in {was.where}, as '{was.type.name}' and not '{of.name}'")

    def static_constant(self, node: Any, found: _Qualified) -> None:
        """`static const int limit = 5;`: no variable that a module exports, but a constant."""
        if found.const and node.init is not None and found.type.kind in {"integer", "char", "bool", "float"}:
            try:
                self.values[node.name] = value = convert(self.evaluate(node.init), found.type)
            except NotConstantError:
                return
            self.declarations.constants[node.name] = value.value

    def sized_by_initializer(self, of: CType, node: Any) -> CType:
        if of.kind != "array" or of.length is not None or node.init is None or of.item is None:
            return of
        if type(node.init).__name__ == "InitList":
            if any(type(item).__name__ == "NamedInitializer" for item in node.init.exprs):
                return of
            return CType.array(of.item, len(node.init.exprs))
        try:
            return CType.array(of.item, self.evaluate.size("sizeof", node.init))
        except NotConstantError:
            return of

    def static_assert(self, node: Any) -> None:
        try:
            true = self.evaluate(node.cond).value
        except NotConstantError:
            return
        if not true:
            story = f": {self.evaluate(node.message).value}" if node.message is not None else ""
            self.fail(node, f"the _Static_assert is false for this library's memory{story}")

    def pragma(self, node: Any) -> None:
        """#pragma pack, as clang has it."""
        words = [word for word in re.split(r"[\s(),]+", _pragma_text(node)) if word]
        if words[:1] != ["pack"]:
            return
        numbers = [int(word) for word in words if word.isdigit()]
        if "push" in words:
            self.packs.append(self.pack)
        elif "pop" in words:
            self.pack = self.packs.pop() if self.packs else 0
        elif not numbers:
            self.pack = 0
        if numbers:
            self.pack = numbers[-1]

    # --- types ---

    def type_of(self, node: Any) -> CType:
        return self.qualified(node).type

    def qualified(self, node: Any, name: str | None = None) -> _Qualified:
        """The type of a declarator. name: for a struct, union or enum in it that has none."""
        kind = type(node).__name__
        if kind == "Typename":
            return self.qualified(node.type, name)
        if kind == "TypeDecl":
            self.refuse_atomic(node, node.quals)
            found = self.qualified(node.type, name)
            return _Qualified(found.type, found.const or "const" in node.quals)
        if kind == "PtrDecl":
            self.refuse_atomic(node, node.quals)
            target = self.qualified(node.type, name)
            return _Qualified(CType.pointer(target.type, target.const, self.pointer_size), "const" in node.quals)
        if kind == "ArrayDecl":
            return self.array(node, name)
        if kind == "FuncDecl":
            return _Qualified(self.function_type(node))
        if kind in {"Struct", "Union", "Enum"}:
            return _Qualified(self.tagged(node, name))
        if kind == "IdentifierType":
            return self.named(node)
        return self.fail(node, f"this type cannot be expressed ({kind})")

    def refuse_atomic(self, node: Any, qualifiers: Sequence[str]) -> None:
        if "_Atomic" in qualifiers:
            self.fail(
                node,
                "_Atomic cannot be expressed; declare the plain type if the library is not called by several threads",
            )

    def named(self, node: Any) -> _Qualified:
        names = node.names
        types = self.declarations.types
        if names == ["FILE"] and "FILE" not in types:
            types["FILE"] = CType.record("struct", "FILE")  # what is in it is the C library's secret
        if len(names) == 1 and (found := types.get(names[0]) or self.basic.get(names[0])) is not None:
            return _Qualified(found, names[0] in self.declarations.const_types)
        spelled = specifiers().get(tuple(sorted(names)))
        if spelled is not None:
            return _Qualified(self.basic[spelled])
        if "__int128" in names:
            self.fail(node, "__int128 has no equal; declare a struct of two uint64_t")
        if len(names) == 1:
            self.unknown(Token(names[0], self.place(node)))
        return self.fail(node, f"'{' '.join(names)}' is no type")

    def array(self, node: Any, name: str | None) -> _Qualified:
        item = self.qualified(node.type, name)
        if item.type.kind == "function":
            self.fail(node, "there are no arrays of functions; declare one of pointers: (*name[])(…)")
        if item.type.size is None:
            self.fail(node, f"an array's items need a size, and '{item.type.name}' has none")
        length = None if node.dim is None else self.constant(node.dim, "an array's length")
        if length is not None and length < 0:
            self.fail(node, f"an array's length is not negative, and this is {length}")
        try:
            return _Qualified(CType.array(item.type, length), item.const)
        except OverflowError:
            self.fail(node, f"an array of {length} '{item.type.name}' is larger than any memory")

    def constant(self, node: Any, what: str) -> int:
        try:
            value = self.evaluate(node).value
        except NotConstantError as error:
            self.fail(node, f"{what} is not constant: {error}")
        if not isinstance(value, int):
            self.fail(node, f"{what} is an integer, not {value!r}")
        return value

    def function_type(self, node: Any) -> CType:
        result = self.qualified(node.type).type
        if result.kind in {"array", "function"}:
            self.fail(node, f"a function returns no {result.kind}; return a pointer")
        if result.size is None and result.kind != "void":
            self.fail(
                node,
                f"the function returns '{result.name}' by value, which is not defined; define it, or return a pointer",
            )
        parameters: list[CType] = []
        names: list[str | None] = []
        variadic = False
        for parameter in node.args.params if node.args is not None else ():
            kind = type(parameter).__name__
            if kind == "EllipsisParam":
                variadic = True
            elif kind == "ID":  # old C has names here; who writes them today means types
                self.unknown(Token(parameter.name, self.place(parameter)))
            elif not (kind == "Typename" and self.is_void(parameter) and len(node.args.params) == 1):
                parameters.append(self.parameter(parameter))
                names.append(parameter.name)
        return CType.function(result, parameters, names, variadic)

    def is_void(self, node: Any) -> bool:
        return type(node.type).__name__ == "TypeDecl" and self.type_of(node.type).kind == "void"

    def parameter(self, node: Any) -> CType:
        """Arrays are passed as pointers, of whatever length, and functions too."""
        base = getattr(node.type, "type", None)
        if node.name and type(base).__name__ == "IdentifierType" and self.tree.says(base) in _QUALIFIERS:
            # `const foo`, and foo is no type: pycparser takes it for the name of an int.
            self.unknown(Token(node.name, self.place(node)))
        if type(node.type).__name__ == "ArrayDecl":
            item = self.qualified(node.type.type)
            return CType.pointer(item.type, item.const, self.pointer_size)
        found = self.qualified(node.type)
        if found.type.kind == "array" and found.type.item is not None:
            return CType.pointer(found.type.item, found.const, self.pointer_size)
        if found.type.kind == "function":
            return CType.pointer(found.type, size=self.pointer_size)
        if found.type.size is None:
            named = f"the parameter '{node.name}'" if node.name else "a parameter"
            story = "no value has" if found.type.kind == "void" else "is not defined; define it, or pass a pointer"
            self.fail(node, f"{named} is of type '{found.type.name}', which {story}")
        return found.type

    # --- structs, unions, enums ---

    def tagged(self, node: Any, name: str | None = None) -> CType:
        if type(node).__name__ == "Enum":
            return self.enum(node, name)
        kind: Literal["struct", "union"] = "union" if type(node).__name__ == "Union" else "struct"
        types = self.declarations.types
        tag = f"{kind} {node.name}" if node.name else None
        for other in ("struct", "union", "enum"):
            if node.name and other != kind and f"{other} {node.name}" in types:
                self.fail(node, f"'{node.name}' is already {'an' if other == 'enum' else 'a'} {other}")
        found = types.get(tag) if tag else None
        if node.decls is None:
            if found is None:
                assert tag is not None
                found = types[tag] = CType.record(kind, tag)
            return found
        again = found is not None and found.size is not None
        if found is None or again:
            fresh = CType.record(kind, tag or name or f"{kind} (anonymous, {self.place(node)})")
            if found is None and tag:
                types[tag] = fresh
        else:
            fresh = found
        self.define(fresh, kind, node)
        if found is not None and again:
            if not _same_record(found, fresh):
                self.fail(node, f"'{tag}' is already defined, with other fields")
            return found
        return fresh

    def define(self, record: CType, kind: str, node: Any) -> None:
        members: list[Member] = []
        packed = packed_field = False
        align = 0
        names: set[str] = set()
        for place, part in enumerate(node.decls):
            if type(part).__name__ == "Pragma":
                text = _pragma_text(part)
                packed = packed or text == "packed"
                packed_field = packed_field or text == "packed field"
                if text.startswith("aligned "):
                    align = max(align, self.attribute_value(text.removeprefix("aligned "), part))
                if text.startswith("pack("):
                    self.pragma(part)
                continue
            if type(part).__name__ == "StaticAssert":
                self.static_assert(part)
                continue
            last = kind == "struct" and bool(members) and place == len(node.decls) - 1
            member = self.member(part, record, packed_field, last)
            packed_field = False
            if member is None:
                continue
            for field in _field_names(member):
                if field in names:
                    self.fail(part, f"'{record.name}' has two fields '{field}'")
                names.add(field)
            members.append(member)
        try:
            fields, size, alignment = lay_out(kind, members, packed=packed, pack=self.pack, align=align)
        except LayoutError as error:
            self.fail(
                node,
                f"a bit-field of '{record.name}' cannot be expressed: {error}; declare an array of bytes in its place",
            )
        record.define(fields, size, alignment)

    def member(self, node: Any, record: CType, packed: bool, last: bool) -> Member | None:
        kind = type(node.type).__name__
        if kind in {"Struct", "Union", "Enum"}:
            # Without a declarator: an anonymous struct whose fields are the outer one's, or just a type's definition.
            of = self.tagged(node.type)
            if kind == "Enum" or node.type.name is not None:
                return None
            return Member(None, of, align=self.alignas(node), packed=packed)
        if kind == "IdentifierType":
            self.fail(node, f"a field of type '{' '.join(node.type.names)}' has no name")
        of = self.qualified(node.type, f"{record.name}.{node.name}").type
        label = f"the field '{node.name}'"
        if node.bitsize is not None:
            return self.bit_field(node, of, packed)
        if of.kind == "function":
            self.fail(node, f"{label} is a function; declare a pointer to one: (*{node.name})(…)")
        if of.kind == "array" and of.length is None:
            if not last:
                self.fail(node, f"{label} is an array without a length; only the last field of several may be one")
        elif of.size is None:
            self.fail(
                node,
                f"{label} is of type '{of.name}', which is not defined; define it before, or declare a pointer to it",
            )
        return Member(node.name, of, align=self.alignas(node), packed=packed)

    def bit_field(self, node: Any, of: CType, packed: bool) -> Member:
        label = f"the bit-field '{node.name}'" if node.name else "a bit-field"
        if of.kind not in {"integer", "char", "bool", "enum"}:
            self.fail(node, f"{label} is of type '{of.name}'; bit-fields are integers")
        width = self.constant(node.bitsize, "a bit-field's width")
        most = 1 if of.kind == "bool" else 8 * (of.size or 0)
        if not 0 <= width <= most:
            self.fail(node, f"{label} has {width} bits, and '{of.name}' has {most}")
        if width == 0 and node.name:
            self.fail(node, f"{label} has no bits; one of width 0 has no name")
        return Member(node.name, of, width, self.alignas(node), packed)

    def alignas(self, node: Any) -> int:
        amounts = [0]
        for specifier in node.align or ():
            if type(specifier.alignment).__name__ == "Typename":
                amounts.append(type_align(self.type_of(specifier.alignment)))
            else:
                amounts.append(self.alignment(self.constant(specifier.alignment, "an alignment"), specifier))
        return max(amounts)

    def attribute_value(self, text: str, node: Any) -> int:
        try:
            value = self.expression(split(text, self.place(node)))
        except (NotConstantError, DeclarationError) as error:
            self.fail(node, f"an alignment is not constant: {error}")
        if not isinstance(value.value, int):
            self.fail(node, "an alignment is an integer")
        return self.alignment(value.value, node)

    def alignment(self, value: int, node: Any) -> int:
        if value < 0 or value & (value - 1) or value > 1 << 16:
            self.fail(node, f"an alignment is a power of two, at most 65536, and not {value}")
        return value

    def enum(self, node: Any, name: str | None) -> CType:
        types = self.declarations.types
        tag = f"enum {node.name}" if node.name else None
        if node.values is None:
            found = types.get(tag) if tag else None
            if found is None:
                self.fail(node, f"'{tag}' is not defined; enums are defined before they are used")
            return found
        for other in ("struct", "union"):
            if f"{other} {node.name}" in types:
                self.fail(node, f"'{node.name}' is already a {other}")
        members = self.enumerators(node)
        enumeration = enumeration_of(node.name or name, members)
        if (was := types.get(tag or name or "")) is not None and was.kind == "enum":
            if _members(was.members) != _members(enumeration):
                self.fail(node, f"'{tag or name}' is already defined, with other members")
            return was
        found = CType.enumeration(
            tag or name or f"enum (anonymous, {self.place(node)})", self.basic[_enum_integer(members)], enumeration
        )
        if tag:
            types[tag] = found
        known = _members(enumeration)
        for member, value in members.items():
            as_member = enumeration is not None and member in known
            self.declarations.constants[member] = enumeration[member] if as_member else value  # type: ignore[index]
        return found

    def enumerators(self, node: Any) -> dict[str, int]:
        """An enum's members. They are known at once: the next may be computed from them."""
        members: dict[str, int] = {}
        following = 0
        for part in node.values.enumerators:
            if type(part).__name__ == "Pragma":
                continue
            value = following if part.value is None else self.constant(part.value, f"the value of '{part.name}'")
            if not -(2**63) <= value < 2**64:
                self.fail(part, f"the value of '{part.name}' does not fit into 64 bits")
            was = self.declarations.constants.get(part.name)
            if part.name in members or (was is not None and was != value):
                self.fail(part, f"'{part.name}' is already defined, as {members.get(part.name, was)!r}")
            members[part.name] = value
            self.values[part.name] = _known(value)
            following = value + 1
        return members

    # --- constants ---

    def read_macros(self, macros: Mapping[str, Sequence[Token]]) -> None:
        """The macros that are constants; the others are none of Python's business."""
        constants = self.declarations.constants
        for name, tokens in macros.items():
            if len(tokens) == 1 and tokens[0].text in constants:
                constants[name] = constants[tokens[0].text]  # an enum's member stays one
                continue
            try:
                value = self.expression(tokens)
            except (NotConstantError, DeclarationError):
                continue
            self.values[name] = value
            constants[name] = value.value

    def expression(self, tokens: Sequence[Token]) -> Value:
        """Raises NotConstantError, and DeclarationError for an unknown type in it."""
        if len(tokens) == 1 and (value := literal(tokens[0].text, 8 * self.pointer_size)) is not None:
            return value
        if not tokens or _NO_EXPRESSION.intersection(token.text for token in tokens):
            raise NotConstantError("it is no expression")
        outer = self.tree
        try:
            tree = parse_expression(simplify(tokens), self.known_types())
            if tree is None:
                raise NotConstantError("it is no expression")
            self.tree = tree
            return self.evaluate(tree.nodes[0])
        except RecursionError:
            raise NotConstantError("it is nested too deeply") from None
        finally:
            self.tree = outer

    def lookup(self, name: str) -> Value | None:
        if (value := self.values.get(name)) is not None:
            return value
        constant = self.declarations.constants.get(name)
        return None if constant is None else _known(constant)

    def size_of(self, name: str) -> int | None:
        variable = self.declarations.variables.get(name)
        return variable.type.size if variable is not None else None


# Tokens that end whatever began, or that no constant expression has.
_NO_EXPRESSION = frozenset({";", "{", "}", "=", "#", "++", "--"})
_QUALIFIERS = frozenset({"const", "volatile", "restrict"})
_C_WORDS = frozenset(word for words in specifiers() for word in words) | {"struct", "union", "enum"}


def _known(value: float | str) -> Value:
    """A constant whose type nobody noted."""
    if not isinstance(value, int):
        return Value(value, 0)
    number = int(value)
    if -(2**31) <= number < 2**31:
        return Value(number)
    return Value(number, 32, signed=False) if 0 <= number < 2**32 else integer(number, 64, number < 2**63)


def _enum_integer(members: Mapping[str, int]) -> str:
    """The integer type that clang holds an enum in: unsigned if no member is negative."""
    least, most = min(members.values()), max(members.values())
    if least >= 0:
        return "unsigned int" if most < 2**32 else "unsigned long long"
    return "int" if least >= -(2**31) and most < 2**31 else "long long"


def enumeration_of(name: str | None, members: Mapping[str, int]) -> type[enum.IntEnum] | None:
    """None for an enum without a name, and for one whose members' names are all reserved by Python."""
    taken = {member: value for member, value in members.items() if not (member.startswith("_") or member == "mro")}
    if name is None or not taken:
        return None
    make = cast("Callable[..., type[enum.IntEnum]]", enum.IntEnum)  # type checkers want the name as a literal
    return make(name, taken, module=__name__)


def _members(enumeration: Any) -> dict[str, int]:
    return {} if enumeration is None else {name: int(member) for name, member in enumeration.__members__.items()}


def _field_names(member: Member) -> list[str]:
    """With those of anonymous structs in it."""
    if member.name is not None:
        return [member.name]
    found: list[str] = []
    for name, of, *_ in member.type.fields or ():
        found += [name] if name is not None else _field_names(Member(None, of))
    return found


def _same_record(one: CType, other: CType) -> bool:
    """Two definitions of a struct say the same. What has no name is compared by what is in it."""
    if one == other:
        return True
    if one.kind != other.kind:
        return False
    if one.kind in {"pointer", "array"} and one.item is not None and other.item is not None:
        same = one.length == other.length and one.readonly == other.readonly
        return same and (one.item is other.item or _same_record(one.item, other.item))
    fields, others = one.fields, other.fields
    if fields is None or others is None or one.size != other.size or len(fields) != len(others):
        return False
    return all(
        field[0] == match[0] and field[2:] == match[2:] and _same_record(field[1], match[1])
        for field, match in zip(fields, others, strict=True)
    )


def _pragma_text(node: Any) -> str:
    """Of a _Pragma's operand or, in older pycparsers, of its text."""
    return str(getattr(node.string, "value", node.string)).strip().strip('"')

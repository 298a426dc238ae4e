# SPDX-License-Identifier: Apache-2.0
"""Declarations out of a module's debug information: DWARF, as C compilers write it with -g.

Sizes and offsets are what the compiler has written down, so nothing here computes a layout. Only alignments are not
written down; they follow from the offsets.
"""

from __future__ import annotations

import contextlib

from anywasm import _dwarf
from anywasm._core import CType, Module

from ._basic import basic_types
from ._declarations import DeclarationError, Declarations, Declared
from ._layout import LayoutError, bit_unit
from ._parse import enumeration_of
from ._prepare import custom_sections

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from collections.abc import Set as AbstractSet
    from typing import Any, Literal

    from ._layout import Field

    RecordKind = Literal["struct", "union"]
    ScalarKind = Literal["bool", "complex", "float"]

QUALIFIERS = ("DW_TAG_volatile_type", "DW_TAG_restrict_type", "DW_TAG_atomic_type")
RECORDS: dict[str, RecordKind] = {"DW_TAG_structure_type": "struct", "DW_TAG_union_type": "union"}
NAMED_BY_TYPEDEFS = (*RECORDS, "DW_TAG_enumeration_type")  # if they have no tag

# DW_ATE: how a base type is encoded.
BOOLEAN, COMPLEX_FLOAT, FLOAT, SIGNED, SIGNED_CHAR, UNSIGNED, UNSIGNED_CHAR, UTF = 2, 3, 4, 5, 6, 7, 8, 16
KINDS: dict[int, ScalarKind] = {BOOLEAN: "bool", COMPLEX_FLOAT: "complex", FLOAT: "float"}
INTEGERS = (SIGNED, SIGNED_CHAR, UNSIGNED, UNSIGNED_CHAR, UTF)
COMPLEX_NAMES = {8: "float _Complex", 16: "double _Complex", 32: "long double _Complex"}

# What the C library's start-up code exports.
STARTERS = {"_initialize", "_start", "__wasm_call_ctors"}

NOTHING_THERE = "the module has no debug information: give declarations, or compile it with -g"


def declarations_from_dwarf(
    module_or_binary: Module | bytes, *, only_exports: AbstractSet[str] | None = None
) -> Declarations:
    """Return what the module's debug information declares: its external functions and variables, and their types.

    only_exports: the names wanted; None is all that the debug information has, the C library's included.

    Raises DeclarationError if the module has no debug information or what it declares cannot be expressed, and
    ImportError where pyelftools is missing.
    """
    if isinstance(module_or_binary, Module):
        contents = _dwarf.section_contents(module_or_binary.custom_sections)
    else:
        sections = custom_sections(module_or_binary)
        contents = _dwarf.section_contents(lambda name: [data for each, data in sections if each == name])
    if not (contents["debug_info"] and contents["debug_abbrev"]):
        raise DeclarationError(NOTHING_THERE)
    try:
        dwarf = _dwarf.opened(contents)
    except ImportError as error:
        raise ImportError("reading debug information needs pyelftools: pip install anywasm[clib]") from error
    try:
        return Reader(dwarf, only_exports).read()
    except (DeclarationError, MemoryError):
        raise
    except RecursionError:
        raise DeclarationError("the debug information tells of types that are nested too deeply to be read") from None
    except Exception as error:  # pyelftools raises whatever it meets in damaged sections
        raise DeclarationError(f"the debug information is damaged: {error}") from error


class InexpressibleError(Exception):
    """What CType has no place for; where it was written is still to be told."""


class Reader:
    """Reads the compilation units that define what is wanted.

    A type has a DIE (debugging information entry) in each unit that uses it. Structs, unions and enums become one CType
    for all of them, because C takes them for one type.
    """

    def __init__(self, dwarf: Any, wanted: AbstractSet[str] | None) -> None:
        self.dwarf = dwarf
        self.missing = set(wanted) - STARTERS if wanted is not None else None
        self.declarations = Declarations()
        self.types: dict[int, CType] = {}  # by the DIE's offset
        self.shared: dict[tuple[object, ...], CType] = {}  # structs, unions and enums, by what makes them the same
        self.undefined: list[tuple[CType, Any]] = []  # structs and unions whose fields are still to be read
        self.names: dict[int, str] = {}  # of types without a tag, by typedefs of them
        self.definitions: dict[tuple[str, str], Any] = {}  # DIEs of structs and unions, by (DIE's tag, C's tag)
        self.files: dict[int, list[str]] = {}  # of units, by their offsets

    def read(self) -> Declarations:
        units = []
        for unit in self.dwarf.iter_CUs():
            if unit.get_top_DIE().tag == "DW_TAG_compile_unit":
                dies = list(unit.get_top_DIE().iter_children())
                found = [die for die in dies if self.is_wanted(die)]
                if found:
                    units.append((dies, found))
                    self.index(dies)
                    self.declarations.pointer_size = unit["address_size"]
                if self.missing is not None:
                    self.missing -= {text(die, "DW_AT_name") or "" for die in found}
                    if not self.missing:  # the C library may have much more, and reading takes time
                        break
        for _, found in units:
            for die in found:
                self.declare(die)
        if not (self.declarations.functions or self.declarations.variables):
            raise DeclarationError(
                "the debug information tells of none of the module's exports: give declarations, or compile all with -g"
            )
        self.define_all()
        for dies, _ in units:
            for die in dies:
                with contextlib.suppress(DeclarationError):  # nothing that is declared needs it
                    self.add_type(die)
        while self.undefined:
            with contextlib.suppress(DeclarationError):
                self.define_all()
        return self.declarations

    # --- functions and variables ---

    def is_wanted(self, die: Any) -> bool:
        if die.tag not in ("DW_TAG_subprogram", "DW_TAG_variable"):
            return False
        name = text(die, "DW_AT_name")
        return (
            name is not None
            and (self.missing is None or name in self.missing)
            and flag(die, "DW_AT_external")
            and not flag(die, "DW_AT_declaration")
            and "DW_AT_linkage_name" not in die.attributes  # of another language
        )

    def declare(self, die: Any) -> None:
        name = text(die, "DW_AT_name") or ""
        declared = self.declarations.functions if die.tag == "DW_TAG_subprogram" else self.declarations.variables
        if name not in declared:
            with self.at(die):
                type = self.function(die) if die.tag == "DW_TAG_subprogram" else self.target(die)
            readonly = declared is self.declarations.variables and self.is_const(die)
            declared[name] = Declared(type, self.where(die), readonly)

    def function(self, die: Any) -> CType:
        parameters, names, variadic = [], [], False
        for child in die.iter_children():
            if child.tag == "DW_TAG_formal_parameter":
                type = self.target(child)
                parameters.append(self.pointer_to(type) if type.kind == "function" else type)
                names.append(text(child, "DW_AT_name"))
            elif child.tag == "DW_TAG_unspecified_parameters":
                variadic = True
        return CType.function(self.target(die), parameters, names, variadic)

    # --- types ---

    def target(self, die: Any) -> CType:
        """The type that the DIE's DW_AT_type tells of; void where there is none."""
        target, _ = self.unqualified(die)
        if target is None:
            return CType.scalar("void", "void", 0)
        type = self.types.get(target.offset)
        if type is None:
            with self.at(die):
                type = self.types[target.offset] = self.make(target)
        return type

    def unqualified(self, die: Any) -> tuple[Any, bool]:
        """The DIE of the type without its qualifiers, and whether const is one of them."""
        const = False
        while "DW_AT_type" in die.attributes:
            die = die.get_DIE_from_attribute("DW_AT_type")
            if die.tag == "DW_TAG_const_type":
                const = True
            elif die.tag not in QUALIFIERS:
                return die, const
        return None, const

    def make(self, die: Any) -> CType:
        if die.tag == "DW_TAG_typedef":
            type = self.target(die)
            known = basic_types(self.declarations.pointer_size).get(text(die, "DW_AT_name") or "")
            return known if known == type else type  # size_t is told as size_t
        if die.tag == "DW_TAG_base_type":
            return self.scalar(die)
        if die.tag == "DW_TAG_pointer_type":
            return self.pointer_to(self.target(die), self.is_const(die))
        if die.tag == "DW_TAG_subroutine_type":
            return self.function(die)
        if die.tag == "DW_TAG_array_type":
            return self.array(die)
        if die.tag == "DW_TAG_enumeration_type":
            return self.enumeration(die)
        if die.tag in RECORDS:
            return self.record(die)
        raise InexpressibleError(f"C has no such type: {described(die)}")

    def scalar(self, die: Any) -> CType:
        name, size = text(die, "DW_AT_name") or "", number(die, "DW_AT_byte_size")
        encoding = number(die, "DW_AT_encoding")
        if encoding in INTEGERS and size in (1, 2, 4, 8) and "_BitInt" not in name:
            signed = encoding in (SIGNED, SIGNED_CHAR)
            return CType.scalar("char" if name == "char" else "integer", name, size, signed=signed)
        if encoding in KINDS:
            name = COMPLEX_NAMES.get(size, name) if encoding == COMPLEX_FLOAT else name
            return CType.scalar(KINDS[encoding], name, size)
        raise InexpressibleError(f"there are no values of the type {name or described(die)}")

    def pointer_to(self, target: CType, readonly: bool = False) -> CType:
        return CType.pointer(target, readonly, self.declarations.pointer_size)

    def is_const(self, die: Any) -> bool:
        """Whether what a pointer, a typedef or a variable has is const, or the items of an array are."""
        while True:
            die, const = self.unqualified(die)
            if const or die is None or die.tag not in ("DW_TAG_typedef", "DW_TAG_array_type"):
                return const

    def array(self, die: Any) -> CType:
        if "DW_AT_GNU_vector" in die.attributes:
            raise InexpressibleError("vectors cannot be passed")
        type = self.target(die)
        self.complete(type)
        for child in reversed(list(die.iter_children())):
            if child.tag == "DW_TAG_subrange_type":
                length = child.attributes.get("DW_AT_count")
                if length is None and "DW_AT_upper_bound" in child.attributes:
                    count = number(child, "DW_AT_upper_bound") + 1
                else:
                    count = -1 if length is None else number(child, "DW_AT_count")
                type = CType.array(type, count if count >= 0 else None)
        return type

    def enumeration(self, die: Any) -> CType:
        integer = self.target(die)
        tag = text(die, "DW_AT_name")
        name = f"enum {tag}" if tag else self.names.get(die.offset)
        members = {
            text(child, "DW_AT_name") or "": number(child, "DW_AT_const_value")
            for child in die.iter_children()
            if child.tag == "DW_TAG_enumerator"
        }
        if name is None:
            self.declarations.constants.update(members)
            return integer
        key = ("enum", name, *members.items())
        if key not in self.shared:
            enumeration = enumeration_of(tag or name, members)
            self.shared[key] = CType.enumeration(name, integer, enumeration)
            self.declarations.constants.update(members)
            self.declarations.constants.update(enumeration.__members__ if enumeration else {})
        return self.shared[key]

    # --- structs and unions ---

    def record(self, die: Any) -> CType:
        kind = RECORDS[die.tag]
        tag = text(die, "DW_AT_name")
        name = f"{kind} {tag}" if tag else self.names.get(die.offset)
        if flag(die, "DW_AT_declaration"):
            definition = self.definitions.get((die.tag, tag or ""))
            if definition is None:
                return self.shared.setdefault((kind, name), CType.record(kind, name or kind))
            die = definition
        fields = tuple((text(child, "DW_AT_name"), bit_offset(child)) for child in members(die))
        key = (kind, name, self.where(die), number(die, "DW_AT_byte_size"), fields)
        type = self.shared.get(key)
        if type is None:
            type = self.shared[key] = CType.record(kind, name or f"{kind} (anonymous, {self.where(die)})")
            self.undefined.append((type, die))  # later: its fields may point at it
        return type

    def complete(self, type: CType) -> None:
        """Define the struct or union now, if that is what it is: its size is needed."""
        for index, (undefined, die) in enumerate(self.undefined):
            if undefined is type:
                del self.undefined[index]
                self.define(type, die)
                return

    def define_all(self) -> None:
        while self.undefined:
            self.define(*self.undefined.pop())

    def define(self, record: CType, die: Any) -> None:
        size = number(die, "DW_AT_byte_size")
        fields: list[Field] = []
        align = 1
        for member in members(die):
            with self.at(member):
                name = text(member, "DW_AT_name")
                if name is not None:
                    self.name_after(member, f"{record.name}.{name}")
                type = self.target(member)
                self.complete(type)
                if "DW_AT_bit_size" in member.attributes:
                    fields.append(self.bit_field(member, name, type))
                else:
                    fields.append((name, type, bit_offset(member) // 8, 0, 0))
                align = max(align, number(member, "DW_AT_alignment"), alignment(type))
        # A packed struct is aligned as its fields really are.
        align = number(die, "DW_AT_alignment", align)
        while align > 1 and size % align:
            align //= 2
        for _, type, offset, _, width in fields:
            while align > 1 and not width and offset % min(align, alignment(type)):
                align //= 2
        with self.at(die):
            record.define(fields, size, align)

    def bit_field(self, member: Any, name: str | None, type: CType) -> Field:
        if "DW_AT_bit_offset" in member.attributes:
            raise InexpressibleError("bit-fields are read from DWARF 4 or 5: compile with -gdwarf-4")
        try:
            return name, *bit_unit(type, bit_offset(member), number(member, "DW_AT_bit_size"))
        except LayoutError as error:
            raise InexpressibleError(f"the bit-field {name}: {error}") from None

    # --- names ---

    def index(self, dies: list[Any]) -> None:
        """Note what types are called in other places than their own DIE."""
        for die in dies:
            if die.tag == "DW_TAG_typedef":
                target, _ = self.unqualified(die)
                if target is not None and target.tag in NAMED_BY_TYPEDEFS and "DW_AT_name" not in target.attributes:
                    self.names.setdefault(target.offset, text(die, "DW_AT_name") or "")
            elif die.tag in RECORDS and not flag(die, "DW_AT_declaration"):
                self.definitions.setdefault((die.tag, text(die, "DW_AT_name") or ""), die)

    def name_after(self, member: Any, name: str) -> None:
        """Call a type that a struct's field alone has after the field."""
        die, _ = self.unqualified(member)
        while die is not None and die.tag in ("DW_TAG_array_type", "DW_TAG_pointer_type"):
            die, _ = self.unqualified(die)
        if die is not None and die.tag in NAMED_BY_TYPEDEFS and "DW_AT_name" not in die.attributes:
            self.names.setdefault(die.offset, name)

    def add_type(self, die: Any) -> None:
        """Put a type with a name where declarations find it."""
        name = text(die, "DW_AT_name")
        if name is None:
            return
        if die.tag in RECORDS:
            name = f"{RECORDS[die.tag]} {name}"
        elif die.tag == "DW_TAG_enumeration_type":
            name = f"enum {name}"
        elif die.tag != "DW_TAG_typedef":
            return
        if name not in self.declarations.types:
            type = self.types.get(die.offset)
            if type is None:
                with self.at(die):
                    type = self.types[die.offset] = self.make(die)
            self.declarations.types[name] = type
            if die.tag == "DW_TAG_typedef" and self.is_const(die):
                self.declarations.const_types.add(name)

    def where(self, die: Any) -> str | None:
        """ "file.c:12", or None where the DIE does not tell."""
        if "DW_AT_decl_file" not in die.attributes or "DW_AT_decl_line" not in die.attributes:
            return None
        offset = die.cu.cu_offset
        if offset not in self.files:
            program = self.dwarf.line_program_for_CU(die.cu)
            names = [entry.name.decode("utf-8", "replace") for entry in program["file_entry"]] if program else []
            # The numbers of files begin with 1 before DWARF 5.
            self.files[offset] = names if program and program["version"] >= 5 else ["?", *names]
        files, index = self.files[offset], number(die, "DW_AT_decl_file")
        file = files[index].rpartition("/")[2] if index < len(files) else "?"
        return f"{file}:{number(die, 'DW_AT_decl_line')}"

    @contextlib.contextmanager
    def at(self, die: Any) -> Iterator[None]:
        """Tell the DIE's line of what cannot be expressed in it. Types of C's own have none: who uses them tells."""
        try:
            yield
        except (InexpressibleError, TypeError, ValueError, OverflowError) as error:
            where = self.where(die)
            if where is None:
                raise InexpressibleError(str(error)) from None
            raise DeclarationError(f"{where}: {error}") from None


# --- what a DIE says -----------------------------------------------------------------------------------------------


def text(die: Any, attribute: str) -> str | None:
    found = die.attributes.get(attribute)
    return found.value.decode("utf-8", "replace") if found is not None else None


def number(die: Any, attribute: str, default: int = 0) -> int:
    found = die.attributes.get(attribute)
    return found.value if found is not None and isinstance(found.value, int) else default


def flag(die: Any, attribute: str) -> bool:
    found = die.attributes.get(attribute)
    return found is not None and bool(found.value)


def members(die: Any) -> list[Any]:
    return [child for child in die.iter_children() if child.tag == "DW_TAG_member"]


def bit_offset(member: Any) -> int:
    """Bits from the start of the struct."""
    if "DW_AT_data_bit_offset" in member.attributes:
        return number(member, "DW_AT_data_bit_offset")
    return 8 * number(member, "DW_AT_data_member_location")


def alignment(type: CType) -> int:
    """Bytes; also of an array of unknown length, which has none as a whole."""
    while type.align is None and type.item is not None:
        type = type.item
    return type.align or 1


def described(die: Any) -> str:
    return str(die.tag).removeprefix("DW_TAG_").replace("_", " ")

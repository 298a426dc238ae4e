# SPDX-License-Identifier: Apache-2.0
"""What a C library has, for type checkers: the text of a .pyi file."""

from __future__ import annotations

import keyword
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

    from anywasm._core import CType

    from ._declarations import Declarations

# Names of the stub's own, by what they stand for. Each is written only if it is used.
_ALIASES = {
    "_In": "_abc.Sequence[_T] | _te.Buffer | _clib.Pointer | None",
    "_InOut": "_abc.MutableSequence[_T] | _te.Buffer | _clib.Pointer | None",
    "_Text": "{str} | _te.Buffer | _clib.Pointer | None",
    "_Memory": "_te.Buffer | _clib.Pointer | None",
    "_Record": "_T | _abc.Mapping[{str}, _t.Any] | {tuple}[_t.Any, ...]",
    "_InRecord": "_T | _abc.Mapping[{str}, _t.Any] | _In[_Record[_T]]",
    "_InOutRecord": "_T | _InOut[_t.Any]",
    "_Address": "_clib.Pointer | None",
}
_GENERIC = {"_In", "_InOut", "_Record", "_InRecord", "_InOutRecord"}
_MODULES = {
    "_b": "import builtins as _b",
    "_abc": "import collections.abc as _abc",
    "_enum": "import enum as _enum",
    "_t": "import typing as _t",
    "_te": "import typing_extensions as _te",
    "_clib": "import anywasm.clib as _clib",
}
_RESERVED = {*_ALIASES, *_MODULES, "_T", "_Struct"}

# A longer line is written with an argument a line. Shorter than what ruff and black break at.
_WIDTH = 88


def write_stub(
    declarations: Declarations, *, name: str, bytes: Collection[str] = (), pointers: Collection[str] = ()
) -> str:
    """Return the text of NAME.pyi: functions, variables, constants, enums, and a class for each struct.

    name: the module's. bytes, pointers: functions whose ``char *`` comes as bytes or as a Pointer, as for load().
    Names that Python has as keywords are left out: getattr() alone reaches them.
    """
    return _Writer(declarations, frozenset(bytes), frozenset(pointers)).write(name)


class _Writer:
    def __init__(self, declarations: Declarations, as_bytes: frozenset[str], as_pointers: frozenset[str]) -> None:
        self.declarations = declarations
        self.as_bytes = as_bytes
        self.as_pointers = as_pointers
        self.used: set[str] = set()  # of _ALIASES and _MODULES
        self.callbacks: dict[str, str] = {}  # long types of callbacks, by what they are
        self.enums: dict[str, CType] = {}  # by their names in Python
        self.records: list[tuple[str, CType]] = []
        for of in declarations.types.values():
            if of.members is not None and of not in self.enums.values() and _usable(of.members.__name__):
                self.enums[of.members.__name__] = of
        self.taken = {*declarations.functions, *declarations.variables, *declarations.constants, *self.enums}
        for name, of in declarations.types.items():
            self.add_record(name.removeprefix("struct ").removeprefix("union "), of)
        fields = {field[0] for _, of in self.records for field in of.fields or ()}
        self.shadowed = {*self.taken, *fields}  # names that do not mean the builtins here

    def write(self, name: str) -> str:
        # The order of making: what is made last knows what was used.
        functions = [line for function in self.declarations.functions for line in self.function(function)]
        variables = [line for variable in self.declarations.variables for line in self.variable(variable)]
        records = [block for entry in self.records for block in self.record(*entry)]
        enums = [block for entry in self.enums.items() for block in self.enum(*entry)]
        constants = [line for constant in self.declarations.constants for line in self.constant(constant)]
        aliases = self.aliases()
        imports = [text for module, text in _MODULES.items() if module in self.used]
        parts = [
            [f"# What type checkers know of {name}, a C library. Made by anywasm from its C declarations."],
            imports[:-1] if imports and "anywasm" in imports[-1] else imports,
            imports[-1:] if imports and "anywasm" in imports[-1] else [],
            aliases,
            *enums,
            *records,
            [*constants, *variables],
            functions,
        ]
        return "\n\n".join("\n".join(part) for part in parts if part) + "\n"

    # --- what is declared ---

    def function(self, name: str) -> list[str]:
        of = self.declarations.functions[name].type
        if not _usable(name):
            return []
        result = self.given(of.item) if of.item is not None else "None"
        if of.item is not None and _is_text(of.item):
            result = self.text_result(name)
        parameters = [
            f"{label}: {self.taken_by(parameter)}"
            for label, parameter in zip(_labels(of), of.parameters or (), strict=True)
        ]
        if parameters:
            parameters.append("/")
        if of.variadic:
            parameters.append(f"*arguments: {self.of_module('_t')}.Any")
        line = f"def {name}({', '.join(parameters)}) -> {result}: ..."
        if len(line) <= _WIDTH:
            return [line]
        return [f"def {name}(", *(f"    {parameter}," for parameter in parameters), f") -> {result}: ..."]

    def text_result(self, name: str) -> str:
        if name in self.as_pointers:
            return self.alias("_Address")
        return f"{self.builtin('bytes' if name in self.as_bytes else 'str')} | None"

    def variable(self, name: str) -> list[str]:
        declared = self.declarations.variables[name]
        of = self.given(declared.type)
        if not _usable(name):
            return []
        return [_line(f"{name}: {self.of_module('_t')}.Final[{of}]" if declared.readonly else f"{name}: {of}")]

    def constant(self, name: str) -> list[str]:
        value = self.declarations.constants[name]
        if not _usable(name) or name in self.declarations.functions or name in self.declarations.variables:
            return []
        typing = self.of_module("_t")
        enumeration = type(value).__name__
        if enumeration in self.enums and _usable(getattr(value, "name", "")):
            return [_line(f"{name}: {typing}.Literal[{enumeration}.{getattr(value, 'name', '')}]")]
        if isinstance(value, int):
            return [f"{name}: {typing}.Final = {int(value)}"]
        return [f"{name}: {typing}.Final[{self.builtin('float' if isinstance(value, float) else 'str')}]"]

    def enum(self, name: str, of: CType) -> list[list[str]]:
        members = of.members.__members__ if of.members is not None else {}
        self.of_module("_enum")
        lines = [f"    {member} = {int(value)}" for member, value in members.items() if _usable(member)]
        return [[f"class {name}(_enum.IntEnum):", *lines]] if lines else []

    def record(self, name: str, of: CType) -> list[list[str]]:
        lines = [
            _line(f"    {field}: {self.given(type_)}")
            for field, type_ in _flat(of)
            if _usable(field) and not field.startswith("__")
        ]
        self.of_module("_t")
        head = f"class {name}(_Struct):"
        return [["@_t.type_check_only", *([head, *lines] if lines else [f"{head} ..."])]]

    def add_record(self, name: str, of: CType) -> None:
        """A class for a struct, and for the structs in it that have no name of their own."""
        if of.fields is None or any(of is other for _, other in self.records):
            return
        label = "".join(character if character.isalnum() else "_" for character in name)
        if name.startswith("("):
            label = f"anonymous{len(self.records)}"
        while label in self.taken or label in _RESERVED or not _usable(label):
            label = f"{of.kind}_{label}"
        self.taken.add(label)
        self.records.append((label, of))
        for _, field in _flat(of):
            inner = field
            while inner.kind == "array" and inner.item is not None:
                inner = inner.item
            if inner.fields is not None:
                self.add_record(inner.name.removeprefix("struct ").removeprefix("union "), inner)

    def aliases(self) -> list[str]:
        lines = []
        callbacks = [_line(f"{name}: _t.TypeAlias = {of}") for of, name in self.callbacks.items()]
        for name in reversed(_ALIASES):  # those that use others come after them
            if name in self.used:
                text = _ALIASES[name]
                for other in _ALIASES:
                    if f"{other}[" in text:
                        self.used.add(other)
        for name, text in _ALIASES.items():
            if name in self.used:
                for module in _MODULES:
                    if f"{module}." in text:
                        self.used.add(module)
                self.used.add("_t")
                filled = text.format(str=self.builtin("str"), tuple=self.builtin("tuple"))
                lines.append(_line(f"{name}: _t.TypeAlias = {filled}"))
        if self.used & _GENERIC:
            lines.insert(0, '_T = _t.TypeVar("_T")')
        if self.records:
            integer = self.builtin("int")
            self.of_module("_abc")
            lines += [
                "",
                "@_t.type_check_only",
                "class _Struct:",
                f"    def __len__(self) -> {integer}: ...",
                f"    def __getitem__(self, index: {integer}, /) -> _t.Any: ...",
                "    def __iter__(self) -> _abc.Iterator[_t.Any]: ...",
                f"    def __buffer__(self, flags: {integer}, /) -> {self.builtin('memoryview')}: ...",
            ]
            if callbacks:
                lines.append("")
        return lines + callbacks

    # --- types ---

    def given(self, of: CType) -> str:
        """What Python gets for a value of that type."""
        if of.kind == "void":
            return "None"
        if of.kind in {"integer", "char", "enum"}:
            enumeration = of.members.__name__ if of.members is not None else ""
            return enumeration if enumeration in self.enums else self.builtin("int")
        if of.kind in {"bool", "float", "complex"}:
            return self.builtin(of.kind)
        if of.kind in {"struct", "union"}:
            return self.label(of)
        if of.kind == "array":
            text = of.item is not None and of.item.kind == "char"
            return self.builtin("str") if text else f"{self.of_module('_clib')}.Array"
        if _is_text(of):
            return f"{self.builtin('str')} | None"
        if of.item is not None and of.item.kind == "function":
            return f"{self.of_module('_clib')}.CFunction | None"
        return self.alias("_Address")

    def taken_by(self, of: CType) -> str:
        """What Python may pass for a parameter of that type."""
        if of.kind in {"struct", "union"}:
            return f"{self.alias('_Record')}[{self.label(of)}]"
        if of.kind != "pointer" or of.item is None:
            return self.given(of)
        target = of.item
        if target.kind == "function":
            return self.callback(target)
        if target.kind == "char":
            return self.alias("_Text" if of.readonly else "_Memory")
        if target.kind == "void":
            return self.alias("_Memory")
        if target.kind in {"struct", "union"}:
            if target.fields is None:
                return self.alias("_Address")
            return f"{self.alias('_InRecord' if of.readonly else '_InOutRecord')}[{self.label(target)}]"
        scalar = target.kind not in {"pointer", "array"}
        item = self.given(target) if scalar else f"{self.of_module('_t')}.Any"
        return f"{self.alias('_In' if of.readonly else '_InOut')}[{item}]"

    def callback(self, of: CType) -> str:
        """A callable: it gets what C gives and returns what C takes."""
        parameters = [self.given(parameter) for parameter in of.parameters or ()]
        result = (
            self.taken_by(of.item) if of.item is not None and of.item.kind != "void" else f"{self.of_module('_t')}.Any"
        )
        listed = "..." if of.variadic else f"[{', '.join(parameters)}]"
        text = f"{self.of_module('_abc')}.Callable[{listed}, {result}] | None"
        if len(text) <= _WIDTH // 2:
            return text
        self.of_module("_t")
        return self.callbacks.setdefault(text, f"_Callback{len(self.callbacks) + 1}")

    def label(self, of: CType) -> str:
        """The class of a struct."""
        for label, other in self.records:
            if other is of:
                return label
        return f"{self.of_module('_t')}.Any"

    def alias(self, name: str) -> str:
        self.used.add(name)
        return name

    def of_module(self, name: str) -> str:
        self.used.add(name)
        return name

    def builtin(self, name: str) -> str:
        """A builtin type, also where the library has something else by that name."""
        return f"{self.of_module('_b')}.{name}" if name in self.shadowed else name


def _is_text(of: CType) -> bool:
    return of.kind == "pointer" and of.item is not None and of.item.kind == "char"


def _usable(name: str) -> bool:
    return name.isidentifier() and not keyword.iskeyword(name) and name not in _RESERVED


def _flat(of: CType) -> list[tuple[str, CType]]:
    """The fields, with those of anonymous structs."""
    found: list[tuple[str, CType]] = []
    for name, inner, *_ in of.fields or ():
        found += [(name, inner)] if name is not None else _flat(inner)
    return found


def _labels(of: CType) -> list[str]:
    """Names for a function's parameters: C's where Python can have them."""
    labels: list[str] = []
    for number, name in enumerate(of.parameter_names or (), 1):
        label = (name or "").lstrip("_")
        if keyword.iskeyword(label):
            label += "_"
        labels.append(label if label.isidentifier() and label not in labels else f"argument{number}")
    return labels


def _line(text: str) -> str:
    """A formatter would break a long line in its own way: this one stays."""
    return text if len(text) <= _WIDTH else f"{text}  # fmt: skip"

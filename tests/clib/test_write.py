# SPDX-License-Identifier: Apache-2.0
"""Declarations written as C: read again, they say the same."""

from collections.abc import Callable
from pathlib import Path

import layouts
import pytest

from anywasm._core import CType
from anywasm.clib._debug_info import declarations_from_dwarf
from anywasm.clib._declarations import DeclarationError, Declarations
from anywasm.clib._parse import parse
from anywasm.clib._write import find_layout, write_declarations


def shape(type: CType, around: tuple[CType, ...] = ()) -> object:
    """All that matters of a type, whatever it is called."""
    if type in around:
        return around.index(type)
    inside = (*around, type) if type.kind in ("struct", "union") else around
    fields = tuple(
        (name, shape(field, inside), 8 * offset + bit, width) for name, field, offset, bit, width in type.fields or ()
    )
    parameters = tuple(shape(each, inside) for each in type.parameters or ())
    members = {name: int(value) for name, value in type.members.__members__.items()} if type.members else None
    item = shape(type.item, inside) if type.item is not None else None
    return (type.kind, type.size, type.align, type.signed, type.readonly, type.variadic, type.length, item, fields,
            parameters, type.parameter_names, members)  # fmt: skip


def said(declarations: Declarations) -> dict[str, object]:
    return {
        "types": {name: shape(type) for name, type in declarations.types.items()},
        "functions": {name: shape(each.type) for name, each in declarations.functions.items()},
        "variables": {name: (shape(each.type), each.readonly) for name, each in declarations.variables.items()},
        "constants": declarations.constants,
        "const types": declarations.const_types,
    }


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param("int f(void); double g(float a, long b, ...); _Bool h(char *, size_t n);", id="functions"),
        pytest.param("void f(const int *a, int *const *b, const char *const *c, int *const (*d)[3]);", id="const"),
        pytest.param("extern const int a; extern const char *const b; extern double c[2][3];", id="variables"),
        pytest.param("typedef unsigned char byte; typedef const char *text; typedef const int fixed;", id="typedefs"),
        pytest.param("int (*f(int (*)(void)))(char); void (*table[3])(int (*)[2]);", id="functions and arrays"),
        pytest.param("typedef int visitor(int, void *); void each(visitor *visit, void *data);", id="function type"),
        pytest.param("typedef struct { double x, y; } point; point middle(const point *p, size_t n);", id="no tag"),
        pytest.param("struct a; struct b { struct a *a; }; struct a { struct b b[2]; }; struct c;", id="in a circle"),
        pytest.param("typedef struct node node; struct node { node *next; }; node *f(node n);", id="tag and typedef"),
        pytest.param("struct s { union { int a; struct { char b, c; }; }; struct { int d; } e[2]; };", id="no names"),
        pytest.param("typedef const struct { int a; } fixed; extern fixed one; void f(fixed *p);", id="const struct"),
        pytest.param(
            "enum color { RED, GREEN = 5, BLUE = -1 }; typedef enum { ON } state; state f(enum color c);", id="enums"
        ),
        pytest.param("struct s { enum { IN, OUT } way; enum { X = 9 } *p; };", id="enums without names"),
        pytest.param("enum wide { HUGE = 1ull << 40, SMALL }; enum wide f(void);", id="a wide enum"),
        pytest.param(
            "struct s { int a : 3; int : 5; unsigned b : 9; char : 0; char c : 1; int : 9; };", id="bit-fields"
        ),
        pytest.param("struct __attribute__((packed)) s { char a; int b; double c; };", id="packed"),
        pytest.param("#pragma pack(2)\nstruct s { char a; int b; double c; };", id="packed by two"),
        pytest.param("struct s { char a; _Alignas(16) int b; } __attribute__((aligned(64)));", id="aligned"),
        pytest.param("struct s { int n; struct { char c; } rest[]; }; struct e {}; union u { int a[0]; };", id="empty"),
        pytest.param("double _Complex f(float _Complex a, long double _Complex b, long double c);", id="complex"),
        pytest.param("#define A 5\n#define B -7\n#define C 1.5e300\n#define D 18446744073709551615u", id="numbers"),
        pytest.param(r'#define A "\"q\" \\ ??/ \303\251 \n\0011"', id="text"),
    ],
)
def test_what_is_written_says_the_same(text: str) -> None:
    before = parse(text)
    after = parse(write_declarations(before))
    assert said(after) == said(before)


def test_what_is_written_is_c() -> None:
    text = (
        "typedef struct { double x; } point; enum color { RED }; point f(const point *p, enum color c);\n#define N -1"
    )
    assert write_declarations(parse(text)) == (
        "typedef struct { double x; } point;\n"
        "enum color { RED = 0 };\n"
        "point f(const point *p, enum color c);\n"
        "#define N (-1)\n"
    )


@pytest.mark.parametrize("seed", range(3))
def test_random_structs_are_written_with_their_layout(seed: int) -> None:
    before = parse(layouts.declarations(layouts.records(150, seed)))
    strange = []
    for name, type in before.types.items():
        try:
            if type.kind != "enum":
                find_layout(type)
        except DeclarationError:  # long padding in strange places
            strange.append(name)
    assert len(strange) <= 2
    assert strange or said(parse(write_declarations(before))) == said(before)


def test_a_layout_that_nothing_declares_is_told() -> None:
    double = CType.scalar("float", "double", 8)
    record = CType.record("union", "union strange")
    record.define([("a", double, 8, 0, 0)], 16, 8)
    with pytest.raises(DeclarationError, match="union strange: no declaration gives it its layout"):
        write_declarations(Declarations(types={"union strange": record}))


def test_types_that_are_nested_too_deeply_are_told() -> None:
    record = CType.scalar("integer", "int", 4)
    for _ in range(250):  # none has a name, so each is written where it stands
        inner, record = record, CType.record("struct", "struct (anonymous)")
        record.define([("a", inner, 0)], 4, 4)
    with pytest.raises(DeclarationError, match="the types are nested too deeply to be written down"):
        write_declarations(Declarations(types={"outer": record}))


@pytest.mark.slow
@pytest.mark.usefixtures("c_compiler")
def test_debug_information_and_declarations_lay_out_the_same(compile_c: Callable[..., Path]) -> None:
    made = [each for each in layouts.records(150, 11) if each.names]
    text = layouts.declarations(layouts.records(150, 11))
    functions = "\n".join(f"int f{number}({each.tag} *p) {{ return p != 0; }}" for number, each in enumerate(made))
    path = compile_c(f"{text}\n{functions}", "-mexec-model=reactor", "-w", "-g", "-nostdlib", "-Wl,--no-entry")
    found, declared = declarations_from_dwarf(path.read_bytes()), parse(text)
    for each in made:
        fields = [[(name, field.kind, 8 * offset + bit, width) for name, field, offset, bit, width in type.fields or ()]
                  for type in (found.types[each.tag], declared.types[each.tag])]  # fmt: skip
        assert fields[0] == fields[1], each.text
        assert found.types[each.tag].size == declared.types[each.tag].size, each.text

# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: E501  # a row of a table is a line: the declarations, and the whole message
"""What C declarations become, and what is said about those that cannot be read."""

import contextlib
import enum
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import layouts
import pytest

import anywasm
import toolchain
from anywasm._core import CType
from anywasm.clib._declarations import DeclarationError, Declarations
from anywasm.clib._parse import parse, parse_header, typeof

EXAMPLES = Path(__file__).parents[2] / "examples"


def spelled(text: str, name: str, **options: int) -> str:
    """How the function or variable of that name is spelled again."""
    declarations = parse(text, **options)  # type: ignore[arg-type]
    return (declarations.functions | declarations.variables)[name].type.name


def fields(of: CType) -> list[tuple[str | None, int]]:
    assert of.fields is not None
    return [(name, offset) for name, _, offset, _, _ in of.fields]


# --- functions ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("int f(void);", "int (void)"),
        ("int f();", "int (void)"),
        ("extern int f(int a, char b);", "int (int, char)"),
        ("int (f)(int);", "int (int)"),
        ("unsigned f(long unsigned int, long long signed);", "unsigned int (unsigned long, long long)"),
        ("double mean(const double *values, size_t count);", "double (const double *, size_t)"),
        ("char *f(char const *const name);", "char *(const char *)"),
        ("void f(char **out, const char *const *names);", "void (char **, const char *const *)"),
        ("double _Complex f(double _Complex z);", "double _Complex (double _Complex)"),
        ("float complex f(complex double z);", "float _Complex (double _Complex)"),
        ("void f(int (*visit)(int value, void *data), void *data);", "void (int (*)(int, void *), void *)"),
        ("void f(int visit(int));", "void (int (*)(int))"),
        ("void (*f(int number))(int);", "void (*(int))(int)"),
        ("int f(int a[], int b[3], int c[static 4], int n, int d[n], int e[*]);", "int (int *, int *, int *, int, int *, int *)"),
        ("int f(const int m[][4]);", "int (const int (*)[4])"),
        ("int f(const char *format, ...);", "int (const char *, ...)"),
        ("bool f(_Bool b);", "_Bool (_Bool)"),
        ("int f(FILE *stream, va_list arguments);", "int (FILE *, void *)"),
        ("time_t f(wchar_t c, uint8_t b);", "time_t (wchar_t, uint8_t)"),
        ("int f(int x) { if (x) { return x; } return g(x, '}'); }", "int (int)"),
        ("inline int f(int x) { return x; }", "int (int)"),
        ("int f(volatile int *p, int *restrict q, int *__restrict__ r);", "int (int *, int *, int *)"),
        ("__attribute__((noreturn)) __attribute__((format(printf, 1, 2))) int f(const char *, ...) __asm__(\"g\");", "int (const char *, ...)"),
        ("[[nodiscard]] int f([[maybe_unused]] int x);", "int (int)"),
        ("__declspec(dllexport) int __cdecl f(int);", "int (int)"),
        ("int f(int class, int lambda);", "int (int, int)"),
    ],
)  # fmt: skip
def test_a_function_is_spelled_as_it_was_declared(text: str, expected: str) -> None:
    assert spelled(text, "mean" if "mean" in text else "f") == expected


def test_parameters_have_names_where_the_declaration_has() -> None:
    assert parse("int f(int first, int, int *third);").functions["f"].type.parameter_names == ("first", None, "third")


def test_a_later_declaration_with_names_wins() -> None:
    declarations = parse("int f(int);\nint f(int number);\nint f(int);")
    assert declarations.functions["f"].type.parameter_names == ("number",)


def test_it_is_known_where_a_function_was_declared() -> None:
    assert parse("\n\nint f(\n  int x);", file="stats.h").functions["f"].where == "stats.h:3"


def test_static_functions_are_not_the_modules() -> None:
    assert parse("static int f(int x) { return x; }\nstatic inline int g(void);").functions == {}


def test_a_typedef_of_a_function_declares_functions_and_pointers() -> None:
    declarations = parse("typedef int visitor(int); visitor f; int g(visitor *v, visitor w);")
    assert declarations.functions["f"].type.name == "int (int)"
    assert declarations.functions["g"].type.name == "int (int (*)(int), int (*)(int))"


# --- sizes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pointer_size", [4, 8])
@pytest.mark.parametrize(
    ("name", "size32", "size64"),
    [
        ("char", 1, 1), ("short", 2, 2), ("int", 4, 4), ("long", 4, 8), ("unsigned long int", 4, 8), ("long long", 8, 8),
        ("size_t", 4, 8), ("ssize_t", 4, 8), ("ptrdiff_t", 4, 8), ("intptr_t", 4, 8), ("uintptr_t", 4, 8),
        ("int64_t", 8, 8), ("uint_least16_t", 2, 2), ("intmax_t", 8, 8), ("wchar_t", 4, 4), ("time_t", 8, 8),
        ("off_t", 8, 8), ("bool", 1, 1), ("float", 4, 4), ("double", 8, 8), ("long double", 16, 16),
        ("float _Complex", 8, 8), ("double _Complex", 16, 16), ("long double _Complex", 32, 32), ("void *", 4, 8),
        ("int (*)(void)", 4, 8), ("va_list", 4, 8),
    ],
)  # fmt: skip
def test_types_have_the_sizes_of_the_memory(name: str, size32: int, size64: int, pointer_size: int) -> None:
    assert typeof(Declarations(pointer_size), name).size == (size32 if pointer_size == 4 else size64)


def test_char_is_signed_and_no_integer_type() -> None:
    char = typeof(Declarations(), "char")
    assert (char.kind, char.signed) == ("char", True)
    assert (typeof(Declarations(), "uint8_t").kind, typeof(Declarations(), "signed char").kind) == (
        "integer",
        "integer",
    )


# --- structs and unions -------------------------------------------------------------------------------------------


def test_a_typedef_names_a_struct_that_has_no_name() -> None:
    point = parse("typedef struct { double x, y; } point;").types["point"]
    assert (point.kind, point.name, point.size, fields(point)) == ("struct", "point", 16, [("x", 0), ("y", 8)])


def test_a_struct_is_one_type_under_all_its_names() -> None:
    types = parse("typedef struct node node; struct node { node *next; int value; }; typedef node element;").types
    assert types["node"] is types["struct node"] is types["element"]
    next_field = types["node"].fields
    assert next_field is not None
    assert next_field[0][1].item is types["node"]


def test_nested_structs_are_named_by_their_field() -> None:
    outer = parse("struct outer { struct { int a; } inner; union { int b; } many[2]; };").types["struct outer"]
    assert [of.name for _, of, *_ in outer.fields or ()] == ["struct outer.inner", "struct outer.many[2]"]


def test_an_anonymous_structs_fields_are_the_outer_ones() -> None:
    outer = parse("struct s { int a; union { int b; float c; }; };").types["struct s"]
    assert fields(outer) == [("a", 0), (None, 4)]


def test_a_struct_defined_in_a_struct_is_known_outside() -> None:
    assert parse("struct s { struct t { int a; } x; }; struct t f(void);").functions["f"].type.item is not None


def test_an_opaque_struct_stays_behind_pointers() -> None:
    declarations = parse("typedef struct db db; db *open(const char *name); void close(db *);")
    assert declarations.types["db"].size is None
    assert declarations.functions["open"].type.name == "struct db *(const char *)"


def test_the_last_array_may_be_without_length() -> None:
    of = parse("struct s { uint16_t count; double values[]; };").types["struct s"]
    assert (of.size, of.align, fields(of)) == (8, 8, [("count", 0), ("values", 8)])


def test_bit_fields_are_placed_in_their_units() -> None:
    of = parse("struct s { unsigned a : 3, b : 30; int : 0; _Bool c : 1; };").types["struct s"]
    assert [(name, offset, bit, width) for name, _, offset, bit, width in of.fields or ()] == [
        ("a", 0, 0, 3),
        ("b", 4, 0, 30),
        ("c", 8, 0, 1),
    ]


def test_a_packed_bit_field_over_two_units_gets_a_larger_one() -> None:
    of = parse("struct __attribute__((packed)) s { unsigned a : 31; int b : 31; };").types["struct s"]
    assert [(of.name, offset, bit) for _, of, offset, bit, _ in of.fields or ()] == [
        ("unsigned int", 0, 0),
        ("long long", 3, 7),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "struct __attribute__((packed)) s { char a; int b; };",
        "struct s { char a; int b; } __attribute__((__packed__));",
        "struct s { char a; int b __attribute__((packed)); };",
        "#pragma pack(push, 1)\nstruct s { char a; int b; };\n#pragma pack(pop)",
        "struct [[gnu::packed]] s { char a; int b; };",
        "#define PACKED __attribute__((packed))\nstruct PACKED s { char a; int b; };",
    ],
)
def test_packed_structs_have_no_gaps(text: str) -> None:
    declarations = parse(f"{text}\nstruct t {{ char a; int b; }};")
    assert (fields(declarations.types["struct s"]), declarations.types["struct s"].size) == ([("a", 0), ("b", 1)], 5)
    assert declarations.types["struct t"].size == 8


@pytest.mark.parametrize(
    ("text", "size", "align"),
    [
        ("struct s { int a; } __attribute__((aligned(16)));", 16, 16),
        ("struct __attribute__((aligned(2 * sizeof(long)))) s { int a; };", 8, 8),
        ("struct s { char a; int b __attribute__((aligned(8))); };", 16, 8),
        ("struct s { char a; _Alignas(16) int b; };", 32, 16),
        ("struct s { char a; alignas(double) char b; };", 16, 8),
        ("struct s { char a; } __attribute__((aligned));", 16, 16),
        ("struct __declspec(align(8)) s { char a; };", 8, 8),
    ],
)
def test_alignments_of_ones_own_are_seen(text: str, size: int, align: int) -> None:
    of = parse(text).types["struct s"]
    assert (of.size, of.align) == (size, align)


LAYOUTS = [
    (1, 4, ["-mexec-model=reactor"]),
    (2, 4, ["-mexec-model=reactor"]),
    (3, 8, ["--target=wasm64-freestanding", "-nostdlib", "-Wl,--no-entry"]),
]


@pytest.mark.parametrize(("seed", "pointer_size", "flags"), LAYOUTS, ids=["wasm32-1", "wasm32-2", "wasm64"])
def test_structs_are_laid_out_as_the_compiler_does(
    seed: int, pointer_size: int, flags: list[str], compile_c: Callable[..., Path]
) -> None:
    here = [info for info in anywasm.engines() if info.available]
    names = [info.name for info in here if pointer_size == 4 or "memory64" in info.capabilities]
    if not names:
        pytest.skip("no engine here has 64-bit memories")
    made = layouts.records(300, seed)
    types = parse(layouts.declarations(made), pointer_size=pointer_size).types
    wrong = []
    exports = anywasm.load(compile_c(layouts.probe(made), *flags, "-w"), engine=names[0]).exports
    memory, place = exports.memory, exports.place()
    table = memory.read(exports.numbers(), 4 * sum(2 + len(record.names) for record in made))
    numbers = iter(int.from_bytes(table[at : at + 4], "little") for at in range(0, len(table), 4))
    bits = 0
    for record in made:
        of = types[record.tag]
        ours: list[object] = [of.size, of.align]
        compilers: list[object] = [next(numbers), next(numbers)]
        flat = {name: rest for name, *rest in flattened(of)}
        for name in record.names:
            offset, bit, width = flat[name]
            if name not in record.bit_fields:
                ours.append((name, offset))
                compilers.append((name, next(numbers)))
                continue
            size = (of.size or 0) + 8
            memory.write(place, bytes(size))
            exports.set(place, bits)  # all ones
            bits += 1
            ours.append((name, ((1 << width) - 1) << (8 * offset + bit)))
            compilers.append((name, int.from_bytes(memory.read(place, size), "little")))
        if ours != compilers:
            wrong.append((record.text, ours, compilers))
    assert wrong == []
    assert bits > 300  # there were some


def flattened(of: CType, base: int = 0) -> Iterator[tuple[str, int, int, int]]:
    for name, inner, offset, bit, width in of.fields or ():
        if name is None:
            yield from flattened(inner, base + offset)
        else:
            yield name, base + offset, bit, width


# --- enums --------------------------------------------------------------------------------------------------------


def test_an_enum_is_an_int_enum() -> None:
    declarations = parse("enum color { RED, GREEN = 5, BLUE };")
    color = declarations.types["enum color"].members
    assert color is not None
    assert issubclass(color, enum.IntEnum)
    assert (color.__name__, dict(color.__members__)) == ("color", {"RED": 0, "GREEN": 5, "BLUE": 6})
    assert declarations.constants["BLUE"] is color["BLUE"]


def test_a_typedef_names_an_enum_that_has_no_name() -> None:
    members = parse("typedef enum { OFF, ON } state;").types["state"].members
    assert members is not None
    assert members.__name__ == "state"


def test_an_enum_without_a_name_gives_numbers() -> None:
    constants = parse("enum { A = 1 << 4, B = A | 1, C = sizeof(long) };").constants
    assert constants == {"A": 16, "B": 17, "C": 4}
    assert {type(value) for value in constants.values()} == {int}


@pytest.mark.parametrize(
    ("members", "name", "size", "signed"),
    [
        ("A", "unsigned int", 4, False),
        ("A = -1", "int", 4, True),
        ("A = 0xffffffff", "unsigned int", 4, False),
        ("A = -1, B = 0x80000000", "long long", 8, True),
        ("A = 1LL << 40", "unsigned long long", 8, False),
    ],
)
def test_an_enum_is_held_by_the_integer_that_clang_chooses(members: str, name: str, size: int, signed: bool) -> None:
    of = parse(f"enum e {{ {members} }};").types["enum e"]
    assert of.item is not None
    assert (of.item.name, of.size, of.signed) == (name, size, signed)


def test_names_that_python_reserves_stay_numbers() -> None:
    declarations = parse("enum e { _first_, A, mro, __last };")
    assert {type(declarations.constants[name]) for name in ("_first_", "mro", "__last")} == {int}
    assert isinstance(declarations.constants["A"], enum.IntEnum)


# --- constants ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("42", 42), ("0x1F", 31), ("010", 8), ("0b101", 5), ("0", 0), ("(-1)", -1), ("42UL", 42),
        ("1 << 3 | 1", 9), ("(1 << 31)", -(2**31)), ("1u << 31", 2**31), ("~0", -1), ("~0U", 2**32 - 1),
        ("~0ULL", 2**64 - 1), ("0xFFFFFFFF", 2**32 - 1), ("0x7fffffffffffffffLL", 2**63 - 1), ("-7 / 2", -3),
        ("-7 % 2", -1), ("7 >> 1", 3), ("!3", 0), ("-1 < 0u", 0), ("-1 < 0", 1), ("1 ? 2 : 3", 2), ("1 && 0 || 1", 1),
        ("'a'", 97), (r"'\n'", 10), (r"'\x41'", 65), (r"'\377'", -1), (r"'\0'", 0), ("L'é'", 233),
        ("1.5", 1.5), ("1.5f", 1.5), ("0.1f", 0.10000000149011612), ("1e3", 1000.0), (".5", 0.5), ("0x1p-3", 0.125),
        ("3.0L", 3.0), ("-1.5 * 2", -3.0), ("1 / 2.0", 0.5),
        ('"text"', "text"), ('"a" "b"', "ab"), (r'"\"\x41\tä"', '"A\tä'), ('u8"ä"', "ä"),
        ("(uint8_t)300", 44), ("((size_t)-1)", 2**32 - 1), ("(char)200", -56), ("(double)1", 1.0), ("(bool)7", 1),
        ("sizeof(point)", 16), ("sizeof(void *)", 4), ("sizeof(int[3])", 12), ("sizeof(point) + sizeof(size_t)", 20),
        ("_Alignof(double)", 8),
        ("offsetof(point, y)", 8), ("INT_MAX", 2**31 - 1), ("UINT64_MAX", 2**64 - 1), ("LONG_MIN", -(2**31)),
        ("INT64_C(5)", 5), ("OTHER + 1", 13), ("TWICE(4)", 8), ("true", 1), ("GREEN | 8", 9),
    ],
)  # fmt: skip
def test_a_macro_that_is_a_constant_has_its_value(value: str, expected: object) -> None:
    context = (
        "typedef struct { double x, y; } point; enum { GREEN = 1 };\n#define OTHER 12\n#define TWICE(x) ((x) * 2)\n"
    )
    constant = parse(f"{context}#define C {value}\n").constants["C"]
    assert (constant, type(constant)) == (expected, type(expected))


@pytest.mark.parametrize(
    "value",
    ["", "x", "int", "f(1)", "x + 1", "((void *)0)", "((destructor)-1)", "do { } while (0)", "extern", "{1, 2}", "1 /",
     "__attribute__((packed))", "1 << 40", "1 / 0", "(", "static const", "&x"],
)  # fmt: skip
def test_other_macros_are_left_out(value: str) -> None:
    constants = parse(f"typedef void (*destructor)(void *);\n#define C {value}\n#define D(x) x\nint x;").constants
    assert constants == {}


def test_what_the_compiler_defines_is_not_the_librarys() -> None:
    assert parse("#include <limits.h>\nint f(void);").constants == {}


def test_macros_that_are_no_constants_are_remembered() -> None:
    text = (
        "#define ONE 1\n#define CAST ((void (*)(void *))-1)\n#define ADD(a, ...) ((a) + f(__VA_ARGS__))\n#define HERE\n"
    )
    assert parse(text, file="x.h").macros == {
        "CAST": "x.h:2: #define CAST ((void (*)(void *))-1)",
        "ADD": "x.h:3: #define ADD(a, ...) ((a) + f(__VA_ARGS__))",
        "HERE": "x.h:4: #define HERE",
    }


def test_a_macro_that_is_nested_too_deeply_is_no_constant() -> None:
    assert parse(f"#define SUM {'1 + ' * 3000} 1\n#define ONE 1\n").constants == {"ONE": 1}


def test_a_macro_that_was_undefined_is_gone() -> None:
    assert parse("#define A 1\n#define B A\n#undef B\n").constants == {"A": 1}


def test_a_macro_for_a_member_is_the_member() -> None:
    constants = parse("enum color { RED };\n#define DEFAULT RED\n").constants
    assert constants["DEFAULT"] is constants["RED"]


def test_constants_of_this_file_are_constants() -> None:
    assert parse("static const int limit = 5 * 2; static const double pi = 3; static int hidden = 1;").constants == {
        "limit": 10,
        "pi": 3.0,
    }


# --- variables ----------------------------------------------------------------------------------------------------


def test_variables_have_types() -> None:
    variables = parse(
        'extern const int table[2][3]; int count = 3, *place; char name[] = "abc"; int list[] = {1, 2};'
    ).variables
    assert {name: (of.type.name, of.readonly) for name, of in variables.items()} == {
        "table": ("int[2][3]", True),
        "count": ("int", False),
        "place": ("int *", False),
        "name": ("char[4]", False),
        "list": ("int[2]", False),
    }


def test_an_array_may_be_declared_without_its_length_first() -> None:
    assert spelled("extern int a[]; extern int a[4]; extern int a[];", "a") == "int[4]"


# --- the preprocessor ---------------------------------------------------------------------------------------------


def test_conditions_are_followed() -> None:
    text = """
    #if defined(__wasm32__) && !defined(__cplusplus) && 1LL < 2ULL
    int wasm(void);
    #else
    int other(void);
    #endif
    #ifdef __cplusplus
    extern "C" {
    #endif
    #if __has_include("nowhere.h") || __SIZEOF_POINTER__ == 8
    int more(void);
    #endif
    """
    assert list(parse(text).functions) == ["wasm"]
    assert list(parse(text, pointer_size=8).functions) == ["other", "more"]


def test_comments_may_be_anywhere() -> None:
    assert spelled("int /* a */ f( // b\n int /* c\n c */ x);\n#define A /* d */ 3 // e\n", "f") == "int (int)"


def test_a_header_has_its_includes_and_defines(tmp_path: Path) -> None:
    (tmp_path / "include").mkdir()
    (tmp_path / "include" / "types.h").write_text("#pragma once\ntypedef short id_type;\n")
    (tmp_path / "beside.h").write_text("#include <types.h>\n#define LIMIT (BASE + 1)\n")
    (tmp_path / "lib.h").write_text('#include "beside.h"\n#include <types.h>\n#include <stdio.h>\nid_type f(FILE *);\n')
    declarations = parse_header(
        tmp_path / "lib.h", include_dirs=[tmp_path / "include"], defines={"BASE": 4, "FLAG": True}
    )
    assert declarations.functions["f"].type.name == "short (FILE *)"
    assert declarations.constants == {"LIMIT": 5}
    assert declarations.functions["f"].where == f"{tmp_path / 'lib.h'}:4"


def test_a_header_that_is_not_there_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        parse_header(tmp_path / "nothing.h")


def test_nothing_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    parse('#warning this is old\n#include <nowhere.h>\n#pragma GCC poison x\n#ident "x"\nint f(void);')
    assert capfd.readouterr() == ("", "")


def test_headers_that_include_each_other_without_end_are_told(tmp_path: Path) -> None:
    (tmp_path / "a.h").write_text('#include "b.h"\n')
    (tmp_path / "b.h").write_text('int f(void);\n#include "a.h"\n')
    with pytest.raises(DeclarationError, match=r"[ab].h:\d: the headers include each other without end"):
        parse_header(tmp_path / "a.h")


def test_macros_that_are_nested_too_deeply_are_told() -> None:
    text = "#define A0 1\n" + "".join(f"#define A{n + 1} A{n}\n" for n in range(3000)) + "int x[A3000];\n"
    with pytest.raises(DeclarationError, match=r"x.h:3001: macros are nested too deeply here"):
        parse(text, file="x.h")


# --- names --------------------------------------------------------------------------------------------------------


def test_names_may_have_all_letters_and_dollars() -> None:
    declarations = parse(
        "typedef struct größe { int höhe; } größe; enum farbe { grün = 5, rötlich };\n"
        "größe *prüfe(größe wert, int zahl$, int (*für)(größe)); extern größe $jetzt[grün];\n"
    )
    assert declarations.functions["prüfe"].type.parameter_names == ("wert", "zahl$", "für")
    assert declarations.types["größe"].fields[0][0] == "höhe"  # type: ignore[index]
    assert declarations.types["struct größe"] is declarations.types["größe"]
    assert declarations.types["enum farbe"].members.__name__ == "farbe"
    assert declarations.constants == {"grün": 5, "rötlich": 6}
    assert declarations.variables["$jetzt"].type.name == "struct größe[5]"
    assert typeof(declarations, "int (*)(größe *, größe)").name == "int (*)(struct größe *, struct größe)"


def test_a_mistake_with_such_a_name_is_told() -> None:
    with pytest.raises(DeclarationError, match=r"x.h:2: unknown type 'Größe': is it 'größe'\?"):
        parse("typedef int größe;\nGröße f(void);", file="x.h")


# --- twice the same -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "typedef int id; typedef int id;",
        "typedef unsigned long size_t; size_t f(void);",
        "typedef unsigned char uint8_t; typedef int bool; bool f(uint8_t x);",
        "typedef enum { false, true } bool; bool f(void);",
        "typedef struct { int a; } FILE; FILE *f(void);",
        "int f(int); int f(int x); int f(int y) { return y; }",
        "struct s { int a; struct { int b; } c; }; struct s { int a; struct { int b; } c; };",
        "struct s; struct s { int a; }; struct s;",
        "enum e { A, B }; enum e { A, B }; enum e x;",
        "typedef struct s s; typedef struct s s; struct s { s *next; };",
        "extern int v; int v;",
        "#define A 1\n#define A 1\n",
    ],
)
def test_saying_the_same_twice_is_fine(text: str) -> None:
    parse(text)


# --- what cannot be -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        # something is missing
        ("int f(void)\nint g(void);", "x.h:1: ';' is missing after ')'"),
        ("int f(void);\nint g(void)", "x.h:2: the declarations end in the middle of one: ';' is missing after ')'"),
        ("typedef struct { int a; } point\nint f(void);", "x.h:1: ';' is missing after 'point'"),
        ("struct s { int a };", "x.h:1: ';' is missing after 'a'"),
        ("int f(int x;", "x.h:1: this '(' is never closed"),
        ("int f(int x));", "x.h:1: ')' closes nothing"),
        ("struct s {\nint a[3;\n};", "x.h:3: '}' closes nothing ('[' of x.h:2 is open)"),
        ("int f(void) {\nif (1) {\n}", "x.h:1: this '{' is never closed"),
        ("int 3x;", "x.h:1: what follows 'int' is no declaration"),
        ("double f(int a,);", "x.h:1: a type is missing at ')'"),
        ("int f(int x = 3);", "x.h:1: '=' does not belong here, after 'x'"),
        ("int x y;", "x.h:1: 'y' does not belong here, after 'x'"),
        ("int f(int x) @ 3;", "x.h:1: illegal character '@', at '@'"),
        ("int f(int x) const;", "x.h:1: 'const' does not belong here, after ')'"),
        ("add(int x);", "x.h:1: a type is missing before 'add': what the function returns, or void"),
        ("struct s {\nint a;\n}\nint f(void);", "x.h:3: ';' is missing after '}'"),
        ("enum {\nA\n}\nint f(void);", "x.h:3: ';' is missing after '}'"),
        ("enum { A B };", "x.h:1: 'B' does not belong here, after 'A'"),
        ("int f(void);\n/* int g(void);", "x.h:2: this comment is never closed"),
        # unknown types
        *(
            (text, "x.h:1: unknown type 'foo'; if it is only pointed at, declare it: typedef struct foo foo;")
            for text in [
                "foo f(int x);", "foo *f(int x);", "int f(foo x);", "int f(foo *x);", "int f(foo);", "int f(foo *);",
                "int f(int, foo);", "int f(foo, int x);", "foo (*f)(int x);", "int f(const foo *x);", "int f(const foo);", "extern foo x;",
                "const foo *x;", "struct s { foo x; };", "struct s { foo *x; int y; };", "struct s { const foo *x; };",
                "typedef foo bar;", "int f(int (*g)(foo));", "struct s { int a; foo b; };",
            ]
        ),
        ("typedef int point;\nPoint f(void);", "x.h:2: unknown type 'Point': is it 'point'?"),
        ("unsinged f(void);", "x.h:1: unknown type 'unsinged': is it 'unsigned'?"),
        ("str greet(str name);", "x.h:1: unknown type 'str': C has const char *"),
        ("int f(bytes data);", "x.h:1: unknown type 'bytes': C has const char *"),
        ("f64 f(u8 x);", "x.h:1: unknown type 'f64': C has double"),
        ("uint32 f(void);", "x.h:1: unknown type 'uint32': C has uint32_t"),
        (
            "#include <stdint.h>\n#include <png.h>\npng_byte f(void);",
            "x.h:3: unknown type 'png_byte'; it may come from a header that was not found: <png.h> (include_dirs names their folders); if it is only pointed at, declare it: typedef struct png_byte png_byte;",
        ),
        # another language
        ("class A { public: int x; };", "x.h:1: this is C++ (near 'class'), and only C can be read: declare functions that are extern \"C\""),
        ("int f(int &x);", "x.h:1: this is C++ (near '&'), and only C can be read: declare functions that are extern \"C\""),
        ("std::string f();", "x.h:1: this is C++ (near 'std'), and only C can be read: declare functions that are extern \"C\""),
        ("extern \"C\" {\nint f(void);\n}", 'x.h:1: extern "C" is C++; C reads it only inside #ifdef __cplusplus … #endif'),
        ("def f(x): pass", "x.h:1: this is not C (near 'def'): a function is declared so: int add(int a, int b);"),
        ("int add(a: int) -> int;", "x.h:1: this is not C (near ':'): a function is declared so: int add(int a, int b);"),
        # directives
        ("int a;\n#inlcude <x.h>", "x.h:2: there is no directive #inlcude; a comment in C is /* … */ or // …"),
        ('#include "nowhere.h"', 'x.h:1: "nowhere.h" is not found; name the folder that has it in include_dirs'),
        ("#include nowhere", 'x.h:1: #include is followed by "name" or <name>'),
        ("\n#error only for grown-ups", "x.h:2: #error only for grown-ups"),
        ("#ifdef A\nint a;", "x.h:1: unterminated #ifdef A"),
        ("#endif", "x.h:1: misplaced #endif"),
        ("#if 1 +\n#endif", "x.h:1: the condition cannot be read: 1 +"),
        ("int a;\n#define\n", "x.h:2: the line with #define is not complete"),
        # types that are none
        ("long long long x;", "x.h:1: 'long long long' is no type"),
        ("unsigned double x;", "x.h:1: 'unsigned double' is no type"),
        ("__int128 f(void);", "x.h:1: __int128 has no equal; declare a struct of two uint64_t"),
        ("_Float16 f(void);", "x.h:1: '_Float16' cannot be expressed; use uint16_t"),
        ("typeof(1) x;", "x.h:1: 'typeof' cannot be expressed; write the type itself"),
        *(
            (text, "x.h:1: _Atomic cannot be expressed; declare the plain type if the library is not called by several threads")
            for text in ["_Atomic int x;", "_Atomic(int) f(void);", "struct s { _Atomic int *p; };"]
        ),
        ("typedef int v __attribute__((vector_size(16)));", "x.h:1: vectors cannot be expressed; pass a pointer to an array"),
        ("typedef int v __attribute__((aligned(16)));", "x.h:1: a typedef with an alignment of its own cannot be expressed; align the struct or its fields"),
        ("struct s { int a __attribute__((aligned(8))), b; };", "x.h:1: declare a field with an alignment of its own in a line of its own"),
        ("struct s { int a __attribute__((aligned(3))); };", "x.h:1: an alignment is a power of two, at most 65536, and not 3"),
        ("enum __attribute__((packed)) e { A };", "x.h:1: a packed enum cannot be expressed; declare an integer, for example int8_t"),
        # arrays
        ("int n;\nint a[n];", "x.h:2: an array's length is not constant: 'n' is not a constant"),
        ("int a[-1];", "x.h:1: an array's length is not negative, and this is -1"),
        ("int a[1.5];", "x.h:1: an array's length is an integer, not 1.5"),
        ("int a[1/0];", "x.h:1: an array's length is not constant: a division by zero"),
        ("struct t a[3];", "x.h:1: an array's items need a size, and 'struct t' has none"),
        ("int a[2](void);", "x.h:1: there are no arrays of functions; declare one of pointers: (*name[])(…)"),
        # structs
        ("struct s { struct t x; };", "x.h:1: the field 'x' is of type 'struct t', which is not defined; define it before, or declare a pointer to it"),
        ("struct s { struct s x; };", "x.h:1: the field 'x' is of type 'struct s', which is not defined; define it before, or declare a pointer to it"),
        ("struct s { int a[]; int b; };", "x.h:1: the field 'a' is an array without a length; only the last field of several may be one"),
        ("struct s { int f(void); };", "x.h:1: the field 'f' is a function; declare a pointer to one: (*f)(…)"),
        ("struct s { int a; union { char a; }; };", "x.h:1: 'struct s' has two fields 'a'"),
        ("struct s { int a : 40; };", "x.h:1: the bit-field 'a' has 40 bits, and 'int' has 32"),
        ("struct s { double a : 4; };", "x.h:1: the bit-field 'a' is of type 'double'; bit-fields are integers"),
        ("struct s { int a : 0; };", "x.h:1: the bit-field 'a' has no bits; one of width 0 has no name"),
        (
            "struct __attribute__((packed)) s { int a : 3; long long b : 62; };",
            "x.h:1: a bit-field of 'struct s' cannot be expressed: its 62 bits begin within a byte and reach over 8 bytes; declare an array of bytes in its place",
        ),
        ("void x;", "x.h:1: the variable 'x' is of type void, which no value has"),
        # functions
        ("int f(void x);", "x.h:1: the parameter 'x' is of type 'void', which no value has"),
        ("int f(struct t x);", "x.h:1: the parameter 'x' is of type 'struct t', which is not defined; define it, or pass a pointer"),
        ("struct t f(void);", "x.h:1: the function returns 'struct t' by value, which is not defined; define it, or return a pointer"),
        ("int f(void)[3];", "x.h:1: a function returns no array; return a pointer"),
        # enums
        ("enum e x;", "x.h:1: 'enum e' is not defined; enums are defined before they are used"),
        ("enum e { A = x };", "x.h:1: the value of 'A' is not constant: 'x' is not a constant"),
        ("enum e { A, A };", "x.h:1: 'A' is already defined, as 0"),
        # one name, two meanings
        ("enum e { A };\nenum f { A = 2 };", "x.h:2: 'A' is already defined, as <e.A: 0>"),
        ("enum e { A };\nenum e { B };", "x.h:2: 'enum e' is already defined, with other members"),
        ("struct s { int a; };\nstruct s { double a; };", "x.h:2: 'struct s' is already defined, with other fields"),
        ("struct s { int a; };\nunion s;", "x.h:2: 's' is already a struct"),
        ("int f(int);\nint f(double);", "x.h:2: 'f' is already declared in x.h:1, as 'int (int)' and not 'int (double)'"),
        ("int v;\ndouble v;", "x.h:2: 'v' is already declared in x.h:1, as 'int' and not 'double'"),
        ("typedef int t;\ntypedef double t;", "x.h:2: 't' is already another type, 'int'"),
        ("int f(int);\nextern int *f;", "x.h:2: 'f' is already a function"),
        ("typedef int a;\nint a(void);", "x.h:2: 'a' is declared both as a type and as something else"),
        ('_Static_assert(sizeof(long) == 8, "64 bits only");', "x.h:1: the _Static_assert is false for this library's memory: 64 bits only"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_told_with_its_line(text: str, message: str) -> None:
    with pytest.raises(DeclarationError) as raised:
        parse(text, file="x.h")
    assert str(raised.value) == message


@pytest.mark.parametrize(
    "text",
    [
        f"int {'(' * 3000}x{')' * 3000};", f"int {'*' * 3000}x;", f"{'struct {' * 3000} int x; {'} a;' * 3000}",
        f"enum {{ A = {'1 + ' * 3000} 1 }};", f"int x[{'(' * 3000}1{')' * 3000}];", f"int x = {'-' * 3000}1;",
    ],
    ids=lambda text: text[:20],
)  # fmt: skip
def test_what_is_nested_too_deeply_is_told_with_its_line(text: str) -> None:
    with pytest.raises(DeclarationError, match=r"^x.h:2: this is nested too deeply to be read$"):
        parse(f"int f(void);\n{text}", file="x.h")


def test_types_that_are_too_deep_are_told_with_their_line() -> None:
    text = "typedef int t0;\n" + "".join(f"typedef t{n} *t{n + 1};\n" for n in range(300))
    with pytest.raises(DeclarationError, match=r"^x.h:258: the types nest deeper than 256 levels$"):
        parse(text, file="x.h")
    declarations = parse("\n".join(text.splitlines()[:251]))
    with pytest.raises(DeclarationError, match=r"^'t250 \*{20}': the types nest deeper than 256 levels$"):
        typeof(declarations, f"t250 {'*' * 20}")


def test_whatever_is_wrong_is_told_with_a_line() -> None:
    """Texts in which a few tokens were removed, exchanged or added."""
    generator = random.Random(5)
    words = [*"(){}[];,*:=?-#", "int", "struct", "typedef", "const", "#if", "#define", "\n", "3", "x", "...", "'", '"', "/*",
             "__attribute__((packed))", "_Alignas(8)", "enum", "sizeof", "void", "[[", "asm", "_Pragma", "é"]  # fmt: skip
    for _ in range(300):
        tokens = re.findall(r"\w+|\s+|.", MIXTURE)
        for _ in range(generator.randint(1, 4)):
            place = generator.randrange(len(tokens))
            end = place + generator.choice([0, 1, 3])
            tokens[place:end] = generator.sample(words, generator.choice([0, 1, 1]))
        with contextlib.suppress(DeclarationError):
            parse("".join(tokens))
            continue
        with pytest.raises(DeclarationError, match=r"^(<declarations>|<type>):\d+: "):
            parse("".join(tokens))


MIXTURE = """
#include <stdio.h>
#ifdef __cplusplus
extern "C" {
#endif
#define X (A | 0x10)
#pragma pack(push, 1)
typedef int (*callback)(const char *text, ...);
#pragma pack(pop)
struct __attribute__((packed, aligned(8))) a { char x; int y : 3; int : 0; union { float f; long long g[2]; }; };
enum e { A = 1 << 3, B = sizeof(struct a), C = 'x' };
static inline int square(int x) { return x * x; }
int table[X] = {1, 2}; extern const double limits[];
_Static_assert(sizeof(int) == 4, "int");
int f(int a[static 3], struct a *restrict p, callback c) __attribute__((nonnull(2)));
"""


# --- typeof -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("int", "int"), ("unsigned", "unsigned int"), ("const char *", "const char *"), ("char const *", "const char *"),
        ("point", "point"), ("point *", "point *"), ("point*", "point *"), ("struct node", "struct node"),
        ("struct node**", "struct node **"), ("double[4]", "double[4]"), ("double [2][3]", "double[2][3]"),
        ("int (*)(int, void *)", "int (*)(int, void *)"), ("point *[3]", "point *[3]"), ("int[]", "int[]"),
        ("enum color", "enum color"), ("constant *", "const int *"), ("uint8_t[SIZE]", "uint8_t[12]"),
        ("int (*)(point *, constant *, bool, point)", "int (*)(point *, const int *, _Bool, point)"),
        ("const point *const", "const point *"), ("FILE *", "FILE *"), ("void", "void"), ("long  unsigned int", "unsigned long"),
    ],
)  # fmt: skip
def test_typeof_reads_the_name_of_a_type(text: str, expected: str) -> None:
    declarations = parse(
        "typedef struct { int x; } point; struct node { int a; }; enum color { RED }; typedef const int constant;\n"
        "#define SIZE 12\n"
    )
    assert typeof(declarations, text).name == expected
    assert typeof(declarations, text) is typeof(declarations, text)


def test_typeof_gives_the_declared_structs() -> None:
    declarations = parse("typedef struct { int x; } point;")
    assert typeof(declarations, "point") is declarations.types["point"]
    assert typeof(declarations, "point *").item is declarations.types["point"]
    assert typeof(declarations, "point (*)(void)").item.item is declarations.types["point"]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("pont *", "'pont *': unknown type 'pont': is it 'point'?"),
        ("str", "'str': unknown type 'str': C has const char *"),
        ("int (*", "'int (*': this '(' is never closed"),
        ("", "'': C has no type that is spelled so"),
        ("1 + 1", "'1 + 1': C has no type that is spelled so"),
        ("point p", "'point p': C has no type that is spelled so"),
        ("point; int", "'point; int': C has no type that is spelled so"),
        ("struct none[2]", "'struct none[2]': an array's items need a size, and 'struct none' has none"),
        (f"int {'*' * 9000}", f"'int {'*' * 196}…': this is nested too deeply to be read"),
        ("int[n]", "'int[n]': an array's length is not constant: 'n' is not a constant"),
    ],
)
def test_typeof_tells_what_is_no_type(text: str, message: str) -> None:
    with pytest.raises(DeclarationError) as raised:
        typeof(parse("typedef struct { int x; } point;"), text)
    assert str(raised.value) == message


# --- Declarations -------------------------------------------------------------------------------------------------


def test_declarations_are_the_same_if_they_declare_the_same() -> None:
    one, other = parse("int f(void);"), parse("int f(void);")
    typeof(one, "int *")  # which declares nothing
    assert one == other
    assert one != parse("int f(int);")
    assert one != "int f(void);"


def test_declarations_tell_how_many_they_are() -> None:
    declarations = parse("typedef int number; number f(void); extern number n;\n#define A 1\n#define B 2\n")
    assert repr(declarations) == "<Declarations: 1 types, 1 functions, 1 variables, 2 constants>"


# --- packages -----------------------------------------------------------------------------------------------------


def test_importing_clib_imports_no_parser() -> None:
    done = run_python("import anywasm.clib._parse, sys; print({'pycparser', 'pcpp'} & set(sys.modules))")
    assert done == "set()"


def test_a_plain_type_is_found_without_a_parser() -> None:
    assert (
        run_python(
            "import sys; from anywasm.clib._parse import typeof; from anywasm.clib._declarations import Declarations;"
            "print(typeof(Declarations(), 'const unsigned char *').size, {'pycparser', 'pcpp'} & set(sys.modules))"
        )
        == "4 set()"
    )


@pytest.mark.parametrize("package", ["pcpp", "pycparser"])
def test_a_missing_package_says_what_to_install(package: str) -> None:
    assert (
        run_python(
            f"import sys; sys.modules[{package!r}] = None\n"
            "from anywasm.clib._parse import parse\n"
            "try: parse('int f(void);')\n"
            "except ImportError as error: print(error)"
        )
        == "reading C needs two more packages: pip install anywasm[clib]"
    )


def run_python(program: str) -> str:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return done.stdout.strip()


# --- real headers -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def crate_source() -> Callable[[str, str], Path]:
    if shutil.which("cargo") is None:
        pytest.skip("needs cargo, which fetches the sources")
    sys.path.insert(0, str(EXAMPLES))
    import c_library

    sys.path.remove(str(EXAMPLES))
    cache = toolchain.cache_dir() / "examples"
    cache.mkdir(exist_ok=True)
    return lambda name, version: c_library.crate_source(name, version, cache)


def test_sqlites_header_is_read_whole(crate_source: Callable[[str, str], Path]) -> None:
    header = crate_source("libsqlite3-sys", "0.40.0") / "sqlite3" / "sqlite3.h"
    declarations = parse_header(header)
    assert declarations.functions["sqlite3_open"].type.name == "int (const char *, struct sqlite3 **)"
    assert declarations.functions["sqlite3_exec"].type.parameters is not None
    assert declarations.constants["SQLITE_ROW"] == 100
    assert declarations.constants["SQLITE_IOERR_READ"] == 266
    assert isinstance(declarations.constants["SQLITE_VERSION"], str)
    vfs = declarations.types["sqlite3_vfs"]
    assert (vfs.size, dict(fields(vfs))["xOpen"]) == (88, 24)


def test_zlibs_header_is_read_whole(crate_source: Callable[[str, str], Path]) -> None:
    declarations = parse_header(crate_source("libz-sys", "1.1.31") / "src" / "zlib" / "zlib.h")
    assert declarations.functions["compress2"].type.name.startswith("int (unsigned char *, unsigned long *,")
    assert declarations.constants["Z_BEST_COMPRESSION"] == 9
    stream = declarations.types["z_stream"]
    assert (stream.size, dict(fields(stream))["msg"]) == (56, 24)
    assert declarations.functions["inflate"].type.parameter_names == ("strm", "flush")


WASI_HEADERS = [
    "stdio",
    "stdlib",
    "string",
    "math",
    "complex",
    "time",
    "stdint",
    "limits",
    "errno",
    "wchar",
    "unistd",
    "dirent",
]


@pytest.mark.parametrize("name", WASI_HEADERS)
def test_the_compilers_own_headers_are_read(name: str) -> None:
    ziglang = pytest.importorskip("ziglang")
    lib = Path(ziglang.__file__).parent / "lib"
    folders = [lib / "include", lib / "libc" / "include" / "wasm-wasi-musl", lib / "libc" / "include" / "generic-musl"]
    header = next(folder / f"{name}.h" for folder in folders[1:] if (folder / f"{name}.h").exists())
    declarations = parse_header(header, include_dirs=folders)
    assert declarations.functions or declarations.constants

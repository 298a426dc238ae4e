# SPDX-License-Identifier: Apache-2.0
"""Declarations out of DWARF: what C says is what comes out, type by type."""

import sys
from collections.abc import Callable
from enum import IntEnum
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import anywasm
from anywasm import _dwarf
from anywasm._core import CType
from anywasm.clib._debug_info import declarations_from_dwarf
from anywasm.clib._declarations import DeclarationError, Declarations
from anywasm.clib._prepare import add_custom_section, custom_sections, remove_custom_sections

pytest.importorskip("elftools")

CompileC = Callable[..., Path]
REACTOR = "-mexec-model=reactor"

# Every line that begins at the margin with a type is a declaration to be found again.
SOURCE = """#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct { double x, y; } point;
struct node { struct node *next; char name[16]; point places[2][3]; };
enum color { RED, GREEN = 5, BLUE = -1 };
typedef enum { NORTH = 1, SOUTH } direction;
enum { LIMIT = 1 << 20 };
struct hidden;
typedef int (*visitor)(int value, void *data);
typedef const char *text;
typedef double vector[3];
union number { int i; float f; unsigned char bytes[8]; };
struct tail { size_t count; double values[]; };

int counter = 3;
const char *const title = "a title";
double matrix[2][3];
vector origin;
static int private_counter;

void numbers(signed char a, unsigned char b, short c, unsigned short d, int e, unsigned f, long g, unsigned long h) {}
long long wide(unsigned long long a, float b, double c, long double d, bool e, char f) { return a; }
void sized(int8_t a, uint16_t b, int32_t c, uint64_t d, size_t e, ptrdiff_t f, wchar_t g) {}
float _Complex turn(double _Complex a, long double _Complex b) { return a; }
void pointers(int *a, const int *b, int *const c, const volatile int *restrict d, int **e, const char *const *f) {}
void *nothing(const void *a) { return 0; }
void arrays(int a[4], const double b[2][3], text c, vector d, const vector e) {}
point middle(const point *points, size_t count) { return points[count / 2]; }
struct node *walk(struct node *from, struct hidden *secret) { return from->next; }
enum color mix(enum color c, direction d) { return c; }
union number number(struct tail *t) { union number n = {0}; return n; }
int visit(visitor v, int f(long), void (*(*g)(int))(char)) { return v(1, 0); }
int print(const char *format, ...) { return *format; }
int unknown() { return private_counter++; }
static int hidden_function(void) { return 1; }
static inline int inlined(int a) { return hidden_function() + a; }
int last(void) { return inlined(counter); }
"""

FUNCTIONS = {
    "numbers": "void (signed char, unsigned char, short, unsigned short, int, unsigned int, long, unsigned long)",
    "wide": "long long (unsigned long long, float, double, long double, _Bool, char)",
    "sized": "void (int8_t, uint16_t, int32_t, uint64_t, size_t, ptrdiff_t, wchar_t)",
    "turn": "float _Complex (double _Complex, long double _Complex)",
    "pointers": "void (int *, const int *, int *, const int *, int **, const char *const *)",
    "nothing": "void *(const void *)",
    "arrays": "void (int *, const double (*)[3], const char *, double *, const double *)",
    "middle": "point (const point *, size_t)",
    "walk": "struct node *(struct node *, struct hidden *)",
    "mix": "enum color (enum color, direction)",
    "number": "union number (struct tail *)",
    "visit": "int (int (*)(int, void *), int (*)(long), void (*(*)(int))(char))",
    "print": "int (const char *, ...)",
    "unknown": "int (void)",
    "last": "int (void)",
}
VARIABLES = {"counter": "int", "title": "const char *", "matrix": "double[2][3]", "origin": "double[3]"}


@pytest.fixture(scope="module", params=[4, 5], ids=["DWARF 4", "DWARF 5"])
def binary(request: pytest.FixtureRequest, compile_c: CompileC) -> bytes:
    exports = [f"-Wl,--export={name}" for name in (*FUNCTIONS, *VARIABLES)]
    return compile_c(SOURCE, REACTOR, "-w", "-g", f"-gdwarf-{request.param}", *exports).read_bytes()


@pytest.fixture(scope="module")
def found(binary: bytes) -> Declarations:
    return declarations_from_dwarf(binary, only_exports={*FUNCTIONS, *VARIABLES})


@pytest.fixture
def declared(compile_c: CompileC) -> Callable[[str], Declarations]:
    """What the debug information of a text says of all that is in it."""

    def read(source: str, *flags: str) -> Declarations:
        path = compile_c(source, REACTOR, "-w", "-g", "-nostdlib", "-Wl,--no-entry", *flags)
        return declarations_from_dwarf(path.read_bytes())

    return read


def line_of(name: str) -> int:
    return next(number for number, line in enumerate(SOURCE.splitlines(), 1) if f" {name}(" in line.replace("*", " "))


# --- functions, variables -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_has_its_type(found: Declarations, name: str) -> None:
    assert found.functions[name].type.name.replace("*const *", "**") == FUNCTIONS[name].replace("*const *", "**")


@pytest.mark.parametrize("name", VARIABLES)
def test_a_variable_has_its_type(found: Declarations, name: str) -> None:
    assert found.variables[name].type.name == VARIABLES[name]


def test_nothing_else_is_declared(found: Declarations) -> None:
    assert set(found.functions) == set(FUNCTIONS)
    assert set(found.variables) == set(VARIABLES)


def test_a_variable_knows_whether_it_is_const(found: Declarations) -> None:
    assert [name for name, each in found.variables.items() if each.readonly] == ["title"]


def test_a_typedef_of_what_is_const_is_const(declared: Callable[..., Declarations]) -> None:
    found = declared("typedef const struct { int a; } fixed; fixed one = {1}; int f(fixed *p) { return p->a; }")
    assert found.const_types == {"fixed"}
    assert found.variables["one"].readonly
    assert found.functions["f"].type.name == "int (const fixed *)"


def test_parameters_have_their_names(found: Declarations) -> None:
    assert found.functions["middle"].type.parameter_names == ("points", "count")
    visitor = found.types["visitor"].item
    assert visitor is not None
    assert visitor.parameter_names == (None, None)  # DWARF has none of these


def test_a_pointer_knows_whether_its_target_is_const(found: Declarations) -> None:
    readonly = {name: [each.readonly for each in found.functions[name].type.parameters or ()] for name in FUNCTIONS}
    assert readonly["pointers"] == [False, True, False, True, False, True]
    assert readonly["arrays"] == [False, True, True, False, True]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_knows_its_line(found: Declarations, name: str) -> None:
    assert found.functions[name].where == f"source.c:{line_of(name)}"


def test_a_function_with_a_variable_number_of_arguments_is_variadic(found: Declarations) -> None:
    assert [name for name, each in found.functions.items() if each.type.variadic] == ["print"]


def test_what_starts_a_library_is_not_declared(binary: bytes) -> None:
    assert {*declarations_from_dwarf(binary, only_exports={"last", "_initialize", "memory"}).functions} == {"last"}


def test_all_is_declared_if_no_names_are_given(binary: bytes) -> None:
    found = declarations_from_dwarf(binary)
    assert {*FUNCTIONS} < {*found.functions}
    assert not {"hidden_function", "inlined"} & {*found.functions}


def test_a_module_tells_the_same_as_its_bytes(binary: bytes, engine: anywasm.Engine) -> None:
    found = declarations_from_dwarf(anywasm.Module(binary, engine), only_exports={"middle"})
    assert found.functions["middle"].type.name == FUNCTIONS["middle"]


# --- types ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "kind", "size", "align"),
    [
        ("point", "struct", 16, 8),
        ("struct node", "struct", 120, 8),
        ("enum color", "enum", 4, 4),
        ("direction", "enum", 4, 4),
        ("struct hidden", "struct", None, None),
        ("visitor", "pointer", 4, 4),
        ("text", "pointer", 4, 4),
        ("vector", "array", 24, 8),
        ("union number", "union", 8, 4),
        ("struct tail", "struct", 8, 8),
        ("size_t", "integer", 4, 4),
        ("uint64_t", "integer", 8, 8),
    ],
)
def test_a_type_is_found_by_its_name(
    found: Declarations, name: str, kind: str, size: int | None, align: int | None
) -> None:
    type = found.types[name]
    assert (type.kind, type.size, type.align) == (kind, size, align)


def test_a_struct_has_its_fields(found: Declarations) -> None:
    fields = found.types["struct node"].fields or ()
    assert [(name, type.name, offset) for name, type, offset, _, _ in fields] == [
        ("next", "struct node *", 0),
        ("name", "char[16]", 4),
        ("places", "point[2][3]", 24),
    ]


def test_a_struct_points_at_itself(found: Declarations) -> None:
    node = found.types["struct node"]
    assert node.fields is not None
    assert node.fields[0][1].item is node


def test_the_last_array_may_have_no_length(found: Declarations) -> None:
    assert [(name, type.name) for name, type, *_ in found.types["struct tail"].fields or ()] == [
        ("count", "size_t"),
        ("values", "double[]"),
    ]


def test_enums_are_python_s(found: Declarations) -> None:
    assert found.constants == {"RED": 0, "GREEN": 5, "BLUE": -1, "NORTH": 1, "SOUTH": 2}
    color = found.constants["GREEN"]
    assert isinstance(color, IntEnum)
    assert repr(color) == "<color.GREEN: 5>"
    assert repr(found.constants["SOUTH"]) == "<direction.SOUTH: 2>"


def test_an_enum_without_a_name_is_an_integer_with_constants(declared: Callable[..., Declarations]) -> None:
    found = declared("enum { ONE = 1, MANY = 1 << 20 } mode; int f(void) { return MANY; }")
    assert found.constants == {"ONE": 1, "MANY": 1 << 20}
    assert type(found.constants["ONE"]) is int
    assert found.variables["mode"].type.kind == "integer"


def test_bit_fields_lie_where_the_compiler_has_put_them(declared: Callable[..., Declarations]) -> None:
    found = declared("""
        struct flags {
            unsigned a : 3, b : 5;
            int : 4;
            unsigned c : 20;
            _Bool d : 1;
            long long e : 40;
            enum color { RED, GREEN } f : 2;
        };
        unsigned get(struct flags *flags) { return flags->b; }
    """)
    type = found.types["struct flags"]
    assert [(name, type.name, *rest) for name, type, *rest in type.fields or ()] == [
        ("a", "unsigned int", 0, 0, 3),
        ("b", "unsigned int", 0, 3, 5),
        ("c", "unsigned int", 0, 12, 20),
        ("d", "_Bool", 4, 0, 1),
        ("e", "long long", 8, 0, 40),
        ("f", "enum color", 12, 8, 2),
    ]
    assert type.size == 16


def test_a_struct_without_a_name_lends_its_fields(declared: Callable[..., Declarations]) -> None:
    found = declared("""
        struct variant {
            int kind;
            union { int i; double d; struct { short low, high; }; };
            struct { int inner; } named;
        };
        int get(struct variant *v) { return v->i; }
    """)
    kind, union, named = found.types["struct variant"].fields or ()
    assert kind[0] == "kind"
    assert union[0] is None
    assert [name for name, *_ in union[1].fields or ()] == ["i", "d", None]
    assert named[0] == "named"
    assert named[1].name == "struct variant.named"


@pytest.mark.parametrize(
    ("body", "size", "align", "offsets"),
    [
        ("struct __attribute__((packed)) s { char c; int i; };", 5, 1, [0, 1]),
        ("#pragma pack(2)\nstruct s { char c; int i; };", 6, 2, [0, 2]),
        ("struct s { char c; int i; } __attribute__((aligned(16)));", 16, 16, [0, 4]),
        ("struct s { char c; _Alignas(8) char d; };", 16, 8, [0, 8]),
        ("struct s { char c; struct { char d; long double e; } f; };", 48, 16, [0, 16]),
        ("struct s {};", 0, 1, []),
    ],
)
def test_alignments_follow(
    declared: Callable[..., Declarations], body: str, size: int, align: int, offsets: list[int]
) -> None:
    type = declared(body + "\nint f(struct s *s) { return s != 0; }").types["struct s"]
    assert (type.size, type.align) == (size, align)
    assert [offset for _, _, offset, *_ in type.fields or ()] == offsets


def test_a_type_of_two_files_is_one_type(compile_c: CompileC, tmp_path: Path) -> None:
    (tmp_path / "both.h").write_text("""
        struct both { int a; }; typedef struct { int b; } same; typedef enum { ON } state; struct opaque;
        int second(struct both *, same *, state, struct opaque *);
    """)
    first, second = tmp_path / "first.c", tmp_path / "second.c"
    first.write_text("""#include "both.h"
        int first(struct both *b, same *s, state t, struct opaque *o) { return second(b, s, t, o); }
    """)
    second.write_text("""#include "both.h"
        struct opaque { int c; };
        int second(struct both *b, same *s, state t, struct opaque *o) { return o->c; }
    """)
    flags = [REACTOR, "-g", "-nostdlib", "-Wl,--no-entry", "-Wl,--export=first", str(second)]
    found = declarations_from_dwarf(compile_c(first, *flags).read_bytes())
    assert found.functions["first"].type == found.functions["second"].type
    opaque = (found.functions["first"].type.parameters or ())[3].item
    assert opaque is found.types["struct opaque"]
    assert opaque.size == 4


def test_a_long_chain_of_structs_is_no_deep_recursion(declared: Callable[..., Declarations]) -> None:
    count = sys.getrecursionlimit()
    structs = "\n".join(f"struct s{n} {{ struct s{n + 1} *next; }};" for n in range(count))
    found = declared(f"struct s{count} {{ int end; }};\n{structs}\nint f(struct s0 *s) {{ return s != 0; }}")
    assert found.types["struct s0"].size == 4
    assert found.types[f"struct s{count - 1}"].size == 4


# --- what cannot be read --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("\nint f(__int128 n) { return n; }", "source.c:2: there are no values of the type __int128"),
        ("int f(_BitInt(24) n) { return n; }", "source.c:1: there are no values of the type _BitInt(24)"),
        (
            "typedef int v4 __attribute__((vector_size(16)));\nint f(v4 v) { return v[0]; }",
            "source.c:1: vectors cannot be passed",
        ),
        (
            "struct s {\n  int a;\n  unsigned __int128 b;\n};\nint f(struct s *s) { return s->a; }",
            "source.c:3: there are no",
        ),
    ],
)
def test_what_cannot_be_expressed_is_told_with_its_line(
    declared: Callable[..., Declarations], source: str, message: str
) -> None:
    with pytest.raises(DeclarationError) as caught:
        declared(source)
    assert str(caught.value).startswith(message)


def test_a_type_that_nothing_declared_needs_may_be_inexpressible(declared: Callable[..., Declarations]) -> None:
    found = declared("""
        struct wide { __int128 a; }; struct around { struct wide w; int n; };
        static struct around private; int f(void) { private.n++; return private.n; }
    """)
    assert "f" in found.functions
    assert "struct wide" not in found.types or found.types["struct wide"].size is None


def test_without_debug_information_it_says_what_to_do(compile_c: CompileC) -> None:
    binary = compile_c("int f(void) { return 1; }", REACTOR, "-Wl,--export=f").read_bytes()
    with pytest.raises(DeclarationError, match="no debug information: give declarations, or compile it with -g"):
        declarations_from_dwarf(binary)


def test_debug_information_of_other_code_is_not_enough(binary: bytes) -> None:
    with pytest.raises(DeclarationError, match="tells of none of the module's exports"):
        declarations_from_dwarf(binary, only_exports={"other"})


def test_without_pyelftools_it_says_what_to_install(binary: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(contents: object) -> None:
        raise ImportError

    monkeypatch.setattr(_dwarf, "opened", missing)
    with pytest.raises(ImportError, match=r"pip install anywasm\[clib\]"):
        declarations_from_dwarf(binary)


@pytest.fixture(scope="module")
def small(compile_c: CompileC) -> bytes:
    source = "struct s { int a : 3; struct s *b; }; enum e { A }; int f(struct s *s, enum e e) { return s->a; }"
    path = compile_c(source, REACTOR, "-g", "-nostdlib", "-Wl,--no-entry", "-Wl,--export=f")
    return path.read_bytes()


@given(data=st.data())
def test_damaged_debug_information_is_a_declaration_error(small: bytes, data: st.DataObject) -> None:
    sections = dict(custom_sections(small))
    name = data.draw(st.sampled_from([name for name in sections if name in (".debug_info", ".debug_abbrev")]))
    content = bytearray(sections[name])
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    del content[data.draw(st.integers(1, len(content))) :]
    rest = remove_custom_sections(small, lambda each: each == name)
    try:
        found = declarations_from_dwarf(add_custom_section(rest, name, bytes(content)))
    except DeclarationError:
        return
    assert all(isinstance(each.type, CType) for each in found.functions.values())

# SPDX-License-Identifier: Apache-2.0
"""Stubs: what type checkers accept of a library, and what they refuse."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

from anywasm.clib._parse import parse, parse_header
from anywasm.clib._stub import write_stub

DECLARATIONS = """
typedef struct { double x, y; } point;
typedef struct node {
    struct node *next; const char *label; union { int i; float f; }; struct { char tag[4]; } inner; point at[2];
} node;
typedef struct db db;
enum color { RED, GREEN = 5 };
enum { ANONYMOUS = 1 << 4 };
#define VERSION "1.0"
#define PI 3.14
#define LIMIT 12
#define DEFAULT GREEN

double mean(const double *values, size_t count);
void normalize(double *values, size_t count);
char *greet(const char *name);
char *raw(void);
int fill(char *buffer, int size);
void *copy(void *to, const void *from, size_t count);
point centroid(const point *points, size_t count);
double length(point p);
void move(point *p, double by);
double _Complex power(double _Complex z, int n);
bool is(enum color c, _Bool strictly);
enum color next(enum color c);
int print(const char *format, ...);
void each(int (*visit)(int value, void *data), void *data);
void sort(void *base, size_t count, size_t size, int (*compare)(const void *left, const void *right, const char *how));
db *open_db(const char *path, db **out);
int lambda(int class, int, int __secret);
extern int counter;
extern const double ratios[3];
extern point origin;
extern int (*handler)(int);
int bytes(int str, const char *text);
"""


def stub(text: str = DECLARATIONS, **options: frozenset[str]) -> str:
    return write_stub(parse(text), name="stats", **options)


@pytest.mark.parametrize(
    "line",
    [
        "def mean(values: _In[float], count: int, /) -> float: ...",
        "def normalize(values: _InOut[float], count: int, /) -> None: ...",
        "def greet(name: _Text, /) -> str | None: ...",
        "def fill(buffer: _Memory, size: int, /) -> int: ...",
        "def centroid(points: _InRecord[point], count: int, /) -> point: ...",
        "def length(p: _Record[point], /) -> float: ...",
        "def move(p: _InOutRecord[point], by: float, /) -> None: ...",
        "def power(z: complex, n: int, /) -> complex: ...",
        "def next(c: color, /) -> color: ...",
        "def print(format: _Text, /, *arguments: _t.Any) -> int: ...",
        "def open_db(path: _Text, out: _InOut[_t.Any], /) -> _Address: ...",
        "class color(_enum.IntEnum):\n    RED = 0\n    GREEN = 5\n",
        "class point(_Struct):\n    x: float\n    y: float\n",
        "class node(_Struct):\n    next: _Address\n    label: str | None\n    i: int\n    f: float\n",
        "RED: _t.Literal[color.RED]",
        "DEFAULT: _t.Literal[color.GREEN]",
        "ANONYMOUS: _t.Final = 16",
        "LIMIT: _t.Final = 12",
        "PI: _t.Final[float]",
        "VERSION: _t.Final[str]",
        "counter: int",
        "ratios: _t.Final[_clib.Array]",
        "origin: point",
        "handler: _clib.CFunction | None",
    ],
)
def test_a_stub_says(line: str) -> None:
    assert re.search(
        rf"^{re.escape(line)}", stub(DECLARATIONS.replace("int bytes(int str", "int bite(int text2")), re.MULTILINE
    )


def test_names_that_are_keywords_are_left_out_or_changed() -> None:
    text = stub("int lambda(int); int f(int class, int, int __secret);")
    assert "lambda" not in text
    assert "def f(class_: int, argument2: int, secret: int, /) -> int: ..." in text


def test_a_library_may_have_names_of_builtins() -> None:
    text = stub(
        "int str(const char *text); const char *f(int bytes); struct s { int complex; }; double _Complex g(struct s);"
    )
    assert "def f(bytes: int, /) -> _b.str | None: ..." in text
    assert "def g(argument1: _Record[s], /) -> _b.complex: ..." in text


def test_results_come_as_load_is_told() -> None:
    text = stub(bytes=frozenset({"greet"}), pointers=frozenset({"raw"}))
    assert "def greet(name: _Text, /) -> _b.bytes | None: ..." in text
    assert "def raw() -> _Address: ..." in text


def test_a_struct_and_a_function_may_share_a_name() -> None:
    assert "-> struct_stat: ..." in stub("struct stat { int size; }; struct stat stat(const char *path);")


def test_a_library_of_nothing_has_a_stub() -> None:
    assert stub("").count("\n") == 1


# --- checked by mypy and ruff ---------------------------------------------------------------------------------------


def run_mypy(folder: Path) -> str:
    if importlib.util.find_spec("mypy") is None:
        pytest.skip("mypy is not here")
    import anywasm

    environment = {"MYPYPATH": f"{folder}:{Path(anywasm.__file__).parents[1]}", "PATH": ""}
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--no-error-summary",
        "--cache-dir",
        str(folder / "cache"),
        "use.py",
    ]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return done.stdout


def test_type_checkers_know_the_library(tmp_path: Path) -> None:
    (tmp_path / "stats.pyi").write_text(stub())
    (tmp_path / "use.py").write_text(
        """
from array import array

import stats
from typing_extensions import assert_type

assert_type(stats.mean([1.0, 2, 4.0], 3), float)
stats.mean((1, 2), 2)
stats.mean(array("d", [1.0]), 1)
stats.normalize([1.0, 2.0], 2)
stats.greet("you")
stats.greet(b"you")
stats.greet(None)
stats.fill(bytearray(8), 8)
assert_type(stats.centroid([{"x": 1, "y": 2}, (1.0, 2.0)], 2).x, float)
assert_type(stats.length({"x": 1.0, "y": 2.0}), float)
stats.length((1.0, 2.0))
stats.length(stats.origin)
x, y = stats.origin
assert_type(stats.power(1j, 2), complex)
stats.power(2, 2)
assert_type(stats.next(stats.RED), stats.color)
stats.next(stats.color.GREEN)
stats.each(lambda value, data: value + 1, None)
stats.print("%d %s", 1, "a")
stats.counter = 3
db = stats.open_db("path", None)
if db is not None:
    db + 1
"""
    )
    assert run_mypy(tmp_path) == ""


@pytest.mark.parametrize(
    ("use", "error"),
    [
        ("stats.mean('abc', 3)", 'Argument 1 to "mean" has incompatible type "str"'),
        ("stats.mean([1.0])", 'Too few arguments for "mean"'),
        ("stats.mean(values=[1.0], count=1)", "Unexpected keyword argument"),
        ("stats.normalize((1.0,), 1)", 'Argument 1 to "normalize" has incompatible type "tuple[float]"'),
        ("stats.greet(3)", 'Argument 1 to "greet" has incompatible type "int"'),
        ("stats.next(3)", 'Argument 1 to "next" has incompatible type "int"; expected "color"'),
        ("stats.origin.z", '"point" has no attribute "z"'),
        ("stats.each(lambda value: value, None)", "Cannot infer type of lambda"),
        ("stats.LIMIT = 3", "Cannot assign to final name"),
        ("stats.nothing()", 'Module has no attribute "nothing"'),
    ],
)
def test_type_checkers_refuse(tmp_path: Path, use: str, error: str) -> None:
    (tmp_path / "stats.pyi").write_text(stub())
    (tmp_path / "use.py").write_text(f"import stats\n\n{use}\n")
    assert error in run_mypy(tmp_path)


SYSTEM_HEADERS = ["string", "stdio", "math", "time", "unistd"]


@pytest.mark.parametrize("header", ["own", *SYSTEM_HEADERS])
def test_a_stub_is_valid_and_formatted(tmp_path: Path, header: str) -> None:
    if header == "own":
        text = stub()
    else:
        ziglang = pytest.importorskip("ziglang")
        lib = Path(ziglang.__file__).parent / "lib"
        folders = [lib / "libc" / "include" / "wasm-wasi-musl", lib / "libc" / "include" / "generic-musl"]
        path = next(folder / f"{header}.h" for folder in folders if (folder / f"{header}.h").exists())
        text = write_stub(parse_header(path, include_dirs=[lib / "include", *folders]), name="stats")
    (tmp_path / "stats.pyi").write_text(text)
    (tmp_path / "use.py").write_text("import stats\n")
    assert run_mypy(tmp_path) == ""
    if importlib.util.find_spec("ruff") is None:
        pytest.skip("ruff is not here")
    for width in ("88", "120"):
        command = [sys.executable, "-m", "ruff", "format", "--isolated", "--diff", "--line-length", width, "stats.pyi"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.stdout == ""

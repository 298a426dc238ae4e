# SPDX-License-Identifier: Apache-2.0
"""clib.compile: from C to a library in one line, its mistakes, and what is kept of it."""

import os
from pathlib import Path
from typing import Any

import pytest

import anywasm
from anywasm import clib
from anywasm.clib import _compile, _toolchain

pytestmark = pytest.mark.usefixtures("c_compiler")

TWICE = "int twice(int n) { return 2 * n; }"


@pytest.fixture
def compilations(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[object]:
    """Gets a list of what is compiled, while the cache is empty at first."""
    monkeypatch.setenv("ANYWASM_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("ANYWASM_CACHE", raising=False)
    made: list[object] = []
    run = _toolchain.run

    def counting(compiler: Any, arguments: Any) -> str:
        if "-c" in arguments:
            made.append(arguments)
        return run(compiler, arguments)

    monkeypatch.setattr(_toolchain, "run", counting)
    return made


# --- what comes out -------------------------------------------------------------------------------------------------


def test_c_in_one_line(engine: anywasm.Engine) -> None:
    assert clib.compile(TWICE, engine=engine).twice(21) == 42


def test_a_macro_that_is_no_constant_says_so(engine: anywasm.Engine) -> None:
    declarations = "#define LAST ((void *)-1)\n#define DOUBLE(n) twice(n)\nint twice(int n);"
    lib = clib.compile(TWICE, declarations, engine=engine)
    with pytest.raises(AttributeError, match=r"'LAST' is a macro that is no constant \(.*:1: #define LAST "):
        lib.LAST  # noqa: B018
    with pytest.raises(AttributeError, match=r"'DOUBLE' is a macro that is no .*:2: #define DOUBLE\(n\)"):
        lib.DOUBLE(1)


def test_names_may_have_all_letters(engine: anywasm.Engine) -> None:
    lib = clib.compile(
        "typedef struct { int höhe; } größe;\nint prüfe(const größe *g) { return g->höhe; }", engine=engine
    )
    assert lib.prüfe({"höhe": 3}) == 3


def test_all_that_the_compiler_knows_is_declared(engine: anywasm.Engine) -> None:
    lib = clib.compile(
        """
        #include <stddef.h>
        #include <stdlib.h>
        #include <string.h>
        #define LIMIT 10
        #define HALF (LIMIT / 2)
        #define NAME "stats"
        #define CALL(x) x

        typedef struct { double x, y; } point;
        enum color { RED, GREEN = 5 };
        int counter = 3;

        double mean(const double *values, size_t count)
        {
            double sum = 0;
            for (size_t i = 0; i < count; i++)
                sum += values[i];
            counter++;
            return sum / count;
        }
        point mirror(point p) { return (point){p.y, p.x}; }
        enum color next(enum color c) { return c == RED ? GREEN : RED; }
        char *greet(const char *name) { return strcat(strcpy(malloc(strlen(name) + 4), "hi "), name); }
        """,
        frees={"greet"},
        engine=engine,
    )
    assert lib.mean([1.0, 2.0, 6.0], 3) == 3.0
    assert lib.counter == 4
    assert (lib.mirror({"x": 1, "y": 2}).x, lib.LIMIT, lib.HALF, lib.NAME) == (2.0, 10, 5, "stats")
    assert lib.next(lib.RED) is lib.color.GREEN
    assert lib.greet("you") == "hi you"
    assert lib.new("point *", {"x": 5}).x == 5.0


def test_a_file_with_its_headers(engine: anywasm.Engine, tmp_path: Path) -> None:
    (tmp_path / "include").mkdir()
    (tmp_path / "include" / "sizes.h").write_text("#define SIZE 4\n")
    (tmp_path / "own.h").write_text("#define OWN 2\nint own(void);\n")
    (tmp_path / "lib.c").write_text('#include "own.h"\n#include <sizes.h>\nint own(void) { return OWN * SIZE * N; }')
    lib = clib.compile(tmp_path / "lib.c", flags=["-DN=5"], include_dirs=[tmp_path / "include"], engine=engine)
    assert (lib.own(), lib.OWN, lib.SIZE) == (40, 2, 4)


def test_several_files(engine: anywasm.Engine, tmp_path: Path) -> None:
    (tmp_path / "a.c").write_text("int b(int); int a(int n) { return b(n) + 1; }")
    (tmp_path / "b.c").write_text("int b(int n) { return n * 10; }")
    assert clib.compile([tmp_path / "a.c", tmp_path / "b.c"], engine=engine).a(4) == 41


def test_declarations_of_one_s_own(engine: anywasm.Engine) -> None:
    lib = clib.compile(
        "__int128 odd(void) { return 1; } void *get(void) { return 0; }", "int *get(void);", engine=engine
    )
    assert lib.typeof("int *") == lib.declarations.functions["get"].type.item
    assert "odd" not in lib.declarations.functions


def test_a_trap_knows_the_line(engine: anywasm.Engine) -> None:
    pytest.importorskip("elftools")
    lib = clib.compile("int f(int n)\n{\n    return 10 / n;\n}\n", engine=engine)
    with pytest.raises(anywasm.Trap) as caught:
        lib.f(0)
    assert (caught.value.frames[0].file, caught.value.frames[0].line) == ("<source>", 3)


# --- mistakes -------------------------------------------------------------------------------------------------------


def test_a_mistake_is_told_with_the_line_of_the_text() -> None:
    with pytest.raises(clib.BuildError) as caught:
        clib.compile("int f(int n)\n{\n    return n\n}\n")
    assert str(caught.value).startswith("<source>:3:13: error: expected ';' after return statement")


def test_what_the_linker_misses_is_told_of_the_text() -> None:
    with pytest.raises(clib.BuildError, match="<source>: undefined symbol: other"):
        clib.compile("int other(void); int f(void) { return other(); }")


def test_a_type_that_python_has_not_is_told_with_its_line() -> None:
    with pytest.raises(clib.DeclarationError, match="<source>:2: there are no values of the type __int128"):
        clib.compile("\n__int128 odd(void) { return 1; }")


def test_a_name_of_a_file_is_no_c() -> None:
    with pytest.raises(TypeError, match=r"compile\(Path\('stats\.c'\)\)"):
        clib.compile("stats.c")


def test_no_file_at_all_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="expected the path of a file at least, got none"):
        clib.compile([])


@pytest.mark.parametrize("arguments", [{"flags": "-O3"}, {"include_dirs": "include"}, {"flags": [3]}])
def test_one_str_is_no_sequence(arguments: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match="expected a sequence of str"):
        clib.compile(TWICE, **arguments)


@pytest.mark.parametrize("source", [5, None, b"int f;", [5]], ids=repr)
def test_what_is_neither_c_nor_a_path_is_told(source: Any) -> None:
    with pytest.raises(TypeError, match="expected C as str, or the paths of files, got"):
        clib.compile(source)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="none.c"):
        clib.compile(tmp_path / "none.c")


# --- the cache ------------------------------------------------------------------------------------------------------


def test_what_was_compiled_is_not_compiled_again(compilations: list[object]) -> None:
    for _ in range(3):
        assert clib.compile(TWICE).twice(2) == 4
    assert len(compilations) == 1


@pytest.mark.parametrize(
    "change",
    [
        lambda text, options: (text + "\n", options),
        lambda text, options: (text, options | {"flags": ["-DN=1"]}),
        lambda text, options: (text, options | {"include_dirs": ["/usr"]}),
        lambda text, options: (text, options | {"declarations": "int twice(int n);"}),
    ],
    ids=["source", "flags", "include_dirs", "declarations"],
)
def test_a_change_is_compiled(change: Any, compilations: list[object]) -> None:
    clib.compile(TWICE)
    text, options = change(TWICE, {})
    clib.compile(text, **options)
    assert len(compilations) == 2


def test_a_header_that_changes_is_a_change(compilations: list[object], tmp_path: Path) -> None:
    header = tmp_path / "n.h"
    (tmp_path / "n.c").write_text('#include "n.h"\nint n(void) { return N; }')
    for value in (1, 1, 2, 2):
        header.write_text(f"#define N {value}\n")
        assert clib.compile(tmp_path / "n.c").n() == value
    assert len(compilations) == 2
    header.unlink()
    with pytest.raises(clib.BuildError, match="n.h"):
        clib.compile(tmp_path / "n.c")


def test_another_compiler_is_a_change(compilations: list[object], monkeypatch: pytest.MonkeyPatch) -> None:
    clib.compile(TWICE)
    zig = _toolchain.find_compiler().command[0]
    monkeypatch.setenv("ANYWASM_CC", f"{zig} cc -DOTHER")
    clib.compile(TWICE)
    assert len(compilations) == 2


@pytest.mark.parametrize("name", ["DEFAULT_FLAGS", "LINK_FLAGS"])
def test_other_flags_that_are_always_given_are_a_change(
    compilations: list[object], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    clib.compile(TWICE)
    monkeypatch.setattr(_toolchain, name, (*getattr(_toolchain, name), "-Wl,--export-memory"))
    clib.compile(TWICE)
    assert len(compilations) == 2


def test_the_cache_may_be_off(compilations: list[object], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ANYWASM_CACHE", "0")
    clib.compile(TWICE)
    clib.compile(TWICE)
    assert len(compilations) == 2
    assert not (tmp_path / "cache").exists()


def test_a_damaged_file_is_compiled_anew(compilations: list[object], tmp_path: Path) -> None:
    clib.compile(TWICE)
    (file,) = (tmp_path / "cache").glob("*-clib.code")
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    assert clib.compile(TWICE).twice(3) == 6
    assert len(compilations) == 2


def test_what_is_kept_is_private_and_can_be_cleared(compilations: list[object], tmp_path: Path) -> None:
    from anywasm import _cache

    clib.compile(TWICE)
    (file,) = (tmp_path / "cache").glob("*-clib.code")
    assert file.stat().st_mode & 0o077 == 0
    _cache.clear()
    assert not file.exists()


def test_a_cache_that_cannot_be_written_stops_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("ANYWASM_CACHE_DIR", str(tmp_path / "file"))
    assert clib.compile(TWICE).twice(4) == 8
    assert _compile.digest_of(os.fspath(tmp_path)) is None

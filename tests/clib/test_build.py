# SPDX-License-Identifier: Apache-2.0
"""Modules that carry their declarations: `anywasm clib build`, clib.load of what it made, clib.module."""

import importlib
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

import anywasm
from anywasm import clib
from anywasm.clib._build import SECTION, embed, embedded
from anywasm.clib._prepare import add_custom_section

Done = subprocess.CompletedProcess[str]

HEADER = """#pragma once
#include <stddef.h>
#define LIMIT 100
#ifndef STEP
#define STEP 1
#endif
typedef struct { double mean, variance; } summary;
enum color { RED, GREEN = 5 };
summary summarize(const double *values, size_t count);
char *describe(const char *name, enum color color);
extern int calls;
"""
SOURCE = """#include "stats.h"
#include <stdio.h>
#include <stdlib.h>
int calls;
double square(double x) { return x * x; }
summary summarize(const double *values, size_t count)
{
    summary s = {0};
    for (size_t i = 0; i < count; i++)
        s.mean += values[i] / count;
    for (size_t i = 0; i < count; i++)
        s.variance += square(values[i] - s.mean) / count;
    calls += STEP;
    return s;
}
char *describe(const char *name, enum color color)
{
    char *text = malloc(64);
    snprintf(text, 64, "%s %d", name, color);
    return text;
}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "stats.h").write_text(HEADER)
    (tmp_path / "stats.c").write_text(SOURCE)
    return tmp_path


@pytest.fixture
def build(c_compiler: None, folder: Path) -> Any:
    """build(*arguments): `anywasm clib build` where the sources are."""

    def run(*arguments: str) -> Done:
        command = [sys.executable, "-m", "anywasm", "clib", "build", *arguments]
        return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)

    return run


@pytest.fixture
def library(build: Any, folder: Path) -> Path:
    done = build("stats.c", "stats.h", "--frees", "describe", "--stub", "stats.pyi")
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)
    return folder / "stats.wasm"


# --- what is built --------------------------------------------------------------------------------------------------


def test_a_library_needs_nothing_beside_it(library: Path, engine: anywasm.Engine) -> None:
    lib = clib.load(library, engine=engine)
    assert lib.summarize([1.0, 2.0, 3.0], 3).mean == 2.0
    assert lib.describe("sky", lib.GREEN) == "sky 5"
    assert (lib.calls, lib.LIMIT, lib.STEP) == (1, 100, 1)


def test_the_header_tells_what_is_exported(library: Path) -> None:
    names = {export.name for export in anywasm.Module(library).exports}
    assert {"summarize", "describe", "calls"} <= names
    assert "square" not in names


def test_without_a_header_all_is_exported(build: Any, folder: Path, engine: anywasm.Engine) -> None:
    assert build("stats.c", "-o", "all.wasm").returncode == 0
    lib = clib.load(folder / "all.wasm", engine=engine)
    assert lib.square(3.0) == 9.0
    assert lib.LIMIT == 100
    assert lib.declarations.functions["summarize"].type.parameter_names == ("values", "count")


def test_debug_information_is_left_out_unless_wanted(build: Any, library: Path, folder: Path) -> None:
    assert not anywasm.Module(library).custom_sections(".debug_info")
    assert build("stats.c", "-g", "-o", "debug.wasm").returncode == 0
    assert anywasm.Module(folder / "debug.wasm").custom_sections(".debug_info")


def test_macros_include_dirs_and_flags_reach_the_compiler(build: Any, folder: Path, engine: anywasm.Engine) -> None:
    (folder / "include").mkdir()
    (folder / "stats.h").rename(folder / "include" / "stats.h")
    done = build("stats.c", "include/stats.h", "-I", "include", "-DSTEP=5", "-Os", "--flag=-Wall", "--flag=-lm")
    assert (done.stderr, done.returncode) == ("", 0)
    lib = clib.load(folder / "stats.wasm", engine=engine)
    lib.summarize([1.0], 1)
    assert lib.calls == 5


def test_the_options_of_load_are_carried(build: Any, folder: Path, engine: anywasm.Engine) -> None:
    done = build("stats.c", "--frees", "describe=free", "--bytes", "describe")
    assert (done.stderr, done.returncode) == ("", 0)
    assert clib.load(folder / "stats.wasm", engine=engine).describe("sky", 0) == b"sky 0"


def test_the_stub_says_what_there_is(library: Path) -> None:
    stub = library.with_suffix(".pyi").read_text()
    assert "def describe(" in stub
    assert "LIMIT: _t.Final = 100" in stub
    assert "library: _Library" in stub
    compile(stub, "stats.pyi", "exec")


def test_it_is_quiet_and_makes_nothing_else(library: Path, folder: Path) -> None:
    assert {path.name for path in folder.iterdir()} == {"stats.c", "stats.h", "stats.wasm", "stats.pyi"}


def test_a_binary_may_go_to_stdout(build: Any, folder: Path) -> None:
    command = [sys.executable, "-m", "anywasm", "clib", "build", "stats.c", "-o", "-"]
    done = subprocess.run(command, cwd=folder, capture_output=True, check=True)
    assert done.stdout.startswith(b"\0asm")


# --- mistakes -------------------------------------------------------------------------------------------------------


def test_a_mistake_is_told_as_the_compiler_tells_it(build: Any, folder: Path) -> None:
    (folder / "stats.c").write_text("int f(int n)\n{\n    return n\n}\n")
    done = build("stats.c")
    assert done.stderr.startswith("anywasm: error: stats.c:3:13: error: expected ';' after return statement\n")
    assert (done.stdout, done.returncode) == ("", 1)
    assert not (folder / "stats.wasm").exists()


def test_warnings_are_shown(build: Any, folder: Path) -> None:
    (folder / "stats.c").write_text("#warning careful\nint n;")
    done = build("stats.c")
    assert "stats.c:1:2: warning: careful" in done.stderr
    assert done.returncode == 0


def test_what_is_declared_and_not_defined_is_left_out(build: Any, folder: Path) -> None:
    (folder / "stats.h").write_text(HEADER + "double median(double *values, size_t count);\n")
    done = build("stats.c", "stats.h")
    assert done.stderr == "anywasm: warning: stats.h:12: median is declared and nowhere defined: left out\n"
    assert "median" not in clib.load(folder / "stats.wasm").declarations.functions


@pytest.mark.parametrize(
    ("arguments", "message", "status"),
    [
        (["none.c"], "none.c: No such file or directory", 1),
        (["stats.h"], "stats.h: there is nothing to compile: name the C files, too", 2),
        (["stats.c", "stats.h", "stats.h"], "stats.h stats.h: one header tells what the library offers; it can", 2),
        (["stats.c", "--frees", "nothing"], "frees: nothing is not declared", 1),
        (
            ["stats.c", "--bytes", "summarize"],
            "summarize(): its result is no pointer, so it is neither freed nor bytes",
            2,
        ),
    ],
)
def test_a_command_that_cannot_be_followed_is_told(build: Any, arguments: list[str], message: str, status: int) -> None:
    done = build(*arguments)
    assert done.stderr.startswith(f"anywasm: error: {message}")
    assert (done.stdout, done.returncode) == ("", status)


def test_a_header_that_lies_is_told(build: Any, folder: Path) -> None:
    (folder / "stats.c").write_text("int f(int n) { return n; }")
    (folder / "stats.h").write_text("double f(double n);\n")
    done = build("stats.c", "stats.h")
    assert done.stderr.startswith("anywasm: error: stats.h:1: f is declared as 'double f(double)'")
    assert done.returncode == 1


def test_what_python_has_not_is_told_with_its_line(build: Any, folder: Path) -> None:
    (folder / "stats.c").write_text("\n__int128 odd(void) { return 1; }\n")
    done = build("stats.c")
    assert done.stderr == "anywasm: error: stats.c:2: there are no values of the type __int128\n"


# --- the section ----------------------------------------------------------------------------------------------------

EMPTY = b"\0asm\1\0\0\0"


def test_what_is_embedded_is_read_again(engine: anywasm.Engine) -> None:
    options = {"frees": {"a": "free"}, "bytes": ["b"], "pointers": ["c"]}
    binary = embed(EMPTY, "int f(void);", options)
    kept = {"frees": {"a": "free"}, "bytes": ("b",), "pointers": ("c",)}
    assert embedded(binary) == ("int f(void);", kept)
    assert embedded(anywasm.Module(binary, engine)) == ("int f(void);", kept)
    assert embedded(EMPTY) is None


def test_a_module_gives_itself_no_rights() -> None:
    binary = embed(EMPTY, "", {"wasi": "all of it", "memory": 1 << 40, "frees": ["a"]})
    assert embedded(binary) == ("", {"frees": ("a",)})


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff",
        b"[]",
        b"{}",
        b"[" * 100_000,
        json.dumps({"version": 1, "declarations": 5, "options": {}}).encode(),
        json.dumps({"version": 1, "declarations": "", "options": []}).encode(),
        json.dumps({"version": 1, "declarations": "", "options": {"frees": 5}}).encode(),
        json.dumps({"version": 1, "declarations": "", "options": {"frees": {"a": 5}}}).encode(),
        json.dumps({"version": 1, "declarations": "", "options": {"bytes": {"a": "b"}}}).encode(),
        json.dumps({"version": 2, "declarations": "", "options": {}}).encode(),
    ],
)
def test_a_damaged_section_is_a_declaration_error(content: bytes) -> None:
    with pytest.raises(clib.DeclarationError, match=SECTION):
        embedded(add_custom_section(EMPTY, SECTION, content))


# --- modules of packages --------------------------------------------------------------------------------------------


@pytest.fixture
def package(library: Path, folder: Path, engine: anywasm.Engine, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A package with the module `stats` in it, which may be imported."""
    made = folder / "made"
    (made / "numbers_of_mine").mkdir(parents=True)
    (made / "numbers_of_mine" / "__init__.py").touch()
    text = f"from anywasm import clib\nclib.module(__name__, engine={engine.name!r})\n"
    (made / "numbers_of_mine" / "stats.py").write_text(text)
    library.rename(made / "numbers_of_mine" / "stats.wasm")
    monkeypatch.syspath_prepend(str(made))
    yield made
    for name in [name for name in sys.modules if name.partition(".")[0] in ("numbers_of_mine", "stats")]:
        del sys.modules[name]


def test_a_library_is_a_module(package: Path) -> None:
    from numbers_of_mine import stats  # type: ignore[import-not-found]
    from numbers_of_mine.stats import describe, summarize  # type: ignore[import-not-found]

    assert summarize([1.0, 3.0], 2).mean == 2.0
    assert describe("sky", stats.color.RED) == "sky 0"
    assert (stats.LIMIT, stats.GREEN) == (100, 5)
    assert isinstance(stats.library, clib.Library)
    assert (stats.__name__, stats.__file__) == ("numbers_of_mine.stats", str(package / "numbers_of_mine" / "stats.py"))
    assert stats.__spec__.name == "numbers_of_mine.stats"


def test_a_module_s_variables_are_the_library_s(package: Path) -> None:
    from numbers_of_mine import stats

    stats.summarize([1.0], 1)
    assert stats.calls == 1
    stats.calls = 41
    stats.summarize([1.0], 1)
    assert stats.calls == stats.library.calls == 42
    stats.own = "mine"
    assert stats.own == "mine"
    assert {"calls", "summarize", "own"} <= {*dir(stats)}


def test_a_star_takes_what_stays_the_same(package: Path) -> None:
    names: dict[str, object] = {}
    exec("from numbers_of_mine.stats import *", names)
    assert {"summarize", "LIMIT", "RED", "color", "library"} <= {*names}
    assert "calls" not in names


def test_a_module_that_is_loaded_again_is_fresh(package: Path) -> None:
    from numbers_of_mine import stats

    stats.summarize([1.0], 1)
    again = importlib.reload(stats)
    assert again is stats
    assert stats.calls == 0
    assert stats.summarize([4.0], 1).mean == 4.0


def test_what_a_module_has_not_is_an_attribute_error(package: Path) -> None:
    from numbers_of_mine import stats

    with pytest.raises(AttributeError, match=r"module 'numbers_of_mine\.stats' has no attribute 'nothing'"):
        _ = stats.nothing
    with pytest.raises(ImportError, match="nothing"):
        from numbers_of_mine.stats import nothing  # noqa: F401


def test_a_module_comes_out_of_a_zip(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = package / "archive.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in (package / "numbers_of_mine").iterdir():
            if path.is_file():
                file.write(path, f"numbers_of_mine/{path.name}")
                file.write(path, path.name.replace("__init__", "other"))
                path.unlink()
    (package / "numbers_of_mine").rename(package / "gone")
    monkeypatch.syspath_prepend(str(archive))
    from numbers_of_mine.stats import summarize

    assert summarize([1.0, 3.0], 2).mean == 2.0
    stats = importlib.import_module("stats")  # in no package
    assert stats.summarize([5.0], 1).mean == 5.0


def test_a_package_itself_may_be_the_library(package: Path) -> None:
    folder = package / "numbers_of_mine"
    (folder / "__init__.py").write_text((folder / "stats.py").read_text())
    (folder / "stats.wasm").rename(folder / "numbers_of_mine.wasm")
    assert importlib.import_module("numbers_of_mine").LIMIT == 100


def test_a_module_without_its_library_says_what_makes_it(package: Path) -> None:
    (package / "numbers_of_mine" / "stats.wasm").unlink()
    with pytest.raises(FileNotFoundError, match=r"stats\.wasm is not beside .*numbers_of_mine\.stats.*clib build"):
        importlib.import_module("numbers_of_mine.stats")


def test_the_name_of_no_module_says_what_to_give() -> None:
    with pytest.raises(ImportError, match=r"'stats' is no module: .*clib.module\(__name__\)"):
        clib.module("stats")


def test_the_command_line_starts_without_clib() -> None:
    code = "import sys, anywasm._cli; print('anywasm.clib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ)
    assert done.stdout == "False\n"

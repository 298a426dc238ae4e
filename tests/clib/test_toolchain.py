# SPDX-License-Identifier: Apache-2.0
"""Compiling C: what a library exports, which compiler is taken, what it says about mistakes."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import anywasm
from anywasm import clib
from anywasm.clib import _toolchain
from anywasm.clib._build import make
from anywasm.clib._debug_info import declarations_from_dwarf
from anywasm.clib._toolchain import BuildError, Built, build, find_compiler

pytestmark = pytest.mark.usefixtures("c_compiler")

STATISTICS = """#include <stdlib.h>
#include <math.h>
#include "settings.h"

double limits[2] = {0.0, LIMIT};
static int calls;
int unused;

static double sum(const double *values, size_t count)
{
    double total = 0;
    for (size_t i = 0; i < count; i++)
        total += values[i];
    calls++;
    return total;
}

double mean(const double *values, size_t count) { return sum(values, count) / count; }
double deviation(double a, double b) { return sqrt(a * a + b * b); }
__attribute__((visibility("hidden"))) int hidden(void) { return calls; }
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "include").mkdir()
    (tmp_path / "include" / "settings.h").write_text("#define LIMIT 10.0\n")
    path = tmp_path / "stats.c"
    path.write_text(STATISTICS)
    return path


@pytest.fixture
def built(source: Path) -> Built:
    return build([str(source)], include_dirs=[str(source.parent / "include")])


def write(folder: Path, text: str, name: str = "lib.c") -> str:
    path = folder / name
    path.write_text(text)
    return str(path)


# --- what comes out -------------------------------------------------------------------------------------------------


def test_all_that_is_not_static_is_exported(built: Built) -> None:
    assert built.functions == ("mean", "deviation")
    assert built.variables == ("limits", "unused")


def test_the_module_has_that_and_what_clib_needs(built: Built, engine: anywasm.Engine) -> None:
    lib = anywasm.load(built.binary, engine=engine).exports
    assert {*lib} == {
        *("mean", "deviation", "limits", "unused"),
        *("malloc", "free", "realloc", "memory", "_initialize", "__stack_pointer", "__indirect_function_table"),
    }
    assert lib.deviation(3.0, 4.0) == 5.0
    place = lib.malloc(16)
    lib.memory.write(place, b"\0\0\0\0\0\0\xf0\x3f\0\0\0\0\0\0\x08\x40")
    assert lib.mean(place, 2) == 2.0
    assert lib.__indirect_function_table.type.maximum is None


def test_the_stack_lies_below_the_data(tmp_path: Path, engine: anywasm.Engine) -> None:
    text = "int deep(int n) { volatile char a[4096]; a[n & 7] = 0; return n ? deep(n - 1) + a[n & 7] : 0; }"
    lib = anywasm.load(build([write(tmp_path, text)]).binary, engine=engine).exports
    assert lib.deep(100) == 0
    with pytest.raises(anywasm.Trap):  # rather than to write over the data
        lib.deep(1000)


def test_debug_information_tells_of_all_of_it(built: Built) -> None:
    found = declarations_from_dwarf(built.binary, only_exports={*built.functions, *built.variables})
    assert found.functions["mean"].type.name == "double (const double *, size_t)"
    assert found.variables["limits"].type.name == "double[2]"


def test_the_headers_are_told_without_the_system_s(built: Built, source: Path) -> None:
    assert built.headers == (str(source.parent / "include" / "settings.h"),)


def test_a_path_may_have_spaces_and_dollars(tmp_path: Path) -> None:
    folder = tmp_path / "a folder $x"
    folder.mkdir()
    header = write(folder, "#define N 1\n", "the header.h")
    assert build([write(folder, '#include "the header.h"\nint f(void) { return N; }')]).headers == (header,)


def test_several_files_are_one_library(tmp_path: Path, engine: anywasm.Engine) -> None:
    first = write(tmp_path, "int twice(int); int four_times(int n) { return twice(twice(n)); }", "first.c")
    (tmp_path / "other").mkdir()
    second = write(tmp_path, "int twice(int n) { return 2 * n; }", "other/first.c")
    built = build([first, second])
    assert built.functions == ("four_times", "twice")
    assert anywasm.load(built.binary, engine=engine).exports.four_times(3) == 12


def test_a_public_interface_leaves_out_the_rest(tmp_path: Path) -> None:
    source = write(tmp_path, "int a(void) { return 1; } int b(void) { return a(); } int c, d;")
    built = build([source], public={"b", "d", "x"})
    assert (built.functions, built.variables) == (("b",), ("d",))


@pytest.mark.parametrize("main", ["int main(void) { return 0; }", "int main(int n, char **a) { return n; }"])
def test_a_main_is_none_of_a_library_s(tmp_path: Path, main: str) -> None:
    assert build([write(tmp_path, f"{main} int f(void) {{ return 1; }}")]).functions == ("f",)


def test_flags_reach_the_compiler_and_the_linker(tmp_path: Path, engine: anywasm.Engine) -> None:
    source = write(tmp_path, "int n(void) { return N; }")
    flags = ["-DN=5", "-O0", "-Wl,-z,stack-size=65536", "-lm", "-Werror"]
    lib = anywasm.load(build([source], flags=flags).binary, engine=engine).exports
    assert lib.n() == 5
    assert lib["__stack_pointer"].value == 65536


def test_a_flag_of_two_words_stays_together(tmp_path: Path, engine: anywasm.Engine) -> None:
    flags = ["-Xlinker", "-z", "-Xlinker", "stack-size=65536", "-L", str(tmp_path), "-I", str(tmp_path), "-D", "N=5"]
    (tmp_path / "n.h").write_text("#define M (N + 1)")
    source = write(tmp_path, '#include "n.h"\nint n(void) { return M; }')
    lib = anywasm.load(build([source], flags=flags).binary, engine=engine).exports
    assert (lib.n(), lib["__stack_pointer"].value) == (6, 65536)


@pytest.mark.parametrize(
    "target", [["--target=wasm64-freestanding"], ["-target", "wasm64-freestanding"]], ids=["one word", "two words"]
)
def test_another_target_is_compiled_and_linked_for(tmp_path: Path, target: list[str]) -> None:
    source = write(tmp_path, "#define BYTES sizeof(long)\nlong twice(long n) { return 2 * n; }\n")
    (tmp_path / "lib.h").write_text("#if __SIZEOF_POINTER__ == 8\nlong twice(long n);\n#endif\n")
    for header in (None, str(tmp_path / "lib.h")):
        made = make([source], header=header, flags=[*target, "-nostdlib"])
        assert made.declarations.pointer_size == 8
        assert made.declarations.functions["twice"].type.parameters[0].size == 8  # type: ignore[index]
        assert made.declarations.constants == ({} if header else {"BYTES": 8})


@pytest.mark.requires("memory64")
def test_a_library_for_another_target_is_called(engine: anywasm.Engine) -> None:
    flags = ["--target=wasm64-freestanding", "-nostdlib"]
    lib = clib.compile("long twice(long n) { return 2 * n; }", flags=flags, engine=engine)
    assert lib.twice(2**40) == 2**41


def test_symbols_may_be_hidden_by_a_flag(tmp_path: Path) -> None:
    text = 'int a(void) { return 1; } __attribute__((visibility("default"))) int b(void) { return 2; }'
    assert build([write(tmp_path, text)], flags=["-fvisibility=hidden"]).functions == ("b",)


def test_warnings_are_told(tmp_path: Path) -> None:
    assert "lib.c:1:2: warning: careful" in build([write(tmp_path, "#warning careful\nint n;")]).warnings


# --- mistakes -------------------------------------------------------------------------------------------------------


def test_an_error_is_told_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(BuildError) as caught:
        build([write(tmp_path, "int f(int n)\n{\n    return n\n}\n")])
    assert f"{tmp_path}/lib.c:3:13: error: expected ';' after return statement" in str(caught.value)


def test_what_is_used_and_not_defined_is_told(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="undefined symbol: missing"):
        build([write(tmp_path, "int missing(void); int f(void) { return missing(); }")])


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="no such file or directory|FileNotFound"):
        build([str(tmp_path / "none.c")])


def test_what_is_no_c_is_told(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r"lib\.wasm: the C compiler makes no object file of it"):
        build([write(tmp_path, "", "lib.wasm")])


def test_nothing_to_export_is_told(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r"lib\.c: there is nothing to export: it defines no function"):
        build([write(tmp_path, "static int f(void) { return 1; }")])
    with pytest.raises(BuildError, match=r"lib\.c: there is nothing to export but main\(\)"):
        build([write(tmp_path, "int main(void) { return 1; }")])
    with pytest.raises(BuildError, match=r"lib\.c: there is nothing to export: it defines nothing that the header"):
        build([write(tmp_path, "int f(void) { return 1; }")], public={"g"})


# --- which compiler -------------------------------------------------------------------------------------------------


def test_ziglang_is_taken_where_nothing_is_said() -> None:
    assert find_compiler().command[1:] == ("cc", "--target=wasm32-wasi")


def test_anywasm_cc_comes_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, engine: anywasm.Engine) -> None:
    zig = find_compiler().command[0]
    script = tmp_path / "my cc"
    script.write_text(f'#!/bin/sh\necho "$@" >> {shlex.quote(str(tmp_path))}/log\nexec {shlex.quote(zig)} cc "$@"\n')
    script.chmod(0o755)
    monkeypatch.setenv("ANYWASM_CC", f"'{script}' --target=wasm32-wasi -DN=7")
    built = build([write(tmp_path, "int n(void) { return N; }")])
    assert anywasm.load(built.binary, engine=engine).exports.n() == 7
    assert len((tmp_path / "log").read_text().splitlines()) == 2


def test_a_wasi_sdk_is_found_by_its_variable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    clang = tmp_path / "bin" / "clang"
    clang.write_text("#!/bin/sh\n")
    clang.chmod(0o755)
    monkeypatch.setenv("WASI_SDK_PATH", str(tmp_path))
    compiler = find_compiler()
    assert compiler.command == (str(clang), f"--sysroot={tmp_path}/share/wasi-sysroot", "--target=wasm32-wasi")
    assert compiler.link_flags == ("-Wl,--stack-first",)


def test_the_system_s_clang_needs_a_wasi_libc(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(_toolchain, "find_zig", lambda: None)
    monkeypatch.setattr(_toolchain, "SYSROOTS", (str(tmp_path / "none"), str(tmp_path)))
    monkeypatch.setenv("PATH", str(tmp_path))
    clang = tmp_path / "clang"
    clang.write_text("#!/bin/sh\n")
    clang.chmod(0o755)
    with pytest.raises(BuildError, match="no C compiler"):
        find_compiler()
    (tmp_path / "lib" / "wasm32-wasi").mkdir(parents=True)
    assert find_compiler().command == (str(clang), f"--sysroot={tmp_path}", "--target=wasm32-wasi")


@pytest.mark.parametrize("variable", ["ANYWASM_CC", "WASI_SDK_PATH"])
def test_a_compiler_that_is_named_has_to_be_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str
) -> None:
    monkeypatch.setenv(variable, str(tmp_path / "none"))
    with pytest.raises(BuildError, match=f"the C compiler that {variable} names is not there: .*none"):
        find_compiler()


def test_without_a_compiler_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_toolchain, "find_zig", lambda: None)
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(BuildError, match=r"no C compiler .* pip install anywasm\[clib\]"):
        find_compiler()


def test_a_compiler_that_changes_has_another_identity(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    script = tmp_path / "cc"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    monkeypatch.setenv("ANYWASM_CC", str(script))
    before = find_compiler().identity
    os.utime(script, ns=(1, 1))
    assert find_compiler().identity != before


def test_what_compiles_nothing_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    script = tmp_path / "cc"
    monkeypatch.setenv("ANYWASM_CC", str(script))
    script.write_text("#!/bin/sh\nexit 3\n")
    script.chmod(0o755)
    with pytest.raises(BuildError, match="ended with status 3"):
        build(["a.c"])
    script.write_text("no script")
    with pytest.raises(BuildError, match="cannot be started"):
        build(["a.c"])


def test_it_says_nothing_itself(tmp_path: Path) -> None:
    write(tmp_path, "#warning careful\nint n;")
    code = "from anywasm.clib._toolchain import build; build(['lib.c'])"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")

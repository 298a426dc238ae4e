# SPDX-License-Identifier: Apache-2.0
"""Compiles C to a WebAssembly library with the compiler that is there.

Two steps, so that neither all of the C library nor a list by hand is exported: each source becomes an object file,
whose symbols tell what it defines; the linker is told to export that.
"""

from __future__ import annotations

import os
from collections import namedtuple

from anywasm._core import WasmError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ._prepare import Reader

TARGET = "--target=wasm32-wasi"
# Before the user's flags, which can change them. zig hides all symbols unless told otherwise.
DEFAULT_FLAGS = ("-O2", "-g", "-fvisibility=default")
# What clib uses of the C library, whether the sources do or not.
ALLOCATOR = ("malloc", "free", "realloc")
LINK_FLAGS = (
    "-Wl,--export-table",
    "-Wl,--growable-table",
    "-Wl,--export=__stack_pointer",
    "-Wl,-z,stack-size=1048576",
)
WASI_LINK_FLAGS = ("-mexec-model=reactor",)
OTHER_LINK_FLAGS = ("-Wl,--no-entry",)  # for targets without a C library
# What flags that mean something to the linker begin with; others would be in its way.
FOR_LINKER_ALONE = ("-l", "-L", "-Wl,", "-Xlinker")
FOR_LINKER = (*FOR_LINKER_ALONE, "-m", "-nostdlib", "-flto", "-target", "--target", "--sysroot")
WITH_VALUE = ("-l", "-L", "-Xlinker", "-target", "--target", "--sysroot")  # their value may be a word of its own

# Where Linux distributions put wasi-libc, for their clang.
SYSROOTS = ("/usr/share/wasi-sysroot", "/usr/wasm32-wasi", "/usr")

NO_COMPILER = (
    "no C compiler for WebAssembly is here: pip install anywasm[clib] brings one (ziglang); "
    "or name a wasi-sdk in WASI_SDK_PATH, or a clang in ANYWASM_CC"
)


class BuildError(WasmError):
    """C that does not compile or link, or no compiler; the message is the compiler's, with file and line."""


class Compiler(namedtuple("Compiler", ("command", "link_flags", "identity"))):  # noqa: PYI024 - typing is slow to import
    """A clang, and what it has to be told to compile for WASI.

    identity: changes when the compiler does, or what it is always told.
    """

    __slots__ = ()

    command: tuple[str, ...]
    link_flags: tuple[str, ...]
    identity: str


class Built(namedtuple("Built", ("binary", "functions", "variables", "headers", "warnings"))):  # noqa: PYI024
    """A library as it was linked, with the debug information in it.

    functions, variables: what the sources define and the library exports.
    headers: what they include, without the system's.
    warnings: of the compiler.
    """

    __slots__ = ()

    binary: bytes
    functions: tuple[str, ...]
    variables: tuple[str, ...]
    headers: tuple[str, ...]
    warnings: str


def find_compiler() -> Compiler:
    """Return the compiler to be used: of ANYWASM_CC, WASI_SDK_PATH, ziglang, or the system's clang with a wasi-libc.

    Raises BuildError if there is none.
    """
    import shlex
    import shutil

    for command, link_flags, named_by in candidates():
        program = shutil.which(command[0])
        if program is None:
            raise BuildError(f"the C compiler that {named_by} names is not there: {command[0]}")
        info = os.stat(program)
        target = () if any("-target" in word for word in command) else (TARGET,)
        words = (program, *command[1:], *target)
        told = shlex.join([*words, *DEFAULT_FLAGS, *WASI_LINK_FLAGS, *OTHER_LINK_FLAGS, *LINK_FLAGS])
        return Compiler(words, link_flags, f"{told} {info.st_size} {info.st_mtime_ns}")
    raise BuildError(NO_COMPILER)


def candidates() -> Iterator[tuple[tuple[str, ...], tuple[str, ...], str]]:
    """Commands, flags for linking, and who names them, the best first. Whoever is named has to be there."""
    import shlex
    import shutil

    # wasm-ld of old puts the stack above the data, which it then overwrites silently; zig's does not know the flag.
    stack_first = ("-Wl,--stack-first",)
    if named := shlex.split(os.environ.get("ANYWASM_CC", "")):
        yield tuple(named), (), "ANYWASM_CC"
    if sdk := os.environ.get("WASI_SDK_PATH"):
        sysroot = os.path.join(sdk, "share", "wasi-sysroot")
        yield (os.path.join(sdk, "bin", "clang"), f"--sysroot={sysroot}"), stack_first, "WASI_SDK_PATH"
    if zig := find_zig():
        yield (zig, "cc"), (), "ziglang"
    if clang := shutil.which("clang"):
        for sysroot in SYSROOTS:
            if os.path.isdir(os.path.join(sysroot, "lib", "wasm32-wasi")):
                yield (clang, f"--sysroot={sysroot}"), stack_first, "PATH"


def find_zig() -> str | None:
    """The program in PyPI's ziglang: starting it directly saves starting Python."""
    from importlib.util import find_spec

    spec = find_spec("ziglang")
    for folder in (spec and spec.submodule_search_locations) or ():
        if os.access(program := os.path.join(folder, "zig"), os.X_OK):
            return program
    return None


def build(
    sources: Sequence[str],
    *,
    flags: Sequence[str] = (),
    include_dirs: Sequence[str] = (),
    public: set[str] | None = None,
    compiler: Compiler | None = None,
) -> Built:
    """Compile C files to one library that exports all they define, or of that what is *public*.

    sources: paths. flags: for the compiler, and what of them is the linker's for the linker.

    Raises BuildError with what the compiler says.
    """
    import tempfile

    compiler = compiler or find_compiler()
    for_compiler, for_linker = split_flags([*DEFAULT_FLAGS, *flags])
    includes = [f"-I{folder}" for folder in include_dirs]
    symbols, warnings, headers = Symbols(), "", []
    with tempfile.TemporaryDirectory(prefix="anywasm-clib-") as scratch:
        objects = []
        for number, source in enumerate(sources):
            made = os.path.join(scratch, f"{number}.o")
            dependencies = os.path.join(scratch, f"{number}.d")
            arguments = [*for_compiler, *includes, "-MMD", "-MF", dependencies, "-c", source, "-o", made]
            warnings += run(compiler, arguments)
            if not os.path.exists(made):  # as with a library: that would be the linker's
                raise BuildError(f"{source}: the C compiler makes no object file of it: it is no C file")
            headers += [path for path in read_dependencies(dependencies) if path != source]
            symbols.add(read_file(made))
            objects.append(made)
        functions = [name for name in symbols.functions if public is None or name in public]
        variables = [name for name in symbols.variables if public is None or name in public]
        if not functions and not variables:
            raise BuildError(f"{', '.join(sources)}: {nothing_to_export(symbols)}")
        exports = [*functions, *variables]
        if "-nostdlib" not in flags:
            exports += [name for name in ALLOCATOR if name not in exports]
        name = os.path.splitext(os.path.basename(sources[0]))[0]
        library = os.path.join(scratch, f"{name}.wasm")  # traps tell it
        of_target = WASI_LINK_FLAGS if "wasi" in target_of([*compiler.command, *flags]) else OTHER_LINK_FLAGS
        arguments = [
            *of_target,
            *LINK_FLAGS,
            *compiler.link_flags,
            *for_linker,
            *(f"-Wl,--export={name}" for name in exports),
        ]
        try:
            warnings += run(compiler, [*objects, *arguments, "-g", "-o", library])
        except BuildError as error:
            message = str(error)
            for made, source in zip(objects, sources, strict=True):
                message = message.replace(made, source)
            raise BuildError(message) from None
        return Built(read_file(library), tuple(functions), tuple(variables), tuple(dict.fromkeys(headers)), warnings)


def split_flags(flags: Sequence[str]) -> tuple[list[str], list[str]]:
    """Flags for the compiler and for the linker; some are for both."""
    for_compiler, for_linker = [], []
    rest = iter(flags)
    for flag in rest:
        words = [flag, *([next(rest, "")] if flag in WITH_VALUE else [])]
        if flag.startswith(FOR_LINKER):
            for_linker += words
        if not flag.startswith(FOR_LINKER_ALONE):
            for_compiler += words
    return for_compiler, for_linker


def target_of(flags: Sequence[str]) -> str:
    """The target that flags name, as "wasm32-wasi"; the last one counts."""
    target = TARGET
    for flag, following in zip(flags, (*flags[1:], ""), strict=True):
        if flag in ("-target", "--target"):
            target = following
        elif flag.startswith(("--target=", "-target=")):
            target = flag
    return target.rpartition("=")[2]


def pointer_size_of(flags: Sequence[str]) -> int:
    """Bytes, 4 or 8, of the target that flags name."""
    return 8 if target_of(flags).startswith("wasm64") else 4


def nothing_to_export(symbols: Symbols) -> str:
    if symbols.functions or symbols.variables:
        return "there is nothing to export: it defines nothing that the header declares"
    if symbols.mains:
        return "there is nothing to export but main(): a library has other functions; anywasm.run() is for programs"
    return "there is nothing to export: it defines no function and no variable, or static ones alone"


def run(compiler: Compiler, arguments: Sequence[str]) -> str:
    """Run the compiler; what it has written."""
    import subprocess

    try:
        done = subprocess.run(
            [*compiler.command, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
    except OSError as error:
        raise BuildError(f"the C compiler cannot be started: {compiler.command[0]}: {error.strerror}") from error
    if done.returncode != 0:
        ended = f"the C compiler ended with status {done.returncode} and without a word"
        raise BuildError(done.stdout.rstrip() or ended)
    return done.stdout


def read_file(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def read_dependencies(path: str) -> list[str]:
    """The files that a rule for make names behind its colon."""
    with open(path, encoding="utf-8", errors="surrogateescape") as file:
        rule = file.read().replace("\\\n", " ").partition(": ")[2]
    return [word.replace("\0", " ").replace("$$", "$") for word in rule.replace("\\ ", "\0").split()]


# --- symbols of object files ---------------------------------------------------------------------------------------

SYMBOL_TABLE = 8  # of the parts of the section "linking"
FUNCTION, DATA, SECTION = 0, 1, 3
LOCAL, HIDDEN, UNDEFINED, EXPLICIT_NAME = 0x2, 0x4, 0x10, 0x40
MAINS = (
    "main",
    "__main_void",
    "__main_argc_argv",
    "__original_main",
)  # of a program, which may lie in a library's file


class Symbols:
    """The names that object files define for others."""

    __slots__ = ("functions", "mains", "variables")

    def __init__(self) -> None:
        self.functions: list[str] = []
        self.mains: list[str] = []
        self.variables: list[str] = []

    def add(self, binary: bytes) -> None:
        from ._prepare import MalformedError, Reader, custom_sections

        for name, data in custom_sections(binary):
            if name == "linking":
                try:
                    self.read(Reader(data, 0, len(data)))
                except MalformedError:
                    raise BuildError("the C compiler makes object files that cannot be read") from None

    def read(self, reader: Reader) -> None:
        reader.unsigned()  # the version
        while reader.place < reader.end:
            part = reader.byte()
            end = reader.unsigned() + reader.place
            if part == SYMBOL_TABLE:
                for _ in range(reader.unsigned()):
                    self.read_symbol(reader)
            reader.place = end

    def read_symbol(self, reader: Reader) -> None:
        kind, flags = reader.byte(), reader.unsigned()
        name = None
        if kind == DATA:
            name = reader.name()
            if not flags & UNDEFINED:
                reader.unsigned(), reader.unsigned(), reader.unsigned()  # segment, offset, size
        elif kind == SECTION:
            reader.unsigned()
        else:
            reader.unsigned()  # its index
            if not flags & UNDEFINED or flags & EXPLICIT_NAME:
                name = reader.name()
        if name is not None and not flags & (LOCAL | HIDDEN | UNDEFINED):
            if name in MAINS:
                self.mains.append(name)
            elif kind == DATA:
                self.variables.append(name)
            elif kind == FUNCTION:
                self.functions.append(name)

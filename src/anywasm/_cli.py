# SPDX-License-Identifier: Apache-2.0
"""The command line: `anywasm`, or `python -m anywasm`. What it promises (output, exit statuses) is in docs/cli.md."""

from __future__ import annotations

import argparse
import io
import os
import signal
import sys

from . import (
    Engine,
    Exit,
    Func,
    FuncType,
    LimitError,
    LinkError,
    Module,
    Store,
    Trap,
    Wasi,
    WasmError,
    WasmException,
    __version__,
    _cache,
    engines,
    load,
    wat2wasm,
)
from ._linking import described
from ._load import as_module, program
from ._run import open_host, program_name, start, store_limits
from .wasi import Directory, Memory

TYPE_CHECKING = False  # importing typing, pathlib and the like would take as long as running a program
if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Sequence
    from typing import Any, NoReturn

    from ._core import ExportType, Frame, ImportType, ValType

COMPILED_SUFFIX = ".cwasm"  # Module knows compiled modules by it

# Exit statuses, where it is not the program's own.
FAILED = 1  # no such file, no valid module, imports missing
USAGE = 2
OUT_OF_LIMITS = 124  # as timeout(1)
TRAPPED = 128 + signal.SIGABRT  # as a shell tells of abort()


PATIENCE = 0.5  # seconds until a compilation shows on a terminal
MOST_FRAMES = 50  # of a trap: a stack that overflowed has thousands


class UsageError(Exception):
    """The command line cannot be followed; argparse finds most of these itself."""


FILE_HELP = 'a module, binary or text; "-" is stdin'

# --- arguments ----------------------------------------------------------------------------------------------


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="anywasm", description="Run WebAssembly, and look into it.")
    top.add_argument("--version", action="version", version=f"anywasm {__version__}")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True, prog="anywasm")

    command = commands.add_parser(
        "run",
        help="run a WASI program, or call a function",
        description="Run a WASI program in a sandbox. All that follows FILE belongs to the program.",
        usage="anywasm run [OPTION ...] FILE [ARG ...]",
    )
    command.add_argument("--dir", action="append", default=[], type=mount, dest="mounts", metavar="HOST[::GUEST]",
                         help="let it read and write a directory, under its own name or another")  # fmt: skip
    command.add_argument("--ro-dir", action="append", default=[], type=read_only_mount, dest="mounts",
                         metavar="HOST[::GUEST]", help="let it read a directory")  # fmt: skip
    command.add_argument("--tmpfs", action="append", default=[], type=memory_mount, dest="mounts",
                         metavar="GUEST[::BYTES]",
                         help="give it an empty directory in memory, that is gone afterwards")  # fmt: skip
    command.add_argument("--env", action="append", default=[], type=variable, metavar="NAME[=VALUE]",
                         help="set an environment variable, or pass it on")  # fmt: skip
    command.add_argument("--invoke", metavar="NAME",
                         help="call this function with ARGs as its type wants them, and print its results")  # fmt: skip
    command.add_argument("--timeout", type=seconds, metavar="SECONDS", help="stop it then")
    command.add_argument("--compile-timeout", type=seconds, metavar="SECONDS", help="stop compiling it then")
    command.add_argument("--fuel", type=count, metavar="N", help="stop it after so many instructions, about")
    command.add_argument("--memory", type=size, metavar="BYTES", help="let its memory grow to so much; 64M, 1G")
    command.add_argument("--table-elements", type=count, metavar="N", help="let its tables grow to so many elements")
    command.add_argument("--stack", type=size, metavar="BYTES", help="let its nested calls take so much")
    command.add_argument("--max-output", type=size, metavar="BYTES", help="let it write so much, then stop it")
    command.add_argument("--truncate", action="store_true", help="drop what is beyond --max-output, and let it go on")
    add_engine(command)
    # PARSER means: one argument, and whatever comes after it, options or not.
    command.add_argument("program", nargs=argparse.PARSER, metavar="FILE", help=FILE_HELP)
    command.set_defaults(command=command_run)

    command = commands.add_parser("inspect", help="show what a module imports, exports and consists of")
    command.add_argument("--json", action="store_true", help="for programs")
    add_engine(command)
    add_file(command)
    command.set_defaults(command=command_inspect)

    command = commands.add_parser("validate", help="say nothing if modules are valid, else what is wrong with them")
    add_engine(command)
    command.add_argument("files", nargs="+", metavar="FILE", help=FILE_HELP)
    command.set_defaults(command=command_validate)

    command = commands.add_parser(
        "compile",
        help="compile a module ahead of time",
        description="Compile a module ahead of time, for `anywasm run` and anywasm.load() with the same engine. "
        f"They know it by its name, which ends in {COMPILED_SUFFIX}. It is machine code, to be trusted like a program.",
    )
    command.add_argument("-o", dest="out", metavar="OUT", help=f"default: FILE with the suffix {COMPILED_SUFFIX}")
    command.add_argument("--interruptible", action="store_true", help="so that it can be run with --timeout")
    command.add_argument("--fuel", action="store_true", help="so that it can be run with --fuel")
    add_engine(command)
    add_file(command)
    command.set_defaults(command=command_compile)

    command = commands.add_parser("wat2wasm", help="turn the text format into a binary")
    command.add_argument("-o", dest="out", metavar="OUT", help='default: FILE with the suffix .wasm; "-" is stdout')
    add_file(command)
    command.set_defaults(command=command_wat2wasm)

    command = commands.add_parser("clib", help="make C libraries for anywasm.clib")
    actions = command.add_subparsers(title="actions", metavar="ACTION", required=True, prog="anywasm clib")
    action = actions.add_parser(
        "build",
        help="compile C to a library that carries its declarations",
        description="Compile C to a library that carries its declarations: anywasm.clib.load(OUT) needs nothing else. "
        "It offers what the header declares, or without one all that the sources define.",
    )
    action.add_argument("-o", dest="out", metavar="OUT", help="default: the first SOURCE with the suffix .wasm")
    action.add_argument("--stub", metavar="FILE", help="write what type checkers want to know, a .pyi")
    action.add_argument("-I", action="append", default=[], dest="include_dirs", metavar="DIR",
                        help="look for headers there")  # fmt: skip
    action.add_argument("-D", action="append", default=[], dest="defines", metavar="NAME[=VALUE]",
                        help="define a macro")  # fmt: skip
    action.add_argument("-O", dest="level", default="2", choices=["0", "1", "2", "3", "s", "z"], metavar="LEVEL",
                        help="optimize: 0, 1, 2 (the default), 3, s or z (for size)")  # fmt: skip
    action.add_argument("-g", action="store_true", dest="debug_info",
                        help="keep debug information, for source lines in traps")  # fmt: skip
    action.add_argument("--flag", action="append", default=[], dest="flags", metavar="FLAG",
                        help="pass a flag on to the compiler: --flag=-Wall")  # fmt: skip
    for option, text in (
        ("--frees", "this function's result is the caller's, and freed with it; =FUNCTION instead of free()"),
        ("--bytes", "this function's char * becomes bytes instead of str"),
        ("--pointers", "this function's char * becomes a pointer instead of str"),
    ):
        metavar = "NAME[=FUNCTION]" if option == "--frees" else "NAME"
        action.add_argument(option, action="append", default=[], metavar=metavar, help=text)
    action.add_argument("files", nargs="+", metavar="SOURCE", help="C files, and at most one header, which ends in .h")
    action.set_defaults(command=command_clib_build)

    command = commands.add_parser("cache", help="show or clear what is kept of compiled modules")
    actions = command.add_subparsers(title="actions", metavar="ACTION", required=True, prog="anywasm cache")
    action = actions.add_parser("info", help="show where it is and what it holds")
    action.add_argument("--json", action="store_true", help="for programs")
    action.set_defaults(command=command_cache_info)
    action = actions.add_parser("clear", help="remove all of it")
    action.set_defaults(command=command_cache_clear)

    command = commands.add_parser("engines", help="show the engines that are here, and what each can do")
    command.add_argument("--json", action="store_true", help="for programs")
    command.set_defaults(command=command_engines)
    return top


def add_engine(command: argparse.ArgumentParser) -> None:
    command.add_argument("--engine", type=engine_name, metavar="NAME", help="instead of the default engine")


def add_file(command: argparse.ArgumentParser) -> None:
    command.add_argument("file", metavar="FILE", help=FILE_HELP)


def engine_name(text: str) -> str:
    try:
        Engine(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error).removeprefix("Engine(): ")) from None
    except WasmError:  # whoever uses it will tell
        pass
    return text


def mount(text: str, *, readonly: bool = False) -> tuple[str, Directory]:
    host, _, guest = text.partition("::")
    if not host:
        raise argparse.ArgumentTypeError(f"{text!r}: the host's directory is missing")
    return guest or host, Directory(host, readonly=readonly)


def read_only_mount(text: str) -> tuple[str, Directory]:
    return mount(text, readonly=True)


def memory_mount(text: str) -> tuple[str, Memory]:
    guest, given, limit = text.partition("::")
    if not guest:
        raise argparse.ArgumentTypeError(f"{text!r}: the program's path is missing")
    return guest, Memory(limit=size(limit)) if given else Memory()


def variable(text: str) -> tuple[str, str]:
    name, given, value = text.partition("=")
    if not name:
        raise argparse.ArgumentTypeError(f"{text!r}: the name is missing")
    if given:
        return name, value
    try:
        return name, os.environ[name]
    except KeyError:
        raise argparse.ArgumentTypeError(f"{name} is not set here: --env {name}=VALUE sets it") from None


def seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r}: expected a positive number of seconds")
    return value


def count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r}: expected a number, 0 or more")
    return int(text)


def size(text: str) -> int:
    units = {"K": 10, "M": 20, "G": 30}
    number, shift = (text[:-1], units[text[-1].upper()]) if text[-1:].upper() in units else (text, 0)
    if not number.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r}: expected bytes, as in 1000000, 512K, 64M or 1G")
    return int(number) << shift


class File:
    """A path, whatever it looks like: a str could be the text of a module."""

    __slots__ = ("path",)

    def __init__(self, path: str) -> None:
        self.path = path

    def __fspath__(self) -> str:
        return self.path

    def read(self) -> bytes:
        with open(self.path, "rb") as file:
            return file.read()


def source_of(file: str) -> File | bytes:
    """What Module takes: the path itself, or the bytes on stdin."""
    return open(0, "rb", closefd=False).read() if file == "-" else File(file)


# --- run ------------------------------------------------------------------------------------------------------


def command_run(options: argparse.Namespace) -> int:
    if options.truncate and options.max_output is None:
        raise UsageError("--truncate needs --max-output")
    sys.stdout.flush()  # the program writes to the descriptor itself
    source = source_of(options.file)
    with Progress(options.file) as begin:
        module = program(
            source,
            options.engine,
            fuel=options.fuel,
            timeout=options.timeout,
            stack=options.stack,
            compile_timeout=options.compile_timeout,
            compiling=begin,
        )
    name = program_name(source, module)
    wasi = Wasi(
        args=[name] if options.invoke is not None else [name, *options.args],
        env=dict(options.env),
        mounts=dict(options.mounts),
        stdin="inherit",
        stdout="inherit",
        stderr="inherit",
    )
    limits = store_limits(options.memory, options.table_elements, options.fuel, options.timeout, options.stack)
    with Store(module.engine, wasi=open_host(wasi, options.max_output, options.truncate), **limits) as store:
        return start(module, store, options.memory) if options.invoke is None else invoke(module, store, options)


def invoke(module: Module, store: Store, options: argparse.Namespace) -> int:
    name = options.invoke
    instance = load(module, store=store)
    function = instance.exports.get(name)
    if not isinstance(function, Func):
        names = ", ".join(export.name for export in instance.module.exports if export.kind == "func")
        raise LinkError(f"it exports no function {name}; its functions: {names or 'none'}")
    arguments = parse_arguments(name, function.type, options.args)
    try:
        results = function(*arguments)
    except Exit as ended:
        return ended.code
    for result in results if isinstance(results, tuple) else () if results is None else (results,):
        print(f"{int.from_bytes(result, 'little'):#034x}" if isinstance(result, bytes) else result)
    return 0


def parse_arguments(name: str, type: FuncType, texts: Sequence[str]) -> list[object]:
    if len(texts) != len(type.parameters):
        raise UsageError(f"{name}: {type}: takes {len(type.parameters)} arguments, {len(texts)} given")
    values = []
    for position, (text, wanted) in enumerate(zip(texts, type.parameters, strict=True), 1):
        try:
            values.append(parse_value(text, wanted))
        except ValueError as error:
            raise UsageError(f"{name}: argument {position} ({wanted}): {error}") from None
    return values


def parse_value(text: str, wanted: ValType) -> object:
    """A value of that type out of its text; ValueError says what was expected."""
    kind = wanted.kind
    if kind in ("i32", "i64"):
        bits = int(kind[1:])
        value = parse_integer(text, "an integer, as in 42, -1 or 0x2a")
        if not -(1 << bits - 1) <= value < 1 << bits:
            raise ValueError(f"{text} does not fit")
        return value
    if kind in ("f32", "f64"):
        return parse_float(text, kind)
    if kind == "v128":
        value = parse_integer(text, "an integer of 128 bits, as in 0x2a")
        if not 0 <= value < 1 << 128:
            raise ValueError(f"{text} does not fit")
        return value.to_bytes(16, "little")
    if text == "null" and wanted.nullable:
        return None
    raise ValueError("only null can be given for a reference" if wanted.nullable else "references cannot be given")


def parse_float(text: str, kind: str) -> float:
    try:
        value = float.fromhex(text) if "0x" in text.lower() else float(text)
    except (ValueError, OverflowError):
        raise ValueError(f"expected a number, as in 1.5, 1e-3, inf, nan or 0x1.8p3, got {text!r}") from None
    import struct

    try:
        struct.pack("<f" if kind == "f32" else "<d", value)
    except OverflowError:
        raise ValueError(f"{text} does not fit") from None
    return value


def parse_integer(text: str, expected: str) -> int:
    for base in (0, 10):  # base 0 knows 0x, and refuses leading zeros
        try:
            return int(text, base)
        except ValueError:
            continue
    raise ValueError(f"expected {expected}, got {text!r}")


# --- inspect -----------------------------------------------------------------------------------------------------

STANDARD_SECTIONS = frozenset(
    (
        "type",
        "import",
        "function",
        "table",
        "memory",
        "tag",
        "global",
        "export",
        "start",
        "element",
        "data count",
        "code",
        "data",
    )
)


def command_inspect(options: argparse.Namespace) -> int:
    module = outline(source_of(options.file), options.engine)
    if options.json:
        print_json(
            {
                "file": options.file,
                "name": module.name,
                "bytes": module_size(module),
                "imports": [{"module": each.module, **as_json(each)} for each in module.imports],
                "exports": [as_json(each) for each in module.exports],
                "sections": [
                    {"name": name, "offset": offset, "bytes": length, "custom": name not in STANDARD_SECTIONS}
                    for name, offset, length in module.sections
                ],
            }
        )
        return 0
    name = f", named {printable(module.name)}" if module.name is not None else ""
    print(f"{printable(options.file)}: {module_size(module):,} bytes{name}")
    imports = [(each.module, each.name, described(each.kind, each.type)) for each in module.imports]
    show_table("imports", ("module", "name", "type"), imports)
    show_table("exports", ("name", "type"), [(each.name, described(each.kind, each.type)) for each in module.exports])
    show_table(
        "sections",
        ("name", "", ">offset", ">bytes"),
        [
            (name, "" if name in STANDARD_SECTIONS else "custom", f"{offset:#x}", f"{length:,}")
            for name, offset, length in module.sections
        ],
    )
    return 0


def outline(source: File | bytes, engine: str | None) -> Module:
    """The module, for being looked at. Any engine that accepts it will do."""
    # The list begins with the most capable; the others are quicker with big modules.
    others = [info.name for info in engines() if info.available][:0:-1] if engine is None else []
    for name in others:
        try:
            return as_module(source, name)
        except WasmError:
            continue
    return as_module(source, engine)


def module_size(module: Module) -> int:
    return max((offset + length for _, offset, length in module.sections), default=8)


def as_json(item: ImportType | ExportType) -> dict[str, object]:
    """An import or export as JSON has it: the type as text, and in parts."""
    type = item.type
    parts = {
        name: jsonable(getattr(type, name))
        for name in ("parameters", "results", "minimum", "maximum", "shared", "index", "element", "value", "mutable")
        if hasattr(type, name)
    }
    return {"name": item.name, "kind": item.kind, "type": str(item.type), **parts}


def jsonable(value: Any) -> object:
    if isinstance(value, tuple):
        return [str(each) for each in value]
    return value if value is None or isinstance(value, (bool, int, str)) else str(value)


# --- the others ------------------------------------------------------------------------------------------------------


def command_validate(options: argparse.Namespace) -> int:
    engine = Engine(options.engine)
    status = 0
    for file in options.files:
        try:
            Module.validate(source_of(file), engine)
        except (WasmError, OSError, ValueError) as error:
            print_error(told(error, file))
            status = FAILED
    return status


def command_compile(options: argparse.Namespace) -> int:
    out = output_of(options, COMPILED_SUFFIX)
    if not out.endswith(COMPILED_SUFFIX):
        raise UsageError(f"-o {out}: compiled modules are known by their name, which ends in {COMPILED_SUFFIX}")
    engine = Engine(options.engine, fuel=options.fuel, interruptible=options.interruptible)
    source = source_of(options.file)
    with Progress(options.file) as begin:
        module = program(source, engine, compiling=begin)
    write_file(out, module.serialize())
    return 0


def command_wat2wasm(options: argparse.Namespace) -> int:
    out = output_of(options, ".wasm")
    if out == "-" and sys.stdout.isatty():
        raise UsageError("a binary is not written to a terminal: use -o OUT")
    source = source_of(options.file)
    write_file(out, wat2wasm(source if isinstance(source, bytes) else source.read()))
    return 0


def output_of(options: argparse.Namespace, suffix: str) -> str:
    if options.out is not None:
        return str(options.out)
    return "-" if options.file == "-" else os.path.splitext(options.file)[0] + suffix


def write_file(path: str, data: bytes) -> None:
    if path == "-":
        sys.stdout.buffer.write(data)
    else:
        with open(path, "wb") as file:
            file.write(data)


# --- clib -----------------------------------------------------------------------------------------------------------


def command_clib_build(options: argparse.Namespace) -> int:
    from .clib import BuildError, DeclarationError
    from .clib import load as load_library
    from .clib._build import make
    from .clib._module import stub_of

    headers = [file for file in options.files if file.endswith(".h")]
    sources = [file for file in options.files if file not in headers]
    if len(headers) > 1:
        raise UsageError(f"{' '.join(headers)}: one header tells what the library offers; it can include others")
    if not sources:
        raise UsageError(f"{headers[0]}: there is nothing to compile: name the C files, too")
    for file in options.files:
        with open(file, "rb"):  # told by its name, before the compiler tells it in its way
            pass
    out = options.out if options.out is not None else os.path.splitext(sources[0])[0] + ".wasm"
    if out == "-" and sys.stdout.isatty():
        raise UsageError("a binary is not written to a terminal: use -o OUT")
    frees = dict(entry.partition("=")[::2] for entry in options.frees)
    settings = {
        "frees": {name: by or "free" for name, by in frees.items()},
        "bytes": options.bytes,
        "pointers": options.pointers,
    }
    try:
        with Progress(sources[0]) as begin:
            begin()
            made = make(
                sources,
                header=headers[0] if headers else None,
                flags=[f"-O{options.level}", *(f"-D{define}" for define in options.defines), *options.flags],
                include_dirs=options.include_dirs,
                options=settings,
                debug_info=options.debug_info,
            )
            try:
                load_library(made.binary, made.declarations, **settings)  # they fit each other
            except TypeError as error:  # as a result that cannot be freed
                raise UsageError(str(error)) from None
    except (BuildError, DeclarationError, LinkError, ImportError) as error:  # which tell their own place
        print_error(str(error))
        return FAILED
    print(made.built.warnings, end="", file=sys.stderr)
    for name in made.left_out:
        print_error(f"{name} is declared and nowhere defined: left out", level="warning")
    write_file(out, made.binary)
    if options.stub is not None:
        name = os.path.splitext(os.path.basename(options.stub))[0]
        write_file(options.stub, stub_of(made.declarations, name, settings).encode())
    return 0


# --- engines --------------------------------------------------------------------------------------------------------


def command_engines(options: argparse.Namespace) -> int:
    infos = engines()
    if options.json:
        print_json(
            [
                {
                    "name": info.name,
                    "version": info.version,
                    "available": info.available,
                    "reason": info.reason,
                    "capabilities": sorted(info.capabilities),
                }
                for info in infos
            ]
        )
        return 0
    here = [info for info in infos if info.available]
    names = sorted(set().union(*(info.capabilities for info in here)))
    show_table(
        None,
        ("capability", *(f"{info.name} {info.version}" for info in here)),
        [(name, *("yes" if name in info.capabilities else "-" for info in here)) for name in names],
    )
    for info in infos:
        if not info.available:
            print(f"{info.name} is not available: {info.reason}")
    return 0


# --- cache ----------------------------------------------------------------------------------------------------------


def command_cache_info(options: argparse.Namespace) -> int:
    info = _cache.info()
    if options.json:
        print_json(info)
        return 0
    unused = f" (not used: {info['unused']})" if info["unused"] else ""
    print(f"directory  {printable(str(info['directory']))}{unused}")
    print(f"modules    {info['modules']:,}")
    print(f"bytes      {info['bytes']:,} of at most {info['bound']:,}")
    return 0


def command_cache_clear(_options: argparse.Namespace) -> int:
    modules, removed = _cache.clear()
    print(f"removed {modules:,} module{'' if modules == 1 else 's'}, {removed:,} bytes")
    return 0


# --- output -----------------------------------------------------------------------------------------------------------


def print_json(value: object) -> None:
    import json

    print(json.dumps(value, indent=2))


def show_table(title: str | None, heading: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table: with lines and colour on a terminal, else aligned text. A heading that begins with ">" aligns right."""
    if not rows:
        return
    columns = [(text.removeprefix(">"), text.startswith(">")) for text in heading]
    rows = [[printable(cell) for cell in row] for row in rows]
    if sys.stdout.isatty():
        show_rich_table(title, columns, rows)
        return
    widths = [max(map(len, column)) for column in zip([text for text, _ in columns], *rows, strict=True)]
    if title:
        print(f"\n{title}")
    for row in ([text for text, _ in columns], *rows):
        cells = [
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, (_, right) in zip(row, widths, columns, strict=True)
        ]
        print(("  " if title else "") + "  ".join(cells).rstrip())


def show_rich_table(title: str | None, columns: Sequence[tuple[str, bool]], rows: Sequence[Sequence[str]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, header_style="bold cyan")
    for text, right in columns:
        table.add_column(text, justify="right" if right else "left", overflow="fold")
    styles = {"yes": "green", "-": "dim"}
    for row in rows:
        table.add_row(*(Text(cell, styles.get(cell, "")) for cell in row))
    Console().print(table)


def printable(text: str) -> str:
    """The text with control characters spelt out: a module may be hostile, and a terminal obeys them."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def print_error(message: str, level: str = "error") -> None:
    import contextlib

    with contextlib.suppress(OSError):  # nobody reads it
        print(f"anywasm: {level}:", "\n".join(map(printable, message.split("\n"))), file=sys.stderr)


class Progress:
    """A line on the terminal while a compilation takes long; nothing elsewhere.

    rich has better ones, but they hide the cursor, and Ctrl-C ends us before it could be shown again.
    """

    def __init__(self, file: str) -> None:
        self.file = file
        self.ended: threading.Event | None = None

    def __enter__(self) -> Callable[[], None]:
        return self.begin

    def begin(self) -> None:
        if sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
            import threading

            self.ended = threading.Event()
            self.thread = threading.Thread(target=self.show, args=(self.ended,), daemon=True)
            self.thread.start()

    def show(self, ended: threading.Event) -> None:
        import time

        started = time.monotonic()
        wait, clear = PATIENCE, ""
        while not ended.wait(wait):
            wait, clear = 1.0, "\r\x1b[K"
            seconds = time.monotonic() - started
            text = f"compiling {printable(os.path.basename(self.file))} ... {seconds:.0f} s"
            print(f"{clear}{text[: terminal_width() - 1]}", end="", file=sys.stderr, flush=True)
        print(clear, end="", file=sys.stderr, flush=True)

    def __exit__(self, *_: object) -> None:
        if self.ended is not None:
            self.ended.set()
            self.thread.join()


def terminal_width() -> int:
    try:
        return os.get_terminal_size(2).columns or 80
    except OSError:
        return 80


# --- the end ----------------------------------------------------------------------------------------------------------


def main(arguments: Sequence[str] | None = None) -> int:
    """Follow the command line; the exit status."""
    # Nothing here needs cleaning up, so Ctrl-C may end us at once: in a guest's loop, and while an engine compiles.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    prepare_streams()
    try:
        try:
            return follow(parser().parse_args(arguments)) & 0xFF
        finally:
            sys.stdout.flush()  # here, where it can still be told that it failed
    except BrokenPipeError:
        die_of(signal.SIGPIPE)
    except KeyboardInterrupt:
        die_of(signal.SIGINT)
    except OSError as error:
        discard_output()
        print_error(error.strerror or str(error))
        return FAILED


def follow(options: argparse.Namespace) -> int:
    if "program" in options:
        options.file, *options.args = options.program if options.program[0] != "--" else options.program[1:]
    file = getattr(options, "file", "")
    try:
        status: int = options.command(options)
    except UsageError as error:
        print_error(str(error))
        return USAGE
    except (Trap, WasmException) as error:
        print_error(f"{told(error, file)}{backtrace(error.frames)}")
        return TRAPPED
    except LimitError as error:
        print_error(told(error, file))
        return OUT_OF_LIMITS
    except (WasmError, ValueError, MemoryError) as error:
        print_error(told(error, file))
        return FAILED
    except OSError as error:
        if error.filename is None:  # our own input or output
            raise
        print_error(told(error, file))
        return FAILED
    return status


def told(error: Exception, file: str) -> str:
    """What to say about an error that has to do with *file*."""
    if isinstance(error, OSError):
        return f"{error.filename or file}: {error.strerror or error}"
    text = str(error) or type(error).__name__
    if isinstance(error, Trap):
        text = f"trap: {text}"
    return text if text.startswith(file) else f"{file}: {text}"


def backtrace(frames: Sequence[Frame]) -> str:
    lines = [f"\n  {frame_text(frame)}" for frame in frames[:MOST_FRAMES]]
    if len(frames) > MOST_FRAMES:
        lines.append(f"\n  and {len(frames) - MOST_FRAMES:,} more")
    return "".join(lines)


def frame_text(frame: Frame) -> str:
    place = frame.module_name or "module"
    if frame.module_offset is not None:
        place += f"+{frame.module_offset:#x}"
    if frame.file is not None:
        place += f", {frame.file}:{frame.line}"
    return f"in {frame.function_name or f'function[{frame.function_index}]'} ({place})"


def prepare_streams() -> None:
    """Put something where the shell closed a stream (`>&-`), and let no encoding refuse what is printed."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free: this
    if sys.stdout is None:
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def discard_output() -> None:
    """Keep Python from writing once more, at its end, what could not be written."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def die_of(number: signal.Signals) -> NoReturn:
    """End as whatever started us expects of a program that a signal ended."""
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    os._exit(128 + number)  # the signal is blocked

# SPDX-License-Identifier: Apache-2.0
"""Importing the package: quick, quiet, and without side effects."""

import importlib
import json
import subprocess
import sys

import anywasm

# What a program may well not need, and takes long to import.
SLOW = {"argparse", "dataclasses", "difflib", "importlib.metadata", "inspect", "pathlib", "rich", "typing", "wasmtime"}


def python(code: str, *options: str) -> str:
    done = subprocess.run([sys.executable, *options, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout


# How an editable installation is found needs modules of its own.
START = """
import sys
if any("editable" in name for name in sys.modules):
    from importlib.util import find_spec
    find_spec("anywasm")
before = set(sys.modules)
"""


def imported_by(statement: str) -> set[str]:
    """The modules that a statement imports, beyond those that are there at the start."""
    return set(python(f"{START}\n{statement}\nprint('\\n'.join(set(sys.modules) - before))").split())


def test_importing_brings_nothing_slow() -> None:
    assert imported_by("import anywasm") & SLOW == set()


def test_importing_brings_these_modules_alone() -> None:
    ours = {
        "_core",
        "_engines",
        "_host",
        "_linker",
        "_linking",
        "_load",
        "_pool",
        "_run",
        "wasi",
        "wasi._clock",
        "wasi._archives",
        "wasi._filesystem",
        "wasi._fsspec",
        "wasi._mounts",
        "wasi._settings",
        "wasi._sockets",
        "wasi._streams",
        "wasi._wasi",
    }
    others = {"__future__", "_collections", "_operator", "collections", "itertools", "keyword", "operator", "reprlib"}
    found = imported_by("import anywasm")
    assert {name for name in found if name.startswith("anywasm")} == {"anywasm", *(f"anywasm.{name}" for name in ours)}
    assert {name for name in found if not name.startswith("anywasm")} <= others


def test_importing_clib_brings_nothing_slow() -> None:
    found = imported_by("import anywasm.clib")
    assert found & {*SLOW, "contextlib", "enum", "json", "pcpp", "pycparser", "re", "subprocess"} == set()


def test_the_command_line_brings_nothing_slow_but_argparse() -> None:
    assert imported_by("import anywasm._cli; anywasm._cli.parser()") & SLOW == {"argparse"}


def test_importing_opens_no_engine() -> None:
    maps = python("import anywasm; print(open('/proc/self/maps').read())")
    assert "libwasmtime" not in maps


def test_importing_reads_no_environment() -> None:
    code = "import os; os.environ['ANYWASM_ENGINE'] = 'nonsense'; import anywasm; print(anywasm.__version__)"
    assert python(code).strip() == anywasm.__version__


def test_importing_changes_no_signal_handler() -> None:
    code = (
        "import signal; f = lambda: [str(signal.getsignal(n)) for n in signal.valid_signals()];"
        "before = f(); import anywasm; print(before == f())"
    )
    assert python(code).strip() == "True"


def test_a_run_imports_nothing_slow(engine: anywasm.Engine) -> None:
    """Loading and calling stay free of what only error messages and the command line need."""
    code = f"anywasm.load({EMPTY!r}, engine={engine.name!r}).exports['f']()"
    needed = {"importlib.metadata"} if engine.name == "wasmtime" else set()  # it looks for the library
    found = imported_by(f"import anywasm; {code}") & {"argparse", "dataclasses", "difflib", "rich", "wasmtime", *SLOW}
    if not needed:
        assert found == set()
    assert "wasmtime" not in found


# (module (func (export "f")))
EMPTY = bytes.fromhex("0061736d01000000010401600000030201000705010166000 00a040102000b".replace(" ", ""))


def test_all_is_sorted_and_complete() -> None:
    assert anywasm.__all__ == sorted(anywasm.__all__, key=str)
    public = {name for name in vars(anywasm) if not name.startswith("_")}
    modules = {name for name in public if isinstance(getattr(anywasm, name), type(sys))}
    assert public - modules == set(anywasm.__all__) - {"__version__"}


def test_every_public_object_says_that_it_is_the_packages() -> None:
    for name in set(anywasm.__all__) - {"__version__"}:
        module = getattr(anywasm, name).__module__
        assert module.partition(".")[0] == "anywasm", name


def test_every_public_object_has_a_docstring() -> None:
    lacking = [name for name in anywasm.__all__ if not (getattr(anywasm, name).__doc__ or "").strip()]
    assert lacking == []


def test_the_version_is_that_of_the_distribution() -> None:
    metadata = importlib.import_module("importlib.metadata")
    assert anywasm.__version__ == metadata.version("anywasm")


def test_engines_can_be_listed_as_json() -> None:
    listed = python("import anywasm, json; print(json.dumps([[e.name, e.available] for e in anywasm.engines()]))")
    assert [name for name, _ in json.loads(listed)] == [info.name for info in anywasm.engines()]


def test_the_package_tells_type_checkers_that_it_is_typed() -> None:
    files = importlib.import_module("importlib.resources").files(anywasm)
    assert files.joinpath("py.typed").is_file()
    assert files.joinpath("_core.pyi").is_file()

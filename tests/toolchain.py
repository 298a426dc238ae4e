# SPDX-License-Identifier: Apache-2.0
"""Makes the WebAssembly that tests run: from text, from C (PyPI's ziglang), from Go.

What takes long is kept in a cache outside the repository: $ANYWASM_TEST_CACHE, else the user's cache folder.
"""

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import anywasm

Instantiate = Callable[..., anywasm.Instance]  # of the fixture `instantiate`


class ToolMissing(Exception):
    """What a test needs is not on this machine; the message says what to install."""


@lru_cache(maxsize=None)
def cache_dir() -> Path:
    named = os.environ.get("ANYWASM_TEST_CACHE")
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    folder = Path(named) if named else Path(base).expanduser() / "anywasm-tests"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:  # a home that cannot be written
        folder = Path(tempfile.gettempdir()) / "anywasm-tests"
        folder.mkdir(exist_ok=True)
    return folder


@lru_cache(maxsize=None)
def clib_cache() -> Path:
    """What clib.compile makes of large sources, for ANYWASM_CACHE_DIR: another folder once clib changes."""
    sources = sorted(Path(anywasm.__file__).parent.joinpath("clib").glob("*.py"))
    digest = hashlib.sha256(b"\0".join(source.read_bytes() for source in sources)).hexdigest()[:16]
    folder = cache_dir() / "clib" / digest
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@lru_cache(maxsize=None)
def text_engine() -> anywasm.Engine:
    for info in anywasm.engines():
        if info.available and "wat" in info.capabilities:
            return anywasm.Engine(info.name)
    raise ToolMissing("no engine here reads the text format: pip install anywasm[wasmtime]")


@lru_cache(maxsize=None)
def wat(text: str) -> bytes:
    """The text of a module as a binary, for engines that read no text."""
    return anywasm.wat2wasm(text, text_engine())


def compile_c(source: str | Path, *flags: str) -> Path:
    """The path of a .wasm made from C: a program for WASI, or with "-mexec-model=reactor" a library.

    *source* is a path, or the text of a program. Add "-Wl,--export=NAME" or export_name attributes for what a host is
    to call.
    """
    if importlib.util.find_spec("ziglang") is None:
        raise ToolMissing("the C compiler for WebAssembly is not here: pip install ziglang")
    text = source.read_bytes() if isinstance(source, Path) else source.encode()
    name = source.stem if isinstance(source, Path) else "source"
    command = ["cc", "--target=wasm32-wasi", "-O2", "-s", *flags]
    key = hashlib.sha256(b"\0".join([zig_version(), *(part.encode() for part in command), text])).hexdigest()[:16]
    output = cache_dir() / "c" / f"{name}-{key}.wasm"
    if output.exists():
        return output
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output.parent) as scratch:
        file = Path(scratch) / f"{name}.c"
        file.write_bytes(text)
        includes = ["-I", os.fspath(source.parent)] if isinstance(source, Path) else []
        made = Path(scratch) / "made.wasm"
        run_zig([*command, *includes, os.fspath(file), "-o", os.fspath(made)])
        made.replace(output)  # in one step: another test process may look for it
    return output


def compile_native(source: Path, output: str, *flags: str) -> Path:
    """The path of what the same compiler makes of C for this machine: a program or shared library called *output*."""
    if importlib.util.find_spec("ziglang") is None:
        raise ToolMissing("the C compiler is not here: pip install ziglang")
    command = ["cc", "-O2", *flags]
    parts = [zig_version(), *(part.encode() for part in command), source.read_bytes()]
    made = cache_dir() / "native" / hashlib.sha256(b"\0".join(parts)).hexdigest()[:16] / output
    if not made.exists():
        made.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=made.parent) as scratch:
            fresh = Path(scratch) / output
            run_zig([*command, os.fspath(source), "-o", os.fspath(fresh)])
            fresh.replace(made)
    return made


@lru_cache(maxsize=None)
def zig_version() -> bytes:
    return run_zig(["version"]).encode()


def run_zig(arguments: list[str]) -> str:
    environment = os.environ | {"ZIG_GLOBAL_CACHE_DIR": os.fspath(cache_dir() / "zig")}
    done = subprocess.run(
        [sys.executable, "-m", "ziglang", *arguments], env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise RuntimeError(f"zig {' '.join(arguments)} failed:\n{done.stderr}")
    return done.stdout


def build_go(package: str | Path) -> Path:
    """The path of a .wasm made from a Go program: a folder of the repository, or a module "example.org/cmd@v1"."""
    go = shutil.which("go")
    if go is None:
        raise ToolMissing("Go is not here: https://go.dev/doc/install")
    environment = os.environ | {"GOOS": "wasip1", "GOARCH": "wasm", "GOFLAGS": "-modcacherw"}
    if isinstance(package, Path):
        files = sorted(path for path in package.rglob("*") if path.is_file())
        key = hashlib.sha256(b"\0".join(path.read_bytes() for path in files)).hexdigest()[:16]
        output = cache_dir() / "go" / f"{package.name}-{key}.wasm"
        if not output.exists():
            run([go, "build", "-o", os.fspath(output), "."], environment, package)
        return output
    folder = cache_dir() / "go" / hashlib.sha256(package.encode()).hexdigest()[:16]
    name = package.partition("@")[0].rpartition("/")[2]
    output = folder / "bin" / "wasip1_wasm" / name
    if not output.exists():
        run([go, "install", package], environment | {"GOPATH": os.fspath(folder)}, None)
    return output


@lru_cache(maxsize=None)
def go_root() -> Path:
    """Where Go's standard library lies, with its tests."""
    go = shutil.which("go")
    if go is None:
        raise ToolMissing("Go is not here: https://go.dev/doc/install")
    root = Path(run([go, "env", "GOROOT"], None, None).strip())
    if not list((root / "src" / "os").glob("*_test.go")):
        raise ToolMissing("this Go comes without the tests of its standard library")
    return root


def build_go_tests(package: str) -> Path:
    """The path of a .wasm made from the tests of a package of Go's standard library."""
    root = go_root()
    go = os.fspath(root / "bin" / "go")
    version = run([go, "env", "GOVERSION"], None, None).strip()
    output = cache_dir() / "go" / f"{package.replace('/', '_')}-{version}.test.wasm"
    if not output.exists():
        output.parent.mkdir(parents=True, exist_ok=True)
        environment = os.environ | {"GOOS": "wasip1", "GOARCH": "wasm", "GOFLAGS": "-modcacherw"}
        run([go, "test", "-c", "-o", os.fspath(output), "."], environment, root / "src" / package)
    return output


def run(command: list[str], environment: dict[str, str] | None, folder: Path | None) -> str:
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr}")
    return done.stdout

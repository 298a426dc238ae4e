# SPDX-License-Identifier: Apache-2.0
"""Processes that are measured as a whole: scripts that run WASI programs with each of the systems."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import time
import weakref
from pathlib import Path

from harness import Missing, Way

# What the process runs; its arguments are the program's path, then the program's own.
SCRIPTS = {
    "python": "print('Hello, world!')",
    "anywasm": "import anywasm\nanywasm.run(program, arguments)",
    "anywasm-wasmtime": "import anywasm\nanywasm.run(program, arguments, engine='wasmtime')",
    "anywasm-wamr": "import anywasm\nanywasm.run(program, arguments, engine='wamr')",
    "wasmtime-py": """
import os, wasmtime
config = wasmtime.Config()
if "WASMTIME_CACHE" in os.environ:
    config.cache = os.environ["WASMTIME_CACHE"]
engine = wasmtime.Engine(config)
linker = wasmtime.Linker(engine)
linker.define_wasi()
wasi = wasmtime.WasiConfig()
wasi.argv = [program, *arguments]
wasi.inherit_stdin()
wasi.inherit_stdout()
store = wasmtime.Store(engine)
store.set_wasi(wasi)
instance = linker.instantiate(store, wasmtime.Module.from_file(engine, program))
try:
    instance.exports(store)["_start"](store)
except wasmtime.ExitTrap:
    pass
""",
    "wasmer": """
import wasmer
from wasmer_compiler_cranelift import Compiler
store = wasmer.Store(wasmer.engine.JIT(Compiler))
module = wasmer.Module(store, open(program, "rb").read())
environment = wasmer.wasi.StateBuilder("program").arguments(arguments).finalize()
imports = environment.generate_import_object(store, wasmer.wasi.get_version(module, strict=False))
try:
    wasmer.Instance(module, imports).exports._start()
except RuntimeError:
    pass
""",
}
PACKAGES = {"wasmtime-py": "wasmtime", "pywasm3": "wasm3", "python": "sys"}


def need(system: str) -> None:
    """Raises Missing when the system is not here, without importing it."""
    if system.startswith("anywasm-"):
        from guests import engine

        engine(system)
        return
    package = PACKAGES.get(system, system)
    if importlib.util.find_spec(package) is None:
        raise Missing(f"No module named '{package}'")


def script(system: str) -> str:
    need(system)
    return "import sys\nprogram, *arguments = sys.argv[1:]\n" + SCRIPTS[system]


def output(command: list[str], text: str, environment: dict[str, str]) -> str:
    done = subprocess.run(
        [sys.executable, *command], input=text, capture_output=True, text=True, check=True, env=os.environ | environment
    )
    return done.stdout


def whole(command: list[str], text: str = "", **environment: str) -> Way:
    """The way to run a whole process, Python's own start included."""

    def run() -> str:
        return output(command, text, environment)

    def clock() -> float:
        start = time.perf_counter()
        run()
        return time.perf_counter() - start

    return Way("run()", {"run": run}, clock=clock)


class CacheFolder:
    """An empty folder for compiled code, and the settings that make a system use it."""

    def __init__(self) -> None:
        path = Path(tempfile.mkdtemp(prefix="anywasm-bench-"))
        weakref.finalize(self, shutil.rmtree, path, ignore_errors=True)
        (path / "ours").mkdir()
        (path / "wasmtime.toml").write_text(f'[cache]\ndirectory = "{path}/wasmtime"\n')
        self.environment = {
            "ANYWASM_CACHE_DIR": os.fspath(path / "ours"),
            "WASMTIME_CACHE": os.fspath(path / "wasmtime.toml"),
        }

    def settle(self, seconds: float = 60) -> None:
        """Waits until no process works with the folder any more: one may compile behind the program that has ended."""
        mark = f"ANYWASM_CACHE_DIR={self.environment['ANYWASM_CACHE_DIR']}".encode()
        end = time.monotonic() + seconds
        while time.monotonic() < end and any(mark in environment_of(folder) for folder in Path("/proc").glob("[0-9]*")):
            time.sleep(0.1)


def environment_of(process: Path) -> bytes:
    try:
        return (process / "environ").read_bytes()
    except OSError:  # it has ended, or is another user's
        return b""

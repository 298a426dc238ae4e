# SPDX-License-Identifier: Apache-2.0
"""Compiling within limits: in a process of its own, which is ended when it takes too long.

Compilers take more time than a module's size tells: some modules of five kilobytes take ten seconds, twice as many
bytes take minutes. Nothing stops one inside this process.
"""

from __future__ import annotations

import os
import signal
import sys
from time import monotonic

from . import _core
from ._core import CompileError, Engine, Module, TimeoutExpired, UnsupportedError, WasmError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

# Bytes of memory that the process may have: what any module may take, and what one of this size may take beyond that.
MEMORY, MEMORY_PER_BYTE = 512 << 20, 256

CHILD = """
import sys
sys.path[:] = {path!r}
from anywasm._within import main
main({name!r}, {config!r}, {source!r}, {result!r}, {memory!r})
"""


def compile_within(binary: bytes, engine: Engine, seconds: float) -> Module:
    """Module(binary, engine), or TimeoutExpired.

    Raises what Module raises; CompileError, too, where the compiler died of its limit of memory.
    """
    import subprocess

    began = monotonic()
    memory = MEMORY + MEMORY_PER_BYTE * len(binary)
    with memory_file("module") as source, memory_file("code") as result:
        source.write(binary)
        source.flush()
        code = CHILD.format(
            path=[entry for entry in sys.path if os.path.isabs(entry)],
            name=engine.name,
            config=engine.config,
            source=source.fileno(),
            result=result.fileno(),
            memory=memory,
        )
        process = subprocess.Popen(
            [interpreter(), "-I", "-c", code],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(source.fileno(), result.fileno()),
        )
        try:
            status = process.wait(seconds)
        except subprocess.TimeoutExpired:
            error = TimeoutExpired(f"compiling was stopped: its timeout of {seconds:g} s is over")
            error.used, error.allowed = monotonic() - began, seconds
            raise error from None
        finally:
            process.kill()
            process.wait()
        result.seek(0)
        data = result.read()
    if status == FAILED:
        raise_again(data)
    if status != 0:
        how = f"by {signal.Signals(-status).name}" if status < 0 else f"with status {status}"
        raise CompileError(f"the compiler ended {how}: it had {seconds:g} s and {memory >> 20:,} MiB of memory")
    # From the cache, where the other process has put it: then nothing of the module is missing.
    return Module._or_else(lambda _: Module.deserialize(data, engine), binary, engine)


def memory_file(name: str):  # type: ignore[no-untyped-def]  # a writable file without a place
    try:
        return open(os.memfd_create(name), "w+b")
    except (AttributeError, OSError) as error:
        raise UnsupportedError(f"compile_timeout: files in memory are needed: {error}") from None


def interpreter() -> str:
    python = sys.executable or ""
    if getattr(sys, "frozen", False) or not os.path.basename(python).startswith("python"):
        raise UnsupportedError("compile_timeout: a process of its own is needed, and sys.executable is no Python")
    return python


def raise_again(data: bytes) -> NoReturn:
    name, _, message = data.decode(errors="replace").partition("\n")
    kind = getattr(_core, name, WasmError)
    raise kind(message)


# --- the other process ----------------------------------------------------------------------------------------------

FAILED = 3


def main(name: str, config: dict[str, object], source: int, result: int, memory: int) -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with open(source, "rb") as file:
        file.seek(0)
        binary = file.read()
    with open(result, "wb") as file:
        try:
            file.write(Module(binary, Engine(name, **config)).serialize())  # type: ignore[arg-type]
        except (WasmError, MemoryError) as error:
            kind = type(error).__name__ if isinstance(error, WasmError) else CompileError.__name__
            file.write(f"{kind}\n{error or 'out of memory'}".encode())
            sys.exit(FAILED)

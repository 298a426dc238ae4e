# SPDX-License-Identifier: Apache-2.0
"""Starting programs now, and compiling them behind.

A big program that is not in the cache yet starts on an engine that has nothing to compile, while another process
compiles it for the next time. docs/cache.md tells when.
"""

from __future__ import annotations

import os
import sys

from . import _cache
from ._core import Engine, Module, WasmError, engine_list
from ._load import BIG


def start_now(binary: bytes) -> Module | None:
    """The program on an engine that does not compile, while the default one does; None if that is to be waited for."""
    engine = Engine()
    identity = engine._code_identity
    entry = _cache.find(identity, binary) if identity is not None else None
    if entry is None:
        return None
    try:
        Module.validate(binary, engine)
        module = module_without_compiling(binary)
    except WasmError:  # the engine itself will tell
        return None
    if module is None or code_size(module) < BIG:
        return None
    try:
        claim = entry.claim()
    except BlockingIOError:  # another process compiles it
        return module
    except OSError:
        return None
    if claim is None:
        return None
    try:
        return module if compile_behind(binary, engine, claim) else None
    finally:
        os.close(claim)


def module_without_compiling(binary: bytes) -> Module | None:
    for name, _, capabilities, reason in engine_list():
        if reason is None and "serialize" not in capabilities:
            return Module(binary, Engine(name))
    return None


def code_size(module: Module) -> int:
    return sum(size for name, _, size in module.sections if name == "code")


# Of a processor: some modules take a compiler longer than anybody waits.
MOST_SECONDS = 600

# --- the other process ----------------------------------------------------------------------------------------------

# It has the modules that this one has: the path is this one's, without what is relative to the working directory.
CHILD = """
import sys
sys.path[:] = {path!r}
from anywasm._behind import main
main({name!r}, {config!r}, {descriptor!r})
"""


def compile_behind(binary: bytes, engine: Engine, claim: int) -> bool:
    """Start a process that puts what *engine* compiles into the cache, and forget about it.

    It holds the claim as long as it lives. A shell starts it and ends at once, so that it is no child of this process,
    which may wait for children of its own.
    """
    import subprocess

    python = sys.executable or ""
    if getattr(sys, "frozen", False) or not os.path.basename(python).startswith("python"):
        return False  # who knows what that would start
    try:
        descriptor = os.memfd_create("module")
    except (AttributeError, OSError):  # only Linux has it
        return False
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(binary)
        code = CHILD.format(
            path=[entry for entry in sys.path if os.path.isabs(entry)],
            name=engine.name,
            config=engine.config,
            descriptor=descriptor,
        )
        done = subprocess.run(
            ["/bin/sh", "-c", '"$@" &', "sh", python, "-I", "-c", code],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"ANYWASM_CACHE_DIR": _cache.path()},
            cwd="/",
            pass_fds=(descriptor, claim),
            start_new_session=True,
            check=False,
        )
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return done.returncode == 0


def main(name: str, config: dict[str, object], descriptor: int) -> None:
    """What the other process does: Module() puts the code into the cache."""
    import fcntl
    import resource

    resource.setrlimit(resource.RLIMIT_CPU, (MOST_SECONDS, MOST_SECONDS))
    os.nice(19)
    try:
        with open("/proc/self/autogroup", "w") as autogroup:  # on some systems nice counts within a session only
            autogroup.write("19")
    except OSError:
        pass
    with open(descriptor, "rb") as file:
        file.seek(0)
        binary = file.read()
    folder = _cache.open_folder()
    if folder is not None:
        fcntl.flock(folder, fcntl.LOCK_EX)  # one at a time: a compilation has all processors, and needs much memory
    Module(binary, Engine(name, **config))  # type: ignore[arg-type]

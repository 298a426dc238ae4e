# SPDX-License-Identifier: Apache-2.0
"""`anywasm.run`: `subprocess.run` for WASI programs, in a sandbox."""

from __future__ import annotations

import codecs
import os

from ._core import Engine, Exit, FuncType, Instance, LimitError, LinkError, Module, Store
from ._load import program
from .wasi import Wasi

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from _typeshed import ReadableBuffer

    from ._core import _ModuleSource
    from .wasi import Clock


class CompletedRun:
    """How a program ended.

    args: the arguments that it was given, without its name.
    returncode: its exit status; 0 is success.
    stdout, stderr: what it wrote, as bytes, or as str if ``text=True``; None if that was not captured.
    """

    __slots__ = ("args", "returncode", "stderr", "stdout")

    def __init__(self, args: tuple[str, ...], returncode: int, stdout: Any = None, stderr: Any = None) -> None:
        self.args = args
        self.returncode = returncode
        self.stdout: Any = stdout
        self.stderr: Any = stderr

    def __repr__(self) -> str:
        captured = "".join(
            f", {name}={value!r}" for name in ("stdout", "stderr") if (value := getattr(self, name)) is not None
        )
        return f"CompletedRun(args={self.args!r}, returncode={self.returncode}{captured})"

    def check_returncode(self) -> None:
        """Raise Exit if the exit status is not 0."""
        if self.returncode != 0:
            message = f"the program ended with exit status {self.returncode}"
            if self.stderr:
                said = self.stderr if isinstance(self.stderr, str) else self.stderr.decode(errors="replace")
                message += f": {said.rstrip()[-1000:]}"
            error = Exit(message)
            error.code = self.returncode
            raise error


class Capture:
    """A stream that keeps what is written to it; several may share an allowance of bytes."""

    __slots__ = ("allowance", "data")

    def __init__(self, allowance: Allowance) -> None:
        self.allowance = allowance
        self.data = bytearray()

    def write(self, data: ReadableBuffer) -> int:
        size = memoryview(data).nbytes
        self.allowance.spend(size)
        self.data += data
        return size


class Allowance:
    """How many bytes may still be captured."""

    __slots__ = ("left", "limit")

    def __init__(self, limit: int | None) -> None:
        if limit is not None and not isinstance(limit, int):
            raise TypeError(f"run(): max_output: expected an int or None, got {type(limit).__name__}")
        if limit is not None and limit < 0:
            raise ValueError(f"run(): max_output: expected 0 or more, got {limit}")
        self.limit = self.left = limit

    def spend(self, size: int) -> None:
        if self.left is None:
            return
        if size > self.left:
            raise LimitError(f"the program wrote more than max_output allows: {self.limit:,} bytes")
        self.left -= size


def run(
    source: Module | _ModuleSource,
    args: Sequence[str] = (),
    *,
    env: Mapping[str, str] | None = None,
    input: ReadableBuffer | str | None = None,
    stdin: Any = None,
    stdout: Any = "inherit",
    stderr: Any = "inherit",
    capture_output: bool = False,
    text: bool = False,
    encoding: str = "utf-8",
    mounts: Mapping[str, Any] | None = None,
    clock: Clock | None = None,
    random: int | bytes | None = None,
    timeout: float | None = None,
    memory: int | None = None,
    fuel: int | None = None,
    max_output: int | None = None,
    check: bool = False,
    engine: Engine | str | None = None,
) -> CompletedRun:
    """Run a WASI program to its end, in a sandbox: it sees what is given to it here, and nothing else::

        done = anywasm.run("gojq.wasm", [".a | add"], input=b'{"a": [1, 2, 3]}', capture_output=True, timeout=5)
        done.stdout  # b'6\\n'

    source: what :class:`Module` takes (a path, bytes, or text), or a Module, which saves compiling it again.
    args: its arguments, without the program's name.
    env: its environment variables; nothing is inherited.
    input: what it reads from stdin, as bytes, or as str if *text* is true.
    stdin, stdout, stderr: as for :class:`Wasi`: None, "inherit", a path, a file, an object with ``read`` or ``write``.
      Unless told otherwise it writes to the process's stdout and stderr, and finds stdin at its end.
    capture_output: keep what it writes, for the result's ``stdout`` and ``stderr``.
    text: these two, and *input*, are str, in this *encoding*; bytes that are not of it are replaced.
    mounts: ``{guest path: host path}``, or what else :class:`Wasi` takes there, such as
      ``{"/data": anywasm.wasi.Directory("data", readonly=True)}``.
    clock, random: time and chance of its own, for runs that give the same bytes twice: as for :class:`Wasi`.
    timeout: seconds until it is stopped, sleeping and reading included, compiling not. An engine that is given as an
      object, or by a Module, needs ``interruptible=True``.
    memory: bytes that each of its memories may grow to.
    fuel: how many units of work it may do. An engine that is given as an object needs ``fuel=True``.
    max_output: how many bytes of output are kept, stdout and stderr together.
    check: raise Exit if its exit status is not 0.
    engine: an Engine or the name of one. None is the default engine; a big program that it has not compiled yet starts
      on one that does not compile, unless *timeout* or *fuel* is given, and is compiled in another process for the
      next time.

    Raises Trap if it crashes, LimitError if it meets a limit, LinkError if it is no WASI program, CompileError. What it
    had written until then is kept by an object that you pass as *stdout*, such as ``io.BytesIO()``.
    """
    if isinstance(args, (str, bytes)):
        raise TypeError(f"run(): args: expected a sequence of strings, got {type(args).__name__}")
    if input is not None:
        if stdin is not None:
            raise TypeError("run(): input and stdin exclude each other")
        stdin = as_bytes(input, text, encoding)
    if text:
        codecs.lookup(encoding)
    allowance = Allowance(max_output)
    if capture_output:
        if stdout != "inherit" or stderr != "inherit":
            raise TypeError("run(): capture_output excludes stdout and stderr")
        stdout, stderr = Capture(allowance), Capture(allowance)
    elif max_output is not None:
        raise TypeError("run(): max_output limits what is captured: it needs capture_output=True")
    module = program(source, engine, fuel=fuel, timeout=timeout)
    given = tuple(os.fspath(arg) for arg in args)
    wasi = Wasi(
        args=(program_name(source, module), *given),
        env=env,
        mounts=mounts,
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        clock=clock,
        random=random,
    )
    with Store(module.engine, wasi=wasi, memory=memory, fuel=fuel, timeout=timeout) as store:
        returncode = start(module, store)
    done = CompletedRun(given, returncode)
    if capture_output:
        done.stdout, done.stderr = (
            stream.data.decode(encoding, "replace") if text else bytes(stream.data) for stream in (stdout, stderr)
        )
    if check:
        done.check_returncode()
    return done


def as_bytes(input: ReadableBuffer | str, text: bool, encoding: str) -> ReadableBuffer:
    if isinstance(input, str):
        if not text:
            raise TypeError("run(): input: expected bytes, got str (text=True takes str)")
        return input.encode(encoding)
    if text:
        raise TypeError(f"run(): input: expected str, since text is true, got {type(input).__name__}")
    return input


def program_name(source: Module | _ModuleSource, module: Module) -> str:
    """What the program learns as its own name: that of its file."""
    if isinstance(source, os.PathLike) or (isinstance(source, str) and "(" not in source):
        return os.path.basename(os.fspath(source))
    return module.name or "program"


def start(module: Module, store: Store) -> int:
    """Run the program from its start to its end: its exit status."""
    types = {export.name: export.type for export in module.exports if export.kind == "func"}
    if "_start" not in types:
        names = ", ".join(types) or "none"
        raise LinkError(f"the module is no program: it exports no function _start; its functions: {names}")
    if types["_start"] != FuncType():
        raise LinkError(f"the module is no program: its function _start is {types['_start']}, not {FuncType()}")
    try:
        Instance(module, None, store).exports["_start"]()
    except Exit as ended:
        return ended.code
    return 0

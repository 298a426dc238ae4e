# SPDX-License-Identifier: Apache-2.0
"""`anywasm.run`: `subprocess.run` for WASI programs, in a sandbox."""

from __future__ import annotations

import codecs
import operator
import os
from time import monotonic

from ._core import (
    Engine,
    Exit,
    FuncType,
    Instance,
    LimitError,
    LinkError,
    MemoryLimitError,
    Module,
    Store,
    TimeoutExpired,
    Trap,
    WasiHost,
)
from ._load import program
from .wasi import Wasi

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

    from _typeshed import ReadableBuffer

    from ._core import _ModuleSource
    from .wasi import Clock


TABLES = 4  # that a program with a limit of memory may have; compilers make one, or two
ELEMENT = 8  # bytes of one


class CompletedRun:
    """How a program ended.

    args: the arguments that it was given, without its name.
    returncode: its exit status; 0 is success.
    stdout, stderr: what it wrote, as bytes, or as str if ``text=True``; None if that was not captured.
    truncated: bytes of output that *max_output* dropped.
    duration: seconds that it ran, compiling not included.
    fuel: units of work that it did; None where the engine did not count.
    peak_memory: bytes of memory that it had in the end, which is the most that it had.
    memory_refused: bytes that it wanted its memory to have and did not get because of *memory*; 0 if it was content,
      None where the engine does not tell.
    """

    __slots__ = (
        "args",
        "duration",
        "fuel",
        "memory_refused",
        "peak_memory",
        "returncode",
        "stderr",
        "stdout",
        "truncated",
    )

    def __init__(self, args: tuple[str, ...], returncode: int, stdout: Any = None, stderr: Any = None) -> None:
        self.args = args
        self.returncode = returncode
        self.stdout: Any = stdout
        self.stderr: Any = stderr
        self.truncated = 0
        self.duration = 0.0
        self.fuel: int | None = None
        self.peak_memory = 0
        self.memory_refused: int | None = None

    def __repr__(self) -> str:
        captured = "".join(
            f", {name}={value!r}" for name in ("stdout", "stderr") if (value := getattr(self, name)) is not None
        )
        return f"CompletedRun(args={self.args!r}, returncode={self.returncode}{captured})"

    def check_returncode(self) -> None:
        """Raise Exit, with the output, if the exit status is not 0."""
        if self.returncode != 0:
            message = f"the program ended with exit status {self.returncode}"
            if self.memory_refused:
                message += f", and had asked for {self.memory_refused:,} bytes of memory, which is too much"
            if self.stderr:
                said = self.stderr if isinstance(self.stderr, str) else self.stderr.decode(errors="replace")
                message += f": {said.rstrip()[-1000:]}"
            error = Exit(message)
            error.code = self.returncode
            error.stdout, error.stderr = self.stdout, self.stderr
            raise error


class Capture:
    """A stream that keeps what is written to it."""

    __slots__ = ("data",)

    def __init__(self) -> None:
        self.data = bytearray()

    def write(self, data: ReadableBuffer) -> int:
        self.data += data
        return memoryview(data).nbytes


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
    sockets: Iterable[socket.socket | int] = (),
    timeout: float | None = None,
    compile_timeout: float | None = None,
    memory: int | None = None,
    table_elements: int | None = None,
    fuel: int | None = None,
    stack: int | None = None,
    max_output: int | None = None,
    truncate: bool = False,
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
    stdin, stdout, stderr: as for :class:`Wasi`: None, "inherit", a path, a file, an object with ``read`` or ``write``,
      a callable for lines. Unless told otherwise it writes to the process's streams, and finds stdin at its end.
    capture_output: keep what it writes, for the result's ``stdout`` and ``stderr``.
    text: these two, and *input*, are str, in this *encoding*; bytes that are not of it are replaced.
    mounts: ``{guest path: host path}``, or what else :class:`Wasi` takes there, such as
      ``{"/data": anywasm.wasi.Directory("data", readonly=True)}``.
    clock, random: time and chance of its own, for runs that give the same bytes twice: as for :class:`Wasi`.
    sockets: sockets that it may accept from, receive from and send to, as for :class:`Wasi`.
    timeout: seconds until it is stopped, sleeping and reading included, compiling not. An engine that is given as an
      object, or by a Module, needs ``interruptible=True``.
    compile_timeout: seconds that compiling it may take. It then happens in a process of its own, whose memory is
      bounded, too, unless *source* is a Module or in the cache. An engine that does not compile, such as WAMR, does
      without: it needs some tenths of a second for a megabyte, whatever is in it.
    memory: bytes that its memory may grow to. With this limit it has one memory, and its tables, four at most, together
      take no more than as much again.
    table_elements: how many elements each of its tables may have.
    fuel: how many units of work it may do. An engine that is given as an object needs ``fuel=True``.
    stack: bytes for its nested calls, 65,536 or more. An engine that has one size for all stores, and is given as an
      object, needs ``max_wasm_stack=`` the same.
    max_output: how many bytes it may write to stdout and stderr together, wherever they go.
    truncate: let it go on when it has written as much, and drop the rest.
    check: raise Exit if its exit status is not 0.
    engine: an Engine or the name of one. None is the default engine; a big program that it has not compiled yet starts
      on one that does not compile, unless *timeout* or *fuel* is given, and is compiled in another process for the
      next time.

    Raises Trap if it crashes; one of the classes below LimitError, such as TimeoutExpired, if it meets a limit;
    LinkError if it is no WASI program; CompileError; UnsupportedError for a limit that the engine cannot hold. Trap,
    LimitError and Exit have what it wrote until then in their ``stdout`` and ``stderr``, if that was captured.
    """
    if isinstance(args, (str, bytes)):
        raise TypeError(f"run(): args: expected a sequence of strings, got {type(args).__name__}")
    if input is not None:
        if stdin is not None:
            raise TypeError("run(): input and stdin exclude each other")
        stdin = as_bytes(input, text, encoding)
    if text:
        codecs.lookup(encoding)
    check_max_output(max_output, truncate)
    captured = None
    if capture_output:
        if stdout != "inherit" or stderr != "inherit":
            raise TypeError("run(): capture_output excludes stdout and stderr")
        stdout, stderr = captured = Capture(), Capture()
    module = program(source, engine, fuel=fuel, timeout=timeout, stack=stack, compile_timeout=compile_timeout)
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
        sockets=sockets,
    )
    done = CompletedRun(given, 0)
    limits = store_limits(memory, table_elements, fuel, timeout, stack)
    try:
        host = open_host(wasi, max_output, truncate)
        with Store(module.engine, wasi=host, **limits) as store:
            began = monotonic()
            try:
                done.returncode = start(module, store, memory)
            finally:
                measure(done, began, store, host)
    except (LimitError, Trap) as error:
        if captured is not None:
            error.stdout, error.stderr = (decoded(stream, text, encoding) for stream in captured)
        raise
    if captured is not None:
        done.stdout, done.stderr = (decoded(stream, text, encoding) for stream in captured)
    if check:
        done.check_returncode()
    return done


def check_max_output(max_output: int | None, truncate: bool) -> None:
    if max_output is None:
        if truncate:
            raise TypeError("run(): truncate=True needs max_output")
    elif not isinstance(max_output, int):
        raise TypeError(f"run(): max_output: expected an int or None, got {type(max_output).__name__}")
    elif max_output < 0:
        raise ValueError(f"run(): max_output: expected 0 or more, got {max_output}")


def store_limits(
    memory: int | None, table_elements: int | None, fuel: int | None, timeout: float | None, stack: int | None
) -> dict[str, Any]:
    """What a store is given that one program lives in."""
    limits = {"memory": memory, "table_elements": table_elements, "fuel": fuel, "timeout": timeout, "stack": stack}
    if memory is not None:
        limits.update(memories=1, tables=TABLES)
        if table_elements is None:
            limits["table_elements"] = max(operator.index(memory), 0) // (TABLES * ELEMENT)
    return limits


def open_host(wasi: Wasi, max_output: int | None, truncate: bool) -> WasiHost:
    """One program's view of the world."""
    host = wasi._open()
    if max_output is not None:
        host.limit_output(min(max_output, (1 << 63) - 1), truncate=truncate)
    return host


def measure(done: CompletedRun, began: float, store: Store, host: WasiHost) -> None:
    """Note what the program has used."""
    done.duration = monotonic() - began
    if "fuel" in store.engine.capabilities:
        done.fuel = store.fuel_used
    done.peak_memory = store.peak_memory
    done.memory_refused = store.memory_refused
    done.truncated = host.output_dropped


def decoded(stream: Capture, text: bool, encoding: str) -> bytes | str:
    return stream.data.decode(encoding, "replace") if text else bytes(stream.data)


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


def start(module: Module, store: Store, memory: int | None = None) -> int:
    """Run the program from its start to its end: its exit status."""
    types = {export.name: export.type for export in module.exports if export.kind == "func"}
    if "_start" not in types:
        names = ", ".join(types) or "none"
        raise LinkError(f"the module is no program: it exports no function _start; its functions: {names}")
    if types["_start"] != FuncType():
        raise LinkError(f"the module is no program: its function _start is {types['_start']}, not {FuncType()}")
    timeout, began = store.timeout, monotonic()
    try:
        instance = Instance(module, None, store)
        if timeout is not None:
            store.timeout = max(timeout - (monotonic() - began), 1e-6)  # one deadline for both calls
        instance.exports["_start"]()
    except Exit as ended:
        return ended.code
    except TimeoutExpired as error:
        error.args = (f"the program was stopped: its timeout of {timeout:g} s is over",)
        error.used, error.allowed = monotonic() - began, timeout
        raise
    except Trap as trap:
        # A program that aborts after it did not get its memory: that is what compilers make of it.
        if trap.code == "unreachable" and store.memory_refused:
            raise out_of_memory(store.memory_refused, memory) from trap
        raise
    return 0


def out_of_memory(wanted: int, allowed: int | None) -> MemoryLimitError:
    error = MemoryLimitError(f"the program stopped after {wanted:,} bytes of memory were refused to it")
    error.used, error.allowed = wanted, allowed
    return error

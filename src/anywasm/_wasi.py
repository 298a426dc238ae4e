# SPDX-License-Identifier: Apache-2.0
"""`anywasm.Wasi`: what a WASI program sees of the world. The host functions themselves are in C."""

from __future__ import annotations

import os
import sys
from codecs import getincrementaldecoder
from io import BytesIO, FileIO, IOBase, RawIOBase, TextIOBase

from ._core import WasiHost

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

    StrPath = str | os.PathLike[str]


MOST_MOUNTS = 1000  # a program has at most 1024 descriptors open


class Settings:
    """What does not change once it is made: one serves many stores."""

    __slots__ = ()

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__}: {name} cannot be set: make a new one")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__name__}: {name} cannot be deleted")

    def __setstate__(self, state: tuple[None, dict[str, object]]) -> None:  # copy and pickle
        self._set(**state[1])

    def _set(self, **values: object) -> None:
        for name, value in values.items():
            object.__setattr__(self, name, value)


class Mount(Settings):
    """A directory of the host's, for :class:`Wasi`'s *mounts*.

    path: the directory.
    writable: whether the program may change what is in it; by default it may only read.
    """

    __slots__ = ("path", "writable")
    path: str
    writable: bool

    def __init__(self, path: StrPath, *, writable: bool = False) -> None:
        self._set(path=os.fsdecode(path), writable=bool(writable))

    def __repr__(self) -> str:
        return f"Mount({self.path!r}{', writable=True' if self.writable else ''})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Mount) and (self.path, self.writable) == (other.path, other.writable)

    def __hash__(self) -> int:
        return hash((self.path, self.writable))


class Wasi(Settings):
    """What a WASI program sees of the world: nothing but what is given here. One serves any number of stores.

    args: the program's arguments, its own name first.
    env: its environment, by name.
    mounts: host directories by the path that the program knows them by, such as ``{"/data": "/srv/data"}``. A path
        mounts it read-only, ``Mount(path, writable=True)`` for writing. The program never gets out of a mount, whatever
        links it finds or makes.
    stdin: None is empty; "inherit" is the process's own; bytes are what the program reads; a path or an int is a file
        or descriptor; so is an open file; any other object gives what its ``read(n)`` (or ``read1(n)``) returns.
    stdout, stderr: None discards; "inherit" is the process's own; a path is a file to be written anew; an int or an
        open file is written to directly; any other object is written to with ``write(bytes)``, or, if it is a text
        stream, with ``write(str)``, decoded as UTF-8, and flushed. ``stderr="stdout"`` joins them.

    Files are opened when a store is made with this. What a stream raises comes out of the call that runs the program.
    Raises TypeError and ValueError for what cannot be any of these; OSError, when a store is made, for files that
    cannot be opened.
    """

    __slots__ = ("args", "env", "mounts", "stderr", "stdin", "stdout")
    args: tuple[str, ...]
    env: Mapping[str, str]
    mounts: Mapping[str, Mount]
    stdin: Any
    stdout: Any
    stderr: Any

    def __init__(
        self,
        args: Iterable[str | bytes | os.PathLike[str]] = (),
        env: Mapping[str, str] | None = None,
        mounts: Mapping[str, StrPath | Mount] | None = None,
        stdin: Any = None,
        stdout: Any = None,
        stderr: Any = None,
    ) -> None:
        if isinstance(args, (str, bytes)):
            raise TypeError("Wasi(): args: expected a sequence of arguments, got one string")
        given = {
            guest_path(guest): host if isinstance(host, Mount) else Mount(host)
            for guest, host in items(mounts, "mounts")
        }
        if len(given) > MOST_MOUNTS:
            raise ValueError(f"Wasi(): mounts: {len(given)} are too many, {MOST_MOUNTS} is the limit")
        joined = isinstance(stderr, str) and stderr == "stdout"
        self._set(
            args=tuple(text(argument, "args") for argument in args),
            env={name_of_variable(name): text(value, "env") for name, value in items(env, "env")},
            mounts=given,
            stdin=check_stream(stdin, "stdin", "read"),
            stdout=check_stream(stdout, "stdout", "write"),
            stderr=stderr if joined else check_stream(stderr, "stderr", "write"),
        )

    def __repr__(self) -> str:
        given = ((name, getattr(self, name)) for name in ("args", "env", "mounts", "stdin", "stdout", "stderr"))
        return f"Wasi({', '.join(f'{name}={value!r}' for name, value in given if value or value == b'')})"

    def _open(self, *, avoid_openat2: bool = False) -> WasiHost:
        """Open the files, and make the host of one store; it has descriptors of its own."""
        opened: list[int] = []
        finish: list[Callable[[], None]] = []
        try:
            stdin = open_input(self.stdin, opened)
            stdout = open_output(self.stdout, 1, opened, finish)
            same = self.stderr == "stdout" or (isinstance(self.stderr, os.PathLike) and self.stderr == self.stdout)
            stderr = stdout if same else open_output(self.stderr, 2, opened, finish)
            mounts = []
            for guest, mount in self.mounts.items():
                descriptor = os.open(mount.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
                opened.append(descriptor)
                mounts.append((os.fsencode(guest), descriptor, mount.writable))
            return WasiHost(
                [os.fsencode(argument) for argument in self.args],
                [os.fsencode(f"{name}={value}") for name, value in self.env.items()],
                (stdin, stdout, stderr),
                mounts,
                finish=(lambda: call_all(finish)) if finish else None,
                avoid_openat2=avoid_openat2,
            )
        finally:
            for descriptor in opened:
                os.close(descriptor)


def text(value: str | bytes | os.PathLike[str], where: str) -> str:
    try:
        result = os.fsdecode(value)
    except TypeError:
        raise TypeError(f"Wasi(): {where}: expected str or a path, got {type(value).__name__}") from None
    if "\0" in result:
        raise ValueError(f"Wasi(): {where}: {result!r} has a NUL character")
    return result


def items(mapping: Mapping[Any, Any] | None, where: str) -> Iterable[tuple[Any, Any]]:
    if mapping is None:
        return ()
    try:
        return mapping.items()
    except AttributeError:
        raise TypeError(f"Wasi(): {where}: expected a mapping, got {type(mapping).__name__}") from None


def guest_path(path: str) -> str:
    result = text(path, "mounts")
    if not result:
        raise ValueError("Wasi(): mounts: the guest's path is empty")
    return result


def name_of_variable(name: str) -> str:
    result = text(name, "env")
    if not result or "=" in result:
        raise ValueError(f"Wasi(): env: {result!r} is no name of a variable")
    return result


def check_stream(stream: Any, where: str, method: str) -> Any:
    if stream is None or isinstance(stream, os.PathLike):
        return stream
    if isinstance(stream, str):
        if stream in ("null", "inherit"):
            return None if stream == "null" else stream
        raise TypeError(
            f'Wasi(): {where}: expected None, "inherit", a path, a file or an object with {method}(), got the string '
            f"{stream!r} (a path is given as pathlib.Path({stream!r}))"
        )
    if isinstance(stream, (bytes, bytearray, memoryview)):
        if where == "stdin":
            return bytes(stream)
    elif isinstance(stream, int) and not isinstance(stream, bool):
        if stream < 0:
            raise ValueError(f"Wasi(): {where}: {stream} is no descriptor")
        return stream
    elif callable(getattr(stream, method, None)):
        usable = getattr(stream, f"{method[:4]}able", None)  # readable, writable
        if isinstance(stream, IOBase) and usable is not None and not usable():
            raise TypeError(
                f"Wasi(): {where}: {stream!r} is not open for {'reading' if method == 'read' else 'writing'}"
            )
        return stream
    kinds = "bytes, a path" if where == "stdin" else "a path"
    raise TypeError(
        f'Wasi(): {where}: expected None, "inherit", {kinds}, a file or an object with {method}(), '
        f"got {type(stream).__name__}"
    )


# --- opening the streams -------------------------------------------------------------------------------------------


def open_input(stream: Any, opened: list[int]) -> int | Callable[[int], bytes | None] | None:
    """What WasiHost takes for stdin."""
    if stream is None or isinstance(stream, int):
        return stream
    if stream == "inherit":
        return inherited(0)
    if isinstance(stream, bytes):
        return BytesIO(stream).read
    if isinstance(stream, os.PathLike):
        opened.append(os.open(stream, os.O_RDONLY | os.O_CLOEXEC))
        return opened[-1]
    descriptor = descriptor_of(stream)
    if descriptor is not None:
        go_to_position(stream, descriptor)
        return descriptor
    # read1 gives what is there; read of a buffered stream waits until it has as much as was asked for.
    read_some = getattr(stream, "read1", stream.read)

    def read(length: int) -> bytes | None:
        data = read_some(length)
        if isinstance(data, str):
            return data.encode("utf-8", "surrogateescape")
        return bytes(data) if isinstance(data, (bytearray, memoryview)) else data

    return read


def open_output(
    stream: Any, number: int, opened: list[int], finish: list[Callable[[], None]]
) -> int | Callable[[bytes], Any] | None:
    """What WasiHost takes for stdout or stderr; what is to be done in the end goes to *finish*."""
    if stream is None or isinstance(stream, int):
        return stream
    if stream == "inherit":
        own = sys.stdout if number == 1 else sys.stderr
        if descriptor_of(own) == number:
            flush(own)  # what was written before comes before
        return inherited(number)
    if isinstance(stream, os.PathLike):
        opened.append(os.open(stream, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666))
        return opened[-1]
    descriptor = descriptor_of(stream)
    if descriptor is not None:
        flush(stream)
        return descriptor
    if isinstance(stream, RawIOBase):
        return stream.write  # tells how much it took
    if not isinstance(stream, TextIOBase) and not hasattr(stream, "encoding"):

        def write(data: bytes) -> None:
            stream.write(data)
            flush(stream)

        return write

    decoder = getincrementaldecoder("utf-8")("replace")

    def write_text(data: bytes) -> None:
        if characters := decoder.decode(data):
            stream.write(characters)
            flush(stream)

    def write_rest() -> None:
        if characters := decoder.decode(b"", True):  # half a character at the very end
            stream.write(characters)
            flush(stream)

    finish.append(write_rest)
    return write_text


def inherited(number: int) -> int | None:
    """The process's own descriptor, or None if it has none: a daemon's streams may be closed."""
    try:
        os.fstat(number)
    except OSError:
        return None
    return number


def descriptor_of(stream: Any) -> int | None:
    """The descriptor of a file that is no more than that: one that compresses has one too, but writes other bytes."""
    inner = getattr(stream, "file", stream) if type(stream).__module__ == "tempfile" else stream
    if isinstance(inner, TextIOBase):
        inner = getattr(inner, "buffer", None)
    inner = getattr(inner, "raw", inner)
    if not isinstance(inner, FileIO):
        return None
    try:
        return inner.fileno()
    except (OSError, ValueError):
        return None


def go_to_position(stream: Any, descriptor: int) -> None:
    """A buffered file has read more than its user has: the program goes on where the user is."""
    try:
        if stream.seekable():
            if isinstance(stream, TextIOBase):
                stream.seek(stream.tell())
                stream = stream.buffer  # type: ignore[attr-defined]
            os.lseek(descriptor, stream.tell(), os.SEEK_SET)
    except (OSError, ValueError, AttributeError):
        pass


def flush(stream: Any) -> None:
    method = getattr(stream, "flush", None)
    if method is not None:
        method()


def call_all(callables: list[Callable[[], None]]) -> None:
    for function in callables:
        function()

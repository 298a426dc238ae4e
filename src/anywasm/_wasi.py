# SPDX-License-Identifier: Apache-2.0
"""`anywasm.Wasi`: what a WASI program sees of the world. The host functions themselves are in C."""

from __future__ import annotations

import os

from ._core import WasiHost

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

    StrPath = str | os.PathLike[str]


class Mount:
    """A directory of the host's, for :class:`Wasi`'s *mounts*.

    path: the directory.
    writable: whether the program may change what is in it; by default it may only read.
    """

    __slots__ = ("path", "writable")

    def __init__(self, path: StrPath, *, writable: bool = False) -> None:
        self.path = os.fspath(path)
        self.writable = bool(writable)

    def __repr__(self) -> str:
        return f"Mount({self.path!r}{', writable=True' if self.writable else ''})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Mount) and (self.path, self.writable) == (other.path, other.writable)

    def __hash__(self) -> int:
        return hash((self.path, self.writable))


class Wasi:
    """What a WASI program sees of the world: nothing but what is given here. One serves any number of stores.

    args: the program's arguments, its own name first.
    env: its environment, by name.
    mounts: host directories by the path that the program knows them by, such as ``{"/data": "/srv/data"}``. A path
        mounts it read-only, ``Mount(path, writable=True)`` for writing. The program never gets out of a mount, whatever
        links it finds or makes.
    stdin: None is empty; "inherit" is the process's own; bytes are what the program reads; a path or an int is a file
        or descriptor; so is a file object with a descriptor; any other object gives what its ``read(n)`` returns.
    stdout, stderr: None discards; "inherit" is the process's own; a path is a file to be written anew; an int or a file
        object with a descriptor is written to directly; any other object is written to with ``write(bytes)``, or, if
        it is a text stream, with ``write(str)``, decoded as UTF-8.

    Files are opened when a store is made with this. What a stream raises comes out of the call that runs the program.
    Raises TypeError and ValueError for what cannot be any of these; OSError, when a store is made, for files that cannot
    be opened.
    """

    __slots__ = ("args", "env", "mounts", "stderr", "stdin", "stdout")

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
        self.args = tuple(text(argument, "args") for argument in args)
        self.env = {name_of_variable(name): text(value, "env") for name, value in dict(env or {}).items()}
        self.mounts = {
            text(guest, "mounts"): host if isinstance(host, Mount) else Mount(host)
            for guest, host in dict(mounts or {}).items()
        }
        self.stdin = check_stream(stdin, "stdin", "read")
        self.stdout = check_stream(stdout, "stdout", "write")
        self.stderr = check_stream(stderr, "stderr", "write")

    def __repr__(self) -> str:
        given = ((name, getattr(self, name)) for name in ("args", "env", "mounts", "stdin", "stdout", "stderr"))
        return f"Wasi({', '.join(f'{name}={value!r}' for name, value in given if value or value == b'')})"

    def _open(self, *, avoid_openat2: bool = False) -> WasiHost:
        """Open the files, and make the host of one store; it has descriptors of its own."""
        opened: list[int] = []
        try:
            streams = (
                open_input(self.stdin, opened),
                open_output(self.stdout, 1, opened),
                open_output(self.stderr, 2, opened),
            )
            mounts = []
            for guest, mount in self.mounts.items():
                descriptor = os.open(mount.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
                opened.append(descriptor)
                mounts.append((os.fsencode(guest), descriptor, mount.writable))
            args = [os.fsencode(argument) for argument in self.args]
            env = [os.fsencode(f"{name}={value}") for name, value in self.env.items()]
            return WasiHost(args, env, streams, mounts, avoid_openat2=avoid_openat2)
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


def name_of_variable(name: str) -> str:
    result = text(name, "env")
    if not result or "=" in result:
        raise ValueError(f"Wasi(): env: {result!r} is no name of a variable")
    return result


def check_stream(stream: Any, where: str, method: str) -> Any:
    if stream is None or stream == "null":
        return None
    if isinstance(stream, str):
        if stream == "inherit":
            return stream
        raise TypeError(
            f'Wasi(): {where}: expected None, "inherit", a path, a file or an object with {method}(), got the string '
            f"{stream!r} (a path is given as pathlib.Path({stream!r}))"
        )
    if isinstance(stream, (bytes, bytearray, memoryview)):
        if where == "stdin":
            return bytes(stream)
    elif (
        (isinstance(stream, int) and not isinstance(stream, bool))
        or isinstance(stream, os.PathLike)
        or hasattr(stream, method)
    ):
        return stream
    kinds = "bytes, a path" if where == "stdin" else "a path"
    raise TypeError(
        f'Wasi(): {where}: expected None, "inherit", {kinds}, a file or an object with {method}(), '
        f"got {type(stream).__name__}"
    )


def descriptor_of(stream: Any) -> int | None:
    """The descriptor of a file object, where it has one."""
    try:
        descriptor = stream.fileno()
    except (AttributeError, OSError, ValueError):  # io.UnsupportedOperation is both of the latter
        return None
    return descriptor if isinstance(descriptor, int) else None


def open_input(stream: Any, opened: list[int]) -> int | Callable[[int], bytes] | None:
    if stream is None or isinstance(stream, int):
        return stream
    if stream == "inherit":
        return 0
    if isinstance(stream, bytes):
        from io import BytesIO

        return BytesIO(stream).read
    if isinstance(stream, os.PathLike):
        opened.append(os.open(stream, os.O_RDONLY | os.O_CLOEXEC))
        return opened[-1]
    descriptor = descriptor_of(stream)
    if descriptor is not None:
        return descriptor

    def read(length: int) -> bytes:
        data = stream.read(length)
        if isinstance(data, str):
            return data.encode("utf-8", "surrogateescape")
        return b"" if data is None else bytes(data)

    return read


def open_output(stream: Any, number: int, opened: list[int]) -> int | Callable[[bytes], Any] | None:
    if stream is None or isinstance(stream, int):
        return stream
    if stream == "inherit":
        import sys

        flush(sys.stdout if number == 1 else sys.stderr)
        return number
    if isinstance(stream, os.PathLike):
        opened.append(os.open(stream, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666))
        return opened[-1]
    descriptor = descriptor_of(stream)
    if descriptor is not None:
        flush(stream)  # what was written before comes before
        return descriptor
    if not is_text(stream):
        write: Callable[[bytes], Any] = stream.write
        return write

    from codecs import getincrementaldecoder

    decoder = getincrementaldecoder("utf-8")("replace")

    def write_text(data: bytes) -> None:
        stream.write(decoder.decode(data))

    return write_text


def is_text(stream: Any) -> bool:
    from io import TextIOBase

    return isinstance(stream, TextIOBase) or hasattr(stream, "encoding")


def flush(stream: Any) -> None:
    method = getattr(stream, "flush", None)
    if method is not None:
        method()

# SPDX-License-Identifier: Apache-2.0
"""Standard streams: what may be given as one, and how it is opened for a program."""

from __future__ import annotations

import os
import sys
from codecs import getincrementaldecoder
from io import BytesIO, FileIO, IOBase, RawIOBase, TextIOBase

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


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

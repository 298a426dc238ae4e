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


MOST_OF_A_LINE = 1 << 20  # characters: a longer one comes in pieces


def check_stream(stream: Any, where: str, method: str) -> Any:
    """What was given, if it can be a stream; else TypeError or ValueError."""
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
    elif isinstance(stream, type):
        raise TypeError(f"Wasi(): {where}: expected a stream, got the class {stream.__name__}: make one of it")
    elif callable(getattr(stream, method, None)):
        if is_coroutine_function(getattr(stream, method)):
            raise TypeError(
                f"Wasi(): {where}: {method}() of {type(stream).__name__} is a coroutine: nobody would await it"
            )
        check_open(stream, where)
        usable = getattr(stream, f"{method[:4]}able", None)  # readable, writable
        if isinstance(stream, IOBase) and usable is not None and not usable():
            raise TypeError(
                f"Wasi(): {where}: {stream!r} is not open for {'reading' if method == 'read' else 'writing'}"
            )
        return stream
    elif callable(stream):
        if is_coroutine_function(stream):
            raise TypeError(f"Wasi(): {where}: {stream!r} is a coroutine function: nobody would await it")
        return stream
    kinds = "bytes, a path" if where == "stdin" else "a path"
    raise TypeError(
        f'Wasi(): {where}: expected None, "inherit", {kinds}, a file, an object with {method}() or a callable, '
        f"got {type(stream).__name__}"
    )


def check_open(stream: Any, where: str) -> None:
    if getattr(stream, "closed", False) is True:
        raise ValueError(f"Wasi(): {where}: {stream!r} is closed")


def is_coroutine_function(function: Any) -> bool:
    code = getattr(function, "__code__", None)
    return code is not None and bool(code.co_flags & 0x280)  # CO_COROUTINE, CO_ASYNC_GENERATOR


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
    check_open(stream, "stdin")
    descriptor = descriptor_of(stream)
    if descriptor is not None:
        go_to_position(stream, descriptor)
        return descriptor
    if not hasattr(stream, "read"):
        return next_line(stream)
    # read1 gives what is there; read of a buffered stream waits until it has as much as was asked for.
    read_some = getattr(stream, "read1", stream.read)

    def read(length: int) -> bytes | None:
        data = read_some(length)
        if isinstance(data, str):
            return data.encode("utf-8", "surrogateescape")
        return bytes(data) if isinstance(data, (bytearray, memoryview)) else data

    return read


def next_line(function: Callable[[], Any]) -> Callable[[int], bytes]:
    """What reads by asking for line after line."""

    def read(_length: int) -> bytes:
        line = function()
        if isinstance(line, str):
            return line.encode("utf-8", "surrogateescape")
        if line is None or isinstance(line, (bytes, bytearray, memoryview)):
            return bytes(line or b"")
        raise TypeError(f"stdin: {function!r} returned {type(line).__name__}, not str or bytes")

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
    check_open(stream, "stdout" if number == 1 else "stderr")
    descriptor = descriptor_of(stream)
    if descriptor is not None:
        flush(stream)
        return descriptor
    if not hasattr(stream, "write"):
        return each_line(stream, finish)
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


def each_line(function: Callable[[str], object], finish: list[Callable[[], None]]) -> Callable[[bytes], None]:
    """What calls with line after line; the last one, if it does not end, in the end."""
    decoder = getincrementaldecoder("utf-8")("replace")
    pieces: list[str] = []  # of the line that has not ended yet
    size = 0

    def write(data: bytes, final: bool = False) -> None:
        nonlocal size
        *ended, rest = decoder.decode(data, final).split("\n")
        for end in ended:
            pieces.append(end)
            line = "".join(pieces)
            pieces.clear()
            size = 0
            function(line)
        while size + len(rest) > MOST_OF_A_LINE:
            cut = MOST_OF_A_LINE - size
            whole = "".join((*pieces, rest[:cut]))
            pieces.clear()
            size, rest = 0, rest[cut:]
            function(whole)
        if rest:
            pieces.append(rest)
            size += len(rest)

    def write_rest() -> None:
        write(b"", True)
        if pieces:
            line = "".join(pieces)
            pieces.clear()
            function(line)

    finish.append(write_rest)
    return write


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

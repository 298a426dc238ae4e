# SPDX-License-Identifier: Apache-2.0
"""Streams beyond those in test_wasi.py: callables for lines, mistakes, and more bytes than memory."""

import asyncio
import io
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import anywasm
import wasi_programs
from wasi_guest import Guest

MakeGuest = Callable[..., Guest]


@pytest.fixture
def guest_of(engine: anywasm.Engine) -> MakeGuest:
    return lambda **settings: Guest(engine, anywasm.Wasi(**settings))


# --- a callable for lines -----------------------------------------------------------------------------------------


def test_a_callable_gets_each_line(guest_of: MakeGuest) -> None:
    lines: list[str] = []
    guest = guest_of(stdout=lines.append)
    assert guest.write(1, b"one\ntw") == 6
    assert lines == ["one"]
    guest.write(1, b"o\n\nth")
    guest.write(1, b"re")
    assert lines == ["one", "two", ""]
    guest.write(1, b"e\r\nfour")
    assert lines == ["one", "two", "", "three\r"]
    guest.store.close()
    assert lines == ["one", "two", "", "three\r", "four"]


def test_a_callable_gets_no_line_where_there_is_none(guest_of: MakeGuest) -> None:
    lines: list[str] = []
    guest_of(stdout=lines.append).store.close()
    guest = guest_of(stdout=lines.append)
    guest.write(1, b"")
    guest.store.close()
    assert lines == []


def test_a_character_that_comes_in_pieces_is_one(guest_of: MakeGuest) -> None:
    lines: list[str] = []
    guest = guest_of(stdout=lines.append)
    for byte in "ä😀\nö".encode() + b"\xff\n\xc3":
        guest.write(1, bytes([byte]))
    guest.store.close()
    assert lines == ["ä😀", "ö\ufffd", "\ufffd"]


def test_a_line_without_an_end_comes_in_pieces(guest_of: MakeGuest) -> None:
    lines: list[str] = []
    guest = guest_of(stdout=lines.append)
    for _ in range(35):
        guest.write(1, b"x" * 65536)
    assert [len(line) for line in lines] == [1 << 20] * 2
    guest.write(1, b"\n")
    assert [len(line) for line in lines] == [1 << 20, 1 << 20, 3 << 16]


def test_both_streams_may_share_a_callable(guest_of: MakeGuest) -> None:
    lines: list[str] = []
    guest = guest_of(stdout=lines.append, stderr="stdout")
    guest.write(1, b"one ")
    guest.write(2, b"line\n")
    assert lines == ["one line"]
    lines.clear()
    guest = guest_of(stdout=lines.append, stderr=lambda line: lines.append(f"error: {line}"))
    guest.write(1, b"one ")
    guest.write(2, b"line\n")
    guest.store.close()
    assert lines == ["error: line", "one "]


def test_what_a_callable_raises_comes_out(guest_of: MakeGuest) -> None:
    error = ValueError("not this line")

    def each(line: str) -> None:
        if line == "bad":
            raise error

    guest = guest_of(stdout=each)
    guest.write(1, b"good\nba")
    with pytest.raises(ValueError) as caught:
        guest.write(1, b"d\nmore")
    assert caught.value is error
    guest.write(1, b"good\nbad")
    with pytest.raises(ValueError) as caught:
        guest.store.close()
    assert caught.value is error


def test_a_callable_gives_each_line(guest_of: MakeGuest) -> None:
    given = iter(["one\n", b"two\n", bytearray(b"three"), "ä", ""])
    guest = guest_of(stdin=lambda: next(given))
    assert [guest.read(0) for _ in range(5)] == [b"one\n", b"two\n", b"three", "ä".encode(), b""]
    endings = iter(["first\n", None])
    guest = guest_of(stdin=lambda: next(endings))
    assert [guest.read(0, 3), guest.read(0), guest.read(0)] == [b"fir", b"st\n", b""]


def test_what_a_callable_gives_is_checked(guest_of: MakeGuest) -> None:
    with pytest.raises(TypeError, match=r"stdin: <function .*> returned int, not str or bytes"):
        guest_of(stdin=lambda: 5).read(0)
    with pytest.raises(ZeroDivisionError):
        guest_of(stdin=lambda: 1 // 0).read(0)


def test_a_program_talks_with_callables(engine: anywasm.Engine, wat: Callable[[str], bytes]) -> None:
    questions, answers = iter(["a\n", "b\n", ""]), []

    def answer(line: str) -> None:
        answers.append(line)

    anywasm.run(anywasm.Module(wat(wasi_programs.CAT), engine), stdin=questions.__next__, stdout=answer)
    assert answers == ["a", "b"]


def test_what_is_left_of_a_line_comes_after_a_failure_too(
    engine: anywasm.Engine, compile_c: Callable[..., Path]
) -> None:
    source = '#include <stdio.h>\nint main(void) { printf("half a line"); fflush(stdout); __builtin_trap(); }'
    lines: list[str] = []
    with pytest.raises(anywasm.Trap):
        anywasm.run(anywasm.Module(compile_c(source), engine), stdout=lines.append)
    assert lines == ["half a line"]


# --- mistakes -----------------------------------------------------------------------------------------------------


class Reader:
    async def read(self, size: int) -> bytes:
        return b""


class Writer:
    async def write(self, data: bytes) -> None: ...


async def each_line(line: str) -> None: ...


def closed_file() -> Any:
    file = io.BytesIO()
    file.close()
    return file


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"stdin": io.BytesIO}, TypeError, "stdin: expected a stream, got the class BytesIO: make one of it"),
        ({"stdout": io.StringIO}, TypeError, "stdout: expected a stream, got the class StringIO"),
        ({"stdin": Reader()}, TypeError, r"stdin: read\(\) of Reader is a coroutine: nobody would await it"),
        ({"stdout": Writer()}, TypeError, r"stdout: write\(\) of Writer is a coroutine: nobody would await it"),
        ({"stderr": each_line}, TypeError, "stderr: <function each_line.*> is a coroutine function"),
        ({"stdin": closed_file()}, ValueError, "stdin: .* is closed"),
        ({"stdout": closed_file()}, ValueError, "stdout: .* is closed"),
        ({"stdin": io.StringIO().write}, None, ""),  # a callable, whatever it gives
        ({"stdout": ["list"]}, TypeError, "stdout: expected None, .* or a callable, got list"),
        ({"stdin": iter([b"a"])}, TypeError, "stdin: .* or a callable, got list_iterator"),
        ({"stdout": subprocess.PIPE}, ValueError, "stdout: -1 is no descriptor"),
        ({"stdout": subprocess.DEVNULL}, ValueError, "stdout: -3 is no descriptor"),
    ],
)
def test_what_cannot_be_a_stream_is_told(settings: dict[str, Any], error: type[Exception] | None, message: str) -> None:
    if error is None:
        anywasm.Wasi(**settings)
        return
    with pytest.raises(error, match=message):
        anywasm.Wasi(**settings)


def test_a_file_that_is_closed_by_then_is_told(engine: anywasm.Engine, tmp_path: Path) -> None:
    for mode, name in (("wb", "stdout"), ("rb", "stdin")):
        with open(tmp_path / "file", mode) as file:
            settings = anywasm.Wasi(**{name: file})
        with pytest.raises(ValueError, match="closed"):
            anywasm.Store(engine, wasi=settings)


def test_a_socket_is_no_stream_by_itself(engine: anywasm.Engine) -> None:
    one, other = socket.socketpair()
    with one, other:
        with pytest.raises(TypeError, match=r"stdin: expected .* or a callable, got socket"):
            anywasm.Wasi(stdin=one)
        with one.makefile("rb") as file:
            other.sendall(b"hello")
            assert Guest(engine, anywasm.Wasi(stdin=file)).read(0, 5) == b"hello"


def test_asyncio_programs_run_guests_in_threads(engine: anywasm.Engine, wat: Callable[[str], bytes]) -> None:
    module = anywasm.Module(wat(wasi_programs.CAT), engine)

    async def main() -> bytes:
        done = await asyncio.to_thread(anywasm.run, module, input=b"hello", capture_output=True)
        return bytes(done.stdout)

    assert asyncio.run(main()) == b"hello"


# --- gigabytes ----------------------------------------------------------------------------------------------------

MEGABYTE = 1 << 20
ROOM = 24 * MEGABYTE  # what a process may grow by, whatever streams through it

# Streams so many megabytes through a program, from and to what is named, and tells by how much its memory grew.
STREAM = """
import hashlib, io, os, resource, sys, threading
import anywasm

engine, program, kind, megabytes, folder = sys.argv[1:]
block = os.urandom(1 << 16) * 16
total = int(megabytes)
module = anywasm.Module(program, anywasm.Engine(engine))

class Source:
    left = total
    def read(self, size):
        if self.left == 0:
            return b""
        self.left -= 1
        return block

class Sink:
    def __init__(self):
        self.size, self.digest = 0, hashlib.sha256()
    def write(self, data):
        self.size += len(data)
        self.digest.update(data)

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

expected = hashlib.sha256()
for _ in range(total):
    expected.update(block)
sink, threads, settings = Sink(), [], {}
if kind == "files":
    with open(f"{folder}/in", "wb") as file:
        for _ in range(total):
            file.write(block)
    import pathlib
    settings = {"stdin": pathlib.Path(f"{folder}/in"), "stdout": pathlib.Path(f"{folder}/out")}
elif kind == "pipes":
    (input_read, input_write), (output_read, output_write) = os.pipe(), os.pipe()
    def feed():
        for _ in range(total):
            os.write(input_write, block)
        os.close(input_write)
    def take():
        while data := os.read(output_read, 1 << 16):
            sink.write(data)
    threads = [threading.Thread(target=feed), threading.Thread(target=take)]
    settings = {"stdin": input_read, "stdout": output_write}
elif kind == "objects":
    settings = {"stdin": Source(), "stdout": sink}
elif kind == "lines":
    block = b"x" * 1023 + b"\\n"
    left = [total * 1024]
    def line():
        left[0] -= 1
        return block * 1 if left[0] >= 0 else b""
    expected = hashlib.sha256()
    for _ in range(total * 1024):
        expected.update(block)
    settings = {"stdin": line, "stdout": lambda line: sink.write(line.encode() + b"\\n")}

anywasm.run(module, input=block, capture_output=True)  # everything is loaded
before = peak()
for thread in threads:
    thread.start()
anywasm.run(module, **settings)
if kind == "pipes":
    os.close(output_write)
    for thread in threads:
        thread.join()
grown = peak() - before
if kind == "files":
    with open(f"{folder}/out", "rb") as file:
        while data := file.read(1 << 20):
            sink.write(data)
assert sink.digest.digest() == expected.digest(), sink.size
print(grown)
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["files", "pipes", "objects", "lines"])
def test_more_than_fits_streams_through(
    engine: anywasm.Engine, wat: Callable[[str], bytes], tmp_path: Path, kind: str
) -> None:
    program = tmp_path / "cat.wasm"
    program.write_bytes(wat(wasi_programs.CAT))
    megabytes = (400 if engine.name == "wasmtime" else 100) // (4 if kind == "lines" else 1)
    done = subprocess.run(
        [sys.executable, "-c", STREAM, engine.name, program, kind, str(megabytes), tmp_path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < ROOM

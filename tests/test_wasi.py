# SPDX-License-Identifier: Apache-2.0
"""What a WASI program sees besides its files: arguments, streams, clocks; and how anywasm.Wasi says what it sees."""

import contextlib
import copy
import gzip
import io
import os
import pickle
import random
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import anywasm
import toolchain
from wasi_guest import (
    CHARACTER_TYPE,
    CREAT,
    DATA,
    ERRNO,
    FUNCTIONS,
    NONBLOCK,
    OUT,
    READ,
    SIZE,
    WRITE,
    Failed,
    Guest,
)

MakeGuest = Callable[..., Guest]


@pytest.fixture
def guest_of(engine: anywasm.Engine) -> MakeGuest:
    """guest_of(stdin=…, …): a guest with these settings of Wasi."""
    return lambda **settings: Guest(engine, anywasm.Wasi(**settings))


@pytest.fixture
def guest(guest_of: MakeGuest) -> Guest:
    return guest_of()


@pytest.fixture
def work(engine: anywasm.Engine, tmp_path: Path) -> Guest:
    """A guest with a writable mount, its descriptor 3, which has `file` in it."""
    (tmp_path / "file").write_text("0123456789")
    return Guest(engine, anywasm.Wasi(mounts={"/": anywasm.wasi.Directory(tmp_path)}))


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe()
    yield reading, writing
    for descriptor in (reading, writing):
        with contextlib.suppress(OSError):
            os.close(descriptor)


def error_of(function: Callable[..., object], *arguments: object, **keywords: object) -> str:
    with pytest.raises(Failed) as caught:
        function(*arguments, **keywords)
    return str(caught.value)


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def texts(guest: Guest, name: str) -> list[bytes]:
    guest.call(f"{name}_sizes_get", OUT, OUT + 4)
    count, size = guest.number(OUT), guest.number(OUT + 4)
    guest.call(f"{name}_get", OUT + 8, DATA)
    data = guest.memory.read(DATA, size)
    found = [data[guest.number(OUT + 8 + 4 * index) - DATA :].partition(b"\0")[0] for index in range(count)]
    assert sum(map(len, found)) + count == size
    return found


# --- the functions -------------------------------------------------------------------------------------------------


def test_every_function_of_preview_1_is_there(guest: Guest) -> None:
    assert len(FUNCTIONS) == 46
    assert set(guest.exports) == {*FUNCTIONS, "memory"}


def test_a_function_of_another_type_is_a_link_error(engine: anywasm.Engine, wat: Callable[[str], bytes]) -> None:
    module = anywasm.Module(wat('(module (import "wasi_snapshot_preview1" "fd_close" (func (param i64))))'), engine)
    with pytest.raises(anywasm.LinkError, match="fd_close"):
        anywasm.Instance(module, None, anywasm.Store(engine, wasi=anywasm.Wasi()))


def test_a_function_that_is_none_is_a_link_error(engine: anywasm.Engine, wat: Callable[[str], bytes]) -> None:
    module = anywasm.Module(wat('(module (import "wasi_snapshot_preview1" "fd_open" (func)))'), engine)
    with pytest.raises(anywasm.LinkError, match="fd_open"):
        anywasm.Instance(module, None, anywasm.Store(engine, wasi=anywasm.Wasi()))


def test_a_guest_without_a_memory_gets_a_fault(engine: anywasm.Engine, wat: Callable[[str], bytes]) -> None:
    text = """(module (import "wasi_snapshot_preview1" "random_get" (func $f (param i32 i32) (result i32)))
      (func (export "f") (result i32) (call $f (i32.const 0) (i32.const 4))))"""
    store = anywasm.Store(engine, wasi=anywasm.Wasi())
    assert ERRNO[anywasm.Instance(anywasm.Module(wat(text), engine), None, store).exports.f()] == "FAULT"


def test_hostile_numbers_never_crash(engine: anywasm.Engine, tmp_path: Path) -> None:
    numbers = [
        0,
        1,
        2,
        3,
        4,
        7,
        8,
        64,
        1023,
        OUT,
        DATA,
        SIZE - 8,
        SIZE - 1,
        SIZE,
        2**31 - 1,
        2**31,
        2**32 - 8,
        2**32 - 1,
    ]
    wide = [0, 1, 2**31, 2**32, 2**62, 2**63 - 1, 2**63, 2**64 - 1]
    chance = random.Random(1)
    names = sorted(set(FUNCTIONS) - {"proc_exit", "proc_raise", "poll_oneoff"})
    guest = Guest(engine, anywasm.Wasi(["a"], {"b": "c"}, mounts={"/": anywasm.wasi.Directory(tmp_path)}))
    for _ in range(5000):
        name = chance.choice(names)
        arguments = [chance.choice(numbers if letter == "i" else wide) for letter in FUNCTIONS[name]]
        if name == "fd_allocate" or name == "fd_filestat_set_size":
            arguments[1:] = [argument & 0xFFFF | 2**63 for argument in arguments[1:]]
        assert 0 <= guest.exports[name](*arguments) <= 76


@pytest.mark.parametrize("name", sorted(set(FUNCTIONS) - {"proc_exit", "proc_raise", "sched_yield"}))
def test_pointers_outside_the_memory_are_faults(work: Guest, name: str) -> None:
    """All numbers are the highest there are: a fault, or an error that comes before it."""
    arguments = [2**32 - 1 if letter == "i" else 2**64 - 1 for letter in FUNCTIONS[name]]
    assert work.errno(name, *arguments) in ("FAULT", "BADF", "INVAL", "NOMEM")


# --- arguments and environment -------------------------------------------------------------------------------------


def test_a_program_gets_its_arguments(guest_of: MakeGuest) -> None:
    guest = guest_of(args=["program", "", "ä\U0001f600", b"bytes", Path("a/b")])
    assert texts(guest, "args") == [b"program", b"", "ä\U0001f600".encode(), b"bytes", b"a/b"]


def test_a_program_gets_its_environment(guest_of: MakeGuest) -> None:
    assert texts(guest_of(env={"A": "1", "EMPTY": "", "ß": "="}), "environ") == [b"A=1", b"EMPTY=", "ß==".encode()]


def test_a_program_has_no_arguments_and_no_environment_unless_given(guest: Guest) -> None:
    assert texts(guest, "args") == []
    assert texts(guest, "environ") == []


def test_arguments_beyond_the_memory_are_a_fault(guest_of: MakeGuest) -> None:
    guest = guest_of(args=["x" * 1000])
    assert guest.errno("args_get", OUT, SIZE - 10) == "FAULT"
    assert guest.errno("args_get", SIZE - 2, OUT) == "FAULT"
    assert guest.errno("args_sizes_get", SIZE - 2, OUT) == "FAULT"


# --- positions, sizes --------------------------------------------------------------------------------------------


def test_positions_are_absolute_relative_and_from_the_end(work: Guest) -> None:
    fd = work.open("file")
    assert work.seek(fd, 4) == 4
    assert work.read(fd, 2) == b"45"
    assert work.seek(fd, -1, 1) == 5
    assert work.seek(fd, -2, 2) == 8
    assert work.read(fd) == b"89"
    work.call("fd_tell", fd, OUT)
    assert work.number(OUT, 8) == 10


@pytest.mark.parametrize(("offset", "whence"), [(-1, 0), (-11, 2), (0, 3), (-(2**63), 1)])
def test_a_position_that_is_none_is_refused(work: Guest, offset: int, whence: int) -> None:
    assert error_of(work.seek, work.open("file"), offset, whence) == "INVAL"


def test_reading_and_writing_at_a_place_leaves_the_position(work: Guest, tmp_path: Path) -> None:
    fd = work.open("file", 0, READ | WRITE)
    work.seek(fd, 3)
    work.call("fd_pread", fd, *work.vector(DATA, 2), 7, OUT)
    assert work.memory.read(DATA, 2) == b"78"
    work.call("fd_pwrite", fd, *work.vector(*work.put(DATA, "X")), 9, OUT)
    assert work.seek(fd, 0, 1) == 3
    assert (tmp_path / "file").read_text() == "012345678X"
    assert work.errno("fd_pread", fd, *work.vector(DATA, 2), -1, OUT) == "INVAL"


def test_reading_at_the_end_gives_nothing(work: Guest) -> None:
    fd = work.open("file")
    work.seek(fd, 100)
    assert work.read(fd) == b""


def test_several_vectors_are_filled_in_turn(work: Guest) -> None:
    fd = work.open("file")
    vectors = struct.pack("<8I", DATA, 3, DATA + 100, 0, DATA + 200, 4, DATA + 300, 100)
    work.call("fd_read", fd, *(work.put(OUT + 64, vectors)[0], 4), OUT)
    assert work.number(OUT) == 10
    assert [work.memory.read(DATA + 100 * place, 4) for place in (0, 2, 3)] == [b"012\0", b"3456", b"789\0"]


def test_more_vectors_than_a_host_takes_are_a_shorter_read(work: Guest) -> None:
    fd = work.open("file", 0, READ | WRITE)
    work.memory.write(DATA, struct.pack("<II", OUT, 1) * 2000)
    work.call("fd_write", fd, DATA, 2000, OUT)
    assert work.number(OUT) == 1024


@pytest.mark.parametrize("vector", [(SIZE - 4, 8), (0, 2**32 - 1), (2**32 - 1, 2**32 - 1), (SIZE + 1, 0)])
def test_a_vector_outside_the_memory_is_a_fault(work: Guest, vector: tuple[int, int]) -> None:
    fd = work.open("file", 0, READ | WRITE)
    assert work.errno("fd_read", fd, *work.vector(*vector), OUT) == "FAULT"
    assert work.errno("fd_write", fd, *work.vector(*vector), OUT) == "FAULT"
    assert work.errno("fd_write", 1, *work.vector(*vector), OUT) == "FAULT"


def test_vectors_outside_the_memory_are_a_fault(work: Guest) -> None:
    assert work.errno("fd_write", 1, SIZE - 4, 1, OUT) == "FAULT"
    assert work.errno("fd_write", 1, DATA, 2**32 - 1, OUT) == "FAULT"
    assert work.errno("fd_read", 0, DATA, 1, SIZE - 2) == "FAULT"


def test_a_file_is_cut_and_stretched(work: Guest, tmp_path: Path) -> None:
    fd = work.open("file", 0, READ | WRITE)
    work.call("fd_filestat_set_size", fd, 4)
    assert (tmp_path / "file").read_bytes() == b"0123"
    work.call("fd_filestat_set_size", fd, 6)
    assert (tmp_path / "file").read_bytes() == b"0123\0\0"
    assert work.errno("fd_filestat_set_size", fd, -1) == "INVAL"
    work.call("fd_allocate", fd, 0, 100)
    assert (tmp_path / "file").stat().st_size == 100
    assert work.errno("fd_allocate", fd, 0, 0) == "INVAL"


def test_a_file_is_synchronised_and_advised_upon(work: Guest) -> None:
    fd = work.open("file", 0, READ | WRITE)
    assert work.errno("fd_sync", fd) == work.errno("fd_datasync", fd) == work.errno("fd_sync", 3) == "OK"
    assert work.errno("fd_advise", fd, 0, 10, 4) == "OK"
    assert work.errno("fd_advise", fd, 0, 10, 6) == "INVAL"
    assert work.errno("fd_advise", 3, 0, 10, 1) == "BADF"


def test_an_open_files_times_are_set(work: Guest, tmp_path: Path) -> None:
    work.call("fd_filestat_set_times", work.open("file", 0, READ | WRITE), 1000, 2000, 1 | 4)
    assert (tmp_path / "file").stat().st_mtime_ns == 2000


def test_appending_is_switched_on_and_off(work: Guest, tmp_path: Path) -> None:
    fd = work.open("file", 0, READ | WRITE)
    work.call("fd_fdstat_set_flags", fd, 1)
    assert work.fdstat(fd)[1] == 1
    work.write(fd, b"A")
    work.call("fd_fdstat_set_flags", fd, 0)
    work.seek(fd, 0)
    work.write(fd, b"B")
    assert (tmp_path / "file").read_text() == "B123456789A"
    assert work.errno("fd_fdstat_set_flags", fd, 64) == "INVAL"


# --- the table of descriptors ------------------------------------------------------------------------------------


@pytest.mark.parametrize("fd", [3, 1000, 2**31, 2**32 - 1])
def test_a_number_that_is_not_open_is_told(guest: Guest, fd: int) -> None:
    for name, letters in FUNCTIONS.items():
        if name.startswith(("fd_", "sock_")):
            arguments = [0] * (len(letters) - 1)
            assert guest.errno(name, fd, *arguments) == "BADF", name


def test_a_closed_number_is_given_out_again(work: Guest) -> None:
    assert [work.open("file"), work.open("file")] == [4, 5]
    work.close(4)
    assert error_of(work.read, 4) == "BADF"
    assert error_of(work.close, 4) == "BADF"
    assert work.open("file") == 4


def test_renumbering_moves_a_descriptor(work: Guest) -> None:
    one, two = work.open("file"), work.open("file")
    work.seek(one, 5)
    work.call("fd_renumber", one, two)
    assert work.read(two) == b"56789"
    assert error_of(work.read, one) == "BADF"
    work.call("fd_renumber", two, two)
    assert work.seek(two, 0) == 0
    assert work.errno("fd_renumber", two, 99) == "BADF"


def test_standard_output_can_be_renumbered_to_a_file(work: Guest, tmp_path: Path) -> None:
    work.call("fd_renumber", work.open("out", CREAT, WRITE), 1)
    work.write(1, b"redirected")
    assert (tmp_path / "out").read_bytes() == b"redirected"


def test_the_number_of_open_files_is_limited(work: Guest) -> None:
    opened = 0
    with pytest.raises(Failed, match="MFILE"):
        while opened < 2000:
            work.open("file")
            opened += 1
    assert opened <= 1020
    before = open_descriptors()
    work.store.close()
    assert open_descriptors() <= before - opened


def test_closing_the_store_closes_its_files_and_leaves_the_users(engine: anywasm.Engine, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (tmp_path / "out").open("wb") as stdout:
        before = open_descriptors()
        for _ in range(3):
            guest = Guest(engine, anywasm.Wasi(mounts={"/": tmp_path}, stdin=0, stdout=stdout, stderr=tmp_path / "log"))
            guest.open("file")
            guest.write(1, b"x")
            guest.store.close()
        assert open_descriptors() == before
        stdout.write(b"y")
    assert (tmp_path / "out").read_bytes() == b"xxxy"


# --- stdin -------------------------------------------------------------------------------------------------------


def read_all(guest: Guest, length: int = 4096) -> bytes:
    data = b""
    while got := guest.read(0, length):
        data += got
    return data


class Chunks:
    """Gives what it was made of, piece by piece, whatever length is asked for."""

    def __init__(self, *pieces: Any) -> None:
        self.pieces = list(pieces)

    def read(self, length: int) -> Any:
        return self.pieces.pop(0) if self.pieces else b""


def test_stdin_is_at_its_end_unless_given(guest: Guest) -> None:
    assert read_all(guest) == b""


@pytest.mark.parametrize("length", [1, 3, 4096])
@pytest.mark.parametrize(
    "make",
    [
        lambda: b"some bytes",
        lambda: bytearray(b"some bytes"),
        lambda: io.BytesIO(b"some bytes"),
        lambda: io.StringIO("some bytes"),
        lambda: io.BufferedReader(io.BytesIO(b"some bytes")),  # type: ignore[type-var]
        lambda: Chunks(b"some", " by", bytearray(b"te"), memoryview(b"s")),
        lambda: Chunks(b"some bytes"),
    ],
    ids=["bytes", "bytearray", "BytesIO", "StringIO", "BufferedReader", "chunks", "more than asked for"],
)
def test_stdin_is_any_object_with_read(guest_of: MakeGuest, make: Callable[[], Any], length: int) -> None:
    assert read_all(guest_of(stdin=make()), length) == b"some bytes"


def test_stdin_is_a_path(guest_of: MakeGuest, tmp_path: Path) -> None:
    (tmp_path / "in").write_text("from a path")
    assert read_all(guest_of(stdin=tmp_path / "in")) == b"from a path"


def test_stdin_is_a_descriptor(guest_of: MakeGuest, pipe: tuple[int, int]) -> None:
    os.write(pipe[1], b"from a pipe")
    os.close(pipe[1])
    assert read_all(guest_of(stdin=pipe[0])) == b"from a pipe"


@pytest.mark.parametrize("mode", ["rb", "r", "r+b"])
def test_stdin_is_an_open_file_read_from_where_its_user_is(guest_of: MakeGuest, tmp_path: Path, mode: str) -> None:
    (tmp_path / "in").write_text("first\nsecond\n")
    with (tmp_path / "in").open(mode) as file:
        file.readline()
        assert read_all(guest_of(stdin=file)) == b"second\n"


def test_stdin_decompresses_where_python_does(guest_of: MakeGuest, tmp_path: Path) -> None:
    with gzip.open(tmp_path / "in.gz", "wb") as file:
        file.write(b"compressed")
    with gzip.open(tmp_path / "in.gz", "rb") as file:
        assert read_all(guest_of(stdin=file)) == b"compressed"


def test_text_beyond_ascii_is_utf8(guest_of: MakeGuest) -> None:
    assert read_all(guest_of(stdin=io.StringIO("ä\U0001f600")), 1) == "ä\U0001f600".encode()


def test_what_read_raises_comes_out(guest_of: MakeGuest) -> None:
    class Broken:
        def read(self, length: int) -> bytes:
            raise ZeroDivisionError("broken")

    with pytest.raises(ZeroDivisionError, match="broken"):
        guest_of(stdin=Broken()).read(0)


def test_what_read_returns_is_checked(guest_of: MakeGuest) -> None:
    with pytest.raises(TypeError, match=r"stdin: read\(\) returned int, not bytes"):
        guest_of(stdin=Chunks(5)).read(0)


def test_a_read_that_has_nothing_yet_says_so(guest_of: MakeGuest) -> None:
    guest = guest_of(stdin=Chunks(None, b"later"))
    assert error_of(guest.read, 0) == "AGAIN"
    assert guest.read(0) == b"later"


def test_a_read_may_call_the_guest_and_grow_its_memory(guest_of: MakeGuest) -> None:
    class Nested:
        def read(self, length: int) -> bytes:
            guest.memory.grow(10)
            guest.write(1, b"nested")
            guest.close(0)
            return b"data"

    sink = io.BytesIO()
    guest = guest_of(stdin=Nested(), stdout=sink)
    guest.call("fd_read", 0, *guest.vector(DATA + 100, 10), OUT + 32)
    assert guest.memory.read(DATA + 100, 4) == b"data"
    assert sink.getvalue() == b"nested"
    assert error_of(guest.read, 0) == "BADF"


def test_reading_a_pipe_waits_for_its_writer(guest_of: MakeGuest, pipe: tuple[int, int]) -> None:
    timer = threading.Timer(0.2, os.write, (pipe[1], b"late"))
    timer.start()
    assert guest_of(stdin=pipe[0]).read(0) == b"late"
    timer.join()


def test_a_pipe_that_does_not_wait_says_so(guest_of: MakeGuest, pipe: tuple[int, int]) -> None:
    guest = guest_of(stdin=pipe[0])
    guest.call("fd_fdstat_set_flags", 0, NONBLOCK)
    assert guest.fdstat(0)[1] == NONBLOCK
    assert error_of(guest.read, 0) == "AGAIN"
    assert os.get_blocking(pipe[0])  # the user's own stays as it was


def test_a_pipe_of_the_users_that_does_not_wait_waits_for_the_guest(guest_of: MakeGuest, pipe: tuple[int, int]) -> None:
    os.set_blocking(pipe[0], False)
    timer = threading.Timer(0.2, os.write, (pipe[1], b"late"))
    timer.start()
    assert guest_of(stdin=pipe[0]).read(0) == b"late"
    timer.join()


# --- stdout and stderr -----------------------------------------------------------------------------------------


def test_output_vanishes_unless_given(guest: Guest) -> None:
    assert guest.write(1, b"gone") == 4
    assert guest.fdstat(1)[0] == CHARACTER_TYPE


def test_output_goes_to_any_object_with_write(guest_of: MakeGuest) -> None:
    class Writer:
        def write(self, data: object) -> None:
            got.append(data)

    got: list[object] = []
    out, text = io.BytesIO(), io.StringIO()
    guest = guest_of(stdout=out, stderr=text)
    guest.write(1, b"\xff\0bytes")
    guest.write(2, "tä".encode())
    assert (out.getvalue(), text.getvalue()) == (b"\xff\0bytes", "tä")
    guest_of(stdout=Writer()).write(1, b"plain")
    assert got == [b"plain"]


def test_a_character_that_is_written_in_pieces_is_one(guest_of: MakeGuest) -> None:
    text = io.StringIO()
    guest = guest_of(stdout=text)
    for byte in "€".encode():
        guest.write(1, bytes([byte]))
    guest.write(1, b"\xff\xe2\x82")
    assert text.getvalue() == "€\ufffd"
    guest.store.close()
    assert text.getvalue() == "€\ufffd\ufffd"


def test_output_goes_to_a_path(guest_of: MakeGuest, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("something longer that was there")
    guest_of(stdout=tmp_path / "out").write(1, b"new")
    assert (tmp_path / "out").read_bytes() == b"new"


def test_one_path_for_both_outputs_is_one_file(guest_of: MakeGuest, tmp_path: Path) -> None:
    guest = guest_of(stdout=tmp_path / "log", stderr=tmp_path / "log")
    guest.write(1, b"one ")
    guest.write(2, b"two ")
    guest.write(1, b"three")
    assert (tmp_path / "log").read_bytes() == b"one two three"


def test_stderr_joins_stdout(guest_of: MakeGuest) -> None:
    out = io.BytesIO()
    guest = guest_of(stdout=out, stderr="stdout")
    guest.write(1, b"one ")
    guest.write(2, b"two")
    assert out.getvalue() == b"one two"


def test_output_goes_to_an_open_file_after_what_is_there(guest_of: MakeGuest, tmp_path: Path) -> None:
    with (tmp_path / "out").open("w") as file:
        file.write("before ")
        guest = guest_of(stdout=file)
        guest.write(1, b"during ")
        guest.store.close()
        file.write("after")
    assert (tmp_path / "out").read_text() == "before during after"


@pytest.mark.parametrize("make", [tempfile.TemporaryFile, tempfile.NamedTemporaryFile, tempfile.SpooledTemporaryFile])
def test_output_goes_to_a_temporary_file(guest_of: MakeGuest, make: Callable[[], Any]) -> None:
    with make() as file:
        guest_of(stdout=file).write(1, b"written")
        file.seek(0)
        assert file.read() == b"written"


def test_output_is_compressed_where_python_does_it(guest_of: MakeGuest, tmp_path: Path) -> None:
    with gzip.open(tmp_path / "out.gz", "wb") as file:
        guest_of(stdout=file).write(1, b"compressed")
    assert gzip.decompress((tmp_path / "out.gz").read_bytes()) == b"compressed"


def test_output_goes_to_what_pytest_captures(guest_of: MakeGuest, capsys: pytest.CaptureFixture[str]) -> None:
    guest_of(stdout=sys.stdout, stderr=sys.stderr).write(1, b"captured")
    assert capsys.readouterr().out == "captured"


def test_inherited_output_comes_after_what_python_printed(
    guest_of: MakeGuest, capfd: pytest.CaptureFixture[str]
) -> None:
    print("first ", end="")
    guest_of(stdout="inherit").write(1, b"second")
    assert capfd.readouterr().out == "first second"


def test_what_write_or_flush_raises_comes_out(guest_of: MakeGuest) -> None:
    class Full:
        def write(self, data: bytes) -> None:
            raise OverflowError("full")

    class Stuck(io.BytesIO):
        def flush(self) -> None:
            raise PermissionError("stuck")

    with pytest.raises(OverflowError, match="full"):
        guest_of(stdout=Full()).write(1, b"x")
    with pytest.raises(PermissionError, match="stuck"):
        guest_of(stdout=Stuck()).write(1, b"x")


def test_a_raw_stream_may_take_less(guest_of: MakeGuest) -> None:
    class Slow(io.RawIOBase):
        got = b""

        def writable(self) -> bool:
            return True

        def write(self, data: Any) -> int:
            self.got += bytes(data[:2])
            return min(len(data), 2)

    slow = Slow()
    guest = guest_of(stdout=slow)
    assert [guest.write(1, b"12345"), guest.write(1, b"345"), guest.write(1, b"5")] == [2, 2, 1]
    assert slow.got == b"12345"


def test_a_raw_stream_that_claims_too_much_is_told(guest_of: MakeGuest) -> None:
    class Liar(io.RawIOBase):
        def writable(self) -> bool:
            return True

        def write(self, data: Any) -> int:
            return 99

    with pytest.raises(ValueError, match=r"stdout: write\(\) of 3 bytes returned 99"):
        guest_of(stdout=Liar()).write(1, b"abc")


def test_a_broken_pipe_is_an_error_to_the_guest(guest_of: MakeGuest, pipe: tuple[int, int]) -> None:
    guest = guest_of(stdout=pipe[1])
    os.close(pipe[0])
    assert error_of(guest.write, 1, b"x") == "PIPE"


def test_a_full_pipe_is_written_as_its_reader_reads(guest_of: MakeGuest, pipe: tuple[int, int]) -> None:
    data = os.urandom(100_000)
    got = bytearray()

    def read() -> None:
        while len(got) < len(data):
            got.extend(os.read(pipe[0], 1000))

    thread = threading.Thread(target=read)
    thread.start()
    assert guest_of(stdout=pipe[1]).write(1, data) == len(data)
    thread.join()
    assert got == data


def test_a_full_pipe_that_does_not_wait_takes_what_fits(guest_of: MakeGuest, pipe: tuple[int, int]) -> None:
    guest = guest_of(stdout=pipe[1])
    guest.call("fd_fdstat_set_flags", 1, NONBLOCK)
    assert 0 < guest.write(1, bytes(120_000)) < 120_000
    assert error_of(guest.write, 1, bytes(5000)) == "AGAIN"


def test_streams_have_no_position(guest_of: MakeGuest, pipe: tuple[int, int]) -> None:
    guest = guest_of(stdin=b"abc", stdout=pipe[1])
    assert error_of(guest.seek, 0, 0) == "SPIPE"
    assert error_of(guest.seek, 1, 0) == "SPIPE"
    assert guest.errno("fd_pread", 0, *guest.vector(DATA, 1), 0, OUT) == "SPIPE"
    assert error_of(guest.write, 0, b"x") == "BADF"
    assert error_of(guest.read, 1) == "BADF"


def test_a_terminal_is_told_from_a_pipe(guest_of: MakeGuest, pipe: tuple[int, int]) -> None:
    leader, follower = os.openpty()
    try:
        seeks = 1 << 2 | 1 << 5
        guest = guest_of(stdin=follower, stdout=pipe[1], stderr=Path(os.devnull))
        kind, _, rights, _ = guest.fdstat(0)
        assert (kind, rights & seeks) == (CHARACTER_TYPE, 0)
        assert guest.fdstat(1)[0] != CHARACTER_TYPE
        kind, _, rights, _ = guest.fdstat(2)
        assert (kind, rights & seeks) == (CHARACTER_TYPE, seeks)
    finally:
        os.close(leader)
        os.close(follower)


# --- clocks, random, the end -------------------------------------------------------------------------------------


def test_the_clocks_go(guest: Guest) -> None:
    guest.call("clock_time_get", 0, 0, OUT)
    assert abs(guest.number(OUT, 8) - time.time_ns()) < 10**11
    for clock in range(4):
        guest.call("clock_time_get", clock, 0, OUT)
        first = guest.number(OUT, 8)
        guest.call("clock_time_get", clock, 0, OUT)
        assert guest.number(OUT, 8) >= first > 0
        guest.call("clock_res_get", clock, OUT)
        assert 0 < guest.number(OUT, 8) <= 10**9
    assert guest.errno("clock_time_get", 4, 0, OUT) == guest.errno("clock_res_get", 2**32 - 1, OUT) == "INVAL"
    assert guest.errno("clock_time_get", 0, 0, SIZE - 4) == "FAULT"


def test_random_bytes_are_random(guest: Guest) -> None:
    guest.call("random_get", DATA, 64)
    first = guest.memory.read(DATA, 64)
    guest.call("random_get", DATA, 64)
    assert len({first, guest.memory.read(DATA, 64), bytes(64)}) == 3
    assert guest.errno("random_get", SIZE - 10, 11) == "FAULT"
    assert guest.errno("random_get", 0, 2**32 - 1) == "FAULT"


@pytest.mark.parametrize("status", [0, 1, 42, 255, 256, 2**32 - 1])
def test_an_exit_status_comes_out(guest: Guest, status: int) -> None:
    with pytest.raises(anywasm.Exit) as caught:
        guest.exports.proc_exit(status)
    assert caught.value.code == status


def test_a_signal_to_itself_ends_the_program(guest: Guest) -> None:
    assert guest.errno("proc_raise", 0) == "OK"
    assert {number: guest.errno("proc_raise", number) for number in (13, 16, 17, 22, 27)} == dict.fromkeys(
        (13, 16, 17, 22, 27), "OK"
    ), "those that nobody minds"
    assert [guest.errno("proc_raise", number) for number in (18, 19, 20, 21)] == ["NOTSUP"] * 4  # it cannot stop
    assert [guest.errno("proc_raise", number) for number in (31, 99, 256, 2**32 - 1)] == ["INVAL"] * 4
    for number, status in ((6, 128 + signal.SIGABRT), (15, 128 + signal.SIGTERM), (23, 128 + signal.SIGXCPU)):
        with pytest.raises(anywasm.Exit) as caught:
            guest.exports.proc_raise(number)
        assert caught.value.code == status


def test_a_store_goes_on_after_an_exit(guest: Guest) -> None:
    with pytest.raises(anywasm.Exit):
        guest.exports.proc_exit(3)
    assert guest.errno("sched_yield") == "OK"
    with pytest.raises(anywasm.Exit) as caught:
        guest.exports.proc_exit(4)
    assert caught.value.code == 4


@pytest.mark.parametrize("name", ["sock_accept", "sock_recv", "sock_send", "sock_shutdown"])
def test_what_is_no_socket_is_told(guest: Guest, name: str) -> None:
    assert guest.errno(name, 1, *[0] * (len(FUNCTIONS[name]) - 1)) == "NOTSOCK"


# --- waiting -----------------------------------------------------------------------------------------------------


def clock(timeout: int, *, number: int = 1, absolute: bool = False, userdata: int = 7) -> bytes:
    return struct.pack("<QB7xI4xQQH6x", userdata, 0, number, timeout, 0, int(absolute))


def ready(kind: str, fd: int, userdata: int = 8) -> bytes:
    return struct.pack("<QB7xI28x", userdata, {"read": 1, "write": 2}[kind], fd)


def poll(guest: Guest, *subscriptions: bytes) -> list[tuple[int, str, int, int, int]]:
    """Userdata, error, kind, bytes and flags of each event."""
    guest.put(DATA, b"".join(subscriptions))
    guest.call("poll_oneoff", DATA, DATA + 65536, len(subscriptions), OUT)
    found = struct.iter_unpack("<QHB5xQH6x", guest.memory.read(DATA + 65536, 32 * guest.number(OUT)))
    return [(data, ERRNO[error], *rest) for data, error, *rest in found]  # type: ignore[misc]


def test_sleeping_takes_its_time(guest: Guest) -> None:
    start = time.monotonic()
    assert poll(guest, clock(120_000_000)) == [(7, "OK", 0, 0, 0)]
    assert time.monotonic() - start >= 0.12


def test_sleeping_until_a_time_takes_until_then(guest: Guest) -> None:
    end = time.time_ns() + 120_000_000
    assert poll(guest, clock(end, number=0, absolute=True))[0][1] == "OK"
    assert time.time_ns() >= end
    assert poll(guest, clock(1, number=0, absolute=True))[0][1] == "OK"


def test_the_first_of_several_clocks_ends_the_wait(guest: Guest) -> None:
    assert poll(guest, clock(2**64 - 1, userdata=1), clock(1000, userdata=2)) == [(2, "OK", 0, 0, 0)]


def test_a_clock_that_cannot_be_waited_for_is_told(guest: Guest) -> None:
    assert poll(guest, clock(0, number=9), clock(0, number=2))[0][1] == "INVAL"
    assert poll(guest, clock(0, number=2))[0][1] == "NOTSUP"


def test_files_and_streams_are_always_ready(work: Guest) -> None:
    fd = work.open("file")
    events = poll(work, ready("read", fd), ready("write", 1), ready("read", 0), clock(10**12))
    assert [event[:3] for event in events] == [(8, "OK", 1), (8, "OK", 2), (8, "OK", 1)]
    assert events[0][3] == 10


def test_a_descriptor_that_is_not_open_is_an_event(guest: Guest) -> None:
    assert poll(guest, ready("read", 55), clock(10**12)) == [(8, "BADF", 1, 0, 0)]


def test_a_pipe_is_waited_for(guest_of: MakeGuest, pipe: tuple[int, int]) -> None:
    guest = guest_of(stdin=pipe[0], stdout=pipe[1])
    assert poll(guest, ready("read", 0), clock(1000)) == [(7, "OK", 0, 0, 0)]
    assert poll(guest, ready("read", 0), ready("write", 1, 9)) == [(9, "OK", 2, 0, 0)]
    timer = threading.Timer(0.1, os.write, (pipe[1], b"12345"))
    timer.start()
    assert poll(guest, ready("read", 0), clock(10**11)) == [(8, "OK", 1, 5, 0)]
    timer.join()


def test_a_pipe_that_is_over_hangs_up(guest_of: MakeGuest, pipe: tuple[int, int]) -> None:
    guest = guest_of(stdin=pipe[0])
    os.close(pipe[1])
    assert poll(guest, ready("read", 0)) == [(8, "OK", 1, 0, 1)]


def test_waiting_for_nothing_is_refused(guest: Guest) -> None:
    assert guest.errno("poll_oneoff", DATA, DATA, 0, OUT) == "INVAL"
    guest.put(DATA, struct.pack("<QB39x", 0, 3))
    assert guest.errno("poll_oneoff", DATA, DATA + 100, 1, OUT) == "INVAL"


def test_events_outside_the_memory_are_a_fault(guest: Guest) -> None:
    guest.put(DATA, clock(0))
    assert guest.errno("poll_oneoff", DATA, SIZE - 16, 1, OUT) == "FAULT"
    assert guest.errno("poll_oneoff", SIZE - 16, DATA, 1, OUT) == "FAULT"
    assert guest.errno("poll_oneoff", DATA, DATA + 100, 1, SIZE - 2) == "FAULT"
    assert guest.errno("poll_oneoff", DATA, DATA, 2**32 - 1, OUT) == "NOMEM"


@pytest.fixture
def stoppable(engine: anywasm.Engine, pipe: tuple[int, int]) -> Guest:
    """A guest that can be stopped; its stdin is a pipe that nobody writes to, its stdout one that nobody reads."""
    kind = anywasm.Engine(engine.name, interruptible=True)
    return Guest(kind, anywasm.Wasi(stdin=pipe[0], stdout=pipe[1]))


WAITS = {
    "sleeping": lambda guest: poll(guest, clock(10**11)),
    "reading": lambda guest: guest.read(0),
    "writing": lambda guest: guest.write(1, bytes(130_000)),
}


@pytest.mark.requires("interrupt")
@pytest.mark.parametrize("wait", WAITS)
def test_a_timeout_ends_waiting(stoppable: Guest, wait: str) -> None:
    stoppable.store.timeout = 0.1
    with pytest.raises(anywasm.LimitError, match="timeout of 0.1 s is over"):
        WAITS[wait](stoppable)
    assert stoppable.errno("sched_yield") == "OK"


@pytest.mark.requires("interrupt")
@pytest.mark.parametrize("wait", WAITS)
def test_interrupt_ends_waiting(stoppable: Guest, wait: str) -> None:
    timer = threading.Timer(0.1, stoppable.store.interrupt)
    timer.start()
    with pytest.raises(anywasm.LimitError, match="interrupted"):
        WAITS[wait](stoppable)
    timer.join()
    assert stoppable.errno("sched_yield") == "OK"


@pytest.mark.parametrize("wait", WAITS)
def test_ctrl_c_ends_waiting(guest_of: MakeGuest, pipe: tuple[int, int], wait: str) -> None:
    guest = guest_of(stdin=pipe[0], stdout=pipe[1])
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    timer = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            WAITS[wait](guest)
    finally:
        timer.join()
        signal.signal(signal.SIGINT, previous)
    assert guest.errno("sched_yield") == "OK"


def test_a_signal_that_python_handles_does_not_end_a_sleep(guest: Guest) -> None:
    seen: list[int] = []
    previous = signal.signal(signal.SIGALRM, lambda number, frame: seen.append(number))
    signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)
    try:
        start = time.monotonic()
        poll(guest, clock(150_000_000))
        assert time.monotonic() - start >= 0.15
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
    assert seen


def test_other_threads_run_while_a_guest_sleeps(guest: Guest) -> None:
    count = 0

    def work() -> None:
        nonlocal count
        while not done.is_set():
            count += 1
            time.sleep(0.001)

    done = threading.Event()
    thread = threading.Thread(target=work)
    thread.start()
    poll(guest, clock(200_000_000))
    done.set()
    thread.join()
    assert count > 5


# --- anywasm.Wasi ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"args": "program"}, TypeError, "args: expected a sequence of arguments, got one string"),
        ({"args": [1]}, TypeError, "args: expected str or a path, got int"),
        ({"args": ["a\0b"]}, ValueError, "args: 'a.x00b' has a NUL"),
        ({"env": {"a": "b\0"}}, ValueError, "env: 'b.x00' has a NUL"),
        ({"env": {"a=b": "c"}}, ValueError, "env: 'a=b' is no name of a variable"),
        ({"env": {"": "c"}}, ValueError, "env: '' is no name of a variable"),
        ({"env": {"a": 1}}, TypeError, "env: expected str or a path, got int"),
        ({"env": ["a=b"]}, TypeError, "env: expected a mapping, got list"),
        ({"mounts": ["/data"]}, TypeError, "mounts: expected a mapping, got list"),
        ({"mounts": {"/data": 5}}, TypeError, "expected a path, or a mount of anywasm.wasi"),
        ({"mounts": {"a\0": "/tmp"}}, ValueError, "mounts: 'a.x00' has a NUL"),
        ({"mounts": {"": "/tmp"}}, ValueError, "mounts: the guest's path is empty"),
        ({"mounts": {f"/{number}": "/" for number in range(1001)}}, ValueError, "mounts: 1001 are too many"),
        ({"stdin": "in.txt"}, TypeError, r"stdin: .* got the string 'in.txt' \(a path is given as pathlib.Path"),
        ({"stdin": 1.5}, TypeError, r"stdin: expected .* an object with read\(\) or a callable, got float"),
        ({"stdin": True}, TypeError, "stdin: .*got bool"),
        ({"stdin": -1}, ValueError, "stdin: -1 is no descriptor"),
        ({"stdout": b"bytes"}, TypeError, r"stdout: .* an object with write\(\) or a callable, got bytes"),
        ({"stderr": object()}, TypeError, "stderr: .*got object"),
        ({"stdin": "stdout"}, TypeError, "stdin: .* got the string 'stdout'"),
    ],
)
def test_settings_that_make_no_sense_are_told(settings: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        anywasm.Wasi(**settings)


def test_a_file_that_is_not_open_for_that_is_told(tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb") as file, pytest.raises(TypeError, match=r"stdin: .* is not open for reading"):
        anywasm.Wasi(stdin=file)
    with (tmp_path / "file").open("rb") as file, pytest.raises(TypeError, match=r"stdout: .* is not open for writing"):
        anywasm.Wasi(stdout=file)


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"mounts": {"/": "missing"}}, FileNotFoundError),
        ({"mounts": {"/": "plain"}}, NotADirectoryError),
        ({"stdin": Path("missing")}, FileNotFoundError),
        ({"stdout": Path("missing/out")}, FileNotFoundError),
        ({"stdout": Path()}, IsADirectoryError),
    ],
)
def test_what_cannot_be_opened_is_told_by_its_name(
    engine: anywasm.Engine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    settings: dict[str, Any],
    error: type[OSError],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("plain").touch()
    before = open_descriptors()
    with pytest.raises(error) as caught:
        anywasm.Store(engine, wasi=anywasm.Wasi(**settings))
    assert caught.value.filename is not None
    assert open_descriptors() == before


def test_a_descriptor_that_is_not_open_is_refused(engine: anywasm.Engine) -> None:
    with pytest.raises(OSError, match="Bad file descriptor"):
        anywasm.Store(engine, wasi=anywasm.Wasi(stdin=9999))


def test_one_wasi_serves_many_stores(engine: anywasm.Engine, tmp_path: Path) -> None:
    wasi = anywasm.Wasi(["a"], stdin=b"input", mounts={"/": tmp_path})
    guests = [Guest(engine, wasi) for _ in range(3)]
    for guest in guests:
        assert read_all(guest) == b"input"
        assert texts(guest, "args") == [b"a"]


def test_a_host_serves_one_store(engine: anywasm.Engine) -> None:
    host = anywasm.Wasi()._open()
    store = anywasm.Store(engine, wasi=host)
    with pytest.raises(ValueError, match="a WasiHost serves one store"):
        anywasm.Store(engine, wasi=host)
    store.close()
    with pytest.raises(ValueError, match="a WasiHost serves one store"):
        anywasm.Store(engine, wasi=host)


def test_what_is_no_wasi_is_refused(engine: anywasm.Engine) -> None:
    with pytest.raises(TypeError, match=r"Store\(\): wasi: expected a Wasi or None, got int"):
        anywasm.Store(engine, wasi=5)


def test_a_wasi_shows_what_it_is(tmp_path: Path) -> None:
    assert repr(anywasm.Wasi()) == "Wasi()"
    wasi = anywasm.Wasi(["a"], {"b": "c"}, {"/d": "e", "/f": anywasm.wasi.Directory("g", readonly=True)}, stdin=b"h")
    assert repr(wasi) == (
        "Wasi(args=('a',), env={'b': 'c'}, "
        "mounts={'/d': Directory('e'), '/f': Directory('g', readonly=True)}, stdin=b'h')"
    )


def test_mounts_compare(tmp_path: Path) -> None:
    assert (
        anywasm.wasi.Directory("a") == anywasm.wasi.Directory(Path("a")) != anywasm.wasi.Directory("a", readonly=True)
    )
    assert len({anywasm.wasi.Directory("a"), anywasm.wasi.Directory("a"), anywasm.wasi.Directory("b")}) == 2


@pytest.mark.parametrize(
    "settings", [anywasm.Wasi(), anywasm.wasi.Directory("a")], ids=lambda settings: type(settings).__name__
)
def test_settings_do_not_change(settings: Any) -> None:
    for name in type(settings).__slots__:
        with pytest.raises(AttributeError, match="cannot be set"):
            setattr(settings, name, None)
        with pytest.raises(AttributeError, match="cannot be deleted"):
            delattr(settings, name)


def test_settings_can_be_copied_and_pickled() -> None:
    wasi = anywasm.Wasi(["a"], {"b": "c"}, {"/d": anywasm.wasi.Directory("e", readonly=True)}, stdin=b"f")
    assert repr(pickle.loads(pickle.dumps(wasi))) == repr(copy.deepcopy(wasi)) == repr(wasi)


def test_a_process_without_streams_can_inherit_them(engine: anywasm.Engine) -> None:
    code = (
        "import anywasm, os\n"
        "for number in range(3): os.close(number)\n"
        f"engine = anywasm.Engine({engine.name!r})\n"
        "anywasm.Store(engine, wasi=anywasm.Wasi(stdin='inherit', stdout='inherit', stderr='inherit'))\n"
        "os._exit(7)\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 7


def test_a_cycle_through_a_stream_is_collected(engine: anywasm.Engine) -> None:
    import gc
    import weakref

    class Stream:
        guest: Any = None

        def write(self, data: bytes) -> None:
            pass

    stream = Stream()
    stream.guest = Guest(engine, anywasm.Wasi(stdout=stream))
    gone = weakref.ref(stream)
    del stream
    gc.collect()
    assert gone() is None


def test_c_programs_see_a_whole_world(
    engine: anywasm.Engine, compile_c: Callable[..., Path], programs: Path, tmp_path: Path
) -> None:
    for number in range(1000):
        (tmp_path / f"entry-{number:04}").touch()
    (tmp_path / "sub").mkdir()
    done = anywasm.run(
        compile_c(programs / "wasi.c"),
        env={"HOME": "/files"},
        mounts={
            "/files": anywasm.wasi.Directory(tmp_path),
            "/read-only": anywasm.wasi.Directory(tmp_path, readonly=True),
        },
        engine=engine,
        capture_output=True,
        text=True,
        timeout=None,
    )
    assert (done.stderr, done.returncode) == ("", 0)
    assert done.stdout == "all is well\n"
    assert toolchain.cache_dir().exists()

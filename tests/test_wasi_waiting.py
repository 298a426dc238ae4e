# SPDX-License-Identifier: Apache-2.0
"""Whatever a program waits for, a deadline, Store.interrupt() and Ctrl-C end it at once."""

import contextlib
import os
import pty
import resource
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import tty
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import anywasm
from wasi_guest import DATA, NONBLOCK, OUT, READ, WRITE, Failed, Guest

SOON = 20.0  # seconds; an outer bound on any machine, where "never" is as long as the tests run

Wait = Callable[[Guest], object]


def write_all(guest: Guest) -> None:
    while True:
        guest.write(1, bytes(100_000))


def poll(guest: Guest, *subscriptions: bytes) -> None:
    guest.put(DATA, b"".join(subscriptions))
    guest.call("poll_oneoff", DATA, DATA + 4096, len(subscriptions), OUT)


CLOCK = struct.pack("<QB7xI4xQQH6x", 7, 0, 1, 10**12, 0, 0)
STDIN_READY = struct.pack("<QB7xI28x", 8, 1, 0)
STDOUT_READY = struct.pack("<QB7xI28x", 8, 2, 1)


class World:
    """What programs wait for in vain: nobody reads or writes at the other end."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.open = contextlib.ExitStack()

    def descriptors(self, *numbers: int) -> tuple[int, ...]:
        for number in numbers:
            self.open.callback(os.close, number)
        return numbers

    def pipe(self) -> tuple[int, ...]:
        return self.descriptors(*os.pipe())

    def pair(self) -> tuple[socket.socket, socket.socket]:
        one, other = socket.socketpair()
        self.open.enter_context(one)
        self.open.enter_context(other)
        return one, other

    def listener(self) -> socket.socket:
        return self.open.enter_context(socket.create_server(("127.0.0.1", 0)))

    def terminal(self) -> int:
        """The program's side of it; nobody types, and nobody looks."""
        _master, slave = self.descriptors(*pty.openpty())
        tty.setraw(slave)
        return slave

    def fifo(self) -> str:
        os.mkfifo(self.folder / "fifo")
        return "fifo"


def fifo_of(guest: Guest) -> None:
    guest.read(guest.open("fifo", 0, READ))


# name: (the settings of Wasi, what the guest does)
WAITS: dict[str, tuple[Callable[[World], dict[str, Any]], Wait]] = {
    "sleep": (lambda world: {}, lambda guest: poll(guest, CLOCK)),
    "poll": (lambda world: {"stdin": world.pipe()[0]}, lambda guest: poll(guest, STDIN_READY, CLOCK)),
    "poll for room": (
        lambda world: {"stdout": full(world.pipe()[1])},
        lambda guest: poll(guest, STDOUT_READY),
    ),
    "read a pipe": (lambda world: {"stdin": world.pipe()[0]}, lambda guest: guest.read(0)),
    "read a FIFO": (lambda world: {"mounts": {"/": world.folder}, "env": {"fifo": world.fifo()}}, fifo_of),
    "read a terminal": (lambda world: {"stdin": world.terminal()}, lambda guest: guest.read(0)),
    "read a socket": (lambda world: {"stdin": world.pair()[0].fileno()}, lambda guest: guest.read(0)),
    "receive": (
        lambda world: {"sockets": [world.pair()[0]]},
        lambda guest: guest.call("sock_recv", 3, *guest.vector(DATA, 10), 0, OUT, OUT + 8),
    ),
    "receive all": (
        lambda world: {"sockets": [sent(world.pair())]},
        lambda guest: guest.call("sock_recv", 3, *guest.vector(DATA, 10), 2, OUT, OUT + 8),
    ),
    "peek for all": (
        lambda world: {"sockets": [sent(world.pair())]},
        lambda guest: guest.call("sock_recv", 3, *guest.vector(DATA, 10), 3, OUT, OUT + 8),
    ),
    "accept": (
        lambda world: {"sockets": [world.listener()]},
        lambda guest: guest.call("sock_accept", 3, 0, OUT),
    ),
    "write to a pipe": (lambda world: {"stdout": world.pipe()[1]}, write_all),
    "write to a terminal": (lambda world: {"stdout": world.terminal()}, write_all),
    "write to a socket": (lambda world: {"stdout": world.pair()[0].fileno()}, write_all),
}


def full(descriptor: int) -> int:
    os.set_blocking(descriptor, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(descriptor, bytes(4096))
    return descriptor


def sent(pair: tuple[socket.socket, socket.socket]) -> socket.socket:
    pair[1].sendall(b"not all")
    return pair[0]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    with made.open:
        yield made


@pytest.fixture
def guest_of(engine: anywasm.Engine, world: World) -> Callable[..., Guest]:
    def make(name: str, *, interruptible: bool) -> Guest:
        kind = anywasm.Engine(engine.name, interruptible=True) if interruptible else engine
        return Guest(kind, anywasm.Wasi(**WAITS[name][0](world)))

    return make


@contextlib.contextmanager
def at_once(after: float) -> Iterator[None]:
    began = time.monotonic()
    yield
    assert time.monotonic() - began - after < SOON


@pytest.mark.requires("interrupt")
@pytest.mark.parametrize("name", WAITS)
def test_a_deadline_ends_it(guest_of: Callable[..., Guest], name: str) -> None:
    guest = guest_of(name, interruptible=True)
    guest.store.timeout = 0.1
    with at_once(0.1), pytest.raises(anywasm.TimeoutExpired):
        WAITS[name][1](guest)
    guest.store.timeout = None
    assert guest.errno("sched_yield") == "OK"


@pytest.mark.requires("interrupt")
@pytest.mark.parametrize("name", WAITS)
def test_interrupt_ends_it(guest_of: Callable[..., Guest], name: str) -> None:
    guest = guest_of(name, interruptible=True)
    timer = threading.Timer(0.1, guest.store.interrupt)
    timer.start()
    with at_once(0.1), pytest.raises(anywasm.LimitError, match="somebody stopped it"):
        WAITS[name][1](guest)
    timer.join()
    assert guest.errno("sched_yield") == "OK"


@pytest.mark.parametrize("name", WAITS)
def test_ctrl_c_ends_it(guest_of: Callable[..., Guest], name: str) -> None:
    guest = guest_of(name, interruptible=False)
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    timer = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    try:
        with at_once(0.1), pytest.raises(KeyboardInterrupt):
            WAITS[name][1](guest)
    finally:
        timer.join()
        signal.signal(signal.SIGINT, previous)
    assert guest.errno("sched_yield") == "OK"


@pytest.mark.requires("interrupt")
def test_a_wait_in_another_thread_is_interrupted(guest_of: Callable[..., Guest]) -> None:
    guest = guest_of("sleep", interruptible=True)
    ended: list[float] = []

    def run() -> None:
        with pytest.raises(anywasm.LimitError, match="somebody stopped it"):
            poll(guest, CLOCK)
        ended.append(time.monotonic())

    thread = threading.Thread(target=run)
    thread.start()
    time.sleep(0.2)
    with at_once(0):
        guest.store.interrupt()
        thread.join()
    assert ended


@pytest.mark.requires("interrupt")
def test_an_interruption_before_the_wait_ends_it(guest_of: Callable[..., Guest]) -> None:
    for name in ("sleep", "read a pipe"):
        guest = guest_of(name, interruptible=True)
        for _ in range(2):
            guest.store.interrupt()
            with at_once(0), pytest.raises(anywasm.LimitError, match="interrupted"):
                WAITS[name][1](guest)


@pytest.mark.requires("interrupt")
def test_an_interruption_that_came_too_late_does_not_shorten_the_next_wait(guest_of: Callable[..., Guest]) -> None:
    guest = guest_of("sleep", interruptible=True)
    short = struct.pack("<QB7xI4xQQH6x", 7, 0, 1, 10_000_000, 0, 0)
    poll(guest, short)  # the waker is there
    guest.store.interrupt()
    with pytest.raises(anywasm.LimitError):
        guest.errno("sched_yield")
        poll(guest, short)
    began = time.monotonic()
    poll(guest, struct.pack("<QB7xI4xQQH6x", 7, 0, 1, 100_000_000, 0, 0))
    assert time.monotonic() - began >= 0.1


def test_a_wait_works_without_descriptors_to_spare(guest_of: Callable[..., Guest]) -> None:
    """Then it looks from time to time whether it is to end."""
    guest = guest_of("read a pipe", interruptible=False)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    timer = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        with pytest.raises(KeyboardInterrupt):
            guest.read(0)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        timer.join()
        signal.signal(signal.SIGINT, previous)


def test_waiting_costs_no_time(guest_of: Callable[..., Guest]) -> None:
    guest = guest_of("sleep", interruptible=False)
    began = time.thread_time()
    poll(guest, struct.pack("<QB7xI4xQQH6x", 7, 0, 1, 500_000_000, 0, 0))
    assert time.thread_time() - began < 0.1


# --- pipes and terminals of the user's ----------------------------------------------------------------------------


def test_a_pipe_ends_when_its_writer_is_gone_already(engine: anywasm.Engine) -> None:
    reading, writing = os.pipe()
    os.write(writing, b"the last words")
    os.close(writing)
    guest = Guest(engine, anywasm.Wasi(stdin=reading))
    os.close(reading)
    assert [guest.read(0), guest.read(0)] == [b"the last words", b""]


def test_the_other_end_hears_when_the_store_is_closed(engine: anywasm.Engine) -> None:
    reading, writing = os.pipe()
    guest = Guest(engine, anywasm.Wasi(stdout=writing, stderr=writing))
    os.close(writing)
    guest.write(1, b"one")
    guest.write(2, b"two")
    guest.store.close()
    with open(reading, "rb") as file:
        assert file.read() == b"onetwo"


@pytest.mark.parametrize("way", ["pipe", "terminal"])
def test_flags_of_the_users_descriptors_are_left_alone(engine: anywasm.Engine, way: str) -> None:
    reading, writing = os.pipe() if way == "pipe" else pty.openpty()
    try:
        guest = Guest(engine, anywasm.Wasi(stdin=reading, stdout=writing))
        guest.call("fd_fdstat_set_flags", 0, NONBLOCK)
        guest.call("fd_fdstat_set_flags", 1, NONBLOCK)
        with pytest.raises(Failed, match="AGAIN"):
            write_all(guest)
        assert os.get_blocking(reading)
        assert os.get_blocking(writing)
        while True:
            try:
                guest.read(0)
            except Failed as error:
                assert str(error) == "AGAIN"
                break
    finally:
        os.close(reading)
        os.close(writing)


def test_a_fifo_in_a_mount_waits_for_both_sides(engine: anywasm.Engine, world: World) -> None:
    world.fifo()
    guest = Guest(engine, anywasm.Wasi(mounts={"/": world.folder}))
    fd = guest.open("fifo", 0, READ)

    def write() -> None:
        with open(world.folder / "fifo", "wb") as file:
            file.write(b"hello")

    thread = threading.Timer(0.1, write)
    thread.start()
    assert guest.read(fd) == b"hello"
    thread.join()
    assert guest.read(fd) == b""
    guest.close(fd)
    with pytest.raises(Failed, match="NXIO"):
        guest.open("fifo", 0, WRITE)


def test_a_place_in_a_pipe_is_refused_without_waiting(engine: anywasm.Engine, world: World) -> None:
    reading, writing = world.pipe()
    guest = Guest(engine, anywasm.Wasi(stdin=reading, stdout=writing))
    assert guest.errno("fd_pread", 0, *guest.vector(DATA, 4), 0, OUT) == "SPIPE"
    assert guest.errno("fd_pwrite", 1, *guest.vector(DATA, 4), 0, OUT) == "SPIPE"
    assert guest.read(0, 0) == b""  # nothing is there at once
    assert guest.errno("fd_read", 0, OUT, 0, OUT) == "OK"


# --- in a terminal ------------------------------------------------------------------------------------------------

# Makes the terminal that it is started on its own, and becomes the program.
LAUNCH = """
import fcntl, os, signal, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execv(sys.argv[1], sys.argv[1:])
"""
ASK = """
#include <stdio.h>
int main(void) { puts("running"); fflush(stdout); int c = getchar(); printf("got %c\\n", c); return c == 'x' ? 0 : 4; }
"""
FLOOD = """
#include <stdio.h>
int main(void) { puts("running"); fflush(stdout); for (;;) { puts("more and more"); } }
"""


@contextlib.contextmanager
def in_a_terminal(*command: Any, **settings: Any) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """The process, and the terminal's other side. It says "running"."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", LAUNCH, sys.executable, *map(str, command)],
        **{"stdin": slave, "stdout": slave, "stderr": slave, "start_new_session": True, **settings},
    )
    os.close(slave)
    try:
        shown = b""
        while b"running" not in shown:
            shown += os.read(master, 4096)
        time.sleep(0.1)
        yield process, master
    finally:
        process.kill()
        process.wait()
        os.close(master)


@pytest.mark.requires("interrupt")
@pytest.mark.parametrize("source", [ASK, FLOOD], ids=["reading", "writing"])
def test_a_timeout_ends_a_program_in_a_terminal(
    engine: anywasm.Engine, compile_c: Callable[..., Path], source: str
) -> None:
    command = ("-m", "anywasm", "run", "--engine", engine.name, "--timeout", "2", compile_c(source))
    # Nobody reads what it writes to the terminal after its first words.
    with in_a_terminal(*command, stderr=subprocess.PIPE) as (process, _), at_once(2):
        assert process.stderr is not None
        assert b"timeout" in process.stderr.read()
        assert process.wait(60) == 124
        process.stderr.close()


@pytest.mark.parametrize("source", [ASK, FLOOD], ids=["reading", "writing"])
def test_ctrl_c_ends_a_program_in_a_terminal(
    engine: anywasm.Engine, compile_c: Callable[..., Path], source: str
) -> None:
    with in_a_terminal("-m", "anywasm", "run", "--engine", engine.name, compile_c(source)) as (process, master):
        os.write(master, b"\x03")
        with at_once(0):
            assert process.wait(60) == -signal.SIGINT


@pytest.mark.parametrize("source", [FLOOD])
def test_ctrl_c_ends_a_program_whose_terminal_is_stopped(
    engine: anywasm.Engine, compile_c: Callable[..., Path], source: str
) -> None:
    with in_a_terminal("-m", "anywasm", "run", "--engine", engine.name, compile_c(source)) as (process, master):
        os.write(master, b"\x13")  # Ctrl-S
        time.sleep(0.2)
        os.write(master, b"\x03")
        with at_once(0):
            assert process.wait(60) == -signal.SIGINT


def test_a_program_reads_what_is_typed(engine: anywasm.Engine, compile_c: Callable[..., Path]) -> None:
    with in_a_terminal("-m", "anywasm", "run", "--engine", engine.name, compile_c(ASK)) as (process, master):
        os.write(master, b"x\n")
        shown = b""
        while b"got x" not in shown:
            shown += os.read(master, 4096)
        assert process.wait(60) == 0


def test_a_terminal_keeps_its_flags(engine: anywasm.Engine, compile_c: Callable[..., Path]) -> None:
    with in_a_terminal("-m", "anywasm", "run", "--engine", engine.name, compile_c(ASK)) as (process, _):
        for number in (0, 1, 2):
            with open(f"/proc/{process.pid}/fdinfo/{number}") as file:
                flags = next(int(line.split()[1], 8) for line in file if line.startswith("flags"))
            assert flags & os.O_NONBLOCK == 0

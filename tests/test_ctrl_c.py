# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C wherever a program may be: in a loop, a sleep, a host function, a stream, in other threads, in a terminal.

What ends at once here would otherwise last a minute. Programs are also run in a terminal, and somebody presses Ctrl-C.
"""

import io
import os
import pty
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import anywasm

SOON = 20.0  # seconds; an outer bound on any machine, where "never" is a minute


@pytest.fixture
def interruptible(engine: anywasm.Engine) -> anywasm.Engine:
    return anywasm.Engine(engine.name, interruptible=True)


def in_a_moment(function: Callable[[], object]) -> None:
    threading.Timer(0.1, function).start()


def press_ctrl_c() -> None:
    os.kill(os.getpid(), signal.SIGINT)


LOOPS = """
(module
  (import "host" "call" (func $call (param i32) (result i32)))
  (func (export "forever") (loop $again (br $again)))
  (func (export "until") (loop $again (br_if $again (i32.eqz (call $call (i32.const 0))))))
  (func (export "spin") (param i32) (result i32) (local i32)
    (loop $again
      (local.set 1 (i32.add (i32.mul (local.get 1) (i32.const 31)) (local.get 0)))
      (br_if $again (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
    (local.get 1))
  (func (export "ask") (result i32) (call $call (i32.const 1))))
"""


# --- in a call --------------------------------------------------------------------------------------------------------


@pytest.fixture
def guest(interruptible: anywasm.Engine, wat: Callable[[str], bytes]) -> Callable[..., Any]:
    def make(call: Callable[[int], int] = lambda x: x, engine: anywasm.Engine = interruptible, **limits: Any) -> Any:
        store = anywasm.Store(engine, **limits)
        return anywasm.Instance(anywasm.Module(wat(LOOPS), engine), {"host": {"call": call}}, store)

    return make


def test_a_handler_that_raises_nothing_lets_the_guest_go_on(guest: Callable[..., Any]) -> None:
    seen: list[int] = []
    exports = guest().exports
    count = 10_000
    while True:  # long enough to meet the signal
        began = time.perf_counter()
        right = exports.spin(count)
        if time.perf_counter() - began > 0.4:
            break
        count *= 2
    before = signal.signal(signal.SIGINT, lambda number, frame: seen.append(number))
    try:
        in_a_moment(press_ctrl_c)
        assert exports.spin(count) == right
    finally:
        signal.signal(signal.SIGINT, before)
    assert seen == [signal.SIGINT]
    assert exports.ask() == 1


def test_a_handler_may_tell_the_guest_to_end(guest: Callable[..., Any]) -> None:
    asked: list[bool] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: asked.append(True))
    try:
        in_a_moment(press_ctrl_c)
        guest(lambda _: bool(asked)).exports.until()
    finally:
        signal.signal(signal.SIGINT, before)
    assert asked == [True]


@pytest.mark.parametrize("interrupts", [False, True], ids=["plain", "interruptible"])
def test_ctrl_c_in_a_host_function_that_sleeps(
    engine: anywasm.Engine, interruptible: anywasm.Engine, guest: Callable[..., Any], interrupts: bool
) -> None:
    def call(value: int) -> int:
        time.sleep(60)
        return value

    exports = guest(call, interruptible if interrupts else engine).exports
    in_a_moment(press_ctrl_c)
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt) as raised:
        exports.ask()
    assert time.monotonic() - began < SOON
    assert any(entry.name == "call" for entry in raised.traceback)


@pytest.mark.parametrize("raised", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_an_order_to_end_comes_out_of_a_host_function_as_itself(
    engine: anywasm.Engine, guest: Callable[..., Any], raised: type[BaseException]
) -> None:
    error = raised("now")

    def call(value: int) -> int:
        raise error

    for exports in (guest(call).exports, guest(call, engine).exports):
        with pytest.raises(raised) as caught:
            exports.ask()
        assert caught.value is error


@pytest.mark.parametrize("raised", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("stream", ["stdin", "stdout"])
def test_an_order_to_end_comes_out_of_a_stream_as_itself(
    engine: anywasm.Engine, compile_c: Callable[..., Path], stream: str, raised: type[BaseException]
) -> None:
    error = raised("now")

    class Stream:
        def read(self, length: int) -> bytes:
            raise error

        def write(self, data: bytes) -> int:
            raise error

    module = anywasm.Module(compile_c(ECHO), engine)
    streams: dict[str, Any] = {"stdin": b"some\n", "stdout": None} | {stream: Stream()}
    with pytest.raises(raised) as caught:
        anywasm.run(module, **streams)
    assert caught.value is error


@pytest.mark.parametrize("raised", [KeyboardInterrupt, ValueError])
def test_what_a_text_stream_raises_at_its_end_comes_out(
    engine: anywasm.Engine, compile_c: Callable[..., Path], raised: type[BaseException]
) -> None:
    error = raised("now")

    class Text(io.StringIO):
        def write(self, text: str) -> int:
            if text == "\ufffd":  # half a character that was kept back
                raise error
            return len(text)

    with pytest.raises(raised) as caught:
        anywasm.run(anywasm.Module(compile_c(HALF), engine), stdout=Text())
    assert caught.value is error


HALF = """
#include <stdio.h>
int main(void) { fputs("half: \\xc3", stdout); return 0; }
"""
ECHO = """
#include <stdio.h>
int main(void) { char line[100]; while (fgets(line, 100, stdin)) { puts(line); fflush(stdout); } return 0; }
"""
SLEEP = """
#include <stdio.h>
#include <time.h>
int main(void) {
    puts("running"); fflush(stdout);
    struct timespec minute = {.tv_sec = 60};
    nanosleep(&minute, 0);
    return 3;
}
"""
LOOP = """
#include <stdio.h>
int main(void) { puts("running"); fflush(stdout); for (volatile int i = 0;; i++) {} }
"""
READ = """
#include <stdio.h>
int main(void) { puts("running"); fflush(stdout); int c = getchar(); return c == EOF ? 4 : 5; }
"""
POLL = """
#include <poll.h>
#include <stdio.h>
int main(void) {
    puts("running"); fflush(stdout);
    struct pollfd input = {.fd = 0, .events = POLLIN};
    return poll(&input, 1, 60000) == 0 ? 6 : 7;
}
"""
WAITS = {"sleep": SLEEP, "read": READ, "poll": POLL}


@pytest.mark.parametrize("name", WAITS)
def test_ctrl_c_ends_what_waits_on_any_engine(
    engine: anywasm.Engine, compile_c: Callable[..., Path], name: str
) -> None:
    module = anywasm.Module(compile_c(WAITS[name]), engine)
    read, write = os.pipe()
    try:
        in_a_moment(press_ctrl_c)
        began = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            anywasm.run(module, stdin=read, stdout=None)
        assert time.monotonic() - began < SOON
    finally:
        os.close(read)
        os.close(write)


def test_ctrl_c_ends_a_callback_of_a_c_library(engine: anywasm.Engine, c_compiler: None) -> None:
    from anywasm import clib

    library = clib.compile(
        "int each(int (*f)(int), int n) { int sum = 0; for (int i = 0; i < n; i++) sum += f(i); return sum; }",
        "int each(int (*f)(int), int n);",
        engine=engine,
    )
    for error in (KeyboardInterrupt("now"), SystemExit(7)):

        def raises(value: int, error: BaseException = error) -> int:
            if value == 3:
                raise error
            return value

        with pytest.raises(type(error)) as caught:
            library.each(raises, 10)
        assert caught.value is error
        library.reset()

    def sleeps(value: int) -> int:
        time.sleep(60)
        return value

    in_a_moment(press_ctrl_c)
    with pytest.raises(KeyboardInterrupt):
        library.each(sleeps, 10)


# --- in a terminal ----------------------------------------------------------------------------------------------------


# Makes the terminal that it is started on its own, as a login does, and becomes the program.
LAUNCH = """
import fcntl, os, signal, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execv(sys.argv[1], sys.argv[1:])
"""


class Terminal:
    """A process with a terminal of its own."""

    def __init__(self, command: list[str], environment: dict[str, str]) -> None:
        self.master, slave = pty.openpty()

        launch = [sys.executable, "-c", LAUNCH, *command]
        self.process = subprocess.Popen(
            launch, stdin=slave, stdout=slave, stderr=slave, env=environment, start_new_session=True
        )
        os.close(slave)
        self.shown = b""

    def wait_for(self, text: bytes) -> None:
        until = time.monotonic() + 60
        while text not in self.shown:
            assert time.monotonic() < until, self.shown
            if select.select([self.master], [], [], 0.1)[0]:
                try:
                    data = os.read(self.master, 4096)
                except OSError:  # the other side is gone
                    data = b""
                assert data, self.shown
                self.shown += data

    def type(self, keys: bytes) -> None:
        os.write(self.master, keys)

    def end(self) -> int:
        """Its exit status, as subprocess tells it; it has to end soon."""
        began = time.monotonic()
        status = self.process.wait(60)
        assert time.monotonic() - began < SOON
        return status

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.master)


@pytest.fixture
def terminal(engine: anywasm.Engine) -> Iterator[Callable[..., Terminal]]:
    opened: list[Terminal] = []

    def open_terminal(*command: Any) -> Terminal:
        opened.append(Terminal([sys.executable, *map(str, command)], {**os.environ, "ANYWASM_ENGINE": engine.name}))
        return opened[-1]

    yield open_terminal
    for one in opened:
        one.close()


CTRL_C = b"\x03"


@pytest.mark.parametrize("name", ["loop", *WAITS])
def test_ctrl_c_ends_anywasm_run_as_it_ends_other_programs(
    terminal: Callable[..., Terminal], compile_c: Callable[..., Path], name: str
) -> None:
    program = compile_c({"loop": LOOP, **WAITS}[name])
    shell = terminal("-m", "anywasm", "run", program)
    shell.wait_for(b"running")
    time.sleep(0.1)
    shell.type(CTRL_C)
    assert shell.end() == -signal.SIGINT
    assert b"Traceback" not in shell.shown


@pytest.mark.parametrize("name", ["loop", *WAITS])
def test_ctrl_c_ends_a_python_program_that_runs_one(
    terminal: Callable[..., Terminal], compile_c: Callable[..., Path], name: str
) -> None:
    program = compile_c({"loop": LOOP, **WAITS}[name])
    shell = terminal("-c", IN_PYTHON, program)
    shell.wait_for(b"running")
    time.sleep(0.1)
    shell.type(CTRL_C)
    shell.wait_for(b"stopped by Ctrl-C\r\n")
    assert shell.end() == 0


IN_PYTHON = """
import sys, anywasm
try:
    anywasm.run(sys.argv[1], stdin="inherit", timeout=60)
except KeyboardInterrupt:
    print("stopped by Ctrl-C")
"""


def test_ctrl_c_that_nobody_catches_ends_python_as_usual(
    terminal: Callable[..., Terminal], compile_c: Callable[..., Path]
) -> None:
    shell = terminal("-c", "import sys, anywasm; anywasm.run(sys.argv[1], timeout=60)", compile_c(LOOP))
    shell.wait_for(b"running")
    shell.type(CTRL_C)
    shell.wait_for(b"KeyboardInterrupt")
    assert shell.end() == -signal.SIGINT


WORKERS = """
import sys, threading, anywasm
from concurrent.futures import ThreadPoolExecutor
binary = bytes.fromhex(sys.argv[1])
module = anywasm.Module(binary, anywasm.Engine(interruptible=True))
def work(pool):
    with pool.get() as guest:
        try:
            guest.exports.forever()
        except anywasm.LimitError:
            return "stopped"
with anywasm.Pool(module, 2) as pool, ThreadPoolExecutor(2) as threads:
    futures = [threads.submit(work, pool) for _ in range(2)]
    while pool.stats.in_use < 2: pass
    try:
        print("running", flush=True)
        futures[0].result()
    except KeyboardInterrupt:
        print("Ctrl-C in the main thread")
        pool.interrupt()
    print(*[future.result() for future in futures])
"""


def test_ctrl_c_reaches_a_main_thread_that_waits_for_workers(
    terminal: Callable[..., Terminal], wat: Callable[[str], bytes]
) -> None:
    binary = wat('(module (func (export "forever") (loop $again (br $again))))')
    shell = terminal("-c", WORKERS, binary.hex())
    shell.wait_for(b"running")
    shell.type(CTRL_C)
    shell.wait_for(b"Ctrl-C in the main thread\r\nstopped stopped\r\n")
    assert shell.end() == 0

# SPDX-License-Identifier: Apache-2.0
"""Stopping a guest from outside: Ctrl-C, a timeout, Store.interrupt()."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

import anywasm

LOOPS = """
(module
  (import "host" "call" (func $call))
  (func (export "forever") (loop $again (br $again)))
  (func (export "forever_through_the_host") (loop $again (call $call) (br $again)))
  (func (export "one") (result i32) (i32.const 1)))
"""


@pytest.fixture
def interruptible(engine: anywasm.Engine) -> anywasm.Engine:
    return anywasm.Engine(engine.name, interruptible=True)


@pytest.fixture
def guest(interruptible: anywasm.Engine, wat: Callable[[str], bytes]) -> Callable[..., anywasm.Instance]:
    def make(**limits: float) -> anywasm.Instance:
        module = anywasm.Module(wat(LOOPS), interruptible)
        store = anywasm.Store(interruptible, **limits)  # type: ignore[arg-type]
        return anywasm.Instance(module, {"host": {"call": lambda: None}}, store)

    return make


def soon(function: Callable[[], object]) -> None:
    threading.Timer(0.1, function).start()


# Python 3.12 and newer say that forking with threads may go wrong: here is shown that it does not.
FORKS = pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")

FOREVER = ["forever", "forever_through_the_host"]


@pytest.mark.parametrize("name", FOREVER)
def test_ctrl_c_stops_a_loop_and_raises_keyboard_interrupt(guest: Callable[..., anywasm.Instance], name: str) -> None:
    exports = guest().exports
    soon(lambda: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        exports[name]()
    assert exports.one() == 1


def test_another_handler_of_sigint_decides_what_is_raised(guest: Callable[..., anywasm.Instance]) -> None:
    def handler(number: int, frame: object) -> None:
        raise RuntimeError("a handler of one's own")

    before = signal.signal(signal.SIGINT, handler)
    try:
        soon(lambda: os.kill(os.getpid(), signal.SIGINT))
        with pytest.raises(RuntimeError, match="of one's own"):
            guest().exports.forever()
    finally:
        signal.signal(signal.SIGINT, before)


def test_the_handler_of_sigint_is_the_programs_again_after_a_call(guest: Callable[..., anywasm.Instance]) -> None:
    assert guest().exports.one() == 1
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)
        threading.Event().wait(5)


@pytest.mark.parametrize("name", FOREVER)
def test_a_timeout_ends_a_call_and_leaves_the_store_usable(guest: Callable[..., anywasm.Instance], name: str) -> None:
    exports = guest(timeout=0.05).exports
    for _ in range(3):
        with pytest.raises(anywasm.LimitError, match="timeout of 0.05 s"):
            exports[name]()
        assert exports.one() == 1


@pytest.mark.parametrize("name", FOREVER)
def test_interrupt_from_another_thread_ends_the_call(guest: Callable[..., anywasm.Instance], name: str) -> None:
    instance = guest()
    soon(instance.store.interrupt)
    with pytest.raises(anywasm.LimitError, match="interrupt"):
        instance.exports[name]()
    assert instance.exports.one() == 1


def test_an_endless_start_function_is_stopped_and_leaves_the_store_usable(
    interruptible: anywasm.Engine, wat: Callable[[str], bytes]
) -> None:
    store = anywasm.Store(interruptible)
    endless = anywasm.Module(wat("(module (func $forever (loop $again (br $again))) (start $forever))"), interruptible)
    soon(store.interrupt)
    with pytest.raises(anywasm.LimitError, match="interrupt"):
        anywasm.Instance(endless, None, store)
    good = anywasm.Module(wat('(module (func (export "one") (result i32) (i32.const 1)))'), interruptible)
    assert anywasm.Instance(good, None, store).exports.one() == 1


def test_other_stores_of_the_engine_go_on(guest: Callable[..., anywasm.Instance]) -> None:
    stopped, other = guest(timeout=0.05), guest()
    finished = []
    thread = threading.Thread(target=lambda: finished.append([other.exports.one() for _ in range(20_000)]))
    thread.start()
    with pytest.raises(anywasm.LimitError):
        stopped.exports.forever()
    thread.join()
    assert finished == [[1] * 20_000]


def threads_now() -> int:
    return len(os.listdir("/proc/self/task"))


def test_a_thread_runs_only_while_a_deadline_is_pending(
    interruptible: anywasm.Engine, wat: Callable[[str], bytes]
) -> None:
    counts = []
    module = anywasm.Module(wat(LOOPS), interruptible)  # Wasmtime's compiler leaves threads of its own
    store = anywasm.Store(interruptible)

    def count_and_stop() -> None:
        counts.append(threads_now())
        raise StopIteration

    instance = anywasm.Instance(module, {"host": {"call": count_and_stop}}, store)
    threading.Event().wait(0.3)  # for the thread of the test before to end
    for timeout in (None, 60):
        store.timeout = timeout
        with pytest.raises(StopIteration):
            instance.exports.forever_through_the_host()
    assert counts[1] == counts[0] + 1
    for _ in range(200):
        if threads_now() <= counts[0]:
            return
        threading.Event().wait(0.05)
    pytest.fail("the thread is still there")


def test_many_deadlines_are_met_in_any_order(interruptible: anywasm.Engine, wat: Callable[[str], bytes]) -> None:
    module = anywasm.Module(wat(LOOPS), interruptible)
    over: list[float | None] = []

    def run(timeout: float) -> None:
        store = anywasm.Store(interruptible, timeout=timeout)
        try:
            anywasm.Instance(module, {"host": {"call": lambda: None}}, store).exports.forever()
        except anywasm.TimeoutExpired as error:
            over.append(error.allowed)

    timeouts = [0.3, 0.1, 0.25, 0.05, 0.2, 0.15]
    threads = [threading.Thread(target=run, args=(timeout,)) for timeout in timeouts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(over) == sorted(timeouts)


def test_a_call_whose_deadline_cannot_be_watched_does_not_run(
    engine: anywasm.Engine, wat: Callable[[str], bytes], compile_native: Callable[..., Path]
) -> None:
    library = compile_native(Path(__file__).parent / "counting" / "no_thread.c", "no_thread.so", "-shared", "-fPIC")
    code = f"""
import os, anywasm
engine = anywasm.Engine({engine.name!r}, interruptible=True)
module = anywasm.Module({wat('(module (func (export "forever") (loop (br 0))))')!r}, engine)
instance = anywasm.Instance(module, None, anywasm.Store(engine))
instance.store.timeout = 0.1
for _ in range(2):
    os.environ["NO_THREAD"] = "1"
    try:
        instance.exports.forever()
    except RuntimeError as error:
        print(error)
    del os.environ["NO_THREAD"]
    try:
        instance.exports.forever()
    except anywasm.TimeoutExpired as error:
        print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=os.environ | {"LD_PRELOAD": f"{os.environ.get('LD_PRELOAD', '')} {library}".strip()},
    )
    told = "can't start the thread that a timeout needs\nthe call was stopped: its timeout of 0.1 s is over\n"
    assert (done.stdout, done.stderr) == (told * 2, "")


@pytest.mark.parametrize("value", [0, -1, float("inf"), float("nan")])
def test_a_timeout_is_a_positive_number_of_seconds(interruptible: anywasm.Engine, value: float) -> None:
    with pytest.raises(ValueError, match="positive number of seconds"):
        anywasm.Store(interruptible, timeout=value)


def test_a_timeout_needs_an_interruptible_engine(engine: anywasm.Engine) -> None:
    with pytest.raises(anywasm.UnsupportedError, match="interruptible=True"):
        anywasm.Store(engine, timeout=1)
    with pytest.raises(anywasm.UnsupportedError, match="interruptible=True"):
        anywasm.Store(engine).interrupt()


@FORKS
def test_a_fork_with_a_deadline_pending_is_harmless(interruptible: anywasm.Engine, wat: Callable[[str], bytes]) -> None:
    statuses = []
    module = anywasm.Module(wat(LOOPS), interruptible)

    def fork() -> None:
        child = os.fork()
        if child == 0:
            store = anywasm.Store(interruptible, timeout=0.05)
            try:
                anywasm.Instance(module, {"host": {"call": lambda: None}}, store).exports.forever()
            except anywasm.LimitError:
                os._exit(0)
            finally:
                os._exit(1)
        statuses.append(os.waitpid(child, 0)[1])
        raise StopIteration

    store = anywasm.Store(interruptible, timeout=60)
    with pytest.raises(StopIteration):
        anywasm.Instance(module, {"host": {"call": fork}}, store).exports.forever_through_the_host()
    assert statuses == [0]


@FORKS
@pytest.mark.parametrize("name", FOREVER)
def test_a_deadline_holds_in_both_processes_after_a_fork(
    interruptible: anywasm.Engine, wat: Callable[[str], bytes], name: str
) -> None:
    """The call that forks goes on in the child, too."""
    module = anywasm.Module(
        wat("""
        (module
          (import "host" "call" (func $call))
          (func (export "forever") (call $call) (loop $again (br $again)))
          (func (export "forever_through_the_host") (loop $again (call $call) (br $again))))
        """),
        interruptible,
    )
    forked: list[int] = []
    store = anywasm.Store(interruptible, timeout=0.3)
    instance = anywasm.Instance(
        module, {"host": {"call": lambda: forked.append(os.fork()) if not forked else None}}, store
    )
    stopped = False
    try:
        instance.exports[name]()
    except anywasm.TimeoutExpired:
        stopped = True
    finally:
        if forked == [0]:
            os._exit(0 if stopped else 1)
    assert stopped
    assert os.waitpid(forked[0], 0)[1] == 0


def test_processes_that_multiprocessing_forks_have_deadlines_of_their_own(
    engine: anywasm.Engine, wat: Callable[[str], bytes]
) -> None:
    code = f"""
import multiprocessing, threading, time, anywasm
engine = anywasm.Engine({engine.name!r}, interruptible=True)
module = anywasm.Module({wat('(module (func (export "f") (loop (br 0))))')!r}, engine)

def run(timeout):
    try:
        anywasm.Instance(module, None, anywasm.Store(engine, timeout=timeout)).exports.f()
    except anywasm.TimeoutExpired as error:
        return error.allowed

thread = threading.Thread(target=run, args=(3,))
thread.start()
time.sleep(0.2)
with multiprocessing.get_context("fork").Pool(2) as pool:
    print(pool.map(run, [0.1, 0.2, 0.3]))
thread.join()
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", code],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("[0.1, 0.2, 0.3]\n", "")


@pytest.mark.parametrize("guest_code", ["(loop (br 0))", "(loop (call $call) (br 0))", "(call $sleep)"])
@pytest.mark.parametrize("timeout", [0.3, 60])
def test_python_ends_while_a_daemon_thread_has_a_deadline(
    engine: anywasm.Engine, wat: Callable[[str], bytes], guest_code: str, timeout: float
) -> None:
    text = f"""
    (module
      (import "host" "call" (func $call))
      (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
      (memory (export "memory") 1)
      (func $sleep (i32.store8 (i32.const 24) (i32.const 255)) (i64.store (i32.const 24) (i64.const 60000000000))
        (i32.store (i32.const 16) (i32.const 1))
        (drop (call $poll (i32.const 0) (i32.const 64) (i32.const 1) (i32.const 128))))
      (func (export "f") {guest_code}))
    """
    code = f"""
import threading, time, anywasm
engine = anywasm.Engine({engine.name!r}, interruptible=True)
module = anywasm.Module({wat(text)!r}, engine)
store = anywasm.Store(engine, timeout={timeout}, wasi=anywasm.Wasi())
instance = anywasm.Instance(module, {{"host": {{"call": lambda: time.sleep(0)}}}}, store)
threading.Thread(target=instance.exports.f, daemon=True).start()
time.sleep(0.25)
print("the end")
"""
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "the end\n", "")

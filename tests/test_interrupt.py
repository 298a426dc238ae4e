# SPDX-License-Identifier: Apache-2.0
"""Stopping a guest from outside: Ctrl-C, a timeout, Store.interrupt()."""

import os
import signal
import threading
from collections.abc import Callable

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


def test_no_thread_is_left_when_no_deadline_is_pending(guest: Callable[..., anywasm.Instance]) -> None:
    guest(timeout=60).exports.one()
    for _ in range(100):
        if len(os.listdir("/proc/self/task")) == threading.active_count():
            return
        threading.Event().wait(0.05)
    # Wasmtime's compiler keeps threads of its own: ours is named by nobody, so what counts is that it does not add up.
    before = len(os.listdir("/proc/self/task"))
    for _ in range(20):
        guest(timeout=60).exports.one()
    threading.Event().wait(0.2)
    assert len(os.listdir("/proc/self/task")) <= before


@pytest.mark.parametrize("value", [0, -1, float("inf"), float("nan")])
def test_a_timeout_is_a_positive_number_of_seconds(interruptible: anywasm.Engine, value: float) -> None:
    with pytest.raises(ValueError, match="positive number of seconds"):
        anywasm.Store(interruptible, timeout=value)


def test_a_timeout_needs_an_interruptible_engine(engine: anywasm.Engine) -> None:
    with pytest.raises(ValueError, match="interruptible=True"):
        anywasm.Store(engine, timeout=1)
    with pytest.raises(ValueError, match="interruptible=True"):
        anywasm.Store(engine).interrupt()


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

# SPDX-License-Identifier: Apache-2.0
"""Many threads at once: modules and engines are shared, stores are not. ANYWASM_HAMMER scales the work up."""

import operator
import os
import random
import sys
import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import anywasm

SCALE = int(os.environ.get("ANYWASM_HAMMER", "1"))
THREADS = 4

GUEST = """
(module
  (import "host" "f" (func $f (param i32) (result i32)))
  (import "host" "g" (func $g (param externref) (result externref)))
  (memory (export "memory") 1)
  (func (export "run") (param i32) (result i32) (i32.add (call $f (local.get 0)) (i32.const 1)))
  (func (export "pass_on") (param externref) (result externref) (call $g (local.get 0)))
  (func (export "trap") (drop (i32.div_u (i32.const 1) (i32.const 0))))
  (func (export "ask") (param i32)
    (loop $again
      (drop (call $f (local.get 0)))
      (local.set 0 (i32.sub (local.get 0) (i32.const 1)))
      (br_if $again (local.get 0))))
  (func (export "work") (param i32) (result i32) (local i32)
    (loop $again
      (local.set 1 (i32.add (i32.mul (local.get 1) (i32.const 31)) (local.get 0)))
      (local.set 0 (i32.sub (local.get 0) (i32.const 1)))
      (br_if $again (local.get 0)))
    (local.get 1))
)
"""


def host(f: Callable[..., Any]) -> dict[str, dict[str, Callable[..., Any]]]:
    return {"host": {"f": f, "g": f}}


@pytest.fixture
def module(engine: anywasm.Engine, wat: Callable[[str], bytes]) -> anywasm.Module:
    return anywasm.Module(wat(GUEST), engine)


@pytest.fixture(autouse=True)
def switch_often() -> Any:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


def in_threads(function: Callable[[int], Any]) -> list[Any]:
    """The results of function(0), function(1), … each in its own thread, begun at the same time."""
    barrier = threading.Barrier(THREADS)

    def run(number: int) -> Any:
        barrier.wait()
        return function(number)

    with ThreadPoolExecutor(THREADS) as pool:
        return [future.result() for future in [pool.submit(run, number) for number in range(THREADS)]]


def test_hammer_one_module_from_many_stores(module: anywasm.Module) -> None:
    def work(number: int) -> int:
        total = 0
        for turn in range(200 * SCALE):
            guest = anywasm.Instance(module, host(lambda x: x + number), anywasm.Store(module.engine))
            total += guest.exports.run(turn) - turn - 1 - number
            guest.exports.memory[0] = number
            total += guest.exports.memory[0] - number
        return total

    assert in_threads(work) == [0] * THREADS


@pytest.mark.parametrize("way", ["numbers", "references", "caller", "interruptible", "through another guest"])
def test_hammer_exceptions_reach_the_thread_that_they_belong_to(
    engine: anywasm.Engine, wat: Callable[[str], bytes], way: str
) -> None:
    """By all ways that calls take: 100,000 with ANYWASM_HAMMER=25."""
    if way == "interruptible":  # drops the GIL around each call
        engine = anywasm.Engine(engine.name, interruptible=True)
    module = anywasm.Module(wat(GUEST), engine)

    def work(number: int) -> int:
        wrong = 0
        store = anywasm.Store(engine)

        def f(value: Any) -> Any:
            if turn % 2:
                raise ValueError((number, turn))
            return value

        def with_caller(caller: anywasm.Caller, value: int) -> Any:
            assert len(caller.memory or b"") == 65536
            return f(value)

        def through_another(value: int) -> Any:
            return inner.exports.run(value - 1)

        host = {"f": f, "g": f}
        if way == "caller":
            host["f"] = anywasm.pass_caller(with_caller)
        if way == "through another guest":
            inner = anywasm.Instance(module, {"host": {"f": f, "g": f}}, store)
            host["f"] = through_another
        exports = anywasm.Instance(module, {"host": host}, store).exports
        for turn in range(1000 * SCALE):
            thing = object()
            try:
                if way == "references":
                    wrong += exports.pass_on(thing) is not thing
                else:
                    wrong += exports.run(turn) != turn + 1
            except ValueError as error:
                names = traceback.extract_tb(error.__traceback__)
                wrong += error.args != ((number, turn),) or names[-1].name != "f" or turn % 2 == 0
            else:
                wrong += turn % 2
        return wrong

    assert in_threads(work) == [0] * THREADS


def test_hammer_traps(module: anywasm.Module) -> None:
    def work(number: int) -> int:
        guest = anywasm.Instance(module, host(lambda x: x), anywasm.Store(module.engine))
        caught = 0
        for _ in range(300 * SCALE):
            try:
                guest.exports.trap()
            except anywasm.Trap as trap:
                caught += trap.code == "integer divide by zero"
        return caught

    assert in_threads(work) == [300 * SCALE] * THREADS


def test_hammer_compiling(engine: anywasm.Engine, wat: Callable[[str], bytes]) -> None:
    data = wat(GUEST)

    def work(number: int) -> int:
        good = 0
        for turn in range(20 * SCALE):
            good += len(anywasm.Module(data, engine).exports)
            try:
                anywasm.Module(data[: 9 + (number + turn) % 2], engine)
            except anywasm.CompileError:
                good += 1
        return good

    assert in_threads(work) == [20 * SCALE * 7] * THREADS


def test_hammer_one_store_gives_clear_errors_and_right_results(module: anywasm.Module) -> None:
    guest = anywasm.Instance(module, host(lambda x: x + sum(range(50))), anywasm.Store(module.engine))

    def work(number: int) -> set[str]:
        seen = set()
        for turn in range(500 * SCALE):
            try:
                result = guest.exports.run(turn)
            except RuntimeError as error:
                seen.add("thread" if "thread" in str(error) else str(error))
            else:
                seen.add("right" if result == turn + 1226 else f"wrong: {result}")
        return seen

    for seen in in_threads(work):
        assert seen <= {"right", "thread"}


def test_hammer_one_store_with_a_lock(module: anywasm.Module) -> None:
    guest = anywasm.Instance(module, host(lambda x: x), anywasm.Store(module.engine))
    lock = threading.Lock()

    def work(number: int) -> int:
        wrong = 0
        for turn in range(500 * SCALE):
            with lock:
                wrong += guest.exports.run(turn) != turn + 1
        return wrong

    assert in_threads(work) == [0] * THREADS


def test_hammer_everything_at_random(module: anywasm.Module) -> None:
    def work(number: int) -> int:
        rng = random.Random(number)
        guests: list[Any] = []
        done = 0
        for _ in range(300 * SCALE):
            action = rng.randrange(5)
            if action == 0 or not guests:
                guests.append(anywasm.Instance(module, host(lambda x: x), anywasm.Store(module.engine)))
            elif action == 1:
                guests.pop(rng.randrange(len(guests)))
            elif action == 2:
                done += rng.choice(guests).exports.run(1) == 2
            elif action == 3:
                memory = rng.choice(guests).exports.memory
                memoryview(memory)[rng.randrange(65536)] = 1
            else:
                try:
                    rng.choice(guests).exports.trap()
                except anywasm.Trap:
                    done += 1
        return done

    assert all(done > 0 for done in in_threads(work))


def assert_lets_others_run(function: Callable[[int], Any]) -> None:
    count = 10_000
    while True:  # long enough on any machine: more than a fifth of a second
        before = time.perf_counter()
        function(count)
        if time.perf_counter() - before > 0.2:
            break
        count *= 2
    ticks = 0
    finished = threading.Event()

    def call() -> None:
        for _ in range(2):
            function(count)
        finished.set()

    thread = threading.Thread(target=call)
    thread.start()
    while not finished.is_set():
        ticks += 1
        time.sleep(0.001)
    thread.join()
    assert ticks > 10  # were the GIL held all along, it would be one or two


def test_a_long_call_lets_other_threads_run(module: anywasm.Module) -> None:
    guest = anywasm.Instance(module, host(lambda x: x), anywasm.Store(module.engine))
    assert_lets_others_run(guest.exports.work)


def sized(work: Callable[[int], Any], seconds: float) -> int:
    """How much work takes so long, about."""
    count = 10_000
    while True:
        before = time.perf_counter()
        work(count)
        taken = time.perf_counter() - before
        if taken > 0.05:
            return int(count * seconds / taken)
        count *= 2


def ticks_during(function: Callable[[], Any]) -> int:
    """How often another thread comes to run meanwhile, once a millisecond at most."""
    ticks = 0
    finished = threading.Event()

    def call() -> None:
        try:
            function()
        finally:
            finished.set()

    thread = threading.Thread(target=call)
    thread.start()
    while not finished.is_set():
        ticks += 1
        time.sleep(0.001)
    thread.join()
    return ticks


def new_guest(module: anywasm.Module) -> anywasm.Instance:
    return anywasm.Instance(module, host(lambda x: x), anywasm.Store(module.engine))


def test_a_long_first_call_lets_other_threads_run(module: anywasm.Module) -> None:
    count = sized(new_guest(module).exports.work, 0.5)
    work = new_guest(module).exports.work
    assert ticks_during(lambda: work(count)) > 25


@pytest.mark.parametrize("short_calls", [1, 2, 3, 10])
def test_a_long_call_after_a_few_short_ones_lets_other_threads_run(module: anywasm.Module, short_calls: int) -> None:
    count = sized(new_guest(module).exports.work, 0.5)
    work = new_guest(module).exports.work

    def calls() -> None:
        for _ in range(short_calls):
            work(1)
            time.sleep(0.006)  # as between a server's requests
        work(count)

    assert ticks_during(calls) > 25


def test_what_was_called_in_a_loop_first_lets_other_threads_run_later(module: anywasm.Module) -> None:
    count = sized(new_guest(module).exports.work, 0.5)
    work = new_guest(module).exports.work
    for _ in range(1000):  # so often that most calls keep the GIL
        work(1)

    def calls() -> None:
        for _ in range(140):  # more than there are between two that are timed
            work(1)
            time.sleep(0.006)

    calls()
    assert ticks_during(lambda: work(count)) > 25


def test_two_guests_and_a_third_thread_run_at_the_same_time(module: anywasm.Module) -> None:
    count = sized(new_guest(module).exports.work, 0.001)
    guests = [new_guest(module).exports.work for _ in range(2)]  # each call is of a millisecond, also the first

    def both() -> None:
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda work: [work(count) for _ in range(300)], guests))

    assert ticks_during(both) > 25


class Callee:
    def method(self, x: int) -> int:
        return x


@pytest.mark.parametrize(
    "callee", [lambda x: x, Callee().method, operator.index], ids=["function", "method", "builtin"]
)
def test_a_call_that_often_calls_the_host_lets_other_threads_run(module: anywasm.Module, callee: Any) -> None:
    guest = anywasm.Instance(module, host(callee), anywasm.Store(module.engine))
    assert_lets_others_run(guest.exports.ask)


def test_a_thread_that_ended_leaves_its_store_usable(module: anywasm.Module) -> None:
    guests: list[Any] = []
    thread = threading.Thread(
        target=lambda: guests.append(anywasm.Instance(module, host(lambda x: x), anywasm.Store(module.engine)))
    )
    thread.start()
    thread.join()
    assert guests[0].exports.run(1) == 2
    with pytest.raises(anywasm.Trap):
        guests[0].exports.trap()


def test_a_store_may_die_in_another_thread(module: anywasm.Module) -> None:
    guests = [anywasm.Instance(module, host(lambda x: x), anywasm.Store(module.engine))]
    guests[0].exports.run(1)
    thread = threading.Thread(target=guests.clear)
    thread.start()
    thread.join()
    assert not guests

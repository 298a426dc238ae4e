# SPDX-License-Identifier: Apache-2.0
"""Pools of ready instances. ANYWASM_HAMMER scales the work of many threads up."""

import gc
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import anywasm

SCALE = int(os.environ.get("ANYWASM_HAMMER", "1"))

PLUGIN = """
(module
  (import "host" "call" (func $call (param i32) (result i32)))
  (memory (export "memory") 1)
  (global $count (mut i32) (i32.const 0))
  (func (export "count") (result i32)
    (global.set $count (i32.add (global.get $count) (i32.const 1))) (global.get $count))
  (func (export "ask") (param i32) (result i32) (call $call (local.get 0)))
  (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
  (func (export "trap") (unreachable))
  (func $deep (export "deep") (param i32) (result i32)
    (if (result i32) (local.get 0)
      (then (i32.add (i32.const 1) (call $deep (i32.sub (local.get 0) (i32.const 1)))))
      (else (i32.const 0))))
  (func (export "forever") (loop $again (br $again))))
"""

MakePool = Callable[..., anywasm.Pool]


@pytest.fixture
def module(engine: anywasm.Engine, wat: Callable[[str], bytes]) -> anywasm.Module:
    return anywasm.Module(wat(PLUGIN), engine)


def same(value: int) -> int:
    return value


@pytest.fixture
def make(module: anywasm.Module) -> Iterator[MakePool]:
    """make(size, …): a pool of the plugin, whose host function gives back what it gets."""
    made = []

    def pool(size: int = 2, imports: Any = None, source: Any = module, **settings: Any) -> anywasm.Pool:
        made.append(anywasm.Pool(source, size, imports or {"host": {"call": same}}, **settings))
        return made[-1]

    yield pool
    for one in made:
        one.close()


@pytest.fixture
def binary(wat: Callable[[str], bytes]) -> bytes:
    return wat(PLUGIN)


# --- what is in it ----------------------------------------------------------------------------------------------------


def test_instances_are_made_ahead(make: MakePool) -> None:
    assert make(3).stats == anywasm.PoolStats(3, 0, 0, 3, 0, 0, 0)


def test_an_instance_is_out_until_the_block_ends_and_then_replaced(make: MakePool) -> None:
    pool = make(2)
    with pool.get() as instance:
        assert instance.exports.ask(5) == 5
        assert (pool.stats.ready, pool.stats.in_use) == (1, 1)
    assert pool.stats == anywasm.PoolStats(ready=2, in_use=0, waiting=0, made=3, used=1, failed=0, timed_out=0)


def test_nothing_of_one_use_reaches_the_next(make: MakePool) -> None:
    pool = make(1)
    for _ in range(3):
        with pool.get() as instance:
            assert instance.exports.count() == 1
            assert instance.exports.memory[0] == 0
            instance.exports.memory[0] = 1


def test_what_was_given_back_is_closed(make: MakePool) -> None:
    with make().get() as instance:
        pass
    assert instance.store.closed
    with pytest.raises(ValueError, match="the store is closed"):
        instance.exports.count()


def test_a_pool_compiles_what_it_is_given(engine: anywasm.Engine, binary: bytes) -> None:
    with anywasm.Pool(binary, 1, {"host": {"call": same}}, engine=engine.name) as pool, pool.get() as instance:
        assert instance.exports.ask(3) == 3
        assert pool.module.engine.name == engine.name


def test_the_initialize_function_of_a_library_has_been_called(
    engine: anywasm.Engine, wat: Callable[[str], bytes]
) -> None:
    text = """(module (global $ready (mut i32) (i32.const 0))
      (func (export "_initialize") (global.set $ready (i32.const 1)))
      (func (export "ready") (result i32) (global.get $ready)))"""
    with anywasm.Pool(anywasm.Module(wat(text), engine), 1) as pool, pool.get() as instance:
        assert instance.exports.ready() == 1


def test_prepare_is_called_with_each_new_instance(make: MakePool) -> None:
    def prepare(instance: anywasm.Instance) -> None:
        instance.exports.memory[0] = 7

    pool = make(1, prepare=prepare)
    for _ in range(2):
        with pool.get() as instance:
            assert instance.exports.memory[0] == 7


def test_imports_may_be_made_for_each_store(engine: anywasm.Engine, wat: Callable[[str], bytes]) -> None:
    if "imported_memory" not in engine.capabilities:
        pytest.skip("no memory can be imported")
    text = (
        '(module (import "m" "m" (memory 1)) (func (export "at") (param i32) (result i32) (i32.load8_u (local.get 0))))'
    )
    stores = []

    def imports(store: anywasm.Store) -> dict[str, dict[str, Any]]:
        stores.append(store)
        memory = anywasm.Memory(anywasm.MemoryType(1), store)
        memory[3] = len(stores)
        return {"m": {"m": memory}}

    with anywasm.Pool(anywasm.Module(wat(text), engine), 1, imports) as pool:
        for number in (1, 2):
            with pool.get() as instance:
                assert instance.exports.at(3) == number


def test_a_library_with_wasi_writes_to_what_it_is_given(engine: anywasm.Engine, wat: Callable[[str], bytes]) -> None:
    text = """(module
      (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
      (memory (export "memory") 1) (data (i32.const 16) "hi\\0a")
      (data (i32.const 0) "\\10\\00\\00\\00\\03\\00\\00\\00")
      (func (export "greet") (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))"""
    written: list[bytes] = []

    class Stream:
        def write(self, data: bytes) -> None:
            written.append(data)

    with anywasm.Pool(anywasm.Module(wat(text), engine), 2, wasi=anywasm.Wasi(stdout=Stream())) as pool:
        for _ in range(3):
            with pool.get() as instance:
                instance.exports.greet()
    assert written == [b"hi\n"] * 3


# --- waiting ----------------------------------------------------------------------------------------------------------


def test_more_are_made_where_more_are_allowed(make: MakePool) -> None:
    pool = make(1, max_size=3)
    leases = [pool.get() for _ in range(3)]
    assert pool.stats.made == 3
    for lease in leases:
        lease.release()
    assert (pool.stats.ready, pool.stats.in_use) == (1, 0)


def test_none_has_to_be_made_ahead(make: MakePool) -> None:
    pool = make(0, max_size=1)
    assert pool.stats.made == 0
    with pool.get() as instance:
        assert instance.exports.count() == 1
    assert pool.stats[:2] == (0, 0)
    assert make(0).max_size == 1


@pytest.mark.parametrize("timeout", [0, 0.01, -1])
def test_a_timeout_error_when_none_is_free_in_time(make: MakePool, timeout: float) -> None:
    pool = make(1)
    with pool.get(), pytest.raises(TimeoutError, match="no instance is free: all 1 are in use"):
        pool.get(timeout=timeout)
    assert pool.stats.timed_out == 1
    assert pool.stats.waiting == 0
    with pool.get(timeout=timeout) as instance:
        assert instance.exports.count() == 1


def test_who_waits_gets_what_is_given_back(make: MakePool) -> None:
    pool = make(1)
    lease = pool.get()
    with ThreadPoolExecutor(1) as threads:

        def use() -> int:
            with pool.get(timeout=30) as instance:
                result: int = instance.exports.ask(9)
                return result

        waits = threads.submit(use)
        while pool.stats.waiting == 0:
            time.sleep(0.001)
        assert not waits.done()
        lease.release()
        assert waits.result() == 9


def test_hammer_a_pool(make: MakePool) -> None:
    pool = make(2, max_size=3)
    out = []

    def work(number: int) -> int:
        wrong = 0
        for turn in range(150 * SCALE):
            try:
                with pool.get() as instance:
                    out.append(instance)
                    wrong += len(out) > 3
                    wrong += instance.exports.count() != 1
                    wrong += instance.exports.ask(turn) != turn
                    out.remove(instance)
                    if turn % 5 == 0:
                        instance.exports.trap()
                    if turn % 7 == 0:
                        raise KeyError(number, turn)
            except anywasm.Trap:
                wrong += turn % 5 != 0
            except KeyError as error:
                wrong += error.args != (number, turn)
        return wrong

    with ThreadPoolExecutor(6) as threads:
        assert list(threads.map(work, range(6))) == [0] * 6
    assert (pool.stats.in_use, pool.stats.waiting, pool.stats.used) == (0, 0, 900 * SCALE)
    assert 0 <= pool.stats.ready <= 2


# --- keeping ----------------------------------------------------------------------------------------------------------


def test_an_instance_is_kept_where_that_is_asked_for(make: MakePool) -> None:
    pool = make(1, reset="keep")
    for number in (1, 2, 3):
        with pool.get() as instance:
            assert instance.exports.count() == number
    assert pool.stats.made == 1


def test_a_function_may_reset_an_instance(make: MakePool) -> None:
    def reset(instance: anywasm.Instance) -> None:
        instance.exports.memory[0] = 0

    pool = make(1, reset=reset)
    for number in (1, 2, 3):
        with pool.get() as instance:
            assert instance.exports.memory[0] == 0
            assert instance.exports.count() == number
            instance.exports.memory[0] = 5


def test_what_a_reset_raises_comes_out_and_the_instance_is_replaced(make: MakePool) -> None:
    def reset(instance: anywasm.Instance) -> None:
        raise RuntimeError("not clean")

    pool = make(1, reset=reset)
    with pytest.raises(RuntimeError, match="not clean"), pool.get() as instance:
        instance.exports.count()
    assert instance.store.closed
    assert pool.stats.failed == 1
    lease = pool.get(timeout=0)
    assert lease.instance.exports.count() == 1
    lease.release(reuse=False)


@pytest.mark.parametrize("caught", [False, True])
@pytest.mark.parametrize(
    "fail", [lambda instance: instance.exports.trap(), lambda instance: instance.exports.ask(-1)], ids=["trap", "host"]
)
def test_a_kept_instance_is_replaced_after_a_call_failed(
    make: MakePool, fail: Callable[[anywasm.Instance], None], caught: bool
) -> None:
    def call(value: int) -> int:
        if value < 0:
            raise LookupError
        return value

    pool = make(1, {"host": {"call": call}}, reset="keep")
    lease = pool.get()
    lease.instance.exports.count()
    with pytest.raises((anywasm.Trap, LookupError)):
        if caught:
            fail(lease.instance)
        else:
            with lease as instance:
                fail(instance)
    lease.release()
    with pool.get() as instance:
        assert instance.exports.count() == 1


def test_a_kept_instance_is_replaced_after_any_exception_in_the_block(make: MakePool) -> None:
    pool = make(1, reset="keep")
    with pytest.raises(ConnectionError), pool.get() as instance:
        instance.exports.count()
        raise ConnectionError
    with pool.get() as instance:
        assert instance.exports.count() == 1


def test_a_kept_instance_is_replaced_while_somebody_sees_its_memory(make: MakePool) -> None:
    pool = make(1, reset="keep")
    with pool.get() as instance:
        instance.exports.count()
        view = memoryview(instance.exports.memory)
    with pool.get() as instance:
        assert instance.exports.count() == 1
        instance.exports.memory[0] = 9
    assert view[0] == 0


def test_a_kept_instance_is_replaced_on_demand(make: MakePool) -> None:
    pool = make(1, reset="keep")
    lease = pool.get()
    lease.instance.exports.count()
    lease.release(reuse=False)
    with pool.get() as instance:
        assert instance.exports.count() == 1


def test_an_interruption_does_not_reach_the_next_use(engine: anywasm.Engine, make: MakePool, binary: bytes) -> None:
    pool = make(1, source=anywasm.Module(binary, anywasm.Engine(engine.name, interruptible=True)), reset="keep")
    with pool.get():
        pool.interrupt()
    with pool.get() as instance:
        assert instance.exports.count() == 1


# --- limits -----------------------------------------------------------------------------------------------------------


def test_memory_is_limited(make: MakePool) -> None:
    with make(memory=2 << 16).get() as instance:
        assert instance.exports.grow(1) == 1
        assert instance.exports.grow(1) == -1


@pytest.mark.parametrize("reset", ["replace", "keep"])
def test_fuel_is_that_of_each_use(engine: anywasm.Engine, make: MakePool, binary: bytes, reset: str) -> None:
    pool = make(1, source=binary, engine=engine.name, fuel=100_000, reset=reset)
    for _ in range(3):
        with pool.get() as instance:
            assert instance.store.fuel == 100_000
            assert instance.exports.deep(100) == 100
            assert instance.store.fuel < 100_000
            if reset == "replace":
                with pytest.raises(anywasm.LimitError):
                    instance.exports.forever()


def test_time_is_limited_and_the_next_use_is_not_touched(engine: anywasm.Engine, make: MakePool, binary: bytes) -> None:
    pool = make(1, source=binary, engine=engine.name, timeout=0.05, reset="keep")
    for _ in range(2):
        with pytest.raises(anywasm.LimitError), pool.get(timeout=0) as instance:
            instance.exports.forever()
        with pool.get(timeout=0) as instance:
            assert instance.exports.count() == 1


def test_the_stack_is_limited(engine: anywasm.Engine, make: MakePool, binary: bytes) -> None:
    def depth(stack: int) -> int:
        good, bad = 0, 1_000_000
        pool = make(1, source=binary, engine=engine.name, stack=stack)
        while bad - good > 1:
            middle = (good + bad) // 2
            try:
                with pool.get() as instance:
                    instance.exports.deep(middle)
                good = middle
            except anywasm.Trap:
                bad = middle
        return good

    assert 0 < depth(64 << 10) < depth(256 << 10)


def test_an_engine_with_room_for_fewer_is_refused(engine: anywasm.Engine, make: MakePool, binary: bytes) -> None:
    if "pooling" not in next(info for info in anywasm.engines() if info.name == engine.name).capabilities:
        pytest.skip("the engine makes no room ahead")
    module = anywasm.Module(binary, anywasm.Engine(engine.name, pooling=2))
    with pytest.raises(ValueError, match="pooling=2.*max_size=3"):
        make(3, source=module)
    pool = make(2, source=module)
    for _ in range(5):
        with pool.get() as one, pool.get() as two:
            assert one.exports.count() == two.exports.count() == 1


# --- errors -----------------------------------------------------------------------------------------------------------


def test_the_first_instances_raise_where_the_pool_is_made(make: MakePool) -> None:
    with pytest.raises(anywasm.LinkError):
        make(1, {"host": {}})
    with pytest.raises(anywasm.LimitError):
        make(1, memory=100)


def test_where_one_cannot_be_made_ahead_the_next_get_raises(make: MakePool) -> None:
    broken: list[bool] = []

    def prepare(instance: anywasm.Instance) -> None:
        if broken:
            raise OSError("no")

    pool = make(1, prepare=prepare)
    with pool.get():
        broken.append(True)
    assert (pool.stats.ready, pool.stats.in_use, pool.stats.failed) == (0, 0, 1)
    for _ in range(2):
        with pytest.raises(OSError, match="no"):
            pool.get(timeout=0)
    assert pool.stats.in_use == 0
    broken.clear()
    with pool.get(timeout=0):
        pass
    assert pool.stats.ready == 1


@pytest.mark.parametrize("raised", [KeyboardInterrupt, SystemExit])
def test_an_order_to_end_comes_out_of_making_one_ahead(make: MakePool, raised: type[BaseException]) -> None:
    ends: list[bool] = []

    def prepare(instance: anywasm.Instance) -> None:
        if ends:
            raise raised

    pool = make(1, prepare=prepare)
    with pytest.raises(raised), pool.get():
        ends.append(True)
    ends.clear()
    with pool.get(timeout=0) as instance:
        assert instance.exports.count() == 1


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        ({"size": -1}, ValueError, "size: expected at least 0"),
        ({"size": 2.5}, TypeError, "size: expected an int, got float"),
        ({"size": True}, TypeError, "size: expected an int, got bool"),
        ({"size": 3, "max_size": 2}, ValueError, "max_size: expected at least 3"),
        ({"size": 0, "max_size": 0}, ValueError, "max_size: expected at least 1"),
        ({"reset": "never"}, ValueError, "reset: expected .*'never'"),
        ({"prepare": 3}, TypeError, "prepare: expected a callable or None, got int"),
        ({"timeout": 1.0}, (ValueError, anywasm.UnsupportedError), "interruptible=True"),
        ({"fuel": 1}, (ValueError, anywasm.UnsupportedError), "fuel=True"),
    ],
    ids=str,
)
def test_a_wrong_setting_is_refused(make: MakePool, settings: dict[str, Any], error: Any, words: str) -> None:
    with pytest.raises(error, match=words):
        make(**settings)


def test_a_lease_that_was_given_back_is_of_no_use(make: MakePool) -> None:
    pool = make(1)
    lease = pool.get()
    assert repr(lease) == "<anywasm.Lease: in use>"
    lease.release()
    lease.release()
    assert repr(lease) == "<anywasm.Lease: given back>"
    with pytest.raises(ValueError, match="given back"), lease:
        pass
    assert pool.stats[:2] == (1, 0)


def test_a_lease_that_was_dropped_is_given_back_with_a_warning(make: MakePool) -> None:
    pool = make(1)
    leases = [pool.get()]
    with pytest.warns(ResourceWarning, match="Lease was dropped"):
        leases.clear()
    with pool.get(timeout=0) as instance:
        assert instance.exports.count() == 1


def test_an_instance_that_still_runs_elsewhere_is_let_go(make: MakePool) -> None:
    inside, go = threading.Event(), threading.Event()

    def call(value: int) -> int:
        inside.set()
        go.wait(30)
        return value

    pool = make(1, {"host": {"call": call}})
    with ThreadPoolExecutor(1) as threads:
        with pool.get() as instance:
            running = threads.submit(instance.exports.ask, 4)
            inside.wait(30)
        with pool.get(timeout=0) as other:
            assert other is not instance
            assert other.exports.count() == 1
        go.set()
        assert running.result() == 4


# --- the end ----------------------------------------------------------------------------------------------------------


def test_a_closed_pool_gives_nothing(make: MakePool) -> None:
    with make(2) as pool:
        assert not pool.closed
        assert repr(pool) == "<anywasm.Pool: 2 ready, 0 in use, 2 at most>"
    assert pool.closed
    assert repr(pool) == "<anywasm.Pool: closed>"
    for use in (pool.get, pool.__enter__):
        with pytest.raises(ValueError, match="the pool is closed"):
            use()
    pool.close()
    assert pool.stats.ready == 0


@pytest.mark.parametrize("reset", ["replace", "keep"])
def test_what_is_out_when_the_pool_is_closed_is_closed_when_it_comes_back(make: MakePool, reset: str) -> None:
    pool = make(2, reset=reset)
    with pool.get() as instance:
        pool.close()
        assert instance.exports.count() == 1
    assert instance.store.closed
    assert pool.stats[:4] == (0, 0, 0, 2)


def test_who_waits_when_the_pool_is_closed_gets_an_error(make: MakePool) -> None:
    pool = make(1)
    with pool.get(), ThreadPoolExecutor(2) as threads:
        waits = [threads.submit(pool.get) for _ in range(2)]
        while pool.stats.waiting < 2:
            time.sleep(0.001)
        pool.close()
        for one in waits:
            with pytest.raises(ValueError, match="the pool is closed"):
                one.result(timeout=30)


def test_interrupt_ends_what_runs(engine: anywasm.Engine, make: MakePool, binary: bytes) -> None:
    pool = make(2, source=anywasm.Module(binary, anywasm.Engine(engine.name, interruptible=True)))

    def use(_: int) -> str:
        with pool.get() as instance:
            try:
                instance.exports.forever()
            except anywasm.LimitError as error:
                return str(error)
        return "it ended"

    with ThreadPoolExecutor(2) as threads:
        running = threads.map(use, range(2))
        while pool.stats.in_use < 2:
            time.sleep(0.001)
        pool.interrupt()
        assert all("interrupt" in said for said in running)


def test_interrupt_needs_an_interruptible_engine(make: MakePool) -> None:
    with pytest.raises(ValueError, match="interruptible=True"):
        make().interrupt()


def test_the_child_of_a_fork_has_an_empty_pool_of_its_own(make: MakePool) -> None:
    pool = make(2, max_size=3)
    with pool.get() as instance:
        child = os.fork()
        if child == 0:
            status = 1
            try:
                assert instance.exports.count() == 1
                assert pool.stats == (0,) * 7
                with pool.get() as other:
                    assert other.exports.count() == 1
                assert pool.stats[:2] == (2, 0)
                status = 0
            finally:
                os._exit(status)
        assert os.waitpid(child, 0)[1] == 0
        assert pool.stats[:2] == (1, 1)
        assert instance.exports.count() == 1
    assert pool.stats[:2] == (2, 0)


def test_a_lease_of_the_parents_ends_quietly_in_the_child(make: MakePool) -> None:
    pool = make(1)
    lease = pool.get()
    with pool._rooms[os.getpid()].changed:  # as if another thread had been there
        child = os.fork()
        if child == 0:
            lease.release()
            assert lease.instance.store.closed
            os._exit(pool.stats.ready)
    assert os.waitpid(child, 0)[1] == 0
    lease.release()
    assert pool.stats.ready == 1


def test_a_pool_may_be_dropped_with_everything_in_it(make: MakePool, module: anywasm.Module) -> None:
    pool = anywasm.Pool(module, 2, {"host": {"call": same}})
    lease = pool.get()
    del pool
    assert lease.instance.exports.count() == 1
    lease.release()


def test_a_process_may_end_with_a_pool_in_use(engine: anywasm.Engine, binary: bytes) -> None:
    code = f"""import anywasm
pool = anywasm.Pool({binary!r}, 2, {{"host": {{"call": abs}}}}, engine={engine.name!r}, timeout=60)
lease = pool.get()
assert lease.instance.exports.ask(-1) == 1"""
    done = subprocess.run([sys.executable, "-X", "dev", "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")
    assert "ignored" not in done.stderr  # as in "Exception ignored in"; that the lease was dropped may be told


def resident() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")


@pytest.mark.parametrize("reset", ["replace", "keep"])
def test_memory_stays_flat_over_many_uses(make: MakePool, reset: str) -> None:
    uses = 100_000 if SCALE > 1 else 5_000

    def use(pool: anywasm.Pool, count: int) -> None:
        for turn in range(count):
            try:
                with pool.get() as instance:
                    instance.exports.memory[0] = 1
                    if turn % 10 == 0:
                        instance.exports.trap()
            except anywasm.Trap:
                pass

    pool = make(2, reset=reset)
    use(pool, 2_000)
    gc.collect()
    before, blocks = resident(), sys.getallocatedblocks()
    use(pool, uses)
    gc.collect()
    assert resident() - before < 4 << 20
    assert sys.getallocatedblocks() - blocks < 2_000

# SPDX-License-Identifier: Apache-2.0
"""Sub-interpreters: those that share the GIL have all of it, those with their own learn that they cannot.

Each case is a process of its own, so that a crash is one failed test.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Callable

import pytest

import anywasm

# Runs programs in sub-interpreters, by whatever this Python calls that. `PRELUDE` is what each program can use.
RUNNER = """
import sys
if sys.version_info >= (3, 13):
    import _interpreters as interpreters

    def create(own_gil=False):
        return interpreters.create("isolated" if own_gil else "legacy")

    def run(interpreter, program):
        failure = interpreters.run_string(interpreter, PRELUDE + program)
        if failure is not None:
            raise RuntimeError(failure.formatted)
else:
    import _xxsubinterpreters as interpreters

    def create(own_gil=False):
        return interpreters.create(isolated=own_gil)

    def run(interpreter, program):
        interpreters.run_string(interpreter, PRELUDE + program)

destroy = interpreters.destroy
"""

GUEST = """
(module
  (import "host" "call" (func $call (param i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "ask") (param i32) (result i32) (call $call (local.get 0)))
  (func (export "same") (param externref) (result externref) (local.get 0))
  (func (export "trap") (unreachable))
  (func (export "forever") (loop $again (br $again)))
  (func (export "spin") (param i32)
    (loop $again (br_if $again (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))))
"""

PRELUDE = """
import anywasm, threading
binary = bytes.fromhex({binary!r})
name = {engine!r}

def guest(call=lambda x: x + 1, **limits):
    engine = anywasm.Engine(name, interruptible=bool(limits))
    store = anywasm.Store(engine, **limits)
    return anywasm.Instance(anywasm.Module(binary, engine), {{"host": {{"call": call}}}}, store).exports

def fails(x):
    raise LookupError(x)

def raises(kind, function, *arguments):
    try:
        function(*arguments)
    except kind:
        return
    raise AssertionError(kind)

def everything():
    exports = guest()
    assert exports.ask(1) == 2
    something = object()
    assert exports.same(something) is something
    memoryview(exports.memory)[0] = 1
    raises(LookupError, guest(fails).ask, 1)
    raises(anywasm.Trap, exports.trap)
    raises(anywasm.LimitError, guest(timeout=0.05).forever)
    raises(anywasm.CompileError, anywasm.Module, b"no", anywasm.Engine(name))
    with anywasm.Pool(binary, 2, {{"host": {{"call": fails}}}}, engine=name) as pool:
        with pool.get() as instance:
            instance.exports.spin(1000)
"""


@pytest.fixture
def process(engine: anywasm.Engine, wat: Callable[[str], bytes]) -> Callable[..., subprocess.CompletedProcess[str]]:
    prelude = PRELUDE.format(binary=wat(GUEST).hex(), engine=engine.name)

    def start(program: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-X", "faulthandler", "-c", f"PRELUDE = {prelude!r}\n{RUNNER}\n{program}"],
            env={**os.environ, "PYTHONWARNINGS": "ignore"},  # 3.12 deprecates the module's name
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return start


def check(done: subprocess.CompletedProcess[str], printed: str = "") -> None:
    assert (done.returncode, done.stderr, done.stdout) == (0, "", printed)


EVERYTHING_IN_MAIN = """
exec(PRELUDE)
everything()
"""


@pytest.mark.parametrize("order", ["main first", "main last", "main never"])
def test_everything_works_in_one_after_another(process, order):
    program = """
for _ in range(3):
    interpreter = create()
    run(interpreter, "everything()")
    destroy(interpreter)
"""
    if order == "main first":
        program = EVERYTHING_IN_MAIN + program + "everything()\n"
    elif order == "main last":
        program += EVERYTHING_IN_MAIN
    check(process(program))


def test_several_live_at_the_same_time(process):
    check(
        process(
            """
living = [create() for _ in range(4)]
for interpreter in living:
    run(interpreter, "everything(); mine = guest(); first = mine.memory; first[0] = 5")
destroy(living.pop(0))
exec(PRELUDE)
everything()
for interpreter in living * 2:
    run(interpreter, "assert first[0] == 5; assert mine.ask(2) == 3; raises(anywasm.Trap, mine.trap); everything()")
for interpreter in reversed(living):
    destroy(interpreter)
everything()
"""
        )
    )


def test_one_may_end_with_everything_alive(process):
    check(
        process(
            """
for _ in range(3):
    interpreter = create()
    run(interpreter, '''
everything()
kept = [guest(), guest(timeout=60), anywasm.Pool(binary, 2, {"host": {"call": fails}}, engine=name)]
lease = kept[2].get()
view = memoryview(kept[0].memory)
cycle = []
cycle.append(guest(lambda x: len(cycle)))
kept[1].ask(1)
''')
    destroy(interpreter)
run(create(), "everything(); left = guest()")
"""
        )
    )


def test_they_have_threads(process):
    check(
        process(
            """
interpreter = create()
run(interpreter, '''
done = []
def work():
    everything()
    guest().spin(3_000_000)
    done.append(True)
threads = [threading.Thread(target=work) for _ in range(3)]
for thread in threads: thread.start()
for thread in threads: thread.join()
assert done == [True] * 3
''')
destroy(interpreter)
"""
        )
    )


def test_they_run_beside_each_other_in_threads(process):
    check(
        process(
            """
import threading
failed = []
def work():
    interpreter = create()
    try:
        for _ in range(3):
            run(interpreter, "everything(); guest().spin(1_000_000)")
    except BaseException as error:
        failed.append(error)
    destroy(interpreter)
threads = [threading.Thread(target=work) for _ in range(3)]
for thread in threads: thread.start()
exec(PRELUDE)
everything()
for thread in threads: thread.join()
assert not failed, failed
"""
        )
    )


def test_ctrl_c_ends_a_loop_in_one(process):
    check(
        process(
            """
import threading
try:
    run(create(), '''
import os, signal
exports = guest(timeout=60)
try:
    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
    exports.forever()
except anywasm.LimitError:
    print("stopped", flush=True)
''')
    threading.Event().wait(60)
except KeyboardInterrupt:
    print("Ctrl-C", flush=True)
"""
        ),
        "stopped\nCtrl-C\n",
    )


@pytest.mark.skipif(sys.version_info < (3, 12), reason="interpreters share the GIL")
def test_one_with_a_gil_of_its_own_learns_that_it_cannot(process):
    check(
        process(
            """
exec(PRELUDE)
for _ in range(2):
    interpreter = create(own_gil=True)
    try:
        run(interpreter, "")
    except Exception as error:
        assert "anywasm._core does not support loading in subinterpreters" in str(error), error
    else:
        raise AssertionError
    destroy(interpreter)
everything()
"""
        )
    )


def test_a_process_that_ends_by_a_signal_would_fail_here(process):
    assert process("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)").returncode == -signal.SIGSEGV

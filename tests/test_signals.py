# SPDX-License-Identifier: Apache-2.0
"""A trap is a trap, and a crash is a crash, whoever wants the signals: engines, faulthandler, the package wasmtime.

Each case is a process of its own that takes steps in some order, then traps in every engine that it made, in the main
thread and in another, and says so. At last it crashes for real, which has to end it by the signal, with faulthandler's
report exactly if that is enabled.
"""

import importlib.util
import itertools
import os
import signal
import subprocess
import sys

import pytest

import anywasm

TRAPS = """
    (module
      (memory 1)
      (func (export "out of bounds memory access") (drop (i32.load (i32.const 70000))))
      (func $recurse (export "call stack exhausted") (call $recurse))
      (func (export "integer divide by zero") (param i32) (drop (i32.div_s (i32.const 1) (local.get 0))))
      (func (export "unreachable") unreachable))
"""

PROGRAM = """
import ctypes, faulthandler, os, signal, sys, threading

enable = faulthandler.enable  # taken before any engine was made
binary = bytes.fromhex(sys.argv[1])
made = []

def trap_anywasm(module):
    import anywasm
    instance = anywasm.Instance(module, store=anywasm.Store(module.engine))
    for name in instance.exports:
        try:
            instance.exports[name](*[0] * len(instance.exports[name].type.parameters))
        except anywasm.Trap as trap:
            assert trap.code == name, (trap.code, name)
        else:
            raise SystemExit(f"{name}: no trap")

def trap_package(made):
    import wasmtime
    engine, module = made
    store = wasmtime.Store(engine)
    exports = wasmtime.Instance(store, module, []).exports(store)
    for name, export in exports.items():
        if isinstance(export, wasmtime.Func):
            try:
                export(store, *[0] * len(export.type(store).params))
            except wasmtime.Trap:
                pass
            else:
                raise SystemExit(f"{name}: no trap")

def make_anywasm(name):
    import anywasm
    made.append((trap_anywasm, anywasm.Module(binary, anywasm.Engine(name))))

def make_package():
    import wasmtime
    engine = wasmtime.Engine()
    made.append((trap_package, (engine, wasmtime.Module(engine, binary))))

def trap():
    for use, module in made:
        use(module)

def trap_in_thread():
    thread = threading.Thread(target=trap)
    thread.start()
    thread.join()

def fork():
    if os.fork():
        os.wait()
        os._exit(0)

def in_subinterpreter():
    arguments = ["", sys.argv[1], sys.argv[2], "enable", "trap"]
    program = f"import sys; sys.argv = {arguments!r}; source = {source!r}; exec(source)"
    if sys.version_info >= (3, 13):
        import _interpreters as interpreters
        failure = interpreters.run_string(interpreters.create("legacy"), program)
        assert failure is None, failure
    else:
        import _xxsubinterpreters as interpreters
        interpreters.run_string(interpreters.create(isolated=False), program)

steps = {
    "wamr": lambda: make_anywasm("wamr"),
    "wasmtime": lambda: make_anywasm("wasmtime"),
    "package": make_package,
    "forget": made.clear,
    "enable": enable,
    "disable": faulthandler.disable,
    "default": lambda: signal.signal(signal.SIGSEGV, signal.SIG_DFL),
    "ignore": lambda: signal.signal(signal.SIGSEGV, signal.SIG_IGN),
    "trap": trap,
    "trap_in_thread": trap_in_thread,
    "say": lambda: print("trapped", len(made), flush=True),
    "fork": fork,
    "in_subinterpreter": in_subinterpreter,
    "crash": lambda: ctypes.string_at(0),
    "crash_in_thread": lambda: threading.Thread(target=ctypes.string_at, args=(0,)).start(),
    "send": lambda: os.kill(os.getpid(), signal.SIGSEGV),
    "send_fpe": lambda: os.kill(os.getpid(), signal.SIGFPE),
}
for step in sys.argv[2:]:
    steps[step]()
"""

REPORT = "Fatal Python error: Segmentation fault"
AVAILABLE = {info.name for info in anywasm.engines() if info.available}
needs_package = pytest.mark.skipif(importlib.util.find_spec("wasmtime") is None, reason="wasmtime is not installed")


@pytest.fixture(scope="module")
def take(wat):
    """take(*steps): the finished process, with faulthandler as the flags and the environment say."""
    binary = wat(TRAPS).hex()

    def run(*steps: str, flags: tuple[str, ...] = (), **environment: str) -> subprocess.CompletedProcess[str]:
        for step in steps:
            if step in {"wamr", "wasmtime"} and step not in AVAILABLE:
                pytest.skip(f"engine {step} is not here")
        ours = {"PYTHONFAULTHANDLER", "PYTHONDEVMODE"}
        clean = {name: value for name, value in os.environ.items() if name not in ours}
        return subprocess.run(
            [sys.executable, *flags, "-c", f"source = {PROGRAM!r}\nexec(source)", binary, *steps],
            env=clean | environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run


def check_traps_then_crash(
    done: subprocess.CompletedProcess[str], engines: int, enabled: bool, number: int = signal.SIGSEGV
) -> None:
    assert done.stdout == f"trapped {engines}\n", done.stderr
    assert done.returncode == -number, done.stderr
    assert done.stderr.count("Fatal Python error") == int(enabled), done.stderr


STEPS = ("wamr", "wasmtime", "package", "enable")
ORDERS = [order for count in range(1, 5) for order in itertools.permutations(STEPS, count)]
ORDERS = [order for order in ORDERS if "enable" in order and {"wamr", "wasmtime"} & set(order)]


@needs_package
@pytest.mark.parametrize("order", ORDERS, ids="-".join)
def test_traps_are_traps_and_a_crash_is_reported_in_any_order(take, order):
    done = take(*order, "trap", "trap_in_thread", "say", "crash")
    check_traps_then_crash(done, len(order) - 1, enabled=True)


@needs_package
@pytest.mark.parametrize(
    "order",
    [
        "wamr wasmtime package enable disable",
        "enable wamr disable wasmtime",
        "enable wasmtime disable package wamr",
        "package enable disable wasmtime wamr",
        "package enable wasmtime disable",
        "wasmtime trap enable trap disable trap package",
        "wamr enable wasmtime disable enable disable",
        "wasmtime default",
        "wamr enable default",
    ],
)
def test_a_crash_without_faulthandler_is_silent(take, order):
    steps = order.split()
    done = take(*steps, "trap_in_thread", "trap", "say", "crash")
    check_traps_then_crash(done, len({"wamr", "wasmtime", "package"} & set(steps)), enabled=False)


@needs_package
@pytest.mark.parametrize(
    "order", ["enable package disable forget wasmtime", "enable package disable forget wamr wasmtime enable"]
)
def test_wasmtime_traps_where_the_handlers_of_its_library_were_lost(take, order):
    # faulthandler has put back what it found before the package came: nothing leads to the library's handlers any more.
    steps = order.split()
    done = take(*steps, "trap", "trap_in_thread", "say", "crash")
    check_traps_then_crash(done, len({"wamr", "wasmtime"} & set(steps)), enabled=steps[-1] == "enable")


@needs_package
@pytest.mark.parametrize(
    "order",
    [
        "wasmtime enable enable",
        "enable wasmtime disable enable",
        "wamr enable disable enable package",
        "package enable wamr disable enable wasmtime",
        "enable package wasmtime disable enable",
        "default wasmtime enable",
    ],
)
def test_faulthandler_can_be_enabled_again(take, order):
    steps = order.split()
    done = take(*steps, "trap", "trap_in_thread", "say", "crash")
    check_traps_then_crash(done, len({"wamr", "wasmtime", "package"} & set(steps)), enabled=True)


@pytest.mark.parametrize("name", ["wamr", "wasmtime"])
@pytest.mark.parametrize(
    ("flags", "environment"),
    [(("-X", "faulthandler"), {}), (("-X", "dev"), {}), ((), {"PYTHONFAULTHANDLER": "1"})],
    ids=["-X faulthandler", "-X dev", "PYTHONFAULTHANDLER"],
)
def test_faulthandler_from_the_start_is_kept(take, name, flags, environment):
    done = take(name, "trap", "trap_in_thread", "say", "crash", flags=flags, **environment)
    check_traps_then_crash(done, 1, enabled=True)


@pytest.mark.parametrize("name", ["wamr", "wasmtime"])
def test_faulthandler_from_the_start_can_be_disabled(take, name):
    done = take(name, "trap", "disable", "trap", "trap_in_thread", "say", "crash", flags=("-X", "faulthandler"))
    check_traps_then_crash(done, 1, enabled=False)


@pytest.mark.parametrize("name", ["wamr", "wasmtime"])
def test_a_crash_in_another_thread_is_reported(take, name):
    done = take("enable", name, "trap_in_thread", "say", "crash_in_thread")
    check_traps_then_crash(done, 1, enabled=True)


@pytest.mark.parametrize("name", ["wamr", "wasmtime"])
@pytest.mark.parametrize(("step", "number"), [("send", signal.SIGSEGV), ("send_fpe", signal.SIGFPE)])
@pytest.mark.parametrize("enabled", [False, True], ids=["disabled", "enabled"])
def test_a_signal_that_was_sent_ends_the_process(take, name, step, number, enabled):
    done = take(name, *["enable"] * enabled, "trap", "say", step)
    check_traps_then_crash(done, 1, enabled, number)


@pytest.mark.parametrize("name", ["wamr", "wasmtime"])
def test_an_ignored_signal_that_was_sent_is_ignored(take, name):
    done = take(name, "ignore", "send", "trap", "say")
    assert (done.stdout, done.stderr, done.returncode) == ("trapped 1\n", "", 0)


@pytest.mark.parametrize("name", ["wamr", "wasmtime"])
def test_traps_are_traps_after_a_fork(take, name):
    done = take("enable", name, "trap", "fork", "trap", "trap_in_thread", "say", "crash")
    assert done.stdout == "trapped 1\n", done.stderr
    assert done.stderr.count(REPORT) == 1


@pytest.mark.parametrize("name", ["wamr", "wasmtime"])
def test_an_exit_with_everything_alive_is_clean(take, name):
    done = take("enable", name, "trap", "trap_in_thread", "say")
    assert (done.stdout, done.stderr, done.returncode) == ("trapped 1\n", "", 0)


@pytest.mark.parametrize("name", ["wamr", "wasmtime"])
def test_subinterpreters_share_the_handlers(take, name):
    done = take(name, "in_subinterpreter", "trap", "trap_in_thread", "say", "crash")
    check_traps_then_crash(done, 1, enabled=True)

# SPDX-License-Identifier: Apache-2.0
"""How cases are told, and how they are measured: in turns, by the fastest round, without the loop's cost.

A case is a function that gets the name of a system and gives its `Way`: a statement that does what the case is about.
Of each case all systems run in one process, round by round, so that whatever disturbs the machine disturbs all of
them; the cost of the loop is measured beside each and taken off. Several processes repeat that, since one process may
be lucky with its addresses. A ratio is that of the fastest rounds within one process, and the median of all processes.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import importlib
import itertools
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyperf

FOLDER = Path(__file__).parent
TOPICS = (
    "calls",
    "clib",
    "host_functions",
    "recursion",
    "exports",
    "memory",
    "instances",
    "start",
    "programs",
    "kernels",
    "threads",
    "resident",
)

# Systems, in the order of the table's columns. "anywasm" stands for what does not depend on the engine, or chooses it.
OURS = ("anywasm-wasmtime", "anywasm-wamr")
CLIB = ("clib-wasmtime", "clib-wamr")
WASM = (*OURS, "wasmtime-py", "pywasm3", "wasmer")
NATIVE = ("cffi", "ctypes")
SYSTEMS = ("python", "anywasm", *CLIB, *WASM, *NATIVE)

PROCESSES = 5
ROUNDS = 15
ROUND_SECONDS = 0.002
LEAST = 1e-11  # seconds, when the loop cost as much as the loop with the statement: pyperf wants no zero


class Missing(Exception):  # noqa: N818
    """A system cannot do a case, or is not here; the message says why."""


@dataclass(frozen=True)
class Way:
    """How one system does what a case is about."""

    statement: str
    names: Mapping[str, Any] = field(default_factory=dict)  # what the statement uses
    inner: int = 1  # how many times the statement does it
    empty: str = "pass"  # a statement that costs what is to be taken off, the loop beside it
    clock: Callable[[], float] | None = None  # instead of the statement: does it, and tells what it took
    check: str | None = None  # an expression whose value tells that the statement did it; else its own value does
    keep: Any = None  # what has to live as long

    def answer(self) -> Any:
        names = dict(self.names)
        if self.check is not None:
            exec(self.statement, names)
        return eval(self.check or self.statement, names)


@dataclass(frozen=True)
class Bar:
    """What a system is to reach: at most *limit* times what *against* takes; without that, *limit* seconds or bytes."""

    system: str
    limit: float
    against: str | None = "python"


@dataclass(frozen=True)
class Case:
    topic: str
    name: str
    make: Callable[[str], Way]
    systems: tuple[str, ...]
    baseline: str
    bars: tuple[Bar, ...]
    rounds: int
    processes: int
    unit: str  # of pyperf's: second or byte

    @property
    def key(self) -> str:
        return f"{self.topic}: {self.name}"


CASES: dict[str, Case] = {}


def case(
    name: str,
    systems: tuple[str, ...],
    *,
    baseline: str = "python",
    bars: tuple[Bar, ...] = (),
    rounds: int = ROUNDS,
    processes: int = PROCESSES,
    unit: str = "second",
) -> Callable[[Callable[[str], Way]], Callable[[str], Way]]:
    """Tells a case; its topic is the name of the file."""

    def tell(make: Callable[[str], Way]) -> Callable[[str], Way]:
        topic = Path(make.__code__.co_filename).stem
        told = Case(topic, name, make, systems, baseline, bars, rounds, processes, unit)
        CASES[told.key] = told
        return make

    return tell


def load() -> list[Case]:
    """All cases of all topics."""
    if str(FOLDER) not in sys.path:
        sys.path.insert(0, str(FOLDER))
    for topic in TOPICS:
        importlib.import_module(topic)
    return list(CASES.values())


def ways(case: Case, systems: tuple[str, ...] = SYSTEMS) -> tuple[dict[str, Way], dict[str, Exception]]:
    """Each system's way to do a case, and why some have none."""
    found: dict[str, Way] = {}
    missing: dict[str, Exception] = {}
    for system in case.systems:
        if system not in systems:
            continue
        try:
            found[system] = case.make(system)
        except Exception as error:  # noqa: BLE001, peers fail in ways of their own
            missing[system] = error
    return found, missing


# --- measuring ------------------------------------------------------------------------------------------------------


def timer(statement: str, names: Mapping[str, Any]) -> Callable[[int], float]:
    """A function that tells how many seconds some turns of the statement take.

    Each has code of its own, with the names as local variables: the interpreter adapts code to what it runs, and one
    loop for all systems would be adapted to the first.
    """
    locals = ", ".join(f"{name}={name}" for name in names)
    source = (
        f"def measure(_count, *, {locals + ', ' if locals else ''}_repeat=_repeat, _clock=_clock):\n"
        "    _turns = _repeat(None, _count)\n"
        "    _start = _clock()\n"
        "    for _ in _turns:\n"
        f"        {statement}\n"
        "    return _clock() - _start\n"
    )
    scope: dict[str, Any] = dict(names) | {"_repeat": itertools.repeat, "_clock": time.perf_counter}
    exec(source, scope)
    return scope["measure"]


class Stopwatch:
    """Measures one way, a round at a time."""

    def __init__(self, way: Way, seconds: float = ROUND_SECONDS) -> None:
        self.way = way
        if way.clock is not None:
            self.count = 1
            return
        self.full = timer(way.statement, way.names)
        self.empty = timer(way.empty, way.names)
        count = 1
        while (taken := min(self.full(count) for _ in range(3))) < seconds / 4:  # the first turn may warm something up
            count *= 4
        self.count = max(1, int(count * seconds / taken))

    def round(self) -> float:
        """How many seconds it takes to do it once."""
        if self.way.clock is not None:
            return max(LEAST, self.way.clock() / self.way.inner)
        if self.count == 1 and self.way.empty == "pass":
            return max(LEAST, self.full(1) / self.way.inner)
        loop = min(self.empty(self.count) for _ in range(2))
        return max(LEAST, (self.full(self.count) - loop) / self.count / self.way.inner)


def measure(case: Case, systems: tuple[str, ...]) -> tuple[dict[str, list[float]], dict[str, Exception]]:
    """Rounds of each system, and the reasons of those that are missing."""
    found, missing = ways(case, systems)
    gc.collect()
    gc.freeze()  # what the cases before left behind costs the collector no time in this one
    try:
        watches: dict[str, Stopwatch] = {}
        for system, way in found.items():
            try:
                watches[system] = Stopwatch(way)
            except Exception as error:  # noqa: BLE001, as above
                missing[system] = error
        values: dict[str, list[float]] = {system: [] for system in watches}
        for _ in range(case.rounds):
            for system, watch in watches.items():
                values[system].append(float(f"{watch.round():.4g}"))
    finally:
        gc.unfreeze()
    return values, missing


# --- processes and results ------------------------------------------------------------------------------------------


def versions() -> Iterator[tuple[str, str]]:
    import importlib.metadata

    for name in ("anywasm", "wasmtime", "pywasm3", "wasmer", "cffi"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            yield name, importlib.metadata.version(name)


def told(why: Exception) -> str:
    return str(why) if isinstance(why, (Missing, ImportError)) else f"{type(why).__name__}: {why}"


def benchmark_name(case: Case, system: str) -> str:
    return f"{case.key} [{system}]"


def work(cases: list[Case], systems: tuple[str, ...], output: str) -> None:
    """What a worker process does: it measures cases and writes a suite."""
    machine = pyperf.Run([1.0]).get_metadata()  # collecting it takes long: once a process
    facts = {name: value for name, value in machine.items() if name not in ("name", "unit", "loops")}
    facts["packages"] = ", ".join(f"{name} {version}" for name, version in versions())
    benchmarks = []
    for case in cases:
        values, missing = measure(case, systems)
        for system, rounds in values.items():
            about = {"name": benchmark_name(case, system), "topic": case.topic, "case": case.name, "system": system}
            about["unit"] = case.unit
            if missing:
                about["missing"] = "; ".join(f"{name}: {told(why)}" for name, why in missing.items())
            run = pyperf.Run(rounds, metadata=facts | about, collect_metadata=False)
            benchmarks.append(pyperf.Benchmark([run]))
    if benchmarks:
        pyperf.BenchmarkSuite(benchmarks).dump(output, replace=True)


def measured(cases: list[Case], systems: tuple[str, ...]) -> pyperf.BenchmarkSuite:
    """The suite of all processes together."""
    total: pyperf.BenchmarkSuite | None = None
    for suite in processes(cases, systems):
        if total is None:
            total = suite
        else:
            total.add_runs(suite)
    if total is None:
        raise SystemExit("nothing was measured")
    return total


def processes(cases: list[Case], systems: tuple[str, ...]) -> Iterator[pyperf.BenchmarkSuite]:
    topics = list(dict.fromkeys(case.topic for case in cases))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "suite.json"
        for turn in range(max(case.processes for case in cases)):
            for topic in topics:
                chosen = [case.key for case in cases if case.topic == topic and turn < case.processes]
                if not chosen:
                    continue
                command = [sys.executable, os.fspath(FOLDER), "--work", os.fspath(file), "--systems", ",".join(systems)]
                done = subprocess.run([*command, *chosen], check=False)
                if done.returncode != 0:
                    print(f"{topic}: the process ended with {done.returncode}", file=sys.stderr)
                elif file.exists():
                    yield pyperf.BenchmarkSuite.load(os.fspath(file))
                    file.unlink()


def fastest(suite: pyperf.BenchmarkSuite, case: Case, system: str) -> list[float] | None:
    """The fastest round of each process."""
    name = benchmark_name(case, system)
    if name not in suite.get_benchmark_names():
        return None
    return [min(run.values) for run in suite.get_benchmark(name).get_runs()]


def beside(baseline: str, system: str) -> str:
    """The name of a baseline that was measured once more, in a run that a system needs for itself."""
    return f"{baseline} beside {system}"


def figure(suite: pyperf.BenchmarkSuite, case: Case, system: str) -> float | None:
    """Seconds or bytes: of the fastest round in a process, the median of all processes."""
    found = fastest(suite, case, system)
    return None if found is None else statistics.median(found)


def ratio(suite: pyperf.BenchmarkSuite, case: Case, system: str, against: str) -> float | None:
    """How much longer a system takes than another: in each process by itself, and the median of these."""
    ours = fastest(suite, case, system)
    theirs = fastest(suite, case, beside(against, system)) or fastest(suite, case, against)
    if ours is None or theirs is None:
        return None
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=False))


# --- the command ----------------------------------------------------------------------------------------------------


def choose(words: list[str]) -> list[Case]:
    cases = load()
    if not words:
        return cases
    chosen = [
        case for case in cases if any(word == case.topic if word in TOPICS else word in case.name for word in words)
    ]
    if not chosen:
        raise SystemExit(f"no case is called {' or '.join(words)}; there are:\n" + "\n".join(c.name for c in cases))
    return chosen


def main(*default: str) -> None:
    """The command line of `python benchmarks` and of each file."""
    parser = argparse.ArgumentParser(prog="python benchmarks", description="Measures anywasm beside its peers.")
    parser.add_argument("case", nargs="*", default=list(default), help="a topic, or a part of a case's name")
    parser.add_argument("--json", metavar="FILE", help="write what was measured, in pyperf's format")
    parser.add_argument("--wasmer", metavar="PYTHON", help="a Python 3.10 that adds wasmer: see wasmer_column.py")
    parser.add_argument("--publish", action="store_true", help="write tables and plots into docs/benchmarks")
    parser.add_argument("--systems", type=lambda text: tuple(text.split(",")), default=SYSTEMS, help="a,b,c")
    parser.add_argument("--work", metavar="FILE", help=argparse.SUPPRESS)  # in a process of its own: cases by key
    arguments = parser.parse_args()
    if arguments.work:
        load()
        work([CASES[key] for key in arguments.case], arguments.systems, arguments.work)
        return
    from report import publish, show

    if arguments.publish and arguments.case:
        raise SystemExit("--publish needs all cases")
    cases = choose(arguments.case)
    suite = measured(cases, arguments.systems)
    if arguments.wasmer and any("wasmer" in case.systems for case in cases):
        for benchmark in wasmer_column(arguments.wasmer, arguments.case):
            suite.add_benchmark(benchmark)
    if arguments.json:
        suite.dump(arguments.json, replace=True)
    show(suite)
    if arguments.publish:
        publish(suite)


def wasmer_column(executable: str, words: list[str]) -> pyperf.BenchmarkSuite:
    """What another Python measured, which has the package wasmer."""
    with tempfile.TemporaryDirectory() as folder:
        file = os.fspath(Path(folder) / "wasmer.json")
        subprocess.run([executable, os.fspath(FOLDER / "wasmer_column.py"), file, *words], check=True)
        return pyperf.BenchmarkSuite.load(file)

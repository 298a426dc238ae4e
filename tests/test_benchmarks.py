# SPDX-License-Identifier: Apache-2.0
"""The benchmarks measure what they say: each case runs on all systems that are here, and they give the same answer."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import anywasm
import harness
import report
from harness import CLIB, OURS, Case

CASES = harness.load()


@pytest.fixture(autouse=True)
def _a_small_program(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the place of one that takes ten seconds to compile."""
    hello = Path(__file__).parent.parent / "examples" / "hello.wasm"
    monkeypatch.setattr("programs.gojq", lambda: hello)


def plain(value: Any) -> Any:
    """An answer without what systems do in ways of their own: several results in a list, say."""
    if isinstance(value, (bytearray, memoryview)):
        return bytes(value)
    if isinstance(value, Sequence) and not isinstance(value, (bytes, str)):
        return tuple(map(plain, value))
    return value


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.key)
def test_all_systems_give_the_same_answer(case: Case) -> None:
    found, missing = harness.ways(case)
    for error in missing.values():
        if not isinstance(error, (harness.Missing, ImportError)):
            raise error
    answers = {system: plain(way.answer()) for system, way in found.items()}
    expected = answers.get(case.baseline, next(iter(answers.values())))
    assert answers == dict.fromkeys(answers, expected)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.key)
def test_our_systems_do_each_case_that_names_them(case: Case) -> None:
    here = {f"{way}-{info.name}" for way in ("anywasm", "clib") for info in anywasm.engines() if info.available}
    _, missing = harness.ways(case, (*(here & {*OURS, *CLIB}), "anywasm"))
    assert missing == {}


def test_a_system_that_is_not_here_is_told_as_missing() -> None:
    def make(system: str) -> harness.Way:
        if system == "python":
            return harness.Way("1")
        raise ImportError("no peer here")

    case = Case("topic", "name", make, ("python", "peer"), "python", (), 2, 1, "second")
    values, missing = harness.measure(case, ("python", "peer"))
    assert list(values) == ["python"]
    assert str(missing["peer"]) == "no peer here"
    assert len(values["python"]) == 2


def test_a_slow_first_turn_does_not_make_rounds_short() -> None:
    pauses = iter([0.05])
    names = {"pauses": pauses, "sleep": time.sleep}
    assert harness.Stopwatch(harness.Way("sleep(next(pauses)) if pauses.__length_hint__() else 0", names)).count > 10


def test_a_word_chooses_a_topic_or_else_a_part_of_a_name() -> None:
    assert {case.topic for case in harness.choose(["memory"])} == {"memory"}
    assert {case.topic for case in harness.choose(["externref"])} == {"calls", "host_functions"}
    with pytest.raises(SystemExit, match="no case is called nonsense"):
        harness.choose(["nonsense"])


@pytest.fixture
def suite(tmp_path: Path) -> Any:
    """What a worker process measures of one case."""
    pyperf = pytest.importorskip("pyperf")
    case = harness.CASES["calls: () -> ()"]
    harness.work([case], ("python", *OURS, "wasmer"), str(tmp_path / "suite.json"))
    return pyperf.BenchmarkSuite.load(str(tmp_path / "suite.json"))


def test_the_table_has_a_column_for_each_system_and_the_bars(suite: Any, capsys: pytest.CaptureFixture[str]) -> None:
    report.show(suite)
    titles, topic, line, *_ = capsys.readouterr().out.splitlines()
    assert titles.split()[:2] == ["case", "python"]
    assert topic.strip() == "calls"
    assert "met, bar 1.50" in line or "anywasm-wasmtime" not in titles


def test_what_is_missing_is_listed_with_its_reason(suite: Any) -> None:
    if "calls: () -> () [wasmer]" in suite.get_benchmark_names():
        pytest.skip("wasmer is here")
    assert "wasmer: No module named 'wasmer' (() -> ())" in report.missing(suite)


def test_results_are_published_as_tables_and_plots(suite: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.setattr(report, "DOCS", tmp_path / "docs")
    report.publish(suite)
    assert sorted(path.name for path in (tmp_path / "docs").iterdir()) == ["calls.svg", "results.md"]
    assert "## Calls" in (tmp_path / "docs" / "results.md").read_text()

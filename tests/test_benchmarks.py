# SPDX-License-Identifier: Apache-2.0
"""The benchmarks measure what they say: each case runs on all systems that are here, and they give the same answer."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import anywasm
import harness
from harness import OURS, Case

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
    here = {f"anywasm-{info.name}" for info in anywasm.engines() if info.available}
    _, missing = harness.ways(case, (*(here & set(OURS)), "anywasm"))
    assert missing == {}


def test_a_system_that_is_not_here_is_told_as_missing() -> None:
    def make(system: str) -> harness.Way:
        if system == "python":
            return harness.Way("1")
        raise ImportError("no peer here")

    case = Case("topic", "name", make, ("python", "peer"), "python", (), 2, 1)
    values, missing = harness.measure(case, ("python", "peer"))
    assert list(values) == ["python"]
    assert str(missing["peer"]) == "no peer here"
    assert len(values["python"]) == 2

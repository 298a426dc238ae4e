# SPDX-License-Identifier: Apache-2.0
"""The specification's own test suite, a test per file and engine. The runner is runner.py; run.py runs it by hand."""

from collections.abc import Callable
from functools import lru_cache

import pytest

import anywasm
from spec import runner

SUITE = runner.suite()


@lru_cache(maxsize=None)
def judge_for(engine: anywasm.Engine) -> anywasm.Engine | None:
    return runner.judge_for(engine)


@pytest.mark.skipif(SUITE is None, reason="the suite is not here; set ANYWASM_SPEC to its folder")
@pytest.mark.parametrize("name", runner.file_names(SUITE) if SUITE else ["core"])
def test_every_assertion_holds_but_for_known_gaps(
    engine: anywasm.Engine, name: str, record_property: Callable[[str, object], None]
) -> None:
    assert SUITE is not None
    outcome = runner.run_file(SUITE / name, engine, judge_for(engine))
    record_property("spec", (engine.name, name.partition("/")[0], outcome))
    gaps = runner.known_gaps(engine.name).get(name, {})
    failures = [failure for failure in outcome.failures if failure.line not in gaps]
    assert not failures, "\n".join(f"{name}:{line}: {command}: {text}" for line, command, text in failures)
    healed = sorted(set(gaps) & outcome.passed_lines)
    assert not healed, f"lines {healed} of {name} pass: take them off known_gaps_{engine.name}.txt"


@pytest.mark.skipif(SUITE is None, reason="the suite is not here; set ANYWASM_SPEC to its folder")
def test_known_gaps_name_files_and_lines_of_the_suite(engine: anywasm.Engine) -> None:
    assert SUITE is not None
    for name, lines in runner.known_gaps(engine.name).items():
        assert set(lines) <= {command["line"] for command in runner.commands(SUITE / name)}, name
        assert all(lines.values()), f"{name}: a known gap without a reason"

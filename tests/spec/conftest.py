# SPDX-License-Identifier: Apache-2.0
"""The figures of the specification's suite at the end of a test run."""

from collections import Counter

import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    figures: dict[tuple[str, str], Counter[str]] = {}
    for status in ("passed", "failed"):
        for report in terminalreporter.stats.get(status, ()):
            for key, value in getattr(report, "user_properties", ()):
                if key == "spec":
                    engine, part, outcome = value
                    counter = figures.setdefault((engine, part), Counter())
                    counter.update(passed=outcome.passed, failed=outcome.failed, skipped=sum(outcome.skipped.values()))
    if figures:
        terminalreporter.section("specification suite")
        terminalreporter.write_line(f"{'engine':<10} {'part':<8} {'passed':>8} {'failed':>8} {'skipped':>8}")
        for (engine, part), counter in sorted(figures.items()):
            terminalreporter.write_line(
                f"{engine:<10} {part:<8} {counter['passed']:>8} {counter['failed']:>8} {counter['skipped']:>8}"
            )

# SPDX-License-Identifier: Apache-2.0
"""What was measured, as one table: a case a line, the ratio to its baseline, the bars beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import harness
from harness import SYSTEMS, Bar, Case

if TYPE_CHECKING:
    import pyperf

UNITS = (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6), ("ns", 1e-9))


def duration(seconds: float) -> str:
    unit, size = next((entry for entry in UNITS if seconds >= entry[1]), UNITS[-1])
    return f"{seconds / size:.3g} {unit}"


def factor(value: float) -> str:
    return (
        f"{value:.2g}"
        if value < 0.1
        else f"{value:.2f}"
        if value < 10
        else f"{value:.1f}"
        if value < 100
        else f"{value:.0f}"
    )


def cells(suite: pyperf.BenchmarkSuite, case: Case) -> dict[str, str]:
    """For each system that did the case: the baseline's time, the ratio of the others to it."""
    found = {}
    for system in SYSTEMS:
        seconds = harness.seconds(suite, case, system)
        if seconds is None:
            continue
        ratio = None if system == case.baseline else harness.ratio(suite, case, system, case.baseline)
        found[system] = duration(seconds) if ratio is None else factor(ratio)
    return found


def verdict(suite: pyperf.BenchmarkSuite, case: Case, bar: Bar) -> tuple[bool, str] | None:
    """Whether a bar is met, and the words for it; None when it was not measured."""
    if bar.against is None:
        value = harness.seconds(suite, case, bar.system)
        shown, limit = ("", "") if value is None else (duration(value), duration(bar.limit))
    else:
        value = harness.ratio(suite, case, bar.system, bar.against)
        against = "" if bar.against == case.baseline else f" x {bar.against}"
        shown, limit = ("", "") if value is None else (factor(value), f"{bar.limit:g}{against}")
    if value is None:
        return None
    met = value <= bar.limit
    return met, f"{bar.system} {shown} {'≤' if met else '>'} {limit}: {'met' if met else 'not met'}"


def missing(suite: pyperf.BenchmarkSuite) -> list[str]:
    """Why systems have no figure: a line for each reason."""
    reasons: dict[str, list[str]] = {}
    for benchmark in suite:
        about = benchmark.get_metadata()
        for text in filter(None, about.get("missing", "").split("; ")):
            names = reasons.setdefault(text, [])
            if about["case"] not in names:
                names.append(about["case"])
    return [
        f"{text} ({len(names)} cases)" if len(names) > 3 else f"{text} ({', '.join(names)})"
        for text, names in reasons.items()
    ]


def show(suite: pyperf.BenchmarkSuite) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    cases = [case for case in harness.load() if cells(suite, case)]
    systems = [system for system in SYSTEMS if any(system in cells(suite, case) for case in cases)]
    console = Console()
    if not console.is_terminal:
        console = Console(width=220, color_system=None)
    table = Table(box=None, pad_edge=False)
    for title in ("case", *systems, "bars"):
        table.add_column(title, justify="left" if title in ("case", "bars") else "right", no_wrap=True)
    topic = None
    for case in cases:
        if case.topic != topic:
            topic = case.topic
            table.add_row(Text(topic, style="bold"))
        found = cells(suite, case)
        bars = Text("\n").join(
            Text(result[1], style="green" if result[0] else "red")
            for bar in case.bars
            if (result := verdict(suite, case, bar)) is not None
        )
        table.add_row("  " + case.name, *(found.get(system, "-") for system in systems), bars)
    console.print(table)
    console.print("\nTimes are the baseline's, figures the ratio to it; - is missing or does not apply.")
    for line in missing(suite):
        console.print(f"- {line}", markup=False, highlight=False)

# SPDX-License-Identifier: Apache-2.0
"""What was measured, as one table for a terminal, and as tables and plots for the documentation."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import harness
from harness import CLIB, FOLDER, OURS, SYSTEMS, Bar, Case

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyperf

UNITS = {
    "second": (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6), ("ns", 1e-9)),
    "byte": (("MB", 1e6), ("kB", 1e3), ("B", 1.0)),
}
DOCS = FOLDER.parent / "docs" / "benchmarks"
COLOURS = {
    "python": "#3465a4",
    "anywasm": "#d12e9e",
    "anywasm-wasmtime": "#cc0000",
    "anywasm-wamr": "#f57900",
    "clib-wasmtime": "#c4a000",
    "clib-wamr": "#8f5902",
    "wasmtime-py": "#75507b",
    "pywasm3": "#4e9a06",
    "wasmer": "#888a85",
    "cffi": "#06989a",
    "ctypes": "#2e3436",
}


def amount(value: float, unit: str) -> str:
    if unit == "byte" and value < 2:
        return "0 B"  # pyperf knows no zero
    units = UNITS[unit]
    name, size = next((entry for entry in units if value >= entry[1] * 0.9995), units[-1])
    return f"{value / size:.3g} {name}"


def factor(value: float) -> str:
    if value < 0.1:
        return f"{value:.2g}"
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:.0f}"


def cells(suite: pyperf.BenchmarkSuite, case: Case) -> dict[str, tuple[float | None, float]]:
    """For each system that did the case: its ratio to the baseline, and what it took."""
    found = {}
    for system in SYSTEMS:
        if (figure := harness.figure(suite, case, system)) is not None:
            ratio = None if system == case.baseline else harness.ratio(suite, case, system, case.baseline)
            found[system] = (ratio, figure)
    return found


def verdict(suite: pyperf.BenchmarkSuite, case: Case, bar: Bar) -> tuple[bool, str, str] | None:
    """Whether a bar is met, the figure, and the bar in words; None when it was not measured."""
    if bar.against is None:
        value = harness.figure(suite, case, bar.system)
    else:
        value = harness.ratio(suite, case, bar.system, bar.against)
    if value is None:
        return None
    if bar.against is None:
        return value <= bar.limit, amount(value, case.unit), amount(bar.limit, case.unit)
    of = "" if bar.against == case.baseline else f" x {bar.against}"
    return value <= bar.limit, factor(value), factor(bar.limit) + of


def verdicts(suite: pyperf.BenchmarkSuite, case: Case) -> Iterator[tuple[Bar, bool, str, str]]:
    for bar in case.bars:
        result = verdict(suite, case, bar)
        if result is not None:
            yield bar, *result


def measured(suite: pyperf.BenchmarkSuite) -> tuple[dict[str, list[Case]], list[str]]:
    """The cases that are in a suite, by topic, and the systems."""
    topics: dict[str, list[Case]] = {}
    used = set()
    for case in harness.load():
        if found := cells(suite, case):
            topics.setdefault(case.topic, []).append(case)
            used |= set(found)
    return topics, [system for system in SYSTEMS if system in used]


def missing(suite: pyperf.BenchmarkSuite) -> list[str]:
    """Why systems have no figure: a line for each reason."""
    reasons: dict[str, list[str]] = {}
    for benchmark in suite:
        about = benchmark.get_metadata()
        for line in filter(None, about.get("missing", "").split("; ")):
            names = reasons.setdefault(line, [])
            if about["case"] not in names:
                names.append(about["case"])
    present = {benchmark.get_metadata()["system"] for benchmark in suite}
    return [
        f"{line} ({f'{len(names)} cases' if len(names) > 3 else ', '.join(names)})"
        for line, names in reasons.items()
        if not (line.partition(":")[0] in present and "No module named" in line)
    ]


# --- for a terminal ---------------------------------------------------------------------------------------------------


def show(suite: pyperf.BenchmarkSuite) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    topics, systems = measured(suite)
    console = Console()
    if not console.is_terminal:
        console = Console(width=250, color_system=None)
    table = Table(box=None, pad_edge=False)
    for title in ("case", *systems, "bars"):
        table.add_column(title, justify="left" if title in ("case", "bars") else "right", no_wrap=True)
    for topic, cases in topics.items():
        table.add_row(Text(topic, style="bold"))
        for case in cases:
            found = cells(suite, case)
            figures = [
                "-" if system not in found else amount(found[system][1], case.unit) if ratio is None else factor(ratio)
                for system in systems
                for ratio in [found.get(system, (None, 0.0))[0]]
            ]
            bars = Text("\n").join(
                Text(f"{bar.system} {figure}: {bar_words(met, limit)}", style="green" if met else "red")
                for bar, met, figure, limit in verdicts(suite, case)
            )
            table.add_row("  " + case.name, *figures, bars)
    console.print(table)
    notes = ["\nFigures with a unit are the baseline's, the others the ratio to it; - is missing or does not apply."]
    console.print("\n- ".join(notes + missing(suite)), markup=False, highlight=False)


def bar_words(met: bool, limit: str) -> str:
    return f"met, bar {limit}" if met else f"NOT met, bar {limit}"


# --- for the documentation --------------------------------------------------------------------------------------------


def publish(suite: pyperf.BenchmarkSuite) -> None:
    """Writes docs/benchmarks/: results.md, which docs/benchmarks.md includes, and a plot for each topic."""
    DOCS.mkdir(exist_ok=True)
    for old in DOCS.iterdir():
        old.unlink()
    topics, _ = measured(suite)
    parts = [f"<!-- made by `invoke bench --publish` -->\n\n{machine(suite)}\n\n{bars_table(suite, topics)}"]
    for topic, cases in topics.items():
        title = topic.replace("_", " ").capitalize()
        parts += [f"## {title}", (sys.modules[topic].__doc__ or "").strip(), topic_table(suite, cases)]
        if any(ratio is not None for case in cases for ratio, _ in cells(suite, case).values()):
            plot(suite, topic, cases, DOCS / f"{topic}.svg")
            parts.append(f"![{title}: ratios to the baseline](benchmarks/{topic}.svg)")
    notes = "\n".join(f"- {line}" for line in missing(suite))
    parts.append(f"## What is missing\n\n{notes or 'Nothing.'}")
    (DOCS / "results.md").write_text("\n\n".join(parts) + "\n")


def machine(suite: pyperf.BenchmarkSuite) -> str:
    facts = suite.get_benchmarks()[0].get_metadata()
    system, _, rest = facts["platform"].partition("-")
    _, _, architecture = rest.partition("-with-")[0].rpartition("-")
    rows = {
        "measured": f"{suite.get_dates()[1]:%Y-%m-%d}, by `invoke bench --publish`",
        "machine": f"{facts.get('cpu_model_name', 'unknown')}, {facts['cpu_count']} cores, {system} on {architecture}",
        "Python": f"{facts['python_version']}, {facts.get('python_compiler', '')}",
        "packages": facts.get("packages", ""),
    }
    for benchmark in suite:
        about = benchmark.get_metadata()
        if about["system"] == "wasmer":
            rows["wasmer's column"] = f"on Python {about['python_version']}, {about['packages']}"
            break
    return markdown(["", ""], [[name, text] for name, text in rows.items()])


def bars_table(suite: pyperf.BenchmarkSuite, topics: dict[str, list[Case]]) -> str:
    rows = [
        [case.topic.replace("_", " "), case.name, bar.system, figure, limit, "met" if met else "**not met**"]
        for cases in topics.values()
        for case in cases
        for bar, met, figure, limit in verdicts(suite, case)
    ]
    head = "## Bars\n\nWhat anywasm sets itself: a ratio to the baseline, or a time.\n\n"
    return head + markdown(["topic", "case", "system", "figure", "bar", ""], rows)


def topic_table(suite: pyperf.BenchmarkSuite, cases: list[Case]) -> str:
    used = {system for case in cases for system in cells(suite, case)}
    systems = [system for system in SYSTEMS if system in used]
    rows = []
    for case in cases:
        found = cells(suite, case)
        row = [case.name]
        for system in systems:
            ratio, figure = found.get(system, (None, None))
            if figure is None:
                row.append("")
            else:
                row.append(("" if ratio is None else f"**{factor(ratio)}** ") + amount(figure, case.unit))
        rows.append(row)
    return markdown(["", *systems], rows)


def markdown(titles: list[str], rows: list[list[str]]) -> str:
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join("| " + " | ".join(text.replace("|", "\\|") for text in line) + " |" for line in lines)


def plot(suite: pyperf.BenchmarkSuite, topic: str, cases: list[Case], file: Path) -> None:
    """A line for each case, on it a dot for each system's ratio."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    mpl.rcParams["svg.fonttype"] = "none"  # text stays text: small, and searched
    mpl.rcParams["svg.hashsalt"] = topic
    figure = Figure(figsize=(8, 0.9 + 0.3 * len(cases)), layout="constrained")
    axes = figure.subplots()
    axes.axvline(1, color="#babdb6", linewidth=1)
    used: dict[str, list[tuple[float, int]]] = {}
    for row, case in enumerate(cases):
        found = cells(suite, case)
        for system, (ratio, _) in found.items() if case.baseline in found else ():
            used.setdefault(system, []).append((1.0 if ratio is None else ratio, row))
    for system in [name for name in SYSTEMS if name in used]:
        x, y = zip(*used[system], strict=True)
        style: dict[str, Any] = (
            {"marker": "D", "s": 36} if system in (*OURS, *CLIB, "anywasm") else {"marker": "o", "s": 22}
        )
        axes.scatter(x, y, label=system, color=COLOURS[system], zorder=3, **style)
    axes.set_xscale("log")
    axes.set_yticks(range(len(cases)), [case.name for case in cases])
    axes.set_ylim(len(cases) - 0.5, -0.5)
    axes.grid(axis="y", color="#eeeeec")
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(left=False)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.set_xlabel("times the baseline (log)")
    figure.legend(loc="outside upper center", ncols=5, frameon=False, fontsize="small")
    figure.savefig(file, metadata={"Date": None})

# SPDX-License-Identifier: Apache-2.0
"""One small C library through each tool: built, checked, measured, and what goes wrong.

`python benchmarks/bindings` prints the tables; with --publish they go into docs/bindings/results.md.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import time
from array import array
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from tools import TOOLS, Missing, Tool, check  # noqa: E402
from wrong import MISTAKES, outcome  # noqa: E402

from harness import Stopwatch, Way  # noqa: E402
from report import amount, markdown  # noqa: E402

RESULTS = HERE.parents[1] / "docs" / "bindings" / "results.md"
ROUNDS = 30

CALLS = {
    "two doubles": "survey.hypot2(3.0, 4.0)",
    "a string in and out": 'survey.greet("thirteen more")',
    "structs by value": "survey.middle((0.0, 0.0), (2.0, 4.0))",
    "1000 doubles in place": "survey.scale(values, 1.0)",
    "100 callbacks": "survey.count_if(numbers, test)",
}


def assert_right(survey: Any) -> None:
    """That it answers what it should, whatever the tool."""
    values = array("d", [1.0, 2.5])
    survey.scale(values, 2.0)
    assert values == array("d", [2.0, 5.0])
    assert survey.hypot2(3.0, 4.0) == 25.0
    assert survey.greet("Zoë") == "Hello, Zoë"
    assert tuple(survey.middle((0.0, 0.0), (2.0, 4.0))) == (1.0, 2.0)
    assert survey.count_if([1, 2, 3, 4], lambda value: value > 1) == 3
    assert survey.nth([7, 8], 1) == 8


def variants(tool: Tool) -> Iterator[tuple[str, str]]:
    """A tool's names in the tables, and the engine: what clib made out of line runs on both."""
    if not tool.name.startswith("clib"):
        yield tool.name, ""
    else:
        yield f"{tool.name}, wasmtime", "wasmtime"
        if tool.name == "clib, out-of-line":
            yield f"{tool.name}, wamr", "wamr"


def prepare(tool: Tool, base: Path) -> tuple[Path, float]:
    """The folder in which a tool has built, and the seconds that it took."""
    check(tool)
    folder = base / "".join(letter if letter.isalnum() else "_" for letter in tool.name)
    folder.mkdir(parents=True, exist_ok=True)
    start = time.perf_counter()
    tool.build(folder)
    return folder, time.perf_counter() - start


def code_lines(tool: Tool) -> int:
    """Lines that are neither empty nor comments."""
    lines = [line.strip() for file in tool.files for line in (HERE / file).read_text().splitlines()]
    return sum(1 for line in lines if (line and not line.startswith(("#", "//", '"""'))) or line.startswith("#include"))


def measure(surveys: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Seconds a call: the fastest of all rounds, in which each tool has its turn."""
    names = {
        "values": array("d", [1.0]) * 1000,
        "numbers": list(range(100)),
        "test": lambda value: value % 2 == 0,
    }
    found: dict[str, dict[str, float]] = {name: {} for name in surveys}
    for call, statement in CALLS.items():
        watches = {name: Stopwatch(Way(statement, names | {"survey": survey})) for name, survey in surveys.items()}
        rounds = [{name: watch.round() for name, watch in watches.items()} for _ in range(ROUNDS)]
        for name in surveys:
            found[name][call] = min(one[name] for one in rounds)
    return found


def machine() -> str:
    info = Path("/proc/cpuinfo")
    facts = info.read_text().splitlines() if info.exists() else []
    model = next((line.partition(":")[2].strip() for line in facts if "model name" in line), platform.processor())
    day = f"{datetime.now(timezone.utc):%Y-%m-%d}"
    system = f"{os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}"
    return f"Measured on {day} by `python benchmarks/bindings --publish`: {model}, {system}."


def report(base: Path) -> str:
    surveys: dict[str, Any] = {}
    rows, missing = [], []
    mistakes: dict[str, list[tuple[str, str]]] = {name: [] for name in MISTAKES}
    for tool in TOOLS.values():
        try:
            folder, seconds = prepare(tool, base)
        except Missing as error:
            missing.append(f"{tool.name}: {error}")
            continue
        rows.append([tool.name, " ".join(tool.files), str(code_lines(tool)), amount(seconds, "second")])
        for name, engine in variants(tool):
            os.environ["ANYWASM_ENGINE"] = engine
            surveys[name] = tool.load(folder)
            assert_right(surveys[name])
        for mistake, outcomes in mistakes.items():
            outcomes.append((tool.name, outcome(tool.name, mistake, folder)))
    figures = measure(surveys)
    lines = [[name, *(amount(of[call], "second") for call in CALLS)] for name, of in figures.items()]
    parts = [machine(), "### Code and build", markdown(["", "code", "lines", "build"], rows)]
    parts += ["### Speed", markdown(["", *CALLS], lines), "### What goes wrong"]
    for mistake, outcomes in mistakes.items():
        parts.append(f"**{mistake[0].upper()}{mistake[1:]}**: `{MISTAKES[mistake][0]}`")
        parts.append(markdown(["", ""], [[together(names), text] for text, names in grouped(outcomes).items()]))
    if missing:
        parts.append("Missing here: " + "; ".join(missing))
    return "\n\n".join(parts) + "\n"


def grouped(outcomes: list[tuple[str, str]]) -> dict[str, list[str]]:
    """The tools that do the same, by what they do."""
    found: dict[str, list[str]] = {}
    for name, text in outcomes:
        found.setdefault(text, []).append(name)
    return found


def together(names: list[str]) -> str:
    """The names, but "cffi, ABI" for both of its modes and "cffi" for all four, and so on."""
    for prefix in ("cffi", "cffi, ABI", "cffi, API", "clib"):
        members = [name for name in TOOLS if name.startswith(prefix + ",")]
        if set(members) <= set(names):
            names = [prefix if name == members[0] else name for name in names if name not in members[1:]]
    return "; ".join(names)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python benchmarks/bindings", description=__doc__)
    parser.add_argument("--publish", action="store_true", help=f"write {RESULTS.relative_to(HERE.parents[1])}")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        text = report(Path(folder))
    if arguments.publish:
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text("<!-- made by `python benchmarks/bindings --publish` -->\n\n" + text)
    else:
        print(text)


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: Apache-2.0
"""What goes wrong: the same mistakes with each tool, each in a process of its own, for some end it."""

from __future__ import annotations

import signal
import subprocess
import sys
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tools import TOOLS


def text_for_a_number(survey: Any) -> object:
    return survey.hypot2("3", 4.0)


def integer_out_of_range(survey: Any) -> object:
    return survey.nth([7, 8], 2**32)


def immutable_values(survey: Any) -> object:
    return survey.scale((1.0, 2.0), 2.0)


def floats_for_doubles(survey: Any) -> object:
    values = array("f", [1.0, 2.0])
    survey.scale(values, 2.0)
    return values


def callback_raises(survey: Any) -> object:
    def test(value: int) -> bool:
        raise KeyError(value)

    return survey.count_if([1, 2, 3], test)


def bug_in_the_library(survey: Any) -> object:
    return survey.nth([7, 8], 1 << 28)


MISTAKES: dict[str, tuple[str, Callable[[Any], object]]] = {
    "text for a number": ('hypot2("3", 4.0)', text_for_a_number),
    "an int out of range": ("nth([7, 8], 2**32)", integer_out_of_range),
    "values that cannot change": ("scale((1.0, 2.0), 2.0)", immutable_values),
    "floats for doubles": ('scale(array("f", [1.0, 2.0]), 2.0)', floats_for_doubles),
    "the callback raises": ("count_if([1, 2, 3], test)", callback_raises),
    "a bug in the library": ("nth([7, 8], 1 << 28)", bug_in_the_library),
}


def outcome(tool: str, mistake: str, folder: Path) -> str:
    """What came of it, in one line."""
    done = subprocess.run(
        [sys.executable, __file__, tool, mistake, folder], capture_output=True, text=True, check=False
    )
    if done.returncode < 0:
        return f"Python dies: {signal.Signals(-done.returncode).name}"
    if done.returncode != 0:
        return f"Python ends with {done.returncode}: {done.stderr.strip().splitlines()[-1]}"
    lost = [line for line in done.stderr.splitlines() if "Error" in line]
    return done.stdout.strip() + (f"; {lost[-1]} is printed and lost" if lost else "")


def main(tool: str, mistake: str, folder: str) -> None:
    survey = TOOLS[tool].load(Path(folder))
    try:
        answer = MISTAKES[mistake][1](survey)
    except Exception as error:  # noqa: BLE001, whatever a tool raises
        text = str(error).splitlines()[0]
        print(f"{type(error).__name__}: {text}")
    else:
        print(f"answers {answer!r}")


if __name__ == "__main__":
    main(*sys.argv[1:])

# SPDX-License-Identifier: Apache-2.0
"""Runs the attacks of tests/attacks.py on each engine, and writes how they ended into docs/sandbox.md.

python benchmarks/attack_table.py
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent
PAGE = FOLDER.parent / "docs" / "sandbox.md"
BEGIN = "<!-- written by: python benchmarks/attack_table.py -->"
END = "<!-- until here -->"


def words(result: dict[str, Any]) -> str:
    ended = result["ended"]
    how = f"exit status {ended}" if ended.isdecimal() else f"`{ended}`"
    return f"{how}, {result['seconds']:.2f} s, {result['peak']:.0f} MiB"


def table() -> str:
    sys.path.insert(0, str(FOLDER.parent / "tests"))
    import anywasm
    import attacks

    names = [info.name for info in reversed(anywasm.engines()) if info.available and info.name != "fake"]
    lines = [f"| attack | {' | '.join(names)} |", f"| --- |{' --- |' * len(names)}"]
    for name, attack in attacks.ATTACKS.items():
        cells = []
        for engine in names:
            result = attacks.launch(name, engine)
            cells.append(words(result))
            if result["ended"] not in attack.ends and attack.needs is None:
                raise SystemExit(f"{name} on {engine}: {result}")
        lines.append(f"| {attack.does} | {' | '.join(cells)} |")
        print(lines[-1], flush=True)
    return "\n".join(lines)


def main() -> None:
    before, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n\n{table()}\n\n{END}{after}")


if __name__ == "__main__":
    main()

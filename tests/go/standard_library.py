# SPDX-License-Identifier: Apache-2.0
"""Runs Go's own tests of a package as a WASI program, as Go itself does. As a script: prints docs/wasi.md's table."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, os.fspath(Path(__file__).parent.parent))

import anywasm
import toolchain
from anywasm import wasi

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # which pytest brings

PACKAGES = (
    "archive/zip", "bufio", "bytes", "compress/gzip", "encoding/json", "io", "io/fs", "math/big", "os",
    "path/filepath", "sort", "text/template", "time",
)  # fmt: skip
EXPECTED = tomllib.loads(Path(__file__).with_name("expected.toml").read_text())
STACK = {"wasmtime": 2 << 20}  # bytes; Go's recursive tests need more than half a megabyte
LARGE_STACK = 32 << 20


@dataclass
class Outcome:
    returncode: int
    output: str
    seconds: float
    results: dict[str, str] = field(default_factory=dict)  # by test: PASS, FAIL or SKIP
    said: dict[str, str] = field(default_factory=dict)  # by test: what it logged

    def count(self, result: str) -> int:
        return sum(each == result for each in self.results.values())

    def unexplained(self) -> list[str]:
        """Skips that expected.toml does not tell of."""
        patterns = [re.compile(pattern) for pattern in EXPECTED["skips"]]
        return [
            f"{name}: {self.said.get(name, '').strip()}"
            for name, result in self.results.items()
            if result == "SKIP" and not any(pattern.search(self.said.get(name, "")) for pattern in patterns)
        ]


def engine_of(name: str) -> anywasm.Engine:
    return anywasm.Engine(name, interruptible=True, max_wasm_stack=STACK.get(name, LARGE_STACK))


def run(engine: anywasm.Engine, package: str, skipped: Iterable[str] = (), timeout: float = 900) -> Outcome:
    """The package's tests, in short mode, with what Go's wrapper for WASI runtimes gives them."""
    program = anywasm.Module(toolchain.build_go_tests(package), engine)
    root = toolchain.go_root()
    arguments = ["-test.short", "-test.v"]
    if skip := "|".join(f"^{name}$" for name in skipped):
        arguments.append(f"-test.skip={skip}")
    environment = {"PWD": f"/go/src/{package}", "GOROOT": "/go", "TMPDIR": "/tmp", "HOME": "/tmp", "PATH": "/bin"}
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "root").mkdir()
        (place / "tmp").mkdir()
        mounts = {
            "/": place / "root",
            "/tmp": place / "tmp",
            "/dev": "/dev",  # tests look at /dev/null
            "/go": wasi.Directory(root, readonly=True),
        }
        output = place / "output"
        begun = time.monotonic()
        done = anywasm.run(
            program, arguments, env=environment, mounts=mounts, stdout=output, stderr="stdout", timeout=timeout
        )
        outcome = Outcome(done.returncode, output.read_text(errors="replace"), time.monotonic() - begun)
    current = ""
    for line in outcome.output.splitlines():
        if heading := re.match(r"=== (?:RUN|CONT|NAME)\s+(\S+)", line):
            current = heading[1]
        elif result := re.match(r"\s*--- (PASS|FAIL|SKIP): (\S+)", line):
            outcome.results[result[2]] = result[1]
        else:
            outcome.said[current] = outcome.said.get(current, "") + line + "\n"
    return outcome


def main(names: list[str]) -> None:
    print("| package | engine | pass | fail | skip | seconds |\n| --- | --- | --- | --- | --- | --- |")
    for info in anywasm.engines():
        if info.available and info.name in (names or [info.name]):
            engine = engine_of(info.name)
            for package in PACKAGES:
                outcome = run(engine, package)
                counts = " | ".join(f"{outcome.count(result):,}" for result in ("PASS", "FAIL", "SKIP"))
                print(f"| {package} | {info.name} | {counts} | {outcome.seconds:.1f} |", flush=True)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (toolchain.ToolMissing, subprocess.CalledProcessError) as error:
        raise SystemExit(f"{error}") from error

"""Compiles the C library whenever the wheel is made, or the package installed from here."""

import subprocess
import sys
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

STATS = "src/sandboxed_statistics/stats"
COMMAND = ["anywasm", "clib", "build", "c/stats.c", "c/stats.h", "--frees", "describe"]


class BuildHook(BuildHookInterface):
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        command = [sys.executable, "-m", *COMMAND, "-o", f"{STATS}.wasm", "--stub", f"{STATS}.pyi"]
        subprocess.run(command, cwd=self.root, check=True)

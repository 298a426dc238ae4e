# SPDX-License-Identifier: Apache-2.0
"""Every example runs, on every engine, and prints what it should: examples/NAME.txt next to examples/NAME.py."""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import anywasm
import toolchain

EXAMPLES = Path(__file__).parents[1] / "examples"
NAMES = sorted(path.stem for path in EXAMPLES.glob("*.txt"))
NEED_A_COMPILER = {"clib", "clib_first", "lz4_in_wasm", "planted_bugs", "sqlite_in_wasm", "zlib_in_wasm"}


@pytest.mark.parametrize("name", NAMES)
def test_an_example_prints_what_it_should(engine: anywasm.Engine, name: str, tmp_path: Path) -> None:
    if name in NEED_A_COMPILER and (shutil.which("cargo") is None or importlib.util.find_spec("ziglang") is None):
        pytest.skip("needs cargo and ziglang")
    cache = toolchain.cache_dir() / "examples"
    cache.mkdir(exist_ok=True)
    environment = os.environ | {"ANYWASM_ENGINE": engine.name, "ANYWASM_EXAMPLES_CACHE": str(cache)}
    if name in NEED_A_COMPILER:  # the folder counts: include paths may start in it
        environment["ANYWASM_CACHE_DIR"], tmp_path = str(toolchain.clib_cache()), cache
    done = subprocess.run(
        [sys.executable, EXAMPLES / f"{name}.py"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ((EXAMPLES / f"{name}.txt").read_text(), "")
    assert done.returncode == 0


def test_every_example_has_its_expected_output() -> None:
    helpers = {"c_library"}
    assert {path.stem for path in EXAMPLES.glob("*.py")} - helpers == set(NAMES)


def test_the_readme_shows_an_example() -> None:
    code = (EXAMPLES / "clib_first.py").read_text().partition('"""\n\n')[2]
    assert f"```python\n{code}```\n" in (EXAMPLES.parent / "README.md").read_text()


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.wat")), ids=lambda path: path.stem)
def test_a_committed_binary_is_what_its_text_says(path: Path) -> None:
    try:
        assert path.with_suffix(".wasm").read_bytes() == toolchain.wat(path.read_text())
    except toolchain.ToolMissing as error:
        pytest.skip(str(error))

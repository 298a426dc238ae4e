# SPDX-License-Identifier: Apache-2.0
"""examples/statistics_package: a C library in a wheel for every platform, as its users meet it."""

import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import anywasm
import toolchain

EXAMPLE = Path(__file__).parents[2] / "examples" / "statistics_package"
# Without the network: with the packages that are here, as the test extra has them.
OFFLINE = ["--quiet", "--no-index", "--disable-pip-version-check"]

USE = """
import sandboxed_statistics
from sandboxed_statistics import stats
print(sandboxed_statistics.describe([1.0, 2.0, 3.5], "cm"))
print(sandboxed_statistics.median([5, 1, 9, 2]))
print(sandboxed_statistics.histogram([1, 2, 3, 4.5], 0, 5, bins=5))
print(stats.samples_seen, stats.library.instance.module.engine.name)
"""
TYPED = """
from sandboxed_statistics import median, stats
middle: float = median([1.0, 2.0])
seen: int = stats.samples_seen
mean: float = stats.summarize([1.0], 1).mean
stats.library.reset()
stats.summarize("text", 1)
stats.nothing()
"""


def needs(*modules: str) -> None:
    for name in modules:
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"needs {name}")


def readme_command() -> list[str]:
    """What the README tells to run."""
    (block,) = (EXAMPLE / "README.md").read_text().split("```sh\n")[1:]
    return shlex.split(block.partition("\n```")[0])


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the README's command makes of a fresh checkout."""
    needs("pip", "ziglang", "hatchling")
    folder = tmp_path_factory.mktemp("checkout") / "statistics_package"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("stats.wasm", "stats.pyi", "__pycache__"))
    command = [sys.executable, "-m", *readme_command(), *OFFLINE, "--no-build-isolation"]
    environment = os.environ | {"ZIG_GLOBAL_CACHE_DIR": os.fspath(toolchain.cache_dir() / "zig")}
    subprocess.run(command, cwd=folder, env=environment, check=True)
    (made,) = folder.glob("*.whl")
    return made


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package alone in it."""
    folder = tmp_path_factory.mktemp("installed")
    command = [sys.executable, "-m", "pip", "install", *OFFLINE, "--no-deps"]
    subprocess.run([*command, "--target", folder, wheel], check=True)
    return folder


def test_the_wheel_is_for_every_platform(wheel: Path) -> None:
    assert wheel.name == "sandboxed_statistics-1.0.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as file:
        names = {name.rpartition("/")[2] for name in file.namelist() if name.startswith("sandboxed_statistics/")}
    assert names == {"__init__.py", "py.typed", "stats.py", "stats.pyi", "stats.wasm"}


def test_it_is_used_like_any_package(installed: Path, engine: anywasm.Engine, tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(installed), "ANYWASM_ENGINE": engine.name}
    command = [sys.executable, "-W", "error", "-c", USE]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "2.17 cm, give or take 1.03, from 1 to 3.5",
        "3.5",
        "[0, 1, 1, 1, 1]",
        f"3 {engine.name}",
    ]


def test_it_works_out_of_the_wheel_itself(wheel: Path, tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(wheel)}
    command = [sys.executable, "-c", "import sandboxed_statistics as s; print(s.median([3, 1, 2]))"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("2.0\n", "")


@pytest.mark.slow
def test_type_checkers_know_what_is_in_it(installed: Path, tmp_path: Path) -> None:
    needs("mypy")
    (tmp_path / "use.py").write_text(TYPED)
    environment = os.environ | {"MYPYPATH": str(installed)}
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--no-error-summary",
        "--cache-dir",
        tmp_path / "cache",
        "use.py",
    ]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    first, second = done.stdout.splitlines()
    assert first.startswith('use.py:7: error: Argument 1 to "summarize" has incompatible type "str"')
    assert second.startswith('use.py:8: error: Module has no attribute "nothing"')

# SPDX-License-Identifier: Apache-2.0
"""The package as it is built and installed."""

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import anywasm
from anywasm import _core

ROOT = Path(__file__).parents[1]

needs_sources = pytest.mark.skipif(not (ROOT / "CMakeLists.txt").exists(), reason="the sources are not here")
needs_cmake = pytest.mark.skipif(shutil.which("cmake") is None, reason="CMake is not here")


def test_the_version_is_that_of_the_distribution():
    assert anywasm.__version__ == importlib.metadata.version("anywasm")


@needs_sources
def test_the_version_is_written_once():
    (version,) = re.findall(r'(?m)^version = "(.+)"$', (ROOT / "pyproject.toml").read_text())
    assert importlib.metadata.version("anywasm") == version


@pytest.mark.skipif(shutil.which("nm") is None, reason="binutils are not here")
def test_the_extension_exports_its_initialisation_alone():
    done = subprocess.run(
        ["nm", "--dynamic", "--defined-only", _core.__file__], capture_output=True, text=True, check=True
    )
    assert [line.split()[-1] for line in done.stdout.splitlines()] == ["PyInit__core"]


def test_the_licences_of_what_is_compiled_in_are_there():
    files = importlib.metadata.files("anywasm") or []
    licences = {path.name for path in files if "licenses" in path.parts}
    expected = {"LICENSE"}
    for info in anywasm.engines():
        if info.name == "wamr":
            expected.add("WAMR-LICENSE")
            if "simd" in info.capabilities:
                expected.add("SIMDe-LICENSE")
    assert licences == expected


def test_type_checkers_find_types():
    package = Path(anywasm.__file__).parent
    assert (package / "py.typed").exists()
    assert (package / "_core.pyi").exists()


def test_the_command_is_installed():
    command = Path(sys.executable).with_name("anywasm")
    done = subprocess.run([command, "--version"], capture_output=True, text=True, check=True)
    assert anywasm.__version__ in done.stdout


def configure(folder: Path, tools: list[str], *options: str, **environment: str) -> str:
    """What CMake says, where these tools alone are on the path."""
    path = folder / "tools"
    path.mkdir()
    for tool in tools:
        if found := shutil.which(tool):
            (path / tool).symlink_to(found)
    clean = {"PATH": os.fspath(path), "HOME": os.fspath(folder), **environment}
    command = ["cmake", "-S", ROOT, "-B", folder / "build", f"-DPython_EXECUTABLE={sys.executable}", *options]
    done = subprocess.run(command, env=clean, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    return " ".join(done.stderr.split())


TOOLS = ["cmake", "sh", "make", "uname", "cc", "gcc", "as", "ld", "ar", "ranlib"]


@needs_sources
@needs_cmake
def test_a_build_without_a_compiler_says_what_to_install(tmp_path):
    assert "no C compiler was found: install gcc or clang" in configure(tmp_path, ["cmake", "sh", "make", "uname"])


@needs_sources
@needs_cmake
@pytest.mark.skipif((ROOT / "PKG-INFO").exists(), reason="a source distribution needs no cargo")
def test_a_build_without_cargo_says_what_to_install_or_to_set(tmp_path):
    said = configure(tmp_path, TOOLS)
    assert "cargo was not found" in said
    assert "ANYWASM_WAMR_SOURCE" in said


@needs_sources
@needs_cmake
def test_a_folder_without_wamr_is_named(tmp_path):
    said = configure(tmp_path, TOOLS, f"-DANYWASM_WAMR_SOURCE={tmp_path}")
    assert f"no source of WAMR in {tmp_path}" in said
    assert "ANYWASM_WAMR_SOURCE is not a checkout of WAMR" in said

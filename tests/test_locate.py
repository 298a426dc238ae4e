# SPDX-License-Identifier: Apache-2.0
"""Finding libwasmtime without importing the package that carries it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from anywasm import _locate


@pytest.fixture(autouse=True)
def no_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANYWASM_WASMTIME_LIBRARY", raising=False)


def test_the_environment_names_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANYWASM_WASMTIME_LIBRARY", "/opt/libwasmtime.so")
    assert _locate.wasmtime_library() == "/opt/libwasmtime.so"


def test_the_installed_distribution_has_the_library() -> None:
    pytest.importorskip("wasmtime")
    found = _locate.wasmtime_library()
    assert found is not None
    assert Path(found).is_file()
    assert Path(found).name in _locate.LIBRARY_NAMES


def test_finding_it_does_not_import_the_package() -> None:
    code = "import sys, anywasm._locate as l; l.wasmtime_library(); print('wasmtime' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_a_package_that_is_not_installed_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_locate, "PACKAGE", "a_package_that_nobody_has")
    assert _locate.wasmtime_library() is None


def test_a_package_without_the_library_has_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "strange" / "linux-x86_64").mkdir(parents=True)
    (tmp_path / "strange" / "__init__.py").write_text("raise AssertionError('it was imported')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(_locate, "PACKAGE", "strange")
    assert _locate.wasmtime_library() is None
    (tmp_path / "strange" / "linux-x86_64" / "_libwasmtime.so").touch()
    assert _locate.wasmtime_library() == str(tmp_path / "strange" / "linux-x86_64" / "_libwasmtime.so")


def test_where_nothing_is_found_the_engine_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import anywasm._locate as l; l.PACKAGE = 'a_package_that_nobody_has'\n")
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    code = "import anywasm; print([e.reason for e in anywasm.engines() if e.name == 'wasmtime'][0])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert "pip install" in done.stdout
    assert "wasmtime" in done.stdout

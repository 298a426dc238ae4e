# SPDX-License-Identifier: Apache-2.0
"""Fixtures of clib's tests."""

import importlib.util
import os

import pytest

import toolchain


@pytest.fixture
def c_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    """clib compiles with ziglang, which keeps what it has built where the tests keep theirs."""
    if importlib.util.find_spec("ziglang") is None:
        pytest.skip("the C compiler for WebAssembly is not here: pip install ziglang")
    monkeypatch.delenv("ANYWASM_CC", raising=False)
    monkeypatch.delenv("WASI_SDK_PATH", raising=False)
    monkeypatch.setenv("ZIG_GLOBAL_CACHE_DIR", os.fspath(toolchain.cache_dir() / "zig"))

# SPDX-License-Identifier: Apache-2.0
"""Go's own tests of its standard library, as WASI programs: none fails, and expected.toml explains what they skip."""

import os

import pytest
from standard_library import EXPECTED, PACKAGES, engine_of, run

import anywasm
import toolchain


@pytest.mark.slow
@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_of_gos_passes_its_own_tests(engine: anywasm.Engine, package: str) -> None:
    compiled = "serialize" in engine.capabilities
    skipped = EXPECTED["slow"].get(package, ()) if not compiled and os.environ.get("ANYWASM_GO_TESTS") != "all" else ()
    try:
        outcome = run(engine_of(engine.name), package, skipped)
    except toolchain.ToolMissing as missing:
        pytest.skip(str(missing))
    failed = [name for name, result in outcome.results.items() if result == "FAIL"]
    assert (failed, outcome.returncode) == ([], 0), outcome.output[-3000:]
    assert outcome.output.rstrip().endswith("PASS")
    assert outcome.unexplained() == []
    assert outcome.count("PASS") > 20

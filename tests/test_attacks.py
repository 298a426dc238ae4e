# SPDX-License-Identifier: Apache-2.0
"""Programs that try to take more than they are given: each ends as it has to, soon, and with bounded memory."""

import os

import pytest

import attacks
from anywasm import Engine
from conftest import missing_tools_skip

# Generous: what tells "bounded" from "unbounded" on a busy machine. A compiler has ten seconds, and at most a gigabyte.
SECONDS, MEBIBYTES, COMPILER_MEBIBYTES = 30, 160, 1100


@pytest.mark.slow
@pytest.mark.skipif("asan" in os.environ.get("LD_PRELOAD", ""), reason="a sanitizer's own memory is beyond any bound")
@pytest.mark.parametrize("name", attacks.ATTACKS)
def test_an_attack_is_bounded(engine: Engine, name: str) -> None:
    attack = attacks.ATTACKS[name]
    with missing_tools_skip():
        result = attacks.launch(name, engine.name)
    lacks = attack.needs is not None and attack.needs not in engine.capabilities
    assert result["ended"] in (("UnsupportedError",) if lacks else attack.ends), result
    assert result["seconds"] < SECONDS
    assert result["peak"] < (COMPILER_MEBIBYTES if "serialize" in engine.capabilities else MEBIBYTES)

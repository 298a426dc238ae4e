# SPDX-License-Identifier: Apache-2.0
"""The documentation of clib is true: what its Python sessions show is what happens, on every engine."""

import doctest
import re
from pathlib import Path

import pytest

import anywasm
import toolchain

ROOT = Path(__file__).parents[2]
NAMES = ["clib", "clib-values", "clib-safety"]


def sessions(text: str) -> list[doctest.Example]:
    """The examples in a page's Python blocks, with the page's lines."""
    found = []
    for block in re.finditer(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        first = text.count("\n", 0, block.start(1))
        examples = doctest.DocTestParser().get_examples(block[1])
        assert examples, f"line {first}: a block of Python that is no session"
        for example in examples:
            example.lineno += first
        found += examples
    return found


@pytest.mark.usefixtures("c_compiler")
@pytest.mark.parametrize("name", NAMES)
def test_a_page_shows_what_happens(engine: anywasm.Engine, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT / "examples")
    monkeypatch.setenv("ANYWASM_ENGINE", engine.name)
    monkeypatch.setenv("ANYWASM_CACHE_DIR", str(toolchain.clib_cache()))
    page = ROOT / "docs" / f"{name}.md"
    test = doctest.DocTest(sessions(page.read_text()), {"__name__": "__main__"}, page.name, str(page), 0, None)
    said: list[str] = []
    failed, tried = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.REPORT_NDIFF).run(
        test, out=said.append
    )
    assert tried
    assert not failed, "".join(said)

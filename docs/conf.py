# SPDX-License-Identifier: Apache-2.0
"""Settings of the documentation; `invoke docs` builds it."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from sphinx.application import Sphinx

import anywasm

sys.path.insert(0, str(Path(__file__).parent))

project = "anywasm"
author = "the anywasm developers"
copyright = "the anywasm developers"
release = version = anywasm.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.intersphinx", "engines_table"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
suppress_warnings = ["myst.xref_missing"]
exclude_patterns = ["_build", "benchmarks", "bindings"]  # what benchmarks.md and bindings.md include
intersphinx_mapping: dict[str, tuple[str, None]] = {}

html_theme = "furo"
html_title = "anywasm"
autodoc_member_order = "bysource"
autodoc_typehints = "none"
nitpicky = False

# Docstrings name their parameters as "name: what it is", a line each, continued by indented lines: field lists without
# the colons, which help() shows as they are.
PARAMETER = re.compile(r"(?P<names>[a-z_]+(?:, [a-z_]+)*): (?P<text>.*)")


def fields(app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    result: list[str] = []
    inside = False
    for line in lines:
        match = PARAMETER.fullmatch(line)
        begins = match is not None and (inside or not result or not result[-1])
        if begins and match is not None:
            result.append(f":{match['names']}: {match['text']}")
        elif inside and line.startswith(" "):
            result.append(f"    {line.strip()}")
        else:
            if inside and line:
                result.append("")
            result.append(line)
        inside = begins or (inside and line.startswith(" "))
    lines[:] = [re.sub(r"(?<=[(, ])\*(?=\w+\))", r"\\*", line) for line in result]  # f(*rest) is no emphasis


def setup(app: Sphinx) -> None:
    app.connect("autodoc-process-docstring", fields)

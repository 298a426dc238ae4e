# SPDX-License-Identifier: Apache-2.0
"""Settings of the documentation; `invoke docs` builds it."""

from __future__ import annotations

import sys
from pathlib import Path

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
exclude_patterns = ["_build"]
intersphinx_mapping: dict[str, tuple[str, None]] = {}

html_theme = "furo"
html_title = "anywasm"
autodoc_member_order = "bysource"
autodoc_typehints = "none"
nitpicky = False

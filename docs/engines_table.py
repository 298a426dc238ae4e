# SPDX-License-Identifier: Apache-2.0
"""A directive for the table of engines, made from the capability flags: ``{engines-table}``."""

from __future__ import annotations

from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

import anywasm


def rows() -> list[list[str]]:
    """The table: a heading, then a row for each capability that any engine has a word for."""
    infos = [info for info in anywasm.engines() if info.available]
    names = sorted(set().union(*(info.capabilities for info in infos)))
    table = [["capability", *(f"{info.name} {info.version}" for info in infos)]]
    for name in names:
        table.append([f"`{name}`", *("yes" if name in info.capabilities else "no" for info in infos)])
    return table


class EnginesTable(SphinxDirective):
    def run(self) -> list[nodes.Node]:
        heading, *body = rows()
        lines = ["| " + " | ".join(heading) + " |", "|" + " --- |" * len(heading)]
        lines += ["| " + " | ".join(row) + " |" for row in body]
        node = nodes.Element()
        self.state.nested_parse(StringList(lines, source="engines"), self.content_offset, node)
        return node.children


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_directive("engines-table", EnginesTable)
    return {"parallel_read_safe": True}

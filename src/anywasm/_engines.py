# SPDX-License-Identifier: Apache-2.0
"""What engines there are."""

from __future__ import annotations

from collections import namedtuple

from ._core import engine_list


class EngineInfo(namedtuple("EngineInfo", ("name", "version", "capabilities", "available", "reason"))):  # noqa: PYI024 - typing is slow to import
    """An engine that anywasm knows: a named tuple.

    name: what :class:`Engine` takes.
    version: the engine's own, or None where it is not available.
    capabilities: what it can do, as a frozenset of names; some need a setting of the Engine (fuel, interrupt).
    available: whether it can be used here and now.
    reason: why it cannot, and what would help, or None.
    """

    __slots__ = ()

    name: str
    version: str | None
    capabilities: frozenset[str]
    available: bool
    reason: str | None


def engines() -> list[EngineInfo]:
    """Every engine that is built in, whether it is available here or not."""
    return [
        EngineInfo(name, version, capabilities, reason is None, reason)
        for name, version, capabilities, reason in engine_list()
    ]

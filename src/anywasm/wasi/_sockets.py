# SPDX-License-Identifier: Apache-2.0
"""Sockets that a program is handed."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Iterable
    from typing import Any


def check_sockets(given: Iterable[socket.socket | int]) -> tuple[Any, ...]:
    """The sockets, each one that a program can be handed."""
    try:
        sockets = tuple(given)
    except TypeError:
        raise TypeError(f"Wasi(): sockets: expected a sequence of sockets, got {type(given).__name__}") from None
    for index, one in enumerate(sockets):
        descriptor_of_socket(one, f"Wasi(): sockets: [{index}]")
    return sockets


def descriptor_of_socket(one: Any, where: str) -> int:
    if isinstance(one, int) and not isinstance(one, bool):
        if one < 0:
            raise ValueError(f"{where}: {one} is no descriptor")
        return one
    fileno = getattr(one, "fileno", None)
    if not callable(fileno) or isinstance(one, type):
        raise TypeError(f"{where}: expected a socket or its descriptor, got {type(one).__name__}")
    if hasattr(one, "do_handshake"):
        raise TypeError(
            f"{where}: expected a plain socket, got {type(one).__name__}: its descriptor carries cipher text"
        )
    number = fileno()
    if number < 0:
        raise ValueError(f"{where}: {one!r} is closed")
    return int(number)

# SPDX-License-Identifier: Apache-2.0
"""What host functions say about themselves."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    F = TypeVar("F", bound=Callable[..., Any])


def pass_caller(function: F) -> F:
    """Mark *function* so that, as an import, it gets a :class:`Caller` before its other arguments.

    The caller gives the memory and the exports of the instance that calls, during that call::

        @anywasm.pass_caller
        def log(caller, address, length):
            print(caller.memory.read(address, length).decode())

        anywasm.load("plugin.wasm", {"env": {"log": log}})

    Returns the function itself. Methods and functions can be marked; where that is impossible, use
    ``Func(callable, type, store, pass_caller=True)``. Raises TypeError if the object takes no attributes.
    """
    try:
        function.__wasm_pass_caller__ = True  # type: ignore[attr-defined]
    except AttributeError:
        raise TypeError(
            f"pass_caller(): cannot mark {type(function).__name__} objects: "
            "use Func(callable, type, store, pass_caller=True)"
        ) from None
    return function

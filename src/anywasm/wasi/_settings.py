# SPDX-License-Identifier: Apache-2.0
"""What `Wasi` and its parts have in common."""

from __future__ import annotations


class Settings:
    """What does not change once it is made: one serves many stores."""

    __slots__ = ()

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__}: {name} cannot be set: make a new one")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__name__}: {name} cannot be deleted")

    def __setstate__(self, state: tuple[None, dict[str, object]]) -> None:  # copy and pickle
        self._set(**state[1])

    def _set(self, **values: object) -> None:
        for name, value in values.items():
            object.__setattr__(self, name, value)

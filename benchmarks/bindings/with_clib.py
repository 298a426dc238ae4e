# SPDX-License-Identifier: Apache-2.0
"""The library through clib: the compiler, or its header, tells the types."""

from collections.abc import Callable, Sequence

from anywasm import clib


class Survey:
    def __init__(self, lib: clib.Library) -> None:
        self.lib = lib
        self.hypot2, self.greet, self.middle, self.nth = lib.hypot2, lib.greet, lib.middle, lib.nth

    def scale(self, values: Sequence[float], factor: float) -> None:
        self.lib.scale(values, len(values), factor)

    def count_if(self, values: Sequence[int], test: Callable[[int], bool]) -> int:
        return self.lib.count_if(values, len(values), lambda value, data: test(value), None)

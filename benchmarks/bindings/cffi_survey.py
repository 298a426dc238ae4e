# SPDX-License-Identifier: Apache-2.0
"""What the four modes of cffi share: once there are `ffi` and `lib`, the calls are the same."""

from collections.abc import Callable, Sequence
from typing import Any

DECLARATIONS = """
    typedef struct { double x, y; } point;
    double hypot2(double x, double y);
    char *greet(const char *name);
    point middle(point a, point b);
    void scale(double *values, size_t count, double factor);
    int count_if(const int *values, size_t count, int (*test)(int value, void *data), void *data);
    int nth(const int *values, int index);
    void free(void *);
"""


class Survey:
    def __init__(self, ffi: Any, lib: Any) -> None:
        self.ffi, self.lib = ffi, lib
        self.hypot2 = lib.hypot2

    def greet(self, name: str) -> str:
        text = self.lib.greet(name.encode())
        try:
            return self.ffi.string(text).decode()
        finally:
            self.lib.free(text)

    def middle(self, a: tuple[float, float], b: tuple[float, float]) -> tuple[float, float]:
        point = self.lib.middle(a, b)
        return point.x, point.y

    def scale(self, values: Sequence[float], factor: float) -> None:
        self.lib.scale(self.ffi.from_buffer("double[]", values, require_writable=True), len(values), factor)

    def count_if(self, values: Sequence[int], test: Callable[[int], bool]) -> int:
        callback = self.ffi.callback("int (*)(int, void *)", lambda value, data: test(value))
        return self.lib.count_if(values, len(values), callback, self.ffi.NULL)

    def nth(self, values: Sequence[int], index: int) -> int:
        return self.lib.nth(values, index)

# SPDX-License-Identifier: Apache-2.0
"""The library through ctypes: nothing to build, and every type written once more, in Python."""

import ctypes
from collections.abc import Callable, Sequence
from pathlib import Path


class Point(ctypes.Structure):
    _fields_ = [("x", ctypes.c_double), ("y", ctypes.c_double)]


TEST = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_void_p)


class Survey:
    def __init__(self, library: Path) -> None:
        c = self.c = ctypes.CDLL(str(library))
        c.hypot2.argtypes, c.hypot2.restype = [ctypes.c_double, ctypes.c_double], ctypes.c_double
        c.greet.argtypes, c.greet.restype = [ctypes.c_char_p], ctypes.c_void_p  # c_char_p would lose the address
        c.free.argtypes, c.free.restype = [ctypes.c_void_p], None  # of the C library, which this one is linked with
        c.middle.argtypes, c.middle.restype = [Point, Point], Point
        c.scale.argtypes, c.scale.restype = [ctypes.POINTER(ctypes.c_double), ctypes.c_size_t, ctypes.c_double], None
        c.count_if.argtypes = [ctypes.POINTER(ctypes.c_int), ctypes.c_size_t, TEST, ctypes.c_void_p]
        c.nth.argtypes = [ctypes.POINTER(ctypes.c_int), ctypes.c_int]
        self.hypot2 = c.hypot2

    def greet(self, name: str) -> str:
        address = self.c.greet(name.encode())
        try:
            return ctypes.string_at(address).decode()
        finally:
            self.c.free(address)

    def middle(self, a: tuple[float, float], b: tuple[float, float]) -> tuple[float, float]:
        point = self.c.middle(Point(*a), Point(*b))
        return point.x, point.y

    def scale(self, values: Sequence[float], factor: float) -> None:
        count = len(values)
        self.c.scale((ctypes.c_double * count).from_buffer(values), count, factor)

    def count_if(self, values: Sequence[int], test: Callable[[int], bool]) -> int:
        count = len(values)
        return self.c.count_if((ctypes.c_int * count)(*values), count, TEST(lambda value, data: test(value)), None)

    def nth(self, values: Sequence[int], index: int) -> int:
        return self.c.nth((ctypes.c_int * len(values))(*values), index)

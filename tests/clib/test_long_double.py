# SPDX-License-Identifier: Apache-2.0
"""long double has 113 bits of precision, of which a Python float holds 53: the nearest comes."""

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import anywasm
from anywasm import clib

SOURCE = """
long double divide(long double a, long double b) { return a / b; }
long double sum(long double a, long double b) { return a + b; }
"""


@pytest.fixture
def lib(c_compiler: None, engine: anywasm.Engine) -> Any:
    return clib.compile(SOURCE, engine=engine)


@pytest.mark.parametrize(("a", "b"), [(1, 3), (2, 3), (1, 10), (5, 7), (1e300, 3), (1e-300, 3), (-1, 3)])
def test_a_quotient_is_the_nearest_float(lib: Any, a: float, b: float) -> None:
    assert lib.divide(a, b) == float(Fraction(a) / Fraction(b))


@pytest.mark.parametrize("tail", [2.0**-53, 2.0**-53 + 2.0**-60, 2.0**-54, -(2.0**-54), 2.0**-52 + 2.0**-53])
@pytest.mark.parametrize("head", [1.0, 1.0 + 2.0**-52, -1.0])
def test_a_sum_between_two_floats_is_rounded_once(lib: Any, head: float, tail: float) -> None:
    assert lib.sum(head, tail) == head + tail


@given(a=st.floats(-1e100, 1e100), b=st.floats(-1e100, 1e100))
def test_sums_are_those_of_floats(lib: Any, a: float, b: float) -> None:
    difference = abs(Fraction(a)) / abs(Fraction(b)) if a and b else Fraction(1)
    if Fraction(1, 2**50) < difference < 2**50:  # else the sum itself is rounded, to 113 bits
        assert lib.sum(a, b) == a + b

# SPDX-License-Identifier: Apache-2.0
"""Values across the boundary: what each type takes from Python, what it gives back, and what it refuses.

Each value makes the round trip through a guest's function that returns its parameter.
"""

import math
import struct
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import anywasm
from toolchain import Instantiate

ECHO = """
(module
  (func (export "i32") (param i32) (result i32) local.get 0)
  (func (export "i64") (param i64) (result i64) local.get 0)
  (func (export "f32") (param f32) (result f32) local.get 0)
  (func (export "f64") (param f64) (result f64) local.get 0)
  (func (export "externref") (param externref) (result externref) local.get 0)
  (func (export "funcref") (param funcref) (result funcref) local.get 0)
  (func (export "two") (param i32 i64) (result i64 i32) local.get 1 local.get 0)
  (func (export "none"))
)
"""
ECHO_V128 = '(module (func (export "v128") (param v128) (result v128) local.get 0))'


class Index:
    """An integer to Python: has __index__ and nothing else."""

    def __init__(self, value: int) -> None:
        self.value = value

    def __index__(self) -> int:
        return self.value


class Float:
    """A float to Python: has __float__ and nothing else."""

    def __init__(self, value: float) -> None:
        self.value = value

    def __float__(self) -> float:
        return self.value


@pytest.fixture
def echo(instantiate: Instantiate) -> Any:
    return instantiate(ECHO).exports


@pytest.fixture
def vector_echo(instantiate: Instantiate) -> Any:
    return instantiate(ECHO_V128).exports


ROUND_TRIPS = [
    ("i32", 0, 0),
    ("i32", -1, -1),
    ("i32", 2**31 - 1, 2**31 - 1),
    ("i32", -(2**31), -(2**31)),
    ("i32", 2**31, -(2**31)),
    ("i32", 2**32 - 1, -1),
    ("i32", True, 1),
    ("i32", Index(7), 7),
    ("i64", 0, 0),
    ("i64", 2**63 - 1, 2**63 - 1),
    ("i64", -(2**63), -(2**63)),
    ("i64", 2**63, -(2**63)),
    ("i64", 2**64 - 1, -1),
    ("i64", False, 0),
    ("i64", Index(-(2**40)), -(2**40)),
    ("f32", 0.5, 0.5),
    ("f32", 1, 1.0),
    ("f32", 0.1, struct.unpack("f", struct.pack("f", 0.1))[0]),
    ("f32", True, 1.0),
    ("f32", Index(3), 3.0),
    ("f32", Float(2.5), 2.5),
    ("f32", Fraction(1, 4), 0.25),
    ("f32", math.inf, math.inf),
    ("f32", -math.inf, -math.inf),
    ("f32", 1e-60, 0.0),
    ("f32", 3.4028234663852886e38, 3.4028234663852886e38),
    ("f64", 0.1, 0.1),
    ("f64", 2**53, 2.0**53),
    ("f64", Index(3), 3.0),
    ("f64", Float(-2.5), -2.5),
    ("f64", -math.inf, -math.inf),
    ("f64", 5e-324, 5e-324),
]


@pytest.mark.parametrize(("kind", "given", "back"), ROUND_TRIPS, ids=lambda value: getattr(value, "value", None))
def test_a_number_comes_back_as_a_plain_int_or_float(echo: Any, kind: str, given: Any, back: float) -> None:
    result = echo[kind](given)
    assert result == back
    assert type(result) is type(back)


@pytest.mark.parametrize("kind", ["f32", "f64"])
def test_minus_zero_keeps_its_sign(echo: Any, kind: str) -> None:
    assert math.copysign(1.0, echo[kind](-0.0)) == -1.0


@pytest.mark.parametrize("kind", ["f32", "f64"])
def test_nan_comes_back_as_nan(echo: Any, kind: str) -> None:
    assert math.isnan(echo[kind](math.nan))


OUT_OF_RANGE = [
    ("i32", 2**32),
    ("i32", -(2**31) - 1),
    ("i32", 2**40 + 7),
    ("i32", 10**100),
    ("i32", Index(2**32)),
    ("i64", 2**64),
    ("i64", -(2**63) - 1),
    ("i64", 10**100),
    ("i64", Index(-(10**30))),
    ("f32", 3.5e38),
    ("f32", -1e300),
    ("f32", 2**200),
    ("f64", 10**400),
]


@pytest.mark.parametrize(("kind", "value"), OUT_OF_RANGE, ids=lambda value: str(getattr(value, "value", value))[:24])
def test_a_number_out_of_range_is_an_overflow_error(echo: Any, kind: str, value: Any) -> None:
    with pytest.raises(OverflowError, match=rf"{kind}\(\): parameter 1 \({kind}\)"):
        echo[kind](value)


WRONG_TYPES = [
    ("i32", 1.0, "float"),
    ("i32", "1", "str"),
    ("i32", None, "None"),
    ("i32", b"1", "bytes"),
    ("i32", Float(1.0), "Float"),
    ("i32", [1], "list"),
    ("i64", 1.5, "float"),
    ("i64", "1", "str"),
    ("i64", 1j, "complex"),
    ("f32", "1.0", "str"),
    ("f32", None, "None"),
    ("f32", 1j, "complex"),
    ("f64", "1.0", "str"),
    ("f64", b"1.0", "bytes"),
    ("f64", [], "list"),
    ("funcref", 1, "int"),
    ("funcref", len, "builtin_function_or_method"),
]


@pytest.mark.parametrize(("kind", "value", "type_name"), WRONG_TYPES, ids=lambda value: str(value)[:16])
def test_a_value_of_the_wrong_type_is_named_with_its_place(echo: Any, kind: str, value: Any, type_name: str) -> None:
    with pytest.raises(TypeError, match=rf"^{kind}\(\): parameter 1 \({kind}\): .*{type_name}"):
        echo[kind](value)


def test_the_second_parameter_is_told_as_the_second(echo: Any) -> None:
    with pytest.raises(TypeError, match=r"^two\(\): parameter 2 \(i64\): .*str"):
        echo.two(1, "x")


def test_an_error_in_index_passes_through(echo: Any) -> None:
    class Broken:
        def __index__(self) -> int:
            raise LookupError("no index today")

    with pytest.raises(LookupError, match="no index today"):
        echo.i32(Broken())


def test_an_error_in_float_passes_through(echo: Any) -> None:
    class Broken:
        def __float__(self) -> float:
            raise LookupError("no float today")

    with pytest.raises(LookupError, match="no float today"):
        echo.f64(Broken())


def test_numpy_numbers_are_numbers(echo: Any) -> None:
    numpy = pytest.importorskip("numpy")
    assert echo.i32(numpy.uint32(2**32 - 1)) == -1
    assert echo.i64(numpy.int64(-5)) == -5
    assert echo.f32(numpy.float32(1.5)) == 1.5
    assert echo.f64(numpy.float64(1.5)) == 1.5
    assert echo.f64(numpy.int8(-3)) == -3.0


def test_several_results_are_a_tuple(echo: Any) -> None:
    assert echo.two(1, 2) == (2, 1)


def test_no_result_is_none(echo: Any) -> None:
    assert echo.none() is None


# --- vectors ------------------------------------------------------------------------------------------------------


@pytest.mark.requires("simd")
@pytest.mark.parametrize("make", [bytes, bytearray, memoryview], ids=["bytes", "bytearray", "memoryview"])
def test_a_vector_is_sixteen_bytes_of_any_buffer(instantiate: Instantiate, make: Callable[[bytes], Any]) -> None:
    data = bytes(range(16))
    result = instantiate(ECHO_V128).exports.v128(make(data))
    assert result == data
    assert type(result) is bytes


@pytest.mark.requires("simd")
@pytest.mark.parametrize("length", [0, 15, 17])
def test_a_vector_of_another_length_is_refused(instantiate: Instantiate, length: int) -> None:
    with pytest.raises(ValueError, match=rf"v128\(\): parameter 1 \(v128\): .*{length}"):
        instantiate(ECHO_V128).exports.v128(bytes(length))


@pytest.mark.requires("simd")
@pytest.mark.parametrize("value", [1, "x" * 16, None], ids=str)
def test_a_vector_of_another_type_is_refused(instantiate: Instantiate, value: Any) -> None:
    with pytest.raises(TypeError, match=r"v128\(\): parameter 1 \(v128\)"):
        instantiate(ECHO_V128).exports.v128(value)


# --- references ---------------------------------------------------------------------------------------------------


@pytest.mark.requires("reference_types")
@pytest.mark.parametrize("value", [0, "text", 1.5, [], {}, object(), int, len], ids=lambda value: type(value).__name__)
def test_an_externref_is_the_same_object_again(echo: Any, value: Any) -> None:
    assert echo.externref(value) is value


@pytest.mark.requires("reference_types")
def test_none_is_the_null_externref(instantiate: Instantiate) -> None:
    is_null = instantiate(
        '(module (func (export "f") (param externref) (result i32) local.get 0 ref.is_null))'
    ).exports.f
    assert is_null(None) == 1
    assert is_null(0) == 0
    assert is_null("") == 0


@pytest.mark.requires("reference_types")
def test_a_funcref_is_a_func_that_can_be_called(echo: Any) -> None:
    back = echo.funcref(echo.two)
    assert isinstance(back, anywasm.Func)
    assert back == echo.two
    assert back(1, 2) == (2, 1)
    assert echo.funcref(None) is None


@pytest.mark.requires("reference_types")
def test_a_host_function_makes_the_trip_as_a_funcref(echo: Any, store: anywasm.Store) -> None:
    double = anywasm.Func(lambda x: 2 * x, anywasm.FuncType(["i32"], ["i32"]), store)
    back = echo.funcref(double)
    assert back == double
    assert back(21) == 42


# --- bit patterns -------------------------------------------------------------------------------------------------

# Quiet and signalling NaNs with payloads and signs.
NAN_BITS = [
    ("f32", 0x7FC00000),
    ("f32", 0xFFC00000),
    ("f32", 0x7FA00000),
    ("f32", 0x7F800001),
    ("f32", 0xFF812345),
    ("f64", 0x7FF8000000000000),
    ("f64", 0x7FF0000000000001),
    ("f64", 0xFFF4000000000001),
    ("f64", 0x7FF8000000ABCDEF),
]


@pytest.mark.parametrize(("kind", "bits"), NAN_BITS, ids=lambda value: value if isinstance(value, str) else hex(value))
def test_call_bits_keeps_every_bit_of_a_nan(echo: Any, kind: str, bits: int) -> None:
    assert echo[kind].call_bits(bits) == bits


@pytest.mark.parametrize(("kind", "width"), [("i32", 32), ("i64", 64)])
def test_call_bits_gives_unsigned_integers(echo: Any, kind: str, width: int) -> None:
    assert echo[kind].call_bits(2**width - 1) == 2**width - 1


@pytest.mark.parametrize(("kind", "width"), [("i32", 32), ("i64", 64), ("f32", 32), ("f64", 64)])
@pytest.mark.parametrize("side", ["below", "above"])
def test_call_bits_refuses_what_is_not_a_pattern(echo: Any, kind: str, width: int, side: str) -> None:
    with pytest.raises(OverflowError, match=rf"{kind}\(\): parameter 1 \({kind}\)"):
        echo[kind].call_bits(-1 if side == "below" else 2**width)


@pytest.mark.parametrize("kind", ["i32", "f32", "f64"])
def test_call_bits_takes_integers_only(echo: Any, kind: str) -> None:
    with pytest.raises(TypeError, match=rf"{kind}\(\): parameter 1 \({kind}\)"):
        echo[kind].call_bits(1.0)


@pytest.mark.requires("simd")
def test_call_bits_takes_a_vector_as_one_integer_lane_0_lowest(instantiate: Instantiate) -> None:
    lane = instantiate(
        '(module (func (export "lane") (param v128) (result i32 v128) local.get 0 i32x4.extract_lane 0 local.get 0))'
    ).exports.lane
    bits = 0x0F0E0D0C0B0A09080706050403020100
    assert lane.call_bits(bits) == (0x03020100, bits)


def test_call_bits_gives_one_tuple_for_several_results_and_none_for_none(echo: Any) -> None:
    assert echo.two.call_bits(2**32 - 1, 2**64 - 1) == (2**64 - 1, 2**32 - 1)
    assert echo.none.call_bits() is None


def test_a_global_has_its_bits_too(store: anywasm.Store) -> None:
    number = anywasm.Global(anywasm.GlobalType("f32", mutable=True), 0.0, store)
    number.value_bits = 0x7FA00001
    assert number.value_bits == 0x7FA00001
    assert math.isnan(number.value)


# --- any value at all ---------------------------------------------------------------------------------------------


@given(value=st.integers(-(2**33), 2**33))
def test_any_integer_comes_back_signed_or_is_refused(echo: Any, value: int) -> None:
    if -(2**31) <= value < 2**32:
        assert echo.i32(value) == (value + 2**31) % 2**32 - 2**31
    else:
        with pytest.raises(OverflowError):
            echo.i32(value)


@given(value=st.integers(-(2**65), 2**65))
def test_any_long_integer_comes_back_signed_or_is_refused(echo: Any, value: int) -> None:
    if -(2**63) <= value < 2**64:
        assert echo.i64(value) == (value + 2**63) % 2**64 - 2**63
    else:
        with pytest.raises(OverflowError):
            echo.i64(value)


@given(value=st.floats())
def test_any_float_is_rounded_as_struct_rounds_it(echo: Any, value: float) -> None:
    assert struct.pack("<d", echo.f64(value)) == struct.pack("<d", value) or math.isnan(value)
    try:
        expected = struct.pack("<f", value)
    except OverflowError:
        with pytest.raises(OverflowError):
            echo.f32(value)
    else:
        assert struct.pack("<f", echo.f32(value)) == expected or math.isnan(value)


@given(bits=st.integers(0, 2**64 - 1))
def test_any_bits_make_the_trip(echo: Any, bits: int) -> None:
    assert echo.i64.call_bits(bits) == bits
    assert echo.f64.call_bits(bits) == bits
    assert echo.f32.call_bits(bits & 0xFFFFFFFF) == bits & 0xFFFFFFFF


@pytest.mark.requires("simd")
@given(data=st.binary(min_size=16, max_size=16))
def test_any_vector_makes_the_trip(vector_echo: Any, data: bytes) -> None:
    assert vector_echo.v128(data) == data
    assert vector_echo.v128.call_bits(int.from_bytes(data, "little")) == int.from_bytes(data, "little")

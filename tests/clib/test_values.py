# SPDX-License-Identifier: Apache-2.0
"""Numbers and strings between Python and C."""

import math
import struct
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anywasm import clib

INTEGERS = {
    "schar": ("signed char", -128, 127),
    "uchar": ("unsigned char", 0, 255),
    "char": ("char", -128, 127),
    "short": ("short", -(2**15), 2**15 - 1),
    "ushort": ("unsigned short", 0, 2**16 - 1),
    "int": ("int", -(2**31), 2**31 - 1),
    "uint": ("unsigned int", 0, 2**32 - 1),
    "long": ("long", -(2**31), 2**31 - 1),
    "ulong": ("unsigned long", 0, 2**32 - 1),
    "llong": ("long long", -(2**63), 2**63 - 1),
    "ullong": ("unsigned long long", 0, 2**64 - 1),
    "size": ("size_t", 0, 2**32 - 1),
}


class Index:
    def __init__(self, value: int) -> None:
        self.value = value

    def __index__(self) -> int:
        return self.value


# --- integers -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", INTEGERS)
def test_every_integer_of_the_range_comes_back(lib: clib.Library, name: str) -> None:
    _, least, most = INTEGERS[name]
    function = getattr(lib, f"same_{name}")
    for value in {least, least + 1, 0, 1, 42, most // 2, most - 1, most}:
        assert function(value) == value
        assert type(function(value)) is int


@pytest.mark.parametrize("name", INTEGERS)
def test_an_integer_out_of_range_is_an_overflow(lib: clib.Library, name: str) -> None:
    spelled, least, most = INTEGERS[name]
    function = getattr(lib, f"same_{name}")
    for value in (least - 1, most + 1):
        with pytest.raises(OverflowError) as caught:
            function(value)
        message = str(caught.value)
        assert message.startswith(f"same_{name}(): argument 1 'value' ({spelled}): ")
        assert message.endswith(f"out of range ({least} to {most})")
    for value in (10**30, -(10**30)):
        with pytest.raises(OverflowError, match="out of range"):
            function(value)


@pytest.mark.parametrize("value", [True, Index(1), np.int8(1), np.uint64(1), np.int64(1)])
def test_whatever_is_an_index_is_an_integer(lib: clib.Library, value: Any) -> None:
    assert lib.same_int(value) == 1
    assert lib.same_ullong(value) == 1
    assert lib.same_uchar(value) == 1


@pytest.mark.parametrize("value", [1.0, "1", b"1", None, [1], Decimal(1), 1j, object()])
def test_what_is_no_index_is_no_integer(lib: clib.Library, value: Any) -> None:
    with pytest.raises(TypeError) as caught:
        lib.add(0, value)
    assert str(caught.value).startswith("add(): argument 2 'b' (int): expected an integer, got ")
    assert str(caught.value).endswith(type(value).__name__)


def test_an_error_of_the_conversion_comes_out(lib: clib.Library) -> None:
    class Bad:
        def __index__(self) -> int:
            raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        lib.add(1, Bad())


def test_what_a_guest_returns_is_cut_to_the_type(lib: clib.Library) -> None:
    assert lib.overfull() == 0x45


def test_an_enum_comes_as_its_member(lib: clib.Library) -> None:
    color = lib.color
    assert lib.same_color(color.GREEN) is color.GREEN
    assert lib.same_color(5) is color.GREEN
    assert lib.GREEN is color.GREEN
    assert [member.name for member in color] == ["RED", "GREEN", "BLUE"]


def test_a_value_that_no_member_has_comes_as_an_integer(lib: clib.Library) -> None:
    assert lib.same_color(77) == 77
    assert type(lib.same_color(77)) is int


# --- floats ---------------------------------------------------------------------------------------------------------


@given(value=st.floats())
def test_a_double_comes_back(engine: Any, value: float, lib: clib.Library) -> None:
    assert struct.pack("d", lib.same_double(value)) == struct.pack("d", value) or math.isnan(value)
    assert math.isnan(lib.same_double(value)) == math.isnan(value)


@given(value=st.floats(width=32))
def test_a_float_comes_back(engine: Any, value: float, lib: clib.Library) -> None:
    result = lib.same_float(value)
    assert result == value or (math.isnan(result) and math.isnan(value))


@given(value=st.floats())
def test_a_double_goes_through_a_long_double(engine: Any, value: float, lib: clib.Library) -> None:
    result = lib.same_ldouble(value)
    assert result == value or (math.isnan(result) and math.isnan(value))
    assert math.copysign(1, result) == math.copysign(1, value) or math.isnan(value)


@pytest.mark.parametrize("value", [1, True, np.float32(1), np.float64(1), np.int16(1), Fraction(1), Decimal(1)])
def test_whatever_has_a_float_is_a_number(lib: clib.Library, value: Any) -> None:
    assert lib.same_double(value) == 1.0
    assert lib.same_float(value) == 1.0
    assert lib.same_ldouble(value) == 1.0


@pytest.mark.parametrize("value", ["1", b"1", None, [1], 1j, object()])
def test_what_has_no_float_is_no_number(lib: clib.Library, value: Any) -> None:
    for function in (lib.same_double, lib.same_float, lib.same_ldouble):
        with pytest.raises(TypeError, match=rf"expected a number, got .*{type(value).__name__}$"):
            function(value)


def test_a_number_that_float_cannot_hold_is_an_overflow(lib: clib.Library) -> None:
    with pytest.raises(
        OverflowError, match=r"same_float\(\): argument 1 'value' \(float\): 1e\+39 is out of the range of float"
    ):
        lib.same_float(1e39)
    with pytest.raises(OverflowError, match="out of the range of double"):
        lib.same_double(10**400)
    assert lib.same_float(math.inf) == math.inf
    assert lib.same_float(1e-60) == 0.0


@pytest.mark.parametrize("value", [0, 1.5, -2j, 3 + 4j, complex(math.inf, -0.0), np.complex64(1 + 2j), np.float32(2)])
def test_a_complex_number_comes_back(lib: clib.Library, value: Any) -> None:
    for function in (lib.same_cdouble, lib.same_cfloat):
        result = function(value)
        assert result == complex(value)
        assert math.copysign(1, result.imag) == math.copysign(1, complex(value).imag)


def test_complex_numbers_that_do_not_fit(lib: clib.Library) -> None:
    class Complex:
        def __complex__(self) -> complex:
            return 1 + 2j

    assert lib.same_cdouble(Complex()) == 1 + 2j
    with pytest.raises(OverflowError, match="out of the range of float"):
        lib.same_cfloat(1e300j)
    for value in ("1", None, [1]):
        with pytest.raises(TypeError, match="expected a complex number, got"):
            lib.same_cdouble(value)


# --- booleans -------------------------------------------------------------------------------------------------------


def test_truth_as_c_sees_it(lib: clib.Library) -> None:
    pointer = lib.new("int *")
    for value in (True, 1, -1, 256, 0.5, np.bool_(True), pointer, np.float32(2), 1j, lib.cast("int", 2)):
        assert lib.same_bool(value) is True
    for value in (False, 0, 0.0, None, np.bool_(False), 0j, lib.cast("int", 0)):
        assert lib.same_bool(value) is False


@pytest.mark.parametrize("value", ["", "false", b"", [], [0], {}, object()])
def test_what_c_has_no_truth_for_is_refused(lib: clib.Library, value: Any) -> None:
    with pytest.raises(TypeError, match="expected what C takes for true or false"):
        lib.same_bool(value)


# --- strings --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", "a", "grüße", "日本語", "x" * 100_000, "\U0001f40d"])
def test_a_str_goes_as_utf8_and_comes_back(lib: clib.Library, text: str) -> None:
    assert lib.length(text) == len(text.encode())
    assert lib.greet(text) == f"hello {text}"


def test_bytes_and_none_are_strings_too(lib: clib.Library) -> None:
    assert lib.length(b"abc") == 3
    assert lib.length(b"ab\0c") == 2
    assert lib.length(None) == 999
    assert lib.length(bytearray(b"abc\0")) == 3
    assert lib.no_text() is None
    assert lib.static_text() == "static"


def test_a_buffer_without_a_nul_is_a_string_too(lib: clib.Library) -> None:
    assert lib.length("x" * 1000) == 1000  # leaves its bytes where the next arguments go
    for size in (0, 3, 100_000):
        assert lib.length(bytearray(b"y" * size)) == size
        assert lib.length(memoryview(b"y" * 2 * size)[::2]) == size


def test_a_nul_within_a_str_is_refused(lib: clib.Library) -> None:
    with pytest.raises(ValueError, match=r"length\(\): argument 1 'text' \(const char \*\): the str has a NUL"):
        lib.length("a\0b")
    with pytest.raises(ValueError, match="NUL"):
        lib.string("a\0b")


def test_a_surrogate_has_no_utf8(lib: clib.Library) -> None:
    with pytest.raises(UnicodeEncodeError):
        lib.length("\ud800")


@pytest.mark.parametrize("value", [1, 1.5, ["a"], {"a": 1}])
def test_what_is_no_string_is_refused(lib: clib.Library, value: Any) -> None:
    with pytest.raises(TypeError, match=r"length\(\): argument 1 'text' \(const char \*\): "):
        lib.length(value)


def test_a_result_that_is_no_utf8_tells_what_to_do(lib: clib.Library) -> None:
    with pytest.raises(
        ValueError, match=r"latin1\(\): the result is not utf-8: let it come as bytes \(bytes="
    ) as caught:
        lib.latin1()
    assert isinstance(caught.value.__cause__, UnicodeDecodeError)


def test_strings_come_as_declared(load: Any) -> None:
    lib = load(bytes={"latin1", "no_text"}, pointers={"static_text"})
    assert lib.latin1() == b"caf\xe9"
    assert lib.no_text() is None
    pointer = lib.static_text()
    assert pointer.read_cstring() == "static"
    assert pointer.read_cstring(encoding=None) == b"static"
    assert [chr(pointer[i]) for i in range(6)] == list("static")


def test_another_encoding(load: Any) -> None:
    lib = load(encoding="latin-1")
    assert lib.latin1() == "café"
    assert lib.length("café") == 4
    assert lib.greet("é") == "hello é"
    with pytest.raises(UnicodeEncodeError):
        lib.length("日")
    with pytest.raises(LookupError):
        load(encoding="no-such").latin1()


def test_no_encoding_gives_bytes(load: Any) -> None:
    lib = load(encoding=None)
    assert lib.static_text() == b"static"
    assert lib.version == b"1.0"
    assert lib.length("é") == 2


def test_what_the_library_may_change_is_no_str(lib: clib.Library) -> None:
    with pytest.raises(TypeError, match=r"not declared const\), and str cannot be changed: pass a bytearray"):
        lib.fill("abc", 3)
    with pytest.raises(TypeError, match=r"not declared const\), and bytes cannot be changed: pass a bytearray"):
        lib.fill(b"abc", 3)
    buffer = bytearray(b"abcd")
    lib.fill(buffer, 3)
    assert buffer == b"xxxd"


def test_a_string_of_the_librarys(lib: clib.Library) -> None:
    text = lib.string("grüße")
    assert text.ctype.name == "char *"
    assert text.read_cstring() == "grüße"
    assert lib.length(text) == 7
    lib.fill(text, 2)
    assert text.read_cstring(encoding=None) == b"xx\xc3\xbc\xc3\x9fe"
    assert lib.string(b"a\0b")[2] == ord("b")
    with pytest.raises(IndexError):
        text[8]
    with pytest.raises(TypeError, match="expected str or bytes, got int"):
        lib.string(1)  # type: ignore[arg-type]


def test_a_result_within_an_argument_that_was_copied_is_refused(load: Any) -> None:
    lib = load(pointers={"find"})
    with pytest.raises(ValueError, match=r"find\(\): the result points into the copy of an argument"):
        lib.find("hello", ord("l"))
    with pytest.raises(ValueError, match="copy of an argument"):
        lib.find("x" * 100_000 + "l", ord("l"))
    text = lib.string("hello")
    found = lib.find(text, ord("l"))
    assert found - text == 2
    assert found.read_cstring() == "llo"
    assert load().find("hello", ord("l")) == "llo"
    assert load().find("hello", ord("z")) is None


# --- a number of a type ---------------------------------------------------------------------------------------------


def test_a_cast_wraps_around_as_in_c(lib: clib.Library) -> None:
    assert lib.cast("unsigned char", 300).value == 44  # type: ignore[union-attr]
    assert int(lib.cast("int", 2**32 - 1)) == -1  # type: ignore[arg-type]
    assert lib.cast("long long", -1).value == -1  # type: ignore[union-attr]
    assert lib.cast("int", 2.9).value == 2  # type: ignore[union-attr]
    assert float(lib.cast("float", 0.1)) == struct.unpack("f", struct.pack("f", 0.1))[0]  # type: ignore[arg-type]
    assert lib.cast("color", 5).value is lib.color.GREEN  # type: ignore[union-attr]
    assert repr(lib.cast("short", 7)) == "<anywasm.clib.Value 'short': 7>"
    assert lib.add(lib.cast("short", 7), 1) == 8
    assert lib.same_cdouble(lib.cast("double _Complex", 1 + 2j)) == 1 + 2j
    assert complex(lib.cast("float", 0.5)) == 0.5  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        float(lib.cast("double _Complex", 1j))  # type: ignore[arg-type]
    for bad in ("point", "void"):
        with pytest.raises(TypeError, match="expected a number's or a pointer's type"):
            lib.cast(bad, 1)
    with pytest.raises(TypeError, match=r"int: cast\(\): expected a number, got str"):
        lib.cast("int", "1")

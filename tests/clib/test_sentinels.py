# SPDX-License-Identifier: Apache-2.0
"""Pointers that stand for something: (void *)-1, SIG_IGN, SQLITE_TRANSIENT."""

import pytest

import anywasm
import toolchain
from anywasm import clib

SOURCE = """
typedef int (*handler)(int);
typedef struct { handler handle; } entry;
static handler set = (handler)-1;
static int twice(int n) { return 2 * n; }
handler exchange(handler given) { handler old = set; set = given; return old; }
handler doubler(void) { return twice; }
int is_ignored(const entry *e) { return e->handle == (handler)1000000; }
"""
DECLARATIONS = """
typedef int (*handler)(int);
typedef struct { handler handle; } entry;
handler exchange(handler given);
handler doubler(void);
int is_ignored(const entry *e);
"""


@pytest.fixture
def lib(engine: anywasm.Engine) -> clib.Library:
    exports = [f"-Wl,--export={name}" for name in ("malloc", "free", "exchange", "doubler", "is_ignored")]
    binary = toolchain.compile_c(SOURCE, "-mexec-model=reactor", "-fvisibility=default", *exports)
    return clib.load(binary, DECLARATIONS, engine=engine)


def test_a_cast_wraps_a_negative_address_around(lib: clib.Library) -> None:
    assert int(lib.cast("void *", -1)) == 2**32 - 1


def test_a_function_pointer_that_leads_to_no_function_is_a_pointer(lib: clib.Library) -> None:
    answer = lib.exchange(lib.cast("handler", 1000000))
    assert isinstance(answer, clib.Pointer)
    assert int(answer) == 2**32 - 1
    assert lib.exchange(None) == lib.cast("handler", 1000000)
    assert lib.exchange(lib.doubler()) is None
    assert lib.exchange(None)(21) == 42


def test_a_field_takes_a_pointer_that_leads_to_no_function(lib: clib.Library) -> None:
    assert lib.is_ignored({"handle": lib.cast("handler", 1000000)}) == 1
    entry = lib.new("entry *")
    entry.handle = lib.cast("handler", 1000000)
    assert lib.is_ignored(entry) == 1
    assert int(entry.handle) == 1000000


def test_a_pointer_to_data_is_no_function(lib: clib.Library) -> None:
    with pytest.raises(TypeError, match="the value is of type 'int \\*'"):
        lib.exchange(lib.new("int *"))

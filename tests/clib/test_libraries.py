# SPDX-License-Identifier: Apache-2.0
"""The C libraries of examples/: their answers are those of Python's own modules, or of the library as machine code."""

import ctypes
import gzip
import hashlib
import importlib
import shutil
import sqlite3
import sys
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import anywasm
import toolchain

EXAMPLES = Path(__file__).parents[2] / "examples"
TEXT = b"All work and no play makes Jack a dull boy.\n" * 3000
NOISE = b"".join(hashlib.sha256(bytes([n])).digest() for n in range(256)) * 10
DATA = [b"", b"a", b"\0" * 100_000, TEXT, NOISE, TEXT + NOISE]
ids = [f"{len(data)} bytes" for data in DATA]


def example(name: str) -> Any:
    """A module of examples/, which keeps what it compiles in the tests' cache."""
    sys.path.insert(0, str(EXAMPLES))
    try:
        importlib.import_module("c_library").WORK = toolchain.cache_dir() / "examples"
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(EXAMPLES))


@pytest.fixture(scope="session")
def load(engine: anywasm.Engine, request: pytest.FixtureRequest) -> Any:
    """Loads the library of an example, once an engine."""
    if shutil.which("cargo") is None:
        pytest.skip("needs cargo, which fetches the sources")
    pytest.importorskip("ziglang")
    loaded: dict[str, Any] = {}

    def load(name: str) -> Any:
        if name not in loaded:
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("ANYWASM_ENGINE", engine.name)
                patch.setenv("ANYWASM_CACHE_DIR", str(toolchain.clib_cache()))
                patch.chdir(toolchain.cache_dir() / "examples")
                loaded[name] = example(name).load()
        return loaded[name]

    return load


# --- zlib -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def our_zlib(load: Any) -> Any:
    return example("zlib_in_wasm").Zlib(load("zlib_in_wasm"))


@pytest.mark.parametrize("data", DATA, ids=ids)
@pytest.mark.parametrize("level", [-1, 0, 1, 9])
def test_zlib_compresses_so_that_python_reads_it(our_zlib: Any, data: bytes, level: int) -> None:
    assert zlib.decompress(our_zlib.compress(data, level)) == data


@pytest.mark.parametrize("data", DATA, ids=ids)
def test_zlib_reads_what_python_compressed(our_zlib: Any, data: bytes) -> None:
    assert our_zlib.decompress(zlib.compress(data)) == data
    assert our_zlib.decompress(gzip.compress(data), wbits=31) == data


@pytest.mark.parametrize("data", DATA, ids=ids)
def test_zlib_computes_the_checksums_of_pythons(our_zlib: Any, data: bytes) -> None:
    assert our_zlib.crc32(data) == zlib.crc32(data)
    assert our_zlib.adler32(data, 17) == zlib.adler32(data, 17)


@settings(max_examples=30)
@given(place=st.integers(0, 200), byte=st.integers(0, 255))
def test_zlib_refuses_damaged_data_where_python_does(our_zlib: Any, place: int, byte: int) -> None:
    packed = bytearray(zlib.compress(NOISE[:150]))
    packed[place % len(packed)] = byte
    try:
        expected = zlib.decompress(packed)
    except zlib.error:
        with pytest.raises(example("zlib_in_wasm").Error):
            our_zlib.decompress(bytes(packed))
    else:
        assert our_zlib.decompress(bytes(packed)) == expected


def test_zlib_leaves_nothing_behind(our_zlib: Any) -> None:
    for _ in range(3):
        our_zlib.decompress(zlib.compress(TEXT))
    pages = our_zlib.lib.memory.pages
    for _ in range(100):
        our_zlib.decompress(zlib.compress(TEXT))
    assert our_zlib.lib.memory.pages == pages


# --- SQLite ---------------------------------------------------------------------------------------------------------

VALUES = [None, 0, -1, 2**63 - 1, -(2**63), 0.1, -1e300, float("inf"), "", "Zoë", "a\0b", b"", b"\0\xff" * 1000]
values = st.one_of(
    st.none(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.text(st.characters(codec="utf-8")),
    st.binary(),
)


@pytest.fixture
def our_sqlite(load: Any) -> Any:
    lib = load("sqlite_in_wasm")
    lib.reset()
    return example("sqlite_in_wasm").Connection(lib)


@pytest.mark.parametrize("value", VALUES, ids=lambda value: repr(value)[:20])
def test_sqlite_stores_what_python_stores(our_sqlite: Any, value: object) -> None:
    pythons = sqlite3.connect(":memory:")
    for database in (our_sqlite, pythons):
        database.execute("create table things (thing)")
        database.execute("insert into things values (?)", [value])
    query = "select thing, typeof(thing), hex(thing), length(thing) from things"
    assert our_sqlite.execute(query) == pythons.execute(query).fetchall()
    pythons.close()


@given(row=st.tuples(values, values, values))
def test_sqlite_gives_a_row_back(our_sqlite: Any, row: tuple[Any, ...]) -> None:
    assert our_sqlite.execute("select ?, ?, ?", row) == [row]


def test_sqlite_answers_queries_as_pythons(our_sqlite: Any) -> None:
    pythons = sqlite3.connect(":memory:")
    script = [
        "create table t (id integer primary key, name text, size real)",
        *(f"insert into t (name, size) values ('name {n * n % 31}', {n} / 7.0)" for n in range(200)),
        "create index by_name on t (name)",
        "update t set size = size * 2 where id % 3 = 0",
        "delete from t where name like '%1%'",
    ]
    for statement in script:
        our_sqlite.execute(statement)
        pythons.execute(statement)
    queries = [
        "select count(*), round(sum(size), 6), min(name), max(id) from t",
        "select name, count(*), round(avg(size), 6) from t group by name order by name",
        "select a.id, b.id from t a join t b on a.name = b.name and a.id < b.id order by 1, 2 limit 20",
        "with recursive f(a, b) as (select 0, 1 union all select b, a + b from f where b < 1000) select sum(a) from f",
        "select upper('straße'), length('ä\U0001f600'), 1 = 1.0, null is null, typeof(x'00ff'), x'00ff'",
    ]
    for query in queries:
        assert our_sqlite.execute(query) == pythons.execute(query).fetchall()
    pythons.close()


def test_sqlite_calls_python_for_each_row(our_sqlite: Any) -> None:
    our_sqlite.create_function("triple", 1, lambda number: 3 * number)
    our_sqlite.execute("create table numbers (n)")
    for n in range(50):
        our_sqlite.execute("insert into numbers values (?)", [n])
    assert our_sqlite.execute("select sum(triple(n)) from numbers") == [(3 * sum(range(50)),)]


@pytest.mark.parametrize("result", VALUES, ids=lambda value: repr(value)[:20])
def test_sqlite_takes_every_value_from_python(our_sqlite: Any, result: object) -> None:
    our_sqlite.create_function("answer", 0, lambda: result)
    assert our_sqlite.execute("select answer()") == [(result,)]


def test_sqlite_goes_on_after_an_error(our_sqlite: Any) -> None:
    with pytest.raises(sqlite3.OperationalError, match='near "nonsense": syntax error'):
        our_sqlite.execute("nonsense")
    assert our_sqlite.execute("select 1") == [(1,)]


# --- LZ4 ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def our_lz4(load: Any) -> Any:
    return example("lz4_in_wasm").Lz4(load("lz4_in_wasm"))


class Preferences(ctypes.Structure):
    """LZ4F_preferences_t."""

    _fields_ = [
        ("block_size", ctypes.c_int),
        ("block_mode", ctypes.c_int),
        ("content_checksum", ctypes.c_int),
        ("frame_type", ctypes.c_int),
        ("content_size", ctypes.c_ulonglong),
        ("dictionary", ctypes.c_uint),
        ("block_checksum", ctypes.c_int),
        ("level", ctypes.c_int),
        ("flush", ctypes.c_uint),
        ("favor_speed", ctypes.c_uint),
        ("reserved", ctypes.c_uint * 3),
    ]


@pytest.fixture(scope="session")
def native_lz4(load: Any) -> Any:
    """The same sources as machine code."""
    c_library = example("c_library")
    folder = c_library.crate_source("lz4-sys", "1.11.1") / "liblz4" / "lib"
    sources = [folder / f"{name}.c" for name in ("lz4", "lz4hc", "lz4frame", "xxhash")]
    lib = ctypes.CDLL(str(c_library.build_native("lz4", sources)))
    for function in (lib.LZ4F_compressFrame, lib.LZ4F_compressFrameBound):
        function.restype = ctypes.c_size_t
    return lib


@pytest.mark.parametrize("data", DATA, ids=ids)
@pytest.mark.parametrize("level", [0, 1, 9, 12])
def test_lz4_compresses_to_the_bytes_of_the_native_library(
    our_lz4: Any, native_lz4: Any, data: bytes, level: int
) -> None:
    preferences = Preferences(content_size=len(data), content_checksum=1, level=level)
    bound = native_lz4.LZ4F_compressFrameBound(ctypes.c_size_t(len(data)), ctypes.byref(preferences))
    target = ctypes.create_string_buffer(bound)
    size = native_lz4.LZ4F_compressFrame(
        target, ctypes.c_size_t(bound), data, ctypes.c_size_t(len(data)), ctypes.byref(preferences)
    )
    assert our_lz4.compress(data, level, checksum=True) == target.raw[:size]


@pytest.mark.parametrize("data", DATA, ids=ids)
def test_lz4_reads_what_it_compressed(our_lz4: Any, data: bytes) -> None:
    packed = our_lz4.compress(data)
    assert our_lz4.decompress(packed) == data
    assert our_lz4.info(packed).contentSize == len(data)

# SPDX-License-Identifier: Apache-2.0
"""The type objects: what they accept, how they look, that they compare by value, and which of them fit each other."""

import copy
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import anywasm
from anywasm import ExportType, FuncType, GlobalType, ImportType, MemoryType, TableType, TagType, ValType
from toolchain import Instantiate

SHORT = [
    *("i32", "i64", "f32", "f64", "v128"),
    *("funcref", "externref", "exnref", "anyref", "eqref", "i31ref", "structref", "arrayref"),
    *("nullref", "nullfuncref", "nullexternref", "nullexnref"),
]
HEAPS = ["func", "extern", "exn", "any", "eq", "i31", "struct", "array", "none", "nofunc", "noextern", "noexn"]

value_types = st.sampled_from([*SHORT, *(f"(ref {heap})" for heap in HEAPS), "(ref null $func)", "(ref $struct)"])
pages = st.integers(0, 65536)


# --- value types ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", SHORT)
def test_a_value_type_is_shown_as_it_was_written(text: str) -> None:
    assert str(ValType(text)) == text
    assert repr(ValType(text)) == f"ValType({text!r})"


@pytest.mark.parametrize("heap", HEAPS)
def test_a_reference_in_full_is_the_short_form(heap: str) -> None:
    nullable = ValType(f"(ref null {heap})")
    assert str(nullable) in SHORT
    assert nullable.nullable
    assert nullable.heap_type == heap
    assert str(ValType(f"(ref {heap})")) == f"(ref {heap})"
    assert not ValType(f"(ref {heap})").nullable


def test_blanks_do_not_matter() -> None:
    assert ValType("(ref  null\tfunc )") == ValType("funcref")


def test_a_number_has_no_heap_type() -> None:
    assert ValType("i32").kind == "i32"
    assert ValType("i32").heap_type is None
    assert ValType("funcref").kind == "ref"


def test_a_modules_own_type_is_concrete() -> None:
    own = ValType("(ref $func)")
    assert own.concrete
    assert own.heap_type == "func"
    assert own != ValType("(ref func)")


def test_equal_value_types_are_one_object() -> None:
    assert ValType("(ref null eq)") is ValType("eqref")


@pytest.mark.parametrize("text", ["i33", "(ref null $eq)", "(ref func))", "i32\0", "\ud800", "x" * 100_000])
def test_what_is_no_value_type_is_told_with_those_that_are(text: str) -> None:
    with pytest.raises(ValueError, match="externref") as caught:
        ValType(text)
    assert len(str(caught.value)) < 400


def test_a_near_miss_is_suggested() -> None:
    with pytest.raises(ValueError, match="did you mean 'funcref'"):
        ValType("funcreff")


@pytest.mark.parametrize("value", [None, 1, int, b"i32", ["i32"]], ids=repr)
def test_what_is_no_text_is_a_type_error(value: Any) -> None:
    with pytest.raises(TypeError, match=type(value).__name__):
        ValType(value)


# --- the others ----------------------------------------------------------------------------------------------------


def test_a_function_type_reads_like_a_signature() -> None:
    assert str(FuncType(["i32", "i32"], ["i32"])) == "(i32, i32) -> i32"
    assert str(FuncType()) == "() -> ()"
    assert str(FuncType([], ["i32", "f64"])) == "() -> (i32, f64)"


def test_parameters_are_not_results() -> None:
    assert FuncType(["i32", "i32"]) != FuncType(["i32"], ["i32"])


@pytest.mark.parametrize("arguments", [("i32",), (ValType("i32"),), ([], "i32")], ids=repr)
def test_one_value_type_is_no_list_of_them(arguments: Any) -> None:
    with pytest.raises(TypeError, match=r"write \[.*i32"):
        FuncType(*arguments)


def test_a_wrong_parameter_is_told_by_its_place() -> None:
    with pytest.raises(ValueError, match="parameter 2: unknown value type 'i33'"):
        FuncType(["i32", "i33"])
    with pytest.raises(TypeError, match=r"result 1: .* got int"):
        FuncType([], [1])  # type: ignore[list-item]


def test_there_may_be_a_thousand_parameters_and_no_more() -> None:
    assert len(FuncType(["i32"] * 1000).parameters) == 1000
    with pytest.raises(ValueError, match="at most 1000 are allowed, got 1001"):
        FuncType([], ["i32"] * 1001)


def test_an_error_while_listing_parameters_comes_through() -> None:
    def parameters() -> Any:
        yield "i32"
        raise KeyError("later")

    with pytest.raises(KeyError, match="later"):
        FuncType(parameters())


@pytest.mark.parametrize(
    ("arguments", "keywords", "message"),
    [
        ((-1,), {}, "got -1"),
        ((65537,), {}, "0 to 65536"),
        ((10**5000,), {}, "huge"),
        ((3, 2), {}, "minimum 3 is above the maximum 2"),
        ((1,), {"shared": True}, "needs a maximum"),
        ((1,), {"index": "i16"}, "'i32' or 'i64'"),
        ((2**48 + 1,), {"index": "i64"}, "got 281474976710657"),
    ],
)
def test_memory_limits_that_make_no_sense_are_refused(arguments: Any, keywords: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MemoryType(*arguments, **keywords)


def test_a_table_holds_references() -> None:
    with pytest.raises(ValueError, match="reference type"):
        TableType("i32", 1)


def test_types_show_what_differs_from_the_default() -> None:
    assert repr(MemoryType(1)) == "MemoryType(1)"
    assert repr(MemoryType(1, 2, shared=True, index="i64")) == "MemoryType(1, 2, shared=True, index='i64')"
    assert repr(TableType("externref", 0, 5)) == "TableType('externref', 0, 5)"
    assert repr(GlobalType("i64", True)) == "GlobalType('i64', mutable=True)"
    assert repr(TagType(["i32"])) == "TagType(['i32'])"


def test_imports_and_exports_know_their_kind() -> None:
    assert ImportType("env", "memory", MemoryType(1)).kind == "memory"
    assert ExportType("t", TagType()).kind == "tag"


every_type = st.one_of(
    value_types.map(ValType),
    st.builds(FuncType, st.lists(value_types, max_size=20), st.lists(value_types, max_size=3)),
    st.builds(lambda a, b: MemoryType(min(a, b), max(a, b)), pages, pages),
    st.builds(lambda n, shared: MemoryType(n, 2**48, shared=shared, index="i64"), pages, st.booleans()),
    st.builds(
        lambda n, index: TableType("funcref", n, index=index),
        st.integers(0, 2**32 - 1),
        st.sampled_from(["i32", "i64"]),
    ),
    st.builds(GlobalType, value_types, st.booleans()),
    st.builds(TagType, st.lists(value_types, max_size=5)),
    st.builds(lambda name, kind: ImportType("m", name, kind), st.text(), st.builds(MemoryType, pages)),
    st.builds(lambda name, kind: ExportType(name, kind), st.text(), st.builds(GlobalType, value_types)),
)


@given(every_type)
def test_a_type_survives_pickle_copy_and_repr(kind: Any) -> None:
    again = [pickle.loads(pickle.dumps(kind)), copy.copy(kind), copy.deepcopy(kind), eval(repr(kind), vars(anywasm))]
    for other in again:
        assert other == kind
        assert hash(other) == hash(kind)
        assert repr(other) == repr(kind)


@given(every_type, every_type)
def test_types_are_equal_exactly_if_they_look_equal(one: Any, other: Any) -> None:
    assert (one == other) == (repr(one) == repr(other))
    assert (one != other) == (repr(one) != repr(other))


def test_types_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        FuncType(["i32"]).parameters = ()  # type: ignore[misc]
    with pytest.raises(TypeError):
        FuncType.extra = 1  # type: ignore[attr-defined]


# --- which fit -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "wanted", "fits"),
    [
        (MemoryType(1, 3), "(memory 1)", True),
        (MemoryType(2, 3), "(memory 1 4)", True),
        (MemoryType(1), "(memory 2)", False),
        (MemoryType(1), "(memory 1 4)", False),
        (MemoryType(1, 5), "(memory 1 4)", False),
        (TableType("funcref", 3), "(table 1 funcref)", True),
        (TableType("funcref", 3), "(table 1 3 funcref)", False),
        (TableType("externref", 3), "(table 1 funcref)", False),
        (GlobalType("i32"), "(global i32)", True),
        (GlobalType("i32"), "(global (mut i32))", False),
        (GlobalType("i32", True), "(global (mut i32))", True),
        (GlobalType("i32", True), "(global i32)", False),
        (GlobalType("i64"), "(global i32)", False),
        (FuncType(["i32"]), "(func (param i32))", True),
        (FuncType(["i32"]), "(func (param i32) (result i32))", False),
    ],
    ids=str,
)
@pytest.mark.requires("imported_memory", "imported_table", "imported_global")
def test_what_is_imported_has_to_fit(
    given: Any, wanted: str, fits: bool, store: anywasm.Store, instantiate: Instantiate
) -> None:
    made: Any
    if isinstance(given, MemoryType):
        made = anywasm.Memory(given, store)
    elif isinstance(given, TableType):
        made = anywasm.Table(given, store)
    elif isinstance(given, GlobalType):
        made = anywasm.Global(given, 0, store)
    else:
        made = anywasm.Func(lambda *_: None, given, store)
    text = f'(module (import "a" "b" {wanted}))'
    if fits:
        instantiate(text, {"a": {"b": made}})
    else:
        with pytest.raises(anywasm.LinkError, match=r"a\.b: .*wanted.*given"):
            instantiate(text, {"a": {"b": made}})


@pytest.mark.requires("imported_memory")
def test_a_memory_that_has_grown_fits_by_its_size(store: anywasm.Store, instantiate: Instantiate) -> None:
    memory = anywasm.Memory(MemoryType(1, 3), store)
    memory.grow(1)
    instantiate('(module (import "a" "b" (memory 2)))', {"a": {"b": memory}})


@pytest.mark.requires("gc", "imported_global")
@pytest.mark.parametrize(
    ("given", "wanted", "fits"),
    [
        ("nullref", "anyref", True),
        ("i31ref", "eqref", True),
        ("structref", "anyref", True),
        ("eqref", "i31ref", False),
        ("funcref", "anyref", False),
        ("externref", "anyref", False),
        ("nullfuncref", "funcref", True),
        ("nullexternref", "externref", True),
        ("nullref", "structref", True),
        ("nullref", "funcref", False),
    ],
)
def test_references_fit_what_is_above_them(
    given: str, wanted: str, fits: bool, store: anywasm.Store, instantiate: Instantiate
) -> None:
    made = anywasm.Global(GlobalType(given), None, store)
    text = f'(module (import "a" "b" (global {wanted})))'
    if fits:
        instantiate(text, {"a": {"b": made}})
    else:
        with pytest.raises(anywasm.LinkError):
            instantiate(text, {"a": {"b": made}})

# SPDX-License-Identifier: Apache-2.0
"""Tags: made by the host or by a module, their types and identity; test_exceptions has what is thrown with them."""

import weakref
from typing import Any

import pytest

import anywasm
from conftest import Instantiate

GUEST = """
(module
  (tag $t (export "tag") (param i32 i64))
  (export "again" (tag $t))
  (tag (export "other") (param i32 i64))
  (tag (export "empty"))
)
"""


@pytest.fixture
def guest(instantiate: Instantiate) -> Any:
    return instantiate(GUEST).exports


@pytest.mark.requires("exceptions")
def test_an_exported_tag_has_its_type(guest: Any) -> None:
    assert guest.tag.type == anywasm.TagType(["i32", "i64"])
    assert guest.empty.type == anywasm.TagType()


@pytest.mark.requires("exceptions")
def test_a_tag_made_by_the_host_has_its_type(store: anywasm.Store) -> None:
    kind = anywasm.TagType(["f64"])
    assert anywasm.Tag(kind, store).type == kind


@pytest.mark.requires("exceptions")
def test_a_tag_knows_its_store(guest: Any, store: anywasm.Store) -> None:
    assert guest.tag.store is store


@pytest.mark.requires("exceptions")
def test_two_objects_of_one_tag_are_equal(guest: Any) -> None:
    assert guest.tag == guest.again
    assert hash(guest.tag) == hash(guest.again)


@pytest.mark.requires("exceptions")
def test_tags_of_one_type_are_not_equal(guest: Any, store: anywasm.Store) -> None:
    kind = anywasm.TagType(["i32", "i64"])
    assert len({guest.tag, guest.other, anywasm.Tag(kind, store), anywasm.Tag(kind, store)}) == 4


@pytest.mark.requires("exceptions")
def test_a_tag_made_by_the_host_is_imported(store: anywasm.Store, instantiate: Instantiate) -> None:
    tag = anywasm.Tag(anywasm.TagType(["i32"]), store)
    text = """
      (module
        (import "host" "tag" (tag (param i32)))
        (export "tag" (tag 0))
        (func (export "throw") (throw 0 (i32.const 5))))
    """
    exports = instantiate(text, {"host": {"tag": tag}}).exports
    assert exports.tag == tag
    with pytest.raises(anywasm.WasmException) as thrown:
        exports.throw()
    assert (thrown.value.tag, thrown.value.payload) == (tag, (5,))


@pytest.mark.requires("exceptions")
def test_a_tag_with_many_parameters_has_them_all(store: anywasm.Store, instantiate: Instantiate) -> None:
    parameters = ["i32", "f64", "externref", "i64"] * 10
    exports = instantiate(f'(module (tag (export "t") (param {" ".join(parameters)})))').exports
    assert exports.t.type == anywasm.TagType(parameters)
    assert anywasm.Tag(anywasm.TagType(parameters), store).type == anywasm.TagType(parameters)


@pytest.mark.requires("exceptions")
def test_the_repr_shows_the_parameters(guest: Any, store: anywasm.Store) -> None:
    tag = guest.tag
    assert "i32" in repr(tag)
    assert "i64" in repr(tag)
    assert "closed" not in repr(tag)
    store.close()
    assert "closed" in repr(tag)


@pytest.mark.requires("exceptions")
def test_a_tag_can_be_referred_to_weakly(guest: Any) -> None:
    tag = guest.tag
    assert weakref.ref(tag)() is tag


@pytest.mark.requires("exceptions")
def test_a_tag_is_not_made_in_a_closed_store(store: anywasm.Store) -> None:
    store.close()
    with pytest.raises(ValueError, match="closed"):
        anywasm.Tag(anywasm.TagType(), store)


@pytest.mark.parametrize("arguments", [(), (1,), ("x", "y"), (anywasm.TagType(), None)], ids=str)
def test_a_tag_is_made_of_a_type_and_a_store(arguments: Any) -> None:
    with pytest.raises(TypeError, match="Tag"):
        anywasm.Tag(*arguments)


def test_a_tag_is_unsupported_where_the_engine_has_no_exceptions(store: anywasm.Store) -> None:
    if "exceptions" in store.engine.capabilities:
        pytest.skip("the engine has exceptions")
    with pytest.raises(
        anywasm.UnsupportedError, match=f"{store.engine.name}.*exceptions|exceptions.*{store.engine.name}"
    ):
        anywasm.Tag(anywasm.TagType(), store)

# SPDX-License-Identifier: Apache-2.0
"""What an instance exports: a mapping whose items are attributes, too."""

import dis
import gc
import sys
import weakref
from collections.abc import Callable, Mapping
from typing import Any

import pytest

import anywasm
from toolchain import Instantiate

GUEST = """
(module
  (func (export "add") (param i32 i32) (result i32) local.get 0 local.get 1 i32.add)
  (memory (export "memory") 1)
  (global (export "count") (mut i32) i32.const 7)
  (func (export "get") (result i32) i32.const 1)
  (func (export "keys") (result i32) i32.const 2)
  (func (export "no name") (result i32) i32.const 3)
  (func (export "__class__") (result i32) i32.const 4))
"""
NAMES = ["add", "memory", "count", "get", "keys", "no name", "__class__"]


@pytest.fixture
def exports(instantiate: Instantiate) -> Any:
    return instantiate(GUEST).exports


def test_is_a_mapping_in_the_order_of_the_module(exports: Any) -> None:
    assert isinstance(exports, Mapping)
    assert list(exports) == NAMES
    assert len(exports) == len(NAMES)
    assert dict(exports) == {name: exports[name] for name in NAMES}
    assert [*exports.items()] == [(name, exports[name]) for name in NAMES]


def test_items_are_attributes(exports: Any) -> None:
    assert exports.add is exports["add"]
    assert exports.add(1, 2) == 3
    assert exports.memory is exports["memory"]
    assert exports.count.value == 7
    assert getattr(exports, "no name")() == 3


def test_the_names_of_the_mapping_stay_its_own(exports: Any) -> None:
    assert exports.get("add") is exports.add
    assert exports.get("nothing", 5) == 5
    assert list(exports.keys()) == NAMES
    assert exports.__class__ is anywasm.Exports
    assert [exports[name]() for name in ("get", "keys", "__class__")] == [1, 2, 4]


def test_what_is_not_there_raises_the_error_of_its_kind(exports: Any) -> None:
    with pytest.raises(KeyError, match="ad"):
        exports["ad"]
    with pytest.raises(AttributeError, match="no attribute 'ad'") as caught:
        exports.ad()
    assert caught.value.obj is exports
    assert "ad" not in exports
    assert exports.get("ad") is None
    assert 5 not in exports


def test_cannot_be_changed(exports: Any) -> None:
    with pytest.raises(AttributeError, match="read-only"):
        exports.add = None
    with pytest.raises(AttributeError, match="read-only"):
        del exports.add
    with pytest.raises(TypeError):
        exports["add"] = None
    assert not hasattr(exports, "__dict__")
    assert exports.add(1, 2) == 3


def test_dir_has_the_exports_and_the_methods(exports: Any) -> None:
    assert {*NAMES, "items", "values"} <= set(dir(exports))


def test_outlive_their_instance_and_go_with_their_store(engine: anywasm.Engine, wat: Callable[[str], bytes]) -> None:
    exports: Any = anywasm.Instance(anywasm.Module(wat(GUEST), engine)).exports
    gc.collect()
    assert exports.add(2, 3) == 5
    store = weakref.ref(exports.add.store)
    del exports
    gc.collect()
    assert store() is None


def test_of_a_closed_store_say_so_when_they_are_used(exports: Any) -> None:
    exports.add.store.close()
    assert list(exports) == NAMES
    with pytest.raises(ValueError, match="closed"):
        exports.add(1, 2)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="specialises nothing")
def test_code_that_asks_for_an_attribute_is_specialised(exports: Any) -> None:
    def ask(o: Any) -> Any:
        return o.add

    for _ in range(10_000):
        ask(exports)
    found = [instruction.opname for instruction in dis.get_instructions(ask, adaptive=True)]
    assert "LOAD_ATTR_WITH_HINT" in found


def test_a_module_may_export_thousands(engine: anywasm.Engine, wat: Callable[[str], bytes]) -> None:
    functions = "".join(f'(func (export "f{i}") (result i32) i32.const {i})' for i in range(2000))
    exports = anywasm.Instance(anywasm.Module(wat(f"(module {functions})"), engine)).exports
    assert [exports.f0(), exports.f1234(), exports["f1999"]()] == [0, 1234, 1999]

# SPDX-License-Identifier: Apache-2.0
"""A library as a whole: loading, attributes, what stops it, reset, close, threads."""

import copy
import functools
import gc
import operator
import pickle
import threading
from pathlib import Path
from typing import Any

import pytest

import anywasm
from anywasm import clib

TWICE = """
(module
  (memory (export "memory") 1)
  (func (export "twice") (param i32) (result i32) (i32.mul (local.get 0) (i32.const 2)))
  (func (export "reset") (result i32) (i32.const 5))
  (global (export "number") i32 (i32.const 16))
  (data (i32.const 16) "\\07\\00\\00\\00"))
"""


# --- loading --------------------------------------------------------------------------------------------------------


def test_from_bytes_a_path_and_a_module(engine: anywasm.Engine, wat: Any, tmp_path: Path) -> None:
    binary = wat(TWICE)
    file = tmp_path / "twice.wasm"
    file.write_bytes(binary)
    header = tmp_path / "twice.h"
    header.write_text("int twice(int n);\n")
    for source in (binary, bytearray(binary), file, str(file), anywasm.Module(binary, engine)):
        for declarations in ("int twice(int n);", header):
            assert clib.load(source, declarations, engine=engine).twice(21) == 42
    assert clib.load(file, "int twice(int n);", engine=engine.name).twice(-4) == -8
    assert clib.load(file, "long twice(unsigned long n);", engine=engine).twice(3) == 6


@pytest.mark.parametrize(
    ("declaration", "message"),
    [
        (
            "int twice(int, int);",
            "declared as 'int twice(int, int)', which takes a function of type (i32, i32) -> i32, but the module's is",
        ),
        ("double twice(int);", "(i32) -> f64"),
        ("void twice(int);", "takes a function of type (i32) -> ()"),
        ("int twice(long long);", "(i64) -> i32"),
        ("struct { int a, b; } twice(int);", "(i32, i32) -> ()"),
    ],
)
def test_a_declaration_that_the_module_contradicts(engine: Any, wat: Any, declaration: str, message: str) -> None:
    with pytest.raises(anywasm.LinkError) as caught:
        clib.load(wat(TWICE), declaration, engine=engine)
    assert str(caught.value).startswith("<declarations>:1: ")
    assert message in str(caught.value)


def test_mistakes_when_loading(engine: Any, wat: Any, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        clib.load(tmp_path / "nothing.wasm", "int f(void);", engine=engine)
    for source in ("int twice(int n) { return 2 * n; }", "stats.c", Path("stats.h")):
        with pytest.raises(TypeError, match=r"clib.compile\(\)"):
            clib.load(source, engine=engine)
    with pytest.raises(TypeError, match=r"declarations: expected str \(C text\), a path"):
        clib.load(wat(TWICE), 5, engine=engine)  # type: ignore[arg-type]
    with pytest.raises(anywasm.CompileError):
        clib.load(b"\0asm\1\0\0\0\xff", "int f(void);", engine=engine)
    with pytest.raises(anywasm.LinkError, match='exports no memory called "memory"'):
        clib.load(wat("(module)"), "int f(void);", engine=engine)
    with pytest.raises(clib.DeclarationError, match="<declarations>:1"):
        clib.load(wat(TWICE), "int twice(", engine=engine)
    with pytest.raises(clib.DeclarationError, match="64-bit addresses"):
        clib.load(wat(TWICE), clib.Declarations(pointer_size=8), engine=engine)


def test_a_module_without_malloc_takes_numbers_alone(engine: Any, wat: Any) -> None:
    lib = clib.load(wat(TWICE), "int twice(const int *n); extern int number;", engine=engine)
    assert lib.number == 7
    lib.number = 9
    assert lib.number == 9
    assert lib.twice(None) == 0
    for need in (lambda: lib.twice([1]), lambda: lib.new("int *"), lambda: lib.string("a")):
        with pytest.raises(clib.LibraryError, match="exports no malloc and free.*--export=malloc"):
            need()
    with pytest.raises(clib.LibraryError, match="no table of functions"):
        lib.callback("int (*)(int)", abs)
    with pytest.raises(clib.LibraryError, match="no table of functions"):
        lib.cast("int (*)(int)", 1)


@pytest.mark.parametrize("answer", ["0", "-8", "65532", "1"])
def test_a_malloc_that_answers_nonsense(engine: Any, wat: Any, answer: str) -> None:
    text = f"""
    (module (memory (export "memory") 1)
      (func (export "malloc") (param i32) (result i32) (i32.const {answer}))
      (func (export "free") (param i32))
      (func (export "first") (param i32) (result i32) (i32.load8_u (local.get 0))))
    """
    lib = clib.load(wat(text), "int first(const char *text);", engine=engine)
    for _ in range(3):
        if answer == "1":
            assert lib.first("A") == ord("A")
            assert lib.array("int", [1, 2])[1] == 2
            continue
        with pytest.raises((MemoryError, clib.LibraryError, anywasm.Trap)):
            lib.first("A")
        with pytest.raises((MemoryError, clib.LibraryError)):
            lib.array("int", 1000)


def test_a_malloc_of_another_type_is_refused(engine: Any, wat: Any) -> None:
    text = """
    (module
      (memory (export "memory") 1)
      (func (export "malloc") (param i64) (result i32) i32.const 0)
      (func (export "free") (param i32)))
    """
    with pytest.raises(TypeError, match=r"the library's malloc has another type than C's: \(i64\) -> i32"):
        clib.load(wat(text), "int f(void);", engine=engine)


@pytest.mark.requires("memory64")
def test_a_library_with_64_bit_addresses(engine: Any, wat: Any) -> None:
    text = """
    (module (memory (export "memory") i64 4)
      (global $top (mut i64) (i64.const 1024))
      (func (export "malloc") (param i64) (result i64)
        global.get $top
        (global.set $top (i64.add (global.get $top) (i64.and (i64.add (local.get 0) (i64.const 31)) (i64.const -16)))))
      (func (export "free") (param i64))
      (func (export "second") (param i64) (result i64) (i64.load offset=8 (local.get 0))))
    """
    lib = clib.load(wat(text), "long second(const long *values);", engine=engine)
    assert lib.sizeof("void *") == lib.sizeof("long") == lib.sizeof("size_t") == 8
    assert lib.second([1, 2**40]) == 2**40
    values = lib.array("long", [5, 6])
    assert lib.second(values) == 6
    pointers = lib.array("long *", [values, None])
    assert pointers[0][1] == 6


# --- attributes -----------------------------------------------------------------------------------------------------


def test_what_the_library_has(lib: clib.Library) -> None:
    assert (lib.LIMIT, lib.RATIO, lib.NAME) == (100, 0.5, "tests")
    assert {"add", "mean", "counter", "LIMIT", "color", "new", "GREEN"} <= set(dir(lib))
    assert "functions" in repr(lib)
    assert lib["add"](1, 2) == 3
    assert lib["counter"] == 7
    assert lib["LIMIT"] == 100
    with pytest.raises(KeyError):
        lib["nothing"]
    assert lib.typeof("point").size == lib.sizeof("point") == 16
    assert lib.typeof(lib.typeof("point")) is lib.typeof("point")
    assert isinstance(lib.memory, anywasm.Memory)
    assert lib.declarations.functions["add"].where is not None


def test_what_the_library_has_not(lib: clib.Library) -> None:
    with pytest.raises(
        AttributeError,
        match=r"the function missing is declared \(.*library.h:\d+\), but the module does not export it: "
        r"link it with -Wl,--export=missing",
    ):
        lib.missing  # noqa: B018
    with pytest.raises(AttributeError, match="the library has no 'nothing'"):
        lib.nothing  # noqa: B018
    with pytest.raises(AttributeError, match="exports it, but nothing declares it"):
        lib.malloc  # noqa: B018
    for name in ("add", "LIMIT", "nothing", "reset"):
        with pytest.raises(AttributeError, match=f"cannot set '{name}'"):
            setattr(lib, name, 1)
    with pytest.raises(AttributeError, match="cannot delete"):
        del lib.add


def test_a_name_that_a_method_has_is_had_by_key(engine: Any, wat: Any) -> None:
    lib = clib.load(wat(TWICE), "int reset(void); int twice(int);", engine=engine)
    assert lib["reset"]() == 5
    assert callable(lib.reset)
    lib.reset()


# --- what stops it --------------------------------------------------------------------------------------------------


def in_trouble(lib: clib.Library) -> None:
    for use in (
        lambda: lib.add(1, 2),
        lambda: lib.mean([1.0], 1),
        lambda: lib.new("int *"),
        lambda: lib.each(abs, None),
    ):
        with pytest.raises(
            clib.LibraryError, match=r"stopped in the middle of its work \(.*reset\(\) starts it anew"
        ) as caught:
            use()
        assert caught.value.__cause__ is lib.trouble
    assert "(to be reset)" in repr(lib)
    lib.reset()
    assert lib.trouble is None
    assert lib.add(1, 2) == 3


def test_a_trap(lib: clib.Library) -> None:
    with pytest.raises(anywasm.Trap) as caught:
        lib.trap()
    assert lib.trouble is caught.value
    assert caught.value.frames[0].function_name in {"trap", None}
    in_trouble(lib)


def test_too_deep_a_recursion(lib: clib.Library) -> None:
    assert lib.recurse(10) >= 0
    with pytest.raises(anywasm.Trap):
        lib.recurse(10**8)
    in_trouble(lib)


def test_an_exit(lib: clib.Library) -> None:
    with pytest.raises(anywasm.Exit) as caught:
        lib.leave(3)
    assert caught.value.code == 3
    in_trouble(lib)


def test_an_endless_loop_has_a_timeout(library_file: Path, declarations: Any, engine: Any) -> None:
    lib = clib.load(library_file, declarations, engine=engine.name, timeout=0.1)
    with pytest.raises(anywasm.LimitError, match=r"timeout of 0.1 s"):
        lib.spin()
    in_trouble(lib)


def test_memory_has_a_limit(load: Any) -> None:
    lib = load(memory=32 << 20)
    assert lib.grow(64 << 20) is None
    assert lib.grow(1 << 20) is not None


def test_a_trap_within_a_callback(load: Any) -> None:
    lib, other = load(), load()
    with pytest.raises(anywasm.Trap):
        lib.each(lambda value, data: other.trap(), None)
    assert lib.trouble is None
    assert lib.add(1, 2) == 3
    assert other.trouble is not None
    with pytest.raises((anywasm.Trap, clib.LibraryError)):
        lib.each(lambda value, data: lib.trap(), None)
    in_trouble(lib)


def test_memory_of_a_library_in_trouble_is_dropped_quietly(lib: clib.Library) -> None:
    values, text = lib.array("int", [1, 2]), lib.string("abc")
    with pytest.raises(anywasm.Trap):
        lib.trap()
    assert values[1] == 2  # to be looked at still
    with pytest.raises(clib.LibraryError):
        lib.free(values)
    del values, text
    gc.collect()
    in_trouble(lib)


# --- reset, close ---------------------------------------------------------------------------------------------------


def test_a_reset_starts_anew(lib: clib.Library) -> None:
    add, callback = lib.add, lib.callback("int (*)(int, void *)", lambda v, d: 1)
    lib.counter = 99
    values, point = lib.array("int", [1, 2]), lib.new("point *")
    mine, view = lib.shifted((1, 2), 0), memoryview(values)
    twice = lib.pick(1)
    lib.reset()
    assert lib.counter == 7
    assert add(1, 2) == 3
    assert lib.add is add
    assert mine.x == 1.0
    assert lib.shifted(mine, 1) == (2.0, 3.0)
    assert list(view) == [1, 2]
    for stale in (
        lambda: values[0],
        lambda: point.x,
        lambda: lib.negate(values, 1),
        lambda: lib.free(point),
        lambda: callback(1, None),
        lambda: lib.keep(callback),
        lambda: twice(1),
        lambda: lib.apply(twice, 1),
        lambda: memoryview(values),
    ):
        with pytest.raises(ValueError, match="before it was reset|before its reset"):
            stale()
    assert "before its reset" in repr(values)
    assert "before its reset" in repr(point)
    assert "before its reset" in repr(callback)
    with point:
        pass
    assert lib._core.owned == 0
    lib.greet("again")


def test_no_reset_during_a_call(lib: clib.Library) -> None:
    with pytest.raises(RuntimeError, match="cannot be reset while one of its functions runs"):
        lib.each(lambda value, data: lib.reset(), None)
    assert lib.add(1, 2) == 3
    with pytest.raises(RuntimeError):
        lib.each(lambda value, data: lib.close(), None)
    assert lib.add(1, 2) == 3


def test_a_reset_while_arguments_are_converted(lib: clib.Library) -> None:
    class Resets:
        def __index__(self) -> int:
            lib.reset()
            return 1

        def __float__(self) -> float:
            lib.reset()
            return 1.0

    assert lib.add(Resets(), 2) == 3
    with pytest.raises(ValueError, match="was reset while arguments for it were converted"):
        lib.mean([1.0, Resets()], 2)
    values = lib.array("double", 2)
    with pytest.raises(ValueError, match="reset"):
        values[0] = Resets()
    assert lib.mean([1.0], 1) == 1.0


def test_closed_while_arguments_are_converted(load: Any) -> None:
    class Closes:
        def __init__(self, lib: clib.Library) -> None:
            self.lib = lib

        def __index__(self) -> int:
            self.lib.close()
            return 1

        def __float__(self) -> float:
            self.lib.close()
            return 1.0

    for call in (
        lambda lib: lib.add(Closes(lib), 2),
        lambda lib: lib.mean([1.0, Closes(lib)], 2),
        lambda lib: lib.shifted((Closes(lib), 1), 1),
        lambda lib: lib.array("int", [1, Closes(lib)]),
        lambda lib: setattr(lib, "counter", Closes(lib)),
        lambda lib: lib.cast("int *", Closes(lib)),
        lambda lib: lib.sum("id", 1, Closes(lib)),
    ):
        with pytest.raises(ValueError, match="closed"):
            call(load())


def test_a_library_is_no_value(lib: clib.Library) -> None:
    for act in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="cannot be copied or pickled: load it again"):
            act(lib)


@pytest.mark.parametrize(
    ("encoding", "error", "message"),
    [("klingon", LookupError, "klingon"), ("utf-16", ValueError, "NUL bytes"), (5, TypeError, "expected str or None")],
)
def test_an_encoding_that_no_c_string_has(load: Any, encoding: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        load(encoding=encoding)


def test_close_ends_everything(load: Any) -> None:
    with load() as lib:
        values, text = lib.array("int", 2), lib.string("a")
        add = lib.add
    for use in (
        lambda: add(1, 2),
        functools.partial(operator.getitem, values, 0),
        text.read_cstring,
        lambda: lib.counter,
        lambda: lib.new("int *"),
    ):
        with pytest.raises(ValueError, match="closed"):
            use()
    assert "closed" in repr(values)
    lib.close()
    del values, text, use
    lib.reset()
    assert lib.add(1, 2) == 3


# --- threads --------------------------------------------------------------------------------------------------------


def test_one_thread_at_a_time(library_file: Path, declarations: Any, engine: Any) -> None:
    lib = clib.load(library_file, declarations, engine=engine.name, timeout=20)
    inside, done, seen = threading.Event(), threading.Event(), []

    def visit(value: int, data: Any) -> int:
        inside.set()
        done.wait(10)
        return 1

    thread = threading.Thread(target=lambda: lib.each(visit, None))
    thread.start()
    inside.wait(10)
    for use in (lambda: lib.add(1, 2), lambda: lib.mean([1.0], 1), lambda: lib.new("int *"), lambda: lib.counter):
        try:
            use()
        except RuntimeError as error:
            seen.append(str(error))
    done.set()
    thread.join()
    assert len(seen) == 4
    assert all("thread" in message for message in seen)
    assert lib.add(1, 2) == 3


def test_hammer_from_many_threads(load: Any) -> None:
    lib = load()
    lock, wrong = threading.Lock(), []

    def work(number: int) -> None:
        for i in range(200):
            with lock:
                values = lib.array("int", [number, i])
            part = values[0:1]
            del values
            with lock:
                if lib.mean([float(number), i], 2) != (number + i) / 2 or part[0] != number:
                    wrong.append((number, i))
                if lib.greet(f"{number} {i}") != f"hello {number} {i}":
                    wrong.append((number, i))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    gc.collect()
    lib.add(1, 2)
    assert lib._core.owned == 0

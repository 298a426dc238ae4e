# SPDX-License-Identifier: Apache-2.0
"""The cache of compiled modules on disk: docs/cache.md promises what is tested here."""

import gc
import json
import os
import pickle
import random
import resource
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import anywasm
import toolchain
from anywasm import Engine, Module
from anywasm import _cache as cache

pytestmark = pytest.mark.requires("serialize")

SMALLEST = 32 << 10  # bytes of a module that is kept


def text(number: int = 0, size: int = SMALLEST) -> str:
    """A module that is big because of its data, so that compiling it takes no time."""
    return f"""
    (module $sample
      (import "env" "log" (func $log (param i32)))
      (memory (export "memory") 2)
      (func $add (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
      (func $number (export "number") (result i32) (i32.const {number}))
      (func $fail (export "fail") (unreachable))
      (data (i32.const 0) "{"x" * size}")
      (@custom "notes" "first")
      (@custom ".debug_line" "not really")
    )"""


@pytest.fixture
def big() -> bytes:
    return toolchain.wat(text())


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache of one test: not there yet."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("ANYWASM_CACHE_DIR", str(folder))
    monkeypatch.delenv("ANYWASM_CACHE", raising=False)
    return folder


def kept(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.code")) if folder.exists() else []


def is_mapped(path: Path) -> bool:
    """Whether this very file is mapped in this process."""
    gc.collect()
    wanted = path.stat()
    for line in Path("/proc/self/maps").read_text().splitlines():
        fields = line.split()
        if len(fields) > 5 and fields[5] == str(path) and int(fields[4]) == wanted.st_ino:
            return True
    return False


def add(module: Module) -> int:
    instance = anywasm.Instance(module, {"env": {"log": lambda number: None}}, anywasm.Store(module.engine))
    result: int = instance.exports.add(40, 2)
    return result


# --- what is kept ---------------------------------------------------------------------------------------------------


def test_a_big_module_is_kept_and_mapped_the_next_time(engine: Engine, big: bytes, folder: Path) -> None:
    compiled = Module(big, engine)
    (file,) = kept(folder)
    assert not is_mapped(file)
    loaded = Module(big, engine)
    assert is_mapped(file)
    assert add(compiled) == add(loaded) == 42
    assert kept(folder) == [file]


def test_another_process_loads_it(engine: Engine, big: bytes, folder: Path, tmp_path: Path) -> None:
    source = tmp_path / "big.wasm"
    source.write_bytes(big)
    Module(source, engine)
    (file,) = kept(folder)
    code = (
        f"import anywasm, pathlib; m = anywasm.Module({str(source)!r}, anywasm.Engine({engine.name!r}));"
        "print(pathlib.Path('/proc/self/maps').read_text())"
    )
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", code], capture_output=True, text=True, check=True
    )
    assert file.name in done.stdout
    assert done.stderr == ""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_loads_it(engine: Engine, big: bytes, folder: Path) -> None:
    Module(big, engine)
    child = os.fork()
    if child == 0:
        try:
            module = Module(big, engine)
            os._exit(0 if add(module) == 42 and is_mapped(kept(folder)[0]) else 1)
        finally:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0


def test_load_and_run_use_it_too(engine: Engine, folder: Path) -> None:
    program = toolchain.wat(f'(module (memory (export "memory") 2) (data "{"y" * SMALLEST}") (func (export "_start")))')
    anywasm.run(program, engine=engine)
    (file,) = kept(folder)
    instance = anywasm.load(program, engine=engine)
    assert is_mapped(file)
    del instance


def test_the_text_of_a_module_is_kept_as_its_binary(engine: Engine, big: bytes, folder: Path) -> None:
    Module(text(), engine)
    Module(big, engine)
    assert len(kept(folder)) == 1


def test_a_small_module_is_not_kept(engine: Engine, folder: Path) -> None:
    Module(toolchain.wat(text(size=SMALLEST - 4096)), engine)
    assert not folder.exists()


def test_a_module_that_does_not_compile_is_not_kept(engine: Engine, folder: Path) -> None:
    bad = toolchain.wat(f'(module (memory 2) (data "{"x" * SMALLEST}") (func (result i32)))')
    for _ in range(2):
        with pytest.raises(anywasm.CompileError):
            Module(bad, engine)
    assert kept(folder) == []


def test_validating_keeps_nothing(engine: Engine, big: bytes, folder: Path) -> None:
    Module.validate(big, engine)
    assert not folder.exists()


def test_the_environment_switches_it_off(
    engine: Engine, big: bytes, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Module(big, engine)
    (file,) = kept(folder)
    monkeypatch.setenv("ANYWASM_CACHE", "0")
    Module(toolchain.wat(text(1)), engine)
    module = Module(big, engine)
    assert kept(folder) == [file]
    assert not is_mapped(file)
    assert add(module) == 42


def test_an_engine_switches_it_off(engine: Engine, big: bytes, folder: Path) -> None:
    without = Engine(engine.name, cache=False)
    assert (without.config["cache"], engine.config["cache"]) == (False, True)
    assert "cache=False" in repr(without)
    assert pickle.loads(pickle.dumps(without)).config == without.config
    Module(big, without)
    assert not folder.exists()


def test_compiled_modules_fit_engines_with_and_without_it(engine: Engine, big: bytes) -> None:
    data = Module(big, engine).serialize()
    assert add(Module.deserialize(data, Engine(engine.name, cache=False))) == 42


# --- a module from there ---------------------------------------------------------------------------------------------


@pytest.fixture
def pair(engine: Engine, big: bytes, folder: Path) -> tuple[Module, Module]:
    """The same module compiled, and from the cache."""
    pair = Module(big, engine), Module(big, engine)
    assert is_mapped(kept(folder)[0])
    return pair


@pytest.mark.parametrize(
    "ask",
    [
        lambda module: module.imports,
        lambda module: module.exports,
        lambda module: module.sections,
        lambda module: module.name,
        lambda module: module.custom_sections("notes"),
        lambda module: module.custom_sections(".debug_line"),
        lambda module: module.serialize(),
        lambda module: pickle.dumps(module),
        repr,
    ],
    ids=["imports", "exports", "sections", "name", "notes", "debug", "serialize", "pickle", "repr"],
)
def test_it_tells_what_a_compiled_one_tells(pair: tuple[Module, Module], ask: Callable[[Module], object]) -> None:
    assert ask(pair[0]) == ask(pair[1])


def frames(module: Module) -> Any:
    instance = anywasm.Instance(module, {"env": {"log": lambda number: None}}, anywasm.Store(module.engine))
    with pytest.raises(anywasm.Trap) as caught:
        instance.exports.fail()
    return caught.value.frames


def test_its_traps_have_the_same_frames(pair: tuple[Module, Module]) -> None:
    compiled, loaded = map(frames, pair)
    assert compiled == loaded
    assert loaded[0].function_name == "fail"
    assert loaded[0].module_offset is not None


def test_its_traps_have_source_lines(engine: Engine, folder: Path) -> None:
    pytest.importorskip("elftools")
    path = toolchain.compile_c("int main(void) {\n    __builtin_trap();\n}\n", "-g")
    assert path.stat().st_size > SMALLEST
    for _ in range(2):
        with pytest.raises(anywasm.Trap) as caught:
            anywasm.run(path, engine=engine, stdout=None)
        assert {frame.line for frame in caught.value.frames} >= {2}
    assert len(kept(folder)) == 1


def test_it_survives_its_file(engine: Engine, big: bytes, folder: Path) -> None:
    Module(big, engine)
    module = Module(big, engine)
    kept(folder)[0].unlink()
    assert add(module) == 42


# --- what fits -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "settings",
    [
        {"fuel": True},
        {"interruptible": True},
        {"debug_info": True},
        {"optimize": "none"},
        {"nan_canonicalization": True},
        {"disable": ["simd"]},
    ],
    ids=lambda settings: "".join(settings),
)
def test_code_of_other_settings_is_another(engine: Engine, big: bytes, folder: Path, settings: dict[str, Any]) -> None:
    Module(big, engine)
    other = Engine(engine.name, **settings)
    for _ in range(2):
        Module(big, other)
    assert len(kept(folder)) == 2


@pytest.mark.parametrize(
    "settings",
    [{"parallel_compilation": False}, {"max_wasm_stack": 1 << 20}, {"pooling": 2}],
    ids=lambda settings: "".join(settings),
)
def test_settings_that_do_not_touch_the_code_share_it(
    engine: Engine, big: bytes, folder: Path, settings: dict[str, Any]
) -> None:
    Module(big, engine)
    module = Module(big, Engine(engine.name, **settings))
    assert len(kept(folder)) == 1
    assert is_mapped(kept(folder)[0])
    assert add(module) == 42


def test_other_modules_have_other_code(engine: Engine, folder: Path) -> None:
    for number in (1, 2, 1, 2):
        instance = anywasm.Instance(
            Module(text(number), engine), {"env": {"log": lambda number: None}}, anywasm.Store(engine)
        )
        assert instance.exports.number() == number
    assert len(kept(folder)) == 2


def test_the_engine_its_version_its_build_and_the_processor_tell_code_apart(engine: Engine) -> None:
    identity: str = engine._code_identity
    assert identity.startswith(f"{engine.name} {engine.version} (")
    build, _, rest = identity.removeprefix(f"{engine.name} {engine.version} (").partition(") on ")
    assert len(build) >= 8
    assert rest.startswith(os.uname().machine)
    assert cache.find(identity, b"") != cache.find(identity.replace(build, "another"), b"")
    names = {entry.name for each in (identity, identity + "x") if (entry := cache.find(each, b""))}
    assert len(names) == 2


# --- what is not trusted ---------------------------------------------------------------------------------------------


@pytest.fixture
def file(engine: Engine, big: bytes, folder: Path) -> Path:
    """The file of a module that was compiled."""
    Module(big, engine)
    return kept(folder)[0]


def expect_replaced(file: Path, big: bytes, engine: Engine, good: bytes) -> None:
    """What is in the file's place is not loaded, and makes way for what is good."""
    module = Module(big, engine)
    assert add(module) == 42
    assert file.read_bytes() == good
    assert not file.is_symlink()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert not is_mapped(file)
    again = Module(big, engine)
    assert is_mapped(file)
    assert add(again) == 42


def test_a_file_that_is_cut_short_is_not_loaded(engine: Engine, big: bytes, file: Path) -> None:
    good = file.read_bytes()
    for length in (0, 1, 47, 48, 49, 100, len(good) // 2, len(good) - 48, len(good) - 1):
        file.write_bytes(good[:length])
        expect_replaced(file, big, engine, good)


def test_a_file_with_more_at_its_end_is_not_loaded(engine: Engine, big: bytes, file: Path) -> None:
    good = file.read_bytes()
    file.write_bytes(good + b"\0")
    expect_replaced(file, big, engine, good)


def test_a_file_with_a_flipped_bit_is_not_loaded(engine: Engine, big: bytes, file: Path) -> None:
    good = file.read_bytes()
    chosen = random.Random(1)
    for place in [0, *(chosen.randrange(len(good)) for _ in range(40)), *range(len(good) - 48, len(good))]:
        damaged = bytearray(good)
        damaged[place] ^= 1 << chosen.randrange(8)
        file.write_bytes(damaged)
        expect_replaced(file, big, engine, good)


def test_the_file_of_another_module_is_not_loaded(engine: Engine, big: bytes, file: Path, folder: Path) -> None:
    good = file.read_bytes()
    Module(toolchain.wat(text(7)), engine)
    (other,) = set(kept(folder)) - {file}
    file.unlink()
    other.rename(file)
    expect_replaced(file, big, engine, good)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o606, 0o620, 0o777])
def test_a_file_that_others_can_open_is_not_loaded(engine: Engine, big: bytes, file: Path, mode: int) -> None:
    good = file.read_bytes()
    file.chmod(mode)
    expect_replaced(file, big, engine, good)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_file_of_another_user_is_not_loaded(engine: Engine, big: bytes, file: Path) -> None:
    good = file.read_bytes()
    os.chown(file, 12345, -1)
    expect_replaced(file, big, engine, good)


def test_a_link_is_not_followed(engine: Engine, big: bytes, file: Path, tmp_path: Path) -> None:
    good = file.read_bytes()
    elsewhere = tmp_path / "elsewhere"
    file.rename(elsewhere)
    file.symlink_to(elsewhere)
    expect_replaced(file, big, engine, good)
    assert elsewhere.read_bytes() == good


def test_a_pipe_in_the_files_place_is_not_waited_for(engine: Engine, big: bytes, file: Path) -> None:
    good = file.read_bytes()
    file.unlink()
    os.mkfifo(file, 0o600)
    expect_replaced(file, big, engine, good)


def test_a_directory_in_the_files_place_does_no_harm(engine: Engine, big: bytes, file: Path) -> None:
    file.unlink()
    file.mkdir(0o700)
    assert add(Module(big, engine)) == 42
    assert list(file.parent.iterdir()) == [file]


def test_code_that_the_engine_refuses_is_replaced(engine: Engine, big: bytes, file: Path) -> None:
    """Whole as a file, and ours, and yet not what the engine takes."""
    good = file.read_bytes()
    entry = cache.find(engine._code_identity, big)
    assert entry is not None
    assert entry.name == file.name
    entry.save(b"this is no code")
    expect_replaced(file, big, engine, good)


# --- where -----------------------------------------------------------------------------------------------------------


def test_directory_and_files_are_private(engine: Engine, big: bytes, folder: Path) -> None:
    before = os.umask(0)
    try:
        Module(big, engine)
    finally:
        os.umask(before)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert [stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()] == [0o600]


def test_the_directory_is_the_users_cache(
    engine: Engine, big: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ANYWASM_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    Module(big, engine)
    assert len(kept(tmp_path / "home" / "anywasm")) == 1


def expect_unused(engine: Engine, big: bytes) -> None:
    for _ in range(2):
        assert add(Module(big, engine)) == 42
    assert cache.info()["modules"] == 0


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o770, 0o702])
def test_a_directory_that_others_can_write_is_not_used(engine: Engine, big: bytes, folder: Path, mode: int) -> None:
    folder.mkdir()
    folder.chmod(mode)
    expect_unused(engine, big)
    assert list(folder.iterdir()) == []
    assert "others can write" in str(cache.info()["unused"])


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_directory_of_another_user_is_not_used(engine: Engine, big: bytes, folder: Path) -> None:
    folder.mkdir(0o700)
    os.chown(folder, 12345, -1)
    expect_unused(engine, big)
    assert list(folder.iterdir()) == []


def test_a_link_to_a_directory_is_not_used(engine: Engine, big: bytes, folder: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(0o700)
    folder.symlink_to(elsewhere)
    expect_unused(engine, big)
    assert list(elsewhere.iterdir()) == []


def test_without_a_place_for_a_directory_there_is_no_cache(engine: Engine, big: bytes, folder: Path) -> None:
    folder.write_text("a file")
    expect_unused(engine, big)
    assert cache.info()["unused"] == "Not a directory"
    assert folder.read_text() == "a file"


@pytest.mark.parametrize("name", ["/proc/1/nowhere", "/dev/null/cache", "x\0y", "\udc80", "/" + "x" * 300])
def test_no_name_of_a_directory_fails_a_module(
    engine: Engine, big: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    if "\0" in name:  # an environment cannot hold it, but whoever calls can
        monkeypatch.setattr(cache, "path", lambda: name)
    else:
        monkeypatch.setenv("ANYWASM_CACHE_DIR", name)
    assert add(Module(big, engine)) == 42


def test_without_a_home_there_is_no_cache(
    engine: Engine, big: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ANYWASM_CACHE_DIR")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda *args, **kwargs: "~/.cache/anywasm")
    expect_unused(engine, big)
    assert not (tmp_path / "~").exists()


def test_a_relative_name_is_as_good_as_another(
    engine: Engine, big: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ANYWASM_CACHE_DIR", "here")
    Module(big, engine)
    assert len(kept(tmp_path / "here")) == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
def test_code_is_copied_from_where_none_may_be_run(engine: Engine, big: bytes, folder: Path) -> None:
    folder.mkdir(0o700)
    command = ["mount", "-t", "tmpfs", "-o", "noexec,mode=700", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("this system does not let root mount")
    try:
        for _ in range(2):
            module = Module(big, engine)
            assert add(module) == 42
        (file,) = kept(folder)
        assert not is_mapped(file)
        before = file.stat().st_ino
        assert add(Module(big, engine)) == 42
        assert file.stat().st_ino == before  # it was not compiled once more
        assert module.serialize() == Module(big, Engine(engine.name, cache=False)).serialize()
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_keeps_nothing_and_fails_nothing(engine: Engine, big: bytes, folder: Path, tmp_path: Path) -> None:
    source = tmp_path / "big.wasm"
    source.write_bytes(big)
    code = f"import anywasm; print(anywasm.Module({str(source)!r}, anywasm.Engine({engine.name!r})).name)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000)),
        check=True,
    )
    assert (done.stdout, done.stderr) == ("sample\n", "")
    assert list(folder.iterdir()) == []


def test_a_cache_that_can_only_be_read_is_used(
    engine: Engine, big: bytes, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise OSError(30, "Read-only file system")

    for name in ("utime", "makedirs", "replace", "unlink"):
        monkeypatch.setattr(os, name, fail)
    module = Module(big, engine)
    assert is_mapped(file)
    assert add(module) == 42


def test_no_failure_of_the_cache_is_one_of_the_module(
    engine: Engine, big: bytes, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise RuntimeError

    for name in ("checked_length", "path", "write", "make_room", "find", "bound"):
        with monkeypatch.context() as patched:
            patched.setattr(cache, name, fail)
            file.write_bytes(b"damaged")
            assert add(Module(big, engine)) == 42, name


@pytest.mark.parametrize("name", ["find", "open_folder", "write"])
def test_ctrl_c_in_the_cache_is_not_lost(
    engine: Engine, big: bytes, file: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def interrupt(*args: object, **kwargs: object) -> None:
        raise KeyboardInterrupt

    file.write_bytes(b"damaged")
    monkeypatch.setattr(cache, name, interrupt)
    with pytest.raises(KeyboardInterrupt):
        Module(big, engine)


def test_no_descriptor_is_left_open(engine: Engine, big: bytes, file: Path) -> None:
    def descriptors() -> set[str]:
        return set(os.listdir("/proc/self/fd"))

    good, before = file.read_bytes(), descriptors()
    for contents in (good, good[:-1], b"", good):
        file.write_bytes(contents)
        Module(big, engine)
    file.unlink()
    Module(big, engine)
    cache.info()
    cache.clear()
    assert descriptors() == before


# --- how much --------------------------------------------------------------------------------------------------------


def number_of(file: Path, engine: Engine, numbers: range) -> int:
    """Which of these modules a file is for."""
    names = {cache.find(engine._code_identity, toolchain.wat(text(number))).name: number for number in numbers}  # type: ignore[union-attr]
    return names[file.name]


def test_what_was_used_longest_ago_makes_way(engine: Engine, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = range(5)
    for number in numbers[:4]:
        Module(text(number), engine)
        (newest,) = {file for file in kept(folder) if number_of(file, engine, numbers) == number}
        os.utime(newest, (1000 + number, 1000 + number))
    size = max(file.stat().st_size for file in kept(folder))
    Module(text(0), engine)  # used now
    monkeypatch.setenv("ANYWASM_CACHE_SIZE", str(3 * size))
    Module(text(4), engine)
    assert {number_of(file, engine, numbers) for file in kept(folder)} == {0, 3, 4}


def test_what_is_bigger_than_all_there_may_be_is_not_kept(
    engine: Engine, big: bytes, file: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANYWASM_CACHE_SIZE", str(file.stat().st_size - 1))
    file.write_bytes(b"damaged")
    assert add(Module(big, engine)) == 42
    assert file.read_bytes() == b"damaged"


def test_the_bound_is_a_gibibyte_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    for given, bound in (("", 1 << 30), ("nonsense", 1 << 30), ("-1", 1 << 30), ("5000", 5000), ("0", 0)):
        monkeypatch.setenv("ANYWASM_CACHE_SIZE", given)
        assert cache.bound() == bound
    monkeypatch.delenv("ANYWASM_CACHE_SIZE")
    assert cache.bound() == 1 << 30


def test_what_dead_writers_left_is_removed(engine: Engine, big: bytes, folder: Path) -> None:
    folder.mkdir(0o700)
    stale, fresh, foreign = folder / "a.code.1.new", folder / "b.code.2.new", folder / "notes.txt"
    for path in (stale, fresh, foreign):
        path.write_bytes(b"half")
    for path in (stale, foreign):
        os.utime(path, (time.time() - 10_000,) * 2)
    Module(big, engine)
    assert sorted(folder.iterdir()) == sorted([fresh, foreign, *kept(folder)])


# --- many at once ----------------------------------------------------------------------------------------------------

WORKER = """
import random, sys, os, glob
import anywasm
engine, folder, *sources = sys.argv[1:]
engine = anywasm.Engine(engine)
chosen = random.Random(os.getpid())
for _ in range(40):
    source = chosen.choice(sources)
    module = anywasm.Module(source, engine)
    store = anywasm.Store(engine)
    number = anywasm.Instance(module, {"env": {"log": lambda number: None}}, store).exports.number()
    assert number == int(source.rpartition("-")[2]), (number, source)
    if chosen.random() < 0.2:
        for file in glob.glob(folder + "/*.code"):
            try:
                with open(file, "r+b") as damaged:  # in a copy: what is mapped must not change
                    data = bytearray(damaged.read())
                if data:
                    data[chosen.randrange(len(data))] ^= 1
                    with open(file + ".damaged", "wb") as out:
                        out.write(data)
                    os.chmod(file + ".damaged", 0o600)
                    os.replace(file + ".damaged", file)
            except OSError:
                pass
"""


@pytest.mark.slow
def test_many_processes_share_it(engine: Engine, folder: Path, tmp_path: Path) -> None:
    """They compile, load, evict and damage at once, and each module is what it must be."""
    sources = []
    for number in range(6):
        sources.append(tmp_path / f"source-{number}")
        sources[-1].write_bytes(toolchain.wat(text(number)))
    Module(sources[0], engine)
    environment = os.environ | {"ANYWASM_CACHE_SIZE": str(4 * kept(folder)[0].stat().st_size)}
    command = [sys.executable, "-c", WORKER, engine.name, str(folder), *map(str, sources)]
    workers = [
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for _ in range(6)
    ]
    assert [(worker.communicate()[0], worker.returncode) for worker in workers] == [("", 0)] * 6
    assert not list(folder.glob("*.new"))


# --- the command line ------------------------------------------------------------------------------------------------


def cli(*arguments: str) -> str:
    command = [sys.executable, "-m", "anywasm", "cache", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_the_command_line_tells_what_is_there(file: Path, folder: Path) -> None:
    size = file.stat().st_size
    assert cli("info") == (f"directory  {folder}\nmodules    1\nbytes      {size:,} of at most 1,073,741,824\n")
    assert json.loads(cli("info", "--json")) == {
        "directory": str(folder),
        "unused": None,
        "modules": 1,
        "bytes": size,
        "bound": 1 << 30,
    }


def test_the_command_line_tells_of_an_empty_one(folder: Path) -> None:
    assert cli("info") == f"directory  {folder}\nmodules    0\nbytes      0 of at most 1,073,741,824\n"
    assert not folder.exists()


def test_the_command_line_tells_why_it_is_not_used(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.mkdir()
    folder.chmod(0o777)
    assert "(not used: it belongs to another user, or others can write to it)" in cli("info")
    monkeypatch.setenv("ANYWASM_CACHE", "0")
    assert "(not used: ANYWASM_CACHE is 0)" in cli("info")


def test_the_command_line_clears_it(engine: Engine, big: bytes, file: Path, folder: Path) -> None:
    size = file.stat().st_size
    (folder / "x.code.1.new").write_text("half")
    (folder / "notes.txt").write_text("not ours")
    assert cli("clear") == f"removed 1 module, {size:,} bytes\n"
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]
    assert cli("clear") == "removed 0 modules, 0 bytes\n"
    Module(big, engine)
    assert kept(folder) == [file]

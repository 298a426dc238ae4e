# SPDX-License-Identifier: Apache-2.0
"""Files in memory: as a directory of the host's to the program, and a mapping to its user."""

import random
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

import anywasm
from anywasm import wasi
from wasi_guest import (
    APPEND,
    CREAT,
    DIRECTORY,
    DIRECTORY_TYPE,
    EXCL,
    FILE_TYPE,
    LINK_TYPE,
    READ,
    TRUNC,
    WRITE,
    Failed,
    Guest,
)


def guest_of(engine: anywasm.Engine, *mounts: object) -> Guest:
    return Guest(engine, anywasm.Wasi(mounts={f"/{number}": mount for number, mount in enumerate(mounts)}))  # type: ignore[misc]


@pytest.fixture
def files() -> wasi.Memory:
    return wasi.Memory({"file": b"content", "sub/inner": b"inner content"}, limit=1 << 20)


@pytest.fixture
def guest(engine: anywasm.Engine, files: wasi.Memory) -> Guest:
    return guest_of(engine, files)


def error_of(function: Callable[..., object], *arguments: object, **keywords: object) -> str:
    with pytest.raises(Failed) as caught:
        function(*arguments, **keywords)
    return str(caught.value)


# --- the same as the host's ------------------------------------------------------------------------------------------

NAMES = ["a", "b", "sub", "sub/a", "sub/deep", "sub/deep/a", "link", "sub/link"]
ENDS = ["", "", "", "", "/", "/.", "/..", "/a"]
TARGETS = ["a", "sub", "../a", "sub/deep", "deep/..", ".", "..", "link", "missing", "sub/a/", "../..", "/etc"]


def path(chance: random.Random) -> str:
    name = chance.choice(NAMES) + chance.choice(ENDS)
    if chance.random() < 0.1:
        name = chance.choice([".", "..", "sub/../" + name, "./" + name, "link/" + name, "sub//" + name, "a/b"])
    return name


def operation(chance: random.Random) -> tuple[str, Callable[[Guest], object]]:
    """Something to do, the same for every guest."""
    one, two, target = path(chance), path(chance), chance.choice(TARGETS)
    oflags = chance.choice([0, 0, CREAT, CREAT, CREAT | EXCL, TRUNC, CREAT | TRUNC, DIRECTORY])
    rights, fdflags = chance.choice([READ, WRITE, READ | WRITE]), chance.choice([0, 0, APPEND])
    follow, data, size = chance.random() < 0.7, chance.randbytes(chance.randrange(50)), chance.randrange(100)
    modified = chance.randrange(10**18)

    def use(guest: Guest) -> object:
        fd = guest.open(one, oflags, rights, fdflags, follow=follow)
        said: list[object] = []
        try:
            for act in (
                lambda: guest.write(fd, data),
                lambda: guest.seek(fd, -size // 2, 2),
                lambda: guest.read(fd, 20),
                lambda: guest.call("fd_filestat_set_size", fd, size),
                lambda: guest.seek(fd, size),
                lambda: guest.write(fd, b"end"),
                lambda: guest.call("fd_allocate", fd, 0, size + 1),
                lambda: guest.fstat(fd).size if guest.fstat(fd).filetype == FILE_TYPE else "directory",
                lambda: guest.fdstat(fd)[:2],
                lambda: sorted((name, kind) for name, kind, _ in guest.entries(fd)),
            ):
                try:
                    said.append(act())
                except Failed as error:
                    said.append(str(error))
        finally:
            guest.close(fd)
        return said

    def stat(guest: Guest) -> object:
        found = guest.stat(one, follow=follow)
        links = found.links if found.filetype == FILE_TYPE else 0  # file systems count directories' in their own ways
        return found.filetype, links, found.size if found.filetype != DIRECTORY_TYPE else 0

    return chance.choice(
        [
            (f"use {one} {oflags} {rights} {fdflags} {follow}", use),
            (f"use {one} {oflags} {rights} {fdflags} {follow}", use),
            (f"mkdir {one}", lambda guest: guest.mkdir(one)),
            (f"rmdir {one}", lambda guest: guest.rmdir(one)),
            (f"unlink {one}", lambda guest: guest.unlink(one)),
            (f"rename {one} {two}", lambda guest: guest.rename(one, two)),
            (f"rename {one} {two}", lambda guest: guest.rename(one, two)),
            (f"link {one} {two}", lambda guest: guest.link(one, two)),
            (f"symlink {target} {one}", lambda guest: guest.symlink(target, one)),
            (f"readlink {one}", lambda guest: guest.readlink(one)),
            (f"stat {one} {follow}", stat),
            (f"stat {one} {follow}", stat),
            (
                f"times {one} {follow}",
                lambda guest: (
                    guest.set_times(one, 5, modified, 5, follow=follow),
                    guest.stat(one, follow=follow).modified,
                ),
            ),
        ]
    )


def answer(act: Callable[[Guest], object], guest: Guest) -> object:
    try:
        return act(guest)
    except Failed as error:
        return str(error)


@pytest.mark.parametrize("seed", range(20))
def test_whatever_is_done_is_as_in_a_directory_of_the_hosts(engine: anywasm.Engine, tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    (tmp_path / "sub" / "deep").mkdir(parents=True)
    memory = wasi.Memory({"sub/deep/x": b""})
    del memory["sub/deep/x"]
    host, guest = guest_of(engine, tmp_path), guest_of(engine, memory)
    done = []
    for _ in range(300):
        name, act = operation(chance)
        done.append(name)
        assert answer(act, guest) == answer(act, host), "\n".join(done[-12:])


# --- the limit -------------------------------------------------------------------------------------------------------


def test_a_full_memory_has_no_space(guest: Guest, files: wasi.Memory) -> None:
    fd = guest.open("big", CREAT, READ | WRITE)
    assert files.limit is not None
    written = 0
    while True:
        try:
            written += guest.write(fd, bytes(60_000))
        except Failed as error:
            assert str(error) == "51"  # ENOSPC
            break
    assert files.limit - 10 <= files.used <= files.limit
    assert len(files["big"]) == written
    assert error_of(guest.mkdir, "more") == "51"
    guest.call("fd_filestat_set_size", fd, 0)
    guest.mkdir("more")


@pytest.mark.parametrize("size", [1 << 20, 1 << 40, (1 << 63) - 1])
def test_holes_count(guest: Guest, files: wasi.Memory, size: int) -> None:
    fd = guest.open("file", 0, READ | WRITE)
    assert guest.errno("fd_filestat_set_size", fd, size) == "51"
    assert guest.errno("fd_allocate", fd, 0, size) == "51"
    assert guest.errno("fd_allocate", fd, size, size) in ("51", "22")  # EFBIG
    guest.seek(fd, size)
    assert error_of(guest.write, fd, b"x") in ("51", "22")
    assert files["file"] == b"content"


def test_names_and_nodes_count(engine: anywasm.Engine) -> None:
    files = wasi.Memory(limit=100_000)
    guest = guest_of(engine, files)
    made = 0
    while True:
        try:
            guest.mkdir(f"{made:0200}")
            made += 1
        except Failed as error:
            assert str(error) == "51"
            break
    assert 150 < made < 100_000 // 256
    for number in range(made):
        guest.rmdir(f"{number:0200}")
    assert files.used == 0


def test_what_is_gone_is_given_back(guest: Guest, files: wasi.Memory) -> None:
    before = files.used
    fd = guest.open("new", CREAT, READ | WRITE)
    guest.write(fd, bytes(1000))
    guest.unlink("new")
    assert files.used == before + 256 + 1000  # it is open
    guest.seek(fd, 0)
    assert guest.read(fd) == bytes(1000)
    guest.close(fd)
    assert files.used == before


def test_a_closed_store_gives_its_files_back(engine: anywasm.Engine, files: wasi.Memory) -> None:
    before = files.used
    guest = guest_of(engine, files)
    guest.open("new", CREAT, WRITE)
    guest.unlink("new")
    assert files.used > before
    guest.store.close()
    assert files.used == before


# --- shapes ----------------------------------------------------------------------------------------------------------


def test_deep_trees(engine: anywasm.Engine) -> None:
    files = wasi.Memory()
    guest = guest_of(engine, files)
    deep = "/".join(["d"] * 2000)
    for length in range(2000):
        guest.mkdir(deep[: 2 * length + 1])
    guest.open(deep + "/x", CREAT, WRITE)
    assert list(files) == [deep + "/x"]
    fd = 3
    for _ in range(20_000):  # deeper than any path
        guest.mkdir("e", fd=fd)
        following = guest.open("e", DIRECTORY, fd=fd)
        if fd != 3:
            guest.close(fd)
        fd = following
    guest.store.close()
    del guest, files  # nothing recurses


def test_many_names(engine: anywasm.Engine) -> None:
    files = wasi.Memory()
    guest = guest_of(engine, files)
    names = [f"{number * 7919 % 20_000}" for number in range(20_000)]
    for name in names:
        files[name] = b""
    seen, cookie = set(), 0
    fd = guest.open(".", DIRECTORY)
    while found := guest.entries(fd, cookie):
        seen |= {name for name, _, _ in found}
        cookie = found[-1][2]
    assert seen == {*names, ".", ".."}


def test_too_long_a_name(guest: Guest) -> None:
    guest.mkdir("n" * 255)
    assert error_of(guest.mkdir, "n" * 256) == "NAMETOOLONG"
    assert error_of(guest.stat, "a/" * 2048) == "NAMETOOLONG"


def test_a_directory_does_not_go_into_itself(guest: Guest) -> None:
    guest.mkdir("sub/deep")
    assert error_of(guest.rename, "sub", "sub/deep/sub") == "INVAL"
    assert error_of(guest.rename, "sub", "sub/deep") in ("INVAL", "NOTEMPTY")


def test_nothing_is_made_in_a_directory_that_was_removed(guest: Guest) -> None:
    guest.mkdir("gone")
    fd = guest.open("gone", DIRECTORY)
    guest.rmdir("gone")
    assert error_of(guest.mkdir, "x", fd=fd) == "NOENT"
    assert error_of(guest.open, "x", CREAT, WRITE, fd=fd) == "NOENT"
    assert [name for name, _, _ in guest.entries(fd)] == [".", ".."]


def test_paths_stay_in_the_directory_they_begin_in(guest: Guest) -> None:
    sub = guest.open("sub", DIRECTORY)
    for out in ("../file", "..", "/file", "inner/../../file", "x/../../file"):
        assert error_of(guest.stat, out, fd=sub) in ("NOTCAPABLE", "NOTDIR", "NOENT")
    guest.symlink("../file", "sub/up")
    assert error_of(guest.open, "up", fd=sub) == "NOTCAPABLE"
    assert guest.read(guest.open("sub/up")) == b"content"
    assert error_of(guest.symlink, "/etc", "absolute") == "NOTCAPABLE"


def test_two_mounts_of_one_memory_are_one_file_system(engine: anywasm.Engine, files: wasi.Memory) -> None:
    guest = guest_of(engine, files, files, wasi.Memory(), wasi.ReadOnly(files))
    guest.rename("file", "moved", other_fd=4)
    guest.link("moved", "sub/second", other_fd=4)
    assert guest.stat("moved").links == 2
    assert guest.stat("moved").inode == guest.stat("sub/second", fd=4).inode
    assert error_of(guest.rename, "moved", "x", other_fd=5) == "XDEV"
    assert error_of(guest.rename, "moved", "x", other_fd=6) == "ROFS"
    assert guest.stat("moved").device != guest.stat(".", fd=5).device


# --- the mapping -----------------------------------------------------------------------------------------------------


def test_a_mapping_of_paths_to_bytes(guest: Guest, files: wasi.Memory) -> None:
    assert dict(files) == {"file": b"content", "sub/inner": b"inner content"}
    assert len(files) == 2
    guest.write(guest.open("sub/new", CREAT, WRITE), b"made by the guest")
    assert files["sub/new"] == b"made by the guest"
    files["/x/y/z"] = "grüße"
    assert guest.read(guest.open("x/y/z")) == "grüße".encode()
    files["x/y/z"] = bytearray(b"shorter")
    assert guest.stat("x/y/z").size == 7
    del files["file"]
    assert error_of(guest.stat, "file") == "NOENT"
    assert "file" not in files
    assert files.get("file") is None
    assert "3 files" in repr(files)
    guest.symlink("sub/new", "link")
    assert files["link"] == b"made by the guest"
    assert set(files) == {"sub/inner", "sub/new", "x/y/z", "link"}
    assert files == {path: files[path] for path in files}


def test_mistakes_with_the_mapping(files: wasi.Memory) -> None:
    for missing in ("missing", "sub", "", "file/x", "../file"):
        with pytest.raises(KeyError):
            files[missing]
        with pytest.raises(KeyError):
            del files[missing]
    for path, error in (
        ("sub", IsADirectoryError),
        ("file/x", NotADirectoryError),
        ("x/", IsADirectoryError),
        ("../x", OSError),
    ):
        with pytest.raises(error):
            files[path] = b""
    with pytest.raises(OSError, match="No space left"):
        files["big"] = bytes(1 << 20)
    assert "big" not in files
    with pytest.raises(ValueError, match="null byte"):
        files["a\0b"] = b""
    with pytest.raises(TypeError, match="expected a path as str, got int"):
        files[5] = b""  # type: ignore[index]
    with pytest.raises(TypeError):
        files["x"] = 5  # type: ignore[assignment]
    with pytest.raises(ValueError, match="limit"):
        wasi.Memory(limit=-1)
    with pytest.raises(OSError, match="No space left"):
        wasi.Memory({"x": b""}, limit=0)
    with pytest.raises(TypeError, match="expected a path, or a mount of anywasm.wasi, such as Memory"):
        anywasm.Wasi(mounts={"/": 5})  # type: ignore[dict-item]


def test_a_read_only_mount_changes_nothing(engine: anywasm.Engine, files: wasi.Memory) -> None:
    guest = guest_of(engine, wasi.ReadOnly(files))
    before = dict(files)
    assert guest.read(guest.open("sub/inner", CREAT)) == b"inner content"
    for change in (
        lambda: guest.open("file", 0, WRITE),
        lambda: guest.open("file", TRUNC),
        lambda: guest.open("new", CREAT),
        lambda: guest.mkdir("new"),
        lambda: guest.rmdir("sub"),
        lambda: guest.unlink("file"),
        lambda: guest.rename("file", "new"),
        lambda: guest.link("file", "new"),
        lambda: guest.symlink("file", "new"),
        lambda: guest.set_times("file", 1, 2, 5),
    ):
        assert error_of(change) == "ROFS"
    assert dict(files) == before
    assert repr(wasi.ReadOnly("a")) == "ReadOnly(Directory('a'))"


def test_programs_in_many_threads_share_it(engine: anywasm.Engine) -> None:
    files = wasi.Memory({"log": b""}, limit=1 << 22)
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            guest = guest_of(engine, files)
            for turn in range(100):
                guest.write(guest.open("log", 0, WRITE, APPEND), b"x")
                name = f"{number}/{turn}"
                if turn == 0:
                    guest.mkdir(f"{number}")
                fd = guest.open(name, CREAT | EXCL, READ | WRITE)
                guest.write(fd, name.encode())
                guest.rename(name, f"{number}/last")
                guest.close(fd)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert files["log"] == b"x" * 400
    assert files["3/last"] == b"3/99"
    assert len(files) == 5


def test_links_are_no_files(guest: Guest, files: wasi.Memory) -> None:
    guest.symlink("nowhere", "dangling")
    assert guest.stat("dangling", follow=False).filetype == LINK_TYPE
    assert "dangling" not in files
    del files["dangling"]
    assert error_of(guest.stat, "dangling", follow=False) == "NOENT"

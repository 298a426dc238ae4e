# SPDX-License-Identifier: Apache-2.0
"""What WASI programs do by path, and that no path leaves its mount: with the kernel's openat2 and without it."""

import os
import random
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

import anywasm
from wasi_guest import (
    APPEND,
    CREAT,
    DIRECTORY,
    DIRECTORY_TYPE,
    EXCL,
    FILE_TYPE,
    LINK_TYPE,
    NONBLOCK,
    OTHER,
    OUT,
    PATH,
    READ,
    RIGHTS,
    SIZE,
    TRUNC,
    WRITE,
    Failed,
    Guest,
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """What is mounted; a secret lies next to it."""
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "treasure").write_text("secret")
    root = tmp_path / "root"
    (root / "sub" / "deep").mkdir(parents=True)
    (root / "file").write_text("content")
    (root / "sub" / "inner").write_text("inner content")
    return root


@pytest.fixture(params=["openat2", "walk"])
def mount(engine: anywasm.Engine, root: Path, request: pytest.FixtureRequest) -> Callable[[bool], Guest]:
    """mount(writable): a guest with `root` as its descriptor 3."""

    def make(writable: bool) -> Guest:
        wasi = anywasm.Wasi(mounts={"/": anywasm.wasi.Directory(root, readonly=not writable)})
        return Guest(engine, wasi._open(avoid_openat2=request.param == "walk"))

    return make


@pytest.fixture
def guest(mount: Callable[[bool], Guest]) -> Guest:
    return mount(True)


@pytest.fixture
def reader(mount: Callable[[bool], Guest]) -> Guest:
    return mount(False)


def error_of(function: Callable[..., object], *arguments: object, **keywords: object) -> str:
    with pytest.raises(Failed) as caught:
        function(*arguments, **keywords)
    return str(caught.value)


# --- files and directories -------------------------------------------------------------------------------------------


def test_a_file_is_read(guest: Guest) -> None:
    assert guest.read(guest.open("file")) == b"content"


@pytest.mark.parametrize("path", ["./file", "sub/../file", "sub//./deep/../../file", "sub/deep/../../sub/../file"])
def test_a_path_goes_up_and_down_within_its_mount(guest: Guest, path: str) -> None:
    assert guest.read(guest.open(path)) == b"content"


def test_a_file_is_made_and_written(guest: Guest, root: Path) -> None:
    fd = guest.open("sub/new", CREAT | EXCL, READ | WRITE)
    assert guest.write(fd, b"hello") == 5
    assert (root / "sub" / "new").read_bytes() == b"hello"


def test_creating_what_is_there_fails_only_if_asked_to(guest: Guest) -> None:
    assert error_of(guest.open, "file", CREAT | EXCL, WRITE) == "EXIST"
    assert guest.read(guest.open("file", CREAT, READ)) == b"content"


def test_a_file_is_truncated_on_opening(guest: Guest, root: Path) -> None:
    guest.open("file", TRUNC, WRITE)
    assert (root / "file").read_bytes() == b""


def test_appending_goes_to_the_end(guest: Guest, root: Path) -> None:
    guest.write(guest.open("file", 0, WRITE, APPEND), b"!")
    assert (root / "file").read_bytes() == b"content!"


def test_what_was_opened_for_reading_is_not_written(guest: Guest) -> None:
    fd = guest.open("file", 0, READ)
    assert error_of(guest.write, fd, b"x") == "BADF"


def test_what_was_opened_for_writing_is_not_read(guest: Guest) -> None:
    fd = guest.open("file", 0, WRITE)
    assert error_of(guest.read, fd) == "BADF"


@pytest.mark.parametrize("path", ["missing", "missing/file", "sub/missing", "sub/deep/missing/x"])
def test_a_missing_file_is_missing(guest: Guest, path: str) -> None:
    assert error_of(guest.open, path) == "NOENT"
    assert error_of(guest.stat, path) == "NOENT"


@pytest.mark.parametrize("path", ["file/", "file/x", "file/..", "file/."])
def test_a_file_is_no_directory(guest: Guest, path: str) -> None:
    assert error_of(guest.open, path) == "NOTDIR"
    assert error_of(guest.stat, path) == "NOTDIR"


def test_only_a_directory_is_opened_as_one(guest: Guest) -> None:
    assert guest.fdstat(guest.open("sub", DIRECTORY))[0] == DIRECTORY_TYPE
    assert guest.fdstat(guest.open("sub/", DIRECTORY))[0] == DIRECTORY_TYPE
    assert error_of(guest.open, "file", DIRECTORY) == "NOTDIR"


def test_a_directory_is_not_opened_for_writing(guest: Guest) -> None:
    assert error_of(guest.open, "sub", 0, READ | WRITE) == "ISDIR"
    assert error_of(guest.open, "new/", CREAT, WRITE) == "ISDIR"


def test_a_directory_that_was_opened_is_a_root_of_its_own(guest: Guest) -> None:
    sub = guest.open("sub", DIRECTORY)
    assert guest.read(guest.open("inner", fd=sub)) == b"inner content"
    assert error_of(guest.open, "../file", fd=sub) == "NOTCAPABLE"


def test_directories_are_made_and_removed(guest: Guest, root: Path) -> None:
    guest.mkdir("new")
    guest.mkdir("new/inner/")
    assert (root / "new" / "inner").is_dir()
    assert error_of(guest.rmdir, "new") == "NOTEMPTY"
    guest.rmdir("new/inner/")
    guest.rmdir("new")
    assert not (root / "new").exists()


def test_making_a_directory_that_is_there_fails(guest: Guest) -> None:
    assert error_of(guest.mkdir, "sub") == "EXIST"
    assert error_of(guest.mkdir, "file") == "EXIST"
    assert error_of(guest.mkdir, ".") == "EXIST"


def test_files_are_unlinked_and_directories_not(guest: Guest, root: Path) -> None:
    guest.unlink("file")
    assert not (root / "file").exists()
    assert error_of(guest.unlink, "sub") == "ISDIR"
    assert error_of(guest.rmdir, "sub/inner") == "NOTDIR"


def test_a_file_is_renamed_over_another(guest: Guest, root: Path) -> None:
    guest.rename("file", "sub/inner")
    assert (root / "sub" / "inner").read_text() == "content"
    assert not (root / "file").exists()


def test_a_file_has_two_names_after_linking(guest: Guest, root: Path) -> None:
    guest.link("file", "sub/second")
    assert (root / "sub" / "second").samefile(root / "file")
    assert guest.stat("file").links == 2


def test_what_a_file_is_can_be_asked(guest: Guest, root: Path) -> None:
    given, host = guest.stat("sub/inner"), (root / "sub" / "inner").stat()
    assert (given.filetype, given.size, given.inode, given.modified) == (FILE_TYPE, 13, host.st_ino, host.st_mtime_ns)
    assert guest.fstat(guest.open("sub/inner")) == given
    assert guest.stat("sub").filetype == DIRECTORY_TYPE


def test_times_are_set(guest: Guest, root: Path) -> None:
    guest.set_times("file", 1_000_000_007, 2_000_000_009, 1 | 4)
    host = (root / "file").stat()
    assert (host.st_atime_ns, host.st_mtime_ns) == (1_000_000_007, 2_000_000_009)


def test_one_time_is_set_and_the_other_stays(guest: Guest, root: Path) -> None:
    os.utime(root / "file", ns=(1, 2))
    guest.set_times("file", 5, 6, 4)
    host = (root / "file").stat()
    assert (host.st_atime_ns, host.st_mtime_ns) == (1, 6)


def test_times_are_set_to_now(guest: Guest, root: Path) -> None:
    os.utime(root / "file", ns=(1, 2))
    guest.set_times("file", 5, 6, 2 | 8)
    assert (root / "file").stat().st_mtime_ns > 10**18


def test_a_time_is_not_set_twice(guest: Guest) -> None:
    assert error_of(guest.set_times, "file", 0, 0, 1 | 2) == "INVAL"
    assert error_of(guest.set_times, "file", 0, 0, 4 | 8) == "INVAL"


def test_a_links_own_times_are_set(guest: Guest, root: Path) -> None:
    (root / "link").symlink_to("file")
    before = (root / "file").stat().st_mtime_ns
    guest.set_times("link", 1000, 2000, 1 | 4, follow=False)
    assert (root / "link").lstat().st_mtime_ns == 2000
    assert (root / "file").stat().st_mtime_ns == before


# --- links -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "name"),
    [("file", "link"), ("../file", "sub/link"), ("./sub/../file", "link"), ("../sub/../file", "sub/deep/../link")],
)
def test_links_within_the_mount_are_followed(guest: Guest, target: str, name: str) -> None:
    guest.symlink(target, name)
    assert guest.read(guest.open(name)) == b"content"
    assert guest.stat(name).filetype == FILE_TYPE
    assert guest.stat(name, follow=False).filetype == LINK_TYPE
    assert guest.readlink(name) == target


def test_links_to_directories_are_followed_on_the_way(guest: Guest, root: Path) -> None:
    (root / "way").symlink_to("sub/deep/..")
    (root / "chain").symlink_to("way")
    assert guest.read(guest.open("chain/inner")) == b"inner content"
    assert guest.read(guest.open("chain/../file")) == b"content"
    guest.write(guest.open("chain/new", CREAT, WRITE), b"x")
    assert (root / "sub" / "new").read_bytes() == b"x"


def test_a_link_is_not_opened_when_it_is_not_to_be_followed(guest: Guest, root: Path) -> None:
    (root / "link").symlink_to("file")
    assert error_of(guest.open, "link", follow=False) == "LOOP"


def test_links_in_a_circle_end(guest: Guest, root: Path) -> None:
    (root / "one").symlink_to("two")
    (root / "two").symlink_to("one")
    assert error_of(guest.open, "one") == "LOOP"
    assert error_of(guest.open, "one/x") == "LOOP"


def test_creating_through_a_dangling_link_makes_its_target(guest: Guest, root: Path) -> None:
    (root / "link").symlink_to("sub/made")
    guest.write(guest.open("link", CREAT, WRITE), b"x")
    assert (root / "sub" / "made").read_bytes() == b"x"
    (root / "other").symlink_to("nothing")
    assert error_of(guest.open, "other", CREAT | EXCL, WRITE) == "EXIST"


def test_unlinking_a_link_leaves_its_target(guest: Guest, root: Path) -> None:
    (root / "link").symlink_to("file")
    guest.unlink("link")
    assert (root / "file").exists()
    assert not (root / "link").is_symlink()


def test_reading_what_is_no_link_fails(guest: Guest) -> None:
    assert error_of(guest.readlink, "file") == "INVAL"
    assert error_of(guest.readlink, "sub") == "INVAL"
    assert error_of(guest.readlink, "missing") == "NOENT"


def test_a_links_target_is_cut_to_the_room(guest: Guest, root: Path) -> None:
    (root / "link").symlink_to("abcdefgh")
    assert guest.readlink("link", room=3) == "abc"


# --- no way out ----------------------------------------------------------------------------------------------------

OUT_OF_THE_MOUNT = [
    "../secret",
    "sub/../../secret",
    "sub/deep/../../../secret",
    "./.././secret",
    "..//secret",
    "/etc/passwd",
    "//etc/passwd",
    "up/secret",
    "up/outside/treasure",
    "sub/up/treasure",
    "absolute",
    "absolute_directory/passwd",
    "to_secret",
    "chain",
    "chain_directory/secret",
    "proc/self/environ",
    "self/root/etc/passwd",
]


@pytest.fixture
def trapped(guest: Guest, root: Path) -> Guest:
    """A guest in whose mount somebody put links that lead out."""
    for name, target in {
        "up": "..",
        "sub/up": "../../outside",
        "absolute": "/etc/passwd",
        "absolute_directory": "/etc",
        "to_secret": "../secret",
        "chain": "to_secret",
        "chain_directory": "sub/../up",
        "proc": "/proc",
        "self": "/proc/self",
        "dangling": "../new",
        "sub/dangling": "../../outside/new",
    }.items():
        (root / name).symlink_to(target)
    return guest


@pytest.mark.parametrize("path", OUT_OF_THE_MOUNT)
def test_no_path_leads_out(trapped: Guest, path: str) -> None:
    assert error_of(trapped.open, path) == "NOTCAPABLE"
    assert error_of(trapped.stat, path) == "NOTCAPABLE"
    assert error_of(trapped.open, path, CREAT, WRITE) == "NOTCAPABLE"
    assert error_of(trapped.open, path, TRUNC, WRITE) == "NOTCAPABLE"
    assert error_of(trapped.set_times, path, 1, 1, 5) == "NOTCAPABLE"


@pytest.mark.parametrize("path", ["..", "../", "up", "up/", "up/..", "sub/up", "absolute_directory", "/", "../root"])
def test_no_directory_outside_is_opened(trapped: Guest, path: str) -> None:
    assert error_of(trapped.open, path, DIRECTORY) == "NOTCAPABLE"
    assert error_of(trapped.stat, path) == "NOTCAPABLE"


@pytest.mark.parametrize(
    "path", ["../x", "up/x", "sub/up/x", "absolute_directory/x", "/x", "sub/../../x", "..", "sub/.."]
)
def test_nothing_is_made_moved_or_removed_outside(trapped: Guest, root: Path, path: str) -> None:
    before = sorted(str(found) for found in root.parent.rglob("*"))
    assert error_of(trapped.mkdir, path) == "NOTCAPABLE"
    assert error_of(trapped.rmdir, path) == "NOTCAPABLE"
    assert error_of(trapped.unlink, path) == "NOTCAPABLE"
    assert error_of(trapped.symlink, "target", path) == "NOTCAPABLE"
    assert error_of(trapped.rename, "file", path) == "NOTCAPABLE"
    assert error_of(trapped.rename, path, "stolen") == "NOTCAPABLE"
    assert error_of(trapped.link, "file", path) == "NOTCAPABLE"
    assert error_of(trapped.link, path, "stolen") == "NOTCAPABLE"
    assert sorted(str(found) for found in root.parent.rglob("*")) == before


@pytest.mark.parametrize("path", ["dangling", "sub/dangling"])
def test_nothing_is_created_through_a_dangling_link(trapped: Guest, root: Path, path: str) -> None:
    assert error_of(trapped.open, path, CREAT, WRITE) == "NOTCAPABLE"
    assert not (root.parent / "new").exists()
    assert not (root.parent / "outside" / "new").exists()


@pytest.mark.parametrize("name", ["to_secret", "absolute", "up", "missing_outside"])
def test_a_slash_at_the_end_tells_nothing_of_what_is_outside(trapped: Guest, root: Path, name: str) -> None:
    (root / "missing_outside").symlink_to("../nothing")
    assert error_of(trapped.readlink, name + "/") == "NOTCAPABLE"
    assert error_of(trapped.link, name + "/", "stolen") in ("PERM", "NOTCAPABLE")
    assert error_of(trapped.mkdir, name + "/") in ("EXIST", "NOTCAPABLE")
    assert error_of(trapped.rmdir, name + "/") in ("NOTDIR", "NOTCAPABLE")


def test_what_links_lead_to_is_not_unlinked_or_renamed(trapped: Guest, root: Path) -> None:
    trapped.rename("to_secret", "moved")
    trapped.unlink("moved")
    assert (root.parent / "secret").read_text() == "secret"


def test_an_absolute_link_is_not_made(guest: Guest) -> None:
    assert error_of(guest.symlink, "/etc/passwd", "link") == "NOTCAPABLE"


def test_a_link_that_leads_out_is_made_and_never_followed(guest: Guest) -> None:
    guest.symlink("../secret", "link")
    assert guest.readlink("link") == "../secret"
    assert error_of(guest.open, "link") == "NOTCAPABLE"


def test_a_hard_link_to_a_link_is_to_the_link(trapped: Guest, root: Path) -> None:
    trapped.link("to_secret", "second")
    assert (root / "second").is_symlink()
    number, size = trapped.put(PATH, "to_secret")
    assert trapped.errno("path_link", 3, 1, number, size, 3, *trapped.put(OTHER, "third")) == "INVAL"


def test_the_inode_above_the_mount_is_not_told(guest: Guest) -> None:
    guest.call("fd_readdir", 3, 65536, 4096, 0, OUT)
    data = guest.memory.read(65536, guest.number(OUT))
    place = data.index(b"..") - 24
    assert data[place + 8 : place + 16] == bytes(8)


# --- read-only mounts --------------------------------------------------------------------------------------------


def test_a_read_only_mount_is_read(reader: Guest) -> None:
    assert reader.read(reader.open("file")) == b"content"
    assert reader.read(reader.open("inner", fd=reader.open("sub", DIRECTORY))) == b"inner content"
    assert {name for name, _, _ in reader.entries(3)} == {".", "..", "file", "sub"}


@pytest.mark.parametrize(
    ("oflags", "rights"), [(0, WRITE), (0, READ | WRITE), (TRUNC, READ), (CREAT, WRITE), (CREAT | TRUNC, READ | WRITE)]
)
def test_a_read_only_mount_opens_nothing_for_writing(reader: Guest, root: Path, oflags: int, rights: int) -> None:
    assert error_of(reader.open, "file", oflags, rights) == "ROFS"
    assert error_of(reader.open, "new", oflags | CREAT, rights) == "ROFS"
    sub = reader.open("sub", DIRECTORY)
    assert error_of(reader.open, "inner", oflags, rights, fd=sub) == "ROFS"
    assert (root / "file").read_text() == "content"
    assert not (root / "new").exists()


def test_a_read_only_mount_opens_what_is_there_to_be_read_even_with_create(reader: Guest) -> None:
    assert reader.read(reader.open("file", CREAT)) == b"content"
    assert error_of(reader.open, "file", CREAT | EXCL) == "EXIST"
    assert error_of(reader.open, "new", CREAT) == "ROFS"


def test_a_read_only_mount_refuses_every_change(reader: Guest, root: Path) -> None:
    before = {str(path): path.lstat().st_mtime_ns for path in root.rglob("*")}
    assert error_of(reader.mkdir, "new") == "ROFS"
    assert error_of(reader.rmdir, "sub/deep") == "ROFS"
    assert error_of(reader.unlink, "file") == "ROFS"
    assert error_of(reader.rename, "file", "other") == "ROFS"
    assert error_of(reader.link, "file", "other") == "ROFS"
    assert error_of(reader.symlink, "file", "other") == "ROFS"
    assert error_of(reader.set_times, "file", 1, 1, 5) == "ROFS"
    fd = reader.open("file")
    assert error_of(reader.write, fd, b"x") == "BADF"
    assert reader.errno("fd_filestat_set_size", fd, 0) == "ROFS"
    assert reader.errno("fd_filestat_set_times", fd, 1, 1, 5) == "ROFS"
    assert reader.errno("fd_allocate", fd, 0, 100) == "ROFS"
    assert reader.errno("fd_filestat_set_times", 3, 1, 1, 5) == "ROFS"
    assert {str(path): path.lstat().st_mtime_ns for path in root.rglob("*")} == before


def test_nothing_moves_between_a_writable_and_a_read_only_mount(engine: anywasm.Engine, root: Path) -> None:
    guest = Guest(engine, anywasm.Wasi(mounts={"/w": root / "sub", "/r": anywasm.wasi.Directory(root, readonly=True)}))
    assert error_of(guest.rename, "file", "stolen", fd=4, other_fd=3) == "ROFS"
    assert error_of(guest.link, "file", "stolen", fd=4, other_fd=3) == "ROFS"
    assert error_of(guest.rename, "inner", "given", fd=3, other_fd=4) == "ROFS"


def test_two_writable_mounts_move_files_between_them(engine: anywasm.Engine, root: Path) -> None:
    mounts = {"/a": anywasm.wasi.Directory(root), "/b": anywasm.wasi.Directory(root / "sub")}
    guest = Guest(engine, anywasm.Wasi(mounts=mounts))
    guest.rename("file", "moved", fd=3, other_fd=4)
    assert (root / "sub" / "moved").read_text() == "content"


# --- odd paths -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "error"), [("", "NOENT"), ("a\0b", "ILSEQ"), ("\0", "ILSEQ"), ("x" * 5000, "NAMETOOLONG")]
)
def test_a_path_that_is_none_is_refused(guest: Guest, path: str, error: str) -> None:
    assert error_of(guest.open, path) == error
    assert error_of(guest.mkdir, path) == error
    assert error_of(guest.readlink, path) == error
    assert error_of(guest.rename, "file", path) == error


def test_a_name_that_is_too_long_is_refused(guest: Guest) -> None:
    assert error_of(guest.open, "n" * 300, CREAT, WRITE) == "NAMETOOLONG"
    assert error_of(guest.open, "n" * 300 + "/x") == "NAMETOOLONG"


def test_deep_paths_are_walked(guest: Guest, root: Path) -> None:
    path = "d/" * 120
    (root / path).mkdir(parents=True)
    (root / path / "x").write_text("deep")
    assert guest.read(guest.open(path + "x")) == b"deep"
    assert guest.read(guest.open(path + "../" * 119 + path[2:] + "x")) == b"deep"


def test_names_that_are_not_utf8_can_be_opened(guest: Guest, root: Path) -> None:
    (root / os.fsdecode(b"\xff\xfe")).write_bytes(b"bytes")
    assert guest.read(guest.open(b"\xff\xfe")) == b"bytes"


@pytest.mark.parametrize("address", [SIZE - 2, SIZE, 2**31, 2**32 - 1])
def test_a_path_outside_the_memory_is_a_fault(guest: Guest, address: int) -> None:
    assert guest.errno("path_open", 3, 1, address, 4, 0, READ, 0, 0, OUT) == "FAULT"
    assert guest.errno("path_unlink_file", 3, address, 4) == "FAULT"
    assert guest.errno("path_create_directory", 3, PATH, 2**32 - 1) == "FAULT"


def test_a_descriptor_that_cannot_be_told_is_not_opened(guest: Guest) -> None:
    address, length = guest.put(PATH, "new")
    assert guest.errno("path_open", 3, 1, address, length, CREAT, WRITE, 0, 0, SIZE - 2) == "FAULT"
    assert error_of(guest.stat, "new") == "NOENT"
    assert guest.open("file") == 4


@pytest.mark.parametrize("fd", [0, 1, 2, 4, 99, 2**31, 2**32 - 1])
def test_paths_are_beneath_directories_only(guest: Guest, fd: int) -> None:
    wanted = "NOTDIR" if fd < 3 else "BADF"
    assert error_of(guest.open, "file", fd=fd) == wanted
    assert error_of(guest.mkdir, "new", fd=fd) == wanted
    assert error_of(guest.stat, "file", fd=fd) == wanted


def test_a_file_is_no_directory_to_look_in(guest: Guest) -> None:
    fd = guest.open("file")
    assert error_of(guest.open, "x", fd=fd) == "NOTDIR"
    assert error_of(guest.entries, fd) == "NOTDIR"


def test_reading_a_directory_as_a_file_fails(guest: Guest) -> None:
    assert error_of(guest.read, guest.open("sub", DIRECTORY)) == "ISDIR"
    assert error_of(guest.write, 3, b"x") == "BADF"
    assert error_of(guest.seek, 3, 0) == "BADF"


# --- what is no file -----------------------------------------------------------------------------------------------


def test_opening_a_fifo_does_not_wait(guest: Guest, root: Path) -> None:
    os.mkfifo(root / "fifo")
    fd = guest.open("fifo", 0, READ, NONBLOCK)
    assert error_of(guest.read, fd) == "AGAIN"
    assert error_of(guest.open, "sub/../fifo", DIRECTORY) == "NOTDIR"


def test_a_fifo_without_a_reader_is_not_written_to(guest: Guest, root: Path) -> None:
    os.mkfifo(root / "fifo")
    assert error_of(guest.open, "fifo", 0, WRITE) == "NXIO"


def test_a_fifo_carries_bytes(guest: Guest, root: Path) -> None:
    os.mkfifo(root / "fifo")
    reading = guest.open("fifo", 0, READ)
    writing = guest.open("fifo", 0, WRITE)
    guest.write(writing, b"through")
    assert guest.read(reading) == b"through"
    guest.close(writing)
    assert guest.read(reading) == b""


def test_a_socket_file_is_not_opened(guest: Guest, root: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        directory = os.open(root, os.O_RDONLY)
        server.bind(f"/proc/self/fd/{directory}/socket")  # a socket's own path is limited to 107 bytes
        os.close(directory)
        assert error_of(guest.open, "socket") == "NXIO"


# --- listings --------------------------------------------------------------------------------------------------------


def test_a_listing_tells_names_and_types(guest: Guest, root: Path) -> None:
    (root / "link").symlink_to("file")
    found = {name: kind for name, kind, _ in guest.entries(3)}
    assert found == {
        ".": DIRECTORY_TYPE,
        "..": DIRECTORY_TYPE,
        "file": FILE_TYPE,
        "link": LINK_TYPE,
        "sub": DIRECTORY_TYPE,
    }


@pytest.mark.parametrize("room", [64, 100, 512, 4096, 60000])
def test_a_big_directory_is_listed_by_cookies(guest: Guest, root: Path, room: int) -> None:
    names = {f"name-{number}" for number in range(300)}
    for name in names:
        (root / "sub" / "deep" / name).touch()
    fd = guest.open("sub/deep", DIRECTORY)
    seen, cookie = [], 0
    while found := guest.entries(fd, cookie, room):
        seen += [name for name, _, _ in found]
        cookie = found[-1][2]
    assert len(seen) == 302
    assert set(seen) == names | {".", ".."}


def test_a_listing_goes_back_to_a_cookie(guest: Guest, root: Path) -> None:
    for number in range(50):
        (root / "sub" / f"{number}").touch()
    fd = guest.open("sub", DIRECTORY)
    every = guest.entries(fd)
    assert guest.entries(fd, every[10][2]) == every[11:]
    assert guest.entries(fd, every[3][2], 100) == every[4 : 4 + len(guest.entries(fd, every[3][2], 100))]
    assert guest.entries(fd, every[-1][2]) == []
    assert guest.entries(fd, 2**64 - 1) == []


def test_files_are_removed_while_they_are_listed(guest: Guest, root: Path) -> None:
    for number in range(200):
        (root / "sub" / "deep" / f"{number}").touch()
    fd = guest.open("sub/deep", DIRECTORY)
    cookie = 0
    while found := guest.entries(fd, cookie, 256):
        for name, kind, _ in found:
            if kind == FILE_TYPE:
                guest.unlink(name, fd=fd)
        cookie = found[-1][2]
    assert list((root / "sub" / "deep").iterdir()) == []


def test_a_listing_begins_anew_at_cookie_0(guest: Guest, root: Path) -> None:
    before = guest.entries(3)
    (root / "later").touch()
    assert len(guest.entries(3)) == len(before) + 1


def test_a_buffer_too_small_for_a_name_is_filled(guest: Guest) -> None:
    assert guest.errno("fd_readdir", 3, 65536, 30, 0, OUT) == "OK"
    assert guest.number(OUT) == 30
    assert guest.errno("fd_readdir", 3, 65536, 0, 0, OUT) == "OK"
    assert guest.number(OUT) == 0


# --- descriptors of mounts ---------------------------------------------------------------------------------------


def test_mounts_are_told_by_their_names(engine: anywasm.Engine, root: Path) -> None:
    guest = Guest(engine, anywasm.Wasi(mounts={"/one": root, ".": root / "sub", "straße": root}))
    names = []
    for fd in (3, 4, 5):
        guest.call("fd_prestat_get", fd, OUT)
        assert guest.number(OUT, 1) == 0
        length = guest.number(OUT + 4)
        guest.call("fd_prestat_dir_name", fd, 65536, length)
        names.append(guest.memory.read(65536, length).decode())
    assert names == ["/one", ".", "straße"]
    assert guest.errno("fd_prestat_get", 6, OUT) == "BADF"
    assert guest.errno("fd_prestat_get", 0, OUT) == "BADF"
    assert guest.errno("fd_prestat_dir_name", 3, 65536, 2) == "NAMETOOLONG"


def test_an_opened_directory_is_no_mount(guest: Guest) -> None:
    assert guest.errno("fd_prestat_get", guest.open("sub", DIRECTORY), OUT) == "BADF"


def test_rights_that_were_given_away_are_gone(guest: Guest) -> None:
    fd = guest.open("file", 0, READ | WRITE)
    rights = guest.fdstat(fd)[2]
    guest.call("fd_fdstat_set_rights", fd, rights & ~READ, 0)
    assert error_of(guest.read, fd) == "NOTCAPABLE"
    assert guest.errno("fd_fdstat_set_rights", fd, rights, 0) == "NOTCAPABLE"
    assert guest.write(fd, b"x") == 1


def test_a_directory_that_gave_writing_away_does_not_pass_it_on(guest: Guest) -> None:
    _, _, rights, inheriting = guest.fdstat(3)
    guest.call("fd_fdstat_set_rights", 3, rights & ~(1 << 26), inheriting & ~WRITE)
    assert error_of(guest.open, "file", 0, WRITE) == "NOTCAPABLE"
    assert error_of(guest.unlink, "file") == "NOTCAPABLE"
    sub = guest.open("sub", DIRECTORY)
    assert error_of(guest.open, "inner", 0, WRITE, fd=sub) == "NOTCAPABLE"


def test_random_paths_open_nothing_outside(trapped: Guest, root: Path) -> None:
    parts = [
        "..",
        ".",
        "",
        "up",
        "sub",
        "deep",
        "root",
        "secret",
        "outside",
        "treasure",
        "chain_directory",
        "file",
        "etc",
    ]
    chance = random.Random(7)
    for _ in range(1000):
        path = "/".join(chance.choice(parts) for _ in range(chance.randint(1, 7)))
        try:
            fd = trapped.open(path, chance.choice([0, 0, CREAT, DIRECTORY]), chance.choice([READ, READ | WRITE]))
        except Failed:
            continue
        inside = {found.lstat().st_ino for found in [root, *root.rglob("*")]}
        assert trapped.fstat(fd).inode in inside
        trapped.close(fd)
    assert (root.parent / "secret").read_text() == "secret"


def test_rights_are_told_as_they_are(guest: Guest, reader: Guest) -> None:
    assert guest.fdstat(3)[3] & WRITE
    assert reader.fdstat(3)[3] & WRITE  # so that programs ask for it, and hear ROFS
    assert guest.fdstat(guest.open("file", 0, READ))[2] & (READ | WRITE) == READ
    assert RIGHTS & guest.fdstat(guest.open("file", 0, READ | WRITE))[2] & (READ | WRITE) == READ | WRITE

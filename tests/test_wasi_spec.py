# SPDX-License-Identifier: Apache-2.0
"""What the specification says of preview 1's functions, one by one, beyond what test_wasi.py and its sisters show."""

import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import anywasm
from wasi_guest import (
    CREAT,
    DATA,
    DIRECTORY,
    ERRNO,
    FUNCTIONS,
    NONBLOCK,
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

SEEK, SET_FLAGS, TELL, POLL = 1 << 2, 1 << 3, 1 << 5, 1 << 27  # rights
CREATE_FILE, OPEN, SET_SIZE, SYNC = 1 << 10, 1 << 13, 1 << 19, 1 << 4
PAST = 2**32 - 1  # the largest of the guest's numbers


@pytest.fixture(params=["directory", "memory"])
def work(engine: anywasm.Engine, tmp_path: Path, request: pytest.FixtureRequest) -> Guest:
    """A guest with a writable mount, its descriptor 3, which has `file` in it."""
    mount: Any = anywasm.wasi.Memory({"file": b"0123456789"})
    if request.param == "directory":
        mount = tmp_path
        (tmp_path / "file").write_text("0123456789")
    return Guest(engine, anywasm.Wasi(mounts={"/": mount}))


def error_of(function: Callable[..., object], *arguments: object, **keywords: object) -> str:
    with pytest.raises(Failed) as caught:
        function(*arguments, **keywords)
    return str(caught.value)


# --- descriptors --------------------------------------------------------------------------------------------------

# Where among its arguments a function has descriptors.
DESCRIPTORS = {"path_symlink": (2,), "path_rename": (0, 3), "path_link": (0, 4), "fd_renumber": (0, 1)}
WITH_DESCRIPTORS = sorted(name for name in FUNCTIONS if name.startswith(("fd_", "path_", "sock_")))


@pytest.mark.parametrize("name", WITH_DESCRIPTORS)
@pytest.mark.parametrize("number", [55, 1024, 2**31, PAST])
def test_a_descriptor_that_is_not_open_is_told_before_all_else(work: Guest, name: str, number: int) -> None:
    work.put(PATH, "file")
    for place in DESCRIPTORS.get(name, (0,)):
        arguments = [0] * len(FUNCTIONS[name])
        if name.startswith("path_"):  # what comes before it is right
            arguments = [3 if index in DESCRIPTORS.get(name, (0,)) else 0 for index in range(len(arguments))]
            first = 0 if name == "path_symlink" else 2 if FUNCTIONS[name][1:4] == "iii" and name != "path_rename" else 1
            arguments[first : first + 2] = PATH, 4
        elif name == "fd_renumber":
            arguments = [3, 3]
        arguments[place] = number
        assert work.errno(name, *arguments) == "BADF", place


def test_a_closed_descriptor_is_not_open(work: Guest) -> None:
    fd = work.open("file")
    work.close(fd)
    assert error_of(work.close, fd) == "BADF"
    assert error_of(work.read, fd) == "BADF"
    work.close(3)
    assert error_of(work.open, "file") == "BADF"


def test_renumbering(work: Guest) -> None:
    one, two = work.open("file"), work.open("file")
    work.seek(one, 5)
    work.call("fd_renumber", one, one)  # nothing happens
    assert work.seek(one, 0, 1) == 5
    work.call("fd_renumber", one, two)
    assert (work.seek(two, 0, 1), error_of(work.read, one)) == (5, "BADF")
    assert work.errno("fd_renumber", one, two) == "BADF"
    assert work.errno("fd_renumber", two, one) == "BADF"
    assert work.seek(two, 0, 1) == 5  # it is as it was
    work.call("fd_renumber", 3, two)  # a mount stays one
    assert work.errno("fd_prestat_get", 3, OUT) == "BADF"
    work.call("fd_prestat_get", two, OUT)
    assert work.number(OUT + 4) == 1
    assert work.read(work.open("file", fd=two)) == b"0123456789"


def test_a_mounts_name(work: Guest) -> None:
    assert work.errno("fd_prestat_dir_name", 3, DATA, 0) == "NAMETOOLONG"
    assert work.errno("fd_prestat_dir_name", 3, SIZE, 1) == "FAULT"
    work.call("fd_prestat_dir_name", 3, SIZE - 1, PAST)
    assert work.memory.read(SIZE - 1, 1) == b"/"
    for fd in (0, 1, 2, work.open("file"), work.open(".", DIRECTORY)):
        assert work.errno("fd_prestat_get", fd, OUT) == "BADF"
        assert work.errno("fd_prestat_dir_name", fd, DATA, 10) == "BADF"


# --- rights -------------------------------------------------------------------------------------------------------


def with_rights(guest: Guest, rights: int, path: str = "file") -> int:
    fd = guest.open(path, rights=READ | WRITE)
    guest.call("fd_fdstat_set_rights", fd, rights, 0)
    return fd


def test_rights_are_given_away_and_never_gained(work: Guest) -> None:
    fd = with_rights(work, READ | SEEK)
    assert work.fdstat(fd)[2:] == (READ | SEEK, 0)
    assert work.errno("fd_fdstat_set_rights", fd, READ | WRITE, 0) == "NOTCAPABLE"
    assert work.errno("fd_fdstat_set_rights", fd, READ, READ) == "NOTCAPABLE"
    assert work.errno("fd_fdstat_set_rights", fd, 1 << 63, 0) == "NOTCAPABLE"
    assert work.fdstat(fd)[2:] == (READ | SEEK, 0)
    work.call("fd_fdstat_set_rights", fd, READ | SEEK, 0)
    work.call("fd_fdstat_set_rights", fd, 0, 0)
    assert work.fdstat(fd)[2:] == (0, 0)


def test_seeking_implies_telling(work: Guest) -> None:
    fd = with_rights(work, SEEK)
    work.call("fd_tell", fd, OUT)
    assert work.seek(fd, 0, 1) == 0
    fd = with_rights(work, TELL)
    work.call("fd_tell", fd, OUT)
    assert work.seek(fd, 0, 1) == 0
    assert error_of(work.seek, fd, 0) == "NOTCAPABLE"
    assert error_of(work.seek, fd, 1, 1) == "NOTCAPABLE"
    fd = with_rights(work, READ)
    assert work.errno("fd_tell", fd, OUT) == "NOTCAPABLE"
    assert error_of(work.seek, fd, 0, 1) == "NOTCAPABLE"


def test_a_place_needs_the_right_to_seek(work: Guest) -> None:
    fd = with_rights(work, READ | WRITE)
    assert work.errno("fd_pread", fd, *work.vector(DATA, 4), 0, OUT) == "NOTCAPABLE"
    assert work.errno("fd_pwrite", fd, *work.vector(DATA, 4), 0, OUT) == "NOTCAPABLE"
    assert work.read(fd, 4) == b"0123"


# Each right of a file's descriptor, with a call that needs it.
NEEDED: dict[int, Any] = {
    0: ("fd_datasync",),
    1: ("fd_read", OUT, 0, OUT),
    3: ("fd_fdstat_set_flags", 0),
    4: ("fd_sync",),
    6: ("fd_write", OUT, 0, OUT),
    7: ("fd_advise", 0, 0, 0),
    8: ("fd_allocate", 0, 1),
    21: ("fd_filestat_get", OUT),
    22: ("fd_filestat_set_size", 1),
    23: ("fd_filestat_set_times", 0, 0, 0),
}


@pytest.mark.parametrize("bit", NEEDED)
def test_what_a_right_is_for(work: Guest, bit: int) -> None:
    fd = work.open("file", rights=READ | WRITE)
    rights = work.fdstat(fd)[2]
    name, *arguments = NEEDED[bit]
    assert work.errno(name, fd, *arguments) == "OK"
    work.call("fd_fdstat_set_rights", fd, rights & ~(1 << bit), 0)
    assert work.errno(name, fd, *arguments) == "NOTCAPABLE"


# The same of a directory's; the paths are "file" and "new".
PATHS_NEEDED: dict[int, Any] = {
    9: ("path_create_directory", 3, "new"),
    10: ("path_open", 3, 0, "new", CREAT, READ, 0, 0, OUT),
    11: ("path_link", 3, 0, "file", 3, "new"),
    12: ("path_link", 3, 0, "file", 3, "new"),
    13: ("path_open", 3, 0, "file", 0, READ, 0, 0, OUT),
    14: ("fd_readdir", 3, DATA, 100, 0, OUT),
    15: ("path_readlink", 3, "link", DATA, 100, OUT),
    16: ("path_rename", 3, "file", 3, "new"),
    17: ("path_rename", 3, "file", 3, "new"),
    18: ("path_filestat_get", 3, 0, "file", OUT),
    19: ("path_open", 3, 0, "file", TRUNC, WRITE, 0, 0, OUT),
    20: ("path_filestat_set_times", 3, 0, "file", 0, 0, 0),
    24: ("path_symlink", "target", 3, "new"),
    25: ("path_remove_directory", 3, "directory"),
    26: ("path_unlink_file", 3, "file"),
}


def with_paths(guest: Guest, arguments: tuple[Any, ...]) -> list[Any]:
    """Texts among the arguments put into the guest's memory."""
    found: list[Any] = []
    place = PATH
    for argument in arguments:
        if isinstance(argument, str):
            found.extend(guest.put(place, argument))
            place += 64
        else:
            found.append(argument)
    return found


@pytest.mark.parametrize("bit", PATHS_NEEDED)
def test_what_a_directorys_right_is_for(work: Guest, bit: int) -> None:
    work.mkdir("directory")
    work.symlink("file", "link")
    rights, inheriting = work.fdstat(3)[2:]
    name, *arguments = PATHS_NEEDED[bit]
    work.call("fd_fdstat_set_rights", 3, rights & ~(1 << bit), inheriting)
    assert work.errno(name, *with_paths(work, tuple(arguments))) == "NOTCAPABLE"
    assert {entry[0] for entry in work.entries(3)} == {".", "..", "file", "directory", "link"} if bit != 14 else True


@pytest.mark.parametrize("bit", PATHS_NEEDED)
def test_all_rights_are_there_at_first(work: Guest, bit: int) -> None:
    work.mkdir("directory")
    work.symlink("file", "link")
    name, *arguments = PATHS_NEEDED[bit]
    assert work.errno(name, *with_paths(work, tuple(arguments))) == "OK"


def test_what_is_opened_has_the_rights_that_are_passed_on(work: Guest) -> None:
    rights = work.fdstat(3)[2]
    work.call("fd_fdstat_set_rights", 3, rights, READ | SEEK | TELL)
    fd = work.open("file")
    assert work.fdstat(fd)[2:] == (READ | SEEK | TELL, READ | SEEK | TELL)
    assert error_of(work.open, "file", rights=WRITE) == "NOTCAPABLE"


# --- flags --------------------------------------------------------------------------------------------------------


def test_flags_that_there_are_not_are_refused(work: Guest) -> None:
    path = work.put(PATH, "file")
    fd = work.open("file", rights=READ | WRITE)
    for flags in (2, 3, 1 << 31, PAST):
        assert work.errno("path_filestat_get", 3, flags, *path, OUT) == "INVAL"
        assert work.errno("path_filestat_set_times", 3, flags, *path, 0, 0, 0) == "INVAL"
        assert work.errno("path_open", 3, flags, *path, 0, READ, 0, 0, OUT) == "INVAL"
        assert work.errno("path_link", 3, flags, *path, 3, *work.put(PATH + 64, "new")) == "INVAL"
    for flags in (16, 1 << 16, PAST):
        assert work.errno("path_open", 3, 0, *path, flags, READ, 0, 0, OUT) == "INVAL"
        assert work.errno("path_filestat_set_times", 3, 0, *path, 0, 0, flags) == "INVAL"
        assert work.errno("fd_filestat_set_times", fd, 0, 0, flags) == "INVAL"
    for flags in (32, 1 << 16, PAST):
        assert work.errno("path_open", 3, 0, *path, 0, READ, 0, flags, OUT) == "INVAL"
        assert work.errno("fd_fdstat_set_flags", fd, flags) == "INVAL"
    for flags in (1 | 2, 4 | 8):
        assert work.errno("path_filestat_set_times", 3, 0, *path, 0, 0, flags) == "INVAL"
        assert work.errno("fd_filestat_set_times", fd, 0, 0, flags) == "INVAL"
    assert [entry[0] for entry in work.entries(3) if entry[0] != "file"] == [".", ".."]


def test_a_directory_is_not_made_by_opening(work: Guest) -> None:
    for flags in (CREAT, TRUNC):
        assert error_of(work.open, "new", flags | DIRECTORY) == "INVAL"
    assert error_of(work.open, "file", DIRECTORY) == "NOTDIR"
    assert error_of(work.open, "new", DIRECTORY) == "NOENT"


def test_now_is_the_programs_own_time(engine: anywasm.Engine, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for mount in (tmp_path, anywasm.wasi.Memory({"file": b""})):
        clock = anywasm.wasi.Clock(1234.5, speed=0)
        guest = Guest(engine, anywasm.Wasi(mounts={"/": mount}, clock=clock))
        guest.set_times("file", 7, 0, 1 | 8)
        found = guest.stat("file")
        assert (found.accessed, found.modified) == (7, 1_234_500_000_000)
        fd = guest.open("file", rights=READ | WRITE)
        guest.call("fd_filestat_set_times", fd, 0, 9, 2 | 4)
        found = guest.fstat(fd)
        assert (found.accessed, found.modified) == (1_234_500_000_000, 9)


# --- vectors, buffers, places -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["fd_read", "fd_write", "fd_pread", "fd_pwrite"])
def test_no_vectors_and_empty_ones_are_nothing(work: Guest, name: str) -> None:
    fd = work.open("file", rights=READ | WRITE)
    place = (3,) if name[3] == "p" else ()
    empty = struct.pack("<4I", DATA, 0, SIZE, 0)
    work.memory.write(OUT + 64, empty)
    for count in (0, 1, 2):
        work.put(OUT, b"\xff\xff\xff\xff")
        assert work.errno(name, fd, OUT + 64, count, *place, OUT) == "OK"
        assert work.number(OUT) == 0
    assert work.errno(name, fd, SIZE, 0, *place, OUT) == "OK"  # no vectors at the very end
    assert work.errno(name, fd, SIZE + 1, 0, *place, OUT) == "FAULT"
    assert work.errno(name, fd, OUT + 64, 0, *place, SIZE - 3) == "FAULT"
    for stream in (0, 1):
        if (name[-4:] == "read") == (stream == 0) and not place:
            assert work.errno(name, stream, OUT + 64, 2, OUT) == "OK"
    assert work.fstat(fd).size == 10


def test_a_read_may_overwrite_its_own_vectors(work: Guest) -> None:
    fd = work.open("file")
    vectors = struct.pack("<4I", OUT + 64, 8, DATA, 2)  # the first lies where the vectors lie
    work.memory.write(OUT + 64, vectors)
    work.call("fd_read", fd, OUT + 64, 2, OUT)
    assert work.memory.read(OUT + 64, 8) == b"01234567"
    assert work.memory.read(DATA, 2) == b"89"


def test_vectors_may_overlap(work: Guest) -> None:
    fd = work.open("file", rights=READ | WRITE)
    work.memory.write(OUT + 64, struct.pack("<4I", DATA, 6, DATA + 3, 4))
    work.call("fd_read", fd, OUT + 64, 2, OUT)
    assert (work.number(OUT), work.memory.read(DATA, 7)) == (10, b"0126789")
    work.seek(fd, 0)
    work.call("fd_write", fd, OUT + 64, 2, OUT)
    work.seek(fd, 0)
    assert work.read(fd) == b"0126786789"


def test_the_result_may_lie_where_the_data_goes(work: Guest) -> None:
    fd = work.open("file")
    work.call("fd_read", fd, *work.vector(DATA, 10), DATA + 2)
    assert work.memory.read(DATA, 10) == b"01" + struct.pack("<I", 10) + b"6789"
    work.call("fd_readdir", 3, DATA, 100, 0, DATA)
    assert 0 < work.number(DATA) <= 100


def test_buffers_at_the_very_end_of_the_memory(work: Guest) -> None:
    fd = work.open("file")
    work.call("fd_read", fd, *work.vector(SIZE - 10, 10), OUT)
    assert work.memory.read(SIZE - 10, 10) == b"0123456789"
    work.seek(fd, 0)
    work.memory.write(SIZE - 8, struct.pack("<2I", SIZE - 8, 8))  # the vector is its own buffer
    work.call("fd_read", fd, SIZE - 8, 1, SIZE - 8)
    assert work.memory.read(SIZE - 8, 8) == struct.pack("<I", 8) + b"4567"
    work.call("fd_filestat_get", fd, SIZE - 64)
    work.call("fd_fdstat_get", fd, SIZE - 24)
    work.call("fd_seek", fd, 3, 0, SIZE - 8)
    work.call("clock_time_get", 0, 0, SIZE - 8)
    work.call("random_get", SIZE - 5, 5)
    work.call("random_get", SIZE, 0)
    work.call("args_get", SIZE, SIZE)
    work.call("fd_readdir", 3, SIZE - 30, 30, 0, OUT)
    work.put(SIZE - 4, "file")
    work.call("path_filestat_get", 3, 0, SIZE - 4, 4, OUT)
    work.call("path_open", 3, 0, SIZE - 4, 4, 0, READ, 0, 0, SIZE - 4)
    assert work.number(SIZE - 4) == fd + 1


@pytest.mark.parametrize("length", [SIZE - DATA + 1, 2**31, PAST])
def test_lengths_beyond_the_memory(work: Guest, length: int) -> None:
    fd = work.open("file", rights=READ | WRITE)
    for name in ("fd_read", "fd_write"):
        assert work.errno(name, fd, *work.vector(DATA, length), OUT) == "FAULT"
        assert work.errno(name, fd, DATA, length, OUT) == "FAULT"
    for name in ("fd_pread", "fd_pwrite"):
        assert work.errno(name, fd, *work.vector(DATA, length), 0, OUT) == "FAULT"
    assert work.errno("fd_readdir", 3, DATA, length, 0, OUT) == "FAULT"
    assert work.errno("random_get", DATA, length) == "FAULT"
    assert work.errno("path_filestat_get", 3, 0, DATA, length, OUT) == "FAULT"
    assert work.errno("path_create_directory", 3, DATA, length) == "FAULT"
    assert work.errno("path_symlink", DATA, length, 3, PATH, 1) == "FAULT"
    assert work.fstat(fd).size == 10


def test_lengths_and_places_of_files(work: Guest) -> None:
    fd = work.open("file", rights=READ | WRITE)
    for name in ("fd_pread", "fd_pwrite"):
        assert work.errno(name, fd, *work.vector(DATA, 4), -1, OUT) == "INVAL"
        assert work.errno(name, fd, *work.vector(DATA, 4), -(2**63), OUT) == "INVAL"
    assert work.errno("fd_pread", fd, *work.vector(DATA, 4), 2**62, OUT) == "OK"
    assert work.number(OUT) == 0
    assert work.errno("fd_filestat_set_size", fd, -1) == "INVAL"
    assert work.errno("fd_allocate", fd, 0, 0) == "INVAL"
    assert work.errno("fd_allocate", fd, -1, 1) == "INVAL"
    assert work.errno("fd_allocate", fd, 0, -1) == "INVAL"
    work.call("fd_allocate", fd, 5, 20)
    assert work.fstat(fd).size == 25
    work.call("fd_allocate", fd, 0, 3)
    assert work.fstat(fd).size == 25
    assert [work.errno("fd_advise", fd, 0, 10, advice) for advice in range(6)] == ["OK"] * 6
    assert [work.errno("fd_advise", fd, 0, 10, advice) for advice in (6, 256, PAST)] == ["INVAL"] * 3
    assert work.errno("fd_advise", fd, -1, 0, 0) == "INVAL"
    assert work.errno("fd_advise", fd, 0, -1, 0) == "INVAL"


def test_what_a_directory_is_not_for(work: Guest) -> None:
    assert error_of(work.read, 3) == "ISDIR"
    assert work.errno("fd_pread", 3, *work.vector(DATA, 4), 0, OUT) == "ISDIR"
    assert error_of(work.write, 3, b"x") == "BADF"
    assert error_of(work.seek, 3, 0) == "BADF"
    assert work.errno("fd_tell", 3, OUT) == "BADF"
    assert work.errno("fd_filestat_set_size", 3, 0) == "BADF"
    assert work.errno("fd_allocate", 3, 0, 1) == "BADF"
    assert work.errno("fd_sync", 3) == "OK"
    assert error_of(work.open, ".", rights=WRITE) == "ISDIR"
    assert error_of(work.unlink, ".") in ("ISDIR", "INVAL", "PERM")
    work.mkdir("directory")
    assert error_of(work.unlink, "directory") == "ISDIR"
    assert error_of(work.rmdir, "file") == "NOTDIR"


# --- listings -----------------------------------------------------------------------------------------------------


@pytest.fixture
def many(work: Guest) -> Guest:
    for number in range(30):
        work.close(work.open(f"{number:02}" * (1 + number % 4), CREAT))
    return work


def test_any_cookie_goes_on_where_it_was_given(many: Guest) -> None:
    every = many.entries(3, room=100_000)
    assert len(every) == 33
    assert len({cookie for _, _, cookie in every}) == 33
    assert 0 not in {cookie for _, _, cookie in every}
    for index in (0, 5, 20, 31):
        many.entries(3, room=64)  # from the start, as another reader of the same descriptor would
        assert many.entries(3, every[index][2], room=100_000) == every[index + 1 :]
    assert many.entries(3, every[-1][2]) == []
    assert [many.entries(3, cookie) for cookie in (34, 2**32, 2**63, 2**64 - 1)] == [[]] * 4


@pytest.mark.parametrize("room", [24 + 8, 50, 100, 1000])
def test_a_directory_is_read_in_pieces(many: Guest, room: int) -> None:
    every = many.entries(3, room=100_000)
    found: list[tuple[str, int, int]] = []
    while True:
        some = many.entries(3, found[-1][2] if found else 0, room)
        used = many.number(OUT)
        found += some
        if used < room:
            break
    assert found == every


@pytest.mark.parametrize("room", [0, 1, 23, 24])
def test_an_entry_that_does_not_fit_is_cut(many: Guest, room: int) -> None:
    many.put(DATA, b"\xee" * 100)
    assert many.entries(3, 0, room) == []
    assert many.number(OUT) == room, "full, so there is more"
    assert many.memory.read(DATA + room, 10) == b"\xee" * 10


def test_what_is_removed_meanwhile_confuses_nobody(many: Guest) -> None:
    some = many.entries(3, 0, 300)
    for number in range(0, 30, 2):
        many.unlink(f"{number:02}" * (1 + number % 4))
    rest = many.entries(3, some[-1][2], 100_000)
    names = [name for name, _, _ in some + rest]
    assert len(names) == len(set(names))
    assert {f"{number:02}" * (1 + number % 4) for number in range(1, 30, 2)} <= set(names)
    assert len(many.entries(3, 0, 100_000)) == 18


def test_only_directories_have_entries(work: Guest) -> None:
    assert error_of(work.entries, work.open("file")) == "NOTDIR"
    assert error_of(work.entries, 0) == "NOTDIR"


# --- paths --------------------------------------------------------------------------------------------------------


def test_lengths_of_paths(work: Guest) -> None:
    assert work.errno("path_filestat_get", 3, 0, PATH, 0, OUT) == "NOENT"
    assert work.errno("path_filestat_get", 3, 0, *work.put(DATA, b"x" * 4096), OUT) == "NAMETOOLONG"
    assert work.errno("path_filestat_get", 3, 0, *work.put(DATA, b"x" * 256), OUT) == "NAMETOOLONG"
    assert work.errno("path_filestat_get", 3, 0, *work.put(DATA, b"./" * 2000 + b"file"), OUT) == "OK"
    assert work.errno("path_filestat_get", 3, 0, *work.put(DATA, b"file\0"), OUT) == "ILSEQ"
    assert work.errno("path_symlink", PATH, 0, 3, *work.put(DATA, "new")) == "NOENT"


def test_a_links_text_is_cut_to_the_room(work: Guest) -> None:
    work.symlink("target", "link")
    work.put(DATA, b"\xee" * 10)
    assert [work.readlink("link", room=room) for room in (0, 3, 6, 100)] == ["", "tar", "target", "target"]
    assert work.memory.read(DATA + 6, 4) == b"\xee" * 4
    assert error_of(work.readlink, "file") == "INVAL"
    assert error_of(work.readlink, "missing") == "NOENT"


# --- clocks and chance --------------------------------------------------------------------------------------------


def test_clocks_have_resolutions(work: Guest) -> None:
    for number in range(4):
        work.call("clock_res_get", number, OUT)
        assert 0 < work.number(OUT, 8) <= 10**9
        work.call("clock_time_get", number, 2**64 - 1, OUT)  # precision
    for number in (4, 256, PAST):
        assert work.errno("clock_res_get", number, OUT) == "INVAL"
        assert work.errno("clock_time_get", number, 0, OUT) == "INVAL"


# --- polling ------------------------------------------------------------------------------------------------------


def clock(timeout: int, userdata: int = 7, *, number: int = 1, flags: int = 0, precision: int = 0) -> bytes:
    return struct.pack("<QB7xI4xQQH6x", userdata, 0, number, timeout, precision, flags)


def ready(kind: str, fd: int, userdata: int = 8) -> bytes:
    return struct.pack("<QB7xI28x", userdata, {"read": 1, "write": 2}[kind], fd)


def poll(guest: Guest, *subscriptions: bytes, out: int = DATA + 65536) -> list[tuple[int, str, int, int, int]]:
    """Userdata, error, kind, bytes and flags of each event."""
    guest.put(DATA, b"".join(subscriptions))
    guest.call("poll_oneoff", DATA, out, len(subscriptions), OUT)
    found = struct.iter_unpack("<QHB5xQH6x", guest.memory.read(out, 32 * guest.number(OUT)))
    return [(data, ERRNO[error], *rest) for data, error, *rest in found]


def test_all_that_is_ready_is_told_in_order(work: Guest) -> None:
    fd = work.open("file", rights=READ | WRITE)
    work.seek(fd, 4)
    subscriptions = [ready("read", fd, 1), clock(0, 2), ready("write", fd, 3), clock(10**15, 4), ready("read", 0, 5)]
    assert poll(work, *subscriptions) == [
        (1, "OK", 1, 6, 0),
        (2, "OK", 0, 0, 0),
        (3, "OK", 2, 0, 0),
        (5, "OK", 1, 1, 0),
    ]


def test_times_that_are_over(work: Guest) -> None:
    for number in (0, 1):
        assert poll(work, clock(0, number=number)) == [(7, "OK", 0, 0, 0)]
        assert poll(work, clock(0, number=number, flags=1)) == [(7, "OK", 0, 0, 0)]
        assert poll(work, clock(1, number=number, flags=1), clock(2**64 - 1, 9, flags=1)) == [(7, "OK", 0, 0, 0)]
    assert poll(work, clock(1000, precision=2**64 - 1)) == [(7, "OK", 0, 0, 0)]


def test_errors_are_events(work: Guest) -> None:
    found = poll(
        work,
        ready("read", 55, 1),
        clock(0, 2, number=4),
        clock(0, 3, number=3),
        clock(10**15, 4),
        clock(0, 5, flags=2),
        ready("write", PAST, 6),
    )
    assert found == [
        (1, "BADF", 1, 0, 0),
        (2, "INVAL", 0, 0, 0),
        (3, "NOTSUP", 0, 0, 0),
        (5, "INVAL", 0, 0, 0),
        (6, "BADF", 2, 0, 0),
    ]


def test_rights_to_poll(work: Guest) -> None:
    for rights, kind in ((READ, "read"), (POLL, "read"), (POLL | READ, "write"), (POLL | WRITE, "read")):
        assert poll(work, ready(kind, with_rights(work, rights)))[0][1] == "NOTCAPABLE"
    for rights, kind in ((POLL | READ, "read"), (POLL | WRITE, "write")):
        assert poll(work, ready(kind, with_rights(work, rights)))[0][1] == "OK"
    assert poll(work, ready("write", work.open("file")))[0][1] == "BADF"  # not open for that
    assert poll(work, ready("read", work.open("file", rights=WRITE)))[0][1] == "BADF"


def test_events_may_lie_where_the_subscriptions_were(work: Guest) -> None:
    found = poll(work, clock(10**15, 1), clock(0, 2), clock(0, 3), ready("write", 1, 4), out=DATA)
    assert [event[0] for event in found] == [2, 3, 4]


def test_how_many_subscriptions_there_may_be(engine: anywasm.Engine) -> None:
    guest = Guest(engine, anywasm.Wasi())
    guest.memory.grow(10)
    assert guest.errno("poll_oneoff", 0, 0, 8193, OUT) == "NOMEM"
    guest.put(DATA, clock(0) * 8192)
    assert guest.errno("poll_oneoff", DATA, DATA, 8192, OUT) == "OK"
    assert guest.number(OUT) == 8192


def test_a_descriptor_that_a_signal_handler_closes_while_it_is_waited_for(engine: anywasm.Engine) -> None:
    import signal

    reading, writing = os.pipe()
    guest = Guest(engine, anywasm.Wasi(stdin=reading))

    def close_and_end(_number: int, _frame: object) -> None:
        guest.call("fd_close", 0)
        os.write(writing, b"x")

    previous = signal.signal(signal.SIGALRM, close_and_end)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        assert [event[:3] for event in poll(guest, ready("read", 0), clock(60 * 10**9))] == [(8, "OK", 1)]
        assert error_of(guest.read, 0) == "BADF"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
        os.close(reading)
        os.close(writing)


def test_flags_stay_with_the_descriptor(work: Guest) -> None:
    fd = work.open("file", rights=READ | WRITE, fdflags=NONBLOCK)
    assert work.fdstat(fd)[1] == NONBLOCK
    assert work.read(fd) == b"0123456789"
    assert RIGHTS & work.fdstat(fd)[2] == work.fdstat(fd)[2]
    work.call("fd_fdstat_set_flags", fd, 0)
    assert work.fdstat(fd)[1] == 0
    work.call("fd_fdstat_set_rights", fd, work.fdstat(fd)[2] & ~SET_FLAGS, 0)
    assert work.errno("fd_fdstat_set_flags", fd, NONBLOCK) == "NOTCAPABLE"

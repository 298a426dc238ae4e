# SPDX-License-Identifier: Apache-2.0
"""File systems that Python code serves: the same to a program as a directory of the host's, but for links."""

import errno
import gc
import io
import os
import random
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import pytest

import anywasm
from anywasm import wasi
from test_wasi_memory import answer, operation
from wasi_guest import (
    APPEND,
    CREAT,
    DATA,
    DIRECTORY,
    DIRECTORY_TYPE,
    EXCL,
    FILE_TYPE,
    OUT,
    READ,
    TRUNC,
    WRITE,
    Failed,
    Guest,
)


class Local(wasi.FileSystem):
    """A folder, by way of Python's own functions."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.seen: set[str] = set()

    def host(self, path: str) -> Path:
        self.seen.add(path)
        return self.root / path

    def stat(self, path: str) -> os.stat_result:
        return self.host(path).lstat()

    def listdir(self, path: str) -> list[str]:
        return [entry.name for entry in self.host(path).iterdir()]

    def open(self, path: str, mode: str) -> BinaryIO:
        return self.host(path).open(mode)  # type: ignore[return-value]

    def mkdir(self, path: str) -> None:
        self.host(path).mkdir()

    def rmdir(self, path: str) -> None:
        self.host(path).rmdir()

    def unlink(self, path: str) -> None:
        self.host(path).unlink()

    def rename(self, path: str, new: str) -> None:
        self.host(path).rename(self.host(new))

    def utime(self, path: str, ns: tuple[int, int]) -> None:
        os.utime(self.host(path), ns=ns)


class Texts(wasi.FileSystem):
    """As little as there may be: files that can be read."""

    def __init__(self, **files: bytes) -> None:
        self.files = files

    def stat(self, path: str) -> wasi.FileStat:
        if path == "":
            return wasi.FileStat(directory=True)
        if path not in self.files:
            raise FileNotFoundError(path)
        return wasi.FileStat(len(self.files[path]), modified=1.5)

    def listdir(self, path: str) -> list[str]:
        assert path == ""
        return list(self.files)

    def open(self, path: str, mode: str) -> BinaryIO:
        if mode != "rb":
            raise OSError(errno.EROFS, "only reading")
        return io.BytesIO(self.files[path])


def guest_of(engine: anywasm.Engine, *mounts: object) -> Guest:
    return Guest(engine, anywasm.Wasi(mounts={f"/{number}": mount for number, mount in enumerate(mounts)}))  # type: ignore[misc]


def error_of(function: Callable[..., object], *arguments: object, **keywords: object) -> str:
    with pytest.raises(Failed) as caught:
        function(*arguments, **keywords)
    return str(caught.value)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "sub" / "deep").mkdir(parents=True)
    (root / "file").write_text("content")
    (root / "sub" / "inner").write_text("inner content")
    (tmp_path / "secret").write_text("secret")
    return root


@pytest.fixture
def local(root: Path) -> Local:
    return Local(root)


@pytest.fixture
def guest(engine: anywasm.Engine, local: Local) -> Guest:
    return guest_of(engine, local)


# --- the same as the host's ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(20))
def test_whatever_is_done_is_as_in_a_directory_of_the_hosts(engine: anywasm.Engine, tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    for name in ("host", "served"):
        (tmp_path / name / "sub" / "deep").mkdir(parents=True)
    local = Local(tmp_path / "served")
    host, guest = guest_of(engine, tmp_path / "host"), guest_of(engine, local)
    done = []
    for _ in range(300):
        name, act = operation(chance)
        if name.startswith(("link ", "symlink ")):  # there are none
            continue
        done.append(name)
        assert answer(act, guest) == answer(act, host), "\n".join(done[-12:])
    for path in local.seen:
        assert not {"..", "."} & set(path.split("/"))
        assert path == "" or "" not in path.split("/")


# --- what a file system may lack, and may do -------------------------------------------------------------------------


def test_three_methods_make_a_file_system_that_can_be_read(engine: anywasm.Engine) -> None:
    guest = guest_of(engine, Texts(one=b"first", two=b"at end"))
    assert guest.read(guest.open("one")) == b"first"
    assert {name: kind for name, kind, _ in guest.entries(3)} == {
        ".": DIRECTORY_TYPE, "..": DIRECTORY_TYPE, "one": FILE_TYPE, "two": FILE_TYPE
    }  # fmt: skip
    info = guest.stat("two")
    assert (info.filetype, info.size, info.links) == (FILE_TYPE, 6, 1)
    assert info.modified == info.accessed == info.changed == 1_500_000_000
    assert len({guest.stat(name).inode for name in (".", "one", "two")}) == 3
    assert guest.stat("one").inode == guest.fstat(guest.open("one")).inode
    fd = guest.open("two")
    assert guest.seek(fd, -3, 2) == 3
    assert guest.read(fd) == b"end"
    guest.call("fd_sync", fd)
    guest.call("fd_advise", fd, 0, 10, 0)


@pytest.mark.parametrize("wrap", [lambda system: system, wasi.ReadOnly], ids=["itself", "ReadOnly"])
def test_what_it_cannot_do_is_refused(engine: anywasm.Engine, wrap: Callable[[object], object]) -> None:
    guest = guest_of(engine, wrap(Texts(one=b"first")))
    assert error_of(guest.mkdir, "new") == "ROFS"
    assert error_of(guest.unlink, "one") == "ROFS"
    assert error_of(guest.rename, "one", "two") == "ROFS"
    assert error_of(guest.open, "one", 0, WRITE) == "ROFS"
    assert error_of(guest.open, "new", CREAT, WRITE) == "ROFS"
    assert error_of(guest.open, "new", CREAT, READ) == "ROFS"
    assert error_of(guest.open, "one", TRUNC, READ) == "ROFS"
    assert error_of(guest.set_times, "one", 1, 2, 5) in ("NOTSUP", "ROFS")
    assert error_of(guest.symlink, "one", "two") in ("NOTSUP", "ROFS")
    assert error_of(guest.link, "one", "two") in ("NOTSUP", "ROFS")
    assert error_of(guest.readlink, "one") == "INVAL"
    assert error_of(guest.symlink, "/etc", "two") in ("NOTCAPABLE", "ROFS")
    fd = guest.open("one")
    assert error_of(guest.write, fd, b"x") == "BADF"
    assert guest.errno("fd_filestat_set_size", fd, 0) in ("INVAL", "ROFS")
    assert guest.errno("fd_allocate", fd, 0, 5) in ("BADF", "ROFS")


def test_a_base_without_methods_supports_nothing(engine: anywasm.Engine) -> None:
    guest = guest_of(engine, wasi.FileSystem())
    assert error_of(guest.stat, ".") == "NOTSUP"
    assert error_of(guest.open, "x") == "NOTSUP"

    class Lists(Texts):
        def listdir(self, path: str) -> list[str]:
            return super(Texts, self).listdir(path)  # type: ignore[return-value]

    assert error_of(guest_of(engine, Lists()).entries, 3) == "NOTSUP"


@pytest.mark.parametrize("method", ["rmdir", "open", "listdir", "utime"])
def test_each_method_may_be_missing(engine: anywasm.Engine, root: Path, method: str) -> None:
    partial = type("Partial", (Local,), {method: getattr(wasi.FileSystem, method)})
    guest = guest_of(engine, partial(root))
    acts = {
        "rmdir": lambda: guest.rmdir("sub/deep"),
        "open": lambda: guest.open("file"),
        "listdir": lambda: guest.entries(3),
        "utime": lambda: guest.set_times("file", 1, 2, 5),
    }
    if method == "rmdir":
        assert error_of(acts[method]) == "ROFS"
    else:
        assert error_of(acts[method]) == "NOTSUP"


class Raises(Texts):
    """Raises what it was given, from any method."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(file=b"content")
        self.error: BaseException | None = error

    def stat(self, path: str) -> Any:
        if self.error is not None and path:
            raise self.error
        return super().stat(path)


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (FileNotFoundError("no number"), "NOENT"),
        (PermissionError("no number"), "ACCES"),
        (PermissionError(errno.EPERM, "with one"), "PERM"),
        (IsADirectoryError("no number"), "ISDIR"),
        (FileExistsError(), "EXIST"),
        (BlockingIOError(), "AGAIN"),
        (TimeoutError("slow"), "73"),
        (OSError("nothing known"), "IO"),
        (OSError(errno.ENOSPC, "full"), "51"),
        (OSError(10**30, "no host's number"), "IO"),
        (OSError("no", "number"), "IO"),
        (OSError(-(10**6), "negative"), "IO"),
        (ConnectionResetError(errno.ECONNRESET, "gone"), "CONNRESET"),
        (OSError(errno.ENOTBLK, "no number of WASI's"), "IO"),
        (io.UnsupportedOperation("seek"), "NOTSUP"),
    ],
)
def test_an_oserror_is_the_programs_errno(engine: anywasm.Engine, error: OSError, name: str) -> None:
    assert error_of(guest_of(engine, Raises(error)).stat, "file") == name


@pytest.mark.parametrize(
    "error", [ValueError("wrong"), KeyboardInterrupt(), SystemExit(3), MemoryError(), RecursionError()]
)
def test_another_exception_comes_out_of_the_call(engine: anywasm.Engine, error: BaseException) -> None:
    system = Raises(error)
    guest = guest_of(engine, system)
    with pytest.raises(type(error)) as caught:
        guest.stat("file")
    assert caught.value is error
    with pytest.raises(type(error)):
        guest.open("file")
    system.error = None
    assert guest.stat("file").size == 7  # the store goes on


class Breaks(Texts):
    """Its files break in one of their methods."""

    def __init__(self, method: str, result: object) -> None:
        super().__init__(file=b"content")
        self.method, self.result = method, result

    def open(self, path: str, mode: str) -> Any:
        file, result = io.BytesIO(self.files[path]), self.result

        def broken(*_: object) -> object:
            if isinstance(result, BaseException):
                raise result
            return result

        return type("Broken", (), {"read": file.read, "write": file.write, "seek": file.seek, "close": file.close,
                                   "truncate": file.truncate, "tell": file.tell, "seekable": lambda _: True,
                                   self.method: broken})()  # fmt: skip


def test_files_that_break_break_no_more_than_the_call(engine: anywasm.Engine) -> None:
    cases: list[tuple[str, object, object]] = [
        ("read", "text", TypeError),
        ("read", 5, TypeError),
        ("read", bytes(100_000), "IO"),  # more than asked for
        ("read", None, "AGAIN"),
        ("read", bytearray(b"bytes"), b"bytes"),
        ("read", memoryview(b"bytes"), b"bytes"),
        ("read", ZeroDivisionError(), ZeroDivisionError),
        ("seek", OSError(errno.EIO, "broken"), "IO"),
        ("write", None, "AGAIN"),
        ("write", 10**9, "IO"),  # more than given
        ("write", -1, (OverflowError, Failed)),
        ("write", "text", TypeError),
        ("write", 3, 3),
    ]
    for method, result, expected in cases:
        guest = guest_of(engine, Breaks(method, result))
        fd = guest.open("file", 0, READ if method != "write" else WRITE)
        act = (lambda g=guest, f=fd: g.write(f, b"12345")) if method == "write" else (lambda g=guest, f=fd: g.read(f))
        if isinstance(expected, str):
            assert error_of(act) == expected
        elif isinstance(expected, (type, tuple)):
            with pytest.raises(expected):
                act()
        else:
            assert act() == expected


def test_what_closing_says_is_heard(engine: anywasm.Engine) -> None:
    guest = guest_of(engine, Breaks("close", OSError(errno.ENOSPC, "the rest does not fit")))
    fd = guest.open("file")
    assert error_of(guest.close, fd) == "51"
    assert error_of(guest.close, fd) == "BADF"
    one, two = guest.open("file"), guest.open("file")
    assert guest.errno("fd_renumber", one, two) == "51"
    guest = guest_of(engine, Breaks("close", ZeroDivisionError()))
    fd = guest.open("file")
    with pytest.raises(ZeroDivisionError):
        guest.close(fd)
    assert error_of(guest.close, fd) == "BADF"


def test_files_are_closed_with_their_store(engine: anywasm.Engine, local: Local, root: Path) -> None:
    guest = guest_of(engine, local)
    guest.write(guest.open("new", CREAT, WRITE), b"never closed")
    guest.store.close()
    assert (root / "new").read_bytes() == b"never closed"


def test_what_closing_with_the_store_says_is_not_lost(engine: anywasm.Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda told: heard.append(told.exc_value))
    guest = guest_of(engine, Breaks("close", OSError(errno.ENOSPC, "the rest does not fit")))
    guest.open("file")
    guest.open("file")
    with pytest.raises(OSError, match="the rest does not fit"):
        guest.store.close()
    assert [error.errno for error in heard] == [errno.ENOSPC]  # the second
    guest.store.close()


def test_files_that_do_not_seek_are_read_and_written_from_start_to_end(engine: anywasm.Engine) -> None:
    written = io.BytesIO()

    class Pipes(Texts):
        def open(self, path: str, mode: str) -> Any:
            file = io.BytesIO(self.files[path]) if mode == "rb" else written
            return type("Pipe", (), {"read": file.read, "write": file.write, "close": lambda _: None,
                                     "seekable": lambda _: False})()  # fmt: skip

    guest = guest_of(engine, Pipes(file=b"content"))
    fd = guest.open("file")
    assert guest.read(fd, 3) == b"con"
    assert guest.seek(fd, 0, 1) == 3
    assert error_of(guest.seek, fd, 0) == "SPIPE"
    assert guest.errno("fd_pread", fd, *guest.vector(DATA, 4), 0, OUT) == "SPIPE"
    assert guest.read(fd) == b"tent"
    assert guest.read(fd) == b""
    fd = guest.open("file", TRUNC, WRITE)
    guest.write(fd, b"one ")
    guest.write(fd, b"two")
    assert guest.fstat(fd).size == 7
    assert guest.errno("fd_pwrite", fd, *guest.vector(DATA, 4), 0, OUT) == "SPIPE"
    assert written.getvalue() == b"one two"


@pytest.mark.parametrize("size", [1 << 20, 1 << 40, (1 << 63) - 1])
def test_no_file_grows_beyond_bounds(engine: anywasm.Engine, root: Path, size: int) -> None:
    system = Local(root)
    system.largest_file = (1 << 20) - 1
    guest = guest_of(engine, system)
    fd = guest.open("file", 0, READ | WRITE)
    assert guest.errno("fd_filestat_set_size", fd, size) == "22"
    assert guest.errno("fd_allocate", fd, 0, size) == "22"
    assert guest.errno("fd_allocate", fd, size, size) == "22"
    guest.seek(fd, size)
    assert error_of(guest.write, fd, b"x") == "22"
    assert (root / "file").read_text() == "content"


def test_a_file_that_only_cuts_grows_too(engine: anywasm.Engine) -> None:
    held = io.BytesIO(b"content")
    held.close = lambda: None  # type: ignore[method-assign]

    class Held(Texts):
        def open(self, path: str, mode: str) -> BinaryIO:
            return held

    guest = guest_of(engine, Held(file=b"content"))
    fd = guest.open("file", 0, READ | WRITE)
    guest.call("fd_filestat_set_size", fd, 10)
    assert held.getvalue() == b"content\0\0\0"
    guest.call("fd_allocate", fd, 0, 5)
    assert len(held.getvalue()) == 10
    guest.call("fd_filestat_set_size", fd, 4)
    assert held.getvalue() == b"cont"


def test_names_that_no_path_has_are_not_listed(engine: anywasm.Engine) -> None:
    class Odd(Texts):
        def listdir(self, path: str) -> list[str]:
            return ["fine", "", ".", "..", "../up", "a/b", "nul\0", "/etc", os.fsdecode(b"\xff")]

        def stat(self, path: str) -> wasi.FileStat:
            return wasi.FileStat(directory=path == "")

    guest = guest_of(engine, Odd())
    guest.call("fd_readdir", 3, DATA, 4096, 0, OUT)
    data = guest.memory.read(DATA, guest.number(OUT))
    assert data.count(b"fine") == 1
    assert b"\xff" in data
    for name in (b"up", b"a/b", b"nul", b"etc"):
        assert name not in data


# --- what stays the same while things change -------------------------------------------------------------------------


def test_a_file_keeps_its_number_when_it_moves(engine: anywasm.Engine, root: Path) -> None:
    class Numberless(Local):
        def stat(self, path: str) -> Any:
            info = super().stat(path)
            return wasi.FileStat(info.st_size, directory=self.host(path).is_dir())

    guest = guest_of(engine, Numberless(root))
    fd = guest.open("sub/inner", 0, READ | WRITE)
    number = guest.fstat(fd).inode
    guest.rename("sub", "moved")
    assert guest.stat("moved/inner").inode == number
    guest.write(fd, b"INNER")
    assert guest.fstat(fd).inode == number
    assert guest.fstat(fd).size == len("inner content")
    guest.unlink("moved/inner")
    assert guest.fstat(fd).size == len("inner content")
    assert guest.read(fd) == b" content"
    guest.open("moved/inner", CREAT, WRITE)
    assert guest.stat("moved/inner").inode != number


def test_times_are_set(guest: Guest, root: Path) -> None:
    guest.set_times("file", 3_000_000_000, 7_000_000_001, 5)
    assert ((root / "file").stat().st_atime_ns, (root / "file").stat().st_mtime_ns) == (3_000_000_000, 7_000_000_001)
    guest.set_times("file", 0, 9_000_000_000, 4)
    assert ((root / "file").stat().st_atime_ns, (root / "file").stat().st_mtime_ns) == (3_000_000_000, 9_000_000_000)
    guest.call("fd_filestat_set_times", guest.open("file"), 1, 0, 1 | 8)
    assert (root / "file").stat().st_atime_ns == 1
    assert (root / "file").stat().st_mtime_ns > 10**18
    guest.call("fd_filestat_set_times", 3, 5, 5, 5)
    assert root.stat().st_mtime_ns == 5


def test_two_mounts_are_two_file_systems(engine: anywasm.Engine, local: Local, root: Path) -> None:
    guest = guest_of(engine, local, local, wasi.Memory())
    assert error_of(guest.rename, "file", "x", other_fd=4) == "XDEV"
    assert error_of(guest.rename, "file", "x", other_fd=5) == "XDEV"
    assert guest.stat(".").device != guest.stat(".", fd=4).device
    assert (root / "file").exists()


def test_big_transfers_come_in_pieces(engine: anywasm.Engine) -> None:
    lengths: list[int] = []

    class Big(Texts):
        def open(self, path: str, mode: str) -> Any:
            file = io.BytesIO(self.files[path])

            def read(_: object, length: int) -> bytes:
                lengths.append(length)
                return file.read(length)

            return type(
                "File", (), {"read": read, "seek": lambda _, place: file.seek(place), "close": lambda _: None}
            )()

    content = random.Random(1).randbytes(3_000_000)
    guest = guest_of(engine, Big(big=content))
    guest.memory.grow(60)
    fd = guest.open("big")
    assert guest.read(fd, 3_500_000) == content
    assert max(lengths) == 1 << 20


# --- code that calls the program, threads, lifetimes -----------------------------------------------------------------


def test_a_method_may_call_the_program_which_then_has_no_files(engine: anywasm.Engine) -> None:
    said: list[str] = []

    class Calls(Texts):
        def stat(self, path: str) -> wasi.FileStat:
            if path and not said:
                said.append(guest.errno("fd_close", 3))
                said.append(guest.errno("fd_write", 1, *guest.vector(DATA, 4), OUT))
                said.append(guest.errno("random_get", DATA, 4))
                guest.memory.grow(100)
            return super().stat(path)

    guest = guest_of(engine, Calls(file=b"content"))
    assert guest.stat("file").size == 7
    assert said == ["10", "10", "OK"]  # EBUSY
    assert guest.read(guest.open("file")) == b"content"


def test_programs_in_many_threads_share_one(engine: anywasm.Engine, root: Path) -> None:
    system = Local(root)
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            guest = guest_of(engine, system)
            guest.mkdir(f"{number}")
            for turn in range(50):
                fd = guest.open(f"{number}/{turn}", CREAT | EXCL, READ | WRITE, APPEND)
                guest.write(fd, b"%d" % turn)
                guest.seek(fd, 0)
                assert guest.read(fd) == b"%d" % turn
                guest.close(fd)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert len(list((root / "3").iterdir())) == 50


def test_a_cycle_through_a_file_system_is_collected(engine: anywasm.Engine) -> None:
    system = Texts(file=b"content")
    system.guest = guest_of(engine, system)  # type: ignore[attr-defined]
    system.guest.open("file")  # type: ignore[attr-defined]
    gone = weakref.ref(system)
    del system
    gc.collect()
    assert gone() is None


def test_garbage_is_closed_before_it_is_taken_apart(engine: anywasm.Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[str] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda told: heard.append(str(told.exc_value)))
    for _ in range(10):
        system = Breaks("close", OSError(errno.ENOSPC, "no room"))
        system.guest = guest_of(engine, system)  # type: ignore[attr-defined]
        system.guest.open("file")  # type: ignore[attr-defined]
        del system
        gc.collect()
    assert len(heard) == 10
    assert all("no room" in told for told in heard)


def test_files_are_let_go_when_they_are_closed(engine: anywasm.Engine) -> None:
    files: list[Any] = []

    class Watched(Texts):
        def open(self, path: str, mode: str) -> BinaryIO:
            file = super().open(path, mode)
            files.append(weakref.ref(file))
            return file

    guest = guest_of(engine, Watched(file=b"content"))
    for _ in range(10):
        guest.close(guest.open("file"))
    assert [file() for file in files] == [None] * 10
    for _ in range(1020):
        guest.open("file")
    assert error_of(guest.open, "file") == "MFILE"
    assert files[-1]() is None


def test_descriptions_of_files_are_shown() -> None:
    assert repr(wasi.FileStat(5)) == "FileStat(5, modified=0.0)"
    assert repr(wasi.FileStat(directory=True, modified=2.5)) == "FileStat(0, directory=True, modified=2.5)"


# --- paths -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    ["..", "../secret", "/etc/passwd", "sub/../../secret", "sub/deep/../../../secret", "./..", "sub/..//../secret"],
)
def test_no_path_leads_out(guest: Guest, local: Local, path: str) -> None:
    local.seen.clear()
    for act in (guest.open, guest.stat, guest.mkdir, guest.rmdir, guest.unlink, guest.readlink):
        assert error_of(act, path) == "NOTCAPABLE"  # type: ignore[operator]
    assert error_of(guest.open, path, CREAT, WRITE) == "NOTCAPABLE"
    assert error_of(guest.rename, path, "x") == "NOTCAPABLE"
    assert error_of(guest.rename, "file", path) == "NOTCAPABLE"
    assert not any(".." in seen or seen.startswith("/") for seen in local.seen)


def test_no_path_leads_out_of_an_open_directory(guest: Guest) -> None:
    sub = guest.open("sub", DIRECTORY)
    for path in ("..", "../file", "deep/../../file"):
        assert error_of(guest.stat, path, fd=sub) == "NOTCAPABLE"
    assert guest.stat("deep/../inner", fd=sub).size == 13
    assert guest.read(guest.open("inner", fd=sub)) == b"inner content"
    assert {name for name, _, _ in guest.entries(sub)} == {".", "..", "inner", "deep"}


def test_long_and_deep_paths(guest: Guest) -> None:
    assert error_of(guest.open, "n" * 300, CREAT, WRITE) == "NAMETOOLONG"
    assert error_of(guest.open, "n/" * 2048) == "NAMETOOLONG"
    path = ""
    for _ in range(200):
        path += "d/"
        guest.mkdir(path)
    guest.write(guest.open(path + "x", CREAT, WRITE), b"deep")
    assert guest.read(guest.open(path + "../" * 199 + path[2:] + "x")) == b"deep"


def names() -> Iterator[bytes]:
    yield from (b"\xff\xfe", "grüße".encode(), b"with space", b"new\nline", b"*", b"~", b"-", b"%2e%2e", b"..a", b"...")


@pytest.mark.parametrize("name", list(names()), ids=repr)
def test_odd_names_are_names(guest: Guest, root: Path, name: bytes) -> None:
    guest.write(guest.open(name, CREAT, WRITE), b"odd")
    assert (root / os.fsdecode(name)).read_bytes() == b"odd"
    assert guest.read(guest.open(name)) == b"odd"

# SPDX-License-Identifier: Apache-2.0
"""Whatever a program does, and whatever is done to its directories meanwhile, it touches nothing outside."""

import ctypes
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import anywasm
from wasi_guest import (
    APPEND,
    CREAT,
    DIRECTORY,
    EXCL,
    LINK_TYPE,
    NONBLOCK,
    READ,
    TRUNC,
    WRITE,
    Failed,
    Guest,
)

SWAPS, TURNS = 100_000, 50

AT_FDCWD, RENAME_EXCHANGE = -100, 2


def look(directory: Path) -> dict[str, object]:
    """All that can be seen of a tree, but when it was read."""
    found: dict[str, object] = {}
    for path in [directory, *sorted(directory.rglob("*"))]:
        info = path.lstat()
        content = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
        found[str(path)] = (info.st_mode, info.st_ino, info.st_nlink, info.st_size, info.st_mtime_ns, info.st_ctime_ns)
        found[f"{path} content"] = content
    return found


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """What no program may touch: with the same names as inside, so that a way out would be found."""
    outside = tmp_path / "outside"
    (outside / "x" / "y").mkdir(parents=True)
    (outside / "empty").mkdir()
    for name in ("treasure", "victim", "x/treasure", "x/y/treasure"):
        (outside / name).write_bytes(b"secret")
    (outside / "alias").symlink_to("treasure")
    return outside


@pytest.fixture
def root(tmp_path: Path, outside: Path) -> Iterator[Path]:
    root = tmp_path / "root"
    (root / "way" / "x" / "y").mkdir(parents=True)
    for name in ("file", "way/treasure", "way/x/treasure", "way/x/y/treasure"):
        (root / name).write_bytes(b"harmless")
    (root / "trap").symlink_to("../outside")
    before = look(outside)
    yield root
    assert look(outside) == before


@pytest.fixture(params=["openat2", "walk"])
def guest(engine: anywasm.Engine, root: Path, request: pytest.FixtureRequest) -> Guest:
    wasi = anywasm.Wasi(mounts={"/": root})
    return Guest(engine, wasi._open(avoid_openat2=request.param == "walk"))


@pytest.fixture(params=["openat2", "walk", "memory"])
def any_guest(engine: anywasm.Engine, root: Path, request: pytest.FixtureRequest) -> Guest:
    """As `guest`, or with the same in memory."""
    if request.param != "memory":
        return Guest(engine, anywasm.Wasi(mounts={"/": root})._open(avoid_openat2=request.param == "walk"))
    files = {str(path.relative_to(root)): path.read_bytes() for path in (root / "way").rglob("treasure")}
    guest = Guest(engine, anywasm.Wasi(mounts={"/": anywasm.wasi.Memory({**files, "file": b"harmless"})}))
    guest.symlink("../outside", "trap")
    return guest


def error_of(function: Callable[..., object], *arguments: object, **keywords: object) -> str:
    with pytest.raises(Failed) as caught:
        function(*arguments, **keywords)
    return str(caught.value)


# --- links -----------------------------------------------------------------------------------------------------------


def everything(guest: Guest, path: str) -> Iterator[Callable[[], object]]:
    """All that a program can do by a path."""
    yield lambda: guest.open(path)
    yield lambda: guest.open(path, 0, READ | WRITE)
    yield lambda: guest.open(path, TRUNC, WRITE)
    yield lambda: guest.open(path, CREAT, WRITE)
    yield lambda: guest.open(path, CREAT | EXCL, WRITE)
    yield lambda: guest.open(path, 0, WRITE, APPEND)
    yield lambda: guest.open(path, DIRECTORY)
    yield lambda: guest.stat(path)
    yield lambda: guest.stat(path, follow=False)
    yield lambda: guest.readlink(path)
    yield lambda: guest.set_times(path, 1, 2, 5)
    yield lambda: guest.mkdir(path)
    yield lambda: guest.rmdir(path)
    yield lambda: guest.unlink(path)
    yield lambda: guest.symlink("x", path)
    yield lambda: guest.rename("file", path)
    yield lambda: guest.rename(path, "stolen")
    yield lambda: guest.link("file", path)
    yield lambda: guest.link(path, "stolen")


@pytest.mark.parametrize(
    "path",
    [
        "../outside/treasure", "trap/treasure", "trap/new", "trap/x/treasure", "trap/./x/../treasure", "trap/empty",
        "trap/alias", "way/../../outside/treasure", "/etc/passwd", "//etc/passwd", "trap//treasure", "way/up/treasure",
        "made/treasure", "twice/treasure", "absolute/passwd", "proc/self/root/etc/passwd", "proc/self/cwd/treasure",
    ],
)  # fmt: skip
def test_nothing_outside_is_reached(guest: Guest, root: Path, path: str) -> None:
    (root / "way" / "up").symlink_to("../../outside")
    (root / "absolute").symlink_to("/etc")
    (root / "proc").symlink_to("/proc")
    guest.symlink("../outside", "made")
    guest.symlink("way/../made", "twice")
    for act in everything(guest, path):
        assert error_of(act) == "NOTCAPABLE"
    assert not (root / "stolen").exists()


def test_a_link_that_the_host_puts_in_place_of_a_directory_is_not_followed(guest: Guest, root: Path) -> None:
    fd = guest.open("way", DIRECTORY)
    (root / "way").rename(root / "elsewhere")
    (root / "way").symlink_to("../outside")
    assert error_of(guest.open, "way/treasure") == "NOTCAPABLE"
    assert guest.read(guest.open("treasure", fd=fd)) == b"harmless"  # what was opened is still that
    (root / "elsewhere" / "x").rename(root / "elsewhere" / "x2")
    (root / "elsewhere" / "x").symlink_to("../../outside/x")
    assert error_of(guest.open, "x/treasure", fd=fd) == "NOTCAPABLE"
    assert error_of(guest.open, "x/new", CREAT, WRITE, fd=fd) == "NOTCAPABLE"


def test_a_directory_that_is_moved_out_leads_no_further(guest: Guest, root: Path, tmp_path: Path) -> None:
    fd = guest.open("way", DIRECTORY)
    (root / "way").rename(tmp_path / "moved_out")
    for path in ("..", "../outside/treasure", "x/../../outside/treasure", "../root/file"):
        assert error_of(guest.stat, path, fd=fd) == "NOTCAPABLE"
    assert guest.read(guest.open("x/treasure", fd=fd)) == b"harmless"


def test_a_link_of_its_own_does_not_lead_out(any_guest: Guest) -> None:
    any_guest.symlink("../outside", "made")
    any_guest.symlink("way/../made", "twice")
    any_guest.symlink("../../outside", "way/up")
    for path in (
        "../outside/treasure",
        "made/treasure",
        "twice/x/treasure",
        "trap/treasure",
        "way/up/treasure",
        "/etc",
    ):
        for act in everything(any_guest, path):
            assert error_of(act) == "NOTCAPABLE"
    assert error_of(any_guest.symlink, "/etc", "absolute") == "NOTCAPABLE"


def test_links_in_a_circle_end(any_guest: Guest) -> None:
    any_guest.symlink("two", "one")
    any_guest.symlink("one", "two")
    any_guest.symlink("self/x", "self")
    for name in ("one", "one/x", "self"):
        assert error_of(any_guest.open, name) == "LOOP"
        assert error_of(any_guest.stat, name) == "LOOP"
    assert any_guest.stat("one", follow=False).filetype == LINK_TYPE


def test_links_that_unfold_end(any_guest: Guest) -> None:
    any_guest.symlink("/".join(["."] * 2000), "long0")
    for number in range(1, 30):
        any_guest.symlink(f"long{number - 1}/long{number - 1}", f"long{number}")
    assert error_of(any_guest.stat, "long29") in ("LOOP", "NAMETOOLONG")


def test_no_hard_link_is_made_to_a_directory(any_guest: Guest) -> None:
    assert error_of(any_guest.link, "way", "second") == "PERM"
    assert error_of(any_guest.link, "way/x", "way/x/y/above") == "PERM"


# --- what is no file -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["/proc/self/fd/0", "/proc/self/root", "/proc/self/exe", "/dev/stdin", "/dev/fd"])
def test_magic_links_are_not_followed(guest: Guest, root: Path, target: str) -> None:
    (root / "magic").symlink_to(target)
    for path in ("magic", "magic/etc/passwd", "magic/0", "magic/"):
        assert error_of(guest.open, path) == "NOTCAPABLE"
        assert error_of(guest.stat, path) == "NOTCAPABLE"
    assert guest.readlink("magic") == target  # which is text


@pytest.mark.parametrize("avoid", [False, True], ids=["openat2", "walk"])
def test_a_mounted_proc_leads_to_nothing_else(engine: anywasm.Engine, avoid: bool) -> None:
    guest = Guest(engine, anywasm.Wasi(mounts={"/proc": anywasm.wasi.Directory("/proc/self", readonly=True)})._open(
        avoid_openat2=avoid))  # fmt: skip
    for path in ("root/etc/passwd", "cwd/.", "exe", "fd/0", "fd/0/.", "../1/status", "task/../../1/status"):
        assert error_of(guest.open, path) in ("NOTCAPABLE", "LOOP", "ACCES")
    assert guest.read(guest.open("status")).startswith(b"Name:")


def test_nothing_waits_for_a_fifo(guest: Guest, root: Path) -> None:
    os.mkfifo(root / "fifo")
    fd = guest.open("fifo", 0, READ, NONBLOCK)
    assert error_of(guest.read, fd) == "AGAIN"
    guest.close(fd)
    assert error_of(guest.open, "fifo", 0, WRITE) == "NXIO"
    assert error_of(guest.open, "fifo/x") == "NOTDIR"
    guest.set_times("fifo", 1, 2, 5)
    guest.rename("fifo", "moved")
    guest.unlink("moved")


def test_sockets_are_not_opened(guest: Guest, root: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        directory = os.open(root, os.O_RDONLY)
        server.bind(f"/proc/self/fd/{directory}/socket")
        os.close(directory)
    for rights in (READ, WRITE, READ | WRITE):
        assert error_of(guest.open, "socket", 0, rights) == "NXIO"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes devices")
def test_devices_are_no_terminals_and_no_memory(guest: Guest, root: Path) -> None:
    try:
        os.mknod(root / "null", 0o666 | 0o020000, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("this system makes no devices")
    try:
        fd = guest.open("null", 0, READ | WRITE)
    except Failed:
        pytest.skip("this file system has no devices")
    assert guest.write(fd, b"nothing") == 7
    assert guest.read(fd) == b""


# --- names -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["\0", "file\0", "\0file", "way\0/../../outside/treasure", "way/treasure\0x"])
def test_names_with_nul_are_none(any_guest: Guest, path: str) -> None:
    for act in everything(any_guest, path):
        assert error_of(act) == "ILSEQ"
    assert error_of(any_guest.symlink, path, "link") == "ILSEQ"


@pytest.mark.parametrize("length", [4096, 5000, 60_000])
def test_paths_of_4_kib_are_too_long(any_guest: Guest, length: int) -> None:
    for path in ("n" * length, "way/" * (length // 4), "./" * (length // 2), "../" * (length // 3 + 1)):
        assert error_of(any_guest.open, path) == "NAMETOOLONG"
        assert error_of(any_guest.open, path, CREAT, WRITE) == "NAMETOOLONG"
        if length < 5000:
            assert error_of(any_guest.mkdir, path) == "NAMETOOLONG"
            assert error_of(any_guest.rename, "file", path) == "NAMETOOLONG"
            assert error_of(any_guest.symlink, path, "link") == "NAMETOOLONG"


@pytest.mark.parametrize("length", [256, 1000, 4000])
def test_names_of_more_than_255_bytes_are_too_long(any_guest: Guest, length: int) -> None:
    name = "n" * length
    for act in everything(any_guest, name):
        assert error_of(act) == "NAMETOOLONG"
    assert error_of(any_guest.open, f"{name}/../../outside/treasure") == "NAMETOOLONG"


def test_trees_of_200_levels(any_guest: Guest) -> None:
    path = ""
    for _ in range(200):
        path += "d/"
        any_guest.mkdir(path)
    any_guest.symlink("../" * 200 + "file", path + "home")
    any_guest.symlink("../" * 201 + "outside/treasure", path + "out")
    any_guest.symlink("../" * 200 + "trap/treasure", path + "trapped")
    assert any_guest.read(any_guest.open(path + "home")) == b"harmless"
    assert error_of(any_guest.open, path + "out") == "NOTCAPABLE"
    assert error_of(any_guest.open, path + "trapped") == "NOTCAPABLE"
    assert error_of(any_guest.open, path + "../" * 201 + "outside/treasure") == "NOTCAPABLE"
    deep = any_guest.open(path, DIRECTORY)
    assert error_of(any_guest.stat, "..", fd=deep) == "NOTCAPABLE"
    any_guest.rename(path + "home", "came_home")
    for level in range(200, 0, -1):
        if level == 200:
            any_guest.unlink(path + "out")
            any_guest.unlink(path + "trapped")
        any_guest.rmdir("d/" * level)


# --- what changes meanwhile ------------------------------------------------------------------------------------------


def exchange(one: Path, two: Path) -> Callable[[], None]:
    """A function that swaps two names, at once: there is no moment at which either is missing."""
    library = ctypes.CDLL(None, use_errno=True)
    renameat2, names = library.renameat2, (os.fsencode(one), os.fsencode(two))

    def swap() -> None:
        if renameat2(AT_FDCWD, names[0], AT_FDCWD, names[1], RENAME_EXCHANGE) != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

    return swap


class Race:
    """A program goes through a directory, in all ways that there are."""

    def __init__(self, guest: Guest, secrets: set[int]) -> None:
        self.guest = guest
        self.secrets = secrets  # inodes of what is outside
        self.done = self.refused = 0

    def attempt(self, act: Callable[..., object], *arguments: object, **keywords: object) -> object:
        try:
            result = act(*arguments, **keywords)
        except Failed as error:
            self.refused += str(error) == "NOTCAPABLE"
            return None
        self.done += 1
        return result

    def check(self, path: str, *how: int) -> None:
        guest = self.guest
        fd = self.attempt(guest.open, path, *how)
        if isinstance(fd, int):
            assert guest.fstat(fd).inode not in self.secrets
            if not how:
                assert guest.read(fd) in (b"harmless", b"")
            elif how[1] & WRITE:
                guest.write(fd, b"harmless")
            guest.close(fd)

    def turn(self) -> None:
        guest, attempt = self.guest, self.attempt
        for path in (
            "way/treasure",
            "way/x/../treasure",
            "way/./x/y/treasure",
            "trap/treasure",
            "way/x/../../way/treasure",
        ):
            self.check(path)
        for path in ("way/treasure", "way/new", "trap/x/new", "way/alias"):
            self.check(path, CREAT, WRITE)
            self.check(path, TRUNC, WRITE)
        self.check("way/fresh", CREAT | EXCL, READ | WRITE)
        for path in ("way/treasure", "way/victim", "way/alias", "way", "way/x/y/.."):
            found = attempt(guest.stat, path)
            assert found is None or found.inode not in self.secrets  # type: ignore[attr-defined]
        directory = attempt(guest.open, "way", DIRECTORY)
        if isinstance(directory, int):
            assert guest.fstat(directory).inode not in self.secrets
            assert not {"victim", "empty"} & {name for name, _, _ in guest.entries(directory)}
            attempt(guest.stat, "../outside/treasure", fd=directory)
            guest.close(directory)
        attempt(guest.set_times, "way/treasure", 1, 2, 5)
        attempt(guest.mkdir, "way/made")
        attempt(guest.mkdir, "way/x/made")
        attempt(guest.rmdir, "way/made")
        attempt(guest.rmdir, "way/x/made")
        attempt(guest.rmdir, "way/empty")
        attempt(guest.rename, "way/treasure", "way/moved")
        attempt(guest.rename, "way/moved", "way/treasure")
        attempt(guest.rename, "file", "way/file")
        attempt(guest.rename, "way/file", "file")
        attempt(guest.rename, "way/victim", "stolen")
        attempt(guest.link, "file", "way/linked")
        attempt(guest.unlink, "way/linked")
        attempt(guest.link, "way/treasure", "linked")
        self.check("linked")
        attempt(guest.unlink, "linked")
        attempt(guest.symlink, "treasure", "way/symbolic")
        attempt(guest.readlink, "way/symbolic")
        attempt(guest.unlink, "way/symbolic")
        for name in ("victim", "new", "fresh", "alias"):
            attempt(guest.unlink, f"way/{name}")


@pytest.fixture
def race(guest: Guest, root: Path, outside: Path) -> Iterator[Race]:
    try:
        swap = exchange(root / "way", root / "trap")
        swap()
        swap()
    except OSError as error:
        pytest.skip(f"this file system cannot exchange names: {error}")
    race = Race(guest, {path.lstat().st_ino for path in [outside, *outside.rglob("*")]})
    yield race
    assert race.done > TURNS
    assert race.refused > TURNS
    assert not (root / "stolen").exists()


@pytest.mark.slow
def test_no_race_with_a_thread_leads_out(race: Race, root: Path) -> None:
    """A hundred thousand times a directory becomes a link that leads out, or the other way round, on its way."""
    swap = exchange(root / "way", root / "trap")
    enough = threading.Event()
    swaps = 0

    def swapping() -> None:
        nonlocal swaps
        while swaps < SWAPS or not enough.is_set():
            swap()
            swaps += 1

    thread = threading.Thread(target=swapping)
    thread.start()
    try:
        turns = 0
        while turns < TURNS or (thread.is_alive() and swaps < SWAPS):
            race.turn()
            turns += 1
    finally:
        enough.set()
        thread.join()
    assert swaps >= SWAPS


SWAPPING = """
import sys
from pathlib import Path
from test_wasi_escapes import SWAPS, exchange

swap = exchange(Path(sys.argv[1]) / "way", Path(sys.argv[1]) / "trap")
print("begun", flush=True)
while True:
    for _ in range(SWAPS // 10):
        swap()
    print("swapped", flush=True)
"""


@pytest.mark.slow
def test_no_race_with_a_process_leads_out(race: Race, root: Path) -> None:
    """The same, where nothing keeps the other from going on all the time."""
    command = [sys.executable, "-c", SWAPPING, root]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parent) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"begun\n"
            for _ in range(5 * TURNS):
                race.turn()
            for _ in range(10):
                assert process.stdout.readline() == b"swapped\n"
        finally:
            process.kill()

# SPDX-License-Identifier: Apache-2.0
"""A FileSystem as a program sees it: paths made plain, checks made as a kernel makes them.

What the host in C asks for (src/_core/wasi_filesystem.c), of one mount of one program. Paths come as the program has
them, with the directory that they begin in: they are resolved here, by their text, since there are no links.
"""

from __future__ import annotations

import errno
import os
import stat
from itertools import count
from weakref import WeakSet

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, BinaryIO, NoReturn

    from ._filesystem import FileSystem

    Told = tuple[bool, int, int, int, int, int, int]  # directory, size, inode, links, accessed, modified, changed

CREAT, DIRECTORY, EXCL, TRUNC = 1, 2, 4, 8  # WASI's oflags
APPEND = 1  # of its fdflags
ENOTCAPABLE = -76  # which hosts do not have: a negative number is WASI's own
END = UNCHANGED = (1 << 64) - 1
NAME_MOST = 255
LARGEST = (1 << 63) - 1
EMPTY_DIRECTORY: Told = (True, 0, 1, 1, 0, 0, 0)


class OpenFile:
    """A file that the program has open."""

    __slots__ = ("__weakref__", "file", "path", "place", "seeks", "told", "written")

    def __init__(self, path: str, file: BinaryIO, told: Told, *, written: bool) -> None:
        self.path = path
        self.file = file
        self.told = told  # when it was opened
        self.written = written  # whether it may be
        seekable = getattr(file, "seekable", None)
        self.seeks = bool(seekable()) if seekable is not None else hasattr(file, "seek")
        self.place = 0  # where a file is that does not seek


class Served:
    """One mount of one program."""

    __slots__ = ("files", "inodes", "numbers", "system")

    def __init__(self, system: FileSystem) -> None:
        self.system = system
        self.files: WeakSet[OpenFile] = WeakSet()  # the host owns them
        self.inodes: dict[str, int] = {}  # of files that have none, as they come
        self.numbers = count(2)

    def __repr__(self) -> str:
        return repr(self.system)

    # --- paths -----------------------------------------------------------------------------------------------------

    def resolve(self, base: bytes, path: bytes) -> tuple[str, bool]:
        """The plain path, and whether it has to be a directory's: it ends in a slash, or a dot."""
        if path.startswith(b"/"):
            fail(ENOTCAPABLE)
        parts = base.split(b"/") if base else []
        depth = len(parts)
        given = path.split(b"/")
        for name in given:
            if name == b"..":
                if len(parts) == depth:
                    fail(ENOTCAPABLE)
                self.must_be_directory(os.fsdecode(b"/".join(parts)))
                parts.pop()
            elif name not in (b"", b"."):
                if len(name) > NAME_MOST:
                    fail(errno.ENAMETOOLONG)
                parts.append(name)
        return os.fsdecode(b"/".join(parts)), given[-1] in (b"", b".", b"..")

    def named(self, base: bytes, path: bytes) -> tuple[str, bool, bool]:
        """For what is made, moved or removed: the plain path, whether it ends in a slash, and whether it is a name of
        its own, in a directory that is there; "." is none."""
        parts = path.rstrip(b"/").split(b"/")
        if parts[-1] == b"..":
            fail(ENOTCAPABLE)
        resolved, _ = self.resolve(base, path)
        if parts[-1] in (b"", b"."):
            self.must_be_directory(resolved)
            return resolved, True, False
        self.must_be_directory(resolved.rpartition("/")[0])
        return resolved, path.endswith(b"/"), True

    def must_be_directory(self, path: str) -> None:
        told = self.look(path)
        if told is None:
            fail(errno.ENOENT, path)
        if not told[0]:
            fail(errno.ENOTDIR, path)

    def look(self, path: str) -> Told | None:
        """What is there, or None where something could be made: all above it are directories."""
        try:
            return self.tell(path, self.system.stat(path))
        except (FileNotFoundError, NotADirectoryError):
            if not path:
                return EMPTY_DIRECTORY
        above = path
        while above := above.rpartition("/")[0]:
            try:
                info = self.system.stat(above)
            except (FileNotFoundError, NotADirectoryError):
                continue
            if not stat.S_ISDIR(info.st_mode):
                fail(errno.ENOTDIR, path)
            break
        if above != path.rpartition("/")[0]:
            fail(errno.ENOENT, path)
        return None

    def find(self, path: str, *, directory: bool = False) -> Told:
        """What is there."""
        told = self.look(path)
        if told is None:
            fail(errno.ENOENT, path)
        if directory and not told[0]:
            fail(errno.ENOTDIR, path)
        return told

    def tell(self, path: str, info: Any) -> Told:
        inode = getattr(info, "st_ino", 0) or (1 if not path else self.inodes.get(path))
        if inode is None:
            inode = self.inodes[path] = next(self.numbers)
        modified = nanoseconds(info, "st_mtime", 0)
        return (
            stat.S_ISDIR(info.st_mode),
            info.st_size,
            inode,
            getattr(info, "st_nlink", 1),
            nanoseconds(info, "st_atime", modified),
            modified,
            nanoseconds(info, "st_ctime", modified),
        )

    def stat(self, base: bytes, path: bytes) -> Told:
        resolved, directory = self.resolve(base, path)
        return self.find(resolved, directory=directory)

    def list(self, base: bytes) -> list[tuple[bytes, bool, int]]:
        path = os.fsdecode(base)
        self.must_be_directory(path)
        found = []
        for name, info in self.system.scandir(path):
            encoded = os.fsencode(name)
            if encoded in (b"", b".", b"..") or b"/" in encoded or b"\0" in encoded:
                continue  # what no path can name
            told = self.tell(f"{path}/{name}" if path else name, info)
            found.append((encoded, told[0], told[2]))
        return found

    def mkdir(self, base: bytes, path: bytes) -> None:
        resolved, _, own = self.named(base, path)
        if not own or self.look(resolved) is not None:
            fail(errno.EEXIST, resolved)
        self.system.mkdir(resolved)

    def rmdir(self, base: bytes, path: bytes) -> None:
        resolved, _, own = self.named(base, path)
        if not own:
            fail(errno.EINVAL, resolved)
        self.find(resolved, directory=True)
        self.must_be_empty(resolved)
        self.system.rmdir(resolved)
        self.inodes.pop(resolved, None)

    def unlink(self, base: bytes, path: bytes) -> None:
        resolved, slash, own = self.named(base, path)
        if not own or self.find(resolved, directory=slash)[0]:
            fail(errno.EISDIR, resolved)
        self.system.unlink(resolved)
        self.inodes.pop(resolved, None)

    def must_be_empty(self, path: str) -> None:
        for _ in self.system.listdir(path):
            fail(errno.ENOTEMPTY, path)

    def rename(self, base: bytes, path: bytes, other_base: bytes, other_path: bytes) -> None:
        old, old_slash, old_own = self.named(base, path)
        new, new_slash, new_own = self.named(other_base, other_path)
        if not old_own or not new_own:
            fail(errno.EBUSY, new)
        there, replaced = self.find(old), self.look(new)
        if (old_slash or new_slash) and not there[0]:
            fail(errno.ENOTDIR, old)
        if there[0] and f"{new}/".startswith(f"{old}/") and new != old:
            fail(errno.EINVAL, new)
        if f"{old}/".startswith(f"{new}/") and new != old:
            fail(errno.ENOTEMPTY, new)
        if old == new:
            return
        if replaced is not None:
            if replaced[0] != there[0]:
                fail(errno.EISDIR if replaced[0] else errno.ENOTDIR, new)
            if replaced[0]:
                self.must_be_empty(new)
        self.system.rename(old, new)
        moved = {name: number for name, number in self.inodes.items() if f"{name}/".startswith(f"{old}/")}
        self.inodes.pop(new, None)
        for name, number in moved.items():
            del self.inodes[name]
            self.inodes[new + name[len(old) :]] = number
        for file in self.files:
            if f"{file.path}/".startswith(f"{old}/"):
                file.path = new + file.path[len(old) :]

    def utime(self, base: bytes, path: bytes, accessed: int, modified: int) -> None:
        resolved, directory = self.resolve(base, path)
        self.set_times(resolved, self.find(resolved, directory=directory), accessed, modified)

    def set_times(self, path: str, told: Told, accessed: int, modified: int) -> None:
        self.system.utime(
            path, (told[4] if accessed == UNCHANGED else accessed, told[5] if modified == UNCHANGED else modified)
        )

    # --- opening ---------------------------------------------------------------------------------------------------

    def open(
        self, base: bytes, path: bytes, oflags: int, fdflags: int, reads: bool, writes: bool, writable: bool
    ) -> tuple[bytes | OpenFile, bool]:
        """A directory's name, or a file; and whether that seeks."""
        creates = bool(oflags & CREAT)
        if (
            creates
            and writable
            and path.endswith(b"/")
            and path.rstrip(b"/").rpartition(b"/")[2] not in (b"", b".", b"..")
        ):
            self.look(self.resolve(base, path)[0])
            fail(errno.EISDIR)  # it makes no directories
        resolved, directory = self.resolve(base, path)
        told = self.look(resolved)
        if told is None:
            if not creates or (directory and writable):  # "new/." is in a directory that there is not
                fail(errno.ENOENT, resolved)
            if not writable:
                fail(errno.EROFS, resolved)
        else:
            if directory and not told[0]:
                fail(errno.ENOTDIR, resolved)
            if creates and oflags & EXCL:
                fail(errno.EEXIST, resolved)
            if told[0]:
                if writes or creates or oflags & TRUNC:
                    fail(errno.EISDIR, resolved)
                return os.fsencode(resolved), False
            if oflags & DIRECTORY:
                fail(errno.ENOTDIR, resolved)
        anew = told is None or bool(oflags & TRUNC)
        if anew and not writes:
            self.system.open(resolved, "wb").close()
        mode = mode_of(anew=anew, reads=reads, writes=writes, appends=bool(fdflags & APPEND))
        file = self.system.open(resolved, mode)
        try:
            opened = OpenFile(resolved, file, told or (False, 0, 0, 1, 0, 0, 0), written=writes)
            if mode == "ab":
                opened.place = opened.told[1]
        except BaseException:
            file.close()
            raise
        self.files.add(opened)
        return opened, opened.seeks

    # --- open files ------------------------------------------------------------------------------------------------

    def go(self, opened: OpenFile, place: int) -> None:
        if opened.seeks:
            opened.file.seek(place)
        elif place != opened.place:
            fail(errno.ESPIPE, opened.path)

    def read(self, opened: OpenFile, place: int, length: int) -> bytes:
        if place > LARGEST:
            fail(errno.EINVAL, opened.path)
        self.go(opened, place)
        data: bytes | None = opened.file.read(length)
        if data is None:
            fail(errno.EAGAIN, opened.path)
        opened.place = place + len(data)
        return bytes(data) if isinstance(data, (bytearray, memoryview)) else data

    def write(self, opened: OpenFile, place: int, data: bytes) -> tuple[int, int]:
        """How much was written, and where that ended."""
        if place == END:
            place = self.size(opened) if opened.seeks else opened.place
        if place + len(data) > self.system.largest_file:
            fail(errno.EFBIG, opened.path)
        self.go(opened, place)
        written: int | None = opened.file.write(data)
        if written is None:  # as a raw file says that it would wait
            fail(errno.EAGAIN, opened.path)
        opened.place = place + written
        flush(opened.file)
        return written, opened.place

    def size(self, opened: OpenFile) -> int:
        if not opened.written:
            return self.now(opened)[1]
        return opened.file.seek(0, 2) if opened.seeks else opened.place

    def now(self, opened: OpenFile) -> Told:
        """What is told of it now; when it was opened, if it was removed since then."""
        try:
            return self.tell(opened.path, self.system.stat(opened.path))
        except (FileNotFoundError, NotADirectoryError):
            return opened.told

    def file_stat(self, opened: OpenFile) -> Told:
        told = self.now(opened)
        return (False, self.size(opened) if opened.written else told[1], *told[2:])

    def file_truncate(self, opened: OpenFile, size: int) -> None:
        if size > self.system.largest_file:
            fail(errno.EFBIG, opened.path)
        opened.file.truncate(size)
        if opened.seeks and size > opened.file.seek(0, 2):  # some only cut
            opened.file.seek(size - 1)
            opened.file.write(b"\0")
        flush(opened.file)

    def file_utime(self, opened: OpenFile, accessed: int, modified: int) -> None:
        self.set_times(opened.path, self.now(opened), accessed, modified)

    def file_sync(self, opened: OpenFile) -> None:
        if opened.written:
            flush(opened.file)

    def close(self, opened: OpenFile) -> None:
        opened.file.close()


def fail(number: int, path: str = "") -> NoReturn:
    raise OSError(number, os.strerror(number) if number > 0 else "it leads out of its mount", path)


def mode_of(*, anew: bool, reads: bool, writes: bool, appends: bool) -> str:
    if not writes:
        return "rb"
    if anew:
        return "w+b" if reads else "wb"
    return "ab" if appends and not reads else "r+b"


def nanoseconds(info: Any, name: str, otherwise: int) -> int:
    exact = getattr(info, f"{name}_ns", None)
    if exact is None:
        seconds = getattr(info, name, None)
        exact = otherwise if seconds is None else int(seconds * 1_000_000_000)
    return min(max(exact, 0), LARGEST)  # the program's have no sign


def flush(file: BinaryIO) -> None:
    method = getattr(file, "flush", None)
    if method is not None:
        method()

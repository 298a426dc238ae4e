# SPDX-License-Identifier: Apache-2.0
"""File systems that Python code serves to a program: what one has to be."""

from __future__ import annotations

import os
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, BinaryIO, NoReturn


class FileStat:
    """What :meth:`FileSystem.stat` tells of a file or a directory.

    size: bytes.
    directory: whether it is one.
    modified: seconds since 1970.
    inode: a number that no other file of the file system has; 0 leaves that to anywasm.
    """

    __slots__ = ("st_ino", "st_mode", "st_mtime", "st_size")

    def __init__(self, size: int = 0, *, directory: bool = False, modified: float = 0.0, inode: int = 0) -> None:
        self.st_mode = stat.S_IFDIR | 0o777 if directory else stat.S_IFREG | 0o666
        self.st_size = size
        self.st_mtime = modified
        self.st_ino = inode

    def __repr__(self) -> str:
        directory = ", directory=True" if stat.S_ISDIR(self.st_mode) else ""
        return f"FileStat({self.st_size}{directory}, modified={self.st_mtime})"


class FileSystem:
    """Files from wherever you have them, for :class:`Wasi`'s *mounts*. A subclass that has :meth:`stat`,
    :meth:`listdir` and :meth:`open` can be read; what else it has, programs can do; without it they hear EROFS or
    ENOTSUP::

        class Texts(wasi.FileSystem):
            def stat(self, path):
                return wasi.FileStat(directory=True) if path == "" else wasi.FileStat(len(texts[path]))

            def listdir(self, path):
                return list(texts)

            def open(self, path, mode):
                return io.BytesIO(texts[path])

    Paths are relative to the mount, with single slashes between their parts, which are neither ``.`` nor ``..``; the
    mount itself is the empty path. Names that are not UTF-8 come as :func:`os.fsdecode` gives them. There are no links.

    An OSError is the program's errno, by its ``errno`` or its class (``FileNotFoundError`` is ENOENT); any other
    exception comes out of the call that runs the program. What takes long holds up the program's deadline and Ctrl-C in
    other threads: when a file's ``seek``, ``read`` or ``write`` raises InterruptedError, it is called again, unless the
    program is to end. Methods are called in whatever thread runs the program, those
    of one object from several at once if several programs have it mounted. While one runs, the program's own calls that
    use files fail with EBUSY.
    """

    largest_file: int = 1 << 30
    """How many bytes a program may make a file hold: EFBIG beyond. What they hold together is not bounded."""

    def stat(self, path: str) -> Any:
        """A :class:`FileStat`, or anything that has ``st_mode`` and ``st_size``, such as what :func:`os.stat` gives."""
        fail("ENOTSUP", path)

    def listdir(self, path: str) -> Iterable[str]:
        """The names in a directory."""
        fail("ENOTSUP", path)

    def scandir(self, path: str) -> Iterable[tuple[str, Any]]:
        """The names in a directory, each with what :meth:`stat` says of it: unless you know better, by asking it."""
        for name in self.listdir(path):
            try:
                info = self.stat(f"{path}/{name}" if path else name)
            except FileNotFoundError:  # it was removed meanwhile
                continue
            yield name, info

    def open(self, path: str, mode: str) -> BinaryIO:  # noqa: ARG002
        """A binary file, as :func:`open` gives it. What a program may only read is opened "rb"; "wb" and "w+b" make
        the file or empty it, "r+b" opens what is there, "ab" appends to it. Without ``seek`` it is read, or written,
        from its start to its end. It is closed when the program closes it, or is over."""
        fail("ENOTSUP", path)

    def mkdir(self, path: str) -> None:
        """Make a directory: in one that is there, and where nothing is."""
        fail("EROFS", path)

    def rmdir(self, path: str) -> None:
        """Remove a directory, which is empty."""
        fail("EROFS", path)

    def unlink(self, path: str) -> None:
        """Remove a file."""
        fail("EROFS", path)

    def rename(self, path: str, new: str) -> None:  # noqa: ARG002
        """Move a file, or a directory with all that is in it. A file, or an empty directory, that is there goes."""
        fail("EROFS", path)

    def utime(self, path: str, ns: tuple[int, int]) -> None:  # noqa: ARG002
        """Set the times of last access and last change, in nanoseconds since 1970."""
        fail("ENOTSUP", path)

    def _attach(self, opened: list[int]) -> tuple[Any, bool]:  # noqa: ARG002
        from ._served import Served

        return Served(self), True


def fail(name: str, path: str) -> NoReturn:
    import errno

    number = getattr(errno, name)
    raise OSError(number, os.strerror(number), path)

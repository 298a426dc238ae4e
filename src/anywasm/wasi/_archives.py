# SPDX-License-Identifier: Apache-2.0
"""File systems that can be read: the members of a zip file, the resources of a package."""

from __future__ import annotations

from ._filesystem import FileStat, FileSystem, fail

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from importlib.resources.abc import Traversable
    from types import ModuleType
    from typing import Any, BinaryIO
    from zipfile import ZipFile, ZipInfo


class Zip(FileSystem):
    """What is in a zip file, to be read: ``mounts={"/data": wasi.Zip("data.zip")}``.

    file: a path, a binary file that seeks, or an open :class:`zipfile.ZipFile`, which stays yours to close.

    Members whose names lead out of the archive are not there; of two with one name it is the last. What is damaged, or
    needs a password, fails with EIO when it is read. Raises what :class:`zipfile.ZipFile` does.
    """

    def __init__(self, file: str | os.PathLike[str] | BinaryIO | ZipFile) -> None:
        from zipfile import ZipFile

        self._file = file if isinstance(file, ZipFile) else ZipFile(file)
        self._members: dict[str, ZipInfo] = {}
        self._directories: dict[str, dict[str, None]] = {"": {}}
        self._inodes: dict[str, int] = {}
        for member in self._file.infolist():
            self._add(member)
        for path in [path for path in self._members if path in self._directories]:
            del self._members[path]  # it is a directory to other members
        for number, path in enumerate([*self._directories, *self._members], 1):
            self._inodes[path] = number

    def _add(self, member: ZipInfo) -> None:
        parts = [part for part in member.filename.split("/") if part not in ("", ".")]
        if not parts or ".." in parts or any("\0" in part for part in parts):
            return
        for depth in range(len(parts)):
            self._directories.setdefault("/".join(parts[:depth]), {})[parts[depth]] = None
        path = "/".join(parts)
        if member.is_dir():
            self._directories.setdefault(path, {})
        else:
            self._members[path] = member

    def __repr__(self) -> str:
        return f"<anywasm.wasi.Zip: {self._file.filename or 'in memory'}, {len(self._members):,} files>"

    def stat(self, path: str) -> FileStat:
        if path in self._directories:
            return FileStat(directory=True, inode=self._inodes[path])
        if path not in self._members:
            fail("ENOENT", path)
        member = self._members[path]
        return FileStat(member.file_size, modified=seconds_of(member.date_time), inode=self._inodes[path])

    def listdir(self, path: str) -> list[str]:
        if path not in self._directories:
            fail("ENOENT", path)
        return list(self._directories[path])

    def open(self, path: str, mode: str) -> BinaryIO:
        if mode != "rb":
            fail("EROFS", path)
        if path not in self._members:
            fail("ENOENT", path)
        try:
            return Member(self._file.open(self._members[path]), path, self._members[path].file_size)  # type: ignore[return-value]
        except OSError:
            raise
        except Exception:  # noqa: BLE001 - zipfile and the compressors raise what they like
            fail("EIO", path)


STEP = 1 << 24  # bytes of a member that are decompressed before the program's deadline is looked at


class Member:
    """An open member of a zip file: what is wrong with it is EIO. To get to a place in one that is compressed, all that
    is before it is decompressed, and from its start to go back: step by step."""

    __slots__ = ("__weakref__", "file", "path", "size")

    def __init__(self, file: Any, path: str, size: int) -> None:
        self.file = file
        self.path = path
        self.size = size

    def read(self, length: int) -> bytes:
        data: bytes = self._call(self.file.read, length)
        return data

    def seek(self, place: int) -> int:
        here, place = self.file.tell(), min(place, self.size)
        reached = (here if here <= place else 0) + STEP
        moved: int = self._call(self.file.seek, min(place, reached))
        if moved < place:
            raise InterruptedError
        return moved

    def seekable(self) -> bool:
        return bool(self.file.seekable())

    def close(self) -> None:
        self.file.close()

    def _call(self, function: Any, argument: int) -> Any:
        try:
            return function(argument)
        except OSError:
            raise
        except Exception:  # noqa: BLE001 - zipfile and the compressors raise what they like
            fail("EIO", self.path)


class Resources(FileSystem):
    """The files that a package brings, to be read: ``mounts={"/share": wasi.Resources("mypackage")}``.

    package: its name, or the module; or what :func:`importlib.resources.files` gave, or a part of that.

    It does not matter where they come from: a folder, a zip file, another importer. Raises ModuleNotFoundError.
    """

    def __init__(self, package: str | ModuleType | Traversable) -> None:
        from importlib.resources import files

        self._root: Any = package if hasattr(package, "iterdir") else files(package)
        self._sizes: dict[str, int] = {}  # of those that must be read to be known

    def __repr__(self) -> str:
        return f"Resources({self._root})"

    def _at(self, path: str) -> Any:
        """What the path names. One step after another: not all of them take several at once."""
        found = self._root
        for name in path.split("/") if path else ():
            found = found / name
        return found

    def stat(self, path: str) -> Any:
        found = self._at(path)
        if hasattr(found, "stat"):  # a pathlib.Path
            return found.stat()
        if found.is_dir():
            return FileStat(directory=True)
        if not found.is_file():
            fail("ENOENT", path)
        if path not in self._sizes:
            self._sizes[path] = len(found.read_bytes())
        return FileStat(self._sizes[path])

    def listdir(self, path: str) -> list[str]:
        return [entry.name for entry in self._at(path).iterdir()]

    def open(self, path: str, mode: str) -> BinaryIO:
        if mode != "rb":
            fail("EROFS", path)
        return self._at(path).open("rb")  # type: ignore[no-any-return]


def seconds_of(moment: tuple[int, int, int, int, int, int]) -> float:
    """A zip file's time, which has no zone: as if it were UTC."""
    from calendar import timegm

    try:
        return float(max(timegm((*moment, 0, 0, 0)), 0))
    except ValueError:  # no such day
        return 0.0

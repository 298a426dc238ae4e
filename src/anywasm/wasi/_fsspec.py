# SPDX-License-Identifier: Apache-2.0
"""Any fsspec file system, mounted."""

from __future__ import annotations

import os
import stat
from io import BytesIO

from ._filesystem import FileStat, FileSystem, fail

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, BinaryIO

    from fsspec import AbstractFileSystem

IN_MEMORY = 1 << 20  # bytes of a file being changed, before it goes to a temporary file


class FSSpec(FileSystem):
    """Any file system that `fsspec <https://filesystem-spec.readthedocs.io>`_ knows: buckets, archives, memory,
    servers. Needs ``pip install anywasm[fsspec]``::

        mounts={"/bucket": wasi.ReadOnly(wasi.FSSpec("s3://bucket/folder"))}

    filesystem: an fsspec file system, or a URL of a folder in one.
    path: the folder in it that is mounted.
    largest_file: how many bytes a program may make a file hold.

    What a program writes to a file that it also reads, or changes in parts, is there for others when it closes the
    file; so is everything on file systems that upload. Where folders are but the beginnings of names, those that
    programs make are kept here. Links are followed by the file system, wherever they lead: a folder of your own is
    safer as a :class:`Directory`.
    """

    def __init__(
        self, filesystem: AbstractFileSystem | str, path: str = "", *, largest_file: int = FileSystem.largest_file
    ) -> None:
        if isinstance(filesystem, str):
            try:
                from fsspec.core import url_to_fs
            except ImportError as error:
                raise ImportError("wasi.FSSpec(): fsspec is not installed: pip install anywasm[fsspec]") from error
            filesystem, start = url_to_fs(filesystem)
            path = f"{start.rstrip('/')}/{path}" if path else start
        self._system: Any = filesystem
        self._root: str = self._system._strip_protocol(path).rstrip("/")
        self.largest_file = largest_file
        self._folders: set[str] = set()  # that programs made, or emptied, where the file system has none of its own

    def __repr__(self) -> str:
        return f"FSSpec({self._system!r}, {self._root!r})"

    def _at(self, path: str) -> str:
        """The whole path. It begins as the root's does, so that no name in it is taken for a protocol or a home."""
        root = self._root or self._system.root_marker
        if not path:
            return root
        return f"{root.rstrip('/')}/{path}" if root else path

    def _stat_of(self, info: dict[str, Any]) -> FileStat:
        modified: Any = info.get("mtime", info.get("LastModified", info.get("last_modified", info.get("created"))))
        if hasattr(modified, "timestamp"):
            modified = modified.timestamp()
        return FileStat(
            int(info.get("size") or 0),
            directory=info.get("type") == "directory",
            modified=modified if isinstance(modified, (int, float)) else 0.0,
        )

    def stat(self, path: str) -> FileStat:
        try:
            return self._stat_of(self._system.info(self._at(path)))
        except FileNotFoundError:
            if path in self._folders:
                return FileStat(directory=True)
            raise

    def listdir(self, path: str) -> list[str]:
        return [name for name, _ in self.scandir(path)]

    def scandir(self, path: str) -> Iterator[tuple[str, FileStat]]:
        whole = self._at(path).strip("/")
        seen = set()
        try:
            listed = self._system.ls(self._at(path), detail=True)
        except FileNotFoundError:
            if path and path not in self._folders:
                raise
            listed = []
        for info in listed:
            found = info["name"].strip("/")
            name = found.rpartition("/")[2]
            if found != whole and name not in seen:  # some list a folder in itself
                seen.add(name)
                yield name, self._stat_of(info)
        for folder in list(self._folders):
            above, _, name = folder.rpartition("/")
            if above == path and name not in seen:
                yield name, FileStat(directory=True)

    def open(self, path: str, mode: str) -> BinaryIO:
        whole = self._at(path)
        if mode != "rb":
            self._check_writable(path)
        if mode not in ("rb", "wb") and not self._is_local():
            return Changed(self._system, whole, mode)  # type: ignore[return-value]
        try:
            file = self._system.open(whole, mode)
        except (NotImplementedError, ValueError):
            fail("EROFS" if mode != "rb" else "ENOTSUP", path)
        if mode == "rb" and isinstance(file, BytesIO):
            return BytesIO(file.getvalue())  # fsspec gives everybody the same one, with one position
        return file  # type: ignore[no-any-return]

    def _is_local(self) -> bool:
        protocol = self._system.protocol
        return "file" in ((protocol,) if isinstance(protocol, str) else protocol)

    def mkdir(self, path: str) -> None:
        self._change(path, self._system.mkdir, self._at(path), create_parents=False)
        self._keep(path)

    def rmdir(self, path: str) -> None:
        if path in self._folders:
            self._folders.discard(path)
        else:
            self._change(path, self._system.rmdir, self._at(path))
        self._keep(path.rpartition("/")[0])

    def unlink(self, path: str) -> None:
        self._change(path, self._system.rm_file, self._at(path))
        self._keep(path.rpartition("/")[0])

    def _keep(self, path: str) -> None:
        """A folder that is to be there, whether the file system has it or not."""
        if path and not self._system.exists(self._at(path)):
            self._folders.add(path)

    def rename(self, path: str, new: str) -> None:
        if self._is_local():
            os.rename(self._at(path), self._at(new))
            return
        from contextlib import suppress

        # Not its own mv: that takes names for patterns.
        if not is_directory(self.stat(path)):
            self._change(path, self._move, path, new)
            return
        directories = [(path, new)]
        for old, other in directories:
            if other != new or other not in self._folders:
                with suppress(FileExistsError):  # an empty one is replaced
                    self.mkdir(other)
            for name, info in list(self.scandir(old)):
                if is_directory(info):
                    directories.append((f"{old}/{name}", f"{other}/{name}"))
                else:
                    self._change(path, self._move, f"{old}/{name}", f"{other}/{name}")
        for old, _ in reversed(directories):
            self.rmdir(old)

    def _move(self, path: str, new: str) -> None:
        self._system.cp_file(self._at(path), self._at(new))
        self._system.rm_file(self._at(path))
        self._keep(path.rpartition("/")[0])

    def _check_writable(self, path: str) -> None:
        if getattr(self._system, "mode", "") == "r":  # an archive; its mkdir, say, does nothing and says nothing
            fail("EROFS", path)

    def _change(self, path: str, function: Any, *args: Any, **keywords: Any) -> None:
        self._check_writable(path)
        try:
            function(*args, **keywords)
        except NotImplementedError:
            fail("EROFS", path)

    def utime(self, path: str, ns: tuple[int, int]) -> None:
        if not self._is_local():
            fail("ENOTSUP", path)
        os.utime(self._at(path), ns=ns)


def is_directory(info: FileStat) -> bool:
    return stat.S_ISDIR(info.st_mode)


class Changed:
    """A file that is read and written, or appended to, on a file system that has no such thing: a copy, put back when
    it is closed."""

    def __init__(self, system: Any, path: str, mode: str) -> None:
        from tempfile import SpooledTemporaryFile

        self.system = system
        self.path = path
        self.copy = SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115 - closed by close
        self.dirty = False
        try:
            if mode == "w+b":
                self._put()  # it is there from now on
            else:
                with system.open(path, "rb") as file:
                    while data := file.read(IN_MEMORY):
                        self.copy.write(data)
        except BaseException as error:
            self.copy.close()
            if isinstance(error, (NotImplementedError, ValueError)):
                fail("EROFS", path)
            raise

    def _put(self) -> None:
        self.copy.seek(0)
        with self.system.open(self.path, "wb") as file:
            while data := self.copy.read(IN_MEMORY):
                file.write(data)
        self.dirty = False

    def seekable(self) -> bool:
        return True

    def seek(self, place: int, whence: int = 0) -> int:
        self.copy.seek(place, whence)
        return self.copy.tell()

    def read(self, length: int) -> bytes:
        return self.copy.read(length)

    def write(self, data: bytes) -> int:
        self.dirty = True
        return self.copy.write(data)

    def truncate(self, size: int) -> None:
        self.dirty = True
        self.copy.truncate(size)

    def close(self) -> None:
        try:
            if self.dirty:
                self._put()
        finally:
            self.copy.close()

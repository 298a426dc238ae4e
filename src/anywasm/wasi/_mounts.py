# SPDX-License-Identifier: Apache-2.0
"""What can be mounted: the places where a program finds files."""

from __future__ import annotations

import os
from _collections_abc import MutableMapping  # which Python has imported at its start

from anywasm._core import WasiMemory

from ._settings import Settings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any, TypeAlias

    from _typeshed import ReadableBuffer

    from ._filesystem import FileSystem

    StrPath: TypeAlias = str | os.PathLike[str]
    Mount: TypeAlias = "Directory | Memory | FileSystem | ReadOnly"


class Directory(Settings):
    """A directory of the host's, for :class:`Wasi`'s *mounts*.

    path: the directory.
    readonly: whether the program may only read what is in it; every attempt to change something fails with EROFS then.
    """

    __slots__ = ("path", "readonly")
    path: str
    readonly: bool

    def __init__(self, path: StrPath, *, readonly: bool = False) -> None:
        self._set(path=os.fsdecode(path), readonly=bool(readonly))

    def _attach(self, opened: list[int]) -> tuple[int, bool]:
        """What WasiHost takes, and whether the program may change it. What is *opened* here is closed after that."""
        opened.append(os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
        return opened[-1], not self.readonly

    def __repr__(self) -> str:
        return f"Directory({self.path!r}{', readonly=True' if self.readonly else ''})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Directory) and (self.path, self.readonly) == (other.path, other.readonly)

    def __hash__(self) -> int:
        return hash((self.path, self.readonly))


class Memory(MutableMapping[str, bytes]):
    """Files in memory, for :class:`Wasi`'s *mounts*: a place to write to that is no part of the host's disk::

        files = wasi.Memory({"in.txt": b"hello"}, limit=1 << 20)
        anywasm.run("program.wasm", mounts={"/work": files})
        files["out.txt"]

    files: what is there at first, by path; directories are made as they are needed.
    limit: bytes; a program that would go beyond it gets ENOSPC. Content and names count, and 256 bytes for each file,
      directory and link. None is no limit.

    A mutable mapping of paths ("a/b.txt") to contents (bytes, copied in both directions) of all files, links to files
    included. What programs make, change and remove is seen here at once, and the other way round; any number of
    programs may have it mounted, in any threads. Reading what is no file raises KeyError, writing what cannot be
    OSError. ``wasi.ReadOnly(files)`` mounts it so that a program cannot change it.
    """

    __slots__ = ("__weakref__", "_tree")
    _tree: WasiMemory

    def __init__(
        self, files: Mapping[str, ReadableBuffer | str] | None = None, *, limit: int | None = 256 << 20
    ) -> None:
        if limit is not None and limit < 0:
            raise ValueError(f"Memory(): limit: expected 0 or more bytes, got {limit}")
        self._tree = WasiMemory(limit)
        if files is not None:
            for path, data in files.items():
                self[path] = data

    @property
    def limit(self) -> int | None:
        """How many bytes there may be."""
        return self._tree.limit

    @property
    def used(self) -> int:
        """How many bytes there are, counted as the limit counts them."""
        return self._tree.used

    def __getitem__(self, path: str) -> bytes:
        try:
            return self._tree.read(encoded(path))
        except MemoryError:
            raise
        except OSError:
            raise KeyError(path) from None

    def __setitem__(self, path: str, data: ReadableBuffer | str) -> None:
        self._tree.write(encoded(path), data.encode() if isinstance(data, str) else data)

    def __delitem__(self, path: str) -> None:
        try:
            self._tree.remove(encoded(path))
        except OSError:
            raise KeyError(path) from None

    def __iter__(self) -> Iterator[str]:
        waiting = [b""]
        while waiting:
            directory = waiting.pop()
            try:
                entries = self._tree.list(directory)
            except OSError:  # it was removed meanwhile
                continue
            for name, kind in entries:
                path = directory + b"/" + name if directory else name
                if kind == "directory":
                    waiting.append(path)
                else:
                    yield os.fsdecode(path)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        limit = "" if self.limit is None else f" of {self.limit:,}"
        return f"<anywasm.wasi.Memory: {len(self):,} files, {self.used:,}{limit} bytes>"

    def _attach(self, _opened: list[int]) -> tuple[WasiMemory, bool]:
        return self._tree, True


class ReadOnly(Settings):
    """Mounts something that can be mounted, so that the program may only read: ``ReadOnly(memory)``."""

    __slots__ = ("mount",)
    mount: Mount

    def __init__(self, mount: Mount | StrPath) -> None:
        self._set(mount=as_mount(mount, "ReadOnly()"))

    def _attach(self, opened: list[int]) -> tuple[Any, bool]:
        return self.mount._attach(opened)[0], False

    def __repr__(self) -> str:
        return f"ReadOnly({self.mount!r})"


def as_mount(given: object, where: str) -> Any:
    """What can be mounted, as it is; a path is a directory."""
    if hasattr(type(given), "_attach"):
        return given
    try:
        return Directory(os.fspath(given))  # type: ignore[call-overload]
    except TypeError:
        raise TypeError(
            f"{where}: expected a path, or a mount of anywasm.wasi, such as Memory(), got {type(given).__name__}"
        ) from None


def encoded(path: str) -> bytes:
    if not isinstance(path, str):
        raise TypeError(f"Memory: expected a path as str, got {type(path).__name__}")
    return os.fsencode(path).lstrip(b"/")

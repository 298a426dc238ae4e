# SPDX-License-Identifier: Apache-2.0
"""What can be mounted: the places where a program finds files."""

from __future__ import annotations

import os

from ._settings import Settings

TYPE_CHECKING = False
if TYPE_CHECKING:
    StrPath = str | os.PathLike[str]


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

    def __repr__(self) -> str:
        return f"Directory({self.path!r}{', readonly=True' if self.readonly else ''})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Directory) and (self.path, self.readonly) == (other.path, other.readonly)

    def __hash__(self) -> int:
        return hash((self.path, self.readonly))

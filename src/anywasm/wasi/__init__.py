# SPDX-License-Identifier: Apache-2.0
"""What WASI programs see of the world: their streams, files, clocks and chance."""

from ._archives import Resources, Zip
from ._clock import Clock
from ._filesystem import FileStat, FileSystem
from ._fsspec import FSSpec
from ._mounts import Directory, Memory, ReadOnly
from ._wasi import Wasi

__all__ = [
    "Clock",
    "Directory",
    "FSSpec",
    "FileStat",
    "FileSystem",
    "Memory",
    "ReadOnly",
    "Resources",
    "Wasi",
    "Zip",
]

# SPDX-License-Identifier: Apache-2.0
"""A guest that makes WASI calls one by one, as the test says: what no compiler's libc would do, too."""

import struct
from dataclasses import dataclass
from typing import Any

import anywasm
import toolchain

# Every function of preview 1, with its parameters: i is i32, I is i64.
FUNCTIONS = {
    "args_get": "ii", "args_sizes_get": "ii", "environ_get": "ii", "environ_sizes_get": "ii",
    "clock_res_get": "ii", "clock_time_get": "iIi",
    "fd_advise": "iIIi", "fd_allocate": "iII", "fd_close": "i", "fd_datasync": "i", "fd_fdstat_get": "ii",
    "fd_fdstat_set_flags": "ii", "fd_fdstat_set_rights": "iII", "fd_filestat_get": "ii", "fd_filestat_set_size": "iI",
    "fd_filestat_set_times": "iIIi", "fd_pread": "iiiIi", "fd_prestat_get": "ii", "fd_prestat_dir_name": "iii",
    "fd_pwrite": "iiiIi", "fd_read": "iiii", "fd_readdir": "iiiIi", "fd_renumber": "ii", "fd_seek": "iIii",
    "fd_sync": "i", "fd_tell": "ii", "fd_write": "iiii",
    "path_create_directory": "iii", "path_filestat_get": "iiiii", "path_filestat_set_times": "iiiiIIi",
    "path_link": "iiiiiii", "path_open": "iiiiiIIii", "path_readlink": "iiiiii", "path_remove_directory": "iii",
    "path_rename": "iiiiii", "path_symlink": "iiiii", "path_unlink_file": "iii",
    "poll_oneoff": "iiii", "proc_exit": "i", "proc_raise": "i", "sched_yield": "", "random_get": "ii",
    "sock_accept": "iii", "sock_recv": "iiiiii", "sock_send": "iiiii", "sock_shutdown": "ii",
}  # fmt: skip

ERRNO = {
    0: "OK", 2: "ACCES", 6: "AGAIN", 8: "BADF", 15: "CONNRESET", 20: "EXIST", 21: "FAULT", 25: "ILSEQ", 28: "INVAL",
    29: "IO", 31: "ISDIR", 32: "LOOP", 33: "MFILE", 37: "NAMETOOLONG", 44: "NOENT", 48: "NOMEM", 53: "NOTCONN",
    54: "NOTDIR", 55: "NOTEMPTY", 57: "NOTSOCK", 58: "NOTSUP", 60: "NXIO", 63: "PERM", 64: "PIPE", 69: "ROFS",
    70: "SPIPE", 75: "XDEV", 76: "NOTCAPABLE",
}  # fmt: skip

CREAT, DIRECTORY, EXCL, TRUNC = 1, 2, 4, 8  # oflags
APPEND, NONBLOCK = 1, 4  # fdflags
READ, WRITE = 1 << 1, 1 << 6  # rights
RIGHTS = (1 << 29) - 1
DIRECTORY_TYPE, FILE_TYPE, LINK_TYPE, CHARACTER_TYPE = 3, 4, 7, 2

PAGES = 3
PATH, OTHER, OUT, DATA = 1024, 8192, 16384, 65536  # where in its memory things lie
SIZE = PAGES * 65536


def text() -> str:
    imports, wrappers = [], []
    for name, letters in FUNCTIONS.items():
        parameters = " ".join({"i": "i32", "I": "i64"}[letter] for letter in letters)
        result = "" if name == "proc_exit" else "(result i32)"
        imports.append(f'(import "wasi_snapshot_preview1" "{name}" (func ${name} (param {parameters}) {result}))')
        gets = " ".join(f"(local.get {index})" for index in range(len(letters)))
        wrappers.append(f'(func (export "{name}") (param {parameters}) {result} (call ${name} {gets}))')
    return f'(module {" ".join(imports)} (memory (export "memory") {PAGES}) {" ".join(wrappers)})'


class Failed(Exception):
    """A WASI call gave an error; `str` is its name."""


@dataclass
class Stat:
    device: int
    inode: int
    filetype: int
    links: int
    size: int
    accessed: int
    modified: int
    changed: int


class Guest:
    """The methods raise Failed; `errno` gives the error's name instead."""

    def __init__(self, engine: anywasm.Engine, wasi: Any) -> None:
        self.store = anywasm.Store(engine, wasi=wasi)
        module = anywasm.Module(toolchain.wat(text()), engine)
        self.exports = anywasm.Instance(module, None, self.store).exports
        self.memory = self.exports.memory

    def errno(self, name: str, *arguments: Any) -> str:
        number = self.exports[name](*arguments)
        return ERRNO.get(number, str(number))

    def call(self, name: str, *arguments: Any) -> None:
        error = self.errno(name, *arguments)
        if error != "OK":
            raise Failed(error)

    def number(self, address: int, size: int = 4) -> int:
        return int.from_bytes(self.memory.read(address, size), "little")

    def put(self, address: int, data: str | bytes) -> tuple[int, int]:
        raw = data.encode() if isinstance(data, str) else data
        self.memory.write(address, raw)
        return address, len(raw)

    # --- descriptors

    def vector(self, address: int, length: int) -> tuple[int, int]:
        self.memory.write(OUT + 64, struct.pack("<II", address, length))
        return OUT + 64, 1

    def write(self, fd: int, data: bytes) -> int:
        self.call("fd_write", fd, *self.vector(*self.put(DATA, data)), OUT)
        return self.number(OUT)

    def read(self, fd: int, length: int = 4096) -> bytes:
        self.call("fd_read", fd, *self.vector(DATA, length), OUT)
        return self.memory.read(DATA, self.number(OUT))

    def seek(self, fd: int, offset: int, whence: int = 0) -> int:
        self.call("fd_seek", fd, offset, whence, OUT)
        return self.number(OUT, 8)

    def close(self, fd: int) -> None:
        self.call("fd_close", fd)

    def fdstat(self, fd: int) -> tuple[int, int, int, int]:
        """File type, flags, rights, inheriting."""
        self.call("fd_fdstat_get", fd, OUT)
        kind, flags, rights, inheriting = struct.unpack("<BxH4xQQ", self.memory.read(OUT, 24))
        return kind, flags, rights, inheriting

    def fstat(self, fd: int) -> Stat:
        self.call("fd_filestat_get", fd, OUT)
        return Stat(*struct.unpack("<8Q", self.memory.read(OUT, 64)))

    def entries(self, fd: int, cookie: int = 0, room: int = 4096) -> list[tuple[str, int, int]]:
        """Name, file type and next cookie of the entries that fit into the room as a whole."""
        self.call("fd_readdir", fd, DATA, room, cookie, OUT)
        data = self.memory.read(DATA, self.number(OUT))
        found = []
        while len(data) >= 24:
            following, _, length, kind = struct.unpack_from("<QQIB", data)
            if len(data) < 24 + length:
                break
            found.append((data[24 : 24 + length].decode(), kind, following))
            data = data[24 + length :]
        return found

    # --- paths

    def open(
        self, path: str | bytes, oflags: int = 0, rights: int = READ, fdflags: int = 0, fd: int = 3, follow: bool = True
    ) -> int:
        self.call("path_open", fd, int(follow), *self.put(PATH, path), oflags, rights, RIGHTS, fdflags, OUT)
        return self.number(OUT)

    def stat(self, path: str, fd: int = 3, follow: bool = True) -> Stat:
        self.call("path_filestat_get", fd, int(follow), *self.put(PATH, path), OUT)
        return Stat(*struct.unpack("<8Q", self.memory.read(OUT, 64)))

    def mkdir(self, path: str, fd: int = 3) -> None:
        self.call("path_create_directory", fd, *self.put(PATH, path))

    def rmdir(self, path: str, fd: int = 3) -> None:
        self.call("path_remove_directory", fd, *self.put(PATH, path))

    def unlink(self, path: str, fd: int = 3) -> None:
        self.call("path_unlink_file", fd, *self.put(PATH, path))

    def rename(self, path: str, other: str, fd: int = 3, other_fd: int = 3) -> None:
        self.call("path_rename", fd, *self.put(PATH, path), other_fd, *self.put(OTHER, other))

    def link(self, path: str, other: str, fd: int = 3, other_fd: int = 3) -> None:
        self.call("path_link", fd, 0, *self.put(PATH, path), other_fd, *self.put(OTHER, other))

    def symlink(self, target: str, path: str, fd: int = 3) -> None:
        self.call("path_symlink", *self.put(OTHER, target), fd, *self.put(PATH, path))

    def readlink(self, path: str, fd: int = 3, room: int = 4096) -> str:
        self.call("path_readlink", fd, *self.put(PATH, path), DATA, room, OUT)
        return self.memory.read(DATA, self.number(OUT)).decode()

    def set_times(self, path: str, accessed: int, modified: int, flags: int, fd: int = 3, follow: bool = True) -> None:
        self.call("path_filestat_set_times", fd, int(follow), *self.put(PATH, path), accessed, modified, flags)

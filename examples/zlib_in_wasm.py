# SPDX-License-Identifier: Apache-2.0
"""zlib, the C library, compiled to WebAssembly and called from Python: its answers are those of Python's own zlib.

A decompressor reads what strangers send. In WebAssembly the worst that a bug in it can do is to spoil its own memory.
"""

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import c_library

import anywasm

CRATE = ("libz-sys", "1.1.31")
FUNCTIONS = ["compress2", "compressBound", "uncompress", "crc32", "adler32", "zlibVersion"]


def build(work: Path = c_library.WORK) -> Path:
    folder = c_library.crate_source(*CRATE, work) / "src" / "zlib"
    names = ["adler32", "compress", "crc32", "deflate", "inffast", "inflate", "inftrees", "trees", "uncompr", "zutil"]
    return c_library.build("zlib", [folder / f"{name}.c" for name in names], FUNCTIONS, [], work)


class Zlib:
    """The library's functions on bytes. Buffers are allocated in the guest and freed again."""

    def __init__(self, source: anywasm.Module | Path) -> None:
        self.exports = anywasm.load(source).exports
        self.memory = self.exports.memory

    @contextmanager
    def buffer(self, content: int | bytes) -> Iterator[int]:
        """The address of so many bytes, or of a copy of these bytes."""
        address = self.exports.malloc(content if isinstance(content, int) else len(content) + 1)
        if address == 0:
            raise MemoryError("the guest is out of memory")
        if isinstance(content, bytes):
            self.memory.write(address, content)
        try:
            yield address
        finally:
            self.exports.free(address)

    def compress(self, data: bytes, level: int = 6) -> bytes:
        bound = self.exports.compressBound(len(data))
        with (
            self.buffer(data) as source,
            self.buffer(bound) as target,
            self.buffer(bound.to_bytes(4, "little")) as size,
        ):
            self.check(self.exports.compress2(target, size, source, len(data), level))
            return self.memory.read(target, int.from_bytes(self.memory.read(size, 4), "little"))

    def decompress(self, data: bytes, length: int) -> bytes:
        with (
            self.buffer(data) as source,
            self.buffer(length) as target,
            self.buffer(length.to_bytes(4, "little")) as size,
        ):
            self.check(self.exports.uncompress(target, size, source, len(data)))
            return self.memory.read(target, int.from_bytes(self.memory.read(size, 4), "little"))

    def crc32(self, data: bytes) -> int:
        with self.buffer(data) as source:
            return self.exports.crc32(0, source, len(data)) & 0xFFFFFFFF

    def adler32(self, data: bytes) -> int:
        with self.buffer(data) as source:
            return self.exports.adler32(1, source, len(data)) & 0xFFFFFFFF

    def check(self, status: int) -> None:
        if status != 0:
            raise ValueError(f"zlib answered {status}")


def main() -> None:
    library = Zlib(build())
    data = b"All work and no play makes Jack a dull boy.\n" * 1000
    packed = library.compress(data)
    print(f"{len(data)} bytes became fewer than 500: {len(packed) < 500}")
    print(f"Python's zlib reads them: {zlib.decompress(packed) == data}")
    print(f"ours reads Python's: {library.decompress(zlib.compress(data), len(data)) == data}")
    print(f"checksums agree: {library.crc32(data) == zlib.crc32(data)}, {library.adler32(data) == zlib.adler32(data)}")
    try:
        library.decompress(packed[:50], len(data))
    except ValueError as error:
        print(f"damaged data: {error}")


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: Apache-2.0
"""zlib, the C library, in a sandbox: its header tells how to call it, its answers are those of Python's own zlib.

A decompressor reads what strangers send. In WebAssembly the worst that a bug in it can do is to spoil its own memory.
"""

import zlib

import c_library

from anywasm import clib

SOURCES = ["adler32", "compress", "crc32", "deflate", "inffast", "inflate", "inftrees", "trees", "uncompr", "zutil"]
CHUNK = 1 << 16


def load() -> clib.Library:
    folder = c_library.crate_source("libz-sys", "1.1.31") / "src" / "zlib"
    return clib.compile([folder / f"{name}.c" for name in SOURCES], folder / "zlib.h")


class Error(Exception):
    """What zlib has to complain about."""


class Zlib:
    """The library's functions on bytes."""

    def __init__(self, lib: clib.Library) -> None:
        self.lib = lib

    def compress(self, data: bytes, level: int = -1) -> bytes:
        size = [self.lib.compressBound(len(data))]  # a list of one is what C calls a pointer to it
        target = bytearray(size[0])
        self.check(self.lib.compress2(target, size, data, len(data), level))
        return bytes(target[: size[0]])

    def decompress(self, data: bytes, wbits: int = zlib.MAX_WBITS) -> bytes:
        """What was compressed, of any length. *wbits* chooses the format, as for Python's."""
        lib = self.lib
        with (
            lib.new("z_stream *") as stream,
            lib.array("Bytef", data) as source,  # in the library's memory, since it keeps the address between calls
            lib.array("Bytef", CHUNK) as target,
        ):
            stream.next_in, stream.avail_in = source, len(data)
            self.check(lib.inflateInit2_(stream, wbits, lib.ZLIB_VERSION, lib.sizeof("z_stream")))
            parts, status = [], lib.Z_OK
            while status == lib.Z_OK:
                stream.next_out, stream.avail_out = target, CHUNK
                status = lib.inflate(stream, lib.Z_NO_FLUSH)
                parts.append(bytes(target[: CHUNK - stream.avail_out]))
            message = stream.msg and stream.msg.read_cstring()
            lib.inflateEnd(stream)
        if status != lib.Z_STREAM_END:
            raise Error(message or lib.zError(status))
        return b"".join(parts)

    def crc32(self, data: bytes, value: int = 0) -> int:
        return self.lib.crc32(value, data, len(data))

    def adler32(self, data: bytes, value: int = 1) -> int:
        return self.lib.adler32(value, data, len(data))

    def check(self, status: int) -> None:
        if status != self.lib.Z_OK:
            raise Error(self.lib.zError(status))


def main() -> None:
    ours = Zlib(load())
    data = b"All work and no play makes Jack a dull boy.\n" * 1000
    packed = ours.compress(data)
    print(f"{len(data)} bytes became fewer than 500: {len(packed) < 500}")
    print(f"Python's zlib reads them: {zlib.decompress(packed) == data}")
    print(f"ours reads Python's: {ours.decompress(zlib.compress(data)) == data}")
    print(f"checksums agree: {ours.crc32(data) == zlib.crc32(data)}, {ours.adler32(data) == zlib.adler32(data)}")
    for damaged in (packed[:50], packed[:30] + b"\xff" * 20):
        try:
            ours.decompress(damaged)
        except Error as error:
            print(f"damaged data: {error}")


if __name__ == "__main__":
    main()

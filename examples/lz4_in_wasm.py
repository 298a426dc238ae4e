# SPDX-License-Identifier: Apache-2.0
"""LZ4, the C library, in a sandbox. Python has no module of that kind; the header tells all that is needed for one."""

import c_library

from anywasm import clib

CHUNK = 1 << 16


def load() -> clib.Library:
    folder = c_library.crate_source("lz4-sys", "1.11.1") / "liblz4" / "lib"
    sources = [folder / f"{name}.c" for name in ("lz4", "lz4hc", "lz4frame", "xxhash")]
    return clib.compile(sources, folder / "lz4frame.h")


class Error(Exception):
    """What LZ4 has to complain about."""


class Lz4:
    """LZ4's frames: what the command `lz4` reads and writes."""

    def __init__(self, lib: clib.Library) -> None:
        self.lib = lib

    def compress(self, data: bytes, level: int = 0, checksum: bool = False) -> bytes:
        """One frame. *level*: above 2 slower and smaller; *checksum*: of the content, at the frame's end."""
        preferences = {
            "frameInfo": {"contentSize": len(data), "contentChecksumFlag": int(checksum)},
            "compressionLevel": level,
        }
        bound = self.lib.LZ4F_compressFrameBound(len(data), preferences)
        target = bytearray(bound)
        return bytes(target[: self.check(self.lib.LZ4F_compressFrame(target, bound, data, len(data), preferences))])

    def decompress(self, data: bytes) -> bytes:
        lib, place, parts = self.lib, [None], []
        self.check(lib.LZ4F_createDecompressionContext(place, lib.LZ4F_VERSION))
        try:
            with lib.array("char", data) as source, lib.array("char", CHUNK) as target:
                done, more = 0, 1
                while more:  # how much it wants to read next: 0 at the frame's end
                    written, read = [CHUNK], [len(data) - done]
                    more = self.check(lib.LZ4F_decompress(place[0], target, written, source[done:], read, None))
                    if not written[0] and not read[0]:
                        raise Error("the frame is incomplete")
                    parts.append(bytes(target[: written[0]]))
                    done += read[0]
        finally:
            lib.LZ4F_freeDecompressionContext(place[0])
        return b"".join(parts)

    def info(self, data: bytes) -> clib.Struct:
        """What a frame's head tells."""
        lib, place = self.lib, [None]
        self.check(lib.LZ4F_createDecompressionContext(place, lib.LZ4F_VERSION))
        try:
            info = lib.new("LZ4F_frameInfo_t *")
            self.check(lib.LZ4F_getFrameInfo(place[0], info, data, [len(data)]))
            return info[0]
        finally:
            lib.LZ4F_freeDecompressionContext(place[0])

    def check(self, status: int) -> int:
        if self.lib.LZ4F_isError(status):
            raise Error(self.lib.LZ4F_getErrorName(status))
        return status


def main() -> None:
    lz4 = Lz4(load())
    data = b"All work and no play makes Jack a dull boy.\n" * 10000
    packed = lz4.compress(data, level=9, checksum=True)
    print(f"{len(data)} bytes became {len(packed)}, and the same again: {lz4.decompress(packed) == data}")
    info = lz4.info(packed)
    print(f"the frame's head: {info.contentSize} bytes, {info.frameType!r}, {info.blockMode!r}")
    for damaged in (b"not a frame at all", packed[:100], packed[:-1] + b"?"):
        try:
            lz4.decompress(damaged)
        except Error as error:
            print(f"damaged data: {error}")


if __name__ == "__main__":
    main()

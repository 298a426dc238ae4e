# SPDX-License-Identifier: Apache-2.0
"""The cache of compiled modules on disk: a private directory with a file for each. docs/cache.md has its promises.

A file begins with the engine's code, so that it can be mapped, and ends with a trailer:

    code    magic   length of the code   SHA-256 of the file's name and the code
    …       8       8, little-endian     32

Files are written under another name and then renamed, and never changed: whoever has one mapped keeps what it had. What
is here is machine code, so nothing is loaded unless it is ours, whole, and of the name that it was written for.
"""

from __future__ import annotations

import contextlib
import os
import stat
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


DEFAULT_BOUND = 1 << 30  # bytes
MAGIC = b"\x89awcode\n"
TRAILER = len(MAGIC) + 8 + 32  # bytes
CHUNK = 1 << 20

CODE = ".code"
TEMPORARY = ".new"
CLAIM = ".claim"  # somebody has promised to write the file without this
SUFFIXES = (CODE, TEMPORARY, CLAIM)
STALE = 3600.0  # seconds until a temporary file has lost its writer, and what failed may be tried again


# --- settings -----------------------------------------------------------------------------------------------------


def is_on() -> bool:
    return os.environ.get("ANYWASM_CACHE") != "0"


def bound() -> int:
    """How many bytes all of it may have."""
    given = os.environ.get("ANYWASM_CACHE_SIZE", "")
    return int(given) if given.isascii() and given.isdecimal() else DEFAULT_BOUND


def path() -> str:
    """Where the cache is, or would be."""
    named = os.environ.get("ANYWASM_CACHE_DIR")
    if named:
        return os.path.abspath(named)
    from platformdirs import user_cache_dir

    return user_cache_dir("anywasm", appauthor=False)


# --- one module ------------------------------------------------------------------------------------------------------


def find(identity: str, binary: bytes) -> Entry | None:
    """The place for what an engine of that *identity* compiles from *binary*; None where nothing is to be kept."""
    if not is_on():
        return None
    from hashlib import sha256

    return Entry(f"{sha256(binary).hexdigest()}-{sha256(identity.encode()).hexdigest()[:16]}{CODE}")


class Entry:
    """The place of one module's code, whether there is any or not."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def open(self) -> tuple[int, int] | None:
        """A descriptor of the file with the code and the code's length, if it is there and can be trusted."""
        folder = open_folder()
        if folder is None:
            return None
        try:
            # Not blocking: what lies there in its place may be a pipe.
            flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
            descriptor = os.open(self.name, flags, dir_fd=folder)
        except OSError:
            return None
        finally:
            os.close(folder)
        length = None
        try:
            length = checked_length(descriptor, self.name)
        except OSError:  # of a disk that fails
            pass
        finally:
            if length is None:
                os.close(descriptor)
        if length is None:
            return None
        with contextlib.suppress(OSError):  # a file system that is only read
            os.utime(descriptor)  # used now
        return descriptor, length

    def save(self, code: ReadableBuffer) -> None:
        """Put the code there, if that is possible."""
        view = memoryview(code)
        if view.nbytes + TRAILER > bound():
            return
        folder = open_folder(create=True)
        if folder is None:
            return
        try:
            write(folder, self.name, view)
            remove(folder, self.name + CLAIM)
            make_room(folder, self.name)
        except OSError:
            pass  # the disk is full, or read-only
        finally:
            os.close(folder)

    def claim(self) -> int | None:
        """Promise to fill the place, here or in another process: a descriptor to be kept open until then.

        BlockingIOError: another does. None: there can be nothing, or whoever had claimed it has ended and left nothing.
        """
        import fcntl

        folder = open_folder(create=True)
        if folder is None:
            return None
        name = self.name + CLAIM
        temporary = f"{name}.{os.urandom(8).hex()}{TEMPORARY}"
        try:
            claim = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=folder)
            try:
                fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.link(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)  # locked before anyone sees it
            except BaseException:
                os.close(claim)
                raise
            finally:
                remove(folder, temporary)
        except FileExistsError:
            claim = os.open(name, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
            try:
                fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)  # BlockingIOError
            finally:
                os.close(claim)
            return None
        finally:
            os.close(folder)
        return claim


def checked_length(descriptor: int, name: str) -> int | None:
    """The length of the code in the file, or None if the file is not what was written under that name."""
    from hashlib import sha256

    info = os.fstat(descriptor)
    length = info.st_size - TRAILER
    if not stat.S_ISREG(info.st_mode) or not is_private(info) or info.st_mode & 0o077 or length < 0:
        return None
    trailer = os.pread(descriptor, TRAILER, length)
    if trailer[: len(MAGIC) + 8] != MAGIC + length.to_bytes(8, "little"):
        return None
    digest = sha256(name.encode())
    buffer = memoryview(bytearray(min(CHUNK, length)))
    # Reading, unlike mapping, tells of a disk that fails by an exception.
    place = 0
    while place < length:
        got = os.preadv(descriptor, [buffer[: length - place]], place)
        if got == 0:
            return None
        digest.update(buffer[:got])
        place += got
    return length if digest.digest() == trailer[len(MAGIC) + 8 :] else None


def write(folder: int, name: str, code: memoryview) -> None:
    from hashlib import sha256

    digest = sha256(name.encode())
    digest.update(code)
    temporary = f"{name}.{os.urandom(8).hex()}{TEMPORARY}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    descriptor = os.open(temporary, flags, 0o600, dir_fd=folder)
    try:
        try:
            for part in (code, memoryview(MAGIC + code.nbytes.to_bytes(8, "little") + digest.digest())):
                while part:
                    part = part[os.write(descriptor, part) :]  # noqa: PLW2901
        finally:
            os.close(descriptor)
        os.replace(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        remove(folder, temporary)
        raise


# --- the directory ---------------------------------------------------------------------------------------------------


class UnusableError(Exception):
    """The directory is not used; why not."""


def open_folder(*, create: bool = False) -> int | None:
    """A descriptor of the directory; None if there is none, or it is not to be used."""
    try:
        return checked_folder(create=create)
    except (OSError, UnusableError):
        return None


def checked_folder(*, create: bool = False) -> int:
    name = path()
    if not os.path.isabs(name):
        raise UnusableError("nothing tells where this user's home directory is")
    if create:
        os.makedirs(name, 0o700, exist_ok=True)
    folder = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
    if is_private(os.fstat(folder)):
        return folder
    os.close(folder)
    raise UnusableError("it belongs to another user, or others can write to it")


def is_private(info: os.stat_result) -> bool:
    return info.st_uid == os.geteuid() and not info.st_mode & 0o022


def files(folder: int) -> list[tuple[float, int, str]]:
    """(when it was used last, bytes, name) of all that is ours in the directory, the oldest first."""
    found = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.endswith(SUFFIXES):
                try:
                    info = entry.stat(follow_symlinks=False)
                except OSError:  # gone meanwhile
                    continue
                found.append((info.st_mtime, info.st_size, entry.name))
    return sorted(found)


def remove(folder: int, name: str) -> bool:
    try:
        os.unlink(name, dir_fd=folder)
    except OSError:
        return False
    return True


def make_room(folder: int, keep: str) -> None:
    """Remove what was used longest ago until the rest fits, and what writers that died have left."""
    found = files(folder)
    too_much = sum(size for _, size, name in found if name.endswith(CODE)) - bound()
    for used, size, name in found:
        if name.endswith(CODE):
            if too_much > 0 and name != keep and remove(folder, name):
                too_much -= size
        elif used < time.time() - STALE:
            remove(folder, name)


# --- for the command line --------------------------------------------------------------------------------------------


def info() -> dict[str, object]:
    """What there is: the directory, why it is not used or None, how many modules, their bytes, how many may be."""
    reason, codes = None if is_on() else "ANYWASM_CACHE is 0", []
    try:
        folder = checked_folder()
    except FileNotFoundError:  # it is made for the first module
        pass
    except (OSError, UnusableError) as error:
        reason = reason or getattr(error, "strerror", None) or str(error)
    else:
        codes = [size for _, size, name in files(folder) if name.endswith(CODE)]
        os.close(folder)
    return {"directory": path(), "unused": reason, "modules": len(codes), "bytes": sum(codes), "bound": bound()}


def clear() -> tuple[int, int]:
    """Remove everything: how many modules, and how many bytes."""
    folder = open_folder()
    if folder is None:
        return 0, 0
    try:
        removed = [size for _, size, name in files(folder) if remove(folder, name) and name.endswith(CODE)]
    finally:
        os.close(folder)
    return len(removed), sum(removed)

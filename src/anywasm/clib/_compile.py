# SPDX-License-Identifier: Apache-2.0
"""`clib.compile`: from C to a Library in one line. What was compiled is kept in the cache of compiled modules."""

from __future__ import annotations

import os

from anywasm._core import __version__

from ._library import load
from ._toolchain import BuildError, build, find_compiler

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from anywasm import _cache

    from ._declarations import Declarations
    from ._library import Library

TEXT = "<source>"  # what messages call C that is no file
# Environment variables that clang obeys.
ENVIRONMENT = ("CPATH", "C_INCLUDE_PATH")


def compile(
    source: str | os.PathLike[str] | Sequence[os.PathLike[str]],
    declarations: str | os.PathLike[str] | Declarations | None = None,
    *,
    flags: Sequence[str] = (),
    include_dirs: Sequence[str | os.PathLike[str]] = (),
    **options: Any,
) -> Library:
    """Compile C, and load it: all functions and variables that are not static are the library's::

        clib.compile("int twice(int n) { return 2 * n; }").twice(21)

    source: C as a str, or the path of a file (a :class:`pathlib.Path`), or several paths.
    declarations: as for :func:`load`; None takes what the compiler knows of the source, and macros that are constants.
    flags: for the compiler, beside ``-O2 -g``: ``"-DNAME=1"``, ``"-lm"``, ``"-Wl,…"``.
    include_dirs: folders of headers.
    options: of :func:`load`: ``frees``, ``engine``, ``timeout`` and so on.

    What was compiled once is taken from the cache, until the source, a header of its own, the flags or the compiler
    change. Raises BuildError with the compiler's message, or if there is no compiler; OSError if a file is not there;
    DeclarationError for what cannot be expressed; and what load() raises.
    """
    for name, value in (("flags", flags), ("include_dirs", include_dirs)):
        if isinstance(value, (str, bytes)) or not all(isinstance(each, (str, os.PathLike)) for each in value):
            raise TypeError(f"compile(): {name}: expected a sequence of str, got {value!r}")
    folders = [os.fspath(folder) for folder in include_dirs]
    return load(compiled(source, [*flags], folders, describe=declarations is None), declarations, **options)


def compiled(source: object, flags: list[str], include_dirs: list[str], *, describe: bool) -> bytes:
    """The module, out of the cache if it is there. describe: with its declarations in it."""
    if isinstance(source, str):
        if source.endswith((".c", ".h")) and not set(source) & set(" \n;"):
            raise TypeError(f"compile(): a str is C itself; for a file pass its path: compile(Path({source!r}))")
        import tempfile

        with tempfile.TemporaryDirectory(prefix="anywasm-clib-") as scratch:
            path = os.path.join(scratch, "source.c")
            with open(path, "w", encoding="utf-8") as file:
                file.write(f'#line 1 "{TEXT}"\n{source}\n')
            try:
                return through_cache([path], [TEXT], flags, include_dirs, describe)
            except BuildError as error:
                raise BuildError(str(error).replace(path, TEXT)) from None
    try:
        paths = [os.fspath(path) for path in ([source] if isinstance(source, os.PathLike) else source)]  # type: ignore[attr-defined]
    except TypeError:
        raise TypeError(f"compile(): expected C as str, or the paths of files, got {type(source).__name__}") from None
    if not paths:
        raise ValueError("compile(): expected the path of a file at least, got none")
    for path in paths:
        with open(path, "rb"):  # told as Python tells it, before the compiler tells it in its way
            pass
    return through_cache(paths, paths, flags, include_dirs, describe)


def through_cache(
    paths: list[str], names: list[str], flags: list[str], include_dirs: list[str], describe: bool
) -> bytes:
    import json
    from hashlib import sha256

    from anywasm import _cache

    compiler = find_compiler()
    entry = None
    if _cache.is_on():
        settings = [os.environ.get(name) for name in ENVIRONMENT]
        key = [__version__, compiler.identity, os.getcwd(), settings, flags, include_dirs, describe, names]
        key += [digest_of(path) for path in paths]
        entry = _cache.Entry(f"{sha256(repr(key).encode()).hexdigest()}-clib{_cache.CODE}")
        if (binary := read(entry)) is not None:
            return binary
    if describe:
        from ._build import make

        made = make(paths, flags=flags, include_dirs=include_dirs)
        built, binary = made.built, made.binary
    else:
        built = build(paths, flags=flags, include_dirs=include_dirs, compiler=compiler)
        binary = built.binary
    if entry is not None:
        headers = {os.path.abspath(path): digest_of(path) for path in built.headers}
        stamp = json.dumps(headers).encode()
        entry.save(len(stamp).to_bytes(4, "little") + stamp + binary)
    return binary


def read(entry: _cache.Entry) -> bytes | None:
    """The module that was kept there, if the headers are what they were."""
    import json

    found = entry.open()
    if found is None:
        return None
    descriptor, length = found
    with open(descriptor, "rb") as file:
        content = file.read(length)
    end = 4 + int.from_bytes(content[:4], "little")
    headers = json.loads(content[4:end])
    return content[end:] if all(digest_of(path) == digest for path, digest in headers.items()) else None


def digest_of(path: str) -> str | None:
    from hashlib import sha256

    try:
        with open(path, "rb") as file:
            return sha256(file.read()).hexdigest()
    except OSError:  # the compiler tells, or it has to be compiled anew
        return None

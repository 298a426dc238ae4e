# SPDX-License-Identifier: Apache-2.0
"""`anywasm.Wasi`: what a WASI program sees of the world. The host functions themselves are in C."""

from __future__ import annotations

import os

from anywasm._core import WasiHost

from ._clock import Clock, check_seed, seed_bytes
from ._mounts import as_mount
from ._settings import Settings
from ._sockets import check_sockets, descriptor_of_socket
from ._streams import call_all, check_stream, open_input, open_output

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

    from ._mounts import Mount, StrPath

MOST_MOUNTS = 1000  # a program has at most 1024 descriptors open


class Wasi(Settings):
    """What a WASI program sees of the world: nothing but what is given here. One serves any number of stores.

    args: the program's arguments, its own name first.
    env: its environment, by name.
    mounts: what the program finds files in, by the path that it knows it by, such as ``{"/data": "/srv/data"}``. A path
        is a directory of the host's that it may write to, :class:`Directory` can make it read-only. The program never
        gets out of a mount, whatever links it finds or makes.
    stdin: None is empty; "inherit" is the process's own; bytes are what the program reads; a path or an int is a file
        or descriptor; so is an open file; any other object gives what its ``read(n)`` (or ``read1(n)``) returns; a
        callable gives the next line (str or bytes) each time it is called, and an empty one or None at the end.
    stdout, stderr: None discards; "inherit" is the process's own; a path is a file to be written anew; an int or an
        open file is written to directly; any other object is written to with ``write(bytes)``, or, if it is a text
        stream, with ``write(str)``, decoded as UTF-8, and flushed; a callable is called with each line, as str,
        without its newline. ``stderr="stdout"`` joins them.
    clock: a :class:`Clock` of the program's own; None is the host's.
    random: a seed (int or bytes) that its random numbers follow from; None is the kernel's, fit for secrets.
    sockets: sockets (or their descriptors), listening or connected, that it may accept from, receive from and send to.
        Its numbers for them follow those of the mounts: the first is ``3 + len(mounts)``.

    Files are opened when a store is made with this. What a stream raises comes out of the call that runs the program.
    Raises TypeError and ValueError for what cannot be any of these; OSError, when a store is made, for files that
    cannot be opened.
    """

    __slots__ = ("args", "clock", "env", "mounts", "random", "sockets", "stderr", "stdin", "stdout")
    args: tuple[str, ...]
    env: Mapping[str, str]
    mounts: Mapping[str, Mount]
    stdin: Any
    stdout: Any
    stderr: Any
    clock: Clock | None
    random: int | bytes | None
    sockets: tuple[socket.socket | int, ...]

    def __init__(
        self,
        args: Iterable[str | bytes | os.PathLike[str]] = (),
        env: Mapping[str, str] | None = None,
        mounts: Mapping[str, StrPath | Mount] | None = None,
        stdin: Any = None,
        stdout: Any = None,
        stderr: Any = None,
        *,
        clock: Clock | None = None,
        random: int | bytes | None = None,
        sockets: Iterable[socket.socket | int] = (),
    ) -> None:
        if isinstance(args, (str, bytes)):
            raise TypeError("Wasi(): args: expected a sequence of arguments, got one string")
        given = {
            guest_path(guest): as_mount(mount, f"Wasi(): mounts: {guest!r}") for guest, mount in items(mounts, "mounts")
        }
        if len(given) > MOST_MOUNTS:
            raise ValueError(f"Wasi(): mounts: {len(given)} are too many, {MOST_MOUNTS} is the limit")
        if clock is not None and not isinstance(clock, Clock):
            raise TypeError(f"Wasi(): clock: expected a wasi.Clock or None, got {type(clock).__name__}")
        handed = check_sockets(sockets)
        if len(given) + len(handed) > MOST_MOUNTS:
            raise ValueError(
                f"Wasi(): sockets: {len(handed)} are too many, {MOST_MOUNTS} is the limit, mounts included"
            )
        joined = isinstance(stderr, str) and stderr == "stdout"
        self._set(
            args=tuple(text(argument, "args") for argument in args),
            env={name_of_variable(name): text(value, "env") for name, value in items(env, "env")},
            mounts=given,
            stdin=check_stream(stdin, "stdin", "read"),
            stdout=check_stream(stdout, "stdout", "write"),
            stderr=stderr if joined else check_stream(stderr, "stderr", "write"),
            clock=clock,
            random=check_seed(random),
            sockets=handed,
        )

    def __repr__(self) -> str:
        names = ("args", "env", "mounts", "stdin", "stdout", "stderr", "clock", "random", "sockets")
        given = ((name, getattr(self, name)) for name in names)
        shown = (f"{name}={value!r}" for name, value in given if value not in (None, (), {}))
        return f"Wasi({', '.join(shown)})"

    def _open(self, *, avoid_openat2: bool = False) -> WasiHost:
        """Open the files, and make the host of one store; it has descriptors of its own."""
        opened: list[int] = []
        finish: list[Callable[[], None]] = []
        try:
            stdin = open_input(self.stdin, opened)
            stdout = open_output(self.stdout, 1, opened, finish)
            same = self.stderr == "stdout" or (isinstance(self.stderr, os.PathLike) and self.stderr == self.stdout)
            stderr = stdout if same else open_output(self.stderr, 2, opened, finish)
            mounts = []
            for guest, mount in self.mounts.items():
                mounts.append((os.fsencode(guest), *mount._attach(opened)))
            return WasiHost(
                [os.fsencode(argument) for argument in self.args],
                [os.fsencode(f"{name}={value}") for name, value in self.env.items()],
                (stdin, stdout, stderr),
                mounts,
                finish=(lambda: call_all(finish)) if finish else None,
                avoid_openat2=avoid_openat2,
                clock=None if self.clock is None else self.clock._settings(),
                seed=seed_bytes(self.random),
                sockets=[descriptor_of_socket(one, "Wasi(): sockets") for one in self.sockets],
            )
        finally:
            for descriptor in opened:
                os.close(descriptor)


def text(value: str | bytes | os.PathLike[str], where: str) -> str:
    try:
        result = os.fsdecode(value)
    except TypeError:
        raise TypeError(f"Wasi(): {where}: expected str or a path, got {type(value).__name__}") from None
    if "\0" in result:
        raise ValueError(f"Wasi(): {where}: {result!r} has a NUL character")
    return result


def items(mapping: Mapping[Any, Any] | None, where: str) -> Iterable[tuple[Any, Any]]:
    if mapping is None:
        return ()
    try:
        return mapping.items()
    except AttributeError:
        raise TypeError(f"Wasi(): {where}: expected a mapping, got {type(mapping).__name__}") from None


def guest_path(path: str) -> str:
    result = text(path, "mounts")
    if not result:
        raise ValueError("Wasi(): mounts: the guest's path is empty")
    return result


def name_of_variable(name: str) -> str:
    result = text(name, "env")
    if not result or "=" in result:
        raise ValueError(f"Wasi(): env: {result!r} is no name of a variable")
    return result

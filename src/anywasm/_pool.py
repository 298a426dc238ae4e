# SPDX-License-Identifier: Apache-2.0
"""`anywasm.Pool`: ready instances for a server."""

from __future__ import annotations

import os
from collections import deque, namedtuple
from time import monotonic

from ._core import Engine, Instance, Module, Store
from ._load import as_module, imports_wasi, initialize
from .wasi import Wasi

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Literal

    from typing_extensions import Self

    from ._core import _Imports, _ModuleSource

    Reset = Literal["replace", "keep"] | Callable[[Instance], object]

REPLACE, KEEP = "replace", "keep"


class PoolStats(namedtuple("PoolStats", "ready in_use waiting made used failed timed_out")):  # noqa: PYI024 - typing is slow to import
    """What a :class:`Pool` holds and has done, in this process: a named tuple.

    ready: instances that wait to be used.
    in_use: those that are out, or are being made for somebody who waits.
    waiting: threads that wait in ``get``.
    made: instances that were made so far.
    used: how often ``get`` gave one.
    failed: how often making one, or resetting one, raised an exception.
    timed_out: how often ``get`` raised TimeoutError.
    """

    __slots__ = ()

    ready: int
    in_use: int
    waiting: int
    made: int
    used: int
    failed: int
    timed_out: int


class Room:
    """What a pool has in one process: a fork leaves the parent's behind, whose lock another thread may have held."""

    def __init__(self) -> None:
        from threading import Condition

        # Its lock may be taken again by the thread that has it: a lease may be dropped by Python's collector.
        self.changed = Condition()
        self.ready: deque[Instance] = deque()
        self.out: set[Store] = set()
        self.busy = 0  # out, or being made
        self.waiting = self.made = self.used = self.failed = self.timed_out = 0


class Pool:
    """Ready instances of a module, each for one thread at a time::

        with anywasm.Pool("plugin.wasm", 4, memory=16 << 20, timeout=1.0) as pool:
            with pool.get(timeout=0.5) as instance:
                instance.exports.handle(1)

    source: what :class:`Module` takes (a path, bytes, or text), or a Module.
    size: how many instances are made ahead. The first ones are made here; later ones by the thread that gives one
      back, unless somebody waits, who then makes its own. The pool has no thread.
    imports: as for :class:`Instance`, or a function that is called with each new Store and returns that. Callables that
      all instances share are called by whichever thread uses one.
    max_size: how many instances there may be at once, ready and in use; *size* unless told otherwise.
    reset: what becomes of an instance that was given back. "replace": its store is closed, and a fresh one with a fresh
      instance takes its place, so nothing of one use reaches the next. "keep": it stays as it is. A function is called
      with the instance, to clear what the next use must not see; what it raises comes out where the instance was given
      back. However it is chosen, an instance is replaced after an exception left the ``with`` block, after a call in it
      failed (a trap, a limit, an exception of a host function), and while a view of its memory exists.
    prepare: a function that is called with each new instance before it is ready.
    engine: an Engine or the name of one; None is the default engine.
    wasi: what a module that imports WASI gets; one Wasi serves all instances. None lets it write to the process's
      stdout and stderr, and nothing else.
    memory, table_elements, instances, tables, memories, timeout, stack: limits of each store, as for :class:`Store`.
    fuel: that for each use.

    Raises what :func:`load` raises, and what *imports* and *prepare* do. Where a later instance cannot be made ahead,
    the next ``get`` tries again, and raises what that raises.
    """

    def __init__(
        self,
        source: Module | _ModuleSource,
        size: int,
        imports: _Imports | Callable[[Store], _Imports] | None = None,
        *,
        max_size: int | None = None,
        reset: Reset = "replace",
        prepare: Callable[[Instance], object] | None = None,
        engine: Engine | str | None = None,
        wasi: Wasi | None = None,
        memory: int | None = None,
        table_elements: int | None = None,
        instances: int | None = None,
        tables: int | None = None,
        memories: int | None = None,
        fuel: int | None = None,
        timeout: float | None = None,
        stack: int | None = None,
    ) -> None:
        self._closed = True  # until it is complete
        self.size = check_count("size", size, 0)
        self.max_size = max(self.size, 1) if max_size is None else check_count("max_size", max_size, max(self.size, 1))
        if reset not in (REPLACE, KEEP) and not callable(reset):
            raise ValueError(f'Pool(): reset: expected "replace", "keep" or a callable, got {reset!r}')
        if prepare is not None and not callable(prepare):
            raise TypeError(f"Pool(): prepare: expected a callable or None, got {type(prepare).__name__}")
        self._reset, self._prepare, self._imports = reset, prepare, imports
        self.module = as_module(source, engine, fuel=fuel, timeout=timeout, stack=stack)
        room = self.module.engine.config.get("pooling")
        if room is not None and room < self.max_size:
            raise ValueError(
                f"Pool(): the engine was made with pooling={room}, which is less than max_size={self.max_size}"
            )
        if wasi is None and imports_wasi(self.module):
            wasi = Wasi(stdout="inherit", stderr="inherit")
        self._fuel = fuel
        self._settings = {
            "wasi": wasi,
            "memory": memory,
            "table_elements": table_elements,
            "instances": instances,
            "tables": tables,
            "memories": memories,
            "fuel": fuel,
            "timeout": timeout,
            "stack": stack,
        }
        self._rooms = {os.getpid(): Room()}
        here = self._room()
        self._closed = False
        try:
            for _ in range(self.size):
                here.ready.append(self._make(here))
        except BaseException:
            self.close()
            raise

    def __repr__(self) -> str:
        if self._closed:
            return "<anywasm.Pool: closed>"
        here = self._room()
        return f"<anywasm.Pool: {len(here.ready)} ready, {here.busy} in use, {self.max_size} at most>"

    def __enter__(self) -> Self:
        if self._closed:
            raise pool_closed()
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    # --- using ------------------------------------------------------------------------------------------------------

    def get(self, timeout: float | None = None) -> Lease:
        """Take an instance out of the pool, for ``with pool.get() as instance:``; the end of the block gives it back.

        timeout: how many seconds to wait while *max_size* instances are in use; 0 does not wait, None waits for ever.

        Raises TimeoutError if none is free in time, ValueError once the pool is closed, and what making an instance
        raises if none was ready.
        """
        until = None if timeout is None else monotonic() + timeout
        here = self._room()
        with here.changed:
            instance = self._take(here, until, timeout)
        if instance is None:
            try:
                instance = self._make(here)
            except BaseException:
                self._put(here, None)
                raise
        with here.changed:
            here.out.add(instance.store)
            here.used += 1
        return Lease(self, here, instance)

    def _take(self, here: Room, until: float | None, timeout: float | None) -> Instance | None:
        """A ready instance, or None and the right to make one, counted as busy."""
        while not self._closed:
            if here.ready:
                here.busy += 1
                return here.ready.pop()  # the last that came is what the processor remembers best
            if here.busy < self.max_size:
                here.busy += 1
                return None
            left = None if until is None else until - monotonic()
            if left is not None and left <= 0:
                here.timed_out += 1
                raise TimeoutError(f"no instance is free: all {self.max_size} are in use, for {timeout:g} s")
            here.waiting += 1
            try:
                here.changed.wait(left)
            except BaseException:  # it may have been woken for an instance that somebody else can have, too
                here.changed.notify()
                raise
            finally:
                here.waiting -= 1
        raise pool_closed()

    def _make(self, here: Room) -> Instance:
        """A fresh store with a fresh instance, ready to be used."""
        store = None
        try:
            store = Store(self.module.engine, **self._settings)  # type: ignore[arg-type]
            imports = self._imports(store) if callable(self._imports) else self._imports
            instance = Instance(self.module, imports, store)
            initialize(instance)
            if self._prepare is not None:
                self._prepare(instance)
            self._refuel(store)
        except BaseException:
            with here.changed:
                here.failed += 1
            if store is not None:
                discard(store)
            raise
        with here.changed:
            here.made += 1
        return instance

    def _refuel(self, store: Store) -> None:
        if self._fuel is not None:
            store.fuel = self._fuel

    def _give_back(self, here: Room, instance: Instance, reuse: bool, make_ahead: bool) -> None:
        """The end of a lease."""
        store = instance.store
        here.out.discard(store)
        if here is not self._rooms.get(os.getpid()):  # the parent's, before a fork: its lock may be held for ever
            discard(store)
            return
        kept = False
        try:
            if reuse and self._reset != REPLACE and store._reusable:
                if callable(self._reset):
                    self._reset(instance)
                self._refuel(store)
                kept = store._reusable
        except BaseException:
            with here.changed:
                here.failed += 1
            raise
        finally:
            try:
                if not kept:
                    discard(store)
            finally:
                self._put(here, instance if kept else None)
        if make_ahead:
            self._make_ahead(here)

    def _put(self, here: Room, instance: Instance | None) -> None:
        """What was busy is ready, or no more."""
        with here.changed:
            here.busy -= 1
            if instance is not None:
                here.ready.append(instance)
            here.changed.notify()
        if self._closed:
            empty(here)

    def _make_ahead(self, here: Room) -> None:
        """Fill the pool up, unless somebody waits, who rather makes one now."""
        while True:
            with here.changed:
                ready = len(here.ready)
                if self._closed or here.waiting or ready >= self.size or ready + here.busy >= self.max_size:
                    return
                here.busy += 1
            instance = None
            try:
                instance = self._make(here)
            except Exception:  # noqa: BLE001 - the next `get` tries again, and raises it to whom it concerns
                return
            finally:
                self._put(here, instance)

    def _room(self) -> Room:
        process = os.getpid()
        here = self._rooms.get(process)
        if here is None:
            # The child of a fork begins with nothing. What the parent had ready is a copy; who comes first frees it.
            left = list(self._rooms.values())
            here = self._rooms.setdefault(process, Room())
            for room in left:
                empty(room)
        return here

    # --- the end ----------------------------------------------------------------------------------------------------

    @property
    def closed(self) -> bool:
        """Whether the pool was closed."""
        return self._closed

    def close(self) -> None:
        """Close the instances that are ready, and each of the others when it is given back.

        Threads that wait in ``get`` get ValueError, and so do later ones. Closing twice is fine.
        """
        here = self._room()
        with here.changed:
            self._closed = True
            here.changed.notify_all()
        empty(here)

    def interrupt(self) -> None:
        """Stop the calls that run in this pool's instances, or the next one of each that is out: they raise LimitError.

        Raises ValueError unless the engine was made with ``interruptible=True``, which *timeout* sees to.
        """
        if "interrupt" not in self.module.engine.capabilities:
            raise ValueError("interrupt() needs an engine made with Engine(interruptible=True)")
        for store in self._room().out.copy():
            if not store.closed:
                store.interrupt()

    @property
    def stats(self) -> PoolStats:
        """What the pool holds and has done until now."""
        here = self._room()
        with here.changed:
            return PoolStats(
                len(here.ready), here.busy, here.waiting, here.made, here.used, here.failed, here.timed_out
            )


class Lease:
    """An instance that is out of its :class:`Pool`, which gives it by ``get``.

    As a context manager it is the instance, and gives it back at the end of the block. Where there is no block, use
    ``lease.instance`` and ``lease.release()``. After that the instance is another's, or closed: keep nothing of it.
    """

    __slots__ = ("_given_back", "_pool", "_room", "instance")
    instance: Instance

    def __init__(self, pool: Pool, room: Room, instance: Instance) -> None:
        self.instance = instance
        self._pool, self._room = pool, room
        self._given_back = False

    def __repr__(self) -> str:
        return f"<anywasm.Lease: {'given back' if self._given_back else 'in use'}>"

    def __enter__(self) -> Instance:
        if self._given_back:
            raise ValueError("the instance was given back: take another with Pool.get()")
        return self.instance

    def __exit__(self, type: object, *rest: object) -> None:
        self.release(reuse=type is None)

    def release(self, *, reuse: bool = True) -> None:
        """Give the instance back; doing it twice is fine.

        reuse: False has it replaced, whatever the pool would do.
        """
        if not self._given_back:
            self._given_back = True
            self._pool._give_back(self._room, self.instance, reuse, make_ahead=True)

    def __del__(self) -> None:
        if getattr(self, "_given_back", True):
            return
        try:
            from warnings import warn
        except ImportError:  # Python is at its end, and all goes
            return
        self._given_back = True
        self._pool._give_back(self._room, self.instance, reuse=False, make_ahead=False)
        warn("an anywasm.Lease was dropped: give it back by a with block or release()", ResourceWarning, 2)


def check_count(name: str, value: object, least: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"Pool(): {name}: expected an int, got {type(value).__name__}")
    if value < least:
        raise ValueError(f"Pool(): {name}: expected at least {least}, got {value}")
    return value


def pool_closed() -> ValueError:
    return ValueError("the pool is closed")


def empty(room: Room) -> None:
    """Close what is ready; without the lock, for this may be the copy of a parent's."""
    while room.ready:
        try:
            instance = room.ready.pop()
        except IndexError:  # another thread was faster
            return
        try:
            discard(instance.store)
        except BaseException:  # of a stream
            empty(room)
            raise


def discard(store: Store) -> None:
    """Close a store, or leave it to whoever still looks at its memory or runs in it."""
    try:  # noqa: SIM105 - contextlib is slow to import
        store.close()
    except (BufferError, RuntimeError):
        pass

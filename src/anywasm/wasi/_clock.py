# SPDX-License-Identifier: Apache-2.0
"""Time and chance of a program's own, for runs that give the same bytes twice."""

from __future__ import annotations

from ._settings import Settings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import datetime

SECOND = 10**9
MOST = 2**63 - 1  # nanoseconds: the year 2262


class Clock(Settings):
    """A clock for :class:`Wasi`'s *clock*, instead of the host's: all that a program learns of time and waits for.

    start: what time it is when the program begins: a :class:`datetime.datetime`, or seconds since 1970.
    speed: how fast its time passes; 1.0 is as fast as the host's, 60.0 makes a minute a second. At 0 it stands still:
      then sleeping takes no time, and sets the clock forward by what was slept.
    step: seconds that the clock goes on by at each reading, for programs that wait by looking at it.

    ``Clock(0.0, speed=0.0)`` gives two runs the same times. Files on the host's disk have the host's.
    """

    __slots__ = ("speed", "start", "step")
    start: float | datetime
    speed: float
    step: float

    def __init__(self, start: float | datetime = 0.0, *, speed: float = 1.0, step: float = 0.0) -> None:
        self._set(start=start, speed=speed, step=step)
        if not 0 <= self._seconds() * SECOND <= MOST:
            raise ValueError(f"Clock(): start: expected a time from 1970 to 2262, got {start!r}")
        if not 0 <= speed <= 1e9:
            raise ValueError(f"Clock(): speed: expected a number from 0 to 1e9, got {speed!r}")
        if not 0 <= step <= 1e9:
            raise ValueError(f"Clock(): step: expected seconds from 0 to 1e9, got {step!r}")

    def _seconds(self) -> float:
        if isinstance(self.start, (int, float)):
            return self.start
        timestamp = getattr(self.start, "timestamp", None)
        if timestamp is None:
            kind = type(self.start).__name__
            raise TypeError(f"Clock(): start: expected a datetime or seconds since 1970, got {kind}")
        return float(timestamp())

    def _settings(self) -> tuple[int, float, int]:
        """What WasiHost takes."""
        return round(self._seconds() * SECOND), float(self.speed), round(self.step * SECOND)

    def __repr__(self) -> str:
        return f"Clock({self.start!r}, speed={self.speed!r}, step={self.step!r})"


def check_seed(seed: object) -> int | bytes | None:
    if seed is None or (isinstance(seed, int) and not isinstance(seed, bool)):
        return seed
    if isinstance(seed, (bytes, bytearray, memoryview)):
        return bytes(seed)
    raise TypeError(f"Wasi(): random: expected None, an int or bytes, got {type(seed).__name__}")


def seed_bytes(seed: int | bytes | None) -> bytes | None:
    """Thirty-two bytes that tell one seed from another."""
    if seed is None:
        return None
    from hashlib import sha256

    return sha256(b"bytes:" + seed if isinstance(seed, bytes) else b"int:%d" % seed).digest()

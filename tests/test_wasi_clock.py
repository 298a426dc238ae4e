# SPDX-License-Identifier: Apache-2.0
"""Time and chance of a program's own: what it reads, how it waits, and that two runs give the same bytes."""

import struct
import time
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

import anywasm
from anywasm import wasi
from wasi_guest import CREAT, DATA, OUT, WRITE, Guest

REALTIME, MONOTONIC, PROCESS, THREAD = range(4)
SECOND = 10**9


def guest_of(engine: anywasm.Engine, **settings: Any) -> Guest:
    return Guest(engine, anywasm.Wasi(**settings))


def read(guest: Guest, number: int = REALTIME) -> int:
    guest.call("clock_time_get", number, 1, OUT)
    return guest.number(OUT, 8)


def sleep(
    guest: Guest, timeout: int, clock: int = MONOTONIC, flags: int = 0, descriptor: int | None = None
) -> list[int]:
    """Wait by poll_oneoff: the userdata of what fired."""
    subscriptions = struct.pack("<QB7xIxxxxQQHxxxxxx", 7, 0, clock, timeout, 0, flags)
    if descriptor is not None:
        subscriptions += struct.pack("<QB7xI28x", 8, 1, descriptor)
    guest.memory.write(DATA, subscriptions)
    guest.call("poll_oneoff", DATA, DATA + 1024, len(subscriptions) // 48, OUT)
    events = guest.number(OUT)
    return [guest.number(DATA + 1024 + 32 * index, 8) for index in range(events)]


def test_a_clock_that_stands(engine: anywasm.Engine) -> None:
    start = datetime(2000, 1, 1, tzinfo=timezone.utc)
    guest = guest_of(engine, clock=wasi.Clock(start, speed=0))
    now = 946684800 * SECOND
    assert [read(guest), read(guest)] == [now, now]
    assert [read(guest, MONOTONIC), read(guest, PROCESS), read(guest, THREAD)] == [SECOND] * 3
    assert sleep(guest, 3600 * SECOND) == [7]  # at once
    assert read(guest) == now + 3600 * SECOND
    assert sleep(guest, now + 7200 * SECOND, REALTIME, flags=1) == [7]
    assert read(guest) == now + 7200 * SECOND
    assert read(guest, MONOTONIC) == 7201 * SECOND
    assert sleep(guest, now, REALTIME, flags=1) == [7]  # long ago
    assert read(guest) == now + 7200 * SECOND


def test_what_is_ready_comes_before_a_sleep(engine: anywasm.Engine) -> None:
    guest = guest_of(engine, clock=wasi.Clock(speed=0), stdin=b"x")
    assert sleep(guest, SECOND, descriptor=0) == [8]
    assert read(guest) == 0
    assert sleep(guest, 0, descriptor=0) == [7, 8]


def test_each_reading_is_a_step(engine: anywasm.Engine) -> None:
    guest = guest_of(engine, clock=wasi.Clock(100.5, speed=0, step=0.25))
    assert [read(guest), read(guest), read(guest)] == [int(seconds * SECOND) for seconds in (100.5, 100.75, 101)]
    guest.call("clock_res_get", REALTIME, OUT)
    assert guest.number(OUT, 8) == SECOND // 4


def test_a_clock_that_runs_fast(engine: anywasm.Engine) -> None:
    guest = guest_of(engine, clock=wasi.Clock(speed=10_000))
    begun = time.monotonic()
    assert sleep(guest, 100 * SECOND) == [7]
    assert read(guest) >= 100 * SECOND
    assert time.monotonic() - begun < 50


def test_a_clock_that_runs_slowly(engine: anywasm.Engine) -> None:
    guest = guest_of(engine, clock=wasi.Clock(speed=0.01))
    begun = time.monotonic()
    assert sleep(guest, SECOND // 1000) == [7]
    assert time.monotonic() - begun > 0.09
    assert SECOND // 1000 <= read(guest) < SECOND


def test_without_one_it_is_the_hosts(engine: anywasm.Engine) -> None:
    guest = guest_of(engine)
    before = time.time_ns()
    assert before <= read(guest) <= time.time_ns()


def test_files_in_memory_have_the_programs_time(engine: anywasm.Engine) -> None:
    guest = guest_of(engine, clock=wasi.Clock(5.0, speed=0), mounts={"/": wasi.Memory()})
    guest.write(guest.open("new", CREAT, WRITE), b"x")
    assert guest.stat("new").modified == 5 * SECOND


def chance(guest: Guest, size: int = 100) -> bytes:
    guest.call("random_get", DATA, size)
    return bytes(guest.memory.read(DATA, size))


@pytest.mark.parametrize("seed", [0, 1, -5, 10**30, b"", b"seed"])
def test_the_same_seed_gives_the_same_numbers(engine: anywasm.Engine, seed: int | bytes) -> None:
    one, two = guest_of(engine, random=seed), guest_of(engine, random=seed)
    assert [chance(one, 100), chance(one, 7)] == [chance(two, 100), chance(two, 7)]
    assert chance(one) != chance(one)


def test_other_seeds_give_other_numbers(engine: anywasm.Engine) -> None:
    seen = {chance(guest_of(engine, random=seed)) for seed in (None, None, 0, 1, b"", b"0", b"int:0")}
    assert len(seen) == 7
    many = b"".join(chance(guest_of(engine, random=seed), 1000) for seed in range(20))
    assert all(40 < many.count(bytes([byte])) < 120 for byte in range(256))  # 78 are expected


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: wasi.Clock(-1), ValueError, "a time from 1970 to 2262"),
        (lambda: wasi.Clock(1e30), ValueError, "a time from 1970 to 2262"),
        (lambda: wasi.Clock("now"), TypeError, "expected a datetime or seconds since 1970, got str"),  # type: ignore[arg-type]
        (lambda: wasi.Clock(speed=-1), ValueError, "speed: expected a number from 0 to 1e9, got -1"),
        (lambda: wasi.Clock(speed=float("nan")), ValueError, "speed"),
        (lambda: wasi.Clock(step=-1), ValueError, "step: expected seconds"),
        (lambda: anywasm.Wasi(clock=5), TypeError, "clock: expected a wasi.Clock or None, got int"),  # type: ignore[arg-type]
        (lambda: anywasm.Wasi(random="x"), TypeError, "random: expected None, an int or bytes, got str"),  # type: ignore[arg-type]
        (lambda: anywasm.Wasi(random=True), TypeError, "random: expected None, an int or bytes, got bool"),
    ],
)
def test_mistakes(make: Callable[[], object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


def test_it_shows_in_the_repr() -> None:
    settings = anywasm.Wasi(clock=wasi.Clock(5, speed=0), random=0)
    assert repr(settings) == "Wasi(clock=Clock(5, speed=0, step=0.0), random=0)"


CHANCE_C = """
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
int main(void)
{
    unsigned char bytes[16];
    getentropy(bytes, sizeof(bytes));
    for (int i = 0; i < 16; i++) printf("%02x", bytes[i]);
    sleep(1000);
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    printf(" %ld %ld.%09ld\\n", (long)time(NULL), (long)now.tv_sec, now.tv_nsec);
}
"""


def test_a_c_program_gives_the_same_bytes_twice(engine: anywasm.Engine, compile_c: Callable[..., Path]) -> None:
    program = anywasm.Module(compile_c(CHANCE_C), engine)
    runs = [
        anywasm.run(program, clock=wasi.Clock(1e9, speed=0), random=7, capture_output=True, text=True) for _ in range(2)
    ]
    assert runs[0].stdout == runs[1].stdout
    assert runs[0].stdout.split()[1:] == ["1000001000", "1001.000000000"]


CHANCE_GO = """
package main

import (
	"crypto/rand"
	"fmt"
	"time"
)

func main() {
	bytes := make([]byte, 8)
	rand.Read(bytes)
	begun := time.Now()
	time.Sleep(time.Hour)
	letters := map[string]int{}
	for letter := 'a'; letter <= 'z'; letter++ {
		letters[string(letter)] = int(letter)
	}
	fmt.Printf("%x %v ", bytes, begun.UTC())
	for letter := range letters { // in an order of chance
		fmt.Print(letter)
	}
	fmt.Println(time.Since(begun))
}
"""


@pytest.mark.slow
def test_a_go_program_gives_the_same_bytes_twice(
    engine: anywasm.Engine, build_go: Callable[[str | Path], Path], tmp_path: Path
) -> None:
    (tmp_path / "chance").mkdir()
    (tmp_path / "chance" / "main.go").write_text(CHANCE_GO)
    (tmp_path / "chance" / "go.mod").write_text("module chance\n\ngo 1.21\n")
    program = anywasm.Module(build_go(tmp_path / "chance"), engine)
    settings: dict[str, Any] = {"clock": wasi.Clock(1e9, speed=0), "capture_output": True, "text": True}
    runs = [anywasm.run(program, random=seed, **settings).stdout for seed in (7, 7, 8)]
    assert runs[0] == runs[1]
    assert runs[0].split()[0] != runs[2].split()[0]
    assert "2001-09-09 01:46:40 +0000 UTC" in runs[0]
    assert runs[0].endswith("1h0m0s\n")

# SPDX-License-Identifier: Apache-2.0
"""Programs that try to take more than they are given, and a process for each that measures how it ended.

tests/test_attacks.py runs them; benchmarks/attack_table.py writes them down as a table.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import toolchain
import wasi_guest

MIB = 1 << 20
# What each program is given, unless it says otherwise: one call with everything bounded.
LIMITS: dict[str, Any] = {
    "timeout": 1.0,
    "compile_timeout": 10.0,
    "memory": 64 * MIB,
    "stack": 512 << 10,
    "max_output": MIB,
    "capture_output": True,
}


@dataclass(frozen=True)
class Attack:
    does: str  # for the table
    source: Callable[[], bytes]
    ends: tuple[str, ...]  # names of exceptions, or exit statuses, any of them
    limits: dict[str, Any] = field(default_factory=dict)
    needs: str | None = None  # a capability
    setup: str = ""  # what of this file prepares it


# --- sources ----------------------------------------------------------------------------------------------------------


def imports() -> str:
    """All of WASI's functions, by their names."""
    lines = []
    for name, letters in wasi_guest.FUNCTIONS.items():
        parameters = " ".join({"i": "i32", "I": "i64"}[letter] for letter in letters)
        result = "" if name == "proc_exit" else "(result i32)"
        lines.append(f'(import "wasi_snapshot_preview1" "{name}" (func ${name} (param {parameters}) {result}))')
    return "\n".join(lines)


def program(body: str, *, items: str = "", memory: str = "1") -> Callable[[], bytes]:
    """A program for WASI whose main function has this body."""
    return lambda: toolchain.wat(
        f'(module {imports()} (memory (export "memory") {memory}) {items} (func $main (export "_start") {body}))'
    )


def module(text: Callable[[], str] | str) -> Callable[[], bytes]:
    return lambda: toolchain.wat(text if isinstance(text, str) else text())


def c(text: str) -> Callable[[], bytes]:
    return lambda: toolchain.compile_c(text).read_bytes()


def number(value: int) -> bytes:
    """As LEB128."""
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def sections(*parts: tuple[int, bytes]) -> bytes:
    return b"\0asm\1\0\0\0" + b"".join(bytes([id]) + number(len(body)) + body for id, body in parts)


def functions(*bodies: bytes) -> bytes:
    """A module of functions without parameters, of which the first is exported as _start."""
    count = number(len(bodies))
    return sections(
        (1, b"\1\x60\0\0"),
        (3, count + b"\0" * len(bodies)),
        (7, b"\1\6_start\0\0"),
        (10, count + b"".join(number(len(body)) + body for body in bodies)),
    )


def many_functions() -> bytes:
    return functions(*[b"\0\x41\1\x1a\x0b"] * 100_000)


def deep_nesting() -> bytes:
    return functions(b"\0" + b"\2\x40" * 50_000 + b"\x0b" * 50_000 + b"\x0b")


def long_function() -> bytes:
    return functions(b"\1\1\x7f" + b"\x20\0\x41\3\x6a\x21\0" * 200_000 + b"\x0b")


def many_branches() -> bytes:
    table = b"\x0e" + number(100_000) + b"\0" * 100_000 + b"\0"
    return functions(b"\0" + b"\2\x40\x41\0" + table + b"\x0b\x0b")


def many_locals() -> bytes:
    return functions(b"\1" + number(50_000) + b"\x7e" + b"\x10\0\x0b")


def huge_data() -> bytes:
    """32 MiB, into a memory that may have them."""
    data = bytes(32 * MIB)
    return sections(
        (1, b"\1\x60\0\0"),
        (3, b"\1\0"),
        (5, b"\1\0" + number(512)),
        (7, b"\1\6_start\0\0"),
        (10, b"\1\2\0\x0b"),
        (11, b"\1\0\x41\0\x0b" + number(len(data)) + data),
    )


def tangled_values() -> bytes:
    """As many loops in each other as variables, all of which change in the innermost: each is a value of each loop."""
    count = 600
    body = b"\1" + number(count) + b"\x7f" + b"\3\x40" * count
    body += b"".join(b"\x20" + number(i) + b"\x41\1\x6a\x21" + number(i) for i in range(count))
    body += b"".join(b"\x20" + number(i) + b"\x0d\0\x0b" for i in range(count))
    return functions(body + b"\x0b")


def many_exports() -> bytes:
    names = [f"f{i}".encode() for i in range(100_000)]
    exports = b"".join(number(len(name)) + name + b"\0\0" for name in names)
    return sections(
        (1, b"\1\x60\0\0"),
        (3, b"\1\0"),
        (7, number(len(names) + 1) + b"\6_start\0\0" + exports),
        (10, b"\1\2\0\x0b"),
    )


CLOCK = """
  (i64.store (i32.const 24) (i64.const 3600000000000))
  (i32.store (i32.const 16) (i32.const 1))
"""
ESCAPES = (
    "..", "../..", "a/../..", "a/../../etc/passwd", "/etc/passwd", "//etc/passwd", "./../.", "link", "link/passwd",
    "absolute", "absolute/passwd", "up", "up/..", "/proc/self/root/etc/passwd", "self", "self/root/etc/passwd",
)  # fmt: skip


def escapes() -> bytes:
    """Opens each path from the mount; exits with how many could be opened."""
    data, calls, place = [], [], 1024
    for path in ESCAPES:
        data.append(f'(data (i32.const {place}) "{path}")')
        calls.append(
            "(local.set $opened (i32.add (local.get $opened) (i32.eqz (call $path_open (i32.const 3) (i32.const 1) "
            f"(i32.const {place}) (i32.const {len(path)}) (i32.const 0) (i64.const 2) (i64.const 2) (i32.const 0) "
            "(i32.const 512)))))"
        )
        place += 64
    body = f"(local $opened i32) {' '.join(calls)} (call $proc_exit (local.get $opened))"
    return program(body, items=" ".join(data))()


OPEN = """(call $path_open (i32.const 3) (i32.const 1) (i32.const 64) (i32.const {length})
  (i32.const {oflags}) (i64.const {rights}) (i64.const {rights}) (i32.const 0) (i32.const 512))"""
GROW = "(loop $again (br_if $again (i32.ne (memory.grow (i32.const 16)) (i32.const -1))))"
FILL = "(memory.fill (i32.const 0) (i32.const 1) (i32.mul (memory.size) (i32.const 65536)))"

# --- the attacks ------------------------------------------------------------------------------------------------------

TIME = ("TimeoutExpired",)
ATTACKS: dict[str, Attack] = {
    "loop": Attack("an endless loop", program("(loop (br 0))"), TIME),
    "loop-fuel": Attack(
        "the same, with fuel for 100 million instructions and no timeout",
        program("(loop (br 0))"),
        ("FuelLimitError",),
        {"fuel": 100_000_000, "timeout": None},
    ),
    "sleep": Attack(
        "sleeping for an hour",
        program(f"{CLOCK} (drop (call $poll_oneoff (i32.const 0) (i32.const 64) (i32.const 1) (i32.const 128)))"),
        TIME,
    ),
    "poll": Attack(
        "waiting for 4,000 clocks at once, for an hour",
        program(
            f"""(local $i i32)
            (loop $again
              {CLOCK}
              (memory.copy (i32.add (i32.const 4096) (i32.mul (local.get $i) (i32.const 48))) (i32.const 0)
                (i32.const 48))
              (br_if $again (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 4000))))
            (loop
              (drop (call $poll_oneoff (i32.const 4096) (i32.const 262144) (i32.const 4000) (i32.const 128)))
              (br 0))""",
            memory="16",
        ),
        TIME,
    ),
    "read": Attack(
        "reading from a pipe into which nobody writes",
        program(
            """(i32.store (i32.const 0) (i32.const 64)) (i32.store (i32.const 4) (i32.const 64))
            (drop (call $fd_read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 16)))"""
        ),
        TIME,
        setup="silent_stdin",
    ),
    "write": Attack(
        "writing to a pipe that nobody reads",
        program(
            """(i32.store (i32.const 0) (i32.const 64)) (i32.store (i32.const 4) (i32.const 65000))
            (loop (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 16))) (br 0))"""
        ),
        TIME,
        {"max_output": 1 << 40},
        setup="deaf_stdout",
    ),
    "yield": Attack("giving way for ever", program("(loop (drop (call $sched_yield)) (br 0))"), TIME),
    "random": Attack(
        "asking for random numbers all the time, 60 MiB at once",
        program(
            "(loop (drop (call $random_get (i32.const 0) (i32.const 62914560))) (br 0))",
            memory="1000",
        ),
        TIME,
    ),
    "random-2g": Attack(
        "asking for 2 GiB of random numbers",
        program("(call $proc_exit (call $random_get (i32.const 0) (i32.const 0x80000000)))"),
        ("21",),  # EFAULT
    ),
    "wait": Attack(
        "waiting on a shared memory for ever",
        module(
            """(module (memory 1 1 shared) (func (export "_start")
              (drop (memory.atomic.wait32 (i32.const 0) (i32.const 0) (i64.const -1)))))"""
        ),
        ("TimeoutExpired", "UnsupportedError"),
        needs="threads",
    ),
    "memory": Attack(
        "taking all memory, touching it, and aborting",
        program(f"{GROW} {FILL} unreachable"),
        ("MemoryLimitError", "Trap"),
    ),
    "malloc": Attack(
        "malloc in a loop, in C",
        c(
            """
            #include <stdlib.h>
            #include <string.h>
            int main(void) {
                for (;;) {
                    char *volatile bytes = malloc(1 << 20);
                    if (!bytes) abort();
                    memset(bytes, 1, 1 << 20);
                }
            }
            """
        ),
        ("MemoryLimitError", "Trap"),
    ),
    "memory-minimum": Attack("a memory of 4 GiB from the start", program("", memory="65536"), ("MemoryLimitError",)),
    "memories": Attack(
        "90 memories",
        module(lambda: f'(module {"(memory 16)" * 90} (func (export "_start")))'),
        ("LimitError",),
        needs="multi_memory",
    ),
    "shared-memory": Attack(
        "growing a shared memory",
        module(
            """(module (memory 1 65536 shared) (func (export "_start")
              (loop $again (br_if $again (i32.ne (memory.grow (i32.const 16)) (i32.const -1))))
              (memory.fill (i32.const 0) (i32.const 1) (i32.mul (memory.size) (i32.const 65536))) unreachable))"""
        ),
        ("MemoryLimitError", "UnsupportedError"),
        needs="threads",
    ),
    "heap": Attack(
        "filling the heap of collected objects",
        module(
            """(module
              (type $bytes (array (mut i8)))
              (type $node (struct (field (ref null $node)) (field (ref $bytes))))
              (func (export "_start") (local $list (ref null $node))
                (loop $again
                  (local.set $list (struct.new $node (local.get $list) (array.new_default $bytes (i32.const 100000))))
                  (br $again))))"""
        ),
        ("MemoryLimitError",),
        needs="gc",
    ),
    "table": Attack(
        "growing a table to its end",
        program(
            """(loop $again (br_if $again (i32.ne (table.grow $t (ref.null func) (i32.const 100000)) (i32.const -1))))
            (call $proc_exit (i32.gt_u (table.size $t) (i32.const 10000000)))""",
            items="(table $t 1 funcref)",
        ),
        ("0",),
    ),
    "table-minimum": Attack(
        "a table of 4 thousand million elements from the start",
        program("", items="(table 4294967295 funcref)"),
        ("TableLimitError", "CompileError"),
    ),
    "tables": Attack(
        "90 tables of a hundred thousand elements",
        program("", items="(table 100000 funcref)" * 90),
        ("LimitError",),
    ),
    "recursion": Attack("a function that calls itself", program("(call $main)"), ("StackLimitError",)),
    "recursion-locals": Attack("the same, of 50,000 variables", many_locals, ("StackLimitError", "CompileError")),
    "recursion-host": Attack(
        "a module and Python calling each other",
        module('(module (import "host" "call" (func $call)) (func (export "f") (call $call)))'),
        ("StackLimitError", "RecursionError"),
        setup="ping_pong",
    ),
    "output": Attack(
        "writing for ever, 64 KiB at once",
        program(
            """(i32.store (i32.const 4) (i32.const 65536))
            (loop (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 16))) (br 0))""",
            memory="2",
        ),
        ("OutputLimitError",),
    ),
    "output-bytes": Attack(
        "writing to stderr for ever, byte by byte",
        program(
            """(i32.store (i32.const 4) (i32.const 1))
            (loop (drop (call $fd_write (i32.const 2) (i32.const 0) (i32.const 1) (i32.const 16))) (br 0))"""
        ),
        ("OutputLimitError", "TimeoutExpired"),
    ),
    "output-dropped": Attack(
        "writing for ever, when the rest is dropped",
        program(
            """(i32.store (i32.const 4) (i32.const 65536))
            (loop (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 16))) (br 0))""",
            memory="2",
        ),
        TIME,
        {"truncate": True},
    ),
    "descriptors": Attack(
        "opening a file again and again",
        program(
            f"""(local $error i32)
            (i32.store8 (i32.const 64) (i32.const 0x66))
            (loop $again
              (local.set $error {OPEN.format(length=1, oflags=1, rights=66)})
              (br_if $again (i32.eqz (local.get $error))))
            (call $proc_exit (local.get $error))"""
        ),
        ("33",),  # EMFILE
        setup="mount",
    ),
    "listings": Attack(
        "beginning to list a large directory, a thousand times at once",
        program(
            f"""(local $i i32)
            (i32.store8 (i32.const 64) (i32.const 0x2e))
            (loop $again
              (if {OPEN.format(length=1, oflags=2, rights=16384)} (then (call $proc_exit (i32.const 0))))
              (drop (call $fd_readdir (i32.load (i32.const 512)) (i32.const 1024) (i32.const 64) (i64.const 0)
                (i32.const 520)))
              (br $again))"""
        ),
        ("0", "TimeoutExpired"),
        setup="crowded_mount",
    ),
    "files": Attack(
        "making files in memory without end",
        program(
            f"""(local $i i32) (local $digit i32) (local $error i32)
            (loop $again
              (local.set $digit (i32.const 0))
              (loop $name
                (i32.store8 (i32.add (i32.const 64) (local.get $digit))
                  (i32.add (i32.const 97)
                    (i32.and (i32.shr_u (local.get $i) (i32.mul (local.get $digit) (i32.const 4))) (i32.const 15))))
                (br_if $name (i32.lt_u (local.tee $digit (i32.add (local.get $digit) (i32.const 1))) (i32.const 8))))
              (local.set $i (i32.add (local.get $i) (i32.const 1)))
              (local.set $error {OPEN.format(length=8, oflags=1, rights=66)})
              (drop (call $fd_close (i32.load (i32.const 512))))
              (br_if $again (i32.eqz (local.get $error))))
            (call $proc_exit (local.get $error))"""
        ),
        ("51", "TimeoutExpired"),  # ENOSPC
        setup="memory_mount",
    ),
    "file": Attack(
        "making a file in memory of 1 TiB: at once, by its length, by writing behind its end",
        program(
            f"""(i32.store8 (i32.const 64) (i32.const 0x66))
            (drop {OPEN.format(length=1, oflags=1, rights=0x1FFFFFFF)})
            (i32.store (i32.const 4) (i32.const 1))
            (call $proc_exit (i32.or
              (i32.eqz (call $fd_allocate (i32.load (i32.const 512)) (i64.const 0) (i64.const 0x10000000000)))
              (i32.or
                (i32.eqz (call $fd_filestat_set_size (i32.load (i32.const 512)) (i64.const 0x10000000000)))
                (i32.eqz (call $fd_pwrite (i32.load (i32.const 512)) (i32.const 0) (i32.const 1)
                  (i64.const 0x10000000000) (i32.const 16))))))"""
        ),
        ("0",),
        setup="memory_mount",
    ),
    "paths": Attack(
        f"{len(ESCAPES)} ways out of a directory: names, links, /proc", escapes, ("0",), setup="mount_with_links"
    ),
    "arguments": Attack(
        "10 MB of arguments, into a memory of one page",
        program("(call $proc_exit (call $args_get (i32.const 0) (i32.const 1024)))"),
        ("21",),
        setup="gigantic_arguments",
    ),
    "instances": Attack(
        "a host function that makes an instance, called for ever",
        module(
            """(module (import "host" "spawn" (func $spawn)) (memory 16)
              (func (export "f") (loop (call $spawn) (br 0))))"""
        ),
        ("InstanceLimitError",),
        setup="fork_bomb",
    ),
    "functions": Attack("100,000 functions", many_functions, ("0",)),
    "nesting": Attack("50,000 blocks in each other", deep_nesting, ("0", "CompileError")),
    "long-function": Attack("a function of 800,000 instructions", long_function, ("0", "CompileError")),
    "branches": Attack("a branch of 100,000 ways", many_branches, ("0", "CompileError")),
    "values": Attack("10 KB that are hard to compile", tangled_values, ("TimeoutExpired", "CompileError")),
    "exports": Attack("100,000 exports", many_exports, ("0",)),
    "data": Attack("32 MiB of data", huge_data, ("0",)),
}


# --- what some of them find -----------------------------------------------------------------------------------------


def silent_stdin(_source: bytes, scratch: Path) -> dict[str, Any]:
    return {"stdin": os.pipe()[0]}


def deaf_stdout(_source: bytes, scratch: Path) -> dict[str, Any]:
    return {"capture_output": False, "stdout": os.pipe()[1]}


def mount(_source: bytes, scratch: Path) -> dict[str, Any]:
    return {"mounts": {"/": scratch}}


def crowded_mount(_source: bytes, scratch: Path) -> dict[str, Any]:
    for i in range(2000):
        (scratch / f"{i:0200}").touch()
    return {"mounts": {"/": scratch}}


def memory_mount(_source: bytes, scratch: Path) -> dict[str, Any]:
    from anywasm import wasi

    return {"mounts": {"/": wasi.Memory(limit=MIB)}}


def mount_with_links(_source: bytes, scratch: Path) -> dict[str, Any]:
    inner = scratch / "inner"
    (inner / "a").mkdir(parents=True)
    for name, target in (("link", "../outer"), ("absolute", "/etc"), ("up", ".."), ("self", "/proc/self")):
        (inner / name).symlink_to(target)
    return {"mounts": {"/": inner}}


def gigantic_arguments(_source: bytes, scratch: Path) -> dict[str, Any]:
    return {"args": ["x" * 100_000] * 100}


# --- one process ------------------------------------------------------------------------------------------------------


def resident(name: str) -> float:
    """VmRSS or VmHWM of this process, in MiB."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith(name)) / 1024


def store_of(anywasm: Any, engine: str, **more: Any) -> Any:
    limits = {name: LIMITS[name] for name in ("timeout", "memory", "stack")}
    able = anywasm.Engine(engine, interruptible=True, max_wasm_stack=limits["stack"])
    return anywasm.Store(able, **limits, **more)


def ping_pong(anywasm: Any, engine: str, source: bytes) -> None:
    store = store_of(anywasm, engine)
    instances: list[Any] = []
    module = anywasm.Module(source, store.engine)
    instances.append(anywasm.Instance(module, {"host": {"call": lambda: instances[0].exports.f()}}, store))
    instances[0].exports.f()


def fork_bomb(anywasm: Any, engine: str, source: bytes) -> None:
    store = store_of(anywasm, engine, instances=20)
    module = anywasm.Module(source, store.engine)

    def spawn() -> None:
        anywasm.Instance(module, {"host": {"spawn": spawn}}, store)

    anywasm.Instance(module, {"host": {"spawn": spawn}}, store).exports.f()


BY_HAND = {"ping_pong": ping_pong, "fork_bomb": fork_bomb}


def child(name: str, engine: str, path: str, scratch: str) -> None:
    """Run one here, and print how it ended."""
    import anywasm

    attack = ATTACKS[name]
    source = Path(path).read_bytes()
    options = LIMITS | attack.limits
    if attack.setup and attack.setup not in BY_HAND:
        options |= globals()[attack.setup](source, Path(scratch))
    anywasm.Engine(engine)  # the engine's own memory is not the attack's
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before, began = resident("VmRSS"), time.monotonic()
    message = ""
    try:
        if attack.setup in BY_HAND:
            BY_HAND[attack.setup](anywasm, engine, source)
            ended = "0"
        else:
            ended = str(anywasm.run(source, engine=anywasm_engine(anywasm, engine, options), **options).returncode)
    except Exception as error:
        ended, message = type(error).__name__, str(error)
    seconds = time.monotonic() - began
    # The compiler's process, if there was one, had its peak when this one had not.
    compiler = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    peak = max(resident("VmHWM") - before, compiler, 0.0)
    print(json.dumps({"ended": ended, "message": message, "seconds": seconds, "peak": peak}))


def anywasm_engine(anywasm: Any, name: str, options: dict[str, Any]) -> Any:
    """Without the cache on disk: a module that is met for the first time is what is measured."""
    return anywasm.Engine(
        name,
        cache=False,
        interruptible=options["timeout"] is not None,
        fuel=options.get("fuel") is not None,
        max_wasm_stack=options["stack"],
    )


@contextlib.contextmanager
def scratch_folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="anywasm-attack-") as folder:
        yield Path(folder)


def launch(name: str, engine: str, patience: float = 120) -> dict[str, Any]:
    """Run an attack in a process of its own: how it ended, seconds, and MiB at the peak beyond those before."""
    with scratch_folder() as folder:
        (folder / "module.wasm").write_bytes(ATTACKS[name].source())
        (folder / "scratch").mkdir()
        command = [sys.executable, __file__, name, engine, str(folder / "module.wasm"), str(folder / "scratch")]
        done = subprocess.run(command, capture_output=True, text=True, timeout=patience, check=False)
    if done.returncode != 0 or done.stderr:
        return {"ended": f"status {done.returncode}", "message": done.stderr, "seconds": 0.0, "peak": 0.0}
    result: dict[str, Any] = json.loads(done.stdout)
    return result


if __name__ == "__main__":
    child(*sys.argv[1:])

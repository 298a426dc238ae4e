# SPDX-License-Identifier: Apache-2.0
"""Small WASI programs as text, for tests of what runs them; bigger ones, in C and Go, are in tests/programs."""

IMPORTS = """
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "args_sizes_get" (func $args_sizes_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "args_get" (func $args_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "environ_sizes_get" (func $environ_sizes_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "environ_get" (func $environ_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (memory (export "memory") 3)
  ;; Write bytes to a descriptor, until all are; on an error exit with its number.
  (func $write (param $fd i32) (param $address i32) (param $length i32)
    (local $error i32)
    (loop $again
      (i32.store (i32.const 0) (local.get $address))
      (i32.store (i32.const 4) (local.get $length))
      (local.set $error (call $fd_write (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 8)))
      (if (local.get $error) (then (call $proc_exit (local.get $error))))
      (local.set $address (i32.add (local.get $address) (i32.load (i32.const 8))))
      (local.set $length (i32.sub (local.get $length) (i32.load (i32.const 8))))
      (br_if $again (i32.gt_s (local.get $length) (i32.const 0)))))
"""


def program(body: str) -> str:
    return f'(module {IMPORTS} (func $main (export "_start") {body}) {DATA})'


DATA = r'(data (i32.const 1024) "out\n") (data (i32.const 1032) "err\n")'

EMPTY = program("")
EXIT_3 = program("(call $proc_exit (i32.const 3))")
EXIT_0 = program("(call $proc_exit (i32.const 0)) unreachable")
TRAP = program("unreachable")
FOREVER = program("(loop (br 0))")
GROW = program("(loop (br_if 0 (i32.ne (memory.grow (i32.const 1)) (i32.const -1)))) (call $proc_exit (memory.size))")

# "out\n" to stdout, "err\n" to stderr
WRITE = program("""
  (call $write (i32.const 1) (i32.const 1024) (i32.const 4))
  (call $write (i32.const 2) (i32.const 1032) (i32.const 4))""")
WRITE_AND_FAIL = WRITE.replace(f") {DATA})", f"(call $proc_exit (i32.const 7))) {DATA})")
WRITE_AND_TRAP = WRITE.replace(f") {DATA})", f"unreachable) {DATA})")

# 64 KB of zeros to stdout, for ever
FLOOD = program("(loop (call $write (i32.const 1) (i32.const 65536) (i32.const 65536)) (br 0))")

# stdin to stdout
CAT = program("""
  (loop $again
    (i32.store (i32.const 16) (i32.const 65536))
    (i32.store (i32.const 20) (i32.const 65536))
    (if (call $fd_read (i32.const 0) (i32.const 16) (i32.const 1) (i32.const 24)) (then unreachable))
    (if (i32.load (i32.const 24))
      (then
        (call $write (i32.const 1) (i32.const 65536) (i32.load (i32.const 24)))
        (br $again))))""")

# The arguments, then the environment, each ended by a NUL
WORLD = program("""
  (if (call $args_sizes_get (i32.const 16) (i32.const 20)) (then unreachable))
  (if (call $args_get (i32.const 4096) (i32.const 65536)) (then unreachable))
  (call $write (i32.const 1) (i32.const 65536) (i32.load (i32.const 20)))
  (if (call $environ_sizes_get (i32.const 16) (i32.const 20)) (then unreachable))
  (if (call $environ_get (i32.const 4096) (i32.const 65536)) (then unreachable))
  (call $write (i32.const 1) (i32.const 65536) (i32.load (i32.const 20)))""")

LIBRARY = '(module (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1))))'

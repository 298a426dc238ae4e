;; SPDX-License-Identifier: Apache-2.0
;; A WASI program: writes what is in in.txt, in the first directory that it is given, to out.txt there, in capitals.
(module
  (import "wasi_snapshot_preview1" "path_open"
    (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (memory (export "memory") 2)
  (data (i32.const 0) "in.txt")
  (data (i32.const 16) "out.txt")

  (func $check (param $error i32)
    (if (local.get $error) (then (call $proc_exit (local.get $error)))))

  (func $capitals (param $at i32) (param $end i32)
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $at) (local.get $end)))
        (if (i32.lt_u (i32.sub (i32.load8_u (local.get $at)) (i32.const 97)) (i32.const 26))
          (then (i32.store8 (local.get $at) (i32.sub (i32.load8_u (local.get $at)) (i32.const 32)))))
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        (br $next))))

  (func (export "_start")
    (local $in i32) (local $out i32)
    ;; 32: a descriptor, 40: how much was read or written, 48: where it lies, at 65536, and how much that is
    (call $check (call $path_open (i32.const 3) (i32.const 1) (i32.const 0) (i32.const 6)
      (i32.const 0) (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 32)))
    (local.set $in (i32.load (i32.const 32)))
    (call $check (call $path_open (i32.const 3) (i32.const 1) (i32.const 16) (i32.const 7)
      (i32.const 9) (i64.const 64) (i64.const 0) (i32.const 0) (i32.const 32)))
    (local.set $out (i32.load (i32.const 32)))
    (i32.store (i32.const 48) (i32.const 65536))
    (block $done
      (loop $next
        (i32.store (i32.const 52) (i32.const 65536))
        (call $check (call $fd_read (local.get $in) (i32.const 48) (i32.const 1) (i32.const 40)))
        (br_if $done (i32.eqz (i32.load (i32.const 40))))
        (call $capitals (i32.const 65536) (i32.add (i32.const 65536) (i32.load (i32.const 40))))
        (i32.store (i32.const 52) (i32.load (i32.const 40)))
        (call $check (call $fd_write (local.get $out) (i32.const 48) (i32.const 1) (i32.const 40)))
        (br $next)))))

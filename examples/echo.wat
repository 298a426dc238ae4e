;; SPDX-License-Identifier: Apache-2.0
;; Accepts a connection on descriptor 3, and sends back what comes until it ends.
(module
  (import "wasi_snapshot_preview1" "sock_accept" (func $accept (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "sock_recv" (func $recv (param i32 i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "sock_send" (func $send (param i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 2)
  (func $check (param $errno i32)
    (if (local.get $errno) (then (call $exit (local.get $errno)))))
  (func (export "_start")
    (call $check (call $accept (i32.const 3) (i32.const 0) (i32.const 0)))
    (loop $again
      (i32.store (i32.const 8) (i32.const 65536)) ;; the buffer
      (i32.store (i32.const 12) (i32.const 65536))
      (call $check (call $recv (i32.load (i32.const 0)) (i32.const 8) (i32.const 1) (i32.const 0) (i32.const 12) (i32.const 16)))
      (if (i32.load (i32.const 12))
        (then
          (call $check (call $send (i32.load (i32.const 0)) (i32.const 8) (i32.const 1) (i32.const 0) (i32.const 20)))
          (br $again))))))

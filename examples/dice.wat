;; SPDX-License-Identifier: Apache-2.0
;; Rolls six dice, a second after each other, and prints the seconds that it took and what they show.
(module
  (import "wasi_snapshot_preview1" "clock_time_get" (func $time (param i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "?s: ??????\n")
  (data (i32.const 16) "\00\00\00\00\0b\00\00\00") ;; the text as a vector
  (data (i32.const 64) "\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\01\00\00\00") ;; a subscription to a clock
  (func $now (result i64)
    (drop (call $time (i32.const 1) (i64.const 0) (i32.const 32)))
    (i64.load (i32.const 32)))
  (func $digit (param $place i32) (param $digit i32)
    (i32.store8 (local.get $place) (i32.add (i32.const 48) (local.get $digit))))
  (func (export "_start") (local $begun i64) (local $die i32)
    (local.set $begun (call $now))
    (i64.store (i32.const 88) (i64.const 1000000000)) ;; its timeout
    (loop $again
      (drop (call $poll (i32.const 64) (i32.const 128) (i32.const 1) (i32.const 40)))
      (drop (call $random (i32.const 44) (i32.const 1)))
      (call $digit
        (i32.add (i32.const 4) (local.get $die))
        (i32.add (i32.const 1) (i32.rem_u (i32.load8_u (i32.const 44)) (i32.const 6))))
      (br_if $again (i32.lt_u (local.tee $die (i32.add (local.get $die) (i32.const 1))) (i32.const 6))))
    (call $digit
      (i32.const 0)
      (i32.wrap_i64 (i64.div_u (i64.sub (call $now) (local.get $begun)) (i64.const 1000000000))))
    (drop (call $write (i32.const 1) (i32.const 16) (i32.const 1) (i32.const 48)))))

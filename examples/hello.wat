;; SPDX-License-Identifier: Apache-2.0
;; A WASI program: greets whoever is named on its command line, or the world.
(module
  (import "wasi_snapshot_preview1" "fd_write"
    (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "args_sizes_get" (func $args_sizes_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "args_get" (func $args_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (memory (export "memory") 2)
  (data (i32.const 0) "Hello, ")
  (data (i32.const 8) "world")
  (data (i32.const 16) "!\n")

  (func $print (param $address i32) (param $length i32)
    (i32.store (i32.const 32) (local.get $address))
    (i32.store (i32.const 36) (local.get $length))
    (if (call $fd_write (i32.const 1) (i32.const 32) (i32.const 1) (i32.const 40))
      (then (call $proc_exit (i32.const 1)))))

  (func $length (param $text i32) (result i32)
    (local $end i32)
    (local.set $end (local.get $text))
    (block $done
      (loop $next
        (br_if $done (i32.eqz (i32.load8_u (local.get $end))))
        (local.set $end (i32.add (local.get $end) (i32.const 1)))
        (br $next)))
    (i32.sub (local.get $end) (local.get $text)))

  (func (export "_start")
    (local $name i32)
    ;; 48: how many arguments, 52: bytes of them; 64: pointers; 4096: their text, at most a page
    (drop (call $args_sizes_get (i32.const 48) (i32.const 52)))
    (local.set $name (i32.const 8))
    (if (i32.and (i32.gt_u (i32.load (i32.const 48)) (i32.const 1))
                 (i32.and (i32.lt_u (i32.load (i32.const 48)) (i32.const 1000))
                          (i32.lt_u (i32.load (i32.const 52)) (i32.const 65536))))
      (then
        (drop (call $args_get (i32.const 64) (i32.const 4096)))
        (local.set $name (i32.load (i32.const 68)))))
    (call $print (i32.const 0) (i32.const 7))
    (call $print (local.get $name) (call $length (local.get $name)))
    (call $print (i32.const 16) (i32.const 2))))

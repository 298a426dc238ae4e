;; SPDX-License-Identifier: Apache-2.0
;; Atomic instructions on a shared memory. Only for engines that have them.
(module $atomics
  (memory (export "memory") 1 2 shared)
  (func (export "add") (param i32 i32) (result i32) (i32.atomic.rmw.add (local.get 0) (local.get 1)))
  (func (export "wait") (param i32 i32 i64) (result i32) (memory.atomic.wait32 (local.get 0) (local.get 1) (local.get 2)))
  (func (export "notify") (param i32) (result i32) (memory.atomic.notify (local.get 0) (i32.const 1)))
)

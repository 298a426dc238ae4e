;; SPDX-License-Identifier: Apache-2.0
;; Vectors in and out. Only for engines that have them.
(module $vectors
  (import "host" "swap" (func $swap (param v128 i32) (result i32 v128)))
  (global (export "g") (mut v128) (v128.const i32x4 1 2 3 4))
  (func (export "add") (param v128 v128) (result v128) (i32x4.add (local.get 0) (local.get 1)))
  (func (export "call_swap") (param v128 i32) (result i32 v128) (call $swap (local.get 0) (local.get 1)))
)

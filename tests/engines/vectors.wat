;; SPDX-License-Identifier: Apache-2.0
;; Vectors in and out. Only for engines that have them.
(module $vectors
  (import "host" "swap" (func $swap (param v128 i32) (result i32 v128)))
  (global (export "g") (mut v128) (v128.const i32x4 1 2 3 4))
  (func (export "add") (param v128 v128) (result v128) (i32x4.add (local.get 0) (local.get 1)))
  (func (export "call_swap") (param v128 i32) (result i32 v128) (call $swap (local.get 0) (local.get 1)))
  (func (export "two") (param v128) (result i32 v128) (i32x4.extract_lane 1 (local.get 0)) (local.get 0))
  (func (export "choose") (param v128 v128 i32) (result v128) (select (result v128) (local.get 0) (local.get 1) (local.get 2)))
  (func (export "tail") (param v128 i32) (result i32 v128) (return_call $swap (local.get 0) (local.get 1)))
)

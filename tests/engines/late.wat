;; SPDX-License-Identifier: Apache-2.0
;; Leaves a function in a table of another before its data segment traps.
(module $late
  (import "things" "table" (table $t 4 funcref))
  (memory 1)
  (elem (table $t) (i32.const 2) func $eleven)
  (data (i32.const 65536) "x")
  (func $eleven (result i32) (i32.const 11))
)

;; SPDX-License-Identifier: Apache-2.0
;; Its start function calls the host and then traps.
(module $starts
  (import "host" "note" (func $note (param i32)))
  (memory 1)
  (start $main)
  (func $main (call $note (i32.const 42)) (unreachable))
)

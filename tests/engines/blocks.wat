;; SPDX-License-Identifier: Apache-2.0
;; Blocks whose ends are not reached, with values below and behind them.
(module $blocks
  (func (export "below") (result i32)
    (i32.const 7)
    (i64.add (i64.const 3) (i64.const 4))
    (block (if (i32.const 1) (then) (else (br 2 (i32.const 9)))))
    (i64.const 0x5555555566666666) (i64.add) (drop))
  (func (export "behind") (param i32) (result i32 i64)
    (block (result i64)
      (br_if 0 (i64.const 1) (local.get 0))
      (drop)
      (br 1 (i32.const 2) (i64.const 3)))
    (i32.wrap_i64)
    (i64.const 4))
)

;; SPDX-License-Identifier: Apache-2.0
;; Holds a reference in a local while the host collects.
(module $passes
  (import "host" "collect" (func $collect (param externref)))
  (func (export "keep") (param externref) (result externref) (call $collect (ref.null extern)) (local.get 0))
)

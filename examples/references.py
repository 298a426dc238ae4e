# SPDX-License-Identifier: Apache-2.0
"""References: any Python object through the guest, and functions as values."""

import anywasm

instance = anywasm.load("""
(module
  (table (export "handlers") 4 funcref)
  (func (export "same") (param externref) (result externref) local.get 0)
  (func (export "double") (param i32) (result i32) (i32.mul (local.get 0) (i32.const 2)))
  (elem declare func 1)
  (func (export "the_double") (result funcref) (ref.func 1))
  (func (export "apply") (param i32 i32) (result i32)
    (call_indirect (param i32) (result i32) (local.get 1) (local.get 0))))
""")
exports = instance.exports

thing = {"any": "object"}
print(exports.same(thing) is thing, exports.same(None))

handlers = exports.handlers
handlers[2] = exports.the_double()
print(exports.apply(2, 21), handlers[2] == exports.double, handlers[0], len(handlers))

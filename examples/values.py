# SPDX-License-Identifier: Apache-2.0
"""What goes across the boundary, and what does not."""

import anywasm

instance = anywasm.load("""
(module
  (func (export "swap") (param i32 f64) (result f64 i32) local.get 1 local.get 0)
  (func (export "round") (param f32) (result f32) local.get 0 f32.nearest))
""")
swap, nearest = instance.exports.swap, instance.exports.round

print(swap(1, 2.5))
print(swap(0xFFFFFFFF, True))  # unsigned in, signed out; a bool is an integer
print(nearest(2.5))

for mistake in [(1.5, 0.0), (2**32, 0.0), (1, "2")]:
    try:
        swap(*mistake)
    except (TypeError, OverflowError) as error:
        print(f"{type(error).__name__}: {error}")

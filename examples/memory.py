# SPDX-License-Identifier: Apache-2.0
"""A guest's memory: copies in and out, and a view without a copy that stays valid when the memory grows."""

import struct

import anywasm

WASM = anywasm.wat2wasm("""
    (module
      (memory (export "memory") 1 4)
      (func (export "sum") (param $address i32) (param $count i32) (result i64) (local $total i64)
        (block $done
          (loop $next
            (br_if $done (i32.eqz (local.get $count)))
            (local.set $total (i64.add (local.get $total) (i64.load32_s (local.get $address))))
            (local.set $address (i32.add (local.get $address) (i32.const 4)))
            (local.set $count (i32.sub (local.get $count) (i32.const 1)))
            (br $next)))
        (local.get $total)))
""")

exports = anywasm.load(WASM).exports
memory = exports.memory

print(f"{memory.pages} page of {len(memory)} bytes")
memory.write(1024, struct.pack("<5i", 1, 2, 3, 4, -5))
print("the guest adds up:", exports.sum(1024, 5))

view = memoryview(memory)[2048:2088].cast("i")  # the guest's own bytes
for index in range(len(view)):
    view[index] = index * index
print("the guest sees the view:", exports.sum(2048, len(view)))

print("growing from", memory.grow(1), "to", memory.pages, "pages")
view[0] = 1000
print("the view still works:", exports.sum(2048, len(view)))

try:
    memory.read(200_000, 1)
except IndexError as error:
    print("refused:", error)

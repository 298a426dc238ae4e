# SPDX-License-Identifier: Apache-2.0
"""How to pass a string: WebAssembly knows numbers only, so its bytes are written into the guest's memory, and the
guest gets their address and length. Here the guest has an allocator of its own, as C's malloc would be."""

import anywasm

WASM = anywasm.wat2wasm("""
    (module
      (memory (export "memory") 1)
      (global $free (mut i32) (i32.const 1024))
      (func (export "allocate") (param $size i32) (result i32)
        (global.get $free)
        (global.set $free (i32.add (global.get $free) (local.get $size))))
      (func (export "shout") (param $address i32) (param $length i32) (local $letter i32)
        (block $done
          (loop $next
            (br_if $done (i32.eqz (local.get $length)))
            (local.set $letter (i32.load8_u (local.get $address)))
            (if (i32.lt_u (i32.sub (local.get $letter) (i32.const 97)) (i32.const 26))
              (then (i32.store8 (local.get $address) (i32.sub (local.get $letter) (i32.const 32)))))
            (local.set $address (i32.add (local.get $address) (i32.const 1)))
            (local.set $length (i32.sub (local.get $length) (i32.const 1)))
            (br $next)))))
""")

exports = anywasm.load(WASM).exports


def shout(text: str) -> str:
    data = text.encode()
    address = exports.allocate(len(data))
    exports.memory.write(address, data)
    exports.shout(address, len(data))
    return exports.memory.read(address, len(data)).decode()


print(shout("hello, wasm"))
print(shout("zwölf boxkämpfer"))

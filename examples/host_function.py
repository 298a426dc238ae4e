# SPDX-License-Identifier: Apache-2.0
"""A guest that calls Python: with numbers, with an exception on the way out, and with its own memory at hand."""

import anywasm

WASM = anywasm.wat2wasm("""
    (module
      (import "env" "square" (func $square (param i32) (result i32)))
      (import "env" "log" (func $log (param i32 i32)))
      (memory (export "memory") 1)
      (data (i32.const 0) "hello from the guest")
      (func (export "sum_of_squares") (param i32 i32) (result i32)
        (i32.add (call $square (local.get 0)) (call $square (local.get 1))))
      (func (export "greet") (call $log (i32.const 0) (i32.const 20))))
""")


def square(number: int) -> int:
    if number > 1000:
        raise ValueError(f"{number} is too much for me")
    return number * number


@anywasm.pass_caller
def log(caller: anywasm.Caller, address: int, length: int) -> None:
    assert caller.memory is not None
    print("log:", caller.memory.read(address, length).decode())


instance = anywasm.load(WASM, {"env": {"square": square, "log": log}})
print(instance.exports.sum_of_squares(3, 4))
instance.exports.greet()
try:
    instance.exports.sum_of_squares(3, 4000)
except ValueError as error:
    print("it came out as itself:", error)

# SPDX-License-Identifier: Apache-2.0
"""A host function that reads the memory of whoever calls it."""

import anywasm


@anywasm.pass_caller
def log(caller: anywasm.Caller, address: int, length: int) -> None:
    print("the guest says:", caller.memory.read(address, length).decode())


instance = anywasm.load(
    """
    (module
      (import "env" "log" (func $log (param i32 i32)))
      (memory (export "memory") 1)
      (data (i32.const 16) "hello from the inside")
      (func (export "greet") (call $log (i32.const 16) (i32.const 21))))
    """,
    {"env": {"log": log}},
)
instance.exports.greet()

# SPDX-License-Identifier: Apache-2.0
"""Exceptions of WebAssembly, thrown by the guest and by the host. Needs an engine that has them: Wasmtime."""

import anywasm

instance = anywasm.load(
    """
    (module
      (tag $failure (export "failure") (param i32))
      (import "env" "step" (func $step (param i32)))
      (func (export "fail") (param i32) (throw $failure (local.get 0)))
      (func (export "attempt") (param i32) (result i32)
        (block $caught (result i32)
          (try_table (catch $failure $caught) (call $step (local.get 0)))
          (i32.const 0))))
    """,
    {"env": {"step": lambda number: step(number)}},
    engine="wasmtime",
)
failure = instance.exports.failure


def step(number: int) -> None:
    if number > 2:
        raise anywasm.WasmException(failure, number)


try:
    instance.exports.fail(42)
except anywasm.WasmException as error:
    print("the guest threw", error.payload, error.tag == failure)

print("the guest caught", [instance.exports.attempt(number) for number in range(5)])

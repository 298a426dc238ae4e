# SPDX-License-Identifier: Apache-2.0
"""A guest that may use a megabyte and a tenth of a second."""

import anywasm

engine = anywasm.Engine(interruptible=True)
store = anywasm.Store(engine, memory=1 << 20, timeout=0.1)
module = anywasm.Module(
    """
    (module
      (memory (export "memory") 1)
      (func (export "forever") (loop $again (br $again)))
      (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0))))
    """,
    engine,
)
instance = anywasm.Instance(module, store=store)

print("growing by 15 pages gives", instance.exports.grow(15))
print("growing by one more gives", instance.exports.grow(1))
try:
    instance.exports.forever()
except anywasm.TimeoutExpired as error:
    print("stopped after", error.allowed, "seconds")
print("it has", store.peak_memory, "bytes")

# SPDX-License-Identifier: Apache-2.0
"""Several modules that import from each other, linked by name."""

import anywasm

LIBRARY = anywasm.wat2wasm("""
    (module
      (import "env" "print" (func $print (param i32)))
      (func (export "twice") (param i32) (result i32)
        (call $print (local.get 0))
        (i32.mul (local.get 0) (i32.const 2))))
""")
PROGRAM = anywasm.wat2wasm("""
    (module
      (import "library" "twice" (func $twice (param i32) (result i32)))
      (func (export "run") (result i32) (call $twice (call $twice (i32.const 10)))))
""")

engine = anywasm.Engine()
store = anywasm.Store(engine)
linker = anywasm.Linker(engine)
linker.define("env", "print", lambda number: print("the library got", number))
linker.define_instance("library", linker.instantiate(anywasm.Module(LIBRARY, engine), store))
program = linker.instantiate(anywasm.Module(PROGRAM, engine), store)
print(program.exports.run())

try:
    anywasm.Linker(engine).instantiate(anywasm.Module(PROGRAM, engine), store)
except anywasm.LinkError as error:
    print("alone:", "library" in str(error) and "twice" in str(error))

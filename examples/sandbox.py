# SPDX-License-Identifier: Apache-2.0
"""Run a program that may be anything: here one that prints, and then loops for ever."""

import anywasm

PROGRAM = """
(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 16) "so far so good\\n")
  (func (export "_start")
    (i32.store (i32.const 0) (i32.const 16))
    (i32.store (i32.const 4) (i32.const 15))
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
    (loop $again (br $again))))
"""

try:
    done = anywasm.run(
        PROGRAM,
        ["an argument"],
        timeout=0.2,
        compile_timeout=20,
        memory=64 << 20,
        stack=512 << 10,
        capture_output=True,
        max_output=1 << 20,
        text=True,
    )
    print("it ended with status", done.returncode, "after", done.duration, "seconds")
except anywasm.LimitError as error:
    print(f"it was stopped: {type(error).__name__}, {error.allowed} were allowed")
    print("it wrote", repr(error.stdout))
except anywasm.Trap as error:
    print("it crashed:", error)

# SPDX-License-Identifier: Apache-2.0
"""A WASI program run like a subprocess: it gets arguments, streams and folders, and nothing else."""

import io
from pathlib import Path

import anywasm

HELLO = Path(__file__).with_name("hello.wasm")

done = anywasm.run(HELLO, ["Grace"], capture_output=True, text=True)
print("status", done.returncode, "output", repr(done.stdout))

sink = io.BytesIO()
anywasm.run(HELLO, stdout=sink)
print("into a file object:", sink.getvalue())

try:
    anywasm.run(Path(__file__).with_name("add.wasm"))
except anywasm.LinkError as error:
    print("no program:", error)

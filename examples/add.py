# SPDX-License-Identifier: Apache-2.0
"""The smallest use: a library, a call, and what a wrong argument is told."""

from pathlib import Path

import anywasm

instance = anywasm.load(Path(__file__).with_name("add.wasm"))
print(instance.exports.add(40, 2))
print(instance.exports.add.type)

try:
    instance.exports.add("40", 2)
except TypeError as error:
    print(error)

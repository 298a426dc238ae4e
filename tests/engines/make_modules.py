# SPDX-License-Identifier: Apache-2.0
"""Write modules.h from the .wat files of this folder."""

from pathlib import Path

import anywasm

folder = Path(__file__).parent
lines = ["// SPDX-License-Identifier: Apache-2.0", "// Made by make_modules.py from the .wat files of this folder.", ""]
for source in sorted(folder.glob("*.wat")):
    code = anywasm.wat2wasm(source.read_text())
    lines.append(f"static const uint8_t {source.stem}_wasm[] = {{")
    lines += ["    " + " ".join(f"0x{byte:02x}," for byte in code[i : i + 18]) for i in range(0, len(code), 18)]
    lines += ["};", ""]
(folder / "modules.h").write_text("\n".join(lines))

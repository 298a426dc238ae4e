# SPDX-License-Identifier: Apache-2.0
"""Compare src/_core/engines/wasmtime_api.h, our words for libwasmtime's C API, with the real headers.

    python third-party/wasmtime-check/check.py

cargo fetches the headers by Cargo.lock; a C compiler compares each function's type, each struct's layout and each
constant. A difference is a compile error that names it. A task for developers: it fetches some two hundred crates.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
HEADER = HERE.parents[1] / "src" / "_core" / "engines" / "wasmtime_api.h"


def real_headers() -> Path:
    command = ["cargo", "metadata", "--locked", "--format-version", "1", "--manifest-path", str(HERE / "Cargo.toml")]
    packages = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)["packages"]
    crate = next(package for package in packages if package["name"] == "wasmtime-c-api-impl")
    return Path(crate["manifest_path"]).parent / "include"


def write_configuration(headers: Path, folder: Path) -> None:
    """conf.h, which Wasmtime's own build makes: with every feature on, as its wheels have it."""
    text = (headers / "wasmtime" / "conf.h.in").read_text()
    (folder / "wasmtime").mkdir()
    (folder / "wasmtime" / "conf.h").write_text(re.sub(r"#cmakedefine (\w+)", r"#define \1", text))


def structs(text: str) -> dict[str, list[str]]:
    """Our structs and unions with their members, as `type -> members`; what is nested in them has no name."""
    found = {}
    for match in re.finditer(r"typedef (?:struct|union) \w+ \{\n(.*?)\n\} (\w+);", text, re.DOTALL):
        found[match[2]] = [name for line in match[1].splitlines() for name in member_names(line)]
    return found


def member_names(line: str) -> list[str]:
    """The members that a line declares; those of a union inside (`of`) are looked at by their own structs."""
    if not line.startswith("    ") or line.startswith("        ") or not line.endswith(";"):
        return []
    names = re.findall(r"\*?(\w+)(?:\[\w+\])?(?=[,;])", line.replace("}", ""))
    return [name for name in names if not name.startswith("__")]


def constants(text: str) -> list[str]:
    return [name for block in re.findall(r"enum \{([^}]*)\}", text) for name in re.findall(r"\b(WASMTIME_\w+)", block)]


def layout_of_ours(compiler: str, text: str, folder: Path) -> list[str]:
    """Static assertions that hold for our header: its layouts and constants, in numbers."""
    lines = []
    for name, members in structs(text).items():
        lines.append(f'printf("_Static_assert(sizeof({name}) == %zu, \\"{name}\\");\\n", sizeof({name}));')
        for member in members:
            place = f"{name}.{member}"
            lines.append(
                f'printf("_Static_assert(offsetof({name}, {member}) == %zu && sizeof((({name} *)0)->{member}) == %zu, '
                f'\\"{place}\\");\\n", offsetof({name}, {member}), sizeof((({name} *)0)->{member}));'
            )
    lines += [f'printf("_Static_assert({name} == %d, \\"{name}\\");\\n", (int){name});' for name in constants(text)]
    source = folder / "ours.c"
    body = "\n    ".join(lines)
    source.write_text(f'#include <stdio.h>\n#include "{HEADER}"\nint main(void)\n{{\n    {body}\n    return 0;\n}}\n')
    subprocess.run([compiler, "-std=c11", str(source), "-o", str(folder / "ours")], check=True)
    return subprocess.run([str(folder / "ours")], check=True, capture_output=True, text=True).stdout.splitlines()


CHECK = """
#include <wasm.h>
#include <wasmtime.h>
#define AW_WASMTIME_CHECK
#include "{header}"

#define X(result, name, parameters) \\
    _Static_assert(_Generic(&name, result(*) parameters: 1, default: 0), #name " is declared otherwise");
AW_WASMTIME_SYMBOLS(X)
"""


def main() -> int:
    compiler = os.environ.get("CC", "cc")
    text = HEADER.read_text()
    headers = real_headers()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_configuration(headers, folder)
        assertions = layout_of_ours(compiler, text, folder)
        source = folder / "check.c"
        source.write_text(CHECK.format(header=HEADER) + "\n".join(assertions) + "\n")
        includes = [f"-I{folder}", f"-I{headers}"]
        done = subprocess.run(
            [compiler, "-std=c11", "-D_GNU_SOURCE", "-fsyntax-only", *includes, str(source)], check=False
        )
    if done.returncode == 0:
        functions = len(re.findall(r"^\s+X\(", text, re.MULTILINE))
        print(
            f"{functions} functions, {len(structs(text))} structs and {len(constants(text))} constants are as declared"
        )
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())

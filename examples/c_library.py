# SPDX-License-Identifier: Apache-2.0
"""How the examples come by a C library: its source out of a Rust crate that carries it, fetched by cargo."""

import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

WORK = Path(os.environ.get("ANYWASM_EXAMPLES_CACHE", Path(tempfile.gettempdir()) / "anywasm-examples"))


def crate_source(name: str, version: str, work: Path | None = None) -> Path:
    """The folder of a crate's source, fetched once."""
    package = (work or WORK) / f"{name}-{version}"
    source = package / "vendor" / name
    if not source.exists():
        (package / "src").mkdir(parents=True, exist_ok=True)
        (package / "src" / "lib.rs").touch()
        (package / "Cargo.toml").write_text(
            f'[package]\nname = "source"\nversion = "0.0.0"\n\n[dependencies]\n{name} = "={version}"\n\n[workspace]\n'
        )
        subprocess.run(["cargo", "vendor", "--quiet"], cwd=package, check=True, stdout=subprocess.DEVNULL)
    return source


def build_native(name: str, sources: Sequence[Path]) -> Path:
    """Compile a library for this machine, for comparison: a shared library, made once by PyPI's ziglang."""
    command = [
        sys.executable,
        "-m",
        "ziglang",
        "cc",
        "-O2",
        "-fvisibility=default",
        "-shared",
        "-fPIC",
        *map(str, sources),
    ]
    contents = b"".join(source.read_bytes() for source in sources)
    output = WORK / f"{name}-{hashlib.sha256(repr(command).encode() + contents).hexdigest()[:16]}.so"
    if not output.exists():
        WORK.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=WORK) as scratch:
            made = Path(scratch) / "made.so"
            subprocess.run([*command, "-o", str(made)], check=True)
            made.replace(output)
    return output

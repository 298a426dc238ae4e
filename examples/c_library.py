# SPDX-License-Identifier: Apache-2.0
"""How the examples come by a C library: its source out of a Rust crate that carries it, compiled by PyPI's ziglang.

Needs cargo (it fetches; no Rust is compiled) and `pip install ziglang`.
"""

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


def build(name: str, sources: Sequence[Path], flags: Sequence[str] = ()) -> Path:
    """Compile a library, once. It exports what is not static in it, and malloc and free."""
    exported = ["-mexec-model=reactor", "-rdynamic", "-Wl,--export=malloc,--export=free"]
    return compiled(f"{name}.wasm", ["--target=wasm32-wasi", "-s", *exported, *flags], sources)


def build_native(name: str, sources: Sequence[Path], flags: Sequence[str] = ()) -> Path:
    """Compile the same to a shared library of this machine's, for comparison."""
    return compiled(f"lib{name}.so", ["-shared", "-fPIC", *flags], sources)


def compiled(output: str, flags: Sequence[str], sources: Sequence[Path]) -> Path:
    command = [sys.executable, "-m", "ziglang", "cc", "-O2", "-fvisibility=default", *flags, *map(str, sources)]
    contents = b"".join(source.read_bytes() for source in sources)
    folder = WORK / hashlib.sha256(repr(command).encode() + contents).hexdigest()[:16]
    if not (folder / output).exists():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            made = Path(scratch) / output
            subprocess.run([*command, "-o", str(made)], check=True)
            made.replace(folder / output)
    return folder / output

# SPDX-License-Identifier: Apache-2.0
"""How the examples come by a C library: its source out of a Rust crate that carries it, compiled by PyPI's ziglang.

Needs cargo (it fetches; no Rust is compiled) and `pip install ziglang`.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

WORK = Path(os.environ.get("ANYWASM_EXAMPLES_CACHE", Path(tempfile.gettempdir()) / "anywasm-examples"))


def crate_source(name: str, version: str, work: Path = WORK) -> Path:
    """The folder of a crate's source, fetched once."""
    package = work / f"{name}-{version}"
    source = package / "vendor" / name
    if not source.exists():
        (package / "src").mkdir(parents=True, exist_ok=True)
        (package / "src" / "lib.rs").touch()
        (package / "Cargo.toml").write_text(
            f'[package]\nname = "source"\nversion = "0.0.0"\n\n[dependencies]\n{name} = "={version}"\n\n[workspace]\n'
        )
        subprocess.run(["cargo", "vendor", "--quiet"], cwd=package, check=True, stdout=subprocess.DEVNULL)
    return source


def build(name: str, sources: list[Path], exports: list[str], flags: list[str], work: Path = WORK) -> Path:
    """Compile a library to NAME.wasm, once. It exports the functions of these names, and malloc and free."""
    output = work / f"{name}.wasm"
    if not output.exists():
        command = [sys.executable, "-m", "ziglang", "cc", "--target=wasm32-wasi", "-mexec-model=reactor", "-O2", "-s"]
        command += flags
        command += [f"-Wl,--export={export}" for export in ["malloc", "free", *exports]]
        with tempfile.TemporaryDirectory(dir=work) as scratch:
            made = Path(scratch) / "made.wasm"
            subprocess.run([*command, *map(str, sources), "-o", str(made)], check=True)
            made.replace(output)
    return output

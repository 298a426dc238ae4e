# SPDX-License-Identifier: Apache-2.0
"""What developers and CI run: `invoke --list` tells, `invoke --help TASK` tells more."""

import contextlib
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from invoke import Context, Exit, UnexpectedExit, task

ROOT = Path(__file__).parent
BUILD = ROOT / "build"  # everything that tasks make, but dist/
PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14")
WHEEL_LIMIT = 1_500_000  # bytes

os.chdir(ROOT)


def run(c: Context, *command: str | Path, **environment: str) -> None:
    c.run(shlex.join(str(part) for part in command), env=environment, echo=True)


def python(c: Context, *arguments: str | Path, **environment: str) -> None:
    run(c, sys.executable, *arguments, **environment)


def c_files() -> list[str]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "src/*.c", "src/*.h"],
        capture_output=True,
        text=True,
        check=True,
    )
    return [name for name in listed.stdout.split() if Path(name).exists()]


@task
def setup(c: Any) -> None:
    """Make this environment ready for work: tools, an editable debug build, the commit hook."""
    python(c, "-m", "pip", "install", "-q", "scikit-build-core>=0.11", "simde-py>=0.8.2", "cmake>=3.20", "ninja")
    install_editable(c, "dev", "--quiet", ".[dev]")
    run(c, "pre-commit", "install")


@task(help={"preset": "of CMakePresets.json: dev, asan, coverage or release"})
def build(c: Any, preset: str = "dev") -> None:
    """Compile what changed and install the package for this environment, editable."""
    install_editable(c, preset, "--quiet", "--no-deps", ".")


def install_editable(c: Context, preset: str, *arguments: str) -> None:
    *options, what = arguments
    folder = f"build-dir={BUILD}/{preset}-{{wheel_tag}}"
    options += ["--no-build-isolation", "--editable", what, *preset_options(preset), "-C", folder]
    python(c, "-m", "pip", "install", *options)


def preset_options(preset: str) -> list[str]:
    """Options for pip that choose a preset; scikit-build-core would put Release in the place of its build type."""
    kind = "Release" if preset == "release" else "Debug"
    strip = str(preset == "release").lower()
    return ["-C", f"cmake.args=--preset={preset}", "-C", f"cmake.build-type={kind}", "-C", f"install.strip={strip}"]


@task(help={"engine": "only the tests of this engine", "args": "more arguments for pytest"})
def test(c: Any, engine: str | None = None, args: str = "") -> None:
    """Run the tests in this environment."""
    python(c, "-m", "pytest", *(["--engine", engine] if engine else []), *shlex.split(args))


@task(help={"args": "arguments for pytest"})
def matrix(c: Any, args: str = "-q") -> None:
    """Install and test on every Python that is found, each in a fresh environment."""
    found = dict(find_pythons())
    failed = []
    for version, executable in found.items():
        print(f"--- Python {version}", flush=True)
        python_of = fresh_environment(c, f"test-{version}", executable, ".[test]")
        if not c.run(shlex.join([str(python_of), "-m", "pytest", *shlex.split(args)]), warn=True):
            failed.append(version)
    print("tested:", ", ".join(found), "- not found:", ", ".join(sorted(set(PYTHONS) - set(found))) or "none")
    if failed:
        raise Exit(f"tests failed on Python {', '.join(failed)}", 1)


def find_pythons() -> Iterator[tuple[str, str]]:
    """(version, executable): pyenv's, or those on the path."""
    versions = Path(os.environ.get("PYENV_ROOT") or "~/.pyenv").expanduser() / "versions"
    for version in PYTHONS:
        candidates = [*map(str, versions.glob(f"{version}.*/bin/python3")), shutil.which(f"python{version}")]
        for candidate in candidates:
            if candidate and subprocess.run([candidate, "-c", ""], check=False).returncode == 0:
                yield version, candidate
                break


def fresh_environment(c: Context, name: str, executable: str, *what: str) -> Path:
    folder = BUILD / "environments" / name
    run(c, executable, "-m", "venv", "--clear", folder)
    run(c, folder / "bin" / "pip", "install", "-q", *what)
    return folder / "bin" / "python"


@task
def check(c: Any) -> None:
    """Say what CI would refuse: lint, format, types, stubs, spelling."""
    failed = []
    for command in (
        ["ruff", "check", "."],
        ["ruff", "format", "--check", "."],
        ["clang-format", "--dry-run", "-Werror", *c_files()],
        ["mypy"],
        ["stubtest", "anywasm._core", "--allowlist", "tests/stubtest.txt", "--ignore-unused-allowlist"],
        ["codespell"],
    ):
        tool = [sys.executable, "-m", "mypy.stubtest", *command[1:]] if command[0] == "stubtest" else command
        print("$", shlex.join(command if len(command) < 9 else [*command[:3], "…"]), flush=True)
        if not c.run(shlex.join(tool), warn=True):
            failed.append(command[0])
    if failed:
        raise Exit(f"check failed: {', '.join(failed)}", 1)


@task
def fmt(c: Any) -> None:
    """Format Python and C, and repair what the linter can."""
    run(c, "ruff", "check", "--fix-only", "--quiet", ".")
    run(c, "ruff", "format", ".")
    run(c, "clang-format", "-i", *c_files())


@task
def docs(c: Any) -> None:
    """Build the documentation into docs/_build/html; warnings are errors."""
    python(c, "-m", "sphinx", "-W", "--keep-going", "-b", "html", "docs", "docs/_build/html")


@task
def headers(c: Any) -> None:
    """Compare our header of libwasmtime with the real ones; fetches them with cargo."""
    python(c, "third-party/wasmtime-check/check.py")


@task(help={"case": "a topic, or a part of a case's name", "publish": "write tables and plots into docs/benchmarks"})
def bench(c: Any, case: str = "", publish: bool = False) -> None:
    """Measure the optimized build beside its peers; write build/bench.json and print a table with the bars."""
    executable = fresh_environment(c, "bench", sys.executable, ".[bench]")
    options = ["--json", BUILD / "bench.json", *(["--publish"] if publish else []), *([case] if case else [])]
    if older := dict(find_pythons()).get("3.10"):  # the last that wasmer runs on
        peers = ("wasmer==1.1.0", "wasmer_compiler_cranelift==1.1.0")
        with contextlib.suppress(UnexpectedExit):  # not for every machine
            options += ["--wasmer", fresh_environment(c, "bench-wasmer", older, ".[bench]", *peers)]
    run(c, executable, "benchmarks", *options)


@task(help={"args": "arguments for pytest"})
def asan(c: Any, args: str = "-q") -> None:
    """Test under AddressSanitizer and UndefinedBehaviorSanitizer: the engines from C, then all of it."""
    build = "build/engines"
    run(c, "cmake", "-S", "tests/engines", "-B", build, "-G", "Ninja", "-DSANITIZE=ON")
    run(c, "cmake", "--build", build)
    run(c, "ctest", "--test-dir", build, "--output-on-failure")
    executable = fresh_environment(c, "asan", sys.executable, ".[test]", *preset_options("asan"))
    run(c, executable, "-m", "pytest", *shlex.split(args), **sanitizer_environment("detect_leaks=0"))


def sanitizer_environment(*options: str) -> dict[str, str]:
    compiler = os.environ.get("CC", "cc")
    library = subprocess.run([compiler, "-print-file-name=libasan.so"], capture_output=True, text=True, check=True)
    # Traps are signals: those stay the engines'. Python's own allocator would hide mistakes. Tests that measure memory
    # need what was freed to be given back.
    asan_options = ["handle_segv=0", "handle_sigbus=0", "handle_sigfpe=0", "handle_sigill=0", "quarantine_size_mb=1"]
    return {
        "LD_PRELOAD": library.stdout.strip(),
        "ASAN_OPTIONS": ":".join([*asan_options, *options]),
        "UBSAN_OPTIONS": "print_stacktrace=1",
        "PYTHONMALLOC": "malloc",
    }


@task(help={"args": "arguments for pytest"})
def leaks(c: Any, args: str = "-q tests/test_lifetimes.py") -> None:
    """Run the tests of lifetimes under LeakSanitizer; fail for what our own code allocated and lost."""
    executable = fresh_environment(c, "asan", sys.executable, ".[test]", *preset_options("asan"))
    reports = BUILD / "leaks"
    shutil.rmtree(reports, ignore_errors=True)
    reports.mkdir()
    environment = sanitizer_environment("detect_leaks=1", f"log_path={reports}/report", "exitcode=0")
    run(c, executable, "-m", "pytest", *shlex.split(args), **environment)
    lost = [
        block
        for report in sorted(reports.iterdir())
        for block in report.read_text().split("\n\n")
        if "leak of" in block and "_core." in block
    ]
    for block in lost:
        print(block, end="\n\n")
    if lost:
        raise Exit(f"{len(lost)} leaks of ours", 1)


@task
def wheel(c: Any) -> None:
    """Make the sdist, and from it the wheel, in dist/; check both."""
    shutil.rmtree("dist", ignore_errors=True)
    python(c, "-m", "build")
    made = sorted(Path("dist").iterdir())
    run(c, "twine", "check", "--strict", *made)
    for file in made:
        print(f"{file.stat().st_size:>10,} bytes  {file}")
        if file.suffix == ".whl" and file.stat().st_size > WHEEL_LIMIT:
            raise Exit(f"{file} has more than {WHEEL_LIMIT:,} bytes", 1)

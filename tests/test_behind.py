# SPDX-License-Identifier: Apache-2.0
"""Starting programs now and compiling them behind: docs/cache.md promises what is tested here."""

import json
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import anywasm
import toolchain
from anywasm import _behind as behind
from anywasm import _cache as cache
from anywasm._load import BIG, program

ANYWASM = [sys.executable, "-m", "anywasm"]


def engines_here() -> tuple[str, str]:
    """The names of the default engine, which compiles, and of the first that does not."""
    here = [info for info in anywasm.engines() if info.available]
    quick = [info.name for info in here if "serialize" not in info.capabilities]
    if "serialize" not in here[0].capabilities or not quick:
        pytest.skip("needs an engine that compiles and one that does not")
    return here[0].name, quick[0]


@pytest.fixture
def compiler() -> str:
    return engines_here()[0]


@pytest.fixture
def quick() -> str:
    return engines_here()[1]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The cache of one test: not there yet. Nobody writes to it any more when the test ends."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("ANYWASM_CACHE_DIR", str(folder))
    monkeypatch.delenv("ANYWASM_CACHE", raising=False)
    monkeypatch.delenv("ANYWASM_ENGINE", raising=False)
    yield folder
    monkeypatch.undo()
    deadline = time.monotonic() + 100
    while any(is_held(claim) for claim in folder.glob("*.claim")) and time.monotonic() < deadline:
        time.sleep(0.02)


def is_held(claim: Path) -> bool:
    import fcntl

    try:
        with claim.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        pass
    return False


def kept(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.code"))


def wait_for_code(folder: Path, count: int = 1) -> None:
    """Until the processes behind have put it into the cache."""
    deadline = time.monotonic() + 100
    while len(kept(folder)) < count or list(folder.glob("*.claim")):
        assert time.monotonic() < deadline, list(folder.iterdir())
        time.sleep(0.02)


def text(status: int = 3, functions: int = 2000, extra: str = "") -> str:
    """A program with much code that ends with this status."""
    body = " ".join(["(i32.add (i32.const 1000000))"] * 60)
    code = "\n".join(f"(func (param i32) (result i32) (local.get 0) {body})" for _ in range(functions))
    return f"""
    (module
      (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
      (memory (export "memory") 1)
      {extra}
      (func (export "_start") (call $exit (i32.const {status})))
      {code.replace("(i32.add (i32.const 1000000))", "i32.const 1000000 i32.add")}
    )"""


@pytest.fixture(scope="session")
def big() -> bytes:
    binary = toolchain.wat(text())
    assert len(binary) > BIG
    return binary


def maps_of(pid: int | str = "self") -> str:
    return Path(f"/proc/{pid}/maps").read_text()


# --- when ---------------------------------------------------------------------------------------------------------


def test_a_big_program_starts_at_once_and_is_compiled_for_the_next_time(
    compiler: str, quick: str, big: bytes, folder: Path
) -> None:
    assert program(big, None).engine.name == quick
    wait_for_code(folder)
    assert program(big, None).engine.name == compiler
    assert len(kept(folder)) == 1


def test_run_uses_it(compiler: str, big: bytes, folder: Path) -> None:
    assert anywasm.run(big).returncode == 3
    wait_for_code(folder)
    assert anywasm.run(big).returncode == 3


def test_the_command_line_uses_it(compiler: str, big: bytes, folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "big.wasm"
    file.write_bytes(big)
    for _ in range(2):
        done = subprocess.run([*ANYWASM, "run", file], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (3, "", "")
        wait_for_code(folder)


def test_a_module_that_can_be_read_only_once_is_run(compiler: str, big: bytes, folder: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.wasm"
    os.mkfifo(pipe)
    running = subprocess.Popen([*ANYWASM, "run", pipe])
    pipe.write_bytes(big)
    assert running.wait() == 3


@pytest.mark.parametrize(
    "options", [{"fuel": 10**6}, {"timeout": 100.0}, {"engine": "NAME"}], ids=["fuel", "timeout", "engine"]
)
def test_what_pins_the_engine_or_depends_on_its_speed_waits_for_it(
    compiler: str, big: bytes, folder: Path, options: dict[str, Any]
) -> None:
    if "engine" in options:
        options = {"engine": compiler}
    engine = options.pop("engine", None)
    assert program(big, engine, **options).engine.name == compiler
    assert len(kept(folder)) == 1


def test_the_environment_pins_the_engine(
    compiler: str, quick: str, big: bytes, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (compiler, quick):
        monkeypatch.setenv("ANYWASM_ENGINE", name)
        assert program(big, None).engine.name == name
    assert len(kept(folder)) == 1  # made by the program itself


def test_without_a_cache_nothing_is_compiled_behind(
    compiler: str, big: bytes, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(behind, "compile_behind", lambda *args: pytest.fail("a process was started"))
    with monkeypatch.context() as patched:
        patched.setenv("ANYWASM_CACHE", "0")
        assert program(big, None).engine.name == compiler
    folder.mkdir()
    folder.chmod(0o777)
    assert program(big, None).engine.name == compiler
    assert not list(folder.iterdir())


def test_a_program_that_is_compiled_quickly_is(compiler: str, folder: Path) -> None:
    small = toolchain.wat(text(functions=200))
    data = toolchain.wat(text(functions=1, extra=f'(memory 9) (data (memory 0) (i32.const 0) "{"x" * BIG}")'))
    much_data = toolchain.wat(text(functions=1).replace("(memory (export", f'(data "{"x" * BIG}") (memory (export'))
    for binary in (small, data, much_data):
        assert program(binary, None).engine.name == compiler


def test_what_only_the_compiler_has_goes_to_it(compiler: str, quick: str, folder: Path) -> None:
    assert "gc" not in anywasm.Engine(quick).capabilities
    binary = toolchain.wat(text(extra="(type (struct (field i32)))"))
    assert program(binary, None).engine.name == compiler


def test_what_is_invalid_is_told_by_the_compiler(compiler: str, tmp_path: Path, folder: Path) -> None:
    file = tmp_path / "bad.wasm"
    file.write_bytes(toolchain.wat(text(extra="(func (result i32))")))
    with pytest.raises(anywasm.CompileError) as now:
        program(file, None)
    with pytest.raises(anywasm.CompileError) as chosen:
        anywasm.Module(file, anywasm.Engine(compiler))
    assert str(now.value) == str(chosen.value)
    assert str(now.value).startswith(str(file))
    assert not kept(folder)


def test_without_another_engine_the_program_waits(
    compiler: str, big: bytes, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = [entry for entry in behind.engine_list() if "serialize" in entry[2]]
    monkeypatch.setattr(behind, "engine_list", lambda: listed)
    assert program(big, None).engine.name == compiler


# --- the other process --------------------------------------------------------------------------------------------


def test_many_starts_make_one_process(
    compiler: str, quick: str, big: bytes, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = []
    compile_behind = behind.compile_behind
    monkeypatch.setattr(behind, "compile_behind", lambda *args: started.append(1) or compile_behind(*args))
    names = [program(big, None).engine.name for _ in range(3)]
    wait_for_code(folder)
    assert names[0] == quick
    assert len(started) == 1


def test_a_failed_attempt_is_not_made_again(
    compiler: str, quick: str, big: bytes, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever ended the process behind: the next program waits for the compiler itself, and that is kept."""
    monkeypatch.setattr(behind, "CHILD", "import os; os._exit(1) # {path} {name} {config} {descriptor}")
    assert program(big, None).engine.name == quick
    (claim,) = folder.glob("*.claim")
    while is_held(claim):
        time.sleep(0.01)
    monkeypatch.setattr(behind, "compile_behind", lambda *args: pytest.fail("a process was started"))
    assert program(big, None).engine.name == compiler
    assert [file.suffix for file in folder.iterdir()] == [".code"]


def test_a_process_that_cannot_be_started_is_not_missed(
    compiler: str, big: bytes, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("executable", ""), ("executable", "/usr/bin/app"), ("frozen", True)):
        with monkeypatch.context() as patched:
            patched.setattr(sys, name, value, raising=False)
            patched.setenv("ANYWASM_CACHE_DIR", str(folder / f"{name}{len(str(value))}"))
            folder.mkdir(exist_ok=True)
            assert program(big, None).engine.name == compiler


SILENT = """
import os, sys, warnings
import anywasm
before = set(os.listdir("/proc/self/fd"))
assert anywasm.run(sys.argv[1]).returncode == 3
assert set(os.listdir("/proc/self/fd")) == before
try:
    os.waitpid(-1, os.WNOHANG)
except ChildProcessError:
    pass
else:
    raise AssertionError("there is a child")
"""


def test_the_program_gets_no_child_no_descriptor_and_no_warning(
    compiler: str, big: bytes, folder: Path, tmp_path: Path
) -> None:
    file = tmp_path / "big.wasm"
    file.write_bytes(big)
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", SILENT, str(file)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    wait_for_code(folder)


@pytest.fixture
def slow_child(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process behind waits before it compiles, so that it can be looked at."""
    monkeypatch.setattr(behind, "CHILD", f"import time, os; os.nice(19); time.sleep(1)\n{behind.CHILD.lstrip()}")


def process_behind(folder: Path) -> int:
    """The process that holds the claim."""
    (claim,) = folder.glob("*.claim")
    wanted = claim.stat().st_ino
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdecimal() and wanted in {fd.stat().st_ino for fd in (entry / "fd").iterdir()}:
                return int(entry.name)
        except OSError:
            continue
    raise AssertionError("nobody holds the claim")


def test_the_other_process_is_apart(compiler: str, big: bytes, folder: Path, slow_child: None) -> None:
    """In a session of its own, without the program's files and terminal, and without its directory."""
    with open(__file__, "rb") as ours:
        os.set_inheritable(ours.fileno(), True)
        program(big, None)
    pid = process_behind(folder)
    assert os.getsid(pid) not in (os.getsid(0), 0)
    links = {fd.name: str(fd.readlink()) for fd in Path(f"/proc/{pid}/fd").iterdir()}
    assert [links[fd] for fd in "012"] == ["/dev/null"] * 3
    assert __file__ not in links.values()
    assert Path(f"/proc/{pid}/cwd").readlink() == Path("/")
    deadline = time.monotonic() + 50
    while os.getpriority(os.PRIO_PROCESS, pid) != 19:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    wait_for_code(folder)


def test_the_other_process_outlives_the_program(compiler: str, big: bytes, folder: Path, tmp_path: Path) -> None:
    """Ctrl-C, or the end of its process group, does not end it."""
    file = tmp_path / "loop.wasm"
    file.write_bytes(toolchain.wat(text().replace("(call $exit (i32.const 3))", "(loop $again (br $again))")))
    running = subprocess.Popen([*ANYWASM, "run", str(file)], start_new_session=True)
    deadline = time.monotonic() + 50
    while not list(folder.glob("*.claim")):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    time.sleep(0.1)
    os.killpg(running.pid, signal.SIGINT)
    assert running.wait() == -signal.SIGINT
    wait_for_code(folder)


def test_the_other_process_does_not_import_from_the_working_directory(
    compiler: str, big: bytes, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "platformdirs.py").write_text("open('imported', 'w')")
    (tmp_path / "hashlib.py").write_text("open('imported', 'w')")
    file = tmp_path / "big.wasm"
    file.write_bytes(big)
    monkeypatch.setenv("PYTHONSAFEPATH", "1")
    code = (
        f"import sys; sys.path[:] = {sys.path[1:]!r}; import anywasm; sys.path.insert(0, ''); anywasm.run('big.wasm')"
    )
    import hashlib  # noqa: F401

    subprocess.run([sys.executable, "-I", "-c", f"import hashlib, platformdirs; {code}"], cwd=tmp_path, check=True)
    wait_for_code(folder)
    assert not (tmp_path / "imported").exists()


def test_processes_compile_one_after_the_other(
    compiler: str, quick: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each puts its code into the cache while no other one holds the lock of the directory."""
    log = folder.parent / "log"
    watch = (
        "import anywasm._behind as behind, os\n"
        "make = behind.Module\n"
        "def module(binary, engine):\n"
        f"    note = lambda what: os.write(os.open({str(log)!r}, os.O_WRONLY | os.O_CREAT | os.O_APPEND), what)\n"
        "    note(b'['); made = make(binary, engine); note(b']'); return made\n"
        "behind.Module = module\n"
    )
    monkeypatch.setattr(behind, "CHILD", behind.CHILD.replace("from anywasm._behind", f"{watch}from anywasm._behind"))
    for status in range(3):
        assert program(toolchain.wat(text(status)), None).engine.name == quick
    wait_for_code(folder, 3)
    deadline = time.monotonic() + 50
    while log.stat().st_size < 6:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert log.read_text() == "[][][]"


# --- the same answers ------------------------------------------------------------------------------------------------


GOJQ = "github.com/itchyny/gojq/cmd/gojq@v0.12.17"


def answer(*arguments: object, **options: Any) -> tuple[bytes, bytes, int]:
    done = subprocess.run([*ANYWASM, "run", *map(str, arguments)], capture_output=True, check=False, **options)
    assert done.stdout or done.stderr
    return done.stdout, done.stderr, done.returncode


@pytest.mark.slow
def test_gojq_answers_the_same(build_go: Callable[[str], Path], folder: Path, compiler: str, quick: str) -> None:
    gojq = build_go(GOJQ)
    document = json.dumps({"a": [3, 1, 2.5, -0.0, 1e300], "b": {"ä": None, "x": [True, False, "\U0001f600"]}}).encode()
    programs: list[list[str]] = [
        [".a|add"],
        ["-c", ".a|sort,map(.*2),(map(sqrt)|map(isnan))"],
        ["[limit(50; recurse(.+1; .<1000))]|length", "-n"],
        ["-r", '.b|to_entries[]|"\\(.key)=\\(.value)"'],
        ["-n", '[range(2000)|sin*1000|floor]|unique|length,(map(tostring)|join(",")|@base64)'],
        ["-n", "reduce range(100000) as $i (0; . + $i*$i % 7)"],
        [".["],
        ["-e", ".missing"],
        ['error("own")'],
        ["--nonsense"],
    ]
    first = answer(gojq, *programs[0], input=document)
    assert not kept(folder)
    cold = [answer("--engine", quick, gojq, *arguments, input=document) for arguments in programs]
    wait_for_code(folder)
    assert program(gojq, None).engine.name == compiler
    warm = [answer(gojq, *arguments, input=document) for arguments in programs]
    assert cold == warm
    assert first == warm[0]


def do_the_same(folder: Path, tmp_path: Path, file: Path, *arguments: str, **options: Any) -> None:
    """A program that works on files says the same at its first start and from the cache, and leaves the same files."""
    answers = []
    for _ in range(2):
        data = tmp_path / "data"
        data.mkdir()
        (data / "in.txt").write_text("one\ntwo\n")
        (data / "old.txt").write_text("old text")
        said = answer(
            "--dir", f"{data}::/data", "--dir", f"{data}::/files", "--env", "A=1", file, *arguments, **options
        )
        left = {path.relative_to(data): path.is_file() and path.read_bytes() for path in data.rglob("*")}
        answers.append((said, left))
        shutil.rmtree(data)
        wait_for_code(folder)
    assert answers[0] == answers[1]


@pytest.mark.slow
def test_a_go_program_does_the_same(
    build_go: Callable[[Path], Path], programs: Path, folder: Path, tmp_path: Path, compiler: str
) -> None:
    do_the_same(folder, tmp_path, build_go(programs / "world"), "a", input=b"from stdin")


@pytest.mark.parametrize("name", ["stdio", "files"])
def test_c_programs_do_the_same(
    compile_c: Callable[..., Path], programs: Path, folder: Path, tmp_path: Path, quick: str, name: str
) -> None:
    """They are small, so they get functions that nobody calls."""
    sum = "+".join(f"p[{i}] * {i}" for i in range(200))
    filler = "".join(
        f'__attribute__((export_name("f{i}"))) int f{i}(int *p) {{ return {i} + {sum}; }}\n' for i in range(100)
    )
    source = tmp_path / f"{name}.c"
    source.write_text((programs / f"{name}.c").read_text() + filler)
    file = compile_c(source, "-O0", "-fno-sanitize=undefined")
    assert behind.code_size(anywasm.Module(file, anywasm.Engine(quick))) >= BIG
    do_the_same(folder, tmp_path, file, "x", "yz", input=b"3\n4.5\nword\n")


# --- progress --------------------------------------------------------------------------------------------------------


def on_a_terminal(command: list[Any], **environment: str) -> tuple[str, int]:
    """What a command writes to a terminal, and how it ends."""
    master, slave = pty.openpty()
    running = subprocess.Popen(
        [str(part) for part in command], stdin=slave, stdout=slave, stderr=slave, env=os.environ | environment
    )
    os.close(slave)
    written = b""
    while True:
        ready, _, _ = select.select([master], [], [], 100)
        try:
            data = os.read(master, 10_000) if ready else b""
        except OSError:  # nobody has the other end any more
            data = b""
        if not data:
            break
        written += data
    os.close(master)
    return written.decode(), running.wait()


@pytest.fixture(scope="session")
def slow(big: bytes) -> bytes:
    """A program that takes long to compile."""
    return toolchain.wat(text(functions=6_000))


@pytest.mark.slow
def test_a_long_compilation_shows_on_a_terminal_and_vanishes(
    compiler: str, slow: bytes, folder: Path, tmp_path: Path
) -> None:
    file = tmp_path / "slow\x1b.wasm"
    file.write_bytes(slow)
    command = [*ANYWASM, "run", "--engine", compiler, file]
    written, status = on_a_terminal(command, TERM="xterm")
    assert status == 3
    shown = re.sub(r"\r\x1b\[K", "\n", written)
    assert re.match(r"\ncompiling slow\\x1b\.wasm \.\.\. \d+ s\n", shown), written
    assert written.endswith("\r\x1b[K")
    assert on_a_terminal(command, TERM="xterm") == ("", 3)  # from the cache


@pytest.mark.slow
def test_no_progress_is_shown_where_there_is_no_terminal(
    compiler: str, slow: bytes, folder: Path, tmp_path: Path
) -> None:
    file = tmp_path / "slow.wasm"
    file.write_bytes(slow)
    command = [*ANYWASM, "run", "--engine", compiler, file]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (3, "", "")
    cache.clear()
    assert on_a_terminal(command, TERM="dumb") == ("", 3)


def test_a_short_compilation_shows_nothing(compiler: str, folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "short.wasm"
    file.write_bytes(toolchain.wat(text(functions=1)))
    assert on_a_terminal([*ANYWASM, "run", "--engine", compiler, file], TERM="xterm") == ("", 3)

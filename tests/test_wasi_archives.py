# SPDX-License-Identifier: Apache-2.0
"""Mounted archives, resources of packages, and fsspec's file systems."""

import io
import os
import random
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any, ClassVar

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from fsspec.implementations.zip import ZipFileSystem

import anywasm
from anywasm import wasi
from test_wasi_memory import answer, operation
from wasi_guest import (
    APPEND,
    CREAT,
    DIRECTORY,
    DIRECTORY_TYPE,
    EXCL,
    FILE_TYPE,
    READ,
    TRUNC,
    WRITE,
    Failed,
    Guest,
)

CONTENT = {"file": b"content", "sub/inner": b"inner content", "sub/deep/bottom": bytes(range(256)) * 1000}


def guest_of(engine: anywasm.Engine, *mounts: object) -> Guest:
    return Guest(engine, anywasm.Wasi(mounts={f"/{number}": mount for number, mount in enumerate(mounts)}))  # type: ignore[misc]


def error_of(function: Callable[..., object], *arguments: object, **keywords: object) -> str:
    with pytest.raises(Failed) as caught:
        function(*arguments, **keywords)
    return str(caught.value)


def zip_of(target: Any, contents: dict[str, bytes], **options: Any) -> Any:
    with zipfile.ZipFile(target, "w", **options) as archive:
        for name, data in contents.items():
            archive.writestr(name, data)
    return target


# --- all that can only be read ---------------------------------------------------------------------------------------


@pytest.fixture(params=["zip", "zip in memory", "open zip", "folder", "zipped package", "fsspec zip", "fsspec memory"])
def readable(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    """CONTENT, as each of these."""
    if request.param == "zip":
        yield wasi.Zip(zip_of(tmp_path / "a.zip", CONTENT, compression=zipfile.ZIP_DEFLATED))
    elif request.param == "zip in memory":
        yield wasi.Zip(zip_of(io.BytesIO(), CONTENT))
    elif request.param == "open zip":
        with zipfile.ZipFile(zip_of(tmp_path / "a.zip", CONTENT)) as archive:
            yield wasi.Zip(archive)
    elif request.param == "folder":
        for name, data in CONTENT.items():
            (tmp_path / "some_package" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "some_package" / name).write_bytes(data)
        monkeypatch.syspath_prepend(tmp_path)
        yield wasi.Resources("some_package")
        sys.modules.pop("some_package", None)
    elif request.param == "zipped package":
        members = {f"zipped_package/{name}": data for name, data in CONTENT.items()} | {
            "zipped_package/__init__.py": b""
        }
        monkeypatch.syspath_prepend(zip_of(tmp_path / "a.zip", members))
        import zipped_package  # type: ignore[import-not-found]

        yield wasi.Resources(zipped_package)
        sys.modules.pop("zipped_package")
    elif request.param == "fsspec zip":
        system = ZipFileSystem(str(zip_of(tmp_path / "a.zip", CONTENT)))
        yield wasi.FSSpec(system)
        system.close()
    else:
        system = fsspec.filesystem("memory", skip_instance_cache=True)
        for name, data in CONTENT.items():
            system.pipe_file(f"/{tmp_path.name}/{name}", data)
        yield wasi.ReadOnly(wasi.FSSpec(system, f"/{tmp_path.name}"))
        system.rm(f"/{tmp_path.name}", recursive=True)


@pytest.fixture
def reader(engine: anywasm.Engine, readable: object) -> Guest:
    return guest_of(engine, readable)


def test_files_are_read(reader: Guest) -> None:
    assert reader.read(reader.open("file")) == b"content"
    assert reader.read(reader.open("sub/../sub/inner")) == b"inner content"
    assert reader.read(reader.open("inner", fd=reader.open("sub", DIRECTORY))) == b"inner content"
    for path, error in (("missing", "NOENT"), ("sub/missing", "NOENT"), ("file/x", "NOTDIR"), ("missing/x", "NOENT")):
        assert error_of(reader.open, path) == error
        assert error_of(reader.stat, path) == error
    assert error_of(reader.open, "../file") == "NOTCAPABLE"


def test_directories_are_listed(reader: Guest) -> None:
    found = {name: kind for name, kind, _ in reader.entries(3) if name not in ("__init__.py", "__pycache__")}
    assert found == {".": DIRECTORY_TYPE, "..": DIRECTORY_TYPE, "file": FILE_TYPE, "sub": DIRECTORY_TYPE}
    sub = {name: kind for name, kind, _ in reader.entries(reader.open("sub", DIRECTORY))}
    assert sub == {".": DIRECTORY_TYPE, "..": DIRECTORY_TYPE, "inner": FILE_TYPE, "deep": DIRECTORY_TYPE}


def test_files_are_read_in_any_order(reader: Guest) -> None:
    wanted, chance = CONTENT["sub/deep/bottom"], random.Random(5)
    fd = reader.open("sub/deep/bottom")
    assert reader.stat("sub/deep/bottom").size == reader.fstat(fd).size == len(wanted)
    for _ in range(50):
        place = chance.randrange(len(wanted) + 10)
        reader.seek(fd, place)
        assert reader.read(fd, 1000) == wanted[place : place + 1000]
    assert reader.seek(fd, -5, 2) == len(wanted) - 5
    assert reader.read(fd) == wanted[-5:]


def test_nothing_is_changed(reader: Guest) -> None:
    for change in (
        lambda: reader.open("file", 0, WRITE),
        lambda: reader.open("file", TRUNC, READ),
        lambda: reader.open("new", CREAT, WRITE),
        lambda: reader.open("new", CREAT, READ | WRITE),
        lambda: reader.mkdir("new"),
        lambda: reader.rmdir("sub"),
        lambda: reader.unlink("file"),
        lambda: reader.rename("file", "new"),
    ):
        assert error_of(change) in ("ROFS", "NOTEMPTY", "IO")
    assert error_of(reader.stat, "new") == "NOENT"
    assert reader.read(reader.open("file")) == b"content"


# --- zip files -------------------------------------------------------------------------------------------------------


def test_members_that_lead_out_are_not_there(engine: anywasm.Engine) -> None:
    names = [
        "../up",
        "/absolute",
        "a/../../up",
        "fine/./x",
        "//double//y",
        "../",
        "..",
        ".",
        "/",
        "a\\b",
        "x/",
        "z",
        "z/in",
    ]
    guest = guest_of(engine, wasi.Zip(zip_of(io.BytesIO(), {name: name.encode() for name in names})))
    assert {name for name, _, _ in guest.entries(3)} == {".", "..", "absolute", "fine", "double", "a\\b", "x", "z"}
    assert guest.read(guest.open("fine/x")) == b"fine/./x"
    assert guest.read(guest.open("double/y")) == b"//double//y"
    assert guest.stat("x").filetype == guest.stat("z").filetype == DIRECTORY_TYPE
    assert guest.read(guest.open("z/in")) == b"z/in"


def test_of_two_members_with_one_name_it_is_the_last(engine: anywasm.Engine) -> None:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        archive.writestr("file", b"first")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("file", b"second")
    guest = guest_of(engine, wasi.Zip(held))
    assert guest.read(guest.open("file")) == b"second"


def test_what_is_damaged_is_an_error_of_reading(engine: anywasm.Engine) -> None:
    data = bytearray(zip_of(io.BytesIO(), {"file": b"content" * 100}, compression=zipfile.ZIP_DEFLATED).getvalue())
    data[40:50] = b"\xff" * 10
    guest = guest_of(engine, wasi.Zip(io.BytesIO(bytes(data))))
    fd = guest.open("file")
    assert error_of(guest.read, fd) == "IO"
    data = bytearray(zip_of(io.BytesIO(), {"file": b"content"}).getvalue())
    data[data.index(b"PK\1\2") + 8] |= 1  # encrypted
    data[6] |= 1
    guest = guest_of(engine, wasi.Zip(io.BytesIO(bytes(data))))
    assert error_of(guest.open, "file") == "IO"
    with pytest.raises(zipfile.BadZipFile):
        wasi.Zip(io.BytesIO(b"no zip file"))


def test_a_deadline_ends_a_long_way_through_a_member(engine: anywasm.Engine) -> None:
    held = io.BytesIO()
    size = 400 << 20
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("big", "w", force_zip64=True) as big:
        for _ in range(size >> 20):
            big.write(bytes(1 << 20))
    guest = guest_of(anywasm.Engine(engine.name, interruptible=True), wasi.Zip(held))
    fd = guest.open("big")
    guest.seek(fd, 40 << 20)
    assert guest.read(fd, 10) == bytes(10)  # in three steps
    guest.seek(fd, 1 << 62)
    guest.store.timeout = 0.05
    with pytest.raises(anywasm.TimeoutExpired):
        guest.read(fd, 10)
    guest.store.timeout = None
    guest.seek(fd, 5)
    assert guest.read(fd, 10) == bytes(10)


def test_times_of_members_are_told(engine: anywasm.Engine) -> None:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        archive.writestr(zipfile.ZipInfo("file", (2001, 9, 9, 1, 46, 40)), b"")
        archive.writestr(zipfile.ZipInfo("odd", (1980, 0, 0, 0, 0, 0)), b"")
    guest = guest_of(engine, wasi.Zip(held))
    assert guest.stat("file").modified == 1_000_000_000 * 10**9
    assert guest.stat("odd").filetype == FILE_TYPE


# --- packages --------------------------------------------------------------------------------------------------------


def test_resources_come_from_parts_of_packages(engine: anywasm.Engine) -> None:
    guest = guest_of(
        engine, wasi.Resources("anywasm"), wasi.Resources(files("anywasm") / "wasi"), wasi.Resources(anywasm)
    )
    assert guest.stat("__init__.py").inode == guest.stat("__init__.py", fd=5).inode
    assert guest.stat("_wasi.py", fd=4).size == guest.stat("wasi/_wasi.py").size > 0
    with pytest.raises(ModuleNotFoundError):
        wasi.Resources("no_such_package")


# --- fsspec ----------------------------------------------------------------------------------------------------------


class Bucket(MemoryFileSystem):
    """Has no folders: only names with slashes in them."""

    protocol = "bucket"
    store: ClassVar[dict[str, Any]] = {}
    pseudo_dirs: ClassVar[list[str]] = [""]

    def mkdir(self, path: str, create_parents: bool = True, **keywords: Any) -> None:
        pass

    def rmdir(self, path: str) -> None:
        pass


@pytest.fixture(params=["local", "memory", "bucket"])
def system(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[wasi.FSSpec]:
    if request.param == "local":
        (tmp_path / "local").mkdir()
        yield wasi.FSSpec("file://" + str(tmp_path / "local"))
    elif request.param == "bucket":
        yield wasi.FSSpec(Bucket(), tmp_path.name)
        Bucket.store.clear()
    else:
        memory = fsspec.filesystem("memory")
        memory.mkdir(f"/{tmp_path.name}")
        yield wasi.FSSpec(memory, tmp_path.name)
        memory.rm(f"/{tmp_path.name}", recursive=True)


@pytest.fixture
def guest(engine: anywasm.Engine, system: wasi.FSSpec) -> Guest:
    return guest_of(engine, system)


@pytest.mark.parametrize("seed", range(10))
def test_whatever_is_done_is_as_in_a_directory_of_the_hosts(
    engine: anywasm.Engine, system: wasi.FSSpec, tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    (tmp_path / "host").mkdir()
    host, guest = guest_of(engine, tmp_path / "host"), guest_of(engine, system)
    for each in (host, guest):
        each.mkdir("sub")
        each.mkdir("sub/deep")
    done = []
    for _ in range(300):
        name, act = operation(chance)
        if name.startswith(("link ", "symlink ", "times ")):  # memory has no times
            continue
        done.append(name)
        assert answer(act, guest) == answer(act, host), "\n".join(done[-12:])


def test_files_are_written_in_every_way(guest: Guest) -> None:
    fd = guest.open("new", CREAT | EXCL, WRITE)
    guest.write(fd, b"written")
    guest.close(fd)
    fd = guest.open("new", 0, WRITE, APPEND)
    guest.write(fd, b" more")
    guest.close(fd)
    fd = guest.open("new", 0, READ | WRITE)
    assert guest.read(fd) == b"written more"
    guest.seek(fd, 0)
    guest.write(fd, b"W")
    guest.call("fd_filestat_set_size", fd, 7)
    guest.close(fd)
    assert guest.read(guest.open("new")) == b"Written"
    fd = guest.open("new", TRUNC, READ | WRITE)
    guest.write(fd, b"anew")
    guest.seek(fd, 0)
    assert guest.read(fd) == b"anew"
    guest.close(fd)
    assert guest.read(guest.open("new")) == b"anew"
    guest.open("empty", CREAT, READ)
    assert guest.stat("empty").size == 0


def test_descriptors_of_one_file_have_their_own_positions(guest: Guest) -> None:
    fd = guest.open("file", CREAT, WRITE)
    guest.write(fd, b"content")
    guest.close(fd)
    one, two = guest.open("file"), guest.open("file")
    assert guest.read(one, 3) == b"con"
    assert guest.read(two, 4) == b"cont"
    assert guest.read(one, 4) == b"tent"


def test_names_are_no_patterns(guest: Guest) -> None:
    for name in ("a", "b", "*", "[ab]", "?", "~", "a::b", "c:d", "http:", "%41"):
        fd = guest.open(name, CREAT, WRITE)
        guest.write(fd, name.encode())
        guest.close(fd)
    guest.rename("*", "star")
    guest.mkdir("to")
    guest.rename("?", "to/question")
    guest.unlink("[ab]")
    guest.rename("to", "[x]")
    assert {name for name, _, _ in guest.entries(3)} == {
        ".", "..", "a", "b", "star", "~", "a::b", "c:d", "http:", "%41", "[x]"
    }  # fmt: skip
    assert guest.read(guest.open("star")) == b"*"
    assert guest.read(guest.open("[x]/question")) == b"?"
    assert guest.read(guest.open("a")) == b"a"


def test_trees_move(guest: Guest) -> None:
    for path in ("tree", "tree/sub", "tree/sub/empty"):
        guest.mkdir(path)
    fd = guest.open("tree/sub/file", CREAT, WRITE)
    guest.write(fd, b"moved")
    guest.close(fd)
    guest.mkdir("there")
    guest.rename("tree", "there")
    assert error_of(guest.stat, "tree") == "NOENT"
    assert guest.read(guest.open("there/sub/file")) == b"moved"
    assert guest.stat("there/sub/empty").filetype == DIRECTORY_TYPE


def test_files_have_times(guest: Guest, system: wasi.FSSpec) -> None:
    guest.open("file", CREAT, WRITE)
    assert guest.stat("file").modified > 10**18
    if "local" not in repr(system).lower():
        assert error_of(guest.set_times, "file", 1, 2, 5) == "NOTSUP"
    else:
        guest.set_times("file", 1_000_000_000, 2_000_000_000, 5)
        assert guest.stat("file").modified == 2_000_000_000


def test_no_name_leads_out_of_the_folder(engine: anywasm.Engine, tmp_path: Path) -> None:
    memory = fsspec.filesystem("memory")
    memory.pipe_file(f"/{tmp_path.name}/secret", b"secret")
    memory.pipe_file(f"/{tmp_path.name}/root/file", b"content")
    guest = guest_of(engine, wasi.FSSpec(memory, f"{tmp_path.name}/root"))
    for path in ("../secret", "file/../../secret", "memory://" + tmp_path.name + "/secret", "root/../../secret"):
        assert error_of(guest.open, path) in ("NOTCAPABLE", "NOENT", "NOTDIR")
    assert guest.read(guest.open("file")) == b"content"
    memory.rm(f"/{tmp_path.name}", recursive=True)


def test_a_store_that_ends_puts_files_back(engine: anywasm.Engine, system: wasi.FSSpec) -> None:
    guest = guest_of(engine, system)
    guest.write(guest.open("new", CREAT, READ | WRITE), b"never closed")
    guest.store.close()
    after = guest_of(engine, system)
    assert after.read(after.open("new")) == b"never closed"


def test_an_upload_that_fails_is_told_when_the_file_is_closed(engine: anywasm.Engine, tmp_path: Path) -> None:
    memory = fsspec.filesystem("memory")
    memory.mkdir(f"/{tmp_path.name}")
    guest = guest_of(engine, wasi.FSSpec(memory, tmp_path.name))
    fd = guest.open("new", CREAT, READ | WRITE)
    guest.write(fd, b"lost")
    memory.rm(f"/{tmp_path.name}", recursive=True)
    memory.pipe_file(f"/{tmp_path.name}", b"a file where the folder was")
    assert error_of(guest.close, fd) == "EXIST"
    memory.rm_file(f"/{tmp_path.name}")


def test_a_missing_fsspec_is_told(tmp_path: Path) -> None:
    code = "import sys; sys.modules['fsspec'] = None\nfrom anywasm import wasi\nwasi.FSSpec('memory://x')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert "ImportError: wasi.FSSpec(): fsspec is not installed: pip install anywasm[fsspec]" in done.stderr
    assert os.listdir(tmp_path) == []


def test_they_show_what_they_are(tmp_path: Path) -> None:
    archive = wasi.Zip(zip_of(tmp_path / "a.zip", CONTENT))
    assert repr(archive) == f"<anywasm.wasi.Zip: {tmp_path / 'a.zip'}, 3 files>"
    assert repr(wasi.Zip(zip_of(io.BytesIO(), {}))) == "<anywasm.wasi.Zip: in memory, 0 files>"
    assert repr(wasi.Resources("anywasm")).startswith("Resources(")
    assert "anywasm" in repr(wasi.Resources("anywasm"))
    assert repr(wasi.FSSpec("memory://x")).endswith(", '/x')")

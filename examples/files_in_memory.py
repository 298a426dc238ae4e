# SPDX-License-Identifier: Apache-2.0
"""A program finds its input in memory, and leaves its output there: no file of yours is touched."""

import io
from pathlib import Path

import anywasm
from anywasm import wasi

UPPER = Path(__file__).with_name("upper.wasm")

files = wasi.Memory({"in.txt": b"hello from memory"}, limit=1 << 20)
anywasm.run(UPPER, mounts={"/work": files}, check=True)
print(dict(files))


class Notes(wasi.FileSystem):
    """A file system of your own: a dictionary, that can be read and written."""

    def __init__(self, notes):
        self.notes = notes

    def stat(self, path):
        if path == "":
            return wasi.FileStat(directory=True)
        if path not in self.notes:
            raise FileNotFoundError(path)
        return wasi.FileStat(len(self.notes[path]))

    def listdir(self, path):
        return list(self.notes)

    def open(self, path, mode):
        return Note(self.notes, path, mode)


class Note(io.BytesIO):
    def __init__(self, notes, path, mode):
        super().__init__(b"" if mode.startswith("w") else notes[path])
        self.notes, self.path, self.mode = notes, path, mode

    def close(self):
        if self.mode != "rb" and not self.closed:
            self.notes[self.path] = self.getvalue()
        super().close()


notes = {"in.txt": b"a note"}
anywasm.run(UPPER, mounts={"/work": Notes(notes)}, check=True)
print(notes)

done = anywasm.run(UPPER, mounts={"/work": wasi.ReadOnly(files)})
print("read-only: error", done.returncode)

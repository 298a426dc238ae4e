# SPDX-License-Identifier: Apache-2.0
"""SQLite, the C library, compiled to WebAssembly: a database whose code cannot touch anything but its own memory."""

from pathlib import Path
from typing import Any

import c_library

import anywasm

CRATE = ("libsqlite3-sys", "0.40.0")
FUNCTIONS = [
    "sqlite3_open",
    "sqlite3_close",
    "sqlite3_errmsg",
    "sqlite3_prepare_v2",
    "sqlite3_step",
    "sqlite3_finalize",
    "sqlite3_column_count",
    "sqlite3_column_type",
    "sqlite3_column_int64",
    "sqlite3_column_double",
    "sqlite3_column_text",
    "sqlite3_column_blob",
    "sqlite3_column_bytes",
    "sqlite3_libversion",
]
FLAGS = ["-DSQLITE_THREADSAFE=0", "-DSQLITE_OMIT_LOAD_EXTENSION", "-DSQLITE_OMIT_WAL"]
ROW, DONE = 100, 101  # sqlite3_step's answers
INTEGER, FLOAT, TEXT, BLOB = 1, 2, 3, 4  # sqlite3_column_type's


def build(work: Path = c_library.WORK) -> Path:
    source = c_library.crate_source(*CRATE, work) / "sqlite3" / "sqlite3.c"
    return c_library.build("sqlite", [source], FUNCTIONS, FLAGS, work)


class Error(Exception):
    """What SQLite has to complain about."""


class Connection:
    """A database in the guest's memory."""

    def __init__(self, source: anywasm.Module | Path) -> None:
        self.sqlite = anywasm.load(source).exports
        self.memory = self.sqlite.memory
        name, place = self.string(":memory:"), self.sqlite.malloc(4)
        if self.sqlite.sqlite3_open(name, place) != 0:
            raise Error("cannot open a database")
        self.handle = self.pointer(place)

    def string(self, text: str) -> int:
        data = text.encode() + b"\0"
        address = self.sqlite.malloc(len(data))
        self.memory.write(address, data)
        return address

    def pointer(self, address: int) -> int:
        return int.from_bytes(self.memory.read(address, 4), "little")

    def execute(self, text: str) -> list[tuple[Any, ...]]:
        """The rows that one statement answers."""
        sqlite, statement_place, source = self.sqlite, self.sqlite.malloc(4), self.string(text)
        try:
            self.check(sqlite.sqlite3_prepare_v2(self.handle, source, -1, statement_place, 0))
            statement = self.pointer(statement_place)
            rows = []
            while (status := sqlite.sqlite3_step(statement)) == ROW:
                rows.append(tuple(self.value(statement, i) for i in range(sqlite.sqlite3_column_count(statement))))
            sqlite.sqlite3_finalize(statement)
            self.check(0 if status == DONE else status)
            return rows
        finally:
            sqlite.free(source)
            sqlite.free(statement_place)

    def value(self, statement: int, column: int) -> Any:
        sqlite = self.sqlite
        kind = sqlite.sqlite3_column_type(statement, column)
        if kind == INTEGER:
            return sqlite.sqlite3_column_int64(statement, column)
        if kind == FLOAT:
            return sqlite.sqlite3_column_double(statement, column)
        if kind == TEXT:
            return self.memory.read_cstring(sqlite.sqlite3_column_text(statement, column))
        if kind == BLOB:
            address = sqlite.sqlite3_column_blob(statement, column)
            return self.memory.read(address, sqlite.sqlite3_column_bytes(statement, column))
        return None

    def check(self, status: int) -> None:
        if status != 0:
            raise Error(self.memory.read_cstring(self.sqlite.sqlite3_errmsg(self.handle)))


def main() -> None:
    database = Connection(build())
    database.execute("create table planets (name text, moons integer, mass real)")
    database.execute("insert into planets values ('Earth', 1, 1.0), ('Mars', 2, 0.107), ('Jupiter', 95, 317.8)")
    for row in database.execute("select name, moons from planets where mass > 0.5 order by moons desc"):
        print(row)
    try:
        database.execute("select * from nowhere")
    except Error as error:
        print(f"error: {error}")


if __name__ == "__main__":
    main()

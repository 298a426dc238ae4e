# SPDX-License-Identifier: Apache-2.0
"""SQLite, the C library, in a sandbox: its header tells how to call it, its answers are those of Python's sqlite3."""

import sqlite3
from collections.abc import Callable, Sequence
from typing import Any

import c_library

from anywasm import clib

FLAGS = ["-DSQLITE_THREADSAFE=0", "-DSQLITE_OMIT_LOAD_EXTENSION", "-DSQLITE_OMIT_WAL"]


def load() -> clib.Library:
    folder = c_library.crate_source("libsqlite3-sys", "0.40.0") / "sqlite3"
    return clib.compile(folder / "sqlite3.c", folder / "sqlite3.h", flags=FLAGS)


class Connection:
    """A database in the library's memory."""

    def __init__(self, lib: clib.Library) -> None:
        self.lib, self.functions = lib, []
        self.copy = lib.cast("sqlite3_destructor_type", -1)  # SQLITE_TRANSIENT: SQLite is to copy what it gets
        place: list[Any] = [None]  # a list of one is what C calls a pointer to it
        lib.sqlite3_open(":memory:", place)
        self.db = place[0]

    def execute(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """The rows that one statement answers, its parameters bound."""
        lib, place, rows = self.lib, [None], []
        self.check(lib.sqlite3_prepare_v2(self.db, sql, -1, place, None))
        try:
            for i, value in enumerate(parameters, 1):
                self.write("bind", (place[0], i), value)
            while (status := lib.sqlite3_step(place[0])) == lib.SQLITE_ROW:
                columns = range(lib.sqlite3_column_count(place[0]))
                rows.append(tuple(self.read("column", place[0], i) for i in columns))
            self.check(status)
            return rows
        finally:
            lib.sqlite3_finalize(place[0])

    def create_function(self, name: str, count: int, callable: Callable[..., object]) -> None:
        """Let SQL call a Python function."""

        def call(context: clib.Pointer, count: int, values: clib.Pointer) -> None:
            try:
                self.write("result", (context,), callable(*(self.read("value", values[i]) for i in range(count))))
            except Exception as error:  # noqa: BLE001, SQLite has to end its work first
                self.lib.sqlite3_result_error(context, f"{name}(): {error}", -1)

        lib, kind = self.lib, "void (*)(sqlite3_context *, int, sqlite3_value **)"
        self.functions.append(function := lib.callback(kind, call))  # kept, for the database calls it
        self.check(lib.sqlite3_create_function(self.db, name, count, lib.SQLITE_UTF8, None, function, None, None))

    def read(self, prefix: str, *where: object) -> Any:
        """The value of a column, or of a function's argument."""
        lib, get = self.lib, lambda what: self.lib[f"sqlite3_{prefix}_{what}"](*where)
        kind = get("type")
        if kind in (lib.SQLITE_TEXT, lib.SQLITE_BLOB):
            data = bytes(lib.cast("char *", get("blob"))[: get("bytes")])
            return data.decode() if kind == lib.SQLITE_TEXT else data
        return None if kind == lib.SQLITE_NULL else get("int64" if kind == lib.SQLITE_INTEGER else "double")

    def write(self, prefix: str, where: tuple[object, ...], value: Any) -> None:
        """Set a parameter of a statement, or the result of a function."""
        if isinstance(value, (str, bytes)):
            what, data = ("text", value.encode()) if isinstance(value, str) else ("blob", value)
            values: tuple[object, ...] = (data, len(data), self.copy)
        else:
            what = "null" if value is None else "double" if isinstance(value, float) else "int64"
            values = () if value is None else (value,)
        self.check(self.lib[f"sqlite3_{prefix}_{what}"](*where, *values) or 0)

    def check(self, status: int) -> None:
        if status not in (self.lib.SQLITE_OK, self.lib.SQLITE_DONE):
            raise sqlite3.OperationalError(self.lib.sqlite3_errmsg(self.db))


def main() -> None:
    ours, pythons, answers = Connection(load()), sqlite3.connect(":memory:"), []
    for database in (ours, pythons):
        database.create_function("shout", 1, lambda text: text.upper())
        database.execute("create table planets (name text, moons integer, mass real, photo blob)")
        for planet in [("Earth", 1, 1.0, b"\x00\x7f"), ("Mars", 2, 0.107, None), ("Jupiter", 95, 317.8, b"")]:
            database.execute("insert into planets values (?, ?, ?, ?)", planet)
        answers.append(list(database.execute("select shout(name), moons, mass, photo from planets where moons < 9")))
    print(*answers[0], f"Python's sqlite3 answers the same: {answers[0] == answers[1]}", sep="\n")
    for mistake in ("select * from nowhere", "select shout(1)"):
        try:
            ours.execute(mistake)
        except sqlite3.OperationalError as error:
            print(f"error: {error}")


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: Apache-2.0
"""Edits a module's binary before it is compiled: what clib needs becomes exported, whatever the linker was told."""

from __future__ import annotations

import contextlib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TABLE_EXPORT = "__indirect_function_table"
STACK_POINTER_EXPORT = "__stack_pointer"

HEADER = b"\0asm\1\0\0\0"
CUSTOM, IMPORT, TABLE, MEMORY, GLOBAL, EXPORT = 0, 2, 4, 5, 6, 7
AFTER_EXPORTS = (8, 9, 12, 10, 11)  # start, element, data count, code, data
KIND_TABLE, KIND_MEMORY, KIND_GLOBAL = 1, 2, 3  # of imports and exports
FUNCREF, I32, I64 = 0x70, 0x7F, 0x7E
NULLABLE, NOT_NULLABLE = 0x63, 0x64  # a reference type with its heap type after it
GLOBAL_NAMES = 7  # of the name section's parts


def prepare(binary: bytes) -> bytes:
    """Return the module with its function table and its stack pointer exported, and the table free to grow.

    The table is exported as ``__indirect_function_table``, the stack pointer as ``__stack_pointer``: the names that
    linkers give them. What has such a name already keeps it. Without a name section, the stack pointer is taken to be
    where wasm-ld puts it: the first global, if that can be one. A module that lacks them, and bytes that are no module,
    are returned as they are.
    """
    try:
        return _prepare(binary)
    except MalformedError:  # the engine tells what is wrong
        return binary


def add_custom_section(binary: bytes, name: str, data: bytes) -> bytes:
    """Return the module with one more section at its end: *name* tells what the *data* is."""
    encoded = name.encode()
    content = unsigned(len(encoded)) + encoded + data
    return b"".join((binary, bytes([CUSTOM]), unsigned(len(content)), content))


def remove_custom_sections(binary: bytes, unwanted: Callable[[str], bool]) -> bytes:
    """Return the module without the custom sections whose names are *unwanted*; malformed bytes as they are."""
    try:
        kept = [
            binary[section.start : section.end]
            for section in read_sections(binary)
            if not (section.id == CUSTOM and unwanted(section.reader(binary).name()))
        ]
    except MalformedError:
        return binary
    return HEADER + b"".join(kept)


def custom_sections(binary: bytes) -> list[tuple[str, bytes]]:
    """Return the names and contents of the module's custom sections; none of malformed bytes."""
    found = []
    try:
        for section in read_sections(binary):
            if section.id == CUSTOM:
                reader = section.reader(binary)
                found.append((reader.name(), binary[reader.place : reader.end]))
    except MalformedError:
        return []
    return found


# --- reading -------------------------------------------------------------------------------------------------------


class MalformedError(Exception):
    """No module, or one that uses what no C compiler makes."""


class Reader:
    """Reads a part of a module, and never beyond its end."""

    __slots__ = ("data", "end", "place")

    def __init__(self, data: bytes, place: int, end: int) -> None:
        self.data = data
        self.place = place
        self.end = end

    def byte(self) -> int:
        if self.place >= self.end:
            raise MalformedError
        self.place += 1
        return self.data[self.place - 1]

    def unsigned(self) -> int:
        value, shift = 0, 0
        while shift < 70:
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value
        raise MalformedError

    def signed(self) -> int:
        start = self.place
        value = self.unsigned()
        bits = 7 * (self.place - start)
        return value - (1 << bits) if value >> (bits - 1) else value

    def take(self, length: int) -> bytes:
        if length > self.end - self.place:
            raise MalformedError
        self.place += length
        return self.data[self.place - length : self.place]

    def name(self) -> str:
        return self.take(self.unsigned()).decode("utf-8", "replace")

    def type(self) -> int:
        """The type of a value, as one byte: for `(ref null func)` that of funcref."""
        byte = self.byte()
        if byte in (NULLABLE, NOT_NULLABLE):
            heap_type = self.signed() & 0x7F
            return heap_type if byte == NULLABLE else NOT_NULLABLE
        return byte

    def limits(self) -> tuple[int, int, int | None]:
        """The flags of a table's or memory's limits, the minimum, the maximum."""
        flags = self.byte()
        if flags & ~0b111:
            raise MalformedError
        return flags, self.unsigned(), self.unsigned() if flags & 1 else None

    def constant(self) -> int | None:
        """A constant expression; its value if it is a plain integer."""
        value, count = None, 0
        while (opcode := self.byte()) != 0x0B:
            count += 1
            if opcode in (0x41, 0x42):  # i32.const, i64.const
                value = self.signed()
            elif opcode in (0x43, 0x44):  # f32.const, f64.const
                self.take(4 if opcode == 0x43 else 8)
            elif opcode in (0x23, 0xD2):  # global.get, ref.func
                self.unsigned()
            elif opcode == 0xD0:  # ref.null
                self.signed()
            elif opcode not in (0x6A, 0x6B, 0x6C, 0x7C, 0x7D, 0x7E):  # additions and the like
                raise MalformedError
        return value if count == 1 else None


class Section:
    __slots__ = ("content", "end", "id", "start")

    def __init__(self, id: int, start: int, content: int, end: int) -> None:
        self.id = id
        self.start = start  # of the section, with its id and size
        self.content = content
        self.end = end

    def reader(self, binary: bytes) -> Reader:
        return Reader(binary, self.content, self.end)


class GlobalInfo:
    """A global: its type's byte, and its initial value if that is a plain integer."""

    __slots__ = ("mutable", "type", "value")

    def __init__(self, type: int, mutable: bool, value: int | None) -> None:
        self.type = type
        self.mutable = mutable
        self.value = value


def read_sections(binary: bytes) -> list[Section]:
    if binary[:8] != HEADER:
        raise MalformedError
    reader, sections = Reader(binary, 8, len(binary)), []
    while reader.place < reader.end:
        start = reader.place
        id = reader.byte()
        length = reader.unsigned()
        content = reader.place
        if length > reader.end - content:
            raise MalformedError
        reader.place += length
        sections.append(Section(id, start, content, reader.place))
    return sections


class Outline:
    """What of a module decides on what to export."""

    def __init__(self, binary: bytes) -> None:
        self.sections = read_sections(binary)
        self.exports: dict[str, tuple[int, int]] = {}
        self.export_count = 0
        self.imported_tables: list[int] = []  # their types
        self.globals: list[GlobalInfo] = []
        self.memory_pages: int | None = None
        self.global_names: dict[int, str] = {}
        readers = {
            IMPORT: self.read_imports,
            MEMORY: self.read_memories,
            GLOBAL: self.read_globals,
            EXPORT: self.read_exports,
        }
        for section in self.sections:
            if section.id in readers:
                readers[section.id](section.reader(binary))
            elif section.id == CUSTOM:
                with contextlib.suppress(MalformedError):  # which makes no module invalid
                    self.read_names(section.reader(binary))

    def section(self, id: int) -> Section | None:
        return next((section for section in self.sections if section.id == id), None)

    def read_imports(self, reader: Reader) -> None:
        for _ in range(reader.unsigned()):
            reader.name()
            reader.name()
            kind = reader.byte()
            if kind == 0:
                reader.unsigned()
            elif kind == KIND_TABLE:
                self.imported_tables.append(reader.type())
                reader.limits()
            elif kind == KIND_MEMORY:
                _, pages, _ = reader.limits()
                self.memory_pages = pages if self.memory_pages is None else self.memory_pages
            elif kind == KIND_GLOBAL:
                self.globals.append(GlobalInfo(reader.type(), reader.byte() == 1, None))
            elif kind == 4:  # a tag
                reader.byte()
                reader.unsigned()
            else:
                raise MalformedError

    def read_memories(self, reader: Reader) -> None:
        if reader.unsigned() and self.memory_pages is None:
            _, self.memory_pages, _ = reader.limits()

    def read_globals(self, reader: Reader) -> None:
        for _ in range(reader.unsigned()):
            self.globals.append(GlobalInfo(reader.type(), reader.byte() == 1, reader.constant()))

    def read_exports(self, reader: Reader) -> None:
        self.export_count = reader.unsigned()
        for _ in range(self.export_count):
            name = reader.name()
            self.exports[name] = reader.byte(), reader.unsigned()

    def read_names(self, reader: Reader) -> None:
        if reader.name() != "name":
            return
        while reader.place < reader.end:
            id = reader.byte()
            length = reader.unsigned()
            if id == GLOBAL_NAMES:
                for _ in range(reader.unsigned()):
                    index = reader.unsigned()
                    self.global_names[index] = reader.name()
                return
            reader.take(length)


# --- editing -------------------------------------------------------------------------------------------------------


def _prepare(binary: bytes) -> bytes:
    outline = Outline(binary)
    contents: dict[int, bytes] = {}  # new ones, by the section's id
    exports = b""
    count = 0
    kind, index = outline.exports.get(TABLE_EXPORT, (KIND_TABLE, 0))
    if kind == KIND_TABLE and (type := table_type(binary, outline, index)) is not None:
        if TABLE_EXPORT not in outline.exports and type == FUNCREF:
            exports += export(TABLE_EXPORT, KIND_TABLE, index)
            count += 1
        tables = outline.section(TABLE)
        if tables is not None and index >= len(outline.imported_tables):
            free = without_maximum(tables.reader(binary), index - len(outline.imported_tables))
            if free is not None:
                contents[TABLE] = free
    stack_pointer = find_stack_pointer(outline)
    if stack_pointer is not None and STACK_POINTER_EXPORT not in outline.exports:
        exports += export(STACK_POINTER_EXPORT, KIND_GLOBAL, stack_pointer)
        count += 1
    if count:
        section = outline.section(EXPORT)
        old = b""
        if section is not None:
            reader = section.reader(binary)
            reader.unsigned()
            old = binary[reader.place : section.end]
        contents[EXPORT] = unsigned(outline.export_count + count) + old + exports
    return b"".join(edited(binary, outline.sections, contents)) if contents else binary


def edited(binary: bytes, sections: list[Section], contents: dict[int, bytes]) -> Iterator[bytes]:
    yield HEADER
    for section in sections:
        if section.id in AFTER_EXPORTS and EXPORT in contents:  # there were none
            yield encoded(EXPORT, contents.pop(EXPORT))
        if section.id in contents:
            yield encoded(section.id, contents.pop(section.id))
        else:
            yield binary[section.start : section.end]
    if EXPORT in contents:
        yield encoded(EXPORT, contents.pop(EXPORT))


def tables(reader: Reader) -> Iterator[tuple[int, int, int]]:
    """(type, start, end) of each table, up to the first with an initial value of its own, which C has not."""
    for _ in range(reader.unsigned()):
        start = reader.place
        type = reader.type()
        if type == 0x40:
            return
        reader.limits()
        yield type, start, reader.place


def table_type(binary: bytes, outline: Outline, index: int) -> int | None:
    types = list(outline.imported_tables)
    section = outline.section(TABLE)
    if section is not None:
        types += (type for type, _, _ in tables(section.reader(binary)))
    return types[index] if index < len(types) else None


def without_maximum(reader: Reader, index: int) -> bytes | None:
    """The table section's content with that table's maximum dropped; None if it has none."""
    content = reader.place
    for number, (_, start, end) in enumerate(tables(Reader(reader.data, content, reader.end))):
        if number == index:
            table = Reader(reader.data, start, end)
            table.type()
            limits = table.place
            flags, minimum, maximum = table.limits()
            if maximum is None:
                return None
            free = bytes([flags & ~1]) + unsigned(minimum)
            return reader.data[content:limits] + free + reader.data[end : reader.end]
    return None


def find_stack_pointer(outline: Outline) -> int | None:
    for index, name in outline.global_names.items():
        if name == STACK_POINTER_EXPORT and index < len(outline.globals) and may_be_pointer(outline.globals[index]):
            return index
    if 0 in outline.global_names or not outline.globals or outline.memory_pages is None:
        return None
    first = outline.globals[0]
    # It points behind the stack, in the memory, as the ABI aligns it.
    plausible = first.value is not None and 0 < first.value <= outline.memory_pages << 16 and first.value % 16 == 0
    return 0 if plausible and may_be_pointer(first) else None


def may_be_pointer(info: GlobalInfo) -> bool:
    return info.mutable and info.type in (I32, I64)


# --- writing -------------------------------------------------------------------------------------------------------


def unsigned(value: int) -> bytes:
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def encoded(id: int, content: bytes) -> bytes:
    return bytes([id]) + unsigned(len(content)) + content


def export(name: str, kind: int, index: int) -> bytes:
    text = name.encode()
    return unsigned(len(text)) + text + bytes([kind]) + unsigned(index)

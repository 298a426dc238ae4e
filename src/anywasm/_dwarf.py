# SPDX-License-Identifier: Apache-2.0
"""Source lines of traps, out of a module's DWARF. The extension asks; pyelftools, where it is installed, reads."""

from __future__ import annotations

from bisect import bisect_right
from io import BytesIO
from weakref import WeakKeyDictionary

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any

    from ._core import Module

# Reading is slow enough, some megabytes a second, that nobody wants to wait for more of it.
LARGEST_SECTION = 16 << 20

SECTIONS = (
    "debug_info",
    "debug_abbrev",
    "debug_str",
    "debug_line",
    "debug_line_str",
    "debug_addr",
    "debug_str_offsets",
    "debug_ranges",
    "debug_rnglists",
    "debug_loc",
    "debug_loclists",
)

# What DWARFInfo wants to be told that it has not.
UNUSED_SECTIONS = (
    "debug_aranges",
    "debug_frame",
    "eh_frame",
    "debug_pubtypes",
    "debug_pubnames",
    "debug_sup",
    "debug_types",
)

Line = tuple[int, str, int]  # address in the code section, file, line; line 0 ends a sequence

_lines: WeakKeyDictionary[Module, list[Line]] = WeakKeyDictionary()


def locate(module: Module, offset: int) -> tuple[str, int] | None:
    """Return the file and line of the instruction *offset* bytes into the module, or None where nothing tells."""
    try:
        lines = _lines[module]
    except KeyError:
        try:
            lines = _lines[module] = sorted(_read(module))
        except Exception:  # noqa: BLE001 - damaged debug information is no reason to lose the trap
            lines = _lines[module] = []
    if not lines:
        return None
    address = offset - _code_start(module)
    index = bisect_right(lines, (address, "\U0010ffff", 0)) - 1
    if index < 0:
        return None
    _, file, line = lines[index]
    return (file, line) if line else None


def _code_start(module: Module) -> int:
    return next((start for name, start, _ in module.sections if name == "code"), 0)


def section_contents(custom_sections: Callable[[str], Iterable[bytes]]) -> dict[str, bytes]:
    """What a module has of DWARF, by the sections' names without the dot."""
    return {name: b"".join(custom_sections(f".{name}")) for name in SECTIONS}


def opened(contents: dict[str, bytes]) -> Any:
    """A DWARFInfo over the sections that are there. ImportError: pyelftools is not."""
    from elftools.dwarf.dwarfinfo import DebugSectionDescriptor, DwarfConfig, DWARFInfo  # it takes long to import

    sections: dict[str, Any] = {
        f"{name}_sec": DebugSectionDescriptor(BytesIO(data), f".{name}", 0, len(data), 0)
        for name, data in contents.items()
        if data
    }
    missing = {f"{name}_sec": None for name in (*SECTIONS, *UNUSED_SECTIONS)}
    config = DwarfConfig(little_endian=True, machine_arch="", default_address_size=4)
    return DWARFInfo(config=config, **{**missing, "gnu_debugaltlink_sec": None, **sections})


def _read(module: Module) -> Iterator[Line]:
    contents = section_contents(module.custom_sections)
    if not (contents["debug_line"] and contents["debug_info"] and contents["debug_abbrev"]):
        return
    if max(map(len, contents.values())) > LARGEST_SECTION:
        return
    try:
        dwarf = opened(contents)
    except ImportError:
        return
    for unit in dwarf.iter_CUs():
        program = dwarf.line_program_for_CU(unit)
        if program is None:
            continue
        files, directories = program["file_entry"], program["include_directory"]
        directory_of_unit = unit.get_top_DIE().attributes.get("DW_AT_comp_dir")
        base = directory_of_unit.value.decode("utf-8", "replace") if directory_of_unit else ""
        names = [_path(entry, directories, base, program["version"]) for entry in files]
        first = 0 if program["version"] >= 5 else 1
        for entry in program.get_entries():
            state = entry.state
            if state is None or state.address == 0:  # what the linker has dropped lies at 0
                continue
            number = state.file - first
            file = names[number] if 0 <= number < len(names) else "?"
            yield state.address, file, 0 if state.end_sequence else state.line


def _path(entry: Any, directories: Any, base: str, version: int) -> str:
    name: str = entry.name.decode("utf-8", "replace")
    index = entry.dir_index if version >= 5 else entry.dir_index - 1
    directory = directories[index].decode("utf-8", "replace") if 0 <= index < len(directories) else base
    if name.startswith(("/", "<")):  # "<source>" is no file
        return name
    if directory and not directory.startswith("/") and base:
        directory = f"{base}/{directory}"
    return f"{directory}/{name}" if directory else name

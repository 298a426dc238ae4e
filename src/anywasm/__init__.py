# SPDX-License-Identifier: Apache-2.0
"""Run WebAssembly from Python: one API over WAMR and Wasmtime, at the cost of a Python call."""

# Importing this takes a few milliseconds: the modules below import `typing` and the like, if at all, where they use it.

from _collections_abc import Mapping as _Mapping  # which Python has imported at its start

from ._core import (
    Caller,
    CompileError,
    Engine,
    Exit,
    Exports,
    ExportType,
    Frame,
    FuelLimitError,
    Func,
    FuncType,
    Global,
    GlobalType,
    ImportType,
    Instance,
    InstanceLimitError,
    LimitError,
    LinkError,
    Memory,
    MemoryLimitError,
    MemoryType,
    Module,
    OutputLimitError,
    Ref,
    StackLimitError,
    Store,
    Table,
    TableLimitError,
    TableType,
    Tag,
    TagType,
    TimeoutExpired,
    Trap,
    UnsupportedError,
    ValType,
    WasmError,
    WasmException,
    __version__,
    wat2wasm,
)
from ._engines import EngineInfo, engines
from ._host import pass_caller
from ._linker import Linker
from ._load import load
from ._pool import Lease, Pool, PoolStats
from ._run import CompletedRun, run
from .wasi import Wasi

_Mapping.register(Exports)

__all__ = [
    "Caller",
    "CompileError",
    "CompletedRun",
    "Engine",
    "EngineInfo",
    "Exit",
    "ExportType",
    "Exports",
    "Frame",
    "FuelLimitError",
    "Func",
    "FuncType",
    "Global",
    "GlobalType",
    "ImportType",
    "Instance",
    "InstanceLimitError",
    "Lease",
    "LimitError",
    "LinkError",
    "Linker",
    "Memory",
    "MemoryLimitError",
    "MemoryType",
    "Module",
    "OutputLimitError",
    "Pool",
    "PoolStats",
    "Ref",
    "StackLimitError",
    "Store",
    "Table",
    "TableLimitError",
    "TableType",
    "Tag",
    "TagType",
    "TimeoutExpired",
    "Trap",
    "UnsupportedError",
    "ValType",
    "Wasi",
    "WasmError",
    "WasmException",
    "__version__",
    "engines",
    "load",
    "pass_caller",
    "run",
    "wat2wasm",
]

// SPDX-License-Identifier: Apache-2.0
// The module's state, the types' specs, and the few helpers that every file needs.

#ifndef AW_CORE_H
#define AW_CORE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "compat.h"
#include "engines/engine.h"

// The integers that CPython keeps ready, too: here they are at hand for results, without a call.
enum { INTEGERS_FIRST = -5, INTEGERS_COUNT = 262 };

// Groups in the order in which module.c's exec, traverse and clear list them.
typedef struct core_state {
    // Types: each is made from the spec of the same name in its file.
    PyTypeObject *ValType, *FuncType, *MemoryType, *TableType, *GlobalType, *TagType, *ImportType, *ExportType;
    PyTypeObject *Engine, *Module, *Store, *Instance, *Exports, *Caller;
    PyTypeObject *Func, *Memory, *Table, *Global, *Tag, *Ref;
    PyTypeObject *WasiHost, *WasiMemory;
    PyTypeObject *CType, *CLibrary, *CBlock, *CFunction, *CCallback, *Pointer, *Array, *Struct, *Value;  // clib
    PyTypeObject *Frame;  // a struct sequence

    // Exceptions (errors.c)
    PyObject *WasmError, *CompileError, *LinkError, *Trap, *Exit, *LimitError, *FuelLimitError, *TimeoutExpired,
        *MemoryLimitError, *TableLimitError, *InstanceLimitError, *StackLimitError, *OutputLimitError,
        *UnsupportedError, *LibraryError, *WasmException;

    // Interned strings
    PyObject *str_code, *str_frames, *str_used, *str_allowed, *str_tag, *str_payload, *str_fileno, *str_read,
        *str_write, *str_name, *str_open;

    PyObject *integers[INTEGERS_COUNT];  // owned until the module is freed, not cleared: calls may come until then

    // Value types by kind: the singletons of the number types and of the nullable abstract references (types.c)
    PyObject *valtypes;  // dict: the four bytes of an aw_valtype as int -> ValType

    PyObject
        *exports_names;  // set: names of the type Exports, which exports do not hide; NULL until the first (exports.c)

    // The engines that calls without one mean (engine.c)
    PyObject *default_engines;  // dict: repr of an Engine -> the Engine of those settings that the process shares
    const aw_engine_api *default_api;  // the engine that was chosen for calls without one, NULL until the first
} core_state;

extern PyType_Spec ValType_spec, FuncType_spec, MemoryType_spec, TableType_spec, GlobalType_spec, TagType_spec,
    ImportType_spec, ExportType_spec;
extern PyType_Spec Engine_spec, Module_spec, Store_spec, Instance_spec, Exports_spec, Caller_spec;
extern PyType_Spec Func_spec, Memory_spec, Table_spec, Global_spec, Tag_spec, Ref_spec;
extern PyType_Spec WasiHost_spec, WasiMemory_spec;
extern PyType_Spec CType_spec, CLibrary_spec, CBlock_spec, CFunction_spec, CCallback_spec, Pointer_spec, Array_spec,
    Struct_spec, Value_spec;

// Every type is final and made by this module, so its state is its type's.
static inline core_state *state_of(PyObject *self)
{
    return (core_state *)PyType_GetModuleState(Py_TYPE(self));
}

#endif

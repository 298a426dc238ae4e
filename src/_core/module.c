// SPDX-License-Identifier: Apache-2.0
// The module anywasm._core: its state, its types, its functions.

#include "core.h"
#include "engine.h"
#include "errors.h"

#ifndef ANYWASM_VERSION
#define ANYWASM_VERSION "0"
#endif

// Every type of the module, as "slot, base name"; exec, traverse and clear walk this one list.
// clang-format off
#define CORE_TYPES(X)                                                                                     \
    X(ValType) X(FuncType) X(MemoryType) X(TableType) X(GlobalType) X(TagType) X(ImportType) X(ExportType) \
    X(Engine) X(Module) X(Store) X(Instance) X(Exports) X(Caller)                                         \
    X(Func) X(Memory) X(Table) X(Global) X(Tag) X(Ref)                                                    \
    X(WasiHost) X(WasiMemory)                                                                             \
    X(CType) X(CLibrary) X(CBlock) X(CFunction) X(CCallback) X(Pointer) X(Array) X(Struct) X(Value)

#define CORE_EXCEPTIONS(X)                                                                              \
    X(WasmError) X(CompileError) X(LinkError) X(Trap) X(Exit) X(LimitError) X(FuelLimitError)          \
    X(TimeoutExpired) X(MemoryLimitError) X(TableLimitError) X(InstanceLimitError) X(StackLimitError) \
    X(OutputLimitError) X(UnsupportedError) X(LibraryError) X(WasmException)
// clang-format on

#define CORE_STRINGS(X) \
    X(code) X(frames) X(used) X(allowed) X(tag) X(payload) X(fileno) X(read) X(write) X(name) X(open)

static core_state *module_state(PyObject *module)
{
    return (core_state *)PyModule_GetState(module);
}

static PyStructSequence_Field frame_fields[] = {
    {"module_name", "the module's name, or None"},
    {"function_name", "the function's name in the name section, or None"},
    {"function_index", "the function's index in its module, imports included"},
    {"module_offset", "bytes from the module's start to the instruction, or None"},
    {"file", "the source file, where the module has debug information and pyelftools is installed, else None"},
    {"line", "the line in it, or None"},
    {NULL, NULL},
};

static PyStructSequence_Desc frame_desc = {
    .name = "anywasm.Frame",
    .doc =
        "A frame of a WebAssembly backtrace: (module_name, function_name, function_index, module_offset, file, line).",
    .fields = frame_fields,
    .n_in_sequence = 6,
};

static int module_exec(PyObject *module)
{
    core_state *state = module_state(module);
#define X(name)                                                                         \
    state->name = (PyTypeObject *)PyType_FromModuleAndSpec(module, &name##_spec, NULL); \
    if (state->name == NULL || PyModule_AddType(module, state->name) < 0) {             \
        return -1;                                                                      \
    }
    CORE_TYPES(X)
#undef X
    state->Frame = PyStructSequence_NewType(&frame_desc);
    if (state->Frame == NULL || PyModule_AddType(module, state->Frame) < 0) {
        return -1;
    }
    if (errors_create(module, state) < 0) {
        return -1;
    }
#define X(name)                                            \
    state->str_##name = PyUnicode_InternFromString(#name); \
    if (state->str_##name == NULL) {                       \
        return -1;                                         \
    }
    CORE_STRINGS(X)
#undef X
    for (int i = 0; i < INTEGERS_COUNT; i++) {
        state->integers[i] = PyLong_FromLong(INTEGERS_FIRST + i);
        if (state->integers[i] == NULL) {
            return -1;
        }
    }
    state->valtypes = PyDict_New();
    state->default_engines = PyDict_New();
    if (state->valtypes == NULL || state->default_engines == NULL) {
        return -1;
    }
    if (PyModule_AddFunctions(module, engine_functions) < 0) {
        return -1;
    }
    return PyModule_AddStringConstant(module, "__version__", ANYWASM_VERSION);
}

static int module_traverse(PyObject *module, visitproc visit, void *arg)
{
    core_state *state = module_state(module);
#define X(name) Py_VISIT(state->name);
    CORE_TYPES(X)
    Py_VISIT(state->Frame);
    CORE_EXCEPTIONS(X)
#undef X
    Py_VISIT(state->valtypes);
    Py_VISIT(state->exports_names);
    Py_VISIT(state->default_engines);
    return 0;
}

static int module_clear(PyObject *module)
{
    core_state *state = module_state(module);
#define X(name) Py_CLEAR(state->name);
    CORE_TYPES(X)
    Py_CLEAR(state->Frame);
    CORE_EXCEPTIONS(X)
#undef X
#define X(name) Py_CLEAR(state->str_##name);
    CORE_STRINGS(X)
#undef X
    Py_CLEAR(state->valtypes);
    Py_CLEAR(state->exports_names);
    Py_CLEAR(state->default_engines);
    return 0;
}

static void module_free(void *module)
{
    module_clear((PyObject *)module);
    core_state *state = module_state((PyObject *)module);
    for (int i = 0; i < INTEGERS_COUNT; i++) {
        Py_CLEAR(state->integers[i]);
    }
}

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, module_exec},
#ifdef Py_mod_multiple_interpreters
    // Those that share a GIL: engines keep things of the process, signal handlers for one, that the GIL guards. Another that has a
    // GIL of its own gets ImportError.
    {Py_mod_multiple_interpreters, Py_MOD_MULTIPLE_INTERPRETERS_SUPPORTED},
#endif
    {0, NULL},
};

static PyModuleDef module_def = {
    PyModuleDef_HEAD_INIT,
    .m_name = "anywasm._core",
    .m_doc = "The C extension of anywasm: engines, modules, stores, and what lives in them.",
    .m_size = sizeof(core_state),
    .m_slots = module_slots,
    .m_traverse = module_traverse,
    .m_clear = module_clear,
    .m_free = module_free,
};

PyMODINIT_FUNC PyInit__core(void)
{
    return PyModuleDef_Init(&module_def);
}

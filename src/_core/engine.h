// SPDX-License-Identifier: Apache-2.0
#ifndef AW_ENGINE_TYPE_H
#define AW_ENGINE_TYPE_H

#include "core.h"

typedef struct {
    PyObject_HEAD
    const aw_engine_api *api;
    aw_engine *handle;      // owned
    uint64_t capabilities;  // of this engine as configured
    aw_config config;
    const char *version;  // lives as long as the process
    PyObject *library;    // owned bytes: where the engine's library lies, or NULL
    PyObject *weakrefs;
} EngineObject;

// The engine that a call without one means: ANYWASM_ENGINE, else Wasmtime where it is, else WAMR. One per name and module
// state, kept in the state. New reference.
EngineObject *engine_default(core_state *state);

// "O&"-style check: *object* is None (then the default) or an Engine. New reference in *out.
int engine_convert(core_state *state, PyObject *object, EngineObject **out);

// UnsupportedError naming the engine, the feature and an engine that has it. Returns NULL.
PyObject *engine_raise_unsupported(core_state *state, const aw_engine_api *api, uint64_t capability, const char *what);

// The exception of a failed engine call about a module; clears the error. *origin* is where the module came from, a str for
// the message, or NULL. Returns NULL.
PyObject *engine_raise(EngineObject *self, aw_error *error, PyObject *origin);

// The text format to binary, by this engine or, if it cannot, by any that can: new bytes.
PyObject *engine_wat2wasm(EngineObject *self, const char *text, Py_ssize_t length, PyObject *origin);

// The settings that compiled code depends on, as text for people and for comparison: new str such as "Engine('wamr', fuel=True)".
PyObject *engine_code_settings(EngineObject *self);

// What made the code that this engine compiles, or may load without looking at it: engine, version, build, settings, processor.
// New str. Only for an engine that serializes.
PyObject *engine_code_identity(EngineObject *self);

// Module functions, which module.c adds to the module: `engine_list()` and `wat2wasm(text, engine=None)`; *module* is the
// extension module.
extern PyMethodDef engine_functions[];

static inline bool engine_has(const EngineObject *engine, uint64_t capability)
{
    return (engine->capabilities & capability) == capability;
}

// Is the code that it compiles to be kept on disk?
static inline bool engine_caches(const EngineObject *engine)
{
    return engine_has(engine, AW_CAP(SERIALIZE)) && !engine->config.uncached;
}

#endif

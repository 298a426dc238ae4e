// SPDX-License-Identifier: Apache-2.0
#ifndef AW_FUNC_H
#define AW_FUNC_H

#include "externs.h"

typedef struct {
    PyObject_HEAD
    StoreObject *store;  // owned: it lives there
    aw_extern item;      // the engine's name for it, freed by us
    PyObject *weakrefs;
    Py_hash_t hash;  // up to here as ExternObject
    vectorcallfunc vectorcall;
    FuncTypeObject *type;        // owned: the marshalling plan
    PyObject *name;              // owned str, or NULL
    uint32_t calls_until_timed;  // the call that makes it 0 is timed
    uint8_t calls_timed;         // up to the few that are timed at first
    bool was_long;               // the last timed call was
    bool slow;                   // the last two were: drop the GIL around calls
    bool checked;                // a parameter's type is concrete: the engine checks the values
} FuncObject;

// A host function of the engine's for a Python callable: owned, or NULL with an exception. *module* and *import_index* as in
// aw_engine_api.func_new; *module* may be NULL.
aw_func *func_new_host(StoreObject *store, PyObject *callable, FuncTypeObject *type, PyObject *name, bool pass_caller,
                       const aw_module *module, uint32_t import_index);

#endif

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
    uint8_t calls_between;       // from the last timed call to that one
    uint8_t wary;                // how many of the next calls are timed, and drop the GIL
    bool was_long;               // the last timed call was
    bool slow;                   // the last two were: drop the GIL around calls
    bool chatty;                 // the last timed call was mostly calls of the host
    bool checked;                // a parameter's type is concrete: the engine checks the values
    int64_t last_timed;          // when the last timed call ended, in nanoseconds
    int64_t last_turn;           // when the last call ended that dropped the GIL, or was timed first
} FuncObject;

enum { VALUES_ON_STACK = 16 };

// Room for a call's raw values.
static inline uint32_t functype_values(const FuncTypeObject *type)
{
    uint32_t parameters = type->type.parameter_count, results = type->type.result_count;
    uint32_t needed = parameters > results ? parameters : results;
    return needed > 0 ? needed : 1;
}

// Call with raw numbers, in a store that was checked: 0, or -1 with an exception, and what kind of error it was in store->failure.
int func_call_raw(FuncObject *self, aw_raw *values, uint32_t count);

// A host function of the engine's for a Python callable: owned, or NULL with an exception. *module* and *import_index* as in
// aw_engine_api.func_new; *module* may be NULL.
aw_func *func_new_host(StoreObject *store, PyObject *callable, FuncTypeObject *type, PyObject *name, bool pass_caller,
                       const aw_module *module, uint32_t import_index);

#endif

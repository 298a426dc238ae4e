// SPDX-License-Identifier: Apache-2.0
// The objects that modules import and export: Func, Memory, Table, Global, Tag; what they have in common.

#ifndef AW_EXTERNS_H
#define AW_EXTERNS_H

#include "store.h"
#include "types.h"

// Every one of these begins like this.
typedef struct {
    PyObject_HEAD
    StoreObject *store;  // owned: it lives there
    aw_extern item;      // the engine's name for it, freed by us
    PyObject *weakrefs;
} ExternObject;

// A Python object for an engine's handle. Takes the handle over, also when it fails. *type* (FuncType, …) and *name* are
// borrowed, and may be NULL: the engine is asked for the type.
PyObject *extern_wrap(StoreObject *store, const aw_extern *item, PyObject *type, PyObject *name);

PyObject *func_wrap(StoreObject *store, aw_func *handle, PyObject *type, PyObject *name);
PyObject *memory_wrap(StoreObject *store, aw_memory *handle);
PyObject *table_wrap(StoreObject *store, aw_table *handle);
PyObject *global_wrap(StoreObject *store, aw_global *handle);
PyObject *tag_wrap(StoreObject *store, aw_tag *handle, PyObject *type);

// Frees the name by its kind.
void extern_delete(const aw_engine_api *api, const aw_extern *item);

// Is it one of the five? Then its kind and the object's current type as a new reference; sizes of memories and tables in *size.
bool extern_check(core_state *state, PyObject *object, aw_externkind *kind);
PyObject *extern_type(ExternObject *self, uint64_t *size);

// Equality and hash by identity in the engine (extern_key): shared by the five types' slots.
PyObject *Extern_richcompare(PyObject *self, PyObject *other, int op);
Py_hash_t Extern_hash(PyObject *self);

// Ref objects: anyref, eqref, …, exnref held by Python.
PyObject *ref_wrap(StoreObject *store, aw_refclass refclass, aw_ref *ref);  // takes the root over, also when it fails
bool ref_check(core_state *state, PyObject *object);

#endif

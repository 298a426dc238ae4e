// SPDX-License-Identifier: Apache-2.0
// The objects that modules import and export: Func, Memory, Table, Global, Tag; what they have in common.

#ifndef AW_EXTERNS_H
#define AW_EXTERNS_H

#include "store.h"
#include "types.h"

// Every one of these begins like this: embed it as the first member. It has no tp_clear: it refers to its store alone, and
// a store breaks each cycle through it (Store_clear).
typedef struct {
    PyObject_HEAD
    StoreObject *store;  // owned: it lives there
    aw_extern item;      // the engine's name for it, freed by us
    PyObject *weakrefs;
    Py_hash_t hash;  // 0 until someone asks: it has to stay the same when the store is closed
} ExternObject;

// A Python object for an engine's handle. Takes the handle over, also when it fails. *type* (FuncType, …) and *name* are
// borrowed, and may be NULL: the engine is asked for the type.
PyObject *extern_wrap(StoreObject *store, const aw_extern *item, PyObject *type, PyObject *name);

PyObject *func_wrap(StoreObject *store, aw_func *handle, PyObject *type, PyObject *name);
PyObject *memory_wrap(StoreObject *store, aw_memory *handle);
PyObject *table_wrap(StoreObject *store, aw_table *handle, PyObject *declared);  // a TableType or NULL
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

// What the slots and tables of the five types share. extern_new takes the item over, also when it fails.
PyObject *extern_new(PyTypeObject *type, StoreObject *store, const aw_extern *item);
int Extern_traverse(PyObject *self, visitproc visit, void *arg);
void Extern_dealloc(PyObject *self);
PyObject *Extern_get_store(PyObject *self, void *closure);
extern PyMemberDef Extern_members[];  // the list of weak references
// "closed" or "in use by another thread" if the store cannot be asked now, else NULL: for reprs, which never fail.
const char *store_unusable(const StoreObject *store);

// An integer that Python code gave as an index, a size or an address: one beyond 64 bits comes as UINT64_MAX, which no bounds
// check lets pass. Runs Python code (__index__), so check the store afterwards. A negative one raises *negative*.
int index_convert(PyObject *object, PyObject *negative, const char *what, uint64_t *out);
#define INDEX_TEXT_SIZE 24
const char *index_text(uint64_t index, char buffer[INDEX_TEXT_SIZE]);  // for messages

// May the host make a *what* ("table", …) that holds values of the type? 0, or -1 with UnsupportedError (the engine has not got
// the type) or ValueError (it is a module's own).
int extern_check_valtype(StoreObject *store, aw_valtype type, const char *what);

// extern_type of these two: new references.
PyObject *table_type(PyObject *self, uint64_t *size);
PyObject *tag_type(PyObject *self);

// A reference to something on a guest's heap, held by Python: anyref, eqref, …, exnref.
typedef struct {
    PyObject_HEAD
    StoreObject *store;    // owned: the heap is its
    aw_refclass refclass;  // never AW_REF_EXTERN but for what the guest itself made external
    aw_ref ref;            // owned root
    aw_heaptype heap;      // what it is: found out once
    int32_t i31;           // the value if that is I31
    PyObject *weakrefs;
} RefObject;

PyObject *ref_wrap(StoreObject *store, aw_refclass refclass, aw_ref *ref);  // takes the root over, also when it fails
bool ref_check(core_state *state, PyObject *object);

#endif

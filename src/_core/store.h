// SPDX-License-Identifier: Apache-2.0
// What the objects that live in a store need of it.

#ifndef AW_STORE_H
#define AW_STORE_H

#include "engine.h"

// One Python object that guests hold as an externref. The engine counts its externrefs (aw_foreign); the store finds
// the box of an object by its identity, so that one object is one box.
typedef struct store_box {
    aw_foreign foreign;    // first: the engine's view
    Py_ssize_t count;      // externrefs that the engine holds
    PyObject *object;      // owned
} store_box;

typedef struct StoreObject {
    PyObject_HEAD
    core_state *state;          // borrowed from the type, at hand for the call path
    const aw_engine_api *api;
    aw_store *handle;           // owned; NULL once closed
    EngineObject *engine;       // owned
    uint32_t depth;             // calls into the engine that are running, one inside the other
    unsigned long thread;       // who runs them; meaningful while depth > 0
    PyThreadState *released;    // the GIL is dropped: what to take it back with
    PyObject *exception;        // owned: raised by a host function, on its way out
    PyObject *boxes;            // owned dict: id(object) -> capsule-free int address of a store_box
    PyObject *keep;             // owned list: host functions and whatever else the engine's objects refer to
    PyObject *wasi;             // owned WasiHost or NULL
    Py_ssize_t views;           // buffers of its memories that are out
    PyObject *weakrefs;
} StoreObject;

// Open, and not in use by another thread: 0, or -1 with ValueError (closed) or RuntimeError (thread). Inline part of every method.
int store_check_slow(StoreObject *self);
static inline int store_check(StoreObject *self)
{
    if (self->handle != NULL && (self->depth == 0 || self->thread == PyThread_get_thread_ident())) {
        return 0;
    }
    return store_check_slow(self);
}

// *other* (an object's store) is this very store: 0, or -1 with ValueError; *what* names the object for the message.
int store_check_same(StoreObject *self, StoreObject *other, const char *what);

// Around every engine call that may run guest code. `drop_gil` asks for the GIL to be dropped meanwhile.
void store_enter(StoreObject *self, bool drop_gil);
void store_leave(StoreObject *self);

// Inside a host function, whatever the state of the GIL: take it; give it back as it was. Nests with store_enter.
PyThreadState *store_gil_take(StoreObject *self);
void store_gil_return(StoreObject *self, PyThreadState *token);

// The box of *object*, with one more count for `externref_new` to take. NULL with MemoryError.
store_box *store_box_of(StoreObject *self, PyObject *object);
void store_box_drop(StoreObject *self, store_box *box);  // one count back

// The object lives as long as the store. 0 or -1.
int store_keep(StoreObject *self, PyObject *object);

#endif

// SPDX-License-Identifier: Apache-2.0
// What the objects that live in a store need of it.

#ifndef AW_STORE_H
#define AW_STORE_H

#include "deadline.h"
#include "engine.h"

// One Python object that guests hold as an externref. The engine counts its externrefs; the store finds the box of an
// object by its identity, so that one object is one box. Engines drop externrefs in the middle of their own work, with or
// without the GIL: a drop only lists the box as dead, and the store frees it at the next safe point (store_sweep).
typedef struct store_box {
    aw_foreign foreign;                 // first: the engine's view
    Py_ssize_t count;                   // externrefs that the engine holds
    PyObject *object;                   // owned
    PyObject *key;                      // owned: its address as an int, by which the store finds the box
    struct store_box *previous, *next;  // all boxes of the store, for traverse
    struct store_box *next_dead;
    bool dead;  // is in the list of the dead
} store_box;

// A host function as the engine calls it; lives as long as the engine may call it, that is, as long as the store is open.
typedef struct host_function {
    struct StoreObject *store;  // borrowed: it owns this
    PyObject *callable;         // owned
    PyObject *type;             // owned FuncType
    PyObject *name;             // owned str or NULL
    bool pass_caller;
    bool yields;  // a Python function, which lets other threads run when they want to
    struct host_function *next;
} host_function;

// Which module an instance is of, for backtraces and callers. The store owns the engine's name of the instance.
typedef struct store_instance {
    aw_instance *handle;  // owned
    PyObject *module;     // owned Module
} store_instance;

// How long a call goes without Python code, in nanoseconds: func.c learns from it whether to drop the GIL.
typedef struct store_timing {
    bool on;
    int64_t start, longest;  // of stretches
    int64_t count;           // of them
} store_timing;

typedef struct StoreObject {
    PyObject_HEAD
    core_state *state;  // borrowed from the type, at hand for the call path
    const aw_engine_api *api;
    aw_store *handle;                             // owned; NULL once closed
    EngineObject *engine;                         // owned
    uint32_t depth;                               // calls into the engine that are running, one inside the other
    uintptr_t thread;                             // who runs them (this_thread); meaningful while depth > 0
    PyThreadState *released;                      // the GIL is dropped: what to take it back with
    store_timing timing;                          // of the innermost call
    PyObject *exception;                          // owned: raised by a host function, on its way out
    uint8_t failure;                              // the aw_errorkind of the last call that failed
    store_box *boxes;                             // owned, all
    store_box *dead;                              // to be freed
    size_t box_count;                             // of `boxes`
    size_t externrefs_made, externrefs_until_gc;  // since the last collection, and when the next one is due
    PyObject *box_index;                          // owned dict: address of an object -> address of its box, as ints
    host_function *host_functions;                // owned
    store_instance *instances;                    // owned array
    Py_ssize_t instance_count, instance_capacity;
    PyObject *wasi;       // owned WasiHost or NULL
    Py_ssize_t views;     // buffers of its memories that are out
    double timeout;       // seconds for an outermost call, or 0
    double deadline;      // of the one that runs, on the monotonic clock, or 0
    double due;           // the same of the last one that had one, when it is over, too
    bool interrupted;     // by interrupt(): these two are for what waits outside the engine
    bool interruptible;   // outermost calls are watched for Ctrl-C and the timeout
    bool watches_ctrl_c;  // this one is
    bool unwatched;       // its deadline could not be watched, so it is stopped at once
    deadline ticking;     // of the one that runs
    uint64_t fuel_given;  // when fuel was last set
    uint64_t fuel_spent;  // until then
    uint64_t memory_limit;
    bool has_shared;  // a shared memory lives in it
    PyObject *weakrefs;
} StoreObject;

// A thread's identity is the address of a variable of its own: one instruction, where PyThread_get_thread_ident is a call.
extern AW_THREAD_LOCAL char store_thread_mark;
static inline uintptr_t this_thread(void)
{
    return (uintptr_t)&store_thread_mark;
}

// Open, and not in use by another thread: 0, or -1 with ValueError (closed) or RuntimeError (thread). Begins every method.
int store_check_slow(StoreObject *self);
static inline int store_check(StoreObject *self)
{
    if (self->handle != NULL && (self->depth == 0 || self->thread == this_thread())) {
        return 0;
    }
    return store_check_slow(self);
}

// *other* (an object's store) is this very store: 0, or -1 with ValueError; *what* names the object for the message.
int store_check_same(StoreObject *self, StoreObject *other, const char *what);

// Around every engine call that may run guest code, in an open store of this thread's. `drop_gil` asks for the GIL to be
// dropped meanwhile. What leaves does so with the GIL.
void store_watch_begin(StoreObject *self);
void store_watch_end(StoreObject *self);
void store_sweep_dead(StoreObject *self);

static inline void store_enter(StoreObject *self, bool drop_gil)
{
    if (self->depth++ == 0) {
        self->thread = this_thread();
        if (self->interruptible) {
            store_watch_begin(self);
        }
    }
    if (drop_gil) {
        self->released = PyEval_SaveThread();
    }
}

static inline void store_leave(StoreObject *self)
{
    if (self->released != NULL) {
        PyThreadState *thread = self->released;
        self->released = NULL;
        PyEval_RestoreThread(thread);
    }
    if (--self->depth == 0 && self->interruptible) {
        store_watch_end(self);
    }
}

int64_t store_now(void);  // on the monotonic clock, in nanoseconds

// A stretch of a timed call without Python code ends, or begins.
void store_stretch_end(StoreObject *self);
void store_stretch_begin(StoreObject *self);

// Free the boxes that the engine has dropped: runs Python code (destructors), so only where that is safe: after an engine
// call, never inside one.
static inline void store_sweep(StoreObject *self)
{
    if (self->dead != NULL) {
        store_sweep_dead(self);
    }
}

// Collect where enough externrefs were made since the last time; after an engine call, never inside one.
void store_collect(StoreObject *self);
static inline void store_collect_if_due(StoreObject *self)
{
    if (self->externrefs_made >= self->externrefs_until_gc && self->depth == 0) {
        store_collect(self);
    }
}

// Inside a host function, whatever the state of the GIL: take it; give it back as it was. Nests with store_enter.
static inline PyThreadState *store_gil_take(StoreObject *self)
{
    PyThreadState *token = self->released;
    if (token != NULL) {
        self->released = NULL;
        PyEval_RestoreThread(token);
    }
    return token;
}

static inline void store_gil_return(StoreObject *self, PyThreadState *token)
{
    if (token != NULL) {
        self->released = PyEval_SaveThread();
    }
}

// Inside a host function, with the GIL: is the running call to end, by its deadline or by interrupt()? Says so once.
bool store_overdue(StoreObject *self);

// A shared memory of at most so many pages is to live in the store: 0, or -1 with UnsupportedError if its limits do not hold then.
int store_add_shared(StoreObject *self, uint64_t pages);

// How many seconds the last call ran if its deadline is over, else a negative number.
double store_overtime(const StoreObject *self);

// Note the pending Python exception as the reason why a host function fails; a second one during the same unwinding is dropped.
void store_take_exception(StoreObject *self);

// The box of *object*, with one more count for `externref_new` to take. NULL with MemoryError.
store_box *store_box_of(StoreObject *self, PyObject *object);
void store_box_drop(StoreObject *self, store_box *box);  // one count back; no GIL needed

// A host function that the engine may call while the store is open: borrowed, or NULL with MemoryError. Borrows its arguments.
host_function *store_add_host_function(StoreObject *self, PyObject *callable, PyObject *type, PyObject *name,
                                       bool pass_caller);

// Takes the instance's name over, also when it fails: 0 or -1.
int store_add_instance(StoreObject *self, aw_instance *handle, PyObject *module);
// The module of an instance, borrowed, or NULL without an exception. NULL asks for the only module that there is.
PyObject *store_module_of(StoreObject *self, const aw_instance *handle);

#endif

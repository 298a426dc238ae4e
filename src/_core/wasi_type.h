// SPDX-License-Identifier: Apache-2.0
#ifndef AW_WASI_TYPE_H
#define AW_WASI_TYPE_H

#include "store.h"

// The tree behind a WasiMemory, borrowed, or NULL if it is none.
struct aw_wasi_memory *wasimemory_tree(core_state *state, PyObject *object);

// File systems that Python code serves to one program: a list, newest first (wasi_filesystem.c). *store* is where the program's store
// stands while it has one; *lost* where what closing a file raises goes, that nobody else hears of, if None stands there. Gives the new first of the list, or NULL with an exception.
typedef struct wasi_served wasi_served;
struct aw_wasi;
wasi_served *served_mount(struct aw_wasi *wasi, StoreObject *const *store, PyObject **lost, PyObject *object,
                          const char *name, size_t length, bool writable, wasi_served *next);
int served_visit(wasi_served *self, visitproc visit, void *arg);
void served_free(wasi_served *self);  // all of the list, after the program's files are closed

bool wasihost_check(core_state *state, PyObject *object);

// The store that the program runs in, borrowed; NULL when it is closed. 0, or -1 with ValueError: it runs in one already, or with
// what its streams raise at their end.
int wasihost_bind(PyObject *self, StoreObject *store);

// The function of that name in wasi_snapshot_preview1, or false; and a function of the store's that calls it with the program's view:
// owned, or NULL with the error filled in.
bool wasihost_find(const char *name, size_t length, const aw_functype **type, aw_hostfunc *function);
aw_func *wasihost_func_new(PyObject *self, const aw_functype *type, aw_hostfunc function, aw_error *error);

// If the program waits, it is asked at once whether to go on.
void wasihost_wake(PyObject *self);

// The program has called proc_exit: true once, with the status.
bool wasihost_exit(PyObject *self, uint32_t *status);

#endif

// SPDX-License-Identifier: Apache-2.0
#ifndef AW_WASI_TYPE_H
#define AW_WASI_TYPE_H

#include "store.h"

// The tree behind a WasiMemory, borrowed, or NULL if it is none.
struct aw_wasi_memory *wasimemory_tree(core_state *state, PyObject *object);

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

// SPDX-License-Identifier: Apache-2.0
#ifndef AW_CALLER_H
#define AW_CALLER_H

#include "store.h"

// A Caller for the host function that runs; caller_end makes it unusable when that call ends.
PyObject *caller_new(StoreObject *store, aw_caller *handle);
void caller_end(PyObject *self);

#endif

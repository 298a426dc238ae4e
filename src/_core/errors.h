// SPDX-License-Identifier: Apache-2.0
// The one place that knows the exception classes and turns an aw_error into one.

#ifndef AW_ERRORS_H
#define AW_ERRORS_H

#include "store.h"

int errors_create(PyObject *module, core_state *state);  // the classes, from one table

// Raise *error* and clear it. *store* may be NULL (compiling); with a store, an exception that a host function left
// pending in it wins. Returns NULL.
PyObject *error_raise(core_state *state, StoreObject *store, aw_error *error);

// Raise what a call in *store* that was interrupted raises: TimeoutExpired if its time is up, else LimitError.
void error_raise_interrupted(StoreObject *store);

// Raise OutputLimitError: *used* bytes were written, or would have been, where *allowed* were allowed.
void error_raise_output(core_state *state, uint64_t used, uint64_t allowed);

// Raise *type* with a formatted message; the exception that was pending becomes its cause. Returns NULL.
PyObject *raise_from(PyObject *type, const char *format, ...);

#endif

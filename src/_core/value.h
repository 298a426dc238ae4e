// SPDX-License-Identifier: Apache-2.0
// One value across the boundary: the table "Values" of docs/values.md in C. func.c has the fast paths for whole calls.

#ifndef AW_VALUE_H
#define AW_VALUE_H

#include "store.h"
#include "types.h"

// Who asks, for messages: "add(): parameter 2 (i32): expected an integer, got str".
typedef struct value_place {
    PyObject *name;     // str or NULL: the function's name
    const char *what;   // "parameter", "result", "value", …
    Py_ssize_t index;   // from 0, or -1 for none
} value_place;

// Python to raw and back. References that come out of value_to_raw are valid until the next allocation in the store: use
// value_root for several. 0 or -1 with TypeError, OverflowError, ValueError (another store).
int value_to_raw(StoreObject *store, aw_valtype type, PyObject *object, aw_raw *out, const value_place *place);
PyObject *value_from_raw(StoreObject *store, aw_valtype type, const aw_raw *raw);

// Bit patterns: an int in 0 … 2**N-1 for i32, i64, f32, f64 and v128 (N = 32, 64, 32, 64, 128; lane 0 lowest); references as above.
int value_bits_to_raw(StoreObject *store, aw_valtype type, PyObject *object, aw_raw *out, const value_place *place);
PyObject *value_bits_from_raw(StoreObject *store, aw_valtype type, const aw_raw *raw);

#endif

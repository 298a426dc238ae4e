// SPDX-License-Identifier: Apache-2.0
// One value across the boundary: the table of docs/values.md in C. func.c has the paths for whole calls.

#ifndef AW_VALUE_H
#define AW_VALUE_H

#include <math.h>

#include "store.h"
#include "types.h"

// Who asks, for messages: "add(): parameter 2 (i32): expected an integer, got str".
typedef struct value_place {
    PyObject *name;    // str or NULL: the function's name
    const char *what;  // "parameter", "result", "value", …
    Py_ssize_t index;  // from 0, or -1 for none
} value_place;

// Python to raw and back. References that come out of value_to_raw are valid until the next allocation in the store: use
// value_root for several. 0 or -1 with TypeError, OverflowError, ValueError (another store).
int value_to_raw(StoreObject *store, aw_valtype type, PyObject *object, aw_raw *out, const value_place *place);
PyObject *value_from_raw(StoreObject *store, aw_valtype type, const aw_raw *raw);

// Bit patterns: an int in 0 … 2**N-1 for i32, i64, f32, f64 and v128 (N = 32, 64, 32, 64, 128; lane 0 lowest); references as above.
int value_bits_to_raw(StoreObject *store, aw_valtype type, PyObject *object, aw_raw *out, const value_place *place);
PyObject *value_bits_from_raw(StoreObject *store, aw_valtype type, const aw_raw *raw);

// Several values at once, when some of them are references: making one may move or free another that is not rooted. So
// all of a call's values become raw numbers or roots first, and then all roots become raw.
typedef struct value_root {
    aw_ref ref;
    aw_refclass refclass;
    bool rooted;  // else *raw is it
} value_root;

int values_to_raw(StoreObject *store, const aw_valtype *types, PyObject *const *objects, Py_ssize_t count, aw_raw *out,
                  PyObject *name, const char *what, bool bits);
// New references into *objects*, all or none.
int values_from_raw(StoreObject *store, const aw_valtype *types, const aw_raw *raws, Py_ssize_t count,
                    PyObject **objects, bool bits);

// TypeError "add(): expected 2 arguments, got 3".
void value_raise_count(PyObject *name, Py_ssize_t wanted, Py_ssize_t given);

// --- numbers: i32, i64, f32, f64 ---------------------------------------------------------------------------------

// A number to Python: a new reference, or NULL with MemoryError.
static inline PyObject *integer_from_raw(const core_state *state, int64_t value)
{
    uint64_t index = (uint64_t)value - (uint64_t)INTEGERS_FIRST;
    return index < INTEGERS_COUNT ? Py_NewRef(state->integers[index]) : PyLong_FromLongLong(value);
}

static inline PyObject *number_from_raw(const core_state *state, aw_valtype type, const aw_raw *raw)
{
    switch (type.kind) {
    case AW_I32:
        return integer_from_raw(state, raw->i32);
    case AW_I64:
        return integer_from_raw(state, raw->i64);
    case AW_F32:
        return PyFloat_FromDouble((double)raw->f32);
    default:
        return PyFloat_FromDouble(raw->f64);
    }
}

// A number from Python if that is simple: no Python code runs, and there is no exception where it is not.
static inline bool number_to_raw_quick(aw_valtype type, PyObject *object, aw_raw *raw)
{
    long integer;
    switch (type.kind) {
    case AW_I32:
        if (!aw_long_compact(object, &integer)) {
            return false;
        }
        raw->bits[0] = (uint32_t)integer;
        return true;
    case AW_I64:
        if (!aw_long_compact(object, &integer)) {
            return false;
        }
        raw->i64 = integer;
        return true;
    case AW_F32: {
        if (!PyFloat_CheckExact(object)) {
            return false;
        }
        double value = PyFloat_AS_DOUBLE(object);
        raw->bits[0] = 0;
        raw->f32 = (float)value;
        return !isinf(raw->f32) || isinf(value);
    }
    default:
        if (!PyFloat_CheckExact(object)) {
            return false;
        }
        raw->f64 = PyFloat_AS_DOUBLE(object);
        return true;
    }
}

// Any number from Python: 0, or -1 with TypeError, OverflowError or what the object's own conversion raises.
int number_to_raw_slow(aw_valtype type, PyObject *object, aw_raw *raw, const value_place *place);
static inline int number_to_raw(aw_valtype type, PyObject *object, aw_raw *raw, const value_place *place)
{
    return number_to_raw_quick(type, object, raw) ? 0 : number_to_raw_slow(type, object, raw, place);
}

#endif

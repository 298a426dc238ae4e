// SPDX-License-Identifier: Apache-2.0
// One value across the boundary: the table of docs/values.md in C. func.c has the paths for whole calls.

#ifndef AW_VALUE_H
#define AW_VALUE_H

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

// Numbers, for the fast paths: small ints and exact floats without a call.
int value_i32_slow(PyObject *object, int32_t *out, const value_place *place);
int value_i64_slow(PyObject *object, int64_t *out, const value_place *place);
int value_f32(PyObject *object, float *out, const value_place *place);
int value_f64_slow(PyObject *object, double *out, const value_place *place);

static inline int value_i32(PyObject *object, int32_t *out, const value_place *place)
{
    long value;
    if (aw_long_compact(object, &value)) {
        *out = (int32_t)value;
        return 0;
    }
    return value_i32_slow(object, out, place);
}

static inline int value_i64(PyObject *object, int64_t *out, const value_place *place)
{
    long value;
    if (aw_long_compact(object, &value)) {
        *out = value;
        return 0;
    }
    return value_i64_slow(object, out, place);
}

static inline int value_f64(PyObject *object, double *out, const value_place *place)
{
    if (PyFloat_CheckExact(object)) {
        *out = PyFloat_AS_DOUBLE(object);
        return 0;
    }
    return value_f64_slow(object, out, place);
}

// A number to Python; the type is none of v128 and references.
static inline PyObject *number_from_raw(aw_valtype type, const aw_raw *raw)
{
    switch (type.kind) {
    case AW_I32:
        return PyLong_FromLong(raw->i32);
    case AW_I64:
        return PyLong_FromLongLong(raw->i64);
    case AW_F32:
        return PyFloat_FromDouble((double)raw->f32);
    default:
        return PyFloat_FromDouble(raw->f64);
    }
}

// A number from Python: 0 or -1.
static inline int number_to_raw(aw_valtype type, PyObject *object, aw_raw *raw, const value_place *place)
{
    switch (type.kind) {
    case AW_I32:
        raw->bits[0] = 0;
        return value_i32(object, &raw->i32, place);
    case AW_I64:
        return value_i64(object, &raw->i64, place);
    case AW_F32:
        raw->bits[0] = 0;
        return value_f32(object, &raw->f32, place);
    default:
        return value_f64(object, &raw->f64, place);
    }
}

#endif

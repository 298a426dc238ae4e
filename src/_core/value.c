// SPDX-License-Identifier: Apache-2.0
// Values across the boundary (specification, sections 2.3 and 4.2.1). Conversions are exact or an error: an integer out of
// range is an OverflowError, never a wrapped number; a float is no integer; a number is no boolean by accident.

#include "value.h"

#include "errors.h"
#include "externs.h"

// --- messages ----------------------------------------------------------------------------------------------

static PyObject *place_text(const value_place *place, aw_valtype type)
{
    char buffer[VALTYPE_TEXT_SIZE];
    const char *text = valtype_text(type, buffer);
    if (place->name != NULL && place->index >= 0) {
        return PyUnicode_FromFormat("%U(): %s %zd (%s)", place->name, place->what, place->index + 1, text);
    }
    if (place->name != NULL) {
        return PyUnicode_FromFormat("%U(): %s (%s)", place->name, place->what, text);
    }
    if (place->index >= 0) {
        return PyUnicode_FromFormat("%s %zd (%s)", place->what, place->index + 1, text);
    }
    return PyUnicode_FromFormat("%s (%s)", place->what, text);
}

// TypeError "…: expected an integer, got str"; what was pending becomes the cause unless it says the same.
static int raise_type(const value_place *place, aw_valtype type, const char *expected, PyObject *object)
{
    PyErr_Clear();
    PyObject *where = place_text(place, type);
    if (where != NULL) {
        PyErr_Format(PyExc_TypeError, "%U: expected %s, got %.200s", where, expected,
                     object == Py_None ? "None" : Py_TYPE(object)->tp_name);
        Py_DECREF(where);
    }
    return -1;
}

// OverflowError "…: 4294967296 is out of range, which is -2147483648 to 4294967295".
static int raise_range(const value_place *place, aw_valtype type, const char *range, PyObject *object)
{
    PyErr_Clear();
    PyObject *where = place_text(place, type);
    if (where == NULL) {
        return -1;
    }
    PyObject *shown = PyObject_Repr(object);
    if (shown != NULL) {
        PyErr_Format(PyExc_OverflowError, "%U: %.100U is out of range, which is %s", where, shown, range);
        Py_DECREF(shown);
    }
    else {  // Python refuses to write out integers of more than some thousand digits
        PyErr_Clear();
        PyErr_Format(PyExc_OverflowError, "%U: the integer is out of range, which is %s", where, range);
    }
    Py_DECREF(where);
    return -1;
}

// An exception from the object's own __index__, __float__ or buffer goes out as it is; only the plain "no such method" is reworded.
static bool is_plain_type_error(PyObject *object, const char *method)
{
    if (!PyErr_ExceptionMatches(PyExc_TypeError)) {
        return false;
    }
    PyObject *pending = aw_take_exception();
    int has = PyObject_HasAttrString(object, method);
    aw_put_exception(pending);
    return !has;
}

void value_raise_count(PyObject *name, Py_ssize_t wanted, Py_ssize_t given)
{
    if (name != NULL) {
        PyErr_Format(PyExc_TypeError, "%U(): expected %zd argument%s, got %zd", name, wanted, wanted == 1 ? "" : "s",
                     given);
    }
    else {
        PyErr_Format(PyExc_TypeError, "expected %zd argument%s, got %zd", wanted, wanted == 1 ? "" : "s", given);
    }
}

// --- numbers --------------------------------------------------------------------------------------------------

static const aw_valtype i32_type = {.kind = AW_I32}, i64_type = {.kind = AW_I64}, f32_type = {.kind = AW_F32},
                        f64_type = {.kind = AW_F64};

// The integer that *object* stands for: a new reference to an exact or derived int.
static PyObject *index_of(PyObject *object, const value_place *place, aw_valtype type)
{
    if (PyLong_Check(object)) {
        return Py_NewRef(object);
    }
    PyObject *index = PyNumber_Index(object);
    if (index == NULL && is_plain_type_error(object, "__index__")) {
        raise_type(place, type, "an integer", object);
    }
    return index;
}

static int convert_i32(PyObject *object, int32_t *out, const value_place *place)
{
    PyObject *index = index_of(object, place, i32_type);
    if (index == NULL) {
        return -1;
    }
    int overflow;
    long long value = PyLong_AsLongLongAndOverflow(index, &overflow);
    Py_DECREF(index);
    if (overflow != 0 || value < INT32_MIN || value > (long long)UINT32_MAX) {
        return raise_range(place, i32_type, "-2147483648 to 4294967295", object);
    }
    *out = (int32_t)(uint32_t)value;
    return 0;
}

static int convert_i64(PyObject *object, int64_t *out, const value_place *place)
{
    int overflow;
    long long value;
    if (PyLong_CheckExact(object)) {  // of more than one digit, and of two most likely
        value = PyLong_AsLongLongAndOverflow(object, &overflow);
        if (overflow == 0) {
            *out = value;
            return 0;
        }
    }
    PyObject *index = index_of(object, place, i64_type);
    if (index == NULL) {
        return -1;
    }
    value = PyLong_AsLongLongAndOverflow(index, &overflow);
    if (overflow > 0) {
        unsigned long long large = PyLong_AsUnsignedLongLong(index);
        if (large == (unsigned long long)-1 && PyErr_Occurred()) {
            overflow = 1;
        }
        else {
            value = (long long)large;
            overflow = 0;
        }
    }
    Py_DECREF(index);
    if (overflow != 0) {
        return raise_range(place, i64_type, "-9223372036854775808 to 18446744073709551615", object);
    }
    *out = value;
    return 0;
}

static int convert_f64(PyObject *object, double *out, const value_place *place)
{
    *out = PyFloat_AsDouble(object);
    if (*out == -1.0 && PyErr_Occurred()) {
        if (PyErr_ExceptionMatches(PyExc_OverflowError) && PyLong_Check(object)) {
            return raise_range(place, f64_type, "that of a 64-bit float", object);
        }
        if (is_plain_type_error(object, "__float__") && !PyIndex_Check(object)) {
            return raise_type(place, f64_type, "a float or an integer", object);
        }
        return -1;
    }
    return 0;
}

static int convert_f32(PyObject *object, float *out, const value_place *place)
{
    double value = PyFloat_CheckExact(object) ? PyFloat_AS_DOUBLE(object) : PyFloat_AsDouble(object);
    if (value == -1.0 && PyErr_Occurred()) {
        if (PyErr_ExceptionMatches(PyExc_OverflowError) && PyLong_Check(object)) {
            return raise_range(place, f32_type, "that of a 32-bit float", object);
        }
        if (is_plain_type_error(object, "__float__") && !PyIndex_Check(object)) {
            return raise_type(place, f32_type, "a float or an integer", object);
        }
        return -1;
    }
    *out = (float)value;
    if (isinf(*out) && !isinf(value)) {
        return raise_range(place, f32_type, "about -3.4e38 to 3.4e38", object);
    }
    return 0;
}

int number_to_raw_slow(aw_valtype type, PyObject *object, aw_raw *raw, const value_place *place)
{
    raw->bits[0] = 0;
    switch (type.kind) {
    case AW_I32:
        return convert_i32(object, &raw->i32, place);
    case AW_I64:
        return convert_i64(object, &raw->i64, place);
    case AW_F32:
        return convert_f32(object, &raw->f32, place);
    default:
        return convert_f64(object, &raw->f64, place);
    }
}

static int value_v128(PyObject *object, uint8_t out[16], const value_place *place)
{
    static const aw_valtype type = {.kind = AW_V128};
    Py_buffer buffer;
    if (PyObject_GetBuffer(object, &buffer, PyBUF_SIMPLE) < 0) {
        return PyObject_CheckBuffer(object) ? -1 : raise_type(place, type, "16 bytes", object);
    }
    Py_ssize_t length = buffer.len;
    if (length == 16) {
        memcpy(out, buffer.buf, 16);
    }
    PyBuffer_Release(&buffer);
    if (length != 16) {
        PyObject *where = place_text(place, type);
        if (where != NULL) {
            PyErr_Format(PyExc_ValueError, "%U: expected 16 bytes, got %zd", where, length);
            Py_DECREF(where);
        }
        return -1;
    }
    return 0;
}

// --- references ---------------------------------------------------------------------------------------------------

static aw_refclass refclass_of(aw_valtype type)
{
    switch (type.heap) {
    case AW_HEAP_EXTERN:
    case AW_HEAP_NOEXTERN:
        return AW_REF_EXTERN;
    case AW_HEAP_EXN:
    case AW_HEAP_NOEXN:
        return AW_REF_EXN;
    default:
        return AW_REF_ANY;
    }
}

// Is a reference to something of heap type *given* one of *wanted*, both abstract and in the any hierarchy?
static bool any_matches(aw_heaptype given, aw_heaptype wanted)
{
    switch (wanted) {
    case AW_HEAP_ANY:
        return true;
    case AW_HEAP_EQ:
        return given == AW_HEAP_I31 || given == AW_HEAP_STRUCT || given == AW_HEAP_ARRAY;
    default:
        return given == wanted;
    }
}

// One value as a raw number or a root.
static int value_prepare(StoreObject *store, aw_valtype type, PyObject *object, aw_raw *raw, value_root *root,
                         const value_place *place)
{
    root->rooted = false;
    if (type.kind == AW_V128) {
        return value_v128(object, raw->v128, place);
    }
    if (type.kind != AW_REF) {
        return number_to_raw(type, object, raw, place);
    }

    raw->bits[0] = raw->bits[1] = 0;
    if (object == Py_None && type.heap != AW_HEAP_EXTERN) {
        return type.nullable ? 0 : raise_type(place, type, "a reference that is not null", object);
    }
    if (store_check(store) < 0) {
        return -1;
    }
    aw_error error;
    PyTypeObject *class = Py_TYPE(object);
    core_state *state = store->state;
    switch (type.heap) {
    case AW_HEAP_FUNC: {
        if (class != state->Func) {
            return raise_type(place, type, "a Func or None", object);
        }
        ExternObject *func = (ExternObject *)object;
        if (store_check_same(store, func->store, "the function") < 0) {
            return -1;
        }
        if (store->api->func_to_raw(func->item.func, raw, &error) < 0) {
            error_raise(state, NULL, &error);
            return -1;
        }
        return 0;
    }
    case AW_HEAP_EXTERN: {
        if (object == Py_None) {
            return type.nullable ? 0 : raise_type(place, type, "an object that is not None", object);
        }
        if (class == state->Ref && ((RefObject *)object)->refclass == AW_REF_EXTERN) {  // made external by the guest
            const RefObject *given = (RefObject *)object;
            if (store_check_same(store, given->store, "the reference") < 0) {
                return -1;
            }
            store->api->ref_clone(AW_REF_EXTERN, &given->ref, &root->ref);
            root->refclass = AW_REF_EXTERN;
            root->rooted = true;
            return 0;
        }
        store_box *box = store_box_of(store, object);
        if (box == NULL) {
            return -1;
        }
        if (store->api->externref_new(store->handle, &box->foreign, &root->ref, &error) < 0) {
            store_box_drop(store, box);
            error_raise(state, NULL, &error);
            return -1;
        }
        root->refclass = AW_REF_EXTERN;
        root->rooted = true;
        return 0;
    }
    case AW_HEAP_NOFUNC:
    case AW_HEAP_NOEXTERN:
    case AW_HEAP_NONE:
    case AW_HEAP_NOEXN:
        return raise_type(place, type, "None", object);
    default:
        break;
    }

    aw_refclass refclass = refclass_of(type);
    if (class != state->Ref) {
        return raise_type(place, type, "a Ref or None", object);
    }
    const RefObject *ref = (RefObject *)object;
    if (store_check_same(store, ref->store, "the reference") < 0) {
        return -1;
    }
    if (ref->refclass != refclass ||
        (refclass == AW_REF_ANY &&
         !any_matches(store->api->ref_heaptype(store->handle, refclass, &ref->ref), (aw_heaptype)type.heap))) {
        return raise_type(place, type, "a reference of that type", object);
    }
    store->api->ref_clone(refclass, &ref->ref, &root->ref);
    root->refclass = refclass;
    root->rooted = true;
    return 0;
}

static void root_to_raw(StoreObject *store, value_root *root, aw_raw *raw)
{
    store->api->ref_to_raw(store->handle, root->refclass, &root->ref, raw);
    store->api->ref_drop(root->refclass, &root->ref);
}

int value_to_raw(StoreObject *store, aw_valtype type, PyObject *object, aw_raw *out, const value_place *place)
{
    value_root root;
    if (value_prepare(store, type, object, out, &root, place) < 0) {
        return -1;
    }
    if (root.rooted) {
        root_to_raw(store, &root, out);
    }
    return 0;
}

// Engines fill as much of a raw reference as their word for it has: the rest may be anything.
static bool raw_is_null(aw_valtype type, const aw_raw *raw)
{
    return type.heap == AW_HEAP_FUNC || type.heap == AW_HEAP_NOFUNC ? raw->func == NULL : raw->ref == 0;
}

// The first half of taking a value out: root it if it is a reference that a collector may move.
static int raw_root(StoreObject *store, aw_valtype type, const aw_raw *raw, value_root *root)
{
    root->rooted = false;
    if (type.kind != AW_REF || raw_is_null(type, raw) || type.heap == AW_HEAP_FUNC || type.heap == AW_HEAP_NOFUNC) {
        return 0;
    }
    aw_error error;
    root->refclass = refclass_of(type);
    if (store->api->ref_from_raw(store->handle, root->refclass, raw, &root->ref, &error) < 0) {
        error_raise(store->state, NULL, &error);
        return -1;
    }
    root->rooted = true;
    return 0;
}

// The second half: a new reference; takes the root over.
static PyObject *root_wrap(StoreObject *store, aw_valtype type, const aw_raw *raw, value_root *root)
{
    if (type.kind == AW_V128) {
        return PyBytes_FromStringAndSize((const char *)raw->v128, 16);
    }
    if (type.kind != AW_REF) {
        return number_from_raw(store->state, type, raw);
    }
    if (root->rooted) {
        if (root->refclass == AW_REF_EXTERN) {
            store_box *box = (store_box *)store->api->externref_foreign(store->handle, &root->ref);
            if (box != NULL) {
                PyObject *object = Py_NewRef(box->object);
                store->api->ref_drop(AW_REF_EXTERN, &root->ref);
                return object;
            }
        }
        return ref_wrap(store, root->refclass, &root->ref);
    }
    if (raw_is_null(type, raw)) {
        Py_RETURN_NONE;
    }
    aw_error error;
    aw_func *func = store->api->func_from_raw(store->handle, raw, &error);
    return func != NULL ? func_wrap(store, func, NULL, NULL) : error_raise(store->state, NULL, &error);
}

PyObject *value_from_raw(StoreObject *store, aw_valtype type, const aw_raw *raw)
{
    value_root root;
    return raw_root(store, type, raw, &root) < 0 ? NULL : root_wrap(store, type, raw, &root);
}

// --- bit patterns -----------------------------------------------------------------------------------------------------

static Py_ssize_t bit_bytes(aw_valtype type)
{
    switch (type.kind) {
    case AW_I32:
    case AW_F32:
        return 4;
    case AW_I64:
    case AW_F64:
        return 8;
    case AW_V128:
        return 16;
    default:
        return 0;
    }
}

static int bits_to_raw(aw_valtype type, PyObject *object, aw_raw *out, const value_place *place)
{
    Py_ssize_t size = bit_bytes(type);
    PyObject *index = index_of(object, place, type);
    if (index == NULL) {
        return -1;
    }
    out->bits[0] = out->bits[1] = 0;
    PyObject *bytes = PyObject_CallMethod(index, "to_bytes", "ns", size, "little");
    Py_DECREF(index);
    if (bytes == NULL) {
        return PyErr_ExceptionMatches(PyExc_OverflowError) ? raise_range(place, type,
                                                                         size == 4   ? "0 to 2**32-1"
                                                                         : size == 8 ? "0 to 2**64-1"
                                                                                     : "0 to 2**128-1",
                                                                         object)
                                                           : -1;
    }
    memcpy(out, PyBytes_AS_STRING(bytes), (size_t)size);
    Py_DECREF(bytes);
    return 0;
}

static PyObject *bits_from_raw(aw_valtype type, const aw_raw *raw)
{
    switch (bit_bytes(type)) {
    case 4:
        return PyLong_FromUnsignedLong((uint32_t)raw->i32);
    case 8:
        return PyLong_FromUnsignedLongLong(raw->bits[0]);
    default: {
        PyObject *bytes = PyBytes_FromStringAndSize((const char *)raw->v128, 16);
        PyObject *result = bytes != NULL
                               ? PyObject_CallMethod((PyObject *)&PyLong_Type, "from_bytes", "Os", bytes, "little")
                               : NULL;
        Py_XDECREF(bytes);
        return result;
    }
    }
}

int value_bits_to_raw(StoreObject *store, aw_valtype type, PyObject *object, aw_raw *out, const value_place *place)
{
    return type.kind == AW_REF ? value_to_raw(store, type, object, out, place) : bits_to_raw(type, object, out, place);
}

PyObject *value_bits_from_raw(StoreObject *store, aw_valtype type, const aw_raw *raw)
{
    return type.kind == AW_REF ? value_from_raw(store, type, raw) : bits_from_raw(type, raw);
}

// --- several at once ----------------------------------------------------------------------------------------------------

enum { ROOTS_ON_STACK = 16 };

int values_to_raw(StoreObject *store, const aw_valtype *types, PyObject *const *objects, Py_ssize_t count, aw_raw *out,
                  PyObject *name, const char *what, bool bits)
{
    value_root on_stack[ROOTS_ON_STACK];
    value_root *roots = count <= ROOTS_ON_STACK ? on_stack : PyMem_Malloc((size_t)count * sizeof(*roots));
    if (roots == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    int status = 0;
    Py_ssize_t done = 0;
    for (; done < count && status == 0; done++) {
        value_place place = {.name = name, .what = what, .index = done};
        roots[done].rooted = false;
        status = bits && types[done].kind != AW_REF
                     ? bits_to_raw(types[done], objects[done], &out[done], &place)
                     : value_prepare(store, types[done], objects[done], &out[done], &roots[done], &place);
    }
    // A conversion may have run Python code, which may have closed the store: roots are dropped then.
    if (status == 0 && store_check(store) < 0) {
        status = -1;
    }
    for (Py_ssize_t i = 0; i < done; i++) {
        if (roots[i].rooted && status == 0) {
            root_to_raw(store, &roots[i], &out[i]);
        }
        else if (roots[i].rooted) {
            store->api->ref_drop(roots[i].refclass, &roots[i].ref);
        }
    }
    if (roots != on_stack) {
        PyMem_Free(roots);
    }
    return status;
}

int values_from_raw(StoreObject *store, const aw_valtype *types, const aw_raw *raws, Py_ssize_t count,
                    PyObject **objects, bool bits)
{
    value_root on_stack[ROOTS_ON_STACK];
    value_root *roots = count <= ROOTS_ON_STACK ? on_stack : PyMem_Malloc((size_t)count * sizeof(*roots));
    if (roots == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    int status = 0;
    Py_ssize_t rooted = 0, wrapped = 0;
    for (; rooted < count && status == 0; rooted++) {
        roots[rooted].rooted = false;
        status = raw_root(store, types[rooted], &raws[rooted], &roots[rooted]);
    }
    for (; wrapped < rooted && status == 0; wrapped++) {
        objects[wrapped] = bits && types[wrapped].kind != AW_REF
                               ? bits_from_raw(types[wrapped], &raws[wrapped])
                               : root_wrap(store, types[wrapped], &raws[wrapped], &roots[wrapped]);
        if (objects[wrapped] == NULL) {
            status = -1;
            roots[wrapped].rooted = false;  // root_wrap took it over
        }
    }
    if (status < 0) {
        for (Py_ssize_t i = 0; i < wrapped; i++) {
            roots[i].rooted = false;
            Py_CLEAR(objects[i]);
        }
        for (Py_ssize_t i = 0; i < rooted; i++) {
            if (roots[i].rooted) {
                store->api->ref_drop(roots[i].refclass, &roots[i].ref);
            }
        }
    }
    if (roots != on_stack) {
        PyMem_Free(roots);
    }
    return status;
}

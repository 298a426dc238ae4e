// SPDX-License-Identifier: Apache-2.0
// A Global is one variable or constant that modules share with each other and with Python. It keeps its store alive.

#include "errors.h"
#include "externs.h"
#include "value.h"

typedef struct {
    ExternObject base;
    aw_globaltype type;  // never changes, so the engine is asked once
} GlobalObject;

static inline GlobalObject *global_cast(PyObject *self)
{
    return (GlobalObject *)self;
}

static inline int global_check(GlobalObject *self)
{
    return store_check(self->base.store);
}

// --- birth ------------------------------------------------------------------------------------------------------

// The engine is asked first: making the object may collect garbage, whose destructors may close the store.
PyObject *global_wrap(StoreObject *store, aw_global *handle)
{
    aw_globaltype type;
    store->api->global_type(handle, &type);
    aw_extern item = {.kind = AW_EXTERN_GLOBAL, .global = handle};
    PyObject *self = extern_new(store->state->Global, store, &item);
    if (self != NULL) {
        global_cast(self)->type = type;
    }
    return self;
}

PyDoc_STRVAR(Global_doc,
             "Global(type, value, store)\n--\n\n"
             "A variable or constant that modules share with each other and with Python.\n\n"
             "type: GlobalType, what it holds and whether it can be set.\n"
             "value: what it holds at first, converted as a function's parameters are.\n"
             "store: Store, where it lives.\n\n"
             "Making a mutable one needs an engine with the capability imported_global, and raises UnsupportedError\n"
             "elsewhere. Specification, section 2.5.6.");

static PyObject *Global_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    static char *names[] = {"type", "value", "store", NULL};
    core_state *state = (core_state *)PyType_GetModuleState(type);
    GlobalTypeObject *globaltype;
    StoreObject *store;
    PyObject *value;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "O!OO!:Global", names, state->GlobalType, &globaltype, &value,
                                     state->Store, &store) ||
        store_check(store) < 0) {
        return NULL;
    }
    const aw_globaltype *wanted = &globaltype->type;
    if (wanted->is_mutable && !engine_has(store->engine, AW_CAP(IMPORTED_GLOBAL))) {
        return engine_raise_unsupported(state, store->api, AW_CAP(IMPORTED_GLOBAL),
                                        "a mutable global made by the host");
    }
    value_place place = {.name = NULL, .what = "Global(): value", .index = -1};
    aw_raw raw;
    // Converting runs Python code (__index__, __float__), which may close the store.
    if (extern_check_valtype(store, wanted->value, "global") < 0 ||
        value_to_raw(store, wanted->value, value, &raw, &place) < 0 || store_check(store) < 0) {
        return NULL;
    }
    aw_error error;
    aw_global *handle = store->api->global_new(store->handle, wanted, &raw, &error);
    PyObject *self = handle != NULL ? global_wrap(store, handle) : error_raise(state, store, &error);
    store_sweep(store);
    return self;
}

// --- properties -------------------------------------------------------------------------------------------------

// The value as a Python object, or its bits: new reference.
static PyObject *global_get(GlobalObject *self, bool bits)
{
    StoreObject *store = self->base.store;
    if (global_check(self) < 0) {
        return NULL;
    }
    aw_raw raw;
    aw_error error;
    if (store->api->global_get(self->base.item.global, &raw, &error) < 0) {
        return error_raise(store->state, store, &error);
    }
    PyObject *value = bits ? value_bits_from_raw(store, self->type.value, &raw)
                           : value_from_raw(store, self->type.value, &raw);
    store_sweep(store);
    return value;
}

static int global_set(GlobalObject *self, PyObject *value, bool bits)
{
    StoreObject *store = self->base.store;
    value_place place = {.name = NULL, .what = bits ? "Global.value_bits" : "Global.value", .index = -1};
    if (value == NULL) {
        PyErr_Format(PyExc_TypeError, "%s cannot be deleted", place.what);
        return -1;
    }
    if (global_check(self) < 0) {
        return -1;
    }
    if (!self->type.is_mutable) {
        char text[VALTYPE_TEXT_SIZE];
        PyErr_Format(PyExc_TypeError, "%s (%s) cannot be set: the global is immutable", place.what,
                     valtype_text(self->type.value, text));
        return -1;
    }
    aw_raw raw;
    int status = bits ? value_bits_to_raw(store, self->type.value, value, &raw, &place)
                      : value_to_raw(store, self->type.value, value, &raw, &place);
    // Converting runs Python code (__index__, __float__), which may have closed the store.
    if (status < 0 || global_check(self) < 0) {
        return -1;
    }
    aw_error error;
    status = store->api->global_set(self->base.item.global, &raw, &error);
    if (status < 0) {
        error_raise(store->state, store, &error);
    }
    store_sweep(store);
    return status;
}

static PyObject *Global_get_value(PyObject *object, void *Py_UNUSED(closure))
{
    return global_get(global_cast(object), false);
}

static int Global_set_value(PyObject *object, PyObject *value, void *Py_UNUSED(closure))
{
    return global_set(global_cast(object), value, false);
}

static PyObject *Global_get_value_bits(PyObject *object, void *Py_UNUSED(closure))
{
    return global_get(global_cast(object), true);
}

static int Global_set_value_bits(PyObject *object, PyObject *value, void *Py_UNUSED(closure))
{
    return global_set(global_cast(object), value, true);
}

static PyObject *Global_get_type(PyObject *object, void *Py_UNUSED(closure))
{
    return extern_type((ExternObject *)object, NULL);
}

// Numbers are shown; a reference is not, for its repr is someone else's code.
static PyObject *Global_repr(PyObject *object)
{
    GlobalObject *self = global_cast(object);
    char text[VALTYPE_TEXT_SIZE];
    const char *prefix = self->type.is_mutable ? "mutable " : "";
    valtype_text(self->type.value, text);
    const char *why = store_unusable(self->base.store);
    if (why != NULL || self->type.value.kind == AW_REF) {
        return PyUnicode_FromFormat("<anywasm.Global: %s%s%s%s>", prefix, text, why != NULL ? ", " : "",
                                    why != NULL ? why : "");
    }
    PyObject *value = global_get(self, false);
    if (value == NULL) {
        return NULL;
    }
    PyObject *repr = PyUnicode_FromFormat("<anywasm.Global: %s%s, %R>", prefix, text, value);
    Py_DECREF(value);
    return repr;
}

// --- tables -----------------------------------------------------------------------------------------------------

static PyGetSetDef Global_getset[] = {
    {"value", Global_get_value, Global_set_value,
     "The value, converted as results and parameters are. Setting an immutable global's raises TypeError.", NULL},
    {"value_bits", Global_get_value_bits, Global_set_value_bits,
     "The value's bits: an int from 0 to 2**32-1 (i32, f32), 2**64-1 (i64, f64) or 2**128-1 (v128, lane 0 lowest); a\n"
     "reference is as in value. Exact for each NaN.",
     NULL},
    {"type", Global_get_type, NULL, "GlobalType: what it holds and whether it can be set.", NULL},
    {"store", Extern_get_store, NULL, "Store: where it lives.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot Global_slots[] = {
    {Py_tp_doc, (void *)Global_doc},   {Py_tp_new, Global_new},
    {Py_tp_traverse, Extern_traverse}, {Py_tp_dealloc, Extern_dealloc},
    {Py_tp_repr, Global_repr},         {Py_tp_richcompare, Extern_richcompare},
    {Py_tp_hash, Extern_hash},         {Py_tp_getset, Global_getset},
    {Py_tp_members, Extern_members},   {0, NULL},
};

PyType_Spec Global_spec = {
    .name = "anywasm.Global",
    .basicsize = sizeof(GlobalObject),
    .flags = AW_TYPE_FLAGS | Py_TPFLAGS_HAVE_GC,
    .slots = Global_slots,
};

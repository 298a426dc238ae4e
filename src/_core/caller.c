// SPDX-License-Identifier: Apache-2.0
// A Caller is what a host function made with pass_caller=True learns of the instance that calls it. It is usable during that
// call only: afterwards the engine has forgotten it, and so has this object.

#include "caller.h"

#include "errors.h"
#include "externs.h"

typedef struct {
    PyObject_HEAD
    StoreObject *store;  // owned
    aw_caller *handle;   // borrowed from the engine; NULL when the call has ended
} CallerObject;

static CallerObject *caller_cast(PyObject *self)
{
    return (CallerObject *)self;
}

PyObject *caller_new(StoreObject *store, aw_caller *handle)
{
    PyTypeObject *type = store->state->Caller;
    CallerObject *self = (CallerObject *)type->tp_alloc(type, 0);
    if (self != NULL) {
        self->store = (StoreObject *)Py_NewRef((PyObject *)store);
        self->handle = handle;
    }
    return (PyObject *)self;
}

void caller_end(PyObject *self)
{
    caller_cast(self)->handle = NULL;
}

static int Caller_traverse(PyObject *object, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(object));
    Py_VISIT(caller_cast(object)->store);
    return 0;
}

static int Caller_clear(PyObject *Py_UNUSED(object))
{
    return 0;
}

static void Caller_dealloc(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    Py_XDECREF(caller_cast(object)->store);
    type->tp_free(object);
    Py_DECREF(type);
}

static int caller_check(CallerObject *self)
{
    if (self->handle == NULL) {
        PyErr_SetString(PyExc_ValueError, "a Caller is usable only during the call that it was passed to");
        return -1;
    }
    return store_check(self->store);
}

// The export of that name: a new reference; NULL without an exception if there is none.
static PyObject *caller_find(CallerObject *self, PyObject *name)
{
    if (!PyUnicode_Check(name)) {
        return PyErr_Format(PyExc_TypeError, "expected an export's name as str, got %.200s", Py_TYPE(name)->tp_name);
    }
    Py_ssize_t length;
    const char *text = PyUnicode_AsUTF8AndSize(name, &length);
    if (text == NULL || caller_check(self) < 0) {
        return NULL;
    }
    aw_extern item;
    aw_error error;
    switch (self->store->api->caller_export(self->handle, text, (size_t)length, &item, &error)) {
    case 0:
        return NULL;
    case 1:
        return extern_wrap(self->store, &item, NULL, item.kind == AW_EXTERN_FUNC ? name : NULL);
    default:
        return error_raise(self->store->state, NULL, &error);
    }
}

static PyObject *Caller_subscript(PyObject *object, PyObject *name)
{
    PyObject *value = caller_find(caller_cast(object), name);
    if (value == NULL && !PyErr_Occurred()) {
        PyErr_SetObject(PyExc_KeyError, name);
    }
    return value;
}

PyDoc_STRVAR(Caller_get_doc,
             "get($self, name, default=None, /)\n--\n\nThe calling instance's export of that name, or *default*.");

static PyObject *Caller_get(PyObject *object, PyObject *const *args, Py_ssize_t count)
{
    if (count < 1 || count > 2) {
        return PyErr_Format(PyExc_TypeError, "get(): expected 1 or 2 arguments, got %zd", count);
    }
    PyObject *value = caller_find(caller_cast(object), args[0]);
    return value != NULL || PyErr_Occurred() ? value : Py_NewRef(count == 2 ? args[1] : Py_None);
}

static PyObject *Caller_get_memory(PyObject *object, void *Py_UNUSED(closure))
{
    PyObject *name = PyUnicode_InternFromString("memory");
    if (name == NULL) {
        return NULL;
    }
    PyObject *value = caller_find(caller_cast(object), name);
    Py_DECREF(name);
    if (value != NULL && Py_TYPE(value) != caller_cast(object)->store->state->Memory) {
        Py_CLEAR(value);
    }
    return value != NULL || PyErr_Occurred() ? value : Py_NewRef(Py_None);
}

static PyObject *Caller_get_store(PyObject *object, void *Py_UNUSED(closure))
{
    return Py_NewRef((PyObject *)caller_cast(object)->store);
}

static PyObject *Caller_repr(PyObject *object)
{
    return PyUnicode_FromString(caller_cast(object)->handle != NULL ? "<anywasm.Caller>"
                                                                    : "<anywasm.Caller: call ended>");
}

PyDoc_STRVAR(Caller_doc,
             "The instance that calls a host function: caller.memory, caller['name'], caller.get('name').\n\n"
             "Passed to functions made with pass_caller=True, and usable during that call only; afterwards it raises\n"
             "ValueError. A lookup of a name that is not exported raises KeyError.");

static PyMethodDef Caller_methods[] = {
    {"get", (PyCFunction)(void (*)(void))Caller_get, METH_FASTCALL, Caller_get_doc},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef Caller_getset[] = {
    {"memory", Caller_get_memory, NULL, "Memory or None: what the caller exports as \"memory\".", NULL},
    {"store", Caller_get_store, NULL, "Store: where the call runs.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot Caller_slots[] = {
    {Py_tp_doc, (void *)Caller_doc}, {Py_tp_traverse, Caller_traverse}, {Py_tp_clear, Caller_clear},
    {Py_tp_dealloc, Caller_dealloc}, {Py_tp_repr, Caller_repr},         {Py_mp_subscript, Caller_subscript},
    {Py_tp_methods, Caller_methods}, {Py_tp_getset, Caller_getset},     {0, NULL},
};

PyType_Spec Caller_spec = {
    .name = "anywasm.Caller",
    .basicsize = sizeof(CallerObject),
    .flags = AW_TYPE_FLAGS | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = Caller_slots,
};

// SPDX-License-Identifier: Apache-2.0
// Exports: what an instance exports, as a mapping and as attributes. Each export becomes a Python object when it is first asked
// for, and stays that object.
//
// Attributes: what was asked for once lies in the object's __dict__, where CPython finds it by itself; __getattr__ is
// the first time. A name that the type has (keys, items, get, …) stays the type's: such an export is had by its key.

#include "exports.h"

#include "errors.h"
#include "externs.h"

typedef struct {
    PyObject_HEAD
    StoreObject *store;    // owned
    ModuleObject *module;  // owned
    aw_instance *handle;   // the store's
    PyObject *objects;     // owned dict: name -> object
    PyObject *dict;        // owned __dict__ or NULL
    PyObject *weakrefs;
} ExportsObject;

static ExportsObject *exports_cast(PyObject *self)
{
    return (ExportsObject *)self;
}

StoreObject *exports_store(PyObject *self)
{
    return exports_cast(self)->store;
}

PyObject *exports_new(StoreObject *store, ModuleObject *module, aw_instance *handle)
{
    PyTypeObject *type = store->state->Exports;
    ExportsObject *self = (ExportsObject *)type->tp_alloc(type, 0);
    if (self == NULL) {
        return NULL;
    }
    self->store = (StoreObject *)Py_NewRef((PyObject *)store);
    self->module = (ModuleObject *)Py_NewRef((PyObject *)module);
    self->handle = handle;
    self->objects = PyDict_New();
    if (self->objects == NULL) {
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

// The object of an export: a new reference, or NULL with an exception; KeyError if there is no such export.
static PyObject *exports_find(ExportsObject *self, PyObject *name)
{
    PyObject *object = PyDict_GetItemWithError(self->objects, name);
    if (object != NULL || PyErr_Occurred()) {
        return Py_XNewRef(object);
    }
    ExportTypeObject *export = PyUnicode_Check(name) ? module_find_export(self->module, name) : NULL;
    if (export == NULL) {
        PyErr_SetObject(PyExc_KeyError, name);
        return NULL;
    }
    if (store_check(self->store) < 0) {
        return NULL;
    }
    Py_ssize_t length;
    const char *text = PyUnicode_AsUTF8AndSize(name, &length);
    if (text == NULL) {
        return NULL;
    }
    aw_extern item;
    aw_error error;
    if (self->store->api->instance_export(self->handle, export->index, export->kind, text, (size_t)length, &item,
                                          &error) < 0) {
        return error_raise(self->store->state, NULL, &error);
    }
    object = extern_wrap(self->store, &item, export->type, name);
    if (object != NULL && PyDict_SetItem(self->objects, name, object) < 0) {
        Py_CLEAR(object);
    }
    return object;
}

PyObject *exports_get(PyObject *self, PyObject *name)
{
    return exports_find(exports_cast(self), name);
}

// --- birth and death ---------------------------------------------------------------------------------------------

static int Exports_traverse(PyObject *object, visitproc visit, void *arg)
{
    ExportsObject *self = exports_cast(object);
    Py_VISIT(Py_TYPE(object));
    Py_VISIT(self->store);
    Py_VISIT(self->module);
    Py_VISIT(self->objects);
    Py_VISIT(self->dict);
    return 0;
}

static int Exports_clear(PyObject *object)
{
    ExportsObject *self = exports_cast(object);
    if (self->objects != NULL) {
        PyDict_Clear(self->objects);
    }
    Py_CLEAR(self->dict);
    return 0;
}

static void Exports_dealloc(PyObject *object)
{
    ExportsObject *self = exports_cast(object);
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    if (self->weakrefs != NULL) {
        PyObject_ClearWeakRefs(object);
    }
    Py_CLEAR(self->objects);
    Py_CLEAR(self->dict);
    Py_CLEAR(self->module);
    Py_CLEAR(self->store);
    type->tp_free(object);
    Py_DECREF(type);
}

// --- attributes ---------------------------------------------------------------------------------------------------

static PyObject *did_you_mean(PyObject *name, PyObject *names)
{
    PyObject *linking = PyImport_ImportModule("anywasm._linking");
    PyObject *text = linking != NULL ? PyObject_CallMethod(linking, "near_miss", "OO", name, names) : NULL;
    Py_XDECREF(linking);
    if (text == NULL) {
        PyErr_Clear();
        text = PyUnicode_FromString("");
    }
    return text;
}

static PyObject *Exports_getattro(PyObject *object, PyObject *name)
{
    PyObject *value = PyObject_GenericGetAttr(object, name);
    if (value != NULL || !PyErr_ExceptionMatches(PyExc_AttributeError)) {
        return value;
    }
    PyErr_Clear();
    ExportsObject *self = exports_cast(object);
    value = exports_find(self, name);
    if (value != NULL) {
        if (PyObject_GenericSetAttr(object, name, value) < 0) {
            Py_CLEAR(value);
        }
        return value;
    }
    if (PyErr_ExceptionMatches(PyExc_KeyError)) {
        PyErr_Clear();
        PyObject *near = did_you_mean(name, self->module->export_index);
        if (near != NULL) {
            PyErr_Format(PyExc_AttributeError, "the module exports no %R%U", name, near);
            Py_DECREF(near);
        }
    }
    return NULL;
}

static int Exports_setattro(PyObject *Py_UNUSED(object), PyObject *name, PyObject *Py_UNUSED(value))
{
    PyErr_Format(PyExc_AttributeError, "cannot set %R: exports are read-only (a global's value is set by its .value)",
                 name);
    return -1;
}

// --- mapping --------------------------------------------------------------------------------------------------------

static PyObject *Exports_subscript(PyObject *object, PyObject *name)
{
    return exports_find(exports_cast(object), name);
}

static Py_ssize_t Exports_length(PyObject *object)
{
    return PyTuple_GET_SIZE(exports_cast(object)->module->exports);
}

static int Exports_contains(PyObject *object, PyObject *name)
{
    return PyUnicode_Check(name) && module_find_export(exports_cast(object)->module, name) != NULL;
}

static PyObject *Exports_iter(PyObject *object)
{
    return PyObject_GetIter(exports_cast(object)->module->export_index);
}

PyDoc_STRVAR(Exports_get_doc, "get($self, name, default=None, /)\n--\n\nThe export of that name, or *default*.");

static PyObject *Exports_get(PyObject *object, PyObject *const *args, Py_ssize_t count)
{
    if (count < 1 || count > 2) {
        return PyErr_Format(PyExc_TypeError, "get(): expected 1 or 2 arguments, got %zd", count);
    }
    PyObject *value = exports_find(exports_cast(object), args[0]);
    if (value == NULL && PyErr_ExceptionMatches(PyExc_KeyError)) {
        PyErr_Clear();
        return Py_NewRef(count == 2 ? args[1] : Py_None);
    }
    return value;
}

// One of collections.abc's views over this mapping.
static PyObject *exports_view(PyObject *object, const char *class)
{
    PyObject *module = PyImport_ImportModule("_collections_abc");
    PyObject *view = module != NULL ? PyObject_CallMethod(module, class, "O", object) : NULL;
    Py_XDECREF(module);
    return view;
}

PyDoc_STRVAR(Exports_keys_doc, "keys($self, /)\n--\n\nThe names, in the module's order.");

static PyObject *Exports_keys(PyObject *object, PyObject *Py_UNUSED(ignored))
{
    return exports_view(object, "KeysView");
}

PyDoc_STRVAR(Exports_values_doc, "values($self, /)\n--\n\nThe objects: Func, Memory, Table, Global, Tag.");

static PyObject *Exports_values(PyObject *object, PyObject *Py_UNUSED(ignored))
{
    return exports_view(object, "ValuesView");
}

PyDoc_STRVAR(Exports_items_doc, "items($self, /)\n--\n\nPairs of name and object.");

static PyObject *Exports_items(PyObject *object, PyObject *Py_UNUSED(ignored))
{
    return exports_view(object, "ItemsView");
}

PyDoc_STRVAR(Exports_dir_doc, "__dir__($self, /)\n--\n\nThe exports' names, and the mapping's methods.");

static PyObject *Exports_dir(PyObject *object, PyObject *Py_UNUSED(ignored))
{
    PyObject *names = PyObject_CallMethod((PyObject *)&PyBaseObject_Type, "__dir__", "O", object);
    if (names == NULL) {
        return NULL;
    }
    PyObject *set = PySet_New(names);
    Py_DECREF(names);
    if (set == NULL) {
        return NULL;
    }
    PyObject *export_index = exports_cast(object)->module->export_index, *name, *export;
    Py_ssize_t position = 0;
    while (PyDict_Next(export_index, &position, &name, &export)) {
        if (PySet_Add(set, name) < 0) {
            Py_DECREF(set);
            return NULL;
        }
    }
    PyObject *list = PySequence_List(set);
    Py_DECREF(set);
    return list;
}

static PyObject *Exports_repr(PyObject *object)
{
    PyObject *names = PySequence_List(exports_cast(object)->module->export_index);
    if (names == NULL) {
        return NULL;
    }
    Py_ssize_t count = PyList_GET_SIZE(names);
    if (count > 20 && PyList_SetSlice(names, 20, count, NULL) < 0) {
        Py_DECREF(names);
        return NULL;
    }
    PyObject *text = count > 20 ? PyUnicode_FromFormat("<anywasm.Exports: %R and %zd more>", names, count - 20)
                                : PyUnicode_FromFormat("<anywasm.Exports: %R>", names);
    Py_DECREF(names);
    return text;
}

// --- tables -----------------------------------------------------------------------------------------------------------

PyDoc_STRVAR(
    Exports_doc,
    "What an instance exports: a mapping from names to objects, whose items are attributes, too.\n\n"
    "instance.exports.add(1, 2) and instance.exports['add'](1, 2) are the same. An export whose name is one of\n"
    "the mapping's methods (get, items, keys, values) is had by its key alone.\n"
    "Specification, section 4.2.11.");

static PyMethodDef Exports_methods[] = {
    {"get", (PyCFunction)(void (*)(void))Exports_get, METH_FASTCALL, Exports_get_doc},
    {"keys", Exports_keys, METH_NOARGS, Exports_keys_doc},
    {"values", Exports_values, METH_NOARGS, Exports_values_doc},
    {"items", Exports_items, METH_NOARGS, Exports_items_doc},
    {"__dir__", Exports_dir, METH_NOARGS, Exports_dir_doc},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef Exports_members[] = {
    {"__dictoffset__", Py_T_PYSSIZET, offsetof(ExportsObject, dict), Py_READONLY, NULL},
    {"__weaklistoffset__", Py_T_PYSSIZET, offsetof(ExportsObject, weakrefs), Py_READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot Exports_slots[] = {
    {Py_tp_doc, (void *)Exports_doc},     {Py_tp_traverse, Exports_traverse},
    {Py_tp_clear, Exports_clear},         {Py_tp_dealloc, Exports_dealloc},
    {Py_tp_getattro, Exports_getattro},   {Py_tp_setattro, Exports_setattro},
    {Py_tp_repr, Exports_repr},           {Py_tp_iter, Exports_iter},
    {Py_mp_subscript, Exports_subscript}, {Py_mp_length, Exports_length},
    {Py_sq_contains, Exports_contains},   {Py_tp_methods, Exports_methods},
    {Py_tp_members, Exports_members},     {0, NULL},
};

PyType_Spec Exports_spec = {
    .name = "anywasm.Exports",
    .basicsize = sizeof(ExportsObject),
    .flags = AW_TYPE_FLAGS | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_MAPPING,
    .slots = Exports_slots,
};

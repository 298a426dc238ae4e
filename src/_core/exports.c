// SPDX-License-Identifier: Apache-2.0
// Exports: what an instance exports, as a mapping and as attributes.
//
// All exports become Python objects when the instance is made. They lie in the object's own dictionary, where CPython finds
// attributes by itself and learns to find them at once: a look-up of ours would keep it from that. A name that the type
// has (keys, items, get, …) stays the type's: such an export is had by its key.

#include "exports.h"

#include "errors.h"
#include "externs.h"

typedef struct {
    PyObject_HEAD
    PyObject *objects;     // owned dict: name -> object, in the module's order
    PyObject *attributes;  // owned (compat.h)
    PyObject *weakrefs;
} ExportsObject;

static ExportsObject *exports_cast(PyObject *self)
{
    return (ExportsObject *)self;
}

// What attribute look-up must go on finding in the type: borrowed set, or NULL with an exception.
static PyObject *names_of_type(core_state *state)
{
    if (state->exports_names == NULL) {
        PyObject *names = PyObject_Dir((PyObject *)state->Exports);
        state->exports_names = names != NULL ? PySet_New(names) : NULL;
        Py_XDECREF(names);
    }
    return state->exports_names;
}

// The object of one export: new reference, or NULL with an exception.
static PyObject *export_object(StoreObject *store, aw_instance *handle, const ExportTypeObject *export)
{
    Py_ssize_t length;
    const char *name = PyUnicode_AsUTF8AndSize(export->name, &length);
    if (name == NULL) {
        return NULL;
    }
    aw_extern item;
    aw_error error;
    if (store->api->instance_export(handle, export->index, export->kind, name, (size_t)length, &item, &error) < 0) {
        return error_raise(store->state, NULL, &error);
    }
    return extern_wrap(store, &item, export->type, export->name);
}

// All exports by their names: new reference, or NULL with an exception.
static PyObject *export_objects(StoreObject *store, ModuleObject *module, aw_instance *handle)
{
    PyObject *objects = PyDict_New();
    for (Py_ssize_t i = 0; objects != NULL && i < PyTuple_GET_SIZE(module->exports); i++) {
        const ExportTypeObject *export = (ExportTypeObject *)PyTuple_GET_ITEM(module->exports, i);
        // Python's collector may run code when objects are made, which could close the store.
        PyObject *object = store_check(store) == 0 ? export_object(store, handle, export) : NULL;
        if (object == NULL || PyDict_SetItem(objects, export->name, object) < 0) {
            Py_CLEAR(objects);
        }
        Py_XDECREF(object);
    }
    return objects;
}

// The objects that are attributes, too: *objects* itself if all are, which is so but for odd names.
static PyObject *export_attributes(core_state *state, PyObject *objects)
{
    PyObject *reserved = names_of_type(state);
    PyObject *attributes = reserved != NULL ? Py_NewRef(objects) : NULL;
    PyObject *name, *object;
    Py_ssize_t position = 0;
    while (attributes != NULL && PyDict_Next(objects, &position, &name, &object)) {
        int hidden = PySet_Contains(reserved, name);
        if (hidden > 0 && attributes == objects) {
            Py_SETREF(attributes, PyDict_Copy(objects));
        }
        if (attributes != NULL && (hidden < 0 || (hidden > 0 && PyDict_DelItem(attributes, name) < 0))) {
            Py_CLEAR(attributes);
        }
    }
    return attributes;
}

PyObject *exports_new(StoreObject *store, ModuleObject *module, aw_instance *handle)
{
    PyTypeObject *type = store->state->Exports;
    PyObject *objects = export_objects(store, module, handle);
    PyObject *attributes = objects != NULL ? export_attributes(store->state, objects) : NULL;
    ExportsObject *self = attributes != NULL ? (ExportsObject *)type->tp_alloc(type, 0) : NULL;
    if (self == NULL) {
        Py_XDECREF(objects);
    }
    else {
        self->objects = objects;
        if (PyObject_GenericSetDict((PyObject *)self, attributes, NULL) < 0) {
            Py_CLEAR(self);
        }
    }
    Py_XDECREF(attributes);
    return (PyObject *)self;
}

// --- birth and death ---------------------------------------------------------------------------------------------

static int Exports_traverse(PyObject *object, visitproc visit, void *arg)
{
    ExportsObject *self = exports_cast(object);
    Py_VISIT(Py_TYPE(object));
    Py_VISIT(self->objects);
    return AW_ATTRIBUTES_VISIT(self, visit, arg);
}

static int Exports_clear(PyObject *object)
{
    ExportsObject *self = exports_cast(object);
    if (self->objects != NULL) {
        PyDict_Clear(self->objects);
    }
    AW_ATTRIBUTES_CLEAR(self);
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
    AW_ATTRIBUTES_CLEAR(self);
    type->tp_free(object);
    Py_DECREF(type);
}

// --- attributes ---------------------------------------------------------------------------------------------------

static int Exports_setattro(PyObject *Py_UNUSED(object), PyObject *name, PyObject *Py_UNUSED(value))
{
    PyErr_Format(PyExc_AttributeError, "cannot set %R: exports are read-only (a global's value is set by its .value)",
                 name);
    return -1;
}

// --- mapping --------------------------------------------------------------------------------------------------------

static PyObject *Exports_subscript(PyObject *object, PyObject *name)
{
    PyObject *value = PyDict_GetItemWithError(exports_cast(object)->objects, name);
    if (value == NULL && !PyErr_Occurred()) {
        PyErr_SetObject(PyExc_KeyError, name);
    }
    return Py_XNewRef(value);
}

static Py_ssize_t Exports_length(PyObject *object)
{
    return PyDict_GET_SIZE(exports_cast(object)->objects);
}

static int Exports_contains(PyObject *object, PyObject *name)
{
    return PyDict_Contains(exports_cast(object)->objects, name);
}

static PyObject *Exports_iter(PyObject *object)
{
    return PyObject_GetIter(exports_cast(object)->objects);
}

PyDoc_STRVAR(Exports_get_doc, "get($self, name, default=None, /)\n--\n\nThe export of that name, or *default*.");

static PyObject *Exports_get(PyObject *object, PyObject *const *args, Py_ssize_t count)
{
    if (count < 1 || count > 2) {
        return PyErr_Format(PyExc_TypeError, "get(): expected 1 or 2 arguments, got %zd", count);
    }
    PyObject *value = PyDict_GetItemWithError(exports_cast(object)->objects, args[0]);
    if (value == NULL) {
        if (PyErr_Occurred()) {
            return NULL;
        }
        value = count == 2 ? args[1] : Py_None;
    }
    return Py_NewRef(value);
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
    PyObject *name, *export;
    Py_ssize_t position = 0;
    while (set != NULL && PyDict_Next(exports_cast(object)->objects, &position, &name, &export)) {
        if (PySet_Add(set, name) < 0) {
            Py_CLEAR(set);
        }
    }
    PyObject *list = set != NULL ? PySequence_List(set) : NULL;
    Py_XDECREF(set);
    return list;
}

static PyObject *Exports_repr(PyObject *object)
{
    PyObject *names = PySequence_List(exports_cast(object)->objects);
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
    AW_ATTRIBUTES_MEMBERS(ExportsObject)  //
    {"__weaklistoffset__", Py_T_PYSSIZET, offsetof(ExportsObject, weakrefs), Py_READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot Exports_slots[] = {
    {Py_tp_doc, (void *)Exports_doc},
    {Py_tp_traverse, Exports_traverse},
    {Py_tp_clear, Exports_clear},
    {Py_tp_dealloc, Exports_dealloc},
    {Py_tp_getattro, PyObject_GenericGetAttr},
    {Py_tp_setattro, Exports_setattro},
    {Py_tp_repr, Exports_repr},
    {Py_tp_iter, Exports_iter},
    {Py_mp_subscript, Exports_subscript},
    {Py_mp_length, Exports_length},
    {Py_sq_contains, Exports_contains},
    {Py_tp_methods, Exports_methods},
    {Py_tp_members, Exports_members},
    {0, NULL},
};

PyType_Spec Exports_spec = {
    .name = "anywasm.Exports",
    .basicsize = sizeof(ExportsObject),
    .flags = AW_TYPE_FLAGS | AW_ATTRIBUTES_FLAGS | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_MAPPING,
    .slots = Exports_slots,
};

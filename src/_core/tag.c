// SPDX-License-Identifier: Apache-2.0
// A Tag tells the kinds of Wasm exceptions apart and says what values they carry. It keeps its store alive.

#include "errors.h"
#include "externs.h"

typedef struct {
    ExternObject base;
    PyObject *type;  // owned TagType
} TagObject;

static inline TagObject *tag_cast(PyObject *self)
{
    return (TagObject *)self;
}

// --- birth and death ------------------------------------------------------------------------------------------

// The engine's idea of a tag's type: new reference.
static PyObject *tag_ask_type(StoreObject *store, aw_tag *handle)
{
    aw_valtype on_stack[16], *types = on_stack;
    uint32_t capacity = 16, count;
    store->api->tag_type(handle, &count, types, capacity);
    if (count > capacity) {
        capacity = count;
        types = PyMem_Malloc((size_t)capacity * sizeof(*types));
        if (types == NULL) {
            return PyErr_NoMemory();
        }
        store->api->tag_type(handle, &count, types, capacity);
    }
    aw_functype functype = {.parameter_count = count, .parameters = types};
    PyObject *object = functype_wrap(store->state, &functype);
    PyObject *type = object != NULL ? tagtype_wrap(store->state, (FuncTypeObject *)object) : NULL;
    Py_XDECREF(object);
    if (types != on_stack) {
        PyMem_Free(types);
    }
    return type;
}

// The engine is asked first: making the object may collect garbage, whose destructors may close the store.
PyObject *tag_wrap(StoreObject *store, aw_tag *handle, PyObject *type)
{
    PyObject *own_type = type != NULL ? Py_NewRef(type) : tag_ask_type(store, handle);
    if (own_type == NULL) {
        store->api->tag_delete(handle);
        return NULL;
    }
    aw_extern item = {.kind = AW_EXTERN_TAG, .tag = handle};
    PyObject *self = extern_new(store->state->Tag, store, &item);
    if (self == NULL) {
        Py_DECREF(own_type);
        return NULL;
    }
    tag_cast(self)->type = own_type;
    return self;
}

PyDoc_STRVAR(
    Tag_doc,
    "Tag(type, store)\n--\n\n"
    "What tells the kinds of Wasm exceptions apart.\n\n"
    "type: TagType, the types of the values that an exception carries.\n"
    "store: Store, where it lives.\n\n"
    "WasmException(tag, *payload), raised in a host function, throws such an exception into the Wasm code that\n"
    "called it. Needs an engine with the capability exceptions, and raises UnsupportedError elsewhere.\n"
    "Specification, section 2.5.7.");

static PyObject *Tag_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    static char *names[] = {"type", "store", NULL};
    core_state *state = (core_state *)PyType_GetModuleState(type);
    TagTypeObject *tagtype;
    StoreObject *store;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "O!O!:Tag", names, state->TagType, &tagtype, state->Store,
                                     &store) ||
        store_check(store) < 0) {
        return NULL;
    }
    if (!engine_has(store->engine, AW_CAP(EXCEPTIONS))) {
        return engine_raise_unsupported(state, store->api, AW_CAP(EXCEPTIONS), "a tag");
    }
    const aw_functype *functype = &tagtype->functype->type;
    for (uint32_t i = 0; i < functype->parameter_count; i++) {
        if (extern_check_valtype(store, functype->parameters[i], "tag's parameter") < 0) {
            return NULL;
        }
    }
    aw_error error;
    aw_tag *handle = store->api->tag_new(store->handle, functype, &error);
    return handle != NULL ? tag_wrap(store, handle, (PyObject *)tagtype) : error_raise(state, store, &error);
}

static int Tag_traverse(PyObject *object, visitproc visit, void *arg)
{
    Py_VISIT(tag_cast(object)->type);
    return Extern_traverse(object, visit, arg);
}

static void Tag_dealloc(PyObject *object)
{
    PyObject_GC_UnTrack(object);
    Py_CLEAR(tag_cast(object)->type);
    Extern_dealloc(object);
}

// --- properties -------------------------------------------------------------------------------------------------

PyObject *tag_type(PyObject *object)
{
    return Py_NewRef(tag_cast(object)->type);
}

static PyObject *Tag_get_type(PyObject *object, void *Py_UNUSED(closure))
{
    return tag_type(object);
}

static PyObject *Tag_repr(PyObject *object)
{
    TagObject *self = tag_cast(object);
    const char *why = store_unusable(self->base.store);
    PyObject *parameters = PyObject_Str(((TagTypeObject *)self->type)->functype->parameters);
    PyObject *repr = parameters != NULL ? PyUnicode_FromFormat("<anywasm.Tag: %U%s%s>", parameters,
                                                               why != NULL ? ", " : "", why != NULL ? why : "")
                                        : NULL;
    Py_XDECREF(parameters);
    return repr;
}

// --- tables -----------------------------------------------------------------------------------------------------

static PyGetSetDef Tag_getset[] = {
    {"type", Tag_get_type, NULL, "TagType: the types of the values that an exception carries.", NULL},
    {"store", Extern_get_store, NULL, "Store: where it lives.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot Tag_slots[] = {
    {Py_tp_doc, (void *)Tag_doc},    {Py_tp_new, Tag_new},
    {Py_tp_traverse, Tag_traverse},  {Py_tp_dealloc, Tag_dealloc},
    {Py_tp_repr, Tag_repr},          {Py_tp_richcompare, Extern_richcompare},
    {Py_tp_hash, Extern_hash},       {Py_tp_getset, Tag_getset},
    {Py_tp_members, Extern_members}, {0, NULL},
};

PyType_Spec Tag_spec = {
    .name = "anywasm.Tag",
    .basicsize = sizeof(TagObject),
    .flags = AW_TYPE_FLAGS | Py_TPFLAGS_HAVE_GC,
    .slots = Tag_slots,
};

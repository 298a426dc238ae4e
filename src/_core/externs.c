// SPDX-License-Identifier: Apache-2.0
// What functions, memories, tables, globals and tags have in common.
//
// Each is a Python object around the engine's name of a thing that lives in a store. It keeps the store alive; several objects
// may name one thing, and compare equal then. Deleting one frees the name only. After the store is closed the object is
// still there, says so in its repr, and raises ValueError when it is used.

#include "externs.h"

#include "errors.h"
#include "func.h"

_Static_assert(offsetof(FuncObject, hash) == offsetof(ExternObject, hash), "a Func begins like every extern");

// --- by kind ------------------------------------------------------------------------------------------------

void extern_delete(const aw_engine_api *api, const aw_extern *item)
{
    switch (item->kind) {
    case AW_EXTERN_FUNC:
        api->func_delete(item->func);
        break;
    case AW_EXTERN_TABLE:
        api->table_delete(item->table);
        break;
    case AW_EXTERN_MEMORY:
        api->memory_delete(item->memory);
        break;
    case AW_EXTERN_GLOBAL:
        api->global_delete(item->global);
        break;
    case AW_EXTERN_TAG:
        api->tag_delete(item->tag);
        break;
    }
}

PyObject *extern_wrap(StoreObject *store, const aw_extern *item, PyObject *type, PyObject *name)
{
    switch (item->kind) {
    case AW_EXTERN_FUNC:
        return func_wrap(store, item->func, type, name);
    case AW_EXTERN_TABLE:
        return table_wrap(store, item->table, type);
    case AW_EXTERN_MEMORY:
        return memory_wrap(store, item->memory);
    case AW_EXTERN_GLOBAL:
        return global_wrap(store, item->global);
    case AW_EXTERN_TAG:
        return tag_wrap(store, item->tag, type);
    }
    return PyErr_Format(PyExc_SystemError, "an engine gave an export of unknown kind %d", (int)item->kind);
}

bool extern_check(core_state *state, PyObject *object, aw_externkind *kind)
{
    // All are final types.
    PyTypeObject *type = Py_TYPE(object);
    if (type != state->Func && type != state->Table && type != state->Memory && type != state->Global &&
        type != state->Tag) {
        return false;
    }
    *kind = ((ExternObject *)object)->item.kind;
    return true;
}

PyObject *extern_type(ExternObject *self, uint64_t *size)
{
    const aw_engine_api *api = self->store->api;
    core_state *state = self->store->state;
    if (size != NULL) {
        *size = 0;
    }
    if (self->item.kind == AW_EXTERN_FUNC) {
        return Py_NewRef((PyObject *)((FuncObject *)self)->type);
    }
    if (store_check(self->store) < 0) {
        return NULL;
    }
    switch (self->item.kind) {
    case AW_EXTERN_TABLE:
        return table_type((PyObject *)self, size);
    case AW_EXTERN_MEMORY: {
        // The minimum of a memory's or table's type is its current size (specification 3.0, section 4.7.4: growing changes the
        // type); engines differ in that, so it is filled in here.
        aw_memorytype type;
        uint8_t *base;
        size_t bytes;
        api->memory_type(self->item.memory, &type);
        api->memory_data(self->item.memory, &base, &bytes);
        type.limits.min = bytes / 65536;
        if (size != NULL) {
            *size = type.limits.min;
        }
        return memorytype_wrap(state, &type);
    }
    case AW_EXTERN_GLOBAL: {
        aw_globaltype type;
        api->global_type(self->item.global, &type);
        return globaltype_wrap(state, &type);
    }
    default:
        return tag_type((PyObject *)self);
    }
}

// --- birth and death ------------------------------------------------------------------------------------------

PyObject *extern_new(PyTypeObject *type, StoreObject *store, const aw_extern *item)
{
    ExternObject *self = (ExternObject *)type->tp_alloc(type, 0);
    if (self == NULL) {
        extern_delete(store->api, item);
        return NULL;
    }
    self->store = (StoreObject *)Py_NewRef((PyObject *)store);
    self->item = *item;
    return (PyObject *)self;
}

int Extern_traverse(PyObject *object, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(object));
    Py_VISIT(((ExternObject *)object)->store);
    return 0;
}

void Extern_dealloc(PyObject *object)
{
    ExternObject *self = (ExternObject *)object;
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    if (self->weakrefs != NULL) {
        PyObject_ClearWeakRefs(object);
    }
    if (self->store != NULL) {
        extern_delete(self->store->api, &self->item);
        Py_DECREF(self->store);
    }
    type->tp_free(object);
    Py_DECREF(type);
}

// --- identity -------------------------------------------------------------------------------------------------

// Nothing can be asked of a closed store, so its objects are equal to themselves only.
PyObject *Extern_richcompare(PyObject *object, PyObject *other, int op)
{
    if ((op != Py_EQ && op != Py_NE) || Py_TYPE(object) != Py_TYPE(other)) {
        Py_RETURN_NOTIMPLEMENTED;
    }
    ExternObject *a = (ExternObject *)object, *b = (ExternObject *)other;
    bool equal = a == b;
    if (!equal && a->store == b->store && a->store->handle != NULL) {
        if (store_check(a->store) < 0) {
            return NULL;
        }
        uint64_t a_key[2], b_key[2];
        a->store->api->extern_key(&a->item, a_key);
        a->store->api->extern_key(&b->item, b_key);
        equal = a_key[0] == b_key[0] && a_key[1] == b_key[1];
    }
    return PyBool_FromLong(equal == (op == Py_EQ));
}

Py_hash_t Extern_hash(PyObject *object)
{
    ExternObject *self = (ExternObject *)object;
    if (self->hash != 0) {
        return self->hash;
    }
    uint64_t key[2] = {(uint64_t)(uintptr_t)self, 0};
    if (self->store->handle != NULL) {
        if (store_check(self->store) < 0) {
            return -1;
        }
        self->store->api->extern_key(&self->item, key);
    }
    // Fibonacci hashing: the factor is 2**64 divided by the golden ratio.
    uint64_t hash = (key[0] ^ (uint64_t)(uintptr_t)self->store ^ (uint64_t)self->item.kind) *
                    UINT64_C(0x9e3779b97f4a7c15);
    hash = (hash ^ (hash >> 32) ^ key[1]) * UINT64_C(0x9e3779b97f4a7c15);
    self->hash = (Py_hash_t)(hash ^ (hash >> 32));
    if (self->hash == 0 || self->hash == -1) {
        self->hash = 1;
    }
    return self->hash;
}

// --- what tables, reprs and arguments share ----------------------------------------------------------------------

PyObject *Extern_get_store(PyObject *object, void *Py_UNUSED(closure))
{
    return Py_NewRef((PyObject *)((ExternObject *)object)->store);
}

PyMemberDef Extern_members[] = {
    {"__weaklistoffset__", Py_T_PYSSIZET, offsetof(ExternObject, weakrefs), Py_READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

const char *store_unusable(const StoreObject *store)
{
    if (store->handle == NULL) {
        return "closed";
    }
    return store->depth > 0 && store->thread != this_thread() ? "in use by another thread" : NULL;
}

int index_convert(PyObject *object, PyObject *negative, const char *what, uint64_t *out)
{
    PyObject *index = PyNumber_Index(object);
    if (index == NULL) {
        if (!PyIndex_Check(object)) {
            PyErr_Format(PyExc_TypeError, "%s: expected an integer, got %.200s", what,
                         object == Py_None ? "None" : Py_TYPE(object)->tp_name);
        }
        return -1;
    }
    int overflow;
    long long value = PyLong_AsLongLongAndOverflow(index, &overflow);
    Py_DECREF(index);
    if (overflow < 0 || (overflow == 0 && value < 0)) {
        if (overflow < 0) {
            PyErr_Format(negative, "%s: must not be negative", what);
        }
        else {
            PyErr_Format(negative, "%s: must not be negative, got %lld", what, value);
        }
        return -1;
    }
    *out = overflow > 0 ? UINT64_MAX : (uint64_t)value;
    return 0;
}

const char *index_text(uint64_t index, char buffer[INDEX_TEXT_SIZE])
{
    if (index == UINT64_MAX) {
        return "2**63 or more";
    }
    PyOS_snprintf(buffer, INDEX_TEXT_SIZE, "%llu", (unsigned long long)index);
    return buffer;
}

// Which capability has a value type; 0 for the number types.
static uint64_t valtype_capability(aw_valtype type)
{
    if (type.kind != AW_REF) {
        return type.kind == AW_V128 ? AW_CAP(SIMD) : 0;
    }
    switch (type.heap) {
    case AW_HEAP_FUNC:
    case AW_HEAP_EXTERN:
        return type.nullable && !type.concrete ? AW_CAP(REFERENCE_TYPES) : AW_CAP(FUNCTION_REFERENCES);
    case AW_HEAP_EXN:
    case AW_HEAP_NOEXN:
        return AW_CAP(EXCEPTIONS);
    default:
        return AW_CAP(GC);
    }
}

int extern_check_valtype(StoreObject *store, aw_valtype type, const char *what)
{
    char text[VALTYPE_TEXT_SIZE];
    uint64_t capability = valtype_capability(type);
    if (!engine_has(store->engine, capability)) {
        char message[VALTYPE_TEXT_SIZE + 40];
        PyOS_snprintf(message, sizeof(message), "a %s of type %s", what, valtype_text(type, text));
        engine_raise_unsupported(store->state, store->api, capability, message);
        return -1;
    }
    if (type.concrete) {
        PyErr_Format(PyExc_ValueError,
                     "a %s of type %s can be made by a module only: the type is one that a module defines", what,
                     valtype_text(type, text));
        return -1;
    }
    return 0;
}

// SPDX-License-Identifier: Apache-2.0
// A Ref is a reference to something on a guest's heap: an i31, a struct, an array, or an exception. It can be held, compared
// and passed back to guests of the same store; Python does not look inside.
//
// It keeps its store alive and is a root for the engine's collector. The root goes with the object, before or after the
// store is closed. Functions and the host's own externrefs are never Refs: they come out as Func and as the object itself.

#include "errors.h"
#include "externs.h"

static inline RefObject *ref_cast(PyObject *self)
{
    return (RefObject *)self;
}

bool ref_check(core_state *state, PyObject *object)
{
    return Py_TYPE(object) == state->Ref;
}

// --- birth and death ------------------------------------------------------------------------------------------

// What it is and an i31's value are found out now, for the hash needs them and must not change when the store is closed. Making an
// object may collect garbage, whose destructors may close the store: so they are found out before this one is made, and the
// store may be closed by one that was made for an earlier value of the same call.
PyObject *ref_wrap(StoreObject *store, aw_refclass refclass, aw_ref *ref)
{
    if (store_check(store) < 0) {
        store->api->ref_drop(refclass, ref);
        return NULL;
    }
    aw_heaptype heap = refclass == AW_REF_EXN ? AW_HEAP_EXN : AW_HEAP_EXTERN;
    if (refclass == AW_REF_ANY) {
        heap = store->api->ref_heaptype(store->handle, refclass, ref);
    }
    int32_t i31 = heap == AW_HEAP_I31 ? store->api->ref_i31(store->handle, ref) : 0;
    PyTypeObject *type = store->state->Ref;
    RefObject *self = (RefObject *)type->tp_alloc(type, 0);
    if (self == NULL) {
        store->api->ref_drop(refclass, ref);
        return NULL;
    }
    self->store = (StoreObject *)Py_NewRef((PyObject *)store);
    self->refclass = refclass;
    self->ref = *ref;
    self->heap = heap;
    self->i31 = i31;
    return (PyObject *)self;
}

static int Ref_traverse(PyObject *object, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(object));
    Py_VISIT(ref_cast(object)->store);
    return 0;
}

// No tp_clear: a Ref refers to its store alone, and a store breaks each cycle through it (Store_clear).
static void Ref_dealloc(PyObject *object)
{
    RefObject *self = ref_cast(object);
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    if (self->weakrefs != NULL) {
        PyObject_ClearWeakRefs(object);
    }
    self->store->api->ref_drop(self->refclass, &self->ref);
    Py_DECREF(self->store);
    type->tp_free(object);
    Py_DECREF(type);
}

// --- identity -------------------------------------------------------------------------------------------------

// Equal is what ref.eq calls equal: the same object, or i31s of one value. Of a closed store's references only a Ref itself
// can be told to be the same.
static PyObject *Ref_richcompare(PyObject *object, PyObject *other, int op)
{
    if ((op != Py_EQ && op != Py_NE) || Py_TYPE(object) != Py_TYPE(other)) {
        Py_RETURN_NOTIMPLEMENTED;
    }
    RefObject *a = ref_cast(object), *b = ref_cast(other);
    bool equal = a == b;
    if (!equal && a->store == b->store && a->refclass == b->refclass && a->heap == b->heap &&
        a->store->handle != NULL) {
        if (store_check(a->store) < 0) {
            return NULL;
        }
        equal = a->heap == AW_HEAP_I31 ? a->i31 == b->i31
                                       : a->store->api->ref_same != NULL &&
                                             a->store->api->ref_same(a->store->handle, a->refclass, &a->ref, &b->ref);
    }
    return PyBool_FromLong(equal == (op == Py_EQ));
}

// An engine's collector may move what a reference refers to, so there is no address to hash: all references of a kind in one store
// share a hash, but i31s have their value's. A set of many structs is slow; no engine offers better.
static Py_hash_t Ref_hash(PyObject *object)
{
    RefObject *self = ref_cast(object);
    uint64_t key = (uint64_t)(uintptr_t)self->store + (uint64_t)self->heap;
    if (self->heap == AW_HEAP_I31) {
        key += (uint64_t)(uint32_t)self->i31 << 8;
    }
    Py_hash_t hash = (Py_hash_t)((key ^ (key >> 32)) * UINT64_C(0x9e3779b97f4a7c15) >> 1);
    return hash;
}

// --- methods and properties -------------------------------------------------------------------------------------

PyDoc_STRVAR(
    Ref_doc,
    "A reference to something on a guest's heap: an i31, a struct, an array or an exception.\n\n"
    "Comes out of functions, tables, globals and exceptions, and can be passed back to guests of its store;\n"
    "what it refers to lives as long as it does. Two are equal if they refer to the same object, i31s if their\n"
    "values are equal; int() gives an i31's value. Specification, section 2.3.3.");

PyDoc_STRVAR(Ref_i31_doc,
             "i31($type, value, store, /)\n--\n\n"
             "Return an i31 reference: an integer of 31 bits that takes no room on the heap.\n\n"
             "value: int, from -2**30 to 2**31-1; from 2**30 on it is the unsigned view of a negative one.\n"
             "store: Store, where it can be used.\n\n"
             "Raises OverflowError outside that range, UnsupportedError on an engine without the capability gc.");

static PyObject *Ref_i31(PyObject *type, PyObject *const *args, Py_ssize_t count)
{
    if (count != 2) {
        return PyErr_Format(PyExc_TypeError, "Ref.i31(): expected 2 arguments, got %zd", count);
    }
    core_state *state = (core_state *)PyType_GetModuleState((PyTypeObject *)type);
    if (Py_TYPE(args[1]) != state->Store) {
        return PyErr_Format(PyExc_TypeError, "Ref.i31(): store: expected a Store, got %.200s",
                            Py_TYPE(args[1])->tp_name);
    }
    StoreObject *store = (StoreObject *)args[1];
    PyObject *index = PyNumber_Index(args[0]);
    if (index == NULL) {
        if (!PyIndex_Check(args[0])) {
            PyErr_Format(PyExc_TypeError, "Ref.i31(): value: expected an integer, got %.200s",
                         Py_TYPE(args[0])->tp_name);
        }
        return NULL;
    }
    int overflow;
    long long value = PyLong_AsLongLongAndOverflow(index, &overflow);
    Py_DECREF(index);
    if (overflow != 0 || value < -(1LL << 30) || value >= 1LL << 31) {
        PyErr_SetString(PyExc_OverflowError, "Ref.i31(): value: out of range, which is -1073741824 to 2147483647");
        return NULL;
    }
    if (store_check(store) < 0) {
        return NULL;
    }
    if (!engine_has(store->engine, AW_CAP(GC))) {
        return engine_raise_unsupported(state, store->api, AW_CAP(GC), "an i31 reference");
    }
    aw_ref ref;
    aw_error error;
    if (store->api->i31_new(store->handle, (int32_t)value, &ref, &error) < 0) {
        return error_raise(state, store, &error);
    }
    return ref_wrap(store, AW_REF_ANY, &ref);
}

static PyObject *Ref_int(PyObject *object)
{
    RefObject *self = ref_cast(object);
    if (self->heap != AW_HEAP_I31) {
        PyErr_SetString(PyExc_TypeError, "only a reference to an i31 has a number");
        return NULL;
    }
    return store_check(self->store) < 0 ? NULL : PyLong_FromLong(self->i31);
}

static const char *heap_text(aw_heaptype heap)
{
    switch (heap) {
    case AW_HEAP_I31:
        return "i31";
    case AW_HEAP_STRUCT:
        return "struct";
    case AW_HEAP_ARRAY:
        return "array";
    case AW_HEAP_EXN:
        return "exn";
    case AW_HEAP_EXTERN:
        return "extern";
    case AW_HEAP_EQ:
        return "eq";
    default:
        return "any";
    }
}

static PyObject *Ref_get_heap_type(PyObject *object, void *Py_UNUSED(closure))
{
    return PyUnicode_FromString(heap_text(ref_cast(object)->heap));
}

static PyObject *Ref_get_store(PyObject *object, void *Py_UNUSED(closure))
{
    return Py_NewRef((PyObject *)ref_cast(object)->store);
}

static PyObject *Ref_repr(PyObject *object)
{
    RefObject *self = ref_cast(object);
    const char *closed = self->store->handle == NULL ? ", closed" : "";
    if (self->heap == AW_HEAP_I31) {
        return PyUnicode_FromFormat("<anywasm.Ref: i31 %d%s>", (int)self->i31, closed);
    }
    return PyUnicode_FromFormat("<anywasm.Ref: %s%s>", heap_text(self->heap), closed);
}

// --- tables -----------------------------------------------------------------------------------------------------

static PyMethodDef Ref_methods[] = {
    {"i31", (PyCFunction)(void (*)(void))Ref_i31, METH_FASTCALL | METH_CLASS, Ref_i31_doc},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef Ref_getset[] = {
    {"heap_type", Ref_get_heap_type, NULL,
     "str: what it refers to: 'i31', 'struct', 'array', 'exn', 'extern' or 'any'.", NULL},
    {"store", Ref_get_store, NULL, "Store: where it lives.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef Ref_members[] = {
    {"__weaklistoffset__", Py_T_PYSSIZET, offsetof(RefObject, weakrefs), Py_READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot Ref_slots[] = {
    {Py_tp_doc, (void *)Ref_doc},
    {Py_tp_traverse, Ref_traverse},
    {Py_tp_dealloc, Ref_dealloc},
    {Py_tp_repr, Ref_repr},
    {Py_tp_richcompare, Ref_richcompare},
    {Py_tp_hash, Ref_hash},
    {Py_nb_int, Ref_int},
    {Py_tp_methods, Ref_methods},
    {Py_tp_getset, Ref_getset},
    {Py_tp_members, Ref_members},
    {0, NULL},
};

PyType_Spec Ref_spec = {
    .name = "anywasm.Ref",
    .basicsize = sizeof(RefObject),
    .flags = AW_TYPE_FLAGS | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = Ref_slots,
};

// SPDX-License-Identifier: Apache-2.0
// A callback is an element of a library's table whose function calls a Python callable. C knows it by its index.
//
// The engine keeps host functions as long as the store, so elements are used again: one serves a callable for the length of a call, or
// as long as the object lives that Library.callback() gave. A guest that calls one later gets an exception, never another callable of
// another type.

#include "../errors.h"
#include "../host.h"
#include "clib.h"

struct CCallbackObject {
    PyObject_HEAD
    CLibraryObject *library;  // borrowed: NULL when it is gone, while the store and the guest may live on
    PyObject *functype;       // owned FuncType: what the guest calls
    CTypeObject *type;        // owned: what is called now; NULL while it serves nobody
    PyObject *callable;       // owned, as `type`
    uint64_t index;           // the element of the table
    bool busy;
};

static CCallbackObject *callback_cast(PyObject *self)
{
    return (CCallbackObject *)self;
}

uint64_t callback_index(const CCallbackObject *self)
{
    return self->index;
}

// --- being called ---------------------------------------------------------------------------------------------------

// A struct that came by its address is copied: its memory is the caller's.
static PyObject *indirect_read(CLibraryObject *library, CTypeObject *type, uint64_t address)
{
    cspot spot = {.library = library, .address = address, .generation = library->generation};
    const uint8_t *bytes = spot_bytes(&spot, type->size);
    if (bytes == NULL) {
        return NULL;
    }
    uint8_t copy[SCALAR_BYTES];
    if (type->size <= sizeof(copy)) {
        memcpy(copy, bytes, type->size);
        return value_from_bytes(library, type, copy);
    }
    return struct_from_bytes(library, type, bytes);  // copies before Python code can run
}

// One argument, from the raw values at *raw, of which it took *used: new reference.
static PyObject *callback_argument(CLibraryObject *library, CTypeObject *type, const aw_raw *raw, uint32_t *used)
{
    uint8_t bytes[SCALAR_BYTES] = {0};
    CTypeObject *scalar;
    *used = 1;
    switch (abi_pass(type, &scalar)) {
    case PASS_SCALAR:
        scalar_from_raw(scalar, raw, bytes);
        break;
    case PASS_TWO:
        memcpy(bytes, &raw[0].bits[0], 8);
        memcpy(bytes + 8, &raw[1].bits[0], 8);
        *used = 2;
        break;
    case PASS_INDIRECT:
        return indirect_read(library, type, raw_get_address(library, raw));
    default:
        *used = 0;
        break;
    }
    return value_from_bytes(library, type, bytes);
}

// What the callable returned, as the raw result or in the memory that the caller has for it: 0 or -1.
static int callback_result(CLibraryObject *library, CTypeObject *type, PyObject *callable, PyObject *result,
                           aw_raw *values, uint64_t address)
{
    CTypeObject *of = type->item, *scalar;
    cplace function = {.kind = PLACE_FUNCTION, .name = callable};
    cplace place = {.outer = &function, .kind = PLACE_RESULT, .type = of};
    int status = 0;
    if (of->kind == CK_VOID) {
        if (result != Py_None) {
            place_raise(&place, PyExc_TypeError, "expected None, got %.200s", Py_TYPE(result)->tp_name);
            status = -1;
        }
        return status;
    }
    cpass pass = abi_pass(of, &scalar);
    cframe frame;
    frame_begin(&frame, library);
    frame.permanent = true;
    frame.place = &place;
    uint8_t *bytes = frame_scratch(&frame, of->size);
    status = bytes == NULL || value_to_bytes(&frame, of, result, bytes, &place) < 0 ? -1 : 0;
    if (status == 0 && pass == PASS_SCALAR) {
        scalar_to_raw(scalar, bytes, &values[0]);
    }
    else if (status == 0 && pass != PASS_NOTHING) {
        cspot spot = {.library = library, .address = address, .generation = library->generation};
        uint8_t *at = spot_bytes(&spot, of->size);
        if (at != NULL) {
            memcpy(at, bytes, of->size);
        }
        status = at != NULL ? 0 : -1;
    }
    frame_end(&frame);
    return status;
}

enum { ARGUMENTS_ON_STACK = 8 };

static int callback_run(CCallbackObject *self, aw_raw *values)
{
    CLibraryObject *library = self->library;
    if (library == NULL || self->callable == NULL) {
        PyErr_SetString(
            PyExc_RuntimeError,
            "a function pointer was called whose Python callable is no longer there: one that is passed to a call "
            "serves that call alone; keep what Library.callback() returns as long as the library may use it");
        return -1;
    }
    // Whatever runs now may give this callback to somebody else.
    CTypeObject *type = (CTypeObject *)Py_NewRef((PyObject *)self->type);
    PyObject *callable = Py_NewRef(self->callable), *result = NULL;
    Py_INCREF(library);
    Py_ssize_t count = PyTuple_GET_SIZE(type->parameters), made = 0;
    PyObject *on_stack[ARGUMENTS_ON_STACK + 1];
    PyObject **slots = count <= ARGUMENTS_ON_STACK ? on_stack : PyMem_New(PyObject *, (size_t)count + 1);
    CTypeObject *scalar;
    uint32_t used = 0;
    uint64_t address = 0;
    int status = -1;
    if (slots == NULL) {
        PyErr_NoMemory();
        goto done;
    }
    if (type->item->kind != CK_VOID) {
        cpass pass = abi_pass(type->item, &scalar);
        if (pass == PASS_INDIRECT || pass == PASS_TWO) {
            address = raw_get_address(library, &values[used++]);
        }
    }
    for (; made < count; made++) {
        uint32_t more;
        PyObject *argument = callback_argument(library, (CTypeObject *)PyTuple_GET_ITEM(type->parameters, made),
                                               &values[used], &more);
        if (argument == NULL) {
            goto done;
        }
        slots[1 + made] = argument;
        used += more;
    }
    result = PyObject_Vectorcall(callable, slots + 1, (size_t)count | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
    status = result == NULL ? -1 : callback_result(library, type, callable, result, values, address);
done:
    for (Py_ssize_t i = 0; i < made; i++) {
        Py_DECREF(slots[1 + i]);
    }
    if (slots != on_stack) {
        PyMem_Free(slots);
    }
    Py_XDECREF(result);
    Py_DECREF(callable);
    Py_DECREF(type);
    Py_DECREF(library);
    return status;
}

// A call from a callback that an exception ends leaves the shadow stack as it was in the callback.
typedef struct callback_stack {
    CLibraryObject *library;  // owned or NULL
    uint32_t generation, depth;
    aw_raw start;
} callback_stack;

static callback_stack stack_enter(CLibraryObject *library, StoreObject *store)
{
    callback_stack stack = {.library = NULL};
    aw_raw now;
    aw_error error;
    if (library == NULL || library->stack == NULL || library->store != store) {
        return stack;
    }
    if (store->api->global_get(library->stack->item.global, &now, &error) < 0) {
        aw_error_clear(&error);
        return stack;
    }
    stack.library = (CLibraryObject *)Py_NewRef((PyObject *)library);
    stack.generation = library->generation;
    stack.depth = library->stack_depth;
    stack.start = library->stack_start;
    library->stack_start = now;
    library->stack_depth = store->depth;
    return stack;
}

static void stack_leave(const callback_stack *stack)
{
    if (stack->library != NULL && stack->library->generation == stack->generation) {
        stack->library->stack_start = stack->start;
        stack->library->stack_depth = stack->depth;
    }
    Py_XDECREF(stack->library);
}

static aw_hostresult callback_call(void *env, aw_caller *Py_UNUSED(caller), aw_raw *values)
{
    host_function *host = env;
    StoreObject *store = host->store;
    CCallbackObject *self = callback_cast(host->callable);
    host_visit visit = host_enter(store, true);
    aw_hostresult outcome = AW_HOST_OK;
    int status = Py_EnterRecursiveCall(" in a callback of a C library");
    if (status == 0) {
        callback_stack stack = stack_enter(self->library, store);
        status = callback_run(self, values);
        stack_leave(&stack);
        Py_LeaveRecursiveCall();
    }
    if (status < 0) {
        if (self->library != NULL) {
            self->library->callback_raised = true;
        }
        outcome = host_failed(store, values);
    }
    host_leave(store, visit);
    return outcome;
}

// --- taking and giving back -------------------------------------------------------------------------------------------

static CCallbackObject *callback_new(CLibraryObject *library, PyObject *functype)
{
    StoreObject *store = library->store;
    PyTypeObject *type = library->state->CCallback;
    CCallbackObject *self = (CCallbackObject *)type->tp_alloc(type, 0);
    if (self == NULL) {
        return NULL;
    }
    self->functype = Py_NewRef(functype);
    host_function *host = store_add_host_function(store, (PyObject *)self, functype, NULL, false);
    if (host == NULL) {
        Py_DECREF(self);
        return NULL;
    }
    aw_error error;
    aw_func *func = store->api->func_new(store->handle, &((FuncTypeObject *)functype)->type, NULL, 0, callback_call,
                                         host, NULL, &error);
    if (func == NULL) {
        error_raise(library->state, NULL, &error);
        Py_DECREF(self);
        return NULL;
    }
    int status = table_add(library, func, &self->index);
    store->api->func_delete(func);
    if (status < 0 || PyList_Append(library->callbacks, (PyObject *)self) < 0) {
        Py_DECREF(self);
        return NULL;
    }
    self->library = library;
    return self;
}

CCallbackObject *callback_take(CLibraryObject *library, CTypeObject *type, PyObject *callable)
{
    if (type->variadic) {
        PyErr_SetString(PyExc_TypeError,
                        "a Python callable cannot be a C function with `...`: it cannot know what it was given");
        return NULL;
    }
    if (library_check(library) < 0) {
        return NULL;
    }
    PyObject *functype = abi_functype_wrap(library->state, type, library->pointer_size);
    if (functype == NULL) {
        return NULL;
    }
    CCallbackObject *self = NULL;
    for (Py_ssize_t i = 0; self == NULL && library->free_callbacks > 0 && i < PyList_GET_SIZE(library->callbacks);
         i++) {
        CCallbackObject *other = callback_cast(PyList_GET_ITEM(library->callbacks, i));
        if (!other->busy) {
            int same = PyObject_RichCompareBool(other->functype, functype, Py_EQ);
            if (same > 0 && !other->busy) {
                self = (CCallbackObject *)Py_NewRef((PyObject *)other);
                library->free_callbacks--;
            }
        }
    }
    if (self == NULL) {
        self = callback_new(library, functype);
    }
    Py_DECREF(functype);
    if (self != NULL) {
        self->busy = true;
        self->type = (CTypeObject *)Py_NewRef((PyObject *)type);
        self->callable = Py_NewRef(callable);
    }
    return self;
}

void callback_give_back(CCallbackObject *self)
{
    if (!self->busy) {
        return;
    }
    self->busy = false;
    if (self->library != NULL) {
        self->library->free_callbacks++;
    }
    Py_CLEAR(self->type);
    Py_CLEAR(self->callable);
}

void callbacks_forget(CLibraryObject *library)
{
    for (Py_ssize_t i = 0; library->callbacks != NULL && i < PyList_GET_SIZE(library->callbacks); i++) {
        callback_cast(PyList_GET_ITEM(library->callbacks, i))->library = NULL;
    }
}

// --- the Python type, which nobody sees ----------------------------------------------------------------------------------

static int CCallback_traverse(PyObject *object, visitproc visit, void *arg)
{
    CCallbackObject *self = callback_cast(object);
    Py_VISIT(Py_TYPE(object));
    Py_VISIT(self->functype);
    Py_VISIT(self->type);
    Py_VISIT(self->callable);
    return 0;
}

static int CCallback_clear(PyObject *object)
{
    Py_CLEAR(callback_cast(object)->callable);
    return 0;
}

static void CCallback_dealloc(PyObject *object)
{
    CCallbackObject *self = callback_cast(object);
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    Py_XDECREF(self->functype);
    Py_XDECREF(self->type);
    Py_XDECREF(self->callable);
    type->tp_free(object);
    Py_DECREF(type);
}

static PyType_Slot CCallback_slots[] = {
    {Py_tp_traverse, CCallback_traverse},
    {Py_tp_clear, CCallback_clear},
    {Py_tp_dealloc, CCallback_dealloc},
    {0, NULL},
};

PyType_Spec CCallback_spec = {
    .name = "anywasm._core.CCallback",
    .basicsize = sizeof(CCallbackObject),
    .flags = AW_TYPE_FLAGS | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = CCallback_slots,
};

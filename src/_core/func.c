// SPDX-License-Identifier: Apache-2.0
// A Func is a function of a store's: exported by an instance, made from a Python callable, or met as a reference.
// It keeps its store alive; the engine's name for it is freed with it.
//
// A call walks the function type's plan (FuncTypeObject.values): parameters become raw values on the C stack, the engine runs,
// results become Python objects in the same array. Which of two vectorcalls does so is chosen when the Func is made:
// the one for numbers alone, or the general one, which roots references first.
//
// The GIL: a short call keeps it, for dropping it costs more than the call. While nothing is known of a function, its calls drop it;
// some calls are timed, and while the last ones had a long stretch without Python code, calls drop the GIL. Python code lets
// other threads run by itself; taking the GIL for each of many calls of Python functions would cost more than they do. So a stretch is
// long that takes SLOW_NANOSECONDS for each time that the GIL would have to be taken, but at most LONG_NANOSECONDS. Calls in an
// interruptible store, which others must be able to stop, always drop it; WASI's functions, which may wait, do so themselves.
//
// Nothing tells beforehand that a call will be long, where those before were short. So a function whose last turn of dropping the GIL is
// TURN_NANOSECONDS ago drops it again: a function that is called now and then always does, and one that is called in a loop
// once in so many calls. That is how long Python itself lets a thread run before others get their turn.

#include "func.h"

#include "errors.h"
#include "host.h"
#include "value.h"

enum {
    WARY_FIRST = 3,       // calls
    WARY_AFTER_LONG = 8,  // calls
    TIMED_EVERY = 128,    // calls, at most
    SLOW_NANOSECONDS = 20000,
    LONG_NANOSECONDS = 1000000,
    TURN_NANOSECONDS = 5000000,
    CHATTY_COUNT = 32,         // calls of Python functions, at least
    CHATTY_NANOSECONDS = 1500  // between two of them, at most: dropping the GIL and timing cost each a tenth of that
};

static inline FuncObject *func_cast(PyObject *self)
{
    return (FuncObject *)self;
}

// --- calling ----------------------------------------------------------------------------------------------------

static bool has_concrete_parameters(const FuncTypeObject *type)
{
    for (uint32_t i = 0; i < type->type.parameter_count; i++) {
        if (type->values[i].concrete) {
            return true;
        }
    }
    return false;
}

static bool stretch_was_long(const store_timing *timing)
{
    int64_t bound = timing->count < LONG_NANOSECONDS / SLOW_NANOSECONDS ? timing->count * SLOW_NANOSECONDS
                                                                        : LONG_NANOSECONDS;
    return timing->longest > bound;
}

// What the next calls do, from how this one went.
static void func_learn(FuncObject *self, const store_timing *timing, int64_t begun, int64_t ended)
{
    bool was_long = stretch_was_long(timing);
    self->slow = was_long && self->was_long;
    self->was_long = was_long;
    self->chatty = timing->count > CHATTY_COUNT && timing->count * CHATTY_NANOSECONDS > ended - begun;
    self->wary = was_long ? WARY_AFTER_LONG : self->wary > 0 ? self->wary - 1 : 0;

    // So many calls fit into a turn, at the pace of those since the last timed one.
    int64_t pace = (ended - self->last_timed) / self->calls_between;
    self->last_timed = ended;
    int64_t between = TIMED_EVERY;
    if (!self->slow && !self->chatty && pace > TURN_NANOSECONDS / TIMED_EVERY) {
        between = pace < TURN_NANOSECONDS ? TURN_NANOSECONDS / pace : 1;
    }
    if (!self->slow && (was_long || (self->wary > 0 && !self->chatty))) {
        between = 1;
    }
    self->calls_between = (uint8_t)between;
    self->calls_until_timed = (uint32_t)between;
}

// Run the engine, and learn whether the next calls drop the GIL. Timed are the first few calls, of which the very first is cold, and
// then one in TIMED_EVERY or more: what a function does may depend on its arguments. One long call says little, for the system may
// have been busy elsewhere: the next ones are timed as well.
static int func_run_timed(FuncObject *self, aw_raw *values, uint32_t count, aw_error *error)
{
    StoreObject *store = self->store;
    store_timing outer = store->timing;
    int64_t begun = store_now();
    bool turn = !self->chatty && (self->wary > 0 || begun - self->last_turn >= TURN_NANOSECONDS);
    bool drop_gil = turn || self->slow || store->interruptible;
    store_enter(store, drop_gil);
    store->timing = (store_timing){.on = true};
    store_stretch_begin(store);
    int status = store->api->func_call(self->item.func, values, count, error);
    store_stretch_end(store);
    store_timing timing = store->timing;
    store->timing = outer;
    store_leave(store);
    int64_t ended = store_now();  // others may have run until now
    if (drop_gil) {
        self->last_turn = ended;
    }
    func_learn(self, &timing, begun, ended);
    return status;
}

static AW_COLD int func_failed(StoreObject *store, aw_error *error)
{
    store->failure = (uint8_t)error->kind;
    error_raise(store->state, store, error);
    store_sweep(store);
    return -1;
}

// Run the engine on raw values, in a store that was checked: 0, or -1 with an exception.
static int func_run(FuncObject *self, aw_raw *values, uint32_t count)
{
    StoreObject *store = self->store;
    bool drop_gil = self->slow || store->interruptible;
    aw_error error;
    int status;
    if (!self->checked && --self->calls_until_timed == 0) {
        status = func_run_timed(self, values, count, &error);
    }
    else {
        store_enter(store, drop_gil);
        status = self->checked ? store->api->func_call_checked(self->item.func, values, count, &error)
                               : store->api->func_call(self->item.func, values, count, &error);
        store_leave(store);
    }
    return status < 0 ? func_failed(store, &error) : 0;
}

// The same for a call that is like most: nothing to be checked, timed or dropped, and no other call in the store.
static inline int func_run_quick(FuncObject *self, aw_raw *values, uint32_t count)
{
    StoreObject *store = self->store;
    if (self->slow || self->checked || store->interruptible || store->depth > 0 || self->calls_until_timed == 1) {
        return func_run(self, values, count);
    }
    self->calls_until_timed--;
    aw_error error;
    store->depth = 1;
    store->thread = this_thread();
    int status = store->api->func_call(self->item.func, values, count, &error);
    store->depth = 0;
    return status < 0 ? func_failed(store, &error) : 0;
}

int func_call_raw(FuncObject *self, aw_raw *values, uint32_t count)
{
    return func_run_quick(self, values, count);
}

// Several numbers. Python's collector may run when the tuple is made, and with it code that uses the store: by then they are floats
// and ints.
static PyObject *results_numbers(const core_state *state, const FuncTypeObject *type, const aw_raw *values)
{
    uint32_t count = type->type.result_count;
    const aw_valtype *types = type->type.results;
    PyObject *objects[VALUES_ON_STACK];
    for (uint32_t i = 0; i < count; i++) {
        objects[i] = number_from_raw(state, types[i], &values[i]);
        if (objects[i] == NULL) {
            while (i-- > 0) {
                Py_DECREF(objects[i]);
            }
            return NULL;
        }
    }
    PyObject *tuple = PyTuple_New((Py_ssize_t)count);
    for (uint32_t i = 0; i < count; i++) {
        if (tuple != NULL) {
            PyTuple_SET_ITEM(tuple, (Py_ssize_t)i, objects[i]);
        }
        else {
            Py_DECREF(objects[i]);
        }
    }
    return tuple;
}

// Several results: rooted before anything is allocated on Python's side, whose collector may run code that uses the store.
static PyObject *results_tuple(StoreObject *store, const FuncTypeObject *type, const aw_raw *values, bool bits)
{
    Py_ssize_t count = (Py_ssize_t)type->type.result_count;
    PyObject *on_stack[VALUES_ON_STACK];
    PyObject **objects = count <= VALUES_ON_STACK ? on_stack : PyMem_Malloc((size_t)count * sizeof(*objects));
    if (objects == NULL) {
        return PyErr_NoMemory();
    }
    PyObject *tuple = NULL;
    if (values_from_raw(store, type->type.results, values, count, objects, bits) == 0) {
        tuple = PyTuple_New(count);
        for (Py_ssize_t i = 0; i < count; i++) {
            if (tuple != NULL) {
                PyTuple_SET_ITEM(tuple, i, objects[i]);
            }
            else {
                Py_DECREF(objects[i]);
            }
        }
    }
    if (objects != on_stack) {
        PyMem_Free(objects);
    }
    return tuple;
}

// The results as Python has them: None, the one, or a tuple. New reference. The store stays in use meanwhile: Python's collector may
// run code here, which could close it.
static PyObject *results_pack(StoreObject *store, const FuncTypeObject *type, const aw_raw *values, bool bits)
{
    PyObject *result;
    store->depth++;
    switch (type->type.result_count) {
    case 0:
        result = Py_NewRef(Py_None);
        break;
    case 1:
        result = bits ? value_bits_from_raw(store, type->type.results[0], values)
                      : value_from_raw(store, type->type.results[0], values);
        break;
    default:
        result = results_tuple(store, type, values, bits);
        break;
    }
    store->depth--;
    store_sweep(store);
    return result;
}

static int arguments_check(FuncObject *self, Py_ssize_t count, PyObject *keyword_names)
{
    if (keyword_names != NULL && PyTuple_GET_SIZE(keyword_names) > 0) {
        PyErr_Format(PyExc_TypeError, "%U(): takes no keyword arguments", self->name);
        return -1;
    }
    if (count != (Py_ssize_t)self->type->type.parameter_count) {
        value_raise_count(self->name, (Py_ssize_t)self->type->type.parameter_count, count);
        return -1;
    }
    return 0;
}

// Any type, any number of values.
static PyObject *func_call_general(FuncObject *self, PyObject *const *args, bool bits)
{
    const FuncTypeObject *type = self->type;
    StoreObject *store = self->store;
    uint32_t needed = functype_values(type);
    aw_raw on_stack[VALUES_ON_STACK];
    aw_raw *values = needed <= VALUES_ON_STACK ? on_stack : PyMem_Malloc(needed * sizeof(*values));
    if (values == NULL) {
        return PyErr_NoMemory();
    }
    PyObject *result = NULL;
    if (store_check(store) == 0 &&
        values_to_raw(store, type->type.parameters, args, type->type.parameter_count, values, self->name, "parameter",
                      bits) == 0 &&
        func_run(self, values, needed) == 0) {
        result = results_pack(store, type, values, bits);
    }
    if (values != on_stack) {
        PyMem_Free(values);
    }
    if (type->has_references && result != NULL) {
        store_collect_if_due(store);
    }
    return result;
}

static PyObject *Func_vectorcall(PyObject *object, PyObject *const *args, size_t nargsf, PyObject *keyword_names)
{
    FuncObject *self = func_cast(object);
    if (arguments_check(self, PyVectorcall_NARGS(nargsf), keyword_names) < 0) {
        return NULL;
    }
    return func_call_general(self, args, false);
}

// Numbers in both directions, and few of them: no roots, no allocation but the result.
static PyObject *Func_vectorcall_numbers(PyObject *object, PyObject *const *args, size_t nargsf,
                                         PyObject *keyword_names)
{
    FuncObject *self = func_cast(object);
    const FuncTypeObject *type = self->type;
    StoreObject *store = self->store;
    uint32_t parameter_count = type->type.parameter_count, result_count = type->type.result_count;
    if ((size_t)PyVectorcall_NARGS(nargsf) != parameter_count || keyword_names != NULL) {
        if (arguments_check(self, PyVectorcall_NARGS(nargsf), keyword_names) < 0) {
            return NULL;
        }
    }

    aw_raw values[VALUES_ON_STACK];
    for (uint32_t i = 0; i < parameter_count; i++) {
        if (!number_to_raw_quick(type->values[i], args[i], &values[i])) {
            value_place place = {.name = self->name, .what = "parameter", .index = i};
            if (number_to_raw_slow(type->values[i], args[i], &values[i], &place) < 0) {
                return NULL;
            }
        }
    }
    // After the arguments: their conversion may have run Python code, which may have closed the store.
    if (store_check(store) < 0 || func_run_quick(self, values, VALUES_ON_STACK) < 0) {
        return NULL;
    }
    store_sweep(store);
    if (result_count == 1) {
        return number_from_raw(store->state, type->values[parameter_count], &values[0]);
    }
    return result_count == 0 ? Py_NewRef(Py_None) : results_numbers(store->state, type, values);
}

// --- birth and death ---------------------------------------------------------------------------------------------------

// The type that the engine tells: new reference.
static PyObject *func_ask_type(StoreObject *store, aw_func *handle)
{
    aw_valtype on_stack[64], *types = on_stack;
    uint32_t parameters, results;
    store->api->func_type(handle, &parameters, &results, types, 64);
    size_t count = (size_t)parameters + results;
    if (count > 64) {
        types = PyMem_Malloc(count * sizeof(*types));
        if (types == NULL) {
            return PyErr_NoMemory();
        }
        store->api->func_type(handle, &parameters, &results, types, count);
    }
    aw_functype type = {
        .parameter_count = parameters, .result_count = results, .parameters = types, .results = types + parameters};
    PyObject *object = functype_wrap(store->state, &type);
    if (types != on_stack) {
        PyMem_Free(types);
    }
    return object;
}

PyObject *func_wrap(StoreObject *store, aw_func *handle, PyObject *type, PyObject *name)
{
    core_state *state = store->state;
    PyObject *own_type = type != NULL ? Py_NewRef(type) : func_ask_type(store, handle);
    PyObject *own_name = name != NULL ? Py_NewRef(name) : PyUnicode_FromString("function");
    FuncObject *self = NULL;
    if (own_type != NULL && own_name != NULL) {
        self = (FuncObject *)state->Func->tp_alloc(state->Func, 0);
    }
    if (self == NULL) {
        Py_XDECREF(own_type);
        Py_XDECREF(own_name);
        store->api->func_delete(handle);
        return NULL;
    }
    self->store = (StoreObject *)Py_NewRef((PyObject *)store);
    self->item.kind = AW_EXTERN_FUNC;
    self->item.func = handle;
    self->type = (FuncTypeObject *)own_type;
    self->name = own_name;
    self->calls_until_timed = self->calls_between = 1;
    self->wary = WARY_FIRST;
    self->checked = store->api->func_call_checked != NULL && self->type->has_references &&
                    has_concrete_parameters(self->type);
    self->slow = self->checked;  // those are not timed
    self->vectorcall = self->type->numbers_only && functype_values(self->type) <= VALUES_ON_STACK
                           ? Func_vectorcall_numbers
                           : Func_vectorcall;
    return (PyObject *)self;
}

PyDoc_STRVAR(
    Func_doc,
    "Func(callable, type, store, *, pass_caller=False, name=None)\n--\n\n"
    "A function of a store's. Calling it with Python values calls it with WebAssembly's.\n\n"
    "The constructor makes a host function, for modules to import, from a Python callable.\n\n"
    "callable: called with one argument per parameter. It returns None for no result, the value for one, and a\n"
    "  tuple or list for several. What it raises comes out of the call from Python that led to it.\n"
    "type: FuncType.\n"
    "store: Store, which keeps the callable alive.\n"
    "pass_caller: give the callable a Caller first: the memory and the exports of the calling instance.\n"
    "name: str, for messages; by default the callable's.\n\n"
    "Specification, sections 4.2.6 and 4.6.10.");

static PyObject *Func_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    static char *names[] = {"callable", "type", "store", "pass_caller", "name", NULL};
    core_state *state = (core_state *)PyType_GetModuleState(type);
    PyObject *callable, *functype, *store_object, *name = Py_None;
    int pass_caller = 0;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "OOO|$pO:Func", names, &callable, &functype, &store_object,
                                     &pass_caller, &name)) {
        return NULL;
    }
    if (!PyCallable_Check(callable)) {
        return PyErr_Format(PyExc_TypeError, "Func(): callable: expected a callable, got %.200s",
                            Py_TYPE(callable)->tp_name);
    }
    if (Py_TYPE(functype) != state->FuncType) {
        return PyErr_Format(PyExc_TypeError, "Func(): type: expected a FuncType, got %.200s",
                            Py_TYPE(functype)->tp_name);
    }
    if (Py_TYPE(store_object) != state->Store) {
        return PyErr_Format(PyExc_TypeError, "Func(): store: expected a Store, got %.200s",
                            Py_TYPE(store_object)->tp_name);
    }
    StoreObject *store = (StoreObject *)store_object;
    if (store_check(store) < 0) {
        return NULL;
    }
    PyObject *own_name = NULL;
    if (name != Py_None) {
        if (!PyUnicode_Check(name)) {
            return PyErr_Format(PyExc_TypeError, "Func(): name: expected str or None, got %.200s",
                                Py_TYPE(name)->tp_name);
        }
        own_name = Py_NewRef(name);
    }
    else {
        own_name = PyObject_GetAttrString(callable, "__name__");
        if (own_name == NULL || !PyUnicode_Check(own_name)) {
            PyErr_Clear();
            Py_XDECREF(own_name);
            own_name = PyUnicode_FromString("host function");
            if (own_name == NULL) {
                return NULL;
            }
        }
    }
    aw_func *handle = store_check(store) < 0
                          ? NULL
                          : func_new_host(store, callable, (FuncTypeObject *)functype, own_name, pass_caller, NULL, 0);
    PyObject *self = handle != NULL ? func_wrap(store, handle, functype, own_name) : NULL;
    Py_DECREF(own_name);
    return self;
}

static int Func_traverse(PyObject *object, visitproc visit, void *arg)
{
    FuncObject *self = func_cast(object);
    Py_VISIT(Py_TYPE(object));
    Py_VISIT(self->store);
    Py_VISIT(self->type);
    return 0;
}

// The store stays: methods ask it. A cycle through it is broken on its side.
static int Func_clear(PyObject *Py_UNUSED(object))
{
    return 0;
}

static void Func_dealloc(PyObject *object)
{
    FuncObject *self = func_cast(object);
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    if (self->weakrefs != NULL) {
        PyObject_ClearWeakRefs(object);
    }
    if (self->item.func != NULL) {
        self->store->api->func_delete(self->item.func);
    }
    Py_XDECREF(self->type);
    Py_XDECREF(self->name);
    Py_XDECREF(self->store);
    type->tp_free(object);
    Py_DECREF(type);
}

// --- methods and properties -----------------------------------------------------------------------------------------------

PyDoc_STRVAR(
    Func_call_bits_doc,
    "call_bits($self, /, *bits)\n--\n\n"
    "Call with bit patterns instead of numbers, and return bit patterns.\n\n"
    "An i32 or f32 is an int from 0 to 2**32-1, an i64 or f64 one to 2**64-1, a v128 one to 2**128-1 whose lowest\n"
    "bits are lane 0; references are as in an ordinary call. So the payload of a NaN gets through as it is, which a\n"
    "Python float cannot promise for an f32. Returns None, an int, or a tuple.");

static PyObject *Func_call_bits(PyObject *object, PyObject *const *args, Py_ssize_t count)
{
    FuncObject *self = func_cast(object);
    return arguments_check(self, count, NULL) < 0 ? NULL : func_call_general(self, args, true);
}

static PyObject *Func_get_type(PyObject *object, void *Py_UNUSED(closure))
{
    return Py_NewRef((PyObject *)func_cast(object)->type);
}

static PyObject *Func_get_name(PyObject *object, void *Py_UNUSED(closure))
{
    return Py_NewRef(func_cast(object)->name);
}

static PyObject *Func_get_store(PyObject *object, void *Py_UNUSED(closure))
{
    return Py_NewRef((PyObject *)func_cast(object)->store);
}

static PyObject *Func_repr(PyObject *object)
{
    FuncObject *self = func_cast(object);
    PyObject *type = PyObject_Str((PyObject *)self->type);
    if (type == NULL) {
        return NULL;
    }
    PyObject *text = PyUnicode_FromFormat("<anywasm.Func %U: %U%s>", self->name, type,
                                          self->store->handle == NULL ? ", closed" : "");
    Py_DECREF(type);
    return text;
}

// --- tables -------------------------------------------------------------------------------------------------------------------

static PyMethodDef Func_methods[] = {
    {"call_bits", (PyCFunction)(void (*)(void))Func_call_bits, METH_FASTCALL, Func_call_bits_doc},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef Func_getset[] = {
    {"type", Func_get_type, NULL, "FuncType: parameters and results.", NULL},
    {"name", Func_get_name, NULL, "str: the name that it was exported by or made with.", NULL},
    {"__name__", Func_get_name, NULL, "str: the same as name.", NULL},
    {"store", Func_get_store, NULL, "Store: where it lives.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef Func_members[] = {
    {"__vectorcalloffset__", Py_T_PYSSIZET, offsetof(FuncObject, vectorcall), Py_READONLY, NULL},
    {"__weaklistoffset__", Py_T_PYSSIZET, offsetof(FuncObject, weakrefs), Py_READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot Func_slots[] = {
    {Py_tp_doc, (void *)Func_doc},
    {Py_tp_new, Func_new},
    {Py_tp_traverse, Func_traverse},
    {Py_tp_clear, Func_clear},
    {Py_tp_dealloc, Func_dealloc},
    {Py_tp_call, PyVectorcall_Call},
    {Py_tp_repr, Func_repr},
    {Py_tp_richcompare, Extern_richcompare},
    {Py_tp_hash, Extern_hash},
    {Py_tp_methods, Func_methods},
    {Py_tp_getset, Func_getset},
    {Py_tp_members, Func_members},
    {0, NULL},
};

PyType_Spec Func_spec = {
    .name = "anywasm.Func",
    .basicsize = sizeof(FuncObject),
    .flags = AW_TYPE_FLAGS | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL,
    .slots = Func_slots,
};

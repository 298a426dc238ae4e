// SPDX-License-Identifier: Apache-2.0
// A CLibrary is what stands behind an anywasm.clib.Library: the instance's memory, its allocator, its table of functions, and what of
// them Python owns. The Python class is policy; this is what calls and values need.
//
// A reset replaces the store and all that lives in it. What was made before is of an older generation: it can still be dropped, and
// whatever else is asked of it raises ValueError. Memory of the guest's is freed by the guest's own functions; where that cannot be done at
// once (another thread uses the store, a call is running) it waits for the next call.

#include "clib.h"

#include "../errors.h"
#include "../func.h"

static CLibraryObject *library_cast(PyObject *self)
{
    return (CLibraryObject *)self;
}

uint8_t *library_memory(CLibraryObject *self, size_t *bytes)
{
    uint8_t *base;
    self->store->api->memory_data(self->memory->item.memory, &base, bytes);
    return base;
}

AW_COLD int library_unusable(const CLibraryObject *self)
{
    if (self->store->handle == NULL) {
        PyErr_SetString(PyExc_ValueError, "the library is closed");
    }
    return -1;
}

// --- the guest's allocator ----------------------------------------------------------------------------------------

int library_malloc(CLibraryObject *self, size_t size, uint64_t *address)
{
    if (self->malloc == NULL) {
        PyErr_SetString(self->state->LibraryError,
                        "the library exports no malloc and free, which memory for its values comes from: link it with "
                        "-Wl,--export=malloc,--export=free");
        return -1;
    }
    if (size > PY_SSIZE_T_MAX || (self->pointer_size == 4 && size > UINT32_MAX)) {
        PyErr_Format(PyExc_MemoryError, "%zu bytes are more than the library's memory can have", size);
        return -1;
    }
    if (library_check(self) < 0 || library_attend(self) < 0) {
        return -1;
    }
    aw_raw values[1];
    raw_set_address(self, &values[0], size > 0 ? size : 1);
    if (func_call_raw(self->malloc, values, 1) < 0) {
        library_call_failed(self);
        return -1;
    }
    *address = raw_get_address(self, &values[0]);
    if (*address == 0) {
        PyErr_Format(PyExc_MemoryError, "the library has no memory for %zu bytes", size);
        return -1;
    }
    return 0;
}

int library_free(CLibraryObject *self, FuncObject *release, uint64_t address)
{
    FuncObject *function = release != NULL ? release : self->free;
    if (function == NULL) {
        return 0;
    }
    aw_raw values[1];
    raw_set_address(self, &values[0], address);
    if (func_call_raw(function, values, 1) < 0) {
        library_call_failed(self);
        return -1;
    }
    return 0;
}

void library_free_later(CLibraryObject *self, FuncObject *release, uint64_t address)
{
    if (self->pending_count == self->pending_capacity) {
        size_t capacity = self->pending_capacity == 0 ? 16 : 2 * self->pending_capacity;
        cpending *pending = PyMem_Resize(self->pending, cpending, capacity);
        if (pending == NULL) {
            return;  // lost until the library is reset
        }
        self->pending = pending;
        self->pending_capacity = capacity;
    }
    self->pending[self->pending_count++] = (cpending){.address = address,
                                                      .release = (FuncObject *)Py_XNewRef((PyObject *)release)};
    self->attention = true;
}

static void pending_forget(CLibraryObject *self)
{
    while (self->pending_count > 0) {
        Py_XDECREF(self->pending[--self->pending_count].release);
    }
}

// --- before and after calls -----------------------------------------------------------------------------------------

int library_attend(CLibraryObject *self)
{
    if (!self->attention) {
        return 0;
    }
    if (self->trouble != NULL) {
        PyErr_Format(
            self->state->LibraryError,
            "the library stopped in the middle of its work (%.200s: %S), so its memory is not to be trusted: reset() "
            "starts it anew",
            Py_TYPE(self->trouble)->tp_name, self->trouble);
        PyObject *exception = aw_take_exception();
        PyException_SetCause(exception, Py_NewRef(self->trouble));
        aw_put_exception(exception);
        return -1;
    }
    while (self->pending_count > 0) {
        cpending pending = self->pending[--self->pending_count];
        int status = library_free(self, pending.release, pending.address);
        Py_XDECREF(pending.release);
        if (status < 0) {
            return -1;
        }
    }
    self->attention = self->trouble != NULL;
    return 0;
}

// With the exception pending that a failed call left.
void library_call_failed(CLibraryObject *self)
{
    PyObject *exception = aw_take_exception();
    core_state *state = self->state;
    bool trouble;
    if (self->store->failure == AW_ERROR_HOST) {
        // A callback's exception ended the call as longjmp would: that is the callback's choice, and C code knows it. Whatever else ended it
        // (exit, Ctrl-C, a deadline) did so anywhere.
        trouble = !self->callback_raised && (PyErr_GivenExceptionMatches(exception, state->WasmError) ||
                                             !PyErr_GivenExceptionMatches(exception, PyExc_Exception));
        if (self->stack != NULL && self->store->depth == self->stack_depth && self->store->handle != NULL) {
            aw_error error;
            if (self->store->api->global_set(self->stack->item.global, &self->stack_start, &error) < 0) {
                trouble = true;
            }
        }
        self->callback_raised = false;
    }
    else {
        trouble = self->store->failure != AW_ERROR_TYPE;
    }
    if (trouble && self->trouble == NULL) {
        self->trouble = Py_NewRef(exception);
        self->attention = true;
    }
    aw_put_exception(exception);
}

// --- birth, reset and death -------------------------------------------------------------------------------------------

static int library_make_types(CLibraryObject *self)
{
    PyObject *text = PyObject_CallMethod((PyObject *)self->state->CType, "scalar", "ssii", "char", "char", 1, 1);
    PyObject *nothing = text != NULL
                            ? PyObject_CallMethod((PyObject *)self->state->CType, "scalar", "ssi", "void", "void", 0)
                            : NULL;
    if (nothing != NULL) {
        self->string_type = ctype_pointer_to(self->state, (CTypeObject *)text, true, self->pointer_size);
        self->void_pointer_type = ctype_pointer_to(self->state, (CTypeObject *)nothing, false, self->pointer_size);
    }
    Py_XDECREF(text);
    Py_XDECREF(nothing);
    return self->string_type != NULL && self->void_pointer_type != NULL ? 0 : -1;
}

static PyObject *CLibrary_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    static char *names[] = {"pointer_size", "encoding", NULL};
    Py_ssize_t pointer_size;
    PyObject *encoding;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "nO:CLibrary", names, &pointer_size, &encoding)) {
        return NULL;
    }
    if (pointer_size != 4 && pointer_size != 8) {
        PyErr_SetString(PyExc_ValueError, "CLibrary(): a pointer has 4 or 8 bytes");
        return NULL;
    }
    if (encoding != Py_None && !PyUnicode_Check(encoding)) {
        return PyErr_Format(PyExc_TypeError, "encoding: expected str or None, got %.200s", Py_TYPE(encoding)->tp_name);
    }
    CLibraryObject *self = (CLibraryObject *)type->tp_alloc(type, 0);
    if (self == NULL) {
        return NULL;
    }
    self->state = (core_state *)PyType_GetModuleState(type);
    self->pointer_size = (size_t)pointer_size;
    self->encoding = Py_NewRef(encoding);
    self->blocks = PyDict_New();
    self->callbacks = PyList_New(0);
    if (self->blocks == NULL || self->callbacks == NULL || library_make_types(self) < 0) {
        Py_CLEAR(self);
    }
    return (PyObject *)self;
}

// What the objects of the instance must be, for `bind`: 0 or -1.
static int bind_check(core_state *state, PyObject *object, PyTypeObject *type, StoreObject *store, bool optional)
{
    if (optional && object == Py_None) {
        return 0;
    }
    if (Py_TYPE(object) != type) {
        PyErr_Format(PyExc_TypeError, "CLibrary.bind(): expected a %.100s, got %.200s", type->tp_name,
                     Py_TYPE(object)->tp_name);
        return -1;
    }
    (void)state;
    return store_check_same(store, ((ExternObject *)object)->store, "an export of the library");
}

// A function of addresses and sizes alone, as malloc and free are: 0 or -1.
int library_check_allocator(PyObject *object, uint32_t results, size_t pointer_size, const char *name)
{
    if (object == Py_None) {
        return 0;
    }
    const aw_functype *type = &((FuncObject *)object)->type->type;
    uint8_t kind = pointer_size == 8 ? AW_I64 : AW_I32;
    if (type->parameter_count != 1 || type->result_count != results || type->parameters[0].kind != kind ||
        (results > 0 && type->results[0].kind != kind)) {
        PyErr_Format(PyExc_TypeError, "the library's %s has another type than C's: %S", name,
                     (PyObject *)((FuncObject *)object)->type);
        return -1;
    }
    return 0;
}

PyDoc_STRVAR(
    CLibrary_bind_doc,
    "bind($self, memory, malloc, free, table, stack, /)\n--\n\n"
    "The objects of a fresh instance; what was made with an earlier one is stale from now on.\n\n"
    "memory: Memory; malloc, free: Func or None; table: Table or None; stack: Global or None, the shadow stack\n"
    "pointer, which is set back when a callback's exception ends a call.");

static PyObject *CLibrary_bind(PyObject *object, PyObject *args)
{
    CLibraryObject *self = library_cast(object);
    core_state *state = self->state;
    PyObject *memory, *malloc_object, *free_object, *table, *stack;
    if (!PyArg_ParseTuple(args, "O!OOOO:bind", state->Memory, &memory, &malloc_object, &free_object, &table, &stack)) {
        return NULL;
    }
    StoreObject *store = ((ExternObject *)memory)->store;
    if (store_check(store) < 0 || bind_check(state, malloc_object, state->Func, store, true) < 0 ||
        bind_check(state, free_object, state->Func, store, true) < 0 ||
        bind_check(state, table, state->Table, store, true) < 0 ||
        bind_check(state, stack, state->Global, store, true) < 0 ||
        library_check_allocator(malloc_object, 1, self->pointer_size, "malloc") < 0 ||
        library_check_allocator(free_object, 0, self->pointer_size, "free") < 0) {
        return NULL;
    }
    if (self->store != NULL && self->store->depth > 0) {
        PyErr_SetString(PyExc_RuntimeError, "the library cannot be reset while one of its functions runs");
        return NULL;
    }
    if (malloc_object == Py_None || free_object == Py_None) {
        malloc_object = free_object = Py_None;
    }
    aw_raw start = {.bits = {0, 0}};
    aw_error error;
    if (stack != Py_None && store->api->global_get(((ExternObject *)stack)->item.global, &start, &error) < 0) {
        return error_raise(state, store, &error);
    }
    PyObject *callbacks = PyList_New(0);
    if (callbacks == NULL) {
        return NULL;
    }
    self->generation++;
    self->stack_start = start;
    self->stack_depth = 0;
    self->arena = self->arena_size = self->arena_top = 0;
    pending_forget(self);
    self->attention = self->callback_raised = false;
    PyDict_Clear(self->blocks);
    callbacks_forget(self);
    self->free_callbacks = 0;
    Py_XSETREF(self->callbacks, callbacks);
    Py_CLEAR(self->trouble);
    Py_XSETREF(self->malloc, malloc_object != Py_None ? (FuncObject *)Py_NewRef(malloc_object) : NULL);
    Py_XSETREF(self->free, free_object != Py_None ? (FuncObject *)Py_NewRef(free_object) : NULL);
    Py_XSETREF(self->table, table != Py_None ? (ExternObject *)Py_NewRef(table) : NULL);
    Py_XSETREF(self->stack, stack != Py_None ? (ExternObject *)Py_NewRef(stack) : NULL);
    Py_XSETREF(self->memory, (ExternObject *)Py_NewRef(memory));
    Py_XSETREF(self->store, (StoreObject *)Py_NewRef((PyObject *)store));
    return Py_NewRef(Py_None);
}

static int CLibrary_traverse(PyObject *object, visitproc visit, void *arg)
{
    CLibraryObject *self = library_cast(object);
    Py_VISIT(Py_TYPE(object));
    Py_VISIT(self->store);
    Py_VISIT(self->memory);
    Py_VISIT(self->malloc);
    Py_VISIT(self->free);
    Py_VISIT(self->table);
    Py_VISIT(self->stack);
    Py_VISIT(self->trouble);
    Py_VISIT(self->callbacks);
    return 0;
}

// The store breaks cycles through callables; an exception's traceback may lead back here.
static int CLibrary_clear(PyObject *object)
{
    Py_CLEAR(library_cast(object)->trouble);
    return 0;
}

static void CLibrary_dealloc(PyObject *object)
{
    CLibraryObject *self = library_cast(object);
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    if (self->weakrefs != NULL) {
        PyObject_ClearWeakRefs(object);
    }
    callbacks_forget(self);
    Py_XDECREF(self->trouble);
    Py_XDECREF(self->callbacks);
    Py_XDECREF(self->blocks);
    Py_XDECREF(self->string_type);
    Py_XDECREF(self->void_pointer_type);
    Py_XDECREF(self->encoding);
    Py_XDECREF(self->malloc);
    Py_XDECREF(self->free);
    Py_XDECREF(self->table);
    Py_XDECREF(self->stack);
    Py_XDECREF(self->memory);
    Py_XDECREF(self->store);
    pending_forget(self);
    PyMem_Free(self->pending);
    type->tp_free(object);
    Py_DECREF(type);
}

// --- values in the library's memory ---------------------------------------------------------------------------------

static int library_bound(CLibraryObject *self)
{
    if (self->store == NULL) {
        PyErr_SetString(PyExc_ValueError, "the library has no instance");
        return -1;
    }
    return library_check(self);
}

// The library's own memory at a global variable's address.
static cspot library_spot(CLibraryObject *self, uint64_t address)
{
    return (cspot){.library = self, .address = address, .generation = self->generation};
}

PyDoc_STRVAR(CLibrary_read_doc, "read($self, ctype, address, readonly=False, /)\n--\n\n"
                                "The value of that type at an address: a global variable's.");

static PyObject *CLibrary_read(PyObject *object, PyObject *args)
{
    CLibraryObject *self = library_cast(object);
    CTypeObject *type;
    unsigned long long address;
    int readonly = 0;
    if (!PyArg_ParseTuple(args, "O!K|p:read", self->state->CType, &type, &address, &readonly) ||
        library_bound(self) < 0) {
        return NULL;
    }
    cspot spot = library_spot(self, address);
    spot.readonly = readonly;
    return value_read(&spot, type);
}

PyDoc_STRVAR(CLibrary_write_doc, "write($self, ctype, address, value, name, readonly=False, /)\n--\n\n"
                                 "Set the value of that type at an address: a global variable's.");

static PyObject *CLibrary_write(PyObject *object, PyObject *args)
{
    CLibraryObject *self = library_cast(object);
    CTypeObject *type;
    unsigned long long address;
    PyObject *value, *name;
    int readonly = 0;
    if (!PyArg_ParseTuple(args, "O!KOU|p:write", self->state->CType, &type, &address, &value, &name, &readonly) ||
        library_bound(self) < 0) {
        return NULL;
    }
    cspot spot = library_spot(self, address);
    spot.readonly = readonly;
    cplace place = {.kind = PLACE_VALUE, .name = name, .type = type};
    return value_write(&spot, type, value, &place) < 0 ? NULL : Py_NewRef(Py_None);
}

// A block of the guest's that holds a value of the type, from Python's or zero: new reference.
static CBlockObject *library_allocate(CLibraryObject *self, CTypeObject *type, PyObject *initial, const cplace *place)
{
    if (!type->complete) {
        place_raise(place, PyExc_TypeError, "the type has no size, so no value of it can be made here");
        return NULL;
    }
    uint64_t address;
    if (library_bound(self) < 0 || library_malloc(self, type->size, &address) < 0) {
        return NULL;
    }
    CBlockObject *block = block_new_guest(self, address, type->size, true, NULL);
    if (block == NULL) {
        return NULL;
    }
    cspot spot = {.library = self, .block = block, .address = address, .generation = block->generation};
    uint8_t *bytes = spot_bytes(&spot, type->size);
    if (bytes == NULL) {
        Py_DECREF(block);
        return NULL;
    }
    memset(bytes, 0, type->size);
    if (initial != Py_None && value_write(&spot, type, initial, place) < 0) {
        Py_CLEAR(block);
    }
    return block;
}

PyDoc_STRVAR(CLibrary_new_pointer_doc, "new_pointer($self, ctype, initial, /)\n--\n\n"
                                       "A pointer of that type to new memory with a value, or zero.");

static PyObject *CLibrary_new_pointer(PyObject *object, PyObject *args)
{
    CLibraryObject *self = library_cast(object);
    CTypeObject *type;
    PyObject *initial;
    if (!PyArg_ParseTuple(args, "O!O:new_pointer", self->state->CType, &type, &initial)) {
        return NULL;
    }
    if (type->kind != CK_POINTER) {
        PyErr_SetString(PyExc_TypeError, "new(): expected a pointer's type, such as 'int *'");
        return NULL;
    }
    cplace place = {.kind = PLACE_VALUE, .type = type->item};
    CBlockObject *block = library_allocate(self, type->item, initial, &place);
    PyObject *pointer = block != NULL ? pointer_new(self, type, block->address, block) : NULL;
    Py_XDECREF(block);
    return pointer;
}

PyDoc_STRVAR(CLibrary_new_array_doc, "new_array($self, ctype, initial, /)\n--\n\n"
                                     "An array of that type in new memory, with values, or zero.");

static PyObject *CLibrary_new_array(PyObject *object, PyObject *args)
{
    CLibraryObject *self = library_cast(object);
    CTypeObject *type;
    PyObject *initial;
    if (!PyArg_ParseTuple(args, "O!O:new_array", self->state->CType, &type, &initial)) {
        return NULL;
    }
    if (type->kind != CK_ARRAY) {
        PyErr_SetString(PyExc_TypeError, "array(): expected an array's type, such as 'int[4]'");
        return NULL;
    }
    cplace place = {.kind = PLACE_VALUE, .type = type};
    CBlockObject *block = library_allocate(self, type, initial, &place);
    if (block == NULL) {
        return NULL;
    }
    cspot spot = {.library = self, .block = block, .address = block->address, .generation = block->generation};
    PyObject *array = data_new(self->state->Array, &spot, type);
    Py_DECREF(block);
    return array;
}

PyDoc_STRVAR(CLibrary_adopt_doc,
             "adopt($self, pointer, release, /)\n--\n\n"
             "Own what the pointer points at from now on; *release* is a Func that frees it, or None for free.");

static PyObject *CLibrary_adopt(PyObject *object, PyObject *args)
{
    CLibraryObject *self = library_cast(object);
    CDataObject *pointer;
    PyObject *release;
    if (!PyArg_ParseTuple(args, "O!O:adopt", self->state->Pointer, &pointer, &release) || library_bound(self) < 0) {
        return NULL;
    }
    if (release != Py_None) {
        if (bind_check(self->state, release, self->state->Func, self->store, false) < 0 ||
            library_check_allocator(release, 0, self->pointer_size, "function that frees") < 0) {
            return NULL;
        }
    }
    else if (self->free == NULL) {
        PyErr_SetString(self->state->LibraryError, "the library exports no free to give the memory back with");
        return NULL;
    }
    if (spot_check(&pointer->spot, self) < 0) {
        return NULL;
    }
    if (pointer->spot.block != NULL) {
        PyErr_SetString(PyExc_ValueError,
                        pointer->spot.block->freed ? "the memory was freed" : "Python owns the memory already");
        return NULL;
    }
    CBlockObject *known;
    if (block_find(self, pointer->spot.address, &known) < 0) {
        return NULL;
    }
    if (known != NULL) {
        Py_DECREF(known);
        PyErr_SetString(PyExc_ValueError, "Python owns the memory already");
        return NULL;
    }
    CTypeObject *target = pointer->type->item;
    CBlockObject *block = block_new_guest(self, pointer->spot.address, target->complete ? target->size : 0, false,
                                          release != Py_None ? (FuncObject *)release : NULL);
    if (block == NULL) {
        return NULL;
    }
    Py_XSETREF(pointer->spot.block, block);
    return Py_NewRef((PyObject *)pointer);
}

PyDoc_STRVAR(CLibrary_cast_doc, "cast($self, ctype, value, /)\n--\n\n"
                                "A pointer of that type to where a pointer, an array or an address leads.");

static PyObject *CLibrary_cast(PyObject *object, PyObject *args)
{
    CLibraryObject *self = library_cast(object);
    CTypeObject *type;
    PyObject *value;
    if (!PyArg_ParseTuple(args, "O!O:cast", self->state->CType, &type, &value) || library_bound(self) < 0) {
        return NULL;
    }
    if (type->kind != CK_POINTER) {
        return value_cast(self, type, value);
    }
    uint64_t address = 0;
    CBlockObject *block = NULL;
    if (is_cdata(self->state, value)) {
        CDataObject *data = (CDataObject *)value;
        if (spot_check(&data->spot, self) < 0) {
            return NULL;
        }
        if (data->spot.block != NULL && data->spot.block->bytes != NULL) {
            PyErr_SetString(PyExc_TypeError,
                            "cast(): the value is Python's own, and has no address: copy it with new()");
            return NULL;
        }
        address = data->spot.address;
        block = data->spot.block;
    }
    else if (Py_TYPE(value) == self->state->CFunction) {
        if (function_index(value, self, &address) < 0) {
            return NULL;
        }
    }
    else if (value != Py_None) {
        if (!PyIndex_Check(value)) {
            return PyErr_Format(PyExc_TypeError,
                                "cast(): expected a pointer, an array, a function or an address, got %.200s",
                                Py_TYPE(value)->tp_name);
        }
        PyObject *integer = PyNumber_Index(value);
        if (integer == NULL) {
            return NULL;
        }
        address = PyLong_AsUnsignedLongLongMask(integer);  // wraps around as C's cast: (void *)-1
        Py_DECREF(integer);
        if (address == UINT64_MAX && PyErr_Occurred()) {
            return NULL;
        }
        if (self->pointer_size == 4) {
            address = (uint32_t)address;
        }
        if (library_bound(self) < 0) {
            return NULL;
        }
    }
    if (type->item->kind == CK_FUNCTION) {
        return address == 0 ? Py_NewRef(Py_None) : function_at(self, type->item, address);
    }
    return pointer_new(self, type, address, block);
}

PyDoc_STRVAR(CLibrary_free_memory_doc, "free_memory($self, data, /)\n--\n\n"
                                       "Free what Python owns, now.");

static PyObject *CLibrary_free_memory(PyObject *object, PyObject *value)
{
    CLibraryObject *self = library_cast(object);
    if (!is_cdata(self->state, value)) {
        return PyErr_Format(PyExc_TypeError, "free(): expected a Pointer, an Array or a Struct, got %.200s",
                            Py_TYPE(value)->tp_name);
    }
    CDataObject *data = (CDataObject *)value;
    if (spot_check(&data->spot, self) < 0) {
        return NULL;
    }
    return data_free(data) < 0 ? NULL : Py_NewRef(Py_None);
}

PyDoc_STRVAR(CLibrary_function_doc,
             "function($self, name, ctype, func, result, release, /)\n--\n\n"
             "A function to call: of a CType, by a Func. result: 'value', 'bytes' or 'pointer', what a char * comes\n"
             "as; release: a Func that frees what is returned, or None, or True for free.");

static PyObject *CLibrary_function(PyObject *object, PyObject *args)
{
    CLibraryObject *self = library_cast(object);
    PyObject *name, *release;
    CTypeObject *type;
    FuncObject *func;
    const char *result;
    if (!PyArg_ParseTuple(args, "UO!O!sO:function", &name, self->state->CType, &type, self->state->Func, &func, &result,
                          &release) ||
        library_bound(self) < 0) {
        return NULL;
    }
    if (Py_TYPE(release) == self->state->Func &&
        (bind_check(self->state, release, self->state->Func, self->store, false) < 0 ||
         library_check_allocator(release, 0, self->pointer_size, "function that frees") < 0)) {
        return NULL;
    }
    return function_new(self, name, type, func, result, release);
}

PyDoc_STRVAR(CLibrary_callback_doc, "callback($self, ctype, callable, /)\n--\n\n"
                                    "A function of the library's that calls a Python callable, as long as it lives.");

static PyObject *CLibrary_callback(PyObject *object, PyObject *args)
{
    CLibraryObject *self = library_cast(object);
    CTypeObject *type;
    PyObject *callable;
    if (!PyArg_ParseTuple(args, "O!O:callback", self->state->CType, &type, &callable) || library_bound(self) < 0) {
        return NULL;
    }
    if (type->kind == CK_POINTER) {
        type = type->item;
    }
    if (type->kind != CK_FUNCTION) {
        PyErr_SetString(PyExc_TypeError, "callback(): expected a function's type, such as 'int (*)(int)'");
        return NULL;
    }
    return function_new_callback(self, type, callable);
}

PyDoc_STRVAR(CLibrary_functype_doc, "functype($self, ctype, /)\n--\n\n"
                                    "The FuncType that a C function of that type has by the C ABI.");

static PyObject *CLibrary_functype(PyObject *object, PyObject *type)
{
    CLibraryObject *self = library_cast(object);
    if (Py_TYPE(type) != self->state->CType || ((CTypeObject *)type)->kind != CK_FUNCTION) {
        PyErr_SetString(PyExc_TypeError, "functype(): expected the CType of a function");
        return NULL;
    }
    return abi_functype_wrap(self->state, (CTypeObject *)type, self->pointer_size);
}

static PyObject *CLibrary_get_trouble(PyObject *object, void *Py_UNUSED(closure))
{
    PyObject *trouble = library_cast(object)->trouble;
    return Py_NewRef(trouble != NULL ? trouble : Py_None);
}

static PyObject *CLibrary_get_generation(PyObject *object, void *Py_UNUSED(closure))
{
    return PyLong_FromUnsignedLong(library_cast(object)->generation);
}

static PyObject *CLibrary_get_owned(PyObject *object, void *Py_UNUSED(closure))
{
    return PyLong_FromSsize_t(PyDict_GET_SIZE(library_cast(object)->blocks));
}

// --- tables -----------------------------------------------------------------------------------------------------------

PyDoc_STRVAR(CLibrary_doc, "CLibrary(pointer_size, encoding)\n--\n\n"
                           "What stands behind an anywasm.clib.Library, whose methods are the way to it.");

static PyMethodDef CLibrary_methods[] = {
    {"bind", CLibrary_bind, METH_VARARGS, CLibrary_bind_doc},
    {"read", CLibrary_read, METH_VARARGS, CLibrary_read_doc},
    {"write", CLibrary_write, METH_VARARGS, CLibrary_write_doc},
    {"new_pointer", CLibrary_new_pointer, METH_VARARGS, CLibrary_new_pointer_doc},
    {"new_array", CLibrary_new_array, METH_VARARGS, CLibrary_new_array_doc},
    {"adopt", CLibrary_adopt, METH_VARARGS, CLibrary_adopt_doc},
    {"cast", CLibrary_cast, METH_VARARGS, CLibrary_cast_doc},
    {"free_memory", CLibrary_free_memory, METH_O, CLibrary_free_memory_doc},
    {"function", CLibrary_function, METH_VARARGS, CLibrary_function_doc},
    {"callback", CLibrary_callback, METH_VARARGS, CLibrary_callback_doc},
    {"functype", CLibrary_functype, METH_O, CLibrary_functype_doc},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef CLibrary_getset[] = {
    {"trouble", CLibrary_get_trouble, NULL, "BaseException: what stopped the library in its work, or None.", NULL},
    {"generation", CLibrary_get_generation, NULL, "int: how often it was bound.", NULL},
    {"owned", CLibrary_get_owned, NULL, "int: how many pieces of the library's memory Python owns.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef CLibrary_members[] = {
    {"encoding", Py_T_OBJECT_EX, offsetof(CLibraryObject, encoding), Py_READONLY, "str: of char *, or None for bytes."},
    {"__weaklistoffset__", Py_T_PYSSIZET, offsetof(CLibraryObject, weakrefs), Py_READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot CLibrary_slots[] = {
    {Py_tp_doc, (void *)CLibrary_doc}, {Py_tp_new, CLibrary_new},         {Py_tp_traverse, CLibrary_traverse},
    {Py_tp_clear, CLibrary_clear},     {Py_tp_dealloc, CLibrary_dealloc}, {Py_tp_methods, CLibrary_methods},
    {Py_tp_getset, CLibrary_getset},   {Py_tp_members, CLibrary_members}, {0, NULL},
};

PyType_Spec CLibrary_spec = {
    .name = "anywasm._core.CLibrary",
    .basicsize = sizeof(CLibraryObject),
    .flags = AW_TYPE_FLAGS | Py_TPFLAGS_HAVE_GC,
    .slots = CLibrary_slots,
};

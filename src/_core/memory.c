// SPDX-License-Identifier: Apache-2.0
// A Memory is a linear memory of a store's: the bytes that a guest works in, seen from Python.
//
// It keeps its store alive. A view (memoryview, NumPy array) keeps the Memory alive and shows the bytes themselves, without
// a copy; while one is out the store refuses to be closed, so no view ever shows freed memory. A guest may grow its
// memory in any call: the base and the length are therefore asked of the engine for each access and never kept, and
// memory does not move (AW_CAP_STABLE_MEMORY), so a view stays valid and as long as it was.

#include "errors.h"
#include "externs.h"

enum { PAGE_BYTES = 65536 };

typedef struct {
    ExternObject base;
    Py_ssize_t exports;  // views that are out
} MemoryObject;

static inline MemoryObject *memory_cast(PyObject *self)
{
    return (MemoryObject *)self;
}

// Open and of this thread: 0 or -1. Whatever runs Python code (an argument's __index__, taking a buffer) may close the store,
// so this is asked after the arguments are converted and directly before the bytes are used.
static inline int memory_check(MemoryObject *self)
{
    return store_check(self->base.store);
}

// Where the bytes are now. An empty memory has a base, too: some users of buffers take NULL for an error.
static inline uint8_t *memory_bytes(MemoryObject *self, size_t *length)
{
    static uint8_t nothing;
    uint8_t *base;
    self->base.store->api->memory_data(self->base.item.memory, &base, length);
    return *length > 0 ? base : &nothing;
}

// The one bounds check: the *length* bytes at *address*, or NULL with an exception.
static uint8_t *memory_span(MemoryObject *self, const char *method, uint64_t address, uint64_t length)
{
    if (memory_check(self) < 0) {
        return NULL;
    }
    size_t bytes;
    uint8_t *base = memory_bytes(self, &bytes);
    if (address <= bytes && length <= bytes - address) {
        return base + address;
    }
    char address_text[INDEX_TEXT_SIZE], length_text[INDEX_TEXT_SIZE];
    PyErr_Format(PyExc_IndexError, "Memory.%s(): address %s, length %s: out of bounds, the memory has %zu bytes",
                 method, index_text(address, address_text), index_text(length, length_text), bytes);
    return NULL;
}

// A bytes-like object's bytes: 0 or -1. May run Python code.
static int data_get(PyObject *object, const char *what, Py_buffer *data)
{
    if (!PyObject_CheckBuffer(object)) {
        PyErr_Format(PyExc_TypeError, "%s: expected a bytes-like object, got %.200s", what, Py_TYPE(object)->tp_name);
        return -1;
    }
    return PyObject_GetBuffer(object, data, PyBUF_SIMPLE);
}

// --- birth and death ------------------------------------------------------------------------------------------

PyObject *memory_wrap(StoreObject *store, aw_memory *handle)
{
    aw_extern item = {.kind = AW_EXTERN_MEMORY, .memory = handle};
    return extern_new(store->state->Memory, store, &item);
}

PyDoc_STRVAR(
    Memory_doc,
    "Memory(type, store)\n--\n\n"
    "A linear memory: the bytes that a guest works in.\n\n"
    "type: MemoryType, how many pages of 65,536 bytes it begins with and may have.\n"
    "store: Store, where it lives.\n\n"
    "memoryview(memory) and numpy.frombuffer(memory) share its bytes, writable and without a copy; memory[a:b], read()\n"
    "and read_cstring() copy them out, memory[a:b] = data and write() copy them in. A view stays valid, and as long\n"
    "as it was, when the memory grows; the store cannot be closed while views exist. len() is in bytes. Most\n"
    "memories are exports of an instance; making one needs an engine with the capability imported_memory,\n"
    "and raises UnsupportedError elsewhere. Specification, section 2.5.5.");

static PyObject *Memory_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    static char *names[] = {"type", "store", NULL};
    core_state *state = (core_state *)PyType_GetModuleState(type);
    MemoryTypeObject *memorytype;
    StoreObject *store;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "O!O!:Memory", names, state->MemoryType, &memorytype, state->Store,
                                     &store) ||
        store_check(store) < 0) {
        return NULL;
    }
    const aw_memorytype *wanted = &memorytype->type;
    if (!engine_has(store->engine, AW_CAP(IMPORTED_MEMORY))) {
        return engine_raise_unsupported(state, store->api, AW_CAP(IMPORTED_MEMORY), "a memory made by the host");
    }
    if (wanted->limits.is64 && !engine_has(store->engine, AW_CAP(MEMORY64))) {
        return engine_raise_unsupported(state, store->api, AW_CAP(MEMORY64), "a memory with 64-bit addresses");
    }
    if (wanted->shared && !engine_has(store->engine, AW_CAP(THREADS))) {
        return engine_raise_unsupported(state, store->api, AW_CAP(THREADS), "a shared memory");
    }
    if (wanted->shared && wanted->limits.min <= store->memory_limit >> 16 &&
        store_add_shared(store, wanted->limits.max) < 0) {
        return NULL;
    }
    aw_error error;
    aw_memory *handle = store->api->memory_new(store->handle, wanted, &error);
    return handle != NULL ? memory_wrap(store, handle) : error_raise(state, store, &error);
}

// --- the buffer protocol ----------------------------------------------------------------------------------------

// Growth while views are out: bytes that never move make it harmless. Where an engine cannot promise that, nothing could
// keep a guest from growing a memory under a view, so there only memories that cannot grow have views.
static bool memory_is_stable(MemoryObject *self, size_t bytes)
{
    StoreObject *store = self->base.store;
    if (engine_has(store->engine, AW_CAP_STABLE_MEMORY)) {
        return true;
    }
    aw_memorytype type;
    store->api->memory_type(self->base.item.memory, &type);
    return type.limits.has_max && type.limits.max <= bytes / PAGE_BYTES;
}

static int Memory_getbuffer(PyObject *object, Py_buffer *view, int flags)
{
    MemoryObject *self = memory_cast(object);
    view->obj = NULL;
    if (memory_check(self) < 0) {
        return -1;
    }
    size_t bytes;
    uint8_t *base = memory_bytes(self, &bytes);
    if (!memory_is_stable(self, bytes)) {
        PyErr_Format(PyExc_BufferError,
                     "a memory of %s may move when it grows, so it has no views: use read() and write()",
                     self->base.store->api->name);
        return -1;
    }
    if (PyBuffer_FillInfo(view, object, base, (Py_ssize_t)bytes, 0, flags) < 0) {
        return -1;
    }
    self->exports++;
    self->base.store->views++;
    return 0;
}

static void Memory_releasebuffer(PyObject *object, Py_buffer *Py_UNUSED(view))
{
    MemoryObject *self = memory_cast(object);
    self->exports--;
    self->base.store->views--;
}

// --- items and slices -------------------------------------------------------------------------------------------

static Py_ssize_t Memory_length(PyObject *object)
{
    MemoryObject *self = memory_cast(object);
    if (memory_check(self) < 0) {
        return -1;
    }
    size_t bytes;
    memory_bytes(self, &bytes);
    return (Py_ssize_t)bytes;
}

// The byte at *index*, which may be negative as in any sequence, or NULL with an exception.
static uint8_t *memory_item(MemoryObject *self, Py_ssize_t index)
{
    if (memory_check(self) < 0) {
        return NULL;
    }
    size_t bytes;
    uint8_t *base = memory_bytes(self, &bytes);
    Py_ssize_t position = index < 0 ? index + (Py_ssize_t)bytes : index;
    if (position >= 0 && (size_t)position < bytes) {
        return base + position;
    }
    if (index == PY_SSIZE_T_MAX || index == PY_SSIZE_T_MIN) {  // what larger integers were cut to
        PyErr_Format(PyExc_IndexError, "the index is out of bounds, the memory has %zu bytes", bytes);
    }
    else {
        PyErr_Format(PyExc_IndexError, "index %zd is out of bounds, the memory has %zu bytes", index, bytes);
    }
    return NULL;
}

// An item's index: 0 or -1. Integers too large for a Py_ssize_t come as its limits.
static int memory_index(PyObject *item, Py_ssize_t *index)
{
    if (!PyIndex_Check(item)) {
        PyErr_Format(PyExc_TypeError, "a memory's index is an integer or a slice, not %.200s", Py_TYPE(item)->tp_name);
        return -1;
    }
    *index = PyNumber_AsSsize_t(item, NULL);
    return *index == -1 && PyErr_Occurred() ? -1 : 0;
}

// A value for one byte: 0 or -1.
static int byte_convert(PyObject *value, uint8_t *byte)
{
    if (!PyIndex_Check(value)) {
        PyErr_Format(PyExc_TypeError, "a memory's item is an integer from 0 to 255, not %.200s",
                     Py_TYPE(value)->tp_name);
        return -1;
    }
    Py_ssize_t number = PyNumber_AsSsize_t(value, NULL);
    if (number == -1 && PyErr_Occurred()) {
        return -1;
    }
    if (number < 0 || number > 255) {
        PyErr_SetString(PyExc_ValueError,
                        "a memory's item is an integer from 0 to 255: the value is out of that range");
        return -1;
    }
    *byte = (uint8_t)number;
    return 0;
}

static PyObject *memory_get_slice(MemoryObject *self, PyObject *slice)
{
    Py_ssize_t start, stop, step;
    if (PySlice_Unpack(slice, &start, &stop, &step) < 0 || memory_check(self) < 0) {
        return NULL;
    }
    size_t bytes;
    const uint8_t *base = memory_bytes(self, &bytes);
    Py_ssize_t length = PySlice_AdjustIndices((Py_ssize_t)bytes, &start, &stop, step);
    if (step == 1) {
        return PyBytes_FromStringAndSize((const char *)base + start, length);
    }
    PyObject *result = PyBytes_FromStringAndSize(NULL, length);
    if (result != NULL) {
        char *out = PyBytes_AS_STRING(result);
        for (Py_ssize_t i = 0; i < length; i++) {
            out[i] = (char)base[start + i * step];
        }
    }
    return result;
}

static int memory_set_slice(MemoryObject *self, PyObject *slice, PyObject *value)
{
    Py_ssize_t start, stop, step;
    Py_buffer data;
    if (PySlice_Unpack(slice, &start, &stop, &step) < 0 || data_get(value, "memory[a:b] = data", &data) < 0) {
        return -1;
    }
    int status = -1;
    size_t bytes;
    uint8_t *copy = NULL;
    if (memory_check(self) < 0) {
        goto done;
    }
    uint8_t *base = memory_bytes(self, &bytes);
    Py_ssize_t length = PySlice_AdjustIndices((Py_ssize_t)bytes, &start, &stop, step);
    if (length != data.len) {
        PyErr_Format(PyExc_ValueError,
                     "a memory cannot change its length by assignment: the slice has %zd byte%s, the data %zd", length,
                     length == 1 ? "" : "s", data.len);
        goto done;
    }
    // The data may be a view of this very memory.
    if (step == 1) {
        memmove(base + start, data.buf, (size_t)length);
    }
    else if (length > 0) {
        copy = PyMem_Malloc((size_t)length);
        if (copy == NULL) {
            PyErr_NoMemory();
            goto done;
        }
        memcpy(copy, data.buf, (size_t)length);
        for (Py_ssize_t i = 0; i < length; i++) {
            base[start + i * step] = copy[i];
        }
    }
    status = 0;
done:
    PyMem_Free(copy);
    PyBuffer_Release(&data);
    return status;
}

static PyObject *Memory_item(PyObject *object, Py_ssize_t index)
{
    // The sequence protocol has added the length to a negative index already; one that is still negative is out of bounds.
    const uint8_t *byte = memory_item(memory_cast(object), index < 0 ? PY_SSIZE_T_MIN : index);
    return byte != NULL ? PyLong_FromLong(*byte) : NULL;
}

static PyObject *Memory_subscript(PyObject *object, PyObject *item)
{
    MemoryObject *self = memory_cast(object);
    if (PySlice_Check(item)) {
        return memory_get_slice(self, item);
    }
    Py_ssize_t index;
    const uint8_t *byte = memory_index(item, &index) < 0 ? NULL : memory_item(self, index);
    return byte != NULL ? PyLong_FromLong(*byte) : NULL;
}

static int Memory_ass_subscript(PyObject *object, PyObject *item, PyObject *value)
{
    MemoryObject *self = memory_cast(object);
    if (value == NULL) {
        PyErr_SetString(PyExc_TypeError, "a memory's bytes cannot be deleted");
        return -1;
    }
    if (PySlice_Check(item)) {
        return memory_set_slice(self, item, value);
    }
    Py_ssize_t index;
    uint8_t byte;
    if (memory_index(item, &index) < 0 || byte_convert(value, &byte) < 0) {
        return -1;
    }
    uint8_t *place = memory_item(self, index);
    if (place == NULL) {
        return -1;
    }
    *place = byte;
    return 0;
}

// --- methods ----------------------------------------------------------------------------------------------------

static int arguments_count(const char *method, Py_ssize_t given, Py_ssize_t wanted)
{
    if (given != wanted) {
        PyErr_Format(PyExc_TypeError, "Memory.%s(): expected %zd arguments, got %zd", method, wanted, given);
        return -1;
    }
    return 0;
}

PyDoc_STRVAR(
    Memory_read_doc,
    "read($self, address, length, /)\n--\n\n"
    "Copy *length* bytes at *address* out, as bytes.\n\n"
    "Raises IndexError where memory[a:b] would be shorter: when not all of them are within the memory, and for a\n"
    "negative address. ValueError for a negative length.");

static PyObject *Memory_read(PyObject *object, PyObject *const *args, Py_ssize_t count)
{
    uint64_t address, length;
    if (arguments_count("read", count, 2) < 0 ||
        index_convert(args[0], PyExc_IndexError, "Memory.read(): address", &address) < 0 ||
        index_convert(args[1], PyExc_ValueError, "Memory.read(): length", &length) < 0) {
        return NULL;
    }
    const uint8_t *bytes = memory_span(memory_cast(object), "read", address, length);
    return bytes != NULL ? PyBytes_FromStringAndSize((const char *)bytes, (Py_ssize_t)length) : NULL;
}

PyDoc_STRVAR(Memory_write_doc, "write($self, address, data, /)\n--\n\n"
                               "Copy *data*, any bytes-like object, to *address*.\n\n"
                               "Raises IndexError, and writes nothing, when not all of it fits within the memory.");

static PyObject *Memory_write(PyObject *object, PyObject *const *args, Py_ssize_t count)
{
    uint64_t address;
    Py_buffer data;
    if (arguments_count("write", count, 2) < 0 ||
        index_convert(args[0], PyExc_IndexError, "Memory.write(): address", &address) < 0 ||
        data_get(args[1], "Memory.write(): data", &data) < 0) {
        return NULL;
    }
    uint8_t *bytes = memory_span(memory_cast(object), "write", address, (uint64_t)data.len);
    if (bytes != NULL) {
        memmove(bytes, data.buf, (size_t)data.len);  // the data may be a view of this very memory
    }
    PyBuffer_Release(&data);
    return bytes != NULL ? Py_NewRef(Py_None) : NULL;
}

PyDoc_STRVAR(
    Memory_read_cstring_doc,
    "read_cstring($self, address, /, max_length=None, *, encoding='utf-8')\n--\n\n"
    "Return the string at *address* that ends before the next NUL byte.\n\n"
    "address: int, where it begins.\n"
    "max_length: int, bytes that it may have, the NUL not counted; None is up to the memory's end.\n"
    "encoding: str, or None to get bytes.\n\n"
    "Raises IndexError if *address* is not within the memory, ValueError if there is no NUL in time or the bytes do\n"
    "not decode (UnicodeDecodeError), LookupError for an unknown encoding.");

static PyObject *Memory_read_cstring(PyObject *object, PyObject *args, PyObject *keywords)
{
    static char *names[] = {"", "max_length", "encoding", NULL};
    MemoryObject *self = memory_cast(object);
    PyObject *address_object, *max_object = Py_None;
    const char *encoding = "utf-8";
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "O|O$z:Memory.read_cstring", names, &address_object, &max_object,
                                     &encoding)) {
        return NULL;
    }
    uint64_t address, max_length = UINT64_MAX;
    if (index_convert(address_object, PyExc_IndexError, "Memory.read_cstring(): address", &address) < 0 ||
        (max_object != Py_None &&
         index_convert(max_object, PyExc_ValueError, "Memory.read_cstring(): max_length", &max_length) < 0)) {
        return NULL;
    }
    const uint8_t *text = memory_span(self, "read_cstring", address, 1);
    if (text == NULL) {
        return NULL;
    }
    size_t bytes;
    memory_bytes(self, &bytes);
    size_t room = bytes - (size_t)address;
    const uint8_t *end = memchr(text, 0, max_length < room ? (size_t)max_length + 1 : room);
    if (end == NULL) {
        char address_text[INDEX_TEXT_SIZE];
        if (max_length < room) {
            PyErr_Format(PyExc_ValueError,
                         "Memory.read_cstring(): no NUL ends the string at address %s within %llu bytes",
                         index_text(address, address_text), (unsigned long long)max_length);
        }
        else {
            PyErr_Format(PyExc_ValueError,
                         "Memory.read_cstring(): no NUL ends the string at address %s before the memory's end",
                         index_text(address, address_text));
        }
        return NULL;
    }
    if (encoding != NULL && strcmp(encoding, "utf-8") == 0) {
        return PyUnicode_DecodeUTF8((const char *)text, end - text, "strict");
    }
    // Other codecs may be Python code, which must not see memory that a guest can change or the store can free.
    PyObject *copy = PyBytes_FromStringAndSize((const char *)text, end - text);
    if (copy == NULL || encoding == NULL) {
        return copy;
    }
    PyObject *string = PyUnicode_FromEncodedObject(copy, encoding, "strict");
    Py_DECREF(copy);
    return string;
}

PyDoc_STRVAR(
    Memory_grow_doc,
    "grow($self, delta, /)\n--\n\n"
    "Grow by *delta* pages of 65,536 bytes; return how many there were before.\n\n"
    "The new bytes are zero. Views stay valid and keep their length. Raises MemoryLimitError when the memory's maximum\n"
    "or the store's limit forbids it, MemoryError when there is no memory, ValueError for a negative delta.");

static PyObject *Memory_grow(PyObject *object, PyObject *delta_object)
{
    MemoryObject *self = memory_cast(object);
    StoreObject *store = self->base.store;
    uint64_t delta;
    if (index_convert(delta_object, PyExc_ValueError, "Memory.grow(): delta", &delta) < 0 || memory_check(self) < 0) {
        return NULL;
    }
    aw_memorytype type;
    aw_error error;
    size_t bytes;
    store->api->memory_type(self->base.item.memory, &type);
    memory_bytes(self, &bytes);
    uint64_t pages = bytes / PAGE_BYTES;
    uint64_t maximum = type.limits.has_max ? type.limits.max : UINT64_C(1) << (type.limits.is64 ? 48 : 16);
    if (delta > (maximum > pages ? maximum - pages : 0)) {
        char delta_text[INDEX_TEXT_SIZE];
        uint64_t all = delta <= UINT64_MAX / PAGE_BYTES - pages ? (pages + delta) * PAGE_BYTES : AW_UNKNOWN;
        aw_error_set(&error, AW_ERROR_LIMIT,
                     "cannot grow the memory by %s page%s: it has %llu, and may have %llu at most",
                     index_text(delta, delta_text), delta == 1 ? "" : "s", (unsigned long long)pages,
                     (unsigned long long)maximum);
        aw_error_limit(&error, AW_LIMIT_MEMORY, all, maximum * PAGE_BYTES);
        return error_raise(store->state, NULL, &error);
    }
    if (self->exports > 0 && delta > 0 && !engine_has(store->engine, AW_CAP_STABLE_MEMORY)) {
        return PyErr_Format(PyExc_BufferError, "cannot grow the memory while %zd view%s of it exist%s", self->exports,
                            self->exports == 1 ? "" : "s", self->exports == 1 ? "s" : "");
    }
    uint64_t previous;
    store_enter(store, false);
    int status = store->api->memory_grow(self->base.item.memory, delta, &previous, &error);
    store_leave(store);
    if (status < 0) {
        return error_raise(store->state, store, &error);
    }
    return PyLong_FromUnsignedLongLong(previous);
}

// --- properties -------------------------------------------------------------------------------------------------

static PyObject *Memory_get_pages(PyObject *object, void *Py_UNUSED(closure))
{
    Py_ssize_t bytes = Memory_length(object);
    return bytes < 0 ? NULL : PyLong_FromSsize_t(bytes / PAGE_BYTES);
}

static PyObject *Memory_get_type(PyObject *object, void *Py_UNUSED(closure))
{
    return extern_type((ExternObject *)object, NULL);
}

static PyObject *Memory_repr(PyObject *object)
{
    MemoryObject *self = memory_cast(object);
    const char *why = store_unusable(self->base.store);
    if (why != NULL) {
        return PyUnicode_FromFormat("<anywasm.Memory: %s>", why);
    }
    aw_memorytype type;
    size_t bytes;
    self->base.store->api->memory_type(self->base.item.memory, &type);
    memory_bytes(self, &bytes);
    char most[48] = "";
    if (type.limits.has_max) {
        PyOS_snprintf(most, sizeof(most), ", at most %llu", (unsigned long long)type.limits.max);
    }
    return PyUnicode_FromFormat("<anywasm.Memory: %zu page%s%s%s%s>", bytes / PAGE_BYTES,
                                bytes == PAGE_BYTES ? "" : "s", most, type.limits.is64 ? ", i64" : "",
                                type.shared ? ", shared" : "");
}

// --- tables -----------------------------------------------------------------------------------------------------

static PyMethodDef Memory_methods[] = {
    {"read", (PyCFunction)(void (*)(void))Memory_read, METH_FASTCALL, Memory_read_doc},
    {"write", (PyCFunction)(void (*)(void))Memory_write, METH_FASTCALL, Memory_write_doc},
    {"read_cstring", (PyCFunction)(void (*)(void))Memory_read_cstring, METH_VARARGS | METH_KEYWORDS,
     Memory_read_cstring_doc},
    {"grow", Memory_grow, METH_O, Memory_grow_doc},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef Memory_getset[] = {
    {"pages", Memory_get_pages, NULL, "int: how many pages of 65,536 bytes it has now.", NULL},
    {"type", Memory_get_type, NULL, "MemoryType: its current type, whose minimum is the pages that it has now.", NULL},
    {"store", Extern_get_store, NULL, "Store: where it lives.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot Memory_slots[] = {
    {Py_tp_doc, (void *)Memory_doc},
    {Py_tp_new, Memory_new},
    {Py_tp_traverse, Extern_traverse},
    {Py_tp_dealloc, Extern_dealloc},
    {Py_tp_repr, Memory_repr},
    {Py_tp_richcompare, Extern_richcompare},
    {Py_tp_hash, Extern_hash},
    {Py_bf_getbuffer, Memory_getbuffer},
    {Py_bf_releasebuffer, Memory_releasebuffer},
    {Py_sq_length, Memory_length},
    {Py_sq_item, Memory_item},
    {Py_mp_length, Memory_length},
    {Py_mp_subscript, Memory_subscript},
    {Py_mp_ass_subscript, Memory_ass_subscript},
    {Py_tp_methods, Memory_methods},
    {Py_tp_getset, Memory_getset},
    {Py_tp_members, Extern_members},
    {0, NULL},
};

PyType_Spec Memory_spec = {
    .name = "anywasm.Memory",
    .basicsize = sizeof(MemoryObject),
    .flags = AW_TYPE_FLAGS | Py_TPFLAGS_HAVE_GC,
    .slots = Memory_slots,
};

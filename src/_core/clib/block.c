// SPDX-License-Identifier: Apache-2.0
// A block is a piece of memory that somebody on Python's side owns: the guest's, which its last reference frees, or Python's own
// bytes of a struct that came by value. Pointers, arrays and structs hold the block that they lie in; so it lives as long as any of them.
//
// A block keeps what the pointers in it need: whatever Python stored there and owns.

#include "clib.h"

static CBlockObject *block_cast(PyObject *self)
{
    return (CBlockObject *)self;
}

// Python's integers are keys: new reference.
static PyObject *address_key(uint64_t address)
{
    return PyLong_FromUnsignedLongLong(address);
}

static CBlockObject *block_new(CLibraryObject *library)
{
    PyTypeObject *type = library->state->CBlock;
    CBlockObject *self = (CBlockObject *)type->tp_alloc(type, 0);
    if (self != NULL) {
        self->library = (CLibraryObject *)Py_NewRef((PyObject *)library);
        self->generation = library->generation;
    }
    return self;
}

CBlockObject *block_new_guest(CLibraryObject *library, uint64_t address, size_t size, bool bounded, FuncObject *release)
{
    CBlockObject *self = block_new(library);
    PyObject *key = self != NULL ? address_key(address) : NULL;
    PyObject *value = key != NULL ? PyLong_FromVoidPtr(self) : NULL;
    if (value == NULL || PyDict_SetItem(library->blocks, key, value) < 0) {
        Py_XDECREF(key);
        Py_XDECREF(value);
        Py_XDECREF(self);
        library_free_later(library, NULL, address);
        return NULL;
    }
    self->key = key;
    Py_DECREF(value);
    self->address = address;
    self->size = size;
    self->bounded = bounded;
    self->owned = true;
    self->release = (FuncObject *)Py_XNewRef((PyObject *)release);
    return self;
}

CBlockObject *block_new_host(CLibraryObject *library, const uint8_t *bytes, size_t size)
{
    CBlockObject *self = block_new(library);
    if (self == NULL) {
        return NULL;
    }
    self->bytes = PyMem_Malloc(size > 0 ? size : 1);
    if (self->bytes == NULL) {
        Py_DECREF(self);
        PyErr_NoMemory();
        return NULL;
    }
    memcpy(self->bytes, bytes, size);
    self->size = size;
    self->bounded = true;
    return self;
}

int block_find(CLibraryObject *library, uint64_t address, CBlockObject **out)
{
    *out = NULL;
    if (PyDict_GET_SIZE(library->blocks) == 0) {
        return 0;
    }
    PyObject *key = address_key(address);
    PyObject *value = key != NULL ? PyDict_GetItemWithError(library->blocks, key) : NULL;
    Py_XDECREF(key);
    if (value == NULL) {
        return PyErr_Occurred() ? -1 : 0;
    }
    *out = (CBlockObject *)Py_NewRef((PyObject *)PyLong_AsVoidPtr(value));
    return 0;
}

// No longer Python's.
static void block_disown(CBlockObject *self)
{
    CLibraryObject *library = self->library;
    self->owned = false;
    self->freed = true;
    if (self->generation == library->generation && PyDict_DelItem(library->blocks, self->key) < 0) {
        PyErr_Clear();
    }
    Py_CLEAR(self->kept);
}

int block_free(CBlockObject *self)
{
    CLibraryObject *library = self->library;
    if (self->freed) {
        PyErr_SetString(PyExc_ValueError, "the memory was freed already");
        return -1;
    }
    if (!self->owned) {
        PyErr_SetString(PyExc_ValueError, "Python does not own the memory");
        return -1;
    }
    if (self->views > 0) {
        PyErr_Format(PyExc_BufferError, "the memory cannot be freed: %zd view%s of it exist%s", self->views,
                     self->views == 1 ? "" : "s", self->views == 1 ? "s" : "");
        return -1;
    }
    if (library_check(library) < 0 || library_attend(library) < 0) {
        return -1;
    }
    if (!self->owned) {  // by what ran just now
        return 0;
    }
    FuncObject *release = self->release;
    block_disown(self);
    return library_free(library, release, self->address);
}

// The keys of *kept* that lie in a range of offsets: new list.
static PyObject *keys_within(PyObject *kept, uint64_t offset, size_t size)
{
    PyObject *keys = PyList_New(0), *key, *value;
    Py_ssize_t position = 0;
    while (keys != NULL && PyDict_Next(kept, &position, &key, &value)) {
        uint64_t at = PyLong_AsUnsignedLongLong(key);
        if (at >= offset && at - offset < size && PyList_Append(keys, key) < 0) {
            Py_CLEAR(keys);
        }
    }
    return keys;
}

// What is dropped here may run Python code: in the end, when the block is as it should be.
int block_keep(CBlockObject *self, uint64_t offset, size_t size, PyObject *kept)
{
    PyObject *dropped = NULL;
    int status = -1;
    if (self->kept != NULL) {
        PyObject *keys = keys_within(self->kept, offset, size);
        dropped = PyList_New(0);
        for (Py_ssize_t i = 0; keys != NULL && dropped != NULL && i < PyList_GET_SIZE(keys); i++) {
            PyObject *key = PyList_GET_ITEM(keys, i), *value = PyDict_GetItem(self->kept, key);
            if (value != NULL && (PyList_Append(dropped, value) < 0 || PyDict_DelItem(self->kept, key) < 0)) {
                Py_CLEAR(dropped);
            }
        }
        Py_XDECREF(keys);
        if (keys == NULL || dropped == NULL) {
            goto done;
        }
    }
    if (kept != NULL && self->kept == NULL && (self->kept = PyDict_New()) == NULL) {
        goto done;
    }
    for (Py_ssize_t i = 0; kept != NULL && i < PyList_GET_SIZE(kept); i++) {
        PyObject *entry = PyList_GET_ITEM(kept, i), *key = PyTuple_GET_ITEM(entry, 0);
        PyObject *before = PyDict_GetItem(self->kept, key);  // several for one pointer: they make a chain
        PyObject *value = before != NULL ? PyTuple_Pack(2, before, PyTuple_GET_ITEM(entry, 1))
                                         : Py_NewRef(PyTuple_GET_ITEM(entry, 1));
        if (value == NULL || PyDict_SetItem(self->kept, key, value) < 0) {
            Py_XDECREF(value);
            goto done;
        }
        Py_DECREF(value);
    }
    status = 0;
done:
    Py_XDECREF(dropped);
    return status;
}

// --- places in it ---------------------------------------------------------------------------------------------------

int spot_check(const cspot *spot, const CLibraryObject *library)
{
    if (spot->library != library) {
        PyErr_SetString(PyExc_ValueError, "the value is of another library, whose memory this one cannot see");
        return -1;
    }
    if (spot->block != NULL && spot->block->bytes != NULL) {
        return 0;
    }
    if (spot->block != NULL && spot->block->freed) {
        PyErr_SetString(PyExc_ValueError, "the memory was freed");
        return -1;
    }
    if (spot->generation != library->generation) {
        PyErr_SetString(PyExc_ValueError, "the value is of the library before it was reset, and its memory is gone");
        return -1;
    }
    return 0;
}

uint8_t *spot_bytes(const cspot *spot, uint64_t length)
{
    CLibraryObject *library = spot->library;
    CBlockObject *block = spot->block;
    if (spot_check(spot, library) < 0) {
        return NULL;
    }
    uint64_t start = 0, size;
    uint8_t *base;
    if (block != NULL && block->bytes != NULL) {
        base = block->bytes;
        size = block->size;
    }
    else {
        if (library_check(library) < 0) {
            return NULL;
        }
        size_t bytes;
        base = library_memory(library, &bytes);
        size = bytes;
        if (block != NULL && block->bounded) {
            start = block->address;
            if (start > size || block->size > size - start) {  // what a library's malloc gave may be anything
                PyErr_SetString(library->state->LibraryError,
                                "the library's malloc gave an address outside its memory");
                return NULL;
            }
            size = start + block->size;
        }
    }
    if (spot->address < start || spot->address > size || length > size - spot->address) {
        if (block != NULL && block->bounded) {
            PyErr_Format(PyExc_IndexError, "out of bounds: %llu bytes at offset %lld of memory of %zu bytes",
                         (unsigned long long)length, (long long)(spot->address - start), block->size);
        }
        else {
            char text[ADDRESS_TEXT_SIZE];
            PyErr_Format(PyExc_IndexError, "out of bounds: %llu bytes at %s, and the library's memory has %llu",
                         (unsigned long long)length, address_text(spot->address, text), (unsigned long long)size);
        }
        return NULL;
    }
    return base + spot->address;
}

// --- death --------------------------------------------------------------------------------------------------------

static int CBlock_traverse(PyObject *object, visitproc visit, void *arg)
{
    CBlockObject *self = block_cast(object);
    Py_VISIT(Py_TYPE(object));
    Py_VISIT(self->library);
    Py_VISIT(self->release);
    Py_VISIT(self->kept);
    return 0;
}

static int CBlock_clear(PyObject *object)
{
    Py_CLEAR(block_cast(object)->kept);
    return 0;
}

// The guest's memory goes back by a call of its own function: at once if nothing runs there, else before the next call.
static void block_give_back(CBlockObject *self)
{
    CLibraryObject *library = self->library;
    StoreObject *store = library->store;
    bool stale = self->generation != library->generation || library->trouble != NULL || store->handle == NULL;
    block_disown(self);
    if (stale) {
        return;
    }
    if (store->depth > 0) {
        library_free_later(library, self->release, self->address);
    }
    else if (library_free(library, self->release, self->address) < 0) {
        PyErr_Clear();  // a trap is the library's trouble, of which its next call tells
    }
}

static void CBlock_dealloc(PyObject *object)
{
    CBlockObject *self = block_cast(object);
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    if (self->owned) {
        PyObject *pending = aw_take_exception();
        block_give_back(self);
        aw_put_exception(pending);
    }
    Py_XDECREF(self->kept);
    Py_XDECREF(self->key);
    Py_XDECREF(self->release);
    Py_XDECREF(self->library);
    PyMem_Free(self->bytes);
    type->tp_free(object);
    Py_DECREF(type);
}

static PyType_Slot CBlock_slots[] = {
    {Py_tp_traverse, CBlock_traverse},
    {Py_tp_clear, CBlock_clear},
    {Py_tp_dealloc, CBlock_dealloc},
    {0, NULL},
};

PyType_Spec CBlock_spec = {
    .name = "anywasm._core.CBlock",
    .basicsize = sizeof(CBlockObject),
    .flags = AW_TYPE_FLAGS | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = CBlock_slots,
};

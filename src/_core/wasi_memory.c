// SPDX-License-Identifier: Apache-2.0
// WasiMemory: a tree of files in memory, as anywasm.wasi.Memory needs it. The tree itself is src/_core/wasi's, and outlives this
// object in the programs that have it mounted.

#include "wasi/wasi.h"
#include "wasi_type.h"

typedef struct WasiMemoryObject {
    PyObject_HEAD
    aw_wasi_memory *tree;  // counted
} WasiMemoryObject;

static aw_wasi_memory *tree_of(PyObject *self)
{
    return ((WasiMemoryObject *)self)->tree;
}

struct aw_wasi_memory *wasimemory_tree(core_state *state, PyObject *object)
{
    return Py_TYPE(object) == state->WasiMemory ? tree_of(object) : NULL;
}

static PyObject *raise_errno(int wasi_errno, PyObject *path)
{
    errno = aw_wasi_host_errno(wasi_errno);
    if (errno == ENOMEM) {
        return PyErr_NoMemory();
    }
    PyObject *name = PyUnicode_DecodeFSDefaultAndSize(PyBytes_AS_STRING(path), PyBytes_GET_SIZE(path));
    if (name != NULL) {
        PyErr_SetFromErrnoWithFilenameObject(PyExc_OSError, name);
        Py_DECREF(name);
    }
    return NULL;
}

// A path without a NUL, borrowed from its object: NULL with an exception.
static const char *path_of(PyObject *path)
{
    char *text;
    return PyBytes_AsStringAndSize(path, &text, NULL) < 0 ? NULL : text;  // ValueError for a NUL within
}

// --- methods -----------------------------------------------------------------------------------------------------------

PyDoc_STRVAR(WasiMemory_doc, "WasiMemory(limit=None)\n--\n\n"
                             "A tree of files in memory; anywasm.wasi.Memory makes them. limit: int, bytes, or None.");

static PyObject *WasiMemory_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    static char *names[] = {"limit", NULL};
    PyObject *limit_object = Py_None;
    unsigned long long limit = ULLONG_MAX;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "|O:WasiMemory", names, &limit_object)) {
        return NULL;
    }
    if (limit_object != Py_None) {
        limit = PyLong_AsUnsignedLongLong(limit_object);
        if (limit == ULLONG_MAX && PyErr_Occurred()) {
            return NULL;
        }
    }
    WasiMemoryObject *self = (WasiMemoryObject *)type->tp_alloc(type, 0);
    if (self != NULL) {
        self->tree = aw_wasi_memory_new(limit);
        if (self->tree == NULL) {
            Py_DECREF(self);
            return PyErr_NoMemory();
        }
    }
    return (PyObject *)self;
}

static void WasiMemory_dealloc(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    if (tree_of(object) != NULL) {
        aw_wasi_memory_release(tree_of(object));
    }
    type->tp_free(object);
    Py_DECREF(type);
}

PyDoc_STRVAR(WasiMemory_read_doc, "read($self, path, /)\n--\n\nThe bytes of a file, copied. Raises OSError.");

static PyObject *WasiMemory_read(PyObject *self, PyObject *path)
{
    const char *text = path_of(path);
    uint8_t *bytes;
    size_t size;
    if (text == NULL) {
        return NULL;
    }
    int error = aw_wasi_memory_read(tree_of(self), text, &bytes, &size);
    if (error != 0) {
        return raise_errno(error, path);
    }
    PyObject *result = PyBytes_FromStringAndSize((const char *)bytes, (Py_ssize_t)size);
    free(bytes);
    return result;
}

PyDoc_STRVAR(
    WasiMemory_write_doc,
    "write($self, path, data, /)\n--\n\n"
    "Give a file these bytes, copied; it and the directories on the way are made. Raises OSError: ENOSPC over the limit.");

static PyObject *WasiMemory_write(PyObject *self, PyObject *args)
{
    PyObject *path;
    Py_buffer data;
    if (!PyArg_ParseTuple(args, "Sy*:write", &path, &data)) {
        return NULL;
    }
    const char *text = path_of(path);
    int error = text != NULL ? aw_wasi_memory_write(tree_of(self), text, data.buf, (size_t)data.len) : 0;
    PyBuffer_Release(&data);
    return text == NULL ? NULL : error != 0 ? raise_errno(error, path) : Py_NewRef(Py_None);
}

PyDoc_STRVAR(WasiMemory_remove_doc, "remove($self, path, /)\n--\n\nRemove a file or a link. Raises OSError.");

static PyObject *WasiMemory_remove(PyObject *self, PyObject *path)
{
    const char *text = path_of(path);
    int error = text != NULL ? aw_wasi_memory_remove(tree_of(self), text) : 0;
    return text == NULL ? NULL : error != 0 ? raise_errno(error, path) : Py_NewRef(Py_None);
}

// Names are collected without Python, since the tree is locked meanwhile.
typedef struct names {
    char *bytes;  // owned: each with its NUL and its type behind it
    size_t size, capacity;
} names;

static int names_add(void *data, const char *name, uint8_t filetype)
{
    enum { OUT_OF_MEMORY = 48 };  // WASI's ENOMEM
    names *self = data;
    size_t length = strlen(name) + 2;
    if (length > self->capacity - self->size) {
        size_t capacity = 2 * self->capacity + length;
        char *bytes = realloc(self->bytes, capacity);
        if (bytes == NULL) {
            return OUT_OF_MEMORY;
        }
        self->bytes = bytes;
        self->capacity = capacity;
    }
    memcpy(self->bytes + self->size, name, length - 1);
    self->bytes[self->size + length - 1] = (char)filetype;
    self->size += length;
    return 0;
}

PyDoc_STRVAR(WasiMemory_list_doc, "list($self, path=b\"\", /)\n--\n\n"
                                  "The names in a directory, each with 'file', 'directory' or 'link'. Raises OSError.");

static PyObject *WasiMemory_list(PyObject *self, PyObject *args)
{
    PyObject *path = NULL;
    if (!PyArg_ParseTuple(args, "|S:list", &path)) {
        return NULL;
    }
    const char *text = path != NULL ? path_of(path) : "";
    names found = {.bytes = NULL};
    int error = text != NULL ? aw_wasi_memory_list(tree_of(self), text, names_add, &found) : 0;
    PyObject *list = text == NULL ? NULL : error != 0 ? raise_errno(error, path) : PyList_New(0);
    for (size_t at = 0; list != NULL && at < found.size;) {
        const char *name = found.bytes + at;
        at += strlen(name) + 2;
        const char *type = found.bytes[at - 1] == 3 ? "directory" : found.bytes[at - 1] == 7 ? "link" : "file";
        PyObject *entry = Py_BuildValue("(ys)", name, type);
        if (entry == NULL || PyList_Append(list, entry) < 0) {
            Py_CLEAR(list);
        }
        Py_XDECREF(entry);
    }
    free(found.bytes);
    return list;
}

static PyObject *WasiMemory_get_used(PyObject *self, void *Py_UNUSED(closure))
{
    uint64_t used, limit;
    aw_wasi_memory_sizes(tree_of(self), &used, &limit);
    return PyLong_FromUnsignedLongLong(used);
}

static PyObject *WasiMemory_get_limit(PyObject *self, void *Py_UNUSED(closure))
{
    uint64_t used, limit;
    aw_wasi_memory_sizes(tree_of(self), &used, &limit);
    return limit == UINT64_MAX ? Py_NewRef(Py_None) : PyLong_FromUnsignedLongLong(limit);
}

// --- tables ------------------------------------------------------------------------------------------------------------

static PyMethodDef WasiMemory_methods[] = {
    {"read", WasiMemory_read, METH_O, WasiMemory_read_doc},
    {"write", WasiMemory_write, METH_VARARGS, WasiMemory_write_doc},
    {"remove", WasiMemory_remove, METH_O, WasiMemory_remove_doc},
    {"list", WasiMemory_list, METH_VARARGS, WasiMemory_list_doc},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef WasiMemory_getset[] = {
    {"used", WasiMemory_get_used, NULL, "int: bytes that files, names and nodes take.", NULL},
    {"limit", WasiMemory_get_limit, NULL, "int: bytes that they may take, or None.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot WasiMemory_slots[] = {
    {Py_tp_doc, (void *)WasiMemory_doc}, {Py_tp_new, WasiMemory_new},       {Py_tp_dealloc, WasiMemory_dealloc},
    {Py_tp_methods, WasiMemory_methods}, {Py_tp_getset, WasiMemory_getset}, {0, NULL},
};

PyType_Spec WasiMemory_spec = {
    .name = "anywasm.WasiMemory",
    .basicsize = sizeof(WasiMemoryObject),
    .flags = AW_TYPE_FLAGS,
    .slots = WasiMemory_slots,
};

// SPDX-License-Identifier: Apache-2.0
// WasiHost: one program's view of the world, for one store. anywasm.Wasi, in Python, decides what that view is and opens one of
// these; src/_core/wasi is what the program calls.
//
// Every file that a WasiHost has is a descriptor of its own, duplicated when it is made, so that nobody can close it under the
// program. Streams are callables, called with the GIL whatever the running call did with it; what they raise comes out
// of that call.

#include "wasi_type.h"

#include <fcntl.h>
#include <unistd.h>

#include "wasi/wasi.h"

enum { STREAMS = 3 };

typedef struct WasiHostObject {
    PyObject_HEAD
    aw_wasi *wasi;        // owned
    StoreObject *store;   // borrowed: it owns this; NULL before and after
    bool bound;           // was given to a store, once and for all
    PyObject *callables[STREAMS];  // owned, or NULL
    PyObject *rest;       // owned bytes that stdin gave beyond what was asked for, or NULL
    Py_ssize_t rest_start;
    struct stream_end {
        struct WasiHostObject *host;
        int number;
    } ends[STREAMS];
} WasiHostObject;

static WasiHostObject *wasihost_cast(PyObject *self)
{
    return (WasiHostObject *)self;
}

bool wasihost_check(core_state *state, PyObject *object)
{
    return Py_TYPE(object) == state->WasiHost;
}

int wasihost_bind(PyObject *object, StoreObject *store)
{
    WasiHostObject *self = wasihost_cast(object);
    if (store != NULL && self->bound) {
        PyErr_SetString(PyExc_ValueError, "a WasiHost serves one store: give each store a Wasi, which opens a new one");
        return -1;
    }
    self->store = store;
    if (store != NULL) {
        self->bound = true;
        aw_wasi_set_engine(self->wasi, store->api);
    }
    return 0;
}

bool wasihost_find(const char *name, size_t length, const aw_functype **type, aw_hostfunc *function)
{
    return aw_wasi_find(name, length, type, function);
}

void *wasihost_env(PyObject *self)
{
    return wasihost_cast(self)->wasi;
}

bool wasihost_exit(PyObject *self, uint32_t *status)
{
    return aw_wasi_take_exit(wasihost_cast(self)->wasi, status);
}

// --- what the program's host functions call ----------------------------------------------------------------------

static int on_signal(void *data)
{
    StoreObject *store = ((WasiHostObject *)data)->store;
    PyThreadState *token = store_gil_take(store);
    int status = PyErr_CheckSignals();
    if (status != 0) {
        store_take_exception(store);
    }
    store_gil_return(store, token);
    return status;
}

// Bytes that are left over from an earlier read, as many as fit.
static size_t rest_take(WasiHostObject *self, uint8_t *bytes, size_t length)
{
    size_t left = (size_t)(PyBytes_GET_SIZE(self->rest) - self->rest_start);
    size_t taken = left < length ? left : length;
    memcpy(bytes, PyBytes_AS_STRING(self->rest) + self->rest_start, taken);
    self->rest_start += (Py_ssize_t)taken;
    if (taken == left) {
        Py_CLEAR(self->rest);
    }
    return taken;
}

static int stream_read(void *data, uint8_t *bytes, size_t length, size_t *done)
{
    struct stream_end *end = data;
    WasiHostObject *self = end->host;
    StoreObject *store = self->store;
    PyThreadState *token = store_gil_take(store);
    int error = 0;
    if (self->rest == NULL) {
        PyObject *read = PyObject_CallFunction(self->callables[end->number], "n", (Py_ssize_t)length);
        if (read != NULL && !PyBytes_Check(read)) {
            PyErr_Format(PyExc_TypeError, "stdin: read() returned %.200s, not bytes", Py_TYPE(read)->tp_name);
            Py_CLEAR(read);
        }
        if (read == NULL) {
            store_take_exception(store);
            error = WASI_RAISED;
        }
        else {
            self->rest = read;
            self->rest_start = 0;
        }
    }
    if (error == 0) {
        *done = rest_take(self, bytes, length);
    }
    store_gil_return(store, token);
    return error;
}

static int stream_write(void *data, const uint8_t *bytes, size_t length, size_t *done)
{
    struct stream_end *end = data;
    WasiHostObject *self = end->host;
    StoreObject *store = self->store;
    PyThreadState *token = store_gil_take(store);
    PyObject *result =
        PyObject_CallFunction(self->callables[end->number], "y#", (const char *)bytes, (Py_ssize_t)length);
    *done = length;
    if (result != NULL && PyLong_Check(result)) {
        Py_ssize_t written = PyLong_AsSsize_t(result);  // a raw stream may have taken less
        PyErr_Clear();
        *done = written >= 0 && (size_t)written < length ? (size_t)written : length;
    }
    if (result == NULL) {
        store_take_exception(store);
    }
    Py_XDECREF(result);
    int error = result == NULL ? WASI_RAISED : 0;
    store_gil_return(store, token);
    return error;
}

// --- birth and death ----------------------------------------------------------------------------------------------

PyDoc_STRVAR(WasiHost_doc,
             "WasiHost(args, env, streams, mounts, *, avoid_openat2=False)\n--\n\n"
             "One WASI program's view of the world; anywasm.Wasi makes them.\n\n"
             "args, env: sequences of bytes; env as b'NAME=value'.\n"
             "streams: stdin, stdout and stderr, each None, a descriptor (int, duplicated), or a callable: read(n) -> bytes or\n"
             "  write(bytes).\n"
             "mounts: sequence of (name: bytes, descriptor: int, duplicated, writable: bool).\n"
             "avoid_openat2: resolve paths as on kernels without it.");

// A descriptor of our own for the host's: -1 with an exception on failure.
static int descriptor_duplicate(long number)
{
    int copy = number < 0 || number > INT_MAX ? (errno = EBADF, -1) : fcntl((int)number, F_DUPFD_CLOEXEC, 3);
    if (copy < 0) {
        PyErr_SetFromErrno(PyExc_OSError);
    }
    return copy;
}

static int texts_convert(WasiHostObject *self, PyObject *texts, int (*add)(aw_wasi *, const char *, size_t))
{
    PyObject *items = PySequence_Fast(texts, "args and env are sequences of bytes");
    if (items == NULL) {
        return -1;
    }
    int status = 0;
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(items) && status == 0; i++) {
        char *text;
        Py_ssize_t length;
        status = PyBytes_AsStringAndSize(PySequence_Fast_GET_ITEM(items, i), &text, &length);
        if (status == 0 && add(self->wasi, text, (size_t)length) < 0) {
            PyErr_NoMemory();
            status = -1;
        }
    }
    Py_DECREF(items);
    return status;
}

static int stream_convert(WasiHostObject *self, int number, PyObject *object)
{
    int status;
    if (object == Py_None) {
        status = aw_wasi_add_null(self->wasi);
    }
    else if (PyLong_Check(object)) {
        long given = PyLong_AsLong(object);
        int copy = given == -1 && PyErr_Occurred() ? -1 : descriptor_duplicate(given);
        if (copy < 0) {
            return -1;
        }
        status = aw_wasi_add_file(self->wasi, copy);
        if (status < 0) {
            close(copy);
        }
    }
    else if (PyCallable_Check(object)) {
        self->callables[number] = Py_NewRef(object);
        self->ends[number] = (struct stream_end){.host = self, .number = number};
        aw_wasi_stream stream = {.read = number == 0 ? stream_read : NULL, .write = number == 0 ? NULL : stream_write,
                                 .data = &self->ends[number]};
        status = aw_wasi_add_stream(self->wasi, &stream);
    }
    else {
        PyErr_Format(PyExc_TypeError, "a stream is None, a descriptor or a callable, not %.200s", Py_TYPE(object)->tp_name);
        return -1;
    }
    if (status < 0) {
        PyErr_NoMemory();
    }
    return status;
}

static int mount_convert(WasiHostObject *self, PyObject *mount)
{
    const char *name;
    Py_ssize_t length;
    long given;
    int writable;
    if (!PyArg_ParseTuple(mount, "y#lp;a mount is (name, descriptor, writable)", &name, &length, &given, &writable)) {
        return -1;
    }
    int copy = descriptor_duplicate(given);
    if (copy < 0) {
        return -1;
    }
    if (aw_wasi_add_directory(self->wasi, copy, name, (size_t)length, writable) < 0) {
        close(copy);
        PyErr_NoMemory();
        return -1;
    }
    return 0;
}

static PyObject *WasiHost_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    static char *names[] = {"args", "env", "streams", "mounts", "avoid_openat2", NULL};
    PyObject *arguments, *environment, *streams[STREAMS], *mounts;
    int avoid_openat2 = 0;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "OO(OOO)O|$p:WasiHost", names, &arguments, &environment, &streams[0],
                                     &streams[1], &streams[2], &mounts, &avoid_openat2)) {
        return NULL;
    }
    WasiHostObject *self = (WasiHostObject *)type->tp_alloc(type, 0);
    if (self == NULL) {
        return NULL;
    }
    self->wasi = aw_wasi_new(&(aw_wasi_host){.signalled = on_signal, .data = self});
    PyObject *items = NULL;
    if (self->wasi == NULL) {
        PyErr_NoMemory();
        goto error;
    }
    if (avoid_openat2) {
        aw_wasi_avoid_openat2(self->wasi);
    }
    if (texts_convert(self, arguments, aw_wasi_add_argument) < 0 ||
        texts_convert(self, environment, aw_wasi_add_environment) < 0) {
        goto error;
    }
    for (int i = 0; i < STREAMS; i++) {
        if (stream_convert(self, i, streams[i]) < 0) {
            goto error;
        }
    }
    items = PySequence_Fast(mounts, "mounts is a sequence");
    if (items == NULL) {
        goto error;
    }
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(items); i++) {
        if (mount_convert(self, PySequence_Fast_GET_ITEM(items, i)) < 0) {
            goto error;
        }
    }
    Py_DECREF(items);
    return (PyObject *)self;
error:
    Py_XDECREF(items);
    Py_DECREF(self);
    return NULL;
}

static int WasiHost_traverse(PyObject *object, visitproc visit, void *arg)
{
    WasiHostObject *self = wasihost_cast(object);
    Py_VISIT(Py_TYPE(object));
    for (int i = 0; i < STREAMS; i++) {
        Py_VISIT(self->callables[i]);
    }
    return 0;
}

// The callables stay while the program may call them: a cycle through them goes through the store, which lets this go.
static int WasiHost_clear(PyObject *object)
{
    WasiHostObject *self = wasihost_cast(object);
    if (self->store == NULL) {
        for (int i = 0; i < STREAMS; i++) {
            Py_CLEAR(self->callables[i]);
        }
    }
    return 0;
}

static void WasiHost_dealloc(PyObject *object)
{
    WasiHostObject *self = wasihost_cast(object);
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    if (self->wasi != NULL) {
        aw_wasi_delete(self->wasi);
    }
    for (int i = 0; i < STREAMS; i++) {
        Py_CLEAR(self->callables[i]);
    }
    Py_CLEAR(self->rest);
    type->tp_free(object);
    Py_DECREF(type);
}

// --- tables ---------------------------------------------------------------------------------------------------------

static PyType_Slot WasiHost_slots[] = {
    {Py_tp_doc, (void *)WasiHost_doc},
    {Py_tp_new, WasiHost_new},
    {Py_tp_traverse, WasiHost_traverse},
    {Py_tp_clear, WasiHost_clear},
    {Py_tp_dealloc, WasiHost_dealloc},
    {0, NULL},
};

PyType_Spec WasiHost_spec = {
    .name = "anywasm.WasiHost",
    .basicsize = sizeof(WasiHostObject),
    .flags = AW_TYPE_FLAGS | Py_TPFLAGS_HAVE_GC,
    .slots = WasiHost_slots,
};

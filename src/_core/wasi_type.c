// SPDX-License-Identifier: Apache-2.0
// WasiHost: one program's view of the world, for one store. anywasm.Wasi, in Python, decides what that view is and opens one of
// these; src/_core/wasi is what the program calls.
//
// Every file that a WasiHost has is a descriptor of its own, duplicated when it is made, so that nobody can close it under the
// program. Streams are callables, called with the GIL whatever the running call did with it; what they raise comes out
// of that call.

#include "wasi_type.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ctrl_c.h"
#include "errors.h"
#include "wasi/wasi.h"

enum { STREAMS = 3 };

typedef struct WasiHostObject {
    PyObject_HEAD
    aw_wasi *wasi;                 // owned
    StoreObject *store;            // borrowed: it owns this; NULL before and after
    bool bound;                    // was given to a store, once and for all
    PyObject *callables[STREAMS];  // owned, or NULL
    wasi_served *served;           // owned: file systems of Python's
    PyObject *finish;              // owned: called once when the program is over, or NULL
    PyObject *lost;                // owned: while files are closed, what that raised first, or None; else NULL
    PyObject *rest;                // owned bytes that stdin gave, or NULL
    Py_ssize_t rest_start;         // of them, what the program has not got yet
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

bool wasihost_find(const char *name, size_t length, const aw_functype **type, aw_hostfunc *function)
{
    return aw_wasi_find(name, length, type, function);
}

// WASI's functions may wait, so they run without the GIL, whatever the running call did with it.
typedef struct wasi_binding {
    WasiHostObject *host;  // borrowed: its store outlives the engine's
    aw_hostfunc function;
} wasi_binding;

static aw_hostresult wasi_call(void *env, aw_caller *caller, aw_raw *values)
{
    const wasi_binding *binding = env;
    StoreObject *store = binding->host->store;
    if (store->released != NULL) {
        return binding->function(binding->host->wasi, caller, values);
    }
    store->released = PyEval_SaveThread();
    aw_hostresult result = binding->function(binding->host->wasi, caller, values);
    store_gil_take(store);
    return result;
}

aw_func *wasihost_func_new(PyObject *self, const aw_functype *type, aw_hostfunc function, aw_error *error)
{
    StoreObject *store = wasihost_cast(self)->store;
    wasi_binding *binding = malloc(sizeof(*binding));
    if (binding == NULL) {
        aw_error_set(error, AW_ERROR_MEMORY, "out of memory");
        return NULL;
    }
    *binding = (wasi_binding){.host = wasihost_cast(self), .function = function};
    aw_func *func = store->api->func_new(store->handle, type, NULL, 0, wasi_call, binding, free, error);
    if (func == NULL) {
        free(binding);
    }
    return func;
}

void wasihost_wake(PyObject *self)
{
    aw_wasi_wake(wasihost_cast(self)->wasi);
}

bool wasihost_exit(PyObject *self, uint32_t *status)
{
    return aw_wasi_take_exit(wasihost_cast(self)->wasi, status);
}

// --- what the program's host functions call ----------------------------------------------------------------------

// While the program waits for something: is it to end? Asked without the GIL.
static int on_check(void *data)
{
    StoreObject *store = ((WasiHostObject *)data)->store;
    PyThreadState *token = store_gil_take(store);
    int status = PyErr_CheckSignals();
    if (status == 0 && store_overdue(store)) {
        error_raise_interrupted(store);
        status = -1;
    }
    if (status != 0) {
        store_take_exception(store);
    }
    store_gil_return(store, token);
    return status;
}

// When to ask: at the call's deadline. Signals to another thread of the process, of which the main thread is not told, and what else
// nobody tells, are looked for now and then; Python's handlers run in the main thread.
static uint64_t patience(void *data, uint64_t now)
{
    enum { MILLISECOND = 1000000 };
    double deadline = ((WasiHostObject *)data)->store->deadline * 1e9;  // this thread's own
    uint64_t until = now + (uint64_t)MILLISECOND * (ctrl_c_main_thread() ? 50 : 1000);
    return deadline > 0 && deadline < (double)until ? (uint64_t)deadline + 1 : until;
}

static int on_output_exceeded(void *data, uint64_t used, uint64_t allowed)
{
    StoreObject *store = ((WasiHostObject *)data)->store;
    PyThreadState *token = store_gil_take(store);
    error_raise_output(store->state, used, allowed);
    store_take_exception(store);
    store_gil_return(store, token);
    return WASI_RAISED;
}

static int stream_read(void *data, size_t length, const uint8_t **bytes, size_t *done)
{
    struct stream_end *end = data;
    WasiHostObject *self = end->host;
    StoreObject *store = self->store;
    PyThreadState *token = store_gil_take(store);
    int error = 0;
    if (self->rest == NULL || self->rest_start == PyBytes_GET_SIZE(self->rest)) {
        Py_CLEAR(self->rest);
        self->rest_start = 0;
        PyObject *read = PyObject_CallFunction(self->callables[end->number], "n", (Py_ssize_t)length);
        if (read == Py_None) {
            error = WASI_WOULD_BLOCK;  // as a raw stream says it
            Py_DECREF(read);
        }
        else if (read == NULL || !PyBytes_Check(read)) {
            if (read != NULL) {
                PyErr_Format(PyExc_TypeError, "stdin: read() returned %.200s, not bytes", Py_TYPE(read)->tp_name);
                Py_DECREF(read);
            }
            store_take_exception(store);
            error = WASI_RAISED;
        }
        else {
            Py_XSETREF(self->rest, read);  // the program may have been called, and have read, meanwhile
            self->rest_start = 0;
        }
    }
    if (error == 0) {
        size_t left = (size_t)(PyBytes_GET_SIZE(self->rest) - self->rest_start);
        *bytes = (const uint8_t *)PyBytes_AS_STRING(self->rest) + self->rest_start;
        *done = left < length ? left : length;
        self->rest_start += (Py_ssize_t)*done;
    }
    store_gil_return(store, token);
    return error;
}

static int stream_write(void *data, const uint8_t *bytes, size_t length, size_t *done)
{
    struct stream_end *end = data;
    StoreObject *store = end->host->store;
    PyThreadState *token = store_gil_take(store);
    int error = 0;
    *done = length;
    PyObject *result = PyObject_CallFunction(end->host->callables[end->number], "y#", (const char *)bytes,
                                             (Py_ssize_t)length);
    if (result != NULL && PyLong_Check(result)) {
        // A raw stream may have taken less.
        Py_ssize_t written = PyLong_AsSsize_t(result);
        if (written < 0 || (size_t)written > length) {
            PyErr_Format(PyExc_ValueError, "%s: write() of %zu bytes returned %R",
                         end->number == 1 ? "stdout" : "stderr", length, result);
            Py_CLEAR(result);
        }
        else {
            *done = (size_t)written;
        }
    }
    if (result == NULL) {
        store_take_exception(store);
        error = WASI_RAISED;
    }
    Py_XDECREF(result);
    store_gil_return(store, token);
    return error;
}

// The program is over: streams that keep something back may give it out. 0, or -1 with what they raise.
static int finish(WasiHostObject *self)
{
    PyObject *callable = self->finish;
    self->finish = NULL;
    PyObject *result = callable != NULL ? PyObject_CallNoArgs(callable) : Py_NewRef(Py_None);
    Py_XDECREF(callable);
    Py_XDECREF(result);
    return result != NULL ? 0 : -1;
}

// And its files are closed. What is raised first comes out.
static int close_all(WasiHostObject *self)
{
    self->lost = Py_NewRef(Py_None);
    aw_wasi_close(self->wasi);
    PyObject *lost = self->lost;
    self->lost = NULL;
    int status = finish(self);
    if (lost == Py_None) {
        Py_DECREF(lost);
        return status;
    }
    if (status < 0) {
        PyErr_WriteUnraisable((PyObject *)self);
    }
    aw_put_exception(lost);
    return -1;
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
    return store != NULL ? 0 : close_all(self);
}

// --- birth and death ----------------------------------------------------------------------------------------------

PyDoc_STRVAR(
    WasiHost_doc,
    "WasiHost(args, env, streams, mounts, *, finish=None, avoid_openat2=False, clock=None, seed=None, sockets=())\n--\n\n"
    "One WASI program's view of the world; anywasm.Wasi makes them.\n\n"
    "args, env: sequences of bytes; env as b'NAME=value'.\n"
    "streams: stdin, stdout and stderr, each None, a descriptor (int, duplicated), or a callable: read(n) -> bytes or\n"
    "  write(bytes).\n"
    "mounts: sequence of (name: bytes, what, writable: bool); what is a descriptor (int, duplicated), a\n"
    "  WasiMemory, or an object that serves a file system.\n"
    "finish: callable, called when the program is over: when its store is closed.\n"
    "avoid_openat2: resolve paths as on kernels without it.\n"
    "clock: (start, speed, step) of the program's own, in nanoseconds; None is the host's.\n"
    "seed: 32 bytes that random numbers follow from; None is the kernel's.\n"
    "sockets: sequence of descriptors of sockets (int, duplicated).");

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
    }
    else if (PyCallable_Check(object)) {
        self->callables[number] = Py_NewRef(object);
        self->ends[number] = (struct stream_end){.host = self, .number = number};
        aw_wasi_stream stream = {.read = number == 0 ? stream_read : NULL,
                                 .write = number == 0 ? NULL : stream_write,
                                 .data = &self->ends[number]};
        status = aw_wasi_add_stream(self->wasi, &stream);
    }
    else {
        PyErr_Format(PyExc_TypeError, "a stream is None, a descriptor or a callable, not %.200s",
                     Py_TYPE(object)->tp_name);
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
    PyObject *what;
    int writable;
    if (!PyArg_ParseTuple(mount, "y#Op;a mount is (name, what, writable)", &name, &length, &what, &writable)) {
        return -1;
    }
    aw_wasi_memory *memory = wasimemory_tree(PyType_GetModuleState(Py_TYPE(self)), what);
    if (memory != NULL) {
        if (aw_wasi_add_memory(self->wasi, memory, name, (size_t)length, writable) < 0) {
            PyErr_NoMemory();
            return -1;
        }
        return 0;
    }
    if (!PyLong_Check(what)) {
        wasi_served *served = served_mount(self->wasi, &self->store, &self->lost, what, name, (size_t)length, writable,
                                           self->served);
        self->served = served != NULL ? served : self->served;
        return served != NULL ? 0 : -1;
    }
    long given = PyLong_AsLong(what);
    if (given == -1 && PyErr_Occurred()) {
        return -1;
    }
    int copy = descriptor_duplicate(given);
    if (copy < 0) {
        return -1;
    }
    if (aw_wasi_add_directory(self->wasi, copy, name, (size_t)length, writable) < 0) {
        PyErr_NoMemory();
        return -1;
    }
    return 0;
}

static int socket_convert(WasiHostObject *self, PyObject *socket)
{
    long given = PyLong_AsLong(socket);
    int copy = given == -1 && PyErr_Occurred() ? -1 : descriptor_duplicate(given);
    if (copy < 0) {
        return -1;
    }
    struct stat info;
    if (fstat(copy, &info) < 0 || !S_ISSOCK(info.st_mode)) {
        close(copy);
        PyErr_Format(PyExc_ValueError, "descriptor %ld is no socket", given);
        return -1;
    }
    if (aw_wasi_add_socket(self->wasi, copy) < 0) {
        PyErr_NoMemory();
        return -1;
    }
    return 0;
}

static int clock_convert(WasiHostObject *self, PyObject *object)
{
    unsigned long long start, step;
    double speed;
    if (!PyArg_ParseTuple(object, "KdK;a clock is (start, speed, step)", &start, &speed, &step)) {
        return -1;
    }
    if (!(speed >= 0 && speed <= 1e9)) {
        PyErr_SetString(PyExc_ValueError, "clock: the speed is from 0 to 1e9");
        return -1;
    }
    aw_wasi_set_clock(self->wasi, &(aw_wasi_clock){.start = start, .speed = speed, .step = step});
    return 0;
}

static PyObject *WasiHost_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    static char *names[] = {"args",          "env",   "streams", "mounts",  "finish",
                            "avoid_openat2", "clock", "seed",    "sockets", NULL};
    PyObject *arguments, *environment, *streams[STREAMS], *mounts, *finish = Py_None;
    int avoid_openat2 = 0;
    PyObject *clock = Py_None, *sockets = NULL;
    const char *seed = NULL;
    Py_ssize_t seed_length = 0;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "OO(OOO)O|$OpOz#O:WasiHost", names, &arguments, &environment,
                                     &streams[0], &streams[1], &streams[2], &mounts, &finish, &avoid_openat2, &clock,
                                     &seed, &seed_length, &sockets)) {
        return NULL;
    }
    if (seed != NULL && seed_length != AW_WASI_SEED) {
        return PyErr_Format(PyExc_ValueError, "seed: expected %d bytes, got %zd", AW_WASI_SEED, seed_length);
    }
    WasiHostObject *self = (WasiHostObject *)type->tp_alloc(type, 0);
    if (self == NULL) {
        return NULL;
    }
    self->wasi = aw_wasi_new(
        &(aw_wasi_host){.check = on_check, .patience = patience, .output_exceeded = on_output_exceeded, .data = self});
    PyObject *items = NULL;
    if (self->wasi == NULL) {
        PyErr_NoMemory();
        goto error;
    }
    if (avoid_openat2) {
        aw_wasi_avoid_openat2(self->wasi);
    }
    if (seed != NULL) {
        aw_wasi_set_seed(self->wasi, (const uint8_t *)seed);
    }
    if (clock != Py_None && clock_convert(self, clock) < 0) {
        goto error;
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
    if (sockets != NULL) {
        Py_SETREF(items, PySequence_Fast(sockets, "sockets is a sequence"));
        if (items == NULL) {
            goto error;
        }
        for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(items); i++) {
            if (socket_convert(self, PySequence_Fast_GET_ITEM(items, i)) < 0) {
                goto error;
            }
        }
    }
    Py_DECREF(items);
    self->finish = finish != Py_None ? Py_NewRef(finish) : NULL;
    return (PyObject *)self;
error:
    Py_XDECREF(items);
    Py_DECREF(self);
    return NULL;
}

// Its store was closed, or is garbage with it: before the collector takes apart what files and streams are made of.
static void WasiHost_finalize(PyObject *object)
{
    WasiHostObject *self = wasihost_cast(object);
    PyObject *pending = aw_take_exception();
    if (self->wasi != NULL && close_all(self) < 0) {
        PyErr_WriteUnraisable(object);
    }
    if (pending != NULL) {
        aw_put_exception(pending);
    }
}

static int WasiHost_traverse(PyObject *object, visitproc visit, void *arg)
{
    WasiHostObject *self = wasihost_cast(object);
    Py_VISIT(Py_TYPE(object));
    for (int i = 0; i < STREAMS; i++) {
        Py_VISIT(self->callables[i]);
    }
    Py_VISIT(self->finish);
    return served_visit(self->served, visit, arg);
}

// The callables stay while the program may call them: a cycle through them goes through the store, which lets this go.
static int WasiHost_clear(PyObject *object)
{
    WasiHostObject *self = wasihost_cast(object);
    if (self->store == NULL) {
        for (int i = 0; i < STREAMS; i++) {
            Py_CLEAR(self->callables[i]);
        }
        Py_CLEAR(self->finish);
    }
    return 0;
}

static void WasiHost_dealloc(PyObject *object)
{
    WasiHostObject *self = wasihost_cast(object);
    PyTypeObject *type = Py_TYPE(object);
    if (PyObject_CallFinalizerFromDealloc(object) < 0) {
        return;
    }
    PyObject_GC_UnTrack(object);
    if (self->wasi != NULL) {
        aw_wasi_delete(self->wasi);
    }
    for (int i = 0; i < STREAMS; i++) {
        Py_CLEAR(self->callables[i]);
    }
    Py_CLEAR(self->finish);
    Py_CLEAR(self->rest);
    served_free(self->served);
    type->tp_free(object);
    Py_DECREF(type);
}

// --- limits ---------------------------------------------------------------------------------------------------------

PyDoc_STRVAR(
    WasiHost_limit_output_doc,
    "limit_output($self, bytes, /, *, truncate=False)\n--\n\n"
    "Let stdout and stderr take so many bytes together: then the program ends with OutputLimitError, or, with\n"
    "*truncate*, goes on, and what it writes is dropped.");

static PyObject *WasiHost_limit_output(PyObject *object, PyObject *args, PyObject *keywords)
{
    static char *names[] = {"", "truncate", NULL};
    unsigned long long bytes;
    int truncate = 0;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "K|$p:limit_output", names, &bytes, &truncate)) {
        return NULL;
    }
    aw_wasi_limit_output(wasihost_cast(object)->wasi, bytes, truncate);
    Py_RETURN_NONE;
}

static PyObject *WasiHost_get_output_dropped(PyObject *object, void *Py_UNUSED(closure))
{
    return PyLong_FromUnsignedLongLong(aw_wasi_output_dropped(wasihost_cast(object)->wasi));
}

// --- tables ---------------------------------------------------------------------------------------------------------

static PyMethodDef WasiHost_methods[] = {
    {"limit_output", (PyCFunction)(void (*)(void))WasiHost_limit_output, METH_VARARGS | METH_KEYWORDS,
     WasiHost_limit_output_doc},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef WasiHost_getset[] = {
    {"output_dropped", WasiHost_get_output_dropped, NULL, "int: bytes of output that limit_output dropped.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot WasiHost_slots[] = {
    {Py_tp_doc, (void *)WasiHost_doc}, {Py_tp_new, WasiHost_new},         {Py_tp_traverse, WasiHost_traverse},
    {Py_tp_clear, WasiHost_clear},     {Py_tp_dealloc, WasiHost_dealloc}, {Py_tp_finalize, WasiHost_finalize},
    {Py_tp_methods, WasiHost_methods}, {Py_tp_getset, WasiHost_getset},   {0, NULL},
};

PyType_Spec WasiHost_spec = {
    .name = "anywasm.WasiHost",
    .basicsize = sizeof(WasiHostObject),
    .flags = AW_TYPE_FLAGS | Py_TPFLAGS_HAVE_GC,
    .slots = WasiHost_slots,
};

// SPDX-License-Identifier: Apache-2.0
// File systems that Python code serves: what src/_core/wasi asks of one, asked of an object of anywasm.wasi's class Served, with the GIL
// whatever the running call did with it. All policy is there; here are errors, lifetimes and numbers.
//
// An OSError is the program's errno; any other exception comes out of the call that runs the program.

#include "wasi_type.h"

#include "wasi/wasi.h"

struct wasi_served {
    wasi_served *next;
    StoreObject *const *store;  // borrowed: where its WasiHost keeps it; NULL there: we are called with the GIL
    PyObject **lost;            // borrowed: where its WasiHost wants what nobody hears of
    PyObject *object;           // owned
    PyObject *bytes;            // owned: what the last read gave, or NULL
};

static PyThreadState *enter(wasi_served *self)
{
    return *self->store != NULL ? store_gil_take(*self->store) : NULL;
}

static int leave(wasi_served *self, PyThreadState *token, int error)
{
    if (*self->store != NULL) {
        store_gil_return(*self->store, token);
    }
    return error;
}

// --- errors ----------------------------------------------------------------------------------------------------------

// WASI's errno for the pending OSError, which it clears. Many are raised with a text alone: then it is the class that tells.
static int errno_of(PyObject *exception)
{
    const struct {
        PyObject *type;
        int number;
    } classes[] = {
        {PyExc_FileNotFoundError, ENOENT}, {PyExc_FileExistsError, EEXIST},
        {PyExc_IsADirectoryError, EISDIR}, {PyExc_NotADirectoryError, ENOTDIR},
        {PyExc_PermissionError, EACCES},   {PyExc_BlockingIOError, EAGAIN},
        {PyExc_TimeoutError, ETIMEDOUT},   {PyExc_InterruptedError, EINTR},
        {PyExc_ValueError, ENOTSUP},  // io.UnsupportedOperation is one
    };
    PyObject *value = PyObject_GetAttrString(exception, "errno");
    int overflow = 0;
    long number = value != NULL && PyLong_Check(value) ? PyLong_AsLongAndOverflow(value, &overflow) : 0;
    Py_XDECREF(value);
    PyErr_Clear();
    if (number < 0 && number > -100 && overflow == 0) {
        return (int)-number;  // Served says so what the host has no number for
    }
    for (size_t i = 0; number <= 0 && i < sizeof(classes) / sizeof(classes[0]); i++) {
        if (PyErr_GivenExceptionMatches(exception, classes[i].type)) {
            number = classes[i].number;
        }
    }
    return aw_wasi_errno(number > 0 && number < INT_MAX ? (int)number : EIO);
}

static int failed(wasi_served *self)
{
    if (PyErr_ExceptionMatches(PyExc_OSError)) {
        PyObject *exception = aw_take_exception();
        int error = errno_of(exception);
        Py_DECREF(exception);
        return error;
    }
    if (*self->store != NULL) {
        store_take_exception(*self->store);
    }
    else {
        PyErr_WriteUnraisable(self->object);
    }
    return WASI_RAISED;
}

// Of what returns nothing. Takes the result over.
static int finished(wasi_served *self, PyObject *result)
{
    if (result == NULL) {
        return failed(self);
    }
    Py_DECREF(result);
    return 0;
}

// --- what is asked -----------------------------------------------------------------------------------------------------

// Takes the result over.
static int stat_convert(wasi_served *self, PyObject *result, aw_wasi_stat *out)
{
    int directory;
    unsigned long long numbers[6];
    bool good = result != NULL && PyArg_ParseTuple(result, "pKKKKKK", &directory, &numbers[0], &numbers[1], &numbers[2],
                                                   &numbers[3], &numbers[4], &numbers[5]);
    Py_XDECREF(result);
    if (!good) {
        return failed(self);
    }
    *out = (aw_wasi_stat){
        .directory = directory,
        .size = numbers[0],
        .inode = numbers[1],
        .links = numbers[2],
        .accessed = numbers[3],
        .modified = numbers[4],
        .changed = numbers[5],
    };
    return 0;
}

static int served_stat(void *data, const char *base, const char *path, aw_wasi_stat *out)
{
    wasi_served *self = data;
    PyThreadState *token = enter(self);
    return leave(self, token, stat_convert(self, PyObject_CallMethod(self->object, "stat", "yy", base, path), out));
}

static int served_list(void *data, const char *base,
                       int (*each)(void *each_data, const char *name, bool directory, uint64_t inode), void *each_data)
{
    wasi_served *self = data;
    PyThreadState *token = enter(self);
    PyObject *list = PyObject_CallMethod(self->object, "list", "y", base);
    int error = list == NULL ? failed(self) : 0;
    for (Py_ssize_t i = 0; error == 0 && i < PyList_GET_SIZE(list); i++) {
        const char *name;
        int directory;
        unsigned long long inode;
        if (!PyArg_ParseTuple(PyList_GET_ITEM(list, i), "ypK", &name, &directory, &inode)) {
            error = failed(self);
        }
        else {
            error = each(each_data, name, directory, inode);
        }
    }
    Py_XDECREF(list);
    return leave(self, token, error);
}

static int served_open(void *data, const char *base, const char *path, const aw_wasi_opening *how, aw_wasi_opened *out)
{
    wasi_served *self = data;
    PyThreadState *token = enter(self);
    PyObject *result = PyObject_CallMethod(self->object, "open", "yyIINNN", base, path, how->oflags, how->fdflags,
                                           PyBool_FromLong(how->reads), PyBool_FromLong(how->writes),
                                           PyBool_FromLong(how->writable));
    PyObject *opened;
    int seeks = 0, error = 0;
    if (result == NULL || !PyArg_ParseTuple(result, "Op", &opened, &seeks)) {
        error = failed(self);
    }
    else {
        *out = (aw_wasi_opened){.seeks = seeks};
        if (PyBytes_Check(opened)) {
            out->directory = strdup(PyBytes_AS_STRING(opened));
            error = out->directory == NULL ? aw_wasi_errno(ENOMEM) : 0;
        }
        else {
            out->handle = (uintptr_t)Py_NewRef(opened);
        }
    }
    Py_XDECREF(result);
    return leave(self, token, error);
}

static int served_change(void *data, aw_wasi_change change, const char *base, const char *path)
{
    static const char *const names[] = {"mkdir", "rmdir", "unlink"};
    wasi_served *self = data;
    PyThreadState *token = enter(self);
    return leave(self, token, finished(self, PyObject_CallMethod(self->object, names[change], "yy", base, path)));
}

static int served_rename(void *data, const char *base, const char *path, const char *other_base, const char *other_path)
{
    wasi_served *self = data;
    PyThreadState *token = enter(self);
    PyObject *result = PyObject_CallMethod(self->object, "rename", "yyyy", base, path, other_base, other_path);
    return leave(self, token, finished(self, result));
}

static int served_set_times(void *data, const char *base, const char *path, const uint64_t times[2])
{
    wasi_served *self = data;
    PyThreadState *token = enter(self);
    PyObject *result = PyObject_CallMethod(self->object, "utime", "yyKK", base, path, (unsigned long long)times[0],
                                           (unsigned long long)times[1]);
    return leave(self, token, finished(self, result));
}

// --- open files ----------------------------------------------------------------------------------------------------------

// A handle is an object, owned, that the collector does not see: files of a program that is garbage are closed in order, with its
// store, not as garbage of their own.
static PyObject *file_of(uint64_t handle)
{
    return (PyObject *)(uintptr_t)handle;
}

static int served_read(void *data, uint64_t handle, uint64_t *place, size_t length, const uint8_t **bytes, size_t *done)
{
    wasi_served *self = data;
    PyThreadState *token = enter(self);
    PyObject *result = PyObject_CallMethod(self->object, "read", "OKn", file_of(handle), (unsigned long long)*place,
                                           (Py_ssize_t)length);
    int error = 0;
    if (result != NULL && !PyBytes_Check(result)) {
        PyErr_Format(PyExc_TypeError, "%R: a file's read() returned %.200s, not bytes", self->object,
                     Py_TYPE(result)->tp_name);
        Py_CLEAR(result);
    }
    if (result == NULL) {
        error = failed(self);
    }
    else {
        Py_XSETREF(self->bytes, result);
        *bytes = (const uint8_t *)PyBytes_AS_STRING(result);
        *done = (size_t)PyBytes_GET_SIZE(result);
        *place += *done;
    }
    return leave(self, token, error);
}

static int served_write(void *data, uint64_t handle, uint64_t *place, const uint8_t *bytes, size_t length, size_t *done)
{
    wasi_served *self = data;
    PyThreadState *token = enter(self);
    unsigned long long end, written;
    PyObject *result = PyObject_CallMethod(self->object, "write", "OKy#", file_of(handle), (unsigned long long)*place,
                                           (const char *)bytes, (Py_ssize_t)length);
    int error = 0;
    if (result == NULL || !PyArg_ParseTuple(result, "KK", &written, &end)) {
        error = failed(self);
    }
    else {
        *done = (size_t)written;
        *place = end;
    }
    Py_XDECREF(result);
    return leave(self, token, error);
}

static int served_file_stat(void *data, uint64_t handle, aw_wasi_stat *out)
{
    wasi_served *self = data;
    PyThreadState *token = enter(self);
    PyObject *result = PyObject_CallMethod(self->object, "file_stat", "O", file_of(handle));
    return leave(self, token, stat_convert(self, result, out));
}

static int served_file_set_size(void *data, uint64_t handle, uint64_t size)
{
    wasi_served *self = data;
    PyThreadState *token = enter(self);
    PyObject *result = PyObject_CallMethod(self->object, "file_truncate", "OK", file_of(handle),
                                           (unsigned long long)size);
    return leave(self, token, finished(self, result));
}

static int served_file_set_times(void *data, uint64_t handle, const uint64_t times[2])
{
    wasi_served *self = data;
    PyThreadState *token = enter(self);
    PyObject *result = PyObject_CallMethod(self->object, "file_utime", "OKK", file_of(handle),
                                           (unsigned long long)times[0], (unsigned long long)times[1]);
    return leave(self, token, finished(self, result));
}

static int served_file_sync(void *data, uint64_t handle)
{
    wasi_served *self = data;
    PyThreadState *token = enter(self);
    PyObject *result = PyObject_CallMethod(self->object, "file_sync", "O", file_of(handle));
    return leave(self, token, finished(self, result));
}

static int served_file_close(void *data, uint64_t handle, bool heard)
{
    wasi_served *self = data;
    PyThreadState *token = enter(self);
    PyObject *pending = aw_take_exception();  // when a store is closed
    PyObject *result = PyObject_CallMethod(self->object, "close", "O", file_of(handle));
    int error = 0;
    if (result == NULL && !heard && *self->lost == Py_None) {
        Py_SETREF(*self->lost, aw_take_exception());
    }
    else if (result == NULL && !heard) {
        PyErr_WriteUnraisable(self->object);
    }
    else {
        error = finished(self, result);
    }
    Py_DECREF(file_of(handle));
    if (pending != NULL) {
        aw_put_exception(pending);
    }
    return leave(self, token, error);
}

// --- birth and death -----------------------------------------------------------------------------------------------------

wasi_served *served_mount(struct aw_wasi *wasi, StoreObject *const *store, PyObject **lost, PyObject *object,
                          const char *name, size_t length, bool writable, wasi_served *next)
{
    wasi_served *self = PyMem_Calloc(1, sizeof(*self));
    if (self == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    *self = (wasi_served){.next = next, .store = store, .lost = lost, .object = Py_NewRef(object)};
    aw_wasi_filesystem system = {
        .stat = served_stat,
        .list = served_list,
        .open = served_open,
        .change = served_change,
        .rename = served_rename,
        .set_times = served_set_times,
        .read = served_read,
        .write = served_write,
        .file_stat = served_file_stat,
        .file_set_size = served_file_set_size,
        .file_set_times = served_file_set_times,
        .file_sync = served_file_sync,
        .file_close = served_file_close,
        .data = self,
    };
    if (aw_wasi_add_filesystem(wasi, &system, name, length, writable) < 0) {
        self->next = NULL;
        served_free(self);
        PyErr_NoMemory();
        return NULL;
    }
    return self;
}

int served_visit(wasi_served *self, visitproc visit, void *arg)
{
    for (; self != NULL; self = self->next) {
        Py_VISIT(self->object);
    }
    return 0;
}

void served_free(wasi_served *self)
{
    while (self != NULL) {
        wasi_served *next = self->next;
        Py_DECREF(self->object);
        Py_XDECREF(self->bytes);
        PyMem_Free(self);
        self = next;
    }
}

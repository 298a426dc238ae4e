// SPDX-License-Identifier: Apache-2.0
#include "cache.h"

#include <stdlib.h>
#include <unistd.h>

// Smaller modules are compiled as soon as the cache is asked for the first time: some 20 ms, most of it for importing what it needs.
enum { SMALLEST = 32 << 10 };  // bytes

// No exception is pending afterwards, unless one that nobody may lose: then -1.
static int forgive(void)
{
    if (PyErr_Occurred() && !PyErr_ExceptionMatches(PyExc_Exception)) {
        return -1;
    }
    PyErr_Clear();
    return 0;
}

int cache_find(EngineObject *engine, PyObject *binary, PyObject **entry)
{
    *entry = NULL;
    if (PyBytes_GET_SIZE(binary) < SMALLEST || !engine_caches(engine)) {
        return 0;
    }
    PyObject *identity = engine_code_identity(engine);
    PyObject *cache = identity != NULL ? PyImport_ImportModule("anywasm._cache") : NULL;
    *entry = cache != NULL ? PyObject_CallMethod(cache, "find", "OO", identity, binary) : NULL;
    Py_XDECREF(identity);
    Py_XDECREF(cache);
    if (*entry == Py_None) {
        Py_CLEAR(*entry);
    }
    return forgive();
}

int cache_load(EngineObject *engine, PyObject *entry, aw_module **module)
{
    *module = NULL;
    PyObject *found = PyObject_CallMethod(entry, "open", NULL);
    int descriptor;
    Py_ssize_t length;
    if (found == NULL || found == Py_None || !PyArg_ParseTuple(found, "in", &descriptor, &length)) {
        Py_XDECREF(found);
        return forgive();
    }
    Py_DECREF(found);
    aw_error error;
    Py_BEGIN_ALLOW_THREADS
        *module = engine->api->module_deserialize_file(engine->handle, descriptor, (size_t)length, &error);
        close(descriptor);
    Py_END_ALLOW_THREADS
    if (*module == NULL) {
        aw_error_clear(&error);
    }
    return 0;
}

int cache_save(EngineObject *engine, PyObject *entry, const aw_module *module)
{
    aw_error error;
    uint8_t *code;
    size_t length;
    int status;
    Py_BEGIN_ALLOW_THREADS
        status = engine->api->module_serialize(module, &code, &length, &error);
    Py_END_ALLOW_THREADS
    if (status < 0) {
        aw_error_clear(&error);
        return 0;
    }
    PyObject *view = PyMemoryView_FromMemory((char *)code, (Py_ssize_t)length, PyBUF_READ);
    PyObject *saved = view != NULL ? PyObject_CallMethod(entry, "save", "O", view) : NULL;
    Py_XDECREF(saved);
    // Whoever still has the view, a debugger perhaps, has no bytes any more.
    PyObject *pending = aw_take_exception();
    PyObject *released = view != NULL ? PyObject_CallMethod(view, "release", NULL) : Py_NewRef(Py_None);
    if (released != NULL) {
        free(code);
    }
    PyErr_Clear();
    Py_XDECREF(released);
    Py_XDECREF(view);
    if (pending != NULL) {
        aw_put_exception(pending);
    }
    return forgive();
}

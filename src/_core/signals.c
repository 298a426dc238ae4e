// SPDX-License-Identifier: Apache-2.0
// Keeps Python's own users of signals from taking traps away from the engines.
//
// faulthandler.enable() puts itself on top of whatever handles SIGSEGV and takes the next trap for a crash; signal.signal() may do
// the same. engines/handlers.c gives them their place behind the engines, but has to be told when they come. So the
// functions in their modules' method tables are replaced by ones that call the original in between. A method table is
// the process's, not an interpreter's, and it is read at each call: references that were taken before are covered, too.

#include "signals.h"

#include "core.h"
#include "engines/handlers.h"

// The originals: set once, while the GIL is held, before anything calls through them.
static PyCFunction enable, disable, set_signal;

typedef PyObject *(*fast_function)(PyObject *self, PyObject *const *args, Py_ssize_t count);

static PyObject *watched_enable(PyObject *self, PyObject *args, PyObject *keywords)
{
    handlers_saved saved;
    handlers_save(&saved);
    PyObject *result = ((PyCFunctionWithKeywords)(void (*)(void))enable)(self, args, keywords);
    handlers_restore(&saved, HANDLERS_ADD);
    return result;
}

static PyObject *watched_disable(PyObject *self, PyObject *unused)
{
    handlers_saved saved;
    handlers_save(&saved);
    PyObject *result = disable(self, unused);
    handlers_restore(&saved, HANDLERS_TAKE_BACK);
    return result;
}

static PyObject *watched_set_signal(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
    handlers_saved saved;
    handlers_save(&saved);
    PyObject *result = ((fast_function)(void (*)(void))set_signal)(self, args, count);
    handlers_restore(&saved, HANDLERS_REPLACE);
    return result;
}

static const struct {
    const char *module, *name;
    int flags;  // how Python calls it, in every version so far; where that has changed, we had better leave it alone
    PyCFunction *original;
    PyCFunction replacement;
} watched[] = {
    {"faulthandler", "enable", METH_VARARGS | METH_KEYWORDS, &enable, (PyCFunction)(void (*)(void))watched_enable},
    {"faulthandler", "disable", METH_NOARGS, &disable, watched_disable},
    {"_signal", "signal", METH_FASTCALL, &set_signal, (PyCFunction)(void (*)(void))watched_set_signal},
};

int signals_watch_python(void)
{
    static bool done;
    if (done) {
        return 0;
    }
    for (size_t i = 0; i < Py_ARRAY_LENGTH(watched); i++) {
        PyObject *module = PyImport_ImportModule(watched[i].module);
        PyObject *function = module != NULL ? PyObject_GetAttrString(module, watched[i].name) : NULL;
        Py_XDECREF(module);
        if (function == NULL) {
            if (!PyErr_ExceptionMatches(PyExc_ImportError) && !PyErr_ExceptionMatches(PyExc_AttributeError)) {
                return -1;
            }
            PyErr_Clear();  // a Python without it
            continue;
        }
        // Else somebody has put a function of his own there, which sees to the rest.
        if (PyCFunction_CheckExact(function) && *watched[i].original == NULL) {
            PyMethodDef *method = ((PyCFunctionObject *)function)->m_ml;
            if (method->ml_flags == watched[i].flags) {
                *watched[i].original = method->ml_meth;
                method->ml_meth = watched[i].replacement;
            }
        }
        Py_DECREF(function);
    }
    done = true;
    return 0;
}

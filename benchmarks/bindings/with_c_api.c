// SPDX-License-Identifier: Apache-2.0
// The library through Python's C API: every argument is unpacked, checked, given back by hand.

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "survey.h"

static PyObject *survey_hypot2(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    if (count != 2) {
        return PyErr_Format(PyExc_TypeError, "hypot2() takes 2 arguments, got %zd", count);
    }
    double x = PyFloat_AsDouble(args[0]);
    if (x == -1.0 && PyErr_Occurred()) {
        return NULL;
    }
    double y = PyFloat_AsDouble(args[1]);
    if (y == -1.0 && PyErr_Occurred()) {
        return NULL;
    }
    return PyFloat_FromDouble(hypot2(x, y));
}

static PyObject *survey_greet(PyObject *module, PyObject *name)
{
    Py_ssize_t length;
    const char *text = PyUnicode_AsUTF8AndSize(name, &length);
    if (text == NULL) {
        return NULL;
    }
    if (strlen(text) != (size_t)length) {
        PyErr_SetString(PyExc_ValueError, "embedded null character");
        return NULL;
    }
    char *answer = greet(text);
    if (answer == NULL) {
        return PyErr_NoMemory();
    }
    PyObject *result = PyUnicode_FromString(answer);
    free(answer);
    return result;
}

static PyObject *survey_middle(PyObject *module, PyObject *args)
{
    point a, b;
    if (!PyArg_ParseTuple(args, "(dd)(dd):middle", &a.x, &a.y, &b.x, &b.y)) {
        return NULL;
    }
    point m = middle(a, b);
    return Py_BuildValue("(dd)", m.x, m.y);
}

static PyObject *survey_scale(PyObject *module, PyObject *args)
{
    PyObject *values;
    double factor;
    Py_buffer view;
    if (!PyArg_ParseTuple(args, "Od:scale", &values, &factor) ||
        PyObject_GetBuffer(values, &view, PyBUF_WRITABLE | PyBUF_FORMAT | PyBUF_C_CONTIGUOUS) < 0) {
        return NULL;
    }
    if (view.format == NULL || strcmp(view.format, "d") != 0) {
        PyBuffer_Release(&view);
        PyErr_SetString(PyExc_TypeError, "scale(): expected a buffer of doubles");
        return NULL;
    }
    scale(view.buf, (size_t)(view.len / view.itemsize), factor);
    PyBuffer_Release(&view);
    Py_RETURN_NONE;
}

// A sequence of ints as an array of C's: NULL with an exception.
static int *ints_from(PyObject *sequence, Py_ssize_t *count)
{
    PyObject *fast = PySequence_Fast(sequence, "expected a sequence of ints");
    if (fast == NULL) {
        return NULL;
    }
    *count = PySequence_Fast_GET_SIZE(fast);
    int *values = PyMem_New(int, *count + 1);
    for (Py_ssize_t i = 0; values != NULL && i < *count; i++) {
        long value = PyLong_AsLong(PySequence_Fast_GET_ITEM(fast, i));
        if (value < INT_MIN || value > INT_MAX) {
            PyErr_SetString(PyExc_OverflowError, "the value is out of the range of int");
        }
        if (PyErr_Occurred()) {
            PyMem_Free(values);
            values = NULL;
        }
        else {
            values[i] = (int)value;
        }
    }
    Py_DECREF(fast);
    if (values == NULL && !PyErr_Occurred()) {
        PyErr_NoMemory();
    }
    return values;
}

// An exception stays pending until the C code that called returns: it cannot be told to stop.
static int test_trampoline(int value, void *data)
{
    if (PyErr_Occurred()) {
        return 0;
    }
    PyObject *answer = PyObject_CallFunction(data, "i", value);
    int truth = answer != NULL ? PyObject_IsTrue(answer) : 0;
    Py_XDECREF(answer);
    return truth > 0;
}

static PyObject *survey_count_if(PyObject *module, PyObject *args)
{
    PyObject *sequence, *test;
    Py_ssize_t count;
    if (!PyArg_ParseTuple(args, "OO:count_if", &sequence, &test)) {
        return NULL;
    }
    int *values = ints_from(sequence, &count);
    if (values == NULL) {
        return NULL;
    }
    int accepted = count_if(values, (size_t)count, test_trampoline, test);
    PyMem_Free(values);
    return PyErr_Occurred() ? NULL : PyLong_FromLong(accepted);
}

static PyObject *survey_nth(PyObject *module, PyObject *args)
{
    PyObject *sequence;
    Py_ssize_t count;
    int index;
    if (!PyArg_ParseTuple(args, "Oi:nth", &sequence, &index)) {
        return NULL;
    }
    int *values = ints_from(sequence, &count);
    if (values == NULL) {
        return NULL;
    }
    int value = nth(values, index);
    PyMem_Free(values);
    return PyLong_FromLong(value);
}

static PyMethodDef functions[] = {
    {"hypot2", (PyCFunction)(void (*)(void))survey_hypot2, METH_FASTCALL, NULL},
    {"greet", survey_greet, METH_O, NULL},
    {"middle", survey_middle, METH_VARARGS, NULL},
    {"scale", survey_scale, METH_VARARGS, NULL},
    {"count_if", survey_count_if, METH_VARARGS, NULL},
    {"nth", survey_nth, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, .m_name = "survey_c_api", .m_methods = functions};

PyMODINIT_FUNC PyInit_survey_c_api(void)
{
    return PyModuleDef_Init(&definition);
}

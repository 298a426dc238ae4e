// SPDX-License-Identifier: Apache-2.0
// Who asks for a conversion, for messages: "centroid(): argument 1 'points' (const point *): item 2: …".

#include "clib.h"

static PyObject *place_text(const cplace *place)
{
    PyObject *outer = place->outer != NULL ? place_text(place->outer) : PyUnicode_FromString("");
    PyObject *type = place->type != NULL ? ctype_spell(place->type, "") : PyUnicode_FromString("");
    PyObject *name = place->name != Py_None ? Py_XNewRef(place->name) : NULL;
    PyObject *text = NULL;
    if (outer == NULL || type == NULL) {
        goto done;
    }
    if (name != NULL && !PyUnicode_Check(name)) {  // a callable
        Py_SETREF(name, PyObject_GetAttrString(name, "__name__"));
        if (name == NULL || !PyUnicode_Check(name)) {
            PyErr_Clear();
            Py_XDECREF(name);
            name = PyUnicode_FromString("callback");
        }
    }
    switch (place->kind) {
    case PLACE_FUNCTION:
        text = name != NULL ? PyUnicode_FromFormat("%U%U(): ", outer, name) : PyUnicode_FromFormat("%Ucall: ", outer);
        break;
    case PLACE_ARGUMENT:
        text = place->type == NULL ? PyUnicode_FromFormat("%Uargument %zd: ", outer, place->index + 1)
               : name != NULL ? PyUnicode_FromFormat("%Uargument %zd '%U' (%U): ", outer, place->index + 1, name, type)
                              : PyUnicode_FromFormat("%Uargument %zd (%U): ", outer, place->index + 1, type);
        break;
    case PLACE_RESULT:
        text = PyUnicode_FromFormat("%Uresult (%U): ", outer, type);
        break;
    case PLACE_ITEM:
        text = PyUnicode_FromFormat("%Uitem %zd: ", outer, place->index);
        break;
    case PLACE_FIELD:
        text = PyUnicode_FromFormat("%Ufield '%U' (%U): ", outer, name, type);
        break;
    default:
        text = name != NULL ? PyUnicode_FromFormat("%U%U (%U): ", outer, name, type)
                            : PyUnicode_FromFormat("%U%U: ", outer, type);
        break;
    }
done:
    Py_XDECREF(outer);
    Py_XDECREF(type);
    Py_XDECREF(name);
    return text;
}

PyObject *place_raise(const cplace *place, PyObject *exception, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    PyObject *message = PyUnicode_FromFormatV(format, arguments);
    va_end(arguments);
    PyObject *prefix = message != NULL ? place_text(place) : NULL;
    PyObject *text = prefix != NULL ? PyUnicode_Concat(prefix, message) : NULL;
    if (text != NULL) {
        PyErr_SetObject(exception, text);
    }
    Py_XDECREF(text);
    Py_XDECREF(prefix);
    Py_XDECREF(message);
    return NULL;
}

int place_expected(const cplace *place, const char *what, PyObject *got)
{
    place_raise(place, PyExc_TypeError, "expected %s, got %.200s", what, Py_TYPE(got)->tp_name);
    return -1;
}

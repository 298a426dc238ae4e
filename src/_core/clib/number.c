// SPDX-License-Identifier: Apache-2.0
// Value: a number together with its C type, for what `...` takes.

#include "clib.h"

static CValueObject *number_cast(PyObject *self)
{
    return (CValueObject *)self;
}

// A C cast to a number: integers wrap around, floats lose what does not fit.
PyObject *value_cast(CLibraryObject *library, CTypeObject *type, PyObject *object)
{
    uint8_t bytes[SCALAR_BYTES] = {0};
    cplace place = {.kind = PLACE_VALUE, .type = type};
    if (ctype_is_integer(type)) {
        if (!PyFloat_Check(object) && !PyIndex_Check(object)) {
            return place_raise(&place, PyExc_TypeError, "cast(): expected a number, got %.200s",
                               Py_TYPE(object)->tp_name);
        }
        PyObject *integer = PyFloat_Check(object) ? PyNumber_Long(object) : PyNumber_Index(object);
        if (integer == NULL) {
            return NULL;
        }
        unsigned long long bits = PyLong_AsUnsignedLongLongMask(integer);
        Py_DECREF(integer);
        if (bits == (unsigned long long)-1 && PyErr_Occurred()) {
            return NULL;
        }
        for (size_t i = 0; i < type->size; i++) {
            bytes[i] = (uint8_t)(bits >> (8 * i));
        }
    }
    else if (type->kind == CK_FLOAT || type->kind == CK_COMPLEX || type->kind == CK_BOOL) {
        cframe frame;
        frame_begin(&frame, library);
        int status = value_to_bytes(&frame, type, object, bytes, &place);
        frame_end(&frame);
        if (status < 0) {
            return NULL;
        }
    }
    else {
        PyErr_SetString(PyExc_TypeError, "cast(): expected a number's or a pointer's type");
        return NULL;
    }
    CValueObject *self = (CValueObject *)library->state->Value->tp_alloc(library->state->Value, 0);
    if (self != NULL) {
        self->library = (CLibraryObject *)Py_NewRef((PyObject *)library);
        self->type = (CTypeObject *)Py_NewRef((PyObject *)type);
        memcpy(self->bytes, bytes, sizeof(self->bytes));
    }
    return (PyObject *)self;
}

static PyObject *value_number(PyObject *object)
{
    CValueObject *self = number_cast(object);
    return value_from_bytes(self->library, self->type, self->bytes);
}

static PyObject *Value_int(PyObject *object)
{
    PyObject *number = value_number(object);
    PyObject *integer = number != NULL ? PyNumber_Long(number) : NULL;
    Py_XDECREF(number);
    return integer;
}

static PyObject *Value_float(PyObject *object)
{
    PyObject *number = value_number(object);
    PyObject *real = number != NULL ? PyNumber_Float(number) : NULL;
    Py_XDECREF(number);
    return real;
}

static PyObject *Value_index(PyObject *object)
{
    PyObject *number = value_number(object);
    PyObject *integer = number != NULL ? PyNumber_Index(number) : NULL;
    Py_XDECREF(number);
    return integer;
}

static int Value_bool(PyObject *object)
{
    PyObject *number = value_number(object);
    int truth = number != NULL ? PyObject_IsTrue(number) : -1;
    Py_XDECREF(number);
    return truth;
}

static PyObject *Value_complex(PyObject *object, PyObject *Py_UNUSED(ignored))
{
    PyObject *number = value_number(object);
    PyObject *result = NULL;
    if (number != NULL) {
        Py_complex value = PyComplex_AsCComplex(number);
        result = value.real == -1.0 && PyErr_Occurred() ? NULL : PyComplex_FromCComplex(value);
    }
    Py_XDECREF(number);
    return result;
}

static PyObject *Value_get_value(PyObject *object, void *Py_UNUSED(closure))
{
    return value_number(object);
}

static PyObject *Value_repr(PyObject *object)
{
    PyObject *number = value_number(object);
    PyObject *type = number != NULL ? ctype_spell(number_cast(object)->type, "") : NULL;
    PyObject *text = type != NULL ? PyUnicode_FromFormat("<anywasm.clib.Value '%U': %R>", type, number) : NULL;
    Py_XDECREF(type);
    Py_XDECREF(number);
    return text;
}

static PyObject *Value_get_type(PyObject *object, void *Py_UNUSED(closure))
{
    return Py_NewRef((PyObject *)number_cast(object)->type);
}

static int Value_traverse(PyObject *object, visitproc visit, void *arg)
{
    CValueObject *self = number_cast(object);
    Py_VISIT(Py_TYPE(object));
    Py_VISIT(self->library);
    Py_VISIT(self->type);
    return 0;
}

static void Value_dealloc(PyObject *object)
{
    CValueObject *self = number_cast(object);
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    if (self->weakrefs != NULL) {
        PyObject_ClearWeakRefs(object);
    }
    Py_XDECREF(self->type);
    Py_XDECREF(self->library);
    type->tp_free(object);
    Py_DECREF(type);
}

PyDoc_STRVAR(Value_doc, "A number of a C type, as Library.cast() makes one: for arguments of functions with `...`.\n\n"
                        "int(), float(), complex() and .value give the number.");

static PyMethodDef Value_methods[] = {
    {"__complex__", Value_complex, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef Value_getset[] = {
    {"ctype", Value_get_type, NULL, "CType: its type.", NULL},
    {"value", Value_get_value, NULL, "int, float, complex, bool or a member of an IntEnum.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef Value_members[] = {
    {"__weaklistoffset__", Py_T_PYSSIZET, offsetof(CValueObject, weakrefs), Py_READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot Value_slots[] = {
    {Py_tp_doc, (void *)Value_doc}, {Py_tp_traverse, Value_traverse}, {Py_tp_dealloc, Value_dealloc},
    {Py_tp_repr, Value_repr},       {Py_nb_int, Value_int},           {Py_nb_float, Value_float},
    {Py_nb_index, Value_index},     {Py_nb_bool, Value_bool},         {Py_tp_methods, Value_methods},
    {Py_tp_getset, Value_getset},   {Py_tp_members, Value_members},   {0, NULL},
};

PyType_Spec Value_spec = {
    .name = "anywasm.clib.Value",
    .basicsize = sizeof(CValueObject),
    .flags = AW_TYPE_FLAGS | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = Value_slots,
};

// SPDX-License-Identifier: Apache-2.0
// What differs between Python versions, so that no other file asks for the version.

#ifndef AW_COMPAT_H
#define AW_COMPAT_H

#include <Python.h>
#include <stdbool.h>
#include <structmember.h>

#if PY_VERSION_HEX < 0x030c0000
#define Py_T_PYSSIZET T_PYSSIZET
#define Py_T_OBJECT_EX T_OBJECT_EX
#define Py_T_BOOL T_BOOL
#define Py_READONLY READONLY
#endif

// Attributes in an instance's dictionary which CPython manages (since 3.11), so that it specialises code that asks for them. A type
// with AW_ATTRIBUTES_FLAGS has a field `PyObject *attributes`, which only 3.10 uses.
#if PY_VERSION_HEX >= 0x030d0000
#define AW_ATTRIBUTES_VISIT(self, visit, arg) PyObject_VisitManagedDict((PyObject *)(self), visit, arg)
#define AW_ATTRIBUTES_CLEAR(self) PyObject_ClearManagedDict((PyObject *)(self))
#elif PY_VERSION_HEX >= 0x030c0000
#define AW_ATTRIBUTES_VISIT(self, visit, arg) _PyObject_VisitManagedDict((PyObject *)(self), visit, arg)
#define AW_ATTRIBUTES_CLEAR(self) _PyObject_ClearManagedDict((PyObject *)(self))
#elif PY_VERSION_HEX >= 0x030b0000
#define AW_ATTRIBUTES_VISIT(self, visit, arg) aw_attributes_visit((PyObject *)(self), visit, arg)
#define AW_ATTRIBUTES_CLEAR(self) Py_CLEAR(*_PyObject_GetDictPtr((PyObject *)(self)))
static inline int aw_attributes_visit(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(*_PyObject_GetDictPtr(self));
    return 0;
}
#else
#define AW_ATTRIBUTES_VISIT(self, visit, arg) ((self)->attributes != NULL ? visit((self)->attributes, arg) : 0)
#define AW_ATTRIBUTES_CLEAR(self) Py_CLEAR((self)->attributes)
#endif
#if PY_VERSION_HEX >= 0x030b0000
#define AW_ATTRIBUTES_FLAGS (Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_MANAGED_DICT)
#define AW_ATTRIBUTES_MEMBERS(type)
#else
#define AW_ATTRIBUTES_FLAGS Py_TPFLAGS_HAVE_GC
#define AW_ATTRIBUTES_MEMBERS(type) {"__dictoffset__", Py_T_PYSSIZET, offsetof(type, attributes), Py_READONLY, NULL},
#endif

// Immutable types came with 3.10, as did the flag against construction from Python.
#define AW_TYPE_FLAGS (Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE)

// The value of an int that has one digit of 30 bits at most, which most have: false for others, and for what is no int.
static inline bool aw_long_compact(PyObject *object, long *out)
{
    if (!PyLong_CheckExact(object)) {
        return false;
    }
#if PY_VERSION_HEX >= 0x030c0000
    if (!PyUnstable_Long_IsCompact((PyLongObject *)object)) {
        return false;
    }
    *out = (long)PyUnstable_Long_CompactValue((PyLongObject *)object);
#else
    Py_ssize_t size = Py_SIZE(object);
    if (size < -1 || size > 1) {
        return false;
    }
    *out = (long)size * (long)((PyLongObject *)object)->ob_digit[0];  // the digit of 0 is 0
#endif
    return true;
}

// A pending exception as one object (3.12's functions), for every version.
static inline PyObject *aw_take_exception(void)
{
#if PY_VERSION_HEX >= 0x030c0000
    return PyErr_GetRaisedException();
#else
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    if (type == NULL) {
        return NULL;
    }
    PyErr_NormalizeException(&type, &value, &traceback);
    if (traceback != NULL) {
        PyException_SetTraceback(value, traceback);
        Py_DECREF(traceback);
    }
    Py_DECREF(type);
    return value;
#endif
}

// Steals *exception*, which may be NULL for none.
static inline void aw_put_exception(PyObject *exception)
{
#if PY_VERSION_HEX >= 0x030c0000
    PyErr_SetRaisedException(exception);
#else
    if (exception == NULL) {
        PyErr_Clear();
        return;
    }
    PyErr_Restore(Py_NewRef((PyObject *)Py_TYPE(exception)), exception, PyException_GetTraceback(exception));
#endif
}

#endif

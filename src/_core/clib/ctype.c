// SPDX-License-Identifier: Apache-2.0
// A CType is a C type with the layout that the library's compiler gave it. Immutable once it is complete; structs and unions may be
// declared first and defined later, since they may point at themselves.
//
// Who makes one tells sizes and offsets: from declarations they are computed, from debug information they are read.

#include "ctype.h"

#include "../errors.h"

static const char *const kind_names[] = {
    [CK_VOID] = "void",   [CK_BOOL] = "bool",       [CK_CHAR] = "char",   [CK_INTEGER] = "integer",
    [CK_FLOAT] = "float", [CK_COMPLEX] = "complex", [CK_ENUM] = "enum",   [CK_POINTER] = "pointer",
    [CK_ARRAY] = "array", [CK_STRUCT] = "struct",   [CK_UNION] = "union", [CK_FUNCTION] = "function",
};

static CTypeObject *ctype_cast(PyObject *self)
{
    return (CTypeObject *)self;
}

static bool is_ctype(core_state *state, PyObject *object)
{
    return Py_TYPE(object) == state->CType;
}

// --- spelling ---------------------------------------------------------------------------------------------------

static PyObject *spell(const CTypeObject *type, PyObject *declared);

// "(int, char *)"
static PyObject *spell_parameters(const CTypeObject *type)
{
    PyObject *parts = PyList_New(0);
    Py_ssize_t count = PyTuple_GET_SIZE(type->parameters);
    for (Py_ssize_t i = 0; parts != NULL && i < count; i++) {
        PyObject *part = ctype_spell(ctype_cast(PyTuple_GET_ITEM(type->parameters, i)), "");
        if (part == NULL || PyList_Append(parts, part) < 0) {
            Py_CLEAR(parts);
        }
        Py_XDECREF(part);
    }
    PyObject *extra = parts != NULL && (type->variadic || count == 0)
                          ? PyUnicode_FromString(type->variadic ? "..." : "void")
                          : NULL;
    if (parts != NULL && (type->variadic || count == 0) && (extra == NULL || PyList_Append(parts, extra) < 0)) {
        Py_CLEAR(parts);
    }
    Py_XDECREF(extra);
    PyObject *comma = parts != NULL ? PyUnicode_FromString(", ") : NULL;
    PyObject *text = comma != NULL ? PyUnicode_Join(comma, parts) : NULL;
    Py_XDECREF(comma);
    Py_XDECREF(parts);
    return text;
}

// An array whose innermost items are pointers that are const themselves: takes the reference over; NULL passes.
static PyObject *spell_const_array(const CTypeObject *type, const CTypeObject *innermost, PyObject *declared)
{
    while (type != innermost && declared != NULL) {
        Py_SETREF(declared, type->length < 0 ? PyUnicode_FromFormat("%U[]", declared)
                                             : PyUnicode_FromFormat("%U[%zd]", declared, type->length));
        type = type->item;
    }
    if (declared != NULL) {
        Py_SETREF(declared, PyUnicode_FromFormat("const %U", declared));
    }
    return spell(innermost, declared);
}

// C reads a declaration from the inside out, so *declared* is what stands inside. Takes the reference over; NULL passes.
static PyObject *spell(const CTypeObject *type, PyObject *declared)
{
    PyObject *inner = NULL;
    if (declared == NULL) {
        return NULL;
    }
    if (type->name != NULL) {
        if (PyUnicode_GET_LENGTH(declared) == 0) {
            inner = Py_NewRef(type->name);
        }
        else {
            bool array = PyUnicode_READ_CHAR(declared, 0) == '[';  // "int[4]", but "int *", "int add(void)"
            inner = PyUnicode_FromFormat(array ? "%U%U" : "%U %U", type->name, declared);
        }
        Py_DECREF(declared);
        return inner;
    }
    switch (type->kind) {
    case CK_POINTER: {
        bool parentheses = type->item->name == NULL &&
                           (type->item->kind == CK_ARRAY || type->item->kind == CK_FUNCTION);
        const CTypeObject *innermost = type->item;  // what an array of them is const by
        while (innermost->name == NULL && innermost->kind == CK_ARRAY) {
            innermost = innermost->item;
        }
        bool const_pointer = type->readonly && innermost->name == NULL && innermost->kind == CK_POINTER;
        bool behind = const_pointer && innermost != type->item;  // "int *const (*)[3]"
        inner = PyUnicode_FromFormat("%s%s*%U%s", const_pointer && !behind ? "const " : "", parentheses ? "(" : "",
                                     declared, parentheses ? ")" : "");
        Py_DECREF(declared);
        PyObject *text = behind ? spell_const_array(type->item, innermost, inner) : spell(type->item, inner);
        if (text != NULL && type->readonly && !const_pointer) {
            Py_SETREF(text, PyUnicode_FromFormat("const %U", text));
        }
        return text;
    }
    case CK_ARRAY:
        inner = type->length < 0 ? PyUnicode_FromFormat("%U[]", declared)
                                 : PyUnicode_FromFormat("%U[%zd]", declared, type->length);
        break;
    case CK_FUNCTION: {
        PyObject *parameters = spell_parameters(type);
        inner = parameters != NULL ? PyUnicode_FromFormat("%U(%U)", declared, parameters) : NULL;
        Py_XDECREF(parameters);
        break;
    }
    default:
        inner = PyUnicode_FromFormat("%s %U", kind_names[type->kind], declared);
        Py_DECREF(declared);
        return inner;
    }
    Py_DECREF(declared);
    return spell(type->item, inner);
}

PyObject *ctype_spell(const CTypeObject *type, const char *declared)
{
    return spell(type, PyUnicode_FromString(declared));
}

// --- comparing, looking up ----------------------------------------------------------------------------------------

bool ctype_equal(const CTypeObject *a, const CTypeObject *b)
{
    if (a == b) {
        return true;
    }
    if (a->kind != b->kind || a->size != b->size || a->is_signed != b->is_signed) {
        return false;
    }
    switch (a->kind) {
    case CK_ENUM:
    case CK_STRUCT:
    case CK_UNION:
        return false;
    case CK_POINTER:
        return a->readonly == b->readonly && ctype_equal(a->item, b->item);
    case CK_ARRAY:
        return a->length == b->length && ctype_equal(a->item, b->item);
    case CK_FUNCTION: {
        Py_ssize_t count = PyTuple_GET_SIZE(a->parameters);
        if (count != PyTuple_GET_SIZE(b->parameters) || a->variadic != b->variadic || !ctype_equal(a->item, b->item)) {
            return false;
        }
        for (Py_ssize_t i = 0; i < count; i++) {
            if (!ctype_equal(ctype_cast(PyTuple_GET_ITEM(a->parameters, i)),
                             ctype_cast(PyTuple_GET_ITEM(b->parameters, i)))) {
                return false;
            }
        }
        return true;
    }
    default:
        return true;
    }
}

int ctype_field(const CTypeObject *type, PyObject *name, cfield *out)
{
    PyObject *found = type->field_index != NULL ? PyDict_GetItemWithError(type->field_index, name) : NULL;
    if (found == NULL) {
        return PyErr_Occurred() ? -1 : 0;
    }
    out->name = name;
    out->type = ctype_cast(PyTuple_GET_ITEM(found, 0));
    out->offset = PyLong_AsSize_t(PyTuple_GET_ITEM(found, 1));
    out->bit_offset = (uint8_t)PyLong_AsLong(PyTuple_GET_ITEM(found, 2));
    out->bit_width = (uint8_t)PyLong_AsLong(PyTuple_GET_ITEM(found, 3));
    return 1;
}

// --- birth and death ----------------------------------------------------------------------------------------------

enum { MOST_DEPTH = 256 };

// Is it possible for *self* to be made of *part*? 0, or -1 with ValueError. A pointer to a struct is as far as anybody looks.
static int ctype_nest(CTypeObject *self, const CTypeObject *part)
{
    unsigned depth = self->kind == CK_POINTER && ctype_is_record(part) ? 1 : part->depth + 1U;
    if (depth > MOST_DEPTH) {
        PyErr_Format(PyExc_ValueError, "the types nest deeper than %d levels", MOST_DEPTH);
        return -1;
    }
    if (depth > self->depth) {
        self->depth = (uint16_t)depth;
    }
    return 0;
}

static CTypeObject *ctype_new(core_state *state, ckind kind)
{
    CTypeObject *self = (CTypeObject *)state->CType->tp_alloc(state->CType, 0);
    if (self != NULL) {
        self->kind = kind;
        self->length = -1;
        self->align = 1;
    }
    return self;
}

CTypeObject *ctype_pointer_to(core_state *state, CTypeObject *target, bool readonly, size_t pointer_size)
{
    CTypeObject *self = ctype_new(state, CK_POINTER);
    if (self != NULL) {
        self->item = (CTypeObject *)Py_NewRef((PyObject *)target);
        self->readonly = readonly;
        self->size = pointer_size;
        self->align = (uint32_t)pointer_size;
        self->complete = true;
        if (ctype_nest(self, target) < 0) {
            Py_CLEAR(self);
        }
    }
    return self;
}

CTypeObject *ctype_array_of(core_state *state, CTypeObject *item, Py_ssize_t length)
{
    if (!item->complete) {
        PyObject *text = ctype_spell(item, "");
        if (text != NULL) {
            PyErr_Format(PyExc_TypeError, "an array's items need a size, and %U has none", text);
            Py_DECREF(text);
        }
        return NULL;
    }
    if (length > 0 && item->size > 0 && (size_t)length > (size_t)PY_SSIZE_T_MAX / item->size) {
        PyErr_SetString(PyExc_OverflowError, "the array is larger than any memory");
        return NULL;
    }
    CTypeObject *self = ctype_new(state, CK_ARRAY);
    if (self != NULL) {
        self->item = (CTypeObject *)Py_NewRef((PyObject *)item);
        self->length = length;
        self->size = length > 0 ? item->size * (size_t)length : 0;
        self->align = item->align;
        self->complete = length >= 0;
        if (ctype_nest(self, item) < 0) {
            Py_CLEAR(self);
        }
    }
    return self;
}

static int CType_traverse(PyObject *object, visitproc visit, void *arg)
{
    CTypeObject *self = ctype_cast(object);
    Py_VISIT(Py_TYPE(object));
    Py_VISIT(self->item);
    for (Py_ssize_t i = 0; i < self->field_count; i++) {
        Py_VISIT(self->fields[i].type);
    }
    Py_VISIT(self->field_index);
    Py_VISIT(self->parameters);
    Py_VISIT(self->enumeration);
    return 0;
}

// A cycle goes through a struct's fields. What is left can still be asked; `define` alone makes a type complete.
static int CType_clear(PyObject *object)
{
    CTypeObject *self = ctype_cast(object);
    Py_ssize_t count = self->field_count;
    cfield *fields = self->fields;
    self->field_count = 0;
    self->fields = NULL;
    self->single = NULL;
    self->complete = self->complete && !ctype_is_record(self);
    for (Py_ssize_t i = 0; i < count; i++) {
        Py_XDECREF(fields[i].name);
        Py_XDECREF(fields[i].type);
    }
    PyMem_Free(fields);
    Py_CLEAR(self->field_index);
    Py_CLEAR(self->enumeration);
    return 0;
}

static void CType_dealloc(PyObject *object)
{
    CTypeObject *self = ctype_cast(object);
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    Py_TRASHCAN_BEGIN(object, CType_dealloc)  // structs may be linked by pointers in any number
        if (self->weakrefs != NULL)
    {
        PyObject_ClearWeakRefs(object);
    }
    CType_clear(object);
    Py_XDECREF(self->item);
    Py_XDECREF(self->parameters);
    Py_XDECREF(self->parameter_names);
    Py_XDECREF(self->name);
    Py_XDECREF(self->format);
    type->tp_free(object);
    Py_DECREF(type);
    Py_TRASHCAN_END
}

// --- constructors -------------------------------------------------------------------------------------------------

PyDoc_STRVAR(
    CType_scalar_doc,
    "scalar($type, kind, name, size, align=None, signed=False)\n--\n\n"
    "A type without parts: kind is 'void', 'bool', 'char', 'integer', 'float' or 'complex'.\n\n"
    "name: str, as C spells it. size, align: int, bytes; 0 for void; align is by default the size, and half of it\n"
    "for a complex one. Raises ValueError for what no value has: an integer of 3 bytes, a float of 2.");

static PyObject *CType_scalar(PyObject *class, PyObject *args, PyObject *keywords)
{
    static char *names[] = {"kind", "name", "size", "align", "signed", NULL};
    const char *kind_name;
    PyObject *name, *align = Py_None;
    Py_ssize_t size;
    int is_signed = 0;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "sUn|Op:scalar", names, &kind_name, &name, &size, &align,
                                     &is_signed)) {
        return NULL;
    }
    ckind kind = CK_VOID;
    while (kind <= CK_COMPLEX && strcmp(kind_names[kind], kind_name) != 0) {
        kind++;
    }
    bool power = size == 1 || size == 2 || size == 4 || size == 8;
    bool fits = kind == CK_VOID                      ? size == 0
                : kind == CK_BOOL || kind == CK_CHAR ? size == 1
                : kind == CK_INTEGER                 ? power
                : kind == CK_FLOAT                   ? size == 4 || size == 8 || size == 16
                : kind == CK_COMPLEX                 ? size == 8 || size == 16 || size == 32
                                                     : false;
    if (!fits) {
        return PyErr_Format(PyExc_ValueError, "CType.scalar(): no value is a %s of %zd bytes", kind_name, size);
    }
    Py_ssize_t alignment = size > 0 ? size : 1;
    if (kind == CK_COMPLEX) {
        alignment /= 2;
    }
    if (align != Py_None) {
        alignment = PyNumber_AsSsize_t(align, PyExc_OverflowError);
        if (alignment == -1 && PyErr_Occurred()) {
            return NULL;
        }
    }
    if (alignment < 1 || alignment > 16) {
        PyErr_SetString(PyExc_ValueError, "CType.scalar(): an alignment is from 1 to 16");
        return NULL;
    }
    CTypeObject *self = ctype_new((core_state *)PyType_GetModuleState((PyTypeObject *)class), kind);
    if (self != NULL) {
        self->name = Py_NewRef(name);
        self->size = (size_t)size;
        self->align = (uint32_t)alignment;
        self->is_signed = is_signed;
        self->complete = kind != CK_VOID;
    }
    return (PyObject *)self;
}

PyDoc_STRVAR(CType_enumeration_doc,
             "enumeration($type, name, integer, enumeration=None)\n--\n\n"
             "An enum: the integer type that holds it, and the IntEnum whose members its values become.");

static PyObject *CType_enumeration(PyObject *class, PyObject *args, PyObject *keywords)
{
    static char *names[] = {"name", "integer", "enumeration", NULL};
    core_state *state = (core_state *)PyType_GetModuleState((PyTypeObject *)class);
    PyObject *name, *enumeration = Py_None;
    CTypeObject *integer;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "UO!|O:enumeration", names, &name, state->CType, &integer,
                                     &enumeration)) {
        return NULL;
    }
    if (integer->kind != CK_INTEGER) {
        PyErr_SetString(PyExc_ValueError, "CType.enumeration(): an enum is held by an integer type");
        return NULL;
    }
    CTypeObject *self = ctype_new(state, CK_ENUM);
    if (self != NULL) {
        self->name = Py_NewRef(name);
        self->item = (CTypeObject *)Py_NewRef((PyObject *)integer);
        self->size = integer->size;
        self->align = integer->align;
        self->is_signed = integer->is_signed;
        self->complete = true;
        self->enumeration = enumeration != Py_None ? Py_NewRef(enumeration) : NULL;
    }
    return (PyObject *)self;
}

PyDoc_STRVAR(CType_pointer_doc,
             "pointer($type, target, readonly=False, size=4)\n--\n\n"
             "A pointer to *target*, which is const if *readonly*; size: 4 or 8 bytes, the memory's addresses'.");

static PyObject *CType_pointer(PyObject *class, PyObject *args, PyObject *keywords)
{
    static char *names[] = {"target", "readonly", "size", NULL};
    core_state *state = (core_state *)PyType_GetModuleState((PyTypeObject *)class);
    CTypeObject *target;
    int readonly = 0;
    Py_ssize_t size = 4;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "O!|pn:pointer", names, state->CType, &target, &readonly, &size)) {
        return NULL;
    }
    if (size != 4 && size != 8) {
        PyErr_SetString(PyExc_ValueError, "CType.pointer(): a pointer has 4 or 8 bytes");
        return NULL;
    }
    return (PyObject *)ctype_pointer_to(state, target, readonly, (size_t)size);
}

PyDoc_STRVAR(CType_array_doc,
             "array($type, item, length=None)\n--\n\n"
             "An array of *length* items, or of an unknown number (`int a[]`).\n\n"
             "Raises TypeError if the item's size is not known, OverflowError if the array's is beyond any memory.");

static PyObject *CType_array(PyObject *class, PyObject *args, PyObject *keywords)
{
    static char *names[] = {"item", "length", NULL};
    core_state *state = (core_state *)PyType_GetModuleState((PyTypeObject *)class);
    CTypeObject *item;
    PyObject *length_object = Py_None;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "O!|O:array", names, state->CType, &item, &length_object)) {
        return NULL;
    }
    Py_ssize_t length = -1;
    if (length_object != Py_None) {
        length = PyNumber_AsSsize_t(length_object, PyExc_OverflowError);
        if (length < 0) {
            if (!PyErr_Occurred()) {
                PyErr_SetString(PyExc_ValueError, "CType.array(): a length is not negative");
            }
            return NULL;
        }
    }
    return (PyObject *)ctype_array_of(state, item, length);
}

PyDoc_STRVAR(CType_record_doc, "record($type, kind, name)\n--\n\n"
                               "A 'struct' or 'union', incomplete until it is defined.");

static PyObject *CType_record(PyObject *class, PyObject *args, PyObject *keywords)
{
    static char *names[] = {"kind", "name", NULL};
    const char *kind_name;
    PyObject *name;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "sU:record", names, &kind_name, &name)) {
        return NULL;
    }
    ckind kind = strcmp(kind_name, "struct") == 0 ? CK_STRUCT : strcmp(kind_name, "union") == 0 ? CK_UNION : CK_VOID;
    if (kind == CK_VOID) {
        return PyErr_Format(PyExc_ValueError, "CType.record(): kind is 'struct' or 'union', not '%.100s'", kind_name);
    }
    CTypeObject *self = ctype_new((core_state *)PyType_GetModuleState((PyTypeObject *)class), kind);
    if (self != NULL) {
        self->name = Py_NewRef(name);
    }
    return (PyObject *)self;
}

PyDoc_STRVAR(CType_function_doc,
             "function($type, result, parameters, names=None, variadic=False)\n--\n\n"
             "A function type: a CType, a sequence of CTypes, and as many names (str or None) for messages.");

static PyObject *CType_function(PyObject *class, PyObject *args, PyObject *keywords)
{
    static char *names[] = {"result", "parameters", "names", "variadic", NULL};
    core_state *state = (core_state *)PyType_GetModuleState((PyTypeObject *)class);
    CTypeObject *result;
    PyObject *parameters_object, *names_object = Py_None;
    int variadic = 0;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "O!O|Op:function", names, state->CType, &result,
                                     &parameters_object, &names_object, &variadic)) {
        return NULL;
    }
    PyObject *parameters = PySequence_Tuple(parameters_object);
    PyObject *parameter_names = NULL;
    CTypeObject *self = NULL;
    if (parameters == NULL) {
        return NULL;
    }
    Py_ssize_t count = PyTuple_GET_SIZE(parameters);
    if (names_object != Py_None) {
        parameter_names = PySequence_Tuple(names_object);
    }
    else {
        parameter_names = PyTuple_New(count);
        for (Py_ssize_t i = 0; parameter_names != NULL && i < count; i++) {
            PyTuple_SET_ITEM(parameter_names, i, Py_NewRef(Py_None));
        }
    }
    if (parameter_names == NULL) {
        goto done;
    }
    if (PyTuple_GET_SIZE(parameter_names) != count) {
        PyErr_SetString(PyExc_ValueError, "CType.function(): there is one name for each parameter");
        goto done;
    }
    if (result->kind == CK_ARRAY || result->kind == CK_FUNCTION) {
        PyErr_SetString(PyExc_TypeError, "CType.function(): a function returns no array and no function");
        goto done;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *parameter = PyTuple_GET_ITEM(parameters, i), *name = PyTuple_GET_ITEM(parameter_names, i);
        if (!is_ctype(state, parameter) || (name != Py_None && !PyUnicode_Check(name))) {
            PyErr_SetString(PyExc_TypeError, "CType.function(): parameters are CTypes, names are str or None");
            goto done;
        }
        ckind kind = ctype_cast(parameter)->kind;
        if (kind == CK_VOID || kind == CK_ARRAY || kind == CK_FUNCTION) {
            PyErr_SetString(PyExc_TypeError,
                            "CType.function(): arrays and functions are passed as pointers, void is no parameter");
            goto done;
        }
    }
    self = ctype_new(state, CK_FUNCTION);
    if (self != NULL) {
        self->item = (CTypeObject *)Py_NewRef((PyObject *)result);
        self->parameters = Py_NewRef(parameters);
        self->parameter_names = Py_NewRef(parameter_names);
        self->variadic = variadic;
        int status = ctype_nest(self, result);
        for (Py_ssize_t i = 0; status == 0 && i < count; i++) {
            status = ctype_nest(self, ctype_cast(PyTuple_GET_ITEM(parameters, i)));
        }
        if (status < 0) {
            Py_CLEAR(self);
        }
    }
done:
    Py_DECREF(parameters);
    Py_XDECREF(parameter_names);
    return (PyObject *)self;
}

// --- defining -------------------------------------------------------------------------------------------------------

// One more name to look a field up by: 0 or -1.
static int index_add(PyObject *index, PyObject *name, const cfield *field, size_t offset)
{
    PyObject *entry = Py_BuildValue("(Onii)", (PyObject *)field->type, (Py_ssize_t)offset, (int)field->bit_offset,
                                    (int)field->bit_width);
    int status = entry != NULL ? PyDict_SetItem(index, name, entry) : -1;
    Py_XDECREF(entry);
    return status;
}

static int index_add_all(PyObject *index, const cfield *fields, Py_ssize_t count, size_t base)
{
    for (Py_ssize_t i = 0; i < count; i++) {
        const cfield *field = &fields[i];
        int status = field->name != NULL
                         ? index_add(index, field->name, field, base + field->offset)
                         : index_add_all(index, field->type->fields, field->type->field_count, base + field->offset);
        if (status < 0) {
            return -1;
        }
    }
    return 0;
}

// The only scalar in a struct or union, looking through those in it and arrays of one, where no padding is beside it.
static CTypeObject *single_of(const CTypeObject *type)
{
    if (!ctype_is_record(type)) {
        return NULL;
    }
    CTypeObject *found = NULL;
    for (Py_ssize_t i = 0; i < type->field_count; i++) {
        CTypeObject *field = type->fields[i].type;
        while (field->kind == CK_ARRAY && field->length == 1) {
            field = field->item;
        }
        if (field->kind == CK_STRUCT && field->size == 0) {
            continue;  // takes no place
        }
        if (found != NULL) {
            return NULL;
        }
        found = ctype_is_aggregate(field) ? single_of(field) : field;
        if (found == NULL) {
            return NULL;
        }
    }
    return found != NULL && found->size == type->size ? found : NULL;
}

static int field_read(core_state *state, PyObject *item, cfield *field)
{
    PyObject *name, *type, *fast = PySequence_Tuple(item);
    Py_ssize_t offset;
    int bit_offset = 0, bit_width = 0;
    if (fast == NULL ||
        !PyArg_ParseTuple(fast, "OO!n|ii:define", &name, state->CType, &type, &offset, &bit_offset, &bit_width)) {
        Py_XDECREF(fast);
        return -1;
    }
    const CTypeObject *of = ctype_cast(type);
    int status = -1;
    bool is_bits = bit_width != 0;
    if (name != Py_None && !PyUnicode_Check(name)) {
        PyErr_SetString(PyExc_TypeError, "CType.define(): a field's name is str or None");
    }
    else if (name == Py_None && !ctype_is_record(of)) {
        PyErr_SetString(PyExc_TypeError, "CType.define(): only structs and unions are anonymous");
    }
    else if (offset < 0 || (!of->complete && of->kind != CK_ARRAY) || of->kind == CK_FUNCTION) {
        PyErr_SetString(PyExc_ValueError,
                        "CType.define(): a field has a complete type and an offset that is not negative");
    }
    else if (is_bits && ((!ctype_is_integer(of) && of->kind != CK_BOOL) || bit_offset < 0 || bit_width < 0 ||
                         (size_t)bit_offset + (size_t)bit_width > of->size * 8)) {
        PyErr_SetString(PyExc_ValueError, "CType.define(): a bit-field lies within an integer");
    }
    else {
        field->name = name != Py_None ? Py_NewRef(name) : NULL;
        field->type = (CTypeObject *)Py_NewRef(type);
        field->offset = (size_t)offset;
        field->bit_offset = (uint8_t)bit_offset;
        field->bit_width = (uint8_t)bit_width;
        status = 0;
    }
    Py_DECREF(fast);
    return status;
}

PyDoc_STRVAR(
    CType_define_doc,
    "define($self, fields, size, align)\n--\n\n"
    "Give a struct or union its fields, once: tuples (name, type, offset[, bit offset, bit width]).\n\n"
    "size, align, offset: int, bytes. A name of None is an anonymous struct or union, whose fields count as this\n"
    "type's. A bit-field lies in the unit of its type at *offset*, bits counted from the lowest.\n"
    "Raises ValueError for a field that does not lie within the size, and if the type is complete already.");

static PyObject *CType_define(PyObject *object, PyObject *args, PyObject *keywords)
{
    static char *names[] = {"fields", "size", "align", NULL};
    CTypeObject *self = ctype_cast(object);
    core_state *state = state_of(object);
    PyObject *fields_object;
    Py_ssize_t size, align;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "Onn:define", names, &fields_object, &size, &align)) {
        return NULL;
    }
    if (!ctype_is_record(self) || self->complete) {
        PyErr_SetString(PyExc_ValueError, "CType.define(): only a struct or union can be defined, and only once");
        return NULL;
    }
    if (size < 0 || align < 1 || align > 1 << 16) {
        PyErr_SetString(PyExc_ValueError, "CType.define(): the size or the alignment is impossible");
        return NULL;
    }
    PyObject *items = PySequence_Tuple(fields_object);
    PyObject *index = PyDict_New();
    Py_ssize_t count = items != NULL ? PyTuple_GET_SIZE(items) : 0, done = 0;
    cfield *fields = PyMem_Calloc((size_t)count + 1, sizeof(*fields));
    if (items == NULL || index == NULL || fields == NULL) {
        if (fields == NULL) {
            PyErr_NoMemory();
        }
        goto error;
    }
    for (; done < count; done++) {
        if (field_read(state, PyTuple_GET_ITEM(items, done), &fields[done]) < 0) {
            goto error;
        }
        if (ctype_nest(self, fields[done].type) < 0) {
            done++;
            goto error;
        }
        if (fields[done].offset > (size_t)size || fields[done].type->size > (size_t)size - fields[done].offset) {
            // A bit-field's unit may reach beyond the end; its bits may not.
            size_t bits = (size_t)fields[done].bit_offset + fields[done].bit_width;
            if (fields[done].bit_width == 0 || fields[done].offset * 8 + bits > (size_t)size * 8) {
                PyErr_SetString(PyExc_ValueError, "CType.define(): a field lies beyond the struct's end");
                done++;
                goto error;
            }
        }
    }
    if (self->complete || index_add_all(index, fields, count, 0) < 0) {
        goto error;
    }
    self->fields = fields;
    self->field_count = count;
    self->field_index = index;
    self->size = (size_t)size;
    self->align = (uint32_t)align;
    self->complete = true;
    self->single = single_of(self);
    Py_DECREF(items);
    return Py_NewRef(Py_None);

error:
    for (Py_ssize_t i = 0; fields != NULL && i < done; i++) {
        Py_XDECREF(fields[i].name);
        Py_XDECREF(fields[i].type);
    }
    PyMem_Free(fields);
    Py_XDECREF(index);
    Py_XDECREF(items);
    return NULL;
}

// --- properties -----------------------------------------------------------------------------------------------------

static PyObject *CType_get_kind(PyObject *object, void *Py_UNUSED(closure))
{
    return PyUnicode_FromString(kind_names[ctype_cast(object)->kind]);
}

static PyObject *CType_get_name(PyObject *object, void *Py_UNUSED(closure))
{
    return ctype_spell(ctype_cast(object), "");
}

static PyObject *CType_get_size(PyObject *object, void *Py_UNUSED(closure))
{
    CTypeObject *self = ctype_cast(object);
    return self->complete ? PyLong_FromSize_t(self->size) : Py_NewRef(Py_None);
}

static PyObject *CType_get_align(PyObject *object, void *Py_UNUSED(closure))
{
    CTypeObject *self = ctype_cast(object);
    return self->complete ? PyLong_FromUnsignedLong(self->align) : Py_NewRef(Py_None);
}

static PyObject *CType_get_item(PyObject *object, void *Py_UNUSED(closure))
{
    PyObject *item = (PyObject *)ctype_cast(object)->item;
    return Py_NewRef(item != NULL ? item : Py_None);
}

static PyObject *CType_get_length(PyObject *object, void *Py_UNUSED(closure))
{
    CTypeObject *self = ctype_cast(object);
    return self->length >= 0 ? PyLong_FromSsize_t(self->length) : Py_NewRef(Py_None);
}

static PyObject *CType_get_fields(PyObject *object, void *Py_UNUSED(closure))
{
    CTypeObject *self = ctype_cast(object);
    if (!ctype_is_record(self) || !self->complete) {
        return Py_NewRef(Py_None);
    }
    PyObject *fields = PyTuple_New(self->field_count);
    for (Py_ssize_t i = 0; fields != NULL && i < self->field_count; i++) {
        const cfield *field = &self->fields[i];
        PyObject *item = Py_BuildValue("(OOnii)", field->name != NULL ? field->name : Py_None, (PyObject *)field->type,
                                       (Py_ssize_t)field->offset, (int)field->bit_offset, (int)field->bit_width);
        if (item == NULL) {
            Py_CLEAR(fields);
            break;
        }
        PyTuple_SET_ITEM(fields, i, item);
    }
    return fields;
}

static PyObject *CType_get_parameters(PyObject *object, void *Py_UNUSED(closure))
{
    PyObject *parameters = ctype_cast(object)->parameters;
    return Py_NewRef(parameters != NULL ? parameters : Py_None);
}

static PyObject *CType_get_parameter_names(PyObject *object, void *Py_UNUSED(closure))
{
    PyObject *names = ctype_cast(object)->parameter_names;
    return Py_NewRef(names != NULL ? names : Py_None);
}

static PyObject *CType_get_members(PyObject *object, void *Py_UNUSED(closure))
{
    PyObject *enumeration = ctype_cast(object)->enumeration;
    return Py_NewRef(enumeration != NULL ? enumeration : Py_None);
}

static PyObject *CType_repr(PyObject *object)
{
    PyObject *name = ctype_spell(ctype_cast(object), "");
    PyObject *text = name != NULL ? PyUnicode_FromFormat("<anywasm.clib.CType '%U'>", name) : NULL;
    Py_XDECREF(name);
    return text;
}

static PyObject *CType_richcompare(PyObject *self, PyObject *other, int op)
{
    if (Py_TYPE(self) != Py_TYPE(other) || (op != Py_EQ && op != Py_NE)) {
        Py_RETURN_NOTIMPLEMENTED;
    }
    return PyBool_FromLong(ctype_equal(ctype_cast(self), ctype_cast(other)) == (op == Py_EQ));
}

static Py_hash_t CType_hash(PyObject *object)
{
    const CTypeObject *self = ctype_cast(object);
    return (Py_hash_t)(((uint64_t)self->kind << 32) ^ (ctype_is_record(self) ? 0 : self->size));
}

// --- tables -----------------------------------------------------------------------------------------------------------

PyDoc_STRVAR(
    CType_doc,
    "A C type, with the sizes and the layout that it has in a library's memory.\n\n"
    "Library.typeof() gives one for C's spelling of it. Immutable and hashable; two are equal if C takes them for the\n"
    "same type.");

#define CTYPE_CLASSMETHOD(name) \
    {#name, (PyCFunction)(void (*)(void))CType_##name, METH_VARARGS | METH_KEYWORDS | METH_CLASS, CType_##name##_doc}

static PyMethodDef CType_methods[] = {
    CTYPE_CLASSMETHOD(scalar),
    CTYPE_CLASSMETHOD(enumeration),
    CTYPE_CLASSMETHOD(pointer),
    CTYPE_CLASSMETHOD(array),
    CTYPE_CLASSMETHOD(record),
    CTYPE_CLASSMETHOD(function),
    {"define", (PyCFunction)(void (*)(void))CType_define, METH_VARARGS | METH_KEYWORDS, CType_define_doc},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef CType_getset[] = {
    {"kind", CType_get_kind, NULL,
     "str: 'void', 'bool', 'char', 'integer', 'float', 'complex', 'enum', 'pointer', 'array', 'struct', 'union' or "
     "'function'.",
     NULL},
    {"name", CType_get_name, NULL, "str: as C spells it.", NULL},
    {"size", CType_get_size, NULL, "int: bytes, or None where that is not known.", NULL},
    {"align", CType_get_align, NULL, "int: bytes, or None where that is not known.", NULL},
    {"item", CType_get_item, NULL,
     "CType: what a pointer points at, an array's item, an enum's integer type, a function's result; else None.", NULL},
    {"length", CType_get_length, NULL, "int: of an array; None if it has none.", NULL},
    {"fields", CType_get_fields, NULL,
     "tuple: (name, type, offset, bit offset, bit width) for each field of a struct or union; else None.", NULL},
    {"parameters", CType_get_parameters, NULL, "tuple of CType: a function's; else None.", NULL},
    {"parameter_names", CType_get_parameter_names, NULL, "tuple of str or None: a function's parameters' names.", NULL},
    {"members", CType_get_members, NULL, "type: the IntEnum of an enum, if it has one; else None.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef CType_members[] = {
    {"signed", Py_T_BOOL, offsetof(CTypeObject, is_signed), Py_READONLY, "bool: an integer type has negative values."},
    {"readonly", Py_T_BOOL, offsetof(CTypeObject, readonly), Py_READONLY, "bool: a pointer points at what is const."},
    {"variadic", Py_T_BOOL, offsetof(CTypeObject, variadic), Py_READONLY, "bool: a function takes further arguments."},
    {"__weaklistoffset__", Py_T_PYSSIZET, offsetof(CTypeObject, weakrefs), Py_READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot CType_slots[] = {
    {Py_tp_doc, (void *)CType_doc},
    {Py_tp_traverse, CType_traverse},
    {Py_tp_clear, CType_clear},
    {Py_tp_dealloc, CType_dealloc},
    {Py_tp_repr, CType_repr},
    {Py_tp_richcompare, CType_richcompare},
    {Py_tp_hash, CType_hash},
    {Py_tp_methods, CType_methods},
    {Py_tp_getset, CType_getset},
    {Py_tp_members, CType_members},
    {0, NULL},
};

PyType_Spec CType_spec = {
    .name = "anywasm.clib.CType",
    .basicsize = sizeof(CTypeObject),
    .flags = AW_TYPE_FLAGS | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = CType_slots,
};

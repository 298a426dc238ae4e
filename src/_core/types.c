// SPDX-License-Identifier: Apache-2.0
// The types of what modules import and export: ValType, FuncType, MemoryType, TableType, GlobalType, TagType, and the
// descriptions of an import and an export. All are immutable, belong to no store, compare by value, and can be pickled.
//
// They refer to nothing but types and strings, so a cycle through one of them goes through its class and thereby the module,
// which breaks it: they are traversed, but have no tp_clear.

#include "types.h"

// --- value types as text -------------------------------------------------------------------------------------

// Number and vector types, by kind.
static const char *const number_names[] = {
    [AW_I32] = "i32", [AW_I64] = "i64", [AW_F32] = "f32", [AW_F64] = "f64", [AW_V128] = "v128",
};

// Heap types (specification 3.0, section 6.4.2) and the short form of a nullable reference to one.
static const struct {
    const char *name, *shorthand;
} heap_names[] = {
    [AW_HEAP_FUNC] = {"func", "funcref"},       [AW_HEAP_NOFUNC] = {"nofunc", "nullfuncref"},
    [AW_HEAP_EXTERN] = {"extern", "externref"}, [AW_HEAP_NOEXTERN] = {"noextern", "nullexternref"},
    [AW_HEAP_ANY] = {"any", "anyref"},          [AW_HEAP_EQ] = {"eq", "eqref"},
    [AW_HEAP_I31] = {"i31", "i31ref"},          [AW_HEAP_STRUCT] = {"struct", "structref"},
    [AW_HEAP_ARRAY] = {"array", "arrayref"},    [AW_HEAP_NONE] = {"none", "nullref"},
    [AW_HEAP_EXN] = {"exn", "exnref"},          [AW_HEAP_NOEXN] = {"noexn", "nullexnref"},
};

enum { HEAP_COUNT = sizeof(heap_names) / sizeof(heap_names[0]) };

const char *valtype_text(aw_valtype type, char buffer[VALTYPE_TEXT_SIZE])
{
    if (type.kind >= AW_I32 && type.kind <= AW_V128) {
        PyOS_snprintf(buffer, VALTYPE_TEXT_SIZE, "%s", number_names[type.kind]);
    }
    else if (type.kind != AW_REF || type.heap == AW_HEAP_NONE_OF || type.heap >= HEAP_COUNT) {
        PyOS_snprintf(buffer, VALTYPE_TEXT_SIZE, "(unknown %d %d)", type.kind, type.heap);
    }
    else if (type.nullable && !type.concrete) {
        PyOS_snprintf(buffer, VALTYPE_TEXT_SIZE, "%s", heap_names[type.heap].shorthand);
    }
    else {
        // Which type a concrete one is stays with its module, so it has no name: "$func" is some function type.
        PyOS_snprintf(buffer, VALTYPE_TEXT_SIZE, "(ref %s%s%s)", type.nullable ? "null " : "", type.concrete ? "$" : "",
                      heap_names[type.heap].name);
    }
    return buffer;
}

static bool heap_can_be_concrete(uint8_t heap)
{
    return heap == AW_HEAP_FUNC || heap == AW_HEAP_STRUCT || heap == AW_HEAP_ARRAY || heap == AW_HEAP_EXN;
}

// The next word of "(ref null func)", up to a blank or the closing parenthesis; *text is moved behind it.
static size_t next_word(const char **text, const char **word)
{
    while (**text == ' ' || **text == '\t' || **text == '\n') {
        (*text)++;
    }
    *word = *text;
    while (**text != '\0' && **text != ' ' && **text != '\t' && **text != '\n' && **text != ')') {
        (*text)++;
    }
    return (size_t)(*text - *word);
}

static bool word_is(const char *word, size_t length, const char *expected)
{
    return strlen(expected) == length && memcmp(word, expected, length) == 0;
}

static bool reference_parse(const char *text, aw_valtype *out)
{
    const char *word;
    size_t length = next_word(&text, &word);
    if (!word_is(word, length, "ref")) {
        return false;
    }
    aw_valtype type = {.kind = AW_REF};
    length = next_word(&text, &word);
    if (word_is(word, length, "null")) {
        type.nullable = 1;
        length = next_word(&text, &word);
    }
    if (length > 0 && word[0] == '$') {
        type.concrete = 1;
        word++;
        length--;
    }
    for (uint8_t heap = AW_HEAP_FUNC; heap < HEAP_COUNT; heap++) {
        if (word_is(word, length, heap_names[heap].name) && (!type.concrete || heap_can_be_concrete(heap))) {
            type.heap = heap;
        }
    }
    const char *rest;
    if (type.heap == AW_HEAP_NONE_OF || next_word(&text, &rest) > 0 || *text != ')' || text[1] != '\0') {
        return false;
    }
    *out = type;
    return true;
}

// *text* in any form of the text format to a value type; false if it is none.
static bool valtype_parse(const char *text, aw_valtype *out)
{
    if (text[0] == '(') {
        return reference_parse(text + 1, out);
    }
    for (uint8_t kind = AW_I32; kind <= AW_V128; kind++) {
        if (strcmp(text, number_names[kind]) == 0) {
            *out = (aw_valtype){.kind = kind};
            return true;
        }
    }
    for (uint8_t heap = AW_HEAP_FUNC; heap < HEAP_COUNT; heap++) {
        if (strcmp(text, heap_names[heap].shorthand) == 0) {
            *out = (aw_valtype){.kind = AW_REF, .heap = heap, .nullable = 1};
            return true;
        }
    }
    return false;
}

// The name most like *text*: a new string, or NULL with an exception; empty if nothing is near.
static PyObject *valtype_near(PyObject *text)
{
    if (PyUnicode_GET_LENGTH(text) > 40) {  // no slip of the finger
        return PyUnicode_FromString("");
    }
    PyObject *names = PyList_New(0), *difflib = PyImport_ImportModule("difflib"), *near = NULL;
    int status = names != NULL && difflib != NULL ? 0 : -1;
    for (int i = AW_I32; status == 0 && i < (int)AW_V128 + HEAP_COUNT; i++) {
        PyObject *name = PyUnicode_FromString(i <= AW_V128 ? number_names[i] : heap_names[i - AW_V128].shorthand);
        status = name != NULL ? PyList_Append(names, name) : -1;
        Py_XDECREF(name);
    }
    if (status == 0) {
        PyObject *found = PyObject_CallMethod(difflib, "get_close_matches", "OOi", text, names, 1);
        if (found != NULL && PyList_Check(found)) {
            near = PyList_GET_SIZE(found) > 0 ? PyUnicode_FromFormat(" (did you mean %R?)", PyList_GET_ITEM(found, 0))
                                              : PyUnicode_FromString("");
        }
        Py_XDECREF(found);
    }
    Py_XDECREF(names);
    Py_XDECREF(difflib);
    return near;
}

// The error of valtype_convert, with where it happened, as printf would say it, in front.
static int valtype_error(PyObject *object, const char *where)
{
    if (!PyUnicode_Check(object)) {
        PyErr_Format(PyExc_TypeError, "%sexpected a ValType or its text such as 'i32', got %.200s", where,
                     Py_TYPE(object)->tp_name);
        return -1;
    }
    PyObject *near = valtype_near(object);
    if (near != NULL) {
        PyErr_Format(
            PyExc_ValueError,
            "%sunknown value type %.80R%U: there are i32, i64, f32, f64, v128, funcref, externref, exnref, anyref, "
            "eqref, i31ref, structref, arrayref, and forms such as (ref null func)",
            where, object, near);
        Py_DECREF(near);
    }
    return -1;
}

static bool valtype_try(core_state *state, PyObject *object, aw_valtype *out)
{
    if (Py_TYPE(object) == state->ValType) {
        *out = ((ValTypeObject *)object)->type;
        return true;
    }
    if (!PyUnicode_Check(object)) {
        return false;
    }
    Py_ssize_t length;
    const char *text = PyUnicode_AsUTF8AndSize(object, &length);
    if (text == NULL) {  // lone surrogates
        PyErr_Clear();
        return false;
    }
    return strlen(text) == (size_t)length && valtype_parse(text, out);
}

int valtype_convert(core_state *state, PyObject *object, aw_valtype *out)
{
    return valtype_try(state, object, out) ? 0 : valtype_error(object, "");
}

// --- helpers of all types ---------------------------------------------------------------------------------------

static const char *const externkind_names[] = {
    [AW_EXTERN_FUNC] = "func",     [AW_EXTERN_TABLE] = "table", [AW_EXTERN_MEMORY] = "memory",
    [AW_EXTERN_GLOBAL] = "global", [AW_EXTERN_TAG] = "tag",
};

const char *externkind_text(aw_externkind kind)
{
    return (unsigned)kind <= AW_EXTERN_TAG ? externkind_names[kind] : "unknown";
}

// FNV-1a over the fields that matter; Python reserves -1 for errors.
static Py_uhash_t hash_more(Py_uhash_t hash, uint64_t value)
{
    for (int i = 0; i < 8; i++) {
        hash = (hash ^ (value & 0xFF)) * (Py_uhash_t)UINT64_C(1099511628211);
        value >>= 8;
    }
    return hash;
}

static Py_hash_t hash_end(Py_uhash_t hash)
{
    return hash == (Py_uhash_t)-1 ? -2 : (Py_hash_t)hash;
}

#define HASH_SEED ((Py_uhash_t)UINT64_C(14695981039346656037))

static Py_uhash_t hash_valtype(Py_uhash_t hash, aw_valtype type)
{
    return hash_more(hash, (uint64_t)type.kind | (uint64_t)type.heap << 8 | (uint64_t)type.nullable << 16 |
                               (uint64_t)type.concrete << 24);
}

static Py_uhash_t hash_limits(Py_uhash_t hash, const aw_limits *limits)
{
    hash = hash_more(hash, limits->min);
    hash = hash_more(hash, limits->has_max ? limits->max : UINT64_MAX);
    return hash_more(hash, (uint64_t)limits->has_max | (uint64_t)limits->is64 << 1);
}

static bool limits_equal(const aw_limits *a, const aw_limits *b)
{
    return a->min == b->min && a->has_max == b->has_max && (!a->has_max || a->max == b->max) && a->is64 == b->is64;
}

// The answer of a type's == and != from *equal*.
static PyObject *compare_result(bool equal, int op)
{
    return PyBool_FromLong(equal == (op == Py_EQ));
}

static bool comparable(PyObject *a, PyObject *b, int op)
{
    return (op == Py_EQ || op == Py_NE) && Py_TYPE(a) == Py_TYPE(b);
}

// A type of plain values: only its class to visit, nothing to free.
static int Plain_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    return 0;
}

static void Plain_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    type->tp_free(self);
    Py_DECREF(type);
}

// One limit of a memory or table: 0 or -1.
static int limit_convert(PyObject *object, const char *who, const char *what, uint64_t largest, uint64_t *out)
{
    if (!PyIndex_Check(object)) {
        PyErr_Format(PyExc_TypeError, "%s(): %s: expected an integer, got %.200s", who, what, Py_TYPE(object)->tp_name);
        return -1;
    }
    PyObject *number = PyNumber_Index(object);
    if (number == NULL) {
        return -1;
    }
    unsigned long long value = PyLong_AsUnsignedLongLong(number);
    bool failed = value == (unsigned long long)-1 && PyErr_Occurred();
    if (failed && !PyErr_ExceptionMatches(PyExc_OverflowError)) {
        Py_DECREF(number);
        return -1;
    }
    PyErr_Clear();
    if (failed || value > largest) {
        // The number may have more digits than Python likes to print.
        PyObject *text = PyObject_Str(number);
        if (text == NULL) {
            PyErr_Clear();
        }
        PyErr_Format(PyExc_ValueError, "%s(): %s: expected 0 to %llu, got %V", who, what, (unsigned long long)largest,
                     text, "a huge number");
        Py_XDECREF(text);
        Py_DECREF(number);
        return -1;
    }
    Py_DECREF(number);
    *out = value;
    return 0;
}

// minimum, maximum and index of a MemoryType or TableType: 0 or -1. *largest* counts by index type: [0] i32, [1] i64.
static int limits_convert(PyObject *minimum, PyObject *maximum, PyObject *index, const char *who,
                          const uint64_t largest[2], aw_limits *out)
{
    memset(out, 0, sizeof(*out));
    if (index != NULL) {
        if (!PyUnicode_Check(index)) {
            PyErr_Format(PyExc_TypeError, "%s(): index: expected 'i32' or 'i64', got %.200s", who,
                         Py_TYPE(index)->tp_name);
            return -1;
        }
        out->is64 = PyUnicode_CompareWithASCIIString(index, "i64") == 0;
        if (!out->is64 && PyUnicode_CompareWithASCIIString(index, "i32") != 0) {
            PyErr_Format(PyExc_ValueError, "%s(): index: expected 'i32' or 'i64', got %R", who, index);
            return -1;
        }
    }
    if (limit_convert(minimum, who, "minimum", largest[out->is64], &out->min) < 0) {
        return -1;
    }
    out->has_max = maximum != Py_None;
    if (out->has_max && limit_convert(maximum, who, "maximum", largest[out->is64], &out->max) < 0) {
        return -1;
    }
    if (out->has_max && out->min > out->max) {
        PyErr_Format(PyExc_ValueError, "%s(): the minimum %llu is above the maximum %llu", who,
                     (unsigned long long)out->min, (unsigned long long)out->max);
        return -1;
    }
    return 0;
}

static PyObject *limits_maximum(const aw_limits *limits)
{
    return limits->has_max ? PyLong_FromUnsignedLongLong(limits->max) : Py_NewRef(Py_None);
}

static PyObject *limits_index(const aw_limits *limits)
{
    return PyUnicode_FromString(limits->is64 ? "i64" : "i32");
}

// "1, 3" as a repr's arguments.
static PyObject *limits_arguments(const aw_limits *limits)
{
    return limits->has_max
               ? PyUnicode_FromFormat("%llu, %llu", (unsigned long long)limits->min, (unsigned long long)limits->max)
               : PyUnicode_FromFormat("%llu", (unsigned long long)limits->min);
}

// "1 to 3" or "at least 1" for people.
static PyObject *limits_text(const aw_limits *limits)
{
    return limits->has_max
               ? PyUnicode_FromFormat("%llu to %llu", (unsigned long long)limits->min, (unsigned long long)limits->max)
               : PyUnicode_FromFormat("at least %llu", (unsigned long long)limits->min);
}

// Matching of limits (specification 3.0, section 3.3.10). *size* is the given object's size now.
static bool limits_match(const aw_limits *given, const aw_limits *wanted, uint64_t size)
{
    return given->is64 == wanted->is64 && (size > given->min ? size : given->min) >= wanted->min &&
           (!wanted->has_max || (given->has_max && given->max <= wanted->max));
}

// --- ValType ------------------------------------------------------------------------------------------------------

PyObject *valtype_wrap(core_state *state, aw_valtype type)
{
    // There are few value types (five, and four forms of each of twelve heap types), so each is one object.
    PyObject *key = PyLong_FromLong((long)type.kind | (long)type.heap << 8 | (long)type.nullable << 16 |
                                    (long)type.concrete << 17);
    if (key == NULL) {
        return NULL;
    }
    PyObject *self = Py_XNewRef(PyDict_GetItemWithError(state->valtypes, key));
    if (self == NULL && !PyErr_Occurred()) {
        self = state->ValType->tp_alloc(state->ValType, 0);
        if (self != NULL) {
            ((ValTypeObject *)self)->type = type;
            if (PyDict_SetItem(state->valtypes, key, self) < 0) {
                Py_CLEAR(self);
            }
        }
    }
    Py_DECREF(key);
    return self;
}

PyDoc_STRVAR(
    ValType_doc,
    "ValType(text, /)\n--\n\n"
    "The type of a value: a number, a vector or a reference.\n\n"
    "text: str, as WebAssembly's text format has it: i32, i64, f32, f64, v128, funcref, externref, exnref, anyref,\n"
    "  eqref, i31ref, structref, arrayref, nullref, nullfuncref, nullexternref, nullexnref, or in full:\n"
    "  (ref func), (ref null eq), … A type that a module defines itself shows as (ref $func), (ref $struct) or\n"
    "  (ref $array).\n\n"
    "Raises ValueError for a text that is none of these. Wherever a ValType is expected its text does as well.\n"
    "str() gives the shortest text. Equal types are one object. Specification, section 2.3.");

static PyObject *ValType_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    static char *names[] = {"", NULL};
    core_state *state = (core_state *)PyType_GetModuleState(type);
    PyObject *text;
    aw_valtype value;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "O:ValType", names, &text)) {
        return NULL;
    }
    if (!valtype_try(state, text, &value)) {
        valtype_error(text, "ValType(): ");
        return NULL;
    }
    return valtype_wrap(state, value);
}

static aw_valtype valtype_of(PyObject *self)
{
    return ((ValTypeObject *)self)->type;
}

static PyObject *ValType_str(PyObject *self)
{
    char buffer[VALTYPE_TEXT_SIZE];
    return PyUnicode_FromString(valtype_text(valtype_of(self), buffer));
}

static PyObject *ValType_repr(PyObject *self)
{
    char buffer[VALTYPE_TEXT_SIZE];
    return PyUnicode_FromFormat("ValType('%s')", valtype_text(valtype_of(self), buffer));
}

static PyObject *ValType_richcompare(PyObject *self, PyObject *other, int op)
{
    if (!comparable(self, other, op)) {
        Py_RETURN_NOTIMPLEMENTED;
    }
    return compare_result(valtype_equal(valtype_of(self), valtype_of(other)), op);
}

static Py_hash_t ValType_hash(PyObject *self)
{
    return hash_end(hash_valtype(HASH_SEED, valtype_of(self)));
}

static PyObject *ValType_get_kind(PyObject *self, void *Py_UNUSED(closure))
{
    uint8_t kind = valtype_of(self).kind;
    return PyUnicode_FromString(kind == AW_REF ? "ref" : number_names[kind]);
}

static PyObject *ValType_get_heap_type(PyObject *self, void *Py_UNUSED(closure))
{
    aw_valtype type = valtype_of(self);
    return type.kind == AW_REF ? PyUnicode_FromString(heap_names[type.heap].name) : Py_NewRef(Py_None);
}

static PyObject *ValType_get_nullable(PyObject *self, void *Py_UNUSED(closure))
{
    return PyBool_FromLong(valtype_of(self).nullable);
}

static PyObject *ValType_get_concrete(PyObject *self, void *Py_UNUSED(closure))
{
    return PyBool_FromLong(valtype_of(self).concrete);
}

PyDoc_STRVAR(getnewargs_doc,
             "__getnewargs__($self, /)\n--\n\nReturn the constructor's arguments, for pickle and copy.");
PyDoc_STRVAR(
    getnewargs_ex_doc,
    "__getnewargs_ex__($self, /)\n--\n\nReturn the constructor's arguments and keywords, for pickle and copy.");

static PyObject *ValType_getnewargs(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return Py_BuildValue("(N)", ValType_str(self));
}

static PyMethodDef ValType_methods[] = {
    {"__getnewargs__", ValType_getnewargs, METH_NOARGS, getnewargs_doc},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef ValType_getset[] = {
    {"kind", ValType_get_kind, NULL, "str: 'i32', 'i64', 'f32', 'f64', 'v128' or 'ref'.", NULL},
    {"heap_type", ValType_get_heap_type, NULL,
     "str: what a reference points to, such as 'func' or 'eq'; None for numbers.", NULL},
    {"nullable", ValType_get_nullable, NULL, "bool: a reference that may be null.", NULL},
    {"concrete", ValType_get_concrete, NULL, "bool: a reference to a type that a module defines.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot ValType_slots[] = {
    {Py_tp_doc, (void *)ValType_doc},
    {Py_tp_new, ValType_new},
    {Py_tp_traverse, Plain_traverse},
    {Py_tp_dealloc, Plain_dealloc},
    {Py_tp_repr, ValType_repr},
    {Py_tp_str, ValType_str},
    {Py_tp_richcompare, ValType_richcompare},
    {Py_tp_hash, ValType_hash},
    {Py_tp_methods, ValType_methods},
    {Py_tp_getset, ValType_getset},
    {0, NULL},
};

PyType_Spec ValType_spec = {
    .name = "anywasm.ValType",
    .basicsize = sizeof(ValTypeObject),
    .flags = AW_TYPE_FLAGS | Py_TPFLAGS_HAVE_GC,
    .slots = ValType_slots,
};

// --- FuncType -----------------------------------------------------------------------------------------------------

static FuncTypeObject *functype_cast(PyObject *self)
{
    return (FuncTypeObject *)self;
}

static PyObject *valtype_tuple(core_state *state, const aw_valtype *types, uint32_t count)
{
    PyObject *tuple = PyTuple_New((Py_ssize_t)count);
    for (uint32_t i = 0; tuple != NULL && i < count; i++) {
        PyObject *item = valtype_wrap(state, types[i]);
        if (item == NULL) {
            Py_CLEAR(tuple);
            break;
        }
        PyTuple_SET_ITEM(tuple, (Py_ssize_t)i, item);
    }
    return tuple;
}

PyObject *functype_wrap(core_state *state, const aw_functype *type)
{
    uint32_t parameter_count = type->parameter_count, result_count = type->result_count;
    PyObject *object = state->FuncType->tp_alloc(state->FuncType,
                                                 (Py_ssize_t)parameter_count + (Py_ssize_t)result_count);
    if (object == NULL) {
        return NULL;
    }
    FuncTypeObject *self = functype_cast(object);
    if (parameter_count > 0) {
        memcpy(self->values, type->parameters, parameter_count * sizeof(aw_valtype));
    }
    if (result_count > 0) {
        memcpy(self->values + parameter_count, type->results, result_count * sizeof(aw_valtype));
    }
    self->type = (aw_functype){
        .parameter_count = parameter_count,
        .result_count = result_count,
        .parameters = self->values,
        .results = self->values + parameter_count,
    };
    self->numbers_only = true;
    for (Py_ssize_t i = 0; i < Py_SIZE(object); i++) {
        self->numbers_only = self->numbers_only && self->values[i].kind <= AW_F64;
        self->has_references = self->has_references || self->values[i].kind == AW_REF;
    }
    self->parameters = valtype_tuple(state, self->type.parameters, parameter_count);
    self->results = self->parameters != NULL ? valtype_tuple(state, self->type.results, result_count) : NULL;
    if (self->results == NULL) {
        Py_CLEAR(object);
    }
    return object;
}

// A sequence of value types to an array: *out* is PyMem_Malloc'ed and owned. 0 or -1. *what* is "parameter" or "result".
static int valtypes_convert(core_state *state, PyObject *object, const char *who, const char *what, aw_valtype **out,
                            uint32_t *count)
{
    *out = NULL;
    *count = 0;
    if (object == NULL) {
        return 0;
    }
    if (PyUnicode_Check(object) || Py_TYPE(object) == state->ValType) {
        PyErr_Format(PyExc_TypeError, "%s(): %ss: expected a list of value types, got %.200s: write [%R]", who, what,
                     Py_TYPE(object)->tp_name, object);
        return -1;
    }
    PyObject *items = PySequence_Tuple(object);
    if (items == NULL) {
        if (PyErr_ExceptionMatches(PyExc_TypeError)) {
            PyErr_Format(PyExc_TypeError, "%s(): %ss: expected a list of value types, got %.200s", who, what,
                         Py_TYPE(object)->tp_name);
        }
        return -1;
    }
    // The limit that the JavaScript API sets for all (its appendix on implementation limits), and engines keep to.
    if (PyTuple_GET_SIZE(items) > 1000) {
        PyErr_Format(PyExc_ValueError, "%s(): %ss: at most 1000 are allowed, got %zd", who, what,
                     PyTuple_GET_SIZE(items));
        Py_DECREF(items);
        return -1;
    }
    *count = (uint32_t)PyTuple_GET_SIZE(items);
    *out = PyMem_Malloc((*count + (size_t)1) * sizeof(aw_valtype));
    if (*out == NULL) {
        PyErr_NoMemory();
    }
    for (uint32_t i = 0; *out != NULL && i < *count; i++) {
        PyObject *item = PyTuple_GET_ITEM(items, (Py_ssize_t)i);
        if (!valtype_try(state, item, &(*out)[i])) {
            char where[80];
            PyOS_snprintf(where, sizeof(where), "%s(): %s %u: ", who, what, i + 1);
            valtype_error(item, where);
            PyMem_Free(*out);
            *out = NULL;
        }
    }
    Py_DECREF(items);
    return *out != NULL ? 0 : -1;
}

PyDoc_STRVAR(FuncType_doc,
             "FuncType(parameters=(), results=())\n--\n\n"
             "The type of a function.\n\n"
             "parameters, results: sequences of ValType or their texts.\n\n"
             "FuncType(['i32', 'i32'], ['i32']) is an addition's type; str() of it is '(i32, i32) -> i32'.\n"
             "Raises TypeError and ValueError for what is no value type. Specification, section 2.3.6.");

static PyObject *FuncType_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    static char *names[] = {"parameters", "results", NULL};
    core_state *state = (core_state *)PyType_GetModuleState(type);
    PyObject *parameters = NULL, *results = NULL, *self = NULL;
    aw_valtype *parameter_types = NULL, *result_types = NULL;
    uint32_t parameter_count, result_count;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "|OO:FuncType", names, &parameters, &results)) {
        return NULL;
    }
    if (valtypes_convert(state, parameters, "FuncType", "parameter", &parameter_types, &parameter_count) == 0 &&
        valtypes_convert(state, results, "FuncType", "result", &result_types, &result_count) == 0) {
        self = functype_wrap(state, &(aw_functype){parameter_count, result_count, parameter_types, result_types});
    }
    PyMem_Free(parameter_types);
    PyMem_Free(result_types);
    return self;
}

static int FuncType_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(functype_cast(self)->parameters);
    Py_VISIT(functype_cast(self)->results);
    return 0;
}

static void FuncType_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    Py_CLEAR(functype_cast(self)->parameters);
    Py_CLEAR(functype_cast(self)->results);
    type->tp_free(self);
    Py_DECREF(type);
}

// The texts of value types with *separator* between them, each in *quote*.
static PyObject *valtypes_join(const aw_valtype *types, uint32_t count, const char *quote)
{
    PyObject *texts = PyList_New((Py_ssize_t)count);
    for (uint32_t i = 0; texts != NULL && i < count; i++) {
        char buffer[VALTYPE_TEXT_SIZE];
        PyObject *text = PyUnicode_FromFormat("%s%s%s", quote, valtype_text(types[i], buffer), quote);
        if (text == NULL) {
            Py_CLEAR(texts);
            break;
        }
        PyList_SET_ITEM(texts, (Py_ssize_t)i, text);
    }
    PyObject *separator = texts != NULL ? PyUnicode_FromString(", ") : NULL;
    PyObject *joined = separator != NULL ? PyUnicode_Join(separator, texts) : NULL;
    Py_XDECREF(separator);
    Py_XDECREF(texts);
    return joined;
}

static PyObject *FuncType_repr(PyObject *self)
{
    const aw_functype *type = &functype_cast(self)->type;
    PyObject *parameters = valtypes_join(type->parameters, type->parameter_count, "'");
    PyObject *results = parameters != NULL ? valtypes_join(type->results, type->result_count, "'") : NULL;
    PyObject *repr = results != NULL ? PyUnicode_FromFormat("FuncType([%U], [%U])", parameters, results) : NULL;
    Py_XDECREF(parameters);
    Py_XDECREF(results);
    return repr;
}

static PyObject *FuncType_str(PyObject *self)
{
    const aw_functype *type = &functype_cast(self)->type;
    PyObject *parameters = valtypes_join(type->parameters, type->parameter_count, "");
    PyObject *results = parameters != NULL ? valtypes_join(type->results, type->result_count, "") : NULL;
    PyObject *text = results == NULL ? NULL
                                     : PyUnicode_FromFormat(type->result_count == 1 ? "(%U) -> %U" : "(%U) -> (%U)",
                                                            parameters, results);
    Py_XDECREF(parameters);
    Py_XDECREF(results);
    return text;
}

static bool functype_equal(const FuncTypeObject *a, const FuncTypeObject *b)
{
    return a->type.parameter_count == b->type.parameter_count && a->type.result_count == b->type.result_count &&
           memcmp(a->values, b->values, (size_t)Py_SIZE(a) * sizeof(aw_valtype)) == 0;
}

static PyObject *FuncType_richcompare(PyObject *self, PyObject *other, int op)
{
    if (!comparable(self, other, op)) {
        Py_RETURN_NOTIMPLEMENTED;
    }
    return compare_result(functype_equal(functype_cast(self), functype_cast(other)), op);
}

static Py_hash_t FuncType_hash(PyObject *self)
{
    Py_uhash_t hash = hash_more(HASH_SEED, functype_cast(self)->type.parameter_count);
    for (Py_ssize_t i = 0; i < Py_SIZE(self); i++) {
        hash = hash_valtype(hash, functype_cast(self)->values[i]);
    }
    return hash_end(hash);
}

static PyObject *FuncType_get_parameters(PyObject *self, void *Py_UNUSED(closure))
{
    return Py_NewRef(functype_cast(self)->parameters);
}

static PyObject *FuncType_get_results(PyObject *self, void *Py_UNUSED(closure))
{
    return Py_NewRef(functype_cast(self)->results);
}

static PyObject *FuncType_getnewargs(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return PyTuple_Pack(2, functype_cast(self)->parameters, functype_cast(self)->results);
}

static PyMethodDef FuncType_methods[] = {
    {"__getnewargs__", FuncType_getnewargs, METH_NOARGS, getnewargs_doc},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef FuncType_getset[] = {
    {"parameters", FuncType_get_parameters, NULL, "tuple of ValType.", NULL},
    {"results", FuncType_get_results, NULL, "tuple of ValType.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot FuncType_slots[] = {
    {Py_tp_doc, (void *)FuncType_doc},
    {Py_tp_new, FuncType_new},
    {Py_tp_traverse, FuncType_traverse},
    {Py_tp_dealloc, FuncType_dealloc},
    {Py_tp_repr, FuncType_repr},
    {Py_tp_str, FuncType_str},
    {Py_tp_richcompare, FuncType_richcompare},
    {Py_tp_hash, FuncType_hash},
    {Py_tp_methods, FuncType_methods},
    {Py_tp_getset, FuncType_getset},
    {0, NULL},
};

PyType_Spec FuncType_spec = {
    .name = "anywasm.FuncType",
    .basicsize = offsetof(FuncTypeObject, values),
    .itemsize = sizeof(aw_valtype),
    .flags = AW_TYPE_FLAGS | Py_TPFLAGS_HAVE_GC,
    .slots = FuncType_slots,
};

// --- MemoryType ---------------------------------------------------------------------------------------------------

static aw_memorytype *memorytype_of(PyObject *self)
{
    return &((MemoryTypeObject *)self)->type;
}

PyObject *memorytype_wrap(core_state *state, const aw_memorytype *type)
{
    PyObject *self = state->MemoryType->tp_alloc(state->MemoryType, 0);
    if (self != NULL) {
        *memorytype_of(self) = *type;
    }
    return self;
}

PyDoc_STRVAR(MemoryType_doc, "MemoryType(minimum, maximum=None, *, shared=False, index='i32')\n--\n\n"
                             "The type of a memory: its limits, in pages of 65,536 bytes.\n\n"
                             "minimum: int, how many pages it begins with.\n"
                             "maximum: int, how many it may grow to; None for as many as the index type reaches.\n"
                             "shared: bool, several threads may use it; needs a maximum.\n"
                             "index: 'i32' (up to 65,536 pages) or 'i64', the type of its addresses.\n\n"
                             "Raises ValueError for limits out of range. Specification, section 2.3.12.");

static PyObject *MemoryType_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    static char *names[] = {"minimum", "maximum", "shared", "index", NULL};
    static const uint64_t largest[2] = {UINT64_C(1) << 16, UINT64_C(1) << 48};
    PyObject *minimum, *maximum = Py_None, *index = NULL;
    int shared = 0;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "O|O$pO:MemoryType", names, &minimum, &maximum, &shared, &index)) {
        return NULL;
    }
    aw_memorytype memory = {.shared = shared};
    if (limits_convert(minimum, maximum, index, "MemoryType", largest, &memory.limits) < 0) {
        return NULL;
    }
    if (shared && !memory.limits.has_max) {
        PyErr_SetString(PyExc_ValueError, "MemoryType(): a shared memory needs a maximum");
        return NULL;
    }
    return memorytype_wrap((core_state *)PyType_GetModuleState(type), &memory);
}

static PyObject *MemoryType_repr(PyObject *self)
{
    const aw_memorytype *type = memorytype_of(self);
    PyObject *limits = limits_arguments(&type->limits);
    PyObject *repr = limits == NULL
                         ? NULL
                         : PyUnicode_FromFormat("MemoryType(%U%s%s)", limits, type->shared ? ", shared=True" : "",
                                                type->limits.is64 ? ", index='i64'" : "");
    Py_XDECREF(limits);
    return repr;
}

static PyObject *MemoryType_str(PyObject *self)
{
    const aw_memorytype *type = memorytype_of(self);
    PyObject *limits = limits_text(&type->limits);
    PyObject *text = limits == NULL ? NULL
                                    : PyUnicode_FromFormat("%s%smemory of %U pages", type->shared ? "shared " : "",
                                                           type->limits.is64 ? "64-bit " : "", limits);
    Py_XDECREF(limits);
    return text;
}

static PyObject *MemoryType_richcompare(PyObject *self, PyObject *other, int op)
{
    if (!comparable(self, other, op)) {
        Py_RETURN_NOTIMPLEMENTED;
    }
    const aw_memorytype *a = memorytype_of(self), *b = memorytype_of(other);
    return compare_result(limits_equal(&a->limits, &b->limits) && a->shared == b->shared, op);
}

static Py_hash_t MemoryType_hash(PyObject *self)
{
    const aw_memorytype *type = memorytype_of(self);
    return hash_end(hash_more(hash_limits(HASH_SEED, &type->limits), type->shared));
}

static PyObject *MemoryType_get_minimum(PyObject *self, void *Py_UNUSED(closure))
{
    return PyLong_FromUnsignedLongLong(memorytype_of(self)->limits.min);
}

static PyObject *MemoryType_get_maximum(PyObject *self, void *Py_UNUSED(closure))
{
    return limits_maximum(&memorytype_of(self)->limits);
}

static PyObject *MemoryType_get_shared(PyObject *self, void *Py_UNUSED(closure))
{
    return PyBool_FromLong(memorytype_of(self)->shared);
}

static PyObject *MemoryType_get_index(PyObject *self, void *Py_UNUSED(closure))
{
    return limits_index(&memorytype_of(self)->limits);
}

static PyObject *MemoryType_getnewargs_ex(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return Py_BuildValue("((NN){s:N,s:N})", MemoryType_get_minimum(self, NULL), MemoryType_get_maximum(self, NULL),
                         "shared", MemoryType_get_shared(self, NULL), "index", MemoryType_get_index(self, NULL));
}

static PyMethodDef MemoryType_methods[] = {
    {"__getnewargs_ex__", MemoryType_getnewargs_ex, METH_NOARGS, getnewargs_ex_doc},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef MemoryType_getset[] = {
    {"minimum", MemoryType_get_minimum, NULL, "int: the pages that it begins with.", NULL},
    {"maximum", MemoryType_get_maximum, NULL, "int: the pages that it may grow to, or None.", NULL},
    {"shared", MemoryType_get_shared, NULL, "bool: several threads may use it.", NULL},
    {"index", MemoryType_get_index, NULL, "str: 'i32' or 'i64', the type of its addresses.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot MemoryType_slots[] = {
    {Py_tp_doc, (void *)MemoryType_doc},
    {Py_tp_new, MemoryType_new},
    {Py_tp_traverse, Plain_traverse},
    {Py_tp_dealloc, Plain_dealloc},
    {Py_tp_repr, MemoryType_repr},
    {Py_tp_str, MemoryType_str},
    {Py_tp_richcompare, MemoryType_richcompare},
    {Py_tp_hash, MemoryType_hash},
    {Py_tp_methods, MemoryType_methods},
    {Py_tp_getset, MemoryType_getset},
    {0, NULL},
};

PyType_Spec MemoryType_spec = {
    .name = "anywasm.MemoryType",
    .basicsize = sizeof(MemoryTypeObject),
    .flags = AW_TYPE_FLAGS | Py_TPFLAGS_HAVE_GC,
    .slots = MemoryType_slots,
};

// --- TableType ----------------------------------------------------------------------------------------------------

static aw_tabletype *tabletype_of(PyObject *self)
{
    return &((TableTypeObject *)self)->type;
}

PyObject *tabletype_wrap(core_state *state, const aw_tabletype *type)
{
    PyObject *self = state->TableType->tp_alloc(state->TableType, 0);
    if (self != NULL) {
        *tabletype_of(self) = *type;
    }
    return self;
}

PyDoc_STRVAR(
    TableType_doc,
    "TableType(element, minimum, maximum=None, *, index='i32')\n--\n\n"
    "The type of a table: what it holds, and its limits.\n\n"
    "element: ValType or its text, a reference type.\n"
    "minimum: int, how many elements it begins with.\n"
    "maximum: int, how many it may grow to, or None.\n"
    "index: 'i32' or 'i64', the type of its indices.\n\n"
    "Raises ValueError for limits out of range or an element that is no reference. Specification, section 2.3.13.");

static PyObject *TableType_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    static char *names[] = {"element", "minimum", "maximum", "index", NULL};
    static const uint64_t largest[2] = {UINT32_MAX, UINT64_MAX};
    core_state *state = (core_state *)PyType_GetModuleState(type);
    PyObject *element, *minimum, *maximum = Py_None, *index = NULL;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "OO|O$O:TableType", names, &element, &minimum, &maximum, &index)) {
        return NULL;
    }
    aw_tabletype table = {0};
    if (!valtype_try(state, element, &table.element)) {
        valtype_error(element, "TableType(): element: ");
        return NULL;
    }
    if (table.element.kind != AW_REF) {
        PyErr_Format(PyExc_ValueError, "TableType(): element: expected a reference type such as 'funcref', got '%S'",
                     element);
        return NULL;
    }
    if (limits_convert(minimum, maximum, index, "TableType", largest, &table.limits) < 0) {
        return NULL;
    }
    return tabletype_wrap(state, &table);
}

static PyObject *TableType_repr(PyObject *self)
{
    const aw_tabletype *type = tabletype_of(self);
    char buffer[VALTYPE_TEXT_SIZE];
    PyObject *limits = limits_arguments(&type->limits);
    PyObject *repr = limits == NULL ? NULL
                                    : PyUnicode_FromFormat("TableType('%s', %U%s)", valtype_text(type->element, buffer),
                                                           limits, type->limits.is64 ? ", index='i64'" : "");
    Py_XDECREF(limits);
    return repr;
}

static PyObject *TableType_str(PyObject *self)
{
    const aw_tabletype *type = tabletype_of(self);
    char buffer[VALTYPE_TEXT_SIZE];
    PyObject *limits = limits_text(&type->limits);
    PyObject *text = limits == NULL ? NULL
                                    : PyUnicode_FromFormat("%stable of %U %s", type->limits.is64 ? "64-bit " : "",
                                                           limits, valtype_text(type->element, buffer));
    Py_XDECREF(limits);
    return text;
}

static PyObject *TableType_richcompare(PyObject *self, PyObject *other, int op)
{
    if (!comparable(self, other, op)) {
        Py_RETURN_NOTIMPLEMENTED;
    }
    const aw_tabletype *a = tabletype_of(self), *b = tabletype_of(other);
    return compare_result(limits_equal(&a->limits, &b->limits) && valtype_equal(a->element, b->element), op);
}

static Py_hash_t TableType_hash(PyObject *self)
{
    const aw_tabletype *type = tabletype_of(self);
    return hash_end(hash_valtype(hash_limits(HASH_SEED, &type->limits), type->element));
}

static PyObject *TableType_get_element(PyObject *self, void *Py_UNUSED(closure))
{
    return valtype_wrap(state_of(self), tabletype_of(self)->element);
}

static PyObject *TableType_get_minimum(PyObject *self, void *Py_UNUSED(closure))
{
    return PyLong_FromUnsignedLongLong(tabletype_of(self)->limits.min);
}

static PyObject *TableType_get_maximum(PyObject *self, void *Py_UNUSED(closure))
{
    return limits_maximum(&tabletype_of(self)->limits);
}

static PyObject *TableType_get_index(PyObject *self, void *Py_UNUSED(closure))
{
    return limits_index(&tabletype_of(self)->limits);
}

static PyObject *TableType_getnewargs_ex(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return Py_BuildValue("((NNN){s:N})", TableType_get_element(self, NULL), TableType_get_minimum(self, NULL),
                         TableType_get_maximum(self, NULL), "index", TableType_get_index(self, NULL));
}

static PyMethodDef TableType_methods[] = {
    {"__getnewargs_ex__", TableType_getnewargs_ex, METH_NOARGS, getnewargs_ex_doc},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef TableType_getset[] = {
    {"element", TableType_get_element, NULL, "ValType: what the table holds.", NULL},
    {"minimum", TableType_get_minimum, NULL, "int: the elements that it begins with.", NULL},
    {"maximum", TableType_get_maximum, NULL, "int: the elements that it may grow to, or None.", NULL},
    {"index", TableType_get_index, NULL, "str: 'i32' or 'i64', the type of its indices.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot TableType_slots[] = {
    {Py_tp_doc, (void *)TableType_doc},
    {Py_tp_new, TableType_new},
    {Py_tp_traverse, Plain_traverse},
    {Py_tp_dealloc, Plain_dealloc},
    {Py_tp_repr, TableType_repr},
    {Py_tp_str, TableType_str},
    {Py_tp_richcompare, TableType_richcompare},
    {Py_tp_hash, TableType_hash},
    {Py_tp_methods, TableType_methods},
    {Py_tp_getset, TableType_getset},
    {0, NULL},
};

PyType_Spec TableType_spec = {
    .name = "anywasm.TableType",
    .basicsize = sizeof(TableTypeObject),
    .flags = AW_TYPE_FLAGS | Py_TPFLAGS_HAVE_GC,
    .slots = TableType_slots,
};

// --- GlobalType ---------------------------------------------------------------------------------------------------

static aw_globaltype *globaltype_of(PyObject *self)
{
    return &((GlobalTypeObject *)self)->type;
}

PyObject *globaltype_wrap(core_state *state, const aw_globaltype *type)
{
    PyObject *self = state->GlobalType->tp_alloc(state->GlobalType, 0);
    if (self != NULL) {
        *globaltype_of(self) = *type;
    }
    return self;
}

PyDoc_STRVAR(GlobalType_doc,
             "GlobalType(value, mutable=False)\n--\n\n"
             "The type of a global variable.\n\n"
             "value: ValType or its text.\n"
             "mutable: bool, the value may be changed.\n\n"
             "Raises TypeError and ValueError for what is no value type. Specification, section 2.3.11.");

static PyObject *GlobalType_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    static char *names[] = {"value", "mutable", NULL};
    core_state *state = (core_state *)PyType_GetModuleState(type);
    PyObject *value;
    int is_mutable = 0;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "O|p:GlobalType", names, &value, &is_mutable)) {
        return NULL;
    }
    aw_globaltype global = {.is_mutable = is_mutable};
    if (!valtype_try(state, value, &global.value)) {
        valtype_error(value, "GlobalType(): value: ");
        return NULL;
    }
    return globaltype_wrap(state, &global);
}

static PyObject *GlobalType_repr(PyObject *self)
{
    char buffer[VALTYPE_TEXT_SIZE];
    return PyUnicode_FromFormat("GlobalType('%s'%s)", valtype_text(globaltype_of(self)->value, buffer),
                                globaltype_of(self)->is_mutable ? ", mutable=True" : "");
}

static PyObject *GlobalType_str(PyObject *self)
{
    char buffer[VALTYPE_TEXT_SIZE];
    return PyUnicode_FromFormat("%s global of %s", globaltype_of(self)->is_mutable ? "mutable" : "immutable",
                                valtype_text(globaltype_of(self)->value, buffer));
}

static PyObject *GlobalType_richcompare(PyObject *self, PyObject *other, int op)
{
    if (!comparable(self, other, op)) {
        Py_RETURN_NOTIMPLEMENTED;
    }
    const aw_globaltype *a = globaltype_of(self), *b = globaltype_of(other);
    return compare_result(valtype_equal(a->value, b->value) && a->is_mutable == b->is_mutable, op);
}

static Py_hash_t GlobalType_hash(PyObject *self)
{
    const aw_globaltype *type = globaltype_of(self);
    return hash_end(hash_more(hash_valtype(HASH_SEED, type->value), (uint64_t)type->is_mutable + 1));
}

static PyObject *GlobalType_get_value(PyObject *self, void *Py_UNUSED(closure))
{
    return valtype_wrap(state_of(self), globaltype_of(self)->value);
}

static PyObject *GlobalType_get_mutable(PyObject *self, void *Py_UNUSED(closure))
{
    return PyBool_FromLong(globaltype_of(self)->is_mutable);
}

static PyObject *GlobalType_getnewargs(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return Py_BuildValue("(NN)", GlobalType_get_value(self, NULL), GlobalType_get_mutable(self, NULL));
}

static PyMethodDef GlobalType_methods[] = {
    {"__getnewargs__", GlobalType_getnewargs, METH_NOARGS, getnewargs_doc},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef GlobalType_getset[] = {
    {"value", GlobalType_get_value, NULL, "ValType: the value's type.", NULL},
    {"mutable", GlobalType_get_mutable, NULL, "bool: the value may be changed.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot GlobalType_slots[] = {
    {Py_tp_doc, (void *)GlobalType_doc},
    {Py_tp_new, GlobalType_new},
    {Py_tp_traverse, Plain_traverse},
    {Py_tp_dealloc, Plain_dealloc},
    {Py_tp_repr, GlobalType_repr},
    {Py_tp_str, GlobalType_str},
    {Py_tp_richcompare, GlobalType_richcompare},
    {Py_tp_hash, GlobalType_hash},
    {Py_tp_methods, GlobalType_methods},
    {Py_tp_getset, GlobalType_getset},
    {0, NULL},
};

PyType_Spec GlobalType_spec = {
    .name = "anywasm.GlobalType",
    .basicsize = sizeof(GlobalTypeObject),
    .flags = AW_TYPE_FLAGS | Py_TPFLAGS_HAVE_GC,
    .slots = GlobalType_slots,
};

// --- TagType ------------------------------------------------------------------------------------------------------

static TagTypeObject *tagtype_cast(PyObject *self)
{
    return (TagTypeObject *)self;
}

PyObject *tagtype_wrap(core_state *state, FuncTypeObject *functype)
{
    PyObject *self = state->TagType->tp_alloc(state->TagType, 0);
    if (self != NULL) {
        tagtype_cast(self)->functype = (FuncTypeObject *)Py_NewRef((PyObject *)functype);
    }
    return self;
}

PyDoc_STRVAR(TagType_doc, "TagType(parameters=())\n--\n\n"
                          "The type of an exception tag: what an exception carries.\n\n"
                          "parameters: sequence of ValType or their texts.\n\n"
                          "Raises TypeError and ValueError for what is no value type. Specification, section 2.3.10.");

static PyObject *TagType_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    static char *names[] = {"parameters", NULL};
    core_state *state = (core_state *)PyType_GetModuleState(type);
    PyObject *parameters = NULL;
    aw_valtype *types;
    uint32_t count;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "|O:TagType", names, &parameters) ||
        valtypes_convert(state, parameters, "TagType", "parameter", &types, &count) < 0) {
        return NULL;
    }
    PyObject *functype = functype_wrap(state, &(aw_functype){.parameter_count = count, .parameters = types});
    PyObject *self = functype != NULL ? tagtype_wrap(state, functype_cast(functype)) : NULL;
    Py_XDECREF(functype);
    PyMem_Free(types);
    return self;
}

static int TagType_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(tagtype_cast(self)->functype);
    return 0;
}

static void TagType_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    Py_CLEAR(tagtype_cast(self)->functype);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyObject *TagType_text(PyObject *self, const char *format, const char *quote)
{
    const aw_functype *type = &tagtype_cast(self)->functype->type;
    PyObject *parameters = valtypes_join(type->parameters, type->parameter_count, quote);
    PyObject *text = parameters != NULL ? PyUnicode_FromFormat(format, parameters) : NULL;
    Py_XDECREF(parameters);
    return text;
}

static PyObject *TagType_repr(PyObject *self)
{
    return TagType_text(self, "TagType([%U])", "'");
}

static PyObject *TagType_str(PyObject *self)
{
    return TagType_text(self, "tag of (%U)", "");
}

static PyObject *TagType_richcompare(PyObject *self, PyObject *other, int op)
{
    if (!comparable(self, other, op)) {
        Py_RETURN_NOTIMPLEMENTED;
    }
    return compare_result(functype_equal(tagtype_cast(self)->functype, tagtype_cast(other)->functype), op);
}

static Py_hash_t TagType_hash(PyObject *self)
{
    return FuncType_hash((PyObject *)tagtype_cast(self)->functype) ^ 1;
}

static PyObject *TagType_get_parameters(PyObject *self, void *Py_UNUSED(closure))
{
    return Py_NewRef(tagtype_cast(self)->functype->parameters);
}

static PyObject *TagType_getnewargs(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return PyTuple_Pack(1, tagtype_cast(self)->functype->parameters);
}

static PyMethodDef TagType_methods[] = {
    {"__getnewargs__", TagType_getnewargs, METH_NOARGS, getnewargs_doc},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef TagType_getset[] = {
    {"parameters", TagType_get_parameters, NULL, "tuple of ValType: what an exception carries.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot TagType_slots[] = {
    {Py_tp_doc, (void *)TagType_doc},
    {Py_tp_new, TagType_new},
    {Py_tp_traverse, TagType_traverse},
    {Py_tp_dealloc, TagType_dealloc},
    {Py_tp_repr, TagType_repr},
    {Py_tp_str, TagType_str},
    {Py_tp_richcompare, TagType_richcompare},
    {Py_tp_hash, TagType_hash},
    {Py_tp_methods, TagType_methods},
    {Py_tp_getset, TagType_getset},
    {0, NULL},
};

PyType_Spec TagType_spec = {
    .name = "anywasm.TagType",
    .basicsize = sizeof(TagTypeObject),
    .flags = AW_TYPE_FLAGS | Py_TPFLAGS_HAVE_GC,
    .slots = TagType_slots,
};

// --- ImportType and ExportType ------------------------------------------------------------------------------------

// Is *object* a FuncType, MemoryType, …? Then its kind, else -1 with TypeError.
static int externtype_kind(core_state *state, PyObject *object, const char *who)
{
    PyTypeObject *const types[] = {
        [AW_EXTERN_FUNC] = state->FuncType,     [AW_EXTERN_TABLE] = state->TableType,
        [AW_EXTERN_MEMORY] = state->MemoryType, [AW_EXTERN_GLOBAL] = state->GlobalType,
        [AW_EXTERN_TAG] = state->TagType,
    };
    for (int kind = AW_EXTERN_FUNC; kind <= AW_EXTERN_TAG; kind++) {
        if (Py_TYPE(object) == types[kind]) {
            return kind;
        }
    }
    PyErr_Format(PyExc_TypeError,
                 "%s(): type: expected a FuncType, MemoryType, TableType, GlobalType or TagType, got %.200s", who,
                 Py_TYPE(object)->tp_name);
    return -1;
}

static ImportTypeObject *importtype_cast(PyObject *self)
{
    return (ImportTypeObject *)self;
}

PyObject *importtype_wrap(core_state *state, PyObject *module, PyObject *name, aw_externkind kind, PyObject *type)
{
    PyObject *self = state->ImportType->tp_alloc(state->ImportType, 0);
    if (self != NULL) {
        importtype_cast(self)->module = Py_NewRef(module);
        importtype_cast(self)->name = Py_NewRef(name);
        importtype_cast(self)->type = Py_NewRef(type);
        importtype_cast(self)->kind = kind;
    }
    return self;
}

PyDoc_STRVAR(ImportType_doc, "ImportType(module, name, type)\n--\n\n"
                             "What a module wants from outside.\n\n"
                             "module, name: str, the two names of the import.\n"
                             "type: FuncType, MemoryType, TableType, GlobalType or TagType.\n\n"
                             "Module.imports is a tuple of these. Specification, section 2.5.10.");

static PyObject *ImportType_new(PyTypeObject *class, PyObject *args, PyObject *keywords)
{
    static char *names[] = {"module", "name", "type", NULL};
    core_state *state = (core_state *)PyType_GetModuleState(class);
    PyObject *module, *name, *type;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "UUO:ImportType", names, &module, &name, &type)) {
        return NULL;
    }
    int kind = externtype_kind(state, type, "ImportType");
    return kind < 0 ? NULL : importtype_wrap(state, module, name, (aw_externkind)kind, type);
}

static int ImportType_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(importtype_cast(self)->module);
    Py_VISIT(importtype_cast(self)->name);
    Py_VISIT(importtype_cast(self)->type);
    return 0;
}

static void ImportType_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    Py_CLEAR(importtype_cast(self)->module);
    Py_CLEAR(importtype_cast(self)->name);
    Py_CLEAR(importtype_cast(self)->type);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyObject *ImportType_getnewargs(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return PyTuple_Pack(3, importtype_cast(self)->module, importtype_cast(self)->name, importtype_cast(self)->type);
}

static PyObject *ImportType_repr(PyObject *self)
{
    return PyUnicode_FromFormat("ImportType(%R, %R, %R)", importtype_cast(self)->module, importtype_cast(self)->name,
                                importtype_cast(self)->type);
}

// Compare or hash by the constructor's arguments.
static PyObject *compare_arguments(PyObject *self, PyObject *other, int op, PyCFunction arguments)
{
    if (!comparable(self, other, op)) {
        Py_RETURN_NOTIMPLEMENTED;
    }
    PyObject *a = arguments(self, NULL), *b = arguments(other, NULL);
    PyObject *result = a != NULL && b != NULL ? PyObject_RichCompare(a, b, op) : NULL;
    Py_XDECREF(a);
    Py_XDECREF(b);
    return result;
}

static Py_hash_t hash_arguments(PyObject *self, PyCFunction arguments)
{
    PyObject *tuple = arguments(self, NULL);
    Py_hash_t hash = tuple != NULL ? PyObject_Hash(tuple) : -1;
    Py_XDECREF(tuple);
    return hash;
}

static PyObject *ImportType_richcompare(PyObject *self, PyObject *other, int op)
{
    return compare_arguments(self, other, op, ImportType_getnewargs);
}

static Py_hash_t ImportType_hash(PyObject *self)
{
    return hash_arguments(self, ImportType_getnewargs);
}

static PyObject *ImportType_get_module(PyObject *self, void *Py_UNUSED(closure))
{
    return Py_NewRef(importtype_cast(self)->module);
}

static PyObject *ImportType_get_name(PyObject *self, void *Py_UNUSED(closure))
{
    return Py_NewRef(importtype_cast(self)->name);
}

static PyObject *ImportType_get_type(PyObject *self, void *Py_UNUSED(closure))
{
    return Py_NewRef(importtype_cast(self)->type);
}

static PyObject *ImportType_get_kind(PyObject *self, void *Py_UNUSED(closure))
{
    return PyUnicode_FromString(externkind_text(importtype_cast(self)->kind));
}

static PyMethodDef ImportType_methods[] = {
    {"__getnewargs__", ImportType_getnewargs, METH_NOARGS, getnewargs_doc},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef ImportType_getset[] = {
    {"module", ImportType_get_module, NULL, "str: the first of the import's two names.", NULL},
    {"name", ImportType_get_name, NULL, "str: the second.", NULL},
    {"type", ImportType_get_type, NULL, "FuncType, MemoryType, TableType, GlobalType or TagType.", NULL},
    {"kind", ImportType_get_kind, NULL, "str: 'func', 'memory', 'table', 'global' or 'tag'.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot ImportType_slots[] = {
    {Py_tp_doc, (void *)ImportType_doc},   {Py_tp_new, ImportType_new},
    {Py_tp_traverse, ImportType_traverse}, {Py_tp_dealloc, ImportType_dealloc},
    {Py_tp_repr, ImportType_repr},         {Py_tp_richcompare, ImportType_richcompare},
    {Py_tp_hash, ImportType_hash},         {Py_tp_methods, ImportType_methods},
    {Py_tp_getset, ImportType_getset},     {0, NULL},
};

PyType_Spec ImportType_spec = {
    .name = "anywasm.ImportType",
    .basicsize = sizeof(ImportTypeObject),
    .flags = AW_TYPE_FLAGS | Py_TPFLAGS_HAVE_GC,
    .slots = ImportType_slots,
};

static ExportTypeObject *exporttype_cast(PyObject *self)
{
    return (ExportTypeObject *)self;
}

PyObject *exporttype_wrap(core_state *state, PyObject *name, aw_externkind kind, PyObject *type, uint32_t index)
{
    PyObject *self = state->ExportType->tp_alloc(state->ExportType, 0);
    if (self != NULL) {
        exporttype_cast(self)->name = Py_NewRef(name);
        exporttype_cast(self)->type = Py_NewRef(type);
        exporttype_cast(self)->kind = kind;
        exporttype_cast(self)->index = index;
    }
    return self;
}

PyDoc_STRVAR(ExportType_doc, "ExportType(name, type)\n--\n\n"
                             "What a module gives to the outside.\n\n"
                             "name: str.\n"
                             "type: FuncType, MemoryType, TableType, GlobalType or TagType.\n\n"
                             "Module.exports is a tuple of these. Specification, section 2.5.11.");

static PyObject *ExportType_new(PyTypeObject *class, PyObject *args, PyObject *keywords)
{
    static char *names[] = {"name", "type", NULL};
    core_state *state = (core_state *)PyType_GetModuleState(class);
    PyObject *name, *type;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "UO:ExportType", names, &name, &type)) {
        return NULL;
    }
    int kind = externtype_kind(state, type, "ExportType");
    return kind < 0 ? NULL : exporttype_wrap(state, name, (aw_externkind)kind, type, 0);
}

static int ExportType_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(exporttype_cast(self)->name);
    Py_VISIT(exporttype_cast(self)->type);
    return 0;
}

static void ExportType_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    Py_CLEAR(exporttype_cast(self)->name);
    Py_CLEAR(exporttype_cast(self)->type);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyObject *ExportType_getnewargs(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return PyTuple_Pack(2, exporttype_cast(self)->name, exporttype_cast(self)->type);
}

static PyObject *ExportType_repr(PyObject *self)
{
    return PyUnicode_FromFormat("ExportType(%R, %R)", exporttype_cast(self)->name, exporttype_cast(self)->type);
}

static PyObject *ExportType_richcompare(PyObject *self, PyObject *other, int op)
{
    return compare_arguments(self, other, op, ExportType_getnewargs);
}

static Py_hash_t ExportType_hash(PyObject *self)
{
    return hash_arguments(self, ExportType_getnewargs);
}

static PyObject *ExportType_get_name(PyObject *self, void *Py_UNUSED(closure))
{
    return Py_NewRef(exporttype_cast(self)->name);
}

static PyObject *ExportType_get_type(PyObject *self, void *Py_UNUSED(closure))
{
    return Py_NewRef(exporttype_cast(self)->type);
}

static PyObject *ExportType_get_kind(PyObject *self, void *Py_UNUSED(closure))
{
    return PyUnicode_FromString(externkind_text(exporttype_cast(self)->kind));
}

static PyMethodDef ExportType_methods[] = {
    {"__getnewargs__", ExportType_getnewargs, METH_NOARGS, getnewargs_doc},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef ExportType_getset[] = {
    {"name", ExportType_get_name, NULL, "str: the export's name.", NULL},
    {"type", ExportType_get_type, NULL, "FuncType, MemoryType, TableType, GlobalType or TagType.", NULL},
    {"kind", ExportType_get_kind, NULL, "str: 'func', 'memory', 'table', 'global' or 'tag'.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot ExportType_slots[] = {
    {Py_tp_doc, (void *)ExportType_doc},   {Py_tp_new, ExportType_new},
    {Py_tp_traverse, ExportType_traverse}, {Py_tp_dealloc, ExportType_dealloc},
    {Py_tp_repr, ExportType_repr},         {Py_tp_richcompare, ExportType_richcompare},
    {Py_tp_hash, ExportType_hash},         {Py_tp_methods, ExportType_methods},
    {Py_tp_getset, ExportType_getset},     {0, NULL},
};

PyType_Spec ExportType_spec = {
    .name = "anywasm.ExportType",
    .basicsize = sizeof(ExportTypeObject),
    .flags = AW_TYPE_FLAGS | Py_TPFLAGS_HAVE_GC,
    .slots = ExportType_slots,
};

// --- matching -------------------------------------------------------------------------------------------------------

// The heap type directly above in its hierarchy (specification 3.0, section 3.3.3), AW_HEAP_NONE_OF at the top. The bottoms
// (none, nofunc, noextern, noexn) are below everything of theirs and treated apart.
static aw_heaptype heap_parent(uint8_t heap)
{
    switch (heap) {
    case AW_HEAP_EQ:
        return AW_HEAP_ANY;
    case AW_HEAP_I31:
    case AW_HEAP_STRUCT:
    case AW_HEAP_ARRAY:
        return AW_HEAP_EQ;
    default:
        return AW_HEAP_NONE_OF;
    }
}

static aw_heaptype heap_bottom(uint8_t heap)
{
    switch (heap) {
    case AW_HEAP_FUNC:
    case AW_HEAP_NOFUNC:
        return AW_HEAP_NOFUNC;
    case AW_HEAP_EXTERN:
    case AW_HEAP_NOEXTERN:
        return AW_HEAP_NOEXTERN;
    case AW_HEAP_EXN:
    case AW_HEAP_NOEXN:
        return AW_HEAP_NOEXN;
    default:
        return AW_HEAP_NONE;
    }
}

bool valtype_matches(aw_valtype given, aw_valtype wanted)
{
    if (given.kind != wanted.kind) {
        return false;
    }
    if (given.kind != AW_REF) {
        return true;
    }
    if (given.nullable && !wanted.nullable) {
        return false;
    }
    if (!given.concrete && given.heap == heap_bottom(wanted.heap)) {
        return true;
    }
    if (wanted.concrete) {
        return given.concrete && given.heap == wanted.heap;
    }
    for (uint8_t heap = given.heap; heap != AW_HEAP_NONE_OF; heap = (uint8_t)heap_parent(heap)) {
        if (heap == wanted.heap) {
            return true;
        }
    }
    return false;
}

// Parameters the other way round. Engines with subtyping of function types (GC) ask for more, namely that it was declared;
// they check that themselves.
static bool functype_matches(const aw_functype *given, const aw_functype *wanted)
{
    if (given->parameter_count != wanted->parameter_count || given->result_count != wanted->result_count) {
        return false;
    }
    for (uint32_t i = 0; i < given->parameter_count; i++) {
        if (!valtype_matches(wanted->parameters[i], given->parameters[i])) {
            return false;
        }
    }
    for (uint32_t i = 0; i < given->result_count; i++) {
        if (!valtype_matches(given->results[i], wanted->results[i])) {
            return false;
        }
    }
    return true;
}

bool externtype_matches(aw_externkind kind, PyObject *given, PyObject *wanted, uint64_t given_size)
{
    switch (kind) {
    case AW_EXTERN_FUNC:
        return functype_matches(&functype_cast(given)->type, &functype_cast(wanted)->type);
    case AW_EXTERN_TABLE:
        return valtype_equal(tabletype_of(given)->element, tabletype_of(wanted)->element) &&
               limits_match(&tabletype_of(given)->limits, &tabletype_of(wanted)->limits, given_size);
    case AW_EXTERN_MEMORY:
        return memorytype_of(given)->shared == memorytype_of(wanted)->shared &&
               limits_match(&memorytype_of(given)->limits, &memorytype_of(wanted)->limits, given_size);
    case AW_EXTERN_GLOBAL: {
        const aw_globaltype *a = globaltype_of(given), *b = globaltype_of(wanted);
        return a->is_mutable == b->is_mutable &&
               (a->is_mutable ? valtype_equal(a->value, b->value) : valtype_matches(a->value, b->value));
    }
    case AW_EXTERN_TAG:
        return functype_equal(tagtype_cast(given)->functype, tagtype_cast(wanted)->functype);
    }
    return false;
}

// SPDX-License-Identifier: Apache-2.0
// A Table is a table of references: functions that guests call indirectly, or objects that they hold.
//
// It keeps its store alive. Elements are converted as a function's parameters and results are: a Func, any object in a table of
// externref, a Ref, and None for null.

#include "errors.h"
#include "externs.h"
#include "value.h"

typedef struct {
    ExternObject base;
    aw_tabletype type;  // but for the minimum, which is the current size
} TableObject;

static inline TableObject *table_cast(PyObject *self)
{
    return (TableObject *)self;
}

// Open and of this thread: 0 or -1. Asked after the arguments are converted, for their __index__ may close the store.
static inline int table_check(TableObject *self)
{
    return store_check(self->base.store);
}

static inline uint64_t table_size(TableObject *self)
{
    return self->base.store->api->table_size(self->base.item.table);
}

// The one bounds check: are *count* elements from *index* on within the table? 0, or -1 with an exception. The store was checked.
static int table_span(TableObject *self, const char *method, uint64_t index, uint64_t count)
{
    uint64_t size = table_size(self);
    if (index <= size && count <= size - index) {
        return 0;
    }
    char index_buffer[INDEX_TEXT_SIZE], count_buffer[INDEX_TEXT_SIZE];
    if (count == 1) {
        PyErr_Format(PyExc_IndexError, "Table.%s(): index %s is out of bounds, the table has %llu element%s", method,
                     index_text(index, index_buffer), (unsigned long long)size, size == 1 ? "" : "s");
    }
    else {
        PyErr_Format(PyExc_IndexError, "Table.%s(): index %s, count %s: out of bounds, the table has %llu element%s",
                     method, index_text(index, index_buffer), index_text(count, count_buffer), (unsigned long long)size,
                     size == 1 ? "" : "s");
    }
    return -1;
}

// The element at an index within bounds: new reference.
static PyObject *table_get(TableObject *self, uint64_t index)
{
    StoreObject *store = self->base.store;
    aw_raw raw;
    aw_error error;
    if (store->api->table_get(self->base.item.table, index, &raw, &error) < 0) {
        return error_raise(store->state, store, &error);
    }
    PyObject *object = value_from_raw(store, self->type.element, &raw);
    store_sweep(store);
    return object;
}

// Set *count* elements that are within bounds: 0 or -1.
static int table_set(TableObject *self, const char *what, uint64_t index, uint64_t count, PyObject *value)
{
    StoreObject *store = self->base.store;
    value_place place = {.name = NULL, .what = what, .index = -1};
    aw_raw raw;
    aw_error error;
    int status = 0;
    for (uint64_t i = 0; i < count && status == 0; i++) {
        // A raw reference is good until something else is allocated, which setting an element may do; functions and null stay.
        bool again = i == 0 || (self->type.element.heap != AW_HEAP_FUNC && value != Py_None);
        if (again && value_to_raw(store, self->type.element, value, &raw, &place) < 0) {
            return -1;
        }
        status = store->api->table_set(self->base.item.table, index + i, &raw, &error);
    }
    if (status < 0) {
        error_raise(store->state, store, &error);
    }
    store_sweep(store);
    return status;
}

// --- birth ------------------------------------------------------------------------------------------------------

// Not every engine can tell a table's limits: one without a maximum may be one that has the declared type's. The engine is
// asked first: making the object may collect garbage, whose destructors may close the store.
PyObject *table_wrap(StoreObject *store, aw_table *handle, PyObject *declared)
{
    aw_tabletype type;
    store->api->table_type(handle, &type);
    if (declared != NULL && !type.limits.has_max) {
        type.limits = ((TableTypeObject *)declared)->type.limits;
    }
    aw_extern item = {.kind = AW_EXTERN_TABLE, .table = handle};
    PyObject *self = extern_new(store->state->Table, store, &item);
    if (self != NULL) {
        table_cast(self)->type = type;
    }
    return self;
}

PyDoc_STRVAR(
    Table_doc,
    "Table(type, store, initial=None)\n--\n\n"
    "A table of references: of functions that guests call indirectly, or of objects that they hold.\n\n"
    "type: TableType, what it holds and how many elements it begins with and may have.\n"
    "store: Store, where it lives.\n"
    "initial: what each element is at first; None is null.\n\n"
    "table[i] is a Func, any object (externref), a Ref, or None, and negative indices count from the end. len() is in\n"
    "elements. Most tables are exports of an instance; making one needs an engine with the capability\n"
    "imported_table, and raises UnsupportedError elsewhere. Specification, section 2.5.4.");

static PyObject *Table_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    static char *names[] = {"type", "store", "initial", NULL};
    core_state *state = (core_state *)PyType_GetModuleState(type);
    TableTypeObject *tabletype;
    StoreObject *store;
    PyObject *initial = Py_None;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "O!O!|O:Table", names, state->TableType, &tabletype, state->Store,
                                     &store, &initial) ||
        store_check(store) < 0) {
        return NULL;
    }
    const aw_tabletype *wanted = &tabletype->type;
    if (!engine_has(store->engine, AW_CAP(IMPORTED_TABLE))) {
        return engine_raise_unsupported(state, store->api, AW_CAP(IMPORTED_TABLE), "a table made by the host");
    }
    if (wanted->limits.is64 && !engine_has(store->engine, AW_CAP(MEMORY64))) {
        return engine_raise_unsupported(state, store->api, AW_CAP(MEMORY64), "a table with 64-bit indices");
    }
    value_place place = {.name = NULL, .what = "Table(): initial", .index = -1};
    aw_raw raw;
    if (extern_check_valtype(store, wanted->element, "table") < 0 ||
        value_to_raw(store, wanted->element, initial, &raw, &place) < 0) {
        return NULL;
    }
    aw_error error;
    aw_table *handle = store->api->table_new(store->handle, wanted, &raw, &error);
    PyObject *self = handle != NULL ? table_wrap(store, handle, (PyObject *)tabletype)
                                    : error_raise(state, store, &error);
    store_sweep(store);
    return self;
}

// --- items ------------------------------------------------------------------------------------------------------

static Py_ssize_t Table_length(PyObject *object)
{
    TableObject *self = table_cast(object);
    if (table_check(self) < 0) {
        return -1;
    }
    uint64_t size = table_size(self);
    return size > (uint64_t)PY_SSIZE_T_MAX ? PY_SSIZE_T_MAX : (Py_ssize_t)size;
}

// The position that an item's index means, negative ones counting from the end: 0 or -1. Checks the store.
static int table_position(TableObject *self, PyObject *item, uint64_t *position)
{
    if (!PyIndex_Check(item)) {
        PyErr_Format(PyExc_TypeError, "a table's index is an integer, not %.200s", Py_TYPE(item)->tp_name);
        return -1;
    }
    Py_ssize_t index = PyNumber_AsSsize_t(item, NULL);
    if ((index == -1 && PyErr_Occurred()) || table_check(self) < 0) {
        return -1;
    }
    uint64_t size = table_size(self);
    *position = index < 0 ? (uint64_t)index + size : (uint64_t)index;
    if (*position < size) {
        return 0;
    }
    if (index == PY_SSIZE_T_MAX || index == PY_SSIZE_T_MIN) {  // what larger integers were cut to
        PyErr_Format(PyExc_IndexError, "the index is out of bounds, the table has %llu element%s",
                     (unsigned long long)size, size == 1 ? "" : "s");
    }
    else {
        PyErr_Format(PyExc_IndexError, "index %zd is out of bounds, the table has %llu element%s", index,
                     (unsigned long long)size, size == 1 ? "" : "s");
    }
    return -1;
}

static PyObject *Table_subscript(PyObject *object, PyObject *item)
{
    TableObject *self = table_cast(object);
    uint64_t position;
    return table_position(self, item, &position) < 0 ? NULL : table_get(self, position);
}

static int Table_ass_subscript(PyObject *object, PyObject *item, PyObject *value)
{
    TableObject *self = table_cast(object);
    uint64_t position;
    if (value == NULL) {
        PyErr_SetString(PyExc_TypeError, "a table's elements cannot be deleted: set them to None");
        return -1;
    }
    return table_position(self, item, &position) < 0 ? -1 : table_set(self, "table[i] = value", position, 1, value);
}

// For the sequence protocol, which has added the length to a negative index already: makes a table iterable.
static PyObject *Table_item(PyObject *object, Py_ssize_t index)
{
    TableObject *self = table_cast(object);
    if (table_check(self) < 0) {
        return NULL;
    }
    if (index < 0 || (uint64_t)index >= table_size(self)) {
        PyErr_SetString(PyExc_IndexError, "the index is out of bounds of the table");
        return NULL;
    }
    return table_get(self, (uint64_t)index);
}

// --- methods ----------------------------------------------------------------------------------------------------

PyDoc_STRVAR(Table_get_doc, "get($self, index, /)\n--\n\n"
                            "Return the element at *index*: a Func, an object, a Ref, or None for null.\n\n"
                            "Raises IndexError for an index out of bounds or negative.");

static PyObject *Table_get(PyObject *object, PyObject *index_object)
{
    TableObject *self = table_cast(object);
    uint64_t index;
    if (index_convert(index_object, PyExc_IndexError, "Table.get(): index", &index) < 0 || table_check(self) < 0 ||
        table_span(self, "get", index, 1) < 0) {
        return NULL;
    }
    return table_get(self, index);
}

PyDoc_STRVAR(
    Table_set_doc,
    "set($self, index, value, /)\n--\n\n"
    "Set the element at *index*.\n\n"
    "Raises IndexError for an index out of bounds or negative, TypeError for a value that the table cannot hold,\n"
    "ValueError for one of another store.");

static PyObject *Table_set(PyObject *object, PyObject *const *args, Py_ssize_t count)
{
    TableObject *self = table_cast(object);
    uint64_t index;
    if (count != 2) {
        return PyErr_Format(PyExc_TypeError, "Table.set(): expected 2 arguments, got %zd", count);
    }
    if (index_convert(args[0], PyExc_IndexError, "Table.set(): index", &index) < 0 || table_check(self) < 0 ||
        table_span(self, "set", index, 1) < 0 || table_set(self, "Table.set(): value", index, 1, args[1]) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

PyDoc_STRVAR(
    Table_grow_doc,
    "grow($self, delta, initial=None, /)\n--\n\n"
    "Add *delta* elements, each of them *initial*; return how many there were before.\n\n"
    "Raises TableLimitError when the table's maximum or the store's limit forbids it, ValueError for a negative delta,\n"
    "TypeError for a value that the table cannot hold.");

static PyObject *Table_grow(PyObject *object, PyObject *const *args, Py_ssize_t count)
{
    TableObject *self = table_cast(object);
    StoreObject *store = self->base.store;
    uint64_t delta;
    if (count != 1 && count != 2) {
        return PyErr_Format(PyExc_TypeError, "Table.grow(): expected 1 or 2 arguments, got %zd", count);
    }
    if (index_convert(args[0], PyExc_ValueError, "Table.grow(): delta", &delta) < 0 || table_check(self) < 0) {
        return NULL;
    }
    const aw_limits *limits = &self->type.limits;
    uint64_t size = table_size(self);
    aw_error error;
    uint64_t maximum = limits->has_max ? limits->max : limits->is64 ? UINT64_MAX - 1 : UINT32_MAX;
    if (delta > (maximum > size ? maximum - size : 0)) {
        char delta_text[INDEX_TEXT_SIZE];
        aw_error_set(&error, AW_ERROR_LIMIT,
                     "cannot grow the table by %s element%s: it has %llu, and may have %llu at most",
                     index_text(delta, delta_text), delta == 1 ? "" : "s", (unsigned long long)size,
                     (unsigned long long)maximum);
        aw_error_limit(&error, AW_LIMIT_TABLE, delta < AW_UNKNOWN - size ? size + delta : AW_UNKNOWN, maximum);
        return error_raise(store->state, NULL, &error);
    }
    value_place place = {.name = NULL, .what = "Table.grow(): initial", .index = -1};
    aw_raw raw;
    if (value_to_raw(store, self->type.element, count == 2 ? args[1] : Py_None, &raw, &place) < 0) {
        return NULL;
    }
    uint64_t previous;
    store_enter(store, false);
    int status = store->api->table_grow(self->base.item.table, delta, &raw, &previous, &error);
    store_leave(store);
    PyObject *result = status < 0 ? error_raise(store->state, store, &error) : PyLong_FromUnsignedLongLong(previous);
    store_sweep(store);
    return result;
}

PyDoc_STRVAR(
    Table_fill_doc,
    "fill($self, index, value, count, /)\n--\n\n"
    "Set *count* elements from *index* on to *value*.\n\n"
    "Raises IndexError, and sets nothing, when not all of them are within the table or the index is negative;\n"
    "ValueError for a negative count; TypeError for a value that the table cannot hold.");

static PyObject *Table_fill(PyObject *object, PyObject *const *args, Py_ssize_t argument_count)
{
    TableObject *self = table_cast(object);
    uint64_t index, count;
    if (argument_count != 3) {
        return PyErr_Format(PyExc_TypeError, "Table.fill(): expected 3 arguments, got %zd", argument_count);
    }
    if (index_convert(args[0], PyExc_IndexError, "Table.fill(): index", &index) < 0 ||
        index_convert(args[2], PyExc_ValueError, "Table.fill(): count", &count) < 0 || table_check(self) < 0 ||
        table_span(self, "fill", index, count) < 0 ||
        table_set(self, "Table.fill(): value", index, count, args[1]) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

// --- properties -------------------------------------------------------------------------------------------------

PyObject *table_type(PyObject *object, uint64_t *size)
{
    TableObject *self = table_cast(object);
    if (table_check(self) < 0) {
        return NULL;
    }
    aw_tabletype type = self->type;
    type.limits.min = table_size(self);
    if (size != NULL) {
        *size = type.limits.min;
    }
    return tabletype_wrap(self->base.store->state, &type);
}

static PyObject *Table_get_type(PyObject *object, void *Py_UNUSED(closure))
{
    return table_type(object, NULL);
}

static PyObject *Table_repr(PyObject *object)
{
    TableObject *self = table_cast(object);
    const char *why = store_unusable(self->base.store);
    if (why != NULL) {
        return PyUnicode_FromFormat("<anywasm.Table: %s>", why);
    }
    const aw_limits *limits = &self->type.limits;
    uint64_t size = table_size(self);
    char element[VALTYPE_TEXT_SIZE], most[48] = "";
    if (limits->has_max) {
        PyOS_snprintf(most, sizeof(most), ", at most %llu", (unsigned long long)limits->max);
    }
    return PyUnicode_FromFormat("<anywasm.Table: %llu element%s of %s%s%s>", (unsigned long long)size,
                                size == 1 ? "" : "s", valtype_text(self->type.element, element), most,
                                limits->is64 ? ", i64" : "");
}

// --- tables -----------------------------------------------------------------------------------------------------

static PyMethodDef Table_methods[] = {
    {"get", Table_get, METH_O, Table_get_doc},
    {"set", (PyCFunction)(void (*)(void))Table_set, METH_FASTCALL, Table_set_doc},
    {"grow", (PyCFunction)(void (*)(void))Table_grow, METH_FASTCALL, Table_grow_doc},
    {"fill", (PyCFunction)(void (*)(void))Table_fill, METH_FASTCALL, Table_fill_doc},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef Table_getset[] = {
    {"type", Table_get_type, NULL, "TableType: its current type, whose minimum is the elements that it has now.", NULL},
    {"store", Extern_get_store, NULL, "Store: where it lives.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot Table_slots[] = {
    {Py_tp_doc, (void *)Table_doc},     {Py_tp_new, Table_new},
    {Py_tp_traverse, Extern_traverse},  {Py_tp_dealloc, Extern_dealloc},
    {Py_tp_repr, Table_repr},           {Py_tp_richcompare, Extern_richcompare},
    {Py_tp_hash, Extern_hash},          {Py_sq_length, Table_length},
    {Py_sq_item, Table_item},           {Py_mp_length, Table_length},
    {Py_mp_subscript, Table_subscript}, {Py_mp_ass_subscript, Table_ass_subscript},
    {Py_tp_methods, Table_methods},     {Py_tp_getset, Table_getset},
    {Py_tp_members, Extern_members},    {0, NULL},
};

PyType_Spec Table_spec = {
    .name = "anywasm.Table",
    .basicsize = sizeof(TableObject),
    .flags = AW_TYPE_FLAGS | Py_TPFLAGS_HAVE_GC,
    .slots = Table_slots,
};

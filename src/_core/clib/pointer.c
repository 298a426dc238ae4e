// SPDX-License-Identifier: Apache-2.0
// Pointer, Array and Struct: values in a library's memory, seen from Python.
//
// A Pointer is an address and a type; an Array and a Struct are a place in memory where a value of their type lies, and what is read
// through them is what is there now. The place is the guest's memory, or bytes of Python's own for a struct that came by value.
// Each holds the block that it lies in, if Python owns that. Every access asks anew whether the memory is still there.

#include "../errors.h"
#include "clib.h"

static CDataObject *data_cast(PyObject *self)
{
    return (CDataObject *)self;
}

// --- birth and death ------------------------------------------------------------------------------------------------

PyObject *data_new(PyTypeObject *python_type, const cspot *spot, CTypeObject *type)
{
    CDataObject *self = (CDataObject *)python_type->tp_alloc(python_type, 0);
    if (self != NULL) {
        self->spot = *spot;
        Py_INCREF(spot->library);
        Py_XINCREF(spot->block);
        self->type = (CTypeObject *)Py_NewRef((PyObject *)type);
    }
    return (PyObject *)self;
}

PyObject *pointer_new(CLibraryObject *library, CTypeObject *type, uint64_t address, CBlockObject *block)
{
    cspot spot = {.library = library,
                  .block = block,
                  .address = address,
                  .generation = library->generation,
                  .readonly = type->readonly};
    return data_new(library->state->Pointer, &spot, type);
}

PyObject *struct_from_bytes(CLibraryObject *library, CTypeObject *type, const uint8_t *bytes)
{
    CBlockObject *block = block_new_host(library, bytes, type->size);
    if (block == NULL) {
        return NULL;
    }
    cspot spot = {.library = library, .block = block, .generation = library->generation};
    PyObject *self = data_new(type->kind == CK_ARRAY ? library->state->Array : library->state->Struct, &spot, type);
    Py_DECREF(block);
    return self;
}

static int Data_traverse(PyObject *object, visitproc visit, void *arg)
{
    CDataObject *self = data_cast(object);
    Py_VISIT(Py_TYPE(object));
    Py_VISIT(self->spot.library);
    Py_VISIT(self->spot.block);
    Py_VISIT(self->type);
    return 0;
}

static void Data_dealloc(PyObject *object)
{
    CDataObject *self = data_cast(object);
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    if (self->weakrefs != NULL) {
        PyObject_ClearWeakRefs(object);
    }
    Py_XDECREF(self->spot.block);
    Py_XDECREF(self->type);
    Py_XDECREF(self->spot.library);
    type->tp_free(object);
    Py_DECREF(type);
}

// --- items ------------------------------------------------------------------------------------------------------------

// The place of the item *index*: 0, or -1 if there is no such address.
static int item_spot(const CDataObject *self, Py_ssize_t index, cspot *spot)
{
    const CTypeObject *item = self->type->item;
    int64_t offset;
    *spot = self->spot;
    if (!item->complete) {
        PyObject *text = ctype_spell(item, "");
        if (text != NULL) {
            PyErr_Format(PyExc_TypeError,
                         "%U has no size here, so there are no items of it: cast() makes another pointer", text);
            Py_DECREF(text);
        }
        return -1;
    }
    if (__builtin_mul_overflow((int64_t)index, (int64_t)item->size, &offset) ||
        __builtin_add_overflow((int64_t)spot->address, offset, (int64_t *)&spot->address)) {
        PyErr_SetString(PyExc_IndexError, "the index is out of bounds");
        return -1;
    }
    return 0;
}

static int index_of(PyObject *object, Py_ssize_t *index)
{
    if (!PyIndex_Check(object)) {
        PyErr_Format(PyExc_TypeError, "an index is an integer or a slice, not %.200s", Py_TYPE(object)->tp_name);
        return -1;
    }
    *index = PyNumber_AsSsize_t(object, PyExc_IndexError);
    return *index == -1 && PyErr_Occurred() ? -1 : 0;
}

// An Array of *count* items from *first* on, at the same memory: new reference.
static PyObject *slice_new(CDataObject *self, Py_ssize_t first, Py_ssize_t count)
{
    core_state *state = self->spot.library->state;
    cspot spot;
    CTypeObject *type = item_spot(self, first, &spot) < 0 ? NULL : ctype_array_of(state, self->type->item, count);
    if (type == NULL) {
        return NULL;
    }
    PyObject *array = spot_bytes(&spot, type->size) != NULL ? data_new(state->Array, &spot, type) : NULL;
    Py_DECREF(type);
    return array;
}

// The positions of a slice: 0 or -1. A pointer's slice needs both ends, since it has no length.
static int slice_bounds(CDataObject *self, PyObject *slice, Py_ssize_t *first, Py_ssize_t *count)
{
    Py_ssize_t stop, step;
    bool is_pointer = Py_TYPE(self) == self->spot.library->state->Pointer;
    if (is_pointer && ((PySliceObject *)slice)->stop == Py_None) {
        PyErr_SetString(PyExc_TypeError, "a pointer has no length: give the slice an end");
        return -1;
    }
    if (PySlice_Unpack(slice, first, &stop, &step) < 0) {
        return -1;
    }
    if (step != 1) {
        PyErr_SetString(PyExc_ValueError, "a slice of a C array has the step 1");
        return -1;
    }
    if (is_pointer) {
        *count = stop > *first ? stop - *first : 0;
    }
    else {
        *count = PySlice_AdjustIndices(self->type->length, first, &stop, step);
    }
    return 0;
}

static int array_index(const CDataObject *self, Py_ssize_t *index)
{
    Py_ssize_t length = self->type->length, given = *index;
    *index = given < 0 ? given + length : given;
    if (*index < 0 || *index >= length) {
        PyErr_Format(PyExc_IndexError, "index %zd is out of bounds, the array has %zd item%s", given, length,
                     length == 1 ? "" : "s");
        return -1;
    }
    return 0;
}

static PyObject *Data_subscript(PyObject *object, PyObject *item)
{
    CDataObject *self = data_cast(object);
    Py_ssize_t index, count;
    if (PySlice_Check(item)) {
        return slice_bounds(self, item, &index, &count) < 0 ? NULL : slice_new(self, index, count);
    }
    cspot spot;
    if (index_of(item, &index) < 0 ||
        (Py_TYPE(object) == self->spot.library->state->Array && array_index(self, &index) < 0) ||
        item_spot(self, index, &spot) < 0) {
        return NULL;
    }
    return value_read(&spot, self->type->item);
}

static int Data_ass_subscript(PyObject *object, PyObject *item, PyObject *value)
{
    CDataObject *self = data_cast(object);
    core_state *state = self->spot.library->state;
    Py_ssize_t index, count;
    cspot spot;
    cplace outer = {.kind = PLACE_VALUE, .type = self->type};
    if (value == NULL) {
        PyErr_SetString(PyExc_TypeError, "items of C memory cannot be deleted");
        return -1;
    }
    if (PySlice_Check(item)) {
        if (slice_bounds(self, item, &index, &count) < 0 || item_spot(self, index, &spot) < 0) {
            return -1;
        }
        Py_ssize_t given = PyObject_Size(value);
        if (given < 0) {
            return -1;
        }
        CTypeObject *type = ctype_array_of(state, self->type->item, count);
        if (type == NULL) {
            return -1;
        }
        int status = -1;
        if (PySequence_Check(value) && !PyObject_CheckBuffer(value) && given != count) {
            PyErr_Format(PyExc_ValueError, "the slice has %zd items, got %zd", count, given);
        }
        else {
            status = value_write(&spot, type, value, &outer);
        }
        Py_DECREF(type);
        return status;
    }
    if (index_of(item, &index) < 0 || (Py_TYPE(object) == state->Array && array_index(self, &index) < 0) ||
        item_spot(self, index, &spot) < 0) {
        return -1;
    }
    cplace place = {.outer = &outer, .kind = PLACE_ITEM, .index = index};
    return value_write(&spot, self->type->item, value, &place);
}

static Py_ssize_t Array_length(PyObject *object)
{
    return data_cast(object)->type->length;
}

static PyObject *Array_item(PyObject *object, Py_ssize_t index)
{
    CDataObject *self = data_cast(object);
    cspot spot;
    if (index < 0) {
        index = PY_SSIZE_T_MAX;  // the length was added already
    }
    if (array_index(self, &index) < 0 || item_spot(self, index, &spot) < 0) {
        return NULL;
    }
    return value_read(&spot, self->type->item);
}

// --- fields -----------------------------------------------------------------------------------------------------------

static PyObject *field_get(const cspot *of, const cfield *field)
{
    cspot spot = *of;
    spot.address += field->offset;
    return field->bit_width > 0 ? bits_read(&spot, field) : value_read(&spot, field->type);
}

static int field_set(const cspot *of, const CTypeObject *type, const cfield *field, PyObject *value)
{
    cspot spot = *of;
    spot.address += field->offset;
    cplace outer = {.kind = PLACE_VALUE, .type = type};
    cplace place = {.outer = &outer, .kind = PLACE_FIELD, .name = field->name, .type = field->type};
    if (value == NULL) {
        PyErr_Format(PyExc_AttributeError, "field %R cannot be deleted", field->name);
        return -1;
    }
    return field->bit_width > 0 ? bits_write(&spot, field, value, &outer)  // which tells the field itself
                                : value_write(&spot, field->type, value, &place);
}

// A struct's fields hide the methods that all have: those of the same name are had from the class.
static PyObject *Data_getattro(PyObject *object, PyObject *name)
{
    CDataObject *self = data_cast(object);
    const CTypeObject *record = Py_TYPE(object) == self->spot.library->state->Struct ? self->type : self->type->item;
    cfield field;
    int found = ctype_is_record(record) ? ctype_field(record, name, &field) : 0;
    if (found != 0) {
        return found < 0 ? NULL : field_get(&self->spot, &field);
    }
    PyObject *value = PyObject_GenericGetAttr(object, name);
    if (value == NULL && ctype_is_record(record) && PyErr_ExceptionMatches(PyExc_AttributeError)) {
        PyErr_Clear();
        PyObject *text = ctype_spell(record, "");
        if (text != NULL) {
            PyErr_Format(PyExc_AttributeError, "%U has no field %R", text, name);
            Py_DECREF(text);
        }
    }
    return value;
}

static int Data_setattro(PyObject *object, PyObject *name, PyObject *value)
{
    CDataObject *self = data_cast(object);
    const CTypeObject *record = Py_TYPE(object) == self->spot.library->state->Struct ? self->type : self->type->item;
    cfield field;
    int found = ctype_is_record(record) ? ctype_field(record, name, &field) : 0;
    if (found == 0) {
        PyObject *text = ctype_spell(self->type, "");
        if (text != NULL) {
            PyErr_Format(PyExc_AttributeError, "%U has no field %R", text, name);
            Py_DECREF(text);
        }
        return -1;
    }
    return found < 0 ? -1 : field_set(&self->spot, record, &field, value);
}

static PyObject *Data_dir(PyObject *object, PyObject *Py_UNUSED(ignored))
{
    CDataObject *self = data_cast(object);
    const CTypeObject *record = Py_TYPE(object) == self->spot.library->state->Struct ? self->type : self->type->item;
    PyObject *names = PyObject_CallMethod((PyObject *)&PyBaseObject_Type, "__dir__", "O", object);
    if (names == NULL || !ctype_is_record(record) || record->field_index == NULL) {
        return names;
    }
    PyObject *all = PySequence_List(names), *fields = PySequence_List(record->field_index);
    Py_DECREF(names);
    if (all == NULL || fields == NULL || PyList_SetSlice(all, 0, 0, fields) < 0) {
        Py_CLEAR(all);
    }
    Py_XDECREF(fields);
    return all;
}

// A struct is what its fields are, in their order: tuple(struct) and `x, y = struct`.
static Py_ssize_t Struct_length(PyObject *object)
{
    return data_cast(object)->type->field_count;
}

static PyObject *struct_field_value(CDataObject *self, Py_ssize_t index)
{
    if (index < 0 || index >= self->type->field_count) {
        PyErr_SetString(PyExc_IndexError, "the struct has no such field");
        return NULL;
    }
    return field_get(&self->spot, &self->type->fields[index]);
}

static PyObject *Struct_item(PyObject *object, Py_ssize_t index)
{
    return struct_field_value(data_cast(object), index);
}

// --- pointers as numbers ------------------------------------------------------------------------------------------------

static PyObject *pointer_moved(CDataObject *self, PyObject *distance, bool back)
{
    Py_ssize_t index;
    cspot spot;
    if (index_of(distance, &index) < 0) {
        return NULL;
    }
    if (back && index == PY_SSIZE_T_MIN) {
        PyErr_SetString(PyExc_IndexError, "the index is out of bounds");
        return NULL;
    }
    if (item_spot(self, back ? -index : index, &spot) < 0) {
        return NULL;
    }
    if (spot.library->pointer_size == 4) {
        spot.address &= UINT32_MAX;
    }
    return data_new(Py_TYPE(self), &spot, self->type);
}

static PyObject *Pointer_add(PyObject *a, PyObject *b)
{
    // Either may be the pointer; a type of ours is known by its function.
    bool first = Py_TYPE(a)->tp_as_number != NULL && Py_TYPE(a)->tp_as_number->nb_add == Pointer_add;
    PyObject *other = first ? b : a;
    if (!PyIndex_Check(other)) {
        Py_RETURN_NOTIMPLEMENTED;
    }
    return pointer_moved(data_cast(first ? a : b), other, false);
}

static PyObject *Pointer_subtract(PyObject *a, PyObject *b)
{
    if (Py_TYPE(a)->tp_as_number == NULL || Py_TYPE(a)->tp_as_number->nb_subtract != Pointer_subtract) {
        Py_RETURN_NOTIMPLEMENTED;
    }
    CDataObject *self = data_cast(a);
    if (Py_TYPE(b) != Py_TYPE(a)) {
        return PyIndex_Check(b) ? pointer_moved(self, b, true) : Py_NewRef(Py_NotImplemented);
    }
    CDataObject *other = data_cast(b);
    if (self->spot.library != other->spot.library || !ctype_equal(self->type->item, other->type->item) ||
        !self->type->item->complete || self->type->item->size == 0) {
        PyErr_SetString(PyExc_TypeError, "the distance is of two pointers of one library to items of one type");
        return NULL;
    }
    return PyLong_FromLongLong((int64_t)(self->spot.address - other->spot.address) / (int64_t)self->type->item->size);
}

static int Pointer_bool(PyObject *object)
{
    return data_cast(object)->spot.address != 0;
}

static PyObject *Pointer_int(PyObject *object)
{
    return PyLong_FromUnsignedLongLong(data_cast(object)->spot.address);
}

static PyObject *Pointer_richcompare(PyObject *a, PyObject *b, int op)
{
    if (Py_TYPE(a) != Py_TYPE(b)) {
        Py_RETURN_NOTIMPLEMENTED;
    }
    const cspot *left = &data_cast(a)->spot, *right = &data_cast(b)->spot;
    bool comparable = left->library == right->library && left->generation == right->generation;
    if (!comparable) {
        if (op == Py_EQ || op == Py_NE) {
            return PyBool_FromLong(op == Py_NE);
        }
        Py_RETURN_NOTIMPLEMENTED;
    }
    Py_RETURN_RICHCOMPARE(left->address, right->address, op);
}

static Py_hash_t Pointer_hash(PyObject *object)
{
    const cspot *spot = &data_cast(object)->spot;
    Py_hash_t hash = (Py_hash_t)((spot->address + spot->generation) * UINT64_C(0x9E3779B97F4A7C15) >> 3);
    return hash == -1 ? -2 : hash;
}

// Structs of one type are equal if all of their fields are; so a struct equals a tuple of its values, too.
static PyObject *Struct_richcompare(PyObject *a, PyObject *b, int op)
{
    if ((op != Py_EQ && op != Py_NE) || (Py_TYPE(b) != Py_TYPE(a) && !PyTuple_Check(b)) ||
        (Py_TYPE(b) == Py_TYPE(a) && data_cast(a)->type != data_cast(b)->type)) {
        Py_RETURN_NOTIMPLEMENTED;
    }
    PyObject *left = PySequence_Tuple(a), *right = left != NULL ? PySequence_Tuple(b) : NULL;
    PyObject *result = right != NULL ? PyObject_RichCompare(left, right, op) : NULL;
    Py_XDECREF(left);
    Py_XDECREF(right);
    return result;
}

static PyObject *Array_richcompare(PyObject *a, PyObject *b, int op)
{
    if ((op != Py_EQ && op != Py_NE) || (Py_TYPE(b) != Py_TYPE(a) && !PyList_Check(b))) {
        Py_RETURN_NOTIMPLEMENTED;
    }
    PyObject *left = PySequence_List(a), *right = left != NULL ? PySequence_List(b) : NULL;
    PyObject *result = right != NULL ? PyObject_RichCompare(left, right, op) : NULL;
    Py_XDECREF(left);
    Py_XDECREF(right);
    return result;
}

// --- the buffer protocol ------------------------------------------------------------------------------------------------

enum { MOST_DIMENSIONS = 8 };

typedef struct buffer_shape {
    PyObject
        *memory;  // owned: the Memory whose bytes are seen, which a reset must not take away; NULL for Python's own
    Py_ssize_t shape[MOST_DIMENSIONS], strides[MOST_DIMENSIONS];
} buffer_shape;

static int data_getbuffer(CDataObject *self, CTypeObject *item, Py_ssize_t count, bool is_array, Py_buffer *view,
                          int flags)
{
    CLibraryObject *library = self->spot.library;
    view->obj = NULL;
    if (self->spot.readonly && (flags & PyBUF_WRITABLE) != 0) {
        PyErr_SetString(PyExc_BufferError, "the memory is const");
        return -1;
    }
    Py_ssize_t dimensions = is_array ? 1 : 0, length = (Py_ssize_t)item->size * count;
    buffer_shape *shape = PyMem_Calloc(1, sizeof(*shape));
    if (shape == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    shape->shape[0] = count;
    while (item->kind == CK_ARRAY && dimensions < MOST_DIMENSIONS) {
        shape->shape[dimensions++] = item->length;
        item = item->item;
    }
    Py_ssize_t stride = (Py_ssize_t)item->size;
    for (Py_ssize_t i = dimensions; i-- > 0;) {
        shape->strides[i] = stride;
        stride *= shape->shape[i];
    }
    const char *format = ctype_format(item);
    bool guest = self->spot.block == NULL || self->spot.block->bytes == NULL;
    uint8_t *bytes = format != NULL ? spot_bytes(&self->spot, (uint64_t)length) : NULL;
    if (bytes != NULL && guest && !engine_has(library->store->engine, AW_CAP_STABLE_MEMORY)) {
        PyErr_SetString(PyExc_BufferError, "this engine's memory may move when it grows, so it has no views");
        bytes = NULL;
    }
    if (bytes == NULL) {
        PyMem_Free(shape);
        return -1;
    }
    static char nothing;
    view->obj = Py_NewRef((PyObject *)self);
    view->buf = length > 0 ? (void *)bytes : &nothing;
    view->len = length;
    view->itemsize = (Py_ssize_t)item->size;
    view->readonly = self->spot.readonly;
    view->ndim = (int)dimensions;
    view->format = (flags & PyBUF_FORMAT) != 0 ? (char *)format : NULL;
    view->shape = (flags & PyBUF_ND) != 0 ? shape->shape : NULL;
    view->strides = (flags & PyBUF_STRIDES) == PyBUF_STRIDES ? shape->strides : NULL;
    view->suboffsets = NULL;
    view->internal = shape;
    if (view->shape == NULL) {
        view->ndim = 1;
    }
    if (guest) {
        shape->memory = Py_NewRef((PyObject *)library->memory);
        library->memory->store->views++;
    }
    if (self->spot.block != NULL) {
        self->spot.block->views++;
    }
    return 0;
}

static void Data_releasebuffer(PyObject *object, Py_buffer *view)
{
    CDataObject *self = data_cast(object);
    buffer_shape *shape = view->internal;
    if (self->spot.block != NULL) {
        self->spot.block->views--;
    }
    if (shape->memory != NULL) {
        ((ExternObject *)shape->memory)->store->views--;
        Py_DECREF(shape->memory);
    }
    PyMem_Free(shape);
}

static int Array_getbuffer(PyObject *object, Py_buffer *view, int flags)
{
    CDataObject *self = data_cast(object);
    return data_getbuffer(self, self->type->item, self->type->length, true, view, flags);
}

static int Struct_getbuffer(PyObject *object, Py_buffer *view, int flags)
{
    CDataObject *self = data_cast(object);
    return data_getbuffer(self, self->type, 1, false, view, flags);
}

// --- methods ------------------------------------------------------------------------------------------------------------

int data_free(CDataObject *self)
{
    CBlockObject *block = self->spot.block;
    if (block == NULL) {
        PyErr_SetString(PyExc_ValueError, "the memory is the library's own: adopt() makes it Python's to free");
        return -1;
    }
    if (block->bytes != NULL) {
        return 0;  // Python's own bytes, which go with the last reference
    }
    if (self->spot.address != block->address) {
        PyErr_SetString(PyExc_ValueError, "this is within memory of Python's: free the whole of it");
        return -1;
    }
    return block_free(block);
}

static PyObject *Data_enter(PyObject *object, PyObject *Py_UNUSED(ignored))
{
    return Py_NewRef(object);
}

// What was freed within is no error here.
static PyObject *Data_exit(PyObject *object, PyObject *const *Py_UNUSED(args), Py_ssize_t Py_UNUSED(count))
{
    CDataObject *self = data_cast(object);
    CBlockObject *block = self->spot.block;
    if (block != NULL && (block->freed || block->generation != self->spot.library->generation)) {
        return Py_NewRef(Py_None);
    }
    return data_free(self) < 0 ? NULL : Py_NewRef(Py_None);
}

PyDoc_STRVAR(
    Pointer_read_cstring_doc,
    "read_cstring($self, /, *, encoding='utf-8')\n--\n\n"
    "Return the string that begins here and ends before the next NUL byte; bytes if *encoding* is None.\n\n"
    "Raises IndexError if no NUL ends it within the memory, UnicodeDecodeError, LookupError for an unknown encoding.");

static PyObject *Pointer_read_cstring(PyObject *object, PyObject *args, PyObject *keywords)
{
    static char *names[] = {"encoding", NULL};
    CDataObject *self = data_cast(object);
    const char *encoding = "utf-8";
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "|$z:read_cstring", names, &encoding)) {
        return NULL;
    }
    if (self->type->item->size > 1) {
        PyErr_SetString(PyExc_TypeError,
                        "read_cstring() reads bytes, and this points at larger items: cast() it to char *");
        return NULL;
    }
    if (spot_bytes(&self->spot, 1) == NULL) {
        return NULL;
    }
    PyObject *bytes = string_read(self->spot.library, self->spot.address, true);
    if (bytes == NULL || encoding == NULL) {
        return bytes;
    }
    PyObject *text = PyUnicode_FromEncodedObject(bytes, encoding, "strict");
    Py_DECREF(bytes);
    return text;
}

static PyObject *Data_get_type(PyObject *object, void *Py_UNUSED(closure))
{
    return Py_NewRef((PyObject *)data_cast(object)->type);
}

static PyObject *Data_get_address(PyObject *object, void *Py_UNUSED(closure))
{
    const cspot *spot = &data_cast(object)->spot;
    return spot->block != NULL && spot->block->bytes != NULL ? Py_NewRef(Py_None)
                                                             : PyLong_FromUnsignedLongLong(spot->address);
}

static PyObject *Data_get_owned(PyObject *object, void *Py_UNUSED(closure))
{
    const CBlockObject *block = data_cast(object)->spot.block;
    return PyBool_FromLong(block != NULL && (block->owned || block->bytes != NULL));
}

// --- repr -----------------------------------------------------------------------------------------------------------------

// Why the value cannot be read now, or NULL.
static const char *unreadable(const CDataObject *self)
{
    const cspot *spot = &self->spot;
    if (spot->block != NULL && spot->block->bytes != NULL) {
        return NULL;
    }
    if (spot->block != NULL && spot->block->freed) {
        return "freed";
    }
    if (spot->generation != spot->library->generation) {
        return "of the library before its reset";
    }
    return store_unusable(spot->library->store);
}

static PyObject *Pointer_repr(PyObject *object)
{
    CDataObject *self = data_cast(object);
    PyObject *type = ctype_spell(self->type, "");
    if (type == NULL) {
        return NULL;
    }
    const char *why = unreadable(self);
    char address[ADDRESS_TEXT_SIZE];
    PyObject *text = PyUnicode_FromFormat("<anywasm.clib.Pointer '%U' %s%s%s>", type,
                                          address_text(self->spot.address, address), why != NULL ? ", " : "",
                                          why != NULL ? why : "");
    Py_DECREF(type);
    return text;
}

static PyObject *Array_repr(PyObject *object)
{
    CDataObject *self = data_cast(object);
    const char *why = unreadable(self);
    PyObject *type = ctype_spell(self->type, ""), *text = NULL, *items = NULL;
    if (type == NULL) {
        return NULL;
    }
    if (why != NULL) {
        text = PyUnicode_FromFormat("<anywasm.clib.Array '%U', %s>", type, why);
    }
    else {
        Py_ssize_t shown = self->type->length < 20 ? self->type->length : 20;
        PyObject *part = slice_new(self, 0, shown);
        items = part != NULL ? PySequence_List(part) : NULL;
        Py_XDECREF(part);
        if (items == NULL) {
            PyErr_Clear();
            text = PyUnicode_FromFormat("<anywasm.clib.Array '%U'>", type);
        }
        else {
            text = PyUnicode_FromFormat("<anywasm.clib.Array '%U': %R%s>", type, items,
                                        shown < self->type->length ? " and more" : "");
        }
    }
    Py_XDECREF(items);
    Py_DECREF(type);
    return text;
}

// "point(x=1.0, y=2.0)"
static PyObject *Struct_repr(PyObject *object)
{
    CDataObject *self = data_cast(object);
    const char *why = unreadable(self);
    PyObject *type = ctype_spell(self->type, "");
    if (type == NULL) {
        return NULL;
    }
    if (why != NULL || spot_bytes(&self->spot, self->type->size) == NULL) {
        PyErr_Clear();
        PyObject *text = PyUnicode_FromFormat("<anywasm.clib.Struct '%U', %s>", type,
                                              why != NULL ? why : "out of bounds");
        Py_DECREF(type);
        return text;
    }
    PyObject *parts = PyList_New(0), *text = NULL;
    int entered = Py_ReprEnter(object);
    for (Py_ssize_t i = 0; parts != NULL && entered == 0 && i < self->type->field_count; i++) {
        PyObject *value = struct_field_value(self, i), *name = self->type->fields[i].name;
        if (value == NULL) {  // a string that is none: shown is what can be
            PyErr_Clear();
            value = PyUnicode_FromString("?");
        }
        PyObject *part = value == NULL  ? NULL
                         : name != NULL ? PyUnicode_FromFormat("%U=%R", name, value)
                                        : PyUnicode_FromFormat("%R", value);
        Py_XDECREF(value);
        if (part == NULL || PyList_Append(parts, part) < 0) {
            Py_CLEAR(parts);
        }
        Py_XDECREF(part);
    }
    if (entered == 0) {
        Py_ReprLeave(object);
    }
    PyObject *comma = parts != NULL ? PyUnicode_FromString(", ") : NULL;
    PyObject *inner = comma != NULL ? PyUnicode_Join(comma, parts) : NULL;
    if (inner != NULL) {
        text = PyUnicode_FromFormat("%U(%U)", type, inner);
    }
    Py_XDECREF(inner);
    Py_XDECREF(comma);
    Py_XDECREF(parts);
    Py_DECREF(type);
    return text;
}

// --- tables ---------------------------------------------------------------------------------------------------------------

PyDoc_STRVAR(
    Pointer_doc,
    "A pointer into a library's memory.\n\n"
    "p[i] is an item, p[a:b] an Array at the same memory, p.name the field of a struct that it points at; p + n, p - n\n"
    "and p - q count items. int(p) is the address. NULL comes as None, so a Pointer is hardly ever false.\n\n"
    "Where Python owns the memory (Library.new(), array(), string(), adopt()), the pointer keeps it, and reading beyond\n"
    "its end raises IndexError; elsewhere the library's memory is the bound. `with` frees at its end what Python owns.\n"
    "Raises ValueError once the memory was freed or the library reset.");

PyDoc_STRVAR(
    Array_doc,
    "An array in a library's memory.\n\n"
    "a[i] is an item, a[i:j] an Array at the same memory; iteration, len() and == are as a list's. memoryview(a) and\n"
    "numpy.asarray(a) share its memory, writable unless it is const, and keep it from being freed.\n"
    "Calls pass its address, and copy nothing.");

PyDoc_STRVAR(
    Struct_doc,
    "A struct or union: its fields are attributes.\n\n"
    "One that a pointer or an array leads to lies in the library's memory, and setting a field changes it there; one that\n"
    "a function returned is Python's own. len(), iteration and indices go over the fields' values in their order, so\n"
    "tuple(s) are the values, and s == (1, 2) compares them.");

static PyMethodDef Pointer_methods[] = {
    {"__enter__", Data_enter, METH_NOARGS, NULL},
    {"__exit__", (PyCFunction)(void (*)(void))Data_exit, METH_FASTCALL, NULL},
    {"__dir__", Data_dir, METH_NOARGS, NULL},
    {"read_cstring", (PyCFunction)(void (*)(void))Pointer_read_cstring, METH_VARARGS | METH_KEYWORDS,
     Pointer_read_cstring_doc},
    {NULL, NULL, 0, NULL},
};

static PyMethodDef Data_methods[] = {
    {"__enter__", Data_enter, METH_NOARGS, NULL},
    {"__exit__", (PyCFunction)(void (*)(void))Data_exit, METH_FASTCALL, NULL},
    {"__dir__", Data_dir, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef Data_getset[] = {
    {"ctype", Data_get_type, NULL, "CType: its type.", NULL},
    {"address", Data_get_address, NULL, "int: where in the library's memory; None for a struct that is Python's own.",
     NULL},
    {"owned", Data_get_owned, NULL, "bool: Python owns the memory.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef Data_members[] = {
    {"__weaklistoffset__", Py_T_PYSSIZET, offsetof(CDataObject, weakrefs), Py_READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot Pointer_slots[] = {
    {Py_tp_doc, (void *)Pointer_doc},
    {Py_tp_traverse, Data_traverse},
    {Py_tp_dealloc, Data_dealloc},
    {Py_tp_repr, Pointer_repr},
    {Py_tp_richcompare, Pointer_richcompare},
    {Py_tp_hash, Pointer_hash},
    {Py_tp_getattro, Data_getattro},
    {Py_tp_setattro, Data_setattro},
    {Py_mp_subscript, Data_subscript},
    {Py_mp_ass_subscript, Data_ass_subscript},
    {Py_nb_add, Pointer_add},
    {Py_nb_subtract, Pointer_subtract},
    {Py_nb_bool, Pointer_bool},
    {Py_nb_int, Pointer_int},
    {Py_tp_methods, Pointer_methods},
    {Py_tp_getset, Data_getset},
    {Py_tp_members, Data_members},
    {0, NULL},
};

static PyType_Slot Array_slots[] = {
    {Py_tp_doc, (void *)Array_doc},
    {Py_tp_traverse, Data_traverse},
    {Py_tp_dealloc, Data_dealloc},
    {Py_tp_repr, Array_repr},
    {Py_tp_richcompare, Array_richcompare},
    {Py_tp_hash, PyObject_HashNotImplemented},
    {Py_mp_length, Array_length},
    {Py_mp_subscript, Data_subscript},
    {Py_mp_ass_subscript, Data_ass_subscript},
    {Py_sq_length, Array_length},
    {Py_sq_item, Array_item},
    {Py_bf_getbuffer, Array_getbuffer},
    {Py_bf_releasebuffer, Data_releasebuffer},
    {Py_tp_methods, Data_methods},
    {Py_tp_getset, Data_getset},
    {Py_tp_members, Data_members},
    {0, NULL},
};

static PyType_Slot Struct_slots[] = {
    {Py_tp_doc, (void *)Struct_doc},         {Py_tp_traverse, Data_traverse},
    {Py_tp_dealloc, Data_dealloc},           {Py_tp_repr, Struct_repr},
    {Py_tp_richcompare, Struct_richcompare}, {Py_tp_hash, PyObject_HashNotImplemented},
    {Py_tp_getattro, Data_getattro},         {Py_tp_setattro, Data_setattro},
    {Py_sq_length, Struct_length},           {Py_sq_item, Struct_item},
    {Py_bf_getbuffer, Struct_getbuffer},     {Py_bf_releasebuffer, Data_releasebuffer},
    {Py_tp_methods, Data_methods},           {Py_tp_getset, Data_getset},
    {Py_tp_members, Data_members},           {0, NULL},
};

#define DATA_SPEC(type, more_flags)                                                                     \
    PyType_Spec type##_spec = {                                                                         \
        .name = "anywasm.clib." #type,                                                                  \
        .basicsize = sizeof(CDataObject),                                                               \
        .flags = AW_TYPE_FLAGS | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION | (more_flags), \
        .slots = type##_slots,                                                                          \
    }

DATA_SPEC(Pointer, 0);
DATA_SPEC(Array, Py_TPFLAGS_SEQUENCE);
DATA_SPEC(Struct, 0);

// SPDX-License-Identifier: Apache-2.0
// One value between Python and C: the table of docs/clib.md. Bytes made here are ours until a frame copies them to the guest.

#include "../value.h"

#include <math.h>

#include "../errors.h"
#include "clib.h"

// --- integers, bool -------------------------------------------------------------------------------------------------

static int out_of_range(const cplace *place, const CTypeObject *type, unsigned bits, PyObject *integer)
{
    char limits[64];
    if (type->is_signed) {
        long long most = (long long)((UINT64_C(1) << (bits - 1)) - 1);
        PyOS_snprintf(limits, sizeof(limits), "%lld to %lld", -most - 1, most);
    }
    else {
        unsigned long long most = bits == 64 ? UINT64_MAX : (UINT64_C(1) << bits) - 1;
        PyOS_snprintf(limits, sizeof(limits), "0 to %llu", most);
    }
    int overflow;
    PyLong_AsLongLongAndOverflow(integer, &overflow);
    PyErr_Clear();
    if (overflow != 0) {
        place_raise(place, PyExc_OverflowError, "the value is out of range (%s)", limits);
    }
    else {
        place_raise(place, PyExc_OverflowError, "%S is out of range (%s)", integer, limits);
    }
    return -1;
}

// An integer of so many bits, as its lowest 64: 0 or -1.
static int integer_convert(const CTypeObject *type, unsigned bits, PyObject *object, uint64_t *out, const cplace *place)
{
    if (!PyIndex_Check(object)) {
        return place_expected(place, "an integer", object);
    }
    PyObject *integer = PyNumber_Index(object);
    if (integer == NULL) {
        return -1;
    }
    int overflow, status = -1;
    long long value = PyLong_AsLongLongAndOverflow(integer, &overflow);
    bool fits;
    if (overflow == 0) {
        long long most = bits == 64 ? INT64_MAX : ((long long)1 << (bits - 1)) - 1;
        fits = type->is_signed ? value >= -most - 1 && value <= most
                               : value >= 0 && (bits >= 63 || value < (long long)1 << bits);
        *out = (uint64_t)value;
    }
    else {
        fits = overflow > 0 && !type->is_signed && bits == 64;
        if (fits) {
            *out = PyLong_AsUnsignedLongLong(integer);
            if (*out == UINT64_MAX && PyErr_Occurred()) {
                PyErr_Clear();
                fits = false;
            }
        }
    }
    status = fits ? 0 : out_of_range(place, type, bits, integer);
    Py_DECREF(integer);
    return status;
}

// wasm is little-endian, and so must be the machine: a value's lowest bytes are its first.
static void store_bytes(uint8_t *out, uint64_t value, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        out[i] = (uint8_t)(value >> (8 * i));
    }
}

static uint64_t load_bytes(const uint8_t *bytes, size_t size)
{
    uint64_t value = 0;
    for (size_t i = 0; i < size; i++) {
        value |= (uint64_t)bytes[i] << (8 * i);
    }
    return value;
}

static int64_t sign_extend(uint64_t value, unsigned bits)
{
    unsigned shift = 64 - bits;
    return (int64_t)(value << shift) >> shift;
}

// What is true in C: a number that is not zero, a pointer that is not NULL.
static int bool_convert(CLibraryObject *library, PyObject *object, uint8_t *out, const cplace *place)
{
    if (PyBool_Check(object)) {
        *out = object == Py_True;
        return 0;
    }
    bool is_address = object == Py_None || is_cdata(library->state, object);
    if (!is_address && !PyNumber_Check(object)) {
        return place_expected(place, "what C takes for true or false (a bool, a number, a pointer)", object);
    }
    int truth = PyObject_IsTrue(object);
    if (truth < 0) {
        return -1;
    }
    *out = (uint8_t)truth;
    return 0;
}

// --- floats -----------------------------------------------------------------------------------------------------------

// long double is binary128: 15 bits of exponent, 112 of fraction. Every double is one; back, the nearest double is taken.
static void quad_from_double(double value, uint8_t *out)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof(bits));
    uint64_t sign = bits & (UINT64_C(1) << 63), exponent = bits >> 52 & 0x7FF,
             fraction = bits & ((UINT64_C(1) << 52) - 1);
    if (exponent == 0x7FF) {
        exponent = 0x7FFF;
    }
    else if (exponent != 0) {
        exponent += 16383 - 1023;
    }
    else if (fraction != 0) {  // subnormal: a normal number there
        exponent = 16383 - 1022;
        while ((fraction & (UINT64_C(1) << 52)) == 0) {
            fraction <<= 1;
            exponent--;
        }
        fraction &= (UINT64_C(1) << 52) - 1;
    }
    store_bytes(out, fraction << 60, 8);
    store_bytes(out + 8, sign | exponent << 48 | fraction >> 4, 8);
}

static double quad_to_double(const uint8_t *bytes)
{
    uint64_t low = load_bytes(bytes, 8), high = load_bytes(bytes + 8, 8);
    bool negative = high >> 63;
    int exponent = (int)(high >> 48 & 0x7FFF);
    uint64_t fraction = high & ((UINT64_C(1) << 48) - 1);
    double value;
    if (exponent == 0x7FFF) {
        value = (fraction | low) != 0 ? (double)NAN : (double)INFINITY;
    }
    else {
        // 55 bits, of which the last also stands for all below, so that the conversion to 53 rounds as it should.
        uint64_t significand = (exponent != 0 ? UINT64_C(1) << 60 : 0) | fraction << 12 | low >> 52;
        bool rest = (significand & 0x3F) != 0 || (low & ((UINT64_C(1) << 52) - 1)) != 0;
        value = ldexp((double)(significand >> 6 | rest), (exponent != 0 ? exponent : 1) - 16383 - 54);
    }
    return negative ? -value : value;
}

static int float_store(const CTypeObject *type, size_t size, double value, uint8_t *out, const cplace *place)
{
    if (size == 4) {
        float narrow = (float)value;
        if (isinf(narrow) && !isinf(value)) {
            PyObject *number = PyFloat_FromDouble(value);
            if (number != NULL) {
                place_raise(place, PyExc_OverflowError, "%R is out of the range of float", number);
                Py_DECREF(number);
            }
            return -1;
        }
        memcpy(out, &narrow, 4);
    }
    else if (size == 8) {
        memcpy(out, &value, 8);
    }
    else {
        quad_from_double(value, out);
    }
    (void)type;
    return 0;
}

static double float_load(size_t size, const uint8_t *bytes)
{
    float narrow;
    double value;
    switch (size) {
    case 4:
        memcpy(&narrow, bytes, 4);
        return narrow;
    case 8:
        memcpy(&value, bytes, 8);
        return value;
    default:
        return quad_to_double(bytes);
    }
}

static int float_convert(const CTypeObject *type, PyObject *object, uint8_t *out, const cplace *place)
{
    const PyNumberMethods *methods = Py_TYPE(object)->tp_as_number;
    if (methods == NULL || (methods->nb_float == NULL && methods->nb_index == NULL)) {
        return place_expected(place, "a number", object);
    }
    double value = PyFloat_AsDouble(object);
    if (value == -1.0 && PyErr_Occurred()) {
        if (PyErr_ExceptionMatches(PyExc_OverflowError)) {  // of an int that no double holds
            PyErr_Clear();
            place_raise(place, PyExc_OverflowError, "the value is out of the range of double");
        }
        return -1;
    }
    return float_store(type, type->size, value, out, place);
}

static int complex_convert(const CTypeObject *type, PyObject *object, uint8_t *out, const cplace *place)
{
    const PyNumberMethods *methods = Py_TYPE(object)->tp_as_number;
    bool real = methods != NULL && (methods->nb_float != NULL || methods->nb_index != NULL);
    if (!PyComplex_Check(object) && !real) {
        PyObject *method = PyObject_GetAttrString((PyObject *)Py_TYPE(object), "__complex__");
        if (method == NULL) {
            PyErr_Clear();
            return place_expected(place, "a complex number", object);
        }
        Py_DECREF(method);
    }
    Py_complex value = PyComplex_AsCComplex(object);
    if (value.real == -1.0 && PyErr_Occurred()) {
        return -1;
    }
    size_t half = type->size / 2;
    return float_store(type, half, value.real, out, place) < 0 ? -1
                                                               : float_store(type, half, value.imag, out + half, place);
}

// --- strings ----------------------------------------------------------------------------------------------------------

const char *text_bytes(CLibraryObject *library, PyObject *text, Py_ssize_t *length, PyObject **owner,
                       const cplace *place)
{
    const char *bytes;
    *owner = NULL;
    if (library->encoding == Py_None || PyUnicode_CompareWithASCIIString(library->encoding, "utf-8") == 0) {
        bytes = PyUnicode_AsUTF8AndSize(text, length);
        *owner = bytes != NULL ? Py_NewRef(text) : NULL;
    }
    else {
        const char *encoding = PyUnicode_AsUTF8(library->encoding);
        *owner = encoding != NULL ? PyUnicode_AsEncodedString(text, encoding, "strict") : NULL;
        bytes = *owner != NULL ? PyBytes_AS_STRING(*owner) : NULL;
        *length = *owner != NULL ? PyBytes_GET_SIZE(*owner) : 0;
    }
    if (bytes != NULL && memchr(bytes, 0, (size_t)*length) != NULL) {
        place_raise(place, PyExc_ValueError,
                    "the str has a NUL character within, where C would end it: pass bytes if that is meant");
        Py_CLEAR(*owner);
        return NULL;
    }
    return bytes;
}

int string_to_address(cframe *frame, const char *bytes, Py_ssize_t length, PyObject *owner, uint64_t *address)
{
    ctemporary *entry = frame_reserve(frame, (size_t)length + 1, 1, address) < 0
                            ? NULL
                            : frame_add(frame, *address, (size_t)length + 1);
    if (entry == NULL) {
        Py_DECREF(owner);
        return -1;
    }
    entry->bytes = (const uint8_t *)bytes;  // str and bytes have a NUL behind their last byte
    entry->object = owner;
    return 0;
}

// str or bytes of so many bytes of the guest's, which are copied first: a codec may run Python code.
static PyObject *text_new(CLibraryObject *library, const char *bytes, Py_ssize_t length, bool as_bytes)
{
    if (as_bytes || library->encoding == Py_None) {
        return PyBytes_FromStringAndSize(bytes, length);
    }
    PyObject *text;
    if (PyUnicode_CompareWithASCIIString(library->encoding, "utf-8") == 0) {
        text = PyUnicode_DecodeUTF8(bytes, length, "strict");
    }
    else {
        PyObject *copy = PyBytes_FromStringAndSize(bytes, length);
        const char *encoding = copy != NULL ? PyUnicode_AsUTF8(library->encoding) : NULL;
        text = encoding != NULL ? PyUnicode_FromEncodedObject(copy, encoding, "strict") : NULL;
        Py_XDECREF(copy);
    }
    return text;
}

PyObject *string_read(CLibraryObject *library, uint64_t address, bool as_bytes)
{
    if (library_check(library) < 0) {
        return NULL;
    }
    size_t size;
    const uint8_t *base = library_memory(library, &size);
    const uint8_t *end = address < size ? memchr(base + address, 0, size - (size_t)address) : NULL;
    if (end == NULL) {
        char text[ADDRESS_TEXT_SIZE];
        PyErr_Format(PyExc_IndexError,
                     address < size ? "no NUL ends the string at %s before the memory's end"
                                    : "a string at %s would be outside the library's memory",
                     address_text(address, text));
        return NULL;
    }
    return text_new(library, (const char *)base + address, end - (base + address), as_bytes);
}

// --- structs and arrays -----------------------------------------------------------------------------------------------

static int field_to_bytes(cframe *frame, const cfield *field, PyObject *value, uint8_t *out, const cplace *outer)
{
    cplace place = {.outer = outer, .kind = PLACE_FIELD, .name = field->name, .type = field->type};
    uint8_t *at = out + field->offset;
    if (field->bit_width == 0) {
        if (field->type->kind == CK_ARRAY && field->type->length < 0) {
            place_raise(&place, PyExc_TypeError, "an array of unknown length cannot be set as a whole");
            return -1;
        }
        memset(at, 0, field->type->size);
        return value_to_bytes(frame, field->type, value, at, &place);
    }
    uint64_t bits = 0;
    uint8_t truth = 0;
    if (field->type->kind == CK_BOOL) {
        if (bool_convert(frame->library, value, &truth, &place) < 0) {
            return -1;
        }
        bits = truth;
    }
    else if (integer_convert(field->type, field->bit_width, value, &bits, &place) < 0) {
        return -1;
    }
    for (unsigned i = 0; i < field->bit_width; i++) {  // bit by bit: the unit may reach beyond the struct
        unsigned bit = field->bit_offset + i;
        uint8_t mask = (uint8_t)(1U << (bit % 8));
        at[bit / 8] = (uint8_t)((at[bit / 8] & ~mask) | ((bits >> i & 1) != 0 ? mask : 0));
    }
    return 0;
}

static int no_such_field(const CTypeObject *type, PyObject *name, const cplace *place)
{
    PyObject *names = PySequence_List(type->field_index);
    PyObject *comma = names != NULL ? PyUnicode_FromString(", ") : NULL;
    PyObject *list = comma != NULL ? PyUnicode_Join(comma, names) : NULL;
    if (list != NULL) {
        place_raise(place, PyExc_TypeError, "there is no field %R (there are: %U)", name, list);
    }
    Py_XDECREF(list);
    Py_XDECREF(comma);
    Py_XDECREF(names);
    return -1;
}

static int record_from_dict(cframe *frame, CTypeObject *type, PyObject *dict, uint8_t *out, const cplace *place)
{
    PyObject *items = PyMapping_Items(dict);  // of our own: converting runs Python code, which may change the dict
    if (items == NULL) {
        return -1;
    }
    int status = 0;
    for (Py_ssize_t i = 0; status == 0 && i < PyList_GET_SIZE(items); i++) {
        PyObject *item = PyList_GET_ITEM(items, i);
        cfield field;
        int found = PyTuple_Check(item) && PyTuple_GET_SIZE(item) == 2
                        ? ctype_field(type, PyTuple_GET_ITEM(item, 0), &field)
                        : -1;
        if (found <= 0) {
            status = found == 0 ? no_such_field(type, PyTuple_GET_ITEM(item, 0), place) : -1;
            if (!PyErr_Occurred()) {
                PyErr_SetString(PyExc_TypeError, "a mapping's items are pairs");
            }
            break;
        }
        status = field_to_bytes(frame, &field, PyTuple_GET_ITEM(item, 1), out, place);
    }
    Py_DECREF(items);
    return status;
}

static int record_from_sequence(cframe *frame, CTypeObject *type, PyObject *sequence, uint8_t *out, const cplace *place)
{
    PyObject *items = PySequence_Tuple(sequence);
    if (items == NULL) {
        return -1;
    }
    int status = 0;
    if (PyTuple_GET_SIZE(items) != type->field_count) {
        place_raise(place, PyExc_TypeError, "expected %zd values, one for each field, got %zd", type->field_count,
                    PyTuple_GET_SIZE(items));
        status = -1;
    }
    for (Py_ssize_t i = 0; status == 0 && i < type->field_count; i++) {
        const cfield *field = &type->fields[i];
        if (field->name == NULL) {
            cplace inner = {.outer = place, .kind = PLACE_ITEM, .index = i};
            status = value_to_bytes(frame, field->type, PyTuple_GET_ITEM(items, i), out + field->offset, &inner);
        }
        else {
            status = field_to_bytes(frame, field, PyTuple_GET_ITEM(items, i), out, place);
        }
    }
    Py_DECREF(items);
    return status;
}

int buffer_get(PyObject *object, CTypeObject *item, Py_buffer *view)
{
    if (!PyObject_CheckBuffer(object)) {
        return 0;
    }
    if (PyObject_GetBuffer(object, view, PyBUF_FULL_RO) < 0) {
        return -1;
    }
    int dimensions = 0;
    bool same_shape = true;
    while (item->kind == CK_ARRAY && item->length >= 0) {
        dimensions++;
        same_shape = same_shape &&
                     (view->ndim <= 1 || (dimensions < view->ndim && view->shape[dimensions] == item->length));
        item = item->item;
    }
    if (!same_shape || (dimensions > 0 && view->ndim > 1 && view->ndim != dimensions + 1)) {
        PyBuffer_Release(view);
        return 0;
    }
    int matches;
    if (item->kind == CK_VOID) {
        matches = 1;
    }
    else if (item->size == 1 && (ctype_is_integer(item) || item->kind == CK_BOOL)) {
        matches = view->itemsize == 1;
    }
    else {
        matches = item->complete ? format_matches(item, view->format != NULL ? view->format : "B", view->itemsize) : 0;
    }
    if (matches <= 0) {
        PyBuffer_Release(view);
    }
    return matches;
}

// Copies what objects of ours hold: 1 if it is one of that type, 0 if not, -1.
static int data_to_bytes(cframe *frame, CTypeObject *type, PyObject *object, uint8_t *out, const cplace *place)
{
    core_state *state = frame->library->state;
    if (Py_TYPE(object) != state->Struct && Py_TYPE(object) != state->Array) {
        return 0;
    }
    CDataObject *data = (CDataObject *)object;
    if (!ctype_equal(data->type, type)) {
        PyObject *text = ctype_spell(data->type, "");
        if (text != NULL) {
            place_raise(place, PyExc_TypeError, "the value is of another type: %U", text);
            Py_DECREF(text);
        }
        return -1;
    }
    const uint8_t *bytes = spot_check(&data->spot, frame->library) < 0 ? NULL : spot_bytes(&data->spot, type->size);
    if (bytes == NULL) {
        return -1;
    }
    memcpy(out, bytes, type->size);
    if (data->spot.block != NULL && data->spot.block->kept != NULL &&
        frame_keep(frame, (PyObject *)data->spot.block) < 0) {
        return -1;
    }
    return 1;
}

static int record_to_bytes(cframe *frame, CTypeObject *type, PyObject *object, uint8_t *out, const cplace *place)
{
    int done = data_to_bytes(frame, type, object, out, place);
    if (done != 0) {
        return done < 0 ? -1 : 0;
    }
    if (PyDict_Check(object)) {
        return record_from_dict(frame, type, object, out, place);
    }
    if (type->kind == CK_STRUCT && (PyTuple_Check(object) || PyList_Check(object))) {
        return record_from_sequence(frame, type, object, out, place);
    }
    Py_buffer view;
    int matches = buffer_get(object, type, &view);
    if (matches < 0) {
        return -1;
    }
    if (matches > 0) {
        bool fits = view.len == (Py_ssize_t)type->size;
        int status = fits ? PyBuffer_ToContiguous(out, &view, view.len, 'C') : -1;
        PyBuffer_Release(&view);
        if (!fits) {
            place_raise(place, PyExc_TypeError, "expected one struct, got an array of them");
        }
        return status;
    }
    if (PyMapping_Check(object) && PyObject_HasAttrString(object, "keys")) {
        return record_from_dict(frame, type, object, out, place);
    }
    return place_expected(
        place, type->kind == CK_UNION ? "a dict with the field to set, or a union" : "a dict, a tuple or a struct",
        object);
}

static int too_many(const cplace *place, Py_ssize_t room, Py_ssize_t given)
{
    place_raise(place, PyExc_ValueError, "there is room for %zd item%s, got %zd", room, room == 1 ? "" : "s", given);
    return -1;
}

// Fewer items than there are leave zeros, as in C.
static int array_to_bytes(cframe *frame, CTypeObject *type, PyObject *object, uint8_t *out, const cplace *place)
{
    CTypeObject *item = type->item;
    int done = data_to_bytes(frame, type, object, out, place);
    if (done != 0) {
        return done < 0 ? -1 : 0;
    }
    if (item->kind == CK_CHAR && PyUnicode_Check(object)) {
        Py_ssize_t length;
        PyObject *owner;
        const char *bytes = text_bytes(frame->library, object, &length, &owner, place);
        if (bytes == NULL) {
            return -1;
        }
        if (length <= type->length) {
            memcpy(out, bytes, (size_t)length);
        }
        Py_DECREF(owner);
        return length <= type->length ? 0 : too_many(place, type->length, length);
    }
    Py_buffer view;
    int matches = buffer_get(object, item, &view);
    if (matches != 0) {
        if (matches < 0) {
            return -1;
        }
        int status = view.len <= (Py_ssize_t)type->size
                         ? PyBuffer_ToContiguous(out, &view, view.len, 'C')
                         : too_many(place, type->length, view.len / (Py_ssize_t)item->size);
        PyBuffer_Release(&view);
        return status;
    }
    if (PyUnicode_Check(object) || PyBytes_Check(object) || !PySequence_Check(object) || PyDict_Check(object)) {
        return place_expected(place, item->kind == CK_CHAR ? "str or bytes" : "a sequence of items", object);
    }
    PyObject *items = PySequence_Tuple(object);
    if (items == NULL) {
        return -1;
    }
    Py_ssize_t count = PyTuple_GET_SIZE(items);
    int status = count > type->length ? too_many(place, type->length, count) : 0;
    for (Py_ssize_t i = 0; status == 0 && i < count; i++) {
        cplace inner = {.outer = place, .kind = PLACE_ITEM, .index = i};
        status = value_to_bytes(frame, item, PyTuple_GET_ITEM(items, i), out + (size_t)i * item->size, &inner);
    }
    Py_DECREF(items);
    return status;
}

// --- any type -----------------------------------------------------------------------------------------------------------

int value_to_bytes(cframe *frame, CTypeObject *type, PyObject *object, uint8_t *out, const cplace *place)
{
    uint64_t bits;
    switch (type->kind) {
    case CK_BOOL:
        return bool_convert(frame->library, object, out, place);
    case CK_CHAR:
    case CK_INTEGER:
    case CK_ENUM:
        if (integer_convert(type, (unsigned)type->size * 8, object, &bits, place) < 0) {
            return -1;
        }
        store_bytes(out, bits, type->size);
        return 0;
    case CK_FLOAT:
        return float_convert(type, object, out, place);
    case CK_COMPLEX:
        return complex_convert(type, object, out, place);
    case CK_POINTER:
        if (frame->image != NULL && out >= frame->image && out < frame->image + frame->image_size) {
            frame->keep_offset = frame->image_offset + (uint64_t)(out - frame->image);
        }
        if (pointer_to_address(frame, type, object, &bits, place) < 0) {
            return -1;
        }
        store_bytes(out, bits, type->size);
        return 0;
    case CK_ARRAY:
        return array_to_bytes(frame, type, object, out, place);
    case CK_STRUCT:
    case CK_UNION:
        if (type->complete) {
            return record_to_bytes(frame, type, object, out, place);
        }
        break;
    default:
        break;
    }
    place_raise(place, PyExc_TypeError, "the type has no size, so there are no values of it here");
    return -1;
}

// The member of an IntEnum with that value, or the integer itself: new reference. Steals *integer*.
static PyObject *enum_member(const CTypeObject *type, PyObject *integer)
{
    if (type->enumeration == NULL || integer == NULL) {
        return integer;
    }
    PyObject *members = PyObject_GetAttrString(type->enumeration, "_value2member_map_");
    PyObject *member = members != NULL && PyDict_Check(members) ? PyDict_GetItemWithError(members, integer) : NULL;
    if (member != NULL) {
        Py_SETREF(integer, Py_NewRef(member));
    }
    else if (PyErr_Occurred()) {
        PyErr_Clear();
    }
    Py_XDECREF(members);
    return integer;
}

static PyObject *integer_new(const CLibraryObject *library, const CTypeObject *type, uint64_t bits)
{
    PyObject *integer = type->is_signed ? integer_from_raw(library->state, (int64_t)bits)
                                        : PyLong_FromUnsignedLongLong(bits);
    return type->kind == CK_ENUM ? enum_member(type, integer) : integer;
}

PyObject *value_from_bytes(CLibraryObject *library, CTypeObject *type, const uint8_t *bytes)
{
    switch (type->kind) {
    case CK_BOOL:
        return PyBool_FromLong(bytes[0] != 0);
    case CK_CHAR:
    case CK_INTEGER:
    case CK_ENUM: {
        uint64_t bits = load_bytes(bytes, type->size);
        return integer_new(library, type,
                           type->is_signed ? (uint64_t)sign_extend(bits, (unsigned)type->size * 8) : bits);
    }
    case CK_FLOAT:
        return PyFloat_FromDouble(float_load(type->size, bytes));
    case CK_COMPLEX:
        return PyComplex_FromDoubles(float_load(type->size / 2, bytes),
                                     float_load(type->size / 2, bytes + type->size / 2));
    case CK_POINTER: {
        uint64_t address = load_bytes(bytes, type->size);
        if (address == 0) {
            return Py_NewRef(Py_None);
        }
        if (type->item->kind == CK_FUNCTION) {
            return function_at(library, type->item, address);
        }
        if (ctype_is_string(type) && type->readonly) {
            return string_read(library, address, false);
        }
        CBlockObject *block;
        if (block_find(library, address, &block) < 0) {
            return NULL;
        }
        PyObject *pointer = pointer_new(library, type, address, block);
        Py_XDECREF(block);
        return pointer;
    }
    case CK_STRUCT:
    case CK_UNION:
    case CK_ARRAY:
        return struct_from_bytes(library, type, bytes);
    default:
        return Py_NewRef(Py_None);
    }
}

PyObject *value_read(const cspot *spot, CTypeObject *type)
{
    CLibraryObject *library = spot->library;
    core_state *state = library->state;
    if (type->kind == CK_ARRAY && type->length < 0) {
        if (spot->block != NULL && spot->block->bytes != NULL) {
            return PyBytes_FromStringAndSize(NULL, 0);  // nothing of it came with the struct
        }
        CTypeObject *pointer_type = ctype_pointer_to(state, type->item, spot->readonly, library->pointer_size);
        PyObject *pointer = pointer_type != NULL ? pointer_new(library, pointer_type, spot->address, spot->block)
                                                 : NULL;
        Py_XDECREF(pointer_type);
        return pointer;
    }
    if (!type->complete) {
        PyObject *text = ctype_spell(type, "");
        if (text != NULL) {
            PyErr_Format(PyExc_TypeError, "%U has no size here, so no value of it can be read", text);
            Py_DECREF(text);
        }
        return NULL;
    }
    const uint8_t *bytes = spot_bytes(spot, type->size);
    if (bytes == NULL) {
        return NULL;
    }
    if (type->kind == CK_ARRAY && type->item->kind == CK_CHAR) {
        const uint8_t *end = memchr(bytes, 0, type->size);
        return text_new(library, (const char *)bytes, end != NULL ? end - bytes : (Py_ssize_t)type->size, false);
    }
    if (type->kind == CK_ARRAY || ctype_is_record(type)) {
        return data_new(type->kind == CK_ARRAY ? state->Array : state->Struct, spot, type);
    }
    uint8_t copy[SCALAR_BYTES];
    memcpy(copy, bytes, type->size);
    return value_from_bytes(library, type, copy);
}

// Everything is converted into memory of ours first; then the place is asked for, and written.
static int write_value(const cspot *spot, CTypeObject *type, const cfield *bits, PyObject *object, const cplace *place)
{
    CLibraryObject *library = spot->library;
    size_t size = bits == NULL ? type->size : (bits->bit_offset + bits->bit_width + 7U) / 8;
    if (spot->readonly) {
        place_raise(place, PyExc_TypeError, "it is const");
        return -1;
    }
    if (spot_bytes(spot, size) == NULL) {
        return -1;
    }
    cframe frame;
    frame_begin(&frame, library);
    frame.permanent = true;
    frame.keeper = spot->block;
    frame.place = place;
    uint8_t *image = frame_scratch(&frame, size);
    int status = -1;
    if (image == NULL) {
        goto done;
    }
    frame.image = image;
    frame.image_size = size;
    frame.image_offset = spot->address - (spot->block != NULL ? spot->block->address : 0);
    if (bits != NULL) {
        memcpy(image, spot_bytes(spot, size), size);
        cfield field = *bits;
        field.offset = 0;
        status = field_to_bytes(&frame, &field, object, image, place);
    }
    else {
        status = value_to_bytes(&frame, type, object, image, place);
    }
    if (status == 0 && frame.temporary_count > 0) {
        status = frame_commit(&frame);
    }
    uint8_t *bytes = status == 0 ? spot_bytes(spot, size) : NULL;
    if (bytes == NULL) {
        status = -1;
        goto done;
    }
    memcpy(bytes, image, size);
    if (bits == NULL && spot->block != NULL && (frame.kept != NULL || spot->block->kept != NULL)) {
        status = block_keep(spot->block, frame.image_offset, size, frame.kept);
    }
done:
    frame_end(&frame);
    return status;
}

int value_write(const cspot *spot, CTypeObject *type, PyObject *object, const cplace *place)
{
    if (!type->complete) {
        place_raise(place, PyExc_TypeError, "the type has no size, so it cannot be set");
        return -1;
    }
    return write_value(spot, type, NULL, object, place);
}

PyObject *bits_read(const cspot *spot, const cfield *field)
{
    size_t size = (field->bit_offset + field->bit_width + 7U) / 8;
    const uint8_t *bytes = spot_bytes(spot, size);
    if (bytes == NULL) {
        return NULL;
    }
    uint64_t bits = 0;
    for (unsigned i = 0; i < field->bit_width; i++) {
        unsigned bit = field->bit_offset + i;
        bits |= (uint64_t)(bytes[bit / 8] >> (bit % 8) & 1) << i;
    }
    if (field->type->kind == CK_BOOL) {
        return PyBool_FromLong(bits != 0);
    }
    return integer_new(spot->library, field->type,
                       field->type->is_signed ? (uint64_t)sign_extend(bits, field->bit_width) : bits);
}

int bits_write(const cspot *spot, const cfield *field, PyObject *object, const cplace *place)
{
    return write_value(spot, field->type, field, object, place);
}

// --- raw values of the engine's -------------------------------------------------------------------------------------

aw_valkind scalar_kind(const CTypeObject *type)
{
    if (type->kind == CK_FLOAT) {
        return type->size == 4 ? AW_F32 : AW_F64;
    }
    return type->size == 8 ? AW_I64 : AW_I32;
}

void scalar_to_raw(const CTypeObject *type, const uint8_t *bytes, aw_raw *raw)
{
    uint64_t bits = load_bytes(bytes, type->size);
    raw->bits[0] = 0;
    if (type->kind == CK_FLOAT || type->size == 8) {
        raw->bits[0] = bits;
    }
    else {
        raw->bits[0] = type->is_signed ? (uint32_t)sign_extend(bits, (unsigned)type->size * 8) : (uint32_t)bits;
    }
}

void scalar_from_raw(const CTypeObject *type, const aw_raw *raw, uint8_t *bytes)
{
    store_bytes(bytes, type->kind == CK_BOOL ? (raw->bits[0] & 0xFF) != 0 : raw->bits[0], type->size);
}

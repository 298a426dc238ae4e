// SPDX-License-Identifier: Apache-2.0
// What goes where C expects a pointer: pointers, strings, buffers, sequences, structs, callables. Copies wait in the frame.

#include "../errors.h"
#include "clib.h"

static bool is_byte(const CTypeObject *type)
{
    return type->size == 1 && (type->kind == CK_CHAR || type->kind == CK_INTEGER);
}

// May a pointer to *given* go where one to *wanted* is expected? As C without casts, but chars of any sign are one.
static bool targets_match(const CTypeObject *wanted, const CTypeObject *given)
{
    return wanted->kind == CK_VOID || given->kind == CK_VOID || ctype_equal(wanted, given) ||
           (is_byte(wanted) && is_byte(given));
}

static int wrong_target(const cplace *place, const CTypeObject *given, const CTypeObject *wanted)
{
    PyObject *text = ctype_spell(given, "");
    if (text != NULL) {
        place_raise(place, PyExc_TypeError,
                    "the value is of type '%U': cast() makes another pointer of it if that is meant", text);
        Py_DECREF(text);
    }
    (void)wanted;
    return -1;
}

static int is_const(const cplace *place)
{
    place_raise(place, PyExc_TypeError,
                "the value is const, and the library may change what it gets here: copy it, or cast()");
    return -1;
}

// Pointer, Array and Struct objects: where they lead, or a copy of Python's own bytes.
static int data_to_address(cframe *frame, CTypeObject *type, CDataObject *data, uint64_t *address, const cplace *place)
{
    core_state *state = frame->library->state;
    CTypeObject *target = type->item;
    if (spot_check(&data->spot, frame->library) < 0) {
        PyObject *exception = aw_take_exception();
        place_raise(place, (PyObject *)Py_TYPE(exception), "%S", exception);
        Py_DECREF(exception);
        return -1;
    }
    bool is_array = Py_TYPE(data) == state->Array, is_pointer = Py_TYPE(data) == state->Pointer;
    CTypeObject *given = is_array || is_pointer ? data->type->item : data->type;
    bool readonly = is_pointer ? data->type->readonly : data->spot.readonly;
    if (!targets_match(target, given) && !(is_array && targets_match(target, data->type))) {
        return wrong_target(place, data->type, target);
    }
    if (readonly && !type->readonly) {
        return is_const(place);
    }
    CBlockObject *block = data->spot.block;
    if (block == NULL || block->bytes == NULL) {
        *address = data->spot.address;
        return block != NULL ? frame_keep(frame, (PyObject *)block) : 0;
    }
    const uint8_t *bytes = spot_bytes(&data->spot, data->type->size);
    ctemporary *entry = bytes == NULL || frame_reserve(frame, data->type->size, data->type->align, address) < 0
                            ? NULL
                            : frame_add(frame, *address, data->type->size);
    if (entry == NULL) {
        return -1;
    }
    entry->bytes = bytes;
    entry->object = Py_NewRef((PyObject *)block);
    entry->block_offset = data->spot.address;
    entry->back = type->readonly || frame->permanent ? BACK_NONE : BACK_BLOCK;
    return 0;
}

static int immutable(const cplace *place, const CTypeObject *type, PyObject *object)
{
    if (PyDict_Check(object)) {
        place_raise(place, PyExc_TypeError,
                    "the library may change what it gets here (it is not declared const), and a dict goes "
                    "there as a copy: pass a list of it, or memory of the library's: Library.new()");
        return -1;
    }
    bool bytes = PyUnicode_Check(object) || PyBytes_Check(object);
    const char *instead = bytes && is_byte(type->item)
                              ? "pass a bytearray, or memory of the library's: Library.string()"
                          : bytes ? "pass a bytearray"
                          : PyObject_CheckBuffer(object)
                              ? "pass a buffer that can be written, or a copy"
                              : "pass a list, a buffer that can be written, or memory of the library's: "
                                "Library.array(), Library.new()";
    place_raise(place, PyExc_TypeError,
                "the library may change what it gets here (it is not declared const), and %.200s cannot be changed: %s",
                Py_TYPE(object)->tp_name, instead);
    return -1;
}

// The bytes of a buffer, copied in, and back if the library may change them; memory of the library's own is not copied.
static int buffer_to_address(cframe *frame, CTypeObject *type, PyObject *object, uint64_t *address, const cplace *place)
{
    Py_buffer view;
    CTypeObject *target = type->item;
    int matches = buffer_get(object, target, &view);
    if (matches < 0) {
        return -1;
    }
    if (matches == 0) {
        if (PyObject_GetBuffer(object, &view, PyBUF_FULL_RO) < 0) {
            return -1;
        }
        PyObject *text = ctype_spell(target, "");
        const char *wanted = target->complete && !ctype_is_record(target) ? ctype_format(target) : NULL;
        PyErr_Clear();
        if (text != NULL && wanted != NULL) {
            place_raise(place, PyExc_TypeError, "expected items of %U (format '%s'), got a buffer of format '%s'", text,
                        wanted, view.format != NULL ? view.format : "B");
        }
        else if (text != NULL) {
            place_raise(place, PyExc_TypeError, "expected items of %U, got a buffer of format '%s'", text,
                        view.format != NULL ? view.format : "B");
        }
        Py_XDECREF(text);
        PyBuffer_Release(&view);
        return -1;
    }
    if (!type->readonly && view.readonly) {
        PyBuffer_Release(&view);
        return immutable(place, type, object);
    }
    size_t size = target->complete && target->kind != CK_VOID ? target->size : 1;
    if (size > 0 && (size_t)view.len % size != 0) {
        place_raise(place, PyExc_ValueError, "the buffer has %zd bytes, which is no multiple of the item's %zu",
                    view.len, size);
        PyBuffer_Release(&view);
        return -1;
    }
    bool contiguous = PyBuffer_IsContiguous(&view, 'C');
    if (!contiguous && !type->readonly) {
        PyBuffer_Release(&view);
        place_raise(
            place, PyExc_TypeError,
            "the library may change what it gets here, so its items must lie one behind the other: pass a copy");
        return -1;
    }
    if (contiguous && !frame->permanent && library_check(frame->library) == 0) {
        size_t bytes;
        const uint8_t *base = library_memory(frame->library, &bytes), *from = view.buf;
        if (from >= base && from < base + bytes && (size_t)view.len <= bytes - (size_t)(from - base)) {
            *address = (uint64_t)(from - base);
            ctemporary *entry = frame_add(frame, *address, 0);  // keeps the view, and so the memory
            if (entry == NULL) {
                PyBuffer_Release(&view);
                return -1;
            }
            entry->view = view;
            return 0;
        }
    }
    PyErr_Clear();
    uint32_t align = target->complete && target->align > 1 ? target->align : 1;
    size_t end = target->kind == CK_CHAR ? 1 : 0;  // a NUL behind text, which the buffer need not have
    ctemporary *entry = frame_reserve(frame, (size_t)view.len + end, align > 16 ? align : 16, address) < 0
                            ? NULL
                            : frame_add(frame, *address + (end > 0 ? (uint64_t)view.len : 0),
                                        end > 0 ? end : (size_t)view.len);
    if (entry != NULL && end > 0) {
        entry->bytes = (const uint8_t *)"";
        entry = frame_add(frame, *address, (size_t)view.len);
    }
    if (entry == NULL) {
        PyBuffer_Release(&view);
        return -1;
    }
    entry->view = view;
    if (contiguous) {
        entry->bytes = view.buf;
        entry->back = type->readonly || frame->permanent ? BACK_NONE : BACK_BUFFER;
        return 0;
    }
    uint8_t *copy = frame_scratch(frame, (size_t)view.len);
    if (copy == NULL) {
        return -1;
    }
    entry->bytes = copy;
    return PyBuffer_ToContiguous(copy, &entry->view, view.len, 'C');
}

// One struct from a dict or a tuple, or the items of a sequence.
static int items_to_address(cframe *frame, CTypeObject *type, PyObject *object, uint64_t *address, const cplace *place)
{
    CTypeObject *item = type->item;
    bool one = ctype_is_record(item) && !PyList_Check(object);
    PyObject *items = one ? PyTuple_Pack(1, object) : PySequence_Tuple(object);
    if (items == NULL) {
        return -1;
    }
    Py_ssize_t count = PyTuple_GET_SIZE(items);
    int status = -1;
    if (item->size > 0 && (size_t)count > (size_t)PY_SSIZE_T_MAX / item->size) {
        PyErr_NoMemory();
        goto done;
    }
    size_t length = item->size * (size_t)count;
    uint8_t *bytes = frame_scratch(frame, length);
    ctemporary *entry = bytes == NULL || frame_reserve(frame, length, item->align, address) < 0
                            ? NULL
                            : frame_add(frame, *address, length);
    if (entry == NULL) {
        goto done;
    }
    entry->bytes = bytes;
    if (!type->readonly && !frame->permanent) {
        entry->back = BACK_LIST;
        entry->item = item;
        entry->object = Py_NewRef(object);
    }
    status = 0;
    for (Py_ssize_t i = 0; status == 0 && i < count; i++) {  // `entry` may move from here on
        PyObject *value = PyTuple_GET_ITEM(items, i);
        if (item->kind == CK_FLOAT && item->size == 8 && PyFloat_CheckExact(value)) {
            double number = PyFloat_AS_DOUBLE(value);
            memcpy(bytes + (size_t)i * 8, &number, 8);
            continue;
        }
        cplace inner = {.outer = place, .kind = PLACE_ITEM, .index = i};
        status = value_to_bytes(frame, item, value, bytes + (size_t)i * item->size, one ? place : &inner);
    }
done:
    Py_DECREF(items);
    return status;
}

static int callable_to_index(cframe *frame, CTypeObject *type, PyObject *object, uint64_t *index, const cplace *place)
{
    CLibraryObject *library = frame->library;
    if (Py_TYPE(object) == library->state->CFunction) {
        return function_to_index(frame, type->item, object, index, place);
    }
    if (Py_TYPE(object) == library->state->Pointer) {  // a value that stands for no function
        return data_to_address(frame, type, (CDataObject *)object, index, place);
    }
    if (!PyCallable_Check(object)) {
        return place_expected(place, "a callable, a function of the library's or None", object);
    }
    if (frame->permanent) {
        place_raise(
            place, PyExc_TypeError,
            "a function that stays must be kept: make it with Library.callback(), and keep that as long as the library uses it");
        return -1;
    }
    if (frame->callbacks == NULL && (frame->callbacks = PyList_New(0)) == NULL) {
        return -1;
    }
    CCallbackObject *callback = callback_take(library, type->item, object);
    if (callback == NULL) {
        return -1;
    }
    *index = callback_index(callback);
    int status = PyList_Append(frame->callbacks, (PyObject *)callback);
    if (status < 0) {
        callback_give_back(callback);
    }
    Py_DECREF(callback);
    return status;
}

int pointer_to_address(cframe *frame, CTypeObject *type, PyObject *object, uint64_t *address, const cplace *place)
{
    core_state *state = frame->library->state;
    CTypeObject *target = type->item;
    if (object == Py_None) {
        *address = 0;
        return 0;
    }
    if (target->kind == CK_FUNCTION) {
        return callable_to_index(frame, type, object, address, place);
    }
    if (is_cdata(state, object)) {
        return data_to_address(frame, type, (CDataObject *)object, address, place);
    }
    if (Py_TYPE(object) == state->CFunction && target->kind == CK_VOID) {
        return function_to_index(frame, NULL, object, address, place);
    }
    bool is_text = PyUnicode_Check(object), is_bytes = PyBytes_Check(object);
    if (is_text && target->kind != CK_CHAR) {
        place_raise(place, PyExc_TypeError,
                    is_byte(target) || target->kind == CK_VOID ? "expected bytes, got str: encode it"
                                                               : "expected a pointer, a buffer or a sequence, got str");
        return -1;
    }
    if ((is_text || is_bytes) && !type->readonly) {
        return immutable(place, type, object);
    }
    if (is_text) {
        Py_ssize_t length;
        PyObject *owner;
        const char *bytes = text_bytes(frame->library, object, &length, &owner, place);
        return bytes == NULL ? -1 : string_to_address(frame, bytes, length, owner, address);
    }
    if (is_bytes && target->kind == CK_CHAR) {
        return string_to_address(frame, PyBytes_AS_STRING(object), PyBytes_GET_SIZE(object), Py_NewRef(object),
                                 address);
    }
    bool has_items = target->complete && target->kind != CK_VOID;
    bool one = has_items && ctype_is_record(target) && (PyDict_Check(object) || PyTuple_Check(object));
    if (PyObject_CheckBuffer(object)) {
        return buffer_to_address(frame, type, object, address, place);
    }
    if (one || (has_items && PySequence_Check(object) && !PyDict_Check(object))) {
        if (!type->readonly && !frame->permanent && !PyList_Check(object)) {
            return immutable(place, type, object);
        }
        return items_to_address(frame, type, object, address, place);
    }
    if (PyIndex_Check(object)) {
        return place_expected(place,
                              target->kind == CK_CHAR ? "str, bytes or a pointer (cast() makes one of an address)"
                                                      : "a pointer (cast() makes one of an address)",
                              object);
    }
    return place_expected(place,
                          target->kind == CK_CHAR ? "str, bytes, a pointer or None"
                          : has_items             ? "a pointer, a buffer, a sequence or None"
                                                  : "a pointer, a buffer or None",
                          object);
}

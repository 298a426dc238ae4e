// SPDX-License-Identifier: Apache-2.0
// What one call's arguments need in the guest's memory: copies of strings, buffers, lists and structs, and room for results.
//
// Converting arguments runs Python code, which may do anything: call the library, free memory, reset it. So nothing is written to the guest
// before all is converted: the frame collects where which bytes will go, and frame_commit checks that the library is as it was
// and copies. Room is taken from the arena, a piece of the guest's memory that calls use like a stack, or from malloc where that is full.
//
// A permanent frame is for a value that stays in memory: then room is a block of its own, which the block with the value keeps.

#include "clib.h"

enum { ARENA_BYTES = 1 << 16 };

void frame_begin(cframe *frame, CLibraryObject *library)
{
    frame->library = library;
    frame->permanent = false;
    frame->keeper = NULL;
    frame->place = NULL;
    frame->image = NULL;
    frame->generation = library->generation;
    frame->temporaries = frame->temporaries_on_stack;
    frame->temporary_count = 0;
    frame->temporary_capacity = TEMPORARIES_ON_STACK;
    frame->allocated = NULL;
    frame->allocated_count = 0;
    frame->callbacks = NULL;
    frame->kept = NULL;
    frame->scratch = NULL;
    frame->scratch_used = 0;
    frame->arena_base = library->arena_top;
    frame->previous = library->newest;
    library->newest = frame;
}

uint8_t *frame_scratch(cframe *frame, size_t size)
{
    size_t wanted = (size + 15) & ~(size_t)15;
    if (wanted < size) {
        PyErr_NoMemory();
        return NULL;
    }
    if (wanted <= SCRATCH_ON_STACK - frame->scratch_used) {
        uint8_t *bytes = frame->scratch_on_stack + frame->scratch_used;
        frame->scratch_used += wanted;
        memset(bytes, 0, wanted);
        return bytes;
    }
    cscratch *scratch = wanted <= SIZE_MAX - sizeof(cscratch) ? PyMem_Calloc(1, sizeof(cscratch) + wanted) : NULL;
    if (scratch == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    scratch->next = frame->scratch;
    frame->scratch = scratch;
    return scratch->bytes;
}

// The arena, or nothing where there is no malloc: 0 or -1.
static int arena_make(CLibraryObject *library)
{
    uint64_t address;
    if (library_malloc(library, ARENA_BYTES, &address) < 0) {
        return -1;
    }
    library->arena = (address + 15) & ~UINT64_C(15);
    library->arena_size = ARENA_BYTES - (library->arena - address);
    library->arena_top = 0;
    return 0;
}

static int frame_allocate(cframe *frame, size_t size, uint64_t *address)
{
    if (library_malloc(frame->library, size, address) < 0) {
        return -1;
    }
    uint64_t *allocated = PyMem_Resize(frame->allocated, uint64_t, frame->allocated_count + 1);
    if (allocated == NULL) {
        library_free_later(frame->library, NULL, *address);
        PyErr_NoMemory();
        return -1;
    }
    allocated[frame->allocated_count++] = *address;
    frame->allocated = allocated;
    return 0;
}

// A block for what a value that stays points at, kept beside the value.
static int frame_reserve_block(cframe *frame, size_t size, uint64_t *address)
{
    if (frame->keeper == NULL) {
        place_raise(frame->place, PyExc_TypeError,
                    "the value needs memory of its own, and nobody would free that: make it with Library.string(), "
                    "new() or array(), keep it as long as the library uses it, and store that");
        return -1;
    }
    CLibraryObject *library = frame->library;
    CBlockObject *block = library_malloc(library, size, address) < 0
                              ? NULL
                              : block_new_guest(library, *address, size, true, NULL);
    int status = block != NULL ? frame_keep(frame, (PyObject *)block) : -1;
    Py_XDECREF(block);
    return status;
}

int frame_reserve(cframe *frame, size_t size, size_t align, uint64_t *address)
{
    CLibraryObject *library = frame->library;
    if (frame->permanent) {
        return frame_reserve_block(frame, size, address);
    }
    if (library->arena == 0 && arena_make(library) < 0) {
        return -1;
    }
    uint64_t start = (library->arena_top + align - 1) & ~(uint64_t)(align - 1);
    if (start <= library->arena_size && size <= library->arena_size - start) {
        library->arena_top = start + size;
        *address = library->arena + start;
        return 0;
    }
    return frame_allocate(frame, size, address);
}

int frame_keep(cframe *frame, PyObject *object)
{
    if (frame->keeper == NULL) {
        return 0;
    }
    if (frame->kept == NULL && (frame->kept = PyList_New(0)) == NULL) {
        return -1;
    }
    PyObject *entry = Py_BuildValue("(KO)", (unsigned long long)frame->keep_offset, object);
    int status = entry != NULL ? PyList_Append(frame->kept, entry) : -1;
    Py_XDECREF(entry);
    return status;
}

ctemporary *frame_add(cframe *frame, uint64_t address, size_t length)
{
    if (frame->temporary_count == frame->temporary_capacity) {
        size_t capacity = 2 * frame->temporary_capacity;
        bool on_stack = frame->temporaries == frame->temporaries_on_stack;
        ctemporary *temporaries = on_stack ? PyMem_New(ctemporary, capacity)
                                           : PyMem_Resize(frame->temporaries, ctemporary, capacity);
        if (temporaries == NULL) {
            PyErr_NoMemory();
            return NULL;
        }
        if (on_stack) {
            memcpy(temporaries, frame->temporaries, frame->temporary_count * sizeof(*temporaries));
        }
        frame->temporaries = temporaries;
        frame->temporary_capacity = capacity;
    }
    ctemporary *entry = &frame->temporaries[frame->temporary_count++];
    entry->address = address;
    entry->length = length;
    entry->bytes = NULL;
    entry->back = BACK_NONE;
    entry->item = NULL;
    entry->object = NULL;
    entry->view.obj = NULL;
    return entry;
}

// Is the guest's memory there? A guest's malloc may return anything.
static int memory_holds(CLibraryObject *library, uint64_t address, size_t length, uint8_t **bytes)
{
    size_t size;
    uint8_t *base = library_memory(library, &size);
    if (address > size || length > size - address) {
        char text[ADDRESS_TEXT_SIZE];
        PyErr_Format(library->state->LibraryError, "the library's malloc gave an address outside its memory: %s",
                     address_text(address, text));
        return -1;
    }
    *bytes = base + address;
    return 0;
}

int frame_commit(cframe *frame)
{
    CLibraryObject *library = frame->library;
    if (library_check(library) < 0 || library_attend(library) < 0) {
        return -1;
    }
    if (frame->generation != library->generation) {
        PyErr_SetString(PyExc_ValueError, "the library was reset while arguments for it were converted");
        return -1;
    }
    for (size_t i = 0; i < frame->temporary_count; i++) {
        const ctemporary *entry = &frame->temporaries[i];
        uint8_t *bytes;
        if (memory_holds(library, entry->address, entry->length, &bytes) < 0) {
            return -1;
        }
        if (entry->bytes != NULL) {
            memcpy(bytes, entry->bytes, entry->length);
        }
    }
    return 0;
}

bool frame_has(const cframe *frame, uint64_t address)
{
    const CLibraryObject *library = frame->library;
    if (library->arena != 0 && address >= library->arena && address - library->arena < library->arena_size) {
        return true;
    }
    for (size_t i = 0; i < frame->temporary_count; i++) {
        const ctemporary *entry = &frame->temporaries[i];
        if (entry->length > 0 && address >= entry->address && address - entry->address < entry->length) {
            return true;
        }
    }
    return false;
}

// Lists within a list are filled, and stay who they are.
static int list_fill(PyObject *list, PyObject *array)
{
    Py_ssize_t count = PySequence_Size(array);
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *value = PySequence_GetItem(array, i);
        if (value == NULL) {
            return -1;
        }
        int status;
        PyObject *old = i < PyList_GET_SIZE(list) ? Py_NewRef(PyList_GET_ITEM(list, i)) : NULL;
        if (old == NULL) {
            status = PyList_Append(list, value);
            Py_DECREF(value);
        }
        else if (PyList_Check(old) && !PyUnicode_Check(value) && PySequence_Check(value)) {
            status = Py_EnterRecursiveCall(" in nested lists");
            if (status == 0) {
                status = list_fill(old, value);
                Py_LeaveRecursiveCall();
            }
            Py_DECREF(value);
        }
        else {
            status = PyList_SetItem(list, i, value);
        }
        Py_XDECREF(old);
        if (status < 0) {
            return -1;
        }
    }
    return count < 0 ? -1 : 0;
}

// One item of a list that was an argument, as it is now.
static int list_set(const cframe *frame, const ctemporary *entry, Py_ssize_t index, const uint8_t *bytes)
{
    CTypeObject *item = entry->item;
    bool is_text = ctype_is_string(item) && item->readonly;  // which is read right now
    if (item->kind == CK_POINTER && item->item->kind != CK_FUNCTION && !is_text) {
        uint64_t address = 0;
        memcpy(&address, bytes, item->size);
        if (address != 0 && frame_has(frame, address)) {
            PyErr_Format(
                PyExc_ValueError,
                "item %zd of a list that was an argument points into the copy of an argument, which is gone now: pass "
                "memory of the library's (Library.string(), Library.array(), Library.new())",
                index);
            return -1;
        }
    }
    PyObject *value = value_from_bytes(frame->library, item, bytes);
    if (value == NULL) {
        return -1;
    }
    PyObject *old = index < PyList_GET_SIZE(entry->object) ? PyList_GET_ITEM(entry->object, index) : NULL;
    if (item->kind == CK_ARRAY && old != NULL && PyList_Check(old)) {
        Py_INCREF(old);
        int status = list_fill(old, value);
        Py_DECREF(old);
        Py_DECREF(value);
        return status;
    }
    if (old == NULL) {  // making the value ran code that made the list shorter
        Py_DECREF(value);
        return 0;
    }
    // The list's own setter: so may the item that is replaced.
    return PyList_SetItem(entry->object, index, value);
}

// First everything comes out of the guest's memory, which other calls may use as soon as Python code runs; then lists change.
int frame_copy_back(cframe *frame)
{
    CLibraryObject *library = frame->library;
    bool lists = false;
    for (size_t i = 0; i < frame->temporary_count; i++) {
        ctemporary *entry = &frame->temporaries[i];
        uint8_t *bytes;
        if (entry->back == BACK_NONE) {
            continue;
        }
        if (memory_holds(library, entry->address, entry->length, &bytes) < 0) {
            return -1;
        }
        switch (entry->back) {
        case BACK_BUFFER:
            memcpy(entry->view.buf, bytes, entry->length);
            break;
        case BACK_BLOCK:
            memcpy(((CBlockObject *)entry->object)->bytes + entry->block_offset, bytes, entry->length);
            break;
        default:  // what went in is not needed any more: the same scratch memory takes what comes out
            memcpy((uint8_t *)entry->bytes, bytes, entry->length);
            lists = true;
            break;
        }
    }
    for (size_t i = 0; lists && i < frame->temporary_count; i++) {
        ctemporary *entry = &frame->temporaries[i];
        if (entry->back != BACK_LIST) {
            continue;
        }
        size_t size = entry->item->size;
        Py_ssize_t count = size > 0 ? (Py_ssize_t)(entry->length / size) : 0;
        for (Py_ssize_t j = 0; j < count && j < PyList_GET_SIZE(entry->object); j++) {
            if (list_set(frame, entry, j, entry->bytes + (size_t)j * size) < 0) {
                return -1;
            }
        }
    }
    return 0;
}

void frame_end(cframe *frame)
{
    CLibraryObject *library = frame->library;
    bool current = frame->generation == library->generation;
    // Frames mostly end in the order in which calls nest; where threads take turns, the next newer one gives the room back.
    cframe *newer = NULL;
    for (cframe *other = library->newest; other != frame; other = other->previous) {
        newer = other;
    }
    if (newer == NULL) {
        library->newest = frame->previous;
        library->arena_top = current ? frame->arena_base : library->arena_top;
    }
    else {
        newer->previous = frame->previous;
        newer->arena_base = current ? frame->arena_base : newer->arena_base;
    }
    if (frame->temporary_count == 0 && frame->scratch == NULL && frame->allocated == NULL && frame->callbacks == NULL &&
        frame->kept == NULL) {
        return;
    }
    PyObject *pending = aw_take_exception();
    for (size_t i = 0; current && i < frame->allocated_count; i++) {
        if (library->trouble != NULL || library_check(library) < 0) {
            library_free_later(library, NULL, frame->allocated[i]);
        }
        else {
            library_free(library, NULL,
                         frame->allocated[i]);  // a trap is the library's trouble, of which its next call tells
        }
        PyErr_Clear();
    }
    PyMem_Free(frame->allocated);
    if (frame->callbacks != NULL) {
        for (Py_ssize_t i = 0; i < PyList_GET_SIZE(frame->callbacks); i++) {
            callback_give_back((CCallbackObject *)PyList_GET_ITEM(frame->callbacks, i));
        }
        Py_DECREF(frame->callbacks);
    }
    Py_XDECREF(frame->kept);
    for (size_t i = 0; i < frame->temporary_count; i++) {
        ctemporary *entry = &frame->temporaries[i];
        if (entry->view.obj != NULL) {
            PyBuffer_Release(&entry->view);
        }
        Py_XDECREF(entry->object);
    }
    if (frame->temporaries != frame->temporaries_on_stack) {
        PyMem_Free(frame->temporaries);
    }
    for (cscratch *scratch = frame->scratch; scratch != NULL;) {
        cscratch *next = scratch->next;
        PyMem_Free(scratch);
        scratch = next;
    }
    aw_put_exception(pending);
}

// SPDX-License-Identifier: Apache-2.0
// What the files of this folder share: a library, the memory in it that Python owns, values in that memory, calls.
//
//   ctype.c      C types: sizes, layouts
//   format.c     C types as the buffer protocol has them
//   library.c    CLibrary: the instance behind the objects, its memory and its allocator
//   block.c      a piece of memory that somebody owns, and places in it
//   frame.c      what one conversion or call needs in the guest's memory, and only that long
//   place.c      who asks for a conversion, for messages
//   value.c      one value from Python to C's bytes and back
//   address.c    what goes where C expects a pointer
//   pointer.c    Pointer, Array and Struct objects
//   number.c     Value objects: numbers with a type
//   abi.c        how values pass between C functions and Wasm's
//   function.c   functions to call
//   callback.c   functions to be called

#ifndef AW_CLIB_H
#define AW_CLIB_H

#include "../externs.h"
#include "../func.h"
#include "ctype.h"

enum {
    SCALAR_BYTES = 32,  // the largest scalar: long double _Complex
};

// --- the library ------------------------------------------------------------------------------------------------

typedef struct CCallbackObject CCallbackObject;

typedef struct cpending {
    uint64_t address;
    FuncObject *release;  // owned, or NULL for free
} cpending;

typedef struct CLibraryObject {
    PyObject_HEAD
    core_state *state;          // borrowed from the type
    StoreObject *store;         // owned; replaced by a reset
    ExternObject *memory;       // owned Memory
    FuncObject *malloc, *free;  // owned or NULL
    ExternObject *table;        // owned Table or NULL
    ExternObject *stack;        // owned Global or NULL: the shadow stack's pointer
    aw_raw stack_start;         // its value when nothing runs, or in the callback that runs
    uint32_t stack_depth;       // the store's depth there
    size_t pointer_size;        // 4 or 8
    uint32_t generation;        // how often it was reset: what is older is stale
    struct cframe *newest;      // of the calls and values that are being converted: each knows the one before
    bool callback_raised;       // an exception of a callback's ends the call that runs
    bool attention;             // something is to be done or told before the next call: library_attend
    PyObject *trouble;          // owned: the exception after which the guest's memory is not to be trusted, or NULL
    PyObject *encoding;         // owned str, or None: strings come as bytes

    uint64_t arena, arena_size;  // the guest's memory for arguments, once it is needed
    uint64_t arena_top;          // bytes of it in use, by calls that run
    struct cpending *pending;    // owned array: what is to be freed before the next call
    size_t pending_count, pending_capacity;
    PyObject
        *blocks;  // owned dict: address -> address of the CBlockObject, as ints: what Python owns, to find it again
    PyObject *callbacks;                           // owned list of CCallbackObject: each has its element of the table
    Py_ssize_t free_callbacks;                     // how many of them serve nobody
    CTypeObject *string_type, *void_pointer_type;  // owned: what arguments for `...` are taken for
    PyObject *weakrefs;
} CLibraryObject;

// Says in a library's words why a store cannot be used, if that is the exception: -1.
int library_unusable(const CLibraryObject *self);

// Open, of this thread: 0, or -1 with an exception. Asked after everything that may run Python code.
static inline int library_check(CLibraryObject *self)
{
    return store_check(self->store) < 0 ? library_unusable(self) : 0;
}

// Before a call: drop what waits to be freed, and raise LibraryError after a trap. 0 or -1.
int library_attend(CLibraryObject *self);

// A call failed, with its exception pending: what does that mean for the library?
void library_call_failed(CLibraryObject *self);

// The guest's bytes now.
uint8_t *library_memory(CLibraryObject *self, size_t *bytes);

// Is the Func one like malloc (one result) or free (none)? 0, or -1 with TypeError. None passes.
int library_check_allocator(PyObject *object, uint32_t results, size_t pointer_size, const char *name);

// Call malloc or free of the guest's: 0 or -1 with an exception. MemoryError if there is no memory.
int library_malloc(CLibraryObject *self, size_t size, uint64_t *address);
int library_free(CLibraryObject *self, FuncObject *release, uint64_t address);
void library_free_later(CLibraryObject *self, FuncObject *release, uint64_t address);

static inline void raw_set_address(const CLibraryObject *library, aw_raw *raw, uint64_t address)
{
    raw->bits[0] = library->pointer_size == 8 ? address : (uint32_t)address;
}

static inline uint64_t raw_get_address(const CLibraryObject *library, const aw_raw *raw)
{
    return library->pointer_size == 8 ? raw->bits[0] : (uint32_t)raw->bits[0];
}

// --- memory that somebody owns ----------------------------------------------------------------------------------

enum { SIZE_UNKNOWN = 0 };

// A piece of memory: the guest's, allocated by its malloc and freed by us; or Python's own, of a struct that came by value.
typedef struct CBlockObject {
    PyObject_HEAD
    CLibraryObject *library;  // owned
    uint64_t address;         // in the guest's memory; 0 if the bytes are Python's
    size_t size;              // bytes; meaningful if `bounded`
    bool bounded;
    bool owned;  // to be freed by us
    bool freed;
    uint32_t generation;  // of the library when it was made
    Py_ssize_t views;     // buffers that are out
    FuncObject *release;  // owned: what frees it, or NULL: free
    PyObject *key;        // owned int, of the guest's: what the library finds it by
    PyObject *kept;       // owned dict or NULL: offset -> an object that the pointer there needs
    uint8_t *bytes;       // owned: Python's own, or NULL
} CBlockObject;

// Takes over what lies at *address*, also when it fails. *release* may be NULL.
CBlockObject *block_new_guest(CLibraryObject *library, uint64_t address, size_t size, bool bounded,
                              FuncObject *release);
CBlockObject *block_new_host(CLibraryObject *library, const uint8_t *bytes, size_t size);
// The block of Python's that begins at the address goes to *out*, a new reference, or NULL: 0, or -1 with MemoryError.
int block_find(CLibraryObject *library, uint64_t address, CBlockObject **out);
int block_free(CBlockObject *self);  // 0, or -1 with ValueError, BufferError
// A value was written at the offset: what was kept for the pointers there goes, and *kept* comes, a list of (offset, object) or NULL.
int block_keep(CBlockObject *self, uint64_t offset, size_t size, PyObject *kept);

// --- where a value lies -----------------------------------------------------------------------------------------

typedef struct cspot {
    CLibraryObject *library;
    CBlockObject *block;  // or NULL: memory of the library's own
    uint64_t address;     // in the guest's memory, or in the block's bytes if they are Python's
    uint32_t generation;
    bool readonly;  // const
} cspot;

// The *length* bytes there, or NULL with an exception: ValueError for what was freed or is of a library before its reset, IndexError
// for what is out of bounds. Good until Python code may run.
uint8_t *spot_bytes(const cspot *spot, uint64_t length);
// Of this library, and neither freed nor stale: 0, or -1 with ValueError.
int spot_check(const cspot *spot, const CLibraryObject *library);

// --- who asks, for messages -------------------------------------------------------------------------------------

typedef enum cplace_kind {
    PLACE_FUNCTION,
    PLACE_ARGUMENT,
    PLACE_RESULT,
    PLACE_ITEM,
    PLACE_FIELD,
    PLACE_VALUE
} cplace_kind;

// "centroid(): argument 1 'points' (const point *): item 2: field 'x' (double): …"
typedef struct cplace {
    const struct cplace *outer;
    cplace_kind kind;
    PyObject
        *name;  // borrowed: of a function (or a callable that has one), a parameter or a field; may be NULL or None
    Py_ssize_t index;
    const CTypeObject *type;
} cplace;

// Raise *exception* with "PLACE: MESSAGE": always NULL.
PyObject *place_raise(const cplace *place, PyObject *exception, const char *format, ...);
// TypeError "expected *what*, got a …": always -1.
int place_expected(const cplace *place, const char *what, PyObject *got);

// --- what a conversion needs in the guest's memory ----------------------------------------------------------------

typedef enum ccopyback { BACK_NONE, BACK_BUFFER, BACK_LIST, BACK_BLOCK } ccopyback;

// Bytes that go into the guest's memory before the call, and may come back after it.
typedef struct ctemporary {
    uint64_t address;
    size_t length;
    const uint8_t *bytes;  // borrowed: of `view`, of `object`, or of the frame's scratch memory
    ccopyback back;
    CTypeObject *item;      // borrowed: of a list's items
    PyObject *object;       // owned or NULL: a list or a block to copy back into; whose bytes they are
    uint64_t block_offset;  // in the block
    Py_buffer view;         // if view.obj
} ctemporary;

enum { TEMPORARIES_ON_STACK = 4, SCRATCH_ON_STACK = 256 };

typedef struct cscratch {
    struct cscratch *next;
    size_t size;
    _Alignas(16) uint8_t bytes[];
} cscratch;

// Nothing is written before frame_commit: conversions run Python code, which may do anything to the library.
typedef struct cframe {
    CLibraryObject *library;  // borrowed
    struct cframe *previous;  // of the library's
    uint64_t arena_base;      // the arena's top before it
    bool permanent;           // for a value that stays: what it points at must be owned by somebody
    CBlockObject *keeper;     // borrowed, or NULL: the block that the value goes into
    const cplace *place;      // of the value that stays, for messages
    const uint8_t *image;     // the value's bytes while they are made, if there is a keeper
    size_t image_size;
    uint64_t image_offset;  // of the value in the keeper
    uint64_t keep_offset;   // of the pointer that is being converted
    uint32_t generation;
    ctemporary *temporaries;
    size_t temporary_count, temporary_capacity;
    uint64_t *allocated;  // owned array: what did not fit into the arena
    size_t allocated_count;
    PyObject *callbacks;  // owned list or NULL: elements of the table to give back after the call
    PyObject *kept;       // owned list or NULL: (offset, object) for the keeper
    cscratch *scratch;
    size_t scratch_used;  // of the part on the stack
    ctemporary temporaries_on_stack[TEMPORARIES_ON_STACK];
    _Alignas(16) uint8_t scratch_on_stack[SCRATCH_ON_STACK];
} cframe;

void frame_begin(cframe *frame, CLibraryObject *library);
// Zeroed memory of ours that stays where it is until the frame ends.
uint8_t *frame_scratch(cframe *frame, size_t size);
// Room in the guest's memory: 0 or -1.
int frame_reserve(cframe *frame, size_t size, size_t align, uint64_t *address);
// For the keeper, if there is one: 0 or -1.
int frame_keep(cframe *frame, PyObject *object);
// One more entry, zeroed but for the address and length: NULL with MemoryError.
ctemporary *frame_add(cframe *frame, uint64_t address, size_t length);
// Check that the library is as it was, and copy everything in: 0 or -1. No Python code runs between this and the call.
int frame_commit(cframe *frame);
// After the call: copy back what is to come back. 0 or -1.
int frame_copy_back(cframe *frame);
void frame_end(cframe *frame);
// Does the address lie in what the frame holds of the guest's memory?
bool frame_has(const cframe *frame, uint64_t address);

// An address for messages, as C writes it.
enum { ADDRESS_TEXT_SIZE = 24 };
static inline const char *address_text(uint64_t address, char buffer[ADDRESS_TEXT_SIZE])
{
    PyOS_snprintf(buffer, ADDRESS_TEXT_SIZE, "0x%llx", (unsigned long long)address);
    return buffer;
}

// --- values -----------------------------------------------------------------------------------------------------

// Python to the bytes of a value of *type*, which go to *out* (type->size zeroed bytes of ours, not of the guest's). 0 or -1.
int value_to_bytes(cframe *frame, CTypeObject *type, PyObject *object, uint8_t *out, const cplace *place);
// And back: aggregates only if `spot` tells where they lie, for their objects refer to that place. New reference.
PyObject *value_from_bytes(CLibraryObject *library, CTypeObject *type, const uint8_t *bytes);
PyObject *value_read(const cspot *spot, CTypeObject *type);
int value_write(const cspot *spot, CTypeObject *type, PyObject *object, const cplace *place);
PyObject *bits_read(const cspot *spot, const cfield *field);
int bits_write(const cspot *spot, const cfield *field, PyObject *object, const cplace *place);

// The bytes of a str: borrowed, of *owner*, which is a new reference. No NUL within. NULL with an exception.
const char *text_bytes(CLibraryObject *library, PyObject *text, Py_ssize_t *length, PyObject **owner,
                       const cplace *place);
// A copy of the bytes with a NUL behind them, for as long as the frame's memory lasts: 0 or -1. Takes *owner* over.
int string_to_address(cframe *frame, const char *bytes, Py_ssize_t length, PyObject *owner, uint64_t *address);
// A buffer of the type's very layout, or of *count* such: 1 and the view, 0 if it is none, -1 with an exception.
int buffer_get(PyObject *object, CTypeObject *item, Py_buffer *view);

// An address for a parameter or a value of a pointer type: 0 or -1.
int pointer_to_address(cframe *frame, CTypeObject *type, PyObject *object, uint64_t *address, const cplace *place);

// The NUL-terminated string at *address*, as str or bytes: new reference.
PyObject *string_read(CLibraryObject *library, uint64_t address, bool as_bytes);

// Scalars between their bytes and raw values of the engine's, and the kind of the latter.
aw_valkind scalar_kind(const CTypeObject *type);
void scalar_to_raw(const CTypeObject *type, const uint8_t *bytes, aw_raw *raw);
void scalar_from_raw(const CTypeObject *type, const aw_raw *raw, uint8_t *bytes);

// --- objects ----------------------------------------------------------------------------------------------------

// Pointer: `type` is the pointer's, `spot.address` what it points at. Array and Struct: `type` is theirs, the spot is where they lie.
typedef struct CDataObject {
    PyObject_HEAD
    cspot spot;         // the references in it are owned
    CTypeObject *type;  // owned
    PyObject *weakrefs;
} CDataObject;

// New references. Borrow the block.
PyObject *pointer_new(CLibraryObject *library, CTypeObject *type, uint64_t address, CBlockObject *block);
PyObject *data_new(PyTypeObject *python_type, const cspot *spot, CTypeObject *type);
// A value of Python's own with a copy of the bytes: a Struct or an Array.
PyObject *struct_from_bytes(CLibraryObject *library, CTypeObject *type, const uint8_t *bytes);

int data_free(CDataObject *self);  // what Python owns there: 0 or -1

// Value: a number with a C type.
typedef struct CValueObject {
    PyObject_HEAD
    CLibraryObject *library;  // owned
    CTypeObject *type;        // owned
    PyObject *weakrefs;
    uint8_t bytes[SCALAR_BYTES];
} CValueObject;

PyObject *value_cast(CLibraryObject *library, CTypeObject *type, PyObject *object);  // new reference

static inline bool is_cdata(core_state *state, PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    return type == state->Pointer || type == state->Array || type == state->Struct;
}

// Does a buffer's format (PEP 3118) tell items of this type? 1 or 0, -1 with an exception.
int format_matches(CTypeObject *type, const char *format, Py_ssize_t itemsize);

// --- functions --------------------------------------------------------------------------------------------------

typedef struct CFunctionObject CFunctionObject;

// See the methods of CLibrary. New references.
PyObject *function_new(CLibraryObject *library, PyObject *name, CTypeObject *type, FuncObject *func, const char *result,
                       PyObject *release);
PyObject *function_new_callback(CLibraryObject *library, CTypeObject *type, PyObject *callable);
// The function that the element *index* of the library's table holds, or a Pointer if it holds none: new reference.
PyObject *function_at(CLibraryObject *library, CTypeObject *type, uint64_t index);
// The element of the table that holds the function: 0 or -1.
int function_index(PyObject *function, CLibraryObject *library, uint64_t *index);
// The same for a value of a type, or of any if that is NULL.
int function_to_index(cframe *frame, const CTypeObject *type, PyObject *object, uint64_t *index, const cplace *place);
// A new element of the table, which holds the function: 0 or -1.
int table_add(CLibraryObject *library, aw_func *func, uint64_t *index);

// How values of a function type are passed (tool-conventions, "Basic C ABI").
typedef enum cpass {
    PASS_SCALAR,    // as itself, or as the only scalar in it
    PASS_TWO,       // long double: two i64
    PASS_INDIRECT,  // its address
    PASS_NOTHING,   // an empty struct
} cpass;

cpass abi_pass(const CTypeObject *type, CTypeObject **scalar);
// Results that do not fit into one scalar go to where a first, hidden parameter points.
cpass abi_result(const CTypeObject *type, CTypeObject **scalar);
// The Wasm type of a C function type: its value types, parameters first, in a malloc'ed array. 0 or -1.
int abi_functype(const CTypeObject *type, size_t pointer_size, aw_valtype **types, aw_functype *out);
PyObject *abi_functype_wrap(core_state *state, const CTypeObject *type, size_t pointer_size);

// An element of the table that calls *callable*: an owned CCallbackObject, or NULL with an exception.
CCallbackObject *callback_take(CLibraryObject *library, CTypeObject *type, PyObject *callable);
void callback_give_back(CCallbackObject *self);  // borrows: it may serve another callable
uint64_t callback_index(const CCallbackObject *self);
void callbacks_forget(CLibraryObject *library);  // the library dies: they may live on in the store

#endif

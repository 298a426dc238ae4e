// SPDX-License-Identifier: Apache-2.0
// C types as the library's compiler sees them: sizes, layouts, and what of the C ABI follows from them.

#ifndef AW_CLIB_CTYPE_H
#define AW_CLIB_CTYPE_H

#include "../core.h"

typedef enum ckind {
    CK_VOID,
    CK_BOOL,
    CK_CHAR,     // plain char: an integer, and in arrays and behind pointers text
    CK_INTEGER,  // every other integer type
    CK_FLOAT,
    CK_COMPLEX,
    CK_ENUM,
    CK_POINTER,
    CK_ARRAY,
    CK_STRUCT,
    CK_UNION,
    CK_FUNCTION,
} ckind;

struct CTypeObject;

typedef struct cfield {
    PyObject *name;  // owned str; NULL for an anonymous struct or union, whose fields count as this type's own
    struct CTypeObject *type;  // owned
    size_t offset;             // bytes from the struct's start
    uint8_t bit_offset;        // of a bit-field: bits from the lowest bit of the unit at `offset`, whose type is `type`
    uint8_t bit_width;         // 0: no bit-field
} cfield;

typedef struct CTypeObject {
    PyObject_HEAD
    ckind kind;
    PyObject *name;  // owned str or NULL: of what has one (int, struct point, a typedef); others spell themselves
    size_t size;     // bytes; 0 while incomplete
    uint32_t align;  // bytes
    bool complete;   // its size is known
    bool is_signed;  // of integers
    bool readonly;   // of pointers: what they point at is const
    bool variadic;   // of functions
    uint16_t depth;  // how deep types nest in it, which bounds recursion over them
    struct CTypeObject
        *item;          // owned or NULL: a pointer's target, an array's item, an enum's integer, a function's result
    Py_ssize_t length;  // of an array; -1 if unknown
    cfield *fields;     // owned array, of structs and unions
    Py_ssize_t field_count;
    PyObject *
        field_index;  // owned dict: name -> (field's type, offset, bit offset, bit width), anonymous ones' fields included
    PyObject *parameters;       // owned tuple of CType, of functions
    PyObject *parameter_names;  // owned tuple of str or None
    PyObject *enumeration;      // owned: the IntEnum, or NULL
    PyObject *format;           // owned bytes or NULL: an item in a buffer (PEP 3118), made when first asked for
    // What a struct with one scalar alone is passed as (tool-conventions, "Basic C ABI"): borrowed, or NULL.
    struct CTypeObject *single;
    PyObject *weakrefs;
} CTypeObject;

static inline bool ctype_is_integer(const CTypeObject *type)
{
    return type->kind == CK_INTEGER || type->kind == CK_CHAR || type->kind == CK_ENUM;
}

static inline bool ctype_is_record(const CTypeObject *type)
{
    return type->kind == CK_STRUCT || type->kind == CK_UNION;
}

static inline bool ctype_is_aggregate(const CTypeObject *type)
{
    return ctype_is_record(type) || type->kind == CK_COMPLEX || type->kind == CK_ARRAY;
}

// `char *` or `const char *`.
static inline bool ctype_is_string(const CTypeObject *type)
{
    return type->kind == CK_POINTER && type->item->kind == CK_CHAR;
}

// As C writes it, around a declared name which may be empty: new reference.
PyObject *ctype_spell(const CTypeObject *type, const char *declared);

// The same type, however it is called. Structs, unions and enums are the same only if they are one object.
bool ctype_equal(const CTypeObject *a, const CTypeObject *b);

// The field of that name: 1 and borrowed references, 0 if there is none, -1 with an exception.
int ctype_field(const CTypeObject *type, PyObject *name, cfield *out);

// A type that points at *target*, for what C calls &: new reference.
CTypeObject *ctype_pointer_to(core_state *state, CTypeObject *target, bool readonly, size_t pointer_size);
// target[length]: new reference.
CTypeObject *ctype_array_of(core_state *state, CTypeObject *item, Py_ssize_t length);

// An item in a buffer as PEP 3118 has it: a string that lives as long as the type, or NULL with an exception.
const char *ctype_format(CTypeObject *type);

#endif

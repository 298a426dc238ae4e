// SPDX-License-Identifier: Apache-2.0
// The type objects: immutable, comparable, hashable; made from the interface's plain types and back.

#ifndef AW_TYPES_H
#define AW_TYPES_H

#include "core.h"

typedef struct {
    PyObject_HEAD
    aw_valtype type;
} ValTypeObject;

// The marshalling plan of a function type is its value types in one array, parameters first; what a call needs to
// know beyond them is here, computed once.
typedef struct {
    PyObject_VAR_HEAD      // ob_size: parameters + results
    aw_functype type;      // points into `values`
    bool numbers_only;     // i32, i64, f32, f64 in both directions: the fast path
    bool has_references;   // a parameter or result is a reference
    PyObject *parameters;  // owned tuple of ValType
    PyObject *results;     // owned tuple of ValType
    aw_valtype values[1];
} FuncTypeObject;

typedef struct {
    PyObject_HEAD
    aw_memorytype type;
} MemoryTypeObject;

typedef struct {
    PyObject_HEAD
    aw_tabletype type;
} TableTypeObject;

typedef struct {
    PyObject_HEAD
    aw_globaltype type;
} GlobalTypeObject;

typedef struct {
    PyObject_HEAD
    FuncTypeObject *functype;  // owned; has no results
} TagTypeObject;

typedef struct {
    PyObject_HEAD
    PyObject *module, *name;  // owned str
    PyObject *type;           // owned: FuncType, MemoryType, …
    aw_externkind kind;
} ImportTypeObject;

typedef struct {
    PyObject_HEAD
    PyObject *name;  // owned str
    PyObject *type;  // owned
    aw_externkind kind;
    uint32_t index;  // position in the module's exports
} ExportTypeObject;

// New references, NULL with an exception on failure.
PyObject *valtype_wrap(core_state *state, aw_valtype type);
PyObject *functype_wrap(core_state *state, const aw_functype *type);
PyObject *memorytype_wrap(core_state *state, const aw_memorytype *type);
PyObject *tabletype_wrap(core_state *state, const aw_tabletype *type);
PyObject *globaltype_wrap(core_state *state, const aw_globaltype *type);
PyObject *tagtype_wrap(core_state *state, FuncTypeObject *functype);  // borrows functype
PyObject *importtype_wrap(core_state *state, PyObject *module, PyObject *name, aw_externkind kind, PyObject *type);
PyObject *exporttype_wrap(core_state *state, PyObject *name, aw_externkind kind, PyObject *type, uint32_t index);

// A ValType from what users write: a ValType or its text ("i32", "externref", "(ref null func)"). 0 or -1 with TypeError or
// ValueError.
int valtype_convert(core_state *state, PyObject *object, aw_valtype *out);

// Text of a value type, such as "i32" or "(ref null struct)", into *buffer*, which it also returns.
#define VALTYPE_TEXT_SIZE 40
const char *valtype_text(aw_valtype type, char buffer[VALTYPE_TEXT_SIZE]);

// "func", "table", "memory", "global" or "tag".
const char *externkind_text(aw_externkind kind);

// Does an object of type *given* fit an import of type *wanted* (specification 3.0, section 3.2.7 and 3.3, matching)? Concrete
// reference types are taken to fit: the engine checks those. *given_size* is the current size of a memory or table in
// pages or elements, which matching takes as its minimum; ignored for the others.
bool externtype_matches(aw_externkind kind, PyObject *given, PyObject *wanted, uint64_t given_size);
bool valtype_matches(aw_valtype given, aw_valtype wanted);

static inline bool valtype_equal(aw_valtype a, aw_valtype b)
{
    return a.kind == b.kind && a.heap == b.heap && a.nullable == b.nullable && a.concrete == b.concrete;
}

#endif

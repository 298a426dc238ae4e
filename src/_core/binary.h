// SPDX-License-Identifier: Apache-2.0
// The outline of a module: what it imports, exports and is made of, read from the binary format by ourselves, so that it is
// the same for every engine. Plain C without Python.
//
// Reading is safe on any bytes: every read is checked against what is left, and every count against the bytes that its
// entries need, before anything is allocated for them. It does not validate: code and segments are skipped, and an outline
// of an invalid module means nothing. Engines validate.

#ifndef AW_BINARY_H
#define AW_BINARY_H

#include "engines/engine.h"

typedef struct binary_name {  // valid UTF-8; points into the module
    const char *bytes;
    size_t length;
} binary_name;

typedef struct binary_type {
    aw_heaptype form;      // FUNC, STRUCT or ARRAY
    aw_functype functype;  // of a FUNC; points into the outline
} binary_type;

typedef struct binary_externtype {
    aw_externkind kind;
    union {
        uint32_t type_index;  // FUNC and TAG: into the types, and a FUNC there
        aw_tabletype table;
        aw_memorytype memory;
        aw_globaltype global;
    };
} binary_externtype;

typedef struct binary_import {
    binary_name module, name;
    binary_externtype type;
} binary_import;

typedef struct binary_export {
    binary_name name;
    aw_externkind kind;
    uint32_t index;  // below the count of that kind
} binary_export;

typedef struct binary_section {
    uint8_t id;
    binary_name name;               // of a custom section
    size_t start;                   // where the section begins, with its id
    size_t offset, size;            // its contents
    size_t data_offset, data_size;  // of a custom section: what follows its name; otherwise as offset and size
} binary_section;

// A list of what a kind has in all, imports first.
typedef struct binary_items {
    binary_externtype *items;
    uint32_t count, capacity;
} binary_items;

typedef struct binary_outline {
    const uint8_t *bytes;  // borrowed: the module
    size_t length;
    binary_type *types;
    uint32_t type_count;
    aw_valtype *valtypes;  // of all function types
    binary_import *imports;
    uint32_t import_count;
    binary_items kinds[AW_EXTERN_TAG + 1];
    binary_export *exports;
    uint32_t export_count;
    binary_section *sections;
    uint32_t section_count;
} binary_outline;

// Read *bytes*, which stay the caller's and must outlive the outline. 0, or -1 with AW_ERROR_COMPILE (what and where) or
// AW_ERROR_MEMORY; the outline is to be freed in both cases.
int binary_read(const uint8_t *bytes, size_t length, binary_outline *outline, aw_error *error);
void binary_free(binary_outline *outline);

// "type", "import", …, the format's names of sections; "custom" for 0, "unknown" for what is none.
const char *binary_section_name(uint8_t id);

// The module without what only an engine needs: no code, elements, data, start or debug information. *out is malloc'ed and
// owned. An outline of it is that of the module, but for sections and offsets. 0, or -1 when there is no memory.
int binary_skeleton(const binary_outline *outline, uint8_t **out, size_t *size);

// --- the name section (specification 3.0, appendix A.4) ---------------------------------------------------

typedef struct binary_function_name {
    uint32_t index;
    binary_name name;
} binary_function_name;

typedef struct binary_names {
    binary_name module;  // bytes NULL if it has none
    binary_function_name *functions;
    uint32_t function_count;
} binary_names;

// From a module's bytes: whatever can be read; a damaged name section ends where the damage begins. 0, or -1 when there is no
// memory. Names point into *bytes*.
int binary_read_names(const uint8_t *bytes, size_t length, binary_names *names);
void binary_free_names(binary_names *names);
// For a module that names no functions: the names under which it exports them. 0, or -1 when there is no memory.
int binary_names_from_exports(const binary_outline *outline, binary_names *names);
// Borrowed, or NULL.
const binary_name *binary_find_function_name(const binary_names *names, uint32_t function_index);

#endif

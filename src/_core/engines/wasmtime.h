// SPDX-License-Identifier: Apache-2.0
// What the files of the engine Wasmtime share: the opened library, what the interface's handles are, and who tells what.

#ifndef AW_WASMTIME_H
#define AW_WASMTIME_H

#include <stdatomic.h>

#include "engine.h"
#include "wasmtime_api.h"

// --- objects ------------------------------------------------------------------------------------------------------

enum {
    DEFAULT_WASM_STACK = 512 << 10,  // Wasmtime's own default; host functions on the way count, too
    POOL_MAXIMUM = 10000,            // instances: 50 TiB of address space
    POOL_TABLES = 4,                 // of an instance in a pool
    HOST_STACK = 256 << 10,  // what stays free for them below that: with it, a thread needs less than a megabyte
};

struct aw_engine {
    wasm_engine_t *engine;
    aw_config config;
    uint64_t capabilities;
    size_t wasm_stack;  // bytes
    bool interruptible, fuel;
};

struct aw_module {
    wasmtime_module_t *module;
    size_t length;  // of its code in the file that it is mapped from, which may have more; 0 if it is not
};

struct aw_store {
    wasmtime_store_t *store;
    wasmtime_context_t *context;
    aw_engine *engine;  // borrowed
    aw_host host;
    aw_storelimits limits;
    atomic_bool interrupted;
    // Why the engine unwinds, when that is our doing; wt_call_failed tells the caller and takes it back.
    bool host_failed;       // a host function failed, or its poll said so
    bool stopped;           // store_interrupt
    uint32_t entries;       // calls into Wasm that run, one inside the other
    size_t quick_above[2];  // bytes of stack with which an outermost call, or one inside another, may enter unasked
    wasmtime_memory_t *memories;  // owned; those that were met, some of them often, but no shared ones
    size_t memory_count, memory_capacity;
};

struct aw_instance {
    wasmtime_instance_t instance;
    aw_store *store;
};

struct aw_func {
    wasmtime_context_t *context;
    wasmtime_func_t func;
    aw_store *store;
};

struct aw_memory {
    aw_store *store;
    wasmtime_memory_t memory;
    wasmtime_sharedmemory_t *shared;  // owned, or NULL
};

struct aw_table {
    aw_store *store;
    wasmtime_table_t table;
};

struct aw_global {
    aw_store *store;
    wasmtime_global_t global;
};

struct aw_tag {
    aw_store *store;
    wasmtime_tag_t tag;
};

// What wasmtime_externref_new keeps for us: the payload, and whom to tell.
typedef struct externref_data {
    aw_store *store;
    aw_foreign *foreign;
    bool counted;  // the reference exists, and with it the count that it gives back
} externref_data;

static inline void *wt_out_of_memory(aw_error *error)
{
    aw_error_set(error, AW_ERROR_MEMORY, "out of memory");
    return NULL;
}

// --- wasmtime_library.c: the library -----------------------------------------------------------------------------

extern aw_wasmtime_library wt;       // written once, before the first engine is made
extern char wt_library_version[32];  // likewise
extern char wt_library_build[64];    // likewise

int wt_library_load(const char *path, aw_error *error);

// --- wasmtime_errors.c: errors -----------------------------------------------------------------------------------

#define WT_INTERRUPTED "the call was interrupted: its time is up, or somebody stopped it"

int wt_error_take(aw_error *error, aw_errorkind kind, wasmtime_error_t *failure);
void wt_limit_met(const aw_store *store, aw_error *error);
int wt_call_failed(aw_store *store, aw_error *error, wasmtime_error_t *failure, wasm_trap_t *trap);

// --- wasmtime_values.c: types and values -------------------------------------------------------------------------

aw_valtype wt_valtype_from(const wasm_valtype_t *type);
wasm_valtype_t *wt_valtype_to(const aw_engine *engine, aw_valtype type);
wasm_functype_t *wt_functype_to(const aw_engine *engine, const aw_functype *type, aw_error *error);
void wt_functype_from(const wasm_functype_t *type, uint32_t *parameter_count, uint32_t *result_count, aw_valtype *types,
                      size_t capacity);
wasmtime_val_t wt_val_from_raw(aw_store *store, aw_valtype type, const aw_raw *raw);
void wt_val_to_raw(aw_store *store, wasmtime_val_t *val, aw_raw *raw);

// --- wasmtime_module.c: engine, module ---------------------------------------------------------------------------

int aw_wasmtime_probe(const char *library, const char **version, uint64_t *capabilities, aw_error *error);
aw_engine *aw_wasmtime_engine_new(const aw_config *config, const char *library, aw_error *error);
void aw_wasmtime_engine_delete(aw_engine *engine);
uint64_t aw_wasmtime_engine_capabilities(const aw_engine *engine);
aw_module *aw_wasmtime_module_new(aw_engine *engine, const uint8_t *bytes, size_t length, aw_error *error);
int aw_wasmtime_module_validate(aw_engine *engine, const uint8_t *bytes, size_t length, aw_error *error);
int aw_wasmtime_module_serialize(const aw_module *module, uint8_t **bytes, size_t *length, aw_error *error);
aw_module *aw_wasmtime_module_deserialize(aw_engine *engine, const uint8_t *bytes, size_t length, aw_error *error);
aw_module *aw_wasmtime_module_deserialize_file(aw_engine *engine, int descriptor, size_t length, aw_error *error);
const char *aw_wasmtime_build(void);
void aw_wasmtime_module_delete(aw_module *module);
int aw_wasmtime_wat2wasm(const char *library, const char *text, size_t length, uint8_t **bytes, size_t *size,
                         aw_error *error);

// --- wasmtime_refs.c: references, exceptions ---------------------------------------------------------------------

int aw_wasmtime_externref_new(aw_store *store, aw_foreign *foreign, aw_ref *out, aw_error *error);
aw_foreign *aw_wasmtime_externref_foreign(aw_store *store, const aw_ref *ref);
int aw_wasmtime_ref_from_raw(aw_store *store, aw_refclass refclass, const aw_raw *raw, aw_ref *out, aw_error *error);
void aw_wasmtime_ref_to_raw(aw_store *store, aw_refclass refclass, const aw_ref *ref, aw_raw *raw);
void aw_wasmtime_ref_clone(aw_refclass refclass, const aw_ref *ref, aw_ref *out);
void aw_wasmtime_ref_drop(aw_refclass refclass, aw_ref *ref);
aw_heaptype aw_wasmtime_ref_heaptype(aw_store *store, aw_refclass refclass, const aw_ref *ref);
int32_t aw_wasmtime_ref_i31(aw_store *store, const aw_ref *ref);
int aw_wasmtime_i31_new(aw_store *store, int32_t value, aw_ref *out, aw_error *error);
bool aw_wasmtime_ref_same(aw_store *store, aw_refclass refclass, const aw_ref *a, const aw_ref *b);
aw_tag *aw_wasmtime_tag_new(aw_store *store, const aw_functype *type, aw_error *error);
void aw_wasmtime_tag_delete(aw_tag *tag);
void aw_wasmtime_tag_type(aw_tag *tag, uint32_t *parameter_count, aw_valtype *types, size_t capacity);
int aw_wasmtime_exn_new(aw_store *store, aw_tag *tag, const aw_raw *values, size_t count, aw_ref *out, aw_error *error);
aw_tag *aw_wasmtime_exn_tag(aw_store *store, const aw_ref *exn, aw_error *error);
int aw_wasmtime_exn_field(aw_store *store, const aw_ref *exn, size_t index, aw_raw *out, aw_error *error);

// --- wasmtime_items.c: memory, table, global ---------------------------------------------------------------------

bool wt_memory_met(aw_store *store, const wasmtime_memory_t *memory);
void aw_wasmtime_store_usage(aw_store *store, aw_usage *out);
aw_memory *aw_wasmtime_memory_new(aw_store *store, const aw_memorytype *type, aw_error *error);
void aw_wasmtime_memory_delete(aw_memory *memory);
void aw_wasmtime_memory_type(aw_memory *memory, aw_memorytype *out);
void aw_wasmtime_memory_data(aw_memory *memory, uint8_t **base, size_t *bytes);
int aw_wasmtime_memory_grow(aw_memory *memory, uint64_t delta, uint64_t *previous, aw_error *error);
aw_table *aw_wasmtime_table_new(aw_store *store, const aw_tabletype *type, const aw_raw *initial, aw_error *error);
void aw_wasmtime_table_delete(aw_table *table);
void aw_wasmtime_table_type(aw_table *table, aw_tabletype *out);
uint64_t aw_wasmtime_table_size(aw_table *table);
int aw_wasmtime_table_get(aw_table *table, uint64_t index, aw_raw *out, aw_error *error);
int aw_wasmtime_table_set(aw_table *table, uint64_t index, const aw_raw *value, aw_error *error);
int aw_wasmtime_table_grow(aw_table *table, uint64_t delta, const aw_raw *initial, uint64_t *previous, aw_error *error);
aw_global *aw_wasmtime_global_new(aw_store *store, const aw_globaltype *type, const aw_raw *initial, aw_error *error);
void aw_wasmtime_global_delete(aw_global *global);
void aw_wasmtime_global_type(aw_global *global, aw_globaltype *out);
int aw_wasmtime_global_get(aw_global *global, aw_raw *out, aw_error *error);
int aw_wasmtime_global_set(aw_global *global, const aw_raw *value, aw_error *error);

#endif

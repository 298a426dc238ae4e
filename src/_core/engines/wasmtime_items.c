// SPDX-License-Identifier: Apache-2.0
// Memories, tables and globals.

#include <stdlib.h>
#include <string.h>

#include "wasmtime.h"

// --- memory --------------------------------------------------------------------------------------------------------------------------------------

// A memory or table could not be made: by a limit, or because the system has none left.
static void new_failed(const aw_store *store, aw_error *error, wasmtime_error_t *failure)
{
    wt_error_take(error, AW_ERROR_LIMIT, failure);
    wt_limit_met(store, error);
    if (strstr(error->message, "os error") != NULL || strstr(error->message, "out of memory") != NULL) {
        error->kind = AW_ERROR_MEMORY;
    }
}

// Count the memory among the store's: false without memory for that.
bool wt_memory_met(aw_store *store, const wasmtime_memory_t *memory)
{
    if (store->memory_count == store->memory_capacity) {
        size_t capacity = store->memory_capacity > 0 ? 2 * store->memory_capacity : 4;
        wasmtime_memory_t *grown = realloc(store->memories, capacity * sizeof(*grown));
        if (grown == NULL) {
            return false;
        }
        store->memories = grown;
        store->memory_capacity = capacity;
    }
    store->memories[store->memory_count++] = *memory;
    return true;
}

static int compare_memories(const void *a, const void *b)
{
    const wasmtime_memory_t *one = a, *other = b;
    return one->__private1 != other->__private1   ? (one->__private1 < other->__private1 ? -1 : 1)
           : one->__private2 != other->__private2 ? (one->__private2 < other->__private2 ? -1 : 1)
                                                  : 0;
}

// The C API neither lists a store's memories nor tells that the limiter refused to let one grow.
void aw_wasmtime_store_usage(aw_store *store, aw_usage *out)
{
    *out = (aw_usage){.memory_known = false};
    if (store->memory_count > 1) {
        qsort(store->memories, store->memory_count, sizeof(*store->memories), compare_memories);
    }
    for (size_t i = 0; i < store->memory_count; i++) {
        if (i == 0 || compare_memories(&store->memories[i - 1], &store->memories[i]) != 0) {
            out->memory_bytes += wt.wasmtime_memory_data_size(store->context, &store->memories[i]);
        }
    }
}

// Wasmtime asks no limiter about shared memories.
static int shared_check(const aw_store *store, const aw_memorytype *type, aw_error *error)
{
    if ((store->engine->capabilities & AW_CAP(THREADS)) == 0) {
        aw_error_set(error, AW_ERROR_UNSUPPORTED, "shared memories need threads, which this engine has switched off");
        error->capability = AW_CAP(THREADS);
        return -1;
    }
    uint64_t limit = store->limits.memory_bytes >> 16;
    if (type->limits.min > limit) {
        aw_error_set(error, AW_ERROR_LIMIT, "a shared memory of %llu pages exceeds the store's limit of %llu bytes",
                     (unsigned long long)type->limits.min, (unsigned long long)store->limits.memory_bytes);
        return aw_error_limit(error, AW_LIMIT_MEMORY, type->limits.min << 16, store->limits.memory_bytes);
    }
    return 0;
}

aw_memory *aw_wasmtime_memory_new(aw_store *store, const aw_memorytype *type, aw_error *error)
{
    if (type->shared && shared_check(store, type, error) < 0) {
        return NULL;
    }
    wasm_memorytype_t *told;
    wasmtime_error_t *failure = wt.wasmtime_memorytype_new(type->limits.min, type->limits.has_max, type->limits.max,
                                                           type->limits.is64, type->shared, 16, &told);
    if (failure != NULL) {
        wt_error_take(error, AW_ERROR_TYPE, failure);
        return NULL;
    }
    aw_memory *memory = calloc(1, sizeof(*memory));
    if (memory == NULL) {
        wt.wasm_memorytype_delete(told);
        return wt_out_of_memory(error);
    }
    memory->store = store;
    failure = type->shared ? wt.wasmtime_sharedmemory_new(store->engine->engine, told, &memory->shared)
                           : wt.wasmtime_memory_new(store->context, told, &memory->memory);
    wt.wasm_memorytype_delete(told);
    if (failure != NULL) {
        new_failed(store, error, failure);
        free(memory);
        return NULL;
    }
    if (!type->shared && !wt_memory_met(store, &memory->memory)) {
        free(memory);
        return wt_out_of_memory(error);
    }
    return memory;
}

void aw_wasmtime_memory_delete(aw_memory *memory)
{
    if (memory->shared != NULL) {
        wt.wasmtime_sharedmemory_delete(memory->shared);
    }
    free(memory);
}

void aw_wasmtime_memory_type(aw_memory *memory, aw_memorytype *out)
{
    wasm_memorytype_t *type = memory->shared != NULL ? wt.wasmtime_sharedmemory_type(memory->shared)
                                                     : wt.wasmtime_memory_type(memory->store->context, &memory->memory);
    *out = (aw_memorytype){.shared = wt.wasmtime_memorytype_isshared(type)};
    out->limits.min = wt.wasmtime_memorytype_minimum(type);
    out->limits.has_max = wt.wasmtime_memorytype_maximum(type, &out->limits.max);
    out->limits.is64 = wt.wasmtime_memorytype_is64(type);
    wt.wasm_memorytype_delete(type);
}

void aw_wasmtime_memory_data(aw_memory *memory, uint8_t **base, size_t *bytes)
{
    if (memory->shared != NULL) {
        *base = wt.wasmtime_sharedmemory_data(memory->shared);
        *bytes = wt.wasmtime_sharedmemory_data_size(memory->shared);
    }
    else {
        *base = wt.wasmtime_memory_data(memory->store->context, &memory->memory);
        *bytes = wt.wasmtime_memory_data_size(memory->store->context, &memory->memory);
    }
}

int aw_wasmtime_memory_grow(aw_memory *memory, uint64_t delta, uint64_t *previous, aw_error *error)
{
    wasmtime_error_t *failure = memory->shared != NULL
                                    ? wt.wasmtime_sharedmemory_grow(memory->shared, delta, previous)
                                    : wt.wasmtime_memory_grow(memory->store->context, &memory->memory, delta, previous);
    if (failure == NULL) {
        return 0;
    }
    // It says only that it failed. Where neither the maximum nor the store's limit was in the way, there was no memory.
    aw_memorytype type;
    uint8_t *base;
    size_t bytes;
    aw_wasmtime_memory_type(memory, &type);
    aw_wasmtime_memory_data(memory, &base, &bytes);
    uint64_t maximum = type.limits.is64 ? UINT64_C(1) << 48 : UINT64_C(1) << 16;
    if (type.limits.has_max && type.limits.max < maximum) {
        maximum = type.limits.max;
    }
    uint64_t limit = memory->store->limits.memory_bytes;
    if (memory->shared == NULL && limit >> 16 < maximum) {
        maximum = limit >> 16;
    }
    bool fits = bytes >> 16 <= maximum && delta <= maximum - (bytes >> 16);
    wt_error_take(error, fits ? AW_ERROR_MEMORY : AW_ERROR_LIMIT, failure);
    if (!fits) {
        uint64_t pages = bytes >> 16;
        aw_error_limit(error, AW_LIMIT_MEMORY, delta <= (UINT64_MAX >> 16) - pages ? (pages + delta) << 16 : AW_UNKNOWN,
                       limit >> 16 == maximum ? limit : maximum << 16);
    }
    return -1;
}

// --- table ---------------------------------------------------------------------------------------------------------------------------------------

// wasm_tabletype_limits aborts on limits that do not fit 32 bits, and nothing tells the index type, so limits are not asked for:
// the size is the minimum, and the core knows the declared type of what modules export.
static void table_element(aw_table *table, aw_valtype *out)
{
    wasm_tabletype_t *type = wt.wasmtime_table_type(table->store->context, &table->table);
    *out = wt_valtype_from(wt.wasm_tabletype_element(type));
    wt.wasm_tabletype_delete(type);
}

aw_table *aw_wasmtime_table_new(aw_store *store, const aw_tabletype *type, const aw_raw *initial, aw_error *error)
{
    if (type->limits.is64 || type->limits.min > UINT32_MAX || (type->limits.has_max && type->limits.max > UINT32_MAX)) {
        aw_error_set(error, AW_ERROR_UNSUPPORTED,
                     "Wasmtime's C API cannot make tables with 64-bit indices; modules can");
        return NULL;
    }
    wasm_valtype_t *element = wt_valtype_to(store->engine, type->element);
    if (element == NULL) {
        aw_error_set(error, AW_ERROR_UNSUPPORTED, "a table of a concrete reference type can be made by a module only");
        return NULL;
    }
    aw_table *table = calloc(1, sizeof(*table));
    if (table == NULL) {
        wt.wasm_valtype_delete(element);
        return wt_out_of_memory(error);
    }
    wasm_limits_t limits = {(uint32_t)type->limits.min, type->limits.has_max ? (uint32_t)type->limits.max : UINT32_MAX};
    wasm_tabletype_t *told = wt.wasm_tabletype_new(element, &limits);
    wasmtime_val_t val = wt_val_from_raw(store, type->element, initial);
    table->store = store;
    wasmtime_error_t *failure = wt.wasmtime_table_new(store->context, told, &val, &table->table);
    wt.wasmtime_val_unroot(&val);
    wt.wasm_tabletype_delete(told);
    if (failure != NULL) {
        new_failed(store, error, failure);
        free(table);
        return NULL;
    }
    return table;
}

void aw_wasmtime_table_delete(aw_table *table)
{
    free(table);
}

void aw_wasmtime_table_type(aw_table *table, aw_tabletype *out)
{
    *out = (aw_tabletype){.limits = {.min = wt.wasmtime_table_size(table->store->context, &table->table)}};
    table_element(table, &out->element);
}

uint64_t aw_wasmtime_table_size(aw_table *table)
{
    return wt.wasmtime_table_size(table->store->context, &table->table);
}

int aw_wasmtime_table_get(aw_table *table, uint64_t index, aw_raw *out, aw_error *error)
{
    wasmtime_val_t val;
    if (!wt.wasmtime_table_get(table->store->context, &table->table, index, &val)) {
        return aw_error_set(error, AW_ERROR_TYPE, "index out of bounds");
    }
    wt_val_to_raw(table->store, &val, out);
    return 0;
}

int aw_wasmtime_table_set(aw_table *table, uint64_t index, const aw_raw *value, aw_error *error)
{
    aw_valtype element;
    table_element(table, &element);
    wasmtime_val_t val = wt_val_from_raw(table->store, element, value);
    wasmtime_error_t *failure = wt.wasmtime_table_set(table->store->context, &table->table, index, &val);
    wt.wasmtime_val_unroot(&val);
    return failure != NULL ? wt_error_take(error, AW_ERROR_TYPE, failure) : 0;
}

int aw_wasmtime_table_grow(aw_table *table, uint64_t delta, const aw_raw *initial, uint64_t *previous, aw_error *error)
{
    aw_valtype element;
    table_element(table, &element);
    wasmtime_val_t val = wt_val_from_raw(table->store, element, initial);
    wasmtime_error_t *failure = wt.wasmtime_table_grow(table->store->context, &table->table, delta, &val, previous);
    wt.wasmtime_val_unroot(&val);
    if (failure == NULL) {
        return 0;
    }
    wt_error_take(error, AW_ERROR_LIMIT, failure);
    uint64_t size = aw_wasmtime_table_size(table);
    return aw_error_limit(error, AW_LIMIT_TABLE, delta < AW_UNKNOWN - size ? size + delta : AW_UNKNOWN,
                          table->store->limits.table_elements);
}

// --- global --------------------------------------------------------------------------------------------------------------------------------------

aw_global *aw_wasmtime_global_new(aw_store *store, const aw_globaltype *type, const aw_raw *initial, aw_error *error)
{
    wasm_valtype_t *content = wt_valtype_to(store->engine, type->value);
    if (content == NULL) {
        aw_error_set(error, AW_ERROR_UNSUPPORTED, "a global of a concrete reference type can be made by a module only");
        return NULL;
    }
    aw_global *global = calloc(1, sizeof(*global));
    if (global == NULL) {
        wt.wasm_valtype_delete(content);
        return wt_out_of_memory(error);
    }
    wasm_globaltype_t *told = wt.wasm_globaltype_new(content, type->is_mutable ? 1 : 0);
    wasmtime_val_t val = wt_val_from_raw(store, type->value, initial);
    global->store = store;
    wasmtime_error_t *failure = wt.wasmtime_global_new(store->context, told, &val, &global->global);
    wt.wasmtime_val_unroot(&val);
    wt.wasm_globaltype_delete(told);
    if (failure != NULL) {
        wt_error_take(error, AW_ERROR_TYPE, failure);
        free(global);
        return NULL;
    }
    return global;
}

void aw_wasmtime_global_delete(aw_global *global)
{
    free(global);
}

void aw_wasmtime_global_type(aw_global *global, aw_globaltype *out)
{
    wasm_globaltype_t *type = wt.wasmtime_global_type(global->store->context, &global->global);
    out->value = wt_valtype_from(wt.wasm_globaltype_content(type));
    out->is_mutable = wt.wasm_globaltype_mutability(type) != 0;
    wt.wasm_globaltype_delete(type);
}

int aw_wasmtime_global_get(aw_global *global, aw_raw *out, aw_error *error)
{
    (void)error;
    wasmtime_val_t val;
    wt.wasmtime_global_get(global->store->context, &global->global, &val);
    wt_val_to_raw(global->store, &val, out);
    return 0;
}

int aw_wasmtime_global_set(aw_global *global, const aw_raw *value, aw_error *error)
{
    aw_globaltype type;
    aw_wasmtime_global_type(global, &type);
    wasmtime_val_t val = wt_val_from_raw(global->store, type.value, value);
    wasmtime_error_t *failure = wt.wasmtime_global_set(global->store->context, &global->global, &val);
    wt.wasmtime_val_unroot(&val);
    return failure != NULL ? wt_error_take(error, AW_ERROR_TYPE, failure) : 0;
}

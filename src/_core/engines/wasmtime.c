// SPDX-License-Identifier: Apache-2.0
// Wasmtime behind the engine interface: stores, instances and calls; wasmtime.h tells where the rest is.
//
// The C API aborts the process on what it does not expect (a value of another store, a type it has no word for), so nothing of that
// kind may reach it: the core checks stores, and these files types.

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "handlers.h"
#include "wasmtime.h"

// --- store ------------------------------------------------------------------------------------------------------------------------

// At each change of the epoch in a running call: is it this store that is to stop?
static wasmtime_error_t *on_epoch(const wasmtime_context_t *context, void *data, uint64_t *delta, uint8_t *kind)
{
    (void)context;
    aw_store *store = data;
    if (atomic_exchange(&store->interrupted, false)) {
        store->stopped = true;
        return wt.wasmtime_error_new("interrupted");
    }
    if (store->host.poll != NULL && store->host.poll(store->host.data) != 0) {
        store->host_failed = true;
        return wt.wasmtime_error_new("stopped by the host");
    }
    *delta = 1;
    *kind = 0;
    return NULL;
}

// Not Wasmtime's -1 for what is not limited: it takes that as 10,000 for numbers of things.
static int64_t limit_of(uint64_t limit)
{
    return limit > INT64_MAX ? INT64_MAX : (int64_t)limit;
}

static aw_store *aw_wasmtime_store_new(aw_engine *engine, const aw_host *host, const aw_storelimits *limits,
                                       aw_error *error)
{
    aw_store *store = calloc(1, sizeof(*store));
    if (store == NULL) {
        return wt_out_of_memory(error);
    }
    store->engine = engine;
    store->host = *host;
    store->limits = *limits;
    store->quick_above[0] = engine->interruptible ? SIZE_MAX : HOST_STACK + engine->wasm_stack;
    store->quick_above[1] = engine->interruptible ? SIZE_MAX : HOST_STACK;
    store->store = wt.wasmtime_store_new(engine->engine, store, NULL);
    if (store->store == NULL) {
        free(store);
        return wt_out_of_memory(error);
    }
    store->context = wt.wasmtime_store_context(store->store);
    wt.wasmtime_store_limiter(store->store, limit_of(limits->memory_bytes), limit_of(limits->table_elements),
                              limit_of(limits->instances), limit_of(limits->tables), limit_of(limits->memories));
    if (engine->interruptible) {
        wt.wasmtime_store_epoch_deadline_callback(store->store, on_epoch, store, NULL);
        wt.wasmtime_context_set_epoch_deadline(store->context, 1);
    }
    if (engine->fuel) {
        wasmtime_error_t *failure = wt.wasmtime_context_set_fuel(store->context, UINT64_MAX);
        if (failure != NULL) {
            wt.wasmtime_error_delete(failure);
        }
    }
    return store;
}

static void aw_wasmtime_store_delete(aw_store *store)
{
    wt.wasmtime_store_delete(store->store);
    free(store->memories);
    free(store);
}

static int aw_wasmtime_store_set_fuel(aw_store *store, uint64_t fuel, aw_error *error)
{
    wasmtime_error_t *failure = wt.wasmtime_context_set_fuel(store->context, fuel);
    return failure != NULL ? wt_error_take(error, AW_ERROR_INTERNAL, failure) : 0;
}

static int aw_wasmtime_store_get_fuel(aw_store *store, uint64_t *fuel, aw_error *error)
{
    wasmtime_error_t *failure = wt.wasmtime_context_get_fuel(store->context, fuel);
    return failure != NULL ? wt_error_take(error, AW_ERROR_INTERNAL, failure) : 0;
}

static void aw_wasmtime_store_interrupt(aw_store *store)
{
    atomic_store(&store->interrupted, true);
    wt.wasmtime_engine_increment_epoch(store->engine->engine);
}

static void aw_wasmtime_store_wake(aw_store *store)
{
    wt.wasmtime_engine_increment_epoch(store->engine->engine);
}

static void aw_wasmtime_store_uninterrupt(aw_store *store)
{
    atomic_store(&store->interrupted, false);
}

static int aw_wasmtime_store_gc(aw_store *store, aw_error *error)
{
    wasmtime_error_t *failure = wt.wasmtime_context_gc(store->context);
    return failure != NULL ? wt_error_take(error, AW_ERROR_INTERNAL, failure) : 0;
}

// --- instance ----------------------------------------------------------------------------------------------------------------------

static void extern_to(const aw_extern *item, wasmtime_extern_t *out)
{
    switch (item->kind) {
    case AW_EXTERN_FUNC:
        out->kind = WASMTIME_EXTERN_FUNC;
        out->of.func = item->func->func;
        break;
    case AW_EXTERN_TABLE:
        out->kind = WASMTIME_EXTERN_TABLE;
        out->of.table = item->table->table;
        break;
    case AW_EXTERN_MEMORY:
        if (item->memory->shared != NULL) {
            out->kind = WASMTIME_EXTERN_SHAREDMEMORY;
            out->of.sharedmemory = item->memory->shared;
        }
        else {
            out->kind = WASMTIME_EXTERN_MEMORY;
            out->of.memory = item->memory->memory;
        }
        break;
    case AW_EXTERN_GLOBAL:
        out->kind = WASMTIME_EXTERN_GLOBAL;
        out->of.global = item->global->global;
        break;
    case AW_EXTERN_TAG:
        out->kind = WASMTIME_EXTERN_TAG;
        out->of.tag = item->tag->tag;
        break;
    }
}

static aw_func *func_name(aw_store *store, const wasmtime_func_t *handle, aw_error *error)
{
    aw_func *func = malloc(sizeof(*func));
    if (func == NULL) {
        return wt_out_of_memory(error);
    }
    *func = (aw_func){.context = store->context, .func = *handle, .store = store};
    return func;
}

// An owned name for what the library gave, which it takes over. 0 or -1.
static int extern_from(aw_store *store, wasmtime_extern_t *item, aw_extern *out, aw_error *error)
{
    void *name = NULL;
    switch (item->kind) {
    case WASMTIME_EXTERN_FUNC:
        out->kind = AW_EXTERN_FUNC;
        name = out->func = func_name(store, &item->of.func, error);
        return name != NULL ? 0 : -1;
    case WASMTIME_EXTERN_TABLE:
        out->kind = AW_EXTERN_TABLE;
        name = out->table = calloc(1, sizeof(*out->table));
        if (name != NULL) {
            *out->table = (aw_table){.store = store, .table = item->of.table};
        }
        break;
    case WASMTIME_EXTERN_MEMORY:
    case WASMTIME_EXTERN_SHAREDMEMORY:
        out->kind = AW_EXTERN_MEMORY;
        name = out->memory = calloc(1, sizeof(*out->memory));
        if (name != NULL && item->kind == WASMTIME_EXTERN_MEMORY) {
            *out->memory = (aw_memory){.store = store, .memory = item->of.memory};
        }
        else if (name != NULL) {
            *out->memory = (aw_memory){.store = store, .shared = item->of.sharedmemory};
        }
        break;
    case WASMTIME_EXTERN_GLOBAL:
        out->kind = AW_EXTERN_GLOBAL;
        name = out->global = calloc(1, sizeof(*out->global));
        if (name != NULL) {
            *out->global = (aw_global){.store = store, .global = item->of.global};
        }
        break;
    default:
        out->kind = AW_EXTERN_TAG;
        name = out->tag = calloc(1, sizeof(*out->tag));
        if (name != NULL) {
            *out->tag = (aw_tag){.store = store, .tag = item->of.tag};
        }
        break;
    }
    if (name == NULL) {
        wt.wasmtime_extern_delete(item);
        return aw_error_set(error, AW_ERROR_MEMORY, "out of memory");
    }
    return 0;
}

// An error that is no trap: the store's limits, or imports that do not fit.
static int instantiation_failed(aw_store *store, aw_error *error, wasmtime_error_t *failure, wasm_trap_t *trap)
{
    if (wt_call_failed(store, error, failure, trap), error->kind == AW_ERROR_INTERNAL) {
        // Imports first: their names stand in the message and may contain any of the words.
        if (strstr(error->message, "incompatible import type") != NULL ||
            strstr(error->message, "types incompatible") != NULL || strstr(error->message, "expected") != NULL) {
            error->kind = AW_ERROR_LINK;
        }
        else if (strstr(error->message, "limit") != NULL || strstr(error->message, "exceeds") != NULL ||
                 strstr(error->message, "too high") != NULL) {
            wt_limit_met(store, error);
        }
        else if (strstr(error->message, "memory") != NULL || strstr(error->message, "allocat") != NULL) {
            error->kind = AW_ERROR_MEMORY;
        }
    }
    return -1;
}

// Where this thread's stack lies; all zero until it was asked for.
static AW_THREAD_LOCAL struct {
    uintptr_t lowest, highest;
} thread_stack;

static void thread_stack_find(void)
{
    thread_stack.highest = UINTPTR_MAX;  // where the system does not tell, every place is good
#if defined(__APPLE__)
    thread_stack.highest = (uintptr_t)pthread_get_stackaddr_np(pthread_self());
    thread_stack.lowest = thread_stack.highest - pthread_get_stacksize_np(pthread_self());
#else
    pthread_attr_t attributes;
    if (pthread_getattr_np(pthread_self(), &attributes) == 0) {
        void *address;
        size_t size;
        if (pthread_attr_getstack(&attributes, &address, &size) == 0) {
            thread_stack.lowest = (uintptr_t)address;
            thread_stack.highest = (uintptr_t)address + size;
        }
        pthread_attr_destroy(&attributes);
    }
#endif
}

// Wasmtime gives Wasm code its share of the stack below the outermost call and stops it there, but does not ask whether the thread
// has as much: beyond its end is a real crash. So each entry asks, for the whole share or, if it is a call inside a call, for
// what a host function needs. (A stack that is not the thread's, as of a green thread, tells nothing.)
static size_t stack_needed(const aw_store *store)
{
    return HOST_STACK + (store->entries == 0 ? store->engine->wasm_stack : 0);
}

// An entry that is not like most: true with why it is refused.
static AW_COLD bool store_refuses_rarely(aw_store *store, uintptr_t here, aw_error *error)
{
    // An epoch that passed while nothing ran is no reason to stop, but a wish to interrupt is.
    if (store->engine->interruptible && atomic_exchange(&store->interrupted, false)) {
        aw_error_set(error, AW_ERROR_INTERRUPTED, WT_INTERRUPTED);
        return true;
    }
    if (thread_stack.highest == 0) {
        thread_stack_find();
    }
    if (here < thread_stack.lowest || here > thread_stack.highest ||
        here - thread_stack.lowest >= stack_needed(store)) {
        return false;
    }
    aw_error_set(error, AW_ERROR_TRAP,
                 "call stack exhausted: this thread's stack has %zu KiB left, the call may need %zu KiB "
                 "(threading.stack_size makes more of the one, Engine(max_wasm_stack=…) less of the other)",
                 (size_t)(here - thread_stack.lowest) >> 10, stack_needed(store) >> 10);
    error->trap = AW_TRAP_STACK_EXHAUSTED;
    error->used = stack_needed(store);
    error->allowed = here - thread_stack.lowest;
    return true;
}

// Before each entry: false, or true with why not. *place* is on the stack of the one who enters, who leaves by store_left.
static inline bool store_refuses(aw_store *store, const void *place, aw_error *error)
{
    uintptr_t here = (uintptr_t)place;
    bool quick = here <= thread_stack.highest && here - thread_stack.lowest >= store->quick_above[store->entries > 0];
    if (!quick && store_refuses_rarely(store, here, error)) {
        return true;
    }
    store->entries++;
    return false;
}

static inline void store_left(aw_store *store)
{
    store->entries--;
}

static aw_instance *aw_wasmtime_instance_new(aw_store *store, aw_module *module, const aw_extern *imports,
                                             size_t import_count, aw_error *error)
{
    aw_instance *instance = malloc(sizeof(*instance));
    wasmtime_extern_t *externs = calloc(import_count + 1, sizeof(*externs));
    if (instance == NULL || externs == NULL) {
        free(instance);
        free(externs);
        return wt_out_of_memory(error);
    }
    for (size_t i = 0; i < import_count; i++) {
        extern_to(&imports[i], &externs[i]);
    }
    instance->store = store;
    wasm_trap_t *trap = NULL;
    if (store_refuses(store, &trap, error)) {
        free(instance);
        free(externs);
        return NULL;
    }
    wasmtime_error_t *failure = wt.wasmtime_instance_new(store->context, module->module, externs, import_count,
                                                         &instance->instance, &trap);
    store_left(store);
    free(externs);
    if (failure != NULL || trap != NULL) {
        free(instance);
        instantiation_failed(store, error, failure, trap);
        return NULL;
    }
    return instance;
}

static void aw_wasmtime_instance_delete(aw_instance *instance)
{
    free(instance);
}

static int aw_wasmtime_instance_export(aw_instance *instance, uint32_t index, aw_externkind kind, const char *name,
                                       size_t name_length, aw_extern *out, aw_error *error)
{
    (void)index;
    (void)kind;
    wasmtime_extern_t item;
    if (!wt.wasmtime_instance_export_get(instance->store->context, &instance->instance, name, name_length, &item)) {
        return aw_error_set(error, AW_ERROR_INTERNAL, "the instance has no export of that name");
    }
    if (item.kind == WASMTIME_EXTERN_MEMORY && !wt_memory_met(instance->store, &item.of.memory)) {
        return aw_error_set(error, AW_ERROR_MEMORY, "out of memory");
    }
    return extern_from(instance->store, &item, out, error);
}

// --- function --------------------------------------------------------------------------------------------------------------------------

struct aw_caller {
    wasmtime_caller_t *caller;
    aw_store *store;
};

typedef struct host_env {
    aw_store *store;
    aw_hostfunc callback;
    void *env;
    void (*env_delete)(void *env);
    uint32_t parameter_count, result_count;
    aw_valtype types[];  // only where results are checked
} host_env;

static void host_env_delete(void *data)
{
    host_env *host = data;
    if (host->env_delete != NULL) {
        host->env_delete(host->env);
    }
    free(host);
}

static wasm_trap_t *host_failed(host_env *host, aw_hostresult result, const aw_raw *values)
{
    aw_store *store = host->store;
    if (result == AW_HOST_THREW) {
        wasmtime_exnref_t exception;
        wt.wasmtime_exnref_from_raw(store->context, values[0].ref, &exception);
        wasm_trap_t *trap = wt.wasmtime_context_set_exception(store->context, &exception);
        wt.wasmtime_exnref_unroot(&exception);
        return trap;
    }
    store->host_failed = true;
    return wt.wasmtime_trap_new("host", 4);
}

static wasm_trap_t *host_trampoline(void *data, wasmtime_caller_t *caller, wasmtime_val_raw_t *values, size_t count)
{
    (void)count;
    host_env *host = data;
    aw_caller who = {.caller = caller, .store = host->store};
    aw_hostresult result = host->callback(host->env, &who, (aw_raw *)values);
    return result == AW_HOST_OK ? NULL : host_failed(host, result, (aw_raw *)values);
}

// The way for functions whose results have concrete reference types: Wasmtime checks them.
static wasm_trap_t *host_trampoline_checked(void *data, wasmtime_caller_t *caller, const wasmtime_val_t *args,
                                            size_t nargs, wasmtime_val_t *results, size_t nresults)
{
    host_env *host = data;
    size_t needed = nargs > nresults ? nargs : nresults;
    aw_raw *values = calloc(needed + 1, sizeof(*values));
    if (values == NULL) {
        return wt.wasmtime_trap_new("out of memory", 13);
    }
    for (size_t i = 0; i < nargs; i++) {
        // The arguments stay rooted by Wasmtime; raw references are good until the next allocation.
        aw_raw raw;
        wasmtime_val_t copy = args[i];
        switch (copy.kind) {
        case WASMTIME_EXTERNREF:
            raw.bits[0] = copy.of.externref.store_id
                              ? wt.wasmtime_externref_to_raw(host->store->context, &copy.of.externref)
                              : 0;
            break;
        case WASMTIME_ANYREF:
            raw.bits[0] = copy.of.anyref.store_id ? wt.wasmtime_anyref_to_raw(host->store->context, &copy.of.anyref)
                                                  : 0;
            break;
        case WASMTIME_EXNREF:
            raw.bits[0] = copy.of.exnref.store_id ? wt.wasmtime_exnref_to_raw(host->store->context, &copy.of.exnref)
                                                  : 0;
            break;
        default:
            wt_val_to_raw(host->store, &copy, &raw);
            break;
        }
        values[i] = raw;
    }
    aw_caller who = {.caller = caller, .store = host->store};
    aw_hostresult result = host->callback(host->env, &who, values);
    wasm_trap_t *trap = NULL;
    if (result == AW_HOST_OK) {
        for (size_t i = 0; i < nresults; i++) {
            results[i] = wt_val_from_raw(host->store, host->types[host->parameter_count + i], &values[i]);
        }
    }
    else {
        trap = host_failed(host, result, values);
    }
    free(values);
    return trap;
}

static wasm_functype_t *import_functype(const aw_module *module, uint32_t index)
{
    wasm_importtype_vec_t imports;
    wt.wasmtime_module_imports(module->module, &imports);
    wasm_functype_t *type = NULL;
    if (index < imports.size) {
        const wasm_functype_t *borrowed = wt.wasm_externtype_as_functype_const(
            wt.wasm_importtype_type(imports.data[index]));
        type = borrowed != NULL ? wt.wasm_functype_copy(borrowed) : NULL;
    }
    wt.wasm_importtype_vec_delete(&imports);
    return type;
}

static aw_func *aw_wasmtime_func_new(aw_store *store, const aw_functype *type, const aw_module *module,
                                     uint32_t import_index, aw_hostfunc callback, void *env,
                                     void (*env_delete)(void *env), aw_error *error)
{
    bool concrete = false, concrete_results = false;
    for (uint32_t i = 0; i < type->parameter_count; i++) {
        concrete = concrete || type->parameters[i].concrete;
    }
    for (uint32_t i = 0; i < type->result_count; i++) {
        concrete_results = concrete_results || type->results[i].concrete;
    }
    wasm_functype_t *functype = (concrete || concrete_results) && module != NULL
                                    ? import_functype(module, import_index)
                                    : wt_functype_to(store->engine, type, error);
    if (functype == NULL) {
        if ((concrete || concrete_results) && module != NULL) {
            aw_error_set(error, AW_ERROR_INTERNAL, "the import is no function");
        }
        return NULL;
    }
    size_t type_count = concrete_results ? (size_t)type->parameter_count + type->result_count : 0;
    host_env *host = malloc(sizeof(*host) + type_count * sizeof(aw_valtype));
    aw_func *func = malloc(sizeof(*func));
    if (host == NULL || func == NULL) {
        free(host);
        free(func);
        wt.wasm_functype_delete(functype);
        return wt_out_of_memory(error);
    }
    *host = (host_env){.store = store,
                       .callback = callback,
                       .env = env,
                       .env_delete = env_delete,
                       .parameter_count = type->parameter_count,
                       .result_count = type->result_count};
    *func = (aw_func){.context = store->context, .store = store};
    if (concrete_results) {
        memcpy(host->types, type->parameters, type->parameter_count * sizeof(aw_valtype));
        memcpy(host->types + type->parameter_count, type->results, type->result_count * sizeof(aw_valtype));
        wt.wasmtime_func_new(store->context, functype, host_trampoline_checked, host, host_env_delete, &func->func);
    }
    else {
        wt.wasmtime_func_new_unchecked(store->context, functype, host_trampoline, host, host_env_delete, &func->func);
    }
    wt.wasm_functype_delete(functype);
    return func;
}

static void aw_wasmtime_func_delete(aw_func *func)
{
    free(func);
}

static void aw_wasmtime_func_type(aw_func *func, uint32_t *parameter_count, uint32_t *result_count, aw_valtype *types,
                                  size_t capacity)
{
    wasm_functype_t *type = wt.wasmtime_func_type(func->context, &func->func);
    wt_functype_from(type, parameter_count, result_count, types, capacity);
    wt.wasm_functype_delete(type);
}

static int aw_wasmtime_func_call(aw_func *func, aw_raw *values, size_t count, aw_error *error)
{
    wasm_trap_t *trap = NULL;
    if (store_refuses(func->store, &trap, error)) {
        return -1;
    }
    wasmtime_error_t *failure = wt.wasmtime_func_call_unchecked(func->context, &func->func,
                                                                (wasmtime_val_raw_t *)values, count, &trap);
    store_left(func->store);
    if (failure == NULL && trap == NULL) {
        return 0;
    }
    return wt_call_failed(func->store, error, failure, trap);
}

static int aw_wasmtime_func_call_checked(aw_func *func, aw_raw *values, size_t count, aw_error *error)
{
    (void)count;
    uint32_t parameter_count, result_count;
    aw_wasmtime_func_type(func, &parameter_count, &result_count, NULL, 0);
    size_t total = (size_t)parameter_count + result_count;
    aw_valtype *types = calloc(total + 1, sizeof(*types));
    wasmtime_val_t *vals = calloc(total + 1, sizeof(*vals));
    if (types == NULL || vals == NULL) {
        free(types);
        free(vals);
        return aw_error_set(error, AW_ERROR_MEMORY, "out of memory");
    }
    aw_wasmtime_func_type(func, &parameter_count, &result_count, types, total);
    for (uint32_t i = 0; i < parameter_count; i++) {
        vals[i] = wt_val_from_raw(func->store, types[i], &values[i]);
    }
    wasm_trap_t *trap = NULL;
    wasmtime_error_t *failure = NULL;
    bool refused = store_refuses(func->store, &trap, error);
    if (!refused) {
        failure = wt.wasmtime_func_call(func->context, &func->func, vals, parameter_count, vals + parameter_count,
                                        result_count, &trap);
        store_left(func->store);
    }
    for (uint32_t i = 0; i < parameter_count; i++) {
        wt.wasmtime_val_unroot(&vals[i]);
    }
    int status = refused ? -1 : 0;
    if (failure != NULL || trap != NULL) {
        status = wt_call_failed(func->store, error, failure, trap);
        if (error->kind == AW_ERROR_INTERNAL) {
            error->kind = AW_ERROR_TYPE;
        }
    }
    else if (!refused) {
        for (uint32_t i = 0; i < result_count; i++) {
            wt_val_to_raw(func->store, &vals[parameter_count + i], &values[i]);
        }
    }
    free(types);
    free(vals);
    return status;
}

static aw_func *aw_wasmtime_func_from_raw(aw_store *store, const aw_raw *raw, aw_error *error)
{
    wasmtime_func_t handle;
    wt.wasmtime_func_from_raw(store->context, raw->func, &handle);
    return func_name(store, &handle, error);
}

static int aw_wasmtime_func_to_raw(aw_func *func, aw_raw *raw, aw_error *error)
{
    (void)error;
    raw->bits[0] = raw->bits[1] = 0;
    raw->func = wt.wasmtime_func_to_raw(func->context, &func->func);
    return 0;
}

// --- identity, callers -------------------------------------------------------------------------------------------------------------------------------

static void aw_wasmtime_extern_key(const aw_extern *item, uint64_t key[2])
{
    key[0] = key[1] = 0;
    switch (item->kind) {
    case AW_EXTERN_FUNC:
        key[0] = (uintptr_t)wt.wasmtime_func_to_raw(item->func->context, &item->func->func);
        break;
    case AW_EXTERN_TABLE:
        key[0] = item->table->table.__private1;
        key[1] = item->table->table.__private2;
        break;
    case AW_EXTERN_MEMORY:
        if (item->memory->shared != NULL) {
            key[0] = (uintptr_t)wt.wasmtime_sharedmemory_data(item->memory->shared);
            key[1] = UINT64_MAX;
        }
        else {
            key[0] = item->memory->memory.__private1;
            key[1] = item->memory->memory.__private2;
        }
        break;
    case AW_EXTERN_GLOBAL:
        key[0] = item->global->global.__private1 | (uint64_t)item->global->global.__private2 << 32;
        key[1] = item->global->global.__private3;
        break;
    case AW_EXTERN_TAG:
        key[0] = item->tag->tag.__private1;
        key[1] = item->tag->tag.__private2;
        break;
    }
}

static int aw_wasmtime_caller_export(aw_caller *caller, const char *name, size_t name_length, aw_extern *out,
                                     aw_error *error)
{
    wasmtime_extern_t item;
    if (!wt.wasmtime_caller_export_get(caller->caller, name, name_length, &item)) {
        return 0;
    }
    return extern_from(caller->store, &item, out, error) < 0 ? -1 : 1;
}

static bool aw_wasmtime_caller_memory(aw_caller *caller, uint8_t **base, size_t *bytes)
{
    wasmtime_extern_t item;
    if (!wt.wasmtime_caller_export_get(caller->caller, "memory", 6, &item)) {
        return false;
    }
    bool found = true;
    if (item.kind == WASMTIME_EXTERN_MEMORY) {
        *base = wt.wasmtime_memory_data(caller->store->context, &item.of.memory);
        *bytes = wt.wasmtime_memory_data_size(caller->store->context, &item.of.memory);
    }
    else if (item.kind == WASMTIME_EXTERN_SHAREDMEMORY) {
        // The caller's instance keeps the memory, and it does not move.
        *base = wt.wasmtime_sharedmemory_data(item.of.sharedmemory);
        *bytes = wt.wasmtime_sharedmemory_data_size(item.of.sharedmemory);
        wt.wasmtime_extern_delete(&item);
    }
    else {
        wt.wasmtime_extern_delete(&item);
        found = false;
    }
    return found;
}

// --- the interface ---------------------------------------------------------------------------------------------------------------------------------------

#define SLOT(name) .name = aw_wasmtime_##name

const aw_engine_api aw_wasmtime_api = {
    .name = "wasmtime",
    .description = "Wasmtime's JIT compiler: native speed and all of WebAssembly 3.0",
    .needs_library = true,
    SLOT(probe),
    SLOT(engine_new),
    SLOT(engine_delete),
    SLOT(engine_capabilities),
    SLOT(module_new),
    SLOT(module_validate),
    SLOT(module_serialize),
    SLOT(module_deserialize),
    SLOT(module_deserialize_file),
    SLOT(build),
    SLOT(module_delete),
    SLOT(wat2wasm),
    SLOT(store_new),
    SLOT(store_delete),
    SLOT(store_set_fuel),
    SLOT(store_get_fuel),
    SLOT(store_usage),
    SLOT(store_interrupt),
    SLOT(store_uninterrupt),
    SLOT(store_wake),
    SLOT(store_gc),
    SLOT(instance_new),
    SLOT(instance_delete),
    SLOT(instance_export),
    SLOT(func_new),
    SLOT(func_delete),
    SLOT(func_type),
    SLOT(func_call),
    SLOT(func_call_checked),
    SLOT(func_from_raw),
    SLOT(func_to_raw),
    SLOT(externref_new),
    SLOT(externref_foreign),
    SLOT(ref_from_raw),
    SLOT(ref_to_raw),
    SLOT(ref_clone),
    SLOT(ref_drop),
    SLOT(ref_heaptype),
    SLOT(ref_i31),
    SLOT(i31_new),
    SLOT(ref_same),
    SLOT(tag_new),
    SLOT(tag_delete),
    SLOT(tag_type),
    SLOT(exn_new),
    SLOT(exn_tag),
    SLOT(exn_field),
    SLOT(memory_new),
    SLOT(memory_delete),
    SLOT(memory_type),
    SLOT(memory_data),
    SLOT(memory_grow),
    SLOT(table_new),
    SLOT(table_delete),
    SLOT(table_type),
    SLOT(table_size),
    SLOT(table_get),
    SLOT(table_set),
    SLOT(table_grow),
    SLOT(global_new),
    SLOT(global_delete),
    SLOT(global_type),
    SLOT(global_get),
    SLOT(global_set),
    SLOT(extern_key),
    SLOT(caller_export),
    SLOT(caller_memory),
};

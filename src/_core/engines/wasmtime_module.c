// SPDX-License-Identifier: Apache-2.0
// Engines and modules: settings, compiling, the compiled form, text.

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "handlers.h"
#include "wasmtime.h"

// --- engine -------------------------------------------------------------------------------------------------------------------

#define ALWAYS                                                                                                     \
    (AW_CAP(SIMD) | AW_CAP(RELAXED_SIMD) | AW_CAP(THREADS) | AW_CAP(TAIL_CALL) | AW_CAP(EXCEPTIONS) | AW_CAP(GC) | \
     AW_CAP(FUNCTION_REFERENCES) | AW_CAP(MEMORY64) | AW_CAP(MULTI_MEMORY) | AW_CAP(EXTENDED_CONST) |              \
     AW_CAP(MULTI_VALUE) | AW_CAP(REFERENCE_TYPES) | AW_CAP(BULK_MEMORY) | AW_CAP(SERIALIZE) | AW_CAP(WAT) |       \
     AW_CAP(IMPORTED_MEMORY) | AW_CAP(IMPORTED_TABLE) | AW_CAP(IMPORTED_GLOBAL) | AW_CAP_STABLE_MEMORY)

int aw_wasmtime_probe(const char *library, const char **version, uint64_t *capabilities, aw_error *error)
{
    if (wt_library_load(library, error) < 0) {
        return -1;
    }
    *version = wt_library_version;
    *capabilities = ALWAYS | AW_CAP(FUEL) | AW_CAP(INTERRUPT) | AW_CAP(POOLING);
    return 0;
}

// Which features each one needs: switching one off switches those off that build on it.
static uint64_t disabled_closure(uint64_t disabled)
{
    static const struct {
        uint64_t base, above;
    } builds_on[] = {
        {AW_CAP(SIMD), AW_CAP(RELAXED_SIMD)},
        {AW_CAP(BULK_MEMORY), AW_CAP(REFERENCE_TYPES)},
        {AW_CAP(REFERENCE_TYPES), AW_CAP(FUNCTION_REFERENCES) | AW_CAP(EXCEPTIONS)},
        {AW_CAP(FUNCTION_REFERENCES), AW_CAP(GC)},
        {AW_CAP(GC), AW_CAP(EXCEPTIONS)},
    };
    for (int round = 0; round < 4; round++) {
        for (size_t i = 0; i < sizeof(builds_on) / sizeof(builds_on[0]); i++) {
            if (disabled & builds_on[i].base) {
                disabled |= builds_on[i].above;
            }
        }
    }
    return disabled;
}

// A pool is address space: of a size that Wasmtime asks for with a panic if it cannot be had. So it is tried first.
static int pool_check(const aw_config *config, aw_error *error)
{
    const size_t instance = (size_t)5 << 30;  // a memory's reservation of 4 GiB, its guards, tables
    size_t size = config->pooling * instance;
    void *space = config->pooling <= POOL_MAXIMUM
                      ? mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
                      : MAP_FAILED;
    if (space == MAP_FAILED) {
        return aw_error_set(error, AW_ERROR_UNSUPPORTED,
                            "pooling: there is no address space for %" PRIu32 " instances of 5 GiB each (at most %d)",
                            config->pooling, POOL_MAXIMUM);
    }
    munmap(space, size);
    return 0;
}

// What Wasmtime answers with a panic instead of an error.
static int config_check(const aw_config *config, aw_error *error)
{
    enum { STACK_MAXIMUM = 2 << 20 };  // the size of its stacks for asynchronous calls, which bounds all others
    if (config->max_wasm_stack > STACK_MAXIMUM) {
        return aw_error_set(error, AW_ERROR_UNSUPPORTED, "max_wasm_stack: wasmtime takes at most %d bytes, got %zu",
                            STACK_MAXIMUM, config->max_wasm_stack);
    }
    if (config->pooling > 0 && pool_check(config, error) < 0) {
        return -1;
    }
    // Components need the first two; its C API has no setting for the third.
    if (config->disabled & (AW_CAP(BULK_MEMORY) | AW_CAP(REFERENCE_TYPES) | AW_CAP(EXTENDED_CONST))) {
        return aw_error_set(error, AW_ERROR_UNSUPPORTED,
                            "disable: wasmtime cannot do without bulk_memory, reference_types and extended_const");
    }
    return 0;
}

static void pool_set(wasm_config_t *settings, uint32_t instances)
{
    wasmtime_pooling_allocation_config_t *pool = wt.wasmtime_pooling_allocation_config_new();
    wt.wasmtime_pooling_allocation_config_total_core_instances_set(pool, instances);
    wt.wasmtime_pooling_allocation_config_total_memories_set(pool, instances);
    wt.wasmtime_pooling_allocation_config_total_gc_heaps_set(pool, instances);
    wt.wasmtime_pooling_allocation_config_max_tables_per_module_set(pool, POOL_TABLES);
    wt.wasmtime_pooling_allocation_config_total_tables_set(pool, instances * POOL_TABLES);
    wt.wasmtime_pooling_allocation_strategy_set(settings, pool);
    wt.wasmtime_pooling_allocation_config_delete(pool);
}

static size_t wasm_stack_of(const aw_config *config)
{
    return config->max_wasm_stack != 0 ? config->max_wasm_stack : DEFAULT_WASM_STACK;
}

// The library's engine of checked settings, or NULL.
static wasm_engine_t *engine_make(const aw_config *config, bool parallel)
{
    uint64_t disabled = disabled_closure(config->disabled);
    wasm_config_t *settings = wt.wasm_config_new();
    static const struct {
        uint64_t capability;
        size_t setter;  // offset in the library
    } features[] = {
#define FEATURE(capability, name) {AW_CAP(capability), offsetof(aw_wasmtime_library, wasmtime_config_wasm_##name##_set)}
        FEATURE(SIMD, simd),
        FEATURE(RELAXED_SIMD, relaxed_simd),
        FEATURE(THREADS, threads),
        FEATURE(TAIL_CALL, tail_call),
        FEATURE(EXCEPTIONS, exceptions),
        FEATURE(GC, gc),
        FEATURE(FUNCTION_REFERENCES, function_references),
        FEATURE(MEMORY64, memory64),
        FEATURE(MULTI_MEMORY, multi_memory),
        FEATURE(MULTI_VALUE, multi_value),
        FEATURE(REFERENCE_TYPES, reference_types),
        FEATURE(BULK_MEMORY, bulk_memory),
#undef FEATURE
    };
    for (size_t i = 0; i < sizeof(features) / sizeof(features[0]); i++) {
        void (*set)(wasm_config_t *, bool);
        memcpy(&set, (const char *)&wt + features[i].setter, sizeof(set));
        set(settings, (disabled & features[i].capability) == 0);
    }
    wt.wasmtime_config_shared_memory_set(settings, (disabled & AW_CAP(THREADS)) == 0);
    wt.wasmtime_config_consume_fuel_set(settings, config->fuel);
    wt.wasmtime_config_epoch_interruption_set(settings, config->interruptible);
    wt.wasmtime_config_debug_info_set(settings, config->debug_info);
    wt.wasmtime_config_parallel_compilation_set(settings, parallel);
    wt.wasmtime_config_cranelift_nan_canonicalization_set(settings, config->nan_canonicalization);
    if (config->optimize != 0) {
        wt.wasmtime_config_cranelift_opt_level_set(settings, (uint8_t)(config->optimize - 1));
    }
    wt.wasmtime_config_memory_may_move_set(settings, false);
    wt.wasmtime_config_max_wasm_stack_set(settings, wasm_stack_of(config));
    if (config->pooling > 0) {
        pool_set(settings, config->pooling);
    }
    return wt.wasm_engine_new_with_config(settings);
}

aw_engine *aw_wasmtime_engine_new(const aw_config *config, const char *library, aw_error *error)
{
    if (config_check(config, error) < 0 || wt_library_load(library, error) < 0) {
        return NULL;
    }
    aw_engine *engine = calloc(1, sizeof(*engine));
    if (engine == NULL) {
        return wt_out_of_memory(error);
    }
    handlers_arrange();  // faulthandler may have come since then by a way that we do not watch
    engine->engine = engine_make(config, config->parallel_compilation == 0);
    if (engine->engine == NULL) {
        free(engine);
        aw_error_set(error, AW_ERROR_INTERNAL, "Wasmtime refuses these settings");
        return NULL;
    }
    engine->config = *config;
    engine->fuel = config->fuel;
    engine->wasm_stack = wasm_stack_of(config);
    engine->interruptible = config->interruptible;
    engine->capabilities = (ALWAYS & ~disabled_closure(config->disabled)) | (config->fuel ? AW_CAP(FUEL) : 0) |
                           (config->interruptible ? AW_CAP(INTERRUPT) : 0) |
                           (config->pooling > 0 ? AW_CAP(POOLING) : 0);
    return engine;
}

void aw_wasmtime_engine_delete(aw_engine *engine)
{
    wt.wasm_engine_delete(engine->engine);
    free(engine);
}

uint64_t aw_wasmtime_engine_capabilities(const aw_engine *engine)
{
    return engine->capabilities;
}

// --- module ------------------------------------------------------------------------------------------------------------------

static const struct {
    const char *words;
    uint64_t capability;
} needs[] = {
    // What Wasmtime says of a feature that is switched off.
    {"relaxed SIMD support is not enabled", AW_CAP(RELAXED_SIMD)},
    {"SIMD support is not enabled", AW_CAP(SIMD)},
    {"threads support is not enabled", AW_CAP(THREADS)},
    {"threads must be enabled", AW_CAP(THREADS)},
    {"tail calls support is not enabled", AW_CAP(TAIL_CALL)},
    {"exceptions support is not enabled", AW_CAP(EXCEPTIONS)},
    {"exceptions proposal not enabled", AW_CAP(EXCEPTIONS)},
    {"gc support is not enabled", AW_CAP(GC)},
    {"gc proposal to be enabled", AW_CAP(GC)},
    {"without the gc feature", AW_CAP(GC)},
    {"function references support is not enabled", AW_CAP(FUNCTION_REFERENCES)},
    {"function references required", AW_CAP(FUNCTION_REFERENCES)},
    {"memory64 must be enabled", AW_CAP(MEMORY64)},
    {"multiple memories", AW_CAP(MULTI_MEMORY)},
    {"multi-value feature is not enabled", AW_CAP(MULTI_VALUE)},
    {"multi-value", AW_CAP(MULTI_VALUE)},
    {"reference types support is not enabled", AW_CAP(REFERENCE_TYPES)},
    {"bulk memory support is not enabled", AW_CAP(BULK_MEMORY)},
};

static void compile_failed(const aw_engine *engine, aw_error *error, wasmtime_error_t *failure)
{
    wt_error_take(error, AW_ERROR_COMPILE, failure);
    for (size_t i = 0; i < sizeof(needs) / sizeof(needs[0]); i++) {
        if ((engine->capabilities & needs[i].capability) == 0 && strstr(error->message, needs[i].words) != NULL) {
            error->kind = AW_ERROR_UNSUPPORTED;
            error->capability = needs[i].capability;
            return;
        }
    }
}

static aw_module *module_wrap(wasmtime_module_t *handle, size_t length, aw_error *error)
{
    aw_module *module = malloc(sizeof(*module));
    if (module == NULL) {
        wt.wasmtime_module_delete(handle);
        return wt_out_of_memory(error);
    }
    module->module = handle;
    module->length = length;
    return module;
}

// Wasmtime compiles on a pool of threads of the process. A fork does not take them along, and the child would wait for them for
// ever: there a twin of the engine compiles on the calling thread, and the engine loads what that made.
static wasm_engine_t *sequential_twin(const aw_engine *engine)
{
    static _Atomic pid_t pool_owner;  // 0 until someone compiles
    pid_t nobody = 0, here = getpid();
    if (engine->config.parallel_compilation != 0 || atomic_compare_exchange_strong(&pool_owner, &nobody, here) ||
        nobody == here) {
        return NULL;
    }
    return engine_make(&engine->config, false);
}

static wasmtime_error_t *compile(aw_engine *engine, const uint8_t *bytes, size_t length, wasmtime_module_t **handle)
{
    wasm_engine_t *twin = sequential_twin(engine);
    if (twin == NULL) {
        return wt.wasmtime_module_new(engine->engine, bytes, length, handle);
    }
    wasm_byte_vec_t code = {0, NULL};
    wasmtime_module_t *compiled;
    wasmtime_error_t *failure = wt.wasmtime_module_new(twin, bytes, length, &compiled);
    if (failure == NULL) {
        failure = wt.wasmtime_module_serialize(compiled, &code);
        wt.wasmtime_module_delete(compiled);
    }
    if (failure == NULL) {
        failure = wt.wasmtime_module_deserialize(engine->engine, (const uint8_t *)code.data, code.size, handle);
        wt.wasm_byte_vec_delete(&code);
    }
    wt.wasm_engine_delete(twin);
    return failure;
}

aw_module *aw_wasmtime_module_new(aw_engine *engine, const uint8_t *bytes, size_t length, aw_error *error)
{
    wasmtime_module_t *handle;
    wasmtime_error_t *failure = compile(engine, bytes, length, &handle);
    if (failure != NULL) {
        compile_failed(engine, error, failure);
        return NULL;
    }
    return module_wrap(handle, 0, error);
}

int aw_wasmtime_module_validate(aw_engine *engine, const uint8_t *bytes, size_t length, aw_error *error)
{
    wasm_engine_t *twin = sequential_twin(engine);
    wasmtime_error_t *failure = wt.wasmtime_module_validate(twin != NULL ? twin : engine->engine, bytes, length);
    if (twin != NULL) {
        wt.wasm_engine_delete(twin);
    }
    if (failure != NULL) {
        compile_failed(engine, error, failure);
        return -1;
    }
    return 0;
}

// A malloc'ed copy of a vector of the library's, which goes.
static int bytes_take(wasm_byte_vec_t *vector, uint8_t **bytes, size_t *length, aw_error *error)
{
    *bytes = malloc(vector->size > 0 ? vector->size : 1);
    *length = vector->size;
    if (*bytes != NULL) {
        memcpy(*bytes, vector->data, vector->size);
    }
    wt.wasm_byte_vec_delete(vector);
    return *bytes != NULL ? 0 : aw_error_set(error, AW_ERROR_MEMORY, "out of memory");
}

int aw_wasmtime_module_serialize(const aw_module *module, uint8_t **bytes, size_t *length, aw_error *error)
{
    wasm_byte_vec_t vector = {0, NULL};
    wasmtime_error_t *failure = wt.wasmtime_module_serialize(module->module, &vector);
    if (failure != NULL) {
        return wt_error_take(error, AW_ERROR_INTERNAL, failure);
    }
    int status = bytes_take(&vector, bytes, length, error);
    if (module->length > 0 && *length > module->length) {
        *length = module->length;
    }
    return status;
}

aw_module *aw_wasmtime_module_deserialize(aw_engine *engine, const uint8_t *bytes, size_t length, aw_error *error)
{
    wasmtime_module_t *handle;
    wasmtime_error_t *failure = wt.wasmtime_module_deserialize(engine->engine, bytes, length, &handle);
    if (failure != NULL) {
        wt_error_take(error, AW_ERROR_COMPILE, failure);
        return NULL;
    }
    return module_wrap(handle, 0, error);
}

// Mapped, the code costs neither time nor memory that it does not use. That needs /proc, since the library takes a path, and a file
// system that code may be run from; elsewhere it is copied.
aw_module *aw_wasmtime_module_deserialize_file(aw_engine *engine, int descriptor, size_t length, aw_error *error)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/self/fd/%d", descriptor);
    wasmtime_module_t *handle;
    wasmtime_error_t *failure = wt.wasmtime_module_deserialize_file(engine->engine, path, &handle);
    if (failure == NULL) {
        return module_wrap(handle, length, error);
    }
    wt_error_take(error, AW_ERROR_COMPILE, failure);
    void *bytes = mmap(NULL, length, PROT_READ, MAP_PRIVATE, descriptor, 0);
    if (bytes == MAP_FAILED) {
        return NULL;
    }
    aw_error_clear(error);
    aw_module *module = aw_wasmtime_module_deserialize(engine, bytes, length, error);
    munmap(bytes, length);
    return module;
}

const char *aw_wasmtime_build(void)
{
    return wt_library_build;
}

void aw_wasmtime_module_delete(aw_module *module)
{
    wt.wasmtime_module_delete(module->module);
    free(module);
}

int aw_wasmtime_wat2wasm(const char *library, const char *text, size_t length, uint8_t **bytes, size_t *size,
                         aw_error *error)
{
    if (wt_library_load(library, error) < 0) {
        return -1;
    }
    wasm_byte_vec_t vector = {0, NULL};
    wasmtime_error_t *failure = wt.wasmtime_wat2wasm(text, length, &vector);
    return failure != NULL ? wt_error_take(error, AW_ERROR_COMPILE, failure) : bytes_take(&vector, bytes, size, error);
}

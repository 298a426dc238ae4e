// SPDX-License-Identifier: Apache-2.0
// The engine "fake", for tests: it executes nothing, and everything fails on request.
//
// The environment variable ANYWASM_FAKE_FAIL says what fails, as "call:kind" or "call:kind:skip": the name of a function of
// the interface or "*" for any that can fail, the kind of error by its name in kinds[], and how many calls pass first (the count
// begins anew when the variable changes). It is read at each call, so a test sets it around the one line that it is about.
//
// A call of an exported function returns its parameters. If the export's name begins with "import", it calls the module's first
// imported function with them instead. Exported memories have one page, tables ten nulls, globals zero.
//
// It keeps to the contract as strictly as it can: names are blocks of their own, so that a sanitizer sees one that is not
// deleted or used afterwards; memories move whenever they grow.

#include "engine.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PAGE = 65536, MEMORY_MAXIMUM = 16, TABLE_SIZE = 10, VALTYPES_MAXIMUM = 16 };

// --- what there is ------------------------------------------------------------------------------------

struct aw_engine {
    aw_config config;
};

struct aw_module {
    size_t length;
    uint8_t bytes[];
};

// Something that lives in a store, and as long as it.
typedef struct item {
    struct item *next;  // in the store, which owns it
    aw_store *store;
    aw_externkind kind;
    aw_hostfunc callback;  // of a host function; else `target` is called, or nothing
    void *env;
    void (*env_delete)(void *env);
    struct item *target;
    aw_functype functype;
    aw_valtype valtypes[VALTYPES_MAXIMUM];  // parameters, then results
    aw_memorytype memorytype;
    uint8_t *bytes;  // owned
    aw_tabletype tabletype;
    aw_globaltype globaltype;
    aw_raw *values;  // owned: a table's elements, or a global's value
    size_t size;     // pages or elements
} item;

// An externref: alive until its store dies.
typedef struct box {
    struct box *next;
    aw_foreign *foreign;
} box;

struct aw_store {
    aw_host host;
    aw_storelimits limits;
    item *items;
    box *boxes;
    uint64_t fuel;
    bool counts_fuel;
    atomic_bool interrupted;
};

struct aw_instance {
    aw_store *store;
    item *import;  // the first imported function, or NULL
    struct exported {
        struct exported *next;
        uint32_t index;
        item *item;
    } *exports;
};

// A name: what a handle points to.
#define NAME(type)  \
    struct type {   \
        item *item; \
    };
NAME(aw_func)
NAME(aw_memory)
NAME(aw_table)
NAME(aw_global)
#undef NAME

struct aw_caller {
    aw_instance *instance;
};

// --- failing on request --------------------------------------------------------------------------------

static const struct {
    const char *name;
    aw_errorkind kind;
} kinds[] = {
    {"compile", AW_ERROR_COMPILE}, {"link", AW_ERROR_LINK},
    {"trap", AW_ERROR_TRAP},       {"fuel", AW_ERROR_FUEL},
    {"limit", AW_ERROR_LIMIT},     {"interrupted", AW_ERROR_INTERRUPTED},
    {"memory", AW_ERROR_MEMORY},   {"type", AW_ERROR_TYPE},
    {"load", AW_ERROR_LOAD},       {"unsupported", AW_ERROR_UNSUPPORTED},
    {"host", AW_ERROR_HOST},       {"internal", AW_ERROR_INTERNAL},
};

// Is *call* to fail now? Then *error* is filled, and the result -1.
static int fail(const char *call, aw_error *error)
{
    static char current[64];
    static unsigned long passed;
    const char *wish = getenv("ANYWASM_FAKE_FAIL");
    if (wish == NULL || strlen(wish) >= sizeof(current)) {
        current[0] = '\0';
        return 0;
    }
    if (strcmp(wish, current) != 0) {
        strcpy(current, wish);
        passed = 0;
    }
    const char *kind = strchr(wish, ':');
    if (kind == NULL || (wish[0] != '*' &&
                         (strlen(call) != (size_t)(kind - wish) || strncmp(call, wish, (size_t)(kind - wish)) != 0))) {
        return 0;
    }
    kind++;
    size_t length = strcspn(kind, ":");
    if (kind[length] == ':' && passed++ < strtoul(kind + length + 1, NULL, 10)) {
        return 0;
    }
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (strlen(kinds[i].name) == length && strncmp(kinds[i].name, kind, length) == 0) {
            aw_error_set(error, kinds[i].kind, "%s failed on request", call);
            error->trap = AW_TRAP_UNREACHABLE;
            error->capability = AW_CAP(THREADS);
            return -1;
        }
    }
    return aw_error_set(error, AW_ERROR_INTERNAL, "ANYWASM_FAKE_FAIL: no kind of error is called %.*s", (int)length,
                        kind);
}

static int out_of_memory(aw_error *error)
{
    return aw_error_set(error, AW_ERROR_MEMORY, "out of memory");
}

// Two frames, of which one tells everything and the other nothing but its index.
static void add_frames(aw_error *error, aw_instance *instance)
{
    aw_frame *frames = calloc(2, sizeof(*frames));
    if (frames != NULL) {
        frames[0] = (aw_frame){strdup("module"), strdup("inner"), instance, 1, 42};
        frames[1] = (aw_frame){NULL, NULL, NULL, 2, UINT64_MAX};
        error->frames = frames;
        error->frame_count = 2;
    }
}

// --- engine ----------------------------------------------------------------------------------------------

#define CAPABILITIES                                                                                               \
    (AW_CAP(SIMD) | AW_CAP(EXTENDED_CONST) | AW_CAP(MULTI_VALUE) | AW_CAP(REFERENCE_TYPES) | AW_CAP(BULK_MEMORY) | \
     AW_CAP(INTERRUPT) | AW_CAP(FUEL) | AW_CAP(SERIALIZE) | AW_CAP(IMPORTED_MEMORY) | AW_CAP(IMPORTED_TABLE) |     \
     AW_CAP(IMPORTED_GLOBAL))

static int probe(const char *library, const char **version, uint64_t *capabilities, aw_error *error)
{
    (void)library;
    if (fail("probe", error) < 0) {
        return -1;
    }
    *version = "1";
    *capabilities = CAPABILITIES;
    return 0;
}

static aw_engine *engine_new(const aw_config *config, const char *library, aw_error *error)
{
    (void)library;
    if (fail("engine_new", error) < 0) {
        return NULL;
    }
    aw_engine *engine = malloc(sizeof(*engine));
    if (engine == NULL) {
        out_of_memory(error);
        return NULL;
    }
    engine->config = *config;
    return engine;
}

static void engine_delete(aw_engine *engine)
{
    free(engine);
}

static uint64_t engine_capabilities(const aw_engine *engine)
{
    uint64_t off = engine->config.disabled;
    off |= engine->config.fuel ? 0 : AW_CAP(FUEL);
    off |= engine->config.interruptible ? 0 : AW_CAP(INTERRUPT);
    return CAPABILITIES & ~off;
}

// --- module ------------------------------------------------------------------------------------------------

static int check_bytes(const uint8_t *bytes, size_t length, aw_error *error)
{
    if (length < 8 || memcmp(bytes, "\0asm\1\0\0", 8) != 0) {
        return aw_error_set(error, AW_ERROR_COMPILE, "magic number not found");
    }
    return 0;
}

static aw_module *module_from(const uint8_t *bytes, size_t length, aw_error *error)
{
    aw_module *module = malloc(sizeof(*module) + length);
    if (module == NULL) {
        out_of_memory(error);
        return NULL;
    }
    module->length = length;
    memcpy(module->bytes, bytes, length);
    return module;
}

static aw_module *module_new(aw_engine *engine, const uint8_t *bytes, size_t length, aw_error *error)
{
    (void)engine;
    if (fail("module_new", error) < 0 || check_bytes(bytes, length, error) < 0) {
        return NULL;
    }
    return module_from(bytes, length, error);
}

static int module_validate(aw_engine *engine, const uint8_t *bytes, size_t length, aw_error *error)
{
    (void)engine;
    return fail("module_validate", error) < 0 ? -1 : check_bytes(bytes, length, error);
}

static int module_serialize(const aw_module *module, uint8_t **bytes, size_t *length, aw_error *error)
{
    if (fail("module_serialize", error) < 0) {
        return -1;
    }
    *bytes = malloc(module->length);
    if (*bytes == NULL) {
        return out_of_memory(error);
    }
    memcpy(*bytes, module->bytes, module->length);
    *length = module->length;
    return 0;
}

static aw_module *module_deserialize(aw_engine *engine, const uint8_t *bytes, size_t length, aw_error *error)
{
    (void)engine;
    return fail("module_deserialize", error) < 0 ? NULL : module_from(bytes, length, error);
}

static aw_module *module_deserialize_file(aw_engine *engine, int descriptor, size_t length, aw_error *error)
{
    (void)engine;
    if (fail("module_deserialize_file", error) < 0) {
        return NULL;
    }
    aw_module *module = malloc(sizeof(*module) + length);
    if (module == NULL) {
        out_of_memory(error);
        return NULL;
    }
    module->length = length;
    if (pread(descriptor, module->bytes, length, 0) != (ssize_t)length) {
        free(module);
        aw_error_set(error, AW_ERROR_COMPILE, "the file is shorter");
        return NULL;
    }
    return module;
}

static const char *build(void)
{
    return "for tests";
}

static void module_delete(aw_module *module)
{
    free(module);
}

// --- store -----------------------------------------------------------------------------------------------------

static aw_store *store_new(aw_engine *engine, const aw_host *host, const aw_storelimits *limits, aw_error *error)
{
    if (fail("store_new", error) < 0) {
        return NULL;
    }
    aw_store *store = calloc(1, sizeof(*store));
    if (store == NULL) {
        out_of_memory(error);
        return NULL;
    }
    store->host = *host;
    store->limits = *limits;
    store->counts_fuel = engine->config.fuel;
    return store;
}

static void store_delete(aw_store *store)
{
    for (item *it = store->items, *next; it != NULL; it = next) {
        next = it->next;
        if (it->env_delete != NULL) {
            it->env_delete(it->env);
        }
        free(it->bytes);
        free(it->values);
        free(it);
    }
    for (box *it = store->boxes, *next; it != NULL; it = next) {
        next = it->next;
        store->host.foreign_drop(store->host.data, it->foreign);
        free(it);
    }
    free(store);
}

static void store_usage(aw_store *store, aw_usage *out)
{
    (void)store;
    *out = (aw_usage){0};
}

static int store_set_fuel(aw_store *store, uint64_t fuel, aw_error *error)
{
    if (fail("store_set_fuel", error) < 0) {
        return -1;
    }
    store->fuel = fuel;
    return 0;
}

static int store_get_fuel(aw_store *store, uint64_t *fuel, aw_error *error)
{
    if (fail("store_get_fuel", error) < 0) {
        return -1;
    }
    *fuel = store->fuel;
    return 0;
}

static void store_interrupt(aw_store *store)
{
    store->interrupted = true;
}

static void store_uninterrupt(aw_store *store)
{
    store->interrupted = false;
}

static int store_gc(aw_store *store, aw_error *error)
{
    (void)store;
    return fail("store_gc", error);
}

// A new item; with *pages* of memory, or *count* values.
static item *item_new(aw_store *store, aw_externkind kind, size_t pages, size_t count, aw_error *error)
{
    item *it = calloc(1, sizeof(*it));
    if (it == NULL) {
        out_of_memory(error);
        return NULL;
    }
    it->store = store;
    it->kind = kind;
    it->size = kind == AW_EXTERN_MEMORY ? pages : count;
    it->bytes = kind == AW_EXTERN_MEMORY ? calloc(pages + 1, PAGE) : NULL;
    it->values = count > 0 ? calloc(count, sizeof(aw_raw)) : NULL;
    if ((kind == AW_EXTERN_MEMORY && it->bytes == NULL) || (count > 0 && it->values == NULL)) {
        free(it->bytes);
        free(it->values);
        free(it);
        out_of_memory(error);
        return NULL;
    }
    it->next = store->items;
    store->items = it;
    return it;
}

// A name for *it*: NULL if *it* is, or without memory.
static void *name_new(item *it, aw_error *error)
{
    aw_func *name = it != NULL ? malloc(sizeof(*name)) : NULL;  // all names look alike
    if (name != NULL) {
        name->item = it;
    }
    else if (it != NULL) {
        out_of_memory(error);
    }
    return name;
}

// --- instance ------------------------------------------------------------------------------------------------------

static aw_instance *instance_new(aw_store *store, aw_module *module, const aw_extern *imports, size_t import_count,
                                 aw_error *error)
{
    (void)module;
    if (fail("instance_new", error) < 0) {
        return NULL;
    }
    aw_instance *instance = calloc(1, sizeof(*instance));
    if (instance == NULL) {
        out_of_memory(error);
        return NULL;
    }
    instance->store = store;
    for (size_t i = 0; i < import_count && instance->import == NULL; i++) {
        if (imports[i].kind == AW_EXTERN_FUNC) {
            instance->import = imports[i].func->item;
        }
    }
    return instance;
}

static void instance_delete(aw_instance *instance)
{
    for (struct exported *it = instance->exports, *next; it != NULL; it = next) {
        next = it->next;
        free(it);
    }
    free(instance);
}

static int instance_export(aw_instance *instance, uint32_t index, aw_externkind kind, const char *name,
                           size_t name_length, aw_extern *out, aw_error *error)
{
    if (fail("instance_export", error) < 0) {
        return -1;
    }
    struct exported *found = instance->exports;
    while (found != NULL && found->index != index) {
        found = found->next;
    }
    if (found == NULL) {
        if (kind == AW_EXTERN_TAG) {
            return aw_error_set(error, AW_ERROR_UNSUPPORTED, "the fake engine has no tags");
        }
        found = calloc(1, sizeof(*found));
        if (found == NULL) {
            return out_of_memory(error);
        }
        size_t count = kind == AW_EXTERN_TABLE ? TABLE_SIZE : kind == AW_EXTERN_GLOBAL ? 1 : 0;
        found->item = item_new(instance->store, kind, 1, count, error);
        if (found->item == NULL) {
            free(found);
            return -1;
        }
        found->item->memorytype.limits = (aw_limits){.min = 1, .max = MEMORY_MAXIMUM, .has_max = true};
        found->item->tabletype.element = (aw_valtype){AW_REF, AW_HEAP_EXTERN, true, false};
        found->item->tabletype.limits.min = TABLE_SIZE;
        found->item->globaltype = (aw_globaltype){.value = {.kind = AW_I32}, .is_mutable = true};
        if (name_length >= 6 && memcmp(name, "import", 6) == 0) {
            found->item->target = instance->import;
        }
        found->index = index;
        found->next = instance->exports;
        instance->exports = found;
    }
    out->kind = kind;
    out->func = name_new(found->item, error);
    return out->func != NULL ? 0 : -1;
}

// --- function --------------------------------------------------------------------------------------------------------

static aw_func *func_new(aw_store *store, const aw_functype *type, const aw_module *module, uint32_t import_index,
                         aw_hostfunc callback, void *env, void (*env_delete)(void *env), aw_error *error)
{
    (void)module;
    (void)import_index;
    if (fail("func_new", error) < 0) {
        return NULL;
    }
    if (type->parameter_count + type->result_count > VALTYPES_MAXIMUM) {
        aw_error_set(error, AW_ERROR_UNSUPPORTED, "the fake engine has no functions of so many values");
        return NULL;
    }
    item *it = item_new(store, AW_EXTERN_FUNC, 0, 0, error);
    aw_func *func = name_new(it, error);
    if (func == NULL) {
        return NULL;
    }
    for (uint32_t i = 0; i < type->parameter_count; i++) {
        it->valtypes[i] = type->parameters[i];
    }
    for (uint32_t i = 0; i < type->result_count; i++) {
        it->valtypes[type->parameter_count + i] = type->results[i];
    }
    it->functype = *type;
    it->callback = callback;
    it->env = env;
    it->env_delete = env_delete;
    return func;
}

static void func_delete(aw_func *func)
{
    free(func);
}

static void func_type(aw_func *func, uint32_t *parameter_count, uint32_t *result_count, aw_valtype *types,
                      size_t capacity)
{
    const item *it = func->item;
    *parameter_count = it->functype.parameter_count;
    *result_count = it->functype.result_count;
    for (size_t i = 0; i < capacity && i < *parameter_count + *result_count; i++) {
        types[i] = it->valtypes[i];
    }
}

static int func_call(aw_func *func, aw_raw *values, size_t count, aw_error *error)
{
    (void)count;
    aw_store *store = func->item->store;
    aw_instance instance = {.store = store};
    if (fail("func_call", error) < 0) {
        if (error->kind == AW_ERROR_TRAP) {
            add_frames(error, NULL);
        }
        return -1;
    }
    if (atomic_exchange(&store->interrupted, false)) {
        return aw_error_set(error, AW_ERROR_INTERRUPTED, "interrupted");
    }
    if (store->counts_fuel && store->fuel-- == 0) {
        store->fuel = 0;
        return aw_error_set(error, AW_ERROR_FUEL, "all fuel consumed");
    }
    const item *called = func->item->target != NULL ? func->item->target : func->item;
    if (called->callback == NULL) {
        return 0;
    }
    aw_caller caller = {.instance = &instance};
    switch (called->callback(called->env, &caller, values)) {
    case AW_HOST_OK:
        return 0;
    case AW_HOST_FAILED:
        return aw_error_set(error, AW_ERROR_HOST, "a host function failed");
    case AW_HOST_THREW:
        break;
    }
    return aw_error_set(error, AW_ERROR_INTERNAL, "the fake engine has no exceptions");
}

static aw_func *func_from_raw(aw_store *store, const aw_raw *raw, aw_error *error)
{
    (void)store;
    return fail("func_from_raw", error) < 0 ? NULL : name_new(raw->func, error);
}

static int func_to_raw(aw_func *func, aw_raw *raw, aw_error *error)
{
    if (fail("func_to_raw", error) < 0) {
        return -1;
    }
    *raw = (aw_raw){.bits = {(uintptr_t)func->item}};
    return 0;
}

// --- references ------------------------------------------------------------------------------------------------------

static int externref_new(aw_store *store, aw_foreign *foreign, aw_ref *out, aw_error *error)
{
    if (fail("externref_new", error) < 0) {
        return -1;
    }
    box *made = malloc(sizeof(*made));
    if (made == NULL) {
        return out_of_memory(error);
    }
    *made = (box){.next = store->boxes, .foreign = foreign};
    store->boxes = made;
    *out = (aw_ref){{(uintptr_t)made}};
    return 0;
}

static aw_foreign *externref_foreign(aw_store *store, const aw_ref *ref)
{
    (void)store;
    return ((box *)(uintptr_t)ref->opaque[0])->foreign;
}

static int ref_from_raw(aw_store *store, aw_refclass refclass, const aw_raw *raw, aw_ref *out, aw_error *error)
{
    (void)store;
    (void)refclass;
    if (fail("ref_from_raw", error) < 0) {
        return -1;
    }
    *out = (aw_ref){{raw->bits[0]}};
    return 0;
}

static void ref_to_raw(aw_store *store, aw_refclass refclass, const aw_ref *ref, aw_raw *raw)
{
    (void)store;
    (void)refclass;
    *raw = (aw_raw){.bits = {ref->opaque[0]}};
}

static void ref_clone(aw_refclass refclass, const aw_ref *ref, aw_ref *out)
{
    (void)refclass;
    *out = *ref;
}

static void ref_drop(aw_refclass refclass, aw_ref *ref)
{
    (void)refclass;
    *ref = (aw_ref){{0}};
}

// --- memory ------------------------------------------------------------------------------------------------------------

static aw_memory *memory_new(aw_store *store, const aw_memorytype *type, aw_error *error)
{
    if (fail("memory_new", error) < 0) {
        return NULL;
    }
    if (type->limits.min > MEMORY_MAXIMUM) {
        aw_error_set(error, AW_ERROR_MEMORY, "the fake engine has no memories of more than %d pages", MEMORY_MAXIMUM);
        return NULL;
    }
    item *it = item_new(store, AW_EXTERN_MEMORY, (size_t)type->limits.min, 0, error);
    if (it != NULL) {
        it->memorytype = *type;
    }
    return name_new(it, error);
}

static void memory_delete(aw_memory *memory)
{
    free(memory);
}

static void memory_type(aw_memory *memory, aw_memorytype *out)
{
    *out = memory->item->memorytype;
}

static void memory_data(aw_memory *memory, uint8_t **base, size_t *bytes)
{
    *base = memory->item->bytes;
    *bytes = memory->item->size * PAGE;
}

static int memory_grow(aw_memory *memory, uint64_t delta, uint64_t *previous, aw_error *error)
{
    item *it = memory->item;
    if (fail("memory_grow", error) < 0) {
        return -1;
    }
    if (delta > MEMORY_MAXIMUM || it->size + delta > MEMORY_MAXIMUM ||
        (it->size + delta) * PAGE > it->store->limits.memory_bytes) {
        aw_error_set(error, AW_ERROR_LIMIT, "the memory may not have so many pages");
        return aw_error_limit(error, AW_LIMIT_MEMORY, AW_UNKNOWN, AW_UNKNOWN);
    }
    uint8_t *moved = calloc(it->size + (size_t)delta + 1, PAGE);
    if (moved == NULL) {
        return out_of_memory(error);
    }
    memcpy(moved, it->bytes, it->size * PAGE);
    free(it->bytes);
    it->bytes = moved;
    *previous = it->size;
    it->size += (size_t)delta;
    return 0;
}

// --- table ---------------------------------------------------------------------------------------------------------------

static aw_table *table_new(aw_store *store, const aw_tabletype *type, const aw_raw *initial, aw_error *error)
{
    if (fail("table_new", error) < 0) {
        return NULL;
    }
    if (type->limits.min > TABLE_SIZE) {
        aw_error_set(error, AW_ERROR_MEMORY, "the fake engine has no tables of more than %d elements", TABLE_SIZE);
        return NULL;
    }
    item *it = item_new(store, AW_EXTERN_TABLE, 0, TABLE_SIZE, error);
    if (it != NULL) {
        it->tabletype = *type;
        it->size = (size_t)type->limits.min;
        for (size_t i = 0; i < it->size; i++) {
            it->values[i] = *initial;
        }
    }
    return name_new(it, error);
}

static void table_delete(aw_table *table)
{
    free(table);
}

static void table_type(aw_table *table, aw_tabletype *out)
{
    *out = table->item->tabletype;
}

static uint64_t table_size(aw_table *table)
{
    return table->item->size;
}

static int table_get(aw_table *table, uint64_t index, aw_raw *out, aw_error *error)
{
    if (fail("table_get", error) < 0) {
        return -1;
    }
    *out = table->item->values[index];
    return 0;
}

static int table_set(aw_table *table, uint64_t index, const aw_raw *value, aw_error *error)
{
    if (fail("table_set", error) < 0) {
        return -1;
    }
    table->item->values[index] = *value;
    return 0;
}

static int table_grow(aw_table *table, uint64_t delta, const aw_raw *initial, uint64_t *previous, aw_error *error)
{
    item *it = table->item;
    if (fail("table_grow", error) < 0) {
        return -1;
    }
    if (delta > TABLE_SIZE || it->size + delta > TABLE_SIZE) {
        aw_error_set(error, AW_ERROR_LIMIT, "the table may not have so many elements");
        return aw_error_limit(error, AW_LIMIT_TABLE, AW_UNKNOWN, AW_UNKNOWN);
    }
    *previous = it->size;
    while (it->size < *previous + delta) {
        it->values[it->size++] = *initial;
    }
    return 0;
}

// --- global ----------------------------------------------------------------------------------------------------------------

static aw_global *global_new(aw_store *store, const aw_globaltype *type, const aw_raw *initial, aw_error *error)
{
    if (fail("global_new", error) < 0) {
        return NULL;
    }
    item *it = item_new(store, AW_EXTERN_GLOBAL, 0, 1, error);
    if (it != NULL) {
        it->globaltype = *type;
        it->values[0] = *initial;
    }
    return name_new(it, error);
}

static void global_delete(aw_global *global)
{
    free(global);
}

static void global_type(aw_global *global, aw_globaltype *out)
{
    *out = global->item->globaltype;
}

static int global_get(aw_global *global, aw_raw *out, aw_error *error)
{
    if (fail("global_get", error) < 0) {
        return -1;
    }
    *out = global->item->values[0];
    return 0;
}

static int global_set(aw_global *global, const aw_raw *value, aw_error *error)
{
    if (fail("global_set", error) < 0) {
        return -1;
    }
    global->item->values[0] = *value;
    return 0;
}

// --- identity, callers --------------------------------------------------------------------------------------------------------

static void extern_key(const aw_extern *it, uint64_t key[2])
{
    key[0] = (uintptr_t)it->func->item;
    key[1] = 0;
}

static int caller_export(aw_caller *caller, const char *name, size_t name_length, aw_extern *out, aw_error *error)
{
    (void)caller;
    (void)name;
    (void)name_length;
    (void)out;
    return fail("caller_export", error);
}

static bool caller_memory(aw_caller *caller, uint8_t **base, size_t *bytes)
{
    (void)caller;
    (void)base;
    (void)bytes;
    return false;
}

const aw_engine_api aw_fake_api = {
    .name = "fake",
    .description = "executes nothing and fails on request, for tests",
    .probe = probe,
    .engine_new = engine_new,
    .engine_delete = engine_delete,
    .engine_capabilities = engine_capabilities,
    .module_new = module_new,
    .module_validate = module_validate,
    .module_serialize = module_serialize,
    .module_deserialize = module_deserialize,
    .module_deserialize_file = module_deserialize_file,
    .build = build,
    .module_delete = module_delete,
    .store_new = store_new,
    .store_delete = store_delete,
    .store_set_fuel = store_set_fuel,
    .store_get_fuel = store_get_fuel,
    .store_usage = store_usage,
    .store_interrupt = store_interrupt,
    .store_uninterrupt = store_uninterrupt,
    .store_gc = store_gc,
    .instance_new = instance_new,
    .instance_delete = instance_delete,
    .instance_export = instance_export,
    .func_new = func_new,
    .func_delete = func_delete,
    .func_type = func_type,
    .func_call = func_call,
    .func_from_raw = func_from_raw,
    .func_to_raw = func_to_raw,
    .externref_new = externref_new,
    .externref_foreign = externref_foreign,
    .ref_from_raw = ref_from_raw,
    .ref_to_raw = ref_to_raw,
    .ref_clone = ref_clone,
    .ref_drop = ref_drop,
    .memory_new = memory_new,
    .memory_delete = memory_delete,
    .memory_type = memory_type,
    .memory_data = memory_data,
    .memory_grow = memory_grow,
    .table_new = table_new,
    .table_delete = table_delete,
    .table_type = table_type,
    .table_size = table_size,
    .table_get = table_get,
    .table_set = table_set,
    .table_grow = table_grow,
    .global_new = global_new,
    .global_delete = global_delete,
    .global_type = global_type,
    .global_get = global_get,
    .global_set = global_set,
    .extern_key = extern_key,
    .caller_export = caller_export,
    .caller_memory = caller_memory,
};

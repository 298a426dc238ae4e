// SPDX-License-Identifier: Apache-2.0
// The engine "wamr": WAMR's fast interpreter behind the engine interface, in the interface's order. wamr.h tells how
// it is built; here are engines, modules, stores, and the names of things that the core holds.

#include <stdlib.h>
#include <sys/mman.h>

#include "handlers.h"
#include "wamr.h"
#include "version.h"

#define STACK_DEFAULT ((size_t)8 << 20)  // of guest calls, in bytes; pages that are not reached cost nothing
#define STACK_MIN ((size_t)64 << 10)
#define STACK_MAX ((size_t)1 << 30)
#define EXPRESSION_DEPTH 1000
#define PARAMETERS_MAX 16000  // of a host function: its cells are counted in 16 bits

#define FEATURES                                                                                            \
    ((WASM_ENABLE_SIMD ? AW_CAP(SIMD) : 0) | AW_CAP(THREADS) | AW_CAP(TAIL_CALL) | AW_CAP(EXTENDED_CONST) | \
     AW_CAP(MULTI_VALUE) | AW_CAP(REFERENCE_TYPES) | AW_CAP(BULK_MEMORY))
#define ABILITIES                                                                                        \
    (AW_CAP(IMPORTED_MEMORY) | AW_CAP(IMPORTED_TABLE) | AW_CAP(IMPORTED_GLOBAL) | AW_CAP_STABLE_MEMORY | \
     AW_CAP_SHARED_LIMIT | AW_CAP_STORE_STACK)

// A name, filled in; NULL and the error without memory.
#define NEW_NAME(type, thing, error)                               \
    ({                                                             \
        type *name_ = malloc(sizeof(*name_));                      \
        if (name_ != NULL) {                                       \
            name_->of = (thing);                                   \
        }                                                          \
        else {                                                     \
            aw_error_set(error, AW_ERROR_MEMORY, "out of memory"); \
        }                                                          \
        name_;                                                     \
    })

static int out_of_memory(aw_error *error)
{
    return aw_error_set(error, AW_ERROR_MEMORY, "out of memory");
}

static int unsupported(aw_error *error, uint64_t capability, const char *what)
{
    aw_error_set(error, AW_ERROR_UNSUPPORTED, "wamr has no %s", what);
    error->capability = capability;
    return -1;
}

// --- the engine -----------------------------------------------------------------------------------------------------

static int aw_wamr_probe(const char *library, const char **version, uint64_t *capabilities, aw_error *error)
{
    static char text[32];
    (void)library;
    (void)error;
    if (text[0] == '\0') {  // two threads write the same
        snprintf(text, sizeof(text), "%d.%d.%d", WAMR_VERSION_MAJOR, WAMR_VERSION_MINOR, WAMR_VERSION_PATCH);
    }
    *version = text;
    *capabilities = FEATURES | ABILITIES | AW_CAP(FUEL) | AW_CAP(INTERRUPT);
    return 0;
}

static aw_engine *aw_wamr_engine_new(const aw_config *config, const char *library, aw_error *error)
{
    (void)library;
    if (config->disabled & FEATURES) {
        unsupported(error, 0, "way to turn off features that it has");
        return NULL;
    }
    if (config->nan_canonicalization) {
        unsupported(error, 0, "canonical NaNs (nan_canonicalization)");
        return NULL;
    }
    if (config->pooling != 0) {
        unsupported(error, AW_CAP(POOLING), "pooling");
        return NULL;
    }
    aw_engine *engine = calloc(1, sizeof(*engine));
    if (engine == NULL) {
        out_of_memory(error);
        return NULL;
    }
    handlers_arrange();  // from here on faulthandler has to be behind us
    engine->config = *config;
    engine->run = config->fuel            ? aw_wamr_run_fueled
                  : config->interruptible ? aw_wamr_run_interruptible
                                          : aw_wamr_run_plain;
    engine->handles = config->fuel            ? aw_wamr_handles_fueled
                      : config->interruptible ? aw_wamr_handles_interruptible
                                              : aw_wamr_handles_plain;
    engine->capabilities = FEATURES | ABILITIES | (config->fuel ? AW_CAP(FUEL) : 0) |
                           (config->interruptible ? AW_CAP(INTERRUPT) : 0);
    return engine;
}

static void aw_wamr_engine_delete(aw_engine *engine)
{
    free(engine);
}

static uint64_t aw_wamr_engine_capabilities(const aw_engine *engine)
{
    return engine->capabilities;
}

// --- modules: what WAMR does not tell of them -------------------------------------------------------------------------

// A reader of the binary format that stops at the end. Whether the bytes are a module is WAMR's to say.
typedef struct reader {
    const uint8_t *at, *end;
    bool ok;
} reader;

static uint8_t read_byte(reader *r)
{
    if (!r->ok || r->at == r->end) {
        r->ok = false;
        return 0;
    }
    return *r->at++;
}

static uint64_t read_number(reader *r)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t byte = read_byte(r);
        value |= (uint64_t)(byte & 0x7F) << shift;
        if (!(byte & 0x80)) {
            return value;
        }
    }
    r->ok = false;
    return 0;
}

static void skip(reader *r, uint64_t count)
{
    if (!r->ok || count > (uint64_t)(r->end - r->at)) {
        r->ok = false;
        return;
    }
    r->at += count;
}

// The next section's content; false at the end.
static bool read_section(reader *module, uint8_t *id, reader *content)
{
    if (!module->ok || module->at == module->end) {
        return false;
    }
    *id = read_byte(module);
    uint64_t length = read_number(module);
    const uint8_t *begin = module->at;
    skip(module, length);
    *content = (reader){.at = begin, .end = module->at, .ok = module->ok};
    return module->ok;
}

enum {
    SECTION_TYPE = 1,
    SECTION_IMPORT = 2,
    SECTION_TABLE = 4,
    SECTION_MEMORY = 5,
    SECTION_GLOBAL = 6,
    SECTION_TAG = 13,
};

static uint32_t read_limits(reader *r, table_limits *limits)
{
    uint32_t flags = (uint32_t)read_number(r);
    read_number(r);
    limits->has_max = flags & 1;
    limits->max = limits->has_max ? (uint32_t)read_number(r) : 0;
    return flags;
}

static void read_value_type(reader *r, uint64_t *needed)
{
    uint8_t type = read_byte(r);
    if (type == 0x7B) {
        *needed |= AW_CAP(SIMD);
    }
    else if (type == 0x63 || type == 0x64) {  // (ref null? $t)
        uint8_t heap = r->ok && r->at < r->end ? *r->at : 0;
        read_number(r);
        *needed |= heap >= 0x6A && heap <= 0x73 && heap != 0x6F && heap != 0x70 ? AW_CAP(GC)
                                                                                : AW_CAP(FUNCTION_REFERENCES);
    }
    else if (type == 0x69 || type == 0x74) {
        *needed |= AW_CAP(EXCEPTIONS);
    }
    else if (type >= 0x6A && type <= 0x73 && type != 0x6F && type != 0x70) {
        *needed |= AW_CAP(GC);
    }
}

// Read on in the module: kinds of imports and limits of tables into *module* (if given), and the features that its
// sections, other than code, need.
static bool scan_module(const uint8_t *bytes, size_t length, aw_module *module, uint64_t *needed)
{
    reader all = {.at = bytes, .end = bytes + length, .ok = true};
    reader r;
    uint8_t id;
    size_t table_count = 0, memory_count = 0;
    table_limits ignored;
    skip(&all, 8);
    while (read_section(&all, &id, &r)) {
        uint64_t count = id != 0 ? read_number(&r) : 0;
        if (id == SECTION_TAG) {
            *needed |= AW_CAP(EXCEPTIONS);
        }
        if (id != SECTION_TYPE && id != SECTION_IMPORT && id != SECTION_TABLE && id != SECTION_MEMORY) {
            continue;
        }
        if (count > (size_t)(r.end - r.at)) {  // an entry takes a byte at least
            return true;
        }
        if (module != NULL && id == SECTION_IMPORT) {
            module->import_kinds = malloc(count + 1);
            if (module->import_kinds == NULL) {
                return false;
            }
        }
        if (module != NULL && (id == SECTION_IMPORT || id == SECTION_TABLE)) {
            table_limits *grown = realloc(module->tables, (table_count + count + 1) * sizeof(*grown));
            if (grown == NULL) {
                return false;
            }
            module->tables = grown;
        }
        for (uint64_t i = 0; i < count && r.ok; i++) {
            uint8_t kind = 0;
            switch (id) {
            case SECTION_TYPE:
                kind = read_byte(&r);
                if (kind != 0x60) {
                    *needed |= AW_CAP(GC);
                    return true;  // in a grammar of its own
                }
                for (int list = 0; list < 2; list++) {
                    for (uint64_t types = read_number(&r); types > 0 && r.ok; types--) {
                        read_value_type(&r, needed);
                    }
                }
                continue;
            case SECTION_IMPORT:
                skip(&r, read_number(&r));
                skip(&r, read_number(&r));
                kind = read_byte(&r);
                if (module != NULL) {
                    module->import_kinds[i] = kind;
                }
                break;
            case SECTION_TABLE:
                kind = AW_EXTERN_TABLE;
                if (r.ok && r.at < r.end && *r.at == 0x40) {  // with a value to begin with
                    *needed |= AW_CAP(FUNCTION_REFERENCES);
                    return true;
                }
                break;
            default:
                kind = AW_EXTERN_MEMORY;
                break;
            }
            switch (kind) {
            case AW_EXTERN_FUNC:
                read_number(&r);
                break;
            case AW_EXTERN_TABLE:
                read_value_type(&r, needed);
                if (read_limits(&r, module != NULL ? &module->tables[table_count] : &ignored) & 4) {
                    *needed |= AW_CAP(MEMORY64);
                }
                table_count++;
                break;
            case AW_EXTERN_MEMORY: {
                uint32_t flags = read_limits(&r, &ignored);
                *needed |= (flags & 4 ? AW_CAP(MEMORY64) : 0) | (flags & 2 ? AW_CAP(THREADS) : 0);
                if (++memory_count > 1) {
                    *needed |= AW_CAP(MULTI_MEMORY);
                }
                break;
            }
            case AW_EXTERN_GLOBAL:
                read_value_type(&r, needed);
                read_byte(&r);
                break;
            default:
                *needed |= AW_CAP(EXCEPTIONS);
                read_byte(&r);
                read_number(&r);
                break;
            }
        }
    }
    return true;
}

// What the code of a module needs that WAMR's message, about the first instruction that it does not know, tells of.
static uint64_t feature_of_message(const char *message)
{
    unsigned opcode = 0;
    if (sscanf(message, "unsupported opcode %x", &opcode) != 1 && sscanf(message, "invalid opcode %x", &opcode) != 1) {
        return 0;
    }
    switch (opcode) {
    case 0x06:
    case 0x07:
    case 0x08:
    case 0x09:
    case 0x0A:
    case 0x18:
    case 0x19:
    case 0x1F:
        return AW_CAP(EXCEPTIONS);
    case 0x14:
    case 0x15:
    case 0xD4:
    case 0xD5:
    case 0xD6:
        return AW_CAP(FUNCTION_REFERENCES);
    case 0xD3:
    case 0xFB:
        return AW_CAP(GC);
    case 0xFD:
        return WASM_ENABLE_SIMD ? AW_CAP(RELAXED_SIMD) : AW_CAP(SIMD);
    default:
        return 0;
    }
}

static const char *name_of_feature(uint64_t capability)
{
#define X(name, text, what)           \
    if (capability == AW_CAP(name)) { \
        return text;                  \
    }
    AW_CAPABILITIES(X)
#undef X
    return "a feature";
}

// --- modules ----------------------------------------------------------------------------------------------------------

// The loader writes addresses inside of the interpreter into the code; this tells it of which.
static _Thread_local aw_engine *loading_engine;

void **wasm_interp_get_handle_table(void)
{
    return loading_engine->handles();
}

static void load_error(char *message, const uint8_t *bytes, size_t length, aw_error *error)
{
    static const char prefix[] = "WASM module load failed: ";
    if (strncmp(message, prefix, sizeof(prefix) - 1) == 0) {
        message += sizeof(prefix) - 1;
    }
    size_t end = strlen(message);
    if (end > 0 && message[end - 1] == '.') {
        message[end - 1] = '\0';
    }
    uint64_t needed = 0;
    scan_module(bytes, length, NULL, &needed);
    needed = (needed | feature_of_message(message)) & ~FEATURES;
    if (needed != 0) {
        uint64_t first = needed & -needed;
        aw_error_set(error, AW_ERROR_UNSUPPORTED, "the module needs %s, which wamr has not got (%s)",
                     name_of_feature(first), message);
        error->capability = first;
        return;
    }
    if (strcmp(message, "allocate memory failed") == 0) {
        void *probe = malloc((size_t)64 << 20);
        free(probe);
        if (probe == NULL) {
            out_of_memory(error);
        }
        else {  // a number in the module is nonsense
            aw_error_set(error, AW_ERROR_COMPILE, "the module claims to have more than memory can hold");
        }
        return;
    }
    aw_error_set(error, AW_ERROR_COMPILE, "%s", message);
}

// Is *expression* nested at most *depth* deep? Evaluating it is recursive.
static bool is_shallow(const InitializerExpression *expression, int depth)
{
    return !is_expr_binary_op(expression->init_expr_type) ||
           (depth > 0 && is_shallow(expression->u.binary.l_expr, depth - 1) &&
            is_shallow(expression->u.binary.r_expr, depth - 1));
}

static bool expressions_are_shallow(const WASMModule *code)
{
    bool ok = true;
    for (uint32_t i = 0; i < code->global_count; i++) {
        ok = ok && is_shallow(&code->globals[i].init_expr, EXPRESSION_DEPTH);
    }
    for (uint32_t i = 0; i < code->table_seg_count; i++) {
        ok = ok && is_shallow(&code->table_segments[i].base_offset, EXPRESSION_DEPTH);
    }
    for (uint32_t i = 0; i < code->data_seg_count; i++) {
        ok = ok && is_shallow(&code->data_segments[i]->base_offset, EXPRESSION_DEPTH);
    }
    return ok;
}

void aw_wamr_module_release(aw_module *module)
{
    if (atomic_fetch_sub(&module->holders, 1) == 1) {
        for (uint32_t i = 0; module->offsets != NULL && i < module->code->function_count; i++) {
            free(module->offsets[i]);
        }
        free(module->offsets);
        if (module->code != NULL) {
            wasm_loader_unload(module->code);
        }
        pthread_mutex_destroy(&module->lock);
        free(module->import_kinds);
        free(module->tables);
        free(module->bytes);
        free(module);
    }
}

static aw_module *aw_wamr_module_new(aw_engine *engine, const uint8_t *bytes, size_t length, aw_error *error)
{
    if (length > UINT32_MAX) {
        aw_error_set(error, AW_ERROR_COMPILE, "a module of %zu bytes is too large", length);
        return NULL;
    }
    aw_module *module = calloc(1, sizeof(*module));
    if (module == NULL) {
        out_of_memory(error);
        return NULL;
    }
    atomic_init(&module->holders, 1);
    pthread_mutex_init(&module->lock, NULL);
    module->engine = engine;
    module->length = length;
    module->bytes = malloc(length > 0 ? length : 1);
    if (module->bytes == NULL) {
        out_of_memory(error);
        goto error;
    }
    memcpy(module->bytes, bytes, length);
    char message[256] = "";
    LoadArgs arguments = {.name = "", .no_resolve = true};
    loading_engine = engine;
    module->code = wasm_loader_load(module->bytes, (uint32_t)length, &arguments, message, sizeof(message));
    if (module->code == NULL) {
        load_error(message, bytes, length, error);
        goto error;
    }
    if (!expressions_are_shallow(module->code)) {
        aw_error_set(error, AW_ERROR_COMPILE, "a constant expression is nested deeper than %d", EXPRESSION_DEPTH);
        goto error;
    }
    uint64_t needed = 0;
    if (!scan_module(bytes, length, module, &needed)) {
        out_of_memory(error);
        goto error;
    }
    return module;

error:
    aw_wamr_module_release(module);
    return NULL;
}

static void aw_wamr_module_delete(aw_module *module)
{
    aw_wamr_module_release(module);
}

static int aw_wamr_module_validate(aw_engine *engine, const uint8_t *bytes, size_t length, aw_error *error)
{
    aw_module *module = aw_wamr_module_new(engine, bytes, length, error);
    if (module == NULL) {
        return -1;
    }
    aw_wamr_module_release(module);
    return 0;
}

// --- stores -----------------------------------------------------------------------------------------------------------

static aw_store *aw_wamr_store_new(aw_engine *engine, const aw_host *host, const aw_storelimits *limits,
                                   aw_error *error)
{
    aw_store *store = calloc(1, sizeof(*store));
    if (store == NULL) {
        out_of_memory(error);
        return NULL;
    }
    size_t stack = limits->stack > 0                   ? limits->stack
                   : engine->config.max_wasm_stack > 0 ? engine->config.max_wasm_stack
                                                       : STACK_DEFAULT;
    stack = stack < STACK_MIN ? STACK_MIN : stack > STACK_MAX ? STACK_MAX : stack;
    stack &= ~(size_t)15;
    size_t head = (sizeof(environment) + 15) & ~(size_t)15;
    store->mapped = head + GLOBALS_SIZE + stack;
    store->mapping = mmap(NULL, store->mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
                          0);
    if (store->mapping == MAP_FAILED) {
        free(store);
        out_of_memory(error);
        return NULL;
    }
    store->engine = engine;
    store->host = *host;
    store->limits = *limits;
    store->globals = store->mapping + head + stack;
    environment *environment = (struct environment *)store->mapping;
    store->environment = environment;
    environment->store = store;
    environment->fuel = INT64_MAX;
    environment->poll = POLL_EVERY;
    environment->wamr.wasm_stack.bottom = environment->wamr.wasm_stack.top = store->mapping + head;
    environment->wamr.wasm_stack.top_boundary = store->mapping + head + stack;
    return store;
}

static void aw_wamr_store_delete(aw_store *store)
{
    aw_wamr_store_free_contents(store);
    free(store->failure.frames);
    munmap(store->mapping, store->mapped);
    free(store);
}

static int aw_wamr_store_set_fuel(aw_store *store, uint64_t fuel, aw_error *error)
{
    if (!store->engine->config.fuel) {
        return unsupported(error, AW_CAP(FUEL), "fuel in an engine that was made without");
    }
    store->environment->fuel = fuel < INT64_MAX ? (int64_t)fuel : INT64_MAX;
    return 0;
}

static int aw_wamr_store_get_fuel(aw_store *store, uint64_t *fuel, aw_error *error)
{
    if (!store->engine->config.fuel) {
        return unsupported(error, AW_CAP(FUEL), "fuel in an engine that was made without");
    }
    *fuel = store->environment->fuel > 0 ? (uint64_t)store->environment->fuel : 0;
    return 0;
}

static void aw_wamr_store_usage(aw_store *store, aw_usage *out)
{
    *out = (aw_usage){.memory_known = true, .memory_refused = store->memory_refused};
    for (size_t i = 0; i < store->memory_count; i++) {
        out->memory_bytes += store->memories[i]->wamr.memory_data_size;
    }
}

static void aw_wamr_store_interrupt(aw_store *store)
{
    BH_ATOMIC_32_STORE(store->environment->wamr.suspend_flags.flags, WASM_SUSPEND_FLAG_TERMINATE);
}

static void aw_wamr_store_uninterrupt(aw_store *store)
{
    BH_ATOMIC_32_STORE(store->environment->wamr.suspend_flags.flags, 0);
}

// --- instances --------------------------------------------------------------------------------------------------------

static aw_instance *aw_wamr_instance_new(aw_store *store, aw_module *module, const aw_extern *imports,
                                         size_t import_count, aw_error *error)
{
    if (module->engine->run != store->engine->run) {
        aw_error_set(error, AW_ERROR_LINK, "the module was compiled by an engine with other settings");
        return NULL;
    }
    aw_instance *name = NEW_NAME(aw_instance, NULL, error);
    if (name == NULL) {
        return NULL;
    }
    instance *in = aw_wamr_instance_add(store, module, imports, import_count, error);
    if (in == NULL) {
        free(name);
        return NULL;
    }
    name->of = in;
    in->name = name;
    return name;
}

static void aw_wamr_instance_delete(aw_instance *name)
{
    if (name->of != NULL) {
        name->of->name = NULL;
    }
    free(name);
}

static int name_function(function *f, aw_extern *out, aw_error *error)
{
    if (f == NULL) {
        return out_of_memory(error);
    }
    out->kind = AW_EXTERN_FUNC;
    out->func = NEW_NAME(aw_func, f, error);
    return out->func != NULL ? 0 : -1;
}

static int name_export(instance *in, const WASMExport *export, aw_extern *out, aw_error *error)
{
    switch (export->kind) {
    case EXPORT_KIND_FUNC:
        return name_function(aw_wamr_function_of(in, export->index), out, error);
    case EXPORT_KIND_TABLE:
        out->kind = AW_EXTERN_TABLE;
        out->table = NEW_NAME(aw_table, in->tables[export->index], error);
        return out->table != NULL ? 0 : -1;
    case EXPORT_KIND_MEMORY:
        out->kind = AW_EXTERN_MEMORY;
        out->memory = NEW_NAME(aw_memory, in->memories[export->index], error);
        return out->memory != NULL ? 0 : -1;
    default:
        out->kind = AW_EXTERN_GLOBAL;
        out->global = NEW_NAME(aw_global, in->globals[export->index], error);
        return out->global != NULL ? 0 : -1;
    }
}

static int aw_wamr_instance_export(aw_instance *name, uint32_t index, aw_externkind kind, const char *export_name,
                                   size_t name_length, aw_extern *out, aw_error *error)
{
    const WASMModule *code = name->of->module->code;
    if (index >= code->export_count || code->exports[index].kind != kind) {
        return aw_error_set(error, AW_ERROR_INTERNAL, "export %u (%.*s) is not there", index, (int)name_length,
                            export_name);
    }
    return name_export(name->of, &code->exports[index], out, error);
}

// --- functions --------------------------------------------------------------------------------------------------------

static WASMFuncType *make_type(const aw_functype *type, aw_error *error)
{
    uint64_t count = (uint64_t)type->parameter_count + type->result_count;
    if (count > PARAMETERS_MAX) {
        aw_error_set(error, AW_ERROR_UNSUPPORTED, "a function of %u parameters and %u results has too many of them",
                     type->parameter_count, type->result_count);
        return NULL;
    }
    WASMFuncType *made = calloc(1, sizeof(*made) + count);
    if (made == NULL) {
        out_of_memory(error);
        return NULL;
    }
    made->param_count = (uint16)type->parameter_count;
    made->result_count = (uint16)type->result_count;
    for (uint64_t i = 0; i < count; i++) {
        bool parameter = i < type->parameter_count;
        aw_valtype value = parameter ? type->parameters[i] : type->results[i - type->parameter_count];
        uint8_t wamr_type = aw_wamr_type_of(value);
        if (wamr_type == 0) {
            free(made);
            aw_error_set(error, AW_ERROR_UNSUPPORTED, "wamr has no values of this type (%s %llu)",
                         parameter ? "parameter" : "result",
                         (unsigned long long)(parameter ? i : i - type->parameter_count) + 1);
            error->capability = value.kind == AW_V128          ? AW_CAP(SIMD)
                                : value.heap == AW_HEAP_EXN    ? AW_CAP(EXCEPTIONS)
                                : value.heap == AW_HEAP_NOEXN  ? AW_CAP(EXCEPTIONS)
                                : value.heap == AW_HEAP_FUNC   ? AW_CAP(FUNCTION_REFERENCES)
                                : value.heap == AW_HEAP_EXTERN ? AW_CAP(FUNCTION_REFERENCES)
                                                               : AW_CAP(GC);
            return NULL;
        }
        made->types[i] = wamr_type;
        *(parameter ? &made->param_cell_num : &made->ret_cell_num) += wasm_value_type_cell_num(wamr_type);
    }
    return made;
}

static aw_func *aw_wamr_func_new(aw_store *store, const aw_functype *type, const aw_module *module,
                                 uint32_t import_index, aw_hostfunc callback, void *env, void (*env_delete)(void *env),
                                 aw_error *error)
{
    (void)module;
    (void)import_index;
    WASMFuncType *made = make_type(type, error);
    if (made == NULL) {
        return NULL;
    }
    aw_func *name = NEW_NAME(aw_func, NULL, error);
    function *f = name != NULL ? aw_wamr_function_add(store) : NULL;
    if (f == NULL) {
        out_of_memory(error);
        free(name);
        free(made);
        return NULL;
    }
    f->type = made;
    f->callback = callback;
    f->env = env;
    f->env_delete = env_delete;
    name->of = f;
    return name;
}

static void aw_wamr_func_delete(aw_func *func)
{
    free(func);
}

static void aw_wamr_func_type(aw_func *func, uint32_t *parameter_count, uint32_t *result_count, aw_valtype *types,
                              size_t capacity)
{
    const WASMFuncType *type = func->of->type;
    *parameter_count = type->param_count;
    *result_count = type->result_count;
    for (size_t i = 0; i < capacity && i < (size_t)type->param_count + type->result_count; i++) {
        types[i] = aw_wamr_valtype_of(type->types[i]);
    }
}

static int aw_wamr_func_call(aw_func *func, aw_raw *values, size_t count, aw_error *error)
{
    (void)count;
    function *f = func->of;
    if (f->owner != NULL) {
        return run(f->owner, f->code, f->type, values) ? 0 : aw_wamr_take_failure(f->store, error);
    }
    aw_caller caller = {.store = f->store, .instance = NULL};
    switch (f->callback(f->env, &caller, values)) {
    case AW_HOST_OK:
        return 0;
    case AW_HOST_FAILED:
        return aw_error_set(error, AW_ERROR_HOST, "a host function failed");
    default:
        return unsupported(error, AW_CAP(EXCEPTIONS), "exceptions to throw");
    }
}

static aw_func *aw_wamr_func_from_raw(aw_store *store, const aw_raw *raw, aw_error *error)
{
    (void)store;
    return NEW_NAME(aw_func, raw->func, error);
}

static int aw_wamr_func_to_raw(aw_func *func, aw_raw *raw, aw_error *error)
{
    (void)error;
    *raw = (aw_raw){.bits = {0}};
    raw->func = func->of;
    return 0;
}

// --- external references ------------------------------------------------------------------------------------------------

static foreign_slot *slot_of_ref(const aw_ref *ref)
{
    return (foreign_slot *)(uintptr_t)ref->opaque[0];
}

static void release_slot(foreign_slot *slot)
{
    if (slot != NULL && atomic_fetch_sub(&slot->holds, 1) == 1) {
        free(slot);
    }
}

static void make_ref(foreign_slot *slot, aw_ref *out)
{
    memset(out, 0, sizeof(*out));
    out->opaque[0] = (uint64_t)(uintptr_t)slot;
    if (slot != NULL) {
        atomic_fetch_add(&slot->holds, 1);
    }
}

// The slot of what the interpreter has, or NULL.
static foreign_slot *slot_of_cell(const aw_store *store, uint32_t cell)
{
    uint32_t index = cell - FOREIGN_BASE;
    return index < store->foreign_count ? store->foreigns[index] : NULL;
}

void aw_wamr_foreign_drop(aw_store *store, size_t index)
{
    foreign_slot *slot = store->foreigns[index];
    aw_foreign *foreign = slot->foreign;
    store->foreigns[index] = NULL;
    slot->foreign = NULL;
    foreign->token = 0;
    release_slot(slot);
    store->host.foreign_drop(store->host.data, foreign);
}

static int aw_wamr_externref_new(aw_store *store, aw_foreign *foreign, aw_ref *out, aw_error *error)
{
    if (foreign->token != 0) {  // it has a slot, and that has a count
        make_ref(slot_of_cell(store, (uint32_t)foreign->token - 1), out);
        store->host.foreign_drop(store->host.data, foreign);
        return 0;
    }
    while (store->foreign_free < store->foreign_count && store->foreigns[store->foreign_free] != NULL) {
        store->foreign_free++;
    }
    size_t index = store->foreign_free;
    if (index == store->foreign_capacity) {
        size_t capacity = index > 0 ? index * 2 : 16;
        foreign_slot **grown = capacity <= FOREIGN_MAX ? realloc(store->foreigns, capacity * sizeof(*grown)) : NULL;
        if (grown == NULL) {
            return out_of_memory(error);
        }
        store->foreigns = grown;
        store->foreign_capacity = capacity;
    }
    foreign_slot *slot = malloc(sizeof(*slot));
    if (slot == NULL) {
        return out_of_memory(error);
    }
    *slot = (foreign_slot){.token = FOREIGN_BASE + (uint32_t)index + 1, .foreign = foreign};
    atomic_init(&slot->holds, 1);
    foreign->token = slot->token;
    store->foreigns[index] = slot;
    if (index == store->foreign_count) {
        store->foreign_count++;
    }
    make_ref(slot, out);
    return 0;
}

static aw_foreign *aw_wamr_externref_foreign(aw_store *store, const aw_ref *ref)
{
    (void)store;
    return slot_of_ref(ref) != NULL ? slot_of_ref(ref)->foreign : NULL;
}

static int aw_wamr_ref_from_raw(aw_store *store, aw_refclass refclass, const aw_raw *raw, aw_ref *out, aw_error *error)
{
    if (refclass != AW_REF_EXTERN) {
        return unsupported(error, refclass == AW_REF_EXN ? AW_CAP(EXCEPTIONS) : AW_CAP(GC), "such references");
    }
    make_ref(slot_of_cell(store, raw->ref - 1), out);
    return 0;
}

static void aw_wamr_ref_to_raw(aw_store *store, aw_refclass refclass, const aw_ref *ref, aw_raw *raw)
{
    (void)store;
    (void)refclass;
    *raw = (aw_raw){.bits = {slot_of_ref(ref) != NULL ? slot_of_ref(ref)->token : 0, 0}};
}

static void aw_wamr_ref_clone(aw_refclass refclass, const aw_ref *ref, aw_ref *out)
{
    (void)refclass;
    make_ref(slot_of_ref(ref), out);
}

static void aw_wamr_ref_drop(aw_refclass refclass, aw_ref *ref)
{
    (void)refclass;
    release_slot(slot_of_ref(ref));
    ref->opaque[0] = 0;
}

static void mark(const aw_store *store, uint32_t cell)
{
    foreign_slot *slot = slot_of_cell(store, cell);
    if (slot != NULL) {
        slot->marked = true;
    }
}

// Drop the external references that neither the core holds nor any table, global or running function has. Functions do
// not tell which of their cells are references: whatever looks like one counts.
static int aw_wamr_store_gc(aw_store *store, aw_error *error)
{
    (void)error;
    for (size_t i = 0; i < store->global_count; i++) {
        if (store->globals_list[i]->wamr_type == VALUE_TYPE_EXTERNREF) {
            mark(store, *aw_wamr_global_cells(store->globals_list[i]));
        }
    }
    for (size_t i = 0; i < store->table_count; i++) {
        const WASMTableInstance *table = store->tables[i]->wamr;
        for (uint32_t j = 0; table->elem_type == VALUE_TYPE_EXTERNREF && j < table->cur_size; j++) {
            mark(store, (uint32_t)table->elems[j]);
        }
    }
    const WASMExecEnv *env = &store->environment->wamr;
    for (const uint8_t *at = env->wasm_stack.bottom; at < env->wasm_stack.top; at += sizeof(uint32_t)) {
        uint32_t cell;
        memcpy(&cell, at, sizeof(cell));
        mark(store, cell);
    }
    for (size_t i = 0; i < store->foreign_count; i++) {
        foreign_slot *slot = store->foreigns[i];
        if (slot != NULL && !slot->marked && atomic_load(&slot->holds) == 1) {
            aw_wamr_foreign_drop(store, i);
        }
        else if (slot != NULL) {
            slot->marked = false;
        }
    }
    store->foreign_free = 0;
    return 0;
}

// --- memories -----------------------------------------------------------------------------------------------------------

static aw_memory *aw_wamr_memory_new(aw_store *store, const aw_memorytype *type, aw_error *error)
{
    memory *m = aw_wamr_memory_add(store, type, error);
    return m != NULL ? NEW_NAME(aw_memory, m, error) : NULL;
}

static void aw_wamr_memory_delete(aw_memory *memory)
{
    free(memory);
}

static void aw_wamr_memory_type(aw_memory *memory, aw_memorytype *out)
{
    *out = memory->of->type;
    out->limits.min = memory->of->wamr.cur_page_count;
}

static void aw_wamr_memory_data(aw_memory *memory, uint8_t **base, size_t *bytes)
{
    *base = memory->of->wamr.memory_data;
    *bytes = memory->of->wamr.memory_data_size;
}

static int aw_wamr_memory_grow_by(aw_memory *memory, uint64_t delta, uint64_t *previous, aw_error *error)
{
    *previous = memory->of->wamr.cur_page_count;
    return aw_wamr_memory_enlarge(memory->of, delta, error);
}

// --- tables -------------------------------------------------------------------------------------------------------------

// One element as the interpreter has it.
static uint32_t cell_of(const table *t, const aw_raw *value)
{
    uint32_t cells[4];
    put_value(t->store, t->wamr->elem_type, value, cells);
    return cells[0];
}

static aw_table *aw_wamr_table_new(aw_store *store, const aw_tabletype *type, const aw_raw *initial, aw_error *error)
{
    table *t = aw_wamr_table_add(store, type, error);
    if (t == NULL) {
        return NULL;
    }
    for (uint32_t i = 0; i < t->wamr->cur_size; i++) {
        t->wamr->elems[i] = cell_of(t, initial);
    }
    return NEW_NAME(aw_table, t, error);
}

static void aw_wamr_table_delete(aw_table *table)
{
    free(table);
}

static void aw_wamr_table_type(aw_table *table, aw_tabletype *out)
{
    *out = table->of->type;
    out->limits.min = table->of->wamr->cur_size;
}

static uint64_t aw_wamr_table_size(aw_table *table)
{
    return table->of->wamr->cur_size;
}

static int out_of_table(const table *t, uint64_t index, aw_error *error)
{
    return aw_error_set(error, AW_ERROR_TYPE, "index %llu is beyond a table of %u elements", (unsigned long long)index,
                        t->wamr->cur_size);
}

static int aw_wamr_table_get(aw_table *name, uint64_t index, aw_raw *out, aw_error *error)
{
    const table *t = name->of;
    if (index >= t->wamr->cur_size) {
        return out_of_table(t, index, error);
    }
    uint32_t cells[4] = {(uint32_t)t->wamr->elems[index]};
    *out = (aw_raw){.bits = {0}};
    return get_value(t->store, t->wamr->elem_type, out, cells) != NULL ? 0 : out_of_memory(error);
}

static int aw_wamr_table_set(aw_table *name, uint64_t index, const aw_raw *value, aw_error *error)
{
    const table *t = name->of;
    if (index >= t->wamr->cur_size) {
        return out_of_table(t, index, error);
    }
    t->wamr->elems[index] = cell_of(t, value);
    return 0;
}

static int aw_wamr_table_grow_by(aw_table *table, uint64_t delta, const aw_raw *initial, uint64_t *previous,
                                 aw_error *error)
{
    *previous = table->of->wamr->cur_size;
    return aw_wamr_table_enlarge(table->of, delta, cell_of(table->of, initial), error);
}

// --- globals --------------------------------------------------------------------------------------------------------------

static aw_global *aw_wamr_global_new(aw_store *store, const aw_globaltype *type, const aw_raw *initial, aw_error *error)
{
    uint8_t wamr_type = aw_wamr_type_of(type->value);
    if (wamr_type == 0) {
        unsupported(error, type->value.kind == AW_V128 ? AW_CAP(SIMD) : AW_CAP(GC), "globals of this type");
        return NULL;
    }
    global *g = aw_wamr_global_add(store, type, wamr_type, error);
    if (g == NULL) {
        return NULL;
    }
    put_value(store, wamr_type, initial, aw_wamr_global_cells(g));
    return NEW_NAME(aw_global, g, error);
}

static void aw_wamr_global_delete(aw_global *global)
{
    free(global);
}

static void aw_wamr_global_type(aw_global *global, aw_globaltype *out)
{
    *out = global->of->type;
}

static int aw_wamr_global_get(aw_global *name, aw_raw *out, aw_error *error)
{
    const global *g = name->of;
    *out = (aw_raw){.bits = {0}};
    return get_value(g->store, g->wamr_type, out, aw_wamr_global_cells(g)) != NULL ? 0 : out_of_memory(error);
}

static int aw_wamr_global_set(aw_global *name, const aw_raw *value, aw_error *error)
{
    (void)error;
    const global *g = name->of;
    put_value(g->store, g->wamr_type, value, aw_wamr_global_cells(g));
    return 0;
}

// --- identity and callers -------------------------------------------------------------------------------------------------

static void aw_wamr_extern_key(const aw_extern *item, uint64_t key[2])
{
    const void *thing = item->kind == AW_EXTERN_FUNC     ? (void *)item->func->of
                        : item->kind == AW_EXTERN_TABLE  ? (void *)item->table->of
                        : item->kind == AW_EXTERN_MEMORY ? (void *)item->memory->of
                                                         : (void *)item->global->of;
    key[0] = (uint64_t)(uintptr_t)thing;
    key[1] = item->kind;
}

static int aw_wamr_caller_export(aw_caller *caller, const char *name, size_t name_length, aw_extern *out,
                                 aw_error *error)
{
    if (caller->instance == NULL) {
        return 0;
    }
    const WASMModule *code = caller->instance->module->code;
    for (uint32_t i = 0; i < code->export_count; i++) {
        if (strlen(code->exports[i].name) == name_length && memcmp(code->exports[i].name, name, name_length) == 0) {
            return name_export(caller->instance, &code->exports[i], out, error) == 0 ? 1 : -1;
        }
    }
    return 0;
}

static bool aw_wamr_caller_memory(aw_caller *caller, uint8_t **base, size_t *bytes)
{
    if (caller->instance == NULL || caller->instance->exported_memory == NULL) {
        return false;
    }
    const WASMMemoryInstance *memory = &caller->instance->exported_memory->wamr;
    *base = memory->memory_data;
    *bytes = memory->memory_data_size;
    return true;
}

// --- the interface --------------------------------------------------------------------------------------------------------

const aw_engine_api aw_wamr_api = {
    .name = "wamr",
    .description = "WAMR's fast interpreter, built in: starts at once, runs anywhere",
    .needs_library = false,
    .probe = aw_wamr_probe,
    .engine_new = aw_wamr_engine_new,
    .engine_delete = aw_wamr_engine_delete,
    .engine_capabilities = aw_wamr_engine_capabilities,
    .module_new = aw_wamr_module_new,
    .module_validate = aw_wamr_module_validate,
    .module_delete = aw_wamr_module_delete,
    .store_new = aw_wamr_store_new,
    .store_delete = aw_wamr_store_delete,
    .store_set_fuel = aw_wamr_store_set_fuel,
    .store_get_fuel = aw_wamr_store_get_fuel,
    .store_usage = aw_wamr_store_usage,
    .store_interrupt = aw_wamr_store_interrupt,
    .store_uninterrupt = aw_wamr_store_uninterrupt,
    .store_gc = aw_wamr_store_gc,
    .instance_new = aw_wamr_instance_new,
    .instance_delete = aw_wamr_instance_delete,
    .instance_export = aw_wamr_instance_export,
    .func_new = aw_wamr_func_new,
    .func_delete = aw_wamr_func_delete,
    .func_type = aw_wamr_func_type,
    .func_call = aw_wamr_func_call,
    .func_from_raw = aw_wamr_func_from_raw,
    .func_to_raw = aw_wamr_func_to_raw,
    .externref_new = aw_wamr_externref_new,
    .externref_foreign = aw_wamr_externref_foreign,
    .ref_from_raw = aw_wamr_ref_from_raw,
    .ref_to_raw = aw_wamr_ref_to_raw,
    .ref_clone = aw_wamr_ref_clone,
    .ref_drop = aw_wamr_ref_drop,
    .memory_new = aw_wamr_memory_new,
    .memory_delete = aw_wamr_memory_delete,
    .memory_type = aw_wamr_memory_type,
    .memory_data = aw_wamr_memory_data,
    .memory_grow = aw_wamr_memory_grow_by,
    .table_new = aw_wamr_table_new,
    .table_delete = aw_wamr_table_delete,
    .table_type = aw_wamr_table_type,
    .table_size = aw_wamr_table_size,
    .table_get = aw_wamr_table_get,
    .table_set = aw_wamr_table_set,
    .table_grow = aw_wamr_table_grow_by,
    .global_new = aw_wamr_global_new,
    .global_delete = aw_wamr_global_delete,
    .global_type = aw_wamr_global_type,
    .global_get = aw_wamr_global_get,
    .global_set = aw_wamr_global_set,
    .extern_key = aw_wamr_extern_key,
    .caller_export = aw_wamr_caller_export,
    .caller_memory = aw_wamr_caller_memory,
};

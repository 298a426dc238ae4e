// SPDX-License-Identifier: Apache-2.0
// What a store of the WAMR engine consists of, and how an instance is put together from it. See wamr.h.

#include <stdlib.h>
#include <sys/mman.h>

#include "wamr.h"

#define TABLE_LIMIT UINT32_C(10000000)  // elements; what browsers allow

// Make room for one more element of an array that doubles.
static bool reserve(void *array_pointer, size_t element, size_t count, size_t *capacity)
{
    if (count < *capacity) {
        return true;
    }
    size_t wanted = *capacity > 0 ? *capacity * 2 : 8;
    void *grown = realloc(*(void **)array_pointer, wanted * element);
    if (grown == NULL) {
        return false;
    }
    *(void **)array_pointer = grown;
    *capacity = wanted;
    return true;
}

static int out_of_memory(aw_error *error)
{
    return aw_error_set(error, AW_ERROR_MEMORY, "out of memory");
}

// --- types --------------------------------------------------------------------------------------------------------

uint8_t aw_wamr_type_of(aw_valtype type)
{
    switch (type.kind) {
    case AW_I32:
        return VALUE_TYPE_I32;
    case AW_I64:
        return VALUE_TYPE_I64;
    case AW_F32:
        return VALUE_TYPE_F32;
    case AW_F64:
        return VALUE_TYPE_F64;
#if WASM_ENABLE_SIMD != 0
    case AW_V128:
        return VALUE_TYPE_V128;
#endif
    case AW_REF:
        if (type.nullable && !type.concrete) {
            return type.heap == AW_HEAP_FUNC     ? VALUE_TYPE_FUNCREF
                   : type.heap == AW_HEAP_EXTERN ? VALUE_TYPE_EXTERNREF
                                                 : 0;
        }
        return 0;
    default:
        return 0;
    }
}

aw_valtype aw_wamr_valtype_of(uint8_t type)
{
    switch (type) {
    case VALUE_TYPE_I32:
        return (aw_valtype){.kind = AW_I32};
    case VALUE_TYPE_I64:
        return (aw_valtype){.kind = AW_I64};
    case VALUE_TYPE_F32:
        return (aw_valtype){.kind = AW_F32};
    case VALUE_TYPE_F64:
        return (aw_valtype){.kind = AW_F64};
    case VALUE_TYPE_V128:
        return (aw_valtype){.kind = AW_V128};
    case VALUE_TYPE_FUNCREF:
        return (aw_valtype){.kind = AW_REF, .heap = AW_HEAP_FUNC, .nullable = 1};
    default:
        return (aw_valtype){.kind = AW_REF, .heap = AW_HEAP_EXTERN, .nullable = 1};
    }
}

static bool same_function_type(const WASMFuncType *a, const WASMFuncType *b)
{
    return a->param_count == b->param_count && a->result_count == b->result_count &&
           memcmp(a->types, b->types, (size_t)a->param_count + a->result_count) == 0;
}

static bool has_references(const WASMFuncType *type)
{
    for (size_t i = 0; i < (size_t)type->param_count + type->result_count; i++) {
        if (type->types[i] == VALUE_TYPE_FUNCREF || type->types[i] == VALUE_TYPE_EXTERNREF) {
            return true;
        }
    }
    return false;
}

// --- functions and references to them ------------------------------------------------------------------------------

// A new reference; NO_REFERENCE without memory.
static uint32_t reference_add(aw_store *store, instance *owner, uint32_t index)
{
    size_t capacity = store->reference_capacity;
    if (store->reference_count == NO_REFERENCE ||
        !reserve(&store->references, sizeof(reference), store->reference_count, &capacity)) {
        return NO_REFERENCE;
    }
    store->reference_capacity = (uint32_t)capacity;
    store->references[store->reference_count] = (reference){.owner = owner, .index = index};
    return store->reference_count++;
}

static uint32_t reference_of(instance *in, uint32_t index)
{
    if (in->numbers[index] == 0) {
        in->numbers[index] = reference_add(in->store, in, index) + 1;  // 0 again if there was no memory
    }
    return in->numbers[index] - 1;
}

uint32_t aw_wamr_function_reference(WASMModuleInstance *module, uint32_t index)
{
    return reference_of(instance_of(module), index);
}

// The function of a reference, borrowed; NULL without memory.
function *aw_wamr_function_at(aw_store *store, uint32_t number)
{
    reference *reference = &store->references[number];
    if (reference->function == NULL) {
        function *f = calloc(1, sizeof(*f));
        if (f == NULL) {
            return NULL;
        }
        f->store = store;
        f->number = number;
        f->owner = reference->owner;
        f->code = &f->owner->extra.functions[reference->index];
        f->type = f->code->u.func->func_type;
        f->simple = !has_references(f->type);
        reference->function = f;
    }
    return reference->function;
}

function *aw_wamr_function_of(instance *in, uint32_t index)
{
    uint32_t number = reference_of(in, index);
    return number != NO_REFERENCE ? aw_wamr_function_at(in->store, number) : NULL;
}

// A host function to be filled in; owned by the store.
function *aw_wamr_function_add(aw_store *store)
{
    function *f = calloc(1, sizeof(*f));
    uint32_t number = f != NULL ? reference_add(store, NULL, 0) : NO_REFERENCE;
    if (number == NO_REFERENCE) {
        free(f);
        return NULL;
    }
    f->store = store;
    f->number = number;
    store->references[number].function = f;
    return f;
}

bool aw_wamr_reference_of_raw(aw_store *store, const aw_raw *raw, uint32_t *number)
{
    (void)store;
    *number = raw->func != NULL ? ((function *)raw->func)->number : NO_REFERENCE;
    return true;
}

bool aw_wamr_raw_of_reference(aw_store *store, uint32_t number, aw_raw *raw)
{
    raw->bits[0] = 0;
    if (number != NO_REFERENCE) {
        raw->func = aw_wamr_function_at(store, number);
        return raw->func != NULL;
    }
    return true;
}

// An import of *in* that leads to *f*; its type is the module's own where the module has it, for call_indirect compares
// pointers.
static void fill_import(instance *in, WASMFunctionInstance *code, WASMFunctionImport *import, function *f)
{
    WASMFuncType *type = (WASMFuncType *)f->type;
    for (uint32_t i = 0; i < in->code.type_count; i++) {
        if (same_function_type(in->code.types[i], type)) {
            type = in->code.types[i];
            break;
        }
    }
    *import = (WASMFunctionImport){
        .module_name = "", .field_name = "", .func_type = type, .attachment = f, .call_conv_raw = true};
    *code = (WASMFunctionInstance){
        .is_import_func = true,
        .param_count = type->param_count,
        .param_cell_num = type->param_cell_num,
        .ret_cell_num = type->ret_cell_num,
        .param_types = type->types,
        .u.func_import = import,
    };
}

typedef struct trampoline {
    WASMFunctionInstance code;  // first
    WASMFunctionImport import;
} trampoline;

// What *module* calls for a reference. The first time for each; the interpreter looks into `referenced` itself.
WASMFunctionInstance *aw_wamr_referenced_function(WASMModuleInstance *module, uint32_t number)
{
    instance *in = instance_of(module);
    aw_store *store = in->store;
    if (number >= in->referenced_count) {
        uint32_t count = store->reference_count;
        WASMFunctionInstance **grown = realloc(in->referenced, count * sizeof(*grown));
        if (grown == NULL) {
            goto error;
        }
        memset(grown + in->referenced_count, 0, (count - in->referenced_count) * sizeof(*grown));
        in->referenced = grown;
        in->referenced_count = count;
    }
    if (store->references[number].owner == in) {
        in->referenced[number] = &in->extra.functions[store->references[number].index];
    }
    else {
        function *f = aw_wamr_function_at(store, number);
        trampoline *bridge = f != NULL ? malloc(sizeof(*bridge)) : NULL;
        WASMFunctionInstance **grown = bridge != NULL
                                           ? realloc(in->trampolines, (in->trampoline_count + 1) * sizeof(*grown))
                                           : NULL;
        if (grown == NULL) {
            free(bridge);
            goto error;
        }
        in->trampolines = grown;
        in->trampolines[in->trampoline_count++] = &bridge->code;
        fill_import(in, &bridge->code, &bridge->import, f);
        in->referenced[number] = &bridge->code;
    }
    return in->referenced[number];

error:  // the interpreter takes no answer but a function: one that fails
    {
        static WASMFunctionImport import;
        static WASMFuncType type;
        static WASMFunctionInstance nothing = {.is_import_func = true, .u.func_import = &import};
        import.func_type = &type;
        return &nothing;  // of a type that no module has: the call is a mismatch
    }
}

// --- memories -------------------------------------------------------------------------------------------------------

static int change_memory_access(memory *memory, uint64_t bytes, aw_error *error)
{
    uint64_t old = memory->wamr.memory_data_size;
    if (bytes > old && mprotect(memory->wamr.memory_data + old, bytes - old, PROT_READ | PROT_WRITE) != 0) {
        return aw_error_set(error, AW_ERROR_MEMORY, "out of memory: a memory cannot have %llu bytes",
                            (unsigned long long)bytes);
    }
    memory->wamr.memory_data_size = bytes;
    memory->wamr.memory_data_end = memory->wamr.memory_data + bytes;
    memory->wamr.heap_data = memory->wamr.heap_data_end = memory->wamr.memory_data_end;
    memory->wamr.cur_page_count = (uint32_t)(bytes / WASM_PAGE);
    return 0;
}

static uint64_t memory_max_pages(const aw_memorytype *type)
{
    return type->limits.has_max && type->limits.max < 65536 ? type->limits.max : 65536;
}

memory *aw_wamr_memory_add(aw_store *store, const aw_memorytype *type, aw_error *error)
{
    if (type->limits.is64) {
        aw_error_set(error, AW_ERROR_UNSUPPORTED, "wamr has no memories with 64-bit indices");
        error->capability = AW_CAP(MEMORY64);
        return NULL;
    }
    uint64_t max = memory_max_pages(type);
    if (type->limits.min > max) {
        aw_error_set(error, AW_ERROR_TYPE, "a memory cannot have %llu pages at first and %llu at most",
                     (unsigned long long)type->limits.min, (unsigned long long)max);
        return NULL;
    }
    if (type->limits.min * WASM_PAGE > store->limits.memory_bytes) {
        aw_error_set(error, AW_ERROR_LIMIT, "a memory of %llu bytes exceeds the store's limit of %llu",
                     (unsigned long long)(type->limits.min * WASM_PAGE),
                     (unsigned long long)store->limits.memory_bytes);
        aw_error_limit(error, AW_LIMIT_MEMORY, type->limits.min * WASM_PAGE, store->limits.memory_bytes);
        return NULL;
    }
    if (store->memory_count >= store->limits.memories) {
        aw_error_set(error, AW_ERROR_LIMIT, "the store's limit of %llu memories is reached",
                     (unsigned long long)store->limits.memories);
        return NULL;
    }
    memory *m = calloc(1, sizeof(*m));
    if (m == NULL ||
        !reserve(&store->memories, sizeof(*store->memories), store->memory_count, &store->memory_capacity)) {
        free(m);
        out_of_memory(error);
        return NULL;
    }
    void *data = mmap(NULL, MEMORY_RESERVATION, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (data == MAP_FAILED) {
        free(m);
        aw_error_set(error, AW_ERROR_MEMORY,
                     "out of address space: a memory reserves 8 GiB of it (is it limited, as by `ulimit -v`?)");
        return NULL;
    }
    m->store = store;
    m->type = *type;
    m->wamr.module_type = Wasm_Module_Bytecode;
    m->wamr.is_shared_memory = type->shared;
    m->wamr.ref_count = type->shared;
    m->wamr.num_bytes_per_page = WASM_PAGE;
    m->wamr.max_page_count = (uint32_t)max;
    m->wamr.memory_data = data;
    if (change_memory_access(m, type->limits.min * WASM_PAGE, error) < 0) {
        munmap(data, MEMORY_RESERVATION);
        free(m);
        return NULL;
    }
    store->memories[store->memory_count++] = m;
    return m;
}

int aw_wamr_memory_enlarge(memory *memory, uint64_t delta, aw_error *error)
{
    uint64_t pages = memory->wamr.cur_page_count;
    if (delta > memory->wamr.max_page_count - pages) {
        aw_error_set(error, AW_ERROR_LIMIT, "a memory of %llu pages cannot grow by %llu: its maximum is %llu",
                     (unsigned long long)pages, (unsigned long long)delta,
                     (unsigned long long)memory->wamr.max_page_count);
        return aw_error_limit(error, AW_LIMIT_MEMORY, AW_UNKNOWN, memory->wamr.max_page_count * WASM_PAGE);
    }
    uint64_t bytes = (pages + delta) * WASM_PAGE;
    if (delta > 0 && bytes > memory->store->limits.memory_bytes) {
        aw_error_set(error, AW_ERROR_LIMIT, "a memory of %llu bytes exceeds the store's limit of %llu",
                     (unsigned long long)bytes, (unsigned long long)memory->store->limits.memory_bytes);
        return aw_error_limit(error, AW_LIMIT_MEMORY, bytes, memory->store->limits.memory_bytes);
    }
    return change_memory_access(memory, bytes, error);
}

bool aw_wamr_memory_grow(WASMModuleInstance *module, uint32_t delta)
{
    memory *grown = (memory *)module->memories[0];
    aw_error error;
    if (aw_wamr_memory_enlarge(grown, delta, &error) == 0) {
        return true;
    }
    // By the limit, not by its own maximum.
    aw_store *store = grown->store;
    if (error.kind == AW_ERROR_LIMIT && error.used != AW_UNKNOWN && error.used > store->memory_refused) {
        store->memory_refused = error.used;
    }
    return false;
}

// --- tables ---------------------------------------------------------------------------------------------------------

static void fill_table(table *table, uint32_t from, uint32_t to, uint32_t value)
{
    for (uint32_t i = from; i < to; i++) {
        table->wamr->elems[i] = value;
    }
}

table *aw_wamr_table_add(aw_store *store, const aw_tabletype *type, aw_error *error)
{
    if (type->limits.is64) {
        aw_error_set(error, AW_ERROR_UNSUPPORTED, "wamr has no tables with 64-bit indices");
        error->capability = AW_CAP(MEMORY64);
        return NULL;
    }
    uint8_t element = aw_wamr_type_of(type->element);
    if (element == 0) {
        aw_error_set(error, AW_ERROR_UNSUPPORTED, "wamr has no tables of this element type");
        error->capability = type->element.heap == AW_HEAP_EXN                   ? AW_CAP(EXCEPTIONS)
                            : type->element.concrete || !type->element.nullable ? AW_CAP(FUNCTION_REFERENCES)
                                                                                : AW_CAP(GC);
        return NULL;
    }
    if (type->limits.min > store->limits.table_elements) {
        aw_error_set(error, AW_ERROR_LIMIT, "a table of %llu elements exceeds the store's limit of %llu",
                     (unsigned long long)type->limits.min, (unsigned long long)store->limits.table_elements);
        aw_error_limit(error, AW_LIMIT_TABLE, type->limits.min, store->limits.table_elements);
        return NULL;
    }
    if (store->table_count >= store->limits.tables) {
        aw_error_set(error, AW_ERROR_LIMIT, "the store's limit of %llu tables is reached",
                     (unsigned long long)store->limits.tables);
        return NULL;
    }
    if (type->limits.min > TABLE_LIMIT) {
        aw_error_set(error, AW_ERROR_LIMIT, "a table of %llu elements is too large: wamr allows %u",
                     (unsigned long long)type->limits.min, TABLE_LIMIT);
        aw_error_limit(error, AW_LIMIT_TABLE, type->limits.min, TABLE_LIMIT);
        return NULL;
    }
    uint64_t capacity = type->limits.has_max && type->limits.max < TABLE_LIMIT ? type->limits.max : TABLE_LIMIT;
    if (capacity > store->limits.table_elements) {
        capacity = store->limits.table_elements;
    }
    if (capacity < type->limits.min) {
        aw_error_set(error, AW_ERROR_TYPE, "a table cannot have %llu elements at first and %llu at most",
                     (unsigned long long)type->limits.min, (unsigned long long)type->limits.max);
        return NULL;
    }
    table *t = calloc(1, sizeof(*t));
    if (t == NULL || !reserve(&store->tables, sizeof(*store->tables), store->table_count, &store->table_capacity)) {
        free(t);
        out_of_memory(error);
        return NULL;
    }
    t->mapped = offsetof(WASMTableInstance, elems) + capacity * sizeof(table_elem_type_t);
    void *place = mmap(NULL, t->mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (place == MAP_FAILED) {
        free(t);
        out_of_memory(error);
        return NULL;
    }
    t->wamr = place;
    t->store = store;
    t->type = *type;
    t->capacity = (uint32_t)capacity;
    t->wamr->elem_type = element;
    t->wamr->cur_size = (uint32_t)type->limits.min;
    t->wamr->max_size = t->capacity;
    fill_table(t, 0, t->wamr->cur_size, NO_REFERENCE);
    store->tables[store->table_count++] = t;
    return t;
}

int aw_wamr_table_enlarge(table *table, uint64_t delta, uint32_t value, aw_error *error)
{
    uint32_t size = table->wamr->cur_size;
    if (delta > table->capacity - size) {
        aw_error_set(error, AW_ERROR_LIMIT, "a table of %u elements cannot grow by %llu: its limit is %u", size,
                     (unsigned long long)delta, table->capacity);
        return aw_error_limit(error, AW_LIMIT_TABLE, delta < AW_UNKNOWN - size ? size + delta : AW_UNKNOWN,
                              table->capacity);
    }
    fill_table(table, size, size + (uint32_t)delta, value);
    table->wamr->cur_size = size + (uint32_t)delta;
    return 0;
}

bool aw_wamr_table_grow(WASMModuleInstance *module, uint32_t index, uint32_t delta, uint32_t value)
{
    aw_error ignored;
    return aw_wamr_table_enlarge(instance_of(module)->tables[index], delta, value, &ignored) == 0;
}

// --- globals --------------------------------------------------------------------------------------------------------

uint32_t *aw_wamr_global_cells(const global *global)
{
    return (uint32_t *)(global->store->globals + global->offset);
}

global *aw_wamr_global_add(aw_store *store, const aw_globaltype *type, uint8_t wamr_type, aw_error *error)
{
    if (store->globals_used + 16 > GLOBALS_SIZE) {
        aw_error_set(error, AW_ERROR_LIMIT, "a store has room for %u globals", GLOBALS_SIZE / 16);
        return NULL;
    }
    global *g = calloc(1, sizeof(*g));
    if (g == NULL ||
        !reserve(&store->globals_list, sizeof(*store->globals_list), store->global_count, &store->global_capacity)) {
        free(g);
        out_of_memory(error);
        return NULL;
    }
    g->store = store;
    g->type = *type;
    g->wamr_type = wamr_type;
    g->offset = store->globals_used;
    store->globals_used += 16;
    store->globals_list[store->global_count++] = g;
    return g;
}

// --- instances: constant expressions ----------------------------------------------------------------------------------

// The value of *expression* as cells; false without memory. The loader has checked its type; what it calls global.get is of a global before.
static bool evaluate(instance *in, const InitializerExpression *expression, uint32_t cells[4])
{
    const WASMValue *value = &expression->u.unary.v;
    switch (expression->init_expr_type) {
    case INIT_EXPR_TYPE_I32_CONST:
    case INIT_EXPR_TYPE_F32_CONST:
        cells[0] = value->u32;
        return true;
    case INIT_EXPR_TYPE_I64_CONST:
    case INIT_EXPR_TYPE_F64_CONST:
        memcpy(cells, value, 8);
        return true;
    case INIT_EXPR_TYPE_V128_CONST:
        memcpy(cells, value, 16);
        return true;
    case INIT_EXPR_TYPE_REFNULL_CONST:
        cells[0] = NO_REFERENCE;
        return true;
    case INIT_EXPR_TYPE_FUNCREF_CONST:
        if (value->ref_index == NO_REFERENCE) {
            cells[0] = NO_REFERENCE;
            return true;
        }
        cells[0] = reference_of(in, value->ref_index);
        return cells[0] != NO_REFERENCE;
    case INIT_EXPR_TYPE_GET_GLOBAL:
        memcpy(cells, aw_wamr_global_cells(in->globals[value->global_index]), 16);
        return true;
    default: {
        uint32_t left[4], right[4];
        if (!evaluate(in, expression->u.binary.l_expr, left) || !evaluate(in, expression->u.binary.r_expr, right)) {
            return false;
        }
        uint64_t a, b, result;
        memcpy(&a, left, 8);
        memcpy(&b, right, 8);
        switch (expression->init_expr_type) {
        case INIT_EXPR_TYPE_I32_ADD:
        case INIT_EXPR_TYPE_I64_ADD:
            result = a + b;
            break;
        case INIT_EXPR_TYPE_I32_SUB:
        case INIT_EXPR_TYPE_I64_SUB:
            result = a - b;
            break;
        default:
            result = a * b;
            break;
        }
        memcpy(cells, &result, 8);  // of 32-bit results the lower cell counts; its bits do not depend on the upper
        return true;
    }
    }
}

// --- instances: linking ------------------------------------------------------------------------------------------------

static const char *const kind_names[] = {"function", "table", "memory", "global", "tag"};

static int mismatch(aw_error *error, const WASMImport *import, const char *why)
{
    return aw_error_set(error, AW_ERROR_LINK, "import %s.%s: %s", import->u.names.module_name,
                        import->u.names.field_name, why);
}

static bool limits_fit(uint64_t size, const aw_limits *given, uint64_t min, bool has_max, uint64_t max)
{
    return size >= min && (!has_max || (given->has_max && given->max <= max));
}

static int link_imports(instance *in, const aw_extern *imports, size_t import_count, aw_error *error)
{
    aw_module *module = in->module;
    const WASMModule *code = module->code;
    if (import_count != code->import_count) {
        return aw_error_set(error, AW_ERROR_LINK, "the module has %u imports, %zu were given", code->import_count,
                            import_count);
    }
    uint32_t functions = 0, tables = 0, memories = 0, globals = 0;
    for (uint32_t i = 0; i < code->import_count; i++) {
        const aw_extern *given = &imports[i];
        uint8_t kind = module->import_kinds[i];
        const WASMImport *import = kind == AW_EXTERN_FUNC     ? &code->import_functions[functions]
                                   : kind == AW_EXTERN_TABLE  ? &code->import_tables[tables]
                                   : kind == AW_EXTERN_MEMORY ? &code->import_memories[memories]
                                                              : &code->import_globals[globals];
        if (given->kind != kind) {
            char why[64];
            snprintf(why, sizeof(why), "expected a %s, got a %s", kind_names[kind], kind_names[given->kind]);
            return mismatch(error, import, why);
        }
        switch (kind) {
        case AW_EXTERN_FUNC: {
            function *f = given->func->of;
            if (f->store != in->store) {
                return mismatch(error, import, "the function belongs to another store");
            }
            if (!same_function_type(f->type, import->u.function.func_type)) {
                return mismatch(error, import, "the function has another type");
            }
            in->numbers[functions] = f->number + 1;
            fill_import(in, &in->extra.functions[functions], &in->imports[functions], f);
            functions++;
            break;
        }
        case AW_EXTERN_TABLE: {
            table *t = given->table->of;
            const table_limits *limits = &module->tables[tables];
            if (t->store != in->store) {
                return mismatch(error, import, "the table belongs to another store");
            }
            if (t->wamr->elem_type != import->u.table.table_type.elem_type) {
                return mismatch(error, import, "the table has another element type");
            }
            if (!limits_fit(t->wamr->cur_size, &t->type.limits, import->u.table.table_type.init_size, limits->has_max,
                            limits->max)) {
                return mismatch(error, import, "the table has other limits");
            }
            in->tables[tables++] = t;
            break;
        }
        case AW_EXTERN_MEMORY: {
            memory *m = given->memory->of;
            const WASMMemoryType *type = &import->u.memory.mem_type;
            if (m->store != in->store) {
                return mismatch(error, import, "the memory belongs to another store");
            }
            if (m->type.shared != ((type->flags & SHARED_MEMORY_FLAG) != 0)) {
                return mismatch(error, import, "one memory is shared, the other is not");
            }
            if (!limits_fit(m->wamr.cur_page_count, &m->type.limits, type->init_page_count,
                            (type->flags & MAX_PAGE_COUNT_FLAG) != 0, type->max_page_count)) {
                return mismatch(error, import, "the memory has other limits");
            }
            in->memories[memories++] = m;
            break;
        }
        default: {
            global *g = given->global->of;
            const WASMGlobalType *type = &import->u.global.type;
            if (g->store != in->store) {
                return mismatch(error, import, "the global belongs to another store");
            }
            if (g->wamr_type != type->val_type || g->type.is_mutable != type->is_mutable) {
                return mismatch(error, import, "the global has another type");
            }
            in->globals[globals++] = g;
            break;
        }
        }
    }
    return 0;
}

// What the module defines itself.
static int add_own(instance *in, aw_error *error)
{
    const WASMModule *code = in->module->code;
    aw_store *store = in->store;
    for (uint32_t i = 0; i < code->memory_count; i++) {
        const WASMMemory *m = &code->memories[i];
        aw_memorytype type = {
            .limits = {.min = m->init_page_count,
                       .has_max = (m->flags & MAX_PAGE_COUNT_FLAG) != 0,
                       .max = m->max_page_count},
            .shared = (m->flags & SHARED_MEMORY_FLAG) != 0,
        };
        memory *added = aw_wamr_memory_add(store, &type, error);
        if (added == NULL) {
            return -1;
        }
        in->memories[code->import_memory_count + i] = added;
    }
    for (uint32_t i = 0; i < code->table_count; i++) {
        const WASMTableType *t = &code->tables[i].table_type;
        const table_limits *limits = &in->module->tables[code->import_table_count + i];
        aw_tabletype type = {
            .element = aw_wamr_valtype_of(t->elem_type),
            .limits = {.min = t->init_size, .has_max = limits->has_max, .max = limits->max},
        };
        table *added = aw_wamr_table_add(store, &type, error);
        if (added == NULL) {
            return -1;
        }
        in->tables[code->import_table_count + i] = added;
    }
    for (uint32_t i = 0; i < code->global_count; i++) {
        const WASMGlobal *g = &code->globals[i];
        aw_globaltype type = {.value = aw_wamr_valtype_of(g->type.val_type), .is_mutable = g->type.is_mutable};
        global *added = aw_wamr_global_add(store, &type, g->type.val_type, error);
        if (added == NULL) {
            return -1;
        }
        in->globals[code->import_global_count + i] = added;
        if (!evaluate(in, &g->init_expr, aw_wamr_global_cells(added))) {
            return out_of_memory(error);
        }
    }
    return 0;
}

// The element segments, with references instead of function indices; passive ones are what table.init copies.
static int copy_segments(instance *in, aw_error *error)
{
    const WASMModule *code = in->module->code;
    if (code->table_seg_count > 0) {
        WASMTableSeg *segments = calloc(code->table_seg_count, sizeof(*segments));
        in->code.table_segments = segments;
        in->extra.common.elem_dropped = bh_bitmap_new(0, code->table_seg_count);
        if (segments == NULL || in->extra.common.elem_dropped == NULL) {
            return out_of_memory(error);
        }
        for (uint32_t i = 0; i < code->table_seg_count; i++) {
            const WASMTableSeg *original = &code->table_segments[i];
            segments[i] = *original;
            segments[i].init_values = NULL;
            if (wasm_elem_is_active(original->mode) || wasm_elem_is_declarative(original->mode)) {
                continue;
            }
            if (original->value_count > 0) {
                segments[i].init_values = calloc(original->value_count, sizeof(*segments[i].init_values));
                if (segments[i].init_values == NULL) {
                    return out_of_memory(error);
                }
            }
            for (uint32_t j = 0; j < original->value_count; j++) {
                uint32_t cells[4];
                if (!evaluate(in, &original->init_values[j], cells)) {
                    return out_of_memory(error);
                }
                segments[i].init_values[j].init_expr_type = INIT_EXPR_TYPE_FUNCREF_CONST;
                segments[i].init_values[j].u.unary.v.ref_index = cells[0];
            }
        }
    }
    if (code->data_seg_count > 0) {
        in->extra.common.data_dropped = bh_bitmap_new(0, code->data_seg_count);
        if (in->extra.common.data_dropped == NULL) {
            return out_of_memory(error);
        }
    }
    return 0;
}

static int segment_trap(aw_error *error, aw_trapcode trap, const char *text)
{
    aw_error_set(error, AW_ERROR_TRAP, "%s", text);
    error->trap = trap;
    return -1;
}

// From here on other instances may see what happens: nothing is undone.
static int apply_segments(instance *in, aw_error *error)
{
    const WASMModule *code = in->module->code;
    uint32_t cells[4];
    for (uint32_t i = 0; i < code->table_seg_count; i++) {
        const WASMTableSeg *segment = &code->table_segments[i];
        if (wasm_elem_is_active(segment->mode)) {
            table *t = in->tables[segment->table_index];
            if (!evaluate(in, &segment->base_offset, cells)) {
                return out_of_memory(error);
            }
            if ((uint64_t)cells[0] + segment->value_count > t->wamr->cur_size) {
                return segment_trap(error, AW_TRAP_TABLE_OUT_OF_BOUNDS, "out of bounds table access");
            }
            uint32_t offset = cells[0];
            for (uint32_t j = 0; j < segment->value_count; j++) {
                if (!evaluate(in, &segment->init_values[j], cells)) {
                    return out_of_memory(error);
                }
                t->wamr->elems[offset + j] = cells[0];
            }
        }
        if (wasm_elem_is_active(segment->mode) || wasm_elem_is_declarative(segment->mode)) {
            bh_bitmap_set_bit(in->extra.common.elem_dropped, i);
        }
    }
    for (uint32_t i = 0; i < code->data_seg_count; i++) {
        const WASMDataSeg *segment = code->data_segments[i];
        if (segment->is_passive) {
            continue;
        }
        memory *m = in->memories[segment->memory_index];
        if (!evaluate(in, &segment->base_offset, cells)) {
            return out_of_memory(error);
        }
        if ((uint64_t)cells[0] + segment->data_length > m->wamr.memory_data_size) {
            return segment_trap(error, AW_TRAP_MEMORY_OUT_OF_BOUNDS, "out of bounds memory access");
        }
        if (segment->data_length > 0) {
            memcpy(m->wamr.memory_data + cells[0], segment->data, segment->data_length);
        }
        bh_bitmap_set_bit(in->extra.common.data_dropped, i);
    }
    return 0;
}

// Drop what the store got last, down to these counts.
static void drop_things(aw_store *store, size_t memories, size_t tables, size_t globals)
{
    while (store->memory_count > memories) {
        memory *m = store->memories[--store->memory_count];
        munmap(m->wamr.memory_data, MEMORY_RESERVATION);
        free(m);
    }
    while (store->table_count > tables) {
        table *t = store->tables[--store->table_count];
        munmap(t->wamr, t->mapped);
        free(t);
    }
    while (store->global_count > globals) {
        free(store->globals_list[--store->global_count]);
        store->globals_used -= 16;
    }
}

static void instance_free(instance *in)
{
    if (in->name != NULL) {
        in->name->of = NULL;
    }
    if (in->code.table_segments != NULL && in->code.table_segments != in->module->code->table_segments) {
        for (uint32_t i = 0; i < in->code.table_seg_count; i++) {
            free(in->code.table_segments[i].init_values);
        }
        free(in->code.table_segments);
    }
    for (size_t i = 0; i < in->trampoline_count; i++) {
        free(in->trampolines[i]);
    }
    bh_bitmap_delete(in->extra.common.elem_dropped);
    bh_bitmap_delete(in->extra.common.data_dropped);
    free(in->trampolines);
    free(in->referenced);
    free(in->numbers);
    free(in->imports);
    free(in->memories);
    free(in->tables);
    free(in->wamr.tables);
    free(in->globals);
    free(in->extra.globals);
    free(in->extra.functions);
    aw_wamr_module_release(in->module);
    free(in);
}

// A counted array, never NULL for a count of 0.
static void *array_of(size_t count, size_t size)
{
    return calloc(count > 0 ? count : 1, size);
}

instance *aw_wamr_instance_add(aw_store *store, aw_module *module, const aw_extern *imports, size_t import_count,
                               aw_error *error)
{
    const WASMModule *code = module->code;
    if (store->instance_count >= store->limits.instances) {
        aw_error_set(error, AW_ERROR_LIMIT, "the store's limit of %llu instances is reached",
                     (unsigned long long)store->limits.instances);
        aw_error_limit(error, AW_LIMIT_INSTANCES, store->instance_count + 1, store->limits.instances);
        return NULL;
    }
    instance *in = calloc(1, sizeof(*in));
    if (in == NULL) {
        out_of_memory(error);
        return NULL;
    }
    size_t memories_before = store->memory_count;
    size_t tables_before = store->table_count;
    size_t globals_before = store->global_count;
    in->store = store;
    in->module = module;
    atomic_fetch_add(&module->holders, 1);
    in->code = *code;
    in->code.table_segments = NULL;
    in->function_count = code->import_function_count + code->function_count;
    uint32_t memory_count = code->import_memory_count + code->memory_count;
    uint32_t table_count = code->import_table_count + code->table_count;
    uint32_t global_count = code->import_global_count + code->global_count;

    in->numbers = array_of(in->function_count, sizeof(*in->numbers));
    in->imports = array_of(code->import_function_count, sizeof(*in->imports));
    in->memories = array_of(memory_count, sizeof(*in->memories));
    in->tables = array_of(table_count, sizeof(*in->tables));
    in->wamr.tables = array_of(table_count, sizeof(*in->wamr.tables));
    in->globals = array_of(global_count, sizeof(*in->globals));
    in->extra.globals = array_of(global_count, sizeof(*in->extra.globals));
    in->extra.functions = array_of(in->function_count, sizeof(*in->extra.functions));
    if (in->numbers == NULL || in->imports == NULL || in->memories == NULL || in->tables == NULL ||
        in->wamr.tables == NULL || in->globals == NULL || in->extra.globals == NULL || in->extra.functions == NULL) {
        out_of_memory(error);
        goto error;
    }

    in->wamr.module_type = Wasm_Module_Bytecode;
    in->wamr.module = &in->code;
    in->wamr.e = &in->extra;
    in->wamr.global_data = store->globals;
    in->wamr.memory_count = memory_count;
    in->wamr.memories = memory_count > 0 ? (WASMMemoryInstance **)in->memories : NULL;
    in->wamr.table_count = table_count;
    in->extra.global_count = global_count;
    in->extra.function_count = UINT32_MAX;  // references are checked against nothing: all are good
    for (uint32_t i = 0; i < code->function_count; i++) {
        WASMFunction *f = code->functions[i];
        in->extra.functions[code->import_function_count + i] = (WASMFunctionInstance){
            .u.func = f,
            .param_cell_num = f->param_cell_num,
            .ret_cell_num = f->ret_cell_num,
            .local_cell_num = f->local_cell_num,
            .param_count = f->func_type->param_count,
            .local_count = (uint16_t)f->local_count,
            .param_types = f->func_type->types,
            .local_types = f->local_types,
            .local_offsets = f->local_offsets,
            .const_cell_num = (uint16_t)f->const_cell_num,
        };
    }

    if (link_imports(in, imports, import_count, error) < 0 || add_own(in, error) < 0 || copy_segments(in, error) < 0) {
        goto error;
    }
    for (uint32_t i = 0; i < table_count; i++) {
        in->wamr.tables[i] = in->tables[i]->wamr;
    }
    for (uint32_t i = 0; i < global_count; i++) {
        in->extra.globals[i] = (WASMGlobalInstance){
            .type = in->globals[i]->wamr_type,
            .is_mutable = in->globals[i]->type.is_mutable,
            .data_offset = in->globals[i]->offset,
        };
    }
    for (uint32_t i = 0; i < code->export_count; i++) {
        if (code->exports[i].kind == EXPORT_KIND_MEMORY && strcmp(code->exports[i].name, "memory") == 0) {
            in->exported_memory = in->memories[code->exports[i].index];
        }
    }
    in->next = store->instances;
    store->instances = in;
    store->instance_count++;

    if (apply_segments(in, error) < 0) {
        return NULL;  // it stays in the store: tables of others may have its functions
    }
    if (code->start_function != UINT32_MAX) {
        function *start = aw_wamr_function_of(in, code->start_function);
        aw_raw nothing[1];
        if (start == NULL) {
            out_of_memory(error);
            return NULL;
        }
        bool ok = true;
        if (start->owner != NULL) {
            ok = run(start->owner, start->code, start->type, nothing);
        }
        else {
            aw_caller caller = {.store = store, .instance = in};
            store->depth++;
            if (start->callback(start->env, &caller, nothing) != AW_HOST_OK) {
                ok = false;
                aw_wamr_fail(in, AW_ERROR_HOST, "a host function failed");
                in->wamr.cur_exception[0] = '\0';
            }
            store->depth--;
        }
        if (!ok) {
            aw_wamr_take_failure(store, error);
            return NULL;
        }
    }
    return in;

error:
    // Nobody has seen anything of *in* yet. References to its functions may exist, in what is dropped here.
    drop_things(store, memories_before, tables_before, globals_before);
    for (uint32_t i = 0; in->numbers != NULL && i < in->function_count; i++) {
        uint32_t number = in->numbers[i] - 1;
        if (in->numbers[i] != 0 && store->references[number].owner == in) {
            store->references[number].owner = NULL;
        }
    }
    instance_free(in);
    return NULL;
}

// --- the end ---------------------------------------------------------------------------------------------------------

void aw_wamr_store_free_contents(aw_store *store)
{
    while (store->instances != NULL) {
        instance *in = store->instances;
        store->instances = in->next;
        instance_free(in);
    }
    for (uint32_t i = 0; i < store->reference_count; i++) {
        function *f = store->references[i].function;
        if (f != NULL && f->owner == NULL && f->callback != NULL) {
            if (f->env_delete != NULL) {
                f->env_delete(f->env);
            }
            free((void *)f->type);
        }
        free(f);
    }
    free(store->references);
    drop_things(store, 0, 0, 0);
    free(store->memories);
    free(store->tables);
    free(store->globals_list);
    for (size_t i = 0; i < store->foreign_count; i++) {
        if (store->foreigns[i] != NULL) {
            aw_wamr_foreign_drop(store, i);
        }
    }
    free(store->foreigns);
}

// SPDX-License-Identifier: Apache-2.0
// Walks the engine interface without Python, so that sanitizers see the engine alone: `test_engine ENGINE [LIBRARY]`.
// Where an engine lacks a capability, what needs it is skipped.

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine.h"
#include "modules.h"

// --- a test's world -----------------------------------------------------------------------------------------------

static const aw_engine_api *api;
static const char *library;
static int failures;  // of the running test

#define CHECK(condition)                                               \
    do {                                                               \
        if (!(condition)) {                                            \
            printf("    %s:%d: %s\n", __FILE__, __LINE__, #condition); \
            failures++;                                                \
        }                                                              \
    } while (0)

typedef struct thing {  // what an externref points to
    aw_foreign foreign;
    int count;
} thing;

static void foreign_drop(void *data, aw_foreign *foreign)
{
    (void)data;
    ((thing *)foreign)->count--;
}

static int polls;

static int count_polls(void *data)
{
    return ++polls >= 3 && data == NULL;
}

static const aw_host host = {.foreign_drop = foreign_drop, .poll = NULL, .data = NULL};
static const aw_storelimits no_limits = {UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX};

static aw_engine *engine;
static aw_store *store;
static aw_error error;

// Names to delete at the end of the test.
static aw_extern names[1000];
static size_t name_count;
static aw_instance *instances[100];
static const uint8_t *instance_bytes[100];  // of its module
static size_t instance_count;

static void begin(const aw_config *config, const aw_storelimits *limits, const aw_host *with)
{
    engine = api->engine_new(config, library, &error);
    if (engine == NULL) {
        printf("    no engine: %s\n", error.message);
        exit(2);
    }
    store = api->store_new(engine, with, limits, &error);
    name_count = 0;
    instance_count = 0;
}

static void delete_names(void)
{
    for (size_t i = 0; i < name_count; i++) {
        switch (names[i].kind) {
        case AW_EXTERN_FUNC:
            api->func_delete(names[i].func);
            break;
        case AW_EXTERN_TABLE:
            api->table_delete(names[i].table);
            break;
        case AW_EXTERN_MEMORY:
            api->memory_delete(names[i].memory);
            break;
        case AW_EXTERN_GLOBAL:
            api->global_delete(names[i].global);
            break;
        default:
            api->tag_delete(names[i].tag);
            break;
        }
    }
    for (size_t i = 0; i < instance_count; i++) {
        api->instance_delete(instances[i]);
    }
}

static void end(void)
{
    api->store_delete(store);
    delete_names();  // after the store: names may outlive it
    api->engine_delete(engine);
}

static bool has(uint64_t capability)
{
    return (api->engine_capabilities(engine) & capability) != 0;
}

static const aw_valtype i32 = {.kind = AW_I32}, i64 = {.kind = AW_I64}, f32 = {.kind = AW_F32}, f64 = {.kind = AW_F64},
                        v128 = {.kind = AW_V128};

static aw_extern host_function(aw_hostfunc callback, uint32_t parameters, const aw_valtype *types, uint32_t results,
                               void *env, void (*env_delete)(void *))
{
    aw_functype type = {parameters, results, types, types + parameters};
    aw_extern name = {.kind = AW_EXTERN_FUNC};
    name.func = api->func_new(store, &type, NULL, 0, callback, env, env_delete, &error);
    CHECK(name.func != NULL);
    names[name_count++] = name;
    return name;
}

static aw_instance *instantiate(const uint8_t *bytes, size_t length, const aw_extern *imports, size_t count)
{
    aw_module *module = api->module_new(engine, bytes, length, &error);
    if (module == NULL) {
        printf("    no module: %s\n", error.message);
        failures++;
        return NULL;
    }
    aw_instance *instance = api->instance_new(store, module, imports, count, &error);
    api->module_delete(module);  // before its instance
    if (instance != NULL) {
        instance_bytes[instance_count] = bytes;
        instances[instance_count++] = instance;
    }
    return instance;
}
#define INSTANTIATE(module, imports, count) instantiate(module##_wasm, sizeof(module##_wasm), imports, count)

static size_t read_number(const uint8_t **at)
{
    size_t value = 0;
    for (unsigned shift = 0;; shift += 7) {
        value |= (size_t)(**at & 0x7F) << shift;
        if (!(*(*at)++ & 0x80)) {
            return value;
        }
    }
}

// The name of a module's export *index*: its length is returned.
static size_t export_name(const uint8_t *at, uint32_t index, const char **name)
{
    for (at += 8; *at != 7;) {  // section by section, to the exports
        at++;
        size_t length = read_number(&at);
        at += length;
    }
    at++;
    read_number(&at);
    read_number(&at);
    for (;; index--) {
        size_t length = read_number(&at);
        *name = (const char *)at;
        if (index == 0) {
            return length;
        }
        at += length + 1;
        read_number(&at);
    }
}

static int get_export(aw_instance *instance, uint32_t index, aw_externkind kind, aw_extern *out, aw_error *failure)
{
    for (size_t i = 0; i < instance_count; i++) {
        if (instances[i] == instance) {
            const char *name;
            size_t length = export_name(instance_bytes[i], index, &name);
            return api->instance_export(instance, index, kind, name, length, out, failure);
        }
    }
    return -1;
}

// The index of each export is its place in the .wat.
static aw_extern export_of(aw_instance *instance, uint32_t index, aw_externkind kind)
{
    aw_extern name = {.kind = kind};
    CHECK(get_export(instance, index, kind, &name, &error) == 0);
    names[name_count++] = name;
    return name;
}

// Call with as many values as the type says.
static int call_func(aw_func *func, aw_raw *values)
{
    uint32_t parameters, results;
    api->func_type(func, &parameters, &results, NULL, 0);
    size_t count = parameters > results ? parameters : results;
    return api->func_call(func, values, count > 0 ? count : 1, &error);
}

static int call(aw_instance *instance, uint32_t index, aw_raw *values)
{
    return call_func(export_of(instance, index, AW_EXTERN_FUNC).func, values);
}

static int32_t call_int(aw_instance *instance, uint32_t index, int32_t argument)
{
    aw_raw values[2] = {{.i32 = argument}};
    CHECK(call(instance, index, values) == 0);
    return values[0].i32;
}

static void expect_trap(aw_trapcode code, const char *where, int line)
{
    // Some engines do not tell these two apart.
    bool same = error.trap == code || (code == AW_TRAP_UNDEFINED_ELEMENT && error.trap == AW_TRAP_TABLE_OUT_OF_BOUNDS);
    if (error.kind != AW_ERROR_TRAP || !same || error.message[0] == '\0') {
        printf("    %s:%d: kind %d, trap %d (expected %d): %s\n", where, line, error.kind, error.trap, code,
               error.message);
        failures++;
    }
    aw_error_clear(&error);
}
#define CHECK_TRAP(result, code)                   \
    do {                                           \
        if ((result) != -1) {                      \
            CHECK(!"should have trapped");         \
        }                                          \
        else {                                     \
            expect_trap(code, __FILE__, __LINE__); \
        }                                          \
    } while (0)

// --- host functions -------------------------------------------------------------------------------------------------

static aw_hostresult host_add(void *env, aw_caller *caller, aw_raw *values)
{
    (void)env;
    (void)caller;
    values[0].i32 = (int32_t)((uint32_t)values[0].i32 + (uint32_t)values[1].i32);
    return AW_HOST_OK;
}

static aw_hostresult host_shuffle(void *env, aw_caller *caller, aw_raw *values)
{
    (void)env;
    (void)caller;
    aw_raw copy[4];
    memcpy(copy, values, sizeof(copy));
    for (int i = 0; i < 4; i++) {
        values[i] = copy[3 - i];
    }
    return AW_HOST_OK;
}

static aw_hostresult host_fail(void *env, aw_caller *caller, aw_raw *values)
{
    (void)env;
    (void)caller;
    (void)values;
    return AW_HOST_FAILED;
}

static aw_func *again;
static int32_t deepest;

static aw_hostresult host_again(void *env, aw_caller *caller, aw_raw *values)
{
    (void)env;
    (void)caller;
    aw_error inner;
    deepest = values[0].i32;
    if (api->func_call(again, values, 1, &inner) < 0) {
        aw_error_clear(&inner);
        return AW_HOST_FAILED;
    }
    return AW_HOST_OK;
}

static int env_deletes;

static void env_delete(void *env)
{
    (void)env;
    env_deletes++;
}

enum {
    CALLS_ADD,
    CALLS_SHUFFLE,
    CALLS_ADD_HOST,
    CALLS_SHUFFLE_HOST,
    CALLS_FAIL,
    CALLS_AGAIN,
    CALLS_TAIL,
    CALLS_LOOP_HOST,
    CALLS_SPIN,
    CALLS_COUNT,
    CALLS_SUM20
};

static aw_instance *calls(void)
{
    const aw_valtype ints[] = {i32, i32, i32};
    const aw_valtype mixed[] = {i32, i64, f32, f64, f64, f32, i64, i32};
    aw_extern imports[] = {
        host_function(host_add, 2, ints, 1, NULL, env_delete),
        host_function(host_shuffle, 4, mixed, 4, NULL, NULL),
        host_function(host_fail, 0, NULL, 0, NULL, NULL),
        host_function(host_again, 1, ints, 1, NULL, NULL),
    };
    aw_instance *instance = INSTANTIATE(calls, imports, 4);
    again = export_of(instance, CALLS_AGAIN, AW_EXTERN_FUNC).func;
    return instance;
}

// --- calls ------------------------------------------------------------------------------------------------------------

static void a_call_returns_its_result(void)
{
    aw_instance *instance = calls();
    aw_raw values[2] = {{.i32 = 40}, {.i32 = 2}};
    CHECK(call(instance, CALLS_ADD, values) == 0);
    CHECK(values[0].i32 == 42);
}

static void several_results_of_all_number_types_come_in_order(void)
{
    aw_instance *instance = calls();
    for (uint32_t index = CALLS_SHUFFLE; index <= CALLS_SHUFFLE_HOST;
         index += 2) {  // of the guest's, and of the host's
        aw_raw values[4] = {{.i32 = -1}, {.i64 = INT64_MIN}, {.f32 = 1.5f}, {.f64 = -2.25}};
        CHECK(call(instance, index, values) == 0);
        CHECK(values[0].f64 == -2.25 && values[1].f32 == 1.5f && values[2].i64 == INT64_MIN && values[3].i32 == -1);
    }
}

static void host_functions_are_called_and_can_be_called_in_tail_position(void)
{
    aw_instance *instance = calls();
    for (int i = 0; i < 2; i++) {
        aw_raw values[2] = {{.i32 = 40}, {.i32 = 2}};
        CHECK(call(instance, i == 0 ? CALLS_ADD_HOST : CALLS_TAIL, values) == 0);
        CHECK(values[0].i32 == 42);
    }
    CHECK(call_int(instance, CALLS_LOOP_HOST, 1000) == 1000);
}

static void many_parameters_arrive(void)
{
    aw_instance *instance = calls();
    aw_raw values[20];
    for (int i = 0; i < 20; i++) {
        values[i].i32 = i;
    }
    CHECK(call(instance, CALLS_SUM20, values) == 0);
    CHECK(values[0].i32 == 29);
}

static void values_survive_blocks_whose_ends_are_not_reached(void)
{
    aw_instance *blocks = INSTANTIATE(blocks, NULL, 0);
    aw_raw values[2] = {{.i32 = 0}};
    CHECK(call(blocks, 0, values) == 0 && values[0].i32 == 7);
    values[0].i32 = 0;
    CHECK(call(blocks, 1, values) == 0 && values[0].i32 == 2 && values[1].i64 == 3);
    values[0].i32 = 1;
    CHECK(call(blocks, 1, values) == 0 && values[0].i32 == 1 && values[1].i64 == 4);
}

static void a_host_function_can_be_called_from_the_host(void)
{
    const aw_valtype ints[] = {i32, i32, i32};
    aw_extern function = host_function(host_add, 2, ints, 1, NULL, NULL);
    aw_raw values[2] = {{.i32 = 1}, {.i32 = 2}};
    CHECK(call_func(function.func, values) == 0);
    CHECK(values[0].i32 == 3);
}

static void a_failing_host_function_unwinds_the_guest(void)
{
    aw_instance *instance = calls();
    aw_raw values[1] = {{.i32 = 1}};
    CHECK(call(instance, CALLS_FAIL, values) == -1);
    CHECK(error.kind == AW_ERROR_HOST);
    aw_error_clear(&error);
    values[0].i32 = 0;
    CHECK(call(instance, CALLS_FAIL, values) == 0);  // and it can be called again
}

static void guest_and_host_call_each_other(void)
{
    aw_instance *instance = calls();
    CHECK(call_int(instance, CALLS_AGAIN, 50) == 50);
}

static void endless_recursion_through_the_host_is_a_trap(void)
{
    aw_instance *instance = calls();
    aw_raw values[1] = {{.i32 = INT32_MAX}};
    CHECK(call(instance, CALLS_AGAIN, values) == -1);
    CHECK(error.kind == AW_ERROR_HOST);  // the innermost call trapped, all others failed for their host function
    aw_error_clear(&error);
    CHECK(deepest < INT32_MAX - 100);
    CHECK(call_int(instance, CALLS_AGAIN, 5) == 5);
}

static void env_delete_is_called_once_for_each_function(void)
{
    env_deletes = 0;
    calls();
    calls();
    api->store_delete(store);
    CHECK(env_deletes == 2);
    store = api->store_new(engine, &host, &no_limits, &error);
}

static void the_type_of_a_function_is_told(void)
{
    aw_instance *instance = calls();
    aw_valtype types[8];
    uint32_t parameters, results;
    api->func_type(export_of(instance, CALLS_SHUFFLE, AW_EXTERN_FUNC).func, &parameters, &results, types, 8);
    CHECK(parameters == 4 && results == 4);
    CHECK(types[0].kind == AW_I32 && types[3].kind == AW_F64 && types[4].kind == AW_F64 && types[7].kind == AW_I32);
    api->func_type(export_of(instance, CALLS_SHUFFLE, AW_EXTERN_FUNC).func, &parameters, &results, NULL, 0);
    CHECK(parameters == 4 && results == 4);
}

// --- linking ----------------------------------------------------------------------------------------------------------

static void wrong_imports_are_link_errors(void)
{
    const aw_valtype ints[] = {i32, i64, i32};
    aw_extern wrong = host_function(host_add, 2, ints, 1, NULL, NULL);
    aw_extern imports[] = {wrong, wrong, wrong, wrong};
    CHECK(INSTANTIATE(calls, imports, 4) == NULL);
    CHECK(error.kind == AW_ERROR_LINK && error.message[0] != '\0');
    aw_error_clear(&error);
}

enum {
    THINGS_MEMORY,
    THINGS_TABLE,
    THINGS_EXTERNS,
    THINGS_COUNTER,
    THINGS_CONSTANT,
    THINGS_EXTERN,
    THINGS_FUNCTION,
    THINGS_SEVEN,
    THINGS_GET_COUNTER,
    THINGS_SET_COUNTER,
    THINGS_PEEK,
    THINGS_POKE,
    THINGS_CALL,
    THINGS_INIT,
    THINGS_SAME,
    THINGS_IS_NULL,
    THINGS_SAME_FUNC,
    THINGS_PUT,
    THINGS_TABLE_GROW,
    THINGS_GET_EXTERN,
    THINGS_GROW
};
enum {
    USER_COPIED,
    USER_NINE,
    USER_CALL_SEVEN,
    USER_CALL,
    USER_PEEK,
    USER_GROW,
    USER_SIZE,
    USER_COPY_COUNTER,
    USER_SET_COUNTER,
    USER_REFERENCE,
    USER_FILL_TABLE
};

static aw_instance *user_of(aw_instance *things)
{
    aw_extern imports[] = {
        export_of(things, THINGS_MEMORY, AW_EXTERN_MEMORY),  export_of(things, THINGS_TABLE, AW_EXTERN_TABLE),
        export_of(things, THINGS_COUNTER, AW_EXTERN_GLOBAL), export_of(things, THINGS_CONSTANT, AW_EXTERN_GLOBAL),
        export_of(things, THINGS_SEVEN, AW_EXTERN_FUNC),
    };
    aw_instance *user = INSTANTIATE(user, imports, 5);
    if (user == NULL) {
        printf("    %s\n", error.message);
    }
    return user;
}

static void instances_share_memory(void)
{
    aw_instance *things = INSTANTIATE(things, NULL, 0);
    aw_instance *user = user_of(things);
    CHECK(call_int(things, THINGS_PEEK, 20) == 'f' && call_int(user, USER_PEEK, 10) == 'h');
    CHECK(call_int(user, USER_GROW, 2) == 1 && call_int(things, THINGS_GROW, 1) == 3 &&
          call_int(user, USER_SIZE, 0) == 4);
    aw_raw values[2] = {{.i32 = 4 * 65536 - 1}, {.i32 = 99}};
    CHECK(call(things, THINGS_POKE, values) == 0);
    CHECK(call_int(user, USER_PEEK, 4 * 65536 - 1) == 99);
    values[0].i32 = 4 * 65536;
    CHECK_TRAP(call(user, USER_PEEK, values), AW_TRAP_MEMORY_OUT_OF_BOUNDS);
}

static void instances_share_tables_and_call_each_others_functions(void)
{
    aw_instance *things = INSTANTIATE(things, NULL, 0);
    aw_instance *user = user_of(things);
    CHECK(call_int(user, USER_CALL_SEVEN, 0) == 7);
    CHECK(call_int(things, THINGS_CALL, 1) == 7 && call_int(things, THINGS_CALL, 3) == 9);
    CHECK(call_int(user, USER_CALL, 1) == 7 && call_int(user, USER_CALL, 3) == 9);
    call_int(things, THINGS_INIT, 1);
    CHECK(call_int(user, USER_CALL, 1) == 8);
    aw_raw values[1] = {{.i32 = 2}};
    CHECK_TRAP(call(user, USER_CALL, values), AW_TRAP_UNINITIALIZED_ELEMENT);
    call_int(user, USER_FILL_TABLE, 2);
    CHECK(call_int(things, THINGS_CALL, 2) == 7);
    values[0].i32 = 4;
    CHECK_TRAP(call(things, THINGS_CALL, values), AW_TRAP_UNDEFINED_ELEMENT);
}

static void instances_share_globals(void)
{
    aw_instance *things = INSTANTIATE(things, NULL, 0);
    aw_instance *user = user_of(things);
    call_int(things, THINGS_SET_COUNTER, 11);
    CHECK(call_int(user, USER_COPY_COUNTER, 0) == 11);
    call_int(user, USER_SET_COUNTER, 12);
    CHECK(call_int(things, THINGS_GET_COUNTER, 0) == 12);
    aw_raw value;
    CHECK(api->global_get(export_of(user, USER_COPIED, AW_EXTERN_GLOBAL).global, &value, &error) == 0);
    CHECK(value.i64 == -7);
}

static void what_a_failing_instance_wrote_stays(void)
{
    aw_instance *things = INSTANTIATE(things, NULL, 0);
    aw_extern table = export_of(things, THINGS_TABLE, AW_EXTERN_TABLE);
    CHECK(INSTANTIATE(late, &table, 1) == NULL);
    expect_trap(AW_TRAP_MEMORY_OUT_OF_BOUNDS, __FILE__, __LINE__);
    CHECK(call_int(things, THINGS_CALL, 2) == 11);
}

static int32_t noted;

static aw_hostresult host_note(void *env, aw_caller *caller, aw_raw *values)
{
    (void)env;
    (void)caller;
    noted = values[0].i32;
    return AW_HOST_OK;
}

static void a_start_function_runs_and_may_trap(void)
{
    noted = 0;
    aw_extern note = host_function(host_note, 1, &i32, 0, NULL, NULL);
    CHECK(INSTANTIATE(starts, &note, 1) == NULL);
    CHECK(noted == 42);
    expect_trap(AW_TRAP_UNREACHABLE, __FILE__, __LINE__);
}

static void names_of_one_thing_have_equal_keys(void)
{
    aw_instance *things = INSTANTIATE(things, NULL, 0);
    for (uint32_t index = THINGS_MEMORY; index <= THINGS_SEVEN; index++) {
        static const aw_externkind kinds[] = {AW_EXTERN_MEMORY, AW_EXTERN_TABLE,  AW_EXTERN_TABLE,  AW_EXTERN_GLOBAL,
                                              AW_EXTERN_GLOBAL, AW_EXTERN_GLOBAL, AW_EXTERN_GLOBAL, AW_EXTERN_FUNC};
        aw_extern a = export_of(things, index, kinds[index]), b = export_of(things, index, kinds[index]);
        aw_extern other = index == THINGS_SEVEN ? export_of(things, THINGS_PEEK, AW_EXTERN_FUNC)
                                                : export_of(things, THINGS_SEVEN, AW_EXTERN_FUNC);
        uint64_t first[2], second[2], third[2];
        api->extern_key(&a, first);
        api->extern_key(&b, second);
        api->extern_key(&other, third);
        CHECK(memcmp(first, second, sizeof(first)) == 0 && memcmp(first, third, sizeof(first)) != 0);
    }
}

// --- traps ------------------------------------------------------------------------------------------------------------

enum {
    TRAPS_MEMORY,
    TRAPS_TABLE,
    TRAPS_UNREACHABLE,
    TRAPS_DEEP,
    TRAPS_DIVIDE,
    TRAPS_TRUNCATE,
    TRAPS_LOAD,
    TRAPS_LOAD_FAR,
    TRAPS_STORE,
    TRAPS_FILL,
    TRAPS_INDIRECT,
    TRAPS_TABLE_GET,
    TRAPS_RECURSE,
    TRAPS_GROW,
    TRAPS_SIZE
};

static void traps_have_their_codes(void)
{
    aw_instance *traps = INSTANTIATE(traps, NULL, 0);
    aw_raw values[2];
    static const struct {
        uint32_t export;
        aw_raw values[2];
        aw_trapcode code;
    } cases[] = {
        {TRAPS_UNREACHABLE, {{0}}, AW_TRAP_UNREACHABLE},
        {TRAPS_DIVIDE, {{.i32 = 1}, {.i32 = 0}}, AW_TRAP_INTEGER_DIVIDE_BY_ZERO},
        {TRAPS_DIVIDE, {{.i32 = INT32_MIN}, {.i32 = -1}}, AW_TRAP_INTEGER_OVERFLOW},
        {TRAPS_TRUNCATE, {{.f64 = 1e300}}, AW_TRAP_INTEGER_OVERFLOW},
        {TRAPS_TRUNCATE, {{.bits = {UINT64_C(0x7FF8000000000000)}}}, AW_TRAP_INVALID_CONVERSION_TO_INTEGER},
        {TRAPS_LOAD, {{.i32 = 65536}}, AW_TRAP_MEMORY_OUT_OF_BOUNDS},
        {TRAPS_LOAD, {{.i32 = 65533}}, AW_TRAP_MEMORY_OUT_OF_BOUNDS},
        {TRAPS_LOAD, {{.i32 = -1}}, AW_TRAP_MEMORY_OUT_OF_BOUNDS},
        {TRAPS_LOAD_FAR, {{.i32 = -1}}, AW_TRAP_MEMORY_OUT_OF_BOUNDS},
        {TRAPS_STORE, {{.i32 = -4}, {.i32 = 1}}, AW_TRAP_MEMORY_OUT_OF_BOUNDS},
        {TRAPS_FILL, {{.i32 = 65000}, {.i32 = 1000}}, AW_TRAP_MEMORY_OUT_OF_BOUNDS},
        {TRAPS_INDIRECT, {{.i32 = 4}}, AW_TRAP_UNDEFINED_ELEMENT},
        {TRAPS_INDIRECT, {{.i32 = 2}}, AW_TRAP_UNINITIALIZED_ELEMENT},
        {TRAPS_INDIRECT, {{.i32 = 1}}, AW_TRAP_INDIRECT_CALL_TYPE_MISMATCH},
        {TRAPS_INDIRECT, {{.i32 = 0}}, AW_TRAP_UNREACHABLE},
        {TRAPS_TABLE_GET, {{.i32 = 2}}, AW_TRAP_TABLE_OUT_OF_BOUNDS},
        {TRAPS_RECURSE, {{0}}, AW_TRAP_STACK_EXHAUSTED},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        memcpy(values, cases[i].values, sizeof(values));
        CHECK_TRAP(call(traps, cases[i].export, values), cases[i].code);
    }
    CHECK(call_int(traps, TRAPS_SIZE, 0) == 1);
}

static void a_trap_has_the_frames_that_led_to_it(void)
{
    aw_instance *traps = INSTANTIATE(traps, NULL, 0);
    aw_raw values[1];
    CHECK(call(traps, TRAPS_DEEP, values) == -1);
    CHECK(error.frame_count == 3);
    if (error.frame_count == 3) {
        CHECK(error.frames[0].function_index == 0 && error.frames[1].function_index == 3 &&
              error.frames[2].function_index == 2);
        CHECK(error.frames[0].instance == NULL || error.frames[0].instance == traps);
    }
    aw_error_clear(&error);
}

// Does the module have *opcode* at the offset of the first frame?
static bool trapped_at(const uint8_t *module, size_t length, uint8_t opcode)
{
    bool is = error.frame_count > 0 && error.frames[0].module_offset < length &&
              module[error.frames[0].module_offset] == opcode;
    aw_error_clear(&error);
    return is;
}

static void the_offset_of_a_frame_is_that_of_its_instruction(void)
{
    aw_instance *traps = INSTANTIATE(traps, NULL, 0);
    aw_raw values[2] = {{.i32 = 1}, {.i32 = 0}};
    CHECK(call(traps, TRAPS_DIVIDE, values) == -1 && trapped_at(traps_wasm, sizeof(traps_wasm), 0x6D));
    CHECK(call(traps, TRAPS_UNREACHABLE, values) == -1 && trapped_at(traps_wasm, sizeof(traps_wasm), 0x00));
    values[0].i32 = -1;
    CHECK(call(traps, TRAPS_LOAD, values) == -1 && trapped_at(traps_wasm, sizeof(traps_wasm), 0x28));
    CHECK(call(traps, TRAPS_DEEP, values) == -1 && error.frame_count == 3);
    for (size_t i = 1; i < error.frame_count; i++) {
        CHECK(traps_wasm[error.frames[i].module_offset] == 0x10);  // call
    }
    aw_error_clear(&error);
}

static void *trap_in_a_thread(void *argument)
{
    (void)argument;
    aw_error here;
    aw_instance *instance = instances[0];
    for (int i = 0; i < 100; i++) {
        aw_extern name;
        aw_raw values[1] = {{.i32 = 70000}};
        CHECK(get_export(instance, TRAPS_LOAD, AW_EXTERN_FUNC, &name, &here) == 0);
        CHECK(api->func_call(name.func, values, 1, &here) == -1 && here.trap == AW_TRAP_MEMORY_OUT_OF_BOUNDS);
        aw_error_clear(&here);
        api->func_delete(name.func);
    }
    return NULL;
}

static void a_store_may_be_used_by_one_thread_after_another(void)
{
    INSTANTIATE(traps, NULL, 0);
    for (int i = 0; i < 3; i++) {
        pthread_t thread;
        pthread_create(&thread, NULL, trap_in_a_thread, NULL);
        pthread_join(thread, NULL);
        trap_in_a_thread(NULL);
    }
}

static void *hammer_thread(void *bytes)
{
    (void)bytes;
    aw_error here;
    for (int i = 0; i < 20; i++) {
        aw_store *own = api->store_new(engine, &host, &no_limits, &here);
        aw_module *module = api->module_new(engine, traps_wasm, sizeof(traps_wasm), &here);
        aw_instance *instance = api->instance_new(own, module, NULL, 0, &here);
        aw_extern name;
        api->instance_export(instance, TRAPS_LOAD, AW_EXTERN_FUNC, "load", 4, &name, &here);
        for (int j = 0; j < 50; j++) {
            aw_raw values[1] = {{.i32 = j * 65536}};
            int result = api->func_call(name.func, values, 1, &here);
            CHECK(j == 0 ? result == 0 : result == -1 && here.trap == AW_TRAP_MEMORY_OUT_OF_BOUNDS);
            if (result < 0) {
                aw_error_clear(&here);
            }
        }
        api->module_delete(module);
        api->store_delete(own);
        api->func_delete(name.func);
        api->instance_delete(instance);
    }
    return NULL;
}

static void hammer_stores_of_four_threads_at_once(void)
{
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) {
        pthread_create(&threads[i], NULL, hammer_thread, NULL);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
    }
}

// --- memories, tables, globals ------------------------------------------------------------------------------------------

static void a_memory_grows_from_both_sides_and_does_not_move(void)
{
    aw_instance *traps = INSTANTIATE(traps, NULL, 0);
    aw_memory *memory = export_of(traps, TRAPS_MEMORY, AW_EXTERN_MEMORY).memory;
    uint8_t *base, *later;
    size_t bytes;
    uint64_t previous;
    api->memory_data(memory, &base, &bytes);
    CHECK(bytes == 65536);
    CHECK(api->memory_grow(memory, 1, &previous, &error) == 0 && previous == 1);
    CHECK(call_int(traps, TRAPS_GROW, 1) == 2);
    CHECK(call_int(traps, TRAPS_GROW, 1) == -1);
    CHECK(api->memory_grow(memory, 1, &previous, &error) == -1 && error.kind == AW_ERROR_LIMIT);
    CHECK(api->memory_grow(memory, UINT64_MAX, &previous, &error) == -1);
    CHECK(api->memory_grow(memory, 0, &previous, &error) == 0 && previous == 3);
    api->memory_data(memory, &later, &bytes);
    CHECK(bytes == 3 * 65536);
    if (has(AW_CAP_STABLE_MEMORY)) {
        CHECK(later == base);
    }
    later[bytes - 4] = 77;
    CHECK(call_int(traps, TRAPS_LOAD, 3 * 65536 - 4) == 77);
    aw_memorytype type;
    api->memory_type(memory, &type);
    CHECK(type.limits.has_max && type.limits.max == 3 && type.limits.min <= 3 && !type.shared);
}

static void a_memory_of_the_host_has_the_asked_size(void)
{
    aw_memorytype type = {.limits = {.min = 2, .max = 5, .has_max = true}};
    aw_memory *memory = api->memory_new(store, &type, &error);
    CHECK(memory != NULL);
    uint8_t *base;
    size_t bytes;
    api->memory_data(memory, &base, &bytes);
    CHECK(bytes == 2 * 65536 && base[bytes - 1] == 0);
    api->memory_delete(memory);
    type.limits.min = 70000;
    type.limits.has_max = false;
    CHECK(api->memory_new(store, &type, &error) == NULL);
}

static void a_table_is_read_written_and_grown(void)
{
    aw_instance *things = INSTANTIATE(things, NULL, 0);
    aw_table *table = export_of(things, THINGS_TABLE, AW_EXTERN_TABLE).table;
    aw_raw value, null = {.bits = {0, 0}};
    uint64_t previous;
    CHECK(api->table_size(table) == 4);
    CHECK(api->table_get(table, 0, &value, &error) == 0 && value.bits[0] == 0);
    CHECK(api->table_get(table, 1, &value, &error) == 0 && value.bits[0] != 0);
    CHECK(api->table_set(table, 0, &value, &error) == 0);
    CHECK(call_int(things, THINGS_CALL, 0) == 7);
    CHECK(api->table_set(table, 0, &null, &error) == 0);
    CHECK(api->table_grow(table, 2, &value, &previous, &error) == 0 && previous == 4);
    CHECK(call_int(things, THINGS_CALL, 5) == 7);
    CHECK(call_int(things, THINGS_TABLE_GROW, 94) == 6);
    CHECK(call_int(things, THINGS_TABLE_GROW, 1) == -1);
    CHECK(api->table_grow(table, 1, &null, &previous, &error) == -1 && error.kind == AW_ERROR_LIMIT);
    CHECK(call_int(things, THINGS_CALL, 99) == 7);
}

static aw_hostresult host_ten(void *env, aw_caller *caller, aw_raw *values)
{
    (void)env;
    (void)caller;
    values[0].i32 = 10;
    return AW_HOST_OK;
}

static void a_host_function_can_be_called_through_a_table(void)
{
    aw_instance *things = INSTANTIATE(things, NULL, 0);
    aw_extern function = host_function(host_ten, 0, &i32, 1, NULL, NULL);
    aw_table *table = export_of(things, THINGS_TABLE, AW_EXTERN_TABLE).table;
    aw_raw value, back;
    CHECK(api->func_to_raw(function.func, &value, &error) == 0);
    CHECK(api->table_set(table, 0, &value, &error) == 0);
    CHECK(api->table_get(table, 0, &back, &error) == 0);
    aw_extern again_name = {.kind = AW_EXTERN_FUNC, .func = api->func_from_raw(store, &back, &error)};
    names[name_count++] = again_name;
    uint64_t first[2], second[2];
    api->extern_key(&function, first);
    api->extern_key(&again_name, second);
    CHECK(memcmp(first, second, sizeof(first)) == 0);
    CHECK(call_int(things, THINGS_CALL, 0) == 10);
}

static void globals_are_read_and_written(void)
{
    aw_instance *things = INSTANTIATE(things, NULL, 0);
    aw_global *counter = export_of(things, THINGS_COUNTER, AW_EXTERN_GLOBAL).global;
    aw_raw value;
    CHECK(api->global_get(counter, &value, &error) == 0 && value.i32 == 5);
    value.i32 = 6;
    CHECK(api->global_set(counter, &value, &error) == 0);
    CHECK(call_int(things, THINGS_GET_COUNTER, 0) == 6);
    aw_globaltype type;
    api->global_type(counter, &type);
    CHECK(type.is_mutable && type.value.kind == AW_I32);
    CHECK(api->global_get(export_of(things, THINGS_FUNCTION, AW_EXTERN_GLOBAL).global, &value, &error) == 0);
    aw_func *seven = api->func_from_raw(store, &value, &error);
    aw_raw result[1];
    CHECK(call_func(seven, result) == 0 && result[0].i32 == 7);
    api->func_delete(seven);
    aw_raw initial = {.f64 = 2.5};
    type = (aw_globaltype){.value = f64, .is_mutable = false};
    aw_global *own = api->global_new(store, &type, &initial, &error);
    CHECK(api->global_get(own, &value, &error) == 0 && value.f64 == 2.5);
    api->global_delete(own);
}

// --- references ---------------------------------------------------------------------------------------------------------

static void external_references_come_back_as_themselves(void)
{
    aw_instance *things = INSTANTIATE(things, NULL, 0);
    thing one = {.count = 0}, two = {.count = 0};
    aw_ref ref;
    aw_raw value;
    for (int i = 0; i < 3; i++) {
        thing *it = i % 2 ? &two : &one;
        it->count++;
        CHECK(api->externref_new(store, &it->foreign, &ref, &error) == 0);
        api->ref_to_raw(store, AW_REF_EXTERN, &ref, &value);
        CHECK(call(things, THINGS_SAME, &value) == 0);
        api->ref_drop(AW_REF_EXTERN, &ref);
        CHECK(api->ref_from_raw(store, AW_REF_EXTERN, &value, &ref, &error) == 0);
        CHECK(api->externref_foreign(store, &ref) == &it->foreign);
        aw_ref copy;
        api->ref_clone(AW_REF_EXTERN, &ref, &copy);
        CHECK(api->externref_foreign(store, &copy) == &it->foreign);
        api->ref_drop(AW_REF_EXTERN, &copy);
        api->ref_to_raw(store, AW_REF_EXTERN, &ref, &value);
        CHECK(call(things, THINGS_IS_NULL, &value) == 0 && value.i32 == 0);
        api->ref_to_raw(store, AW_REF_EXTERN, &ref, &value);
        CHECK(api->global_set(export_of(things, THINGS_EXTERN, AW_EXTERN_GLOBAL).global, &value, &error) == 0);
        CHECK(call(things, THINGS_GET_EXTERN, &value) == 0);
        api->ref_drop(AW_REF_EXTERN, &ref);
        CHECK(api->ref_from_raw(store, AW_REF_EXTERN, &value, &ref, &error) == 0);
        CHECK(api->externref_foreign(store, &ref) == &it->foreign);
        api->ref_drop(AW_REF_EXTERN, &ref);
    }
    aw_raw null = {.bits = {0, 0}};
    CHECK(call(things, THINGS_IS_NULL, &null) == 0 && null.i32 == 1);
    aw_raw other = {.bits = {0, 0}};
    CHECK(call(things, THINGS_SAME, &other) == 0 && other.bits[0] == 0);
    api->store_delete(store);
    CHECK(one.count == 0 && two.count == 0);
    store = api->store_new(engine, &host, &no_limits, &error);
}

static aw_hostresult host_collect(void *env, aw_caller *caller, aw_raw *values)
{
    (void)caller;
    (void)values;
    thing *held = env;
    CHECK(api->store_gc(store, &error) == 0);
    CHECK(held->count == 1);  // the caller has it in a local
    return AW_HOST_OK;
}

static void external_references_are_collected_when_nobody_has_them(void)
{
    static thing things[1000], local;
    aw_instance *holder = INSTANTIATE(things, NULL, 0);
    aw_global *global = export_of(holder, THINGS_EXTERN, AW_EXTERN_GLOBAL).global;
    aw_table *table = export_of(holder, THINGS_EXTERNS, AW_EXTERN_TABLE).table;
    aw_func *same = export_of(holder, THINGS_SAME, AW_EXTERN_FUNC).func;
    aw_ref held, ref;
    aw_raw value;
    for (int i = 0; i < 1000; i++) {
        things[i].count = 1;
        CHECK(api->externref_new(store, &things[i].foreign, &ref, &error) == 0);
        api->ref_to_raw(store, AW_REF_EXTERN, &ref, &value);
        CHECK(i != 1 || api->global_set(global, &value, &error) == 0);
        CHECK(i != 2 || api->table_set(table, 0, &value, &error) == 0);
        if (i == 3) {
            api->ref_clone(AW_REF_EXTERN, &ref, &held);
        }
        api->ref_drop(AW_REF_EXTERN, &ref);
        CHECK(call_func(same, &value) == 0);
    }
    CHECK(api->store_gc(store, &error) == 0);
    int alive = 0;
    for (int i = 0; i < 1000; i++) {
        alive += things[i].count;
    }
    CHECK(alive == 3 && things[1].count == 1 && things[2].count == 1 && things[3].count == 1);
    CHECK(api->externref_foreign(store, &held) == &things[3].foreign);
    api->ref_drop(AW_REF_EXTERN, &held);
    CHECK(api->store_gc(store, &error) == 0 && things[3].count == 0);

    const aw_valtype reference = {.kind = AW_REF, .heap = AW_HEAP_EXTERN, .nullable = 1};
    aw_extern collect = host_function(host_collect, 1, &reference, 0, &local, NULL);
    aw_instance *passes = INSTANTIATE(passes, &collect, 1);
    local.count = 1;
    CHECK(api->externref_new(store, &local.foreign, &ref, &error) == 0);
    api->ref_to_raw(store, AW_REF_EXTERN, &ref, &value);
    api->ref_drop(AW_REF_EXTERN, &ref);
    CHECK(call(passes, 0, &value) == 0);
    CHECK(api->ref_from_raw(store, AW_REF_EXTERN, &value, &held, &error) == 0);
    CHECK(api->externref_foreign(store, &held) == &local.foreign);
    api->store_delete(store);
    CHECK(local.count == 0);
    api->ref_drop(AW_REF_EXTERN, &held);  // may outlive its store
    store = api->store_new(engine, &host, &no_limits, &error);
}

static void function_references_travel(void)
{
    aw_instance *things = INSTANTIATE(things, NULL, 0);
    aw_instance *user = user_of(things);
    aw_raw value;
    CHECK(call(user, USER_REFERENCE, &value) == 0 && value.bits[0] != 0);  // a function of *user* …
    aw_raw same = value;
    CHECK(call(things, THINGS_SAME_FUNC, &same) == 0 && same.func == value.func);
    aw_raw values[2] = {{.i32 = 2}, value};
    CHECK(call(things, THINGS_PUT, values) == 0);  // … that *things* puts into its table …
    CHECK(call_int(things, THINGS_CALL, 2) == 9);  // … and calls
    aw_raw null = {.bits = {0, 0}};
    CHECK(call(things, THINGS_SAME_FUNC, &null) == 0 && null.bits[0] == 0);
}

// --- limits and interruption ------------------------------------------------------------------------------------------------

static void limits_of_a_store_hold(void)
{
    end();
    aw_storelimits limits = {
        .memory_bytes = 2 * 65536, .table_elements = 5, .instances = 2, .memories = 3, .tables = 10};
    begin(&(aw_config){0}, &limits, &host);
    aw_instance *things = INSTANTIATE(things, NULL, 0);
    CHECK(call_int(things, THINGS_GROW, 1) == 1);
    CHECK(call_int(things, THINGS_GROW, 1) == -1);
    CHECK(call_int(things, THINGS_TABLE_GROW, 1) == 4);
    CHECK(call_int(things, THINGS_TABLE_GROW, 1) == -1);
    uint64_t previous;
    CHECK(api->memory_grow(export_of(things, THINGS_MEMORY, AW_EXTERN_MEMORY).memory, 1, &previous, &error) == -1);
    CHECK(error.kind == AW_ERROR_LIMIT);
    aw_memorytype type = {.limits = {.min = 3}};
    CHECK(api->memory_new(store, &type, &error) == NULL && error.kind == AW_ERROR_LIMIT);
    INSTANTIATE(traps, NULL, 0);
    aw_module *module = api->module_new(engine, traps_wasm, sizeof(traps_wasm), &error);
    CHECK(api->instance_new(store, module, NULL, 0, &error) == NULL && error.kind == AW_ERROR_LIMIT);
    api->module_delete(module);
}

static void *interrupt_soon(void *target)
{
    nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    api->store_interrupt(target);
    return NULL;
}

static void an_endless_loop_is_interrupted(void)
{
    end();
    begin(&(aw_config){.interruptible = true}, &no_limits, &host);
    aw_instance *instance = calls();
    for (int i = 0; i < 2; i++) {
        pthread_t thread;
        pthread_create(&thread, NULL, interrupt_soon, store);
        aw_raw values[1];
        CHECK(call(instance, CALLS_SPIN, values) == -1 && error.kind == AW_ERROR_INTERRUPTED);
        aw_error_clear(&error);
        pthread_join(thread, NULL);
    }
    CHECK(call_int(instance, CALLS_LOOP_HOST, 10) == 10);  // the wish is used up
    api->store_interrupt(store);
    api->store_uninterrupt(store);
    CHECK(call_int(instance, CALLS_LOOP_HOST, 10) == 10);
    api->store_interrupt(store);
    aw_raw values[1];
    CHECK(call(instance, CALLS_SPIN, values) == -1 && error.kind == AW_ERROR_INTERRUPTED);
    aw_error_clear(&error);
}

static void *interrupt_later(void *target)
{
    nanosleep(&(struct timespec){.tv_sec = 1}, NULL);
    api->store_interrupt(target);
    return NULL;
}

static void the_host_is_polled_where_the_engine_can_and_may_stop_a_call(void)
{
    end();
    begin(&(aw_config){.interruptible = true}, &no_limits,
          &(aw_host){.foreign_drop = foreign_drop, .poll = count_polls});
    aw_instance *instance = calls();
    polls = 0;
    aw_raw values[1];
    pthread_t thread;
    pthread_create(&thread, NULL, interrupt_later, store);
    CHECK(call(instance, CALLS_SPIN, values) == -1);
    CHECK((error.kind == AW_ERROR_HOST && polls == 3) || (error.kind == AW_ERROR_INTERRUPTED && polls == 0));
    aw_error_clear(&error);
    pthread_join(thread, NULL);
}

static void fuel_runs_out(void)
{
    end();
    begin(&(aw_config){.fuel = true}, &no_limits, &host);
    aw_instance *instance = calls();
    uint64_t before = 1000000, after, twice;
    CHECK(api->store_set_fuel(store, before, &error) == 0);
    call_int(instance, CALLS_COUNT, 100);
    CHECK(api->store_get_fuel(store, &after, &error) == 0 && after < before - 100 && after > before - 10000);
    call_int(instance, CALLS_COUNT, 200);
    CHECK(api->store_get_fuel(store, &twice, &error) == 0 && after - twice > before - after);
    aw_raw values[1];
    CHECK(call(instance, CALLS_SPIN, values) == -1 && error.kind == AW_ERROR_FUEL);
    aw_error_clear(&error);
    CHECK(api->store_get_fuel(store, &after, &error) == 0 && after == 0);
    CHECK(call(instance, CALLS_SPIN, values) == -1 && error.kind == AW_ERROR_FUEL);
    aw_error_clear(&error);
    CHECK(api->store_set_fuel(store, 1000, &error) == 0);
    call_int(instance, CALLS_COUNT, 10);
}

// --- vectors and atomics ------------------------------------------------------------------------------------------------------

static aw_hostresult host_swap(void *env, aw_caller *caller, aw_raw *values)
{
    (void)env;
    (void)caller;
    aw_raw first = values[0];
    values[0] = values[1];
    values[1] = first;
    return AW_HOST_OK;
}

static void vectors_cross_the_border_whole(void)
{
    if (!has(AW_CAP(SIMD))) {
        return;
    }
    const aw_valtype types[] = {v128, i32, i32, v128};
    aw_extern swap = host_function(host_swap, 2, types, 2, NULL, NULL);
    aw_instance *vectors = INSTANTIATE(vectors, &swap, 1);
    aw_raw values[2], global;
    CHECK(api->global_get(export_of(vectors, 0, AW_EXTERN_GLOBAL).global, &global, &error) == 0);
    CHECK(global.bits[0] == UINT64_C(0x0000000200000001) && global.bits[1] == UINT64_C(0x0000000400000003));
    values[0] = values[1] = global;
    CHECK(call(vectors, 1, values) == 0);
    CHECK(values[0].bits[0] == UINT64_C(0x0000000400000002) && values[0].bits[1] == UINT64_C(0x0000000800000006));
    values[0] = global;
    values[1].i32 = 17;
    CHECK(call(vectors, 2, values) == 0);
    CHECK(values[0].i32 == 17 && memcmp(&values[1], &global, sizeof(global)) == 0);
    values[0] = global;
    CHECK(call(vectors, 3, values) == 0);
    CHECK(values[0].i32 == 2 && memcmp(&values[1], &global, sizeof(global)) == 0);
    aw_raw three[3] = {{.bits = {1, 2}}, global, {.i32 = 0}};
    CHECK(call(vectors, 4, three) == 0);
    CHECK(memcmp(&three[0], &global, sizeof(global)) == 0);
    values[0] = global;
    values[1].i32 = 17;
    CHECK(call(vectors, 5, values) == 0);
    CHECK(values[0].i32 == 17 && memcmp(&values[1], &global, sizeof(global)) == 0);
}

static void atomic_instructions_work(void)
{
    if (!has(AW_CAP(THREADS))) {
        return;
    }
    aw_instance *atomics = INSTANTIATE(atomics, NULL, 0);
    aw_raw values[3] = {{.i32 = 8}, {.i32 = 5}};
    CHECK(call(atomics, 1, values) == 0 && values[0].i32 == 0);
    CHECK(call(atomics, 1, (values[0].i32 = 8, values[1].i32 = 5, values)) == 0 && values[0].i32 == 5);
    CHECK_TRAP(call(atomics, 1, (values[0].i32 = 9, values)), AW_TRAP_UNALIGNED_ATOMIC);
    values[0].i32 = 8;
    values[1].i32 = 4;
    values[2].i64 = 1000;
    CHECK(call(atomics, 2, values) == 0 && values[0].i32 == 1);  // not equal
    values[0].i32 = 8;
    values[1].i32 = 10;
    values[2].i64 = 1000;
    CHECK(call(atomics, 2, values) == 0 && values[0].i32 == 2);  // timed out
    CHECK(call_int(atomics, 3, 8) == 0);
}

// --- bad modules ----------------------------------------------------------------------------------------------------------------

static const struct {
    const uint8_t *bytes;
    size_t length;
} modules[] = {
    {calls_wasm, sizeof(calls_wasm)},     {traps_wasm, sizeof(traps_wasm)}, {things_wasm, sizeof(things_wasm)},
    {user_wasm, sizeof(user_wasm)},       {late_wasm, sizeof(late_wasm)},   {atomics_wasm, sizeof(atomics_wasm)},
    {vectors_wasm, sizeof(vectors_wasm)},
};

static void a_truncated_module_is_an_error_at_every_length(void)
{
    for (size_t i = 0; i < sizeof(modules) / sizeof(modules[0]); i++) {
        for (size_t length = 0; length < modules[i].length; length++) {
            uint8_t *copy = malloc(length + 1);  // so that a sanitizer sees each byte too far
            memcpy(copy, modules[i].bytes, length);
            int result = api->module_validate(engine, copy, length, &error);
            free(copy);
            if (result < 0) {
                CHECK(error.message[0] != '\0');
                CHECK(error.kind == AW_ERROR_COMPILE || error.kind == AW_ERROR_UNSUPPORTED);
            }
            else {
                CHECK(length >= 8);  // at the end of a section a module may be whole
            }
        }
    }
}

// Whatever the bytes are: an error or a module, and a module that instantiates or not.
static void random_bytes_and_damaged_modules_crash_nothing(void)
{
    srand(1);
    const char *rounds = getenv("ANYWASM_TEST_ROUNDS");
    int count = rounds != NULL ? atoi(rounds) : 3000;
    for (int round = 0; round < count; round++) {
        size_t which = (size_t)rand() % (sizeof(modules) / sizeof(modules[0]));
        size_t length = modules[which].length;
        uint8_t *copy = malloc(length);
        memcpy(copy, modules[which].bytes, length);
        int changes = 1 + rand() % 4;
        for (int i = 0; i < changes; i++) {
            copy[8 + (size_t)rand() % (length - 8)] = (uint8_t)(rand() % 3 ? rand() : rand() % 16);
        }
        if (round % 10 == 0) {
            for (size_t i = 8; i < length; i++) {
                copy[i] = (uint8_t)rand();
            }
        }
        aw_module *module = api->module_new(engine, copy, length, &error);
        if (module != NULL) {
            aw_storelimits small = {1 << 20, 1000, 10, 10, 10};
            aw_store *own = api->store_new(engine, &host, &small, &error);
            aw_instance *instance = api->instance_new(own, module, NULL, 0, &error);
            api->module_delete(module);
            api->store_delete(own);
            if (instance != NULL) {
                api->instance_delete(instance);
            }
        }
        free(copy);
    }
}

// --- all of them ------------------------------------------------------------------------------------------------------------------

typedef struct test {
    const char *name;
    void (*run)(void);
    uint64_t needs;
} test;

#define TEST(name, needs) {#name, name, needs}

static const test tests[] = {
    TEST(a_call_returns_its_result, 0),
    TEST(several_results_of_all_number_types_come_in_order, AW_CAP(MULTI_VALUE)),
    TEST(host_functions_are_called_and_can_be_called_in_tail_position, AW_CAP(TAIL_CALL)),
    TEST(many_parameters_arrive, 0),
    TEST(values_survive_blocks_whose_ends_are_not_reached, AW_CAP(MULTI_VALUE)),
    TEST(a_host_function_can_be_called_from_the_host, 0),
    TEST(a_failing_host_function_unwinds_the_guest, 0),
    TEST(guest_and_host_call_each_other, 0),
    TEST(endless_recursion_through_the_host_is_a_trap, 0),
    TEST(env_delete_is_called_once_for_each_function, 0),
    TEST(the_type_of_a_function_is_told, 0),
    TEST(wrong_imports_are_link_errors, 0),
    TEST(instances_share_memory, AW_CAP(IMPORTED_MEMORY)),
    TEST(instances_share_tables_and_call_each_others_functions, AW_CAP(IMPORTED_TABLE)),
    TEST(instances_share_globals, AW_CAP(IMPORTED_GLOBAL)),
    TEST(what_a_failing_instance_wrote_stays, AW_CAP(IMPORTED_TABLE)),
    TEST(a_start_function_runs_and_may_trap, 0),
    TEST(names_of_one_thing_have_equal_keys, AW_CAP(REFERENCE_TYPES)),
    TEST(traps_have_their_codes, AW_CAP(REFERENCE_TYPES)),
    TEST(a_trap_has_the_frames_that_led_to_it, AW_CAP(REFERENCE_TYPES)),
    TEST(the_offset_of_a_frame_is_that_of_its_instruction, AW_CAP(REFERENCE_TYPES)),
    TEST(a_store_may_be_used_by_one_thread_after_another, AW_CAP(REFERENCE_TYPES)),
    TEST(hammer_stores_of_four_threads_at_once, AW_CAP(REFERENCE_TYPES)),
    TEST(a_memory_grows_from_both_sides_and_does_not_move, AW_CAP(REFERENCE_TYPES)),
    TEST(a_memory_of_the_host_has_the_asked_size, 0),
    TEST(a_table_is_read_written_and_grown, AW_CAP(REFERENCE_TYPES)),
    TEST(a_host_function_can_be_called_through_a_table, AW_CAP(REFERENCE_TYPES)),
    TEST(globals_are_read_and_written, AW_CAP(REFERENCE_TYPES)),
    TEST(external_references_come_back_as_themselves, AW_CAP(REFERENCE_TYPES)),
    TEST(external_references_are_collected_when_nobody_has_them, AW_CAP(REFERENCE_TYPES)),
    TEST(function_references_travel, AW_CAP(REFERENCE_TYPES) | AW_CAP(IMPORTED_TABLE)),
    TEST(limits_of_a_store_hold, AW_CAP(REFERENCE_TYPES)),
    TEST(an_endless_loop_is_interrupted, AW_CAP(INTERRUPT)),
    TEST(the_host_is_polled_where_the_engine_can_and_may_stop_a_call, AW_CAP(INTERRUPT)),
    TEST(fuel_runs_out, AW_CAP(FUEL)),
    TEST(vectors_cross_the_border_whole, 0),
    TEST(atomic_instructions_work, 0),
    TEST(a_truncated_module_is_an_error_at_every_length, 0),
    TEST(random_bytes_and_damaged_modules_crash_nothing, 0),
};

int main(int argument_count, char **arguments)
{
    setvbuf(stdout, NULL, _IOLBF, 0);  // a crash shall not take the output with it
    for (const aw_engine_api *const *each = aw_engines; argument_count > 1 && *each != NULL; each++) {
        if (strcmp((*each)->name, arguments[1]) == 0) {
            api = *each;
        }
    }
    if (api == NULL) {
        fprintf(stderr, "usage: test_engine ENGINE [LIBRARY]\n");
        return 2;
    }
    library = argument_count > 2 ? arguments[2] : NULL;
    const char *version;
    uint64_t capabilities;
    if (api->probe(library, &version, &capabilities, &error) < 0) {
        fprintf(stderr, "%s\n", error.message);
        return 2;
    }
    int passed = 0, failed = 0, skipped = 0;
    for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
        if (tests[i].needs & ~capabilities) {
            skipped++;
            continue;
        }
        failures = 0;
        begin(&(aw_config){0}, &no_limits, &host);
        tests[i].run();
        end();
        if (failures > 0) {
            printf("FAILED %s\n", tests[i].name);
            failed++;
        }
        else {
            passed++;
        }
    }
    printf("%d passed, %d failed, %d skipped\n", passed, failed, skipped);
    return failed > 0;
}

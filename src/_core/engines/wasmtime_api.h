// SPDX-License-Identifier: Apache-2.0
// What we use of libwasmtime's C API, declared by ourselves, so that building needs none of its headers. The library is opened at
// run time; each name in AW_WASMTIME_SYMBOLS becomes a pointer in `wt`. third-party/wasmtime-check compiles this file
// against the real headers of the supported versions.

#ifndef AW_WASMTIME_API_H
#define AW_WASMTIME_API_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifndef AW_WASMTIME_CHECK  // the check includes the real headers instead

typedef struct wasm_config_t wasm_config_t;
typedef struct wasm_engine_t wasm_engine_t;
typedef struct wasmtime_pooling_allocation_config_t wasmtime_pooling_allocation_config_t;
typedef struct wasm_trap_t wasm_trap_t;
typedef struct wasm_frame_t wasm_frame_t;
typedef struct wasm_valtype_t wasm_valtype_t;
typedef struct wasm_functype_t wasm_functype_t;
typedef struct wasm_globaltype_t wasm_globaltype_t;
typedef struct wasm_tabletype_t wasm_tabletype_t;
typedef struct wasm_memorytype_t wasm_memorytype_t;
typedef struct wasm_tagtype_t wasm_tagtype_t;
typedef struct wasm_externtype_t wasm_externtype_t;
typedef struct wasm_importtype_t wasm_importtype_t;
typedef struct wasmtime_error wasmtime_error_t;
typedef struct wasmtime_module wasmtime_module_t;
typedef struct wasmtime_store wasmtime_store_t;
typedef struct wasmtime_context wasmtime_context_t;
typedef struct wasmtime_caller wasmtime_caller_t;
typedef struct wasmtime_sharedmemory wasmtime_sharedmemory_t;

typedef struct wasm_byte_vec_t {
    size_t size;
    char *data;
} wasm_byte_vec_t;
typedef wasm_byte_vec_t wasm_name_t;
typedef struct wasm_frame_vec_t {
    size_t size;
    wasm_frame_t **data;
} wasm_frame_vec_t;
typedef struct wasm_valtype_vec_t {
    size_t size;
    wasm_valtype_t **data;
} wasm_valtype_vec_t;
typedef struct wasm_importtype_vec_t {
    size_t size;
    wasm_importtype_t **data;
} wasm_importtype_vec_t;
typedef struct wasm_limits_t {
    uint32_t min, max;
} wasm_limits_t;

typedef struct wasmtime_func {
    uint64_t store_id;
    void *__private;
} wasmtime_func_t;
typedef struct wasmtime_table {
    struct {
        uint64_t store_id;
        uint32_t __private1;
    };
    uint32_t __private2;
} wasmtime_table_t;
typedef struct wasmtime_memory {
    struct {
        uint64_t store_id;
        uint32_t __private1;
    };
    uint32_t __private2;
} wasmtime_memory_t;
typedef struct wasmtime_tag {
    struct {
        uint64_t store_id;
        uint32_t __private1;
    };
    uint32_t __private2;
} wasmtime_tag_t;
typedef struct wasmtime_global {
    uint64_t store_id;
    uint32_t __private1, __private2, __private3;
} wasmtime_global_t;
typedef struct wasmtime_instance {
    uint64_t store_id;
    size_t __private;
} wasmtime_instance_t;

typedef union wasmtime_extern_union {
    wasmtime_func_t func;
    wasmtime_global_t global;
    wasmtime_table_t table;
    wasmtime_memory_t memory;
    struct wasmtime_sharedmemory *sharedmemory;
    wasmtime_tag_t tag;
} wasmtime_extern_union_t;
typedef struct wasmtime_extern {
    uint8_t kind;
    wasmtime_extern_union_t of;
} wasmtime_extern_t;

enum {
    WASMTIME_EXTERN_FUNC,
    WASMTIME_EXTERN_GLOBAL,
    WASMTIME_EXTERN_TABLE,
    WASMTIME_EXTERN_MEMORY,
    WASMTIME_EXTERN_SHAREDMEMORY,
    WASMTIME_EXTERN_TAG,
};

typedef struct wasmtime_anyref {
    uint64_t store_id;
    uint32_t __private1, __private2;
    void *__private3;
} wasmtime_anyref_t;
typedef struct wasmtime_externref {
    uint64_t store_id;
    uint32_t __private1, __private2;
    void *__private3;
} wasmtime_externref_t;
typedef struct wasmtime_exnref {
    uint64_t store_id;
    uint32_t __private1, __private2;
    void *__private3;
} wasmtime_exnref_t;

typedef uint8_t wasmtime_v128[16];
typedef union wasmtime_valunion {
    int32_t i32;
    int64_t i64;
    float f32;
    double f64;
    wasmtime_anyref_t anyref;
    wasmtime_externref_t externref;
    wasmtime_exnref_t exnref;
    wasmtime_func_t funcref;
    wasmtime_v128 v128;
} wasmtime_valunion_t;
typedef struct wasmtime_val {
    uint8_t kind;
    wasmtime_valunion_t of;
} wasmtime_val_t;
typedef union wasmtime_val_raw {
    int32_t i32;
    int64_t i64;
    float f32;
    double f64;
    wasmtime_v128 v128;
    uint32_t anyref, externref, exnref;
    void *funcref;
} wasmtime_val_raw_t;

enum {
    WASMTIME_I32,
    WASMTIME_I64,
    WASMTIME_F32,
    WASMTIME_F64,
    WASMTIME_V128,
    WASMTIME_FUNCREF,
    WASMTIME_EXTERNREF,
    WASMTIME_ANYREF,
    WASMTIME_EXNREF,
};

typedef struct wasmtime_heaptype {
    uint8_t kind;
    union {
        void *concrete;
    } of;
} wasmtime_heaptype_t;
typedef struct wasmtime_reftype {
    bool nullable;
    wasmtime_heaptype_t heaptype;
} wasmtime_reftype_t;
typedef struct wasmtime_valtype {
    uint8_t kind;
    wasmtime_reftype_t reftype;
} wasmtime_valtype_t;

enum {
    WASMTIME_HEAPTYPE_KIND_EXTERN,
    WASMTIME_HEAPTYPE_KIND_NOEXTERN,
    WASMTIME_HEAPTYPE_KIND_FUNC,
    WASMTIME_HEAPTYPE_KIND_CONCRETE_FUNC,
    WASMTIME_HEAPTYPE_KIND_NOFUNC,
    WASMTIME_HEAPTYPE_KIND_ANY,
    WASMTIME_HEAPTYPE_KIND_NONE,
    WASMTIME_HEAPTYPE_KIND_EQ,
    WASMTIME_HEAPTYPE_KIND_I31,
    WASMTIME_HEAPTYPE_KIND_ARRAY,
    WASMTIME_HEAPTYPE_KIND_CONCRETE_ARRAY,
    WASMTIME_HEAPTYPE_KIND_STRUCT,
    WASMTIME_HEAPTYPE_KIND_CONCRETE_STRUCT,
    WASMTIME_HEAPTYPE_KIND_EXN,
    WASMTIME_HEAPTYPE_KIND_CONCRETE_EXN,
    WASMTIME_HEAPTYPE_KIND_NOEXN,
};
enum { WASMTIME_VALTYPE_KIND_REF = 5 };

typedef wasm_trap_t *(*wasmtime_func_callback_t)(void *env, wasmtime_caller_t *caller, const wasmtime_val_t *args,
                                                 size_t nargs, wasmtime_val_t *results, size_t nresults);
typedef wasm_trap_t *(*wasmtime_func_unchecked_callback_t)(void *env, wasmtime_caller_t *caller,
                                                           wasmtime_val_raw_t *args_and_results, size_t count);

#endif  // AW_WASMTIME_CHECK

// X(result, name, parameters)
// clang-format off
#define AW_WASMTIME_SYMBOLS(X) \
    X(wasm_config_t *, wasm_config_new, (void)) \
    X(void, wasm_config_delete, (wasm_config_t *)) \
    X(wasm_engine_t *, wasm_engine_new_with_config, (wasm_config_t *)) \
    X(void, wasm_engine_delete, (wasm_engine_t *)) \
    X(void, wasmtime_config_consume_fuel_set, (wasm_config_t *, bool)) \
    X(void, wasmtime_config_epoch_interruption_set, (wasm_config_t *, bool)) \
    X(void, wasmtime_config_debug_info_set, (wasm_config_t *, bool)) \
    X(void, wasmtime_config_max_wasm_stack_set, (wasm_config_t *, size_t)) \
    X(void, wasmtime_config_wasm_threads_set, (wasm_config_t *, bool)) \
    X(void, wasmtime_config_shared_memory_set, (wasm_config_t *, bool)) \
    X(void, wasmtime_config_wasm_tail_call_set, (wasm_config_t *, bool)) \
    X(void, wasmtime_config_wasm_reference_types_set, (wasm_config_t *, bool)) \
    X(void, wasmtime_config_wasm_function_references_set, (wasm_config_t *, bool)) \
    X(void, wasmtime_config_wasm_gc_set, (wasm_config_t *, bool)) \
    X(void, wasmtime_config_wasm_simd_set, (wasm_config_t *, bool)) \
    X(void, wasmtime_config_wasm_relaxed_simd_set, (wasm_config_t *, bool)) \
    X(void, wasmtime_config_wasm_bulk_memory_set, (wasm_config_t *, bool)) \
    X(void, wasmtime_config_wasm_multi_value_set, (wasm_config_t *, bool)) \
    X(void, wasmtime_config_wasm_multi_memory_set, (wasm_config_t *, bool)) \
    X(void, wasmtime_config_wasm_memory64_set, (wasm_config_t *, bool)) \
    X(void, wasmtime_config_wasm_exceptions_set, (wasm_config_t *, bool)) \
    X(void, wasmtime_config_parallel_compilation_set, (wasm_config_t *, bool)) \
    X(void, wasmtime_config_cranelift_nan_canonicalization_set, (wasm_config_t *, bool)) \
    X(void, wasmtime_config_cranelift_opt_level_set, (wasm_config_t *, uint8_t)) \
    X(void, wasmtime_config_memory_may_move_set, (wasm_config_t *, bool)) \
    X(wasmtime_pooling_allocation_config_t *, wasmtime_pooling_allocation_config_new, (void)) \
    X(void, wasmtime_pooling_allocation_config_delete, (wasmtime_pooling_allocation_config_t *)) \
    X(void, wasmtime_pooling_allocation_config_total_core_instances_set, (wasmtime_pooling_allocation_config_t *, uint32_t)) \
    X(void, wasmtime_pooling_allocation_config_total_memories_set, (wasmtime_pooling_allocation_config_t *, uint32_t)) \
    X(void, wasmtime_pooling_allocation_config_total_tables_set, (wasmtime_pooling_allocation_config_t *, uint32_t)) \
    X(void, wasmtime_pooling_allocation_config_total_gc_heaps_set, (wasmtime_pooling_allocation_config_t *, uint32_t)) \
    X(void, wasmtime_pooling_allocation_config_max_tables_per_module_set, (wasmtime_pooling_allocation_config_t *, uint32_t)) \
    X(void, wasmtime_pooling_allocation_strategy_set, (wasm_config_t *, const wasmtime_pooling_allocation_config_t *)) \
    X(void, wasmtime_engine_increment_epoch, (const wasm_engine_t *)) \
    X(wasmtime_error_t *, wasmtime_module_new, (wasm_engine_t *, const uint8_t *, size_t, wasmtime_module_t **)) \
    X(wasmtime_error_t *, wasmtime_module_validate, (wasm_engine_t *, const uint8_t *, size_t)) \
    X(wasmtime_error_t *, wasmtime_module_serialize, (const wasmtime_module_t *, wasm_byte_vec_t *)) \
    X(wasmtime_error_t *, wasmtime_module_deserialize, (wasm_engine_t *, const uint8_t *, size_t, wasmtime_module_t **)) \
    X(wasmtime_error_t *, wasmtime_module_deserialize_file, (wasm_engine_t *, const char *, wasmtime_module_t **)) \
    X(void, wasmtime_module_delete, (wasmtime_module_t *)) \
    X(wasmtime_module_t *, wasmtime_module_clone, (const wasmtime_module_t *)) \
    X(void, wasmtime_module_imports, (const wasmtime_module_t *, wasm_importtype_vec_t *)) \
    X(void, wasm_importtype_vec_delete, (wasm_importtype_vec_t *)) \
    X(const wasm_externtype_t *, wasm_importtype_type, (const wasm_importtype_t *)) \
    X(const wasm_functype_t *, wasm_externtype_as_functype_const, (const wasm_externtype_t *)) \
    X(wasm_functype_t *, wasm_functype_copy, (const wasm_functype_t *)) \
    X(wasm_functype_t *, wasm_functype_new, (wasm_valtype_vec_t *, wasm_valtype_vec_t *)) \
    X(void, wasm_functype_delete, (wasm_functype_t *)) \
    X(const wasm_valtype_vec_t *, wasm_functype_params, (const wasm_functype_t *)) \
    X(const wasm_valtype_vec_t *, wasm_functype_results, (const wasm_functype_t *)) \
    X(void, wasm_valtype_vec_new_uninitialized, (wasm_valtype_vec_t *, size_t)) \
    X(void, wasm_valtype_vec_new_empty, (wasm_valtype_vec_t *)) \
    X(void, wasm_valtype_delete, (wasm_valtype_t *)) \
    X(void, wasmtime_valtype_new, (const wasm_valtype_t *, wasmtime_valtype_t *)) \
    X(void, wasmtime_valtype_delete, (wasmtime_valtype_t *)) \
    X(wasm_valtype_t *, wasmtime_valtype_to_wasm, (const wasm_engine_t *, const wasmtime_valtype_t *)) \
    X(wasmtime_error_t *, wasmtime_wat2wasm, (const char *, size_t, wasm_byte_vec_t *)) \
    X(void, wasm_byte_vec_delete, (wasm_byte_vec_t *)) \
    X(wasmtime_store_t *, wasmtime_store_new, (wasm_engine_t *, void *, void (*)(void *))) \
    X(wasmtime_context_t *, wasmtime_store_context, (wasmtime_store_t *)) \
    X(void, wasmtime_store_limiter, (wasmtime_store_t *, int64_t, int64_t, int64_t, int64_t, int64_t)) \
    X(void, wasmtime_store_delete, (wasmtime_store_t *)) \
    X(wasmtime_error_t *, wasmtime_context_gc, (wasmtime_context_t *)) \
    X(wasmtime_error_t *, wasmtime_context_set_fuel, (wasmtime_context_t *, uint64_t)) \
    X(wasmtime_error_t *, wasmtime_context_get_fuel, (const wasmtime_context_t *, uint64_t *)) \
    X(void, wasmtime_context_set_epoch_deadline, (wasmtime_context_t *, uint64_t)) \
    X(void, wasmtime_store_epoch_deadline_callback, (wasmtime_store_t *, wasmtime_error_t *(*)(const wasmtime_context_t *, void *, uint64_t *, uint8_t *), void *, void (*)(void *))) \
    X(wasmtime_error_t *, wasmtime_instance_new, (wasmtime_context_t *, const wasmtime_module_t *, const wasmtime_extern_t *, size_t, wasmtime_instance_t *, wasm_trap_t **)) \
    X(bool, wasmtime_instance_export_get, (wasmtime_context_t *, const wasmtime_instance_t *, const char *, size_t, wasmtime_extern_t *)) \
    X(void, wasmtime_func_new, (wasmtime_context_t *, const wasm_functype_t *, wasmtime_func_callback_t, void *, void (*)(void *), wasmtime_func_t *)) \
    X(void, wasmtime_func_new_unchecked, (wasmtime_context_t *, const wasm_functype_t *, wasmtime_func_unchecked_callback_t, void *, void (*)(void *), wasmtime_func_t *)) \
    X(wasm_functype_t *, wasmtime_func_type, (const wasmtime_context_t *, const wasmtime_func_t *)) \
    X(wasmtime_error_t *, wasmtime_func_call, (wasmtime_context_t *, const wasmtime_func_t *, const wasmtime_val_t *, size_t, wasmtime_val_t *, size_t, wasm_trap_t **)) \
    X(wasmtime_error_t *, wasmtime_func_call_unchecked, (wasmtime_context_t *, const wasmtime_func_t *, wasmtime_val_raw_t *, size_t, wasm_trap_t **)) \
    X(void, wasmtime_func_from_raw, (wasmtime_context_t *, void *, wasmtime_func_t *)) \
    X(void *, wasmtime_func_to_raw, (wasmtime_context_t *, const wasmtime_func_t *)) \
    X(bool, wasmtime_caller_export_get, (wasmtime_caller_t *, const char *, size_t, wasmtime_extern_t *)) \
    X(wasmtime_context_t *, wasmtime_caller_context, (wasmtime_caller_t *)) \
    X(void, wasmtime_extern_delete, (wasmtime_extern_t *)) \
    X(bool, wasmtime_externref_new, (wasmtime_context_t *, void *, void (*)(void *), wasmtime_externref_t *)) \
    X(void *, wasmtime_externref_data, (wasmtime_context_t *, const wasmtime_externref_t *)) \
    X(void, wasmtime_externref_clone, (const wasmtime_externref_t *, wasmtime_externref_t *)) \
    X(void, wasmtime_externref_unroot, (wasmtime_externref_t *)) \
    X(void, wasmtime_externref_from_raw, (wasmtime_context_t *, uint32_t, wasmtime_externref_t *)) \
    X(uint32_t, wasmtime_externref_to_raw, (wasmtime_context_t *, const wasmtime_externref_t *)) \
    X(void, wasmtime_anyref_clone, (const wasmtime_anyref_t *, wasmtime_anyref_t *)) \
    X(void, wasmtime_anyref_unroot, (wasmtime_anyref_t *)) \
    X(void, wasmtime_anyref_from_raw, (wasmtime_context_t *, uint32_t, wasmtime_anyref_t *)) \
    X(uint32_t, wasmtime_anyref_to_raw, (wasmtime_context_t *, const wasmtime_anyref_t *)) \
    X(void, wasmtime_anyref_from_i31, (wasmtime_context_t *, uint32_t, wasmtime_anyref_t *)) \
    X(bool, wasmtime_anyref_i31_get_s, (wasmtime_context_t *, const wasmtime_anyref_t *, int32_t *)) \
    X(bool, wasmtime_anyref_is_eqref, (wasmtime_context_t *, const wasmtime_anyref_t *)) \
    X(bool, wasmtime_anyref_is_struct, (wasmtime_context_t *, const wasmtime_anyref_t *)) \
    X(bool, wasmtime_anyref_is_array, (wasmtime_context_t *, const wasmtime_anyref_t *)) \
    X(void, wasmtime_exnref_clone, (const wasmtime_exnref_t *, wasmtime_exnref_t *)) \
    X(void, wasmtime_exnref_unroot, (wasmtime_exnref_t *)) \
    X(void, wasmtime_exnref_from_raw, (wasmtime_context_t *, uint32_t, wasmtime_exnref_t *)) \
    X(uint32_t, wasmtime_exnref_to_raw, (wasmtime_context_t *, const wasmtime_exnref_t *)) \
    X(wasmtime_error_t *, wasmtime_exnref_new, (wasmtime_context_t *, const wasmtime_tag_t *, const wasmtime_val_t *, size_t, wasmtime_exnref_t *)) \
    X(wasmtime_error_t *, wasmtime_exnref_tag, (wasmtime_context_t *, const wasmtime_exnref_t *, wasmtime_tag_t *)) \
    X(wasmtime_error_t *, wasmtime_exnref_field, (wasmtime_context_t *, const wasmtime_exnref_t *, size_t, wasmtime_val_t *)) \
    X(wasm_trap_t *, wasmtime_context_set_exception, (wasmtime_context_t *, const wasmtime_exnref_t *)) \
    X(bool, wasmtime_context_take_exception, (wasmtime_context_t *, wasmtime_exnref_t *)) \
    X(void, wasmtime_val_unroot, (wasmtime_val_t *)) \
    X(wasm_tagtype_t *, wasm_tagtype_new, (wasm_functype_t *)) \
    X(void, wasm_tagtype_delete, (wasm_tagtype_t *)) \
    X(const wasm_functype_t *, wasm_tagtype_functype, (const wasm_tagtype_t *)) \
    X(wasmtime_error_t *, wasmtime_tag_new, (wasmtime_context_t *, const wasm_tagtype_t *, wasmtime_tag_t *)) \
    X(wasm_tagtype_t *, wasmtime_tag_type, (const wasmtime_context_t *, const wasmtime_tag_t *)) \
    X(wasmtime_error_t *, wasmtime_memorytype_new, (uint64_t, bool, uint64_t, bool, bool, uint8_t, wasm_memorytype_t **)) \
    X(void, wasm_memorytype_delete, (wasm_memorytype_t *)) \
    X(uint64_t, wasmtime_memorytype_minimum, (const wasm_memorytype_t *)) \
    X(bool, wasmtime_memorytype_maximum, (const wasm_memorytype_t *, uint64_t *)) \
    X(bool, wasmtime_memorytype_is64, (const wasm_memorytype_t *)) \
    X(bool, wasmtime_memorytype_isshared, (const wasm_memorytype_t *)) \
    X(wasmtime_error_t *, wasmtime_memory_new, (wasmtime_context_t *, const wasm_memorytype_t *, wasmtime_memory_t *)) \
    X(wasm_memorytype_t *, wasmtime_memory_type, (const wasmtime_context_t *, const wasmtime_memory_t *)) \
    X(uint8_t *, wasmtime_memory_data, (wasmtime_context_t *, const wasmtime_memory_t *)) \
    X(size_t, wasmtime_memory_data_size, (const wasmtime_context_t *, const wasmtime_memory_t *)) \
    X(wasmtime_error_t *, wasmtime_memory_grow, (wasmtime_context_t *, const wasmtime_memory_t *, uint64_t, uint64_t *)) \
    X(wasmtime_error_t *, wasmtime_sharedmemory_new, (const wasm_engine_t *, const wasm_memorytype_t *, wasmtime_sharedmemory_t **)) \
    X(void, wasmtime_sharedmemory_delete, (wasmtime_sharedmemory_t *)) \
    X(wasmtime_sharedmemory_t *, wasmtime_sharedmemory_clone, (const wasmtime_sharedmemory_t *)) \
    X(wasm_memorytype_t *, wasmtime_sharedmemory_type, (const wasmtime_sharedmemory_t *)) \
    X(uint8_t *, wasmtime_sharedmemory_data, (const wasmtime_sharedmemory_t *)) \
    X(size_t, wasmtime_sharedmemory_data_size, (const wasmtime_sharedmemory_t *)) \
    X(wasmtime_error_t *, wasmtime_sharedmemory_grow, (const wasmtime_sharedmemory_t *, uint64_t, uint64_t *)) \
    X(wasm_tabletype_t *, wasm_tabletype_new, (wasm_valtype_t *, const wasm_limits_t *)) \
    X(void, wasm_tabletype_delete, (wasm_tabletype_t *)) \
    X(const wasm_valtype_t *, wasm_tabletype_element, (const wasm_tabletype_t *)) \
    X(wasmtime_error_t *, wasmtime_table_new, (wasmtime_context_t *, const wasm_tabletype_t *, const wasmtime_val_t *, wasmtime_table_t *)) \
    X(wasm_tabletype_t *, wasmtime_table_type, (const wasmtime_context_t *, const wasmtime_table_t *)) \
    X(bool, wasmtime_table_get, (wasmtime_context_t *, const wasmtime_table_t *, uint64_t, wasmtime_val_t *)) \
    X(wasmtime_error_t *, wasmtime_table_set, (wasmtime_context_t *, const wasmtime_table_t *, uint64_t, const wasmtime_val_t *)) \
    X(uint64_t, wasmtime_table_size, (const wasmtime_context_t *, const wasmtime_table_t *)) \
    X(wasmtime_error_t *, wasmtime_table_grow, (wasmtime_context_t *, const wasmtime_table_t *, uint64_t, const wasmtime_val_t *, uint64_t *)) \
    X(wasm_globaltype_t *, wasm_globaltype_new, (wasm_valtype_t *, uint8_t)) \
    X(void, wasm_globaltype_delete, (wasm_globaltype_t *)) \
    X(const wasm_valtype_t *, wasm_globaltype_content, (const wasm_globaltype_t *)) \
    X(uint8_t, wasm_globaltype_mutability, (const wasm_globaltype_t *)) \
    X(wasmtime_error_t *, wasmtime_global_new, (wasmtime_context_t *, const wasm_globaltype_t *, const wasmtime_val_t *, wasmtime_global_t *)) \
    X(wasm_globaltype_t *, wasmtime_global_type, (const wasmtime_context_t *, const wasmtime_global_t *)) \
    X(void, wasmtime_global_get, (wasmtime_context_t *, const wasmtime_global_t *, wasmtime_val_t *)) \
    X(wasmtime_error_t *, wasmtime_global_set, (wasmtime_context_t *, const wasmtime_global_t *, const wasmtime_val_t *)) \
    X(wasmtime_error_t *, wasmtime_error_new, (const char *)) \
    X(void, wasmtime_error_delete, (wasmtime_error_t *)) \
    X(void, wasmtime_error_message, (const wasmtime_error_t *, wasm_name_t *)) \
    X(void, wasmtime_error_wasm_trace, (const wasmtime_error_t *, wasm_frame_vec_t *)) \
    X(wasm_trap_t *, wasmtime_trap_new, (const char *, size_t)) \
    X(bool, wasmtime_trap_code, (const wasm_trap_t *, uint8_t *)) \
    X(void, wasm_trap_message, (const wasm_trap_t *, wasm_byte_vec_t *)) \
    X(void, wasm_trap_trace, (const wasm_trap_t *, wasm_frame_vec_t *)) \
    X(void, wasm_trap_delete, (wasm_trap_t *)) \
    X(void, wasm_frame_vec_delete, (wasm_frame_vec_t *)) \
    X(uint32_t, wasm_frame_func_index, (const wasm_frame_t *)) \
    X(size_t, wasm_frame_module_offset, (const wasm_frame_t *)) \
    X(const wasm_name_t *, wasmtime_frame_func_name, (const wasm_frame_t *)) \
    X(const wasm_name_t *, wasmtime_frame_module_name, (const wasm_frame_t *))
// clang-format on

// The library's functions, once it is open.
typedef struct aw_wasmtime_library {
#define X(result, name, parameters) result(*name) parameters;
    AW_WASMTIME_SYMBOLS(X)
#undef X
} aw_wasmtime_library;

#endif

// SPDX-License-Identifier: Apache-2.0
// The engine interface: all that anywasm's core knows of a WebAssembly engine.
//
// An engine is one `static const aw_engine_api` in one file of this folder. Nothing here knows Python;
// nothing above this folder knows an engine's name or includes an engine's header. The contract:
//
// Threads    An aw_engine and an aw_module may be used from any thread at any time. A store, and everything that
//            lives in it, is used by one thread at a time; the caller sees to that, and the thread may change
//            between calls. `store_interrupt` alone may be called from any thread at any time and from a signal handler.
// Signals    An engine that turns faults into traps leaves the order of handlers to handlers.h: it calls handlers_arrange around
//            what may install handlers of its own, or gives its handler to handlers_use on each thread.
// Failing    A function that can fail takes an `aw_error *`, returns 0 or -1 (or NULL), and fills the error
//            exactly when it fails; the message is always written. An error is uninitialised memory before
//            that: nothing reads it on success. What was handed in stays the caller's on failure.
//            No input makes an engine print, exit or abort.
// Ownership  "Owned" means: the receiver calls the matching `_delete` once. Handles of functions, memories, tables,
//            globals, tags and instances are names of things that live as long as their store: deleting one
//            frees the name only, touches nothing of the store, and may happen before or after `store_delete`;
//            using one may only happen before. The same holds for `ref_drop`. A module may be deleted while
//            its instances live. An engine outlives its modules and stores; the caller sees to that.
// Host code  `instance_new`, `func_call` and `memory_grow`/`table_grow` (by a limiter) may run host functions, which may
//            call back into the same store. Nothing else does; but `externref` payloads may be dropped
//            (aw_host.foreign_drop) by anything that allocates a reference and by `store_delete`.
// Memory     `memory_data` is asked anew after each call that may run guest code: bytes never move while
//            AW_CAP_STABLE_MEMORY is on, but their number grows.
// Values     An aw_raw is 16 bytes, laid out as Wasmtime's wasmtime_val_raw_t. A null reference has `func == NULL` if it is a
//            funcref, else `ref == 0`; coming from an engine, the other bytes may be anything. Raw references other than funcref are valid only until the next allocation in their
//            store: root all of a call's values first (`ref_from_raw`, `externref_new`), then turn all of them
//            into raw values with `ref_to_raw`, then call. A raw funcref is valid as long as the store.

#ifndef AW_ENGINES_ENGINE_H
#define AW_ENGINES_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// A variable of each thread's, in static storage: reached without a call, also in a library that was opened late, and without
// allocating, also in a signal handler.
#if defined(__ELF__)
#define AW_THREAD_LOCAL _Thread_local __attribute__((tls_model("initial-exec")))
#else
#define AW_THREAD_LOCAL _Thread_local
#endif

// For what is rarely run beside what is often run: compilers keep it out of the way.
#define AW_COLD __attribute__((cold, noinline))

// --- values and types ---------------------------------------------------------------------------

typedef union aw_raw {
    int32_t i32;
    int64_t i64;
    float f32;
    double f64;
    uint8_t v128[16];
    uint32_t ref;  // anyref, externref, exnref: the engine's own word
    void *func;    // funcref: the engine's own pointer
    uint64_t bits[2];
} aw_raw;

_Static_assert(sizeof(aw_raw) == 16, "shared with Wasmtime");

// A value type in one word. Number and vector types are their kind alone; a reference type has a heap type and
// whether it is nullable. A concrete heap type (`(ref $t)`) is told by its kind and the flag only: which
// type it is stays with the engine.
typedef enum aw_valkind {
    AW_I32 = 1,
    AW_I64,
    AW_F32,
    AW_F64,
    AW_V128,
    AW_REF,
} aw_valkind;

typedef enum aw_heaptype {  // specification 3.0, section 2.3.3; the three hierarchies and exceptions
    AW_HEAP_NONE_OF = 0,    // not a reference type
    AW_HEAP_FUNC = 1,
    AW_HEAP_NOFUNC,
    AW_HEAP_EXTERN,
    AW_HEAP_NOEXTERN,
    AW_HEAP_ANY,
    AW_HEAP_EQ,
    AW_HEAP_I31,
    AW_HEAP_STRUCT,
    AW_HEAP_ARRAY,
    AW_HEAP_NONE,
    AW_HEAP_EXN,
    AW_HEAP_NOEXN,
} aw_heaptype;

typedef struct aw_valtype {
    uint8_t kind;      // aw_valkind
    uint8_t heap;      // aw_heaptype; for a concrete type FUNC, STRUCT, ARRAY or EXN
    uint8_t nullable;  // of a reference
    uint8_t concrete;  // the heap type is a defined type of some module
} aw_valtype;

typedef struct aw_functype {
    uint32_t parameter_count, result_count;
    const aw_valtype *parameters, *results;
} aw_functype;

typedef struct aw_limits {
    uint64_t min;
    uint64_t max;  // meaningful if has_max
    bool has_max;
    bool is64;  // the index type is i64
} aw_limits;

typedef struct aw_memorytype {
    aw_limits limits;  // in pages of 65,536 bytes
    bool shared;
} aw_memorytype;

typedef struct aw_tabletype {
    aw_valtype element;
    aw_limits limits;  // in elements
} aw_tabletype;

typedef struct aw_globaltype {
    aw_valtype value;
    bool is_mutable;
} aw_globaltype;

typedef enum aw_externkind {  // the binary format's numbers
    AW_EXTERN_FUNC = 0,
    AW_EXTERN_TABLE = 1,
    AW_EXTERN_MEMORY = 2,
    AW_EXTERN_GLOBAL = 3,
    AW_EXTERN_TAG = 4,
} aw_externkind;

// --- handles --------------------------------------------------------------------------------------

typedef struct aw_engine aw_engine;
typedef struct aw_module aw_module;
typedef struct aw_store aw_store;
typedef struct aw_instance aw_instance;
typedef struct aw_func aw_func;
typedef struct aw_memory aw_memory;
typedef struct aw_table aw_table;
typedef struct aw_global aw_global;
typedef struct aw_tag aw_tag;
typedef struct aw_caller aw_caller;  // who called a host function; valid during that call only

typedef struct aw_extern {
    aw_externkind kind;
    union {
        aw_func *func;
        aw_memory *memory;
        aw_table *table;
        aw_global *global;
        aw_tag *tag;
    };
} aw_extern;

// A rooted reference (externref, anyref or exnref), held by value in memory of the caller's; big enough for any engine.
typedef struct aw_ref {
    uint64_t opaque[4];
} aw_ref;

typedef enum aw_refclass { AW_REF_EXTERN, AW_REF_ANY, AW_REF_EXN } aw_refclass;

// What an externref points to: the host's, which embeds this as first member. One count is taken by each `externref_new`
// that succeeds and given back by one aw_host.foreign_drop. `token` is the engine's to use, 0 at first.
typedef struct aw_foreign {
    uint64_t token;
} aw_foreign;

// --- errors -----------------------------------------------------------------------------------------

typedef enum aw_errorkind {
    AW_ERROR_COMPILE,      // malformed or invalid module, or text
    AW_ERROR_LINK,         // imports do not fit
    AW_ERROR_TRAP,         // `trap` tells which
    AW_ERROR_HOST,         // a host function returned AW_HOST_FAILED; the host knows why
    AW_ERROR_EXCEPTION,    // an uncaught Wasm exception; `exception` is an owned root of it
    AW_ERROR_FUEL,         // out of fuel
    AW_ERROR_INTERRUPTED,  // by store_interrupt
    AW_ERROR_LIMIT,        // a limit of the store; `limit` tells which
    AW_ERROR_MEMORY,       // out of memory
    AW_ERROR_UNSUPPORTED,  // the engine has not got that; `capability` tells what, or 0
    AW_ERROR_TYPE,         // a value or object does not fit (mutability, type, index)
    AW_ERROR_LOAD,         // the engine itself cannot be had: missing, damaged, wrong version
    AW_ERROR_INTERNAL,     // everything else
} aw_errorkind;

typedef enum aw_limitkind {
    AW_LIMIT_OTHER,
    AW_LIMIT_MEMORY,     // bytes
    AW_LIMIT_TABLE,      // elements
    AW_LIMIT_INSTANCES,  // how many
} aw_limitkind;

#define AW_UNKNOWN UINT64_MAX  // an amount that nobody knows

typedef enum aw_trapcode {
    AW_TRAP_OTHER,
    AW_TRAP_UNREACHABLE,
    AW_TRAP_STACK_EXHAUSTED,
    AW_TRAP_MEMORY_OUT_OF_BOUNDS,
    AW_TRAP_TABLE_OUT_OF_BOUNDS,
    AW_TRAP_UNDEFINED_ELEMENT,      // call_indirect beyond the table
    AW_TRAP_UNINITIALIZED_ELEMENT,  // call_indirect through a null
    AW_TRAP_INDIRECT_CALL_TYPE_MISMATCH,
    AW_TRAP_INTEGER_OVERFLOW,
    AW_TRAP_INTEGER_DIVIDE_BY_ZERO,
    AW_TRAP_INVALID_CONVERSION_TO_INTEGER,
    AW_TRAP_NULL_REFERENCE,
    AW_TRAP_ARRAY_OUT_OF_BOUNDS,
    AW_TRAP_CAST_FAILURE,
    AW_TRAP_ALLOCATION_TOO_LARGE,
    AW_TRAP_UNALIGNED_ATOMIC,
    AW_TRAP_WAIT_ON_UNSHARED_MEMORY,
    AW_TRAP_COUNT_,
} aw_trapcode;

// A frame of a backtrace, the innermost first. Names point into `names`, are UTF-8, and may be NULL.
typedef struct aw_frame {
    char *module_name;      // owned, malloc
    char *function_name;    // owned, malloc; NULL where the engine knows none (the core has the name section)
    aw_instance *instance;  // the name that instance_new gave out, where the engine can tell, else NULL
    uint32_t function_index;
    uint64_t module_offset;  // bytes from the module's start, UINT64_MAX unknown
} aw_frame;

#define AW_MESSAGE_SIZE 1024

typedef struct aw_error {
    aw_errorkind kind;
    aw_trapcode trap;
    uint64_t capability;  // one AW_CAP_ bit
    aw_limitkind limit;
    uint64_t used, allowed;  // of AW_ERROR_LIMIT and AW_TRAP_STACK_EXHAUSTED (bytes), or AW_UNKNOWN
    aw_ref exception;        // owned if kind is AW_ERROR_EXCEPTION
    aw_frame *frames;        // owned (aw_error_clear); of traps and exceptions
    size_t frame_count;
    char message[AW_MESSAGE_SIZE];  // UTF-8, lower case at the start, no full stop
} aw_error;

// Fill *error: everything zero, the kind, the message as printf would (cut where it does not fit, on a UTF-8 border).
// Returns -1, so that a failing function can return it.
#if defined(__GNUC__)
__attribute__((format(printf, 3, 4)))
#endif
int aw_error_set(aw_error *error, aw_errorkind kind, const char *format, ...);
// Add to an error of AW_ERROR_LIMIT which limit it was. Returns -1.
int aw_error_limit(aw_error *error, aw_limitkind limit, uint64_t used, uint64_t allowed);
void aw_error_clear(aw_error *error);  // frees the frames; the exception is the caller's to drop

// --- capabilities -------------------------------------------------------------------------------------

// X(bit name, Python name, what it adds). The order is the table's in the docs.
#define AW_CAPABILITIES(X)                                                                                       \
    X(SIMD, "simd", "128-bit vectors: v128 and its instructions")                                                \
    X(RELAXED_SIMD, "relaxed_simd", "vector instructions whose results may differ by machine")                   \
    X(THREADS, "threads", "shared memories and atomic instructions")                                             \
    X(TAIL_CALL, "tail_call", "return_call and return_call_indirect")                                            \
    X(EXCEPTIONS, "exceptions", "tags, throw, try_table, exnref")                                                \
    X(GC, "gc", "structs, arrays and i31 on a collected heap")                                                   \
    X(FUNCTION_REFERENCES, "function_references", "typed function references, call_ref")                         \
    X(MEMORY64, "memory64", "memories and tables with 64-bit indices")                                           \
    X(MULTI_MEMORY, "multi_memory", "more than one memory in a module")                                          \
    X(EXTENDED_CONST, "extended_const", "integer arithmetic in constant expressions")                            \
    X(MULTI_VALUE, "multi_value", "functions with several results")                                              \
    X(REFERENCE_TYPES, "reference_types", "externref and funcref as values, several tables")                     \
    X(BULK_MEMORY, "bulk_memory", "memory.copy, memory.fill, passive segments")                                  \
    X(FUEL, "fuel", "a budget of instructions for a store")                                                      \
    X(INTERRUPT, "interrupt", "a running call can be stopped from outside")                                      \
    X(SERIALIZE, "serialize", "compiled modules can be saved and loaded")                                        \
    X(WAT, "wat", "the text format is accepted")                                                                 \
    X(POOLING, "pooling", "room for instances that is made ahead")                                               \
    X(IMPORTED_MEMORY, "imported_memory", "a memory of the host or of another instance can be imported")         \
    X(IMPORTED_TABLE, "imported_table", "a table of the host or of another instance can be imported")            \
    X(IMPORTED_GLOBAL, "imported_global", "a mutable global of the host or of another instance can be imported") \
    X(COMPONENTS, "components", "the component model")

enum aw_capability_index_ {
#define X(name, text, what) AW_CAP_INDEX_##name,
    AW_CAPABILITIES(X)
#undef X
        AW_CAP_INDEX_STABLE_MEMORY,
    AW_CAP_INDEX_SHARED_LIMIT,
    AW_CAP_INDEX_STORE_STACK,
};

#define AW_CAP(name) (UINT64_C(1) << AW_CAP_INDEX_##name)
// Not shown to Python: a memory's bytes never move when it grows, so that views stay valid.
#define AW_CAP_STABLE_MEMORY AW_CAP(STABLE_MEMORY)
// Likewise: shared memories obey a store's limit, and waiting on them (memory.atomic.wait) ends with an interruption; each store may
// have a stack of its own size.
#define AW_CAP_SHARED_LIMIT AW_CAP(SHARED_LIMIT)
#define AW_CAP_STORE_STACK AW_CAP(STORE_STACK)

// --- what the host hands over ----------------------------------------------------------------------------

typedef enum aw_hostresult {
    AW_HOST_OK = 0,      // results are in values[0..]
    AW_HOST_FAILED = 1,  // unwind; the outermost call fails with AW_ERROR_HOST
    AW_HOST_THREW = 2,   // values[0] is a raw exnref to throw as a Wasm exception
} aw_hostresult;

// A host function. `values` holds the parameters and takes the results (room for the larger of both counts).
typedef aw_hostresult (*aw_hostfunc)(void *env, aw_caller *caller, aw_raw *values);

typedef struct aw_host {
    void (*foreign_drop)(void *data, aw_foreign *foreign);  // an externref died; any thread that uses the store
    // Called at times inside a long-running call of an interruptible store, where the engine can; nonzero stops the call
    // with AW_ERROR_HOST. May be NULL.
    int (*poll)(void *data);
    void *data;
} aw_host;

// Settings of an engine. Zero is the default of each.
typedef struct aw_config {
    bool fuel;                     // stores count fuel
    bool interruptible;            // store_interrupt works
    bool debug_info;               // keep what debuggers and profilers need
    uint8_t optimize;              // 0 default, 1 none, 2 speed, 3 speed and size
    uint8_t parallel_compilation;  // 0 default (on), 1 off
    bool nan_canonicalization;     // every NaN that arithmetic makes is the canonical one
    bool uncached;                 // the core's business: keep no compiled code on disk
    size_t max_wasm_stack;         // bytes; 0 the engine's default
    uint32_t pooling;              // make room for so many instances ahead, and for no more; 0 as they come
    uint64_t disabled;             // AW_CAP_ bits of the specification's features that modules must not use
} aw_config;

// Limits of a store; UINT64_MAX is none.
typedef struct aw_storelimits {
    uint64_t memory_bytes;    // of each memory
    uint64_t table_elements;  // of each table
    uint64_t instances;
    uint64_t memories, tables;
    size_t stack;  // bytes for calls of Wasm functions; 0 is the engine's; else only with AW_CAP_STORE_STACK
} aw_storelimits;

// What a store has used so far.
typedef struct aw_usage {
    uint64_t memory_bytes;    // of its memories, which never shrink
    bool memory_known;        // all of them are counted, and `memory_refused` tells
    uint64_t memory_refused;  // bytes that a guest wanted a memory to have, beyond the limit, at most; 0 if none did
} aw_usage;

// --- the interface ----------------------------------------------------------------------------------------

typedef struct aw_engine_api {
    const char *name;         // "wamr"
    const char *description;  // a sentence for people

    // Is the engine here? 0 and its version (a string that lives as long as the process) and capabilities, or -1 and why not.
    // Cheap after the first time; `library` is where to look, or NULL (only engines with `needs_library` look at it).
    bool needs_library;
    int (*probe)(const char *library, const char **version, uint64_t *capabilities, aw_error *error);

    // Engine. Owned. Capabilities depend on the configuration (fuel, interrupt, disabled features).
    aw_engine *(*engine_new)(const aw_config *config, const char *library, aw_error *error);
    void (*engine_delete)(aw_engine *engine);
    uint64_t (*engine_capabilities)(const aw_engine *engine);

    // Module. Owned. The bytes are the caller's and may go once the function returns.
    aw_module *(*module_new)(aw_engine *engine, const uint8_t *bytes, size_t length, aw_error *error);
    int (*module_validate)(aw_engine *engine, const uint8_t *bytes, size_t length, aw_error *error);
    // The compiled form: *bytes is malloc'ed and owned. NULL slots unless AW_CAP(SERIALIZE). Deserializing trusts its input.
    int (*module_serialize)(const aw_module *module, uint8_t **bytes, size_t *length, aw_error *error);
    aw_module *(*module_deserialize)(aw_engine *engine, const uint8_t *bytes, size_t length, aw_error *error);
    // The same from the first *length* bytes of a file that begins with them: mapped where the engine can. The descriptor is the
    // caller's and may be closed then; nobody may change the file as long as the module lives.
    aw_module *(*module_deserialize_file)(aw_engine *engine, int descriptor, size_t length, aw_error *error);
    // Which build of the engine this is, once it was probed: a text that differs where code that one compiled must not be loaded
    // by the other, although the versions are the same. It lives as long as the process.
    const char *(*build)(void);
    void (*module_delete)(aw_module *module);

    // Text to binary: *bytes is malloc'ed and owned. NULL unless AW_CAP(WAT).
    int (*wat2wasm)(const char *library, const char *text, size_t length, uint8_t **bytes, size_t *size,
                    aw_error *error);

    // Store. Owned. The host outlives it. `store_delete` drops every externref; nothing of the store may be running.
    aw_store *(*store_new)(aw_engine *engine, const aw_host *host, const aw_storelimits *limits, aw_error *error);
    void (*store_delete)(aw_store *store);
    // NULL unless AW_CAP(FUEL).
    int (*store_set_fuel)(aw_store *store, uint64_t fuel, aw_error *error);
    int (*store_get_fuel)(aw_store *store, uint64_t *fuel, aw_error *error);
    void (*store_usage)(aw_store *store, aw_usage *out);
    // Make the call that runs in the store fail with AW_ERROR_INTERRUPTED, or, if none runs, the next one at its start or
    // first loop. `store_uninterrupt` takes a wish back that hit nothing. NULL unless AW_CAP(INTERRUPT).
    void (*store_interrupt)(aw_store *store);
    void (*store_uninterrupt)(aw_store *store);
    // Have the call that runs in the store ask aw_host.poll soon; a signal's handler may do so. NULL where a running call asks
    // every few milliseconds anyway.
    void (*store_wake)(aw_store *store);
    // Collect garbage references now. May be NULL.
    int (*store_gc)(aw_store *store, aw_error *error);

    // Instance. Owned name. `imports` has one entry per import of the module, in order; they are borrowed. Runs the start function.
    aw_instance *(*instance_new)(aw_store *store, aw_module *module, const aw_extern *imports, size_t import_count,
                                 aw_error *error);
    void (*instance_delete)(aw_instance *instance);
    // The export at *index* in the module's export section, whose kind and name are given too. Owned name in *out.
    int (*instance_export)(aw_instance *instance, uint32_t index, aw_externkind kind, const char *name,
                           size_t name_length, aw_extern *out, aw_error *error);

    // Function. `module` and `import_index` tell whose import the type is, for engines that need more of a type than
    // aw_functype tells (concrete references); module may be NULL. `env_delete` is called once when the engine will not call
    // the function again, at latest in store_delete; not on failure.
    aw_func *(*func_new)(aw_store *store, const aw_functype *type, const aw_module *module, uint32_t import_index,
                         aw_hostfunc callback, void *env, void (*env_delete)(void *env), aw_error *error);
    // (A callback's results of concrete reference types are checked by the engine, too: a wrong one is AW_ERROR_TYPE.)
    void (*func_delete)(aw_func *func);
    // The type: fills up to `capacity` value types (parameters, then results) and both counts; call again with more room if
    // the counts exceed it.
    void (*func_type)(aw_func *func, uint32_t *parameter_count, uint32_t *result_count, aw_valtype *types,
                      size_t capacity);
    // The hot path. values: parameters in, results out, room for max(parameters, results, 1). 0 or -1.
    int (*func_call)(aw_func *func, aw_raw *values, size_t count, aw_error *error);
    // As func_call, for functions with concrete reference types among the parameters, whose values the engine checks:
    // AW_ERROR_TYPE. NULL unless AW_CAP(FUNCTION_REFERENCES).
    int (*func_call_checked)(aw_func *func, aw_raw *values, size_t count, aw_error *error);
    aw_func *(*func_from_raw)(aw_store *store, const aw_raw *raw, aw_error *error);  // owned name; raw is not null
    int (*func_to_raw)(aw_func *func, aw_raw *raw, aw_error *error);

    // References that are not functions.
    int (*externref_new)(aw_store *store, aw_foreign *foreign, aw_ref *out, aw_error *error);
    aw_foreign *(*externref_foreign)(aw_store *store,
                                     const aw_ref *ref);  // NULL: not one of the host's (made by the guest)
    int (*ref_from_raw)(aw_store *store, aw_refclass refclass, const aw_raw *raw, aw_ref *out, aw_error *error);
    void (*ref_to_raw)(aw_store *store, aw_refclass refclass, const aw_ref *ref, aw_raw *raw);
    void (*ref_clone)(aw_refclass refclass, const aw_ref *ref, aw_ref *out);
    void (*ref_drop)(aw_refclass refclass, aw_ref *ref);
    // NULL unless AW_CAP(GC): what an anyref is (I31, STRUCT, ARRAY, EXTERN for a foreign one, ANY otherwise); i31's value; identity.
    aw_heaptype (*ref_heaptype)(aw_store *store, aw_refclass refclass, const aw_ref *ref);
    int32_t (*ref_i31)(aw_store *store, const aw_ref *ref);
    int (*i31_new)(aw_store *store, int32_t value, aw_ref *out, aw_error *error);
    bool (*ref_same)(aw_store *store, aw_refclass refclass, const aw_ref *a, const aw_ref *b);

    // Exceptions. NULL unless AW_CAP(EXCEPTIONS). values are raw, by the tag's parameters.
    aw_tag *(*tag_new)(aw_store *store, const aw_functype *type, aw_error *error);
    void (*tag_delete)(aw_tag *tag);
    void (*tag_type)(aw_tag *tag, uint32_t *parameter_count, aw_valtype *types, size_t capacity);
    int (*exn_new)(aw_store *store, aw_tag *tag, const aw_raw *values, size_t count, aw_ref *out, aw_error *error);
    aw_tag *(*exn_tag)(aw_store *store, const aw_ref *exn, aw_error *error);  // owned name
    int (*exn_field)(aw_store *store, const aw_ref *exn, size_t index, aw_raw *out, aw_error *error);

    // Memory. Sizes and deltas in pages of 65,536 bytes unless the name says bytes.
    aw_memory *(*memory_new)(aw_store *store, const aw_memorytype *type, aw_error *error);
    void (*memory_delete)(aw_memory *memory);
    void (*memory_type)(aw_memory *memory, aw_memorytype *out);
    void (*memory_data)(aw_memory *memory, uint8_t **base, size_t *bytes);
    // AW_ERROR_LIMIT when the maximum or a limit forbids it, AW_ERROR_MEMORY when there is none.
    int (*memory_grow)(aw_memory *memory, uint64_t delta, uint64_t *previous, aw_error *error);

    // Table. AW_ERROR_TYPE for an index out of bounds is the core's business: it asks the size first.
    aw_table *(*table_new)(aw_store *store, const aw_tabletype *type, const aw_raw *initial, aw_error *error);
    void (*table_delete)(aw_table *table);
    void (*table_type)(aw_table *table, aw_tabletype *out);
    uint64_t (*table_size)(aw_table *table);
    int (*table_get)(aw_table *table, uint64_t index, aw_raw *out, aw_error *error);
    int (*table_set)(aw_table *table, uint64_t index, const aw_raw *value, aw_error *error);
    int (*table_grow)(aw_table *table, uint64_t delta, const aw_raw *initial, uint64_t *previous, aw_error *error);

    // Global.
    aw_global *(*global_new)(aw_store *store, const aw_globaltype *type, const aw_raw *initial, aw_error *error);
    void (*global_delete)(aw_global *global);
    void (*global_type)(aw_global *global, aw_globaltype *out);
    int (*global_get)(aw_global *global, aw_raw *out, aw_error *error);
    int (*global_set)(aw_global *global, const aw_raw *value, aw_error *error);  // the core checked that it is mutable

    // Identity: two names are of one thing exactly if the keys are equal.
    void (*extern_key)(const aw_extern *item, uint64_t key[2]);

    // Caller of a host function. The export of that name: 1 and an owned name, 0 if there is none, -1.
    int (*caller_export)(aw_caller *caller, const char *name, size_t name_length, aw_extern *out, aw_error *error);
    // The bytes of the caller's exported memory "memory": the WASI host's way in. False if there is none.
    bool (*caller_memory)(aw_caller *caller, uint8_t **base, size_t *bytes);
} aw_engine_api;

// --- the engines that are built in ------------------------------------------------------------------------

// In the order in which people read about them; the last entry is NULL. engines.c.
extern const aw_engine_api *const aw_engines[];

// The name of a slot that is NULL although its capability is on, or NULL when the engine is complete. Asked when an engine
// is first used.
const char *aw_engine_check(const aw_engine_api *api, uint64_t capabilities);

extern const aw_engine_api aw_wamr_api;
extern const aw_engine_api aw_wasmtime_api;
extern const aw_engine_api aw_fake_api;  // for tests: built in with ANYWASM_FAKE_ENGINE only

#endif

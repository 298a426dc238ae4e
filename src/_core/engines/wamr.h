// SPDX-License-Identifier: Apache-2.0
// What the files of the WAMR engine share: wamr.c (the interface), wamr_instance.c (linking), wamr_run.c (calls,
// traps), wamr_interp.c and wamr_loader.c (WAMR's own, compiled into ours) and wamr_platform.c (what WAMR asks of the machine).
//
// From WAMR come the loader, which validates a module and translates it for the fast interpreter, and that
// interpreter. Everything that lives at run time is built here, out of WAMR's own structures, because WAMR links modules
// once and for all when it loads them, and here instances are linked one by one:
//
//   a function reference   is a number of the store's (aw_store.references), not an index into its instance, so that
//                          tables can be shared; WAMR's null stays 0xffffffff
//   a memory               is a reservation of 8 GiB whose beginning is readable: it never moves, and an access beyond its
//                          end is a SIGSEGV that fault_handler (wamr_run.c) turns into a trap
//   a table                is a reservation of its largest size
//   a global               is a place in the store's globals, which all its instances address from the same base
//   an instance            holds arrays of pointers to those, its own or imported, the same to the interpreter
//   an import              is called through its WASMFunctionImport's attachment, a `function` of the store
//
// Everything belongs to its store and dies with it. Handles that the core gets (aw_func …) are names: small, separate.

#ifndef AW_ENGINES_WAMR_H
#define AW_ENGINES_WAMR_H

#include "engine.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <string.h>

#include "bh_bitmap.h"
#include "bh_log.h"
#include "wasm_exec_env.h"
#include "wasm_export.h"
#include "wasm_interp.h"
#include "wasm_loader.h"
#include "wasm_memory.h"
#include "wasm_opcode.h"
#include "wasm_runtime.h"
#include "wasm_shared_memory.h"

#define WASM_PAGE UINT64_C(65536)
#define MEMORY_RESERVATION ((UINT64_C(8) << 30) + WASM_PAGE)  // what a 32-bit index and a 32-bit offset reach
#define GLOBALS_SIZE (UINT32_C(16) << 20)                     // of a store; 16 bytes a global
#define NO_REFERENCE UINT32_MAX                               // WAMR's null, of funcref and externref

// --- engines and modules -------------------------------------------------------------------------------------

typedef struct instance instance;

// Run *code* of *in*: parameters in *values*, then results. False with the store's failure set.
typedef bool run_function(instance *in, WASMFunctionInstance *code, const WASMFuncType *type, aw_raw *values);

// The interpreter is compiled three times, so that nobody pays for what he does not use.
struct aw_engine {
    aw_config config;
    uint64_t capabilities;
    run_function *run;
    void **(*handles)(void);  // of the same interpreter; the code of a module belongs to one
};

typedef struct table_limits {
    uint32_t max;
    bool has_max;
} table_limits;

// Where the instructions of a function are in its translation and in the module; ascending.
typedef struct offset_pair {
    uint32_t translated;  // from the translation's start
    uint32_t module;      // from the module's start
} offset_pair;

typedef struct offset_map {
    size_t count;
    offset_pair pairs[];
} offset_map;

// WAMR drops what it does not need of these, so they are read from the bytes again.
struct aw_module {
    atomic_uint holders;  // the core's name and the instances
    aw_engine *engine;    // borrowed
    WASMModule *code;     // owned; read only once loaded
    uint8_t *bytes;       // owned; the code points into it
    size_t length;
    uint8_t *import_kinds;  // owned; aw_externkind of each import, in the module's order
    table_limits *tables;   // owned; imported ones first
    pthread_mutex_t lock;   // of the following
    offset_map **offsets;   // owned; of the module's own functions that were in a backtrace; NULL before the first
};

void aw_wamr_module_release(aw_module *module);
offset_map *aw_wamr_map_offsets(aw_module *module, uint32_t index);  // wamr_loader.c

// --- things of a store ----------------------------------------------------------------------------------------

// A function that has a name outside of its instance: a host function, or one that was exported, referred to or imported.
typedef struct function {
    aw_store *store;             // borrowed, as all pointers here but `type` and `env` of a host function
    uint32_t number;             // its reference
    bool simple;                 // no reference among its parameters and results
    const WASMFuncType *type;    // the instance's module's, or owned
    instance *owner;             // NULL: a host function
    WASMFunctionInstance *code;  // of `owner`, never an import
    aw_hostfunc callback;
    void *env;
    void (*env_delete)(void *env);
} function;

typedef struct reference {
    instance *owner;     // NULL: a host function
    uint32_t index;      // in the owner
    function *function;  // owned; NULL until somebody needs it
} reference;

typedef struct memory {
    WASMMemoryInstance wamr;  // first: instances point to it
    aw_store *store;
    aw_memorytype type;
} memory;

typedef struct table {
    WASMTableInstance *wamr;  // owned: a mapping
    size_t mapped;
    aw_store *store;
    aw_tabletype type;
    uint32_t capacity;  // elements that fit the mapping
} table;

typedef struct global {
    aw_store *store;
    aw_globaltype type;
    uint8_t wamr_type;
    uint32_t offset;  // in the store's globals
} global;

// An external reference. Inside it is a number: FOREIGN_BASE and its place in the store's list; outside, one more.
// The base is one that other values on the guest's stack rarely have: store_gc looks for references there.
#define FOREIGN_BASE UINT32_C(0x5A000000)
#define FOREIGN_MAX UINT32_C(0x20000000)

typedef struct foreign_slot {
    atomic_uint holds;  // the store's list, and each aw_ref, which may outlive the store
    uint32_t token;     // the raw value
    bool marked;
    aw_foreign *foreign;  // one count of it is held as long as the slot is in the list
} foreign_slot;

struct instance {
    WASMModuleInstance wamr;  // first: the interpreter knows an instance by it
    WASMModuleInstanceExtra extra;
    WASMModule code;  // a copy of the module's, with this instance's element segments
    aw_store *store;
    aw_module *module;  // held
    instance *next;     // of the store
    aw_instance *name;  // NULL once the core dropped it

    uint32_t function_count;            // imported ones first, as in all these
    uint32_t *numbers;                  // owned; of each function its reference's number + 1, 0 none yet
    WASMFunctionImport *imports;        // owned
    memory **memories;                  // owned; wamr.memories is the same array
    table **tables;                     // owned
    global **globals;                   // owned
    WASMFunctionInstance **referenced;  // owned; by reference number, what this instance calls for it; NULL unknown
    uint32_t referenced_count;
    WASMFunctionInstance **trampolines;  // owned; what `referenced` has of functions of others
    size_t trampoline_count;
    memory *exported_memory;  // "memory", or NULL
    const char *trap;         // the text of the trap that this instance's code unwinds with
};

// Why the innermost running call fails, on its way out through the calls of other instances to the host.
typedef struct failure {
    bool set;
    aw_errorkind kind;
    aw_trapcode trap;
    const char *text;
    uint64_t stack;    // of call stack exhaustion: how much there was, or AW_UNKNOWN
    aw_frame *frames;  // owned until the error takes them
    size_t frame_count;
} failure;

struct aw_store {
    aw_engine *engine;
    aw_host host;
    aw_storelimits limits;
    struct environment *environment;  // in `mapping`
    uint8_t *globals;                 // in `mapping`
    uint32_t globals_used;            // bytes
    uint8_t *mapping;                 // owned: environment, guest stack, globals
    size_t mapped;
    uint32_t depth;  // calls that are running

    instance *instances;
    uint64_t instance_count;
    reference *references;
    uint32_t reference_count, reference_capacity;
    memory **memories;
    size_t memory_count, memory_capacity;
    table **tables;
    size_t table_count, table_capacity;
    global **globals_list;
    size_t global_count, global_capacity;
    foreign_slot **foreigns;  // owned; NULL where one was collected
    size_t foreign_count, foreign_capacity;
    size_t foreign_free;      // none is NULL before it
    uint64_t memory_refused;  // bytes that a guest's memory.grow wanted in vain, because of the limit, at most
    failure failure;
};

struct aw_instance {
    instance *of;  // NULL once its store is gone
};

struct aw_caller {
    aw_store *store;
    instance *instance;
};

// --- what the interpreter has at hand ------------------------------------------------------------------------------

#define POLL_EVERY 65536  // checkpoints until the host is polled: about a millisecond of tight loops

// WAMR's execution environment: the guest's stack and current frame. One per store.
typedef struct environment {
    WASMExecEnv wamr;  // first: the interpreter passes it around
    aw_store *store;
    int64_t fuel;
    int32_t poll;  // checkpoints left
} environment;

static inline environment *environment_of(WASMExecEnv *env)
{
    return (environment *)env;
}

static inline instance *instance_of(WASMModuleInstance *wamr)
{
    return (instance *)wamr;
}

// --- values ------------------------------------------------------------------------------------------------------

// References cross the border by these two (wamr_instance.c); the first may fail for want of memory.
bool aw_wamr_reference_of_raw(aw_store *store, const aw_raw *raw, uint32_t *number);
bool aw_wamr_raw_of_reference(aw_store *store, uint32_t number, aw_raw *raw);

// Write one value as *cells*, the interpreter's 32-bit units, and return what follows it; NULL without memory.
static inline uint32_t *put_value(aw_store *store, uint8_t type, const aw_raw *value, uint32_t *cells)
{
    switch (type) {
    case VALUE_TYPE_I32:
    case VALUE_TYPE_F32:
        cells[0] = (uint32_t)value->i32;
        return cells + 1;
    case VALUE_TYPE_I64:
    case VALUE_TYPE_F64:
        memcpy(cells, value, 8);
        return cells + 2;
    case VALUE_TYPE_EXTERNREF:
        cells[0] = value->ref - 1;  // null is 0 outside and 0xffffffff inside
        return cells + 1;
    case VALUE_TYPE_FUNCREF:
        return aw_wamr_reference_of_raw(store, value, cells) ? cells + 1 : NULL;
    default:  // VALUE_TYPE_V128
        memcpy(cells, value, 16);
        return cells + 4;
    }
}

static inline const uint32_t *get_value(aw_store *store, uint8_t type, aw_raw *value, const uint32_t *cells)
{
    switch (type) {
    case VALUE_TYPE_I32:
    case VALUE_TYPE_F32:
        value->bits[0] = cells[0];
        return cells + 1;
    case VALUE_TYPE_I64:
    case VALUE_TYPE_F64:
        memcpy(value, cells, 8);
        return cells + 2;
    case VALUE_TYPE_EXTERNREF:
        value->bits[0] = cells[0] + UINT32_C(1);
        return cells + 1;
    case VALUE_TYPE_FUNCREF:
        return aw_wamr_raw_of_reference(store, cells[0], value) ? cells + 1 : NULL;
    default:
        memcpy(value, cells, 16);
        return cells + 4;
    }
}

static inline bool put_values(aw_store *store, const uint8_t *types, size_t count, const aw_raw *values,
                              uint32_t *cells)
{
    for (size_t i = 0; i < count && cells != NULL; i++) {
        cells = put_value(store, types[i], &values[i], cells);
    }
    return cells != NULL;
}

static inline bool get_values(aw_store *store, const uint8_t *types, size_t count, aw_raw *values,
                              const uint32_t *cells)
{
    for (size_t i = 0; i < count && cells != NULL; i++) {
        cells = get_value(store, types[i], &values[i], cells);
    }
    return cells != NULL;
}

// --- running (wamr_interp.c, compiled twice) -----------------------------------------------------------------------

// A call that runs on this thread. The newest is found by the fault handler.
typedef struct activation {
    struct activation *outer;
    instance *instance;
    bool in_host;          // a host function runs: faults are not the guest's
    const uint8_t *fault;  // the interpreter's instruction pointer at a fault, if it could be found
    jmp_buf landing;
} activation;

typedef struct thread_state {
    activation *current;
    uint8_t *stack_boundary;  // calls stop here, with room left for the host; NULL before the first call
} thread_state;

extern AW_THREAD_LOCAL thread_state aw_wamr_thread;

run_function aw_wamr_run_plain, aw_wamr_run_interruptible, aw_wamr_run_fueled;

static inline bool run(instance *in, WASMFunctionInstance *code, const WASMFuncType *type, aw_raw *values)
{
    return in->store->engine->run(in, code, type, values);
}

// The addresses of the interpreter's instructions, which the loader puts into the code.
void **aw_wamr_handles_plain(void);
void **aw_wamr_handles_interruptible(void);
void **aw_wamr_handles_fueled(void);

void aw_wamr_enter_thread(thread_state *thread);

// Called by the interpreter.
uint32_t aw_wamr_function_reference(WASMModuleInstance *module, uint32_t index);
WASMFunctionInstance *aw_wamr_referenced_function(WASMModuleInstance *module, uint32_t number);
bool aw_wamr_call_import(WASMExecEnv *env, void *code, const WASMFuncType *type, const char *signature,
                         void *attachment, uint32_t *cells, uint32_t cell_count, uint32_t *results);
void aw_wamr_raise(WASMModuleInstance *module, const char *text);
void aw_wamr_fail(instance *in, aw_errorkind kind, const char *text);
void aw_wamr_add_frames(instance *in, WASMInterpFrame *newest, WASMInterpFrame *end);
bool aw_wamr_checkpoint(WASMExecEnv *env, WASMModuleInstance *module);
bool aw_wamr_memory_grow(WASMModuleInstance *module, uint32_t delta);
bool aw_wamr_table_grow(WASMModuleInstance *module, uint32_t index, uint32_t delta, uint32_t value);
uint32_t aw_wamr_atomic_wait(WASMModuleInstance *module, void *address, uint64_t expected, int64_t timeout, bool wide);

// --- building (wamr_instance.c) --------------------------------------------------------------------------------------

memory *aw_wamr_memory_add(aw_store *store, const aw_memorytype *type, aw_error *error);
int aw_wamr_memory_enlarge(memory *memory, uint64_t delta, aw_error *error);
table *aw_wamr_table_add(aw_store *store, const aw_tabletype *type, aw_error *error);
int aw_wamr_table_enlarge(table *table, uint64_t delta, uint32_t value, aw_error *error);
global *aw_wamr_global_add(aw_store *store, const aw_globaltype *type, uint8_t wamr_type, aw_error *error);
uint32_t *aw_wamr_global_cells(const global *global);
function *aw_wamr_function_at(aw_store *store, uint32_t number);
function *aw_wamr_function_of(instance *in, uint32_t index);
function *aw_wamr_function_add(aw_store *store);
uint8_t aw_wamr_type_of(aw_valtype type);  // 0: WAMR has no such type
aw_valtype aw_wamr_valtype_of(uint8_t type);
instance *aw_wamr_instance_add(aw_store *store, aw_module *module, const aw_extern *imports, size_t import_count,
                               aw_error *error);
void aw_wamr_store_free_contents(aw_store *store);
void aw_wamr_foreign_drop(aw_store *store, size_t index);
int aw_wamr_take_failure(aw_store *store, aw_error *error);

// Names: what the core holds. All of one shape.
struct aw_func {
    function *of;
};
struct aw_memory {
    memory *of;
};
struct aw_table {
    table *of;
};
struct aw_global {
    global *of;
};

#endif

// SPDX-License-Identifier: Apache-2.0
// Wasmtime behind the engine interface: libwasmtime's C API, opened at run time.
//
// The library is opened once for the process, by the path of the first engine that is made, and stays open: its signal
// handlers and its compiled code cannot be taken back. Its C API aborts the process on what it does not expect (a value of
// another store, a type it has no word for), so nothing of that kind may reach it: the core checks stores, and this file types.

#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine.h"
#include "handlers.h"
#include "wasmtime_api.h"

_Static_assert(sizeof(wasmtime_val_raw_t) == sizeof(aw_raw), "raw values go through as they are");
_Static_assert(sizeof(wasmtime_anyref_t) <= sizeof(aw_ref) && sizeof(wasmtime_externref_t) <= sizeof(aw_ref) &&
                   sizeof(wasmtime_exnref_t) <= sizeof(aw_ref),
               "references are held by value");

// --- versions -------------------------------------------------------------------------------------------------

// What differs between the versions of the C API that we speak. Its ABI changes under unchanged symbols, so a version that is
// not here is refused.
typedef struct version_entry {
    int major;
} version_entry;

static const version_entry versions[] = {
    {.major = 50},
};

#define WANTED_VERSIONS "version 50"
#define REMEDY "pip install \"wasmtime>=50,<51\""

// --- the library ------------------------------------------------------------------------------------------------

static pthread_mutex_t library_lock = PTHREAD_MUTEX_INITIALIZER;
static aw_wasmtime_library wt;  // written once, under the lock, before `library_open` is set
static bool library_open;
static char library_version[32];

// Is the file an ELF library that is all there? dlopen maps by what the headers say, and a file that is shorter ends the
// process with SIGBUS.
static int library_check_file(const char *path, aw_error *error)
{
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) {
        return aw_error_set(error, AW_ERROR_LOAD, "cannot open Wasmtime's library %s: no such file, or not readable; " REMEDY,
                            path);
    }
    int status = 0;
    struct stat info;
    Elf64_Ehdr header;
    if (fstat(descriptor, &info) < 0 || !S_ISREG(info.st_mode)) {
        status = aw_error_set(error, AW_ERROR_LOAD, "Wasmtime's library %s is not a regular file", path);
    }
    else if (pread(descriptor, &header, sizeof(header), 0) != (ssize_t)sizeof(header) ||
             memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_ident[EI_CLASS] != ELFCLASS64 ||
             header.e_type != ET_DYN || header.e_phentsize != sizeof(Elf64_Phdr)) {
        status = aw_error_set(error, AW_ERROR_LOAD, "Wasmtime's library %s is damaged: it is no shared library; " REMEDY, path);
    }
    for (int i = 0; status == 0 && i < header.e_phnum; i++) {
        Elf64_Phdr segment;
        off_t at = (off_t)(header.e_phoff + (uint64_t)i * sizeof(segment));
        if (pread(descriptor, &segment, sizeof(segment), at) != (ssize_t)sizeof(segment) ||
            segment.p_filesz > (uint64_t)info.st_size || segment.p_offset > (uint64_t)info.st_size - segment.p_filesz) {
            status = aw_error_set(error, AW_ERROR_LOAD, "Wasmtime's library %s is damaged: it is cut short; " REMEDY, path);
        }
    }
    close(descriptor);
    return status;
}

static const version_entry *version_find(int major)
{
    for (size_t i = 0; i < sizeof(versions) / sizeof(versions[0]); i++) {
        if (versions[i].major == major) {
            return &versions[i];
        }
    }
    return NULL;
}

// The library's version, as compiled modules carry it: they begin as an ELF file with a section ".wasmtime.engine", which holds a
// format byte, a length and the version's text. 0 or -1.
static int library_read_version(const aw_wasmtime_library *library, char *out, size_t size)
{
    static const uint8_t empty[] = {0, 'a', 's', 'm', 1, 0, 0, 0};
    wasm_engine_t *engine = library->wasm_engine_new_with_config(library->wasm_config_new());
    wasmtime_module_t *module = NULL;
    wasm_byte_vec_t bytes = {0, NULL};
    int status = -1;
    wasmtime_error_t *failure = library->wasmtime_module_new(engine, empty, sizeof(empty), &module);
    if (failure == NULL) {
        failure = library->wasmtime_module_serialize(module, &bytes);
    }
    if (failure != NULL) {
        library->wasmtime_error_delete(failure);
        goto done;
    }
    Elf64_Ehdr header;
    if (bytes.size < sizeof(header)) {
        goto done;
    }
    memcpy(&header, bytes.data, sizeof(header));
    for (int i = 0; i < header.e_shnum; i++) {
        Elf64_Shdr section, names;
        uint64_t at = header.e_shoff + (uint64_t)i * sizeof(section);
        uint64_t names_at = header.e_shoff + (uint64_t)header.e_shstrndx * sizeof(section);
        if (at > bytes.size - sizeof(section) || names_at > bytes.size - sizeof(section)) {
            break;
        }
        memcpy(&section, bytes.data + at, sizeof(section));
        memcpy(&names, bytes.data + names_at, sizeof(names));
        static const char wanted[] = ".wasmtime.engine";
        uint64_t name_at = names.sh_offset + section.sh_name;
        if (name_at > bytes.size - sizeof(wanted) || memcmp(bytes.data + name_at, wanted, sizeof(wanted)) != 0) {
            continue;
        }
        if (section.sh_offset > bytes.size - 2 || section.sh_size < 2) {
            break;
        }
        size_t length = (uint8_t)bytes.data[section.sh_offset + 1];
        if (length == 0 || length >= size || section.sh_offset + 2 + length > bytes.size) {
            break;
        }
        memcpy(out, bytes.data + section.sh_offset + 2, length);
        out[length] = '\0';
        status = 0;
        break;
    }
done:
    if (bytes.data != NULL) {
        library->wasm_byte_vec_delete(&bytes);
    }
    if (module != NULL) {
        library->wasmtime_module_delete(module);
    }
    library->wasm_engine_delete(engine);
    return status;
}

// Open *file*, which is or was *path*, and find every function. 0 or -1.
static int library_resolve(const char *file, const char *path, aw_wasmtime_library *library, aw_error *error)
{
    void *handle = dlopen(file, RTLD_NOW | RTLD_LOCAL);
    if (handle == NULL) {
        const char *reason = dlerror();
        return aw_error_set(error, AW_ERROR_LOAD, "cannot load Wasmtime's library %s: %s; " REMEDY, path,
                            reason != NULL ? reason : "unknown reason");
    }
    static const char *const names[] = {
#define X(result, name, parameters) #name,
        AW_WASMTIME_SYMBOLS(X)
#undef X
    };
    _Static_assert(sizeof(*library) == sizeof(names) / sizeof(names[0]) * sizeof(void *), "one pointer a symbol");
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        void *symbol = dlsym(handle, names[i]);
        if (symbol == NULL) {
            dlclose(handle);
            return aw_error_set(error, AW_ERROR_LOAD,
                                "the library %s lacks %s: it is not Wasmtime's, or of a version other than " WANTED_VERSIONS
                                "; " REMEDY,
                                path, names[i]);
        }
        memcpy((char *)library + i * sizeof(void *), &symbol, sizeof(void *));
    }
    return 0;
}

// As library_resolve, from a copy in memory: another library as far as the process is concerned.
static int library_resolve_copy(const char *path, aw_wasmtime_library *library, aw_error *error)
{
    int from = open(path, O_RDONLY | O_CLOEXEC);
    int to = memfd_create("libwasmtime", MFD_CLOEXEC);
    struct stat info = {.st_size = 0};
    int status = from >= 0 && to >= 0 ? fstat(from, &info) : -1;
    for (off_t done = 0; status == 0 && done < info.st_size;) {
        status = sendfile(to, from, &done, (size_t)(info.st_size - done)) > 0 ? 0 : -1;
    }
    if (status < 0) {
        aw_error_set(error, AW_ERROR_LOAD, "cannot copy Wasmtime's library %s: %s", path, strerror(errno));
    }
    else {
        char file[64];
        snprintf(file, sizeof(file), "/proc/self/fd/%d", to);
        status = library_resolve(file, path, library, error);
    }
    close(from);
    close(to);
    return status;
}

static int library_open_locked(const char *path, aw_error *error)
{
    if (path == NULL) {
        return aw_error_set(error, AW_ERROR_LOAD, "Wasmtime is not installed; " REMEDY);
    }
    if (library_check_file(path, error) < 0) {
        return -1;
    }
    aw_wasmtime_library library;
    if (library_resolve(path, path, &library, error) < 0) {
        return -1;
    }
    char version[sizeof(library_version)];
    handlers_arrange();  // telling the version makes an engine, and the first engine installs handlers
    if (library_read_version(&library, version, sizeof(version)) < 0) {
        return aw_error_set(error, AW_ERROR_LOAD, "cannot tell the version of Wasmtime's library %s; wanted is " WANTED_VERSIONS
                            ": " REMEDY, path);
    }
    handlers_arrange();
    if (version_find(atoi(version)) == NULL) {
        return aw_error_set(error, AW_ERROR_LOAD, "Wasmtime's library %s is of version %s; wanted is " WANTED_VERSIONS
                            ": " REMEDY, path, version);
    }
    if (!handlers_reach((const void *)(uintptr_t)library.wasm_engine_new_with_config)) {
        // Another package has used the library before us, and its handlers, which are installed only once, have been lost:
        // faulthandler came before it and was disabled after it. A copy has handlers of its own.
        if (library_resolve_copy(path, &library, error) < 0) {
            return -1;
        }
        library.wasm_engine_delete(library.wasm_engine_new_with_config(library.wasm_config_new()));
        handlers_arrange();
    }
    wt = library;
    memcpy(library_version, version, sizeof(version));
    library_open = true;
    return 0;
}

static int library_load(const char *path, aw_error *error)
{
    pthread_mutex_lock(&library_lock);
    int status = library_open ? 0 : library_open_locked(path, error);
    pthread_mutex_unlock(&library_lock);
    return status;
}

// --- objects ------------------------------------------------------------------------------------------------------

enum {
    DEFAULT_WASM_STACK = 512 << 10,  // Wasmtime's own default; host functions on the way count, too
    HOST_STACK = 256 << 10,          // what stays free for them below that: with it, a thread needs less than a megabyte
};

struct aw_engine {
    wasm_engine_t *engine;
    aw_config config;
    uint64_t capabilities;
    size_t wasm_stack;  // bytes
    bool interruptible, fuel;
};

struct aw_module {
    wasmtime_module_t *module;
};

struct aw_store {
    wasmtime_store_t *store;
    wasmtime_context_t *context;
    aw_engine *engine;  // borrowed
    aw_host host;
    atomic_bool interrupted;
    bool host_failed;  // a host function has failed, and the engine unwinds
    bool polled;       // it was the host's poll
    uint32_t entries;  // calls into Wasm that run, one inside the other
};

struct aw_instance {
    wasmtime_instance_t instance;
    aw_store *store;
};

struct aw_func {
    wasmtime_context_t *context;
    wasmtime_func_t func;
    aw_store *store;
};

struct aw_memory {
    aw_store *store;
    wasmtime_memory_t memory;
    wasmtime_sharedmemory_t *shared;  // owned, or NULL
};

struct aw_table {
    aw_store *store;
    wasmtime_table_t table;
};

struct aw_global {
    aw_store *store;
    wasmtime_global_t global;
};

struct aw_tag {
    aw_store *store;
    wasmtime_tag_t tag;
};

// What wasmtime_externref_new keeps for us: the payload, and whom to tell.
typedef struct externref_data {
    aw_store *store;
    aw_foreign *foreign;
} externref_data;

static void *out_of_memory(aw_error *error)
{
    aw_error_set(error, AW_ERROR_MEMORY, "out of memory");
    return NULL;
}

// --- errors --------------------------------------------------------------------------------------------------------

static const struct {
    aw_trapcode code;
    const char *text;
} traps[] = {
    [0] = {AW_TRAP_STACK_EXHAUSTED, "call stack exhausted"},
    [1] = {AW_TRAP_MEMORY_OUT_OF_BOUNDS, "out of bounds memory access"},
    [2] = {AW_TRAP_UNALIGNED_ATOMIC, "unaligned atomic"},
    [3] = {AW_TRAP_TABLE_OUT_OF_BOUNDS, "out of bounds table access"},
    [4] = {AW_TRAP_UNINITIALIZED_ELEMENT, "uninitialized element"},
    [5] = {AW_TRAP_INDIRECT_CALL_TYPE_MISMATCH, "indirect call type mismatch"},
    [6] = {AW_TRAP_INTEGER_OVERFLOW, "integer overflow"},
    [7] = {AW_TRAP_INTEGER_DIVIDE_BY_ZERO, "integer divide by zero"},
    [8] = {AW_TRAP_INVALID_CONVERSION_TO_INTEGER, "invalid conversion to integer"},
    [9] = {AW_TRAP_UNREACHABLE, "unreachable"},
    [12] = {AW_TRAP_WAIT_ON_UNSHARED_MEMORY, "expected shared memory"},
    [13] = {AW_TRAP_NULL_REFERENCE, "null reference"},
    [14] = {AW_TRAP_ARRAY_OUT_OF_BOUNDS, "out of bounds array access"},
    [15] = {AW_TRAP_ALLOCATION_TOO_LARGE, "allocation size too large"},
    [16] = {AW_TRAP_CAST_FAILURE, "cast failure"},
};
enum { TRAP_INTERRUPT = 10, TRAP_OUT_OF_FUEL = 11 };

static char *name_copy(const wasm_name_t *name)
{
    if (name == NULL || name->size == 0) {
        return NULL;
    }
    char *copy = malloc(name->size + 1);
    if (copy != NULL) {
        memcpy(copy, name->data, name->size);
        copy[name->size] = '\0';
    }
    return copy;
}

static void error_frames(aw_error *error, wasm_frame_vec_t *frames)
{
    error->frames = frames->size > 0 ? calloc(frames->size, sizeof(*error->frames)) : NULL;
    error->frame_count = error->frames != NULL ? frames->size : 0;
    for (size_t i = 0; i < error->frame_count; i++) {
        const wasm_frame_t *frame = frames->data[i];
        size_t offset = wt.wasm_frame_module_offset(frame);
        error->frames[i] = (aw_frame){
            .module_name = name_copy(wt.wasmtime_frame_module_name(frame)),
            .function_name = name_copy(wt.wasmtime_frame_func_name(frame)),
            .function_index = wt.wasm_frame_func_index(frame),
            .module_offset = offset == SIZE_MAX ? UINT64_MAX : offset,
        };
    }
    wt.wasm_frame_vec_delete(frames);
}

// The part of Wasmtime's message that says what is wrong: without the backtrace, with what it says under "Caused by" when
// `cause` asks for that alone.
static void message_of(char *out, size_t size, const char *text, size_t length, bool cause)
{
    char *copy = malloc(length + 1);
    if (copy == NULL) {
        snprintf(out, size, "unknown error");
        return;
    }
    memcpy(copy, text, length);
    copy[length] = '\0';
    char *start = copy, *found = strstr(copy, "\n\nCaused by:\n");
    if (found != NULL) {
        if (cause) {
            // The last of the causes, "    N: text" or "    text".
            start = found + strlen("\n\nCaused by:\n");
            for (char *next = start; (next = strchr(next, '\n')) != NULL && strncmp(next, "\n    ", 5) == 0;) {
                next++;
                char *word = next + strspn(next, " ");
                if (word - next <= 8) {
                    start = next;
                }
            }
            start += strspn(start, " ");
            char *digits = start + strspn(start, "0123456789");
            if (digits != start && strncmp(digits, ": ", 2) == 0) {
                start = digits + 2;
            }
        }
        else {
            memmove(found, found + 1, strlen(found));  // one empty line less
        }
    }
    size_t end = strlen(start);
    while (end > 0 && (start[end - 1] == '\n' || start[end - 1] == '.')) {
        start[--end] = '\0';
    }
    if (start[0] >= 'A' && start[0] <= 'Z' && start[1] >= 'a' && start[1] <= 'z') {
        start[0] = (char)(start[0] - 'A' + 'a');
    }
    snprintf(out, size, "%s", start);
    free(copy);
}

// Fill *error from a Wasmtime error, which goes. Returns -1.
static int error_take(aw_error *error, aw_errorkind kind, wasmtime_error_t *failure)
{
    wasm_name_t message = {0, NULL};
    wt.wasmtime_error_message(failure, &message);
    aw_error_set(error, kind, "%s", "");
    message_of(error->message, sizeof(error->message), message.data, message.size, kind == AW_ERROR_COMPILE);
    wt.wasm_byte_vec_delete(&message);
    wasm_frame_vec_t frames = {0, NULL};
    wt.wasmtime_error_wasm_trace(failure, &frames);
    error_frames(error, &frames);
    wt.wasmtime_error_delete(failure);
    return -1;
}

// What a failed call or instantiation means. One of *failure* and *trap* is there, and goes. Returns -1.
static int call_failed(aw_store *store, aw_error *error, wasmtime_error_t *failure, wasm_trap_t *trap)
{
    uint8_t code;
    wasm_frame_vec_t frames = {0, NULL};
    if (store->host_failed) {
        store->host_failed = false;
        aw_error_set(error, AW_ERROR_HOST, "a host function failed");
    }
    else if (trap != NULL && wt.wasmtime_trap_code(trap, &code)) {
        if (code == TRAP_OUT_OF_FUEL) {
            aw_error_set(error, AW_ERROR_FUEL, "out of fuel");
        }
        else if (code == TRAP_INTERRUPT) {
            aw_error_set(error, AW_ERROR_INTERRUPTED, "the call was interrupted: its time is up, or somebody stopped it");
        }
        else if (code < sizeof(traps) / sizeof(traps[0]) && traps[code].text != NULL) {
            aw_error_set(error, AW_ERROR_TRAP, "%s", traps[code].text);
            error->trap = traps[code].code;
        }
        else {
            wasm_byte_vec_t message = {0, NULL};
            wt.wasm_trap_message(trap, &message);
            aw_error_set(error, AW_ERROR_TRAP, "%s", "");
            message_of(error->message, sizeof(error->message), message.data, message.size, true);
            wt.wasm_byte_vec_delete(&message);
        }
    }
    else {
        wasmtime_exnref_t exception;
        if (wt.wasmtime_context_take_exception(store->context, &exception)) {
            aw_error_set(error, AW_ERROR_EXCEPTION, "uncaught Wasm exception");
            memcpy(&error->exception, &exception, sizeof(exception));
        }
        else if (failure != NULL) {
            return error_take(error, AW_ERROR_INTERNAL, failure);
        }
        else {
            wasm_byte_vec_t message = {0, NULL};
            wt.wasm_trap_message(trap, &message);
            aw_error_set(error, AW_ERROR_INTERNAL, "%s", "");
            message_of(error->message, sizeof(error->message), message.data, message.size, true);
            wt.wasm_byte_vec_delete(&message);
        }
    }
    if (trap != NULL) {
        wt.wasm_trap_trace(trap, &frames);
        error_frames(error, &frames);
        wt.wasm_trap_delete(trap);
    }
    if (failure != NULL) {
        wt.wasmtime_error_wasm_trace(failure, &frames);
        error_frames(error, &frames);
        wt.wasmtime_error_delete(failure);
    }
    return -1;
}

// --- types --------------------------------------------------------------------------------------------------------------

static const uint8_t heap_of_kind[] = {
    [WASMTIME_HEAPTYPE_KIND_EXTERN] = AW_HEAP_EXTERN,
    [WASMTIME_HEAPTYPE_KIND_NOEXTERN] = AW_HEAP_NOEXTERN,
    [WASMTIME_HEAPTYPE_KIND_FUNC] = AW_HEAP_FUNC,
    [WASMTIME_HEAPTYPE_KIND_CONCRETE_FUNC] = AW_HEAP_FUNC,
    [WASMTIME_HEAPTYPE_KIND_NOFUNC] = AW_HEAP_NOFUNC,
    [WASMTIME_HEAPTYPE_KIND_ANY] = AW_HEAP_ANY,
    [WASMTIME_HEAPTYPE_KIND_NONE] = AW_HEAP_NONE,
    [WASMTIME_HEAPTYPE_KIND_EQ] = AW_HEAP_EQ,
    [WASMTIME_HEAPTYPE_KIND_I31] = AW_HEAP_I31,
    [WASMTIME_HEAPTYPE_KIND_ARRAY] = AW_HEAP_ARRAY,
    [WASMTIME_HEAPTYPE_KIND_CONCRETE_ARRAY] = AW_HEAP_ARRAY,
    [WASMTIME_HEAPTYPE_KIND_STRUCT] = AW_HEAP_STRUCT,
    [WASMTIME_HEAPTYPE_KIND_CONCRETE_STRUCT] = AW_HEAP_STRUCT,
    [WASMTIME_HEAPTYPE_KIND_EXN] = AW_HEAP_EXN,
    [WASMTIME_HEAPTYPE_KIND_CONCRETE_EXN] = AW_HEAP_EXN,
    [WASMTIME_HEAPTYPE_KIND_NOEXN] = AW_HEAP_NOEXN,
};

static bool heap_is_concrete(uint8_t kind)
{
    return kind == WASMTIME_HEAPTYPE_KIND_CONCRETE_FUNC || kind == WASMTIME_HEAPTYPE_KIND_CONCRETE_ARRAY ||
           kind == WASMTIME_HEAPTYPE_KIND_CONCRETE_STRUCT || kind == WASMTIME_HEAPTYPE_KIND_CONCRETE_EXN;
}

static aw_valtype valtype_from(const wasm_valtype_t *type)
{
    wasmtime_valtype_t told;
    wt.wasmtime_valtype_new(type, &told);
    aw_valtype out = {.kind = (uint8_t)(told.kind + AW_I32)};  // the same order, i32 to v128, then references
    if (told.kind == WASMTIME_VALTYPE_KIND_REF) {
        out.heap = heap_of_kind[told.reftype.heaptype.kind];
        out.nullable = told.reftype.nullable;
        out.concrete = heap_is_concrete(told.reftype.heaptype.kind);
    }
    wt.wasmtime_valtype_delete(&told);
    return out;
}

// Owned, or NULL for a concrete type, which cannot be told to Wasmtime.
static wasm_valtype_t *valtype_to(const aw_engine *engine, aw_valtype type)
{
    static const uint8_t kinds[] = {
        [AW_HEAP_FUNC] = WASMTIME_HEAPTYPE_KIND_FUNC,       [AW_HEAP_NOFUNC] = WASMTIME_HEAPTYPE_KIND_NOFUNC,
        [AW_HEAP_EXTERN] = WASMTIME_HEAPTYPE_KIND_EXTERN,   [AW_HEAP_NOEXTERN] = WASMTIME_HEAPTYPE_KIND_NOEXTERN,
        [AW_HEAP_ANY] = WASMTIME_HEAPTYPE_KIND_ANY,         [AW_HEAP_EQ] = WASMTIME_HEAPTYPE_KIND_EQ,
        [AW_HEAP_I31] = WASMTIME_HEAPTYPE_KIND_I31,         [AW_HEAP_STRUCT] = WASMTIME_HEAPTYPE_KIND_STRUCT,
        [AW_HEAP_ARRAY] = WASMTIME_HEAPTYPE_KIND_ARRAY,     [AW_HEAP_NONE] = WASMTIME_HEAPTYPE_KIND_NONE,
        [AW_HEAP_EXN] = WASMTIME_HEAPTYPE_KIND_EXN,         [AW_HEAP_NOEXN] = WASMTIME_HEAPTYPE_KIND_NOEXN,
    };
    if (type.concrete) {
        return NULL;
    }
    wasmtime_valtype_t told = {.kind = (uint8_t)(type.kind - AW_I32)};
    if (type.kind == AW_REF) {
        told.reftype.nullable = type.nullable;
        told.reftype.heaptype.kind = kinds[type.heap];
    }
    return wt.wasmtime_valtype_to_wasm(engine->engine, &told);
}

static int types_to(const aw_engine *engine, const aw_valtype *types, uint32_t count, wasm_valtype_vec_t *out, aw_error *error)
{
    if (count == 0) {
        wt.wasm_valtype_vec_new_empty(out);
        return 0;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (types[i].concrete) {
            return aw_error_set(error, AW_ERROR_UNSUPPORTED,
                                "a function type with concrete reference types can come from a module's import only");
        }
    }
    wt.wasm_valtype_vec_new_uninitialized(out, count);
    for (uint32_t i = 0; i < count; i++) {
        out->data[i] = valtype_to(engine, types[i]);
    }
    return 0;
}

static wasm_functype_t *functype_to(const aw_engine *engine, const aw_functype *type, aw_error *error)
{
    for (uint32_t i = 0; i < type->result_count; i++) {
        if (type->results[i].concrete) {
            aw_error_set(error, AW_ERROR_UNSUPPORTED,
                         "a function type with concrete reference types can come from a module's import only");
            return NULL;
        }
    }
    wasm_valtype_vec_t parameters, results;
    if (types_to(engine, type->parameters, type->parameter_count, &parameters, error) < 0) {
        return NULL;
    }
    types_to(engine, type->results, type->result_count, &results, error);
    return wt.wasm_functype_new(&parameters, &results);
}

static void functype_from(const wasm_functype_t *type, uint32_t *parameter_count, uint32_t *result_count, aw_valtype *types,
                          size_t capacity)
{
    const wasm_valtype_vec_t *parameters = wt.wasm_functype_params(type), *results = wt.wasm_functype_results(type);
    *parameter_count = (uint32_t)parameters->size;
    *result_count = (uint32_t)results->size;
    for (size_t i = 0; i < parameters->size + results->size && i < capacity; i++) {
        types[i] = valtype_from(i < parameters->size ? parameters->data[i] : results->data[i - parameters->size]);
    }
}

// --- values: for the parts of the C API that do not take raw ones ----------------------------------------------------------

static wasmtime_val_t val_from_raw(aw_store *store, aw_valtype type, const aw_raw *raw)
{
    wasmtime_val_t val = {.kind = WASMTIME_I32};
    memset(&val.of, 0, sizeof(val.of));
    switch (type.kind) {
    case AW_I32:
    case AW_I64:
    case AW_F32:
    case AW_F64:
    case AW_V128:
        val.kind = (uint8_t)(type.kind - AW_I32);
        memcpy(&val.of, raw, sizeof(*raw));
        return val;
    default:
        break;
    }
    switch (type.heap) {
    case AW_HEAP_FUNC:
    case AW_HEAP_NOFUNC:
        val.kind = WASMTIME_FUNCREF;
        if (raw->func != NULL) {
            wt.wasmtime_func_from_raw(store->context, raw->func, &val.of.funcref);
        }
        break;
    case AW_HEAP_EXTERN:
    case AW_HEAP_NOEXTERN:
        val.kind = WASMTIME_EXTERNREF;
        if (raw->ref != 0) {
            wt.wasmtime_externref_from_raw(store->context, raw->ref, &val.of.externref);
        }
        break;
    case AW_HEAP_EXN:
    case AW_HEAP_NOEXN:
        val.kind = WASMTIME_EXNREF;
        if (raw->ref != 0) {
            wt.wasmtime_exnref_from_raw(store->context, raw->ref, &val.of.exnref);
        }
        break;
    default:
        val.kind = WASMTIME_ANYREF;
        if (raw->ref != 0) {
            wt.wasmtime_anyref_from_raw(store->context, raw->ref, &val.of.anyref);
        }
        break;
    }
    return val;
}

// Takes the value over.
static void val_to_raw(aw_store *store, wasmtime_val_t *val, aw_raw *raw)
{
    raw->bits[0] = raw->bits[1] = 0;
    switch (val->kind) {
    case WASMTIME_I32:
        raw->i32 = val->of.i32;
        return;
    case WASMTIME_F32:
        raw->f32 = val->of.f32;
        return;
    case WASMTIME_I64:
    case WASMTIME_F64:
        memcpy(raw, &val->of, 8);
        return;
    case WASMTIME_V128:
        memcpy(raw, val->of.v128, 16);
        return;
    case WASMTIME_FUNCREF:
        if (val->of.funcref.store_id != 0) {
            raw->func = wt.wasmtime_func_to_raw(store->context, &val->of.funcref);
        }
        return;
    case WASMTIME_EXTERNREF:
        if (val->of.externref.store_id != 0) {
            raw->ref = wt.wasmtime_externref_to_raw(store->context, &val->of.externref);
        }
        break;
    case WASMTIME_EXNREF:
        if (val->of.exnref.store_id != 0) {
            raw->ref = wt.wasmtime_exnref_to_raw(store->context, &val->of.exnref);
        }
        break;
    default:
        if (val->of.anyref.store_id != 0) {
            raw->ref = wt.wasmtime_anyref_to_raw(store->context, &val->of.anyref);
        }
        break;
    }
    wt.wasmtime_val_unroot(val);
}

// --- engine -------------------------------------------------------------------------------------------------------------------

#define ALWAYS                                                                                                        \
    (AW_CAP(SIMD) | AW_CAP(RELAXED_SIMD) | AW_CAP(THREADS) | AW_CAP(TAIL_CALL) | AW_CAP(EXCEPTIONS) | AW_CAP(GC) |    \
     AW_CAP(FUNCTION_REFERENCES) | AW_CAP(MEMORY64) | AW_CAP(MULTI_MEMORY) | AW_CAP(EXTENDED_CONST) |                 \
     AW_CAP(MULTI_VALUE) | AW_CAP(REFERENCE_TYPES) | AW_CAP(BULK_MEMORY) | AW_CAP(SERIALIZE) | AW_CAP(WAT) |          \
     AW_CAP(IMPORTED_MEMORY) | AW_CAP(IMPORTED_TABLE) | AW_CAP(IMPORTED_GLOBAL) | AW_CAP_STABLE_MEMORY)

static int aw_wasmtime_probe(const char *library, const char **version, uint64_t *capabilities, aw_error *error)
{
    if (library_load(library, error) < 0) {
        return -1;
    }
    *version = library_version;
    *capabilities = ALWAYS | AW_CAP(FUEL) | AW_CAP(INTERRUPT);
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

// What Wasmtime answers with a panic instead of an error.
static int config_check(const aw_config *config, aw_error *error)
{
    enum { STACK_MAXIMUM = 2 << 20 };  // the size of its stacks for asynchronous calls, which bounds all others
    if (config->max_wasm_stack > STACK_MAXIMUM) {
        return aw_error_set(error, AW_ERROR_UNSUPPORTED, "max_wasm_stack: wasmtime takes at most %d bytes, got %zu", STACK_MAXIMUM,
                            config->max_wasm_stack);
    }
    // Components need the first two; its C API has no setting for the third.
    if (config->disabled & (AW_CAP(BULK_MEMORY) | AW_CAP(REFERENCE_TYPES) | AW_CAP(EXTENDED_CONST))) {
        return aw_error_set(error, AW_ERROR_UNSUPPORTED,
                            "disable: wasmtime cannot do without bulk_memory, reference_types and extended_const");
    }
    return 0;
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
    return wt.wasm_engine_new_with_config(settings);
}

static aw_engine *aw_wasmtime_engine_new(const aw_config *config, const char *library, aw_error *error)
{
    if (config_check(config, error) < 0 || library_load(library, error) < 0) {
        return NULL;
    }
    aw_engine *engine = calloc(1, sizeof(*engine));
    if (engine == NULL) {
        return out_of_memory(error);
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
                           (config->interruptible ? AW_CAP(INTERRUPT) : 0);
    return engine;
}

static void aw_wasmtime_engine_delete(aw_engine *engine)
{
    wt.wasm_engine_delete(engine->engine);
    free(engine);
}

static uint64_t aw_wasmtime_engine_capabilities(const aw_engine *engine)
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
    error_take(error, AW_ERROR_COMPILE, failure);
    for (size_t i = 0; i < sizeof(needs) / sizeof(needs[0]); i++) {
        if ((engine->capabilities & needs[i].capability) == 0 && strstr(error->message, needs[i].words) != NULL) {
            error->kind = AW_ERROR_UNSUPPORTED;
            error->capability = needs[i].capability;
            return;
        }
    }
}

static aw_module *module_wrap(wasmtime_module_t *handle, aw_error *error)
{
    aw_module *module = malloc(sizeof(*module));
    if (module == NULL) {
        wt.wasmtime_module_delete(handle);
        return out_of_memory(error);
    }
    module->module = handle;
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

static aw_module *aw_wasmtime_module_new(aw_engine *engine, const uint8_t *bytes, size_t length, aw_error *error)
{
    wasmtime_module_t *handle;
    wasmtime_error_t *failure = compile(engine, bytes, length, &handle);
    if (failure != NULL) {
        compile_failed(engine, error, failure);
        return NULL;
    }
    return module_wrap(handle, error);
}

static int aw_wasmtime_module_validate(aw_engine *engine, const uint8_t *bytes, size_t length, aw_error *error)
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

static int aw_wasmtime_module_serialize(const aw_module *module, uint8_t **bytes, size_t *length, aw_error *error)
{
    wasm_byte_vec_t vector = {0, NULL};
    wasmtime_error_t *failure = wt.wasmtime_module_serialize(module->module, &vector);
    return failure != NULL ? error_take(error, AW_ERROR_INTERNAL, failure) : bytes_take(&vector, bytes, length, error);
}

static aw_module *aw_wasmtime_module_deserialize(aw_engine *engine, const uint8_t *bytes, size_t length, aw_error *error)
{
    wasmtime_module_t *handle;
    wasmtime_error_t *failure = wt.wasmtime_module_deserialize(engine->engine, bytes, length, &handle);
    if (failure != NULL) {
        error_take(error, AW_ERROR_COMPILE, failure);
        return NULL;
    }
    return module_wrap(handle, error);
}

static void aw_wasmtime_module_delete(aw_module *module)
{
    wt.wasmtime_module_delete(module->module);
    free(module);
}

static int aw_wasmtime_wat2wasm(const char *library, const char *text, size_t length, uint8_t **bytes, size_t *size,
                                aw_error *error)
{
    if (library_load(library, error) < 0) {
        return -1;
    }
    wasm_byte_vec_t vector = {0, NULL};
    wasmtime_error_t *failure = wt.wasmtime_wat2wasm(text, length, &vector);
    return failure != NULL ? error_take(error, AW_ERROR_COMPILE, failure) : bytes_take(&vector, bytes, size, error);
}

// --- store ------------------------------------------------------------------------------------------------------------------------

// At each change of the epoch in a running call: is it this store that is to stop?
static wasmtime_error_t *on_epoch(const wasmtime_context_t *context, void *data, uint64_t *delta, uint8_t *kind)
{
    (void)context;
    aw_store *store = data;
    if (atomic_exchange(&store->interrupted, false)) {
        store->polled = true;
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

static int64_t limit_of(uint64_t limit)
{
    return limit > INT64_MAX ? -1 : (int64_t)limit;
}

static aw_store *aw_wasmtime_store_new(aw_engine *engine, const aw_host *host, const aw_storelimits *limits, aw_error *error)
{
    aw_store *store = calloc(1, sizeof(*store));
    if (store == NULL) {
        return out_of_memory(error);
    }
    store->engine = engine;
    store->host = *host;
    store->store = wt.wasmtime_store_new(engine->engine, store, NULL);
    if (store->store == NULL) {
        free(store);
        return out_of_memory(error);
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
    free(store);
}

static int aw_wasmtime_store_set_fuel(aw_store *store, uint64_t fuel, aw_error *error)
{
    wasmtime_error_t *failure = wt.wasmtime_context_set_fuel(store->context, fuel);
    return failure != NULL ? error_take(error, AW_ERROR_INTERNAL, failure) : 0;
}

static int aw_wasmtime_store_get_fuel(aw_store *store, uint64_t *fuel, aw_error *error)
{
    wasmtime_error_t *failure = wt.wasmtime_context_get_fuel(store->context, fuel);
    return failure != NULL ? error_take(error, AW_ERROR_INTERNAL, failure) : 0;
}

static void aw_wasmtime_store_interrupt(aw_store *store)
{
    atomic_store(&store->interrupted, true);
    wt.wasmtime_engine_increment_epoch(store->engine->engine);
}

static void aw_wasmtime_store_uninterrupt(aw_store *store)
{
    atomic_store(&store->interrupted, false);
}

static int aw_wasmtime_store_gc(aw_store *store, aw_error *error)
{
    wasmtime_error_t *failure = wt.wasmtime_context_gc(store->context);
    return failure != NULL ? error_take(error, AW_ERROR_INTERNAL, failure) : 0;
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
        return out_of_memory(error);
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
    if (call_failed(store, error, failure, trap), error->kind == AW_ERROR_INTERNAL) {
        if (strstr(error->message, "limit") != NULL || strstr(error->message, "exceeds") != NULL ||
            strstr(error->message, "too high") != NULL) {
            error->kind = AW_ERROR_LIMIT;
        }
        else if (strstr(error->message, "incompatible import type") != NULL ||
                 strstr(error->message, "types incompatible") != NULL || strstr(error->message, "expected") != NULL) {
            error->kind = AW_ERROR_LINK;
        }
        else if (strstr(error->message, "memory") != NULL || strstr(error->message, "allocat") != NULL) {
            error->kind = AW_ERROR_MEMORY;
        }
    }
    return -1;
}

// Where this thread's stack lies; zero until it was asked for.
static _Thread_local struct {
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
static bool stack_too_small(aw_store *store, aw_error *error)
{
    if (thread_stack.highest == 0) {
        thread_stack_find();
    }
    uintptr_t here = (uintptr_t)__builtin_frame_address(0);
    size_t needed = HOST_STACK + (store->entries == 0 ? store->engine->wasm_stack : 0);
    if (here - thread_stack.lowest >= needed || here < thread_stack.lowest || here > thread_stack.highest) {
        return false;
    }
    aw_error_set(error, AW_ERROR_TRAP,
                 "call stack exhausted: this thread's stack has %zu KiB left, the call may need %zu KiB "
                 "(threading.stack_size makes more of the one, Engine(max_wasm_stack=…) less of the other)",
                 (size_t)(here - thread_stack.lowest) >> 10, needed >> 10);
    error->trap = AW_TRAP_STACK_EXHAUSTED;
    return true;
}

// Before each entry: false, or true with why not. What enters leaves by store_left.
static inline bool store_refuses(aw_store *store, aw_error *error)
{
    // An epoch that passed while nothing ran is no reason to stop, but a wish to interrupt is.
    if (store->engine->interruptible && atomic_exchange(&store->interrupted, false)) {
        aw_error_set(error, AW_ERROR_INTERRUPTED, "the call was interrupted: its time is up, or somebody stopped it");
        return true;
    }
    if (stack_too_small(store, error)) {
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
        return out_of_memory(error);
    }
    for (size_t i = 0; i < import_count; i++) {
        extern_to(&imports[i], &externs[i]);
    }
    instance->store = store;
    if (store_refuses(store, error)) {
        free(instance);
        free(externs);
        return NULL;
    }
    wasm_trap_t *trap = NULL;
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
static wasm_trap_t *host_trampoline_checked(void *data, wasmtime_caller_t *caller, const wasmtime_val_t *args, size_t nargs,
                                            wasmtime_val_t *results, size_t nresults)
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
            raw.bits[0] = copy.of.externref.store_id ? wt.wasmtime_externref_to_raw(host->store->context, &copy.of.externref) : 0;
            break;
        case WASMTIME_ANYREF:
            raw.bits[0] = copy.of.anyref.store_id ? wt.wasmtime_anyref_to_raw(host->store->context, &copy.of.anyref) : 0;
            break;
        case WASMTIME_EXNREF:
            raw.bits[0] = copy.of.exnref.store_id ? wt.wasmtime_exnref_to_raw(host->store->context, &copy.of.exnref) : 0;
            break;
        default:
            val_to_raw(host->store, &copy, &raw);
            break;
        }
        values[i] = raw;
    }
    aw_caller who = {.caller = caller, .store = host->store};
    aw_hostresult result = host->callback(host->env, &who, values);
    wasm_trap_t *trap = NULL;
    if (result == AW_HOST_OK) {
        for (size_t i = 0; i < nresults; i++) {
            results[i] = val_from_raw(host->store, host->types[host->parameter_count + i], &values[i]);
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
        const wasm_functype_t *borrowed =
            wt.wasm_externtype_as_functype_const(wt.wasm_importtype_type(imports.data[index]));
        type = borrowed != NULL ? wt.wasm_functype_copy(borrowed) : NULL;
    }
    wt.wasm_importtype_vec_delete(&imports);
    return type;
}

static aw_func *aw_wasmtime_func_new(aw_store *store, const aw_functype *type, const aw_module *module, uint32_t import_index,
                                     aw_hostfunc callback, void *env, void (*env_delete)(void *env), aw_error *error)
{
    bool concrete = false, concrete_results = false;
    for (uint32_t i = 0; i < type->parameter_count; i++) {
        concrete = concrete || type->parameters[i].concrete;
    }
    for (uint32_t i = 0; i < type->result_count; i++) {
        concrete_results = concrete_results || type->results[i].concrete;
    }
    wasm_functype_t *functype = (concrete || concrete_results) && module != NULL ? import_functype(module, import_index)
                                                                                : functype_to(store->engine, type, error);
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
        return out_of_memory(error);
    }
    *host = (host_env){.store = store, .callback = callback, .env = env, .env_delete = env_delete,
                       .parameter_count = type->parameter_count, .result_count = type->result_count};
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
    functype_from(type, parameter_count, result_count, types, capacity);
    wt.wasm_functype_delete(type);
}

// What a failed entry means, when it may have been our own interruption.
static int entry_failed(aw_store *store, aw_error *error, wasmtime_error_t *failure, wasm_trap_t *trap)
{
    bool interrupted = store->polled;
    store->polled = false;
    call_failed(store, error, failure, trap);
    if (interrupted && error->kind == AW_ERROR_INTERNAL) {
        error->kind = AW_ERROR_INTERRUPTED;
        snprintf(error->message, sizeof(error->message), "the call was interrupted: its time is up, or somebody stopped it");
    }
    return -1;
}

static int aw_wasmtime_func_call(aw_func *func, aw_raw *values, size_t count, aw_error *error)
{
    wasm_trap_t *trap = NULL;
    if (store_refuses(func->store, error)) {
        return -1;
    }
    wasmtime_error_t *failure =
        wt.wasmtime_func_call_unchecked(func->context, &func->func, (wasmtime_val_raw_t *)values, count, &trap);
    store_left(func->store);
    if (failure == NULL && trap == NULL) {
        return 0;
    }
    return entry_failed(func->store, error, failure, trap);
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
        vals[i] = val_from_raw(func->store, types[i], &values[i]);
    }
    wasm_trap_t *trap = NULL;
    wasmtime_error_t *failure = NULL;
    bool refused = store_refuses(func->store, error);
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
        status = entry_failed(func->store, error, failure, trap);
        if (error->kind == AW_ERROR_INTERNAL) {
            error->kind = AW_ERROR_TYPE;
        }
    }
    else if (!refused) {
        for (uint32_t i = 0; i < result_count; i++) {
            val_to_raw(func->store, &vals[parameter_count + i], &values[i]);
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

// --- references ---------------------------------------------------------------------------------------------------------------------------

static void externref_finalize(void *data)
{
    externref_data *box = data;
    box->store->host.foreign_drop(box->store->host.data, box->foreign);
    free(box);
}

static int aw_wasmtime_externref_new(aw_store *store, aw_foreign *foreign, aw_ref *out, aw_error *error)
{
    externref_data *box = malloc(sizeof(*box));
    if (box == NULL) {
        return aw_error_set(error, AW_ERROR_MEMORY, "out of memory");
    }
    *box = (externref_data){.store = store, .foreign = foreign};
    if (!wt.wasmtime_externref_new(store->context, box, externref_finalize, (wasmtime_externref_t *)out)) {
        // The library has dropped the box, and with it the count: take it back by keeping the caller's. (It calls the finalizer.)
        foreign->token = 0;
        return aw_error_set(error, AW_ERROR_MEMORY, "out of memory for an externref");
    }
    return 0;
}

static aw_foreign *aw_wasmtime_externref_foreign(aw_store *store, const aw_ref *ref)
{
    externref_data *box = wt.wasmtime_externref_data(store->context, (const wasmtime_externref_t *)ref);
    return box != NULL ? box->foreign : NULL;
}

static int aw_wasmtime_ref_from_raw(aw_store *store, aw_refclass refclass, const aw_raw *raw, aw_ref *out, aw_error *error)
{
    (void)error;
    switch (refclass) {
    case AW_REF_EXTERN:
        wt.wasmtime_externref_from_raw(store->context, raw->ref, (wasmtime_externref_t *)out);
        break;
    case AW_REF_ANY:
        wt.wasmtime_anyref_from_raw(store->context, raw->ref, (wasmtime_anyref_t *)out);
        break;
    case AW_REF_EXN:
        wt.wasmtime_exnref_from_raw(store->context, raw->ref, (wasmtime_exnref_t *)out);
        break;
    }
    return 0;
}

static void aw_wasmtime_ref_to_raw(aw_store *store, aw_refclass refclass, const aw_ref *ref, aw_raw *raw)
{
    raw->bits[0] = raw->bits[1] = 0;
    switch (refclass) {
    case AW_REF_EXTERN:
        raw->ref = wt.wasmtime_externref_to_raw(store->context, (const wasmtime_externref_t *)ref);
        break;
    case AW_REF_ANY:
        raw->ref = wt.wasmtime_anyref_to_raw(store->context, (const wasmtime_anyref_t *)ref);
        break;
    case AW_REF_EXN:
        raw->ref = wt.wasmtime_exnref_to_raw(store->context, (const wasmtime_exnref_t *)ref);
        break;
    }
}

static void aw_wasmtime_ref_clone(aw_refclass refclass, const aw_ref *ref, aw_ref *out)
{
    switch (refclass) {
    case AW_REF_EXTERN:
        wt.wasmtime_externref_clone((const wasmtime_externref_t *)ref, (wasmtime_externref_t *)out);
        break;
    case AW_REF_ANY:
        wt.wasmtime_anyref_clone((const wasmtime_anyref_t *)ref, (wasmtime_anyref_t *)out);
        break;
    case AW_REF_EXN:
        wt.wasmtime_exnref_clone((const wasmtime_exnref_t *)ref, (wasmtime_exnref_t *)out);
        break;
    }
}

static void aw_wasmtime_ref_drop(aw_refclass refclass, aw_ref *ref)
{
    switch (refclass) {
    case AW_REF_EXTERN:
        wt.wasmtime_externref_unroot((wasmtime_externref_t *)ref);
        break;
    case AW_REF_ANY:
        wt.wasmtime_anyref_unroot((wasmtime_anyref_t *)ref);
        break;
    case AW_REF_EXN:
        wt.wasmtime_exnref_unroot((wasmtime_exnref_t *)ref);
        break;
    }
}

static aw_heaptype aw_wasmtime_ref_heaptype(aw_store *store, aw_refclass refclass, const aw_ref *ref)
{
    if (refclass != AW_REF_ANY) {
        return refclass == AW_REF_EXN ? AW_HEAP_EXN : AW_HEAP_EXTERN;
    }
    const wasmtime_anyref_t *any = (const wasmtime_anyref_t *)ref;
    if (wt.wasmtime_anyref_is_struct(store->context, any)) {
        return AW_HEAP_STRUCT;
    }
    if (wt.wasmtime_anyref_is_array(store->context, any)) {
        return AW_HEAP_ARRAY;
    }
    // Asked last: in 50.0.1 it is true of whatever has any bit in the lowest byte of its word, structs and arrays too.
    int32_t value;
    return wt.wasmtime_anyref_i31_get_s(store->context, any, &value) ? AW_HEAP_I31 : AW_HEAP_ANY;
}

static int32_t aw_wasmtime_ref_i31(aw_store *store, const aw_ref *ref)
{
    int32_t value = 0;
    wt.wasmtime_anyref_i31_get_s(store->context, (const wasmtime_anyref_t *)ref, &value);
    return value;
}

static int aw_wasmtime_i31_new(aw_store *store, int32_t value, aw_ref *out, aw_error *error)
{
    (void)error;
    wt.wasmtime_anyref_from_i31(store->context, (uint32_t)value, (wasmtime_anyref_t *)out);
    return 0;
}

// Raw words of one moment: nothing is allocated in between.
static bool aw_wasmtime_ref_same(aw_store *store, aw_refclass refclass, const aw_ref *a, const aw_ref *b)
{
    aw_raw raw_a, raw_b;
    aw_wasmtime_ref_to_raw(store, refclass, a, &raw_a);
    aw_wasmtime_ref_to_raw(store, refclass, b, &raw_b);
    return raw_a.ref == raw_b.ref;
}

// --- exceptions ------------------------------------------------------------------------------------------------------------------------------

static aw_tag *tag_name(aw_store *store, const wasmtime_tag_t *handle, aw_error *error)
{
    aw_tag *tag = malloc(sizeof(*tag));
    if (tag == NULL) {
        return out_of_memory(error);
    }
    *tag = (aw_tag){.store = store, .tag = *handle};
    return tag;
}

static aw_tag *aw_wasmtime_tag_new(aw_store *store, const aw_functype *type, aw_error *error)
{
    wasm_functype_t *functype = functype_to(store->engine, type, error);
    if (functype == NULL) {
        return NULL;
    }
    wasm_tagtype_t *tagtype = wt.wasm_tagtype_new(functype);
    wasmtime_tag_t handle;
    wasmtime_error_t *failure = wt.wasmtime_tag_new(store->context, tagtype, &handle);
    wt.wasm_tagtype_delete(tagtype);
    if (failure != NULL) {
        error_take(error, AW_ERROR_INTERNAL, failure);
        return NULL;
    }
    return tag_name(store, &handle, error);
}

static void aw_wasmtime_tag_delete(aw_tag *tag)
{
    free(tag);
}

static void aw_wasmtime_tag_type(aw_tag *tag, uint32_t *parameter_count, aw_valtype *types, size_t capacity)
{
    uint32_t result_count;
    wasm_tagtype_t *type = wt.wasmtime_tag_type(tag->store->context, &tag->tag);
    functype_from(wt.wasm_tagtype_functype(type), parameter_count, &result_count, types, capacity);
    wt.wasm_tagtype_delete(type);
}

static int aw_wasmtime_exn_new(aw_store *store, aw_tag *tag, const aw_raw *values, size_t count, aw_ref *out, aw_error *error)
{
    uint32_t parameter_count;
    aw_valtype *types = calloc(count + 1, sizeof(*types));
    wasmtime_val_t *vals = calloc(count + 1, sizeof(*vals));
    if (types == NULL || vals == NULL) {
        free(types);
        free(vals);
        return aw_error_set(error, AW_ERROR_MEMORY, "out of memory");
    }
    aw_wasmtime_tag_type(tag, &parameter_count, types, count);
    for (size_t i = 0; i < count; i++) {
        vals[i] = val_from_raw(store, types[i], &values[i]);
    }
    wasmtime_error_t *failure = wt.wasmtime_exnref_new(store->context, &tag->tag, vals, count, (wasmtime_exnref_t *)out);
    for (size_t i = 0; i < count; i++) {
        wt.wasmtime_val_unroot(&vals[i]);
    }
    free(types);
    free(vals);
    return failure != NULL ? error_take(error, AW_ERROR_TYPE, failure) : 0;
}

static aw_tag *aw_wasmtime_exn_tag(aw_store *store, const aw_ref *exn, aw_error *error)
{
    wasmtime_tag_t handle;
    wasmtime_error_t *failure = wt.wasmtime_exnref_tag(store->context, (const wasmtime_exnref_t *)exn, &handle);
    if (failure != NULL) {
        error_take(error, AW_ERROR_INTERNAL, failure);
        return NULL;
    }
    return tag_name(store, &handle, error);
}

static int aw_wasmtime_exn_field(aw_store *store, const aw_ref *exn, size_t index, aw_raw *out, aw_error *error)
{
    wasmtime_val_t val;
    wasmtime_error_t *failure = wt.wasmtime_exnref_field(store->context, (const wasmtime_exnref_t *)exn, index, &val);
    if (failure != NULL) {
        return error_take(error, AW_ERROR_INTERNAL, failure);
    }
    val_to_raw(store, &val, out);
    return 0;
}

// --- memory --------------------------------------------------------------------------------------------------------------------------------------

static aw_memory *aw_wasmtime_memory_new(aw_store *store, const aw_memorytype *type, aw_error *error)
{
    wasm_memorytype_t *told;
    wasmtime_error_t *failure = wt.wasmtime_memorytype_new(type->limits.min, type->limits.has_max, type->limits.max,
                                                           type->limits.is64, type->shared, 16, &told);
    if (failure != NULL) {
        error_take(error, AW_ERROR_TYPE, failure);
        return NULL;
    }
    aw_memory *memory = calloc(1, sizeof(*memory));
    if (memory == NULL) {
        wt.wasm_memorytype_delete(told);
        return out_of_memory(error);
    }
    memory->store = store;
    failure = type->shared ? wt.wasmtime_sharedmemory_new(store->engine->engine, told, &memory->shared)
                           : wt.wasmtime_memory_new(store->context, told, &memory->memory);
    wt.wasm_memorytype_delete(told);
    if (failure != NULL) {
        error_take(error, AW_ERROR_LIMIT, failure);
        free(memory);
        return NULL;
    }
    return memory;
}

static void aw_wasmtime_memory_delete(aw_memory *memory)
{
    if (memory->shared != NULL) {
        wt.wasmtime_sharedmemory_delete(memory->shared);
    }
    free(memory);
}

static void aw_wasmtime_memory_type(aw_memory *memory, aw_memorytype *out)
{
    wasm_memorytype_t *type = memory->shared != NULL ? wt.wasmtime_sharedmemory_type(memory->shared)
                                                     : wt.wasmtime_memory_type(memory->store->context, &memory->memory);
    *out = (aw_memorytype){.shared = wt.wasmtime_memorytype_isshared(type)};
    out->limits.min = wt.wasmtime_memorytype_minimum(type);
    out->limits.has_max = wt.wasmtime_memorytype_maximum(type, &out->limits.max);
    out->limits.is64 = wt.wasmtime_memorytype_is64(type);
    wt.wasm_memorytype_delete(type);
}

static void aw_wasmtime_memory_data(aw_memory *memory, uint8_t **base, size_t *bytes)
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

static int aw_wasmtime_memory_grow(aw_memory *memory, uint64_t delta, uint64_t *previous, aw_error *error)
{
    wasmtime_error_t *failure = memory->shared != NULL
                                    ? wt.wasmtime_sharedmemory_grow(memory->shared, delta, previous)
                                    : wt.wasmtime_memory_grow(memory->store->context, &memory->memory, delta, previous);
    return failure != NULL ? error_take(error, AW_ERROR_LIMIT, failure) : 0;
}

// --- table ---------------------------------------------------------------------------------------------------------------------------------------

// wasm_tabletype_limits aborts on limits that do not fit 32 bits, and nothing tells the index type, so limits are not asked for:
// the size is the minimum, and the core knows the declared type of what modules export.
static void table_element(aw_table *table, aw_valtype *out)
{
    wasm_tabletype_t *type = wt.wasmtime_table_type(table->store->context, &table->table);
    *out = valtype_from(wt.wasm_tabletype_element(type));
    wt.wasm_tabletype_delete(type);
}

static aw_table *aw_wasmtime_table_new(aw_store *store, const aw_tabletype *type, const aw_raw *initial, aw_error *error)
{
    if (type->limits.is64 || type->limits.min > UINT32_MAX || (type->limits.has_max && type->limits.max > UINT32_MAX)) {
        aw_error_set(error, AW_ERROR_UNSUPPORTED, "Wasmtime's C API cannot make tables with 64-bit indices; modules can");
        return NULL;
    }
    wasm_valtype_t *element = valtype_to(store->engine, type->element);
    if (element == NULL) {
        aw_error_set(error, AW_ERROR_UNSUPPORTED, "a table of a concrete reference type can be made by a module only");
        return NULL;
    }
    aw_table *table = calloc(1, sizeof(*table));
    if (table == NULL) {
        wt.wasm_valtype_delete(element);
        return out_of_memory(error);
    }
    wasm_limits_t limits = {(uint32_t)type->limits.min, type->limits.has_max ? (uint32_t)type->limits.max : UINT32_MAX};
    wasm_tabletype_t *told = wt.wasm_tabletype_new(element, &limits);
    wasmtime_val_t val = val_from_raw(store, type->element, initial);
    table->store = store;
    wasmtime_error_t *failure = wt.wasmtime_table_new(store->context, told, &val, &table->table);
    wt.wasmtime_val_unroot(&val);
    wt.wasm_tabletype_delete(told);
    if (failure != NULL) {
        error_take(error, AW_ERROR_LIMIT, failure);
        free(table);
        return NULL;
    }
    return table;
}

static void aw_wasmtime_table_delete(aw_table *table)
{
    free(table);
}

static void aw_wasmtime_table_type(aw_table *table, aw_tabletype *out)
{
    *out = (aw_tabletype){.limits = {.min = wt.wasmtime_table_size(table->store->context, &table->table)}};
    table_element(table, &out->element);
}

static uint64_t aw_wasmtime_table_size(aw_table *table)
{
    return wt.wasmtime_table_size(table->store->context, &table->table);
}

static int aw_wasmtime_table_get(aw_table *table, uint64_t index, aw_raw *out, aw_error *error)
{
    wasmtime_val_t val;
    if (!wt.wasmtime_table_get(table->store->context, &table->table, index, &val)) {
        return aw_error_set(error, AW_ERROR_TYPE, "index out of bounds");
    }
    val_to_raw(table->store, &val, out);
    return 0;
}

static int aw_wasmtime_table_set(aw_table *table, uint64_t index, const aw_raw *value, aw_error *error)
{
    aw_valtype element;
    table_element(table, &element);
    wasmtime_val_t val = val_from_raw(table->store, element, value);
    wasmtime_error_t *failure = wt.wasmtime_table_set(table->store->context, &table->table, index, &val);
    wt.wasmtime_val_unroot(&val);
    return failure != NULL ? error_take(error, AW_ERROR_TYPE, failure) : 0;
}

static int aw_wasmtime_table_grow(aw_table *table, uint64_t delta, const aw_raw *initial, uint64_t *previous, aw_error *error)
{
    aw_valtype element;
    table_element(table, &element);
    wasmtime_val_t val = val_from_raw(table->store, element, initial);
    wasmtime_error_t *failure = wt.wasmtime_table_grow(table->store->context, &table->table, delta, &val, previous);
    wt.wasmtime_val_unroot(&val);
    return failure != NULL ? error_take(error, AW_ERROR_LIMIT, failure) : 0;
}

// --- global --------------------------------------------------------------------------------------------------------------------------------------

static aw_global *aw_wasmtime_global_new(aw_store *store, const aw_globaltype *type, const aw_raw *initial, aw_error *error)
{
    wasm_valtype_t *content = valtype_to(store->engine, type->value);
    if (content == NULL) {
        aw_error_set(error, AW_ERROR_UNSUPPORTED, "a global of a concrete reference type can be made by a module only");
        return NULL;
    }
    aw_global *global = calloc(1, sizeof(*global));
    if (global == NULL) {
        wt.wasm_valtype_delete(content);
        return out_of_memory(error);
    }
    wasm_globaltype_t *told = wt.wasm_globaltype_new(content, type->is_mutable ? 1 : 0);
    wasmtime_val_t val = val_from_raw(store, type->value, initial);
    global->store = store;
    wasmtime_error_t *failure = wt.wasmtime_global_new(store->context, told, &val, &global->global);
    wt.wasmtime_val_unroot(&val);
    wt.wasm_globaltype_delete(told);
    if (failure != NULL) {
        error_take(error, AW_ERROR_TYPE, failure);
        free(global);
        return NULL;
    }
    return global;
}

static void aw_wasmtime_global_delete(aw_global *global)
{
    free(global);
}

static void aw_wasmtime_global_type(aw_global *global, aw_globaltype *out)
{
    wasm_globaltype_t *type = wt.wasmtime_global_type(global->store->context, &global->global);
    out->value = valtype_from(wt.wasm_globaltype_content(type));
    out->is_mutable = wt.wasm_globaltype_mutability(type) != 0;
    wt.wasm_globaltype_delete(type);
}

static int aw_wasmtime_global_get(aw_global *global, aw_raw *out, aw_error *error)
{
    (void)error;
    wasmtime_val_t val;
    wt.wasmtime_global_get(global->store->context, &global->global, &val);
    val_to_raw(global->store, &val, out);
    return 0;
}

static int aw_wasmtime_global_set(aw_global *global, const aw_raw *value, aw_error *error)
{
    aw_globaltype type;
    aw_wasmtime_global_type(global, &type);
    wasmtime_val_t val = val_from_raw(global->store, type.value, value);
    wasmtime_error_t *failure = wt.wasmtime_global_set(global->store->context, &global->global, &val);
    wt.wasmtime_val_unroot(&val);
    return failure != NULL ? error_take(error, AW_ERROR_TYPE, failure) : 0;
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

static int aw_wasmtime_caller_export(aw_caller *caller, const char *name, size_t name_length, aw_extern *out, aw_error *error)
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
    SLOT(module_delete),
    SLOT(wat2wasm),
    SLOT(store_new),
    SLOT(store_delete),
    SLOT(store_set_fuel),
    SLOT(store_get_fuel),
    SLOT(store_interrupt),
    SLOT(store_uninterrupt),
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

// SPDX-License-Identifier: Apache-2.0
// Opening libwasmtime: once for the process, by the path of the first engine that is made. It stays open: its signal handlers and
// its compiled code cannot be taken back. A damaged or foreign library is refused before it can do harm, a version whose C
// API we do not speak as well.

#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "handlers.h"
#include "wasmtime.h"

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
aw_wasmtime_library wt;  // written once, under the lock, before `library_open` is set
static bool library_open;
char wt_library_version[32];
char wt_library_build[64];

// Is the file an ELF library that is all there? dlopen maps by what the headers say, and a file that is shorter ends the
// process with SIGBUS.
static int library_check_file(const char *path, aw_error *error)
{
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) {
        return aw_error_set(error, AW_ERROR_LOAD,
                            "cannot open Wasmtime's library %s: no such file, or not readable; " REMEDY, path);
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
        status = aw_error_set(error, AW_ERROR_LOAD,
                              "Wasmtime's library %s is damaged: it is no shared library; " REMEDY, path);
    }
    for (int i = 0; status == 0 && i < header.e_phnum; i++) {
        Elf64_Phdr segment;
        off_t at = (off_t)(header.e_phoff + (uint64_t)i * sizeof(segment));
        if (pread(descriptor, &segment, sizeof(segment), at) != (ssize_t)sizeof(segment) ||
            segment.p_filesz > (uint64_t)info.st_size || segment.p_offset > (uint64_t)info.st_size - segment.p_filesz) {
            status = aw_error_set(error, AW_ERROR_LOAD, "Wasmtime's library %s is damaged: it is cut short; " REMEDY,
                                  path);
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

// --- which build it is ------------------------------------------------------------------------------------------------

typedef struct build_search {
    uintptr_t address;  // in the library
    char *out;          // filled with the build ID in hexadecimal
    size_t size;
} build_search;

// The build ID, which the linker made of the library's contents, lies in a note, name and contents padded to four bytes. Nonzero
// ends the search: it was the right object.
static int build_search_object(struct dl_phdr_info *object, size_t size, void *data)
{
    (void)size;
    build_search *search = data;
    bool right = false;
    for (int i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &object->dlpi_phdr[i];
        uintptr_t start = object->dlpi_addr + segment->p_vaddr;
        right = right || (segment->p_type == PT_LOAD && search->address - start < segment->p_memsz);
    }
    for (int i = 0; right && i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &object->dlpi_phdr[i];
        if (segment->p_type != PT_NOTE) {
            continue;
        }
        const char *at = (const char *)(object->dlpi_addr + segment->p_vaddr), *end = at + segment->p_memsz;
        while ((size_t)(end - at) > sizeof(ElfW(Nhdr))) {
            ElfW(Nhdr) note;
            memcpy(&note, at, sizeof(note));
            const char *name = at + sizeof(note), *contents = name + ((note.n_namesz + 3) & ~3u);
            if (contents > end || note.n_descsz > (size_t)(end - contents)) {
                break;
            }
            if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 && memcmp(name, "GNU", 4) == 0 &&
                note.n_descsz * 2 < search->size) {
                for (unsigned byte = 0; byte < note.n_descsz; byte++) {
                    snprintf(search->out + 2 * byte, 3, "%02x", (uint8_t)contents[byte]);
                }
                return 1;
            }
            at = contents + ((note.n_descsz + 3) & ~3u);
        }
    }
    return right;
}

// Tell one build of the library from another: by its build ID, or, where it was linked without, by its file.
static void library_read_build(const aw_wasmtime_library *library, const char *path, char *out, size_t size)
{
    build_search search = {(uintptr_t)library->wasm_engine_new_with_config, out, size};
    out[0] = '\0';
    dl_iterate_phdr(build_search_object, &search);
    struct stat info;
    if (out[0] == '\0' && stat(path, &info) == 0) {
        snprintf(out, size, "%lld bytes, %lld.%09ld", (long long)info.st_size, (long long)info.st_mtim.tv_sec,
                 info.st_mtim.tv_nsec);
    }
}

// --- opening -----------------------------------------------------------------------------------------------------------

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
            return aw_error_set(
                error, AW_ERROR_LOAD,
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
    char version[sizeof(wt_library_version)];
    handlers_arrange();  // telling the version makes an engine, and the first engine installs handlers
    if (library_read_version(&library, version, sizeof(version)) < 0) {
        return aw_error_set(error, AW_ERROR_LOAD,
                            "cannot tell the version of Wasmtime's library %s; wanted is " WANTED_VERSIONS ": " REMEDY,
                            path);
    }
    handlers_arrange();
    if (version_find(atoi(version)) == NULL) {
        return aw_error_set(error, AW_ERROR_LOAD,
                            "Wasmtime's library %s is of version %s; wanted is " WANTED_VERSIONS ": " REMEDY, path,
                            version);
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
    memcpy(wt_library_version, version, sizeof(version));
    library_read_build(&wt, path, wt_library_build, sizeof(wt_library_build));
    library_open = true;
    return 0;
}

int wt_library_load(const char *path, aw_error *error)
{
    pthread_mutex_lock(&library_lock);
    int status = library_open ? 0 : library_open_locked(path, error);
    pthread_mutex_unlock(&library_lock);
    return status;
}

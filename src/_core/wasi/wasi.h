// SPDX-License-Identifier: Apache-2.0
// The WASI preview 1 host: what the core needs of it. Plain C; it knows no engine and no Python.
//
// One aw_wasi is one program's view of the world: arguments, environment, descriptors. It belongs to one store and is used by
// the thread that runs in it. Its functions are engine.h's raw host functions, with the aw_wasi as their `env`.

#ifndef AW_WASI_H
#define AW_WASI_H

#include "../engines/engine.h"

typedef struct aw_wasi aw_wasi;

// A stream of the embedder's for a standard descriptor: one of the two. Both return 0, a WASI errno, or WASI_RAISED. Both may run
// code that calls the guest, so whoever calls them has no pointer into its memory afterwards.
typedef struct aw_wasi_stream {
    // Up to *length* bytes, at *bytes* until the next call; none at the end.
    int (*read)(void *data, size_t length, const uint8_t **bytes, size_t *done);
    // Copies *bytes* before it runs any such code.
    int (*write)(void *data, const uint8_t *bytes, size_t length, size_t *done);
    void *data;  // borrowed
} aw_wasi_stream;

// A tree of files in memory, which any number of programs may have mounted, in any threads: counted.
typedef struct aw_wasi_memory aw_wasi_memory;

aw_wasi_memory *aw_wasi_memory_new(uint64_t limit);  // bytes; NULL when out of memory
aw_wasi_memory *aw_wasi_memory_retain(aw_wasi_memory *tree);
void aw_wasi_memory_release(aw_wasi_memory *tree);
// What the embedder does there: 0 or a WASI errno. Paths have no slash at their start.
int aw_wasi_memory_read(aw_wasi_memory *tree, const char *path, uint8_t **bytes, size_t *size);  // malloc'ed
int aw_wasi_memory_write(aw_wasi_memory *tree, const char *path, const uint8_t *bytes, size_t size);
int aw_wasi_memory_remove(aw_wasi_memory *tree, const char *path);  // a file or a link
// *each* is called with the lock held, for each name in a directory, until it returns an error. Types are WASI's.
int aw_wasi_memory_list(aw_wasi_memory *tree, const char *path,
                        int (*each)(void *data, const char *name, uint8_t filetype), void *data);
void aw_wasi_memory_sizes(aw_wasi_memory *tree, uint64_t *used, uint64_t *limit);

int aw_wasi_host_errno(int wasi_errno);  // WASI's number as the host's
int aw_wasi_errno(int host_errno);       // and the other way round

// What a file system of the embedder's tells of a file or a directory. Times in nanoseconds since 1970.
typedef struct aw_wasi_stat {
    bool directory;
    uint64_t size, inode, links, accessed, modified, changed;
} aw_wasi_stat;

typedef struct aw_wasi_opening {
    uint32_t oflags, fdflags;  // WASI's
    bool reads, writes, writable;
} aw_wasi_opening;

typedef struct aw_wasi_opened {
    char *directory;  // malloc'ed: the name of a directory, that paths are beneath from then on. NULL: a file
    uint64_t handle;  // a file's
    bool seeks;       // it can be read or written anywhere, not only where the last time ended
} aw_wasi_opened;

typedef enum aw_wasi_change { AW_WASI_MAKE_DIRECTORY, AW_WASI_REMOVE_DIRECTORY, AW_WASI_UNLINK } aw_wasi_change;

// A file system of the embedder's. All return 0, a WASI errno, or WASI_RAISED, and all may run code that calls the guest: whose
// calls by descriptor fail with EBUSY meanwhile. *base* is the name of an open directory, "" for the root; *path* is as the guest
// has it, neither empty nor with a NUL, and it is the embedder who keeps it beneath its base.
typedef struct aw_wasi_filesystem {
    int (*stat)(void *data, const char *base, const char *path, aw_wasi_stat *out);
    int (*list)(void *data, const char *base,
                int (*each)(void *each_data, const char *name, bool directory, uint64_t inode), void *each_data);
    int (*open)(void *data, const char *base, const char *path, const aw_wasi_opening *how, aw_wasi_opened *out);
    int (*change)(void *data, aw_wasi_change change, const char *base, const char *path);
    int (*rename)(void *data, const char *base, const char *path, const char *other_base, const char *other_path);
    int (*set_times)(void *data, const char *base, const char *path, const uint64_t times[2]);  // UINT64_MAX: as it is

    // Open files. *place* is where to begin, and where it ended; UINT64_MAX is the end of the file.
    int (*read)(void *data, uint64_t handle, uint64_t *place, size_t length, const uint8_t **bytes, size_t *done);
    int (*write)(void *data, uint64_t handle, uint64_t *place, const uint8_t *bytes, size_t length, size_t *done);
    int (*file_stat)(void *data, uint64_t handle, aw_wasi_stat *out);
    int (*file_set_size)(void *data, uint64_t handle, uint64_t size);
    int (*file_set_times)(void *data, uint64_t handle, const uint64_t times[2]);
    int (*file_sync)(void *data, uint64_t handle);
    // Whatever it says, the handle is gone. `heard`: the guest hears of errors; else nobody does, and it says nothing.
    int (*file_close)(void *data, uint64_t handle, bool heard);
    void *data;  // borrowed
} aw_wasi_filesystem;

// What a callback returns when the embedder has an error of its own: the call from outside fails with AW_ERROR_HOST.
#define WASI_RAISED (-1)
#define WASI_WOULD_BLOCK 6  // WASI's errno for "nothing now": EAGAIN

typedef struct aw_wasi_host {
    // Asked while the program waits for something: nonzero ends it with AW_ERROR_HOST. That is after a signal to its thread, after
    // aw_wasi_wake, and when it has been *patience* (nanoseconds of the host's monotonic clock). Both may be NULL.
    int (*check)(void *data);
    uint64_t (*patience)(void *data, uint64_t now);
    // The program wrote *used* bytes, or would have, where *allowed* are (aw_wasi_limit_output). Returns WASI_RAISED.
    int (*output_exceeded)(void *data, uint64_t used, uint64_t allowed);
    void *data;
} aw_wasi_host;

aw_wasi *aw_wasi_new(const aw_wasi_host *host);
void aw_wasi_delete(aw_wasi *wasi);  // closes what it owns

// If the program waits, `check` is asked at once. From any thread, and from signal handlers.
void aw_wasi_wake(aw_wasi *wasi);

// How memory of callers is reached; set when a store takes the program in.
void aw_wasi_set_engine(aw_wasi *wasi, const aw_engine_api *api);

// All copy what they are given. 0, or -1 when out of memory.
int aw_wasi_add_argument(aw_wasi *wasi, const char *text, size_t length);
int aw_wasi_add_environment(aw_wasi *wasi, const char *text, size_t length);  // "NAME=value"

// The descriptors, in the order of their numbers. 0, or -1 when out of memory or of numbers. Host descriptors are taken over, also
// then.
int aw_wasi_add_null(aw_wasi *wasi);
int aw_wasi_add_file(aw_wasi *wasi, int host_descriptor);
int aw_wasi_add_socket(aw_wasi *wasi, int host_descriptor);
int aw_wasi_add_stream(aw_wasi *wasi, const aw_wasi_stream *stream);
int aw_wasi_add_directory(aw_wasi *wasi, int host_descriptor, const char *name, size_t name_length, bool writable);
int aw_wasi_add_memory(aw_wasi *wasi, aw_wasi_memory *memory, const char *name, size_t name_length, bool writable);
int aw_wasi_add_filesystem(aw_wasi *wasi, const aw_wasi_filesystem *system, const char *name, size_t name_length,
                           bool writable);

// The program is over: close all of its files.
void aw_wasi_close(aw_wasi *wasi);

// A clock of the program's own: its time is *start* (nanoseconds since 1970) at first, passes *speed* times as fast as the host's, and
// goes on by *step* nanoseconds at each reading. At speed 0 nothing waits: a sleep sets the clock forward.
typedef struct aw_wasi_clock {
    uint64_t start, step;
    double speed;
} aw_wasi_clock;
void aw_wasi_set_clock(aw_wasi *wasi, const aw_wasi_clock *clock);

enum { AW_WASI_SEED = 32 };
void aw_wasi_set_seed(aw_wasi *wasi, const uint8_t seed[AW_WASI_SEED]);  // random numbers follow from it
// What stdout and stderr, which are there, may take together: then the program ends by `output_exceeded`, or, to be truncated, the
// rest is dropped and counted.
void aw_wasi_limit_output(aw_wasi *wasi, uint64_t bytes, bool truncate);
uint64_t aw_wasi_output_dropped(const aw_wasi *wasi);

// For tests: resolve paths without openat2, as on older kernels.
void aw_wasi_avoid_openat2(aw_wasi *wasi);

// The function of that name in wasi_snapshot_preview1, or false.
bool aw_wasi_find(const char *name, size_t length, const aw_functype **type, aw_hostfunc *function);

// proc_exit was called: true once, with the status.
bool aw_wasi_take_exit(aw_wasi *wasi, uint32_t *status);

#endif

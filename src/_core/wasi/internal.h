// SPDX-License-Identifier: Apache-2.0
// What the files of this folder share: errors, a call's view of the guest's memory, descriptors.

#ifndef AW_WASI_INTERNAL_H
#define AW_WASI_INTERNAL_H

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>

#include "wasi.h"

// --- errors: WASI's numbers ------------------------------------------------------------------------------

enum {
    WASI_OK = 0,
    WASI_E2BIG = 1,
    WASI_EACCES = 2,
    WASI_EAGAIN = 6,
    WASI_EBADF = 8,
    WASI_EBUSY = 10,
    WASI_EEXIST = 20,
    WASI_EFAULT = 21,
    WASI_EFBIG = 22,
    WASI_EILSEQ = 25,
    WASI_EINTR = 27,
    WASI_EINVAL = 28,
    WASI_EIO = 29,
    WASI_EISDIR = 31,
    WASI_ELOOP = 32,
    WASI_EMFILE = 33,
    WASI_EMLINK = 34,
    WASI_ENAMETOOLONG = 37,
    WASI_ENFILE = 41,
    WASI_ENODEV = 43,
    WASI_ENOENT = 44,
    WASI_ENOMEM = 48,
    WASI_ENOSPC = 51,
    WASI_ENOSYS = 52,
    WASI_ENOTDIR = 54,
    WASI_ENOTEMPTY = 55,
    WASI_ENOTSOCK = 57,
    WASI_ENOTSUP = 58,
    WASI_ENOTTY = 59,
    WASI_ENXIO = 60,
    WASI_EOVERFLOW = 61,
    WASI_EPERM = 63,
    WASI_EPIPE = 64,
    WASI_ERANGE = 68,
    WASI_EROFS = 69,
    WASI_ESPIPE = 70,
    WASI_ETIMEDOUT = 73,
    WASI_ETXTBSY = 74,
    WASI_EXDEV = 75,
    WASI_ENOTCAPABLE = 76,
};

// Besides an errno a function may say that the call ends: WASI_RAISED (-1), the embedder's error, or WASI_EXITED.
#define WASI_EXITED (-2)

int wasi_error(int host_errno);
static inline int wasi_errno(void)
{
    return wasi_error(errno);
}

// --- flags and types: WASI's numbers ----------------------------------------------------------------------

enum {
    RIGHT_FD_DATASYNC = 1 << 0,
    RIGHT_FD_READ = 1 << 1,
    RIGHT_FD_SEEK = 1 << 2,
    RIGHT_FD_FDSTAT_SET_FLAGS = 1 << 3,
    RIGHT_FD_SYNC = 1 << 4,
    RIGHT_FD_TELL = 1 << 5,
    RIGHT_FD_WRITE = 1 << 6,
    RIGHT_FD_ADVISE = 1 << 7,
    RIGHT_FD_ALLOCATE = 1 << 8,
    RIGHT_PATH_CREATE_DIRECTORY = 1 << 9,
    RIGHT_PATH_CREATE_FILE = 1 << 10,
    RIGHT_PATH_LINK_SOURCE = 1 << 11,
    RIGHT_PATH_LINK_TARGET = 1 << 12,
    RIGHT_PATH_OPEN = 1 << 13,
    RIGHT_FD_READDIR = 1 << 14,
    RIGHT_PATH_READLINK = 1 << 15,
    RIGHT_PATH_RENAME_SOURCE = 1 << 16,
    RIGHT_PATH_RENAME_TARGET = 1 << 17,
    RIGHT_PATH_FILESTAT_GET = 1 << 18,
    RIGHT_PATH_FILESTAT_SET_SIZE = 1 << 19,
    RIGHT_PATH_FILESTAT_SET_TIMES = 1 << 20,
    RIGHT_FD_FILESTAT_GET = 1 << 21,
    RIGHT_FD_FILESTAT_SET_SIZE = 1 << 22,
    RIGHT_FD_FILESTAT_SET_TIMES = 1 << 23,
    RIGHT_PATH_SYMLINK = 1 << 24,
    RIGHT_PATH_REMOVE_DIRECTORY = 1 << 25,
    RIGHT_PATH_UNLINK_FILE = 1 << 26,
    RIGHT_POLL_FD_READWRITE = 1 << 27,
};

enum {
    FILETYPE_UNKNOWN,
    FILETYPE_BLOCK_DEVICE,
    FILETYPE_CHARACTER_DEVICE,
    FILETYPE_DIRECTORY,
    FILETYPE_REGULAR_FILE,
    FILETYPE_SOCKET_DGRAM,
    FILETYPE_SOCKET_STREAM,
    FILETYPE_SYMBOLIC_LINK,
};

enum { FDFLAG_APPEND = 1, FDFLAG_DSYNC = 2, FDFLAG_NONBLOCK = 4, FDFLAG_RSYNC = 8, FDFLAG_SYNC = 16 };
enum { OFLAG_CREAT = 1, OFLAG_DIRECTORY = 2, OFLAG_EXCL = 4, OFLAG_TRUNC = 8 };
enum { LOOKUP_SYMLINK_FOLLOW = 1 };
enum { FST_ATIM = 1, FST_ATIM_NOW = 2, FST_MTIM = 4, FST_MTIM_NOW = 8 };

// --- descriptors ---------------------------------------------------------------------------------------------

// What a descriptor is. A later kind of file system is another one of these.
typedef enum wasi_kind {
    WASI_CLOSED,
    WASI_NULL,       // reads end at once, writes vanish
    WASI_STREAM,     // the embedder's
    WASI_FILE,       // a host descriptor that is no directory
    WASI_DIRECTORY,  // a host directory
} wasi_kind;

typedef struct wasi_entry {  // of a directory's listing
    uint64_t inode;
    uint8_t filetype;
    uint32_t name_length;
    char *name;  // owned
} wasi_entry;

typedef struct wasi_descriptor {
    wasi_kind kind;
    int host;       // WASI_FILE, WASI_DIRECTORY
    bool shared;    // the embedder has the same open file: its flags stay as they are
    bool writable;  // of a directory: what is beneath may be changed
    uint64_t rights, inheriting;
    uint16_t fdflags;
    char *mount;    // owned; a mount's name, else NULL
    uint32_t mount_length;
    aw_wasi_stream stream;
    wasi_entry *entries;  // owned; the listing that fd_readdir goes through
    size_t entry_count;
} wasi_descriptor;

enum { WASI_DESCRIPTORS = 1024 };  // that a program may have open

typedef struct wasi_text {
    char *text;  // owned, with its NUL
    uint32_t length;
} wasi_text;

typedef struct wasi_texts {
    wasi_text *items;
    size_t count, bytes;  // NULs included
} wasi_texts;

struct aw_wasi {
    const aw_engine_api *api;
    aw_wasi_host host;
    wasi_texts arguments, environment;
    wasi_descriptor *descriptors;  // owned
    uint32_t descriptor_count;
    bool exited, avoid_openat2;
    uint32_t status;
};

// The descriptor of that number, or NULL.
wasi_descriptor *descriptor_get(aw_wasi *wasi, uint32_t number);
// The lowest free number, its descriptor zeroed and closed: 0 or an errno.
int descriptor_new(aw_wasi *wasi, uint32_t *number);
void descriptor_close(wasi_descriptor *descriptor);
void descriptor_forget_listing(wasi_descriptor *descriptor);
uint8_t filetype_of(mode_t mode);

// A blocking call was interrupted: go on (0), or end the program (WASI_RAISED).
int wasi_signalled(aw_wasi *wasi);

// --- the guest's memory -----------------------------------------------------------------------------------------

// One call from the guest. Pointers of the guest's are checked against its memory each time.
typedef struct wasi_call {
    aw_wasi *wasi;
    aw_caller *caller;
    uint8_t *memory;
    size_t size;
} wasi_call;

void call_refresh(wasi_call *call);  // after the embedder's code ran

// The bytes at a guest's pointer, or NULL when they are not all in its memory.
static inline uint8_t *guest_bytes(const wasi_call *call, uint32_t pointer, uint64_t length)
{
    return pointer <= call->size && length <= call->size - pointer ? call->memory + pointer : NULL;
}

static inline bool guest_store(const wasi_call *call, uint32_t pointer, const void *value, size_t size)
{
    uint8_t *place = guest_bytes(call, pointer, size);
    if (place == NULL) {
        return false;
    }
    memcpy(place, value, size);  // little-endian on both sides: anywasm builds on little-endian machines only
    return true;
}

static inline bool guest_load(const wasi_call *call, uint32_t pointer, void *value, size_t size)
{
    const uint8_t *place = guest_bytes(call, pointer, size);
    if (place == NULL) {
        return false;
    }
    memcpy(value, place, size);
    return true;
}

// --- paths --------------------------------------------------------------------------------------------------------

enum { WASI_PATH_MAX = 4096 };

typedef struct wasi_path {
    char text[WASI_PATH_MAX];
} wasi_path;

// A path out of the guest's memory: 0 or an errno.
int path_load(const wasi_call *call, uint32_t pointer, uint32_t length, wasi_path *out);
// Open *path* beneath a directory, wherever links in it lead, but never out of it: a host descriptor, or -1 and errno (EXDEV: out).
int path_open_beneath(aw_wasi *wasi, int directory, const char *path, int flags, mode_t mode);
// The directory that *path*'s last component is in, as a descriptor to be closed, and that component, with a trailing slash where
// the path had one: 0 or an errno.
int path_parent(aw_wasi *wasi, int directory, const char *path, int *parent, char last[WASI_PATH_MAX]);

// --- the functions -------------------------------------------------------------------------------------------------

typedef int (*wasi_function)(wasi_call *call, const aw_raw *arguments);

// X(name, signature): i is i32, I is i64. All return an errno but proc_exit. The file comment of each says where it is.
#define WASI_FUNCTIONS(X)                                                                                              \
    X(args_get, "ii") X(args_sizes_get, "ii") X(environ_get, "ii") X(environ_sizes_get, "ii")                          \
    X(clock_res_get, "ii") X(clock_time_get, "iIi")                                                                    \
    X(fd_advise, "iIIi") X(fd_allocate, "iII") X(fd_close, "i") X(fd_datasync, "i") X(fd_fdstat_get, "ii")             \
    X(fd_fdstat_set_flags, "ii") X(fd_fdstat_set_rights, "iII") X(fd_filestat_get, "ii")                               \
    X(fd_filestat_set_size, "iI") X(fd_filestat_set_times, "iIIi") X(fd_pread, "iiiIi") X(fd_prestat_get, "ii")        \
    X(fd_prestat_dir_name, "iii") X(fd_pwrite, "iiiIi") X(fd_read, "iiii") X(fd_readdir, "iiiIi")                      \
    X(fd_renumber, "ii") X(fd_seek, "iIii") X(fd_sync, "i") X(fd_tell, "ii") X(fd_write, "iiii")                       \
    X(path_create_directory, "iii") X(path_filestat_get, "iiiii") X(path_filestat_set_times, "iiiiIIi")                \
    X(path_link, "iiiiiii") X(path_open, "iiiiiIIii") X(path_readlink, "iiiiii") X(path_remove_directory, "iii")       \
    X(path_rename, "iiiiii") X(path_symlink, "iiiii") X(path_unlink_file, "iii")                                       \
    X(poll_oneoff, "iiii") X(proc_exit, "i") X(proc_raise, "i") X(sched_yield, "") X(random_get, "ii")                 \
    X(sock_accept, "iii") X(sock_recv, "iiiiii") X(sock_send, "iiiii") X(sock_shutdown, "ii")

#define X(name, signature) int wasi_##name(wasi_call *call, const aw_raw *arguments);
WASI_FUNCTIONS(X)
#undef X

static inline uint32_t u32(const aw_raw *value)
{
    return (uint32_t)value->i32;
}

static inline uint64_t u64(const aw_raw *value)
{
    return (uint64_t)value->i64;
}

#endif

// SPDX-License-Identifier: Apache-2.0
// What the files of this folder share: WASI's numbers, files and their kinds, a call's view of the guest's memory.

#ifndef AW_WASI_INTERNAL_H
#define AW_WASI_INTERNAL_H

#include <errno.h>
#include <stdatomic.h>
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
    WASI_EADDRINUSE = 3,
    WASI_EADDRNOTAVAIL = 4,
    WASI_EAFNOSUPPORT = 5,
    WASI_EAGAIN = 6,
    WASI_EALREADY = 7,
    WASI_EBADF = 8,
    WASI_EBUSY = 10,
    WASI_ECONNABORTED = 13,
    WASI_ECONNREFUSED = 14,
    WASI_ECONNRESET = 15,
    WASI_EDESTADDRREQ = 17,
    WASI_EDQUOT = 19,
    WASI_EEXIST = 20,
    WASI_EFAULT = 21,
    WASI_EFBIG = 22,
    WASI_EHOSTUNREACH = 23,
    WASI_EILSEQ = 25,
    WASI_EINPROGRESS = 26,
    WASI_EINTR = 27,
    WASI_EINVAL = 28,
    WASI_EIO = 29,
    WASI_EISCONN = 30,
    WASI_EISDIR = 31,
    WASI_ELOOP = 32,
    WASI_EMFILE = 33,
    WASI_EMLINK = 34,
    WASI_EMSGSIZE = 35,
    WASI_ENAMETOOLONG = 37,
    WASI_ENETDOWN = 38,
    WASI_ENETRESET = 39,
    WASI_ENETUNREACH = 40,
    WASI_ENFILE = 41,
    WASI_ENOBUFS = 42,
    WASI_ENODEV = 43,
    WASI_ENOENT = 44,
    WASI_ENOMEM = 48,
    WASI_ENOSPC = 51,
    WASI_ENOSYS = 52,
    WASI_ENOTCONN = 53,
    WASI_ENOTDIR = 54,
    WASI_ENOTEMPTY = 55,
    WASI_ENOTSOCK = 57,
    WASI_ENOTSUP = 58,
    WASI_ENOTTY = 59,
    WASI_ENXIO = 60,
    WASI_EOVERFLOW = 61,
    WASI_EPERM = 63,
    WASI_EPIPE = 64,
    WASI_EPROTO = 65,
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

int wasi_error(int host_errno);  // the host's number as WASI's
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
    RIGHT_SOCK_SHUTDOWN = 1 << 28,
    RIGHT_SOCK_ACCEPT = 1 << 29,

    FILE_RIGHTS = RIGHT_FD_DATASYNC | RIGHT_FD_READ | RIGHT_FD_SEEK | RIGHT_FD_FDSTAT_SET_FLAGS | RIGHT_FD_SYNC |
        RIGHT_FD_TELL | RIGHT_FD_WRITE | RIGHT_FD_ADVISE | RIGHT_FD_ALLOCATE | RIGHT_FD_FILESTAT_GET |
        RIGHT_FD_FILESTAT_SET_SIZE | RIGHT_FD_FILESTAT_SET_TIMES | RIGHT_POLL_FD_READWRITE,
    DIRECTORY_RIGHTS = RIGHT_FD_FDSTAT_SET_FLAGS | RIGHT_FD_SYNC | RIGHT_FD_ADVISE | RIGHT_PATH_CREATE_DIRECTORY |
        RIGHT_PATH_CREATE_FILE | RIGHT_PATH_LINK_SOURCE | RIGHT_PATH_LINK_TARGET | RIGHT_PATH_OPEN | RIGHT_FD_READDIR |
        RIGHT_PATH_READLINK | RIGHT_PATH_RENAME_SOURCE | RIGHT_PATH_RENAME_TARGET | RIGHT_PATH_FILESTAT_GET |
        RIGHT_PATH_FILESTAT_SET_SIZE | RIGHT_PATH_FILESTAT_SET_TIMES | RIGHT_FD_FILESTAT_GET |
        RIGHT_FD_FILESTAT_SET_TIMES | RIGHT_PATH_SYMLINK | RIGHT_PATH_REMOVE_DIRECTORY | RIGHT_PATH_UNLINK_FILE |
        RIGHT_POLL_FD_READWRITE,
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

// --- files ----------------------------------------------------------------------------------------------------

typedef struct wasi_call wasi_call;
typedef struct wasi_file wasi_file;

typedef struct wasi_filestat {  // as the guest gets it
    uint64_t device, inode;
    uint64_t filetype;
    uint64_t links, size, accessed, modified, changed;  // times in nanoseconds since 1970
} wasi_filestat;
_Static_assert(sizeof(wasi_filestat) == 64, "copied to the guest as it is");

// How a path is to be opened. Numbers are WASI's.
typedef struct wasi_opening {
    uint32_t oflags, fdflags;
    bool follow, reads, writes;
} wasi_opening;

// A directory's entries, in the form that the guest gets them in: entry i lies at offsets[i] in bytes.
typedef struct wasi_listing {
    uint8_t *bytes;   // owned
    size_t *offsets;  // owned
    size_t size, capacity, count, offset_capacity;
} wasi_listing;

enum { WASI_PATH_MAX = 4096 };

// What a kind of file can do. All but `close` and `stat` may be NULL; who asks says what that means to the guest. All return
// WASI_OK or an errno; those that take the call may return WASI_RAISED. Times are two, as for futimens.
typedef struct wasi_kind {
    int (*settle)(wasi_file *self);  // the guest closes it: what can fail about that. `close` follows
    void (*close)(wasi_file *self);  // frees it
    int (*stat)(wasi_file *self, wasi_filestat *out);

    // Open files. *offset* is -1 for the file's own position.
    int (*read)(wasi_call *call, wasi_file *self, struct iovec *vectors, int count, int64_t offset, size_t *done);
    int (*write)(wasi_call *call, wasi_file *self, struct iovec *vectors, int count, int64_t offset, size_t *done);
    int (*seek)(wasi_file *self, int64_t offset, int whence, uint64_t *place);
    int (*allocate)(wasi_file *self, int64_t offset, int64_t length);
    int (*advise)(wasi_file *self, int64_t offset, int64_t length, uint32_t advice);
    int (*set_size)(wasi_file *self, int64_t size);
    int (*set_times)(wasi_file *self, const struct timespec times[2]);
    int (*set_flags)(wasi_file *self, uint16_t fdflags);
    int (*sync)(wasi_file *self, bool data_only);
    // The host's descriptor to wait for, or -1: it is always ready. `available` tells what could be read at once.
    int (*waits_for)(wasi_file *self);
    uint64_t (*available)(wasi_file *self);

    // Directories: paths are beneath them, never empty, without a NUL inside, shorter than WASI_PATH_MAX. Who calls a changing
    // one has asked `writable`. Both directories of link and rename are of this kind.
    int (*list)(wasi_file *self, wasi_listing *out);
    int (*open)(aw_wasi *wasi, wasi_file *self, const char *path, const wasi_opening *how, wasi_file **out);
    int (*path_stat)(aw_wasi *wasi, wasi_file *self, const char *path, bool follow, wasi_filestat *out);
    int (*path_set_times)(aw_wasi *wasi, wasi_file *self, const char *path, bool follow,
                          const struct timespec times[2]);
    int (*make_directory)(aw_wasi *wasi, wasi_file *self, const char *path);
    int (*remove_directory)(aw_wasi *wasi, wasi_file *self, const char *path);
    int (*unlink)(aw_wasi *wasi, wasi_file *self, const char *path);
    int (*rename)(aw_wasi *wasi, wasi_file *self, const char *path, wasi_file *other, const char *other_path);
    int (*link)(aw_wasi *wasi, wasi_file *self, const char *path, wasi_file *other, const char *other_path);
    int (*symlink)(aw_wasi *wasi, wasi_file *self, const char *target, const char *path);
    int (*readlink)(aw_wasi *wasi, wasi_file *self, const char *path, char out[WASI_PATH_MAX], size_t *length);
} wasi_kind;

// Something that is open. Each kind embeds this as its first member.
struct wasi_file {
    const wasi_kind *kind;
    uint32_t references;  // its descriptor, and calls that use it while the embedder's code runs
    uint8_t filetype;
    bool writable;  // it, or what is beneath it, may be changed
    bool counted;   // what is written to it counts as output
    uint16_t fdflags;
    uint64_t rights;  // those that make sense for it
};

// Fills the common part: one reference.
void file_begin(wasi_file *self, const wasi_kind *kind, uint8_t filetype, bool writable, uint64_t rights);
void file_release(wasi_file *self);

// Take the host descriptor over, when it succeeds: a file, or NULL when out of memory. `ours`: opened for this program alone, so that
// its flags may be changed.
wasi_file *host_file_new(int descriptor, bool ours, bool writable, uint16_t fdflags);
wasi_file *host_directory_new(int descriptor, bool writable, bool is_mount);
wasi_file *memory_mount_new(const aw_wasi *wasi, aw_wasi_memory *tree, bool writable);
wasi_file *foreign_mount_new(aw_wasi *wasi, const aw_wasi_filesystem *system, bool writable);
wasi_file *null_file_new(void);
wasi_file *stream_file_new(const aw_wasi_stream *stream);
wasi_file *socket_file_new(int descriptor);

// One more entry: 0 or an errno.
int listing_add(wasi_listing *self, const char *name, uint64_t inode, uint8_t filetype);
void listing_free(wasi_listing *self);

uint8_t filetype_of(mode_t mode);
void filestat_fill(wasi_filestat *out, const struct stat *info);

// --- the program ------------------------------------------------------------------------------------------------

typedef struct wasi_descriptor {
    wasi_file *file;  // owned; NULL: closed
    uint64_t rights, inheriting;
    char *mount;  // owned; a mount's name, else NULL
    uint32_t mount_length;
    wasi_listing listing;  // that fd_readdir goes through
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
    atomic_int waker;  // what wakes a wait, see poll.c
    wasi_texts arguments, environment;
    wasi_descriptor *descriptors;  // owned
    uint32_t descriptor_count;
    bool exited;
    uint32_t status;
    bool own_clock;  // of the program's; else it has the host's
    aw_wasi_clock clock;
    uint64_t clock_origin;   // the host's monotonic time when it began
    uint64_t clock_advance;  // by readings and sleeps
    bool seeded;
    uint64_t random_state[4];
    struct {
        bool truncate;
        uint64_t allowed, used, dropped;  // bytes
    } output;                             // of `counted` files
    enum { OPENAT2_UNKNOWN, OPENAT2_WORKS, OPENAT2_MISSING } openat2;
    wasi_call *call;    // the innermost that runs, or NULL
    uint32_t embedder;  // how many calls of a file system of the embedder's are under way
};

// The descriptor of that number, if it has the right: 0 or an errno. Valid until a descriptor is opened.
int descriptor_get(aw_wasi *wasi, const aw_raw *number, uint64_t right, wasi_descriptor **out);
// Give the file the lowest free number. Takes it over, also when it fails: 0 or an errno.
int descriptor_add(aw_wasi *wasi, wasi_file *file, uint64_t rights, uint64_t inheriting, uint32_t *number);

bool descriptors_have_room(const aw_wasi *wasi);  // for one more

void descriptors_close(aw_wasi *wasi);
// The times of a set_times function out of the guest's arguments: 0 or an errno.
int times_load(const aw_wasi *wasi, uint64_t accessed, uint64_t modified, uint32_t flags, struct timespec out[2]);

// --- waiting --------------------------------------------------------------------------------------------------------

#define WASI_FOREVER UINT64_MAX

struct pollfd;

uint64_t monotonic_now(void);                 // nanoseconds of the host's
uint64_t wasi_realtime(const aw_wasi *wasi);  // nanoseconds since 1970; the host's for NULL
// Until when to wait, on the host's monotonic clock, for so many nanoseconds of the program's to pass; where nothing waits, now.
uint64_t wasi_deadline(const aw_wasi *wasi, uint64_t timeout);
void wasi_pass(aw_wasi *wasi, uint64_t nanoseconds);  // the program's time, where it does not pass by itself
bool wasi_stands(const aw_wasi *wasi);                // it does not
// A reading of one of the program's clocks: 0 or an errno.
int wasi_clock_read(aw_wasi *wasi, uint32_t number, uint64_t *out);
// As ppoll until *deadline* on the monotonic clock, but ends when the embedder says so: WASI_OK (look at `revents`), an errno, or
// WASI_RAISED. A deadline in the past only looks. There is room for one more in *polls*.
int wasi_wait(aw_wasi *wasi, struct pollfd *polls, size_t count, uint64_t deadline);
// Something long is going on: 0, or WASI_RAISED when it is to end.
int wasi_check(aw_wasi *wasi);
void waker_close(aw_wasi *wasi);

int wasi_clock(uint32_t number, clockid_t *out);

// --- the guest's memory -----------------------------------------------------------------------------------------

// One call from the guest. Pointers of the guest's are checked against its memory each time.
struct wasi_call {
    aw_wasi *wasi;
    aw_caller *caller;
    uint8_t *memory;
    size_t size;
};

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

enum { MOST_VECTORS = 1024 };  // as IOV_MAX; the rest is a shorter read or write, which every program expects

// The guest's vectors as the host's, pointing into its memory: their number, or -errno.
int vectors_get(const wasi_call *call, uint32_t pointer, uint32_t count, struct iovec out[MOST_VECTORS]);

// --- the functions -------------------------------------------------------------------------------------------------

typedef int (*wasi_function)(wasi_call *call, const aw_raw *arguments);

// X(name, signature): i is i32, I is i64. All return an errno but proc_exit, which has no result. Each file's head says which it has.
// clang-format off
#define WASI_FUNCTIONS(X) \
    X(args_get, "ii") X(args_sizes_get, "ii") X(environ_get, "ii") X(environ_sizes_get, "ii") \
    X(clock_res_get, "ii") X(clock_time_get, "iIi") \
    X(fd_advise, "iIIi") X(fd_allocate, "iII") X(fd_close, "i") X(fd_datasync, "i") X(fd_fdstat_get, "ii") \
    X(fd_fdstat_set_flags, "ii") X(fd_fdstat_set_rights, "iII") X(fd_filestat_get, "ii") \
    X(fd_filestat_set_size, "iI") X(fd_filestat_set_times, "iIIi") X(fd_pread, "iiiIi") X(fd_prestat_get, "ii") \
    X(fd_prestat_dir_name, "iii") X(fd_pwrite, "iiiIi") X(fd_read, "iiii") X(fd_readdir, "iiiIi") \
    X(fd_renumber, "ii") X(fd_seek, "iIii") X(fd_sync, "i") X(fd_tell, "ii") X(fd_write, "iiii") \
    X(path_create_directory, "iii") X(path_filestat_get, "iiiii") X(path_filestat_set_times, "iiiiIIi") \
    X(path_link, "iiiiiii") X(path_open, "iiiiiIIii") X(path_readlink, "iiiiii") X(path_remove_directory, "iii") \
    X(path_rename, "iiiiii") X(path_symlink, "iiiii") X(path_unlink_file, "iii") \
    X(poll_oneoff, "iiii") X(proc_exit, "i") X(proc_raise, "i") X(sched_yield, "") X(random_get, "ii") \
    X(sock_accept, "iii") X(sock_recv, "iiiiii") X(sock_send, "iiiii") X(sock_shutdown, "ii")
// clang-format on

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

// SPDX-License-Identifier: Apache-2.0
// Paths of the guest's, and what is done by path. A path never leaves the directory that it is resolved in: the kernel sees to it
// (openat2 with RESOLVE_BENEATH, Linux 5.6), or, where it cannot, a walk that opens one component after the other and follows
// links by itself. No decision is made by looking at the text of a path.

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "internal.h"

// --- resolution ------------------------------------------------------------------------------------------------

int path_load(const wasi_call *call, uint32_t pointer, uint32_t length, wasi_path *out)
{
    const uint8_t *bytes = guest_bytes(call, pointer, length);
    if (bytes == NULL) {
        return WASI_EFAULT;
    }
    if (length >= WASI_PATH_MAX) {
        return WASI_ENAMETOOLONG;
    }
    if (length == 0) {
        return WASI_ENOENT;
    }
    if (memchr(bytes, '\0', length) != NULL) {
        return WASI_EILSEQ;
    }
    memcpy(out->text, bytes, length);
    out->text[length] = '\0';
    return WASI_OK;
}

// The walk: the open directories from the root down, the rest of the path, the links followed so far.
enum { WALK_DEPTH = 256, WALK_LINKS = 40 };

typedef struct walk {
    int directories[WALK_DEPTH];  // [0] is borrowed, the rest owned
    int depth;
    int links;
    char rest[2 * WASI_PATH_MAX];
} walk;

static void walk_end(walk *self)
{
    int saved = errno;
    while (self->depth > 0) {
        close(self->directories[self->depth--]);
    }
    errno = saved;
}

static int walk_fail(walk *self, int error)
{
    walk_end(self);
    errno = error;
    return -1;
}

// The link *name* in the innermost directory goes before the rest of the path. 0, or -1 and errno.
static int walk_follow(walk *self, const char *name, const char *rest)
{
    char target[WASI_PATH_MAX], joined[2 * WASI_PATH_MAX];
    ssize_t length = readlinkat(self->directories[self->depth], name, target, sizeof(target) - 1);
    if (length < 0) {
        return -1;
    }
    target[length] = '\0';
    if (target[0] == '/') {
        errno = EXDEV;
        return -1;
    }
    if (++self->links > WALK_LINKS) {
        errno = ELOOP;
        return -1;
    }
    if (snprintf(joined, sizeof(joined), "%s%s%s", target, rest[0] != '\0' ? "/" : "", rest) >= (int)sizeof(self->rest)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(self->rest, joined, sizeof(joined));
    return 0;
}

static int walk_open(int directory, const char *path, int flags, mode_t mode)
{
    walk self = {.directories = {directory}};
    if (path[0] == '/') {
        errno = EXDEV;
        return -1;
    }
    snprintf(self.rest, sizeof(self.rest), "%s", path);
    for (;;) {
        char name[WASI_PATH_MAX], *rest = self.rest + strspn(self.rest, "/");
        size_t length = strcspn(rest, "/");
        if (length >= sizeof(name)) {
            return walk_fail(&self, ENAMETOOLONG);
        }
        memcpy(name, rest, length);
        name[length] = '\0';
        rest += length;
        bool slash = *rest == '/';  // what is named must be a directory
        rest += strspn(rest, "/");
        bool last = *rest == '\0';
        char remaining[2 * WASI_PATH_MAX];
        snprintf(remaining, sizeof(remaining), "%s", rest);

        if (strcmp(name, "..") == 0) {
            if (self.depth == 0) {
                return walk_fail(&self, EXDEV);
            }
            close(self.directories[self.depth--]);
            strcpy(name, ".");
        }
        if (name[0] == '\0' || strcmp(name, ".") == 0) {
            if (!last) {
                memcpy(self.rest, remaining, sizeof(remaining));
                continue;
            }
            int opened = openat(self.directories[self.depth], ".", (flags & ~(O_CREAT | O_EXCL)) | O_CLOEXEC, 0);
            walk_end(&self);
            return opened;
        }
        struct stat info;
        bool found = fstatat(self.directories[self.depth], name, &info, AT_SYMLINK_NOFOLLOW) == 0;
        if (!found && !(last && (flags & O_CREAT))) {
            return walk_fail(&self, errno);
        }
        bool follow = !last || slash || ((flags & O_NOFOLLOW) == 0 && !((flags & O_CREAT) && (flags & O_EXCL)));
        if (found && S_ISLNK(info.st_mode) && follow) {
            size_t used = strlen(remaining);
            if (slash && last && used + 1 < sizeof(remaining)) {
                strcpy(remaining, ".");
            }
            if (walk_follow(&self, name, remaining) < 0) {
                return walk_fail(&self, errno);
            }
            continue;
        }
        if (last) {
            // What was looked at may have been replaced by a link: O_NOFOLLOW holds whatever happens.
            int opened = openat(self.directories[self.depth], name, flags | O_NOFOLLOW | O_CLOEXEC | (slash ? O_DIRECTORY : 0),
                                mode);
            walk_end(&self);
            return opened;
        }
        if (self.depth + 1 >= WALK_DEPTH) {
            return walk_fail(&self, ENAMETOOLONG);
        }
        int opened = openat(self.directories[self.depth], name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (opened < 0) {
            return walk_fail(&self, errno);
        }
        self.directories[++self.depth] = opened;
        memcpy(self.rest, remaining, sizeof(remaining));
    }
}

int path_open_beneath(aw_wasi *wasi, int directory, const char *path, int flags, mode_t mode)
{
    struct open_how how = {
        .flags = (uint64_t)(unsigned)(flags | O_CLOEXEC),
        .mode = flags & O_CREAT ? mode : 0,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
    };
    // EAGAIN: something was renamed meanwhile, and the kernel is not sure.
    for (int attempt = 0; !wasi->avoid_openat2 && attempt < 128; attempt++) {
        long opened = syscall(SYS_openat2, directory, path, &how, sizeof(how));
        if (opened >= 0) {
            return (int)opened;
        }
        if (errno == ENOSYS) {
            wasi->avoid_openat2 = true;
        }
        else if (errno != EAGAIN) {
            return -1;
        }
    }
    return walk_open(directory, path, flags, mode);
}

// What WASI says when openat2 says that a path leads out.
static int path_errno(void)
{
    return errno == EXDEV ? WASI_ENOTCAPABLE : wasi_errno();
}

int path_parent(aw_wasi *wasi, int directory, const char *path, int *parent, char last[WASI_PATH_MAX])
{
    size_t length = strlen(path), end = length;
    while (end > 1 && path[end - 1] == '/') {
        end--;
    }
    size_t start = end;
    while (start > 0 && path[start - 1] != '/') {
        start--;
    }
    if (start == 0 && path[0] == '/') {
        return WASI_ENOTCAPABLE;
    }
    bool slash = end < length;
    if (end - start == 2 && memcmp(path + start, "..", 2) == 0) {
        return WASI_ENOTCAPABLE;  // the last component of what is made, moved or removed has a name of its own
    }
    memcpy(last, path + start, end - start);
    last[end - start] = '\0';
    if (slash) {
        strcat(last, "/");
    }
    char before[WASI_PATH_MAX];
    memcpy(before, path, start);
    before[start] = '\0';
    *parent = path_open_beneath(wasi, directory, start > 0 ? before : ".", O_PATH | O_DIRECTORY, 0);
    return *parent < 0 ? path_errno() : WASI_OK;
}

// --- by path ------------------------------------------------------------------------------------------------------

// The directory that a path begins in: 0 or an errno. `changes` asks for a mount that may be changed.
static int base_get(wasi_call *call, const aw_raw *number, bool changes, wasi_descriptor **out)
{
    *out = descriptor_get(call->wasi, u32(number));
    if (*out == NULL) {
        return WASI_EBADF;
    }
    if ((*out)->kind != WASI_DIRECTORY) {
        return WASI_ENOTDIR;
    }
    return changes && !(*out)->writable ? WASI_EROFS : WASI_OK;
}

// Both halves of what is done to a last component: 0 or an errno. The caller closes *parent.
static int target_get(wasi_call *call, const aw_raw *number, const aw_raw *pointer, int *parent, char last[WASI_PATH_MAX])
{
    wasi_descriptor *base;
    wasi_path path;
    int error = base_get(call, number, true, &base);
    if (error == WASI_OK) {
        error = path_load(call, u32(&pointer[0]), u32(&pointer[1]), &path);
    }
    return error != WASI_OK ? error : path_parent(call->wasi, base->host, path.text, parent, last);
}

int wasi_path_create_directory(wasi_call *call, const aw_raw *arguments)
{
    int parent;
    char last[WASI_PATH_MAX];
    int error = target_get(call, &arguments[0], &arguments[1], &parent, last);
    if (error == WASI_OK) {
        error = mkdirat(parent, last, 0777) < 0 ? wasi_errno() : WASI_OK;
        close(parent);
    }
    return error;
}

int wasi_path_remove_directory(wasi_call *call, const aw_raw *arguments)
{
    int parent;
    char last[WASI_PATH_MAX];
    int error = target_get(call, &arguments[0], &arguments[1], &parent, last);
    if (error == WASI_OK) {
        error = unlinkat(parent, last, AT_REMOVEDIR) < 0 ? wasi_errno() : WASI_OK;
        close(parent);
    }
    return error;
}

int wasi_path_unlink_file(wasi_call *call, const aw_raw *arguments)
{
    int parent;
    char last[WASI_PATH_MAX];
    int error = target_get(call, &arguments[0], &arguments[1], &parent, last);
    if (error == WASI_OK) {
        error = unlinkat(parent, last, 0) < 0 ? wasi_errno() : WASI_OK;
        close(parent);
    }
    return error;
}

int wasi_path_rename(wasi_call *call, const aw_raw *arguments)
{
    int from_parent, to_parent;
    char from[WASI_PATH_MAX], to[WASI_PATH_MAX];
    int error = target_get(call, &arguments[0], &arguments[1], &from_parent, from);
    if (error != WASI_OK) {
        return error;
    }
    error = target_get(call, &arguments[3], &arguments[4], &to_parent, to);
    if (error == WASI_OK) {
        error = renameat(from_parent, from, to_parent, to) < 0 ? wasi_errno() : WASI_OK;
        close(to_parent);
    }
    close(from_parent);
    return error;
}

int wasi_path_link(wasi_call *call, const aw_raw *arguments)
{
    int from_parent, to_parent;
    char from[WASI_PATH_MAX], to[WASI_PATH_MAX];
    if (u32(&arguments[1]) & LOOKUP_SYMLINK_FOLLOW) {
        return WASI_EINVAL;  // linkat would follow it anywhere
    }
    int error = target_get(call, &arguments[0], &arguments[2], &from_parent, from);
    if (error != WASI_OK) {
        return error;
    }
    error = target_get(call, &arguments[4], &arguments[5], &to_parent, to);
    if (error == WASI_OK) {
        error = linkat(from_parent, from, to_parent, to, 0) < 0 ? wasi_errno() : WASI_OK;
        close(to_parent);
    }
    close(from_parent);
    return error;
}

int wasi_path_symlink(wasi_call *call, const aw_raw *arguments)
{
    wasi_path target;
    int parent;
    char last[WASI_PATH_MAX];
    int error = path_load(call, u32(&arguments[0]), u32(&arguments[1]), &target);
    if (error != WASI_OK) {
        return error;
    }
    error = target_get(call, &arguments[2], &arguments[3], &parent, last);
    if (error != WASI_OK) {
        return error;
    }
    // An absolute link means another file to the host than to the guest.
    if (target.text[0] == '/') {
        error = WASI_ENOTCAPABLE;
    }
    else {
        error = symlinkat(target.text, parent, last) < 0 ? wasi_errno() : WASI_OK;
    }
    close(parent);
    return error;
}

int wasi_path_readlink(wasi_call *call, const aw_raw *arguments)
{
    wasi_descriptor *base;
    wasi_path path;
    int parent, error = base_get(call, &arguments[0], false, &base);
    if (error == WASI_OK) {
        error = path_load(call, u32(&arguments[1]), u32(&arguments[2]), &path);
    }
    char last[WASI_PATH_MAX], target[WASI_PATH_MAX];
    if (error == WASI_OK) {
        error = path_parent(call->wasi, base->host, path.text, &parent, last);
    }
    if (error != WASI_OK) {
        return error;
    }
    ssize_t length = readlinkat(parent, last, target, sizeof(target));
    error = length < 0 ? wasi_errno() : WASI_OK;
    close(parent);
    if (error != WASI_OK) {
        return error;
    }
    uint32_t room = u32(&arguments[4]), used = (uint32_t)length < room ? (uint32_t)length : room;
    return guest_store(call, u32(&arguments[3]), target, used) && guest_store(call, u32(&arguments[5]), &used, 4) ? WASI_OK
                                                                                                                 : WASI_EFAULT;
}

// A handle on what a path names, for asking about it: a host descriptor opened with O_PATH, or -1 and *error.
static int handle_get(wasi_call *call, wasi_descriptor *base, uint32_t lookup, const aw_raw *pointer, int *error)
{
    wasi_path path;
    *error = path_load(call, u32(&pointer[0]), u32(&pointer[1]), &path);
    if (*error != WASI_OK) {
        return -1;
    }
    int handle = path_open_beneath(call->wasi, base->host, path.text,
                                   O_PATH | (lookup & LOOKUP_SYMLINK_FOLLOW ? 0 : O_NOFOLLOW), 0);
    if (handle < 0) {
        *error = path_errno();
    }
    return handle;
}

// The 64 bytes of a filestat.
static void filestat_store(uint8_t *out, const struct stat *info)
{
    uint64_t words[8] = {
        info->st_dev,
        info->st_ino,
        filetype_of(info->st_mode),
        info->st_nlink,
        (uint64_t)info->st_size,
        (uint64_t)info->st_atim.tv_sec * 1000000000 + (uint64_t)info->st_atim.tv_nsec,
        (uint64_t)info->st_mtim.tv_sec * 1000000000 + (uint64_t)info->st_mtim.tv_nsec,
        (uint64_t)info->st_ctim.tv_sec * 1000000000 + (uint64_t)info->st_ctim.tv_nsec,
    };
    memcpy(out, words, sizeof(words));
}

int wasi_path_filestat_get(wasi_call *call, const aw_raw *arguments)
{
    wasi_descriptor *base;
    int error = base_get(call, &arguments[0], false, &base);
    uint8_t *out = guest_bytes(call, u32(&arguments[4]), 64);
    if (error != WASI_OK || out == NULL) {
        return error != WASI_OK ? error : WASI_EFAULT;
    }
    int handle = handle_get(call, base, u32(&arguments[1]), &arguments[2], &error);
    if (handle < 0) {
        return error;
    }
    struct stat info;
    error = fstat(handle, &info) < 0 ? wasi_errno() : WASI_OK;
    close(handle);
    if (error == WASI_OK) {
        filestat_store(out, &info);
    }
    return error;
}

int wasi_fd_filestat_get(wasi_call *call, const aw_raw *arguments)
{
    const wasi_descriptor *descriptor = descriptor_get(call->wasi, u32(&arguments[0]));
    uint8_t *out = guest_bytes(call, u32(&arguments[1]), 64);
    if (descriptor == NULL) {
        return WASI_EBADF;
    }
    if (out == NULL) {
        return WASI_EFAULT;
    }
    struct stat info = {0};
    if (descriptor->kind == WASI_NULL) {
        info.st_mode = S_IFCHR;
    }
    else if (descriptor->kind != WASI_STREAM && fstat(descriptor->host, &info) < 0) {
        return wasi_errno();
    }
    filestat_store(out, &info);
    return WASI_OK;
}

// The times to set: 0 or an errno.
static int times_get(uint64_t atime, uint64_t mtime, uint32_t flags, struct timespec out[2])
{
    if ((flags & FST_ATIM && flags & FST_ATIM_NOW) || (flags & FST_MTIM && flags & FST_MTIM_NOW)) {
        return WASI_EINVAL;
    }
    uint64_t times[2] = {atime, mtime};
    for (int i = 0; i < 2; i++) {
        uint32_t bits = flags >> (2 * i);
        out[i] = (struct timespec){.tv_sec = (time_t)(times[i] / 1000000000), .tv_nsec = (long)(times[i] % 1000000000)};
        if (bits & FST_ATIM_NOW) {
            out[i].tv_nsec = UTIME_NOW;
        }
        else if (!(bits & FST_ATIM)) {
            out[i].tv_nsec = UTIME_OMIT;
        }
    }
    return WASI_OK;
}

int wasi_path_filestat_set_times(wasi_call *call, const aw_raw *arguments)
{
    wasi_descriptor *base;
    struct timespec times[2];
    int error = base_get(call, &arguments[0], true, &base);
    if (error == WASI_OK) {
        error = times_get(u64(&arguments[4]), u64(&arguments[5]), u32(&arguments[6]), times);
    }
    int handle = error == WASI_OK ? handle_get(call, base, u32(&arguments[1]), &arguments[2], &error) : -1;
    if (handle < 0) {
        return error;
    }
    if (utimensat(handle, "", times, AT_EMPTY_PATH) < 0) {
        // Before Linux 5.8 a handle's times are set by its name in /proc.
        char name[64];
        snprintf(name, sizeof(name), "/proc/self/fd/%d", handle);
        error = errno == EINVAL && utimensat(AT_FDCWD, name, times, 0) == 0 ? WASI_OK : wasi_errno();
    }
    close(handle);
    return error;
}

int wasi_fd_filestat_set_times(wasi_call *call, const aw_raw *arguments)
{
    const wasi_descriptor *descriptor = descriptor_get(call->wasi, u32(&arguments[0]));
    struct timespec times[2];
    if (descriptor == NULL) {
        return WASI_EBADF;
    }
    if (descriptor->kind != WASI_FILE && descriptor->kind != WASI_DIRECTORY) {
        return WASI_ENOTSUP;
    }
    if (!descriptor->writable) {
        return WASI_EROFS;
    }
    int error = times_get(u64(&arguments[1]), u64(&arguments[2]), u32(&arguments[3]), times);
    return error != WASI_OK ? error : futimens(descriptor->host, times) < 0 ? wasi_errno() : WASI_OK;
}

// --- opening ---------------------------------------------------------------------------------------------------------

static int open_flags(uint32_t oflags, uint64_t rights, uint32_t fdflags, uint32_t lookup)
{
    bool reads = (rights & (RIGHT_FD_READ | RIGHT_FD_READDIR)) != 0, writes = (rights & RIGHT_FD_WRITE) != 0;
    int flags = O_NOCTTY | O_NONBLOCK;  // opening a FIFO does not wait; whether reading does is set afterwards
    flags |= oflags & OFLAG_DIRECTORY ? O_RDONLY : writes ? (reads ? O_RDWR : O_WRONLY) : O_RDONLY;
    flags |= oflags & OFLAG_CREAT ? O_CREAT : 0;
    flags |= oflags & OFLAG_DIRECTORY ? O_DIRECTORY : 0;
    flags |= oflags & OFLAG_EXCL ? O_EXCL : 0;
    flags |= oflags & OFLAG_TRUNC ? O_TRUNC : 0;
    flags |= fdflags & FDFLAG_APPEND ? O_APPEND : 0;
    flags |= fdflags & FDFLAG_DSYNC ? O_DSYNC : 0;
    flags |= fdflags & (FDFLAG_SYNC | FDFLAG_RSYNC) ? O_SYNC : 0;
    flags |= lookup & LOOKUP_SYMLINK_FOLLOW ? 0 : O_NOFOLLOW;
    return flags;
}

int wasi_path_open(wasi_call *call, const aw_raw *arguments)
{
    uint32_t lookup = u32(&arguments[1]), oflags = u32(&arguments[4]), fdflags = u32(&arguments[7]), number;
    uint64_t rights = u64(&arguments[5]), inheriting = u64(&arguments[6]);
    wasi_descriptor *base;
    wasi_path path;
    int error = base_get(call, &arguments[0], false, &base);
    if (error == WASI_OK) {
        error = path_load(call, u32(&arguments[2]), u32(&arguments[3]), &path);
    }
    if (error != WASI_OK) {
        return error;
    }
    if (guest_bytes(call, u32(&arguments[8]), 4) == NULL) {
        return WASI_EFAULT;
    }
    if ((oflags & OFLAG_DIRECTORY) && (oflags & (OFLAG_CREAT | OFLAG_EXCL | OFLAG_TRUNC))) {
        return WASI_EINVAL;
    }
    bool writable = base->writable;
    if (!writable && ((rights & RIGHT_FD_WRITE) || (oflags & (OFLAG_CREAT | OFLAG_TRUNC)))) {
        return WASI_EROFS;
    }
    int flags = open_flags(oflags, rights, fdflags, lookup);
    int opened = path_open_beneath(call->wasi, base->host, path.text, flags, 0666);
    if (opened < 0) {
        // A link that was not to be followed.
        return errno == ELOOP && (flags & O_NOFOLLOW) ? WASI_ELOOP : path_errno();
    }
    struct stat info;
    if (fstat(opened, &info) < 0 || (!(fdflags & FDFLAG_NONBLOCK) &&
                                     fcntl(opened, F_SETFL, fcntl(opened, F_GETFL) & ~O_NONBLOCK) < 0)) {
        error = wasi_errno();
        close(opened);
        return error;
    }
    uint64_t allowed_rights = base->inheriting;
    error = descriptor_new(call->wasi, &number);  // may move the descriptors: `base` is not used after it
    if (error != WASI_OK) {
        close(opened);
        return error;
    }
    wasi_descriptor *descriptor = &call->wasi->descriptors[number];
    descriptor->kind = S_ISDIR(info.st_mode) ? WASI_DIRECTORY : WASI_FILE;
    descriptor->host = opened;
    descriptor->writable = writable;
    descriptor->rights = rights & allowed_rights;
    descriptor->inheriting = inheriting & allowed_rights;
    guest_store(call, u32(&arguments[8]), &number, 4);
    return WASI_OK;
}

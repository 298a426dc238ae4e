// SPDX-License-Identifier: Apache-2.0
// Directories of the host's, and what is done by path beneath them. A path never leaves the directory that it is resolved in: the
// kernel sees to it (openat2 with RESOLVE_BENEATH, Linux 5.6), or, where it cannot, a walk that opens one component after the other
// and follows links by itself. No decision is made by looking at the text of a path.
//
// What has no openat2 of its own (mkdir, unlink, rename, …) is done to a path's last component, in its directory, which is opened
// beneath; none of those system calls follows a link that the last component names.

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "internal.h"

typedef struct host_directory {
    wasi_file base;
    int descriptor;  // owned
    bool is_mount;   // the root of one: nothing above it is the guest's business
} host_directory;

static int descriptor_of(wasi_file *self)
{
    return ((host_directory *)self)->descriptor;
}

// --- what <linux/openat2.h> has, since Linux 5.6: we are also built where the headers are older -------------------------------

struct open_how {
    uint64_t flags, mode, resolve;
};

enum { OPENAT2 = 437 };  // on every architecture
enum { RESOLVE_NO_MAGICLINKS = 0x02, RESOLVE_BENEATH = 0x08 };

// --- resolution ------------------------------------------------------------------------------------------------

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
    if (snprintf(joined, sizeof(joined), "%s%s%s", target, rest[0] != '\0' ? "/" : "", rest) >=
        (int)sizeof(self->rest)) {
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
            if (flags & O_CREAT) {
                return walk_fail(&self, flags & O_EXCL ? EEXIST : EISDIR);
            }
            int opened = openat(self.directories[self.depth], ".", flags | O_CLOEXEC, 0);
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
        if (last && slash && (flags & O_CREAT)) {
            return walk_fail(&self, EISDIR);  // O_CREAT makes no directories
        }
        if (last) {
            // What was looked at may have been replaced by a link: O_NOFOLLOW holds whatever happens.
            int opened = openat(self.directories[self.depth], name,
                                flags | O_NOFOLLOW | O_CLOEXEC | (slash ? O_DIRECTORY : 0), mode);
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

// Does the kernel have openat2, and let us call it? Some sandboxes say EPERM where they mean ENOSYS.
static bool openat2_works(aw_wasi *wasi, int directory)
{
    if (wasi->openat2 == OPENAT2_UNKNOWN) {
        struct open_how how = {.flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
                               .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
        long opened = syscall(OPENAT2, directory, ".", &how, sizeof(how));
        wasi->openat2 = opened >= 0 ? OPENAT2_WORKS : OPENAT2_MISSING;
        if (opened >= 0) {
            close((int)opened);
        }
    }
    return wasi->openat2 == OPENAT2_WORKS;
}

// Open *path* beneath a directory, wherever links in it lead, but never out of it: a host descriptor, or -1 and errno (EXDEV: out).
static int open_beneath(aw_wasi *wasi, int directory, const char *path, int flags, mode_t mode)
{
    if (openat2_works(wasi, directory)) {
        struct open_how how = {
            .flags = (uint64_t)(unsigned)(flags | O_CLOEXEC),
            .mode = flags & O_CREAT ? mode : 0,
            .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
        };
        // EAGAIN: something was renamed meanwhile, and the kernel is not sure.
        for (int attempt = 0; attempt < 128; attempt++) {
            long opened = syscall(OPENAT2, directory, path, &how, sizeof(how));
            if (opened >= 0 || errno != EAGAIN) {
                return (int)opened;
            }
        }
    }
    return walk_open(directory, path, flags, mode);
}

// What WASI says when a path leads out.
static int path_errno(void)
{
    return errno == EXDEV ? WASI_ENOTCAPABLE : wasi_errno();
}

// The directory that a path's last component is in, as a descriptor of our own, and that component, with a trailing slash where the
// path had one.
typedef struct place {
    int parent;
    char name[WASI_PATH_MAX];
    bool slash;
} place;

static int place_find(aw_wasi *wasi, wasi_file *directory, const char *path, place *out)
{
    size_t length = strlen(path), end = length;
    while (end > 1 && path[end - 1] == '/') {
        end--;
    }
    size_t start = end;
    while (start > 0 && path[start - 1] != '/') {
        start--;
    }
    if (path[0] == '/' || (end - start == 2 && memcmp(path + start, "..", 2) == 0)) {
        return WASI_ENOTCAPABLE;  // what is made, moved or removed has a name of its own
    }
    memcpy(out->name, path + start, end - start);
    out->name[end - start] = '\0';
    out->slash = end < length;
    if (out->slash) {
        strcat(out->name, "/");
    }
    char before[WASI_PATH_MAX];
    memcpy(before, path, start);
    before[start] = '\0';
    out->parent = open_beneath(wasi, descriptor_of(directory), start > 0 ? before : ".", O_PATH | O_DIRECTORY, 0);
    return out->parent < 0 ? path_errno() : WASI_OK;
}

// What a system call on a place says.
static int place_end(place *self, int result)
{
    int error = result < 0 ? wasi_errno() : WASI_OK;
    close(self->parent);
    return error;
}

// A handle on what a path names, for asking about it: a host descriptor opened with O_PATH, or -1 and *error.
static int handle_open(aw_wasi *wasi, wasi_file *directory, const char *path, int flags, int *error)
{
    int handle = open_beneath(wasi, descriptor_of(directory), path, O_PATH | flags, 0);
    *error = handle < 0 ? path_errno() : WASI_OK;
    return handle;
}

// --- by path -----------------------------------------------------------------------------------------------------

static int directory_path_stat(aw_wasi *wasi, wasi_file *self, const char *path, bool follow, wasi_filestat *out)
{
    int error, handle = handle_open(wasi, self, path, follow ? 0 : O_NOFOLLOW, &error);
    if (handle < 0) {
        return error;
    }
    struct stat info;
    error = fstat(handle, &info) < 0 ? wasi_errno() : WASI_OK;
    close(handle);
    if (error == WASI_OK) {
        filestat_fill(out, &info);
    }
    return error;
}

static int directory_path_set_times(aw_wasi *wasi, wasi_file *self, const char *path, bool follow,
                                    const struct timespec times[2])
{
    int error, handle = handle_open(wasi, self, path, follow ? 0 : O_NOFOLLOW, &error);
    if (handle < 0) {
        return error;
    }
    if (utimensat(handle, "", times, AT_EMPTY_PATH) < 0) {
        // Before Linux 5.8 a handle's times are set by its name in /proc, which leads to what it is a handle of, and no further.
        char name[64];
        snprintf(name, sizeof(name), "/proc/self/fd/%d", handle);
        error = errno == EINVAL && utimensat(AT_FDCWD, name, times, 0) == 0 ? WASI_OK : wasi_errno();
    }
    close(handle);
    return error;
}

static int directory_make_directory(aw_wasi *wasi, wasi_file *self, const char *path)
{
    place at;
    int error = place_find(wasi, self, path, &at);
    return error != WASI_OK ? error : place_end(&at, mkdirat(at.parent, at.name, 0777));
}

static int directory_remove_directory(aw_wasi *wasi, wasi_file *self, const char *path)
{
    place at;
    int error = place_find(wasi, self, path, &at);
    return error != WASI_OK ? error : place_end(&at, unlinkat(at.parent, at.name, AT_REMOVEDIR));
}

static int directory_unlink(aw_wasi *wasi, wasi_file *self, const char *path)
{
    place at;
    int error = place_find(wasi, self, path, &at);
    return error != WASI_OK ? error : place_end(&at, unlinkat(at.parent, at.name, 0));
}

static int directory_rename(aw_wasi *wasi, wasi_file *self, const char *path, wasi_file *other, const char *other_path)
{
    place from, to;
    int error = place_find(wasi, self, path, &from);
    if (error != WASI_OK) {
        return error;
    }
    error = place_find(wasi, other, other_path, &to);
    if (error == WASI_OK) {
        error = place_end(&to, renameat(from.parent, from.name, to.parent, to.name));
    }
    close(from.parent);
    return error;
}

static int directory_link(aw_wasi *wasi, wasi_file *self, const char *path, wasi_file *other, const char *other_path)
{
    place from, to;
    int error = place_find(wasi, self, path, &from);
    if (error != WASI_OK) {
        return error;
    }
    error = place_find(wasi, other, other_path, &to);
    if (error == WASI_OK) {
        // A slash at the end makes linkat follow a link there, anywhere; and only directories may have one, which have no links.
        errno = EPERM;
        error = place_end(&to, from.slash ? -1 : linkat(from.parent, from.name, to.parent, to.name, 0));
    }
    close(from.parent);
    return error;
}

static int directory_symlink(aw_wasi *wasi, wasi_file *self, const char *target, const char *path)
{
    if (target[0] == '/') {
        return WASI_ENOTCAPABLE;  // it would mean another file to the host than to the guest
    }
    place at;
    int error = place_find(wasi, self, path, &at);
    return error != WASI_OK ? error : place_end(&at, symlinkat(target, at.parent, at.name));
}

static int directory_readlink(aw_wasi *wasi, wasi_file *self, const char *path, char out[WASI_PATH_MAX], size_t *length)
{
    // By a handle: readlinkat on a name with a slash at its end would follow the link, anywhere.
    int error, handle = handle_open(wasi, self, path, O_NOFOLLOW, &error);
    if (handle < 0) {
        return error;
    }
    ssize_t result = readlinkat(handle, "", out, WASI_PATH_MAX);
    // Something else than a link is ENOENT to the host here.
    error = result >= 0 ? WASI_OK : errno == ENOENT ? WASI_EINVAL : wasi_errno();
    *length = result >= 0 ? (size_t)result : 0;
    close(handle);
    return error;
}

// --- opening ---------------------------------------------------------------------------------------------------------

static int open_flags(const wasi_opening *how)
{
    int flags = O_NOCTTY | O_NONBLOCK;  // opening a FIFO does not wait; reading it waits by wasi_wait
    flags |= how->writes ? (how->reads ? O_RDWR : O_WRONLY) : O_RDONLY;
    flags |= how->oflags & OFLAG_CREAT ? O_CREAT : 0;
    flags |= how->oflags & OFLAG_DIRECTORY ? O_DIRECTORY : 0;
    flags |= how->oflags & OFLAG_EXCL ? O_EXCL : 0;
    flags |= how->oflags & OFLAG_TRUNC ? O_TRUNC : 0;
    flags |= how->fdflags & FDFLAG_APPEND ? O_APPEND : 0;
    flags |= how->fdflags & FDFLAG_DSYNC ? O_DSYNC : 0;
    flags |= how->fdflags & (FDFLAG_SYNC | FDFLAG_RSYNC) ? O_SYNC : 0;
    flags |= how->follow ? 0 : O_NOFOLLOW;
    return flags;
}

static int directory_open(aw_wasi *wasi, wasi_file *self, const char *path, const wasi_opening *how, wasi_file **out)
{
    int flags = open_flags(how);
    if (!self->writable) {
        if (how->writes || (how->oflags & OFLAG_TRUNC)) {
            return WASI_EROFS;
        }
        flags &= ~(O_CREAT | O_EXCL);  // nothing is made, but what is there can be opened
    }
    int opened = open_beneath(wasi, descriptor_of(self), path, flags, 0666);
    if (opened < 0) {
        return errno == ENOENT && !self->writable && (how->oflags & OFLAG_CREAT) ? WASI_EROFS : path_errno();
    }
    struct stat info;
    int error = fstat(opened, &info) < 0 ? wasi_errno() : WASI_OK;
    if (error == WASI_OK && !self->writable && (how->oflags & OFLAG_CREAT) && (how->oflags & OFLAG_EXCL)) {
        error = WASI_EEXIST;
    }
    if (error == WASI_OK) {
        *out = S_ISDIR(info.st_mode) ? host_directory_new(opened, self->writable, false)
                                     : host_file_new(opened, true, self->writable, (uint16_t)how->fdflags);
        error = *out == NULL ? WASI_ENOMEM : WASI_OK;
    }
    if (error != WASI_OK) {
        close(opened);
    }
    return error;
}

// --- the directory itself ------------------------------------------------------------------------------------------

static void directory_close(wasi_file *self)
{
    close(descriptor_of(self));
    free(self);
}

static int directory_stat(wasi_file *self, wasi_filestat *out)
{
    struct stat info;
    if (fstat(descriptor_of(self), &info) < 0) {
        return wasi_errno();
    }
    filestat_fill(out, &info);
    return WASI_OK;
}

static int directory_set_times(wasi_file *self, const struct timespec times[2])
{
    return futimens(descriptor_of(self), times) < 0 ? wasi_errno() : WASI_OK;
}

static int directory_sync(wasi_file *self, bool data_only)
{
    int result = (data_only ? fdatasync : fsync)(descriptor_of(self));
    return result == 0 || errno == EINVAL || errno == EROFS ? WASI_OK : wasi_errno();
}

static int directory_list(wasi_file *self, wasi_listing *out)
{
    // An open file of its own: the descriptor's has one position, which may be shared.
    int copy = openat(descriptor_of(self), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *stream = copy >= 0 ? fdopendir(copy) : NULL;
    if (stream == NULL) {
        int error = wasi_errno();
        if (copy >= 0) {
            close(copy);
        }
        return error;
    }
    int error = WASI_OK;
    while (error == WASI_OK) {
        errno = 0;
        struct dirent *entry = readdir(stream);
        if (entry == NULL) {
            error = errno != 0 ? wasi_errno() : WASI_OK;
            break;
        }
        mode_t mode = (mode_t)DTTOIF(entry->d_type);
        struct stat info;
        // Some file systems do not tell.
        if (entry->d_type == DT_UNKNOWN && fstatat(copy, entry->d_name, &info, AT_SYMLINK_NOFOLLOW) == 0) {
            mode = info.st_mode;
        }
        bool outside = ((host_directory *)self)->is_mount && strcmp(entry->d_name, "..") == 0;
        error = listing_add(out, entry->d_name, outside ? 0 : entry->d_ino, filetype_of(mode));
    }
    closedir(stream);
    return error;
}

static const wasi_kind directory_kind = {
    .close = directory_close,
    .stat = directory_stat,
    .set_times = directory_set_times,
    .sync = directory_sync,
    .list = directory_list,
    .open = directory_open,
    .path_stat = directory_path_stat,
    .path_set_times = directory_path_set_times,
    .make_directory = directory_make_directory,
    .remove_directory = directory_remove_directory,
    .unlink = directory_unlink,
    .rename = directory_rename,
    .link = directory_link,
    .symlink = directory_symlink,
    .readlink = directory_readlink,
};

wasi_file *host_directory_new(int descriptor, bool writable, bool is_mount)
{
    host_directory *self = malloc(sizeof(*self));
    if (self != NULL) {
        file_begin(&self->base, &directory_kind, FILETYPE_DIRECTORY, writable, DIRECTORY_RIGHTS);
        self->descriptor = descriptor;
        self->is_mount = is_mount;
    }
    return self != NULL ? &self->base : NULL;
}

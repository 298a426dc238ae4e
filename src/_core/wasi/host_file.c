// SPDX-License-Identifier: Apache-2.0
// Files of the host's that are no directories, and the host's error numbers.
//
// A regular file's reads and writes go straight to the host. Whatever else there is (terminals, pipes, devices; sockets are in
// sockets.c) may make its caller wait, so waiting is done by wasi_wait, which a deadline or a signal ends; whether the guest wants to
// wait is a flag of ours, and the host's own O_NONBLOCK is left alone: standard streams share it with whoever else has them.

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "internal.h"

typedef struct host_file {
    wasi_file base;
    int descriptor;  // owned
    bool ours;       // nobody else has this open file: its flags may be changed
    bool waits;      // reading or writing may take as long as somebody else likes
    int writing;     // `descriptor`, or another one of the same file, owned, that never waits, for writing
    bool prompt;     // `writing` never waits
} host_file;

static host_file *host_cast(wasi_file *self)
{
    return (host_file *)self;
}

// --- numbers -----------------------------------------------------------------------------------------------------

static const struct {
    int host, wasi;
} errors[] = {
    {E2BIG, WASI_E2BIG},
    {EACCES, WASI_EACCES},
    {EAGAIN, WASI_EAGAIN},
    {EBADF, WASI_EBADF},
    {EBUSY, WASI_EBUSY},
    {EDQUOT, WASI_EDQUOT},
    {EEXIST, WASI_EEXIST},
    {EFAULT, WASI_EFAULT},
    {EFBIG, WASI_EFBIG},
    {EILSEQ, WASI_EILSEQ},
    {EINTR, WASI_EINTR},
    {EINVAL, WASI_EINVAL},
    {EISDIR, WASI_EISDIR},
    {ELOOP, WASI_ELOOP},
    {EMFILE, WASI_EMFILE},
    {EMLINK, WASI_EMLINK},
    {ENFILE, WASI_ENFILE},
    {ENODEV, WASI_ENODEV},
    {ENOENT, WASI_ENOENT},
    {ENOMEM, WASI_ENOMEM},
    {ENOSPC, WASI_ENOSPC},
    {ENOSYS, WASI_ENOSYS},
    {ENOTDIR, WASI_ENOTDIR},
    {ENOTEMPTY, WASI_ENOTEMPTY},
    {ENOTSUP, WASI_ENOTSUP},
    {ENOTTY, WASI_ENOTTY},
    {ENXIO, WASI_ENXIO},
    {EOVERFLOW, WASI_EOVERFLOW},
    {EPERM, WASI_EPERM},
    {EPIPE, WASI_EPIPE},
    {ERANGE, WASI_ERANGE},
    {EROFS, WASI_EROFS},
    {ESPIPE, WASI_ESPIPE},
    {ETIMEDOUT, WASI_ETIMEDOUT},
    {EXDEV, WASI_EXDEV},
    {ENAMETOOLONG, WASI_ENAMETOOLONG},
    {ETXTBSY, WASI_ETXTBSY},
    {EADDRINUSE, WASI_EADDRINUSE},
    {EADDRNOTAVAIL, WASI_EADDRNOTAVAIL},
    {EAFNOSUPPORT, WASI_EAFNOSUPPORT},
    {EALREADY, WASI_EALREADY},
    {ECONNABORTED, WASI_ECONNABORTED},
    {ECONNREFUSED, WASI_ECONNREFUSED},
    {ECONNRESET, WASI_ECONNRESET},
    {EDESTADDRREQ, WASI_EDESTADDRREQ},
    {EHOSTUNREACH, WASI_EHOSTUNREACH},
    {EINPROGRESS, WASI_EINPROGRESS},
    {EISCONN, WASI_EISCONN},
    {EMSGSIZE, WASI_EMSGSIZE},
    {ENETDOWN, WASI_ENETDOWN},
    {ENETRESET, WASI_ENETRESET},
    {ENETUNREACH, WASI_ENETUNREACH},
    {ENOBUFS, WASI_ENOBUFS},
    {ENOTCONN, WASI_ENOTCONN},
    {ENOTSOCK, WASI_ENOTSOCK},
    {EPROTO, WASI_EPROTO},
};

enum { ERRORS = sizeof(errors) / sizeof(errors[0]) };

int wasi_error(int host_errno)
{
    for (size_t i = 0; i < ERRORS; i++) {
        if (errors[i].host == host_errno) {
            return errors[i].wasi;
        }
    }
    return WASI_EIO;
}

int aw_wasi_errno(int host_errno)
{
    return wasi_error(host_errno);
}

int aw_wasi_host_errno(int wasi_errno)
{
    for (size_t i = 0; i < ERRORS; i++) {
        if (errors[i].wasi == wasi_errno) {
            return errors[i].host;
        }
    }
    return wasi_errno == WASI_ENOTCAPABLE ? EXDEV : EIO;
}

uint8_t filetype_of(mode_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFREG:
        return FILETYPE_REGULAR_FILE;
    case S_IFDIR:
        return FILETYPE_DIRECTORY;
    case S_IFLNK:
        return FILETYPE_SYMBOLIC_LINK;
    case S_IFCHR:
        return FILETYPE_CHARACTER_DEVICE;
    case S_IFBLK:
        return FILETYPE_BLOCK_DEVICE;
    case S_IFSOCK:
        return FILETYPE_SOCKET_STREAM;
    default:
        return FILETYPE_UNKNOWN;  // pipes have no type of their own
    }
}

static uint64_t nanoseconds(const struct timespec *time)
{
    return time->tv_sec < 0 ? 0
                            : (uint64_t)time->tv_sec * 1000000000 + (uint64_t)time->tv_nsec;  // the guest's has no sign
}

void filestat_fill(wasi_filestat *out, const struct stat *info)
{
    *out = (wasi_filestat){
        .device = info->st_dev,
        .inode = info->st_ino,
        .filetype = filetype_of(info->st_mode),
        .links = info->st_nlink,
        .size = (uint64_t)info->st_size,
        .accessed = nanoseconds(&info->st_atim),
        .modified = nanoseconds(&info->st_mtim),
        .changed = nanoseconds(&info->st_ctim),
    };
}

// --- reading and writing ---------------------------------------------------------------------------------------------

// Until the file is ready; one that is not to wait says EAGAIN instead.
static int host_wait(wasi_call *call, host_file *self, int descriptor, short events)
{
    struct pollfd polls[2] = {{.fd = descriptor, .events = events}};
    bool waits = (self->base.fdflags & FDFLAG_NONBLOCK) == 0;
    int error = wasi_wait(call->wasi, polls, 1, waits ? WASI_FOREVER : 0);
    return error == WASI_OK && polls[0].revents == 0 ? WASI_EAGAIN : error;
}

// Read what is there. Somebody else may have taken it since: that is told where the kernel can (Linux 6.4 for pipes).
static ssize_t read_some(host_file *self, struct iovec *vectors, int count)
{
    ssize_t result = self->waits ? preadv2(self->descriptor, vectors, count, -1, RWF_NOWAIT) : -1;
    bool cannot = !self->waits ||
                  (result < 0 && (errno == EOPNOTSUPP || errno == ENOSYS || errno == EINVAL || errno == ESPIPE));
    return cannot ? readv(self->descriptor, vectors, count) : result;
}

static int host_read(wasi_call *call, wasi_file *file, struct iovec *vectors, int count, int64_t offset, size_t *done)
{
    host_file *self = host_cast(file);
    for (;;) {
        int error = self->waits && offset < 0 ? host_wait(call, self, self->descriptor, POLLIN) : WASI_OK;
        if (error != WASI_OK) {
            return error;
        }
        ssize_t result = offset >= 0 ? preadv(self->descriptor, vectors, count, offset)
                                     : read_some(self, vectors, count);
        if (result >= 0) {
            *done = (size_t)result;
            return WASI_OK;
        }
        // EAGAIN: somebody else was faster.
        if (errno != EINTR && !(errno == EAGAIN && self->waits && (file->fdflags & FDFLAG_NONBLOCK) == 0)) {
            return wasi_errno();
        }
        if (wasi_check(call->wasi) < 0) {
            return WASI_RAISED;
        }
    }
}

// To what may wait. Where writing does not wait by itself, PIPE_BUF bytes at a time: where poll() says that there is room in a pipe,
// there is room for that many.
static int host_write_waiting(wasi_call *call, host_file *self, const struct iovec *vectors, int count, size_t *done)
{
    *done = 0;
    for (int i = 0; i < count; i++) {
        const uint8_t *bytes = vectors[i].iov_base;
        size_t left = vectors[i].iov_len;
        while (left > 0) {
            int error = self->prompt ? WASI_OK : host_wait(call, self, self->writing, POLLOUT);
            ssize_t result = 0;
            if (error == WASI_OK) {
                result = write(self->writing, bytes, self->prompt || left < PIPE_BUF ? left : PIPE_BUF);
                error = result >= 0 ? WASI_OK : wasi_errno();
            }
            if (error == WASI_EINTR) {
                error = wasi_check(call->wasi);
            }
            else if (error == WASI_EAGAIN) {
                bool waits = (self->base.fdflags & FDFLAG_NONBLOCK) == 0;
                error = waits ? host_wait(call, self, self->writing, POLLOUT) : WASI_EAGAIN;
            }
            if (error != WASI_OK) {
                return error < 0 || *done == 0 ? error : WASI_OK;
            }
            if (result > 0) {
                bytes += result;
                left -= (size_t)result;
                *done += (size_t)result;
            }
        }
    }
    return WASI_OK;
}

static int host_write(wasi_call *call, wasi_file *file, struct iovec *vectors, int count, int64_t offset, size_t *done)
{
    host_file *self = host_cast(file);
    if (self->waits && offset < 0) {
        return host_write_waiting(call, self, vectors, count, done);
    }
    for (;;) {
        ssize_t result = offset >= 0 ? pwritev(self->descriptor, vectors, count, offset)
                                     : writev(self->descriptor, vectors, count);
        if (result >= 0) {
            *done = (size_t)result;
            return WASI_OK;
        }
        if (errno != EINTR) {
            return wasi_errno();
        }
        if (wasi_check(call->wasi) < 0) {
            return WASI_RAISED;
        }
    }
}

static int host_waits_for(wasi_file *file)
{
    return host_cast(file)->waits ? host_cast(file)->descriptor : -1;
}

static uint64_t host_available(wasi_file *file)
{
    host_file *self = host_cast(file);
    int bytes = 0;
    struct stat info;
    if (self->waits) {
        return ioctl(self->descriptor, FIONREAD, &bytes) == 0 && bytes > 0 ? (uint64_t)bytes : 0;
    }
    off_t place = lseek(self->descriptor, 0, SEEK_CUR);
    return place >= 0 && fstat(self->descriptor, &info) == 0 && info.st_size > place ? (uint64_t)(info.st_size - place)
                                                                                     : 0;
}

// --- the rest --------------------------------------------------------------------------------------------------------

static void host_close(wasi_file *self)
{
    close(host_cast(self)->descriptor);
    if (host_cast(self)->writing != host_cast(self)->descriptor) {
        close(host_cast(self)->writing);
    }
    free(self);
}

static int host_stat(wasi_file *self, wasi_filestat *out)
{
    struct stat info;
    if (fstat(host_cast(self)->descriptor, &info) < 0) {
        return wasi_errno();
    }
    filestat_fill(out, &info);
    return WASI_OK;
}

static int host_seek(wasi_file *self, int64_t offset, int whence, uint64_t *place)
{
    off_t result = lseek(host_cast(self)->descriptor, offset, whence);
    *place = (uint64_t)result;
    return result < 0 ? wasi_errno() : WASI_OK;
}

static int host_set_size(wasi_file *self, int64_t size)
{
    return ftruncate(host_cast(self)->descriptor, size) < 0 ? wasi_errno() : WASI_OK;
}

// Not posix_fallocate: where a file system cannot, that writes every block, for as long as it takes.
static int host_allocate(wasi_file *self, int64_t offset, int64_t length)
{
    return fallocate(host_cast(self)->descriptor, 0, offset, length) < 0 ? wasi_errno() : WASI_OK;
}

static int host_advise(wasi_file *self, int64_t offset, int64_t length, uint32_t advice)
{
    static const int advices[] = {POSIX_FADV_NORMAL,   POSIX_FADV_SEQUENTIAL, POSIX_FADV_RANDOM,
                                  POSIX_FADV_WILLNEED, POSIX_FADV_DONTNEED,   POSIX_FADV_NOREUSE};
    int error = posix_fadvise(host_cast(self)->descriptor, offset, length, advices[advice]);
    return error == 0 ? WASI_OK : wasi_error(error);
}

static int host_set_times(wasi_file *self, const struct timespec times[2])
{
    return futimens(host_cast(self)->descriptor, times) < 0 ? wasi_errno() : WASI_OK;
}

static int host_set_flags(wasi_file *file, uint16_t fdflags)
{
    host_file *self = host_cast(file);
    unsigned changed = (unsigned)(fdflags ^ file->fdflags) & ~(unsigned)FDFLAG_NONBLOCK;
    if (changed == 0) {
        return WASI_OK;
    }
    if (changed != FDFLAG_APPEND || !self->ours) {
        return WASI_ENOTSUP;
    }
    int flags = fcntl(self->descriptor, F_GETFL);
    if (flags >= 0) {
        flags = fcntl(self->descriptor, F_SETFL, fdflags & FDFLAG_APPEND ? flags | O_APPEND : flags & ~O_APPEND);
    }
    return flags < 0 ? wasi_errno() : WASI_OK;
}

static int host_sync(wasi_file *self, bool data_only)
{
    int result = (data_only ? fdatasync : fsync)(host_cast(self)->descriptor);
    return result == 0 || errno == EINVAL || errno == EROFS ? WASI_OK
                                                            : wasi_errno();  // pipes and the like have nothing to sync
}

static const wasi_kind host_kind = {
    .close = host_close,
    .stat = host_stat,
    .read = host_read,
    .write = host_write,
    .seek = host_seek,
    .allocate = host_allocate,
    .advise = host_advise,
    .set_size = host_set_size,
    .set_times = host_set_times,
    .set_flags = host_set_flags,
    .sync = host_sync,
    .waits_for = host_waits_for,
    .available = host_available,
};

// Another descriptor for writing to a pipe or a terminal, with flags of its own, so that it can be one that does not wait, or -1. A
// write that waits would not hear of a deadline; poll() does not help, since it tells of room for some bytes only. What waits for the
// other side of a pipe to be closed sees both go at once.
static int open_prompt(int descriptor, int flags, const struct stat *info)
{
    unsigned master;
    bool terminal = S_ISCHR(info->st_mode) && isatty(descriptor) &&
                    ioctl(descriptor, TIOCGPTN, &master) < 0;  // opening a master makes a new one
    if ((flags & O_ACCMODE) == O_RDONLY || !(terminal || S_ISFIFO(info->st_mode))) {
        return -1;
    }
    char name[40];
    snprintf(name, sizeof(name), "/proc/self/fd/%d", descriptor);
    int opened = open(name, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    struct stat other;
    if (opened >= 0 && (fstat(opened, &other) < 0 || other.st_dev != info->st_dev || other.st_ino != info->st_ino)) {
        close(opened);
        opened = -1;
    }
    return opened;
}

wasi_file *host_file_new(int descriptor, bool ours, bool writable, uint16_t fdflags)
{
    struct stat info;
    int flags = fcntl(descriptor, F_GETFL);
    if (flags < 0 || fstat(descriptor, &info) < 0) {
        return NULL;
    }
    host_file *self = malloc(sizeof(*self));
    if (self == NULL) {
        return NULL;
    }
    uint64_t rights = FILE_RIGHTS;
    if ((flags & O_ACCMODE) == O_RDONLY) {
        rights &= ~(uint64_t)(RIGHT_FD_WRITE | RIGHT_FD_ALLOCATE | RIGHT_FD_FILESTAT_SET_SIZE);
    }
    else if ((flags & O_ACCMODE) == O_WRONLY) {
        rights &= ~(uint64_t)RIGHT_FD_READ;
    }
    // wasi-libc's isatty() looks for a character device that cannot seek.
    if (S_ISCHR(info.st_mode) ? isatty(descriptor) : !S_ISREG(info.st_mode) && !S_ISBLK(info.st_mode)) {
        rights &= ~(uint64_t)(RIGHT_FD_SEEK | RIGHT_FD_TELL);
    }
    file_begin(&self->base, &host_kind, filetype_of(info.st_mode), writable, rights);
    self->descriptor = descriptor;
    self->ours = ours;
    self->waits = !S_ISREG(info.st_mode) && !S_ISBLK(info.st_mode);
    int prompt = ours ? -1 : open_prompt(descriptor, flags, &info);
    self->writing = prompt >= 0 ? prompt : descriptor;
    self->prompt = prompt >= 0 || (ours && (flags & O_NONBLOCK) != 0);
    if (!ours) {
        fdflags = (uint16_t)((flags & O_APPEND ? FDFLAG_APPEND : 0) | ((flags & O_SYNC) == O_SYNC ? FDFLAG_SYNC
                                                                       : flags & O_DSYNC          ? FDFLAG_DSYNC
                                                                                                  : 0));
    }
    self->base.fdflags = fdflags;
    return &self->base;
}

// SPDX-License-Identifier: Apache-2.0
// The table of descriptors, and what can be done with a number alone: close, renumber, flags and rights, what mounts there are.

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "internal.h"

enum {
    FILE_RIGHTS = RIGHT_FD_DATASYNC | RIGHT_FD_READ | RIGHT_FD_SEEK | RIGHT_FD_FDSTAT_SET_FLAGS | RIGHT_FD_SYNC |
                  RIGHT_FD_TELL | RIGHT_FD_WRITE | RIGHT_FD_ADVISE | RIGHT_FD_ALLOCATE | RIGHT_FD_FILESTAT_GET |
                  RIGHT_FD_FILESTAT_SET_SIZE | RIGHT_FD_FILESTAT_SET_TIMES | RIGHT_POLL_FD_READWRITE,
    DIRECTORY_RIGHTS = RIGHT_FD_FDSTAT_SET_FLAGS | RIGHT_FD_SYNC | RIGHT_FD_ADVISE | RIGHT_PATH_CREATE_DIRECTORY |
                       RIGHT_PATH_CREATE_FILE | RIGHT_PATH_LINK_SOURCE | RIGHT_PATH_LINK_TARGET | RIGHT_PATH_OPEN |
                       RIGHT_FD_READDIR | RIGHT_PATH_READLINK | RIGHT_PATH_RENAME_SOURCE | RIGHT_PATH_RENAME_TARGET |
                       RIGHT_PATH_FILESTAT_GET | RIGHT_PATH_FILESTAT_SET_SIZE | RIGHT_PATH_FILESTAT_SET_TIMES |
                       RIGHT_FD_FILESTAT_GET | RIGHT_FD_FILESTAT_SET_TIMES | RIGHT_PATH_SYMLINK |
                       RIGHT_PATH_REMOVE_DIRECTORY | RIGHT_PATH_UNLINK_FILE | RIGHT_POLL_FD_READWRITE,
    CHANGING_RIGHTS = RIGHT_FD_WRITE | RIGHT_FD_ALLOCATE | RIGHT_PATH_CREATE_DIRECTORY | RIGHT_PATH_CREATE_FILE |
                      RIGHT_PATH_LINK_SOURCE | RIGHT_PATH_LINK_TARGET | RIGHT_PATH_RENAME_SOURCE | RIGHT_PATH_RENAME_TARGET |
                      RIGHT_PATH_FILESTAT_SET_SIZE | RIGHT_PATH_FILESTAT_SET_TIMES | RIGHT_FD_FILESTAT_SET_SIZE |
                      RIGHT_FD_FILESTAT_SET_TIMES | RIGHT_PATH_SYMLINK | RIGHT_PATH_REMOVE_DIRECTORY | RIGHT_PATH_UNLINK_FILE,
};

int wasi_error(int host_errno)
{
    switch (host_errno) {
    case E2BIG: return WASI_E2BIG;
    case EACCES: return WASI_EACCES;
    case EAGAIN: return WASI_EAGAIN;
    case EBADF: return WASI_EBADF;
    case EBUSY: return WASI_EBUSY;
    case EEXIST: return WASI_EEXIST;
    case EFAULT: return WASI_EFAULT;
    case EFBIG: return WASI_EFBIG;
    case EILSEQ: return WASI_EILSEQ;
    case EINTR: return WASI_EINTR;
    case EINVAL: return WASI_EINVAL;
    case EISDIR: return WASI_EISDIR;
    case ELOOP: return WASI_ELOOP;
    case EMFILE: return WASI_EMFILE;
    case EMLINK: return WASI_EMLINK;
    case ENAMETOOLONG: return WASI_ENAMETOOLONG;
    case ENFILE: return WASI_ENFILE;
    case ENODEV: return WASI_ENODEV;
    case ENOENT: return WASI_ENOENT;
    case ENOMEM: return WASI_ENOMEM;
    case ENOSPC: return WASI_ENOSPC;
    case ENOSYS: return WASI_ENOSYS;
    case ENOTDIR: return WASI_ENOTDIR;
    case ENOTEMPTY: return WASI_ENOTEMPTY;
    case ENOTSUP: return WASI_ENOTSUP;
    case ENOTTY: return WASI_ENOTTY;
    case ENXIO: return WASI_ENXIO;
    case EOVERFLOW: return WASI_EOVERFLOW;
    case EPERM: return WASI_EPERM;
    case EPIPE: return WASI_EPIPE;
    case ERANGE: return WASI_ERANGE;
    case EROFS: return WASI_EROFS;
    case ESPIPE: return WASI_ESPIPE;
    case ETIMEDOUT: return WASI_ETIMEDOUT;
    case ETXTBSY: return WASI_ETXTBSY;
    case EXDEV: return WASI_EXDEV;
    default: return WASI_EIO;
    }
}

// --- the table -----------------------------------------------------------------------------------------------

wasi_descriptor *descriptor_get(aw_wasi *wasi, uint32_t number)
{
    return number < wasi->descriptor_count && wasi->descriptors[number].kind != WASI_CLOSED ? &wasi->descriptors[number]
                                                                                          : NULL;
}

int descriptor_new(aw_wasi *wasi, uint32_t *number)
{
    for (uint32_t i = 0; i < wasi->descriptor_count; i++) {
        if (wasi->descriptors[i].kind == WASI_CLOSED) {
            *number = i;
            wasi->descriptors[i] = (wasi_descriptor){.host = -1};
            return WASI_OK;
        }
    }
    if (wasi->descriptor_count >= WASI_DESCRIPTORS) {
        return WASI_EMFILE;
    }
    wasi_descriptor *descriptors = realloc(wasi->descriptors, (wasi->descriptor_count + 1) * sizeof(*descriptors));
    if (descriptors == NULL) {
        return WASI_ENOMEM;
    }
    wasi->descriptors = descriptors;
    *number = wasi->descriptor_count++;
    wasi->descriptors[*number] = (wasi_descriptor){.host = -1};
    return WASI_OK;
}

void descriptor_forget_listing(wasi_descriptor *descriptor)
{
    for (size_t i = 0; i < descriptor->entry_count; i++) {
        free(descriptor->entries[i].name);
    }
    free(descriptor->entries);
    descriptor->entries = NULL;
    descriptor->entry_count = 0;
}

void descriptor_close(wasi_descriptor *descriptor)
{
    descriptor_forget_listing(descriptor);
    if (descriptor->host >= 0) {
        close(descriptor->host);
    }
    free(descriptor->mount);
    *descriptor = (wasi_descriptor){.host = -1};
}

static int descriptor_add(aw_wasi *wasi, const wasi_descriptor *descriptor)
{
    uint32_t number;
    if (descriptor_new(wasi, &number) != WASI_OK) {
        return -1;
    }
    wasi->descriptors[number] = *descriptor;
    return 0;
}

int aw_wasi_add_null(aw_wasi *wasi)
{
    return descriptor_add(wasi, &(wasi_descriptor){.kind = WASI_NULL, .host = -1,
                                                  .rights = RIGHT_FD_READ | RIGHT_FD_WRITE | RIGHT_FD_FILESTAT_GET |
                                                            RIGHT_POLL_FD_READWRITE});
}

int aw_wasi_add_file(aw_wasi *wasi, int host_descriptor)
{
    struct stat info;
    uint64_t rights = FILE_RIGHTS;
    if (fstat(host_descriptor, &info) == 0 && !S_ISREG(info.st_mode)) {
        rights &= ~(uint64_t)(RIGHT_FD_SEEK | RIGHT_FD_TELL);  // so that a guest's isatty() can say yes
    }
    return descriptor_add(wasi, &(wasi_descriptor){.kind = WASI_FILE, .host = host_descriptor, .shared = true, .writable = true, .rights = rights});
}

int aw_wasi_add_stream(aw_wasi *wasi, const aw_wasi_stream *stream)
{
    uint64_t rights = (stream->read != NULL ? RIGHT_FD_READ : 0) | (stream->write != NULL ? RIGHT_FD_WRITE : 0) |
                      RIGHT_FD_FILESTAT_GET | RIGHT_POLL_FD_READWRITE;
    return descriptor_add(wasi, &(wasi_descriptor){.kind = WASI_STREAM, .host = -1, .stream = *stream, .rights = rights});
}

int aw_wasi_add_directory(aw_wasi *wasi, int host_descriptor, const char *name, size_t name_length, bool writable)
{
    char *copy = malloc(name_length + 1);
    if (copy == NULL) {
        return -1;
    }
    memcpy(copy, name, name_length);
    copy[name_length] = '\0';
    uint64_t mask = writable ? UINT64_MAX : ~(uint64_t)CHANGING_RIGHTS;
    wasi_descriptor descriptor = {.kind = WASI_DIRECTORY, .host = host_descriptor, .writable = writable,
                                  .mount = copy, .mount_length = (uint32_t)name_length,
                                  .rights = DIRECTORY_RIGHTS & mask, .inheriting = (FILE_RIGHTS | DIRECTORY_RIGHTS) & mask};
    if (descriptor_add(wasi, &descriptor) < 0) {
        free(copy);
        return -1;
    }
    return 0;
}

uint8_t filetype_of(mode_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFREG: return FILETYPE_REGULAR_FILE;
    case S_IFDIR: return FILETYPE_DIRECTORY;
    case S_IFLNK: return FILETYPE_SYMBOLIC_LINK;
    case S_IFCHR: return FILETYPE_CHARACTER_DEVICE;
    case S_IFBLK: return FILETYPE_BLOCK_DEVICE;
    case S_IFSOCK: return FILETYPE_SOCKET_STREAM;
    default: return FILETYPE_UNKNOWN;  // pipes have no type of their own
    }
}

// --- by number -------------------------------------------------------------------------------------------------

int wasi_fd_close(wasi_call *call, const aw_raw *arguments)
{
    wasi_descriptor *descriptor = descriptor_get(call->wasi, u32(&arguments[0]));
    if (descriptor == NULL) {
        return WASI_EBADF;
    }
    descriptor_close(descriptor);
    return WASI_OK;
}

// *from* becomes *to*, which must be open and is closed.
int wasi_fd_renumber(wasi_call *call, const aw_raw *arguments)
{
    wasi_descriptor *from = descriptor_get(call->wasi, u32(&arguments[0]));
    wasi_descriptor *to = descriptor_get(call->wasi, u32(&arguments[1]));
    if (from == NULL || to == NULL) {
        return WASI_EBADF;
    }
    if (from != to) {
        descriptor_close(to);
        *to = *from;
        *from = (wasi_descriptor){.host = -1};
    }
    return WASI_OK;
}

static uint16_t fdflags_of(const wasi_descriptor *descriptor)
{
    if (descriptor->kind != WASI_FILE) {
        return descriptor->fdflags;
    }
    int flags = fcntl(descriptor->host, F_GETFL);
    if (flags < 0) {
        return descriptor->fdflags;
    }
    return (uint16_t)((flags & O_APPEND ? FDFLAG_APPEND : 0) | (flags & O_NONBLOCK ? FDFLAG_NONBLOCK : 0) |
                      ((flags & O_SYNC) == O_SYNC ? FDFLAG_SYNC : flags & O_DSYNC ? FDFLAG_DSYNC : 0));
}

int wasi_fd_fdstat_get(wasi_call *call, const aw_raw *arguments)
{
    const wasi_descriptor *descriptor = descriptor_get(call->wasi, u32(&arguments[0]));
    uint8_t *out = guest_bytes(call, u32(&arguments[1]), 24);
    if (descriptor == NULL) {
        return WASI_EBADF;
    }
    if (out == NULL) {
        return WASI_EFAULT;
    }
    uint8_t type = FILETYPE_UNKNOWN;
    struct stat info;
    if (descriptor->kind == WASI_DIRECTORY) {
        type = FILETYPE_DIRECTORY;
    }
    else if (descriptor->kind == WASI_NULL) {
        type = FILETYPE_CHARACTER_DEVICE;
    }
    else if (descriptor->kind == WASI_FILE) {
        if (fstat(descriptor->host, &info) < 0) {
            return wasi_errno();
        }
        type = filetype_of(info.st_mode);
    }
    uint16_t flags = fdflags_of(descriptor);
    uint64_t rights = descriptor->rights;
    if (descriptor->kind == WASI_NULL) {
        rights |= RIGHT_FD_SEEK;  // a character device that seeks is no terminal
    }
    memset(out, 0, 24);
    out[0] = type;
    memcpy(out + 2, &flags, 2);
    memcpy(out + 8, &rights, 8);
    memcpy(out + 16, &descriptor->inheriting, 8);
    return WASI_OK;
}

int wasi_fd_fdstat_set_flags(wasi_call *call, const aw_raw *arguments)
{
    wasi_descriptor *descriptor = descriptor_get(call->wasi, u32(&arguments[0]));
    uint32_t flags = u32(&arguments[1]);
    if (descriptor == NULL) {
        return WASI_EBADF;
    }
    if (descriptor->kind != WASI_FILE) {
        descriptor->fdflags = (uint16_t)flags;
        return WASI_OK;
    }
    if (descriptor->shared) {
        return WASI_ENOTSUP;  // whoever else has the file open would meet the change
    }
    int host = fcntl(descriptor->host, F_GETFL);
    if (host < 0) {
        return wasi_errno();
    }
    host = (host & ~(O_APPEND | O_NONBLOCK)) | (flags & FDFLAG_APPEND ? O_APPEND : 0) |
           (flags & FDFLAG_NONBLOCK ? O_NONBLOCK : 0);
    return fcntl(descriptor->host, F_SETFL, host) < 0 ? wasi_errno() : WASI_OK;
}

// Rights can be given away, never gained.
int wasi_fd_fdstat_set_rights(wasi_call *call, const aw_raw *arguments)
{
    wasi_descriptor *descriptor = descriptor_get(call->wasi, u32(&arguments[0]));
    if (descriptor == NULL) {
        return WASI_EBADF;
    }
    uint64_t rights = u64(&arguments[1]), inheriting = u64(&arguments[2]);
    if ((rights & ~descriptor->rights) != 0 || (inheriting & ~descriptor->inheriting) != 0) {
        return WASI_ENOTCAPABLE;
    }
    descriptor->rights = rights;
    descriptor->inheriting = inheriting;
    return WASI_OK;
}

int wasi_fd_prestat_get(wasi_call *call, const aw_raw *arguments)
{
    const wasi_descriptor *descriptor = descriptor_get(call->wasi, u32(&arguments[0]));
    if (descriptor == NULL || descriptor->mount == NULL) {
        return WASI_EBADF;
    }
    uint32_t out[2] = {0, descriptor->mount_length};  // 0: a directory
    return guest_store(call, u32(&arguments[1]), out, sizeof(out)) ? WASI_OK : WASI_EFAULT;
}

int wasi_fd_prestat_dir_name(wasi_call *call, const aw_raw *arguments)
{
    const wasi_descriptor *descriptor = descriptor_get(call->wasi, u32(&arguments[0]));
    if (descriptor == NULL || descriptor->mount == NULL) {
        return WASI_EBADF;
    }
    if (u32(&arguments[2]) < descriptor->mount_length) {
        return WASI_ENAMETOOLONG;
    }
    return guest_store(call, u32(&arguments[1]), descriptor->mount, descriptor->mount_length) ? WASI_OK : WASI_EFAULT;
}

// SPDX-License-Identifier: Apache-2.0
// Reading, writing and the rest of what is done with an open descriptor.

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include "internal.h"

// --- vectors of the guest's ----------------------------------------------------------------------------------

enum { MOST_VECTORS = 1024 };  // as IOV_MAX; the rest is a shorter read or write, which every program expects
_Static_assert(MOST_VECTORS <= IOV_MAX, "the host takes them at once");

// The guest's vectors as the host's, pointing into its memory: their number, or -errno.
static int vectors_get(const wasi_call *call, uint32_t pointer, uint32_t count, struct iovec *out)
{
    if (count > MOST_VECTORS) {
        count = MOST_VECTORS;
    }
    const uint8_t *vectors = guest_bytes(call, pointer, (uint64_t)count * 8);
    if (vectors == NULL) {
        return -WASI_EFAULT;
    }
    size_t total = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t words[2];
        memcpy(words, vectors + 8 * (size_t)i, 8);
        uint8_t *bytes = guest_bytes(call, words[0], words[1]);
        if (bytes == NULL) {
            return -WASI_EFAULT;
        }
        if (words[1] > INT32_MAX - total) {
            words[1] = (uint32_t)(INT32_MAX - total);
        }
        total += words[1];
        out[i] = (struct iovec){.iov_base = bytes, .iov_len = words[1]};
    }
    return (int)count;
}

// A stream of the embedder's takes and gives one vector at a time, until one is cut short.
static int stream_transfer(wasi_call *call, const aw_wasi_stream *stream, bool reads, const struct iovec *vectors, int count,
                           size_t *total)
{
    *total = 0;
    for (int i = 0; i < count; i++) {
        size_t length = vectors[i].iov_len, done = 0;
        if (length == 0) {
            continue;
        }
        int error = reads ? stream->read(stream->data, vectors[i].iov_base, length, &done)
                          : stream->write(stream->data, vectors[i].iov_base, length, &done);
        call_refresh(call);
        if (error != WASI_OK) {
            return error < 0 || *total == 0 ? error : WASI_OK;
        }
        *total += done;
        if (done < length) {
            break;
        }
    }
    return WASI_OK;
}

// fd_read, fd_write, fd_pread, fd_pwrite. *offset* is -1 for the descriptor's own position.
static int transfer(wasi_call *call, const aw_raw *arguments, bool reads, int64_t offset, uint32_t result)
{
    struct iovec vectors[MOST_VECTORS];
    wasi_descriptor *descriptor = descriptor_get(call->wasi, u32(&arguments[0]));
    if (descriptor == NULL) {
        return WASI_EBADF;
    }
    if (descriptor->kind == WASI_DIRECTORY) {
        return reads ? WASI_EISDIR : WASI_EBADF;
    }
    int count = vectors_get(call, u32(&arguments[1]), u32(&arguments[2]), vectors);
    if (count < 0) {
        return -count;
    }
    if (guest_bytes(call, result, 4) == NULL) {
        return WASI_EFAULT;
    }
    size_t total = 0;
    int error = WASI_OK;
    if (descriptor->kind == WASI_NULL || descriptor->kind == WASI_STREAM) {
        if (offset >= 0) {
            return WASI_ESPIPE;
        }
        if (descriptor->kind == WASI_STREAM) {
            if ((reads ? (void *)descriptor->stream.read : (void *)descriptor->stream.write) == NULL) {
                return WASI_EBADF;
            }
            aw_wasi_stream stream = descriptor->stream;
            error = stream_transfer(call, &stream, reads, vectors, count, &total);
        }
        else if (!reads) {
            for (int i = 0; i < count; i++) {
                total += vectors[i].iov_len;
            }
        }
    }
    else {
        ssize_t done;
        for (;;) {
            done = offset >= 0 ? (reads ? preadv(descriptor->host, vectors, count, offset)
                                        : pwritev(descriptor->host, vectors, count, offset))
                               : (reads ? readv(descriptor->host, vectors, count) : writev(descriptor->host, vectors, count));
            if (done >= 0 || errno != EINTR) {
                break;
            }
            if (wasi_signalled(call->wasi) < 0) {
                return WASI_RAISED;
            }
        }
        error = done < 0 ? wasi_errno() : WASI_OK;
        total = done < 0 ? 0 : (size_t)done;
    }
    uint32_t told = (uint32_t)total;
    if (error == WASI_OK && !guest_store(call, result, &told, 4)) {
        error = WASI_EFAULT;
    }
    return error;
}

int wasi_fd_read(wasi_call *call, const aw_raw *arguments)
{
    return transfer(call, arguments, true, -1, u32(&arguments[3]));
}

int wasi_fd_write(wasi_call *call, const aw_raw *arguments)
{
    return transfer(call, arguments, false, -1, u32(&arguments[3]));
}

int wasi_fd_pread(wasi_call *call, const aw_raw *arguments)
{
    int64_t offset = arguments[3].i64;
    return offset < 0 ? WASI_EINVAL : transfer(call, arguments, true, offset, u32(&arguments[4]));
}

int wasi_fd_pwrite(wasi_call *call, const aw_raw *arguments)
{
    int64_t offset = arguments[3].i64;
    return offset < 0 ? WASI_EINVAL : transfer(call, arguments, false, offset, u32(&arguments[4]));
}

// --- position and size ---------------------------------------------------------------------------------------------

// A file of the host's: 0 or an errno.
static int file_get(wasi_call *call, const aw_raw *number, wasi_descriptor **out)
{
    *out = descriptor_get(call->wasi, u32(number));
    if (*out == NULL) {
        return WASI_EBADF;
    }
    switch ((*out)->kind) {
    case WASI_FILE:
        return WASI_OK;
    case WASI_DIRECTORY:
        return WASI_EISDIR;
    default:
        return WASI_ESPIPE;
    }
}

static int seek(wasi_call *call, const aw_raw *number, int64_t offset, uint32_t whence, uint32_t result)
{
    static const int whences[] = {SEEK_SET, SEEK_CUR, SEEK_END};
    wasi_descriptor *file;
    int error = file_get(call, number, &file);
    if (error != WASI_OK) {
        return error == WASI_EISDIR ? WASI_EBADF : error;
    }
    if (whence > 2) {
        return WASI_EINVAL;
    }
    if (guest_bytes(call, result, 8) == NULL) {
        return WASI_EFAULT;
    }
    off_t place = lseek(file->host, offset, whences[whence]);
    if (place < 0) {
        return wasi_errno();
    }
    uint64_t told = (uint64_t)place;
    guest_store(call, result, &told, 8);
    return WASI_OK;
}

int wasi_fd_seek(wasi_call *call, const aw_raw *arguments)
{
    return seek(call, &arguments[0], arguments[1].i64, u32(&arguments[2]), u32(&arguments[3]));
}

int wasi_fd_tell(wasi_call *call, const aw_raw *arguments)
{
    return seek(call, &arguments[0], 0, 1, u32(&arguments[1]));
}

int wasi_fd_filestat_set_size(wasi_call *call, const aw_raw *arguments)
{
    wasi_descriptor *file;
    int error = file_get(call, &arguments[0], &file);
    if (error != WASI_OK) {
        return error;
    }
    if (!file->writable) {
        return WASI_EROFS;
    }
    if (arguments[1].i64 < 0) {
        return WASI_EINVAL;
    }
    return ftruncate(file->host, arguments[1].i64) < 0 ? wasi_errno() : WASI_OK;
}

int wasi_fd_allocate(wasi_call *call, const aw_raw *arguments)
{
    wasi_descriptor *file;
    int error = file_get(call, &arguments[0], &file);
    if (error != WASI_OK) {
        return error;
    }
    if (!file->writable) {
        return WASI_EROFS;
    }
    if (arguments[1].i64 < 0 || arguments[2].i64 <= 0) {
        return WASI_EINVAL;
    }
    int result = posix_fallocate(file->host, arguments[1].i64, arguments[2].i64);
    return result == 0 ? WASI_OK : wasi_error(result);
}

int wasi_fd_advise(wasi_call *call, const aw_raw *arguments)
{
    static const int advices[] = {POSIX_FADV_NORMAL,   POSIX_FADV_SEQUENTIAL, POSIX_FADV_RANDOM,
                                  POSIX_FADV_WILLNEED, POSIX_FADV_DONTNEED,   POSIX_FADV_NOREUSE};
    wasi_descriptor *file;
    int error = file_get(call, &arguments[0], &file);
    if (error != WASI_OK) {
        return error;
    }
    if (u32(&arguments[3]) > 5 || arguments[1].i64 < 0 || arguments[2].i64 < 0) {
        return WASI_EINVAL;
    }
    int result = posix_fadvise(file->host, arguments[1].i64, arguments[2].i64, advices[u32(&arguments[3])]);
    return result == 0 ? WASI_OK : wasi_error(result);
}

static int synchronise(wasi_call *call, const aw_raw *arguments, int (*how)(int))
{
    const wasi_descriptor *descriptor = descriptor_get(call->wasi, u32(&arguments[0]));
    if (descriptor == NULL) {
        return WASI_EBADF;
    }
    if (descriptor->kind != WASI_FILE && descriptor->kind != WASI_DIRECTORY) {
        return WASI_OK;
    }
    return how(descriptor->host) < 0 ? wasi_errno() : WASI_OK;
}

int wasi_fd_sync(wasi_call *call, const aw_raw *arguments)
{
    return synchronise(call, arguments, fsync);
}

int wasi_fd_datasync(wasi_call *call, const aw_raw *arguments)
{
    return synchronise(call, arguments, fdatasync);
}

// --- listings -----------------------------------------------------------------------------------------------------

// The whole listing at once, when the guest begins at its start: a cookie is then a place in it, and what is made or removed
// meanwhile confuses nobody. 0 or an errno.
static int listing_read(wasi_descriptor *directory)
{
    descriptor_forget_listing(directory);
    // A description of its own: the descriptor's may be shared, and has one position.
    int copy = openat(directory->host, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *stream = copy >= 0 ? fdopendir(copy) : NULL;
    if (stream == NULL) {
        int error = wasi_errno();
        if (copy >= 0) {
            close(copy);
        }
        return error;
    }
    int error = WASI_OK;
    size_t capacity = 0;
    for (;;) {
        errno = 0;
        struct dirent *entry = readdir(stream);
        if (entry == NULL) {
            error = errno != 0 ? wasi_errno() : WASI_OK;
            break;
        }
        if (directory->entry_count == capacity) {
            capacity = capacity == 0 ? 32 : 2 * capacity;
            wasi_entry *entries = realloc(directory->entries, capacity * sizeof(*entries));
            if (entries == NULL) {
                error = WASI_ENOMEM;
                break;
            }
            directory->entries = entries;
        }
        char *name = strdup(entry->d_name);
        if (name == NULL) {
            error = WASI_ENOMEM;
            break;
        }
        // DT_ numbers are those of the mode, shifted; file systems that tell none are asked.
        mode_t mode = (mode_t)DTTOIF(entry->d_type);
        struct stat info;
        if (entry->d_type == DT_UNKNOWN && fstatat(dirfd(stream), name, &info, AT_SYMLINK_NOFOLLOW) == 0) {
            mode = info.st_mode;
        }
        // The parent of a mount's root is none of the guest's business, and its number would tell.
        bool outside = directory->mount != NULL && strcmp(name, "..") == 0;
        directory->entries[directory->entry_count++] = (wasi_entry){.inode = outside ? 0 : entry->d_ino,
                                                                    .filetype = filetype_of(mode), .name = name,
                                                                    .name_length = (uint32_t)strlen(name)};
    }
    closedir(stream);
    if (error != WASI_OK) {
        descriptor_forget_listing(directory);
    }
    return error;
}

int wasi_fd_readdir(wasi_call *call, const aw_raw *arguments)
{
    wasi_descriptor *directory = descriptor_get(call->wasi, u32(&arguments[0]));
    uint32_t room = u32(&arguments[2]), used = 0;
    uint64_t cookie = u64(&arguments[3]);
    uint8_t *out = guest_bytes(call, u32(&arguments[1]), room);
    if (directory == NULL) {
        return WASI_EBADF;
    }
    if (directory->kind != WASI_DIRECTORY) {
        return WASI_ENOTDIR;
    }
    if (out == NULL || guest_bytes(call, u32(&arguments[4]), 4) == NULL) {
        return WASI_EFAULT;
    }
    if (cookie == 0 || directory->entries == NULL) {
        int error = listing_read(directory);
        if (error != WASI_OK) {
            return error;
        }
    }
    // An entry that does not fit is cut: a full buffer is how the guest knows that there is more.
    for (uint64_t i = cookie; i < directory->entry_count && used < room; i++) {
        const wasi_entry *entry = &directory->entries[i];
        uint8_t head[24] = {0};
        uint64_t next = i + 1;
        memcpy(head, &next, 8);
        memcpy(head + 8, &entry->inode, 8);
        memcpy(head + 16, &entry->name_length, 4);
        head[20] = entry->filetype;
        uint32_t part = room - used < 24 ? room - used : 24;
        memcpy(out + used, head, part);
        used += part;
        part = room - used < entry->name_length ? room - used : entry->name_length;
        memcpy(out + used, entry->name, part);
        used += part;
    }
    guest_store(call, u32(&arguments[4]), &used, 4);
    return WASI_OK;
}

// SPDX-License-Identifier: Apache-2.0
// Reading, writing and listing, of whatever kind the file is: fd_read, fd_write, fd_pread, fd_pwrite, fd_readdir.

#include <limits.h>
#include <stdlib.h>

#include "internal.h"

// --- vectors of the guest's ----------------------------------------------------------------------------------

_Static_assert(MOST_VECTORS <= IOV_MAX, "the host takes them at once");

int vectors_get(const wasi_call *call, uint32_t pointer, uint32_t count, struct iovec out[MOST_VECTORS])
{
    const uint8_t *vectors = guest_bytes(call, pointer, (uint64_t)count * 8);
    if (vectors == NULL) {
        return -WASI_EFAULT;
    }
    if (count > MOST_VECTORS) {
        count = MOST_VECTORS;
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

static bool vectors_are_empty(const struct iovec *vectors, int count)
{
    for (int i = 0; i < count; i++) {
        if (vectors[i].iov_len > 0) {
            return false;
        }
    }
    return true;
}

// Write to a file that counts: what is still allowed, and then it is over, one way or the other.
static int write_counted(wasi_call *call, wasi_file *file, struct iovec *vectors, int count, int64_t offset,
                         size_t *done)
{
    aw_wasi *wasi = call->wasi;
    uint64_t left = wasi->output.allowed - wasi->output.used, total = 0;
    int fitting = 0;  // vectors, the last of them cut
    for (int i = 0; i < count; i++) {
        uint64_t length = vectors[i].iov_len;
        if (total < left) {
            fitting = i + 1;
            vectors[i].iov_len = length < left - total ? length : (size_t)(left - total);
        }
        total += length;
    }
    if (fitting > 0 || total <= left) {
        int error = file->kind->write(call, file, vectors, total <= left ? count : fitting, offset, done);
        wasi->output.used += error == WASI_OK ? *done : 0;
        if (error != WASI_OK || total <= left || *done < left) {
            return error;
        }
    }
    if (!wasi->output.truncate) {
        return wasi->host.output_exceeded(wasi->host.data, wasi->output.used + total - left, wasi->output.allowed);
    }
    wasi->output.dropped += total - left;
    *done = (size_t)total;
    return WASI_OK;
}

// All four. *at* is NULL for the file's own position.
static int transfer(wasi_call *call, const aw_raw *arguments, bool reads, const aw_raw *at, uint32_t result)
{
    int64_t offset = at != NULL ? at->i64 : -1;
    struct iovec vectors[MOST_VECTORS];
    wasi_descriptor *descriptor;
    uint64_t right = (reads ? RIGHT_FD_READ : RIGHT_FD_WRITE) | (at != NULL ? RIGHT_FD_SEEK : 0);
    int error = descriptor_get(call->wasi, &arguments[0], right, &descriptor);
    if (error != WASI_OK) {
        return error;
    }
    wasi_file *file = descriptor->file;
    int (*function)(wasi_call *, wasi_file *, struct iovec *, int, int64_t, size_t *) = reads ? file->kind->read
                                                                                              : file->kind->write;
    // What is not open for that is not waited for either.
    if (function == NULL || (file->rights & (reads ? RIGHT_FD_READ : RIGHT_FD_WRITE)) == 0) {
        return reads && file->filetype == FILETYPE_DIRECTORY ? WASI_EISDIR : WASI_EBADF;
    }
    if (at != NULL && offset < 0) {
        return WASI_EINVAL;
    }
    int count = vectors_get(call, u32(&arguments[1]), u32(&arguments[2]), vectors);
    if (count < 0) {
        return -count;
    }
    if (guest_bytes(call, result, 4) == NULL) {
        return WASI_EFAULT;
    }
    size_t done = 0;
    if (offset < 0 && vectors_are_empty(vectors, count)) {
        return guest_store(call, result, &(uint32_t){0}, 4) ? WASI_OK : WASI_EFAULT;  // without waiting
    }
    file->references++;  // the embedder's code may let the guest close it
    error = !reads && file->counted ? write_counted(call, file, vectors, count, offset, &done)
                                    : function(call, file, vectors, count, offset, &done);
    file_release(file);
    uint32_t told = (uint32_t)done;
    return error != WASI_OK || guest_store(call, result, &told, 4) ? error : WASI_EFAULT;
}

int wasi_fd_read(wasi_call *call, const aw_raw *arguments)
{
    return transfer(call, arguments, true, NULL, u32(&arguments[3]));
}

int wasi_fd_write(wasi_call *call, const aw_raw *arguments)
{
    return transfer(call, arguments, false, NULL, u32(&arguments[3]));
}

int wasi_fd_pread(wasi_call *call, const aw_raw *arguments)
{
    return transfer(call, arguments, true, &arguments[3], u32(&arguments[4]));
}

int wasi_fd_pwrite(wasi_call *call, const aw_raw *arguments)
{
    return transfer(call, arguments, false, &arguments[3], u32(&arguments[4]));
}

// --- listings -----------------------------------------------------------------------------------------------------

void listing_free(wasi_listing *self)
{
    free(self->bytes);
    free(self->offsets);
    *self = (wasi_listing){.bytes = NULL};
}

int listing_add(wasi_listing *self, const char *name, uint64_t inode, uint8_t filetype)
{
    enum { HEAD = 24 };
    uint32_t length = (uint32_t)strlen(name);
    if (self->count == self->offset_capacity) {
        size_t capacity = self->offset_capacity == 0 ? 32 : 2 * self->offset_capacity;
        size_t *offsets = realloc(self->offsets, capacity * sizeof(*offsets));
        if (offsets == NULL) {
            return WASI_ENOMEM;
        }
        self->offsets = offsets;
        self->offset_capacity = capacity;
    }
    if (self->capacity - self->size < HEAD + (size_t)length) {
        size_t capacity = 2 * self->capacity + HEAD + length;
        uint8_t *bytes = realloc(self->bytes, capacity);
        if (bytes == NULL) {
            return WASI_ENOMEM;
        }
        self->bytes = bytes;
        self->capacity = capacity;
    }
    uint8_t *out = self->bytes + self->size;
    self->offsets[self->count++] = self->size;
    uint64_t next = self->count;  // the cookie of what follows
    memset(out, 0, HEAD);
    memcpy(out, &next, 8);
    memcpy(out + 8, &inode, 8);
    memcpy(out + 16, &length, 4);
    out[20] = filetype;
    memcpy(out + HEAD, name, length);
    self->size += HEAD + (size_t)length;
    return WASI_OK;
}

// What programs keep of directories that they have read in part is bounded: beyond that it is dropped, and listed anew.
static void listings_bound(aw_wasi *wasi)
{
    enum { MOST = 16 << 20 };  // bytes, but for the newest
    size_t total = 0;
    for (uint32_t i = 0; i < wasi->descriptor_count; i++) {
        total += wasi->descriptors[i].listing.capacity;
    }
    for (uint32_t i = 0; total > MOST && i < wasi->descriptor_count; i++) {
        listing_free(&wasi->descriptors[i].listing);
    }
}

// The whole directory is listed at once, when the guest begins at its start: a cookie is then a place in that listing, and what is
// made or removed meanwhile confuses nobody.
int wasi_fd_readdir(wasi_call *call, const aw_raw *arguments)
{
    wasi_descriptor *descriptor;
    uint32_t room = u32(&arguments[2]);
    uint64_t cookie = u64(&arguments[3]);
    int error = descriptor_get(call->wasi, &arguments[0], RIGHT_FD_READDIR, &descriptor);
    if (error != WASI_OK) {
        return error;
    }
    uint8_t *out = guest_bytes(call, u32(&arguments[1]), room);
    if (out == NULL || guest_bytes(call, u32(&arguments[4]), 4) == NULL) {
        return WASI_EFAULT;
    }
    wasi_file *file = descriptor->file;
    if (file->kind->list == NULL) {
        return WASI_ENOTDIR;
    }
    wasi_listing *listing = &descriptor->listing;
    if (cookie == 0 || listing->bytes == NULL) {
        listing_free(listing);
        listings_bound(call->wasi);
        error = file->kind->list(file, listing);
        if (error != WASI_OK) {
            listing_free(listing);
            return error;
        }
        out = guest_bytes(call, u32(&arguments[1]), room);  // the embedder's code may have let the memory move
        if (out == NULL) {
            return WASI_EFAULT;
        }
    }
    // The last entry may be cut: a full buffer is how the guest knows that there is more.
    uint32_t used = 0;
    if (cookie < listing->count) {
        size_t start = listing->offsets[cookie], left = listing->size - start;
        used = left < room ? (uint32_t)left : room;
        memcpy(out, listing->bytes + start, used);
    }
    if (used < room) {
        listing_free(listing);  // the guest has seen all of it
    }
    guest_store(call, u32(&arguments[4]), &used, 4);
    return WASI_OK;
}

// SPDX-License-Identifier: Apache-2.0
// The two kinds of file that are none of the host's: nothing at all, and a stream of the embedder's.

#include <stdlib.h>

#include "internal.h"

static void plain_close(wasi_file *self)
{
    free(self);
}

static int plain_stat(wasi_file *self, wasi_filestat *out)
{
    *out = (wasi_filestat){.filetype = self->filetype, .links = 1};
    return WASI_OK;
}

// --- nothing: reads end at once, writes vanish -------------------------------------------------------------------

static int null_read(wasi_call *call, wasi_file *self, struct iovec *vectors, int count, int64_t offset, size_t *done)
{
    (void)call, (void)self, (void)vectors, (void)count, (void)offset;
    *done = 0;
    return WASI_OK;
}

static int null_write(wasi_call *call, wasi_file *self, struct iovec *vectors, int count, int64_t offset, size_t *done)
{
    (void)call, (void)self, (void)offset;
    *done = 0;
    for (int i = 0; i < count; i++) {
        *done += vectors[i].iov_len;
    }
    return WASI_OK;
}

static int null_seek(wasi_file *self, int64_t offset, int whence, uint64_t *place)
{
    (void)self, (void)offset, (void)whence;
    *place = 0;
    return WASI_OK;
}

static const wasi_kind null_kind = {
    .close = plain_close, .stat = plain_stat, .read = null_read, .write = null_write, .seek = null_seek};

wasi_file *null_file_new(void)
{
    wasi_file *self = malloc(sizeof(*self));
    if (self != NULL) {
        // As /dev/null: a character device that seeks, so that it is no terminal to isatty().
        file_begin(self, &null_kind, FILETYPE_CHARACTER_DEVICE, true, FILE_RIGHTS);
    }
    return self;
}

// --- the embedder's ----------------------------------------------------------------------------------------------

typedef struct stream_file {
    wasi_file base;
    aw_wasi_stream stream;
} stream_file;

// One vector at a time, until one is cut short. Each is found again in the guest's memory after the embedder's code, which may have
// let the guest grow it.
static int stream_transfer(wasi_call *call, stream_file *self, bool reads, const struct iovec *vectors, int count,
                           size_t *total)
{
    const uint8_t *memory = call->memory;
    *total = 0;
    for (int i = 0; i < count; i++) {
        size_t length = vectors[i].iov_len, done = 0;
        if (length == 0) {
            continue;
        }
        size_t place = (size_t)((const uint8_t *)vectors[i].iov_base - memory);
        const uint8_t *bytes = NULL;
        int error = reads ? self->stream.read(self->stream.data, length, &bytes, &done)
                          : self->stream.write(self->stream.data, call->memory + place, length, &done);
        call_refresh(call);
        if (error != WASI_OK) {
            return error < 0 || *total == 0 ? error : WASI_OK;
        }
        if (done > length || place > call->size || done > call->size - place) {
            return WASI_EIO;
        }
        if (reads && done > 0) {
            memcpy(call->memory + place, bytes, done);
        }
        *total += done;
        if (done < length) {
            break;
        }
    }
    return WASI_OK;
}

static int stream_read(wasi_call *call, wasi_file *self, struct iovec *vectors, int count, int64_t offset, size_t *done)
{
    return offset >= 0 ? WASI_ESPIPE : stream_transfer(call, (stream_file *)self, true, vectors, count, done);
}

static int stream_write(wasi_call *call, wasi_file *self, struct iovec *vectors, int count, int64_t offset,
                        size_t *done)
{
    return offset >= 0 ? WASI_ESPIPE : stream_transfer(call, (stream_file *)self, false, vectors, count, done);
}

static const wasi_kind input_kind = {.close = plain_close, .stat = plain_stat, .read = stream_read};
static const wasi_kind output_kind = {.close = plain_close, .stat = plain_stat, .write = stream_write};

wasi_file *stream_file_new(const aw_wasi_stream *stream)
{
    stream_file *self = malloc(sizeof(*self));
    if (self == NULL) {
        return NULL;
    }
    bool reads = stream->read != NULL;
    file_begin(&self->base, reads ? &input_kind : &output_kind, FILETYPE_UNKNOWN, !reads,
               (reads ? RIGHT_FD_READ : RIGHT_FD_WRITE) | RIGHT_FD_FDSTAT_SET_FLAGS | RIGHT_FD_FILESTAT_GET |
                   RIGHT_POLL_FD_READWRITE);
    self->stream = *stream;
    return &self->base;
}

// SPDX-License-Identifier: Apache-2.0
// The table of descriptors, and all that is done with a number but reading and writing: close, renumber, flags, rights, size,
// times, position, what mounts there are.

#include <stdlib.h>
#include <unistd.h>

#include "internal.h"

// --- files, of any kind ------------------------------------------------------------------------------------------

void file_begin(wasi_file *self, const wasi_kind *kind, uint8_t filetype, bool writable, uint64_t rights)
{
    *self = (wasi_file){.kind = kind, .references = 1, .filetype = filetype, .writable = writable, .rights = rights};
}

void file_release(wasi_file *self)
{
    if (--self->references == 0) {
        self->kind->close(self);
    }
}

// --- the table -----------------------------------------------------------------------------------------------

int descriptor_get(aw_wasi *wasi, const aw_raw *number, uint64_t right, wasi_descriptor **out)
{
    uint32_t index = u32(number);
    if (wasi->embedder > 0) {
        return WASI_EBUSY;  // what is open is in use
    }
    if (index >= wasi->descriptor_count || wasi->descriptors[index].file == NULL) {
        return WASI_EBADF;
    }
    *out = &wasi->descriptors[index];
    // A right that the file never had is the file's to refuse; this is one that the program gave away, or never asked for.
    return (right & (*out)->file->rights & ~(*out)->rights) != 0 ? WASI_ENOTCAPABLE : WASI_OK;
}

int descriptor_add(aw_wasi *wasi, wasi_file *file, uint64_t rights, uint64_t inheriting, uint32_t *number)
{
    uint32_t index = 0;
    while (index < wasi->descriptor_count && wasi->descriptors[index].file != NULL) {
        index++;
    }
    if (index == wasi->descriptor_count) {
        wasi_descriptor *descriptors = NULL;
        if (index < WASI_DESCRIPTORS) {
            descriptors = realloc(wasi->descriptors, (index + 1) * sizeof(*descriptors));
        }
        if (descriptors == NULL) {
            file_release(file);
            return index < WASI_DESCRIPTORS ? WASI_ENOMEM : WASI_EMFILE;
        }
        wasi->descriptors = descriptors;
        wasi->descriptor_count++;
    }
    wasi->descriptors[index] = (wasi_descriptor){.file = file, .rights = rights, .inheriting = inheriting};
    *number = index;
    return WASI_OK;
}

bool descriptors_have_room(const aw_wasi *wasi)
{
    for (uint32_t i = 0; i < wasi->descriptor_count; i++) {
        if (wasi->descriptors[i].file == NULL) {
            return true;
        }
    }
    return wasi->descriptor_count < WASI_DESCRIPTORS;
}

static void descriptor_close(wasi_descriptor *self)
{
    wasi_descriptor closed = *self;
    *self = (wasi_descriptor){.file = NULL};
    if (closed.file != NULL) {
        listing_free(&closed.listing);
        free(closed.mount);
        file_release(closed.file);
    }
}

void descriptors_close(aw_wasi *wasi)
{
    for (uint32_t i = 0; i < wasi->descriptor_count; i++) {
        descriptor_close(&wasi->descriptors[i]);
    }
    free(wasi->descriptors);
    wasi->descriptors = NULL;
    wasi->descriptor_count = 0;
}

void aw_wasi_close(aw_wasi *wasi)
{
    descriptors_close(wasi);
}

// --- what the embedder opens ------------------------------------------------------------------------------------

static int add_given(aw_wasi *wasi, wasi_file *file)
{
    uint32_t number;
    return file != NULL && descriptor_add(wasi, file, file->rights, 0, &number) == WASI_OK ? 0 : -1;
}

int aw_wasi_add_null(aw_wasi *wasi)
{
    return add_given(wasi, null_file_new());
}

int aw_wasi_add_file(aw_wasi *wasi, int host_descriptor)
{
    struct stat info;
    bool is_socket = fstat(host_descriptor, &info) == 0 && S_ISSOCK(info.st_mode);
    wasi_file *file = is_socket ? socket_file_new(host_descriptor) : host_file_new(host_descriptor, false, true, 0);
    if (file == NULL) {
        close(host_descriptor);
    }
    return add_given(wasi, file);
}

int aw_wasi_add_stream(aw_wasi *wasi, const aw_wasi_stream *stream)
{
    return add_given(wasi, stream_file_new(stream));
}

void aw_wasi_limit_output(aw_wasi *wasi, uint64_t bytes, bool truncate)
{
    for (uint32_t i = 1; i <= 2 && i < wasi->descriptor_count; i++) {
        wasi->descriptors[i].file->counted = true;
        // Ways to make a file larger without writing.
        wasi->descriptors[i].rights &= ~(uint64_t)(RIGHT_FD_ALLOCATE | RIGHT_FD_FILESTAT_SET_SIZE);
    }
    wasi->output.allowed = bytes;
    wasi->output.truncate = truncate;
}

uint64_t aw_wasi_output_dropped(const aw_wasi *wasi)
{
    return wasi->output.dropped;
}

// Takes the directory over.
static int add_mount(aw_wasi *wasi, wasi_file *file, const char *name, size_t name_length)
{
    char *copy = malloc(name_length + 1);
    if (copy == NULL) {
        file_release(file);
        return -1;
    }
    memcpy(copy, name, name_length);
    copy[name_length] = '\0';
    // A read-only mount too passes all rights on: programs then ask for what they mean, and hear EROFS. Where a right is missing,
    // wasi-libc silently asks for less, and the program learns at its first write.
    uint32_t number;
    if (descriptor_add(wasi, file, DIRECTORY_RIGHTS, FILE_RIGHTS | DIRECTORY_RIGHTS, &number) != WASI_OK) {
        free(copy);
        return -1;
    }
    wasi->descriptors[number].mount = copy;
    wasi->descriptors[number].mount_length = (uint32_t)name_length;
    return 0;
}

int aw_wasi_add_directory(aw_wasi *wasi, int host_descriptor, const char *name, size_t name_length, bool writable)
{
    wasi_file *file = host_directory_new(host_descriptor, writable, true);
    if (file == NULL) {
        close(host_descriptor);
        return -1;
    }
    return add_mount(wasi, file, name, name_length);
}

int aw_wasi_add_memory(aw_wasi *wasi, aw_wasi_memory *memory, const char *name, size_t name_length, bool writable)
{
    wasi_file *file = memory_mount_new(wasi, memory, writable);
    return file != NULL ? add_mount(wasi, file, name, name_length) : -1;
}

int aw_wasi_add_filesystem(aw_wasi *wasi, const aw_wasi_filesystem *system, const char *name, size_t name_length,
                           bool writable)
{
    wasi_file *file = foreign_mount_new(wasi, system, writable);
    return file != NULL ? add_mount(wasi, file, name, name_length) : -1;
}

// --- by number: the descriptor itself ----------------------------------------------------------------------------

// Closes it also when that says that something is lost.
static int descriptor_settle(wasi_descriptor *self)
{
    int error = WASI_OK;
    if (self->file->kind->settle != NULL && self->file->references == 1) {
        error = self->file->kind->settle(self->file);
    }
    descriptor_close(self);
    return error;
}

int wasi_fd_close(wasi_call *call, const aw_raw *arguments)
{
    wasi_descriptor *descriptor;
    int error = descriptor_get(call->wasi, &arguments[0], 0, &descriptor);
    return error == WASI_OK ? descriptor_settle(descriptor) : error;
}

// *from* becomes *to*, which must be open and is closed.
int wasi_fd_renumber(wasi_call *call, const aw_raw *arguments)
{
    wasi_descriptor *from, *to;
    int error = descriptor_get(call->wasi, &arguments[0], 0, &from);
    if (error == WASI_OK) {
        error = descriptor_get(call->wasi, &arguments[1], 0, &to);
    }
    if (error == WASI_OK && from != to) {
        error = descriptor_settle(to);
        *to = *from;
        *from = (wasi_descriptor){.file = NULL};
    }
    return error;
}

int wasi_fd_fdstat_get(wasi_call *call, const aw_raw *arguments)
{
    wasi_descriptor *descriptor;
    int error = descriptor_get(call->wasi, &arguments[0], 0, &descriptor);
    if (error != WASI_OK) {
        return error;
    }
    struct {
        uint8_t filetype, unused;
        uint16_t fdflags;
        uint32_t padding;
        uint64_t rights, inheriting;
    } out = {descriptor->file->filetype, 0, descriptor->file->fdflags, 0, descriptor->rights, descriptor->inheriting};
    _Static_assert(sizeof(out) == 24, "copied to the guest as it is");
    return guest_store(call, u32(&arguments[1]), &out, sizeof(out)) ? WASI_OK : WASI_EFAULT;
}

int wasi_fd_fdstat_set_flags(wasi_call *call, const aw_raw *arguments)
{
    wasi_descriptor *descriptor;
    uint32_t flags = u32(&arguments[1]);
    int error = descriptor_get(call->wasi, &arguments[0], RIGHT_FD_FDSTAT_SET_FLAGS, &descriptor);
    if (error != WASI_OK) {
        return error;
    }
    if ((flags & ~(uint32_t)(FDFLAG_APPEND | FDFLAG_DSYNC | FDFLAG_NONBLOCK | FDFLAG_RSYNC | FDFLAG_SYNC)) != 0) {
        return WASI_EINVAL;
    }
    wasi_file *file = descriptor->file;
    if (file->fdflags == flags) {
        return WASI_OK;
    }
    if (file->kind->set_flags != NULL) {
        error = file->kind->set_flags(file, (uint16_t)flags);
    }
    if (error == WASI_OK) {
        file->fdflags = (uint16_t)flags;
    }
    return error;
}

// Rights can be given away, never gained.
int wasi_fd_fdstat_set_rights(wasi_call *call, const aw_raw *arguments)
{
    wasi_descriptor *descriptor;
    uint64_t rights = u64(&arguments[1]), inheriting = u64(&arguments[2]);
    int error = descriptor_get(call->wasi, &arguments[0], 0, &descriptor);
    if (error != WASI_OK) {
        return error;
    }
    if ((rights & ~descriptor->rights) != 0 || (inheriting & ~descriptor->inheriting) != 0) {
        return WASI_ENOTCAPABLE;
    }
    descriptor->rights = rights;
    descriptor->inheriting = inheriting;
    return WASI_OK;
}

int wasi_fd_prestat_get(wasi_call *call, const aw_raw *arguments)
{
    wasi_descriptor *descriptor;
    int error = descriptor_get(call->wasi, &arguments[0], 0, &descriptor);
    if (error != WASI_OK || descriptor->mount == NULL) {
        return WASI_EBADF;
    }
    uint32_t out[2] = {0, descriptor->mount_length};  // 0: a directory
    return guest_store(call, u32(&arguments[1]), out, sizeof(out)) ? WASI_OK : WASI_EFAULT;
}

int wasi_fd_prestat_dir_name(wasi_call *call, const aw_raw *arguments)
{
    wasi_descriptor *descriptor;
    int error = descriptor_get(call->wasi, &arguments[0], 0, &descriptor);
    if (error != WASI_OK || descriptor->mount == NULL) {
        return WASI_EBADF;
    }
    if (u32(&arguments[2]) < descriptor->mount_length) {
        return WASI_ENAMETOOLONG;
    }
    return guest_store(call, u32(&arguments[1]), descriptor->mount, descriptor->mount_length) ? WASI_OK : WASI_EFAULT;
}

// --- by number: the file -----------------------------------------------------------------------------------------

// What has no position and no size: a directory is no file to seek in, a stream cannot.
static int no_file(const wasi_file *file, int otherwise)
{
    return file->filetype == FILETYPE_DIRECTORY ? WASI_EBADF : otherwise;
}

// *tells*: the position stays as it is, which needs a lesser right.
static int seek(wasi_call *call, const aw_raw *number, bool tells, int64_t offset, uint32_t whence, uint32_t result)
{
    static const int whences[] = {SEEK_SET, SEEK_CUR, SEEK_END};
    wasi_descriptor *descriptor;
    int error = descriptor_get(call->wasi, number, RIGHT_FD_SEEK, &descriptor);
    if (error == WASI_ENOTCAPABLE && tells) {
        error = descriptor_get(call->wasi, number, RIGHT_FD_TELL, &descriptor);
    }
    if (error != WASI_OK) {
        return error;
    }
    wasi_file *file = descriptor->file;
    if (file->kind->seek == NULL) {
        return no_file(file, WASI_ESPIPE);
    }
    if (whence >= sizeof(whences) / sizeof(whences[0])) {
        return WASI_EINVAL;
    }
    if (guest_bytes(call, result, 8) == NULL) {
        return WASI_EFAULT;
    }
    uint64_t place = 0;
    error = file->kind->seek(file, offset, whences[whence], &place);
    if (error == WASI_OK) {
        guest_store(call, result, &place, 8);
    }
    return error;
}

int wasi_fd_seek(wasi_call *call, const aw_raw *arguments)
{
    bool tells = arguments[1].i64 == 0 && u32(&arguments[2]) == 1;
    return seek(call, &arguments[0], tells, arguments[1].i64, u32(&arguments[2]), u32(&arguments[3]));
}

int wasi_fd_tell(wasi_call *call, const aw_raw *arguments)
{
    return seek(call, &arguments[0], true, 0, 1, u32(&arguments[1]));
}

int wasi_fd_filestat_get(wasi_call *call, const aw_raw *arguments)
{
    wasi_descriptor *descriptor;
    wasi_filestat out = {0};
    int error = descriptor_get(call->wasi, &arguments[0], RIGHT_FD_FILESTAT_GET, &descriptor);
    if (error == WASI_OK) {
        error = descriptor->file->kind->stat(descriptor->file, &out);
    }
    return error != WASI_OK || guest_store(call, u32(&arguments[1]), &out, sizeof(out)) ? error : WASI_EFAULT;
}

int wasi_fd_filestat_set_size(wasi_call *call, const aw_raw *arguments)
{
    wasi_descriptor *descriptor;
    int error = descriptor_get(call->wasi, &arguments[0], RIGHT_FD_FILESTAT_SET_SIZE, &descriptor);
    if (error != WASI_OK) {
        return error;
    }
    wasi_file *file = descriptor->file;
    if (file->kind->set_size == NULL || arguments[1].i64 < 0) {
        return no_file(file, WASI_EINVAL);
    }
    return file->writable ? file->kind->set_size(file, arguments[1].i64) : WASI_EROFS;
}

int wasi_fd_filestat_set_times(wasi_call *call, const aw_raw *arguments)
{
    wasi_descriptor *descriptor;
    struct timespec times[2];
    int error = descriptor_get(call->wasi, &arguments[0], RIGHT_FD_FILESTAT_SET_TIMES, &descriptor);
    if (error == WASI_OK) {
        error = times_load(call->wasi, u64(&arguments[1]), u64(&arguments[2]), u32(&arguments[3]), times);
    }
    if (error != WASI_OK) {
        return error;
    }
    wasi_file *file = descriptor->file;
    if (file->kind->set_times == NULL) {
        return WASI_ENOTSUP;
    }
    return file->writable ? file->kind->set_times(file, times) : WASI_EROFS;
}

int wasi_fd_allocate(wasi_call *call, const aw_raw *arguments)
{
    wasi_descriptor *descriptor;
    int error = descriptor_get(call->wasi, &arguments[0], RIGHT_FD_ALLOCATE, &descriptor);
    if (error != WASI_OK) {
        return error;
    }
    wasi_file *file = descriptor->file;
    if (file->kind->allocate == NULL) {
        return no_file(file, WASI_ESPIPE);
    }
    if (!file->writable) {
        return WASI_EROFS;
    }
    if (arguments[1].i64 < 0 || arguments[2].i64 <= 0) {
        return WASI_EINVAL;
    }
    return file->kind->allocate(file, arguments[1].i64, arguments[2].i64);
}

int wasi_fd_advise(wasi_call *call, const aw_raw *arguments)
{
    wasi_descriptor *descriptor;
    uint32_t advice = u32(&arguments[3]);
    int error = descriptor_get(call->wasi, &arguments[0], RIGHT_FD_ADVISE, &descriptor);
    if (error != WASI_OK) {
        return error;
    }
    wasi_file *file = descriptor->file;
    if (file->kind->advise == NULL) {
        return no_file(file, WASI_ESPIPE);
    }
    if (advice > 5 || arguments[1].i64 < 0 || arguments[2].i64 < 0) {
        return WASI_EINVAL;
    }
    return file->kind->advise(file, arguments[1].i64, arguments[2].i64, advice);
}

static int synchronise(wasi_call *call, const aw_raw *arguments, uint64_t right, bool data_only)
{
    wasi_descriptor *descriptor;
    int error = descriptor_get(call->wasi, &arguments[0], right, &descriptor);
    if (error != WASI_OK) {
        return error;
    }
    wasi_file *file = descriptor->file;
    return file->kind->sync != NULL ? file->kind->sync(file, data_only) : WASI_OK;
}

int wasi_fd_sync(wasi_call *call, const aw_raw *arguments)
{
    return synchronise(call, arguments, RIGHT_FD_SYNC, false);
}

int wasi_fd_datasync(wasi_call *call, const aw_raw *arguments)
{
    return synchronise(call, arguments, RIGHT_FD_DATASYNC, true);
}

// SPDX-License-Identifier: Apache-2.0
// Files and directories of a file system that the embedder serves. What a path means is the embedder's; the guest's positions, its
// memory and its descriptors are ours.
//
// The embedder's code may do anything but use the guest's descriptors: descriptor_get refuses that, so what a function holds on to
// stays what it is. The guest's memory is looked at anew after each call.

#include <stdlib.h>
#include <unistd.h>

#include "internal.h"

enum { PIECE = 1 << 20 };  // bytes that are asked for at once

typedef struct foreign_file {
    wasi_file base;
    aw_wasi *wasi;  // borrowed: it owns this
    aw_wasi_filesystem system;
    uint64_t device;
    char *name;       // owned: a directory's
    uint64_t handle;  // a file's, owned
    bool settled;     // the handle is gone
    bool seeks;
    uint64_t position;
} foreign_file;

static foreign_file *foreign_cast(wasi_file *self)
{
    return (foreign_file *)self;
}

// Around each call of the embedder's.
static const aw_wasi_filesystem *begin(foreign_file *self)
{
    self->wasi->embedder++;
    return &self->system;
}

static int end(foreign_file *self, int error)
{
    self->wasi->embedder--;
    if (self->wasi->call != NULL) {
        call_refresh(self->wasi->call);
    }
    return error;
}

static foreign_file *foreign_new(aw_wasi *wasi, const aw_wasi_filesystem *system, const wasi_kind *kind,
                                 uint8_t filetype, bool writable, uint64_t rights)
{
    foreign_file *self = calloc(1, sizeof(*self));
    if (self != NULL) {
        file_begin(&self->base, kind, filetype, writable, rights);
        self->wasi = wasi;
        self->system = *system;
    }
    return self;
}

static void stat_fill(const foreign_file *self, const aw_wasi_stat *info, wasi_filestat *out)
{
    *out = (wasi_filestat){
        .device = self->device,
        .inode = info->inode,
        .filetype = info->directory ? FILETYPE_DIRECTORY : FILETYPE_REGULAR_FILE,
        .links = info->links,
        .size = info->size,
        .accessed = info->accessed,
        .modified = info->modified,
        .changed = info->changed,
    };
}

static void times_resolve(const foreign_file *self, const struct timespec given[2], uint64_t out[2])
{
    for (int i = 0; i < 2; i++) {
        out[i] = given[i].tv_nsec == UTIME_OMIT  ? UINT64_MAX
                 : given[i].tv_nsec == UTIME_NOW ? wasi_realtime(self->wasi)
                                                 : (uint64_t)given[i].tv_sec * 1000000000 + (uint64_t)given[i].tv_nsec;
    }
}

// --- files -----------------------------------------------------------------------------------------------------------

static int foreign_settle(wasi_file *file)
{
    foreign_file *self = foreign_cast(file);
    self->settled = true;
    return end(self, begin(self)->file_close(self->system.data, self->handle, true));
}

static void foreign_close(wasi_file *file)
{
    foreign_file *self = foreign_cast(file);
    if (!self->settled) {
        end(self, begin(self)->file_close(self->system.data, self->handle, false));
    }
    free(self);
}

static int foreign_stat(wasi_file *file, wasi_filestat *out)
{
    foreign_file *self = foreign_cast(file);
    aw_wasi_stat info;
    int error = end(self, begin(self)->file_stat(self->system.data, self->handle, &info));
    if (error == WASI_OK) {
        stat_fill(self, &info, out);
    }
    return error;
}

// Piece by piece, until one is cut short; the embedder's check comes in between.
static int foreign_transfer(wasi_call *call, foreign_file *self, bool reads, const struct iovec *vectors, int count,
                            uint64_t *place, size_t *total)
{
    const uint8_t *memory = call->memory;
    *total = 0;
    for (int i = 0; i < count; i++) {
        size_t start = (size_t)((const uint8_t *)vectors[i].iov_base - memory);
        for (size_t at = 0; at < vectors[i].iov_len;) {
            size_t left = vectors[i].iov_len - at, length = left < PIECE ? left : PIECE, done = 0;
            const uint8_t *bytes = NULL;
            const aw_wasi_filesystem *system = begin(self);
            int error = reads ? system->read(system->data, self->handle, place, length, &bytes, &done)
                              : system->write(system->data, self->handle, place, call->memory + start + at, length,
                                              &done);
            error = end(self, error);
            if (error == WASI_EINTR) {  // it goes on, unless the program is to end
                if (wasi_check(call->wasi) < 0) {
                    return WASI_RAISED;
                }
                continue;
            }
            if (error != WASI_OK) {
                return error < 0 || *total == 0 ? error : WASI_OK;
            }
            if (done > length || start + at > call->size || done > call->size - start - at) {
                return WASI_EIO;
            }
            if (reads && done > 0) {
                memcpy(call->memory + start + at, bytes, done);
            }
            *total += done;
            at += done;
            if (done < length) {
                return WASI_OK;
            }
            if (length == PIECE && wasi_check(call->wasi) < 0) {
                return WASI_RAISED;
            }
        }
    }
    return WASI_OK;
}

static int foreign_read(wasi_call *call, wasi_file *file, struct iovec *vectors, int count, int64_t offset,
                        size_t *done)
{
    foreign_file *self = foreign_cast(file);
    uint64_t place = offset >= 0 ? (uint64_t)offset : self->position;
    int error = foreign_transfer(call, self, true, vectors, count, &place, done);
    if (offset < 0) {
        self->position = place;
    }
    return error;
}

static int foreign_write(wasi_call *call, wasi_file *file, struct iovec *vectors, int count, int64_t offset,
                         size_t *done)
{
    foreign_file *self = foreign_cast(file);
    bool appends = file->fdflags & FDFLAG_APPEND;
    uint64_t place = appends ? UINT64_MAX : offset >= 0 ? (uint64_t)offset : self->position;
    int error = foreign_transfer(call, self, false, vectors, count, &place, done);
    if (offset < 0 && place != UINT64_MAX) {
        self->position = place;
    }
    return error;
}

static int foreign_seek(wasi_file *file, int64_t offset, int whence, uint64_t *place)
{
    foreign_file *self = foreign_cast(file);
    aw_wasi_stat info;
    uint64_t from = whence == SEEK_CUR ? self->position : 0;
    int64_t to;
    if (whence == SEEK_END) {
        int error = end(self, begin(self)->file_stat(self->system.data, self->handle, &info));
        if (error != WASI_OK) {
            return error;
        }
        from = info.size;
    }
    if (from > INT64_MAX || __builtin_add_overflow((int64_t)from, offset, &to)) {
        return WASI_EOVERFLOW;
    }
    if (to < 0) {
        return WASI_EINVAL;
    }
    if (!self->seeks && (uint64_t)to != self->position) {
        return WASI_ESPIPE;
    }
    self->position = *place = (uint64_t)to;
    return WASI_OK;
}

static int foreign_set_size(wasi_file *file, int64_t size)
{
    foreign_file *self = foreign_cast(file);
    if ((file->rights & RIGHT_FD_WRITE) == 0) {
        return WASI_EINVAL;  // as ftruncate says it
    }
    return end(self, begin(self)->file_set_size(self->system.data, self->handle, (uint64_t)size));
}

static int foreign_allocate(wasi_file *file, int64_t offset, int64_t length)
{
    foreign_file *self = foreign_cast(file);
    aw_wasi_stat info;
    if ((file->rights & RIGHT_FD_WRITE) == 0) {
        return WASI_EBADF;
    }
    uint64_t wanted = (uint64_t)offset + (uint64_t)length;  // neither is negative
    if (wanted > INT64_MAX) {
        return WASI_EFBIG;
    }
    int error = end(self, begin(self)->file_stat(self->system.data, self->handle, &info));
    return error != WASI_OK || info.size >= wanted
               ? error
               : end(self, begin(self)->file_set_size(self->system.data, self->handle, wanted));
}

static int foreign_advise(wasi_file *self, int64_t offset, int64_t length, uint32_t advice)
{
    (void)self, (void)offset, (void)length, (void)advice;
    return WASI_OK;
}

static int foreign_set_times(wasi_file *file, const struct timespec times[2])
{
    foreign_file *self = foreign_cast(file);
    uint64_t resolved[2];
    times_resolve(self, times, resolved);
    return end(self, begin(self)->file_set_times(self->system.data, self->handle, resolved));
}

static int foreign_set_flags(wasi_file *file, uint16_t fdflags)
{
    unsigned changed = (unsigned)(fdflags ^ file->fdflags) & ~(unsigned)FDFLAG_NONBLOCK;
    return changed == 0 || (changed == FDFLAG_APPEND && foreign_cast(file)->seeks) ? WASI_OK : WASI_ENOTSUP;
}

static int foreign_sync(wasi_file *file, bool data_only)
{
    foreign_file *self = foreign_cast(file);
    (void)data_only;
    return end(self, begin(self)->file_sync(self->system.data, self->handle));
}

static const wasi_kind foreign_kind = {
    .settle = foreign_settle,
    .close = foreign_close,
    .stat = foreign_stat,
    .read = foreign_read,
    .write = foreign_write,
    .seek = foreign_seek,
    .allocate = foreign_allocate,
    .advise = foreign_advise,
    .set_size = foreign_set_size,
    .set_times = foreign_set_times,
    .set_flags = foreign_set_flags,
    .sync = foreign_sync,
};

// --- directories -------------------------------------------------------------------------------------------------------

static const wasi_kind foreign_directory_kind;

static void directory_close(wasi_file *self)
{
    free(foreign_cast(self)->name);
    free(self);
}

static int directory_path_stat(aw_wasi *wasi, wasi_file *file, const char *path, bool follow, wasi_filestat *out)
{
    foreign_file *self = foreign_cast(file);
    aw_wasi_stat info;
    (void)wasi, (void)follow;  // there are no links
    int error = end(self, begin(self)->stat(self->system.data, self->name, path, &info));
    if (error == WASI_OK) {
        stat_fill(self, &info, out);
    }
    return error;
}

static int directory_stat(wasi_file *file, wasi_filestat *out)
{
    return directory_path_stat(NULL, file, ".", true, out);
}

static int directory_path_set_times(aw_wasi *wasi, wasi_file *file, const char *path, bool follow,
                                    const struct timespec times[2])
{
    foreign_file *self = foreign_cast(file);
    uint64_t resolved[2];
    (void)wasi, (void)follow;
    times_resolve(self, times, resolved);
    return end(self, begin(self)->set_times(self->system.data, self->name, path, resolved));
}

static int directory_set_times(wasi_file *file, const struct timespec times[2])
{
    return directory_path_set_times(NULL, file, ".", true, times);
}

static int directory_sync(wasi_file *self, bool data_only)
{
    (void)self, (void)data_only;
    return WASI_OK;
}

static int directory_change(wasi_file *file, aw_wasi_change change, const char *path)
{
    foreign_file *self = foreign_cast(file);
    return end(self, begin(self)->change(self->system.data, change, self->name, path));
}

static int directory_make_directory(aw_wasi *wasi, wasi_file *self, const char *path)
{
    (void)wasi;
    return directory_change(self, AW_WASI_MAKE_DIRECTORY, path);
}

static int directory_remove_directory(aw_wasi *wasi, wasi_file *self, const char *path)
{
    (void)wasi;
    return directory_change(self, AW_WASI_REMOVE_DIRECTORY, path);
}

static int directory_unlink(aw_wasi *wasi, wasi_file *self, const char *path)
{
    (void)wasi;
    return directory_change(self, AW_WASI_UNLINK, path);
}

static int directory_rename(aw_wasi *wasi, wasi_file *file, const char *path, wasi_file *other, const char *other_path)
{
    foreign_file *self = foreign_cast(file), *to = foreign_cast(other);
    (void)wasi;
    if (self->system.data != to->system.data) {
        return WASI_EXDEV;
    }
    return end(self, begin(self)->rename(self->system.data, self->name, path, to->name, other_path));
}

static int directory_link(aw_wasi *wasi, wasi_file *self, const char *path, wasi_file *other, const char *other_path)
{
    (void)wasi, (void)self, (void)path, (void)other, (void)other_path;
    return WASI_ENOTSUP;
}

static int directory_symlink(aw_wasi *wasi, wasi_file *self, const char *target, const char *path)
{
    (void)wasi, (void)self, (void)path;
    return target[0] == '/' ? WASI_ENOTCAPABLE : WASI_ENOTSUP;
}

static int directory_readlink(aw_wasi *wasi, wasi_file *self, const char *path, char out[WASI_PATH_MAX], size_t *length)
{
    wasi_filestat info;
    (void)out, (void)length;
    int error = directory_path_stat(wasi, self, path, false, &info);
    return error != WASI_OK ? error : WASI_EINVAL;  // it is no link
}

static int directory_open(aw_wasi *wasi, wasi_file *file, const char *path, const wasi_opening *how, wasi_file **out)
{
    foreign_file *self = foreign_cast(file);
    if (!file->writable && (how->writes || (how->oflags & OFLAG_TRUNC))) {
        return WASI_EROFS;
    }
    aw_wasi_opening wanted = {
        .oflags = how->oflags,
        .fdflags = how->fdflags,
        .reads = how->reads || !how->writes,
        .writes = how->writes,
        .writable = file->writable,
    };
    // Made before something is opened, so that nothing fails afterwards.
    foreign_file *opened = foreign_new(wasi, &self->system, &foreign_kind, FILETYPE_REGULAR_FILE, file->writable,
                                       FILE_RIGHTS);
    if (opened == NULL) {
        return WASI_ENOMEM;
    }
    aw_wasi_opened result = {.directory = NULL};
    int error = end(self, begin(self)->open(self->system.data, self->name, path, &wanted, &result));
    if (error != WASI_OK) {
        free(opened);
        return error;
    }
    opened->device = self->device;
    if (result.directory != NULL) {
        file_begin(&opened->base, &foreign_directory_kind, FILETYPE_DIRECTORY, file->writable, DIRECTORY_RIGHTS);
        opened->name = result.directory;
    }
    else {
        opened->handle = result.handle;
        opened->seeks = result.seeks;
        opened->base.fdflags = (uint16_t)how->fdflags;
        if (!wanted.writes) {
            opened->base.rights &= ~(uint64_t)(RIGHT_FD_WRITE | RIGHT_FD_ALLOCATE | RIGHT_FD_FILESTAT_SET_SIZE);
        }
        else if (!wanted.reads) {
            opened->base.rights &= ~(uint64_t)RIGHT_FD_READ;
        }
    }
    *out = &opened->base;
    return WASI_OK;
}

static int list_each(void *data, const char *name, bool directory, uint64_t inode)
{
    return listing_add(data, name, inode, directory ? FILETYPE_DIRECTORY : FILETYPE_REGULAR_FILE);
}

static int directory_list(wasi_file *file, wasi_listing *out)
{
    foreign_file *self = foreign_cast(file);
    wasi_filestat info;
    int error = directory_stat(file, &info);
    if (error == WASI_OK) {
        error = listing_add(out, ".", info.inode, FILETYPE_DIRECTORY);
    }
    if (error == WASI_OK) {
        error = listing_add(out, "..", 0, FILETYPE_DIRECTORY);
    }
    return error != WASI_OK ? error : end(self, begin(self)->list(self->system.data, self->name, list_each, out));
}

static const wasi_kind foreign_directory_kind = {
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

wasi_file *foreign_mount_new(aw_wasi *wasi, const aw_wasi_filesystem *system, bool writable)
{
    foreign_file *self = foreign_new(wasi, system, &foreign_directory_kind, FILETYPE_DIRECTORY, writable,
                                     DIRECTORY_RIGHTS);
    char *name = calloc(1, 1);
    if (self == NULL || name == NULL) {
        free(self);
        free(name);
        return NULL;
    }
    self->name = name;
    self->device = UINT64_C(0x66730000) + wasi->descriptor_count;  // its own in this program
    return &self->base;
}

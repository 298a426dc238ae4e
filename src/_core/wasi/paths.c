// SPDX-License-Identifier: Apache-2.0
// What the guest does by path: its arguments out of its memory, and the directory's kind to do it. Directories that are read-only
// refuse here, whatever their kind.

#include <stdlib.h>

#include "internal.h"

// --- arguments ---------------------------------------------------------------------------------------------------

// A path, or a link's target, out of the guest's memory: 0 or an errno.
static int path_load(const wasi_call *call, const aw_raw *pointer, char out[WASI_PATH_MAX])
{
    uint32_t length = u32(&pointer[1]);
    const uint8_t *bytes = guest_bytes(call, u32(&pointer[0]), length);
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
    memcpy(out, bytes, length);
    out[length] = '\0';
    return WASI_OK;
}

// The directory of that number, and a path beneath it: 0 or an errno. `changes` asks for one that may be changed.
static int path_begin(wasi_call *call, const aw_raw *number, const aw_raw *pointer, uint64_t right, bool changes,
                      wasi_file **directory, char path[WASI_PATH_MAX])
{
    wasi_descriptor *descriptor;
    int error = descriptor_get(call->wasi, number, right, &descriptor);
    if (error != WASI_OK) {
        return error;
    }
    *directory = descriptor->file;
    if ((*directory)->kind->open == NULL) {
        return WASI_ENOTDIR;
    }
    error = path_load(call, pointer, path);
    return error == WASI_OK && changes && !(*directory)->writable ? WASI_EROFS : error;
}

int times_load(const aw_wasi *wasi, uint64_t accessed, uint64_t modified, uint32_t flags, struct timespec out[2])
{
    uint64_t given[2] = {accessed, modified};
    if ((flags & ~(uint32_t)(FST_ATIM | FST_ATIM_NOW | FST_MTIM | FST_MTIM_NOW)) != 0) {
        return WASI_EINVAL;
    }
    for (int i = 0; i < 2; i++) {
        uint32_t bits = flags >> (2 * i) & (FST_ATIM | FST_ATIM_NOW);  // the modified time's are the next two
        if (bits == (FST_ATIM | FST_ATIM_NOW)) {
            return WASI_EINVAL;
        }
        if (wasi->own_clock && bits == FST_ATIM_NOW) {
            bits = FST_ATIM;
            given[i] = wasi_realtime(wasi);
        }
        out[i] = (struct timespec){.tv_sec = (time_t)(given[i] / 1000000000), .tv_nsec = (long)(given[i] % 1000000000)};
        if (bits != FST_ATIM) {
            out[i].tv_nsec = bits == 0 ? UTIME_OMIT : UTIME_NOW;
        }
    }
    return WASI_OK;
}

static bool lookup_is_known(const aw_raw *flags)
{
    return (u32(flags) & ~(uint32_t)LOOKUP_SYMLINK_FOLLOW) == 0;
}

// --- what has one path -------------------------------------------------------------------------------------------

int wasi_path_create_directory(wasi_call *call, const aw_raw *arguments)
{
    wasi_file *directory;
    char path[WASI_PATH_MAX];
    int error = path_begin(call, &arguments[0], &arguments[1], RIGHT_PATH_CREATE_DIRECTORY, true, &directory, path);
    return error != WASI_OK ? error : directory->kind->make_directory(call->wasi, directory, path);
}

int wasi_path_remove_directory(wasi_call *call, const aw_raw *arguments)
{
    wasi_file *directory;
    char path[WASI_PATH_MAX];
    int error = path_begin(call, &arguments[0], &arguments[1], RIGHT_PATH_REMOVE_DIRECTORY, true, &directory, path);
    return error != WASI_OK ? error : directory->kind->remove_directory(call->wasi, directory, path);
}

int wasi_path_unlink_file(wasi_call *call, const aw_raw *arguments)
{
    wasi_file *directory;
    char path[WASI_PATH_MAX];
    int error = path_begin(call, &arguments[0], &arguments[1], RIGHT_PATH_UNLINK_FILE, true, &directory, path);
    return error != WASI_OK ? error : directory->kind->unlink(call->wasi, directory, path);
}

int wasi_path_filestat_get(wasi_call *call, const aw_raw *arguments)
{
    wasi_file *directory;
    char path[WASI_PATH_MAX];
    wasi_filestat out;
    int error = path_begin(call, &arguments[0], &arguments[2], RIGHT_PATH_FILESTAT_GET, false, &directory, path);
    if (error == WASI_OK && !lookup_is_known(&arguments[1])) {
        error = WASI_EINVAL;
    }
    if (error == WASI_OK) {
        error = directory->kind->path_stat(call->wasi, directory, path, u32(&arguments[1]) & LOOKUP_SYMLINK_FOLLOW,
                                           &out);
    }
    return error != WASI_OK || guest_store(call, u32(&arguments[4]), &out, sizeof(out)) ? error : WASI_EFAULT;
}

int wasi_path_filestat_set_times(wasi_call *call, const aw_raw *arguments)
{
    wasi_file *directory;
    char path[WASI_PATH_MAX];
    struct timespec times[2];
    int error = path_begin(call, &arguments[0], &arguments[2], RIGHT_PATH_FILESTAT_SET_TIMES, true, &directory, path);
    if (error == WASI_OK && !lookup_is_known(&arguments[1])) {
        error = WASI_EINVAL;
    }
    if (error == WASI_OK) {
        error = times_load(call->wasi, u64(&arguments[4]), u64(&arguments[5]), u32(&arguments[6]), times);
    }
    return error != WASI_OK ? error
                            : directory->kind->path_set_times(call->wasi, directory, path,
                                                              u32(&arguments[1]) & LOOKUP_SYMLINK_FOLLOW, times);
}

int wasi_path_readlink(wasi_call *call, const aw_raw *arguments)
{
    wasi_file *directory;
    char path[WASI_PATH_MAX], target[WASI_PATH_MAX];
    size_t length = 0;
    int error = path_begin(call, &arguments[0], &arguments[1], RIGHT_PATH_READLINK, false, &directory, path);
    if (error == WASI_OK) {
        error = directory->kind->readlink(call->wasi, directory, path, target, &length);
    }
    if (error != WASI_OK) {
        return error;
    }
    uint32_t room = u32(&arguments[4]), used = length < room ? (uint32_t)length : room;
    return guest_store(call, u32(&arguments[3]), target, used) && guest_store(call, u32(&arguments[5]), &used, 4)
               ? WASI_OK
               : WASI_EFAULT;
}

// The target is text: what it leads to is asked when it is followed.
int wasi_path_symlink(wasi_call *call, const aw_raw *arguments)
{
    wasi_file *directory;
    char target[WASI_PATH_MAX], path[WASI_PATH_MAX];
    int error = path_load(call, &arguments[0], target);
    if (error == WASI_OK) {
        error = path_begin(call, &arguments[2], &arguments[3], RIGHT_PATH_SYMLINK, true, &directory, path);
    }
    return error != WASI_OK ? error : directory->kind->symlink(call->wasi, directory, target, path);
}

// --- what has two ------------------------------------------------------------------------------------------------

int wasi_path_rename(wasi_call *call, const aw_raw *arguments)
{
    wasi_file *from, *to;
    char path[WASI_PATH_MAX], other_path[WASI_PATH_MAX];
    int error = path_begin(call, &arguments[0], &arguments[1], RIGHT_PATH_RENAME_SOURCE, true, &from, path);
    if (error == WASI_OK) {
        error = path_begin(call, &arguments[3], &arguments[4], RIGHT_PATH_RENAME_TARGET, true, &to, other_path);
    }
    if (error != WASI_OK) {
        return error;
    }
    return from->kind == to->kind ? from->kind->rename(call->wasi, from, path, to, other_path) : WASI_EXDEV;
}

int wasi_path_link(wasi_call *call, const aw_raw *arguments)
{
    wasi_file *from, *to;
    char path[WASI_PATH_MAX], other_path[WASI_PATH_MAX];
    if (u32(&arguments[1]) != 0) {
        return WASI_EINVAL;  // a link to a link is one to that very link
    }
    int error = path_begin(call, &arguments[0], &arguments[2], RIGHT_PATH_LINK_SOURCE, true, &from, path);
    if (error == WASI_OK) {
        error = path_begin(call, &arguments[4], &arguments[5], RIGHT_PATH_LINK_TARGET, true, &to, other_path);
    }
    if (error != WASI_OK) {
        return error;
    }
    return from->kind == to->kind ? from->kind->link(call->wasi, from, path, to, other_path) : WASI_EXDEV;
}

// --- opening -------------------------------------------------------------------------------------------------------

// Of the rights that are asked for, those to read and to write say how the file is opened; the others come with it, as far as the
// directory passes them on: programs ask for too few, since other hosts never look.
int wasi_path_open(wasi_call *call, const aw_raw *arguments)
{
    uint64_t wanted = u64(&arguments[5]);
    wasi_opening how = {
        .oflags = u32(&arguments[4]),
        .fdflags = u32(&arguments[7]),
        .follow = u32(&arguments[1]) & LOOKUP_SYMLINK_FOLLOW,
        .reads = wanted & (RIGHT_FD_READ | RIGHT_FD_READDIR),
        .writes = wanted & RIGHT_FD_WRITE,
    };
    wasi_descriptor *descriptor;
    wasi_file *directory, *file;
    char path[WASI_PATH_MAX];
    uint64_t right = RIGHT_PATH_OPEN | (how.oflags & OFLAG_CREAT ? RIGHT_PATH_CREATE_FILE : 0) |
                     (how.oflags & OFLAG_TRUNC ? RIGHT_PATH_FILESTAT_SET_SIZE : 0) |
                     (how.fdflags & (FDFLAG_DSYNC | FDFLAG_RSYNC | FDFLAG_SYNC) ? RIGHT_FD_SYNC : 0);
    int error = path_begin(call, &arguments[0], &arguments[2], right, false, &directory, path);
    if (error == WASI_OK) {
        error = descriptor_get(call->wasi, &arguments[0], right, &descriptor);
    }
    if (error != WASI_OK) {
        return error;
    }
    if (guest_bytes(call, u32(&arguments[8]), 4) == NULL) {
        return WASI_EFAULT;
    }
    if (!lookup_is_known(&arguments[1]) ||
        (how.oflags & ~(uint32_t)(OFLAG_CREAT | OFLAG_DIRECTORY | OFLAG_EXCL | OFLAG_TRUNC)) != 0 ||
        (how.fdflags & ~(uint32_t)(FDFLAG_APPEND | FDFLAG_DSYNC | FDFLAG_NONBLOCK | FDFLAG_RSYNC | FDFLAG_SYNC)) != 0) {
        return WASI_EINVAL;
    }
    uint64_t inheriting = descriptor->inheriting;
    if ((wanted & ~inheriting & (RIGHT_FD_READ | RIGHT_FD_WRITE)) != 0) {
        return WASI_ENOTCAPABLE;
    }
    if (how.oflags & OFLAG_DIRECTORY) {
        if (how.oflags & (OFLAG_CREAT | OFLAG_EXCL | OFLAG_TRUNC)) {
            return WASI_EINVAL;
        }
        how.writes = false;  // to write to a directory is to change what is in it
    }
    error = directory->kind->open(call->wasi, directory, path, &how, &file);
    if (error != WASI_OK) {
        return error;
    }
    uint32_t number;
    error = descriptor_add(call->wasi, file, file->rights & inheriting, inheriting, &number);
    if (error == WASI_OK) {
        guest_store(call, u32(&arguments[8]), &number, 4);
    }
    return error;
}

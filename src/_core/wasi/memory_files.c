// SPDX-License-Identifier: Apache-2.0
// Files and directories of a tree in memory, as a program has them open; and what the embedder does to the tree.

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "memory_tree.h"

// A file or a directory that is open.
typedef struct memory_file {
    wasi_file base;
    const aw_wasi *wasi;   // borrowed: the program that has it open
    aw_wasi_memory *tree;  // counted
    memory_node *node;     // counted
    uint64_t position;
    bool reads, writes;  // what it was opened for
    bool is_mount;       // the root of one: nothing above it is the guest's business
} memory_file;

static memory_file *memory_cast(wasi_file *self)
{
    return (memory_file *)self;
}

static void memory_close(wasi_file *file)
{
    memory_file *self = memory_cast(file);
    memory_lock(self->tree);
    node_release(self->tree, self->node);
    memory_unlock(self->tree);
    aw_wasi_memory_release(self->tree);
    free(self);
}

// With the lock held.
static memory_file *memory_file_new(const aw_wasi *wasi, aw_wasi_memory *tree, memory_node *node, const wasi_kind *kind,
                                    bool writable, uint64_t rights)
{
    memory_file *self = calloc(1, sizeof(*self));
    if (self != NULL) {
        file_begin(&self->base, kind, node->filetype, writable, rights);
        tree->references++;
        self->wasi = wasi;
        self->tree = tree;
        self->node = node_retain(node);
    }
    return self;
}

// --- both ------------------------------------------------------------------------------------------------------------

static int memory_stat(wasi_file *file, wasi_filestat *out)
{
    memory_file *self = memory_cast(file);
    memory_lock(self->tree);
    node_stat(self->tree, self->node, out);
    memory_unlock(self->tree);
    return WASI_OK;
}

static uint64_t time_given(const struct timespec *time, uint64_t before, uint64_t now)
{
    return time->tv_nsec == UTIME_OMIT  ? before
           : time->tv_nsec == UTIME_NOW ? now
                                        : (uint64_t)time->tv_sec * 1000000000 + (uint64_t)time->tv_nsec;
}

static void node_set_times(memory_node *node, const struct timespec times[2], uint64_t now)
{
    node->accessed = time_given(&times[0], node->accessed, now);
    node->modified = time_given(&times[1], node->modified, now);
    node->changed = now;
}

static int memory_set_times(wasi_file *file, const struct timespec times[2])
{
    memory_file *self = memory_cast(file);
    memory_lock(self->tree);
    node_set_times(self->node, times, wasi_realtime(self->wasi));
    memory_unlock(self->tree);
    return WASI_OK;
}

static int memory_sync(wasi_file *self, bool data_only)
{
    (void)self, (void)data_only;
    return WASI_OK;
}

// --- files -----------------------------------------------------------------------------------------------------------

static int memory_read(wasi_call *call, wasi_file *file, struct iovec *vectors, int count, int64_t offset, size_t *done)
{
    memory_file *self = memory_cast(file);
    (void)call;
    *done = 0;
    if (!self->reads) {
        return WASI_EBADF;
    }
    memory_lock(self->tree);
    const memory_node *node = self->node;
    uint64_t place = offset >= 0 ? (uint64_t)offset : self->position;
    for (int i = 0; i < count && place < node->size; i++) {
        size_t left = node->size - (size_t)place;
        size_t length = vectors[i].iov_len < left ? vectors[i].iov_len : left;
        memcpy(vectors[i].iov_base, node->bytes + place, length);
        place += length;
        *done += length;
    }
    if (offset < 0) {
        self->position = place;
    }
    memory_unlock(self->tree);
    return WASI_OK;
}

// As much as there is room for.
static int memory_write(wasi_call *call, wasi_file *file, struct iovec *vectors, int count, int64_t offset,
                        size_t *done)
{
    memory_file *self = memory_cast(file);
    (void)call;
    *done = 0;
    if (!self->writes) {
        return WASI_EBADF;
    }
    size_t length = 0;
    for (int i = 0; i < count; i++) {
        length += vectors[i].iov_len;  // all of them are less than 2^31
    }
    if (length == 0) {
        return WASI_OK;
    }
    aw_wasi_memory *tree = self->tree;
    memory_node *node = self->node;
    int error = WASI_OK;
    memory_lock(tree);
    uint64_t place = file->fdflags & FDFLAG_APPEND ? node->size : offset >= 0 ? (uint64_t)offset : self->position;
    uint64_t most = tree->limit - tree->used > UINT64_MAX - node->size ? UINT64_MAX
                                                                       : node->size + tree->limit - tree->used;
    if (place > INT64_MAX - length) {
        error = WASI_EFBIG;
    }
    else if (place >= most) {
        error = WASI_ENOSPC;
    }
    else if (length > most - place) {
        length = (size_t)(most - place);
    }
    if (error == WASI_OK && place + length > node->size) {
        error = node_resize(tree, node, place + length);
    }
    for (int i = 0; error == WASI_OK && *done < length; i++) {
        size_t left = length - *done;
        size_t part = vectors[i].iov_len < left ? vectors[i].iov_len : left;
        memcpy(node->bytes + place, vectors[i].iov_base, part);
        place += part;
        *done += part;
    }
    if (error == WASI_OK) {
        node->modified = node->changed = wasi_realtime(self->wasi);
        if (offset < 0) {
            self->position = place;
        }
    }
    memory_unlock(tree);
    return error;
}

static int memory_seek(wasi_file *file, int64_t offset, int whence, uint64_t *place)
{
    memory_file *self = memory_cast(file);
    memory_lock(self->tree);
    uint64_t from = whence == SEEK_SET ? 0 : whence == SEEK_CUR ? self->position : self->node->size;
    int64_t to;
    int error = __builtin_add_overflow((int64_t)from, offset, &to) ? WASI_EOVERFLOW : to < 0 ? WASI_EINVAL : WASI_OK;
    if (error == WASI_OK) {
        self->position = *place = (uint64_t)to;
    }
    memory_unlock(self->tree);
    return error;
}

static int memory_set_size(wasi_file *file, int64_t size)
{
    memory_file *self = memory_cast(file);
    if (!self->writes) {
        return WASI_EINVAL;  // as ftruncate says it
    }
    memory_lock(self->tree);
    int error = node_resize(self->tree, self->node, (uint64_t)size);
    if (error == WASI_OK) {
        self->node->modified = self->node->changed = wasi_realtime(self->wasi);
    }
    memory_unlock(self->tree);
    return error;
}

static int memory_allocate(wasi_file *file, int64_t offset, int64_t length)
{
    memory_file *self = memory_cast(file);
    if (!self->writes) {
        return WASI_EBADF;
    }
    memory_lock(self->tree);
    uint64_t end = (uint64_t)offset + (uint64_t)length;  // neither is negative
    int error = end > INT64_MAX          ? WASI_EFBIG
                : end > self->node->size ? node_resize(self->tree, self->node, end)
                                         : WASI_OK;
    if (error == WASI_OK) {
        self->node->changed = wasi_realtime(self->wasi);
    }
    memory_unlock(self->tree);
    return error;
}

static int memory_advise(wasi_file *self, int64_t offset, int64_t length, uint32_t advice)
{
    (void)self, (void)offset, (void)length, (void)advice;
    return WASI_OK;
}

static int memory_set_flags(wasi_file *file, uint16_t fdflags)
{
    unsigned changed = (unsigned)(fdflags ^ file->fdflags) & ~(unsigned)FDFLAG_NONBLOCK;
    return changed == 0 || changed == FDFLAG_APPEND ? WASI_OK : WASI_ENOTSUP;
}

static uint64_t memory_available(wasi_file *file)
{
    memory_file *self = memory_cast(file);
    memory_lock(self->tree);
    uint64_t left = self->node->size > self->position ? self->node->size - self->position : 0;
    memory_unlock(self->tree);
    return left;
}

static const wasi_kind memory_file_kind = {
    .close = memory_close,
    .stat = memory_stat,
    .read = memory_read,
    .write = memory_write,
    .seek = memory_seek,
    .allocate = memory_allocate,
    .advise = memory_advise,
    .set_size = memory_set_size,
    .set_times = memory_set_times,
    .set_flags = memory_set_flags,
    .sync = memory_sync,
    .available = memory_available,
};

// --- directories -----------------------------------------------------------------------------------------------------

static const wasi_kind memory_directory_kind;

// What a path names, which must be there: WASI_OK or an errno.
static int find_node(const memory_file *self, const char *path, bool follow, memory_node **out)
{
    memory_place at;
    int error = memory_find(self->node, path, follow ? PLACE_FOLLOW : 0, &at);
    *out = at.node;
    return error == WASI_OK && at.node == NULL ? WASI_ENOENT : error;
}

// Where something of a name of its own is, or goes.
static int find_place(const memory_file *self, const char *path, memory_place *out)
{
    return memory_find(self->node, path, PLACE_OWN_NAME, out);
}

static int memory_path_stat(aw_wasi *wasi, wasi_file *file, const char *path, bool follow, wasi_filestat *out)
{
    memory_file *self = memory_cast(file);
    memory_node *node;
    (void)wasi;
    memory_lock(self->tree);
    int error = find_node(self, path, follow, &node);
    if (error == WASI_OK) {
        node_stat(self->tree, node, out);
    }
    memory_unlock(self->tree);
    return error;
}

static int memory_path_set_times(aw_wasi *wasi, wasi_file *file, const char *path, bool follow,
                                 const struct timespec times[2])
{
    memory_file *self = memory_cast(file);
    memory_node *node;
    (void)wasi;
    memory_lock(self->tree);
    int error = find_node(self, path, follow, &node);
    if (error == WASI_OK) {
        node_set_times(node, times, wasi_realtime(self->wasi));
    }
    memory_unlock(self->tree);
    return error;
}

static int memory_make_directory(aw_wasi *wasi, wasi_file *file, const char *path)
{
    memory_file *self = memory_cast(file);
    memory_place at;
    memory_node *made;
    (void)wasi;
    memory_lock(self->tree);
    int error = find_place(self, path, &at);
    if (error == WASI_OK) {
        error = at.node != NULL ? WASI_EEXIST
                                : memory_make(self->tree, &at, FILETYPE_DIRECTORY, wasi_realtime(self->wasi), &made);
    }
    memory_unlock(self->tree);
    return error;
}

static int memory_remove_directory(aw_wasi *wasi, wasi_file *file, const char *path)
{
    memory_file *self = memory_cast(file);
    memory_place at;
    (void)wasi;
    memory_lock(self->tree);
    int error = find_place(self, path, &at);
    if (error == WASI_OK) {
        error = at.node == NULL                           ? WASI_ENOENT
                : at.name[0] == '\0'                      ? WASI_EINVAL
                : at.node->filetype != FILETYPE_DIRECTORY ? WASI_ENOTDIR
                : at.node->entry_count > 0                ? WASI_ENOTEMPTY
                                                          : WASI_OK;
    }
    if (error == WASI_OK) {
        memory_leave(self->tree, &at, wasi_realtime(self->wasi));
    }
    memory_unlock(self->tree);
    return error;
}

static int memory_unlink(aw_wasi *wasi, wasi_file *file, const char *path)
{
    memory_file *self = memory_cast(file);
    memory_place at;
    (void)wasi;
    memory_lock(self->tree);
    int error = find_place(self, path, &at);
    if (error == WASI_OK) {
        error = at.node == NULL                           ? WASI_ENOENT
                : at.node->filetype == FILETYPE_DIRECTORY ? WASI_EISDIR
                : at.slash                                ? WASI_ENOTDIR
                                                          : WASI_OK;
    }
    if (error == WASI_OK) {
        memory_leave(self->tree, &at, wasi_realtime(self->wasi));
    }
    memory_unlock(self->tree);
    return error;
}

// Both places of a rename or a link, with the lock held.
static int find_places(const memory_file *self, const char *path, const memory_file *other, const char *other_path,
                       memory_place *from, memory_place *to)
{
    int error = self->tree != other->tree ? WASI_EXDEV : find_place(self, path, from);
    return error == WASI_OK ? find_place(other, other_path, to) : error;
}

static int memory_path_rename(aw_wasi *wasi, wasi_file *file, const char *path, wasi_file *other,
                              const char *other_path)
{
    memory_file *self = memory_cast(file);
    memory_place from, to;
    (void)wasi;
    memory_lock(self->tree);
    int error = find_places(self, path, memory_cast(other), other_path, &from, &to);
    if (error == WASI_OK) {
        error = from.name[0] == '\0' || to.name[0] == '\0'
                    ? WASI_EBUSY
                    : memory_rename(self->tree, &from, &to, wasi_realtime(self->wasi));
    }
    memory_unlock(self->tree);
    return error;
}

static int memory_link(aw_wasi *wasi, wasi_file *file, const char *path, wasi_file *other, const char *other_path)
{
    memory_file *self = memory_cast(file);
    memory_place from, to;
    (void)wasi;
    memory_lock(self->tree);
    int error = find_places(self, path, memory_cast(other), other_path, &from, &to);
    if (error == WASI_OK) {
        error = from.slash          ? WASI_EPERM
                : from.node == NULL ? WASI_ENOENT
                : to.node != NULL   ? WASI_EEXIST
                : to.slash          ? WASI_ENOENT
                : from.node->filetype == FILETYPE_DIRECTORY
                    ? WASI_EPERM
                    : memory_enter(self->tree, &to, from.node, wasi_realtime(self->wasi));
    }
    memory_unlock(self->tree);
    return error;
}

static int memory_symlink(aw_wasi *wasi, wasi_file *file, const char *target, const char *path)
{
    memory_file *self = memory_cast(file);
    memory_place at;
    memory_node *made;
    (void)wasi;
    if (target[0] == '/') {
        return WASI_ENOTCAPABLE;
    }
    memory_lock(self->tree);
    uint64_t now = wasi_realtime(self->wasi);
    int error = find_place(self, path, &at);
    if (error == WASI_OK) {
        error = at.node != NULL ? WASI_EEXIST
                : at.slash      ? WASI_ENOENT
                                : memory_make(self->tree, &at, FILETYPE_SYMBOLIC_LINK, now, &made);
    }
    if (error == WASI_OK) {
        size_t length = strlen(target);
        error = node_resize(self->tree, made, length);
        if (error == WASI_OK) {
            memcpy(made->bytes, target, length);
        }
        else {
            memory_leave(self->tree, &at, now);
        }
    }
    memory_unlock(self->tree);
    return error;
}

static int memory_readlink(aw_wasi *wasi, wasi_file *file, const char *path, char out[WASI_PATH_MAX], size_t *length)
{
    memory_file *self = memory_cast(file);
    memory_node *node;
    (void)wasi;
    memory_lock(self->tree);
    int error = find_node(self, path, false, &node);
    if (error == WASI_OK && node->filetype != FILETYPE_SYMBOLIC_LINK) {
        error = WASI_EINVAL;
    }
    if (error == WASI_OK) {
        memcpy(out, node->bytes, node->size);  // it came from a path, which was shorter than the room
        *length = node->size;
    }
    memory_unlock(self->tree);
    return error;
}

// What is there, or may be made, as the flags want it: WASI_OK or an errno.
static int node_open(memory_file *self, const char *path, const wasi_opening *how, memory_node **out)
{
    bool creates = how->oflags & OFLAG_CREAT, exclusive = creates && (how->oflags & OFLAG_EXCL);
    bool writable = self->base.writable;
    memory_place at;
    int flags = (how->follow && !exclusive ? PLACE_FOLLOW : 0) | (creates && writable ? PLACE_FILE : 0);
    int error = memory_find(self->node, path, flags, &at);
    if (error != WASI_OK) {
        return error;
    }
    if (at.node == NULL) {
        if (!creates) {
            return WASI_ENOENT;
        }
        if (!writable) {
            return WASI_EROFS;
        }
        return memory_make(self->tree, &at, FILETYPE_REGULAR_FILE, wasi_realtime(self->wasi), out);
    }
    *out = at.node;
    if (exclusive) {
        return WASI_EEXIST;
    }
    if (at.node->filetype == FILETYPE_SYMBOLIC_LINK) {
        return how->oflags & OFLAG_DIRECTORY ? WASI_ENOTDIR : WASI_ELOOP;
    }
    if (at.node->filetype == FILETYPE_DIRECTORY) {
        return how->writes || creates || (how->oflags & OFLAG_TRUNC) ? WASI_EISDIR : WASI_OK;
    }
    return how->oflags & OFLAG_DIRECTORY ? WASI_ENOTDIR : WASI_OK;
}

static int memory_open(aw_wasi *wasi, wasi_file *file, const char *path, const wasi_opening *how, wasi_file **out)
{
    memory_file *self = memory_cast(file), *opened = NULL;
    memory_node *node;
    if (!file->writable && (how->writes || (how->oflags & OFLAG_TRUNC))) {
        return WASI_EROFS;
    }
    memory_lock(self->tree);
    int error = node_open(self, path, how, &node);
    if (error == WASI_OK) {
        bool is_directory = node->filetype == FILETYPE_DIRECTORY, reads = how->reads || !how->writes;
        uint64_t rights = is_directory           ? DIRECTORY_RIGHTS
                          : reads && how->writes ? FILE_RIGHTS
                          : reads ? FILE_RIGHTS &
                                        ~(uint64_t)(RIGHT_FD_WRITE | RIGHT_FD_ALLOCATE | RIGHT_FD_FILESTAT_SET_SIZE)
                                  : FILE_RIGHTS & ~(uint64_t)RIGHT_FD_READ;
        opened = memory_file_new(wasi, self->tree, node, is_directory ? &memory_directory_kind : &memory_file_kind,
                                 file->writable, rights);
        error = opened == NULL ? WASI_ENOMEM : WASI_OK;
    }
    if (error == WASI_OK && node->filetype == FILETYPE_REGULAR_FILE) {
        opened->reads = how->reads || !how->writes;
        opened->writes = how->writes;
        opened->base.fdflags = (uint16_t)how->fdflags;
        if (how->oflags & OFLAG_TRUNC) {
            node_resize(self->tree, node, 0);  // which cannot fail
            node->modified = node->changed = wasi_realtime(self->wasi);
        }
    }
    memory_unlock(self->tree);
    *out = opened != NULL ? &opened->base : NULL;
    return error;
}

static int memory_list(wasi_file *file, wasi_listing *out)
{
    memory_file *self = memory_cast(file);
    memory_lock(self->tree);
    const memory_node *node = self->node;
    uint64_t above = self->is_mount ? 0 : node->parent != NULL ? node->parent->inode : node->inode;
    int error = listing_add(out, ".", node->inode, FILETYPE_DIRECTORY);
    if (error == WASI_OK) {
        error = listing_add(out, "..", above, FILETYPE_DIRECTORY);
    }
    for (size_t i = 0; error == WASI_OK && i < node->entry_count; i++) {
        const memory_entry *entry = &node->entries[i];
        error = listing_add(out, entry->name, entry->node->inode, entry->node->filetype);
    }
    memory_unlock(self->tree);
    return error;
}

static const wasi_kind memory_directory_kind = {
    .close = memory_close,
    .stat = memory_stat,
    .set_times = memory_set_times,
    .sync = memory_sync,
    .list = memory_list,
    .open = memory_open,
    .path_stat = memory_path_stat,
    .path_set_times = memory_path_set_times,
    .make_directory = memory_make_directory,
    .remove_directory = memory_remove_directory,
    .unlink = memory_unlink,
    .rename = memory_path_rename,
    .link = memory_link,
    .symlink = memory_symlink,
    .readlink = memory_readlink,
};

wasi_file *memory_mount_new(const aw_wasi *wasi, aw_wasi_memory *tree, bool writable)
{
    memory_lock(tree);
    memory_file *self = memory_file_new(wasi, tree, tree->root, &memory_directory_kind, writable, DIRECTORY_RIGHTS);
    if (self != NULL) {
        self->is_mount = true;
    }
    memory_unlock(tree);
    return self != NULL ? &self->base : NULL;
}

// --- the embedder's view -----------------------------------------------------------------------------------------------

int aw_wasi_memory_read(aw_wasi_memory *tree, const char *path, uint8_t **bytes, size_t *size)
{
    memory_place at;
    *bytes = NULL;
    memory_lock(tree);
    int error = memory_find(tree->root, path, PLACE_FOLLOW, &at);
    if (error == WASI_OK) {
        error = at.node == NULL ? WASI_ENOENT : at.node->filetype == FILETYPE_DIRECTORY ? WASI_EISDIR : WASI_OK;
    }
    if (error == WASI_OK) {
        *size = at.node->size;
        *bytes = malloc(at.node->size > 0 ? at.node->size : 1);
        error = *bytes != NULL ? WASI_OK : WASI_ENOMEM;
    }
    if (error == WASI_OK && *size > 0) {
        memcpy(*bytes, at.node->bytes, *size);
    }
    memory_unlock(tree);
    return error;
}

// Make the directories that a path goes through: WASI_OK or an errno.
static int make_way(aw_wasi_memory *tree, const char *path, uint64_t now)
{
    char part[WASI_PATH_MAX];
    for (const char *slash = strchr(path, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        memory_place at;
        memory_node *made;
        size_t length = (size_t)(slash - path);
        memcpy(part, path, length);
        part[length] = '\0';
        int error = length == 0 ? WASI_OK : memory_find(tree->root, part, PLACE_FOLLOW, &at);
        if (error == WASI_OK && length > 0 && at.node == NULL) {
            error = memory_make(tree, &at, FILETYPE_DIRECTORY, now, &made);
        }
        if (error != WASI_OK) {
            return error;
        }
    }
    return WASI_OK;
}

int aw_wasi_memory_write(aw_wasi_memory *tree, const char *path, const uint8_t *bytes, size_t size)
{
    memory_place at;
    if (strlen(path) >= WASI_PATH_MAX) {
        return WASI_ENAMETOOLONG;
    }
    memory_lock(tree);
    uint64_t now = wasi_realtime(NULL);
    int error = make_way(tree, path, now);
    if (error == WASI_OK) {
        error = memory_find(tree->root, path, PLACE_FOLLOW, &at);
    }
    bool fresh = error == WASI_OK && at.node == NULL;
    if (error == WASI_OK &&
        (at.slash || at.name[0] == '\0' || (at.node != NULL && at.node->filetype == FILETYPE_DIRECTORY))) {
        error = WASI_EISDIR;
    }
    else if (fresh) {
        error = memory_make(tree, &at, FILETYPE_REGULAR_FILE, now, &at.node);
    }
    if (error == WASI_OK) {
        error = node_resize(tree, at.node, size);
        if (error == WASI_OK) {
            if (size > 0) {
                memcpy(at.node->bytes, bytes, size);
            }
            at.node->modified = at.node->changed = now;
        }
        else if (fresh) {
            memory_leave(tree, &at, now);
        }
    }
    memory_unlock(tree);
    return error;
}

int aw_wasi_memory_remove(aw_wasi_memory *tree, const char *path)
{
    memory_place at;
    memory_lock(tree);
    int error = memory_find(tree->root, path, PLACE_OWN_NAME, &at);
    if (error == WASI_OK) {
        error = at.node == NULL ? WASI_ENOENT : at.node->filetype == FILETYPE_DIRECTORY ? WASI_EISDIR : WASI_OK;
    }
    if (error == WASI_OK) {
        memory_leave(tree, &at, wasi_realtime(NULL));
    }
    memory_unlock(tree);
    return error;
}

int aw_wasi_memory_list(aw_wasi_memory *tree, const char *path,
                        int (*each)(void *data, const char *name, uint8_t filetype), void *data)
{
    memory_place at;
    memory_lock(tree);
    int error = path[0] == '\0' ? WASI_OK : memory_find(tree->root, path, PLACE_FOLLOW, &at);
    const memory_node *node = path[0] == '\0' ? tree->root : at.node;
    if (error == WASI_OK) {
        error = node == NULL ? WASI_ENOENT : node->filetype != FILETYPE_DIRECTORY ? WASI_ENOTDIR : WASI_OK;
    }
    for (size_t i = 0; error == WASI_OK && i < node->entry_count; i++) {
        error = each(data, node->entries[i].name, node->entries[i].node->filetype);
    }
    memory_unlock(tree);
    return error;
}

void aw_wasi_memory_sizes(aw_wasi_memory *tree, uint64_t *used, uint64_t *limit)
{
    memory_lock(tree);
    *used = tree->used - NODE_COST;
    *limit = tree->limit == UINT64_MAX ? UINT64_MAX : tree->limit - NODE_COST;
    memory_unlock(tree);
}

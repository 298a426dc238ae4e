// SPDX-License-Identifier: Apache-2.0
// A tree of files in memory, shared by whoever mounts it: one lock, counted nodes, a limit of bytes.
//
// What a guest does costs no more than it counts for: content, names, and a flat price for each node, so that a limit of bytes
// bounds everything. Paths are walked component by component, never above where they began; directories nest as deep as
// the limit allows, so nothing here calls itself.

#include "memory_tree.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

// --- birth and death -----------------------------------------------------------------------------------------------

static memory_node *node_new(aw_wasi_memory *tree, uint8_t filetype, uint64_t now)
{
    if (tree->limit - tree->used < NODE_COST) {
        return NULL;
    }
    memory_node *node = calloc(1, sizeof(*node));
    if (node != NULL) {
        tree->used += NODE_COST;
        node->references = 1;
        node->filetype = filetype;
        node->inode = tree->next_inode++;
        node->accessed = node->modified = node->changed = now;
    }
    return node;
}

memory_node *node_retain(memory_node *node)
{
    node->references++;
    return node;
}

void node_release(aw_wasi_memory *tree, memory_node *node)
{
    if (--node->references > 0) {
        return;
    }
    memory_node *pending = node;
    node->next = NULL;
    while (pending != NULL) {
        memory_node *dead = pending;
        pending = dead->next;
        for (size_t i = 0; i < dead->entry_count; i++) {
            memory_entry *entry = &dead->entries[i];
            tree->used -= strlen(entry->name);
            free(entry->name);
            entry->node->links--;
            if (entry->node->parent == dead) {
                entry->node->parent = NULL;
            }
            if (--entry->node->references == 0) {
                entry->node->next = pending;
                pending = entry->node;
            }
        }
        tree->used -= NODE_COST + dead->size;
        free(dead->entries);
        free(dead->bytes);
        free(dead);
    }
}

aw_wasi_memory *aw_wasi_memory_new(uint64_t limit)
{
    static atomic_uint trees;
    aw_wasi_memory *tree = calloc(1, sizeof(*tree));
    if (tree == NULL) {
        return NULL;
    }
    tree->limit = limit < UINT64_MAX - NODE_COST ? limit + NODE_COST : UINT64_MAX;  // the root is free
    tree->references = 1;
    tree->next_inode = 1;
    tree->device = UINT64_C(0x6D656D00000000) + atomic_fetch_add(&trees, 1);
    tree->root = node_new(tree, FILETYPE_DIRECTORY, wasi_realtime(NULL));
    if (tree->root == NULL) {
        free(tree);
        return NULL;
    }
    tree->root->links = 1;
    pthread_mutex_init(&tree->lock, NULL);
    return tree;
}

aw_wasi_memory *aw_wasi_memory_retain(aw_wasi_memory *tree)
{
    memory_lock(tree);
    tree->references++;
    memory_unlock(tree);
    return tree;
}

void aw_wasi_memory_release(aw_wasi_memory *tree)
{
    memory_lock(tree);
    bool last = --tree->references == 0;
    memory_unlock(tree);
    if (last) {
        node_release(tree, tree->root);
        pthread_mutex_destroy(&tree->lock);
        free(tree);
    }
}

void memory_lock(aw_wasi_memory *tree)
{
    pthread_mutex_lock(&tree->lock);
}

void memory_unlock(aw_wasi_memory *tree)
{
    pthread_mutex_unlock(&tree->lock);
}

// --- nodes -----------------------------------------------------------------------------------------------------------

int node_resize(aw_wasi_memory *tree, memory_node *node, uint64_t size)
{
    if (size > INT64_MAX) {
        return WASI_EFBIG;
    }
    if (size > node->size && size - node->size > tree->limit - tree->used) {
        return WASI_ENOSPC;
    }
    if (size > node->capacity || size < node->capacity / 4) {
        size_t capacity = (size_t)size +
                          (size > node->size ? (size_t)size / 4 : 0);  // a file that grows goes on growing
        uint8_t *bytes = realloc(node->bytes, capacity > 0 ? capacity : 1);
        if (bytes == NULL && size > node->capacity) {
            return WASI_ENOMEM;
        }
        if (bytes != NULL) {
            node->bytes = bytes;
            node->capacity = capacity;
        }
    }
    if (size > node->size) {
        memset(node->bytes + node->size, 0, (size_t)size - node->size);
    }
    tree->used += size - node->size;  // modulo 2^64: it may shrink
    node->size = (size_t)size;
    return WASI_OK;
}

void node_stat(const aw_wasi_memory *tree, const memory_node *node, wasi_filestat *out)
{
    *out = (wasi_filestat){
        .device = tree->device,
        .inode = node->inode,
        .filetype = node->filetype,
        .links = node->links,
        .size = node->size,
        .accessed = node->accessed,
        .modified = node->modified,
        .changed = node->changed,
    };
}

// --- names -------------------------------------------------------------------------------------------------------------

// Where the name is, or would be: true if it is there.
static bool entry_find(const memory_node *directory, const char *name, size_t *index)
{
    size_t low = 0, high = directory->entry_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(directory->entries[middle].name, name);
        if (order == 0) {
            *index = middle;
            return true;
        }
        if (order < 0) {
            low = middle + 1;
        }
        else {
            high = middle;
        }
    }
    *index = low;
    return false;
}

static memory_node *entry_node(const memory_node *directory, const char *name)
{
    size_t index;
    return entry_find(directory, name, &index) ? directory->entries[index].node : NULL;
}

int memory_enter(aw_wasi_memory *tree, const memory_place *at, memory_node *node, uint64_t now)
{
    memory_node *directory = at->directory;
    size_t index, length = strlen(at->name);
    if (directory->parent == NULL && directory != tree->root) {
        return WASI_ENOENT;  // it was removed, and lives on as an open directory
    }
    if (length > tree->limit - tree->used) {
        return WASI_ENOSPC;
    }
    if (directory->entry_count == directory->entry_capacity) {
        size_t capacity = directory->entry_capacity == 0 ? 8 : 2 * directory->entry_capacity;
        memory_entry *entries = realloc(directory->entries, capacity * sizeof(*entries));
        if (entries == NULL) {
            return WASI_ENOMEM;
        }
        directory->entries = entries;
        directory->entry_capacity = capacity;
    }
    char *copy = malloc(length + 1);
    if (copy == NULL) {
        return WASI_ENOMEM;
    }
    memcpy(copy, at->name, length + 1);
    entry_find(directory, copy, &index);
    memmove(directory->entries + index + 1, directory->entries + index,
            (directory->entry_count - index) * sizeof(*directory->entries));
    directory->entries[index] = (memory_entry){.name = copy, .node = node_retain(node)};
    directory->entry_count++;
    directory->modified = directory->changed = now;
    tree->used += length;
    node->links++;
    node->changed = now;
    if (node->filetype == FILETYPE_DIRECTORY) {
        node->parent = directory;
    }
    return WASI_OK;
}

void memory_leave(aw_wasi_memory *tree, const memory_place *at, uint64_t now)
{
    memory_node *directory = at->directory;
    size_t index;
    if (!entry_find(directory, at->name, &index)) {
        return;
    }
    memory_entry entry = directory->entries[index];
    directory->entry_count--;
    memmove(directory->entries + index, directory->entries + index + 1,
            (directory->entry_count - index) * sizeof(*directory->entries));
    directory->modified = directory->changed = now;
    tree->used -= strlen(entry.name);
    free(entry.name);
    entry.node->links--;
    entry.node->changed = now;
    if (entry.node->parent == directory) {
        entry.node->parent = NULL;
    }
    node_release(tree, entry.node);
}

int memory_make(aw_wasi_memory *tree, const memory_place *at, uint8_t filetype, uint64_t now, memory_node **out)
{
    memory_node *node = node_new(tree, filetype, now);
    if (node == NULL) {
        return tree->limit - tree->used < NODE_COST ? WASI_ENOSPC : WASI_ENOMEM;
    }
    int error = memory_enter(tree, at, node, now);
    node_release(tree, node);  // the name holds it
    *out = node;
    return error;
}

int memory_rename(aw_wasi_memory *tree, const memory_place *from, const memory_place *to, uint64_t now)
{
    memory_node *node = from->node, *there = to->node;
    if (node == NULL) {
        return WASI_ENOENT;
    }
    bool is_directory = node->filetype == FILETYPE_DIRECTORY;
    if ((from->slash || to->slash) && !is_directory) {
        return WASI_ENOTDIR;
    }
    for (const memory_node *above = to->directory; is_directory && above != NULL; above = above->parent) {
        if (above == node) {
            return WASI_EINVAL;  // into itself
        }
    }
    for (const memory_node *above = from->directory; there != NULL && above != NULL; above = above->parent) {
        if (above == there) {
            return WASI_ENOTEMPTY;  // in place of a directory that it is in
        }
    }
    if (there == node) {
        return WASI_OK;
    }
    if (there != NULL && (there->filetype == FILETYPE_DIRECTORY) != is_directory) {
        return is_directory ? WASI_ENOTDIR : WASI_EISDIR;
    }
    if (there != NULL && there->entry_count > 0) {
        return WASI_ENOTEMPTY;
    }
    if (there != NULL) {  // the name stays, and cannot fail
        size_t index;
        entry_find(to->directory, to->name, &index);
        to->directory->entries[index].node = node_retain(node);
        to->directory->modified = to->directory->changed = now;
        node->links++;
        there->links--;
        there->changed = now;
        there->parent = NULL;
        node_release(tree, there);
    }
    else {
        int error = memory_enter(tree, to, node, now);
        if (error != WASI_OK) {
            return error;
        }
    }
    memory_leave(tree, from, now);
    if (is_directory) {
        node->parent = to->directory;
    }
    return WASI_OK;
}

// --- paths -------------------------------------------------------------------------------------------------------------

enum { MOST_LINKS = 40 };

// What is left of a path, with a link's target before it: WASI_OK or an errno.
static int rest_prepend(char rest[2 * WASI_PATH_MAX], const memory_node *link)
{
    char joined[2 * WASI_PATH_MAX];
    if (link->size > 0 && link->bytes[0] == '/') {
        return WASI_ENOTCAPABLE;
    }
    int length = snprintf(joined, sizeof(joined), "%.*s%s%s", (int)link->size, (const char *)link->bytes,
                          rest[0] != '\0' ? "/" : "", rest);
    if (length >= (int)sizeof(joined)) {
        return WASI_ENAMETOOLONG;
    }
    memcpy(rest, joined, (size_t)length + 1);
    return WASI_OK;
}

// Is the last component ".."?
static bool ends_upwards(const char *path)
{
    size_t end = strlen(path);
    while (end > 0 && path[end - 1] == '/') {
        end--;
    }
    return end >= 2 && memcmp(path + end - 2, "..", 2) == 0 && (end == 2 || path[end - 3] == '/');
}

int memory_find(memory_node *start, const char *path, int flags, memory_place *out)
{
    char rest[2 * WASI_PATH_MAX];
    memory_node *directory = start;
    size_t depth = 0;  // below `start`
    int links = 0;
    if (path[0] == '/') {
        return WASI_ENOTCAPABLE;
    }
    if ((flags & PLACE_OWN_NAME) && ends_upwards(path)) {
        return WASI_ENOTCAPABLE;
    }
    snprintf(rest, sizeof(rest), "%s", path);
    *out = (memory_place){.directory = directory, .node = directory};
    for (;;) {
        char *name = rest + strspn(rest, "/");
        size_t length = strcspn(name, "/");
        char *after = name + length;
        bool slash = *after == '/';
        after += strspn(after, "/");
        bool last = *after == '\0';
        if (length > NAME_MOST) {
            return WASI_ENAMETOOLONG;
        }
        memcpy(out->name, name, length);
        out->name[length] = '\0';
        out->directory = directory;
        out->slash = slash;
        bool up = strcmp(out->name, "..") == 0;
        if (up) {
            if (depth == 0) {
                return WASI_ENOTCAPABLE;
            }
            if (directory->parent == NULL) {
                return WASI_ENOENT;
            }
            directory = directory->parent;
            depth--;
        }
        if (up || length == 0 || strcmp(out->name, ".") == 0) {
            if (last) {
                out->directory = out->node = directory;
                out->name[0] = '\0';
                return WASI_OK;
            }
            memmove(rest, after, strlen(after) + 1);
            continue;
        }
        if (last && slash && (flags & PLACE_FILE)) {
            return WASI_EISDIR;
        }
        out->node = entry_node(directory, out->name);
        if (out->node == NULL) {
            return last ? WASI_OK : WASI_ENOENT;
        }
        bool own = last && (flags & PLACE_OWN_NAME);
        bool follow = !last || (slash && !own) || ((flags & PLACE_FOLLOW) && !own);
        if (out->node->filetype == FILETYPE_SYMBOLIC_LINK && follow) {
            if (++links > MOST_LINKS) {
                return WASI_ELOOP;
            }
            memory_node *link = out->node;
            memmove(rest, after, strlen(after) + 1);
            if (last && slash) {
                strcpy(rest, ".");
            }
            int error = rest_prepend(rest, link);
            if (error != WASI_OK) {
                return error;
            }
            continue;
        }
        if (last) {
            return slash && !own && out->node->filetype != FILETYPE_DIRECTORY ? WASI_ENOTDIR : WASI_OK;
        }
        if (out->node->filetype != FILETYPE_DIRECTORY) {
            return WASI_ENOTDIR;
        }
        directory = out->node;
        depth++;
        memmove(rest, after, strlen(after) + 1);
    }
}

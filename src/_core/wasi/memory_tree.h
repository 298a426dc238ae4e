// SPDX-License-Identifier: Apache-2.0
// A tree of files in memory: its nodes, and the way to them by path.

#ifndef AW_WASI_MEMORY_TREE_H
#define AW_WASI_MEMORY_TREE_H

#include <pthread.h>

#include "internal.h"

typedef struct memory_node memory_node;

// One name in a directory.
typedef struct memory_entry {
    char *name;         // owned
    memory_node *node;  // counted
} memory_entry;

struct memory_node {
    uint32_t references;  // names, open files, and the tree for its root
    uint32_t links;       // names
    uint8_t filetype;     // regular file, directory or link
    uint64_t inode;
    uint64_t accessed, modified, changed;  // nanoseconds since 1970

    uint8_t *bytes;         // owned: a file's content, or a link's target without a NUL
    size_t size, capacity;  // of them

    memory_entry *entries;  // owned: a directory's, sorted by name
    size_t entry_count, entry_capacity;
    memory_node *parent;  // borrowed: the directory that a directory is in; NULL for the root and for what was removed
    memory_node *next;    // in the list of what is to be freed
};

// All functions below want the lock to be held, and no pointer to a node is good without it but those that are counted.
struct aw_wasi_memory {
    pthread_mutex_t lock;
    uint32_t references;
    uint64_t device;       // what tells files of one tree from another's
    uint64_t limit, used;  // bytes
    uint64_t next_inode;
    memory_node *root;
};

enum { NODE_COST = 256, NAME_MOST = 255 };  // bytes that a node counts for, besides content and name; bytes of a name

void memory_lock(aw_wasi_memory *tree);
void memory_unlock(aw_wasi_memory *tree);

memory_node *node_retain(memory_node *node);
void node_release(aw_wasi_memory *tree, memory_node *node);

// A new size for a file, zeros where it grows: WASI_OK, ENOSPC, EFBIG or ENOMEM.
int node_resize(aw_wasi_memory *tree, memory_node *node, uint64_t size);
void node_stat(const aw_wasi_memory *tree, const memory_node *node, wasi_filestat *out);

// Where a path leads: the directory that its last component is in, and that component, unless it is that directory itself.
typedef struct memory_place {
    memory_node *directory;
    memory_node *node;         // NULL: there is nothing of that name
    char name[NAME_MOST + 1];  // empty: the path ends in "." or "..", and `node` is the directory
    bool slash;                // the path ends in one: it names a directory
} memory_place;

enum { PLACE_FOLLOW = 1, PLACE_OWN_NAME = 2, PLACE_FILE = 4 };

// Find *path* beneath a directory: WASI_OK, also for a last component that there is not, or an errno. PLACE_FOLLOW: follow a link that
// the last component names. PLACE_OWN_NAME: for what is made, moved or removed, of which not even a slash makes a link followed.
// PLACE_FILE: for a file to be made, so that a slash at the end is EISDIR, whatever is there.
int memory_find(memory_node *start, const char *path, int flags, memory_place *out);

// Give the node a name in the place's directory, where there is none: WASI_OK or an errno. Counts the name.
int memory_enter(aw_wasi_memory *tree, const memory_place *at, memory_node *node, uint64_t now);
// Take the name away, and what it named with the last reference.
void memory_leave(aw_wasi_memory *tree, const memory_place *at, uint64_t now);
// A new node of that type with a name: WASI_OK and the node, borrowed, or an errno.
int memory_make(aw_wasi_memory *tree, const memory_place *at, uint8_t filetype, uint64_t now, memory_node **out);
int memory_rename(aw_wasi_memory *tree, const memory_place *from, const memory_place *to, uint64_t now);

#endif

// SPDX-License-Identifier: Apache-2.0
// One thread waits for the earliest deadline and interrupts that store. It starts with the first deadline and ends with the
// last, so that a process without deadlines has no thread of ours, and a fork (which keeps the forking thread
// alone) finds at worst a list whose thread is gone: the child starts with an empty one.

#include "deadline.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

typedef struct deadline {
    const aw_engine_api *api;
    aw_store *store;        // borrowed: disarmed before it goes
    struct timespec when;   // CLOCK_MONOTONIC
    struct deadline *next;  // later ones
} deadline;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed;  // initialised with the first thread, on the monotonic clock
static deadline *pending;       // sorted, the earliest first
static bool running;            // the thread lives
static bool initialised;

static bool earlier(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec < b->tv_sec || (a->tv_sec == b->tv_sec && a->tv_nsec < b->tv_nsec);
}

static void *watch(void *unused)
{
    (void)unused;
    pthread_mutex_lock(&lock);
    while (pending != NULL) {
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        if (earlier(&now, &pending->when)) {
            struct timespec when = pending->when;
            pthread_cond_timedwait(&changed, &lock, &when);
            continue;
        }
        deadline *due = pending;
        pending = due->next;
        due->api->store_interrupt(due->store);
        free(due);
    }
    running = false;
    pthread_mutex_unlock(&lock);
    return NULL;
}

static void fork_child(void)
{
    pthread_mutex_init(&lock, NULL);
    pending = NULL;  // the parent's: leaked, a few bytes
    running = false;
    initialised = false;
}

int deadline_arm(const aw_engine_api *api, aw_store *store, double seconds)
{
    deadline *item = malloc(sizeof(*item));
    if (item == NULL) {
        return -1;
    }
    item->api = api;
    item->store = store;
    clock_gettime(CLOCK_MONOTONIC, &item->when);
    if (seconds > 1e9) {
        seconds = 1e9;
    }
    item->when.tv_sec += (time_t)seconds;
    item->when.tv_nsec += (long)((seconds - (double)(time_t)seconds) * 1e9);
    if (item->when.tv_nsec >= 1000000000L) {
        item->when.tv_sec++;
        item->when.tv_nsec -= 1000000000L;
    }
    int status = 0;
    static bool fork_handler;
    pthread_mutex_lock(&lock);
    if (!fork_handler) {
        fork_handler = pthread_atfork(NULL, NULL, fork_child) == 0;
    }
    if (!initialised) {
        pthread_condattr_t attributes;
        pthread_condattr_init(&attributes);
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
        pthread_cond_init(&changed, &attributes);
        pthread_condattr_destroy(&attributes);
        initialised = true;
    }
    deadline **place = &pending;
    while (*place != NULL && !earlier(&item->when, &(*place)->when)) {
        place = &(*place)->next;
    }
    item->next = *place;
    *place = item;
    if (running) {
        pthread_cond_signal(&changed);
    }
    else {
        pthread_t thread;
        if (pthread_create(&thread, NULL, watch, NULL) == 0) {
            pthread_detach(thread);
            running = true;
        }
        else {
            *place = item->next;
            free(item);
            status = -1;
        }
    }
    pthread_mutex_unlock(&lock);
    return status;
}

void deadline_disarm(const aw_engine_api *api, aw_store *store)
{
    pthread_mutex_lock(&lock);
    for (deadline **place = &pending; *place != NULL; place = &(*place)->next) {
        if ((*place)->store == store) {
            deadline *item = *place;
            *place = item->next;
            free(item);
            break;
        }
    }
    if (running) {
        pthread_cond_signal(&changed);
    }
    pthread_mutex_unlock(&lock);
    api->store_uninterrupt(store);
}

// SPDX-License-Identifier: Apache-2.0
// One thread waits for the earliest deadline and interrupts that store. It starts with the first deadline and ends with the
// last, so that a process without deadlines has no thread of ours. It runs no Python code, takes no lock but the one here and gets no
// signals, so it is in nobody's way when the process ends.
//
// A fork keeps the forking thread alone. The call that forked goes on in both processes, and so does its deadline: the child
// starts a thread of its own.

#include "deadline.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed;  // initialised with the first deadline, on the monotonic clock
static deadline *pending;       // sorted, the earliest first
static bool running;            // the thread lives
static bool initialised;

static bool earlier(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec < b->tv_sec || (a->tv_sec == b->tv_sec && a->tv_nsec < b->tv_nsec);
}

static void fire(void)
{
    deadline *due = pending;
    pending = due->next;
    due->pending = false;
    due->api->store_interrupt(due->store);
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
        }
        else {
            fire();
        }
    }
    running = false;
    pthread_mutex_unlock(&lock);
    return NULL;
}

// With the lock: is there a thread now?
static bool start(void)
{
    enum { STACK = 64 << 10 };  // for two calls and a system call
    pthread_attr_t attributes;
    if (pthread_attr_init(&attributes) != 0) {
        return false;
    }
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, STACK > PTHREAD_STACK_MIN ? STACK : PTHREAD_STACK_MIN);
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);  // the thread inherits it
    pthread_t thread;
    running = pthread_create(&thread, &attributes, watch, NULL) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return running;
}

static void initialise_condition(void)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&changed, &attributes);
    pthread_condattr_destroy(&attributes);
}

static void fork_prepare(void)
{
    pthread_mutex_lock(&lock);
}

static void fork_parent(void)
{
    pthread_mutex_unlock(&lock);
}

static void fork_child(void)
{
    pthread_mutex_init(&lock, NULL);
    initialise_condition();
    running = false;
    if (pending != NULL && !start()) {
        while (pending != NULL) {  // too early, which is better than never
            fire();
        }
    }
}

static void after(struct timespec *when, double seconds)
{
    clock_gettime(CLOCK_MONOTONIC, when);
    if (seconds > 1e9) {
        seconds = 1e9;
    }
    when->tv_sec += (time_t)seconds;
    when->tv_nsec += (long)((seconds - (double)(time_t)seconds) * 1e9);
    if (when->tv_nsec >= 1000000000L) {
        when->tv_sec++;
        when->tv_nsec -= 1000000000L;
    }
}

static void unlink_pending(deadline *self)
{
    deadline **place = &pending;
    while (*place != self) {
        place = &(*place)->next;
    }
    *place = self->next;
    self->pending = false;
}

int deadline_arm(deadline *self, const aw_engine_api *api, aw_store *store, double seconds)
{
    self->api = api;
    self->store = store;
    after(&self->when, seconds);
    pthread_mutex_lock(&lock);
    if (!initialised) {
        initialise_condition();
        initialised = pthread_atfork(fork_prepare, fork_parent, fork_child) == 0;
    }
    deadline **place = &pending;
    while (*place != NULL && !earlier(&self->when, &(*place)->when)) {
        place = &(*place)->next;
    }
    self->next = *place;
    *place = self;
    self->pending = true;
    int status = 0;
    if (!running) {
        status = initialised && start() ? 0 : -1;
    }
    else if (pending == self) {
        pthread_cond_signal(&changed);
    }
    if (status < 0) {
        unlink_pending(self);
    }
    pthread_mutex_unlock(&lock);
    return status;
}

void deadline_disarm(deadline *self)
{
    pthread_mutex_lock(&lock);
    if (self->pending) {
        unlink_pending(self);
        if (pending == NULL) {
            pthread_cond_signal(&changed);  // the thread is not needed any more
        }
    }
    pthread_mutex_unlock(&lock);
    self->api->store_uninterrupt(self->store);
}

// SPDX-License-Identifier: Apache-2.0
// Preloaded: no thread can be started while the environment has NO_THREAD.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *argument)
{
    int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    void *symbol = dlsym(RTLD_NEXT, "pthread_create");
    memcpy(&real, &symbol, sizeof(real));
    return getenv("NO_THREAD") != NULL ? EAGAIN : real(thread, attributes, run, argument);
}

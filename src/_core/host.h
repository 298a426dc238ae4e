// SPDX-License-Identifier: Apache-2.0
// What everything that is called by guests has in common.

#ifndef AW_HOST_H
#define AW_HOST_H

#include "func.h"

// Around the Python code that a guest calls: the GIL is held between these, whatever it was before. A callable that lets other
// threads run by itself ends a stretch of the call's time without Python code (func.c).
typedef struct host_visit {
    PyThreadState *token;
    bool ends_stretch;
} host_visit;

static inline host_visit host_enter(StoreObject *store, bool yields)
{
    host_visit visit = {.ends_stretch = store->timing.on && yields};
    if (visit.ends_stretch) {
        store_stretch_end(store);
    }
    visit.token = store_gil_take(store);
    return visit;
}

static inline void host_leave(StoreObject *store, host_visit visit)
{
    store_gil_return(store, visit.token);
    if (visit.ends_stretch) {
        store_stretch_begin(store);
    }
}

// With an exception pending: it is thrown on as Wasm's own, or kept until the call from Python fails.
aw_hostresult host_failed(StoreObject *store, aw_raw *values);

#endif

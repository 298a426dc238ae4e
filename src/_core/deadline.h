// SPDX-License-Identifier: Apache-2.0
// Wall-clock limits of calls: one thread for the process, which lives only while a deadline is pending.

#ifndef AW_DEADLINE_H
#define AW_DEADLINE_H

#include <time.h>

#include "engines/engine.h"

// A deadline that may be pending: lies with its store, which nobody frees between arm and disarm.
typedef struct deadline {
    const aw_engine_api *api;
    aw_store *store;
    struct timespec when;  // CLOCK_MONOTONIC
    struct deadline *next;
    bool pending;
} deadline;

// Interrupt *store* in *seconds* unless deadline_disarm comes first: 0, or -1 when no thread can be had. No GIL needed.
int deadline_arm(deadline *self, const aw_engine_api *api, aw_store *store, double seconds);

// Afterwards the store is not interrupted by its deadline any more, and an interruption that came too late is taken back.
void deadline_disarm(deadline *self);

#endif

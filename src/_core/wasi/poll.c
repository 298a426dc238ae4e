// SPDX-License-Identifier: Apache-2.0
// Waiting: for the host's descriptors and for time to pass, always so that the embedder can end it; and poll_oneoff.

#include <poll.h>
#include <stdlib.h>

#include "internal.h"

// --- waiting -----------------------------------------------------------------------------------------------------

// The embedder is asked whether to go on after each slice of waiting, and whenever a signal came. 50 ms: a deadline or Ctrl-C is felt
// at once, and twenty wake-ups a second cost nothing.
enum { SLICE = 50 * 1000 * 1000 };

int wasi_check(aw_wasi *wasi)
{
    return wasi->host.check != NULL && wasi->host.check(wasi->host.data) != 0 ? WASI_RAISED : 0;
}

int wasi_wait(aw_wasi *wasi, struct pollfd *polls, size_t count, uint64_t deadline)
{
    for (;;) {
        uint64_t now = monotonic_now();
        uint64_t left = deadline > now ? deadline - now : 0;
        bool last = left <= SLICE;
        if (!last) {
            left = SLICE;
        }
        struct timespec slice = {.tv_nsec = (long)left};
        int result = ppoll(polls, (nfds_t)count, &slice, NULL);
        if (result > 0 || (result == 0 && last)) {
            return WASI_OK;
        }
        if (result < 0 && errno != EINTR) {
            return wasi_errno();
        }
        if (wasi_check(wasi) < 0) {
            return WASI_RAISED;
        }
    }
}

// --- poll_oneoff ------------------------------------------------------------------------------------------------

enum { EVENT_CLOCK = 0, EVENT_READ = 1, EVENT_WRITE = 2, MOST_SUBSCRIPTIONS = 8192 };
enum { CLOCK_ABSOLUTE = 1, EVENT_HANGUP = 1 };

typedef struct guest_subscription {
    uint64_t userdata;
    uint8_t kind, unused[7];
    uint32_t number;  // of a clock or a descriptor
    uint32_t padding;
    uint64_t timeout, precision;
    uint16_t flags, rest[3];
} guest_subscription;
_Static_assert(sizeof(guest_subscription) == 48, "the guest's layout");

typedef struct guest_event {
    uint64_t userdata;
    uint16_t error;
    uint8_t kind, unused[5];
    uint64_t bytes;
    uint16_t flags, rest[3];
} guest_event;
_Static_assert(sizeof(guest_event) == 32, "the guest's layout");

typedef struct subscription {
    guest_event event;
    bool waits;
    uint64_t timeout;   // of a clock, in the program's time
    uint64_t deadline;  // the same on the host's monotonic one
    size_t poll_index;  // of a descriptor
    wasi_file *file;
} subscription;

static void subscription_fire(subscription *self, int error)
{
    self->waits = false;
    self->event.error = (uint16_t)error;
}

static void subscribe_clock(aw_wasi *wasi, subscription *self, const guest_subscription *given)
{
    clockid_t clock;
    if (wasi_clock(given->number, &clock) != WASI_OK) {
        subscription_fire(self, WASI_EINVAL);
        return;
    }
    if (clock != CLOCK_REALTIME && clock != CLOCK_MONOTONIC) {
        subscription_fire(self, WASI_ENOTSUP);  // no waiting for time that only passes while one works
        return;
    }
    self->timeout = given->timeout;
    if (given->flags & CLOCK_ABSOLUTE) {
        uint64_t now = 0;
        wasi_clock_read(wasi, given->number, &now);
        self->timeout = self->timeout > now ? self->timeout - now : 0;
    }
    self->deadline = wasi_deadline(wasi, self->timeout);
}

static void subscribe_descriptor(wasi_call *call, subscription *self, const guest_subscription *given,
                                 struct pollfd *polls, size_t *poll_count)
{
    wasi_descriptor *descriptor;
    aw_raw number = {.i32 = (int32_t)given->number};
    int error = descriptor_get(call->wasi, &number, RIGHT_POLL_FD_READWRITE, &descriptor);
    if (error != WASI_OK) {
        subscription_fire(self, error);
        return;
    }
    self->file = descriptor->file;
    int host = self->file->kind->waits_for != NULL ? self->file->kind->waits_for(self->file) : -1;
    if (host < 0) {
        subscription_fire(self, WASI_OK);
        return;
    }
    short events = given->kind == EVENT_READ ? POLLIN | POLLRDHUP : POLLOUT;
    polls[*poll_count] = (struct pollfd){.fd = host, .events = events};
    self->poll_index = (*poll_count)++;
}

// Those whose time has come. Where the program's time stands, it goes on to the next of them, if nothing else has fired.
static void fire_clocks(aw_wasi *wasi, subscription *items, size_t count)
{
    bool stands = wasi_stands(wasi), fired = false;
    uint64_t now = monotonic_now(), least = UINT64_MAX;
    for (size_t i = 0; i < count; i++) {
        const subscription *item = &items[i];
        fired = fired || !item->waits;
        if (item->waits && item->event.kind == EVENT_CLOCK && item->timeout < least) {
            least = item->timeout;
        }
    }
    if (stands && fired) {
        least = 0;
    }
    else if (stands && least < UINT64_MAX) {
        wasi_pass(wasi, least);
    }
    for (size_t i = 0; i < count; i++) {
        subscription *item = &items[i];
        if (item->waits && item->event.kind == EVENT_CLOCK &&
            (stands ? item->timeout <= least : item->deadline <= now)) {
            subscription_fire(item, WASI_OK);
        }
    }
}

// Wait until one fires, or some: 0, an errno, or WASI_RAISED.
static int wait_for(wasi_call *call, subscription *items, size_t count, struct pollfd *polls, size_t poll_count)
{
    uint64_t deadline = WASI_FOREVER;
    for (size_t i = 0; i < count; i++) {
        if (!items[i].waits) {
            deadline = 0;
        }
        else if (items[i].event.kind == EVENT_CLOCK && items[i].deadline < deadline) {
            deadline = items[i].deadline;
        }
    }
    int error = wasi_wait(call->wasi, polls, poll_count, deadline);
    if (error != WASI_OK) {
        return error;
    }
    for (size_t i = 0; i < count; i++) {
        subscription *item = &items[i];
        if (item->event.kind != EVENT_CLOCK && item->waits && polls[item->poll_index].revents != 0) {
            subscription_fire(item, WASI_OK);
            item->event.flags = polls[item->poll_index].revents & (POLLHUP | POLLRDHUP) ? EVENT_HANGUP : 0;
        }
    }
    fire_clocks(call->wasi, items, count);
    return WASI_OK;
}

int wasi_poll_oneoff(wasi_call *call, const aw_raw *arguments)
{
    uint32_t count = u32(&arguments[2]), out = u32(&arguments[1]);
    if (count == 0) {
        return WASI_EINVAL;
    }
    if (count > MOST_SUBSCRIPTIONS) {
        return WASI_ENOMEM;
    }
    const uint8_t *in = guest_bytes(call, u32(&arguments[0]), (uint64_t)count * sizeof(guest_subscription));
    if (in == NULL || guest_bytes(call, out, (uint64_t)count * sizeof(guest_event)) == NULL ||
        guest_bytes(call, u32(&arguments[3]), 4) == NULL) {
        return WASI_EFAULT;
    }
    subscription *items = calloc(count, sizeof(*items));
    struct pollfd *polls = calloc(count, sizeof(*polls));
    size_t poll_count = 0;
    int error = WASI_ENOMEM;
    if (items == NULL || polls == NULL) {
        goto done;
    }
    error = WASI_EINVAL;
    for (uint32_t i = 0; i < count; i++) {
        guest_subscription given;
        memcpy(&given, in + (size_t)i * sizeof(given), sizeof(given));
        items[i].waits = true;
        items[i].event.userdata = given.userdata;
        items[i].event.kind = given.kind;
        if (given.kind == EVENT_CLOCK) {
            subscribe_clock(call->wasi, &items[i], &given);
        }
        else if (given.kind == EVENT_READ || given.kind == EVENT_WRITE) {
            subscribe_descriptor(call, &items[i], &given, polls, &poll_count);
        }
        else {
            goto done;
        }
    }
    error = wait_for(call, items, count, polls, poll_count);
    if (error != WASI_OK) {
        goto done;
    }
    call_refresh(call);
    uint32_t events = 0;
    for (uint32_t i = 0; i < count; i++) {
        subscription *item = &items[i];
        if (item->waits) {
            continue;
        }
        if (item->file != NULL && item->event.kind == EVENT_READ) {
            item->event.bytes = item->file->kind->available != NULL ? item->file->kind->available(item->file) : 1;
        }
        guest_store(call, out + events++ * (uint32_t)sizeof(guest_event), &item->event, sizeof(guest_event));
    }
    guest_store(call, u32(&arguments[3]), &events, 4);
done:
    free(items);
    free(polls);
    return error;
}

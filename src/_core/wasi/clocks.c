// SPDX-License-Identifier: Apache-2.0
// Time: the four clocks, and poll_oneoff, which sleeps and waits for descriptors.

#include <poll.h>
#include <stdlib.h>

#include "internal.h"

static int clock_of(uint32_t number, clockid_t *out)
{
    static const clockid_t clocks[] = {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_PROCESS_CPUTIME_ID, CLOCK_THREAD_CPUTIME_ID};
    if (number >= sizeof(clocks) / sizeof(clocks[0])) {
        return WASI_EINVAL;
    }
    *out = clocks[number];
    return WASI_OK;
}

static uint64_t nanoseconds(const struct timespec *time)
{
    return (uint64_t)time->tv_sec * 1000000000 + (uint64_t)time->tv_nsec;
}

static int clock_store(wasi_call *call, int result, const struct timespec *time, uint32_t pointer)
{
    if (result != 0) {
        return wasi_errno();
    }
    uint64_t value = nanoseconds(time);
    return guest_store(call, pointer, &value, 8) ? WASI_OK : WASI_EFAULT;
}

int wasi_clock_res_get(wasi_call *call, const aw_raw *arguments)
{
    clockid_t clock;
    struct timespec time;
    int error = clock_of(u32(&arguments[0]), &clock);
    return error != WASI_OK ? error : clock_store(call, clock_getres(clock, &time), &time, u32(&arguments[1]));
}

int wasi_clock_time_get(wasi_call *call, const aw_raw *arguments)
{
    clockid_t clock;
    struct timespec time;
    int error = clock_of(u32(&arguments[0]), &clock);
    return error != WASI_OK ? error : clock_store(call, clock_gettime(clock, &time), &time, u32(&arguments[2]));
}

// --- poll_oneoff ------------------------------------------------------------------------------------------------

enum { SUBSCRIPTION_SIZE = 48, EVENT_SIZE = 32, EVENT_CLOCK = 0, EVENT_READ = 1, EVENT_WRITE = 2, MOST_SUBSCRIPTIONS = 8192 };

typedef struct subscription {
    uint64_t userdata;
    uint8_t kind;
    int error;          // what it ends with; -1 while it waits
    uint64_t deadline;  // of a clock, on CLOCK_MONOTONIC
    int poll_index;     // of a descriptor that the host can wait for, else -1
    uint64_t bytes;
} subscription;

static void load(void *out, const uint8_t *bytes, size_t offset, size_t size)
{
    memcpy(out, bytes + offset, size);
}

// A clock's subscription: when is it due?
static void subscribe_clock(subscription *item, const uint8_t *bytes)
{
    uint32_t number;
    uint64_t timeout;
    uint16_t flags;
    load(&number, bytes, 16, 4);
    load(&timeout, bytes, 24, 8);
    load(&flags, bytes, 40, 2);
    clockid_t clock;
    struct timespec now, monotonic;
    if (clock_of(number, &clock) != WASI_OK || clock_gettime(clock, &now) != 0) {
        item->error = WASI_EINVAL;
        return;
    }
    clock_gettime(CLOCK_MONOTONIC, &monotonic);
    if (flags & 1) {  // absolute
        uint64_t passed = nanoseconds(&now);
        timeout = timeout > passed ? timeout - passed : 0;
    }
    uint64_t start = nanoseconds(&monotonic);
    item->deadline = timeout > UINT64_MAX - start ? UINT64_MAX : start + timeout;
}

// A descriptor's: the host waits for files, the rest is ready at once.
static void subscribe_descriptor(wasi_call *call, subscription *item, const uint8_t *bytes, struct pollfd *polls, int *count)
{
    uint32_t number;
    load(&number, bytes, 16, 4);
    const wasi_descriptor *descriptor = descriptor_get(call->wasi, number);
    if (descriptor == NULL) {
        item->error = WASI_EBADF;
    }
    else if (descriptor->kind == WASI_FILE) {
        polls[*count] = (struct pollfd){.fd = descriptor->host, .events = item->kind == EVENT_READ ? POLLIN : POLLOUT};
        item->poll_index = (*count)++;
    }
    else {
        item->error = WASI_OK;
        item->bytes = descriptor->kind == WASI_DIRECTORY ? 0 : 1;
    }
}

// Wait until something is ready: 0, an errno, or WASI_RAISED.
static int wait_for(wasi_call *call, subscription *items, uint32_t count, struct pollfd *polls, int poll_count)
{
    bool ready = false;
    uint64_t deadline = UINT64_MAX;
    for (uint32_t i = 0; i < count; i++) {
        ready = ready || items[i].error >= 0;
        if (items[i].kind == EVENT_CLOCK && items[i].error < 0 && items[i].deadline < deadline) {
            deadline = items[i].deadline;
        }
    }
    for (;;) {
        struct timespec now, left = {0, 0};
        clock_gettime(CLOCK_MONOTONIC, &now);
        uint64_t start = nanoseconds(&now);
        bool forever = !ready && deadline == UINT64_MAX;
        if (!ready && deadline > start) {
            uint64_t nanos = deadline - start;
            left = (struct timespec){.tv_sec = (time_t)(nanos / 1000000000), .tv_nsec = (long)(nanos % 1000000000)};
        }
        int result = ppoll(polls, (nfds_t)poll_count, forever ? NULL : &left, NULL);
        if (result >= 0) {
            break;
        }
        if (errno != EINTR) {
            return wasi_errno();
        }
        if (wasi_signalled(call->wasi) < 0) {
            return WASI_RAISED;
        }
    }
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    for (uint32_t i = 0; i < count; i++) {
        subscription *item = &items[i];
        if (item->error >= 0) {
            continue;
        }
        if (item->kind == EVENT_CLOCK && item->deadline <= nanoseconds(&now)) {
            item->error = WASI_OK;
        }
        else if (item->kind != EVENT_CLOCK && item->poll_index >= 0 && polls[item->poll_index].revents != 0) {
            item->error = polls[item->poll_index].revents & POLLNVAL ? WASI_EBADF : WASI_OK;
            item->bytes = 1;
        }
    }
    return WASI_OK;
}

int wasi_poll_oneoff(wasi_call *call, const aw_raw *arguments)
{
    uint32_t count = u32(&arguments[2]);
    if (count == 0) {
        return WASI_EINVAL;
    }
    if (count > MOST_SUBSCRIPTIONS) {
        return WASI_ENOMEM;
    }
    const uint8_t *in = guest_bytes(call, u32(&arguments[0]), (uint64_t)count * SUBSCRIPTION_SIZE);
    if (in == NULL || guest_bytes(call, u32(&arguments[1]), (uint64_t)count * EVENT_SIZE) == NULL ||
        guest_bytes(call, u32(&arguments[3]), 4) == NULL) {
        return WASI_EFAULT;
    }
    subscription *items = calloc(count, sizeof(*items));
    struct pollfd *polls = calloc(count, sizeof(*polls));
    int result = WASI_ENOMEM, poll_count = 0;
    if (items == NULL || polls == NULL) {
        goto done;
    }
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *bytes = in + (size_t)i * SUBSCRIPTION_SIZE;
        items[i].error = -1;
        items[i].poll_index = -1;
        load(&items[i].userdata, bytes, 0, 8);
        items[i].kind = bytes[8];
        if (items[i].kind == EVENT_CLOCK) {
            subscribe_clock(&items[i], bytes);
        }
        else if (items[i].kind == EVENT_READ || items[i].kind == EVENT_WRITE) {
            subscribe_descriptor(call, &items[i], bytes, polls, &poll_count);
        }
        else {
            result = WASI_EINVAL;
            goto done;
        }
    }
    result = wait_for(call, items, count, polls, poll_count);
    if (result != WASI_OK) {
        goto done;
    }
    call_refresh(call);
    uint32_t events = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint8_t *out = guest_bytes(call, u32(&arguments[1]) + events * EVENT_SIZE, EVENT_SIZE);
        if (items[i].error < 0 || out == NULL) {
            continue;
        }
        uint16_t error = (uint16_t)items[i].error;
        memset(out, 0, EVENT_SIZE);
        memcpy(out, &items[i].userdata, 8);
        memcpy(out + 8, &error, 2);
        out[10] = items[i].kind;
        memcpy(out + 16, &items[i].bytes, 8);
        events++;
    }
    guest_store(call, u32(&arguments[3]), &events, 4);
done:
    free(items);
    free(polls);
    return result;
}

// SPDX-License-Identifier: Apache-2.0
// The four clocks.

#include "internal.h"

int wasi_clock(uint32_t number, clockid_t *out)
{
    static const clockid_t clocks[] = {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_PROCESS_CPUTIME_ID,
                                       CLOCK_THREAD_CPUTIME_ID};
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

uint64_t monotonic_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return nanoseconds(&now);
}

uint64_t wasi_realtime(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return nanoseconds(&now);
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
    int error = wasi_clock(u32(&arguments[0]), &clock);
    return error != WASI_OK ? error : clock_store(call, clock_getres(clock, &time), &time, u32(&arguments[1]));
}

int wasi_clock_time_get(wasi_call *call, const aw_raw *arguments)
{
    clockid_t clock;
    struct timespec time;
    int error = wasi_clock(u32(&arguments[0]), &clock);
    return error != WASI_OK ? error : clock_store(call, clock_gettime(clock, &time), &time, u32(&arguments[2]));
}

// SPDX-License-Identifier: Apache-2.0
// The four clocks: the host's, or one of the program's own, which all four show.

#include "internal.h"

enum { SECOND = 1000000000 };

static uint64_t nanoseconds(const struct timespec *time)
{
    return (uint64_t)time->tv_sec * SECOND + (uint64_t)time->tv_nsec;
}

static uint64_t host_now(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return nanoseconds(&now);
}

uint64_t monotonic_now(void)
{
    return host_now(CLOCK_MONOTONIC);
}

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

// --- the program's own -------------------------------------------------------------------------------------------

void aw_wasi_set_clock(aw_wasi *wasi, const aw_wasi_clock *clock)
{
    wasi->own_clock = true;
    wasi->clock = *clock;
    wasi->clock_origin = monotonic_now();
    wasi->clock_advance = 0;
}

// As an integer, whatever a double may be: the largest stands for all that are too large.
static uint64_t scaled(uint64_t time, double factor)
{
    double product = (double)time * factor;
    return product >= 18e18 ? UINT64_C(18000000000000000000) : (uint64_t)product;
}

// Nanoseconds of the program's time since it began.
static uint64_t elapsed(const aw_wasi *wasi)
{
    uint64_t passed = wasi->clock.speed > 0 ? scaled(monotonic_now() - wasi->clock_origin, wasi->clock.speed) : 0;
    return passed + wasi->clock_advance;
}

uint64_t wasi_realtime(const aw_wasi *wasi)
{
    return wasi != NULL && wasi->own_clock ? wasi->clock.start + elapsed(wasi) : host_now(CLOCK_REALTIME);
}

bool wasi_stands(const aw_wasi *wasi)
{
    return wasi->own_clock && wasi->clock.speed <= 0;
}

void wasi_pass(aw_wasi *wasi, uint64_t nanoseconds)
{
    wasi->clock_advance += nanoseconds;
}

uint64_t wasi_deadline(const aw_wasi *wasi, uint64_t timeout)
{
    uint64_t now = monotonic_now();
    if (wasi_stands(wasi)) {
        return now;
    }
    if (wasi->own_clock) {
        timeout = scaled(timeout, 1 / wasi->clock.speed);
    }
    return timeout > WASI_FOREVER - now ? WASI_FOREVER : now + timeout;
}

int wasi_clock_read(aw_wasi *wasi, uint32_t number, uint64_t *out)
{
    clockid_t clock;
    int error = wasi_clock(number, &clock);
    if (error != WASI_OK) {
        return error;
    }
    if (!wasi->own_clock) {
        struct timespec now;
        if (clock_gettime(clock, &now) < 0) {
            return wasi_errno();
        }
        *out = nanoseconds(&now);
        return WASI_OK;
    }
    // Programs take a monotonic clock at 0 for one that does not work, so it begins with a second.
    *out = (clock == CLOCK_REALTIME ? wasi->clock.start : SECOND) + elapsed(wasi);
    return WASI_OK;
}

// --- the functions -------------------------------------------------------------------------------------------------

int wasi_clock_res_get(wasi_call *call, const aw_raw *arguments)
{
    const aw_wasi *wasi = call->wasi;
    clockid_t clock;
    struct timespec time;
    int error = wasi_clock(u32(&arguments[0]), &clock);
    if (error == WASI_OK && clock_getres(clock, &time) < 0) {
        error = wasi_errno();
    }
    if (error != WASI_OK) {
        return error;
    }
    uint64_t value = wasi->own_clock && wasi->clock.step > 0 ? wasi->clock.step : nanoseconds(&time);
    return guest_store(call, u32(&arguments[1]), &value, 8) ? WASI_OK : WASI_EFAULT;
}

int wasi_clock_time_get(wasi_call *call, const aw_raw *arguments)
{
    uint64_t value;
    int error = wasi_clock_read(call->wasi, u32(&arguments[0]), &value);
    if (error == WASI_OK && call->wasi->own_clock) {
        wasi_pass(call->wasi, call->wasi->clock.step);
    }
    return error != WASI_OK ? error : guest_store(call, u32(&arguments[2]), &value, 8) ? WASI_OK : WASI_EFAULT;
}

// SPDX-License-Identifier: Apache-2.0
// Clocks, sleeping, random bytes.

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static long long nanoseconds(struct timespec time)
{
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

int main(void)
{
    printf("%lld\n", (long long)time(NULL));

    struct timespec before, after, resolution;
    clock_gettime(CLOCK_MONOTONIC, &before);
    clock_gettime(CLOCK_MONOTONIC, &after);
    puts(nanoseconds(after) >= nanoseconds(before) ? "monotonic goes on" : "monotonic went back");

    struct timespec pause = {.tv_nsec = 20 * 1000 * 1000};
    nanosleep(&pause, NULL);
    clock_gettime(CLOCK_MONOTONIC, &after);
    puts(nanoseconds(after) - nanoseconds(before) >= 20 * 1000 * 1000 ? "slept at least 20 ms" : "slept too short");

    clock_getres(CLOCK_MONOTONIC, &resolution);
    puts(nanoseconds(resolution) > 0 && resolution.tv_sec == 0 ? "resolution is sane" : "resolution is odd");

    char one[16], two[16];
    getentropy(one, sizeof one);
    getentropy(two, sizeof two);
    puts(memcmp(one, two, sizeof one) != 0 ? "random bytes differ" : "random bytes are the same");
    return 0;
}

// SPDX-License-Identifier: Apache-2.0
// Arguments, environment, clocks, sleeping, polling and standard streams; prints the same wherever it runs.
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static long long now(clockid_t clock)
{
    struct timespec time;
    clock_gettime(clock, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

int main(int count, char **arguments)
{
    for (int i = 1; i < count; i++) {
        printf("argument %s\n", arguments[i]);
    }
    printf("GREETING=%s\n", getenv("GREETING"));
    printf("NOTHING %s\n", getenv("NOTHING") == NULL ? "unset" : "set");
    setenv("NOTHING", "something", 1);
    printf("NOTHING=%s\n", getenv("NOTHING"));

    long long begun = now(CLOCK_MONOTONIC);
    struct timespec pause = {.tv_nsec = 20000000};
    printf("nanosleep %d\n", nanosleep(&pause, NULL));
    printf("usleep %d\n", usleep(1000));
    long long slept = now(CLOCK_MONOTONIC) - begun;
    printf("slept long enough %d, not too long %d\n", slept >= 21000000, slept < 20000000000LL);
    printf("the year is past 2020: %d\n", now(CLOCK_REALTIME) / 1000000000 > 1577836800);
    struct timespec resolution;
    printf("resolution %d\n", clock_getres(CLOCK_MONOTONIC, &resolution));
    struct tm parts = {.tm_year = 100, .tm_mon = 1, .tm_mday = 29, .tm_hour = 12};
    char text[100];
    time_t leap = mktime(&parts);
    strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S %j %a", gmtime(&leap));
    printf("%s\n", text);

    struct pollfd polls[2] = {{.fd = 0, .events = POLLIN}, {.fd = 1, .events = POLLOUT}};
    printf("poll %d %d %d\n", poll(polls, 2, 1000), (polls[0].revents & POLLIN) != 0, (polls[1].revents & POLLOUT) != 0);
    char line[100];
    int number;
    printf("%d", scanf("%d %99s", &number, line));
    printf(" %d %s\n", number, line);
    while (fgets(line, sizeof(line), stdin) != NULL) {
        printf("line %zu\n", strlen(line));
    }
    printf("end %d\n", feof(stdin) != 0);
    fprintf(stderr, "to stderr\n");
    printf("strerror %s\n", strlen(strerror(ENOENT)) > 0 ? "says something" : "is silent");
    printf("terminal %d\n", isatty(0));
    exit(3);
}

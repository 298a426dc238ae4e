// SPDX-License-Identifier: Apache-2.0
// Accepts from the socket that its first argument tells, waiting by poll if told to, answers each connection with what it said in
// capitals, and ends when one says "bye".

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static void check(int good, const char *what)
{
    if (!good) {
        fprintf(stderr, "%s: %s\n", what, strerror(errno));
        exit(1);
    }
}

static void wait_for(int fd, short events)
{
    struct pollfd poll_fd = {.fd = fd, .events = events};
    check(poll(&poll_fd, 1, 60000) == 1 && (poll_fd.revents & events) != 0, "poll");
}

int main(int argc, char **argv)
{
    int listening = atoi(argv[1]), polls = argc > 2;
    if (polls) {
        check(fcntl(listening, F_SETFL, O_NONBLOCK) == 0, "fcntl");
        check(accept(listening, NULL, NULL) < 0 && errno == EAGAIN, "accept before anybody came");
    }
    for (int number = 1;; number++) {
        if (polls) {
            wait_for(listening, POLLIN);
        }
        int fd = accept4(listening, NULL, NULL, polls ? SOCK_NONBLOCK : 0);
        check(fd >= 0, "accept");
        char line[100];
        ssize_t length;
        if (polls) {
            wait_for(fd, POLLIN);
        }
        length = recv(fd, line, 1, MSG_PEEK);
        check(length == 1, "peek");
        length = recv(fd, line, sizeof(line), 0);
        check(length > 0, "recv");
        printf("%d: %.*s\n", number, (int)length, line);
        int last = length == 3 && memcmp(line, "bye", 3) == 0;
        for (ssize_t i = 0; i < length; i++) {
            line[i] = (char)toupper((unsigned char)line[i]);
        }
        check(send(fd, line, (size_t)length, 0) == length, "send");
        check(write(fd, "\n", 1) == 1, "write");
        check(shutdown(fd, SHUT_WR) == 0, "shutdown");
        if (polls) {
            wait_for(fd, POLLIN);
        }
        check(read(fd, line, sizeof(line)) == 0, "the end");
        check(close(fd) == 0, "close");
        if (last) {
            return 0;
        }
    }
}

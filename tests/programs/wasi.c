// SPDX-License-Identifier: Apache-2.0
// What wasi-libc makes of its host, beyond files.c and stdio.c. /files is writable and has a thousand entries and a directory `sub`;
// /read-only is the same, read-only. Says what went wrong, or that all is well.

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static int failures;

static void check(int good, const char *what)
{
    if (!good) {
        fprintf(stderr, "%s: errno %d, %s\n", what, errno, strerror(errno));
        failures++;
    }
}

// The call fails with this very errno.
#define FAILS(call, error) (errno = 0, check((call) < 0 && errno == (error), #call))
#define WORKS(call) check((call) >= 0, #call)

static int count_entries(const char *path)
{
    DIR *dir = opendir(path);
    int count = 0;
    check(dir != NULL, path);
    if (dir != NULL) {
        while (readdir(dir) != NULL) {
            count++;
        }
        rewinddir(dir);
        while (readdir(dir) != NULL) {
            count--;
        }
        check(count == 0, "rewinddir");
        rewinddir(dir);
        while (readdir(dir) != NULL) {
            count++;
        }
        closedir(dir);
    }
    return count;
}

static void directories(void)
{
    check(count_entries("/files") == 1003, "a thousand entries, sub, . and ..");
    check(count_entries("/read-only") == 1003, "the same read-only");
    WORKS(mkdir("/files/new", 0700));
    FAILS(mkdir("/files/new", 0700), EEXIST);
    FAILS(rmdir("/files/missing"), ENOENT);
    FAILS(rmdir("/files/entry-0000"), ENOTDIR);
    WORKS(close(open("/files/new/file", O_CREAT | O_WRONLY, 0600)));
    FAILS(rmdir("/files/new"), ENOTEMPTY);
    WORKS(unlink("/files/new/file"));
    WORKS(rmdir("/files/new"));
}

static void positions(void)
{
    char line[64] = "";
    int fd = open("/files/places", O_RDWR | O_CREAT | O_EXCL, 0600);
    struct iovec parts[2] = {{.iov_base = "0123", .iov_len = 4}, {.iov_base = "456789", .iov_len = 6}};
    check(writev(fd, parts, 2) == 10, "writev");
    check(lseek(fd, -3, SEEK_END) == 7, "lseek from the end");
    check(read(fd, line, sizeof line) == 3 && memcmp(line, "789", 3) == 0, "read at the end");
    check(pread(fd, line, 2, 1) == 2 && memcmp(line, "12", 2) == 0, "pread");
    check(pwrite(fd, "AB", 2, 4) == 2 && lseek(fd, 0, SEEK_CUR) == 10, "pwrite");
    check(lseek(fd, 100, SEEK_SET) == 100 && write(fd, "!", 1) == 1, "write beyond the end");
    FAILS(lseek(fd, -1, SEEK_SET), EINVAL);
    WORKS(fsync(fd));
    WORKS(fdatasync(fd));
    WORKS(posix_fadvise(fd, 0, 10, POSIX_FADV_WILLNEED));
    WORKS(ftruncate(fd, 6));
    struct stat status;
    check(fstat(fd, &status) == 0 && status.st_size == 6, "fstat after ftruncate");
    struct timespec times[2] = {{.tv_sec = 1000, .tv_nsec = 1}, {.tv_sec = 2000, .tv_nsec = 2}};
    WORKS(futimens(fd, times));
    check(stat("/files/places", &status) == 0 && status.st_mtim.tv_sec == 2000 && status.st_mtim.tv_nsec == 2,
          "futimens");
    WORKS(fcntl(fd, F_SETFL, O_APPEND));
    check(lseek(fd, 0, SEEK_SET) == 0 && write(fd, "end", 3) == 3, "append");
    check(fstat(fd, &status) == 0 && status.st_size == 9, "appended");
    WORKS(close(fd));
    FAILS(read(fd, line, 1), EBADF);
    fd = open("/files/places", O_RDONLY);
    FAILS(write(fd, "x", 1), EBADF);
    WORKS(close(fd));
    FAILS(open("/files/places", O_RDWR | O_CREAT | O_EXCL, 0600), EEXIST);
    WORKS(unlink("/files/places"));
}

static void links(void)
{
    char line[64] = "";
    WORKS(symlink("entry-0001", "/files/soft"));
    check(readlink("/files/soft", line, sizeof line) == 10 && memcmp(line, "entry-0001", 10) == 0, "readlink");
    struct stat status;
    check(lstat("/files/soft", &status) == 0 && S_ISLNK(status.st_mode), "lstat");
    check(stat("/files/soft", &status) == 0 && S_ISREG(status.st_mode), "stat through a link");
    WORKS(link("/files/entry-0001", "/files/hard"));
    check(stat("/files/hard", &status) == 0 && status.st_nlink == 2, "two links");
    WORKS(rename("/files/hard", "/files/sub/hard"));
    WORKS(access("/files/sub/hard", R_OK | W_OK));
    WORKS(unlink("/files/sub/hard"));
    WORKS(unlink("/files/soft"));
    WORKS(symlink("../../etc", "/files/out"));
    check(open("/files/out/passwd", O_RDONLY) < 0, "a link that leads out");
    check(stat("/files/../secret", &status) < 0, "a path that leads out");
    WORKS(unlink("/files/out"));
}

static void read_only(void)
{
    FAILS(open("/read-only/entry-0000", O_WRONLY), EROFS);
    FAILS(open("/read-only/entry-0000", O_RDWR), EROFS);
    FAILS(open("/read-only/entry-0000", O_RDONLY | O_TRUNC), EROFS);
    FAILS(open("/read-only/made", O_WRONLY | O_CREAT, 0600), EROFS);
    FAILS(mkdir("/read-only/made", 0700), EROFS);
    FAILS(unlink("/read-only/entry-0000"), EROFS);
    FAILS(rename("/read-only/entry-0000", "/read-only/moved"), EROFS);
    FAILS(rename("/read-only/entry-0000", "/files/moved"), EROFS);
    FAILS(symlink("x", "/read-only/made"), EROFS);
    WORKS(close(open("/read-only/entry-0000", O_RDONLY)));
}

static void waiting(void)
{
    struct timespec before, after, pause = {.tv_nsec = 30 * 1000 * 1000};
    clock_gettime(CLOCK_MONOTONIC, &before);
    WORKS(clock_nanosleep(CLOCK_REALTIME, 0, &pause, NULL));
    WORKS(usleep(1000));
    struct pollfd none = {.fd = 0, .events = POLLIN};
    WORKS(poll(&none, 1, 1000));
    clock_gettime(CLOCK_MONOTONIC, &after);
    check((after.tv_sec - before.tv_sec) * 1000000000LL + after.tv_nsec - before.tv_nsec >= 31000000,
          "slept too short");
    check(isatty(1) == 0, "stdout is no terminal");
}

int main(void)
{
    directories();
    positions();
    links();
    read_only();
    waiting();
    check(strcmp(getenv("HOME"), "/files") == 0, "HOME");
    if (failures == 0) {
        puts("all is well");
    }
    return failures != 0;
}

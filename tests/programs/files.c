// SPDX-License-Identifier: Apache-2.0
// Files and directories below /files, where it finds old.txt.

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void check(int good, const char *what)
{
    if (!good) {
        fprintf(stderr, "%s: %s\n", what, strerror(errno));
        exit(1);
    }
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void show(const char *path, char *line, size_t size)
{
    FILE *file = fopen(path, "r");
    check(file != NULL && fgets(line, (int)size, file) != NULL, path);
    fclose(file);
}

int main(void)
{
    char line[100];
    show("/files/old.txt", line, sizeof line);
    printf("read: %s\n", line);

    FILE *file = fopen("/files/new.txt", "w");
    check(file != NULL, "open to write");
    check(fputs("new text...", file) >= 0 && fclose(file) == 0, "write");
    struct stat status;
    check(stat("/files/new.txt", &status) == 0, "stat");
    printf("size %d, %s\n", (int)status.st_size, S_ISREG(status.st_mode) ? "regular" : "not regular");

    int fd = open("/files/new.txt", O_RDWR);
    check(fd >= 0, "open");
    check(lseek(fd, 4, SEEK_SET) == 4 && read(fd, line, 4) == 4, "seek and read");
    printf("seek: %.4s\n", line);
    check(ftruncate(fd, 8) == 0 && close(fd) == 0, "truncate");

    file = fopen("/files/new.txt", "a");
    check(file != NULL && fputs(", more", file) >= 0 && fclose(file) == 0, "append");
    show("/files/new.txt", line, sizeof line);
    printf("appended: %s\n", line);

    check(rename("/files/new.txt", "/files/moved.txt") == 0, "rename");
    check(access("/files/new.txt", F_OK) < 0 && access("/files/moved.txt", F_OK) == 0, "access");
    puts("renamed");

    check(mkdir("/files/inner", 0777) == 0, "mkdir");
    DIR *dir = opendir("/files");
    check(dir != NULL, "opendir");
    char *names[20];
    size_t count = 0;
    for (struct dirent *entry; count < 20 && (entry = readdir(dir)) != NULL;) {
        names[count++] = strdup(entry->d_name);
    }
    closedir(dir);
    qsort(names, count, sizeof names[0], by_text);
    printf("dir entries:");
    for (size_t i = 0; i < count; i++) {
        printf(" %s", names[i]);
    }
    puts("");
    check(stat("/files/inner", &status) == 0, "stat of a directory");
    puts(S_ISDIR(status.st_mode) ? "inner is a directory" : "inner is no directory");

    check(unlink("/files/moved.txt") == 0, "unlink");
    puts("unlinked");

    errno = 0;
    check(open("/files/moved.txt", O_RDONLY) < 0, "a file that is gone");
    printf("missing: %d\n", errno);
    puts(open("/files/../etc/passwd", O_RDONLY) < 0 ? "outside: failed" : "outside: opened");
    return 0;
}

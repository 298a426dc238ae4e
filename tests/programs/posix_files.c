// SPDX-License-Identifier: Apache-2.0
// Files, directories and links, as any C program uses them; run in an empty directory. Prints the same wherever it runs.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *name_of(int error)
{
    switch (error) {
    case 0: return "OK";
    case ENOENT: return "ENOENT";
    case EEXIST: return "EEXIST";
    case ENOTDIR: return "ENOTDIR";
    case EISDIR: return "EISDIR";
    case ENOTEMPTY: return "ENOTEMPTY";
    case EINVAL: return "EINVAL";
    case ELOOP: return "ELOOP";
    case EBADF: return "EBADF";
    case ENAMETOOLONG: return "ENAMETOOLONG";
    default: return "other";
    }
}

#define SHOW(call) printf("%s: %s\n", #call, (call) < 0 ? name_of(errno) : "OK")

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void list(const char *path)
{
    char *names[100];
    int count = 0;
    DIR *directory = opendir(path);
    if (directory == NULL) {
        printf("%s: %s\n", path, name_of(errno));
        return;
    }
    for (struct dirent *entry; (entry = readdir(directory)) != NULL && count < 100;) {
        names[count++] = strdup(entry->d_name);
    }
    closedir(directory);
    qsort(names, count, sizeof(*names), by_name);
    printf("%s:", path);
    for (int i = 0; i < count; i++) {
        printf(" %s", names[i]);
        free(names[i]);
    }
    printf("\n");
}

static void stdio(void)
{
    char line[100];
    double number;
    int whole;
    FILE *file = fopen("text", "w+");
    setvbuf(file, NULL, _IOFBF, 16);
    fprintf(file, "%5.2f|%-8s|%08x|%+d|%e\n", 3.14159, "left", 48879, 7, 12345.678);
    fprintf(file, "%a %g %Lg\n", 1.5, 1e-10, (long double)2.25);
    for (int i = 0; i < 1000; i++) {
        fprintf(file, "line %d\n", i);
    }
    rewind(file);
    printf("%s", fgets(line, sizeof(line), file));
    printf("%s", fgets(line, sizeof(line), file));
    fseek(file, -9, SEEK_END);
    printf("at %ld: %s", ftell(file), fgets(line, sizeof(line), file));
    printf("eof %d, then %d\n", feof(file) != 0, fgetc(file));
    fclose(file);
    file = fopen("text", "a");
    fputs("appended 42 2.5\n", file);
    fclose(file);
    file = fopen("text", "r");
    fseek(file, -16, SEEK_END);
    printf("scanned %d", fscanf(file, "appended %d %lf", &whole, &number));
    printf(": %d %.1f\n", whole, number);
    ungetc('x', file);
    printf("%c%c", fgetc(file), fgetc(file));
    fclose(file);
    printf("missing: %s\n", fopen("missing", "r") == NULL ? name_of(errno) : "OK");
    SHOW(truncate("text", 5));
    struct stat info;
    stat("text", &info);
    printf("%ld bytes, regular %d\n", (long)info.st_size, S_ISREG(info.st_mode) != 0);
    file = fopen("text", "r+");
    fseek(file, 10, SEEK_SET);
    fputc('!', file);
    fclose(file);
    file = fopen("text", "r");
    size_t length = fread(line, 1, sizeof(line), file);
    printf("%zu bytes, hole of %d\n", length, line[7]);
    fclose(file);
}

static void directories(void)
{
    SHOW(mkdir("a", 0777));
    SHOW(mkdir("a", 0777));
    SHOW(mkdir("a/b", 0777));
    SHOW(mkdir("missing/b", 0777));
    SHOW(rmdir("a"));
    SHOW(open("a/b/file", O_CREAT | O_EXCL | O_WRONLY, 0666));
    SHOW(open("a/b/file", O_CREAT | O_EXCL | O_WRONLY, 0666));
    SHOW(open("a/b/file/x", O_RDONLY));
    SHOW(open("a", O_WRONLY));
    SHOW(open("a/b/file", O_RDONLY | O_DIRECTORY));
    SHOW(unlink("a"));
    SHOW(rename("a/b", "a/b/c"));
    SHOW(rename("a/b", "c"));
    SHOW(rename("c/file", "c/other"));
    SHOW(rename("c/other", "a"));
    SHOW(rename("a", "c/other"));
    list(".");
    list("c");
    list("missing");
    SHOW(chdir("c"));
    list(".");
    SHOW(access("other", F_OK));
    SHOW(access("file", F_OK));
    SHOW(chdir(".."));
    char name[300];
    memset(name, 'n', sizeof(name));
    name[299] = '\0';
    SHOW(mkdir(name, 0777));
    int directory = open("c", O_RDONLY | O_DIRECTORY);
    SHOW(openat(directory, "other", O_RDONLY));
    SHOW(mkdirat(directory, "inner", 0777));
    SHOW(unlinkat(directory, "inner", AT_REMOVEDIR));
    close(directory);
    SHOW(close(directory));
}

static void links(void)
{
    char target[100] = "";
    struct stat info, other;
    SHOW(symlink("c/other", "link"));
    SHOW(symlink("c/other", "link"));
    ssize_t length = readlink("link", target, sizeof(target));
    printf("%zd %s\n", length, target);
    SHOW(readlink("c", target, sizeof(target)));
    lstat("link", &info);
    printf("link %d\n", S_ISLNK(info.st_mode) != 0);
    stat("link", &info);
    printf("file %d\n", S_ISREG(info.st_mode) != 0);
    SHOW(open("link", O_RDONLY | O_NOFOLLOW));
    SHOW(symlink("round", "round"));
    SHOW(open("round", O_RDONLY));
    SHOW(link("c/other", "second"));
    stat("second", &info);
    stat("c/other", &other);
    printf("same %d, %d names\n", info.st_ino == other.st_ino, (int)info.st_nlink);
    SHOW(unlink("c/other"));
    stat("second", &info);
    printf("%d name\n", (int)info.st_nlink);
    SHOW(stat("link", &info));
    SHOW(unlink("link"));
    list(".");
}

static void descriptors(void)
{
    char bytes[20] = "";
    struct stat info;
    int file = open("numbers", O_CREAT | O_RDWR | O_TRUNC, 0666);
    printf("wrote %zd\n", write(file, "0123456789", 10));
    printf("pread %zd %.3s\n", pread(file, bytes, 3, 4), bytes);
    printf("pwrite %zd\n", pwrite(file, "xy", 2, 8));
    printf("at %ld\n", (long)lseek(file, -4, SEEK_CUR));
    printf("read %zd %.4s\n", read(file, bytes, 10), bytes);
    SHOW(lseek(file, -1, SEEK_SET));
    SHOW(ftruncate(file, 4));
    fstat(file, &info);
    printf("%ld bytes\n", (long)info.st_size);
    struct timespec times[2] = {{.tv_sec = 1000000000, .tv_nsec = 5000}, {.tv_sec = 1234567890, .tv_nsec = 7000}};
    SHOW(futimens(file, times));
    fstat(file, &info);
    printf("%lld.%09ld\n", (long long)info.st_mtim.tv_sec, (long)info.st_mtim.tv_nsec);
    unlink("numbers");
    printf("still %zd\n", pread(file, bytes, 10, 0));
    close(file);
    SHOW(write(file, "x", 1));
}

int main(void)
{
    stdio();
    directories();
    links();
    descriptors();
    return 7;
}

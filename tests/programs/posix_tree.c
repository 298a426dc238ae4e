// SPDX-License-Identifier: Apache-2.0
// A tree of directories, its times and links; run in an empty directory. Prints the same wherever it runs.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static void make(const char *path, const char *text)
{
    int fd = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0666);
    printf("make %s %d\n", path, write(fd, text, strlen(text)) == (ssize_t)strlen(text) && close(fd) == 0);
}

static char *seen[200];
static int count;

static int visit(const char *path, const struct stat *info, int kind, struct FTW *place)
{
    char line[PATH_MAX + 64];
    snprintf(line, sizeof(line), "%s: %s, level %d, %lld bytes", path,
             kind == FTW_F ? "file" : kind == FTW_DP ? "directory" : kind == FTW_SL ? "link" : "other", place->level,
             S_ISREG(info->st_mode) ? (long long)info->st_size : 0);
    seen[count++] = strdup(line);
    return 0;
}

static int erase(const char *path, const struct stat *info, int kind, struct FTW *place)
{
    (void)info, (void)place;
    return kind == FTW_DP ? rmdir(path) : unlink(path);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void show(const char *path)
{
    count = 0;
    printf("walk %d\n", nftw(path, visit, 10, FTW_PHYS | FTW_DEPTH));
    qsort(seen, (size_t)count, sizeof(*seen), by_text);
    for (int i = 0; i < count; i++) {
        puts(seen[i]);
        free(seen[i]);
    }
}

static int no_dots(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static void deep(void)
{
    char path[2000] = "deep";
    int depth = 0;
    for (; depth < 100 && mkdir(path, 0777) == 0; depth++) {
        strcat(path, "/level");
    }
    printf("%d deep\n", depth);
    path[strlen(path) - strlen("/level")] = '\0';
    strcat(path, "/file");
    make(path, "at the bottom");
    struct stat info;
    printf("%d %lld\n", stat(path, &info), (long long)info.st_size);
    printf("erase %d\n", nftw("deep", erase, 200, FTW_PHYS | FTW_DEPTH));
    printf("gone %d\n", stat("deep", &info) < 0 && errno == ENOENT);
}

static void listing(void)
{
    struct dirent **entries;
    int found = scandir("tree", &entries, no_dots, alphasort);
    for (int i = 0; i < found; i++) {
        printf("scandir %s %d\n", entries[i]->d_name, entries[i]->d_type == DT_DIR);
        free(entries[i]);
    }
    free(entries);
    mkdir("many", 0777);
    for (int i = 0; i < 500; i++) {
        char path[100];
        snprintf(path, sizeof(path), "many/a-rather-long-name-%d", i);
        close(open(path, O_CREAT | O_WRONLY, 0666));
    }
    DIR *directory = opendir("many");
    long place = -1;
    char name[300] = "";
    for (int i = 0; i < 250; i++) {
        struct dirent *entry = readdir(directory);
        if (i == 200) {
            strcpy(name, entry->d_name);
        }
        if (i == 199) {
            place = telldir(directory);
        }
    }
    seekdir(directory, place);
    printf("seekdir %d\n", strcmp(readdir(directory)->d_name, name) == 0);
    rewinddir(directory);
    int all = 0;
    while (readdir(directory) != NULL) {
        all++;
    }
    printf("%d entries\n", all);
    rewinddir(directory);
    int removed = 0;
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        if (no_dots(entry)) {
            removed += unlinkat(dirfd(directory), entry->d_name, 0) == 0;
        }
    }
    printf("%d removed\n", removed);
    closedir(directory);
    printf("rmdir %d\n", rmdir("many"));
}

static void show_times(const char *what, const char *path, int flags)
{
    struct stat info;
    printf("%s %d", what, fstatat(AT_FDCWD, path, &info, flags));
    printf(" %lld.%09ld %lld.%09ld\n", (long long)info.st_atim.tv_sec, (long)info.st_atim.tv_nsec,
           (long long)info.st_mtim.tv_sec, (long)info.st_mtim.tv_nsec);
}

static void times(void)
{
    struct timespec set[2] = {{.tv_sec = 1, .tv_nsec = 999999999}, {.tv_sec = 4102444800, .tv_nsec = 1}};
    printf("utimensat %d\n", utimensat(AT_FDCWD, "tree/a", set, 0));
    show_times("set", "tree/a", 0);
    set[0].tv_nsec = UTIME_OMIT;
    set[1] = (struct timespec){.tv_sec = 5};
    utimensat(AT_FDCWD, "tree/a", set, 0);
    show_times("one of them", "tree/a", 0);
    set[0] = (struct timespec){.tv_sec = 7};
    printf("link %d\n", utimensat(AT_FDCWD, "tree/link", set, AT_SYMLINK_NOFOLLOW));
    show_times("the link", "tree/link", AT_SYMLINK_NOFOLLOW);
    show_times("its target", "tree/link", 0);
    utimensat(AT_FDCWD, "tree/link", set, 0);
    show_times("through the link", "tree/a", 0);
    set[0].tv_nsec = set[1].tv_nsec = UTIME_NOW;
    utimensat(AT_FDCWD, "tree/a", set, 0);
    struct stat info;
    stat("tree/a", &info);
    long long ago = (long long)time(NULL) - info.st_mtim.tv_sec;
    printf("now %d %d\n", ago >= 0 && ago < 100, info.st_mtim.tv_sec == info.st_atim.tv_sec);
    set[0].tv_nsec = -1;
    printf("invalid %d\n", utimensat(AT_FDCWD, "missing", NULL, 0) < 0 && errno == ENOENT);
}

int main(void)
{
    printf("%d %d %d\n", mkdir("tree", 0777), mkdir("tree/sub", 0777), mkdir("tree/sub/inner", 0777));
    make("tree/a", "one");
    make("tree/sub/b", "four");
    make("tree/sub/inner/c", "");
    printf("%d %d\n", symlink("a", "tree/link"), symlink("sub/inner", "tree/way"));
    printf("%d %d\n", symlink("nowhere", "tree/dangling"), symlink("../a", "tree/sub/up"));
    show("tree");
    make("tree/way/d", "by a link to a directory");
    make("tree/sub/up", "over");
    printf("%d %d\n", access("tree/dangling", F_OK) < 0, open("tree/dangling", O_RDONLY) < 0 && errno == ENOENT);
    make("tree/dangling", "made by writing to a link");
    show("tree");
    int from = open("tree", O_RDONLY | O_DIRECTORY), to = open("tree/sub", O_RDONLY | O_DIRECTORY);
    printf("renameat %d\n", renameat(from, "nowhere", to, "found"));
    printf("linkat %d\n", linkat(from, "a", to, "again", 0));
    printf("symlinkat %d\n", symlinkat("found", to, "pointer"));
    char text[10] = "";
    printf("readlinkat %zd", readlinkat(to, "pointer", text, 3));
    printf(" %s\n", text);
    printf("mkdirat %d\n", mkdirat(to, "new", 0777));
    printf("openat %d\n", close(openat(to, "new/../found", O_RDONLY)));
    printf("openat above a directory %d\n", close(openat(to, "../sub/found", O_RDONLY)));
    printf("fstatat %d\n", faccessat(from, "sub/found", R_OK | W_OK, 0));
    printf("rename over a directory %d\n", rename("tree/sub/new", "tree/sub/inner") < 0 && errno == ENOTEMPTY);
    printf("rename over a file %d\n", rename("tree/a", "tree/sub/found"));
    printf("rename a directory over a file %d\n", rename("tree/sub/new", "tree/sub/b") < 0 && errno == ENOTDIR);
    make("tree/a", "anew");
    printf("rename to itself %d\n", rename("tree/a", "tree/a"));
    close(from), close(to);
    show("tree");
    listing();
    times();
    deep();
    printf("erase %d\n", nftw("tree", erase, 10, FTW_PHYS | FTW_DEPTH));
    return 0;
}

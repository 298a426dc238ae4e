// SPDX-License-Identifier: Apache-2.0
// What stdio makes of numbers, buffers and places; run in an empty directory. Prints the same wherever it runs.
#include <errno.h>
#include <fcntl.h>
#include <float.h>
#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void printing(void)
{
    const double numbers[] = {0.0, -0.0, 1.0 / 3, 1e21, 123456789.125, DBL_MAX, DBL_MIN, 0.1, 2.5, 3.5, 1e15 + 0.3};
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        printf("%g %.17g %f %.0f %e %10.3G|%a\n", numbers[i], numbers[i], numbers[i], numbers[i], numbers[i], numbers[i],
               numbers[i]);
    }
    printf("%g %.17g\n", 5e-324, 5e-324);
    printf("%f %F %e %g %5.1f|%-8f|%+f\n", INFINITY, INFINITY, -INFINITY, NAN, INFINITY, NAN, INFINITY);
    printf("%d %i %u %x %X %o %#x %#o\n", INT_MIN, INT_MAX, UINT_MAX, 48879, 48879, 8, 255, 8);
    printf("%hhd %hd %jd %zu %lld %" PRIu64 "\n", 300, 70000, (intmax_t)-1, sizeof(int), LLONG_MIN, UINT64_MAX);
    printf("[%5d][%-5d][%05d][%+d][% d][%.3d][%*d][%-*d][%.*s]\n", 42, 42, 42, 42, 42, 7, 6, 42, 6, 42, 3, "abcdef");
    printf("%c%s%%%5s|%-5s|%.2s\n", 'c', "text", "ab", "ab", "abc");
    char small[8];
    int wanted = snprintf(small, sizeof(small), "%d-%s", 12345, "too long");
    printf("%d %s\n", wanted, small);
    int so_far = 0;
    printf("12345%n", &so_far);
    printf(" %d\n", so_far);
}

static void scanning(void)
{
    int whole = 0, read = 0;
    unsigned hexadecimal = 0;
    double number = 0;
    float less = 0;
    char word[20] = "", letters[20] = "", rest[20] = "";
    read = sscanf("-12 0xff 2.5e3 word abc123 rest", "%d %x %lf %19s %19[a-z]%19s", &whole, &hexadecimal, &number, word,
                  letters, rest);
    printf("%d: %d %u %g %s %s %s\n", read, whole, hexadecimal, number, word, letters, rest);
    printf("%d %d\n", sscanf("x", "%d", &whole), sscanf("", "%d", &whole));
    int octal = 0;
    read = sscanf("017 017 0x1p4 inf", "%i %d %f %lf", &whole, &octal, &less, &number);
    printf("%d: %d %d %g %g\n", read, whole, octal, less, number);
    int used = 0;
    read = sscanf("12,34;56", "%d,%*d;%d%n", &whole, &octal, &used);
    printf("%d: %d %d %d\n", read, whole, octal, used);
    char *end;
    printf("%ld %s\n", strtol("  -77rest", &end, 10), end);
    printf("%g %s\n", strtod("1e-3xyz", &end), end);
    errno = 0;
    printf("%d", strtoll("99999999999999999999", NULL, 10) == LLONG_MAX);
    printf(" %d\n", errno == ERANGE);
}

static void show(const char *path)
{
    char text[300];
    FILE *file = fopen(path, "r");
    size_t length = fread(text, 1, sizeof(text) - 1, file);
    text[length] = '\0';
    printf("%s, %zu: %s\n", path, length, text);
    fclose(file);
}

static void places(void)
{
    char text[100];
    FILE *file = fopen("places", "w+");
    fputs("0123456789", file);
    fflush(file);
    fseek(file, 3, SEEK_SET);
    fputs("abc", file);
    fseek(file, -2, SEEK_CUR);
    printf("%c at %ld\n", fgetc(file), ftell(file));
    fseek(file, 15, SEEK_SET);
    fputc('!', file);
    rewind(file);
    printf("%zu bytes\n", fread(text, 1, sizeof(text), file));
    printf("hole %d %d, end %d\n", text[10], text[14], feof(file) != 0);
    fpos_t place;
    fseek(file, 5, SEEK_SET);
    fgetpos(file, &place);
    fgetc(file);
    fsetpos(file, &place);
    printf("back at %ld\n", ftell(file));
    printf("%d %d\n", fseek(file, -100, SEEK_SET), ftell(file) == 5);
    fclose(file);

    file = fopen("places", "a+");
    printf("%c", fgetc(file));
    fseek(file, 0, SEEK_SET);
    fputs("END", file);
    fseek(file, -3, SEEK_END);
    printf(" %s\n", fgets(text, sizeof(text), file));
    fclose(file);

    file = fopen("places", "r+");
    fputs("X", file);
    fclose(file);
    file = fopen("places", "wx");
    printf("exclusive %d %d\n", file == NULL, errno == EEXIST);
    file = fopen("places", "r");
    printf("written to: %d", fputc('x', file) == EOF);
    printf(" %d\n", ferror(file) != 0);
    file = freopen("other", "w", file);
    fputs("opened again", file);
    fclose(file);
    show("other");
}

static void buffers(void)
{
    static char room[4096];
    for (int mode = 0; mode < 3; mode++) {
        const int modes[] = {_IONBF, _IOLBF, _IOFBF};
        FILE *file = fopen("buffered", "w");
        setvbuf(file, modes[mode] == _IONBF ? NULL : room, modes[mode], modes[mode] == _IONBF ? 0 : sizeof(room));
        fputs("line\nrest", file);
        FILE *reader = fopen("buffered", "r");
        char text[20] = "";
        size_t length = fread(text, 1, sizeof(text), reader);
        printf("mode %d: %zu", mode, length);
        fclose(reader);
        fflush(file);
        reader = fopen("buffered", "r");
        length = fread(text, 1, sizeof(text), reader);
        printf(", then %zu\n", length);
        fclose(reader);
        fclose(file);
    }
    FILE *file = fopen("large", "w");
    for (int i = 0; i < 200000; i++) {
        fprintf(file, "%d ", i);
    }
    printf("%ld bytes\n", ftell(file));
    fclose(file);
    file = fopen("large", "r");
    long long sum = 0;
    for (int number; fscanf(file, "%d", &number) == 1;) {
        sum += number;
    }
    printf("sum %lld, end %d\n", sum, feof(file) != 0);
    fclose(file);

    int fd = open("described", O_CREAT | O_RDWR, 0666);
    file = fdopen(fd, "w+");
    fprintf(file, "first\nsecond line\n\nlast");
    dprintf(fd, "%s", "");
    fflush(file);
    rewind(file);
    char *line = NULL;
    size_t size = 0;
    for (ssize_t length; (length = getline(&line, &size, file)) >= 0;) {
        printf("line of %zd\n", length);
    }
    free(line);
    printf("same descriptor %d\n", fileno(file) == fd);
    fclose(file);

    char memory[40];
    file = fmemopen(memory, sizeof(memory), "w");
    fprintf(file, "in memory %d", 5);
    fclose(file);
    printf("%s\n", memory);
    char *grown = NULL;
    file = open_memstream(&grown, &size);
    for (int i = 0; i < 100; i++) {
        fprintf(file, "%d,", i);
    }
    fclose(file);
    printf("%zu %.10s\n", size, grown);
    free(grown);
    printf("remove %d %d\n", remove("large"), remove("large") < 0 && errno == ENOENT);
    printf("rename %d\n", rename("other", "renamed"));
    show("renamed");
}

static void late(void)
{
    printf("at the very end, without a newline");
}

int main(void)
{
    atexit(late);
    printing();
    scanning();
    places();
    buffers();
    fprintf(stderr, "unbuffered %d", 1);
    return 0;
}

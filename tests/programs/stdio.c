// SPDX-License-Identifier: Apache-2.0
// Arguments, environment, the three standard streams and an exit status.

#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    printf("argc %d\n", argc);
    for (int i = 1; i < argc; i++) {
        printf("argv[%d] %s\n", i, argv[i]);
    }
    printf("A=%s\n", getenv("A"));
    printf(getenv("B") == NULL ? "B is not set\n" : "B is set\n");
    int integer;
    double number;
    char word[20];
    if (scanf("%d %lf %19s", &integer, &number, word) == 3) {
        printf("read %d %.3f %s\n", integer, number, word);
    }
    if (getchar() == '\n' && getchar() == EOF) {
        puts("then the end");
    }
    printf("%d %u %x %g %.1f\n", -1, -1u, 255, 1e10, 0.1);
    fprintf(stderr, "to the error stream\n");
    return 42;
}

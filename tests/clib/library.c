// SPDX-License-Identifier: Apache-2.0
// The library that the tests call: a function or two for each kind of value.

#include <complex.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "library.h"

int counter = 7;
point origin = {1.5, 2.5};
const char *version = "1.0";
const int constant = 42;
int numbers[4] = {1, 2, 3, 4};
char title[8] = "title";

// --- numbers ---

#define IDENTITY(name, type) \
    type same_##name(type value) { return value; }
IDENTITY(schar, signed char)
IDENTITY(uchar, unsigned char)
IDENTITY(char, char)
IDENTITY(short, short)
IDENTITY(ushort, unsigned short)
IDENTITY(int, int)
IDENTITY(uint, unsigned)
IDENTITY(long, long)
IDENTITY(ulong, unsigned long)
IDENTITY(llong, long long)
IDENTITY(ullong, unsigned long long)
IDENTITY(size, size_t)
IDENTITY(float, float)
IDENTITY(double, double)
IDENTITY(ldouble, long double)
IDENTITY(bool, bool)
IDENTITY(color, color)
IDENTITY(cfloat, float _Complex)
IDENTITY(cdouble, double _Complex)
IDENTITY(pointer, void *)
IDENTITY(point, point)
IDENTITY(wrapped, wrapped)
IDENTITY(number, number)
IDENTITY(mixed, mixed)

int add(int a, int b) { return a + b; }
double hypot2(double a, double b) { return a * a + b * b; }
// What a guest returns is more than the type can hold: compiled from assembly, for C would cut it off.
__asm__(".globl overfull\n.type overfull,@function\noverfull:\n.functype overfull () -> (i32)\ni32.const 0x12345\nend_function\n");

// --- strings ---

size_t length(const char *text) { return text == NULL ? 999 : strlen(text); }
char *greet(const char *name)
{
    char *text = malloc(strlen(name) + 8);
    strcpy(text, "hello ");
    return strcat(text, name);
}
const char *static_text(void) { return "static"; }
const char *no_text(void) { return NULL; }
const char *latin1(void) { return "caf\xe9"; }
char *find(const char *text, char c) { return strchr(text, c); }
char *same_text(char *text) { return text; }
void fill(char *buffer, size_t size) { memset(buffer, 'x', size); }
unsigned checksum(const void *data, size_t size)
{
    unsigned sum = 0;
    for (const unsigned char *at = data; size-- > 0; at++) {
        sum = sum * 31 + *at;
    }
    return sum;
}
void upper(uint8_t *data, size_t size)
{
    for (; size-- > 0; data++) {
        *data -= *data >= 'a' && *data <= 'z' ? 32 : 0;
    }
}
size_t lengths(const char *const *texts, size_t count)
{
    size_t all = 0;
    while (count-- > 0) {
        all += strlen(*texts++);
    }
    return all;
}

// --- arrays ---

double mean(const double *values, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++) {
        sum += values[i];
    }
    return sum / (double)count;
}
void negate(int *values, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        values[i] = -values[i];
    }
}
long long total(const int (*rows)[3], size_t count)
{
    long long sum = 0;
    for (size_t i = 0; i < count; i++) {
        sum += rows[i][0] + rows[i][1] + rows[i][2];
    }
    return sum;
}
void conjugates(double _Complex *values, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        values[i] = conj(values[i]);
    }
}

// --- structs ---

point centroid(const point *points, size_t count)
{
    point mean = {0, 0};
    for (size_t i = 0; i < count; i++) {
        mean.x += points[i].x / (double)count;
        mean.y += points[i].y / (double)count;
    }
    return mean;
}
point shifted(point p, double by) { return (point){p.x + by, p.y + by}; }
void shift(point *p, double by)
{
    p->x += by;
    p->y += by;
}
int list_sum(const node *list)
{
    int sum = 0;
    for (; list != NULL; list = list->next) {
        sum += list->value;
    }
    return sum;
}
size_t label_length(const node *of) { return of->label != NULL ? strlen(of->label) : 0; }
node *make_node(int value)
{
    node *made = calloc(1, sizeof(node));
    made->value = value;
    return made;
}
int nodes_freed = 0;
void free_node(node *of)
{
    nodes_freed++;
    free(of);
}
opaque *make_opaque(void) { return malloc(4); }
void free_opaque(opaque *of) { free(of); }

// --- functions ---

void each(int (*visit)(int value, void *data), void *data)
{
    for (int i = 0; i < 3 && visit(i, data) == 0; i++) {
    }
}
double apply(unary function, double x) { return function(x); }
static double twice(double x) { return 2 * x; }
unary pick(int which) { return which ? twice : NULL; }
point map_point(point (*function)(point p, mixed m), point p)
{
    mixed m = {.small = 3, .large = 1LL << 40, .part = {7, 8}};
    return function(p, m);
}
long double call_wide(long double (*function)(long double x), long double x) { return function(x); }
size_t name_length(const char *(*name)(void)) { return strlen(name()); }
static int (*kept)(int value, void *data);
void keep(int (*visit)(int value, void *data)) { kept = visit; }
int call_kept(int value) { return kept(value, NULL); }
int call_handler(const handler *of, int value) { return of->call(value, of->data); }
// Uses its frame on the shadow stack, and leaves it by way of the callback's exception.
int deep(int (*visit)(int value, void *data))
{
    volatile char frame[16384];
    frame[0] = 1;
    return visit(frame[0], NULL) + frame[0];
}

// --- more arguments ---

double sum(const char *kinds, ...)
{
    va_list rest;
    double all = 0;
    va_start(rest, kinds);
    for (; *kinds != 0; kinds++) {
        switch (*kinds) {
        case 'i': all += va_arg(rest, int); break;
        case 'l': all += (double)va_arg(rest, long long); break;
        case 'd': all += va_arg(rest, double); break;
        case 's': all += (double)strlen(va_arg(rest, char *)); break;
        case 'n': all += va_arg(rest, void *) == NULL; break;
        case 'b': *va_arg(rest, unsigned char *) = 9; break;
        case 'p': { point p = va_arg(rest, point); all += p.x + p.y; break; }
        case 'w': all += va_arg(rest, wrapped).value; break;
        default: all += va_arg(rest, unary)(1); break;
        }
    }
    va_end(rest);
    return all;
}

// --- what goes wrong ---

void trap(void) { __builtin_trap(); }
void leave(int status) { exit(status); }
void spin(void)
{
    for (volatile int i = 0;; i++) {
    }
}
int recurse(int n)
{
    volatile char frame[1024];
    frame[0] = (char)n;
    return n == 0 ? 0 : recurse(n - 1) + frame[0];
}
void *grow(size_t size) { return malloc(size); }
size_t in_use(void)
{
    // The more is allocated, the further away a new piece lies.
    void *piece = malloc(200000);
    size_t address = (size_t)piece;
    free(piece);
    return address;
}

void scale(int (*rows)[3], size_t count, int by)
{
    for (size_t i = 0; i < count; i++) {
        for (int j = 0; j < 3; j++) {
            rows[i][j] *= by;
        }
    }
}

int skip_digits_of(const char *text, const char **end)
{
    int number = 0;
    for (; *text >= '0' && *text <= '9'; text++) {
        number = 10 * number + *text - '0';
    }
    *end = text;
    return number;
}

int skip_digits(const char *text, char **end)
{
    return skip_digits_of(text, (const char **)end);
}

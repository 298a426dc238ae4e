// SPDX-License-Identifier: Apache-2.0
// A function for every kind of value: docs/clib-values.md calls them all.

#include <complex.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define LIMIT 100

// --- numbers

int add(int a, int b)
{
    return a + b;
}

uint8_t brighten(uint8_t level)
{
    return level > 235 ? 255 : (uint8_t)(level + 20);
}

typedef enum { RED, GREEN, BLUE } color;

color after(color c)
{
    return c == BLUE ? RED : c + 1;
}

float half(float x)
{
    return x / 2;
}

double _Complex power(double _Complex z, int n)
{
    double _Complex result = 1;
    while (n-- > 0) {
        result *= z;
    }
    return result;
}

bool both(bool a, bool b)
{
    return a && b;
}

// --- strings

size_t letters(const char *text, char letter)
{
    size_t count = 0;
    for (; *text != '\0'; text++) {
        count += *text == letter;
    }
    return count;
}

const char *motto(void)
{
    return "slow and steady";
}

char *greet(const char *name)  // the caller frees it
{
    char *text = malloc(strlen(name) + 8);
    strcpy(text, "Hello, ");
    return strcat(text, name);
}

void shout(char *text)  // changes it
{
    for (; *text != '\0'; text++) {
        if (*text >= 'a' && *text <= 'z') {
            *text -= 'a' - 'A';
        }
    }
}

// --- arrays

double mean(const double *values, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++) {
        sum += values[i];
    }
    return sum / (double)count;
}

void normalize(double *values, size_t count)  // changes them
{
    double most = 0;
    for (size_t i = 0; i < count; i++) {
        most = values[i] > most ? values[i] : most;
    }
    for (size_t i = 0; i < count; i++) {
        values[i] /= most;
    }
}

void divide(int a, int b, int *quotient, int *rest)
{
    *quotient = a / b;
    *rest = a % b;
}

// --- structs

typedef struct {
    double x, y;
} point;

point centroid(const point *points, size_t count)
{
    point sum = {0, 0};
    for (size_t i = 0; i < count; i++) {
        sum.x += points[i].x / (double)count;
        sum.y += points[i].y / (double)count;
    }
    return sum;
}

typedef struct {
    char name[16];
    unsigned age : 7;
    bool member : 1;
    point home;
} person;

bool may_vote(person p)
{
    return p.age >= 18 && p.member;
}

void move(person *p, double dx, double dy)
{
    p->home.x += dx;
    p->home.y += dy;
}

// --- pointers

typedef struct node {
    int value;
    struct node *next;
} node;

node *push(node *list, int value)  // the caller frees it
{
    node *first = malloc(sizeof(node));
    *first = (node){value, list};
    return first;
}

const int *find(const int *values, size_t count, int wanted)
{
    for (size_t i = 0; i < count; i++) {
        if (values[i] == wanted) {
            return &values[i];
        }
    }
    return NULL;
}

// --- callbacks

int count_if(const int *values, size_t count, bool (*test)(int value))
{
    int accepted = 0;
    for (size_t i = 0; i < count; i++) {
        accepted += test(values[i]);
    }
    return accepted;
}

static void (*listener)(const char *event);

void listen(void (*to)(const char *event))  // keeps it
{
    listener = to;
}

void happen(const char *event)
{
    if (listener != NULL) {
        listener(event);
    }
}

// --- variables, and any number of arguments

int total = 0;
const char *unit = "m";

static char draft[] = "draft";
char *note = draft;

int sum(int count, ...)
{
    va_list rest;
    va_start(rest, count);
    for (int i = 0; i < count; i++) {
        total += va_arg(rest, int);
    }
    va_end(rest);
    return total;
}

// SPDX-License-Identifier: Apache-2.0
// A small library to be wrapped: numbers, strings, a struct, an array, a callback.

#ifndef SURVEY_H
#define SURVEY_H

#include <stddef.h>

typedef struct {
    double x, y;
} point;

double hypot2(double x, double y);

// The caller frees the answer.
char *greet(const char *name);

point middle(point a, point b);

// Changes the values in place.
void scale(double *values, size_t count, double factor);

// How many of the values the test accepts.
int count_if(const int *values, size_t count, int (*test)(int value, void *data), void *data);

// A bug: it believes every index.
int nth(const int *values, int index);

#endif

/* Figures of samples of numbers. Every sample has at least one value. */
#ifndef STATS_H
#define STATS_H

#include <stddef.h>

#define MOST_BINS 64

typedef struct {
    double mean;
    double deviation;
    double least, most;
} summary;

/* How many times a sample was looked at. */
extern unsigned samples_seen;

summary summarize(const double *values, size_t count);

/* The value that a share of the sample is not above; 0.5 is the median. It sorts the values in place. */
double quantile(double *values, size_t count, double share);

/* Counts the values in so many bins of the same width, at most MOST_BINS; returns how many lie in none. */
size_t histogram(const double *values, size_t count, double from, double to, unsigned *bins, size_t bin_count);

/* A line for people. It is the caller's, to be freed. */
char *describe(const summary *of, const char *unit);

#endif

#include "stats.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

unsigned samples_seen;

static int compare(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

summary summarize(const double *values, size_t count)
{
    summary of = {.least = values[0], .most = values[0]};
    for (size_t i = 0; i < count; i++) {
        of.mean += values[i] / count;
        of.least = fmin(of.least, values[i]);
        of.most = fmax(of.most, values[i]);
    }
    double squares = 0;
    for (size_t i = 0; i < count; i++) {
        squares += (values[i] - of.mean) * (values[i] - of.mean);
    }
    of.deviation = sqrt(squares / count);
    samples_seen++;
    return of;
}

double quantile(double *values, size_t count, double share)
{
    qsort(values, count, sizeof *values, compare);
    double place = share * (count - 1);
    size_t below = (size_t)place;
    double above = below + 1 < count ? values[below + 1] : values[below];
    samples_seen++;
    return values[below] + (place - below) * (above - values[below]);
}

size_t histogram(const double *values, size_t count, double from, double to, unsigned *bins, size_t bin_count)
{
    size_t outside = 0;
    for (size_t i = 0; i < bin_count; i++) {
        bins[i] = 0;
    }
    for (size_t i = 0; i < count; i++) {
        if (values[i] >= from && values[i] < to) {
            bins[(size_t)((values[i] - from) / (to - from) * bin_count)]++;
        }
        else {
            outside++;
        }
    }
    samples_seen++;
    return outside;
}

char *describe(const summary *of, const char *unit)
{
    const char *format = "%.3g %s, give or take %.3g, from %.3g to %.3g";
    int length = snprintf(NULL, 0, format, of->mean, unit, of->deviation, of->least, of->most);
    char *text = malloc((size_t)length + 1);
    if (text != NULL) {
        snprintf(text, (size_t)length + 1, format, of->mean, unit, of->deviation, of->least, of->most);
    }
    return text;
}

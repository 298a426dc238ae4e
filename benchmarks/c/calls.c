// SPDX-License-Identifier: Apache-2.0
// Calls: two functions that call each other and themselves, and a call through a table of functions.
#include <stdint.h>

typedef int64_t step(int64_t);

static __attribute__((noinline)) int64_t odd(int64_t n);

static __attribute__((noinline)) int64_t even(int64_t n) { return n < 2 ? n : odd(n - 1) + even(n - 2); }

static __attribute__((noinline)) int64_t odd(int64_t n) { return n < 2 ? 1 : even(n - 1) + odd(n - 2); }

static step *const volatile steps[2] = {even, odd};

int64_t run(int32_t n) {
    int64_t sum = 0;
    for (int i = 0; i < n; i++) {
        sum += steps[i & 1](8 + i % 8);
    }
    return sum;
}

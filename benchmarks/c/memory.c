// SPDX-License-Identifier: Apache-2.0
// Memory: sorting an array of pseudo-random numbers by merging, and walking through it by jumps.
#include <stdint.h>

enum { LENGTH = 1 << 14 };

static uint32_t numbers[LENGTH], others[LENGTH];

int64_t run(int32_t n) {
    uint64_t sum = 0;
    for (int turn = 0; turn < n; turn++) {
        uint32_t seed = 12345 + turn;
        for (int i = 0; i < LENGTH; i++) {
            seed = seed * 1664525 + 1013904223;
            numbers[i] = seed >> 8;
        }
        uint32_t *from = numbers, *to = others;
        for (int width = 1; width < LENGTH; width *= 2) {
            for (int start = 0; start < LENGTH; start += 2 * width) {
                int left = start, middle = start + width, right = middle, end = middle + width;
                for (int i = start; i < end; i++) {
                    int take = left < middle && (right >= end || from[left] <= from[right]);
                    to[i] = take ? from[left++] : from[right++];
                }
            }
            uint32_t *kept = from;
            from = to;
            to = kept;
        }
        for (uint32_t i = 0, at = 0; i < LENGTH; i++) {
            at = (at + from[at] + 1) % LENGTH;
            sum += at;
        }
    }
    return (int64_t)sum;
}

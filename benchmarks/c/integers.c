// SPDX-License-Identifier: Apache-2.0
// Integers: shifts, multiplications and branches; how many steps numbers take down to 1 by halving, or tripling and one more.
#include <stdint.h>

int64_t run(int32_t n) {
    uint64_t mixed = 0x9e3779b97f4a7c15;
    for (int32_t start = 1; start <= n; start++) {
        uint64_t number = (uint64_t)start, steps = 0;
        while (number != 1) {
            number = number & 1 ? number * 3 + 1 : number >> 1;
            steps++;
        }
        mixed = (mixed ^ steps) * 0xff51afd7ed558ccd;
        mixed ^= mixed >> 33;
    }
    return (int64_t)mixed;
}

// SPDX-License-Identifier: Apache-2.0
// Vectors: four floats at a time through a polynomial, and a comparison that chooses.
#include <stdint.h>

enum { LENGTH = 1024 };

typedef float Floats __attribute__((vector_size(16)));
typedef int32_t Integers __attribute__((vector_size(16)));

static Floats values[LENGTH];

int64_t run(int32_t n) {
    for (int i = 0; i < LENGTH; i++) {
        float start = (float)(i % 17) * 0.05f;
        values[i] = (Floats){start, start + 0.01f, start + 0.02f, start + 0.03f};
    }
    Floats sum = {0, 0, 0, 0};
    for (int turn = 0; turn < n; turn++) {
        for (int i = 0; i < LENGTH; i++) {
            Floats x = values[i];
            Floats y = ((x * 0.25f - 0.5f) * x + 0.75f) * x + 0.125f;
            Integers above = y > 0.5f;
            y = (Floats)(((Integers)y & above) | ((Integers)(y * 1.5f) & ~above));
            values[i] = y;
            sum += y;
        }
    }
    return (int64_t)((sum[0] + sum[1] + sum[2] + sum[3]) * 1000.0f);
}

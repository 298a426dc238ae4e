// SPDX-License-Identifier: Apache-2.0
// Floating point: bodies that attract each other, with square roots and divisions.
#include <stdint.h>

enum { BODIES = 6 };

typedef struct {
    double place[3], speed[3], mass;
} Body;

int64_t run(int32_t n) {
    Body bodies[BODIES];
    for (int i = 0; i < BODIES; i++) {
        for (int axis = 0; axis < 3; axis++) {
            bodies[i].place[axis] = (i * 7 + axis * 3) % 11 - 5.0;
            bodies[i].speed[axis] = 0.01 * ((i + axis) % 3 - 1);
        }
        bodies[i].mass = 1.0 + i * 0.25;
    }
    for (int turn = 0; turn < n; turn++) {
        for (int i = 0; i < BODIES; i++) {
            for (int j = i + 1; j < BODIES; j++) {
                double away[3], square = 0.05;
                for (int axis = 0; axis < 3; axis++) {
                    away[axis] = bodies[j].place[axis] - bodies[i].place[axis];
                    square += away[axis] * away[axis];
                }
                double pull = 0.001 / (square * __builtin_sqrt(square));
                for (int axis = 0; axis < 3; axis++) {
                    bodies[i].speed[axis] += away[axis] * pull * bodies[j].mass;
                    bodies[j].speed[axis] -= away[axis] * pull * bodies[i].mass;
                }
            }
        }
        for (int i = 0; i < BODIES; i++) {
            for (int axis = 0; axis < 3; axis++) {
                bodies[i].place[axis] += 0.001 * bodies[i].speed[axis];
            }
        }
    }
    return (int64_t)(bodies[0].place[0] * 1e9);
}

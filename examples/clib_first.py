# SPDX-License-Identifier: Apache-2.0
"""The smallest use of a C library; the README shows it."""

from anywasm import clib

lib = clib.compile("""
    typedef struct { double x, y; } point;

    point middle(const point *points, int count)
    {
        point sum = {0};
        for (int i = 0; i < count; i++) {
            sum.x += points[i].x / count;
            sum.y += points[i].y / count;
        }
        return sum;
    }
""")

print(lib.middle([(0, 0), {"x": 2, "y": 4}], 2))

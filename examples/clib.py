# SPDX-License-Identifier: Apache-2.0
"""A C library in a sandbox: numbers, strings, arrays, structs and callbacks go by their C types."""

from anywasm import clib

lib = clib.compile(
    """
    #include <stdlib.h>
    #include <string.h>

    typedef struct { double x, y; } point;

    double mean(const double *values, size_t count)
    {
        double sum = 0;
        for (size_t i = 0; i < count; i++) sum += values[i];
        return sum / count;
    }

    char *greet(const char *name)
    {
        char *text = malloc(strlen(name) + 8);
        return strcat(strcpy(text, "Hello, "), name);
    }

    point middle(point a, point b)
    {
        return (point){(a.x + b.x) / 2, (a.y + b.y) / 2};
    }

    void each(int count, void (*visit)(int number))
    {
        for (int i = 0; i < count; i++) visit(i * i);
    }
    """,
    frees={"greet"},  # what it returns is the caller's to free
)

print(lib.mean([1.0, 2.0, 4.5], 3))
print(lib.greet("Zoë"))
print(lib.middle((0, 0), {"x": 2, "y": 4}))

squares: list[int] = []
lib.each(5, squares.append)
print(squares)

try:
    lib.mean("1, 2", 2)
except TypeError as error:
    print(error)

// SPDX-License-Identifier: Apache-2.0
// The plugin of plugin_server.py: a calculator of whole numbers with + - * / ( ) and n!, in C without any library.
//
//     zig cc --target=wasm32-freestanding -nostdlib -Os -s -Wl,--no-entry -Wl,-z,stack-size=65536 plugin.c -o plugin.wasm
//
// It is no better than plugins are: dividing by zero traps, brackets in brackets use up the stack, a large factorial takes for
// ever, and nothing checks for the end of `text`. None of that is a danger to the server.

#define EXPORT(name) __attribute__((export_name(name)))

static char text[65536];
static const char *at;

static long long sum(void);

static long long number(void)
{
    long long value = 0;
    while (*at >= '0' && *at <= '9') {
        value = value * 10 + (*at++ - '0');
    }
    return value;
}

static long long factor(void)
{
    long long value, count;
    if (*at == '(') {
        at++;
        value = sum();
        if (*at == ')') {
            at++;
        }
    }
    else if (*at == '-') {
        at++;
        return -factor();
    }
    else {
        value = number();
    }
    while (*at == '!') {
        at++;
        for (count = value, value = 1; count > 1; count--) {
            value = value * count % 1000000007;
        }
    }
    return value;
}

static long long product(void)
{
    long long value = factor();
    while (*at == '*' || *at == '/') {
        if (*at++ == '*') {
            value *= factor();
        }
        else {
            value /= factor();
        }
    }
    return value;
}

static long long sum(void)
{
    long long value = product();
    while (*at == '+' || *at == '-') {
        if (*at++ == '+') {
            value += product();
        }
        else {
            value -= product();
        }
    }
    return value;
}

// Where the server puts the question, with a 0 at its end.
EXPORT("buffer") char *buffer(void)
{
    return text;
}

EXPORT("calculate") long long calculate(void)
{
    at = text;
    return sum();
}

// SPDX-License-Identifier: Apache-2.0
// A library: what a host calls with strings in the guest's memory.

#include <ctype.h>

__attribute__((export_name("count"))) int count(const char *text, int letter)
{
    int number = 0;
    for (; *text != 0; text++) {
        number += *text == letter;
    }
    return number;
}

__attribute__((export_name("upper"))) void upper(char *text)
{
    for (; *text != 0; text++) {
        *text = (char)toupper((unsigned char)*text);
    }
}

// SPDX-License-Identifier: Apache-2.0
#include "cpu.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__linux__)
#include <sys/auxv.h>
#endif

#if defined(__x86_64__)
#define ARCHITECTURE "x86_64"
#elif defined(__aarch64__)
#define ARCHITECTURE "aarch64"
#else
#define ARCHITECTURE "other"
#endif

enum { WORDS_MAXIMUM = 16 };

// The feature words: how many.
static int feature_words(uint32_t words[WORDS_MAXIMUM])
{
    int count = 0;
#if defined(__x86_64__)
    // Intel's manual, volume 2A, CPUID; AMD's, volume 3, appendix E. Leaf 1 has the processor's number in EBX, so that is left out.
    static const struct {
        uint32_t leaf, subleaf;
    } leaves[] = {{1, 0}, {7, 0}, {7, 1}, {0x80000001u, 0}};
    for (unsigned i = 0; i < sizeof(leaves) / sizeof(leaves[0]); i++) {
        uint32_t a = 0, b = 0, c = 0, d = 0;
        __get_cpuid_count(leaves[i].leaf, leaves[i].subleaf, &a, &b, &c, &d);  // zeros where there is no such leaf
        words[count++] = leaves[i].leaf == 7 ? (leaves[i].subleaf == 0 ? b : a) : 0;
        words[count++] = c;
        words[count++] = d;
    }
    // Which registers the kernel saves: without, the instructions must not be used.
    uint32_t low = 0, high = 0;
    if ((words[1] & bit_OSXSAVE) != 0) {
        __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    }
    words[count++] = low;
#elif defined(__linux__)
    unsigned long long hwcap = getauxval(AT_HWCAP), hwcap2 = getauxval(AT_HWCAP2);
    words[count++] = (uint32_t)hwcap;
    words[count++] = (uint32_t)(hwcap >> 32);
    words[count++] = (uint32_t)hwcap2;
    words[count++] = (uint32_t)(hwcap2 >> 32);
#else
    (void)words;
#endif
    return count;
}

void cpu_features(char out[CPU_FEATURES_SIZE])
{
    uint32_t words[WORDS_MAXIMUM];
    int count = feature_words(words);
    int at = snprintf(out, CPU_FEATURES_SIZE, "%s", ARCHITECTURE);
    for (int i = 0; i < count; i++) {
        at += snprintf(out + at, (size_t)(CPU_FEATURES_SIZE - at), " %x", words[i]);
    }
}

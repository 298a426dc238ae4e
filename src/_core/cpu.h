// SPDX-License-Identifier: Apache-2.0
// What this processor can do, as a text: compiled code that uses one of its features does not run where that is missing.

#ifndef AW_CPU_H
#define AW_CPU_H

enum { CPU_FEATURES_SIZE = 160 };

// The name of the architecture and its feature words in hexadecimal. The same on every processor of the machine, and between
// restarts.
void cpu_features(char out[CPU_FEATURES_SIZE]);

#endif

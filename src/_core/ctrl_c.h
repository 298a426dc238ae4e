// SPDX-License-Identifier: Apache-2.0
// Ctrl-C inside a call: SIGINT, besides what it does to Python, wakes the store that the main thread runs.

#ifndef AW_CTRL_C_H
#define AW_CTRL_C_H

#include "engines/engine.h"

// Around an outermost call into an interruptible store; begin returns whether there is something to end (the thread is
// the main one, and no other such call runs in it). `handles_signals`: the call can run the program's handlers, which decide
// what becomes of it; else Ctrl-C interrupts it.
bool ctrl_c_begin(const aw_engine_api *api, aw_store *store, bool handles_signals);
void ctrl_c_end(void);

#endif

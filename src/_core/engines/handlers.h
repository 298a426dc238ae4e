// SPDX-License-Identifier: Apache-2.0
// Who gets SIGSEGV, SIGBUS, SIGILL and SIGFPE: engines first, which turn those of guests into traps, then whoever else asked.
// Any of these functions may be called from any thread, at any time but in a signal handler.

#ifndef AW_ENGINES_HANDLERS_H
#define AW_ENGINES_HANDLERS_H

#include <signal.h>
#include <stdbool.h>

enum { HANDLERS_COUNT = 4 };  // of signals

// Before and after an engine may install handlers of its own. Cheap; may be called as often as one likes.
void handlers_arrange(void);

// Do faults reach a handler in the library that *code* is of? An engine installs its handlers once in a process; somebody who
// put himself on top and left again, behind our back, may have taken them along.
bool handlers_reach(const void *code);

// For an engine that installs none: its handler is asked first on this thread from now on. It leaves by longjmp, or returns
// if the signal is not its business. NULL: no more.
typedef void (*handlers_function)(int number, siginfo_t *info, void *context);
void handlers_use(handlers_function handler);

// Around a call of somebody's that may change the actions: what it puts there becomes the one that is asked last, and
// engines keep being asked first. Nothing changes as long as no engine needed handlers.
typedef enum handlers_change {
    HANDLERS_REPLACE,
    HANDLERS_ADD,        // it remembers what it found, …
    HANDLERS_TAKE_BACK,  // … and puts it back
} handlers_change;

typedef struct handlers_saved {
    stack_t stack;
    struct sigaction top[HANDLERS_COUNT];
    bool arranged[HANDLERS_COUNT];  // top is ours, or an engine's that hands on to us
} handlers_saved;

void handlers_save(handlers_saved *saved);
void handlers_restore(const handlers_saved *saved, handlers_change change);

#endif

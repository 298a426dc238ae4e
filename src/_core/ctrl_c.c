// SPDX-License-Identifier: Apache-2.0
// CPython's own handler of SIGINT notes the signal, and the interpreter's loop acts on it; while a guest loops, nothing
// comes back to that loop. So during a call into an interruptible store, a handler of ours stands in front: it lets the one before
// do its work and then has the guest ask aw_host.poll, where PyErr_CheckSignals raises KeyboardInterrupt, or whatever the
// program's handler raises; if that raises nothing, the guest goes on. A sub-interpreter runs no handlers, so its guest is stopped.
//
// It is put in place for each outermost call (two system calls, some hundred nanoseconds) and taken away after it, so that
// whatever else the program does with SIGINT meets no trace of it.

#include "ctrl_c.h"

#include <errno.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

// Written by the main thread alone, outside the handler; read by the handler in any thread.
static const aw_engine_api *volatile running_api;
static aw_store *volatile running_store;
static volatile bool running_handles_signals;
static struct sigaction before;

static void on_sigint(int number, siginfo_t *info, void *context)
{
    int saved = errno;
    if ((before.sa_flags & SA_SIGINFO) != 0) {
        before.sa_sigaction(number, info, context);
    }
    else if (before.sa_handler != SIG_IGN && before.sa_handler != SIG_DFL) {
        before.sa_handler(number);
    }
    aw_store *store = running_store;
    if (store != NULL && !running_handles_signals) {
        running_api->store_interrupt(store);
    }
    else if (store != NULL && running_api->store_wake != NULL) {
        running_api->store_wake(store);
    }
    errno = saved;
}

bool ctrl_c_begin(const aw_engine_api *api, aw_store *store, bool handles_signals)
{
    static _Thread_local int is_main;  // 0 not known yet, 1 yes, -1 no
    if (is_main == 0) {
        is_main = getpid() == (pid_t)syscall(SYS_gettid) ? 1 : -1;
    }
    if (is_main < 0 || running_store != NULL || sigaction(SIGINT, NULL, &before) != 0) {
        return false;
    }
    // A program that ignores SIGINT, or dies of it at once, keeps doing so.
    if ((before.sa_flags & SA_SIGINFO) == 0 && (before.sa_handler == SIG_IGN || before.sa_handler == SIG_DFL)) {
        return false;
    }
    struct sigaction action = {.sa_flags = SA_SIGINFO | (before.sa_flags & SA_ONSTACK)};
    action.sa_sigaction = on_sigint;
    sigemptyset(&action.sa_mask);
    running_api = api;
    running_handles_signals = handles_signals;
    running_store = store;
    if (sigaction(SIGINT, &action, NULL) != 0) {
        running_store = NULL;
        return false;
    }
    return true;
}

void ctrl_c_end(void)
{
    running_store = NULL;
    struct sigaction now;
    // Somebody else's handler, set by a host function meanwhile, stays.
    if (sigaction(SIGINT, NULL, &now) == 0 && (now.sa_flags & SA_SIGINFO) != 0 && now.sa_sigaction == on_sigint) {
        sigaction(SIGINT, &before, NULL);
    }
}

// SPDX-License-Identifier: Apache-2.0
// Who gets SIGSEGV, SIGBUS, SIGILL and SIGFPE.
//
// A guest's trap is a signal, and a process has one action per signal. Those who want it put themselves on top, remember what
// was there, and hand on what is not theirs. That works for engines, which look at where the fault is. It does not for
// handlers that take every signal for a crash, like faulthandler's: on top of an engine they end the process at the next trap.
// So one handler of ours, `front`, stands where everybody else's was when the first engine came, and asks in this order:
//
//     [an engine's, on top]  put there after us, by an engine or by another package that has one; it hands on to
//     front                  which asks
//       1. the handler that an engine gave us for this thread (handlers_use)
//       2. an engine's that was there before us (`below`): did it change where the thread goes on? Then it was its
//       3. the foreign one (`foreign`): faulthandler's, a program's own, or the default action
//
// What is installed later by a call that we know of (handlers_save, handlers_restore) becomes the foreign one.
//
// The handler reads its tables while other threads may change them, so each entry is one atomic pointer to an action that is
// never freed. Actions are kept once each, so their number is bounded by the number of different handlers.

#include "engine.h"
#include "handlers.h"

#include <dlfcn.h>
#include <link.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

static const int signals[HANDLERS_COUNT] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE};

typedef const struct sigaction *action;

static struct {
    _Atomic(action) foreign;  // NULL: the default action
    _Atomic(action) below;    // NULL: none
    action above;             // an engine's that came after us, if we have seen it
    action displaced;         // what was foreign before somebody came by HANDLERS_ADD, …
    bool is_displaced;        // … who has not taken it back yet
    bool installed;           // `front` is in the chain
} table[HANDLERS_COUNT];

static AW_THREAD_LOCAL handlers_function engine_handler;
static AW_THREAD_LOCAL const char *others_run;  // the stack address of the `front` that called another's handler

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;  // of everything but the handler itself

// --- handling ---------------------------------------------------------------------------------------------

static int index_of(int number)
{
    int i = 0;
    while (i < HANDLERS_COUNT - 1 && signals[i] != number) {
        i++;
    }
    return i;
}

// End the process as the default action does: a fault recurs when the handler returns; a signal that was sent has to be
// sent again.
static void default_action(int number, const siginfo_t *info)
{
    struct sigaction by_default = {.sa_handler = SIG_DFL};
    sigaction(number, &by_default, NULL);
    if (info->si_code <= 0) {
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, number);
        pthread_sigmask(SIG_UNBLOCK, &set, NULL);
        raise(number);
    }
}

// Call *foreign* as the kernel would have.
static void call_foreign(action foreign, int number, siginfo_t *info, void *context)
{
    bool is_sent = info->si_code <= 0;
    if (foreign == NULL) {
        default_action(number, info);
        return;
    }
    if (!(foreign->sa_flags & SA_SIGINFO) && foreign->sa_handler == SIG_IGN) {
        if (!is_sent) {
            default_action(number, info);  // faults cannot be ignored
        }
        return;
    }
    if (foreign->sa_flags & SA_RESETHAND) {
        atomic_store(&table[index_of(number)].foreign, NULL);
    }
    sigset_t mask = ((ucontext_t *)context)->uc_sigmask;
    for (int i = 1; i < NSIG; i++) {
        if (sigismember(&foreign->sa_mask, i) == 1) {
            sigaddset(&mask, i);
        }
    }
    if (foreign->sa_flags & SA_NODEFER) {
        sigdelset(&mask, number);
    }
    else {
        sigaddset(&mask, number);
    }
    pthread_sigmask(SIG_SETMASK, &mask, NULL);  // the return from the handler sets it back
    if (foreign->sa_flags & SA_SIGINFO) {
        foreign->sa_sigaction(number, info, context);
    }
    else {
        foreign->sa_handler(number);
    }
    struct sigaction now = {.sa_handler = SIG_IGN};
    if (is_sent && sigaction(number, NULL, &now) == 0 && now.sa_handler == SIG_DFL) {
        default_action(number, info);  // it wants the signal to come once more, and only a fault does so by itself
    }
}

static void front(int number, siginfo_t *info, void *context)
{
    int i = index_of(number);
    bool is_fault = info->si_code > 0;  // not sent by somebody
    if (is_fault && engine_handler != NULL) {
        engine_handler(number, info, context);  // does not return if it was its
    }
    // A handler that raises the signal again, once it has put back what it found (us), means the default action. One
    // that left by longjmp does not count: the stack is back where it was.
    const char *here = __builtin_frame_address(0);
    if (others_run != NULL && here < others_run && others_run - here < 65536) {
        default_action(number, info);
        return;
    }
    const char *outer = others_run;
    others_run = here;
    action below = atomic_load(&table[i].below);
    bool handled = false;
    if (is_fault && below != NULL) {
        mcontext_t before = ((ucontext_t *)context)->uc_mcontext;
        below->sa_sigaction(number, info, context);
        handled = memcmp(&before, &((ucontext_t *)context)->uc_mcontext, sizeof(before)) != 0;
    }
    if (!handled) {
        call_foreign(atomic_load(&table[i].foreign), number, info, context);
    }
    others_run = outer;
}

// --- whose handler is it? -------------------------------------------------------------------------------------

static bool is_front(action it)
{
    return (it->sa_flags & SA_SIGINFO) && it->sa_sigaction == front;
}

// Of a library that exports the standard C API of WebAssembly engines?
static bool is_engines(const void *code)
{
    Dl_info info;
    if (dladdr(code, &info) == 0 || info.dli_fname == NULL) {
        return false;
    }
    void *library = dlopen(info.dli_fname, RTLD_LAZY | RTLD_NOLOAD);
    if (library == NULL) {
        return false;
    }
    Dl_info found;
    const void *api = dlsym(library, "wasm_engine_new");
    bool is = api != NULL && dladdr(api, &found) != 0 && found.dli_fbase == info.dli_fbase;
    dlclose(library);
    return is;
}

// As an engine's handler has to be: it wants to know where the fault is. (The address of a function as of data: POSIX has dlsym.)
static bool is_engines_action(action it)
{
    return (it->sa_flags & SA_SIGINFO) && is_engines((const void *)(uintptr_t)it->sa_sigaction);
}

static bool same_action(action a, action b)
{
    bool same = a->sa_handler == b->sa_handler && a->sa_flags == b->sa_flags;
    for (int i = 1; same && i < NSIG;
         i++) {  // not memcmp: the C library leaves parts of what sigaction() tells undefined
        same = sigismember(&a->sa_mask, i) == sigismember(&b->sa_mask, i);
    }
    return same;
}

// The kept copy of *it*; NULL for the default action, and where there is no memory.
static action keep(action it)
{
    static struct kept {
        struct kept *next;
        struct sigaction action;
    } *all;  // under the lock
    if (!(it->sa_flags & SA_SIGINFO) && it->sa_handler == SIG_DFL) {
        return NULL;
    }
    struct kept *found = all;
    while (found != NULL && !same_action(&found->action, it)) {
        found = found->next;
    }
    if (found == NULL) {
        found = malloc(sizeof(*found));
        if (found == NULL) {
            return NULL;
        }
        *found = (struct kept){.next = all, .action = *it};
        all = found;
    }
    return &found->action;
}

// --- an engine's handler that somebody put himself on top of ----------------------------------------------------

typedef struct range {
    uintptr_t start, end;
} range;

enum { RANGES_MAXIMUM = 8 };

// Fills `ranges` (ends with an empty one) with the variables of the object that Python itself is; 1 ends the search.
static int find_python(struct dl_phdr_info *object, size_t size, void *ranges)
{
    (void)size;
    uintptr_t variable = (uintptr_t)dlsym(RTLD_DEFAULT, "PyExc_BaseException");  // one of them
    range *next = ranges;
    bool is_python = false;
    for (int i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &object->dlpi_phdr[i];
        uintptr_t start = object->dlpi_addr + segment->p_vaddr;
        if (segment->p_type == PT_LOAD && (segment->p_flags & PF_W) && next < (range *)ranges + RANGES_MAXIMUM - 1) {
            *next++ = (range){start, start + segment->p_memsz};
            is_python |= variable >= start && variable - start < segment->p_memsz;
        }
    }
    if (!is_python) {
        memset(ranges, 0, RANGES_MAXIMUM * sizeof(range));
    }
    return is_python;
}

// If faulthandler was enabled after another package had made an engine, the engine's handler is known to faulthandler alone,
// which keeps it among Python's variables. Look there for an action of an engine's library. NULL if there is none.
static action find_hidden(void)
{
    range ranges[RANGES_MAXIMUM] = {{0, 0}};
    dl_iterate_phdr(find_python, ranges);
    const unsigned needed = SA_SIGINFO | SA_ONSTACK;
    const unsigned restorer = 0x04000000;  // Linux's SA_RESTORER, which the C library adds
    const unsigned possible = needed | restorer | SA_NODEFER | SA_RESTART;
    for (const range *it = ranges; it->end != 0; it++) {
        uintptr_t at = (it->start + sizeof(void *) - 1) / sizeof(void *) * sizeof(void *);
        for (; at + sizeof(struct sigaction) <= it->end; at += sizeof(void *)) {
            action candidate = (action)at;
            unsigned flags = (unsigned)candidate->sa_flags;
            if ((flags & needed) == needed && (flags & ~possible) == 0 && is_engines_action(candidate)) {
                return keep(candidate);
            }
        }
    }
    return NULL;
}

// --- installing ----------------------------------------------------------------------------------------------------

static void lock_for_fork(void)
{
    pthread_mutex_lock(&lock);
}

static void unlock_after_fork(void)
{
    pthread_mutex_unlock(&lock);
}

// Put what belongs on top there: an engine's handler that came after us, or our own.
static void put_on_top(int i)
{
    struct sigaction ours = {.sa_sigaction = front, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
    sigemptyset(&ours.sa_mask);
    sigaction(signals[i], table[i].above != NULL ? table[i].above : &ours, NULL);
}

// Is what is on top ours, or an engine's that hands on to us? Notes the latter.
static bool is_arranged(int i, action top)
{
    if (!table[i].installed) {
        return false;
    }
    if (is_front(top)) {
        return true;
    }
    action below = table[i].below;
    if (!is_engines_action(top) || (below != NULL && below->sa_sigaction == top->sa_sigaction)) {
        return false;
    }
    table[i].above = keep(top);
    return true;
}

void handlers_arrange(void)
{
    static bool once;
    pthread_mutex_lock(&lock);
    if (!once) {
        once = pthread_atfork(lock_for_fork, unlock_after_fork, unlock_after_fork) == 0;
    }
    bool searched = false;
    action hidden = NULL;
    for (int i = 0; i < HANDLERS_COUNT; i++) {
        struct sigaction top;
        sigaction(signals[i], NULL, &top);
        if (is_arranged(i, &top)) {
            continue;
        }
        action found = keep(&top);
        if (is_engines_action(&top)) {
            table[i].below = found;
        }
        else if (!table[i].installed && found != NULL) {
            if (!searched) {
                hidden = find_hidden();
                searched = true;
            }
            table[i].below = hidden;
        }
        table[i].foreign = found;
        put_on_top(i);
        table[i].installed = true;
    }
    pthread_mutex_unlock(&lock);
}

bool handlers_reach(const void *code)
{
    Dl_info wanted, found;
    struct sigaction top;
    pthread_mutex_lock(&lock);
    sigaction(SIGSEGV, NULL, &top);
    action candidates[] = {&top, table[0].above, table[0].below};
    bool reached = false;
    for (size_t i = 0; i < sizeof(candidates) / sizeof(candidates[0]); i++) {
        reached |= candidates[i] != NULL && dladdr((const void *)(uintptr_t)candidates[i]->sa_sigaction, &found) != 0 &&
                   dladdr(code, &wanted) != 0 && found.dli_fbase == wanted.dli_fbase;
    }
    pthread_mutex_unlock(&lock);
    return reached;
}

void handlers_use(handlers_function handler)
{
    handlers_arrange();
    engine_handler = handler;
}

// --- what others install ---------------------------------------------------------------------------------------------

void handlers_save(handlers_saved *saved)
{
    sigaltstack(NULL, &saved->stack);
    pthread_mutex_lock(&lock);
    for (int i = 0; i < HANDLERS_COUNT; i++) {
        sigaction(signals[i], NULL, &saved->top[i]);
        saved->arranged[i] = is_arranged(i, &saved->top[i]);
    }
    pthread_mutex_unlock(&lock);
}

void handlers_restore(const handlers_saved *saved, handlers_change change)
{
    pthread_mutex_lock(&lock);
    for (int i = 0; i < HANDLERS_COUNT; i++) {
        struct sigaction top;
        sigaction(signals[i], NULL, &top);
        bool changed = !same_action(&top, &saved->top[i]);
        if (!saved->arranged[i]) {
            continue;
        }
        if (change == HANDLERS_TAKE_BACK && table[i].is_displaced) {
            // What it put back is what it had found on top: one of ours.
            table[i].foreign = table[i].displaced;
            table[i].is_displaced = false;
        }
        else if (changed) {
            if (change == HANDLERS_ADD) {
                table[i].displaced = table[i].foreign;
                table[i].is_displaced = true;
            }
            table[i].foreign = is_front(&top) ? NULL : keep(&top);
        }
        if (changed) {
            put_on_top(i);
        }
    }
    pthread_mutex_unlock(&lock);
    // The stack that handlers run on, of this thread: faulthandler's own may be too small for an engine's.
    stack_t stack;
    if (!(saved->stack.ss_flags & SS_DISABLE) && sigaltstack(NULL, &stack) == 0 &&
        stack.ss_size < saved->stack.ss_size) {
        sigaltstack(&saved->stack, NULL);
    }
}

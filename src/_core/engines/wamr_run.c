// SPDX-License-Identifier: Apache-2.0
// What happens while guest code of the WAMR engine runs: calls of imports, traps and faults, fuel and interruption.

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <ucontext.h>

#include "handlers.h"
#include "wamr.h"

#define FRAMES_MAX 256           // of a backtrace; an endless recursion has thousands alike
#define HOST_STACK (256 * 1024)  // what a host function finds at least; its own checks (Python's) take over there
#define FIXED_VALUES 16          // parameters or results of an import that need no allocation

AW_THREAD_LOCAL thread_state aw_wamr_thread;

// --- failures -----------------------------------------------------------------------------------------------------

// The interpreter's words, the specification's words for them, and the code.
static const struct trap_text {
    const char *wamr;
    const char *text;
    aw_trapcode code;
} trap_texts[] = {
    {"unreachable", "unreachable", AW_TRAP_UNREACHABLE},
    {"out of bounds memory access", NULL, AW_TRAP_MEMORY_OUT_OF_BOUNDS},
    {"out of bounds table access", NULL, AW_TRAP_TABLE_OUT_OF_BOUNDS},
    {"undefined element", NULL, AW_TRAP_UNDEFINED_ELEMENT},
    {"uninitialized element", NULL, AW_TRAP_UNINITIALIZED_ELEMENT},
    {"indirect call type mismatch", NULL, AW_TRAP_INDIRECT_CALL_TYPE_MISMATCH},
    {"integer overflow", NULL, AW_TRAP_INTEGER_OVERFLOW},
    {"integer divide by zero", NULL, AW_TRAP_INTEGER_DIVIDE_BY_ZERO},
    {"invalid conversion to integer", NULL, AW_TRAP_INVALID_CONVERSION_TO_INTEGER},
    {"wasm operand stack overflow", "call stack exhausted", AW_TRAP_STACK_EXHAUSTED},
    {"native stack overflow", "call stack exhausted", AW_TRAP_STACK_EXHAUSTED},
    {"unaligned atomic", NULL, AW_TRAP_UNALIGNED_ATOMIC},
    {"expected shared memory", NULL, AW_TRAP_WAIT_ON_UNSHARED_MEMORY},
};

// Make *in*'s code unwind. The first reason counts. Also called by the fault handler: no allocation.
void aw_wamr_fail(instance *in, aw_errorkind kind, const char *text)
{
    failure *failure = &in->store->failure;
    in->wamr.cur_exception[0] = '!';
    if (!failure->set) {
        failure->set = true;
        failure->kind = kind;
        failure->trap = AW_TRAP_OTHER;
        failure->text = text;
    }
}

void aw_wamr_raise(WASMModuleInstance *module, const char *text)
{
    instance *in = instance_of(module);
    if (in->store->failure.set) {
        in->wamr.cur_exception[0] = '!';
        return;
    }
    if (strcmp(text, "allocate memory failed") == 0) {
        aw_wamr_fail(in, AW_ERROR_MEMORY, "out of memory");
        return;
    }
    aw_wamr_fail(in, AW_ERROR_TRAP, text);
    for (size_t i = 0; i < sizeof(trap_texts) / sizeof(trap_texts[0]); i++) {
        if (strcmp(text, trap_texts[i].wamr) == 0) {
            in->store->failure.trap = trap_texts[i].code;
            if (trap_texts[i].code == AW_TRAP_STACK_EXHAUSTED) {
                const WASMExecEnv *env = &in->store->environment->wamr;
                in->store->failure.stack = strcmp(text, "native stack overflow") == 0
                                               ? AW_UNKNOWN  // the thread's
                                               : (uint64_t)(env->wasm_stack.top_boundary - env->wasm_stack.bottom);
            }
            if (trap_texts[i].text != NULL) {
                in->store->failure.text = trap_texts[i].text;
            }
            return;
        }
    }
    in->store->failure.text = "trap of an unknown kind";  // *text* may be a buffer of the interpreter's
}

// Where the instruction before *ip* of the module's own function *index* is in the module; UINT64_MAX if that is unknown.
static uint64_t find_offset(aw_module *module, uint32_t index, const uint8_t *ip)
{
    const WASMFunction *code = module->code->functions[index];
    if (ip <= code->code_compiled || ip > code->code_compiled + code->code_compiled_size) {
        return UINT64_MAX;
    }
    pthread_mutex_lock(&module->lock);
    if (module->offsets == NULL) {
        module->offsets = calloc(module->code->function_count, sizeof(*module->offsets));
    }
    offset_map *map = NULL;
    if (module->offsets != NULL) {
        if (module->offsets[index] == NULL) {
            module->offsets[index] = aw_wamr_map_offsets(module, index);
        }
        map = module->offsets[index];
    }
    pthread_mutex_unlock(&module->lock);
    size_t low = 0, high = map != NULL ? map->count : 0;
    while (low < high) {  // the first pair at or behind *ip*
        size_t middle = low + (high - low) / 2;
        if (map->pairs[middle].translated < (uint32_t)(ip - code->code_compiled)) {
            low = middle + 1;
        }
        else {
            high = middle;
        }
    }
    return low > 0 ? map->pairs[low - 1].module : UINT64_MAX;
}

// Add the frames from *newest* to *end*, which is not one of them, to the backtrace. Without memory it stays shorter.
void aw_wamr_add_frames(instance *in, WASMInterpFrame *newest, WASMInterpFrame *end)
{
    failure *failure = &in->store->failure;
    size_t count = 0;
    for (WASMInterpFrame *frame = newest; frame != NULL && frame != end; frame = frame->prev_frame) {
        count += frame->function != NULL && !frame->function->is_import_func;
    }
    if (failure->frame_count >= FRAMES_MAX || count == 0) {
        return;
    }
    if (count > FRAMES_MAX - failure->frame_count) {
        count = FRAMES_MAX - failure->frame_count;
    }
    aw_frame *grown = realloc(failure->frames, (failure->frame_count + count) * sizeof(*grown));
    if (grown == NULL) {
        return;
    }
    failure->frames = grown;
    for (WASMInterpFrame *frame = newest; count > 0; frame = frame->prev_frame) {
        if (frame->function != NULL && !frame->function->is_import_func) {
            uint32_t index = (uint32_t)(frame->function - in->extra.functions);
            failure->frames[failure->frame_count++] = (aw_frame){
                .instance = in->name,
                .function_index = index,
                .module_offset = find_offset(in->module, index - in->code.import_function_count, frame->ip),
            };
            count--;
        }
    }
}

// Turn the failure into an error. Returns -1.
int aw_wamr_take_failure(aw_store *store, aw_error *error)
{
    failure *failure = &store->failure;
    aw_error_set(error, failure->kind, "%s", failure->text);
    error->trap = failure->trap;
    error->used = error->allowed = failure->stack;
    error->frames = failure->frames;
    error->frame_count = failure->frame_count;
    memset(failure, 0, sizeof(*failure));
    return -1;
}

// --- faults ---------------------------------------------------------------------------------------------------------

// The interpreter keeps its instruction pointer in a register, which one is the compiler's choice: take the one that points
// into the running function's code, behind all others if there are several. NULL if there is none.
static const uint8_t *find_instruction(const WASMInterpFrame *frame, const ucontext_t *context)
{
    if (frame == NULL || frame->function == NULL || frame->function->is_import_func) {
        return NULL;
    }
    const WASMFunction *code = frame->function->u.func;
    const uint8_t *found = NULL;
#if defined(__x86_64__) && defined(__linux__)
    const size_t count = REG_RIP;  // the general registers come before it
    const greg_t *registers = context->uc_mcontext.gregs;
#elif defined(__aarch64__) && defined(__linux__)
    const size_t count = 31;
    const __typeof__(context->uc_mcontext.regs[0]) *registers = context->uc_mcontext.regs;
#else
    (void)context;
    const size_t count = 0;
    const uintptr_t *registers = NULL;
#endif
    for (size_t i = 0; i < count; i++) {
        const uint8_t *value = (const uint8_t *)(uintptr_t)registers[i];
        if (value > code->code_compiled && value <= code->code_compiled + code->code_compiled_size && value > found) {
            found = value;
        }
    }
    return found;
}

// An access beyond the end of the running instance's memory is a trap; everything else is not ours.
static void fault_handler(int number, siginfo_t *info, void *context)
{
    (void)number;
    activation *here = aw_wamr_thread.current;
    if (here != NULL && !here->in_host && here->instance->wamr.memories != NULL) {
        const uint8_t *data = here->instance->wamr.memories[0]->memory_data;
        const uint8_t *address = info->si_addr;
        if (address >= data && (uint64_t)(address - data) < MEMORY_RESERVATION) {
            here->fault = find_instruction(here->instance->store->environment->wamr.cur_frame, context);
            aw_wamr_raise(&here->instance->wamr, "out of bounds memory access");
            _longjmp(here->landing, 1);
        }
    }
}

// The lowest address that this thread's stack may reach in calls.
static uint8_t *find_stack_boundary(void)
{
    uint8_t *here = __builtin_frame_address(0);
    uint8_t *lowest = here - 256 * 1024;  // where the system does not tell
    size_t size = 256 * 1024;
#if defined(__APPLE__)
    size = pthread_get_stacksize_np(pthread_self());
    lowest = (uint8_t *)pthread_get_stackaddr_np(pthread_self()) - size;
#else
    pthread_attr_t attributes;
    if (pthread_getattr_np(pthread_self(), &attributes) == 0) {
        void *address;
        if (pthread_attr_getstack(&attributes, &address, &size) == 0 && (uint8_t *)address < here) {
            lowest = address;
        }
        pthread_attr_destroy(&attributes);
    }
    if (size > (size_t)1 << 30) {  // an unlimited stack: not to the end of the address space
        lowest = here - ((size_t)64 << 20);
        size = (size_t)64 << 20;
    }
#endif
    return lowest + (size / 4 < HOST_STACK ? size / 4 : HOST_STACK);
}

// The first call on this thread.
void aw_wamr_enter_thread(thread_state *thread)
{
    thread->stack_boundary = find_stack_boundary();
    handlers_use(fault_handler);
}

// --- imports --------------------------------------------------------------------------------------------------------

// The interpreter calls an import: *cells* has the parameters. Results of one or two cells go to *results*, more to where
// the caller's frame wants them. False: the calling instance unwinds.
bool aw_wamr_call_import(WASMExecEnv *env, void *code, const WASMFuncType *type, const char *signature,
                         void *attachment, uint32_t *cells, uint32_t cell_count, uint32_t *results)
{
    (void)code;
    (void)signature;
    (void)cell_count;
    function *f = attachment;
    aw_store *store = f->store;
    instance *in = (instance *)env->module_inst;
    aw_raw fixed[FIXED_VALUES];
    aw_raw *values = fixed;
    uint32_t count = type->param_count > type->result_count ? type->param_count : type->result_count;
    if (count > FIXED_VALUES) {
        values = malloc(count * sizeof(*values));
        if (values == NULL) {
            aw_wamr_fail(in, AW_ERROR_MEMORY, "out of memory");
            return false;
        }
    }
    bool ok = get_values(store, type->types, type->param_count, values, cells);
    if (!ok) {
        aw_wamr_fail(in, AW_ERROR_MEMORY, "out of memory");
    }
    else if (f->owner != NULL) {
        ok = run(f->owner, f->code, f->type, values);
        if (!ok) {
            in->wamr.cur_exception[0] = '!';
        }
    }
    else {
        activation *here = aw_wamr_thread.current;
        aw_caller caller = {.store = store, .instance = in};
        here->in_host = true;
        aw_hostresult result = f->callback(f->env, &caller, values);
        here->in_host = false;
        ok = result == AW_HOST_OK;
        if (!ok) {
            aw_wamr_fail(in, result == AW_HOST_FAILED ? AW_ERROR_HOST : AW_ERROR_UNSUPPORTED,
                         result == AW_HOST_FAILED ? "a host function failed" : "wamr has no exceptions to throw");
        }
    }
    if (ok && type->result_count > 0) {
        WASMInterpFrame *caller = env->cur_frame->prev_frame;
        uint32_t *place = type->ret_cell_num <= 2 ? results : caller->lp + caller->ret_offset;
        ok = put_values(store, type->types + type->param_count, type->result_count, values, place);
        if (!ok) {
            aw_wamr_fail(in, AW_ERROR_MEMORY, "out of memory");
        }
    }
    if (values != fixed) {
        free(values);
    }
    return ok;
}

// --- interruption ---------------------------------------------------------------------------------------------------

// At a call or branch, when somebody asked for it or it is time to ask the host. True: the code unwinds.
bool aw_wamr_checkpoint(WASMExecEnv *env, WASMModuleInstance *module)
{
    aw_store *store = environment_of(env)->store;
    instance *in = instance_of(module);
    if (BH_ATOMIC_32_LOAD(env->suspend_flags.flags) != 0) {
        BH_ATOMIC_32_STORE(env->suspend_flags.flags, 0);
        aw_wamr_fail(in, AW_ERROR_INTERRUPTED, "interrupted");
        return true;
    }
    environment_of(env)->poll = POLL_EVERY;
    if (store->host.poll != NULL && store->engine->config.interruptible) {
        activation *here = aw_wamr_thread.current;
        here->in_host = true;
        int stop = store->host.poll(store->host.data);
        here->in_host = false;
        if (stop) {
            aw_wamr_fail(in, AW_ERROR_HOST, "the host stopped the call");
            return true;
        }
    }
    return false;
}

// memory.atomic.wait. Nobody else runs in the store, so nobody will notify: it lasts to its timeout or an interruption.
uint32_t aw_wamr_atomic_wait(WASMModuleInstance *module, void *address, uint64_t expected, int64_t timeout, bool wide)
{
    instance *in = instance_of(module);
    WASMExecEnv *env = &in->store->environment->wamr;
    if (!module->memories[0]->is_shared_memory) {
        aw_wamr_raise(module, "expected shared memory");
        return UINT32_MAX;
    }
    uint64_t found = wide ? __atomic_load_n((uint64_t *)address, __ATOMIC_SEQ_CST)
                          : __atomic_load_n((uint32_t *)address, __ATOMIC_SEQ_CST);
    if (found != (wide ? expected : (uint32_t)expected)) {
        return 1;
    }
    const int64_t slice = 10000000;  // nanoseconds between two looks at whether to stop
    while (timeout != 0) {
        int64_t part = timeout < 0 || timeout > slice ? slice : timeout;
        nanosleep(&(struct timespec){.tv_nsec = part}, NULL);
        if (timeout > 0) {
            timeout -= part;
        }
        if (aw_wamr_checkpoint(env, module)) {
            return UINT32_MAX;
        }
    }
    return 2;
}

// SPDX-License-Identifier: Apache-2.0
// WAMR's fast interpreter under our rules, and the way into it. This file is compiled three times (wamr.cmake):
// ANYWASM_CHECKS is 0 for nothing, 1 for interruption, 2 for that and fuel.

#include "wamr.h"

#if ANYWASM_CHECKS == 2
#define RUN aw_wamr_run_fueled
#define HANDLES aw_wamr_handles_fueled
#elif ANYWASM_CHECKS == 1
#define RUN aw_wamr_run_interruptible
#define HANDLES aw_wamr_handles_interruptible
#else
#define RUN aw_wamr_run_plain
#define HANDLES aw_wamr_handles_plain
#endif

// --- what the interpreter's text means here --------------------------------------------------------------------

// Its own entry and the table of its instructions' addresses, which the loader puts into the code.
#define wasm_interp_call_wasm unused_entry
#define wasm_interp_get_handle_table HANDLES
__attribute__((unused)) static void unused_entry(WASMModuleInstance *, WASMExecEnv *, WASMFunctionInstance *, uint32,
                                                 uint32 *);

#define anywasm_function_reference aw_wamr_function_reference
#define anywasm_referenced_function(module, number) referenced_function(module, number)
static inline WASMFunctionInstance *referenced_function(WASMModuleInstance *module, uint32_t number)
{
    const instance *in = instance_of(module);
    if (number < in->referenced_count && in->referenced[number] != NULL) {
        return in->referenced[number];
    }
    return aw_wamr_referenced_function(module, number);
}

// Exceptions: the text is a constant, kept by pointer; the first byte of WAMR's buffer says that there is one.
#define wasm_set_exception(module, text) aw_wamr_raise(module, text)
#define wasm_copy_exception(module, buffer) ((module)->cur_exception[0] != '\0')

// Room for another call of a host function.
#define wasm_runtime_detect_native_stack_overflow(env) stack_left(env)
static inline bool stack_left(WASMExecEnv *env)
{
    if ((uint8_t *)__builtin_frame_address(0) > env->native_stack_boundary) {
        return true;
    }
    aw_wamr_raise((WASMModuleInstance *)env->module_inst, "native stack overflow");
    return false;
}

#define wasm_runtime_invoke_native_raw aw_wamr_call_import
#define wasm_runtime_invoke_native(...) false
#define wasm_runtime_invoke_c_api_native(...) false
#define wasm_enlarge_memory aw_wamr_memory_grow
#define wasm_enlarge_table aw_wamr_table_grow
#define wasm_get_default_memory(module) ((module)->memories != NULL ? (module)->memories[0] : NULL)

// Nobody shares a memory with another thread: a store is used by one thread at a time.
#define wasm_runtime_atomic_wait(module, address, expected, timeout, wide) \
    aw_wamr_atomic_wait((WASMModuleInstance *)(module), address, expected, timeout, wide)
#define wasm_runtime_atomic_notify(module, address, count) 0
#define shared_memory_lock(memory) (void)0
#define shared_memory_unlock(memory) (void)0

// Rounding makes signalling NaNs quiet, which compilers forget where they put one instruction for the function.
#define ROUNDING(name, type, word, quiet_bit)    \
    static inline type quiet_##name(type value)  \
    {                                            \
        word bits;                               \
        memcpy(&bits, &value, sizeof(bits));     \
        bits |= quiet_bit;                       \
        if (value != value) {                    \
            memcpy(&value, &bits, sizeof(bits)); \
            return value;                        \
        }                                        \
        return name(value);                      \
    }
ROUNDING(ceilf, float, uint32_t, UINT32_C(1) << 22)
ROUNDING(floorf, float, uint32_t, UINT32_C(1) << 22)
ROUNDING(truncf, float, uint32_t, UINT32_C(1) << 22)
ROUNDING(rintf, float, uint32_t, UINT32_C(1) << 22)
ROUNDING(ceil, double, uint64_t, UINT64_C(1) << 51)
ROUNDING(floor, double, uint64_t, UINT64_C(1) << 51)
ROUNDING(trunc, double, uint64_t, UINT64_C(1) << 51)
ROUNDING(rint, double, uint64_t, UINT64_C(1) << 51)
#define ceilf quiet_ceilf
#define floorf quiet_floorf
#define truncf quiet_truncf
#define rintf quiet_rintf
#define ceil quiet_ceil
#define floor quiet_floor
#define trunc quiet_trunc
#define rint quiet_rint

#if WASM_ENABLE_SIMDE != 0
#define ANYWASM_COPY_VECTOR()                                                        \
    if (cur_func->param_types[i] == VALUE_TYPE_V128) {                               \
        PUT_V128_TO_ADDR(lp, GET_OPERAND_V128(2 * (cur_func->param_count - i - 1))); \
        lp += 4;                                                                     \
        continue;                                                                    \
    }
#else
#define ANYWASM_COPY_VECTOR()
#endif

#if ANYWASM_CHECKS == 2
#define ANYWASM_COUNT_INSTRUCTION()                                          \
    do {                                                                     \
        if (--environment_of(exec_env)->fuel < 0) {                          \
            aw_wamr_fail(instance_of(module), AW_ERROR_FUEL, "out of fuel"); \
            goto got_exception;                                              \
        }                                                                    \
    } while (0)
#else
#define ANYWASM_COUNT_INSTRUCTION() (void)0
#endif

#if ANYWASM_CHECKS != 0
// At calls and branches the interpreter asks for this flag, if it believes to have a thread manager: it alone does.
#undef WASM_SUSPEND_FLAGS_GET
#define WASM_SUSPEND_FLAGS_GET(flags) \
    (checkpoint(exec_env, module) ? (frame->ip = frame_ip, WASM_SUSPEND_FLAG_TERMINATE) : 0)
static inline bool checkpoint(WASMExecEnv *env, WASMModuleInstance *module)
{
    if (--environment_of(env)->poll < 0 || BH_ATOMIC_32_LOAD(env->suspend_flags.flags) != 0) {
        return aw_wamr_checkpoint(env, module);
    }
    return false;
}
#undef WASM_ENABLE_THREAD_MGR
#define WASM_ENABLE_THREAD_MGR 1
#endif

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wall"
#pragma GCC diagnostic ignored "-Wextra"
#include "changed_wasm_interp_fast.c"  // in the build folder
#pragma GCC diagnostic pop

// --- the way in --------------------------------------------------------------------------------------------------

bool RUN(instance *in, WASMFunctionInstance *code, const WASMFuncType *type, aw_raw *values)
{
    aw_store *store = in->store;
    WASMExecEnv *env = &store->environment->wamr;
    WASMInterpFrame *outer_frame = env->cur_frame;
    struct WASMModuleInstanceCommon *outer_instance = env->module_inst;
    uint8_t *outer_top = env->wasm_stack.top;
    uint8_t *outer_boundary = env->native_stack_boundary;
    thread_state *thread = &aw_wamr_thread;

    if (thread->stack_boundary == NULL) {
        aw_wamr_enter_thread(thread);
    }
    env->native_stack_boundary = thread->stack_boundary;
    env->module_inst = (struct WASMModuleInstanceCommon *)in;

    activation here = {.outer = thread->current, .instance = in, .in_host = false};
    bool ok = false;

    // A frame of no function, which takes the results; the parameters go where the callee's frame will begin.
    unsigned result_cells = code->ret_cell_num > 2 ? code->ret_cell_num : 2;
    WASMInterpFrame *frame = NULL;
    if (stack_left(env)) {
        frame = wasm_exec_env_alloc_wasm_frame(env, wasm_interp_interp_frame_size(result_cells));
        WASMInterpFrame *callee = wasm_exec_env_wasm_stack_top(env);
        if (frame == NULL ||
            (uint8_t *)(callee->operand + code->const_cell_num + code->param_cell_num) > env->wasm_stack.top_boundary) {
            aw_wamr_raise(&in->wamr, "wasm operand stack overflow");
        }
        else if (!put_values(store, type->types, type->param_count, values, callee->operand + code->const_cell_num)) {
            aw_wamr_fail(in, AW_ERROR_MEMORY, "out of memory");
        }
        else {
            frame->prev_frame = outer_frame;
            frame->function = NULL;
            frame->ip = NULL;
            frame->lp = frame->operand;
            frame->ret_offset = 0;
            env->cur_frame = frame;
            store->depth++;
            thread->current = &here;
            if (_setjmp(here.landing) == 0) {
                wasm_interp_call_func_bytecode(&in->wamr, env, code, frame);
            }
            else {
                env->cur_frame->ip = (uint8_t *)here.fault;
            }
            thread->current = here.outer;
            store->depth--;
            if (in->wamr.cur_exception[0] == '\0') {
                ok = get_values(store, type->types + type->param_count, type->result_count, values, frame->lp);
                if (!ok) {
                    aw_wamr_fail(in, AW_ERROR_MEMORY, "out of memory");
                }
            }
        }
    }
    if (!ok) {
        aw_wamr_add_frames(in, env->cur_frame, outer_frame);
        in->wamr.cur_exception[0] = '\0';
    }
    env->cur_frame = outer_frame;
    env->module_inst = outer_instance;
    env->wasm_stack.top = outer_top;
    env->native_stack_boundary = outer_boundary;
    return ok;
}

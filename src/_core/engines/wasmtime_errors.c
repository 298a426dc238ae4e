// SPDX-License-Identifier: Apache-2.0
// From Wasmtime's errors and traps to aw_error: kinds, the specification's words, frames.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wasmtime.h"

// --- errors --------------------------------------------------------------------------------------------------------

static const struct {
    aw_trapcode code;
    const char *text;
} traps[] = {
    [0] = {AW_TRAP_STACK_EXHAUSTED, "call stack exhausted"},
    [1] = {AW_TRAP_MEMORY_OUT_OF_BOUNDS, "out of bounds memory access"},
    [2] = {AW_TRAP_UNALIGNED_ATOMIC, "unaligned atomic"},
    [3] = {AW_TRAP_TABLE_OUT_OF_BOUNDS, "out of bounds table access"},
    [4] = {AW_TRAP_UNINITIALIZED_ELEMENT, "uninitialized element"},
    [5] = {AW_TRAP_INDIRECT_CALL_TYPE_MISMATCH, "indirect call type mismatch"},
    [6] = {AW_TRAP_INTEGER_OVERFLOW, "integer overflow"},
    [7] = {AW_TRAP_INTEGER_DIVIDE_BY_ZERO, "integer divide by zero"},
    [8] = {AW_TRAP_INVALID_CONVERSION_TO_INTEGER, "invalid conversion to integer"},
    [9] = {AW_TRAP_UNREACHABLE, "unreachable"},
    [12] = {AW_TRAP_WAIT_ON_UNSHARED_MEMORY, "expected shared memory"},
    [13] = {AW_TRAP_NULL_REFERENCE, "null reference"},
    [14] = {AW_TRAP_ARRAY_OUT_OF_BOUNDS, "out of bounds array access"},
    [15] = {AW_TRAP_ALLOCATION_TOO_LARGE, "allocation size too large"},
    [16] = {AW_TRAP_CAST_FAILURE, "cast failure"},
};
enum { TRAP_INTERRUPT = 10, TRAP_OUT_OF_FUEL = 11 };

static char *name_copy(const wasm_name_t *name)
{
    if (name == NULL || name->size == 0) {
        return NULL;
    }
    char *copy = malloc(name->size + 1);
    if (copy != NULL) {
        memcpy(copy, name->data, name->size);
        copy[name->size] = '\0';
    }
    return copy;
}

static void error_frames(aw_error *error, wasm_frame_vec_t *frames)
{
    error->frames = frames->size > 0 ? calloc(frames->size, sizeof(*error->frames)) : NULL;
    error->frame_count = error->frames != NULL ? frames->size : 0;
    for (size_t i = 0; i < error->frame_count; i++) {
        const wasm_frame_t *frame = frames->data[i];
        size_t offset = wt.wasm_frame_module_offset(frame);
        error->frames[i] = (aw_frame){
            .module_name = name_copy(wt.wasmtime_frame_module_name(frame)),
            .function_name = name_copy(wt.wasmtime_frame_func_name(frame)),
            .function_index = wt.wasm_frame_func_index(frame),
            .module_offset = offset == SIZE_MAX ? UINT64_MAX : offset,
        };
    }
    wt.wasm_frame_vec_delete(frames);
}

// The part of Wasmtime's message that says what is wrong: without the backtrace, with what it says under "Caused by" when
// `cause` asks for that alone, as it does if there is a backtrace.
static void message_of(char *out, size_t size, const char *text, size_t length, bool cause)
{
    char *copy = malloc(length + 1);
    if (copy == NULL) {
        snprintf(out, size, "unknown error");
        return;
    }
    memcpy(copy, text, length);
    copy[length] = '\0';
    char *start = copy, *found = strstr(copy, "\n\nCaused by:\n");
    if (found != NULL) {
        if (cause || strncmp(copy, "error while executing", 21) == 0) {
            // "    text", or of several causes "    0: text", "    1: text" and so on: the last one, which may have more lines.
            start = found + strlen("\n\nCaused by:\n");
            for (char *line = start; line != NULL; line = strchr(line, '\n')) {
                line += strspn(line, "\n");
                char *number = line + strspn(line, " ");
                char *after = number + strspn(number, "0123456789");
                if (after != number && strncmp(after, ": ", 2) == 0) {
                    start = after + 2;
                }
            }
            start += strspn(start, " ");
        }
        else {
            memmove(found, found + 1, strlen(found));  // one empty line less
        }
    }
    size_t end = strlen(start);
    while (end > 0 && (start[end - 1] == '\n' || start[end - 1] == '.')) {
        start[--end] = '\0';
    }
    if (start[0] >= 'A' && start[0] <= 'Z' && start[1] >= 'a' && start[1] <= 'z') {
        start[0] = (char)(start[0] - 'A' + 'a');
    }
    snprintf(out, size, "%s", start);
    free(copy);
}

// Fill *error from a Wasmtime error, which goes. Returns -1.
int wt_error_take(aw_error *error, aw_errorkind kind, wasmtime_error_t *failure)
{
    wasm_name_t message = {0, NULL};
    wt.wasmtime_error_message(failure, &message);
    aw_error_set(error, kind, "%s", "");
    message_of(error->message, sizeof(error->message), message.data, message.size, kind == AW_ERROR_COMPILE);
    wt.wasm_byte_vec_delete(&message);
    if (kind != AW_ERROR_COMPILE && strstr(error->message, "type mismatch") != NULL &&
        strstr(error->message, "incompatible import type") == NULL) {
        error->kind = AW_ERROR_TYPE;  // a value of a concrete reference type, which Wasmtime alone can check
    }
    wasm_frame_vec_t frames = {0, NULL};
    wt.wasmtime_error_wasm_trace(failure, &frames);
    error_frames(error, &frames);
    wt.wasmtime_error_delete(failure);
    return -1;
}

// The message is about a limit of the store's, which one it says in words: make the error one of a limit.
void wt_limit_met(const aw_store *store, aw_error *error)
{
    error->kind = AW_ERROR_LIMIT;
    const char *minimum = strstr(error->message, "minimum size of ");
    unsigned long long size = 0;
    bool sized = minimum != NULL && sscanf(minimum, "minimum size of %llu", &size) == 1;
    if (strstr(error->message, "instance count") != NULL) {
        aw_error_limit(error, AW_LIMIT_INSTANCES, store->limits.instances + 1, store->limits.instances);
    }
    else if (strstr(error->message, "count too high") != NULL || strstr(error->message, "maximum concurrent") != NULL) {
        aw_error_limit(error, AW_LIMIT_OTHER, AW_UNKNOWN, AW_UNKNOWN);
    }
    else if (strstr(error->message, "table") != NULL) {
        aw_error_limit(error, AW_LIMIT_TABLE, sized ? size : AW_UNKNOWN, store->limits.table_elements);
    }
    else if (strstr(error->message, "memory") != NULL) {
        aw_error_limit(error, AW_LIMIT_MEMORY, sized && size <= UINT64_MAX >> 16 ? size << 16 : AW_UNKNOWN,
                       store->limits.memory_bytes);
    }
}

// What a failed call or instantiation means. One of *failure* and *trap* is there, and goes. Returns -1.
int wt_call_failed(aw_store *store, aw_error *error, wasmtime_error_t *failure, wasm_trap_t *trap)
{
    uint8_t code;
    wasm_frame_vec_t frames = {0, NULL};
    if (store->host_failed) {
        store->host_failed = false;
        aw_error_set(error, AW_ERROR_HOST, "a host function failed");
    }
    else if (store->stopped) {
        store->stopped = false;
        aw_error_set(error, AW_ERROR_INTERRUPTED, WT_INTERRUPTED);
    }
    else if (trap != NULL && wt.wasmtime_trap_code(trap, &code)) {
        if (code == TRAP_OUT_OF_FUEL) {
            aw_error_set(error, AW_ERROR_FUEL, "out of fuel");
        }
        else if (code == TRAP_INTERRUPT) {
            aw_error_set(error, AW_ERROR_INTERRUPTED, WT_INTERRUPTED);
        }
        else if (code < sizeof(traps) / sizeof(traps[0]) && traps[code].text != NULL) {
            aw_error_set(error, AW_ERROR_TRAP, "%s", traps[code].text);
            error->trap = traps[code].code;
            if (error->trap == AW_TRAP_STACK_EXHAUSTED) {
                error->used = error->allowed = store->engine->wasm_stack;
            }
        }
        else {
            wasm_byte_vec_t message = {0, NULL};
            wt.wasm_trap_message(trap, &message);
            aw_error_set(error, AW_ERROR_TRAP, "%s", "");
            message_of(error->message, sizeof(error->message), message.data, message.size, true);
            wt.wasm_byte_vec_delete(&message);
        }
    }
    else {
        wasmtime_exnref_t exception;
        if (wt.wasmtime_context_take_exception(store->context, &exception)) {
            aw_error_set(error, AW_ERROR_EXCEPTION, "uncaught Wasm exception");
            memcpy(&error->exception, &exception, sizeof(exception));
        }
        else if (failure != NULL) {
            wt_error_take(error, AW_ERROR_INTERNAL, failure);
            if (strstr(error->message, "GC heap out of memory") != NULL) {
                error->kind = AW_ERROR_MEMORY;
                if (store->limits.memory_bytes != UINT64_MAX) {
                    error->kind = AW_ERROR_LIMIT;
                    aw_error_limit(error, AW_LIMIT_MEMORY, AW_UNKNOWN, store->limits.memory_bytes);
                }
            }
            return -1;
        }
        else {
            wasm_byte_vec_t message = {0, NULL};
            wt.wasm_trap_message(trap, &message);
            aw_error_set(error, AW_ERROR_INTERNAL, "%s", "");
            message_of(error->message, sizeof(error->message), message.data, message.size, true);
            wt.wasm_byte_vec_delete(&message);
        }
    }
    if (trap != NULL) {
        wt.wasm_trap_trace(trap, &frames);
        error_frames(error, &frames);
        wt.wasm_trap_delete(trap);
    }
    if (failure != NULL) {
        wt.wasmtime_error_wasm_trace(failure, &frames);
        error_frames(error, &frames);
        wt.wasmtime_error_delete(failure);
    }
    return -1;
}

// SPDX-License-Identifier: Apache-2.0
// The engines that are built in, and what all engines share: filling and clearing an aw_error.

#include "engine.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// --- errors -----------------------------------------------------------------------------------------

// Make *text*, which vsnprintf may have cut in the middle of a character, end on a UTF-8 border.
static void trim_utf8(char *text, size_t length)
{
    size_t start = length;
    while (start > 0 && length - start < 3 && ((unsigned char)text[start - 1] & 0xC0) == 0x80) {
        start--;
    }
    if (start == 0) {
        return;
    }
    unsigned char lead = (unsigned char)text[start - 1];
    size_t wanted = lead >= 0xF0 ? 3 : lead >= 0xE0 ? 2 : lead >= 0xC0 ? 1 : 0;
    if (wanted > length - start) {
        text[start - 1] = '\0';
    }
}

int aw_error_set(aw_error *error, aw_errorkind kind, const char *format, ...)
{
    memset(error, 0, sizeof(*error));
    error->kind = kind;
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(error->message, sizeof(error->message), format, arguments);
    va_end(arguments);
    if (length < 0) {  // the format could not be carried out: better said than silent
        snprintf(error->message, sizeof(error->message), "error without a message (%s)", format);
    }
    else if ((size_t)length >= sizeof(error->message)) {
        trim_utf8(error->message, sizeof(error->message) - 1);
    }
    return -1;
}

int aw_error_limit(aw_error *error, aw_limitkind limit, uint64_t used, uint64_t allowed)
{
    error->limit = limit;
    error->used = used;
    error->allowed = allowed;
    return -1;
}

void aw_error_clear(aw_error *error)
{
    for (size_t i = 0; i < error->frame_count; i++) {
        free(error->frames[i].module_name);
        free(error->frames[i].function_name);
    }
    free(error->frames);
    error->frames = NULL;
    error->frame_count = 0;
}

// --- the registry -----------------------------------------------------------------------------------

const aw_engine_api *const aw_engines[] = {
    &aw_wasmtime_api,
#ifdef ANYWASM_WAMR
    &aw_wamr_api,
#endif
#ifdef ANYWASM_FAKE_ENGINE
    &aw_fake_api,
#endif
    NULL,
};

// A function of the interface, and the capability without which it may be missing (0: it may never be).
typedef struct engine_slot {
    const char *name;
    size_t offset;
    uint64_t capability;
} engine_slot;

#define SLOT(name, capability) {#name, offsetof(aw_engine_api, name), (capability)}

// In the header's order. `store_gc` may be NULL in any engine, so it is not here.
static const engine_slot engine_slots[] = {
    SLOT(name, 0),
    SLOT(description, 0),
    SLOT(probe, 0),
    SLOT(engine_new, 0),
    SLOT(engine_delete, 0),
    SLOT(engine_capabilities, 0),
    SLOT(module_new, 0),
    SLOT(module_validate, 0),
    SLOT(module_serialize, AW_CAP(SERIALIZE)),
    SLOT(module_deserialize, AW_CAP(SERIALIZE)),
    SLOT(module_deserialize_file, AW_CAP(SERIALIZE)),
    SLOT(build, AW_CAP(SERIALIZE)),
    SLOT(module_delete, 0),
    SLOT(wat2wasm, AW_CAP(WAT)),
    SLOT(store_new, 0),
    SLOT(store_delete, 0),
    SLOT(store_set_fuel, AW_CAP(FUEL)),
    SLOT(store_get_fuel, AW_CAP(FUEL)),
    SLOT(store_usage, 0),
    SLOT(store_interrupt, AW_CAP(INTERRUPT)),
    SLOT(store_uninterrupt, AW_CAP(INTERRUPT)),
    SLOT(instance_new, 0),
    SLOT(instance_delete, 0),
    SLOT(instance_export, 0),
    SLOT(func_new, 0),
    SLOT(func_delete, 0),
    SLOT(func_type, 0),
    SLOT(func_call, 0),
    SLOT(func_call_checked, AW_CAP(FUNCTION_REFERENCES)),
    SLOT(func_from_raw, AW_CAP(REFERENCE_TYPES)),
    SLOT(func_to_raw, AW_CAP(REFERENCE_TYPES)),
    SLOT(externref_new, AW_CAP(REFERENCE_TYPES)),
    SLOT(externref_foreign, AW_CAP(REFERENCE_TYPES)),
    SLOT(ref_from_raw, AW_CAP(REFERENCE_TYPES)),
    SLOT(ref_to_raw, AW_CAP(REFERENCE_TYPES)),
    SLOT(ref_clone, AW_CAP(REFERENCE_TYPES)),
    SLOT(ref_drop, AW_CAP(REFERENCE_TYPES)),
    SLOT(ref_heaptype, AW_CAP(GC)),
    SLOT(ref_i31, AW_CAP(GC)),
    SLOT(i31_new, AW_CAP(GC)),
    SLOT(ref_same, AW_CAP(GC)),
    SLOT(tag_new, AW_CAP(EXCEPTIONS)),
    SLOT(tag_delete, AW_CAP(EXCEPTIONS)),
    SLOT(tag_type, AW_CAP(EXCEPTIONS)),
    SLOT(exn_new, AW_CAP(EXCEPTIONS)),
    SLOT(exn_tag, AW_CAP(EXCEPTIONS)),
    SLOT(exn_field, AW_CAP(EXCEPTIONS)),
    SLOT(memory_new, AW_CAP(IMPORTED_MEMORY)),
    SLOT(memory_delete, 0),
    SLOT(memory_type, 0),
    SLOT(memory_data, 0),
    SLOT(memory_grow, 0),
    SLOT(table_new, AW_CAP(IMPORTED_TABLE)),
    SLOT(table_delete, 0),
    SLOT(table_type, 0),
    SLOT(table_size, 0),
    SLOT(table_get, 0),
    SLOT(table_set, 0),
    SLOT(table_grow, 0),
    SLOT(global_new, 0),
    SLOT(global_delete, 0),
    SLOT(global_type, 0),
    SLOT(global_get, 0),
    SLOT(global_set, 0),
    SLOT(extern_key, 0),
    SLOT(caller_export, 0),
    SLOT(caller_memory, 0),
};

const char *aw_engine_check(const aw_engine_api *api, uint64_t capabilities)
{
    for (size_t i = 0; i < sizeof(engine_slots) / sizeof(engine_slots[0]); i++) {
        const engine_slot *slot = &engine_slots[i];
        // All slots here are pointers of one size (POSIX and Windows alike); NULL is all bits zero on each of them.
        void *pointer;
        memcpy(&pointer, (const char *)api + slot->offset, sizeof(pointer));
        if (pointer == NULL && (slot->capability & capabilities) == slot->capability) {
            return slot->name;
        }
    }
    return NULL;
}

// SPDX-License-Identifier: Apache-2.0
// WAMR's loader, and what it forgets: where in the module the code comes from that it translates.
//
// A backtrace needs that only when there is one, and for a few functions. So each of those is translated once more, which
// gives the same code, while the loader tells at each instruction how far it is in both.

#include "wamr.h"

#include <stdlib.h>

// What is being noted on this thread, if anything is.
static _Thread_local struct notes {
    bool on;
    const uint8_t *module;  // the bytes
    const uint8_t *code;    // where the translation begins
    offset_map *map;        // NULL if there was no memory
    size_t capacity;
} notes;

#define ANYWASM_NOTE_OFFSET(translated, instruction) \
    do {                                             \
        if (notes.on && (translated) != NULL) {      \
            note(translated, instruction);           \
        }                                            \
    } while (0)

static void note(const uint8_t *translated, const uint8_t *instruction)
{
    if (notes.code == NULL) {
        notes.code = translated;
    }
    offset_pair pair = {(uint32_t)(translated - notes.code), (uint32_t)(instruction - notes.module)};
    size_t count = notes.map != NULL ? notes.map->count : 0;
    if (count > 0 && notes.map->pairs[count - 1].translated == pair.translated) {
        notes.map->pairs[count - 1] = pair;  // what came before needed no code
        return;
    }
    if (count == notes.capacity) {
        notes.capacity = count > 0 ? count * 2 : 64;
        offset_map *grown = realloc(notes.map, sizeof(*grown) + notes.capacity * sizeof(offset_pair));
        if (grown == NULL) {
            free(notes.map);
            notes.map = NULL;
            notes.on = false;
            return;
        }
        notes.map = grown;
    }
    notes.map->pairs[count] = pair;
    notes.map->count = count + 1;
}

#if WASM_ENABLE_SIMDE != 0
#define ANYWASM_SELECT_VECTOR WASM_OP_SELECT_128
#else
#define ANYWASM_SELECT_VECTOR WASM_OP_SELECT
#endif

// At the end of a block, its results lie where they belong, and what follows goes behind them.
#define anywasm_end_block(context)                                                              \
    do {                                                                                        \
        uint8 *types_;                                                                          \
        BranchBlock *block_ = (context)->frame_csp;                                             \
        uint32 count_ = block_type_get_result_types(&block_->block_type, &types_);              \
        (context)->dynamic_offset = block_->dynamic_offset + wasm_get_cell_num(types_, count_); \
        if ((context)->dynamic_offset > (context)->max_dynamic_offset) {                        \
            (context)->max_dynamic_offset = (context)->dynamic_offset;                          \
        }                                                                                       \
    } while (0)

#include "changed_wasm_loader.c"  // in the build folder

// The map of the module's own function *index*; owned, NULL if there is none.
offset_map *aw_wamr_map_offsets(aw_module *module, uint32_t index)
{
    char ignored[128];
    WASMFunction copy = *module->code->functions[index];
    copy.code_compiled = NULL;
    copy.consts = NULL;
    handle_table = module->engine->handles();
    notes = (struct notes){.on = true, .module = module->bytes};
    bool ok = wasm_loader_prepare_bytecode(module->code, &copy, index, ignored, sizeof(ignored));
    offset_map *map = notes.map;
    notes = (struct notes){.on = false};
    free(copy.code_compiled);
    free(copy.consts);
    if (!ok) {
        free(map);
        return NULL;
    }
    return map;
}

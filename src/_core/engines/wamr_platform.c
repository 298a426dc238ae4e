// SPDX-License-Identifier: Apache-2.0
// What WAMR's loader asks of its surroundings: memory, a log that says nothing, names.

#include <stdlib.h>

#include "wamr.h"

void *wasm_runtime_malloc(unsigned int size)
{
    return malloc(size > 0 ? size : 1);
}

void *wasm_runtime_realloc(void *block, unsigned int size)
{
    return realloc(block, size > 0 ? size : 1);
}

void wasm_runtime_free(void *block)
{
    free(block);
}

void anywasm_wamr_log(uint32 level, const char *file, int line, const char *format, ...)
{
    (void)level;
    (void)file;
    (void)line;
    (void)format;
}

int os_printf(const char *format, ...)
{
    (void)format;
    return 0;
}

// Imports are linked when an instance is made, never when a module is loaded.
bool wasm_resolve_import_func(const WASMModule *module, WASMFunctionImport *function)
{
    (void)module;
    (void)function;
    return false;
}

// --- names ------------------------------------------------------------------------------------------------------------

// The specification's section 5.2.4: no surrogates, nothing longer than needed, at most U+10FFFF.
bool wasm_check_utf8_str(const uint8 *text, uint32 length)
{
    const uint8 *end = text + length;
    while (text < end) {
        uint8 lead = *text++;
        if (lead < 0x80) {
            continue;
        }
        int more = lead >= 0xC2 && lead < 0xE0   ? 1
                   : lead >= 0xE0 && lead < 0xF0 ? 2
                   : lead >= 0xF0 && lead < 0xF5 ? 3
                                                 : 0;
        if (more == 0 || end - text < more) {
            return false;
        }
        uint8 low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
        uint8 high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
        if (text[0] < low || text[0] > high) {
            return false;
        }
        for (int i = 1; i < more; i++) {
            if ((text[i] & 0xC0) != 0x80) {
                return false;
            }
        }
        text += more;
    }
    return true;
}

// A name that lives as long as the module, ended by a NUL as the loader wants it. A NUL inside becomes C0 80, which no
// UTF-8 has, so that different names stay different.
char *wasm_const_str_list_insert(const uint8 *text, uint32 length, WASMModule *module, bool reuse, char *message,
                                 uint32 message_size)
{
    (void)reuse;
    if (!wasm_check_utf8_str(text, length)) {
        snprintf(message, message_size, "invalid UTF-8 encoding of a name");
        return NULL;
    }
    uint64_t extra = 0;
    for (uint32 i = 0; i < length; i++) {
        extra += text[i] == 0;
    }
    StringNode *node = malloc(sizeof(*node) + length + extra + 1);
    if (node == NULL) {
        snprintf(message, message_size, "allocate memory failed");
        return NULL;
    }
    node->str = (char *)(node + 1);
    char *to = node->str;
    for (uint32 i = 0; i < length; i++) {
        if (text[i] == 0) {
            *to++ = (char)0xC0;
            *to++ = (char)0x80;
        }
        else {
            *to++ = (char)text[i];
        }
    }
    *to = '\0';
    node->next = module->const_str_list;
    module->const_str_list = node;
    return node->str;
}

void wasm_runtime_read_v128(const uint8 *bytes, uint64 *first, uint64 *second)
{
    memcpy(first, bytes, 8);
    memcpy(second, bytes + 8, 8);
}

// --- constant expressions ----------------------------------------------------------------------------------------------

// Free the tree of *root* without recursion, for a module can make it as deep as it is long: what is left of a node is
// turned to be above it, until nothing is left of the root.
void destroy_init_expr_recursive(InitializerExpression *root)
{
    while (root != NULL) {
        InitializerExpression *left = NULL, *right = NULL;
        if (is_expr_binary_op(root->init_expr_type)) {
            left = root->u.binary.l_expr;
            right = root->u.binary.r_expr;
        }
        if (left == NULL) {
            free(root);
            root = right;
            continue;
        }
        if (!is_expr_binary_op(left->init_expr_type)) {
            left->init_expr_type = INIT_EXPR_TYPE_I32_ADD;  // a leaf has no children
            left->u.binary.l_expr = left->u.binary.r_expr = NULL;
        }
        root->u.binary.l_expr = left->u.binary.r_expr;
        left->u.binary.r_expr = root;
        root = left;
    }
}

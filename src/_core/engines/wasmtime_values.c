// SPDX-License-Identifier: Apache-2.0
// Types and values to and from the words of the C API. What it has no word for, it aborts on, so that is refused here.

#include <stdlib.h>
#include <string.h>

#include "wasmtime.h"

// --- types --------------------------------------------------------------------------------------------------------------

static const uint8_t heap_of_kind[] = {
    [WASMTIME_HEAPTYPE_KIND_EXTERN] = AW_HEAP_EXTERN,
    [WASMTIME_HEAPTYPE_KIND_NOEXTERN] = AW_HEAP_NOEXTERN,
    [WASMTIME_HEAPTYPE_KIND_FUNC] = AW_HEAP_FUNC,
    [WASMTIME_HEAPTYPE_KIND_CONCRETE_FUNC] = AW_HEAP_FUNC,
    [WASMTIME_HEAPTYPE_KIND_NOFUNC] = AW_HEAP_NOFUNC,
    [WASMTIME_HEAPTYPE_KIND_ANY] = AW_HEAP_ANY,
    [WASMTIME_HEAPTYPE_KIND_NONE] = AW_HEAP_NONE,
    [WASMTIME_HEAPTYPE_KIND_EQ] = AW_HEAP_EQ,
    [WASMTIME_HEAPTYPE_KIND_I31] = AW_HEAP_I31,
    [WASMTIME_HEAPTYPE_KIND_ARRAY] = AW_HEAP_ARRAY,
    [WASMTIME_HEAPTYPE_KIND_CONCRETE_ARRAY] = AW_HEAP_ARRAY,
    [WASMTIME_HEAPTYPE_KIND_STRUCT] = AW_HEAP_STRUCT,
    [WASMTIME_HEAPTYPE_KIND_CONCRETE_STRUCT] = AW_HEAP_STRUCT,
    [WASMTIME_HEAPTYPE_KIND_EXN] = AW_HEAP_EXN,
    [WASMTIME_HEAPTYPE_KIND_CONCRETE_EXN] = AW_HEAP_EXN,
    [WASMTIME_HEAPTYPE_KIND_NOEXN] = AW_HEAP_NOEXN,
};

static bool heap_is_concrete(uint8_t kind)
{
    return kind == WASMTIME_HEAPTYPE_KIND_CONCRETE_FUNC || kind == WASMTIME_HEAPTYPE_KIND_CONCRETE_ARRAY ||
           kind == WASMTIME_HEAPTYPE_KIND_CONCRETE_STRUCT || kind == WASMTIME_HEAPTYPE_KIND_CONCRETE_EXN;
}

aw_valtype wt_valtype_from(const wasm_valtype_t *type)
{
    wasmtime_valtype_t told;
    wt.wasmtime_valtype_new(type, &told);
    aw_valtype out = {.kind = (uint8_t)(told.kind + AW_I32)};  // the same order, i32 to v128, then references
    if (told.kind == WASMTIME_VALTYPE_KIND_REF) {
        out.heap = heap_of_kind[told.reftype.heaptype.kind];
        out.nullable = told.reftype.nullable;
        out.concrete = heap_is_concrete(told.reftype.heaptype.kind);
    }
    wt.wasmtime_valtype_delete(&told);
    return out;
}

// Owned, or NULL for a concrete type, which cannot be told to Wasmtime.
wasm_valtype_t *wt_valtype_to(const aw_engine *engine, aw_valtype type)
{
    static const uint8_t kinds[] = {
        [AW_HEAP_FUNC] = WASMTIME_HEAPTYPE_KIND_FUNC,     [AW_HEAP_NOFUNC] = WASMTIME_HEAPTYPE_KIND_NOFUNC,
        [AW_HEAP_EXTERN] = WASMTIME_HEAPTYPE_KIND_EXTERN, [AW_HEAP_NOEXTERN] = WASMTIME_HEAPTYPE_KIND_NOEXTERN,
        [AW_HEAP_ANY] = WASMTIME_HEAPTYPE_KIND_ANY,       [AW_HEAP_EQ] = WASMTIME_HEAPTYPE_KIND_EQ,
        [AW_HEAP_I31] = WASMTIME_HEAPTYPE_KIND_I31,       [AW_HEAP_STRUCT] = WASMTIME_HEAPTYPE_KIND_STRUCT,
        [AW_HEAP_ARRAY] = WASMTIME_HEAPTYPE_KIND_ARRAY,   [AW_HEAP_NONE] = WASMTIME_HEAPTYPE_KIND_NONE,
        [AW_HEAP_EXN] = WASMTIME_HEAPTYPE_KIND_EXN,       [AW_HEAP_NOEXN] = WASMTIME_HEAPTYPE_KIND_NOEXN,
    };
    if (type.concrete) {
        return NULL;
    }
    wasmtime_valtype_t told = {.kind = (uint8_t)(type.kind - AW_I32)};
    if (type.kind == AW_REF) {
        told.reftype.nullable = type.nullable;
        told.reftype.heaptype.kind = kinds[type.heap];
    }
    return wt.wasmtime_valtype_to_wasm(engine->engine, &told);
}

static int types_to(const aw_engine *engine, const aw_valtype *types, uint32_t count, wasm_valtype_vec_t *out,
                    aw_error *error)
{
    if (count == 0) {
        wt.wasm_valtype_vec_new_empty(out);
        return 0;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (types[i].concrete) {
            return aw_error_set(error, AW_ERROR_UNSUPPORTED,
                                "a function type with concrete reference types can come from a module's import only");
        }
    }
    wt.wasm_valtype_vec_new_uninitialized(out, count);
    for (uint32_t i = 0; i < count; i++) {
        out->data[i] = wt_valtype_to(engine, types[i]);
    }
    return 0;
}

wasm_functype_t *wt_functype_to(const aw_engine *engine, const aw_functype *type, aw_error *error)
{
    for (uint32_t i = 0; i < type->result_count; i++) {
        if (type->results[i].concrete) {
            aw_error_set(error, AW_ERROR_UNSUPPORTED,
                         "a function type with concrete reference types can come from a module's import only");
            return NULL;
        }
    }
    wasm_valtype_vec_t parameters, results;
    if (types_to(engine, type->parameters, type->parameter_count, &parameters, error) < 0) {
        return NULL;
    }
    types_to(engine, type->results, type->result_count, &results, error);
    return wt.wasm_functype_new(&parameters, &results);
}

void wt_functype_from(const wasm_functype_t *type, uint32_t *parameter_count, uint32_t *result_count, aw_valtype *types,
                      size_t capacity)
{
    const wasm_valtype_vec_t *parameters = wt.wasm_functype_params(type), *results = wt.wasm_functype_results(type);
    *parameter_count = (uint32_t)parameters->size;
    *result_count = (uint32_t)results->size;
    for (size_t i = 0; i < parameters->size + results->size && i < capacity; i++) {
        types[i] = wt_valtype_from(i < parameters->size ? parameters->data[i] : results->data[i - parameters->size]);
    }
}

// --- values: for the parts of the C API that do not take raw ones ----------------------------------------------------------

wasmtime_val_t wt_val_from_raw(aw_store *store, aw_valtype type, const aw_raw *raw)
{
    wasmtime_val_t val = {.kind = WASMTIME_I32};
    memset(&val.of, 0, sizeof(val.of));
    switch (type.kind) {
    case AW_I32:
    case AW_I64:
    case AW_F32:
    case AW_F64:
    case AW_V128:
        val.kind = (uint8_t)(type.kind - AW_I32);
        memcpy(&val.of, raw, sizeof(*raw));
        return val;
    default:
        break;
    }
    switch (type.heap) {
    case AW_HEAP_FUNC:
    case AW_HEAP_NOFUNC:
        val.kind = WASMTIME_FUNCREF;
        if (raw->func != NULL) {
            wt.wasmtime_func_from_raw(store->context, raw->func, &val.of.funcref);
        }
        break;
    case AW_HEAP_EXTERN:
    case AW_HEAP_NOEXTERN:
        val.kind = WASMTIME_EXTERNREF;
        if (raw->ref != 0) {
            wt.wasmtime_externref_from_raw(store->context, raw->ref, &val.of.externref);
        }
        break;
    case AW_HEAP_EXN:
    case AW_HEAP_NOEXN:
        val.kind = WASMTIME_EXNREF;
        if (raw->ref != 0) {
            wt.wasmtime_exnref_from_raw(store->context, raw->ref, &val.of.exnref);
        }
        break;
    default:
        val.kind = WASMTIME_ANYREF;
        if (raw->ref != 0) {
            wt.wasmtime_anyref_from_raw(store->context, raw->ref, &val.of.anyref);
        }
        break;
    }
    return val;
}

// Takes the value over.
void wt_val_to_raw(aw_store *store, wasmtime_val_t *val, aw_raw *raw)
{
    raw->bits[0] = raw->bits[1] = 0;
    switch (val->kind) {
    case WASMTIME_I32:
        raw->i32 = val->of.i32;
        return;
    case WASMTIME_F32:
        raw->f32 = val->of.f32;
        return;
    case WASMTIME_I64:
    case WASMTIME_F64:
        memcpy(raw, &val->of, 8);
        return;
    case WASMTIME_V128:
        memcpy(raw, val->of.v128, 16);
        return;
    case WASMTIME_FUNCREF:
        if (val->of.funcref.store_id != 0) {
            raw->func = wt.wasmtime_func_to_raw(store->context, &val->of.funcref);
        }
        return;
    case WASMTIME_EXTERNREF:
        if (val->of.externref.store_id != 0) {
            raw->ref = wt.wasmtime_externref_to_raw(store->context, &val->of.externref);
        }
        break;
    case WASMTIME_EXNREF:
        if (val->of.exnref.store_id != 0) {
            raw->ref = wt.wasmtime_exnref_to_raw(store->context, &val->of.exnref);
        }
        break;
    default:
        if (val->of.anyref.store_id != 0) {
            raw->ref = wt.wasmtime_anyref_to_raw(store->context, &val->of.anyref);
        }
        break;
    }
    wt.wasmtime_val_unroot(val);
}

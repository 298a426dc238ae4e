// SPDX-License-Identifier: Apache-2.0
// References to what is on a store's heap: of the host (externref), of the guest (anyref), and exceptions with their tags.

#include <stdlib.h>
#include <string.h>

#include "wasmtime.h"

// --- references ---------------------------------------------------------------------------------------------------------------------------

static void externref_finalize(void *data)
{
    externref_data *box = data;
    if (box->counted) {
        box->store->host.foreign_drop(box->store->host.data, box->foreign);
    }
    free(box);
}

int aw_wasmtime_externref_new(aw_store *store, aw_foreign *foreign, aw_ref *out, aw_error *error)
{
    externref_data *box = malloc(sizeof(*box));
    if (box == NULL) {
        return aw_error_set(error, AW_ERROR_MEMORY, "out of memory");
    }
    *box = (externref_data){.store = store, .foreign = foreign};
    if (!wt.wasmtime_externref_new(store->context, box, externref_finalize, (wasmtime_externref_t *)out)) {
        // The library has finalized the box already.
        return aw_error_set(error, AW_ERROR_MEMORY,
                            "no room for another externref: the store's heap has reached its limit");
    }
    box->counted = true;
    return 0;
}

aw_foreign *aw_wasmtime_externref_foreign(aw_store *store, const aw_ref *ref)
{
    externref_data *box = wt.wasmtime_externref_data(store->context, (const wasmtime_externref_t *)ref);
    return box != NULL ? box->foreign : NULL;
}

int aw_wasmtime_ref_from_raw(aw_store *store, aw_refclass refclass, const aw_raw *raw, aw_ref *out, aw_error *error)
{
    (void)error;
    switch (refclass) {
    case AW_REF_EXTERN:
        wt.wasmtime_externref_from_raw(store->context, raw->ref, (wasmtime_externref_t *)out);
        break;
    case AW_REF_ANY:
        wt.wasmtime_anyref_from_raw(store->context, raw->ref, (wasmtime_anyref_t *)out);
        break;
    case AW_REF_EXN:
        wt.wasmtime_exnref_from_raw(store->context, raw->ref, (wasmtime_exnref_t *)out);
        break;
    }
    return 0;
}

void aw_wasmtime_ref_to_raw(aw_store *store, aw_refclass refclass, const aw_ref *ref, aw_raw *raw)
{
    raw->bits[0] = raw->bits[1] = 0;
    switch (refclass) {
    case AW_REF_EXTERN:
        raw->ref = wt.wasmtime_externref_to_raw(store->context, (const wasmtime_externref_t *)ref);
        break;
    case AW_REF_ANY:
        raw->ref = wt.wasmtime_anyref_to_raw(store->context, (const wasmtime_anyref_t *)ref);
        break;
    case AW_REF_EXN:
        raw->ref = wt.wasmtime_exnref_to_raw(store->context, (const wasmtime_exnref_t *)ref);
        break;
    }
}

void aw_wasmtime_ref_clone(aw_refclass refclass, const aw_ref *ref, aw_ref *out)
{
    switch (refclass) {
    case AW_REF_EXTERN:
        wt.wasmtime_externref_clone((const wasmtime_externref_t *)ref, (wasmtime_externref_t *)out);
        break;
    case AW_REF_ANY:
        wt.wasmtime_anyref_clone((const wasmtime_anyref_t *)ref, (wasmtime_anyref_t *)out);
        break;
    case AW_REF_EXN:
        wt.wasmtime_exnref_clone((const wasmtime_exnref_t *)ref, (wasmtime_exnref_t *)out);
        break;
    }
}

void aw_wasmtime_ref_drop(aw_refclass refclass, aw_ref *ref)
{
    switch (refclass) {
    case AW_REF_EXTERN:
        wt.wasmtime_externref_unroot((wasmtime_externref_t *)ref);
        break;
    case AW_REF_ANY:
        wt.wasmtime_anyref_unroot((wasmtime_anyref_t *)ref);
        break;
    case AW_REF_EXN:
        wt.wasmtime_exnref_unroot((wasmtime_exnref_t *)ref);
        break;
    }
}

aw_heaptype aw_wasmtime_ref_heaptype(aw_store *store, aw_refclass refclass, const aw_ref *ref)
{
    if (refclass != AW_REF_ANY) {
        return refclass == AW_REF_EXN ? AW_HEAP_EXN : AW_HEAP_EXTERN;
    }
    const wasmtime_anyref_t *any = (const wasmtime_anyref_t *)ref;
    if (wt.wasmtime_anyref_is_struct(store->context, any)) {
        return AW_HEAP_STRUCT;
    }
    if (wt.wasmtime_anyref_is_array(store->context, any)) {
        return AW_HEAP_ARRAY;
    }
    // Asked last: in 50.0.1 it is true of whatever has any bit in the lowest byte of its word, structs and arrays too.
    int32_t value;
    return wt.wasmtime_anyref_i31_get_s(store->context, any, &value) ? AW_HEAP_I31 : AW_HEAP_ANY;
}

int32_t aw_wasmtime_ref_i31(aw_store *store, const aw_ref *ref)
{
    int32_t value = 0;
    wt.wasmtime_anyref_i31_get_s(store->context, (const wasmtime_anyref_t *)ref, &value);
    return value;
}

int aw_wasmtime_i31_new(aw_store *store, int32_t value, aw_ref *out, aw_error *error)
{
    (void)error;
    wt.wasmtime_anyref_from_i31(store->context, (uint32_t)value, (wasmtime_anyref_t *)out);
    return 0;
}

// Raw words of one moment: nothing is allocated in between.
bool aw_wasmtime_ref_same(aw_store *store, aw_refclass refclass, const aw_ref *a, const aw_ref *b)
{
    aw_raw raw_a, raw_b;
    aw_wasmtime_ref_to_raw(store, refclass, a, &raw_a);
    aw_wasmtime_ref_to_raw(store, refclass, b, &raw_b);
    return raw_a.ref == raw_b.ref;
}

// --- exceptions ------------------------------------------------------------------------------------------------------------------------------

static aw_tag *tag_name(aw_store *store, const wasmtime_tag_t *handle, aw_error *error)
{
    aw_tag *tag = malloc(sizeof(*tag));
    if (tag == NULL) {
        return wt_out_of_memory(error);
    }
    *tag = (aw_tag){.store = store, .tag = *handle};
    return tag;
}

aw_tag *aw_wasmtime_tag_new(aw_store *store, const aw_functype *type, aw_error *error)
{
    wasm_functype_t *functype = wt_functype_to(store->engine, type, error);
    if (functype == NULL) {
        return NULL;
    }
    wasm_tagtype_t *tagtype = wt.wasm_tagtype_new(functype);
    wasmtime_tag_t handle;
    wasmtime_error_t *failure = wt.wasmtime_tag_new(store->context, tagtype, &handle);
    wt.wasm_tagtype_delete(tagtype);
    if (failure != NULL) {
        wt_error_take(error, AW_ERROR_INTERNAL, failure);
        return NULL;
    }
    return tag_name(store, &handle, error);
}

void aw_wasmtime_tag_delete(aw_tag *tag)
{
    free(tag);
}

void aw_wasmtime_tag_type(aw_tag *tag, uint32_t *parameter_count, aw_valtype *types, size_t capacity)
{
    uint32_t result_count;
    wasm_tagtype_t *type = wt.wasmtime_tag_type(tag->store->context, &tag->tag);
    wt_functype_from(wt.wasm_tagtype_functype(type), parameter_count, &result_count, types, capacity);
    wt.wasm_tagtype_delete(type);
}

int aw_wasmtime_exn_new(aw_store *store, aw_tag *tag, const aw_raw *values, size_t count, aw_ref *out, aw_error *error)
{
    uint32_t parameter_count;
    aw_valtype *types = calloc(count + 1, sizeof(*types));
    wasmtime_val_t *vals = calloc(count + 1, sizeof(*vals));
    if (types == NULL || vals == NULL) {
        free(types);
        free(vals);
        return aw_error_set(error, AW_ERROR_MEMORY, "out of memory");
    }
    aw_wasmtime_tag_type(tag, &parameter_count, types, count);
    for (size_t i = 0; i < count; i++) {
        vals[i] = wt_val_from_raw(store, types[i], &values[i]);
    }
    wasmtime_error_t *failure = wt.wasmtime_exnref_new(store->context, &tag->tag, vals, count,
                                                       (wasmtime_exnref_t *)out);
    for (size_t i = 0; i < count; i++) {
        wt.wasmtime_val_unroot(&vals[i]);
    }
    free(types);
    free(vals);
    return failure != NULL ? wt_error_take(error, AW_ERROR_TYPE, failure) : 0;
}

aw_tag *aw_wasmtime_exn_tag(aw_store *store, const aw_ref *exn, aw_error *error)
{
    wasmtime_tag_t handle;
    wasmtime_error_t *failure = wt.wasmtime_exnref_tag(store->context, (const wasmtime_exnref_t *)exn, &handle);
    if (failure != NULL) {
        wt_error_take(error, AW_ERROR_INTERNAL, failure);
        return NULL;
    }
    return tag_name(store, &handle, error);
}

int aw_wasmtime_exn_field(aw_store *store, const aw_ref *exn, size_t index, aw_raw *out, aw_error *error)
{
    wasmtime_val_t val;
    wasmtime_error_t *failure = wt.wasmtime_exnref_field(store->context, (const wasmtime_exnref_t *)exn, index, &val);
    if (failure != NULL) {
        return wt_error_take(error, AW_ERROR_INTERNAL, failure);
    }
    wt_val_to_raw(store, &val, out);
    return 0;
}

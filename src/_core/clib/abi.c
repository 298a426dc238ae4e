// SPDX-License-Identifier: Apache-2.0
// How values pass between C functions and Wasm's: github.com/WebAssembly/tool-conventions, BasicCABI.md.

#include "clib.h"

cpass abi_pass(const CTypeObject *type, CTypeObject **scalar)
{
    *scalar = NULL;
    if (type->kind == CK_FLOAT && type->size == 16) {
        return PASS_TWO;
    }
    if (!ctype_is_aggregate(type)) {
        *scalar = (CTypeObject *)type;
        return PASS_SCALAR;
    }
    if (ctype_is_record(type) && type->size == 0) {
        return PASS_NOTHING;
    }
    if (type->single != NULL) {
        return abi_pass(type->single, scalar);
    }
    return PASS_INDIRECT;
}

cpass abi_result(const CTypeObject *type, CTypeObject **scalar)
{
    if (type->kind == CK_VOID) {
        *scalar = NULL;
        return PASS_NOTHING;
    }
    cpass pass = abi_pass(type, scalar);
    return pass == PASS_TWO ? PASS_INDIRECT : pass;
}

int abi_functype(const CTypeObject *type, size_t pointer_size, aw_valtype **types, aw_functype *out)
{
    Py_ssize_t count = PyTuple_GET_SIZE(type->parameters);
    aw_valtype address = {.kind = pointer_size == 8 ? AW_I64 : AW_I32};
    *types = PyMem_Calloc(2 * (size_t)count + 3, sizeof(**types));
    if (*types == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    uint32_t parameters = 0, results = 0;
    CTypeObject *scalar;
    cpass result = abi_result(type->item, &scalar);
    if (result == PASS_INDIRECT) {
        (*types)[parameters++] = address;
    }
    aw_valtype result_type = {.kind = result == PASS_SCALAR ? (uint8_t)scalar_kind(scalar) : 0};
    for (Py_ssize_t i = 0; i < count; i++) {
        const CTypeObject *parameter = (CTypeObject *)PyTuple_GET_ITEM(type->parameters, i);
        if (!parameter->complete) {
            PyObject *text = ctype_spell(parameter, "");
            if (text != NULL) {
                PyErr_Format(PyExc_TypeError, "a parameter's type has no size: %U", text);
                Py_DECREF(text);
            }
            PyMem_Free(*types);
            return -1;
        }
        switch (abi_pass(parameter, &scalar)) {
        case PASS_SCALAR:
            (*types)[parameters++] = (aw_valtype){.kind = (uint8_t)scalar_kind(scalar)};
            break;
        case PASS_TWO:
            (*types)[parameters++] = (aw_valtype){.kind = AW_I64};
            (*types)[parameters++] = (aw_valtype){.kind = AW_I64};
            break;
        case PASS_INDIRECT:
            (*types)[parameters++] = address;
            break;
        default:
            break;
        }
    }
    if (type->variadic) {
        (*types)[parameters++] = address;
    }
    if (result == PASS_SCALAR) {
        (*types)[parameters] = result_type;
        results = 1;
    }
    *out = (aw_functype){
        .parameter_count = parameters, .result_count = results, .parameters = *types, .results = *types + parameters};
    return 0;
}

PyObject *abi_functype_wrap(core_state *state, const CTypeObject *type, size_t pointer_size)
{
    aw_valtype *types;
    aw_functype functype;
    if (abi_functype(type, pointer_size, &types, &functype) < 0) {
        return NULL;
    }
    PyObject *object = functype_wrap(state, &functype);
    PyMem_Free(types);
    return object;
}

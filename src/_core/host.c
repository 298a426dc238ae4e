// SPDX-License-Identifier: Apache-2.0
// Host functions: Python callables that guests call. The engine reaches them through one trampoline, which takes the GIL if the call had
// dropped it, turns raw values into Python's, calls, and turns the result back. There are two, as there are for calls: the one for
// Python functions of few numbers, and the general one.

#include "host.h"

#include "caller.h"
#include "errors.h"
#include "value.h"

static int host_result_count_error(const host_function *host, uint32_t wanted, PyObject *result)
{
    PyObject *name = host->name != NULL ? Py_NewRef(host->name) : PyUnicode_FromString("host function");
    if (name == NULL) {
        return -1;
    }
    if (wanted == 0) {
        PyErr_Format(PyExc_TypeError, "%U(): expected no result (None), got %.200s", name, Py_TYPE(result)->tp_name);
    }
    else if (PyTuple_Check(result) || PyList_Check(result)) {
        PyErr_Format(PyExc_TypeError, "%U(): expected %u results, got %zd", name, wanted, PySequence_Size(result));
    }
    else {
        PyErr_Format(PyExc_TypeError, "%U(): expected a tuple of %u results, got %.200s", name, wanted,
                     Py_TYPE(result)->tp_name);
    }
    Py_DECREF(name);
    return -1;
}

// What the callable returned, as raw values: 0 or -1.
static int host_results(const host_function *host, PyObject *result, aw_raw *values)
{
    const FuncTypeObject *type = (FuncTypeObject *)host->type;
    uint32_t count = type->type.result_count;
    if (count == 0) {
        return result == Py_None ? 0 : host_result_count_error(host, 0, result);
    }
    if (count == 1) {
        value_place place = {.name = host->name, .what = "result", .index = -1};
        if (type->numbers_only) {
            return number_to_raw(type->type.results[0], result, values, &place);
        }
        return value_to_raw(host->store, type->type.results[0], result, values, &place);
    }
    if (!PyTuple_Check(result) && !PyList_Check(result)) {
        return host_result_count_error(host, count, result);
    }
    // A tuple of our own: converting an item may change a list.
    PyObject *items = PySequence_Tuple(result);
    if (items == NULL) {
        return -1;
    }
    int status = PyTuple_GET_SIZE(items) != (Py_ssize_t)count
                     ? host_result_count_error(host, count, items)
                     : values_to_raw(host->store, type->type.results, &PyTuple_GET_ITEM(items, 0), (Py_ssize_t)count,
                                     values, host->name, "result", false);
    Py_DECREF(items);
    return status;
}

// A pending WasmException of a tag of this store's is thrown on into the Wasm code: true, with the reference in *value.
static bool host_throw(StoreObject *store, aw_raw *value)
{
    core_state *state = store->state;
    if (!engine_has(store->engine, AW_CAP(EXCEPTIONS)) || !PyErr_ExceptionMatches(state->WasmException)) {
        return false;
    }
    PyObject *exception = aw_take_exception();
    PyObject *args = PyObject_GetAttrString(exception, "args");
    PyObject *type = NULL;
    bool thrown = false;
    if (args == NULL || !PyTuple_Check(args) || PyTuple_GET_SIZE(args) < 1 ||
        Py_TYPE(PyTuple_GET_ITEM(args, 0)) != state->Tag) {
        goto done;
    }
    ExternObject *tag = (ExternObject *)PyTuple_GET_ITEM(args, 0);
    if (tag->store != store || (type = extern_type(tag, NULL)) == NULL) {
        goto done;
    }
    const aw_functype *functype = &((TagTypeObject *)type)->functype->type;
    Py_ssize_t count = PyTuple_GET_SIZE(args) - 1;
    if (count != (Py_ssize_t)functype->parameter_count) {
        PyErr_Format(PyExc_TypeError, "WasmException: the tag takes %u values, got %zd", functype->parameter_count,
                     count);
        goto done;
    }
    aw_raw *raws = PyMem_Malloc(((size_t)count + 1) * sizeof(*raws));
    if (raws == NULL) {
        PyErr_NoMemory();
        goto done;
    }
    aw_error error;
    aw_ref ref;
    if (values_to_raw(store, functype->parameters, &PyTuple_GET_ITEM(args, 1), count, raws, NULL, "payload value",
                      false) == 0) {
        if (store->api->exn_new(store->handle, tag->item.tag, raws, (size_t)count, &ref, &error) < 0) {
            error_raise(state, NULL, &error);
        }
        else {
            store->api->ref_to_raw(store->handle, AW_REF_EXN, &ref, value);
            store->api->ref_drop(AW_REF_EXN, &ref);
            thrown = true;
        }
    }
    PyMem_Free(raws);
done:
    Py_XDECREF(type);
    Py_XDECREF(args);
    if (thrown || PyErr_Occurred()) {
        Py_DECREF(exception);  // thrown, or replaced by what is wrong with it
    }
    else {
        aw_put_exception(exception);
    }
    return thrown;
}

AW_COLD aw_hostresult host_failed(StoreObject *store, aw_raw *values)
{
    if (!PyErr_Occurred()) {  // Python 3.11 loses an exception when there is no memory for its traceback
        PyErr_NoMemory();
    }
    if (host_throw(store, values)) {
        return AW_HOST_THREW;
    }
    store_take_exception(store);
    return AW_HOST_FAILED;
}

// The arguments as Python has them: new references, all or none.
static int host_arguments(StoreObject *store, const FuncTypeObject *type, const aw_raw *values, Py_ssize_t count,
                          PyObject **args)
{
    if (!type->numbers_only) {
        return values_from_raw(store, type->type.parameters, values, count, args, false);
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        args[i] = number_from_raw(store->state, type->values[i], &values[i]);
        if (args[i] == NULL) {
            while (i-- > 0) {
                Py_DECREF(args[i]);
            }
            return -1;
        }
    }
    return 0;
}

// The way back from the engine into Python.
static aw_hostresult host_call(void *env, aw_caller *caller, aw_raw *values)
{
    host_function *host = env;
    StoreObject *store = host->store;
    host_visit visit = host_enter(store, host->yields);
    const FuncTypeObject *type = (FuncTypeObject *)host->type;
    Py_ssize_t count = (Py_ssize_t)type->type.parameter_count;
    aw_hostresult outcome = AW_HOST_FAILED;
    PyObject *caller_object = NULL, *result = NULL;

    // One slot before the arguments, for bound methods to put their self into (PY_VECTORCALL_ARGUMENTS_OFFSET), one for the caller.
    PyObject *on_stack[VALUES_ON_STACK + 2];
    PyObject **slots = count <= VALUES_ON_STACK ? on_stack : PyMem_Malloc(((size_t)count + 2) * sizeof(*slots));
    if (slots == NULL) {
        PyErr_NoMemory();
        goto failed;
    }
    PyObject **args = slots + 1 + (host->pass_caller ? 1 : 0);
    if (Py_EnterRecursiveCall(" in a function called from WebAssembly")) {
        goto failed;
    }
    if (host->pass_caller) {
        caller_object = caller_new(store, caller);
        if (caller_object == NULL) {
            Py_LeaveRecursiveCall();
            goto failed;
        }
        slots[1] = caller_object;
    }
    if (host_arguments(store, type, values, count, args) < 0) {
        Py_LeaveRecursiveCall();
        goto failed;
    }
    result = PyObject_Vectorcall(host->callable, slots + 1,
                                 (size_t)(count + (host->pass_caller ? 1 : 0)) | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
    for (Py_ssize_t i = 0; i < count; i++) {
        Py_DECREF(args[i]);
    }
    Py_LeaveRecursiveCall();
    if (result != NULL && host_results(host, result, values) == 0) {
        outcome = AW_HOST_OK;
    }
    Py_XDECREF(result);

failed:
    if (caller_object != NULL) {
        caller_end(caller_object);
        Py_DECREF(caller_object);
    }
    if (slots != on_stack) {
        PyMem_Free(slots);
    }
    if (outcome != AW_HOST_OK) {
        outcome = host_failed(store, values);
    }
    host_leave(store, visit);
    return outcome;
}

// The same for a Python function of numbers, and few of them, while the GIL is held and nothing is timed. Python counts the depth of its
// own functions.
static aw_hostresult host_call_numbers(void *env, aw_caller *caller, aw_raw *values)
{
    host_function *host = env;
    StoreObject *store = host->store;
    if (store->released != NULL || store->timing.on) {
        return host_call(env, caller, values);
    }
    const FuncTypeObject *type = (FuncTypeObject *)host->type;
    uint32_t count = type->type.parameter_count;
    PyObject *slots[1 + VALUES_ON_STACK], **args = slots + 1;
    slots[0] = slots[1] = NULL;
    for (uint32_t i = 0; i < count; i++) {
        args[i] = number_from_raw(store->state, type->values[i], &values[i]);
        if (args[i] == NULL) {
            while (i-- > 0) {
                Py_DECREF(args[i]);
            }
            store_take_exception(store);
            return AW_HOST_FAILED;
        }
    }
    PyObject *callable = host->callable;
    vectorcallfunc call = PyFunction_Check(callable) ? ((PyFunctionObject *)callable)->vectorcall : PyObject_Vectorcall;
    PyObject *result = call(callable, args, count | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
    for (uint32_t i = 0; i < count; i++) {
        Py_DECREF(args[i]);
    }
    bool done = result != NULL &&
                (type->type.result_count == 1 ? number_to_raw_quick(type->values[count], result, values)
                                              : type->type.result_count == 0 && result == Py_None);
    if (done || (result != NULL && host_results(host, result, values) == 0)) {
        Py_DECREF(result);
        return AW_HOST_OK;
    }
    Py_XDECREF(result);
    return host_failed(store, values);
}

aw_func *func_new_host(StoreObject *store, PyObject *callable, FuncTypeObject *type, PyObject *name, bool pass_caller,
                       const aw_module *module, uint32_t import_index)
{
    host_function *host = store_add_host_function(store, callable, (PyObject *)type, name, pass_caller);
    if (host == NULL) {
        return NULL;
    }
    aw_error error;
    bool quick = host->yields && !pass_caller && type->numbers_only && functype_values(type) <= VALUES_ON_STACK;
    aw_func *func = store->api->func_new(store->handle, &type->type, module, import_index,
                                         quick ? host_call_numbers : host_call, host, NULL, &error);
    if (func == NULL) {
        error_raise(store->state, NULL, &error);
    }
    return func;
}

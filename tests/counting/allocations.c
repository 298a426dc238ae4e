// SPDX-License-Identifier: Apache-2.0
// Counts what Python's allocators are asked for: start(), and stop() -> how often since then. start(n) lets the n-th of
// these requests fail, from 0. Memory that engines and the C library use for themselves is not counted, nor what Python
// takes from its free lists.

#define PY_SSIZE_T_CLEAN
#include <Python.h>

static const PyMemAllocatorDomain domains[] = {PYMEM_DOMAIN_RAW, PYMEM_DOMAIN_MEM, PYMEM_DOMAIN_OBJ};
enum { DOMAINS = 3 };
static PyMemAllocatorEx originals[DOMAINS];
static unsigned long long count, failing;

static void *counting_malloc(void *context, size_t size)
{
    const PyMemAllocatorEx *original = context;
    return count++ == failing ? NULL : original->malloc(original->ctx, size);
}

static void *counting_calloc(void *context, size_t number, size_t size)
{
    const PyMemAllocatorEx *original = context;
    return count++ == failing ? NULL : original->calloc(original->ctx, number, size);
}

static void *counting_realloc(void *context, void *block, size_t size)
{
    const PyMemAllocatorEx *original = context;
    return count++ == failing ? NULL : original->realloc(original->ctx, block, size);
}

static void counting_free(void *context, void *block)
{
    const PyMemAllocatorEx *original = context;
    original->free(original->ctx, block);
}

static PyObject *start(PyObject *Py_UNUSED(module), PyObject *args)
{
    failing = ULLONG_MAX;
    if (!PyArg_ParseTuple(args, "|K", &failing)) {
        return NULL;
    }
    for (int i = 0; i < DOMAINS; i++) {
        PyMem_GetAllocator(domains[i], &originals[i]);
        PyMemAllocatorEx counting = {&originals[i], counting_malloc, counting_calloc, counting_realloc, counting_free};
        PyMem_SetAllocator(domains[i], &counting);
    }
    count = 0;
    Py_RETURN_NONE;
}

static PyObject *stop(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(ignored))
{
    unsigned long long counted = count;
    for (int i = 0; i < DOMAINS; i++) {
        PyMem_SetAllocator(domains[i], &originals[i]);
    }
    return PyLong_FromUnsignedLongLong(counted);
}

static PyMethodDef methods[] = {
    {"start", start, METH_VARARGS, NULL},
    {"stop", stop, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, .m_name = "allocations", .m_size = -1, .m_methods = methods};

PyMODINIT_FUNC PyInit_allocations(void)
{
    return PyModule_Create(&definition);
}

// SPDX-License-Identifier: Apache-2.0
#ifndef AW_MODULE_TYPE_H
#define AW_MODULE_TYPE_H

#include "binary.h"
#include "engine.h"
#include "types.h"

typedef struct {
    PyObject_HEAD
    EngineObject *engine;  // owned
    aw_module *handle;     // owned
    PyObject *imports;     // owned tuple of ImportType, in the module's order
    PyObject *exports;     // owned tuple of ExportType, in the module's order
    PyObject *binary;      // owned bytes: the module, or the skeleton of a deserialized one
    bool is_skeleton;
    uint64_t shared_pages;  // that the largest of its own shared memories may have
    binary_names *names;    // owned, malloc: what the name section holds, once someone asked; points into `binary`
    PyObject *weakrefs;
} ModuleObject;

// From the name section (specification 3.0, appendix A.4): new reference, or NULL without an exception. Functions of a module
// that names none go by the names of their exports.
PyObject *module_name(ModuleObject *self);
PyObject *module_function_name(ModuleObject *self, uint32_t function_index);

#endif

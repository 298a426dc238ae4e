// SPDX-License-Identifier: Apache-2.0
#ifndef AW_MODULE_TYPE_H
#define AW_MODULE_TYPE_H

#include "engine.h"
#include "types.h"

typedef struct {
    PyObject_HEAD
    EngineObject *engine;   // owned
    aw_module *handle;      // owned
    PyObject *imports;      // owned tuple of ImportType, in the module's order
    PyObject *exports;      // owned tuple of ExportType, in the module's order
    PyObject *export_index; // owned dict: name -> ExportType
    PyObject *binary;       // owned bytes: the module, or the skeleton of a deserialized one
    PyObject *weakrefs;
} ModuleObject;

// The export of that name: borrowed, or NULL without an exception.
ExportTypeObject *module_find_export(ModuleObject *self, PyObject *name);

// From the name section (specification 3.0, appendix A.4): new reference, or NULL without an exception.
PyObject *module_name(ModuleObject *self);
PyObject *module_function_name(ModuleObject *self, uint32_t function_index);

#endif

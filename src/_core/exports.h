// SPDX-License-Identifier: Apache-2.0
#ifndef AW_EXPORTS_H
#define AW_EXPORTS_H

#include "module_type.h"
#include "store.h"

// The Exports of an instance whose name the store owns. New reference.
PyObject *exports_new(StoreObject *store, ModuleObject *module, aw_instance *handle);

// The export of that name: a new reference, or NULL with KeyError.
PyObject *exports_get(PyObject *self, PyObject *name);

// The store of an Exports object: borrowed.
StoreObject *exports_store(PyObject *self);

#endif

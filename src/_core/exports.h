// SPDX-License-Identifier: Apache-2.0
#ifndef AW_EXPORTS_H
#define AW_EXPORTS_H

#include "module_type.h"
#include "store.h"

// The Exports of an instance whose name the store owns: a new reference, or NULL with an exception.
PyObject *exports_new(StoreObject *store, ModuleObject *module, aw_instance *handle);

#endif

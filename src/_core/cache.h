// SPDX-License-Identifier: Apache-2.0
// The extension's side of the cache of compiled modules. What the cache is, and where, anywasm._cache knows.
//
// A cache that cannot be used or has not got a module is no reason to fail, whatever is wrong with it: all of these return -1 only
// for an exception that is not the cache's, such as KeyboardInterrupt.

#ifndef AW_CACHE_H
#define AW_CACHE_H

#include "engine.h"

// The place in the cache of the code that *engine* compiles from *binary* (bytes): a new reference, or NULL where there is to be
// none: the module is small, or the cache is off.
int cache_find(EngineObject *engine, PyObject *binary, PyObject **entry);

// The module that lies there, owned; NULL if none does.
int cache_load(EngineObject *engine, PyObject *entry, aw_module **module);

// Put the module there.
int cache_save(EngineObject *engine, PyObject *entry, const aw_module *module);

#endif

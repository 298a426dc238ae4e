// SPDX-License-Identifier: Apache-2.0
// An Instance is a module brought to life in a store: its imports resolved, its start function run. The engine's instance
// belongs to the store and lives as long as it, for others may have been linked to it; this object is a name for it.

#include "errors.h"
#include "exports.h"
#include "externs.h"
#include "func.h"
#include "module_type.h"
#include "wasi_type.h"

typedef struct {
    PyObject_HEAD
    StoreObject *store;    // owned
    ModuleObject *module;  // owned
    PyObject *exports;     // owned Exports
    PyObject *weakrefs;
} InstanceObject;

static InstanceObject *instance_cast(PyObject *self)
{
    return (InstanceObject *)self;
}

// --- imports ------------------------------------------------------------------------------------------------------

// Everything that goes wrong with single imports is collected, and told at once.
typedef struct resolution {
    StoreObject *store;
    ModuleObject *module;
    PyObject *imports;   // borrowed mapping or None
    PyObject *problems;  // owned list of (ImportType, object or None, type or None), NULL while there is none
    PyObject *kept;  // owned list: what was looked up lives until the engine has seen it; a mapping may make it anew
    aw_extern *items;
    bool *owned;  // the item is a name of our own, to be deleted
} resolution;

static int resolution_problem(resolution *self, PyObject *import, PyObject *given, PyObject *given_type)
{
    if (self->problems == NULL && (self->problems = PyList_New(0)) == NULL) {
        return -1;
    }
    PyObject *problem = PyTuple_Pack(3, import, given != NULL ? given : Py_None,
                                     given_type != NULL ? given_type : Py_None);
    int status = problem != NULL ? PyList_Append(self->problems, problem) : -1;
    Py_XDECREF(problem);
    return status;
}

// imports[module][name]: 1 and a new reference, 0 if there is none, -1. A module's value may be an Instance.
static int import_lookup(resolution *self, ImportTypeObject *import, PyObject **out)
{
    if (self->imports == Py_None) {
        return 0;
    }
    PyObject *namespace;
    if (PyDict_CheckExact(self->imports)) {
        namespace = Py_XNewRef(PyDict_GetItemWithError(self->imports, import->module));
    }
    else {
        namespace = PyObject_GetItem(self->imports, import->module);
    }
    if (namespace == NULL) {
        if (PyErr_Occurred() && !PyErr_ExceptionMatches(PyExc_KeyError)) {
            return -1;
        }
        PyErr_Clear();
        return 0;
    }
    if (Py_TYPE(namespace) == self->store->state->Instance) {
        Py_SETREF(namespace, Py_NewRef(instance_cast(namespace)->exports));
    }
    if (!PyMapping_Check(namespace)) {
        PyErr_Format(PyExc_TypeError, "imports[%R]: expected a mapping of names or an Instance, got %.200s",
                     import->module, Py_TYPE(namespace)->tp_name);
        Py_DECREF(namespace);
        return -1;
    }
    *out = PyObject_GetItem(namespace, import->name);
    Py_DECREF(namespace);
    if (*out == NULL) {
        if (!PyErr_ExceptionMatches(PyExc_KeyError)) {
            return -1;
        }
        PyErr_Clear();
        return 0;
    }
    return 1;
}

// A WASI function of the store's host: 1, 0 if that is not what the import asks for, -1.
static int import_wasi(resolution *self, ImportTypeObject *import, Py_ssize_t index)
{
    StoreObject *store = self->store;
    if (store->wasi == NULL || import->kind != AW_EXTERN_FUNC ||
        PyUnicode_CompareWithASCIIString(import->module, "wasi_snapshot_preview1") != 0) {
        return 0;
    }
    Py_ssize_t length;
    const char *name = PyUnicode_AsUTF8AndSize(import->name, &length);
    const aw_functype *type;
    aw_hostfunc function;
    if (name == NULL) {
        return -1;
    }
    if (!wasihost_find(name, (size_t)length, &type, &function)) {
        return 0;
    }
    PyObject *given = functype_wrap(store->state, type);
    if (given == NULL) {
        return -1;
    }
    int same = PyObject_RichCompareBool(given, import->type, Py_EQ);
    if (same <= 0) {
        int status = same < 0 ? -1 : resolution_problem(self, (PyObject *)import, given, given);
        Py_DECREF(given);
        return status < 0 ? -1 : 1;
    }
    Py_DECREF(given);
    aw_error error;
    aw_func *handle = wasihost_func_new(store->wasi, type, function, &error);
    if (handle == NULL) {
        error_raise(store->state, NULL, &error);
        return -1;
    }
    self->items[index].kind = AW_EXTERN_FUNC;
    self->items[index].func = handle;
    self->owned[index] = true;
    return 1;
}

// An object of one of the five kinds: does it fit? 0 or -1; a mismatch is a problem, no failure.
static int import_extern(resolution *self, ImportTypeObject *import, PyObject *object, aw_externkind kind,
                         Py_ssize_t index)
{
    ExternObject *item = (ExternObject *)object;
    PyObject *what = PyUnicode_FromFormat("import %R.%R", import->module, import->name);
    const char *text = what != NULL ? PyUnicode_AsUTF8(what) : NULL;
    int same = text != NULL ? store_check_same(self->store, item->store, text) : -1;
    Py_XDECREF(what);
    if (same < 0) {
        return -1;
    }
    uint64_t size = 0;
    PyObject *type = extern_type(item, &size);
    if (type == NULL) {
        return -1;
    }
    int status = 0;
    if (kind != import->kind || !externtype_matches(kind, type, import->type, size)) {
        status = resolution_problem(self, (PyObject *)import, object, type);
    }
    else {
        self->items[index] = item->item;
    }
    Py_DECREF(type);
    return status;
}

// Does the callable ask for the caller (anywasm.pass_caller)? 1, 0 or -1.
static int wants_caller(PyObject *callable)
{
    PyObject *flag = PyObject_GetAttrString(callable, "__wasm_pass_caller__");
    if (flag == NULL) {
        if (!PyErr_ExceptionMatches(PyExc_AttributeError)) {
            return -1;
        }
        PyErr_Clear();
        return 0;
    }
    int wants = flag == Py_True;
    Py_DECREF(flag);
    return wants;
}

static int import_callable(resolution *self, ImportTypeObject *import, PyObject *callable, Py_ssize_t index)
{
    int pass_caller = wants_caller(callable);
    if (pass_caller < 0) {
        return -1;
    }
    PyObject *name = PyUnicode_FromFormat("%U.%U", import->module, import->name);
    aw_func *handle = name == NULL || store_check(self->store) < 0
                          ? NULL
                          : func_new_host(self->store, callable, (FuncTypeObject *)import->type, name, pass_caller,
                                          self->module->handle, (uint32_t)index);
    Py_XDECREF(name);
    if (handle == NULL) {
        return -1;
    }
    self->items[index].kind = AW_EXTERN_FUNC;
    self->items[index].func = handle;
    self->owned[index] = true;
    return 0;
}

static int import_resolve(resolution *self, Py_ssize_t index)
{
    ImportTypeObject *import = (ImportTypeObject *)PyTuple_GET_ITEM(self->module->imports, index);
    PyObject *object = NULL;
    int found = import_lookup(self, import, &object);
    if (found == 0) {
        found = import_wasi(self, import, index);
        return found != 0 ? (found < 0 ? -1 : 0) : resolution_problem(self, (PyObject *)import, NULL, NULL);
    }
    if (found < 0) {
        return -1;
    }
    int status;
    aw_externkind kind;
    if (PyList_Append(self->kept, object) < 0) {
        status = -1;
    }
    else if (extern_check(self->store->state, object, &kind)) {
        status = import_extern(self, import, object, kind, index);
    }
    else if (import->kind == AW_EXTERN_FUNC && PyCallable_Check(object)) {
        status = import_callable(self, import, object, index);
    }
    else {
        status = resolution_problem(self, (PyObject *)import, object, NULL);
    }
    Py_DECREF(object);
    return status;
}

// LinkError with every problem, worded in Python.
static void resolution_raise(resolution *self)
{
    PyObject *linking = PyImport_ImportModule("anywasm._linking");
    PyObject *message = linking != NULL ? PyObject_CallMethod(linking, "explain", "OOO", (PyObject *)self->module,
                                                              self->imports, self->problems)
                                        : NULL;
    Py_XDECREF(linking);
    if (message != NULL) {
        PyErr_SetObject(self->store->state->LinkError, message);
        Py_DECREF(message);
    }
}

// --- birth and death ---------------------------------------------------------------------------------------------------

PyDoc_STRVAR(
    Instance_doc,
    "Instance(module, imports=None, store=None)\n--\n\n"
    "A module brought to life: its imports resolved, its start function run.\n\n"
    "module: Module.\n"
    "imports: a mapping {module: {name: object}}; an object is a Func, Memory, Table, Global or Tag of the same\n"
    "  store, or for a function any callable, which takes its type from the module's import. In place of\n"
    "  {name: object} an Instance gives its exports. What is missing from wasi_snapshot_preview1 comes from\n"
    "  the store's wasi.\n"
    "store: Store; None makes a new one of the module's engine.\n\n"
    "Raises LinkError, which names every import that is missing or does not fit; Trap and whatever host functions\n"
    "raise if the start function does; LimitError for the store's limits; ValueError for objects of another store.\n"
    "The instance lives as long as its store. Specification, sections 4.7.2 and 4.7.3.");

static StoreObject *instance_store(core_state *state, ModuleObject *module, PyObject *object)
{
    if (object == Py_None) {
        return (StoreObject *)PyObject_CallOneArg((PyObject *)state->Store, (PyObject *)module->engine);
    }
    if (Py_TYPE(object) != state->Store) {
        PyErr_Format(PyExc_TypeError, "Instance(): store: expected a Store or None, got %.200s",
                     Py_TYPE(object)->tp_name);
        return NULL;
    }
    StoreObject *store = (StoreObject *)object;
    if (store_check(store) < 0) {
        return NULL;
    }
    if (store->engine != module->engine) {
        PyErr_Format(
            PyExc_ValueError,
            "Instance(): the module was compiled by another engine object (%s) than the store's (%s): make both "
            "with the same Engine",
            module->engine->api->name, store->engine->api->name);
        return NULL;
    }
    return (StoreObject *)Py_NewRef(object);
}

// Resolve the imports and run the engine: the instance's name, now owned by the store, or NULL with an exception.
static aw_instance *instance_make(StoreObject *store, ModuleObject *module, PyObject *imports)
{
    Py_ssize_t count = PyTuple_GET_SIZE(module->imports);
    resolution self = {.store = store, .module = module, .imports = imports};
    aw_instance *handle = NULL;
    self.items = PyMem_Calloc((size_t)count + 1, sizeof(*self.items));
    self.owned = PyMem_Calloc((size_t)count + 1, sizeof(*self.owned));
    self.kept = PyList_New(0);
    if (self.items == NULL || self.owned == NULL || self.kept == NULL) {
        PyErr_NoMemory();
        goto done;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        if (import_resolve(&self, i) < 0) {
            goto done;
        }
    }
    if (self.problems != NULL) {
        resolution_raise(&self);
        goto done;
    }
    // Looking things up may have run Python code, which may have closed the store.
    if (store_check(store) < 0) {
        goto done;
    }
    if (module->shared_pages > 0 && store_add_shared(store, module->shared_pages) < 0) {
        goto done;
    }
    aw_error error;
    store_enter(store, true);
    handle = store->api->instance_new(store->handle, module->handle, self.items, (size_t)count, &error);
    store_leave(store);
    if (handle == NULL) {
        error_raise(store->state, store, &error);
    }
    else if (store_add_instance(store, handle, (PyObject *)module) < 0) {
        handle = NULL;
    }
    store_sweep(store);
done:
    for (Py_ssize_t i = 0; i < count && self.items != NULL && self.owned != NULL; i++) {
        if (self.owned[i]) {
            extern_delete(store->api, &self.items[i]);
        }
    }
    PyMem_Free(self.items);
    PyMem_Free(self.owned);
    Py_XDECREF(self.problems);
    Py_XDECREF(self.kept);
    return handle;
}

static PyObject *Instance_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    static char *names[] = {"module", "imports", "store", NULL};
    core_state *state = (core_state *)PyType_GetModuleState(type);
    PyObject *module, *imports = Py_None, *store_object = Py_None;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "O|OO:Instance", names, &module, &imports, &store_object)) {
        return NULL;
    }
    if (Py_TYPE(module) != state->Module) {
        return PyErr_Format(PyExc_TypeError,
                            "Instance(): module: expected a Module, got %.200s (anywasm.load takes a path or bytes)",
                            Py_TYPE(module)->tp_name);
    }
    if (imports != Py_None &&
        (!PyMapping_Check(imports) || PyUnicode_Check(imports) || PyList_Check(imports) || PyTuple_Check(imports))) {
        return PyErr_Format(PyExc_TypeError,
                            "Instance(): imports: expected a mapping {module: {name: object}}, got %.200s",
                            Py_TYPE(imports)->tp_name);
    }
    StoreObject *store = instance_store(state, (ModuleObject *)module, store_object);
    if (store == NULL) {
        return NULL;
    }
    aw_instance *handle = instance_make(store, (ModuleObject *)module, imports);
    PyObject *exports = handle != NULL ? exports_new(store, (ModuleObject *)module, handle) : NULL;
    InstanceObject *self = exports != NULL ? (InstanceObject *)type->tp_alloc(type, 0) : NULL;
    if (self == NULL) {
        Py_XDECREF(exports);
        Py_DECREF(store);
        return NULL;
    }
    self->store = store;
    self->module = (ModuleObject *)Py_NewRef(module);
    self->exports = exports;
    return (PyObject *)self;
}

static int Instance_traverse(PyObject *object, visitproc visit, void *arg)
{
    InstanceObject *self = instance_cast(object);
    Py_VISIT(Py_TYPE(object));
    Py_VISIT(self->store);
    Py_VISIT(self->module);
    Py_VISIT(self->exports);
    return 0;
}

// Nothing to drop: a cycle through an instance goes through its store, which breaks it.
static int Instance_clear(PyObject *Py_UNUSED(object))
{
    return 0;
}

static void Instance_dealloc(PyObject *object)
{
    InstanceObject *self = instance_cast(object);
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    if (self->weakrefs != NULL) {
        PyObject_ClearWeakRefs(object);
    }
    Py_XDECREF(self->exports);
    Py_XDECREF(self->module);
    Py_XDECREF(self->store);
    type->tp_free(object);
    Py_DECREF(type);
}

// --- properties -----------------------------------------------------------------------------------------------------------

static PyObject *Instance_get_exports(PyObject *object, void *Py_UNUSED(closure))
{
    return Py_NewRef(instance_cast(object)->exports);
}

static PyObject *Instance_get_module(PyObject *object, void *Py_UNUSED(closure))
{
    return Py_NewRef((PyObject *)instance_cast(object)->module);
}

static PyObject *Instance_get_store(PyObject *object, void *Py_UNUSED(closure))
{
    return Py_NewRef((PyObject *)instance_cast(object)->store);
}

static PyObject *Instance_repr(PyObject *object)
{
    InstanceObject *self = instance_cast(object);
    return PyUnicode_FromFormat("<anywasm.Instance of %R%s>", (PyObject *)self->module,
                                self->store->handle == NULL ? ", closed" : "");
}

// --- tables -----------------------------------------------------------------------------------------------------------------

static PyGetSetDef Instance_getset[] = {
    {"exports", Instance_get_exports, NULL, "Exports: a mapping, whose items are attributes, too.", NULL},
    {"module", Instance_get_module, NULL, "Module: what it is an instance of.", NULL},
    {"store", Instance_get_store, NULL, "Store: where it lives.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef Instance_members[] = {
    {"__weaklistoffset__", Py_T_PYSSIZET, offsetof(InstanceObject, weakrefs), Py_READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot Instance_slots[] = {
    {Py_tp_doc, (void *)Instance_doc}, {Py_tp_new, Instance_new},         {Py_tp_traverse, Instance_traverse},
    {Py_tp_clear, Instance_clear},     {Py_tp_dealloc, Instance_dealloc}, {Py_tp_repr, Instance_repr},
    {Py_tp_getset, Instance_getset},   {Py_tp_members, Instance_members}, {0, NULL},
};

PyType_Spec Instance_spec = {
    .name = "anywasm.Instance",
    .basicsize = sizeof(InstanceObject),
    .flags = AW_TYPE_FLAGS | Py_TPFLAGS_HAVE_GC,
    .slots = Instance_slots,
};

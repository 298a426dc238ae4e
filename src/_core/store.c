// SPDX-License-Identifier: Apache-2.0
// A Store is one isolated world: everything that Wasm code can reach lives in one, and nothing leaves it.
//
// What lives where: functions, memories, tables, globals and instances belong to the engine's store and live as long as it;
// Python's objects for them hold this object, so the store outlives them all unless it is closed by hand, after which
// each of them raises ValueError. The store owns what the engine refers to on our side: host functions and the boxes
// of externrefs. It traverses their Python objects, so a cycle through the guest is collected like any other.
//
// One thread at a time: while a call runs, another thread's use is an error; between calls the thread may change.

#include "store.h"

#include <math.h>
#include <time.h>

#include "ctrl_c.h"
#include "deadline.h"
#include "errors.h"
#include "wasi_type.h"

AW_THREAD_LOCAL char store_thread_mark;

// --- checks ---------------------------------------------------------------------------------------------

int store_check_slow(StoreObject *self)
{
    if (self->handle == NULL) {
        PyErr_SetString(PyExc_ValueError, "the store is closed");
    }
    else {
        PyErr_SetString(
            PyExc_RuntimeError,
            "the store is in use by another thread: one thread at a time may use a store and what lives in it");
    }
    return -1;
}

int store_check_same(StoreObject *self, StoreObject *other, const char *what)
{
    if (self == other) {
        return 0;
    }
    PyErr_Format(PyExc_ValueError, "%s belongs to another store: objects cannot be used across stores", what);
    return -1;
}

static double monotonic_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

void store_watch_begin(StoreObject *self)
{
    self->unwatched = false;
    self->due = 0;
    if (self->timeout > 0) {
        self->deadline = self->due = monotonic_seconds() + self->timeout;
        if (deadline_arm(&self->ticking, self->api, self->handle, self->timeout) < 0) {
            self->unwatched = self->interrupted = true;
            self->api->store_interrupt(self->handle);
        }
    }
    bool main_interpreter = PyInterpreterState_Get() == PyInterpreterState_Main();
    self->watches_ctrl_c = ctrl_c_begin(self->api, self->handle, main_interpreter);
}

void store_watch_end(StoreObject *self)
{
    if (self->watches_ctrl_c) {
        ctrl_c_end();
    }
    if (self->timeout > 0) {
        deadline_disarm(&self->ticking);
    }
    else if (self->watches_ctrl_c) {
        self->api->store_uninterrupt(self->handle);
    }
    self->watches_ctrl_c = false;
    self->deadline = 0;
    self->interrupted = false;
}

bool store_overdue(StoreObject *self)
{
    if (!self->interrupted && (self->deadline == 0 || monotonic_seconds() < self->deadline)) {
        return false;
    }
    self->interrupted = false;
    self->deadline = 0;
    self->api->store_uninterrupt(self->handle);
    return true;
}

static int raise_unending(StoreObject *self)
{
    PyErr_Format(
        self->state->UnsupportedError,
        "timeout: engine '%s' cannot end a wait on a shared memory (memory.atomic.wait), so a store has either",
        self->api->name);
    return -1;
}

int store_add_shared(StoreObject *self, uint64_t pages)
{
    if (!engine_has(self->engine, AW_CAP_SHARED_LIMIT)) {
        if (self->timeout > 0) {
            return raise_unending(self);
        }
        if (pages > self->memory_limit >> 16) {
            PyErr_Format(self->state->UnsupportedError,
                         "memory: engine '%s' cannot limit shared memories: this one may grow to %llu pages, and the "
                         "store's limit is %llu bytes",
                         self->api->name, (unsigned long long)pages, (unsigned long long)self->memory_limit);
            return -1;
        }
    }
    self->has_shared = true;
    return 0;
}

double store_overtime(const StoreObject *self)
{
    enum { MARGIN = 1000 };  // the engine's clock and this one were read one after the other
    double over = self->due > 0 ? monotonic_seconds() - self->due : -1;
    return over >= -1.0 / MARGIN ? self->timeout + over : -1;
}

void store_take_exception(StoreObject *self)
{
    if (self->exception == NULL) {
        self->exception = aw_take_exception();
    }
    else {
        PyErr_Clear();
    }
}

// --- externrefs ---------------------------------------------------------------------------------------

static void box_unlink(StoreObject *self, store_box *box)
{
    if (box->previous != NULL) {
        box->previous->next = box->next;
    }
    else {
        self->boxes = box->next;
    }
    if (box->next != NULL) {
        box->next->previous = box->previous;
    }
}

enum { EXTERNREFS_UNTIL_GC = 1000 };  // at least

// Engines with a collector run it when their heap is full, which says nothing of the size of the objects that externrefs keep alive
// on Python's side. So the store asks for it, too: each time twice as many were made as are alive.
void store_collect(StoreObject *self)
{
    aw_error error;
    if (self->api->store_gc != NULL && self->handle != NULL && self->api->store_gc(self->handle, &error) < 0) {
        aw_error_clear(&error);
    }
    store_sweep(self);
    self->externrefs_made = 0;
    self->externrefs_until_gc = 2 * self->box_count > EXTERNREFS_UNTIL_GC ? 2 * self->box_count : EXTERNREFS_UNTIL_GC;
}

store_box *store_box_of(StoreObject *self, PyObject *object)
{
    self->externrefs_made++;
    PyObject *key = PyLong_FromVoidPtr(object);
    if (key == NULL) {
        return NULL;
    }
    store_box *box = NULL;
    PyObject *found = PyDict_GetItemWithError(self->box_index, key);
    if (found != NULL) {
        box = PyLong_AsVoidPtr(found);
        box->count++;
    }
    else if (!PyErr_Occurred()) {
        box = PyMem_Calloc(1, sizeof(*box));
        PyObject *address = box != NULL ? PyLong_FromVoidPtr(box) : PyErr_NoMemory();
        if (address == NULL || PyDict_SetItem(self->box_index, key, address) < 0) {
            PyMem_Free(box);
            box = NULL;
        }
        else {
            box->count = 1;
            box->object = Py_NewRef(object);
            box->key = Py_NewRef(key);
            box->next = self->boxes;
            if (self->boxes != NULL) {
                self->boxes->previous = box;
            }
            self->boxes = box;
            self->box_count++;
        }
        Py_XDECREF(address);
    }
    Py_DECREF(key);
    return box;
}

void store_box_drop(StoreObject *self, store_box *box)
{
    if (--box->count == 0 && !box->dead) {
        box->dead = true;
        box->next_dead = self->dead;
        self->dead = box;
    }
}

static void store_foreign_drop(void *data, aw_foreign *foreign)
{
    store_box_drop((StoreObject *)data, (store_box *)foreign);
}

void store_sweep_dead(StoreObject *self)
{
    PyObject *pending = aw_take_exception();
    while (self->dead != NULL) {
        store_box *box = self->dead;
        self->dead = box->next_dead;
        box->dead = false;
        if (box->count > 0) {
            continue;  // passed to the guest again meanwhile
        }
        if (PyDict_DelItem(self->box_index, box->key) < 0) {  // it is there, and nothing has to be made
            PyErr_Clear();
        }
        Py_DECREF(box->key);
        box_unlink(self, box);
        self->box_count--;
        PyObject *object = box->object;
        PyMem_Free(box);
        Py_DECREF(object);  // may run Python code, which may use the store: the lists are consistent here
    }
    if (pending != NULL) {
        aw_put_exception(pending);
    }
}

// --- what the engine refers to -----------------------------------------------------------------------------

int64_t store_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

void store_stretch_end(StoreObject *self)
{
    int64_t length = store_now() - self->timing.start;
    if (length > self->timing.longest) {
        self->timing.longest = length;
    }
    self->timing.count++;
}

void store_stretch_begin(StoreObject *self)
{
    self->timing.start = store_now();
}

host_function *store_add_host_function(StoreObject *self, PyObject *callable, PyObject *type, PyObject *name,
                                       bool pass_caller)
{
    host_function *function = PyMem_Calloc(1, sizeof(*function));
    if (function == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    function->store = self;
    function->callable = Py_NewRef(callable);
    function->type = Py_NewRef(type);
    function->name = Py_XNewRef(name);
    function->pass_caller = pass_caller;
    function->yields = PyFunction_Check(callable) ||
                       (PyMethod_Check(callable) && PyFunction_Check(PyMethod_GET_FUNCTION(callable)));
    function->next = self->host_functions;
    self->host_functions = function;
    return function;
}

int store_add_instance(StoreObject *self, aw_instance *handle, PyObject *module)
{
    if (self->instance_count == self->instance_capacity) {
        Py_ssize_t capacity = self->instance_capacity == 0 ? 4 : 2 * self->instance_capacity;
        store_instance *instances = PyMem_Resize(self->instances, store_instance, capacity);
        if (instances == NULL) {
            self->api->instance_delete(handle);
            PyErr_NoMemory();
            return -1;
        }
        self->instances = instances;
        self->instance_capacity = capacity;
    }
    self->instances[self->instance_count++] = (store_instance){.handle = handle, .module = Py_NewRef(module)};
    return 0;
}

PyObject *store_module_of(StoreObject *self, const aw_instance *handle)
{
    if (handle == NULL) {
        return self->instance_count == 1 ? self->instances[0].module : NULL;
    }
    for (Py_ssize_t i = self->instance_count; i-- > 0;) {
        if (self->instances[i].handle == handle) {
            return self->instances[i].module;
        }
    }
    return NULL;
}

// --- birth and death ----------------------------------------------------------------------------------------

PyDoc_STRVAR(
    Store_doc,
    "Store(engine=None, *, wasi=None, memory=None, table_elements=None, instances=None, tables=None,\n"
    "      memories=None, fuel=None, timeout=None, stack=None)\n--\n\n"
    "One isolated world: instances and what they share live in one.\n\n"
    "engine: Engine; None is the default engine.\n"
    "wasi: a Wasi, for modules that import wasi_snapshot_preview1.\n"
    "memory: int, bytes that each memory may have at most.\n"
    "table_elements: int, elements that each table may have at most.\n"
    "instances, tables, memories: int, how many of them there may be.\n"
    "fuel: int, the budget of instructions; needs Engine(fuel=True).\n"
    "timeout: float, seconds that a call from Python may take; needs Engine(interruptible=True).\n"
    "stack: int, bytes for nested calls, 65,536 or more; None is what Engine(max_wasm_stack=…) says.\n\n"
    "None is no limit. A limit that is hit raises a LimitError, or makes the guest's memory.grow and table.grow\n"
    "return -1; one that the engine cannot hold raises UnsupportedError here. One thread at a time may use a store and what lives in it; another gets RuntimeError.\n"
    "A store is closed by close(), by leaving its with block, or when nothing refers to it any more.\n"
    "Specification, section 4.2.3.");

static int limit_convert(PyObject *object, const char *name, uint64_t *out)
{
    if (object == Py_None) {
        *out = UINT64_MAX;
        return 0;
    }
    PyObject *index = PyNumber_Index(object);
    if (index == NULL) {
        raise_from(PyExc_TypeError, "Store(): %s: expected an integer or None, got %.100s", name,
                   Py_TYPE(object)->tp_name);
        return -1;
    }
    int overflow;
    long long value = PyLong_AsLongLongAndOverflow(index, &overflow);
    Py_DECREF(index);
    if (overflow < 0 || (overflow == 0 && value < 0)) {
        PyErr_Format(PyExc_ValueError, "Store(): %s: must not be negative", name);
        return -1;
    }
    *out = overflow > 0 ? UINT64_MAX - 1 : (uint64_t)value;
    return 0;
}

static int store_set_timeout(StoreObject *self, PyObject *object)
{
    if (object == Py_None) {
        self->timeout = 0;
        return 0;
    }
    double seconds = PyFloat_AsDouble(object);
    if (seconds == -1.0 && PyErr_Occurred()) {
        return -1;
    }
    if (!(seconds > 0) || isinf(seconds)) {
        PyErr_Format(PyExc_ValueError, "timeout: expected a positive number of seconds or None, got %R", object);
        return -1;
    }
    if (!engine_has(self->engine, AW_CAP(INTERRUPT))) {
        engine_raise_unsupported(self->state, self->api, AW_CAP(INTERRUPT), "timeout");
        return -1;
    }
    if (self->has_shared && !engine_has(self->engine, AW_CAP_SHARED_LIMIT)) {
        return raise_unending(self);
    }
    self->timeout = seconds;
    return 0;
}

// How much fuel is left: 0 or -1.
static int store_fuel_left(StoreObject *self, uint64_t *out)
{
    if (!engine_has(self->engine, AW_CAP(FUEL))) {
        engine_raise_unsupported(self->state, self->api, AW_CAP(FUEL), "fuel");
        return -1;
    }
    aw_error error;
    if (self->api->store_get_fuel(self->handle, out, &error) < 0) {
        error_raise(self->state, NULL, &error);
        return -1;
    }
    return 0;
}

static int store_set_fuel(StoreObject *self, PyObject *object)
{
    uint64_t fuel, left;
    if (limit_convert(object, "fuel", &fuel) < 0 || store_fuel_left(self, &left) < 0) {
        return -1;
    }
    aw_error error;
    if (self->api->store_set_fuel(self->handle, fuel, &error) < 0) {
        error_raise(self->state, NULL, &error);
        return -1;
    }
    self->fuel_spent += self->fuel_given - left;
    // As the engine has it, which may count in fewer bits.
    return store_fuel_left(self, &self->fuel_given);
}

enum { STACK_MINIMUM = 64 << 10 };  // less is no use to any compiled program

// A stack of this size for the store of *engine*: 0 or -1.
static int stack_convert(core_state *state, const EngineObject *engine, PyObject *object, size_t *out)
{
    *out = 0;
    if (object == Py_None) {
        return 0;
    }
    uint64_t bytes;
    if (limit_convert(object, "stack", &bytes) < 0) {
        return -1;
    }
    if (bytes < STACK_MINIMUM || bytes > SIZE_MAX / 2) {
        PyErr_Format(PyExc_ValueError, "Store(): stack: expected %d bytes or more, got %R", STACK_MINIMUM, object);
        return -1;
    }
    if (bytes == engine->config.max_wasm_stack) {
        return 0;
    }
    if ((engine->capabilities & AW_CAP_STORE_STACK) == 0) {
        PyErr_Format(state->UnsupportedError,
                     "stack: engine '%s' has one size for all of its stores: make it with max_wasm_stack=%llu",
                     engine->api->name, (unsigned long long)bytes);
        return -1;
    }
    *out = (size_t)bytes;
    return 0;
}

static int store_poll(void *data)
{
    StoreObject *self = data;
    PyThreadState *token = store_gil_take(self);
    int status = PyErr_CheckSignals();
    if (status != 0) {
        store_take_exception(self);
    }
    store_gil_return(self, token);
    return status;
}

static PyObject *Store_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    static char *names[] = {"engine",   "wasi", "memory",  "table_elements", "instances", "tables",
                            "memories", "fuel", "timeout", "stack",          NULL};
    PyObject *engine = Py_None, *wasi = Py_None, *memory = Py_None, *table_elements = Py_None, *instances = Py_None,
             *tables = Py_None, *memories = Py_None, *fuel = Py_None, *timeout = Py_None, *stack = Py_None;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "|O$OOOOOOOOO:Store", names, &engine, &wasi, &memory,
                                     &table_elements, &instances, &tables, &memories, &fuel, &timeout, &stack)) {
        return NULL;
    }
    aw_storelimits limits;
    if (limit_convert(memory, "memory", &limits.memory_bytes) < 0 ||
        limit_convert(table_elements, "table_elements", &limits.table_elements) < 0 ||
        limit_convert(instances, "instances", &limits.instances) < 0 ||
        limit_convert(tables, "tables", &limits.tables) < 0 ||
        limit_convert(memories, "memories", &limits.memories) < 0) {
        return NULL;
    }
    StoreObject *self = (StoreObject *)type->tp_alloc(type, 0);
    if (self == NULL) {
        return NULL;
    }
    self->state = (core_state *)PyType_GetModuleState(type);
    self->box_index = PyDict_New();
    if (self->box_index == NULL || engine_convert(self->state, engine, &self->engine) < 0) {
        goto error;
    }
    if (stack_convert(self->state, self->engine, stack, &limits.stack) < 0) {
        goto error;
    }
    self->api = self->engine->api;
    self->memory_limit = limits.memory_bytes;
    self->interruptible = engine_has(self->engine, AW_CAP(INTERRUPT));
    aw_host host = {.foreign_drop = store_foreign_drop, .poll = store_poll, .data = self};
    aw_error failure;
    self->handle = self->api->store_new(self->engine->handle, &host, &limits, &failure);
    if (self->handle == NULL) {
        error_raise(self->state, NULL, &failure);
        goto error;
    }
    if (engine_has(self->engine, AW_CAP(FUEL)) && store_fuel_left(self, &self->fuel_given) < 0) {
        goto error;
    }
    if (fuel != Py_None && store_set_fuel(self, fuel) < 0) {
        goto error;
    }
    if (store_set_timeout(self, timeout) < 0) {
        goto error;
    }
    if (wasi != Py_None) {
        self->wasi = wasihost_check(self->state, wasi) ? Py_NewRef(wasi) : PyObject_CallMethod(wasi, "_open", NULL);
        if (self->wasi == NULL) {
            if (PyErr_ExceptionMatches(PyExc_AttributeError)) {
                raise_from(PyExc_TypeError, "Store(): wasi: expected a Wasi or None, got %.100s",
                           Py_TYPE(wasi)->tp_name);
            }
            goto error;
        }
        if (!wasihost_check(self->state, self->wasi)) {
            PyErr_SetString(PyExc_TypeError, "Store(): wasi: _open() did not return a WasiHost");
            goto error;
        }
        if (wasihost_bind(self->wasi, self) < 0) {
            Py_CLEAR(self->wasi);  // another store's: not ours to let go of
            goto error;
        }
    }
    self->externrefs_until_gc = EXTERNREFS_UNTIL_GC;
    return (PyObject *)self;
error:
    Py_DECREF(self);
    return NULL;
}

// Close the engine's store and free all that it referred to; runs destructors of Python objects. It is closed in any case: 0, or -1
// with what a stream of the program raised at its end.
static int store_close(StoreObject *self)
{
    aw_store *handle = self->handle;
    if (handle == NULL) {
        return 0;
    }
    self->handle = NULL;
    for (Py_ssize_t i = 0; i < self->instance_count; i++) {
        self->api->instance_delete(self->instances[i].handle);
    }
    self->api->store_delete(handle);

    store_instance *instances = self->instances;
    Py_ssize_t instance_count = self->instance_count;
    host_function *function = self->host_functions;
    self->instances = NULL;
    self->instance_count = self->instance_capacity = 0;
    self->host_functions = NULL;

    // From here on Python code may run: nothing is reachable from two sides any more.
    store_sweep_dead(self);
    while (function != NULL) {
        host_function *next = function->next;
        Py_DECREF(function->callable);
        Py_DECREF(function->type);
        Py_XDECREF(function->name);
        PyMem_Free(function);
        function = next;
    }
    for (Py_ssize_t i = 0; i < instance_count; i++) {
        Py_DECREF(instances[i].module);
    }
    PyMem_Free(instances);
    PyObject *raised = NULL;
    if (self->wasi != NULL) {
        if (wasihost_bind(self->wasi, NULL) < 0) {
            raised = aw_take_exception();
        }
        Py_CLEAR(self->wasi);
    }
    if (raised != NULL) {
        aw_put_exception(raised);
        return -1;
    }
    return 0;
}

// The same where nobody could catch anything.
static void store_close_unraisable(StoreObject *self)
{
    PyObject *pending = aw_take_exception();
    if (store_close(self) < 0) {
        PyErr_WriteUnraisable((PyObject *)Py_TYPE(self));
    }
    if (pending != NULL) {
        aw_put_exception(pending);
    }
}

static int Store_traverse(PyObject *object, visitproc visit, void *arg)
{
    StoreObject *self = (StoreObject *)object;
    Py_VISIT(Py_TYPE(object));
    Py_VISIT(self->engine);
    Py_VISIT(self->exception);
    Py_VISIT(self->wasi);
    for (store_box *box = self->boxes; box != NULL; box = box->next) {
        Py_VISIT(box->object);
    }
    for (host_function *function = self->host_functions; function != NULL; function = function->next) {
        Py_VISIT(function->callable);
        Py_VISIT(function->type);
    }
    for (Py_ssize_t i = 0; i < self->instance_count; i++) {
        Py_VISIT(self->instances[i].module);
    }
    return 0;
}

// Breaking a cycle closes the store: the guest may hold what is in it. (A view that is still out keeps the bytes
// that it shows; dealloc closes then.)
static int Store_clear(PyObject *object)
{
    StoreObject *self = (StoreObject *)object;
    Py_CLEAR(self->exception);
    if (self->views == 0 && self->depth == 0) {
        store_close_unraisable(self);
    }
    return 0;
}

static void Store_dealloc(PyObject *object)
{
    StoreObject *self = (StoreObject *)object;
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    if (self->weakrefs != NULL) {
        PyObject_ClearWeakRefs(object);
    }
    store_close_unraisable(self);
    Py_CLEAR(self->exception);
    Py_CLEAR(self->wasi);
    Py_CLEAR(self->box_index);
    Py_CLEAR(self->engine);
    type->tp_free(object);
    Py_DECREF(type);
}

// --- methods --------------------------------------------------------------------------------------------------

PyDoc_STRVAR(Store_close_doc,
             "close($self, /)\n--\n\n"
             "Free everything that lives in the store, now. Whatever refers to it raises ValueError from then on.\n\n"
             "Closing twice is fine. Raises BufferError while views of its memories exist, RuntimeError while a call\n"
             "runs in it, and, once it is closed, what a stream of its Wasi raises at its end.");

static PyObject *Store_close(PyObject *object, PyObject *Py_UNUSED(ignored))
{
    StoreObject *self = (StoreObject *)object;
    if (self->handle == NULL) {
        Py_RETURN_NONE;
    }
    if (store_check(self) < 0) {
        return NULL;
    }
    if (self->depth > 0) {
        PyErr_SetString(PyExc_RuntimeError, "cannot close a store while a call runs in it");
        return NULL;
    }
    if (self->views > 0) {
        PyErr_Format(PyExc_BufferError, "cannot close the store: %zd view%s of its memories exist%s", self->views,
                     self->views == 1 ? "" : "s", self->views == 1 ? "s" : "");
        return NULL;
    }
    if (store_close(self) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

PyDoc_STRVAR(Store_enter_doc, "__enter__($self, /)\n--\n\nReturn the store itself.");

static PyObject *Store_enter(PyObject *object, PyObject *Py_UNUSED(ignored))
{
    if (store_check((StoreObject *)object) < 0) {
        return NULL;
    }
    return Py_NewRef(object);
}

PyDoc_STRVAR(Store_exit_doc, "__exit__($self, /, *exc)\n--\n\nClose the store.");

static PyObject *Store_exit(PyObject *object, PyObject *const *Py_UNUSED(args), Py_ssize_t Py_UNUSED(count))
{
    return Store_close(object, NULL);
}

PyDoc_STRVAR(Store_gc_doc,
             "gc($self, /)\n--\n\n"
             "Collect the guest's garbage now: objects on its heap and externrefs that it no longer reaches.\n\n"
             "Does nothing on an engine without a collector, which keeps externrefs until the store is closed.");

static PyObject *Store_gc(PyObject *object, PyObject *Py_UNUSED(ignored))
{
    StoreObject *self = (StoreObject *)object;
    if (store_check(self) < 0) {
        return NULL;
    }
    aw_error error;
    if (self->api->store_gc != NULL && self->api->store_gc(self->handle, &error) < 0) {
        return error_raise(self->state, NULL, &error);
    }
    store_sweep(self);
    Py_RETURN_NONE;
}

PyDoc_STRVAR(Store_interrupt_doc,
             "interrupt($self, /)\n--\n\n"
             "Stop the call that runs in the store, or the next one: it raises LimitError.\n\n"
             "May be called from any thread. Raises UnsupportedError unless the engine was made with\n"
             "Engine(interruptible=True).");

static PyObject *Store_interrupt(PyObject *object, PyObject *Py_UNUSED(ignored))
{
    StoreObject *self = (StoreObject *)object;
    if (self->handle == NULL) {
        store_check_slow(self);
        return NULL;
    }
    if (!engine_has(self->engine, AW_CAP(INTERRUPT))) {
        return engine_raise_unsupported(self->state, self->api, AW_CAP(INTERRUPT), "interrupt()");
    }
    self->interrupted = true;
    self->api->store_interrupt(self->handle);
    Py_RETURN_NONE;
}

// --- properties -----------------------------------------------------------------------------------------------

static PyObject *Store_get_engine(PyObject *object, void *Py_UNUSED(closure))
{
    return Py_NewRef((PyObject *)((StoreObject *)object)->engine);
}

static PyObject *Store_get_closed(PyObject *object, void *Py_UNUSED(closure))
{
    return PyBool_FromLong(((StoreObject *)object)->handle == NULL);
}

// For anywasm.Pool: can somebody else go on with it? Nothing runs in it or is to be stopped, no call failed half-way, nobody looks at
// its memories.
static PyObject *Store_get_reusable(PyObject *object, void *Py_UNUSED(closure))
{
    StoreObject *self = (StoreObject *)object;
    return PyBool_FromLong(self->handle != NULL && self->depth == 0 && self->failure == 0 && !self->interrupted &&
                           self->views == 0);
}

static PyObject *Store_get_fuel(PyObject *object, void *Py_UNUSED(closure))
{
    StoreObject *self = (StoreObject *)object;
    if (store_check(self) < 0) {
        return NULL;
    }
    uint64_t fuel;
    return store_fuel_left(self, &fuel) < 0 ? NULL : PyLong_FromUnsignedLongLong(fuel);
}

static PyObject *Store_get_fuel_used(PyObject *object, void *Py_UNUSED(closure))
{
    StoreObject *self = (StoreObject *)object;
    uint64_t left;
    if (store_check(self) < 0 || store_fuel_left(self, &left) < 0) {
        return NULL;
    }
    return PyLong_FromUnsignedLongLong(self->fuel_spent + self->fuel_given - left);
}

static PyObject *Store_get_peak_memory(PyObject *object, void *Py_UNUSED(closure))
{
    StoreObject *self = (StoreObject *)object;
    if (store_check(self) < 0) {
        return NULL;
    }
    aw_usage usage;
    self->api->store_usage(self->handle, &usage);
    return PyLong_FromUnsignedLongLong(usage.memory_bytes);
}

static PyObject *Store_get_memory_refused(PyObject *object, void *Py_UNUSED(closure))
{
    StoreObject *self = (StoreObject *)object;
    if (store_check(self) < 0) {
        return NULL;
    }
    aw_usage usage;
    self->api->store_usage(self->handle, &usage);
    return usage.memory_known ? PyLong_FromUnsignedLongLong(usage.memory_refused) : Py_NewRef(Py_None);
}

static int Store_set_fuel(PyObject *object, PyObject *value, void *Py_UNUSED(closure))
{
    StoreObject *self = (StoreObject *)object;
    if (value == NULL || value == Py_None) {
        PyErr_SetString(PyExc_TypeError, "fuel: expected an integer");
        return -1;
    }
    return store_check(self) < 0 ? -1 : store_set_fuel(self, value);
}

static PyObject *Store_get_timeout(PyObject *object, void *Py_UNUSED(closure))
{
    StoreObject *self = (StoreObject *)object;
    return self->timeout > 0 ? PyFloat_FromDouble(self->timeout) : Py_NewRef(Py_None);
}

static int Store_set_timeout(PyObject *object, PyObject *value, void *Py_UNUSED(closure))
{
    StoreObject *self = (StoreObject *)object;
    if (value == NULL) {
        PyErr_SetString(PyExc_TypeError, "timeout: cannot be deleted; set it to None");
        return -1;
    }
    if (store_check(self) < 0) {
        return -1;
    }
    if (self->depth > 0) {
        PyErr_SetString(PyExc_RuntimeError, "cannot change the timeout while a call runs in the store");
        return -1;
    }
    return store_set_timeout(self, value);
}

static PyObject *Store_repr(PyObject *object)
{
    StoreObject *self = (StoreObject *)object;
    if (self->handle == NULL) {
        return PyUnicode_FromString("<anywasm.Store: closed>");
    }
    return PyUnicode_FromFormat("<anywasm.Store: %s, %zd instance%s>", self->api->name, self->instance_count,
                                self->instance_count == 1 ? "" : "s");
}

// --- tables -----------------------------------------------------------------------------------------------------

static PyMethodDef Store_methods[] = {
    {"close", Store_close, METH_NOARGS, Store_close_doc},
    {"gc", Store_gc, METH_NOARGS, Store_gc_doc},
    {"interrupt", Store_interrupt, METH_NOARGS, Store_interrupt_doc},
    {"__enter__", Store_enter, METH_NOARGS, Store_enter_doc},
    {"__exit__", (PyCFunction)(void (*)(void))Store_exit, METH_FASTCALL, Store_exit_doc},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef Store_getset[] = {
    {"engine", Store_get_engine, NULL, "Engine: what runs the code in this store.", NULL},
    {"closed", Store_get_closed, NULL, "bool: whether the store was closed.", NULL},
    {"_reusable", Store_get_reusable, NULL, "bool: whether somebody else can go on with it; for anywasm.Pool.", NULL},
    {"fuel", Store_get_fuel, Store_set_fuel,
     "int: instructions that may still run. Setting it replaces the rest. Needs Engine(fuel=True).", NULL},
    {"fuel_used", Store_get_fuel_used, NULL,
     "int: instructions that ran since the store was made, however often fuel was set. Needs Engine(fuel=True).", NULL},
    {"peak_memory", Store_get_peak_memory, NULL,
     "int: bytes of all memories in the store, which never shrink. An engine that does not tell of them all counts those\n"
     "that are exported or made by Python.",
     NULL},
    {"memory_refused", Store_get_memory_refused, NULL,
     "int or None: bytes, at most, that a guest wanted a memory to have and did not get because of the store's limit; 0 if\n"
     "there was no such wish, None where the engine does not tell.",
     NULL},
    {"timeout", Store_get_timeout, Store_set_timeout,
     "float or None: seconds that a call from Python into the store may take; then it raises TimeoutExpired.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef Store_members[] = {
    {"__weaklistoffset__", Py_T_PYSSIZET, offsetof(StoreObject, weakrefs), Py_READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot Store_slots[] = {
    {Py_tp_doc, (void *)Store_doc},   {Py_tp_new, Store_new},
    {Py_tp_traverse, Store_traverse}, {Py_tp_clear, Store_clear},
    {Py_tp_dealloc, Store_dealloc},   {Py_tp_repr, Store_repr},
    {Py_tp_methods, Store_methods},   {Py_tp_getset, Store_getset},
    {Py_tp_members, Store_members},   {0, NULL},
};

PyType_Spec Store_spec = {
    .name = "anywasm.Store",
    .basicsize = sizeof(StoreObject),
    .flags = AW_TYPE_FLAGS | Py_TPFLAGS_HAVE_GC,
    .slots = Store_slots,
};

// SPDX-License-Identifier: Apache-2.0
// An Engine is a WebAssembly engine with its compile settings. Modules and stores are made with one and keep it alive. It is
// immutable and may be used from any thread.
//
// This file is also where engines are looked up by name, chosen when no name is given, and asked whether they are there.

#include "engine.h"

#include <stdlib.h>

#include "cpu.h"
#include "errors.h"
#include "module_type.h"
#include "signals.h"

static EngineObject *engine_cast(PyObject *self)
{
    return (EngineObject *)self;
}

// --- capabilities -------------------------------------------------------------------------------------------

static const struct {
    uint64_t bit;
    const char *name;
} capability_names[] = {
#define X(name, text, what) {AW_CAP(name), text},
    AW_CAPABILITIES(X)
#undef X
};

enum { CAPABILITY_COUNT = sizeof(capability_names) / sizeof(capability_names[0]) };

// The capabilities that are features of modules, which `disable` can name: the first ones, up to bulk memory.
#define FEATURES ((AW_CAP(BULK_MEMORY) << 1) - 1)

static const char *capability_name(uint64_t bit)
{
    for (int i = 0; i < CAPABILITY_COUNT; i++) {
        if (capability_names[i].bit == bit) {
            return capability_names[i].name;
        }
    }
    return "unknown";
}

// The names of the capabilities in *bits*, in the table's order: a new tuple.
static PyObject *capability_tuple(uint64_t bits)
{
    PyObject *names = PyList_New(0);
    for (int i = 0; names != NULL && i < CAPABILITY_COUNT; i++) {
        if ((bits & capability_names[i].bit) != 0) {
            PyObject *name = PyUnicode_InternFromString(capability_names[i].name);
            if (name == NULL || PyList_Append(names, name) < 0) {
                Py_CLEAR(names);
            }
            Py_XDECREF(name);
        }
    }
    PyObject *tuple = names != NULL ? PyList_AsTuple(names) : NULL;
    Py_XDECREF(names);
    return tuple;
}

static PyObject *capability_set(uint64_t bits)
{
    PyObject *tuple = capability_tuple(bits);
    PyObject *set = tuple != NULL ? PyFrozenSet_New(tuple) : NULL;
    Py_XDECREF(tuple);
    return set;
}

// "a, b, c": the items of a tuple or list of str, which it takes over; NULL passes through.
static PyObject *join_names(PyObject *names)
{
    PyObject *separator = PyUnicode_FromString(", ");
    PyObject *text = separator != NULL && names != NULL ? PyUnicode_Join(separator, names) : NULL;
    Py_XDECREF(separator);
    Py_XDECREF(names);
    return text;
}

// --- finding engines ----------------------------------------------------------------------------------------

static const aw_engine_api *api_find(const char *name)
{
    for (size_t i = 0; aw_engines[i] != NULL; i++) {
        if (strcmp(aw_engines[i]->name, name) == 0) {
            return aw_engines[i];
        }
    }
    return NULL;
}

// ValueError for a name that is no engine's. *where* names who gave it.
static void api_raise_unknown(const char *where, PyObject *name)
{
    PyObject *names = PyList_New(0);
    for (size_t i = 0; names != NULL && aw_engines[i] != NULL; i++) {
        PyObject *one = PyUnicode_FromString(aw_engines[i]->name);
        if (one == NULL || PyList_Append(names, one) < 0) {
            Py_CLEAR(names);
        }
        Py_XDECREF(one);
    }
    PyObject *text = join_names(names);
    if (text != NULL) {
        PyErr_Format(PyExc_ValueError, "%s: unknown engine %R: the engines are %U", where, name, text);
        Py_DECREF(text);
    }
}

// What is known of an engine that is here.
typedef struct presence {
    PyObject *library;  // owned bytes or NULL
    const char *version;
    uint64_t capabilities;
} presence;

// Where does the engine's library lie? Python knows: `anywasm._locate.NAME_library()` gives a path or None. 1 and new bytes,
// 0 if it is not installed, -1.
static int library_find(const aw_engine_api *api, PyObject **library)
{
    *library = NULL;
    PyObject *locate = PyImport_ImportModule("anywasm._locate");
    PyObject *function = locate != NULL ? PyUnicode_FromFormat("%s_library", api->name) : NULL;
    PyObject *path = function != NULL ? PyObject_CallMethodNoArgs(locate, function) : NULL;
    Py_XDECREF(locate);
    Py_XDECREF(function);
    if (path == NULL) {
        return -1;
    }
    int found = path == Py_None ? 0 : PyUnicode_FSConverter(path, library) ? 1 : -1;
    Py_DECREF(path);
    return found;
}

// Is the engine here? 1 and what is known of it, 0 and why not (a new str), or -1 when asking failed.
static int engine_probe(const aw_engine_api *api, presence *out, PyObject **reason)
{
    memset(out, 0, sizeof(*out));
    *reason = NULL;
    if (api->needs_library) {
        int found = library_find(api, &out->library);
        if (found == 0) {
            *reason = PyUnicode_FromFormat("engine '%s' is not installed: pip install \"anywasm[%s]\"", api->name,
                                           api->name);
            return *reason != NULL ? 0 : -1;
        }
        if (found < 0) {
            return -1;
        }
    }
    const char *library = out->library != NULL ? PyBytes_AS_STRING(out->library) : NULL;
    aw_error error;
    int status;
    Py_BEGIN_ALLOW_THREADS
        status = api->probe(library, &out->version, &out->capabilities, &error);
    Py_END_ALLOW_THREADS
    if (status == 0) {
        const char *missing = aw_engine_check(api, out->capabilities);
        if (missing == NULL) {
            if (signals_watch_python() == 0) {
                return 1;
            }
            Py_CLEAR(out->library);
            return -1;
        }
        aw_error_set(&error, AW_ERROR_INTERNAL, "engine '%s' claims a capability but has no %s", api->name, missing);
    }
    *reason = PyUnicode_DecodeUTF8(error.message, (Py_ssize_t)strlen(error.message), "replace");
    aw_error_clear(&error);
    Py_CLEAR(out->library);
    return *reason != NULL ? 0 : -1;
}

// As engine_probe, but an engine that is not here is an UnsupportedError: 0 or -1.
static int engine_require(core_state *state, const aw_engine_api *api, presence *out)
{
    PyObject *reason;
    int found = engine_probe(api, out, &reason);
    if (found == 0) {
        PyErr_SetObject(state->UnsupportedError, reason);
        Py_DECREF(reason);
    }
    return found > 0 ? 0 : -1;
}

// The first engine that can be had: borrowed, or NULL with an exception that tells why none can.
static const aw_engine_api *api_choose(core_state *state)
{
    PyObject *reasons = PyUnicode_FromString("");
    for (size_t i = 0; reasons != NULL && state->default_api == NULL && aw_engines[i] != NULL; i++) {
        presence known;
        PyObject *reason;
        int found = engine_probe(aw_engines[i], &known, &reason);
        Py_XDECREF(known.library);
        if (found > 0) {
            state->default_api = aw_engines[i];
        }
        else if (found < 0) {
            Py_CLEAR(reasons);
        }
        else {
            PyObject *more = PyUnicode_FromFormat("%U%s%U", reasons, i > 0 ? "; " : "", reason);
            Py_SETREF(reasons, more);
            Py_DECREF(reason);
        }
    }
    if (reasons != NULL && state->default_api == NULL) {
        PyErr_Format(state->UnsupportedError, "there is no engine: %U", reasons);
    }
    bool failed = reasons == NULL;
    Py_XDECREF(reasons);
    return failed ? NULL : state->default_api;
}

// The engine that is meant where none is named: ANYWASM_ENGINE's, else the first that can be had.
static const aw_engine_api *api_default(core_state *state)
{
    const char *name = getenv("ANYWASM_ENGINE");
    if (name == NULL || name[0] == '\0') {
        return state->default_api != NULL ? state->default_api : api_choose(state);
    }
    const aw_engine_api *api = api_find(name);
    if (api == NULL) {
        PyObject *text = PyUnicode_DecodeFSDefault(name);
        if (text != NULL) {
            api_raise_unknown("the environment variable ANYWASM_ENGINE", text);
            Py_DECREF(text);
        }
    }
    return api;
}

PyObject *engine_raise_unsupported(core_state *state, const aw_engine_api *api, uint64_t capability, const char *what)
{
    PyObject *others = PyUnicode_FromString(""), *absent = PyUnicode_FromString("");
    bool itself = false;
    for (size_t i = 0; others != NULL && absent != NULL && aw_engines[i] != NULL; i++) {
        presence known;
        PyObject *reason;
        int found = engine_probe(aw_engines[i], &known, &reason);
        Py_XDECREF(known.library);
        if (found < 0) {
            Py_CLEAR(others);
        }
        else if (found == 0) {
            Py_SETREF(absent, PyUnicode_FromFormat("%U; %U", absent, reason));
            Py_DECREF(reason);
        }
        else if ((known.capabilities & capability) != 0) {
            itself = itself || aw_engines[i] == api;
            Py_SETREF(others, PyUnicode_FromFormat("%U%s%s", others, PyUnicode_GET_LENGTH(others) > 0 ? ", " : "",
                                                   aw_engines[i]->name));
        }
    }
    if (others != NULL && absent != NULL) {
        const char *colon = what != NULL ? ": " : "", *name = capability_name(capability);
        what = what != NULL ? what : "";
        if (itself) {
            PyErr_Format(state->UnsupportedError, "%s%sthis %s engine was made without '%s'%s", what, colon, api->name,
                         name,
                         capability == AW_CAP(FUEL)        ? ": make it with fuel=True"
                         : capability == AW_CAP(INTERRUPT) ? ": make it with interruptible=True"
                                                           : "");
        }
        else if (PyUnicode_GET_LENGTH(others) > 0) {
            PyErr_Format(state->UnsupportedError, "%s%sengine '%s' lacks '%s', which is in %U", what, colon, api->name,
                         name, others);
        }
        else {
            PyErr_Format(state->UnsupportedError, "%s%sengine '%s' lacks '%s', and no engine that is here has it%U",
                         what, colon, api->name, name, absent);
        }
    }
    Py_XDECREF(others);
    Py_XDECREF(absent);
    return NULL;
}

PyObject *engine_raise(EngineObject *self, aw_error *error, PyObject *origin)
{
    core_state *state = state_of((PyObject *)self);
    PyObject *text = origin != NULL ? PyUnicode_AsEncodedString(origin, "utf-8", "backslashreplace") : NULL;
    if (origin != NULL && text == NULL) {
        PyErr_Clear();
    }
    if (text != NULL) {
        char message[AW_MESSAGE_SIZE];
        memcpy(message, error->message, sizeof(message));
        aw_errorkind kind = error->kind;
        uint64_t capability = error->capability;
        aw_error_clear(error);
        aw_error_set(error, kind, "%.300s: %s", PyBytes_AS_STRING(text), message);
        error->capability = capability;
        Py_DECREF(text);
    }
    if (error->kind == AW_ERROR_UNSUPPORTED && error->capability != 0) {
        engine_raise_unsupported(state, self->api, error->capability, error->message);
        aw_error_clear(error);
        return NULL;
    }
    return error_raise(state, NULL, error);
}

// --- settings -----------------------------------------------------------------------------------------------

static const char *const optimize_names[] = {NULL, "none", "speed", "speed_and_size"};

static int optimize_convert(PyObject *object, uint8_t *out)
{
    *out = 0;
    if (object == Py_None) {
        return 0;
    }
    if (!PyUnicode_Check(object)) {
        PyErr_Format(PyExc_TypeError, "Engine(): optimize: expected a str or None, got %.200s",
                     Py_TYPE(object)->tp_name);
        return -1;
    }
    for (uint8_t i = 1; i < sizeof(optimize_names) / sizeof(optimize_names[0]); i++) {
        if (PyUnicode_CompareWithASCIIString(object, optimize_names[i]) == 0) {
            *out = i;
            return 0;
        }
    }
    PyErr_Format(PyExc_ValueError, "Engine(): optimize: expected 'none', 'speed' or 'speed_and_size', got %R", object);
    return -1;
}

// A setting that is a number of *what* from 1 to *most*, or None for 0: 0 or -1.
static int number_convert(PyObject *object, const char *name, const char *what, Py_ssize_t most, Py_ssize_t *out)
{
    *out = 0;
    if (object == Py_None) {
        return 0;
    }
    if (!PyIndex_Check(object)) {
        PyErr_Format(PyExc_TypeError, "Engine(): %s: expected a number of %s or None, got %.200s", name, what,
                     Py_TYPE(object)->tp_name);
        return -1;
    }
    *out = PyNumber_AsSsize_t(object, NULL);
    if (*out == -1 && PyErr_Occurred()) {
        return -1;
    }
    if (*out <= 0 || *out > most) {
        PyErr_Format(PyExc_ValueError, "Engine(): %s: expected a number of %s from 1 to %zd", name, what, most);
        return -1;
    }
    return 0;
}

// One name in `disable`: its bit, or 0 with an exception.
static uint64_t feature_convert(PyObject *name)
{
    if (!PyUnicode_Check(name)) {
        PyErr_Format(PyExc_TypeError, "Engine(): disable: expected names of capabilities, got %.200s",
                     Py_TYPE(name)->tp_name);
        return 0;
    }
    for (int i = 0; i < CAPABILITY_COUNT; i++) {
        if (PyUnicode_CompareWithASCIIString(name, capability_names[i].name) == 0 &&
            (capability_names[i].bit & FEATURES) != 0) {
            return capability_names[i].bit;
        }
    }
    PyObject *names = join_names(capability_tuple(FEATURES));
    if (names != NULL) {
        PyErr_Format(PyExc_ValueError, "Engine(): disable: %R is no feature of modules; those are %U", name, names);
        Py_DECREF(names);
    }
    return 0;
}

static int disable_convert(PyObject *object, uint64_t *out)
{
    *out = 0;
    if (object == NULL) {
        return 0;
    }
    if (PyUnicode_Check(object)) {
        PyErr_Format(PyExc_TypeError, "Engine(): disable: expected a list of names, got a str: write [%R]", object);
        return -1;
    }
    PyObject *names = PySequence_Tuple(object);
    if (names == NULL) {
        if (PyErr_ExceptionMatches(PyExc_TypeError)) {
            PyErr_Format(PyExc_TypeError, "Engine(): disable: expected a list of names, got %.200s",
                         Py_TYPE(object)->tp_name);
        }
        return -1;
    }
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(names); i++) {
        uint64_t bit = feature_convert(PyTuple_GET_ITEM(names, i));
        if (bit == 0) {
            Py_DECREF(names);
            return -1;
        }
        *out |= bit;
    }
    Py_DECREF(names);
    return 0;
}

// The arguments of Engine(): 0 or -1.
static int settings_convert(core_state *state, PyObject *args, PyObject *keywords, const aw_engine_api **api,
                            aw_config *config)
{
    static char *names[] = {"name",
                            "fuel",
                            "interruptible",
                            "debug_info",
                            "optimize",
                            "parallel_compilation",
                            "nan_canonicalization",
                            "max_wasm_stack",
                            "pooling",
                            "cache",
                            "disable",
                            NULL};
    PyObject *name = Py_None, *optimize = Py_None, *max_wasm_stack = Py_None, *pooling = Py_None, *disable = NULL;
    Py_ssize_t stack_bytes, instances;
    int fuel = 0, interruptible = 0, debug_info = 0, parallel_compilation = 1, nan_canonicalization = 0, cache = 1;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "|O$pppOppOOpO:Engine", names, &name, &fuel, &interruptible,
                                     &debug_info, &optimize, &parallel_compilation, &nan_canonicalization,
                                     &max_wasm_stack, &pooling, &cache, &disable)) {
        return -1;
    }
    memset(config, 0, sizeof(*config));
    config->fuel = fuel;
    config->interruptible = interruptible;
    config->debug_info = debug_info;
    config->parallel_compilation = parallel_compilation ? 0 : 1;
    config->nan_canonicalization = nan_canonicalization;
    config->uncached = !cache;
    if (optimize_convert(optimize, &config->optimize) < 0 ||
        number_convert(max_wasm_stack, "max_wasm_stack", "bytes", PY_SSIZE_T_MAX - 1, &stack_bytes) < 0 ||
        number_convert(pooling, "pooling", "instances", INT32_MAX, &instances) < 0 ||
        disable_convert(disable, &config->disabled) < 0) {
        return -1;
    }
    config->max_wasm_stack = (size_t)stack_bytes;
    config->pooling = (uint32_t)instances;
    if (name == Py_None) {
        *api = api_default(state);
        return *api != NULL ? 0 : -1;
    }
    if (!PyUnicode_Check(name)) {
        PyErr_Format(PyExc_TypeError, "Engine(): name: expected a str or None, got %.200s", Py_TYPE(name)->tp_name);
        return -1;
    }
    Py_ssize_t length;
    const char *text = PyUnicode_AsUTF8AndSize(name, &length);  // NULL for lone surrogates
    *api = text != NULL && strlen(text) == (size_t)length ? api_find(text) : NULL;
    if (*api == NULL) {
        PyErr_Clear();
        api_raise_unknown("Engine()", name);
        return -1;
    }
    return 0;
}

// The keyword arguments that make these settings: a new dict.
static PyObject *settings_dict(const aw_config *config)
{
    PyObject *disable = capability_tuple(config->disabled);
    PyObject *stack = config->max_wasm_stack > 0 ? PyLong_FromSize_t(config->max_wasm_stack) : Py_NewRef(Py_None);
    PyObject *pooling = config->pooling > 0 ? PyLong_FromUnsignedLong(config->pooling) : Py_NewRef(Py_None);
    if (disable == NULL || stack == NULL || pooling == NULL) {
        Py_XDECREF(disable);
        Py_XDECREF(stack);
        Py_XDECREF(pooling);
        return NULL;
    }
    return Py_BuildValue("{s:O,s:O,s:O,s:z,s:O,s:O,s:N,s:N,s:O,s:N}",                                     //
                         "fuel", config->fuel ? Py_True : Py_False,                                       //
                         "interruptible", config->interruptible ? Py_True : Py_False,                     //
                         "debug_info", config->debug_info ? Py_True : Py_False,                           //
                         "optimize", optimize_names[config->optimize],                                    //
                         "parallel_compilation", config->parallel_compilation == 1 ? Py_False : Py_True,  //
                         "nan_canonicalization", config->nan_canonicalization ? Py_True : Py_False,       //
                         "max_wasm_stack", stack,                                                         //
                         "pooling", pooling,                                                              //
                         "cache", config->uncached ? Py_False : Py_True,                                  //
                         "disable", disable);
}

// "Engine('wamr', fuel=True)": what differs from the default. Settings that are equal have equal texts.
static PyObject *settings_text(const aw_engine_api *api, const aw_config *config)
{
    PyObject *text = PyUnicode_FromFormat(
        "Engine('%s'%s%s%s%s%s%s%s%s", api->name, config->fuel ? ", fuel=True" : "",
        config->interruptible ? ", interruptible=True" : "", config->debug_info ? ", debug_info=True" : "",
        config->optimize != 0 ? ", optimize='" : "", config->optimize != 0 ? optimize_names[config->optimize] : "",
        config->optimize != 0 ? "'" : "", config->parallel_compilation == 1 ? ", parallel_compilation=False" : "",
        config->nan_canonicalization ? ", nan_canonicalization=True" : "");
    if (text != NULL && config->max_wasm_stack > 0) {
        Py_SETREF(text, PyUnicode_FromFormat("%U, max_wasm_stack=%zu", text, config->max_wasm_stack));
    }
    if (text != NULL && config->pooling > 0) {
        Py_SETREF(text, PyUnicode_FromFormat("%U, pooling=%u", text, (unsigned)config->pooling));
    }
    if (text != NULL && config->uncached) {
        Py_SETREF(text, PyUnicode_FromFormat("%U, cache=False", text));
    }
    if (text != NULL && config->disabled != 0) {
        PyObject *names = capability_tuple(config->disabled);
        PyObject *list = names != NULL ? PySequence_List(names) : NULL;
        Py_SETREF(text, list != NULL ? PyUnicode_FromFormat("%U, disable=%R", text, list) : NULL);
        Py_XDECREF(names);
        Py_XDECREF(list);
    }
    if (text != NULL) {
        Py_SETREF(text, PyUnicode_FromFormat("%U)", text));
    }
    return text;
}

// The settings without those that make no difference to the code.
static aw_config code_config(const EngineObject *self)
{
    aw_config config = self->config;
    config.parallel_compilation = 0;
    config.max_wasm_stack = 0;
    config.pooling = 0;
    config.uncached = false;
    return config;
}

PyObject *engine_code_settings(EngineObject *self)
{
    aw_config config = code_config(self);
    config.optimize = 0;  // the code differs, but runs with any
    return settings_text(self->api, &config);
}

PyObject *engine_code_identity(EngineObject *self)
{
    aw_config config = code_config(self);
    PyObject *settings = settings_text(self->api, &config);
    char features[CPU_FEATURES_SIZE];
    cpu_features(features);
    PyObject *text = settings != NULL ? PyUnicode_FromFormat("%s %s (%s) on %s: %U", self->api->name, self->version,
                                                             self->api->build(), features, settings)
                                      : NULL;
    Py_XDECREF(settings);
    return text;
}

// --- birth and death ------------------------------------------------------------------------------------------

static PyObject *engine_make(core_state *state, const aw_engine_api *api, const aw_config *config)
{
    presence known;
    if (engine_require(state, api, &known) < 0) {
        return NULL;
    }
    const struct {
        bool wanted;
        uint64_t capability;
        const char *setting;
    } settings[] = {
        {config->fuel, AW_CAP(FUEL), "Engine(): fuel=True"},
        {config->interruptible, AW_CAP(INTERRUPT), "Engine(): interruptible=True"},
        {config->pooling > 0, AW_CAP(POOLING), "Engine(): pooling"},
    };
    for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
        if (settings[i].wanted && (known.capabilities & settings[i].capability) == 0) {
            Py_XDECREF(known.library);
            return engine_raise_unsupported(state, api, settings[i].capability, settings[i].setting);
        }
    }
    EngineObject *self = engine_cast(state->Engine->tp_alloc(state->Engine, 0));
    if (self == NULL) {
        Py_XDECREF(known.library);
        return NULL;
    }
    self->api = api;
    self->config = *config;
    self->version = known.version;
    self->library = known.library;
    const char *library = known.library != NULL ? PyBytes_AS_STRING(known.library) : NULL;
    aw_error error;
    Py_BEGIN_ALLOW_THREADS
        self->handle = api->engine_new(config, library, &error);
    Py_END_ALLOW_THREADS
    if (self->handle == NULL) {
        engine_raise(self, &error, NULL);
        Py_DECREF(self);
        return NULL;
    }
    self->capabilities = api->engine_capabilities(self->handle) & ~config->disabled;
    return (PyObject *)self;
}

// The engine of these settings that the process shares: what calls without an engine and unpickled modules use, so that their
// objects fit each other. New reference.
static PyObject *engine_shared(core_state *state, const aw_engine_api *api, const aw_config *config)
{
    PyObject *key = settings_text(api, config);
    if (key == NULL) {
        return NULL;
    }
    PyObject *engine = Py_XNewRef(PyDict_GetItemWithError(state->default_engines, key));
    if (engine == NULL && !PyErr_Occurred()) {
        PyObject *made = engine_make(state, api, config);
        // Another thread may have made one meanwhile: then that is it.
        engine = made != NULL ? Py_XNewRef(PyDict_SetDefault(state->default_engines, key, made)) : NULL;
        Py_XDECREF(made);
    }
    Py_DECREF(key);
    return engine;
}

EngineObject *engine_default(core_state *state)
{
    const aw_engine_api *api = api_default(state);
    return api == NULL ? NULL : (EngineObject *)engine_shared(state, api, &(aw_config){0});
}

int engine_convert(core_state *state, PyObject *object, EngineObject **out)
{
    if (object == Py_None) {
        *out = engine_default(state);
        return *out != NULL ? 0 : -1;
    }
    if (Py_TYPE(object) != state->Engine) {
        PyErr_Format(PyExc_TypeError, "engine: expected an Engine or None, got %.200s%s", Py_TYPE(object)->tp_name,
                     PyUnicode_Check(object) ? ": write Engine(name)" : "");
        *out = NULL;
        return -1;
    }
    *out = (EngineObject *)Py_NewRef(object);
    return 0;
}

PyDoc_STRVAR(
    Engine_doc,
    "Engine(name=None, *, fuel=False, interruptible=False, debug_info=False, optimize=None, "
    "parallel_compilation=True, nan_canonicalization=False, max_wasm_stack=None, pooling=None, "
    "cache=True, disable=())\n--\n\n"
    "A WebAssembly engine with its compile settings. Threads may share it.\n\n"
    "name: str, one of those that anywasm.engines() lists; None takes the environment variable ANYWASM_ENGINE, else\n"
    "  the first that is here.\n"
    "fuel: bool, stores count a budget of instructions.\n"
    "interruptible: bool, running code can be stopped: Ctrl-C, Store.interrupt() and timeouts work. Costs speed.\n"
    "debug_info: bool, keep what debuggers and profilers need.\n"
    "optimize: 'none', 'speed' or 'speed_and_size'; None is the engine's default.\n"
    "parallel_compilation: bool, compile a module on all processors.\n"
    "nan_canonicalization: bool, every NaN that arithmetic makes has the same bits.\n"
    "max_wasm_stack: int, bytes of stack for Wasm code; None is the engine's default.\n"
    "pooling: int, make room for so many instances ahead, so that making one costs the system nothing: for many that\n"
    "  live shortly. There are never more at a time (LimitError); each has one memory and four tables at most. None makes\n"
    "  room for each as it comes.\n"
    "cache: bool, keep the compiled code of big modules on disk, where ANYWASM_CACHE is not 0.\n"
    "disable: names of features that modules must not use, such as 'simd'; what builds on one goes with it.\n\n"
    "Raises ValueError for an unknown name, and UnsupportedError for an engine that is not installed or a setting\n"
    "that it lacks. Modules and stores made with the same Engine object fit each other.");

static PyObject *Engine_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    core_state *state = (core_state *)PyType_GetModuleState(type);
    const aw_engine_api *api;
    aw_config config;
    if (settings_convert(state, args, keywords, &api, &config) < 0) {
        return NULL;
    }
    return engine_make(state, api, &config);
}

static int Engine_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    return 0;
}

static void Engine_dealloc(PyObject *object)
{
    EngineObject *self = engine_cast(object);
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    if (self->weakrefs != NULL) {
        PyObject_ClearWeakRefs(object);
    }
    if (self->handle != NULL) {
        self->api->engine_delete(self->handle);
    }
    Py_CLEAR(self->library);
    type->tp_free(object);
    Py_DECREF(type);
}

// --- properties -----------------------------------------------------------------------------------------------

static PyObject *Engine_get_name(PyObject *self, void *Py_UNUSED(closure))
{
    return PyUnicode_FromString(engine_cast(self)->api->name);
}

static PyObject *Engine_get_version(PyObject *self, void *Py_UNUSED(closure))
{
    return PyUnicode_FromString(engine_cast(self)->version);
}

static PyObject *Engine_get_capabilities(PyObject *self, void *Py_UNUSED(closure))
{
    return capability_set(engine_cast(self)->capabilities);
}

static PyObject *Engine_get_config(PyObject *self, void *Py_UNUSED(closure))
{
    return settings_dict(&engine_cast(self)->config);
}

static PyObject *Engine_get_code_identity(PyObject *self, void *Py_UNUSED(closure))
{
    return engine_caches(engine_cast(self)) ? engine_code_identity(engine_cast(self)) : Py_NewRef(Py_None);
}

static PyObject *Engine_repr(PyObject *self)
{
    return settings_text(engine_cast(self)->api, &engine_cast(self)->config);
}

PyDoc_STRVAR(Engine_reduce_doc,
             "__reduce__($self, /)\n--\n\n"
             "Pickle the name and the settings. Unpickling gives one Engine for all pickles of the same settings.");

static PyObject *Engine_reduce(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    PyObject *core = PyImport_ImportModule("anywasm._core");
    PyObject *function = core != NULL ? PyObject_GetAttrString(core, "_shared_engine") : NULL;
    Py_XDECREF(core);
    PyObject *config = function != NULL ? settings_dict(&engine_cast(self)->config) : NULL;
    if (config == NULL) {
        Py_XDECREF(function);
        return NULL;
    }
    return Py_BuildValue("N(sN)", function, engine_cast(self)->api->name, config);
}

PyDoc_STRVAR(Engine_copy_doc, "__copy__($self, /)\n--\n\nReturn the engine itself: it is immutable.");
PyDoc_STRVAR(Engine_deepcopy_doc, "__deepcopy__($self, memo, /)\n--\n\nReturn the engine itself: it is immutable.");

static PyObject *Engine_copy(PyObject *self, PyObject *Py_UNUSED(memo))
{
    return Py_NewRef(self);
}

// --- functions of the module ------------------------------------------------------------------------------------

PyDoc_STRVAR(shared_engine_doc,
             "_shared_engine($module, name, config, /)\n--\n\n"
             "Return the Engine of these settings that the process shares: what unpickling an Engine calls.");

static PyObject *Core_shared_engine(PyObject *module, PyObject *args)
{
    core_state *state = (core_state *)PyModule_GetState(module);
    PyObject *name, *keywords;
    if (!PyArg_ParseTuple(args, "OO!:_shared_engine", &name, &PyDict_Type, &keywords)) {
        return NULL;
    }
    const aw_engine_api *api;
    aw_config config;
    PyObject *positional = PyTuple_Pack(1, name);
    int status = positional != NULL ? settings_convert(state, positional, keywords, &api, &config) : -1;
    Py_XDECREF(positional);
    return status < 0 ? NULL : engine_shared(state, api, &config);
}

PyDoc_STRVAR(
    engine_list_doc,
    "engine_list($module, /)\n--\n\n"
    "Return (name, version, capabilities, reason) of every engine that is built in; reason tells why one is not\n"
    "available, and is None for one that is.");

static PyObject *Core_engine_list(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(ignored))
{
    PyObject *list = PyList_New(0);
    for (size_t i = 0; list != NULL && aw_engines[i] != NULL; i++) {
        presence known;
        PyObject *reason;
        int found = engine_probe(aw_engines[i], &known, &reason);
        Py_XDECREF(known.library);
        PyObject *capabilities = found >= 0 ? capability_set(found > 0 ? known.capabilities : 0) : NULL;
        PyObject *item = capabilities == NULL
                             ? NULL
                             : Py_BuildValue("(szNN)", aw_engines[i]->name, found > 0 ? known.version : NULL,
                                             capabilities, found > 0 ? Py_NewRef(Py_None) : reason);
        if (capabilities == NULL) {
            Py_XDECREF(reason);
        }
        if (item == NULL || PyList_Append(list, item) < 0) {
            Py_CLEAR(list);
        }
        Py_XDECREF(item);
    }
    return list;
}

PyObject *engine_wat2wasm(EngineObject *self, const char *text, Py_ssize_t length, PyObject *origin)
{
    core_state *state = state_of((PyObject *)self);
    const aw_engine_api *api = self->api;
    presence known = {.library = Py_XNewRef(self->library), .capabilities = self->capabilities};
    // Text is the same for every engine, so the first that reads it will do.
    for (size_t i = 0; (known.capabilities & AW_CAP(WAT)) == 0; i++) {
        api = aw_engines[i];
        Py_CLEAR(known.library);
        if (api == NULL) {
            return engine_raise_unsupported(state, self->api, AW_CAP(WAT), "the module is in the text format");
        }
        PyObject *reason;
        if (engine_probe(api, &known, &reason) < 0) {
            return NULL;
        }
        Py_XDECREF(reason);
    }
    if (length >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0) {  // a byte order mark, which no parser of engines takes
        text += 3;
        length -= 3;
    }
    const char *library = known.library != NULL ? PyBytes_AS_STRING(known.library) : NULL;
    aw_error error;
    uint8_t *bytes;
    size_t size;
    int status;
    Py_BEGIN_ALLOW_THREADS
        status = api->wat2wasm(library, text, (size_t)length, &bytes, &size, &error);
    Py_END_ALLOW_THREADS
    Py_XDECREF(known.library);
    if (status < 0) {
        return engine_raise(self, &error, origin);
    }
    PyObject *binary = PyBytes_FromStringAndSize((const char *)bytes, (Py_ssize_t)size);
    free(bytes);
    return binary;
}

PyDoc_STRVAR(
    wat2wasm_doc,
    "wat2wasm($module, text, engine=None)\n--\n\n"
    "Return the binary form of a module in the text format.\n\n"
    "text: str, or UTF-8 as a bytes-like object.\n"
    "engine: Engine whose parser to use; None, or one that reads no text, takes any that does.\n\n"
    "Raises CompileError with line and column for text that is malformed, UnsupportedError when no engine that is here\n"
    "reads text. The result may still be invalid: Module.validate() tells.");

static PyObject *Core_wat2wasm(PyObject *module, PyObject *args, PyObject *keywords)
{
    static char *names[] = {"text", "engine", NULL};
    core_state *state = (core_state *)PyModule_GetState(module);
    PyObject *text, *object = Py_None, *binary = NULL;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "O|O:wat2wasm", names, &text, &object)) {
        return NULL;
    }
    if (!PyUnicode_Check(text) && !PyObject_CheckBuffer(text)) {
        return PyErr_Format(PyExc_TypeError, "wat2wasm(): text: expected a str or a bytes-like object, got %.200s",
                            Py_TYPE(text)->tp_name);
    }
    EngineObject *engine;
    if (engine_convert(state, object, &engine) < 0) {
        return NULL;
    }
    PyObject *bytes = PyUnicode_Check(text) ? PyUnicode_AsUTF8String(text) : PyBytes_FromObject(text);
    if (bytes != NULL) {
        binary = engine_wat2wasm(engine, PyBytes_AS_STRING(bytes), PyBytes_GET_SIZE(bytes), NULL);
        Py_DECREF(bytes);
    }
    Py_DECREF(engine);
    return binary;
}

// --- tables -----------------------------------------------------------------------------------------------------

PyMethodDef engine_functions[] = {
    {"engine_list", Core_engine_list, METH_NOARGS, engine_list_doc},
    {"wat2wasm", (PyCFunction)(void (*)(void))Core_wat2wasm, METH_VARARGS | METH_KEYWORDS, wat2wasm_doc},
    {"_shared_engine", Core_shared_engine, METH_VARARGS, shared_engine_doc},
    {NULL, NULL, 0, NULL},
};

static PyMethodDef Engine_methods[] = {
    {"__reduce__", Engine_reduce, METH_NOARGS, Engine_reduce_doc},
    {"__copy__", Engine_copy, METH_NOARGS, Engine_copy_doc},
    {"__deepcopy__", Engine_copy, METH_O, Engine_deepcopy_doc},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef Engine_getset[] = {
    {"name", Engine_get_name, NULL, "str: the engine's name.", NULL},
    {"version", Engine_get_version, NULL, "str: the engine's own version.", NULL},
    {"capabilities", Engine_get_capabilities, NULL, "frozenset of str: what it can do with these settings.", NULL},
    {"config", Engine_get_config, NULL, "dict: the settings, as the constructor's keyword arguments.", NULL},
    {"_code_identity", Engine_get_code_identity, NULL,
     "str: what compiled code that this engine may load was made by; None where no code is kept.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef Engine_members[] = {
    {"__weaklistoffset__", Py_T_PYSSIZET, offsetof(EngineObject, weakrefs), Py_READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot Engine_slots[] = {
    {Py_tp_doc, (void *)Engine_doc}, {Py_tp_new, Engine_new},         {Py_tp_traverse, Engine_traverse},
    {Py_tp_dealloc, Engine_dealloc}, {Py_tp_repr, Engine_repr},       {Py_tp_methods, Engine_methods},
    {Py_tp_getset, Engine_getset},   {Py_tp_members, Engine_members}, {0, NULL},
};

PyType_Spec Engine_spec = {
    .name = "anywasm.Engine",
    .basicsize = sizeof(EngineObject),
    .flags = AW_TYPE_FLAGS | Py_TPFLAGS_HAVE_GC,
    .slots = Engine_slots,
};

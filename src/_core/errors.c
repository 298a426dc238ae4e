// SPDX-License-Identifier: Apache-2.0
// The exception classes, and the one place that turns an engine's error into an exception.
//
// A trap's frames become traceback entries, too: each Wasm function gets an empty code object with its name, so that the
// traceback that Python prints shows the Wasm functions between the Python ones.

#include "errors.h"

#include <frameobject.h>

#include "externs.h"
#include "module_type.h"
#include "value.h"
#include "wasi_type.h"

// --- classes ----------------------------------------------------------------------------------------

PyDoc_STRVAR(WasmError_doc, "Base of every error that anywasm defines.");
PyDoc_STRVAR(CompileError_doc, "The module is malformed or invalid, or its text cannot be parsed.");
PyDoc_STRVAR(LinkError_doc, "Imports are missing or do not fit. The message names every one of them.");
PyDoc_STRVAR(Trap_doc, "Execution stopped by a trap (specification, section 4.4).\n\n"
                       "code: str, the specification's words for what happened, such as 'integer divide by zero'.\n"
                       "frames: tuple of Frame, the innermost first.\n\n"
                       "Guests are not made for going on after a trap: their own data may be half changed.");
PyDoc_STRVAR(LibraryError_doc,
             "A C library cannot do what is asked of it: it stopped in the middle of its work before, and has\n"
             "to be reset, or it lacks what is needed (malloc and free, its table of functions).");
PyDoc_STRVAR(Exit_doc, "The program ended itself through WASI's proc_exit.\n\n"
                       "code, returncode: int, its exit status.\n"
                       "stdout, stderr: what it wrote, where anywasm.run captured that, else None.");
PyDoc_STRVAR(LimitError_doc,
             "A limit was met. The classes below this one tell which.\n\n"
             "used: how much was used, or would have been with what was asked for; None if unknown.\n"
             "allowed: the limit, in the same unit; None if unknown.\n"
             "stdout, stderr: what the program wrote until then, where anywasm.run captured that, else None.");
PyDoc_STRVAR(FuelLimitError_doc, "The fuel is used up. used and allowed are units of work, as the engine counts them.");
PyDoc_STRVAR(TimeoutExpired_doc, "The time is up. used and allowed are seconds.\n\n"
                                 "timeout is the same as allowed and output the same as stdout, as in subprocess.");
PyDoc_STRVAR(MemoryLimitError_doc, "A memory was to become larger than allowed. used and allowed are bytes.");
PyDoc_STRVAR(TableLimitError_doc, "A table was to become larger than allowed. used and allowed are elements.");
PyDoc_STRVAR(InstanceLimitError_doc, "There were to be more instances than allowed. used and allowed are how many.");
PyDoc_STRVAR(StackLimitError_doc,
             "Calls were nested too deeply: 'call stack exhausted', which is a trap, too.\n\n"
             "used and allowed are bytes of stack; None if it was the thread's own that came to its end.");
PyDoc_STRVAR(OutputLimitError_doc, "The program wrote more than allowed. used and allowed are bytes.");
PyDoc_STRVAR(UnsupportedError_doc, "The engine lacks what was asked for; the message names one that has it.");
PyDoc_STRVAR(
    WasmException_doc,
    "WasmException(tag, *payload)\n--\n\n"
    "A WebAssembly exception that no Wasm function caught. Raised in a host function, it is thrown into the Wasm\n"
    "code that called it.\n\n"
    "tag: Tag, what was thrown.\n"
    "payload: tuple of the values that it carries.");

static PyObject *WasmException_get_tag(PyObject *self, void *Py_UNUSED(closure))
{
    PyObject *args = PyObject_GetAttrString(self, "args");
    if (args == NULL) {
        return NULL;
    }
    PyObject *tag = PyTuple_Check(args) && PyTuple_GET_SIZE(args) > 0 ? PyTuple_GET_ITEM(args, 0) : Py_None;
    Py_INCREF(tag);
    Py_DECREF(args);
    return tag;
}

static PyObject *WasmException_get_payload(PyObject *self, void *Py_UNUSED(closure))
{
    PyObject *args = PyObject_GetAttrString(self, "args");
    if (args == NULL) {
        return NULL;
    }
    PyObject *payload = PyTuple_Check(args) ? PyTuple_GetSlice(args, 1, PyTuple_GET_SIZE(args)) : PyTuple_New(0);
    Py_DECREF(args);
    return payload;
}

static PyObject *WasmException_str(PyObject *self)
{
    PyObject *payload = WasmException_get_payload(self, NULL);
    if (payload == NULL) {
        return NULL;
    }
    PyObject *text = PyUnicode_FromFormat("uncaught Wasm exception with payload %R", payload);
    Py_DECREF(payload);
    return text;
}

static int WasmException_init(PyObject *self, PyObject *args, PyObject *keywords)
{
    // A class that users may derive from does not lead to the module's state on every version, so a Tag is known by what it shares
    // with the other externs, which are final.
    PyObject *tag = PyTuple_GET_SIZE(args) > 0 ? PyTuple_GET_ITEM(args, 0) : Py_None;
    if (Py_TYPE(tag)->tp_hash != Extern_hash || ((ExternObject *)tag)->item.kind != AW_EXTERN_TAG) {
        PyErr_SetString(PyExc_TypeError, "WasmException(): parameter 1 (tag): expected a Tag");
        return -1;
    }
    PyTypeObject *base = Py_TYPE(self);
    while (base->tp_init == (initproc)WasmException_init) {
        base = base->tp_base;
    }
    return base->tp_init(self, args, keywords);
}

static PyGetSetDef WasmException_getset[] = {
    {"tag", WasmException_get_tag, NULL, "Tag: what was thrown.", NULL},
    {"payload", WasmException_get_payload, NULL, "tuple: the values that the exception carries.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot WasmException_slots[] = {
    {Py_tp_doc, (void *)WasmException_doc},
    {Py_tp_init, WasmException_init},
    {Py_tp_str, WasmException_str},
    {Py_tp_getset, WasmException_getset},
    {0, NULL},
};

static PyType_Spec WasmException_spec = {
    .name = "anywasm.WasmException",
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .slots = WasmException_slots,
};

// Another name for an attribute, whose own name is the closure.
static PyObject *error_get_alias(PyObject *self, void *closure)
{
    return PyObject_GetAttrString(self, (const char *)closure);
}

static PyGetSetDef Exit_aliases[] = {
    {"returncode", error_get_alias, NULL, "int: the exit status.", "code"},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyGetSetDef TimeoutExpired_aliases[] = {
    {"timeout", error_get_alias, NULL, "float: seconds that were allowed.", "allowed"},
    {"output", error_get_alias, NULL, "bytes, str or None: stdout.", "stdout"},
    {NULL, NULL, NULL, NULL, NULL},
};

typedef struct {
    size_t slot;  // offset in core_state
    const char *name;
    const char *doc;
    size_t bases[2];            // slots; 0 is none
    const char *attributes[4];  // None until somebody sets them
    PyGetSetDef *aliases;
} error_class;

#define ERROR_SLOT(name) offsetof(core_state, name)
#define ERROR_CLASS(name_, ...) {.slot = ERROR_SLOT(name_), .name = "anywasm." #name_, .doc = name_##_doc, __VA_ARGS__}
#define BASE(name) .bases = {ERROR_SLOT(name)}

static const error_class error_classes[] = {
    ERROR_CLASS(CompileError, BASE(WasmError)),
    ERROR_CLASS(LinkError, BASE(WasmError)),
    ERROR_CLASS(Trap, BASE(WasmError), .attributes = {"stdout", "stderr"}),
    ERROR_CLASS(Exit, BASE(WasmError), .attributes = {"stdout", "stderr"}, .aliases = Exit_aliases),
    ERROR_CLASS(LimitError, BASE(WasmError), .attributes = {"used", "allowed", "stdout", "stderr"}),
    ERROR_CLASS(FuelLimitError, BASE(LimitError)),
    ERROR_CLASS(TimeoutExpired, BASE(LimitError), .aliases = TimeoutExpired_aliases),
    ERROR_CLASS(MemoryLimitError, BASE(LimitError)),
    ERROR_CLASS(TableLimitError, BASE(LimitError)),
    ERROR_CLASS(InstanceLimitError, BASE(LimitError)),
    ERROR_CLASS(StackLimitError, .bases = {ERROR_SLOT(LimitError), ERROR_SLOT(Trap)}),
    ERROR_CLASS(OutputLimitError, BASE(LimitError)),
    ERROR_CLASS(UnsupportedError, BASE(WasmError)),
    {.slot = ERROR_SLOT(LibraryError), .name = "anywasm.clib.LibraryError", .doc = LibraryError_doc, BASE(WasmError)},
};

static PyObject **error_slot(core_state *state, size_t slot)
{
    return (PyObject **)((char *)state + slot);
}

// The class of a row, whose bases are there: new reference.
static PyObject *error_class_new(core_state *state, const error_class *row)
{
    PyObject *bases = row->bases[1] == 0
                          ? PyTuple_Pack(1, *error_slot(state, row->bases[0]))
                          : PyTuple_Pack(2, *error_slot(state, row->bases[0]), *error_slot(state, row->bases[1]));
    PyObject *attributes = PyDict_New(), *class = NULL;
    bool complete = bases != NULL && attributes != NULL;
    for (size_t i = 0; complete && i < 4 && row->attributes[i] != NULL; i++) {
        complete = PyDict_SetItemString(attributes, row->attributes[i], Py_None) == 0;
    }
    if (complete) {
        class = PyErr_NewExceptionWithDoc(row->name, row->doc, bases, attributes);
    }
    for (PyGetSetDef *alias = row->aliases; class != NULL && alias != NULL && alias->name != NULL; alias++) {
        PyObject *descriptor = PyDescr_NewGetSet((PyTypeObject *)class, alias);
        if (descriptor == NULL || PyObject_SetAttrString(class, alias->name, descriptor) < 0) {
            Py_CLEAR(class);
        }
        Py_XDECREF(descriptor);
    }
    Py_XDECREF(bases);
    Py_XDECREF(attributes);
    return class;
}

static int errors_add(PyObject *module, PyObject *class)
{
    return class == NULL ? -1 : PyModule_AddType(module, (PyTypeObject *)class);
}

int errors_create(PyObject *module, core_state *state)
{
    state->WasmError = PyErr_NewExceptionWithDoc("anywasm.WasmError", WasmError_doc, NULL, NULL);
    if (errors_add(module, state->WasmError) < 0) {
        return -1;
    }
    for (size_t i = 0; i < sizeof(error_classes) / sizeof(error_classes[0]); i++) {
        PyObject **slot = error_slot(state, error_classes[i].slot);
        *slot = error_class_new(state, &error_classes[i]);
        if (errors_add(module, *slot) < 0) {
            return -1;
        }
    }
    PyObject *bases = PyTuple_Pack(1, state->WasmError);
    if (bases == NULL) {
        return -1;
    }
    state->WasmException = PyType_FromModuleAndSpec(module, &WasmException_spec, bases);
    Py_DECREF(bases);
    return errors_add(module, state->WasmException);
}

// --- frames -----------------------------------------------------------------------------------------

static const char *const trap_texts[AW_TRAP_COUNT_] = {
    [AW_TRAP_OTHER] = "other",
    [AW_TRAP_UNREACHABLE] = "unreachable",
    [AW_TRAP_STACK_EXHAUSTED] = "call stack exhausted",
    [AW_TRAP_MEMORY_OUT_OF_BOUNDS] = "out of bounds memory access",
    [AW_TRAP_TABLE_OUT_OF_BOUNDS] = "out of bounds table access",
    [AW_TRAP_UNDEFINED_ELEMENT] = "undefined element",
    [AW_TRAP_UNINITIALIZED_ELEMENT] = "uninitialized element",
    [AW_TRAP_INDIRECT_CALL_TYPE_MISMATCH] = "indirect call type mismatch",
    [AW_TRAP_INTEGER_OVERFLOW] = "integer overflow",
    [AW_TRAP_INTEGER_DIVIDE_BY_ZERO] = "integer divide by zero",
    [AW_TRAP_INVALID_CONVERSION_TO_INTEGER] = "invalid conversion to integer",
    [AW_TRAP_NULL_REFERENCE] = "null reference",
    [AW_TRAP_ARRAY_OUT_OF_BOUNDS] = "out of bounds array access",
    [AW_TRAP_CAST_FAILURE] = "cast failure",
    [AW_TRAP_ALLOCATION_TOO_LARGE] = "allocation size too large",
    [AW_TRAP_UNALIGNED_ATOMIC] = "unaligned atomic",
    [AW_TRAP_WAIT_ON_UNSHARED_MEMORY] = "expected shared memory",
};

static PyObject *text_or_none(const char *text)
{
    return text != NULL ? PyUnicode_DecodeUTF8(text, (Py_ssize_t)strlen(text), "replace") : Py_NewRef(Py_None);
}

// (file, line) of a frame whose module has debug information, else None: new reference. Failing to find out is no failure.
static PyObject *frame_source(PyObject *module, const aw_frame *frame)
{
    PyObject *dwarf = module != NULL && frame->module_offset != UINT64_MAX ? PyImport_ImportModule("anywasm._dwarf")
                                                                           : NULL;
    PyObject *source = dwarf != NULL ? PyObject_CallMethod(dwarf, "locate", "OK", module,
                                                           (unsigned long long)frame->module_offset)
                                     : NULL;
    Py_XDECREF(dwarf);
    if (source == NULL && PyErr_Occurred() && !PyErr_ExceptionMatches(PyExc_Exception)) {
        return NULL;  // KeyboardInterrupt came just now, and is nobody's to lose
    }
    if (source == NULL || !PyTuple_Check(source) || PyTuple_GET_SIZE(source) != 2) {
        PyErr_Clear();
        Py_XDECREF(source);
        return Py_NewRef(Py_None);
    }
    return source;
}

enum { FRAME_FIELDS = 6, FRAMES_WITH_SOURCE = 64 };

// One anywasm.Frame: new reference.
static PyObject *frame_new(core_state *state, StoreObject *store, const aw_frame *frame, bool with_source)
{
    PyObject *module = store != NULL ? store_module_of(store, frame->instance) : NULL;
    PyObject *module_text = frame->module_name != NULL || module == NULL ? NULL : module_name((ModuleObject *)module);
    PyObject *function_text = frame->function_name != NULL || module == NULL
                                  ? NULL
                                  : module_function_name((ModuleObject *)module, frame->function_index);
    PyObject *source = with_source ? frame_source(module, frame) : Py_NewRef(Py_None);
    if (source == NULL) {
        Py_XDECREF(module_text);
        Py_XDECREF(function_text);
        return NULL;
    }
    PyObject *result = PyStructSequence_New(state->Frame);
    PyObject *items[FRAME_FIELDS] = {
        module_text != NULL ? module_text : text_or_none(frame->module_name),
        function_text != NULL ? function_text : text_or_none(frame->function_name),
        PyLong_FromUnsignedLong(frame->function_index),
        frame->module_offset == UINT64_MAX ? Py_NewRef(Py_None) : PyLong_FromUnsignedLongLong(frame->module_offset),
        Py_NewRef(source != Py_None ? PyTuple_GET_ITEM(source, 0) : Py_None),
        Py_NewRef(source != Py_None ? PyTuple_GET_ITEM(source, 1) : Py_None),
    };
    Py_DECREF(source);
    bool complete = result != NULL;
    for (int i = 0; i < FRAME_FIELDS; i++) {
        complete = complete && items[i] != NULL;
    }
    if (!complete) {
        for (int i = 0; i < FRAME_FIELDS; i++) {
            Py_XDECREF(items[i]);
        }
        Py_XDECREF(result);
        return NULL;
    }
    for (int i = 0; i < FRAME_FIELDS; i++) {
        PyStructSequence_SetItem(result, i, items[i]);
    }
    return result;
}

static PyObject *frames_new(core_state *state, StoreObject *store, const aw_error *error)
{
    PyObject *frames = PyTuple_New((Py_ssize_t)error->frame_count);
    if (frames == NULL) {
        return NULL;
    }
    for (size_t i = 0; i < error->frame_count; i++) {
        PyObject *frame = frame_new(state, store, &error->frames[i], i < FRAMES_WITH_SOURCE);
        if (frame == NULL) {
            Py_DECREF(frames);
            return NULL;
        }
        PyTuple_SET_ITEM(frames, (Py_ssize_t)i, frame);
    }
    return frames;
}

// A traceback shows at most this many Wasm frames from either end: a stack overflow has thousands.
enum { TRACEBACK_END = 16 };

// Add an entry for each Wasm frame to the pending exception's traceback; failing to is no failure.
static void traceback_add(PyObject *frames)
{
    Py_ssize_t count = PyTuple_GET_SIZE(frames);
    if (count == 0) {
        return;
    }
    PyObject *pending = aw_take_exception();
    PyObject *globals = PyDict_New();
    if (globals == NULL) {
        PyErr_Clear();
        aw_put_exception(pending);
        return;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        if (i == TRACEBACK_END && count > 2 * TRACEBACK_END) {
            i = count - TRACEBACK_END;
        }
        PyObject *frame = PyTuple_GET_ITEM(frames, i);
        PyObject *module = PyStructSequence_GetItem(frame, 0), *function = PyStructSequence_GetItem(frame, 1);
        PyObject *offset = PyStructSequence_GetItem(frame, 3);
        PyObject *source = PyStructSequence_GetItem(frame, 4), *line = PyStructSequence_GetItem(frame, 5);
        const char *source_text = PyUnicode_Check(source) ? PyUnicode_AsUTF8(source) : NULL;
        char file[160], name[160];
        const char *module_text = PyUnicode_Check(module) ? PyUnicode_AsUTF8(module) : NULL;
        const char *name_text = PyUnicode_Check(function) ? PyUnicode_AsUTF8(function) : NULL;
        PyErr_Clear();  // an unencodable name
        if (offset != Py_None) {
            PyOS_snprintf(file, sizeof(file), "<wasm %.100s+0x%llx>", module_text != NULL ? module_text : "module",
                          PyLong_AsUnsignedLongLong(offset));
        }
        else {
            PyOS_snprintf(file, sizeof(file), "<wasm %.100s>", module_text != NULL ? module_text : "module");
        }
        if (name_text != NULL) {
            PyOS_snprintf(name, sizeof(name), "%.150s", name_text);
        }
        else {
            PyOS_snprintf(name, sizeof(name), "function[%lu]",
                          PyLong_AsUnsignedLong(PyStructSequence_GetItem(frame, 2)));
        }
        int number = PyLong_Check(line) ? (int)PyLong_AsLong(line) : 0;
        PyErr_Clear();
        PyCodeObject *code = PyCode_NewEmpty(source_text != NULL ? source_text : file, name, number);
        PyFrameObject *python_frame = code != NULL ? PyFrame_New(PyThreadState_Get(), code, globals, NULL) : NULL;
        PyErr_Clear();
        if (python_frame != NULL) {
            aw_put_exception(pending);
            PyTraceBack_Here(python_frame);
            pending = aw_take_exception();
        }
        Py_XDECREF((PyObject *)python_frame);
        Py_XDECREF((PyObject *)code);
    }
    Py_DECREF(globals);
    aw_put_exception(pending);
}

// --- from an engine's error to an exception ------------------------------------------------------------

static PyObject *message_text(const char *message)
{
    return PyUnicode_DecodeUTF8(message, (Py_ssize_t)strlen(message), "replace");
}

// An exception of *type* with the message: new reference.
static PyObject *exception_new(PyObject *type, const char *message)
{
    PyObject *text = message_text(message);
    PyObject *exception = text != NULL ? PyObject_CallOneArg(type, text) : NULL;
    Py_XDECREF(text);
    return exception;
}

static PyObject *amount_new(uint64_t amount)
{
    return amount != AW_UNKNOWN ? PyLong_FromUnsignedLongLong(amount) : Py_NewRef(Py_None);
}

// Give the exception, which may be NULL, the two amounts, whose references it takes: it, or NULL.
static PyObject *limit_set(core_state *state, PyObject *exception, PyObject *used, PyObject *allowed)
{
    if (exception != NULL &&
        (used == NULL || allowed == NULL || PyObject_SetAttr(exception, state->str_used, used) < 0 ||
         PyObject_SetAttr(exception, state->str_allowed, allowed) < 0)) {
        Py_CLEAR(exception);
    }
    Py_XDECREF(used);
    Py_XDECREF(allowed);
    return exception;
}

static PyObject *limit_new(core_state *state, PyObject *type, const char *message, uint64_t used, uint64_t allowed)
{
    return limit_set(state, exception_new(type, message), amount_new(used), amount_new(allowed));
}

static PyObject *limit_type(const core_state *state, aw_limitkind limit)
{
    return limit == AW_LIMIT_MEMORY      ? state->MemoryLimitError
           : limit == AW_LIMIT_TABLE     ? state->TableLimitError
           : limit == AW_LIMIT_INSTANCES ? state->InstanceLimitError
                                         : state->LimitError;
}

// What an interrupted call raises: by its deadline, or by hand. New reference.
static PyObject *interrupted_new(core_state *state, StoreObject *store, const char *message)
{
    if (store != NULL && store->unwatched) {
        return exception_new(PyExc_RuntimeError, "can't start the thread that a timeout needs");
    }
    double used = store != NULL ? store_overtime(store) : -1;
    if (used < 0) {
        return exception_new(state->LimitError, message);
    }
    char text[AW_MESSAGE_SIZE];
    PyOS_snprintf(text, sizeof(text), "the call was stopped: its timeout of %g s is over", store->timeout);
    return limit_set(state, exception_new(state->TimeoutExpired, text), PyFloat_FromDouble(used),
                     PyFloat_FromDouble(store->timeout));
}

void error_raise_interrupted(StoreObject *store)
{
    PyObject *exception = interrupted_new(store->state, store, "the call was interrupted: somebody stopped it");
    if (exception != NULL) {
        aw_put_exception(exception);
    }
}

void error_raise_output(core_state *state, uint64_t used, uint64_t allowed)
{
    char message[128];
    PyOS_snprintf(message, sizeof(message), "the program wrote more than max_output allows: %llu bytes",
                  (unsigned long long)allowed);
    PyObject *exception = limit_new(state, state->OutputLimitError, message, used, allowed);
    if (exception != NULL) {
        aw_put_exception(exception);
    }
}

static PyObject *trap_new(core_state *state, const aw_error *error, PyObject *frames)
{
    PyObject *exception = error->trap == AW_TRAP_STACK_EXHAUSTED
                              ? limit_new(state, state->StackLimitError, error->message, error->used, error->allowed)
                              : exception_new(state->Trap, error->message);
    PyObject *code = exception != NULL
                         ? PyUnicode_FromString(error->trap < AW_TRAP_COUNT_ ? trap_texts[error->trap] : "other")
                         : NULL;
    if (code == NULL || PyObject_SetAttr(exception, state->str_code, code) < 0 ||
        PyObject_SetAttr(exception, state->str_frames, frames) < 0) {
        Py_CLEAR(exception);
    }
    Py_XDECREF(code);
    return exception;
}

static PyObject *exit_new(core_state *state, uint32_t status)
{
    char message[64];
    PyOS_snprintf(message, sizeof(message), "the program ended with exit status %lu", (unsigned long)status);
    PyObject *exception = exception_new(state->Exit, message);
    PyObject *code = exception != NULL ? PyLong_FromUnsignedLong(status) : NULL;
    if (code == NULL || PyObject_SetAttr(exception, state->str_code, code) < 0) {
        Py_CLEAR(exception);
    }
    Py_XDECREF(code);
    return exception;
}

// The WasmException for an uncaught exception reference, which it drops: new reference.
static PyObject *wasm_exception_new(core_state *state, StoreObject *store, aw_error *error, PyObject *frames)
{
    const aw_engine_api *api = store->api;
    PyObject *args = NULL, *exception = NULL;
    aw_error inner;
    aw_tag *handle = api->exn_tag(store->handle, &error->exception, &inner);
    PyObject *tag = handle != NULL ? tag_wrap(store, handle, NULL) : error_raise(state, NULL, &inner);
    if (tag == NULL) {
        goto done;
    }
    PyObject *type = extern_type((ExternObject *)tag, NULL);
    if (type == NULL) {
        goto done;
    }
    const aw_functype *functype = &((TagTypeObject *)type)->functype->type;
    args = PyTuple_New(1 + (Py_ssize_t)functype->parameter_count);
    bool complete = args != NULL;
    if (complete) {
        PyTuple_SET_ITEM(args, 0, Py_NewRef(tag));
    }
    for (uint32_t i = 0; complete && i < functype->parameter_count; i++) {
        aw_raw raw;
        PyObject *value = api->exn_field(store->handle, &error->exception, i, &raw, &inner) < 0
                              ? error_raise(state, NULL, &inner)
                              : value_from_raw(store, functype->parameters[i], &raw);
        complete = value != NULL;
        if (complete) {
            PyTuple_SET_ITEM(args, 1 + (Py_ssize_t)i, value);
        }
    }
    Py_DECREF(type);
    if (complete) {
        exception = PyObject_CallObject(state->WasmException, args);
    }
    if (exception != NULL && PyObject_SetAttr(exception, state->str_frames, frames) < 0) {
        Py_CLEAR(exception);
    }
done:
    api->ref_drop(AW_REF_EXN, &error->exception);
    Py_XDECREF(args);
    Py_XDECREF(tag);
    return exception;
}

// What is the exception of this error? New reference.
static PyObject *exception_of(core_state *state, StoreObject *store, aw_error *error, PyObject *frames)
{
    switch (error->kind) {
    case AW_ERROR_COMPILE:
        return exception_new(state->CompileError, error->message);
    case AW_ERROR_LINK:
        return exception_new(state->LinkError, error->message);
    case AW_ERROR_TRAP:
        return trap_new(state, error, frames);
    case AW_ERROR_EXCEPTION:
        return wasm_exception_new(state, store, error, frames);
    case AW_ERROR_INTERRUPTED:
        return interrupted_new(state, store, error->message);
    case AW_ERROR_FUEL:
        return limit_new(state, state->FuelLimitError, error->message, store != NULL ? store->fuel_given : AW_UNKNOWN,
                         store != NULL ? store->fuel_given : AW_UNKNOWN);
    case AW_ERROR_LIMIT:
        return error->limit == AW_LIMIT_OTHER
                   ? exception_new(state->LimitError, error->message)
                   : limit_new(state, limit_type(state, error->limit), error->message, error->used, error->allowed);
    case AW_ERROR_MEMORY:
        return exception_new(PyExc_MemoryError, error->message);
    case AW_ERROR_UNSUPPORTED:
    case AW_ERROR_LOAD:
        return exception_new(state->UnsupportedError, error->message);
    case AW_ERROR_TYPE:
        return exception_new(PyExc_TypeError, error->message);
    case AW_ERROR_HOST:
    case AW_ERROR_INTERNAL:
        break;
    }
    return exception_new(state->WasmError, error->message);
}

PyObject *error_raise(core_state *state, StoreObject *store, aw_error *error)
{
    PyObject *exception = NULL;
    if (store != NULL && store->exception != NULL) {
        exception = store->exception;
        store->exception = NULL;
        if (error->kind == AW_ERROR_EXCEPTION) {
            store->api->ref_drop(AW_REF_EXN, &error->exception);
        }
    }
    // A program that ends itself meets no accident: nobody asks where it was, and finding out may take long.
    uint32_t status;
    if (error->kind == AW_ERROR_HOST && exception == NULL && store != NULL && store->wasi != NULL &&
        wasihost_exit(store->wasi, &status)) {
        exception = exit_new(state, status);
        aw_error_clear(error);
        if (exception != NULL) {
            aw_put_exception(exception);
        }
        return NULL;
    }
    // By Ctrl-C, a deadline, or hand: a signal's handler tells by what it raises. Before anything else here runs Python code, which
    // would run the handler, too.
    if (error->kind == AW_ERROR_INTERRUPTED && exception == NULL && PyErr_CheckSignals() < 0) {
        exception = aw_take_exception();
    }
    PyObject *frames = frames_new(state, store, error);
    if (frames == NULL) {
        if (exception == NULL && error->kind == AW_ERROR_EXCEPTION && store != NULL) {
            store->api->ref_drop(AW_REF_EXN, &error->exception);
        }
        aw_error_clear(error);
        if (exception != NULL) {
            PyErr_Clear();
            aw_put_exception(exception);
        }
        return NULL;
    }
    if (exception == NULL && error->kind == AW_ERROR_UNSUPPORTED && error->capability != 0 && store != NULL) {
        engine_raise_unsupported(state, store->api, error->capability, error->message);
        exception = aw_take_exception();
    }
    else if (exception == NULL) {
        exception = exception_of(state, store, error, frames);
    }
    aw_error_clear(error);
    if (exception != NULL) {
        aw_put_exception(exception);
        traceback_add(frames);
    }
    Py_DECREF(frames);
    return NULL;
}

PyObject *raise_from(PyObject *type, const char *format, ...)
{
    PyObject *cause = aw_take_exception();
    va_list arguments;
    va_start(arguments, format);
    PyErr_FormatV(type, format, arguments);
    va_end(arguments);
    if (cause != NULL) {
        PyObject *exception = aw_take_exception();
        PyException_SetCause(exception, Py_NewRef(cause));
        PyException_SetContext(exception, cause);
        aw_put_exception(exception);
    }
    return NULL;
}

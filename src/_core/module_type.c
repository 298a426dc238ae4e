// SPDX-License-Identifier: Apache-2.0
// A Module is compiled code: immutable, belonging to no store, usable from any thread. It keeps its engine alive and is kept by
// its instances.
//
// What Python sees of it (imports, exports, sections, names) we read from the binary ourselves, so that it is the same for every
// engine; the engine has the code. A module keeps the bytes that it was made of. A deserialized one has only a skeleton of
// them, which the serialized form carries next to the engine's code:
//
//     magic   version  crc     lengths: engine, its version, settings, 0   skeleton, code   …and these five
//     8       u32      u32     4 x u32                                     2 x u64
//
// All numbers are little-endian; the CRC-32 is of everything behind it. It finds damage, not malice: the code is machine code.
// So Module() takes compiled code only from files that are called .cwasm: whoever names one knows what it is. What the cache keeps is in
// another form, and private (cache.h).

#include "module_type.h"

#include <stdarg.h>
#include <stdlib.h>

#include "cache.h"
#include "errors.h"

static ModuleObject *module_cast(PyObject *self)
{
    return (ModuleObject *)self;
}

// --- where modules come from -----------------------------------------------------------------------------------

static const uint8_t wasm_magic[4] = {0x00, 'a', 's', 'm'};
static const uint8_t wasm_header[8] = {0x00, 'a', 's', 'm', 0x01, 0x00, 0x00, 0x00};
// Begins with a byte that no text has, and holds the line ends that transfers as text change (as PNG's does).
static const uint8_t compiled_magic[8] = {0x89, 'A', 'W', 'C', '\r', '\n', 0x1A, '\n'};

typedef struct source {
    PyObject *bytes;   // owned bytes: the module in binary, or compiled
    PyObject *origin;  // owned str: the path, or NULL
    bool compiled;
} source;

static void source_clear(source *self)
{
    Py_CLEAR(self->bytes);
    Py_CLEAR(self->origin);
}

// Raise *type* with a message that begins with the path, if there is one. Returns -1.
static int source_error(const source *self, PyObject *type, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    PyObject *message = PyUnicode_FromFormatV(format, arguments);
    va_end(arguments);
    if (message != NULL && self->origin != NULL) {
        Py_SETREF(message, PyUnicode_FromFormat("%U: %U", self->origin, message));
    }
    if (message != NULL) {
        PyErr_SetObject(type, message);
        Py_DECREF(message);
    }
    return -1;
}

// Whether bytes are text: where they begin, blanks aside, with what a module in the text format can begin with.
static bool looks_like_text(const char *text, Py_ssize_t length)
{
    Py_ssize_t i = 0;
    if (length >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0) {  // a byte order mark
        i = 3;
    }
    while (i < length && (text[i] == ' ' || text[i] == '\t' || text[i] == '\r' || text[i] == '\n')) {
        i++;
    }
    return i < length && (text[i] == '(' || (text[i] == ';' && i + 1 < length && text[i + 1] == ';'));
}

// What is often given for a module by mistake.
static const char *foreign_format(const char *bytes, Py_ssize_t length)
{
    static const struct {
        const char *magic, *what;
        Py_ssize_t length;
    } formats[] = {
        {"\x1F\x8B", "gzip-compressed data: decompress it first", 2},
        {"PK\x03\x04", "a zip archive", 4},
        {"\x7F"
         "ELF",
         "a native program or library", 4},
        {"MZ", "a native program or library", 2},
        {"\x00"
         "aot",
         "code compiled by wamrc, which is not accepted", 4},
        {"<", "a web page or XML", 1},
        {"#!", "a script", 2},
        {"!<arch>", "an archive of object files", 7},
        {"BC\xC0\xDE", "LLVM bitcode", 4},
    };
    for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
        if (length >= formats[i].length && memcmp(bytes, formats[i].magic, (size_t)formats[i].length) == 0) {
            return formats[i].what;
        }
    }
    return NULL;
}

// open(path, "rb").read(), with open's exceptions.
static PyObject *file_read(PyObject *path)
{
    PyObject *io = PyImport_ImportModule("io");
    PyObject *file = io != NULL ? PyObject_CallMethod(io, "open", "Os", path, "rb") : NULL;
    Py_XDECREF(io);
    if (file == NULL) {
        return NULL;
    }
    PyObject *bytes = PyObject_CallMethod(file, "read", NULL);
    PyObject *exception = bytes == NULL ? aw_take_exception() : NULL;
    PyObject *closed = PyObject_CallMethod(file, "close", NULL);
    Py_DECREF(file);
    if (exception != NULL) {
        PyErr_Clear();
        aw_put_exception(exception);
    }
    else if (closed == NULL) {
        Py_CLEAR(bytes);
    }
    Py_XDECREF(closed);
    return bytes;
}

static int source_from_path(source *self, PyObject *path)
{
    self->origin = PyUnicode_Check(path) ? Py_NewRef(path) : PyUnicode_DecodeFSDefault(PyBytes_AS_STRING(path));
    self->bytes = self->origin != NULL ? file_read(path) : NULL;
    return self->bytes != NULL ? 0 : -1;
}

// A str is the text of a module, or else a path. Text begins with a parenthesis or a comment; what contains a parenthesis and
// several lines is (broken) text, too.
static int source_from_str(source *self, PyObject *object, const char *who)
{
    Py_ssize_t length;
    const char *text = PyUnicode_AsUTF8AndSize(object, &length);
    if (text == NULL) {  // lone surrogates: no text, but paths have them
        PyErr_Clear();
        return source_from_path(self, object);
    }
    if (length >= 4 && memcmp(text, wasm_magic, 4) == 0) {
        PyErr_Format(PyExc_TypeError, "%s: source: a binary module is bytes, not str: open its file with mode 'rb'",
                     who);
        return -1;
    }
    if (!looks_like_text(text, length) && !(memchr(text, '(', (size_t)length) && memchr(text, '\n', (size_t)length))) {
        return source_from_path(self, object);
    }
    self->bytes = PyBytes_FromStringAndSize(text, length);
    return self->bytes != NULL ? 0 : -1;
}

static int source_read(source *self, PyObject *object, const char *who)
{
    if (PyUnicode_Check(object)) {
        return source_from_str(self, object, who);
    }
    if (PyBytes_CheckExact(object)) {
        self->bytes = Py_NewRef(object);
        return 0;
    }
    if (PyObject_CheckBuffer(object)) {
        self->bytes = PyBytes_FromObject(object);
        return self->bytes != NULL ? 0 : -1;
    }
    if (PyObject_HasAttrString((PyObject *)Py_TYPE(object), "__fspath__")) {
        PyObject *path = PyOS_FSPath(object);
        int status = path != NULL ? source_from_path(self, path) : -1;
        Py_XDECREF(path);
        return status;
    }
    PyErr_Format(PyExc_TypeError, "%s: source: expected bytes, a path or the text of a module, got %.200s%s", who,
                 Py_TYPE(object)->tp_name, PyObject_HasAttrString(object, "read") ? ": give its .read()" : "");
    return -1;
}

static int source_check_compiled(source *self)
{
    PyObject *suffix = PyUnicode_FromString(".cwasm");
    Py_ssize_t named = suffix == NULL         ? -1
                       : self->origin == NULL ? 0
                                              : PyUnicode_Tailmatch(self->origin, suffix, 0, PY_SSIZE_T_MAX, 1);
    Py_XDECREF(suffix);
    if (named < 0) {
        return -1;
    }
    if (named == 0) {
        return source_error(self, PyExc_ValueError,
                            "this is a compiled module, whose machine code would run unchecked: if you trust it, use "
                            "Module.deserialize(), or a file that is called .cwasm");
    }
    self->compiled = true;
    return 0;
}

// Bytes that begin as a binary module: is the header right?
static int source_check_header(const source *self, core_state *state, const aw_engine_api *api)
{
    const uint8_t *bytes = (const uint8_t *)PyBytes_AS_STRING(self->bytes);
    Py_ssize_t length = PyBytes_GET_SIZE(self->bytes);
    if (length < 8) {
        return source_error(self, state->CompileError,
                            "unexpected end: the module has only %zd bytes, its header needs 8", length);
    }
    unsigned version = bytes[4] | (unsigned)bytes[5] << 8, layer = bytes[6] | (unsigned)bytes[7] << 8;
    if (layer == 1) {
        engine_raise_unsupported(state, api, AW_CAP(COMPONENTS), "this is a component, not a module");
        return -1;
    }
    if (layer != 0 || version != 1) {
        return source_error(self, state->CompileError, "unknown binary version %u: modules have version 1",
                            version | layer << 16);
    }
    return 0;
}

// Find out what the bytes are; text becomes binary. 0 or -1.
static int source_prepare(source *self, EngineObject *engine)
{
    core_state *state = state_of((PyObject *)engine);
    const char *bytes = PyBytes_AS_STRING(self->bytes);
    Py_ssize_t length = PyBytes_GET_SIZE(self->bytes);
    if (length == 0) {
        return source_error(self, state->CompileError, "the module is empty (0 bytes)");
    }
    if (memcmp(bytes, wasm_header, length < 4 ? (size_t)length : 4) == 0) {
        return source_check_header(self, state, engine->api);
    }
    if (length >= 8 && memcmp(bytes, compiled_magic, 8) == 0) {
        return source_check_compiled(self);
    }
    if (looks_like_text(bytes, length)) {
        PyObject *binary = engine_wat2wasm(engine, bytes, length, self->origin);
        if (binary == NULL) {
            return -1;
        }
        Py_SETREF(self->bytes, binary);
        return 0;
    }
    PyObject *head = PyBytes_FromStringAndSize(bytes, length < 16 ? length : 16);
    if (head == NULL) {
        return -1;
    }
    const char *what = foreign_format(bytes, length);
    source_error(self, state->CompileError,
                 "this is no WebAssembly module: it begins with %R, not with b'\\x00asm', nor as text with '('%s%s%s",
                 head, what != NULL ? " (" : "", what != NULL ? what : "", what != NULL ? ")" : "");
    Py_DECREF(head);
    return -1;
}

// The arguments (source, engine=None) of Module() and Module.validate(): 0 with both owned, or -1.
static int arguments_read(core_state *state, PyObject *args, PyObject *keywords, const char *format, const char *who,
                          source *out, EngineObject **engine)
{
    static char *names[] = {"source", "engine", NULL};
    PyObject *object, *engine_object = Py_None;
    memset(out, 0, sizeof(*out));
    *engine = NULL;
    if (PyArg_ParseTupleAndKeywords(args, keywords, format, names, &object, &engine_object) &&
        engine_convert(state, engine_object, engine) == 0 && source_read(out, object, who) == 0 &&
        source_prepare(out, *engine) == 0) {
        return 0;
    }
    source_clear(out);
    Py_CLEAR(*engine);
    return -1;
}

// --- the outline as Python objects -------------------------------------------------------------------------------

// Function types are made once per type of the module, so that many functions share few objects.
typedef struct outline_types {
    core_state *state;
    const binary_outline *outline;
    PyObject **functypes;  // owned, by type index
} outline_types;

static PyObject *outline_functype(outline_types *self, uint32_t index)
{
    if (self->functypes[index] == NULL) {
        self->functypes[index] = functype_wrap(self->state, &self->outline->types[index].functype);
    }
    return Py_XNewRef(self->functypes[index]);
}

static PyObject *outline_type(outline_types *self, const binary_externtype *type)
{
    switch (type->kind) {
    case AW_EXTERN_FUNC:
        return outline_functype(self, type->type_index);
    case AW_EXTERN_TABLE:
        return tabletype_wrap(self->state, &type->table);
    case AW_EXTERN_MEMORY:
        return memorytype_wrap(self->state, &type->memory);
    case AW_EXTERN_GLOBAL:
        return globaltype_wrap(self->state, &type->global);
    case AW_EXTERN_TAG:
        break;
    }
    PyObject *functype = outline_functype(self, type->type_index);
    PyObject *tagtype = functype != NULL ? tagtype_wrap(self->state, (FuncTypeObject *)functype) : NULL;
    Py_XDECREF(functype);
    return tagtype;
}

static PyObject *name_decode(binary_name name)
{
    return PyUnicode_DecodeUTF8(name.bytes, (Py_ssize_t)name.length, "strict");
}

static PyObject *outline_imports(outline_types *self)
{
    PyObject *tuple = PyTuple_New((Py_ssize_t)self->outline->import_count);
    for (uint32_t i = 0; tuple != NULL && i < self->outline->import_count; i++) {
        const binary_import *import = &self->outline->imports[i];
        PyObject *module = name_decode(import->module), *name = name_decode(import->name);
        PyObject *type = outline_type(self, &import->type), *item = NULL;
        if (module != NULL && name != NULL && type != NULL) {
            PyUnicode_InternInPlace(&module);  // few modules, many names
            item = importtype_wrap(self->state, module, name, import->type.kind, type);
        }
        Py_XDECREF(module);
        Py_XDECREF(name);
        Py_XDECREF(type);
        if (item == NULL) {
            Py_CLEAR(tuple);
            break;
        }
        PyTuple_SET_ITEM(tuple, (Py_ssize_t)i, item);
    }
    return tuple;
}

static PyObject *outline_exports(outline_types *self)
{
    PyObject *tuple = PyTuple_New((Py_ssize_t)self->outline->export_count);
    for (uint32_t i = 0; tuple != NULL && i < self->outline->export_count; i++) {
        const binary_export *export = &self->outline->exports[i];
        PyObject *name = name_decode(export->name);
        PyObject *type = outline_type(self, &self->outline->kinds[export->kind].items[export->index]), *item = NULL;
        if (name != NULL && type != NULL) {
            PyUnicode_InternInPlace(&name);  // they are looked up as attributes
            item = exporttype_wrap(self->state, name, export->kind, type, i);
        }
        Py_XDECREF(name);
        Py_XDECREF(type);
        if (item == NULL) {
            Py_CLEAR(tuple);
            break;
        }
        PyTuple_SET_ITEM(tuple, (Py_ssize_t)i, item);
    }
    return tuple;
}

// The outline of the module's bytes, to be freed in both cases: 0 or -1.
static int module_outline(ModuleObject *self, binary_outline *outline, PyObject *origin)
{
    aw_error error;
    const uint8_t *bytes = (const uint8_t *)PyBytes_AS_STRING(self->binary);
    if (binary_read(bytes, (size_t)PyBytes_GET_SIZE(self->binary), outline, &error) < 0) {
        engine_raise(self->engine, &error, origin);
        return -1;
    }
    return 0;
}

// Read the outline of self->binary into the module's fields: 0 or -1.
static int module_describe(ModuleObject *self, PyObject *origin)
{
    binary_outline outline;
    outline_types types = {.state = state_of((PyObject *)self), .outline = &outline};
    if (module_outline(self, &outline, origin) < 0) {
        binary_free(&outline);
        return -1;
    }
    types.functypes = PyMem_Calloc((size_t)outline.type_count + 1, sizeof(PyObject *));
    if (types.functypes == NULL) {
        PyErr_NoMemory();
    }
    else {
        self->imports = outline_imports(&types);
        self->exports = self->imports != NULL ? outline_exports(&types) : NULL;
        uint32_t imported = 0;
        for (uint32_t i = 0; i < outline.import_count; i++) {
            imported += outline.imports[i].type.kind == AW_EXTERN_MEMORY;
        }
        const binary_items *memories = &outline.kinds[AW_EXTERN_MEMORY];
        for (uint32_t i = imported; i < memories->count; i++) {
            const aw_memorytype *memory = &memories->items[i].memory;
            if (memory->shared && memory->limits.max > self->shared_pages) {
                self->shared_pages = memory->limits.max;
            }
        }
        for (uint32_t i = 0; i < outline.type_count; i++) {
            Py_XDECREF(types.functypes[i]);
        }
        PyMem_Free(types.functypes);
    }
    binary_free(&outline);
    return self->exports != NULL ? 0 : -1;
}

// --- birth and death ---------------------------------------------------------------------------------------------

// A module of the engine's handle, which it takes over, also when it fails. *binary* is borrowed.
static PyObject *module_make(core_state *state, EngineObject *engine, aw_module *handle, PyObject *binary,
                             bool is_skeleton, PyObject *origin)
{
    ModuleObject *self = module_cast(state->Module->tp_alloc(state->Module, 0));
    if (self == NULL) {
        engine->api->module_delete(handle);
        return NULL;
    }
    self->engine = (EngineObject *)Py_NewRef((PyObject *)engine);
    self->handle = handle;
    self->binary = Py_NewRef(binary);
    self->is_skeleton = is_skeleton;
    if (module_describe(self, origin) < 0) {
        Py_CLEAR(self);
    }
    return (PyObject *)self;
}

static aw_module *module_compile_code(EngineObject *engine, const source *from)
{
    const uint8_t *bytes = (const uint8_t *)PyBytes_AS_STRING(from->bytes);
    size_t length = (size_t)PyBytes_GET_SIZE(from->bytes);
    aw_error error;
    aw_module *handle;
    Py_BEGIN_ALLOW_THREADS
        handle = engine->api->module_new(engine->handle, bytes, length, &error);
    Py_END_ALLOW_THREADS
    if (handle == NULL) {
        engine_raise(engine, &error, from->origin);
    }
    return handle;
}

// Compile, or load what was compiled before: the same module either way, since all but the code is read from its bytes.
// *otherwise*, unless NULL, is called with the bytes when it is to be compiled, and what it returns, unless None, is the result.
static PyObject *module_compile(core_state *state, EngineObject *engine, const source *from, PyObject *otherwise)
{
    PyObject *entry;
    aw_module *handle = NULL;
    if (cache_find(engine, from->bytes, &entry) < 0 || (entry != NULL && cache_load(engine, entry, &handle) < 0)) {
        Py_XDECREF(entry);
        return NULL;
    }
    if (handle == NULL && otherwise != NULL) {
        PyObject *other = PyObject_CallOneArg(otherwise, from->bytes);
        if (other != Py_None) {
            Py_XDECREF(entry);
            return other;
        }
        Py_DECREF(other);
    }
    if (handle == NULL) {
        handle = module_compile_code(engine, from);
        if (handle != NULL && entry != NULL && cache_save(engine, entry, handle) < 0) {
            engine->api->module_delete(handle);
            handle = NULL;
        }
    }
    Py_XDECREF(entry);
    return handle != NULL ? module_make(state, engine, handle, from->bytes, false, from->origin) : NULL;
}

static PyObject *module_deserialize(core_state *state, EngineObject *engine, const source *from);

PyDoc_STRVAR(
    Module_doc,
    "Module(source, engine=None)\n--\n\n"
    "Compiled WebAssembly code. Immutable; threads may share it.\n\n"
    "source: the module as a bytes-like object (the binary, or UTF-8 of the text format), a path to a file with one\n"
    "  (os.PathLike or str), or a str that is the text of a module, beginning with '(' or a comment. A file that is\n"
    "  called .cwasm may hold what serialize() gave: see deserialize() about trust.\n"
    "engine: Engine, or None for the one that ANYWASM_ENGINE or what is installed chooses.\n\n"
    "What an engine compiles of big modules is kept on disk, and not compiled again: see Engine's cache.\n\n"
    "Raises CompileError for what is malformed or invalid, UnsupportedError for features that the engine lacks, and\n"
    "what open() raises for the path. Instance(module) brings it to life. Specification, section 2.5.");

static PyObject *module_new(core_state *state, PyObject *args, PyObject *keywords, PyObject *otherwise)
{
    source from;
    EngineObject *engine;
    if (arguments_read(state, args, keywords, "O|O:Module", "Module()", &from, &engine) < 0) {
        return NULL;
    }
    PyObject *self = from.compiled ? module_deserialize(state, engine, &from)
                                   : module_compile(state, engine, &from, otherwise);
    source_clear(&from);
    Py_DECREF(engine);
    return self;
}

static PyObject *Module_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    return module_new((core_state *)PyType_GetModuleState(type), args, keywords, NULL);
}

PyDoc_STRVAR(
    Module_or_else_doc,
    "_or_else($type, otherwise, source, engine=None)\n--\n\n"
    "Return Module(source, engine), but if that has to be compiled, call otherwise(binary) first, and return what\n"
    "that returns unless it is None.");

static PyObject *Module_or_else(PyObject *type, PyObject *args, PyObject *keywords)
{
    if (PyTuple_GET_SIZE(args) == 0) {
        PyErr_SetString(PyExc_TypeError, "Module._or_else(): otherwise is missing");
        return NULL;
    }
    PyObject *rest = PyTuple_GetSlice(args, 1, PyTuple_GET_SIZE(args));
    core_state *state = (core_state *)PyType_GetModuleState((PyTypeObject *)type);
    PyObject *module = rest != NULL ? module_new(state, rest, keywords, PyTuple_GET_ITEM(args, 0)) : NULL;
    Py_XDECREF(rest);
    return module;
}

// Everything that a module refers to is immutable and older than it, so there is nothing to clear.
static int Module_traverse(PyObject *object, visitproc visit, void *arg)
{
    ModuleObject *self = module_cast(object);
    Py_VISIT(Py_TYPE(object));
    Py_VISIT(self->engine);
    Py_VISIT(self->imports);
    Py_VISIT(self->exports);
    return 0;
}

static void Module_dealloc(PyObject *object)
{
    ModuleObject *self = module_cast(object);
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    if (self->weakrefs != NULL) {
        PyObject_ClearWeakRefs(object);
    }
    if (self->handle != NULL) {
        self->engine->api->module_delete(self->handle);
    }
    if (self->names != NULL) {
        binary_free_names(self->names);
        free(self->names);
    }
    Py_CLEAR(self->imports);
    Py_CLEAR(self->exports);
    Py_CLEAR(self->binary);
    Py_CLEAR(self->engine);
    type->tp_free(object);
    Py_DECREF(type);
}

PyDoc_STRVAR(
    Module_validate_doc,
    "validate($type, source, engine=None)\n--\n\n"
    "Return None if the module is valid, else raise CompileError.\n\n"
    "source, engine: as for Module(). Nothing is compiled. Raises UnsupportedError for features that the engine lacks.");

static PyObject *Module_validate(PyObject *type, PyObject *args, PyObject *keywords)
{
    core_state *state = (core_state *)PyType_GetModuleState((PyTypeObject *)type);
    source from;
    EngineObject *engine;
    if (arguments_read(state, args, keywords, "O|O:validate", "Module.validate()", &from, &engine) < 0) {
        return NULL;
    }
    bool valid = false;
    if (from.compiled) {
        source_error(&from, PyExc_ValueError, "a compiled module cannot be validated");
    }
    else {
        const uint8_t *bytes = (const uint8_t *)PyBytes_AS_STRING(from.bytes);
        size_t length = (size_t)PyBytes_GET_SIZE(from.bytes);
        aw_error error;
        int status;
        Py_BEGIN_ALLOW_THREADS
            status = engine->api->module_validate(engine->handle, bytes, length, &error);
        Py_END_ALLOW_THREADS
        valid = status == 0;
        if (!valid) {
            engine_raise(engine, &error, from.origin);
        }
    }
    source_clear(&from);
    Py_DECREF(engine);
    if (!valid) {
        return NULL;
    }
    Py_RETURN_NONE;
}

// --- the serialized form -----------------------------------------------------------------------------------------

enum {
    FORMAT_VERSION = 1,
    CRC_OFFSET = 12,
    LENGTHS_OFFSET = 16,
    CONTENTS_OFFSET = 48,
};

// The five contents in their order.
enum { PART_ENGINE, PART_VERSION, PART_SETTINGS, PART_SKELETON, PART_CODE, PART_COUNT };

typedef struct part {
    const char *bytes;
    uint64_t length;
} part;

static void write_number(char *at, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; i++) {
        at[i] = (char)(uint8_t)(value >> (8 * i));
    }
}

static uint64_t read_number(const char *at, int bytes)
{
    uint64_t value = 0;
    for (int i = 0; i < bytes; i++) {
        value |= (uint64_t)(uint8_t)at[i] << (8 * i);
    }
    return value;
}

// Where in the header each length stands, and how many bytes it has.
static void part_place(int index, size_t *offset, int *bytes)
{
    *bytes = index < PART_SKELETON ? 4 : 8;
    *offset = LENGTHS_OFFSET + (index < PART_SKELETON ? (size_t)index * 4 : 16 + (size_t)(index - PART_SKELETON) * 8);
}

// The CRC-32 of what stands behind it in *data* (bytes): 0 or -1.
static int compiled_crc(PyObject *data, uint32_t *out)
{
    PyObject *binascii = PyImport_ImportModule("binascii");
    PyObject *view = binascii != NULL ? PyMemoryView_FromObject(data) : NULL;
    PyObject *slice = view != NULL ? PySequence_GetSlice(view, LENGTHS_OFFSET, PyBytes_GET_SIZE(data)) : NULL;
    PyObject *crc = slice != NULL ? PyObject_CallMethod(binascii, "crc32", "O", slice) : NULL;
    Py_XDECREF(binascii);
    Py_XDECREF(view);
    Py_XDECREF(slice);
    *out = crc != NULL ? (uint32_t)PyLong_AsUnsignedLong(crc) : 0;
    Py_XDECREF(crc);
    return PyErr_Occurred() ? -1 : 0;
}

// Put the parts together: new bytes.
static PyObject *compiled_write(const part parts[PART_COUNT])
{
    uint64_t total = CONTENTS_OFFSET;
    for (int i = 0; i < PART_COUNT; i++) {
        if (parts[i].length > (uint64_t)PY_SSIZE_T_MAX - total) {
            return PyErr_NoMemory();
        }
        total += parts[i].length;
    }
    PyObject *data = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)total);
    if (data == NULL) {
        return NULL;
    }
    char *at = PyBytes_AS_STRING(data), *contents = at + CONTENTS_OFFSET;
    memset(at, 0, CONTENTS_OFFSET);
    memcpy(at, compiled_magic, sizeof(compiled_magic));
    write_number(at + 8, FORMAT_VERSION, 4);
    for (int i = 0; i < PART_COUNT; i++) {
        size_t offset;
        int bytes;
        part_place(i, &offset, &bytes);
        write_number(at + offset, parts[i].length, bytes);
        memcpy(contents, parts[i].bytes, (size_t)parts[i].length);
        contents += parts[i].length;
    }
    uint32_t crc;
    if (compiled_crc(data, &crc) < 0) {
        Py_DECREF(data);
        return NULL;
    }
    write_number(at + CRC_OFFSET, crc, 4);
    return data;
}

// Take *from* apart: 0 with parts that point into it, or -1 with CompileError.
static int compiled_read(core_state *state, const source *from, part parts[PART_COUNT])
{
    const char *at = PyBytes_AS_STRING(from->bytes);
    size_t length = (size_t)PyBytes_GET_SIZE(from->bytes);
    if (length < sizeof(compiled_magic) || memcmp(at, compiled_magic, sizeof(compiled_magic)) != 0) {
        return source_error(from, state->CompileError, "this is no compiled module: Module.serialize() makes them");
    }
    if (length < CONTENTS_OFFSET) {
        return source_error(from, state->CompileError, "the compiled module is damaged: it has only %zu bytes", length);
    }
    unsigned version = (unsigned)read_number(at + 8, 4);
    if (version != FORMAT_VERSION) {
        return source_error(from, state->UnsupportedError,
                            "the compiled module has format %u, this version of anywasm reads %d: compile it again",
                            version, FORMAT_VERSION);
    }
    size_t place = CONTENTS_OFFSET;
    bool fits = true;
    for (int i = 0; i < PART_COUNT && fits; i++) {
        size_t offset;
        int bytes;
        part_place(i, &offset, &bytes);
        parts[i].bytes = at + place;
        parts[i].length = read_number(at + offset, bytes);
        fits = parts[i].length <= length - place;
        place += fits ? (size_t)parts[i].length : 0;
    }
    uint32_t crc;
    if (compiled_crc(from->bytes, &crc) < 0) {
        return -1;
    }
    if (!fits || place != length || crc != (uint32_t)read_number(at + CRC_OFFSET, 4)) {
        return source_error(from, state->CompileError,
                            "the compiled module is damaged: its %zu bytes are not those that were written", length);
    }
    return 0;
}

static PyObject *part_text(const part *self)
{
    return PyUnicode_DecodeUTF8(self->bytes, (Py_ssize_t)self->length, "replace");
}

// Was it compiled by this engine, in this version, with these settings? 0 or -1 with UnsupportedError.
static int compiled_check(core_state *state, EngineObject *engine, const source *from, const part parts[PART_COUNT])
{
    PyObject *settings = engine_code_settings(engine);
    PyObject *name = part_text(&parts[PART_ENGINE]), *version = part_text(&parts[PART_VERSION]);
    PyObject *given_settings = part_text(&parts[PART_SETTINGS]);
    int status = -1;
    if (settings == NULL || name == NULL || version == NULL || given_settings == NULL) {
        // the exception is set
    }
    else if (PyUnicode_CompareWithASCIIString(name, engine->api->name) != 0 ||
             PyUnicode_CompareWithASCIIString(version, engine->version) != 0) {
        source_error(from, state->UnsupportedError,
                     "the module was compiled by %U %U, and this is %s %s: compile it again, or choose that engine",
                     name, version, engine->api->name, engine->version);
    }
    else if (PyUnicode_Compare(settings, given_settings) != 0) {
        source_error(from, state->UnsupportedError,
                     "the module was compiled with %U, and this is %U: compile it again, or choose those settings",
                     given_settings, settings);
    }
    else {
        status = 0;
    }
    Py_XDECREF(settings);
    Py_XDECREF(name);
    Py_XDECREF(version);
    Py_XDECREF(given_settings);
    return status;
}

static PyObject *module_deserialize(core_state *state, EngineObject *engine, const source *from)
{
    if (!engine_has(engine, AW_CAP(SERIALIZE))) {
        return engine_raise_unsupported(state, engine->api, AW_CAP(SERIALIZE), "a compiled module");
    }
    part parts[PART_COUNT];
    if (compiled_read(state, from, parts) < 0 || compiled_check(state, engine, from, parts) < 0) {
        return NULL;
    }
    PyObject *skeleton = PyBytes_FromStringAndSize(parts[PART_SKELETON].bytes, (Py_ssize_t)parts[PART_SKELETON].length);
    if (skeleton == NULL) {
        return NULL;
    }
    aw_error error;
    aw_module *handle;
    Py_BEGIN_ALLOW_THREADS
        handle = engine->api->module_deserialize(engine->handle, (const uint8_t *)parts[PART_CODE].bytes,
                                                 (size_t)parts[PART_CODE].length, &error);
    Py_END_ALLOW_THREADS
    PyObject *self = handle != NULL ? module_make(state, engine, handle, skeleton, true, from->origin)
                                    : engine_raise(engine, &error, from->origin);
    Py_DECREF(skeleton);
    return self;
}

PyDoc_STRVAR(
    Module_deserialize_doc,
    "deserialize($type, data, engine=None)\n--\n\n"
    "Return the Module that serialize() gave *data* of, without compiling.\n\n"
    "data: bytes-like object.\n"
    "engine: Engine of the same name, version and settings as the one that compiled it; None is the default.\n\n"
    "Only for data that you trust: it holds machine code, which runs with your rights and outside any sandbox.\n"
    "Raises CompileError for damaged data, UnsupportedError for another engine, version or settings.");

static PyObject *Module_deserialize(PyObject *type, PyObject *args, PyObject *keywords)
{
    static char *names[] = {"data", "engine", NULL};
    core_state *state = (core_state *)PyType_GetModuleState((PyTypeObject *)type);
    PyObject *data, *engine_object = Py_None, *self = NULL;
    EngineObject *engine;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "O|O:deserialize", names, &data, &engine_object)) {
        return NULL;
    }
    if (!PyObject_CheckBuffer(data)) {
        return PyErr_Format(PyExc_TypeError, "Module.deserialize(): data: expected a bytes-like object, got %.200s",
                            Py_TYPE(data)->tp_name);
    }
    if (engine_convert(state, engine_object, &engine) < 0) {
        return NULL;
    }
    source from = {.bytes = PyBytes_CheckExact(data) ? Py_NewRef(data) : PyBytes_FromObject(data)};
    if (from.bytes != NULL) {
        self = module_deserialize(state, engine, &from);
    }
    source_clear(&from);
    Py_DECREF(engine);
    return self;
}

// What a serialized module carries for imports, exports and the like: 0 or -1.
static int module_skeleton(ModuleObject *self, uint8_t **out, size_t *size)
{
    binary_outline outline;
    int status = module_outline(self, &outline, NULL);
    if (status == 0 && binary_skeleton(&outline, out, size) < 0) {
        PyErr_NoMemory();
        status = -1;
    }
    binary_free(&outline);
    return status;
}

PyDoc_STRVAR(Module_serialize_doc,
             "serialize($self, /)\n--\n\n"
             "Return the compiled module as bytes, for deserialize() or a file called .cwasm.\n\n"
             "It fits the same engine in the same version with the same settings, on the same kind of machine. Debug\n"
             "sections are left out. Raises UnsupportedError where the engine lacks the capability serialize.");

static PyObject *Module_serialize(PyObject *object, PyObject *Py_UNUSED(ignored))
{
    ModuleObject *self = module_cast(object);
    EngineObject *engine = self->engine;
    if (!engine_has(engine, AW_CAP(SERIALIZE))) {
        return engine_raise_unsupported(state_of(object), engine->api, AW_CAP(SERIALIZE), "Module.serialize()");
    }
    uint8_t *skeleton, *code;
    size_t skeleton_size, code_size;
    if (module_skeleton(self, &skeleton, &skeleton_size) < 0) {
        return NULL;
    }
    aw_error error;
    int status;
    Py_BEGIN_ALLOW_THREADS
        status = engine->api->module_serialize(self->handle, &code, &code_size, &error);
    Py_END_ALLOW_THREADS
    if (status < 0) {
        free(skeleton);
        return engine_raise(engine, &error, NULL);
    }
    PyObject *settings = engine_code_settings(engine), *data = NULL;
    Py_ssize_t settings_length;
    const char *settings_text = settings != NULL ? PyUnicode_AsUTF8AndSize(settings, &settings_length) : NULL;
    if (settings_text != NULL) {
        part parts[PART_COUNT] = {
            [PART_ENGINE] = {engine->api->name, strlen(engine->api->name)},
            [PART_VERSION] = {engine->version, strlen(engine->version)},
            [PART_SETTINGS] = {settings_text, (uint64_t)settings_length},
            [PART_SKELETON] = {(const char *)skeleton, skeleton_size},
            [PART_CODE] = {(const char *)code, code_size},
        };
        data = compiled_write(parts);
    }
    Py_XDECREF(settings);
    free(skeleton);
    free(code);
    return data;
}

PyDoc_STRVAR(
    Module_reduce_doc,
    "__reduce__($self, /)\n--\n\n"
    "Pickle the module's bytes and its engine's settings; unpickling compiles again. Of a deserialized module the\n"
    "compiled code is pickled.");

static PyObject *Module_reduce(PyObject *object, PyObject *Py_UNUSED(ignored))
{
    ModuleObject *self = module_cast(object);
    if (!self->is_skeleton) {
        return Py_BuildValue("O(OO)", (PyObject *)Py_TYPE(object), self->binary, (PyObject *)self->engine);
    }
    PyObject *function = PyObject_GetAttrString((PyObject *)Py_TYPE(object), "deserialize");
    PyObject *data = function != NULL ? Module_serialize(object, NULL) : NULL;
    if (data == NULL) {
        Py_XDECREF(function);
        return NULL;
    }
    return Py_BuildValue("N(NO)", function, data, (PyObject *)self->engine);
}

PyDoc_STRVAR(Module_copy_doc, "__copy__($self, /)\n--\n\nReturn the module itself: it is immutable.");
PyDoc_STRVAR(Module_deepcopy_doc, "__deepcopy__($self, memo, /)\n--\n\nReturn the module itself: it is immutable.");

static PyObject *Module_copy(PyObject *self, PyObject *Py_UNUSED(memo))
{
    return Py_NewRef(self);
}

// --- names ---------------------------------------------------------------------------------------------------------

// The names, read when first asked for: borrowed, or NULL when there is no memory.
static const binary_names *module_names(ModuleObject *self)
{
    if (self->names != NULL) {
        return self->names;
    }
    const uint8_t *bytes = (const uint8_t *)PyBytes_AS_STRING(self->binary);
    size_t length = (size_t)PyBytes_GET_SIZE(self->binary);
    binary_names *names = malloc(sizeof(*names));
    if (names == NULL || binary_read_names(bytes, length, names) < 0) {
        free(names);
        return NULL;
    }
    if (names->function_count == 0) {
        binary_outline outline;
        aw_error error;
        if (binary_read(bytes, length, &outline, &error) == 0) {
            binary_names_from_exports(&outline, names);  // without memory there are no names, and no harm
        }
        binary_free(&outline);
    }
    self->names = names;
    return names;
}

PyObject *module_name(ModuleObject *self)
{
    const binary_names *names = module_names(self);
    if (names == NULL || names->module.bytes == NULL) {
        return NULL;
    }
    PyObject *name = name_decode(names->module);
    if (name == NULL) {
        PyErr_Clear();
    }
    return name;
}

PyObject *module_function_name(ModuleObject *self, uint32_t function_index)
{
    const binary_names *names = module_names(self);
    const binary_name *found = names != NULL ? binary_find_function_name(names, function_index) : NULL;
    PyObject *name = found != NULL ? name_decode(*found) : NULL;
    if (name == NULL) {
        PyErr_Clear();
    }
    return name;
}

// --- sections ------------------------------------------------------------------------------------------------------

PyDoc_STRVAR(Module_custom_sections_doc,
             "custom_sections($self, name, /)\n--\n\n"
             "Return the contents of the custom sections of that name: a list of bytes, empty if there are none.\n\n"
             "A deserialized module has lost those that begin with '.debug_'. Specification, section 5.5.3.");

static PyObject *Module_custom_sections(PyObject *object, PyObject *name)
{
    ModuleObject *self = module_cast(object);
    if (!PyUnicode_Check(name)) {
        return PyErr_Format(PyExc_TypeError, "Module.custom_sections(): name: expected a str, got %.200s",
                            Py_TYPE(name)->tp_name);
    }
    Py_ssize_t length;
    const char *text = PyUnicode_AsUTF8AndSize(name, &length);
    if (text == NULL) {  // lone surrogates: no section is called so
        PyErr_Clear();
        return PyList_New(0);
    }
    binary_outline outline;
    PyObject *list = module_outline(self, &outline, NULL) == 0 ? PyList_New(0) : NULL;
    for (uint32_t i = 0; list != NULL && i < outline.section_count; i++) {
        const binary_section *section = &outline.sections[i];
        if (section->id != 0 || section->name.length != (size_t)length ||
            memcmp(section->name.bytes, text, section->name.length) != 0) {
            continue;
        }
        PyObject *data = PyBytes_FromStringAndSize((const char *)outline.bytes + section->data_offset,
                                                   (Py_ssize_t)section->data_size);
        if (data == NULL || PyList_Append(list, data) < 0) {
            Py_CLEAR(list);
        }
        Py_XDECREF(data);
    }
    binary_free(&outline);
    return list;
}

static PyObject *Module_get_sections(PyObject *object, void *Py_UNUSED(closure))
{
    binary_outline outline;
    PyObject *list = module_outline(module_cast(object), &outline, NULL) == 0
                         ? PyList_New((Py_ssize_t)outline.section_count)
                         : NULL;
    for (uint32_t i = 0; list != NULL && i < outline.section_count; i++) {
        const binary_section *section = &outline.sections[i];
        PyObject *name = section->id == 0 ? name_decode(section->name)
                                          : PyUnicode_FromString(binary_section_name(section->id));
        PyObject *item = name != NULL
                             ? Py_BuildValue("(Nnn)", name, (Py_ssize_t)section->offset, (Py_ssize_t)section->size)
                             : NULL;
        if (item == NULL) {
            Py_CLEAR(list);
            break;
        }
        PyList_SET_ITEM(list, (Py_ssize_t)i, item);
    }
    binary_free(&outline);
    return list;
}

// --- properties ----------------------------------------------------------------------------------------------------

static PyObject *Module_get_engine(PyObject *self, void *Py_UNUSED(closure))
{
    return Py_NewRef((PyObject *)module_cast(self)->engine);
}

static PyObject *Module_get_imports(PyObject *self, void *Py_UNUSED(closure))
{
    return Py_NewRef(module_cast(self)->imports);
}

static PyObject *Module_get_exports(PyObject *self, void *Py_UNUSED(closure))
{
    return Py_NewRef(module_cast(self)->exports);
}

static PyObject *Module_get_name(PyObject *self, void *Py_UNUSED(closure))
{
    PyObject *name = module_name(module_cast(self));
    return name != NULL ? name : Py_NewRef(Py_None);
}

static PyObject *Module_repr(PyObject *object)
{
    ModuleObject *self = module_cast(object);
    PyObject *name = module_name(self);
    PyObject *text = name != NULL ? PyUnicode_FromFormat(" %R", name) : PyUnicode_FromString("");
    Py_XDECREF(name);
    if (text == NULL) {
        return NULL;
    }
    Py_ssize_t imports = PyTuple_GET_SIZE(self->imports), exports = PyTuple_GET_SIZE(self->exports);
    PyObject *repr = PyUnicode_FromFormat("<anywasm.Module%U: %zd import%s, %zd export%s, %s>", text, imports,
                                          imports == 1 ? "" : "s", exports, exports == 1 ? "" : "s",
                                          self->engine->api->name);
    Py_DECREF(text);
    return repr;
}

// --- tables --------------------------------------------------------------------------------------------------------

static PyMethodDef Module_methods[] = {
    {"_or_else", (PyCFunction)(void (*)(void))Module_or_else, METH_VARARGS | METH_KEYWORDS | METH_CLASS,
     Module_or_else_doc},
    {"validate", (PyCFunction)(void (*)(void))Module_validate, METH_VARARGS | METH_KEYWORDS | METH_CLASS,
     Module_validate_doc},
    {"custom_sections", Module_custom_sections, METH_O, Module_custom_sections_doc},
    {"serialize", Module_serialize, METH_NOARGS, Module_serialize_doc},
    {"deserialize", (PyCFunction)(void (*)(void))Module_deserialize, METH_VARARGS | METH_KEYWORDS | METH_CLASS,
     Module_deserialize_doc},
    {"__reduce__", Module_reduce, METH_NOARGS, Module_reduce_doc},
    {"__copy__", Module_copy, METH_NOARGS, Module_copy_doc},
    {"__deepcopy__", Module_copy, METH_O, Module_deepcopy_doc},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef Module_getset[] = {
    {"engine", Module_get_engine, NULL, "Engine: what compiled it.", NULL},
    {"imports", Module_get_imports, NULL, "tuple of ImportType, in the module's order.", NULL},
    {"exports", Module_get_exports, NULL, "tuple of ExportType, in the module's order.", NULL},
    {"name", Module_get_name, NULL, "str: the module's own name in its name section, or None.", NULL},
    {"sections", Module_get_sections, NULL,
     "list of (name, offset, size) of its sections, in bytes, without their headers; custom ones by their own name.",
     NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef Module_members[] = {
    {"__weaklistoffset__", Py_T_PYSSIZET, offsetof(ModuleObject, weakrefs), Py_READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot Module_slots[] = {
    {Py_tp_doc, (void *)Module_doc}, {Py_tp_new, Module_new},         {Py_tp_traverse, Module_traverse},
    {Py_tp_dealloc, Module_dealloc}, {Py_tp_repr, Module_repr},       {Py_tp_methods, Module_methods},
    {Py_tp_getset, Module_getset},   {Py_tp_members, Module_members}, {0, NULL},
};

PyType_Spec Module_spec = {
    .name = "anywasm.Module",
    .basicsize = sizeof(ModuleObject),
    .flags = AW_TYPE_FLAGS | Py_TPFLAGS_HAVE_GC,
    .slots = Module_slots,
};

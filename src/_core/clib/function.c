// SPDX-License-Identifier: Apache-2.0
// A CFunction is a C function of a library's, called with Python values.
//
// How each value is passed follows from its C type by wasm's C ABI (abi.c) and is found out once, when the function is made. Functions of plain numbers take a path of their own: there a call converts, checks and calls.
// All others take a frame, in which strings, buffers and structs wait until everything is converted (frame.c).

#include "../errors.h"
#include "../value.h"
#include "clib.h"

// How a plain number is converted without a call.
typedef enum cquick { QUICK_NONE, QUICK_I32, QUICK_I64, QUICK_F32, QUICK_F64, QUICK_VOID } cquick;

typedef struct cparameter {
    cquick quick;
    cpass pass;
    CTypeObject *type;    // borrowed of the function's type
    CTypeObject *scalar;  // borrowed: what a value is passed as, if that is one scalar
    long least, most;     // of quick integers
} cparameter;

typedef enum cresult { RESULT_VALUE, RESULT_BYTES, RESULT_POINTER } cresult;

struct CFunctionObject {
    PyObject_VAR_HEAD  // ob_size: parameters
    vectorcallfunc vectorcall;
    CLibraryObject *library;  // owned
    FuncObject *func;         // owned; replaced by a reset
    CTypeObject *type;        // owned
    PyObject *name;           // owned str
    FuncObject *release;      // owned or NULL: frees what is returned
    bool releases;            // what is returned is ours: by `release` or by free
    cresult result_as;        // what a char * comes as
    cparameter result;
    uint32_t raw_count;   // of raw values that the engine needs room for
    uint32_t generation;  // of the library, for `index` and functions that a reset does not bring back
    bool rebinds;         // an export: it works again after a reset
    bool has_index;
    uint64_t index;             // its element of the table
    CCallbackObject *callback;  // owned or NULL: it calls Python
    PyObject *weakrefs;
    cparameter parameters[1];
};

static CFunctionObject *function_cast(PyObject *self)
{
    return (CFunctionObject *)self;
}

static void quick_plan(cparameter *parameter)
{
    const CTypeObject *type = parameter->type;
    parameter->quick = QUICK_NONE;
    if (type->kind == CK_VOID) {
        parameter->quick = QUICK_VOID;
    }
    else if (type->kind == CK_FLOAT && type->size <= 8) {
        parameter->quick = type->size == 4 ? QUICK_F32 : QUICK_F64;
    }
    else if (type->kind == CK_INTEGER || type->kind == CK_CHAR) {
        unsigned bits = (unsigned)type->size * 8;
        parameter->quick = type->size == 8 ? QUICK_I64 : QUICK_I32;
        parameter->least = !type->is_signed ? 0 : bits == 64 ? LONG_MIN : -(1L << (bits - 1));
        parameter->most = bits == 64 ? LONG_MAX : (1L << (type->is_signed ? bits - 1 : bits)) - 1;
    }
}

// --- calls of plain numbers ---------------------------------------------------------------------------------------------

static bool argument_quick(const cparameter *parameter, PyObject *object, aw_raw *raw)
{
    long integer;
    switch (parameter->quick) {
    case QUICK_I32:
        if (!aw_long_compact(object, &integer) || integer < parameter->least || integer > parameter->most) {
            return false;
        }
        raw->bits[0] = (uint32_t)integer;
        return true;
    case QUICK_I64:
        if (!aw_long_compact(object, &integer) || integer < parameter->least) {
            return false;
        }
        raw->i64 = integer;
        return true;
    case QUICK_F64:
        if (!PyFloat_CheckExact(object)) {
            return false;
        }
        raw->f64 = PyFloat_AS_DOUBLE(object);
        return true;
    default:
        return false;
    }
}

// Any other number, with the place for messages: 0 or -1.
static int argument_slow(CFunctionObject *self, Py_ssize_t index, PyObject *object, aw_raw *raw)
{
    const cparameter *parameter = &self->parameters[index];
    cplace function = {.kind = PLACE_FUNCTION, .name = self->name};
    cplace place = {.outer = &function,
                    .kind = PLACE_ARGUMENT,
                    .name = PyTuple_GET_ITEM(self->type->parameter_names, index),
                    .index = index,
                    .type = parameter->type};
    cframe frame;  // no number needs one
    frame.library = self->library;
    frame.image = NULL;
    uint8_t bytes[SCALAR_BYTES];
    if (value_to_bytes(&frame, parameter->type, object, bytes, &place) < 0) {
        return -1;
    }
    scalar_to_raw(parameter->scalar, bytes, raw);
    return 0;
}

static PyObject *result_quick(const CFunctionObject *self, const aw_raw *raw)
{
    const CTypeObject *type = self->result.type;
    switch (self->result.quick) {
    case QUICK_F64:
        return PyFloat_FromDouble(raw->f64);
    case QUICK_F32:
        return PyFloat_FromDouble((double)raw->f32);
    case QUICK_VOID:
        return Py_NewRef(Py_None);
    case QUICK_I64:
        return type->is_signed ? integer_from_raw(self->library->state, raw->i64)
                               : PyLong_FromUnsignedLongLong(raw->bits[0]);
    default: {
        // A guest is not bound to return what the type can hold: the rest is cut off.
        unsigned shift = 32 - (unsigned)type->size * 8;
        uint32_t bits = (uint32_t)raw->bits[0] << shift;
        return integer_from_raw(self->library->state,
                                type->is_signed ? (int64_t)((int32_t)bits >> shift) : (int64_t)(bits >> shift));
    }
    }
}

static AW_COLD int arguments_raise(CFunctionObject *self, Py_ssize_t count, PyObject *keyword_names)
{
    Py_ssize_t wanted = Py_SIZE(self);
    if (keyword_names != NULL && PyTuple_GET_SIZE(keyword_names) > 0) {
        PyErr_Format(PyExc_TypeError, "%U(): takes no keyword arguments", self->name);
        return -1;
    }
    if (count == wanted || (self->type->variadic && count > wanted)) {
        return 0;
    }
    PyObject *declared = ctype_spell(self->type, PyUnicode_AsUTF8(self->name));
    if (declared != NULL) {
        PyErr_Format(PyExc_TypeError, "%U(): expected %s%zd argument%s, got %zd: %U", self->name,
                     self->type->variadic ? "at least " : "", wanted, wanted == 1 ? "" : "s", count, declared);
        Py_DECREF(declared);
    }
    return -1;
}

// May it be called now? 0 or -1.
static AW_COLD int function_attend(CFunctionObject *self)
{
    CLibraryObject *library = self->library;
    if (self->generation != library->generation) {
        PyErr_Format(PyExc_ValueError, "%U(): the function is of the library before it was reset", self->name);
        return -1;
    }
    return library_check(library) < 0 ? -1 : library_attend(library);
}

static inline int function_check(CFunctionObject *self)
{
    if (self->generation != self->library->generation || self->library->attention) {
        return function_attend(self);
    }
    return library_check(self->library);
}

static PyObject *Function_vectorcall_numbers(PyObject *object, PyObject *const *args, size_t nargsf,
                                             PyObject *keyword_names)
{
    CFunctionObject *self = function_cast(object);
    Py_ssize_t count = PyVectorcall_NARGS(nargsf);
    if ((count != Py_SIZE(self) || keyword_names != NULL) && arguments_raise(self, count, keyword_names) < 0) {
        return NULL;
    }
    aw_raw values[VALUES_ON_STACK];
    for (Py_ssize_t i = 0; i < count; i++) {
        if (!argument_quick(&self->parameters[i], args[i], &values[i]) &&
            argument_slow(self, i, args[i], &values[i]) < 0) {
            return NULL;
        }
    }
    // After the arguments: their conversion may have run Python code, which may have reset the library.
    if (function_check(self) < 0) {
        return NULL;
    }
    if (func_call_raw(self->func, values, VALUES_ON_STACK) < 0) {
        library_call_failed(self->library);
        return NULL;
    }
    store_sweep(self->library->store);
    return result_quick(self, &values[0]);
}

// --- all other calls ----------------------------------------------------------------------------------------------------

// A struct by value goes as a copy, whose address is passed.
static int argument_indirect(cframe *frame, CTypeObject *type, PyObject *object, aw_raw *raw, const cplace *place)
{
    uint64_t address;
    uint8_t *bytes = frame_scratch(frame, type->size);
    if (bytes == NULL || value_to_bytes(frame, type, object, bytes, place) < 0 ||
        frame_reserve(frame, type->size, type->align, &address) < 0) {
        return -1;
    }
    ctemporary *entry = frame_add(frame, address, type->size);
    if (entry == NULL) {
        return -1;
    }
    entry->bytes = bytes;
    raw_set_address(frame->library, raw, address);
    return 0;
}

// One argument as one or two raw values: how many, or -1.
static int argument_to_raw(CFunctionObject *self, cframe *frame, Py_ssize_t index, PyObject *object, aw_raw *raw)
{
    const cparameter *parameter = &self->parameters[index];
    if (argument_quick(parameter, object, raw)) {
        return 1;
    }
    CTypeObject *type = parameter->type;
    cplace function = {.kind = PLACE_FUNCTION, .name = self->name};
    cplace place = {.outer = &function,
                    .kind = PLACE_ARGUMENT,
                    .name = PyTuple_GET_ITEM(self->type->parameter_names, index),
                    .index = index,
                    .type = type};
    if (type->kind == CK_POINTER) {
        uint64_t address;
        if (pointer_to_address(frame, type, object, &address, &place) < 0) {
            return -1;
        }
        raw_set_address(frame->library, raw, address);
        return 1;
    }
    if (parameter->pass == PASS_INDIRECT) {
        return argument_indirect(frame, type, object, raw, &place) < 0 ? -1 : 1;
    }
    uint8_t *bytes = frame_scratch(frame, type->size);
    if (bytes == NULL || value_to_bytes(frame, type, object, bytes, &place) < 0) {
        return -1;
    }
    switch (parameter->pass) {
    case PASS_SCALAR:
        scalar_to_raw(parameter->scalar, bytes, raw);
        return 1;
    case PASS_TWO:
        memcpy(&raw[0].bits[0], bytes, 8);
        memcpy(&raw[1].bits[0], bytes + 8, 8);
        return 2;
    default:
        return 0;
    }
}

// An argument for `...` becomes what C promotes it to, at the next offset of the list that the callee reads: 0 or -1.
static int variadic_argument(CFunctionObject *self, cframe *frame, Py_ssize_t index, PyObject *object, uint8_t *list,
                             size_t *offset)
{
    CLibraryObject *library = frame->library;
    core_state *state = library->state;
    cplace function = {.kind = PLACE_FUNCTION, .name = self->name};
    cplace place = {.outer = &function, .kind = PLACE_ARGUMENT, .index = index};
    uint8_t bytes[16] = {0};
    size_t size = library->pointer_size, align;
    uint64_t word = 0;
    if (Py_TYPE(object) == state->Value) {
        const CTypeObject *type = ((CValueObject *)object)->type;
        const uint8_t *of = ((CValueObject *)object)->bytes;
        aw_raw raw;
        if (type->kind == CK_COMPLEX) {  // goes as a struct does
            uint8_t *copy = frame_scratch(frame, type->size);
            if (copy == NULL || frame_reserve(frame, type->size, type->align, &word) < 0) {
                return -1;
            }
            ctemporary *entry = frame_add(frame, word, type->size);
            if (entry == NULL) {
                return -1;
            }
            memcpy(copy, of, type->size);
            entry->bytes = copy;
            memcpy(bytes, &word, 8);
        }
        else if (type->kind == CK_FLOAT && type->size == 4) {
            float narrow;
            memcpy(&narrow, of, 4);
            double wide = narrow;
            memcpy(bytes, &wide, 8);
            size = 8;
        }
        else {
            size = type->size > 4 ? type->size : 4;
            scalar_to_raw(type, of, &raw);
            memcpy(bytes, &raw, 8);
            if (type->size == 16) {
                memcpy(bytes, of, 16);
            }
        }
    }
    else if (Py_TYPE(object) == state->Struct) {
        CTypeObject *type = ((CDataObject *)object)->type, *scalar;
        cpass pass = abi_pass(type, &scalar);
        aw_raw raw;
        place.type = type;
        if (pass == PASS_NOTHING) {
            return 0;
        }
        if (pass == PASS_INDIRECT) {
            if (argument_indirect(frame, type, object, &raw, &place) < 0) {
                return -1;
            }
            memcpy(bytes, &raw, size);
        }
        else {
            uint8_t *copy = frame_scratch(frame, type->size);
            if (copy == NULL || value_to_bytes(frame, type, object, copy, &place) < 0) {
                return -1;
            }
            size = type->size > 4 ? type->size : 4;
            memcpy(bytes, copy, type->size);
        }
    }
    else if (PyFloat_Check(object) || (!PyIndex_Check(object) && Py_TYPE(object)->tp_as_number != NULL &&
                                       Py_TYPE(object)->tp_as_number->nb_float != NULL)) {
        double number = PyFloat_AsDouble(object);
        if (number == -1.0 && PyErr_Occurred()) {
            return -1;
        }
        size = 8;
        memcpy(bytes, &number, 8);
    }
    else if (PyIndex_Check(object) && Py_TYPE(object) != state->Pointer) {
        PyObject *integer = PyNumber_Index(object);
        int overflow = 0;
        long long number = integer != NULL ? PyLong_AsLongLongAndOverflow(integer, &overflow) : -1;
        Py_XDECREF(integer);
        if (integer == NULL) {
            return -1;
        }
        if (overflow != 0) {
            place_raise(&place, PyExc_OverflowError, "the value is out of the range of long long");
            return -1;
        }
        size = number >= INT32_MIN && number <= INT32_MAX ? 4 : 8;
        memcpy(bytes, &number, 8);
    }
    else {
        bool text = PyUnicode_Check(object) || PyBytes_Check(object);
        bool buffer = PyObject_CheckBuffer(object);
        CTypeObject *type = text ? self->library->string_type : self->library->void_pointer_type;
        place.type = type;
        if (!text && !buffer && object != Py_None && !is_cdata(state, object) && Py_TYPE(object) != state->CFunction) {
            place.type = NULL;
            place_raise(
                &place, PyExc_TypeError,
                "an argument for ... is an int, a float, str, bytes, a pointer, a buffer, or of a type that cast() gave "
                "it; got %.200s",
                Py_TYPE(object)->tp_name);
            return -1;
        }
        if (pointer_to_address(frame, type, object, &word, &place) < 0) {
            return -1;
        }
        memcpy(bytes, &word, 8);
    }
    align = size < 4 ? 4 : size;
    *offset = (*offset + align - 1) & ~(align - 1);
    memcpy(list + *offset, bytes, size);
    *offset += size;
    return 0;
}

// All arguments from *first* on: the address of their list goes to *raw*.
static int variadic_to_raw(CFunctionObject *self, cframe *frame, PyObject *const *args, Py_ssize_t first,
                           Py_ssize_t count, aw_raw *raw)
{
    raw_set_address(frame->library, raw, 0);
    if (first == count) {
        return 0;
    }
    uint64_t address;
    size_t offset = 0, room = (size_t)(count - first) * 32;
    uint8_t *list = frame_scratch(frame, room);
    if (list == NULL) {
        return -1;
    }
    for (Py_ssize_t i = first; i < count; i++) {
        if (variadic_argument(self, frame, i, args[i], list, &offset) < 0) {
            return -1;
        }
    }
    ctemporary *entry = frame_reserve(frame, room, 16, &address) < 0 ? NULL : frame_add(frame, address, room);
    if (entry == NULL) {
        return -1;
    }
    entry->bytes = list;
    raw_set_address(frame->library, raw, address);
    return 0;
}

// A pointer as what it is to come as: new reference.
static PyObject *result_pointer(CFunctionObject *self, const cframe *frame, uint64_t address)
{
    CLibraryObject *library = self->library;
    CTypeObject *type = self->result.type;
    PyObject *value = NULL;
    if (address == 0) {
        return Py_NewRef(Py_None);
    }
    if (type->item->kind == CK_FUNCTION) {
        return function_at(library, type->item, address);
    }
    if (self->result_as != RESULT_POINTER && (ctype_is_string(type) || self->result_as == RESULT_BYTES)) {
        value = string_read(library, address, self->result_as == RESULT_BYTES);
        if (value == NULL && PyErr_ExceptionMatches(PyExc_UnicodeDecodeError)) {
            raise_from(PyExc_ValueError,
                       "%U(): the result is not %U: let it come as bytes (bytes={%R}) or as a pointer (pointers={%R})",
                       self->name, library->encoding, self->name, self->name);
        }
        if (!self->releases || frame_has(frame, address)) {  // an argument came back
            return value;
        }
        PyObject *pending = aw_take_exception();
        CBlockObject *block;
        int status = block_find(library, address, &block);
        if (status == 0 && block == NULL && library_check(library) == 0) {
            status = library_free(library, self->release, address);
        }
        Py_XDECREF(block);
        if (status < 0 || pending != NULL) {
            Py_CLEAR(value);
        }
        if (pending != NULL) {
            PyErr_Clear();
            aw_put_exception(pending);
        }
        return value;
    }
    if (frame_has(frame, address)) {
        PyErr_Format(
            PyExc_ValueError,
            "%U(): the result points into the copy of an argument, which is gone now: pass memory of the library's "
            "(Library.string(), Library.array(), Library.new())",
            self->name);
        return NULL;
    }
    CBlockObject *block;
    if (block_find(library, address, &block) < 0) {
        return NULL;
    }
    if (block == NULL && self->releases) {
        block = block_new_guest(library, address, 0, false, self->release);
        if (block == NULL) {
            return NULL;
        }
    }
    value = pointer_new(library, type, address, block);
    Py_XDECREF(block);
    return value;
}

static PyObject *function_call(CFunctionObject *self, PyObject *const *args, Py_ssize_t count)
{
    CLibraryObject *library = self->library;
    aw_raw on_stack[VALUES_ON_STACK];
    aw_raw *values = self->raw_count <= VALUES_ON_STACK ? on_stack : PyMem_Calloc(self->raw_count, sizeof(*values));
    if (values == NULL) {
        return PyErr_NoMemory();
    }
    PyObject *result = NULL;
    uint64_t result_address = 0;
    uint8_t *result_bytes = NULL;
    CTypeObject *result_type = self->result.type;
    uint32_t used = 0;
    cframe frame;
    frame_begin(&frame, library);
    if (self->generation != library->generation && function_check(self) < 0) {
        goto done;
    }
    if (self->result.pass != PASS_NOTHING && self->result.quick == QUICK_NONE) {
        result_bytes = frame_scratch(&frame, result_type->size > 16 ? result_type->size : 16);
        if (result_bytes == NULL) {
            goto done;
        }
    }
    if (self->result.pass == PASS_INDIRECT) {
        if (frame_reserve(&frame, result_type->size, result_type->align, &result_address) < 0 ||
            frame_add(&frame, result_address, result_type->size) == NULL) {
            goto done;
        }
        raw_set_address(library, &values[used++], result_address);
    }
    for (Py_ssize_t i = 0; i < Py_SIZE(self); i++) {
        int more = argument_to_raw(self, &frame, i, args[i], &values[used]);
        if (more < 0) {
            goto done;
        }
        used += (uint32_t)more;
    }
    if (self->type->variadic && variadic_to_raw(self, &frame, args, Py_SIZE(self), count, &values[used]) < 0) {
        goto done;
    }
    if (frame_commit(&frame) < 0) {
        goto done;
    }
    if (func_call_raw(self->func, values, self->raw_count) < 0) {
        library_call_failed(library);
        goto done;
    }
    if (self->result.pass == PASS_INDIRECT) {
        size_t size;
        const uint8_t *base = library_memory(library, &size);
        memcpy(result_bytes, base + result_address, result_type->size);  // frame_commit has checked where it is
    }
    if (frame_copy_back(&frame) < 0) {
        goto done;
    }
    store_sweep(library->store);
    if (self->result.quick != QUICK_NONE) {
        result = result_quick(self, &values[0]);
    }
    else if (self->result.pass == PASS_SCALAR && result_type->kind == CK_POINTER) {
        result = result_pointer(self, &frame, raw_get_address(library, &values[0]));
    }
    else {
        if (self->result.pass == PASS_SCALAR) {
            scalar_from_raw(self->result.scalar, &values[0], result_bytes);
        }
        result = value_from_bytes(library, result_type, result_bytes != NULL ? result_bytes : (const uint8_t *)"");
    }
done:
    frame_end(&frame);
    if (values != on_stack) {
        PyMem_Free(values);
    }
    return result;
}

static PyObject *Function_vectorcall(PyObject *object, PyObject *const *args, size_t nargsf, PyObject *keyword_names)
{
    CFunctionObject *self = function_cast(object);
    Py_ssize_t count = PyVectorcall_NARGS(nargsf);
    if ((count != Py_SIZE(self) || keyword_names != NULL) && arguments_raise(self, count, keyword_names) < 0) {
        return NULL;
    }
    return function_call(self, args, count);
}

// --- birth ----------------------------------------------------------------------------------------------------------

// Is the module's function what the declaration makes it? 0, or -1 with LinkError.
static int function_matches(CLibraryObject *library, PyObject *name, const CTypeObject *type, const FuncObject *func)
{
    aw_valtype *types;
    aw_functype wanted;
    if (abi_functype(type, library->pointer_size, &types, &wanted) < 0) {
        return -1;
    }
    const aw_functype *given = &func->type->type;
    bool same = given->parameter_count == wanted.parameter_count && given->result_count == wanted.result_count;
    for (uint32_t i = 0; same && i < wanted.parameter_count; i++) {
        same = given->parameters[i].kind == wanted.parameters[i].kind;
    }
    for (uint32_t i = 0; same && i < wanted.result_count; i++) {
        same = given->results[i].kind == wanted.results[i].kind;
    }
    if (!same) {
        const char *utf8 = PyUnicode_AsUTF8(name);
        PyObject *declared = utf8 != NULL ? ctype_spell(type, utf8) : NULL;
        PyObject *needs = functype_wrap(library->state, &wanted);
        if (declared != NULL && needs != NULL) {
            PyErr_Format(library->state->LinkError,
                         "%U is declared as '%U', which takes a function of type %S, but the module's is %S", name,
                         declared, needs, (PyObject *)func->type);
        }
        Py_XDECREF(declared);
        Py_XDECREF(needs);
    }
    PyMem_Free(types);
    return same ? 0 : -1;
}

static CFunctionObject *function_make(CLibraryObject *library, PyObject *name, CTypeObject *type, FuncObject *func)
{
    if (function_matches(library, name, type, func) < 0) {
        return NULL;
    }
    PyTypeObject *python_type = library->state->CFunction;
    Py_ssize_t count = PyTuple_GET_SIZE(type->parameters);
    CFunctionObject *self = (CFunctionObject *)python_type->tp_alloc(python_type, count);
    if (self == NULL) {
        return NULL;
    }
    self->library = (CLibraryObject *)Py_NewRef((PyObject *)library);
    self->func = (FuncObject *)Py_NewRef((PyObject *)func);
    self->type = (CTypeObject *)Py_NewRef((PyObject *)type);
    self->name = Py_NewRef(name);
    self->generation = library->generation;
    self->raw_count = functype_values(func->type);
    self->result.type = type->item;
    self->result.pass = abi_result(type->item, &self->result.scalar);
    quick_plan(&self->result);
    bool quick = !type->variadic && self->result.quick != QUICK_NONE && self->raw_count <= VALUES_ON_STACK;
    for (Py_ssize_t i = 0; i < count; i++) {
        cparameter *parameter = &self->parameters[i];
        parameter->type = (CTypeObject *)PyTuple_GET_ITEM(type->parameters, i);
        parameter->pass = abi_pass(parameter->type, &parameter->scalar);
        quick_plan(parameter);
        quick = quick && parameter->quick != QUICK_NONE;
    }
    self->vectorcall = quick ? Function_vectorcall_numbers : Function_vectorcall;
    return self;
}

PyObject *function_new(CLibraryObject *library, PyObject *name, CTypeObject *type, FuncObject *func, const char *result,
                       PyObject *release)
{
    if (type->kind != CK_FUNCTION) {
        PyErr_SetString(PyExc_TypeError, "function(): expected a function's type");
        return NULL;
    }
    if (store_check_same(library->store, func->store, "the function") < 0) {
        return NULL;
    }
    bool is_pointer = type->item->kind == CK_POINTER && type->item->item->kind != CK_FUNCTION;
    cresult result_as = strcmp(result, "bytes") == 0     ? RESULT_BYTES
                        : strcmp(result, "pointer") == 0 ? RESULT_POINTER
                                                         : RESULT_VALUE;
    if (!is_pointer && (result_as != RESULT_VALUE || release != Py_None)) {
        PyErr_Format(PyExc_TypeError,
                     "%U(): its result is no pointer, so it is neither freed nor bytes nor kept a pointer", name);
        return NULL;
    }
    if (release != Py_None && release != Py_True && Py_TYPE(release) != library->state->Func) {
        PyErr_SetString(PyExc_TypeError, "function(): release: expected a Func, True or None");
        return NULL;
    }
    CFunctionObject *self = function_make(library, name, type, func);
    if (self != NULL) {
        self->result_as = result_as;
        self->releases = release != Py_None;
        self->release = release != Py_None && release != Py_True ? (FuncObject *)Py_NewRef(release) : NULL;
        self->rebinds = true;
    }
    return (PyObject *)self;
}

PyObject *function_new_callback(CLibraryObject *library, CTypeObject *type, PyObject *callable)
{
    if (!PyCallable_Check(callable)) {
        return PyErr_Format(PyExc_TypeError, "callback(): expected a callable, got %.200s", Py_TYPE(callable)->tp_name);
    }
    CCallbackObject *callback;
    PyObject *found;
    do {
        callback = callback_take(library, type, callable);
        if (callback == NULL) {
            return NULL;
        }
        found = function_at(library, type, callback_index(callback));
        if (found == NULL) {
            callback_give_back(callback);
            Py_DECREF(callback);
            return NULL;
        }
        if (Py_TYPE(found) != library->state->CFunction) {  // the guest emptied the element since: it serves no more
            Py_CLEAR(found);
            Py_DECREF(callback);
        }
    } while (found == NULL);
    CFunctionObject *self = function_cast(found);
    self->callback = callback;
    PyObject *name = PyObject_GetAttrString(callable, "__name__");
    if (name == NULL || !PyUnicode_Check(name)) {
        PyErr_Clear();
        Py_XDECREF(name);
        name = PyUnicode_FromString("callback");
    }
    if (name == NULL) {
        Py_DECREF(self);
        return NULL;
    }
    Py_XSETREF(self->name, name);
    return (PyObject *)self;
}

PyObject *function_at(CLibraryObject *library, CTypeObject *type, uint64_t index)
{
    StoreObject *store = library->store;
    if (library->table == NULL) {
        PyErr_SetString(library->state->LibraryError,
                        "the library exports no table of functions (link it with -Wl,--export-table)");
        return NULL;
    }
    if (library_check(library) < 0) {
        return NULL;
    }
    aw_raw raw;
    aw_error error;
    raw.func = NULL;
    if (index < store->api->table_size(library->table->item.table) &&
        store->api->table_get(library->table->item.table, index, &raw, &error) < 0) {
        return error_raise(library->state, store, &error);
    }
    if (raw.func == NULL) {  // C has values that stand for something else: SIG_IGN, SQLITE_TRANSIENT
        CTypeObject *pointer_type = ctype_pointer_to(library->state, type, false, library->pointer_size);
        PyObject *pointer = pointer_type != NULL ? pointer_new(library, pointer_type, index, NULL) : NULL;
        Py_XDECREF(pointer_type);
        return pointer;
    }
    aw_func *handle = store->api->func_from_raw(store->handle, &raw, &error);
    if (handle == NULL) {
        return error_raise(library->state, store, &error);
    }
    PyObject *name = PyUnicode_FromFormat("function_%llu", (unsigned long long)index);
    if (name == NULL) {
        store->api->func_delete(handle);
        return NULL;
    }
    PyObject *func = func_wrap(store, handle, NULL, name);
    CFunctionObject *self = func != NULL ? function_make(library, name, type, (FuncObject *)func) : NULL;
    if (self != NULL) {
        self->has_index = true;
        self->index = index;
    }
    Py_XDECREF(func);
    Py_DECREF(name);
    return (PyObject *)self;
}

// A new element of the library's table, at *index*, that holds the function: 0 or -1.
int table_add(CLibraryObject *library, aw_func *func, uint64_t *index)
{
    StoreObject *store = library->store;
    const aw_engine_api *api = store->api;
    if (library->table == NULL) {
        PyErr_SetString(
            library->state->LibraryError,
            "the library exports no table of functions, so it calls none that it is given (link it with -Wl,--export-table)");
        return -1;
    }
    aw_raw raw;
    aw_error error;
    aw_table *table = library->table->item.table;
    if (api->func_to_raw(func, &raw, &error) < 0 || api->table_grow(table, 1, &raw, index, &error) < 0 ||
        api->table_set(table, *index, &raw, &error) < 0) {
        error_raise(library->state, store, &error);
        return -1;
    }
    return 0;
}

int function_index(PyObject *object, CLibraryObject *library, uint64_t *index)
{
    CFunctionObject *self = function_cast(object);
    if (self->library != library) {
        PyErr_SetString(PyExc_ValueError, "the function is of another library");
        return -1;
    }
    if (self->generation != library->generation) {
        PyErr_Format(PyExc_ValueError, "%U is a function of the library before it was reset", self->name);
        return -1;
    }
    if (!self->has_index) {
        if (library_check(library) < 0 || table_add(library, self->func->item.func, &self->index) < 0) {
            return -1;
        }
        self->has_index = true;
    }
    *index = self->index;
    return 0;
}

int function_to_index(cframe *frame, const CTypeObject *type, PyObject *object, uint64_t *index, const cplace *place)
{
    CFunctionObject *self = function_cast(object);
    if (type != NULL && !ctype_equal(type, self->type)) {
        PyObject *text = ctype_spell(self->type, "");
        if (text != NULL) {
            place_raise(place, PyExc_TypeError, "the function is of another type: %U", text);
            Py_DECREF(text);
        }
        return -1;
    }
    if (function_index(object, frame->library, index) < 0) {
        return -1;
    }
    return self->callback != NULL ? frame_keep(frame, object) : 0;
}

// --- the Python type --------------------------------------------------------------------------------------------------

PyDoc_STRVAR(Function_rebind_doc,
             "_rebind($self, func, release, /)\n--\n\nAfter a reset: the Func of the fresh instance.");

static PyObject *Function_rebind(PyObject *object, PyObject *args)
{
    CFunctionObject *self = function_cast(object);
    core_state *state = self->library->state;
    PyObject *func, *release;
    if (!PyArg_ParseTuple(args, "O!O:_rebind", state->Func, &func, &release) ||
        store_check_same(self->library->store, ((FuncObject *)func)->store, "the function") < 0 ||
        function_matches(self->library, self->name, self->type, (FuncObject *)func) < 0) {
        return NULL;
    }
    if (!self->rebinds) {
        PyErr_SetString(PyExc_ValueError, "only the exports of a library come back after a reset");
        return NULL;
    }
    if (self->release != NULL && Py_TYPE(release) == state->Func) {
        if (store_check_same(self->library->store, ((FuncObject *)release)->store, "the function that frees") < 0 ||
            library_check_allocator(release, 0, self->library->pointer_size, "function that frees") < 0) {
            return NULL;
        }
        Py_SETREF(self->release, (FuncObject *)Py_NewRef(release));
    }
    Py_SETREF(self->func, (FuncObject *)Py_NewRef(func));
    self->generation = self->library->generation;
    self->has_index = false;
    return Py_NewRef(Py_None);
}

static int Function_traverse(PyObject *object, visitproc visit, void *arg)
{
    CFunctionObject *self = function_cast(object);
    Py_VISIT(Py_TYPE(object));
    Py_VISIT(self->library);
    Py_VISIT(self->func);
    Py_VISIT(self->type);
    Py_VISIT(self->release);
    Py_VISIT(self->callback);
    return 0;
}

static void Function_dealloc(PyObject *object)
{
    CFunctionObject *self = function_cast(object);
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    if (self->weakrefs != NULL) {
        PyObject_ClearWeakRefs(object);
    }
    if (self->callback != NULL) {
        PyObject *pending = aw_take_exception();
        callback_give_back(self->callback);
        Py_CLEAR(self->callback);
        aw_put_exception(pending);
    }
    Py_XDECREF(self->release);
    Py_XDECREF(self->func);
    Py_XDECREF(self->type);
    Py_XDECREF(self->name);
    Py_XDECREF(self->library);
    type->tp_free(object);
    Py_DECREF(type);
}

static PyObject *Function_repr(PyObject *object)
{
    CFunctionObject *self = function_cast(object);
    const char *name = PyUnicode_AsUTF8(self->name);
    PyObject *declared = name != NULL ? ctype_spell(self->type, name) : NULL;
    PyObject *text = declared != NULL
                         ? PyUnicode_FromFormat(
                               "<anywasm.clib.CFunction '%U'%s>", declared,
                               self->generation != self->library->generation ? ", of the library before its reset" : "")
                         : NULL;
    Py_XDECREF(declared);
    return text;
}

static PyObject *Function_get_type(PyObject *object, void *Py_UNUSED(closure))
{
    return Py_NewRef((PyObject *)function_cast(object)->type);
}

static PyObject *Function_get_name(PyObject *object, void *Py_UNUSED(closure))
{
    return Py_NewRef(function_cast(object)->name);
}

// Functions are equal if they are one function of the table or one export.
static PyObject *Function_richcompare(PyObject *a, PyObject *b, int op)
{
    if (Py_TYPE(a) != Py_TYPE(b) || (op != Py_EQ && op != Py_NE)) {
        Py_RETURN_NOTIMPLEMENTED;
    }
    PyObject *left = (PyObject *)function_cast(a)->func, *right = (PyObject *)function_cast(b)->func;
    return PyObject_RichCompare(left, right, op);
}

static Py_hash_t Function_hash(PyObject *object)
{
    return PyObject_Hash((PyObject *)function_cast(object)->func);
}

PyDoc_STRVAR(
    Function_doc,
    "A C function of a library's, called with Python values.\n\n"
    "A call converts each argument by its C type, calls, and converts the result; what it needs in the library's memory is\n"
    "there as long as the call. Takes no keyword arguments. Raises TypeError, OverflowError and ValueError for\n"
    "arguments that do not fit, before anything is called; Trap for what goes wrong inside; what a callback raises; and\n"
    "LibraryError after a trap, until the library is reset.");

static PyMethodDef Function_methods[] = {
    {"_rebind", Function_rebind, METH_VARARGS, Function_rebind_doc},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef Function_getset[] = {
    {"ctype", Function_get_type, NULL, "CType: its type.", NULL},
    {"__name__", Function_get_name, NULL, "str: its name.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef Function_members[] = {
    {"__vectorcalloffset__", Py_T_PYSSIZET, offsetof(CFunctionObject, vectorcall), Py_READONLY, NULL},
    {"__weaklistoffset__", Py_T_PYSSIZET, offsetof(CFunctionObject, weakrefs), Py_READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot Function_slots[] = {
    {Py_tp_doc, (void *)Function_doc},
    {Py_tp_traverse, Function_traverse},
    {Py_tp_dealloc, Function_dealloc},
    {Py_tp_repr, Function_repr},
    {Py_tp_richcompare, Function_richcompare},
    {Py_tp_hash, Function_hash},
    {Py_tp_call, PyVectorcall_Call},
    {Py_tp_methods, Function_methods},
    {Py_tp_getset, Function_getset},
    {Py_tp_members, Function_members},
    {0, NULL},
};

PyType_Spec CFunction_spec = {
    .name = "anywasm.clib.CFunction",
    .basicsize = offsetof(CFunctionObject, parameters),
    .itemsize = sizeof(cparameter),
    .flags = AW_TYPE_FLAGS | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = Function_slots,
};

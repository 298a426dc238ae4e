// SPDX-License-Identifier: Apache-2.0
// C types as the buffer protocol tells them (PEP 3118, which extends the module struct's formats): written for views of ours, and read to
// find out whether somebody's buffer has the layout of a C type.

#include "../errors.h"
#include "clib.h"

// --- writing --------------------------------------------------------------------------------------------------------

// The letter of a scalar in native and in standard size alike; 0 for what has none.
static char scalar_letter(const CTypeObject *type)
{
    static const char signed_letters[] = {[1] = 'b', [2] = 'h', [4] = 'i', [8] = 'q'};
    static const char unsigned_letters[] = {[1] = 'B', [2] = 'H', [4] = 'I', [8] = 'Q'};
    switch (type->kind) {
    case CK_BOOL:
        return '?';
    case CK_CHAR:
    case CK_INTEGER:
    case CK_ENUM:
        return type->is_signed ? signed_letters[type->size] : unsigned_letters[type->size];
    case CK_POINTER:
        return unsigned_letters[type->size];
    case CK_FLOAT:
        return type->size == 4 ? 'f' : type->size == 8 ? 'd' : 0;
    default:
        return 0;
    }
}

static PyObject *format_text(const CTypeObject *type);

// "T{=d:x:=i:n:4x}": every byte is told, so that nobody has to know the alignment.
static PyObject *struct_text(const CTypeObject *type)
{
    PyObject *text = PyUnicode_FromString("T{");
    size_t end = 0;
    for (Py_ssize_t i = 0; text != NULL && i < type->field_count; i++) {
        const cfield *field = &type->fields[i];
        if (field->bit_width > 0 || field->type->size == 0) {
            continue;  // shown as padding
        }
        if (field->offset > end) {
            Py_SETREF(text, PyUnicode_FromFormat("%U%zux", text, field->offset - end));
        }
        PyObject *inner = text != NULL ? format_text(field->type) : NULL;
        if (inner == NULL) {
            Py_CLEAR(text);
            break;
        }
        bool plain = scalar_letter(field->type) != 0 || field->type->kind == CK_COMPLEX;
        Py_SETREF(text, field->name != NULL
                            ? PyUnicode_FromFormat("%U%s%U:%U:", text, plain ? "=" : "", inner, field->name)
                            : PyUnicode_FromFormat("%U%s%U", text, plain ? "=" : "", inner));
        Py_DECREF(inner);
        end = field->offset + field->type->size;
    }
    if (text != NULL && type->size > end) {
        Py_SETREF(text, PyUnicode_FromFormat("%U%zux", text, type->size - end));
    }
    if (text != NULL) {
        Py_SETREF(text, PyUnicode_FromFormat("%U}", text));
    }
    return text;
}

static PyObject *format_text(const CTypeObject *type)
{
    char letter = scalar_letter(type);
    if (letter != 0) {
        return PyUnicode_FromFormat("%c", letter);
    }
    switch (type->kind) {
    case CK_COMPLEX:
        return type->size == 32 ? PyUnicode_FromFormat("%zus", type->size)
                                : PyUnicode_FromString(type->size == 8 ? "Zf" : "Zd");
    case CK_STRUCT:
        return struct_text(type);
    case CK_ARRAY: {
        if (type->item->kind == CK_CHAR) {
            return PyUnicode_FromFormat("%zus", type->size);
        }
        PyObject *shape = PyUnicode_FromFormat("(%zd", type->length);
        const CTypeObject *item = type->item;
        for (; shape != NULL && item->kind == CK_ARRAY && item->item->kind != CK_CHAR; item = item->item) {
            Py_SETREF(shape, PyUnicode_FromFormat("%U,%zd", shape, item->length));
        }
        PyObject *inner = shape != NULL ? format_text(item) : NULL;
        PyObject *text = inner != NULL
                             ? PyUnicode_FromFormat("%U)%s%U", shape, scalar_letter(item) != 0 ? "=" : "", inner)
                             : NULL;
        Py_XDECREF(inner);
        Py_XDECREF(shape);
        return text;
    }
    default:  // unions, long double: bytes
        return PyUnicode_FromFormat("%zus", type->size);
    }
}

const char *ctype_format(CTypeObject *type)
{
    if (type->format == NULL) {
        PyObject *text = format_text(type);
        type->format = text != NULL ? PyUnicode_AsUTF8String(text) : NULL;
        Py_XDECREF(text);
    }
    return type->format != NULL ? PyBytes_AS_STRING(type->format) : NULL;
}

// --- reading ----------------------------------------------------------------------------------------------------------

// The scalars that a layout consists of, in order; bytes that nobody tells are padding.
typedef struct {
    size_t offset, size;
    char class;  // i and u: integers, e: either, f: float, c: complex, ?: bool, s: bytes
} leaf;

typedef struct {
    leaf *leaves;
    size_t count, capacity;
} layout;

enum { MOST_LEAVES = 1 << 16 };

static int layout_add(layout *self, size_t offset, size_t size, char class)
{
    if (self->count == self->capacity) {
        size_t capacity = self->capacity == 0 ? 16 : 2 * self->capacity;
        leaf *leaves = self->count < MOST_LEAVES ? PyMem_Resize(self->leaves, leaf, capacity) : NULL;
        if (leaves == NULL) {
            PyErr_NoMemory();
            return -1;
        }
        self->leaves = leaves;
        self->capacity = capacity;
    }
    self->leaves[self->count++] = (leaf){.offset = offset, .size = size, .class = class};
    return 0;
}

static int layout_of_type(layout *self, const CTypeObject *type, size_t offset)
{
    switch (type->kind) {
    case CK_STRUCT:
        for (Py_ssize_t i = 0; i < type->field_count; i++) {
            const cfield *field = &type->fields[i];
            if (field->bit_width == 0 && layout_of_type(self, field->type, offset + field->offset) < 0) {
                return -1;
            }
        }
        return 0;
    case CK_ARRAY:
        if (type->item->kind == CK_CHAR) {
            return layout_add(self, offset, type->size, 's');
        }
        for (Py_ssize_t i = 0; i < type->length; i++) {
            if (layout_of_type(self, type->item, offset + (size_t)i * type->item->size) < 0) {
                return -1;
            }
        }
        return 0;
    case CK_BOOL:
        return layout_add(self, offset, 1, '?');
    case CK_ENUM:
        return layout_add(self, offset, type->size, 'e');
    case CK_CHAR:
    case CK_INTEGER:
        return layout_add(self, offset, type->size, type->is_signed ? 'i' : 'u');
    case CK_POINTER:
        return layout_add(self, offset, type->size, 'u');
    case CK_FLOAT:
        return layout_add(self, offset, type->size, type->size <= 8 ? 'f' : 's');
    case CK_COMPLEX:
        return layout_add(self, offset, type->size, type->size <= 16 ? 'c' : 's');
    default:
        return layout_add(self, offset, type->size, 's');
    }
}

// One letter of the module struct's: its class and size, native or standard. False for those that are none.
static bool letter_read(char letter, bool native, char *class, size_t *size)
{
    switch (letter) {
    case 'b':
    case 'B':
    case 'c':
        *size = 1;
        break;
    case 'h':
    case 'H':
        *size = 2;
        break;
    case 'i':
    case 'I':
        *size = 4;
        break;
    case 'l':
    case 'L':
        *size = native ? sizeof(long) : 4;
        break;
    case 'q':
    case 'Q':
        *size = 8;
        break;
    case 'n':
    case 'N':
    case 'P':
        *size = sizeof(size_t);
        break;
    case '?':
        *size = 1;
        *class = '?';
        return true;
    case 'f':
        *size = 4;
        *class = 'f';
        return true;
    case 'd':
        *size = 8;
        *class = 'f';
        return true;
    default:
        return false;
    }
    *class = letter == 'c' ? 's' : letter >= 'a' ? 'i' : 'u';
    return true;
}

typedef struct {
    const char *at;
    char order;  // '@', '=', '<', '>', '!', '^'
} reader;

static size_t number_read(reader *self)
{
    size_t number = 0;
    while (*self->at >= '0' && *self->at <= '9') {
        number = number < MOST_LEAVES ? number * 10 + (size_t)(*self->at - '0') : number;
        self->at++;
    }
    return number;
}

// Items up to the end or a closing brace: 1, 0 for what is not understood, -1. *size is their extent, *align their alignment.
static int items_read(reader *self, layout *out, size_t *size, size_t *align, int depth)
{
    size_t offset = 0;
    *align = 1;
    while (*self->at != 0 && *self->at != '}') {
        size_t count = 1, length, item_align = 1;
        bool counted = false;
        char class = 0;
        if (strchr("@=<>!^", *self->at) != NULL) {
            self->order = *self->at++;
            continue;
        }
        if (*self->at == ' ') {
            self->at++;
            continue;
        }
        if (*self->at == '(') {
            do {
                self->at++;
                count *= number_read(self);
                if (count > MOST_LEAVES) {
                    return 0;
                }
            } while (*self->at == ',');
            if (*self->at++ != ')') {
                return 0;
            }
            if (strchr("@=<>!^", *self->at) != NULL && *self->at != 0) {
                self->order = *self->at++;
            }
        }
        if (*self->at >= '0' && *self->at <= '9') {
            size_t number = number_read(self);
            counted = true;
            if (number > MOST_LEAVES || count * number > MOST_LEAVES) {
                return 0;
            }
            length = number;
            if (*self->at == 's' || *self->at == 'x') {
                if (*self->at++ == 's') {
                    for (size_t i = 0; i < count; i++) {
                        if (layout_add(out, offset + i * length, length, 's') < 0) {
                            return -1;
                        }
                    }
                }
                offset += count * length;
                goto name;
            }
            count *= number;
        }
        (void)counted;
        bool native = self->order == '@' || self->order == '^';
        bool swapped = self->order == '>' || self->order == '!';
        size_t first = out->count;
        if (self->at[0] == 'T' && self->at[1] == '{') {
            if (depth > 16) {
                return 0;
            }
            self->at += 2;
            char outer = self->order;
            int status = items_read(self, out, &length, &item_align, depth + 1);
            if (status <= 0) {
                return status;
            }
            if (*self->at++ != '}') {
                return 0;
            }
            self->order = outer;
        }
        else if (*self->at == 'x') {
            self->at++;
            offset += count;
            continue;
        }
        else if (*self->at == 'Z') {
            if (!letter_read(self->at[1], native, &class, &length) || class != 'f') {
                return 0;
            }
            self->at += 2;
            item_align = length;
            length *= 2;
            if ((swapped && length > 1) || layout_add(out, 0, length, 'c') < 0) {
                return PyErr_Occurred() ? -1 : 0;
            }
        }
        else {
            if (*self->at == 's') {
                class = 's';
                length = 1;
            }
            else if (!letter_read(*self->at, native, &class, &length)) {
                return 0;
            }
            self->at++;
            item_align = length;
            if ((swapped && length > 1) || layout_add(out, 0, length, class) < 0) {
                return PyErr_Occurred() ? -1 : 0;
            }
        }
        if (self->order == '@') {
            offset = (offset + item_align - 1) & ~(item_align - 1);
            *align = item_align > *align ? item_align : *align;
        }
        // What was read lies at the start of one item: here it goes to where each of them is.
        size_t parts = out->count - first;
        for (size_t i = 1; i < count; i++) {
            for (size_t j = 0; j < parts; j++) {
                leaf part = out->leaves[first + j];
                if (layout_add(out, offset + i * length + part.offset, part.size, part.class) < 0) {
                    return -1;
                }
            }
        }
        for (size_t j = 0; j < parts; j++) {
            out->leaves[first + j].offset += offset;
        }
        if (count == 0) {
            out->count = first;
        }
        offset += count * length;
    name:
        if (*self->at == ':') {
            const char *end = strchr(self->at + 1, ':');
            if (end == NULL) {
                return 0;
            }
            self->at = end + 1;
        }
    }
    *size = offset;
    return 1;
}

static bool leaf_matches(const leaf *wanted, const leaf *given)
{
    return wanted->offset == given->offset && wanted->size == given->size &&
           (wanted->class == given->class || (wanted->class == 'e' && (given->class == 'i' || given->class == 'u')));
}

int format_matches(CTypeObject *type, const char *format, Py_ssize_t itemsize)
{
    if (itemsize < 0 || (size_t)itemsize != type->size) {
        return 0;
    }
    layout wanted = {0}, given = {0};
    reader reader = {.at = format, .order = '@'};
    size_t size, align;
    int status = layout_of_type(&wanted, type, 0);
    if (status == 0) {
        status = items_read(&reader, &given, &size, &align, 0);
        if (status > 0) {
            status = *reader.at == 0 && given.count == wanted.count;
            for (size_t i = 0; status > 0 && i < wanted.count; i++) {
                status = leaf_matches(&wanted.leaves[i], &given.leaves[i]);
            }
        }
    }
    PyMem_Free(wanted.leaves);
    PyMem_Free(given.leaves);
    return status;
}

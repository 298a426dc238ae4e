// SPDX-License-Identifier: Apache-2.0
// The outline of a module, read from its binary form (specification 3.0, chapter 5).

#include "binary.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum section_id {
    SECTION_CUSTOM = 0,
    SECTION_TYPE = 1,
    SECTION_IMPORT = 2,
    SECTION_FUNCTION = 3,
    SECTION_TABLE = 4,
    SECTION_MEMORY = 5,
    SECTION_GLOBAL = 6,
    SECTION_EXPORT = 7,
    SECTION_START = 8,
    SECTION_ELEMENT = 9,
    SECTION_CODE = 10,
    SECTION_DATA = 11,
    SECTION_DATA_COUNT = 12,
    SECTION_TAG = 13,
};

static const char *const section_names[] = {
    [SECTION_CUSTOM] = "custom",         [SECTION_TYPE] = "type",     [SECTION_IMPORT] = "import",
    [SECTION_FUNCTION] = "function",     [SECTION_TABLE] = "table",   [SECTION_MEMORY] = "memory",
    [SECTION_GLOBAL] = "global",         [SECTION_EXPORT] = "export", [SECTION_START] = "start",
    [SECTION_ELEMENT] = "element",       [SECTION_CODE] = "code",     [SECTION_DATA] = "data",
    [SECTION_DATA_COUNT] = "data count", [SECTION_TAG] = "tag",
};

enum { HEADER_SIZE = 8 };

static const uint8_t module_header[HEADER_SIZE] = {0x00, 'a', 's', 'm', 0x01, 0x00, 0x00, 0x00};

const char *binary_section_name(uint8_t id)
{
    return id < sizeof(section_names) / sizeof(section_names[0]) ? section_names[id] : "unknown";
}

// --- reading bytes ----------------------------------------------------------------------------------------

// A part of the module that is being read. After a failure `error` is filled and everything read is zero; loops end
// by asking `failed`.
typedef struct reader {
    const uint8_t *start;  // of the module, for offsets in messages
    const uint8_t *at, *end;
    const char *what;  // the section, for messages
    bool failed;
    aw_error *error;
} reader;

static int reader_fail(reader *self, const char *message)
{
    if (!self->failed) {
        aw_error_set(self->error, AW_ERROR_COMPILE, "%s in the %s section at offset %zu", message, self->what,
                     (size_t)(self->at - self->start));
        self->failed = true;
    }
    self->at = self->end;
    return -1;
}

static int reader_no_memory(reader *self)
{
    if (!self->failed) {
        aw_error_set(self->error, AW_ERROR_MEMORY, "no memory left for the module's outline");
        self->failed = true;
    }
    self->at = self->end;
    return -1;
}

static size_t reader_left(const reader *self)
{
    return (size_t)(self->end - self->at);
}

static uint8_t read_byte(reader *self)
{
    if (self->at == self->end) {
        reader_fail(self, "unexpected end");
        return 0;
    }
    return *self->at++;
}

static void skip_bytes(reader *self, uint64_t count)
{
    if (count > reader_left(self)) {
        reader_fail(self, "unexpected end");
        return;
    }
    self->at += count;
}

// LEB128 (section 5.2.2) of up to *bits* bits; the unused bits of the last byte must be 0, or for signed numbers equal to the
// sign. The value comes sign-extended if is_signed.
static uint64_t read_leb(reader *self, unsigned bits, bool is_signed)
{
    uint64_t value = 0;
    for (unsigned shift = 0;; shift += 7) {
        uint8_t byte = read_byte(self);
        if (self->failed) {
            return 0;
        }
        value |= (uint64_t)(byte & 0x7F) << shift;
        bool last = (byte & 0x80) == 0;
        if (shift + 7 >= bits) {
            unsigned used = bits - shift;  // bits of this byte that count: 1 to 7
            uint8_t rest = (uint8_t)((byte & 0x7F) >> (is_signed ? used - 1 : used));
            uint8_t ones = (uint8_t)(0x7F >> (used - 1));
            if (!last || (rest != 0 && !(is_signed && rest == ones))) {
                reader_fail(self, "an integer is too large");
                return 0;
            }
        }
        if (last) {
            unsigned width = shift + 7;
            if (is_signed && (byte & 0x40) != 0 && width < 64) {
                value |= ~UINT64_C(0) << width;
            }
            return value;
        }
    }
}

static uint32_t read_u32(reader *self)
{
    return (uint32_t)read_leb(self, 32, false);
}

// The number of entries that follow, each of at least *entry_size* bytes.
static uint32_t read_count(reader *self, size_t entry_size)
{
    uint32_t count = read_u32(self);
    if (!self->failed && count > reader_left(self) / entry_size) {
        reader_fail(self, "a count is larger than the section");
        return 0;
    }
    return self->failed ? 0 : count;
}

// Well-formed UTF-8 (Unicode 15, table 3-7): no overlong forms, surrogates, or values beyond 10FFFF.
static bool utf8_valid(const uint8_t *at, const uint8_t *end)
{
    while (at < end) {
        uint8_t lead = *at++;
        if (lead < 0x80) {
            continue;
        }
        int more = lead >= 0xF0 ? 3 : lead >= 0xE0 ? 2 : 1;
        if (lead < 0xC2 || lead > 0xF4 || end - at < more) {
            return false;
        }
        uint8_t low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
        uint8_t high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
        if (*at < low || *at > high) {
            return false;
        }
        for (int i = 1; i < more; i++) {
            if ((at[i] & 0xC0) != 0x80) {
                return false;
            }
        }
        at += more;
    }
    return true;
}

static binary_name read_name(reader *self)
{
    binary_name name = {"", 0};
    uint32_t length = read_u32(self);
    if (self->failed) {
        return name;
    }
    if (length > reader_left(self)) {
        reader_fail(self, "unexpected end");
        return name;
    }
    if (!utf8_valid(self->at, self->at + length)) {
        reader_fail(self, "a name is not UTF-8");
        return name;
    }
    name = (binary_name){(const char *)self->at, length};
    self->at += length;
    return name;
}

// --- types ------------------------------------------------------------------------------------------------

// A heap type's number (section 5.3.3), 0 if it is none.
static aw_heaptype abstract_heap(uint8_t byte)
{
    switch (byte) {
    case 0x69:
        return AW_HEAP_EXN;
    case 0x6A:
        return AW_HEAP_ARRAY;
    case 0x6B:
        return AW_HEAP_STRUCT;
    case 0x6C:
        return AW_HEAP_I31;
    case 0x6D:
        return AW_HEAP_EQ;
    case 0x6E:
        return AW_HEAP_ANY;
    case 0x6F:
        return AW_HEAP_EXTERN;
    case 0x70:
        return AW_HEAP_FUNC;
    case 0x71:
        return AW_HEAP_NONE;
    case 0x72:
        return AW_HEAP_NOEXTERN;
    case 0x73:
        return AW_HEAP_NOFUNC;
    case 0x74:
        return AW_HEAP_NOEXN;
    default:
        return AW_HEAP_NONE_OF;
    }
}

// A value type. Concrete ones are looked up in *types*, which may be NULL: then their heap is still open.
static aw_valtype read_valtype(reader *self, const binary_type *types, uint32_t type_count)
{
    aw_valtype type = {0};
    uint8_t byte = read_byte(self);
    if (byte >= 0x7B && byte <= 0x7F) {  // v128, f64, f32, i64, i32
        type.kind = (uint8_t)(AW_V128 - (byte - 0x7B));
        return type;
    }
    type.kind = AW_REF;
    if (byte != 0x63 && byte != 0x64) {  // a shorthand: a nullable reference to an abstract type
        type.nullable = 1;
        type.heap = (uint8_t)abstract_heap(byte);
        if (type.heap == AW_HEAP_NONE_OF) {
            reader_fail(self, "an unknown value type");
        }
        return type;
    }
    type.nullable = byte == 0x63;
    int64_t index = (int64_t)read_leb(self, 33, true);
    if (index < 0) {
        type.heap = index >= -64 ? (uint8_t)abstract_heap((uint8_t)(index & 0x7F)) : AW_HEAP_NONE_OF;
        if (type.heap == AW_HEAP_NONE_OF) {
            reader_fail(self, "an unknown heap type");
        }
        return type;
    }
    type.concrete = 1;
    if (types != NULL) {
        if (index >= (int64_t)type_count) {
            reader_fail(self, "an unknown type index");
            return type;
        }
        type.heap = (uint8_t)types[index].form;
    }
    return type;
}

// What the type section holds is read twice: first to learn how many types there are and of which form each is (a type may
// refer to later ones of its group), then to write the function types down.
typedef struct type_reading {
    binary_type *types;    // second reading: where to, and what the first one found
    uint32_t type_count;   // first reading: how many so far; second: all
    uint32_t next;         // second reading: the type to write
    aw_valtype *valtypes;  // second reading
    size_t valtype_count;  // so far
    uint8_t *forms;        // first reading: aw_heaptype of each type
    size_t form_capacity;
} type_reading;

static void read_field(reader *self)
{
    if (self->at < self->end && (*self->at == 0x77 || *self->at == 0x78)) {  // packed: i16, i8
        self->at++;
    }
    else {
        read_valtype(self, NULL, 0);
    }
    if (read_byte(self) > 1) {
        reader_fail(self, "an unknown mutability");
    }
}

static uint32_t read_result_types(reader *self, type_reading *reading)
{
    uint32_t count = read_count(self, 1);
    for (uint32_t i = 0; i < count && !self->failed; i++) {
        aw_valtype type = read_valtype(self, reading->types, reading->type_count);
        if (reading->valtypes != NULL && !self->failed) {
            reading->valtypes[reading->valtype_count] = type;
        }
        reading->valtype_count++;
    }
    return count;
}

static void add_form(reader *self, type_reading *reading, aw_heaptype form)
{
    if (reading->type_count == reading->form_capacity) {
        size_t capacity = reading->form_capacity * 2 + 16;
        uint8_t *forms = realloc(reading->forms, capacity);
        if (forms == NULL) {
            reader_no_memory(self);
            return;
        }
        reading->forms = forms;
        reading->form_capacity = capacity;
    }
    reading->forms[reading->type_count++] = (uint8_t)form;
}

static void read_composite_type(reader *self, type_reading *reading, uint8_t byte)
{
    aw_heaptype form = byte == 0x60 ? AW_HEAP_FUNC : byte == 0x5F ? AW_HEAP_STRUCT : AW_HEAP_ARRAY;
    size_t first = reading->valtype_count;
    uint32_t parameter_count = 0, result_count = 0;
    switch (byte) {
    case 0x60:
        parameter_count = read_result_types(self, reading);
        result_count = read_result_types(self, reading);
        break;
    case 0x5F:
        for (uint32_t count = read_count(self, 2); count > 0 && !self->failed; count--) {
            read_field(self);
        }
        break;
    case 0x5E:
        read_field(self);
        break;
    default:
        reader_fail(self, "an unknown form of type");
    }
    if (self->failed) {
        return;
    }
    if (reading->types == NULL) {
        add_form(self, reading, form);
        return;
    }
    binary_type *type = &reading->types[reading->next++];
    if (form == AW_HEAP_FUNC) {
        type->functype = (aw_functype){
            .parameter_count = parameter_count,
            .result_count = result_count,
            .parameters = reading->valtypes + first,
            .results = reading->valtypes + first + parameter_count,
        };
    }
}

static void read_sub_type(reader *self, type_reading *reading, uint8_t byte)
{
    if (byte == 0x50 || byte == 0x4F) {  // sub, sub final: the supertypes come first
        for (uint32_t count = read_count(self, 1); count > 0 && !self->failed; count--) {
            read_u32(self);
        }
        byte = read_byte(self);
    }
    read_composite_type(self, reading, byte);
}

static void read_type_entries(reader *self, type_reading *reading)
{
    for (uint32_t count = read_count(self, 2); count > 0 && !self->failed; count--) {
        uint8_t byte = read_byte(self);
        if (byte != 0x4E) {
            read_sub_type(self, reading, byte);
            continue;
        }
        for (uint32_t members = read_count(self, 2); members > 0 && !self->failed; members--) {
            read_sub_type(self, reading, read_byte(self));
        }
    }
}

static void read_type_section(reader *self, binary_outline *outline)
{
    const uint8_t *start = self->at;
    type_reading reading = {0};
    read_type_entries(self, &reading);
    const uint8_t *end = self->at;
    if (!self->failed && outline->types != NULL) {
        reader_fail(self, "a second one");
    }
    if (!self->failed) {
        outline->types = calloc((size_t)reading.type_count + 1, sizeof(*outline->types));
        outline->valtypes = calloc(reading.valtype_count + 1, sizeof(*outline->valtypes));
        if (outline->types == NULL || outline->valtypes == NULL) {
            reader_no_memory(self);
        }
    }
    if (!self->failed) {
        outline->type_count = reading.type_count;
        for (uint32_t i = 0; i < reading.type_count; i++) {
            outline->types[i].form = (aw_heaptype)reading.forms[i];
        }
        reading.types = outline->types;
        reading.valtypes = outline->valtypes;
        reading.valtype_count = 0;
        self->at = start;
        read_type_entries(self, &reading);
        if (!self->failed) {
            self->at = end;
        }
    }
    free(reading.forms);
}

// --- external types ---------------------------------------------------------------------------------------

static aw_limits read_limits(reader *self, bool *shared)
{
    aw_limits limits = {0};
    uint8_t flags = read_byte(self);
    if (flags > 0x0F) {
        reader_fail(self, "unknown limits");
    }
    limits.has_max = (flags & 0x01) != 0;
    *shared = (flags & 0x02) != 0;
    limits.is64 = (flags & 0x04) != 0;
    limits.min = read_leb(self, 64, false);
    limits.max = limits.has_max ? read_leb(self, 64, false) : 0;
    if ((flags & 0x08) != 0) {  // a page size of its own, which aw_memorytype cannot tell
        read_u32(self);
    }
    return limits;
}

static aw_tabletype read_tabletype(reader *self, const binary_outline *outline)
{
    aw_tabletype type = {.element = read_valtype(self, outline->types, outline->type_count)};
    bool shared;
    if (type.element.kind != AW_REF) {
        reader_fail(self, "a table of something else than references");
    }
    type.limits = read_limits(self, &shared);
    return type;
}

static aw_memorytype read_memorytype(reader *self)
{
    aw_memorytype type = {0};
    type.limits = read_limits(self, &type.shared);
    return type;
}

static aw_globaltype read_globaltype(reader *self, const binary_outline *outline)
{
    aw_globaltype type = {.value = read_valtype(self, outline->types, outline->type_count)};
    uint8_t is_mutable = read_byte(self);
    if (is_mutable > 1) {
        reader_fail(self, "an unknown mutability");
    }
    type.is_mutable = is_mutable == 1;
    return type;
}

static uint32_t read_functype_index(reader *self, const binary_outline *outline)
{
    uint32_t index = read_u32(self);
    if (!self->failed && (index >= outline->type_count || outline->types[index].form != AW_HEAP_FUNC)) {
        reader_fail(self, "an index that is no function type's");
        return 0;
    }
    return index;
}

static uint32_t read_tagtype(reader *self, const binary_outline *outline)
{
    if (read_byte(self) != 0) {
        reader_fail(self, "an unknown attribute of a tag");
    }
    return read_functype_index(self, outline);
}

static binary_externtype read_externtype(reader *self, const binary_outline *outline, uint8_t kind)
{
    binary_externtype type = {.kind = (aw_externkind)kind};
    switch (kind) {
    case AW_EXTERN_FUNC:
        type.type_index = read_functype_index(self, outline);
        break;
    case AW_EXTERN_TABLE:
        type.table = read_tabletype(self, outline);
        break;
    case AW_EXTERN_MEMORY:
        type.memory = read_memorytype(self);
        break;
    case AW_EXTERN_GLOBAL:
        type.global = read_globaltype(self, outline);
        break;
    case AW_EXTERN_TAG:
        type.type_index = read_tagtype(self, outline);
        break;
    default:
        type.kind = AW_EXTERN_FUNC;
        reader_fail(self, "an unknown kind of import");
    }
    return type;
}

static void add_item(reader *self, binary_outline *outline, const binary_externtype *type)
{
    if (self->failed) {
        return;
    }
    binary_items *list = &outline->kinds[type->kind];
    if (list->count == list->capacity) {
        uint32_t capacity = list->capacity < 16 ? 16 : list->capacity * 2;
        // Each item took at least one byte, so a module of less than 4 GiB cannot overflow this.
        binary_externtype *items = capacity > list->count ? realloc(list->items, (size_t)capacity * sizeof(*items))
                                                          : NULL;
        if (items == NULL) {
            reader_no_memory(self);
            return;
        }
        list->items = items;
        list->capacity = capacity;
    }
    list->items[list->count++] = *type;
}

// --- constant expressions ---------------------------------------------------------------------------------

// Skip one (section 3.4.13, and numbers of instructions from section 5.4). Only what may stand in one is known.
static void skip_expression(reader *self)
{
    while (!self->failed) {
        uint8_t opcode = read_byte(self);
        switch (opcode) {
        case 0x0B:  // end
            return;
        case 0x23:  // global.get
        case 0xD2:  // ref.func
            read_u32(self);
            break;
        case 0x41:  // i32.const
            read_leb(self, 32, true);
            break;
        case 0x42:  // i64.const
            read_leb(self, 64, true);
            break;
        case 0x43:  // f32.const
            skip_bytes(self, 4);
            break;
        case 0x44:  // f64.const
            skip_bytes(self, 8);
            break;
        case 0x6A:  // i32.add, sub, mul
        case 0x6B:
        case 0x6C:
        case 0x7C:  // i64.add, sub, mul
        case 0x7D:
        case 0x7E:
            break;
        case 0xD0:  // ref.null
            read_leb(self, 33, true);
            break;
        case 0xFB:
            switch (read_u32(self)) {
            case 0:  // struct.new
            case 1:  // struct.new_default
            case 6:  // array.new
            case 7:  // array.new_default
                read_u32(self);
                break;
            case 8:  // array.new_fixed
                read_u32(self);
                read_u32(self);
                break;
            case 26:  // any.convert_extern
            case 27:  // extern.convert_any
            case 28:  // ref.i31
                break;
            default:
                reader_fail(self, "an instruction that is not constant");
            }
            break;
        case 0xFD:
            if (read_u32(self) != 12) {  // v128.const
                reader_fail(self, "an instruction that is not constant");
            }
            skip_bytes(self, 16);
            break;
        default:
            reader_fail(self, "an instruction that is not constant");
        }
    }
}

// --- sections ---------------------------------------------------------------------------------------------

static void read_import_section(reader *self, binary_outline *outline)
{
    uint32_t count = read_count(self, 4);  // two empty names, the kind, a type index
    if (!self->failed && outline->imports != NULL) {
        reader_fail(self, "a second one");
    }
    if (self->failed) {
        return;
    }
    outline->imports = calloc((size_t)count + 1, sizeof(*outline->imports));
    if (outline->imports == NULL) {
        reader_no_memory(self);
        return;
    }
    for (uint32_t i = 0; i < count && !self->failed; i++) {
        binary_import *import = &outline->imports[i];
        import->module = read_name(self);
        import->name = read_name(self);
        import->type = read_externtype(self, outline, read_byte(self));
        add_item(self, outline, &import->type);
        outline->import_count = i + 1;
    }
}

static void read_table(reader *self, binary_outline *outline)
{
    bool has_expression = self->at < self->end && *self->at == 0x40;
    if (has_expression) {
        self->at++;
        if (read_byte(self) != 0) {
            reader_fail(self, "an unknown form of table");
        }
    }
    binary_externtype type = {.kind = AW_EXTERN_TABLE};
    type.table = read_tabletype(self, outline);
    if (has_expression) {
        skip_expression(self);
    }
    add_item(self, outline, &type);
}

// The definitions of functions, tables, memories, globals and tags.
static void read_definitions(reader *self, binary_outline *outline, aw_externkind kind)
{
    for (uint32_t count = read_count(self, 1); count > 0 && !self->failed; count--) {
        if (kind == AW_EXTERN_TABLE) {
            read_table(self, outline);
            continue;
        }
        binary_externtype type = read_externtype(self, outline, (uint8_t)kind);
        if (kind == AW_EXTERN_GLOBAL) {
            skip_expression(self);
        }
        add_item(self, outline, &type);
    }
}

static void read_export_section(reader *self, binary_outline *outline)
{
    uint32_t count = read_count(self, 3);  // an empty name, the kind, an index
    if (!self->failed && outline->exports != NULL) {
        reader_fail(self, "a second one");
    }
    if (self->failed) {
        return;
    }
    outline->exports = calloc((size_t)count + 1, sizeof(*outline->exports));
    if (outline->exports == NULL) {
        reader_no_memory(self);
        return;
    }
    for (uint32_t i = 0; i < count && !self->failed; i++) {
        binary_export *export = &outline->exports[i];
        export->name = read_name(self);
        uint8_t kind = read_byte(self);
        export->index = read_u32(self);
        if (self->failed) {
            return;
        }
        if (kind > AW_EXTERN_TAG || export->index >= outline->kinds[kind].count) {
            reader_fail(self, "an export of something that is not there");
            return;
        }
        export->kind = (aw_externkind)kind;
        outline->export_count = i + 1;
    }
}

static void read_section(reader *self, binary_outline *outline, binary_section *section)
{
    switch (section->id) {
    case SECTION_CUSTOM:
        section->name = read_name(self);
        section->data_offset = (size_t)(self->at - self->start);
        section->data_size = reader_left(self);
        return;
    case SECTION_TYPE:
        read_type_section(self, outline);
        break;
    case SECTION_IMPORT:
        read_import_section(self, outline);
        break;
    case SECTION_FUNCTION:
        read_definitions(self, outline, AW_EXTERN_FUNC);
        break;
    case SECTION_TABLE:
        read_definitions(self, outline, AW_EXTERN_TABLE);
        break;
    case SECTION_MEMORY:
        read_definitions(self, outline, AW_EXTERN_MEMORY);
        break;
    case SECTION_GLOBAL:
        read_definitions(self, outline, AW_EXTERN_GLOBAL);
        break;
    case SECTION_TAG:
        read_definitions(self, outline, AW_EXTERN_TAG);
        break;
    case SECTION_EXPORT:
        read_export_section(self, outline);
        break;
    default:  // what only engines read
        return;
    }
    if (!self->failed && self->at != self->end) {
        reader_fail(self, "unread bytes");
    }
}

static binary_section *add_section(reader *self, binary_outline *outline)
{
    // Sections are few, but an empty one takes two bytes only: grow by doubling.
    uint32_t count = outline->section_count;
    if (count == 0 || (count >= 16 && (count & (count - 1)) == 0)) {
        size_t capacity = count == 0 ? 16 : (size_t)count * 2;
        binary_section *sections = realloc(outline->sections, capacity * sizeof(*sections));
        if (sections == NULL) {
            reader_no_memory(self);
            return NULL;
        }
        outline->sections = sections;
    }
    binary_section *section = &outline->sections[outline->section_count++];
    memset(section, 0, sizeof(*section));
    section->name.bytes = "";
    return section;
}

int binary_read(const uint8_t *bytes, size_t length, binary_outline *outline, aw_error *error)
{
    memset(outline, 0, sizeof(*outline));
    outline->bytes = bytes;
    outline->length = length;
    if (length < HEADER_SIZE || memcmp(bytes, module_header, HEADER_SIZE) != 0) {
        return aw_error_set(error, AW_ERROR_COMPILE, "not a module: the header is missing");
    }
    if (length > UINT32_MAX) {  // counts and offsets of the format are 32 bits wide
        return aw_error_set(error, AW_ERROR_COMPILE, "the module is larger than 4 GiB");
    }
    reader all = {.start = bytes, .at = bytes + HEADER_SIZE, .end = bytes + length, .what = "last", .error = error};
    while (all.at < all.end && !all.failed) {
        size_t start = (size_t)(all.at - bytes);
        uint8_t id = read_byte(&all);
        all.what = binary_section_name(id);
        uint32_t size = read_u32(&all);
        size_t offset = (size_t)(all.at - bytes);
        skip_bytes(&all, size);
        binary_section *section = all.failed ? NULL : add_section(&all, outline);
        if (section == NULL) {
            break;
        }
        section->id = id;
        section->start = start;
        section->offset = section->data_offset = offset;
        section->size = section->data_size = size;
        reader part = {
            .start = bytes, .at = bytes + offset, .end = bytes + offset + size, .what = all.what, .error = error};
        read_section(&part, outline, section);
        all.failed = part.failed;
    }
    return all.failed ? -1 : 0;
}

void binary_free(binary_outline *outline)
{
    free(outline->types);
    free(outline->valtypes);
    free(outline->imports);
    free(outline->exports);
    free(outline->sections);
    for (int kind = 0; kind <= AW_EXTERN_TAG; kind++) {
        free(outline->kinds[kind].items);
    }
    memset(outline, 0, sizeof(*outline));
}

// --- skeletons --------------------------------------------------------------------------------------------

static bool section_is_kept(const binary_section *section)
{
    static const char debug[] = ".debug_";  // DWARF: often larger than all the rest
    switch (section->id) {
    case SECTION_START:
    case SECTION_ELEMENT:
    case SECTION_CODE:
    case SECTION_DATA:
    case SECTION_DATA_COUNT:
        return false;
    case SECTION_CUSTOM:
        return section->name.length < sizeof(debug) - 1 || memcmp(section->name.bytes, debug, sizeof(debug) - 1) != 0;
    default:
        return true;
    }
}

int binary_skeleton(const binary_outline *outline, uint8_t **out, size_t *size)
{
    uint8_t *copy = malloc(outline->length);
    if (copy == NULL) {
        return -1;
    }
    memcpy(copy, outline->bytes, HEADER_SIZE);
    size_t length = HEADER_SIZE;
    for (uint32_t i = 0; i < outline->section_count; i++) {
        const binary_section *section = &outline->sections[i];
        if (section_is_kept(section)) {
            size_t whole = section->offset + section->size - section->start;
            memcpy(copy + length, outline->bytes + section->start, whole);
            length += whole;
        }
    }
    *out = copy;
    *size = length;
    return 0;
}

// --- the name section -------------------------------------------------------------------------------------

static int read_function_names(reader *self, binary_names *names)
{
    uint32_t count = read_count(self, 2);
    if (self->failed || count == 0 || names->functions != NULL) {
        return 0;
    }
    names->functions = malloc((size_t)count * sizeof(*names->functions));
    if (names->functions == NULL) {
        return -1;
    }
    for (uint32_t i = 0; i < count; i++) {
        uint32_t index = read_u32(self);
        binary_name name = read_name(self);
        // The indices increase; what does not is damage.
        if (self->failed || (i > 0 && index <= names->functions[i - 1].index)) {
            break;
        }
        names->functions[i] = (binary_function_name){index, name};
        names->function_count = i + 1;
    }
    return 0;
}

static int read_name_section(reader *self, binary_names *names)
{
    while (self->at < self->end && !self->failed) {
        uint8_t id = read_byte(self);
        uint32_t size = read_u32(self);
        const uint8_t *start = self->at;
        skip_bytes(self, size);
        if (self->failed) {
            break;
        }
        reader part = {.start = self->start, .at = start, .end = start + size, .what = "name", .error = self->error};
        if (id == 0) {
            binary_name name = read_name(&part);
            if (!part.failed) {
                names->module = name;
            }
        }
        else if (id == 1 && read_function_names(&part, names) < 0) {
            return -1;
        }
    }
    return 0;
}

int binary_read_names(const uint8_t *bytes, size_t length, binary_names *names)
{
    memset(names, 0, sizeof(*names));
    if (length < HEADER_SIZE) {
        return 0;
    }
    aw_error ignored;
    reader all = {.start = bytes, .at = bytes + HEADER_SIZE, .end = bytes + length, .what = "name", .error = &ignored};
    while (all.at < all.end && !all.failed) {
        uint8_t id = read_byte(&all);
        uint32_t size = read_u32(&all);
        const uint8_t *start = all.at;
        skip_bytes(&all, size);
        if (id != SECTION_CUSTOM || all.failed) {
            continue;
        }
        reader part = {.start = bytes, .at = start, .end = start + size, .what = "name", .error = &ignored};
        binary_name name = read_name(&part);
        if (!part.failed && name.length == 4 && memcmp(name.bytes, "name", 4) == 0) {
            return read_name_section(&part, names);
        }
    }
    return 0;
}

static int compare_function_names(const void *a, const void *b)
{
    uint32_t left = ((const binary_function_name *)a)->index, right = ((const binary_function_name *)b)->index;
    return (left > right) - (left < right);
}

int binary_names_from_exports(const binary_outline *outline, binary_names *names)
{
    free(names->functions);
    names->function_count = 0;
    names->functions = malloc(((size_t)outline->export_count + 1) * sizeof(*names->functions));
    if (names->functions == NULL) {
        return -1;
    }
    for (uint32_t i = 0; i < outline->export_count; i++) {
        const binary_export *export = &outline->exports[i];
        if (export->kind == AW_EXTERN_FUNC) {
            names->functions[names->function_count++] = (binary_function_name){export->index, export->name};
        }
    }
    qsort(names->functions, names->function_count, sizeof(*names->functions), compare_function_names);
    return 0;
}

void binary_free_names(binary_names *names)
{
    free(names->functions);
    memset(names, 0, sizeof(*names));
}

const binary_name *binary_find_function_name(const binary_names *names, uint32_t function_index)
{
    uint32_t low = 0, high = names->function_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (names->functions[middle].index < function_index) {
            low = middle + 1;
        }
        else {
            high = middle;
        }
    }
    return low < names->function_count && names->functions[low].index == function_index ? &names->functions[low].name
                                                                                        : NULL;
}

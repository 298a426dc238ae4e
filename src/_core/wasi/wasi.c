// SPDX-License-Identifier: Apache-2.0
// A program's world: its arguments and environment, how it ends, and the table of functions that it imports.

#include "internal.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/random.h>

// --- birth and death ---------------------------------------------------------------------------------------

aw_wasi *aw_wasi_new(const aw_wasi_host *host)
{
    aw_wasi *wasi = calloc(1, sizeof(*wasi));
    if (wasi != NULL) {
        wasi->host = *host;
    }
    return wasi;
}

static void texts_free(wasi_texts *texts)
{
    for (size_t i = 0; i < texts->count; i++) {
        free(texts->items[i].text);
    }
    free(texts->items);
}

void aw_wasi_delete(aw_wasi *wasi)
{
    descriptors_close(wasi);
    waker_close(wasi);
    texts_free(&wasi->arguments);
    texts_free(&wasi->environment);
    free(wasi);
}

void aw_wasi_set_engine(aw_wasi *wasi, const aw_engine_api *api)
{
    wasi->api = api;
}

void aw_wasi_avoid_openat2(aw_wasi *wasi)
{
    wasi->openat2 = OPENAT2_MISSING;
}

static int texts_add(wasi_texts *texts, const char *text, size_t length)
{
    if (length > INT32_MAX || texts->bytes > INT32_MAX - length - 1 || texts->count >= INT32_MAX / 4) {
        return -1;
    }
    wasi_text *items = realloc(texts->items, (texts->count + 1) * sizeof(*items));
    if (items == NULL) {
        return -1;
    }
    texts->items = items;
    char *copy = malloc(length + 1);
    if (copy == NULL) {
        return -1;
    }
    memcpy(copy, text, length);
    copy[length] = '\0';
    texts->items[texts->count++] = (wasi_text){.text = copy, .length = (uint32_t)length};
    texts->bytes += length + 1;
    return 0;
}

int aw_wasi_add_argument(aw_wasi *wasi, const char *text, size_t length)
{
    return texts_add(&wasi->arguments, text, length);
}

int aw_wasi_add_environment(aw_wasi *wasi, const char *text, size_t length)
{
    return texts_add(&wasi->environment, text, length);
}

bool aw_wasi_take_exit(aw_wasi *wasi, uint32_t *status)
{
    bool exited = wasi->exited;
    wasi->exited = false;
    *status = wasi->status;
    return exited;
}

// --- arguments and environment ---------------------------------------------------------------------------------

static int texts_sizes(wasi_call *call, const wasi_texts *texts, const aw_raw *arguments)
{
    uint32_t count = (uint32_t)texts->count, bytes = (uint32_t)texts->bytes;
    return guest_store(call, u32(&arguments[0]), &count, 4) && guest_store(call, u32(&arguments[1]), &bytes, 4)
               ? WASI_OK
               : WASI_EFAULT;
}

static int texts_get(wasi_call *call, const wasi_texts *texts, const aw_raw *arguments)
{
    uint32_t pointers = u32(&arguments[0]), place = u32(&arguments[1]);
    uint8_t *bytes = guest_bytes(call, place, texts->bytes);
    if (bytes == NULL || guest_bytes(call, pointers, 4 * (uint64_t)texts->count) == NULL) {
        return WASI_EFAULT;
    }
    for (size_t i = 0; i < texts->count; i++) {
        guest_store(call, pointers + 4 * (uint32_t)i, &place, 4);
        memcpy(bytes, texts->items[i].text, texts->items[i].length + 1);
        bytes += texts->items[i].length + 1;
        place += texts->items[i].length + 1;
    }
    return WASI_OK;
}

int wasi_args_sizes_get(wasi_call *call, const aw_raw *arguments)
{
    return texts_sizes(call, &call->wasi->arguments, arguments);
}

int wasi_args_get(wasi_call *call, const aw_raw *arguments)
{
    return texts_get(call, &call->wasi->arguments, arguments);
}

int wasi_environ_sizes_get(wasi_call *call, const aw_raw *arguments)
{
    return texts_sizes(call, &call->wasi->environment, arguments);
}

int wasi_environ_get(wasi_call *call, const aw_raw *arguments)
{
    return texts_get(call, &call->wasi->environment, arguments);
}

// --- the process -------------------------------------------------------------------------------------------------

int wasi_proc_exit(wasi_call *call, const aw_raw *arguments)
{
    call->wasi->exited = true;
    call->wasi->status = u32(&arguments[0]);
    return WASI_EXITED;
}

// A signal to itself: what it does where nobody handles it. A program that it ends has the status that a shell tells of one.
int wasi_proc_raise(wasi_call *call, const aw_raw *arguments)
{
    enum { NONE = 0, PIPE = 13, CHLD = 16, CONT = 17, STOP = 18, TTOU = 21, URG = 22, WINCH = 27, SYS = 30 };
    uint32_t number = u32(&arguments[0]);
    switch (number) {
    case NONE:
    case PIPE:
    case CHLD:
    case CONT:
    case URG:
    case WINCH:
        return WASI_OK;
    default:
        break;
    }
    if (number > SYS) {
        return WASI_EINVAL;
    }
    if (number >= STOP && number <= TTOU) {
        return WASI_ENOTSUP;  // nobody could continue it
    }
    call->wasi->exited = true;
    call->wasi->status = 128 + number + (number > CHLD);  // the host has one more below these
    return WASI_EXITED;
}

int wasi_sched_yield(wasi_call *call, const aw_raw *arguments)
{
    (void)call;
    (void)arguments;
    sched_yield();
    return WASI_OK;
}

// xoshiro256** (Blackman, Vigna: "Scrambled linear pseudorandom number generators"), for who wants the same numbers again.
static uint64_t random_next(uint64_t state[4])
{
    uint64_t product = state[1] * 5, result = (product << 7 | product >> 57) * 9, shifted = state[1] << 17;
    state[2] ^= state[0];
    state[3] ^= state[1];
    state[1] ^= state[2];
    state[0] ^= state[3];
    state[2] ^= shifted;
    state[3] = state[3] << 45 | state[3] >> 19;
    return result;
}

void aw_wasi_set_seed(aw_wasi *wasi, const uint8_t seed[AW_WASI_SEED])
{
    memcpy(wasi->random_state, seed, AW_WASI_SEED);
    wasi->random_state[0] |= 1;  // not all may be zero
    wasi->seeded = true;
}

// As many bytes as there are, or as fit into a slice: how many, or -1 and errno.
static ssize_t random_fill(aw_wasi *wasi, uint8_t *bytes, size_t length)
{
    if (!wasi->seeded) {
        return getrandom(bytes, length, 0);
    }
    for (size_t done = 0; done < length; done += 8) {
        uint64_t number = random_next(wasi->random_state);
        memcpy(bytes + done, &number, length - done < 8 ? length - done : 8);
    }
    return (ssize_t)length;
}

int wasi_random_get(wasi_call *call, const aw_raw *arguments)
{
    enum { SLICE = 1 << 24 };  // some tens of milliseconds
    size_t length = u32(&arguments[1]);
    uint8_t *bytes = guest_bytes(call, u32(&arguments[0]), length);
    if (bytes == NULL) {
        return WASI_EFAULT;
    }
    while (length > 0) {
        ssize_t done = random_fill(call->wasi, bytes, length < SLICE ? length : SLICE);
        if (done < 0 && errno != EINTR) {
            return wasi_errno();
        }
        bytes += done > 0 ? done : 0;
        length -= done > 0 ? (size_t)done : 0;
        if (length > 0 && wasi_check(call->wasi) < 0) {
            return WASI_RAISED;
        }
    }
    return WASI_OK;
}

// --- the functions' table --------------------------------------------------------------------------------------------

void call_refresh(wasi_call *call)
{
    if (!call->wasi->api->caller_memory(call->caller, &call->memory, &call->size)) {
        call->memory = NULL;
        call->size = 0;
    }
}

// The way in of each: the guest's memory, the call, the errno.
static aw_hostresult enter(void *env, aw_caller *caller, aw_raw *values, wasi_function function)
{
    wasi_call call = {.wasi = env, .caller = caller};
    if (call.wasi->api == NULL) {
        return AW_HOST_FAILED;
    }
    call_refresh(&call);
    wasi_call *outer = call.wasi->call;
    call.wasi->call = &call;
    int result = function(&call, values);
    call.wasi->call = outer;
    if (result < 0) {
        return AW_HOST_FAILED;
    }
    values[0].bits[0] = (uint32_t)result;
    return AW_HOST_OK;
}

#define X(name, signature)                                                          \
    static aw_hostresult enter_##name(void *env, aw_caller *caller, aw_raw *values) \
    {                                                                               \
        return enter(env, caller, values, wasi_##name);                             \
    }
WASI_FUNCTIONS(X)
#undef X

enum { MOST_PARAMETERS = 9 };

typedef struct table_row {
    const char *name, *signature;
    aw_hostfunc function;
    aw_valtype parameters[MOST_PARAMETERS];
    aw_functype type;
} table_row;

static table_row table[] = {
#define X(name, signature) {#name, signature, enter_##name, {{0}}, {0}},
    WASI_FUNCTIONS(X)
#undef X
};

enum { TABLE_ROWS = sizeof(table) / sizeof(table[0]) };
_Static_assert(TABLE_ROWS == 46, "all of preview 1 (45 functions and sock_accept)");

static void table_fill(void)
{
    static const aw_valtype i32 = {.kind = AW_I32};
    for (int i = 0; i < TABLE_ROWS; i++) {
        table_row *row = &table[i];
        uint32_t count = (uint32_t)strlen(row->signature);
        for (uint32_t j = 0; j < count; j++) {
            row->parameters[j].kind = row->signature[j] == 'I' ? AW_I64 : AW_I32;
        }
        row->type = (aw_functype){.parameter_count = count,
                                  .parameters = row->parameters,
                                  .result_count = strcmp(row->name, "proc_exit") != 0,
                                  .results = &i32};
    }
}

bool aw_wasi_find(const char *name, size_t length, const aw_functype **type, aw_hostfunc *function)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, table_fill);
    for (int i = 0; i < TABLE_ROWS; i++) {
        if (strlen(table[i].name) == length && memcmp(table[i].name, name, length) == 0) {
            *type = &table[i].type;
            *function = table[i].function;
            return true;
        }
    }
    return false;
}

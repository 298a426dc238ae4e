// SPDX-License-Identifier: Apache-2.0
#include <complex.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LIMIT 100
#define RATIO 0.5
#define NAME "tests"

typedef struct {
    double x, y;
} point;
typedef struct {
    float value;
} wrapped;
typedef union {
    int i;
    float f;
    unsigned char bytes[8];
} number;
typedef struct {
    char small;
    long long large;
    unsigned flag : 1, kind : 3;
    int signed_bits : 5;
    struct {
        short a, b;
    } part;
    union {
        int whole;
        short halves[2];
    };
    int grid[2][3];
} mixed;
typedef enum { RED, GREEN = 5, BLUE } color;
typedef struct node {
    int value;
    struct node *next;
    char name[8];
    const char *label;
    color paint;
    uint8_t key[4];
    const int *items;
} node;
typedef struct opaque opaque;
typedef double (*unary)(double x);
typedef struct {
    int (*call)(int value, void *data);
    void *data;
} handler;

extern int counter;
extern point origin;
extern const char *version;
extern const int constant;
extern int numbers[4];
extern char title[8];
extern int nodes_freed;

signed char same_schar(signed char value);
unsigned char same_uchar(unsigned char value);
char same_char(char value);
short same_short(short value);
unsigned short same_ushort(unsigned short value);
int same_int(int value);
unsigned same_uint(unsigned value);
long same_long(long value);
unsigned long same_ulong(unsigned long value);
long long same_llong(long long value);
unsigned long long same_ullong(unsigned long long value);
size_t same_size(size_t value);
float same_float(float value);
double same_double(double value);
long double same_ldouble(long double value);
bool same_bool(bool value);
color same_color(color value);
float _Complex same_cfloat(float _Complex value);
double _Complex same_cdouble(double _Complex value);
void *same_pointer(void *value);
point same_point(point value);
wrapped same_wrapped(wrapped value);
number same_number(number value);
mixed same_mixed(mixed value);
int add(int a, int b);
double hypot2(double a, double b);
unsigned char overfull(void);

size_t length(const char *text);
char *greet(const char *name);
const char *static_text(void);
const char *no_text(void);
const char *latin1(void);
char *find(const char *text, char c);
char *same_text(char *text);
void fill(char *buffer, size_t size);
unsigned checksum(const void *data, size_t size);
void upper(uint8_t *data, size_t size);
size_t lengths(const char *const *texts, size_t count);

double mean(const double *values, size_t count);
void negate(int *values, size_t count);
long long total(const int (*rows)[3], size_t count);
void scale(int (*rows)[3], size_t count, int by);
int skip_digits(const char *text, char **end);
int skip_digits_of(const char *text, const char **end);
void conjugates(double _Complex *values, size_t count);

point centroid(const point *points, size_t count);
point shifted(point p, double by);
void shift(point *p, double by);
int list_sum(const node *list);
size_t label_length(const node *of);
node *make_node(int value);
void free_node(node *of);
opaque *make_opaque(void);
void free_opaque(opaque *of);

void each(int (*visit)(int value, void *data), void *data);
double apply(unary function, double x);
unary pick(int which);
point map_point(point (*function)(point p, mixed m), point p);
long double call_wide(long double (*function)(long double x), long double x);
size_t name_length(const char *(*name)(void));
void keep(int (*visit)(int value, void *data));
int call_kept(int value);
int call_handler(const handler *of, int value);
int deep(int (*visit)(int value, void *data));
double sum(const char *kinds, ...);

void trap(void);
void leave(int status);
void spin(void);
int recurse(int n);
void *grow(size_t size);
size_t in_use(void);

int missing(int value);

// SPDX-License-Identifier: Apache-2.0
// A library with bugs as C libraries have them. planted_bugs.py makes each happen, natively and in a sandbox.

#include <stdlib.h>
#include <string.h>

// Fills a text up with spaces. A text that is longer than `width` makes the difference wrap around to nearly all of memory.
void pad(char *text, size_t width)
{
    memset(text + strlen(text), ' ', width - strlen(text));
}

// Keeps a pointer that the caller has lent for one call.
static int *counter;

void count_in(int *variable)
{
    counter = variable;
}

void count(void)
{
    *counter += 1;
}

// Nobody remembers that a session was closed.
typedef struct session {
    int (*greet)(struct session *);
    int greetings;
} session;

static int say_hello(session *self)
{
    return ++self->greetings;
}

session *session_open(void)
{
    session *self = malloc(sizeof(session));
    self->greet = say_hello;
    self->greetings = 0;
    return self;
}

void session_close(session *self)
{
    free(self);
}

int session_greet(session *self)
{
    return self->greet(self);
}

// What is allocated next gets the session's memory.
int *ranks(int count)
{
    int *self = malloc((size_t)count * sizeof(int));
    for (int i = 0; i < count; i++) {
        self[i] = i;
    }
    return self;
}

// Believes every index.
static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

int days_of(int month)
{
    return days[month - 1];
}

// Waits for something that never happens.
volatile int ready;

int wait_until_ready(void)
{
    while (!ready) {
    }
    return 1;
}

// Takes for granted that a list has an end.
typedef struct node {
    struct node *next;
} node;

int length(const node *list)
{
    volatile int rest = list->next != NULL ? length(list->next) : 0;
    return 1 + rest;
}

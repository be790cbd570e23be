/* error.h: one error, told as a sentence.  Each level that passes it up puts its context in front.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdbool.h>

enum error_code {
    ERROR_NONE,
    ERROR_INVALID,     /* input that can never be right */
    ERROR_TOO_LARGE,   /* over a declared maximum */
    ERROR_NOT_FOUND,   /* the thing named does not exist */
    ERROR_DENIED,      /* permission or authentication */
    ERROR_UNAVAILABLE, /* may work later: network, brokers, queue full */
    ERROR_TIMED_OUT,   /* a deadline of ours passed */
    ERROR_IO,          /* the operating system refused */
    ERROR_MEMORY,      /* no memory */
    ERROR_INTERNAL,    /* a bug, or a library that broke its word */
};

struct error {
    enum error_code code;
    char text[512];
};

/* Sets code and sentence; `error` may be NULL.  Always returns false, so that a failing function reads
 * `return error_set(error, ERROR_INVALID, "...", ...);`.  Any thread. */
bool error_set(struct error *error, enum error_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* As error_set with ERROR_IO (ERROR_DENIED for EACCES and EPERM, ERROR_NOT_FOUND for ENOENT, ERROR_MEMORY for ENOMEM)
 * and ": <text of errnum>" behind the sentence. */
bool error_set_errno(struct error *error, int errnum, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Puts "context: " in front of the sentence and returns false.  The tail is cut when it does not fit. */
bool error_context(struct error *error, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A short word for the code ("invalid", "unavailable", ...); static. */
const char *error_code_name(enum error_code code);

/* error.c: one error, told as a sentence.
 * SPDX-License-Identifier: Apache-2.0 */
#include "error.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { SENTENCE_SIZE = sizeof((struct error *)NULL)->text };

/* Moves a whole sentence in; what does not fit goes, but never half of a UTF-8 sequence. */
static void keep(struct error *error, enum error_code code, const char *sentence)
{
    size_t size = strlen(sentence);
    if (size >= SENTENCE_SIZE) {
        size = SENTENCE_SIZE - 1;
        while (size > 0 && ((unsigned char)sentence[size] & 0xC0) == 0x80)
            size--;
    }
    memcpy(error->text, sentence, size);
    error->text[size] = '\0';
    error->code = code;
}

bool error_set(struct error *error, enum error_code code, const char *format, ...)
{
    if (!error) return false;
    char sentence[SENTENCE_SIZE + 4]; /* apart from error->text: that may be one of the arguments */
    va_list args;
    va_start(args, format);
    vsnprintf(sentence, sizeof sentence, format, args);
    va_end(args);
    keep(error, code, sentence);
    return false;
}

static enum error_code code_of_errno(int errnum)
{
    switch (errnum) {
    case EACCES:
    case EPERM: return ERROR_DENIED;
    case ENOENT: return ERROR_NOT_FOUND;
    case ENOMEM: return ERROR_MEMORY;
    default: return ERROR_IO;
    }
}

bool error_set_errno(struct error *error, int errnum, const char *format, ...)
{
    if (!error) return false;
    char sentence[SENTENCE_SIZE + 4], why[128], whole[sizeof sentence + sizeof why];
    va_list args;
    va_start(args, format);
    vsnprintf(sentence, sizeof sentence, format, args);
    va_end(args);
    snprintf(whole, sizeof whole, "%s: %s", sentence, strerror_r(errnum, why, sizeof why));
    keep(error, code_of_errno(errnum), whole);
    return false;
}

bool error_context(struct error *error, const char *format, ...)
{
    if (!error) return false;
    char context[SENTENCE_SIZE], whole[2 * SENTENCE_SIZE + 4];
    va_list args;
    va_start(args, format);
    vsnprintf(context, sizeof context, format, args);
    va_end(args);
    snprintf(whole, sizeof whole, "%s: %s", context, error->text);
    keep(error, error->code, whole);
    return false;
}

const char *error_code_name(enum error_code code)
{
    static const char *const names[] = {
        [ERROR_NONE] = "none",           [ERROR_INVALID] = "invalid", [ERROR_TOO_LARGE] = "too_large",
        [ERROR_NOT_FOUND] = "not_found", [ERROR_DENIED] = "denied",   [ERROR_UNAVAILABLE] = "unavailable",
        [ERROR_TIMED_OUT] = "timed_out", [ERROR_IO] = "io",           [ERROR_MEMORY] = "memory",
        [ERROR_INTERNAL] = "internal",
    };
    if ((size_t)code >= sizeof names / sizeof names[0]) return "unknown";
    return names[code];
}

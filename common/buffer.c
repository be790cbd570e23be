/* buffer.c: bytes with a maximum from birth and an error that sticks.
 * SPDX-License-Identifier: Apache-2.0 */
#include "buffer.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_CAPACITY = 64 };

char *bytes_dup(struct bytes a)
{
    size_t with_nul;
    if (__builtin_add_overflow(a.size, 1, &with_nul)) return NULL;
    char *copy = malloc(with_nul);
    if (!copy) return NULL;
    if (a.size > 0) memcpy(copy, a.data, a.size);
    copy[a.size] = '\0';
    return copy;
}

void buffer_init(struct buffer *b, size_t max)
{
    *b = (struct buffer){.max = max};
}

void buffer_close(struct buffer *b)
{
    free(b->data);
    *b = (struct buffer){0};
}

void buffer_clear(struct buffer *b)
{
    b->size = 0;
    b->failed = false;
    if (b->data) b->data[0] = 0;
}

static bool fail(struct buffer *b)
{
    free(b->data);
    *b = (struct buffer){.max = b->max, .failed = true};
    return false;
}

bool buffer_reserve(struct buffer *b, size_t size)
{
    size_t needed;
    if (b->failed) return false;
    if (__builtin_add_overflow(b->size, size, &needed) || needed > b->max) return fail(b);
    if (__builtin_add_overflow(needed, 1, &needed)) return fail(b); /* the NUL */
    if (needed <= b->capacity) return true;

    /* Doubling keeps appends cheap; a buffer near its maximum takes no more than that. */
    size_t capacity;
    if (__builtin_mul_overflow(b->capacity, 2, &capacity)) capacity = SIZE_MAX;
    if (capacity < FIRST_CAPACITY) capacity = FIRST_CAPACITY;
    if (capacity - 1 > b->max) capacity = b->max + 1;
    if (capacity < needed) capacity = needed;
    uint8_t *data = realloc(b->data, capacity);
    if (!data) return fail(b);
    b->data = data;
    b->capacity = capacity;
    b->data[b->size] = 0;
    return true;
}

uint8_t *buffer_extend(struct buffer *b, size_t size)
{
    /* Most appends find room; capacity counts the NUL and is 0 after a failure. */
    bool fits = size < b->capacity - b->size && b->size + size <= b->max;
    if (!fits && !buffer_reserve(b, size)) return NULL;
    uint8_t *at = b->data + b->size;
    b->size += size;
    b->data[b->size] = 0;
    return at;
}

void buffer_append(struct buffer *b, const void *data, size_t size)
{
    uint8_t *at = buffer_extend(b, size);
    if (at && size > 0) memcpy(at, data, size);
}

void buffer_bytes(struct buffer *b, struct bytes bytes)
{
    buffer_append(b, bytes.data, bytes.size);
}

void buffer_byte(struct buffer *b, char byte)
{
    if (b->size + 1 < b->capacity && b->size < b->max) {
        b->data[b->size++] = (uint8_t)byte;
        b->data[b->size] = 0;
    } else {
        buffer_append(b, &byte, 1);
    }
}

void buffer_format(struct buffer *b, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    buffer_format_va(b, format, args);
    va_end(args);
}

void buffer_format_va(struct buffer *b, const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, format, args);
    if (length < 0) {
        fail(b);
    } else if (buffer_reserve(b, (size_t)length)) {
        vsnprintf((char *)b->data + b->size, (size_t)length + 1, format, again);
        b->size += (size_t)length;
    }
    va_end(again);
}

void buffer_truncate(struct buffer *b, size_t size)
{
    if (size >= b->size) return;
    b->size = size;
    b->data[size] = 0;
}

bool buffer_ok(const struct buffer *b)
{
    return !b->failed;
}

struct bytes buffer_view(const struct buffer *b)
{
    return (struct bytes){b->data, b->size};
}

const char *buffer_cstr(const struct buffer *b)
{
    return b->data ? (const char *)b->data : "";
}

uint8_t *buffer_take(struct buffer *b, size_t *size)
{
    *size = 0;
    if (!buffer_reserve(b, 0)) return NULL;
    uint8_t *data = b->data;
    *size = b->size;
    *b = (struct buffer){.max = b->max};
    return data;
}

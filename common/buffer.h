/* buffer.h: bytes with a maximum from birth and an error that sticks; struct bytes is the read-only view.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* A view of somebody else's bytes; never freed through the view.  data may be NULL only when size is 0. */
struct bytes {
    const uint8_t *data;
    size_t size;
};

/* A view of a C string without its NUL.  In the header, so that the compiler knows the length of a literal. */
static inline struct bytes bytes_of(const char *text)
{
    return (struct bytes){(const uint8_t *)text, strlen(text)};
}
/* The same as an initializer of tables. */
#define BYTES_LITERAL(text)                                                                                            \
    {                                                                                                                  \
        (const uint8_t *)("" text), sizeof(text) - 1                                                                   \
    }

static inline bool bytes_equal(struct bytes a, struct bytes b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}
/* Equal to a C string, byte for byte. */
static inline bool bytes_are(struct bytes a, const char *text)
{
    return bytes_equal(a, bytes_of(text));
}
/* A heap copy with a NUL behind it (the caller frees it), or NULL without memory. */
char *bytes_dup(struct bytes a);

struct buffer {
    uint8_t *data; /* always NUL-terminated behind `size` once anything was appended */
    size_t size;
    size_t capacity;
    size_t max; /* appending beyond it fails the buffer */
    bool failed;
};

/* Starts an empty buffer that never holds more than max bytes; allocates nothing. */
void buffer_init(struct buffer *b, size_t max);
/* Frees and zeroes; legal twice and on a zeroed struct. */
void buffer_close(struct buffer *b);
/* Empties it and clears a failure, keeping the memory. */
void buffer_clear(struct buffer *b);

/* Appending returns nothing: after a failure (over max, no memory) the buffer is empty, stays failed and further
 * appends do nothing; read the outcome once, with buffer_ok.  What is appended must not lie in the buffer itself. */
void buffer_append(struct buffer *b, const void *data, size_t size);
void buffer_bytes(struct buffer *b, struct bytes bytes);
/* In the header for the same reason as bytes_of. */
static inline void buffer_text(struct buffer *b, const char *text)
{
    buffer_append(b, text, strlen(text));
}
void buffer_byte(struct buffer *b, char byte);
void buffer_format(struct buffer *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
void buffer_format_va(struct buffer *b, const char *format, __builtin_va_list args)
    __attribute__((format(printf, 2, 0)));
/* Makes room for `size` more bytes at once; false (and failed) if that cannot be. */
bool buffer_reserve(struct buffer *b, size_t size);

/* `size` more bytes at the end, for the caller to write; NULL if that cannot be (then failed). */
uint8_t *buffer_extend(struct buffer *b, size_t size);

/* Drops everything behind the first `size` bytes; nothing happens if there are fewer. */
void buffer_truncate(struct buffer *b, size_t size);

bool buffer_ok(const struct buffer *b);
struct bytes buffer_view(const struct buffer *b);
/* The contents as a C string; "" when empty.  Valid until the next append. */
const char *buffer_cstr(const struct buffer *b);
/* Hands the heap block over to the caller (who frees it) and leaves the buffer empty; never NULL unless failed. */
uint8_t *buffer_take(struct buffer *b, size_t *size);

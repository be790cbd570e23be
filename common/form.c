/* form.c: application/x-www-form-urlencoded (WHATWG URL, 5.1), read strictly.
 * SPDX-License-Identifier: Apache-2.0 */
#include "form.h"

bool form_next(struct bytes *rest, struct form_field *field)
{
    while (rest->size > 0) {
        const uint8_t *end = memchr(rest->data, '&', rest->size);
        struct bytes all = {rest->data, end ? (size_t)(end - rest->data) : rest->size};
        size_t taken = all.size + (end != NULL);
        *rest = (struct bytes){rest->data + taken, rest->size - taken};
        if (all.size == 0) continue;
        const uint8_t *equal = memchr(all.data, '=', all.size);
        size_t name = equal ? (size_t)(equal - all.data) : all.size, value = name + (equal != NULL);
        field->name = (struct bytes){all.data, name};
        field->value = (struct bytes){all.data + value, all.size - value};
        return true;
    }
    return false;
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9') return c - '0';
    uint8_t lower = c | 0x20;
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

int form_escape(struct bytes text)
{
    if (text.size < 3 || text.data[0] != '%') return -1;
    int high = hex_digit(text.data[1]), low = hex_digit(text.data[2]);
    return high < 0 || low < 0 ? -1 : 16 * high + low;
}

/* The byte at *at, which moves to its last character; -1: a broken escape. */
static int decode_at(struct bytes text, size_t *at)
{
    uint8_t c = text.data[*at];
    if (c == '+') return ' ';
    if (c != '%') return c;
    int byte = form_escape((struct bytes){text.data + *at, text.size - *at});
    *at += 2;
    return byte;
}

bool form_decode(struct bytes text, struct buffer *out)
{
    size_t before = out->size;
    for (size_t i = 0; i < text.size; i++) {
        int byte = decode_at(text, &i);
        if (byte < 0) {
            buffer_truncate(out, before);
            return false;
        }
        buffer_byte(out, (char)byte);
    }
    return true;
}

static bool decodes_to(struct bytes text, const char *name)
{
    for (size_t i = 0; i < text.size; i++) {
        int byte = decode_at(text, &i);
        if (byte <= 0 || byte != (uint8_t)*name++) return false;
    }
    return *name == 0;
}

size_t form_find(struct bytes fields, const char *name, struct bytes *value)
{
    struct form_field field;
    size_t count = 0;
    while (count < 2 && form_next(&fields, &field)) {
        if (!decodes_to(field.name, name)) continue;
        if (count++ == 0) *value = field.value;
    }
    return count;
}

struct bytes form_query(struct bytes query)
{
    if (query.size == 0 || query.data[0] != '?') return query;
    return (struct bytes){query.data + 1, query.size - 1};
}

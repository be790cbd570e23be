/* json_pointer.c: one value out of a JSON text by its RFC 6901 path.
 * SPDX-License-Identifier: Apache-2.0 */
#include "json_pointer.h"
#include <string.h>

struct cursor {
    const uint8_t *at, *end;
};

static int peek(const struct cursor *c)
{
    return c->at < c->end ? *c->at : -1;
}

static void skip_space(struct cursor *c)
{
    while (c->at < c->end && (*c->at == ' ' || *c->at == '\t' || *c->at == '\n' || *c->at == '\r'))
        c->at++;
}

static bool take(struct cursor *c, int byte)
{
    skip_space(c);
    if (peek(c) != byte) return false;
    c->at++;
    return true;
}

static const uint8_t *find_quote(const uint8_t *at, const uint8_t *end)
{
    return at < end ? memchr(at, '"', (size_t)(end - at)) : NULL;
}

/* An odd number of backslashes before a quote makes it part of the string. */
static bool is_escaped(const uint8_t *start, const uint8_t *quote)
{
    const uint8_t *at = quote;
    while (at > start && at[-1] == '\\')
        at--;
    return (quote - at) % 2 != 0;
}

/* Past a string that begins at the cursor; *inside views what stands between the quotes. */
static bool skip_string(struct cursor *c, struct bytes *inside)
{
    if (!take(c, '"')) return false;
    const uint8_t *start = c->at, *quote = find_quote(start, c->end);
    while (quote && is_escaped(start, quote))
        quote = find_quote(quote + 1, c->end);
    if (!quote) return false;
    *inside = (struct bytes){start, (size_t)(quote - start)};
    c->at = quote + 1;
    return true;
}

static bool ends_scalar(int byte)
{
    return byte < 0 || byte == ',' || byte == ']' || byte == '}' || byte == ' ' || byte == '\t' || byte == '\n' ||
           byte == '\r';
}

static bool skip_scalar(struct cursor *c)
{
    const uint8_t *start = c->at;
    while (!ends_scalar(peek(c)))
        c->at++;
    return c->at > start;
}

/* Past an array or object.  Brackets are counted, not matched: whether they fit is the scanner's business. */
static bool skip_container(struct cursor *c)
{
    struct bytes inside;
    size_t depth = 0;
    while (c->at < c->end) {
        switch (*c->at) {
        case '"':
            if (!skip_string(c, &inside)) return false;
            break;
        case '{':
        case '[':
            depth++;
            c->at++;
            break;
        case '}':
        case ']':
            c->at++;
            if (--depth == 0) return true;
            break;
        default: c->at++;
        }
    }
    return false;
}

static bool skip_value(struct cursor *c)
{
    struct bytes inside;
    skip_space(c);
    switch (peek(c)) {
    case '"': return skip_string(c, &inside);
    case '{':
    case '[': return skip_container(c);
    case '}':
    case ']':
    case ',':
    case ':':
    case -1: return false;
    default: return skip_scalar(c);
    }
}

static int hex_digit(uint8_t byte)
{
    if (byte >= '0' && byte <= '9') return byte - '0';
    if (byte >= 'a' && byte <= 'f') return byte - 'a' + 10;
    if (byte >= 'A' && byte <= 'F') return byte - 'A' + 10;
    return -1;
}

static bool hex_unit(struct cursor *c, uint32_t *unit)
{
    *unit = 0;
    if (c->end - c->at < 4) return false;
    for (int i = 0; i < 4; i++) {
        int digit = hex_digit(*c->at++);
        if (digit < 0) return false;
        *unit = *unit << 4 | (uint32_t)digit;
    }
    return true;
}

/* What follows "\u": one unit, or two that make a pair.  False for a lone surrogate. */
static bool unicode_escape(struct cursor *c, uint32_t *point)
{
    uint32_t low;
    if (!hex_unit(c, point)) return false;
    if (*point < 0xD800 || *point > 0xDFFF) return true;
    if (*point > 0xDBFF || c->end - c->at < 6 || c->at[0] != '\\' || c->at[1] != 'u') return false;
    c->at += 2;
    if (!hex_unit(c, &low) || low < 0xDC00 || low > 0xDFFF) return false;
    *point = 0x10000 + ((*point - 0xD800) << 10 | (low - 0xDC00));
    return true;
}

static size_t encode_utf8(uint32_t point, uint8_t out[4])
{
    if (point < 0x80) {
        out[0] = (uint8_t)point;
        return 1;
    }
    size_t size = point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
    for (size_t i = size - 1; i > 0; i--) {
        out[i] = (uint8_t)(0x80 | (point & 0x3F));
        point >>= 6;
    }
    out[0] = (uint8_t)((0xF00u >> size) | point); /* 110x, 1110, 1111 0xxx */
    return size;
}

/* The next character of a string's inside as UTF-8; 0 bytes when its escape makes no text. */
static size_t next_character(struct cursor *c, uint8_t out[4])
{
    static const char escapes[] = "\"\"\\\\//b\bf\fn\nr\rt\t";
    uint32_t point;
    out[0] = *c->at++;
    if (out[0] != '\\') return 1;
    if (c->at == c->end) return 0;
    uint8_t letter = *c->at++;
    if (letter == 'u') return unicode_escape(c, &point) && point != 0 ? encode_utf8(point, out) : 0;
    for (const char *pair = escapes; *pair; pair += 2) {
        if ((uint8_t)pair[0] != letter) continue;
        out[0] = (uint8_t)pair[1];
        return 1;
    }
    return 0;
}

/* The next byte of a pointer's part with "~0" and "~1" undone. */
static uint8_t next_of_part(struct cursor *part)
{
    uint8_t byte = *part->at++;
    if (byte != '~' || part->at == part->end) return byte;
    return *part->at++ == '1' ? '/' : '~';
}

static bool has(struct bytes text, int byte)
{
    return text.size > 0 && memchr(text.data, byte, text.size) != NULL;
}

static bool key_is(struct bytes inside, struct bytes part)
{
    if (!has(inside, '\\') && !has(part, '~')) return bytes_equal(inside, part);
    struct cursor key = {inside.data, inside.data + inside.size}, wanted = {part.data, part.data + part.size};
    uint8_t bytes[4];
    while (key.at < key.end) {
        size_t size = next_character(&key, bytes);
        if (size == 0) return false;
        for (size_t i = 0; i < size; i++)
            if (wanted.at == wanted.end || next_of_part(&wanted) != bytes[i]) return false;
    }
    return wanted.at == wanted.end;
}

/* Past one member; *value views what it holds if its key is the wanted one. */
static bool read_member(struct cursor *c, struct bytes part, struct bytes *value, bool *wanted)
{
    struct bytes key;
    if (!skip_string(c, &key) || !take(c, ':')) return false;
    skip_space(c);
    const uint8_t *start = c->at;
    if (!skip_value(c)) return false;
    *wanted = key_is(key, part);
    if (*wanted) *value = (struct bytes){start, (size_t)(c->at - start)};
    return true;
}

/* Reads the object to its end: only then is it sure that the key stands there once. */
static enum json_found find_member(struct cursor c, struct bytes part, struct bytes *value)
{
    enum json_found found = JSON_ABSENT;
    if (take(&c, '}')) return found;
    do {
        bool wanted;
        if (!read_member(&c, part, value, &wanted)) return JSON_INVALID;
        if (wanted) found = found == JSON_ABSENT ? JSON_FOUND : JSON_TWICE;
    } while (take(&c, ','));
    return take(&c, '}') ? found : JSON_INVALID;
}

/* An array index as RFC 6901 writes it: no sign, no leading zero. */
static bool parse_index(struct bytes part, size_t *index)
{
    *index = 0;
    if (part.size == 0 || part.size > 9 || (part.size > 1 && part.data[0] == '0')) return false;
    for (size_t i = 0; i < part.size; i++) {
        if (part.data[i] < '0' || part.data[i] > '9') return false;
        *index = *index * 10 + (size_t)(part.data[i] - '0');
    }
    return true;
}

static enum json_found find_element(struct cursor c, struct bytes part, struct bytes *value)
{
    size_t index, at = 0;
    if (!parse_index(part, &index) || take(&c, ']')) return JSON_ABSENT;
    do {
        skip_space(&c);
        const uint8_t *start = c.at;
        if (!skip_value(&c)) return JSON_INVALID;
        if (at++ < index) continue;
        *value = (struct bytes){start, (size_t)(c.at - start)};
        return JSON_FOUND;
    } while (take(&c, ','));
    return take(&c, ']') ? JSON_ABSENT : JSON_INVALID;
}

static enum json_found step_into(struct bytes part, struct bytes *value)
{
    struct cursor c = {value->data, value->data + value->size};
    if (take(&c, '{')) return find_member(c, part, value);
    if (take(&c, '[')) return find_element(c, part, value);
    return JSON_ABSENT;
}

/* Follows the pointer from inside `value`, which may reach beyond the value that it begins with. */
static enum json_found follow(struct bytes value, const char *pointer, struct bytes *raw)
{
    while (*pointer == '/') {
        const char *part = pointer + 1;
        size_t size = strcspn(part, "/");
        enum json_found found = step_into((struct bytes){(const uint8_t *)part, size}, &value);
        if (found != JSON_FOUND) return found;
        pointer = part + size;
    }
    struct cursor c = {value.data, value.data + value.size};
    if (!skip_value(&c)) return JSON_INVALID;
    *raw = (struct bytes){value.data, (size_t)(c.at - value.data)};
    return JSON_FOUND;
}

enum json_found json_pointer_find(struct bytes text, const char *pointer, struct bytes *raw)
{
    struct cursor c = {text.data, text.data + text.size};
    if (text.size == 0) return JSON_INVALID;
    skip_space(&c);
    return follow((struct bytes){c.at, (size_t)(c.end - c.at)}, pointer, raw);
}

static struct bytes from(struct bytes text, int64_t offset)
{
    return (struct bytes){text.data + offset, text.size - (size_t)offset};
}

static bool key_at_is(struct bytes text, const struct json_members *members, int i, struct bytes part)
{
    int64_t begin = members->at[i].key + 1, end = members->at[i].key_end;
    if (end != JSON_KEY_ESCAPED && !has(part, '~'))
        return bytes_equal((struct bytes){text.data + begin, (size_t)(end - begin)}, part);
    struct bytes key = from(text, members->at[i].key), inside;
    struct cursor c = {key.data, key.data + key.size};
    return skip_string(&c, &inside) && key_is(inside, part);
}

enum json_found json_pointer_find_in(struct bytes text, const struct json_members *members, const char *pointer,
                                     struct bytes *raw)
{
    if (*pointer != '/' || members->count == 0 || members->count > JSON_MEMBERS_MAX)
        return json_pointer_find(text, pointer, raw);
    struct bytes part = {(const uint8_t *)pointer + 1, strcspn(pointer + 1, "/")}, value = {NULL, 0};
    for (int i = 0; i < members->count; i++) {
        if (!key_at_is(text, members, i, part)) continue;
        if (value.data) return JSON_TWICE;
        value = from(text, members->at[i].value);
    }
    return value.data ? follow(value, pointer + 1 + part.size, raw) : JSON_ABSENT;
}

bool json_pointer_valid(struct bytes pointer)
{
    if (pointer.size > 0 && pointer.data[0] != '/') return false;
    for (size_t i = 0; i < pointer.size; i++) {
        if (pointer.data[i] == 0) return false;
        if (pointer.data[i] != '~') continue;
        if (i + 1 == pointer.size || (pointer.data[i + 1] != '0' && pointer.data[i + 1] != '1')) return false;
    }
    return true;
}

/* Two passes, so that a bad escape at the end leaves nothing behind. */
static bool append_string(struct bytes inside, struct buffer *out)
{
    uint8_t bytes[4];
    if (!has(inside, '\\')) {
        buffer_bytes(out, inside);
        return true;
    }
    for (int pass = 0; pass < 2; pass++) {
        struct cursor c = {inside.data, inside.data + inside.size};
        while (c.at < c.end) {
            size_t size = next_character(&c, bytes);
            if (size == 0) return false;
            if (pass == 1) buffer_append(out, bytes, size);
        }
    }
    return true;
}

bool json_pointer_text(struct bytes raw, struct buffer *out)
{
    if (raw.size == 0) return false;
    uint8_t first = raw.data[0];
    if (first == '"') {
        if (raw.size < 2) return false;
        return append_string((struct bytes){raw.data + 1, raw.size - 2}, out);
    }
    if (first != '-' && (first < '0' || first > '9')) return false;
    buffer_bytes(out, raw);
    return true;
}

/* text.c: numbers with and without units, ASCII words, hex and base64.
 * SPDX-License-Identifier: Apache-2.0 */
#include "text.h"
#include <string.h>

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

/* Takes the leading digits off `text`; false without any or beyond INT64_MAX. */
static bool take_digits(struct bytes *text, int64_t *out)
{
    int64_t value = 0;
    size_t n = 0;
    for (; n < text->size && is_digit(text->data[n]); n++) {
        if (__builtin_mul_overflow(value, 10, &value)) return false;
        if (__builtin_add_overflow(value, text->data[n] - '0', &value)) return false;
    }
    if (n == 0) return false;
    text->data += n;
    text->size -= n;
    *out = value;
    return true;
}

bool text_parse_int64(struct bytes text, int64_t min, int64_t max, int64_t *out)
{
    bool negative = text.size > 0 && text.data[0] == '-';
    int64_t value = 0;
    size_t n = negative ? 1 : 0;
    if (n == text.size) return false;
    for (; n < text.size; n++) {
        if (!is_digit(text.data[n])) return false;
        /* Downwards, because INT64_MIN has no positive twin. */
        if (__builtin_mul_overflow(value, 10, &value)) return false;
        if (__builtin_sub_overflow(value, text.data[n] - '0', &value)) return false;
    }
    if (!negative && __builtin_sub_overflow(0, value, &value)) return false;
    if (value < min || value > max) return false;
    *out = value;
    return true;
}

size_t text_format_int64(int64_t value, char out[TEXT_INT64_SIZE])
{
    char digits[20];
    size_t n = 0, size = 0;
    uint64_t left = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    do {
        digits[n++] = (char)('0' + left % 10);
        left /= 10;
    } while (left > 0);
    if (value < 0) out[size++] = '-';
    while (n > 0)
        out[size++] = digits[--n];
    out[size] = '\0';
    return size;
}

struct unit {
    const char *name;
    int64_t factor;
};

static bool parse_with_unit(struct bytes text, const struct unit *units, int64_t *out)
{
    int64_t value;
    if (!take_digits(&text, &value)) return false;
    for (; units->name; units++) {
        if (!bytes_are(text, units->name)) continue;
        if (__builtin_mul_overflow(value, units->factor, &value)) return false;
        *out = value;
        return true;
    }
    return false;
}

bool text_parse_size(struct bytes text, int64_t *bytes)
{
    static const struct unit units[] = {
        {"", 1}, {"KiB", INT64_C(1) << 10}, {"MiB", INT64_C(1) << 20}, {"GiB", INT64_C(1) << 30}, {NULL, 0}};
    return parse_with_unit(text, units, bytes);
}

bool text_parse_rate(struct bytes text, int64_t *amount, int64_t *period_ms)
{
    static const struct unit periods[] = {{"/s", 1000}, {"/min", 60 * 1000}, {"/h", 3600 * 1000}, {NULL, 0}};
    int64_t value;
    if (!take_digits(&text, &value) || value < 1 || value > 1000000) return false;
    for (const struct unit *period = periods; period->name; period++) {
        if (!bytes_are(text, period->name)) continue;
        *amount = value;
        *period_ms = period->factor;
        return true;
    }
    return false;
}

bool text_parse_duration(struct bytes text, int64_t *ms)
{
    static const struct unit units[] = {{"ms", 1},          {"s", 1000},         {"m", 60 * 1000},
                                        {"h", 3600 * 1000}, {"d", 86400 * 1000}, {NULL, 0}};
    if (bytes_are(text, "0")) {
        *ms = 0;
        return true;
    }
    return parse_with_unit(text, units, ms);
}

void text_hex(const void *data, size_t size, char *out)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *bytes = data;
    for (size_t i = 0; i < size; i++) {
        out[2 * i] = digits[bytes[i] >> 4];
        out[2 * i + 1] = digits[bytes[i] & 15];
    }
    out[2 * size] = '\0';
}

/* One more than the digit's value; 0: not a lower-case hex digit. */
static const uint8_t hex_digit[256] = {
    ['0'] = 1, ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,  ['6'] = 7,  ['7'] = 8,
    ['8'] = 9, ['9'] = 10, ['a'] = 11, ['b'] = 12, ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16,
};

bool text_unhex(struct bytes text, void *out, size_t size)
{
    uint8_t *bytes = out;
    if (text.size % 2 != 0 || text.size / 2 != size) return false;
    for (size_t i = 0; i < size; i++) {
        int high = hex_digit[text.data[2 * i]], low = hex_digit[text.data[2 * i + 1]];
        if (high == 0 || low == 0) return false;
        bytes[i] = (uint8_t)((high - 1) << 4 | (low - 1));
    }
    return true;
}

void text_base64(struct bytes data, struct buffer *out)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < data.size; i += 3) {
        size_t left = data.size - i;
        uint32_t group = (uint32_t)data.data[i] << 16;
        if (left > 1) group |= (uint32_t)data.data[i + 1] << 8;
        if (left > 2) group |= data.data[i + 2];
        char quad[4] = {alphabet[group >> 18], alphabet[group >> 12 & 63], alphabet[group >> 6 & 63],
                        alphabet[group & 63]};
        if (left < 3) quad[3] = '=';
        if (left < 2) quad[2] = '=';
        buffer_append(out, quad, sizeof quad);
    }
}

static int base64_value(uint8_t c)
{
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (is_digit(c)) return c - '0' + 52;
    if (c == '+') return 62;
    return c == '/' ? 63 : -1;
}

/* Four characters to `count` (1..3) bytes; the characters behind those must be padding, the unused bits zero. */
static bool unbase64_quad(const uint8_t quad[4], size_t count, uint8_t out[3])
{
    uint32_t group = 0;
    for (size_t i = 0; i < 4; i++) {
        int value = i <= count ? base64_value(quad[i]) : 0;
        if (value < 0 || (i > count && quad[i] != '=')) return false;
        group = group << 6 | (uint32_t)value;
    }
    for (size_t i = 0; i < 3; i++)
        out[i] = (uint8_t)(group >> (16 - 8 * i));
    return (count > 1 || out[1] == 0) && (count > 2 || out[2] == 0);
}

bool text_unbase64(struct bytes text, struct buffer *out)
{
    size_t size_before = out->size;
    if (text.size % 4 != 0) return false;
    for (size_t i = 0; i < text.size; i += 4) {
        const uint8_t *quad = text.data + i;
        size_t count = 3;
        uint8_t bytes[3];
        if (i + 4 == text.size && quad[3] == '=') count = quad[2] == '=' ? 1 : 2;
        if (!unbase64_quad(quad, count, bytes)) {
            if (buffer_ok(out) && out->data) out->data[out->size = size_before] = 0;
            return false;
        }
        buffer_append(out, bytes, count);
    }
    return buffer_ok(out);
}

static uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c + ('a' - 'A')) : c;
}

bool text_equal_ignore_case(struct bytes a, struct bytes b)
{
    if (a.size != b.size) return false;
    if (a.size == 0 || memcmp(a.data, b.data, a.size) == 0) return true; /* most senders spell as we do */
    for (size_t i = 0; i < a.size; i++)
        if (lower(a.data[i]) != lower(b.data[i])) return false;
    return true;
}

bool text_starts_with_ignore_case(struct bytes text, const char *prefix)
{
    struct bytes wanted = bytes_of(prefix);
    if (text.size < wanted.size) return false;
    return text_equal_ignore_case((struct bytes){text.data, wanted.size}, wanted);
}

bool text_is_agent_id(struct bytes text)
{
    if (text.size < 1 || text.size > 128 || bytes_are(text, ".") || bytes_are(text, "..")) return false;
    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = lower(text.data[i]);
        bool plain = (c >= 'a' && c <= 'z') || is_digit(c) || c == '.' || c == '_' || c == '~' || c == '-';
        if (!plain) return false;
    }
    return true;
}

/* text_pattern.c: patterns with stars; texts out of URLs.
 * SPDX-License-Identifier: Apache-2.0 */
#include "text.h"

/* Only the last star may still take more: an earlier one would gain nothing.  So it is quadratic at worst. */
bool text_matches(struct bytes text, struct bytes pattern)
{
    size_t t = 0, p = 0, star = SIZE_MAX, taken = 0;
    while (t < text.size) {
        if (p < pattern.size && pattern.data[p] == '*') {
            star = p++;
            taken = t;
        } else if (p < pattern.size && pattern.data[p] == text.data[t]) {
            p++;
            t++;
        } else if (star != SIZE_MAX) {
            p = star + 1;
            t = ++taken;
        } else {
            return false;
        }
    }
    while (p < pattern.size && pattern.data[p] == '*')
        p++;
    return p == pattern.size;
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9') return c - '0';
    uint8_t lower = c | 0x20;
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* The byte that "%XX" at `at` means, or -1. */
static int escaped_byte(struct bytes text, size_t at)
{
    if (at + 2 >= text.size) return -1;
    int high = hex_digit(text.data[at + 1]), low = hex_digit(text.data[at + 2]);
    return high < 0 || low < 0 ? -1 : 16 * high + low;
}

bool text_unescape_url(struct bytes text, bool query, struct buffer *out)
{
    size_t before = out->size;
    for (size_t i = 0; i < text.size; i++) {
        int c = text.data[i];
        if (c == '+' && query) c = ' ';
        if (c == '%') {
            c = escaped_byte(text, i);
            i += 2;
        }
        if (c < 0) {
            buffer_truncate(out, before);
            return false;
        }
        buffer_byte(out, (char)c);
    }
    return true;
}

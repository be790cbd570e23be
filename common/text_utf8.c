/* text_utf8.c: UTF-8 (RFC 3629) told from other bytes, and what JSON strings need escaped.
 * SPDX-License-Identifier: Apache-2.0 */
#include "text.h"
#include <string.h>

/* Length and the bounds of the second byte by lead byte; the bounds keep out over-long forms, surrogates and
 * everything beyond U+10FFFF. */
size_t text_utf8_next(struct bytes text)
{
    if (text.size == 0) return 0;
    uint8_t lead = text.data[0], low = 0x80, high = 0xBF;
    if (lead < 0x80) return 1;
    size_t length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    if (lead < 0xC2 || lead > 0xF4 || text.size < length) return 0;
    if (lead == 0xE0) low = 0xA0;
    if (lead == 0xED) high = 0x9F;
    if (lead == 0xF0) low = 0x90;
    if (lead == 0xF4) high = 0x8F;
    if (text.data[1] < low || text.data[1] > high) return 0;
    for (size_t i = 2; i < length; i++)
        if ((text.data[i] & 0xC0) != 0x80) return 0;
    return length;
}

/* Eight bytes at a time: is none of them above 0x7F? */
static bool eight_ascii(const uint8_t *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof word);
    return (word & UINT64_C(0x8080808080808080)) == 0;
}

bool text_is_utf8(struct bytes text)
{
    while (text.size > 0) {
        size_t n = text.size >= 8 && eight_ascii(text.data) ? 8 : text_utf8_next(text);
        if (n == 0) return false;
        text.data += n;
        text.size -= n;
    }
    return true;
}

#define EACH_BYTE(b) (UINT64_C(0x0101010101010101) * (b))

/* A nonzero result marks a byte equal to `b` (below the mark, borrows may set further marks). */
static uint64_t mark_equal(uint64_t word, uint8_t b)
{
    uint64_t zero = word ^ EACH_BYTE(b);
    return (zero - EACH_BYTE(0x01)) & ~zero;
}

/* Up to eight bytes in one word, in any order; what is missing counts as a plain letter or stands there twice. */
static inline uint64_t load_word(const uint8_t *at, size_t size)
{
    uint64_t word = EACH_BYTE('a');
    uint32_t first, last;
    if (size >= sizeof word) {
        memcpy(&word, at, sizeof word);
    } else if (size >= sizeof first) {
        memcpy(&first, at, sizeof first);
        memcpy(&last, at + size - sizeof last, sizeof last);
        word = (uint64_t)last << 32 | first;
    } else {
        for (size_t i = 0; i < size; i++)
            word = word << 8 | at[i];
    }
    return word;
}

/* Are these eight bytes ASCII that a JSON string may hold as it is? */
static inline bool word_is_plain(uint64_t word)
{
    uint64_t control = (word - EACH_BYTE(0x20)) & ~word;
    uint64_t marks = word | control | mark_equal(word, '"') | mark_equal(word, '\\') | mark_equal(word, 0x7F);
    return (marks & EACH_BYTE(0x80)) == 0;
}

/* U+0080 to U+009F, which some terminals obey. */
static bool is_c1_control(struct bytes text)
{
    return text.size >= 2 && text.data[0] == 0xC2 && text.data[1] >= 0x80 && text.data[1] <= 0x9F;
}

/* Length of the character that `text` begins with, if it is a plain one; else 0. */
static size_t one_plain(struct bytes text)
{
    uint8_t c = text.data[0];
    if (c < 0x80) return c < 0x20 || c == '"' || c == '\\' || c == 0x7F ? 0 : 1;
    return is_c1_control(text) ? 0 : text_utf8_next(text);
}

size_t text_json_plain(struct bytes text)
{
    size_t at = 0;
    while (at < text.size) {
        size_t left = text.size - at;
        if (word_is_plain(load_word(text.data + at, left))) {
            at += left < 8 ? left : 8;
            continue;
        }
        size_t n = one_plain((struct bytes){text.data + at, left});
        if (n == 0) break;
        at += n;
    }
    return at;
}

bool text_is_bare(struct bytes text)
{
    bool plain = true;
    for (size_t at = 0; at < text.size; at += 8) {
        uint64_t word = load_word(text.data + at, text.size - at);
        uint64_t marks = mark_equal(word, ' ') | mark_equal(word, '=');
        if ((marks & EACH_BYTE(0x80)) != 0) return false;
        plain = plain && word_is_plain(word);
    }
    return text.size > 0 && (plain || text_json_plain(text) == text.size);
}

size_t text_before_control(struct bytes text)
{
    size_t at = 0;
    for (; text.size - at >= 8; at += 8) {
        uint64_t word;
        memcpy(&word, text.data + at, sizeof word);
        uint64_t marks = ((word - EACH_BYTE(0x20)) & ~word) | mark_equal(word, 0x7F);
        if (marks & EACH_BYTE(0x80)) break;
    }
    while (at < text.size && text.data[at] >= 0x20 && text.data[at] != 0x7F)
        at++;
    return at;
}

size_t text_json_escape(struct bytes *text, char out[TEXT_ESCAPE_SIZE])
{
    static const char short_forms[] = "\"\"\\\\\bb\ff\nn\rr\tt";
    static const char digits[] = "0123456789abcdef";
    size_t used = is_c1_control(*text) ? 2 : 1;
    uint8_t c = text->data[used - 1];
    text->data += used;
    text->size -= used;
    if (c >= 0x80 && used == 1) { /* not UTF-8: U+FFFD stands in */
        memcpy(out, "\xEF\xBF\xBD", 4);
        return 3;
    }
    for (const char *pair = short_forms; *pair && used == 1; pair += 2) {
        if ((uint8_t)pair[0] != c) continue;
        memcpy(out, (char[]){'\\', pair[1], '\0'}, 3);
        return 2;
    }
    memcpy(out, (char[]){'\\', 'u', '0', '0', digits[c >> 4], digits[c & 15], '\0'}, 7);
    return 6;
}

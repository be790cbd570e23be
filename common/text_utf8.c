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

size_t text_json_plain(struct bytes text)
{
    size_t at = 0;
    while (at < text.size) {
        uint8_t c = text.data[at];
        if (c < 0x20 || c == '"' || c == '\\' || c == 0x7F) break;
        size_t n = c < 0x80 ? 1 : text_utf8_next((struct bytes){text.data + at, text.size - at});
        if (n == 0) break;
        at += n;
    }
    return at;
}

size_t text_json_escape(uint8_t byte, char out[TEXT_ESCAPE_SIZE])
{
    static const char short_forms[] = "\"\"\\\\\bb\ff\nn\rr\tt";
    static const char digits[] = "0123456789abcdef";
    if (byte >= 0x80) { /* not UTF-8: U+FFFD stands in */
        memcpy(out, "\xEF\xBF\xBD", 4);
        return 3;
    }
    for (const char *pair = short_forms; *pair; pair += 2) {
        if ((uint8_t)pair[0] != byte) continue;
        memcpy(out, (char[]){'\\', pair[1], '\0'}, 3);
        return 2;
    }
    memcpy(out, (char[]){'\\', 'u', '0', '0', digits[byte >> 4], digits[byte & 15], '\0'}, 7);
    return 6;
}

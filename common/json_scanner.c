/* json_scanner.c: is it JSON, and if not, where does it stop being JSON?  One small step function per state, each of
 * which can stop and go on at any byte: so the verdict does not depend on how the input was cut.
 * SPDX-License-Identifier: Apache-2.0 */
#include "json.h"
#include "text.h"
#include <endian.h>
#include <string.h>

/* What comes next.  AFTER: a value has just ended; at depth 0 that was the document. */
enum state {
    VALUE,
    VALUE_OR_END, /* behind '[' */
    KEY_OR_END,   /* behind '{' */
    KEY,
    COLON,
    AFTER,
    LITERAL,
    STRING,
    ESCAPE,
    HEX,
    UTF8,
    /* inside a number, named for what was read last */
    MINUS,
    ZERO,
    INTEGER,
    POINT,
    FRACTION,
    EXPONENT,
    EXPONENT_SIGN,
    EXPONENT_DIGITS,
};

static bool fail(struct json_scanner *s, const char *what)
{
    s->what = what;
    return false;
}

static const uint8_t *skip_space(const uint8_t *at, const uint8_t *end)
{
    while (at < end && *at <= ' ' && (*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t'))
        at++;
    return at;
}

static bool open_container(struct json_scanner *s, bool object)
{
    if (s->depth >= s->depth_max) return fail(s, "nested too deep");
    uint8_t bit = (uint8_t)(1 << s->depth % 8);
    if (object)
        s->nesting[s->depth / 8] |= bit;
    else
        s->nesting[s->depth / 8] &= (uint8_t)~bit;
    s->depth++;
    s->state = object ? KEY_OR_END : VALUE_OR_END;
    return true;
}

static bool in_object(const struct json_scanner *s)
{
    int level = s->depth - 1;
    return (s->nesting[level / 8] >> level % 8 & 1) != 0;
}

static void close_container(struct json_scanner *s)
{
    s->depth--;
    s->state = AFTER;
}

static int64_t offset_of(const struct json_scanner *s, const uint8_t *at)
{
    return s->offset + (at - s->piece);
}

static void note_key(struct json_scanner *s, const uint8_t *at)
{
    struct json_members *m = &s->members;
    if (m->count < JSON_MEMBERS_MAX) {
        m->at[m->count].key = offset_of(s, at);
        m->at[m->count].key_end = 0;
    }
    if (m->count <= JSON_MEMBERS_MAX) m->count++;
}

static void note_key_escape(struct json_scanner *s)
{
    struct json_members *m = &s->members;
    if (s->depth == 1 && m->count <= JSON_MEMBERS_MAX) m->at[m->count - 1].key_end = JSON_KEY_ESCAPED;
}

static void note_key_end(struct json_scanner *s, const uint8_t *at)
{
    struct json_members *m = &s->members;
    if (s->depth != 1 || m->count > JSON_MEMBERS_MAX) return;
    if (m->at[m->count - 1].key_end == 0) m->at[m->count - 1].key_end = offset_of(s, at);
}

static void note_value(struct json_scanner *s, const uint8_t *at)
{
    struct json_members *m = &s->members;
    if (m->count > 0 && m->count <= JSON_MEMBERS_MAX) m->at[m->count - 1].value = offset_of(s, at);
}

static void begin_string(struct json_scanner *s, bool key)
{
    s->in_key = key;
    s->state = STRING;
}

static bool begin_literal(struct json_scanner *s, const char *rest)
{
    s->literal = rest;
    s->state = LITERAL;
    return true;
}

static bool begin_value(struct json_scanner *s, uint8_t first)
{
    switch (first) {
    case '"': begin_string(s, false); return true;
    case '{': return open_container(s, true);
    case '[': return open_container(s, false);
    case 't': return begin_literal(s, "rue");
    case 'f': return begin_literal(s, "alse");
    case 'n': return begin_literal(s, "ull");
    case '-': s->state = MINUS; return true;
    case '0': s->state = ZERO; return true;
    default:
        if (first < '1' || first > '9') return fail(s, "unexpected byte");
        s->state = INTEGER;
        return true;
    }
}

/* The steps.  *at < end on entry; each moves *at over the bytes it accepts and leaves it on the bad one when it fails.
 */

static bool step_value(struct json_scanner *s, const uint8_t **at, const uint8_t *end)
{
    *at = skip_space(*at, end);
    if (*at == end) return true;
    bool may_close = s->state == VALUE_OR_END;
    if (s->depth == 1) note_value(s, *at);
    if (may_close && **at == ']')
        close_container(s);
    else if (!begin_value(s, **at))
        return false;
    (*at)++;
    return true;
}

static bool step_key(struct json_scanner *s, const uint8_t **at, const uint8_t *end)
{
    *at = skip_space(*at, end);
    if (*at == end) return true;
    bool may_close = s->state == KEY_OR_END;
    if (s->depth == 1 && **at == '"') note_key(s, *at);
    if (may_close && **at == '}')
        close_container(s);
    else if (**at == '"')
        begin_string(s, true);
    else
        return fail(s, "unexpected byte");
    (*at)++;
    return true;
}

static bool step_colon(struct json_scanner *s, const uint8_t **at, const uint8_t *end)
{
    *at = skip_space(*at, end);
    if (*at == end) return true;
    if (**at != ':') return fail(s, "unexpected byte");
    s->state = VALUE;
    (*at)++;
    return true;
}

static bool step_after(struct json_scanner *s, const uint8_t **at, const uint8_t *end)
{
    *at = skip_space(*at, end);
    if (*at == end) return true;
    if (s->depth == 0) return fail(s, "text behind the value");
    bool object = in_object(s);
    if (**at == ',' && object && end - *at > 1 && (*at)[1] == '"') { /* no space, so the key begins here */
        (*at)++;
        if (s->depth == 1) note_key(s, *at);
        begin_string(s, true);
    } else if (**at == ',')
        s->state = object ? KEY : VALUE;
    else if (**at == (object ? '}' : ']'))
        close_container(s);
    else
        return fail(s, "unexpected byte");
    (*at)++;
    return true;
}

static bool step_literal(struct json_scanner *s, const uint8_t **at, const uint8_t *end)
{
    for (; *at < end && *s->literal; s->literal++, (*at)++)
        if (**at != (uint8_t)*s->literal) return fail(s, "unexpected byte");
    if (!*s->literal) s->state = AFTER;
    return true;
}

/* How many of the eight bytes a string may simply hold, before the first quote, backslash, control or byte beyond
 * ASCII. A borrow can set false marks only above a true one, so the lowest mark is exact. */
static int plain_of_eight(const uint8_t *at)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    uint64_t word;
    memcpy(&word, at, sizeof word);
    word = le64toh(word);
    uint64_t quote = word ^ ones * '"', backslash = word ^ ones * '\\';
    uint64_t marks = word | (word - ones * 0x20) | ((quote - ones) & ~quote) | ((backslash - ones) & ~backslash);
    marks &= ones * 0x80;
    return marks ? __builtin_ctzll(marks) / 8 : 8;
}

static const uint8_t *skip_plain(const uint8_t *at, const uint8_t *end)
{
    while (end - at >= 8) {
        int plain = plain_of_eight(at);
        at += plain;
        if (plain < 8) return at;
    }
    while (at < end && *at != '"' && *at != '\\' && *at >= 0x20 && *at < 0x80)
        at++;
    return at;
}

/* Takes the first byte of a longer UTF-8 sequence (RFC 3629); the bounds of the second keep out over-long forms,
 * surrogates and everything beyond U+10FFFF. */
static bool begin_utf8(struct json_scanner *s, uint8_t lead)
{
    if (lead < 0xC2 || lead > 0xF4) return fail(s, "not UTF-8");
    s->left = lead < 0xE0 ? 1 : lead < 0xF0 ? 2 : 3;
    s->low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
    s->high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
    s->state = UTF8;
    return true;
}

static bool step_utf8(struct json_scanner *s, const uint8_t **at, const uint8_t *end)
{
    for (; *at < end && s->left > 0; (*at)++, s->left--) {
        if (**at < s->low || **at > s->high) return fail(s, "not UTF-8");
        s->low = 0x80;
        s->high = 0xBF;
    }
    if (s->left == 0) s->state = STRING;
    return true;
}

/* *at is on the closing quote, or, behind a key without a space, on the colon afterwards. */
static void end_string(struct json_scanner *s, const uint8_t **at, const uint8_t *end)
{
    s->state = s->in_key ? COLON : AFTER;
    if (!s->in_key) return;
    note_key_end(s, *at);
    if (end - *at < 2 || (*at)[1] != ':') return;
    s->state = VALUE;
    (*at)++;
}

static bool step_string(struct json_scanner *s, const uint8_t **at, const uint8_t *end)
{
    const uint8_t *p = skip_plain(*at, end);
    *at = p;
    if (p == end) return true;
    if (*p >= 0x80) {
        /* A whole sequence at once when it is there and good; else byte by byte, to find the bad one. */
        size_t whole = text_utf8_next((struct bytes){p, (size_t)(end - p)});
        if (whole == 0 && !begin_utf8(s, *p)) return false;
        *at = p + (whole > 0 ? whole : 1);
        return true;
    }
    if (*p == '"')
        end_string(s, at, end);
    else if (*p == '\\')
        s->state = ESCAPE;
    else
        return fail(s, "control byte in a string");
    (*at)++;
    return true;
}

static bool step_escape(struct json_scanner *s, const uint8_t **at, const uint8_t *end)
{
    (void)end;
    if (**at == 0 || !strchr("\"\\/bfnrtu", **at)) return fail(s, "bad escape");
    if (s->in_key) note_key_escape(s);
    s->state = **at == 'u' ? HEX : STRING;
    s->left = 4;
    s->code = 0;
    (*at)++;
    return true;
}

static bool step_hex(struct json_scanner *s, const uint8_t **at, const uint8_t *end)
{
    for (; *at < end && s->left > 0; (*at)++, s->left--) {
        uint8_t c = **at | 0x20; /* one case; digits have that bit anyway */
        bool digit = **at >= '0' && **at <= '9', letter = c >= 'a' && c <= 'f';
        if (!digit && !letter) return fail(s, "bad escape");
        s->code = (s->code << 4 | (uint32_t)(digit ? c - '0' : c - 'a' + 10)) & 0xFFFF;
    }
    if (s->left > 0) return true;
    if (s->code == 0) s->nul_escape = true;
    s->state = STRING;
    return true;
}

enum { NOT_IN_NUMBERS, DIGIT_0, DIGIT_1_TO_9, DOT, LETTER_E, SIGN, NUMBER_CLASSES };

static const uint8_t number_class[256] = {
    ['0'] = DIGIT_0,      ['1'] = DIGIT_1_TO_9, ['2'] = DIGIT_1_TO_9, ['3'] = DIGIT_1_TO_9, ['4'] = DIGIT_1_TO_9,
    ['5'] = DIGIT_1_TO_9, ['6'] = DIGIT_1_TO_9, ['7'] = DIGIT_1_TO_9, ['8'] = DIGIT_1_TO_9, ['9'] = DIGIT_1_TO_9,
    ['.'] = DOT,          ['e'] = LETTER_E,     ['E'] = LETTER_E,     ['+'] = SIGN,         ['-'] = SIGN,
};

/* The number grammar of RFC 8259, section 6; 0 is "the number ends before this byte". */
static const uint8_t number_next[][NUMBER_CLASSES] = {
    [MINUS] = {[DIGIT_0] = ZERO, [DIGIT_1_TO_9] = INTEGER},
    [ZERO] = {[DOT] = POINT, [LETTER_E] = EXPONENT},
    [INTEGER] = {[DIGIT_0] = INTEGER, [DIGIT_1_TO_9] = INTEGER, [DOT] = POINT, [LETTER_E] = EXPONENT},
    [POINT] = {[DIGIT_0] = FRACTION, [DIGIT_1_TO_9] = FRACTION},
    [FRACTION] = {[DIGIT_0] = FRACTION, [DIGIT_1_TO_9] = FRACTION, [LETTER_E] = EXPONENT},
    [EXPONENT] = {[DIGIT_0] = EXPONENT_DIGITS, [DIGIT_1_TO_9] = EXPONENT_DIGITS, [SIGN] = EXPONENT_SIGN},
    [EXPONENT_SIGN] = {[DIGIT_0] = EXPONENT_DIGITS, [DIGIT_1_TO_9] = EXPONENT_DIGITS},
    [EXPONENT_DIGITS] = {[DIGIT_0] = EXPONENT_DIGITS, [DIGIT_1_TO_9] = EXPONENT_DIGITS},
};

static bool number_may_end(int state)
{
    return state == ZERO || state == INTEGER || state == FRACTION || state == EXPONENT_DIGITS;
}

static bool step_number(struct json_scanner *s, const uint8_t **at, const uint8_t *end)
{
    const uint8_t *p = *at;
    uint8_t state = (uint8_t)s->state, next = state;
    while (p < end && (next = number_next[state][number_class[*p]]) != 0) {
        state = next;
        p++;
    }
    *at = p;
    if (next == 0 && !number_may_end(state)) return fail(s, "digit expected");
    s->state = next == 0 ? AFTER : state;
    return true;
}

static bool step(struct json_scanner *s, const uint8_t **at, const uint8_t *end)
{
    switch ((enum state)s->state) {
    case VALUE:
    case VALUE_OR_END: return step_value(s, at, end);
    case KEY_OR_END:
    case KEY: return step_key(s, at, end);
    case COLON: return step_colon(s, at, end);
    case AFTER: return step_after(s, at, end);
    case LITERAL: return step_literal(s, at, end);
    case STRING: return step_string(s, at, end);
    case ESCAPE: return step_escape(s, at, end);
    case HEX: return step_hex(s, at, end);
    case UTF8: return step_utf8(s, at, end);
    default: return step_number(s, at, end);
    }
}

void json_scanner_init(struct json_scanner *s)
{
    /* Not the whole: the lists are written before they are read. */
    s->members.count = 0;
    s->offset = 0;
    s->what = NULL;
    s->nul_escape = s->in_key = false;
    s->depth_max = JSON_DEPTH_MAX;
    s->state = VALUE;
    s->depth = s->left = 0;
    s->code = 0;
}

bool json_scanner_feed(struct json_scanner *s, const void *data, size_t size)
{
    if (s->what) return false;
    if (size == 0) return true;
    const uint8_t *begin = data, *at = begin, *end = begin + size;
    bool ok = true;
    s->piece = begin;
    while (ok && at < end)
        ok = step(s, &at, end);
    s->offset += at - begin;
    return ok;
}

bool json_scanner_end(struct json_scanner *s)
{
    if (s->what) return false;
    if (s->depth == 0 && (s->state == AFTER || number_may_end(s->state))) return true;
    bool in_string = s->state >= STRING && s->state <= UTF8;
    return fail(s, in_string ? "unterminated string" : "unexpected end");
}

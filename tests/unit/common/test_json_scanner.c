/* test_json_scanner.c: RFC 8259 by table, each row cut in every way; long documents cut at random.
 * SPDX-License-Identifier: Apache-2.0 */
#include "json.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants its headers first */
#include <cmocka.h>

#define ROWS(table) (sizeof(table) / sizeof(table)[0])

struct row {
    const char *text;
    size_t size;
    int64_t bad_at; /* GOOD, or the offset of the first byte that cannot be; the length where the end comes too early */
    const char *what;
};
enum { GOOD = -1 };
#define ROW(text, bad_at, what)                                                                                        \
    {                                                                                                                  \
        text, sizeof(text) - 1, bad_at, what                                                                           \
    }

#define BYTE    "unexpected byte"
#define END     "unexpected end"
#define STRING  "unterminated string"
#define BEHIND  "text behind the value"
#define DIGIT   "digit expected"
#define ESCAPE  "bad escape"
#define UTF8    "not UTF-8"
#define CONTROL "control byte in a string"

static const struct row rows[] = {
    /* values at the top, and white space */
    ROW("null", GOOD, NULL),
    ROW("true", GOOD, NULL),
    ROW("false", GOOD, NULL),
    ROW("0", GOOD, NULL),
    ROW("\"\"", GOOD, NULL),
    ROW("[]", GOOD, NULL),
    ROW("{}", GOOD, NULL),
    ROW(" \t\r\n[ ] \t\r\n", GOOD, NULL),
    ROW(" { \"a\" : 1 , \"b\" : [ ] } ", GOOD, NULL),
    ROW("", 0, END),
    ROW(" \n ", 3, END),
    ROW("\xEF\xBB\xBF{}", 0, BYTE), /* byte order mark */
    ROW("\0", 0, BYTE),
    ROW("\f[]", 0, BYTE),
    ROW("\v[]", 0, BYTE),
    ROW("\xC2\xA0[]", 0, BYTE), /* no-break space */
    ROW("[]\0", 2, BEHIND),
    ROW("[] []", 3, BEHIND),
    ROW("{}}", 2, BEHIND),
    ROW("1 2", 2, BEHIND),
    ROW("\"a\"b", 3, BEHIND),
    ROW("null,", 4, BEHIND),
    ROW("[]/**/", 2, BEHIND),
    ROW("[1] // x", 4, BEHIND),
    ROW("// x\n1", 0, BYTE),
    ROW("<xml/>", 0, BYTE),
    ROW("a=b&c=d", 0, BYTE),
    ROW("'a'", 0, BYTE),
    ROW("]", 0, BYTE),
    ROW("}", 0, BYTE),
    ROW(",", 0, BYTE),
    ROW(":", 0, BYTE),
    ROW("\\u0031", 0, BYTE),
    /* literals */
    ROW("tru", 3, END),
    ROW("t", 1, END),
    ROW("nul", 3, END),
    ROW("True", 0, BYTE),
    ROW("TRUE", 0, BYTE),
    ROW("trUe", 2, BYTE),
    ROW("falsy", 4, BYTE),
    ROW("nulll", 4, BEHIND),
    ROW("[truefalse]", 5, BYTE),
    ROW("NaN", 0, BYTE),
    ROW("nan", 1, BYTE),
    ROW("Infinity", 0, BYTE),
    ROW("-Infinity", 1, DIGIT),
    ROW("undefined", 0, BYTE),
    /* numbers */
    ROW("-0", GOOD, NULL),
    ROW("10", GOOD, NULL),
    ROW("-123", GOOD, NULL),
    ROW("0.5", GOOD, NULL),
    ROW("-0.0", GOOD, NULL),
    ROW("1e5", GOOD, NULL),
    ROW("1E+5", GOOD, NULL),
    ROW("1e-05", GOOD, NULL),
    ROW("0e0", GOOD, NULL),
    ROW("1.25e400", GOOD, NULL),
    ROW("123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890", GOOD, NULL),
    ROW("[1,-2.5,3e3]", GOOD, NULL),
    ROW("-", 1, END),
    ROW("1.", 2, END),
    ROW("1e", 2, END),
    ROW("1e+", 3, END),
    ROW("01", 1, BEHIND),
    ROW("[01]", 2, BYTE),
    ROW("-01", 2, BEHIND),
    ROW("00", 1, BEHIND),
    ROW("+1", 0, BYTE),
    ROW(".5", 0, BYTE),
    ROW("-.5", 1, DIGIT),
    ROW("1.e5", 2, DIGIT),
    ROW("1..5", 2, DIGIT),
    ROW("1.5.5", 3, BEHIND),
    ROW("1e5.5", 3, BEHIND),
    ROW("1ee5", 2, DIGIT),
    ROW("1e+-5", 3, DIGIT),
    ROW("1e5e5", 3, BEHIND),
    ROW("--1", 1, DIGIT),
    ROW("-a", 1, DIGIT),
    ROW("0x1F", 1, BEHIND),
    ROW("1_000", 1, BEHIND),
    ROW("1,000", 1, BEHIND),
    ROW("[1 000]", 3, BYTE),
    ROW("[-]", 2, DIGIT),
    ROW("[1.]", 3, DIGIT),
    ROW("[1e]", 3, DIGIT),
    ROW("1\xD9\xA1", 1, BEHIND), /* an Arabic digit */
    /* arrays */
    ROW("[[[]]]", GOOD, NULL),
    ROW("[1,[2,[3]],{\"a\":[4]}]", GOOD, NULL),
    ROW("[", 1, END),
    ROW("[1", 2, END),
    ROW("[1,", 3, END),
    ROW("[,]", 1, BYTE),
    ROW("[1,]", 3, BYTE),
    ROW("[1,,2]", 3, BYTE),
    ROW("[,1]", 1, BYTE),
    ROW("[1 2]", 3, BYTE),
    ROW("[1:2]", 2, BYTE),
    ROW("[1}", 2, BYTE),
    ROW("[\"a\":1]", 4, BYTE),
    ROW("[[]", 3, END),
    ROW("[]]", 2, BEHIND),
    /* objects */
    ROW("{\"\":0}", GOOD, NULL),
    ROW("{\"a\":1,\"a\":2}", GOOD, NULL), /* RFC 8259: names SHOULD be unique */
    ROW("{\"a\\u0062\\n\":{\"c\":{}}}", GOOD, NULL),
    ROW("{", 1, END),
    ROW("{\"a\"", 4, END),
    ROW("{\"a\":", 5, END),
    ROW("{\"a\":1", 6, END),
    ROW("{\"a\":1,", 7, END),
    ROW("{\"a", 3, STRING),
    ROW("{,}", 1, BYTE),
    ROW("{\"a\":1,}", 7, BYTE),
    ROW("{\"a\":1,,\"b\":2}", 7, BYTE),
    ROW("{\"a\" 1}", 5, BYTE),
    ROW("{\"a\"}", 4, BYTE),
    ROW("{\"a\",1}", 4, BYTE),
    ROW("{\"a\"::1}", 5, BYTE),
    ROW("{\"a\":}", 5, BYTE),
    ROW("{\"a\":1]", 6, BYTE),
    ROW("{\"a\":1 \"b\":2}", 7, BYTE),
    ROW("{a:1}", 1, BYTE),
    ROW("{'a':1}", 1, BYTE),
    ROW("{1:1}", 1, BYTE),
    ROW("{null:1}", 1, BYTE),
    ROW("{[]:1}", 1, BYTE),
    ROW("{]", 1, BYTE),
    /* strings and escapes */
    ROW("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", GOOD, NULL),
    ROW("\"\\u0000\\uFFFF\\uabCD\"", GOOD, NULL),
    ROW("\"\\uD83D\\uDE00\"", GOOD, NULL),
    ROW("\"\\uD800\"", GOOD, NULL), /* the grammar has lone surrogates */
    ROW("\"\x7F\"", GOOD, NULL),
    ROW("\"' / <>&\"", GOOD, NULL),
    ROW("\"", 1, STRING),
    ROW("\"abcdefghijkl", 13, STRING),
    ROW("\"\\", 2, STRING),
    ROW("\"\\\"", 3, STRING),
    ROW("\"\\u12", 5, STRING),
    ROW("\"\\a\"", 2, ESCAPE),
    ROW("\"\\x41\"", 2, ESCAPE),
    ROW("\"\\U0041\"", 2, ESCAPE),
    ROW("\"\\0\"", 2, ESCAPE),
    ROW("\"\\'\"", 2, ESCAPE),
    ROW("\"\\\0\"", 2, ESCAPE),
    ROW("\"\\\n\"", 2, ESCAPE),
    ROW("\"\\\xC3\xA9\"", 2, ESCAPE),
    ROW("\"\\u\"", 3, ESCAPE),
    ROW("\"\\u123\"", 6, ESCAPE),
    ROW("\"\\u00g0\"", 5, ESCAPE),
    ROW("\"\\u 123\"", 3, ESCAPE),
    ROW("\"\\u+123\"", 3, ESCAPE),
    ROW("\"\\u12\\u34\"", 5, ESCAPE),
    ROW("\"\\u\x10\x11\x12\x13\"", 3, ESCAPE), /* digits but for one bit */
    ROW("\"\\uPQRS\"", 3, ESCAPE),
    ROW("\"a\nb\"", 2, CONTROL),
    ROW("\"\t\"", 1, CONTROL),
    ROW("\"\0\"", 1, CONTROL),
    ROW("\"\x1F\"", 1, CONTROL),
    ROW("\"1234567\x01\"", 8, CONTROL),
    ROW("{\"a\x01\":1}", 3, CONTROL),
    /* UTF-8 */
    ROW("\"\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80\"", GOOD, NULL),
    ROW("\"\xC2\x80\xDF\xBF\xE0\xA0\x80\xEF\xBF\xBF\"", GOOD, NULL),
    ROW("\"\xED\x9F\xBF\xEE\x80\x80\xF0\x90\x80\x80\xF4\x8F\xBF\xBF\"", GOOD, NULL),
    ROW("{\"\xC3\xA9\":\"\xE6\x97\xA5\xE6\x9C\xAC\"}", GOOD, NULL),
    ROW("\"\x80\"", 1, UTF8),
    ROW("\"\xBF\"", 1, UTF8),
    ROW("\"\xC0\x80\"", 1, UTF8),
    ROW("\"\xC1\xBF\"", 1, UTF8),
    ROW("\"\xC3\"", 2, UTF8),
    ROW("\"\xC3\xC3\"", 2, UTF8),
    ROW("\"\xC3", 2, STRING),
    ROW("\"\xE0\x80\x80\"", 2, UTF8),
    ROW("\"\xE0\x9F\xBF\"", 2, UTF8),
    ROW("\"\xE2\x82\"", 3, UTF8),
    ROW("\"\xE2\x28\xA1\"", 2, UTF8),
    ROW("\"\xED\xA0\x80\"", 2, UTF8), /* a surrogate */
    ROW("\"\xED\xBF\xBF\"", 2, UTF8),
    ROW("\"\xF0\x80\x80\x80\"", 2, UTF8),
    ROW("\"\xF0\x8F\xBF\xBF\"", 2, UTF8),
    ROW("\"\xF0\x9F\x98\"", 4, UTF8),
    ROW("\"\xF0\x9F\x98", 4, STRING),
    ROW("\"\xF4\x90\x80\x80\"", 2, UTF8),
    ROW("\"\xF5\x80\x80\x80\"", 1, UTF8),
    ROW("\"\xFF\"", 1, UTF8),
    ROW("\"\xFE\"", 1, UTF8),
    ROW("\"caf\xE9\"", 5, UTF8),    /* Latin-1 */
    ROW("\xFF\xFE{\0}\0", 0, BYTE), /* UTF-16 */
    ROW("{\0\"\0", 1, BYTE),
    ROW("[\xC3\xA9]", 1, BYTE),
};

struct verdict {
    bool ok;
    int64_t offset;
    const char *what;
};

static uint64_t next_random(uint64_t *seed)
{
    *seed ^= *seed >> 12;
    *seed ^= *seed << 25;
    *seed ^= *seed >> 27;
    return *seed * UINT64_C(2685821657736338717);
}

/* Feeds pieces of 1..piece_max bytes (0: all at once).  Each piece is a heap block of its own size, so that a
 * sanitizer sees any look beyond its end. */
static struct verdict scan(const void *data, size_t size, size_t piece_max, uint64_t *seed)
{
    struct json_scanner s;
    const char *at = data;
    json_scanner_init(&s);
    bool ok = true;
    for (size_t left = size; ok && left > 0;) {
        size_t piece = piece_max ? 1 + next_random(seed) % piece_max : left;
        if (piece > left) piece = left;
        char *copy = malloc(piece);
        memcpy(copy, at, piece);
        ok = json_scanner_feed(&s, copy, piece);
        free(copy);
        at += piece;
        left -= piece;
    }
    ok = json_scanner_end(&s) && ok;
    return (struct verdict){ok, s.offset, s.what};
}

static bool same(struct verdict a, struct verdict b)
{
    return a.ok == b.ok && a.offset == b.offset && (a.what == b.what || (a.what && b.what && !strcmp(a.what, b.what)));
}

static void the_table_holds_for_every_cut(void **state)
{
    (void)state;
    uint64_t seed = 1;
    for (size_t i = 0; i < ROWS(rows); i++) {
        const struct row *r = &rows[i];
        bool good = r->bad_at == GOOD;
        struct verdict expected = {good, good ? (int64_t)r->size : r->bad_at, r->what};
        for (size_t piece_max = 0; piece_max <= 4; piece_max++) {
            struct verdict v = scan(r->text, r->size, piece_max, &seed);
            if (!same(v, expected))
                fail_msg("'%s' in pieces of %zu: %s at %d", r->text, piece_max, v.what ? v.what : "good",
                         (int)v.offset);
        }
        for (size_t cut = 1; cut < r->size; cut++) {
            struct json_scanner s;
            json_scanner_init(&s);
            bool ok = json_scanner_feed(&s, r->text, cut) && json_scanner_feed(&s, r->text + cut, r->size - cut);
            ok = json_scanner_end(&s) && ok;
            if (!same((struct verdict){ok, s.offset, s.what}, expected)) fail_msg("'%s' cut at %zu", r->text, cut);
        }
    }
}

static void a_verdict_is_final(void **state)
{
    (void)state;
    struct json_scanner s;
    json_scanner_init(&s);
    assert_false(json_scanner_feed(&s, "[}", 2));
    assert_int_equal(s.offset, 1);
    assert_false(json_scanner_feed(&s, "]", 1));
    assert_false(json_scanner_end(&s));
    assert_int_equal(s.offset, 1);
    json_scanner_init(&s);
    assert_true(json_scanner_feed(&s, NULL, 0));
    assert_true(json_scanner_feed(&s, "1", 1));
    assert_true(json_scanner_feed(&s, NULL, 0));
    assert_true(json_scanner_end(&s));
}

static void nesting_ends_at_the_limit(void **state)
{
    (void)state;
    char text[3 * JSON_DEPTH_MAX + 8];
    for (int limit = 1; limit <= JSON_DEPTH_MAX; limit = limit < 8 ? limit + 1 : limit * 2) {
        for (int extra = 0; extra < 2; extra++) {
            struct json_scanner s;
            size_t depth = (size_t)(limit + extra);
            memset(text, '[', depth);
            memset(text + depth, ']', depth);
            json_scanner_init(&s);
            s.depth_max = limit;
            bool ok = json_scanner_feed(&s, text, 2 * depth) && json_scanner_end(&s);
            assert_int_equal(ok, extra == 0);
            if (!ok) assert_string_equal(s.what, "nested too deep");
            if (!ok) assert_int_equal(s.offset, limit);
        }
    }
}

/* Every level remembers whether it is an object or an array. */
static void brackets_close_in_their_order(void **state)
{
    (void)state;
    uint64_t seed = 5;
    for (int round = 0; round < 2000; round++) {
        char text[6 * JSON_DEPTH_MAX], closing[JSON_DEPTH_MAX];
        size_t size = 0, depth = 1 + next_random(&seed) % JSON_DEPTH_MAX, wrong = next_random(&seed) % (2 * depth);
        for (size_t i = 0; i < depth; i++) {
            bool object = next_random(&seed) >> 63;
            closing[i] = object ? '}' : ']';
            size += (size_t)snprintf(text + size, sizeof text - size, "%s", object ? "{\"k\":" : "[");
        }
        text[size++] = '0';
        int64_t bad_at = -1;
        for (size_t i = depth; i-- > 0;) {
            if (i == wrong) bad_at = (int64_t)size;
            text[size++] = i == wrong ? (char)(closing[i] ^ ('}' ^ ']')) : closing[i];
        }
        struct verdict v = scan(text, size, 0, &seed);
        assert_int_equal(v.ok, bad_at < 0);
        if (bad_at >= 0) assert_int_equal(v.offset, bad_at);
    }
}

/* One random value, valid by construction. */
static void grow(struct buffer *b, int depth, uint64_t *seed)
{
    static const char *const leaves[] = {"null",
                                         "true",
                                         "false",
                                         "0",
                                         "-1.5e+10",
                                         "123456789",
                                         "\"\"",
                                         "\"plain text, longer than eight bytes\"",
                                         "\"\\u00e9\\n\\\"\\\\\"",
                                         "\"\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80 mixed \xC3\xA9\"",
                                         "[]",
                                         "{}"};
    static const char *const spaces[] = {"", "", "", " ", "\n", "\r\n\t", "           "};
    buffer_text(b, spaces[next_random(seed) % ROWS(spaces)]);
    uint64_t kind = next_random(seed) % 4;
    if (depth == 0 || kind >= 2) {
        buffer_text(b, leaves[next_random(seed) % ROWS(leaves)]);
    } else {
        uint64_t members = 1 + next_random(seed) % 5;
        buffer_byte(b, kind ? '{' : '[');
        for (uint64_t i = 0; i < members; i++) {
            if (i > 0) buffer_byte(b, ',');
            if (kind) buffer_format(b, "\"key%d\"%s:", (int)i, spaces[next_random(seed) % ROWS(spaces)]);
            grow(b, depth - 1, seed);
        }
        buffer_byte(b, kind ? '}' : ']');
    }
    buffer_text(b, spaces[next_random(seed) % ROWS(spaces)]);
}

static void random_documents_in_random_pieces(void **state)
{
    (void)state;
    uint64_t seed = 7;
    struct buffer b;
    int refused = 0;
    buffer_init(&b, 1 << 20);
    for (int round = 0; round < 5000; round++) {
        buffer_clear(&b);
        grow(&b, 5, &seed);
        assert_true(buffer_ok(&b));
        assert_true(scan(b.data, b.size, 0, &seed).ok);
        /* Half of them get a few wrong bytes: whole and cut must agree on those as well. */
        for (uint64_t i = 0; round % 2 && i < 1 + next_random(&seed) % 3; i++)
            b.data[next_random(&seed) % b.size] = (uint8_t)(next_random(&seed) >> 56);
        struct verdict whole = scan(b.data, b.size, 0, &seed);
        refused += !whole.ok;
        for (size_t piece_max = 1; piece_max < 100; piece_max = piece_max * 3 + 1)
            assert_true(same(scan(b.data, b.size, piece_max, &seed), whole));
    }
    assert_in_range(refused, 1500, 2500);
    buffer_close(&b);
}

static void nul_escapes_are_noticed(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool seen;
    } nuls[] = {
        {"\"\\u0000\"", true},  {"{\"\\u0000\":1}", true}, {"\"\\u0000\\u0041\"", true}, {"\"\\u0001\"", false},
        {"\"\\u1000\"", false}, {"\"\\\\u0000\"", false},  {"\"0000\"", false},          {"\"\\u00010000\"", false},
    };
    for (size_t i = 0; i < ROWS(nuls); i++) {
        struct json_scanner s;
        json_scanner_init(&s);
        assert_true(json_scanner_feed(&s, nuls[i].text, strlen(nuls[i].text)) && json_scanner_end(&s));
        assert_int_equal(s.nul_escape, nuls[i].seen);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_holds_for_every_cut),     cmocka_unit_test(a_verdict_is_final),
        cmocka_unit_test(nesting_ends_at_the_limit),         cmocka_unit_test(brackets_close_in_their_order),
        cmocka_unit_test(random_documents_in_random_pieces), cmocka_unit_test(nul_escapes_are_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* test_text.c: every parser at its minimum, its maximum, and on garbage; what is printed reads back the same.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "text.h"
#include <cmocka.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define ROWS(table) (sizeof(table) / sizeof(table)[0])
enum { ROUNDS = 100000 };

/* xorshift64*: the same numbers in every run, so that a failure can be repeated. */
static uint64_t next_random(uint64_t *seed)
{
    *seed ^= *seed >> 12;
    *seed ^= *seed << 25;
    *seed ^= *seed >> 27;
    return *seed * UINT64_C(2685821657736338717);
}

static void integers(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t min, max;
        bool ok;
        int64_t value;
    } rows[] = {
        {"0", 0, 0, true, 0},
        {"-0", 0, 0, true, 0},
        {"007", 0, 9, true, 7},
        {"9223372036854775807", INT64_MIN, INT64_MAX, true, INT64_MAX},
        {"-9223372036854775808", INT64_MIN, INT64_MAX, true, INT64_MIN},
        {"9223372036854775808", INT64_MIN, INT64_MAX, false, 0},
        {"-9223372036854775809", INT64_MIN, INT64_MAX, false, 0},
        {"18446744073709551616", INT64_MIN, INT64_MAX, false, 0},
        {"99999999999999999999999999999999999999", INT64_MIN, INT64_MAX, false, 0},
        {"5", 5, 5, true, 5},
        {"4", 5, 9, false, 0},
        {"10", 5, 9, false, 0},
        {"-5", -5, -5, true, -5},
        {"-1", 0, 9, false, 0},
        {"", INT64_MIN, INT64_MAX, false, 0},
        {"-", INT64_MIN, INT64_MAX, false, 0},
        {"--1", INT64_MIN, INT64_MAX, false, 0},
        {"+1", INT64_MIN, INT64_MAX, false, 0},
        {" 1", INT64_MIN, INT64_MAX, false, 0},
        {"1 ", INT64_MIN, INT64_MAX, false, 0},
        {"1-", INT64_MIN, INT64_MAX, false, 0},
        {"0x10", INT64_MIN, INT64_MAX, false, 0},
        {"1e3", INT64_MIN, INT64_MAX, false, 0},
        {"1.0", INT64_MIN, INT64_MAX, false, 0},
        {"1_0", INT64_MIN, INT64_MAX, false, 0},
        {"\xD9\xA1", INT64_MIN, INT64_MAX, false, 0}, /* an Arabic digit */
    };
    for (size_t i = 0; i < ROWS(rows); i++) {
        int64_t value = 4711;
        bool ok = text_parse_int64(bytes_of(rows[i].text), rows[i].min, rows[i].max, &value);
        if (ok != rows[i].ok || value != (rows[i].ok ? rows[i].value : 4711)) fail_msg("'%s'", rows[i].text);
    }
    int64_t value;
    assert_false(text_parse_int64((struct bytes){(const uint8_t *)"1\0", 2}, 0, 9, &value));
}

static void integers_read_back(void **state)
{
    (void)state;
    uint64_t seed = 1;
    for (int i = 0; i < ROUNDS; i++) {
        uint64_t bits = next_random(&seed) >> (next_random(&seed) % 64);
        int64_t value = i == 0 ? INT64_MIN : (int64_t)(i % 2 ? bits : 0 - bits), back = 0;
        char text[TEXT_INT64_SIZE], expected[32];
        size_t size = text_format_int64(value, text);
        snprintf(expected, sizeof expected, "%" PRId64, value);
        assert_string_equal(text, expected);
        assert_int_equal(size, strlen(expected));
        assert_true(text_parse_int64(bytes_of(text), INT64_MIN, INT64_MAX, &back));
        assert_true(back == value);
    }
}

struct unit_row {
    const char *text;
    int64_t value; /* -1: refused */
};

static void check_units(bool (*parse)(struct bytes, int64_t *), const struct unit_row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int64_t value = -1;
        bool ok = parse(bytes_of(rows[i].text), &value);
        if (ok != (rows[i].value >= 0) || value != rows[i].value) fail_msg("'%s' gave %" PRId64, rows[i].text, value);
    }
}

static void sizes(void **state)
{
    (void)state;
    static const struct unit_row rows[] = {
        {"0", 0},
        {"4096", 4096},
        {"64KiB", 65536},
        {"1MiB", 1048576},
        {"2GiB", INT64_C(2147483648)},
        {"9223372036854775807", INT64_MAX},
        {"8589934591GiB", INT64_C(8589934591) << 30},
        {"8589934592GiB", -1},
        {"9223372036854775808", -1},
        {"", -1},
        {"KiB", -1},
        {"-1", -1},
        {"1kib", -1},
        {"1KB", -1},
        {"1K", -1},
        {"1 KiB", -1},
        {"1KiB ", -1},
        {"1.5MiB", -1},
        {"1TiB", -1},
    };
    check_units(text_parse_size, rows, ROWS(rows));
}

static void durations(void **state)
{
    (void)state;
    static const struct unit_row rows[] = {
        {"0", 0},
        {"0s", 0},
        {"250ms", 250},
        {"4s", 4000},
        {"5m", 300000},
        {"2h", 7200000},
        {"7d", 604800000},
        {"9223372036854775807ms", INT64_MAX},
        {"9223372036854775s", INT64_C(9223372036854775000)},
        {"9223372036854776s", -1},
        {"106751991168d", -1},
        {"", -1},
        {"5", -1},
        {"00", -1},
        {"s", -1},
        {"-1s", -1},
        {"1S", -1},
        {"1 s", -1},
        {"1s1ms", -1},
        {"1.5s", -1},
        {"1min", -1},
        {"10us", -1},
    };
    check_units(text_parse_duration, rows, ROWS(rows));
}

static void known_times(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t wall_us;
    } rows[] = {
        {"1970-01-01T00:00:00.000000Z", 0},
        {"1969-12-31T23:59:59.999999Z", -1},
        {"2000-02-29T23:59:59.999999Z", INT64_C(951868799999999)},
        {"2000-03-01T00:00:00.000000Z", INT64_C(951868800000000)},
        {"1900-03-01T00:00:00.000000Z", INT64_C(-2203891200000000)},
        {"2023-02-28T12:00:00.500000Z", INT64_C(1677585600500000)},
        {"2024-02-29T12:00:00.000001Z", INT64_C(1709208000000001)},
        {"2038-01-19T03:14:08.000000Z", INT64_C(2147483648000000)},
        {"2026-11-23T12:00:00.123456Z", INT64_C(1795435200123456)},
        {"2100-02-28T23:59:59.000000Z", INT64_C(4107542399000000)},
        {"9999-12-31T23:59:59.999999Z", INT64_C(253402300799999999)},
        {"0000-01-01T00:00:00.000000Z", INT64_C(-62167219200000000)},
    };
    char text[TEXT_TIME_SIZE], offset_form[TEXT_TIME_OFFSET_SIZE], expected[TEXT_TIME_OFFSET_SIZE + 1];
    for (size_t i = 0; i < ROWS(rows); i++) {
        int64_t back = 0;
        text_format_time(rows[i].wall_us, text);
        assert_string_equal(text, rows[i].text);
        assert_true(text_parse_time(bytes_of(text), &back) && back == rows[i].wall_us);
        text_format_time_offset(rows[i].wall_us, offset_form);
        snprintf(expected, sizeof expected, "%.26s+00:00", rows[i].text);
        assert_string_equal(offset_form, expected);
    }
    text_format_time(INT64_MAX, text);
    assert_string_equal(text, "9999-12-31T23:59:59.999999Z");
    text_format_time(INT64_MIN, text);
    assert_string_equal(text, "0000-01-01T00:00:00.000000Z");
}

static void other_forms_of_times(void **state)
{
    (void)state;
    static const struct {
        const char *text, *same_as; /* NULL: refused */
    } rows[] = {
        {"2026-11-23T12:00:00Z", "2026-11-23T12:00:00.000000Z"},
        {"2026-11-23t12:00:00z", "2026-11-23T12:00:00.000000Z"},
        {"2026-11-23T12:00:00.1Z", "2026-11-23T12:00:00.100000Z"},
        {"2026-11-23T12:00:00.123456789Z", "2026-11-23T12:00:00.123456Z"},
        {"2026-11-23T12:00:00+00:00", "2026-11-23T12:00:00.000000Z"},
        {"2026-11-23T12:00:00-00:00", "2026-11-23T12:00:00.000000Z"},
        {"2026-11-23T12:00:00.5+05:30", "2026-11-23T06:30:00.500000Z"},
        {"2026-12-31T20:00:00-05:00", "2027-01-01T01:00:00.000000Z"},
        {"2024-03-01T00:30:00+01:00", "2024-02-29T23:30:00.000000Z"},
        {"2026-11-23T12:00:00+23:59", "2026-11-22T12:01:00.000000Z"},
        {"2016-12-31T23:59:60Z", "2017-01-01T00:00:00.000000Z"},
        {"2016-12-31T15:59:60.5-08:00", "2017-01-01T00:00:00.500000Z"},
        {"2017-01-01T08:59:60+09:00", "2017-01-01T00:00:00.000000Z"},
        {"2016-12-31T22:59:60Z", NULL},
        {"2016-12-31T23:59:61Z", NULL},
        {"", NULL},
        {"2026-11-23", NULL},
        {"2026-11-23T12:00:00", NULL},
        {"2026-11-23 12:00:00Z", NULL},
        {"2026-11-23T12:00Z", NULL},
        {"2026-11-23T12:00:00.Z", NULL},
        {"2026-11-23T12:00:00.1234567890Z", NULL},
        {"2026-11-23T12:00:00,5Z", NULL},
        {"2026-11-23T24:00:00Z", NULL},
        {"2026-11-23T12:60:00Z", NULL},
        {"2026-00-23T12:00:00Z", NULL},
        {"2026-13-23T12:00:00Z", NULL},
        {"2026-11-00T12:00:00Z", NULL},
        {"2026-11-31T12:00:00Z", NULL},
        {"2026-02-29T12:00:00Z", NULL},
        {"1900-02-29T12:00:00Z", NULL},
        {"26-11-23T12:00:00Z", NULL},
        {"+2026-11-23T12:00:00Z", NULL},
        {"2026-11-23T12:00:00+24:00", NULL},
        {"2026-11-23T12:00:00+01:60", NULL},
        {"2026-11-23T12:00:00+0100", NULL},
        {"2026-11-23T12:00:00+01", NULL},
        {"2026-11-23T12:00:00Z ", NULL},
        {" 2026-11-23T12:00:00Z", NULL},
        {"2026-11-23T12:00:0xZ", NULL},
        {"0000-01-01T00:00:59.999999+00:01", NULL}, /* of the year before 0000 */
        {"9999-12-31T23:59:59-00:01", NULL},
    };
    for (size_t i = 0; i < ROWS(rows); i++) {
        int64_t wall_us = 0;
        char text[TEXT_TIME_SIZE] = "";
        bool ok = text_parse_time(bytes_of(rows[i].text), &wall_us);
        if (ok) text_format_time(wall_us, text);
        if (ok != (rows[i].same_as != NULL) || (ok && strcmp(text, rows[i].same_as) != 0))
            fail_msg("'%s' gave '%s'", rows[i].text, text);
    }
}

static void times_read_back(void **state)
{
    (void)state;
    const int64_t first = INT64_C(-62167219200000000), span = INT64_C(315569520000000000);
    uint64_t seed = 2;
    for (int i = 0; i < ROUNDS; i++) {
        int64_t wall_us = first + (int64_t)(next_random(&seed) % (uint64_t)span), back = 0;
        char text[TEXT_TIME_SIZE], shifted[64], offset_form[TEXT_TIME_OFFSET_SIZE];
        text_format_time(wall_us, text);
        assert_int_equal(strlen(text), 27);
        assert_true(text_parse_time(bytes_of(text), &back) && back == wall_us);
        text_format_time_offset(wall_us, offset_form);
        assert_true(text_parse_time(bytes_of(offset_form), &back) && back == wall_us);
        /* The same clock reading in another zone is that much earlier. */
        int minutes = (int)(next_random(&seed) % 1440);
        snprintf(shifted, sizeof shifted, "%.26s+%02d:%02d", text, minutes / 60, minutes % 60);
        assert_true(text_parse_time(bytes_of(shifted), &back));
        assert_true(back == wall_us - (int64_t)minutes * 60 * 1000000);
    }
}

/* Each day of four centuries follows the one before it. */
static void the_calendar_has_no_gap(void **state)
{
    (void)state;
    static const int lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int year = 1800, month = 1, day = 1;
    int64_t wall_us;
    assert_true(text_parse_time(bytes_of("1800-01-01T00:00:00Z"), &wall_us));
    for (int i = 0; i < 146097; i++, wall_us += INT64_C(86400000000)) {
        char text[TEXT_TIME_SIZE], expected[64];
        text_format_time(wall_us, text);
        snprintf(expected, sizeof expected, "%04d-%02d-%02dT00:00:00.000000Z", year, month, day);
        assert_string_equal(text, expected);
        bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        if (++day <= lengths[month - 1] + (month == 2 && leap)) continue;
        day = 1;
        if (++month <= 12) continue;
        month = 1;
        year++;
    }
    assert_int_equal(year, 2200);
}

static void uuids(void **state)
{
    (void)state;
    char text[TEXT_UUID_SIZE], later[TEXT_UUID_SIZE];
    uint8_t random[10];
    memset(random, 0xFF, sizeof random);
    text_uuid7(INT64_C(0x0123456789AB) * 1000 + 999, random, text);
    assert_string_equal(text, "01234567-89ab-7fff-bfff-ffffffffffff");
    memset(random, 0, sizeof random);
    text_uuid7(INT64_C(0x0123456789AC) * 1000, random, later);
    assert_string_equal(later, "01234567-89ac-7000-8000-000000000000");
    assert_true(strcmp(text, later) < 0);
    text_uuid7(-5, random, text);
    assert_string_equal(text, "00000000-0000-7000-8000-000000000000");
}

static void hex(void **state)
{
    (void)state;
    static const char *const refused[] = {"",       "00",     "00010",  "0001020", "000102030", "00010G",
                                          "00010A", "0x0102", " 00102", "0001 2",  "00:102",    "-00102"};
    uint8_t bytes[3];
    char text[7];
    text_hex("\x00\xAF\xFF", 3, text);
    assert_string_equal(text, "00afff");
    assert_true(text_unhex(bytes_of(text), bytes, 3));
    assert_memory_equal(bytes, "\x00\xAF\xFF", 3);
    assert_true(text_unhex(bytes_of(""), bytes, 0));
    text_hex("", 0, text);
    assert_string_equal(text, "");
    for (size_t i = 0; i < ROWS(refused); i++)
        if (text_unhex(bytes_of(refused[i]), bytes, 3)) fail_msg("'%s'", refused[i]);
    assert_false(text_unhex(bytes_of("00"), bytes, SIZE_MAX / 2 + 2)); /* twice that wraps to 2 */
}

static void base64_vectors(void **state)
{
    (void)state;
    static const char *const rows[][2] = {{"", ""},
                                          {"f", "Zg=="},
                                          {"fo", "Zm8="},
                                          {"foo", "Zm9v"},
                                          {"foob", "Zm9vYg=="},
                                          {"fooba", "Zm9vYmE="},
                                          {"foobar", "Zm9vYmFy"},
                                          {"\xFB\xFF\xBE", "+/++"}};
    struct buffer b;
    buffer_init(&b, 100);
    for (size_t i = 0; i < ROWS(rows); i++) {
        buffer_clear(&b);
        text_base64(bytes_of(rows[i][0]), &b);
        assert_string_equal(buffer_cstr(&b), rows[i][1]);
        buffer_clear(&b);
        assert_true(text_unbase64(bytes_of(rows[i][1]), &b));
        assert_string_equal(buffer_cstr(&b), rows[i][0]);
    }
    buffer_close(&b);
}

static void base64_is_strict(void **state)
{
    (void)state;
    static const char *const refused[] = {
        "Z",    "Zg",   "Zg=",      "Zg===", "Zh==", "Zm9=", "====",     "=",       "Zg==Zg==",   "Zg==\n", "Zm9v\n",
        "Zm 9", "-_-_", "Zm9vZ===", "Z===",  "Zm=v", "=m9v", "Zm9v====", "Zm9vZg=", "\xC3\xA9zz", "Zm9!",
    };
    struct buffer b;
    buffer_init(&b, 100);
    buffer_text(&b, "kept");
    for (size_t i = 0; i < ROWS(refused); i++) {
        if (text_unbase64(bytes_of(refused[i]), &b)) fail_msg("'%s'", refused[i]);
        assert_string_equal(buffer_cstr(&b), "kept");
        assert_int_equal(b.size, 4);
    }
    buffer_close(&b);
    buffer_init(&b, 2);
    assert_false(text_unbase64(bytes_of("Zm9v"), &b)); /* three bytes do not fit in two */
    assert_false(buffer_ok(&b));
    buffer_close(&b);
}

static void base64_reads_back(void **state)
{
    (void)state;
    uint64_t seed = 3;
    struct buffer text, back;
    buffer_init(&text, 1000);
    buffer_init(&back, 1000);
    for (int i = 0; i < ROUNDS; i++) {
        uint8_t data[67];
        size_t size = (size_t)(next_random(&seed) % (sizeof data + 1));
        for (size_t j = 0; j < size; j++)
            data[j] = (uint8_t)(next_random(&seed) >> 56);
        buffer_clear(&text);
        buffer_clear(&back);
        text_base64((struct bytes){data, size}, &text);
        assert_int_equal(text.size, (size + 2) / 3 * 4);
        assert_true(text_unbase64(buffer_view(&text), &back));
        assert_true(bytes_equal(buffer_view(&back), (struct bytes){data, size}));
    }
    buffer_close(&text);
    buffer_close(&back);
}

static void words_without_case(void **state)
{
    (void)state;
    assert_true(text_equal_ignore_case(bytes_of("Content-TYPE"), bytes_of("content-type")));
    assert_false(text_equal_ignore_case(bytes_of("content-type"), bytes_of("content-typ")));
    assert_false(text_equal_ignore_case(bytes_of("a[`{"), bytes_of("A{`["))); /* neighbours of the letters */
    assert_false(text_equal_ignore_case(bytes_of("\xC3\x84"), bytes_of("\xC3\xA4")));
    assert_true(text_starts_with_ignore_case(bytes_of("SHA256=abc"), "sha256="));
    assert_true(text_starts_with_ignore_case(bytes_of("x"), ""));
    assert_false(text_starts_with_ignore_case(bytes_of("sha25"), "sha256="));
}

static void agent_ids(void **state)
{
    (void)state;
    static const char *const good[] = {"a", "Z", "0", "...", "a.b_c~d-e", ".a", "-", "~"};
    static const char *const bad[] = {"",    ".",   "..", "a/b", "a b", "a%20", "\xC3\xA9",
                                      "a\n", "a:b", "a@", "a[",  "a`",  "a{"};
    for (size_t i = 0; i < ROWS(good); i++)
        assert_true(text_is_agent_id(bytes_of(good[i])));
    for (size_t i = 0; i < ROWS(bad); i++)
        if (text_is_agent_id(bytes_of(bad[i]))) fail_msg("'%s'", bad[i]);
    char longest[130];
    memset(longest, 'a', sizeof longest);
    assert_true(text_is_agent_id((struct bytes){(const uint8_t *)longest, 128}));
    assert_false(text_is_agent_id((struct bytes){(const uint8_t *)longest, 129}));
    assert_false(text_is_agent_id((struct bytes){(const uint8_t *)"a\0b", 3}));
}

/* The definition, written down once more without any cleverness. */
static size_t naive_sequence(const uint8_t *at, size_t size)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t length = at[0] < 0x80 ? 1 : at[0] >> 5 == 6 ? 2 : at[0] >> 4 == 14 ? 3 : at[0] >> 3 == 30 ? 4 : 0;
    if (length == 0 || length > size) return 0;
    uint32_t code = length == 1 ? at[0] : at[0] & (0xFFU >> (length + 1));
    for (size_t i = 1; i < length; i++) {
        if (at[i] >> 6 != 2) return 0;
        code = code << 6 | (at[i] & 63U);
    }
    bool surrogate = code >= 0xD800 && code <= 0xDFFF;
    return code < least[length] || code > 0x10FFFF || surrogate ? 0 : length;
}

static void utf8_against_the_definition(void **state)
{
    (void)state;
    /* All first and second bytes, with third and fourth bytes at the interesting places. */
    static const uint8_t tails[] = {0x00, 0x7F, 0x80, 0x9F, 0xA0, 0xBF, 0xC0, 0xFF};
    for (int first = 0; first < 256; first++) {
        for (int second = 0; second < 256; second++) {
            for (size_t t = 0; t < ROWS(tails) * ROWS(tails); t++) {
                uint8_t at[4] = {(uint8_t)first, (uint8_t)second, tails[t / 8], tails[t % 8]};
                for (size_t size = 1; size <= 4; size++)
                    assert_int_equal(text_utf8_next((struct bytes){at, size}), naive_sequence(at, size));
            }
        }
    }
    assert_int_equal(text_utf8_next((struct bytes){NULL, 0}), 0);
}

static void utf8_in_longer_text(void **state)
{
    (void)state;
    char text[40];
    assert_true(text_is_utf8((struct bytes){NULL, 0}));
    for (size_t at = 0; at + 4 < sizeof text; at++) {
        memset(text, 'a', sizeof text);
        assert_true(text_is_utf8((struct bytes){(const uint8_t *)text, sizeof text}));
        memcpy(text + at, "\xF0\x9F\x98\x80", 4);
        assert_true(text_is_utf8((struct bytes){(const uint8_t *)text, sizeof text}));
        assert_false(text_is_utf8((struct bytes){(const uint8_t *)text, at + 3}));
        text[at + 1] = '\x8F';
        assert_false(text_is_utf8((struct bytes){(const uint8_t *)text, sizeof text}));
    }
}

static void escapes(void **state)
{
    (void)state;
    static const struct {
        const char *character, *escape;
    } rows[] = {
        {"\"", "\\\""},
        {"\\", "\\\\"},
        {"\b", "\\b"},
        {"\f", "\\f"},
        {"\n", "\\n"},
        {"\r", "\\r"},
        {"\t", "\\t"},
        {"\x01", "\\u0001"},
        {"\x1B", "\\u001b"},
        {"\x7F", "\\u007f"},
        {"\x1F", "\\u001f"},
        {"\xC2\x9F", "\\u009f"},
        {"\xC2\x80", "\\u0080"},
        {"\xC2\x9B", "\\u009b"},
        {"\xFF", "\xEF\xBF\xBD"},
        {"\xC2", "\xEF\xBF\xBD"},
        {"\x80", "\xEF\xBF\xBD"},
    };
    for (size_t i = 0; i < ROWS(rows); i++) {
        /* At every place of a longer text: the search goes eight bytes at a time. */
        for (size_t place = 0; place < 20; place++) {
            uint8_t text[24];
            size_t width = strlen(rows[i].character);
            memset(text, 'x', sizeof text);
            memcpy(text + place, rows[i].character, width);
            assert_int_equal(text_json_plain((struct bytes){text, sizeof text}), place);
            struct bytes rest = {text + place, sizeof text - place};
            char escape[TEXT_ESCAPE_SIZE];
            assert_int_equal(text_json_escape(&rest, escape), strlen(rows[i].escape));
            assert_string_equal(escape, rows[i].escape);
            assert_ptr_equal(rest.data, text + place + width);
            assert_int_equal(rest.size, sizeof text - place - width);
        }
    }
    assert_int_equal(text_json_plain(bytes_of("plain \xC3\xA9\xC2\xA0 ~ text")), 17);
    uint8_t nul = 0;
    char escape[TEXT_ESCAPE_SIZE];
    assert_int_equal(text_json_escape(&(struct bytes){&nul, 1}, escape), 6);
    assert_string_equal(escape, "\\u0000");
}

/* Any byte at any place of a longer text. */
static void controls_are_found(void **state)
{
    (void)state;
    for (int byte = 0; byte < 256; byte++) {
        for (size_t place = 0; place < 20; place++) {
            uint8_t text[20];
            memset(text, 'x', sizeof text);
            text[place] = (uint8_t)byte;
            size_t expected = byte < 0x20 || byte == 0x7F ? place : sizeof text;
            assert_int_equal(text_before_control((struct bytes){text, sizeof text}), expected);
            bool plain = byte >= 0x20 && byte < 0x7F && byte != '"' && byte != '\\';
            for (size_t size = place + 1; size <= sizeof text; size++)
                assert_int_equal(text_json_plain((struct bytes){text, size}), plain ? size : place);
        }
    }
    assert_int_equal(text_before_control((struct bytes){NULL, 0}), 0);
    assert_int_equal(text_json_plain((struct bytes){NULL, 0}), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers),
        cmocka_unit_test(integers_read_back),
        cmocka_unit_test(sizes),
        cmocka_unit_test(durations),
        cmocka_unit_test(known_times),
        cmocka_unit_test(other_forms_of_times),
        cmocka_unit_test(times_read_back),
        cmocka_unit_test(the_calendar_has_no_gap),
        cmocka_unit_test(uuids),
        cmocka_unit_test(hex),
        cmocka_unit_test(base64_vectors),
        cmocka_unit_test(base64_is_strict),
        cmocka_unit_test(base64_reads_back),
        cmocka_unit_test(words_without_case),
        cmocka_unit_test(agent_ids),
        cmocka_unit_test(utf8_against_the_definition),
        cmocka_unit_test(utf8_in_longer_text),
        cmocka_unit_test(escapes),
        cmocka_unit_test(controls_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

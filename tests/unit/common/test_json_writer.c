/* test_json_writer.c: commas, escapes, and that our own reader reads all of it.
 * SPDX-License-Identifier: Apache-2.0 */
#include "json.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
/* cmocka wants its headers first */
#include <cmocka.h>

static void commas_stand_between(void **state)
{
    (void)state;
    struct buffer b;
    struct json_writer w;
    buffer_init(&b, 1000);
    json_writer_init(&w, &b);
    json_write_object(&w, NULL);
    json_write_cstr(&w, "text", "a");
    json_write_cstr(&w, "none", NULL);
    json_write_array(&w, "list");
    json_write_int(&w, NULL, INT64_MIN);
    json_write_array(&w, NULL);
    json_write_array_end(&w);
    json_write_bool(&w, NULL, true);
    json_write_object(&w, NULL);
    json_write_object_end(&w);
    json_write_array_end(&w);
    json_write_object(&w, "inner");
    json_write_null(&w, "x");
    json_write_object_end(&w);
    json_write_raw(&w, "raw", bytes_of("{ \"kept\" : 1.50 }"));
    json_write_bool(&w, "last", false);
    json_write_object_end(&w);
    assert_string_equal(buffer_cstr(&b), "{\"text\":\"a\",\"none\":null,\"list\":[-9223372036854775808,[],true,{}],"
                                         "\"inner\":{\"x\":null},\"raw\":{ \"kept\" : 1.50 },\"last\":false}");
    buffer_close(&b);
}

static void text_is_escaped(void **state)
{
    (void)state;
    struct buffer b;
    struct json_writer w;
    buffer_init(&b, 1000);
    json_writer_init(&w, &b);
    json_write_object(&w, NULL);
    json_write_text(&w, "k\"\n", (struct bytes){(const uint8_t *)"a\0\"\\/\x1F\x7F\xC3\xA9\xFF\xC3", 11});
    json_write_text(&w, "empty", (struct bytes){NULL, 0});
    json_write_object_end(&w);
    assert_string_equal(buffer_cstr(&b),
                        "{\"k\\\"\\n\":\"a\\u0000\\\"\\\\/\\u001f\\u007f\xC3\xA9\xEF\xBF\xBD\xEF\xBF\xBD\","
                        "\"empty\":\"\"}");
    buffer_close(&b);
}

/* Any two bytes, in front of and behind plain text: always JSON, and the same text where it was UTF-8. */
static void whatever_is_written_reads_back(void **state)
{
    (void)state;
    struct buffer b;
    buffer_init(&b, 1000);
    for (unsigned pair = 0; pair < 65536; pair++) {
        uint8_t text[12] = "plain..plain";
        text[5] = (uint8_t)(pair >> 8);
        text[6] = (uint8_t)pair;
        struct json_writer w;
        struct json_scanner s;
        buffer_clear(&b);
        json_writer_init(&w, &b);
        json_write_text(&w, NULL, (struct bytes){text, sizeof text});
        json_scanner_init(&s);
        assert_true(json_scanner_feed(&s, b.data, b.size) && json_scanner_end(&s));
        if (text[5] == 0 || text[6] == 0) continue;
        struct error e = {0};
        struct json *document = json_parse(buffer_view(&b), &e);
        const char *back = NULL;
        assert_true(json_text(document, &back));
        bool ascii = (text[5] | text[6]) < 0x80, two = text[5] >= 0xC2 && text[5] <= 0xDF && (text[6] & 0xC0) == 0x80;
        assert_int_equal(bytes_equal(bytes_of(back), (struct bytes){text, sizeof text}), ascii || two);
        json_free(document);
    }
    buffer_close(&b);
}

static void a_full_buffer_is_the_writers_error(void **state)
{
    (void)state;
    struct buffer b;
    struct json_writer w;
    buffer_init(&b, 10);
    json_writer_init(&w, &b);
    json_write_object(&w, NULL);
    json_write_cstr(&w, "key", "a long value");
    json_write_object_end(&w);
    assert_false(buffer_ok(&b));
    assert_int_equal(b.size, 0);
    buffer_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commas_stand_between),
        cmocka_unit_test(text_is_escaped),
        cmocka_unit_test(whatever_is_written_reads_back),
        cmocka_unit_test(a_full_buffer_is_the_writers_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* test_form.c: forms and queries field by field; signed texts out of templates; URLs of Amazon's certificates.
 * SPDX-License-Identifier: Apache-2.0 */
#include "form.h"
#include "scheme_words.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
/* cmocka wants its headers first */
#include <cmocka.h>

static void fields_come_one_by_one(void **state)
{
    (void)state;
    static const char *const expected[] = {"a", "1", "b", "", "", "c", "d", "e=f", "a", "2"};
    struct bytes rest = bytes_of("a=1&b&&=c&d=e=f&a=2&");
    struct form_field field;
    size_t i = 0;
    for (; form_next(&rest, &field); i += 2) {
        assert_true(i < sizeof expected / sizeof expected[0]);
        assert_true(bytes_are(field.name, expected[i]) && bytes_are(field.value, expected[i + 1]));
    }
    assert_int_equal(i, sizeof expected / sizeof expected[0]);
}

static void escapes_are_read_strictly(void **state)
{
    (void)state;
    static const struct {
        const char *text, *decoded; /* NULL: broken */
    } rows[] = {{"", ""},     {"a+b", "a b"}, {"%2B%2b", "++"}, {"a%20b", "a b"},       {"%", NULL},
                {"%4", NULL}, {"%4g", NULL},  {"%%41", NULL},   {"%C3%A4", "\xc3\xa4"}, {"x%zz", NULL}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct buffer out;
        buffer_init(&out, 64);
        buffer_text(&out, "<");
        assert_int_equal(form_decode(bytes_of(rows[i].text), &out), rows[i].decoded != NULL);
        assert_string_equal(buffer_cstr(&out) + 1, rows[i].decoded ? rows[i].decoded : "");
        buffer_close(&out);
    }
}

static void a_field_is_found_by_its_decoded_name(void **state)
{
    (void)state;
    struct bytes value;
    assert_int_equal(form_find(bytes_of("x=1&%61=2"), "a", &value), 1);
    assert_true(bytes_are(value, "2"));
    assert_int_equal(form_find(bytes_of("a=1&%61=2&a=3"), "a", &value), 2);
    assert_true(bytes_are(value, "1"));
    assert_int_equal(form_find(bytes_of("ab=1&A=2&%6=3"), "a", &value), 0);
    assert_true(bytes_are(form_query(bytes_of("?a=b")), "a=b") && bytes_are(form_query(bytes_of("")), ""));
}

/* ---- signed texts ---- */

static size_t find_header(void *ctx, const char *name, struct bytes *value)
{
    (void)ctx;
    if (strcmp(name, "Twice") == 0) {
        *value = bytes_of("1");
        return 2;
    }
    *value = bytes_of(strcmp(name, "Empty") == 0 ? "" : "a.b");
    return strcmp(name, "None") != 0;
}

static void a_signed_text_can_be_cut_in_one_way_only(void **state)
{
    (void)state;
    static const struct {
        const char *template;
        enum template_fault fault;
        const char *text;
    } rows[] = {
        {"{header:Id}:{timestamp}.", TEMPLATE_FINE, "a.b:1700000000."},
        {"{header:Id}.{timestamp}:", TEMPLATE_BAD, NULL},
        {"{header:Id}{timestamp}", TEMPLATE_FINE, "a.b1700000000"},
        {"{timestamp}.{header:Id}", TEMPLATE_FINE, "1700000000.a.b"},
        {"{header:None}.", TEMPLATE_ABSENT, NULL},
        {"{header:Empty}.", TEMPLATE_ABSENT, NULL},
        {"{header:Twice}.", TEMPLATE_TWICE, NULL},
        {"{method} {url}", TEMPLATE_FINE, "POST https://h.example/%28?a=%3A%2b"},
        {"{url-decoded}", TEMPLATE_FINE, "https://h.example/(?a=:%2b"},
        {"{query:a}", TEMPLATE_FINE, ":+"},
        {"{query:b}", TEMPLATE_ABSENT, NULL},
        {"{signature:t}", TEMPLATE_FINE, "9"},
        {"{signature:u}", TEMPLATE_TWICE, NULL},
        {"{signature:w}", TEMPLATE_ABSENT, NULL},
        {"{key}{key}", TEMPLATE_FINE, "kk"},
    };
    const struct template_source source = {.find = find_header,
                                           .method = bytes_of("POST"),
                                           .url = bytes_of("https://h.example/%28"),
                                           .query = bytes_of("?a=%3A%2b"),
                                           .timestamp = bytes_of("1700000000"),
                                           .key = bytes_of("k"),
                                           .signature = bytes_of("t=9,u=1,u=2,v1=ab"),
                                           .list_separator = ',',
                                           .tag_separator = '='};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct template t;
        struct buffer out;
        buffer_init(&out, 1024);
        assert_true(template_init(&t, bytes_of(rows[i].template), TEMPLATE_SIGNED, NULL));
        enum template_fault fault = template_fill_signed(&t, &source, &out);
        if (fault != rows[i].fault) fail_msg("%s: %d", rows[i].template, fault);
        if (rows[i].text) assert_string_equal(buffer_cstr(&out), rows[i].text);
        template_close(&t);
        buffer_close(&out);
    }
}

static void only_amazons_own_certificates_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *url;
        bool good;
    } rows[] = {
        {"https://sns.us-east-1.amazonaws.com/SimpleNotificationService-01d088a6f77103d0fe307c0069e40ed6.pem", true},
        {"https://sns.cn-north-1.amazonaws.com.cn/a/b.pem", true},
        {"http://sns.us-east-1.amazonaws.com/x.pem", false},
        {"HTTPS://sns.us-east-1.amazonaws.com/x.pem", false},
        {"https://sns.us-east-1.amazonaws.com.evil.example/x.pem", false},
        {"https://sns.us-east-1.amazonaws.com@evil.example/x.pem", false},
        {"https://evil.example/sns.us-east-1.amazonaws.com/x.pem", false},
        {"https://sns.us-east-1.amazonaws.com:8443/x.pem", false},
        {"https://sns.us-east-1.amazonaws.com/x.pem?y=1", false},
        {"https://sns.us-east-1.amazonaws.com/x.pem#y", false},
        {"https://sns.us-east-1.amazonaws.com/x.pem\n", false},
        {"https://sns.us-east-1.amazonaws.com/x.pemx", false},
        {"https://sns.us-east-1.amazonaws.com/.pem", false},
        {"https://sns.us-east-1.amazonaws.comx/x.pem", false},
        {"https://sns.us.evil.amazonaws.com/x.pem", false},
        {"https://sns.US-EAST-1.amazonaws.com/x.pem", false},
        {"https://sns.ab.amazonaws.com/x.pem", false},
        {"https://evil.s3.amazonaws.com/x.pem", false},
        {"https://sns.us-east-1.amazonaws.com", false},
        {"", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (scheme_sns_url_is_amazons(bytes_of(rows[i].url)) != rows[i].good) fail_msg("%s", rows[i].url);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_come_one_by_one),
        cmocka_unit_test(escapes_are_read_strictly),
        cmocka_unit_test(a_field_is_found_by_its_decoded_name),
        cmocka_unit_test(a_signed_text_can_be_cut_in_one_way_only),
        cmocka_unit_test(only_amazons_own_certificates_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

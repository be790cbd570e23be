/* test_delivery.c: generated deliveries, what an answer means, text that a terminal may see.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "cli.h"
#include "json.h"
#include "signature.h"
#include <cmocka.h>
#include <string.h>

static int setup(void **state)
{
    (void)state;
    return signature_init(NULL) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    signature_close();
    return 0;
}

static void ids_are_stable_and_distinct(void **state)
{
    (void)state;
    char a[DELIVERY_ID_SIZE], b[DELIVERY_ID_SIZE];
    delivery_id("run", "agent", 12, a);
    delivery_id("run", "agent", 12, b);
    assert_string_equal(a, b);
    assert_int_equal(strlen(a), 36);
    assert_int_equal(a[14], '8');
    assert_non_null(strchr("89ab", a[19]));
    static const struct {
        const char *run, *agent;
        int64_t sequence;
    } others[] = {{"run", "agent", 13}, {"run", "agent1", 2}, {"runa", "gent", 12}, {"other", "agent", 12}};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        delivery_id(others[i].run, others[i].agent, others[i].sequence, b);
        assert_string_not_equal(a, b);
    }
}

static void bodies_are_json_of_the_size_asked_for(void **state)
{
    (void)state;
    static const int64_t sizes[] = {1, 64, 100, 1024, 100000};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct buffer body;
        buffer_init(&body, 200000);
        delivery_body("r", "agent-7", 42, sizes[i], &body);
        if (sizes[i] >= 100) assert_int_equal(body.size, sizes[i]);
        struct json *document = json_parse(buffer_view(&body), NULL);
        assert_non_null(document);
        int64_t sequence = 0;
        const char *agent = "";
        assert_true(json_int64(json_get(document, "sequence", NULL), &sequence));
        assert_true(json_text(json_get(document, "agent_id", NULL), &agent));
        assert_int_equal(sequence, 42);
        assert_string_equal(agent, "agent-7");
        json_free(document);
        buffer_close(&body);
    }
}

static void the_agent_goes_into_the_url(void **state)
{
    (void)state;
    struct buffer url;
    buffer_init(&url, 1000);
    delivery_url("http://h/{agent}/x/{agent}", "a", &url);
    assert_string_equal(buffer_cstr(&url), "http://h/a/x/a");
    buffer_clear(&url);
    delivery_url("http://h/fixed", "a", &url);
    assert_string_equal(buffer_cstr(&url), "http://h/fixed");
    buffer_close(&url);
}

static void an_answer_is_judged_by_its_words_too(void **state)
{
    (void)state;
    static const char id[] = "wh-0123456789abcdef0123456789abcdef";
    static const char accepted[] = "{\"status\":\"triggered\",\"workflow_id\":\"wh-0123456789abcdef0123456789abcdef\"}";
    static const struct {
        int status;
        const char *answer;
        enum delivery_verdict verdict;
    } rows[] = {
        {202, accepted, DELIVERY_ACCEPTED},
        {200, accepted, DELIVERY_ACCEPTED},
        {202, "{\"status\":\"ignored\"}", DELIVERY_IGNORED},
        {202, "", DELIVERY_REFUSED},
        {202, "<html>welcome</html>", DELIVERY_REFUSED},
        {202, "{\"status\":\"triggered\"}", DELIVERY_REFUSED},
        {201, accepted, DELIVERY_REFUSED},
        {0, "", DELIVERY_AGAIN},
        {503, "", DELIVERY_AGAIN},
        {429, "", DELIVERY_AGAIN},
        {401, "{\"detail\":\"Invalid signature\"}", DELIVERY_REFUSED},
        {500, "", DELIVERY_REFUSED},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char workflow_id[RECORD_WORKFLOW_ID_SIZE] = "x";
        assert_int_equal(delivery_judge(rows[i].status, bytes_of(rows[i].answer), workflow_id), rows[i].verdict);
        assert_string_equal(workflow_id, rows[i].verdict == DELIVERY_ACCEPTED ? id : "");
    }
}

static void foreign_text_cannot_move_the_cursor(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t columns;
        const char *shown;
    } rows[] = {
        {"plain", 10, "plain"},
        {"cut here", 3, "cut"},
        {"two\nlines\t!", 20, "two lines !"},
        {"\x1b[2Jboo", 10, "?[2Jboo"},
        {"g\xc5\xbc", 10, "g\xc5\xbc"},
        {"\xc2\x9b"
         "31m",
         10, "??31m"},
        {"\xff\xfe", 10, "??"},
        {"\xe2\x82", 10, "??"},
        {"\x7f", 10, "?"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct buffer shown;
        buffer_init(&shown, 100);
        talk_safe(&shown, bytes_of(rows[i].text), rows[i].columns);
        assert_string_equal(buffer_cstr(&shown), rows[i].shown);
        buffer_close(&shown);
    }
}

static void results_are_filtered_by_what_they_say(void **state)
{
    (void)state;
    static const char text[] = "{\"agent_id\":\"a\",\"workflow_id\":\"wh-1\",\"status\":\"failed\",\"attempts\":3,"
                               "\"duration_ms\":12,\"output\":null,\"error\":\"bad\\u001b[0m\",\"ended_at\":\"x\"}";
    static const struct {
        struct results_filter filter;
        bool matches;
    } rows[] = {
        {{NULL, NULL, NULL}, true},       {{"a", NULL, NULL}, true},   {{"b", NULL, NULL}, false},
        {{NULL, "wh-1", "failed"}, true}, {{NULL, "wh", NULL}, false}, {{"a", "wh-1", "succeeded"}, false},
    };
    struct json *document = json_parse(bytes_of(text), NULL);
    assert_non_null(document);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_int_equal(results_match(&rows[i].filter, document), rows[i].matches);
    struct buffer row;
    buffer_init(&row, 2000);
    results_row(document, &row);
    assert_non_null(strstr(buffer_cstr(&row), "wh-1"));
    assert_non_null(strstr(buffer_cstr(&row), "bad?[0m"));
    buffer_close(&row);
    json_free(document);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_are_stable_and_distinct),         cmocka_unit_test(bodies_are_json_of_the_size_asked_for),
        cmocka_unit_test(the_agent_goes_into_the_url),         cmocka_unit_test(an_answer_is_judged_by_its_words_too),
        cmocka_unit_test(foreign_text_cannot_move_the_cursor), cmocka_unit_test(results_are_filtered_by_what_they_say),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

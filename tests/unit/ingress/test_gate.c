/* test_gate.c: one row for each fault that the gate must see, and for what it must let pass.
 * SPDX-License-Identifier: Apache-2.0 */
#include "ingress.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
/* cmocka wants its headers first */
#include <cmocka.h>

enum { HEADERS_MAX = 8 };
#define PATH "/api/v1/agents/demo/webhook"

/* Headers as "Name: value" without the blank; NULL ends them. */
struct row {
    const char *what, *method, *target, *version;
    const char *headers[HEADERS_MAX];
    const char *fault; /* NULL: passes */
};

static const struct row rows[] = {
    {"plain", "POST", PATH, "HTTP/1.1", {"Host:a", "Content-Length:3"}, NULL},
    {"chunked", "POST", PATH, "HTTP/1.1", {"Host:a", "Transfer-Encoding:chunked"}, NULL},
    {"chunked, any case", "POST", PATH, "HTTP/1.1", {"host:a", "TRANSFER-ENCODING:Chunked"}, NULL},
    {"old", "POST", PATH, "HTTP/1.0", {"Content-Length:3"}, NULL},
    {"query", "GET", PATH "?a=b&c=%20", "HTTP/1.1", {"Host:a"}, NULL},
    {"tab and UTF-8 in a value", "POST", PATH, "HTTP/1.1", {"Host:a", "X-A:a\tb \xc3\xa9"}, NULL},
    {"empty value", "POST", PATH, "HTTP/1.1", {"Host:a", "X-A:"}, NULL},
    {"odd name", "POST", PATH, "HTTP/1.1", {"Host:a", "!#$%&'*+-.^_`|~09aZ:x"}, NULL},
    {"many Origins are not framing", "POST", PATH, "HTTP/1.1", {"Host:a", "Origin:b", "Origin:c"}, NULL},
    {"two lengths, different",
     "POST",
     PATH,
     "HTTP/1.1",
     {"Host:a", "Content-Length:3", "Content-Length:4"},
     "repeated Content-Length"},
    {"two lengths, equal",
     "POST",
     PATH,
     "HTTP/1.1",
     {"Host:a", "Content-Length:3", "content-length:3"},
     "repeated Content-Length"},
    {"length and encoding",
     "POST",
     PATH,
     "HTTP/1.1",
     {"Host:a", "Content-Length:3", "Transfer-Encoding:chunked"},
     "Content-Length and Transfer-Encoding"},
    {"two encodings",
     "POST",
     PATH,
     "HTTP/1.1",
     {"Host:a", "Transfer-Encoding:chunked", "Transfer-Encoding:chunked"},
     "repeated Transfer-Encoding"},
    {"gzip", "POST", PATH, "HTTP/1.1", {"Host:a", "Transfer-Encoding:gzip"}, "Transfer-Encoding other than chunked"},
    {"gzip, chunked",
     "POST",
     PATH,
     "HTTP/1.1",
     {"Host:a", "Transfer-Encoding:gzip, chunked"},
     "Transfer-Encoding other than chunked"},
    {"chunked, chunked",
     "POST",
     PATH,
     "HTTP/1.1",
     {"Host:a", "Transfer-Encoding:chunked, chunked"},
     "Transfer-Encoding other than chunked"},
    {"identity",
     "POST",
     PATH,
     "HTTP/1.1",
     {"Host:a", "Transfer-Encoding:identity"},
     "Transfer-Encoding other than chunked"},
    {"xchunked",
     "POST",
     PATH,
     "HTTP/1.1",
     {"Host:a", "Transfer-Encoding:xchunked"},
     "Transfer-Encoding other than chunked"},
    {"chunked with a tail",
     "POST",
     PATH,
     "HTTP/1.1",
     {"Host:a", "Transfer-Encoding:chunked "},
     "Transfer-Encoding other than chunked"},
    {"empty encoding",
     "POST",
     PATH,
     "HTTP/1.1",
     {"Host:a", "Transfer-Encoding:"},
     "Transfer-Encoding other than chunked"},
    {"chunked in 1.0", "POST", PATH, "HTTP/1.0", {"Transfer-Encoding:chunked"}, "Transfer-Encoding in HTTP/1.0"},
    {"signed length", "POST", PATH, "HTTP/1.1", {"Host:a", "Content-Length:+3"}, "Content-Length is not a number"},
    {"negative length", "POST", PATH, "HTTP/1.1", {"Host:a", "Content-Length:-3"}, "Content-Length is not a number"},
    {"minus nothing", "POST", PATH, "HTTP/1.1", {"Host:a", "Content-Length:-0"}, "Content-Length is not a number"},
    {"list of lengths", "POST", PATH, "HTTP/1.1", {"Host:a", "Content-Length:3,3"}, "Content-Length is not a number"},
    {"23 digits",
     "POST",
     PATH,
     "HTTP/1.1",
     {"Host:a", "Content-Length:10000000000000000000000"},
     "Content-Length is not a number"},
    {"hex length", "POST", PATH, "HTTP/1.1", {"Host:a", "Content-Length:0x3"}, "Content-Length is not a number"},
    {"empty length", "POST", PATH, "HTTP/1.1", {"Host:a", "Content-Length:"}, "Content-Length is not a number"},
    {"blank before the colon",
     "POST",
     PATH,
     "HTTP/1.1",
     {"Host:a", "Content-Length :3"},
     "header name outside the token set"},
    {"tab before the colon",
     "POST",
     PATH,
     "HTTP/1.1",
     {"Host:a", "Content-Length\t:3"},
     "header name outside the token set"},
    {"empty name", "POST", PATH, "HTTP/1.1", {"Host:a", ":3"}, "header name outside the token set"},
    {"parenthesis in a name", "POST", PATH, "HTTP/1.1", {"Host:a", "X(A):3"}, "header name outside the token set"},
    {"control byte in a name", "POST", PATH, "HTTP/1.1", {"Host:a", "X\x01:3"}, "header name outside the token set"},
    {"UTF-8 in a name", "POST", PATH, "HTTP/1.1", {"Host:a", "X\xc3\xa9:3"}, "header name outside the token set"},
    {"control byte in a value", "POST", PATH, "HTTP/1.1", {"Host:a", "X-A:a\x01"}, "control byte in a header value"},
    {"DEL in a value", "POST", PATH, "HTTP/1.1", {"Host:a", "X-A:a\x7f"}, "control byte in a header value"},
    {"bare CR in a value", "POST", PATH, "HTTP/1.1", {"Host:a", "X-A:a\rb"}, "control byte in a header value"},
    {"two hosts", "POST", PATH, "HTTP/1.1", {"Host:a", "Host:a"}, "repeated Host"},
    {"no host", "POST", PATH, "HTTP/1.1", {"Content-Length:3"}, "no Host"},
    {"two content types",
     "POST",
     PATH,
     "HTTP/1.1",
     {"Host:a", "Content-Type:a/b", "Content-Type:a/b"},
     "repeated Content-Type"},
    {"1.2", "POST", PATH, "HTTP/1.2", {"Host:a"}, "HTTP version other than 1.0 and 1.1"},
    {"2.0", "POST", PATH, "HTTP/2.0", {"Host:a"}, "HTTP version other than 1.0 and 1.1"},
    {"0.9", "GET", PATH, "", {NULL}, "HTTP version other than 1.0 and 1.1"},
    {"lower case version", "POST", PATH, "http/1.1", {"Host:a"}, "HTTP version other than 1.0 and 1.1"},
    {"no method", "", PATH, "HTTP/1.1", {"Host:a"}, "method outside the token set"},
    {"control byte in the method", "PO\x01ST", PATH, "HTTP/1.1", {"Host:a"}, "method outside the token set"},
    {"escaped NUL", "POST", "/api/v1/agents/demo%00/webhook", "HTTP/1.1", {"Host:a"}, "NUL in the request target"},
    {"escaped NUL at the end", "POST", PATH "?%00", "HTTP/1.1", {"Host:a"}, "NUL in the request target"},
    {"control byte in the target",
     "POST",
     "/a\x01",
     "HTTP/1.1",
     {"Host:a"},
     "control byte, blank or non-ASCII byte in the request target"},
    {"blank in the target",
     "POST",
     "/a b",
     "HTTP/1.1",
     {"Host:a"},
     "control byte, blank or non-ASCII byte in the request target"},
    {"UTF-8 in the target",
     "POST",
     "/\xc3\xa9",
     "HTTP/1.1",
     {"Host:a"},
     "control byte, blank or non-ASCII byte in the request target"},
    {"empty target", "POST", "", "HTTP/1.1", {"Host:a"}, "control byte, blank or non-ASCII byte in the request target"},
};

static const char *check(const struct row *row, bool torn, struct gate_facts *facts)
{
    struct http_header headers[HEADERS_MAX];
    struct http_head head = {.method = bytes_of(row->method),
                             .target = bytes_of(row->target),
                             .version = bytes_of(row->version),
                             .headers = headers,
                             .torn = torn};
    for (; head.header_count < HEADERS_MAX && row->headers[head.header_count]; head.header_count++) {
        const char *text = row->headers[head.header_count], *colon = strchr(text, ':');
        headers[head.header_count] =
            (struct http_header){.name = {(const uint8_t *)text, (size_t)(colon - text)}, .value = bytes_of(colon + 1)};
    }
    return gate_check(&head, facts);
}

static void every_row_has_its_verdict(void **state)
{
    (void)state;
    struct gate_facts facts;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *fault = check(&rows[i], false, &facts);
        if (!fault != !rows[i].fault || (fault && strcmp(fault, rows[i].fault) != 0))
            fail_msg("%s: %s instead of %s", rows[i].what, fault ? fault : "passed",
                     rows[i].fault ? rows[i].fault : "to pass");
    }
}

static void a_torn_head_never_passes(void **state)
{
    (void)state;
    struct gate_facts facts;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_non_null(check(&rows[i], true, &facts));
}

static void facts_are_of_the_first_of_each(void **state)
{
    (void)state;
    const struct row row = {"",  "POST", PATH, "HTTP/1.1", {"Host:a", "origin:b", "Origin:c", "Content-Length:17"},
                            NULL};
    struct gate_facts facts;
    assert_null(check(&row, false, &facts));
    assert_int_equal(facts.declared, 17);
    assert_false(facts.chunked);
    assert_int_equal(facts.header[HEADER_ORIGIN].count, 2);
    assert_true(bytes_are(facts.header[HEADER_ORIGIN].value, "b"));
    assert_int_equal(facts.header[HEADER_EXPECT].count, 0);
    assert_null(check(&rows[1], false, &facts));
    assert_true(facts.chunked);
    assert_int_equal(facts.declared, -1);
}

static void a_nul_inside_is_a_control_byte(void **state)
{
    (void)state;
    struct gate_facts facts;
    const struct http_header headers[] = {{bytes_of("Host"), bytes_of("a")},
                                          {bytes_of("X-A"), {(const uint8_t *)"a\0b", 3}}};
    const struct http_head head = {.method = bytes_of("GET"),
                                   .target = bytes_of("/"),
                                   .version = bytes_of("HTTP/1.1"),
                                   .headers = headers,
                                   .header_count = 2};
    assert_string_equal(gate_check(&head, &facts), "control byte in a header value");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_has_its_verdict),
        cmocka_unit_test(a_torn_head_never_passes),
        cmocka_unit_test(facts_are_of_the_first_of_each),
        cmocka_unit_test(a_nul_inside_is_a_control_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

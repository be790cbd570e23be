/* test_admission.c: peers behind proxies, the published rules of the source, media types.
 * SPDX-License-Identifier: Apache-2.0 */
#include "ingress.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
/* cmocka wants its headers first */
#include <cmocka.h>

static struct address address(const char *text)
{
    struct address a;
    assert_true(address_parse(bytes_of(text), &a));
    return a;
}

static struct network network(const char *text)
{
    struct network n;
    struct error error;
    if (!network_parse(bytes_of(text), &n, &error)) fail_msg("%s: %s", text, error.text);
    return n;
}

/* ---- the peer ---- */

static const struct peer_row {
    const char *socket_peer, *lines[3]; /* X-Forwarded-For, in order */
    const char *peer;                   /* NULL: malformed */
} peers[] = {
    {"192.0.2.9", {NULL}, "192.0.2.9"},
    {"192.0.2.9", {"198.51.100.1"}, "192.0.2.9"}, /* not a proxy of ours: it may say what it likes */
    {"192.0.2.9", {"rubbish"}, "192.0.2.9"},
    {"10.0.0.1", {NULL}, "10.0.0.1"},
    {"10.0.0.1", {"198.51.100.1"}, "198.51.100.1"},
    {"10.0.0.1", {"203.0.113.7, 198.51.100.1"}, "198.51.100.1"}, /* what stands left of it is the sender's own claim */
    {"10.0.0.1", {"198.51.100.1, 10.0.0.2"}, "198.51.100.1"},
    {"10.0.0.1", {"198.51.100.1,10.0.0.2 ,\t10.0.0.3"}, "198.51.100.1"},
    {"10.0.0.1", {"203.0.113.7", "198.51.100.1, 10.0.0.2"}, "198.51.100.1"},
    {"10.0.0.1", {"198.51.100.1", "10.0.0.2", "10.0.0.3"}, "198.51.100.1"},
    {"10.0.0.1", {"10.0.0.4, 10.0.0.2"}, "10.0.0.4"}, /* all trusted: the left-most */
    {"10.0.0.1", {"198.51.100.1:4711"}, "198.51.100.1"},
    {"10.0.0.1", {"[2001:db8::1]:4711"}, "2001:db8::1"},
    {"10.0.0.1", {"[2001:db8::1]"}, "2001:db8::1"},
    {"10.0.0.1", {"2001:db8::1"}, "2001:db8::1"},
    {"10.0.0.1", {"::ffff:198.51.100.1"}, "198.51.100.1"},
    {"::ffff:10.0.0.1", {"198.51.100.1"}, "198.51.100.1"},
    {"2001:db8:ffff::1", {"198.51.100.1"}, "198.51.100.1"},
    {"10.0.0.1", {"rubbish"}, NULL},
    {"10.0.0.1", {""}, NULL},
    {"10.0.0.1", {"198.51.100.1,"}, NULL},
    {"10.0.0.1", {"198.51.100.1, unknown"}, NULL},
    {"10.0.0.1", {"198.51.100.1:99999"}, NULL},
    {"10.0.0.1", {"[198.51.100.1]"}, NULL},
    {"10.0.0.1", {"rubbish, 198.51.100.1"}, "198.51.100.1"}, /* not read that far */
};

static void the_peer_is_the_first_untrusted_from_the_right(void **state)
{
    (void)state;
    const struct network proxies[] = {network("10.0.0.0/8"), network("2001:db8:ffff::/48")};
    for (size_t i = 0; i < sizeof peers / sizeof peers[0]; i++) {
        struct http_header headers[4] = {{bytes_of("Host"), bytes_of("a")}};
        struct http_head head = {.headers = headers, .header_count = 1};
        for (size_t line = 0; line < 3 && peers[i].lines[line]; line++)
            headers[head.header_count++] =
                (struct http_header){bytes_of("x-forwarded-FOR"), bytes_of(peers[i].lines[line])};
        struct address socket_peer = address(peers[i].socket_peer), peer;
        char text[ADDRESS_TEXT_SIZE] = "malformed";
        if (admission_peer(&socket_peer, &head, proxies, 2, &peer)) address_format(&peer, text);
        if (strcmp(text, peers[i].peer ? peers[i].peer : "malformed") != 0) fail_msg("row %zu: %s", i, text);
    }
}

/* A Unix socket's peer: no address, unless it is a trusted proxy and says for whom it speaks. */
static void a_unix_peer_speaks_only_when_trusted(void **state)
{
    static const struct {
        bool trusted;
        const char *line, *peer;
    } rows[] = {
        {false, NULL, "unix"},
        {false, "198.51.100.1", "unix"},
        {true, NULL, "unix"},
        {true, "198.51.100.1", "198.51.100.1"},
        {true, "198.51.100.1, 10.0.0.2", "198.51.100.1"},
        {true, "::", "malformed"},
        {true, "198.51.100.1, ::", "malformed"},
        {true, "unix", "malformed"},
    };
    const struct network proxies[] = {network("10.0.0.0/8"), {.prefix = 128}};
    const struct address none = {0};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct http_header header = {bytes_of("X-Forwarded-For"), bytes_of(rows[i].line ? rows[i].line : "")};
        struct http_head head = {.headers = &header, .header_count = rows[i].line ? 1 : 0};
        struct address peer;
        char text[ADDRESS_TEXT_SIZE] = "malformed";
        if (admission_peer(&none, &head, proxies, rows[i].trusted ? 2 : 1, &peer)) address_format(&peer, text);
        if (strcmp(text, rows[i].peer) != 0) fail_msg("row %zu: %s", i, text);
    }
}

/* ---- the source ---- */

static const struct source_row {
    const char *what, *event_source;
    bool with_network, signed_trigger, check_origin, match_all;
    const char *origin, *second_origin, *peer;
    bool passes;
} sources[] = {
    {"nothing set", "", false, false, false, false, NULL, NULL, "192.0.2.1", true},
    {"equal host", "https://github.com", false, false, false, false, "https://github.com", NULL, "192.0.2.1", true},
    {"scheme-less source", "github.com", false, false, false, false, "https://github.com", NULL, "192.0.2.1", true},
    {"case and port", "GitHub.com:443", false, false, false, false, "HTTPS://GITHUB.COM:8443", NULL, "192.0.2.1", true},
    {"source with a path", "https://github.com/a?b#c", false, false, false, false, "http://github.com", NULL,
     "192.0.2.1", true},
    {"source that is a prefix", "github.com", false, false, false, false, "https://github.com.evil.example", NULL,
     "192.0.2.1", false},
    {"source that is a suffix", "github.com", false, false, false, false, "https://evilgithub.com", NULL, "192.0.2.1",
     false},
    {"source in the path", "github.com", false, false, false, false, "https://evil.example/github.com", NULL,
     "192.0.2.1", false},
    {"source as user", "github.com", false, false, false, false, "https://github.com@evil.example", NULL, "192.0.2.1",
     false},
    {"source before a slash", "github.com", false, false, false, false, "https://github.com/@evil.example", NULL,
     "192.0.2.1", true},
    {"absent", "github.com", false, false, false, false, NULL, NULL, "192.0.2.1", false},
    {"null", "null", false, false, false, false, "null", NULL, "192.0.2.1", false},
    {"empty", "github.com", false, false, false, false, "", NULL, "192.0.2.1", false},
    {"two", "github.com", false, false, false, false, "https://github.com", "https://github.com", "192.0.2.1", false},
    {"a list", "github.com", false, false, false, false, "https://github.com https://a", NULL, "192.0.2.1", false},
    {"IPv6 host", "http://[2001:db8::1]:80", false, false, false, false, "http://[2001:db8::1]", NULL, "192.0.2.1",
     true},
    {"address inside", "", true, false, false, false, NULL, NULL, "192.0.2.255", true},
    {"address outside", "", true, false, false, false, NULL, NULL, "192.0.3.0", false},
    {"mapped address inside", "", true, false, false, false, NULL, NULL, "::ffff:192.0.2.7", true},
    {"IPv6 inside", "", true, false, false, false, NULL, NULL, "2001:db8:7fff::1", true},
    {"IPv6 outside", "", true, false, false, false, NULL, NULL, "2001:db8:8000::1", false},
    {"any: address alone", "github.com", true, false, false, false, NULL, NULL, "192.0.2.1", true},
    {"any: origin alone", "github.com", true, false, false, false, "https://github.com", NULL, "198.51.100.1", true},
    {"any: neither", "github.com", true, false, false, false, "https://a", NULL, "198.51.100.1", false},
    {"all: both", "github.com", true, false, false, true, "https://github.com", NULL, "192.0.2.1", true},
    {"all: address alone", "github.com", true, false, false, true, NULL, NULL, "192.0.2.1", false},
    {"all: origin alone", "github.com", true, false, false, true, "https://github.com", NULL, "198.51.100.1", false},
    {"signed: origin is only a name", "github.com", false, true, false, false, NULL, NULL, "192.0.2.1", true},
    {"signed: origin asked for", "github.com", false, true, true, false, NULL, NULL, "192.0.2.1", false},
    {"signed: origin asked for and there", "github.com", false, true, true, false, "https://github.com", NULL,
     "192.0.2.1", true},
    {"signed: address must be inside", "github.com", true, true, false, false, "https://github.com", NULL,
     "198.51.100.1", false},
    {"signed: address inside", "", true, true, false, false, NULL, NULL, "192.0.2.1", true},
};

static void the_source_follows_the_published_rules(void **state)
{
    (void)state;
    const struct network networks[] = {network("192.0.2.0/24"), network("2001:db8::/33")};
    for (size_t i = 0; i < sizeof sources / sizeof sources[0]; i++) {
        const struct source_row *row = &sources[i];
        const struct source_policy policy = {.signed_trigger = row->signed_trigger,
                                             .check_origin = row->check_origin,
                                             .match_all = row->match_all,
                                             .origin_host = admission_host(bytes_of(row->event_source)),
                                             .allowed = networks,
                                             .allowed_count = row->with_network ? 2 : 0};
        struct gate_facts facts = {.declared = -1};
        facts.header[HEADER_ORIGIN].count = row->origin ? row->second_origin ? 2 : 1 : 0;
        if (row->origin) facts.header[HEADER_ORIGIN].value = bytes_of(row->origin);
        struct address peer = address(row->peer);
        const char *rule = admission_source(&policy, &facts, &peer);
        if ((rule == NULL) != row->passes) fail_msg("%s: %s", row->what, rule ? rule : "passed");
    }
}

/* ---- media types ---- */

static void media_types_match_whole_or_by_star(void **state)
{
    (void)state;
    char json[] = "application/json", plus[] = "*+json", form[] = "application/x-www-form-urlencoded",
         text[] = "text/*";
    char *patterns[] = {json, plus, form, text};
    const struct {
        const char *type;
        bool passes, is_json;
    } rows[] = {
        {"application/json", true, true},
        {"Application/JSON; charset=utf-8", true, true},
        {"application/json ;x=y", true, true},
        {" application/json", true, true},
        {"application/vnd.github+json", true, true},
        {"application/x-www-form-urlencoded", true, false},
        {"text/plain", true, false},
        {"text/", false, false},
        {"application/jsonx", false, false},
        {"application/jso", false, false},
        {"+json", false, false},
        {"image/png", false, false},
        {"", false, false},
        {";charset=utf-8", false, false},
        {"application/cloudevents+json", false, true},
        {"Application/CloudEvents-batch+JSON; a=b", false, true},
        {"application/cloudevents", false, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (admission_content_type(bytes_of(rows[i].type), patterns, 4) != rows[i].passes)
            fail_msg("'%s' %s", rows[i].type, rows[i].passes ? "was refused" : "passed");
        if (admission_is_json(bytes_of(rows[i].type)) != rows[i].is_json)
            fail_msg("'%s' is%s JSON", rows[i].type, rows[i].is_json ? " not" : "");
    }
}

/* ---- the event's type ---- */

static void an_event_is_wanted_by_its_type(void **state)
{
    (void)state;
    const struct {
        const char *patterns[4], *type;
        bool wanted;
    } rows[] = {
        {{NULL}, "anything", true},
        {{"com.github.push"}, "com.github.push", true},
        {{"com.github.push"}, "com.github.pull_request.opened", false},
        {{"com.github.push", "*.opened"}, "com.github.pull_request.opened", true},
        {{"!*.labeled"}, "com.github.push", true},
        {{"!*.labeled"}, "com.github.issues.labeled", false},
        {{"com.github.issues.*", "!*.labeled"}, "com.github.issues.labeled", false},
        {{"!*.labeled", "com.github.issues.*"}, "com.github.issues.labeled", false}, /* in any order */
        {{"com.github.issues.*", "!*.labeled"}, "com.github.issues.opened", true},
        {{"com.github.issues.*", "!*.labeled"}, "com.github.push", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char texts[4][64], *patterns[4];
        size_t count = 0;
        for (; count < 4 && rows[i].patterns[count]; count++) {
            snprintf(texts[count], sizeof texts[count], "%s", rows[i].patterns[count]);
            patterns[count] = texts[count];
        }
        if (admission_event(bytes_of(rows[i].type), patterns, count) != rows[i].wanted) fail_msg("row %zu", i);
    }
}

static void only_the_whole_type_lets_a_cloudevent_in(void **state)
{
    (void)state;
    char whole[] = "Application/CloudEvents+JSON", stars[] = "*+json", all[] = "application/*", one[] = "*";
    char *listed[] = {stars, whole}, *unlisted[] = {stars, all, one};
    const char *type = "application/cloudevents+json; charset=utf-8", *batch = "application/cloudevents-batch+json";
    assert_true(admission_is_cloudevent(bytes_of(type), listed, 2));
    assert_false(admission_is_cloudevent(bytes_of(type), unlisted, 3));
    assert_false(admission_is_cloudevent(bytes_of(batch), listed, 2));
    assert_false(admission_content_type(bytes_of(batch), listed, 2));
    assert_false(admission_is_cloudevent(bytes_of("application/json"), listed, 2));
}

static void addresses_count_for_handshakes(void **state)
{
    (void)state;
    const struct network networks[] = {network("192.0.2.0/24")};
    const struct address in = address("192.0.2.7"), out = address("198.51.100.1");
    struct source_policy policy = {.allowed = networks, .allowed_count = 1, .origin_host = bytes_of("a.example")};
    assert_null(admission_address(&policy, &in));
    assert_non_null(admission_address(&policy, &out));
    policy.allowed_count = 0;
    assert_null(admission_address(&policy, &out));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_peer_is_the_first_untrusted_from_the_right),
        cmocka_unit_test(a_unix_peer_speaks_only_when_trusted),
        cmocka_unit_test(the_source_follows_the_published_rules),
        cmocka_unit_test(media_types_match_whole_or_by_star),
        cmocka_unit_test(an_event_is_wanted_by_its_type),
        cmocka_unit_test(only_the_whole_type_lets_a_cloudevent_in),
        cmocka_unit_test(addresses_count_for_handshakes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* test_handshake.c: what each provider asks, row by row: asked, answered, refused.
 * SPDX-License-Identifier: Apache-2.0 */
#include "ingress.h"
#include "signature.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
/* cmocka wants its headers first */
#include <cmocka.h>

static char allowed_origin[] = "eventemitter.example.com", star[] = "*";
static char topic[] = "arn:aws:sns:us-west-2:123456789012:MyTopic", account_topics[] = "arn:aws:sns:*:42:*";
static char *allowed_origins[] = {allowed_origin}, *any_origin[] = {star}, *topics[] = {topic, account_topics};
static const struct config_list origins = {allowed_origins, 1}, any = {any_origin, 1}, arns = {topics, 2}, none;

static bool hmac(const void *ctx, struct bytes text, int64_t now_s, uint8_t mac[32])
{
    assert_int_equal(now_s, 77);
    struct error error;
    struct signature_key *key = signature_key_new(SIGNATURE_SHA256, bytes_of(ctx), &error);
    struct signature_mac *m = signature_mac_new(key);
    signature_mac_update(m, text.data, text.size);
    signature_mac_final(m, mac);
    signature_mac_free(m);
    signature_key_free(key);
    return true;
}

static size_t find(void *ctx, const char *name, struct bytes *value)
{
    size_t count = 0;
    for (const char *const *header = ctx; *header; header += 2) {
        if (strcasecmp(header[0], name) != 0) continue;
        if (count++ == 0) *value = bytes_of(header[1]);
    }
    return count;
}

struct row {
    int kind;
    const char *method, *query, *body;
    const char *headers[7];
    int status; /* 0: not asked */
    const char *content_type, *answer;
    bool any_origin, without_secrets;
};

#define JSON  "application/json"
#define PLAIN "text/plain"
#define SNS_BODY(type, arn, url)                                                                                       \
    "{\"Type\":\"" type "\",\"TopicArn\":\"" arn "\",\"Token\":\"t\",\"SubscribeURL\":\"" url "\"}"
#define SNS_ARN "arn:aws:sns:us-west-2:123456789012:MyTopic"
#define SNS_URL "https://sns.us-west-2.amazonaws.com/?Action=ConfirmSubscription&Token=t"

static const struct row rows[] = {
    /* Slack */
    {HANDSHAKE_SLACK_CHALLENGE,
     "POST",
     "",
     "{\"challenge\":\"3eZb\",\"type\":\"url_verification\"}",
     {0},
     200,
     PLAIN,
     "3eZb",
     false,
     false},
    {HANDSHAKE_SLACK_CHALLENGE,
     "POST",
     "",
     "{\"type\":\"url\\u005fverification\",\"challenge\":\"<b>\"}",
     {0},
     200,
     PLAIN,
     "<b>",
     false,
     false},
    {HANDSHAKE_SLACK_CHALLENGE, "POST", "", "{\"type\":\"event_callback\",\"challenge\":\"x\"}", {0}, 0, 0, 0, 0, 0},
    {HANDSHAKE_SLACK_CHALLENGE, "POST", "", "{\"event\":{\"type\":\"url_verification\"}}", {0}, 0, 0, 0, 0, 0},
    {HANDSHAKE_SLACK_CHALLENGE, "POST", "", "{\"type\":\"url_verification\"}", {0}, 400, 0, 0, 0, 0},
    {HANDSHAKE_SLACK_CHALLENGE, "POST", "", "{\"type\":\"url_verification\",\"challenge\":\"\"}", {0}, 400, 0, 0, 0, 0},
    {HANDSHAKE_SLACK_CHALLENGE, "POST", "", "{\"type\":\"url_verification\",\"challenge\":7}", {0}, 400, 0, 0, 0, 0},
    {HANDSHAKE_SLACK_CHALLENGE,
     "POST",
     "",
     "{\"type\":\"url_verification\",\"challenge\":\"a\\nb\"}",
     {0},
     400,
     0,
     0,
     0,
     0},
    {HANDSHAKE_SLACK_CHALLENGE,
     "POST",
     "",
     "{\"type\":\"url_verification\",\"challenge\":\"\xc3\xa4\"}",
     {0},
     400,
     0,
     0,
     0,
     0},
    {HANDSHAKE_SLACK_CHALLENGE, "GET", "", "{\"type\":\"url_verification\",\"challenge\":\"x\"}", {0}, 0, 0, 0, 0, 0},
    /* Zoom */
    {HANDSHAKE_ZOOM_VALIDATION,
     "POST",
     "",
     "{\"payload\":{\"plainToken\":\"qgg8vlvZRS6UYooatFL8Aw\"},\"event\":\"endpoint.url_validation\"}",
     {0},
     200,
     JSON,
     "{\"plainToken\":\"qgg8vlvZRS6UYooatFL8Aw\",\"encryptedToken\":"
     "\"b17f0320a1322a509340a1a835b3d9edbc491f0b0790ed2d20d0604d39dfe922\"}",
     false,
     false},
    {HANDSHAKE_ZOOM_VALIDATION,
     "POST",
     "",
     "{\"event\":\"meeting.started\",\"payload\":{\"plainToken\":\"x\"}}",
     {0},
     0,
     0,
     0,
     0,
     0},
    {HANDSHAKE_ZOOM_VALIDATION,
     "POST",
     "",
     "{\"event\":\"endpoint.url_validation\",\"payload\":{}}",
     {0},
     400,
     0,
     0,
     0,
     0},
    {HANDSHAKE_ZOOM_VALIDATION,
     "POST",
     "",
     "{\"payload\":{\"plainToken\":\"q\"},\"event\":\"endpoint.url_validation\"}",
     {0},
     503,
     0,
     0,
     false,
     true},
    /* Discord */
    {HANDSHAKE_DISCORD_PING, "POST", "", "{\"type\":1}", {0}, 200, JSON, "{\"type\":1}", false, false},
    {HANDSHAKE_DISCORD_PING,
     "POST",
     "",
     "{\"id\":\"1\",\"type\": 1 ,\"version\":1}",
     {0},
     200,
     JSON,
     "{\"type\":1}",
     false,
     false},
    {HANDSHAKE_DISCORD_PING, "POST", "", "{\"version\":1,\"type\":0}", {0}, 204, 0, "", false, false},
    {HANDSHAKE_DISCORD_PING,
     "POST",
     "",
     "{\"type\":1,\"event\":{\"type\":\"ENTITLEMENT_CREATE\"}}",
     {0},
     0,
     0,
     0,
     0,
     0},
    {HANDSHAKE_DISCORD_PING, "POST", "", "{\"type\":2}", {0}, 0, 0, 0, 0, 0},
    {HANDSHAKE_DISCORD_PING, "POST", "", "{\"type\":10}", {0}, 0, 0, 0, 0, 0},
    {HANDSHAKE_DISCORD_PING, "POST", "", "{\"type\":\"1\"}", {0}, 0, 0, 0, 0, 0},
    {HANDSHAKE_DISCORD_PING, "POST", "", "", {0}, 0, 0, 0, 0, 0},
    /* Dropbox */
    {HANDSHAKE_ECHO_QUERY, "GET", "challenge=abc123", "", {0}, 200, PLAIN, "abc123", false, false},
    {HANDSHAKE_ECHO_QUERY, "GET", "a=b&challenge=a%20b+c%2B&z", "", {0}, 200, PLAIN, "a b c+", false, false},
    {HANDSHAKE_ECHO_QUERY, "GET", "challenge=%3Cscript%3E", "", {0}, 200, PLAIN, "<script>", false, false},
    {HANDSHAKE_ECHO_QUERY, "GET", "chall%65nge=x", "", {0}, 200, PLAIN, "x", false, false},
    {HANDSHAKE_ECHO_QUERY, "GET", "challenge=a=b", "", {0}, 200, PLAIN, "a=b", false, false},
    {HANDSHAKE_ECHO_QUERY, "GET", "challenge=%250d", "", {0}, 200, PLAIN, "%0d", false, false},
    {HANDSHAKE_ECHO_QUERY, "GET", "challenge=%0d%0aX: y", "", {0}, 400, 0, 0, 0, 0},
    {HANDSHAKE_ECHO_QUERY, "GET", "challenge=%zz", "", {0}, 400, 0, 0, 0, 0},
    {HANDSHAKE_ECHO_QUERY, "GET", "challenge=a&challenge=a", "", {0}, 400, 0, 0, 0, 0},
    {HANDSHAKE_ECHO_QUERY, "GET", "challenge=", "", {0}, 400, 0, 0, 0, 0},
    {HANDSHAKE_ECHO_QUERY, "GET", "challenge", "", {0}, 400, 0, 0, 0, 0},
    {HANDSHAKE_ECHO_QUERY, "GET", "challenges=abc", "", {0}, 0, 0, 0, 0, 0},
    {HANDSHAKE_ECHO_QUERY, "GET", "", "", {0}, 0, 0, 0, 0, 0},
    {HANDSHAKE_ECHO_QUERY, "POST", "challenge=abc123", "", {0}, 0, 0, 0, 0, 0},
    /* Meta */
    {HANDSHAKE_META_SUBSCRIBE,
     "GET",
     "hub.mode=subscribe&hub.challenge=1158&hub.verify_token=meatyhamhock",
     "",
     {0},
     200,
     PLAIN,
     "1158",
     false,
     false},
    {HANDSHAKE_META_SUBSCRIBE,
     "GET",
     "hub%2Emode=subscribe&hub.verify_token=meaty%68amhock&hub.challenge=1158",
     "",
     {0},
     200,
     PLAIN,
     "1158",
     false,
     false},
    {HANDSHAKE_META_SUBSCRIBE,
     "GET",
     "hub.mode=subscribe&hub.challenge=1158&hub.verify_token=meatyhamhoc",
     "",
     {0},
     403,
     0,
     0,
     0,
     0},
    {HANDSHAKE_META_SUBSCRIBE,
     "GET",
     "hub.mode=subscribe&hub.challenge=1158&hub.verify_token=",
     "",
     {0},
     403,
     0,
     0,
     0,
     0},
    {HANDSHAKE_META_SUBSCRIBE, "GET", "hub.mode=subscribe&hub.challenge=1158", "", {0}, 403, 0, 0, 0, 0},
    {HANDSHAKE_META_SUBSCRIBE,
     "GET",
     "hub.mode=unsubscribe&hub.challenge=1158&hub.verify_token=meatyhamhock",
     "",
     {0},
     403,
     0,
     0,
     0,
     0},
    {HANDSHAKE_META_SUBSCRIBE, "GET", "hub.mode=subscribe&hub.verify_token=meatyhamhock", "", {0}, 400, 0, 0, 0, 0},
    {HANDSHAKE_META_SUBSCRIBE,
     "GET",
     "hub.mode=subscribe&hub.challenge=1&hub.verify_token=meatyhamhock&hub.verify_token=x",
     "",
     {0},
     403,
     0,
     0,
     0,
     0},
    {HANDSHAKE_META_SUBSCRIBE,
     "GET",
     "hub.mode=subscribe&hub.challenge=1158&hub.verify_token=",
     "",
     {0},
     403,
     0,
     0,
     false,
     true},
    {HANDSHAKE_META_SUBSCRIBE, "GET", "hub=1", "", {0}, 0, 0, 0, 0, 0},
    /* Microsoft Graph */
    {HANDSHAKE_GRAPH_VALIDATION,
     "POST",
     "validationToken=Validation%3a+Testing+%26%3Cb%3E",
     "",
     {0},
     200,
     PLAIN,
     "Validation: Testing &<b>",
     false,
     false},
    {HANDSHAKE_GRAPH_VALIDATION, "POST", "validationToken=%2541", "", {0}, 200, PLAIN, "%41", false, false},
    {HANDSHAKE_GRAPH_VALIDATION, "POST", "validationToken=a", "{}", {0}, 0, 0, 0, 0, 0},
    {HANDSHAKE_GRAPH_VALIDATION, "POST", "", "", {0}, 0, 0, 0, 0, 0},
    {HANDSHAKE_GRAPH_VALIDATION, "GET", "validationToken=a", "", {0}, 0, 0, 0, 0, 0},
    /* Okta */
    {HANDSHAKE_OKTA_VERIFICATION,
     "GET",
     "",
     "",
     {"X-Okta-Verification-Challenge", "my verification challenge"},
     200,
     JSON,
     "{\"verification\":\"my verification challenge\"}",
     false,
     false},
    {HANDSHAKE_OKTA_VERIFICATION,
     "GET",
     "",
     "",
     {"x-okta-verification-challenge", "a\"\\b"},
     200,
     JSON,
     "{\"verification\":\"a\\\"\\\\b\"}",
     false,
     false},
    {HANDSHAKE_OKTA_VERIFICATION,
     "GET",
     "",
     "",
     {"X-Okta-Verification-Challenge", "a", "X-Okta-Verification-Challenge", "b"},
     400,
     0,
     0,
     0,
     0},
    {HANDSHAKE_OKTA_VERIFICATION, "GET", "", "", {"X-Okta-Verification-Challenge", ""}, 400, 0, 0, 0, 0},
    {HANDSHAKE_OKTA_VERIFICATION, "GET", "", "", {"X-Okta-Verification-Challenge", "\xc3\xa4"}, 400, 0, 0, 0, 0},
    {HANDSHAKE_OKTA_VERIFICATION, "GET", "", "", {0}, 0, 0, 0, 0, 0},
    /* Event Grid */
    {HANDSHAKE_EVENTGRID_VALIDATION,
     "POST",
     "",
     "[{\"data\":{\"validationCode\":\"512d38b6\"}}]",
     {"aeg-event-type", "SubscriptionValidation"},
     200,
     JSON,
     "{\"validationResponse\":\"512d38b6\"}",
     false,
     false},
    {HANDSHAKE_EVENTGRID_VALIDATION,
     "POST",
     "",
     "[{\"data\":{}}]",
     {"aeg-event-type", "SubscriptionValidation"},
     400,
     0,
     0,
     0,
     0},
    {HANDSHAKE_EVENTGRID_VALIDATION, "POST", "", "[]", {"aeg-event-type", "Notification"}, 0, 0, 0, 0, 0},
    {HANDSHAKE_EVENTGRID_VALIDATION, "POST", "", "[{\"data\":{\"validationCode\":\"5\"}}]", {0}, 0, 0, 0, 0, 0},
    /* SNS */
    {HANDSHAKE_SNS_CONFIRMATION,
     "POST",
     "",
     SNS_BODY("SubscriptionConfirmation", SNS_ARN, SNS_URL),
     {0},
     200,
     0,
     "",
     false,
     false},
    {HANDSHAKE_SNS_CONFIRMATION,
     "POST",
     "",
     SNS_BODY("UnsubscribeConfirmation", SNS_ARN, SNS_URL),
     {0},
     200,
     0,
     "",
     false,
     false},
    {HANDSHAKE_SNS_CONFIRMATION,
     "POST",
     "",
     SNS_BODY("SubscriptionConfirmation", "arn:aws:sns:eu-west-1:42:any", "https://sns.cn-north-1.amazonaws.com.cn/?a"),
     {0},
     200,
     0,
     "",
     false,
     false},
    {HANDSHAKE_SNS_CONFIRMATION, "POST", "", SNS_BODY("Notification", SNS_ARN, SNS_URL), {0}, 0, 0, 0, 0, 0},
    {HANDSHAKE_SNS_CONFIRMATION,
     "POST",
     "",
     SNS_BODY("SubscriptionConfirmation", "arn:aws:sns:us-west-2:123456789012:MyTopic2", SNS_URL),
     {0},
     403,
     0,
     0,
     0,
     0},
#define SNS_BAD_URL(url)                                                                                               \
    {                                                                                                                  \
        HANDSHAKE_SNS_CONFIRMATION, "POST", "", SNS_BODY("SubscriptionConfirmation", SNS_ARN, url), {0}, 403, 0, 0, 0, \
            0                                                                                                          \
    }
    SNS_BAD_URL("http://sns.us-west-2.amazonaws.com/?a"),
    SNS_BAD_URL("https://sns.us-west-2.amazonaws.com.evil.example/?a"),
    SNS_BAD_URL("https://evil.example/sns.us-west-2.amazonaws.com/"),
    SNS_BAD_URL("https://sns.us-west-2.amazonaws.com@evil.example/"),
    SNS_BAD_URL("https://sns.us-west-2.amazonaws.com:8443/"),
    SNS_BAD_URL("https://sns.us-west-2.amazonaws.com?a"),
    SNS_BAD_URL("https://sns.x.amazonaws.com/"),
    SNS_BAD_URL("https://sns.evil.example/amazonaws.com/"),
    SNS_BAD_URL("https://sns.us-west-2.s3.amazonaws.com/"),
    SNS_BAD_URL("https://sns..amazonaws.com/"),
    SNS_BAD_URL(""),
    /* CloudEvents */
    {HANDSHAKE_CLOUDEVENTS_OPTIONS,
     "OPTIONS",
     "",
     "",
     {"WebHook-Request-Origin", "eventemitter.example.com"},
     200,
     0,
     "",
     false,
     false},
    {HANDSHAKE_CLOUDEVENTS_OPTIONS,
     "OPTIONS",
     "",
     "",
     {"WebHook-Request-Origin", "EventEmitter.Example.com"},
     200,
     0,
     "",
     false,
     false},
    {HANDSHAKE_CLOUDEVENTS_OPTIONS,
     "OPTIONS",
     "",
     "",
     {"WebHook-Request-Origin", "other.example"},
     200,
     0,
     "",
     true,
     false},
    {HANDSHAKE_CLOUDEVENTS_OPTIONS, "OPTIONS", "", "", {"WebHook-Request-Origin", "stranger.example"}, 405, 0, 0, 0, 0},
    {HANDSHAKE_CLOUDEVENTS_OPTIONS,
     "OPTIONS",
     "",
     "",
     {"WebHook-Request-Origin", "x.eventemitter.example.com"},
     405,
     0,
     0,
     0,
     0},
    {HANDSHAKE_CLOUDEVENTS_OPTIONS, "OPTIONS", "", "", {"WebHook-Request-Origin", "a b"}, 405, 0, 0, true, false},
    {HANDSHAKE_CLOUDEVENTS_OPTIONS, "OPTIONS", "", "", {"WebHook-Request-Origin", "*"}, 405, 0, 0, true, false},
    {HANDSHAKE_CLOUDEVENTS_OPTIONS, "OPTIONS", "", "", {"WebHook-Request-Origin", ""}, 405, 0, 0, true, false},
    {HANDSHAKE_CLOUDEVENTS_OPTIONS,
     "OPTIONS",
     "",
     "",
     {"WebHook-Request-Origin", "eventemitter.example.com", "WebHook-Request-Origin", "b.example"},
     405,
     0,
     0,
     true,
     false},
    {HANDSHAKE_CLOUDEVENTS_OPTIONS,
     "OPTIONS",
     "",
     "",
     {"Origin", "https://a.example", "Access-Control-Request-Method", "POST"},
     405,
     0,
     0,
     true,
     false},
    {HANDSHAKE_CLOUDEVENTS_OPTIONS,
     "OPTIONS",
     "",
     "",
     {"WebHook-Request-Origin", "eventemitter.example.com", "Access-Control-Request-Method", "POST"},
     405,
     0,
     0,
     true,
     false},
    {HANDSHAKE_CLOUDEVENTS_OPTIONS, "OPTIONS", "", "", {0}, 405, 0, 0, true, false},
    {HANDSHAKE_CLOUDEVENTS_OPTIONS,
     "POST",
     "",
     "",
     {"WebHook-Request-Origin", "eventemitter.example.com"},
     0,
     0,
     0,
     0,
     0},
    /* X */
    {HANDSHAKE_X_CRC,
     "GET",
     "crc_token=challenge_string",
     "",
     {0},
     200,
     JSON,
     "{\"response_token\":\"sha256=RzclooDA9w21D8iKqHWbmQg/or5zi2pBsLpayhDkZmU=\"}",
     false,
     false},
    {HANDSHAKE_X_CRC, "GET", "crc_token=%7B%22a%22%3A1%7D", "", {0}, 400, 0, 0, 0, 0},
    {HANDSHAKE_X_CRC, "GET", "crc_token=", "", {0}, 400, 0, 0, 0, 0},
    {HANDSHAKE_X_CRC, "GET", "crc_token=x", "", {0}, 503, 0, 0, false, true},
    {HANDSHAKE_X_CRC, "GET", "crc=x", "", {0}, 0, 0, 0, 0, 0},
};

static int status_of(const struct handshake_answer *a)
{
    static const int statuses[] = {0, 400, 403, 405, 503};
    return a->verdict == HANDSHAKE_ANSWERED ? a->status : statuses[a->verdict];
}

static void check_row(size_t i, const struct handshake_policy *policy)
{
    const struct row *row = &rows[i];
    const struct handshake_question q = {.method = bytes_of(row->method),
                                         .query = bytes_of(row->query),
                                         .body = bytes_of(row->body),
                                         .find = find,
                                         .ctx = (void *)(uintptr_t)row->headers,
                                         .now_s = 77,
                                         .bodyless = !*row->body};
    bool verified = (handshake_signed_kinds() >> (unsigned)row->kind & 1) != 0;
    int kind = handshake_asked(policy->kinds, &q, verified);
    if (row->status == 0 || kind != row->kind) {
        if (row->status != 0 || kind != HANDSHAKE_NONE) fail_msg("row %zu: kind %d", i, kind);
        return;
    }
    assert_int_equal(handshake_asked(policy->kinds, &q, !verified), HANDSHAKE_NONE);
    assert_int_equal(handshake_asked(~policy->kinds, &q, verified) == kind, false);
    struct handshake_answer answer;
    struct buffer body;
    buffer_init(&body, 8192);
    handshake_answer(kind, policy, &q, &body, &answer);
    if (status_of(&answer) != row->status) fail_msg("row %zu: status %d", i, status_of(&answer));
    const char *expected = row->answer ? row->answer : "";
    if (strcmp(buffer_cstr(&body), expected) != 0) fail_msg("row %zu: %s", i, buffer_cstr(&body));
    if (row->content_type) assert_string_equal(answer.content_type, row->content_type);
    if (!row->content_type) assert_null(answer.content_type);
    assert_int_equal(answer.reason == NULL, row->status < 300);
    assert_int_equal(answer.origin[0] != 0, kind == HANDSHAKE_CLOUDEVENTS_OPTIONS && row->status == 200);
    buffer_close(&body);
}

static void each_kind_is_asked_answered_and_refused_as_its_provider_says(void **state)
{
    (void)state;
    static const char zoom[] = "zoom-secret";
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct handshake_policy policy = {
            .kinds = 1U << (unsigned)rows[i].kind,
            .verify_token = rows[i].without_secrets ? bytes_of("") : bytes_of("meatyhamhock"),
            .origins = rows[i].any_origin ? &any : &origins,
            .topic_arns = &arns,
            .hmac = rows[i].without_secrets ? NULL : hmac,
            .hmac_ctx = zoom,
        };
        check_row(i, &policy);
    }
}

static void an_echo_has_at_most_1024_characters(void **state)
{
    (void)state;
    const struct handshake_policy policy = {.kinds = 1U << HANDSHAKE_ECHO_QUERY, .origins = &none, .topic_arns = &none};
    for (size_t size = 1023; size <= 1026; size++) {
        char query[2048] = "challenge=";
        size_t at = strlen(query);
        memset(query + at, 'a', size);
        static const char *const no_headers[] = {NULL};
        struct handshake_question q = {
            .method = bytes_of("GET"), .query = bytes_of(query), .find = find, .ctx = (void *)(uintptr_t)no_headers};
        struct handshake_answer answer;
        struct buffer body;
        buffer_init(&body, 8192);
        assert_int_equal(handshake_asked(policy.kinds, &q, false), HANDSHAKE_ECHO_QUERY);
        handshake_answer(HANDSHAKE_ECHO_QUERY, &policy, &q, &body, &answer);
        assert_int_equal(answer.verdict, size <= 1024 ? HANDSHAKE_ANSWERED : HANDSHAKE_MALFORMED);
        assert_int_equal(body.size, size <= 1024 ? size : 0);
        buffer_close(&body);
    }
}

static void names_are_those_of_the_configuration(void **state)
{
    (void)state;
    for (int kind = 0; kind < HANDSHAKES; kind++)
        assert_int_equal(handshake_kind(bytes_of(scheme_handshake_name((enum scheme_handshake)kind))), kind);
    assert_int_equal(handshake_kind(bytes_of("slack")), HANDSHAKE_NONE);
    assert_int_equal(handshake_kind(bytes_of("")), HANDSHAKE_NONE);
}

static void what_may_not_be_a_delivery(void **state)
{
    (void)state;
    const struct {
        unsigned kind;
        const char *body;
        bool refused;
    } refusals[] = {
        {HANDSHAKE_X_CRC, "{}", false},  {HANDSHAKE_X_CRC, " \t\r\n{\"a\":1}", false},
        {HANDSHAKE_X_CRC, "123", true},  {HANDSHAKE_X_CRC, "\"a\"", true},
        {HANDSHAKE_X_CRC, "[{}]", true}, {HANDSHAKE_X_CRC, "a=b", true},
        {HANDSHAKE_X_CRC, "", true},     {HANDSHAKE_SLACK_CHALLENGE, "123", false},
    };
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        struct handshake_policy policy = {.kinds = 1U << refusals[i].kind, .origins = &none, .topic_arns = &arns};
        const char *reason = handshake_refuses_delivery(&policy, bytes_of(refusals[i].body));
        if ((reason != NULL) != refusals[i].refused) fail_msg("row %zu", i);
        policy.kinds = 0;
        assert_null(handshake_refuses_delivery(&policy, bytes_of(refusals[i].body)));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_kind_is_asked_answered_and_refused_as_its_provider_says),
        cmocka_unit_test(an_echo_has_at_most_1024_characters),
        cmocka_unit_test(names_are_those_of_the_configuration),
        cmocka_unit_test(what_may_not_be_a_delivery),
    };
    struct error error;
    if (!signature_init(&error)) return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    signature_close();
    return failed;
}

/* handshake.c: what providers ask to see that the listener is ours and alive, and what they are told: one row for each
 * kind.  Whatever is echoed is 1 to 1,024 printable ASCII characters, and never HTML.
 * SPDX-License-Identifier: Apache-2.0 */
#include "handshake.h"
#include "json.h"
#include "json_pointer.h"
#include "signature.h"
#include "text.h"
#include <string.h>

enum { ECHO_MAX = 1024 };

/* ---- reading the question ---- */

static bool is_echo(struct bytes text)
{
    for (size_t i = 0; i < text.size; i++)
        if (text.data[i] < 0x20 || text.data[i] > 0x7e) return false;
    return text.size > 0 && text.size <= ECHO_MAX;
}

static struct bytes cut_at(struct bytes *rest, uint8_t mark)
{
    const uint8_t *at = rest->size ? memchr(rest->data, mark, rest->size) : NULL;
    struct bytes piece = {rest->data, at ? (size_t)(at - rest->data) : rest->size};
    size_t used = at ? piece.size + 1 : rest->size;
    *rest = (struct bytes){rest->data + used, rest->size - used};
    return piece;
}

/* How often the query has a parameter of that name; the first one's value, decoded, into `value` (NULL: don't care),
 * which fails if it cannot be decoded or is too long. */
static size_t query_find(struct bytes query, const char *name, struct buffer *value)
{
    struct buffer decoded;
    size_t count = 0;
    buffer_init(&decoded, ECHO_MAX);
    while (query.size > 0) {
        struct bytes text = cut_at(&query, '&'), key = cut_at(&text, '=');
        buffer_clear(&decoded);
        if (!text_unescape_url(key, true, &decoded) || !bytes_are(buffer_view(&decoded), name)) continue;
        if (count++ > 0 || !value) continue;
        buffer_clear(value);
        if (!text_unescape_url(text, true, value)) value->failed = true;
    }
    buffer_close(&decoded);
    return count;
}

static bool query_has(const struct handshake_question *q, const char *name)
{
    return q->query.size > 0 && query_find(q->query, name, NULL) > 0;
}

static struct bytes header_of(const struct handshake_question *q, const char *name, size_t *count)
{
    struct bytes value = {NULL, 0};
    *count = q->find(q->ctx, name, &value);
    return value;
}

static bool body_find(struct bytes body, const char *pointer, struct bytes *raw)
{
    return json_pointer_find(body, pointer, raw) == JSON_FOUND;
}

/* The string at the pointer: as it stands, or without its escapes by way of `value`. */
static bool body_text(struct bytes body, const char *pointer, struct buffer *value, struct bytes *text)
{
    struct bytes raw;
    if (!body_find(body, pointer, &raw) || raw.size < 2 || raw.data[0] != '"') return false;
    *text = (struct bytes){raw.data + 1, raw.size - 2};
    if (!memchr(raw.data, '\\', raw.size)) return true;
    buffer_clear(value);
    if (!json_pointer_text(raw, value) || !buffer_ok(value)) return false;
    *text = buffer_view(value);
    return true;
}

static bool body_says(struct bytes body, const char *pointer, const char *word)
{
    struct buffer value;
    struct bytes text;
    buffer_init(&value, ECHO_MAX);
    bool says = body_text(body, pointer, &value, &text) && bytes_are(text, word);
    buffer_close(&value);
    return says;
}

/* ---- the answers ---- */

/* One handshake under way. */
struct talk {
    const struct handshake_policy *policy;
    const struct handshake_question *question;
    struct handshake_answer *answer;
    struct buffer *body; /* of the answer */
    struct bytes value;  /* what is echoed or signed; views the question or `decoded` */
    struct buffer decoded;
};

static void refuse(struct talk *t, enum handshake_verdict verdict, const char *reason)
{
    t->answer->verdict = verdict;
    t->answer->reason = reason;
}

static bool value_from_query(struct talk *t, const char *name)
{
    size_t count = query_find(t->question->query, name, &t->decoded);
    t->value = buffer_view(&t->decoded);
    if (count == 1 && buffer_ok(&t->decoded) && is_echo(t->value)) return true;
    refuse(t, HANDSHAKE_MALFORMED, "the challenge must stand once in the query, 1 to 1024 printable ASCII characters");
    return false;
}

static bool value_from_body(struct talk *t, const char *pointer)
{
    if (body_text(t->question->body, pointer, &t->decoded, &t->value) && is_echo(t->value)) return true;
    refuse(t, HANDSHAKE_MALFORMED, "the challenge in the body must be 1 to 1024 printable ASCII characters");
    return false;
}

static void answer_text(struct talk *t)
{
    t->answer->content_type = "text/plain";
    buffer_bytes(t->body, t->value);
}

static void write_json(struct talk *t, const char *const names[2], struct bytes first, struct bytes second)
{
    struct json_writer w;
    t->answer->content_type = "application/json";
    json_writer_init(&w, t->body);
    json_write_object(&w, NULL);
    json_write_text(&w, names[0], first);
    if (names[1]) json_write_text(&w, names[1], second);
    json_write_object_end(&w);
}

static bool value_mac(struct talk *t, uint8_t mac[SIGNATURE_SHA256_SIZE])
{
    const struct handshake_policy *p = t->policy;
    if (p->hmac && p->hmac(p->hmac_ctx, t->value, t->question->now_s, mac)) return true;
    refuse(t, HANDSHAKE_UNABLE, "no HMAC under the trigger's secret can be made");
    return false;
}

static bool asks_slack(const struct handshake_question *q)
{
    return body_says(q->body, "/type", "url_verification");
}

static void answer_slack(struct talk *t)
{
    if (value_from_body(t, "/challenge")) answer_text(t);
}

static bool asks_zoom(const struct handshake_question *q)
{
    return body_says(q->body, "/event", "endpoint.url_validation");
}

static void answer_zoom(struct talk *t)
{
    static const char *const names[] = {"plainToken", "encryptedToken"};
    uint8_t mac[SIGNATURE_SHA256_SIZE];
    char hex[2 * SIGNATURE_SHA256_SIZE + 1];
    if (!value_from_body(t, "/payload/plainToken") || !value_mac(t, mac)) return;
    text_hex(mac, sizeof mac, hex);
    write_json(t, names, t->value, bytes_of(hex));
}

/* An interaction of type 1 is a PING; a webhook event of type 1 is an event, which it carries. */
static bool asks_discord(const struct handshake_question *q)
{
    struct bytes type, event;
    if (!body_find(q->body, "/type", &type)) return false;
    return bytes_are(type, "0") || (bytes_are(type, "1") && !body_find(q->body, "/event", &event));
}

static void answer_discord(struct talk *t)
{
    struct bytes type;
    bool interaction = body_find(t->question->body, "/type", &type) && bytes_are(type, "1");
    t->answer->status = interaction ? 200 : 204;
    if (!interaction) return;
    t->answer->content_type = "application/json";
    buffer_text(t->body, "{\"type\":1}");
}

static bool asks_echo(const struct handshake_question *q)
{
    return query_has(q, "challenge");
}

static void answer_echo(struct talk *t)
{
    if (value_from_query(t, "challenge")) answer_text(t);
}

static bool asks_meta(const struct handshake_question *q)
{
    return query_has(q, "hub.mode") || query_has(q, "hub.challenge") || query_has(q, "hub.verify_token");
}

/* Digests, so that the comparison takes the same time for every token. */
static bool is_verify_token(const struct talk *t, struct bytes token)
{
    uint8_t given[SIGNATURE_SHA256_SIZE], expected[SIGNATURE_SHA256_SIZE];
    signature_sha256(&token, 1, given);
    signature_sha256(&t->policy->verify_token, 1, expected);
    return t->policy->verify_token.size > 0 && signature_equal(given, expected, sizeof given);
}

static void answer_meta(struct talk *t)
{
    struct bytes query = t->question->query;
    struct buffer *d = &t->decoded;
    bool subscribes = query_find(query, "hub.mode", d) == 1 && bytes_are(buffer_view(d), "subscribe");
    bool knows = query_find(query, "hub.verify_token", d) == 1 && buffer_ok(d) && is_verify_token(t, buffer_view(d));
    if (!subscribes || !knows)
        refuse(t, HANDSHAKE_REFUSED, subscribes ? "wrong verify_token" : "hub.mode is not subscribe");
    else if (value_from_query(t, "hub.challenge"))
        answer_text(t);
}

/* A delivery has a body; the question has none. */
static bool asks_graph(const struct handshake_question *q)
{
    return q->bodyless && query_has(q, "validationToken");
}

static void answer_graph(struct talk *t)
{
    if (value_from_query(t, "validationToken")) answer_text(t);
}

#define OKTA_HEADER "X-Okta-Verification-Challenge"

static bool asks_okta(const struct handshake_question *q)
{
    size_t count;
    header_of(q, OKTA_HEADER, &count);
    return count > 0;
}

static void answer_okta(struct talk *t)
{
    static const char *const names[] = {"verification", NULL};
    size_t count;
    struct bytes value = header_of(t->question, OKTA_HEADER, &count);
    if (count == 1 && is_echo(value))
        write_json(t, names, value, (struct bytes){NULL, 0});
    else
        refuse(t, HANDSHAKE_MALFORMED, OKTA_HEADER " must stand there once, 1 to 1024 printable ASCII characters");
}

/* Event Grid with its own schema; the question comes before any secret is agreed upon. */
static bool asks_eventgrid(const struct handshake_question *q)
{
    size_t count;
    struct bytes value = header_of(q, "aeg-event-type", &count);
    return count == 1 && text_equal_ignore_case(value, bytes_of("SubscriptionValidation"));
}

static void answer_eventgrid(struct talk *t)
{
    static const char *const names[] = {"validationResponse", NULL};
    if (value_from_body(t, "/0/data/validationCode")) write_json(t, names, t->value, (struct bytes){NULL, 0});
}

/* The header that says so is not signed, the body is. */
static bool asks_sns(const struct handshake_question *q)
{
    return body_says(q->body, "/Type", "SubscriptionConfirmation") ||
           body_says(q->body, "/Type", "UnsubscribeConfirmation");
}

static bool in_list(struct bytes text, const struct config_list *patterns)
{
    for (size_t i = 0; i < patterns->count; i++)
        if (text_matches(text, bytes_of(patterns->items[i]))) return true;
    return false;
}

/* Amazon's rule for every URL in these messages: https, sns.<region>.amazonaws.com or ...com.cn, nothing between. */
static bool is_sns_url(struct bytes url)
{
    static const char *const ends[] = {".amazonaws.com", ".amazonaws.com.cn"};
    const char *begin = "https://sns.";
    if (url.size < strlen(begin) || memcmp(url.data, begin, strlen(begin)) != 0) return false;
    struct bytes host = {url.data + strlen(begin), url.size - strlen(begin)};
    host = cut_at(&host, '/');
    size_t region = 0;
    while (region < host.size && ((host.data[region] >= 'a' && host.data[region] <= 'z') || host.data[region] == '-' ||
                                  (host.data[region] >= '0' && host.data[region] <= '9')))
        region++;
    struct bytes end = {host.data + region, host.size - region};
    return region >= 3 && (bytes_are(end, ends[0]) || bytes_are(end, ends[1]));
}

/* Nobody here opens the URL: that is for an operator, who finds it in the log (the caller writes it). */
static void answer_sns(struct talk *t)
{
    struct bytes body = t->question->body;
    if (!body_text(body, "/TopicArn", &t->decoded, &t->value) || !in_list(t->value, t->policy->topic_arns))
        refuse(t, HANDSHAKE_REFUSED, "TopicArn is not in topic_arns");
    else if (!body_text(body, "/SubscribeURL", &t->decoded, &t->value) || !is_sns_url(t->value) || !is_echo(t->value))
        refuse(t, HANDSHAKE_REFUSED, "SubscribeURL is not Amazon's");
}

#define ORIGIN_HEADER "WebHook-Request-Origin"

static bool is_dns_name(struct bytes name)
{
    for (size_t i = 0; i < name.size; i++) {
        uint8_t c = name.data[i], lower = c | 0x20;
        if (!((lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.')) return false;
    }
    return name.size > 0 && name.size < HANDSHAKE_ORIGIN_SIZE;
}

static bool origin_allowed(const struct talk *t, struct bytes origin)
{
    for (size_t i = 0; i < t->policy->origins->count; i++) {
        struct bytes allowed = bytes_of(t->policy->origins->items[i]);
        if (bytes_are(allowed, "*") || text_equal_ignore_case(allowed, origin)) return true;
    }
    return false;
}

/* With this kind declared every OPTIONS is the question or refused: a browser's preflight gets nothing (providers say
 * so by CORS headers of their own, which never stand here). */
static bool asks_consent(const struct handshake_question *q)
{
    (void)q;
    return true;
}

static void answer_consent(struct talk *t)
{
    size_t count, preflight;
    struct bytes origin = header_of(t->question, ORIGIN_HEADER, &count);
    header_of(t->question, "Access-Control-Request-Method", &preflight);
    if (count != 1 || preflight > 0 || !is_dns_name(origin) || !origin_allowed(t, origin)) {
        refuse(t, HANDSHAKE_NO_CONSENT, "no origin is allowed");
        return;
    }
    memcpy(t->answer->origin, origin.data, origin.size);
    t->answer->origin[origin.size] = 0;
}

static bool asks_crc(const struct handshake_question *q)
{
    return query_has(q, "crc_token");
}

/* Who asks gets a MAC under the secret that signs deliveries too.  Deliveries are JSON objects (handshake_is_delivery),
 * so a token with a brace is none. */
static void answer_crc(struct talk *t)
{
    static const char *const names[] = {"response_token", NULL};
    uint8_t mac[SIGNATURE_SHA256_SIZE];
    if (!value_from_query(t, "crc_token")) return;
    if (memchr(t->value.data, '{', t->value.size)) {
        refuse(t, HANDSHAKE_MALFORMED, "a crc_token with a brace could be a delivery");
        return;
    }
    if (!value_mac(t, mac)) return;
    buffer_clear(&t->decoded);
    buffer_text(&t->decoded, "sha256=");
    text_base64((struct bytes){mac, sizeof mac}, &t->decoded);
    write_json(t, names, buffer_view(&t->decoded), (struct bytes){NULL, 0});
}

/* ---- the kinds ---- */

static const struct kind_row {
    const char *method;
    bool is_signed; /* asked in the body of a verified delivery; the others are asked at the head, by anybody */
    bool (*asks)(const struct handshake_question *q);
    void (*answer)(struct talk *t);
} kinds[HANDSHAKES] = {
    [HANDSHAKE_SLACK_CHALLENGE] = {"POST", true, asks_slack, answer_slack},
    [HANDSHAKE_ZOOM_VALIDATION] = {"POST", true, asks_zoom, answer_zoom},
    [HANDSHAKE_DISCORD_PING] = {"POST", true, asks_discord, answer_discord},
    [HANDSHAKE_ECHO_QUERY] = {"GET", false, asks_echo, answer_echo},
    [HANDSHAKE_META_SUBSCRIBE] = {"GET", false, asks_meta, answer_meta},
    [HANDSHAKE_GRAPH_VALIDATION] = {"POST", false, asks_graph, answer_graph},
    [HANDSHAKE_OKTA_VERIFICATION] = {"GET", false, asks_okta, answer_okta},
    [HANDSHAKE_EVENTGRID_VALIDATION] = {"POST", false, asks_eventgrid, answer_eventgrid},
    [HANDSHAKE_SNS_CONFIRMATION] = {"POST", true, asks_sns, answer_sns},
    [HANDSHAKE_CLOUDEVENTS_OPTIONS] = {"OPTIONS", false, asks_consent, answer_consent},
    [HANDSHAKE_X_CRC] = {"GET", false, asks_crc, answer_crc},
    [HANDSHAKE_HEAD] = {NULL, false, NULL, NULL}, /* every HEAD is answered */
};

int handshake_kind(struct bytes name)
{
    for (int kind = 0; kind < HANDSHAKES; kind++)
        if (bytes_are(name, scheme_handshake_name((enum scheme_handshake)kind))) return kind;
    return HANDSHAKE_NONE;
}

unsigned handshake_signed_kinds(void)
{
    unsigned set = 0;
    for (unsigned kind = 0; kind < HANDSHAKES; kind++)
        if (kinds[kind].is_signed) set |= 1U << kind;
    return set;
}

int handshake_asked(unsigned declared, const struct handshake_question *q, bool verified)
{
    for (int kind = 0; declared != 0 && kind < HANDSHAKES; kind++) {
        const struct kind_row *row = &kinds[kind];
        if (!(declared >> kind & 1) || row->is_signed != verified || !row->method) continue;
        if (bytes_are(q->method, row->method) && row->asks(q)) return kind;
    }
    return HANDSHAKE_NONE;
}

void handshake_answer(int kind, const struct handshake_policy *policy, const struct handshake_question *q,
                      struct buffer *body, struct handshake_answer *answer)
{
    struct talk t = {.policy = policy, .question = q, .answer = answer, .body = body};
    *answer = (struct handshake_answer){.verdict = HANDSHAKE_ANSWERED, .status = 200};
    buffer_clear(body);
    buffer_init(&t.decoded, ECHO_MAX);
    kinds[kind].answer(&t);
    buffer_close(&t.decoded);
    if (!buffer_ok(body)) refuse(&t, HANDSHAKE_UNABLE, "no memory");
    if (answer->verdict != HANDSHAKE_ANSWERED) buffer_clear(body);
}

/* ---- what the kinds ask of deliveries ---- */

static const uint8_t *first_mark(struct bytes body)
{
    size_t i = 0;
    while (i < body.size && strchr(" \t\r\n", body.data[i]) && body.data[i])
        i++;
    return i < body.size ? body.data + i : NULL;
}

const char *handshake_refuses_delivery(const struct handshake_policy *policy, struct bytes body)
{
    if (policy->kinds & 1U << HANDSHAKE_X_CRC) {
        const uint8_t *mark = first_mark(body);
        if (!mark || *mark != '{') return "not a JSON object: it could be an answered crc_token";
    }
    return NULL;
}

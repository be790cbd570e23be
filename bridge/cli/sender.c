/* sender.c: signs a delivery and posts it.
 * SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"
#include "clock.h"
#include "scheme.h"
#include <stdlib.h>
#include <string.h>

enum { HEADER_LINES_MAX = 32 * 1024 };

struct sender {
    struct sender_settings settings;
    struct scheme_set *schemes;
    const struct scheme *scheme;
    struct secret *secret;
    struct http_client *client;
};

static bool scheme_choose(struct sender *s, struct error *error)
{
    s->schemes = scheme_set_load(scheme_providers_text, error);
    if (s->schemes == NULL) return false;
    s->scheme = scheme_find(s->schemes, s->settings.scheme);
    if (s->scheme == NULL)
        return error_set(error, ERROR_INVALID,
                         "--scheme %s is not one that send knows; drawbridge sign --help lists them",
                         s->settings.scheme);
    s->secret = secret_resolve(bytes_of(s->settings.secret), false, error);
    return s->secret != NULL || error_context(error, "--secret");
}

struct sender *sender_new(const struct sender_settings *settings, struct error *error)
{
    struct sender *s = calloc(1, sizeof *s);
    if (s == NULL) {
        error_set(error, ERROR_MEMORY, "no memory");
        return NULL;
    }
    s->settings = *settings;
    if (scheme_choose(s, error)) s->client = http_client_new(settings->parallel, error);
    if (s->client != NULL) return s;
    sender_free(s);
    return NULL;
}

void sender_free(struct sender *s)
{
    if (s == NULL) return;
    http_client_free(s->client);
    secret_free(s->secret);
    scheme_set_free(s->schemes);
    free(s);
}

/* The headers that name the event, beside those that signing has made. */
static void add_event_headers(const struct sender *s, struct buffer *lines)
{
    for (const char *const *name = scheme_identity_headers(s->scheme); *name; name++) {
        const char *there = strcasestr(buffer_cstr(lines), *name);
        if (!there || there[strlen(*name)] != ':') buffer_format(lines, "%s: %s\n", *name, s->settings.event);
    }
}

/* Cuts the lines apart, in place. */
static bool split_lines(struct buffer *lines, const char *headers[DELIVERY_HEADERS_MAX + 1], struct error *error)
{
    size_t count = 0;
    char *at = (char *)lines->data;
    while (at && *at) {
        char *end = strchr(at, '\n');
        if (count == DELIVERY_HEADERS_MAX) return error_set(error, ERROR_TOO_LARGE, "too many header lines");
        headers[count++] = at;
        *end = 0;
        at = end + 1;
    }
    headers[count] = NULL;
    return true;
}

static bool headers_make(const struct sender *s, struct shipment *x, struct error *error)
{
    struct cli_headers given = {.count = 0};
    headers_add(&given, bytes_of("Content-Type"), bytes_of(s->settings.content_type));
    const struct scheme_signing signing = {.request = request_make(&given, "POST", x->url),
                                           .body = x->body,
                                           .id = bytes_of(x->id),
                                           .now_ms = clock_wall_us() / 1000};
    buffer_init(&x->header_lines, HEADER_LINES_MAX);
    buffer_init(&x->signed_body, CLI_BODY_MAX);
    if (!scheme_sign(s->scheme, secret_view(s->secret), &signing, &x->header_lines, &x->signed_body, error))
        return false;
    buffer_format(&x->header_lines, "Content-Type: %s\nUser-Agent: %s\n", s->settings.content_type,
                  delivery_user_agent(s->settings.scheme));
    add_event_headers(s, &x->header_lines);
    if (!buffer_ok(&x->header_lines)) return error_set(error, ERROR_TOO_LARGE, "the header lines are too long");
    return split_lines(&x->header_lines, x->headers, error);
}

bool sender_start(struct sender *s, struct shipment *x, struct error *error)
{
    x->exchange = (struct http_exchange){
        .method = "POST", .url = x->url, .body = x->body, .ctx = x, .timeout_ms = s->settings.timeout_ms};
    if (!headers_make(s, x, error)) return false;
    if (x->signed_body.size > 0) x->exchange.body = buffer_view(&x->signed_body);
    x->exchange.headers = x->headers;
    return http_client_start(s->client, &x->exchange, error);
}

struct shipment *sender_next(struct sender *s, int timeout_ms)
{
    struct http_exchange *exchange = http_client_next(s->client, timeout_ms);
    if (exchange == NULL) return NULL;
    struct shipment *x = exchange->ctx;
    x->verdict = delivery_judge(exchange->status, buffer_view(&exchange->answer), x->workflow_id);
    return x;
}

int sender_busy(const struct sender *s)
{
    return http_client_busy(s->client);
}

void shipment_close(struct shipment *x)
{
    buffer_close(&x->header_lines);
    buffer_close(&x->signed_body);
    buffer_close(&x->exchange.answer);
}

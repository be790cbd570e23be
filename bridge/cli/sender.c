/* sender.c: signs a delivery and posts it.
 * SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"
#include "clock.h"
#include "scheme.h"
#include <stdlib.h>
#include <string.h>

enum { HEADER_LINE_MAX = 1024 };

struct sender {
    struct sender_settings settings;
    const struct delivery_provider *provider;
    struct scheme_set *schemes;
    struct verifier *verifier;
    struct http_client *client;
};

static bool verifier_load(struct sender *s, struct error *error)
{
    s->schemes = scheme_set_load(scheme_providers_text, error);
    if (s->schemes == NULL) return false;
    const struct scheme *scheme = scheme_find(s->schemes, s->settings.scheme);
    s->provider = delivery_provider_find(s->settings.scheme);
    if (scheme == NULL || s->provider == NULL)
        return error_set(error, ERROR_INVALID, "--scheme %s is not one that send knows; github is", s->settings.scheme);
    struct verifier_secret secret = {.name = "current"};
    secret.secret = secret_resolve(bytes_of(s->settings.secret), false, error);
    if (secret.secret == NULL) return error_context(error, "--secret");
    s->verifier = verifier_new(scheme, &secret, 1, error);
    return s->verifier != NULL;
}

struct sender *sender_new(const struct sender_settings *settings, struct error *error)
{
    struct sender *s = calloc(1, sizeof *s);
    if (s == NULL) {
        error_set(error, ERROR_MEMORY, "no memory");
        return NULL;
    }
    s->settings = *settings;
    if (verifier_load(s, error)) s->client = http_client_new(settings->parallel, error);
    if (s->client != NULL) return s;
    sender_free(s);
    return NULL;
}

void sender_free(struct sender *s)
{
    if (s == NULL) return;
    http_client_free(s->client);
    verifier_free(s->verifier);
    scheme_set_free(s->schemes);
    free(s);
}

static bool headers_make(const struct sender *s, struct shipment *x, struct error *error)
{
    for (size_t i = 0; i < DELIVERY_HEADERS_MAX; i++)
        buffer_init(&x->header_lines[i], HEADER_LINE_MAX);
    struct buffer *line = x->header_lines;
    if (!scheme_sign(s->verifier, x->body, clock_wall_us() / 1000000, line++, error)) return false;
    buffer_format(line++, "Content-Type: %s", s->settings.content_type);
    buffer_format(line++, "User-Agent: %s", s->provider->user_agent);
    buffer_format(line++, "%s: %s", s->provider->event_header, s->settings.event);
    buffer_format(line++, "%s: %s", s->provider->id_header, x->id);
    size_t count = 0;
    for (const struct buffer *b = x->header_lines; b < line; b++) {
        if (!buffer_ok(b)) return error_set(error, ERROR_TOO_LARGE, "a header line is too long");
        x->headers[count++] = buffer_cstr(b);
    }
    x->headers[count] = NULL;
    return true;
}

bool sender_start(struct sender *s, struct shipment *x, struct error *error)
{
    x->exchange = (struct http_exchange){
        .method = "POST", .url = x->url, .body = x->body, .ctx = x, .timeout_ms = s->settings.timeout_ms};
    if (!headers_make(s, x, error)) return false;
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
    for (size_t i = 0; i < DELIVERY_HEADERS_MAX; i++)
        buffer_close(&x->header_lines[i]);
    buffer_close(&x->exchange.answer);
}

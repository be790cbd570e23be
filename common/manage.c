/* manage.c: /healthz, /readyz and /metrics on a listener of their own.
 * SPDX-License-Identifier: Apache-2.0 */
#include "manage.h"
#include "clock.h"
#include "http_server.h"
#include <stdlib.h>

enum {
    TEXT_MAX = 4 * 1024 * 1024, /* of /metrics */
    CONNECTIONS_MAX = 32,
    TIMEOUT_MS = 10 * 1000,
};

struct manage {
    struct http_server *server;
    const struct metrics *metrics;
    struct manage_hooks hooks;
    struct buffer text; /* of the answer under way; kept, so that a scrape does not allocate each time */
};

/* A page fills m->text and returns the status. */
static int page_health(struct manage *m)
{
    buffer_text(&m->text, "ok\n");
    return 200;
}

static int page_ready(struct manage *m)
{
    if (m->hooks.ready(m->hooks.ctx, &m->text)) {
        if (m->text.size == 0) buffer_text(&m->text, "ready");
        buffer_byte(&m->text, '\n');
        return 200;
    }
    buffer_byte(&m->text, '\n');
    return 503;
}

static int page_metrics(struct manage *m)
{
    if (m->hooks.refresh) m->hooks.refresh(m->hooks.ctx);
    metrics_write(m->metrics, &m->text);
    if (m->hooks.more) m->hooks.more(m->hooks.ctx, &m->text);
    return 200;
}

static const struct page {
    const char *path, *type;
    int (*fill)(struct manage *m);
} pages[] = {
    {"/healthz", "text/plain; charset=utf-8", page_health},
    {"/readyz", "text/plain; charset=utf-8", page_ready},
    {"/metrics", "text/plain; version=0.0.4; charset=utf-8", page_metrics},
};

static struct http_reply manage_refuse(int status, const char *text)
{
    const struct http_reply_header headers[] = {{"Content-Type", "text/plain; charset=utf-8"}, {"Allow", "GET, HEAD"}};
    return http_reply_new(status, bytes_of(text), headers, status == 405 ? 2 : 1, false);
}

static struct http_reply manage_page(struct manage *m, const struct page *page)
{
    buffer_clear(&m->text);
    int status = page->fill(m);
    if (!buffer_ok(&m->text)) return manage_refuse(500, "the page is too large\n");
    const struct http_reply_header headers[] = {{"Content-Type", page->type}, {"Cache-Control", "no-store"}};
    return http_reply_new(status, buffer_view(&m->text), headers, 2, false);
}

static struct http_reply manage_reply(struct manage *m, const struct http_head *head)
{
    for (size_t i = 0; i < sizeof pages / sizeof pages[0]; i++) {
        if (!bytes_are(head->path, pages[i].path)) continue;
        if (!bytes_are(head->method, "GET") && !bytes_are(head->method, "HEAD"))
            return manage_refuse(405, "only GET\n");
        return manage_page(m, &pages[i]);
    }
    return manage_refuse(404, "not found: /healthz /readyz /metrics\n");
}

static void on_head(void *ctx, struct http_request *r)
{
    (void)ctx, (void)r;
}

static void on_complete(void *ctx, struct http_request *r)
{
    http_request_answer(r, manage_reply(ctx, http_request_head(r)));
}

struct manage *manage_start(const char *listen, const struct metrics *metrics, struct manage_hooks hooks,
                            struct error *error)
{
    struct manage *m = calloc(1, sizeof *m);
    if (!m) {
        error_set(error, ERROR_MEMORY, "no memory for the management listener");
        return NULL;
    }
    m->metrics = metrics;
    m->hooks = hooks;
    buffer_init(&m->text, TEXT_MAX);
    const struct http_server_settings settings = {.listener = {.listen = listen},
                                                  .connections_max = CONNECTIONS_MAX,
                                                  .header_timeout_ms = TIMEOUT_MS,
                                                  .body_timeout_ms = TIMEOUT_MS,
                                                  .idle_timeout_ms = 6 * TIMEOUT_MS};
    const struct http_app app = {.ctx = m, .head = on_head, .complete = on_complete};
    m->server = http_server_new(&settings, &app, error);
    if (!m->server) {
        error_context(error, "management listener");
        free(m);
        return NULL;
    }
    return m;
}

int manage_port(const struct manage *m)
{
    return http_server_port(m->server);
}

int manage_fd(const struct manage *m)
{
    return http_server_fd(m->server);
}

int manage_timeout_ms(const struct manage *m)
{
    return http_server_timeout_ms(m->server, clock_monotonic_ms());
}

void manage_run(struct manage *m)
{
    http_server_run(m->server, clock_monotonic_ms());
}

void manage_stop(struct manage *m)
{
    if (!m) return;
    http_server_free(m->server);
    buffer_close(&m->text);
    free(m);
}

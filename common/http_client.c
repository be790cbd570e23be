/* http_client.c: libcurl's multi interface behind three calls.
 * SPDX-License-Identifier: Apache-2.0 */
#include "http_client.h"
#include "clock.h"
#include <assert.h>
#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>

struct slot {
    CURL *easy;
    struct http_exchange *exchange; /* NULL: idle */
    struct curl_slist *headers;
    int64_t started_us;
    char message[CURL_ERROR_SIZE];
};

struct http_client {
    CURLM *multi;
    int parallel, busy;
    struct slot slots[];
};

struct http_client *http_client_new(int parallel, struct error *error)
{
    assert(parallel > 0);
    struct http_client *c = NULL;
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        error_set(error, ERROR_INTERNAL, "curl does not start");
        return NULL;
    }
    c = calloc(1, sizeof *c + (size_t)parallel * sizeof c->slots[0]);
    if (c) c->multi = curl_multi_init();
    if (!c || !c->multi) {
        free(c);
        curl_global_cleanup();
        error_set(error, ERROR_MEMORY, "no memory for an HTTP client");
        return NULL;
    }
    c->parallel = parallel;
    curl_multi_setopt(c->multi, CURLMOPT_MAXCONNECTS, (long)parallel);
    return c;
}

static void release(struct http_client *c, struct slot *s)
{
    curl_multi_remove_handle(c->multi, s->easy);
    curl_slist_free_all(s->headers);
    s->headers = NULL;
    s->exchange = NULL;
    c->busy--;
}

void http_client_free(struct http_client *c)
{
    if (!c) return;
    for (int i = 0; i < c->parallel; i++) {
        if (c->slots[i].exchange) release(c, &c->slots[i]);
        curl_easy_cleanup(c->slots[i].easy);
    }
    curl_multi_cleanup(c->multi);
    free(c);
    curl_global_cleanup();
}

int http_client_busy(const struct http_client *c)
{
    return c->busy;
}

/* Taking less than was offered makes curl end the exchange. */
static size_t take_answer(char *data, size_t size, size_t count, void *ctx)
{
    struct slot *s = ctx;
    buffer_append(&s->exchange->answer, data, size * count);
    return buffer_ok(&s->exchange->answer) ? size * count : 0;
}

static struct slot *idle_slot(struct http_client *c)
{
    for (int i = 0; i < c->parallel; i++)
        if (!c->slots[i].exchange) return &c->slots[i];
    return NULL;
}

static bool add_header(struct slot *s, const char *line)
{
    struct curl_slist *longer = curl_slist_append(s->headers, line);
    if (longer) s->headers = longer;
    return longer;
}

static bool add_headers(struct slot *s, const struct http_exchange *x)
{
    if (!add_header(s, "Expect:")) return false; /* a wait for "100 Continue" costs a second where it is not known */
    for (const char *const *line = x->headers; line && *line; line++)
        if (!add_header(s, *line)) return false;
    return true;
}

/* A request with a body, or with a method that usually has one, says how long it is. */
static void set_method(CURL *easy, const struct http_exchange *x)
{
    bool head = strcmp(x->method, "HEAD") == 0;
    bool plain = head || (strcmp(x->method, "GET") == 0 && x->body.size == 0);
    curl_easy_setopt(easy, CURLOPT_NOBODY, head ? 1L : 0L);
    if (plain) return;
    curl_easy_setopt(easy, CURLOPT_POST, 1L);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, x->body.data ? (const char *)x->body.data : "");
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)x->body.size);
    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, x->method);
}

/* False when the URL or a header can't be taken. */
static bool set_request(struct slot *s, const struct http_exchange *x)
{
    CURL *easy = s->easy;
    curl_easy_reset(easy); /* keeps the connection */
    s->message[0] = 0;
    if (curl_easy_setopt(easy, CURLOPT_URL, x->url) != CURLE_OK) return false;
    if (curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https") != CURLE_OK) return false;
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "drawbridge/" DRAWBRIDGE_VERSION);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)x->timeout_ms);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, s->headers);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_answer);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, s);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, s->message);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, s);
    set_method(easy, x);
    return true;
}

static bool prepare(struct slot *s, const struct http_exchange *x)
{
    if (!s->easy) s->easy = curl_easy_init();
    return s->easy && add_headers(s, x) && set_request(s, x);
}

bool http_client_start(struct http_client *c, struct http_exchange *x, struct error *error)
{
    assert(x->timeout_ms > 0);
    struct slot *s = idle_slot(c);
    if (!s) return error_set(error, ERROR_UNAVAILABLE, "%d exchanges are under way already", c->parallel);
    x->status = 0;
    x->error = (struct error){.code = ERROR_NONE};
    buffer_init(&x->answer, HTTP_CLIENT_ANSWER_MAX);
    s->started_us = clock_monotonic_us();
    if (!prepare(s, x) || curl_multi_add_handle(c->multi, s->easy) != CURLM_OK) {
        curl_slist_free_all(s->headers);
        s->headers = NULL;
        return error_set(error, ERROR_MEMORY, "no memory for a request");
    }
    s->exchange = x;
    c->busy++;
    return true;
}

static const struct fault {
    CURLcode code;
    enum error_code error;
} faults[] = {
    {CURLE_OPERATION_TIMEDOUT, ERROR_TIMED_OUT},    {CURLE_URL_MALFORMAT, ERROR_INVALID},
    {CURLE_UNSUPPORTED_PROTOCOL, ERROR_INVALID},    {CURLE_OUT_OF_MEMORY, ERROR_MEMORY},
    {CURLE_PEER_FAILED_VERIFICATION, ERROR_DENIED},
};

static void tell_fault(struct slot *s, CURLcode code)
{
    struct http_exchange *x = s->exchange;
    const char *text = s->message[0] ? s->message : curl_easy_strerror(code);
    enum error_code class = ERROR_UNAVAILABLE;
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++)
        if (faults[i].code == code) class = faults[i].error;
    if (buffer_ok(&x->answer))
        error_set(&x->error, class, "%s", text);
    else
        error_set(&x->error, ERROR_TOO_LARGE, "the answer is over %d bytes", HTTP_CLIENT_ANSWER_MAX);
}

static struct http_exchange *finish(struct http_client *c, const CURLMsg *done)
{
    char *owner;
    long status = 0;
    CURLcode code = done->data.result;
    curl_easy_getinfo(done->easy_handle, CURLINFO_PRIVATE, &owner);
    curl_easy_getinfo(done->easy_handle, CURLINFO_RESPONSE_CODE, &status);
    struct slot *s = (struct slot *)(void *)owner;
    struct http_exchange *x = s->exchange;
    x->duration_us = clock_monotonic_us() - s->started_us;
    if (code == CURLE_OK)
        x->status = (int)status;
    else
        tell_fault(s, code);
    release(c, s);
    return x;
}

static struct http_exchange *next_done(struct http_client *c)
{
    int left;
    const CURLMsg *message;
    while ((message = curl_multi_info_read(c->multi, &left)))
        if (message->msg == CURLMSG_DONE) return finish(c, message);
    return NULL;
}

struct http_exchange *http_client_next(struct http_client *c, int timeout_ms)
{
    int64_t end_ms = clock_monotonic_ms() + timeout_ms;
    while (c->busy > 0) {
        struct http_exchange *x = next_done(c);
        int running;
        if (!x && curl_multi_perform(c->multi, &running) == CURLM_OK) x = next_done(c);
        if (x) return x;
        int64_t left_ms = end_ms - clock_monotonic_ms();
        if (left_ms <= 0 || curl_multi_poll(c->multi, NULL, 0, (int)left_ms, NULL) != CURLM_OK) break;
    }
    return NULL;
}

bool http_client_call(struct http_client *c, struct http_exchange *x)
{
    assert(c->busy == 0);
    if (!http_client_start(c, x, &x->error)) return false;
    while (!http_client_next(c, (int)x->timeout_ms + 1000) && c->busy > 0)
        continue;
    return x->status != 0;
}

/* http_client.h: libcurl, bounded and with deadlines.  One caller thread per client.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "buffer.h"
#include "error.h"

struct http_client; /* keeps connections alive between requests; up to `parallel` at once */
/* daemon-wide curl initialisation happens at the first call, before threads. */
struct http_client *http_client_new(int parallel, struct error *error);
void http_client_free(struct http_client *c);

struct http_exchange {
    const char *method, *url;
    const char *const *headers; /* "Name: value", NULL-terminated; may be NULL */
    struct bytes body;          /* stays the caller's until the exchange is done */
    int64_t timeout_ms;
    void *ctx;
    /* set when done */
    int status; /* 0: no answer, see error */
    struct buffer answer; /* at most 64 KiB; closed by the caller */
    struct error error;
    int64_t duration_us;
};

/* One blocking exchange; true if any HTTP answer came. */
bool http_client_call(struct http_client *c, struct http_exchange *x);
/* Starts an exchange; x must stay until http_client_next returns it. */
bool http_client_start(struct http_client *c, struct http_exchange *x, struct error *error);
/* The next finished exchange, waiting at most timeout_ms; NULL if none finished. */
struct http_exchange *http_client_next(struct http_client *c, int timeout_ms);

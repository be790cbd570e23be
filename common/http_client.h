/* http_client.h: libcurl, bounded and with deadlines.  One caller thread per client.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "buffer.h"
#include "error.h"

/* Keeps connections alive between requests; `parallel` exchanges at most at once.  Only http and https, no redirects,
 * no proxy, no signals.  curl is initialised here: make the first client before the first thread (traps 6).  NULL
 * without memory. */
struct http_client;
struct http_client *http_client_new(int parallel, struct error *error);
/* Exchanges under way are dropped: their structs are the caller's again and never finish.  NULL is legal. */
void http_client_free(struct http_client *c);

enum { HTTP_CLIENT_ANSWER_MAX = 64 * 1024 };
struct http_exchange {
    const char *method, *url;   /* need not outlive the start */
    const char *const *headers; /* "Name: value", NULL-terminated; may be NULL; need not outlive the start */
    struct bytes body;          /* stays the caller's until the exchange is done */
    int64_t timeout_ms;         /* for all of it, name look-up included; > 0 */
    void *ctx;
    /* Set when done. */
    int status;           /* 0: no answer, see error */
    struct buffer answer; /* at most HTTP_CLIENT_ANSWER_MAX, a longer one is ERROR_TOO_LARGE; closed by the caller */
    struct error error;   /* timed_out; unavailable: no connection or a broken one; invalid: the URL; denied: TLS */
    int64_t duration_us;
};

/* One blocking exchange; true if an HTTP answer came, whatever its status.  Only while no other is under way. */
bool http_client_call(struct http_client *c, struct http_exchange *x);
/* Starts an exchange; x must stay until http_client_next returns it.  False (and x is the caller's): `parallel` are
 * under way (unavailable), or a bad argument. */
bool http_client_start(struct http_client *c, struct http_exchange *x, struct error *error);
/* The next finished exchange, waiting at most timeout_ms; NULL if none finished, at once if none is under way. */
struct http_exchange *http_client_next(struct http_client *c, int timeout_ms);
/* Exchanges under way. */
int http_client_busy(const struct http_client *c);

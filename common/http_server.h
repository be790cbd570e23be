/* http_server.h: libmicrohttpd in one place: requests with streamed bodies, suspend and resume, slow senders, drain.
 * It runs inside the caller's epoll and knows no thread of its own.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "buffer.h"
#include "error.h"
#include "http_head.h"
#include "listener.h"

/* The life of a request, all on the caller's loop thread:
 *
 *   head ──▶ body* ──▶ complete ──▶ answered ──▶ done
 *     │ answer here:       │ suspend here, resume later with the answer
 *     ▼ closes             ▼
 *
 * libmicrohttpd takes an answer only in `head` (it then closes the connection, for the body is unread) or in `complete`
 * (traps 5.1); this interface offers no third place. */
struct http_server;
struct http_request;
struct MHD_Response;
struct sockaddr;
struct tls_identity;

/* An answer.  A shared one may answer any number of requests and is closed at the end by whoever made it; any other
 * answers exactly one request, which owns it from then on. */
struct reply_block;
struct http_reply {
    struct MHD_Response *response; /* NULL: no memory for it; answering with it closes the connection */
    int status;
    bool shared;
    struct reply_block *block; /* of the server's stock, or NULL */
};
struct http_reply_header {
    const char *name, *value;
};
/* The body is copied.  `headers` may be NULL, `count` is their number. */
struct http_reply http_reply_new(int status, struct bytes body, const struct http_reply_header *headers, size_t count,
                                 bool shared);
/* An answer of type application/json for a request of this server, to be handed to one: the cheap way, since it comes
 * from the server's stock.  `json` is copied. */
struct http_reply http_server_reply(struct http_server *s, int status, struct bytes json);
/* For shared replies, at the end, and for those of http_reply_new that no request was answered with.  Legal twice. */
void http_reply_close(struct http_reply *reply);

struct http_app {
    void *ctx;
    /* The headers are here.  May answer, which closes the connection once the answer is sent. */
    void (*head)(void *ctx, struct http_request *r);
    /* A piece of the body.  False: drop the connection without an answer.  NULL: bodies are thrown away. */
    bool (*body)(void *ctx, struct http_request *r, const void *data, size_t size);
    /* The request is whole: answer or suspend. */
    void (*complete)(void *ctx, struct http_request *r);
    /* The request is over, answered or not; once for each `head`.  NULL: nobody cares. */
    void (*done)(void *ctx, struct http_request *r);
    /* libmicrohttpd's parser refused a request by itself; `text` says why.  NULL: nobody cares. */
    void (*malformed)(void *ctx, const char *text);
};

enum { HTTP_HEAD_MAX_DEFAULT = 10 * 1024 };
struct http_server_settings {
    struct listener_settings listener;
    struct tls_identity *tls; /* NULL: plain HTTP; shared, see http_server_set_tls */
    int64_t connections_max;
    /* Room for a request's head, the library's notes on it included (some 70 bytes for each header), and before that
     * its read buffer; a larger head gets 431 from the library.  It clears all of it for each request, so room that
     * nobody needs costs time.  0: the default, for request lines of 8,000 bytes (RFC 9112 3). */
    int64_t head_max;
    int64_t
        header_timeout_ms;   /* from the connection's begin, TLS handshake included, to the end of its first headers */
    int64_t body_timeout_ms; /* from there to the end of the body; also for taking the answer */
    int64_t idle_timeout_ms; /* between two requests; includes the second one's headers */
};

/* Listens at once.  `app` is copied. */
struct http_server *http_server_new(const struct http_server_settings *settings, const struct http_app *app,
                                    struct error *error);
/* 0 on a Unix socket. */
int http_server_port(const struct http_server *s);
/* Connections from now on begin with this identity; those there are keep theirs.  Takes a reference of its own.  Only
 * for a server that was made with one. */
void http_server_set_tls(struct http_server *s, struct tls_identity *identity);
/* Watch it for reading ... */
int http_server_fd(const struct http_server *s);
/* ... and call http_server_run when it is readable, after any http_resume, or when this many ms have passed (-1:
 * never). */
int http_server_timeout_ms(const struct http_server *s, int64_t now_ms);
void http_server_run(struct http_server *s, int64_t now_ms);

/* "0.9.75" of the library at run time. */
const char *http_library_version(void);
int http_server_connections(const struct http_server *s);
/* Requests between `head` and `done`. */
int http_server_requests(const struct http_server *s);
/* Connections that ran out of time so far. */
int64_t http_server_timed_out(const struct http_server *s);
/* Takes in what has arrived by now (so not from inside a callback of the app), then stops listening; connections are
 * closed as soon as they have no request. */
void http_server_quiesce(struct http_server *s);
/* Every suspended request must have been resumed before, else the library ends the process (traps 5.1).  NULL is legal.
 */
void http_server_free(struct http_server *s);

const struct http_head *http_request_head(const struct http_request *r);
/* The socket's peer; AF_INET, AF_INET6 or AF_UNIX. */
const struct sockaddr *http_request_peer(const struct http_request *r);
/* The program's own data of this request; NULL in `head`. */
void *http_request_user(const struct http_request *r);
void http_request_set_user(struct http_request *r, void *user);
/* The first header of that name (any case), or data NULL; *count is how many there are (NULL: don't care). */
struct bytes http_request_header(const struct http_request *r, const char *name, size_t *count);

/* In `head` or `complete`, once. */
void http_request_answer(struct http_request *r, struct http_reply reply);
/* In `complete`: the answer comes later through http_request_resume, which may be called before `complete` returns. */
void http_request_suspend(struct http_request *r);
void http_request_resume(struct http_request *r, struct http_reply reply);

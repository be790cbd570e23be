/* http_server.c: requests, connections and their deadlines on top of libmicrohttpd in external epoll mode.
 * SPDX-License-Identifier: Apache-2.0 */
#include "http_server.h"
#include "clock.h"
#include "http_server_head.h"
#include "http_server_reply.h"
#include "log.h"
#include "text.h"
#include "tls.h"
#include <assert.h>
#include <errno.h>
#include <microhttpd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    ARRIVED_TURNS_MAX = 256,
};

enum phase {
    PHASE_HEADERS, /* the connection is new */
    PHASE_BODY,
    PHASE_WAITING, /* the request is whole; its answer is the program's business and has the program's deadline */
    PHASE_SENDING,
    PHASE_IDLE, /* between two requests */
};

/* A connection has one request at a time, so the request is part of it and its memory is used again. */
struct http_request {
    struct http_server *server;
    struct MHD_Connection *connection;
    struct http_request *prev, *next; /* all connections of the server */
    int fd;
    enum phase phase;
    int64_t deadline_ms; /* 0: none */
    bool swept;          /* its socket was shut down; only the library's close is awaited */
    bool begun, answered, suspended;
    struct http_reply reply;  /* of a resumed request, until the library asks for it */
    struct reply_block *sent; /* the library reads from it until the request is over */
    void *user;
    struct tls_identity *tls;
    struct head_reader reader;
};

struct http_server {
    struct MHD_Daemon *daemon;
    struct http_app app;
    struct http_request *connections;
    int connection_count, request_count;
    int64_t arrivals; /* connections and requests so far */
    struct listener listener;
    struct tls_identity *tls; /* for new connections; NULL: plain HTTP */
    int epoll_fd;
    size_t connection_memory;
    int64_t header_timeout_ms, body_timeout_ms, idle_timeout_ms;
    int64_t now_ms;      /* of this turn */
    int64_t next_due_ms; /* no deadline is earlier; 0: there is none */
    int64_t timed_out;
    bool quiesced;
    struct reply_stock stock;
};

/* Lets go of a reply that a request holds. */
static void request_drop_reply(struct http_request *r)
{
    if (r->reply.block)
        reply_stock_put(&r->server->stock, r->reply.block);
    else if (!r->reply.shared)
        http_reply_close(&r->reply);
    r->reply = (struct http_reply){0};
}

/* The library sends nothing of its last answer any more. */
static void request_end_sending(struct http_request *r)
{
    reply_stock_put(&r->server->stock, r->sent);
    r->sent = NULL;
}

/* ---- connections and their deadlines ---- */

static void request_set_phase(struct http_request *r, enum phase phase)
{
    struct http_server *s = r->server;
    const int64_t allowed_ms[] = {[PHASE_HEADERS] = s->header_timeout_ms,
                                  [PHASE_BODY] = s->body_timeout_ms,
                                  [PHASE_WAITING] = 0,
                                  [PHASE_SENDING] = s->body_timeout_ms,
                                  [PHASE_IDLE] = s->idle_timeout_ms};
    r->phase = phase;
    r->deadline_ms = allowed_ms[phase] > 0 ? s->now_ms + allowed_ms[phase] : 0;
    if (r->deadline_ms > 0 && (s->next_due_ms == 0 || r->deadline_ms < s->next_due_ms)) s->next_due_ms = r->deadline_ms;
}

/* The library sees the shut-down socket as closed by the peer and does the rest.  The descriptor is surely still this
 * connection's: the close is told on this very thread (notify_connection). */
static void request_sweep(struct http_request *r)
{
    if (r->swept) return;
    r->swept = true;
    r->deadline_ms = 0;
    shutdown(r->fd, SHUT_RDWR);
}

static void server_sweep(struct http_server *s)
{
    if (s->next_due_ms == 0 || s->now_ms < s->next_due_ms) return;
    s->next_due_ms = 0;
    for (struct http_request *r = s->connections; r; r = r->next) {
        if (r->deadline_ms == 0) continue;
        if (r->deadline_ms <= s->now_ms) {
            s->timed_out++;
            request_sweep(r);
            /* Should it overlook that, its own time-out is the second string: 1.0.1 once kept a connection for ever
             * whose peer had gone in the middle of a body. */
            MHD_set_connection_option(r->connection, MHD_CONNECTION_OPTION_TIMEOUT, 1U);
        } else if (s->next_due_ms == 0 || r->deadline_ms < s->next_due_ms) {
            s->next_due_ms = r->deadline_ms;
        }
    }
}

/* The library has set up the session, and does not touch it before this returns. */
static void connection_begin_tls(struct http_server *s, struct http_request *r)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(r->connection, MHD_CONNECTION_INFO_GNUTLS_SESSION);
    if (info && info->tls_session && tls_identity_serve(s->tls, info->tls_session)) r->tls = tls_identity_ref(s->tls);
}

static void connection_started(struct http_server *s, struct MHD_Connection *connection, void **socket_context)
{
    struct http_request *r = calloc(1, sizeof *r);
    *socket_context = r;
    if (!r) return; /* its requests are refused in request_of */
    r->server = s;
    r->connection = connection;
    r->fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
    head_reader_init(&r->reader, s->connection_memory);
    if (s->tls) connection_begin_tls(s, r);
    r->next = s->connections;
    if (r->next) r->next->prev = r;
    s->connections = r;
    s->connection_count++;
    s->arrivals++;
    request_set_phase(r, PHASE_HEADERS);
}

static void connection_closed(struct http_server *s, struct http_request *r)
{
    if (!r) return;
    if (r->next) r->next->prev = r->prev;
    *(r->prev ? &r->prev->next : &s->connections) = r->next;
    s->connection_count--;
    request_drop_reply(r);
    request_end_sending(r);
    head_reader_close(&r->reader);
    tls_identity_unref(r->tls);
    free(r);
}

static void notify_connection(void *ctx, struct MHD_Connection *connection, void **socket_context,
                              enum MHD_ConnectionNotificationCode code)
{
    if (code == MHD_CONNECTION_NOTIFY_STARTED)
        connection_started(ctx, connection, socket_context);
    else
        connection_closed(ctx, *socket_context);
}

static struct http_request *request_of(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info ? info->socket_context : NULL;
}

/* ---- the library's callbacks ---- */

static void *note_target(void *ctx, const char *uri, struct MHD_Connection *connection)
{
    (void)ctx;
    struct http_request *r = request_of(connection);
    if (r) head_note_target(&r->reader, uri);
    return NULL;
}

/* After a callback of the program: send what it answered, or go on. */
static enum MHD_Result request_settle(struct http_request *r)
{
    if (!r->reply.response && !r->answered) return MHD_YES;
    r->answered = true;
    request_set_phase(r, PHASE_SENDING);
    enum MHD_Result queued =
        r->reply.response ? MHD_queue_response(r->connection, (unsigned)r->reply.status, r->reply.response) : MHD_NO;
    if (queued == MHD_YES && r->reply.block) {
        r->sent = r->reply.block;
        r->reply = (struct http_reply){0};
    }
    request_drop_reply(r);
    return queued;
}

static enum MHD_Result request_begin(struct http_request *r, const char *method, const char *version)
{
    struct http_server *s = r->server;
    r->begun = true;
    r->answered = r->suspended = false;
    r->user = NULL;
    s->request_count++;
    s->arrivals++;
    head_read(&r->reader, r->connection, method, version);
    request_set_phase(r, PHASE_BODY);
    s->app.head(s->app.ctx, r);
    return request_settle(r);
}

static enum MHD_Result request_whole(struct http_request *r)
{
    struct http_server *s = r->server;
    request_set_phase(r, PHASE_WAITING);
    s->app.complete(s->app.ctx, r);
    if (r->suspended) return MHD_YES; /* even if it was resumed meanwhile: the library calls again */
    assert(r->answered);
    return request_settle(r);
}

static enum MHD_Result handle(void *ctx, struct MHD_Connection *connection, const char *url, const char *method,
                              const char *version, const char *data, size_t *size, void **context)
{
    (void)ctx, (void)url;
    struct http_request *r = request_of(connection);
    if (!r) return MHD_NO;
    if (!*context) {
        *context = r;
        return request_begin(r, method, version);
    }
    if (*size > 0) {
        const struct http_app *app = &r->server->app;
        bool wanted = !app->body || app->body(app->ctx, r, data, *size);
        *size = 0;
        return wanted ? MHD_YES : MHD_NO;
    }
    if (!r->suspended) return request_whole(r);
    r->suspended = false;
    return request_settle(r);
}

static void notify_completed(void *ctx, struct MHD_Connection *connection, void **context,
                             enum MHD_RequestTerminationCode code)
{
    (void)code;
    struct http_server *s = ctx;
    struct http_request *r = request_of(connection);
    *context = NULL;
    if (!r || !r->begun) return;
    r->begun = false;
    s->request_count--;
    if (s->app.done) s->app.done(s->app.ctx, r);
    request_drop_reply(r);
    request_end_sending(r);
    r->user = NULL;
    if (s->quiesced)
        request_sweep(r);
    else
        request_set_phase(r, PHASE_IDLE);
}

/* The parser answers what it cannot parse without calling anybody; its log is the only witness (traps 5.2). */
__attribute__((format(printf, 2, 0))) static void hear_library(void *ctx, const char *format, va_list args)
{
    struct http_server *s = ctx;
    char text[512];
    vsnprintf(text, sizeof text, format, args);
    size_t size = strlen(text);
    if (size > 0 && text[size - 1] == '\n') text[size - 1] = 0;
    if (strncmp(text, "Error processing request", strlen("Error processing request")) != 0)
        log_event(LOG_DEBUG, "http library", log_text("message", text));
    else if (s->app.malformed)
        s->app.malformed(s->app.ctx, text);
}

/* Paths are compared as they were sent. */
static size_t keep_escapes(void *ctx, struct MHD_Connection *connection, char *text)
{
    (void)ctx, (void)connection;
    return strlen(text);
}

/* ---- the server ---- */

static bool server_start(struct http_server *s, const struct http_server_settings *settings, struct error *error)
{
    const struct MHD_OptionItem tls_options[] = {
        {MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)(uintptr_t)tls_priorities},
        {MHD_OPTION_HTTPS_CERT_CALLBACK2, 0, (void *)(uintptr_t)tls_no_certificate()},
        {MHD_OPTION_END, 0, NULL},
    };
    s->daemon = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG | (s->tls ? MHD_USE_TLS : 0), 0, NULL, NULL,
        handle, s, MHD_OPTION_EXTERNAL_LOGGER, hear_library, s, MHD_OPTION_LISTEN_SOCKET, s->listener.fd,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)settings->connections_max, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        s->connection_memory, MHD_OPTION_NOTIFY_CONNECTION, notify_connection, s, MHD_OPTION_NOTIFY_COMPLETED,
        notify_completed, s, MHD_OPTION_URI_LOG_CALLBACK, note_target, s, MHD_OPTION_UNESCAPE_CALLBACK, keep_escapes,
        NULL, MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_ARRAY, s->tls ? tls_options : tls_options + 2,
        MHD_OPTION_END);
    if (!s->daemon)
        return error_set(error, ERROR_IO, "libmicrohttpd did not start on %s%s", settings->listener.listen,
                         s->tls ? " (was it built with GnuTLS?)" : "");
    s->epoll_fd = MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
    return true;
}

struct http_server *http_server_new(const struct http_server_settings *settings, const struct http_app *app,
                                    struct error *error)
{
    struct http_server *s = calloc(1, sizeof *s);
    if (!s) {
        error_set(error, ERROR_MEMORY, "no memory for the server on %s", settings->listener.listen);
        return NULL;
    }
    s->app = *app;
    s->connection_memory = settings->head_max > 0 ? (size_t)settings->head_max : HTTP_HEAD_MAX_DEFAULT;
    s->header_timeout_ms = settings->header_timeout_ms;
    s->body_timeout_ms = settings->body_timeout_ms;
    s->idle_timeout_ms = settings->idle_timeout_ms;
    s->now_ms = clock_monotonic_ms();
    s->tls = tls_identity_ref(settings->tls);
    if (!listener_open(&s->listener, &settings->listener, error)) goto no_socket;
    if (!server_start(s, settings, error)) goto no_daemon;
    return s;
no_daemon:
    listener_close(&s->listener);
no_socket:
    tls_identity_unref(s->tls);
    free(s);
    return NULL;
}

void http_server_set_tls(struct http_server *s, struct tls_identity *identity)
{
    assert(s->tls && identity);
    tls_identity_ref(identity);
    tls_identity_unref(s->tls);
    s->tls = identity;
}

const char *http_library_version(void)
{
    return MHD_get_version();
}

int http_server_port(const struct http_server *s)
{
    return s->listener.port;
}

int http_server_fd(const struct http_server *s)
{
    return s->epoll_fd;
}

int http_server_timeout_ms(const struct http_server *s, int64_t now_ms)
{
    MHD_UNSIGNED_LONG_LONG library_ms;
    int64_t wait_ms = MHD_get_timeout(s->daemon, &library_ms) == MHD_YES ? (int64_t)library_ms : -1;
    if (s->next_due_ms > 0) {
        int64_t due_ms = s->next_due_ms > now_ms ? s->next_due_ms - now_ms : 0;
        wait_ms = wait_ms < 0 || due_ms < wait_ms ? due_ms : wait_ms;
    }
    return wait_ms > 3600 * 1000 ? 3600 * 1000 : (int)wait_ms;
}

void http_server_run(struct http_server *s, int64_t now_ms)
{
    s->now_ms = now_ms;
    server_sweep(s);
    MHD_run(s->daemon);
}

int http_server_connections(const struct http_server *s)
{
    return s->connection_count;
}

int http_server_requests(const struct http_server *s)
{
    return s->request_count;
}

int64_t http_server_timed_out(const struct http_server *s)
{
    return s->timed_out;
}

/* Takes in what has arrived by now: connections in the backlog (the library accepts a few a turn) and requests in the
 * sockets' buffers.  Bounded, for more may come in all the time. */
static void server_take_arrived(struct http_server *s)
{
    int64_t before = -1;
    s->now_ms = clock_monotonic_ms();
    for (int turn = 0; turn < ARRIVED_TURNS_MAX && s->arrivals != before; turn++) {
        before = s->arrivals;
        MHD_run(s->daemon);
    }
}

void http_server_quiesce(struct http_server *s)
{
    if (s->quiesced) return;
    server_take_arrived(s);
    s->quiesced = true;
    MHD_quiesce_daemon(s->daemon);
    listener_close(&s->listener);
    for (struct http_request *r = s->connections; r; r = r->next)
        if (!r->begun) request_sweep(r);
}

void http_server_free(struct http_server *s)
{
    if (!s) return;
    if (!s->quiesced) MHD_quiesce_daemon(s->daemon); /* the socket is the listener's to close */
    MHD_stop_daemon(s->daemon);
    reply_stock_close(&s->stock);
    listener_close(&s->listener);
    tls_identity_unref(s->tls);
    free(s);
}

/* ---- requests and replies ---- */

const struct http_head *http_request_head(const struct http_request *r)
{
    return &r->reader.head;
}

const struct sockaddr *http_request_peer(const struct http_request *r)
{
    return MHD_get_connection_info(r->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS)->client_addr;
}

void *http_request_user(const struct http_request *r)
{
    return r->user;
}

void http_request_set_user(struct http_request *r, void *user)
{
    r->user = user;
}

struct bytes http_request_header(const struct http_request *r, const char *name, size_t *count)
{
    struct bytes wanted = bytes_of(name), found = {0};
    size_t n = 0;
    for (size_t i = 0; i < r->reader.head.header_count; i++) {
        const struct http_header *h = &r->reader.head.headers[i];
        if (h->name.size == wanted.size && text_equal_ignore_case(h->name, wanted)) found = n++ == 0 ? h->value : found;
    }
    if (count) *count = n;
    return found;
}

void http_request_answer(struct http_request *r, struct http_reply reply)
{
    assert(!r->answered);
    r->answered = true;
    r->reply = reply;
}

void http_request_suspend(struct http_request *r)
{
    assert(r->phase == PHASE_WAITING && !r->answered && !r->suspended);
    r->suspended = true;
    MHD_suspend_connection(r->connection);
}

void http_request_resume(struct http_request *r, struct http_reply reply)
{
    assert(r->suspended && !r->answered);
    r->answered = true;
    r->reply = reply;
    MHD_resume_connection(r->connection);
}

struct http_reply http_server_reply(struct http_server *s, int status, struct bytes json)
{
    struct reply_block *block = reply_stock_take(&s->stock, json);
    return (struct http_reply){.status = status, .response = block ? block->response : NULL, .block = block};
}

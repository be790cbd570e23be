/* test_http_tls.c: requests over TLS: nothing that is decrypted already waits, reload, old versions, slow handshakes.
 * SPDX-License-Identifier: Apache-2.0 */
#include "clock.h"
#include "http_server.h"
#include "tls.h"
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
/* cmocka wants its headers first */
#include <cmocka.h>

#include "certificates.h"

/* A turn that finds nothing ready sleeps this long.  All that the server waits for has been sent, so that one such turn
 * is the fault that is looked for: something was ready and nobody told. */
enum { IDLE_MS = 500, HELD_MAX = 8, DAY_S = 24 * 3600 };

struct bench {
    struct pem_files files;
    struct tls_identity *identity;
    struct http_server *server;
    size_t body_bytes;
    bool hold;
    struct http_request *held[HELD_MAX];
    int held_count, completes, dones, idle_turns;
};

struct client {
    int fd;
    gnutls_session_t session;
    gnutls_certificate_credentials_t credentials;
    char text[4096];
    size_t size;
};

static struct http_reply ok(void)
{
    return http_reply_new(202, bytes_of("ok"), NULL, 0, false);
}

static void on_head(void *ctx, struct http_request *r)
{
    (void)ctx, (void)r;
}

static bool on_body(void *ctx, struct http_request *r, const void *data, size_t size)
{
    (void)r, (void)data;
    ((struct bench *)ctx)->body_bytes += size;
    return true;
}

static void on_complete(void *ctx, struct http_request *r)
{
    struct bench *b = ctx;
    b->completes++;
    if (!b->hold) {
        http_request_answer(r, ok());
        return;
    }
    http_request_suspend(r);
    assert_true(b->held_count < HELD_MAX);
    b->held[b->held_count++] = r;
}

static void on_done(void *ctx, struct http_request *r)
{
    (void)r;
    ((struct bench *)ctx)->dones++;
}

static void turn(struct bench *b)
{
    int wait = http_server_timeout_ms(b->server, clock_monotonic_ms());
    struct pollfd fd = {.fd = http_server_fd(b->server), .events = POLLIN};
    b->idle_turns = poll(&fd, 1, wait < 0 || wait > IDLE_MS ? IDLE_MS : wait) == 0 && wait != 0 ? b->idle_turns + 1 : 0;
    http_server_run(b->server, clock_monotonic_ms());
}

static int setup(void **state)
{
    struct bench *b = calloc(1, sizeof *b);
    struct error error = {0};
    pem_open(&b->files);
    pem_make(&b->files, "first", time(NULL) - DAY_S, time(NULL) + 100 * DAY_S);
    b->identity = tls_identity_load(b->files.certificate, b->files.key, &error);
    if (!b->identity) fail_msg("%s", error.text);
    const struct http_server_settings settings = {.listener.listen = "127.0.0.1:0",
                                                  .tls = b->identity,
                                                  .connections_max = 64,
                                                  .header_timeout_ms = 400,
                                                  .body_timeout_ms = 5000,
                                                  .idle_timeout_ms = 5000};
    const struct http_app app = {.ctx = b, .head = on_head, .body = on_body, .complete = on_complete, .done = on_done};
    b->server = http_server_new(&settings, &app, &error);
    if (!b->server) fail_msg("%s", error.text);
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    struct bench *b = *state;
    http_server_free(b->server);
    tls_identity_unref(b->identity);
    pem_close(&b->files);
    free(b);
    return 0;
}

static int tcp_to(struct bench *b)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons((uint16_t)http_server_port(b->server))};
    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&in, sizeof in), 0);
    return fd;
}

static void client_open(struct client *c, struct bench *b, const char *priorities)
{
    c->size = 0;
    c->fd = tcp_to(b);
    assert_int_equal(fcntl(c->fd, F_SETFL, O_NONBLOCK), 0);
    assert_int_equal(gnutls_init(&c->session, GNUTLS_CLIENT | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL), 0);
    assert_int_equal(gnutls_priority_set_direct(c->session, priorities, NULL), 0);
    assert_int_equal(gnutls_certificate_allocate_credentials(&c->credentials), 0);
    assert_int_equal(gnutls_credentials_set(c->session, GNUTLS_CRD_CERTIFICATE, c->credentials), 0);
    gnutls_transport_set_int(c->session, c->fd);
}

/* 0, or why the handshake failed; drives the server meanwhile. */
static int client_shake(struct client *c, struct bench *b)
{
    for (;;) {
        int result = gnutls_handshake(c->session);
        if (result == 0 || gnutls_error_is_fatal(result)) return result;
        turn(b);
        if (b->idle_turns > 0) fail_msg("the handshake stands still");
    }
}

static void client_close(struct client *c)
{
    gnutls_deinit(c->session);
    gnutls_certificate_free_credentials(c->credentials);
    close(c->fd);
}

/* One TLS record for each 16 KiB; the server is driven while they go out. */
static void client_send(struct client *c, struct bench *b, const char *text, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t sent = gnutls_record_send(c->session, text + done, size - done);
        assert_true(sent > 0 || sent == GNUTLS_E_AGAIN);
        done += sent > 0 ? (size_t)sent : 0;
        turn(b);
    }
}

static int count_of(const char *text, const char *wanted)
{
    int count = 0;
    for (const char *at = text; (at = strstr(at, wanted)); at += strlen(wanted))
        count++;
    return count;
}

/* GnuTLS says `again` after a session ticket too, with the answer still in the socket. */
static void client_read(struct client *c)
{
    struct pollfd fd = {.fd = c->fd, .events = POLLIN};
    while (gnutls_record_check_pending(c->session) > 0 || poll(&fd, 1, 0) > 0) {
        ssize_t got = gnutls_record_recv(c->session, c->text + c->size, sizeof c->text - c->size - 1);
        if (got == 0 || (got < 0 && got != GNUTLS_E_AGAIN)) break;
        c->size += got > 0 ? (size_t)got : 0;
        c->text[c->size] = 0;
    }
}

static void client_await(struct client *c, struct bench *b, int answers)
{
    b->idle_turns = 0;
    for (;;) {
        client_read(c);
        if (c->size > 0 && count_of(c->text, "HTTP/1.1 202") >= answers) return;
        turn(b);
        if (b->idle_turns > 0)
            fail_msg("%d of %d answers, and the server waits", c->size ? count_of(c->text, "HTTP/1.1 202") : 0,
                     answers);
    }
}

static const char post[] = "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}";

/* As the loop does it: a resumed request shows in no descriptor. */
static void resume(struct bench *b, int i)
{
    http_request_resume(b->held[i], ok());
    http_server_run(b->server, clock_monotonic_ms());
}

static void a_request_is_answered(void **state)
{
    struct bench *b = *state;
    struct client c;
    client_open(&c, b, "NORMAL");
    assert_int_equal(client_shake(&c, b), 0);
    client_send(&c, b, post, strlen(post));
    client_await(&c, b, 1);
    client_send(&c, b, post, strlen(post));
    client_await(&c, b, 2);
    assert_int_equal(gnutls_protocol_get_version(c.session), GNUTLS_TLS1_3);
    client_close(&c);
}

/* Five requests in one record: decrypted at once, and no socket tells of the last four. */
static void pipelined_requests_do_not_wait(void **state)
{
    struct bench *b = *state;
    struct client c;
    char five[5 * sizeof post] = "";
    for (int i = 0; i < 5; i++)
        memcpy(five + (size_t)i * strlen(post), post, sizeof post);
    client_open(&c, b, "NORMAL");
    assert_int_equal(client_shake(&c, b), 0);
    client_send(&c, b, five, strlen(five));
    client_await(&c, b, 5);
    client_close(&c);
}

static void pipelined_requests_do_not_wait_behind_suspended_ones(void **state)
{
    struct bench *b = *state;
    struct client c;
    char five[5 * sizeof post] = "";
    for (int i = 0; i < 5; i++)
        memcpy(five + (size_t)i * strlen(post), post, sizeof post);
    b->hold = true;
    client_open(&c, b, "NORMAL");
    assert_int_equal(client_shake(&c, b), 0);
    client_send(&c, b, five, strlen(five));
    for (int i = 0; i < 5; i++) {
        b->idle_turns = 0;
        while (b->held_count <= i) {
            turn(b);
            if (b->idle_turns > 0) fail_msg("request %d of 5 is not taken up", i + 1);
        }
        http_server_run(b->server, clock_monotonic_ms()); /* nothing happens */
        resume(b, i);
        client_await(&c, b, i + 1);
    }
    turn(b);
    assert_int_equal(b->dones, 5);
    client_close(&c);
}

/* Bodies larger than a record and than the connection's buffer, each in one write, one behind the other. */
static void large_bodies_do_not_wait(void **state)
{
    enum { BODY = 200 * 1000 };
    struct bench *b = *state;
    struct client c;
    char *request = calloc(1, BODY + 256);
    int head = snprintf(request, 256, "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", BODY);
    memset(request + head, 'x', BODY);
    b->hold = true;
    client_open(&c, b, "NORMAL");
    assert_int_equal(client_shake(&c, b), 0);
    for (int i = 0; i < 3; i++) {
        client_send(&c, b, request, (size_t)head + BODY);
        while (b->held_count <= i) {
            turn(b);
            if (b->idle_turns > 0) fail_msg("the body stands still at %zu", b->body_bytes);
        }
        resume(b, i);
        client_await(&c, b, i + 1);
    }
    assert_int_equal(b->body_bytes, 3 * BODY);
    client_close(&c);
    free(request);
}

static void versions_before_1_2_are_refused(void **state)
{
    static const struct {
        const char *priorities;
        bool good;
    } rows[] = {
        {"NORMAL:-VERS-ALL:+VERS-TLS1.3", true},
        {"NORMAL:-VERS-ALL:+VERS-TLS1.2", true},
        {"NORMAL:-VERS-ALL:+VERS-TLS1.1", false},
        {"NORMAL:-VERS-ALL:+VERS-TLS1.0", false},
        {"NORMAL:-VERS-ALL:+VERS-TLS1.2:-KX-ALL:+RSA", false}, /* no forward secrecy */
    };
    struct bench *b = *state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct client c;
        client_open(&c, b, rows[i].priorities);
        assert_int_equal(client_shake(&c, b) == 0, rows[i].good);
        client_close(&c);
    }
}

static void subject_of(struct client *c, char *out, size_t room)
{
    unsigned count;
    gnutls_x509_crt_t crt;
    const gnutls_datum_t *list = gnutls_certificate_get_peers(c->session, &count);
    assert_non_null(list);
    assert_int_equal(gnutls_x509_crt_init(&crt), 0);
    assert_int_equal(gnutls_x509_crt_import(crt, &list[0], GNUTLS_X509_FMT_DER), 0);
    assert_int_equal(gnutls_x509_crt_get_dn_by_oid(crt, GNUTLS_OID_X520_COMMON_NAME, 0, 0, out, &room), 0);
    gnutls_x509_crt_deinit(crt);
}

static void a_reload_reaches_new_connections_and_leaves_old_ones(void **state)
{
    struct bench *b = *state;
    struct client before, after;
    struct error error;
    char name[64];
    client_open(&before, b, "NORMAL");
    assert_int_equal(client_shake(&before, b), 0);
    subject_of(&before, name, sizeof name);
    assert_string_equal(name, "first");
    pem_make(&b->files, "second", time(NULL) - DAY_S, time(NULL) + 100 * DAY_S);
    struct tls_identity *fresh = tls_identity_load(b->files.certificate, b->files.key, &error);
    assert_non_null(fresh);
    http_server_set_tls(b->server, fresh);
    tls_identity_unref(b->identity);
    b->identity = fresh;
    client_open(&after, b, "NORMAL");
    assert_int_equal(client_shake(&after, b), 0);
    subject_of(&after, name, sizeof name);
    assert_string_equal(name, "second");
    client_send(&before, b, post, strlen(post));
    client_await(&before, b, 1);
    client_close(&before);
    client_close(&after);
}

/* Until the server has closed `fd`. */
static int64_t ms_until_closed(struct bench *b, int fd)
{
    char text[256];
    int64_t began_ms = clock_monotonic_ms();
    while (clock_monotonic_ms() - began_ms < 5000) {
        turn(b);
        ssize_t got = recv(fd, text, sizeof text, MSG_DONTWAIT);
        if (got == 0 || (got < 0 && errno != EAGAIN)) return clock_monotonic_ms() - began_ms;
    }
    return -1;
}

static void a_handshake_that_does_not_come_is_swept(void **state)
{
    struct bench *b = *state;
    static const char begin[] = "\x16\x03\x01\x02\x00\x01"; /* a hello of 512 bytes, cut off */
    for (int half = 0; half < 2; half++) {
        int fd = tcp_to(b);
        if (half) assert_int_equal(send(fd, begin, 6, 0), 6);
        int64_t took_ms = ms_until_closed(b, fd);
        assert_in_range(took_ms, 350, 1500);
        close(fd);
    }
    assert_int_equal(http_server_timed_out(b->server), 2);
    assert_int_equal(http_server_connections(b->server), 0);
}

static void plain_http_is_closed(void **state)
{
    struct bench *b = *state;
    int fd = tcp_to(b);
    assert_int_equal(send(fd, post, strlen(post), 0), (ssize_t)strlen(post));
    assert_in_range(ms_until_closed(b, fd), 0, 500);
    assert_int_equal(b->completes, 0);
    close(fd);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_request_is_answered),
        TEST(pipelined_requests_do_not_wait),
        TEST(pipelined_requests_do_not_wait_behind_suspended_ones),
        TEST(large_bodies_do_not_wait),
        TEST(versions_before_1_2_are_refused),
        TEST(a_reload_reaches_new_connections_and_leaves_old_ones),
        TEST(a_handshake_that_does_not_come_is_swept),
        TEST(plain_http_is_closed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

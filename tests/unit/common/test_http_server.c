/* test_http_server.c: the life of a request on real sockets: head, body, complete, suspend, resume, done, drain.
 * SPDX-License-Identifier: Apache-2.0 */
#include "clock.h"
#include "http_server.h"
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

enum { WAIT_MS = 10000, HELD_MAX = 8 };

/* What the program side saw, and what it is to do. */
struct bench {
    struct http_server *server;
    int heads, completes, dones, malformed;
    size_t body_bytes;
    struct http_request *held[HELD_MAX];
    int held_count;
    bool answer_at_head, hold, resume_at_once, drop_body;
    char path[64], header[64];
    bool torn;
    size_t header_count;
};

static struct http_reply text_reply(int status, const char *text)
{
    const struct http_reply_header headers[] = {{"X-Test", "yes"}};
    return http_reply_new(status, bytes_of(text), headers, 1, false);
}

static void on_head(void *ctx, struct http_request *r)
{
    struct bench *b = ctx;
    const struct http_head *h = http_request_head(r);
    size_t count;
    struct bytes value = http_request_header(r, "x-TEST", &count);
    b->heads++;
    b->torn = h->torn;
    b->header_count = count;
    snprintf(b->path, sizeof b->path, "%.*s", (int)h->path.size, (const char *)h->path.data);
    snprintf(b->header, sizeof b->header, "%.*s", (int)value.size, (const char *)value.data);
    assert_null(http_request_user(r));
    http_request_set_user(r, b);
    if (b->answer_at_head) http_request_answer(r, text_reply(413, "no"));
}

static bool on_body(void *ctx, struct http_request *r, const void *data, size_t size)
{
    struct bench *b = ctx;
    assert_ptr_equal(http_request_user(r), b);
    assert_non_null(data);
    b->body_bytes += size;
    return !b->drop_body;
}

static void on_complete(void *ctx, struct http_request *r)
{
    struct bench *b = ctx;
    b->completes++;
    if (!b->hold) {
        http_request_answer(r, text_reply(200, "done"));
        return;
    }
    http_request_suspend(r);
    if (b->resume_at_once)
        http_request_resume(r, text_reply(202, "at once"));
    else if (b->held_count < HELD_MAX)
        b->held[b->held_count++] = r;
}

static void on_done(void *ctx, struct http_request *r)
{
    struct bench *b = ctx;
    assert_ptr_equal(http_request_user(r), b);
    b->dones++;
}

static void on_malformed(void *ctx, const char *text)
{
    struct bench *b = ctx;
    assert_non_null(strstr(text, "4"));
    b->malformed++;
}

static void turn(struct bench *b)
{
    int64_t now_ms = clock_monotonic_ms();
    int wait = http_server_timeout_ms(b->server, now_ms);
    struct pollfd fd = {.fd = http_server_fd(b->server), .events = POLLIN};
    poll(&fd, 1, wait < 0 || wait > 20 ? 20 : wait);
    http_server_run(b->server, clock_monotonic_ms());
}

static int connect_to(struct bench *b)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons((uint16_t)http_server_port(b->server))};
    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&in, sizeof in), 0);
    return fd;
}

static void send_text(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

/* Serves until `wanted` stands in what came back, or the connection is closed ("" waits for that). */
static bool receive(struct bench *b, int fd, const char *wanted, char *out, size_t room)
{
    size_t size = 0;
    int64_t until_ms = clock_monotonic_ms() + WAIT_MS;
    out[0] = 0;
    while (clock_monotonic_ms() < until_ms && size + 1 < room) {
        turn(b);
        ssize_t got = recv(fd, out + size, room - size - 1, MSG_DONTWAIT);
        if (got == 0 || (got < 0 && errno != EAGAIN)) return wanted[0] == 0;
        size += got > 0 ? (size_t)got : 0;
        out[size] = 0;
        if (wanted[0] && strstr(out, wanted)) return true;
    }
    return false;
}

static void wait_for(struct bench *b, const int *counter, int value)
{
    int64_t until_ms = clock_monotonic_ms() + WAIT_MS;
    while (*counter < value && clock_monotonic_ms() < until_ms)
        turn(b);
    assert_int_equal(*counter, value);
}

static int setup(void **state)
{
    struct bench *b = calloc(1, sizeof *b);
    struct error error;
    const struct http_server_settings settings = {.listener.listen = "127.0.0.1:0",
                                                  .connections_max = 16,
                                                  .header_timeout_ms = 300,
                                                  .body_timeout_ms = 300,
                                                  .idle_timeout_ms = 300};
    const struct http_app app = {.ctx = b,
                                 .head = on_head,
                                 .body = on_body,
                                 .complete = on_complete,
                                 .done = on_done,
                                 .malformed = on_malformed};
    *state = b;
    b->server = http_server_new(&settings, &app, &error);
    if (!b->server) fail_msg("%s", error.text);
    return 0;
}

static int teardown(void **state)
{
    struct bench *b = *state;
    http_server_free(b->server);
    assert_int_equal(b->heads, b->dones);
    free(b);
    return 0;
}

static const char get[] = "GET /a?b=%41 HTTP/1.1\r\nHost: a\r\nX-Test: 1\r\nx-test: 2\r\n\r\n";
static const char post[] = "POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello";

static void a_request_is_answered_and_the_connection_kept(void **state)
{
    struct bench *b = *state;
    char text[2048];
    int fd = connect_to(b);
    for (int i = 1; i <= 3; i++) {
        send_text(fd, get);
        assert_true(receive(b, fd, "done", text, sizeof text));
        assert_non_null(strstr(text, "HTTP/1.1 200 "));
        assert_non_null(strstr(text, "X-Test: yes"));
        assert_string_equal(b->path, "/a");
        assert_string_equal(b->header, "1");
        assert_int_equal(b->header_count, 2);
        assert_false(b->torn);
        wait_for(b, &b->dones, i);
    }
    send_text(fd, post);
    assert_true(receive(b, fd, "done", text, sizeof text));
    assert_int_equal(b->body_bytes, 5);
    assert_int_equal(http_server_connections(b->server), 1);
    close(fd);
}

static void an_answer_at_the_head_closes(void **state)
{
    struct bench *b = *state;
    char text[2048];
    b->answer_at_head = true;
    int fd = connect_to(b);
    send_text(fd, "POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\n\r\n");
    assert_true(receive(b, fd, "", text, sizeof text));
    assert_non_null(strstr(text, "HTTP/1.1 413 "));
    assert_int_equal(b->completes, 0);
    assert_int_equal(b->body_bytes, 0);
    close(fd);
}

static void a_dropped_body_closes_without_an_answer(void **state)
{
    struct bench *b = *state;
    char text[2048];
    b->drop_body = true;
    int fd = connect_to(b);
    send_text(fd, post);
    assert_true(receive(b, fd, "", text, sizeof text));
    assert_string_equal(text, "");
    wait_for(b, &b->dones, 1);
    close(fd);
}

static void suspended_requests_wait_for_their_answers(void **state)
{
    struct bench *b = *state;
    char text[2048];
    int fds[3];
    b->hold = true;
    for (int i = 0; i < 3; i++) {
        fds[i] = connect_to(b);
        send_text(fds[i], post);
        wait_for(b, &b->held_count, i + 1);
    }
    assert_int_equal(http_server_requests(b->server), 3);
    /* In another order than they came, one after its connection's time-outs would have passed. */
    http_request_resume(b->held[2], text_reply(202, "third"));
    assert_true(receive(b, fds[2], "third", text, sizeof text));
    http_request_resume(b->held[0], text_reply(503, "first"));
    assert_true(receive(b, fds[0], "first", text, sizeof text));
    assert_non_null(strstr(text, "HTTP/1.1 503 "));
    int64_t until_ms = clock_monotonic_ms() + 700;
    while (clock_monotonic_ms() < until_ms)
        turn(b);
    http_request_resume(b->held[1], text_reply(202, "second"));
    assert_true(receive(b, fds[1], "second", text, sizeof text));
    for (int i = 0; i < 3; i++)
        close(fds[i]);
}

static void a_resume_inside_the_call_works(void **state)
{
    struct bench *b = *state;
    char text[2048];
    b->hold = b->resume_at_once = true;
    int fd = connect_to(b);
    for (int i = 0; i < 3; i++) {
        send_text(fd, post);
        assert_true(receive(b, fd, "at once", text, sizeof text));
    }
    close(fd);
}

static void an_answer_to_a_sender_that_left_is_harmless(void **state)
{
    struct bench *b = *state;
    b->hold = true;
    int fd = connect_to(b);
    send_text(fd, post);
    wait_for(b, &b->held_count, 1);
    close(fd);
    for (int i = 0; i < 10; i++)
        turn(b);
    http_request_resume(b->held[0], text_reply(202, "nobody"));
    wait_for(b, &b->dones, 1);
}

static void slow_senders_are_closed(void **state)
{
    struct bench *b = *state;
    char text[2048];
    const char *const starts[] = {"", "POST /p HT", "POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe", get};
    for (size_t i = 0; i < sizeof starts / sizeof starts[0]; i++) {
        int fd = connect_to(b);
        int64_t begin_ms = clock_monotonic_ms();
        send_text(fd, starts[i]);
        assert_true(receive(b, fd, "", text, sizeof text));
        assert_in_range(clock_monotonic_ms() - begin_ms, 250, 2000);
        close(fd);
    }
    assert_int_equal(http_server_timed_out(b->server), 4);
}

static void the_parser_own_refusals_are_heard(void **state)
{
    struct bench *b = *state;
    char text[4096];
    int fd = connect_to(b);
    send_text(fd, "POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n");
    assert_true(receive(b, fd, "", text, sizeof text));
    assert_int_equal(b->malformed, 1);
    assert_int_equal(b->heads, 0);
    close(fd);
}

static void torn_heads_are_seen(void **state)
{
    struct bench *b = *state;
    char text[2048];
    if (strncmp(http_library_version(), "0.9.", 4) != 0)
        skip(); /* later versions refuse these themselves: the raw-socket tests hold them to it */
    const char *const heads[] = {
        "GET / HTTP/1.1\r\nHost: a\r\nX-A: 1\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nX-A: 1\r\n 2\r\nX-B: 3\r\n\r\n",
        "GET / HTTP/1.1\nHost: a\r\n\r\n",           "GET / HTTP/1.1\r\nHost: a\r\nX-A: 1\nX-B: 2\r\n\r\n",
        "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++) {
        int fd = connect_to(b);
        b->torn = false;
        send_text(fd, heads[i]);
        receive(b, fd, "done", text, sizeof text);
        /* A bare LF as the very last header end cannot be told from CRLF: two NULs stand there as well. */
        assert_int_equal(b->torn, i > 0);
        close(fd);
    }
}

static void the_drain_answers_everyone_and_closes(void **state)
{
    struct bench *b = *state;
    char text[2048];
    int idle = connect_to(b), busy = connect_to(b);
    send_text(idle, get);
    assert_true(receive(b, idle, "done", text, sizeof text));
    b->hold = true;
    send_text(busy, post);
    wait_for(b, &b->held_count, 1);
    http_server_quiesce(b->server);
    assert_true(receive(b, idle, "", text, sizeof text));
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons((uint16_t)http_server_port(b->server))};
    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int late = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_not_equal(connect(late, (struct sockaddr *)&in, sizeof in), 0);
    http_request_resume(b->held[0], text_reply(202, "last"));
    assert_true(receive(b, busy, "", text, sizeof text));
    assert_non_null(strstr(text, "last"));
    int64_t until_ms = clock_monotonic_ms() + WAIT_MS;
    while (http_server_connections(b->server) > 0 && clock_monotonic_ms() < until_ms)
        turn(b);
    assert_int_equal(http_server_connections(b->server), 0);
    assert_int_equal(http_server_requests(b->server), 0);
    close(idle);
    close(busy);
    close(late);
}

static void an_impossible_address_is_an_error(void **state)
{
    (void)state;
    struct error error;
    const struct http_app app = {.head = on_head, .complete = on_complete};
    struct http_server_settings settings = {.listener.listen = "nowhere", .connections_max = 1};
    assert_null(http_server_new(&settings, &app, &error));
    assert_int_equal(error.code, ERROR_INVALID);
    settings.listener.listen = "192.0.2.1:80";
    assert_null(http_server_new(&settings, &app, &error));
    assert_non_null(strstr(error.text, "192.0.2.1:80"));
}

/* Answers of the stock: each request gets its own text, whatever others of that size are under way or were before. */
static void answers_from_the_stock_are_each_requests_own(void **state)
{
    struct bench *b = *state;
    char text[64], out[1024];
    int fds[HELD_MAX];
    b->hold = true;
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < HELD_MAX; i++) {
            fds[i] = connect_to(b);
            send_text(fds[i], post);
            wait_for(b, &b->held_count, i + 1);
        }
        for (int i = 0; i < HELD_MAX; i++) { /* all of one size, and all before the first is sent */
            snprintf(text, sizeof text, "{\"n\":%d%d}", round, i);
            http_request_resume(b->held[i], http_server_reply(b->server, 202, bytes_of(text)));
        }
        for (int i = 0; i < HELD_MAX; i++) {
            snprintf(text, sizeof text, "\r\n\r\n{\"n\":%d%d}", round, i);
            assert_true(receive(b, fds[i], text, out, sizeof out));
            assert_non_null(strstr(out, "HTTP/1.1 202 "));
            assert_non_null(strstr(out, "Content-Type: application/json\r\n"));
            assert_non_null(strstr(out, "Content-Length: 8\r\n"));
            close(fds[i]);
        }
        b->held_count = 0;
    }
}

/* A peer that has gone takes nobody's answer along, and an answer beyond the stock's sizes is one like any other. */
static void answers_from_the_stock_survive_their_peers(void **state)
{
    struct bench *b = *state;
    char large[2048], out[4096];
    b->hold = true;
    memset(large, 'x', sizeof large - 1);
    large[sizeof large - 1] = 0;
    for (int round = 0; round < 3; round++) {
        int gone = connect_to(b), here = connect_to(b), dones = b->dones;
        send_text(gone, post);
        wait_for(b, &b->held_count, 1);
        send_text(here, post);
        wait_for(b, &b->held_count, 2);
        close(gone);
        http_request_resume(b->held[0], http_server_reply(b->server, 202, bytes_of("{\"gone\":1}")));
        http_request_resume(b->held[1], http_server_reply(b->server, 202, bytes_of(large)));
        assert_true(receive(b, here, "xxxx", out, sizeof out));
        while (strlen(strstr(out, "\r\n\r\n") + 4) < sizeof large - 1)
            assert_true(receive(b, here, "x", out + strlen(out), sizeof out - strlen(out)));
        assert_string_equal(strstr(out, "\r\n\r\n") + 4, large);
        wait_for(b, &b->dones, dones + 2);
        close(here);
        b->held_count = 0;
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_request_is_answered_and_the_connection_kept),
        TEST(an_answer_at_the_head_closes),
        TEST(a_dropped_body_closes_without_an_answer),
        TEST(suspended_requests_wait_for_their_answers),
        TEST(a_resume_inside_the_call_works),
        TEST(an_answer_to_a_sender_that_left_is_harmless),
        TEST(slow_senders_are_closed),
        TEST(the_parser_own_refusals_are_heard),
        TEST(torn_heads_are_seen),
        TEST(the_drain_answers_everyone_and_closes),
        TEST(answers_from_the_stock_are_each_requests_own),
        TEST(answers_from_the_stock_survive_their_peers),
        cmocka_unit_test(an_impossible_address_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

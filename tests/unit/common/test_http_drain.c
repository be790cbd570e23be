/* test_http_drain.c: the end of a server: what was sent in time has its answer, the rest finds nobody.
 * SPDX-License-Identifier: Apache-2.0 */
#include "clock.h"
#include "http_server.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
/* cmocka wants its headers first */
#include <cmocka.h>

enum { CLIENTS = 60 };

struct counts {
    int heads, done;
    struct http_request *waiting; /* suspended, in this test at most one */
    bool suspend;
};

static void on_head(void *ctx, struct http_request *r)
{
    (void)r;
    ((struct counts *)ctx)->heads++;
}

static void on_complete(void *ctx, struct http_request *r)
{
    struct counts *c = ctx;
    if (c->suspend && !c->waiting) {
        c->waiting = r;
        http_request_suspend(r);
        return;
    }
    http_request_answer(r, http_reply_new(200, bytes_of("hello"), NULL, 0, false));
}

static void on_done(void *ctx, struct http_request *r)
{
    (void)r;
    ((struct counts *)ctx)->done++;
}

static struct http_server *server_of(struct counts *counts)
{
    struct error error = {0};
    const struct http_server_settings settings = {.listener.listen = "127.0.0.1:0",
                                                  .connections_max = 256,
                                                  .header_timeout_ms = 5000,
                                                  .body_timeout_ms = 5000,
                                                  .idle_timeout_ms = 5000};
    const struct http_app app = {.ctx = counts, .head = on_head, .complete = on_complete, .done = on_done};
    struct http_server *s = http_server_new(&settings, &app, &error);
    if (!s) fail_msg("%s", error.text);
    return s;
}

static int try_connect(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    address.sin_port = htons((uint16_t)port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0) return fd;
    close(fd);
    return -1;
}

static int client_of(const struct http_server *s)
{
    int fd = try_connect(http_server_port(s));
    assert_true(fd >= 0);
    return fd;
}

static void send_request(int fd)
{
    static const char request[] = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}";
    assert_int_equal(send(fd, request, sizeof request - 1, MSG_NOSIGNAL), (ssize_t)sizeof request - 1);
}

static void run(struct http_server *s)
{
    for (int turn = 0; turn < 20; turn++)
        http_server_run(s, clock_monotonic_ms());
}

/* What the client sees by now: 1 an answer, 0 the end, -1 nothing yet. */
static int look(int fd)
{
    char text[1024];
    ssize_t got = recv(fd, text, sizeof text - 1, MSG_DONTWAIT);
    if (got < 0) return errno == EAGAIN ? -1 : 0;
    text[got] = 0;
    return got > 0 && strncmp(text, "HTTP/1.1 200 ", 13) == 0 && strstr(text, "hello") ? 1 : 0;
}

static void what_was_sent_before_the_end_is_answered(void **state)
{
    (void)state;
    struct counts counts = {0};
    struct http_server *s = server_of(&counts);
    int kept[CLIENTS], fresh[CLIENTS];
    for (int i = 0; i < CLIENTS; i++) {
        kept[i] = client_of(s);
        send_request(kept[i]);
    }
    run(s);
    for (int i = 0; i < CLIENTS; i++) {
        assert_int_equal(look(kept[i]), 1);
        send_request(kept[i]); /* lies in the socket's buffer ... */
        fresh[i] = client_of(s);
        send_request(fresh[i]); /* ... or in that of a connection nobody has accepted yet */
    }
    http_server_quiesce(s);
    run(s);
    for (int i = 0; i < CLIENTS; i++) {
        assert_int_equal(look(kept[i]), 1);
        assert_int_equal(look(fresh[i]), 1);
        assert_int_equal(look(kept[i]), 0);
        assert_int_equal(look(fresh[i]), 0);
        close(kept[i]);
        close(fresh[i]);
    }
    assert_int_equal(counts.heads, 3 * CLIENTS);
    assert_int_equal(counts.done, 3 * CLIENTS);
    run(s);
    assert_int_equal(http_server_connections(s), 0);
    http_server_free(s);
}

static void idle_connections_are_closed_and_new_ones_refused(void **state)
{
    (void)state;
    struct counts counts = {0};
    struct http_server *s = server_of(&counts);
    int silent = client_of(s), used = client_of(s);
    send_request(used);
    run(s);
    assert_int_equal(look(used), 1);
    assert_int_equal(look(used), -1); /* kept alive */
    assert_int_equal(look(silent), -1);
    int port = http_server_port(s);
    http_server_quiesce(s);
    run(s);
    assert_int_equal(look(used), 0);
    assert_int_equal(look(silent), 0);
    assert_int_equal(http_server_connections(s), 0);
    assert_int_equal(try_connect(port), -1);
    close(silent);
    close(used);
    http_server_free(s);
}

static void a_suspended_request_outlives_the_end_of_listening(void **state)
{
    (void)state;
    struct counts counts = {.suspend = true};
    struct http_server *s = server_of(&counts);
    int fd = client_of(s);
    send_request(fd);
    run(s);
    assert_non_null(counts.waiting);
    http_server_quiesce(s);
    run(s);
    assert_int_equal(look(fd), -1);
    assert_int_equal(http_server_requests(s), 1);
    http_request_resume(counts.waiting, http_reply_new(200, bytes_of("hello"), NULL, 0, false));
    run(s);
    assert_int_equal(look(fd), 1);
    assert_int_equal(look(fd), 0);
    assert_int_equal(http_server_requests(s), 0);
    close(fd);
    http_server_free(s);
    http_server_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_sent_before_the_end_is_answered),
        cmocka_unit_test(idle_connections_are_closed_and_new_ones_refused),
        cmocka_unit_test(a_suspended_request_outlives_the_end_of_listening),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

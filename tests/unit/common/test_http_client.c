/* test_http_client.c: exchanges against a small server of our own: bounded, with deadlines, over kept connections.
 * SPDX-License-Identifier: Apache-2.0 */
#include "clock.h"
#include "http_client.h"
#include "text.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
/* cmocka wants its headers first */
#include <cmocka.h>

/* The server: one thread per connection; the path says how it answers. */
static int listener = -1;
static unsigned port;
static pthread_t acceptor;
static atomic_int connections;

static void send_text(int fd, const char *text, size_t size)
{
    while (size > 0) {
        ssize_t sent = send(fd, text, size, MSG_NOSIGNAL);
        if (sent <= 0) return;
        text += sent;
        size -= (size_t)sent;
    }
}

static void answer(int fd, const char *status, const char *body, size_t size)
{
    char head[256];
    int length = snprintf(head, sizeof head, "HTTP/1.1 %s\r\nContent-Length: %zu\r\n\r\n", status, size);
    send_text(fd, head, (size_t)length);
    send_text(fd, body, size);
}

static size_t declared_length(const char *request)
{
    int64_t length = 0;
    const char *at = strstr(request, "Content-Length: ");
    if (!at) return 0;
    at += strlen("Content-Length: ");
    assert_true(text_parse_int64((struct bytes){(const uint8_t *)at, strcspn(at, "\r")}, 0, 4096, &length));
    return (size_t)length;
}

/* Reads one request with its body; false at the end of the connection. */
static bool read_request(int fd, char *request, size_t room)
{
    size_t size = 0, wanted = 0;
    for (;;) {
        request[size] = 0;
        const char *end = strstr(request, "\r\n\r\n");
        if (end) wanted = (size_t)(end + 4 - request) + declared_length(request);
        if (end && size >= wanted) return true;
        ssize_t got = recv(fd, request + size, room - size - 1, 0);
        if (got <= 0) return false;
        size += (size_t)got;
    }
}

static void answer_request(int fd, const char *request)
{
    static char flood[100000];
    if (strstr(request, " /echo ")) answer(fd, "200 OK", request, strlen(request));
    if (strstr(request, " /refuse ")) answer(fd, "503 Service Unavailable", "later", 5);
    if (strstr(request, " /move ")) answer(fd, "302 Found\r\nLocation: /echo", "", 0);
    if (strstr(request, " /exact ")) answer(fd, "200 OK", flood, HTTP_CLIENT_ANSWER_MAX);
    if (strstr(request, " /flood ")) answer(fd, "200 OK", flood, sizeof flood);
    if (strstr(request, " /garbage ")) send_text(fd, "nonsense\r\n\r\n", 12);
    if (strstr(request, " /cut ")) send_text(fd, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", 42);
    if (strstr(request, " /slow ")) {
        usleep(200000);
        answer(fd, "200 OK", "slow", 4);
    }
    if (strstr(request, " /garbage ") || strstr(request, " /cut ")) shutdown(fd, SHUT_RDWR);
}

static void *serve(void *ctx)
{
    int fd = *(int *)ctx;
    char request[4096];
    free(ctx);
    while (read_request(fd, request, sizeof request))
        answer_request(fd, request); /* "/silent" gets none */
    close(fd);
    return NULL;
}

static void *accept_all(void *ctx)
{
    (void)ctx;
    for (;;) {
        pthread_t thread;
        int *fd = malloc(sizeof *fd);
        *fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (*fd < 0) {
            free(fd);
            return NULL;
        }
        atomic_fetch_add(&connections, 1);
        pthread_create(&thread, NULL, serve, fd);
        pthread_detach(thread);
    }
}

static const char *url_of(const char *path)
{
    static char url[8][128];
    static int turn;
    char *room = url[turn++ % 8];
    snprintf(room, sizeof url[0], "http://127.0.0.1:%u%s", port, path);
    return room;
}

static struct http_client *client_of(int parallel)
{
    struct error error;
    struct http_client *c = http_client_new(parallel, &error);
    assert_non_null(c);
    return c;
}

static void an_exchange_carries_method_headers_and_body(void **state)
{
    (void)state;
    static const char *const headers[] = {"X-One: 1", "Content-Type: application/json", NULL};
    static const char *const methods[] = {"GET", "POST", "PUT", "DELETE"};
    struct http_client *c = client_of(1);
    for (size_t i = 0; i < 4; i++) {
        bool with_body = i == 1 || i == 2;
        struct http_exchange x = {.method = methods[i], .url = url_of("/echo"), .headers = headers, .timeout_ms = 5000};
        if (with_body) x.body = bytes_of("{\"a\":1}");
        assert_true(http_client_call(c, &x));
        assert_int_equal(x.status, 200);
        assert_int_equal(x.error.code, ERROR_NONE);
        const char *seen = buffer_cstr(&x.answer);
        assert_memory_equal(seen, methods[i], strlen(methods[i]));
        assert_non_null(strstr(seen, "\r\nX-One: 1\r\n"));
        assert_non_null(strstr(seen, "\r\nUser-Agent: drawbridge/"));
        assert_null(strstr(seen, "Expect:"));
        assert_int_equal(strstr(seen, "\r\n\r\n{\"a\":1}") != NULL, with_body);
        buffer_close(&x.answer);
    }
    struct http_exchange empty = {.method = "POST", .url = url_of("/echo"), .timeout_ms = 5000};
    assert_true(http_client_call(c, &empty));
    assert_non_null(strstr(buffer_cstr(&empty.answer), "\r\nContent-Length: 0\r\n"));
    buffer_close(&empty.answer);
    http_client_free(c);
}

static void any_status_is_an_answer_and_no_redirect_is_followed(void **state)
{
    (void)state;
    struct http_client *c = client_of(1);
    struct http_exchange x = {.method = "POST", .url = url_of("/refuse"), .timeout_ms = 5000};
    assert_true(http_client_call(c, &x));
    assert_int_equal(x.status, 503);
    assert_string_equal(buffer_cstr(&x.answer), "later");
    buffer_close(&x.answer);
    x.url = url_of("/move");
    assert_true(http_client_call(c, &x));
    assert_int_equal(x.status, 302);
    buffer_close(&x.answer);
    http_client_free(c);
}

static void connections_are_kept(void **state)
{
    (void)state;
    struct http_client *c = client_of(1);
    int before = atomic_load(&connections);
    for (int i = 0; i < 20; i++) {
        /* not a refusal: libcurl 8 may give up the connection of an error that comes before it has noted its own end */
        struct http_exchange x = {.method = "POST", .url = url_of("/echo"), .timeout_ms = 5000};
        assert_true(http_client_call(c, &x));
        buffer_close(&x.answer);
    }
    assert_int_equal(atomic_load(&connections), before + 1);
    http_client_free(c);
}

static void expect_failure(const char *url, int64_t timeout_ms, enum error_code code)
{
    struct http_client *c = client_of(1);
    struct http_exchange x = {.method = "GET", .url = url, .timeout_ms = timeout_ms};
    int64_t start_ms = clock_monotonic_ms();
    assert_false(http_client_call(c, &x));
    assert_int_equal(x.status, 0);
    if (x.error.code != code) fail_msg("%s: %s", url, x.error.text);
    assert_true(strlen(x.error.text) > 0);
    assert_true(clock_monotonic_ms() - start_ms < timeout_ms + 2000);
    assert_int_equal(http_client_busy(c), 0);
    buffer_close(&x.answer);
    http_client_free(c);
}

static void failures_are_classed(void **state)
{
    (void)state;
    char closed[64];
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0); /* bound, never listening: nobody is there */
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    snprintf(closed, sizeof closed, "http://127.0.0.1:%u/", ntohs(address.sin_port));
    expect_failure(closed, 2000, ERROR_UNAVAILABLE);
    close(fd);
    expect_failure(url_of("/silent"), 300, ERROR_TIMED_OUT);
    expect_failure(url_of("/cut"), 2000, ERROR_UNAVAILABLE);
    expect_failure(url_of("/flood"), 5000, ERROR_TOO_LARGE);
    expect_failure("http://", 1000, ERROR_INVALID);
    expect_failure("file:///etc/passwd", 1000, ERROR_INVALID);
    expect_failure("no-such-scheme://x/", 1000, ERROR_INVALID);
    expect_failure(url_of("/garbage"), 2000, ERROR_INVALID);
}

static void an_answer_of_the_maximum_passes(void **state)
{
    (void)state;
    struct http_client *c = client_of(1);
    struct http_exchange x = {.method = "GET", .url = url_of("/exact"), .timeout_ms = 5000};
    assert_true(http_client_call(c, &x));
    assert_int_equal(buffer_view(&x.answer).size, HTTP_CLIENT_ANSWER_MAX);
    buffer_close(&x.answer);
    http_client_free(c);
}

static void exchanges_run_side_by_side(void **state)
{
    (void)state;
    enum { COUNT = 8 };
    struct http_client *c = client_of(COUNT);
    struct http_exchange x[COUNT + 1], *done;
    struct error error;
    bool seen[COUNT] = {false};
    int64_t start_ms = clock_monotonic_ms();
    for (int i = 0; i <= COUNT; i++) {
        x[i] = (struct http_exchange){.method = "GET", .url = url_of("/slow"), .timeout_ms = 5000};
        assert_int_equal(http_client_start(c, &x[i], &error), i < COUNT);
    }
    assert_int_equal(error.code, ERROR_UNAVAILABLE);
    assert_null(http_client_next(c, 1));
    for (int i = 0; i < COUNT; i++) {
        done = http_client_next(c, 5000);
        assert_non_null(done);
        assert_int_equal(done->status, 200);
        assert_true(done->duration_us >= 200000);
        assert_false(seen[done - x]);
        seen[done - x] = true;
        buffer_close(&done->answer);
    }
    assert_null(http_client_next(c, 5000)); /* at once: none is under way */
    assert_true(clock_monotonic_ms() - start_ms < 8 * 200);
    http_client_free(c);
}

static void a_client_may_go_while_exchanges_are_under_way(void **state)
{
    (void)state;
    struct http_client *c = client_of(2);
    struct error error;
    struct http_exchange x = {.method = "GET", .url = url_of("/silent"), .timeout_ms = 5000};
    assert_true(http_client_start(c, &x, &error));
    assert_null(http_client_next(c, 50));
    http_client_free(c);
    buffer_close(&x.answer);
    http_client_free(NULL);
}

static int set_up(void **state)
{
    (void)state;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, size) != 0 || listen(listener, 64) != 0) return -1;
    if (getsockname(listener, (struct sockaddr *)&address, &size) != 0) return -1;
    port = ntohs(address.sin_port);
    return pthread_create(&acceptor, NULL, accept_all, NULL);
}

static int tear_down(void **state)
{
    (void)state;
    shutdown(listener, SHUT_RDWR);
    pthread_join(acceptor, NULL);
    close(listener);
    usleep(50000); /* the connection threads see their ends */
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_exchange_carries_method_headers_and_body),
        cmocka_unit_test(any_status_is_an_answer_and_no_redirect_is_followed),
        cmocka_unit_test(connections_are_kept),
        cmocka_unit_test(failures_are_classed),
        cmocka_unit_test(an_answer_of_the_maximum_passes),
        cmocka_unit_test(exchanges_run_side_by_side),
        cmocka_unit_test(a_client_may_go_while_exchanges_are_under_way),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

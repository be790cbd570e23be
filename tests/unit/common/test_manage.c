/* test_manage.c: the three pages, readiness with its reason, and what is refused.
 * SPDX-License-Identifier: Apache-2.0 */
#include "clock.h"
#include "manage.h"
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

enum { WAIT_MS = 10000 };

static const struct metric_def defs[] = {{"queue_bytes", NULL, METRIC_GAUGE, "Bytes."}};

struct bench {
    struct metrics *metrics;
    struct manage *manage;
    bool ready;
    int refreshed;
};

static bool is_ready(void *ctx, struct buffer *why_not)
{
    struct bench *b = ctx;
    if (!b->ready) buffer_text(why_not, "Kafka is away");
    return b->ready;
}

static void refresh(void *ctx)
{
    struct bench *b = ctx;
    metrics_set(b->metrics, 0, ++b->refreshed);
}

static void ask(struct bench *b, const char *request, char *out, size_t room)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons((uint16_t)manage_port(b->manage))};
    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&in, sizeof in), 0);
    assert_int_equal(send(fd, request, strlen(request), MSG_NOSIGNAL), (ssize_t)strlen(request));
    size_t size = 0;
    int64_t until_ms = clock_monotonic_ms() + WAIT_MS;
    for (;;) {
        struct pollfd watched = {.fd = manage_fd(b->manage), .events = POLLIN};
        int wait = manage_timeout_ms(b->manage);
        poll(&watched, 1, wait < 0 || wait > 20 ? 20 : wait);
        manage_run(b->manage);
        ssize_t got = recv(fd, out + size, room - size - 1, MSG_DONTWAIT);
        if (got == 0 || (got < 0 && errno != EAGAIN) || clock_monotonic_ms() > until_ms) break;
        size += got > 0 ? (size_t)got : 0;
    }
    out[size] = 0;
    assert_true(clock_monotonic_ms() <= until_ms);
    close(fd);
}

static int setup(void **state)
{
    struct bench *b = calloc(1, sizeof *b);
    struct error error;
    *state = b;
    b->metrics = metrics_new(defs, 1);
    b->manage = manage_start("127.0.0.1:0", b->metrics,
                             (struct manage_hooks){.ready = is_ready, .refresh = refresh, .ctx = b}, &error);
    if (!b->manage) fail_msg("%s", error.text);
    return 0;
}

static int teardown(void **state)
{
    struct bench *b = *state;
    manage_stop(b->manage);
    metrics_free(b->metrics);
    free(b);
    return 0;
}

#define REQUEST(method, path) method " " path " HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"

static void pages(void **state)
{
    struct bench *b = *state;
    char text[4096];
    ask(b, REQUEST("GET", "/healthz"), text, sizeof text);
    assert_non_null(strstr(text, " 200 "));
    ask(b, REQUEST("GET", "/readyz"), text, sizeof text);
    assert_non_null(strstr(text, " 503 "));
    assert_non_null(strstr(text, "\r\n\r\nKafka is away\n"));
    b->ready = true;
    ask(b, REQUEST("GET", "/readyz?verbose"), text, sizeof text);
    assert_non_null(strstr(text, " 200 "));
    assert_non_null(strstr(text, "\r\n\r\nready\n"));
    ask(b, REQUEST("GET", "/metrics"), text, sizeof text);
    assert_non_null(strstr(text, "text/plain; version=0.0.4"));
    assert_non_null(strstr(text, "\nqueue_bytes 1\n"));
    ask(b, REQUEST("GET", "/metrics"), text, sizeof text);
    assert_non_null(strstr(text, "\nqueue_bytes 2\n"));
    ask(b, REQUEST("HEAD", "/healthz"), text, sizeof text);
    assert_non_null(strstr(text, " 200 "));
    assert_null(strstr(text, "\r\n\r\nok"));
}

static void refusals(void **state)
{
    struct bench *b = *state;
    char text[4096];
    ask(b, REQUEST("GET", "/"), text, sizeof text);
    assert_non_null(strstr(text, " 404 "));
    ask(b, REQUEST("GET", "/metrics/"), text, sizeof text);
    assert_non_null(strstr(text, " 404 "));
    ask(b, REQUEST("DELETE", "/healthz"), text, sizeof text);
    assert_non_null(strstr(text, " 405 "));
    assert_non_null(strstr(text, "Allow: GET, HEAD\r\n"));
    ask(b, "POST /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc", text, sizeof text);
    assert_non_null(strstr(text, " 405 "));
}

static void a_taken_port_is_an_error(void **state)
{
    struct bench *b = *state;
    struct error error;
    char listen[32];
    snprintf(listen, sizeof listen, "127.0.0.1:%d", manage_port(b->manage));
    assert_null(manage_start(listen, b->metrics, (struct manage_hooks){.ready = is_ready}, &error));
    assert_non_null(strstr(error.text, "management listener"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(pages, setup, teardown),
        cmocka_unit_test_setup_teardown(refusals, setup, teardown),
        cmocka_unit_test_setup_teardown(a_taken_port_is_an_error, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* test_activation.c: which handed-over socket is meant, and whether it is one.
 * SPDX-License-Identifier: Apache-2.0 */
#include "activation.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { OWN_PID = 4711 };

static void a_name_or_the_only_one(void **state)
{
    static const struct {
        struct activation a;
        const char *name;
        int fd;
        const char *problem;
    } rows[] = {
        {{"4711", "1", NULL}, "", 3, NULL},
        {{"4711", "1", "http"}, "", 3, NULL},
        {{"4711", "2", "http:manage"}, "http", 3, NULL},
        {{"4711", "2", "http:manage"}, "manage", 4, NULL},
        {{"4711", "3", "a::http"}, "http", 5, NULL},
        {{"4711", "2", "http:manage"}, "", -1, "name one, as in systemd:NAME, of http:manage"},
        {{"4711", "2", NULL}, "", -1, "without names"},
        {{"4711", "2", NULL}, "http", -1, "FileDescriptorName=http"},
        {{"4711", "2", "http:manage"}, "man", -1, "FileDescriptorName=man"},
        {{"4711", "2", "http:manage"}, "httpx", -1, "FileDescriptorName=httpx"},
        {{"4711", "1", "a:http"}, "http", -1, "FileDescriptorName=http"}, /* more names than sockets */
        {{NULL, NULL, NULL}, "", -1, "no socket was handed over"},
        {{NULL, "1", NULL}, "", -1, "no socket was handed over"},
        {{"4712", "1", NULL}, "", -1, "for another process: LISTEN_PID is 4712"},
        {{"4711x", "1", NULL}, "", -1, "another process"},
        {{"", "1", NULL}, "", -1, "another process"},
        {{"4711", "0", NULL}, "", -1, "no number of sockets"},
        {{"4711", "-1", NULL}, "", -1, "no number of sockets"},
        {{"4711", "99999", NULL}, "", -1, "no number of sockets"},
        {{"4711", "one", NULL}, "", -1, "no number of sockets"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct error error = {0};
        assert_int_equal(activation_find(&rows[i].a, OWN_PID, rows[i].name, &error), rows[i].fd);
        if (rows[i].problem && !strstr(error.text, rows[i].problem)) fail_msg("row %zu: %s", i, error.text);
    }
}

static void only_a_listening_stream_socket_is_taken(void **state)
{
    struct error error;
    int pipes[2], datagram = socket(AF_INET, SOCK_DGRAM, 0), stream = socket(AF_INET, SOCK_STREAM, 0);
    (void)state;
    assert_int_equal(pipe(pipes), 0);
    assert_false(activation_adopt(pipes[0], &error));
    assert_non_null(strstr(error.text, "is no socket"));
    assert_false(activation_adopt(datagram, &error));
    assert_non_null(strstr(error.text, "no listening stream socket"));
    assert_false(activation_adopt(stream, &error));
    assert_non_null(strstr(error.text, "no listening stream socket"));
    assert_int_equal(listen(stream, 1), 0);
    assert_true(activation_adopt(stream, &error));
    assert_true(fcntl(stream, F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(stream, F_GETFD) & FD_CLOEXEC);
    close(pipes[0]);
    close(pipes[1]);
    close(datagram);
    close(stream);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_or_the_only_one),
        cmocka_unit_test(only_a_listening_stream_socket_is_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

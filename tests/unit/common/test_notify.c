/* test_notify.c: what the service manager hears, over a path and over an abstract name.
 * SPDX-License-Identifier: Apache-2.0 */
#include "notify.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

static int manager_fd(const char *text)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t size = strlen(text);
    memcpy(address.sun_path, text, size);
    if (text[0] == '@') address.sun_path[0] = 0;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, length), 0);
    return fd;
}

static void hears(int fd, const char *wanted)
{
    char text[256];
    ssize_t size = recv(fd, text, sizeof text - 1, MSG_DONTWAIT);
    text[size > 0 ? size : 0] = 0;
    assert_string_equal(text, wanted);
}

static void the_environment(const char *socket_name, const char *usec, const char *pid)
{
    const char *rows[][2] = {{"NOTIFY_SOCKET", socket_name}, {"WATCHDOG_USEC", usec}, {"WATCHDOG_PID", pid}};
    for (size_t i = 0; i < 3; i++)
        if (rows[i][1])
            setenv(rows[i][0], rows[i][1], 1);
        else
            unsetenv(rows[i][0]);
}

static void messages_arrive(void **state)
{
    char path[64], abstract[64];
    const char *names[] = {path, abstract};
    (void)state;
    snprintf(path, sizeof path, "/tmp/drawbridge-notify-%d", (int)getpid());
    snprintf(abstract, sizeof abstract, "@drawbridge-notify-%d", (int)getpid());
    for (size_t i = 0; i < 2; i++) {
        struct notify n;
        struct error error = {0};
        int fd = manager_fd(names[i]);
        the_environment(names[i], NULL, NULL);
        if (!notify_open(&n, getpid(), &error)) fail_msg("%s", error.text);
        notify_ready(&n);
        hears(fd, "READY=1");
        notify_reloading(&n, 1234567890123);
        hears(fd, "RELOADING=1\nMONOTONIC_USEC=1234567890123");
        notify_stopping(&n);
        hears(fd, "STOPPING=1");
        assert_int_equal(notify_timeout_ms(&n, 5), -1);
        notify_ping(&n, 5);
        hears(fd, "");
        notify_close(&n);
        notify_close(&n);
        close(fd);
    }
    unlink(path);
}

static void the_watchdog_is_fed_twice_as_often_as_it_must(void **state)
{
    char name[64];
    struct notify n;
    struct error error = {0};
    (void)state;
    snprintf(name, sizeof name, "@drawbridge-watchdog-%d", (int)getpid());
    int fd = manager_fd(name);
    the_environment(name, "3000000", NULL);
    assert_true(notify_open(&n, 7, &error));
    assert_int_equal(n.watchdog_ms, 1500);
    assert_int_equal(notify_timeout_ms(&n, 10000), 0);
    notify_ping(&n, 10000);
    hears(fd, "WATCHDOG=1");
    assert_int_equal(notify_timeout_ms(&n, 10500), 1000);
    notify_ping(&n, 11499);
    hears(fd, "");
    notify_ping(&n, 11500);
    hears(fd, "WATCHDOG=1");
    notify_close(&n);
    static const struct {
        const char *usec, *pid;
        int64_t watchdog_ms;
    } rows[] = {{"3000000", "7", 1500}, {"3000000", "8", 0},   {"3000000", "x", 0},
                {"0", NULL, 0},         {"nonsense", NULL, 0}, {NULL, "7", 0}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        the_environment(name, rows[i].usec, rows[i].pid);
        assert_true(notify_open(&n, 7, &error));
        assert_int_equal(n.watchdog_ms, rows[i].watchdog_ms);
        notify_close(&n);
    }
    close(fd);
}

static void without_a_manager_nothing_is_told(void **state)
{
    struct notify n;
    struct error error = {0};
    (void)state;
    the_environment(NULL, "3000000", NULL);
    assert_true(notify_open(&n, 7, &error));
    assert_int_equal(n.fd, -1);
    assert_int_equal(notify_timeout_ms(&n, 5), -1);
    notify_ready(&n);
    notify_stopping(&n);
    notify_close(&n);
    the_environment("relative", NULL, NULL);
    assert_false(notify_open(&n, 7, &error));
    assert_non_null(strstr(error.text, "NOTIFY_SOCKET 'relative'"));
    the_environment("/nowhere/at/all", NULL, NULL);
    assert_false(notify_open(&n, 7, &error));
    assert_int_equal(n.fd, -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_arrive),
        cmocka_unit_test(the_watchdog_is_fed_twice_as_often_as_it_must),
        cmocka_unit_test(without_a_manager_nothing_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

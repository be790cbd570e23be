/* test_listener.c: forms of a listen address; a Unix socket's file: rights, stale, taken, removed; SO_REUSEPORT.
 * SPDX-License-Identifier: Apache-2.0 */
#include "listener.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

struct place {
    char folder[32], path[64], listen[80];
};

static int setup(void **state)
{
    struct place *p = calloc(1, sizeof *p);
    memcpy(p->folder, "/tmp/drawbridge-sock-XXXXXX", sizeof "/tmp/drawbridge-sock-XXXXXX");
    assert_non_null(mkdtemp(p->folder));
    snprintf(p->path, sizeof p->path, "%s/s", p->folder);
    snprintf(p->listen, sizeof p->listen, "unix:%s", p->path);
    *state = p;
    return 0;
}

static int teardown(void **state)
{
    struct place *p = *state;
    unlink(p->path);
    rmdir(p->folder);
    free(p);
    return 0;
}

static int connects(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, path, strlen(path));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int result = connect(fd, (struct sockaddr *)&address, sizeof address) == 0 ? 0 : errno;
    close(fd);
    return result;
}

static void forms(void **state)
{
    static const struct {
        const char *text;
        bool good, local;
    } rows[] = {
        {"127.0.0.1:8080", true, true},
        {"127.8.0.1:0", true, true},
        {"[::1]:1", true, true},
        {"0.0.0.0:8080", true, false},
        {"[::]:8080", true, false},
        {"192.0.2.1:80", true, false},
        {"unix:/run/x.sock", true, true},
        {"unix:run/x.sock", false, true},
        {"unix:", false, true},
        {"systemd", true, false},
        {"systemd:http", true, false},
        {"systemd:", false, false},
        {"systemdx", false, false},
        {"localhost:80", false, false},
        {"/run/x.sock", false, false},
        {"127.0.0.1", false, false},
        {"", false, false},
    };
    (void)state;
    char long_path[200] = "unix:/";
    struct error error;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (listener_check(rows[i].text, &error) != rows[i].good) fail_msg("'%s': %s", rows[i].text, error.text);
        assert_int_equal(listener_is_local(rows[i].text), rows[i].local);
    }
    memset(long_path + 6, 'a', 108);
    assert_false(listener_check(long_path, &error));
    assert_non_null(strstr(error.text, "at most 107 characters"));
    long_path[5 + 107] = 0;
    assert_true(listener_check(long_path, &error));
}

static void a_unix_socket_has_its_mode_and_is_removed(void **state)
{
    struct place *p = *state;
    struct error error = {0};
    struct stat st;
    struct listener l;
    if (!listener_open(&l, &(struct listener_settings){.listen = p->listen, .mode = 0604}, &error))
        fail_msg("%s", error.text);
    assert_int_equal(stat(p->path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0604);
    assert_int_equal(l.port, 0);
    assert_int_equal(connects(p->path), 0);
    listener_close(&l);
    assert_int_equal(connects(p->path), ENOENT);
    listener_close(&l);
}

static void a_stale_socket_is_replaced_and_a_live_one_is_not(void **state)
{
    struct place *p = *state;
    struct error error = {0};
    struct listener first, second;
    const struct listener_settings settings = {.listen = p->listen};
    assert_true(listener_open(&first, &settings, &error));
    assert_false(listener_open(&second, &settings, &error));
    assert_non_null(strstr(error.text, "another process listens on"));
    assert_int_equal(connects(p->path), 0); /* the first one lives on */
    close(first.fd);                        /* as after kill -9 */
    assert_int_equal(connects(p->path), ECONNREFUSED);
    if (!listener_open(&second, &settings, &error)) fail_msg("%s", error.text);
    assert_int_equal(connects(p->path), 0);
    /* The first one's end, late, must not take the second one's file away. */
    first.fd = -1;
    struct stat st;
    assert_int_equal(stat(p->path, &st), 0);
    if (first.inode != st.st_ino) { /* an inode may be given out again at once */
        listener_close(&first);
        assert_int_equal(connects(p->path), 0);
    }
    listener_close(&second);
}

static void a_file_of_another_kind_stays(void **state)
{
    struct place *p = *state;
    struct error error = {0};
    struct listener l;
    close(open(p->path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    assert_false(listener_open(&l, &(struct listener_settings){.listen = p->listen}, &error));
    assert_non_null(strstr(error.text, "exists and is no socket"));
    assert_int_equal(access(p->path, F_OK), 0);
    assert_int_equal(l.fd, -1);
}

static void an_unknown_group_is_an_error_and_leaves_nothing(void **state)
{
    struct place *p = *state;
    struct error error = {0};
    struct listener l;
    assert_false(listener_open(&l, &(struct listener_settings){.listen = p->listen, .group = "no such group"}, &error));
    assert_non_null(strstr(error.text, "there is no group 'no such group'"));
    assert_int_equal(l.fd, -1);
    const struct group *own = getgrgid(getgid());
    if (!own) return; /* an account without a name */
    if (!listener_open(&l, &(struct listener_settings){.listen = p->listen, .group = own->gr_name}, &error))
        fail_msg("%s", error.text);
    listener_close(&l);
}

static void a_port_is_shared_only_when_both_say_so(void **state)
{
    (void)state;
    struct error error = {0};
    struct listener first, second, third;
    char listen[32];
    assert_true(
        listener_open(&first, &(struct listener_settings){.listen = "127.0.0.1:0", .reuse_port = true}, &error));
    snprintf(listen, sizeof listen, "127.0.0.1:%d", first.port);
    if (!listener_open(&second, &(struct listener_settings){.listen = listen, .reuse_port = true}, &error))
        fail_msg("%s", error.text);
    assert_int_equal(second.port, first.port);
    assert_false(listener_open(&third, &(struct listener_settings){.listen = listen}, &error));
    assert_non_null(strstr(error.text, listen));
    listener_close(&first);
    listener_close(&second);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forms),
        TEST(a_unix_socket_has_its_mode_and_is_removed),
        TEST(a_stale_socket_is_replaced_and_a_live_one_is_not),
        TEST(a_file_of_another_kind_stays),
        TEST(an_unknown_group_is_an_error_and_leaves_nothing),
        cmocka_unit_test(a_port_is_shared_only_when_both_say_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

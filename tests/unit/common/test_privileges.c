/* test_privileges.c: root given up for good, in a child of its own.  SPDX-License-Identifier: Apache-2.0 */
#include "privileges.h"
#include <fcntl.h>
#include <pwd.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* What a child, asked to become `user`, ended with: what_is_left's bits, or 64 with its sentence in `text`. */
static int as_child(const char *user, char text[512])
{
    int pipes[2], status = 0;
    struct error error = {0};
    assert_int_equal(pipe(pipes), 0);
    pid_t pid = _Fork();
    if (pid == 0) {
        if (!privileges_drop(user, &error)) {
            (void)!write(pipes[1], error.text, strlen(error.text));
            _exit(64);
        }
        int left = (privileges_held() ? 1 : 0) | (setuid(0) == 0 ? 2 : 0) | (access("/root", R_OK) == 0 ? 4 : 0);
        _exit(left | (prctl(PR_GET_DUMPABLE) != 0 ? 8 : 0) | (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1 ? 16 : 0));
    }
    close(pipes[1]);
    ssize_t size = read(pipes[0], text, 511);
    text[size > 0 ? size : 0] = 0;
    close(pipes[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WEXITSTATUS(status);
}

static void root_becomes_nobody_for_good(void **state)
{
    char text[512];
    (void)state;
    if (!privileges_held()) {
        print_message("not root: only the refusal is tested\n");
        assert_int_equal(as_child("root", text), 64);
        return;
    }
    int left = as_child("nobody", text);
    if (left != 0) fail_msg("%d is left of root: %s", left, text);
}

static void what_cannot_be(void **state)
{
    char text[512];
    (void)state;
    assert_int_equal(as_child("no such user", text), 64);
    assert_string_equal(text, "user 'no such user': there is no such user");
    assert_int_equal(as_child("root", text), 64);
    assert_non_null(strstr(text, "name an ordinary user"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(root_becomes_nobody_for_good),
        cmocka_unit_test(what_cannot_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

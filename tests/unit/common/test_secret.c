/* test_secret.c: where secrets may come from, and that no error repeats one.
 * SPDX-License-Identifier: Apache-2.0 */
#include "secret.h"
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
/* cmocka wants its headers first */
#include <cmocka.h>

static char folder[] = "/tmp/drawbridge-test-secret-XXXXXX";
static char path[128], reference[160];

static void write_file(const char *text, size_t size, mode_t mode)
{
    unlink(path);
    int fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, size), (ssize_t)size);
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
}

static void expect_secret(const char *given, bool literal_allowed, const char *text, size_t size)
{
    struct error error = {0};
    struct secret *s = secret_resolve(bytes_of(given), literal_allowed, &error);
    if (!s) fail_msg("%s", error.text);
    assert_int_equal(secret_view(s).size, size);
    assert_memory_equal(secret_view(s).data, text, size);
    secret_free(s);
}

static void expect_refusal(struct bytes given, bool literal_allowed, enum error_code code, const char *word)
{
    struct error error = {0};
    assert_null(secret_resolve(given, literal_allowed, &error));
    assert_int_equal(error.code, code);
    if (!strstr(error.text, word)) fail_msg("'%s' is not in: %s", word, error.text);
    assert_null(strstr(error.text, "hunter2"));
}

static void an_environment_variable_is_taken_whole(void **state)
{
    (void)state;
    setenv("DRAWBRIDGE_TEST_SECRET", " hunter2\n", 1);
    expect_secret("env:DRAWBRIDGE_TEST_SECRET", false, " hunter2\n", 9);
    setenv("DRAWBRIDGE_TEST_SECRET", "", 1);
    expect_refusal(bytes_of("env:DRAWBRIDGE_TEST_SECRET"), true, ERROR_INVALID, "DRAWBRIDGE_TEST_SECRET");
    unsetenv("DRAWBRIDGE_TEST_SECRET");
    expect_refusal(bytes_of("env:DRAWBRIDGE_TEST_SECRET"), true, ERROR_NOT_FOUND, "DRAWBRIDGE_TEST_SECRET");
    expect_refusal(bytes_of("env:"), true, ERROR_INVALID, "env:");
}

static void a_file_loses_one_line_end(void **state)
{
    (void)state;
    write_file("hunter2", 7, 0600);
    expect_secret(reference, false, "hunter2", 7);
    write_file("hunter2\n", 8, 0400);
    expect_secret(reference, false, "hunter2", 7);
    write_file("hunter2\r\n", 9, 0400);
    expect_secret(reference, false, "hunter2", 7);
    write_file("hunter2\n\n", 9, 0400);
    expect_secret(reference, false, "hunter2\n", 8);
    write_file("a\0b\r", 4, 0600);
    expect_secret(reference, false, "a\0b\r", 4);
    write_file("\n", 1, 0600);
    expect_refusal(bytes_of(reference), true, ERROR_INVALID, "empty");
    write_file("", 0, 0600);
    expect_refusal(bytes_of(reference), true, ERROR_INVALID, path);
}

static void a_file_open_to_others_is_refused(void **state)
{
    (void)state;
    static const mode_t open_modes[] = {0644, 0604, 0602, 0601, 0620, 0610, 0660, 0444};
    for (size_t i = 0; i < sizeof open_modes / sizeof open_modes[0]; i++) {
        write_file("hunter2", 7, open_modes[i]);
        expect_refusal(bytes_of(reference), true, ERROR_DENIED, "mode");
    }
    write_file("hunter2", 7, 0440); /* what systemd hands out belongs to root */
    if (geteuid() == 0)
        expect_secret(reference, false, "hunter2", 7);
    else
        expect_refusal(bytes_of(reference), true, ERROR_DENIED, "mode");
    if (geteuid() != 0) return;
    assert_int_equal(chown(path, 12345, 12345), 0);
    expect_refusal(bytes_of(reference), true, ERROR_DENIED, "0440");
}

static void only_a_regular_file_of_sane_size_will_do(void **state)
{
    (void)state;
    expect_refusal(bytes_of("file:/tmp"), true, ERROR_INVALID, "regular");
    expect_refusal(bytes_of("file:/nonexistent/secret"), true, ERROR_NOT_FOUND, "/nonexistent/secret");
    expect_refusal(bytes_of("file:"), true, ERROR_INVALID, "file:");
    unlink(path);
    assert_int_equal(mkfifo(path, 0600), 0);
    expect_refusal(bytes_of(reference), true, ERROR_INVALID, "regular"); /* and does not hang */
    static char large[64 * 1024 + 1];
    memset(large, 'x', sizeof large);
    write_file(large, sizeof large, 0600);
    expect_refusal(bytes_of(reference), true, ERROR_TOO_LARGE, "65536");
    write_file(large, sizeof large - 1, 0600);
    expect_secret(reference, false, large, sizeof large - 1);
    expect_refusal((struct bytes){(const uint8_t *)large, sizeof large}, true, ERROR_TOO_LARGE, "65536");
}

static void a_literal_must_be_allowed(void **state)
{
    (void)state;
    expect_secret("hunter2", true, "hunter2", 7);
    expect_refusal(bytes_of("hunter2"), false, ERROR_INVALID, "env:NAME");
    expect_refusal(bytes_of(""), true, ERROR_INVALID, "empty");
    expect_refusal(bytes_of("sealed:hunter2"), true, ERROR_INVALID, "sealed:"); /* never taken for a literal */
    expect_refusal((struct bytes){(const uint8_t *)"env:A\0B", 7}, true, ERROR_INVALID, "env:");
    secret_free(NULL);
}

/* The lines of /proc/self/smaps that belong to the mapping at `address` say "dd": not in a core file. */
static bool kept_out_of_core_files(const void *address)
{
    char line[512], start[32];
    bool inside = false, kept = false;
    snprintf(start, sizeof start, "%lx-", (unsigned long)address & ~4095ul);
    FILE *maps = fopen("/proc/self/smaps", "re");
    assert_non_null(maps);
    while (fgets(line, sizeof line, maps)) {
        if (line[0] >= '0' && line[0] <= 'f' && strchr(line, '-')) inside = strncmp(line, start, strlen(start)) == 0;
        if (inside && strncmp(line, "VmFlags:", 8) == 0) kept = strstr(line, " dd") != NULL;
    }
    fclose(maps);
    return kept;
}

static void its_memory_is_kept_out_of_core_files(void **state)
{
    (void)state;
    struct secret *s = secret_resolve(bytes_of("hunter2"), true, NULL);
    assert_true(kept_out_of_core_files(secret_view(s).data));
    assert_false(kept_out_of_core_files(path));
    secret_free(s);
}

static int set_up(void **state)
{
    (void)state;
    if (!mkdtemp(folder)) return -1;
    snprintf(path, sizeof path, "%s/secret", folder);
    snprintf(reference, sizeof reference, "file:%s", path);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_environment_variable_is_taken_whole),
        cmocka_unit_test(a_file_loses_one_line_end),
        cmocka_unit_test(a_file_open_to_others_is_refused),
        cmocka_unit_test(only_a_regular_file_of_sane_size_will_do),
        cmocka_unit_test(a_literal_must_be_allowed),
        cmocka_unit_test(its_memory_is_kept_out_of_core_files),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

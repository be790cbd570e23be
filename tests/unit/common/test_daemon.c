/* test_daemon.c: command line of the daemons; signals as a descriptor; what daemon_start switches off.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon.h"
#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

static const struct config_option options[] = {
    {.name = "http.listen", .kind = CONFIG_TEXT, .default_text = "[::]:80", .offset = 0, .help = "where to listen"}};

static void print_more(FILE *out)
{
    fputs("more tables\n", out);
}

static const struct daemon_program program = {
    .name = "testd",
    .summary = "does nothing",
    .default_config_path = "/nonexistent/testd.cfg",
    .options = options,
    .option_count = 1,
    .help_config_more = print_more,
};

/* What one command line gives, and what it prints on standard output. */
struct outcome {
    bool go_on;
    int exit_code;
    struct daemon_options options;
    char printed[6144];
};

static struct outcome run(const struct daemon_program *p, int argc, const char **argv)
{
    struct outcome o = {.exit_code = -1};
    fflush(stdout);
    int out_before = dup(STDOUT_FILENO), err_before = dup(STDERR_FILENO);
    FILE *file = tmpfile();
    dup2(fileno(file), STDOUT_FILENO);
    dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), STDERR_FILENO);
    o.go_on = daemon_command_line(p, argc, (char **)(uintptr_t)argv, &o.options, &o.exit_code);
    fflush(stdout);
    dup2(out_before, STDOUT_FILENO);
    dup2(err_before, STDERR_FILENO);
    rewind(file);
    o.printed[fread(o.printed, 1, sizeof o.printed - 1, file)] = '\0';
    fclose(file);
    close(out_before);
    close(err_before);
    return o;
}

#define RUN(...)                                                                                                       \
    run(&program, (int)(sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *)), (const char *[]){__VA_ARGS__, NULL})

static void a_path_and_a_check(void **state)
{
    (void)state;
    struct outcome o = RUN("testd", "--config", "a.cfg", "--check-config");
    assert_true(o.go_on);
    assert_string_equal(o.options.config_path, "a.cfg");
    assert_true(o.options.check_config);
    o = RUN("testd", "-c", "b.cfg");
    assert_true(o.go_on);
    assert_string_equal(o.options.config_path, "b.cfg");
    assert_false(o.options.check_config);
}

static void the_default_path_counts_if_it_is_there(void **state)
{
    (void)state;
    struct outcome o = RUN("testd");
    assert_true(o.go_on);
    assert_null(o.options.config_path);
    struct daemon_program p = program;
    p.default_config_path = "/etc/passwd";
    const char *argv[] = {"testd", NULL};
    o = run(&p, 1, argv);
    assert_string_equal(o.options.config_path, "/etc/passwd");
}

static void questions_are_answered_on_stdout(void **state)
{
    (void)state;
    static const struct {
        const char *option, *sentences[4];
    } rows[] = {
        {"--version", {"testd " DRAWBRIDGE_VERSION "\n"}},
        {"--help", {"testd: does nothing\n", "/nonexistent/testd.cfg", "--check-config", "  3  another process"}},
        {"-h", {"exit codes:\n  0  after a clean stop\n  1  wrong"}},
        {"--help-config", {"  http.listen = \"[::]:80\"\n", "where to listen\n", "more tables\n", "DRAWBRIDGE_"}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct outcome o = RUN("testd", rows[i].option);
        assert_false(o.go_on);
        assert_int_equal(o.exit_code, DAEMON_EXIT_OK);
        for (int s = 0; s < 4 && rows[i].sentences[s] != NULL; s++)
            if (strstr(o.printed, rows[i].sentences[s]) == NULL) fail_msg("%s: %s", rows[i].option, o.printed);
    }
}

static void usage_errors_exit_with_1(void **state)
{
    (void)state;
    static const char *rows[][5] = {
        {"testd", "--nonsense"}, {"testd", "--config"}, {"testd", "extra"}, {"testd", "--config", "a", "extra"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int argc = 0;
        while (rows[i][argc] != NULL)
            argc++;
        struct outcome o = run(&program, argc, rows[i]);
        assert_false(o.go_on);
        assert_int_equal(o.exit_code, DAEMON_EXIT_CONFIGURATION);
        assert_string_equal(o.printed, "");
    }
}

static void a_full_disk_is_a_failure(void **state)
{
    (void)state;
    fflush(stdout);
    int before = dup(STDOUT_FILENO), full = open("/dev/full", O_WRONLY | O_CLOEXEC), exit_code = -1;
    const char *argv[] = {"testd", "--help", NULL};
    struct daemon_options ignored;
    dup2(full, STDOUT_FILENO);
    assert_false(daemon_command_line(&program, 2, (char **)(uintptr_t)argv, &ignored, &exit_code));
    dup2(before, STDOUT_FILENO);
    clearerr(stdout);
    close(before);
    close(full);
    assert_int_equal(exit_code, DAEMON_EXIT_FAILURE);
}

/* The last one: it changes this process for good. */
static void start_blocks_signals_and_forbids_dumps(void **state)
{
    (void)state;
    struct error error = {0};
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = 64;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);

    if (!daemon_start(&error)) fail_msg("%s", error.text);
    rlim_t most = limit.rlim_max;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(limit.rlim_cur, most);
    assert_int_equal(getrlimit(RLIMIT_CORE, &limit), 0);
    assert_int_equal(limit.rlim_cur, 0);
    assert_int_equal(limit.rlim_max, 0);
    assert_int_equal(prctl(PR_GET_DUMPABLE), 0);
    sigset_t blocked;
    assert_int_equal(pthread_sigmask(SIG_SETMASK, NULL, &blocked), 0);
    assert_true(sigismember(&blocked, SIGTERM) == 1 && sigismember(&blocked, SIGHUP) == 1);
    assert_true(sigismember(&blocked, SIGCHLD) == 1 && sigismember(&blocked, SIGUSR1) == 1);
    assert_int_equal(sigismember(&blocked, SIGSEGV), 0);

    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    close(ends[0]);
    sigset_t pipe_only;
    sigemptyset(&pipe_only);
    sigaddset(&pipe_only, SIGPIPE);
    assert_int_equal(pthread_sigmask(SIG_UNBLOCK, &pipe_only, NULL), 0);
    assert_int_equal(write(ends[1], "x", 1), -1); /* and we are still here */
    close(ends[1]);

    int fd = daemon_signal_fd(&error);
    assert_true(fd >= 0);
    assert_true((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
    assert_int_equal(daemon_next_signal(fd), 0); /* does not wait */
    assert_int_equal(kill(getpid(), SIGHUP), 0);
    assert_int_equal(daemon_next_signal(fd), SIGHUP);
    assert_int_equal(kill(getpid(), SIGTERM), 0);
    assert_int_equal(daemon_next_signal(fd), SIGTERM);
    assert_int_equal(kill(getpid(), SIGUSR1), 0); /* blocked, and nobody's business */
    assert_int_equal(daemon_next_signal(fd), 0);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_path_and_a_check),
        cmocka_unit_test(the_default_path_counts_if_it_is_there),
        cmocka_unit_test(questions_are_answered_on_stdout),
        cmocka_unit_test(usage_errors_exit_with_1),
        cmocka_unit_test(a_full_disk_is_a_failure),
        cmocka_unit_test(start_blocks_signals_and_forbids_dumps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

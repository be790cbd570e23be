/* test_child.c: one process: clean start, whole end, the launcher's own checks.  SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "buffer.h"
#include "child.h"
#include "launch_order.h"

static char *clean[] = {(char[]){"PATH=/usr/bin:/bin"}, NULL};

/* What a shell script of ours wrote and how it ended. */
struct run {
    struct child_end end;
    struct error error;
    bool ran;
    char output[8192];
};

static void await(int fd)
{
    struct pollfd p = {fd, POLLIN, 0};
    assert_int_equal(poll(&p, 1, 20000), 1);
}

static void read_all(int fd, char *out, size_t max)
{
    size_t size = 0;
    for (;;) {
        await(fd);
        const ssize_t n = read(fd, out + size, max - 1 - size);
        assert_true(n >= 0);
        if (n == 0) break;
        size += (size_t)n;
    }
    out[size] = 0;
}

static void run(struct run *r, const struct command_spec *spec)
{
    struct child s;
    memset(r, 0, sizeof *r);
    assert_true(child_start(&s, spec, clean, &r->error));
    child_close_fd(&s.input);
    read_all(s.output, r->output, sizeof r->output);
    await(s.pidfd);
    assert_true(child_reap(&s, &r->end));
    r->ran = child_ran(&s, spec, &r->error);
    child_close(&s);
}

static void run_shell(struct run *r, const char *script)
{
    char *text = strdup(script);
    char *argv[] = {(char[]){"sh"}, (char[]){"-c"}, text, NULL};
    run(r, &(struct command_spec){.argv = argv});
    free(text);
    assert_true(r->ran);
}

static void exit_code_and_signal_are_told_apart(void **state)
{
    (void)state;
    struct run r;
    run_shell(&r, "exit 78");
    assert_false(r.end.signaled);
    assert_int_equal(r.end.status, 78);
    run_shell(&r, "kill -USR1 $$");
    assert_true(r.end.signaled);
    assert_int_equal(r.end.status, SIGUSR1);
}

/* A leaked descriptor would keep a peer's pipe open for ever. */
static void the_child_has_three_descriptors(void **state)
{
    (void)state;
    struct run r;
    int leaks[40];
    for (int i = 0; i < 40; i++)
        assert_true((leaks[i] = dup(STDERR_FILENO)) >= 0); /* not close-on-exec */
    run_shell(&r, "cd /proc/self/fd && exec ls");
    for (int i = 0; i < 40; i++)
        close(leaks[i]);
    /* 3 is the directory that ls itself reads */
    assert_string_equal(r.output, "0\n1\n2\n3\n");
}

static void the_pipes_are_pipes(void **state)
{
    (void)state;
    struct run r;
    run_shell(&r, "readlink /proc/self/fd/0 /proc/$$/fd/1 /proc/$$/fd/2 | cut -d: -f1; cat /dev/stdin && echo opened");
    assert_string_equal(r.output, "pipe\npipe\npipe\nopened\n");
}

static unsigned long long status_mask(const char *status, const char *name)
{
    const char *line = strstr(status, name);
    assert_non_null(line);
    return strtoull(line + strlen(name), NULL, 16);
}

static void mask_and_dispositions_are_clean(void **state)
{
    (void)state;
    struct run r;
    sigset_t all, before;
    sigfillset(&all);
    const struct sigaction ignore = {.sa_handler = SIG_IGN};
    struct sigaction pipe_before, hup_before;
    sigaction(SIGPIPE, &ignore, &pipe_before);
    sigaction(SIGHUP, &ignore, &hup_before);
    sigprocmask(SIG_BLOCK, &all, &before);
    char *argv[] = {(char[]){"cat"}, (char[]){"/proc/self/status"}, NULL};
    run(&r, &(struct command_spec){.argv = argv});
    sigprocmask(SIG_SETMASK, &before, NULL);
    sigaction(SIGPIPE, &pipe_before, NULL);
    sigaction(SIGHUP, &hup_before, NULL);
    /* 32 and 33 are the C library's own: its posix_spawn ignores them in every child */
    const unsigned long long internal = 3ULL << 31;
    assert_int_equal(status_mask(r.output, "SigBlk:"), 0);
    assert_int_equal(status_mask(r.output, "SigIgn:") & ~internal, 0);
    assert_int_equal(status_mask(r.output, "SigCgt:"), 0);
}

static void it_leads_its_own_group_without_new_privileges(void **state)
{
    (void)state;
    struct run r;
    run_shell(&r, "read pid name state parent group rest < /proc/$$/stat; test $pid = $group && echo leads;"
                  "grep NoNewPrivs /proc/self/status");
    assert_string_equal(r.output, "leads\nNoNewPrivs:\t1\n");
}

static void the_environment_is_the_given_one(void **state)
{
    (void)state;
    struct run r;
    char *argv[] = {(char[]){"env"}, NULL};
    setenv("LEAKED_SECRET", "x", 1);
    run(&r, &(struct command_spec){.argv = argv});
    unsetenv("LEAKED_SECRET");
    assert_string_equal(r.output, "PATH=/usr/bin:/bin\n");
}

static void limits_reach_the_command(void **state)
{
    (void)state;
    struct run r;
    char *argv[] = {(char[]){"cat"}, (char[]){"/proc/self/limits"}, NULL};
    run(&r, &(struct command_spec){
                .argv = argv,
                .limits = {.memory_max_bytes = 1 << 30, .cpu_max_s = 7, .files_max = 33, .processes_max = 4444}});
    assert_non_null(strstr(r.output, "Max address space         1073741824           1073741824 "));
    assert_non_null(strstr(r.output, "Max cpu time              7                    12 "));
    assert_non_null(strstr(r.output, "Max open files            33                   33 "));
    assert_non_null(strstr(r.output, "Max processes             4444                 4444 "));
}

static void the_runners_own_file_limit_does_not_leak(void **state)
{
    (void)state;
    struct run r;
    run_shell(&r, "ulimit -Sn");
    assert_in_range(atoll(r.output), 1, 1024);
}

static void a_memory_limit_bites(void **state)
{
    (void)state;
    struct run r;
    char *argv[] = {(char[]){"dd"},      (char[]){"if=/dev/zero"}, (char[]){"of=/dev/null"},
                    (char[]){"bs=256M"}, (char[]){"count=1"},      NULL};
    run(&r, &(struct command_spec){.argv = argv});
    assert_int_equal(r.end.status, 0);
    run(&r, &(struct command_spec){.argv = argv, .limits.memory_max_bytes = 64 << 20});
    assert_true(r.ran);
    assert_int_equal(r.end.status, 1);
}

static void a_limit_above_the_hard_one_is_refused(void **state)
{
    (void)state;
    struct run r;
    char *argv[] = {(char[]){"true"}, NULL};
    run(&r, &(struct command_spec){.argv = argv, .limits.files_max = INT64_C(1) << 40});
    assert_false(r.ran);
    assert_string_equal(r.error.text, "command 'true': set the limit of open files: Operation not permitted");
}

struct failure {
    const char *command, *directory, *sentence;
};

static void what_cannot_run_says_why(void **state)
{
    (void)state;
    const struct failure failures[] = {
        {"no-such-command", NULL, "command 'no-such-command': No such file or directory"},
        {"/no/such/command", NULL, "command '/no/such/command': No such file or directory"},
        {"", NULL, "command '': No such file or directory"},
        {"/etc/passwd", NULL, "command '/etc/passwd': Permission denied"},
        {"/usr", NULL, "command '/usr': Permission denied"},
        {"true", "/no/such/folder", "directory '/no/such/folder': No such file or directory"},
        {"true", "/etc/passwd", "directory '/etc/passwd': Not a directory"},
    };
    for (size_t i = 0; i < sizeof failures / sizeof failures[0]; i++) {
        struct run r;
        char *argv[] = {strdup(failures[i].command), NULL};
        run(&r, &(struct command_spec){.argv = argv, .directory = failures[i].directory});
        free(argv[0]);
        assert_false(r.ran);
        assert_string_equal(r.error.text, failures[i].sentence);
    }
}

static void a_script_without_interpreter_line_is_refused(void **state)
{
    (void)state;
    struct run r;
    char path[] = "/tmp/test_child_XXXXXX";
    const int fd = mkostemp(path, O_CLOEXEC);
    assert_int_equal(write(fd, "echo hi\n", 8), 8);
    assert_int_equal(fchmod(fd, 0700), 0);
    close(fd);
    char *argv[] = {path, NULL};
    run(&r, &(struct command_spec){.argv = argv});
    unlink(path);
    assert_false(r.ran);
    assert_non_null(strstr(r.error.text, "Exec format error"));
}

static void write_file(const char *folder, const char *name, const char *text, mode_t mode)
{
    char path[200];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    const int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
}

/* As a shell does it: a file without the right is passed over, but remembered if nothing better comes. */
static void path_is_searched_to_its_end(void **state)
{
    (void)state;
    struct run r;
    char first[] = "/tmp/test_child_XXXXXX", second[] = "/tmp/test_child_XXXXXX", path[100];
    char *before = clean[0], *argv[] = {(char[]){"tool"}, NULL};
    assert_non_null(mkdtemp(first));
    assert_non_null(mkdtemp(second));
    snprintf(path, sizeof path, "PATH=/nowhere::%s/tool:%s:%s", first, first, second);
    clean[0] = path;
    write_file(first, "tool", "no program", 0600);
    run(&r, &(struct command_spec){.argv = argv});
    assert_false(r.ran);
    assert_string_equal(r.error.text, "command 'tool': Permission denied");
    write_file(second, "tool", "#!/bin/echo found\n", 0700);
    run(&r, &(struct command_spec){.argv = argv});
    clean[0] = before;
    assert_true(r.ran);
    assert_memory_equal(r.output, "found ", 6);
    for (int i = 0; i < 2; i++) {
        const char *folder = i ? second : first;
        snprintf(path, sizeof path, "%s/tool", folder);
        unlink(path);
        rmdir(folder);
    }
}

static void a_relative_command_is_looked_up_in_its_directory(void **state)
{
    (void)state;
    struct run r;
    char *argv[] = {(char[]){"./true"}, NULL};
    run(&r, &(struct command_spec){.argv = argv, .directory = "/usr/bin"});
    assert_true(r.ran);
    assert_int_equal(r.end.status, 0);
}

static void no_process_of_the_group_is_left(void **state)
{
    (void)state;
    struct child s;
    struct child_end end;
    struct error error;
    char *argv[] = {(char[]){"sh"}, (char[]){"-c"}, (char[]){"sleep 1000 >&- 2>&- & echo $!; exit 3"}, NULL};
    const struct command_spec spec = {.argv = argv};
    char text[64];
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), 0); /* so that we see its end */
    assert_true(child_start(&s, &spec, clean, &error));
    read_all(s.output, text, sizeof text);
    const pid_t grandchild = (pid_t)atoll(text);
    await(s.pidfd);
    assert_int_equal(kill(grandchild, 0), 0);
    assert_true(child_reap(&s, &end));
    assert_int_equal(end.status, 3);
    child_close(&s);
    siginfo_t info;
    assert_int_equal(waitid(P_PID, (id_t)grandchild, &info, WEXITED), 0);
    assert_int_equal(info.si_status, SIGKILL);
    prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0);
}

static void low_descriptors_do_not_confuse_it(void **state)
{
    (void)state;
    struct run r;
    int saved[3];
    for (int i = 0; i < 3; i++)
        saved[i] = fcntl(i, F_DUPFD_CLOEXEC, 50);
    for (int i = 0; i < 3; i++)
        close(i); /* the pipes get these numbers */
    struct child s;
    char *argv[] = {(char[]){"sh"}, (char[]){"-c"}, (char[]){"cat; echo out; echo err >&2"}, NULL};
    const struct command_spec spec = {.argv = argv};
    const bool started = child_start(&s, &spec, clean, &r.error);
    for (int i = 0; i < 3; i++) {
        dup2(saved[i], i);
        close(saved[i]);
    }
    assert_true(started);
    assert_int_equal(write(s.input, "in ", 3), 3);
    child_close_fd(&s.input);
    read_all(s.output, r.output, sizeof r.output);
    assert_string_equal(r.output, "in out\n");
    read_all(s.errors, r.output, sizeof r.output);
    assert_string_equal(r.output, "err\n");
    await(s.pidfd);
    assert_true(child_reap(&s, &r.end));
    child_close(&s);
}

/* Executes the launcher with an order of our own; returns its wait status and what it reported. */
static int launch_by_hand(const char *version, pid_t parent, const char *command, char *report, size_t *report_size)
{
    char path[4096], parent_text[24];
    const ssize_t size = readlink("/proc/self/exe", path, sizeof path - 64);
    assert_true(size > 0);
    path[size] = 0;
    char *slash = strrchr(path, '/');
    snprintf(slash, 64, "%s", "/../bin/drawbridge-launch");
    snprintf(parent_text, sizeof parent_text, "%d", parent);
    char *version_text = strdup(version), *command_text = strdup(command), zero[] = "0", none[] = "";
    char *argv[] = {path, version_text, parent_text, zero, zero, zero, zero, none, command_text, NULL};
    int pipe[2], status;
    pid_t pid;
    assert_int_equal(pipe2(pipe, O_CLOEXEC), 0);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    const int high = fcntl(pipe[1], F_DUPFD_CLOEXEC, 20);
    close(pipe[1]);
    posix_spawn_file_actions_adddup2(&actions, high, LAUNCH_REPORT_FD);
    assert_int_equal(posix_spawn(&pid, path, &actions, NULL, argv, clean), 0);
    posix_spawn_file_actions_destroy(&actions);
    close(high);
    const ssize_t got = read(pipe[0], report, *report_size);
    assert_true(got >= 0);
    *report_size = (size_t)got;
    close(pipe[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    free(version_text);
    free(command_text);
    return status;
}

/* The runner died before the launcher asked for the death signal: nothing may run any more. */
static void the_launcher_of_a_dead_runner_runs_nothing(void **state)
{
    (void)state;
    char report[64];
    size_t size = sizeof report;
    int status = launch_by_hand(LAUNCH_FORM, getpid(), "true", report, &size);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_int_equal(size, 0);
    size = sizeof report;
    status = launch_by_hand(LAUNCH_FORM, getppid(), "true", report, &size);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 127);
    assert_int_equal(size, 0);
}

static void a_launcher_of_another_version_is_refused(void **state)
{
    (void)state;
    struct launch_report report;
    const char *const versions[] = {"", "0", "2", "11"};
    for (size_t i = 0; i < sizeof versions / sizeof versions[0]; i++) {
        char bytes[64];
        size_t size = sizeof bytes;
        const int status = launch_by_hand(versions[i], getpid(), "true", bytes, &size);
        assert_int_equal(WEXITSTATUS(status), 127);
        assert_int_equal(size, sizeof report);
        memcpy(&report, bytes, sizeof report);
        assert_int_equal(report.step, LAUNCH_STEP_FORM);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exit_code_and_signal_are_told_apart),
        cmocka_unit_test(the_child_has_three_descriptors),
        cmocka_unit_test(the_pipes_are_pipes),
        cmocka_unit_test(mask_and_dispositions_are_clean),
        cmocka_unit_test(it_leads_its_own_group_without_new_privileges),
        cmocka_unit_test(the_environment_is_the_given_one),
        cmocka_unit_test(limits_reach_the_command),
        cmocka_unit_test(the_runners_own_file_limit_does_not_leak),
        cmocka_unit_test(a_memory_limit_bites),
        cmocka_unit_test(a_limit_above_the_hard_one_is_refused),
        cmocka_unit_test(what_cannot_run_says_why),
        cmocka_unit_test(a_script_without_interpreter_line_is_refused),
        cmocka_unit_test(path_is_searched_to_its_end),
        cmocka_unit_test(a_relative_command_is_looked_up_in_its_directory),
        cmocka_unit_test(no_process_of_the_group_is_left),
        cmocka_unit_test(low_descriptors_do_not_confuse_it),
        cmocka_unit_test(the_launcher_of_a_dead_runner_runs_nothing),
        cmocka_unit_test(a_launcher_of_another_version_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

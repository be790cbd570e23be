/* test_engine_command.c: life of a command on a real loop with real processes.  SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#include <cmocka.h>

#include "clock.h"
#include "engine_command.h"

/* A copy of an outcome that outlives `done`. */
struct seen {
    int calls;
    enum command_end end;
    int status;
    bool truncated;
    char *output, *error;
    size_t output_size;
    int64_t took_ms; /* by the outcome's own times */
    int64_t done_ms; /* monotonic */
};

static const struct command_identity identity = {"wh-1", "agent", 2};

static void on_done(void *ctx, const struct command_outcome *o)
{
    struct seen *seen = ctx;
    seen->calls++;
    seen->end = o->end;
    seen->status = o->status;
    seen->truncated = o->output_truncated;
    seen->output = bytes_dup(o->output);
    seen->output_size = o->output.size;
    seen->error = bytes_dup(o->error);
    seen->took_ms = (o->ended_us - o->started_us) / 1000;
    seen->done_ms = clock_monotonic_ms();
}

static void seen_close(struct seen *seen)
{
    free(seen->output);
    free(seen->error);
    memset(seen, 0, sizeof *seen);
}

static void loop_close(uv_loop_t *loop)
{
    while (uv_run(loop, UV_RUN_DEFAULT) != 0)
        continue;
    assert_int_equal(uv_loop_close(loop), 0); /* fails if a handle was forgotten */
}

/* Runs `script` with sh to its end; all handles are closed afterwards. */
static void run_spec(struct seen *seen, struct command_spec spec, const char *script, struct bytes input)
{
    char *text = strdup(script);
    char *argv[] = {(char[]){"sh"}, (char[]){"-c"}, text, NULL};
    uv_loop_t loop;
    memset(seen, 0, sizeof *seen);
    if (!spec.argv) spec.argv = argv;
    if (!spec.output_max_bytes) spec.output_max_bytes = 1 << 20;
    assert_int_equal(uv_loop_init(&loop), 0);
    assert_non_null(command_start(&loop, &spec, identity, input, on_done, seen));
    assert_int_equal(seen->calls, 0); /* never from inside command_start */
    loop_close(&loop);
    free(text);
    assert_int_equal(seen->calls, 1);
}

static void run(struct seen *seen, const char *script)
{
    run_spec(seen, (struct command_spec){0}, script, bytes_of(""));
}

static void exit_codes_and_output(void **state)
{
    (void)state;
    struct seen seen;
    run(&seen, "echo out; echo err >&2; exit 75");
    assert_int_equal(seen.end, COMMAND_EXITED);
    assert_int_equal(seen.status, 75);
    assert_string_equal(seen.output, "out\n");
    assert_string_equal(seen.error, "err\n");
    assert_false(seen.truncated);
    seen_close(&seen);
}

static void a_signal_is_an_end_of_its_own(void **state)
{
    (void)state;
    struct seen seen;
    run(&seen, "kill -SEGV $$");
    assert_int_equal(seen.end, COMMAND_SIGNALED);
    assert_int_equal(seen.status, SIGSEGV);
    seen_close(&seen);
}

static void input_arrives_whole(void **state)
{
    (void)state;
    struct seen seen;
    const size_t size = 900 * 1024; /* many pipes full */
    uint8_t *data = malloc(size);
    for (size_t i = 0; i < size; i++)
        data[i] = (uint8_t)(i * 31 + i / 255);
    run_spec(&seen, (struct command_spec){0}, "cat", (struct bytes){data, size});
    assert_int_equal(seen.status, 0);
    assert_int_equal(seen.output_size, size);
    assert_memory_equal(seen.output, data, size);
    seen_close(&seen);
    free(data);
}

static void a_command_need_not_read(void **state)
{
    (void)state;
    struct seen seen;
    const size_t size = 900 * 1024;
    uint8_t *data = calloc(1, size);
    run_spec(&seen, (struct command_spec){0}, "exec <&-; sleep 0.1; echo fine", (struct bytes){data, size});
    assert_int_equal(seen.end, COMMAND_EXITED);
    assert_int_equal(seen.status, 0);
    assert_string_equal(seen.output, "fine\n");
    seen_close(&seen);
    run_spec(&seen, (struct command_spec){0}, "sleep 0.1; echo fine", (struct bytes){data, size});
    assert_string_equal(seen.output, "fine\n");
    seen_close(&seen);
    free(data);
}

static void output_is_bounded(void **state)
{
    (void)state;
    struct seen seen;
    run_spec(&seen, (struct command_spec){.output_max_bytes = 10}, "printf 0123456789", bytes_of(""));
    assert_string_equal(seen.output, "0123456789");
    assert_false(seen.truncated);
    seen_close(&seen);
    run_spec(&seen, (struct command_spec){.output_max_bytes = 10}, "printf 0123456789a", bytes_of(""));
    assert_string_equal(seen.output, "0123456789");
    assert_true(seen.truncated);
    assert_int_equal(seen.status, 0);
    seen_close(&seen);
}

static void a_flood_does_not_stall(void **state)
{
    (void)state;
    struct seen seen;
    run_spec(&seen, (struct command_spec){.output_max_bytes = 1000, .timeout_ms = 60000},
             "dd if=/dev/zero bs=1M count=100 2>/dev/null; dd if=/dev/zero bs=1M count=20 >&2 2>/dev/null; exit 7",
             bytes_of(""));
    assert_int_equal(seen.end, COMMAND_EXITED);
    assert_int_equal(seen.status, 7);
    assert_int_equal(seen.output_size, 1000);
    assert_true(seen.truncated);
    seen_close(&seen);
}

static void stderr_keeps_its_tail(void **state)
{
    (void)state;
    struct seen seen;
    run(&seen, "i=0; while [ $i -lt 2000 ]; do echo line $i >&2; i=$((i+1)); done");
    const size_t size = strlen(seen.error);
    assert_in_range(size, 4096 - 10, 4096);
    assert_memory_equal(seen.error, "line ", 5); /* cut at the start of a line */
    assert_string_equal(seen.error + size - 10, "line 1999\n");
    seen_close(&seen);
}

static void the_deadline_is_a_term(void **state)
{
    (void)state;
    struct seen seen;
    run_spec(&seen, (struct command_spec){.timeout_ms = 200, .grace_ms = 10000},
             "trap 'echo cleaned; exit 0' TERM; echo begun; while :; do sleep 0.05; done", bytes_of(""));
    assert_int_equal(seen.end, COMMAND_TIMED_OUT);
    assert_string_equal(seen.output, "begun\ncleaned\n");
    assert_in_range(seen.took_ms, 190, 5000);
    seen_close(&seen);
}

static void who_ignores_term_is_killed(void **state)
{
    (void)state;
    struct seen seen;
    run_spec(&seen, (struct command_spec){.timeout_ms = 100, .grace_ms = 200},
             "trap '' TERM; echo begun; while :; do sleep 0.05; done", bytes_of(""));
    assert_int_equal(seen.end, COMMAND_TIMED_OUT);
    assert_int_equal(seen.status, SIGKILL);
    assert_string_equal(seen.output, "begun\n");
    assert_in_range(seen.took_ms, 290, 5000);
    seen_close(&seen);
}

static void the_whole_group_ends_at_the_deadline(void **state)
{
    (void)state;
    struct seen seen;
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), 0); /* so that we see the grandchildren end */
    run_spec(&seen, (struct command_spec){.timeout_ms = 200, .grace_ms = 100},
             "trap '' TERM; sh -c 'sleep 1000 & echo $!; wait' & echo $!; wait; while :; do sleep 1; done",
             bytes_of(""));
    assert_int_equal(seen.end, COMMAND_TIMED_OUT);
    siginfo_t info;
    while (waitid(P_ALL, 0, &info, WEXITED) == 0)
        assert_int_not_equal(info.si_code, CLD_EXITED);
    assert_int_equal(errno, ECHILD);
    prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0);
    seen_close(&seen);
}

/* Exit status ends a run, not the end of its pipes. */
static void a_grandchild_cannot_hold_up_the_end(void **state)
{
    (void)state;
    struct seen seen;
    const int64_t before_ms = clock_monotonic_ms();
    run(&seen, "echo first; setsid sleep 3 & exit 4"); /* out of the group, pipes open */
    assert_int_equal(seen.end, COMMAND_EXITED);
    assert_int_equal(seen.status, 4);
    assert_string_equal(seen.output, "first\n");
    assert_in_range(seen.done_ms - before_ms, 100, 2000);
    seen_close(&seen);
}

static void a_helper_may_finish_writing(void **state)
{
    (void)state;
    struct seen seen;
    run(&seen, "(sleep 0.05; echo late) & exit 0");
    assert_string_equal(seen.output, "late\n");
    seen_close(&seen);
}

static void the_environment_is_clean(void **state)
{
    (void)state;
    struct seen seen;
    char *environment[] = {(char[]){"TOKEN=t"}, (char[]){"LANG=de"}, (char[]){"DRAWBRIDGE_ATTEMPT=9"}, NULL};
    char *argv[] = {(char[]){"env"}, NULL};
    setenv("LEAKED_SECRET", "x", 1);
    run_spec(&seen, (struct command_spec){.argv = argv, .environment = environment}, "", bytes_of(""));
    unsetenv("LEAKED_SECRET");
    assert_string_equal(seen.output, "DRAWBRIDGE_WORKFLOW_ID=wh-1\nDRAWBRIDGE_AGENT_ID=agent\nDRAWBRIDGE_ATTEMPT=2\n"
                                     "TOKEN=t\nLANG=de\n"
                                     "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n");
    seen_close(&seen);
}

static void what_never_ran_is_no_exit_code(void **state)
{
    (void)state;
    struct seen seen;
    char *argv[] = {(char[]){"no-such-command"}, NULL};
    const size_t size = 900 * 1024;
    uint8_t *data = calloc(1, size);
    run_spec(&seen, (struct command_spec){.argv = argv}, "", (struct bytes){data, size});
    assert_int_equal(seen.end, COMMAND_SPAWN_FAILED);
    assert_string_equal(seen.error, "command 'no-such-command': No such file or directory");
    seen_close(&seen);
    run_spec(&seen, (struct command_spec){.directory = "/nowhere"}, "true", bytes_of(""));
    assert_int_equal(seen.end, COMMAND_SPAWN_FAILED);
    assert_string_equal(seen.error, "directory '/nowhere': No such file or directory");
    seen_close(&seen);
    free(data);
}

static void no_descriptor_left_is_a_spawn_error(void **state)
{
    (void)state;
    struct seen seen;
    uv_loop_t loop;
    char *argv[] = {(char[]){"true"}, NULL};
    const struct command_spec spec = {.argv = argv};
    int taken[200], count = 0;
    memset(&seen, 0, sizeof seen);
    uv_loop_init(&loop);
    for (int free_fds = 0; free_fds < 12; free_fds++) {
        struct rlimit before, low;
        getrlimit(RLIMIT_NOFILE, &before);
        low = before;
        low.rlim_cur = 200;
        setrlimit(RLIMIT_NOFILE, &low);
        for (count = 0; (taken[count] = fcntl(0, F_DUPFD_CLOEXEC, 0)) >= 0;)
            count++;
        for (int i = 0; i < free_fds; i++)
            close(taken[--count]);
        assert_non_null(command_start(&loop, &spec, identity, bytes_of(""), on_done, &seen));
        while (count > 0)
            close(taken[--count]);
        while (uv_run(&loop, UV_RUN_DEFAULT) != 0)
            continue;
        setrlimit(RLIMIT_NOFILE, &before);
        assert_int_equal(seen.calls, 1);
        if (free_fds < 8) {
            assert_int_equal(seen.end, COMMAND_SPAWN_FAILED);
            assert_non_null(strstr(seen.error, "Too many open files"));
        }
        if (free_fds == 11) assert_int_equal(seen.end, COMMAND_EXITED);
        seen_close(&seen);
    }
    assert_int_equal(uv_loop_close(&loop), 0);
}

/* A script of calls: each at its moment on the loop. */
struct act {
    struct command *command;
    uv_timer_t timer;
    void (*call)(struct command *);
};

static void on_act(uv_timer_t *timer)
{
    struct act *act = timer->data;
    act->call(act->command);
    uv_close((uv_handle_t *)timer, NULL);
}

static void act_at(uv_loop_t *loop, struct act *act, struct command *c, uint64_t at_ms, void (*call)(struct command *))
{
    act->command = c;
    act->call = call;
    uv_timer_init(loop, &act->timer);
    act->timer.data = act;
    uv_timer_start(&act->timer, on_act, at_ms, 0);
}

struct step {
    uint64_t at_ms;
    void (*call)(struct command *);
};

static void run_steps(struct seen *seen, const char *script, int64_t timeout_ms, const struct step *steps)
{
    uv_loop_t loop;
    struct act acts[8];
    char *text = strdup(script);
    char *argv[] = {(char[]){"sh"}, (char[]){"-c"}, text, NULL};
    const struct command_spec spec = {
        .argv = argv, .timeout_ms = timeout_ms, .grace_ms = 300, .output_max_bytes = 1 << 20};
    memset(seen, 0, sizeof *seen);
    assert_int_equal(uv_loop_init(&loop), 0);
    struct command *c = command_start(&loop, &spec, identity, bytes_of(""), on_done, seen);
    for (int i = 0; steps[i].call; i++)
        act_at(&loop, &acts[i], c, steps[i].at_ms, steps[i].call);
    loop_close(&loop);
    free(text);
}

static void stop_asks_first(void **state)
{
    (void)state;
    struct seen seen;
    run_steps(&seen, "trap 'sleep 0.15; echo bye; exit 0' TERM; while :; do sleep 0.05; done", 0,
              (struct step[]){{200, command_stop}, {210, command_stop}, {0, NULL}});
    assert_int_equal(seen.calls, 1);
    assert_int_equal(seen.end, COMMAND_STOPPED);
    assert_string_equal(seen.output, "bye\n");
    seen_close(&seen);
}

static void stop_does_not_ask_twice(void **state)
{
    (void)state;
    struct seen seen;
    run_steps(&seen, "trap '' TERM; while :; do sleep 0.05; done", 0, (struct step[]){{200, command_stop}, {0, NULL}});
    assert_int_equal(seen.end, COMMAND_STOPPED);
    assert_int_equal(seen.status, SIGKILL);
    assert_in_range(seen.took_ms, 490, 5000);
    seen_close(&seen);
}

static void kill_is_at_once(void **state)
{
    (void)state;
    struct seen seen;
    run_steps(&seen, "trap 'echo asked' TERM; while :; do sleep 0.05; done", 0,
              (struct step[]){{200, command_kill}, {0, NULL}});
    assert_int_equal(seen.end, COMMAND_STOPPED);
    assert_int_equal(seen.status, SIGKILL);
    assert_string_equal(seen.output, "");
    assert_in_range(seen.took_ms, 190, 480);
    seen_close(&seen);
}

static void frozen_time_does_not_count(void **state)
{
    (void)state;
    struct seen seen;
    /* 0.3 s of work with a deadline of 0.6 s, frozen for 0.8 s in between */
    run_steps(&seen, "for i in 1 2 3 4 5 6; do sleep 0.05; done; echo done", 600,
              (struct step[]){
                  {100, command_freeze}, {150, command_freeze}, {900, command_thaw}, {910, command_thaw}, {0, NULL}});
    assert_int_equal(seen.end, COMMAND_EXITED);
    assert_string_equal(seen.output, "done\n");
    assert_in_range(seen.took_ms, 890, 5000);
    seen_close(&seen);
}

static void the_deadline_goes_on_after_the_thaw(void **state)
{
    (void)state;
    struct seen seen;
    run_steps(&seen, "exec sleep 1000", 400, (struct step[]){{100, command_freeze}, {700, command_thaw}, {0, NULL}});
    assert_int_equal(seen.end, COMMAND_TIMED_OUT);
    assert_int_equal(seen.status, SIGTERM);
    assert_in_range(seen.took_ms, 990, 3000);
    seen_close(&seen);
}

/* TERM would wait for the thaw, and the thaw would let it overlap with its successor (J15). */
static void a_frozen_command_is_killed_never_asked(void **state)
{
    (void)state;
    void (*const calls[])(struct command *) = {command_kill, command_stop};
    for (int i = 0; i < 2; i++) {
        struct seen seen;
        run_steps(&seen, "trap 'echo asked; exit 0' TERM; while :; do sleep 0.05; done", 0,
                  (struct step[]){{200, command_freeze}, {300, calls[i]}, {0, NULL}});
        assert_int_equal(seen.end, COMMAND_STOPPED);
        assert_int_equal(seen.status, SIGKILL);
        assert_string_equal(seen.output, "");
        assert_in_range(seen.took_ms, 290, 580);
        seen_close(&seen);
    }
}

static void an_abandoned_command_never_reports(void **state)
{
    (void)state;
    struct seen seen;
    run_steps(&seen, "exec sleep 1000", 0, (struct step[]){{100, command_abandon}, {0, NULL}});
    assert_int_equal(seen.calls, 0);
    siginfo_t info;
    assert_int_equal(waitid(P_ALL, 0, &info, WEXITED), 0);
    assert_int_equal(info.si_status, SIGKILL);
}

static int open_descriptors(void)
{
    int count = 0;
    DIR *directory = opendir("/proc/self/fd");
    while (readdir(directory))
        count++;
    closedir(directory);
    return count;
}

struct pool {
    uv_loop_t loop;
    const struct command_spec *spec;
    int started, ended, wrong;
};

static void on_pool_done(void *ctx, const struct command_outcome *o);

static void pool_start(struct pool *pool)
{
    pool->started++;
    assert_non_null(command_start(&pool->loop, pool->spec, identity, bytes_of("x"), on_pool_done, pool));
}

static void on_pool_done(void *ctx, const struct command_outcome *o)
{
    struct pool *pool = ctx;
    pool->ended++;
    if (o->end != COMMAND_EXITED || o->status != 0) pool->wrong++;
    if (pool->started < 1000) pool_start(pool); /* from inside a callback, as the runner does */
}

static void a_thousand_commands_leave_nothing(void **state)
{
    (void)state;
    char *argv[] = {(char[]){"/bin/true"}, NULL};
    const struct command_spec spec = {.argv = argv, .timeout_ms = 60000, .output_max_bytes = 100};
    struct pool pool = {.spec = &spec};
    assert_int_equal(uv_loop_init(&pool.loop), 0);
    const int before = open_descriptors();
    for (int i = 0; i < 8; i++)
        pool_start(&pool);
    while (uv_run(&pool.loop, UV_RUN_DEFAULT) != 0)
        continue;
    assert_int_equal(pool.ended, 1000);
    assert_int_equal(pool.wrong, 0);
    assert_int_equal(open_descriptors(), before);
    loop_close(&pool.loop);
    siginfo_t info;
    assert_int_equal(waitid(P_ALL, 0, &info, WEXITED | WNOHANG), -1); /* no zombie either */
}

/* Started again as a runner: keeps one command and waits to be killed. */
static int be_runner(const char *script)
{
    uv_loop_t loop;
    struct seen seen = {0};
    char *text = strdup(script);
    char *argv[] = {(char[]){"sh"}, (char[]){"-c"}, text, NULL};
    const struct command_spec spec = {.argv = argv, .output_max_bytes = 100};
    uv_loop_init(&loop);
    struct command *c = command_start(&loop, &spec, identity, bytes_of(""), on_done, &seen);
    (void)c;
    uv_run(&loop, UV_RUN_DEFAULT);
    return 0;
}

static void children_die_with_the_runner(void **state)
{
    (void)state;
    extern char **environ;
    char self[] = "/proc/self/exe", role[] = "--runner", path[] = "/tmp/test_engine_command_XXXXXX", script[100];
    const int fd = mkostemp(path, O_CLOEXEC);
    assert_true(fd >= 0);
    snprintf(script, sizeof script, "echo $$ > %s; exec sleep 1000", path);
    char *argv[] = {self, role, script, NULL};
    pid_t runner;
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), 0);
    assert_int_equal(posix_spawn(&runner, self, NULL, NULL, argv, environ), 0);
    char text[32] = "";
    for (int i = 0; i < 1000 && !strchr(text, '\n'); i++) {
        usleep(10000);
        const ssize_t size = pread(fd, text, sizeof text - 1, 0);
        text[size > 0 ? size : 0] = 0;
    }
    close(fd);
    unlink(path);
    const pid_t child = (pid_t)atoll(text);
    assert_true(child > 0);
    assert_int_equal(kill(child, 0), 0);
    assert_int_equal(kill(runner, SIGKILL), 0);
    siginfo_t info;
    assert_int_equal(waitid(P_PID, (id_t)runner, &info, WEXITED), 0);
    for (int i = 0; i < 1000 && waitid(P_PID, (id_t)child, &info, WEXITED | WNOHANG) == 0 && info.si_pid == 0; i++)
        usleep(10000);
    assert_int_equal(info.si_pid, child);
    assert_int_equal(info.si_status, SIGKILL);
    prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0);
}

int main(int argc, char **argv)
{
    const struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigaction(SIGPIPE, &ignore, NULL);
    if (argc == 3 && strcmp(argv[1], "--runner") == 0) return be_runner(argv[2]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exit_codes_and_output),
        cmocka_unit_test(a_signal_is_an_end_of_its_own),
        cmocka_unit_test(input_arrives_whole),
        cmocka_unit_test(a_command_need_not_read),
        cmocka_unit_test(output_is_bounded),
        cmocka_unit_test(a_flood_does_not_stall),
        cmocka_unit_test(stderr_keeps_its_tail),
        cmocka_unit_test(the_deadline_is_a_term),
        cmocka_unit_test(who_ignores_term_is_killed),
        cmocka_unit_test(the_whole_group_ends_at_the_deadline),
        cmocka_unit_test(a_grandchild_cannot_hold_up_the_end),
        cmocka_unit_test(a_helper_may_finish_writing),
        cmocka_unit_test(the_environment_is_clean),
        cmocka_unit_test(what_never_ran_is_no_exit_code),
        cmocka_unit_test(no_descriptor_left_is_a_spawn_error),
        cmocka_unit_test(stop_asks_first),
        cmocka_unit_test(stop_does_not_ask_twice),
        cmocka_unit_test(kill_is_at_once),
        cmocka_unit_test(frozen_time_does_not_count),
        cmocka_unit_test(the_deadline_goes_on_after_the_thaw),
        cmocka_unit_test(a_frozen_command_is_killed_never_asked),
        cmocka_unit_test(an_abandoned_command_never_reports),
        cmocka_unit_test(a_thousand_commands_leave_nothing),
        cmocka_unit_test(children_die_with_the_runner),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

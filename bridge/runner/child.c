/* child.c: posix_spawn of our launcher (libuv's fork costs 21 ms per GiB resident, traps 6), group, pidfd, kill.
 * SPDX-License-Identifier: Apache-2.0 */
#include "child.h"
#include "launch_order.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* The launcher lies beside the program, where it is installed, or beside us in a build tree; relative to our binary. */
static const char *const launcher_places[] = {"drawbridge-launch", DRAWBRIDGE_LIBEXEC "/drawbridge-launch",
                                              "../bin/drawbridge-launch"};

static const char *const step_texts[] = {
    [LAUNCH_STEP_FORM] = "launcher of another version",  [LAUNCH_STEP_PRIVILEGES] = "give up privileges",
    [LAUNCH_STEP_MEMORY] = "set the memory limit",       [LAUNCH_STEP_CPU] = "set the CPU limit",
    [LAUNCH_STEP_FILES] = "set the limit of open files", [LAUNCH_STEP_PROCESSES] = "set the limit of processes",
};

/* Each pipe: [0] is read, [1] is written. */
enum { PIPE_INPUT, PIPE_OUTPUT, PIPE_ERRORS, PIPE_REPORT, PIPES };

void child_init(struct child *s)
{
    *s = (struct child){.pidfd = -1, .input = -1, .output = -1, .errors = -1, .report = -1};
}

void child_close_fd(int *fd)
{
    if (*fd >= 0) close(*fd);
    *fd = -1;
}

void child_close(struct child *s)
{
    child_close_fd(&s->input);
    child_close_fd(&s->output);
    child_close_fd(&s->errors);
    child_close_fd(&s->report);
    child_close_fd(&s->pidfd);
}

static void pipes_close(int pipes[PIPES][2])
{
    for (int i = 0; i < PIPES; i++) {
        child_close_fd(&pipes[i][0]);
        child_close_fd(&pipes[i][1]);
    }
}

/* Above the numbers they get in the child, or dup2 of one would close another. */
static bool lift(int *fd)
{
    if (*fd > LAUNCH_REPORT_FD) return true;
    const int lifted = fcntl(*fd, F_DUPFD_CLOEXEC, LAUNCH_REPORT_FD + 1);
    if (lifted < 0) return false;
    close(*fd);
    *fd = lifted;
    return true;
}

static bool pipes_open(int pipes[PIPES][2], struct error *error)
{
    for (int i = 0; i < PIPES; i++)
        pipes[i][0] = pipes[i][1] = -1;
    for (int i = 0; i < PIPES; i++) {
        const int ours = i == PIPE_INPUT ? 1 : 0;
        if (pipe2(pipes[i], O_CLOEXEC) < 0 || !lift(&pipes[i][0]) || !lift(&pipes[i][1]) ||
            fcntl(pipes[i][ours], F_SETFL, O_NONBLOCK) < 0) {
            error_set_errno(error, errno, "open a pipe");
            pipes_close(pipes);
            return false;
        }
    }
    return true;
}

static bool launcher_find(char path[PATH_MAX], struct error *error)
{
    char self[PATH_MAX];
    const ssize_t size = readlink("/proc/self/exe", self, sizeof self - 1);
    if (size < 0) return error_set_errno(error, errno, "read /proc/self/exe");
    self[size] = 0;
    char *slash = strrchr(self, '/');
    if (slash) *slash = 0;
    for (size_t i = 0; i < sizeof launcher_places / sizeof launcher_places[0]; i++) {
        const int length = snprintf(path, PATH_MAX, "%s/%s", self, launcher_places[i]);
        if (length > 0 && length < PATH_MAX && access(path, X_OK) == 0) return true;
    }
    *path = 0;
    return error_set(error, ERROR_NOT_FOUND, "launcher 'drawbridge-launch' not found in %s nor in %s/%s", self, self,
                     DRAWBRIDGE_LIBEXEC);
}

/* Looked up once: an upgrade puts a new one at the same place. */
static const char *launcher_path(struct error *error)
{
    static char path[PATH_MAX];
    return *path || launcher_find(path, error) ? path : NULL;
}

bool child_ready(struct error *error)
{
    return launcher_path(error) != NULL;
}

/* posix_spawn wants char * but writes through none of them. */
static char *unconst(const char *text)
{
    union {
        const char *in;
        char *out;
    } u = {text};
    return u.out;
}

struct order {
    char numbers[LAUNCH_DIRECTORY][24];
    char **argv; /* on the heap; its strings are not */
};

static bool order_write(struct order *o, const struct command_spec *spec, struct error *error)
{
    const int64_t numbers[] = {[LAUNCH_PARENT] = getpid(),
                               [LAUNCH_MEMORY] = spec->limits.memory_max_bytes,
                               [LAUNCH_CPU] = spec->limits.cpu_max_s,
                               [LAUNCH_FILES] = spec->limits.files_max,
                               [LAUNCH_PROCESSES] = spec->limits.processes_max};
    size_t count = 0;
    while (spec->argv[count])
        count++;
    o->argv = calloc(LAUNCH_COMMAND + count + 1, sizeof o->argv[0]);
    if (!o->argv) return error_set(error, ERROR_MEMORY, "no memory");
    o->argv[LAUNCH_NAME] = unconst("drawbridge-launch");
    o->argv[LAUNCH_VERSION] = unconst(LAUNCH_FORM);
    for (int i = LAUNCH_PARENT; i < LAUNCH_DIRECTORY; i++) {
        snprintf(o->numbers[i], sizeof o->numbers[i], "%lld", (long long)(numbers[i] > 0 ? numbers[i] : 0));
        o->argv[i] = o->numbers[i];
    }
    o->argv[LAUNCH_DIRECTORY] = unconst(spec->directory ? spec->directory : "");
    memcpy(o->argv + LAUNCH_COMMAND, spec->argv, count * sizeof o->argv[0]);
    return true;
}

static int actions_add(posix_spawn_file_actions_t *actions, int pipes[PIPES][2])
{
    int failure = posix_spawn_file_actions_adddup2(actions, pipes[PIPE_INPUT][0], STDIN_FILENO);
    if (!failure) failure = posix_spawn_file_actions_adddup2(actions, pipes[PIPE_OUTPUT][1], STDOUT_FILENO);
    if (!failure) failure = posix_spawn_file_actions_adddup2(actions, pipes[PIPE_ERRORS][1], STDERR_FILENO);
    if (!failure) failure = posix_spawn_file_actions_adddup2(actions, pipes[PIPE_REPORT][1], LAUNCH_REPORT_FD);
    /* Some libraries' descriptors are not close-on-exec (librdkafka's pipes). */
    if (!failure) failure = posix_spawn_file_actions_addclosefrom_np(actions, LAUNCH_REPORT_FD + 1);
    return failure;
}

static int attributes_set(posix_spawnattr_t *attributes)
{
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    int failure =
        posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    if (!failure) failure = posix_spawnattr_setpgroup(attributes, 0);
    if (!failure) failure = posix_spawnattr_setsigmask(attributes, &none);
    if (!failure) failure = posix_spawnattr_setsigdefault(attributes, &all);
    return failure;
}

static int launch(pid_t *pid, const char *launcher, int pipes[PIPES][2], char *const *argv, char *const *environment)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int failure = posix_spawn_file_actions_init(&actions);
    if (failure) return failure;
    failure = posix_spawnattr_init(&attributes);
    if (failure) goto actions_destroy;
    failure = actions_add(&actions, pipes);
    if (!failure) failure = attributes_set(&attributes);
    if (!failure) failure = posix_spawn(pid, launcher, &actions, &attributes, argv, environment);
    posix_spawnattr_destroy(&attributes);
actions_destroy:
    posix_spawn_file_actions_destroy(&actions);
    return failure;
}

bool child_start(struct child *s, const struct command_spec *spec, char *const *environment, struct error *error)
{
    child_init(s);
    const char *launcher = launcher_path(error);
    struct order order;
    int pipes[PIPES][2];
    if (!launcher || !pipes_open(pipes, error)) return false;
    bool started = false;
    if (!order_write(&order, spec, error)) goto pipes_close;
    const int failure = launch(&s->pid, launcher, pipes, order.argv, environment);
    free(order.argv);
    if (failure) {
        s->pid = 0;
        error_set_errno(error, failure, "start %s", launcher);
        goto pipes_close;
    }
    s->pidfd = (int)syscall(SYS_pidfd_open, s->pid, 0);
    started = s->pidfd >= 0;
    if (!started) {
        struct child_end end;
        error_set_errno(error, errno, "pidfd_open");
        child_signal(s, SIGKILL);
        child_reap(s, &end);
        goto pipes_close;
    }
    s->input = pipes[PIPE_INPUT][1], pipes[PIPE_INPUT][1] = -1;
    s->output = pipes[PIPE_OUTPUT][0], pipes[PIPE_OUTPUT][0] = -1;
    s->errors = pipes[PIPE_ERRORS][0], pipes[PIPE_ERRORS][0] = -1;
    s->report = pipes[PIPE_REPORT][0], pipes[PIPE_REPORT][0] = -1;
pipes_close:
    pipes_close(pipes);
    return started;
}

void child_signal(const struct child *s, int signal)
{
    if (s->pid > 0) kill(-s->pid, signal);
}

/* waitid that is not disturbed; true when `info` tells of our process. */
static bool wait_for(const struct child *s, siginfo_t *info)
{
    int result;
    do
        result = waitid(P_PID, (id_t)s->pid, info, WEXITED);
    while (result < 0 && errno == EINTR);
    return result == 0;
}

bool child_reap(struct child *s, struct child_end *end)
{
    siginfo_t info;
    /* Before the wait: as long as the zombie stands, nobody else's group can have this id. */
    child_signal(s, SIGKILL);
    const bool known = wait_for(s, &info);
    s->pid = 0;
    *end = (struct child_end){.signaled = known && info.si_code != CLD_EXITED, .status = known ? info.si_status : 0};
    return known;
}

bool child_ran(const struct child *s, const struct command_spec *spec, struct error *error)
{
    struct launch_report report;
    ssize_t size;
    do
        size = read(s->report, &report, sizeof report);
    while (size < 0 && errno == EINTR);
    if (size != (ssize_t)sizeof report) return true;
    if (report.step == LAUNCH_STEP_EXEC) return error_set_errno(error, report.errnum, "command '%s'", spec->argv[0]);
    if (report.step == LAUNCH_STEP_DIRECTORY)
        return error_set_errno(error, report.errnum, "directory '%s'", spec->directory);
    const bool known = report.step >= 0 && (size_t)report.step < sizeof step_texts / sizeof step_texts[0];
    return error_set_errno(error, report.errnum, "command '%s': %s", spec->argv[0],
                           known ? step_texts[report.step] : "launcher of another version");
}

/* process.c: child processes that die with us.  posix_spawn cannot ask for a parent-death signal, so the child is first
 * this program again, as launcher, which asks for it and then becomes the program that was wanted.
 * SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"
#include "clock.h"
#include "text.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { LAUNCH_FAILED = 127, ARGUMENTS_MAX = 32 };

static const char launch_word[] = "--launch";

bool process_launch_asked(int argc, char **argv)
{
    return argc > 3 && strcmp(argv[1], launch_word) == 0;
}

/* drawbridge --launch PARENT_PID PROGRAM ARGUMENTS... */
int process_launch(int argc, char **argv)
{
    int64_t parent;
    if (!text_parse_int64(bytes_of(argv[2]), 1, INT32_MAX, &parent)) return LAUNCH_FAILED;
    if (prctl(PR_SET_PDEATHSIG, SIGTERM) != 0) return LAUNCH_FAILED;
    if (getppid() != (pid_t)parent) return LAUNCH_FAILED; /* it died before we asked */
    (void)argc;
    execv(argv[3], argv + 3);
    struct error error;
    error_set_errno(&error, errno, "start '%s'", argv[3]);
    talk_error(&error);
    return LAUNCH_FAILED;
}

static bool attributes_make(posix_spawnattr_t *attributes, posix_spawn_file_actions_t *actions, int output_fd)
{
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    return posix_spawnattr_setflags(attributes,
                                    POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF) == 0 &&
           posix_spawnattr_setpgroup(attributes, 0) == 0 && posix_spawnattr_setsigmask(attributes, &none) == 0 &&
           posix_spawnattr_setsigdefault(attributes, &all) == 0 &&
           posix_spawn_file_actions_addopen(actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0) == 0 &&
           posix_spawn_file_actions_adddup2(actions, output_fd, STDOUT_FILENO) == 0 &&
           posix_spawn_file_actions_adddup2(actions, output_fd, STDERR_FILENO) == 0 &&
           posix_spawn_file_actions_addclosefrom_np(actions, STDERR_FILENO + 1) == 0;
}

bool process_start(struct process *p, const char *name, char *const *argv, char *const *environment, int output_fd,
                   struct error *error)
{
    char launcher[] = "drawbridge", word[sizeof launch_word], parent[16];
    memcpy(word, launch_word, sizeof word);
    snprintf(parent, sizeof parent, "%d", (int)getpid());
    char *full[ARGUMENTS_MAX + 4] = {launcher, word, parent};
    size_t count = 3;
    for (; *argv != NULL && count < ARGUMENTS_MAX + 3; argv++)
        full[count++] = *argv;
    if (*argv != NULL) return error_set(error, ERROR_TOO_LARGE, "too many arguments for %s", name);

    posix_spawnattr_t attributes;
    posix_spawn_file_actions_t actions;
    posix_spawnattr_init(&attributes);
    posix_spawn_file_actions_init(&actions);
    *p = (struct process){.name = name};
    int errnum = attributes_make(&attributes, &actions, output_fd) ? 0 : ENOMEM;
    if (errnum == 0) errnum = posix_spawn(&p->pid, "/proc/self/exe", &actions, &attributes, full, environment);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    if (errnum == 0) return true;
    p->pid = 0;
    return error_set_errno(error, errnum, "start %s", name);
}

bool process_alive(struct process *p)
{
    if (p->pid == 0) return false;
    pid_t ended;
    while ((ended = waitpid(p->pid, &p->status, WNOHANG)) < 0 && errno == EINTR)
        continue;
    if (ended == 0) return true;
    p->pid = 0;
    return false;
}

static bool ended_within(struct process *p, int64_t wait_ms)
{
    const int64_t deadline_ms = clock_monotonic_ms() + wait_ms;
    while (process_alive(p)) {
        if (clock_monotonic_ms() >= deadline_ms) return false;
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
    return true;
}

void process_stop(struct process *p, int64_t grace_ms)
{
    if (!process_alive(p)) return;
    kill(-p->pid, SIGTERM);
    if (ended_within(p, grace_ms)) return;
    kill(-p->pid, SIGKILL);
    ended_within(p, INT32_MAX);
}

bool process_wait(struct process *p, int64_t wait_ms)
{
    return ended_within(p, wait_ms);
}

bool process_sibling(const char *name, struct buffer *out, struct error *error)
{
    char self[4096];
    const ssize_t size = readlink("/proc/self/exe", self, sizeof self - 1);
    if (size < 0) return error_set_errno(error, errno, "find our own executable");
    self[size] = '\0';
    char *slash = strrchr(self, '/');
    if (slash != NULL) *slash = '\0';
    buffer_format(out, "%s/%s", self, name);
    if (!buffer_ok(out)) return error_set(error, ERROR_TOO_LARGE, "the path of %s is too long", name);
    if (access(buffer_cstr(out), X_OK) == 0) return true;
    return error_set_errno(error, errno, "%s should stand next to drawbridge: %s", name, buffer_cstr(out));
}

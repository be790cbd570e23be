/* child.h: one process in a group of its own: started by our launcher, watched by pidfd, ended as a whole.
 * All on one thread that outlives the process: the kernel's death signal fires when the spawning *thread* ends (traps
 * 6). SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "engine_command.h"
#include <sys/types.h>

/* Our ends of a running process; -1 where closed.  The three pipes are non-blocking and real pipes: `cat /dev/stdin`
 * fails on a socket. */
struct child {
    pid_t pid; /* also the id of its group; 0: nothing runs */
    int pidfd; /* readable when it has ended */
    int input, output, errors;
    int report; /* the launcher's: see child_ran */
};

struct child_end {
    bool signaled;
    int status; /* exit code, or the signal */
};

/* Finds the launcher.  False: no command can be started from this installation, and why. */
bool child_ready(struct error *error);
/* Nothing runs, nothing is open. */
void child_init(struct child *s);
/* Starts spec->argv with exactly this environment, clean signal mask, dispositions and descriptors.  Blocks until the
 * launcher is executed, not until the command is (under 1 ms whatever our size: posix_spawn).  False: nothing was left
 * behind and `error` says why. */
bool child_start(struct child *s, const struct command_spec *spec, char *const *environment, struct error *error);
/* Sends a signal to the whole group; legal until child_reap. */
void child_signal(const struct child *s, int signal);
/* Once pidfd is readable: KILLs what is left of the group, then reaps.  Until then the process is a zombie, so that its
 * group's id can't belong to anybody else.  False if the exit status is lost (SIGCHLD ignored). */
bool child_reap(struct child *s, struct child_end *end);
/* After the end: false if the launcher reported that the command never ran; `error` says why. */
bool child_ran(const struct child *s, const struct command_spec *spec, struct error *error);
/* Closes one of the descriptors and marks it. */
void child_close_fd(int *fd);
/* Closes all that is still open. */
void child_close(struct child *s);

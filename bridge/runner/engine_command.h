/* engine_command.h: life of one command: input on stdin, bounded output, deadline, outcome.
 * Everything runs on the loop thread.  SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "buffer.h"
#include "error.h"

struct uv_loop_s;

struct command_limits {       /* 0: inherit */
    int64_t memory_max_bytes; /* RLIMIT_AS */
    int64_t cpu_max_s;        /* RLIMIT_CPU */
    int64_t files_max;        /* RLIMIT_NOFILE; 0: as inherited, but at most 1024 soft (the runner raised its own) */
    int64_t processes_max;    /* RLIMIT_NPROC */
};

/* What to start; belongs to the agent's configuration and outlives the command. */
struct command_spec {
    char *const *argv;            /* NULL-terminated; argv[0] is looked up in PATH of the clean environment */
    const char *directory;        /* "" or NULL: the runner's own */
    char *const *environment;     /* extra "NAME=value", NULL-terminated; may be NULL */
    int64_t timeout_ms, grace_ms; /* deadline, then TERM, grace, KILL of the whole group */
    int64_t output_max_bytes;     /* of stdout; the rest is read and dropped */
    struct command_limits limits;
};

/* What identifies this attempt; copied. */
struct command_identity {
    const char *workflow_id, *agent_id;
    int attempt;
};

enum command_end {
    COMMAND_EXITED,       /* `status` is the exit code */
    COMMAND_SIGNALED,     /* `status` is the signal */
    COMMAND_TIMED_OUT,    /* the deadline passed and we ended it */
    COMMAND_STOPPED,      /* command_stop or command_kill ended it */
    COMMAND_SPAWN_FAILED, /* it never ran; `error` says why */
};

struct command_outcome {
    enum command_end end;
    int status;
    struct bytes output; /* stdout, at most output_max_bytes */
    bool output_truncated;
    struct bytes error;           /* tail of stderr (at most 4 KiB, cut at a line if possible) or the spawn error */
    int64_t started_us, ended_us; /* wall clock */
};

struct command;

/* Starts the command in its own process group through our launcher (traps 6), `drawbridge-launch`: beside our own
 * binary or in the libexec folder.  The caller's process ignores SIGPIPE, does not ignore SIGCHLD, and calls this on
 * the thread that lives as long as the process (the death signal of the children follows the thread).  `input` is
 * copied.  `done` is called once, later and on the loop thread, with views that die on return; the command is freed
 * after it.  NULL only without memory: a failed spawn comes through `done` as well. */
struct command *command_start(struct uv_loop_s *loop, const struct command_spec *spec, struct command_identity identity,
                              struct bytes input, void (*done)(void *ctx, const struct command_outcome *outcome),
                              void *ctx);
/* SIGSTOP and SIGCONT to the whole group.  A frozen command's deadline does not run out. */
void command_freeze(struct command *c);
void command_thaw(struct command *c);
/* TERM, grace, KILL; `done` reports COMMAND_STOPPED. */
void command_stop(struct command *c);
/* KILL of the group at once, frozen or not; `done` reports COMMAND_STOPPED. */
void command_kill(struct command *c);
/* For callers that are about to _exit: KILL at once, no callback ever. */
void command_abandon(struct command *c);

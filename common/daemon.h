/* daemon.h: what both daemons do before and around their work: command line, signals, limits.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "config.h"
#include "error.h"

/* Exit codes of both daemons; the units list DAEMON_EXIT_FENCED in RestartPreventExitStatus. */
enum daemon_exit {
    DAEMON_EXIT_OK = 0,
    DAEMON_EXIT_CONFIGURATION = 1, /* bad configuration, bad credentials: all problems were printed */
    DAEMON_EXIT_FAILURE = 2,       /* failed at run time */
    DAEMON_EXIT_FENCED = 3,        /* another process uses our slot (traps 8, J27) */
};

struct daemon_options {
    const char *config_path; /* NULL: none given and the default path does not exist */
    bool check_config;       /* --check-config: load, print all problems, exit */
};

struct daemon_program {
    const char *name;                    /* "drawbridge-ingress" */
    const char *summary;                 /* one sentence for --help */
    const char *default_config_path;     /* "/etc/drawbridge/ingress.cfg" */
    const struct config_option *options; /* for --help-config */
    size_t option_count;
    void (*help_config_more)(FILE *out); /* further tables (agents, triggers); may be NULL */
};

/* Parses the command line: --config PATH, --check-config, --help, --help-config, --version.  Returns false when the
 * program is to exit now with *exit_code (after --help, or a usage error that was printed).  Main thread. */
bool daemon_command_line(const struct daemon_program *p, int argc, char **argv, struct daemon_options *out,
                         int *exit_code);

/* Blocks all signals but faults in this thread (threads started later inherit that), ignores SIGPIPE, forbids core
 * files and a look into our memory by other processes, raises RLIMIT_NOFILE to its hard limit, tells malloc to keep
 * freed memory.  First thing after the command line, before any library starts a thread (traps 7). */
bool daemon_start(struct error *error);
/* A non-blocking signalfd for SIGTERM, SIGINT and SIGHUP, which daemon_start has blocked; -1 on error.  The caller
 * closes it. */
int daemon_signal_fd(struct error *error);
/* The next pending signal of a signalfd, or 0. */
int daemon_next_signal(int fd);

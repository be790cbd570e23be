/* daemon.c: command line, signals and limits of both daemons.
 * SPDX-License-Identifier: Apache-2.0 */
#include "daemon.h"
#include <errno.h>
#include <getopt.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum { ASKED_CONFIG = 'c', ASKED_HELP = 'h', ASKED_CHECK = 1000, ASKED_HELP_CONFIG, ASKED_VERSION };

static const struct option long_options[] = {
    {"config", required_argument, NULL, ASKED_CONFIG}, {"check-config", no_argument, NULL, ASKED_CHECK},
    {"help", no_argument, NULL, ASKED_HELP},           {"help-config", no_argument, NULL, ASKED_HELP_CONFIG},
    {"version", no_argument, NULL, ASKED_VERSION},     {0},
};

static void print_help(const struct daemon_program *p)
{
    printf("%s: %s\n\n"
           "usage: %s [--config PATH] [--check-config]\n"
           "       %s --help | --help-config | --version\n\n"
           "  -c, --config PATH  configuration file; default %s\n"
           "                     (when that does not exist: built-in defaults and the environment)\n"
           "      --check-config read the configuration, print everything that is wrong with it, exit\n"
           "      --help-config  print every option with its kind, default and range\n"
           "      --version      print the version\n"
           "  -h, --help         print this\n\n"
           "Options of the file can be set by the environment too: http.body_max by DRAWBRIDGE_HTTP_BODY_MAX,\n"
           "the librdkafka property bootstrap.servers by DRAWBRIDGE_KAFKA_BOOTSTRAP_SERVERS.\n\n"
           "signals: SIGTERM and SIGINT drain and exit; SIGHUP reads again what can be reloaded\n\n"
           "exit codes:\n"
           "  %d  after a clean stop\n"
           "  %d  wrong command line or configuration, or credentials that the brokers refuse\n"
           "  %d  failed at run time\n"
           "  %d  another process uses our slot (transactional.id); restarting would only fence it in turn\n",
           p->name, p->summary, p->name, p->name, p->default_config_path, DAEMON_EXIT_OK, DAEMON_EXIT_CONFIGURATION,
           DAEMON_EXIT_FAILURE, DAEMON_EXIT_FENCED);
}

static void print_help_config(const struct daemon_program *p)
{
    printf(
        "# %s: configuration\n"
        "# A libconfig file: name = value; groups in { }, lists in [ ].  Sizes and durations are texts with a unit.\n"
        "# The options of this first table also come from the environment, DRAWBRIDGE_ and the name in upper case "
        "with\n"
        "# '_' for '.', which goes before the file; lists are written with commas there.\n\n",
        p->name);
    config_print_help(stdout, "options", p->options, p->option_count);
    if (p->help_config_more != NULL) p->help_config_more(stdout);
}

static bool usage_error(const struct daemon_program *p, int *exit_code)
{
    fprintf(stderr, "try `%s --help`\n", p->name);
    *exit_code = DAEMON_EXIT_CONFIGURATION;
    return false;
}

/* What was printed must have got out: a full disk behind the redirection is a failure. */
static bool printed(int *exit_code)
{
    *exit_code = fflush(stdout) == 0 && !ferror(stdout) ? DAEMON_EXIT_OK : DAEMON_EXIT_FAILURE;
    return false;
}

bool daemon_command_line(const struct daemon_program *p, int argc, char **argv, struct daemon_options *out,
                         int *exit_code)
{
    *out = (struct daemon_options){0};
    optind = 0; /* scan from the start, whatever was scanned before */
    int asked;
    while ((asked = getopt_long(argc, argv, "c:h", long_options, NULL)) != -1) {
        switch (asked) {
        case ASKED_CONFIG: out->config_path = optarg; break;
        case ASKED_CHECK: out->check_config = true; break;
        case ASKED_HELP: print_help(p); return printed(exit_code);
        case ASKED_HELP_CONFIG: print_help_config(p); return printed(exit_code);
        case ASKED_VERSION: printf("%s %s\n", p->name, DRAWBRIDGE_VERSION); return printed(exit_code);
        default: return usage_error(p, exit_code);
        }
    }
    if (optind < argc) {
        fprintf(stderr, "%s: unexpected argument '%s'\n", p->name, argv[optind]);
        return usage_error(p, exit_code);
    }
    /* A default that is there but can't be read is an error later, not silence. */
    if (out->config_path == NULL && (access(p->default_config_path, F_OK) == 0 || errno != ENOENT))
        out->config_path = p->default_config_path;
    return true;
}

static bool block_signals(struct error *error)
{
    /* Faults stay deliverable: a sanitizer or the kernel has to see them at once. */
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS};
    sigset_t all;
    sigfillset(&all);
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
        sigdelset(&all, faults[i]);
    int errnum = pthread_sigmask(SIG_SETMASK, &all, NULL);
    if (errnum != 0) return error_set_errno(error, errnum, "block signals");
    /* A library may unblock signals in a thread of its own. */
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    if (sigaction(SIGPIPE, &ignore, NULL) != 0) return error_set_errno(error, errno, "ignore SIGPIPE");
    return true;
}

/* Secrets are in memory: no core file, and no other process of this user may look (ptrace, /proc/PID/mem). */
static bool forbid_dumps(struct error *error)
{
    if (setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0}) != 0)
        return error_set_errno(error, errno, "switch core files off");
    if (prctl(PR_SET_DUMPABLE, 0) != 0) return error_set_errno(error, errno, "switch dumps off");
    return true;
}

static bool raise_descriptors(struct error *error)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return error_set_errno(error, errno, "read the descriptor limit");
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0) return error_set_errno(error, errno, "raise the descriptor limit");
    return true;
}

/* glibc hands freed memory back to the kernel 128 KiB at a time, and a broker's thread faults it in again with the next
 * batch: page faults and madvise were 3 % of the ingress's processor time.  Keep some megabytes. */
static void keep_freed_memory(void)
{
    mallopt(M_TRIM_THRESHOLD, 8 << 20);
    mallopt(M_MMAP_THRESHOLD, 1 << 20); /* setting either ends glibc's own adjusting of both */
}

bool daemon_start(struct error *error)
{
    keep_freed_memory();
    return block_signals(error) && forbid_dumps(error) && raise_descriptors(error);
}

int daemon_signal_fd(struct error *error)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (fd < 0) error_set_errno(error, errno, "signalfd");
    return fd;
}

int daemon_next_signal(int fd)
{
    struct signalfd_siginfo info;
    ssize_t size;
    do {
        size = read(fd, &info, sizeof info);
    } while (size < 0 && errno == EINTR);
    return size == (ssize_t)sizeof info ? (int)info.ssi_signo : 0;
}

/* dev_daemons.c: the two daemons as children of `dev`: start, wait until ready, show the log of one that ended, stop.
 * SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"
#include "clock.h"
#include "http_client.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

enum { READY_WITHIN_MS = 60000, STOP_WITHIN_MS = 10000, TAIL_BYTES = 4096 };

/* Everything but the trigger's secret: the runner and the agents have no use for it. */
static char **environment_without(const char *secret_reference)
{
    size_t count = 0;
    while (environ[count] != NULL)
        count++;
    char **out = calloc(count + 1, sizeof *out);
    const char *name = strncmp(secret_reference, "env:", 4) == 0 ? secret_reference + 4 : "";
    size_t kept = 0;
    for (size_t i = 0; out != NULL && i < count; i++)
        if (*name == '\0' || strncmp(environ[i], name, strlen(name)) != 0 || environ[i][strlen(name)] != '=')
            out[kept++] = environ[i];
    return out;
}

static const struct {
    const char *program, *config, *log, *shown;
} rows[DEV_DAEMONS] = {
    [DEV_INGRESS] = {"drawbridge-ingress", "ingress.cfg", "ingress.log", "ingress"},
    [DEV_RUNNER] = {"drawbridge-runner", "runner.cfg", "runner.log", "runner"},
};

static int log_open(const struct dev_folder *folder, const char *name, bool verbose, struct error *error)
{
    char path[sizeof folder->path + 64];
    snprintf(path, sizeof path, "%s/%s", folder->path, name);
    const int fd =
        verbose ? fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3) : open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0) error_set_errno(error, errno, "open the log '%s'", path);
    return fd;
}

static bool start_one(struct dev_daemon *d, size_t row, const struct dev_folder *folder, char *const *environment,
                      struct error *error)
{
    struct buffer executable;
    buffer_init(&executable, 4096);
    char option[] = "--config", config[sizeof folder->path + 64];
    snprintf(config, sizeof config, "%s/%s", folder->path, rows[row].config);
    bool good = process_sibling(rows[row].program, &executable, error);
    if (good) {
        char *const argv[] = {(char *)executable.data, option, config, NULL};
        good = process_start(&d->process, rows[row].program, argv, environment, d->log_fd, error);
    }
    buffer_close(&executable);
    return good;
}

bool dev_daemons_start(struct dev_daemons *d, const struct dev_setup *setup, const struct dev_folder *folder,
                       bool verbose, struct error *error)
{
    *d = (struct dev_daemons){.started_ms = clock_monotonic_ms()};
    for (size_t i = 0; i < DEV_DAEMONS; i++)
        d->daemon[i].log_fd = -1;
    d->daemon[DEV_INGRESS].port = setup->ingress_port;
    d->daemon[DEV_RUNNER].port = setup->runner_port;
    char **for_runner = environment_without(folder->secret_reference);
    bool good = for_runner != NULL || error_set(error, ERROR_MEMORY, "no memory");
    for (size_t i = 0; good && i < DEV_DAEMONS; i++) {
        d->daemon[i].log_fd = log_open(folder, rows[i].log, verbose, error);
        good = d->daemon[i].log_fd >= 0 &&
               start_one(&d->daemon[i], i, folder, i == DEV_RUNNER ? for_runner : environ, error);
    }
    free(for_runner);
    return good;
}

void dev_daemons_stop(struct dev_daemons *d)
{
    for (size_t i = 0; i < DEV_DAEMONS; i++) { /* the ingress first: nothing new comes in */
        process_stop(&d->daemon[i].process, STOP_WITHIN_MS);
        if (d->daemon[i].log_fd > 0) close(d->daemon[i].log_fd);
        d->daemon[i].log_fd = -1;
    }
}

static void show_tail(int log_fd)
{
    char tail[TAIL_BYTES + 1];
    const off_t size = lseek(log_fd, 0, SEEK_END);
    if (size <= 0) return; /* verbose: it stands on the terminal already */
    const off_t from = size > TAIL_BYTES ? size - TAIL_BYTES : 0;
    const ssize_t n = pread(log_fd, tail, TAIL_BYTES, from);
    if (n <= 0) return;
    tail[n] = '\0';
    const char *begin = from > 0 && strchr(tail, '\n') != NULL ? strchr(tail, '\n') + 1 : tail;
    fprintf(stderr, "%s", begin);
}

static bool has_ended(struct dev_daemon *d, struct error *error)
{
    struct process *p = &d->process;
    if (process_alive(p)) return false;
    show_tail(d->log_fd);
    if (WIFSIGNALED(p->status))
        error_set(error, ERROR_INTERNAL, "%s was ended by signal %d", p->name, WTERMSIG(p->status));
    else
        error_set(error, ERROR_INTERNAL, "%s ended with code %d", p->name, WEXITSTATUS(p->status));
    return true;
}

bool dev_daemons_alive(struct dev_daemons *d, struct error *error)
{
    for (size_t i = 0; i < DEV_DAEMONS; i++)
        if (has_ended(&d->daemon[i], error)) return false;
    return true;
}

/* Asks /readyz; says so when the answer is a new one. */
static void ask_ready(struct dev_daemon *d, const char *name, struct http_client *client, int64_t started_ms)
{
    char url[64], missing[sizeof d->missing];
    snprintf(url, sizeof url, "http://127.0.0.1:%d/readyz", d->port);
    struct http_exchange x = {.method = "GET", .url = url, .timeout_ms = 2000};
    d->ready = http_client_call(client, &x) && x.status == 200;
    struct buffer said;
    buffer_init(&said, 1024);
    struct bytes answer = buffer_view(&x.answer);
    while (answer.size > 0 && answer.data[answer.size - 1] == '\n')
        answer.size--;
    talk_safe(&said, x.status != 0 ? answer : bytes_of("starting"), 100);
    snprintf(missing, sizeof missing, "%s", buffer_cstr(&said));
    if (d->ready)
        talk("the %s is ready after %.1f s", name, (double)(clock_monotonic_ms() - started_ms) / 1000);
    else if (strcmp(missing, d->missing) != 0)
        talk("the %s: %s", name, missing);
    memcpy(d->missing, missing, sizeof missing);
    buffer_close(&said);
    buffer_close(&x.answer);
}

bool dev_daemons_wait(struct dev_daemons *d, struct http_client *client, bool *ready, struct error *error)
{
    *ready = true;
    if (!dev_daemons_alive(d, error)) return false;
    const bool late = clock_monotonic_ms() - d->started_ms > READY_WITHIN_MS;
    for (size_t i = 0; i < DEV_DAEMONS; i++) {
        struct dev_daemon *daemon = &d->daemon[i];
        if (!daemon->ready) ask_ready(daemon, rows[i].shown, client, d->started_ms);
        *ready = *ready && daemon->ready;
        if (daemon->ready || !late) continue;
        show_tail(daemon->log_fd);
        return error_set(error, ERROR_TIMED_OUT, "the %s is not ready after 60 s: %s", rows[i].shown, daemon->missing);
    }
    return true;
}

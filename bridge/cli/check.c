/* check.c: `drawbridge check`: both daemons read their configuration and say all that is wrong; then what only the two
 * together show.  SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum { DAEMON_WAIT_MS = 60000, AGENTS_MAX = 10000 };

struct check_settings {
    const char *ingress, *runner;
};

static const struct cli_option options[] = {
    {.name = "ingress",
     .kind = CLI_TEXT,
     .offset = offsetof(struct check_settings, ingress),
     .argument = "FILE",
     .help = "configuration of drawbridge-ingress (its triggers are checked too)"},
    {.name = "runner",
     .kind = CLI_TEXT,
     .offset = offsetof(struct check_settings, runner),
     .argument = "FILE",
     .help = "configuration of drawbridge-runner"},
};

/* The daemon itself is the judge of its file; it prints to our stderr. */
static bool daemon_check(const char *program, const char *path, bool *good, struct error *error)
{
    struct buffer executable;
    buffer_init(&executable, 4096);
    bool started = process_sibling(program, &executable, error);
    if (started) {
        char check[] = "--check-config", config[] = "--config";
        char *file = strdup(path);
        char *const argv[] = {(char *)executable.data, check, config, file, NULL};
        struct process p;
        started = file != NULL && process_start(&p, program, argv, environ, STDERR_FILENO, error);
        if (started && !process_wait(&p, DAEMON_WAIT_MS)) {
            process_stop(&p, 1000);
            started = error_set(error, ERROR_TIMED_OUT, "%s did not finish its check", program);
        }
        *good = started && WIFEXITED(p.status) && WEXITSTATUS(p.status) == 0;
        free(file);
    }
    buffer_close(&executable);
    return started;
}

/* ---- what only both together show ---- */

struct both {
    char *brokers, *events;
};
struct ingress_view {
    struct both both;
    char *trigger_directory;
};

#define BOTH(base)                                                                                                     \
    {.name = "kafka.bootstrap_servers",                                                                                \
     .kind = CONFIG_TEXT,                                                                                              \
     .offset = (base) + offsetof(struct both, brokers),                                                                \
     .default_text = "",                                                                                               \
     .help = ""},                                                                                                      \
    {                                                                                                                  \
        .name = "topics.events", .kind = CONFIG_TEXT, .offset = (base) + offsetof(struct both, events),                \
        .default_text = "drawbridge.events", .help = ""                                                                \
    }
static const struct config_option ingress_options[] = {
    BOTH(offsetof(struct ingress_view, both)),
    {.name = "triggers.directory",
     .kind = CONFIG_TEXT,
     .offset = offsetof(struct ingress_view, trigger_directory),
     .default_text = "/etc/drawbridge/triggers.d",
     .help = ""},
};
static const struct config_option runner_options[] = {BOTH(0)};
static const struct config_option id_option[] = {
    {.name = "id", .kind = CONFIG_TEXT, .default_text = "", .help = ""},
};
static const struct config_option agent_id_option[] = {
    {.name = "agent_id", .kind = CONFIG_TEXT, .default_text = "", .help = ""},
};
#define COUNT(table) (sizeof(table) / sizeof *(table))

/* True if the runner has the agent, or catches all with "*". */
static bool runner_has(struct config_file *runner, const char *agent, struct config_report *ignored)
{
    const size_t count = config_count(runner, "agents");
    bool found = false;
    for (size_t i = 0; i < count && i < AGENTS_MAX && !found; i++) {
        char path[32], *id = NULL;
        snprintf(path, sizeof path, "agents.[%zu]", i);
        config_load(runner, path, id_option, 1, &id, ignored);
        found = strcmp(id, agent) == 0 || strcmp(id, "*") == 0;
        config_free(id_option, 1, &id);
    }
    return found;
}

static int compare_triggers(const char *path, struct config_file *runner, struct config_report *ignored)
{
    int warnings = 0;
    struct config_file *file = config_open(path, ignored);
    const size_t count = file != NULL ? config_count(file, "triggers") : 0;
    for (size_t i = 0; i < count && i < AGENTS_MAX; i++) {
        char place[32], *agent = NULL;
        snprintf(place, sizeof place, "triggers.[%zu]", i);
        config_load(file, place, agent_id_option, 1, &agent, ignored);
        if (*agent != '\0' && !runner_has(runner, agent, ignored)) {
            talk("%s:%d: warning: the runner has no agent '%s' and no \"*\": its deliveries end as failed results",
                 path, config_line(file, place), agent);
            warnings++;
        }
        config_free(agent_id_option, 1, &agent);
    }
    config_close(file);
    return warnings;
}

static int compare_directory(const char *directory, struct config_file *runner, struct config_report *ignored)
{
    DIR *dir = opendir(directory);
    if (dir == NULL) return 0; /* the ingress has said so */
    int warnings = 0;
    for (const struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        const size_t size = strlen(entry->d_name);
        if (size < 5 || strcmp(entry->d_name + size - 4, ".cfg") != 0 || entry->d_name[0] == '.') continue;
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", directory, entry->d_name);
        warnings += compare_triggers(path, runner, ignored);
    }
    closedir(dir);
    return warnings;
}

static int compare_word(const char *what, const char *a, const char *b)
{
    if (strcmp(a, b) == 0) return 0;
    talk("warning: %s: the ingress says '%s', the runner '%s'", what, a, b);
    return 1;
}

static int compare_files(const struct check_settings *s)
{
    struct config_report ignored; /* the daemons have reported */
    config_report_init(&ignored);
    int warnings = 0;
    struct config_file *ingress = config_open(s->ingress, &ignored), *runner = config_open(s->runner, &ignored);
    if (ingress != NULL && runner != NULL) {
        struct ingress_view i;
        struct both r;
        config_load(ingress, "", ingress_options, COUNT(ingress_options), &i, &ignored);
        config_load(runner, "", runner_options, COUNT(runner_options), &r, &ignored);
        warnings += compare_word("topics.events", i.both.events, r.events);
        warnings += compare_word("kafka.bootstrap_servers", i.both.brokers, r.brokers);
        warnings += compare_directory(i.trigger_directory, runner, &ignored);
        config_free(ingress_options, COUNT(ingress_options), &i);
        config_free(runner_options, COUNT(runner_options), &r);
    }
    config_close(ingress);
    config_close(runner);
    config_report_close(&ignored);
    return warnings;
}

static enum cli_exit check_run(struct cli *cli, void *settings)
{
    (void)cli;
    struct check_settings *s = settings;
    if (s->ingress == NULL && s->runner == NULL) {
        s->ingress = "/etc/drawbridge/ingress.cfg";
        s->runner = "/etc/drawbridge/runner.cfg";
    }
    struct error error = {0};
    bool ingress_good = true, runner_good = true;
    if ((s->ingress != NULL && !daemon_check("drawbridge-ingress", s->ingress, &ingress_good, &error)) ||
        (s->runner != NULL && !daemon_check("drawbridge-runner", s->runner, &runner_good, &error)))
        return talk_error(&error);
    const int warnings = s->ingress != NULL && s->runner != NULL ? compare_files(s) : 0;
    if (!ingress_good || !runner_good) return CLI_NO;
    talk("no error%s", warnings > 0 ? "; see the warnings" : "");
    return CLI_OK;
}

const struct cli_command check_command = {
    .name = "check",
    .operands = "",
    .summary = "lint the configuration of both daemons and the triggers",
    .details =
        "Each daemon reads its own file and prints every problem with file and line; connects nowhere. With both\n"
        "files (the default: those in /etc/drawbridge) it also warns about what only the two together show.\n"
        "Warnings do not change the exit code.",
    .examples = "  drawbridge check\n"
                "  drawbridge check --ingress deploy/ingress.cfg --runner deploy/runner.cfg",
    .options = options,
    .option_count = sizeof options / sizeof options[0],
    .settings_size = sizeof(struct check_settings),
    .run = check_run,
};

/* settings.c: option tables of the runner and its agents.
 * SPDX-License-Identifier: Apache-2.0 */
#include "settings.h"
#include "id_table.h"
#include "text.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { KILL_MS = 1000 }; /* the loop looks at least once a second, and SIGKILL does not wait */

#define AT(field)                 offsetof(struct settings, field)
#define TOPIC(topic, word, title) KAFKA_TOPIC_OPTION(AT(topics), topic, word, title)

const struct config_option settings_options[] = {
    {.name = "group_id",
     .kind = CONFIG_TEXT,
     .offset = AT(group_id),
     .default_text = "drawbridge-runner",
     .min = "1",
     .max = "120",
     .help = "consumer group; runners of one group share the work"},
    {.name = "slot",
     .kind = CONFIG_TEXT,
     .offset = AT(slot),
     .default_text = "",
     .max = "120",
     .help = "names this runner's transactional.id; the same after a restart, never used by two at once; empty: host "
             "name and management port"},
    {.name = "static_membership",
     .kind = CONFIG_BOOL,
     .offset = AT(static_membership),
     .default_text = "false",
     .help = "a restart within session_timeout keeps its partitions"},
    {.name = "session_timeout",
     .kind = CONFIG_DURATION,
     .offset = AT(session_timeout_ms),
     .default_text = "30s",
     .min = "6s",
     .max = "5m",
     .help = "a silent runner loses its partitions after this"},
    {.name = "takeover_grace",
     .kind = CONFIG_DURATION,
     .offset = AT(takeover_grace_ms),
     .default_text = "45s",
     .min = "0",
     .max = "1h",
     .help = "wait before re-starting the runs of another runner that died without a word: "
             "its session_timeout and the time to kill its processes"},
    {.name = "limbo_max",
     .kind = CONFIG_DURATION,
     .offset = AT(limbo_max_ms),
     .default_text = "20s",
     .min = "1s",
     .max = "5m",
     .help = "processes frozen by a rebalance are killed when their partition is not back by then"},
    {.name = "concurrency",
     .kind = CONFIG_INT,
     .offset = AT(concurrency),
     .default_text = "16",
     .min = "1",
     .max = "10000",
     .help = "processes at once, all agents together"},
    {.name = "drain",
     .kind = CONFIG_DURATION,
     .offset = AT(drain_ms),
     .default_text = "25s",
     .min = "0",
     .max = "1h",
     .help = "after SIGTERM processes may finish for so long; then they are stopped and run again later"},
    {.name = "queue_max",
     .kind = CONFIG_INT,
     .offset = AT(queue_max),
     .default_text = "10000",
     .min = "1",
     .max = "1000000",
     .help = "admitted events waiting in one partition; more stay in Kafka"},
    {.name = "body_memory",
     .kind = CONFIG_SIZE,
     .offset = AT(body_memory_bytes),
     .default_text = "256MiB",
     .min = "1MiB",
     .max = "64GiB",
     .help = "events held in memory, all partitions; more stay in Kafka, at a take-over in the journal"},
    {.name = "commit_pause",
     .kind = CONFIG_DURATION,
     .offset = AT(commit_pause_ms),
     .default_text = "2ms",
     .min = "0",
     .max = "1s",
     .help = "pause between transactions; without one the next meets the markers of the last, and waits "
             "20 ms"},
    {.name = "journal_check",
     .kind = CONFIG_DURATION,
     .offset = AT(journal_check_ms),
     .default_text = "1h",
     .min = "1s",
     .max = "24h",
     .help = "how often the journal topic is looked at: one that is not compacted loses runs"},
    {.name = "kafka",
     .kind = CONFIG_TEXT_MAP,
     .offset = AT(kafka.properties),
     .default_text = "",
     .help = "any librdkafka property, '_' for '.'"},
    TOPIC(TOPIC_EVENTS, "events", "drawbridge.events"),
    TOPIC(TOPIC_RESULTS, "results", "drawbridge.results"),
    TOPIC(TOPIC_DEAD_LETTERS, "dead_letters", "drawbridge.dead-letters"),
    TOPIC(TOPIC_JOURNAL, "journal", "drawbridge.journal"),
    TOPIC(TOPIC_CONTROL, "control", "drawbridge.control"),
    {.name = "manage.listen",
     .kind = CONFIG_TEXT,
     .offset = AT(manage_listen),
     .default_text = "127.0.0.1:9465",
     .help = "address and port of /healthz, /readyz and /metrics"},
    {.name = "log.level",
     .kind = CONFIG_CHOICE,
     .offset = AT(log_level),
     .default_text = "info",
     .choices = "debug|info|warn|error",
     .help = "what is logged",
     .reloadable = false},
    {.name = "log.format",
     .kind = CONFIG_CHOICE,
     .offset = AT(log_format),
     .default_text = "logfmt",
     .choices = "logfmt|json",
     .help = "form of the log lines"},
};
const size_t settings_option_count = sizeof settings_options / sizeof settings_options[0];

#undef AT
#define AT(field) offsetof(struct agent_settings, field)
static const struct config_option agent_options[] = {
    {.name = "id",
     .kind = CONFIG_TEXT,
     .offset = AT(id),
     .min = "1",
     .max = "128",
     .help = "agent_id, or \"*\" for every agent without an entry of its own"},
    {.name = "command",
     .kind = CONFIG_TEXT_LIST,
     .offset = AT(command),
     .min = "1",
     .help = "program and arguments; no shell; the event comes as JSON on its standard input"},
    {.name = "directory",
     .kind = CONFIG_TEXT,
     .offset = AT(directory),
     .default_text = "",
     .help = "working directory; empty: the runner's"},
    {.name = "environment",
     .kind = CONFIG_TEXT_MAP,
     .offset = AT(environment),
     .default_text = "",
     .help = "variables beside PATH and DRAWBRIDGE_*"},
    {.name = "timeout",
     .kind = CONFIG_DURATION,
     .offset = AT(timeout_ms),
     .default_text = "1h",
     .min = "10ms",
     .max = "365d",
     .help = "an attempt is ended after this"},
    {.name = "grace",
     .kind = CONFIG_DURATION,
     .offset = AT(grace_ms),
     .default_text = "10s",
     .min = "0",
     .max = "1h",
     .help = "between SIGTERM and SIGKILL"},
    {.name = "concurrency",
     .kind = CONFIG_INT,
     .offset = AT(concurrency),
     .default_text = "1",
     .min = "1",
     .max = "10000",
     .help = "runs of one agent at once; 1: strictly in order of arrival"},
    {.name = "output_max",
     .kind = CONFIG_SIZE,
     .offset = AT(output_max_bytes),
     .default_text = "256KiB",
     .min = "0",
     .max = "1MiB",
     .help = "of standard output; the rest is dropped and the result says so"},
    {.name = "retry.max_attempts",
     .kind = CONFIG_INT,
     .offset = AT(retry.max_attempts),
     .default_text = "3",
     .min = "1",
     .max = "1000",
     .help = "starts that may fail"},
    {.name = "retry.backoff",
     .kind = CONFIG_DURATION,
     .offset = AT(retry.backoff_ms),
     .default_text = "1s",
     .min = "0",
     .max = "30d",
     .help = "wait before the second attempt; doubles each time, with jitter"},
    {.name = "retry.max_backoff",
     .kind = CONFIG_DURATION,
     .offset = AT(retry.max_backoff_ms),
     .default_text = "5m",
     .min = "0",
     .max = "30d",
     .help = "longest wait"},
    {.name = "retry.max_age",
     .kind = CONFIG_DURATION,
     .offset = AT(retry.max_age_ms),
     .default_text = "24h",
     .min = "0",
     .max = "3650d",
     .help = "no attempt begins later than this after the first start"},
    {.name = "limits.memory",
     .kind = CONFIG_SIZE,
     .offset = AT(limits.memory_max_bytes),
     .default_text = "0",
     .help = "RLIMIT_AS; 0: inherited"},
    {.name = "limits.cpu_seconds",
     .kind = CONFIG_INT,
     .offset = AT(limits.cpu_max_s),
     .default_text = "0",
     .min = "0",
     .max = "31536000",
     .help = "RLIMIT_CPU; 0: inherited"},
    {.name = "limits.files",
     .kind = CONFIG_INT,
     .offset = AT(limits.files_max),
     .default_text = "0",
     .min = "0",
     .max = "1000000",
     .help = "RLIMIT_NOFILE; 0: 1024 at most"},
    {.name = "limits.processes",
     .kind = CONFIG_INT,
     .offset = AT(limits.processes_max),
     .default_text = "0",
     .min = "0",
     .max = "1000000",
     .help = "RLIMIT_NPROC; 0: inherited"},
};
enum { AGENT_OPTIONS = sizeof agent_options / sizeof agent_options[0] };

void settings_help_agents(FILE *out)
{
    config_print_help(out, "agents = ( { ... }, ... )", agent_options, AGENT_OPTIONS);
}

static bool finish_agent(struct agent_settings *a, struct config_report *report, const char *file, int line)
{
    if (strcmp(a->id, "*") != 0 && !text_is_agent_id(bytes_of(a->id))) {
        config_report_add(report, file, line, "'%s' is not an agent_id", a->id);
        return false;
    }
    a->environment_texts = calloc(a->environment.count + 1, sizeof(char *));
    char **argv = calloc(a->command.count + 1, sizeof(char *));
    for (size_t i = 0; argv && i < a->command.count; i++)
        argv[i] = a->command.items[i];
    bool good = a->environment_texts && argv;
    for (size_t i = 0; good && i < a->environment.count; i++)
        good = asprintf(&a->environment_texts[i], "%s=%s", a->environment.items[i].name,
                        a->environment.items[i].value) >= 0;
    a->spec = (struct command_spec){.argv = argv,
                                    .directory = a->directory,
                                    .environment = a->environment_texts,
                                    .timeout_ms = a->timeout_ms,
                                    .grace_ms = a->grace_ms,
                                    .output_max_bytes = a->output_max_bytes,
                                    .limits = a->limits};
    if (!good) config_report_add(report, file, line, "no memory");
    return good;
}

static bool load_agents(struct settings *s, struct config_file *f, struct config_report *report)
{
    bool good = true;
    size_t count = config_count(f, "agents");
    s->agents = calloc(count + 1, sizeof *s->agents);
    if (!s->agents) return false;
    for (; s->agent_count < count; s->agent_count++) {
        char path[32];
        struct agent_settings *a = &s->agents[s->agent_count];
        snprintf(path, sizeof path, "agents.[%zu]", s->agent_count);
        int line = config_line(f, path);
        bool loaded = config_load(f, path, agent_options, AGENT_OPTIONS, a, report) &&
                      finish_agent(a, report, config_name(f), line);
        for (size_t i = 0; loaded && i < s->agent_count; i++)
            if (strcmp(s->agents[i].id, a->id) == 0) {
                config_report_add(report, config_name(f), line, "agent '%s' stands here twice", a->id);
                loaded = false;
            }
        good = good && loaded;
    }
    if (count == 0) config_report_add(report, config_name(f), 0, "no agents: nothing could ever be run");
    return good && count > 0;
}

/* A random name would never come back after a crash, and its open transaction would hold up readers (J27). */
static bool name_slot(struct settings *s)
{
    if (!s->slot[0]) {
        char host[100] = "";
        gethostname(host, sizeof host - 1);
        const char *port = strrchr(s->manage_listen, ':');
        free(s->slot);
        if (asprintf(&s->slot, "%s-%s", host, port ? port + 1 : "") < 0) s->slot = NULL;
    }
    if (asprintf(&s->transactional_id, "%s.%s", s->group_id, s->slot ? s->slot : "") < 0) s->transactional_id = NULL;
    if (!s->slot || !s->transactional_id) return false;
    struct run_id digest = run_id_of(bytes_of(s->transactional_id));
    memcpy(&s->slot_mark, digest.bytes, sizeof s->slot_mark);
    if (s->slot_mark == 0) s->slot_mark = 1;
    return true;
}

static bool check_kafka(const struct settings *s, struct config_file *f, struct config_report *report)
{
    struct error error;
    if (kafka_settings_check(&s->kafka, KAFKA_RUNNER_PRODUCER, &error) &&
        kafka_settings_check(&s->kafka, KAFKA_RUNNER_CONSUMER, &error))
        return true;
    config_report_add(report, config_name(f), config_line(f, "kafka"), "kafka: %s", error.text);
    return false;
}

/* A warning only: whose commands end by themselves at once may want a short grace. */
static void check_grace(const struct settings *s, struct config_file *f, struct config_report *report)
{
    if (s->takeover_grace_ms >= s->session_timeout_ms + KILL_MS) return;
    const char *name = config_has(f, "takeover_grace") ? "takeover_grace" : "session_timeout";
    config_report_warn(report, config_name(f), config_line(f, name),
                       "takeover_grace is %lld ms, less than session_timeout and the time to kill (%lld ms): a run may "
                       "start again while a runner that was cut off still has its process",
                       (long long)s->takeover_grace_ms, (long long)s->session_timeout_ms + KILL_MS);
}

struct settings *settings_load(const char *path, struct config_report *report)
{
    struct config_file *f = config_open(path, report);
    if (!f) return NULL;
    struct settings *s = calloc(1, sizeof *s);
    bool good = s && config_load(f, "", settings_options, settings_option_count, s, report);
    if (s) {
        good = load_agents(s, f, report) && good;
        config_reject_unknown(f, report);
        good = good && name_slot(s) && check_kafka(s, f, report);
        if (good) check_grace(s, f, report);
    }
    config_close(f);
    if (good && report->problems == 0) return s;
    settings_free(s);
    return NULL;
}

static void free_agent(struct agent_settings *a)
{
    for (size_t i = 0; a->environment_texts && a->environment_texts[i]; i++)
        free(a->environment_texts[i]);
    free(a->environment_texts);
    free((void *)(uintptr_t)a->spec.argv);
    config_free(agent_options, AGENT_OPTIONS, a);
}

void settings_free(struct settings *s)
{
    if (!s) return;
    for (size_t i = 0; i < s->agent_count; i++)
        free_agent(&s->agents[i]);
    free(s->agents);
    free(s->transactional_id);
    config_free(settings_options, settings_option_count, s);
    free(s);
}

const struct agent_settings *settings_agent(const struct settings *s, struct bytes agent_id)
{
    const struct agent_settings *any = NULL;
    for (size_t i = 0; i < s->agent_count; i++) {
        if (bytes_are(agent_id, s->agents[i].id)) return &s->agents[i];
        if (strcmp(s->agents[i].id, "*") == 0) any = &s->agents[i];
    }
    return any;
}

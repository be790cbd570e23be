/* topics.c: `drawbridge topics create|check`: makes the topics with the right settings and reports drift.  Settings are
 * never altered from here: it prints the command that does so without resetting the others (traps 1, fact 12).
 * SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"
#include "kafka_admin.h"
#include "text.h"
#include <stddef.h>
#include <string.h>

enum { PROPERTIES_MAX = 8, VALUE_MAX = 64 };

struct topics_settings {
    int64_t partitions, replication, timeout_ms;
};

static const struct cli_option options[] = {
    {.name = "partitions",
     .letter = 'p',
     .kind = CLI_INT,
     .offset = offsetof(struct topics_settings, partitions),
     .argument = "N",
     .default_text = "12",
     .min = 1,
     .max = 10000,
     .help = "create: partitions of each topic (the triggers topic has one); it cannot be changed later"},
    {.name = "replication",
     .letter = 'r',
     .kind = CLI_INT,
     .offset = offsetof(struct topics_settings, replication),
     .argument = "N",
     .default_text = "0",
     .min = 0,
     .max = 100,
     .help = "create: copies of each partition; 0: three, or one if there are fewer brokers"},
    {.name = "timeout",
     .kind = CLI_DURATION,
     .offset = offsetof(struct topics_settings, timeout_ms),
     .argument = "TIME",
     .default_text = "30s",
     .min = 1,
     .max = 600000,
     .help = "how long to wait for Kafka"},
};

/* One topic as it is, beside what it should be. */
struct topic_state {
    const struct kafka_topic_def *def;
    const char *name;
    int partitions, replicas; /* partitions 0: it does not exist */
    char actual[PROPERTIES_MAX][VALUE_MAX];
    char min_insync[VALUE_MAX];
};

static void note_setting(void *ctx, const char *name, const char *value)
{
    struct topic_state *t = ctx;
    if (strcmp(name, "min.insync.replicas") == 0) snprintf(t->min_insync, sizeof t->min_insync, "%s", value);
    for (size_t i = 0; i < PROPERTIES_MAX && t->def->properties[i].name != NULL; i++)
        if (strcmp(t->def->properties[i].name, name) == 0) snprintf(t->actual[i], VALUE_MAX, "%s", value);
}

static bool topic_look(struct kafka_admin *admin, struct topic_state *t, int timeout_ms, struct error *error)
{
    if (!kafka_admin_topic(admin, t->name, timeout_ms, &t->partitions, &t->replicas, error)) return false;
    return t->partitions == 0 || kafka_admin_settings(admin, t->name, timeout_ms, note_setting, t, error);
}

static const char *wanted_min_insync(int replicas)
{
    return replicas >= 3 ? "2" : "1";
}

static int64_t number_of(const char *text)
{
    int64_t number = 0;
    return text_parse_int64(bytes_of(text), 0, INT32_MAX, &number) ? number : 0;
}

/* Appends "name=value,..." of everything that has drifted; returns how many. */
static int topic_drift(const struct topic_state *t, struct buffer *mend)
{
    int drifted = 0;
    for (size_t i = 0; i < PROPERTIES_MAX && t->def->properties[i].name != NULL; i++) {
        const struct kafka_topic_property *p = &t->def->properties[i];
        if (strcmp(t->actual[i], p->value) == 0) continue;
        talk("%s: %s is %s, should be %s", t->name, p->name, t->actual[i], p->value);
        buffer_format(mend, "%s%s=%s", drifted++ > 0 ? "," : "", p->name, p->value);
    }
    const char *wanted = wanted_min_insync(t->replicas);
    if (number_of(t->min_insync) < number_of(wanted)) { /* more is the operator's choice */
        talk("%s: min.insync.replicas is %s, should be %s with %d replicas", t->name, t->min_insync, wanted,
             t->replicas);
        buffer_format(mend, "%smin.insync.replicas=%s", drifted++ > 0 ? "," : "", wanted);
    }
    return drifted;
}

static void print_state(const struct topic_state *t, const char *word)
{
    struct buffer line;
    buffer_init(&line, 1024);
    buffer_format(&line, "%-28s %s", t->name, word);
    if (t->partitions > 0) buffer_format(&line, ": partitions %d, replication %d", t->partitions, t->replicas);
    talk_line(buffer_view(&line));
    buffer_close(&line);
}

/* True if this topic is as it should be; otherwise says what to do. */
static bool topic_judge(const struct topic_state *t, const char *brokers)
{
    if (t->partitions == 0) {
        print_state(t, "missing");
        talk("%s does not exist; drawbridge topics create makes it", t->name);
        return false;
    }
    struct buffer mend;
    buffer_init(&mend, 4096);
    const int drifted = topic_drift(t, &mend);
    print_state(t, drifted > 0 ? "drifted" : "ok");
    if (drifted > 0)
        talk("to mend it: kafka-configs.sh --bootstrap-server %s --alter --entity-type topics --entity-name %s "
             "--add-config %s",
             brokers, t->name, buffer_cstr(&mend));
    buffer_close(&mend);
    return drifted == 0;
}

/* The five topics of a run share one partition number each: the counts must be equal. */
static bool counts_equal(const struct topic_state *topics)
{
    const struct topic_state *events = &topics[TOPIC_EVENTS];
    bool equal = true;
    for (int i = 0; i < TOPIC_COUNT; i++) {
        const int wanted = topics[i].def->single_partition ? 1 : events->partitions;
        if (topics[i].partitions == 0 || events->partitions == 0 || topics[i].partitions == wanted) continue;
        talk("%s has %d partitions, should have %d%s; partitions cannot be taken away: delete and create the topic, or "
             "add partitions while no run is open",
             topics[i].name, topics[i].partitions, wanted,
             topics[i].def->single_partition ? "" : " as the events topic has");
        equal = false;
    }
    return equal;
}

static bool topics_look(struct kafka_admin *admin, const struct cli_kafka *kafka, struct topic_state *topics,
                        int timeout_ms, struct error *error)
{
    for (int i = 0; i < TOPIC_COUNT; i++) {
        topics[i] = (struct topic_state){.def = &kafka_topics[i], .name = kafka->topics.name[i]};
        if (!topic_look(admin, &topics[i], timeout_ms, error)) return false;
    }
    return true;
}

static enum cli_exit topics_check(struct kafka_admin *admin, const struct cli_kafka *kafka,
                                  const struct topics_settings *s, struct error *error)
{
    struct topic_state topics[TOPIC_COUNT];
    if (!topics_look(admin, kafka, topics, (int)s->timeout_ms, error)) return talk_error(error);
    bool good = counts_equal(topics);
    for (int i = 0; i < TOPIC_COUNT; i++)
        good = topic_judge(&topics[i], connect_brokers(kafka)) && good;
    return good ? CLI_OK : CLI_NO;
}

bool topics_make(struct kafka_admin *admin, const struct cli_kafka *kafka, const struct topics_plan *plan,
                 struct error *error)
{
    int brokers;
    if (!kafka_admin_brokers(admin, plan->timeout_ms, &brokers, error)) return false;
    const int replication = plan->replication > 0 ? plan->replication : brokers >= 3 ? 3 : 1;
    if (replication < 3)
        talk("replication %d: a lost disk loses events; three brokers or more can keep them", replication);
    for (int i = 0; i < TOPIC_COUNT; i++) {
        const struct kafka_admin_create create = {
            .topic = kafka->topics.name[i],
            .partitions = kafka_topics[i].single_partition ? 1 : plan->partitions,
            .replication = replication,
            .properties = kafka_topics[i].properties,
            .min_insync_replicas = wanted_min_insync(replication),
        };
        bool existed;
        if (!kafka_admin_create(admin, &create, plan->timeout_ms, &existed, error)) return false;
        if (!existed) talk("%s created: partitions %d, replication %d", create.topic, create.partitions, replication);
    }
    return true;
}

static enum cli_exit topics_run(struct cli *cli, void *settings)
{
    const struct topics_settings *s = settings;
    const char *verb = cli->operand_count > 0 ? cli->operands[0] : "";
    const bool create = strcmp(verb, "create") == 0;
    if (!create && strcmp(verb, "check") != 0) {
        talk("say what to do: drawbridge topics create, or drawbridge topics check");
        return CLI_USAGE;
    }
    struct error error = {0};
    struct cli_kafka kafka;
    enum cli_exit code = CLI_OK;
    struct kafka_admin *admin = NULL;
    if (connect_load(&cli->connection, &kafka, &error)) admin = kafka_admin_new(&kafka.settings, &error);
    const struct topics_plan plan = {(int)s->partitions, (int)s->replication, (int)s->timeout_ms};
    if (admin == NULL || (create && !topics_make(admin, &kafka, &plan, &error)))
        code = talk_error(&error);
    else
        code = topics_check(admin, &kafka, s, &error); /* what was there before may have drifted */
    kafka_admin_free(admin);
    connect_close(&kafka);
    return code;
}

const struct cli_command topics_command = {
    .name = "topics",
    .operands = "create|check",
    .summary = "make the topics with the right settings, or report drift",
    .details =
        "create makes those of the six topics that do not exist and changes nothing else; then it checks.\n"
        "check compares settings and partition counts and prints the kafka-configs.sh command that mends a drift.",
    .examples = "  drawbridge topics create --brokers localhost:9092 --partitions 12\n"
                "  drawbridge topics check --config /etc/drawbridge/runner.cfg",
    .options = options,
    .option_count = sizeof options / sizeof options[0],
    .settings_size = sizeof(struct topics_settings),
    .operands_max = 1,
    .connects = true,
    .run = topics_run,
};

/* connect.c: which Kafka, and what the topics are called there: from --brokers, --config and -X.
 * SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"
#include <assert.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

const struct cli_option connect_options[] = {
    {.name = "brokers",
     .letter = 'b',
     .kind = CLI_TEXT,
     .offset = offsetof(struct cli_connection, brokers),
     .argument = "HOST:PORT[,...]",
     .help = "Kafka to connect to"},
    {.name = "config",
     .letter = 'c',
     .kind = CLI_TEXT,
     .offset = offsetof(struct cli_connection, config),
     .argument = "FILE",
     .help = "take connection and topic names from the configuration of a runner or an ingress"},
    {.name = "property",
     .letter = 'X',
     .kind = CLI_LIST,
     .offset = offsetof(struct cli_connection, properties),
     .argument = "NAME=VALUE",
     .help = "any librdkafka property; secrets only as NAME=env:VARIABLE or NAME=file:PATH (repeatable)"},
};
const size_t connect_option_count = sizeof connect_options / sizeof connect_options[0];

/* The part of the runner's configuration that the tool needs. */
static const struct config_option file_options[] = {
    {.name = "kafka",
     .kind = CONFIG_TEXT_MAP,
     .offset = offsetof(struct cli_kafka, settings) + offsetof(struct kafka_settings, properties),
     .default_text = "",
     .help = ""},
    KAFKA_TOPIC_OPTION(offsetof(struct cli_kafka, topics), TOPIC_EVENTS, "events", "drawbridge.events"),
    KAFKA_TOPIC_OPTION(offsetof(struct cli_kafka, topics), TOPIC_RESULTS, "results", "drawbridge.results"),
    KAFKA_TOPIC_OPTION(offsetof(struct cli_kafka, topics), TOPIC_DEAD_LETTERS, "dead_letters",
                       "drawbridge.dead-letters"),
    KAFKA_TOPIC_OPTION(offsetof(struct cli_kafka, topics), TOPIC_JOURNAL, "journal", "drawbridge.journal"),
    KAFKA_TOPIC_OPTION(offsetof(struct cli_kafka, topics), TOPIC_CONTROL, "control", "drawbridge.control"),
    KAFKA_TOPIC_OPTION(offsetof(struct cli_kafka, topics), TOPIC_TRIGGERS, "triggers", "drawbridge.triggers"),
    /* Of an ingress; the defaults are its own. */
    {.name = "triggers.topic",
     .kind = CONFIG_TEXT,
     .offset = offsetof(struct cli_kafka, trigger_topic),
     .default_text = "",
     .help = ""},
    {.name = "triggers.key_file",
     .kind = CONFIG_TEXT,
     .offset = offsetof(struct cli_kafka, key_file),
     .default_text = "",
     .help = ""},
    {.name = "http.public_url",
     .kind = CONFIG_TEXT,
     .offset = offsetof(struct cli_kafka, public_url),
     .default_text = "http://localhost:8080",
     .help = ""},
    {.name = "http.prefix",
     .kind = CONFIG_TEXT,
     .offset = offsetof(struct cli_kafka, prefix),
     .default_text = "/api/v1/agents",
     .help = ""},
};
enum { FILE_OPTION_COUNT = sizeof file_options / sizeof file_options[0] };

static bool file_load(const char *path, struct cli_kafka *out, struct error *error)
{
    struct config_report report;
    config_report_init(&report);
    struct config_file *file = config_open(path, &report);
    const bool good = file != NULL && config_load(file, "", file_options, FILE_OPTION_COUNT, out, &report);
    config_close(file);
    if (!good) error_set(error, ERROR_INVALID, "%s", buffer_cstr(&report.text));
    config_report_close(&report);
    return good;
}

static bool name_equal(const char *a, const char *b)
{
    for (; *a != '\0' && (*a == *b || ((*a == '_' || *a == '.') && (*b == '_' || *b == '.'))); a++, b++)
        continue;
    return *a == *b;
}

/* Sets or replaces one property; the map owns its texts. */
static bool property_set(struct config_map *map, const char *name, const char *value, struct error *error)
{
    char *name_copy = strdup(name), *value_copy = strdup(value);
    if (name_copy == NULL || value_copy == NULL) goto no_memory;
    for (size_t i = 0; i < map->count; i++) {
        if (!name_equal(map->items[i].name, name)) continue;
        free(map->items[i].name);
        free(map->items[i].value);
        map->items[i] = (struct config_pair){name_copy, value_copy};
        return true;
    }
    struct config_pair *items = reallocarray(map->items, map->count + 1, sizeof *items);
    if (items == NULL) goto no_memory;
    map->items = items;
    items[map->count++] = (struct config_pair){name_copy, value_copy};
    return true;
no_memory:
    free(name_copy);
    free(value_copy);
    return error_set(error, ERROR_MEMORY, "no memory");
}

/* Properties whose value is a secret: a command line is readable by every user of the machine. */
static bool property_is_secret(const char *name)
{
    static const char *const words[] = {"password", "secret", "ssl.key.pem", "ssl_key_pem"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strstr(name, words[i]) != NULL) return true;
    return false;
}

static bool property_given(struct config_map *map, const char *text, struct error *error)
{
    const char *equals = strchr(text, '=');
    if (equals == NULL || equals == text || equals - text > 100)
        return error_set(error, ERROR_INVALID, "-X needs NAME=VALUE");
    char name[101];
    memcpy(name, text, (size_t)(equals - text));
    name[equals - text] = '\0';
    const char *value = equals + 1;
    if (property_is_secret(name) && strncmp(value, "env:", 4) != 0 && strncmp(value, "file:", 5) != 0)
        return error_set(error, ERROR_INVALID,
                         "-X %s: a secret on the command line can be read by everybody on this machine; say "
                         "%s=env:VARIABLE or %s=file:PATH",
                         name, name, name);
    return property_set(map, name, value, error);
}

bool connect_load(const struct cli_connection *connection, struct cli_kafka *out, struct error *error)
{
    *out = (struct cli_kafka){0};
    if (connection->brokers == NULL && connection->config == NULL)
        return error_set(error, ERROR_INVALID, "say which Kafka: --brokers HOST:PORT or --config FILE");
    if (!file_load(connection->config, out, error)) return false;
    if (*out->trigger_topic != '\0') { /* an ingress names it itself */
        free(out->topics.name[TOPIC_TRIGGERS]);
        out->topics.name[TOPIC_TRIGGERS] = out->trigger_topic;
        out->trigger_topic = NULL;
    }
    struct config_map *map = &out->settings.properties;
    if (connection->brokers != NULL && !property_set(map, "bootstrap_servers", connection->brokers, error))
        return false;
    for (size_t i = 0; i < connection->properties.count; i++)
        if (!property_given(map, connection->properties.items[i], error)) return false;
    if (*connect_brokers(out) == '\0')
        return error_set(error, ERROR_INVALID, "%s: kafka.bootstrap_servers is not set", connection->config);
    return true;
}

void connect_close(struct cli_kafka *kafka)
{
    config_free(file_options, FILE_OPTION_COUNT, kafka);
    *kafka = (struct cli_kafka){0};
}

const char *connect_brokers(const struct cli_kafka *kafka)
{
    const struct config_map *map = &kafka->settings.properties;
    for (size_t i = 0; i < map->count; i++)
        if (name_equal(map->items[i].name, "bootstrap_servers")) return map->items[i].value;
    return "";
}

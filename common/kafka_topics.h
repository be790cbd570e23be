/* kafka_topics.h: the topics with their names and settings; `drawbridge topics` and the daemons read this one table.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "config.h"

enum kafka_topic {
    TOPIC_EVENTS,
    TOPIC_RESULTS,
    TOPIC_DEAD_LETTERS,
    TOPIC_JOURNAL,
    TOPIC_CONTROL,
    TOPIC_TRIGGERS,
    TOPIC_COUNT
};
struct kafka_topic_names {
    char *name[TOPIC_COUNT]; /* config_option rows: offsetof(struct kafka_topic_names, name[TOPIC_EVENTS]) ... */
};
struct kafka_topic_property {
    const char *name, *value;
};
struct kafka_topic_def {
    const char *role;                          /* "events" */
    const char *default_name;                  /* "drawbridge.events" */
    bool single_partition;                     /* triggers */
    struct kafka_topic_property properties[8]; /* ended by a NULL name */
};
extern const struct kafka_topic_def kafka_topics[TOPIC_COUNT];
/* An option row for a table whose settings hold a struct kafka_topic_names at offset `base`; `word` is the setting
 * ("dead_letters"), `title` the default name. */
#define KAFKA_TOPIC_OPTION(base, topic, word, title)                                                                   \
    {                                                                                                                  \
        .name = "topics." word, .kind = CONFIG_TEXT,                                                                   \
        .offset = (base) + offsetof(struct kafka_topic_names, name[topic]), .default_text = title, .min = "1",         \
        .max = "249", .help = "topic of the " word                                                                     \
    }

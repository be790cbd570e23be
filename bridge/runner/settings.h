/* settings.h: the runner's configuration.  Immutable once loaded; any thread.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "engine_command.h"
#include "kafka.h"
#include "retry.h"

struct agent_settings {
    char *id; /* "*": for every agent without an entry of its own */
    struct config_list command;
    char *directory;
    struct config_map environment;
    int64_t timeout_ms, grace_ms, concurrency, output_max_bytes;
    struct retry_policy retry;
    struct command_limits limits;
    /* made of the above */
    char **environment_texts;
    struct command_spec spec;
};

struct settings {
    struct kafka_topic_names topics;
    struct kafka_settings kafka;
    char *group_id, *slot; /* the slot is never "" after loading */
    bool static_membership;
    int64_t session_timeout_ms, takeover_grace_ms, limbo_max_ms, drain_ms, commit_pause_ms, journal_check_ms;
    int64_t concurrency, queue_max, body_memory_bytes;
    char *manage_listen;
    int log_level, log_format;
    struct agent_settings *agents;
    size_t agent_count;
    char *transactional_id; /* <group_id>.<slot> */
    uint32_t slot_mark;     /* stands for it in the journal: four bytes of its SHA-256, never 0 */
};

/* Loads file and environment; every problem is in the report.  NULL if there was one.  `path` NULL: defaults. */
struct settings *settings_load(const char *path, struct config_report *report);
void settings_free(struct settings *s);
/* The agent's entry, or that of "*", or NULL. */
const struct agent_settings *settings_agent(const struct settings *s, struct bytes agent_id);

/* For --help-config. */
extern const struct config_option settings_options[];
extern const size_t settings_option_count;
void settings_help_agents(FILE *out);

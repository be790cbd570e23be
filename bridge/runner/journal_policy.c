/* journal_policy.c: is the journal still compacted?  Asked from time to time, without waiting; runs go on either way.
 * SPDX-License-Identifier: Apache-2.0 */
#include "clock.h"
#include "kafka_admin.h"
#include "log.h"
#include "memory.h"
#include "runner.h"
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <string.h>

enum { ANSWER_MS = 10000, UNSAFE_MS = 60000, POLICY_MAX = 64 };

struct journal_policy {
    rd_kafka_queue_t *queue;
    int64_t next_us; /* monotonic: when it is asked for */
    bool asked, unsafe;
};

struct journal_policy *journal_policy_open(struct runner *r)
{
    static const uint64_t one = 1;
    struct journal_policy *j = memory_new(sizeof *j);
    j->queue = rd_kafka_queue_new(r->consumer);
    rd_kafka_queue_io_event_enable(j->queue, r->eventfd, &one, sizeof one);
    j->next_us = INT64_MAX;
    return j;
}

void journal_policy_close(struct journal_policy *j)
{
    if (!j) return;
    rd_kafka_queue_destroy(j->queue);
    free(j);
}

void journal_policy_later(struct runner *r)
{
    int64_t wait_ms = r->settings->journal_check_ms;
    if (r->policy->unsafe && wait_ms > UNSAFE_MS) wait_ms = UNSAFE_MS; /* whoever mends it wants to see it */
    r->policy->next_us = clock_monotonic_us() + wait_ms * 1000;
}

void journal_policy_ask(struct runner *r)
{
    struct journal_policy *j = r->policy;
    if (j->asked || clock_monotonic_us() < j->next_us) return;
    j->asked = true;
    kafka_admin_ask(r->consumer, r->settings->topics.name[TOPIC_JOURNAL], ANSWER_MS, j->queue);
}

static void note_policy(void *ctx, const char *name, const char *value)
{
    char *policy = ctx;
    if (strcmp(name, "cleanup.policy") == 0) snprintf(policy, POLICY_MAX, "%s", value);
}

/* Said at every check for as long as it lasts. */
static void judge(struct runner *r, const char *policy)
{
    struct journal_policy *j = r->policy;
    const char *topic = r->settings->topics.name[TOPIC_JOURNAL];
    const bool before = j->unsafe;
    j->unsafe = strcmp(policy, "compact") != 0;
    metrics_set(r->metrics, METRIC_JOURNAL_UNSAFE, j->unsafe);
    if (j->unsafe)
        log_event(LOG_ERROR, "the journal is not safe: Kafka may delete runs that are not finished",
                  log_text("topic", topic), log_text("policy", policy),
                  log_text("do", "set cleanup.policy=compact on the topic; `drawbridge topics check` says how"));
    else if (before)
        log_event(LOG_INFO, "the journal is safe again", log_text("topic", topic), log_text("policy", policy));
}

void journal_policy_serve(struct runner *r)
{
    struct journal_policy *j = r->policy;
    rd_kafka_event_t *event = rd_kafka_queue_poll(j->queue, 0);
    if (!event) return;
    struct error error;
    char policy[POLICY_MAX] = "";
    const char *topic = r->settings->topics.name[TOPIC_JOURNAL];
    if (kafka_admin_answer(event, topic, note_policy, policy, &error))
        judge(r, policy);
    else if (error.code == ERROR_NOT_FOUND)
        judge(r, "none: there is no such topic");
    else /* as before, until somebody tells */
        log_event(LOG_WARN, "topic settings unknown", log_text("topic", topic), log_text("reason", error.text));
    j->asked = false;
    journal_policy_later(r);
}

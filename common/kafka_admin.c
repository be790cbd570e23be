/* kafka_admin.c: librdkafka's Admin API, one call at a time (traps 2.7).
 * SPDX-License-Identifier: Apache-2.0 */
#include "kafka_admin.h"
#include "clock.h"
#include <librdkafka/rdkafka.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { CONTROLLER_MS = 200, POLL_MS = 50 };

#define READ_SETTINGS "read the settings of the topic"

struct kafka_admin {
    rd_kafka_t *rk;
};

struct kafka_admin *kafka_admin_new(const struct kafka_settings *settings, struct error *error)
{
    struct kafka_admin *a = calloc(1, sizeof *a);
    if (a == NULL) {
        error_set(error, ERROR_MEMORY, "no memory");
        return NULL;
    }
    rd_kafka_conf_t *conf = kafka_conf_new(settings, KAFKA_ADMIN, error);
    if (conf != NULL) a->rk = kafka_client_new(KAFKA_ADMIN, conf, error);
    if (a->rk != NULL) return a;
    free(a);
    return NULL;
}

void kafka_admin_free(struct kafka_admin *a)
{
    if (a == NULL) return;
    rd_kafka_destroy(a->rk);
    free(a);
}

static bool refused(struct error *error, rd_kafka_resp_err_t code, const char *what, const char *why)
{
    const enum error_code class = code == RD_KAFKA_RESP_ERR__TIMED_OUT || code == RD_KAFKA_RESP_ERR__TRANSPORT ||
                                          code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN
                                      ? ERROR_UNAVAILABLE
                                  : kafka_error_is_credentials((int)code)           ? ERROR_DENIED
                                  : code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART ? ERROR_NOT_FOUND
                                                                                    : ERROR_INTERNAL;
    return error_set(error, class, "%s: %s", what, why != NULL ? why : rd_kafka_err2str(code));
}

bool kafka_admin_brokers(struct kafka_admin *a, int timeout_ms, int *count, struct error *error)
{
    const struct rd_kafka_metadata *metadata;
    const rd_kafka_resp_err_t code = rd_kafka_metadata(a->rk, 0, NULL, &metadata, timeout_ms);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) return refused(error, code, "ask for the brokers", NULL);
    *count = metadata->broker_cnt;
    rd_kafka_metadata_destroy(metadata);
    return true;
}

bool kafka_admin_topic(struct kafka_admin *a, const char *topic, int timeout_ms, int *partitions, int *replicas,
                       struct error *error)
{
    /* all topics, not this one: asking for a topic by name may create it on brokers that do so by themselves */
    const struct rd_kafka_metadata *metadata;
    const rd_kafka_resp_err_t code = rd_kafka_metadata(a->rk, 1, NULL, &metadata, timeout_ms);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) return refused(error, code, "ask for the topics", NULL);
    *partitions = *replicas = 0;
    for (int i = 0; i < metadata->topic_cnt; i++) {
        const struct rd_kafka_metadata_topic *t = &metadata->topics[i];
        if (strcmp(t->topic, topic) != 0) continue;
        *partitions = t->partition_cnt;
        if (t->partition_cnt > 0) *replicas = t->partitions[0].replica_cnt;
    }
    rd_kafka_metadata_destroy(metadata);
    return true;
}

/* The event that answers an admin request, or NULL with an error. */
static rd_kafka_event_t *answer_wait(rd_kafka_queue_t *queue, int timeout_ms, const char *what, struct error *error)
{
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, timeout_ms + 1000);
    if (event == NULL) {
        error_set(error, ERROR_UNAVAILABLE, "%s: no answer within %d ms", what, timeout_ms);
        return NULL;
    }
    const rd_kafka_resp_err_t code = rd_kafka_event_error(event);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) return event;
    refused(error, code, what, rd_kafka_event_error_string(event));
    rd_kafka_event_destroy(event);
    return NULL;
}

static rd_kafka_AdminOptions_t *options_new(rd_kafka_t *rk, rd_kafka_admin_op_t op, int timeout_ms)
{
    char text[128];
    rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(rk, op);
    rd_kafka_AdminOptions_set_request_timeout(options, timeout_ms, text, sizeof text);
    if (op == RD_KAFKA_ADMIN_OP_CREATETOPICS)
        rd_kafka_AdminOptions_set_operation_timeout(options, timeout_ms, text, sizeof text);
    return options;
}

static rd_kafka_NewTopic_t *topic_describe(const struct kafka_admin_create *create, struct error *error)
{
    char text[256];
    rd_kafka_NewTopic_t *topic =
        rd_kafka_NewTopic_new(create->topic, create->partitions, create->replication, text, sizeof text);
    if (topic == NULL) {
        error_set(error, ERROR_INVALID, "topic %s: %s", create->topic, text);
        return NULL;
    }
    for (const struct kafka_topic_property *p = create->properties; p->name != NULL; p++)
        rd_kafka_NewTopic_set_config(topic, p->name, p->value);
    if (create->min_insync_replicas != NULL)
        rd_kafka_NewTopic_set_config(topic, "min.insync.replicas", create->min_insync_replicas);
    return topic;
}

/* Whether the broker that answers knows the topic with a leader for every partition. */
static bool is_led(struct kafka_admin *a, const struct kafka_admin_create *create)
{
    const struct rd_kafka_metadata *metadata;
    if (rd_kafka_metadata(a->rk, 1, NULL, &metadata, POLL_MS * 10) != RD_KAFKA_RESP_ERR_NO_ERROR) return false;
    bool led = false;
    for (int i = 0; i < metadata->topic_cnt; i++) {
        const struct rd_kafka_metadata_topic *t = &metadata->topics[i];
        if (strcmp(t->topic, create->topic) != 0) continue;
        led = t->partition_cnt == create->partitions;
        for (int p = 0; p < t->partition_cnt; p++)
            led = led && t->partitions[p].leader >= 0;
    }
    rd_kafka_metadata_destroy(metadata);
    return led;
}

/* The controller's yes comes before the brokers have heard of it. */
static bool wait_led(struct kafka_admin *a, const struct kafka_admin_create *create, int timeout_ms,
                     struct error *error)
{
    const int64_t deadline_ms = clock_monotonic_ms() + timeout_ms;
    while (!is_led(a, create)) {
        if (clock_monotonic_ms() > deadline_ms)
            return error_set(error, ERROR_TIMED_OUT, "%s was created, but has no leaders yet", create->topic);
        nanosleep(&(struct timespec){.tv_nsec = POLL_MS * 1000000L}, NULL);
    }
    return true;
}

bool kafka_admin_create(struct kafka_admin *a, const struct kafka_admin_create *create, int timeout_ms, bool *existed,
                        struct error *error)
{
    rd_kafka_NewTopic_t *topic = topic_describe(create, error);
    if (topic == NULL) return false;
    rd_kafka_queue_t *queue = rd_kafka_queue_new(a->rk);
    rd_kafka_AdminOptions_t *options = options_new(a->rk, RD_KAFKA_ADMIN_OP_CREATETOPICS, timeout_ms);
    rd_kafka_CreateTopics(a->rk, &topic, 1, options, queue);
    rd_kafka_event_t *event = answer_wait(queue, timeout_ms, "create topic", error);
    bool good = event != NULL;
    *existed = false;
    if (event != NULL) {
        size_t count = 0;
        const rd_kafka_topic_result_t **results =
            rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &count);
        const rd_kafka_resp_err_t code = count == 1 ? rd_kafka_topic_result_error(results[0]) : RD_KAFKA_RESP_ERR__FAIL;
        *existed = code == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS;
        good = code == RD_KAFKA_RESP_ERR_NO_ERROR || *existed;
        if (!good)
            refused(error, code, create->topic, count == 1 ? rd_kafka_topic_result_error_string(results[0]) : NULL);
        rd_kafka_event_destroy(event);
    }
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_queue_destroy(queue);
    rd_kafka_NewTopic_destroy(topic);
    return good && (*existed || wait_led(a, create, timeout_ms, error));
}

static bool settings_each(rd_kafka_event_t *event, const char *topic,
                          void (*each)(void *ctx, const char *name, const char *value), void *ctx, struct error *error)
{
    size_t count = 0;
    const rd_kafka_ConfigResource_t **resources =
        rd_kafka_DescribeConfigs_result_resources(rd_kafka_event_DescribeConfigs_result(event), &count);
    if (count != 1)
        return error_set(error, ERROR_INTERNAL, "settings of %s: the answer is about something else", topic);
    const rd_kafka_resp_err_t code = rd_kafka_ConfigResource_error(resources[0]);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        return refused(error, code, topic, rd_kafka_ConfigResource_error_string(resources[0]));
    size_t entry_count = 0;
    const rd_kafka_ConfigEntry_t **entries = rd_kafka_ConfigResource_configs(resources[0], &entry_count);
    for (size_t i = 0; i < entry_count; i++) {
        const char *value = rd_kafka_ConfigEntry_value(entries[i]);
        each(ctx, rd_kafka_ConfigEntry_name(entries[i]), value != NULL ? value : "");
    }
    return true;
}

/* The answer about the brokers names the controller.  Where it is none of them (the mock) the admin request would wait
 * for it until its time is up. */
static bool controller_known(struct kafka_admin *a, int timeout_ms, struct error *error)
{
    const struct rd_kafka_metadata *metadata;
    const rd_kafka_resp_err_t code = rd_kafka_metadata(a->rk, 0, NULL, &metadata, timeout_ms);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) return refused(error, code, "ask for the brokers", NULL);
    const int32_t controller = rd_kafka_controllerid(a->rk, CONTROLLER_MS);
    bool known = false;
    for (int i = 0; i < metadata->broker_cnt; i++)
        known = known || metadata->brokers[i].id == controller;
    rd_kafka_metadata_destroy(metadata);
    return known || error_set(error, ERROR_UNAVAILABLE, "the cluster names no controller");
}

void kafka_admin_ask(struct rd_kafka_s *rk, const char *topic, int timeout_ms, struct rd_kafka_queue_s *queue)
{
    rd_kafka_ConfigResource_t *resource = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topic);
    rd_kafka_AdminOptions_t *options = options_new(rk, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS, timeout_ms);
    rd_kafka_DescribeConfigs(rk, &resource, 1, options, queue);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_ConfigResource_destroy(resource);
}

bool kafka_admin_answer(struct rd_kafka_op_s *event, const char *topic,
                        void (*each)(void *ctx, const char *name, const char *value), void *ctx, struct error *error)
{
    const rd_kafka_resp_err_t code = rd_kafka_event_error(event);
    const bool good = code == RD_KAFKA_RESP_ERR_NO_ERROR
                          ? settings_each(event, topic, each, ctx, error)
                          : refused(error, code, READ_SETTINGS, rd_kafka_event_error_string(event));
    rd_kafka_event_destroy(event);
    return good;
}

bool kafka_admin_settings(struct kafka_admin *a, const char *topic, int timeout_ms,
                          void (*each)(void *ctx, const char *name, const char *value), void *ctx, struct error *error)
{
    if (!controller_known(a, timeout_ms, error)) return error_context(error, "settings of %s", topic);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(a->rk);
    kafka_admin_ask(a->rk, topic, timeout_ms, queue);
    rd_kafka_event_t *event = answer_wait(queue, timeout_ms, READ_SETTINGS, error);
    const bool good = event != NULL && kafka_admin_answer(event, topic, each, ctx, error);
    rd_kafka_queue_destroy(queue);
    return good;
}

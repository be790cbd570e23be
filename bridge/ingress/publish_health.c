/* publish_health.c: which partitions have a leader that is connected, out of librdkafka's statistics.
 * SPDX-License-Identifier: Apache-2.0 */
#include "publish_health.h"
#include "json.h"
#include <stdio.h>
#include <string.h>

enum { LENIENT_MS = 10000 }; /* from then on some connected leaders are enough to begin with */

static void say(struct publish_health *h, const char *why)
{
    snprintf(h->why, sizeof h->why, "%s", why);
}

void publish_health_begin(struct publish_health *h, int64_t now_ms)
{
    h->connected = false;
    h->started_ms = now_ms;
    say(h, "not connected to Kafka yet");
}

void publish_health_end(struct publish_health *h, const char *why)
{
    h->connected = false;
    say(h, why);
}

static bool text_is(const struct json *object, const char *key, const char *wanted)
{
    const char *text;
    return object && json_text(json_get(object, key, NULL), &text) && strcmp(text, wanted) == 0;
}

/* The connected broker of that id. */
static bool broker_is_up(const struct json *brokers, int64_t id)
{
    for (size_t i = 0; i < json_count(brokers); i++) {
        int64_t node;
        const struct json *broker = json_at(brokers, i);
        if (json_int64(json_get(broker, "nodeid", NULL), &node) && node == id) return text_is(broker, "state", "UP");
    }
    return false;
}

/* How many partitions the topic has, and how many of them have a leader that is connected. */
static void count_led(const struct json *statistics, const char *topic, int *total, int *led)
{
    const struct json *topics = json_get(statistics, "topics", NULL);
    const struct json *node = topics ? json_get(topics, topic, NULL) : NULL;
    const struct json *partitions = node ? json_get(node, "partitions", NULL) : NULL;
    const struct json *brokers = json_get(statistics, "brokers", NULL);
    *total = *led = 0;
    for (size_t i = 0; partitions && i < json_count(partitions); i++) {
        int64_t id, leader;
        const struct json *partition = json_at(partitions, i);
        if (!json_int64(json_get(partition, "partition", NULL), &id) || id < 0)
            continue; /* -1 holds records that have no partition yet */
        ++*total;
        if (brokers && json_int64(json_get(partition, "leader", NULL), &leader) && broker_is_up(brokers, leader))
            ++*led;
    }
}

static bool judge(struct publish_health *h, const struct json *statistics, const char *topic, int64_t now_ms)
{
    int total, led;
    const struct json *eos = json_get(statistics, "eos", NULL);
    count_led(statistics, topic, &total, &led);
    if (total == 0) {
        snprintf(h->why, sizeof h->why, "no partition of topic '%s' is known: are the brokers up, does it exist?",
                 topic);
        return false;
    }
    bool enough = led == total || (led > 0 && (h->was_ready || now_ms - h->started_ms > LENIENT_MS));
    if (!enough) {
        snprintf(h->why, sizeof h->why, "%d of %d partitions of topic '%s' have a connected leader", led, total, topic);
        return false;
    }
    /* It loses the id for a moment after a refused record; what is sent meanwhile waits for the next one. */
    if (!h->connected && !text_is(eos, "idemp_state", "Assigned")) {
        say(h, "the producer has no id from the brokers yet");
        return false;
    }
    return true;
}

void publish_health_take(struct publish_health *h, struct bytes statistics, const char *topic, int64_t now_ms)
{
    struct json *parsed = json_parse(statistics, NULL);
    if (!parsed) return;
    h->connected = judge(h, parsed, topic, now_ms);
    h->was_ready = h->was_ready || h->connected;
    json_free(parsed);
}

/* publish_health.h: would a record reach the brokers now?  For publish.c alone.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "buffer.h"

enum { PUBLISH_WHY_SIZE = 640 };
struct publish_health {
    bool connected; /* to the leaders that matter */
    bool was_ready; /* connected at least once */
    int64_t started_ms;
    char why[PUBLISH_WHY_SIZE]; /* a sentence, while it is not connected */
};

/* A new producer was made; monotonic time. */
void publish_health_begin(struct publish_health *h, int64_t now_ms);
/* There is no producer, or none to rely on. */
void publish_health_end(struct publish_health *h, const char *why);
/* Takes in what librdkafka says of itself (its STATISTICS.md); a text that is not JSON changes nothing. */
void publish_health_take(struct publish_health *h, struct bytes statistics, const char *topic, int64_t now_ms);

/* kafka_topics.c: our topics, their default names and the settings they are made with.
 * SPDX-License-Identifier: Apache-2.0 */
#include "kafka.h"

/* A leader that lost records would take acknowledged events or journal entries with it. */
#define CLEAN_ELECTION                                                                                                 \
    {                                                                                                                  \
        "unclean.leader.election.enable", "false"                                                                      \
    }

/* Sizes: an event is its body (960 KiB by default) and its headers; a journal entry is the whole event and the state of
 * its run, a dead letter the whole event and the reason: both must have room for what was accepted once (J11). */
#define EVENT_MAX  "1310720" /* 1.25 MiB */
#define RECORD_MAX "2097152" /* 2 MiB */

#define DAYS_7  "604800000"
#define DAYS_30 "2592000000"

const struct kafka_topic_def kafka_topics[TOPIC_COUNT] = {
    [TOPIC_EVENTS] =
        {"events",
         "drawbridge.events",
         false,
         {{"cleanup.policy", "delete"}, {"retention.ms", DAYS_7}, {"max.message.bytes", EVENT_MAX}, CLEAN_ELECTION}},
    [TOPIC_RESULTS] =
        {"results",
         "drawbridge.results",
         false,
         {{"cleanup.policy", "delete"}, {"retention.ms", DAYS_30}, {"max.message.bytes", RECORD_MAX}, CLEAN_ELECTION}},
    [TOPIC_DEAD_LETTERS] =
        {"dead-letters",
         "drawbridge.dead-letters",
         false,
         {{"cleanup.policy", "delete"}, {"retention.ms", DAYS_30}, {"max.message.bytes", RECORD_MAX}, CLEAN_ELECTION}},
    /* Small segments and an eager cleaner: compaction never touches the active segment, and what it has not cleaned is
     * read again at every take-over (J13). */
    [TOPIC_JOURNAL] = {"journal",
                       "drawbridge.journal",
                       false,
                       {{"cleanup.policy", "compact"},
                        {"segment.bytes", "67108864"},
                        {"segment.ms", "3600000"},
                        {"min.cleanable.dirty.ratio", "0.1"},
                        {"delete.retention.ms", "86400000"},
                        {"max.message.bytes", RECORD_MAX},
                        CLEAN_ELECTION}},
    [TOPIC_CONTROL] = {"control",
                       "drawbridge.control",
                       false,
                       {{"cleanup.policy", "delete"}, {"retention.ms", DAYS_7}, CLEAN_ELECTION}},
    /* An ingress reads it anew every six hours; whoever was away for less than a week still meets the tombstones. */
    [TOPIC_TRIGGERS] =
        {"triggers",
         "drawbridge.triggers",
         true,
         {{"cleanup.policy", "compact"}, {"segment.ms", "86400000"}, {"delete.retention.ms", DAYS_7}, CLEAN_ELECTION}},
};

/* cloudevent.h: a CloudEvent that came over HTTP, in binary or structured mode.  Pure.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "record.h"

struct http_head;

enum { CLOUDEVENT_ATTRIBUTES_MAX = 20 };
struct cloudevent {
    bool has_time;
    int64_t time_us;
    size_t count; /* of attributes that have no place of their own, as record headers: "ce_subject", ... */
    struct record_header attributes[CLOUDEVENT_ATTRIBUTES_MAX];
};
struct cloudevent_texts { /* emptied, then filled */
    struct buffer *id, *type;
    struct buffer *attributes; /* what the event's attributes view */
};
/* True if a header carries one of the required attributes. */
bool cloudevent_is_binary(const struct http_head *head);
/* False: the sender's fault, told in `error` by the attribute's name. */
bool cloudevent_from_headers(const struct http_head *head, struct cloudevent *event, struct cloudevent_texts texts,
                             struct error *error);
/* The same of an envelope, which is valid JSON. */
bool cloudevent_from_body(struct bytes body, struct cloudevent *event, struct cloudevent_texts texts,
                          struct error *error);

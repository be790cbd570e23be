/* fuzz_cloudevent.c: any headers and any body as a CloudEvent: what is mapped can stand in a record, and never says
 * what is ours to say.
 * The input's first line chooses nothing; lines up to an empty one are "name:value", the rest is the body.
 * SPDX-License-Identifier: Apache-2.0 */
#include "ingress.h"
#include "text.h"
#include <stdlib.h>
#include <string.h>

enum { HEADERS_MAX = 64 };

static void require(bool truth)
{
    if (!truth) abort();
}

static struct bytes cut(struct bytes *rest, uint8_t mark)
{
    const uint8_t *at = rest->size ? memchr(rest->data, mark, rest->size) : NULL;
    struct bytes piece = {rest->data, at ? (size_t)(at - rest->data) : rest->size};
    size_t used = at ? piece.size + 1 : rest->size;
    *rest = (struct bytes){rest->data + used, rest->size - used};
    return piece;
}

static void check_attribute(const struct record_header *h)
{
    static const char *const ours[] = {
        "ce_specversion",  "ce_id",           "ce_source",          "ce_type", "ce_time", "ce_agentid", "ce_workflowid",
        "ce_partitionkey", "ce_recordedtime", "ce_datacontenttype", "ce_data", "ce_body", "ce_headers", "ce_trigger"};
    for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++)
        require(!bytes_are(h->name, ours[i]));
    require(h->name.size > 3 && memcmp(h->name.data, "ce_", 3) == 0);
    for (size_t i = 3; i < h->name.size; i++)
        require((h->name.data[i] >= 'a' && h->name.data[i] <= 'z') ||
                (h->name.data[i] >= '0' && h->name.data[i] <= '9'));
    require(h->value.size > 0 && text_is_utf8(h->value) && text_before_control(h->value) == h->value.size);
}

static void check_mapped(const struct cloudevent *event, struct cloudevent_texts texts)
{
    struct bytes id = buffer_view(texts.id), type = buffer_view(texts.type);
    require(id.size >= 3 && id.size <= 256 && memchr(id.data, ' ', id.size));
    for (size_t i = 0; i < id.size; i++)
        require(id.data[i] >= 0x20 && id.data[i] <= 0x7e);
    require(type.size > 0 && type.size <= 256 && text_is_utf8(type));
    require(event->count <= CLOUDEVENT_ATTRIBUTES_MAX);
    for (size_t i = 0; i < event->count; i++) {
        check_attribute(&event->attributes[i]);
        for (size_t k = 0; k < i; k++)
            require(!bytes_equal(event->attributes[i].name, event->attributes[k].name));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct http_header headers[HEADERS_MAX];
    struct http_head head = {.headers = headers};
    struct bytes rest = {data, size};
    while (rest.size > 0 && head.header_count < HEADERS_MAX) {
        struct bytes value = cut(&rest, '\n');
        if (value.size == 0) break;
        struct bytes name = cut(&value, ':');
        headers[head.header_count++] = (struct http_header){name, value};
    }
    struct buffer id, type, attributes;
    struct cloudevent event;
    struct error error = {0};
    buffer_init(&id, 65536);
    buffer_init(&type, 65536);
    buffer_init(&attributes, 65536);
    struct cloudevent_texts texts = {&id, &type, &attributes};
    bool binary = cloudevent_is_binary(&head);
    bool mapped = cloudevent_from_headers(&head, &event, texts, &error);
    require(!mapped || binary);
    require(mapped || error.text[0]);
    if (mapped) check_mapped(&event, texts);
    if (cloudevent_from_body(rest, &event, texts, &error)) check_mapped(&event, texts);
    buffer_close(&id);
    buffer_close(&type);
    buffer_close(&attributes);
    return 0;
}

/* http_server_reply.c: answers as libmicrohttpd's objects, new ones and those from the stock.
 * SPDX-License-Identifier: Apache-2.0 */
#include "http_server_reply.h"
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>

static struct MHD_Response *response_new(struct bytes body, enum MHD_ResponseMemoryMode mode,
                                         const struct http_reply_header *headers, size_t count)
{
    /* The library only reads it. */
    struct MHD_Response *response =
        MHD_create_response_from_buffer(body.size, (void *)(uintptr_t)(body.data ? (const void *)body.data : ""), mode);
    for (size_t i = 0; response && i < count; i++) {
        if (MHD_add_response_header(response, headers[i].name, headers[i].value) == MHD_YES) continue;
        MHD_destroy_response(response);
        response = NULL;
    }
    return response;
}

struct http_reply http_reply_new(int status, struct bytes body, const struct http_reply_header *headers, size_t count,
                                 bool shared)
{
    return (struct http_reply){
        .status = status, .shared = shared, .response = response_new(body, MHD_RESPMEM_MUST_COPY, headers, count)};
}

void http_reply_close(struct http_reply *reply)
{
    if (reply->response) MHD_destroy_response(reply->response);
    *reply = (struct http_reply){0};
}

/* ---- the stock ---- */

static void block_free(struct reply_block *block)
{
    if (block->response) MHD_destroy_response(block->response);
    free(block);
}

static struct reply_block *block_new(size_t size)
{
    static const struct http_reply_header json = {"Content-Type", "application/json"};
    struct reply_block *block = malloc(sizeof *block + size);
    if (!block) return NULL;
    block->size = size;
    block->response =
        response_new((struct bytes){(const uint8_t *)block->text, size}, MHD_RESPMEM_PERSISTENT, &json, 1);
    if (block->response) return block;
    free(block);
    return NULL;
}

struct reply_block *reply_stock_take(struct reply_stock *s, struct bytes text)
{
    struct reply_block *block = text.size < REPLY_SIZES ? s->of_size[text.size] : NULL;
    if (block) {
        s->of_size[text.size] = block->next;
        s->count--;
    } else {
        block = block_new(text.size);
    }
    if (block && text.size > 0) memcpy(block->text, text.data, text.size);
    return block;
}

void reply_stock_put(struct reply_stock *s, struct reply_block *block)
{
    if (!block) return;
    if (block->size >= REPLY_SIZES || s->count == REPLIES_KEPT_MAX) {
        block_free(block);
        return;
    }
    block->next = s->of_size[block->size];
    s->of_size[block->size] = block;
    s->count++;
}

void reply_stock_close(struct reply_stock *s)
{
    for (size_t size = 0; size < REPLY_SIZES; size++)
        while (s->of_size[size]) {
            struct reply_block *block = s->of_size[size];
            s->of_size[size] = block->next;
            block_free(block);
        }
    s->count = 0;
}

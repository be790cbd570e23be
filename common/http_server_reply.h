/* http_server_reply.h: a stock of answers whose memory is used again.  For http_server.c alone.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "http_server.h"

/* Most answers of a program are JSON texts of few different sizes.  The library's object for an answer costs as much as
 * the text in it, and its size is fixed, its text is not: so an object that has been sent answers another request with
 * a text of the same size. */
enum { REPLY_SIZES = 512, REPLIES_KEPT_MAX = 256 };
struct reply_block {
    struct reply_block *next; /* in the stock */
    struct MHD_Response *response;
    size_t size;
    char text[];
};
struct reply_stock {
    struct reply_block *of_size[REPLY_SIZES];
    size_t count;
};

/* A block with a copy of `text`, of type application/json; NULL without memory.  To be put back when nobody sends it
 * any more. */
struct reply_block *reply_stock_take(struct reply_stock *s, struct bytes text);
/* NULL is legal. */
void reply_stock_put(struct reply_stock *s, struct reply_block *block);
void reply_stock_close(struct reply_stock *s);

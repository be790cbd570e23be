/* http_head.h: the head of a request as whoever judges it sees it.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "buffer.h"

/* Views into the connection's memory: they live until `done`. */
struct http_header {
    struct bytes name, value;
};
struct http_head {
    struct bytes method, target /* as sent, with the query */, path /* target up to '?' */, version;
    const struct http_header *headers;
    size_t header_count;
    /* The bytes behind the strings that libmicrohttpd 0.9 returns show a NUL, a folded line or a bare LF (traps 5.2);
     * never set with 1.0, whose parser refuses these itself. */
    bool torn;
};

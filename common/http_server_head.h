/* http_server_head.h: the head of a request out of libmicrohttpd's hands, and whether its parser cut something off.
 * For http_server.c alone.  SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "http_server.h"

struct MHD_Connection;

/* Reads one head after the other of a connection; its memory is used again. */
struct head_reader {
    struct http_head head; /* of the last head_read; views the connection's memory and `target` */
    struct http_header *headers;
    size_t capacity;
    struct buffer target;
    uintptr_t target_at; /* where the library keeps it: its neighbours tell whether a NUL cut it */
    size_t memory;       /* of the connection */
    bool peek;           /* libmicrohttpd before 1.0: look behind the returned strings */
};

/* `memory`: what the library was told to give a connection. */
void head_reader_init(struct head_reader *h, size_t memory);
void head_reader_close(struct head_reader *h);
/* From the library's URI callback, the only place where the target can be had whole and with its query. */
void head_note_target(struct head_reader *h, const char *uri);
/* From the first handler call: fills h->head. */
void head_read(struct head_reader *h, struct MHD_Connection *connection, const char *method, const char *version);

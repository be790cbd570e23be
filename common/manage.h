/* manage.h: the management listener of both daemons: GET /healthz, /readyz, /metrics.
 * Runs inside the caller's loop: watch manage_fd for reading, call manage_run when it is readable or due.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "error.h"
#include "metrics.h"

struct manage_hooks {
    /* True when ready, with or without a text about it; else appends one sentence that says what is missing. */
    bool (*ready)(void *ctx, struct buffer *text);
    /* Refreshes gauges right before /metrics is written; may be NULL. */
    void (*refresh)(void *ctx);
    /* Appends to /metrics what no table can hold, in the same format; may be NULL. */
    void (*more)(void *ctx, struct buffer *out);
    void *ctx;
};

struct manage;
/* Listens on "127.0.0.1:9464" or "[::1]:9464" (port 0: any; see manage_port). */
struct manage *manage_start(const char *listen, const struct metrics *metrics, struct manage_hooks hooks,
                            struct error *error);
int manage_port(const struct manage *m);
int manage_fd(const struct manage *m);
/* Milliseconds until manage_run is due even without an event, or -1. */
int manage_timeout_ms(const struct manage *m);
void manage_run(struct manage *m);
void manage_stop(struct manage *m); /* NULL is legal */

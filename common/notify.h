/* notify.h: tells the service manager how we are: the datagrams of sd_notify(3), without its library.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "error.h"
#include <stdint.h>

/* Zeroed, with fd -1, it tells nobody anything. */
struct notify {
    int fd;               /* -1: nobody asked (no NOTIFY_SOCKET) */
    int64_t watchdog_ms;  /* ping at least this often; 0: nobody watches */
    int64_t next_ping_ms; /* monotonic */
};

/* Connects to NOTIFY_SOCKET, if that is set, and reads WATCHDOG_USEC (for WATCHDOG_PID `own_pid`, or without one).
 * False only if the socket is named and cannot be reached.  The caller closes it. */
bool notify_open(struct notify *n, int own_pid, struct error *error);
void notify_close(struct notify *n);

/* A message that does not get through is lost: the manager's time-outs then say so.  Times are monotonic. */
void notify_ready(const struct notify *n);
void notify_reloading(const struct notify *n, int64_t now_us); /* followed by notify_ready */
void notify_stopping(const struct notify *n);
/* Milliseconds until notify_ping is due, or -1. */
int notify_timeout_ms(const struct notify *n, int64_t now_ms);
/* Sends WATCHDOG=1 if that is due. */
void notify_ping(struct notify *n, int64_t now_ms);

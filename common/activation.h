/* activation.h: sockets that systemd, or whoever started us, hands over (sd_listen_fds(3)); a parser of our own.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "error.h"

enum { ACTIVATION_FIRST_FD = 3 }; /* SD_LISTEN_FDS_START */

/* What the environment says; any may be NULL. */
struct activation {
    const char *pid;   /* LISTEN_PID: whom the sockets are for */
    const char *count; /* LISTEN_FDS */
    const char *names; /* LISTEN_FDNAMES: one for each, parted by colons */
};
struct activation activation_from_environment(void);

/* The descriptor of the socket of that name (FileDescriptorName= in the socket unit), or with "" of the only one; -1
 * with a sentence when there is none.  `own_pid` is getpid().  Pure. */
int activation_find(const struct activation *a, int own_pid, const char *name, struct error *error);
/* Checks that it is a listening stream socket, and makes it non-blocking and not inherited. */
bool activation_adopt(int fd, struct error *error);

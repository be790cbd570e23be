/* listener.h: a listening socket: an address and port, a Unix socket, or one that systemd hands over.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "error.h"
#include <sys/types.h>
#include <sys/un.h>

struct listener_settings {
    /* "127.0.0.1:8080", "[::]:8080" (IPv4 too), port 0: any; "unix:/path"; "systemd", "systemd:NAME" */
    const char *listen;
    bool reuse_port;   /* several processes on one port; the kernel shares connections out among them */
    mode_t mode;       /* of a Unix socket's file; 0: what the umask leaves */
    const char *group; /* of a Unix socket's file; NULL or "": the process's */
};

/* True if `text` is one of the forms above; else the sentence says what they are. */
bool listener_check(const char *text, struct error *error);
bool listener_is_unix(const char *text);
bool listener_is_handed_over(const char *text);
/* Reachable from this machine only: a loopback address or a Unix socket.  Of a socket that is handed over nobody knows
 * that beforehand. */
bool listener_is_local(const char *text);

struct listener {
    int fd;
    int port; /* 0 for a Unix socket */
    /* Of a Unix socket of our own making: its file, to be removed at the end if it is still the same. */
    char path[sizeof((struct sockaddr_un *)0)->sun_path];
    dev_t device;
    ino_t inode;
};

/* Listens.  A socket file that nobody listens on is replaced; one that somebody does, or a file of another kind, is an
 * error.  The caller closes it with listener_close. */
bool listener_open(struct listener *l, const struct listener_settings *settings, struct error *error);
/* Closes the descriptor and removes the socket file, if it is still ours.  Legal twice and on {.fd = -1}. */
void listener_close(struct listener *l);

/* notify.c: READY=1 and its kin to the service manager (sd_notify(3), the protocol part).
 * SPDX-License-Identifier: Apache-2.0 */
#include "notify.h"
#include "text.h"
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static bool parse_address(const char *text, struct sockaddr_un *out, socklen_t *size, struct error *error)
{
    size_t length = strlen(text);
    *out = (struct sockaddr_un){.sun_family = AF_UNIX};
    if ((text[0] != '/' && text[0] != '@') || length < 2 || length >= sizeof out->sun_path)
        return error_set(error, ERROR_INVALID, "NOTIFY_SOCKET '%s' is neither a path nor '@' and a name", text);
    memcpy(out->sun_path, text, length);
    if (text[0] == '@') out->sun_path[0] = 0; /* the abstract namespace */
    *size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + (text[0] == '/'));
    return true;
}

/* Half of what the manager allows, as sd_watchdog_enabled(3) recommends. */
static int64_t watchdog_interval_ms(int own_pid)
{
    const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
    int64_t whose = own_pid, allowed_us = 0;
    if (!usec || !text_parse_int64(bytes_of(usec), 2000, INT64_MAX, &allowed_us)) return 0;
    if (pid && (!text_parse_int64(bytes_of(pid), 1, INT32_MAX, &whose) || whose != own_pid)) return 0;
    return allowed_us / 2000;
}

bool notify_open(struct notify *n, int own_pid, struct error *error)
{
    struct sockaddr_un address;
    socklen_t size = 0;
    const char *text = getenv("NOTIFY_SOCKET");
    *n = (struct notify){.fd = -1};
    if (!text || !text[0]) return true;
    if (!parse_address(text, &address, &size, error)) return false;
    n->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (n->fd < 0) return error_set_errno(error, errno, "socket for NOTIFY_SOCKET");
    if (connect(n->fd, (const struct sockaddr *)&address, size) != 0) {
        error_set_errno(error, errno, "NOTIFY_SOCKET '%s'", text);
        notify_close(n);
        return false;
    }
    n->watchdog_ms = watchdog_interval_ms(own_pid);
    return true;
}

void notify_close(struct notify *n)
{
    if (n->fd >= 0) close(n->fd);
    *n = (struct notify){.fd = -1};
}

static void tell(const struct notify *n, const char *message)
{
    if (n->fd >= 0) (void)send(n->fd, message, strlen(message), MSG_NOSIGNAL);
}

void notify_ready(const struct notify *n)
{
    tell(n, "READY=1");
}

void notify_reloading(const struct notify *n, int64_t now_us)
{
    char message[64] = "RELOADING=1\nMONOTONIC_USEC=";
    text_format_int64(now_us, message + strlen(message));
    tell(n, message);
}

void notify_stopping(const struct notify *n)
{
    tell(n, "STOPPING=1");
}

int notify_timeout_ms(const struct notify *n, int64_t now_ms)
{
    if (n->watchdog_ms == 0) return -1;
    int64_t left_ms = n->next_ping_ms - now_ms;
    return left_ms <= 0 ? 0 : left_ms > 3600 * 1000 ? 3600 * 1000 : (int)left_ms;
}

void notify_ping(struct notify *n, int64_t now_ms)
{
    if (n->watchdog_ms == 0 || now_ms < n->next_ping_ms) return;
    n->next_ping_ms = now_ms + n->watchdog_ms;
    tell(n, "WATCHDOG=1");
}

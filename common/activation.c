/* activation.c: sockets handed over by systemd: LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES (sd_listen_fds(3)).
 * SPDX-License-Identifier: Apache-2.0 */
#include "activation.h"
#include "text.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>

enum { COUNT_MAX = 1024 };

struct activation activation_from_environment(void)
{
    return (struct activation){getenv("LISTEN_PID"), getenv("LISTEN_FDS"), getenv("LISTEN_FDNAMES")};
}

/* The index of `name` in "a:b:c", or -1. */
static int index_of(const char *names, const char *name)
{
    size_t size = strlen(name);
    for (int index = 0; names; index++) {
        const char *end = strchrnul(names, ':');
        if ((size_t)(end - names) == size && memcmp(names, name, size) == 0) return index;
        names = *end ? end + 1 : NULL;
    }
    return -1;
}

static int refuse(struct error *error, const char *sentence, const char *text)
{
    error_set(error, ERROR_INVALID, "%s%s", sentence, text);
    return -1;
}

int activation_find(const struct activation *a, int own_pid, const char *name, struct error *error)
{
    int64_t pid = 0, count = 0;
    if (!a->count || !a->pid)
        return refuse(error, "no socket was handed over: start it through its systemd socket unit (LISTEN_FDS)", "");
    if (!text_parse_int64(bytes_of(a->pid), 1, INT32_MAX, &pid) || pid != own_pid)
        return refuse(error, "the sockets handed over are for another process: LISTEN_PID is ", a->pid);
    if (!text_parse_int64(bytes_of(a->count), 1, COUNT_MAX, &count))
        return refuse(error, "LISTEN_FDS is no number of sockets: ", a->count);
    if (name[0] == 0 && count > 1)
        return refuse(error, "several sockets were handed over; name one, as in systemd:NAME, of ",
                      a->names ? a->names : "(without names)");
    int index = name[0] == 0 ? 0 : index_of(a->names, name);
    if (index < 0 || index >= count) return refuse(error, "no socket was handed over with FileDescriptorName=", name);
    return ACTIVATION_FIRST_FD + index;
}

bool activation_adopt(int fd, struct error *error)
{
    int type = 0, listening = 0;
    socklen_t size = sizeof type;
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) != 0)
        return error_set_errno(error, errno, "descriptor %d that was handed over is no socket", fd);
    size = sizeof listening;
    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) != 0)
        return error_set_errno(error, errno, "descriptor %d", fd);
    if (type != SOCK_STREAM || !listening)
        return error_set(error, ERROR_INVALID,
                         "descriptor %d that was handed over is no listening stream socket (ListenStream=, Accept=no)",
                         fd);
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) != 0)
        return error_set_errno(error, errno, "descriptor %d", fd);
    return true;
}

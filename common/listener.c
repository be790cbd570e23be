/* listener.c: listening sockets: addresses, Unix sockets and their files, sockets that are handed over.
 * SPDX-License-Identifier: Apache-2.0 */
#include "listener.h"
#include "activation.h"
#include "address.h"
#include <errno.h>
#include <grp.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BACKLOG = 1024 };

static const char unix_prefix[] = "unix:", systemd_word[] = "systemd";

/* ---- the text ---- */

bool listener_is_unix(const char *text)
{
    return strncmp(text, unix_prefix, strlen(unix_prefix)) == 0;
}

bool listener_is_handed_over(const char *text)
{
    size_t size = strlen(systemd_word);
    return strncmp(text, systemd_word, size) == 0 && (text[size] == 0 || (text[size] == ':' && text[size + 1] != 0));
}

static bool unix_address(const char *text, struct sockaddr_un *out, struct error *error)
{
    const char *path = text + strlen(unix_prefix);
    *out = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (path[0] != '/') return error_set(error, ERROR_INVALID, "'%s': the path of a Unix socket begins with '/'", text);
    size_t size = strlen(path);
    if (size >= sizeof out->sun_path)
        return error_set(error, ERROR_TOO_LARGE, "'%s': the path of a Unix socket has at most %zu characters", text,
                         sizeof out->sun_path - 1);
    memcpy(out->sun_path, path, size);
    return true;
}

bool listener_check(const char *text, struct error *error)
{
    struct sockaddr_storage address;
    struct sockaddr_un local;
    unsigned size;
    if (listener_is_handed_over(text)) return true;
    if (listener_is_unix(text)) return unix_address(text, &local, error);
    if (address_parse_listen(text, &address, &size, NULL)) return true;
    return error_set(error, ERROR_INVALID,
                     "'%s' is not an IPv4 address:port or [IPv6 address]:port, nor unix:/path, systemd or systemd:NAME",
                     text);
}

bool listener_is_local(const char *text)
{
    struct sockaddr_storage socket_address;
    struct address address;
    unsigned size;
    if (listener_is_unix(text)) return true;
    return address_parse_listen(text, &socket_address, &size, NULL) &&
           address_from_socket((const struct sockaddr *)&socket_address, &address) && address_is_loopback(&address);
}

/* ---- a Unix socket's file ---- */

/* Whoever ended without removing its socket leaves a file that refuses every connection. */
static bool remove_stale(const struct sockaddr_un *address, struct error *error)
{
    struct stat st;
    if (lstat(address->sun_path, &st) != 0)
        return errno == ENOENT ? true : error_set_errno(error, errno, "'%s'", address->sun_path);
    if (!S_ISSOCK(st.st_mode))
        return error_set(error, ERROR_INVALID, "'%s' exists and is no socket; remove it or listen elsewhere",
                         address->sun_path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return error_set_errno(error, errno, "socket");
    int refused = connect(fd, (const struct sockaddr *)address, sizeof *address) == 0 ? 0 : errno;
    close(fd);
    if (refused != ECONNREFUSED)
        return error_set(error, ERROR_UNAVAILABLE, "another process listens on '%s'", address->sun_path);
    return unlink(address->sun_path) == 0 || errno == ENOENT
               ? true
               : error_set_errno(error, errno, "remove the stale socket '%s'", address->sun_path);
}

static bool find_group(const char *name, gid_t *gid, struct error *error)
{
    errno = 0;
    const struct group *group = getgrnam(name); /* at start, before any thread */
    if (!group) return error_set(error, ERROR_NOT_FOUND, "there is no group '%s'", name);
    *gid = group->gr_gid;
    return true;
}

/* Between bind and listen nobody can connect, so the file has its rights before it is of use. */
static bool dress_file(struct listener *l, const struct listener_settings *settings, struct error *error)
{
    struct stat st;
    gid_t gid = (gid_t)-1;
    if (settings->group && settings->group[0] && !find_group(settings->group, &gid, error)) return false;
    if (gid != (gid_t)-1 && chown(l->path, (uid_t)-1, gid) != 0)
        return error_set_errno(error, errno, "give '%s' to the group '%s'", l->path, settings->group);
    if (settings->mode != 0 && chmod(l->path, settings->mode) != 0)
        return error_set_errno(error, errno, "set the mode of '%s'", l->path);
    if (lstat(l->path, &st) != 0) return error_set_errno(error, errno, "'%s'", l->path);
    l->device = st.st_dev;
    l->inode = st.st_ino;
    return true;
}

static bool open_unix(struct listener *l, const struct listener_settings *settings, struct error *error)
{
    struct sockaddr_un address;
    if (!unix_address(settings->listen, &address, error) || !remove_stale(&address, error)) return false;
    l->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (l->fd < 0) return error_set_errno(error, errno, "socket");
    if (bind(l->fd, (const struct sockaddr *)&address, sizeof address) != 0)
        return error_set_errno(error, errno, "bind");
    memcpy(l->path, address.sun_path, sizeof l->path);
    if (!dress_file(l, settings, error)) return false;
    return listen(l->fd, BACKLOG) == 0 ? true : error_set_errno(error, errno, "listen");
}

/* ---- the others ---- */

static bool open_handed_over(struct listener *l, const struct listener_settings *settings, struct error *error)
{
    const struct activation activation = activation_from_environment();
    const char *colon = strchr(settings->listen, ':');
    int fd = activation_find(&activation, getpid(), colon ? colon + 1 : "", error);
    if (fd < 0 || !activation_adopt(fd, error)) return false;
    l->fd = fd;
    return true;
}

static bool open_address(struct listener *l, const struct listener_settings *settings, struct error *error)
{
    struct sockaddr_storage address;
    socklen_t size;
    int on = 1, off = 0;
    if (!address_parse_listen(settings->listen, &address, &size, error)) return false;
    l->fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (l->fd < 0) return error_set_errno(error, errno, "socket");
    setsockopt(l->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (settings->reuse_port && setsockopt(l->fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) != 0)
        return error_set_errno(error, errno, "SO_REUSEPORT");
    if (address.ss_family == AF_INET6) setsockopt(l->fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    if (bind(l->fd, (struct sockaddr *)&address, size) == 0 && listen(l->fd, BACKLOG) == 0) return true;
    return error_set_errno(error, errno, "bind");
}

static int port_of(int fd)
{
    struct sockaddr_storage address;
    socklen_t size = sizeof address;
    if (getsockname(fd, (struct sockaddr *)&address, &size) != 0) return 0;
    if (address.ss_family == AF_INET) return ntohs(((struct sockaddr_in *)&address)->sin_port);
    return address.ss_family == AF_INET6 ? ntohs(((struct sockaddr_in6 *)&address)->sin6_port) : 0;
}

bool listener_open(struct listener *l, const struct listener_settings *settings, struct error *error)
{
    *l = (struct listener){.fd = -1};
    bool opened = listener_is_unix(settings->listen)          ? open_unix(l, settings, error)
                  : listener_is_handed_over(settings->listen) ? open_handed_over(l, settings, error)
                                                              : open_address(l, settings, error);
    if (opened) {
        l->port = port_of(l->fd);
        return true;
    }
    listener_close(l);
    return error_context(error, "listen on %s", settings->listen);
}

void listener_close(struct listener *l)
{
    struct stat st;
    if (l->fd >= 0) close(l->fd);
    if (l->inode != 0 && lstat(l->path, &st) == 0 && st.st_dev == l->device && st.st_ino == l->inode) unlink(l->path);
    *l = (struct listener){.fd = -1};
}

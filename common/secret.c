/* secret.c: secrets by reference; wiped after use, kept out of core files.
 * SPDX-License-Identifier: Apache-2.0 */
#include "secret.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SECRET_SIZE_MAX = 64 * 1024 };

/* Lives at the start of its own mapping, so that the advice to the kernel concerns nothing else. */
struct secret {
    size_t mapped;
    size_t size;
    uint8_t data[];
};

static struct secret *map(size_t capacity, struct error *error)
{
    size_t size = sizeof(struct secret) + capacity;
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        error_set_errno(error, errno, "no memory for a secret");
        return NULL;
    }
    /* Best effort: a small RLIMIT_MEMLOCK must not keep a program from starting. */
    (void)madvise(memory, size, MADV_DONTDUMP);
    (void)mlock(memory, size);
    struct secret *s = memory;
    s->mapped = size;
    return s;
}

void secret_free(struct secret *s)
{
    if (!s) return;
    size_t size = s->mapped;
    OPENSSL_cleanse(s, size);
    (void)munmap(s, size);
}

void secret_wipe(void *data, size_t size)
{
    OPENSSL_cleanse(data, size);
}

struct bytes secret_view(const struct secret *s)
{
    return (struct bytes){s->data, s->size};
}

struct secret *secret_copy(struct bytes text, struct error *error)
{
    if (text.size == 0) {
        error_set(error, ERROR_INVALID, "the secret is empty");
        return NULL;
    }
    if (text.size > SECRET_SIZE_MAX) {
        error_set(error, ERROR_TOO_LARGE, "the secret is over %d bytes", SECRET_SIZE_MAX);
        return NULL;
    }
    struct secret *s = map(text.size, error);
    if (!s) return NULL;
    memcpy(s->data, text.data, text.size);
    s->size = text.size;
    return s;
}

static struct secret *from_environment(const char *name, struct error *error)
{
    const char *value = getenv(name);
    if (!value) {
        error_set(error, ERROR_NOT_FOUND, "environment variable '%s' is not set", name);
        return NULL;
    }
    struct secret *s = secret_copy(bytes_of(value), error);
    if (!s) error_context(error, "environment variable '%s'", name);
    return s;
}

/* Owner only; or, for a file of root's, its group too: systemd hands credentials to a service as 0440 root. */
static bool permissions_ok(const struct stat *st)
{
    mode_t refused = st->st_uid == 0 ? S_IWGRP | S_IXGRP | S_IRWXO : S_IRWXG | S_IRWXO;
    return (st->st_mode & refused) == 0;
}

static bool check_file(int fd, size_t *size, struct error *error)
{
    struct stat st;
    if (fstat(fd, &st) != 0) return error_set_errno(error, errno, "stat");
    if (!S_ISREG(st.st_mode)) return error_set(error, ERROR_INVALID, "not a regular file");
    if (!permissions_ok(&st))
        return error_set(error, ERROR_DENIED, "mode %04o lets others at it; use 0600 or 0400 (0440 if root owns it)",
                         (unsigned)(st.st_mode & 07777));
    if (st.st_size > SECRET_SIZE_MAX)
        return error_set(error, ERROR_TOO_LARGE, "the secret is over %d bytes", SECRET_SIZE_MAX);
    *size = (size_t)st.st_size;
    return true;
}

static bool read_all(int fd, struct secret *s, size_t size, struct error *error)
{
    while (s->size < size) {
        ssize_t got = read(fd, s->data + s->size, size - s->size);
        if (got == 0) break;
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return error_set_errno(error, errno, "read");
        s->size += (size_t)got;
    }
    return true;
}

static void drop_newline(struct secret *s)
{
    if (s->size > 0 && s->data[s->size - 1] == '\n')
        s->size--;
    else
        return;
    if (s->size > 0 && s->data[s->size - 1] == '\r') s->size--;
}

static struct secret *read_file(int fd, struct error *error)
{
    size_t size = 0;
    if (!check_file(fd, &size, error)) return NULL;
    struct secret *s = map(size, error);
    if (!s) return NULL;
    if (read_all(fd, s, size, error)) {
        drop_newline(s);
        if (s->size > 0) return s;
        error_set(error, ERROR_INVALID, "the secret is empty");
    }
    secret_free(s);
    return NULL;
}

static struct secret *from_file(const char *path, struct error *error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not hang the start */
    if (fd < 0) {
        error_set_errno(error, errno, "open '%s'", path);
        return NULL;
    }
    struct secret *s = read_file(fd, error);
    close(fd);
    if (!s) error_context(error, "secret file '%s'", path);
    return s;
}

static struct secret *from_sealed(const char *rest, struct error *error)
{
    (void)rest;
    error_set(error, ERROR_INVALID,
              "a sealed: secret opens only in the trigger that it was made for; use env:NAME or file:PATH here");
    return NULL;
}

static const struct secret_source {
    const char *prefix;
    struct secret *(*resolve)(const char *rest, struct error *error);
} sources[] = {
    {"env:", from_environment},
    {"file:", from_file},
    {"sealed:", from_sealed}, /* refused by name: it must never pass for a literal */
};

static const struct secret_source *source_of(struct bytes reference)
{
    for (size_t i = 0; i < sizeof sources / sizeof sources[0]; i++) {
        size_t size = strlen(sources[i].prefix);
        if (reference.size >= size && memcmp(reference.data, sources[i].prefix, size) == 0) return &sources[i];
    }
    return NULL;
}

static struct secret *resolve_from(const struct secret_source *source, struct bytes rest, struct error *error)
{
    char text[PATH_MAX];
    if (rest.size == 0 || rest.size >= sizeof text || memchr(rest.data, 0, rest.size)) {
        error_set(error, ERROR_INVALID, "a secret's reference has no name behind '%s', or an impossible one",
                  source->prefix);
        return NULL;
    }
    memcpy(text, rest.data, rest.size);
    text[rest.size] = 0;
    return source->resolve(text, error);
}

struct secret *secret_resolve(struct bytes reference, bool literal_allowed, struct error *error)
{
    const struct secret_source *source = source_of(reference);
    if (source) {
        size_t prefix = strlen(source->prefix);
        return resolve_from(source, (struct bytes){reference.data + prefix, reference.size - prefix}, error);
    }
    if (literal_allowed) return secret_copy(reference, error);
    error_set(error, ERROR_INVALID, "a secret is given as env:NAME or file:PATH here");
    return NULL;
}

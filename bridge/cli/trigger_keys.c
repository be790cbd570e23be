/* trigger_keys.c: the key file of sealed secrets: made, or with a fresh key on top.
 * SPDX-License-Identifier: Apache-2.0 */
#include "trigger.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_MAX = 64 * 1024 };

static bool write_all(int fd, struct bytes text, struct error *error)
{
    while (text.size > 0) {
        const ssize_t size = write(fd, text.data, text.size);
        if (size < 0) return error_set_errno(error, errno, "write");
        text = (struct bytes){text.data + size, text.size - (size_t)size};
    }
    return fsync(fd) == 0 || error_set_errno(error, errno, "fsync");
}

/* The new file takes the old one's owner and group, so that the ingress can go on reading it. */
static bool write_beside(const char *path, const struct stat *old, struct bytes text, struct error *error)
{
    char beside[4096];
    const int size = snprintf(beside, sizeof beside, "%s.new", path);
    if (size < 0 || (size_t)size >= sizeof beside) return error_set(error, ERROR_INVALID, "the path is too long");
    const int fd = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) return error_set_errno(error, errno, "create '%s'", beside);
    bool good = write_all(fd, text, error);
    if (good && old != NULL && (fchown(fd, old->st_uid, old->st_gid) != 0 || fchmod(fd, old->st_mode & 07777) != 0))
        good = error_set_errno(error, errno, "keep the owner of '%s'", path);
    if (close(fd) != 0 && good) good = error_set_errno(error, errno, "close '%s'", beside);
    if (good && rename(beside, path) != 0) good = error_set_errno(error, errno, "rename '%s'", beside);
    if (!good) unlink(beside);
    return good;
}

/* Appends what stands in the file, which must be one of keys. */
static bool append_old(const char *path, struct buffer *text, struct error *error)
{
    char reference[4096];
    struct keyring *keys = keyring_load(path, error);
    if (keys == NULL) return false;
    keyring_free(keys);
    snprintf(reference, sizeof reference, "file:%s", path);
    struct secret *old = secret_resolve(bytes_of(reference), false, error);
    if (old == NULL) return false;
    buffer_bytes(text, secret_view(old));
    buffer_byte(text, '\n');
    secret_free(old);
    return true;
}

bool key_file_add(const char *path, bool *existed, struct error *error)
{
    struct stat old;
    struct buffer text;
    *existed = stat(path, &old) == 0;
    buffer_init(&text, 2 * FILE_MAX);
    bool good = buffer_reserve(&text, 2 * FILE_MAX) || /* so that it never moves and leaves a copy behind */
                error_set(error, ERROR_MEMORY, "no memory for the keys");
    good = good && keyring_make_key(&text, error) && (!*existed || append_old(path, &text, error));
    good = good && write_beside(path, *existed ? &old : NULL, buffer_view(&text), error);
    if (text.data != NULL) explicit_bzero(text.data, text.capacity);
    buffer_close(&text);
    return good || error_context(error, "key file '%s'", path);
}

/* stderr_tail.c: keeps the end of a stream.  SPDX-License-Identifier: Apache-2.0 */
#include "stderr_tail.h"
#include <string.h>

static void drop(struct stderr_tail *t, size_t count)
{
    if (!count) return;
    t->cut = true;
    t->before = t->data[count - 1];
    t->size -= count;
    memmove(t->data, t->data + count, t->size);
}

void stderr_tail_append(struct stderr_tail *t, const void *data, size_t size)
{
    const uint8_t *bytes = data;
    if (!size) return;
    if (size > STDERR_TAIL_MAX) {
        t->cut = true;
        t->size = 0;
        t->before = bytes[size - STDERR_TAIL_MAX - 1];
        bytes += size - STDERR_TAIL_MAX;
        size = STDERR_TAIL_MAX;
    } else if (t->size + size > STDERR_TAIL_MAX) {
        drop(t, t->size + size - STDERR_TAIL_MAX);
    }
    memcpy(t->data + t->size, bytes, size);
    t->size += size;
}

struct bytes stderr_tail_view(const struct stderr_tail *t)
{
    const struct bytes all = {t->data, t->size};
    if (!t->cut || t->before == '\n') return all;
    const uint8_t *line = memchr(t->data, '\n', t->size);
    size_t start = line ? (size_t)(line - t->data) + 1 : 0;
    if (start == 0 || start == t->size) /* one long line */
        for (start = 0; start < 3 && start < t->size && (t->data[start] & 0xc0) == 0x80;)
            start++;
    return (struct bytes){t->data + start, t->size - start};
}

/* stderr_tail.h: the last 4 KiB of what a command wrote to stderr.  Pure.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "buffer.h"

enum { STDERR_TAIL_MAX = 4096 };

struct stderr_tail { /* starts zeroed */
    uint8_t data[STDERR_TAIL_MAX];
    size_t size;
    bool cut;       /* bytes were dropped in front */
    uint8_t before; /* the last of them */
};

void stderr_tail_append(struct stderr_tail *t, const void *data, size_t size);
/* From the start of a line if bytes were dropped and a whole line is there, else from the start of a UTF-8 sequence. */
struct bytes stderr_tail_view(const struct stderr_tail *t);

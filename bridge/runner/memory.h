/* memory.h: what the runner does without memory: it ends at once, with exit code 2.  The journal is the truth, so that
 * costs what any crash costs; going on with half a state could cost a result.  SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

static inline void *memory_got(void *block)
{
    static const char sentence[] = "drawbridge-runner: no memory\n";
    if (block) return block;
    if (write(STDERR_FILENO, sentence, sizeof sentence - 1) < 0) _exit(2);
    _exit(2);
}

static inline void *memory_new(size_t size)
{
    return memory_got(calloc(1, size));
}

static inline void *memory_array(void *block, size_t count, size_t size)
{
    return memory_got(reallocarray(block, count, size));
}

/* retry.c: see retry.h.
 * SPDX-License-Identifier: Apache-2.0 */
#include "retry.h"
#include <stddef.h>

static const struct {
    int code;
    enum verdict verdict;
} exit_codes[] = {
    {0, VERDICT_SUCCEEDED},  {64, VERDICT_PERMANENT}, {65, VERDICT_PERMANENT},
    {77, VERDICT_PERMANENT}, {78, VERDICT_PERMANENT},
};

enum verdict retry_exit_code(int code)
{
    for (size_t i = 0; i < sizeof exit_codes / sizeof exit_codes[0]; i++)
        if (exit_codes[i].code == code) return exit_codes[i].verdict;
    return VERDICT_RETRY;
}

bool retry_next(const struct retry_policy *p, int attempt, int64_t age_ms, double jitter, int64_t *wait_ms)
{
    if (attempt >= p->max_attempts) return false;
    int64_t wait = p->backoff_ms;
    for (int i = 1; i < attempt && wait < p->max_backoff_ms; i++)
        wait *= 2;
    if (wait > p->max_backoff_ms) wait = p->max_backoff_ms;
    *wait_ms = wait / 2 + (int64_t)((double)(wait - wait / 2) * jitter);
    return age_ms + *wait_ms <= p->max_age_ms;
}

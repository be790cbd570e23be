/* retry.h: how an attempt ended, and whether and when there is another one.  Pure: no clock, no randomness of its own.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

/* What the end of an attempt means. */
enum verdict {
    VERDICT_SUCCEEDED,
    VERDICT_RETRY,     /* failed; again if the policy allows it */
    VERDICT_PERMANENT, /* failed in a way that trying again cannot mend */
    VERDICT_TIMED_OUT, /* as RETRY, but the run ends as timed_out */
    VERDICT_STOPPED,   /* we ended it for reasons of our own: the attempt does not count (J7) */
};

/* By the exit code of a command: 0 succeeded; 64, 65, 77 and 78 (EX_USAGE, EX_DATAERR, EX_NOPERM, EX_CONFIG of
 * sysexits.h) permanent; 75 (EX_TEMPFAIL) and all others retry. */
enum verdict retry_exit_code(int code);

struct retry_policy {
    int64_t max_attempts;
    int64_t backoff_ms, max_backoff_ms;
    int64_t max_age_ms; /* from the first start */
};

/* Returns true and the time to wait before the next attempt, or false when the run is over.  The wait doubles with each
 * failed attempt up to max_backoff_ms; half of it is fixed, half is `jitter`, which is in [0, 1).  `attempt` counts the
 * failures so far, the last one included. */
bool retry_next(const struct retry_policy *p, int attempt, int64_t age_ms, double jitter, int64_t *wait_ms);

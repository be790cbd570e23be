/* rate.h: so many requests for each period, some of them at once: a token bucket.  Pure.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct rate {
    int64_t interval_ns, tolerance_ns; /* 0: no limit */
};
/* `burst` of them may come at once; 0: the whole amount. */
struct rate rate_of(int64_t amount, int64_t period_ms, int64_t burst);
/* Takes one out of the bucket (0: full).  False: there is none; *wait_s says when to come again. */
bool rate_take(struct rate rate, int64_t *bucket_ns, int64_t now_ns, int64_t *wait_s);

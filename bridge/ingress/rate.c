/* rate.c: so many requests for each period, some of them at once: a token bucket that is one moment in time.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rate.h"

enum { NS_PER_S = 1000000000 };

struct rate rate_of(int64_t amount, int64_t period_ms, int64_t burst)
{
    int64_t interval_ns = period_ms * 1000000 / amount;
    if (interval_ns == 0) interval_ns = 1;
    return (struct rate){interval_ns, interval_ns * ((burst > 0 ? burst : amount) - 1)};
}

/* The bucket is the moment at which it will be full again; each token moves it on by one interval, and it may lie as
 * far ahead as the other tokens of a burst take to come back. */
bool rate_take(struct rate rate, int64_t *bucket_ns, int64_t now_ns, int64_t *wait_s)
{
    if (rate.interval_ns == 0) return true;
    int64_t full_ns = *bucket_ns > now_ns ? *bucket_ns : now_ns;
    int64_t wait_ns = full_ns - rate.tolerance_ns - now_ns;
    if (wait_ns > 0) {
        *wait_s = (wait_ns + NS_PER_S - 1) / NS_PER_S;
        return false;
    }
    *bucket_ns = full_ns + rate.interval_ns;
    return true;
}

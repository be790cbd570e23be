/* clock.h: the only reader of a clock.  Monotonic time for waiting, wall time for records.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdint.h>
#include <time.h>

static inline int64_t clock_read_ns(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Microseconds and milliseconds since an arbitrary start; never goes back. */
static inline int64_t clock_monotonic_us(void)
{
    return clock_read_ns(CLOCK_MONOTONIC) / 1000;
}

static inline int64_t clock_monotonic_ms(void)
{
    return clock_read_ns(CLOCK_MONOTONIC) / 1000000;
}

/* Microseconds since 1970-01-01 UTC. */
static inline int64_t clock_wall_us(void)
{
    return clock_read_ns(CLOCK_REALTIME) / 1000;
}

/* Milliseconds since 1970-01-01 UTC, a few of them late, for a fifth of the price. */
static inline int64_t clock_wall_coarse_ms(void)
{
    return clock_read_ns(CLOCK_REALTIME_COARSE) / 1000000;
}

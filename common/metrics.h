/* metrics.h: a table of counters, gauges and histograms; Prometheus text exposition format 0.0.4.
 * Written and read on the loop thread of its program only.  SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "buffer.h"

enum metric_kind { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

/* One row of a program's table; rows of one name stand together and differ in `labels`. */
struct metric_def {
    const char *name;   /* "drawbridge_ingress_requests_total" */
    const char *labels; /* "outcome=\"accepted\"", or NULL */
    enum metric_kind kind;
    const char *help; /* one line, without backslashes; of a name's first row */
};

struct metrics;
/* `defs` must outlive the result.  NULL without memory.  Histograms have fixed buckets from 0.5 ms to 3,600 s. */
struct metrics *metrics_new(const struct metric_def *defs, size_t count);
void metrics_free(struct metrics *m);

/* `index` is the row's position in the table: give the rows an enum. */
void metrics_add(struct metrics *m, size_t index, int64_t n);
void metrics_set(struct metrics *m, size_t index, int64_t value);
void metrics_observe_us(struct metrics *m, size_t index, int64_t duration_us);
/* Of a histogram: how many observations. */
int64_t metrics_get(const struct metrics *m, size_t index);
/* Appends everything in Prometheus text form. */
void metrics_write(const struct metrics *m, struct buffer *out);

/* metrics.c: counters, gauges and histograms by table.
 * SPDX-License-Identifier: Apache-2.0 */
#include "metrics.h"
#include "text.h"
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* From what one fsync takes to what a long run takes; "le" as text, so that every scrape names the same series. */
static const struct bucket {
    int64_t up_to_us;
    const char *le;
} buckets[] = {
    {500, "0.0005"},     {1000, "0.001"},      {2500, "0.0025"},
    {5000, "0.005"},     {10000, "0.01"},      {25000, "0.025"},
    {50000, "0.05"},     {100000, "0.1"},      {250000, "0.25"},
    {500000, "0.5"},     {1000000, "1"},       {2500000, "2.5"},
    {5000000, "5"},      {10000000, "10"},     {30000000, "30"},
    {60000000, "60"},    {120000000, "120"},   {300000000, "300"},
    {600000000, "600"},  {1800000000, "1800"}, {INT64_C(3600000000), "3600"},
    {INT64_MAX, "+Inf"},
};
enum { BUCKETS = sizeof buckets / sizeof buckets[0] };

struct histogram {
    int64_t counts[BUCKETS]; /* each for itself; summed up when written */
    int64_t sum_us;
};

struct metrics {
    const struct metric_def *defs;
    size_t count;
    int64_t *values;               /* one a row; of a histogram: how many observations */
    struct histogram **histograms; /* NULL for the other kinds */
};

static void check_row(const struct metric_def *defs, size_t i)
{
    assert(defs[i].name && defs[i].help && !strpbrk(defs[i].help, "\\\n"));
    assert(i == 0 || strcmp(defs[i].name, defs[i - 1].name) != 0 || defs[i].kind == defs[i - 1].kind);
}

struct metrics *metrics_new(const struct metric_def *defs, size_t count)
{
    struct metrics *m = calloc(1, sizeof *m);
    if (!m) return NULL;
    *m = (struct metrics){.defs = defs, .count = count};
    m->values = calloc(count + 1, sizeof *m->values);
    m->histograms = calloc(count + 1, sizeof(struct histogram *));
    bool ok = m->values && m->histograms;
    for (size_t i = 0; ok && i < count; i++) {
        check_row(defs, i);
        if (defs[i].kind != METRIC_HISTOGRAM) continue;
        m->histograms[i] = calloc(1, sizeof(struct histogram));
        ok = m->histograms[i] != NULL;
    }
    if (ok) return m;
    metrics_free(m);
    return NULL;
}

void metrics_free(struct metrics *m)
{
    if (!m) return;
    for (size_t i = 0; m->histograms && i < m->count; i++)
        free(m->histograms[i]);
    free(m->histograms);
    free(m->values);
    free(m);
}

void metrics_add(struct metrics *m, size_t index, int64_t n)
{
    assert(index < m->count && !m->histograms[index]);
    m->values[index] += n;
}

void metrics_set(struct metrics *m, size_t index, int64_t value)
{
    assert(index < m->count && m->defs[index].kind == METRIC_GAUGE);
    m->values[index] = value;
}

void metrics_observe_us(struct metrics *m, size_t index, int64_t duration_us)
{
    assert(index < m->count && m->histograms[index]);
    struct histogram *h = m->histograms[index];
    size_t i = 0;
    if (duration_us < 0) duration_us = 0;
    while (duration_us > buckets[i].up_to_us)
        i++;
    h->counts[i]++;
    h->sum_us += duration_us;
    m->values[index]++;
}

int64_t metrics_get(const struct metrics *m, size_t index)
{
    assert(index < m->count);
    return m->values[index];
}

/* name_suffix{labels,le="..."}, with braces only around something. */
static void write_series(struct buffer *out, const struct metric_def *d, const char *suffix, const char *le)
{
    buffer_text(out, d->name);
    buffer_text(out, suffix);
    if (d->labels || le) buffer_byte(out, '{');
    if (d->labels) buffer_text(out, d->labels);
    if (d->labels && le) buffer_byte(out, ',');
    if (le) buffer_format(out, "le=\"%s\"", le);
    if (d->labels || le) buffer_byte(out, '}');
    buffer_byte(out, ' ');
}

static void write_int(struct buffer *out, int64_t value)
{
    char text[TEXT_INT64_SIZE];
    buffer_append(out, text, text_format_int64(value, text));
    buffer_byte(out, '\n');
}

static void write_histogram(struct buffer *out, const struct metric_def *d, const struct histogram *h)
{
    int64_t so_far = 0;
    for (size_t i = 0; i < BUCKETS; i++) {
        so_far += h->counts[i];
        write_series(out, d, "_bucket", buckets[i].le);
        write_int(out, so_far);
    }
    write_series(out, d, "_sum", NULL);
    buffer_format(out, "%" PRId64 ".%06d\n", h->sum_us / 1000000, (int)(h->sum_us % 1000000));
    write_series(out, d, "_count", NULL);
    write_int(out, so_far);
}

void metrics_write(const struct metrics *m, struct buffer *out)
{
    static const char *const kinds[] = {"counter", "gauge", "histogram"};
    for (size_t i = 0; i < m->count; i++) {
        const struct metric_def *d = &m->defs[i];
        if (i == 0 || strcmp(d->name, d[-1].name) != 0)
            buffer_format(out, "# HELP %s %s\n# TYPE %s %s\n", d->name, d->help, d->name, kinds[d->kind]);
        if (m->histograms[i]) {
            write_histogram(out, d, m->histograms[i]);
        } else {
            write_series(out, d, "", NULL);
            write_int(out, m->values[i]);
        }
    }
}

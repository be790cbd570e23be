/* test_metrics.c: the exposition format, byte for byte, and the bucket borders.
 * SPDX-License-Identifier: Apache-2.0 */
#include "metrics.h"
#include "text.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
/* cmocka wants its headers first */
#include <cmocka.h>

enum { ACCEPTED, REFUSED, IN_FLIGHT, PRODUCE, RUNS_OK, RUNS_BAD, ROW_COUNT };
static const struct metric_def defs[ROW_COUNT] = {
    [ACCEPTED] = {"requests_total", "outcome=\"accepted\"", METRIC_COUNTER, "Requests by outcome."},
    [REFUSED] = {"requests_total", "outcome=\"refused\"", METRIC_COUNTER, "Not shown."},
    [IN_FLIGHT] = {"in_flight_bytes", NULL, METRIC_GAUGE, "Bytes in flight."},
    [PRODUCE] = {"produce_seconds", NULL, METRIC_HISTOGRAM, "Produce to report."},
    [RUNS_OK] = {"run_seconds", "status=\"succeeded\"", METRIC_HISTOGRAM, "Run time."},
    [RUNS_BAD] = {"run_seconds", "status=\"failed\"", METRIC_HISTOGRAM, "Run time."},
};

static void counters_and_gauges(void **state)
{
    (void)state;
    struct metrics *m = metrics_new(defs, IN_FLIGHT + 1);
    struct buffer b;
    metrics_add(m, ACCEPTED, 1);
    metrics_add(m, ACCEPTED, 41);
    metrics_set(m, IN_FLIGHT, 1000);
    metrics_add(m, IN_FLIGHT, -1001);
    assert_int_equal(metrics_get(m, ACCEPTED), 42);
    assert_int_equal(metrics_get(m, IN_FLIGHT), -1);
    buffer_init(&b, 10000);
    metrics_write(m, &b);
    assert_string_equal(buffer_cstr(&b), "# HELP requests_total Requests by outcome.\n"
                                         "# TYPE requests_total counter\n"
                                         "requests_total{outcome=\"accepted\"} 42\n"
                                         "requests_total{outcome=\"refused\"} 0\n"
                                         "# HELP in_flight_bytes Bytes in flight.\n"
                                         "# TYPE in_flight_bytes gauge\n"
                                         "in_flight_bytes -1\n");
    buffer_close(&b);
    metrics_free(m);
    metrics_free(NULL);
}

/* The value that stands behind "<series> " in the page. */
static int64_t value_of(const struct buffer *page, const char *series)
{
    char wanted[128];
    int64_t value = -1;
    snprintf(wanted, sizeof wanted, "\n%s ", series);
    const char *at = strstr(buffer_cstr(page), wanted);
    if (!at) fail_msg("no series %s", series);
    at += strlen(wanted);
    assert_true(text_parse_int64((struct bytes){(const uint8_t *)at, strcspn(at, "\n")}, 0, INT64_MAX, &value));
    return value;
}

static void borders_belong_to_the_bucket_below(void **state)
{
    (void)state;
    static const struct {
        const char *le;
        int64_t us;
    } borders[] = {
        {"0.0005", 500},      {"0.001", 1000},    {"0.0025", 2500},   {"0.005", 5000},    {"0.01", 10000},
        {"0.025", 25000},     {"0.05", 50000},    {"0.1", 100000},    {"0.25", 250000},   {"0.5", 500000},
        {"1", 1000000},       {"2.5", 2500000},   {"5", 5000000},     {"10", 10000000},   {"30", 30000000},
        {"60", 60000000},     {"120", 120000000}, {"300", 300000000}, {"600", 600000000}, {"1800", 1800000000},
        {"3600", 3600000000},
    };
    struct buffer page;
    buffer_init(&page, 100000);
    for (size_t i = 0; i < sizeof borders / sizeof borders[0]; i++) {
        struct metrics *m = metrics_new(defs, ROW_COUNT);
        char series[64];
        metrics_observe_us(m, PRODUCE, borders[i].us);
        metrics_observe_us(m, PRODUCE, borders[i].us + 1);
        buffer_clear(&page);
        metrics_write(m, &page);
        snprintf(series, sizeof series, "produce_seconds_bucket{le=\"%s\"}", borders[i].le);
        assert_int_equal(value_of(&page, series), 1);
        assert_int_equal(value_of(&page, "produce_seconds_bucket{le=\"+Inf\"}"), 2);
        assert_int_equal(value_of(&page, "produce_seconds_count"), 2);
        assert_int_equal(metrics_get(m, PRODUCE), 2);
        metrics_free(m);
    }
    buffer_close(&page);
}

static void histograms_add_up(void **state)
{
    (void)state;
    struct metrics *m = metrics_new(defs, ROW_COUNT);
    struct buffer page;
    static const int64_t observed[] = {-5, 0, 1, 499, 700, 1500, 1500, 2000000, INT64_C(10000000000)};
    for (size_t i = 0; i < sizeof observed / sizeof observed[0]; i++)
        metrics_observe_us(m, RUNS_OK, observed[i]);
    metrics_observe_us(m, RUNS_BAD, 1500000);
    buffer_init(&page, 100000);
    metrics_write(m, &page);
    assert_int_equal(value_of(&page, "run_seconds_bucket{status=\"succeeded\",le=\"0.0005\"}"), 4);
    assert_int_equal(value_of(&page, "run_seconds_bucket{status=\"succeeded\",le=\"0.001\"}"), 5);
    assert_int_equal(value_of(&page, "run_seconds_bucket{status=\"succeeded\",le=\"0.0025\"}"), 7);
    assert_int_equal(value_of(&page, "run_seconds_bucket{status=\"succeeded\",le=\"3600\"}"), 8);
    assert_int_equal(value_of(&page, "run_seconds_bucket{status=\"succeeded\",le=\"+Inf\"}"), 9);
    assert_non_null(strstr(buffer_cstr(&page), "\nrun_seconds_sum{status=\"succeeded\"} 10002.004200\n"));
    assert_non_null(strstr(buffer_cstr(&page), "\nrun_seconds_sum{status=\"failed\"} 1.500000\n"));
    assert_int_equal(value_of(&page, "run_seconds_count{status=\"failed\"}"), 1);
    assert_null(strstr(strstr(buffer_cstr(&page), "TYPE run_seconds") + 4, "TYPE run_seconds"));
    buffer_close(&page);
    metrics_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counters_and_gauges),
        cmocka_unit_test(borders_belong_to_the_bucket_below),
        cmocka_unit_test(histograms_add_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

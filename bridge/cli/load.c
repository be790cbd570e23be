/* load.c: the small load generator behind `send --count`.  A delivery counts as accepted only once its line is in the
 * log and the log is on disk: whoever compares the log with the topics may rely on each line.
 * SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"
#include "clock.h"
#include "json.h"
#include "signature.h"
#include "text.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { BATCH_MAX = 256, LOG_LINE_MAX = 1024, REFUSALS_SHOWN = 5, POLL_MS = 100 };

struct flight {
    struct lanes_turn turn;
    char agent[160], id[DELIVERY_ID_SIZE];
    struct buffer url, body;
    struct shipment shipment;
};

struct load {
    const struct load_settings *settings;
    struct sender *sender;
    struct lanes *lanes;
    struct flight *flights; /* one per lane */
    int log_fd;             /* -1: no log */
    struct flight *batch[BATCH_MAX];
    size_t batch_count;
    int64_t *latencies_us; /* of accepted first copies */
    size_t latency_count;
    int refusals_shown;
};

static void agent_name(const struct load_settings *s, size_t lane, char *out, size_t size)
{
    if (s->lanes.agents == 1)
        snprintf(out, size, "%s", s->agent);
    else
        snprintf(out, size, "%s-%zu", s->agent, lane + 1);
}

static bool flight_start(struct load *l, struct lanes_turn turn, struct error *error)
{
    const struct load_settings *s = l->settings;
    struct flight *f = &l->flights[turn.lane];
    f->turn = turn;
    agent_name(s, turn.lane, f->agent, sizeof f->agent);
    delivery_id(s->run, f->agent, turn.sequence, f->id);
    buffer_clear(&f->url);
    buffer_clear(&f->body);
    delivery_url(s->url_pattern, f->agent, &f->url);
    delivery_body(s->run, f->agent, turn.sequence, s->body_size, &f->body);
    if (!buffer_ok(&f->url) || !buffer_ok(&f->body)) return error_set(error, ERROR_MEMORY, "no memory");
    f->shipment = (struct shipment){.url = buffer_cstr(&f->url), .id = f->id, .body = buffer_view(&f->body), .ctx = f};
    return sender_start(l->sender, &f->shipment, error);
}

static void log_line(const struct flight *f, struct buffer *out)
{
    uint8_t digest[SIGNATURE_SHA256_SIZE];
    char hex[2 * SIGNATURE_SHA256_SIZE + 1], now[TEXT_TIME_SIZE];
    const struct bytes body = buffer_view(&f->body);
    signature_sha256(&body, 1, digest);
    text_hex(digest, sizeof digest, hex);
    text_format_time(clock_wall_us(), now);
    struct json_writer w;
    json_writer_init(&w, out);
    json_write_object(&w, NULL);
    json_write_cstr(&w, "delivery_id", f->id);
    json_write_cstr(&w, "workflow_id", f->shipment.workflow_id);
    json_write_cstr(&w, "agent_id", f->agent);
    json_write_int(&w, "sequence", f->turn.sequence);
    json_write_int(&w, "copy", f->turn.copy);
    json_write_cstr(&w, "sha256", hex);
    json_write_cstr(&w, "accepted_at", now);
    json_write_object_end(&w);
    buffer_byte(out, '\n');
}

static bool write_all(int fd, struct bytes data, struct error *error)
{
    while (data.size > 0) {
        const ssize_t n = write(fd, data.data, data.size);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return error_set_errno(error, errno, "write the log");
        data.data += n;
        data.size -= (size_t)n;
    }
    return true;
}

/* One write and one fsync for all deliveries that were answered in this turn. */
static bool batch_log(struct load *l, struct error *error)
{
    if (l->log_fd < 0) return true;
    struct buffer lines;
    buffer_init(&lines, (size_t)BATCH_MAX * LOG_LINE_MAX);
    for (size_t i = 0; i < l->batch_count; i++)
        if (l->batch[i]->shipment.verdict == DELIVERY_ACCEPTED) log_line(l->batch[i], &lines);
    bool good = buffer_ok(&lines) || error_set(error, ERROR_MEMORY, "no memory");
    if (good && lines.size > 0) {
        good = write_all(l->log_fd, buffer_view(&lines), error);
        if (good && fsync(l->log_fd) != 0) good = error_set_errno(error, errno, "fsync the log");
    }
    buffer_close(&lines);
    return good;
}

static void show_refusal(struct load *l, const struct flight *f)
{
    if (l->refusals_shown++ >= REFUSALS_SHOWN) return;
    struct buffer shown;
    buffer_init(&shown, 1024);
    talk_safe(&shown, buffer_view(&f->shipment.exchange.answer), 200);
    talk("agent %s, delivery %s: not accepted: status %d %s", f->agent, f->id, f->shipment.exchange.status,
         buffer_cstr(&shown));
    buffer_close(&shown);
}

static bool batch_settle(struct load *l, struct error *error)
{
    if (!batch_log(l, error)) return false;
    const int64_t now_us = clock_monotonic_us();
    for (size_t i = 0; i < l->batch_count; i++) {
        struct flight *f = l->batch[i];
        if (f->shipment.verdict == DELIVERY_ACCEPTED && f->turn.copy == 1)
            l->latencies_us[l->latency_count++] = f->shipment.exchange.duration_us;
        if (f->shipment.verdict == DELIVERY_REFUSED || f->shipment.verdict == DELIVERY_IGNORED) show_refusal(l, f);
        lanes_answered(l->lanes, f->turn.lane, f->shipment.verdict, now_us);
        shipment_close(&f->shipment);
    }
    l->batch_count = 0;
    return true;
}

/* Starts whatever may start now; *wait_ms is how long nothing else will be due. */
static enum lanes_next start_due(struct load *l, int *wait_ms, struct error *error)
{
    for (;;) {
        struct lanes_turn turn;
        int64_t due_us;
        const int64_t now_us = clock_monotonic_us();
        const enum lanes_next next = lanes_next(l->lanes, now_us, &turn, &due_us);
        if (next == LANES_SEND) {
            if (!flight_start(l, turn, error)) return LANES_FINISHED;
            continue;
        }
        const int64_t ms = due_us == INT64_MAX ? POLL_MS : (due_us - now_us + 999) / 1000;
        *wait_ms = ms < POLL_MS ? (int)ms : POLL_MS;
        return next;
    }
}

/* Collects what is answered within wait_ms, and whatever else is answered by then. */
static void collect(struct load *l, int wait_ms)
{
    if (sender_busy(l->sender) == 0)
        nanosleep(&(struct timespec){.tv_nsec = wait_ms * 1000000L}, NULL); /* nothing under way: until one is due */
    while (l->batch_count < BATCH_MAX) {
        struct shipment *x = sender_next(l->sender, wait_ms);
        if (x == NULL) return;
        l->batch[l->batch_count++] = x->ctx;
        wait_ms = 0;
    }
}

static bool load_loop(struct load *l, struct error *error)
{
    for (;;) {
        int wait_ms = 0;
        error->code = ERROR_NONE;
        if (start_due(l, &wait_ms, error) == LANES_FINISHED) return error->code == ERROR_NONE;
        collect(l, wait_ms);
        if (!batch_settle(l, error)) return false;
    }
}

static int compare_int64(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static double percentile_ms(const struct load *l, double share)
{
    if (l->latency_count == 0) return 0;
    return (double)l->latencies_us[(size_t)((double)(l->latency_count - 1) * share)] / 1000;
}

static void summary(struct load *l, int64_t duration_us)
{
    const struct lanes_totals t = lanes_totals(l->lanes);
    const double seconds = (double)duration_us / 1e6;
    qsort(l->latencies_us, l->latency_count, sizeof *l->latencies_us, compare_int64);
    struct buffer line;
    buffer_init(&line, 1024);
    buffer_format(&line,
                  "{\"run\":\"%s\",\"accepted\":%lld,\"repeated\":%lld,\"refused\":%lld,\"gave_up\":%lld,"
                  "\"retries\":%lld,\"seconds\":%.3f,\"p50_ms\":%.3f,\"p99_ms\":%.3f}",
                  l->settings->run, (long long)t.accepted, (long long)t.repeated, (long long)t.refused,
                  (long long)t.gave_up, (long long)t.retries, seconds, percentile_ms(l, 0.5), percentile_ms(l, 0.99));
    talk_line(buffer_view(&line));
    buffer_close(&line);
    talk("%lld of %lld deliveries accepted in %.1f s (%.0f/s); %lld sent twice, %lld refused, %lld given up, "
         "%lld retries; p50 %.1f ms, p99 %.1f ms",
         (long long)t.accepted, (long long)l->settings->lanes.count, seconds,
         seconds > 0 ? (double)t.accepted / seconds : 0, (long long)t.repeated, (long long)t.refused,
         (long long)t.gave_up, (long long)t.retries, percentile_ms(l, 0.5), percentile_ms(l, 0.99));
}

static bool load_open(struct load *l, struct error *error)
{
    const struct load_settings *s = l->settings;
    l->lanes = lanes_new(s->lanes, clock_monotonic_us());
    l->flights = calloc((size_t)s->lanes.agents, sizeof *l->flights);
    l->latencies_us = calloc((size_t)s->lanes.count, sizeof *l->latencies_us);
    if (l->lanes == NULL || l->flights == NULL || l->latencies_us == NULL)
        return error_set(error, ERROR_MEMORY, "no memory");
    for (int64_t i = 0; i < s->lanes.agents; i++) {
        buffer_init(&l->flights[i].url, 4096);
        buffer_init(&l->flights[i].body, (size_t)s->body_size + 1024);
    }
    if (s->log_path == NULL) return true;
    l->log_fd = open(s->log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    return l->log_fd >= 0 || error_set_errno(error, errno, "open the log '%s'", s->log_path);
}

static void load_close(struct load *l)
{
    while (sender_next(l->sender, INT32_MAX) != NULL)
        continue; /* after a failure: what is still under way */
    for (int64_t i = 0; l->flights != NULL && i < l->settings->lanes.agents; i++) {
        buffer_close(&l->flights[i].url);
        buffer_close(&l->flights[i].body);
        shipment_close(&l->flights[i].shipment);
    }
    free(l->flights);
    free(l->latencies_us);
    lanes_free(l->lanes);
    if (l->log_fd >= 0) close(l->log_fd);
}

enum cli_exit load_run(const struct load_settings *settings, struct sender *sender)
{
    struct load l = {.settings = settings, .sender = sender, .log_fd = -1};
    struct error error = {0};
    enum cli_exit code = CLI_OK;
    const int64_t started_us = clock_monotonic_us();
    if (!load_open(&l, &error) || !load_loop(&l, &error)) {
        code = talk_error(&error);
    } else {
        summary(&l, clock_monotonic_us() - started_us);
        const struct lanes_totals t = lanes_totals(l.lanes);
        if (t.gave_up > 0) code = CLI_UNAVAILABLE;
        if (t.refused > 0) code = CLI_NO;
    }
    load_close(&l);
    return code;
}

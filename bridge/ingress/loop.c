/* loop.c: the one epoll: senders, the producer's queue, deadlines, signals, the management listener; and the drain.
 * SPDX-License-Identifier: Apache-2.0 */
#include "clock.h"
#include "ingress.h"
#include "log.h"
#include "tls.h"
#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <unistd.h>

enum { FAREWELL_TURNS = 3 }; /* for the answers to requests that the drain gave up */

struct loop {
    struct ingress *in;
    int epoll_fd, signal_fd;
    int stop_signals;
    int64_t drain_until_ms;
};

void ingress_random(struct ingress *in, void *out, size_t size)
{
    struct entropy *e = &in->entropy;
    assert(size <= sizeof e->bytes);
    if (e->left < size) {
        /* Cannot fail for up to 256 bytes once the kernel's pool is seeded; larger reads may be cut by a signal. */
        for (size_t done = 0; done < sizeof e->bytes;) {
            ssize_t got = getrandom(e->bytes + done, sizeof e->bytes - done, 0);
            done += got > 0 ? (size_t)got : 0;
        }
        e->left = sizeof e->bytes;
    }
    e->left -= size;
    memcpy(out, e->bytes + e->left, size);
    explicit_bzero(e->bytes + e->left, size);
}

/* ---- the management listener's questions ---- */

/* With a spool the ingress is ready as long as that has room, whatever Kafka does; the text says so. */
static bool is_ready(void *ctx, struct buffer *text)
{
    struct ingress *in = ctx;
    const char *why;
    if (in->draining) {
        buffer_text(text, "shutting down");
        return false;
    }
    /* Triggers that nobody knows yet can't be served, spool or not. */
    if (in->topic && !trigger_topic_converged(in->topic, &why)) {
        buffer_text(text, why);
        return false;
    }
    bool kafka = publisher_ready(in->publisher, &why), ready = kafka || (in->spool && spool_ready(in->spool));
    if (ready && in->spool) buffer_text(text, "ready; ");
    if (!kafka) buffer_format(text, "Kafka is away (%s)%s", why, in->spool ? "; " : "");
    if (in->spool) spool_describe(in->spool, text);
    return ready;
}

static bool takes_deliveries(const struct ingress *in)
{
    return !in->draining && (!in->topic || trigger_topic_converged(in->topic, NULL)) &&
           (publisher_ready(in->publisher, NULL) || (in->spool && spool_ready(in->spool)));
}

static void refresh(void *ctx)
{
    struct ingress *in = ctx;
    const struct {
        enum metric metric;
        int64_t value;
    } gauges[] = {
        {METRIC_QUEUE_BYTES, publisher_queue_bytes(in->publisher)},
        {METRIC_QUEUE_EVENTS, (int64_t)publisher_outstanding(in->publisher)},
        {METRIC_REQUESTS_INFLIGHT, http_server_requests(in->server)},
        {METRIC_BODY_BYTES, in->body_bytes},
        {METRIC_CONNECTIONS, http_server_connections(in->server)},
        {METRIC_TRIGGERS, (int64_t)trigger_set_count(in->triggers)},
        {METRIC_READY, takes_deliveries(in)},
    };
    for (size_t i = 0; i < sizeof gauges / sizeof gauges[0]; i++)
        metrics_set(in->metrics, gauges[i].metric, gauges[i].value);
    if (in->spool) spool_refresh(in->spool);
    /* Counted elsewhere; the table takes over what is new. */
    metrics_add(in->metrics, METRIC_TIMED_OUT,
                http_server_timed_out(in->server) - metrics_get(in->metrics, METRIC_TIMED_OUT));
    metrics_add(in->metrics, METRIC_LOG_DROPPED, log_dropped() - metrics_get(in->metrics, METRIC_LOG_DROPPED));
}

static void write_more(void *ctx, struct buffer *out)
{
    const struct ingress *in = ctx;
    secret_use_write(in->triggers, out);
    account_write_metrics(&in->strangers, in->triggers, out);
}

/* ---- build and tear down ---- */

static bool open_spool(struct ingress *in, struct error *error)
{
    const struct spool_settings settings = {.directory = in->settings.spool_directory,
                                            .size_max = in->settings.spool_size_max,
                                            .metrics = in->metrics,
                                            .answered = webhook_published,
                                            .ctx = in};
    if (!settings.directory[0]) return true;
    in->spool = spool_open(&settings, error);
    return in->spool != NULL;
}

static bool open_publisher(struct ingress *in, struct error *error)
{
    const struct publisher_settings settings = {
        .kafka = &in->settings.kafka,
        .topic = in->settings.events_topic,
        .queue_max = in->settings.queue_max,
        .metrics = in->metrics,
        .answered = in->spool ? spool_answered : webhook_published,
        .ctx = in->spool ? (void *)in->spool : (void *)in,
    };
    in->publisher = publisher_new(&settings, error);
    if (!in->publisher) return error_context(error, "kafka");
    if (in->spool) spool_set_publisher(in->spool, in->publisher);
    return true;
}

static bool open_manage(struct ingress *in, struct error *error)
{
    const struct manage_hooks hooks = {.ready = is_ready, .refresh = refresh, .more = write_more, .ctx = in};
    in->manage = manage_start(in->settings.manage_listen, in->metrics, hooks, error);
    return in->manage != NULL;
}

static bool open_topic(struct ingress *in, struct error *error)
{
    if (!in->settings.trigger_topic[0]) return true;
    in->topic = trigger_topic_new(&in->settings, in->schemes, in->metrics, error);
    return in->topic ? true : error_context(error, "triggers.topic");
}

bool ingress_open(struct ingress *in, struct error *error)
{
    if (gethostname(in->hostname, sizeof in->hostname) != 0) return error_set_errno(error, errno, "gethostname");
    in->hostname[sizeof in->hostname - 1] = 0;
    webhook_open(in);
    ingress_metric_defs(in->metric_defs);
    in->metrics = metrics_new(in->metric_defs, METRICS);
    if (!in->metrics) return error_set(error, ERROR_MEMORY, "no memory for the metrics");
    in->directory = trigger_set_ref(in->triggers);
    /* Both sockets first, for they may need root; the clients of Kafka have threads, so they come when root is given
     * up. Nobody is served before the loop runs. */
    return notify_open(&in->notify, getpid(), error) && answers_open(in, error) && open_manage(in, error) &&
           listen_open(in, error) && open_spool(in, error) && open_publisher(in, error) && open_topic(in, error);
}

void ingress_close(struct ingress *in)
{
    publisher_free(in->publisher); /* answers whoever still waits */
    in->publisher = NULL;
    spool_close(in->spool); /* so does this */
    in->spool = NULL;
    for (int turn = 0; in->server && turn < FAREWELL_TURNS; turn++)
        http_server_run(in->server, clock_monotonic_ms());
    http_server_free(in->server);
    manage_stop(in->manage);
    tls_identity_unref(in->tls);
    notify_close(&in->notify);
    webhook_close(in);
    answers_close(in);
    trigger_topic_free(in->topic);
    metrics_free(in->metrics);
    trigger_set_unref(in->triggers);
    trigger_set_unref(in->directory);
    free(in->strangers.denials);
    scheme_set_free(in->schemes);
    settings_close(&in->settings);
    log_flush();
}

/* ---- reload ---- */

/* Each line of a report as one line of the log. */
static void log_problems(const struct config_report *report)
{
    const char *line = buffer_cstr(&report->text);
    while (*line) {
        size_t size = strcspn(line, "\n");
        log_event(LOG_ERROR, "trigger problem", log_bytes("problem", (struct bytes){(const uint8_t *)line, size}));
        line += size + (line[size] == '\n');
    }
}

/* The directory's triggers and the topic's, as one new snapshot; without memory the old one stays. */
static void serve_triggers(struct ingress *in)
{
    struct trigger_set *all =
        in->topic ? trigger_topic_merge(in->topic, in->directory) : trigger_set_ref(in->directory);
    if (!all) {
        log_event(LOG_ERROR, "triggers kept as they were", log_text("problem", "no memory for the triggers"));
        return;
    }
    secret_use_carry(in->triggers, all);
    trigger_set_inherit(all, in->triggers);
    trigger_set_unref(in->triggers);
    in->triggers = all;
}

static void reload_keys(struct ingress *in, struct config_report *report)
{
    struct error error;
    if (settings_load_keys(&in->settings, &error)) return;
    config_report_add(report, in->settings.key_file, 0, "%s", error.text);
}

static void reload_triggers(struct ingress *in)
{
    struct config_report report;
    config_report_init(&report);
    reload_keys(in, &report);
    struct trigger_set *fresh = trigger_source_load(&in->settings, in->schemes, &report);
    if (in->topic) trigger_topic_again(in->topic, clock_monotonic_ms());
    if (fresh && report.problems == 0) {
        trigger_set_unref(in->directory);
        in->directory = fresh;
        serve_triggers(in);
        metrics_add(in->metrics, METRIC_RELOADS, 1);
        log_event(LOG_INFO, "triggers reloaded", log_int("count", (int64_t)trigger_set_count(fresh)));
    } else {
        trigger_set_unref(fresh);
        metrics_add(in->metrics, METRIC_RELOAD_FAILURES, 1);
        log_problems(&report);
        log_event(LOG_ERROR, "triggers kept as they were", log_int("problems", report.problems));
    }
    config_report_close(&report);
}

void ingress_reload(struct ingress *in)
{
    notify_reloading(&in->notify, clock_monotonic_us());
    reload_triggers(in);
    listen_reload(in);
    notify_ready(&in->notify);
}

/* ---- the loop ---- */

static bool watch(struct loop *l, int fd, struct error *error)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    return epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0 ? true : error_set_errno(error, errno, "epoll_ctl");
}

static bool loop_open(struct loop *l, struct error *error)
{
    l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (l->epoll_fd < 0) return error_set_errno(error, errno, "epoll_create1");
    l->signal_fd = daemon_signal_fd(error);
    return l->signal_fd >= 0 && watch(l, l->signal_fd, error) && watch(l, http_server_fd(l->in->server), error) &&
           watch(l, manage_fd(l->in->manage), error) && watch(l, publisher_fd(l->in->publisher), error) &&
           (!l->in->spool || watch(l, spool_fd(l->in->spool), error)) &&
           (!l->in->topic || watch(l, trigger_topic_fd(l->in->topic), error));
}

static void loop_close(struct loop *l)
{
    if (l->signal_fd >= 0) close(l->signal_fd);
    if (l->epoll_fd >= 0) close(l->epoll_fd);
}

static void begin_drain(struct loop *l)
{
    struct ingress *in = l->in;
    http_server_quiesce(in->server); /* what was sent before the signal is a delivery like any other */
    in->draining = true;
    notify_stopping(&in->notify);
    if (in->spool) spool_stop(in->spool);
    l->drain_until_ms = clock_monotonic_ms() + in->settings.drain_ms;
    log_event(LOG_INFO, "draining", log_int("requests", http_server_requests(in->server)),
              log_int("events", (int64_t)publisher_outstanding(in->publisher)));
}

static void take_signals(struct loop *l)
{
    for (int signal; (signal = daemon_next_signal(l->signal_fd)) != 0;) {
        if (signal == SIGHUP)
            ingress_reload(l->in);
        else if (l->stop_signals++ == 0)
            begin_drain(l);
    }
}

static int sooner(int a_ms, int b_ms)
{
    if (a_ms < 0 || b_ms < 0) return a_ms < 0 ? b_ms : a_ms;
    return a_ms < b_ms ? a_ms : b_ms;
}

static int wait_ms(const struct loop *l)
{
    const struct ingress *in = l->in;
    int64_t now_ms = clock_monotonic_ms();
    int wait = sooner(http_server_timeout_ms(in->server, now_ms), publisher_timeout_ms(in->publisher, now_ms));
    wait = sooner(wait, manage_timeout_ms(in->manage));
    wait = sooner(wait, notify_timeout_ms(&in->notify, now_ms));
    if (in->spool) wait = sooner(wait, spool_timeout_ms(in->spool, now_ms));
    if (in->topic) wait = sooner(wait, trigger_topic_timeout_ms(in->topic, now_ms));
    if (in->draining) wait = sooner(wait, l->drain_until_ms > now_ms ? (int)(l->drain_until_ms - now_ms) : 0);
    return wait;
}

/* One turn.  The order is the way of an event: reports resume requests, the server answers them and takes new ones,
 * whose records and log lines go out together.  The server runs in every turn, for resumed requests show in no
 * descriptor of ours. */
static void turn(struct loop *l)
{
    struct ingress *in = l->in;
    struct epoll_event events[8];
    log_flush();
    int count = epoll_wait(l->epoll_fd, events, 8, wait_ms(l));
    int64_t now_ms = clock_monotonic_ms();
    bool manage = manage_timeout_ms(in->manage) == 0;
    bool topic = in->topic && trigger_topic_timeout_ms(in->topic, now_ms) == 0;
    for (int i = 0; i < count; i++) {
        if (events[i].data.fd == l->signal_fd) take_signals(l);
        manage = manage || events[i].data.fd == manage_fd(in->manage);
        topic = topic || (in->topic && events[i].data.fd == trigger_topic_fd(in->topic));
    }
    publisher_run(in->publisher, now_ms);
    if (topic && trigger_topic_run(in->topic, now_ms)) serve_triggers(in);
    if (in->spool) spool_run(in->spool, now_ms);
    http_server_run(in->server, now_ms);
    publisher_flush(in->publisher);
    if (in->spool) spool_flush(in->spool);
    if (manage) manage_run(in->manage);
    notify_ping(&in->notify, now_ms);
}

static bool drained(const struct loop *l)
{
    const struct ingress *in = l->in;
    size_t rows = in->spool ? spool_rows_outstanding(in->spool) : 0;
    return http_server_requests(in->server) == 0 && http_server_connections(in->server) == 0 &&
           publisher_outstanding(in->publisher) == rows && (!in->spool || spool_quiet(in->spool));
}

/* Until everything is answered and every record has its report, or the time or a second signal says enough. */
static int drain(struct loop *l)
{
    while (!drained(l)) {
        if (l->stop_signals > 1 || clock_monotonic_ms() >= l->drain_until_ms) {
            log_event(LOG_ERROR, "stopped before everything was answered",
                      log_int("requests", http_server_requests(l->in->server)),
                      log_int("events", (int64_t)publisher_outstanding(l->in->publisher)));
            return DAEMON_EXIT_FAILURE;
        }
        turn(l);
    }
    log_event(LOG_INFO, "stopped", log_text("reason", "signal"));
    return DAEMON_EXIT_OK;
}

static int serve(struct loop *l)
{
    struct error error;
    while (l->stop_signals == 0) {
        turn(l);
        if (publisher_refused(l->in->publisher, &error)) {
            log_event(LOG_ERROR, "configuration", log_text("error", error.text));
            return DAEMON_EXIT_CONFIGURATION;
        }
    }
    return drain(l);
}

int ingress_run(struct ingress *in)
{
    struct error error;
    struct loop l = {.in = in, .epoll_fd = -1, .signal_fd = -1};
    int code = DAEMON_EXIT_FAILURE;
    log_hold();
    if (loop_open(&l, &error)) {
        log_event(LOG_INFO, "listening", log_text("listen", in->settings.listen),
                  log_int("port", http_server_port(in->server)), log_int("manage_port", manage_port(in->manage)),
                  log_int("triggers", (int64_t)trigger_set_count(in->triggers)),
                  log_text("version", DRAWBRIDGE_VERSION));
        notify_ready(&in->notify);
        code = serve(&l);
    } else {
        log_event(LOG_ERROR, "loop", log_text("error", error.text));
    }
    loop_close(&l);
    return code;
}

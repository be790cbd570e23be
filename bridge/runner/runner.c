/* runner.c: the loop: its handles, its timers, what wakes it; start and stop.
 * SPDX-License-Identifier: Apache-2.0 */
#include "runner.h"
#include "child.h"
#include "clock.h"
#include "daemon.h"
#include "log.h"
#include "manage.h"
#include "memory.h"
#include "notify.h"
#include "text.h"
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <unistd.h>
#include <uv.h>

enum { TICK_MS = 1000, COUNTS_TICKS = 60, LAST_RESORT_S = 15, VALUE_MAX = 64 << 20 };

struct edges {
    uv_loop_t loop;
    uv_prepare_t turn; /* once per turn, before the loop sleeps */
    uv_timer_t due;    /* the next moment at which something is due */
    uv_timer_t tick;   /* once a second */
    uv_poll_t kafka, signals, manage;
    uv_async_t done; /* the transaction thread has finished a job */
    int signal_fd;
    struct notify notify;
    int ticks;
};

void runner_nonce(char out[JOURNAL_NONCE_SIZE])
{
    uint8_t random[(JOURNAL_NONCE_SIZE - 1) / 2];
    while (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
        continue;
    text_hex(random, sizeof random, out);
}

double runner_jitter(void)
{
    uint32_t random = 0;
    while (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random)
        continue;
    return (double)random / 4294967296.0;
}

void runner_wake(struct runner *r)
{
    /* Whatever calls this runs in the loop, and the loop gathers before it sleeps; only a pause has to end now. */
    uv_timer_stop(&r->edges->due);
}

void runner_stop(struct runner *r)
{
    uv_stop(r->loop);
}

void runner_fail(struct runner *r, int exit_code)
{
    if (r->exit_code == 0) r->exit_code = exit_code;
    runner_stop(r);
}

/* ---- jobs that have come back */

static void on_opened(struct runner *r, struct job *job)
{
    struct error error;
    if (job->failed) {
        log_event(LOG_ERROR, "can't start", log_text("reason", job->error.text));
        runner_fail(r, job->exit_code);
        return;
    }
    r->opened = true;
    journal_policy_later(r);
    r->partitions_per_topic = job->partitions;
    memcpy(r->record_max, job->record_max, sizeof r->record_max);
    log_event(LOG_INFO, "ready for work", log_int("partitions", job->partitions),
              log_text("transactional_id", r->settings->transactional_id));
    if (r->draining || consume_subscribe(r, &error)) return;
    log_event(LOG_ERROR, "can't subscribe", log_text("reason", error.text));
    runner_fail(r, DAEMON_EXIT_FAILURE);
}

/* Added partitions move keys while their runs are open (J16). */
static void on_counts(struct runner *r, const struct job *job)
{
    if (!job->failed || r->halted[0]) return;
    snprintf(r->halted, sizeof r->halted, "%.200s; no more events are taken", job->error.text);
    log_event(LOG_ERROR, "topics have changed", log_text("reason", r->halted));
}

/* Everything recorded up to the moment of the question has been seen, if we stand at the end (J26). */
static void on_end(struct runner *r, const struct job *job)
{
    for (size_t i = 0; i < job->offset_count; i++) {
        struct partition *p = partition_find(r, job->offsets[i].partition);
        if (!p || job->epoch != r->assignment.epoch || p->arrival_count > 0) continue;
        bool at_end = job->offsets[i].offset == (p->position < 0 ? 0 : p->position);
        if (at_end && p->asked_end_us > p->seen_us) p->seen_us = p->asked_end_us;
    }
}

static void on_job(struct runner *r, struct job *job)
{
    switch (job->kind) {
    case JOB_OPEN: on_opened(r, job); break;
    case JOB_BATCH: settle(r, job); break;
    case JOB_COMMITTED: takeover_offsets(r, job); break;
    case JOB_SEEK: takeover_sought(r, job); break;
    case JOB_END: on_end(r, job); break;
    case JOB_COUNTS: on_counts(r, job); break;
    }
    job_free(job);
}

static void on_done(uv_async_t *handle)
{
    struct runner *r = handle->data;
    for (struct job *job; (job = commit_take(r->commit));) /* wake-ups coalesce */
        on_job(r, job);
}

static void wake_loop(void *ctx)
{
    struct runner *r = ctx;
    uv_async_send(&r->edges->done);
}

/* ---- turns of the loop */

static void on_due(uv_timer_t *handle)
{
    (void)handle; /* the turn does the rest */
}

/* When the loop must wake by itself: the end of a pause, a retry, the end of a grace. */
static void arm(struct runner *r, bool at_once)
{
    if (at_once) {
        uv_timer_start(&r->edges->due, on_due, 0, 0);
        return;
    }
    int64_t now_us = clock_monotonic_us(), due_us = schedule_due(&r->schedule);
    if (r->in_flight || r->draining) due_us = INT64_MAX; /* the batch's end or the tick wakes us */
    if (due_us < r->next_batch_us) due_us = r->next_batch_us;
    if (!r->in_flight && r->next_batch_us > now_us && due_us > r->next_batch_us) due_us = r->next_batch_us;
    if (due_us == INT64_MAX) {
        uv_timer_stop(&r->edges->due);
        return;
    }
    int64_t wait_ms = due_us > now_us ? (due_us - now_us + 999) / 1000 : 1;
    if (wait_ms <= TICK_MS) uv_timer_start(&r->edges->due, on_due, (uint64_t)wait_ms, 0);
}

static void on_turn(uv_prepare_t *handle)
{
    struct runner *r = handle->data;
    starts_turn(r, clock_monotonic_us());
    consume_read(r);
    gather(r);
    bool at_once = starts_step(r);
    drain_step(r);
    arm(r, at_once);
}

static void on_kafka(uv_poll_t *handle, int status, int events)
{
    struct runner *r = handle->data;
    eventfd_t count;
    (void)status;
    (void)events;
    if (eventfd_read(r->eventfd, &count) != 0 && errno != EAGAIN) return;
    for (size_t i = 0; i < r->partition_count; i++)
        r->partitions[i]->drained = false;
    consume_serve(r);
    journal_reader_serve(r);
    journal_policy_serve(r);
}

static void on_signal(uv_poll_t *handle, int status, int events)
{
    struct runner *r = handle->data;
    (void)status;
    (void)events;
    for (int number; (number = daemon_next_signal(r->edges->signal_fd)) != 0;)
        if (number == SIGTERM || number == SIGINT) {
            notify_stopping(&r->edges->notify);
            drain_begin(r);
        }
}

static void on_manage(uv_poll_t *handle, int status, int events)
{
    struct runner *r = handle->data;
    (void)status;
    (void)events;
    manage_run(r->manage);
}

static void on_tick(uv_timer_t *handle)
{
    struct runner *r = handle->data;
    consume_serve(r);
    handover_check_limbo(r);
    manage_run(r->manage);
    notify_ping(&r->edges->notify, clock_monotonic_ms());
    if (!r->draining) journal_policy_ask(r);
    if (!r->opened || ++r->edges->ticks % COUNTS_TICKS != 0) return;
    struct job *job = job_new(JOB_COUNTS, r->assignment.epoch, 0);
    job->partitions = r->partitions_per_topic;
    commit_submit(r->commit, job);
}

/* ---- start and stop */

static void start_poll(struct runner *r, uv_poll_t *poll, int fd, uv_poll_cb callback)
{
    uv_poll_init(r->loop, poll, fd);
    poll->data = r;
    uv_poll_start(poll, UV_READABLE, callback);
}

static bool open_edges(struct runner *r, struct error *error)
{
    struct edges *e = r->edges = memory_new(sizeof *e);
    e->notify.fd = -1;
    r->loop = &e->loop;
    if (uv_loop_init(&e->loop) != 0) return error_set(error, ERROR_INTERNAL, "uv_loop_init");
    e->turn.data = e->due.data = e->tick.data = e->done.data = r;
    uv_prepare_init(r->loop, &e->turn);
    uv_timer_init(r->loop, &e->due);
    uv_timer_init(r->loop, &e->tick);
    uv_async_init(r->loop, &e->done, on_done);
    e->signal_fd = daemon_signal_fd(error);
    if (!notify_open(&e->notify, getpid(), error)) return false;
    r->eventfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return e->signal_fd >= 0 && (r->eventfd >= 0 || error_set_errno(error, errno, "eventfd"));
}

static void start_edges(struct runner *r)
{
    struct edges *e = r->edges;
    uv_prepare_start(&e->turn, on_turn);
    uv_timer_start(&e->tick, on_tick, TICK_MS, TICK_MS);
    start_poll(r, &e->kafka, r->eventfd, on_kafka);
    start_poll(r, &e->signals, e->signal_fd, on_signal);
    start_poll(r, &e->manage, manage_fd(r->manage), on_manage);
}

struct runner *runner_open(const struct settings *settings, struct error *error)
{
    struct runner *r = memory_new(sizeof *r);
    r->settings = settings;
    r->eventfd = -1;
    r->schedule.cap = (int)settings->concurrency;
    r->assignment.generation = -1;
    runner_nonce(r->producer);
    journal_scratch_init(&r->scratch);
    buffer_init(&r->value, VALUE_MAX);
    buffer_init(&r->text, VALUE_MAX);
    buffer_init(&r->input, VALUE_MAX);
    if (child_ready(error) && open_edges(r, error) && observe_open(r, error) && consume_open(r, error) &&
        (r->journal = journal_reader_open(r, error)) && (r->policy = journal_policy_open(r)) &&
        (r->commit = commit_start(settings, r->consumer, wake_loop, r, error))) {
        start_edges(r);
        return r;
    }
    runner_close(r);
    return NULL;
}

int runner_run(struct runner *r)
{
    commit_submit(r->commit, job_new(JOB_OPEN, 0, 0));
    notify_ready(&r->edges->notify);
    uv_run(r->loop, UV_RUN_DEFAULT);
    return r->exit_code;
}

/* Destroying clients is known to hang (traps 2.6), and nothing is lost by not waiting. */
static void *last_resort(void *ctx)
{
    int exit_code = *(int *)ctx;
    sleep(LAST_RESORT_S);
    _exit(exit_code);
}

static void close_handle(uv_handle_t *handle, void *ctx)
{
    (void)ctx;
    if (!uv_is_closing(handle)) uv_close(handle, NULL);
}

static void close_edges(struct runner *r)
{
    if (!r->edges) return;
    uv_walk(r->loop, close_handle, NULL);
    uv_run(r->loop, UV_RUN_DEFAULT);
    uv_loop_close(r->loop);
    if (r->edges->signal_fd >= 0) close(r->edges->signal_fd);
    notify_close(&r->edges->notify);
    if (r->eventfd >= 0) close(r->eventfd);
    free(r->edges);
}

void runner_close(struct runner *r)
{
    static int exit_code;
    pthread_t thread;
    exit_code = r->exit_code;
    if (pthread_create(&thread, NULL, last_resort, &exit_code) == 0) pthread_detach(thread);
    effects_abandon_all(r);
    commit_stop(r->commit);
    while (r->partition_count > 0)
        partition_drop(r, r->partitions[0]);
    journal_reader_close(r->journal);
    journal_policy_close(r->policy);
    consume_close(r);
    close_edges(r);
    observe_close(r);
    schedule_close(&r->schedule);
    heap_close(&r->starts);
    journal_scratch_close(&r->scratch);
    buffer_close(&r->value);
    buffer_close(&r->text);
    buffer_close(&r->input);
    free(r->assignment.metadata);
    free(r->partitions);
    free(r->processes);
    free(r->changes);
    free(r);
}

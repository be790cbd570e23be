/* effects.c: processes: what a committed decision starts, and how it ends.
 * SPDX-License-Identifier: Apache-2.0 */
#include "clock.h"
#include "engine_command.h"
#include "log.h"
#include "memory.h"
#include "runner.h"
#include "trace.h"
#include <assert.h>
#include <stdio.h>
#include <string.h>

static void add_process(struct runner *r, struct process *x)
{
    if (r->process_count == r->process_capacity) {
        r->process_capacity = r->process_capacity ? 2 * r->process_capacity : 32;
        r->processes = memory_array(r->processes, r->process_capacity, sizeof(struct process *));
    }
    r->processes[r->process_count++] = x;
}

static void remove_process(struct runner *r, const struct process *x)
{
    for (size_t i = 0; i < r->process_count; i++)
        if (r->processes[i] == x) {
            r->processes[i] = r->processes[--r->process_count];
            return;
        }
}

/* ---- how it ended */

static enum verdict verdict_of(const struct command_outcome *o)
{
    switch (o->end) {
    case COMMAND_EXITED: return retry_exit_code(o->status);
    case COMMAND_TIMED_OUT: return VERDICT_TIMED_OUT;
    case COMMAND_STOPPED: return VERDICT_STOPPED;
    case COMMAND_SIGNALED:
    case COMMAND_SPAWN_FAILED: break;
    }
    return VERDICT_RETRY;
}

static void say(const struct process *x, const struct command_outcome *o, char *out, size_t room)
{
    struct bytes tail = o->error;
    while (tail.size > 0 && (tail.data[tail.size - 1] == '\n' || tail.data[tail.size - 1] == ' '))
        tail.size--;
    int size = (int)tail.size;
    const char *text = tail.data ? (const char *)tail.data : "", *colon = size > 0 ? ": " : "";
    long long timeout_ms = x->run ? (long long)x->run->agent->settings->timeout_ms : 0;
    switch (o->end) {
    case COMMAND_EXITED: snprintf(out, room, "exit code %d%s%.*s", o->status, colon, size, text); return;
    case COMMAND_SIGNALED: snprintf(out, room, "signal %d%s%.*s", o->status, colon, size, text); return;
    case COMMAND_TIMED_OUT: snprintf(out, room, "timed out after %lld ms%s%.*s", timeout_ms, colon, size, text); return;
    case COMMAND_STOPPED: snprintf(out, room, "stopped"); return;
    case COMMAND_SPAWN_FAILED: snprintf(out, room, "%.*s", size, text); return;
    }
}

static struct ending *ending_of(const struct process *x, const struct command_outcome *o)
{
    enum { SENTENCE_MAX = 64 };
    size_t room = o->error.size + SENTENCE_MAX;
    struct ending *e = memory_new(sizeof *e + o->output.size + room);
    e->verdict = verdict_of(o);
    e->output_truncated = o->output_truncated;
    e->ended_us = o->ended_us;
    if (o->output.size > 0) memcpy(e->storage, o->output.data, o->output.size);
    e->output = (struct bytes){(const uint8_t *)e->storage, o->output.size};
    if (e->verdict == VERDICT_SUCCEEDED) return e;
    char *text = e->storage + o->output.size;
    say(x, o, text, room);
    e->error = text;
    return e;
}

static void on_done(void *ctx, const struct command_outcome *outcome)
{
    struct process *x = ctx;
    struct runner *r = x->runner;
    struct run *run = x->run;
    remove_process(r, x);
    if (run) {
        metrics_observe_us(r->metrics, METRIC_RUN_TIME, clock_monotonic_us() - x->started_us);
        run->process = NULL;
        run->ending = ending_of(x, outcome);
        partition_add_input(run);
        runner_wake(r);
    }
    free(x);
}

/* ---- start */

static void write_input(struct runner *r, const struct run *run)
{
    struct event_json json = {.event = run->event,
                              .workflow_id = bytes_of(r->id_text),
                              .attempt = run->entry.attempt,
                              .deadline_us = clock_wall_us() + run->agent->settings->timeout_ms * 1000};
    run_id_format(&run->id, r->id_text);
    json.workflow_id = bytes_of(r->id_text);
    if (!record_to_event(run->event, &json.view, NULL)) memset(&json.view, 0, sizeof json.view);
    event_json_write(&json, &r->input);
    if (!buffer_ok(&r->input)) memory_got(NULL);
}

void effects_start(struct runner *r, struct run *run)
{
    char agent[160];
    assert(run->body_at < 0);
    run->start_pending = false;
    snprintf(agent, sizeof agent, "%.*s", (int)run->event->key.size, (const char *)run->event->key.data);
    write_input(r, run);
    struct process *x = memory_new(sizeof *x);
    *x = (struct process){.runner = r, .run = run, .started_us = clock_monotonic_us()};
    struct command_identity identity = {r->id_text, agent, run->entry.attempt};
    x->command =
        memory_got(command_start(r->loop, &run->agent->settings->spec, identity, buffer_view(&r->input), on_done, x));
    run->process = x;
    add_process(r, x);
    metrics_add(r->metrics, METRIC_STARTED, 1);
    if (run->entry.start == 1)
        metrics_observe_us(r->metrics, METRIC_START_DELAY, clock_wall_us() - run->entry.recorded_us);
    log_event(LOG_INFO, "run started", log_text("workflow_id", r->id_text), log_text("agent", agent),
              log_int("attempt", run->entry.attempt), log_int("start", run->entry.start),
              log_int("partition", run->partition->number),
              log_bytes("trace_id", trace_id(record_header(run->event, "traceparent"))));
}

/* ---- freeze, thaw, end */

void effects_freeze(struct runner *r)
{
    for (size_t i = 0; i < r->process_count; i++) {
        if (r->processes[i]->frozen || !r->processes[i]->run) continue;
        r->processes[i]->frozen = true;
        command_freeze(r->processes[i]->command);
    }
}

void effects_thaw(struct run *run)
{
    if (!run->process || !run->process->frozen) return;
    run->process->frozen = false;
    command_thaw(run->process->command);
}

/* Killed, never asked to stop: a frozen group would hear SIGTERM only when it thaws, and live beside its successor. */
void effects_orphan(struct run *run)
{
    struct process *x = run->process;
    if (!x) return;
    run->process = NULL;
    x->run = NULL;
    command_kill(x->command);
}

void effects_stop_all(struct runner *r)
{
    for (size_t i = 0; i < r->process_count; i++)
        if (r->processes[i]->run) command_stop(r->processes[i]->command);
}

void effects_kill_all(struct runner *r)
{
    for (size_t i = 0; i < r->process_count; i++)
        command_kill(r->processes[i]->command);
}

void effects_abandon_all(struct runner *r)
{
    for (size_t i = 0; i < r->process_count; i++) {
        command_abandon(r->processes[i]->command);
        if (r->processes[i]->run) r->processes[i]->run->process = NULL;
        free(r->processes[i]);
    }
    r->process_count = 0;
}

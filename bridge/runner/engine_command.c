/* engine_command.c: life of one command: start, feed, read, deadline, end.  SPDX-License-Identifier: Apache-2.0 */
#include "engine_command.h"
#include "child.h"
#include "clock.h"
#include "command_environment.h"
#include "stderr_tail.h"
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>
#include <uv.h>

enum {
    DRAIN_GRACE_MS = 200, /* for what helpers of an ended command still write */
    CHUNK = 8192,
    CHUNKS_PER_TURN = 16, /* then the rest of the loop gets its turn */
};

enum phase {
    PHASE_RUNNING,
    PHASE_TERMINATING, /* TERM was sent, the grace runs */
    PHASE_KILLED,      /* KILL was sent: the kernel owes us the end */
    PHASE_DRAINING,    /* it has ended; what is in the pipes is read */
    PHASE_FINISHED,    /* `done` was called; the handles are closing */
};

struct command {
    const struct command_spec *spec;
    void (*done)(void *ctx, const struct command_outcome *outcome);
    void *ctx;
    struct child child;
    enum phase phase;
    enum command_end end; /* COMMAND_EXITED until we ended it */
    bool frozen;
    uv_poll_t exit_poll, input_poll, output_poll, error_poll;
    uv_timer_t timer;     /* deadline, grace or drain, by phase */
    int64_t due_at_ms;    /* of the timer; 0: none */
    int64_t frozen_at_ms; /* while frozen */
    int handles;          /* of libuv, not closed yet */
    struct buffer input;  /* what stdin has not taken yet, from input_sent on */
    size_t input_sent;
    struct buffer output;
    bool output_truncated;
    struct stderr_tail tail;
    struct error spawn_error; /* set: it never ran */
    int64_t started_us;
};

static void on_closed(uv_handle_t *handle)
{
    struct command *c = handle->data;
    if (--c->handles > 0) return;
    buffer_close(&c->input);
    buffer_close(&c->output);
    free(c);
}

/* Stops a poll before its descriptor is closed, as libuv demands. */
static void pipe_close(uv_poll_t *poll, int *fd)
{
    if (*fd < 0) return;
    if (poll->data) uv_close((uv_handle_t *)poll, on_closed); /* else it was never watched */
    child_close_fd(fd);
}

static void handles_close(struct command *c)
{
    pipe_close(&c->input_poll, &c->child.input);
    pipe_close(&c->output_poll, &c->child.output);
    pipe_close(&c->error_poll, &c->child.errors);
    pipe_close(&c->exit_poll, &c->child.pidfd);
    child_close(&c->child);
    uv_close((uv_handle_t *)&c->timer, on_closed);
}

static struct command_outcome outcome_of(struct command *c)
{
    struct command_outcome o = {.end = c->end,
                                .output = buffer_view(&c->output),
                                .output_truncated = c->output_truncated,
                                .error = stderr_tail_view(&c->tail),
                                .started_us = c->started_us,
                                .ended_us = clock_wall_us()};
    struct child_end end = {0};
    const bool spawned = c->child.pid > 0;
    if (spawned && !child_reap(&c->child, &end)) error_set(&c->spawn_error, ERROR_INTERNAL, "its exit status is lost");
    if (spawned && c->spawn_error.code == ERROR_NONE) child_ran(&c->child, c->spec, &c->spawn_error);
    o.status = end.status;
    if (end.signaled && o.end == COMMAND_EXITED) o.end = COMMAND_SIGNALED;
    if (c->spawn_error.code != ERROR_NONE) {
        o.end = COMMAND_SPAWN_FAILED;
        o.error = bytes_of(c->spawn_error.text);
    }
    return o;
}

static void finish(struct command *c)
{
    const struct command_outcome outcome = outcome_of(c);
    c->phase = PHASE_FINISHED;
    c->done(c->ctx, &outcome);
    handles_close(c);
}

static void on_timer(uv_timer_t *timer);

static void timer_set(struct command *c, int64_t delay_ms)
{
    c->due_at_ms = clock_monotonic_ms() + delay_ms;
    uv_update_time(c->timer.loop); /* the loop's own clock stands still while callbacks run */
    uv_timer_start(&c->timer, on_timer, (uint64_t)delay_ms, 0);
}

static void timer_clear(struct command *c)
{
    c->due_at_ms = 0;
    uv_timer_stop(&c->timer);
}

static void kill_group(struct command *c)
{
    c->phase = PHASE_KILLED;
    timer_clear(c);
    child_signal(&c->child, SIGKILL);
}

static void terminate(struct command *c, enum command_end end)
{
    c->end = end;
    c->phase = PHASE_TERMINATING;
    child_signal(&c->child, SIGTERM);
    timer_set(c, c->spec->grace_ms > 0 ? c->spec->grace_ms : 0);
}

static void on_timer(uv_timer_t *timer)
{
    struct command *c = timer->data;
    c->due_at_ms = 0;
    switch (c->phase) {
    case PHASE_RUNNING: terminate(c, COMMAND_TIMED_OUT); break;
    case PHASE_TERMINATING: kill_group(c); break;
    case PHASE_DRAINING: finish(c); break;
    case PHASE_KILLED:
    case PHASE_FINISHED: break;
    }
}

static void output_take(struct command *c, const uint8_t *data, size_t size)
{
    const size_t room = c->output.max - c->output.size;
    if (size > room) c->output_truncated = true;
    buffer_append(&c->output, data, size < room ? size : room);
    if (!buffer_ok(&c->output)) c->output_truncated = true;
}

/* Reads what a pipe holds, up to the bound of one turn; closes it at its end. */
static void pull(struct command *c, uv_poll_t *poll, int *fd)
{
    for (int i = 0; i < CHUNKS_PER_TURN && *fd >= 0; i++) {
        uint8_t chunk[CHUNK];
        const ssize_t size = read(*fd, chunk, sizeof chunk);
        if (size < 0 && errno == EINTR) continue;
        if (size < 0 && errno == EAGAIN) return;
        if (size <= 0)
            pipe_close(poll, fd);
        else if (poll == &c->output_poll)
            output_take(c, chunk, (size_t)size);
        else
            stderr_tail_append(&c->tail, chunk, (size_t)size);
    }
}

static bool drained(const struct command *c)
{
    return c->child.output < 0 && c->child.errors < 0;
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct command *c = poll->data;
    (void)status, (void)events; /* an error shows in read as well */
    pull(c, poll, poll == &c->output_poll ? &c->child.output : &c->child.errors);
    if (c->phase == PHASE_DRAINING && drained(c)) finish(c);
}

static void on_ended(uv_poll_t *poll, int status, int events)
{
    struct command *c = poll->data;
    (void)status, (void)events;
    uv_poll_stop(poll);
    c->phase = PHASE_DRAINING;
    pull(c, &c->output_poll, &c->child.output);
    pull(c, &c->error_poll, &c->child.errors);
    if (drained(c))
        finish(c);
    else
        timer_set(c, DRAIN_GRACE_MS);
}

/* Writes until stdin would block.  `over`: all is written, or nobody reads (EPIPE is a command's good right). */
static size_t write_some(int fd, struct bytes bytes, bool *over)
{
    size_t sent = 0;
    *over = false;
    while (sent < bytes.size) {
        const ssize_t size = write(fd, bytes.data + sent, bytes.size - sent);
        if (size < 0 && errno == EINTR) continue;
        if (size < 0 && errno == EAGAIN) return sent;
        if (size < 0) break;
        sent += (size_t)size;
    }
    *over = true;
    return sent;
}

static void on_writable(uv_poll_t *poll, int status, int events)
{
    struct command *c = poll->data;
    bool over;
    (void)status, (void)events;
    const struct bytes rest = {c->input.data + c->input_sent, c->input.size - c->input_sent};
    c->input_sent += write_some(c->child.input, rest, &over);
    if (!over) return;
    pipe_close(&c->input_poll, &c->child.input);
    buffer_close(&c->input);
}

static bool watch(struct command *c, uv_poll_t *poll, int *fd, int events, uv_poll_cb callback)
{
    int failure = uv_poll_init(c->timer.loop, poll, *fd);
    if (failure) {
        child_close_fd(fd);
    } else {
        poll->data = c;
        c->handles++;
        failure = uv_poll_start(poll, events, callback);
    }
    return failure == 0 || error_set(&c->spawn_error, ERROR_IO, "watch the command: %s", uv_strerror(failure));
}

/* Most inputs fit into the pipe at once and need neither a copy nor a watch. */
static bool input_begin(struct command *c, struct bytes input)
{
    bool over;
    const size_t sent = write_some(c->child.input, input, &over);
    if (over) {
        child_close_fd(&c->child.input);
        return true;
    }
    buffer_init(&c->input, input.size);
    buffer_append(&c->input, input.data + sent, input.size - sent);
    if (!buffer_ok(&c->input)) return error_set(&c->spawn_error, ERROR_MEMORY, "no memory for its input");
    return watch(c, &c->input_poll, &c->child.input, UV_WRITABLE, on_writable);
}

static bool begin(struct command *c, struct command_identity identity, struct bytes input)
{
    char **environment = command_environment(c->spec->environment, &identity);
    if (!environment) return error_set(&c->spawn_error, ERROR_MEMORY, "no memory");
    const bool spawned = child_start(&c->child, c->spec, environment, &c->spawn_error);
    free(environment);
    return spawned && watch(c, &c->exit_poll, &c->child.pidfd, UV_READABLE, on_ended) &&
           watch(c, &c->output_poll, &c->child.output, UV_READABLE, on_readable) &&
           watch(c, &c->error_poll, &c->child.errors, UV_READABLE, on_readable) && input_begin(c, input);
}

struct command *command_start(struct uv_loop_s *loop, const struct command_spec *spec, struct command_identity identity,
                              struct bytes input, void (*done)(void *ctx, const struct command_outcome *outcome),
                              void *ctx)
{
    struct command *c = calloc(1, sizeof *c);
    if (!c) return NULL;
    c->spec = spec;
    c->done = done;
    c->ctx = ctx;
    c->end = COMMAND_EXITED;
    c->started_us = clock_wall_us();
    child_init(&c->child);
    buffer_init(&c->output, spec->output_max_bytes > 0 ? (size_t)spec->output_max_bytes : 0);
    uv_timer_init(loop, &c->timer);
    c->timer.data = c;
    c->handles = 1;
    if (!begin(c, identity, input)) {
        c->phase = PHASE_DRAINING; /* what was started meets child_reap */
        timer_set(c, 0);
    } else if (spec->timeout_ms > 0) {
        timer_set(c, spec->timeout_ms);
    }
    return c;
}

void command_freeze(struct command *c)
{
    if (c->frozen || c->phase >= PHASE_DRAINING) return;
    c->frozen = true;
    c->frozen_at_ms = clock_monotonic_ms();
    uv_timer_stop(&c->timer);
    child_signal(&c->child, SIGSTOP);
}

void command_thaw(struct command *c)
{
    if (!c->frozen) return;
    c->frozen = false;
    if (c->phase >= PHASE_DRAINING) return;
    child_signal(&c->child, SIGCONT);
    const int64_t left_ms = c->due_at_ms - c->frozen_at_ms;
    if (c->due_at_ms) timer_set(c, left_ms > 0 ? left_ms : 0);
}

void command_stop(struct command *c)
{
    if (c->frozen)
        command_kill(c); /* TERM would wait for the thaw */
    else if (c->phase == PHASE_RUNNING)
        terminate(c, COMMAND_STOPPED);
}

void command_kill(struct command *c)
{
    if (c->phase == PHASE_RUNNING) c->end = COMMAND_STOPPED;
    if (c->phase < PHASE_KILLED) kill_group(c);
}

void command_abandon(struct command *c)
{
    if (c->phase == PHASE_FINISHED) return;
    c->phase = PHASE_FINISHED;
    child_signal(&c->child, SIGKILL);
    handles_close(c);
}

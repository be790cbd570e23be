/* run.c: the table of (state, input) -> state + effects.
 * SPDX-License-Identifier: Apache-2.0 */
#include "run.h"
#include <stddef.h>

static const char *const state_names[RUN_STATES] = {
    [RUN_NEW] = "new",       [RUN_ADMITTED] = "admitted", [RUN_RUNNING] = "running", [RUN_RETRY_WAIT] = "retry_wait",
    [RUN_CLOSED] = "closed",
};

const char *run_state_name(enum run_state state)
{
    return state_names[state];
}

struct run_entry run_uncounted(const struct run_entry *running)
{
    struct run_entry entry = *running;
    entry.state = RUN_ADMITTED;
    entry.attempt--;
    return entry;
}

struct step {
    const struct run_entry *now;
    const struct run_input *input;
    const struct retry_policy *policy;
};
typedef void advance(const struct step *s, struct run_decision *out);

static void admit(const struct step *s, struct run_decision *out)
{
    (void)s;
    out->next.state = RUN_ADMITTED;
}

static void start(const struct step *s, struct run_decision *out)
{
    out->next.state = RUN_RUNNING;
    out->next.attempt++;
    out->next.start++;
    out->next.started_us = s->input->now_us;
    out->next.by = s->input->by;
    out->next.due_us = 0;
    if (out->next.first_started_us == 0) out->next.first_started_us = s->input->now_us;
    out->effects = EFFECT_START;
}

static void close_as(const struct step *s, enum record_status status, struct run_decision *out)
{
    out->next.state = RUN_CLOSED;
    out->next.closed_us = s->input->now_us;
    out->next.due_us = 0;
    out->status = status;
    out->effects = EFFECT_RESULT | (status == RECORD_SUCCEEDED ? 0 : EFFECT_DEAD_LETTER);
}

static void refuse(const struct step *s, struct run_decision *out)
{
    close_as(s, RECORD_FAILED, out);
}

static bool again(const struct step *s, int64_t *wait_ms)
{
    int64_t age_ms = (s->input->now_us - s->now->first_started_us) / 1000;
    return retry_next(s->policy, s->now->attempt, age_ms, s->input->jitter, wait_ms);
}

static void finish(const struct step *s, struct run_decision *out)
{
    int64_t wait_ms;
    switch (s->input->verdict) {
    case VERDICT_SUCCEEDED: close_as(s, RECORD_SUCCEEDED, out); return;
    case VERDICT_PERMANENT: close_as(s, RECORD_FAILED, out); return;
    case VERDICT_STOPPED: out->next = run_uncounted(s->now); return;
    case VERDICT_RETRY:
    case VERDICT_TIMED_OUT: break;
    }
    if (!again(s, &wait_ms)) {
        close_as(s, s->input->verdict == VERDICT_TIMED_OUT ? RECORD_TIMED_OUT : RECORD_FAILED, out);
        return;
    }
    out->next.state = RUN_RETRY_WAIT;
    out->next.due_us = s->input->now_us + wait_ms * 1000;
}

/* The runner that started it is gone without a word: that attempt counts, or an event that kills runners would kill
 * them for ever (J7).  The wait for the old child is over, so there is no back-off on top. */
static void restart(const struct step *s, struct run_decision *out)
{
    int64_t wait_ms;
    out->lost = true;
    if (again(s, &wait_ms))
        start(s, out);
    else
        close_as(s, RECORD_FAILED, out);
}

static advance *const table[RUN_STATES][RUN_INPUTS] = {
    [RUN_NEW] = {[INPUT_ARRIVED] = admit, [INPUT_TURN] = start, [INPUT_REFUSED] = refuse},
    [RUN_ADMITTED] = {[INPUT_TURN] = start, [INPUT_REFUSED] = refuse},
    [RUN_RUNNING] = {[INPUT_TURN] = restart, [INPUT_ENDED] = finish, [INPUT_REFUSED] = refuse},
    [RUN_RETRY_WAIT] = {[INPUT_TURN] = start, [INPUT_REFUSED] = refuse},
};

bool run_advance(const struct run_entry *now, const struct run_input *input, const struct retry_policy *policy,
                 struct run_decision *out)
{
    *out = (struct run_decision){.next = *now, .status = RECORD_FAILED};
    advance *row = table[now->state][input->kind];
    if (!row) return false;
    row(&(const struct step){now, input, policy}, out);
    return true;
}

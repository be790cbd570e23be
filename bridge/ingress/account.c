/* account.c: an agent's account: what it has left of its rates, and how often and why it was denied.
 * SPDX-License-Identifier: Apache-2.0 */
#include "ingress.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    AUDIT_LINES = 5,   /* for each agent, reason and minute */
    SERIES_MAX = 2000, /* in /metrics; what is beyond is summed up */
    DENIAL_REASONS = (int)OUTCOMES + (int)SCHEME_REASONS,
};

struct denials {
    struct denial {
        int64_t count;
        uint32_t minute, in_minute; /* of the last one, and how many it had so far */
    } of[DENIAL_REASONS];
};

struct account *account_new(void)
{
    struct account *a = calloc(1, sizeof *a);
    if (a) a->references = 1;
    return a;
}

struct account *account_ref(struct account *a)
{
    a->references++;
    return a;
}

void account_unref(struct account *a)
{
    if (!a || --a->references > 0) return;
    free(a->denials);
    free(a);
}

size_t account_reason(enum outcome outcome, enum scheme_reason reason)
{
    return outcome == OUTCOME_UNAUTHORIZED && reason != SCHEME_OK ? OUTCOMES + (size_t)reason : (size_t)outcome;
}

void account_reason_name(size_t reason, char out[ACCOUNT_REASON_SIZE])
{
    if (reason < OUTCOMES)
        snprintf(out, ACCOUNT_REASON_SIZE, "%s", outcome_name((enum outcome)reason));
    else
        snprintf(out, ACCOUNT_REASON_SIZE, "signature_%s", scheme_reason_name((enum scheme_reason)(reason - OUTCOMES)));
}

bool account_deny(struct account *a, size_t reason, int64_t now_ms, int64_t *left_out)
{
    *left_out = 0;
    if (!a->denials) a->denials = calloc(1, sizeof *a->denials);
    if (!a->denials) return true; /* rather one line too many than silence */
    struct denial *d = &a->denials->of[reason];
    uint32_t minute = (uint32_t)(now_ms / 60000);
    if (d->count++ == 0 || d->minute != minute) {
        if (d->in_minute > AUDIT_LINES) *left_out = d->in_minute - AUDIT_LINES;
        d->minute = minute;
        d->in_minute = 0;
    }
    return ++d->in_minute <= AUDIT_LINES;
}

/* ---- the metric ---- */

#define DENIALS "drawbridge_ingress_denials_total"

struct writing {
    struct buffer *out;
    size_t series;
    int64_t others[DENIAL_REASONS];
};

static void write_sample(struct buffer *out, const char *agent, size_t reason, int64_t count)
{
    char name[ACCOUNT_REASON_SIZE];
    account_reason_name(reason, name);
    buffer_format(out, DENIALS "{agent=\"%s\",reason=\"%s\"} %" PRId64 "\n", agent, name, count);
}

static void write_account(struct writing *w, const char *agent, const struct account *a)
{
    for (size_t reason = 0; a->denials && reason < DENIAL_REASONS; reason++) {
        int64_t count = a->denials->of[reason].count;
        if (count == 0) continue;
        if (w->series++ < SERIES_MAX)
            write_sample(w->out, agent, reason, count);
        else
            w->others[reason] += count;
    }
}

void account_write_metrics(const struct account *strangers, const struct trigger_set *triggers, struct buffer *out)
{
    struct writing w = {.out = out};
    buffer_text(out, "# HELP " DENIALS " requests refused for what they are, by agent and reason\n"
                     "# TYPE " DENIALS " counter\n");
    write_account(&w, "(unknown)", strangers);
    size_t at = 0;
    for (const struct trigger *t; (t = trigger_set_next(triggers, &at));)
        write_account(&w, t->options.agent_id, t->account);
    for (size_t reason = 0; reason < DENIAL_REASONS; reason++)
        if (w.others[reason] > 0) write_sample(out, "(others)", reason, w.others[reason]);
}

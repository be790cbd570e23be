/* secret_use.c: which secret verified how many deliveries, and when last: when the previous one is seen no more, it can
 * go.  SPDX-License-Identifier: Apache-2.0 */
#include "triggers.h"
#include <inttypes.h>

void secret_use_count(const struct trigger *t, size_t secret, int64_t now_s)
{
    t->uses[secret].count++;
    t->uses[secret].last_s = now_s;
}

static void carry(const struct trigger *from, const struct trigger *to)
{
    for (size_t i = 0; i < verifier_count(to->verifier); i++)
        for (size_t k = 0; k < verifier_count(from->verifier); k++)
            if (strcmp(verifier_secret_name(to->verifier, i), verifier_secret_name(from->verifier, k)) == 0)
                to->uses[i] = from->uses[k];
}

void secret_use_carry(const struct trigger_set *from, const struct trigger_set *to)
{
    size_t cursor = 0;
    for (const struct trigger *t; (t = trigger_set_next(to, &cursor)) != NULL;) {
        const struct trigger *before = trigger_set_find(from, bytes_of(t->options.agent_id));
        if (before && before->verifier && t->verifier) carry(before, t);
    }
}

static const struct column {
    const char *name, *kind, *help;
    size_t offset;
} columns[] = {
    {"drawbridge_ingress_secret_verified_total", "counter",
     "Deliveries that this secret of the agent's trigger verified.", offsetof(struct secret_use, count)},
    {"drawbridge_ingress_secret_last_seen_seconds", "gauge", "Unix time of the last of them; 0: none since the start.",
     offsetof(struct secret_use, last_s)},
};

/* Agent ids and names of secrets need no escapes. */
static size_t write_rows(const struct trigger *t, const struct column *c, size_t room, struct buffer *out)
{
    size_t i = 0;
    for (; i < verifier_count(t->verifier) && i < room; i++) {
        int64_t value;
        memcpy(&value, (const char *)&t->uses[i] + c->offset, sizeof value);
        buffer_format(out, "%s{agent=\"%s\",secret=\"%s\"} %" PRId64 "\n", c->name, t->options.agent_id,
                      verifier_secret_name(t->verifier, i), value);
    }
    return i;
}

void secret_use_write(const struct trigger_set *set, struct buffer *out)
{
    size_t secrets = 0, written = 0;
    for (size_t c = 0; c < sizeof columns / sizeof columns[0]; c++) {
        size_t cursor = 0;
        secrets = written = 0;
        buffer_format(out, "# HELP %s %s\n# TYPE %s %s\n", columns[c].name, columns[c].help, columns[c].name,
                      columns[c].kind);
        for (const struct trigger *t; (t = trigger_set_next(set, &cursor)) != NULL;) {
            if (!t->verifier) continue;
            secrets += verifier_count(t->verifier);
            written += write_rows(t, &columns[c], SECRET_USE_ROWS - written, out);
        }
    }
    static const char unlisted[] = "drawbridge_ingress_secrets_unlisted";
    buffer_format(out, "# HELP %s Secrets beyond the %d that are listed.\n# TYPE %s gauge\n%s %zu\n", unlisted,
                  SECRET_USE_ROWS, unlisted, unlisted, secrets - written);
}

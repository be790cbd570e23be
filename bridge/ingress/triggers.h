/* triggers.h: triggers: what an agent's deliveries need, where triggers come from, and the snapshot that is in force.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "gate.h"
#include "handshake.h"
#include "ingress_settings.h"
#include "metrics.h"
#include "rate.h"
#include "record.h"
#include "scheme.h"
#include "signature.h"

struct account;

/* ---- triggers.c: agent id -> trigger; one immutable snapshot ---- */

enum dedupe { DEDUPE_ID, DEDUPE_SIGNATURE, DEDUPE_BODY };

struct trigger_options { /* as configured */
    char *agent_id, *event_source, *description;
    bool enabled;
    struct config_list allowed_ips;
    char *secret;
    struct config_map metadata;
    bool check_origin;
    int source_match; /* "any|all" */
    struct config_list content_types;
    int64_t body_max;                     /* 0: the general one */
    int dedupe;                           /* enum dedupe */
    int64_t response_status, deadline_ms; /* 0: the scheme's */
    char *public_url;                     /* "": the general one */
    struct config_list events, handshake, allowed_origins;
    char *rate;
    int64_t burst;
    bool spool; /* as said; see struct trigger */
};

struct trigger {
    struct trigger_options options;
    struct verifier *verifier; /* NULL: no scheme */
    struct scheme *own_scheme; /* the verifier's, if the trigger says words of its own */
    char *verify_token;        /* "": none */
    struct config_list topics; /* AWS SNS: the only ones that may deliver */
    struct secret_use {
        int64_t count, last_s; /* deliveries it verified; Unix time of the last, 0: never */
    } * uses;                  /* one for each secret; the only part of a trigger that changes */
    struct network *allowed;
    struct source_policy source;
    int64_t body_max, deadline_ms;
    int response_status;
    struct rate rate;
    int64_t rate_per_min; /* what a CloudEvents sender is told; 0: no limit */
    struct handshake_policy handshake;
    struct secret *hub_token;
    bool cloudevents;         /* events in binary mode are taken as such; in structured mode if listed */
    bool needs_body;          /* what becomes of a delivery depends on its body although Kafka is away */
    struct account *account;  /* never NULL; changes, unlike all else */
    bool spool;               /* events that Kafka does not take in time go to the disk */
    struct bytes scheme_name; /* as it enters the workflow_id */
    char *ce_source;
    char *webhook_url;
    struct buffer trigger_json;
    struct buffer info_json; /* WebhookInfo */
    /* identity headers: request name and record name ("http-..."), side by side */
    size_t identity_count;
    struct trigger_identity {
        const char *request_name;
        char *record_name;
    } * identity;
    int64_t revision; /* of a record */
    int references;   /* snapshots share it */
};
/* A new trigger has one reference, its maker's. */
struct trigger *trigger_ref(struct trigger *t);
void trigger_unref(struct trigger *t); /* NULL is legal */

struct trigger_set;
struct trigger_set *trigger_set_new(void);
/* Takes the maker's reference over; false if its agent has one already (it then stays the caller's) or without memory.
 */
bool trigger_set_add(struct trigger_set *set, struct trigger *t);
const struct trigger *trigger_set_find(const struct trigger_set *set, struct bytes agent_id);
size_t trigger_set_count(const struct trigger_set *set);
/* A new set with all triggers of `first` and those of `more` whose agent has none there; NULL without memory. */
struct trigger_set *trigger_set_merge(const struct trigger_set *first, struct trigger *const *more, size_t count);
/* Every trigger once, in no order: begin with *cursor 0; NULL behind the last. */
const struct trigger *trigger_set_next(const struct trigger_set *set, size_t *cursor);
/* The agents' accounts go on in the new snapshot. */
void trigger_set_inherit(struct trigger_set *set, const struct trigger_set *before);
struct trigger_set *trigger_set_ref(struct trigger_set *set);
void trigger_set_unref(struct trigger_set *set); /* NULL is legal */

/* ---- secret_use.c: which secret verified how many deliveries, and when last ---- */

void secret_use_count(const struct trigger *t, size_t secret, int64_t now_s);
/* What the old snapshot counted goes on in the new one, by agent and name of the secret. */
void secret_use_carry(const struct trigger_set *from, const struct trigger_set *to);
/* Appends counters and last-seen times in the form of /metrics: at most SECRET_USE_ROWS, and how many are left out. */
enum { SECRET_USE_ROWS = 2000 };
void secret_use_write(const struct trigger_set *set, struct buffer *out);

/* ---- trigger_verify.c: how a trigger's deliveries are verified ---- */

/* One list element on its way to a trigger. */
struct trigger_loading {
    const struct settings *settings;
    const struct scheme_set *schemes;
    struct config_report *report;
    struct config_file *file;
    char path[64]; /* "triggers.[2]" */
    bool private_file;
    bool told; /* how deliveries are verified, rightly or not */
    struct trigger *trigger;
    char scheme[64];                       /* as it is named there: what sealed secrets belong to */
    bool record;                           /* of the triggers topic, not of a file */
    uint8_t digest[SIGNATURE_SHA256_SIZE]; /* of a record: all of it but the secrets */
};
/* Reads `verify` or `secret` of the element; problems go to the report. */
void trigger_verify_load(struct trigger_loading *l);
/* The secret called `name` of the element, from its reference: sealed for that place, or of a kind that may stand
 * there.  The caller frees it. */
struct secret *trigger_secret_open(const struct trigger_loading *l, const char *name, const char *reference,
                                   struct error *error);
/* Frees what trigger_verify_load made. */
void trigger_verify_close(struct trigger *t);
void trigger_verify_help(FILE *out);

/* ---- trigger_source.c: where triggers come from ---- */

/* Reports a problem of the element's option. */
void trigger_problem(const struct trigger_loading *l, const char *option, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

extern const struct config_option trigger_file_options[];
extern const size_t trigger_file_option_count;
/* The reference page of what a trigger may say. */
void trigger_source_help(FILE *out);
/* Reads every *.cfg file of the directory into a new snapshot; NULL with all problems in the report if there are any.
 * The snapshot keeps pointers into `schemes`. */
struct trigger_set *trigger_source_load(const struct settings *settings, const struct scheme_set *schemes,
                                        struct config_report *report);
/* One record of the triggers topic: JSON in the same words.  NULL with what is wrong in the report.  The key is the
 * agent; unless settings->topic_allows says more, every secret is sealed for exactly this record, so that nobody
 * without the key can change anything in it. */
struct trigger *trigger_source_record(const struct settings *settings, const struct scheme_set *schemes,
                                      const char *name, const struct record *record, struct config_report *report);

/* ---- registry.c: the triggers topic folded: for each agent the newest record that is good; pure ---- */

enum registry_verdict { REGISTRY_SERVED, REGISTRY_REMOVED, REGISTRY_REFUSED, REGISTRY_VERDICTS };
const char *registry_verdict_name(enum registry_verdict verdict);
struct registry;
/* NULL without memory.  Keeps pointers to both. */
struct registry *registry_new(const struct settings *settings, const struct scheme_set *schemes);
void registry_free(struct registry *r); /* NULL is legal */
/* Takes the next record.  A refused one changes nothing but registry_bad; `problem` then says what is wrong with it. */
enum registry_verdict registry_take(struct registry *r, const struct record *record, int64_t offset,
                                    struct error *problem);
/* Agents whose newest record was refused. */
size_t registry_bad(const struct registry *r);
/* Where `r` has nothing but a refused record, the trigger that `older` serves stays in force (compaction may have taken
 * its record). */
void registry_adopt(struct registry *r, const struct registry *older);
/* The directory's triggers and, for other agents, the registry's, as a new snapshot; NULL without memory. */
struct trigger_set *registry_merge(const struct registry *r, const struct trigger_set *directory);

/* ---- trigger_topic.c: follows the triggers topic in the loop ---- */

struct trigger_topic;
struct trigger_topic *trigger_topic_new(const struct settings *settings, const struct scheme_set *schemes,
                                        struct metrics *metrics, struct error *error);
void trigger_topic_free(struct trigger_topic *t); /* NULL is legal */
/* Readable when there are records; then, and when trigger_topic_timeout_ms has passed, call trigger_topic_run. */
int trigger_topic_fd(const struct trigger_topic *t);
int trigger_topic_timeout_ms(const struct trigger_topic *t, int64_t now_ms);
/* True when the triggers in force have changed: take a new trigger_topic_merge. */
bool trigger_topic_run(struct trigger_topic *t, int64_t now_ms);
/* Has the topic been read to its end once?  Else *why, if given, is a sentence that lives until the next run. */
bool trigger_topic_converged(const struct trigger_topic *t, const char **why);
/* Keys or settings are other ones: reads the topic again, beside what is in force until then. */
void trigger_topic_again(struct trigger_topic *t, int64_t now_ms);
struct trigger_set *trigger_topic_merge(const struct trigger_topic *t, const struct trigger_set *directory);

/* ---- trigger_policy.c: a trigger's rate, filter and handshakes ---- */

/* Each makes one part of the trigger from its options; the error belongs to that option. */
struct trigger_policy {
    const char *option;
    bool (*make)(struct trigger *t, const struct trigger_loading *l, struct error *error);
};
extern const struct trigger_policy trigger_policies[];
extern const size_t trigger_policy_count;

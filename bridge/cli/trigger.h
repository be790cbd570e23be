/* trigger.h: what `drawbridge trigger` is made of, grouped by file.  One thread.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "cli.h"
#include "secret_sealed.h"
#include "signature.h"

/* ---- trigger_draft.c: one record of the triggers topic, taken apart so that it can be changed and sealed anew; pure
 * but for the nonces ---- */

enum { DRAFT_WORDS_MAX = 64, DRAFT_SECRETS_MAX = 8, DRAFT_RECORD_MAX = 64 * 1024 };

/* A setting that is carried along as it is: its JSON text is copied. */
struct draft_word {
    char *name, *json;
};
struct draft_words {
    size_t count;
    struct draft_word items[DRAFT_WORDS_MAX];
};
struct draft_secret {
    char name[32];
    char *text;           /* "sealed:..." as it stands in the record, another reference, or NULL: new */
    char *since, *until;  /* RFC 3339, or NULL */
    struct secret *plain; /* of a sealed or a new one, once opened */
};
struct draft {
    char *agent_id, *scheme; /* scheme NULL: it is spelled out */
    int64_t revision;
    struct draft_words words, verify; /* all others, at the top and inside of `verify` */
    struct draft_secret secrets[DRAFT_SECRETS_MAX];
    size_t secret_count;
    struct draft_secret token;             /* verify.verify_token; name "" when there is none */
    uint8_t digest[SIGNATURE_SHA256_SIZE]; /* of the record that was read: what its secrets are sealed for */
};
/* Takes a record's JSON apart.  Close with draft_close in any case, also before reading again. */
bool draft_read(struct draft *d, struct bytes record, struct error *error);
/* A new one without secrets. */
bool draft_begin(struct draft *d, const char *agent_id, const char *scheme, struct error *error);
void draft_close(struct draft *d);
/* Opens every sealed secret; the record must be as it was read. */
bool draft_open(struct draft *d, const struct keyring *keys, struct error *error);
/* "description=A push", "body_max=64KiB", "enabled=false", "verify.tolerance=60s": what reads as JSON is JSON, anything
 * else is a text.  An empty value takes the setting out. */
bool draft_assign(struct draft *d, const char *assignment, struct error *error);
/* Sets a setting of the top to a text. */
bool draft_text(struct draft *d, const char *name, const char *text, struct error *error);
bool draft_texts(struct draft *d, const char *name, const struct cli_list *texts, struct error *error);
/* JSON text of a setting of the top, or NULL. */
const char *draft_get(const struct draft *d, const char *name);
/* Takes the secret over and puts it in front as "current". */
bool draft_add_secret(struct draft *d, struct secret *secret, const char *since, struct error *error);
/* Takes the token over that Meta's subscription must present. */
void draft_set_token(struct draft *d, struct secret *token);
/* "current" becomes "previous", good until then. */
bool draft_retire_secret(struct draft *d, const char *until, struct error *error);
/* Drops the last one. */
void draft_drop_secret(struct draft *d);
/* Appends the record with every opened secret sealed for it. */
bool draft_write(const struct draft *d, const struct keyring *keys, struct buffer *out, struct error *error);

/* ---- trigger_records.c: the triggers topic as the tool reads and writes it ---- */

struct topic_record {
    int64_t offset, timestamp_ms;
    char *key; /* as it is, NUL-terminated */
    size_t key_size;
    char *value; /* NULL: a tombstone */
    size_t value_size;
    const char *verdict; /* "served", "removed" or "refused" of trigger_judge; NULL: not judged */
    char *problem;       /* NULL unless refused */
};
struct topic_records {
    size_t count, room;
    struct topic_record *items; /* by offset */
    int64_t end;                /* behind the last */
};
bool topic_records_read(const struct cli_kafka *kafka, struct topic_records *out, struct error *error);
/* Appends one (for a record that is to be judged before it is written); value NULL: a tombstone. */
struct topic_record *topic_records_add(struct topic_records *r, struct bytes key, struct bytes value);
void topic_records_close(struct topic_records *r);
/* The agent's newest record, or NULL. */
const struct topic_record *topic_records_newest(const struct topic_records *r, const char *agent_id);
/* Writes a record (value NULL data: a tombstone) and waits for it; warns when another writer came between `end` and
 * it. */
bool topic_records_write(const struct cli_kafka *kafka, const char *agent_id, struct bytes value, int64_t end,
                         struct error *error);

/* ---- trigger_judge.c: the ingress itself says what it thinks of records ---- */

/* Fills in the verdicts.  False: it could not be asked. */
bool trigger_judge(const struct cli_connection *connection, const struct cli_kafka *kafka, const char *key_file,
                   struct topic_records *records, struct error *error);

/* ---- trigger_list.c: `trigger ls` ---- */

/* Prints one line for each agent; returns how many have a bad record. */
size_t trigger_list(const struct topic_records *records, bool json, int64_t now_us);

/* ---- trigger_keys.c: the key file ---- */

/* Puts a fresh key on top of the file, or makes it (0600); whoever reads meanwhile sees the old file or the new one. */
bool key_file_add(const char *path, bool *existed, struct error *error);

/* ---- trigger_guide.c: what to do at the provider ---- */

enum guide_secret { GUIDE_OURS, GUIDE_OURS_WHSEC, GUIDE_THEIRS };
struct guide {
    const char *scheme;
    enum guide_secret secret; /* who makes it, in which form */
    const char *where;        /* of a secret that the provider makes: where it is found */
    const char *steps;        /* lines; "{url}" is the URL to register */
};
/* The row of the scheme, or one that fits any. */
const struct guide *guide_find(const char *scheme);
/* Steps with the URL filled in. */
void guide_write(const struct guide *g, const char *url, struct buffer *out);
/* A fresh secret in the form that this provider takes. */
struct secret *guide_make_secret(const struct guide *g, struct error *error);
/* The secret that the user gave by reference, or (NULL) a fresh one where that is ours to make. */
struct secret *guide_obtain_secret(const struct guide *g, const char *reference, struct error *error);
/* What the user takes to the provider: URL and, unless NULL, the secret are data; how to go about it the first time is
 * talk. */
void guide_show(const struct guide *g, const char *url, const struct secret *shown, bool first);

/* scheme_load.c: a scheme's words: their table, how they are read, and what the table can't say.
 * SPDX-License-Identifier: Apache-2.0 */
#include "scheme_load.h"
#include "text.h"
#include <inttypes.h>
#include <stdlib.h>

#define WORD(field) offsetof(struct scheme_words, field)

const struct config_option scheme_word_options[] = {
    {.name = "signature_header",
     .kind = CONFIG_TEXT,
     .offset = WORD(signature_header),
     .default_text = "",
     .max = "128",
     .help = "header that carries the signature; a # in the name stands for 1 to 16"},
    {.name = "signature_query",
     .kind = CONFIG_TEXT,
     .offset = WORD(signature_query),
     .default_text = "",
     .max = "64",
     .help = "parameter of the query that carries it where the header is not there"},
    {.name = "list_separator",
     .kind = CONFIG_TEXT,
     .offset = WORD(list_separator),
     .default_text = "",
     .max = "1",
     .help = "character between the entries of that header; empty: the value is one entry"},
    {.name = "version_tag",
     .kind = CONFIG_TEXT,
     .offset = WORD(version_tag),
     .default_text = "",
     .max = "32",
     .help = "tag of the entries that count, others are skipped; empty: a bare value"},
    {.name = "tag_separator",
     .kind = CONFIG_TEXT,
     .offset = WORD(tag_separator),
     .default_text = "=",
     .min = "1",
     .max = "1",
     .help = "character between tag and value; the first one counts"},
    {.name = "algorithm",
     .kind = CONFIG_CHOICE,
     .offset = WORD(algorithm),
     .default_text = "hmac-sha256",
     .choices = "hmac-sha256|hmac-sha1|sha256|ed25519|ecdsa-p256-sha256|equal|twilio|adyen-item|mailgun|aws-sns|"
                "netlify|client-state",
     .help = "how the signature is made; from twilio on: as only that sender does"},
    {.name = "encoding",
     .kind = CONFIG_CHOICE,
     .offset = WORD(encoding),
     .default_text = "hex",
     .choices = "hex|base64|text",
     .help = "how the signature is written"},
    {.name = "key_encoding",
     .kind = CONFIG_CHOICE,
     .offset = WORD(key_encoding),
     .default_text = "text",
     .choices = "text|base64|hex|base64-spki",
     .help = "how the secret, or the public key, is written"},
    {.name = "key_prefix",
     .kind = CONFIG_TEXT,
     .offset = WORD(key_prefix),
     .default_text = "",
     .max = "32",
     .help = "taken off the secret if it is there, before decoding"},
    {.name = "signed",
     .kind = CONFIG_TEXT,
     .offset = WORD(signed_text),
     .default_text = "{body}",
     .max = "1024",
     .help = "template of what is signed, with {body} at most once"},
    {.name = "timestamp",
     .kind = CONFIG_TEXT,
     .offset = WORD(timestamp),
     .default_text = "",
     .max = "256",
     .help = "the one token that says when it was signed; empty: the scheme does not say"},
    {.name = "timestamp_unit",
     .kind = CONFIG_CHOICE,
     .offset = WORD(timestamp_unit),
     .default_text = "s",
     .choices = "s|ms|iso8601",
     .help = "how the time is written"},
    {.name = "tolerance",
     .kind = CONFIG_DURATION,
     .offset = WORD(tolerance_ms),
     .default_text = "300s",
     .min = "0",
     .max = "400d",
     .help = "how far that time may lie from now, in both directions; 0: any"},
    {.name = "delivery_id",
     .kind = CONFIG_TEXT,
     .offset = WORD(delivery_id),
     .default_text = "",
     .max = "512",
     .help = "template of the delivery's id; a token that is absent: a fresh id"},
    {.name = "event_type",
     .kind = CONFIG_TEXT,
     .offset = WORD(event_type),
     .default_text = "",
     .max = "512",
     .help = "template of ce_type; an absent token goes with the text before it"},
    {.name = "handshake",
     .kind = CONFIG_TEXT_LIST,
     .offset = WORD(handshake),
     .default_text = "none",
     .max = "8",
     .text_too = true,
     .help = "what the sender asks besides delivering; one kind, or several in a list"},
    {.name = "deadline",
     .kind = CONFIG_DURATION,
     .offset = WORD(deadline_ms),
     .default_text = "4s",
     .min = "50ms",
     .max = "60s",
     .help = "the sender waits at most this long for its answer"},
    {.name = "redelivery",
     .kind = CONFIG_DURATION,
     .offset = WORD(redelivery_ms),
     .default_text = "24h",
     .min = "1m",
     .max = "400d",
     .help = "how long the sender may deliver the same event again: the dedupe window"},
    {.name = "response_status",
     .kind = CONFIG_INT,
     .offset = WORD(response_status),
     .default_text = "202",
     .min = "200",
     .max = "202",
     .help = "status of an accepted delivery: 200 or 202"},
    {.name = "aliases", /* the last one: only a scheme in a file of schemes has other names */
     .kind = CONFIG_TEXT_LIST,
     .offset = WORD(aliases),
     .default_text = "",
     .max = "8",
     .help = "other names of the scheme"},
};
enum { WORDS = sizeof scheme_word_options / sizeof scheme_word_options[0], OWN_WORDS = WORDS - 1 };
const size_t scheme_word_count = OWN_WORDS;

const struct scheme_algorithm_row scheme_algorithms[ALGORITHMS] = {
    [ALGORITHM_HMAC_SHA256] = {.signature_size = SIGNATURE_SHA256_SIZE},
    [ALGORITHM_HMAC_SHA1] = {.hash = SIGNATURE_SHA1, .signature_size = SIGNATURE_SHA1_SIZE},
    [ALGORITHM_SHA256] = {.signature_size = SIGNATURE_SHA256_SIZE},
    [ALGORITHM_ED25519] = {.mechanism = MECHANISM_PUBLIC, .key = MECHANISM_PUBLIC, .signature_size = 64},
    [ALGORITHM_ECDSA] = {.mechanism = MECHANISM_PUBLIC,
                         .key = MECHANISM_PUBLIC,
                         .repeats = "anybody can make a second signature out of an ECDSA one"},
    [ALGORITHM_EQUAL] = {.mechanism = MECHANISM_TOKEN,
                         .key = MECHANISM_TOKEN,
                         .signature_size = SIGNATURE_SHA256_SIZE,
                         .repeats = "the token is the same for every delivery"},
    [ALGORITHM_TWILIO] = {.mechanism = MECHANISM_PROOFS, .hash = SIGNATURE_SHA1, .extract = scheme_twilio_extract},
    [ALGORITHM_ADYEN_ITEM] = {.mechanism = MECHANISM_PROOFS, .in_body = true, .extract = scheme_adyen_extract},
    [ALGORITHM_MAILGUN] = {.mechanism = MECHANISM_PROOFS, .in_body = true, .extract = scheme_mailgun_extract},
    [ALGORITHM_AWS_SNS] = {.mechanism = MECHANISM_PROOFS,
                           .key = MECHANISM_PUBLIC,
                           .in_body = true,
                           .extract = scheme_sns_extract},
    [ALGORITHM_NETLIFY] = {.mechanism = MECHANISM_PROOFS, .extract = scheme_netlify_extract},
    [ALGORITHM_CLIENT_STATE] = {.mechanism = MECHANISM_PROOFS,
                                .key = MECHANISM_TOKEN,
                                .in_body = true,
                                .extract = scheme_graph_extract,
                                .repeats = "the token is the same for every delivery"},
};

static const char *const handshake_names[HANDSHAKES] = {
    [HANDSHAKE_SLACK_CHALLENGE] = "slack-challenge",
    [HANDSHAKE_ZOOM_VALIDATION] = "zoom-validation",
    [HANDSHAKE_DISCORD_PING] = "discord-ping",
    [HANDSHAKE_ECHO_QUERY] = "echo-query",
    [HANDSHAKE_META_SUBSCRIBE] = "meta-subscribe",
    [HANDSHAKE_GRAPH_VALIDATION] = "graph-validation",
    [HANDSHAKE_OKTA_VERIFICATION] = "okta-verification",
    [HANDSHAKE_EVENTGRID_VALIDATION] = "eventgrid-validation",
    [HANDSHAKE_SNS_CONFIRMATION] = "sns-confirmation",
    [HANDSHAKE_CLOUDEVENTS_OPTIONS] = "cloudevents-options",
    [HANDSHAKE_X_CRC] = "x-crc",
    [HANDSHAKE_HEAD] = "head",
};

const char *scheme_handshake_name(enum scheme_handshake kind)
{
    return handshake_names[kind];
}

void scheme_close(struct scheme *s)
{
    for (size_t i = 0; i < SCHEME_FORMS_MAX; i++) {
        template_close(&s->forms[i].before);
        template_close(&s->forms[i].after);
        config_free(scheme_word_options, WORDS, &s->forms[i].words);
    }
    template_close(&s->timestamp);
    template_close(&s->delivery_id);
    template_close(&s->event_type);
    free(s->name);
    *s = (struct scheme){.form_count = 0};
}

/* One scheme on its way in: where it stands and where its faults go. */
struct loading {
    struct config_file *file;
    struct config_report *report;
    const char *path; /* "schemes.github" */
};

static void fault(const struct loading *l, const char *word, const char *sentence)
{
    char at[512];
    snprintf(at, sizeof at, "%s.%s", l->path, word);
    int line = config_line(l->file, at);
    if (line == 0) line = config_line(l->file, l->path);
    config_report_add(l->report, config_name(l->file), line, "%s: %s", at, sentence);
}

/* ---- words over words ---- */

/* The n-th of "a|b|c". */
static struct bytes choice_at(const char *choices, int n)
{
    for (; n > 0; n--)
        choices = strchr(choices, '|') + 1;
    return (struct bytes){(const uint8_t *)choices, strcspn(choices, "|")};
}

/* What stands in a field, as a text that the field's own parser reads. */
static void write_value(const struct config_option *o, const struct scheme_words *words, struct buffer *out)
{
    const void *field = (const char *)words + o->offset;
    const struct config_list *list = field;
    switch (o->kind) {
    case CONFIG_TEXT: buffer_text(out, *(char *const *)field); break;
    case CONFIG_CHOICE: buffer_bytes(out, choice_at(o->choices, *(const int *)field)); break;
    case CONFIG_DURATION: buffer_format(out, "%" PRId64 "ms", *(const int64_t *)field); break;
    case CONFIG_TEXT_LIST:
        for (size_t i = 0; i < list->count; i++)
            buffer_format(out, "%s%s", i > 0 ? "," : "", list->items[i]);
        break;
    default: buffer_format(out, "%" PRId64, *(const int64_t *)field); break;
    }
}

/* Reads the first `count` words at l->path; what is not there is taken from `base`, or from the table's defaults. */
static bool load_words(const struct loading *l, const struct scheme_words *base, size_t count, struct scheme_words *out)
{
    struct config_option options[WORDS];
    struct buffer defaults[WORDS];
    memcpy(options, scheme_word_options, sizeof options);
    for (size_t i = 0; i < WORDS; i++) {
        buffer_init(&defaults[i], 4096);
        if (base) {
            write_value(&options[i], base, &defaults[i]);
            options[i].default_text = buffer_cstr(&defaults[i]);
        }
    }
    bool good = config_load(l->file, l->path, options, count, out, l->report);
    for (size_t i = 0; i < WORDS; i++)
        buffer_close(&defaults[i]);
    return good;
}

/* ---- templates ---- */

static void compile(const struct loading *l, const char *word, struct bytes text, unsigned allowed, struct template *t)
{
    struct error error = {0};
    if (!template_init(t, text, allowed, &error)) fault(l, word, error.text);
}

/* `signed` as two templates around {body}. */
static void compile_signed(const struct loading *l, struct scheme_form *f)
{
    static const char token[] = "{body}";
    struct bytes text = bytes_of(f->words.signed_text), after = {NULL, 0};
    const char *at = strstr(f->words.signed_text, token);
    f->signs_body = at != NULL;
    if (at) {
        after = bytes_of(at + strlen(token));
        text.size = (size_t)(at - f->words.signed_text);
        if (strstr(at + 1, token)) fault(l, "signed", "holds {body} twice");
    }
    compile(l, "signed", text, TEMPLATE_SIGNED, &f->before);
    compile(l, "signed", after, TEMPLATE_SIGNED, &f->after);
    f->signs_key = template_has(&f->before, TEMPLATE_KEY) || template_has(&f->after, TEMPLATE_KEY);
}

static void guard_headers(struct scheme *s, const struct template *t)
{
    for (size_t i = 0; i < t->count; i++) {
        const struct template_part *part = &t->parts[i];
        if (!part->has_token || part->token != TEMPLATE_HEADER) continue;
        bool known = s->guarded_count == SCHEME_GUARDED_MAX;
        for (size_t k = 0; k < s->guarded_count && !known; k++)
            known = text_equal_ignore_case(bytes_of(s->guarded[k]), bytes_of(part->argument));
        if (!known) s->guarded[s->guarded_count++] = part->argument;
    }
}

static void add_identity_headers(struct scheme *s, const struct template *t, size_t *count)
{
    for (size_t i = 0; i < t->count; i++) {
        const struct template_part *part = &t->parts[i];
        if (!part->has_token || part->token != TEMPLATE_HEADER) continue;
        bool known = false;
        for (size_t k = 0; k < *count && !known; k++)
            known = text_equal_ignore_case(bytes_of(s->identity_headers[k]), bytes_of(part->argument));
        if (!known) s->identity_headers[(*count)++] = part->argument;
    }
}

static void compile_templates(const struct loading *l, struct scheme *s)
{
    const struct scheme_words *w = &s->forms[0].words;
    size_t identities = 0;
    compile(l, "timestamp", bytes_of(w->timestamp), TEMPLATE_TIME, &s->timestamp);
    compile(l, "delivery_id", bytes_of(w->delivery_id), TEMPLATE_IDENTITY, &s->delivery_id);
    compile(l, "event_type", bytes_of(w->event_type), TEMPLATE_IDENTITY, &s->event_type);
    for (size_t i = 0; i < s->form_count; i++) {
        compile_signed(l, &s->forms[i]);
        guard_headers(s, &s->forms[i].before);
        guard_headers(s, &s->forms[i].after);
    }
    guard_headers(s, &s->timestamp);
    guard_headers(s, &s->delivery_id);
    add_identity_headers(s, &s->delivery_id, &identities);
    add_identity_headers(s, &s->event_type, &identities);
}

/* ---- what one row of the table can't say by itself ---- */

/* "X-DocuSign-Signature-#": a header's name with one '#' that is followed by nothing. */
static bool is_numbered_name(const char *name)
{
    const char *number = strchr(name, '#');
    return number && number > name && number[1] == 0;
}

static void check_signature_header(const struct loading *l, const struct scheme *s)
{
    const struct scheme_words *w = &s->forms[0].words;
    bool in_body = scheme_algorithm_of(&s->forms[0])->in_body;
    if (in_body && (*w->signature_header || *w->signature_query))
        fault(l, "signature_header", "must not stand here: this algorithm finds the signature in the body");
    if (in_body) return;
    if (!*w->signature_header) {
        fault(l, "signature_header", "is required");
        return;
    }
    if (!template_is_header_name(bytes_of(w->signature_header)) ||
        (strchr(w->signature_header, '#') && !is_numbered_name(w->signature_header)))
        fault(l, "signature_header", "is not a header's name (a # may stand at its end, for 1 to 16)");
    for (const char *const *name = s->identity_headers; *name; name++)
        if (text_equal_ignore_case(bytes_of(*name), bytes_of(w->signature_header)))
            fault(l, "signature_header", "must not name the delivery or the event: it would stand in the topic");
}

static void check_tags(const struct loading *l, const struct scheme_form *f)
{
    const struct scheme_words *w = &f->words;
    if (*w->version_tag && strchr(w->version_tag, *w->tag_separator))
        fault(l, "version_tag", "must not hold the tag_separator");
    if (*w->list_separator && *w->version_tag && strchr(w->version_tag, *w->list_separator))
        fault(l, "version_tag", "must not hold the list_separator");
}

static void check_algorithm(const struct loading *l, const struct scheme_form *f)
{
    const struct scheme_words *w = &f->words;
    bool is_public = scheme_algorithm_of(f)->key == MECHANISM_PUBLIC;
    if (w->algorithm == ALGORITHM_SHA256 && !f->signs_key)
        fault(l, "signed", "needs {key} with sha256: without it anybody can make the digest");
    if (w->algorithm != ALGORITHM_SHA256 && f->signs_key) fault(l, "signed", "holds {key}, which only sha256 needs");
    if (w->encoding == ENCODING_TEXT && w->algorithm != ALGORITHM_EQUAL && w->algorithm != ALGORITHM_CLIENT_STATE)
        fault(l, "encoding", "is text with algorithm \"equal\" only");
    if (w->key_encoding == KEY_SPKI && !is_public)
        fault(l, "key_encoding", "base64-spki is a public key: it needs ed25519 or ecdsa-p256-sha256");
    if (w->algorithm == ALGORITHM_EQUAL && w->key_encoding != KEY_TEXT)
        fault(l, "key_encoding", "is text with algorithm \"equal\"");
}

/* A limit that nothing is measured against would look like a protection. */
static void check_tolerance(const struct loading *l, const struct scheme *s)
{
    char path[320];
    snprintf(path, sizeof path, "%s.tolerance", l->path);
    if (s->timestamp.count == 0 && config_has(l->file, path))
        fault(l, "tolerance", "means nothing: the scheme has no timestamp");
}

static void check_words(const struct loading *l, const struct scheme *s)
{
    const struct scheme_words *w = &s->forms[0].words;
    check_signature_header(l, s);
    check_tolerance(l, s);
    check_tags(l, &s->forms[0]);
    check_algorithm(l, &s->forms[0]);
    if (s->timestamp.count > 0 &&
        (s->timestamp.count != 1 || *s->timestamp.parts[0].literal || !s->timestamp.parts[0].has_token))
        fault(l, "timestamp", "is one token and nothing else");
    for (size_t i = 0; i < s->form_count; i++)
        if (s->timestamp.count == 0 && (template_has(&s->forms[i].before, TEMPLATE_TIMESTAMP) ||
                                        template_has(&s->forms[i].after, TEMPLATE_TIMESTAMP)))
            fault(l, "signed", "holds {timestamp}, but there is no timestamp");
    if (template_has(&s->timestamp, TEMPLATE_BODY) && template_has(&s->forms[0].before, TEMPLATE_TIMESTAMP))
        fault(l, "signed", "can't hold a {timestamp} that stands in the body");
    if (w->response_status == 201) fault(l, "response_status", "must be 200 or 202");
    if (*w->delivery_id && !template_has_tokens(&s->delivery_id))
        fault(l, "delivery_id", "must hold a token: every delivery would have the same id");
    for (size_t i = 0; *w->signature_query && i < s->delivery_id.count; i++)
        if (s->delivery_id.parts[i].has_token && s->delivery_id.parts[i].token == TEMPLATE_QUERY &&
            strcmp(s->delivery_id.parts[i].argument, w->signature_query) == 0)
            fault(l, "signature_query", "must not name the delivery: it would stand in the topic");
}

static void read_handshakes(const struct loading *l, struct scheme *s)
{
    const struct config_list *kinds = &s->forms[0].words.handshake;
    for (size_t i = 0; i < kinds->count; i++) {
        bool known = strcmp(kinds->items[i], "none") == 0;
        for (int k = 0; k < HANDSHAKES && !known; k++) {
            if (strcmp(kinds->items[i], handshake_names[k]) != 0) continue;
            s->handshakes |= 1U << k;
            known = true;
        }
        if (!known) fault(l, "handshake", "names a kind that there is not");
    }
}

/* ---- one scheme ---- */

static void load_variant(const struct loading *l, struct scheme *s, const struct scheme *base)
{
    char path[320];
    snprintf(path, sizeof path, "%s.variant", l->path);
    bool given = config_has(l->file, path);
    if (!given && !(base && base->form_count > 1)) return;
    struct loading v = {l->file, l->report, path};
    struct scheme_form *f = &s->forms[1];
    /* A variant that a trigger inherits stays what it is; its own words stand over the scheme's. */
    const struct scheme_words *under = given ? &s->forms[0].words : &base->forms[1].words;
    s->form_count = 2;
    if (!load_words(&v, under, OWN_WORDS, &f->words)) return;
    if (!*f->words.key_prefix || strcmp(f->words.key_prefix, s->forms[0].words.key_prefix) == 0)
        fault(&v, "key_prefix", "must say, with a text of its own, which secrets are of this kind");
    if (scheme_algorithm_of(f)->mechanism == MECHANISM_PROOFS)
        fault(&v, "algorithm", "is none that a variant can have");
}

static void check_variant(const struct loading *l, const struct scheme *s)
{
    char path[320];
    snprintf(path, sizeof path, "%s.variant", l->path);
    struct loading v = {l->file, l->report, path};
    if (s->form_count < 2) return;
    check_tags(&v, &s->forms[1]);
    check_algorithm(&v, &s->forms[1]);
}

bool scheme_load(struct scheme *s, const struct scheme *base, const struct scheme_place *place)
{
    int before = place->report->problems;
    struct loading l = {place->file, place->report, place->path};
    s->form_count = 1;
    if (!load_words(&l, base ? &base->forms[0].words : NULL, place->in_set ? WORDS : OWN_WORDS, &s->forms[0].words))
        return false;
    load_variant(&l, s, base);
    compile_templates(&l, s);
    s->numbered = strchr(s->forms[0].words.signature_header, '#') != NULL;
    read_handshakes(&l, s);
    check_words(&l, s);
    check_variant(&l, s);
    return place->report->problems == before;
}

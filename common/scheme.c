/* scheme.c: schemes from configuration; the delivery's id and type.
 * SPDX-License-Identifier: Apache-2.0 */
#include "scheme.h"
#include "config.h"
#include "scheme_words.h"
#include "text.h"
#include <stdlib.h>
#include <string.h>

enum { IDENTITY_SIZE_MAX = 256, SCHEMES_MAX = 256 };
#define RESERVED_NAME "custom" /* what a scheme spelled out in a trigger is called in a workflow_id */

#define WORD(field) offsetof(struct scheme_words, field)
static const struct config_option words[] = {
    {.name = "signature_header",
     .kind = CONFIG_TEXT,
     .offset = WORD(signature_header),
     .min = "1",
     .max = "128",
     .help = "header that carries the signature"},
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
     .choices = "hmac-sha256",
     .help = "how the signature is made"},
    {.name = "encoding",
     .kind = CONFIG_CHOICE,
     .offset = WORD(encoding),
     .default_text = "hex",
     .choices = "hex",
     .help = "how the signature is written"},
    {.name = "signed",
     .kind = CONFIG_TEXT,
     .offset = WORD(signed_text),
     .default_text = "{body}",
     .help = "what is signed; only {body} so far"},
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
};
enum { WORDS = sizeof words / sizeof words[0] };

struct scheme_set {
    struct scheme *schemes;
    size_t count;
};

static void scheme_close(struct scheme *s)
{
    template_close(&s->delivery_id);
    template_close(&s->event_type);
    config_free(words, WORDS, &s->words);
    free(s->name);
}

void scheme_set_free(struct scheme_set *set)
{
    if (!set) return;
    for (size_t i = 0; i < set->count; i++)
        scheme_close(&set->schemes[i]);
    free(set->schemes);
    free(set);
}

/* One scheme on its way in: where it stands and where its faults go. */
struct loading {
    struct config_file *file;
    struct config_report *report;
    char path[256]; /* "schemes.github" */
};

static void fault(const struct loading *l, const char *word, const char *sentence)
{
    char at[512];
    snprintf(at, sizeof at, "%s.%s", l->path, word);
    int line = config_line(l->file, at);
    if (line == 0) line = config_line(l->file, l->path);
    config_report_add(l->report, config_name(l->file), line, "%s: %s", at, sentence);
}

static void compile(const struct loading *l, const char *word, const char *text, struct template *t)
{
    struct error error = {0};
    if (!template_init(t, text, &error)) fault(l, word, error.text);
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

/* What one row of the table can't say by itself. */
static void check_words(const struct loading *l, const struct scheme *s)
{
    const struct scheme_words *w = &s->words;
    if (!template_is_header_name(bytes_of(w->signature_header)) || strchr(w->signature_header, '#'))
        fault(l, "signature_header", "is not a header's name");
    if (strcmp(w->signed_text, "{body}") != 0) fault(l, "signed", "only \"{body}\" can be signed");
    if (w->response_status == 201) fault(l, "response_status", "must be 200 or 202");
    if (*w->delivery_id && !template_has_tokens(&s->delivery_id))
        fault(l, "delivery_id", "must hold a token: every delivery would have the same id");
    if (*w->version_tag && strchr(w->version_tag, *w->tag_separator))
        fault(l, "version_tag", "must not hold the tag_separator");
    if (*w->list_separator && *w->version_tag && strchr(w->version_tag, *w->list_separator))
        fault(l, "version_tag", "must not hold the list_separator");
    for (const char *const *name = s->identity_headers; *name; name++)
        if (text_equal_ignore_case(bytes_of(*name), bytes_of(w->signature_header)))
            fault(l, "signature_header", "must not name the delivery or the event: it would stand in the topic");
}

static void load_scheme(struct loading *l, struct scheme *s)
{
    if (!config_load(l->file, l->path, words, WORDS, &s->words, l->report)) return;
    compile(l, "delivery_id", s->words.delivery_id, &s->delivery_id);
    compile(l, "event_type", s->words.event_type, &s->event_type);
    size_t count = 0;
    add_identity_headers(s, &s->delivery_id, &count);
    add_identity_headers(s, &s->event_type, &count);
    check_words(l, s);
}

static bool load_schemes(struct scheme_set *set, struct config_file *file, struct config_report *report)
{
    size_t count = config_count(file, "schemes");
    if (count == 0 || count > SCHEMES_MAX) {
        config_report_add(report, config_name(file), 0, "'schemes' must be a group of 1 to %d schemes", SCHEMES_MAX);
        return false;
    }
    set->schemes = calloc(count, sizeof *set->schemes);
    if (!set->schemes) return false;
    for (size_t i = 0; i < count; i++) {
        const char *name = config_child(file, "schemes", i);
        struct scheme *s = &set->schemes[set->count++];
        struct loading l = {.file = file, .report = report};
        if (!name || (size_t)snprintf(l.path, sizeof l.path, "schemes.%s", name) >= sizeof l.path) return false;
        s->name = bytes_dup(bytes_of(name));
        if (!s->name) return false;
        if (strcmp(name, RESERVED_NAME) == 0)
            config_report_add(report, config_name(file), config_line(file, l.path), "%s: the name is reserved", l.path);
        load_scheme(&l, s);
    }
    config_reject_unknown(file, report);
    return report->problems == 0;
}

static bool load_text(struct scheme_set *set, const char *text, struct config_report *report)
{
    struct config_file *file = config_parse("providers.cfg", bytes_of(text), report);
    bool good = file && load_schemes(set, file, report);
    config_close(file);
    return good;
}

struct scheme_set *scheme_set_load(const char *text, struct error *error)
{
    struct config_report report;
    config_report_init(&report);
    struct scheme_set *set = calloc(1, sizeof *set);
    bool good = set && load_text(set, text, &report);
    if (!good) {
        const char *lines = buffer_cstr(&report.text);
        if (report.problems == 0)
            error_set(error, ERROR_MEMORY, "no memory for the schemes");
        else
            error_set(error, ERROR_INVALID, "%.*s", (int)strcspn(lines, "\n"), lines);
        scheme_set_free(set);
        set = NULL;
    }
    config_report_close(&report);
    return set;
}

const struct scheme *scheme_find(const struct scheme_set *set, const char *name)
{
    for (size_t i = 0; i < set->count; i++)
        if (strcmp(set->schemes[i].name, name) == 0) return &set->schemes[i];
    return NULL;
}

const char *scheme_name(const struct scheme *s)
{
    return s->name;
}

int scheme_response_status(const struct scheme *s)
{
    return (int)s->words.response_status;
}

int64_t scheme_deadline_ms(const struct scheme *s)
{
    return s->words.deadline_ms;
}

const char *scheme_signature_header(const struct scheme *s)
{
    return s->words.signature_header;
}

int64_t scheme_redelivery_s(const struct scheme *s)
{
    return s->words.redelivery_ms / 1000;
}

const char *const *scheme_identity_headers(const struct scheme *s)
{
    return s->identity_headers;
}

static struct template_source source_of(struct scheme_headers headers, struct bytes body)
{
    return (struct template_source){.find = headers.find, .ctx = headers.ctx, .body = body};
}

static bool is_printable_ascii(struct bytes text)
{
    for (size_t i = 0; i < text.size; i++)
        if (text.data[i] < 0x20 || text.data[i] > 0x7e) return false;
    return true;
}

/* The buffer is empty after a refusal, so that nobody goes on with half an id. */
static bool refuse(struct buffer *out, struct error *error, const char *what)
{
    buffer_clear(out);
    return error_context(error, "%s", what);
}

bool scheme_delivery_id(const struct scheme *s, struct scheme_headers headers, struct bytes body, struct buffer *out,
                        struct error *error)
{
    struct template_source source = source_of(headers, body);
    bool filled;
    buffer_clear(out);
    if (!template_has_tokens(&s->delivery_id)) return true;
    if (!template_fill(&s->delivery_id, &source, TEMPLATE_WHOLE, out, &filled, error))
        return refuse(out, error, "delivery id");
    struct bytes id = buffer_view(out);
    if (!filled || (id.size > 0 && id.size <= IDENTITY_SIZE_MAX && is_printable_ascii(id))) return true;
    error_set(error, ERROR_INVALID, "must be 1 to %d printable ASCII characters", IDENTITY_SIZE_MAX);
    return refuse(out, error, "delivery id");
}

/* CloudEvents: a string without control characters. */
static bool is_plain_text(struct bytes text)
{
    for (size_t i = 0; i < text.size; i++)
        if (text.data[i] < 0x20 || text.data[i] == 0x7f) return false;
    return text_is_utf8(text);
}

bool scheme_event_type(const struct scheme *s, struct scheme_headers headers, struct bytes body, struct buffer *out,
                       struct error *error)
{
    struct template_source source = source_of(headers, body);
    bool filled = false;
    buffer_clear(out);
    if (s->event_type.count > 0 && !template_fill(&s->event_type, &source, TEMPLATE_PARTS, out, &filled, error))
        return refuse(out, error, "event type");
    if (!filled) buffer_text(out, "drawbridge.webhook");
    struct bytes type = buffer_view(out);
    if (buffer_ok(out) && type.size <= IDENTITY_SIZE_MAX && is_plain_text(type)) return true;
    error_set(error, ERROR_INVALID, "must be 1 to %d bytes of UTF-8 without control characters", IDENTITY_SIZE_MAX);
    return refuse(out, error, "event type");
}

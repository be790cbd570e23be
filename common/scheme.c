/* scheme.c: sets of schemes, what a scheme says about itself, the delivery's id and type.
 * SPDX-License-Identifier: Apache-2.0 */
#include "scheme_load.h"
#include "text.h"
#include <stdlib.h>

enum { IDENTITY_SIZE_MAX = 256, SCHEMES_MAX = 256 };
#define RESERVED_NAME "custom" /* what a scheme spelled out in a trigger is called in a workflow_id */

struct scheme_set {
    struct scheme *schemes[SCHEMES_MAX]; /* their addresses stay when others are added */
    size_t count;
};

void scheme_free(struct scheme *s)
{
    if (!s) return;
    scheme_close(s);
    free(s);
}

void scheme_set_free(struct scheme_set *set)
{
    if (!set) return;
    for (size_t i = 0; i < set->count; i++)
        scheme_free(set->schemes[i]);
    free(set);
}

static struct scheme *scheme_named(const char *name, const struct scheme *base, const struct scheme_place *place)
{
    struct scheme *s = calloc(1, sizeof *s);
    if (s) s->name = bytes_dup(bytes_of(name));
    if (!s || !s->name)
        config_report_add(place->report, config_name(place->file), 0, "%s: no memory for a scheme", place->path);
    else if (scheme_load(s, base, place))
        return s;
    scheme_free(s);
    return NULL;
}

struct scheme *scheme_new(const struct scheme *base, struct config_file *file, const char *path,
                          struct config_report *report)
{
    const struct scheme_place place = {.file = file, .report = report, .path = path};
    return scheme_named(base ? base->name : RESERVED_NAME, base, &place);
}

bool scheme_has_words(struct config_file *file, const char *path)
{
    char at[512];
    bool found = false;
    for (size_t i = 0; i <= scheme_word_count && !found; i++) {
        const char *word = i < scheme_word_count ? scheme_word_options[i].name : "variant";
        found = (size_t)snprintf(at, sizeof at, "%s.%s", path, word) < sizeof at && config_has(file, at);
    }
    return found;
}

static bool check_name(const struct scheme_set *set, const char *name, const struct scheme_place *place)
{
    int line = config_line(place->file, place->path);
    if (strcmp(name, RESERVED_NAME) == 0 || strcmp(name, "none") == 0)
        config_report_add(place->report, config_name(place->file), line, "%s: the name is reserved", place->path);
    else if (scheme_find(set, name))
        config_report_add(place->report, config_name(place->file), line, "%s: there is a scheme '%s' already",
                          place->path, name);
    else
        return true;
    return false;
}

static void add_scheme(struct scheme_set *set, const char *name, const struct scheme_place *place)
{
    if (!check_name(set, name, place)) return;
    struct scheme *s = scheme_named(name, NULL, place);
    if (!s) return;
    const struct config_list *aliases = &s->forms[0].words.aliases;
    bool good = true;
    for (size_t i = 0; i < aliases->count; i++)
        good = check_name(set, aliases->items[i], place) && good;
    if (good)
        set->schemes[set->count++] = s;
    else
        scheme_free(s);
}

bool scheme_set_add(struct scheme_set *set, struct config_file *file, struct config_report *report)
{
    int before = report->problems;
    size_t count = config_count(file, "schemes");
    if (count == 0 || count + set->count > SCHEMES_MAX)
        config_report_add(report, config_name(file), 0, "'schemes' must be a group of 1 to %d schemes", SCHEMES_MAX);
    for (size_t i = 0; i < count && set->count < SCHEMES_MAX; i++) {
        char path[256];
        const char *name = config_child(file, "schemes", i);
        if (!name || (size_t)snprintf(path, sizeof path, "schemes.%s", name) >= sizeof path) {
            config_report_add(report, config_name(file), 0, "'schemes' must be a group, its names not too long");
            break;
        }
        add_scheme(set, name, &(struct scheme_place){file, report, path, .in_set = true});
    }
    config_reject_unknown(file, report);
    return report->problems == before;
}

static bool load_text(struct scheme_set *set, const char *text, struct config_report *report)
{
    struct config_file *file = config_parse("providers.cfg", bytes_of(text), report);
    bool good = file && scheme_set_add(set, file, report);
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

static bool is_called(const struct scheme *s, const char *name)
{
    const struct config_list *aliases = &s->forms[0].words.aliases;
    bool called = strcmp(s->name, name) == 0;
    for (size_t i = 0; i < aliases->count && !called; i++)
        called = strcmp(aliases->items[i], name) == 0;
    return called;
}

const struct scheme *scheme_find(const struct scheme_set *set, const char *name)
{
    for (size_t i = 0; i < set->count; i++)
        if (is_called(set->schemes[i], name)) return set->schemes[i];
    return NULL;
}

const char *scheme_name_at(const struct scheme_set *set, size_t index)
{
    return index < set->count ? set->schemes[index]->name : NULL;
}

const char *scheme_name(const struct scheme *s)
{
    return s->name;
}

int scheme_response_status(const struct scheme *s)
{
    return (int)s->forms[0].words.response_status;
}

int64_t scheme_deadline_ms(const struct scheme *s)
{
    return s->forms[0].words.deadline_ms;
}

int64_t scheme_redelivery_s(const struct scheme *s)
{
    return s->forms[0].words.redelivery_ms / 1000;
}

const char *const *scheme_identity_headers(const struct scheme *s)
{
    return s->identity_headers;
}

unsigned scheme_handshakes(const struct scheme *s)
{
    return s->handshakes;
}

bool scheme_needs_body(const struct scheme *s)
{
    bool needs = template_has(&s->timestamp, TEMPLATE_BODY);
    for (size_t i = 0; i < s->form_count; i++) {
        enum scheme_mechanism mechanism = scheme_algorithm_of(&s->forms[i])->mechanism;
        needs = needs || mechanism == MECHANISM_PUBLIC || mechanism == MECHANISM_PROOFS;
    }
    return needs;
}

const char *scheme_signature_repeats(const struct scheme *s)
{
    const char *why = NULL;
    for (size_t i = 0; i < s->form_count && !why; i++)
        why = scheme_algorithm_of(&s->forms[i])->repeats;
    return why;
}

bool scheme_is_sns(const struct scheme *s)
{
    return s->forms[0].words.algorithm == ALGORITHM_AWS_SNS;
}

bool scheme_signs_url(const struct scheme *s)
{
    bool signs = s->forms[0].words.algorithm == ALGORITHM_TWILIO;
    for (size_t i = 0; i < s->form_count; i++) {
        const struct template *parts[] = {&s->forms[i].before, &s->forms[i].after};
        for (size_t k = 0; k < 2; k++)
            signs = signs || template_has(parts[k], TEMPLATE_URL) || template_has(parts[k], TEMPLATE_URL_DECODED);
    }
    return signs;
}

static struct template_source source_of(const struct scheme_request *request, struct bytes body)
{
    return (struct template_source){.find = request->find,
                                    .ctx = request->ctx,
                                    .method = request->method,
                                    .url = request->url,
                                    .query = request->query,
                                    .body = body,
                                    .members = request->members};
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

bool scheme_delivery_id(const struct scheme *s, const struct scheme_request *request, struct bytes body,
                        struct buffer *out, struct error *error)
{
    struct template_source source = source_of(request, body);
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

bool scheme_event_type(const struct scheme *s, const struct scheme_request *request, struct bytes body,
                       struct buffer *out, struct error *error)
{
    struct template_source source = source_of(request, body);
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

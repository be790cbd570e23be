/* trigger_source.c: triggers from a directory of files, all of them into a new snapshot or none; or one from a record.
 * SPDX-License-Identifier: Apache-2.0 */
#include "ingress.h"
#include "secret_record.h"
#include "text.h"
#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { FILES_MAX = 10000, JSON_MAX = 64 * 1024 };

#define AT(field) offsetof(struct trigger_options, field)

const struct config_option trigger_file_options[] = {
    {.name = "agent_id",
     .kind = CONFIG_TEXT,
     .offset = AT(agent_id),
     .min = "1",
     .max = "128",
     .help = "the agent that a delivery starts: letters, digits, '.', '_', '~', '-'"},
    {.name = "event_source",
     .kind = CONFIG_TEXT,
     .offset = AT(event_source),
     .default_text = "",
     .help = "who sends; without a scheme its host must equal the request's Origin"},
    {.name = "description",
     .kind = CONFIG_TEXT,
     .offset = AT(description),
     .default_text = "External event",
     .help = "what the event means; the agent reads it"},
    {.name = "enabled",
     .kind = CONFIG_BOOL,
     .offset = AT(enabled),
     .default_text = "true",
     .help = "false: deliveries get 403"},
    {.name = "allowed_ips",
     .kind = CONFIG_TEXT_LIST,
     .offset = AT(allowed_ips),
     .default_text = "",
     .help = "addresses or networks (CIDR) that may deliver"},
    {.name = "secret",
     .kind = CONFIG_TEXT,
     .offset = AT(secret),
     .default_text = "",
     .help = "alone it means verify = { scheme = \"github\"; secrets = [secret]; }"},
    {.name = "metadata",
     .kind = CONFIG_TEXT_MAP,
     .offset = AT(metadata),
     .default_text = "",
     .help = "texts that travel with each event"},
    {.name = "check_origin",
     .kind = CONFIG_BOOL,
     .offset = AT(check_origin),
     .default_text = "false",
     .help = "compare Origin with event_source although there is a scheme"},
    {.name = "source_match",
     .kind = CONFIG_CHOICE,
     .offset = AT(source_match),
     .default_text = "any",
     .choices = "any|all",
     .help = "without a scheme: is Origin or address enough, or are both needed"},
    {.name = "content_types",
     .kind = CONFIG_TEXT_LIST,
     .offset = AT(content_types),
     .default_text = "application/json,*+json,application/x-www-form-urlencoded",
     .help = "media types that may come in; a star stands for the beginning or the end"},
    {.name = "body_max",
     .kind = CONFIG_SIZE,
     .offset = AT(body_max),
     .default_text = "0",
     .min = "0",
     .max = "7MiB",
     .help = "largest body for this agent; 0: http.body_max"},
    {.name = "dedupe",
     .kind = CONFIG_CHOICE,
     .offset = AT(dedupe),
     .default_text = "id",
     .choices = "id|signature|body",
     .help = "what makes two deliveries the same"},
    {.name = "response_status",
     .kind = CONFIG_INT,
     .offset = AT(response_status),
     .default_text = "0",
     .min = "0",
     .max = "202",
     .help = "200 or 202 for accepted deliveries; 0: the scheme's"},
    {.name = "deadline",
     .kind = CONFIG_DURATION,
     .offset = AT(deadline_ms),
     .default_text = "0",
     .min = "0",
     .max = "5m",
     .help = "how long the sender waits; 0: the scheme's, or publish.deadline"},
    {.name = "public_url",
     .kind = CONFIG_TEXT,
     .offset = AT(public_url),
     .default_text = "",
     .help = "in place of http.public_url"},
    {.name = "events",
     .kind = CONFIG_TEXT_LIST,
     .offset = AT(events),
     .default_text = "",
     .help = "event types that are wanted, all others are ignored; '*' is any text, '!' in front: not wanted"},
    {.name = "rate",
     .kind = CONFIG_TEXT,
     .offset = AT(rate),
     .default_text = "",
     .help = "deliveries that may come in, \"100/s\", \"6000/min\", \"50/h\"; beyond it 429; empty: no limit"},
    {.name = "burst",
     .kind = CONFIG_INT,
     .offset = AT(burst),
     .default_text = "0",
     .min = "0",
     .max = "1000000",
     .help = "how many of them may come at once; 0: the rate's whole amount"},
    {.name = "handshake",
     .kind = CONFIG_TEXT_LIST,
     .offset = AT(handshake),
     .default_text = "",
     .help = "kinds of handshakes that are answered besides the scheme's"},
    {.name = "allowed_origins",
     .kind = CONFIG_TEXT_LIST,
     .offset = AT(allowed_origins),
     .default_text = "",
     .help = "WebHook-Request-Origin names that cloudevents-options consents to; \"*\": any"},
    {.name = "spool",
     .kind = CONFIG_BOOL,
     .offset = AT(spool),
     .default_text = "false",
     .help = "events go to the spool while Kafka is away; not said: as spool.default says"},
};
const size_t trigger_file_option_count = sizeof trigger_file_options / sizeof trigger_file_options[0];

void trigger_source_help(FILE *out)
{
    config_print_help(out, "triggers.d/*.cfg: triggers = ( { ... }, ... );", trigger_file_options,
                      trigger_file_option_count);
    trigger_verify_help(out);
}

void trigger_problem(const struct trigger_loading *l, const char *option, const char *format, ...)
{
    char path[128], sentence[512];
    snprintf(path, sizeof path, "%s.%s", l->path, option);
    int line = config_line(l->file, path);
    va_list args;
    va_start(args, format);
    vsnprintf(sentence, sizeof sentence, format, args);
    va_end(args);
    const char *id = l->trigger->options.agent_id;
    config_report_add(l->report, config_name(l->file), line > 0 ? line : config_line(l->file, l->path),
                      "trigger '%s': %s: %s", id ? id : "", option, sentence);
}

/* ---- the source ---- */

static void load_allowed(struct trigger_loading *l)
{
    struct trigger *t = l->trigger;
    const struct config_list *list = &t->options.allowed_ips;
    struct error error;
    t->allowed = calloc(list->count + 1, sizeof *t->allowed);
    if (!t->allowed) {
        trigger_problem(l, "allowed_ips", "no memory");
        return;
    }
    for (size_t i = 0; i < list->count; i++) {
        if (network_parse(bytes_of(list->items[i]), &t->allowed[t->source.allowed_count], &error))
            t->source.allowed_count++;
        else
            trigger_problem(l, "allowed_ips", "%s", error.text);
    }
    t->source.allowed = t->allowed;
}

/* Origin is a claim and nothing set is no check at all: on an address that others can reach such a trigger must be
 * meant.  A match of addresses is proof enough only where every way in asks for it. */
static void load_source(struct trigger_loading *l)
{
    struct trigger *t = l->trigger;
    const struct trigger_options *o = &t->options;
    load_allowed(l);
    t->source.signed_trigger = t->verifier != NULL;
    t->source.check_origin = o->check_origin;
    t->source.match_all = o->source_match == 1;
    t->source.origin_host = admission_host(bytes_of(o->event_source));
    if (o->check_origin && t->source.origin_host.size == 0)
        trigger_problem(l, "check_origin", "needs an event_source with a host");
    bool by_address = t->source.allowed_count > 0 && (t->source.match_all || t->source.origin_host.size == 0);
    if (!t->verifier && !by_address && !l->told && !l->settings->loopback)
        trigger_problem(
            l, "verify",
            "is missing: anybody could start this agent through %s; give it a scheme, or verify = \"none\" if that "
            "is meant",
            l->settings->listen);
}

/* ---- what is made once for all requests ---- */

/* RFC 3986: a URI begins with a scheme and holds visible ASCII only. */
static bool is_uri(struct bytes text)
{
    size_t i = 0;
    for (; i < text.size && text.data[i] != ':'; i++) {
        uint8_t c = text.data[i] | 0x20;
        bool letter = c >= 'a' && c <= 'z';
        if (!letter && (i == 0 || !strchr("0123456789+-.", text.data[i]))) return false;
    }
    if (i == 0 || i + 1 >= text.size) return false;
    for (; i < text.size; i++)
        if (text.data[i] <= 0x20 || text.data[i] >= 0x7f) return false;
    return true;
}

static void write_trigger_json(struct trigger *t, int64_t dedupe_s)
{
    const struct trigger_options *o = &t->options;
    struct json_writer w;
    json_writer_init(&w, &t->trigger_json);
    json_write_object(&w, NULL);
    json_write_cstr(&w, "event_source", o->event_source);
    json_write_cstr(&w, "description", o->description);
    json_write_object(&w, "metadata");
    for (size_t i = 0; i < o->metadata.count; i++)
        json_write_cstr(&w, o->metadata.items[i].name, o->metadata.items[i].value);
    json_write_object_end(&w);
    json_write_int(&w, "dedupe_s", dedupe_s);
    json_write_object_end(&w);
}

static void write_info_json(struct trigger *t)
{
    const struct trigger_options *o = &t->options;
    struct json_writer w;
    json_writer_init(&w, &t->info_json);
    json_write_object(&w, NULL);
    json_write_cstr(&w, "webhook_url", t->webhook_url);
    json_write_cstr(&w, "agent_id", o->agent_id);
    json_write_array(&w, "methods");
    json_write_cstr(&w, NULL, "POST");
    json_write_array_end(&w);
    json_write_cstr(&w, "content_type", "application/json");
    json_write_cstr(&w, "event_source", o->event_source);
    json_write_cstr(&w, "description", o->description);
    json_write_object_end(&w);
}

static bool make_identity(struct trigger *t, const struct scheme *scheme)
{
    const char *const *names = scheme_identity_headers(scheme);
    size_t count = 0;
    while (names[count])
        count++;
    t->identity = calloc(count + 1, sizeof *t->identity);
    if (!t->identity) return false;
    for (; t->identity_count < count; t->identity_count++) {
        struct trigger_identity *id = &t->identity[t->identity_count];
        id->request_name = names[t->identity_count];
        if (asprintf(&id->record_name, "http-%s", id->request_name) < 0) {
            id->record_name = NULL;
            return false;
        }
        for (char *c = id->record_name; *c; c++)
            if (*c >= 'A' && *c <= 'Z') *c = (char)(*c | 0x20);
    }
    return true;
}

static bool make_texts(struct trigger_loading *l)
{
    struct trigger *t = l->trigger;
    const struct trigger_options *o = &t->options;
    const struct scheme *scheme = t->verifier ? verifier_scheme(t->verifier) : NULL;
    if (o->public_url[0] && !settings_public_url(o->public_url))
        trigger_problem(l, "public_url", "'%s' is not an http or https URL", o->public_url);
    const char *url = o->public_url[0] ? o->public_url : l->settings->public_url;
    if (asprintf(&t->webhook_url, "%s%s/%s/webhook", url, l->settings->prefix, o->agent_id) < 0) t->webhook_url = NULL;
    if (is_uri(bytes_of(o->event_source)))
        t->ce_source = strdup(o->event_source);
    else if (asprintf(&t->ce_source, "/agents/%s/webhook", o->agent_id) < 0)
        t->ce_source = NULL;
    buffer_init(&t->trigger_json, JSON_MAX);
    buffer_init(&t->info_json, JSON_MAX);
    write_trigger_json(t, scheme ? scheme_redelivery_s(scheme) : 24 * 3600);
    write_info_json(t);
    return t->webhook_url && t->ce_source && (!scheme || make_identity(t, scheme));
}

static void load_spool(struct trigger_loading *l)
{
    char path[128];
    struct trigger *t = l->trigger;
    snprintf(path, sizeof path, "%s.spool", l->path);
    bool there = l->settings->spool_directory && l->settings->spool_directory[0];
    t->spool = there && (config_has(l->file, path) ? t->options.spool : l->settings->spool_default);
    if (t->options.spool && !there) trigger_problem(l, "spool", "needs spool.directory in the ingress's configuration");
}

static void load_answers(struct trigger_loading *l)
{
    struct trigger *t = l->trigger;
    const struct trigger_options *o = &t->options;
    const struct scheme *scheme = t->verifier ? verifier_scheme(t->verifier) : NULL;
    t->scheme_name = bytes_of(scheme ? scheme_name(scheme) : "none");
    t->body_max = o->body_max > 0 ? o->body_max : l->settings->body_max;
    if (t->body_max > l->settings->body_max) trigger_problem(l, "body_max", "is over http.body_max");
    t->deadline_ms = o->deadline_ms > 0 ? o->deadline_ms : l->settings->publish_deadline_ms;
    /* The scheme knows the sender's patience; being told sooner is never wrong. */
    if (o->deadline_ms == 0 && scheme && scheme_deadline_ms(scheme) < t->deadline_ms)
        t->deadline_ms = scheme_deadline_ms(scheme);
    t->response_status = o->response_status > 0 ? (int)o->response_status : 202;
    if (o->response_status == 0 && scheme) t->response_status = scheme_response_status(scheme);
    if (t->response_status != 200 && t->response_status != 202) trigger_problem(l, "response_status", "is 200 or 202");
    if (o->dedupe == DEDUPE_SIGNATURE && !scheme) trigger_problem(l, "dedupe", "\"signature\" needs a scheme");
    const char *repeats = scheme ? scheme_signature_repeats(scheme) : NULL;
    if (o->dedupe == DEDUPE_SIGNATURE && repeats)
        trigger_problem(l, "dedupe", "\"signature\" can't tell deliveries of this scheme apart: %s", repeats);
    t->account = account_new();
    if (!t->account) trigger_problem(l, "agent_id", "no memory");
    struct error error;
    for (size_t i = 0; i < trigger_policy_count; i++)
        if (!trigger_policies[i].make(t, l, &error)) trigger_problem(l, trigger_policies[i].option, "%s", error.text);
}

/* ---- files ---- */

static struct trigger *load_trigger(struct trigger_loading *l)
{
    int before = l->report->problems;
    l->told = false;
    l->trigger = calloc(1, sizeof *l->trigger);
    if (!l->trigger) {
        config_report_add(l->report, config_name(l->file), 0, "no memory for a trigger");
        return NULL;
    }
    if (config_load(l->file, l->path, trigger_file_options, trigger_file_option_count, &l->trigger->options,
                    l->report)) {
        if (!text_is_agent_id(bytes_of(l->trigger->options.agent_id)))
            trigger_problem(l, "agent_id", "is not 1 to 128 of A-Z a-z 0-9 . _ ~ -");
        trigger_verify_load(l);
        load_source(l);
        load_answers(l);
        load_spool(l);
        if (!make_texts(l)) trigger_problem(l, "agent_id", "no memory");
        if (!buffer_ok(&l->trigger->trigger_json) || l->trigger->trigger_json.size > JSON_MAX / 2)
            trigger_problem(l, "metadata", "is over %d KiB", JSON_MAX / 2048);
    }
    l->trigger->references = 1;
    if (l->report->problems == before) return l->trigger;
    trigger_unref(l->trigger);
    return NULL;
}

static void load_file(struct trigger_loading *l, const char *path, struct trigger_set *set)
{
    struct stat status;
    l->file = config_open(path, l->report);
    if (!l->file) return;
    l->private_file = stat(path, &status) == 0 && (status.st_mode & 077) == 0;
    size_t count = config_count(l->file, "triggers");
    if (!config_has(l->file, "triggers"))
        config_report_add(l->report, path, 0, "has no list `triggers = ( {...}, ... );`");
    for (size_t i = 0; i < count; i++) {
        snprintf(l->path, sizeof l->path, "triggers.[%zu]", i);
        struct trigger *t = load_trigger(l);
        if (!t || trigger_set_add(set, t)) continue;
        trigger_problem(l, "agent_id", "has a trigger already, in this file or in another");
        trigger_unref(t);
    }
    config_reject_unknown(l->file, l->report);
    config_close(l->file);
}

static int is_trigger_file(const struct dirent *entry)
{
    size_t size = strlen(entry->d_name);
    return entry->d_name[0] != '.' && size > 4 && strcmp(entry->d_name + size - 4, ".cfg") == 0;
}

static void load_directory(struct trigger_loading *l, struct trigger_set *set)
{
    const char *directory = l->settings->trigger_directory;
    struct dirent **entries;
    int count = scandir(directory, &entries, is_trigger_file, alphasort);
    if (count < 0) {
        struct error error;
        error_set_errno(&error, errno, "triggers.directory: open '%s'", directory);
        config_report_add(l->report, directory, 0, "%s", error.text);
        return;
    }
    if (count > FILES_MAX) config_report_add(l->report, directory, 0, "holds more than %d files", FILES_MAX);
    for (int i = 0; i < count; i++) {
        char path[4096];
        int size = snprintf(path, sizeof path, "%s/%s", directory, entries[i]->d_name);
        if (size < 0 || (size_t)size >= sizeof path)
            config_report_add(l->report, directory, 0, "the path of '%s' is too long", entries[i]->d_name);
        else if (count <= FILES_MAX)
            load_file(l, path, set);
        free(entries[i]);
    }
    free(entries);
}

struct trigger_set *trigger_source_load(const struct settings *settings, const struct scheme_set *schemes,
                                        struct config_report *report)
{
    int before = report->problems;
    struct trigger_loading l = {.settings = settings, .schemes = schemes, .report = report};
    struct trigger_set *set = trigger_set_new();
    if (!set) {
        config_report_add(report, settings->trigger_directory, 0, "no memory for the triggers");
        return NULL;
    }
    load_directory(&l, set);
    if (report->problems == before) return set;
    trigger_set_unref(set);
    return NULL;
}

/* ---- a record ---- */

struct record_words {
    int64_t revision;
};
static const struct config_option record_options[] = {
    {.name = "revision",
     .kind = CONFIG_INT,
     .offset = offsetof(struct record_words, revision),
     .default_text = "0",
     .min = "0",
     .help = "of a record: higher than that of the record it replaces"},
};
static struct trigger *load_record(struct trigger_loading *l, const struct record *record)
{
    int before = l->report->problems;
    struct record_words words;
    if (!secret_record_digest(l->file, l->path, l->digest)) {
        config_report_add(l->report, config_name(l->file), 0, "no memory for a record");
        return NULL;
    }
    config_load(l->file, l->path, record_options, 1, &words, l->report);
    struct trigger *t = load_trigger(l);
    config_reject_unknown(l->file, l->report);
    if (!t) return NULL;
    t->revision = words.revision;
    if (!bytes_are(record->key, t->options.agent_id)) trigger_problem(l, "agent_id", "is not the record's key");
    if (l->report->problems == before) return t;
    trigger_unref(t);
    return NULL;
}

struct trigger *trigger_source_record(const struct settings *settings, const struct scheme_set *schemes,
                                      const char *name, const struct record *record, struct config_report *report)
{
    struct trigger_loading l = {
        .settings = settings, .schemes = schemes, .report = report, .record = true, .path = "trigger"};
    l.file = config_parse_json(name, l.path, record->value, report);
    if (!l.file) return NULL;
    struct trigger *t = load_record(&l, record);
    config_close(l.file);
    return t;
}

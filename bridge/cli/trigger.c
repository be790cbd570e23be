/* trigger.c: `drawbridge trigger`: the records of the triggers topic, which every ingress follows.
 * SPDX-License-Identifier: Apache-2.0 */
#include "trigger.h"
#include "clock.h"
#include "json.h"
#include "text.h"
#include <stddef.h>
#include <string.h>

struct trigger_settings {
    const char *key_file, *scheme, *secret, *description, *event_source, *url, *name, *verify_token;
    struct cli_list allowed_ips, metadata, assignments;
    int64_t overlap_ms;
    bool replace;
    int format;
};
enum { FORMAT_TEXT, FORMAT_JSON };

#define FIELD(f) .offset = offsetof(struct trigger_settings, f)
static const struct cli_option options[] = {
    {.name = "key-file",
     .letter = 'k',
     .kind = CLI_TEXT,
     FIELD(key_file),
     .argument = "FILE",
     .help = "keys that seal the secrets, the same as the ingresses' triggers.key_file (the default, with --config)"},
    {.name = "scheme",
     .letter = 's',
     .kind = CLI_TEXT,
     FIELD(scheme),
     .argument = "NAME",
     .default_text = "github",
     .help = "add: how the sender signs"},
    {.name = "secret",
     .kind = CLI_TEXT,
     FIELD(secret),
     .argument = "REF",
     .help = "add, rotate: the secret, as env:NAME or file:PATH; without it one is made and shown once"},
    {.name = "verify-token",
     .kind = CLI_TEXT,
     FIELD(verify_token),
     .argument = "REF",
     .help = "add, set: what Meta's subscription presents, as env:NAME or file:PATH"},
    {.name = "description",
     .letter = 'd',
     .kind = CLI_TEXT,
     FIELD(description),
     .argument = "TEXT",
     .help = "add, set: what the event means; the agent reads it"},
    {.name = "event-source", .kind = CLI_TEXT, FIELD(event_source), .argument = "URL", .help = "add, set: who sends"},
    {.name = "allow-ip",
     .kind = CLI_LIST,
     FIELD(allowed_ips),
     .argument = "CIDR",
     .help = "add, set: the sender must come from there as well (repeatable)"},
    {.name = "metadata",
     .letter = 'm',
     .kind = CLI_LIST,
     FIELD(metadata),
     .argument = "NAME=TEXT",
     .help = "add, set: travels with each event (repeatable)"},
    {.name = "set",
     .kind = CLI_LIST,
     FIELD(assignments),
     .argument = "NAME=VALUE",
     .help = "add, set: any other setting of a trigger (body_max=64KiB, verify.tolerance=60s); what reads as JSON is "
             "JSON; an empty value takes it out (repeatable)"},
    {.name = "name",
     .kind = CLI_TEXT,
     FIELD(name),
     .argument = "NAME",
     .default_text = "current",
     .help = "seal: the secret's name in that trigger"},
    {.name = "replace",
     .kind = CLI_FLAG,
     FIELD(replace),
     .help = "add: even if the agent has a trigger; nothing of it stays"},
    {.name = "overlap",
     .kind = CLI_DURATION,
     FIELD(overlap_ms),
     .argument = "TIME",
     .default_text = "24h",
     .min = 0,
     .max = INT64_C(400) * 24 * 3600 * 1000,
     .help = "rotate: the old secret is good for this long still"},
    {.name = "url",
     .letter = 'u',
     .kind = CLI_TEXT,
     FIELD(url),
     .argument = "URL",
     .help = "the ingress's public URL; default: http.public_url of --config"},
    {.name = "format",
     .kind = CLI_CHOICE,
     FIELD(format),
     .argument = "text|json",
     .choices = "text|json",
     .default_text = "text",
     .help = "ls: a table for people, or one JSON object a line"},
};

/* One call of the command on its way. */
struct work {
    struct cli *cli;
    const struct trigger_settings *settings;
    struct cli_kafka kafka;
    const char *agent_id; /* NULL where the verb takes none */
    const char *key_file; /* "" : none */
    struct keyring *keys; /* NULL: none */
    struct topic_records records;
    struct draft draft;
};

/* ---- steps ---- */

static bool need_keys(struct work *w, struct error *error)
{
    if (w->keys != NULL) return true;
    if (*w->key_file == '\0')
        return error_set(
            error, ERROR_INVALID,
            "say which keys seal: --key-file FILE, or --config with triggers.key_file; `drawbridge trigger "
            "keygen --key-file FILE` makes one");
    w->keys = keyring_load(w->key_file, error);
    return w->keys != NULL;
}

static void format_now(int64_t ahead_ms, char out[TEXT_TIME_SIZE])
{
    text_format_time((clock_wall_us() / 1000000 + ahead_ms / 1000) * 1000000, out);
}

/* What the ingress thinks of the record behind those that the agent has. */
static bool judge_draft(struct work *w, struct bytes text, struct error *error)
{
    struct topic_records own = {0};
    const struct bytes key = bytes_of(w->agent_id);
    bool good = true;
    for (size_t i = 0; good && i < w->records.count; i++) {
        const struct topic_record *r = &w->records.items[i];
        if (!bytes_equal((struct bytes){(const uint8_t *)r->key, r->key_size}, key)) continue;
        own.end = r->offset;
        good = topic_records_add(&own, key, (struct bytes){(const uint8_t *)r->value, r->value_size}) != NULL;
    }
    const struct topic_record *ours = good ? topic_records_add(&own, key, text) : NULL;
    good = ours != NULL || error_set(error, ERROR_MEMORY, "no memory for a trigger");
    good = good && trigger_judge(&w->cli->connection, &w->kafka, w->key_file, &own, error);
    if (good && (ours->verdict == NULL || strcmp(ours->verdict, "served") != 0))
        good = error_set(error, ERROR_INVALID, "nothing was written: %s",
                         ours->problem != NULL ? ours->problem : "the ingress does not say what it thinks of it");
    topic_records_close(&own);
    return good;
}

static bool write_draft(struct work *w, struct error *error)
{
    struct buffer text;
    const int64_t now_s = clock_wall_us() / 1000000;
    buffer_init(&text, DRAFT_RECORD_MAX);
    w->draft.revision = w->draft.revision >= now_s ? w->draft.revision + 1 : now_s;
    const bool good = draft_write(&w->draft, w->keys, &text, error) && judge_draft(w, buffer_view(&text), error) &&
                      topic_records_write(&w->kafka, w->agent_id, buffer_view(&text), w->records.end, error);
    buffer_close(&text);
    return good;
}

/* The agent's newest record, its secrets opened. */
static bool open_newest(struct work *w, struct error *error)
{
    const struct topic_record *newest = topic_records_newest(&w->records, w->agent_id);
    if (newest == NULL || newest->value == NULL)
        return error_set(error, ERROR_INVALID, "agent '%s' has no trigger in topic '%s'", w->agent_id,
                         w->kafka.topics.name[TOPIC_TRIGGERS]);
    return (draft_read(&w->draft, (struct bytes){(const uint8_t *)newest->value, newest->value_size}, error) &&
            draft_open(&w->draft, w->keys, error)) ||
           error_context(error, "the record of '%s' at offset %lld is bad (add --replace writes a new one)",
                         w->agent_id, (long long)newest->offset);
}

static bool metadata_set(struct work *w, struct error *error)
{
    const struct cli_list *list = &w->settings->metadata;
    struct buffer text;
    struct json_writer writer;
    buffer_init(&text, DRAFT_RECORD_MAX);
    json_writer_init(&writer, &text);
    json_write_object(&writer, NULL);
    bool good = true;
    for (size_t i = 0; good && i < list->count; i++) {
        char name[128];
        const char *equals = strchr(list->items[i], '=');
        good = equals != NULL && equals - list->items[i] < (ptrdiff_t)sizeof name;
        if (!good) break;
        snprintf(name, sizeof name, "%.*s", (int)(equals - list->items[i]), list->items[i]);
        json_write_cstr(&writer, name, equals + 1);
    }
    json_write_object_end(&writer);
    struct buffer assignment;
    buffer_init(&assignment, DRAFT_RECORD_MAX);
    buffer_format(&assignment, "metadata=%s", buffer_cstr(&text));
    good = (good || error_set(error, ERROR_INVALID, "--metadata needs NAME=TEXT")) &&
           draft_assign(&w->draft, buffer_cstr(&assignment), error);
    buffer_close(&assignment);
    buffer_close(&text);
    return good;
}

static bool apply_options(struct work *w, struct error *error)
{
    const struct trigger_settings *s = w->settings;
    if (s->description != NULL && !draft_text(&w->draft, "description", s->description, error)) return false;
    if (s->event_source != NULL && !draft_text(&w->draft, "event_source", s->event_source, error)) return false;
    if (s->allowed_ips.count > 0 && !draft_texts(&w->draft, "allowed_ips", &s->allowed_ips, error)) return false;
    if (s->metadata.count > 0 && !metadata_set(w, error)) return false;
    if (s->verify_token != NULL) {
        struct secret *token = secret_resolve(bytes_of(s->verify_token), false, error);
        if (token == NULL) return error_context(error, "--verify-token");
        draft_set_token(&w->draft, token);
    }
    for (size_t i = 0; i < s->assignments.count; i++)
        if (!draft_assign(&w->draft, s->assignments.items[i], error)) return false;
    return true;
}

static void write_url(const struct work *w, struct buffer *out)
{
    const char *base = w->settings->url != NULL ? w->settings->url : w->kafka.public_url;
    size_t size = strlen(base);
    while (size > 0 && base[size - 1] == '/')
        size--;
    buffer_append(out, base, size);
    buffer_format(out, "%s/%s/webhook", w->kafka.prefix, w->agent_id);
}

/* Puts a secret in front, writes the record, shows what is to be shown. */
static bool write_with_secret(struct work *w, bool first, struct error *error)
{
    char now[TEXT_TIME_SIZE];
    const struct guide *guide = guide_find(w->draft.scheme != NULL ? w->draft.scheme : "custom");
    struct secret *secret = guide_obtain_secret(guide, w->settings->secret, error);
    if (secret == NULL) return false;
    format_now(0, now);
    if (!draft_add_secret(&w->draft, secret, now, error) || !write_draft(w, error)) return false;
    struct buffer url;
    buffer_init(&url, 4096);
    write_url(w, &url);
    guide_show(guide, buffer_cstr(&url), w->settings->secret == NULL ? secret : NULL, first);
    buffer_close(&url);
    return true;
}

/* ---- verbs ---- */

static enum cli_exit do_add(struct work *w, struct error *error)
{
    const struct topic_record *newest = topic_records_newest(&w->records, w->agent_id);
    if (newest != NULL && newest->value != NULL && !w->settings->replace) {
        talk("agent '%s' has a trigger already: `rotate` gives it a new secret, `set` changes it, `add --replace` "
             "writes it anew",
             w->agent_id);
        return CLI_NO;
    }
    int64_t revision = 0;
    if (newest != NULL && newest->value != NULL &&
        draft_read(&w->draft, (struct bytes){(const uint8_t *)newest->value, newest->value_size}, NULL))
        revision = w->draft.revision;
    draft_close(&w->draft);
    if (!draft_begin(&w->draft, w->agent_id, w->settings->scheme, error)) return talk_error(error);
    w->draft.revision = revision;
    if (!apply_options(w, error) || !write_with_secret(w, true, error)) return talk_error(error);
    return CLI_OK;
}

static enum cli_exit do_rotate(struct work *w, struct error *error)
{
    char until[TEXT_TIME_SIZE];
    if (!open_newest(w, error)) return talk_error(error);
    struct draft *d = &w->draft;
    while (d->secret_count > 1)
        draft_drop_secret(d);
    if (d->secret_count == 0) {
        talk("the trigger of '%s' has no secret to rotate", w->agent_id);
        return CLI_NO;
    }
    format_now(w->settings->overlap_ms, until);
    if (w->settings->overlap_ms == 0)
        draft_drop_secret(d);
    else if (!draft_retire_secret(d, until, error))
        return talk_error(error);
    if (!write_with_secret(w, false, error)) return talk_error(error);
    if (w->settings->overlap_ms > 0)
        talk("the old secret is good until %s; give the new one to the sender before", until);
    return CLI_OK;
}

static enum cli_exit change(struct work *w, const char *assignment, struct error *error)
{
    if (!open_newest(w, error)) return talk_error(error);
    const bool good = assignment != NULL ? draft_assign(&w->draft, assignment, error) : apply_options(w, error);
    if (!good || !write_draft(w, error)) return talk_error(error);
    return CLI_OK;
}

static enum cli_exit do_set(struct work *w, struct error *error)
{
    return change(w, NULL, error);
}

static enum cli_exit do_enable(struct work *w, struct error *error)
{
    return change(w, "enabled=true", error);
}

static enum cli_exit do_disable(struct work *w, struct error *error)
{
    return change(w, "enabled=false", error);
}

static enum cli_exit do_rm(struct work *w, struct error *error)
{
    const struct topic_record *newest = topic_records_newest(&w->records, w->agent_id);
    if (newest == NULL || newest->value == NULL) {
        talk("agent '%s' has no trigger in topic '%s'", w->agent_id, w->kafka.topics.name[TOPIC_TRIGGERS]);
        return CLI_NO;
    }
    if (!topic_records_write(&w->kafka, w->agent_id, (struct bytes){0}, w->records.end, error))
        return talk_error(error);
    return CLI_OK;
}

static enum cli_exit do_get(struct work *w, struct error *error)
{
    (void)error;
    const struct topic_record *newest = topic_records_newest(&w->records, w->agent_id);
    if (newest == NULL || newest->value == NULL) {
        talk("agent '%s' has no trigger in topic '%s'", w->agent_id, w->kafka.topics.name[TOPIC_TRIGGERS]);
        return CLI_NO;
    }
    talk_line((struct bytes){(const uint8_t *)newest->value, newest->value_size});
    return CLI_OK;
}

static enum cli_exit do_ls(struct work *w, struct error *error)
{
    if (*w->key_file == '\0')
        talk("without --key-file the records are listed, but nobody judges them");
    else if (!trigger_judge(&w->cli->connection, &w->kafka, w->key_file, &w->records, error))
        talk("the records are listed, but nobody judges them: %s", error->text);
    return trigger_list(&w->records, w->settings->format == FORMAT_JSON, clock_wall_us()) > 0 ? CLI_NO : CLI_OK;
}

/* For a trigger in a file of the directory, where the operator decides what stands beside it. */
static enum cli_exit do_seal(struct work *w, struct error *error)
{
    struct secret *secret = NULL;
    struct buffer text;
    if (w->settings->secret == NULL)
        error_set(error, ERROR_INVALID, "say which secret: --secret env:NAME or --secret file:PATH");
    else
        secret = secret_resolve(bytes_of(w->settings->secret), false, error);
    if (secret == NULL) return talk_error(error);
    const struct sealed_place place = {.agent_id = bytes_of(w->agent_id),
                                       .scheme = bytes_of(w->settings->scheme),
                                       .name = bytes_of(w->settings->name)};
    buffer_init(&text, SEALED_TEXT_MAX);
    const bool good = sealed_make(w->keys, &place, secret_view(secret), &text, error);
    if (good) talk_line(buffer_view(&text));
    secret_free(secret);
    buffer_close(&text);
    return good ? CLI_OK : talk_error(error);
}

static enum cli_exit do_keygen(struct work *w, struct error *error)
{
    if (*w->key_file == '\0') {
        talk("say where: --key-file FILE");
        return CLI_USAGE;
    }
    bool existed;
    if (!key_file_add(w->key_file, &existed, error)) return talk_error(error);
    talk(existed
             ? "%s has a new key on top: give the file to every ingress and send SIGHUP before anything is sealed with "
               "it; the old keys can go when everything was sealed anew (`rotate`, `set`)"
             : "%s made: give it to every ingress as triggers.key_file, readable by its owner only",
         w->key_file);
    return CLI_OK;
}

static const struct verb {
    const char *name;
    bool agent, reads, seals;
    enum cli_exit (*run)(struct work *w, struct error *error);
} verbs[] = {{"add", true, true, true, do_add},       {"rm", true, true, false, do_rm},
             {"get", true, true, false, do_get},      {"ls", false, true, false, do_ls},
             {"enable", true, true, true, do_enable}, {"disable", true, true, true, do_disable},
             {"rotate", true, true, true, do_rotate}, {"set", true, true, true, do_set},
             {"seal", true, false, true, do_seal},    {"keygen", false, false, false, do_keygen}};

static const struct verb *verb_find(const struct cli *cli)
{
    const char *name = cli->operand_count > 0 ? cli->operands[0] : "";
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++)
        if (strcmp(verbs[i].name, name) == 0) return &verbs[i];
    talk("say what to do: add, rm, get, ls, enable, disable, rotate, set, seal or keygen; see drawbridge trigger "
         "--help");
    return NULL;
}

static bool operands_fit(const struct cli *cli, const struct verb *verb)
{
    const size_t wanted = verb->agent ? 2 : 1;
    if (cli->operand_count != wanted) {
        talk(verb->agent ? "say whose trigger: drawbridge trigger %s AGENT" : "%s takes no agent", verb->name);
        return false;
    }
    if (!verb->agent || text_is_agent_id(bytes_of(cli->operands[1]))) return true;
    talk("'%.128s' is no agent id: 1 to 128 of A-Z a-z 0-9 . _ ~ -", cli->operands[1]);
    return false;
}

static enum cli_exit trigger_run(struct cli *cli, void *settings)
{
    struct error error = {0};
    struct work w = {.cli = cli, .settings = settings};
    const struct verb *verb = verb_find(cli);
    if (verb == NULL || !operands_fit(cli, verb)) return CLI_USAGE;
    if (verb->agent) w.agent_id = cli->operands[1];
    enum cli_exit code;
    const bool connects = verb->reads || cli->connection.config != NULL;
    bool good = !connects || connect_load(&cli->connection, &w.kafka, &error);
    w.key_file = w.settings->key_file != NULL ? w.settings->key_file : w.kafka.key_file != NULL ? w.kafka.key_file : "";
    good = good && (!verb->seals || need_keys(&w, &error));
    good = good && (!verb->reads || topic_records_read(&w.kafka, &w.records, &error));
    code = good ? verb->run(&w, &error) : talk_error(&error);
    draft_close(&w.draft);
    topic_records_close(&w.records);
    keyring_free(w.keys);
    connect_close(&w.kafka);
    return code;
}

const struct cli_command trigger_command = {
    .name = "trigger",
    .operands = "add|rm|get|ls|enable|disable|rotate|set|seal|keygen [AGENT]",
    .summary = "who may start which agent: the records of the triggers topic",
    .details =
        "add      writes a trigger, prints the URL to register and, unless --secret gave it, the secret, once\n"
        "rotate   gives it a new secret; the old one stays good for --overlap as \"previous\"\n"
        "set      changes other settings; enable and disable are the commonest of them\n"
        "rm       removes it: deliveries get 404\n"
        "get      prints the newest record, secrets sealed; ls lists all, with their secrets' names and ages, and "
        "says\n"
        "         what is wrong with bad records (then the exit code is 1)\n"
        "seal     prints --secret sealed for a trigger in a file of the directory\n"
        "keygen   puts a fresh key on top of --key-file, or makes the file\n\n"
        "Every ingress with triggers.topic follows within two seconds. A record is sealed as a whole: what somebody\n"
        "changes without the key is refused, and the last good record stays in force. Nothing is written that the\n"
        "ingress would refuse: drawbridge-ingress, which must stand next to this program, is asked first.\n"
        "Of two that write one agent's trigger at the same moment the last one wins; the tool warns.",
    .examples =
        "  drawbridge trigger keygen --key-file /etc/drawbridge/registry.key\n"
        "  drawbridge trigger add triage --config /etc/drawbridge/ingress.cfg --scheme github -d 'A push'\n"
        "  drawbridge trigger add billing -c /etc/drawbridge/ingress.cfg --scheme stripe --secret file:stripe.secret\n"
        "  drawbridge trigger ls -b localhost:9092 --key-file registry.key\n"
        "  drawbridge trigger rotate triage -c /etc/drawbridge/ingress.cfg --overlap 7d\n"
        "  drawbridge trigger set triage -c /etc/drawbridge/ingress.cfg --set body_max=64KiB",
    .options = options,
    .option_count = sizeof options / sizeof options[0],
    .settings_size = sizeof(struct trigger_settings),
    .operands_max = 2,
    .connects = true,
    .run = trigger_run,
};

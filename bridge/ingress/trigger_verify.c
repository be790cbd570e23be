/* trigger_verify.c: a trigger's `verify`: a scheme by name, with words of its own over it, or spelled out; its secrets.
 * SPDX-License-Identifier: Apache-2.0 */
#include "scheme_load.h"
#include "text.h"
#include "triggers.h"
#include <stdlib.h>

struct verify_group {
    char *scheme, *verify_token;
    struct config_list topics;
};
#define GROUP(field) offsetof(struct verify_group, field)
static const struct config_option group_options[] = {
    {.name = "verify.scheme",
     .kind = CONFIG_TEXT,
     .offset = GROUP(scheme),
     .default_text = "",
     .help = "how deliveries are signed: a name from providers.cfg; without it the words beside it spell a scheme"},
    {.name = "verify.verify_token",
     .kind = CONFIG_TEXT,
     .offset = GROUP(verify_token),
     .default_text = "",
     .max = "256",
     .help = "what Meta's subscription must present (hub.verify_token)"},
    {.name = "verify.topic_arns",
     .kind = CONFIG_TEXT_LIST,
     .offset = GROUP(topics),
     .default_text = "",
     .max = "64",
     .help = "AWS SNS: the only topics that may deliver; Amazon signs for everybody's"},
};
enum { GROUP_OPTIONS = sizeof group_options / sizeof group_options[0] };

struct verify_secrets {
    struct config_list secrets;
};
static const struct config_option secrets_options[] = {
    {.name = "verify.secrets",
     .kind = CONFIG_TEXT_LIST,
     .offset = offsetof(struct verify_secrets, secrets),
     .default_text = "",
     .help = "env:NAME, file:PATH, sealed:..., or the secret itself in a file that only its owner can read; they are "
             "called "
             "current, previous, third, ...; or a list of groups ( { name; value; since; until; }, ... )"},
};

struct verify_secret {
    char *name, *value, *since, *until;
};
#define SECRET(field) offsetof(struct verify_secret, field)
static const struct config_option secret_options[] = {
    {.name = "name",
     .kind = CONFIG_TEXT,
     .offset = SECRET(name),
     .default_text = "",
     .max = "31",
     .help = "what logs, evidence and metrics call it: letters, digits, '.', '_', '~', '-'"},
    {.name = "value", .kind = CONFIG_TEXT, .offset = SECRET(value), .min = "1", .help = "as above"},
    {.name = "since",
     .kind = CONFIG_TEXT,
     .offset = SECRET(since),
     .default_text = "",
     .help = "RFC 3339: when it came into use; for people"},
    {.name = "until",
     .kind = CONFIG_TEXT,
     .offset = SECRET(until),
     .default_text = "",
     .help = "RFC 3339: from then on it no longer verifies; empty: for ever"},
};
enum { SECRET_OPTIONS = sizeof secret_options / sizeof secret_options[0] };

struct verify_word {
    char *word;
};
static const struct config_option word_options[] = {
    {.name = "verify",
     .kind = CONFIG_TEXT,
     .offset = offsetof(struct verify_word, word),
     .default_text = "",
     .help = "\"none\": deliveries are not signed, and that is meant"},
};

void trigger_verify_help(FILE *out)
{
    config_print_help(out, "a trigger's verification by a scheme", group_options, GROUP_OPTIONS);
    config_print_help(out, "its secrets", secrets_options, 1);
    config_print_help(out, "a secret as a group", secret_options, SECRET_OPTIONS);
    config_print_help(out, "the words of a scheme, in providers.cfg, triggers.schemes, or beside verify.scheme",
                      scheme_word_options, scheme_word_count);
    config_print_help(out, "or in one word", word_options, 1);
}

/* ---- secrets ---- */

static const char *const default_names[VERIFIER_SECRETS_MAX] = {"current", "previous", "third",   "fourth",
                                                                "fifth",   "sixth",    "seventh", "eighth"};

static struct secret *open_sealed(const struct trigger_loading *l, const char *name, struct bytes text,
                                  struct error *error)
{
    const struct sealed_place place = {.agent_id = bytes_of(l->trigger->options.agent_id),
                                       .scheme = bytes_of(l->scheme),
                                       .name = bytes_of(name),
                                       .record = {l->digest, l->record ? sizeof l->digest : 0}};
    if (l->settings->keys) return sealed_open(l->settings->keys, &place, text, error);
    error_set(error, ERROR_NOT_FOUND, "is sealed, and triggers.key_file is not set");
    return NULL;
}

/* A record may come from anybody who can write the topic: it must not look into our environment and files. */
static bool may_say(const struct trigger_loading *l, const char *reference, struct error *error)
{
    const char *kind = "literal";
    if (strncmp(reference, "env:", 4) == 0) kind = "env";
    if (strncmp(reference, "file:", 5) == 0) kind = "file";
    if (!l->record || settings_topic_allows(l->settings, kind)) return true;
    return error_set(error, ERROR_DENIED,
                     "must be sealed in a record (`drawbridge trigger` does it): triggers.topic_allows has no \"%s\"",
                     kind);
}

struct secret *trigger_secret_open(const struct trigger_loading *l, const char *name, const char *reference,
                                   struct error *error)
{
    struct secret *s = NULL;
    if (sealed_is(bytes_of(reference)))
        s = open_sealed(l, name, bytes_of(reference), error);
    else if (may_say(l, reference, error))
        s = secret_resolve(bytes_of(reference), l->record || l->private_file, error);
    if (!s && l->record) error_context(error, "secret '%s'", name);
    return s;
}

static bool resolve(const struct trigger_loading *l, const char *reference, struct verifier_secret *out)
{
    struct error error;
    out->secret = trigger_secret_open(l, out->name, reference, &error);
    if (!out->secret) trigger_problem(l, "verify", "%s", error.text);
    return out->secret != NULL;
}

static bool name_is_taken(const struct verifier_secret *secrets, size_t count)
{
    bool taken = false;
    for (size_t i = 0; i < count; i++)
        taken = taken || strcmp(secrets[i].name, secrets[count].name) == 0;
    return taken;
}

static bool load_group_secret(const struct trigger_loading *l, const char *path, struct verifier_secret *secrets,
                              size_t index)
{
    struct verify_secret given = {0};
    struct verifier_secret *out = &secrets[index];
    int64_t until_us = 0;
    bool good = config_load(l->file, path, secret_options, SECRET_OPTIONS, &given, l->report);
    if (good) snprintf(out->name, sizeof out->name, "%s", *given.name ? given.name : default_names[index]);
    if (good && (!text_is_agent_id(bytes_of(out->name)) || name_is_taken(secrets, index))) {
        trigger_problem(l, "verify", "a secret's name is letters, digits, '.', '_', '~', '-', and its own");
        good = false;
    }
    if (good && *given.until && !text_parse_time(bytes_of(given.until), &until_us)) {
        trigger_problem(l, "verify", "until of secret '%s' is not a time as 2026-12-31T00:00:00Z", out->name);
        good = false;
    }
    out->until_s = *given.until ? until_us / 1000000 : 0;
    good = good && resolve(l, given.value, out);
    config_free(secret_options, SECRET_OPTIONS, &given);
    return good;
}

/* True if any element is a group: then all have to be. */
static bool are_groups(const struct trigger_loading *l, size_t count)
{
    bool groups = false;
    for (size_t i = 0; i < count; i++) {
        char path[128];
        snprintf(path, sizeof path, "%s.verify.secrets.[%zu].value", l->path, i);
        groups = groups || config_has(l->file, path);
    }
    return groups;
}

static bool load_groups(const struct trigger_loading *l, struct verifier_secret *secrets, size_t count)
{
    bool good = true;
    for (size_t i = 0; i < count; i++) {
        char path[128];
        snprintf(path, sizeof path, "%s.verify.secrets.[%zu]", l->path, i);
        good = load_group_secret(l, path, secrets, i) && good;
    }
    return good;
}

static bool load_texts(const struct trigger_loading *l, struct verifier_secret *secrets)
{
    struct verify_secrets given = {0};
    bool good = config_load(l->file, l->path, secrets_options, 1, &given, l->report);
    for (size_t i = 0; good && i < given.secrets.count; i++) {
        snprintf(secrets[i].name, sizeof secrets[i].name, "%s", default_names[i]);
        good = resolve(l, given.secrets.items[i], &secrets[i]);
    }
    config_free(secrets_options, 1, &given);
    return good;
}

static void free_secrets(struct verifier_secret *secrets)
{
    for (size_t i = 0; i < VERIFIER_SECRETS_MAX; i++) {
        secret_free(secrets[i].secret);
        secrets[i].secret = NULL;
    }
}

/* Their number; 0 after a problem. */
static size_t load_secrets(const struct trigger_loading *l, struct verifier_secret secrets[VERIFIER_SECRETS_MAX])
{
    char path[128];
    snprintf(path, sizeof path, "%s.verify.secrets", l->path);
    size_t count = config_count(l->file, path);
    if (count == 0 || count > VERIFIER_SECRETS_MAX) {
        trigger_problem(l, "verify", "needs 1 to %d secrets", VERIFIER_SECRETS_MAX);
        return 0;
    }
    if (are_groups(l, count) ? load_groups(l, secrets, count) : load_texts(l, secrets)) return count;
    free_secrets(secrets);
    return 0;
}

/* ---- the scheme ---- */

/* Takes the secrets over. */
static void set_verifier(struct trigger_loading *l, const struct scheme *scheme, struct verifier_secret *secrets,
                         size_t count)
{
    struct trigger *t = l->trigger;
    struct error error;
    t->verifier = verifier_new(scheme, secrets, count, &error);
    t->uses = calloc(count, sizeof *t->uses);
    if (!t->verifier)
        trigger_problem(l, "verify", "%s", error.text);
    else if (!t->uses || !verifier_set_topics(t->verifier, t->topics.items, t->topics.count))
        trigger_problem(l, "verify", "no memory");
}

/* The names that begin like the one that is not there: HubSpot, Adyen and GitLab sign in several ways. */
static void tell_unknown(const struct trigger_loading *l, const char *name)
{
    struct buffer like;
    buffer_init(&like, 256);
    const char *known;
    for (size_t i = 0; (known = scheme_name_at(l->schemes, i)) != NULL; i++)
        if (strncmp(known, name, strlen(name)) == 0) buffer_format(&like, "%s%s", like.size ? ", " : "", known);
    if (like.size > 0)
        trigger_problem(l, "verify", "there is no scheme '%s', but there are: %s", name, buffer_cstr(&like));
    else
        trigger_problem(l, "verify", "there is no scheme '%s'", name);
    buffer_close(&like);
}

/* The scheme of that name, with the words beside it if there are any; NULL after a problem. */
static const struct scheme *choose_scheme(struct trigger_loading *l, const char *name)
{
    char path[128];
    snprintf(path, sizeof path, "%s.verify", l->path);
    const struct scheme *base = *name ? scheme_find(l->schemes, name) : NULL;
    if (*name && !base) {
        tell_unknown(l, name);
        return NULL;
    }
    if (base && !scheme_has_words(l->file, path)) return base;
    l->trigger->own_scheme = scheme_new(base, l->file, path, l->report);
    return l->trigger->own_scheme;
}

static void check_scheme(const struct trigger_loading *l, const struct scheme *scheme)
{
    const struct trigger *t = l->trigger;
    if (scheme_is_sns(scheme) && t->topics.count == 0)
        trigger_problem(l, "verify", "topic_arns is missing: without it anybody's SNS topic could start this agent");
    if (!scheme_is_sns(scheme) && t->topics.count > 0)
        trigger_problem(l, "verify", "topic_arns is for schemes of AWS SNS");
    if (scheme_handshakes(scheme) & (1U << HANDSHAKE_META_SUBSCRIBE) || !*t->verify_token) return;
    trigger_problem(l, "verify", "verify_token is for schemes with the handshake meta-subscribe");
}

static void load_group(struct trigger_loading *l)
{
    struct trigger *t = l->trigger;
    struct verify_group verify = {0};
    struct verifier_secret secrets[VERIFIER_SECRETS_MAX] = {0};
    bool good = config_load(l->file, l->path, group_options, GROUP_OPTIONS, &verify, l->report);
    t->verify_token = verify.verify_token;
    t->topics = verify.topics;
    verify.verify_token = NULL;
    verify.topics = (struct config_list){NULL, 0};
    snprintf(l->scheme, sizeof l->scheme, "%s", good && *verify.scheme ? verify.scheme : "custom");
    const struct scheme *scheme = good ? choose_scheme(l, verify.scheme) : NULL;
    size_t count = good ? load_secrets(l, secrets) : 0;
    if (scheme) check_scheme(l, scheme);
    if (scheme && count > 0)
        set_verifier(l, scheme, secrets, count);
    else
        free_secrets(secrets);
    config_free(group_options, GROUP_OPTIONS, &verify);
}

static void load_word(struct trigger_loading *l)
{
    struct verify_word verify = {0};
    config_load(l->file, l->path, word_options, 1, &verify, l->report);
    if (!verify.word || strcmp(verify.word, "none") != 0)
        trigger_problem(l, "verify", "is \"none\" or a group { scheme = ...; secrets = [...]; }");
    else if (l->record && !settings_topic_allows(l->settings, "none"))
        trigger_problem(l, "verify", "\"none\" is not for a record: triggers.topic_allows has no \"none\"");
    config_free(word_options, 1, &verify);
}

static void load_single(struct trigger_loading *l)
{
    struct verifier_secret secret = {.name = "current"};
    snprintf(l->scheme, sizeof l->scheme, "github");
    const struct scheme *github = scheme_find(l->schemes, "github");
    if (!github)
        trigger_problem(l, "secret", "there is no scheme 'github'");
    else if (resolve(l, l->trigger->options.secret, &secret))
        set_verifier(l, github, &secret, 1);
}

void trigger_verify_load(struct trigger_loading *l)
{
    char path[128];
    snprintf(path, sizeof path, "%s.secret", l->path);
    bool has_secret = config_has(l->file, path); /* an empty one is an error, never "no signature wanted" */
    snprintf(path, sizeof path, "%s.verify", l->path);
    bool has_verify = config_has(l->file, path);
    l->told = has_verify || has_secret;
    if (!l->told && l->record && !settings_topic_allows(l->settings, "none"))
        trigger_problem(l, "verify", "is missing: a record needs a scheme with sealed secrets");
    if (has_verify && has_secret) {
        trigger_problem(l, "secret", "stands beside verify; say it once");
        return;
    }
    if (has_secret) load_single(l);
    if (!has_verify) return;
    if (config_child(l->file, path, 0))
        load_group(l);
    else
        load_word(l);
}

void trigger_verify_close(struct trigger *t)
{
    verifier_free(t->verifier);
    scheme_free(t->own_scheme);
    free(t->uses);
    struct verify_group rest = {.verify_token = t->verify_token, .topics = t->topics};
    config_free(group_options, GROUP_OPTIONS, &rest);
    t->verifier = NULL;
    t->own_scheme = NULL;
    t->uses = NULL;
    t->verify_token = NULL;
    t->topics = (struct config_list){NULL, 0};
}

/* trigger_draft.c: a record of the triggers topic taken apart, changed, and sealed anew as a whole: its secrets are
 * bound to everything else that it says.  SPDX-License-Identifier: Apache-2.0 */
#include "json.h"
#include "secret_record.h"
#include "text.h"
#include "trigger.h"
#include <stdlib.h>
#include <string.h>

#define TOKEN "verify_token"

static bool no_memory(struct error *error)
{
    return error_set(error, ERROR_MEMORY, "no memory for a trigger");
}

/* ---- words ---- */

/* Writes a node as it was; numbers are whole ones. */
static bool copy_node(struct json_writer *w, const char *key, const struct json *node)
{
    const char *text;
    int64_t number;
    bool flag;
    switch (json_kind(node)) {
    case JSON_NULL: json_write_null(w, key); return true;
    case JSON_BOOL: return json_bool(node, &flag) && (json_write_bool(w, key, flag), true);
    case JSON_NUMBER: return json_int64(node, &number) && (json_write_int(w, key, number), true);
    case JSON_TEXT: return json_text(node, &text) && (json_write_cstr(w, key, text), true);
    case JSON_ARRAY:
    case JSON_OBJECT: break;
    }
    const bool object = json_kind(node) == JSON_OBJECT;
    object ? json_write_object(w, key) : json_write_array(w, key);
    for (size_t i = 0; i < json_count(node); i++)
        if (!copy_node(w, object ? json_key_at(node, i) : NULL, json_at(node, i))) return false;
    object ? json_write_object_end(w) : json_write_array_end(w);
    return true;
}

static void words_close(struct draft_words *words)
{
    for (size_t i = 0; i < words->count; i++) {
        free(words->items[i].name);
        free(words->items[i].json);
    }
    *words = (struct draft_words){0};
}

static struct draft_word *word_find(struct draft_words *words, const char *name)
{
    for (size_t i = 0; i < words->count; i++)
        if (strcmp(words->items[i].name, name) == 0) return &words->items[i];
    return NULL;
}

static bool word_set(struct draft_words *words, const char *name, struct bytes json, struct error *error)
{
    struct draft_word *old = word_find(words, name);
    if (old == NULL && words->count == DRAFT_WORDS_MAX)
        return error_set(error, ERROR_TOO_LARGE, "more than %d settings", DRAFT_WORDS_MAX);
    char *copy = bytes_dup(json);
    if (copy == NULL) return no_memory(error);
    if (old == NULL) {
        old = &words->items[words->count];
        *old = (struct draft_word){.name = strdup(name)};
        if (old->name == NULL) {
            free(copy);
            return no_memory(error);
        }
        words->count++;
    }
    free(old->json);
    old->json = copy;
    return true;
}

static void word_remove(struct draft_words *words, const char *name)
{
    struct draft_word *word = word_find(words, name);
    if (word == NULL) return;
    free(word->name);
    free(word->json);
    *word = words->items[--words->count];
}

static bool word_node(struct draft_words *words, const char *name, const struct json *node, struct error *error)
{
    struct buffer text;
    struct json_writer w;
    buffer_init(&text, DRAFT_RECORD_MAX);
    json_writer_init(&w, &text);
    bool good = (copy_node(&w, NULL, node) && buffer_ok(&text)) ||
                error_set(error, ERROR_INVALID, "'%.64s' holds a number that is not whole, or is too long", name);
    good = good && word_set(words, name, buffer_view(&text), error);
    buffer_close(&text);
    return good;
}

static bool word_text(struct draft_words *words, const char *name, const char *value, struct error *error)
{
    struct buffer text;
    struct json_writer w;
    buffer_init(&text, DRAFT_RECORD_MAX);
    json_writer_init(&w, &text);
    json_write_cstr(&w, NULL, value);
    bool good = (buffer_ok(&text) || error_set(error, ERROR_TOO_LARGE, "'%.64s' is too long", name)) &&
                word_set(words, name, buffer_view(&text), error);
    buffer_close(&text);
    return good;
}

/* ---- reading ---- */

static bool take_text(const struct json *node, char **out, struct error *error)
{
    const char *text;
    if (node == NULL || !json_text(node, &text)) return true;
    free(*out);
    *out = strdup(text);
    return *out != NULL || no_memory(error);
}

/* The names of secrets that have none. */
static const char *position_name(size_t index)
{
    static const char *const names[] = {"current", "previous", "third",   "fourth",
                                        "fifth",   "sixth",    "seventh", "eighth"};
    return index < sizeof names / sizeof names[0] ? names[index] : "";
}

static bool read_secret(struct draft *d, const struct json *node, struct error *error)
{
    if (d->secret_count == DRAFT_SECRETS_MAX)
        return error_set(error, ERROR_TOO_LARGE, "more than %d secrets", DRAFT_SECRETS_MAX);
    struct draft_secret *s = &d->secrets[d->secret_count];
    const char *name = position_name(d->secret_count);
    const bool group = json_kind(node) == JSON_OBJECT;
    if (group) json_text(json_get(node, "name", NULL), &name);
    snprintf(s->name, sizeof s->name, "%s", name);
    d->secret_count++;
    return take_text(group ? json_get(node, "value", NULL) : node, &s->text, error) &&
           take_text(group ? json_get(node, "since", NULL) : NULL, &s->since, error) &&
           take_text(group ? json_get(node, "until", NULL) : NULL, &s->until, error);
}

static bool read_token(struct draft *d, const struct json *node, struct error *error)
{
    snprintf(d->token.name, sizeof d->token.name, TOKEN);
    return take_text(node, &d->token.text, error);
}

static bool read_verify(struct draft *d, const struct json *verify, struct error *error)
{
    if (json_kind(verify) != JSON_OBJECT) return word_node(&d->words, "verify", verify, error);
    bool good = true;
    for (size_t i = 0; good && i < json_count(verify); i++) {
        const char *key = json_key_at(verify, i);
        const struct json *node = json_at(verify, i);
        if (strcmp(key, "scheme") == 0)
            good = take_text(node, &d->scheme, error);
        else if (strcmp(key, TOKEN) == 0)
            good = read_token(d, node, error);
        else if (strcmp(key, "secrets") != 0)
            good = word_node(&d->verify, key, node, error);
        else
            for (size_t k = 0; good && k < json_count(node); k++)
                good = read_secret(d, json_at(node, k), error);
    }
    return good;
}

static bool read_member(struct draft *d, const char *key, const struct json *node, struct error *error)
{
    if (json_kind(node) == JSON_NULL) return true;
    if (strcmp(key, "agent_id") == 0) return take_text(node, &d->agent_id, error);
    if (strcmp(key, "verify") == 0) return read_verify(d, node, error);
    if (strcmp(key, "revision") == 0) return json_int64(node, &d->revision) || d->revision == 0;
    if (strcmp(key, "secret") != 0) return word_node(&d->words, key, node, error);
    d->scheme = strdup("github"); /* what `secret` alone means */
    return d->scheme != NULL ? read_secret(d, node, error) : no_memory(error);
}

static bool read_digest(struct draft *d, struct bytes record, struct error *error)
{
    struct config_report report;
    config_report_init(&report);
    struct config_file *file = config_parse_json("record", "trigger", record, &report);
    bool good = file != NULL && secret_record_digest(file, "trigger", d->digest);
    if (!good) error_set(error, ERROR_INVALID, "%s", buffer_cstr(&report.text));
    config_close(file);
    config_report_close(&report);
    return good;
}

bool draft_read(struct draft *d, struct bytes record, struct error *error)
{
    *d = (struct draft){0};
    if (!read_digest(d, record, error)) return false;
    struct json *document = json_parse(record, error);
    if (document == NULL) return false;
    bool good = true;
    for (size_t i = 0; good && i < json_count(document); i++)
        good = read_member(d, json_key_at(document, i), json_at(document, i), error);
    json_free(document);
    return good && (d->agent_id != NULL || error_set(error, ERROR_INVALID, "the record names no agent_id"));
}

bool draft_begin(struct draft *d, const char *agent_id, const char *scheme, struct error *error)
{
    *d = (struct draft){.agent_id = strdup(agent_id), .scheme = strdup(scheme)};
    return (d->agent_id != NULL && d->scheme != NULL) || no_memory(error);
}

static void secret_close(struct draft_secret *s)
{
    free(s->text);
    free(s->since);
    free(s->until);
    secret_free(s->plain);
    *s = (struct draft_secret){0};
}

void draft_close(struct draft *d)
{
    free(d->agent_id);
    free(d->scheme);
    words_close(&d->words);
    words_close(&d->verify);
    for (size_t i = 0; i < d->secret_count; i++)
        secret_close(&d->secrets[i]);
    secret_close(&d->token);
    *d = (struct draft){0};
}

/* ---- changing ---- */

bool draft_assign(struct draft *d, const char *assignment, struct error *error)
{
    static const char *const own[] = {"agent_id",       "revision",           "secret", "verify", "verify.scheme",
                                      "verify.secrets", "verify.verify_token"};
    const char *equals = strchr(assignment, '=');
    char name[128];
    if (equals == NULL || equals == assignment || (size_t)(equals - assignment) >= sizeof name)
        return error_set(error, ERROR_INVALID, "--set %.100s: say NAME=VALUE", assignment);
    snprintf(name, sizeof name, "%.*s", (int)(equals - assignment), assignment);
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
        if (strcmp(name, own[i]) == 0)
            return error_set(error, ERROR_INVALID, "--set %s: that is not set this way; see --help", name);
    const bool inside = strncmp(name, "verify.", 7) == 0;
    struct draft_words *words = inside ? &d->verify : &d->words;
    const char *word = inside ? name + 7 : name, *value = equals + 1;
    if (*value == '\0') {
        word_remove(words, word);
        return true;
    }
    struct json *document = json_parse(bytes_of(value), NULL);
    if (document == NULL) return word_text(words, word, value, error);
    const bool good = word_node(words, word, document, error);
    json_free(document);
    return good;
}

bool draft_text(struct draft *d, const char *name, const char *text, struct error *error)
{
    return word_text(&d->words, name, text, error);
}

bool draft_texts(struct draft *d, const char *name, const struct cli_list *texts, struct error *error)
{
    struct buffer list;
    struct json_writer w;
    buffer_init(&list, DRAFT_RECORD_MAX);
    json_writer_init(&w, &list);
    json_write_array(&w, NULL);
    for (size_t i = 0; i < texts->count; i++)
        json_write_cstr(&w, NULL, texts->items[i]);
    json_write_array_end(&w);
    const bool good = (buffer_ok(&list) || error_set(error, ERROR_TOO_LARGE, "'%s' is too long", name)) &&
                      word_set(&d->words, name, buffer_view(&list), error);
    buffer_close(&list);
    return good;
}

const char *draft_get(const struct draft *d, const char *name)
{
    for (size_t i = 0; i < d->words.count; i++)
        if (strcmp(d->words.items[i].name, name) == 0) return d->words.items[i].json;
    return NULL;
}

bool draft_add_secret(struct draft *d, struct secret *secret, const char *since, struct error *error)
{
    char *copy = strdup(since);
    if (copy == NULL || d->secret_count == DRAFT_SECRETS_MAX) {
        free(copy);
        secret_free(secret);
        return error_set(error, ERROR_TOO_LARGE, "no room for another secret");
    }
    memmove(&d->secrets[1], &d->secrets[0], d->secret_count * sizeof d->secrets[0]);
    d->secrets[0] = (struct draft_secret){.name = "current", .since = copy, .plain = secret};
    d->secret_count++;
    return true;
}

void draft_set_token(struct draft *d, struct secret *token)
{
    secret_close(&d->token);
    d->token.plain = token;
    snprintf(d->token.name, sizeof d->token.name, TOKEN);
}

bool draft_retire_secret(struct draft *d, const char *until, struct error *error)
{
    struct draft_secret *s = &d->secrets[0];
    char *copy = strdup(until);
    if (copy == NULL) return no_memory(error);
    free(s->until);
    s->until = copy;
    snprintf(s->name, sizeof s->name, "previous");
    return true;
}

void draft_drop_secret(struct draft *d)
{
    if (d->secret_count > 0) secret_close(&d->secrets[--d->secret_count]);
}

/* ---- sealing ---- */

static struct sealed_place place_of(const struct draft *d, const struct draft_secret *s,
                                    const uint8_t digest[SIGNATURE_SHA256_SIZE])
{
    return (struct sealed_place){.agent_id = bytes_of(d->agent_id),
                                 .scheme = bytes_of(d->scheme != NULL ? d->scheme : "custom"),
                                 .name = bytes_of(s->name),
                                 .record = {digest, SIGNATURE_SHA256_SIZE}};
}

static bool open_one(const struct draft *d, struct draft_secret *s, const struct keyring *keys, struct error *error)
{
    if (s->plain != NULL || s->text == NULL || !sealed_is(bytes_of(s->text))) return true;
    const struct sealed_place place = place_of(d, s, d->digest);
    s->plain = sealed_open(keys, &place, bytes_of(s->text), error);
    return s->plain != NULL || error_context(error, "secret '%s'", s->name);
}

bool draft_open(struct draft *d, const struct keyring *keys, struct error *error)
{
    for (size_t i = 0; i < d->secret_count; i++)
        if (!open_one(d, &d->secrets[i], keys, error)) return false;
    return open_one(d, &d->token, keys, error);
}

static void write_words(struct json_writer *w, const struct draft_words *words)
{
    for (size_t i = 0; i < words->count; i++)
        json_write_raw(w, words->items[i].name, bytes_of(words->items[i].json));
}

static void write_secret(struct json_writer *w, const struct draft_secret *s, const char *text)
{
    json_write_object(w, NULL);
    json_write_cstr(w, "name", s->name);
    json_write_cstr(w, "value", text);
    if (s->since != NULL) json_write_cstr(w, "since", s->since);
    if (s->until != NULL) json_write_cstr(w, "until", s->until);
    json_write_object_end(w);
}

/* The sealed texts of a record that is written: one for each secret, the last for the token. */
enum { SEALED_MAX = DRAFT_SECRETS_MAX + 1 };

static void write_verify(struct json_writer *w, const struct draft *d, char *const sealed[SEALED_MAX])
{
    json_write_object(w, "verify");
    if (d->scheme != NULL) json_write_cstr(w, "scheme", d->scheme);
    write_words(w, &d->verify);
    if (d->token.name[0] != '\0')
        json_write_cstr(w, TOKEN, d->token.plain != NULL ? sealed[DRAFT_SECRETS_MAX] : d->token.text);
    json_write_array(w, "secrets");
    for (size_t i = 0; i < d->secret_count; i++)
        write_secret(w, &d->secrets[i], d->secrets[i].plain != NULL ? sealed[i] : d->secrets[i].text);
    json_write_array_end(w);
    json_write_object_end(w);
}

static void write_record(const struct draft *d, char *const sealed[SEALED_MAX], struct buffer *out)
{
    struct json_writer w;
    json_writer_init(&w, out);
    json_write_object(&w, NULL);
    json_write_cstr(&w, "agent_id", d->agent_id);
    write_words(&w, &d->words);
    if (d->secret_count > 0 || d->verify.count > 0) write_verify(&w, d, sealed);
    json_write_int(&w, "revision", d->revision);
    json_write_object_end(&w);
}

/* The digest of what will be written, which does not depend on the sealed texts. */
static bool digest_of(struct draft *d, struct error *error)
{
    char hole[] = "sealed:";
    char *holes[SEALED_MAX];
    for (size_t i = 0; i < SEALED_MAX; i++)
        holes[i] = hole;
    struct buffer text;
    buffer_init(&text, DRAFT_RECORD_MAX);
    write_record(d, holes, &text);
    const bool good = (buffer_ok(&text) || error_set(error, ERROR_TOO_LARGE, "the trigger is over 64 KiB")) &&
                      read_digest(d, buffer_view(&text), error);
    buffer_close(&text);
    return good;
}

/* NULL with an error, or when there is nothing to seal. */
static char *seal(const struct draft *d, const struct draft_secret *s, const struct keyring *keys, struct error *error)
{
    if (s->plain == NULL) return NULL;
    const struct sealed_place place = place_of(d, s, d->digest);
    struct buffer text;
    size_t size;
    buffer_init(&text, SEALED_TEXT_MAX);
    if (sealed_make(keys, &place, secret_view(s->plain), &text, error)) return (char *)buffer_take(&text, &size);
    buffer_close(&text);
    error_context(error, "secret '%s'", s->name);
    return NULL;
}

bool draft_write(const struct draft *d, const struct keyring *keys, struct buffer *out, struct error *error)
{
    struct draft shell = *d; /* shares everything with *d but the digest, which is that of the new record */
    char *sealed[SEALED_MAX] = {0};
    bool good = digest_of(&shell, error);
    for (size_t i = 0; good && i < SEALED_MAX; i++) {
        const struct draft_secret *s = i < DRAFT_SECRETS_MAX ? &d->secrets[i] : &d->token;
        sealed[i] = seal(&shell, s, keys, error);
        good = sealed[i] != NULL || s->plain == NULL;
    }
    if (good) {
        write_record(d, sealed, out);
        good = buffer_ok(out) || error_set(error, ERROR_TOO_LARGE, "the trigger is over 64 KiB");
    }
    for (size_t i = 0; i < SEALED_MAX; i++)
        free(sealed[i]);
    return good;
}

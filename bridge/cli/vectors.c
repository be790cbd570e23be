/* vectors.c: a file of requests with the verdict that each must get, judged by the ingress's own code.
 * SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"
#include "config.h"
#include "json.h"
#include <stdlib.h>

static const char *text_or(const struct json *object, const char *key, const char *otherwise)
{
    const char *text = otherwise;
    json_text(json_get(object, key, NULL), &text);
    return text;
}

static bool read_headers(struct vector *v)
{
    const struct json *object = json_get(v->line, "headers", NULL);
    bool good = object != NULL;
    for (size_t i = 0; good && i < json_count(object); i++) {
        const struct json *value = json_at(object, i);
        const bool list = json_kind(value) == JSON_ARRAY;
        for (size_t k = 0; good && k < (list ? json_count(value) : 1); k++) {
            const char *text;
            good = json_text(list ? json_at(value, k) : value, &text) &&
                   headers_add(&v->headers, bytes_of(json_key_at(object, i)), bytes_of(text));
        }
    }
    return good;
}

static bool read_vector(struct vector *v, struct error *error)
{
    int64_t now_s;
    v->id = text_or(v->line, "id", NULL);
    v->provider = text_or(v->line, "provider", NULL);
    v->body = text_or(v->line, "body", NULL);
    v->now_ms = json_int64(json_get(v->line, "now", NULL), &now_s) ? now_s * 1000 : VERIFICATION_ANY_TIME;
    v->good = strcmp(text_or(v->line, "expect", ""), "ok") == 0;
    if (v->id == NULL || v->provider == NULL || v->body == NULL || !read_headers(v))
        return error_set(error, ERROR_INVALID, "needs id, provider, secret, headers and body");
    v->request = request_make(&v->headers, text_or(v->line, "method", "POST"), text_or(v->line, "url", NULL));
    return true;
}

bool vector_read(struct vector *v, const char *line, struct error *error)
{
    *v = (struct vector){.line = json_parse(bytes_of(line), error)};
    return v->line != NULL && read_vector(v, error);
}

void vector_close(struct vector *v)
{
    scheme_free(v->own);
    json_free(v->line);
    *v = (struct vector){.line = NULL};
}

/* The words that a trigger would say for a sender whose timestamp header has a name of the user's choice. */
static const struct scheme *with_timestamp_header(struct vector *v, const struct scheme *base, const char *header)
{
    struct config_report report;
    struct buffer text;
    config_report_init(&report);
    buffer_init(&text, 1024);
    buffer_format(&text, "words: { timestamp = \"{header:%s}\"; signed = \"{timestamp}:{body}\"; };", header);
    struct config_file *file = config_parse("vector", buffer_view(&text), &report);
    if (file != NULL) v->own = scheme_new(base, file, "words", &report);
    config_close(file);
    buffer_close(&text);
    config_report_close(&report);
    return v->own;
}

const struct scheme *vector_scheme(struct vector *v, const struct scheme_set *schemes)
{
    const struct scheme *scheme = family_scheme(schemes, v->provider, &v->request);
    const char *header = text_or(v->line, "timestamp_header", NULL);
    return scheme != NULL && header != NULL ? with_timestamp_header(v, scheme, header) : scheme;
}

struct verifier *vector_verifier(const struct vector *v, const struct scheme *scheme, struct error *error)
{
    struct verifier_secret secrets[VERIFIER_SECRETS_MAX] = {0};
    const struct json *given = json_get(v->line, "secret", NULL);
    const bool list = given != NULL && json_kind(given) == JSON_ARRAY;
    const size_t count = given == NULL ? 0 : list ? json_count(given) : 1;
    for (size_t i = 0; i < count && i < VERIFIER_SECRETS_MAX; i++) {
        const char *text = "";
        json_text(list ? json_at(given, i) : given, &text);
        snprintf(secrets[i].name, sizeof secrets[i].name, "secret-%zu", i + 1);
        secrets[i].secret = secret_copy(bytes_of(text), error); /* an empty one is refused below */
    }
    if (count <= VERIFIER_SECRETS_MAX) return verifier_new(scheme, secrets, count, error);
    for (size_t i = 0; i < VERIFIER_SECRETS_MAX; i++)
        secret_free(secrets[i].secret);
    error_set(error, ERROR_INVALID, "more than %d secrets", VERIFIER_SECRETS_MAX);
    return NULL;
}

/* "ok", or the class of the reason. */
static const char *judge(struct vector *v, const struct scheme_set *schemes, struct verification *x)
{
    struct error error = {0};
    struct verification_result result;
    const struct scheme *scheme = vector_scheme(v, schemes);
    if (scheme == NULL) return "unknown-scheme";
    struct verifier *verifier = vector_verifier(v, scheme, &error);
    if (verifier == NULL) return "secret";
    const struct bytes body = bytes_of(v->body);
    const size_t half = body.size / 2;
    verification_begin(x, verifier, &v->request, v->now_ms);
    verification_update(x, body.data, half);
    verification_update(x, body.data + half, body.size - half);
    const enum scheme_reason reason = verification_finish(x, &v->request, body, &result);
    verifier_free(verifier);
    return scheme_reason_name(reason);
}

static bool judge_line(const char *line, const struct scheme_set *schemes, struct verification *x, int number)
{
    struct error error = {0};
    struct vector v;
    bool agrees = false;
    if (vector_read(&v, line, &error)) {
        const char *reason = judge(&v, schemes, x);
        const bool ok = strcmp(reason, "ok") == 0;
        printf("%s %s%s%s\n", v.id, ok ? "ok" : "bad", ok ? "" : " ", ok ? "" : reason);
        agrees = strcmp(text_or(v.line, "expect", ""), ok ? "ok" : "bad") == 0;
        if (!agrees) talk("%s: expected %s: %s", v.id, text_or(v.line, "expect", "?"), text_or(v.line, "note", ""));
    } else {
        talk("line %d: %s", number, error.text);
        printf("line-%d bad unreadable\n", number);
    }
    vector_close(&v);
    return agrees;
}

enum cli_exit vectors_run(const struct scheme_set *schemes, const char *path)
{
    FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
    struct verification *x = verification_new();
    char *line = NULL;
    size_t room = 0;
    int agree = 0, differ = 0;
    ssize_t size;
    if (file == NULL || x == NULL) {
        talk(file == NULL ? "'%s' can't be opened" : "no memory to judge '%s'", path);
        verification_free(x);
        return file == NULL ? CLI_USAGE : CLI_FAILURE;
    }
    while ((size = getline(&line, &room, file)) > 0) {
        if (line[strspn(line, " \t\r\n")] == '\0') continue;
        if (judge_line(line, schemes, x, agree + differ + 1))
            agree++;
        else
            differ++;
    }
    printf("%d agree, %d differ\n", agree, differ);
    free(line);
    if (file != stdin) fclose(file);
    verification_free(x);
    return differ == 0 && agree > 0 ? CLI_OK : CLI_NO;
}

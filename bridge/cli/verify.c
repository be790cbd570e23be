/* verify.c: `drawbridge verify`: a request's verdict, offline, by the ingress's own code.
 * SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"
#include <stddef.h>

struct verify_settings {
    const char *vectors;
    struct cli_list secrets;
};

#define FIELD(f) .offset = offsetof(struct verify_settings, f)
static const struct cli_option options[] = {
    {.name = "secret",
     .letter = 's',
     .kind = CLI_LIST,
     FIELD(secrets),
     .argument = "env:NAME|file:PATH",
     .help = "the trigger's secret, or the sender's public key; may be given several times"},
    {.name = "vectors",
     .kind = CLI_TEXT,
     FIELD(vectors),
     .argument = "FILE",
     .help = "judge each line of a file of JSON objects against its `expect` instead"},
};

static bool load_secrets(const struct cli_list *references, struct verifier_secret *out, struct error *error)
{
    if (references->count == 0 || references->count > VERIFIER_SECRETS_MAX)
        return error_set(error, ERROR_INVALID, "--secret is needed, 1 to %d times", VERIFIER_SECRETS_MAX);
    for (size_t i = 0; i < references->count; i++) {
        snprintf(out[i].name, sizeof out[i].name, "secret-%zu", i + 1);
        out[i].secret = secret_resolve(bytes_of(references->items[i]), false, error);
        if (out[i].secret == NULL) return error_context(error, "--secret");
    }
    return true;
}

static struct verifier *make_verifier(const struct verify_settings *s, const struct cli_request *request,
                                      const struct scheme_set *schemes, struct error *error)
{
    struct verifier_secret secrets[VERIFIER_SECRETS_MAX] = {0};
    const struct scheme *scheme = request_scheme(request, schemes, error);
    if (scheme == NULL) return NULL;
    if (scheme_signs_url(scheme) && request->url == NULL)
        error_set(error, ERROR_INVALID, "--url is needed: this scheme signs it");
    else if (load_secrets(&s->secrets, secrets, error))
        return verifier_new(scheme, secrets, s->secrets.count, error);
    for (size_t i = 0; i < VERIFIER_SECRETS_MAX; i++)
        secret_free(secrets[i].secret);
    return NULL;
}

/* What the delivery would be called: of use to whoever writes a scheme. */
static void tell_identity(const struct scheme *scheme, const struct scheme_request *request, struct bytes body)
{
    struct error error = {0};
    struct buffer id, type, safe;
    buffer_init(&id, 64 * 1024);
    buffer_init(&type, 64 * 1024);
    buffer_init(&safe, 64 * 1024);
    const bool good = scheme_delivery_id(scheme, request, body, &id, &error) &&
                      scheme_event_type(scheme, request, body, &type, &error);
    if (good) {
        talk_safe(&safe, buffer_view(&id), 256);
        buffer_text(&safe, id.size > 0 ? ", event type " : "a fresh one, event type ");
        talk_safe(&safe, buffer_view(&type), 256);
        talk("delivery id %s", buffer_cstr(&safe));
    } else {
        talk("the signature is good, but the event would be refused: %s", error.text);
    }
    buffer_close(&id);
    buffer_close(&type);
    buffer_close(&safe);
}

static enum cli_exit judge(const struct verifier *v, const struct scheme_request *request, struct bytes body,
                           int64_t now_ms)
{
    struct verification_result result;
    struct verification *x = verification_new();
    if (x == NULL) return CLI_FAILURE;
    verification_begin(x, v, request, now_ms);
    verification_update(x, body.data, body.size);
    const enum scheme_reason reason = verification_finish(x, request, body, &result);
    if (reason == SCHEME_OK) {
        printf("ok %s\n", result.secret_name);
        tell_identity(verifier_scheme(v), request, body);
    } else {
        printf("bad %s\n", scheme_reason_name(reason));
    }
    verification_free(x);
    return reason == SCHEME_OK ? CLI_OK : reason == SCHEME_UNABLE ? CLI_FAILURE : CLI_NO;
}

static enum cli_exit verify_one(const struct verify_settings *s, const struct cli_request *given,
                                const struct scheme_set *schemes)
{
    struct error error = {0};
    struct cli_headers headers = {.count = 0};
    struct buffer body;
    int64_t now_ms = 0;
    struct verifier *v = make_verifier(s, given, schemes, &error);
    buffer_init(&body, CLI_BODY_MAX);
    enum cli_exit code = CLI_USAGE;
    if (v != NULL && request_read(given, &headers, &now_ms, &error) && body_read(NULL, &body, &error)) {
        const struct scheme_request request = request_make(&headers, given->method, given->url);
        code = judge(v, &request, buffer_view(&body), now_ms);
    } else {
        talk("%s", error.text);
    }
    verifier_free(v);
    buffer_close(&body);
    return code;
}

static enum cli_exit verify_run(struct cli *cli, void *settings)
{
    const struct verify_settings *s = settings;
    struct error error = {0};
    struct scheme_set *schemes = schemes_open(cli->request.schemes, &error);
    if (schemes == NULL) {
        talk("%s", error.text);
        return CLI_USAGE;
    }
    const enum cli_exit code =
        s->vectors != NULL ? vectors_run(schemes, s->vectors) : verify_one(s, &cli->request, schemes);
    scheme_set_free(schemes);
    return code;
}

const struct cli_command verify_command = {
    .name = "verify",
    .operands = "< BODY",
    .summary = "judge a request's signature offline, as the ingress would",
    .details =
        "Prints `ok SECRET` or `bad REASON`; exit 0: valid, 1: not, 2: the command line or a secret is wrong.\n"
        "Reasons: missing, repeated, malformed, stale, mismatch, expired, foreign.\n"
        "With --vectors each line of FILE is an object with id, provider, secret (a text or a list), headers,\n"
        "body, expect (ok or bad) and, where needed, method, url, now, timestamp_header; one line is printed for\n"
        "each, then how many agree and differ.",
    .examples = "  drawbridge verify --scheme github --secret env:GITHUB_SECRET -H 'X-Hub-Signature-256: sha256=...' "
                "< body.json\n"
                "  drawbridge verify --vectors signatures.jsonl",
    .options = options,
    .option_count = sizeof options / sizeof options[0],
    .settings_size = sizeof(struct verify_settings),
    .takes_request = true,
    .run = verify_run,
};

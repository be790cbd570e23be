/* sign.c: `drawbridge sign`: what makes a body a provider's delivery; the counterpart of verify.
 * SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"
#include <stddef.h>

struct sign_settings {
    const char *secret, *id;
};

#define FIELD(f) .offset = offsetof(struct sign_settings, f)
static const struct cli_option options[] = {
    {.name = "secret",
     .letter = 's',
     .kind = CLI_TEXT,
     FIELD(secret),
     .argument = "env:NAME|file:PATH",
     .help = "the trigger's secret; the private key where the trigger has the public one"},
    {.name = "id",
     .kind = CLI_TEXT,
     FIELD(id),
     .argument = "ID",
     .help = "of the delivery, where the provider sends one in a header"},
};

/* What sending would add: header lines, or the body made anew. */
struct signed_parts {
    struct buffer lines, body;
};

static bool sign(const struct sign_settings *s, const struct cli_request *request, const struct scheme *scheme,
                 struct signed_parts *out, struct error *error)
{
    struct cli_headers headers = {.count = 0};
    struct scheme_signing signing = {.id = bytes_of(s->id != NULL ? s->id : "")};
    struct buffer body;
    if (s->secret == NULL) return error_set(error, ERROR_INVALID, "--secret is needed");
    struct secret *secret = secret_resolve(bytes_of(s->secret), false, error);
    if (secret == NULL) return error_context(error, "--secret");
    buffer_init(&body, CLI_BODY_MAX);
    bool good = request_read(request, &headers, &signing.now_ms, error) && body_read(NULL, &body, error);
    signing.request = request_make(&headers, request->method, request->url);
    signing.body = buffer_view(&body);
    good = good && scheme_sign(scheme, secret_view(secret), &signing, &out->lines, &out->body, error);
    buffer_close(&body);
    secret_free(secret);
    return good;
}

static enum cli_exit sign_run(struct cli *cli, void *settings)
{
    const struct sign_settings *s = settings;
    struct error error = {0};
    struct signed_parts made;
    struct scheme_set *schemes = schemes_open(cli->request.schemes, &error);
    const struct scheme *scheme = schemes != NULL ? request_scheme(&cli->request, schemes, &error) : NULL;
    buffer_init(&made.lines, 64 * 1024);
    buffer_init(&made.body, CLI_BODY_MAX);
    const bool good = scheme != NULL && sign(s, &cli->request, scheme, &made, &error);
    const struct buffer *told = made.body.size > 0 ? &made.body : &made.lines;
    if (good)
        fwrite(told->data, 1, told->size, stdout);
    else
        talk("%s", error.text);
    buffer_close(&made.lines);
    buffer_close(&made.body);
    scheme_set_free(schemes);
    return good ? CLI_OK : CLI_USAGE;
}

const struct cli_command sign_command = {
    .name = "sign",
    .operands = "< BODY",
    .summary = "make the headers that sign a body as a provider does",
    .details =
        "Prints one `Name: value` line for each header that signing adds; for providers whose signature stands in\n"
        "the body (Adyen's payments, Mailgun, AWS SNS, Microsoft Graph) it prints the whole signed body instead.",
    .examples = "  drawbridge sign --scheme stripe --secret env:STRIPE_SECRET < event.json\n"
                "  drawbridge sign --scheme slack --secret env:S --now 1531420618 < body",
    .options = options,
    .option_count = sizeof options / sizeof options[0],
    .settings_size = sizeof(struct sign_settings),
    .takes_request = true,
    .run = sign_run,
};

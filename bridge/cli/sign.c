/* sign.c: `drawbridge sign`: what makes a body a provider's delivery; the counterpart of verify.
 * SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"
#include "clock.h"
#include "text.h"
#include <stddef.h>

struct sign_settings {
    const char *scheme, *secret, *url, *method, *now, *id, *schemes;
    struct cli_list headers;
};

#define FIELD(f) .offset = offsetof(struct sign_settings, f)
static const struct cli_option options[] = {
    {.name = "scheme",
     .kind = CLI_TEXT,
     FIELD(scheme),
     .argument = "NAME",
     .help = "sign as this provider does: a name from providers.cfg"},
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
    {.name = "header",
     .letter = 'H',
     .kind = CLI_LIST,
     FIELD(headers),
     .argument = "'NAME: VALUE'",
     .help = "a header that is sent anyway; it may be signed"},
    {.name = "url",
     .letter = 'u',
     .kind = CLI_TEXT,
     FIELD(url),
     .argument = "URL",
     .help = "the public URL with the query, where the scheme signs it"},
    {.name = "method",
     .kind = CLI_TEXT,
     FIELD(method),
     .argument = "METHOD",
     .default_text = "POST",
     .help = "of the request"},
    {.name = "now",
     .kind = CLI_TEXT,
     FIELD(now),
     .argument = "SECONDS",
     .help = "sign as of this Unix time; now, if not given"},
    {.name = "schemes",
     .kind = CLI_TEXT,
     FIELD(schemes),
     .argument = "FILE",
     .help = "further schemes, as in the ingress's triggers.schemes"},
};

static bool make_signing(const struct sign_settings *s, struct cli_headers *headers, struct scheme_signing *out,
                         struct error *error)
{
    int64_t now_s = 0;
    for (size_t i = 0; i < s->headers.count; i++)
        if (!headers_add_line(headers, bytes_of(s->headers.items[i]), error)) return error_context(error, "--header");
    if (s->now != NULL && !text_parse_int64(bytes_of(s->now), 0, INT64_MAX / 1000000, &now_s))
        return error_set(error, ERROR_INVALID, "--now takes Unix seconds");
    out->request = request_make(headers, s->method, s->url);
    out->id = bytes_of(s->id != NULL ? s->id : "");
    out->now_ms = s->now != NULL ? now_s * 1000 : clock_wall_us() / 1000;
    return true;
}

static bool sign(const struct sign_settings *s, const struct scheme *scheme, struct buffer *lines, struct buffer *made,
                 struct error *error)
{
    struct cli_headers headers = {.count = 0};
    struct scheme_signing signing = {.now_ms = 0};
    struct buffer body;
    struct secret *secret = secret_resolve(bytes_of(s->secret), false, error);
    if (secret == NULL) return error_context(error, "--secret");
    buffer_init(&body, CLI_BODY_MAX);
    bool good = make_signing(s, &headers, &signing, error) && body_read(NULL, &body, error);
    signing.body = buffer_view(&body);
    good = good && scheme_sign(scheme, secret_view(secret), &signing, lines, made, error);
    buffer_close(&body);
    secret_free(secret);
    return good;
}

static enum cli_exit sign_run(struct cli *cli, void *settings)
{
    (void)cli;
    const struct sign_settings *s = settings;
    struct error error = {0};
    struct buffer lines, made;
    struct scheme_set *schemes = schemes_open(s->schemes, &error);
    const struct scheme *scheme = schemes != NULL && s->scheme != NULL ? scheme_find(schemes, s->scheme) : NULL;
    buffer_init(&lines, 64 * 1024);
    buffer_init(&made, CLI_BODY_MAX);
    bool good = false;
    if (schemes != NULL && (s->scheme == NULL || s->secret == NULL))
        error_set(&error, ERROR_INVALID, "--scheme and --secret are needed");
    else if (schemes != NULL && scheme == NULL)
        error_set(&error, ERROR_INVALID, "there is no scheme '%s'", s->scheme);
    else if (schemes != NULL)
        good = sign(s, scheme, &lines, &made, &error);
    if (good)
        fwrite(made.size > 0 ? made.data : lines.data, 1, made.size > 0 ? made.size : lines.size, stdout);
    else
        talk("%s", error.text);
    buffer_close(&lines);
    buffer_close(&made);
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
    .run = sign_run,
};

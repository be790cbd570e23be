/* trigger_guide.c: for each provider who makes the secret, and what to do there; one row each.
 * SPDX-License-Identifier: Apache-2.0 */
#include "text.h"
#include "trigger.h"
#include <errno.h>
#include <string.h>
#include <sys/random.h>

static const struct guide guides[] = {
    {"github", GUIDE_OURS, NULL,
     "Repository or organisation > Settings > Webhooks > Add webhook.\n"
     "Payload URL: {url}\n"
     "Content type: application/json.  Secret: the one above.  Choose the events, then Add webhook.\n"
     "GitHub sends a ping at once: Recent Deliveries must show 202 for it."},
    {"gitlab-token", GUIDE_OURS, NULL,
     "Project or group > Settings > Webhooks > Add new webhook.\n"
     "URL: {url}\n"
     "Secret token: the one above.  Choose the triggers, keep SSL verification on, save, then Test.\n"
     "The token is sent along as it is; where GitLab offers a signing token, scheme gitlab-signing is stronger."},
    {"gitlab-signing", GUIDE_OURS_WHSEC, NULL,
     "Project or group > Settings > Webhooks > Add new webhook.\n"
     "URL: {url}\n"
     "Signing token: the one above (whsec_...).  Choose the triggers, save, then Test."},
    {"bitbucket", GUIDE_OURS, NULL,
     "Repository > Repository settings > Webhooks > Add webhook.\n"
     "URL: {url}\n"
     "Secret: the one above.  Choose the triggers and save."},
    {"bitbucket-data-center", GUIDE_OURS, NULL,
     "Repository > Repository settings > Webhooks > Create webhook.\n"
     "URL: {url}\n"
     "Secret: the one above.  Test connection, choose the events and save."},
    {"jira", GUIDE_OURS, NULL,
     "Settings > System > WebHooks > Create a WebHook.\n"
     "URL: {url}\n"
     "Secret: the one above.  Choose the events and save."},
    {"gitea", GUIDE_OURS, NULL,
     "Repository > Settings > Webhooks > Add Webhook > Gitea.\n"
     "Target URL: {url}\n"
     "POST content type: application/json.  Secret: the one above.  Save, then Test Delivery."},
    {"forgejo", GUIDE_OURS, NULL,
     "Repository > Settings > Webhooks > Add webhook > Forgejo.\n"
     "Target URL: {url}\n"
     "POST content type: application/json.  Secret: the one above.  Save, then test the delivery."},
    {"grafana", GUIDE_OURS, NULL,
     "Alerting > Contact points > New > Webhook.\n"
     "URL: {url}\n"
     "HMAC signature: the secret above.  A timestamp header, if you name one, goes into the trigger as well."},
    {"standard-webhooks", GUIDE_OURS_WHSEC, NULL,
     "Register {url} with the sender as a Standard Webhooks endpoint, with the secret above (whsec_...).\n"
     "If the sender makes the secret itself: rotate it in with --secret file:PATH."},
    {"stripe", GUIDE_THEIRS,
     "Developers > Webhooks > your endpoint > Signing secret > Reveal (whsec_...); taken whole, as text",
     "Developers > Webhooks > Add endpoint (or Workbench > Webhooks > Create).\n"
     "Endpoint URL: {url}\n"
     "Select the events and add it.  Each mode, test and live, has an endpoint and a signing secret of its own."},
    {"slack", GUIDE_THEIRS, "api.slack.com/apps > your app > Basic Information > App Credentials > Signing Secret",
     "api.slack.com/apps > your app > Event Subscriptions > Enable Events.\n"
     "Request URL: {url}\n"
     "Slack asks the URL at once and must show Verified; then subscribe to events, save, reinstall the app."},
    {"shopify", GUIDE_THEIRS,
     "your app's client secret (Partner Dashboard > Apps > your app > Client credentials), or for webhooks made in the "
     "admin the key shown at the end of Settings > Notifications > Webhooks",
     "Settings > Notifications > Webhooks > Create webhook (or a subscription through the Admin API).\n"
     "Format: JSON.  URL: {url}\n"
     "Shopify waits 5 seconds in all, so the answer must not wait longer for Kafka."},
    {"zoom", GUIDE_THEIRS, "Zoom App Marketplace > your app > Features > Access > Secret Token",
     "Zoom App Marketplace > your app > Features > Access > Event Subscription.\n"
     "Event notification endpoint URL: {url}\n"
     "Press Validate, then choose the events and save."},
    {"linear", GUIDE_THEIRS, "Settings > API > Webhooks > your webhook > Signing secret",
     "Settings > API > Webhooks > New webhook.\n"
     "URL: {url}\n"
     "Choose teams and events and create it."},
    {"sentry", GUIDE_THEIRS, "Settings > Developer Settings > your integration > Client Secret",
     "Settings > Developer Settings > Create New Integration > Internal Integration.\n"
     "Webhook URL: {url}\n"
     "Choose the resources and save.  Sentry does not deliver again."},
    {"pagerduty", GUIDE_THEIRS, "shown once when the subscription is made",
     "Integrations > Generic Webhooks (v3) > New Webhook.\n"
     "Webhook URL: {url}\n"
     "Choose scope and events, add it, and copy the signing secret from the dialog."},
    {"discord", GUIDE_THEIRS, "Developer Portal > your application > General Information > Public Key",
     "Developer Portal > your application > General Information.\n"
     "Interactions Endpoint URL: {url}\n"
     "Saving probes it with good and bad signatures; both must be answered rightly."},
    {"twilio", GUIDE_THEIRS, "Console > Account Info > Auth Token",
     "Console > Phone Numbers > your number > Messaging (or Voice).\n"
     "A message comes in: Webhook, {url}, HTTP POST.\n"
     "The URL is signed: it must be the ingress's public_url, character by character."},
    {"svix", GUIDE_THEIRS, "the endpoint's page > Signing Secret (whsec_...)",
     "Add an endpoint in the provider's webhook portal.\n"
     "Endpoint URL: {url}"},
    {"openai", GUIDE_THEIRS, "shown once when the webhook is made (whsec_...)",
     "Platform > Settings > Project > Webhooks > Create.\n"
     "URL: {url}"},
};
static const struct guide any_theirs = {"", GUIDE_THEIRS,
                                        "where the provider shows the endpoint's signing secret or key",
                                        "Register this URL with the provider: {url}"};
static const struct guide any_ours = {"", GUIDE_OURS, NULL,
                                      "Register this URL with the sender, and give it the secret above: {url}"};
/* Schemes without a row of their own whose secret the provider makes, or that take a public key. */
static const char *const theirs[] = {
    "square",     "paddle",   "adyen-classic", "adyen-platform", "hubspot-v1", "hubspot-v2",
    "hubspot-v3", "sendgrid", "mailgun",       "calendly",       "docusign",   "dropbox",
    "elevenlabs", "circleci", "vercel",        "intercom",       "zendesk",    "meta",
    "x",          "aws-sns",  "netlify",       "microsoft-graph"};

const struct guide *guide_find(const char *scheme)
{
    for (size_t i = 0; i < sizeof guides / sizeof guides[0]; i++)
        if (strcmp(guides[i].scheme, scheme) == 0) return &guides[i];
    for (size_t i = 0; i < sizeof theirs / sizeof theirs[0]; i++)
        if (strcmp(theirs[i], scheme) == 0) return &any_theirs;
    return &any_ours;
}

void guide_write(const struct guide *g, const char *url, struct buffer *out)
{
    static const char hole[] = "{url}";
    const char *rest = g->steps;
    for (const char *at; (at = strstr(rest, hole)) != NULL; rest = at + strlen(hole)) {
        buffer_append(out, rest, (size_t)(at - rest));
        buffer_text(out, url);
    }
    buffer_text(out, rest);
}

struct secret *guide_make_secret(const struct guide *g, struct error *error)
{
    uint8_t bytes[32];
    char hex[2 * sizeof bytes + 1];
    struct buffer text;
    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes) {
        error_set_errno(error, errno, "no random bytes from the kernel");
        return NULL;
    }
    buffer_init(&text, 128);
    buffer_reserve(&text, 128);
    text_hex(bytes, sizeof bytes, hex);
    if (g->secret == GUIDE_OURS_WHSEC) {
        buffer_text(&text, "whsec_");
        text_base64((struct bytes){bytes, sizeof bytes}, &text);
    } else {
        buffer_text(&text, hex);
    }
    struct secret *s = secret_copy(buffer_view(&text), error);
    explicit_bzero(bytes, sizeof bytes);
    explicit_bzero(hex, sizeof hex);
    if (text.data != NULL) explicit_bzero(text.data, text.capacity);
    buffer_close(&text);
    return s;
}

struct secret *guide_obtain_secret(const struct guide *g, const char *reference, struct error *error)
{
    if (reference != NULL) {
        struct secret *s = secret_resolve(bytes_of(reference), false, error);
        if (s == NULL) error_context(error, "--secret");
        return s;
    }
    if (g->secret != GUIDE_THEIRS) return guide_make_secret(g, error);
    error_set(
        error, ERROR_INVALID,
        "this provider makes the secret: give it as --secret file:PATH or --secret env:NAME.  It is found there: %s",
        g->where);
    return NULL;
}

static void show_secret(const struct secret *secret)
{
    struct buffer line;
    buffer_init(&line, 8192);
    buffer_reserve(&line, 8000); /* so that it never moves and leaves a copy behind */
    buffer_text(&line, "secret  ");
    buffer_bytes(&line, secret_view(secret));
    talk_line(buffer_view(&line));
    explicit_bzero(line.data, line.capacity);
    buffer_close(&line);
    talk("this secret is shown once; it stands sealed in the topic");
}

void guide_show(const struct guide *g, const char *url, const struct secret *shown, bool first)
{
    struct buffer line, steps;
    buffer_init(&line, 8192);
    buffer_init(&steps, 16384);
    buffer_format(&line, "url     %s", url);
    talk_line(buffer_view(&line));
    if (shown != NULL) show_secret(shown);
    guide_write(g, url, &steps);
    if (first) fprintf(stderr, "\nAt the sender:\n%s\n", buffer_cstr(&steps));
    buffer_close(&line);
    buffer_close(&steps);
}

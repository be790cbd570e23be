/* families.c: senders with several schemes, of which a request shows which it is.  Only for judging requests offline:
 * in the ingress the operator says which scheme it is, never the request.
 * SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"

/* The first row of the family whose header is there (and has that value, if it says one) counts; "" is always there. */
static const struct family {
    const char *name, *header, *value, *scheme;
} families[] = {
    {"svix", "svix-signature", NULL, "svix"},
    {"svix", "svix-id", NULL, "svix"},
    {"svix", "webhook-signature", NULL, "standard-webhooks"}, /* Svix can send the unbranded names, too */
    {"clerk", "webhook-signature", NULL, "standard-webhooks"},
    {"resend", "webhook-signature", NULL, "standard-webhooks"},
    {"gitlab", "webhook-signature", NULL, "gitlab-signing"},
    {"gitlab", "", NULL, "gitlab-token"},
    {"hubspot", "X-HubSpot-Signature-v3", NULL, "hubspot-v3"},
    {"hubspot", "X-HubSpot-Request-Timestamp", NULL, "hubspot-v3"},
    {"hubspot", "X-HubSpot-Signature-Version", "v2", "hubspot-v2"},
    {"hubspot", "", NULL, "hubspot-v1"},
    {"adyen", "HmacSignature", NULL, "adyen-platform"},
    {"adyen", "", NULL, "adyen-classic"},
    {"gitea", "X-Forgejo-Signature", NULL, "forgejo"},
};

static bool is_there(const struct family *f, const struct scheme_request *request)
{
    struct bytes value = {NULL, 0};
    if (!*f->header) return true;
    if (request->find(request->ctx, f->header, &value) == 0) return false;
    return f->value == NULL || bytes_are(value, f->value);
}

const struct scheme *family_scheme(const struct scheme_set *schemes, const char *family,
                                   const struct scheme_request *request)
{
    for (size_t i = 0; i < sizeof families / sizeof families[0]; i++)
        if (strcmp(families[i].name, family) == 0 && is_there(&families[i], request))
            return scheme_find(schemes, families[i].scheme);
    return scheme_find(schemes, family);
}

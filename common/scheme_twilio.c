/* scheme_twilio.c: Twilio signs the public URL and the decoded form, sorted; or the URL alone, with the body's digest
 * in its query (https://www.twilio.com/docs/usage/webhooks/webhooks-security).  Whether it writes the port is not known
 * beforehand, so both forms are tried.  SPDX-License-Identifier: Apache-2.0 */
#include "form.h"
#include "scheme_words.h"
#include "text.h"
#include <stdlib.h>

enum { FIELDS_MAX = 2000 };

/* Positions in `text`, which may move while it grows. */
struct pair {
    size_t name_at, name_size, value_at, value_size;
};
struct form {
    struct buffer text;
    struct pair pairs[FIELDS_MAX];
    size_t count;
};

static enum scheme_reason read_form(struct bytes body, struct form *form)
{
    struct form_field field;
    while (form_next(&body, &field)) {
        if (form->count == FIELDS_MAX) return SCHEME_MALFORMED;
        struct pair *p = &form->pairs[form->count++];
        p->name_at = form->text.size;
        if (!form_decode(field.name, &form->text)) return SCHEME_MALFORMED;
        p->name_size = form->text.size - p->name_at;
        p->value_at = form->text.size;
        if (!form_decode(field.value, &form->text)) return SCHEME_MALFORMED;
        p->value_size = form->text.size - p->value_at;
    }
    return buffer_ok(&form->text) ? SCHEME_OK : SCHEME_UNABLE;
}

static int compare(struct bytes a, struct bytes b)
{
    size_t common = a.size < b.size ? a.size : b.size;
    int order = common > 0 ? memcmp(a.data, b.data, common) : 0;
    return order != 0 ? order : (a.size > b.size) - (a.size < b.size);
}

static int compare_pairs(const void *left, const void *right, void *text)
{
    const struct pair *a = left, *b = right;
    const uint8_t *data = text;
    int order =
        compare((struct bytes){data + a->name_at, a->name_size}, (struct bytes){data + b->name_at, b->name_size});
    if (order != 0) return order;
    return compare((struct bytes){data + a->value_at, a->value_size},
                   (struct bytes){data + b->value_at, b->value_size});
}

/* Name and value of each field, sorted; equal pairs count once. */
static void append_form(struct form *form, struct buffer *out)
{
    if (form->text.size == 0) return; /* no field, or nothing but empty ones */
    qsort_r(form->pairs, form->count, sizeof form->pairs[0], compare_pairs, form->text.data);
    for (size_t i = 0; i < form->count; i++) {
        const struct pair *p = &form->pairs[i];
        if (i > 0 && compare_pairs(p - 1, p, form->text.data) == 0) continue;
        buffer_append(out, form->text.data + p->name_at, p->name_size);
        buffer_append(out, form->text.data + p->value_at, p->value_size);
    }
}

/* Where the port of a URL stands: ":8443", or empty at the end of the host. */
static bool find_port(struct bytes url, size_t *at, size_t *size, const char **usual)
{
    static const struct {
        const char *prefix, *port;
    } schemes[] = {{"https://", ":443"}, {"http://", ":80"}};
    *usual = NULL;
    for (size_t i = 0; i < 2 && !*usual; i++)
        if (text_starts_with_ignore_case(url, schemes[i].prefix)) {
            *usual = schemes[i].port;
            *at = strlen(schemes[i].prefix);
        }
    if (!*usual) return false;
    size_t end = *at, colon = 0;
    for (; end < url.size && !strchr("/?#", url.data[end]); end++)
        if (url.data[end] == ':')
            colon = end;
        else if (url.data[end] == ']' || url.data[end] == '@')
            colon = 0;
    *at = colon > 0 ? colon : end;
    *size = end - *at;
    return true;
}

static void append_url(const struct scheme_request *request, size_t at, size_t size, struct bytes port,
                       struct buffer *out)
{
    buffer_append(out, request->url.data, at);
    buffer_bytes(out, port);
    buffer_append(out, request->url.data + at + size, request->url.size - at - size);
    buffer_bytes(out, request->query);
}

static bool is_form(const struct scheme_request *request)
{
    struct bytes type;
    enum scheme_reason reason = scheme_header(request, "Content-Type", &type);
    return reason == SCHEME_MISSING ||
           (reason == SCHEME_OK && text_starts_with_ignore_case(type, "application/x-www-form-urlencoded"));
}

/* A body that is no form is covered by its digest in the signed query. */
static enum scheme_reason check_body_digest(const struct scheme_request *request, struct bytes body)
{
    struct bytes value;
    uint8_t given[SIGNATURE_SHA256_SIZE], digest[SIGNATURE_SHA256_SIZE];
    size_t count = form_find(form_query(request->query), "bodySHA256", &value);
    if (count > 1) return SCHEME_REPEATED;
    if (count == 0) return body.size == 0 ? SCHEME_OK : SCHEME_MISSING;
    if (!text_unhex(value, given, sizeof given)) return SCHEME_MALFORMED;
    signature_sha256(&body, 1, digest);
    return signature_equal(given, digest, sizeof digest) ? SCHEME_OK : SCHEME_MISMATCH;
}

static enum scheme_reason add_proofs(const struct scheme_request *request, struct bytes signature, struct form *form,
                                     struct scheme_proofs *out)
{
    size_t at, size;
    const char *usual;
    if (!find_port(request->url, &at, &size, &usual)) return SCHEME_UNABLE;
    struct bytes own = {request->url.data + at, size};
    const struct bytes ports[] = {{NULL, 0}, size > 0 ? own : bytes_of(usual)};
    enum scheme_reason reason = SCHEME_OK;
    for (size_t i = 0; i < 2 && reason == SCHEME_OK; i++) {
        scheme_proof_begin(out);
        append_url(request, at, size, ports[i], &out->text);
        append_form(form, &out->text);
        scheme_proof_signature(out);
        if (!scheme_decode(ENCODING_BASE64, signature, &out->text)) return SCHEME_MALFORMED;
        reason = scheme_proof_end(out);
    }
    return reason;
}

enum scheme_reason scheme_twilio_extract(const struct scheme *s, const struct scheme_request *request,
                                         struct bytes body, struct scheme_proofs *out)
{
    struct bytes signature;
    enum scheme_reason reason = scheme_header(request, s->forms[0].words.signature_header, &signature);
    struct form *form = calloc(1, sizeof *form);
    if (!form) return SCHEME_UNABLE;
    buffer_init(&form->text, PROOFS_TEXT_MAX);
    if (reason == SCHEME_OK) reason = is_form(request) ? read_form(body, form) : check_body_digest(request, body);
    if (reason == SCHEME_OK) reason = add_proofs(request, signature, form, out);
    buffer_close(&form->text);
    free(form);
    return reason;
}

/* verification_claims.c: where the signature stands in a request, and its entries, decoded strictly.
 * SPDX-License-Identifier: Apache-2.0 */
#include "form.h"
#include "scheme_entry.h"
#include "text.h"
#include "verification_parts.h"

/* A parameter of the query, decoded into x->decoded. */
static enum scheme_reason locate_in_query(struct verification *x, const struct scheme_request *request,
                                          struct bytes *header)
{
    struct bytes value;
    size_t count = form_find(form_query(request->query), x->verifier->scheme->forms[0].words.signature_query, &value);
    if (count != 1) return count == 0 ? SCHEME_MISSING : SCHEME_REPEATED;
    buffer_clear(&x->decoded);
    if (!form_decode(value, &x->decoded)) return SCHEME_MALFORMED;
    if (!buffer_ok(&x->decoded)) return SCHEME_UNABLE;
    *header = buffer_view(&x->decoded);
    return header->size > 0 ? SCHEME_OK : SCHEME_MISSING;
}

enum scheme_reason verification_locate(struct verification *x, const struct scheme_request *request,
                                       struct bytes *header)
{
    const struct scheme_words *w = &x->verifier->scheme->forms[0].words;
    *header = (struct bytes){NULL, 0};
    enum scheme_reason reason = SCHEME_MISSING;
    size_t count = request->find(request->ctx, w->signature_header, header);
    if (count > 1) return SCHEME_REPEATED;
    if (count == 1 && header->size > 0) reason = header->size <= SIGNATURE_TEXT_MAX ? SCHEME_OK : SCHEME_MALFORMED;
    if (!*w->signature_query) return reason;
    if (count == 0) return locate_in_query(x, request, header);
    struct bytes other;
    return form_find(form_query(request->query), w->signature_query, &other) > 0 ? SCHEME_REPEATED : reason;
}

/* False: not of this form's encoding and length. */
static bool decode_claim(struct verification *x, const struct scheme_form *f, struct bytes value,
                         struct verification_claim *claim)
{
    size_t wanted = scheme_algorithm_of(f)->signature_size;
    claim->form = f;
    if (f->words.algorithm == ALGORITHM_EQUAL) {
        claim->size = SIGNATURE_SHA256_SIZE;
        signature_sha256(&value, 1, claim->data);
        return value.size > 0;
    }
    if (value.size == 0 || value.size > 2 * CLAIM_SIZE_MAX) return false;
    struct buffer *decoded = &x->text;
    buffer_clear(decoded);
    if (!scheme_decode((enum scheme_encoding)f->words.encoding, value, decoded)) return false;
    if (decoded->size == 0 || decoded->size > CLAIM_SIZE_MAX || (wanted > 0 && decoded->size != wanted)) return false;
    memcpy(claim->data, decoded->data, claim->size = decoded->size);
    return true;
}

/* Entries of another tag or of no proper form are skipped, never tried; false: more good ones than anybody sends. */
static bool add_claims(struct verification *x, const struct scheme_form *f, struct bytes header)
{
    const struct scheme_words *w = &f->words;
    struct bytes entry, value;
    bool bare = header.data == x->decoded.data; /* from the query: no list, no tag */
    while (scheme_entry_next(&header, bare ? 0 : *w->list_separator, &entry)) {
        struct verification_claim claim;
        if (!scheme_entry_value(entry, bare ? "" : w->version_tag, *w->tag_separator, &value)) continue;
        if (!decode_claim(x, f, value, &claim)) continue;
        if (x->claim_count == CLAIMS_MAX) return false;
        x->claims[x->claim_count++] = claim;
    }
    return true;
}

/* Only forms that a secret was configured for. */
static bool form_is_used(const struct verifier *v, const struct scheme_form *f)
{
    bool used = false;
    for (size_t i = 0; i < v->count; i++)
        used = used || v->keys[i].form == f;
    return used;
}

static bool add_header(struct verification *x, struct bytes header)
{
    const struct scheme *s = x->verifier->scheme;
    bool good = true;
    for (size_t i = 0; i < s->form_count && good; i++)
        if (form_is_used(x->verifier, &s->forms[i])) good = add_claims(x, &s->forms[i], header);
    return good;
}

/* "X-DocuSign-Signature-#": 1 to 16, gaps allowed, each at most once. */
static enum scheme_reason read_numbered(struct verification *x, const struct scheme_request *request,
                                        struct bytes *header)
{
    const char *pattern = x->verifier->scheme->forms[0].words.signature_header;
    size_t stem = strlen(pattern) - 1, present = 0;
    for (int n = 1; n <= NUMBERED_MAX; n++) {
        char name[160];
        struct bytes value = {NULL, 0};
        snprintf(name, sizeof name, "%.*s%d", (int)stem, pattern, n);
        size_t count = request->find(request->ctx, name, &value);
        if (count > 1) return SCHEME_REPEATED;
        if (count == 0 || value.size == 0) continue;
        if (present++ == 0) *header = value;
        if (value.size > SIGNATURE_TEXT_MAX || !add_header(x, value)) return SCHEME_MALFORMED;
    }
    if (present == 0) return SCHEME_MISSING;
    return x->claim_count > 0 ? SCHEME_OK : SCHEME_MALFORMED;
}

enum scheme_reason verification_read_claims(struct verification *x, const struct scheme_request *request,
                                            struct bytes *header)
{
    const struct scheme *s = x->verifier->scheme;
    x->claim_count = 0;
    *header = (struct bytes){NULL, 0};
    if (scheme_algorithm_of(&s->forms[0])->in_body) return SCHEME_OK;
    if (s->numbered) return read_numbered(x, request, header);
    enum scheme_reason reason = verification_locate(x, request, header);
    if (reason != SCHEME_OK || scheme_algorithm_of(&s->forms[0])->mechanism == MECHANISM_PROOFS) return reason;
    return add_header(x, *header) && x->claim_count > 0 ? SCHEME_OK : SCHEME_MALFORMED;
}

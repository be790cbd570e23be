/* template.h: texts with tokens, as the schemes name deliveries and events: "com.github.{header:X-GitHub-Event}". Pure.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "buffer.h"
#include "error.h"

enum template_token {
    TEMPLATE_HEADER, /* {header:NAME}: the request header of that name, any case */
    TEMPLATE_BODY,   /* {body:/json/pointer}: a string, or the source text of a number, inside the verified body */
};

/* Literal text, and the token behind it; the last part may have no token. */
struct template_part {
    char *literal;
    bool has_token;
    enum template_token token;
    char *argument; /* header name or JSON pointer */
};
enum { TEMPLATE_PARTS_MAX = 16 };
struct template
{
    struct template_part parts[TEMPLATE_PARTS_MAX];
    size_t count; /* 0: the template is empty */
};

/* Compiles a text; the error names what is wrong with it.  template_close frees, also after a failure. */
bool template_init(struct template *t, const char *text, struct error *error);
void template_close(struct template *t);
/* RFC 9110 token: what a header's name may be made of. */
bool template_is_header_name(struct bytes name);
bool template_has_tokens(const struct template *t);

/* Where tokens get their values: how many headers of that name (any case) there are and, if at least one, the value of
 * the first. */
struct template_source {
    size_t (*find)(void *ctx, const char *name, struct bytes *value);
    void *ctx;
    struct bytes body;
};

/* Whether every token has to be there. */
enum template_mode {
    TEMPLATE_WHOLE, /* one absent token: nothing at all */
    TEMPLATE_PARTS, /* an absent token goes together with the literal text before it */
};
/* Appends the filled template.  *present counts the tokens that had a value; 0 leaves `out` as it was, and so does a
 * token that is absent in TEMPLATE_WHOLE.  An empty header value is absent in TEMPLATE_PARTS only.  False: a header or
 * a pointed-at key stands there twice, so nobody can say which one counts. */
bool template_fill(const struct template *t, const struct template_source *source, enum template_mode mode,
                   struct buffer *out, bool *filled, struct error *error);

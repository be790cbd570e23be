/* template.h: texts with tokens, as the schemes name deliveries and events and say what is signed:
 * "com.github.{header:X-GitHub-Event}", "{timestamp}.{body}".  Pure.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "buffer.h"
#include "error.h"

struct json_members;

enum template_token {
    TEMPLATE_HEADER,      /* {header:NAME}: the request header of that name, any case */
    TEMPLATE_BODY,        /* {body:/json/pointer}: a string, or the source text of a number, in the verified body */
    TEMPLATE_QUERY,       /* {query:NAME}: the decoded parameter of the request's query */
    TEMPLATE_SIGNATURE,   /* {signature:TAG}: the value of that tag in the signature header */
    TEMPLATE_TIMESTAMP,   /* {timestamp}: the text that the scheme's timestamp found */
    TEMPLATE_METHOD,      /* {method} */
    TEMPLATE_URL,         /* {url}: the public URL with the raw query */
    TEMPLATE_URL_DECODED, /* {url-decoded}: the same with the escapes undone that HubSpot undoes */
    TEMPLATE_KEY,         /* {key}: the secret */
    TEMPLATE_TOKENS,
};
/* Sets of tokens, for where they may stand. */
#define TEMPLATE_BIT(token) (1u << (token))
#define TEMPLATE_IDENTITY                                                                                              \
    (TEMPLATE_BIT(TEMPLATE_HEADER) | TEMPLATE_BIT(TEMPLATE_BODY) | TEMPLATE_BIT(TEMPLATE_QUERY) |                      \
     TEMPLATE_BIT(TEMPLATE_METHOD))
#define TEMPLATE_TIME                                                                                                  \
    (TEMPLATE_BIT(TEMPLATE_HEADER) | TEMPLATE_BIT(TEMPLATE_BODY) | TEMPLATE_BIT(TEMPLATE_QUERY) |                      \
     TEMPLATE_BIT(TEMPLATE_SIGNATURE))
#define TEMPLATE_SIGNED ((TEMPLATE_BIT(TEMPLATE_TOKENS) - 1) & ~TEMPLATE_BIT(TEMPLATE_BODY))

/* Literal text, and the token behind it; the last part may have no token. */
struct template_part {
    char *literal;
    bool has_token;
    enum template_token token;
    char *argument; /* header name, JSON pointer, parameter or tag; NULL if the token takes none */
};
enum { TEMPLATE_PARTS_MAX = 16 };
struct template
{
    struct template_part parts[TEMPLATE_PARTS_MAX];
    size_t count; /* 0: the template is empty */
};

/* Compiles a text that may hold the tokens of the set `allowed`; the error names what is wrong with it.  template_close
 * frees, also after a failure. */
bool template_init(struct template *t, struct bytes text, unsigned allowed, struct error *error);
void template_close(struct template *t);
/* RFC 9110 token: what a header's name may be made of. */
bool template_is_header_name(struct bytes name);
bool template_has_tokens(const struct template *t);
bool template_has(const struct template *t, enum template_token token);

/* Where tokens get their values.  `find` says how many headers of that name (any case) there are and, if at least one,
 * the value of the first.  What a use does not allow may be left empty. */
struct template_source {
    size_t (*find)(void *ctx, const char *name, struct bytes *value);
    void *ctx;
    struct bytes body, method, url, query, timestamp, key;
    const struct json_members *members; /* of the body, from the scanner that found it to be JSON; may be NULL */
    struct bytes signature;             /* the signature header's value, and its separators */
    char list_separator, tag_separator;
};

/* Whether every token has to be there. */
enum template_mode {
    TEMPLATE_WHOLE, /* one absent token: nothing at all */
    TEMPLATE_PARTS, /* an absent token goes together with the literal text before it */
};
/* Appends the filled template.  *filled tells whether there was a token with a value, or none to begin with; if not,
 * `out` is left as it was, and so it is by a token that is absent in TEMPLATE_WHOLE.  An empty header value is absent
 * in TEMPLATE_PARTS only.  False: a header or a pointed-at key stands there twice, so nobody can say which one
 * counts. */
bool template_fill(const struct template *t, const struct template_source *source, enum template_mode mode,
                   struct buffer *out, bool *filled, struct error *error);

/* What is wrong with a request whose signed text can't be put together. */
enum template_fault {
    TEMPLATE_FINE,
    TEMPLATE_ABSENT,
    TEMPLATE_TWICE,
    TEMPLATE_BAD, /* a value of no proper form */
    TEMPLATE_NO_MEMORY,
};
/* Appends the filled template as a part of what is signed: every token must be there and not be empty, and a value that
 * the sender chose must not hold the character that follows it in the template: the same bytes could be cut
 * differently. */
enum template_fault template_fill_signed(const struct template *t, const struct template_source *source,
                                         struct buffer *out);

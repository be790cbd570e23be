/* form.h: application/x-www-form-urlencoded texts, of bodies and of queries, field by field.  Pure.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "buffer.h"

struct form_field {
    struct bytes name, value; /* as written, still encoded; value is empty without a '=' */
};
/* Takes the next field off `rest`; empty ones ("&&") are none.  False at the end. */
bool form_next(struct bytes *rest, struct form_field *field);
/* Appends the decoded text: '+' is a space, %XX a byte.  False, with nothing appended, when an escape is broken. */
bool form_decode(struct bytes text, struct buffer *out);
/* How many fields have that name once decoded (two are reported as soon as they are seen); the first one's value, still
 * encoded, in *value. */
size_t form_find(struct bytes fields, const char *name, struct bytes *value);
/* A query without its '?'. */
struct bytes form_query(struct bytes query);
/* The byte that the %XX at the beginning of `text` stands for; -1: there is none. */
int form_escape(struct bytes text);

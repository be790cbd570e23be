/* json_pointer.h: one value out of a JSON text by its RFC 6901 path, without building a tree.  Pure.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "buffer.h"
#include "json.h"

enum json_found {
    JSON_FOUND,
    JSON_ABSENT,  /* nothing stands at the path */
    JSON_TWICE,   /* a key on the path stands there twice: readers would disagree */
    JSON_INVALID, /* the text is not JSON as far as it was read */
};

/* Looks `pointer` ("/event/id", "/items/0", "" for the whole) up in one pass over the levels it names; keys are
 * compared after undoing escapes on both sides.  What it skips is not checked: feed the text to a json_scanner for
 * that.  On JSON_FOUND *raw views the value's source text inside `text`, without surrounding white space.  Allocates
 * nothing. */
enum json_found json_pointer_find(struct bytes text, const char *pointer, struct bytes *raw);

/* The same, straight to the first level: `members` come from the json_scanner that found this very text to be JSON. */
enum json_found json_pointer_find_in(struct bytes text, const struct json_members *members, const char *pointer,
                                     struct bytes *raw);

/* True if the pointer is one: empty, or "/" before each part, "~" only as "~0" and "~1". */
bool json_pointer_valid(struct bytes pointer);

/* Appends what a value that json_pointer_find returned says as text: a string without its escapes, a number as it
 * stands (doubles lose digits above 2^53).  False, and nothing appended, for any other kind and for a string whose
 * escapes make no text (a lone surrogate, U+0000). */
bool json_pointer_text(struct bytes raw, struct buffer *out);

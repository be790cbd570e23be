/* scheme_entry.h: the grammar of signature headers: "t=1492774577,v1=5257a8...,v1=...".  Pure.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "buffer.h"

/* Takes the next entry off `rest`, whose data is NULL behind the last one; separator 0: the whole is one entry. */
bool scheme_entry_next(struct bytes *rest, char separator, struct bytes *entry);
/* The value behind the tag, cut at the first separator; false when the entry has another tag or none.  An empty tag:
 * the entry itself. */
bool scheme_entry_value(struct bytes entry, const char *tag, char tag_separator, struct bytes *value);

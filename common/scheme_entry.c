/* scheme_entry.c: entries of a signature header.
 * SPDX-License-Identifier: Apache-2.0 */
#include "scheme_entry.h"

bool scheme_entry_next(struct bytes *rest, char separator, struct bytes *entry)
{
    if (!rest->data) return false;
    const uint8_t *end = separator && rest->size > 0 ? memchr(rest->data, separator, rest->size) : NULL;
    if (!end) {
        *entry = *rest;
        *rest = (struct bytes){NULL, 0};
        return true;
    }
    *entry = (struct bytes){rest->data, (size_t)(end - rest->data)};
    *rest = (struct bytes){end + 1, rest->size - entry->size - 1};
    return true;
}

bool scheme_entry_value(struct bytes entry, const char *tag, char tag_separator, struct bytes *value)
{
    size_t size = strlen(tag);
    *value = entry;
    if (size == 0) return true;
    if (entry.size <= size || memcmp(entry.data, tag, size) != 0) return false;
    if (entry.data[size] != (uint8_t)tag_separator) return false;
    *value = (struct bytes){entry.data + size + 1, entry.size - size - 1};
    return true;
}

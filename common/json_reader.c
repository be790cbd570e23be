/* json_reader.c: JSON that we read ourselves: our scanner says whether it is JSON, cJSON makes the tree.
 * SPDX-License-Identifier: Apache-2.0 */
#include "json.h"
#include "text.h"
#include <cjson/cJSON.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

/* struct json is never defined: it is cJSON's node under our name. */
static const cJSON *node_of(const struct json *node)
{
    return (const cJSON *)node;
}

static const struct json *json_of(const cJSON *node)
{
    return (const struct json *)node;
}

struct json *json_parse(struct bytes text, struct error *error)
{
    struct json_scanner s;
    json_scanner_init(&s);
    s.depth_max = JSON_READ_DEPTH_MAX;
    if (!json_scanner_feed(&s, text.data, text.size) || !json_scanner_end(&s)) {
        error_set(error, ERROR_INVALID, "not valid JSON: %s at byte %" PRId64, s.what, s.offset);
        return NULL;
    }
    if (s.nul_escape) { /* cJSON would end the string there */
        error_set(error, ERROR_INVALID, "JSON with \\u0000 in a string is not accepted");
        return NULL;
    }
    const char *end = NULL;
    errno = 0;
    cJSON *root = cJSON_ParseWithLengthOpts((const char *)text.data, text.size, &end, 0);
    /* What our scanner passed and cJSON does not read whole: a lone surrogate; before 1.7.18 a number over 63
     * characters. */
    while (root && end < (const char *)text.data + text.size && strchr(" \n\r\t", *end))
        end++;
    if (!root || end != (const char *)text.data + text.size) {
        cJSON_Delete(root);
        if (!root && errno == ENOMEM)
            error_set(error, ERROR_MEMORY, "no memory for a JSON document");
        else
            error_set(error, ERROR_INVALID, "JSON that cannot be read: a lone surrogate or an over-long number");
        return NULL;
    }
    return (struct json *)root;
}

void json_free(struct json *document)
{
    cJSON_Delete((cJSON *)document);
}

enum json_kind json_kind(const struct json *node)
{
    switch (node_of(node)->type & 0xFF) {
    case cJSON_False:
    case cJSON_True: return JSON_BOOL;
    case cJSON_Number: return JSON_NUMBER;
    case cJSON_String: return JSON_TEXT;
    case cJSON_Array: return JSON_ARRAY;
    case cJSON_Object: return JSON_OBJECT;
    default: return JSON_NULL;
    }
}

static bool is_kind(const struct json *node, enum json_kind kind)
{
    return node && json_kind(node) == kind;
}

const struct json *json_get(const struct json *object, const char *key, bool *duplicate)
{
    const cJSON *found = NULL;
    bool twice = false;
    if (is_kind(object, JSON_OBJECT)) {
        for (const cJSON *child = node_of(object)->child; child; child = child->next) {
            if (strcmp(child->string, key) != 0) continue;
            twice = found != NULL;
            if (twice) break;
            found = child;
        }
    }
    if (duplicate) *duplicate = twice;
    return twice ? NULL : json_of(found);
}

static const cJSON *child_at(const struct json *node, size_t index)
{
    if (!is_kind(node, JSON_ARRAY) && !is_kind(node, JSON_OBJECT)) return NULL;
    const cJSON *child = node_of(node)->child;
    for (; child && index > 0; index--)
        child = child->next;
    return child;
}

const struct json *json_at(const struct json *array, size_t index)
{
    return json_of(child_at(array, index));
}

size_t json_count(const struct json *node)
{
    size_t count = 0;
    for (const cJSON *child = child_at(node, 0); child; child = child->next)
        count++;
    return count;
}

const char *json_key_at(const struct json *object, size_t index)
{
    const cJSON *child = is_kind(object, JSON_OBJECT) ? child_at(object, index) : NULL;
    return child ? child->string : NULL;
}

bool json_text(const struct json *node, const char **out)
{
    if (!is_kind(node, JSON_TEXT)) return false;
    *out = node_of(node)->valuestring;
    return true;
}

bool json_int64(const struct json *node, int64_t *out)
{
    if (!is_kind(node, JSON_NUMBER)) return false;
    double value = node_of(node)->valuedouble;
    /* 2^53 itself is out: 2^53 + 1 reads as the same double. */
    if (!(value > -0x1p53 && value < 0x1p53) || (double)(int64_t)value != value) return false;
    *out = (int64_t)value;
    return true;
}

bool json_bool(const struct json *node, bool *out)
{
    if (!is_kind(node, JSON_BOOL)) return false;
    *out = (node_of(node)->type & 0xFF) == cJSON_True;
    return true;
}

/* json.h: (1) an incremental RFC 8259 + UTF-8 scanner that allocates nothing, for bodies we pass on untouched;
 * (2) a strict face over cJSON for JSON that we read ourselves; (3) a writer that appends to a buffer.  Pure.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "buffer.h"
#include "error.h"

/* (1) Grammar, UTF-8 and depth (512); numbers of any size, duplicate keys and lone surrogate escapes pass.  The verdict
 * and the offset of the first bad byte are the same for every split of the input. */
enum { JSON_DEPTH_MAX = 512 };
/* Where the members of the document stand if it is an object: offsets of each key's two quotes and of its value. */
enum { JSON_MEMBERS_MAX = 32, JSON_KEY_ESCAPED = -1 };
struct json_members {
    int count; /* JSON_MEMBERS_MAX + 1: too many to list */
    struct {
        int64_t key, value;
        int64_t key_end; /* JSON_KEY_ESCAPED: there is a backslash in the key */
    } at[JSON_MEMBERS_MAX];
};
struct json_scanner {
    struct json_members members;
    int64_t offset;   /* bytes accepted so far; of the bad byte after a failure */
    const char *what; /* NULL, or what is wrong there: "unexpected byte", "unterminated string", ...; static */
    bool nul_escape;  /* \u0000 stood in a string: fine in JSON, not in a C string */
    int depth_max;    /* may be lowered between init and the first byte */
    /* The scanner's own: */
    int state, depth;
    bool in_key;                         /* the string at hand is a key */
    int left;                            /* hex digits or UTF-8 bytes to come */
    uint32_t code;                       /* of \uXXXX so far */
    uint8_t low, high;                   /* bounds of the next UTF-8 byte */
    const uint8_t *piece;                /* what is being fed */
    const char *literal;                 /* what must follow of true, false, null */
    uint8_t nesting[JSON_DEPTH_MAX / 8]; /* a bit per level: 1 is an object */
};
void json_scanner_init(struct json_scanner *s);
/* False once the input can't be JSON any more; then s->what and s->offset say why and where. */
bool json_scanner_feed(struct json_scanner *s, const void *data, size_t size);
/* The input has ended: true if it was exactly one JSON value (white space around it allowed). */
bool json_scanner_end(struct json_scanner *s);

/* (2) A parsed document.  Refused (ERROR_INVALID): whatever the scanner refuses, \u0000 and lone surrogates in strings,
 * depth over 64; duplicates of a key when that key is looked up.  Nodes belong to the document; the caller frees it
 * with json_free. */
enum { JSON_READ_DEPTH_MAX = 64 };
struct json;
struct json *json_parse(struct bytes text, struct error *error);
void json_free(struct json *document);

enum json_kind { JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_TEXT, JSON_ARRAY, JSON_OBJECT };
enum json_kind json_kind(const struct json *node); /* not NULL */
/* Exact case.  NULL when absent, or when the key stands there twice (then *duplicate, if given, is true). */
const struct json *json_get(const struct json *object, const char *key, bool *duplicate);
/* By position in an array or object, walking from its beginning; NULL beyond the end. */
const struct json *json_at(const struct json *array, size_t index);
size_t json_count(const struct json *node);
/* Key of an object's member by position; the value by json_at. */
const char *json_key_at(const struct json *object, size_t index);
/* Each is false if the node is NULL or of another kind (int64: not an integer strictly within +-2^53, where doubles are
 * exact). */
bool json_text(const struct json *node, const char **out);
bool json_int64(const struct json *node, int64_t *out);
bool json_bool(const struct json *node, bool *out);

/* (3) Commas and escaping are the writer's business.  Text that is not UTF-8 gets U+FFFD in place of bad bytes.
 * The buffer's sticky error is the writer's error. */
struct json_writer {
    struct buffer *out;
    bool comma;
};
void json_writer_init(struct json_writer *w, struct buffer *out);
/* `key` is NULL inside arrays and at the top. */
void json_write_object(struct json_writer *w, const char *key);
void json_write_object_end(struct json_writer *w);
void json_write_array(struct json_writer *w, const char *key);
void json_write_array_end(struct json_writer *w);
void json_write_text(struct json_writer *w, const char *key, struct bytes value);
void json_write_cstr(struct json_writer *w, const char *key, const char *value); /* NULL writes null */
void json_write_int(struct json_writer *w, const char *key, int64_t value);
void json_write_bool(struct json_writer *w, const char *key, bool value);
void json_write_null(struct json_writer *w, const char *key);
/* `json` is a complete JSON value, copied as it is. */
void json_write_raw(struct json_writer *w, const char *key, struct bytes json);

/* template.c: texts with tokens.
 * SPDX-License-Identifier: Apache-2.0 */
#include "template.h"
#include "form.h"
#include "json_pointer.h"
#include "scheme_entry.h"
#include <stdlib.h>

bool template_is_header_name(struct bytes name)
{
    static const char others[] = "!#$%&'*+-.^_`|~";
    for (size_t i = 0; i < name.size; i++) {
        uint8_t c = name.data[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!letter && (c == 0 || !strchr(others, c))) return false;
    }
    return name.size > 0;
}

static bool is_member_pointer(struct bytes pointer)
{
    return pointer.size > 0 && json_pointer_valid(pointer);
}

static bool is_name(struct bytes name)
{
    return name.size > 0;
}

static enum template_fault look_up_header(const struct template_source *source, const char *name, struct buffer *out)
{
    struct bytes text = {NULL, 0};
    size_t count = source->find(source->ctx, name, &text);
    if (count == 0) return TEMPLATE_ABSENT;
    if (count > 1) return TEMPLATE_TWICE;
    buffer_bytes(out, text);
    return TEMPLATE_FINE;
}

/* A body that is no JSON has no keys; whether it should have been JSON is decided elsewhere. */
static enum template_fault look_up_body(const struct template_source *source, const char *pointer, struct buffer *out)
{
    struct bytes raw;
    switch (source->members ? json_pointer_find_in(source->body, source->members, pointer, &raw)
                            : json_pointer_find(source->body, pointer, &raw)) {
    case JSON_FOUND: return json_pointer_text(raw, out) ? TEMPLATE_FINE : TEMPLATE_ABSENT;
    case JSON_TWICE: return TEMPLATE_TWICE;
    case JSON_ABSENT:
    case JSON_INVALID: break;
    }
    return TEMPLATE_ABSENT;
}

static enum template_fault look_up_query(const struct template_source *source, const char *name, struct buffer *out)
{
    struct bytes value;
    size_t count = form_find(form_query(source->query), name, &value);
    if (count == 0) return TEMPLATE_ABSENT;
    if (count > 1) return TEMPLATE_TWICE;
    return form_decode(value, out) ? TEMPLATE_FINE : TEMPLATE_BAD;
}

static enum template_fault look_up_signature(const struct template_source *source, const char *tag, struct buffer *out)
{
    struct bytes rest = source->signature, entry, value, found = {NULL, 0};
    size_t count = 0;
    while (scheme_entry_next(&rest, source->list_separator, &entry)) {
        if (!scheme_entry_value(entry, tag, source->tag_separator, &value)) continue;
        if (count++ == 0) found = value;
    }
    if (count != 1) return count == 0 ? TEMPLATE_ABSENT : TEMPLATE_TWICE;
    buffer_bytes(out, found);
    return TEMPLATE_FINE;
}

static enum template_fault append_known(struct bytes value, struct buffer *out)
{
    if (value.size == 0) return TEMPLATE_ABSENT;
    buffer_bytes(out, value);
    return TEMPLATE_FINE;
}

static enum template_fault look_up_timestamp(const struct template_source *source, const char *unused,
                                             struct buffer *out)
{
    (void)unused;
    return append_known(source->timestamp, out);
}

static enum template_fault look_up_method(const struct template_source *source, const char *unused, struct buffer *out)
{
    (void)unused;
    return append_known(source->method, out);
}

static enum template_fault look_up_url(const struct template_source *source, const char *unused, struct buffer *out)
{
    (void)unused;
    if (source->url.size == 0) return TEMPLATE_ABSENT;
    buffer_bytes(out, source->url);
    buffer_bytes(out, source->query);
    return TEMPLATE_FINE;
}

/* HubSpot signs the URL after it has undone these escapes, and only these
 * (https://developers.hubspot.com/docs/apps/legacy-apps/authentication/validating-requests). */
static void append_decoded(struct bytes text, struct buffer *out)
{
    static const char undone[] = ":/?@!$'()*,;";
    for (size_t i = 0; i < text.size; i++) {
        int byte = form_escape((struct bytes){text.data + i, text.size - i});
        if (byte <= 0 || !strchr(undone, byte)) {
            buffer_byte(out, (char)text.data[i]);
            continue;
        }
        buffer_byte(out, (char)byte);
        i += 2;
    }
}

static enum template_fault look_up_url_decoded(const struct template_source *source, const char *unused,
                                               struct buffer *out)
{
    (void)unused;
    if (source->url.size == 0) return TEMPLATE_ABSENT;
    append_decoded(source->url, out);
    append_decoded(source->query, out);
    return TEMPLATE_FINE;
}

static enum template_fault look_up_key(const struct template_source *source, const char *unused, struct buffer *out)
{
    (void)unused;
    return append_known(source->key, out);
}

static const struct token_kind {
    const char *prefix; /* "header:", or the whole token when `valid` is NULL */
    bool (*valid)(struct bytes argument);
    enum template_fault (*look_up)(const struct template_source *source, const char *argument, struct buffer *out);
    bool chosen; /* the sender chose the value freely */
} kinds[TEMPLATE_TOKENS] = {
    [TEMPLATE_HEADER] = {"header:", template_is_header_name, look_up_header, true},
    [TEMPLATE_BODY] = {"body:", is_member_pointer, look_up_body, true},
    [TEMPLATE_QUERY] = {"query:", is_name, look_up_query, true},
    [TEMPLATE_SIGNATURE] = {"signature:", is_name, look_up_signature, true},
    [TEMPLATE_TIMESTAMP] = {"timestamp", NULL, look_up_timestamp, false},
    [TEMPLATE_METHOD] = {"method", NULL, look_up_method, false},
    [TEMPLATE_URL] = {"url", NULL, look_up_url, false},
    [TEMPLATE_URL_DECODED] = {"url-decoded", NULL, look_up_url_decoded, false},
    [TEMPLATE_KEY] = {"key", NULL, look_up_key, false},
};

/* The argument behind the kind's prefix; false if the token is not of that kind. */
static bool token_is(const struct token_kind *kind, struct bytes token, struct bytes *argument)
{
    size_t size = strlen(kind->prefix);
    if (token.size < size || memcmp(token.data, kind->prefix, size) != 0) return false;
    *argument = (struct bytes){token.data + size, token.size - size};
    return kind->valid ? kind->valid(*argument) : argument->size == 0;
}

static bool compile_token(struct template_part *part, struct bytes token, unsigned allowed, struct error *error)
{
    for (size_t i = 0; i < TEMPLATE_TOKENS; i++) {
        struct bytes argument;
        if (!(allowed & TEMPLATE_BIT(i)) || !token_is(&kinds[i], token, &argument)) continue;
        part->has_token = true;
        part->token = (enum template_token)i;
        if (!kinds[i].valid) return true;
        part->argument = bytes_dup(argument);
        return part->argument || error_set(error, ERROR_MEMORY, "no memory for a template");
    }
    return error_set(error, ERROR_INVALID, "'{%.*s}' is not a token that can stand here", (int)token.size,
                     (const char *)token.data);
}

static size_t find_any(struct bytes text, const char *bytes)
{
    size_t i = 0;
    while (i < text.size && (text.data[i] == 0 || !strchr(bytes, text.data[i])))
        i++;
    return i;
}

static void skip(struct bytes *text, size_t size)
{
    *text = (struct bytes){text->data + size, text->size - size};
}

/* One part from the beginning of *text, which moves behind it. */
static bool compile_part(struct template_part *part, struct bytes *text, unsigned allowed, struct error *error)
{
    size_t literal = find_any(*text, "{}");
    part->literal = bytes_dup((struct bytes){text->data, literal});
    if (!part->literal) return error_set(error, ERROR_MEMORY, "no memory for a template");
    skip(text, literal);
    if (text->size == 0) return true;
    size_t end = find_any(*text, "}");
    if (*text->data == '}' || end == text->size) return error_set(error, ERROR_INVALID, "a brace stands alone");
    struct bytes token = {text->data + 1, end - 1};
    skip(text, end + 1);
    return compile_token(part, token, allowed, error);
}

bool template_init(struct template *t, struct bytes text, unsigned allowed, struct error *error)
{
    *t = (struct template){.count = 0};
    while (text.size > 0) {
        if (t->count == TEMPLATE_PARTS_MAX)
            return error_set(error, ERROR_TOO_LARGE, "more than %d tokens", TEMPLATE_PARTS_MAX);
        if (!compile_part(&t->parts[t->count++], &text, allowed, error)) return false;
    }
    return true;
}

void template_close(struct template *t)
{
    for (size_t i = 0; i < t->count; i++) {
        free(t->parts[i].literal);
        free(t->parts[i].argument);
    }
    *t = (struct template){.count = 0};
}

bool template_has_tokens(const struct template *t)
{
    return t->count > 0 && t->parts[0].has_token; /* text before the first token is that token's part */
}

bool template_has(const struct template *t, enum template_token token)
{
    for (size_t i = 0; i < t->count; i++)
        if (t->parts[i].has_token && t->parts[i].token == token) return true;
    return false;
}

static bool append_token(const struct template_part *part, const struct template_source *source, struct buffer *out,
                         bool *present, struct error *error)
{
    const struct token_kind *kind = &kinds[part->token];
    const char *argument = part->argument ? part->argument : "";
    enum template_fault fault = kind->look_up(source, argument, out);
    *present = fault == TEMPLATE_FINE;
    if (fault == TEMPLATE_TWICE)
        return error_set(error, ERROR_INVALID, "%s%s stands there twice", kind->prefix, argument);
    if (fault == TEMPLATE_BAD) return error_set(error, ERROR_INVALID, "%s%s is broken", kind->prefix, argument);
    if (!buffer_ok(out)) return error_set(error, ERROR_TOO_LARGE, "%s%s is too long", kind->prefix, argument);
    return true;
}

bool template_fill(const struct template *t, const struct template_source *source, enum template_mode mode,
                   struct buffer *out, bool *filled, struct error *error)
{
    size_t start = buffer_view(out).size, count = 0;
    *filled = false;
    for (size_t i = 0; i < t->count; i++) {
        size_t before = buffer_view(out).size;
        buffer_text(out, t->parts[i].literal);
        if (!t->parts[i].has_token) break; /* only the last part has none */
        size_t value = buffer_view(out).size;
        bool found;
        if (!append_token(&t->parts[i], source, out, &found, error)) return false;
        if (mode == TEMPLATE_PARTS && buffer_view(out).size == value) found = false;
        if (!found && mode == TEMPLATE_WHOLE) {
            buffer_truncate(out, start);
            return true;
        }
        if (!found) buffer_truncate(out, before);
        count += found;
    }
    *filled = count > 0 || !template_has_tokens(t);
    if (!*filled) buffer_truncate(out, start);
    return buffer_ok(out) || error_set(error, ERROR_TOO_LARGE, "the filled text is too long");
}

/* The literal character behind the token of part `i`; 0 when a token or the end follows. */
static char next_literal(const struct template *t, size_t i)
{
    return i + 1 < t->count ? *t->parts[i + 1].literal : 0;
}

enum template_fault template_fill_signed(const struct template *t, const struct template_source *source,
                                         struct buffer *out)
{
    for (size_t i = 0; i < t->count; i++) {
        const struct template_part *part = &t->parts[i];
        buffer_text(out, part->literal);
        if (!part->has_token) break;
        size_t before = out->size;
        enum template_fault fault = kinds[part->token].look_up(source, part->argument, out);
        if (fault != TEMPLATE_FINE) return fault;
        if (!buffer_ok(out)) return TEMPLATE_NO_MEMORY;
        if (out->size == before) return TEMPLATE_ABSENT;
        char next = next_literal(t, i);
        if (kinds[part->token].chosen && next && memchr(out->data + before, next, out->size - before))
            return TEMPLATE_BAD;
    }
    return buffer_ok(out) ? TEMPLATE_FINE : TEMPLATE_NO_MEMORY;
}

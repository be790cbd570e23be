/* template.c: texts with tokens.
 * SPDX-License-Identifier: Apache-2.0 */
#include "template.h"
#include "json_pointer.h"
#include <stdlib.h>
#include <string.h>

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

enum lookup { LOOKUP_FOUND, LOOKUP_ABSENT, LOOKUP_TWICE };

static enum lookup look_up_header(const struct template_source *source, const char *name, struct buffer *out)
{
    struct bytes text = {NULL, 0};
    size_t count = source->find(source->ctx, name, &text);
    if (count == 0) return LOOKUP_ABSENT;
    if (count > 1) return LOOKUP_TWICE;
    buffer_bytes(out, text);
    return LOOKUP_FOUND;
}

/* A body that is no JSON has no keys; whether it should have been JSON is decided elsewhere. */
static enum lookup look_up_body(const struct template_source *source, const char *pointer, struct buffer *out)
{
    struct bytes raw;
    switch (json_pointer_find(source->body, pointer, &raw)) {
    case JSON_FOUND: return json_pointer_text(raw, out) ? LOOKUP_FOUND : LOOKUP_ABSENT;
    case JSON_TWICE: return LOOKUP_TWICE;
    case JSON_ABSENT:
    case JSON_INVALID: break;
    }
    return LOOKUP_ABSENT;
}

static const struct token_kind {
    const char *prefix;
    bool (*valid)(struct bytes argument);
    enum lookup (*look_up)(const struct template_source *source, const char *argument, struct buffer *out);
} kinds[] = {
    [TEMPLATE_HEADER] = {"header:", template_is_header_name, look_up_header},
    [TEMPLATE_BODY] = {"body:", is_member_pointer, look_up_body},
};

static bool compile_token(struct template_part *part, struct bytes token, struct error *error)
{
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        size_t size = strlen(kinds[i].prefix);
        if (token.size < size || memcmp(token.data, kinds[i].prefix, size) != 0) continue;
        struct bytes argument = {token.data + size, token.size - size};
        if (!kinds[i].valid(argument)) break;
        part->has_token = true;
        part->token = (enum template_token)i;
        part->argument = bytes_dup(argument);
        return part->argument || error_set(error, ERROR_MEMORY, "no memory for a template");
    }
    return error_set(error, ERROR_INVALID, "'{%.*s}' is not a token that can stand here", (int)token.size,
                     (const char *)token.data);
}

/* One part from the text at *at, which moves behind it. */
static bool compile_part(struct template_part *part, const char **at, struct error *error)
{
    size_t literal = strcspn(*at, "{}");
    part->literal = bytes_dup((struct bytes){(const uint8_t *)*at, literal});
    if (!part->literal) return error_set(error, ERROR_MEMORY, "no memory for a template");
    *at += literal;
    if (**at == 0) return true;
    const char *end = strchr(*at, '}');
    if (**at == '}' || !end) return error_set(error, ERROR_INVALID, "a brace stands alone");
    struct bytes token = {(const uint8_t *)*at + 1, (size_t)(end - *at) - 1};
    *at = end + 1;
    return compile_token(part, token, error);
}

bool template_init(struct template *t, const char *text, struct error *error)
{
    *t = (struct template){.count = 0};
    while (*text) {
        if (t->count == TEMPLATE_PARTS_MAX)
            return error_set(error, ERROR_TOO_LARGE, "more than %d tokens", TEMPLATE_PARTS_MAX);
        if (!compile_part(&t->parts[t->count++], &text, error)) return false;
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

static bool append_token(const struct template_part *part, const struct template_source *source, struct buffer *out,
                         bool *present, struct error *error)
{
    const struct token_kind *kind = &kinds[part->token];
    enum lookup found = kind->look_up(source, part->argument, out);
    *present = found == LOOKUP_FOUND;
    if (found == LOOKUP_TWICE)
        return error_set(error, ERROR_INVALID, "%s%s stands there twice", kind->prefix, part->argument);
    if (!buffer_ok(out)) return error_set(error, ERROR_TOO_LARGE, "%s%s is too long", kind->prefix, part->argument);
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

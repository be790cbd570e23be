/* fuzz_json_pointer.c: a pointer (up to the first zero byte) into any text; the answer must agree with the tree.
 * SPDX-License-Identifier: Apache-2.0 */
#include "json.h"
#include "json_pointer.h"
#include "text.h"
#include <stdlib.h>
#include <string.h>

static void must(bool holds)
{
    if (!holds) abort();
}

/* One level only ("/key" without escapes): what the tree says. */
static void compare_with_tree(struct bytes text, const char *key, enum json_found found, struct bytes raw)
{
    struct error error;
    struct json *tree = json_parse(text, &error);
    if (!tree) return;
    bool twice = false;
    const struct json *node = json_kind(tree) == JSON_OBJECT ? json_get(tree, key, &twice) : NULL;
    if (json_kind(tree) == JSON_OBJECT) {
        must(found == (twice ? JSON_TWICE : node ? JSON_FOUND : JSON_ABSENT));
        const char *expected;
        if (found == JSON_FOUND && json_text(node, &expected)) {
            struct buffer says;
            buffer_init(&says, 1 << 20);
            must(json_pointer_text(raw, &says) && strcmp(buffer_cstr(&says), expected) == 0);
            buffer_close(&says);
        }
    }
    json_free(tree);
}

/* What the scanner listed on its way, in two pieces, leads to the same place. */
static void compare_with_list(struct bytes text, const char *pointer, enum json_found found, struct bytes raw)
{
    struct json_scanner scanner;
    struct bytes listed = {NULL, 0};
    json_scanner_init(&scanner);
    if (!json_scanner_feed(&scanner, text.data, text.size / 2)) return;
    if (!json_scanner_feed(&scanner, text.data + text.size / 2, text.size - text.size / 2)) return;
    if (!json_scanner_end(&scanner)) return;
    must(json_pointer_find_in(text, &scanner.members, pointer, &listed) == found);
    must(found != JSON_FOUND || (listed.data == raw.data && listed.size == raw.size));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *zero = size > 0 ? memchr(data, 0, size) : NULL;
    if (!zero) return 0;
    const char *pointer = (const char *)data;
    struct bytes text = {zero + 1, size - (size_t)(zero - data) - 1}, raw = {NULL, 0};
    if (!json_pointer_valid(bytes_of(pointer))) return 0;
    enum json_found found = json_pointer_find(text, pointer, &raw);
    if (found == JSON_FOUND) {
        must(raw.size > 0 && raw.data >= text.data && raw.data + raw.size <= text.data + text.size);
        struct buffer says;
        buffer_init(&says, 1 << 20);
        buffer_text(&says, "x");
        if (!json_pointer_text(raw, &says)) must(strcmp(buffer_cstr(&says), "x") == 0);
        buffer_close(&says);
    }
    compare_with_list(text, pointer, found, raw);
    if (pointer[0] == '/' && !strpbrk(pointer + 1, "/~")) compare_with_tree(text, pointer + 1, found, raw);
    return 0;
}

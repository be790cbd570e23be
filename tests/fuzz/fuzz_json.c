/* fuzz_json.c: scanner, reader and writer on any bytes.  The first byte says how the rest is cut.
 * SPDX-License-Identifier: Apache-2.0 */
#include "json.h"
#include "text.h"
#include <stdlib.h>
#include <string.h>

static void require(bool truth)
{
    if (!truth) abort();
}

/* Pieces have blocks of their own, so that the sanitizer sees any look beyond their end. */
static bool scan(struct json_scanner *s, struct bytes text, size_t piece)
{
    json_scanner_init(s);
    bool ok = true;
    for (size_t at = 0; ok && at < text.size; at += piece) {
        size_t size = text.size - at < piece ? text.size - at : piece;
        void *copy = malloc(size);
        memcpy(copy, text.data + at, size);
        ok = json_scanner_feed(s, copy, size);
        free(copy);
    }
    return json_scanner_end(s) && ok;
}

static void cuts_do_not_matter(struct bytes text, size_t piece)
{
    struct json_scanner whole, cut;
    bool ok = scan(&whole, text, text.size + 1);
    require(scan(&cut, text, piece) == ok);
    require(cut.offset == whole.offset && cut.nul_escape == whole.nul_escape);
    require(ok ? !cut.what && !whole.what : strcmp(cut.what, whole.what) == 0);
    require(whole.offset >= 0 && (size_t)whole.offset <= text.size);
    if (ok) require(text_is_utf8(text));
}

/* Writes what was read; the result must be JSON again, and say the same. */
static void write_node(struct json_writer *w, const char *key, const struct json *node)
{
    const char *text = "";
    int64_t number = 0;
    bool truth = false;
    bool object = json_kind(node) == JSON_OBJECT;
    switch (json_kind(node)) {
    case JSON_NULL: json_write_null(w, key); break;
    case JSON_BOOL:
        require(json_bool(node, &truth));
        json_write_bool(w, key, truth);
        break;
    case JSON_NUMBER:
        json_int64(node, &number);
        json_write_int(w, key, number);
        break;
    case JSON_TEXT:
        require(json_text(node, &text));
        json_write_cstr(w, key, text);
        break;
    case JSON_ARRAY:
    case JSON_OBJECT:
        if (object)
            json_write_object(w, key);
        else
            json_write_array(w, key);
        for (size_t i = 0; i < json_count(node) && i < 100; i++)
            write_node(w, json_key_at(node, i), json_at(node, i));
        if (object)
            json_write_object_end(w);
        else
            json_write_array_end(w);
        break;
    }
}

static void what_is_read_can_be_written(struct bytes text)
{
    struct error e = {0};
    struct json *document = json_parse(text, &e);
    if (!document) {
        require(e.code == ERROR_INVALID || e.code == ERROR_MEMORY);
        require(text_is_utf8(bytes_of(e.text)) && e.text[0]);
        return;
    }
    struct buffer first, second;
    struct json_writer w;
    buffer_init(&first, 64 << 20);
    buffer_init(&second, 64 << 20);
    json_writer_init(&w, &first);
    write_node(&w, NULL, document);
    json_free(document);
    document = json_parse(buffer_view(&first), &e);
    require(document != NULL);
    json_writer_init(&w, &second);
    write_node(&w, NULL, document);
    json_free(document);
    require(bytes_equal(buffer_view(&first), buffer_view(&second)));
    buffer_close(&first);
    buffer_close(&second);
}

/* Any bytes at all make a string. */
static void any_bytes_can_be_text(struct bytes text)
{
    struct buffer out;
    struct json_writer w;
    struct json_scanner s;
    buffer_init(&out, 64 << 20);
    json_writer_init(&w, &out);
    json_write_text(&w, NULL, text);
    require(scan(&s, buffer_view(&out), out.size));
    buffer_close(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) return 0;
    struct bytes text = {data + 1, size - 1};
    cuts_do_not_matter(text, 1 + (size_t)data[0] % 16);
    what_is_read_can_be_written(text);
    any_bytes_can_be_text(text);
    return 0;
}

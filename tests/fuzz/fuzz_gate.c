/* fuzz_gate.c: any head at all gets the same verdict twice, and what passes has exactly one framing.
 * The input is a request's head as text; it is cut the way a lenient parser would, so that faults reach the gate.
 * SPDX-License-Identifier: Apache-2.0 */
#include "ingress.h"
#include "text.h"
#include <stdlib.h>
#include <string.h>

enum { HEADERS_MAX = 64 };

static struct bytes cut(struct bytes *rest, const char *mark)
{
    const uint8_t *at = rest->size ? memmem(rest->data, rest->size, mark, strlen(mark)) : NULL;
    struct bytes piece = {rest->data, at ? (size_t)(at - rest->data) : rest->size};
    size_t used = at ? piece.size + strlen(mark) : rest->size;
    *rest = (struct bytes){rest->data + used, rest->size - used};
    return piece;
}

static void require(bool truth)
{
    if (!truth) abort();
}

static void check_passed(const struct http_head *head, const struct gate_facts *facts)
{
    require(!head->torn);
    require(bytes_are(head->version, "HTTP/1.1") || bytes_are(head->version, "HTTP/1.0"));
    unsigned lengths = 0, encodings = 0, hosts = 0;
    for (size_t i = 0; i < head->header_count; i++) {
        struct bytes name = head->headers[i].name;
        lengths += text_equal_ignore_case(name, bytes_of("content-length"));
        encodings += text_equal_ignore_case(name, bytes_of("transfer-encoding"));
        hosts += text_equal_ignore_case(name, bytes_of("host"));
        for (size_t k = 0; k < head->headers[i].value.size; k++)
            require(head->headers[i].value.data[k] >= 0x20 || head->headers[i].value.data[k] == '\t');
    }
    require(lengths + encodings <= 1 && hosts <= 1);
    require(facts->chunked == (encodings == 1));
    require((facts->declared >= 0) == (lengths == 1));
    require(!memchr(head->target.data, 0, head->target.size));
    /* What follows the gate must take whatever it lets through. */
    struct address peer = {{0}}, found;
    struct network all = {.prefix = 0};
    admission_peer(&peer, head, &all, 1, &found);
    struct source_policy policy = {.origin_host = admission_host(head->path)};
    admission_source(&policy, facts, &found);
    char pattern[] = "*+json";
    char *patterns[] = {pattern};
    admission_content_type(facts->header[HEADER_CONTENT_TYPE].value, patterns, 1);
    admission_is_json(facts->header[HEADER_CONTENT_TYPE].value);
    char parent[TRACE_PARENT_SIZE];
    trace_parent_make(facts->header[HEADER_TRACEPARENT].value, (const uint8_t[TRACE_RANDOM_SIZE]){[0] = 1, [23] = 1},
                      parent);
    require(strlen(parent) == 55 && trace_parent_valid(bytes_of(parent)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct http_header headers[HEADERS_MAX];
    struct bytes rest = {data, size};
    struct bytes line = cut(&rest, "\r\n");
    struct http_head head = {.headers = headers, .torn = size > 0 && data[size - 1] == 0xff};
    head.method = cut(&line, " ");
    head.target = cut(&line, " ");
    head.version = line;
    struct bytes target = head.target;
    head.path = cut(&target, "?");
    while (rest.size > 0 && head.header_count < HEADERS_MAX) {
        struct bytes value = cut(&rest, "\r\n");
        if (value.size == 0) break;
        struct bytes name = cut(&value, ":");
        while (value.size > 0 && (value.data[0] == ' ' || value.data[0] == '\t'))
            value = (struct bytes){value.data + 1, value.size - 1};
        headers[head.header_count++] = (struct http_header){name, value};
    }
    struct gate_facts facts, again;
    const char *fault = gate_check(&head, &facts);
    require(gate_check(&head, &again) == fault);
    if (!fault) check_passed(&head, &facts);
    return 0;
}

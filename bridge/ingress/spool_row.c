/* spool_row.c: a record as the bytes of a row: version, number of headers, then key, value and headers, each text with
 * its length in front (32 bits, little endian; all ones: there is none).  SPDX-License-Identifier: Apache-2.0 */
#include "spool.h"
#include <stdlib.h>

enum { VERSION = 1, HEAD_SIZE = 5, LENGTH_SIZE = 4, PAGE_SHARE = 1024, ROW_OVERHEAD = 128 };
static const uint32_t absent = UINT32_MAX;

static void write_u32(struct buffer *out, uint32_t n)
{
    const uint8_t octets[LENGTH_SIZE] = {(uint8_t)n, (uint8_t)(n >> 8), (uint8_t)(n >> 16), (uint8_t)(n >> 24)};
    buffer_append(out, octets, sizeof octets);
}

static void write_bytes(struct buffer *out, struct bytes b)
{
    write_u32(out, b.data ? (uint32_t)b.size : absent);
    buffer_bytes(out, b);
}

size_t spool_row_size(const struct record *r)
{
    size_t size = HEAD_SIZE + 2 * LENGTH_SIZE + r->key.size + r->value.size;
    for (size_t i = 0; i < r->header_count; i++)
        size += 2 * LENGTH_SIZE + r->headers[i].name.size + r->headers[i].value.size;
    return size;
}

int64_t spool_row_cost(size_t size)
{
    return (int64_t)((size + ROW_OVERHEAD + PAGE_SHARE - 1) / PAGE_SHARE * PAGE_SHARE);
}

void spool_row_encode(const struct record *r, struct buffer *out)
{
    buffer_byte(out, VERSION);
    write_u32(out, (uint32_t)r->header_count);
    write_bytes(out, r->key);
    write_bytes(out, r->value);
    for (size_t i = 0; i < r->header_count; i++) {
        write_bytes(out, r->headers[i].name);
        write_bytes(out, r->headers[i].value);
    }
}

static bool read_u32(struct bytes *in, uint32_t *n)
{
    if (in->size < LENGTH_SIZE) return false;
    *n = (uint32_t)in->data[0] | (uint32_t)in->data[1] << 8 | (uint32_t)in->data[2] << 16 | (uint32_t)in->data[3] << 24;
    in->data += LENGTH_SIZE;
    in->size -= LENGTH_SIZE;
    return true;
}

static bool read_bytes(struct bytes *in, struct bytes *out)
{
    uint32_t size;
    *out = (struct bytes){NULL, 0};
    if (!read_u32(in, &size)) return false;
    if (size == absent) return true;
    if (size > in->size) return false;
    *out = (struct bytes){in->data, size};
    in->data += size;
    in->size -= size;
    return true;
}

static bool read_record(struct bytes in, struct record *r, struct record_header *headers)
{
    bool good = read_bytes(&in, &r->key) && read_bytes(&in, &r->value);
    for (size_t i = 0; good && i < r->header_count; i++)
        good = read_bytes(&in, &headers[i].name) && read_bytes(&in, &headers[i].value);
    return good && in.size == 0;
}

struct record *spool_row_decode(struct bytes row)
{
    uint32_t count;
    struct record_header headers[RECORD_HEADERS_MAX];
    if (row.size < HEAD_SIZE || row.data[0] != VERSION) return NULL;
    struct bytes rest = {row.data + 1, row.size - 1};
    if (!read_u32(&rest, &count) || count > RECORD_HEADERS_MAX) return NULL;
    struct record r = {.headers = headers, .header_count = count};
    return read_record(rest, &r, headers) && r.key.data ? record_dup(&r) : NULL;
}

/* text.h: numbers, sizes, durations, times, ids, hex and base64 as text; each parser has its maximum.
 * Pure except uuid7 (takes its randomness as argument).  SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "buffer.h"

/* Whole text must be a plain decimal (optional '-'), within [min, max].  No spaces, no '+'. */
bool text_parse_int64(struct bytes text, int64_t min, int64_t max, int64_t *out);
/* "4096", "64KiB", "1MiB", "2GiB" -> bytes. */
bool text_parse_size(struct bytes text, int64_t *bytes);
/* "250ms", "4s", "5m", "2h", "7d"; a bare "0" is zero, any other bare number is refused -> milliseconds. */
bool text_parse_duration(struct bytes text, int64_t *ms);

/* RFC 3339 UTC with microseconds, "2026-11-23T12:00:00.123456Z" (27 characters + NUL). */
enum { TEXT_TIME_SIZE = 28 };
void text_format_time(int64_t wall_us, char out[TEXT_TIME_SIZE]);
/* The form of the published WebhookTriggerResult: "+00:00" in place of "Z" (32 characters + NUL). */
enum { TEXT_TIME_OFFSET_SIZE = 33 };
void text_format_time_offset(int64_t wall_us, char out[TEXT_TIME_OFFSET_SIZE]);
/* Any RFC 3339 date-time with 0-9 fraction digits and Z or a numeric offset -> microseconds since 1970. */
bool text_parse_time(struct bytes text, int64_t *wall_us);

/* UUIDv7 (RFC 9562) from a wall clock and ten random bytes: 36 characters + NUL. */
enum { TEXT_UUID_SIZE = 37 };
void text_uuid7(int64_t wall_us, const uint8_t random[10], char out[TEXT_UUID_SIZE]);

/* Lower-case hex of `size` bytes; out holds 2 * size + 1. */
void text_hex(const void *data, size_t size, char *out);
/* Strict: exactly 2 * size lower-case hex digits. */
bool text_unhex(struct bytes text, void *out, size_t size);
/* RFC 4648 base64 with padding, appended to `out`. */
void text_base64(struct bytes data, struct buffer *out);
/* Strict: standard alphabet, full padding, no white space, zero trailing bits. */
bool text_unbase64(struct bytes text, struct buffer *out);

/* ASCII only; locale never matters. */
bool text_equal_ignore_case(struct bytes a, struct bytes b);
bool text_starts_with_ignore_case(struct bytes text, const char *prefix);
/* agent_id: [A-Za-z0-9._~-]{1,128} and neither "." nor "..". */
bool text_is_agent_id(struct bytes text);
/* True if the bytes are valid UTF-8 (RFC 3629). */
bool text_is_utf8(struct bytes text);

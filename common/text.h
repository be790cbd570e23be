/* text.h: numbers, sizes, durations, times, ids, hex and base64 as text; each parser has its maximum.
 * Pure except uuid7 (takes its randomness as argument).  SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "buffer.h"

/* Whole text must be a plain decimal (optional '-'), within [min, max].  No spaces, no '+'; leading zeros are fine. */
bool text_parse_int64(struct bytes text, int64_t min, int64_t max, int64_t *out);
/* Decimal, NUL-terminated; returns the length.  For paths too hot for printf. */
enum { TEXT_INT64_SIZE = 21 };
size_t text_format_int64(int64_t value, char out[TEXT_INT64_SIZE]);
/* "4096", "64KiB", "1MiB", "2GiB" -> bytes. */
bool text_parse_size(struct bytes text, int64_t *bytes);
/* "250ms", "4s", "5m", "2h", "7d"; a bare "0" is zero, any other bare number is refused -> milliseconds. */
bool text_parse_duration(struct bytes text, int64_t *ms);

/* "100/s", "6000/min", "5/h": an amount of 1 to 1,000,000 for each period -> amount and milliseconds. */
bool text_parse_rate(struct bytes text, int64_t *amount, int64_t *period_ms);

/* RFC 3339 UTC with microseconds, "2026-11-23T12:00:00.123456Z" (27 characters + NUL).  A moment outside the years
 * 0 to 9999 prints as the nearest end of them. */
enum { TEXT_TIME_SIZE = 28 };
void text_format_time(int64_t wall_us, char out[TEXT_TIME_SIZE]);
/* The form of the published WebhookTriggerResult: "+00:00" in place of "Z" (32 characters + NUL). */
enum { TEXT_TIME_OFFSET_SIZE = 33 };
void text_format_time_offset(int64_t wall_us, char out[TEXT_TIME_OFFSET_SIZE]);
/* Any RFC 3339 date-time with 0-9 fraction digits and Z or a numeric offset -> microseconds since 1970 (further digits
 * are dropped).  The second 60 is allowed at the end of a UTC day and counts as the first of the next.
 * What it accepts text_format_time can write. */
bool text_parse_time(struct bytes text, int64_t *wall_us);

/* UUIDv7 (RFC 9562) from a wall clock and ten random bytes: 36 characters + NUL. */
enum { TEXT_UUID_SIZE = 37 };
void text_uuid7(int64_t wall_us, const uint8_t random[10], char out[TEXT_UUID_SIZE]);

/* Lower-case hex of `size` bytes; out holds 2 * size + 1. */
void text_hex(const void *data, size_t size, char *out);
/* Strict: exactly 2 * size lower-case hex digits.  After false the contents of `out` mean nothing. */
bool text_unhex(struct bytes text, void *out, size_t size);
/* RFC 4648 base64 with padding, appended to `out`. */
void text_base64(struct bytes data, struct buffer *out);
/* Strict: standard alphabet, full padding, no white space, zero trailing bits.  False leaves `out` as it was, except
 * when `out` itself failed. */
bool text_unbase64(struct bytes text, struct buffer *out);

/* ASCII only; locale never matters. */
bool text_equal_ignore_case(struct bytes a, struct bytes b);
bool text_starts_with_ignore_case(struct bytes text, const char *prefix);
/* agent_id: [A-Za-z0-9._~-]{1,128} and neither "." nor "..". */
bool text_is_agent_id(struct bytes text);
/* True if the bytes are valid UTF-8 (RFC 3629). */
bool text_is_utf8(struct bytes text);
/* Length of the valid UTF-8 sequence (RFC 3629) that `text` begins with; 0 when there is none. */
size_t text_utf8_next(struct bytes text);

/* How many bytes stand before the first ASCII control character (0x00 to 0x1F, 0x7F). */
size_t text_before_control(struct bytes text);

/* How many leading bytes may stand in a JSON string as they are: valid UTF-8, no '"', no backslash, no control
 * character (U+007F to U+009F included, for the sake of terminals that show a log). */
size_t text_json_plain(struct bytes text);
/* True if the text is not empty and all visible ASCII without '"', backslash and '=': it may stand in logfmt as it is.
 */
bool text_is_bare(struct bytes text);
/* Writes the escape for the character that text_json_plain stopped at, NUL-terminated: \n, \u001b, or U+FFFD for a byte
 * that is not UTF-8.  Takes that character off `text` and returns the length of the escape. */
enum { TEXT_ESCAPE_SIZE = 8 };
size_t text_json_escape(struct bytes *text, char out[TEXT_ESCAPE_SIZE]);

/* ---- text_pattern.c ---- */

/* True if the whole text is what the pattern says; each '*' stands for any bytes, also none.  Case counts. */
bool text_matches(struct bytes text, struct bytes pattern);
/* Appends the text with each %XX as the byte it means (RFC 3986 2.1) and, in a query (application/
 * x-www-form-urlencoded), each '+' as a blank.  False, and nothing appended, for a '%' without two hex digits. */
bool text_unescape_url(struct bytes text, bool query, struct buffer *out);

/* trace.h: W3C trace context: is this a traceparent, and of which trace.  Pure.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "buffer.h"

enum { TRACE_PARENT_SIZE = 56, TRACE_RANDOM_SIZE = 24 };

/* "00-<32 hex digits>-<16 hex digits>-<2 hex digits>", or what a later version may make of it. */
bool trace_parent_valid(struct bytes parent);
/* The trace id inside a valid one; empty for any other text. */
struct bytes trace_id(struct bytes parent);
/* A traceparent of version 00 for this hop: the received trace if that is valid (then true), else a new one of
 * `random`, not sampled.  Of the flags only the sampled bit is kept: the others are not defined. */
bool trace_parent_make(struct bytes received, const uint8_t random[TRACE_RANDOM_SIZE], char out[TRACE_PARENT_SIZE]);
/* Leaves as much of a tracestate as the W3C asks to keep: 512 characters, 32 members, whole ones from the left (those
 * are the newest). */
void trace_state_cut(struct buffer *state);

/* trace.c: W3C trace context, level 1: traceparent and tracestate.
 * SPDX-License-Identifier: Apache-2.0 */
#include "trace.h"
#include "text.h"
#include <string.h>

enum { STATE_MAX = 512, MEMBERS_MAX = 32 };

static bool is_lower_hex(struct bytes text, size_t from, size_t count, bool zero_allowed)
{
    bool zero = true;
    for (size_t i = from; i < from + count; i++) {
        uint8_t c = text.data[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) return false;
        zero = zero && c == '0';
    }
    return zero_allowed || !zero;
}

static bool is_odd_hex(uint8_t c)
{
    return ((c >= 'a' ? c - 'a' + 10 : c - '0') & 1) != 0;
}

/* version "-" trace id "-" parent id "-" flags; later versions may go on after another "-". */
bool trace_parent_valid(struct bytes t)
{
    if (t.size < 55 || t.data[2] != '-' || t.data[35] != '-' || t.data[52] != '-') return false;
    bool version_zero = t.data[0] == '0' && t.data[1] == '0';
    if (!is_lower_hex(t, 0, 2, true) || (t.data[0] == 'f' && t.data[1] == 'f')) return false;
    if (t.size > 55 && (version_zero || t.data[55] != '-')) return false;
    return is_lower_hex(t, 3, 32, false) && is_lower_hex(t, 36, 16, false) && is_lower_hex(t, 53, 2, true);
}

struct bytes trace_id(struct bytes parent)
{
    return trace_parent_valid(parent) ? (struct bytes){parent.data + 3, 32} : (struct bytes){NULL, 0};
}

bool trace_parent_make(struct bytes received, const uint8_t random[TRACE_RANDOM_SIZE], char out[TRACE_PARENT_SIZE])
{
    memcpy(out, "00-", 3);
    if (trace_parent_valid(received)) {
        memcpy(out + 3, received.data + 3, 50);
        memcpy(out + 53, is_odd_hex(received.data[54]) ? "01" : "00", 3);
        return true;
    }
    text_hex(random, 16, out + 3);
    out[35] = '-';
    text_hex(random + 16, 8, out + 36);
    memcpy(out + 52, "-00", 4);
    return false;
}

void trace_state_cut(struct buffer *state)
{
    size_t keep = 0, members = 0;
    for (size_t i = 0; i <= state->size && i <= STATE_MAX && members < MEMBERS_MAX; i++) {
        if (i < state->size && state->data[i] != ',') continue;
        keep = i;
        members++;
    }
    buffer_truncate(state, keep);
}

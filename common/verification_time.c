/* verification_time.c: when the sender says that it signed, read strictly, and how old that may be.
 * SPDX-License-Identifier: Apache-2.0 */
#include "text.h"
#include "verification_parts.h"

enum { TIME_TEXT_MAX = 40 };

/* Plain decimal: no sign, space, leading zero or fraction; what is signed is this text, what is judged this number. */
static bool parse_number(struct bytes text, int64_t unit_ms, int64_t *ms)
{
    int64_t value;
    if (text.size == 0 || text.data[0] == '-' || (text.data[0] == '0' && text.size > 1)) return false;
    return text_parse_int64(text, 0, INT64_MAX / unit_ms, &value) && !__builtin_mul_overflow(value, unit_ms, ms);
}

static bool parse_time(enum scheme_time_unit unit, struct bytes text, int64_t *ms)
{
    int64_t us;
    switch (unit) {
    case UNIT_S: return parse_number(text, 1000, ms);
    case UNIT_MS: return parse_number(text, 1, ms);
    case UNIT_ISO8601: break;
    }
    if (!text_parse_time(text, &us)) return false;
    *ms = us / 1000;
    return true;
}

/* The limit itself passes.  A time in whole seconds is compared in whole seconds, as the senders' own libraries do. */
static bool is_fresh(const struct scheme_words *w, int64_t ms, int64_t now_ms)
{
    if (w->tolerance_ms == 0 || now_ms == VERIFICATION_ANY_TIME) return true;
    if (w->timestamp_unit == UNIT_S) now_ms -= now_ms % 1000;
    int64_t age;
    if (__builtin_sub_overflow(now_ms, ms, &age)) return false;
    return age <= w->tolerance_ms && age >= -w->tolerance_ms;
}

enum scheme_reason verification_read_time(struct verification *x, const struct template_source *source)
{
    const struct scheme *s = x->verifier->scheme;
    const struct scheme_words *w = &s->forms[0].words;
    buffer_clear(&x->time);
    switch (template_fill_signed(&s->timestamp, source, &x->time)) {
    case TEMPLATE_FINE: break;
    case TEMPLATE_ABSENT: return SCHEME_MISSING;
    case TEMPLATE_TWICE: return SCHEME_REPEATED;
    case TEMPLATE_BAD: return SCHEME_MALFORMED;
    case TEMPLATE_NO_MEMORY: return SCHEME_UNABLE;
    }
    if (x->time.size > TIME_TEXT_MAX ||
        !parse_time((enum scheme_time_unit)w->timestamp_unit, buffer_view(&x->time), &x->signed_at_ms))
        return SCHEME_MALFORMED;
    return is_fresh(w, x->signed_at_ms, x->now_ms) ? SCHEME_OK : SCHEME_STALE;
}

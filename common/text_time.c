/* text_time.c: RFC 3339 times and time-ordered ids, by the proleptic Gregorian calendar and without libc's.
 * SPDX-License-Identifier: Apache-2.0 */
#include "text.h"
#include <string.h>

#define US_PER_SECOND INT64_C(1000000)
#define US_PER_DAY    (INT64_C(86400) * US_PER_SECOND)

/* Days from 1970-01-01 to a date.  The year is taken to begin in March, so that the leap day comes last. */
static int64_t days_from_date(int64_t year, int month, int day)
{
    if (month <= 2) year--;
    int64_t era = (year >= 0 ? year : year - 399) / 400, year_of_era = year - era * 400;
    int64_t day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

static void date_from_days(int64_t days, int *year, int *month, int *day)
{
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097, day_of_era = days - era * 146097;
    int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month_from_march = (5 * day_of_year + 2) / 153;
    *day = (int)(day_of_year - (153 * month_from_march + 2) / 5 + 1);
    *month = (int)(month_from_march < 10 ? month_from_march + 3 : month_from_march - 9);
    *year = (int)(year_of_era + era * 400 + (*month <= 2));
}

/* `width` decimal digits, leading zeros included, and the separator behind them. */
static char *put(char *at, int width, int64_t value, char separator)
{
    for (int i = width - 1; i >= 0; i--, value /= 10)
        at[i] = (char)('0' + value % 10);
    at[width] = separator;
    return at + width + 1;
}

/* The years 0000 to 9999, which four digits can name. */
static const int64_t first_us = INT64_C(-62167219200) * US_PER_SECOND;
static const int64_t last_us = INT64_C(253402300800) * US_PER_SECOND - 1;

static void format_time(int64_t wall_us, char out[TEXT_TIME_SIZE])
{
    int64_t days = wall_us / US_PER_DAY, us = wall_us % US_PER_DAY;
    if (us < 0) {
        us += US_PER_DAY;
        days--;
    }
    int year, month, day;
    date_from_days(days, &year, &month, &day);
    int64_t seconds = us / US_PER_SECOND;
    char *at = put(out, 4, year, '-');
    at = put(at, 2, month, '-');
    at = put(at, 2, day, 'T');
    at = put(at, 2, seconds / 3600, ':');
    at = put(at, 2, seconds / 60 % 60, ':');
    at = put(at, 2, seconds % 60, '.');
    at = put(at, 6, us % US_PER_SECOND, 'Z');
    *at = '\0';
}

/* Most times that are printed are of the same second as the one before; then only six digits are new. */
void text_format_time(int64_t wall_us, char out[TEXT_TIME_SIZE])
{
    static _Thread_local struct {
        int64_t second_us;
        char text[TEXT_TIME_SIZE];
    } last = {.second_us = INT64_MIN / 2};
    if (wall_us < first_us) wall_us = first_us;
    if (wall_us > last_us) wall_us = last_us;
    int64_t us = wall_us - last.second_us;
    if (us < 0 || us >= US_PER_SECOND) {
        us = wall_us % US_PER_SECOND;
        if (us < 0) us += US_PER_SECOND;
        last.second_us = wall_us - us;
        format_time(last.second_us, last.text);
    }
    memcpy(out, last.text, TEXT_TIME_SIZE);
    for (size_t i = TEXT_TIME_SIZE - 3; us > 0; i--, us /= 10)
        out[i] = (char)('0' + us % 10);
}

void text_format_time_offset(int64_t wall_us, char out[TEXT_TIME_OFFSET_SIZE])
{
    text_format_time(wall_us, out);
    memcpy(out + TEXT_TIME_SIZE - 2, "+00:00", sizeof "+00:00");
}

/* Takes exactly `width` digits off `text` when their value lies in [min, max]. */
static bool take(struct bytes *text, size_t width, int min, int max, int *out)
{
    int value = 0;
    if (text->size < width) return false;
    for (size_t i = 0; i < width; i++) {
        if (text->data[i] < '0' || text->data[i] > '9') return false;
        value = value * 10 + (text->data[i] - '0');
    }
    text->data += width;
    text->size -= width;
    *out = value;
    return value >= min && value <= max;
}

/* Takes one byte that is any of `allowed`. */
static bool take_any(struct bytes *text, const char *allowed)
{
    if (text->size == 0 || text->data[0] == 0 || !strchr(allowed, text->data[0])) return false;
    text->data++;
    text->size--;
    return true;
}

static bool take_date(struct bytes *text, int64_t *days)
{
    static const int lengths[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int year, month, day;
    if (!take(text, 4, 0, 9999, &year) || !take_any(text, "-") || !take(text, 2, 1, 12, &month)) return false;
    if (!take_any(text, "-") || !take(text, 2, 1, lengths[month - 1], &day)) return false;
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    if (month == 2 && day == 29 && !leap) return false;
    *days = days_from_date(year, month, day);
    return true;
}

/* ".5" -> 500000; digits beyond the sixth are dropped.  No fraction at all is fine. */
static bool take_fraction(struct bytes *text, int64_t *us)
{
    int64_t value = 0;
    size_t n = 0;
    *us = 0;
    if (!take_any(text, ".")) return true;
    for (; n < text->size && n < 10 && text->data[n] >= '0' && text->data[n] <= '9'; n++)
        if (n < 6) value = value * 10 + (text->data[n] - '0');
    if (n < 1 || n > 9) return false;
    text->data += n;
    text->size -= n;
    for (; n < 6; n++)
        value *= 10;
    *us = value;
    return true;
}

static bool take_offset(struct bytes *text, int *minutes)
{
    int sign = text->size > 0 && text->data[0] == '-' ? -1 : 1, hour, minute;
    *minutes = 0;
    if (take_any(text, "Zz")) return true;
    if (!take_any(text, "+-") || !take(text, 2, 0, 23, &hour)) return false;
    if (!take_any(text, ":") || !take(text, 2, 0, 59, &minute)) return false;
    *minutes = sign * (hour * 60 + minute);
    return true;
}

bool text_parse_time(struct bytes text, int64_t *wall_us)
{
    int64_t days, fraction_us;
    int hour, minute, second, offset;
    if (!take_date(&text, &days) || !take_any(&text, "Tt")) return false;
    if (!take(&text, 2, 0, 23, &hour) || !take_any(&text, ":")) return false;
    if (!take(&text, 2, 0, 59, &minute) || !take_any(&text, ":") || !take(&text, 2, 0, 60, &second)) return false;
    if (!take_fraction(&text, &fraction_us) || !take_offset(&text, &offset) || text.size != 0) return false;
    /* A leap second ends a UTC day; it counts as the first second of the next, as POSIX time has no name for it. */
    int utc_minute = (hour * 60 + minute - offset + 2 * 1440) % 1440;
    if (second == 60 && utc_minute != 1439) return false;
    int64_t seconds = (int64_t)(hour * 60 + minute - offset) * 60 + second;
    *wall_us = days * US_PER_DAY + seconds * US_PER_SECOND + fraction_us;
    return *wall_us >= first_us && *wall_us <= last_us; /* an offset can lead out of what can be written back */
}

void text_uuid7(int64_t wall_us, const uint8_t random[10], char out[TEXT_UUID_SIZE])
{
    uint64_t ms = wall_us < 0 ? 0 : (uint64_t)wall_us / 1000;
    uint8_t id[16];
    for (size_t i = 0; i < 6; i++)
        id[i] = (uint8_t)(ms >> (40 - 8 * i));
    memcpy(id + 6, random, 10);
    id[6] = (uint8_t)((id[6] & 0x0F) | 0x70); /* version 7 */
    id[8] = (uint8_t)((id[8] & 0x3F) | 0x80); /* the variant of RFC 9562 */
    char hex[33];
    text_hex(id, sizeof id, hex);
    char *at = out;
    static const size_t groups[] = {8, 4, 4, 4, 12};
    for (size_t i = 0, from = 0; i < 5; from += groups[i++]) {
        memcpy(at, hex + from, groups[i]);
        at += groups[i];
        *at++ = i < 4 ? '-' : '\0';
    }
}

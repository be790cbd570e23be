/* trigger_list.c: `trigger ls`: what is in force for each agent, and what is wrong with its newest record.
 * SPDX-License-Identifier: Apache-2.0 */
#include "json.h"
#include "text.h"
#include "trigger.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_MAX_BYTES = 64 * 1024, DAY_S = 24 * 3600 };
#define ROW "%-24s %-18s %-8s %-50s " /* agent, scheme, state, secrets */

struct row {
    const struct topic_record *in_force; /* NULL: nothing */
    const struct topic_record *bad;      /* the newest record, refused; else NULL */
};

static bool same_key(const struct topic_record *a, const struct topic_record *b)
{
    return a->key_size == b->key_size && memcmp(a->key, b->key, a->key_size) == 0;
}

static void row_take(struct row *row, const struct topic_record *r)
{
    const bool refused = r->verdict != NULL && strcmp(r->verdict, "refused") == 0;
    row->bad = refused ? r : NULL;
    if (!refused) row->in_force = r->value != NULL ? r : NULL;
}

static int by_key_and_offset(const void *a, const void *b)
{
    const struct topic_record *const *one = a, *const *other = b;
    const int order = strcmp((*one)->key, (*other)->key);
    return order != 0 ? order : ((*one)->offset > (*other)->offset) - ((*one)->offset < (*other)->offset);
}

/* ---- texts ---- */

/* "3d", "5h", "2m": how long ago. */
static void write_age(struct buffer *out, const char *since, int64_t now_us)
{
    int64_t at_us;
    if (since == NULL || !text_parse_time(bytes_of(since), &at_us)) return;
    const int64_t age_s = (now_us - at_us) / 1000000;
    if (age_s >= DAY_S)
        buffer_format(out, " %" PRId64 "d", age_s / DAY_S);
    else if (age_s >= 3600)
        buffer_format(out, " %" PRId64 "h", age_s / 3600);
    else
        buffer_format(out, " %" PRId64 "m", age_s > 0 ? age_s / 60 : 0);
}

static void write_secrets(struct buffer *out, const struct draft *d, int64_t now_us)
{
    for (size_t i = 0; i < d->secret_count; i++) {
        const struct draft_secret *s = &d->secrets[i];
        if (i > 0) buffer_text(out, ", ");
        talk_safe(out, bytes_of(s->name), sizeof s->name);
        write_age(out, s->since, now_us);
        if (s->until == NULL) continue;
        buffer_text(out, " until ");
        talk_safe(out, bytes_of(s->until), 19);
    }
    if (d->secret_count == 0) buffer_text(out, "-");
}

static const char *scheme_of(const struct draft *d)
{
    if (d->scheme != NULL) return d->scheme;
    return d->secret_count > 0 ? "custom" : "none";
}

static bool is_enabled(const struct draft *d)
{
    const char *enabled = draft_get(d, "enabled");
    return enabled == NULL || strcmp(enabled, "true") == 0;
}

static void print_row(const struct row *row, const char *key, int64_t now_us, struct buffer *line)
{
    struct draft d = {0};
    struct buffer agent, scheme, secrets;
    const bool read =
        row->in_force != NULL &&
        draft_read(&d, (struct bytes){(const uint8_t *)row->in_force->value, row->in_force->value_size}, NULL);
    buffer_init(&agent, 1024);
    buffer_init(&scheme, 1024);
    buffer_init(&secrets, 4096);
    talk_safe(&agent, bytes_of(key), 128);
    talk_safe(&scheme, bytes_of(read ? scheme_of(&d) : "-"), 32);
    if (read) write_secrets(&secrets, &d, now_us);
    buffer_format(line, ROW, buffer_cstr(&agent), buffer_cstr(&scheme),
                  !read            ? "-"
                  : is_enabled(&d) ? "enabled"
                                   : "disabled",
                  read ? buffer_cstr(&secrets) : "-");
    if (row->bad != NULL) {
        buffer_format(line, "BAD RECORD at offset %" PRId64 ": ", row->bad->offset);
        talk_safe(line, bytes_of(row->bad->problem != NULL ? row->bad->problem : "refused"), 500);
    } else {
        buffer_text(line, row->in_force->verdict != NULL ? "ok" : "not judged");
    }
    buffer_close(&agent);
    buffer_close(&scheme);
    buffer_close(&secrets);
    draft_close(&d);
}

static void json_secrets(struct json_writer *w, const struct draft *d)
{
    json_write_array(w, "secrets");
    for (size_t i = 0; i < d->secret_count; i++) {
        const struct draft_secret *s = &d->secrets[i];
        json_write_object(w, NULL);
        json_write_cstr(w, "name", s->name);
        json_write_cstr(w, "since", s->since);
        json_write_cstr(w, "until", s->until);
        json_write_object_end(w);
    }
    json_write_array_end(w);
}

static void json_row(const struct row *row, const struct topic_record *newest, struct buffer *line)
{
    struct draft d = {0};
    struct json_writer w;
    const bool read =
        row->in_force != NULL &&
        draft_read(&d, (struct bytes){(const uint8_t *)row->in_force->value, row->in_force->value_size}, NULL);
    json_writer_init(&w, line);
    json_write_object(&w, NULL);
    json_write_text(&w, "agent_id", (struct bytes){(const uint8_t *)newest->key, newest->key_size});
    json_write_bool(&w, "in_force", row->in_force != NULL);
    json_write_cstr(&w, "scheme", read ? scheme_of(&d) : NULL);
    json_write_bool(&w, "enabled", read && is_enabled(&d));
    json_secrets(&w, &d);
    json_write_int(&w, "offset", newest->offset);
    json_write_bool(&w, "judged", newest->verdict != NULL);
    json_write_cstr(&w, "problem", row->bad == NULL ? NULL : row->bad->problem != NULL ? row->bad->problem : "refused");
    json_write_object_end(&w);
    draft_close(&d);
}

size_t trigger_list(const struct topic_records *records, bool json, int64_t now_us)
{
    const struct topic_record **sorted = calloc(records->count + 1, sizeof *sorted);
    struct buffer line;
    size_t bad = 0;
    if (sorted == NULL) return 0;
    buffer_init(&line, LINE_MAX_BYTES);
    for (size_t i = 0; i < records->count; i++)
        sorted[i] = &records->items[i];
    qsort(sorted, records->count, sizeof *sorted, by_key_and_offset);
    if (!json) {
        buffer_format(&line, ROW "%s", "AGENT", "SCHEME", "STATE", "SECRETS", "RECORD");
        talk_line(buffer_view(&line));
    }
    struct row row = {0};
    for (size_t i = 0; i < records->count; i++) {
        row_take(&row, sorted[i]);
        if (i + 1 < records->count && same_key(sorted[i], sorted[i + 1])) continue;
        buffer_clear(&line);
        if (json && (row.in_force != NULL || row.bad != NULL))
            json_row(&row, sorted[i], &line);
        else if (row.in_force != NULL || row.bad != NULL)
            print_row(&row, sorted[i]->key, now_us, &line);
        if (line.size > 0) talk_line(buffer_view(&line));
        bad += row.bad != NULL;
        row = (struct row){0};
    }
    free(sorted);
    buffer_close(&line);
    return bad;
}

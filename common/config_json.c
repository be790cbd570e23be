/* config_json.c: a JSON object as a configuration: the same tree as a file's, so that tables, unknown words and lists
 * mean the same in both; and a tree as JSON that two writers of the same settings agree on.
 * SPDX-License-Identifier: Apache-2.0 */
#include <libconfig.h>

#include "config_value.h"
#include "json.h"
#include <stdlib.h>
#include <string.h>

enum { MEMBERS_MAX = 1000 }; /* of one object or array: both libraries walk them from the beginning, each time */

/* ---- JSON to settings ---- */

struct growing {
    const char *name;
    struct config_report *report;
};

static bool add_members(const struct growing *g, config_setting_t *parent, const struct json *node);

static bool refuse(const struct growing *g, const char *key, const char *sentence)
{
    config_report_add(g->report, g->name, 0, "'%.64s' %s", key != NULL ? key : "", sentence);
    return false;
}

static bool set_scalar(config_setting_t *setting, const struct json *node)
{
    const char *text;
    int64_t number;
    bool flag;
    if (json_text(node, &text)) return config_setting_set_string(setting, text) == CONFIG_TRUE;
    if (json_bool(node, &flag)) return config_setting_set_bool(setting, flag) == CONFIG_TRUE;
    return json_int64(node, &number) && config_setting_set_int64(setting, number) == CONFIG_TRUE;
}

static bool add_value(const struct growing *g, config_setting_t *parent, const char *key, const struct json *node)
{
    static const int types[] = {[JSON_BOOL] = CONFIG_TYPE_BOOL,
                                [JSON_NUMBER] = CONFIG_TYPE_INT64,
                                [JSON_TEXT] = CONFIG_TYPE_STRING,
                                [JSON_ARRAY] = CONFIG_TYPE_LIST,
                                [JSON_OBJECT] = CONFIG_TYPE_GROUP};
    enum json_kind kind = json_kind(node);
    if (kind == JSON_NULL) return key != NULL || refuse(g, key, "null has no place in a list");
    config_setting_t *setting = config_setting_add(parent, key, types[kind]);
    if (setting == NULL)
        return refuse(g, key, "stands there twice or is no setting's name: a letter, then letters, digits, '-', '_'");
    if (kind == JSON_ARRAY || kind == JSON_OBJECT) return add_members(g, setting, node);
    return set_scalar(setting, node) || refuse(g, key, "is not a whole number of at most 53 bits");
}

static bool add_members(const struct growing *g, config_setting_t *parent, const struct json *node)
{
    size_t count = json_count(node);
    if (count > MEMBERS_MAX) return refuse(g, config_setting_name(parent), "has more than 1000 entries");
    for (size_t i = 0; i < count; i++)
        if (!add_value(g, parent, json_key_at(node, i), json_at(node, i))) return false;
    return true;
}

struct config_file *config_parse_json(const char *name, const char *root, struct bytes text,
                                      struct config_report *report)
{
    struct error error;
    struct json *document = json_parse(text, &error);
    if (document == NULL || json_kind(document) != JSON_OBJECT) {
        config_report_add(report, name, 0, "%s", document == NULL ? error.text : "is not a JSON object");
        json_free(document);
        return NULL;
    }
    const struct growing g = {name, report};
    struct config_file *file = config_blank(name, report);
    bool good = file != NULL && add_value(&g, config_root_setting(config_tree(file)), root, document);
    json_free(document);
    if (good) return file;
    config_close(file);
    return NULL;
}

/* ---- settings to JSON ---- */

struct printing {
    struct json_writer writer;
    const char *const *opaque;
    bool no_memory;
};

static void print_setting(struct printing *p, const char *key, const config_setting_t *setting);

static void print_text(struct printing *p, const char *key, const char *text)
{
    for (const char *const *prefix = p->opaque; *prefix != NULL; prefix++)
        if (strncmp(text, *prefix, strlen(*prefix)) == 0) text = *prefix;
    json_write_cstr(&p->writer, key, text);
}

static int by_name(const void *a, const void *b)
{
    const config_setting_t *const *one = a, *const *other = b;
    return strcmp(config_setting_name(*one), config_setting_name(*other));
}

static void print_members(struct printing *p, const config_setting_t *setting)
{
    size_t count = (size_t)config_setting_length(setting);
    config_setting_t **members = calloc(count + 1, sizeof *members);
    if (members == NULL) {
        p->no_memory = true;
        return;
    }
    for (size_t i = 0; i < count; i++)
        members[i] = config_setting_get_elem(setting, (unsigned)i);
    bool named = config_setting_is_group(setting);
    if (named) qsort(members, count, sizeof *members, by_name);
    for (size_t i = 0; i < count; i++)
        print_setting(p, named ? config_setting_name(members[i]) : NULL, members[i]);
    free(members);
}

static void print_setting(struct printing *p, const char *key, const config_setting_t *setting)
{
    struct json_writer *w = &p->writer;
    switch (config_setting_type(setting)) {
    case CONFIG_TYPE_STRING: print_text(p, key, config_setting_get_string(setting)); break;
    case CONFIG_TYPE_BOOL: json_write_bool(w, key, config_setting_get_bool(setting)); break;
    case CONFIG_TYPE_GROUP:
        json_write_object(w, key);
        print_members(p, setting);
        json_write_object_end(w);
        break;
    case CONFIG_TYPE_LIST:
    case CONFIG_TYPE_ARRAY:
        json_write_array(w, key);
        print_members(p, setting);
        json_write_array_end(w);
        break;
    default: json_write_int(w, key, config_setting_get_int64(setting)); break;
    }
}

bool config_canonical(struct config_file *f, const char *path, const char *const *opaque, struct buffer *out)
{
    const config_setting_t *setting = config_lookup(config_tree(f), path);
    struct printing p = {.opaque = opaque};
    if (setting == NULL) return false;
    json_writer_init(&p.writer, out);
    print_setting(&p, NULL, setting);
    return !p.no_memory && buffer_ok(out);
}

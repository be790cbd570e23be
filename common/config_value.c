/* config_value.c: values of options: parsers by kind, ranges, lists and maps.
 * SPDX-License-Identifier: Apache-2.0 */
#include "config_value.h"
#include "text.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool parse_integer(struct bytes text, int64_t *out)
{
    return text_parse_int64(text, INT64_MIN, INT64_MAX, out);
}

static bool parse_boolean(struct bytes text, int64_t *out)
{
    *out = bytes_are(text, "true");
    return *out || bytes_are(text, "false");
}

static const struct kind {
    const char *name, *expected;
    size_t size;                                    /* of the field */
    bool (*parse)(struct bytes text, int64_t *out); /* NULL: the text is the value */
} kinds[] = {
    [CONFIG_TEXT] = {"text", "a text in quotes", sizeof(char *), NULL},
    [CONFIG_BOOL] = {"boolean", "true or false, without quotes", sizeof(bool), parse_boolean},
    [CONFIG_INT] = {"integer", "a whole number", sizeof(int64_t), parse_integer},
    [CONFIG_SIZE] = {"size", "a size in quotes, such as \"64KiB\" or \"1MiB\"", sizeof(int64_t), text_parse_size},
    [CONFIG_DURATION] = {"duration", "a duration in quotes, such as \"250ms\", \"30s\", \"2h\" or \"7d\"",
                         sizeof(int64_t), text_parse_duration},
    [CONFIG_CHOICE] = {"choice", "a text in quotes", sizeof(int), NULL},
    [CONFIG_TEXT_LIST] = {"list of texts", "a list of texts, such as [\"a\", \"b\"]", sizeof(struct config_list), NULL},
    [CONFIG_TEXT_MAP] = {"group", "a group of texts, such as { name = \"value\"; }", sizeof(struct config_map), NULL},
};

const char *config_kind_name(enum config_kind kind)
{
    return kinds[kind].name;
}

const char *config_kind_expected(enum config_kind kind)
{
    return kinds[kind].expected;
}

size_t config_field_size(enum config_kind kind)
{
    return kinds[kind].size;
}

/* The limits of the table go through the parser of the user's values, so that units cannot differ. */
static bool check_range(const struct config_option *o, int64_t value, struct error *error)
{
    int64_t limit = 0;
    if (o->min != NULL) {
        bool legal = kinds[o->kind].parse(bytes_of(o->min), &limit);
        assert(legal);
        if (value < limit) return error_set(error, ERROR_INVALID, "is below the minimum of %s", o->min);
    }
    if (o->max != NULL) {
        bool legal = kinds[o->kind].parse(bytes_of(o->max), &limit);
        assert(legal);
        if (value > limit) return error_set(error, ERROR_INVALID, "is over the maximum of %s", o->max);
    }
    return true;
}

static bool check_length(const struct config_option *o, size_t length, struct error *error)
{
    const char *unit = o->kind == CONFIG_TEXT ? "bytes" : "entries";
    int64_t limit = 0;
    if (o->min != NULL) {
        bool legal = parse_integer(bytes_of(o->min), &limit);
        assert(legal);
        if ((int64_t)length < limit) {
            if (length == 0) return error_set(error, ERROR_INVALID, "must not be empty");
            return error_set(error, ERROR_INVALID, "is shorter than %s %s", o->min, unit);
        }
    }
    if (o->max != NULL) {
        bool legal = parse_integer(bytes_of(o->max), &limit);
        assert(legal);
        if ((int64_t)length > limit) return error_set(error, ERROR_INVALID, "is longer than %s %s", o->max, unit);
    }
    return true;
}

static int choice_index(const char *choices, struct bytes text)
{
    int index = 0;
    for (const char *c = choices; text.size > 0 && c != NULL; index++) {
        const char *end = strchr(c, '|');
        struct bytes choice = {(const uint8_t *)c, end == NULL ? strlen(c) : (size_t)(end - c)};
        if (bytes_equal(choice, text)) return index;
        c = end == NULL ? NULL : end + 1;
    }
    return -1;
}

static bool store_choice(const struct config_option *o, struct bytes text, int *field, struct error *error)
{
    int index = choice_index(o->choices, text);
    if (index < 0) {
        int shown = text.size > 64 ? 64 : (int)text.size;
        return error_set(error, ERROR_INVALID, "\"%.*s\" is none of %s", shown, (const char *)text.data, o->choices);
    }
    *field = index;
    return true;
}

static bool store_text(const struct config_option *o, struct bytes text, char **field, struct error *error)
{
    if (!check_length(o, text.size, error)) return false;
    char *copy = bytes_dup(text);
    if (copy == NULL) return error_set(error, ERROR_MEMORY, "out of memory");
    free(*field);
    *field = copy;
    return true;
}

bool config_store_scalar(const struct config_option *o, struct bytes text, void *out, struct error *error)
{
    void *field = (char *)out + o->offset;
    if (o->kind == CONFIG_TEXT) return store_text(o, text, field, error);
    if (o->kind == CONFIG_CHOICE) return store_choice(o, text, field, error);

    int64_t value = 0;
    assert(kinds[o->kind].parse != NULL);
    int shown = text.size > 64 ? 64 : (int)text.size;
    if (!kinds[o->kind].parse(text, &value))
        return error_set(error, ERROR_INVALID, "\"%.*s\" is not %s", shown, (const char *)text.data,
                         kinds[o->kind].expected);
    struct error range;
    if (!check_range(o, value, &range))
        return error_set(error, ERROR_INVALID, "\"%.*s\" %s", shown, (const char *)text.data, range.text);
    if (o->kind == CONFIG_BOOL)
        *(bool *)field = value != 0;
    else
        *(int64_t *)field = value;
    return true;
}

bool config_list_add(struct config_list *list, struct bytes item)
{
    char **items = reallocarray(list->items, list->count + 1, sizeof *items);
    if (items == NULL) return false;
    list->items = items;
    items[list->count] = bytes_dup(item);
    if (items[list->count] == NULL) return false;
    list->count++;
    return true;
}

/* Appends the items of "a, b, c"; spaces around an item are dropped, empty items too. */
static bool split_list(struct config_list *list, const char *text)
{
    while (text != NULL) {
        const char *comma = strchr(text, ',');
        const char *end = comma == NULL ? text + strlen(text) : comma;
        while (text < end && *text == ' ')
            text++;
        while (text < end && end[-1] == ' ')
            end--;
        struct bytes item = {(const uint8_t *)text, (size_t)(end - text)};
        if (item.size > 0 && !config_list_add(list, item)) return false;
        text = comma == NULL ? NULL : comma + 1;
    }
    return true;
}

bool config_map_add(struct config_map *map, struct bytes name, struct bytes value)
{
    struct config_pair *items = reallocarray(map->items, map->count + 1, sizeof *items);
    if (items == NULL) return false;
    map->items = items;
    struct config_pair *pair = &items[map->count];
    pair->name = bytes_dup(name);
    pair->value = bytes_dup(value);
    if (pair->name == NULL || pair->value == NULL) {
        free(pair->name);
        free(pair->value);
        return false;
    }
    map->count++;
    return true;
}

static void clear_list(struct config_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->items[i]);
    free(list->items);
    *list = (struct config_list){0};
}

static void clear_map(struct config_map *map)
{
    for (size_t i = 0; i < map->count; i++) {
        free(map->items[i].name);
        free(map->items[i].value);
    }
    free(map->items);
    *map = (struct config_map){0};
}

void config_clear_field(const struct config_option *o, void *out)
{
    void *field = (char *)out + o->offset;
    switch (o->kind) {
    case CONFIG_TEXT:
        free(*(char **)field);
        *(char **)field = NULL;
        break;
    case CONFIG_TEXT_LIST: clear_list(field); break;
    case CONFIG_TEXT_MAP: clear_map(field); break;
    case CONFIG_BOOL: *(bool *)field = false; break;
    case CONFIG_CHOICE: *(int *)field = 0; break;
    case CONFIG_INT:
    case CONFIG_SIZE:
    case CONFIG_DURATION: *(int64_t *)field = 0; break;
    }
}

bool config_store_default(const struct config_option *o, void *out, struct error *error)
{
    assert(o->default_text != NULL);
    if (o->kind == CONFIG_TEXT_MAP) return true; /* the only default of a map is the empty one */
    if (o->kind != CONFIG_TEXT_LIST) return config_store_scalar(o, bytes_of(o->default_text), out, error);
    struct config_list *list = (void *)((char *)out + o->offset);
    return split_list(list, o->default_text) || error_set(error, ERROR_MEMORY, "out of memory");
}

void config_store_fallback(const struct config_option *o, void *out)
{
    if (o->default_text != NULL)
        config_store_default(o, out, NULL);
    else if (o->kind == CONFIG_TEXT)
        *(char **)(void *)((char *)out + o->offset) = bytes_dup(bytes_of(""));
}

bool config_check_entries(const struct config_option *o, const void *out, struct error *error)
{
    const void *field = (const char *)out + o->offset;
    if (o->kind == CONFIG_TEXT_LIST) return check_length(o, ((const struct config_list *)field)->count, error);
    if (o->kind == CONFIG_TEXT_MAP) return check_length(o, ((const struct config_map *)field)->count, error);
    return true;
}

void config_variable_name(const char *option, char out[CONFIG_VARIABLE_SIZE])
{
    size_t size = strlen(option), start = strlen("DRAWBRIDGE_");
    assert(start + size < CONFIG_VARIABLE_SIZE);
    memcpy(out, "DRAWBRIDGE_", start);
    for (size_t i = 0; i <= size; i++) {
        char c = option[i];
        out[start + i] = c == '.' || c == '-' ? '_' : c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
    }
}

/* DRAWBRIDGE_KAFKA_BOOTSTRAP_SERVERS=x gives the map "kafka" the entry bootstrap_servers = "x".  It goes behind the
 * file's entries: the last entry of a name counts. */
static enum config_override map_from_environment(const char *variable, struct config_map *map,
                                                 struct config_report *report)
{
    enum config_override outcome = CONFIG_OVERRIDE_NONE;
    size_t length = strlen(variable);
    for (char **entry = environ; entry != NULL && *entry != NULL; entry++) {
        const char *name = *entry + length + 1, *equals = strchr(*entry, '=');
        if (strncmp(*entry, variable, length) != 0 || (*entry)[length] != '_' || equals == NULL || equals <= name)
            continue;
        char *lower = bytes_dup((struct bytes){(const uint8_t *)name, (size_t)(equals - name)});
        for (char *c = lower; c != NULL && *c != '\0'; c++)
            *c = *c >= 'A' && *c <= 'Z' ? (char)(*c - 'A' + 'a') : *c;
        bool added = lower != NULL && config_map_add(map, bytes_of(lower), bytes_of(equals + 1));
        free(lower);
        if (!added) {
            config_report_add(report, "environment", 0, "%s: out of memory", variable);
            return CONFIG_OVERRIDE_BAD;
        }
        outcome = CONFIG_OVERRIDE_TAKEN;
    }
    return outcome;
}

enum config_override config_from_environment(const struct config_option *o, void *out, struct config_report *report)
{
    char variable[CONFIG_VARIABLE_SIZE];
    struct error error = {0};
    bool stored;
    config_variable_name(o->name, variable);
    if (o->kind == CONFIG_TEXT_MAP) return map_from_environment(variable, (void *)((char *)out + o->offset), report);

    const char *value = getenv(variable);
    if (value == NULL) return CONFIG_OVERRIDE_NONE;
    if (o->kind == CONFIG_TEXT_LIST) {
        config_clear_field(o, out);
        stored =
            split_list((void *)((char *)out + o->offset), value) || error_set(&error, ERROR_MEMORY, "out of memory");
    } else {
        stored = config_store_scalar(o, bytes_of(value), out, &error);
    }
    if (!stored) config_report_add(report, "environment", 0, "%s: %s", variable, error.text);
    return stored ? CONFIG_OVERRIDE_TAKEN : CONFIG_OVERRIDE_BAD;
}

/* "integer, 1 to 64", "choice: info|debug". */
static void print_kind(FILE *out, const struct config_option *o)
{
    const char *unit = o->kind == CONFIG_TEXT ? " bytes" : o->kind >= CONFIG_TEXT_LIST ? " entries" : "";
    fprintf(out, "%s", kinds[o->kind].name);
    if (o->kind == CONFIG_CHOICE) fprintf(out, ": %s", o->choices);
    if (o->min != NULL && o->max != NULL)
        fprintf(out, ", %s to %s%s", o->min, o->max, unit);
    else if (o->min != NULL)
        fprintf(out, ", at least %s%s", o->min, unit);
    else if (o->max != NULL)
        fprintf(out, ", at most %s%s", o->max, unit);
}

static void print_list(FILE *out, const char *text)
{
    struct config_list list = {0};
    split_list(&list, text);
    fputs(" = [", out);
    for (size_t i = 0; i < list.count; i++)
        fprintf(out, "%s\"%s\"", i > 0 ? ", " : "", list.items[i]);
    fputc(']', out);
    clear_list(&list);
}

/* The default as it would stand in the file. */
static void print_default(FILE *out, const struct config_option *o)
{
    bool bare = o->kind == CONFIG_BOOL || o->kind == CONFIG_INT;
    if (o->default_text == NULL)
        fputs("   (required)", out);
    else if (o->kind == CONFIG_TEXT_MAP)
        fputs(" = { }", out);
    else if (o->kind == CONFIG_TEXT_LIST)
        print_list(out, o->default_text);
    else
        fprintf(out, bare ? " = %s" : " = \"%s\"", o->default_text);
}

void config_print_help(FILE *out, const char *title, const struct config_option *options, size_t count)
{
    fprintf(out, "%s\n\n", title);
    for (size_t i = 0; i < count; i++) {
        const struct config_option *o = &options[i];
        fprintf(out, "  %s", o->name);
        print_default(out, o);
        fputs("\n      ", out);
        print_kind(out, o);
        fprintf(out, "%s\n      %s\n", o->reloadable ? "; read again on SIGHUP" : "", o->help);
    }
    fputc('\n', out);
}

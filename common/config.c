/* config.c: a libconfig file, its settings by path, and what becomes of them in a program's struct.
 * SPDX-License-Identifier: Apache-2.0 */
#include <libconfig.h>

#include "config_text.h"
#include "config_value.h"
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { FILE_MAX = 4 << 20, REPORT_MAX = 64 << 10, PATH_SIZE = 512 };

struct config_file {
    config_t tree;
    char *name;
    char visited, consumed; /* their addresses in a setting's hook say what was asked for, so the rest can be refused */
};

void config_report_init(struct config_report *r)
{
    buffer_init(&r->text, REPORT_MAX);
    r->problems = 0;
}

void config_report_close(struct config_report *r)
{
    buffer_close(&r->text);
    r->problems = 0;
}

__attribute__((format(printf, 5, 0))) static void write_sentence(struct config_report *r, const char *file, int line,
                                                                 const char *mark, const char *format, va_list args)
{
    char sentence[1024];
    vsnprintf(sentence, sizeof sentence, format, args);
    /* A buffer that overflows loses everything; the first problems are worth more than the last. */
    if (buffer_view(&r->text).size + strlen(file) + strlen(sentence) + 32 > REPORT_MAX) return;
    if (line > 0)
        buffer_format(&r->text, "%s:%d: %s%s\n", file, line, mark, sentence);
    else
        buffer_format(&r->text, "%s: %s%s\n", file, mark, sentence);
}

void config_report_add(struct config_report *r, const char *file, int line, const char *format, ...)
{
    va_list args;
    r->problems++;
    va_start(args, format);
    write_sentence(r, file, line, "", format, args);
    va_end(args);
}

void config_report_warn(struct config_report *r, const char *file, int line, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    write_sentence(r, file, line, "warning: ", format, args);
    va_end(args);
}

static bool read_file(const char *path, struct buffer *out, struct error *error)
{
    FILE *stream = fopen(path, "re");
    if (stream == NULL) return error_set_errno(error, errno, "can't be opened");
    char chunk[8192];
    size_t size;
    while (buffer_ok(out) && (size = fread(chunk, 1, sizeof chunk, stream)) > 0)
        buffer_append(out, chunk, size);
    int errnum = ferror(stream) ? errno : 0;
    fclose(stream);
    if (errnum != 0) return error_set_errno(error, errnum, "can't be read");
    if (!buffer_ok(out)) return error_set(error, ERROR_TOO_LARGE, "is larger than 4 MiB");
    return true;
}

struct config_file *config_open(const char *path, struct config_report *report)
{
    if (path == NULL) return config_parse("defaults", (struct bytes){0}, report);

    struct buffer text;
    struct error error = {0};
    struct config_file *file = NULL;
    buffer_init(&text, FILE_MAX);
    if (read_file(path, &text, &error))
        file = config_parse(path, buffer_view(&text), report);
    else
        config_report_add(report, path, 0, "%s", error.text);
    buffer_close(&text);
    return file;
}

struct config_file *config_blank(const char *name, struct config_report *report)
{
    struct config_file *file = calloc(1, sizeof *file);
    if (file != NULL) {
        config_init(&file->tree);
        file->name = bytes_dup(bytes_of(name));
        if (file->name != NULL) return file;
    }
    config_report_add(report, name, 0, "out of memory");
    config_close(file);
    return NULL;
}

struct config_t *config_tree(struct config_file *f)
{
    return &f->tree;
}

struct config_file *config_parse(const char *name, struct bytes text, struct config_report *report)
{
    if (!config_check_text(name, text, report)) return NULL;

    struct config_file *file = config_blank(name, report);
    if (file == NULL) return NULL;
    struct buffer lines;
    buffer_init(&lines, text.size + 1);
    buffer_bytes(&lines, text);
    buffer_byte(&lines, '\n'); /* without it a comment in the last line is a syntax error */
    bool good = buffer_ok(&lines) && config_read_string(&file->tree, buffer_cstr(&lines)) == CONFIG_TRUE;
    if (!buffer_ok(&lines))
        config_report_add(report, name, 0, "out of memory");
    else if (!good)
        config_report_add(report, name, config_error_line(&file->tree), "%s", config_error_text(&file->tree));
    buffer_close(&lines);
    if (good) return file;
    config_close(file);
    return NULL;
}

void config_close(struct config_file *f)
{
    if (f == NULL) return;
    config_destroy(&f->tree);
    free(f->name);
    free(f);
}

static void mark_visited(struct config_file *f, config_setting_t *setting)
{
    if (config_setting_get_hook(setting) == NULL) config_setting_set_hook(setting, &f->visited);
}

static config_setting_t *lookup_plain(struct config_file *f, const char *path)
{
    if (path[0] == '\0') return config_root_setting(&f->tree);
    return config_lookup(&f->tree, path);
}

/* The setting at a path, NULL when absent; everything on the way counts as visited. */
static config_setting_t *lookup(struct config_file *f, const char *path)
{
    char part[PATH_SIZE];
    if (strlen(path) >= sizeof part) return NULL;
    for (size_t i = 0; path[i] != '\0'; i++) {
        if (path[i] == '.') {
            part[i] = '\0';
            config_setting_t *above = lookup_plain(f, part);
            if (above != NULL) mark_visited(f, above);
        }
        part[i] = path[i];
    }
    config_setting_t *setting = lookup_plain(f, path);
    if (setting != NULL) mark_visited(f, setting);
    return setting;
}

static int line_of(const config_setting_t *setting)
{
    return setting == NULL ? 0 : (int)config_setting_source_line(setting);
}

/* One load on its way through the table. */
struct load {
    struct config_file *file;
    const char *prefix;
    config_setting_t *group; /* at the prefix; NULL when absent */
    void *out;
    struct config_report *report;
};

static void problem(const struct load *l, const config_setting_t *setting, const struct config_option *o,
                    const char *sentence)
{
    const char *dot = l->prefix[0] == '\0' ? "" : ".";
    int line = line_of(setting != NULL ? setting : l->group);
    config_report_add(l->report, l->file->name, line, "%s%s%s: %s", l->prefix, dot, o->name, sentence);
}

/* A scalar setting as text; false when it is of another kind.  `scratch` may hold the result. */
static bool scalar_text(const config_setting_t *setting, char scratch[32], struct bytes *text)
{
    switch (config_setting_type(setting)) {
    case CONFIG_TYPE_STRING: *text = bytes_of(config_setting_get_string(setting)); return true;
    case CONFIG_TYPE_INT:
    case CONFIG_TYPE_INT64: snprintf(scratch, 32, "%lld", config_setting_get_int64(setting)); break;
    case CONFIG_TYPE_BOOL: snprintf(scratch, 32, "%s", config_setting_get_bool(setting) ? "true" : "false"); break;
    default: return false;
    }
    *text = bytes_of(scratch);
    return true;
}

/* Quotes decide: a text where a number belongs (and the other way round) is more likely an error than a style.
 * Sizes and durations are texts with a unit; a bare number still reaches their parser, which knows what it may mean. */
static bool kind_matches(enum config_kind kind, int type)
{
    bool integer = type == CONFIG_TYPE_INT || type == CONFIG_TYPE_INT64;
    switch (kind) {
    case CONFIG_TEXT:
    case CONFIG_CHOICE: return type == CONFIG_TYPE_STRING;
    case CONFIG_BOOL: return type == CONFIG_TYPE_BOOL;
    case CONFIG_INT: return integer;
    case CONFIG_SIZE:
    case CONFIG_DURATION: return integer || type == CONFIG_TYPE_STRING;
    case CONFIG_TEXT_LIST: return type == CONFIG_TYPE_ARRAY || type == CONFIG_TYPE_LIST;
    case CONFIG_TEXT_MAP: return type == CONFIG_TYPE_GROUP;
    }
    return false;
}

static bool load_list(const config_setting_t *setting, struct config_list *list, struct error *error)
{
    for (int i = 0; i < config_setting_length(setting); i++) {
        const char *item = config_setting_get_string_elem(setting, i);
        if (item == NULL)
            return error_set(error, ERROR_INVALID, "entry %d is not %s", i + 1, config_kind_expected(CONFIG_TEXT));
        if (!config_list_add(list, bytes_of(item))) return error_set(error, ERROR_MEMORY, "out of memory");
    }
    return true;
}

static bool load_map(const config_setting_t *setting, struct config_map *map, struct error *error)
{
    for (int i = 0; i < config_setting_length(setting); i++) {
        config_setting_t *entry = config_setting_get_elem(setting, (unsigned)i);
        char scratch[32];
        struct bytes value;
        if (!scalar_text(entry, scratch, &value))
            return error_set(error, ERROR_INVALID, "'%s' is not a text, an integer or a boolean",
                             config_setting_name(entry));
        if (!config_map_add(map, bytes_of(config_setting_name(entry)), value))
            return error_set(error, ERROR_MEMORY, "out of memory");
    }
    return true;
}

static bool store_setting(const struct config_option *o, const config_setting_t *setting, void *out,
                          struct error *error)
{
    void *field = (char *)out + o->offset;
    if (o->text_too && config_setting_type(setting) == CONFIG_TYPE_STRING)
        return config_list_add(field, bytes_of(config_setting_get_string(setting))) ||
               error_set(error, ERROR_MEMORY, "out of memory");
    if (!kind_matches(o->kind, config_setting_type(setting)))
        return error_set(error, ERROR_INVALID, "expected %s", config_kind_expected(o->kind));
    if (o->kind == CONFIG_TEXT_LIST) return load_list(setting, field, error);
    if (o->kind == CONFIG_TEXT_MAP) return load_map(setting, field, error);
    char scratch[32];
    struct bytes text = {0};
    scalar_text(setting, scratch, &text);
    return config_store_scalar(o, text, out, error);
}

/* Fills one field from file, environment or default, in this order.  False: `error` has the sentence, or none when it
 * was reported already. */
static bool load_option(const struct load *l, const struct config_option *o, config_setting_t *setting,
                        struct error *error)
{
    bool given = setting != NULL;
    if (given && !store_setting(o, setting, l->out, error)) return false;
    if (l->prefix[0] == '\0') {
        enum config_override override = config_from_environment(o, l->out, l->report);
        if (override == CONFIG_OVERRIDE_BAD) return false;
        given = given || override == CONFIG_OVERRIDE_TAKEN;
    }
    if (given) return config_check_entries(o, l->out, error);
    if (o->default_text == NULL) return error_set(error, ERROR_INVALID, "is required");
    return config_store_default(o, l->out, error);
}

bool config_load(struct config_file *f, const char *prefix, const struct config_option *options, size_t count,
                 void *out, struct config_report *report)
{
    int problems = report->problems;
    struct load l = {.file = f, .prefix = prefix, .group = lookup(f, prefix), .out = out, .report = report};
    for (size_t i = 0; i < count; i++)
        memset((char *)out + options[i].offset, 0, config_field_size(options[i].kind));
    for (size_t i = 0; i < count; i++) {
        const struct config_option *o = &options[i];
        struct error error = {0};
        char path[PATH_SIZE];
        int size = snprintf(path, sizeof path, "%s%s%s", prefix, prefix[0] == '\0' ? "" : ".", o->name);
        config_setting_t *setting = size < PATH_SIZE ? lookup(f, path) : NULL;
        if (setting != NULL) config_setting_set_hook(setting, &f->consumed);
        if (load_option(&l, o, setting, &error)) continue;
        if (error.code != ERROR_NONE) problem(&l, setting, o, error.text);
        config_clear_field(o, out);
        config_store_fallback(o, out);
    }
    return report->problems == problems;
}

void config_free(const struct config_option *options, size_t count, void *out)
{
    for (size_t i = 0; i < count; i++)
        config_clear_field(&options[i], out);
}

size_t config_count(struct config_file *f, const char *path)
{
    const config_setting_t *setting = lookup(f, path);
    if (setting == NULL || !config_setting_is_aggregate(setting)) return 0;
    return (size_t)config_setting_length(setting);
}

const char *config_child(struct config_file *f, const char *path, size_t index)
{
    const config_setting_t *setting = lookup(f, path);
    if (setting == NULL || !config_setting_is_group(setting) || index >= (size_t)config_setting_length(setting))
        return NULL;
    return config_setting_name(config_setting_get_elem(setting, (unsigned)index));
}

bool config_has(struct config_file *f, const char *path)
{
    return lookup(f, path) != NULL;
}

int config_line(struct config_file *f, const char *path)
{
    return line_of(lookup(f, path));
}

const char *config_name(const struct config_file *f)
{
    return f->name;
}

static void append_path(const config_setting_t *setting, struct buffer *out)
{
    if (config_setting_is_root(setting)) return;
    const config_setting_t *above = config_setting_parent(setting);
    append_path(above, out);
    if (!config_setting_is_root(above)) buffer_byte(out, '.');
    if (config_setting_name(setting) != NULL)
        buffer_text(out, config_setting_name(setting));
    else
        buffer_format(out, "[%d]", config_setting_index(setting));
}

/* Walks what was only visited; what was consumed is known as a whole, what was not even visited is unknown as a whole.
 */
static void reject_below(struct config_file *f, const config_setting_t *setting, struct config_report *report)
{
    const char *how = config_setting_get_hook(setting);
    if (how == &f->consumed) return;
    if (how == &f->visited && config_setting_is_aggregate(setting)) {
        for (int i = 0; i < config_setting_length(setting); i++)
            reject_below(f, config_setting_get_elem(setting, (unsigned)i), report);
        return;
    }
    struct buffer path;
    buffer_init(&path, PATH_SIZE);
    append_path(setting, &path);
    config_report_add(report, f->name, line_of(setting), "%s: unknown setting",
                      buffer_ok(&path) ? buffer_cstr(&path) : "(a very long path)");
    buffer_close(&path);
}

void config_reject_unknown(struct config_file *f, struct config_report *report)
{
    lookup(f, "");
    reject_below(f, config_root_setting(&f->tree), report);
}

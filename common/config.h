/* config.h: libconfig files read through option tables.  The table is default, range check, --help-config and
 * reference page in one.  SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "buffer.h"
#include "error.h"
#include <stdio.h>

enum config_kind {
    CONFIG_TEXT,      /* char * (heap), never NULL */
    CONFIG_BOOL,      /* bool */
    CONFIG_INT,       /* int64_t */
    CONFIG_SIZE,      /* int64_t bytes, written "1MiB" */
    CONFIG_DURATION,  /* int64_t milliseconds, written "30s" */
    CONFIG_CHOICE,    /* int: index into `choices` ("info|debug|...") */
    CONFIG_TEXT_LIST, /* struct config_list */
    CONFIG_TEXT_MAP,  /* struct config_map: a group of texts (integers and booleans are kept as text) */
};

struct config_list {
    char **items;
    size_t count;
};

struct config_map {
    struct config_pair {
        char *name, *value;
    } * items;
    size_t count;
};

struct config_option {
    const char *name; /* path below the prefix: "http.listen", "retry.max_attempts" */
    enum config_kind kind;
    size_t offset;            /* of the field in the program's settings struct */
    const char *default_text; /* read by the same parser as the user's; a list with commas; NULL: required */
    const char *min, *max;    /* as text in the option's unit, or NULL; of texts, lists and maps the length */
    const char *choices;
    const char *help;
    bool reloadable;
    bool text_too; /* of a list: a plain text is a list of one */
};

/* All problems of a load, in order; each "file:line: sentence". */
struct config_report {
    struct buffer text; /* one problem a line */
    int problems;
};
void config_report_init(struct config_report *r);
void config_report_close(struct config_report *r);
void config_report_add(struct config_report *r, const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* The same for what is legal and still hardly meant: it stands in the text, but is no problem. */
void config_report_warn(struct config_report *r, const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

struct config_file;
/* Reads a file (UTF-8, at most 4 MiB, no @include); problems go to the report and NULL comes back.  path NULL: an empty
 * configuration (defaults and environment).  The caller closes the result. */
struct config_file *config_open(const char *path, struct config_report *report);
/* The same from a text that is called `name` in messages. */
struct config_file *config_parse(const char *name, struct bytes text, struct config_report *report);
/* The same from a JSON object, with the words and the rules of a file; it stands at `root` ("trigger"), so that no
 * environment reaches it.  null is as good as absent; a key must be a setting's name and stand there once. */
struct config_file *config_parse_json(const char *name, const char *root, struct bytes text,
                                      struct config_report *report);
void config_close(struct config_file *f); /* NULL is legal */

/* Appends the setting at `path` as JSON that does not depend on how it was written: members by name, no white space.
 * A text that begins with one of the `opaque` prefixes (ended by NULL) is written as that prefix alone.  False when
 * nothing stands there or without memory. */
bool config_canonical(struct config_file *f, const char *path, const char *const *opaque, struct buffer *out);

/* Fills `out` from the settings below `prefix` ("" for the top, "agents.[2]" for a list element) and from the defaults;
 * at the top the environment goes first: DRAWBRIDGE_<NAME in upper case, '_' for '.'>, a list written with commas, a
 * map as one variable for each entry.  Everything wrong is reported; true if nothing was.  In any case every field has
 * a legal value and `out` owns its texts: free them with config_free, before a second load too.  An option without a
 * default that has no value is reported, and is then zero or "".  (libconfig owns the name config_read.) */
bool config_load(struct config_file *f, const char *prefix, const struct config_option *options, size_t count,
                 void *out, struct config_report *report);
void config_free(const struct config_option *options, size_t count, void *out);
/* Elements of the list or settings of the group at `path`; 0 if it is absent or neither. */
size_t config_count(struct config_file *f, const char *path);
/* Name of the index-th setting of the group at `path` ("schemes" -> "github"); NULL when there is none.  Lives as long
 * as the file. */
const char *config_child(struct config_file *f, const char *path, size_t index);
/* True if something stands at that path. */
bool config_has(struct config_file *f, const char *path);
/* Line of the setting at `path`, or 0; the file's name. */
int config_line(struct config_file *f, const char *path);
const char *config_name(const struct config_file *f);
/* Reports every setting that no config_load has asked for: a typing error must not pass silently. */
void config_reject_unknown(struct config_file *f, struct config_report *report);

/* The reference page: every option with type, default, range, unit and help. */
void config_print_help(FILE *out, const char *title, const struct config_option *options, size_t count);

/* options.c: options are declared once, in tables: parsing, ranges and --help come from them.
 * SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"
#include "text.h"
#include <assert.h>
#include <getopt.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { OPTIONS_MAX = 48, LONG_VALUE_BASE = 256, HELP_COLUMN = 34 };

static bool in_range(const struct cli_option *o, double value)
{
    return (o->min == 0 && o->max == 0) || (value >= (double)o->min && value <= (double)o->max);
}

static bool store_flag(const struct cli_option *o, const char *text, int64_t now_us, void *field)
{
    (void)o, (void)now_us;
    *(bool *)field = strcmp(text, "true") == 0;
    return true;
}

static bool store_text(const struct cli_option *o, const char *text, int64_t now_us, void *field)
{
    (void)o, (void)now_us;
    *(const char **)field = text;
    return *text != '\0';
}

static bool store_int(const struct cli_option *o, const char *text, int64_t now_us, void *field)
{
    (void)now_us;
    return text_parse_int64(bytes_of(text), INT64_MIN, INT64_MAX, field) && in_range(o, (double)*(int64_t *)field);
}

static bool store_number(const struct cli_option *o, const char *text, int64_t now_us, void *field)
{
    (void)now_us;
    char *end = NULL;
    const double value = strtod(text, &end);
    *(double *)field = value;
    return end != text && *end == '\0' && isfinite(value) && in_range(o, value);
}

static bool store_size(const struct cli_option *o, const char *text, int64_t now_us, void *field)
{
    (void)now_us;
    return text_parse_size(bytes_of(text), field) && in_range(o, (double)*(int64_t *)field);
}

static bool store_duration(const struct cli_option *o, const char *text, int64_t now_us, void *field)
{
    (void)now_us;
    return text_parse_duration(bytes_of(text), field) && in_range(o, (double)*(int64_t *)field);
}

static bool store_moment(const struct cli_option *o, const char *text, int64_t now_us, void *field)
{
    (void)o;
    int64_t ago_ms;
    if (text_parse_duration(bytes_of(text), &ago_ms)) {
        *(int64_t *)field = ago_ms < now_us / 1000 ? now_us - ago_ms * 1000 : 0;
        return true;
    }
    return text_parse_time(bytes_of(text), field);
}

static bool store_choice(const struct cli_option *o, const char *text, int64_t now_us, void *field)
{
    (void)now_us;
    const size_t length = strlen(text);
    int index = 0;
    for (const char *word = o->choices;; index++) {
        const size_t size = strcspn(word, "|");
        if (size == length && memcmp(word, text, length) == 0) {
            *(int *)field = index;
            return true;
        }
        if (word[size] == '\0') return false;
        word += size + 1;
    }
}

static bool store_list(const struct cli_option *o, const char *text, int64_t now_us, void *field)
{
    (void)o, (void)now_us;
    struct cli_list *list = field;
    if (list->count == CLI_LIST_MAX) return false;
    list->items[list->count++] = text;
    return true;
}

static const struct kind {
    bool (*store)(const struct cli_option *o, const char *text, int64_t now_us, void *field);
    const char *expected;
} kinds[] = {
    [CLI_FLAG] = {store_flag, "true or false"},
    [CLI_TEXT] = {store_text, "a text that is not empty"},
    [CLI_INT] = {store_int, "a whole number"},
    [CLI_NUMBER] = {store_number, "a number"},
    [CLI_SIZE] = {store_size, "a size such as 64KiB"},
    [CLI_DURATION] = {store_duration, "a duration such as 30s"},
    [CLI_MOMENT] = {store_moment, "a time such as 2026-11-23T12:00:00Z, or how long ago, such as 2h"},
    [CLI_CHOICE] = {store_choice, "one of "},
    [CLI_LIST] = {store_list, "at most 64 of it"},
};

static bool option_store(const struct cli_option_set *set, size_t index, const char *text, int64_t now_us,
                         struct error *error)
{
    const struct cli_option *o = &set->options[index];
    if (kinds[o->kind].store(o, text, now_us, (char *)set->base + o->offset)) return true;
    char range[64] = "";
    if (o->min != 0 || o->max != 0)
        snprintf(range, sizeof range, " from %lld to %lld", (long long)o->min, (long long)o->max);
    return error_set(error, ERROR_INVALID, "--%s: '%.100s' is not %s%s%s", o->name, text, kinds[o->kind].expected,
                     o->choices != NULL ? o->choices : "", range);
}

static bool defaults_apply(const struct cli_option_set *sets, size_t set_count, int64_t now_us)
{
    struct error error;
    for (size_t s = 0; s < set_count; s++)
        for (size_t i = 0; i < sets[s].count; i++)
            if (sets[s].options[i].default_text != NULL &&
                !option_store(&sets[s], i, sets[s].options[i].default_text, now_us, &error))
                return false;
    return true;
}

/* Where a getopt value leads: set and row. */
struct option_place {
    const struct cli_option_set *set;
    size_t index;
};

static size_t table_build(const struct cli_option_set *sets, size_t set_count, struct option *longs,
                          struct option_place *places, char *shorts)
{
    size_t n = 0;
    *shorts++ = ':'; /* a missing argument is told apart from an unknown option */
    for (size_t s = 0; s < set_count; s++)
        for (size_t i = 0; i < sets[s].count; i++, n++) {
            const struct cli_option *o = &sets[s].options[i];
            assert(n < OPTIONS_MAX);
            places[n] = (struct option_place){&sets[s], i};
            longs[n] = (struct option){o->name, o->kind == CLI_FLAG ? no_argument : required_argument, NULL,
                                       LONG_VALUE_BASE + (int)n};
            if (o->letter != 0) *shorts++ = o->letter;
            if (o->letter != 0 && o->kind != CLI_FLAG) *shorts++ = ':';
        }
    *shorts++ = 'h';
    *shorts = '\0';
    longs[n] = (struct option){"help", no_argument, NULL, 'h'};
    longs[n + 1] = (struct option){0};
    return n;
}

static const struct option_place *place_find(const struct option_place *places, size_t count, int value)
{
    if (value >= LONG_VALUE_BASE) return &places[value - LONG_VALUE_BASE];
    for (size_t i = 0; i < count; i++)
        if (places[i].set->options[places[i].index].letter == value) return &places[i];
    return NULL;
}

enum cli_parsed options_parse(const struct cli_option_set *sets, size_t set_count, int64_t now_us, int argc,
                              char **argv, int *first_operand, struct error *error)
{
    struct option longs[OPTIONS_MAX + 2];
    struct option_place places[OPTIONS_MAX];
    char shorts[2 * OPTIONS_MAX + 3];
    const size_t count = table_build(sets, set_count, longs, places, shorts);
    const bool defaults_are_legal = defaults_apply(sets, set_count, now_us);
    assert(defaults_are_legal);
    (void)defaults_are_legal;

    optind = 0; /* makes getopt start anew */
    opterr = 0;
    for (;;) {
        const int value = getopt_long(argc, argv, shorts, longs, NULL);
        if (value == -1) break;
        if (value == 'h') return CLI_PARSED_HELP;
        if (value == ':' || value == '?') {
            error_set(error, ERROR_INVALID, "%s: %.100s", value == ':' ? "an argument is missing" : "unknown option",
                      argv[optind - 1]);
            return CLI_PARSED_WRONG;
        }
        const struct option_place *place = place_find(places, count, value);
        if (place == NULL || !option_store(place->set, place->index, optarg != NULL ? optarg : "true", now_us, error))
            return CLI_PARSED_WRONG;
    }
    *first_operand = optind;
    return CLI_PARSED;
}

/* The help text, folded at the column where it stands. */
static void print_folded(FILE *out, const char *text)
{
    enum { WIDTH = 80 };
    size_t column = HELP_COLUMN;
    for (const char *word = text; *word != '\0';) {
        const size_t size = strcspn(word, " ");
        if (column > HELP_COLUMN && column + 1 + size > WIDTH + HELP_COLUMN / 2) {
            fprintf(out, "\n%*s", HELP_COLUMN, "");
            column = HELP_COLUMN;
        } else if (column > HELP_COLUMN) {
            fputc(' ', out);
            column++;
        }
        fprintf(out, "%.*s", (int)size, word);
        column += size;
        word += size;
        while (*word == ' ')
            word++;
    }
}

void options_print(FILE *out, const struct cli_option *options, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct cli_option *o = &options[i];
        char head[80];
        snprintf(head, sizeof head, "  %c%c%c --%s%s%s", o->letter != 0 ? '-' : ' ', o->letter != 0 ? o->letter : ' ',
                 o->letter != 0 ? ',' : ' ', o->name, o->argument != NULL ? " " : "",
                 o->argument != NULL ? o->argument : "");
        fprintf(out, "%-*s ", HELP_COLUMN - 1, head);
        print_folded(out, o->help);
        if (o->default_text != NULL) fprintf(out, " [%s]", o->default_text);
        fputc('\n', out);
    }
}

/* judge.c: `drawbridge-ingress --check-records FILE`: what this ingress would say of records of the triggers topic, in
 * order; for `drawbridge trigger`, which must not judge by rules of its own.  SPDX-License-Identifier: Apache-2.0 */
#include "ingress.h"
#include "log.h"
#include "signature.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_MAX_BYTES = 4 << 20 };
#define ASKED "--check-records"

bool judge_asked(int argc, char **argv)
{
    return argc > 1 && strcmp(argv[1], ASKED) == 0;
}

struct judge {
    struct registry *registry;
    struct buffer key, value, verdict;
};

/* False: `out` is not filled because the member is null or no base64. */
static bool member(const struct json *line, const char *name, struct buffer *out)
{
    const char *text;
    buffer_clear(out);
    return json_text(json_get(line, name, NULL), &text) && text_unbase64(bytes_of(text), out);
}

static void print_verdict(struct judge *j, int64_t offset, enum registry_verdict verdict, const struct error *problem)
{
    struct json_writer w;
    buffer_clear(&j->verdict);
    json_writer_init(&w, &j->verdict);
    json_write_object(&w, NULL);
    json_write_int(&w, "offset", offset);
    json_write_cstr(&w, "verdict", registry_verdict_name(verdict));
    json_write_cstr(&w, "problem", verdict == REGISTRY_REFUSED ? problem->text : NULL);
    json_write_object_end(&w);
    puts(buffer_cstr(&j->verdict));
}

static bool judge_line(struct judge *j, struct bytes text, struct error *error)
{
    struct error problem;
    int64_t offset;
    struct json *line = json_parse(text, error);
    if (!line) return false;
    bool good = json_int64(json_get(line, "offset", NULL), &offset) && member(line, "key", &j->key);
    if (good) {
        bool has_value = member(line, "value", &j->value);
        struct record record = {.key = buffer_view(&j->key)};
        if (has_value)
            record.value = j->value.size > 0 ? buffer_view(&j->value) : (struct bytes){(const uint8_t *)"", 0};
        print_verdict(j, offset, registry_take(j->registry, &record, offset, &problem), &problem);
    }
    json_free(line);
    return good || error_set(error, ERROR_INVALID, "a line is not {\"offset\":N,\"key\":BASE64,\"value\":BASE64}");
}

static bool judge_file(struct judge *j, const char *path, struct error *error)
{
    FILE *file = fopen(path, "re");
    if (!file) return error_set(error, ERROR_IO, "%s can't be opened", path);
    char *line = NULL;
    size_t room = 0;
    bool good = true;
    for (ssize_t size; good && (size = getline(&line, &room, file)) > 0;)
        good = judge_line(j, (struct bytes){(const uint8_t *)line, (size_t)size}, error);
    free(line);
    fclose(file);
    return good;
}

static bool judge(const struct settings *settings, const struct scheme_set *schemes, const char *path,
                  struct error *error)
{
    struct judge j = {.registry = registry_new(settings, schemes)};
    if (!j.registry) return error_set(error, ERROR_MEMORY, "no memory for the triggers");
    buffer_init(&j.key, LINE_MAX_BYTES);
    buffer_init(&j.value, LINE_MAX_BYTES);
    buffer_init(&j.verdict, LINE_MAX_BYTES);
    bool good = judge_file(&j, path, error);
    buffer_close(&j.key);
    buffer_close(&j.value);
    buffer_close(&j.verdict);
    registry_free(j.registry);
    return good;
}

int judge_run(int argc, char **argv)
{
    struct ingress in = {0};
    struct config_report report;
    struct error error = {0};
    if (argc < 3 || argc > 4) {
        fputs("usage: drawbridge-ingress " ASKED " FILE [CONFIG]\n", stderr);
        return DAEMON_EXIT_CONFIGURATION;
    }
    config_report_init(&report);
    bool good = daemon_start(&error) && signature_init(&error);
    if (good && !ingress_configure(&in, argc > 3 ? argv[3] : NULL, &report)) {
        fputs(buffer_cstr(&report.text), stderr);
        good = error_set(&error, ERROR_INVALID, "the configuration is wrong");
    }
    good = good && judge(&in.settings, in.schemes, argv[2], &error);
    if (!good) fprintf(stderr, "drawbridge-ingress: %s\n", error.text);
    config_report_close(&report);
    ingress_close(&in);
    signature_close();
    return good && fflush(stdout) == 0 ? DAEMON_EXIT_OK : DAEMON_EXIT_CONFIGURATION;
}

/* fuzz_config.c: any bytes as a configuration file: loaded or refused, with a report, and nothing leaks.
 * SPDX-License-Identifier: Apache-2.0 */
#include "config.h"
#include <assert.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

struct settings {
    char *listen, *empty;
    bool strict;
    int64_t threads, body_max, timeout;
    int level;
    struct config_list proxies;
    struct config_map kafka;
};

#define ROW(field) .offset = offsetof(struct settings, field), .help = ""

static const struct config_option options[] = {
    {.name = "http.listen", .kind = CONFIG_TEXT, .default_text = "0.0.0.0:8080", .min = "1", .max = "64", ROW(listen)},
    {.name = "id", .kind = CONFIG_TEXT, ROW(empty)},
    {.name = "strict", .kind = CONFIG_BOOL, .default_text = "true", ROW(strict)},
    {.name = "threads", .kind = CONFIG_INT, .default_text = "4", .min = "1", .max = "64", ROW(threads)},
    {.name = "http.body_max", .kind = CONFIG_SIZE, .default_text = "1MiB", .max = "64MiB", ROW(body_max)},
    {.name = "timeout", .kind = CONFIG_DURATION, .default_text = "4s", .max = "1h", ROW(timeout)},
    {.name = "level", .kind = CONFIG_CHOICE, .default_text = "info", .choices = "debug|info", ROW(level)},
    {.name = "proxies", .kind = CONFIG_TEXT_LIST, .default_text = "::1", .max = "3", ROW(proxies)},
    {.name = "kafka", .kind = CONFIG_TEXT_MAP, .default_text = "", ROW(kafka)},
};
enum { COUNT = sizeof options / sizeof *options };

/* Whatever the file says, the values are the ones that the table allows. */
static void check(const struct settings *s)
{
    assert(s->listen != NULL && s->empty != NULL && s->listen[0] != '\0' && strlen(s->listen) <= 64);
    assert(s->threads >= 1 && s->threads <= 64);
    assert(s->body_max >= 0 && s->body_max <= 64 << 20);
    assert(s->timeout >= 0 && s->timeout <= 3600 * 1000);
    assert(s->level == 0 || s->level == 1);
    assert(s->proxies.count <= 3);
}

static void load(struct config_file *f, const char *prefix, struct config_report *report)
{
    struct settings s;
    int problems = report->problems;
    bool good = config_load(f, prefix, options, COUNT, &s, report);
    assert(good == (report->problems == problems));
    check(&s);
    config_free(options, COUNT, &s);
}

/* After a syntax error libconfig 1.5 forgets the text its scanner was holding. */
const char *__lsan_default_suppressions(void)
{
    return "leak:strbuf_append\nleak:libconfig_yylex\n";
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct config_report report;
    config_report_init(&report);
    struct config_file *f = config_parse("fuzz", (struct bytes){data, size}, &report);
    assert((f == NULL) == (report.problems > 0));
    if (f != NULL) {
        load(f, "", &report);
        for (size_t i = 0; i < config_count(f, "agents") && i < 3; i++)
            load(f, (const char *[]){"agents.[0]", "agents.[1]", "agents.[2]"}[i], &report);
        for (size_t i = 0; config_child(f, "schemes", i) != NULL; i++)
            assert(strlen(config_child(f, "schemes", i)) > 0);
        config_reject_unknown(f, &report);
    }
    config_close(f);
    config_report_close(&report);
    return 0;
}

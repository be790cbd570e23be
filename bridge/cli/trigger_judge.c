/* trigger_judge.c: what the ingress says of trigger records: it is asked itself, as `drawbridge check` does.
 * SPDX-License-Identifier: Apache-2.0 */
#include "json.h"
#include "text.h"
#include "trigger.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum { JUDGE_WAIT_MS = 60000, OUTPUT_MAX = 64 << 20, CHANGES_MAX = 4 };

/* ---- the question ---- */

static void write_line(const struct topic_record *r, struct buffer *line)
{
    struct buffer text;
    buffer_init(&text, 16 << 20);
    buffer_format(line, "{\"offset\":%" PRId64 ",\"key\":\"", r->offset);
    text_base64((struct bytes){(const uint8_t *)r->key, r->key_size}, line);
    buffer_text(line, "\",\"value\":");
    if (r->value != NULL) text_base64((struct bytes){(const uint8_t *)r->value, r->value_size}, &text);
    if (r->value != NULL)
        buffer_format(line, "\"%s\"}\n", buffer_cstr(&text));
    else
        buffer_text(line, "null}\n");
    buffer_close(&text);
}

static bool write_question(int fd, const struct topic_records *records, struct error *error)
{
    struct buffer text;
    buffer_init(&text, OUTPUT_MAX);
    for (size_t i = 0; i < records->count; i++)
        write_line(&records->items[i], &text);
    bool good = buffer_ok(&text) || error_set(error, ERROR_TOO_LARGE, "too many records");
    for (size_t done = 0; good && done < text.size;) {
        const ssize_t size = write(fd, text.data + done, text.size - done);
        if (size < 0) good = error_set_errno(error, errno, "write a temporary file");
        done += size > 0 ? (size_t)size : 0;
    }
    buffer_close(&text);
    return good;
}

/* Our environment with what the tool knows better. */
struct changes {
    char *items[CHANGES_MAX];
    size_t count;
};

static void change(struct changes *c, const char *name, const char *value)
{
    if (value == NULL || *value == '\0') return;
    if (asprintf(&c->items[c->count], "%s=%s", name, value) >= 0) c->count++;
}

static bool is_changed(const struct changes *c, const char *entry)
{
    for (size_t i = 0; i < c->count; i++)
        if (strncmp(entry, c->items[i], strcspn(c->items[i], "=") + 1) == 0) return true;
    return false;
}

static char **environment_with(const struct changes *c)
{
    size_t count = 0, kept = 0;
    while (environ[count] != NULL)
        count++;
    char **out = calloc(count + c->count + 1, sizeof *out);
    if (out == NULL) return NULL;
    for (size_t i = 0; i < count; i++)
        if (!is_changed(c, environ[i])) out[kept++] = environ[i];
    for (size_t i = 0; i < c->count; i++)
        out[kept++] = c->items[i];
    return out;
}

/* An ingress's configuration has a group for triggers; a runner's would be refused by it. */
static bool is_ingress_config(const char *path)
{
    struct config_report ignored;
    config_report_init(&ignored);
    struct config_file *file = path != NULL ? config_open(path, &ignored) : NULL;
    const bool is = file != NULL && config_has(file, "triggers");
    config_close(file);
    config_report_close(&ignored);
    return is;
}

static bool run_judge(const char *config, char *question, char **environment, int output_fd, struct error *error)
{
    struct buffer executable;
    struct process p = {0};
    char ask[] = "--check-records", *file = config != NULL ? strdup(config) : NULL;
    buffer_init(&executable, 4096);
    bool good = process_sibling("drawbridge-ingress", &executable, error);
    if (good) {
        char *const argv[] = {(char *)executable.data, ask, question, file, NULL};
        good = process_start(&p, "drawbridge-ingress", argv, environment, output_fd, error);
    }
    if (good && !process_wait(&p, JUDGE_WAIT_MS)) {
        process_stop(&p, 1000);
        good = error_set(error, ERROR_TIMED_OUT, "drawbridge-ingress did not finish its check");
    } else if (good && (!WIFEXITED(p.status) || WEXITSTATUS(p.status) != 0)) {
        good = error_set(error, ERROR_INVALID, "drawbridge-ingress could not check the records");
    }
    buffer_close(&executable);
    free(file);
    return good;
}

/* ---- the answer ---- */

/* They come in the order of the records: *next is where to go on. */
static void take_verdict(struct topic_records *records, size_t *next, const struct json *line)
{
    static const char *const verdicts[] = {"served", "removed", "refused"};
    int64_t offset;
    const char *verdict, *problem;
    if (!json_int64(json_get(line, "offset", NULL), &offset) || !json_text(json_get(line, "verdict", NULL), &verdict))
        return;
    while (*next < records->count && records->items[*next].offset < offset)
        ++*next;
    if (*next == records->count || records->items[*next].offset != offset) return;
    struct topic_record *r = &records->items[*next];
    for (size_t k = 0; k < sizeof verdicts / sizeof verdicts[0]; k++)
        if (strcmp(verdict, verdicts[k]) == 0) r->verdict = verdicts[k];
    if (r->problem == NULL && json_text(json_get(line, "problem", NULL), &problem)) r->problem = strdup(problem);
}

/* Verdicts are JSON objects; anything else is talk. */
static void take_answer(struct topic_records *records, FILE *answer)
{
    char *line = NULL;
    size_t room = 0, next = 0;
    for (ssize_t size; (size = getline(&line, &room, answer)) > 0;) {
        struct json *document =
            *line == '{' ? json_parse((struct bytes){(const uint8_t *)line, (size_t)size}, NULL) : NULL;
        if (document != NULL)
            take_verdict(records, &next, document);
        else
            fputs(line, stderr);
        json_free(document);
    }
    free(line);
}

bool trigger_judge(const struct cli_connection *connection, const struct cli_kafka *kafka, const char *key_file,
                   struct topic_records *records, struct error *error)
{
    char question[] = "/tmp/drawbridge-records-XXXXXX";
    struct changes c = {0};
    const int fd = mkstemp(question);
    if (fd < 0) return error_set_errno(error, errno, "make a temporary file");
    FILE *answer = tmpfile();
    bool good = answer != NULL || error_set_errno(error, errno, "make a temporary file");
    change(&c, "DRAWBRIDGE_KAFKA_BOOTSTRAP_SERVERS", connect_brokers(kafka));
    change(&c, "DRAWBRIDGE_TRIGGERS_KEY_FILE", key_file);
    change(&c, "DRAWBRIDGE_TRIGGERS_TOPIC", kafka->topics.name[TOPIC_TRIGGERS]);
    char **environment = environment_with(&c);
    const char *config = is_ingress_config(connection->config) ? connection->config : NULL;
    good = good && environment != NULL && write_question(fd, records, error) &&
           run_judge(config, question, environment, fileno(answer), error);
    if (answer != NULL) {
        rewind(answer);
        take_answer(records, answer);
        fclose(answer);
    }
    for (size_t i = 0; i < c.count; i++)
        free(c.items[i]);
    free(environment);
    close(fd);
    unlink(question);
    return good;
}

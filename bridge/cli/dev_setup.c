/* dev_setup.c: the private folder of `dev`: generated configuration of both daemons, trigger, secret, demo agent.
 * SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"
#include "text.h"
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_MAX_BYTES = 256 << 10 };

void dev_quote(struct bytes text, struct buffer *out)
{
    buffer_byte(out, '"');
    for (size_t i = 0; i < text.size; i++) {
        const uint8_t c = text.data[i];
        if (c == '"' || c == '\\')
            buffer_format(out, "\\%c", c);
        else if (c < 0x20 || c == 0x7f)
            buffer_format(out, "\\x%02x", c);
        else
            buffer_byte(out, (char)c);
    }
    buffer_byte(out, '"');
}

void dev_shell_quote(struct bytes text, struct buffer *out)
{
    buffer_byte(out, '\'');
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] == '\'')
            buffer_text(out, "'\\''");
        else
            buffer_byte(out, (char)text.data[i]);
    }
    buffer_byte(out, '\'');
}

void dev_reachable(const char *listen, struct buffer *out)
{
    static const struct {
        const char *any, *reachable;
    } rows[] = {{"0.0.0.0:", "127.0.0.1:"}, {"[::]:", "[::1]:"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (strncmp(listen, rows[i].any, strlen(rows[i].any)) != 0) continue;
        buffer_text(out, rows[i].reachable);
        buffer_text(out, listen + strlen(rows[i].any));
        return;
    }
    buffer_text(out, listen);
}

static void write_setting(struct buffer *out, const char *name, const char *value)
{
    buffer_format(out, "%s = ", name);
    dev_quote(bytes_of(value), out);
    buffer_text(out, ";\n");
}

static void write_kafka(struct buffer *out, const struct cli_kafka *kafka)
{
    buffer_text(out, "kafka:\n{\n");
    for (size_t i = 0; i < kafka->settings.properties.count; i++) {
        const struct config_pair *p = &kafka->settings.properties.items[i];
        buffer_text(out, "  ");
        for (const char *c = p->name; *c != '\0'; c++)
            buffer_byte(out, *c == '.' ? '_' : *c);
        buffer_text(out, " = ");
        dev_quote(bytes_of(p->value), out);
        buffer_text(out, ";\n");
    }
    buffer_text(out, "};\n");
}

static void write_ingress(struct buffer *out, const struct dev_setup *s, const struct dev_folder *folder)
{
    struct buffer reachable;
    buffer_init(&reachable, 1024);
    dev_reachable(s->listen, &reachable);
    buffer_format(out, "# Made by drawbridge dev.\nhttp: { listen = \"%s\"; public_url = \"http://%s\"; };\n",
                  s->listen, buffer_cstr(&reachable));
    buffer_format(out, "triggers: { directory = \"%s/triggers.d\"; };\n", folder->path);
    write_kafka(out, s->kafka);
    buffer_format(out, "topics: { events = \"%s\"; };\n", s->kafka->topics.name[TOPIC_EVENTS]);
    buffer_format(out, "manage: { listen = \"127.0.0.1:%d\"; };\ndrain = \"3s\";\n", s->ingress_port);
    buffer_close(&reachable);
}

static void write_trigger(struct buffer *out, const struct dev_setup *s, const struct dev_folder *folder)
{
    buffer_text(out, "# Made by drawbridge dev.\ntriggers = (\n{\n");
    write_setting(out, "  agent_id", s->agent);
    write_setting(out, "  event_source", "https://github.com");
    write_setting(out, "  description", "A push to the repository");
    buffer_text(out, "  verify = { scheme = \"github\"; secrets = [");
    dev_quote(bytes_of(folder->secret_reference), out);
    buffer_text(out, "]; };\n}\n);\n");
}

static void write_environment(struct buffer *out, const struct cli_list *names)
{
    static const char *const always[] = {"PATH", "HOME", "LANG", "TZ", "VIRTUAL_ENV", "PYTHONPATH"};
    enum { ALWAYS = sizeof always / sizeof always[0] };
    buffer_text(out, "  environment =\n  {\n");
    for (size_t i = 0; i < ALWAYS + names->count; i++) {
        const char *name = i < ALWAYS ? always[i] : names->items[i - ALWAYS];
        const char *value = getenv(name);
        if (value == NULL) continue;
        buffer_format(out, "    %s = ", name);
        dev_quote(bytes_of(value), out);
        buffer_text(out, ";\n");
    }
    buffer_text(out, "  };\n");
}

static void write_agent(struct buffer *out, const struct dev_setup *s, const struct dev_folder *folder)
{
    char here[4096] = "";
    if (getcwd(here, sizeof here) == NULL) snprintf(here, sizeof here, "/");
    buffer_text(out, "agents = (\n{\n");
    write_setting(out, "  id", s->agent);
    buffer_text(out, "  command = [");
    if (s->command[0] == NULL) buffer_format(out, "\"/bin/sh\", \"%s/demo-agent.sh\"", folder->path);
    for (char *const *word = s->command; *word != NULL; word++) {
        if (word != s->command) buffer_text(out, ", ");
        dev_quote(bytes_of(*word), out);
    }
    buffer_text(out, "];\n");
    write_setting(out, "  directory", here);
    write_environment(out, s->environment);
    buffer_text(out, "  grace = \"2s\";\n}\n);\n");
}

static void write_runner(struct buffer *out, const struct dev_setup *s, const struct dev_folder *folder)
{
    const char *const *topics = (const char *const *)s->kafka->topics.name;
    /* one slot per place to listen at: a restart takes over from the last one at once */
    const char *port = strrchr(s->listen, ':');
    buffer_format(out,
                  "# Made by drawbridge dev.\ngroup_id = \"drawbridge-dev\";\nslot = \"dev-%s\";\n"
                  "session_timeout = \"6s\";\ntakeover_grace = \"10s\";\ndrain = \"3s\";\n",
                  port != NULL ? port + 1 : "0");
    write_kafka(out, s->kafka);
    buffer_format(out,
                  "topics:\n{\n  events = \"%s\"; results = \"%s\"; dead_letters = \"%s\";\n"
                  "  journal = \"%s\"; control = \"%s\";\n};\n",
                  topics[TOPIC_EVENTS], topics[TOPIC_RESULTS], topics[TOPIC_DEAD_LETTERS], topics[TOPIC_JOURNAL],
                  topics[TOPIC_CONTROL]);
    buffer_format(out, "manage: { listen = \"127.0.0.1:%d\"; };\n", s->runner_port);
    write_agent(out, s, folder);
}

static bool write_file(const struct dev_folder *folder, const char *name, struct bytes text, struct error *error)
{
    char path[sizeof folder->path + 64];
    snprintf(path, sizeof path, "%s/%s", folder->path, name);
    const int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) return error_set_errno(error, errno, "create '%s'", path);
    const ssize_t n = write(fd, text.data, text.size);
    const int errnum = n < 0 ? errno : ENOSPC;
    close(fd);
    return n == (ssize_t)text.size || error_set_errno(error, errnum, "write '%s'", path);
}

static bool write_generated(const struct dev_setup *s, const struct dev_folder *folder, struct error *error)
{
    static const struct {
        const char *name;
        void (*write)(struct buffer *out, const struct dev_setup *s, const struct dev_folder *folder);
    } files[] = {{"ingress.cfg", write_ingress}, {"triggers.d/dev.cfg", write_trigger}, {"runner.cfg", write_runner}};
    struct buffer text;
    buffer_init(&text, FILE_MAX_BYTES);
    bool good = true;
    for (size_t i = 0; good && i < sizeof files / sizeof files[0]; i++) {
        buffer_clear(&text);
        files[i].write(&text, s, folder);
        good = buffer_ok(&text) ? write_file(folder, files[i].name, buffer_view(&text), error)
                                : error_set(error, ERROR_TOO_LARGE, "the generated %s is too large", files[i].name);
    }
    buffer_close(&text);
    return good;
}

/* The user's secret stays where it is; only a secret of our own making is written down. */
static bool secret_prepare(const struct dev_setup *s, struct dev_folder *folder, struct error *error)
{
    const size_t room = sizeof folder->secret_reference;
    if (s->secret == NULL) {
        uint8_t random[32];
        if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
            return error_set_errno(error, errno, "get random bytes");
        text_hex(random, sizeof random, folder->made_secret);
        snprintf(folder->secret_reference, room, "file:%s/secret", folder->path);
        return write_file(folder, "secret", bytes_of(folder->made_secret), error);
    }
    int size = snprintf(folder->secret_reference, room, "%s", s->secret);
    if (strncmp(s->secret, "file:", 5) == 0) {
        char *whole = realpath(s->secret + 5, NULL);
        if (whole == NULL) return error_set_errno(error, errno, "--secret %s", s->secret);
        size = snprintf(folder->secret_reference, room, "file:%s", whole);
        free(whole);
    } else if (strncmp(s->secret, "env:", 4) != 0) {
        return error_set(error, ERROR_INVALID, "--secret takes env:NAME or file:PATH");
    }
    return (size_t)size < room || error_set(error, ERROR_TOO_LARGE, "--secret is too long");
}

bool dev_folder_make(const struct dev_setup *setup, struct dev_folder *folder, struct error *error)
{
    *folder = (struct dev_folder){0};
    const char *parent = getenv("TMPDIR");
    if (parent == NULL || *parent != '/') parent = "/tmp";
    char triggers[sizeof folder->path + 16];
    const int size = snprintf(folder->path, sizeof folder->path, "%s/drawbridge-dev-XXXXXX", parent);
    if ((size_t)size >= sizeof folder->path || mkdtemp(folder->path) == NULL) {
        const int errnum = errno;
        folder->path[0] = '\0';
        return error_set_errno(error, errnum, "make a folder in '%s'", parent);
    }
    snprintf(triggers, sizeof triggers, "%s/triggers.d", folder->path);
    if (mkdir(triggers, 0700) != 0) return error_set_errno(error, errno, "create '%s'", triggers);
    return secret_prepare(setup, folder, error) && write_file(folder, "demo-agent.sh", dev_agent, error) &&
           write_generated(setup, folder, error);
}

static int remove_entry(const char *path, const struct stat *status, int kind, struct FTW *where)
{
    (void)status, (void)kind, (void)where;
    remove(path);
    return 0;
}

void dev_folder_remove(struct dev_folder *folder)
{
    if (folder->path[0] != '\0') nftw(folder->path, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
    explicit_bzero(folder, sizeof *folder);
}

void dev_curl(const struct dev_folder *folder, const char *url, struct buffer *out)
{
    const char *reference = folder->secret_reference;
    buffer_text(out, "secret=");
    if (folder->made_secret[0] != '\0')
        buffer_text(out, folder->made_secret);
    else if (strncmp(reference, "env:", 4) == 0)
        buffer_format(out, "\"$%s\"", reference + 4);
    else {
        buffer_text(out, "\"$(cat ");
        dev_shell_quote(bytes_of(reference + 5), out);
        buffer_text(out, ")\"");
    }
    buffer_text(out,
                "; body='{\"zen\":\"Design for failure.\"}'; signature=$(printf %s \"$body\" | openssl dgst -sha256 "
                "-hmac \"$secret\" -r | cut -d' ' -f1); curl -sS ");
    dev_shell_quote(bytes_of(url), out);
    buffer_text(out, " -H 'Content-Type: application/json' -H 'X-GitHub-Event: ping' -H \"X-GitHub-Delivery: $(cat "
                     "/proc/sys/kernel/random/uuid)\" -H \"X-Hub-Signature-256: sha256=$signature\" --data-binary "
                     "\"$body\"");
}

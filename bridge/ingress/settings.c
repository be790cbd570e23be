/* settings.c: the options of drawbridge-ingress and what follows from them.
 * SPDX-License-Identifier: Apache-2.0 */
#include "ingress_settings.h"
#include "listener.h"
#include "spool.h"
#include "text.h"
#include <stdlib.h>
#include <string.h>

#define AT(field) offsetof(struct settings, field)

const struct config_option settings_options[] = {
    {.name = "http.listen",
     .kind = CONFIG_TEXT,
     .offset = AT(listen),
     .default_text = "127.0.0.1:8080",
     .help = "address and port for the senders ([::]:8080 listens on IPv4 too), unix:/path of a socket, or systemd "
             "(systemd:NAME) for the one that a socket unit hands over"},
    {.name = "http.reuse_port",
     .kind = CONFIG_BOOL,
     .offset = AT(reuse_port),
     .default_text = "false",
     .help = "SO_REUSEPORT: several ingresses on this address, the kernel shares connections out among them"},
    {.name = "http.socket_mode",
     .kind = CONFIG_TEXT,
     .offset = AT(socket_mode_text),
     .default_text = "0660",
     .help = "mode of the Unix socket's file, in octal; who may write to it may connect"},
    {.name = "http.socket_group",
     .kind = CONFIG_TEXT,
     .offset = AT(socket_group),
     .default_text = "",
     .help = "group of the Unix socket's file, such as that of the proxy in front; empty: our own"},
    {.name = "http.tls_certificate",
     .kind = CONFIG_TEXT,
     .offset = AT(tls_certificate),
     .default_text = "",
     .help = "PEM file, the chain with the leaf first; with tls_key it switches TLS (1.2 and 1.3) on; read again on "
             "SIGHUP"},
    {.name = "http.tls_key",
     .kind = CONFIG_TEXT,
     .offset = AT(tls_key),
     .default_text = "",
     .help = "PEM file with the certificate's key: of mode 0600 or 0400, or 0440 and root's; read again on SIGHUP"},
    {.name = "http.prefix",
     .kind = CONFIG_TEXT,
     .offset = AT(prefix),
     .default_text = "/api/v1/agents",
     .help = "path in front of /<agent_id>/webhook"},
    {.name = "http.public_url",
     .kind = CONFIG_TEXT,
     .offset = AT(public_url),
     .default_text = "http://localhost:8080",
     .help = "what the senders were told; part of webhook_url, never taken from Host"},
    {.name = "http.trusted_proxies",
     .kind = CONFIG_TEXT_LIST,
     .offset = AT(trusted_proxies),
     .default_text = "",
     .help = "addresses or networks whose X-Forwarded-For counts; unix: whoever connects to our Unix socket"},
    {.name = "http.body_max",
     .kind = CONFIG_SIZE,
     .offset = AT(body_max),
     .default_text = "960KiB",
     .min = "1KiB",
     .max = "7MiB",
     .help = "largest body; with its headers it must fit max.message.bytes of every topic"},
    {.name = "http.inflight_body_max",
     .kind = CONFIG_SIZE,
     .offset = AT(inflight_body_max),
     .default_text = "64MiB",
     .min = "1MiB",
     .max = "64GiB",
     .help = "unverified bytes in memory, all requests together; beyond it 503"},
    {.name = "http.head_max",
     .kind = CONFIG_SIZE,
     .offset = AT(head_max),
     .default_text = "10KiB",
     .min = "4KiB",
     .max = "256KiB",
     .help = "room for a request's line and headers (and some 70 bytes for each of them); beyond it 431"},
    {.name = "http.requests_max",
     .kind = CONFIG_INT,
     .offset = AT(requests_max),
     .default_text = "4096",
     .min = "1",
     .max = "1000000",
     .help = "requests under way, all together; beyond it 503"},
    {.name = "http.connections_max",
     .kind = CONFIG_INT,
     .offset = AT(connections_max),
     .default_text = "4096",
     .min = "1",
     .max = "1000000",
     .help = "connections at once (about 12 KiB each); further ones wait in the backlog"},
    {.name = "http.header_timeout",
     .kind = CONFIG_DURATION,
     .offset = AT(header_timeout_ms),
     .default_text = "10s",
     .min = "100ms",
     .max = "1h",
     .help = "from connect to the end of the headers; then the connection is closed"},
    {.name = "http.body_timeout",
     .kind = CONFIG_DURATION,
     .offset = AT(body_timeout_ms),
     .default_text = "30s",
     .min = "100ms",
     .max = "1h",
     .help = "from there to the end of the body, however it drips"},
    {.name = "http.idle_timeout",
     .kind = CONFIG_DURATION,
     .offset = AT(idle_timeout_ms),
     .default_text = "60s",
     .min = "100ms",
     .max = "1h",
     .help = "between two requests on one connection"},
    {.name = "publish.deadline",
     .kind = CONFIG_DURATION,
     .offset = AT(publish_deadline_ms),
     .default_text = "4s",
     .min = "10ms",
     .max = "5m",
     .help = "a sender waits at most this long for its 202; schemes and triggers may say less or more"},
    {.name = "publish.queue_max",
     .kind = CONFIG_SIZE,
     .offset = AT(queue_max),
     .default_text = "64MiB",
     .min = "1MiB",
     .max = "2GiB",
     .help = "events waiting for the brokers; beyond 80 % of it new ones get 503"},
    {.name = "spool.directory",
     .kind = CONFIG_TEXT,
     .offset = AT(spool_directory),
     .default_text = "",
     .help = "where events wait while Kafka is away, of this process alone; empty: no spool"},
    {.name = "spool.size_max",
     .kind = CONFIG_SIZE,
     .offset = AT(spool_size_max),
     .default_text = "1GiB",
     .min = "1MiB",
     .max = "1024GiB",
     .help = "what may wait there; the files can be half as large again; beyond it 503"},
    {.name = "spool.default",
     .kind = CONFIG_BOOL,
     .offset = AT(spool_default),
     .default_text = "true",
     .help = "triggers that do not say `spool` themselves use it"},
    {.name = "triggers.directory",
     .kind = CONFIG_TEXT,
     .offset = AT(trigger_directory),
     .default_text = "/etc/drawbridge/triggers.d",
     .help = "every *.cfg in it is read, again on SIGHUP"},
    {.name = "triggers.topic",
     .kind = CONFIG_TEXT,
     .offset = AT(trigger_topic),
     .default_text = "",
     .max = "249",
     .help = "compacted topic that `drawbridge trigger` writes, followed all the time; empty: none.  A trigger of the "
             "directory goes before one of the topic"},
    {.name = "triggers.key_file",
     .kind = CONFIG_TEXT,
     .offset = AT(key_file),
     .default_text = "",
     .help = "keys that open sealed: secrets (`drawbridge trigger keygen` makes it), read again on SIGHUP"},
    {.name = "triggers.topic_allows",
     .kind = CONFIG_TEXT_LIST,
     .offset = AT(topic_allows),
     .default_text = "",
     .help = "none, env, file, literal: what records of the topic may say beside sealed: secrets.  Then whoever can "
             "write the topic can let in anybody, or try the files and variables of this process"},
    {.name = "triggers.schemes",
     .kind = CONFIG_TEXT,
     .offset = AT(scheme_file),
     .default_text = "",
     .help = "a file of further schemes, schemes: { name: { ... }; }; in the words that --help-config lists"},
    {.name = "kafka",
     .kind = CONFIG_TEXT_MAP,
     .offset = AT(kafka.properties),
     .default_text = "",
     .help = "any librdkafka property with '_' for '.'; bootstrap_servers is required"},
    {.name = "topics.events",
     .kind = CONFIG_TEXT,
     .offset = AT(events_topic),
     .default_text = "drawbridge.events",
     .min = "1",
     .max = "249",
     .help = "topic of the events"},
    {.name = "manage.listen",
     .kind = CONFIG_TEXT,
     .offset = AT(manage_listen),
     .default_text = "127.0.0.1:9464",
     .help = "address and port of /healthz, /readyz and /metrics"},
    {.name = "log.level",
     .kind = CONFIG_CHOICE,
     .offset = AT(log_level),
     .default_text = "info",
     .choices = "debug|info|warn|error",
     .help = "requests are logged at info"},
    {.name = "log.format",
     .kind = CONFIG_CHOICE,
     .offset = AT(log_format),
     .default_text = "logfmt",
     .choices = "logfmt|json",
     .help = "one line for each event, on stderr"},
    {.name = "user",
     .kind = CONFIG_TEXT,
     .offset = AT(user),
     .default_text = "",
     .help = "started as root, it becomes this user once it listens; empty: it stays what it is"},
    {.name = "drain",
     .kind = CONFIG_DURATION,
     .offset = AT(drain_ms),
     .default_text = "10s",
     .min = "0",
     .max = "10m",
     .help = "after SIGTERM requests under way have this long; a second SIGTERM skips it"},
};
const size_t settings_option_count = sizeof settings_options / sizeof settings_options[0];

static void derive_proxies(struct settings *s, struct config_file *f, struct config_report *report)
{
    struct error error;
    s->proxies = calloc(s->trusted_proxies.count + 1, sizeof *s->proxies);
    for (size_t i = 0; s->proxies && i < s->trusted_proxies.count; i++) {
        if (strcmp(s->trusted_proxies.items[i], "unix") == 0)
            s->proxies[s->proxy_count++] = (struct network){.prefix = 128}; /* no address: see address.h */
        else if (network_parse(bytes_of(s->trusted_proxies.items[i]), &s->proxies[s->proxy_count], &error))
            s->proxy_count++;
        else
            config_report_add(report, config_name(f), config_line(f, "http.trusted_proxies"),
                              "http.trusted_proxies: %s", error.text);
    }
}

static void check_listen(const char *option, const char *text, struct config_file *f, struct config_report *report)
{
    struct error error;
    if (!listener_check(text, &error))
        config_report_add(report, config_name(f), config_line(f, option), "%s: %s", option, error.text);
}

/* Three or four octal digits. */
static bool parse_mode(const char *text, mode_t *mode)
{
    size_t size = strlen(text);
    *mode = 0;
    for (size_t i = 0; i < size; i++) {
        if (text[i] < '0' || text[i] > '7') return false;
        *mode = (mode_t)(*mode * 8 + (mode_t)(text[i] - '0'));
    }
    return (size == 3 || size == 4) && *mode <= 0777;
}

static void check_listener(struct settings *s, struct config_file *f, struct config_report *report)
{
    check_listen("http.listen", s->listen, f, report);
    check_listen("manage.listen", s->manage_listen, f, report);
    /* A proxy on this machine lets the world in. */
    s->loopback = listener_is_local(s->listen) && s->proxy_count == 0;
    if (!parse_mode(s->socket_mode_text, &s->socket_mode))
        config_report_add(report, config_name(f), config_line(f, "http.socket_mode"),
                          "http.socket_mode: '%s' is not an octal mode such as 0660", s->socket_mode_text);
    if (s->reuse_port && (listener_is_unix(s->listen) || listener_is_handed_over(s->listen)))
        config_report_add(report, config_name(f), config_line(f, "http.reuse_port"),
                          "http.reuse_port is for an address and port; a socket unit has ReusePort=, and a Unix socket "
                          "belongs to one process");
    if ((s->tls_certificate[0] == 0) != (s->tls_key[0] == 0))
        config_report_add(report, config_name(f),
                          config_line(f, s->tls_key[0] ? "http.tls_key" : "http.tls_certificate"),
                          "http.tls_certificate and http.tls_key go together; one of them is missing");
}

static const char *const allowances[] = {"none", "env", "file", "literal"};

bool settings_topic_allows(const struct settings *s, const char *what)
{
    for (size_t i = 0; i < s->topic_allows.count; i++)
        if (strcmp(s->topic_allows.items[i], what) == 0) return true;
    return false;
}

bool settings_load_keys(struct settings *s, struct error *error)
{
    if (!s->key_file[0]) return true;
    struct keyring *keys = keyring_load(s->key_file, error);
    if (!keys) return error_context(error, "triggers.key_file");
    keyring_free(s->keys);
    s->keys = keys;
    return true;
}

static void check_registry(struct settings *s, struct config_file *f, struct config_report *report)
{
    struct error error;
    if (!settings_load_keys(s, &error))
        config_report_add(report, config_name(f), config_line(f, "triggers.key_file"), "%s", error.text);
    for (size_t i = 0; i < s->topic_allows.count; i++) {
        size_t k = 0;
        while (k < sizeof allowances / sizeof allowances[0] && strcmp(s->topic_allows.items[i], allowances[k]) != 0)
            k++;
        if (k == sizeof allowances / sizeof allowances[0])
            config_report_add(report, config_name(f), config_line(f, "triggers.topic_allows"),
                              "triggers.topic_allows: '%.32s' is none of none, env, file, literal",
                              s->topic_allows.items[i]);
    }
    if (s->trigger_topic[0] && !s->key_file[0] && s->topic_allows.count == 0)
        config_report_add(report, config_name(f), config_line(f, "triggers.topic"),
                          "triggers.topic needs triggers.key_file: its records hold sealed secrets");
    if (s->trigger_topic[0] && !kafka_settings_check(&s->kafka, KAFKA_READER, &error))
        config_report_add(report, config_name(f), config_line(f, "kafka"), "kafka: %s", error.text);
}

bool settings_public_url(char *url)
{
    size_t size = strlen(url);
    if (size > 0 && url[size - 1] == '/') url[size - 1] = 0; /* the path brings its own */
    return strncmp(url, "http://", 7) == 0 || strncmp(url, "https://", 8) == 0;
}

/* What can be seen without making anything. */
static void check_spool(struct settings *s, struct config_file *f, struct config_report *report)
{
    struct error error;
    if (s->spool_directory[0] && !spool_store_check(s->spool_directory, &error))
        config_report_add(report, config_name(f), config_line(f, "spool.directory"), "spool.directory: %s", error.text);
    if (s->spool_size_max < 4 * s->body_max)
        config_report_add(report, config_name(f), config_line(f, "spool.size_max"),
                          "spool.size_max is less than four times http.body_max: a few events would fill it");
}

static void check_texts(struct settings *s, struct config_file *f, struct config_report *report)
{
    size_t size = strlen(s->prefix);
    if (size > 512 || s->prefix[0] != '/' || s->prefix[size - 1] == '/' || strpbrk(s->prefix, "?#% "))
        config_report_add(report, config_name(f), config_line(f, "http.prefix"),
                          "http.prefix: '%s' must begin with '/', not end with it, and hold no '?', '#', '%%' or blank",
                          s->prefix);
    if (!settings_public_url(s->public_url))
        config_report_add(report, config_name(f), config_line(f, "http.public_url"),
                          "http.public_url: '%s' is not an http or https URL", s->public_url);
    struct error error;
    if (!kafka_settings_check(&s->kafka, KAFKA_INGRESS_PRODUCER, &error))
        config_report_add(report, config_name(f), config_line(f, "kafka"), "kafka: %s", error.text);
}

bool settings_load(struct settings *s, const char *path, struct config_report *report)
{
    *s = (struct settings){0};
    int before = report->problems;
    struct config_file *f = config_open(path, report);
    if (!f) return false;
    config_load(f, "", settings_options, settings_option_count, s, report);
    derive_proxies(s, f, report);
    check_listener(s, f, report);
    check_texts(s, f, report);
    check_spool(s, f, report);
    check_registry(s, f, report);
    if (s->inflight_body_max < s->body_max)
        config_report_add(report, config_name(f), config_line(f, "http.inflight_body_max"),
                          "http.inflight_body_max is less than http.body_max: the largest body could never come in");
    if (s->queue_max / 5 * 4 < s->body_max)
        config_report_add(
            report, config_name(f), config_line(f, "publish.queue_max"),
            "80 %% of publish.queue_max is less than http.body_max: the largest body could never be sent");
    config_reject_unknown(f, report);
    config_close(f);
    return report->problems == before;
}

void settings_close(struct settings *s)
{
    config_free(settings_options, settings_option_count, s);
    free(s->proxies);
    keyring_free(s->keys);
    *s = (struct settings){0};
}

/* Schemes of the operator's own, beside the built-in ones. */
static bool load_scheme_file(struct ingress *in, struct config_report *report)
{
    if (!in->settings.scheme_file[0]) return true;
    struct config_file *file = config_open(in->settings.scheme_file, report);
    bool good = file && scheme_set_add(in->schemes, file, report);
    config_close(file);
    return good;
}

bool ingress_configure(struct ingress *in, const char *path, struct config_report *report)
{
    struct error error;
    if (!settings_load(&in->settings, path, report)) return false;
    in->schemes = scheme_set_load(scheme_providers_text, &error);
    if (!in->schemes) config_report_add(report, "providers.cfg", 0, "%s", error.text);
    return in->schemes && load_scheme_file(in, report);
}

/* dev.c: `drawbridge dev`: a whole Drawbridge in one command: a Kafka (librdkafka's mock inside this process, or a real
 * one), an ingress, a runner and an agent; one delivery of its own, then whatever comes, live.
 * SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"
#include "clock.h"
#include "daemon.h"
#include "kafka_admin.h"
#include "log.h"
#include "text.h"
#include <arpa/inet.h>
#include <errno.h>
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { PARTITIONS = 4, KAFKA_WAIT_MS = 20000, RESULT_WITHIN_MS = 60000, LOOK_MS = 50 };

struct dev_settings {
    const char *listen, *agent, *secret, *topics;
    struct cli_list environment;
    bool once, verbose;
};

#define FIELD(f) .offset = offsetof(struct dev_settings, f)
static const struct cli_option options[] = {
    {.name = "listen",
     .letter = 'l',
     .kind = CLI_TEXT,
     FIELD(listen),
     .argument = "ADDRESS:PORT",
     .default_text = "127.0.0.1:8080",
     .help = "where senders reach the ingress; port 0: any free one"},
    {.name = "agent",
     .letter = 'a',
     .kind = CLI_TEXT,
     FIELD(agent),
     .argument = "ID",
     .default_text = "hello",
     .help = "the agent's id"},
    {.name = "secret",
     .letter = 's',
     .kind = CLI_TEXT,
     FIELD(secret),
     .argument = "env:NAME|file:PATH",
     .help = "secret of the trigger; if not given, a random one is made and shown"},
    {.name = "env",
     .letter = 'e',
     .kind = CLI_LIST,
     FIELD(environment),
     .argument = "NAME",
     .help = "hand this variable of ours to the agent too (repeatable); PATH, HOME, LANG, TZ, VIRTUAL_ENV and "
             "PYTHONPATH go without asking"},
    {.name = "topics",
     .kind = CLI_TEXT,
     FIELD(topics),
     .argument = "PREFIX",
     .default_text = "drawbridge-dev",
     .help = "first part of the topics' names"},
    {.name = "once",
     .letter = '1',
     .kind = CLI_FLAG,
     FIELD(once),
     .help = "end after the first result; exit code 0 if the run succeeded"},
    {.name = "verbose", .letter = 'v', .kind = CLI_FLAG, FIELD(verbose), .help = "the daemons log to stderr"},
};

struct dev {
    const struct dev_settings *settings;
    bool mock;
    rd_kafka_t *mock_handle;
    rd_kafka_mock_cluster_t *mock_cluster;
    struct cli_kafka kafka;
    char listen[256];
    struct buffer url;
    struct dev_folder folder;
    struct dev_daemons daemons;
    struct http_client *client;
    int signal_fd;
};

/* ---- Kafka ---- */

static bool mock_start(struct dev *d, struct error *error)
{
    char text[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "log_level", "2", text, sizeof text); /* a handle without brokers complains of that */
    d->mock_handle = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text);
    if (d->mock_handle == NULL) {
        rd_kafka_conf_destroy(conf);
        return error_set(error, ERROR_INTERNAL, "start the mock cluster: %s", text);
    }
    d->mock_cluster = rd_kafka_mock_cluster_new(d->mock_handle, 1);
    return d->mock_cluster != NULL || error_set(error, ERROR_INTERNAL, "librdkafka makes no mock cluster");
}

static void mock_stop(struct dev *d)
{
    if (d->mock_cluster != NULL) rd_kafka_mock_cluster_destroy(d->mock_cluster);
    if (d->mock_handle != NULL) rd_kafka_destroy(d->mock_handle);
}

static bool mock_topics(struct dev *d, struct error *error)
{
    for (int i = 0; i < TOPIC_COUNT; i++) {
        const rd_kafka_resp_err_t code = rd_kafka_mock_topic_create(
            d->mock_cluster, d->kafka.topics.name[i], kafka_topics[i].single_partition ? 1 : PARTITIONS, 1);
        if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
            return error_set(error, ERROR_INTERNAL, "create %s: %s", d->kafka.topics.name[i], rd_kafka_err2str(code));
    }
    return true;
}

static bool real_topics(struct dev *d, struct error *error)
{
    struct kafka_admin *admin = kafka_admin_new(&d->kafka.settings, error);
    if (admin == NULL) return false;
    const struct topics_plan plan = {.partitions = PARTITIONS, .timeout_ms = KAFKA_WAIT_MS};
    const bool good = topics_make(admin, &d->kafka, &plan, error);
    kafka_admin_free(admin);
    return good;
}

/* "drawbridge.events" -> "<prefix>.events": a dev session never touches the topics of a real installation. */
static bool topics_rename(struct dev *d, struct error *error)
{
    for (int i = 0; i < TOPIC_COUNT; i++) {
        char name[256];
        const char *rest = strchr(kafka_topics[i].default_name, '.');
        const int size = snprintf(name, sizeof name, "%s%s", d->settings->topics, rest);
        free(d->kafka.topics.name[i]);
        d->kafka.topics.name[i] = strdup(name);
        if (d->kafka.topics.name[i] == NULL) return error_set(error, ERROR_MEMORY, "no memory");
        if (size > 249) return error_set(error, ERROR_INVALID, "--topics is too long");
    }
    return true;
}

static bool kafka_prepare(struct dev *d, const struct cli_connection *given, struct error *error)
{
    struct cli_connection connection = *given;
    if (d->mock) {
        if (!mock_start(d, error)) return false;
        connection.brokers = rd_kafka_mock_cluster_bootstraps(d->mock_cluster);
        /* the mock sleeps through an empty fetch, and says only that it is an old broker */
        if (connection.properties.count < CLI_LIST_MAX)
            connection.properties.items[connection.properties.count++] = "fetch.wait.max.ms=10";
        log_set_level(LOG_ERROR);
    }
    if (!connect_load(&connection, &d->kafka, error) || !topics_rename(d, error)) return false;
    return d->mock ? mock_topics(d, error) : real_topics(d, error);
}

/* ---- ports ---- */

/* A port that nobody uses now, below those that the kernel gives to outgoing connections.  Somebody may still take it
 * before the daemon does: then that one says so and we end. */
static bool free_port(int *port, struct error *error)
{
    enum { FIRST = 10000, COUNT = 20000, TRIES = 100 };
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return error_set_errno(error, errno, "open a socket");
    bool found = false;
    for (int i = 0; i < TRIES && !found; i++) {
        uint16_t random;
        if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random) break;
        *port = FIRST + random % COUNT;
        const struct sockaddr_in address = {
            .sin_family = AF_INET, .sin_port = htons((uint16_t)*port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        found = bind(fd, (const struct sockaddr *)&address, sizeof address) == 0;
    }
    close(fd);
    return found || error_set(error, ERROR_IO, "found no free port");
}

static bool listen_choose(struct dev *d, struct error *error)
{
    const char *listen = d->settings->listen, *colon = strrchr(listen, ':');
    int port;
    if (colon == NULL || strlen(listen) > sizeof d->listen - 8)
        return error_set(error, ERROR_INVALID, "--listen takes ADDRESS:PORT");
    if (strcmp(colon, ":0") != 0) {
        snprintf(d->listen, sizeof d->listen, "%s", listen);
        return true;
    }
    if (!free_port(&port, error)) return false;
    snprintf(d->listen, sizeof d->listen, "%.*s:%d", (int)(colon - listen), listen, port);
    return true;
}

/* ---- the session ---- */

static bool interrupted(const struct dev *d)
{
    return daemon_next_signal(d->signal_fd) != 0;
}

/* ERROR_NONE stands for "the user ended it". */
static bool start_all(struct dev *d, const struct cli *cli, struct error *error)
{
    const struct dev_settings *s = d->settings;
    struct dev_setup setup = {.kafka = &d->kafka,
                              .listen = d->listen,
                              .agent = s->agent,
                              .command = cli->operands,
                              .secret = s->secret,
                              .environment = &s->environment};
    if (!free_port(&setup.ingress_port, error) || !free_port(&setup.runner_port, error)) return false;
    if (!dev_folder_make(&setup, &d->folder, error)) return false;
    if (!dev_daemons_start(&d->daemons, &setup, &d->folder, s->verbose, error)) return false;
    for (bool ready = false; !ready;) {
        if (interrupted(d)) return error_set(error, ERROR_NONE, "interrupted");
        if (!dev_daemons_wait(&d->daemons, d->client, &ready, error)) return false;
        nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    }
    return true;
}

static void introduce(struct dev *d)
{
    buffer_init(&d->url, 1024);
    buffer_text(&d->url, "http://");
    dev_reachable(d->listen, &d->url);
    buffer_format(&d->url, "/api/v1/agents/%s/webhook", d->settings->agent);
    struct buffer curl;
    buffer_init(&curl, 8192);
    dev_curl(&d->folder, buffer_cstr(&d->url), &curl);
    fprintf(stderr, "\nWebhook URL (GitHub-style signature, X-Hub-Signature-256):\n  %s\n", buffer_cstr(&d->url));
    if (d->folder.made_secret[0] != '\0')
        fprintf(stderr, "Secret, made for this run of dev:\n  %s\n", d->folder.made_secret);
    fprintf(stderr, "Send one yourself:\n  %s\n", buffer_cstr(&curl));
    fputs(d->mock ? "Kafka is a mock inside this process: NOTHING IS KEPT when it ends, and it proves no promise; "
                    "--brokers takes a real one.\n\n"
                  : "\n",
          stderr);
    buffer_close(&curl);
}

/* A push as GitHub delivers it. */
static bool deliver(struct dev *d, char *workflow_id, struct error *error)
{
    const struct sender_settings settings = {.scheme = "github",
                                             .secret = d->folder.secret_reference,
                                             .event = "push",
                                             .content_type = "application/json",
                                             .timeout_ms = 15000,
                                             .parallel = 1};
    struct sender *sender = sender_new(&settings, error);
    if (sender == NULL) return false;
    char id[DELIVERY_ID_SIZE], run[32];
    snprintf(run, sizeof run, "%lld", (long long)clock_wall_us());
    delivery_id(run, d->settings->agent, 1, id);
    struct shipment shipment = {.url = buffer_cstr(&d->url), .id = id, .body = dev_push};
    bool good = sender_start(sender, &shipment, error);
    if (good) {
        while (sender_next(sender, 1000) == NULL)
            continue;
        good = shipment.verdict == DELIVERY_ACCEPTED;
        memcpy(workflow_id, shipment.workflow_id, sizeof shipment.workflow_id);
        if (good)
            dev_show_line("accepted", "%d in %.1f ms  %s  delivery %s", shipment.exchange.status,
                          (double)shipment.exchange.duration_us / 1000, workflow_id, id);
        else
            error_set(error, ERROR_UNAVAILABLE, "our own delivery was not accepted: status %d %.200s",
                      shipment.exchange.status,
                      shipment.exchange.status == 0 ? shipment.exchange.error.text
                                                    : buffer_cstr(&shipment.exchange.answer));
    }
    shipment_close(&shipment);
    sender_free(sender);
    return good;
}

/* Shows what comes; the end is our own result with --once, else the user's signal. */
static bool follow(struct dev *d, struct dev_show *show, const char *workflow_id, unsigned *seen, struct error *error)
{
    const int64_t deadline_ms = clock_monotonic_ms() + RESULT_WITHIN_MS;
    bool told = false;
    while (!interrupted(d)) {
        const bool watching = (*seen & DEV_SEEN_RESULT) == 0;
        if (!dev_show_run(show, LOOK_MS, watching ? workflow_id : NULL, seen, error)) return false;
        if (!dev_daemons_alive(&d->daemons, error)) return false;
        if (watching && d->settings->once && clock_monotonic_ms() > deadline_ms)
            return error_set(error, ERROR_TIMED_OUT, "no result within 60 s");
        if (!watching && d->settings->once) return true;
        if (!watching && !told) talk("serving; end with Ctrl-C");
        told = told || !watching;
    }
    return error_set(error, ERROR_NONE, "interrupted");
}

static bool session(struct dev *d, const struct cli *cli, unsigned *seen, struct error *error)
{
    char workflow_id[RECORD_WORKFLOW_ID_SIZE];
    if (!kafka_prepare(d, &cli->connection, error)) return false;
    /* before the daemons: what an earlier session left open goes on at once */
    struct dev_show *show = dev_show_new(&d->kafka, d->mock, error);
    bool good = show != NULL && start_all(d, cli, error);
    if (good) {
        introduce(d);
        good = deliver(d, workflow_id, error) && follow(d, show, workflow_id, seen, error);
        dev_show_rest(show);
    }
    dev_show_free(show);
    return good;
}

static bool begin(struct dev *d, struct error *error)
{
    if (!text_is_agent_id(bytes_of(d->settings->agent)))
        return error_set(error, ERROR_INVALID, "--agent: '%.128s' is not an agent id", d->settings->agent);
    if (!listen_choose(d, error) || !daemon_start(error)) return false;
    d->signal_fd = daemon_signal_fd(error);
    d->client = d->signal_fd >= 0 ? http_client_new(1, error) : NULL; /* before the first thread */
    return d->client != NULL;
}

static enum cli_exit dev_run(struct cli *cli, void *settings)
{
    struct dev d = {.settings = settings,
                    .signal_fd = -1,
                    .mock = cli->connection.brokers == NULL && cli->connection.config == NULL};
    struct error error = {0};
    unsigned seen = 0;
    bool good = begin(&d, &error) && session(&d, cli, &seen, &error);
    const bool ended_by_user = !good && error.code == ERROR_NONE;
    enum cli_exit code = CLI_OK;
    if (!good && !ended_by_user)
        code = talk_error(&error);
    else if (d.settings->once && (seen & DEV_SEEN_SUCCESS) == 0)
        code = ended_by_user ? CLI_UNAVAILABLE : CLI_NO;
    if (ended_by_user) talk("stopping");
    dev_daemons_stop(&d.daemons);
    dev_folder_remove(&d.folder);
    buffer_close(&d.url);
    http_client_free(d.client);
    connect_close(&d.kafka);
    mock_stop(&d);
    if (d.signal_fd >= 0) close(d.signal_fd);
    return code;
}

const struct cli_command dev_command = {
    .name = "dev",
    .operands = "[-- COMMAND...]",
    .summary = "a whole Drawbridge in one command, with an agent of yours",
    .details =
        "Starts an ingress and a runner around COMMAND (or a demo agent), sends one signed GitHub push itself and\n"
        "shows its way: accepted, event, run, result; then it serves until Ctrl-C. The command gets its event as\n"
        "JSON on stdin; exit code 0 makes its stdout the result. Without --brokers or --config Kafka is\n"
        "librdkafka's mock inside this process, and nothing is kept when it ends. On a real Kafka it makes topics\n"
        "of its own (--topics), and runs that are open when it ends go on at the next start.",
    .examples = "  drawbridge dev\n"
                "  drawbridge dev --agent triage --env OPENAI_API_KEY -- python3 triage.py\n"
                "  drawbridge dev --secret env:HOOK_SECRET --brokers localhost:9092 --once",
    .options = options,
    .option_count = sizeof options / sizeof options[0],
    .settings_size = sizeof(struct dev_settings),
    .operands_max = 24,
    .connects = true,
    .run = dev_run,
};

/* kafka_conf.c: librdkafka clients from configuration: the values our promises rest on, the properties that are refused
 * with the reason, secrets by reference.  SPDX-License-Identifier: Apache-2.0 */
#include "kafka.h"
#include "log.h"
#include "secret.h"
#include <librdkafka/rdkafka.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { NAME_SIZE = 128, VALUE_MAX = 64 << 10 };

enum {
    INGRESS = 1 << KAFKA_INGRESS_PRODUCER,
    RUNNER = 1 << KAFKA_RUNNER_PRODUCER,
    CONSUMER = 1 << KAFKA_RUNNER_CONSUMER,
    READER = 1 << KAFKA_READER,
    WRITER = 1 << KAFKA_WRITER,
    ADMIN = 1 << KAFKA_ADMIN,
    PRODUCERS = INGRESS | RUNNER | WRITER,
    CONSUMERS = CONSUMER | READER,
    ALL = PRODUCERS | CONSUMERS | ADMIN,
};

/* Values of our own that the user may change. */
static const struct initial {
    int roles;
    const char *name, *value;
} initials[] = {
    /* The defaults of librdkafka add up to 40 ms of waiting for company to each small batch. */
    {ALL, "socket.nagle.disable", "true"},
    {ALL, "socket.keepalive.enable", "true"},
    /* At the default of 10 s a killed coordinator stalls transactions twice as long as its failover takes. */
    {ALL, "reconnect.backoff.max.ms", "1000"},
    {ALL, "topic.metadata.refresh.interval.ms", "60000"}, /* added partitions are noticed in a minute */
    {ALL, "log.connection.close", "false"},               /* idle connections are closed all day */
    {INGRESS, "client.id", "drawbridge-ingress"},
    {RUNNER | CONSUMER, "client.id", "drawbridge-runner"},
    {READER | WRITER | ADMIN, "client.id", "drawbridge"},
    /* With few requests in flight batches gather by themselves; waiting for them costs latency and gains nothing. */
    {INGRESS | RUNNER, "linger.ms", "0"},
    {WRITER, "linger.ms", "5"},
    {INGRESS, "max.in.flight.requests.per.connection", "2"},
    {PRODUCERS, "compression.type", "lz4"},
    /* Above every topic's limit (kafka_topics), so that the topic decides.  The default is below a 1 MiB body. */
    {PRODUCERS, "message.max.bytes", "8388608"},
    {PRODUCERS, "queue.buffering.max.kbytes", "65536"},
    /* Longer than a failover of brokers (8-11 s): each expiry in flight risks a fatal idempotent producer. */
    {INGRESS | WRITER, "message.timeout.ms", "30000"},
    /* Sets the pace of transactions: 106 ms each at the default of 100, 5-8 ms at 2. */
    {RUNNER, "retry.backoff.ms", "2"},
    /* Above a failover; bounds how long the transaction of a dead runner holds back readers. */
    {RUNNER, "transaction.timeout.ms", "15000"},
    {CONSUMER, "heartbeat.interval.ms", "1000"},
    {CONSUMERS, "check.crcs", "true"},
    /* For each partition, because the runner gives each a queue of its own. */
    {CONSUMERS, "queued.max.messages.kbytes", "8192"},
    {READER, "fetch.wait.max.ms", "100"},
};

#define IDEMPOTENT "a 202 and an exactly-once result rest on it"
#define OFFSETS    "offsets are committed in the transaction that carries the work, and nowhere else"
#define TAKEOVER   "taking over partitions is timed by it"
#define WIRING     "the program wires its clients itself"

/* Values that promises rest on.  value NULL: the program sets it, or librdkafka's default has to stay. */
static const struct fixed {
    int roles;
    const char *name, *value, *why;
} fixed[] = {
    {PRODUCERS, "enable.idempotence", "true", IDEMPOTENT},
    {PRODUCERS, "acks", "all", IDEMPOTENT},
    {PRODUCERS, "request.required.acks", NULL, IDEMPOTENT},
    {PRODUCERS, "message.send.max.retries", NULL, "message.timeout.ms bounds the retries; a count loses events"},
    {PRODUCERS, "retries", NULL, "message.timeout.ms bounds the retries; a count loses events"},
    {PRODUCERS, "enable.gapless.guarantee", NULL, "one expired event would end the producer"},
    {PRODUCERS, "partitioner", "murmur2_random", "keys must land where Java clients put them"},
    {PRODUCERS, "delivery.report.only.error", "false", "every record's fate must be reported"},
    {INGRESS, "queue.buffering.max.kbytes", NULL, "publish.queue_max sets it"},
    {INGRESS, "queue.buffering.max.messages", NULL, "publish.queue_max bounds the queue"},
    {INGRESS, "statistics.interval.ms", NULL, "readiness is told by it"},
    {INGRESS, "enable.sparse.connections", NULL, "every broker is connected before the first event"},
    {INGRESS | WRITER, "transactional.id", NULL, "transactions are the runner's"},
    {RUNNER, "transactional.id", NULL, "group_id and slot name it"},
    {RUNNER, "max.in.flight", NULL, "the order inside a transaction rests on it"},
    {RUNNER, "max.in.flight.requests.per.connection", NULL, "the order inside a transaction rests on it"},
    {RUNNER, "message.timeout.ms", NULL, "it follows transaction.timeout.ms"},
    {RUNNER, "delivery.timeout.ms", NULL, "it follows transaction.timeout.ms"},
    {CONSUMERS, "group.id", NULL, "group_id sets it"},
    {CONSUMERS, "group.instance.id", NULL, "static_membership and slot set it"},
    {CONSUMERS, "group.protocol", NULL, "taking over partitions needs the classic protocol"},
    {CONSUMERS, "group.remote.assignor", NULL, "taking over partitions needs the classic protocol"},
    {CONSUMERS, "partition.assignment.strategy", "range", "events and control of one number must meet in one runner"},
    {CONSUMERS, "isolation.level", "read_committed", "what an aborted transaction wrote never happened"},
    {CONSUMERS, "enable.auto.commit", "false", OFFSETS},
    {CONSUMERS, "auto.commit.enable", NULL, OFFSETS},
    {CONSUMERS, "auto.commit.interval.ms", NULL, OFFSETS},
    {CONSUMERS, "enable.auto.offset.store", "false", OFFSETS},
    /* The runner seeks to the journal's position before it reads: nothing is ever skipped by this. */
    {CONSUMER, "auto.offset.reset", "earliest", "the journal says where to read on"},
    {READER, "auto.offset.reset", "error", "records must not be skipped in silence"},
    {READER, "enable.partition.eof", "true", "the end of a topic is part of the answer"},
    {CONSUMER, "session.timeout.ms", NULL, "session_timeout sets it"},
    {CONSUMER, "max.poll.interval.ms", "60000", TAKEOVER},
    {CONSUMER, "queued.min.messages", NULL, "a smaller value makes a full queue pause for a whole second"},
    /* librdkafka calls it a consumer's property, and heeds it in producers as well (measured on 2.0.2). */
    {ALL, "allow.auto.create.topics", "false", "a typing error would make a topic with the wrong settings"},
    {ALL, "plugin.library.paths", NULL, "no foreign code is loaded"},
    {ALL, "log_level", NULL, "log.level sets what is logged"},
    {ALL, "log.queue", NULL, WIRING},
    {ALL, "enabled_events", NULL, WIRING},
    {ALL, "enable.sasl.oauthbearer.unsecure.jwt", NULL, "it accepts anybody"},
    {ALL, "test.mock.num.brokers", NULL, "a mock keeps nothing; try `drawbridge dev`"},
};

#define COUNT(table) (sizeof(table) / sizeof *(table))

/* Properties whose value is a secret or a reference to one, and never part of a message. */
static const char *const secret_names[] = {
    "sasl.password",
    "ssl.key.password",
    "ssl.key.pem",
    "ssl.keystore.password",
    "sasl.oauthbearer.client.secret",
    "sasl.oauthbearer.config",
};

static bool is_secret(const char *name)
{
    for (size_t i = 0; i < COUNT(secret_names); i++)
        if (strcmp(name, secret_names[i]) == 0) return true;
    return false;
}

const char *kafka_library_version(void)
{
    return rd_kafka_version_str();
}

bool kafka_conf_set(struct rd_kafka_conf_s *conf, const char *name, const char *value, struct error *error)
{
    char why[256];
    if (rd_kafka_conf_set(conf, name, value, why, sizeof why) == RD_KAFKA_CONF_OK) return true;
    /* librdkafka's sentence repeats the value. */
    if (is_secret(name)) return error_set(error, ERROR_INVALID, "%s: librdkafka refuses the value", name);
    return error_set(error, ERROR_INVALID, "%s", why);
}

/* "bootstrap_servers" -> "bootstrap.servers"; one real name has an underscore. */
static bool property_name(const char *setting, char out[NAME_SIZE])
{
    size_t size = strlen(setting);
    if (size >= NAME_SIZE) return false;
    memcpy(out, setting, size + 1);
    if (strcmp(setting, "log_level") == 0) return true;
    for (char *c = out; *c != '\0'; c++)
        if (*c == '_') *c = '.';
    return true;
}

static bool check_allowed(const char *name, int role, struct error *error)
{
    for (size_t i = 0; i < COUNT(fixed); i++) {
        const struct fixed *f = &fixed[i];
        if ((f->roles & role) == 0 || strcmp(f->name, name) != 0) continue;
        if (f->value == NULL) return error_set(error, ERROR_INVALID, "can't be set: %s", f->why);
        return error_set(error, ERROR_INVALID, "is always %s: %s", f->value, f->why);
    }
    return true;
}

/* Before 2.6.1 librdkafka sends the server's nonce twice over, which Kafka 4 takes for a wrong password. */
static bool check_mechanism(const char *name, const char *value, struct error *error)
{
    bool mechanism = strcmp(name, "sasl.mechanisms") == 0 || strcmp(name, "sasl.mechanism") == 0;
    if (!mechanism || strncasecmp(value, "SCRAM", 5) != 0 || rd_kafka_version() >> 8 >= 0x020601) return true;
    return error_set(
        error, ERROR_INVALID,
        "%s does not work with librdkafka %s: before 2.6.1 it repeats the server's nonce (issue 4895), and "
        "Kafka 4 answers the right password with \"invalid credentials\".  PLAIN over TLS and client "
        "certificates work, and so does librdkafka 2.6.1 or later (Debian 13 has 2.8)",
        value, rd_kafka_version_str());
}

static bool set_secret(rd_kafka_conf_t *conf, const char *name, const char *value, struct error *error)
{
    struct secret *secret = secret_resolve(bytes_of(value), true, error);
    if (secret == NULL) return false;
    struct bytes view = secret_view(secret);
    char *text = bytes_dup(view);
    bool good =
        text != NULL ? kafka_conf_set(conf, name, text, error) : error_set(error, ERROR_MEMORY, "out of memory");
    if (text != NULL) explicit_bzero(text, view.size);
    free(text);
    secret_free(secret);
    return good;
}

static bool set_user_property(rd_kafka_conf_t *conf, int role, const struct config_pair *pair, struct error *error)
{
    char name[NAME_SIZE];
    bool good = property_name(pair->name, name) || error_set(error, ERROR_INVALID, "no librdkafka property");
    good = good && check_allowed(name, role, error) && check_mechanism(name, pair->value, error);
    if (good && is_secret(name))
        good = set_secret(conf, name, pair->value, error);
    else if (good)
        good = kafka_conf_set(conf, name, pair->value, error);
    return good || error_context(error, "kafka.%.64s", pair->name);
}

/* Any thread.  Facilities are librdkafka's; CONFWARN tells that a consumer's property was given to a producer, which
 * one group for all clients of a program cannot avoid. */
static void on_log(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
    enum { ERR = 3, WARNING = 4, DEBUG = 7 }; /* syslog's; its header would redefine our LOG_ words */
    enum log_level ours = level <= ERR ? LOG_ERROR : level <= WARNING ? LOG_WARN : LOG_INFO;
    if (level >= DEBUG || strcmp(facility, "CONFWARN") == 0) ours = LOG_DEBUG;
    log_event(ours, "kafka", log_text("client", rk != NULL ? rd_kafka_name(rk) : NULL), log_text("facility", facility),
              log_text("message", text));
}

static bool set_ours(rd_kafka_conf_t *conf, int role, bool at_last, struct error *error)
{
    bool good = true;
    for (size_t i = 0; good && !at_last && i < COUNT(initials); i++)
        if ((initials[i].roles & role) != 0) good = kafka_conf_set(conf, initials[i].name, initials[i].value, error);
    for (size_t i = 0; good && at_last && i < COUNT(fixed); i++)
        if ((fixed[i].roles & role) != 0 && fixed[i].value != NULL)
            good = kafka_conf_set(conf, fixed[i].name, fixed[i].value, error);
    return good;
}

static bool set_all(rd_kafka_conf_t *conf, const struct kafka_settings *settings, int role, struct error *error)
{
    char servers[8];
    size_t size = sizeof servers;
    if (!set_ours(conf, role, false, error)) return false;
    for (size_t i = 0; i < settings->properties.count; i++)
        if (!set_user_property(conf, role, &settings->properties.items[i], error)) return false;
    if (rd_kafka_conf_get(conf, "bootstrap.servers", NULL, &size) != RD_KAFKA_CONF_OK || size <= 1)
        return error_set(error, ERROR_INVALID, "kafka.bootstrap_servers is required");
    return set_ours(conf, role, true, error);
}

struct rd_kafka_conf_s *kafka_conf_new(const struct kafka_settings *settings, enum kafka_role role, struct error *error)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set_log_cb(conf, on_log);
    if (set_all(conf, settings, 1 << role, error)) return conf;
    rd_kafka_conf_destroy(conf);
    return NULL;
}

struct rd_kafka_s *kafka_client_new(enum kafka_role role, struct rd_kafka_conf_s *conf, struct error *error)
{
    char why[384];
    bool consumer = ((1 << role) & CONSUMERS) != 0;
    rd_kafka_t *rk = rd_kafka_new(consumer ? RD_KAFKA_CONSUMER : RD_KAFKA_PRODUCER, conf, why, sizeof why);
    if (rk != NULL) return rk;
    rd_kafka_conf_destroy(conf); /* rd_kafka_new takes it only when it succeeds */
    error_set(error, ERROR_INVALID, "kafka: %s", why);
    return NULL;
}

bool kafka_settings_check(const struct kafka_settings *settings, enum kafka_role role, struct error *error)
{
    rd_kafka_conf_t *conf = kafka_conf_new(settings, role, error);
    if (conf == NULL) return false;
    rd_kafka_conf_set_log_cb(conf, NULL);
    bool good = kafka_conf_set(conf, "bootstrap.servers", NULL, error); /* nowhere to connect to */
    if (good && role == KAFKA_RUNNER_CONSUMER) good = kafka_conf_set(conf, "group.id", "check", error);
    if (good && role == KAFKA_RUNNER_PRODUCER) good = kafka_conf_set(conf, "transactional.id", "check", error);
    if (!good) {
        rd_kafka_conf_destroy(conf);
        return false;
    }
    /* Certificates are read, and properties that contradict each other found, only here. */
    struct rd_kafka_s *rk = kafka_client_new(role, conf, error);
    if (rk != NULL) rd_kafka_destroy(rk);
    return rk != NULL;
}

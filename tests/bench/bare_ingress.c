/* bare_ingress.c: what the libraries cost by themselves: libmicrohttpd and librdkafka in one epoll loop, an HMAC check,
 * 202 after the delivery report.  No gate, no triggers, no JSON, no headers, no log, no deadline, no drain: the measure
 * for drawbridge-ingress, never a replacement.
 *
 *     bare_ingress PORT BROKERS TOPIC SECRET [librdkafka-property=value ...]
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <librdkafka/rdkafka.h>
#include <microhttpd.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { DIGEST_SIZE = 32, BLOCK_SIZE = 64, BODY_MAX = 1 << 20 };

struct request {
    struct MHD_Connection *connection;
    EVP_MD_CTX *mac;
    uint8_t claimed[DIGEST_SIZE];
    unsigned status; /* of the answer, once it is known */
    char agent[129];
    size_t size, capacity;
    uint8_t *body;
};

struct server {
    rd_kafka_t *kafka;
    rd_kafka_topic_t *topic;
    EVP_MD_CTX *inner, *outer; /* after the padded key */
    struct MHD_Response *accepted, *refused;
};

static void must(int ok, const char *what)
{
    if (ok) return;
    fprintf(stderr, "bare_ingress: %s\n", what);
    exit(1);
}

static EVP_MD_CTX *keyed_digest(const EVP_MD *sha256, const char *key, uint8_t pad)
{
    uint8_t block[BLOCK_SIZE] = {0};
    size_t size = strlen(key);
    must(size <= sizeof block, "the secret is too long");
    memcpy(block, key, size);
    for (size_t i = 0; i < sizeof block; i++)
        block[i] ^= pad;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    must(ctx && EVP_DigestInit_ex2(ctx, sha256, NULL) && EVP_DigestUpdate(ctx, block, sizeof block), "no SHA-256");
    return ctx;
}

static bool read_signature(const char *header, uint8_t out[DIGEST_SIZE])
{
    if (!header || strncmp(header, "sha256=", 7) != 0 || strlen(header) != 7 + 2 * DIGEST_SIZE) return false;
    for (size_t i = 0; i < 2 * DIGEST_SIZE; i++) {
        char c = header[7 + i];
        int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
        if (digit < 0) return false;
        out[i / 2] = (uint8_t)(out[i / 2] << 4 | digit);
    }
    return true;
}

static bool signature_holds(const struct server *s, struct request *r)
{
    uint8_t digest[DIGEST_SIZE];
    return EVP_DigestFinal_ex(r->mac, digest, NULL) && EVP_MD_CTX_copy_ex(r->mac, s->outer) &&
           EVP_DigestUpdate(r->mac, digest, sizeof digest) && EVP_DigestFinal_ex(r->mac, digest, NULL) &&
           CRYPTO_memcmp(digest, r->claimed, sizeof digest) == 0;
}

/* .../{agent}/webhook */
static bool read_agent(const char *url, char out[129])
{
    const char *end = strrchr(url, '/'), *begin = end;
    while (begin && begin > url && begin[-1] != '/')
        begin--;
    if (!end || strcmp(end, "/webhook") != 0 || end == begin || end - begin > 128) return false;
    memcpy(out, begin, (size_t)(end - begin));
    return true;
}

static enum MHD_Result answer(struct server *s, struct request *r)
{
    return MHD_queue_response(r->connection, r->status, r->status == 202 ? s->accepted : s->refused);
}

static enum MHD_Result begin_request(struct server *s, struct MHD_Connection *c, const char *url, void **state)
{
    struct request *r = calloc(1, sizeof *r);
    if (!r) return MHD_NO;
    *state = r;
    r->connection = c;
    r->mac = EVP_MD_CTX_new();
    if (!r->mac || !EVP_MD_CTX_copy_ex(r->mac, s->inner)) return MHD_NO;
    const char *signature = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "X-Hub-Signature-256");
    if (!read_agent(url, r->agent))
        r->status = 404;
    else if (!read_signature(signature, r->claimed))
        r->status = 401;
    return r->status ? answer(s, r) : MHD_YES;
}

static enum MHD_Result take_body(struct request *r, const char *data, size_t size)
{
    if (r->size + size > BODY_MAX || !EVP_DigestUpdate(r->mac, data, size)) return MHD_NO;
    if (r->size + size > r->capacity) {
        r->capacity = 2 * (r->size + size);
        uint8_t *body = realloc(r->body, r->capacity);
        if (!body) return MHD_NO;
        r->body = body;
    }
    memcpy(r->body + r->size, data, size);
    r->size += size;
    return MHD_YES;
}

static enum MHD_Result end_request(struct server *s, struct request *r)
{
    if (!signature_holds(s, r)) {
        r->status = 401;
        return answer(s, r);
    }
    MHD_suspend_connection(r->connection);
    if (rd_kafka_produce(s->topic, RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_FREE, r->body, r->size, r->agent,
                         strlen(r->agent), r) == 0) {
        r->body = NULL;
    } else {
        r->status = 503;
        MHD_resume_connection(r->connection);
    }
    return MHD_YES;
}

static enum MHD_Result handle(void *ctx, struct MHD_Connection *c, const char *url, const char *method,
                              const char *version, const char *data, size_t *size, void **state)
{
    (void)method;
    (void)version;
    struct request *r = *state;
    if (!r) return begin_request(ctx, c, url, state);
    if (*size > 0) {
        size_t given = *size;
        *size = 0;
        return take_body(r, data, given);
    }
    return r->status ? answer(ctx, r) : end_request(ctx, r);
}

static void completed(void *ctx, struct MHD_Connection *c, void **state, enum MHD_RequestTerminationCode why)
{
    (void)ctx;
    (void)c;
    (void)why;
    struct request *r = *state;
    if (!r) return;
    EVP_MD_CTX_free(r->mac);
    free(r->body);
    free(r);
}

static void reported(rd_kafka_t *kafka, const rd_kafka_message_t *message, void *ctx)
{
    (void)kafka;
    (void)ctx;
    struct request *r = message->_private;
    r->status = message->err ? 503 : 202;
    MHD_resume_connection(r->connection);
}

static void open_kafka(struct server *s, const char *brokers, const char *topic, char **properties)
{
    static const char *const ours[][2] = {
        {"acks", "all"},        {"enable.idempotence", "true"},    {"linger.ms", "0"},
        {"max.in.flight", "2"}, {"partitioner", "murmur2_random"}, {"socket.nagle.disable", "true"}};
    char why[512];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    must(rd_kafka_conf_set(conf, "bootstrap.servers", brokers, why, sizeof why) == RD_KAFKA_CONF_OK, why);
    for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++)
        must(rd_kafka_conf_set(conf, ours[i][0], ours[i][1], why, sizeof why) == RD_KAFKA_CONF_OK, why);
    for (; *properties; properties++) {
        char *value = strchr(*properties, '=');
        must(value != NULL, "a property is name=value");
        *value = '\0';
        must(rd_kafka_conf_set(conf, *properties, value + 1, why, sizeof why) == RD_KAFKA_CONF_OK, why);
    }
    rd_kafka_conf_set_dr_msg_cb(conf, reported);
    s->kafka = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
    must(s->kafka != NULL, why);
    s->topic = rd_kafka_topic_new(s->kafka, topic, NULL);
    must(s->topic != NULL, "no topic handle");
}

static struct MHD_Response *response(const char *text)
{
    struct MHD_Response *r = MHD_create_response_from_buffer_with_free_callback(strlen(text), strdup(text), free);
    must(r && MHD_add_response_header(r, "Content-Type", "application/json") == MHD_YES, "no response");
    return r;
}

static void watch(int epoll_fd, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    must(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0, "epoll_ctl");
}

static void serve(struct server *s, struct MHD_Daemon *daemon)
{
    static const uint64_t one = 1;
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC), reports = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    must(epoll_fd >= 0 && reports >= 0, "epoll or eventfd");
    rd_kafka_queue_io_event_enable(rd_kafka_queue_get_main(s->kafka), reports, &one, sizeof one);
    watch(epoll_fd, reports);
    watch(epoll_fd, MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd);
    for (;;) {
        struct epoll_event events[2];
        MHD_UNSIGNED_LONG_LONG due_ms;
        bool due = MHD_get_timeout(daemon, &due_ms) == MHD_YES;
        epoll_wait(epoll_fd, events, 2, due && due_ms < 1000 ? (int)due_ms : 1000);
        uint64_t count;
        if (read(reports, &count, sizeof count) > 0)
            while (rd_kafka_poll(s->kafka, 0) > 0)
                continue;
        MHD_run(daemon);
    }
}

int main(int argc, char **argv)
{
    must(argc >= 5, "usage: bare_ingress PORT BROKERS TOPIC SECRET [property=value ...]");
    struct server s = {.accepted = response("{\"status\":\"triggered\"}"), .refused = response("{\"detail\":\"no\"}")};
    EVP_MD *sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    must(sha256 != NULL, "no SHA-256");
    s.inner = keyed_digest(sha256, argv[4], 0x36);
    s.outer = keyed_digest(sha256, argv[4], 0x5c);
    open_kafka(&s, argv[2], argv[3], argv + 5);
    struct MHD_Daemon *daemon =
        MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, (uint16_t)strtoul(argv[1], NULL, 10), NULL, NULL,
                         handle, &s, MHD_OPTION_NOTIFY_COMPLETED, completed, NULL, MHD_OPTION_CONNECTION_LIMIT, 4096U,
                         MHD_OPTION_LISTEN_BACKLOG_SIZE, 1024U, MHD_OPTION_END);
    must(daemon != NULL, "cannot listen");
    serve(&s, daemon);
}

/* transaction.c: one transaction from begin to its end, and what each error along the way asks for.
 * SPDX-License-Identifier: Apache-2.0 */
#include "transaction.h"
#include "clock.h"
#include "daemon.h"
#include "log.h"
#include "text.h"
#include <assert.h>
#include <librdkafka/rdkafka.h>
#include <stdlib.h>
#include <string.h>

enum { OUR_TOPICS = 3, REBUILDS_MAX = 5, SLICE_MS = 1000 };
static const enum kafka_topic our_topics[OUR_TOPICS] = {TOPIC_JOURNAL, TOPIC_RESULTS, TOPIC_DEAD_LETTERS};

struct transaction {
    const struct settings *settings;
    const atomic_bool *stop;
    rd_kafka_t *rk;
    rd_kafka_topic_t *topics[OUR_TOPICS]; /* held, or the first transaction on each waits a second for its metadata */
    int timeout_ms;                       /* transaction.timeout.ms */
    int64_t began_ms;
    int rebuilds; /* since the last transaction that was committed */
    int exit_code;
    bool doubtful;               /* a commit or abort call did not say at once how it ended */
    rd_kafka_resp_err_t refused; /* the first delivery report that will never be any better */
    rd_kafka_resp_err_t denied;  /* credentials, from the error callback */
};

const char *commit_outcome_name(enum commit_outcome outcome)
{
    static const char *const names[] = {
        [COMMIT_DONE] = "committed",      [COMMIT_ABORTED] = "aborted", [COMMIT_REFUSED] = "refused",
        [COMMIT_FENCED_GROUP] = "fenced", [COMMIT_UNKNOWN] = "unknown", [COMMIT_DEAD] = "dead",
    };
    return names[outcome];
}

static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque)
{
    struct transaction *t = opaque;
    (void)rk;
    if (!t->refused && kafka_error_class(m->err) == KAFKA_GIVE_UP) t->refused = m->err;
}

static void on_error(rd_kafka_t *rk, int code, const char *reason, void *opaque)
{
    struct transaction *t = opaque;
    (void)rk;
    if (kafka_error_is_credentials(code)) t->denied = (rd_kafka_resp_err_t)code;
    log_event(LOG_WARN, "producer error", log_text("code", rd_kafka_err2name((rd_kafka_resp_err_t)code)),
              log_text("reason", reason));
}

static bool stopped(const struct transaction *t)
{
    return atomic_load(t->stop);
}

/* Takes the library's error apart: class, code, and the sentence with our context. */
static enum kafka_class take(rd_kafka_error_t *e, const char *what, rd_kafka_resp_err_t *code, struct error *error)
{
    enum kafka_class class = kafka_error_object_class(e);
    if (code) *code = e ? rd_kafka_error_code(e) : RD_KAFKA_RESP_ERR_NO_ERROR;
    if (e) {
        error_set(error, class == KAFKA_FATAL ? ERROR_INTERNAL : ERROR_UNAVAILABLE, "%s: %s", what,
                  rd_kafka_error_string(e));
        rd_kafka_error_destroy(e);
    }
    return class;
}

static bool make_producer(struct transaction *t, struct error *error)
{
    char value[16] = "15000";
    size_t size = sizeof value;
    int64_t timeout_ms = 15000;
    rd_kafka_conf_t *conf = kafka_conf_new(&t->settings->kafka, KAFKA_RUNNER_PRODUCER, error);
    if (!conf) return false;
    if (!kafka_conf_set(conf, "transactional.id", t->settings->transactional_id, error)) {
        rd_kafka_conf_destroy(conf);
        return false;
    }
    rd_kafka_conf_set_opaque(conf, t);
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    rd_kafka_conf_set_error_cb(conf, on_error);
    if (rd_kafka_conf_get(conf, "transaction.timeout.ms", value, &size) == RD_KAFKA_CONF_OK)
        text_parse_int64(bytes_of(value), 1000, INT32_MAX, &timeout_ms);
    t->timeout_ms = (int)timeout_ms;
    t->rk = kafka_client_new(KAFKA_RUNNER_PRODUCER, conf, error);
    for (int i = 0; t->rk && i < OUR_TOPICS; i++)
        t->topics[i] = rd_kafka_topic_new(t->rk, t->settings->topics.name[our_topics[i]], NULL);
    return t->rk != NULL;
}

static void drop_producer(struct transaction *t)
{
    for (int i = 0; i < OUR_TOPICS; i++) {
        if (t->topics[i]) rd_kafka_topic_destroy(t->topics[i]);
        t->topics[i] = NULL;
    }
    if (!t->rk) return;
    /* Records of a dead transaction must not be waited for. */
    rd_kafka_purge(t->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    rd_kafka_destroy(t->rk);
    t->rk = NULL;
}

/* Fences every predecessor with our id and waits until its open transaction is ended (0.1 s; traps 1, fact 5). */
static bool init_transactions(struct transaction *t, struct error *error)
{
    for (bool told = false;;) {
        rd_kafka_resp_err_t code;
        enum kafka_class class = take(rd_kafka_init_transactions(t->rk, SLICE_MS), "init_transactions", &code, error);
        if (class == KAFKA_OK) return true;
        rd_kafka_poll(t->rk, 0);
        if (t->denied) return error_set(error, ERROR_DENIED, "the brokers refuse us: %s", rd_kafka_err2str(t->denied));
        if (stopped(t)) return error_set(error, ERROR_UNAVAILABLE, "stopped while waiting for the brokers");
        if (class != KAFKA_RETRY) return false;
        if (!told) log_event(LOG_WARN, "waiting for the brokers", log_text("reason", error->text));
        told = true;
    }
}

struct transaction *transaction_open(const struct settings *settings, const atomic_bool *stop, struct error *error)
{
    struct transaction *t = calloc(1, sizeof *t);
    if (!t) {
        error_set(error, ERROR_MEMORY, "no memory");
        return NULL;
    }
    t->settings = settings;
    t->stop = stop;
    if (make_producer(t, error) && init_transactions(t, error)) return t;
    transaction_close(t);
    return NULL;
}

void transaction_close(struct transaction *t)
{
    if (!t) return;
    drop_producer(t);
    free(t);
}

struct rd_kafka_s *transaction_producer(struct transaction *t)
{
    return t->rk;
}

int transaction_exit_code(const struct transaction *t)
{
    return t->exit_code;
}

static bool rebuild(struct transaction *t, struct error *why)
{
    struct error error;
    log_event(LOG_INFO, "producer rebuilt", log_text("reason", why->text));
    drop_producer(t);
    if (make_producer(t, &error) && init_transactions(t, &error)) return true;
    t->exit_code = DAEMON_EXIT_FAILURE;
    *why = error;
    error_context(why, "the producer can't be made anew");
    return false;
}

/* Somebody with our transactional.id has fenced us, unless the transaction simply outlived its time-out (we were
 * frozen, or the brokers were): then the coordinator has aborted it under a new epoch (traps 2.1).  To make a new
 * producer in the first case would fence the rightful one (J27). */
static bool fenced_by_another(const struct transaction *t, rd_kafka_resp_err_t code)
{
    char why[128];
    rd_kafka_resp_err_t fatal = rd_kafka_fatal_error(t->rk, why, sizeof why);
    if (fatal == RD_KAFKA_RESP_ERR_NO_ERROR) fatal = code;
    bool fenced = fatal == RD_KAFKA_RESP_ERR__FENCED || fatal == RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH ||
                  fatal == RD_KAFKA_RESP_ERR_PRODUCER_FENCED;
    return fenced && clock_monotonic_ms() - t->began_ms < t->timeout_ms - 2 * SLICE_MS;
}

/* A fatal error is behind us: what became of the transaction is `then`, if there is to be a producer again. */
static enum commit_outcome recover(struct transaction *t, rd_kafka_resp_err_t code, enum commit_outcome then,
                                   struct error *error)
{
    if (fenced_by_another(t, code)) {
        t->exit_code = DAEMON_EXIT_FENCED;
        error_context(error, "another process uses the slot '%s'", t->settings->slot);
        return COMMIT_DEAD;
    }
    if (++t->rebuilds > REBUILDS_MAX) {
        t->exit_code = DAEMON_EXIT_FAILURE;
        error_context(error, "%d producers in a row failed", t->rebuilds);
        return COMMIT_DEAD;
    }
    struct error why = *error;
    if (!rebuild(t, &why)) {
        *error = why;
        return COMMIT_DEAD;
    }
    return then;
}

/* `error` keeps the reason of the abort. */
static enum commit_outcome abort_it(struct transaction *t, enum commit_outcome then, struct error *error)
{
    struct error scratch;
    rd_kafka_resp_err_t code;
    enum kafka_class class;
    do {
        class = take(rd_kafka_abort_transaction(t->rk, t->timeout_ms), "abort", &code, &scratch);
        if (class == KAFKA_RETRY && stopped(t)) return COMMIT_UNKNOWN;
    } while (class == KAFKA_RETRY);
    if (class != KAFKA_OK) return recover(t, code, then, error);
    if (!t->refused) return then;
    /* The next good transaction on this producer would fail with OUT_OF_ORDER_SEQUENCE_NUMBER (J9). */
    if (then != COMMIT_FENCED_GROUP) then = COMMIT_REFUSED;
    error_set(error, ERROR_TOO_LARGE, "a record was refused: %s", rd_kafka_err2str(t->refused));
    return rebuild(t, error) ? then : COMMIT_DEAD;
}

static enum kafka_produced produce(struct transaction *t, const struct batch_record *r, struct error *error)
{
    for (;;) {
        enum kafka_produced done =
            kafka_produce(t->rk, t->settings->topics.name[r->topic], r->partition, r->record, 0, NULL, error);
        if (done != KAFKA_QUEUE_FULL || stopped(t)) return done;
        rd_kafka_poll(t->rk, 10);
    }
}

static bool produce_all(struct transaction *t, const struct batch *b, struct error *error)
{
    for (size_t i = 0; i < b->count; i++) {
        enum kafka_produced done = produce(t, &b->records[i], error);
        if (done == KAFKA_TOO_LARGE) t->refused = RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE;
        if (done != KAFKA_PRODUCED) return false;
    }
    return true;
}

static bool is_fencing(rd_kafka_resp_err_t code)
{
    return code == RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID || code == RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION ||
           code == RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID;
}

static rd_kafka_topic_partition_list_t *offsets_of(const struct transaction *t, const struct batch *b)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)b->offset_count);
    for (size_t i = 0; i < b->offset_count; i++)
        rd_kafka_topic_partition_list_add(list, t->settings->topics.name[TOPIC_EVENTS], b->offsets[i].partition)
            ->offset = b->offsets[i].next;
    return list;
}

/* The one thing that fences a runner that lost a partition (J1, J2). */
static enum kafka_class send_offsets(struct transaction *t, const struct batch *b, rd_kafka_resp_err_t *code,
                                     struct error *error)
{
    rd_kafka_consumer_group_metadata_t *group = NULL;
    enum kafka_class class =
        take(rd_kafka_consumer_group_metadata_read(&group, b->metadata, b->metadata_size), "metadata", code, error);
    if (class != KAFKA_OK) return KAFKA_ABORT;
    rd_kafka_topic_partition_list_t *list = offsets_of(t, b);
    do {
        class = take(rd_kafka_send_offsets_to_transaction(t->rk, list, group, t->timeout_ms), "offsets", code, error);
    } while (class == KAFKA_RETRY && !stopped(t));
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_consumer_group_metadata_destroy(group);
    return class;
}

static enum commit_outcome commit_it(struct transaction *t, struct error *error)
{
    rd_kafka_resp_err_t code;
    for (;;) {
        enum kafka_class class = take(rd_kafka_commit_transaction(t->rk, t->timeout_ms), "commit", &code, error);
        if (class == KAFKA_OK) return COMMIT_DONE;
        if (class == KAFKA_ABORT) return abort_it(t, COMMIT_ABORTED, error);
        if (class != KAFKA_RETRY) return recover(t, code, COMMIT_UNKNOWN, error);
        t->doubtful = true;
        if (stopped(t)) return COMMIT_UNKNOWN;
    }
}

enum commit_outcome transaction_commit(struct transaction *t, const struct batch *b, struct error *error)
{
    assert(batch_is_sound(b));
    rd_kafka_resp_err_t code;
    t->refused = RD_KAFKA_RESP_ERR_NO_ERROR;
    t->doubtful = false;
    t->began_ms = clock_monotonic_ms();
    enum kafka_class class = take(rd_kafka_begin_transaction(t->rk), "begin", &code, error);
    if (class != KAFKA_OK) return recover(t, code, COMMIT_ABORTED, error);
    if (!produce_all(t, b, error)) return abort_it(t, COMMIT_ABORTED, error);
    class = send_offsets(t, b, &code, error);
    if (class == KAFKA_FATAL) return recover(t, code, COMMIT_ABORTED, error);
    if (class != KAFKA_OK) return abort_it(t, is_fencing(code) ? COMMIT_FENCED_GROUP : COMMIT_ABORTED, error);
    enum commit_outcome outcome = commit_it(t, error);
    if (outcome != COMMIT_DONE) return outcome;
    t->rebuilds = 0;
    /* Brokers without KIP-890 may still deliver the repeated EndTxn into our next transaction (failure matrix, 37). */
    return !t->doubtful || rebuild(t, error) ? COMMIT_DONE : COMMIT_DEAD;
}

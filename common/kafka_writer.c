/* kafka_writer.c: a producer whose delivery reports are counted, one thread.
 * SPDX-License-Identifier: Apache-2.0 */
#include "kafka_writer.h"
#include <librdkafka/rdkafka.h>
#include <stdlib.h>

struct kafka_writer {
    rd_kafka_t *rk;
    int64_t confirmed, failed;
    rd_kafka_resp_err_t first_error;
};

/* Runs inside our own poll and flush calls. */
static void report(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque)
{
    (void)rk;
    struct kafka_writer *w = opaque;
    if (m->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        w->confirmed++;
        return;
    }
    if (w->failed++ == 0) w->first_error = m->err;
}

struct kafka_writer *kafka_writer_new(const struct kafka_settings *settings, struct error *error)
{
    struct kafka_writer *w = calloc(1, sizeof *w);
    if (w == NULL) {
        error_set(error, ERROR_MEMORY, "no memory");
        return NULL;
    }
    rd_kafka_conf_t *conf = kafka_conf_new(settings, KAFKA_WRITER, error);
    if (conf != NULL) {
        rd_kafka_conf_set_dr_msg_cb(conf, report);
        rd_kafka_conf_set_opaque(conf, w);
        w->rk = kafka_client_new(KAFKA_WRITER, conf, error);
    }
    if (w->rk != NULL) return w;
    free(w);
    return NULL;
}

static bool all_well(const struct kafka_writer *w, struct error *error)
{
    if (w->failed == 0) return true;
    return error_set(error, ERROR_UNAVAILABLE, "%lld records were not written, the first because: %s",
                     (long long)w->failed, rd_kafka_err2str(w->first_error));
}

bool kafka_writer_send(struct kafka_writer *w, const char *topic, const struct record *r, struct error *error)
{
    enum kafka_produced produced;
    while ((produced = kafka_produce(w->rk, topic, -1, r, 0, NULL, error)) == KAFKA_QUEUE_FULL) {
        rd_kafka_poll(w->rk, 100);
        if (!all_well(w, error)) return false;
    }
    rd_kafka_poll(w->rk, 0);
    return produced == KAFKA_PRODUCED && all_well(w, error);
}

bool kafka_writer_flush(struct kafka_writer *w, int timeout_ms, struct error *error)
{
    if (rd_kafka_flush(w->rk, timeout_ms) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return error_set(error, ERROR_TIMED_OUT, "%d records were not confirmed in time", rd_kafka_outq_len(w->rk));
    return all_well(w, error);
}

int64_t kafka_writer_confirmed(const struct kafka_writer *w)
{
    return w->confirmed;
}

void kafka_writer_free(struct kafka_writer *w)
{
    if (w == NULL) return;
    rd_kafka_purge(w->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    rd_kafka_flush(w->rk, 100); /* serves the reports of what was purged */
    rd_kafka_destroy(w->rk);
    free(w);
}

/* mock_kafka.c: librdkafka's mock cluster as a process: prints its bootstrap addresses, obeys lines on stdin, ends at
 * EOF. It keeps nothing and proves no promise (traps 3); it stands in for brokers where only their answers matter.
 *
 *   mock_kafka [--brokers N] [--topic NAME:PARTITIONS]...
 *   down N | up N | rtt N MS | leader TOPIC PARTITION BROKER | fail API CODE COUNT     (each answered by "ok")
 * SPDX-License-Identifier: Apache-2.0 */
#include "text.h"
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_MAX_SIZE = 512, WORDS_MAX = 5, ERRORS_MAX = 100 };

static int64_t number(const char *text, int64_t max)
{
    int64_t n;
    if (text && text_parse_int64(bytes_of(text), -1, max, &n)) return n;
    fprintf(stderr, "mock_kafka: '%s' is not a number\n", text ? text : "");
    exit(1);
}

static void fail_requests(rd_kafka_mock_cluster_t *cluster, int api, int code, int count)
{
    rd_kafka_resp_err_t errors[ERRORS_MAX];
    for (int i = 0; i < count; i++)
        errors[i] = (rd_kafka_resp_err_t)code;
    rd_kafka_mock_push_request_errors_array(cluster, (int16_t)api, (size_t)count, errors);
}

static int obey(rd_kafka_mock_cluster_t *cluster, char *words[WORDS_MAX])
{
    if (!words[0]) return -1;
    if (strcmp(words[0], "down") == 0) return rd_kafka_mock_broker_set_down(cluster, (int32_t)number(words[1], 100));
    if (strcmp(words[0], "up") == 0) return rd_kafka_mock_broker_set_up(cluster, (int32_t)number(words[1], 100));
    if (strcmp(words[0], "rtt") == 0)
        return rd_kafka_mock_broker_set_rtt(cluster, (int32_t)number(words[1], 100), (int)number(words[2], 1000000));
    if (strcmp(words[0], "leader") == 0 && words[1])
        return rd_kafka_mock_partition_set_leader(cluster, words[1], (int32_t)number(words[2], 1000),
                                                  (int32_t)number(words[3], 100));
    if (strcmp(words[0], "fail") == 0) {
        fail_requests(cluster, (int)number(words[1], 100), (int)number(words[2], 1000),
                      (int)number(words[3], ERRORS_MAX));
        return 0;
    }
    return -1;
}

static void serve(rd_kafka_mock_cluster_t *cluster)
{
    char line[LINE_MAX_SIZE];
    while (fgets(line, sizeof line, stdin)) {
        char *words[WORDS_MAX] = {0}, *rest = line, *word;
        for (int n = 0; n < WORDS_MAX && (word = strsep(&rest, " \n"));)
            if (*word) words[n++] = word;
        puts(obey(cluster, words) == 0 ? "ok" : "refused");
        fflush(stdout);
    }
}

static void create_topic(rd_kafka_mock_cluster_t *cluster, char *spec, int replication)
{
    char *colon = strrchr(spec, ':');
    int partitions = 1;
    if (colon) {
        *colon = 0;
        partitions = (int)number(colon + 1, 1000);
    }
    rd_kafka_mock_topic_create(cluster, spec, partitions, replication);
}

int main(int argc, char **argv)
{
    char text[256];
    int brokers = 1;
    for (int i = 1; i + 1 < argc; i++)
        if (strcmp(argv[i], "--brokers") == 0) brokers = (int)number(argv[i + 1], 100);
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "bootstrap.servers", "127.0.0.1:1", text, sizeof text); /* never asked; it would complain */
    rd_kafka_conf_set(conf, "log_level", "0", text, sizeof text);
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text);
    rd_kafka_mock_cluster_t *cluster = rk ? rd_kafka_mock_cluster_new(rk, brokers) : NULL;
    if (!cluster) {
        fprintf(stderr, "mock_kafka: no cluster\n");
        return 1;
    }
    for (int i = 1; i + 1 < argc; i++)
        if (strcmp(argv[i], "--topic") == 0) create_topic(cluster, argv[i + 1], brokers < 3 ? brokers : 3);
    puts(rd_kafka_mock_cluster_bootstraps(cluster));
    fflush(stdout);
    serve(cluster);
    rd_kafka_mock_cluster_destroy(cluster);
    rd_kafka_destroy(rk);
    return 0;
}

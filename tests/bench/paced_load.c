/* paced_load.c: requests at an even rate, whatever the answers take.  Each has its moment in a schedule made beforehand
 * (open loop), and its latency counts from that moment: a stall is seen by every request that it delayed.
 *
 *     paced_load PORT CONNECTIONS RATE SECONDS SEED [shed] < requests
 *
 * With `shed` a request whose moment comes while no connection is free is left out and counted, so that an overload
 * lasts as long as it was meant to and every answered request tells what the server did with it.
 *
 * `requests` holds blocks "<size>\n<bytes>"; the delivery id in each is made new every time.  Prints one JSON object.
 * SPDX-License-Identifier: Apache-2.0 */
#include "clock.h"
#include "json.h"
#include "text.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    CONNECTIONS_MAX = 16384,
    SECONDS_MAX = 600,
    STATUS_MAX = 600,
    REQUESTS_MAX = 1024,
    ID_SIZE = 36,
    LATE_ANSWER_S = 10
};

struct request {
    char *text;
    size_t size, id_at;
};

struct connection {
    int fd;
    bool busy;
    int64_t due_us; /* of the request under way */
    size_t received;
    char answer[4096];
};

struct load {
    struct request requests[REQUESTS_MAX];
    size_t request_count;
    struct connection connections[CONNECTIONS_MAX];
    int idle[CONNECTIONS_MAX], idle_count, busy_count;
    int epoll_fd;
    bool shed;
    int64_t port, seed, sent, shed_count, start_us;
    int64_t statuses[STATUS_MAX];
    struct sample {
        int64_t second; /* of the run, in which it was due */
        int64_t latency_us;
    } * samples;
    size_t sample_count;
};

static void must(bool ok, const char *what)
{
    if (ok) return;
    fprintf(stderr, "paced_load: %s\n", what);
    exit(1);
}

static int64_t number(const char *text, int64_t max)
{
    int64_t value = 0;
    must(text_parse_int64(bytes_of(text), 1, max, &value), "usage: paced_load PORT CONNECTIONS RATE SECONDS SEED");
    return value;
}

static void read_requests(struct load *l)
{
    static const char header[] = "X-GitHub-Delivery: ";
    char line[32];
    while (l->request_count < REQUESTS_MAX && fgets(line, sizeof line, stdin)) {
        struct request *r = &l->requests[l->request_count++];
        line[strcspn(line, "\n")] = '\0';
        r->size = (size_t)number(line, 1 << 20);
        r->text = calloc(1, r->size + 1);
        must(r->text && fread(r->text, 1, r->size, stdin) == r->size, "a request is cut short");
        const char *at = strstr(r->text, header);
        must(at != NULL, "a request has no delivery id");
        r->id_at = (size_t)(at - r->text) + strlen(header);
    }
    must(l->request_count > 0, "no requests");
}

static void open_connection(struct load *l, int index)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)l->port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    must(fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof to) == 0, "cannot connect");
    must(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0, "no TCP_NODELAY");
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = (uint32_t)index};
    must(epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0, "epoll_ctl");
    l->connections[index].fd = fd;
}

/* The least recently used connection would keep all of them warm; the most recently used one behaves as a pool does. */
static void send_one(struct load *l, int64_t due_us)
{
    struct connection *c = &l->connections[l->idle[--l->idle_count]];
    struct request *r = &l->requests[(size_t)l->sent % l->request_count];
    char id[ID_SIZE + 1];
    snprintf(id, sizeof id, "%08x-0000-4000-8000-%012llx", (unsigned)l->seed, (unsigned long long)l->sent);
    memcpy(r->text + r->id_at, id, ID_SIZE);
    must(write(c->fd, r->text, r->size) == (ssize_t)r->size, "a connection broke while sending");
    c->busy = true;
    c->due_us = due_us;
    c->received = 0;
    l->busy_count++;
    l->sent++;
}

/* The size of the whole answer, or 0 while its head is not complete. */
static size_t answer_size(const struct connection *c)
{
    const char *end = strstr(c->answer, "\r\n\r\n"), *length = strcasestr(c->answer, "\r\ncontent-length: ");
    if (!end) return 0;
    must(length && length < end, "an answer without a length");
    length += strlen("\r\ncontent-length: ");
    int64_t size = 0;
    must(text_parse_int64((struct bytes){(const uint8_t *)length, strcspn(length, "\r")}, 0, 2048, &size),
         "its length");
    return (size_t)(end + 4 - c->answer) + (size_t)size;
}

static void receive(struct load *l, int index)
{
    struct connection *c = &l->connections[index];
    ssize_t n = read(c->fd, c->answer + c->received, sizeof c->answer - 1 - c->received);
    if (n <= 0 && !c->busy) { /* idle for too long */
        close(c->fd);
        open_connection(l, index);
        return;
    }
    must(n > 0 && c->busy, "a connection was closed while its request was under way");
    c->received += (size_t)n;
    c->answer[c->received] = '\0';
    size_t whole = answer_size(c);
    if (whole == 0 || c->received < whole) return;
    int64_t status = 0;
    text_parse_int64((struct bytes){(const uint8_t *)c->answer + strlen("HTTP/1.1 "), 3}, 0, 999, &status);
    must(status > 0 && status < STATUS_MAX, "an answer without a status");
    l->statuses[status]++;
    l->samples[l->sample_count++] =
        (struct sample){(c->due_us - l->start_us) / 1000000, clock_monotonic_us() - c->due_us};
    c->busy = false;
    l->busy_count--;
    l->idle[l->idle_count++] = index;
}

static void serve_events(struct load *l, int64_t until_us)
{
    struct epoll_event events[64];
    int64_t wait_us = until_us - clock_monotonic_us();
    struct timespec wait = {.tv_sec = wait_us > 0 ? wait_us / 1000000 : 0,
                            .tv_nsec = wait_us > 0 ? wait_us % 1000000 * 1000 : 0};
    int count = epoll_pwait2(l->epoll_fd, events, 64, &wait, NULL);
    must(count >= 0 || errno == EINTR, "epoll_wait");
    for (int i = 0; i < count; i++)
        receive(l, (int)events[i].data.u32);
}

static void run(struct load *l, int64_t rate, int64_t total)
{
    int64_t next = 0;
    l->start_us = clock_monotonic_us() + 10000;
    while (next < total) {
        int64_t due_us = l->start_us + next * 1000000 / rate, now_us = clock_monotonic_us();
        if (l->shed && l->idle_count == 0 && now_us >= due_us) {
            l->shed_count++;
            if (next++ % 64 == 0) serve_events(l, now_us);
            continue;
        }
        if (now_us < due_us || l->idle_count == 0) {
            serve_events(l, l->idle_count == 0 ? clock_monotonic_us() + 1000000 : due_us);
            continue;
        }
        send_one(l, due_us);
        next++;
    }
    int64_t end_us = clock_monotonic_us() + LATE_ANSWER_S * 1000000;
    while (l->busy_count > 0 && clock_monotonic_us() < end_us)
        serve_events(l, end_us);
}

static int by_latency(const void *a, const void *b)
{
    int64_t x = ((const struct sample *)a)->latency_us, y = ((const struct sample *)b)->latency_us;
    return (x > y) - (x < y);
}

static int by_second(const void *a, const void *b)
{
    int64_t x = ((const struct sample *)a)->second, y = ((const struct sample *)b)->second;
    return x == y ? by_latency(a, b) : (x > y) - (x < y);
}

static void write_statuses(struct load *l, struct json_writer *w)
{
    json_write_object(w, "statuses");
    for (int status = 0; status < STATUS_MAX; status++) {
        char name[16];
        snprintf(name, sizeof name, "%d", status);
        if (l->statuses[status] > 0) json_write_int(w, name, l->statuses[status]);
    }
    json_write_object_end(w);
}

/* The 99th percentile of each second's requests; seconds without an answer are left out. */
static void write_seconds(struct load *l, struct json_writer *w)
{
    qsort(l->samples, l->sample_count, sizeof *l->samples, by_second);
    json_write_object(w, "p99_us_by_second");
    for (size_t begin = 0, end; begin < l->sample_count; begin = end) {
        char name[24];
        int64_t second = l->samples[begin].second;
        for (end = begin; end < l->sample_count && l->samples[end].second == second;)
            end++;
        snprintf(name, sizeof name, "%lld", (long long)second);
        json_write_int(w, name, l->samples[begin + (end - begin) * 99 / 100].latency_us);
    }
    json_write_object_end(w);
}

static int64_t others(const struct load *l)
{
    return (int64_t)l->sample_count - l->statuses[202];
}

static void print(struct load *l)
{
    struct buffer out;
    struct json_writer w;
    must(l->sample_count > 0, "no answers");
    buffer_init(&out, 65536);
    json_writer_init(&w, &out);
    json_write_object(&w, NULL);
    json_write_int(&w, "sent", l->sent);
    json_write_int(&w, "accepted", l->statuses[202]);
    json_write_int(&w, "other_status", others(l));
    write_statuses(l, &w);
    json_write_int(&w, "unanswered", l->busy_count);
    json_write_int(&w, "shed", l->shed_count);
    write_seconds(l, &w);
    qsort(l->samples, l->sample_count, sizeof *l->samples, by_latency);
    json_write_int(&w, "p50_us", l->samples[l->sample_count / 2].latency_us);
    json_write_int(&w, "p99_us", l->samples[l->sample_count * 99 / 100].latency_us);
    json_write_int(&w, "max_us", l->samples[l->sample_count - 1].latency_us);
    json_write_object_end(&w);
    puts(buffer_cstr(&out));
    buffer_close(&out);
}

int main(int argc, char **argv)
{
    static struct load l;
    must(argc == 6 || (argc == 7 && strcmp(argv[6], "shed") == 0),
         "usage: paced_load PORT CONNECTIONS RATE SECONDS SEED [shed] < requests");
    l.shed = argc == 7;
    int64_t connections = number(argv[2], CONNECTIONS_MAX);
    int64_t rate = number(argv[3], 100000), total = rate * number(argv[4], SECONDS_MAX);
    l.port = number(argv[1], 65535);
    l.seed = number(argv[5], INT32_MAX);
    /* Timers of 50 us slack would be a part of every latency. */
    prctl(PR_SET_TIMERSLACK, 1000UL, 0, 0, 0);
    read_requests(&l);
    l.samples = calloc((size_t)total, sizeof *l.samples);
    l.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    must(l.samples && l.epoll_fd >= 0, "no memory or no epoll");
    for (int i = 0; i < connections; i++) {
        open_connection(&l, i);
        l.idle[l.idle_count++] = i;
    }
    run(&l, rate, total);
    print(&l);
    free(l.samples);
    return others(&l) > 0 || l.busy_count > 0;
}

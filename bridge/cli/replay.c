/* replay.c: `drawbridge replay`: writes events of the topic once more, as new workflows that name the old ones.
 * SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"
#include "clock.h"
#include "json.h"
#include "kafka_writer.h"
#include "text.h"
#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

enum { READ_TIMEOUT_MS = 30000, FLUSH_MS = 60000, ASK_ABOVE = 100 };

struct replay_settings {
    const char *agent, *to_agent, *replay_id, *offsets;
    int64_t since_us, until_us;
    double rate;
    bool dry_run, yes;
};

#define FIELD(f) .offset = offsetof(struct replay_settings, f)
static const struct cli_option options[] = {
    {.name = "agent",
     .letter = 'a',
     .kind = CLI_TEXT,
     FIELD(agent),
     .argument = "ID",
     .help = "only events of this agent"},
    {.name = "since",
     .kind = CLI_MOMENT,
     FIELD(since_us),
     .argument = "TIME",
     .help = "only events written then or later: RFC 3339, or how long ago (2h)"},
    {.name = "until",
     .kind = CLI_MOMENT,
     FIELD(until_us),
     .argument = "TIME",
     .help = "only events written before; now if not given"},
    {.name = "offsets",
     .kind = CLI_TEXT,
     FIELD(offsets),
     .argument = "P:FROM-TO",
     .help = "only this partition and these offsets, both ends included"},
    {.name = "to-agent",
     .kind = CLI_TEXT,
     FIELD(to_agent),
     .argument = "ID",
     .help = "give the events to this agent instead"},
    {.name = "replay-id",
     .kind = CLI_TEXT,
     FIELD(replay_id),
     .argument = "NAME",
     .help = "name of this replay; the same name twice starts nothing twice (within the dedupe window); a fresh one if "
             "not given"},
    {.name = "rate",
     .letter = 'r',
     .kind = CLI_NUMBER,
     FIELD(rate),
     .argument = "R",
     .default_text = "0",
     .min = 0,
     .max = 1000000,
     .help = "events per second; 0: as fast as it goes"},
    {.name = "dry-run",
     .letter = 'n',
     .kind = CLI_FLAG,
     FIELD(dry_run),
     .help = "show what would be written, write nothing"},
    {.name = "yes",
     .letter = 'y',
     .kind = CLI_FLAG,
     FIELD(yes),
     .help = "do not ask, however many events there are (without a terminal it never asks)"},
};

struct replay {
    const struct replay_settings *settings;
    const struct cli_kafka *kafka;
    struct replay_range range; /* partition -1: all */
    char replay_id[TEXT_UUID_SIZE];
    int64_t started_us, pass_started_us; /* wall clock; monotonic */
    struct kafka_writer *writer;         /* NULL: only count or show */
    bool quiet;
    int64_t selected, skipped;
};

static bool selects(const struct replay *r, const struct record *record, const struct reader_position *at)
{
    const struct replay_settings *s = r->settings;
    if (s->agent != NULL && !bytes_are(record->key, s->agent)) return false;
    if (r->range.partition >= 0 && (at->offset < r->range.from || at->offset > r->range.to)) return false;
    if (s->since_us > 0 && at->timestamp_ms < s->since_us / 1000) return false;
    /* never what was written after our start: that may be our own */
    const int64_t until_us = s->until_us > 0 && s->until_us < r->started_us ? s->until_us : r->started_us;
    return at->timestamp_ms <= until_us / 1000 && !replay_wrote(record, r->replay_id);
}

static bool show(const struct replayed *replayed, const struct record *old, const struct reader_position *at, bool dry)
{
    struct buffer line;
    buffer_init(&line, 8192);
    struct json_writer w;
    json_writer_init(&w, &line);
    json_write_object(&w, NULL);
    json_write_text(&w, "agent_id", replayed->record.key);
    json_write_cstr(&w, "workflow_id", replayed->workflow_id);
    json_write_text(&w, "old_workflow_id", record_header(old, "ce_workflowid"));
    json_write_text(&w, "event_id", record_header(old, "ce_id"));
    json_write_text(&w, "type", record_header(old, "ce_type"));
    json_write_int(&w, "partition", at->partition);
    json_write_int(&w, "offset", at->offset);
    json_write_bool(&w, "dry_run", dry);
    json_write_object_end(&w);
    const bool read = talk_line(buffer_view(&line));
    buffer_close(&line);
    return read;
}

static void pace(const struct replay *r)
{
    if (r->writer == NULL || r->settings->rate <= 0) return;
    const int64_t due_us = r->pass_started_us + (int64_t)((double)r->selected * 1e6 / r->settings->rate);
    const int64_t wait_us = due_us - clock_monotonic_us();
    if (wait_us > 0) nanosleep(&(struct timespec){wait_us / 1000000, wait_us % 1000000 * 1000}, NULL);
}

static bool replay_one(struct replay *r, const struct record *record, const struct reader_position *at,
                       struct error *error)
{
    if (!selects(r, record, at)) return true;
    struct replayed replayed = {0};
    struct error bad;
    const struct replay_order order = {.replay_id = r->replay_id,
                                       .to_agent = r->settings->to_agent,
                                       .partition = at->partition,
                                       .offset = at->offset,
                                       .now_us = clock_wall_us()};
    bool good = true;
    if (!replay_make(record, &order, &replayed, &bad)) {
        r->skipped++;
        if (!r->quiet) talk("partition %d offset %" PRId64 " left out: %s", at->partition, at->offset, bad.text);
    } else {
        pace(r);
        r->selected++;
        if (r->writer != NULL)
            good = kafka_writer_send(r->writer, r->kafka->topics.name[TOPIC_EVENTS], &replayed.record, error);
        if (good && !r->quiet && !show(&replayed, record, at, r->writer == NULL))
            good = error_set(error, ERROR_IO, "nobody reads the output any more: stopped after %" PRId64 " events",
                             r->selected);
    }
    replayed_close(&replayed);
    return good;
}

/* One pass over the topic up to what is its end now. */
static bool replay_pass(struct replay *r, struct error *error)
{
    const struct replay_settings *s = r->settings;
    r->selected = r->skipped = 0;
    r->pass_started_us = clock_monotonic_us();
    const enum kafka_from from = r->range.partition >= 0 ? KAFKA_FROM_OFFSET
                                 : s->since_us > 0       ? KAFKA_FROM_TIME
                                                         : KAFKA_FROM_BEGINNING;
    struct kafka_reader *reader =
        kafka_reader_new(&r->kafka->settings, r->kafka->topics.name[TOPIC_EVENTS], r->range.partition, from,
                         from == KAFKA_FROM_OFFSET ? r->range.from : s->since_us / 1000, error);
    bool good = reader != NULL;
    for (bool over = false; good && !over;) {
        struct record record;
        struct reader_position at;
        switch (kafka_reader_next(reader, READ_TIMEOUT_MS, &record, &at, error)) {
        case READER_RECORD:
            over = r->range.partition >= 0 && at.offset > r->range.to;
            good = over || replay_one(r, &record, &at, error);
            break;
        case READER_END: over = true; break;
        case READER_IDLE: good = error_set(error, ERROR_UNAVAILABLE, "Kafka sent nothing for 30 s"); break;
        case READER_FAILED: good = false; break;
        }
    }
    kafka_reader_free(reader);
    return good;
}

/* Asks only a person, and only about many events. */
static bool confirmed(struct replay *r, struct error *error)
{
    if (r->settings->yes || r->settings->dry_run || !isatty(STDIN_FILENO) || !isatty(STDERR_FILENO)) return true;
    r->quiet = true;
    if (!replay_pass(r, error)) return false;
    r->quiet = false;
    if (r->selected <= ASK_ABOVE) return true;
    fprintf(stderr, "drawbridge: replay %" PRId64 " events as new runs? [y/N] ", r->selected);
    fflush(stderr);
    const int answer = getchar();
    if (answer == 'y' || answer == 'Y') return true;
    return error_set(error, ERROR_INVALID, "nothing was replayed");
}

static bool settings_check(const struct replay_settings *s, struct replay *r, struct error *error)
{
    r->range.partition = -1;
    if (s->offsets != NULL && !replay_range_parse(s->offsets, &r->range))
        return error_set(error, ERROR_INVALID, "--offsets '%.60s' is not of the form P:FROM-TO", s->offsets);
    if (s->to_agent != NULL && !text_is_agent_id(bytes_of(s->to_agent)))
        return error_set(error, ERROR_INVALID, "--to-agent is not an agent id");
    if (s->replay_id != NULL) {
        if (!text_is_agent_id(bytes_of(s->replay_id)) || strlen(s->replay_id) >= sizeof r->replay_id)
            return error_set(error, ERROR_INVALID, "--replay-id takes up to 36 letters, digits and . _ ~ -");
        snprintf(r->replay_id, sizeof r->replay_id, "%s", s->replay_id);
        return true;
    }
    uint8_t random[10];
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
        return error_set_errno(error, errno, "get random bytes");
    text_uuid7(r->started_us, random, r->replay_id);
    return true;
}

static bool replay_all(struct replay *r, struct error *error)
{
    if (!confirmed(r, error)) return false;
    if (!r->settings->dry_run) r->writer = kafka_writer_new(&r->kafka->settings, error);
    if (!r->settings->dry_run && r->writer == NULL) return false;
    if (!r->settings->dry_run) talk("replay id %s", r->replay_id);
    bool good = replay_pass(r, error);
    if (r->writer != NULL) {
        struct error scratch;
        good = kafka_writer_flush(r->writer, FLUSH_MS, good ? error : &scratch) && good;
    }
    if (r->writer == NULL)
        talk("%" PRId64 " events would be replayed, %" PRId64 " left out", r->selected, r->skipped);
    else
        talk("%" PRId64 " events replayed, %" PRId64 " left out; to go on after a failure: --replay-id %s",
             kafka_writer_confirmed(r->writer), r->skipped, r->replay_id);
    kafka_writer_free(r->writer);
    return good;
}

static enum cli_exit replay_run(struct cli *cli, void *settings)
{
    struct error error = {0};
    struct cli_kafka kafka = {0};
    struct replay r = {.settings = settings, .kafka = &kafka, .started_us = clock_wall_us()};
    const bool good = settings_check(settings, &r, &error) && connect_load(&cli->connection, &kafka, &error) &&
                      replay_all(&r, &error);
    connect_close(&kafka);
    return good ? CLI_OK : talk_error(&error);
}

const struct cli_command replay_command = {
    .name = "replay",
    .operands = "",
    .summary = "run past events once more",
    .details = "Events are written to the topic again, byte for byte, as new workflows that name the old ones in the\n"
               "header drawbridge-replay. The workflow ids follow from the replay id: a replay that broke off is\n"
               "finished by the same command with the same --replay-id. One JSON object per event goes to stdout.",
    .examples = "  drawbridge replay --brokers localhost:9092 --agent triage --since 2h --dry-run\n"
                "  drawbridge replay -c /etc/drawbridge/runner.cfg --offsets 3:120-180 --to-agent triage-next\n"
                "  drawbridge replay -b localhost:9092 --since 2026-11-23T08:00:00Z --until 2026-11-23T09:00:00Z \\\n"
                "      --rate 20 --replay-id incident-7",
    .options = options,
    .option_count = sizeof options / sizeof options[0],
    .settings_size = sizeof(struct replay_settings),
    .connects = true,
    .run = replay_run,
};

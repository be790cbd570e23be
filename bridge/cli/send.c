/* send.c: `drawbridge send`: signs and posts a file or stdin as a provider would, or makes load.
 * SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"
#include "clock.h"
#include "text.h"
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

struct send_settings {
    const char *url, *listen, *prefix, *agent, *scheme, *secret, *event, *delivery, *content_type, *log, *run;
    int64_t count, agents, parallel, body_size, timeout_ms, give_up_ms;
    double rate, resend;
};

#define FIELD(f) .offset = offsetof(struct send_settings, f)
static const struct cli_option options[] = {
    {.name = "secret",
     .letter = 's',
     .kind = CLI_TEXT,
     FIELD(secret),
     .argument = "env:NAME|file:PATH",
     .help = "the trigger's secret"},
    {.name = "agent",
     .letter = 'a',
     .kind = CLI_TEXT,
     FIELD(agent),
     .argument = "ID",
     .default_text = "hello",
     .help = "the agent to start"},
    {.name = "listen",
     .letter = 'l',
     .kind = CLI_TEXT,
     FIELD(listen),
     .argument = "ADDRESS:PORT",
     .default_text = "127.0.0.1:8080",
     .help = "where the ingress listens"},
    {.name = "prefix",
     .kind = CLI_TEXT,
     FIELD(prefix),
     .argument = "PATH",
     .default_text = "/api/v1/agents",
     .help = "the ingress's http.prefix"},
    {.name = "url",
     .letter = 'u',
     .kind = CLI_TEXT,
     FIELD(url),
     .argument = "URL",
     .help = "the whole URL in place of --listen and --prefix; {agent} stands for the agent"},
    {.name = "scheme",
     .kind = CLI_TEXT,
     FIELD(scheme),
     .argument = "NAME",
     .default_text = "github",
     .help = "sign as this provider does"},
    {.name = "event",
     .letter = 'e',
     .kind = CLI_TEXT,
     FIELD(event),
     .argument = "NAME",
     .default_text = "push",
     .help = "the provider's name of the event"},
    {.name = "delivery",
     .letter = 'd',
     .kind = CLI_TEXT,
     FIELD(delivery),
     .argument = "ID",
     .help = "the delivery id; a fresh one if not given"},
    {.name = "content-type",
     .kind = CLI_TEXT,
     FIELD(content_type),
     .argument = "TYPE",
     .default_text = "application/json",
     .help = "of the body"},
    {.name = "timeout",
     .kind = CLI_DURATION,
     FIELD(timeout_ms),
     .argument = "TIME",
     .default_text = "15s",
     .min = 1,
     .max = 3600000,
     .help = "how long to wait for one answer"},
    {.name = "give-up-after",
     .kind = CLI_DURATION,
     FIELD(give_up_ms),
     .argument = "TIME",
     .default_text = "30s",
     .min = 0,
     .max = 86400000,
     .help = "what gets no answer, 429 or 503 is sent again, with the same id, for this long"},
    {.name = "count",
     .letter = 'n',
     .kind = CLI_INT,
     FIELD(count),
     .argument = "N",
     .default_text = "1",
     .min = 1,
     .max = 100000000,
     .help = "make load: this many generated deliveries in all"},
    {.name = "rate",
     .letter = 'r',
     .kind = CLI_NUMBER,
     FIELD(rate),
     .argument = "R",
     .default_text = "0",
     .min = 0,
     .max = 1000000,
     .help = "load: new deliveries per second in all; 0: as fast as it goes"},
    {.name = "agents",
     .kind = CLI_INT,
     FIELD(agents),
     .argument = "K",
     .default_text = "1",
     .min = 1,
     .max = 100000,
     .help = "load: spread over K agents, named ID-1 to ID-K"},
    {.name = "parallel",
     .letter = 'p',
     .kind = CLI_INT,
     FIELD(parallel),
     .argument = "P",
     .default_text = "32",
     .min = 1,
     .max = 1000,
     .help = "load: at most this many requests at once"},
    {.name = "size",
     .kind = CLI_SIZE,
     FIELD(body_size),
     .argument = "BYTES",
     .default_text = "256",
     .min = 1,
     .max = CLI_BODY_MAX,
     .help = "load: pad each body to this size"},
    {.name = "resend",
     .kind = CLI_NUMBER,
     FIELD(resend),
     .argument = "SHARE",
     .default_text = "0",
     .min = 0,
     .max = 1,
     .help = "load: send this share of the accepted deliveries once more, with the same id"},
    {.name = "run",
     .kind = CLI_TEXT,
     FIELD(run),
     .argument = "NAME",
     .help = "load: name of this run; the same name makes the same delivery ids and bodies"},
    {.name = "log",
     .kind = CLI_TEXT,
     FIELD(log),
     .argument = "FILE",
     .help = "load: append one JSON line per accepted delivery, on disk before it counts"},
};

static bool fresh_id(char out[TEXT_UUID_SIZE], struct error *error)
{
    uint8_t random[10];
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
        return error_set_errno(error, errno, "get random bytes");
    text_uuid7(clock_wall_us(), random, out);
    return true;
}

/* Sends one delivery until it is decided or the time is up; shipment holds the last answer. */
static bool send_until_decided(struct sender *sender, struct shipment *shipment, int64_t give_up_ms,
                               struct error *error)
{
    const int64_t give_up_at_ms = clock_monotonic_ms() + give_up_ms;
    for (int attempt = 0;; attempt++) {
        if (!sender_start(sender, shipment, error)) return false;
        while (sender_next(sender, 1000) == NULL)
            continue;
        const int64_t backoff_ms = 100LL << (attempt < 5 ? attempt : 5);
        if (shipment->verdict != DELIVERY_AGAIN || clock_monotonic_ms() + backoff_ms > give_up_at_ms) return true;
        talk("%s; trying again", shipment->exchange.status == 0 ? shipment->exchange.error.text : "not now");
        shipment_close(shipment);
        usleep((useconds_t)backoff_ms * 1000);
    }
}

static enum cli_exit send_one(const struct send_settings *s, const char *url_pattern, const char *path,
                              struct sender *sender)
{
    static const enum cli_exit exits[] = {[DELIVERY_ACCEPTED] = CLI_OK,
                                          [DELIVERY_IGNORED] = CLI_NO,
                                          [DELIVERY_AGAIN] = CLI_UNAVAILABLE,
                                          [DELIVERY_REFUSED] = CLI_NO};
    struct error error = {0};
    struct buffer body, url;
    buffer_init(&body, CLI_BODY_MAX);
    buffer_init(&url, 4096);
    delivery_url(url_pattern, s->agent, &url);
    char id[TEXT_UUID_SIZE] = "";
    struct shipment shipment = {.url = buffer_cstr(&url), .id = s->delivery != NULL ? s->delivery : id};
    bool good = fresh_id(id, &error) && body_read(path, &body, &error);
    shipment.body = buffer_view(&body);
    good = good && send_until_decided(sender, &shipment, s->give_up_ms, &error);
    enum cli_exit code = CLI_FAILURE;
    if (good) {
        code = exits[shipment.verdict];
        talk("%s: status %d, delivery %s, %zu bytes, %.1f ms", code == CLI_OK ? "accepted" : "not accepted",
             shipment.exchange.status, shipment.id, body.size, (double)shipment.exchange.duration_us / 1000);
        if (shipment.exchange.status == 0)
            talk("%s", shipment.exchange.error.text);
        else
            talk_line(buffer_view(&shipment.exchange.answer));
    } else {
        code = talk_error(&error);
    }
    shipment_close(&shipment);
    buffer_close(&body);
    buffer_close(&url);
    return code;
}

static enum cli_exit send_load(const struct send_settings *s, const char *url_pattern, struct sender *sender)
{
    char run[TEXT_UUID_SIZE] = "";
    struct error error = {0};
    if (s->run == NULL && !fresh_id(run, &error)) return talk_error(&error);
    const struct load_settings load = {
        .lanes = {.count = s->count,
                  .agents = s->agents,
                  .parallel = s->parallel,
                  .rate = s->rate,
                  .resend = s->resend,
                  .give_up_us = s->give_up_ms * 1000},
        .url_pattern = url_pattern,
        .agent = s->agent,
        .run = s->run != NULL ? s->run : run,
        .log_path = s->log,
        .body_size = s->body_size,
    };
    return load_run(&load, sender);
}

static bool send_check(const struct cli *cli, const struct send_settings *s, bool load, struct error *error)
{
    if (s->secret == NULL) return error_set(error, ERROR_INVALID, "--secret env:NAME or --secret file:PATH is needed");
    if (!text_is_agent_id(bytes_of(s->agent))) return error_set(error, ERROR_INVALID, "--agent is not an agent id");
    if (s->run != NULL && !text_is_agent_id(bytes_of(s->run)))
        return error_set(error, ERROR_INVALID, "--run takes letters, digits and . _ ~ -");
    if (load && (cli->operand_count > 0 || s->delivery != NULL))
        return error_set(error, ERROR_INVALID, "load makes its own bodies and ids: no FILE and no --delivery with it");
    if (s->agents > 1 && s->url != NULL && strstr(s->url, "{agent}") == NULL)
        return error_set(error, ERROR_INVALID, "--url needs {agent} in it when there are several agents");
    return true;
}

static enum cli_exit send_run(struct cli *cli, void *settings)
{
    const struct send_settings *s = settings;
    const bool load = s->count > 1 || s->log != NULL || s->agents > 1;
    struct error error = {0};
    if (!send_check(cli, s, load, &error)) return talk_error(&error);
    const struct sender_settings sender_settings = {
        .scheme = s->scheme,
        .secret = s->secret,
        .event = s->event,
        .content_type = s->content_type,
        .timeout_ms = s->timeout_ms,
        .parallel = load ? (int)s->parallel : 1,
    };
    struct sender *sender = sender_new(&sender_settings, &error);
    if (sender == NULL) return talk_error(&error);
    struct buffer pattern;
    buffer_init(&pattern, 4096);
    if (s->url != NULL)
        buffer_text(&pattern, s->url);
    else
        buffer_format(&pattern, "http://%s%s/{agent}/webhook", s->listen, s->prefix);
    const enum cli_exit code =
        load ? send_load(s, buffer_cstr(&pattern), sender)
             : send_one(s, buffer_cstr(&pattern), cli->operand_count > 0 ? cli->operands[0] : NULL, sender);
    buffer_close(&pattern);
    sender_free(sender);
    return code;
}

const struct cli_command send_command = {
    .name = "send",
    .operands = "[FILE]",
    .summary = "sign and post a delivery as a provider would; or make load",
    .details = "Without --count one delivery is sent, its body from FILE or stdin; the answer's body goes to stdout.\n"
               "With --count it is a small load generator: deliveries of one agent go one after the other (the next\n"
               "only when the last was answered), agents in parallel; one JSON object with the totals goes to stdout.\n"
               "Exit code 0 means: everything was accepted.",
    .examples =
        "  drawbridge send --secret env:HOOK_SECRET --agent hello push.json\n"
        "  echo '{\"zen\":\"Design for failure.\"}' | drawbridge send -s file:/run/secrets/hook -e ping\n"
        "  drawbridge send -s env:HOOK_SECRET --agent load --agents 50 --count 3000 --rate 200 --resend 0.1 \\\n"
        "      --log accepted.jsonl",
    .options = options,
    .option_count = sizeof options / sizeof options[0],
    .settings_size = sizeof(struct send_settings),
    .operands_max = 1,
    .run = send_run,
};

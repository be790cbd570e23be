/* cli.h: the vocabulary of the tool `drawbridge`, grouped by file.  One thread; stdout is data, stderr is talk.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "buffer.h"
#include "error.h"
#include "http_client.h"
#include "kafka.h"
#include "record.h"
#include "scheme.h"
#include "secret.h"
#include <stdio.h>
#include <sys/types.h>

/* ---- main.c: sub-commands and exit codes as tables ---- */

/* Every sub-command ends with one of these; main.c holds their one-line texts for --help. */
enum cli_exit {
    CLI_OK = 0,
    CLI_NO = 1,    /* the work was done and the answer is no: refused delivery, failed run, drift, bad configuration */
    CLI_USAGE = 2, /* the command line is wrong */
    CLI_UNAVAILABLE = 3, /* Kafka or the ingress did not answer, or a deadline passed */
    CLI_FAILURE = 4,     /* the operating system or a library failed */
};

struct cli;
struct cli_option;

struct cli_command {
    const char *name, *operands, *summary;
    const char *details;  /* paragraphs for --help, or NULL */
    const char *examples; /* one a line */
    const struct cli_option *options;
    size_t option_count;
    size_t settings_size; /* of the struct that the options fill */
    size_t operands_max;
    bool connects;      /* takes the connection options of connect.c too */
    bool takes_request; /* takes those of request.c too */
    enum cli_exit (*run)(struct cli *cli, void *settings);
};
extern const struct cli_command dev_command, send_command, results_command, replay_command, topics_command,
    check_command, verify_command, sign_command, trigger_command;

/* ---- options.c: options are declared once: parsing, ranges and --help come from the table ---- */

enum cli_kind {
    CLI_FLAG,     /* bool */
    CLI_TEXT,     /* const char *, NULL unless given or defaulted */
    CLI_INT,      /* int64_t within [min, max] */
    CLI_NUMBER,   /* double within [min, max] */
    CLI_SIZE,     /* int64_t bytes, "64KiB" */
    CLI_DURATION, /* int64_t milliseconds, "30s" */
    CLI_MOMENT,   /* int64_t wall microseconds: RFC 3339, or a duration: that long ago; 0 unless given */
    CLI_CHOICE,   /* int: index into "a|b|c" */
    CLI_LIST,     /* struct cli_list: may be given several times */
};

enum { CLI_LIST_MAX = 64 };
struct cli_list {
    const char *items[CLI_LIST_MAX];
    size_t count;
};

struct cli_option {
    const char *name;
    char letter; /* 0: none */
    enum cli_kind kind;
    size_t offset;
    const char *argument;     /* its name in --help; NULL for a flag */
    const char *default_text; /* read by the same parser as the user's */
    int64_t min, max;         /* CLI_INT, CLI_NUMBER, CLI_SIZE, CLI_DURATION; both 0: no range */
    const char *choices;
    const char *help;
};

/* A table and the struct that its offsets point into. */
struct cli_option_set {
    const struct cli_option *options;
    size_t count;
    void *base;
};

enum cli_parsed { CLI_PARSED, CLI_PARSED_HELP, CLI_PARSED_WRONG };
/* Applies defaults, then argv[1..]; operands are moved to argv[*first_operand..].  Texts stay views of argv.
 * CLI_PARSED_WRONG: see error. */
enum cli_parsed options_parse(const struct cli_option_set *sets, size_t set_count, int64_t now_us, int argc,
                              char **argv, int *first_operand, struct error *error);
void options_print(FILE *out, const struct cli_option *options, size_t count);

/* ---- connect.c: which Kafka, and what the topics are called there ---- */

struct cli_connection {
    const char *brokers, *config;
    struct cli_list properties;
};
extern const struct cli_option connect_options[];
extern const size_t connect_option_count;

struct cli_kafka {
    struct kafka_settings settings;
    struct kafka_topic_names topics;
    char *trigger_topic, *key_file, *public_url, *prefix; /* of an ingress's configuration, else their defaults */
};
/* From --config's kafka and topics groups, then --brokers and -X on top.  Close with connect_close in any case. */
bool connect_load(const struct cli_connection *connection, struct cli_kafka *out, struct error *error);
void connect_close(struct cli_kafka *kafka);
/* The bootstrap servers as configured, or "". */
const char *connect_brokers(const struct cli_kafka *kafka);

/* What a request is besides its body; the options of request.c. */
struct cli_request {
    const char *scheme, *url, *method, *now, *schemes;
    struct cli_list headers;
};
extern const struct cli_option request_options[];
extern const size_t request_option_count;

struct cli {
    const struct cli_command *command;
    struct cli_connection connection;
    struct cli_request request;
    char **operands;
    size_t operand_count;
};

/* ---- talk.c: what goes to stderr, and how data goes to stdout ---- */

/* "drawbridge: <sentence>" on stderr. */
void talk(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* talk() of an error, and the exit code that belongs to its class. */
enum cli_exit talk_error(const struct error *error);
/* One line of data and a flush; false when nobody reads any more. */
bool talk_line(struct bytes line);
/* Appends text that others wrote, at most `columns` characters, with control bytes and bad UTF-8 made harmless, so that
 * it can neither move the cursor nor break the line. */
void talk_safe(struct buffer *out, struct bytes text, size_t columns);

/* ---- delivery.c: one delivery as a provider would make it, and what its answer means; pure ---- */

/* How a provider presents itself. */
const char *delivery_user_agent(const char *scheme);

enum { DELIVERY_ID_SIZE = 37, DELIVERY_HEADERS_MAX = 16 };
/* The id of a generated delivery: always the same for the same run, agent and sequence, in the form of a UUID (RFC
 * 9562, version 8). */
void delivery_id(const char *run, const char *agent, int64_t sequence, char out[DELIVERY_ID_SIZE]);
/* The body of a generated delivery: a JSON object that names run, agent_id and sequence, padded to body_size. */
void delivery_body(const char *run, const char *agent, int64_t sequence, int64_t body_size, struct buffer *out);
/* `pattern` with every "{agent}" replaced. */
void delivery_url(const char *pattern, const char *agent, struct buffer *out);

enum delivery_verdict {
    DELIVERY_ACCEPTED, /* 2xx with a workflow_id: the event is in Kafka */
    DELIVERY_IGNORED,  /* 2xx that says so: filtered out, nothing was published */
    DELIVERY_AGAIN,    /* no answer, 429 or 503: send it again, with the same id */
    DELIVERY_REFUSED,  /* anything else: sending it again would not help */
};
/* Judges an answer; workflow_id (room for RECORD_WORKFLOW_ID_SIZE) is "" unless accepted. */
enum delivery_verdict delivery_judge(int status, struct bytes answer, char *workflow_id);

/* ---- lanes.c: who sends next: one lane per agent, in order within a lane, lanes in parallel; pure ---- */

struct lanes_settings {
    int64_t count, agents, parallel; /* deliveries in all, lanes, requests in flight at once */
    double rate;                     /* new deliveries per second, all lanes together; 0: as fast as it goes */
    double resend;                   /* share of accepted deliveries that is sent once more with the same id */
    int64_t give_up_us;              /* since the first try of a delivery */
};
struct lanes_totals {
    int64_t accepted, repeated, refused, gave_up, retries; /* repeated: second copies that were accepted */
};
struct lanes;
/* NULL without memory.  The lanes have 0..agents-1 as numbers. */
struct lanes *lanes_new(struct lanes_settings settings, int64_t now_us);
void lanes_free(struct lanes *l);

struct lanes_turn {
    size_t lane;
    int64_t sequence; /* 1, 2, ... in each lane */
    int copy;         /* 1, or 2 for a delivery that is sent once more */
};
enum lanes_next { LANES_SEND, LANES_WAIT, LANES_FINISHED };
/* LANES_SEND: send *turn now and tell lanes_answered; LANES_WAIT: nothing before *due_us or the next answer. */
enum lanes_next lanes_next(struct lanes *l, int64_t now_us, struct lanes_turn *turn, int64_t *due_us);
/* The answer of the delivery in flight in that lane. */
void lanes_answered(struct lanes *l, size_t lane, enum delivery_verdict verdict, int64_t now_us);
struct lanes_totals lanes_totals(const struct lanes *l);

/* ---- request.c: a request as the command line or a vector gives it ---- */

enum { CLI_HEADERS_MAX = 64, CLI_BODY_MAX = 64 << 20 };
struct cli_headers {
    struct bytes names[CLI_HEADERS_MAX], values[CLI_HEADERS_MAX]; /* views */
    size_t count;
};
/* False when there are too many. */
bool headers_add(struct cli_headers *h, struct bytes name, struct bytes value);
/* "Name: value", blanks around the value taken off as HTTP does. */
bool headers_add_line(struct cli_headers *h, struct bytes line, struct error *error);
/* The look-up of struct scheme_request; ctx is a struct cli_headers. */
size_t headers_find(void *ctx, const char *name, struct bytes *value);
/* The request as a scheme sees it; views of everything.  `url` may be NULL. */
struct scheme_request request_make(struct cli_headers *h, const char *method, const char *url);
/* The scheme that --scheme names; NULL if it names none. */
const struct scheme *request_scheme(const struct cli_request *request, const struct scheme_set *schemes,
                                    struct error *error);
/* The headers and the moment that the options give, or now. */
bool request_read(const struct cli_request *request, struct cli_headers *headers, int64_t *now_ms, struct error *error);
/* Appends a file, or stdin for NULL and "-". */
bool body_read(const char *path, struct buffer *out, struct error *error);
/* The built-in schemes and, if `path` is given, those of a file.  NULL with all problems told in `error`. */
struct scheme_set *schemes_open(const char *path, struct error *error);

/* ---- families.c: which scheme a sender's request is of, when only the sender is named ---- */

/* NULL if nobody knows the family. */
const struct scheme *family_scheme(const struct scheme_set *schemes, const char *family,
                                   const struct scheme_request *request);

/* ---- vectors.c: `verify --vectors` ---- */

struct json;
/* One line of the file; all but `line` and `own` are views of it. */
struct vector {
    struct json *line;
    struct cli_headers headers;
    struct scheme_request request; /* looks its headers up in this struct: don't move it */
    const char *id, *provider, *body;
    int64_t now_ms;
    bool good;          /* expected to be ok */
    struct scheme *own; /* a scheme with the vector's words over it */
};
/* Close it in any case. */
bool vector_read(struct vector *v, const char *line, struct error *error);
void vector_close(struct vector *v);
/* NULL if the sender is not known. */
const struct scheme *vector_scheme(struct vector *v, const struct scheme_set *schemes);
/* The vector's secrets, called secret-1 and so on. */
struct verifier *vector_verifier(const struct vector *v, const struct scheme *scheme, struct error *error);

/* Judges each line of the file and prints `<id> ok|bad [reason]`, then the sum. */
enum cli_exit vectors_run(const struct scheme_set *schemes, const char *path);

/* ---- sender.c: signs and posts ---- */

struct sender_settings {
    const char *scheme, *secret, *event, *content_type; /* secret: env: or file: */
    int64_t timeout_ms;
    int parallel;
};
struct sender;
struct sender *sender_new(const struct sender_settings *settings, struct error *error);
void sender_free(struct sender *s);

/* One delivery under way.  The caller fills the first part; body and url stay its own until the answer is there. */
struct shipment {
    const char *url, *id;
    struct bytes body;
    void *ctx;
    /* filled by the sender */
    enum delivery_verdict verdict;
    char workflow_id[RECORD_WORKFLOW_ID_SIZE];
    struct http_exchange exchange; /* status, answer and error until shipment_close */
    struct buffer header_lines, signed_body;
    const char *headers[DELIVERY_HEADERS_MAX + 1];
};
bool sender_start(struct sender *s, struct shipment *shipment, struct error *error);
/* The next shipment that was answered (or was not, in time); NULL if none within timeout_ms. */
struct shipment *sender_next(struct sender *s, int timeout_ms);
/* Shipments under way. */
int sender_busy(const struct sender *s);
void shipment_close(struct shipment *shipment);

/* ---- load.c: the small load generator behind `send --count` ---- */

struct load_settings {
    struct lanes_settings lanes;
    const char *url_pattern, *agent, *run, *log_path; /* log_path NULL: none */
    int64_t body_size;
};
enum cli_exit load_run(const struct load_settings *settings, struct sender *sender);

/* ---- topics.c ---- */

struct kafka_admin;
struct topics_plan {
    int partitions, replication; /* replication 0: three, or one if there are fewer brokers */
    int timeout_ms;
};
/* Creates those of the topics that do not exist; the others are left as they are. */
bool topics_make(struct kafka_admin *admin, const struct cli_kafka *kafka, const struct topics_plan *plan,
                 struct error *error);

/* ---- results.c ---- */

struct json;
struct results_filter {
    const char *agent_id, *workflow_id, *status; /* NULL: any */
};
bool results_match(const struct results_filter *filter, const struct json *result);
/* One row of the table: what others wrote in it can do no harm to a terminal. */
void results_row(const struct json *result, struct buffer *out);

/* ---- replayed.c: an event as a replay writes it again; pure ---- */

struct replay_range {
    int partition; /* -1: all */
    int64_t from, to;
};
/* "3:120-180". */
bool replay_range_parse(const char *text, struct replay_range *out);

struct replay_order {
    const char *replay_id, *to_agent; /* to_agent NULL: the same */
    int partition;                    /* where the event stands */
    int64_t offset, now_us;
};
struct replayed {
    struct record record; /* views the old record, the order and this struct */
    char workflow_id[RECORD_WORKFLOW_ID_SIZE], recorded_time[32];
    struct buffer replay_json;
    struct record_header headers[RECORD_HEADERS_MAX];
};
/* The same event as a new workflow: value byte for byte, new workflow_id and recordedtime, header drawbridge-replay.
 * The same order gives the same workflow_id.  False: the record is no event.  Close with replayed_close in any case. */
bool replay_make(const struct record *r, const struct replay_order *order, struct replayed *out, struct error *error);
void replayed_close(struct replayed *r);
/* True if this record was itself written by that replay. */
bool replay_wrote(const struct record *r, const char *replay_id);

/* ---- process.c: child processes that die with us ---- */

struct process {
    const char *name;
    pid_t pid;  /* 0: never started, or ended and reaped */
    int status; /* as of waitpid, once ended */
};
/* True when argv asks this program to be the launcher of a child; then process_launch ends by exec or exit. */
bool process_launch_asked(int argc, char **argv);
int process_launch(int argc, char **argv);
/* Starts argv in a process group of its own, stdin from /dev/null, stdout and stderr to output_fd, signals as at birth.
 * It gets SIGTERM when this process dies, however it dies (the launcher asks the kernel for that). */
bool process_start(struct process *p, const char *name, char *const *argv, char *const *environment, int output_fd,
                   struct error *error);
/* False once it has ended (and was reaped). */
bool process_alive(struct process *p);
/* TERM to the group, wait up to grace_ms, KILL.  Legal when it never started. */
void process_stop(struct process *p, int64_t grace_ms);
/* Waits for its end; false if it still runs after wait_ms. */
bool process_wait(struct process *p, int64_t wait_ms);
/* Path of a program that stands next to our own executable. */
bool process_sibling(const char *name, struct buffer *out, struct error *error);

/* ---- dev_setup.c: the private folder of `dev` with the generated configuration ---- */

/* schemas/examples/github-push.json and deploy/demo-agent.sh, embedded at build time. */
extern const struct bytes dev_push, dev_agent;

struct dev_setup {
    const struct cli_kafka *kafka;
    const char *listen, *agent;
    char *const *command;               /* NULL-terminated; empty: the demo agent */
    const char *secret;                 /* env: or file:, or NULL: one is made */
    const struct cli_list *environment; /* names of variables that the agent gets */
    int ingress_port, runner_port;      /* of the management listeners */
};
struct dev_folder {
    char path[256];
    char secret_reference[1024]; /* what the trigger and our own sender use */
    char made_secret[65];        /* hex, or "" when the user gave one */
};
/* Creates the folder (0700) and everything in it.  Remove it with dev_folder_remove in any case. */
bool dev_folder_make(const struct dev_setup *setup, struct dev_folder *folder, struct error *error);
void dev_folder_remove(struct dev_folder *folder);
/* A libconfig string literal. */
void dev_quote(struct bytes text, struct buffer *out);
/* A word for /bin/sh in single quotes. */
void dev_shell_quote(struct bytes text, struct buffer *out);
/* Shell lines that sign a small body and post it; a secret that the user gave stands in them by reference only. */
void dev_curl(const struct dev_folder *folder, const char *url, struct buffer *out);
/* "0.0.0.0:8080" -> "127.0.0.1:8080": where this machine reaches it. */
void dev_reachable(const char *listen, struct buffer *out);

/* ---- dev_daemons.c: the two daemons as children ---- */

enum { DEV_INGRESS, DEV_RUNNER, DEV_DAEMONS };
struct dev_daemon {
    struct process process;
    int log_fd;
    int port; /* of its management listener */
    bool ready;
    char missing[256]; /* what it last said it waits for */
};
struct dev_daemons {
    struct dev_daemon daemon[DEV_DAEMONS];
    int64_t started_ms;
};
/* Starts both; what they log goes to ingress.log and runner.log in the folder, or to stderr if verbose.  Stop them with
 * dev_daemons_stop in any case. */
bool dev_daemons_start(struct dev_daemons *d, const struct dev_setup *setup, const struct dev_folder *folder,
                       bool verbose, struct error *error);
void dev_daemons_stop(struct dev_daemons *d);
/* False once one of them has ended: then the tail of its log was shown. */
bool dev_daemons_alive(struct dev_daemons *d, struct error *error);
/* One step of the wait until both are ready, with progress on stderr; sets *ready.  False: it will not come to that. */
bool dev_daemons_wait(struct dev_daemons *d, struct http_client *client, bool *ready, struct error *error);

/* ---- dev_order.c: lines about workflows in the order in which things happened; pure ---- */

enum { DEV_ORDER_PATIENCE_MS = 1500 };
/* Steps of a workflow: 0 is its event, n is the start of attempt n.  A line waits until step `needs` was told (-1: for
 * nothing), at most DEV_ORDER_PATIENCE_MS, and tells step `gives`. */
struct dev_line {
    struct bytes workflow_id, text;
    int64_t needs, gives;
};
struct dev_order;
struct dev_order *dev_order_new(void);    /* NULL without memory */
void dev_order_free(struct dev_order *o); /* NULL is legal */
/* Copies the line.  False: no room; take some out first. */
bool dev_order_add(struct dev_order *o, struct dev_line line, int64_t now_ms);
/* The next line that may be told (the caller frees it), or NULL. */
char *dev_order_next(struct dev_order *o, int64_t now_ms);

/* ---- dev_show.c: the way of each delivery, as the topics tell it ---- */

struct dev_show;
/* Follows events, journal and results from now on, whatever is in them.  from_start: by reading all of them first (the
 * mock knows no offset of a time). */
struct dev_show *dev_show_new(const struct cli_kafka *kafka, bool from_start, struct error *error);
void dev_show_free(struct dev_show *s); /* NULL is legal */
/* How far the watched workflow has come. */
enum dev_seen { DEV_SEEN_RESULT = 1, DEV_SEEN_SUCCESS = 2 };
/* Prints one line on stdout for whatever comes within about timeout_ms; *seen grows by what concerns `watched`, which
 * may be NULL. */
bool dev_show_run(struct dev_show *s, int timeout_ms, const char *watched, unsigned *seen, struct error *error);
/* Prints what still waits for its turn. */
void dev_show_rest(struct dev_show *s);
/* A line of our own. */
void dev_show_line(const char *kind, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* log.h: one event, one line, one write.  key=value (logfmt) or JSON on stderr.
 * The log's level, format and sink are the only mutable globals of the code base.  Any thread.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "buffer.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };
enum log_format { LOG_LOGFMT, LOG_JSON };

struct log_field {
    struct bytes key;
    enum { LOG_TEXT, LOG_BYTES, LOG_INTEGER, LOG_DOUBLE, LOG_BOOL } kind;
    union {
        const char *text; /* NULL prints as null */
        struct bytes bytes;
        int64_t integer;
        double number;
        bool boolean;
    } as;
};

/* Call once before the first thread; fd is written with one write(2) a line, dropped and counted if it would block or
 * takes only a part.  Without a call: info, logfmt, stderr. */
void log_init(enum log_level level, enum log_format format, int fd);
void log_set_level(enum log_level level);
bool log_level_parse(const char *name, enum log_level *out);
bool log_enabled(enum log_level level);
/* Lines dropped since the start. */
int64_t log_dropped(void);

/* From now on the calling thread's lines below LOG_WARN wait for log_flush, or until 64 KiB of them wait: a write costs
 * more than a line.  Graver ones are written at once, behind those that wait.  For one thread, which flushes before it
 * sleeps. */
void log_hold(void);
/* Writes what waits, as many whole lines a write(2) as a pipe takes undivided; keeps errno. */
void log_flush(void);

static inline struct log_field log_text(const char *key, const char *value)
{
    return (struct log_field){.key = bytes_of(key), .kind = LOG_TEXT, .as.text = value};
}
static inline struct log_field log_bytes(const char *key, struct bytes value)
{
    return (struct log_field){.key = bytes_of(key), .kind = LOG_BYTES, .as.bytes = value};
}
static inline struct log_field log_int(const char *key, int64_t value)
{
    return (struct log_field){.key = bytes_of(key), .kind = LOG_INTEGER, .as.integer = value};
}
static inline struct log_field log_double(const char *key, double value)
{
    return (struct log_field){.key = bytes_of(key), .kind = LOG_DOUBLE, .as.number = value};
}
static inline struct log_field log_bool(const char *key, bool value)
{
    return (struct log_field){.key = bytes_of(key), .kind = LOG_BOOL, .as.boolean = value};
}

/* One line: time, level, event (a short fixed phrase), then the fields.  Values are escaped and cut at 1 KiB each
 * ("..." at the end says so); never hand it a secret or a body.  A field that would take the line over 8 KiB and those
 * behind it give way to cut=true.  Keys are constants of the code: plain words.  Allocates nothing, keeps errno. */
void log_write(enum log_level level, const char *event, const struct log_field *fields, size_t count);

/* log_event(LOG_INFO, "topic checked", log_text("topic", name), log_int("partitions", n)); at least one field. */
#define log_event(level, event, ...)                                                                                   \
    do {                                                                                                               \
        if (log_enabled(level)) {                                                                                      \
            const struct log_field log_fields_[] = {__VA_ARGS__};                                                      \
            log_write(level, event, log_fields_, sizeof log_fields_ / sizeof log_fields_[0]);                          \
        }                                                                                                              \
    } while (0)

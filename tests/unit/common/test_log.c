/* test_log.c: one line, one write; nothing that a value holds can break the line or the terminal.
 * SPDX-License-Identifier: Apache-2.0 */
#include "json.h"
#include "log.h"
#include "text.h"
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
/* cmocka wants its headers first */
#include <cmocka.h>

static int ends[2]; /* a packet socket: what one write sent, one read gets */
static char line[16384];

static int open_sink(void **state)
{
    (void)state;
    return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends);
}

static int close_sink(void **state)
{
    (void)state;
    log_init(LOG_INFO, LOG_LOGFMT, STDERR_FILENO);
    close(ends[0]);
    close(ends[1]);
    return 0;
}

/* The line without its time, which must be there and must read as one. */
static const char *read_line(void)
{
    ssize_t size = read(ends[0], line, sizeof line - 1);
    if (size <= 0) return NULL;
    line[size] = '\0';
    assert_int_equal(line[size - 1], '\n');
    line[size - 1] = '\0';
    assert_null(strchr(line, '\n'));
    const char *prefix = line[0] == '{' ? "{\"time\":\"" : "time=";
    int64_t wall_us;
    assert_int_equal(strncmp(line, prefix, strlen(prefix)), 0);
    assert_true(text_parse_time((struct bytes){(const uint8_t *)line + strlen(prefix), 27}, &wall_us));
    assert_true(text_is_utf8(bytes_of(line)));
    return line + strlen(prefix) + 27;
}

static void logfmt_lines(void **state)
{
    (void)state;
    log_init(LOG_INFO, LOG_LOGFMT, ends[1]);
    log_event(LOG_INFO, "request answered", log_text("agent", "a-1"), log_int("status", -202), log_bool("ok", true),
              log_bool("bad", false), log_double("ratio", 0.25), log_text("none", NULL), log_text("empty", ""));
    assert_string_equal(read_line(), " level=info event=\"request answered\" agent=a-1 status=-202 ok=true bad=false "
                                     "ratio=0.25 none=null empty=\"\"");
    log_event(LOG_WARN, "stop", log_text("spaces", "a b"), log_text("equals", "a=b"), log_text("quote", "a\"b"),
              log_text("back", "a\\b"), log_text("line", "a\nlevel=error"),
              log_text("terminal", "\x1B[31m\xC2\x9B\x7F"),
              log_bytes("nul", (struct bytes){(const uint8_t *)"a\0b", 3}), log_text("latin", "caf\xE9"),
              log_text("utf8", "caf\xC3\xA9"));
    assert_string_equal(read_line(),
                        " level=warn event=stop spaces=\"a b\" equals=\"a=b\" quote=\"a\\\"b\" back=\"a\\\\b\" "
                        "line=\"a\\nlevel=error\" terminal=\"\\u001b[31m\\u009b\\u007f\" nul=\"a\\u0000b\" "
                        "latin=\"caf\xEF\xBF\xBD\" utf8=caf\xC3\xA9");
}

static void json_lines(void **state)
{
    (void)state;
    log_init(LOG_INFO, LOG_JSON, ends[1]);
    log_event(LOG_ERROR, "it \"broke\"", log_text("text", "a=b\n\xFF"), log_int("n", INT64_MIN), log_bool("b", true),
              log_double("half", 0.5), log_double("nan", NAN), log_double("inf", INFINITY), log_text("none", NULL),
              log_bytes("empty", (struct bytes){NULL, 0}));
    assert_string_equal(read_line(),
                        "\",\"level\":\"error\",\"event\":\"it \\\"broke\\\"\",\"text\":\"a=b\\n\xEF\xBF\xBD\","
                        "\"n\":-9223372036854775808,\"b\":true,\"half\":0.5,\"nan\":null,\"inf\":null,"
                        "\"none\":null,\"empty\":\"\"}");
}

static void levels(void **state)
{
    (void)state;
    static const char *const names[] = {"debug", "info", "warn", "error"};
    log_init(LOG_DEBUG, LOG_LOGFMT, ends[1]);
    for (int least = LOG_DEBUG; least <= LOG_ERROR; least++) {
        enum log_level parsed;
        assert_true(log_level_parse(names[least], &parsed));
        assert_int_equal(parsed, least);
        log_set_level((enum log_level)least);
        for (int level = LOG_DEBUG; level <= LOG_ERROR; level++) {
            assert_int_equal(log_enabled((enum log_level)level), level >= least);
            log_event((enum log_level)level, "x", log_int("n", 1));
            log_write((enum log_level)level, "y", NULL, 0);
            assert_int_equal(read_line() != NULL, level >= least);
            assert_int_equal(read_line() != NULL, level >= least);
        }
    }
    enum log_level untouched = LOG_WARN;
    assert_false(log_level_parse("INFO", &untouched));
    assert_false(log_level_parse("", &untouched));
    assert_int_equal(untouched, LOG_WARN);
}

static void a_value_is_cut_at_1_kib(void **state)
{
    (void)state;
    char value[1100];
    for (int format = LOG_LOGFMT; format <= LOG_JSON; format++) {
        log_init(LOG_INFO, (enum log_format)format, ends[1]);
        for (size_t size = 1020; size < 1030; size++) {
            memset(value, 'a', sizeof value);
            memcpy(value + size - 3, "\xE2\x82\xAC", 4); /* a character that may lie across the cut */
            log_event(LOG_INFO, "x", log_text("v", value));
            const char *rest = read_line();
            size_t kept = size <= 1024 ? size : size - 3 <= 1024 ? size - 3 : 1024;
            assert_int_equal(strspn(strstr(rest, "aaa"), "a\xE2\x82\xAC"), kept);
            assert_null(strstr(rest, "\xEF\xBF\xBD")); /* no half of one */
            assert_int_equal(strstr(rest, "...\"") != NULL, size > 1024);
        }
    }
}

static void a_line_ends_at_8_kib_with_whole_fields(void **state)
{
    (void)state;
    char value[1025];
    memset(value, '\x01', 1024); /* six times as long when escaped */
    value[1024] = '\0';
    log_init(LOG_INFO, LOG_JSON, ends[1]);
    log_event(LOG_INFO, "x", log_int("first", 1), log_text("second", value), log_text("third", value), log_int("n", 4));
    read_line();
    assert_true(strlen(line) < 8192);
    struct error e = {0};
    bool cut = false;
    struct json *document = json_parse(bytes_of(line), &e);
    assert_non_null(document);
    assert_int_equal(json_count(document), 6);
    assert_true(json_bool(json_get(document, "cut", NULL), &cut) && cut);
    json_free(document);

    log_init(LOG_INFO, LOG_LOGFMT, ends[1]);
    log_event(LOG_INFO, "x", log_int("first", 1), log_text("second", value), log_text("third", value), log_int("n", 4));
    const char *rest = read_line();
    assert_null(strstr(rest, "third="));
    assert_string_equal(rest + strlen(rest) - 10, "\" cut=true");

    /* Whatever the lengths, the end has its room. */
    struct log_field fields[9];
    for (size_t i = 0; i < 9; i++)
        fields[i] = log_bytes("k", (struct bytes){(const uint8_t *)value, 1});
    memset(value, 'a', 1024);
    for (size_t length = 800; length <= 1024; length++) {
        for (size_t i = 0; i < 9; i++)
            fields[i].as.bytes.size = length;
        log_write(LOG_INFO, "x", fields, 9);
        assert_non_null(read_line());
        assert_true(strlen(line) < 8192);
    }
}

static void a_full_sink_costs_lines_not_time(void **state)
{
    (void)state;
    log_init(LOG_INFO, LOG_LOGFMT, ends[1]);
    int64_t dropped = log_dropped();
    int sent = 0;
    for (; log_dropped() == dropped && sent < 100000; sent++)
        log_event(LOG_INFO, "x", log_int("n", sent));
    assert_int_equal(log_dropped(), dropped + 1);
    errno = EXDEV;
    log_event(LOG_INFO, "x", log_int("n", sent));
    assert_int_equal(errno, EXDEV); /* the EAGAIN inside does not show */
    assert_int_equal(log_dropped(), dropped + 2);
    int received = 0;
    while (read_line())
        received++;
    assert_int_equal(received, sent - 1);
    log_event(LOG_INFO, "again", log_int("n", 1));
    assert_string_equal(read_line(), " level=info event=again n=1");
}

static void *write_many(void *name)
{
    for (int i = 0; i < 500; i++) {
        log_event(LOG_INFO, "threads", log_text("from", name), log_int("n", i));
        log_enabled(LOG_DEBUG);
    }
    return NULL;
}

static void lines_of_threads_stay_whole(void **state)
{
    (void)state;
    int blocking[2], count = 0;
    static char names[4][2] = {"a", "b", "c", "d"};
    pthread_t threads[4];
    assert_int_equal(pipe2(blocking, O_CLOEXEC), 0);
    log_init(LOG_INFO, LOG_LOGFMT, blocking[1]);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, write_many, names[i]), 0);
    FILE *in = fdopen(blocking[0], "r");
    for (; count < 2000 && fgets(line, sizeof line, in); count++) {
        static const char prefix[] = " level=info event=threads from=";
        int64_t n;
        assert_int_equal(strncmp(line, "time=", 5), 0);
        assert_int_equal(strncmp(line + 32, prefix, strlen(prefix)), 0);
        const char *rest = line + 32 + strlen(prefix); /* "a n=12\n" */
        assert_true(rest[0] >= 'a' && rest[0] <= 'd' && strncmp(rest + 1, " n=", 3) == 0);
        assert_true(text_parse_int64((struct bytes){(const uint8_t *)rest + 4, strlen(rest) - 5}, 0, 499, &n));
    }
    assert_int_equal(count, 2000);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    fclose(in);
    close(blocking[1]);
}

/* In a thread of its own, for holding is a thread's for good. */
static void *hold_lines(void *unused)
{
    (void)unused;
    log_hold();
    log_event(LOG_INFO, "one", log_int("n", 1));
    log_event(LOG_INFO, "two", log_int("n", 2));
    assert_null(read_line());
    errno = ENOENT;
    log_flush();
    assert_int_equal(errno, ENOENT);
    ssize_t size = read(ends[0], line, sizeof line - 1);
    assert_true(size > 0 && line[size - 1] == '\n');
    line[size] = 0;
    assert_non_null(strstr(line, "event=one n=1\ntime="));
    assert_non_null(strstr(line, "event=two n=2\n"));
    log_flush();
    assert_null(read_line());

    log_event(LOG_INFO, "before", log_int("n", 3));
    log_event(LOG_ERROR, "grave", log_int("n", 4)); /* at once, and in order */
    size = read(ends[0], line, sizeof line - 1);
    assert_true(size > 0);
    line[size] = 0;
    assert_true(strstr(line, "event=before") < strstr(line, "event=grave"));

    /* Whole lines in every write, never more than a pipe takes undivided, and none lost when there is no more room. */
    enum { LINES = 1000 };
    int lines = 0, writes = 0;
    char wide[100];
    memset(wide, 'x', sizeof wide);
    for (int i = 0; i < LINES; i++) {
        log_event(LOG_INFO, "wide", log_bytes("text", (struct bytes){(const uint8_t *)wide, sizeof wide}));
        if (i % 200 == 0) log_flush();
        while ((size = read(ends[0], line, sizeof line - 1)) > 0) {
            assert_true(size <= 4096 && line[size - 1] == '\n');
            for (ssize_t at = 0; at < size; at++)
                lines += line[at] == '\n';
            writes++;
        }
    }
    log_flush();
    while ((size = read(ends[0], line, sizeof line - 1)) > 0)
        for (ssize_t at = 0; at < size; at++)
            lines += line[at] == '\n';
    assert_int_equal(lines, LINES);
    assert_in_range(writes, 1, LINES / 20);

    int64_t dropped = log_dropped();
    for (int i = 0; i < 10; i++)
        log_event(LOG_INFO, "lost", log_int("n", i));
    log_init(LOG_INFO, LOG_LOGFMT, -1);
    log_flush();
    assert_int_equal(log_dropped() - dropped, 10);
    return NULL;
}

static void held_lines_go_out_together(void **state)
{
    (void)state;
    pthread_t thread;
    log_init(LOG_INFO, LOG_LOGFMT, ends[1]);
    assert_int_equal(pthread_create(&thread, NULL, hold_lines, NULL), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(logfmt_lines),
        cmocka_unit_test(json_lines),
        cmocka_unit_test(levels),
        cmocka_unit_test(a_value_is_cut_at_1_kib),
        cmocka_unit_test(a_line_ends_at_8_kib_with_whole_fields),
        cmocka_unit_test(a_full_sink_costs_lines_not_time),
        cmocka_unit_test(held_lines_go_out_together),
        cmocka_unit_test(lines_of_threads_stay_whole),
    };
    return cmocka_run_group_tests(tests, open_sink, close_sink);
}

/* test_spool_store.c: what was written is there in its order, also for who finds the files after a kill; what cannot be
 * used is refused with a sentence.  SPDX-License-Identifier: Apache-2.0 */
#include "spool.h"
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
/* cmocka wants its headers first */
#include <cmocka.h>

enum { SIZE_MAX_BYTES = 1 << 20 };

struct bench {
    char root[64], directory[128], file[160];
    struct spool_store *store;
    struct spool_batch batch;
    struct error error;
};

static void open_store(struct bench *b)
{
    b->store = spool_store_open(b->directory, SIZE_MAX_BYTES, &b->error);
    if (!b->store) fail_msg("%s", b->error.text);
}

static void close_store(struct bench *b)
{
    spool_store_close(b->store);
    b->store = NULL;
}

static void refuses(struct bench *b, const char *words)
{
    b->store = spool_store_open(b->directory, SIZE_MAX_BYTES, &b->error);
    assert_null(b->store);
    if (!strstr(b->error.text, words)) fail_msg("'%s' does not say '%s'", b->error.text, words);
}

/* Runs a statement on the closed file; the first column of the first row, if there is one, into `answer`. */
static void sql(const struct bench *b, const char *text, char answer[64])
{
    sqlite3 *db;
    sqlite3_stmt *statement;
    assert_int_equal(sqlite3_open(b->file, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, text, -1, &statement, NULL), SQLITE_OK);
    if (sqlite3_step(statement) == SQLITE_ROW && answer)
        snprintf(answer, 64, "%s", (const char *)sqlite3_column_text(statement, 0));
    sqlite3_finalize(statement);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void copy_file(const char *from, const char *to)
{
    char piece[8192];
    int in = open(from, O_RDONLY | O_CLOEXEC), out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(out >= 0);
    for (ssize_t n; in >= 0 && (n = read(in, piece, sizeof piece)) > 0;)
        assert_int_equal(write(out, piece, (size_t)n), n);
    if (in >= 0) close(in);
    close(out);
}

/* The files as they are now, as a kill would leave them; then the bench looks at the copy. */
static void copy_files(struct bench *b, const char *name)
{
    static const char *const files[] = {"spool.db", "spool.db-wal"};
    char from[256], to[256];
    snprintf(to, sizeof to, "%s/%s", b->root, name);
    assert_true(mkdir(to, 0700) == 0 || errno == EEXIST);
    for (size_t i = 0; i < 2; i++) {
        snprintf(from, sizeof from, "%s/%s", b->directory, files[i]);
        snprintf(to, sizeof to, "%s/%s/%s", b->root, name, files[i]);
        copy_file(from, to);
    }
}

static void look_at(struct bench *b, const char *name)
{
    snprintf(b->directory, sizeof b->directory, "%s/%s", b->root, name);
    snprintf(b->file, sizeof b->file, "%s/spool.db", b->directory);
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *walk)
{
    (void)status, (void)kind, (void)walk;
    return remove(path);
}

static int setup(void **state)
{
    struct bench *b = calloc(1, sizeof *b);
    *state = b;
    if (!b) return -1;
    snprintf(b->root, sizeof b->root, "/tmp/drawbridge-spool-XXXXXX");
    if (!mkdtemp(b->root)) return -1;
    snprintf(b->directory, sizeof b->directory, "%s/spool", b->root);
    snprintf(b->file, sizeof b->file, "%s/spool.db", b->directory);
    open_store(b);
    return 0;
}

static int teardown(void **state)
{
    struct bench *b = *state;
    spool_store_close(b->store);
    nftw(b->root, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    free(b);
    return 0;
}

static struct spool_entry *entry(int64_t id, const char *agent, const char *value)
{
    struct spool_entry *e = calloc(1, sizeof *e);
    const struct record_header headers[] = {{BYTES_LITERAL("ce_workflowid"), BYTES_LITERAL("wh-1")}};
    const struct record record = {
        .key = bytes_of(agent), .value = bytes_of(value), .headers = headers, .header_count = 1};
    assert_non_null(e);
    *e = (struct spool_entry){.id = id, .record = record_dup(&record), .reason = "too large"};
    assert_non_null(e->record);
    return e;
}

static void run_batch(struct bench *b, bool good)
{
    b->batch.wall_ms = 1700000000000;
    spool_store_run(b->store, &b->batch);
    if (b->batch.failed == good) fail_msg("%s", good ? b->batch.error.text : "it did not fail");
    struct spool_list *lists[] = {&b->batch.writes, &b->batch.removals, &b->batch.refusals};
    for (size_t i = 0; i < 3; i++)
        spool_list_free(lists[i]);
}

static void write_one(struct bench *b, int64_t id, const char *agent, const char *value)
{
    spool_list_append(&b->batch.writes, entry(id, agent, value));
    run_batch(b, true);
}

/* All rows behind an id, as "id:agent:value " each. */
static const char *rows(struct bench *b, int64_t after)
{
    static char text[4096];
    size_t n = 0;
    b->batch = (struct spool_batch){.read = true, .read_after = after};
    run_batch(b, true);
    text[0] = 0;
    for (struct spool_entry *e; (e = spool_list_take(&b->batch.rows)); spool_entry_free(e))
        n += (size_t)snprintf(text + n, sizeof text - n, "%lld:%.*s:%.*s%s ", (long long)e->id,
                              (int)e->record->key.size, (const char *)e->record->key.data, (int)e->record->value.size,
                              (const char *)e->record->value.data, e->reason ? "!" : "");
    assert_true(b->batch.read_to_end);
    b->batch = (struct spool_batch){0};
    return text;
}

static void rows_come_in_the_order_of_their_numbers(void **state)
{
    struct bench *b = *state;
    spool_list_append(&b->batch.writes, entry(3, "a", "three"));
    spool_list_append(&b->batch.writes, entry(1, "b", "one"));
    run_batch(b, true);
    assert_int_equal(b->batch.oldest_ms, 1700000000000);
    write_one(b, 2, "a", "two");
    assert_string_equal(rows(b, 0), "1:b:one 2:a:two 3:a:three ");
    assert_string_equal(rows(b, 1), "2:a:two 3:a:three ");
    spool_list_append(&b->batch.removals, entry(2, "a", ""));
    spool_list_append(&b->batch.writes, entry(4, "c", ""));
    run_batch(b, true);
    assert_string_equal(rows(b, 0), "1:b:one 3:a:three 4:c: ");
    assert_string_equal(rows(b, 4), "");
}

static void what_is_refused_is_put_aside(void **state)
{
    struct bench *b = *state;
    struct spool_totals totals;
    struct spool_agents *agents = spool_agents_new();
    write_one(b, 1, "a", "one");
    write_one(b, 2, "a", "two");
    write_one(b, 7, "b", "seven");
    spool_list_append(&b->batch.refusals, entry(1, "a", ""));
    run_batch(b, true);
    assert_string_equal(rows(b, 0), "2:a:two 7:b:seven ");
    close_store(b);
    open_store(b);
    assert_true(spool_store_count(b->store, &totals, agents, &b->error));
    assert_int_equal(totals.events, 2);
    assert_int_equal(totals.refused, 1);
    assert_int_equal(totals.last_id, 7);
    assert_int_equal(totals.cost, 3 * 1024);
    assert_int_equal(totals.oldest_ms, 1700000000000);
    assert_int_equal(spool_agents_get(agents, bytes_of("a")), 1);
    assert_int_equal(spool_agents_get(agents, bytes_of("b")), 1);
    spool_agents_free(agents);
    close_store(b);
    char answer[64] = "";
    sql(b, "SELECT agent_id || ' ' || workflow_id || ' ' || reason FROM refused", answer);
    assert_string_equal(answer, "a wh-1 too large");
}

/* As kill -9 leaves it: the files as they are, nothing closed. */
static void who_comes_after_a_kill_finds_everything(void **state)
{
    struct bench *b = *state;
    write_one(b, 1, "a", "one");
    write_one(b, 2, "a", "two");
    copy_files(b, "copy");
    write_one(b, 3, "a", "three");
    close_store(b);
    look_at(b, "copy");
    open_store(b);
    assert_string_equal(rows(b, 0), "1:a:one 2:a:two ");
}

/* In the middle of a commit: its last bytes are missing, so it never was; nothing before it is touched. */
static void half_a_transaction_is_none(void **state)
{
    struct bench *b = *state;
    struct stat status;
    char log[192];
    write_one(b, 1, "a", "one");
    snprintf(log, sizeof log, "%s-wal", b->file);
    assert_int_equal(stat(log, &status), 0);
    write_one(b, 2, "a", "two");
    copy_files(b, "copy");
    close_store(b);
    look_at(b, "copy");
    snprintf(log, sizeof log, "%s-wal", b->file);
    assert_int_equal(truncate(log, status.st_size + 1000), 0);
    open_store(b);
    assert_string_equal(rows(b, 0), "1:a:one ");
}

static void one_process_alone(void **state)
{
    struct bench *b = *state;
    struct error error;
    assert_null(spool_store_open(b->directory, SIZE_MAX_BYTES, &error));
    assert_non_null(strstr(error.text, "another process uses"));
    assert_non_null(strstr(error.text, "directory of its own"));
}

static void others_see_nothing_of_it(void **state)
{
    struct bench *b = *state;
    struct stat status;
    char log[192];
    write_one(b, 1, "a", "one");
    snprintf(log, sizeof log, "%s-wal", b->file);
    assert_int_equal(stat(b->directory, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0700);
    assert_int_equal(stat(b->file, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0600);
    assert_int_equal(stat(log, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0600);
    close_store(b);
    assert_int_equal(chmod(b->directory, 0750), 0);
    refuses(b, "chmod 0700");
    assert_int_equal(chmod(b->directory, 0700), 0);
    open_store(b);
}

static void damage(const struct bench *b, long at, size_t size)
{
    int fd = open(b->file, O_WRONLY | O_CLOEXEC);
    char *noise = malloc(size);
    assert_non_null(noise);
    memset(noise, 0x5a, size);
    assert_int_equal(pwrite(fd, noise, size, at), size);
    free(noise);
    close(fd);
}

static void a_damaged_file_is_refused(void **state)
{
    struct bench *b = *state;
    for (int64_t id = 1; id <= 40; id++)
        write_one(b, id, "a", "a value of some length, so that there is more than one page");
    close_store(b);
    copy_files(b, "whole");
    const struct {
        long at;
        size_t size;
    } rows_of_damage[] = {{0, 100}, {4096, 3000}, {3L * 4096, 4096}, {0, 4096}};
    for (size_t i = 0; i < sizeof rows_of_damage / sizeof rows_of_damage[0]; i++) {
        look_at(b, "whole");
        copy_files(b, "copy");
        look_at(b, "copy");
        damage(b, rows_of_damage[i].at, rows_of_damage[i].size);
        refuses(b, "move the directory away");
    }
    look_at(b, "whole");
    open_store(b);
}

static void a_strange_file_is_refused(void **state)
{
    struct bench *b = *state;
    close_store(b);
    sql(b, "PRAGMA user_version=2", NULL);
    refuses(b, "later release");
    assert_int_equal(unlink(b->file), 0);
    sql(b, "CREATE TABLE t(x)", NULL);
    refuses(b, "another program");
    snprintf(b->directory, sizeof b->directory, "%s/spool/spool.db", b->root);
    refuses(b, "not a directory");
    snprintf(b->directory, sizeof b->directory, "spool");
    refuses(b, "not an absolute path");
    snprintf(b->directory, sizeof b->directory, "%s/no/spool", b->root);
    refuses(b, "No such file");
}

static void a_row_that_cannot_be_read_is_told(void **state)
{
    struct bench *b = *state;
    write_one(b, 1, "a", "one");
    write_one(b, 2, "b", "two");
    close_store(b);
    sql(b, "UPDATE events SET record = x'01ff' WHERE id = 1", NULL);
    open_store(b);
    assert_string_equal(rows(b, 0), "1:a:! 2:b:two ");
}

/* A disk that takes no more: nothing of the batch is there, and the next one finds a store that works. */
static void a_failed_batch_leaves_nothing(void **state)
{
    struct bench *b = *state;
    struct rlimit before, limit;
    write_one(b, 1, "a", "one");
    const struct sigaction ignore = {.sa_handler = SIG_IGN};
    assert_int_equal(sigaction(SIGXFSZ, &ignore, NULL), 0);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    limit = before;
    limit.rlim_cur = 64 * 1024;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    char *value = calloc(1, 100001);
    assert_non_null(value);
    memset(value, 'x', 100000);
    spool_list_append(&b->batch.writes, entry(2, "a", "two"));
    spool_list_append(&b->batch.writes, entry(3, "a", value));
    spool_list_append(&b->batch.removals, entry(1, "a", ""));
    run_batch(b, false);
    assert_true(b->batch.error.text[0]);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_string_equal(rows(b, 0), "1:a:one ");
    write_one(b, 2, "a", "two");
    assert_string_equal(rows(b, 0), "1:a:one 2:a:two ");
    free(value);
}

static void the_file_has_an_end_of_its_own(void **state)
{
    struct bench *b = *state;
    char *value = calloc(1, 200001);
    assert_non_null(value);
    memset(value, 'x', 200000);
    int64_t id = 0;
    bool failed = false;
    while (!failed && id < 100) {
        spool_list_append(&b->batch.writes, entry(++id, "a", value));
        spool_store_run(b->store, &b->batch);
        failed = b->batch.failed;
        spool_list_free(&b->batch.writes);
    }
    assert_true(failed);
    assert_in_range(id, 8, 14);
    assert_int_equal(b->batch.error.code, ERROR_TOO_LARGE);
    b->batch = (struct spool_batch){0};
    spool_list_append(&b->batch.removals, entry(1, "a", ""));
    run_batch(b, true);
    free(value);
}

static void an_empty_file_is_made_small_again(void **state)
{
    struct bench *b = *state;
    struct spool_totals totals;
    struct spool_agents *agents = spool_agents_new();
    struct stat status;
    char *value = calloc(1, 200001);
    assert_non_null(value);
    memset(value, 'x', 200000);
    for (int64_t id = 1; id <= 4; id++)
        write_one(b, id, "a", value);
    for (int64_t id = 1; id <= 4; id++) {
        spool_list_append(&b->batch.removals, entry(id, "a", ""));
        run_batch(b, true);
    }
    assert_true(spool_store_count(b->store, &totals, agents, &b->error));
    assert_int_equal(totals.events, 0);
    close_store(b);
    assert_int_equal(stat(b->file, &status), 0);
    assert_in_range(status.st_size, 4096, 64 * 1024);
    spool_agents_free(agents);
    free(value);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    umask(0);
    const struct CMUnitTest tests[] = {
        TEST(rows_come_in_the_order_of_their_numbers),
        TEST(what_is_refused_is_put_aside),
        TEST(who_comes_after_a_kill_finds_everything),
        TEST(half_a_transaction_is_none),
        TEST(one_process_alone),
        TEST(others_see_nothing_of_it),
        TEST(a_damaged_file_is_refused),
        TEST(a_strange_file_is_refused),
        TEST(a_row_that_cannot_be_read_is_told),
        TEST(a_failed_batch_leaves_nothing),
        TEST(the_file_has_an_end_of_its_own),
        TEST(an_empty_file_is_made_small_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

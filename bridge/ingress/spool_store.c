/* spool_store.c: the spool's SQLite file: WAL, synchronous FULL, this process alone.
 *
 * `events` holds what is to be published, in the order of id; `refused` what Kafka will never take, for people.  The
 * lock is a file of its own beside SQLite's: SQLite's would be met only at the first write.
 * SPDX-License-Identifier: Apache-2.0 */
#include "clock.h"
#include "spool.h"
#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_NAME "spool.db"

enum {
    APPLICATION = 0x44425350, /* "DBSP" */
    VERSION = 1,
    PAGE_SIZE = 4096,
    ROW_MAX = 16 << 20,
    READ_ROWS_MAX = 512,
    READ_BYTES_MAX = 4 << 20,
    PATH_SIZE = 4096,
    BUSY_MS = 1000, /* somebody looks into the file with sqlite3 */
};

static const char schema[] =
    "CREATE TABLE events(id INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, agent_id TEXT NOT NULL, record BLOB NOT NULL);"
    "CREATE TABLE refused(number INTEGER PRIMARY KEY AUTOINCREMENT, at_ms INTEGER NOT NULL, refused_at_ms INTEGER NOT "
    "NULL, agent_id TEXT NOT NULL, workflow_id TEXT, reason TEXT NOT NULL, record BLOB NOT NULL);";

enum statement { BEGIN, COMMIT, ROLLBACK, INSERT, REMOVE, REFUSE, READ, OLDEST, STATEMENTS };
static const char *const texts[STATEMENTS] = {
    [BEGIN] = "BEGIN IMMEDIATE",
    [COMMIT] = "COMMIT",
    [ROLLBACK] = "ROLLBACK",
    [INSERT] = "INSERT INTO events(id, at_ms, agent_id, record) VALUES(?1, ?2, ?3, ?4)",
    [REMOVE] = "DELETE FROM events WHERE id = ?1",
    [REFUSE] = ("INSERT INTO refused(at_ms, refused_at_ms, agent_id, workflow_id, reason, record) "
                "SELECT at_ms, ?2, agent_id, ?3, ?4, record FROM events WHERE id = ?1"),
    [READ] = "SELECT id, agent_id, record FROM events WHERE id > ?1 ORDER BY id",
    [OLDEST] = "SELECT at_ms FROM events ORDER BY id LIMIT 1",
};

struct spool_store {
    sqlite3 *db;
    sqlite3_stmt *statements[STATEMENTS];
    int lock_fd;
    struct buffer row;
    char path[PATH_SIZE];
};

static bool damaged(const char *how, struct error *error)
{
    return error_set(error, ERROR_INVALID,
                     "it is damaged (%.160s): move the directory away and start again without the events in it "
                     "(`sqlite3 " FILE_NAME " .recover` may find them)",
                     how);
}

/* SQLite's own sentence, with the extended code for whoever looks it up. */
static bool failed(const struct spool_store *s, const char *what, struct error *error)
{
    int code = sqlite3_extended_errcode(s->db), kind = code & 0xff;
    if (kind == SQLITE_CORRUPT || kind == SQLITE_NOTADB) return damaged(sqlite3_errmsg(s->db), error);
    return error_set(error, kind == SQLITE_FULL ? ERROR_TOO_LARGE : ERROR_IO, "%s: %s (SQLite %d)", what,
                     sqlite3_errmsg(s->db), code);
}

/* ---- directory, lock, file ---- */

static bool check_directory(const char *directory, const struct stat *status, struct error *error)
{
    if (!S_ISDIR(status->st_mode)) return error_set(error, ERROR_INVALID, "'%s' is not a directory", directory);
    if ((status->st_mode & 077) != 0)
        return error_set(error, ERROR_DENIED, "'%s' holds events and is open to others: chmod 0700 it", directory);
    return true;
}

bool spool_store_check(const char *directory, struct error *error)
{
    struct stat status;
    if (directory[0] != '/') return error_set(error, ERROR_INVALID, "'%s' is not an absolute path", directory);
    if (stat(directory, &status) == 0) return check_directory(directory, &status, error);
    return errno == ENOENT ? true : error_set_errno(error, errno, "'%s'", directory);
}

static bool make_directory(const char *directory, struct error *error)
{
    if (mkdir(directory, 0700) != 0 && errno != EEXIST) return error_set_errno(error, errno, "make '%s'", directory);
    return spool_store_check(directory, error);
}

/* Ends with the process, however it ends. */
static bool lock(struct spool_store *s, const char *directory, struct error *error)
{
    char path[PATH_SIZE];
    snprintf(path, sizeof path, "%s/lock", directory);
    s->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (s->lock_fd < 0) return error_set_errno(error, errno, "open '%s'", path);
    if (flock(s->lock_fd, LOCK_EX | LOCK_NB) == 0) return true;
    return error_set(error, ERROR_UNAVAILABLE, "another process uses '%s': give each ingress a directory of its own",
                     directory);
}

/* The file and its name survive a crash before the first event is in it; SQLite gives its log the same mode. */
static bool make_file(struct spool_store *s, const char *directory, struct error *error)
{
    int size = snprintf(s->path, sizeof s->path, "%s/" FILE_NAME, directory);
    if (size < 0 || (size_t)size >= sizeof s->path - 16) return error_set(error, ERROR_INVALID, "the path is too long");
    int fd = open(s->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    int folder = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool good = fd >= 0 && folder >= 0 && fsync(folder) == 0;
    if (!good) error_set_errno(error, errno, "open '%s'", s->path);
    if (fd >= 0) close(fd);
    if (folder >= 0) close(folder);
    return good;
}

/* ---- opening ---- */

static bool run_text(struct spool_store *s, const char *text, struct error *error)
{
    return sqlite3_exec(s->db, text, NULL, NULL, NULL) == SQLITE_OK ? true : failed(s, "open", error);
}

/* The first column of the first row, as a number. */
static bool ask(struct spool_store *s, const char *text, int64_t *answer, struct error *error)
{
    sqlite3_stmt *statement = NULL;
    bool good =
        sqlite3_prepare_v2(s->db, text, -1, &statement, NULL) == SQLITE_OK && sqlite3_step(statement) == SQLITE_ROW;
    if (good) *answer = sqlite3_column_int64(statement, 0);
    if (!good) failed(s, "open", error);
    sqlite3_finalize(statement);
    return good;
}

/* quick_check says "ok", or one row for each fault. */
static bool check_pages(struct spool_store *s, struct error *error)
{
    sqlite3_stmt *statement = NULL;
    const char *word = NULL;
    if (sqlite3_prepare_v2(s->db, "PRAGMA quick_check(1)", -1, &statement, NULL) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW)
        word = (const char *)sqlite3_column_text(statement, 0);
    bool good = word && strcmp(word, "ok") == 0;
    if (!good && word) damaged(word, error);
    if (!good && !word) failed(s, "check", error);
    sqlite3_finalize(statement);
    return good;
}

static bool check_identity(struct spool_store *s, bool *fresh, struct error *error)
{
    int64_t application, version, tables;
    if (!ask(s, "PRAGMA application_id", &application, error) || !ask(s, "PRAGMA user_version", &version, error) ||
        !ask(s, "SELECT count(*) FROM sqlite_schema", &tables, error))
        return false;
    *fresh = tables == 0 && application == 0;
    if (*fresh || (application == APPLICATION && version == VERSION)) return true;
    if (application != APPLICATION) return error_set(error, ERROR_INVALID, "it belongs to another program");
    return error_set(error, ERROR_INVALID, "it has version %lld, of a later release: start that one",
                     (long long)version);
}

static bool set_up(struct spool_store *s, int64_t size_max, bool *fresh, struct error *error)
{
    char text[256];
    /* Twice the limit: the events' own is counted by the caller, and a refused row needs room to move. */
    snprintf(text, sizeof text,
             "PRAGMA page_size=%d; PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
             "PRAGMA max_page_count=%lld; PRAGMA journal_size_limit=16777216; PRAGMA trusted_schema=OFF",
             PAGE_SIZE, (long long)(2 * size_max / PAGE_SIZE + 64));
    if (!run_text(s, text, error) || !check_pages(s, error) || !check_identity(s, fresh, error)) return false;
    if (!*fresh) return true;
    snprintf(text, sizeof text, "PRAGMA application_id=%d; PRAGMA user_version=%d; COMMIT", APPLICATION, VERSION);
    return run_text(s, "BEGIN IMMEDIATE", error) && run_text(s, schema, error) && run_text(s, text, error);
}

static bool open_file(struct spool_store *s, int64_t size_max, struct error *error)
{
    bool fresh;
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE | SQLITE_OPEN_NOFOLLOW;
    int code = sqlite3_open_v2(s->path, &s->db, flags, NULL);
    if (code != SQLITE_OK) return error_set(error, ERROR_IO, "open: %s", sqlite3_errstr(code));
    sqlite3_extended_result_codes(s->db, 1);
    sqlite3_busy_timeout(s->db, BUSY_MS);
    sqlite3_db_config(s->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    if (!set_up(s, size_max, &fresh, error)) return false;
    for (size_t i = 0; i < STATEMENTS; i++)
        if (sqlite3_prepare_v3(s->db, texts[i], -1, SQLITE_PREPARE_PERSISTENT, &s->statements[i], NULL) != SQLITE_OK)
            return failed(s, "open", error);
    return true;
}

struct spool_store *spool_store_open(const char *directory, int64_t size_max, struct error *error)
{
    struct spool_store *s = calloc(1, sizeof *s);
    if (!s) {
        error_set(error, ERROR_MEMORY, "no memory for the spool");
        return NULL;
    }
    s->lock_fd = -1;
    buffer_init(&s->row, ROW_MAX);
    if (make_directory(directory, error) && lock(s, directory, error) && make_file(s, directory, error)) {
        if (open_file(s, size_max, error)) return s;
        error_context(error, "'%s'", s->path);
    }
    spool_store_close(s);
    return NULL;
}

void spool_store_close(struct spool_store *s)
{
    if (!s) return;
    for (size_t i = 0; i < STATEMENTS; i++)
        sqlite3_finalize(s->statements[i]);
    sqlite3_close(s->db);
    if (s->lock_fd >= 0) close(s->lock_fd);
    buffer_close(&s->row);
    free(s);
}

/* ---- counting ---- */

static bool count_agents(struct spool_store *s, struct spool_agents *agents, struct error *error)
{
    sqlite3_stmt *statement = NULL;
    int code =
        sqlite3_prepare_v2(s->db, "SELECT agent_id, count(*) FROM events GROUP BY agent_id", -1, &statement, NULL);
    bool memory = true;
    while (code == SQLITE_OK && memory && (code = sqlite3_step(statement)) == SQLITE_ROW) {
        struct bytes id = {sqlite3_column_text(statement, 0), (size_t)sqlite3_column_bytes(statement, 0)};
        memory = spool_agents_add(agents, id, sqlite3_column_int64(statement, 1));
        code = SQLITE_OK;
    }
    if (memory && code != SQLITE_DONE) failed(s, "count", error);
    sqlite3_finalize(statement);
    if (!memory) return error_set(error, ERROR_MEMORY, "no memory for the spool's agents");
    return code == SQLITE_DONE;
}

bool spool_store_count(struct spool_store *s, struct spool_totals *totals, struct spool_agents *agents,
                       struct error *error)
{
    sqlite3_stmt *statement = NULL;
    *totals = (struct spool_totals){0};
    if (!ask(s, "SELECT count(*) FROM refused", &totals->refused, error) ||
        !ask(s, "SELECT ifnull(max(id), 0) FROM events", &totals->last_id, error) || !count_agents(s, agents, error))
        return false;
    int code = sqlite3_prepare_v2(
        s->db, "SELECT 1, length(record), at_ms FROM events UNION ALL SELECT 0, length(record), 0 FROM refused", -1,
        &statement, NULL);
    while (code == SQLITE_OK && (code = sqlite3_step(statement)) == SQLITE_ROW) {
        int64_t at_ms = sqlite3_column_int64(statement, 2);
        totals->cost += spool_row_cost((size_t)sqlite3_column_int64(statement, 1));
        totals->events += sqlite3_column_int64(statement, 0);
        if (at_ms > 0 && (totals->oldest_ms == 0 || at_ms < totals->oldest_ms)) totals->oldest_ms = at_ms;
        code = SQLITE_OK;
    }
    if (code != SQLITE_DONE) failed(s, "count", error);
    sqlite3_finalize(statement);
    if (code != SQLITE_DONE) return false;
    /* The file keeps its size while it is in use; empty, it costs nothing to make it small again. */
    return totals->events > 0 || run_text(s, "VACUUM; PRAGMA wal_checkpoint(TRUNCATE)", error);
}

/* ---- batches ---- */

/* One step of a prepared statement that gives no rows. */
static bool step(struct spool_store *s, enum statement which, struct error *error)
{
    sqlite3_stmt *statement = s->statements[which];
    bool good = sqlite3_step(statement) == SQLITE_DONE;
    if (!good) failed(s, "write", error);
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
    return good;
}

static void bind_text(sqlite3_stmt *statement, int at, struct bytes text)
{
    if (text.data) sqlite3_bind_text(statement, at, (const char *)text.data, (int)text.size, SQLITE_STATIC);
}

static bool insert(struct spool_store *s, const struct spool_entry *e, int64_t wall_ms, struct error *error)
{
    sqlite3_stmt *statement = s->statements[INSERT];
    buffer_clear(&s->row);
    spool_row_encode(e->record, &s->row);
    if (!buffer_ok(&s->row)) return error_set(error, ERROR_MEMORY, "no memory for a row");
    sqlite3_bind_int64(statement, 1, e->id);
    sqlite3_bind_int64(statement, 2, wall_ms);
    bind_text(statement, 3, e->record->key);
    sqlite3_bind_blob(statement, 4, s->row.data, (int)s->row.size, SQLITE_STATIC);
    return step(s, INSERT, error);
}

static bool remove_row(struct spool_store *s, int64_t id, struct error *error)
{
    sqlite3_bind_int64(s->statements[REMOVE], 1, id);
    return step(s, REMOVE, error);
}

static bool put_aside(struct spool_store *s, const struct spool_entry *e, int64_t wall_ms, struct error *error)
{
    sqlite3_stmt *statement = s->statements[REFUSE];
    sqlite3_bind_int64(statement, 1, e->id);
    sqlite3_bind_int64(statement, 2, wall_ms);
    bind_text(statement, 3, record_header(e->record, "ce_workflowid"));
    bind_text(statement, 4, bytes_of(e->reason));
    return step(s, REFUSE, error) && remove_row(s, e->id, error);
}

static bool change(struct spool_store *s, const struct spool_batch *b, struct error *error)
{
    bool good = step(s, BEGIN, error);
    for (const struct spool_entry *e = b->writes.first; good && e; e = e->next)
        good = insert(s, e, b->wall_ms, error);
    for (const struct spool_entry *e = b->removals.first; good && e; e = e->next)
        good = remove_row(s, e->id, error);
    for (const struct spool_entry *e = b->refusals.first; good && e; e = e->next)
        good = put_aside(s, e, b->wall_ms, error);
    good = good && step(s, COMMIT, error);
    struct error scratch;
    if (!good && !sqlite3_get_autocommit(s->db)) step(s, ROLLBACK, &scratch);
    return good;
}

/* A row that is no record any more has its key from the column beside it. */
static struct spool_entry *entry_of(sqlite3_stmt *row)
{
    struct bytes record = {sqlite3_column_blob(row, 2), (size_t)sqlite3_column_bytes(row, 2)};
    const struct record key = {.key = {sqlite3_column_text(row, 1), (size_t)sqlite3_column_bytes(row, 1)}};
    struct spool_entry *e = calloc(1, sizeof *e);
    if (!e) return NULL;
    *e = (struct spool_entry){
        .place = SPOOL_AHEAD, .id = sqlite3_column_int64(row, 0), .cost = spool_row_cost(record.size)};
    e->record = spool_row_decode(record);
    if (e->record) return e;
    e->reason = "the row is damaged";
    e->record = record_dup(&key);
    if (e->record) return e;
    free(e);
    return NULL;
}

static bool read_rows(struct spool_store *s, struct spool_batch *b)
{
    sqlite3_stmt *statement = s->statements[READ];
    int code = SQLITE_ROW;
    sqlite3_bind_int64(statement, 1, b->read_after);
    for (int64_t cost = 0; cost < READ_BYTES_MAX && b->rows.count < READ_ROWS_MAX;) {
        code = sqlite3_step(statement);
        if (code != SQLITE_ROW) break;
        struct spool_entry *e = entry_of(statement);
        if (!e) break;
        spool_list_append(&b->rows, e);
        cost += e->cost;
    }
    b->read_to_end = code == SQLITE_DONE;
    bool good = code == SQLITE_DONE || b->rows.count > 0;
    if (!good && code == SQLITE_ROW) error_set(&b->error, ERROR_MEMORY, "read: no memory for a row");
    if (!good && code != SQLITE_ROW) failed(s, "read", &b->error);
    sqlite3_reset(statement);
    return good;
}

void spool_store_run(struct spool_store *s, struct spool_batch *b)
{
    int64_t began_us = clock_monotonic_us();
    b->failed = b->read_failed = false;
    b->read_to_end = false;
    if (b->writes.first || b->removals.first || b->refusals.first) b->failed = !change(s, b, &b->error);
    if (!b->failed && b->read) b->read_failed = !read_rows(s, b);
    b->oldest_ms = 0;
    if (sqlite3_step(s->statements[OLDEST]) == SQLITE_ROW)
        b->oldest_ms = sqlite3_column_int64(s->statements[OLDEST], 0);
    sqlite3_reset(s->statements[OLDEST]);
    b->took_us = clock_monotonic_us() - began_us;
}

/* spool_writer.c: the thread that waits for the disk, and the one place where a batch changes hands.
 *
 * There is at most one batch with the thread: what comes meanwhile is gathered by the loop and goes over as the next
 * one.  So a batch is as large as the disk is slow, and each costs one fsync.  The mutex guards `given`, `done`,
 * `stop`. SPDX-License-Identifier: Apache-2.0 */
#include "log.h"
#include "spool.h"
#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct spool_writer {
    struct spool_store *store; /* the thread's */
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t work, finished;
    struct spool_batch *given, *done;
    bool busy; /* the loop's: a batch is out */
    bool stop;
    int event_fd;
};

static void tell(const struct spool_writer *w)
{
    static const uint64_t one = 1;
    if (write(w->event_fd, &one, sizeof one) < 0 && errno != EAGAIN)
        log_event(LOG_ERROR, "eventfd", log_int("errno", errno));
}

static void *thread_main(void *ctx)
{
    struct spool_writer *w = ctx;
    pthread_mutex_lock(&w->mutex);
    for (;;) {
        while (!w->given && !w->stop)
            pthread_cond_wait(&w->work, &w->mutex);
        struct spool_batch *b = w->given;
        if (!b) break;
        w->given = NULL;
        pthread_mutex_unlock(&w->mutex);
        spool_store_run(w->store, b);
        pthread_mutex_lock(&w->mutex);
        w->done = b;
        pthread_cond_signal(&w->finished);
        tell(w);
    }
    pthread_mutex_unlock(&w->mutex);
    spool_store_close(w->store);
    return NULL;
}

struct spool_writer *spool_writer_start(struct spool_store *store, struct error *error)
{
    struct spool_writer *w = calloc(1, sizeof *w);
    int code = ENOMEM;
    if (!w) goto no_writer;
    w->store = store;
    w->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    code = errno;
    if (w->event_fd < 0) goto no_eventfd;
    pthread_mutex_init(&w->mutex, NULL);
    pthread_cond_init(&w->work, NULL);
    pthread_cond_init(&w->finished, NULL);
    code = pthread_create(&w->thread, NULL, thread_main, w);
    if (code == 0) return w;
    pthread_cond_destroy(&w->finished);
    pthread_cond_destroy(&w->work);
    pthread_mutex_destroy(&w->mutex);
    close(w->event_fd);
no_eventfd:
    free(w);
no_writer:
    error_set_errno(error, code, "start the spool's thread");
    spool_store_close(store);
    return NULL;
}

int spool_writer_fd(const struct spool_writer *w)
{
    return w->event_fd;
}

void spool_writer_submit(struct spool_writer *w, struct spool_batch *b)
{
    assert(!w->busy);
    w->busy = true;
    pthread_mutex_lock(&w->mutex);
    w->given = b;
    pthread_cond_signal(&w->work);
    pthread_mutex_unlock(&w->mutex);
}

struct spool_batch *spool_writer_take(struct spool_writer *w, bool wait)
{
    uint64_t events;
    if (!w->busy) return NULL;
    if (read(w->event_fd, &events, sizeof events) < 0 && errno != EAGAIN)
        log_event(LOG_ERROR, "eventfd", log_int("errno", errno));
    pthread_mutex_lock(&w->mutex);
    while (wait && !w->done)
        pthread_cond_wait(&w->finished, &w->mutex);
    struct spool_batch *b = w->done;
    w->done = NULL;
    pthread_mutex_unlock(&w->mutex);
    w->busy = !b;
    return b;
}

void spool_writer_stop(struct spool_writer *w)
{
    if (!w) return;
    pthread_mutex_lock(&w->mutex);
    w->stop = true;
    pthread_cond_signal(&w->work);
    pthread_mutex_unlock(&w->mutex);
    pthread_join(w->thread, NULL);
    pthread_cond_destroy(&w->finished);
    pthread_cond_destroy(&w->work);
    pthread_mutex_destroy(&w->mutex);
    close(w->event_fd);
    free(w);
}
